//! What only this host knows of a run: memory, processor, kernel.

use std::fs;

/// Resident memory of this process in bytes; 0 where it can't be read.
pub(super) fn resident_len() -> u64 {
    status_kib("VmRSS:") << 10
}

/// The most that was resident so far, in bytes.
pub(super) fn resident_len_max() -> u64 {
    status_kib("VmHWM:") << 10
}

fn status_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The processor's name.
pub(super) fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("model name"));
    line.and_then(|rest| rest.split(':').nth(1)).map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// The kernel's release.
pub(super) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).unwrap_or_default()
}
