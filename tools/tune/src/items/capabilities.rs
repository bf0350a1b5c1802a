//! What this process may do, and what the program's file lets any user's process do (`capabilities(7)`). Rights are an
//! administrator's to give: the command is named and never run.

use crate::finding::Finding;
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;

/// Capabilities of the process and of the file.
pub(crate) struct Capabilities;

/// What the ports need, with the bits of `linux/capability.h`.
const NEEDED: [(&str, u32); 5] =
    [("cap_net_raw", 13), ("cap_net_admin", 12), ("cap_bpf", 39), ("cap_ipc_lock", 14), ("cap_sys_nice", 23)];
/// `CAP_BPF`.
pub(super) const BPF: u32 = 39;
/// `CAP_SYS_ADMIN`.
pub(super) const SYS_ADMIN: u32 = 21;

const WHY: &str = "AF_XDP and packet ports need them, and so do locked memory and real-time priority";

impl Item for Capabilities {
    fn name(&self) -> &'static str {
        "capabilities"
    }

    fn check(&self, host: &dyn Host, _: &Plan) -> Vec<Finding> {
        let process = process_bits(host);
        let program = host.program().unwrap_or_default();
        let file = host.file_capabilities(&program).ok().flatten().map_or(0, |bytes| file_bits(&bytes));
        let is = format!("this process has {}; its file gives {}", held(process), held(file));
        let found = Finding::ok(self.name(), "", is);
        let all = NEEDED.map(|(name, _)| name).join(",");
        let command = format!("sudo setcap {all}+ep {program}");
        vec![if NEEDED.iter().all(|(_, bit)| has(process, *bit)) {
            found
        } else if NEEDED.iter().all(|(_, bit)| has(file, *bit)) {
            found.note("the file's", "the file gives them, and this process is not let have them (no_new_privs?)")
        } else {
            found.fix("all five", WHY).command(command)
        }]
    }
}

/// The effective capabilities of this process, a bit each.
pub(super) fn process_bits(host: &dyn Host) -> u64 {
    let status = host.read("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0)
}

pub(super) fn has(bits: u64, bit: u32) -> bool {
    bits >> bit & 1 == 1
}

/// The capabilities that a file gives to whoever runs it: the permitted ones of `struct vfs_cap_data` (revisions 2 and
/// 3), if its effective flag is set. Anything else gives none.
fn file_bits(bytes: &[u8]) -> u64 {
    const REVISIONS: [u32; 2] = [0x0200_0000, 0x0300_0000];
    const EFFECTIVE: u32 = 1;
    let word = |index: usize| {
        let bytes = bytes.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (Some(magic), Some(low), Some(high)) = (word(0), word(1), word(3)) else { return 0 };
    let usable = REVISIONS.contains(&(magic & 0xff00_0000)) && magic & EFFECTIVE == EFFECTIVE;
    if usable { u64::from(high) << 32 | u64::from(low) } else { 0 }
}

/// Which of those needed are among these.
fn held(bits: u64) -> String {
    let names: Vec<&str> = NEEDED.iter().filter(|(_, bit)| has(bits, *bit)).map(|(name, _)| *name).collect();
    match names.len() {
        0 => "none of those needed".to_owned(),
        count if count == NEEDED.len() => "all five".to_owned(),
        _ => names.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_files_attribute() {
        // As `setcap cap_net_raw,cap_bpf+ep` writes it.
        let bytes = [0x01, 0, 0, 0x02, 0, 0x20, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(file_bits(&bytes), 1 << 13 | 1 << BPF);
        assert_eq!(held(file_bits(&bytes)), "cap_net_raw,cap_bpf");
        let permitted_only = [&[0][..], &bytes[1..]].concat();
        assert_eq!(file_bits(&permitted_only), 0);
        assert_eq!(file_bits(&bytes[..12]), 0);
        assert_eq!(held(u64::MAX), "all five");
    }

    proptest! {
        #[test]
        fn no_attribute_panics(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            file_bits(&bytes);
        }
    }
}
