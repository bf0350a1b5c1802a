//! What was changed, on disk before it is changed: the state file. It refuses a file that it did not write, and a
//! second process at the same file.
//!
//! An entry is written before its change is made. A crash in between leaves an entry whose setting still has its old
//! value, and the undo finds it so. Entries stand in the order of the changes; an undo takes them from the end.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use hpb_base::limits::{TUNE_CHANGES_MAX, TUNE_STATE_LEN_MAX};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::setting::Setting;

/// Where the state file is unless the user names another.
pub const STATE_PATH: &str = "/var/lib/hpb/tune.json";
/// The form of the state file; it rises when a field changes its meaning.
const VERSION: u32 = 1;

/// A change, made or about to be.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Entry {
    /// The item that wanted it.
    pub item: String,
    /// What was changed.
    #[serde(flatten)]
    pub setting: Setting,
    /// The value before; `None`: it was not there.
    pub old: Option<String>,
    /// The value that it has by the change.
    pub new: Option<String>,
    /// The boot (`/proc/sys/kernel/random/boot_id`) in which it was changed: most settings end with it.
    pub boot: String,
}

#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    changes: Vec<Entry>,
}

/// Why the journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The state file cannot be read, or is none.
    #[error("the state file {path} cannot be read: {reason}")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The state file cannot be written.
    #[error("the state file {path} cannot be written: {reason}; run as root, or name another with --state")]
    Unwritable {
        /// Its path.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Somebody else is at it.
    #[error("the state file {path} is in use by another hpb tune: wait for it to end")]
    Busy {
        /// Its path.
        path: String,
    },
    /// It holds as many changes as it may.
    #[error("the state file holds {TUNE_CHANGES_MAX} changes, the most it may: take them back with hpb tune undo")]
    Full,
}

/// Where the journal's text is kept.
pub trait Store {
    /// The text, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    fn load(&self) -> Result<Option<String>, JournalError>;

    /// Keeps the text durably instead of the one before, or none.
    ///
    /// # Errors
    /// It cannot be written; then the one before is kept.
    fn save(&mut self, text: Option<&str>) -> Result<(), JournalError>;
}

/// The state file, held by this process alone.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// The folder, locked: the file itself is replaced at each change.
    _folder: File,
}

impl StateFile {
    /// Takes the state file at `path`, which need not be there; its folder is made.
    ///
    /// # Errors
    /// The folder cannot be made or opened, or another process holds it.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let folder = durable::folder(path);
        let opened = fs::create_dir_all(folder).and_then(|()| File::open(folder));
        let folder = opened.map_err(|error| unwritable(path, &error))?;
        match folder.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _folder: folder }),
            Err(TryLockError::WouldBlock) => Err(JournalError::Busy { path: path.display().to_string() }),
            Err(TryLockError::Error(error)) => Err(unwritable(path, &error)),
        }
    }

    /// The changes in the state file at `path`, without taking it; none if it is not there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn peek(path: &Path) -> Result<Vec<Entry>, JournalError> {
        load(path)?.map_or(Ok(Vec::new()), |text| parse(&text).map_err(|reason| unreadable(path, reason)))
    }
}

impl Store for StateFile {
    fn load(&self) -> Result<Option<String>, JournalError> {
        // Parsed here for the path in the error; the journal parses once more.
        Self::peek(&self.path)?;
        load(&self.path)
    }

    fn save(&mut self, text: Option<&str>) -> Result<(), JournalError> {
        durable::replace(&self.path, text).map_err(|error| unwritable(&self.path, &error))
    }
}

fn load(path: &Path) -> Result<Option<String>, JournalError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| unreadable(path, error.to_string()))?,
    };
    let mut text = String::new();
    let read = file.take(TUNE_STATE_LEN_MAX).read_to_string(&mut text);
    read.map_err(|error| unreadable(path, error.to_string()))?;
    Ok(Some(text))
}

/// The changes of a state file's text, or what is wrong with it.
fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let state: State = serde_json::from_str(text).map_err(|error| format!("it is no state of hpb tune: {error}"))?;
    if state.version != VERSION {
        return Err(format!("it has version {} and this program knows {VERSION}", state.version));
    }
    if state.changes.len() > TUNE_CHANGES_MAX {
        return Err(format!("it holds more than {TUNE_CHANGES_MAX} changes"));
    }
    match state.changes.iter().find(|entry| !entry.setting.is_known()) {
        Some(entry) => Err(format!("it names {}, which hpb tune never changes", entry.setting)),
        None => Ok(state.changes),
    }
}

