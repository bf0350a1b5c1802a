//! A node's data folder, held by one process at a time.
//!
//! The folder holds `LOCK`, `state/` (LMDB) and `log/` (segments). The lock is the operating system's, so it ends
//! with its process however that ends; the holder's process id stands in the file for the one who is refused. A
//! second store or log over the same folder, even in one process, is refused.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that is locked.
const LOCK_FILE: &str = "LOCK";

/// A locked data folder. Clones share the lock; it is given back when the last one is dropped.
#[derive(Clone, Debug)]
pub struct DataFolder {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

impl DataFolder {
    /// Creates the folder and its parts where they are missing, and locks it.
    ///
    /// # Errors
    /// [`FolderError::Held`] if another owner has it; [`FolderError::Io`] if it can't be made or opened.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |action: &'static str, at: &Path| {
            let path = at.display().to_string();
            move |error: io::Error| FolderError::Io { action, path, error }
        };
        fs::create_dir_all(path).map_err(failed("creating", path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(failed("opening", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(held_by_another(path, lock)),
            Err(TryLockError::Error(error)) => return Err(failed("locking", &lock_path)(error)),
        }
        let written = lock
            .set_len(0)
            .and_then(|()| lock.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(lock, "{}", std::process::id()));
        written.map_err(failed("writing", &lock_path))?;
        let folder = Self { held: Arc::new(Held { path: path.to_path_buf(), _lock: lock }) };
        for part in [folder.state_path(), folder.log_path()] {
            fs::create_dir_all(&part).map_err(failed("creating", &part))?;
        }
        sync_folder(path).map_err(failed("syncing", path))?;
        Ok(folder)
    }

    /// Whether `path` is a data folder: it was opened once.
    pub fn is_one(path: &Path) -> bool {
        path.join(LOCK_FILE).is_file()
    }

    /// Locks a folder that is there for reading: nothing in it is changed, several may read at once, and nobody owns it
    /// meanwhile.
    ///
    /// # Errors
    /// [`FolderError::Absent`] if it was never a data folder; [`FolderError::Held`] if an owner has it;
    /// [`FolderError::Io`] if it can't be read.
    pub fn open_to_read(path: &Path) -> Result<Self, FolderError> {
        let lock_path = path.join(LOCK_FILE);
        let failed = |action: &'static str| {
            let path = lock_path.display().to_string();
            move |error: io::Error| FolderError::Io { action, path, error }
        };
        let lock = match File::open(&lock_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::Absent { path: path.display().to_string() });
            }
            opened => opened.map_err(failed("opening"))?,
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(Self { held: Arc::new(Held { path: path.to_path_buf(), _lock: lock }) }),
            Err(TryLockError::WouldBlock) => Err(held_by_another(path, lock)),
            Err(TryLockError::Error(error)) => Err(failed("locking")(error)),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.held.path
    }

    /// Where LMDB's files lie.
    pub fn state_path(&self) -> PathBuf {
        Self::state_path_in(&self.held.path)
    }

    /// Where the log's segments lie.
    pub fn log_path(&self) -> PathBuf {
        Self::log_path_in(&self.held.path)
    }

    /// Where LMDB's files lie in the data folder `path`, for one who only looks while another owns it.
    pub fn state_path_in(path: &Path) -> PathBuf {
        path.join("state")
    }

    /// Where the log's segments lie in the data folder `path`, for one who only looks.
    pub fn log_path_in(path: &Path) -> PathBuf {
        path.join("log")
    }
}

/// Makes names that were created, renamed or removed in `path` durable.
///
/// # Errors
/// What the operating system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Why a data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it, or another owner in this one.
    #[error(
        "the data folder {path} is in use by {}: stop that one, or give this one another folder",
        holder_text(*holder)
    )]
    Held {
        /// The folder.
        path: String,
        /// The holder's process id, where it could be read.
        holder: Option<u32>,
    },
    /// It was never a data folder.
    #[error("{path} is no data folder: it holds no file {LOCK_FILE}")]
    Absent {
        /// The folder.
        path: String,
    },
    /// The operating system refused.
    #[error("{action} {path} failed: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// What the operating system says.
        error: io::Error,
    },
}

fn held_by_another(path: &Path, mut lock: File) -> FolderError {
    let mut holder = String::new();
    // Who holds it may have gone meanwhile; the refusal stands without a name too.
    let read = lock.read_to_string(&mut holder);
    FolderError::Held { path: path.display().to_string(), holder: read.ok().and_then(|_| holder.trim().parse().ok()) }
}

fn holder_text(holder: Option<u32>) -> String {
    match holder {
        Some(id) if id == std::process::id() => format!("this very process ({id})"),
        Some(id) => format!("process {id}"),
        None => "a process that has not said its id".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_owner_at_a_time_and_the_refusal_names_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        let first = DataFolder::open(&path).unwrap();
        assert!(first.state_path().is_dir() && first.log_path().is_dir());
        let refusal = DataFolder::open(&path).unwrap_err();
        let own = std::process::id();
        assert!(matches!(refusal, FolderError::Held { holder: Some(holder), .. } if holder == own));
        assert!(refusal.to_string().contains(&own.to_string()));

        let shared = first.clone();
        drop(first);
        assert!(DataFolder::open(&path).is_err(), "a clone holds it on");
        drop(shared);
        DataFolder::open(&path).unwrap();
    }

    #[test]
    fn readers_share_it_change_nothing_and_keep_owners_out() {
        let place = tempfile::tempdir().unwrap();
        assert!(matches!(DataFolder::open_to_read(place.path()), Err(FolderError::Absent { .. })));
        let owner = DataFolder::open(place.path()).unwrap();
        let refusal = DataFolder::open_to_read(place.path()).unwrap_err();
        assert!(refusal.to_string().contains(&std::process::id().to_string()), "{refusal}");
        drop(owner);
        let before = fs::metadata(place.path().join(LOCK_FILE)).unwrap().modified().unwrap();
        let readers = [(); 2].map(|()| DataFolder::open_to_read(place.path()).unwrap());
        assert!(matches!(DataFolder::open(place.path()), Err(FolderError::Held { .. })));
        drop(readers);
        assert_eq!(fs::metadata(place.path().join(LOCK_FILE)).unwrap().modified().unwrap(), before);
        DataFolder::open(place.path()).unwrap();
    }

    #[test]
    fn a_stale_id_in_an_unlocked_file_does_not_hold_the_folder() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("LOCK"), "4294967295 and more\n").unwrap();
        let folder = DataFolder::open(place.path()).unwrap();
        let text = fs::read_to_string(folder.path().join("LOCK")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, "").unwrap();
        assert!(DataFolder::open(&path).unwrap_err().to_string().contains("file"));
    }
}
