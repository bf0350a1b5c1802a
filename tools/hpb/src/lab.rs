//! `hpb lab`: runs scenarios, prints their figures, writes their records, shows records again.

mod agents;
mod host;
mod replay;
mod show;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use hpb_chart::report::prepare;
use hpb_lab::host::needs_hosts;
use hpb_lab::record::{Record, text as record_text};
use hpb_lab::report::{Style, terminal, write};
use hpb_lab::run::{RunError, run as run_scenario};
use hpb_lab::scenario::file::{parse, parse_with, text_with};
use hpb_lab::scenario::library::{LIBRARY, named};
use hpb_node::runtime::{StopFlag, stop_on_signals};
use serde::Serialize;

use crate::bench::{Progress, print};
use crate::command_line::{Lab, LabRun};
use crate::failure::Failure;
use crate::producer::print_json;

/// A scenario's file is no longer than this.
const FILE_LEN_MAX: u64 = 1 << 20;

/// A ready scenario, for programs.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    about: String,
}

pub(crate) fn run(what: Lab) -> Result<(), Failure> {
    match what {
        Lab::Run(options) => run_one(&options),
        Lab::Agent(options) => agents::agent(&options),
        Lab::List { json } => list(json),
        Lab::Show { name } => print(ready(&name)?),
        Lab::Check { file } => {
            let scenario = parse(&read(&file)?).map_err(|error| wrong(&file.display().to_string(), &error))?;
            print(&format!("{}: {}\n", scenario.name, scenario.about))
        }
        Lab::Noise(options) => host::noise(&options),
        Lab::Repeat(options) => host::repeat(&options),
        Lab::Sockperf(options) => host::sockperf(&options),
        Lab::Replay(options) => replay::run(&options),
        Lab::Compare(options) => show::compare(&options),
        Lab::Plot(options) => show::plot(&options),
    }
}

fn list(json: bool) -> Result<(), Failure> {
    let mut listed = Vec::with_capacity(LIBRARY.len());
    for one in LIBRARY {
        let scenario = parse(one.text).map_err(|error| wrong(one.name, &error))?;
        listed.push(Listed { name: one.name, about: scenario.about });
    }
    if json {
        return print_json(&listed);
    }
    let width = listed.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let lines: Vec<String> = listed.iter().map(|one| format!("{:<width$}  {}", one.name, one.about)).collect();
    print(&(lines.join("\n") + "\n"))
}

fn run_one(options: &LabRun) -> Result<(), Failure> {
    let (what, text) = found(&options.scenario)?;
    let set = settings(options)?;
    let scenario = parse_with(&text, &set).map_err(|error| wrong(&what, &error))?;
    if let Some(folder) = &options.report {
        // One that cannot be written is known before the run.
        prepare(folder).map_err(|error| Failure::input(format_args!("--report {}: {error}", folder.display())))?;
    }
    if options.far.at.nats.is_none() && needs_hosts(&scenario) {
        // Before any thread. Where it is not to be had, the targets say what lacks.
        let _ = hpb_sandbox::become_root();
    }
    let stop = StopFlag::new().map_err(Failure::work)?;
    stop_on_signals(&stop).map_err(Failure::work)?;
    let mut progress = Progress::new();
    let text = text_with(&text, &set);
    let record = agents::run(&options.far, &scenario, &text, &stop, &mut progress).unwrap_or_else(|| {
        let record = run_scenario(&scenario, text, &|| stop.is_raised(), &mut |line| progress.show(line));
        record.map_err(|error| match error {
            RunError::Unavailable(_) => Failure::input(error),
            RunError::Failed { .. } | RunError::Stopped => Failure::work(error),
        })
    });
    progress.clear();
    let record = record?;
    // A disk that is full by now takes the files, but not the figures on the terminal.
    let written = options.report.as_ref().map_or(Ok(Vec::new()), |folder| write(folder, &record));
    let style = Style { colour: io::stdout().is_terminal() };
    let shown = if options.json { record_text(&record).map_err(Failure::work)? } else { terminal(&record, style) };
    print(&shown)?;
    written.map_err(Failure::input)?;
    judged(&record)
}

/// Fails if a limit does not hold.
fn judged(record: &Record) -> Result<(), Failure> {
    let failed: Vec<String> = record
        .limits
        .iter()
        .filter(|limit| !limit.holds)
        .map(|limit| format!("{} ({}: {:.3})", limit.text, limit.target, limit.found))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::work(format_args!("{} of {} limits fail: {}", failed.len(), record.limits.len(), failed.join(", "))))
}

/// The file that a word of the command line means, and its name for people.
fn found(word: &str) -> Result<(String, String), Failure> {
    if word.contains('/') || Path::new(word).extension().is_some_and(|ending| ending == "toml") {
        return Ok((word.to_owned(), read(&PathBuf::from(word))?));
    }
    Ok((word.to_owned(), ready(word)?.to_owned()))
}

fn ready(name: &str) -> Result<&'static str, Failure> {
    named(name).map(|ready| ready.text).map_err(|nearest| {
        let hint = nearest.map_or_else(|| "`hpb lab list` tells which there are".to_owned(), |near| format!("{near}?"));
        Failure::input(format_args!("no ready scenario is called {name} ({hint}); a file has a `/` or ends with .toml"))
    })
}

/// What the command line sets beside the file.
fn settings(options: &LabRun) -> Result<Vec<(String, String)>, Failure> {
    let mut set = Vec::new();
    for one in &options.set {
        let Some((key, value)) = one.split_once('=') else {
            return Err(Failure::input(format_args!(
                "--set {one}: expected a key and a value, as load.rate_per_s=2000"
            )));
        };
        set.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    set.extend(options.repeats.map(|repeats| ("repeats".to_owned(), repeats.to_string())));
    set.extend(options.seconds.map(|seconds| ("duration".to_owned(), format!("{seconds}s"))));
    set.extend(options.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
    Ok(set)
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::input(format_args!("reading {} failed: {error}", path.display()));
    let mut text = String::new();
    let file = File::open(path).and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_string(&mut text));
    file.map_err(|error| failed(&error))?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(failed(&format_args!("it is longer than {FILE_LEN_MAX} bytes")));
    }
    Ok(text)
}

fn wrong(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::input(format_args!("{what}: {error}"))
}
