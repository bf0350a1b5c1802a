//! Takes changes back, the last one first, and forgets each as soon as it is dealt with: an undo that was cut off goes
//! on where it was. A value that somebody else has changed meanwhile is theirs, and left.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;

use crate::apply::{boot, reason};
use crate::host::Host;
use crate::journal::{Entry, Journal, JournalError};
use crate::setting::Setting;

/// What became of one change.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It has its old value again.
    Restored,
    /// It had its old value already.
    Already,
    /// It ended with the boot in which it was made.
    Rebooted,
    /// What had the setting is gone (an interface, a core), and the change with it.
    Gone,
    /// Somebody else has changed it since: left alone and forgotten.
    Foreign {
        /// The value that they gave it.
        now: Option<String>,
    },
    /// It could not be taken back: kept in the state file for another try.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A change with what became of it.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Undone {
    /// The item that had wanted it.
    pub item: String,
    /// What was changed.
    #[serde(flatten)]
    pub setting: Setting,
    /// The value before the change.
    pub old: Option<String>,
    /// The value by the change.
    pub new: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Takes back all changes in the journal.
///
/// # Errors
/// The journal cannot be written: the undo ended there, and can be run again.
pub fn undo(host: &mut dyn Host, journal: &mut Journal<'_>) -> Result<Vec<Undone>, JournalError> {
    let boot = boot(host);
    let mut undone = Vec::new();
    // Settings with a later change that stands: the earlier ones wait for it.
    let mut stuck = BTreeSet::new();
    for index in (0..journal.entries().len()).rev() {
        let entry = journal.entries()[index].clone();
        let outcome = if stuck.contains(&entry.setting) {
            Outcome::Failed { reason: "a later change of it has to be taken back first".to_owned() }
        } else {
            take_back(host, &entry, &boot)
        };
        if let Outcome::Failed { .. } = outcome {
            if stuck.insert(entry.setting.clone())
                && let Ok(now) = entry.setting.get(host)
            {
                journal.correct(index, now)?;
            }
        } else {
            journal.remove(index)?;
        }
        let Entry { item, setting, old, new, .. } = entry;
        undone.push(Undone { item, setting, old, new, outcome });
    }
    Ok(undone)
}

fn take_back(host: &mut dyn Host, entry: &Entry, boot: &str) -> Outcome {
    let Entry { setting, old, new, .. } = entry;
    // The numbers of interrupts, cores and interfaces may mean something else by now.
    if entry.boot != boot && !setting.is_lasting() {
        return Outcome::Rebooted;
    }
    match setting.get(host) {
        Ok(now) if now == *old => return Outcome::Already,
        Ok(now) if now != *new => return Outcome::Foreign { now },
        Ok(_) => {}
        Err(error) if is_gone(&error) => return Outcome::Gone,
        Err(error) => return Outcome::Failed { reason: reason(&error) },
    }
    let set = setting.set(host, old.as_deref());
    match (set, setting.get(host)) {
        (_, Ok(now)) if now == *old => Outcome::Restored,
        (Err(error), _) | (Ok(()), Err(error)) => Outcome::Failed { reason: reason(&error) },
        (Ok(()), Ok(now)) => {
            let now = now.unwrap_or_else(|| "nothing".to_owned());
            Outcome::Failed { reason: format!("the kernel took the value and has {now}") }
        }
    }
}

/// Whether what has a setting is not there (any more).
fn is_gone(error: &io::Error) -> bool {
    let numbers = [libc::ENODEV, libc::ENXIO];
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error().is_some_and(|number| numbers.contains(&number))
}
