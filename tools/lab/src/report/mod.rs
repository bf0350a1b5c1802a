//! What is shown of a record: a table on the terminal, `result.json`, tables for other programs, and a page with
//! pictures. Nothing here measures, and nothing is shown that the record does not hold.

mod agents;
mod beyond;
mod csv;
pub(crate) mod figures;
mod hgrm;
mod html;
mod picture;
mod terminal;

use std::path::{Path, PathBuf};

pub use hpb_chart::report::ReportError;
use hpb_chart::report::write_files;
pub use picture::Kind;
use picture::Picture;
pub use terminal::{Style, terminal};

use crate::record::{self, Comparison, Record};
use figures::Shown;

/// The figures in a report folder.
pub const JSON_FILE: &str = "result.json";
/// The page in a report folder.
pub const HTML_FILE: &str = "report.html";

/// Writes everything into a folder, which is made if need be; each file appears whole or not at all. Tells which.
///
/// # Errors
/// If the folder can't be made, a file can't be written, or a figure is not a number of JSON.
pub fn write(folder: &Path, record: &Record) -> Result<Vec<PathBuf>, ReportError> {
    let shown = Shown::new(record);
    let mut files = vec![(JSON_FILE.to_owned(), record::text(record)?), (HTML_FILE.to_owned(), html::page(&shown))];
    for (target, name) in shown.targets.iter().zip(file_names(&shown)) {
        files.push((format!("{name}.hgrm"), hgrm::hgrm(&target.latency)));
    }
    files.push(("series.csv".to_owned(), csv::series(&shown)));
    files.push(("percentiles.csv".to_owned(), csv::percentiles(&shown)));
    if shown.targets.iter().any(|target| !target.hops.is_empty()) {
        files.push(("hops.csv".to_owned(), csv::hops(&shown)));
    }
    write_files(folder, &files)
}

/// Why pictures were not drawn again.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The run has nothing for some of those that were asked for.
    #[error("the run has nothing to draw for {0}")]
    Nothing(String),
    /// They were not written.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// Writes pictures as files of their own, and the page: of these kinds, or of all that the record has something for if
/// none are named.
///
/// # Errors
/// If the record has nothing for a kind that is named, the folder can't be made or a file can't be written.
pub fn plot(folder: &Path, record: &Record, kinds: &[Kind]) -> Result<Vec<PathBuf>, PlotError> {
    let shown = Shown::new(record);
    let wanted = if kinds.is_empty() { &Kind::ALL[..] } else { kinds };
    let drawn: Vec<(Kind, Option<Picture>)> = wanted.iter().map(|kind| (*kind, kind.picture(&shown))).collect();
    let lacking: Vec<&str> =
        drawn.iter().filter(|(_, picture)| picture.is_none()).map(|(kind, _)| kind.name()).collect();
    if !kinds.is_empty() && !lacking.is_empty() {
        return Err(PlotError::Nothing(lacking.join(", ")));
    }
    let mut files = vec![(HTML_FILE.to_owned(), html::page(&shown))];
    let pictures = drawn.into_iter().filter_map(|(_, picture)| picture);
    files.extend(pictures.map(|picture| (format!("{}.svg", picture.kind.name()), picture.file())));
    Ok(write_files(folder, &files)?)
}

/// Writes the page alone.
///
/// # Errors
/// If the folder can't be made or the file can't be written.
pub fn write_page(folder: &Path, record: &Record) -> Result<PathBuf, ReportError> {
    write_files(folder, &[(HTML_FILE.to_owned(), page(record))])?;
    Ok(folder.join(HTML_FILE))
}

/// The page.
pub fn page(record: &Record) -> String {
    html::page(&Shown::new(record))
}

/// Comparisons alone, as the terminal shows them; `repeats` is how many each stands on.
pub fn comparisons_text(comparisons: &[Comparison], repeats: usize, style: Style) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = terminal::write_comparisons(&mut text, comparisons, repeats, style);
    text
}

/// A name for each target's file: its own, with what file systems may not hold replaced, and apart from the others'.
fn file_names(shown: &Shown<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for target in &shown.targets {
        let is_kept = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        let name: String = target.of.name.chars().take(64).map(|one| if is_kept(one) { one } else { '-' }).collect();
        let name = if name.is_empty() { "target".to_owned() } else { name };
        let mut free = name.clone();
        for number in 2.. {
            if !names.contains(&free) {
                break;
            }
            free = format!("{name}-{number}");
        }
        names.push(free);
    }
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::record::sample;

    #[test]
    fn all_files_are_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("a/b");
        let paths = write(&nested, &sample::record()).unwrap();
        let mut names: Vec<String> =
            fs::read_dir(&nested).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names.len(), paths.len());
        for name in
            ["card.hgrm", "hops.csv", "kernel.hgrm", "percentiles.csv", "report.html", "result.json", "series.csv"]
        {
            assert!(names.iter().any(|other| other == name), "{name}: {names:?}");
        }
        assert!(record::read(&nested).unwrap().targets == sample::record().targets);
    }

    #[test]
    fn pictures_are_written_where_there_is_something_to_draw() {
        let folder = tempfile::tempdir().unwrap();
        let error = plot(folder.path(), &sample::small(), &[Kind::Heat, Kind::Hops, Kind::Excess]).unwrap_err();
        assert_eq!(error.to_string(), "the run has nothing to draw for hops, excess");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let paths = plot(folder.path(), &sample::small(), &[]).unwrap();
        let names: Vec<String> =
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["report.html", "percentiles.svg", "distribution.svg", "series.svg", "heat.svg"]);
        assert!(fs::read_to_string(&paths[1]).unwrap().starts_with("<svg xmlns="));
    }

    #[test]
    fn a_targets_name_cannot_leave_the_folder() {
        let mut record = sample::record();
        record.targets[0].name = "../../etc/a b".to_owned();
        record.targets[1].name = "..-..-etc-a-b".to_owned();
        assert_eq!(file_names(&Shown::new(&record)), ["------etc-a-b", "------etc-a-b-2"]);
        (record.targets[0].name, record.targets[1].name) = ("card-plain".to_owned(), "card".to_owned());
        assert_eq!(file_names(&Shown::new(&record)), ["card-plain", "card"]);
        record.targets[0].name = String::new();
        assert_eq!(file_names(&Shown::new(&record))[0], "target");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = write(&blocked.join("report"), &sample::small()).unwrap_err().to_string();
        assert!(error.contains("file/report: cannot be written: "), "{error}");
    }
}
