//! The record as a file, `result.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Record;

/// The file's name in a report's folder.
pub const NAME: &str = "result.json";

/// Why a record cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The folder or the file.
    #[error("writing {path} failed: {error}")]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// Why it was not.
        error: io::Error,
    },
    /// A figure that JSON has no word for.
    #[error("the record is no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The record as text, with a newline at its end. Lists of numbers stand on one line: they are long.
///
/// # Errors
/// A figure that is no number.
pub fn text(record: &Record) -> Result<String, RecordError> {
    Ok(serde_json::to_string(record)? + "\n")
}

/// Writes the record into a folder, which is made if it is not there.
///
/// # Errors
/// A folder or file that cannot be written.
pub fn write(folder: &Path, record: &Record) -> Result<PathBuf, RecordError> {
    let path = folder.join(NAME);
    let failed = |error| RecordError::Write { path: path.clone(), error };
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(&path, text(record)?).map_err(failed)?;
    Ok(path)
}
