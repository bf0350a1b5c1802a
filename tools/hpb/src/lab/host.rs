//! The lab's verbs that measure this machine.

use std::fs;

use hpb_base::Duration;
use hpb_host::sockperf::SockperfError;
use hpb_lab::sockperf::ComparisonError;
use hpb_lab::target::TargetError;
use hpb_lab::{noise, program, sockperf};

use crate::bench::{Progress, print};
use crate::command_line::{Noise, Repeat, Sockperf};
use crate::failure::Failure;

/// `hpb lab noise`.
pub(super) fn noise(options: &Noise) -> Result<(), Failure> {
    let report = noise::report(Duration::from_secs(options.seconds), options.core).map_err(Failure::input)?;
    if options.json { print(&report.to_json().map_err(Failure::work)?) } else { print(&report.terminal()) }
}

/// `hpb lab repeat`.
pub(super) fn repeat(options: &Repeat) -> Result<(), Failure> {
    let path = options.scenario.display();
    let text =
        fs::read_to_string(&options.scenario).map_err(|error| Failure::input(format_args!("{path}: {error}")))?;
    let scenario = program::scenario(&text).map_err(|error| Failure::input(format_args!("{path}: {error}")))?;
    // Where it is not to be had, the target says what lacks.
    let _ = hpb_sandbox::become_root();
    let repeat = program::repeat(&scenario, &text, &options.target, options.number).map_err(target_failed)?;
    print(&(serde_json::to_string(&repeat).map_err(Failure::work)? + "\n"))
}

/// `hpb lab sockperf`.
pub(super) fn sockperf(options: &Sockperf) -> Result<(), Failure> {
    let Sockperf { repeats, seconds, message_len, rate: per_s, json } = *options;
    let _ = hpb_sandbox::become_root();
    let mut progress = Progress::new();
    let options = sockperf::Options { repeats, seconds, message_len, per_s };
    let measured = sockperf::run(&options, &mut |line| progress.show(line));
    progress.clear();
    let report = measured.map_err(|error| match error {
        ComparisonError::Tool(SockperfError::Absent) => Failure::input(error),
        ComparisonError::Target(error) => target_failed(error),
        ComparisonError::Tool(_) | ComparisonError::Log(_) => Failure::work(error),
    })?;
    print(&if json { report.to_json().map_err(Failure::work)? } else { report.terminal() })?;
    if report.agrees() { Ok(()) } else { Err(Failure::work("the lab and sockperf do not agree in each figure")) }
}

/// What this machine lacks was asked for; anything else failed on the way.
fn target_failed(error: TargetError) -> Failure {
    match error {
        TargetError::Unavailable(_) => Failure::input(error),
        TargetError::Failed(_) | TargetError::Stopped => Failure::work(error),
    }
}
