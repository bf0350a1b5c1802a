//! `result.json`: a record as a file, and back. What is too long, of a later layout, or no record is refused with a word;
//! nothing in a file makes a reader fail otherwise.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Buckets, Record, Repeat, SCHEMA};

/// The longest file that is read, in bytes. A run of six targets and a hundred repeats stays below it.
pub const FILE_LEN_MAX: u64 = 256 * 1024 * 1024;

/// Why a file is no record that can be shown.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is longer than [`FILE_LEN_MAX`].
    #[error("{}: longer than {} MiB, which no result.json of a lab is", path.display(), FILE_LEN_MAX / 1024 / 1024)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is of a later layout than this program knows.
    #[error("{}: layout {found} is newer than this program's, {SCHEMA}: read it with the version that wrote it ({version})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u32,
        /// The version that wrote it.
        version: String,
    },
    /// It is no record.
    #[error("{}: no result.json of hpb lab: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What every layout begins with.
#[derive(Deserialize)]
struct Head {
    schema: u32,
    #[serde(default)]
    version: String,
}

/// The record as it stands in a file, ending with a line end.
///
/// # Errors
/// If a figure is not a number of JSON.
pub fn text(record: &Record) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string(record)?;
    text.push('\n');
    Ok(text)
}

/// Reads a record: of a file, or of the `result.json` in a folder.
///
/// # Errors
/// As [`RecordError`] tells.
pub fn read(path: &Path) -> Result<Record, RecordError> {
    let path = if path.is_dir() { path.join(crate::report::JSON_FILE) } else { path.to_owned() };
    let unreadable = |source| RecordError::Unreadable { path: path.clone(), source };
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(unreadable)?;
    file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(RecordError::TooLong { path });
    }
    parse(&bytes, path)
}

/// Reads a record of bytes that came from the file `path`.
///
/// # Errors
/// As [`RecordError`] tells.
pub fn parse(bytes: &[u8], path: PathBuf) -> Result<Record, RecordError> {
    let head = match serde_json::from_slice::<Head>(bytes) {
        Ok(head) => head,
        Err(error) => return Err(RecordError::Malformed { path, reason: error.to_string() }),
    };
    if head.schema > SCHEMA {
        // Foreign bytes are shown to people: a version has no line ends.
        let version = head.version.chars().filter(|character| !character.is_control()).take(40).collect();
        return Err(RecordError::Newer { path, found: head.schema, version });
    }
    let record = match serde_json::from_slice::<Record>(bytes) {
        Ok(record) => record,
        Err(error) => return Err(RecordError::Malformed { path, reason: error.to_string() }),
    };
    match wrong(&record) {
        Some(reason) => Err(RecordError::Malformed { path, reason }),
        None => Ok(record),
    }
}

/// What the types do not say: distributions ascend, and a name stands for one target.
fn wrong(record: &Record) -> Option<String> {
    if let Some(noise) = &record.noise
        && !ascends(&noise.gaps)
    {
        return Some("the values of noise.gaps do not ascend".to_owned());
    }
    for (place, target) in record.targets.iter().enumerate() {
        if record.targets[..place].iter().any(|other| other.name == target.name) {
            return Some(format!("two targets are called `{}`", target.name.escape_debug()));
        }
        for (number, repeat) in target.repeats.iter().enumerate() {
            if !is_sound(repeat) {
                let name = target.name.escape_debug();
                return Some(format!("a distribution of `{name}`, repeat {number}, does not ascend"));
            }
        }
    }
    None
}

/// Whether a repeat's distributions ascend.
pub(crate) fn is_sound(repeat: &Repeat) -> bool {
    distributions(repeat).all(ascends)
}

fn distributions(repeat: &Repeat) -> impl Iterator<Item = &Buckets> {
    let excess = repeat.excess.iter().flat_map(|excess| [&excess.applied, &excess.above, &excess.below, &excess.late]);
    let noise = repeat.noise.iter().map(|noise| &noise.gaps);
    let hops = repeat.hops.iter().map(|hop| &hop.time);
    [&repeat.latency, &repeat.service].into_iter().chain(excess).chain(noise).chain(hops)
}

fn ascends(buckets: &Buckets) -> bool {
    buckets.0.windows(2).all(|pair| pair[0].0 < pair[1].0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::sample;
    use super::*;

    fn refused(text: &str) -> String {
        parse(text.as_bytes(), PathBuf::from("r.json")).unwrap_err().to_string()
    }

    #[test]
    fn a_record_is_read_as_it_was_written_from_a_file_or_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        // Ratios come back to the last binary place but one.
        let record = Record { comparisons: Vec::new(), ..sample::record() };
        std::fs::write(&file, text(&record).unwrap()).unwrap();
        assert!(read(&file).unwrap() == record);
        assert!(read(folder.path()).unwrap() == record);
    }

    #[test]
    fn a_newer_layout_is_refused_with_the_version_that_knows_it() {
        let error = refused(r#"{"schema": 7, "version": "9.1\n", "unheard": [1]}"#);
        assert_eq!(
            error,
            "r.json: layout 7 is newer than this program's, 1: read it with the version that wrote it (9.1)"
        );
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in ["", "{", "[]", "{\"schema\": -1}", "{\"schema\": 1}", "\u{0}\u{1}", &"[".repeat(100_000)] {
            let error = refused(text);
            assert!(error.starts_with("r.json: no result.json of hpb lab: "), "{error}");
        }
    }

    #[test]
    fn what_types_do_not_say_is_refused_too() {
        let mut record = sample::record();
        record.targets[1].name = record.targets[0].name.clone();
        assert!(refused(&text(&record).unwrap()).contains("two targets are called"));
        let mut record = sample::record();
        record.targets[1].repeats[2].service.0.reverse();
        assert!(refused(&text(&record).unwrap()).contains("repeat 2, does not ascend"));
    }

    #[test]
    fn a_file_that_is_not_there_or_cut_short_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(&folder.path().join("none.json")).unwrap_err().to_string();
        assert!(error.contains("none.json: cannot be read: "), "{error}");
        let whole = text(&sample::record()).unwrap();
        for len in (0..whole.len() - 2).step_by(whole.len() / 50) {
            assert!(parse(&whole.as_bytes()[..len], PathBuf::new()).is_err());
        }
    }
}
