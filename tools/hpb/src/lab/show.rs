//! `hpb lab compare` and `hpb lab plot`: what records of earlier runs say.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use hpb_lab::compare::compare as compared;
use hpb_lab::record::{Record, read as read_record};
use hpb_lab::report::{PlotError, Style, plot as write_pictures, write_page};

use crate::bench::print;
use crate::command_line::{LabCompare, LabPlot};
use crate::failure::Failure;
use crate::producer::print_json;

pub(crate) fn compare(options: &LabCompare) -> Result<(), Failure> {
    let (a, b) = (record(&options.base)?, record(&options.other)?);
    let found = compared(&a, &b, options.force).map_err(Failure::input)?;
    if let Some(folder) = &options.report {
        write_page(folder, &found.record(&a, &b)).map_err(Failure::input)?;
    }
    if options.json {
        print_json(&found)?;
    } else {
        print(&found.terminal(Style { colour: io::stdout().is_terminal() }))?;
    }
    if options.fail_on_slower && found.has_slower() {
        return Err(Failure::work("a figure of B is slower or dearer than A's for certain"));
    }
    Ok(())
}

pub(crate) fn plot(options: &LabPlot) -> Result<(), Failure> {
    let record = record(&options.result)?;
    let beside = if options.result.is_dir() { Some(options.result.as_path()) } else { options.result.parent() };
    let folder = options.out.as_deref().or(beside).unwrap_or(Path::new("."));
    let paths = write_pictures(folder, &record, &options.kind).map_err(|error| match error {
        PlotError::Nothing(_) => Failure::input(format_args!("{}: {error}", options.result.display())),
        PlotError::Report(error) => Failure::input(error),
    })?;
    print(&paths.iter().fold(String::new(), |list, path| list + &path.display().to_string() + "\n"))
}

fn record(path: &Path) -> Result<Record, Failure> {
    read_record(path).map_err(Failure::input)
}
