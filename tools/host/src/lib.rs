//! The machine under whatever measures on it: system calls, cores, what else keeps it busy, its name and its randomness,
//! and a foreign tool that measures beside ours.
//!
//! It knows nothing of a card, a node or a run.

pub mod conditions;
pub mod sockperf;
pub mod sys;

use std::fs::{self, File};
use std::io::{self, Read as _};

/// The processor's own name; `None` where the kernel does not tell it.
pub fn processor() -> Option<String> {
    fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor_in(&text))
}

/// 32 bytes of the operating system's randomness.
///
/// # Errors
/// What the operating system says.
pub fn os_random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The line `model name` of `/proc/cpuinfo`.
fn processor_in(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_by_the_kernel() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor\ncache size\t: 1 KB\n";
        assert_eq!(processor_in(cpuinfo).as_deref(), Some("Intel(R) Xeon(R) Processor"));
        assert_eq!(processor_in("processor: 0\n"), None);
    }
}
