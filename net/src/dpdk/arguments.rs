//! What the user says to DPDK, and what is said for them.
//!
//! Arguments are DPDK's own (EAL), of any kind, but for `port=NAME`, which is ours and picks a device. Defaults are
//! added only where the user chose nothing.

use crate::open::OpenError;

/// What starts DPDK without any privilege or device, for ring pairs.
pub(super) const UNPRIVILEGED: [&str; 5] = ["--no-huge", "--no-pci", "--no-shconf", "-m", "256"];

/// Any of these says where memory comes from. `--file-prefix` does so too: it names files of huge pages.
const MEMORY: [&str; 11] = [
    "-m",
    "--no-huge",
    "--in-memory",
    "--huge-dir",
    "--huge-unlink",
    "--socket-mem",
    "--socket-limit",
    "--single-file-segments",
    "--legacy-mem",
    "--file-prefix",
    "--proc-type",
];
const CORES: [&str; 4] = ["-c", "-l", "-s", "--lcores"];
const TELEMETRY: [&str; 2] = ["--telemetry", "--no-telemetry"];
const LOG: [&str; 2] = ["--log-level", "--syslog"];

/// The user's arguments, taken apart.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Arguments {
    /// DPDK's own.
    pub(super) eal: Vec<String>,
    /// The device to open; `None` for the first that is free.
    pub(super) port: Option<String>,
}

impl Arguments {
    /// The last `port=NAME` counts.
    pub(super) fn parse(arguments: &[String]) -> Self {
        let mut parsed = Self { eal: Vec::new(), port: None };
        for argument in arguments {
            match argument.strip_prefix("port=") {
                Some(name) => parsed.port = Some(name.to_owned()),
                None => parsed.eal.push(argument.clone()),
            }
        }
        parsed
    }
}

/// What DPDK is started with: `eal`, and defaults where it says nothing. `hugepages` tells whether this host has free
/// ones; `cpu` is one that the caller may run on.
///
/// # Errors
///
/// [`OpenError::Unsupported`] if nothing is said about memory and there are no huge pages.
pub(super) fn with_defaults(eal: &[String], hugepages: bool, cpu: usize) -> Result<Vec<String>, OpenError> {
    let mut all = eal.to_vec();
    if !is_given(eal, &MEMORY) {
        if !hugepages {
            return Err(OpenError::Unsupported {
                operation: "starting DPDK".to_owned(),
                reason: "no huge pages are free".to_owned(),
                fix: "run `hpb tune apply`, or do without by the arguments `--no-huge -m 256`".to_owned(),
            });
        }
        // Leaves no files behind, and other processes of DPDK on this host alone.
        all.push("--in-memory".to_owned());
    }
    if !is_given(eal, &CORES) {
        // DPDK would start and bind a worker thread a core, and leave no id for the lanes' threads.
        all.push(format!("--lcores=0@{cpu}"));
    }
    if !is_given(eal, &TELEMETRY) {
        all.push("--no-telemetry".to_owned());
    }
    if !is_given(eal, &LOG) {
        all.push("--log-level=warning".to_owned());
    }
    Ok(all)
}

fn is_given(arguments: &[String], names: &[&str]) -> bool {
    arguments.iter().any(|argument| {
        names.iter().any(|name| match argument.strip_prefix(name) {
            // Short options take their value at once (`-m256`), long ones after `=` or as the next argument.
            Some(rest) => rest.is_empty() || rest.starts_with('=') || !name.starts_with("--"),
            None => false,
        })
    })
}

/// The first CPU of a list as the kernel writes it (`Cpus_allowed_list` of proc(5): `2-5,8`), in the text of a thread's
/// status file.
pub(super) fn first_cpu(status: &str) -> Option<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim();
    list.split([',', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn our_own_argument_does_not_reach_dpdk() {
        let parsed = Arguments::parse(&words("--no-huge port=net_tap0 --vdev=net_tap0,port=1"));
        assert_eq!(parsed, Arguments { eal: words("--no-huge --vdev=net_tap0,port=1"), port: Some("net_tap0".into()) });
    }

    #[test]
    fn defaults_fill_only_what_is_not_said() {
        let quiet = "--no-telemetry --log-level=warning";
        assert_eq!(
            with_defaults(&[], true, 3).expect("huge pages"),
            words(&format!("--in-memory --lcores=0@3 {quiet}"))
        );
        for memory in ["--no-huge -m 256", "-m256", "--socket-mem=64", "--socket-mem 64", "--file-prefix=other"] {
            let all = with_defaults(&words(memory), false, 1).expect("memory is given");
            assert_eq!(all, words(&format!("{memory} --lcores=0@1 {quiet}")));
        }
        let all = "--in-memory -l 1,2 --telemetry --log-level=lib.eal:debug";
        assert_eq!(with_defaults(&words(all), false, 0).expect("all is given"), words(all));
    }

    #[test]
    fn without_huge_pages_it_says_what_to_run() {
        let error = with_defaults(&words("--vdev=net_null0 --main-lcore=0"), false, 0).expect_err("no memory");
        let text = error.to_string();
        assert!(text.contains("hpb tune apply") && text.contains("--no-huge -m 256"), "{text}");
    }

    #[test]
    fn the_first_cpu_of_a_list() {
        let status = |list: &str| format!("Name:\thpb\nCpus_allowed:\t3c\nCpus_allowed_list:\t{list}\nMems:\t1\n");
        assert_eq!(first_cpu(&status("2-5,8")), Some(2));
        assert_eq!(first_cpu(&status("7")), Some(7));
        assert_eq!(first_cpu("Name:\thpb\n"), None);
        assert_eq!(first_cpu(&status("none")), None);
    }
}
