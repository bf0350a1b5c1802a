//! The lab beside a known tool: `sockperf` and the lab's own kernel target in turn, over the same kind of cable, with the
//! same messages, on the same cores. If the lab's figures can be believed, these two say the same.
//!
//! Like is compared with like. sockperf prints half round trips unless asked otherwise: here it writes down each message,
//! and whole round trips are taken from that. It counts from the moment at which a message did leave, so that what a late
//! sender costs is not in it: beside it stands the lab's `service` time, which counts alike, and the lab's latency from
//! the intended moment is told as what sockperf does not say. Both tools read by blocking calls. In `ping-pong` each
//! side is held on its core; in `under-load` both clients have a thread that spins until the next message, which has the
//! client's core, and one that reads, which shares the server's.

mod log;
mod report;
mod tool;

use hpb_base::Duration;
use hpb_host::conditions::Conditions;
use hpb_host::sockperf::SockperfError;
use hpb_net::wire::LinkConfig;

use crate::host;
use crate::host::stage::Cores;
use crate::record::{Buckets, Machine};
use crate::scenario::{Arrivals, ClockKind, KernelWay, Load, Pattern, Scenario, TargetKind, TargetSpec};
use crate::target::TargetError;
pub use report::{Compared, SockperfReport};

/// By how much the medians may differ, in percent of sockperf's.
pub const DIFFERENCE_PERCENT_MAX: f64 = 10.0;
/// What sockperf leaves away at the beginning of a run, and what at its end.
const WARM_UP: Duration = Duration::from_millis(400);
const COOL_DOWN: Duration = Duration::from_millis(50);
/// How long stragglers are waited for.
const DRAIN: Duration = Duration::from_secs(2);

/// How much is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Repeats of each tool in each mode.
    pub repeats: u32,
    /// Seconds of each repeat.
    pub seconds: u32,
    /// Bytes of each message.
    pub message_len: u32,
    /// Messages a second under load.
    pub per_s: u32,
}

/// How messages follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The next one leaves when the last one's answer has come.
    PingPong,
    /// They leave at even distances.
    UnderLoad,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum ComparisonError {
    /// One of the two gave no figures.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The tool is not there, or did not do what is expected of it.
    #[error(transparent)]
    Tool(#[from] SockperfError),
    /// What it wrote down is not what is expected.
    #[error("what sockperf wrote down cannot be read: {0}")]
    Log(String),
}

/// What one tool measured in one repeat.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Run {
    /// From the moment at which messages did leave.
    pub(crate) service: Buckets,
    /// From that at which they were meant to; empty for sockperf.
    pub(crate) latency: Buckets,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PingPong, Self::UnderLoad];

    /// sockperf's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PingPong => "ping-pong",
            Self::UnderLoad => "under-load",
        }
    }
}

/// Measures; `progress` is told what is under way.
///
/// # Errors
/// [`ComparisonError`]: the tool or namespaces lack, or one of the two fails.
pub fn run(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<SockperfReport, ComparisonError> {
    hpb_host::sockperf::find()?;
    let (conditions, cores) = (Conditions::read(), Cores::choose()?);
    let mut runs: Vec<(Mode, Vec<Run>, Vec<Run>)> = Mode::ALL.map(|mode| (mode, Vec::new(), Vec::new())).into();
    for number in 0..options.repeats {
        for (mode, ours, theirs) in &mut runs {
            progress(&format!("{}: repeat {} of {}", mode.name(), number + 1, options.repeats));
            let scenario = scenario(options, *mode);
            // Each repeat begins with the other one, so that what the machine does meets both alike.
            if number % 2 == 0 {
                ours.push(our_run(&scenario, number)?);
                theirs.push(tool::run(options, *mode, cores)?);
            } else {
                theirs.push(tool::run(options, *mode, cores)?);
                ours.push(our_run(&scenario, number)?);
            }
        }
    }
    let compared = runs.iter().map(|(mode, ours, theirs)| Compared::new(*mode, ours, theirs)).collect();
    let machine: Machine = crate::machine::read();
    Ok(SockperfReport::new(machine, options, compared, conditions.notes()))
}

fn our_run(scenario: &Scenario, number: u32) -> Result<Run, TargetError> {
    let opened = host::open(&scenario.targets[0], scenario, "")?;
    let mut target = opened.ok_or_else(|| TargetError::Failed("the kernel is a target of this machine".to_owned()))?;
    let repeat = target.repeat(scenario, number, &|| false)?;
    Ok(Run { service: repeat.service, latency: repeat.latency })
}

/// What sockperf does, in the lab's words.
fn scenario(options: &Options, mode: Mode) -> Scenario {
    let arrivals = match mode {
        Mode::PingPong => Arrivals::Closed { in_flight: 1 },
        Mode::UnderLoad => Arrivals::Fixed { per_s: f64::from(options.per_s) },
    };
    let all = Duration::from_secs(u64::from(options.seconds));
    let left_away = WARM_UP + COOL_DOWN;
    let spec = TargetSpec {
        name: "kernel-blocking".to_owned(),
        kind: TargetKind::Kernel(KernelWay::Blocking),
        encrypted: false,
        program: None,
    };
    Scenario {
        name: format!("sockperf-{}", mode.name()),
        about: "One session of blocking calls, as sockperf has it.".to_owned(),
        seed: 1,
        clock: ClockKind::Real,
        warm_up: WARM_UP,
        duration: Duration::from_nanos(all.as_nanos().saturating_sub(left_away.as_nanos())),
        drain: DRAIN,
        repeats: options.repeats,
        sessions: 1,
        load: Load {
            pattern: Pattern::RequestReply,
            arrivals,
            request_len: options.message_len,
            reply_len: options.message_len,
        },
        there: LinkConfig::default(),
        back: LinkConfig::default(),
        changes: Vec::new(),
        faults: Vec::new(),
        targets: vec![spec],
        limits: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
