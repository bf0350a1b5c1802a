//! Whether `io_uring` may be used (`kernel.io_uring_disabled`, Linux 6.6). An administrator's choice: it is named and
//! never changed.

use crate::finding::Finding;
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;

/// The kernel's switch for `io_uring`.
pub(crate) struct IoUring;

const PATH: &str = "/proc/sys/kernel/io_uring_disabled";
const COMMAND: &str = "sudo sysctl -w kernel.io_uring_disabled=0";
const WHY: &str = "the executors and the log run on io_uring; without it they run on plain threads, and slower";

impl Item for IoUring {
    fn name(&self) -> &'static str {
        "io_uring"
    }

    fn check(&self, host: &dyn Host, _: &Plan) -> Vec<Finding> {
        let found = |is: &str| Finding::ok(self.name(), "", is);
        vec![match host.word(PATH).as_deref() {
            None => found("permitted (this kernel has no switch for it)"),
            Some("0") => found("permitted"),
            Some("1") => {
                found("permitted to privileged processes and kernel.io_uring_group").note("0", WHY).command(COMMAND)
            }
            Some(_) => found("forbidden to all (kernel.io_uring_disabled)").fix("0", WHY).command(COMMAND),
        }]
    }
}
