//! Ordinary files that are whole and on the disk, whenever the power fails.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Writes `text` to `path` by way of a file beside it, or removes `path`; then syncs the folder.
pub(crate) fn replace(path: &Path, text: Option<&str>) -> io::Result<()> {
    match text {
        Some(text) => {
            let beside = beside(path)?;
            // What a crash left behind; also a trap that someone laid under this name.
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    File::open(folder(path))?.sync_all()
}

/// The folder that a file lies in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `.name.new` in the same folder: no reader of a folder of settings takes it for one.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    Ok(folder(path).join(hidden))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_replaced_and_removed_and_nothing_stays_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x.conf");
        fs::write(place.path().join(".x.conf.new"), "left by a crash").unwrap();
        for text in ["one\n", "two\n"] {
            replace(&path, Some(text)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        replace(&path, None).unwrap();
        replace(&path, None).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(replace(&place.path().join("no/x"), None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
