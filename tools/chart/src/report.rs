//! A folder of files that show a run: what its pages have in common, and how they are written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Colours by name, light, dark and on paper; pictures of a file of their own need them too.
pub const COLOURS: &str = include_str!("colours.css");
/// What every page is set in; a page's own style follows it.
pub const PAGE_STYLE: &str = include_str!("page.css");

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A figure that JSON has no number for.
    #[error("the report has a figure that JSON cannot hold: {0}")]
    Figure(#[from] serde_json::Error),
    /// The folder or a file in it can't be written.
    #[error("report {}: cannot be written: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Makes a report's folder if need be, and a file in it that goes again: what cannot be written is known before the work.
///
/// # Errors
/// What the system says.
pub fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let draft = folder.join("report.draft");
    File::create(&draft)?;
    fs::remove_file(&draft)
}

/// Writes files of these names and texts into `folder`, which is made if need be; each appears whole or not at all.
/// Tells their paths.
///
/// # Errors
/// If the folder can't be made or a file can't be written.
pub fn write_files(folder: &Path, files: &[(String, String)]) -> Result<Vec<PathBuf>, ReportError> {
    fs::create_dir_all(folder).map_err(|source| ReportError::Write { path: folder.to_owned(), source })?;
    let mut paths = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        if let Err(source) = write_whole(&path, text) {
            return Err(ReportError::Write { path, source });
        }
        paths.push(path);
    }
    Ok(paths)
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let written = File::create(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The first error is the one to tell; a draft that cannot be removed either changes nothing about it.
        let _ = fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_are_written_whole_into_a_folder_that_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("a/b");
        let paths = write_files(&nested, &[("one.txt".to_owned(), "1".to_owned())]).unwrap();
        assert_eq!((paths.len(), fs::read_to_string(&paths[0]).unwrap()), (1, "1".to_owned()));
        assert_eq!(fs::read_dir(&nested).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn what_cannot_be_written_is_named_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("page.html".to_owned(), String::new())];
        fs::create_dir(folder.path().join("page.html")).unwrap();
        let error = write_files(folder.path(), &files).unwrap_err().to_string();
        assert!(error.contains("page.html: cannot be written: "), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(folder.path().join("file"), "").unwrap();
        let error = write_files(&folder.path().join("file/report"), &files).unwrap_err().to_string();
        assert!(error.contains("file/report: cannot be written: "), "{error}");
    }

    #[test]
    fn a_folder_that_takes_no_file_is_known_before_and_one_that_does_is_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("a/b");
        prepare(&nested).unwrap();
        assert_eq!(fs::read_dir(&nested).unwrap().count(), 0);
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(prepare(&folder.path().join("file")).is_err() && prepare(Path::new("/proc")).is_err());
    }

    #[test]
    fn every_colour_has_its_counterpart_in_the_dark() {
        let (light, dark) = COLOURS.split_once("@media").unwrap();
        let names = |part: &str| -> Vec<String> {
            part.split([' ', ';', '\n']).filter(|word| word.starts_with("--")).map(str::to_owned).collect()
        };
        assert_eq!(names(light), names(dark));
        assert!(!PAGE_STYLE.contains('#'), "colours have names");
    }
}
