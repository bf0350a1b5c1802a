//! Makes the changes that the items want, each one noted in the journal before it is made. What cannot be changed is
//! said, and the others go on.

use std::io;

use serde::Serialize;

use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::{self, Item};
use crate::journal::{Entry, Journal, JournalError};
use crate::plan::Plan;
use crate::setting::Setting;

/// What became of one change.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It is as wanted.
    Set,
    /// The host took another value than the one asked for.
    Partly {
        /// The value that it has.
        got: Option<String>,
    },
    /// It is as it was.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A change that was tried.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Made {
    /// The item that wanted it.
    pub item: &'static str,
    /// What was to be changed.
    #[serde(flatten)]
    pub setting: Setting,
    /// The value before.
    pub old: Option<String>,
    /// The value wanted.
    pub new: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What an apply has done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The changes, in their order. None if everything was as wanted.
    pub made: Vec<Made>,
    /// How everything stands now.
    pub findings: Vec<Finding>,
}

/// The journal failed: the apply ended there.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", if *.made_count == 0 { "" } else { " (what was changed until then can be taken back: hpb tune undo)" })]
pub struct ApplyError {
    /// How many changes were made until then.
    pub made_count: usize,
    /// What happened.
    #[source]
    pub error: JournalError,
}

/// Makes all changes that the items want of this host.
///
/// # Errors
/// The journal cannot be written: nothing is changed that is not in it.
pub fn apply(
    host: &mut dyn Host,
    plan: &Plan,
    items: &[&dyn Item],
    journal: &mut Journal<'_>,
) -> Result<Applied, ApplyError> {
    let boot = boot(host);
    let mut made: Vec<Made> = Vec::new();
    for item in items {
        for finding in item.check(host, plan) {
            for change in finding.changes {
                let done = make(host, journal, item.name(), &boot, change);
                let done = done.map_err(|error| ApplyError { made_count: made.len(), error })?;
                made.extend(done);
            }
        }
    }
    let findings = item::check(host, plan, items);
    Ok(Applied { made, findings })
}

/// Makes one change; `None` if it is so already (another item's change, or the same one of two findings).
fn make(
    host: &mut dyn Host,
    journal: &mut Journal<'_>,
    item: &'static str,
    boot: &str,
    Change { setting, value }: Change,
) -> Result<Option<Made>, JournalError> {
    let old = match setting.get(host) {
        Ok(old) if old == value => return Ok(None),
        Ok(old) => old,
        Err(error) => {
            let outcome = Outcome::Failed { reason: reason(&error) };
            return Ok(Some(Made { item, setting, old: None, new: value, outcome }));
        }
    };
    journal.begin(Entry {
        item: item.to_owned(),
        setting: setting.clone(),
        old: old.clone(),
        new: value.clone(),
        boot: boot.to_owned(),
    })?;
    let index = journal.entries().len() - 1;
    let set = setting.set(host, value.as_deref());
    let outcome = match (set, setting.get(host)) {
        (Ok(()), Ok(now)) if now == value => Outcome::Set,
        (set, Ok(now)) if now == old => {
            journal.remove(index)?;
            let kept = || "the kernel took the value and kept its own".to_owned();
            Outcome::Failed { reason: set.err().as_ref().map_or_else(kept, reason) }
        }
        (_, Ok(now)) => {
            journal.correct(index, now.clone())?;
            Outcome::Partly { got: now }
        }
        // Nobody can tell what it is now: the entry stays for the undo to judge.
        (set, Err(error)) => Outcome::Failed { reason: reason(&set.err().unwrap_or(error)) },
    };
    Ok(Some(Made { item, setting, old, new: value, outcome }))
}

/// The boot that the host is in.
pub(crate) fn boot(host: &dyn Host) -> String {
    host.word("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// What the host said, and what to do about it.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}; run it as root"),
        io::ErrorKind::ReadOnlyFilesystem => format!("{error}; a container's host has to do it"),
        _ => error.to_string(),
    }
}
