//! What a run leaves behind: `report.json`, a self-contained `report.html`, and a summary for the terminal.
//!
//! All three are made from one [`Report`]; the page's curves and time series come from [`Charts`] besides. Latencies
//! are gathered in [`Measurements`]. Nothing here measures by itself, and floating point stays in here: it never
//! reaches a machine.

#![allow(clippy::cast_precision_loss)] // figures for people: a double holds more digits than anyone reads

pub mod fields;
pub mod format;
mod html;
mod json;
mod recorder;
#[cfg(test)]
mod sample;
mod svg;
mod terminal;
mod turns;

use std::path::Path;

pub use hpb_chart::report::ReportError;
use hpb_chart::report::write_files;
pub use html::page;
pub(crate) use json::decimal;
pub use json::{
    Blocks, Broadcast, EpochRow, Fdatasync, Finding, Latencies, Liar, Quantiles, Report, Run, SCHEMA_VERSION, Sessions,
    Supply, Transactions, WorkloadFacts,
};
pub use recorder::{Charts, CurvePoint, LATENCY_US_MAX, LATENCY_US_MIN, LatencyRecorder, Level, Measurements, Second};
pub use terminal::summary;

/// The figures' file in a report folder.
pub const JSON_FILE: &str = "report.json";
/// The page's file in a report folder.
pub const HTML_FILE: &str = "report.html";

/// Writes both files into `folder`, which is made if need be; each appears whole or not at all.
///
/// # Errors
/// If the folder can't be made, a file can't be written, or a figure is not a number of JSON.
pub fn write(folder: &Path, report: &Report, charts: &Charts) -> Result<(), ReportError> {
    let files = [(JSON_FILE, report.to_json()?), (HTML_FILE, page(report, charts)?)];
    write_files(folder, &files.map(|(name, text)| (name.to_owned(), text)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn both_files_are_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("a/b");
        let (report, charts) = sample::run();
        write(&nested, &report, &charts).unwrap();
        let json = fs::read_to_string(nested.join(JSON_FILE)).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        let html = fs::read_to_string(nested.join(HTML_FILE)).unwrap();
        assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
        assert_eq!(fs::read_dir(&nested).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = write(&blocked.join("report"), &Report::default(), &Charts::default()).unwrap_err().to_string();
        assert!(error.contains("file/report: cannot be written: "), "{error}");
    }
}
