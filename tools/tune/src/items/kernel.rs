//! Whether the kernel is new enough for `AF_XDP` with busy polling (Linux 5.11).

use crate::finding::Finding;
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;

/// The kernel's version.
pub(crate) struct Kernel;

/// The first version with `SO_PREFER_BUSY_POLL`, and with memory of BPF counted by control group.
const VERSION_MIN: (u32, u32) = (5, 11);

impl Item for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn check(&self, host: &dyn Host, _: &Plan) -> Vec<Finding> {
        let release = host.word("/proc/sys/kernel/osrelease").unwrap_or_default();
        let found = Finding::ok(self.name(), "", format!("Linux {release}"));
        vec![match version(&release) {
            Some(version) if version >= VERSION_MIN => found,
            Some(_) => found.fix("5.11 or later", "AF_XDP sockets can be polled without interrupts from then on"),
            None => found.note("5.11 or later", "the version cannot be read"),
        }]
    }
}

/// The first two numbers of `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn releases() {
        let table = [("6.1.0-18-amd64", Some((6, 1))), ("5.11-rc3", Some((5, 11))), ("6", None), ("", None)];
        for (release, found) in table {
            assert_eq!(version(release), found, "{release}");
        }
    }
}
