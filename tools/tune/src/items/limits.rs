//! Limits of this process: memory that it may lock, files that it may hold open. They are set at log-in (by
//! `limits.d`, `pam_limits(8)`) or by a service's unit, so that what is changed here holds from the next log-in on.

use std::fmt::Write as _;

use crate::finding::{Change, Finding};
use crate::host::{Host, Limit};
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::{LIMITS_PATH, Setting};

/// `RLIMIT_MEMLOCK` and `RLIMIT_NOFILE`.
pub(crate) struct Limits;

/// Memory for the rings of `io_uring` (512 KiB) and the frames of an `AF_XDP` port, in bytes.
const LOCKED_LEN_MIN: u64 = 64 << 20;
/// Descriptors for a validator with its log, its store and a few thousand sessions of the kernel's.
const FILES_MIN: u64 = 16_384;

impl Item for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn check(&self, host: &dyn Host, _: &Plan) -> Vec<Finding> {
        vec![limit(host, self.name(), Limit::LockedMemory), limit(host, self.name(), Limit::OpenFiles)]
    }
}

fn limit(host: &dyn Host, item: &'static str, limit: Limit) -> Finding {
    let (subject, least, why, option, unit) = match limit {
        Limit::LockedMemory => (
            "locked memory",
            LOCKED_LEN_MIN,
            "io_uring locks 512 KiB and the frames of an AF_XDP port up to 64 MiB",
            "memlock",
            "LimitMEMLOCK=64M",
        ),
        Limit::OpenFiles => (
            "open files",
            FILES_MIN,
            "log, store and each session of the kernel's hold files open",
            "nofile",
            "LimitNOFILE=16384",
        ),
    };
    let shown = |value: u64| match (value, limit) {
        (u64::MAX, _) => "unlimited".to_owned(),
        (value, Limit::LockedMemory) => format!("{} KiB", value >> 10),
        (value, Limit::OpenFiles) => value.to_string(),
    };
    let soft = match host.limit(limit) {
        Ok((soft, _)) => soft,
        Err(error) => return Finding::ok(item, subject, format!("cannot be read: {error}")).note("", why),
    };
    let found = Finding::ok(item, subject, shown(soft));
    if soft >= least {
        return found;
    }
    let should = format!("{} or more", shown(least));
    let at_once = format!("sudo prlimit --pid $$ --{option}={least}:{least}");
    let file = Setting::File { path: LIMITS_PATH.to_owned() };
    let wanted = contents();
    if file.get(host).is_ok_and(|text| text.as_deref() == Some(&wanted)) {
        let should = format!("{should}: from the next log-in on, by {LIMITS_PATH}; a service takes {unit} in its unit");
        return found.note(should, why).command(at_once);
    }
    let found = found.fix(format!("{should} (a service takes {unit} in its unit)"), why).command(at_once);
    if host.list("/etc/security/limits.d").is_ok() { found.changes(vec![Change::new(file, wanted)]) } else { found }
}

/// The whole file. The star stands for every user but root.
fn contents() -> String {
    let mut text = "# Limits for hpb; `hpb tune undo` removes this file.\n".to_owned();
    for who in ["*", "root"] {
        for (what, value) in [("memlock", LOCKED_LEN_MIN >> 10), ("nofile", FILES_MIN)] {
            let _ = writeln!(text, "{who} - {what} {value}");
        }
    }
    text
}