fn unreadable(path: &Path, reason: String) -> JournalError {
    JournalError::Unreadable { path: path.display().to_string(), reason }
}

fn unwritable(path: &Path, error: &io::Error) -> JournalError {
    JournalError::Unwritable { path: path.display().to_string(), reason: error.to_string() }
}

/// The changes, in the order in which they were made, and in the store as they are here.
pub struct Journal<'a> {
    store: &'a mut dyn Store,
    entries: Vec<Entry>,
}

impl<'a> Journal<'a> {
    /// Reads what the store holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(store: &'a mut dyn Store) -> Result<Self, JournalError> {
        let entries = match store.load()? {
            Some(text) => parse(&text).map_err(|reason| JournalError::Unreadable { path: String::new(), reason })?,
            None => Vec::new(),
        };
        Ok(Self { store, entries })
    }

    /// All changes that stand.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Notes a change that is about to be made.
    pub(crate) fn begin(&mut self, entry: Entry) -> Result<(), JournalError> {
        if self.entries.len() >= TUNE_CHANGES_MAX {
            return Err(JournalError::Full);
        }
        self.entries.push(entry);
        self.save()
    }

    /// Corrects the value that the setting of the entry at `index` has by the change.
    pub(crate) fn correct(&mut self, index: usize, value: Option<String>) -> Result<(), JournalError> {
        match self.entries.get_mut(index) {
            Some(entry) if entry.new != value => entry.new = value,
            _ => return Ok(()),
        }
        self.save()
    }

    /// Forgets the entry at `index`.
    pub(crate) fn remove(&mut self, index: usize) -> Result<(), JournalError> {
        if index < self.entries.len() {
            self.entries.remove(index);
        }
        self.save()
    }

    fn save(&mut self) -> Result<(), JournalError> {
        if self.entries.is_empty() {
            return self.store.save(None);
        }
        let state = State { version: VERSION, changes: self.entries.clone() };
        let text = serde_json::to_string_pretty(&state)
            .map_err(|error| JournalError::Unwritable { path: String::new(), reason: error.to_string() })?;
        self.store.save(Some(&(text + "\n")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn entry(value: &str) -> Entry {
        Entry {
            item: "thp".to_owned(),
            setting: Setting::Choice { path: "/sys/kernel/mm/transparent_hugepage/enabled".to_owned() },
            old: Some("always".to_owned()),
            new: Some(value.to_owned()),
            boot: "b".to_owned(),
        }
    }

    #[test]
    fn the_file_holds_what_the_journal_holds_and_goes_with_its_last_entry() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/tune.json");
        let mut store = StateFile::open(&path).unwrap();
        let mut journal = Journal::open(&mut store).unwrap();
        journal.begin(entry("madvise")).unwrap();
        journal.begin(entry("never")).unwrap();
        assert_eq!(StateFile::peek(&path).unwrap(), [entry("madvise"), entry("never")]);
        journal.correct(1, Some("always".to_owned())).unwrap();
        journal.remove(0).unwrap();
        assert_eq!(StateFile::peek(&path).unwrap(), [entry("always")]);
        let busy = StateFile::open(&path).unwrap_err().to_string();
        assert!(busy.contains("in use by another hpb tune"), "{busy}");
        journal.remove(0).unwrap();
        assert!(!path.exists());
        assert!(StateFile::peek(&path).unwrap().is_empty());
        drop(store);
        StateFile::open(&path).unwrap();
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tune.json");
        let foreign = r#"{"version":1,"changes":[{"item":"x","kind":"kernel","path":"/proc/sys/kernel/core_pattern",
            "old":"|/tmp/x","new":"core","boot":""}]}"#;
        let table = [
            ("", "it is no state of hpb tune: EOF"),
            ("{}", "it is no state of hpb tune: missing field"),
            (r#"{"version":2,"changes":[]}"#, "it has version 2 and this program knows 1"),
            (foreign, "it names /proc/sys/kernel/core_pattern, which hpb tune never changes"),
        ];
        for (text, part) in table {
            fs::write(&path, text).unwrap();
            let error = StateFile::peek(&path).unwrap_err().to_string();
            assert!(error.contains("tune.json cannot be read: ") && error.contains(part), "{error}");
            assert!(!error.contains('\n'), "{error}");
            let mut store = StateFile::open(&path).unwrap();
            assert!(Journal::open(&mut store).is_err());
        }
        assert!(StateFile::peek(place.path()).unwrap_err().to_string().contains("Is a directory"));
        assert!(matches!(StateFile::open(&path.join("x/y")), Err(JournalError::Unwritable { .. })));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
