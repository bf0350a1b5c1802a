//! `hpb lab replay`: a capture again, by its tape or at stream level.

use hpb_base::Duration;
use hpb_card::capture::tape_path;
use hpb_chart::format::counted;
use hpb_lab::replay::live::{ReplayOptions, say_again};
use hpb_lab::replay::streams::{self, Stream, StreamSummary};
use hpb_lab::replay::tape;

use crate::bench::print;
use crate::command_line::LabReplay;
use crate::failure::Failure;
use crate::producer::print_json;

pub(crate) fn run(options: &LabReplay) -> Result<(), Failure> {
    if options.to.is_some() {
        return again(options);
    }
    let beside = tape_path(&options.capture);
    match options.tape.clone().or_else(|| beside.exists().then_some(beside)) {
        Some(tape) => by_tape(options, &tape),
        None => list(options),
    }
}

fn by_tape(options: &LabReplay, path: &std::path::Path) -> Result<(), Failure> {
    let replayed = tape::replay(&options.capture, path).map_err(Failure::input)?;
    if options.json {
        print_json(&replayed)?;
    } else {
        print(&replayed.terminal())?;
    }
    match replayed.parted {
        Some(parted) => Err(Failure::work(format_args!("the replay parts from the capture: {}", parted.what))),
        None => Ok(()),
    }
}

fn list(options: &LabReplay) -> Result<(), Failure> {
    let streams = streams::read(&options.capture).map_err(Failure::input)?;
    let summaries: Vec<StreamSummary> = streams.iter().enumerate().map(|(at, stream)| stream.summary(at)).collect();
    if options.json {
        return print_json(&summaries);
    }
    print(&summaries.iter().map(StreamSummary::terminal).collect::<String>())?;
    print(&format!(
        "{}, and no tape beside: say one again with --session N --to ADDRESS:PORT, at stream level\n",
        counted(summaries.len() as u64, "session")
    ))
}

fn again(options: &LabReplay) -> Result<(), Failure> {
    let Some(to) = options.to else { return Ok(()) };
    let streams = streams::read(&options.capture).map_err(Failure::input)?;
    let stream: &Stream = streams.get(options.session).ok_or_else(|| {
        Failure::input(format_args!(
            "--session {}: the capture has {}",
            options.session,
            counted(streams.len() as u64, "session")
        ))
    })?;
    let asked = ReplayOptions { to, hurry: options.hurry, patience: Duration::from_secs(options.patience_s) };
    let said = say_again(stream, &asked).map_err(|error| Failure::work(format_args!("{to}: {error}")))?;
    if options.json {
        print_json(&said)?;
    } else {
        print(&said.terminal())?;
    }
    match said.parted {
        Some(parted) => Err(Failure::work(format_args!("the replay parts from the capture: {parted}"))),
        None => Ok(()),
    }
}
