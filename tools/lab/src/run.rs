//! Runs a scenario: its targets take turns, repeat by repeat and each time from another one on, so that what the machine
//! does meanwhile meets all of them alike; then their figures are put beside each other and held against what was asked.

use std::time::SystemTime;

use hpb_base::Duration;
use hpb_host::sys::cores;

use crate::card::CardWire;
use crate::confirm::Validators;
use crate::record::{
    AgentRecord, Comparison, LimitRecord, Machine, Mark, Noise, Record, Repeat, SCHEMA, ScenarioRecord, TargetRecord,
};
use crate::scenario::{Change, ClockKind, Limit, LimitFigure, Scenario, TargetKind, TargetSpec};
use crate::stats::comparisons;
use crate::target::{Stop, Target, TargetError};
use crate::{host, machine, noise};

/// Why a run gives no record.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No target can run here.
    #[error("no target can run here: {0}")]
    Unavailable(String),
    /// A target failed on the way.
    #[error("{target}: {reason}")]
    Failed {
        /// Which.
        target: String,
        /// Why.
        reason: String,
    },
    /// Somebody asked to stop.
    #[error("stopped before its end: nothing is kept of it")]
    Stopped,
}

/// How long an idle spin looks at the machine when a run is over.
const NOISE: Duration = Duration::from_millis(500);

/// What a run measured, on this host or on several.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// When it began, in milliseconds since 1970 UTC; 0 on virtual time.
    pub(crate) began_unix_ms: u64,
    /// This machine, where all of it ran here and by its clock.
    pub(crate) machine: Option<Machine>,
    /// What that does by itself.
    pub(crate) noise: Option<Noise>,
    /// What carried the messages.
    pub(crate) targets: Vec<TargetRecord>,
    /// Each beside the first.
    pub(crate) comparisons: Vec<Comparison>,
    /// Who carried it, where there were several hosts.
    pub(crate) agents: Vec<AgentRecord>,
    /// In words.
    pub(crate) notes: Vec<String>,
}

/// A target that runs, and what it did so far.
struct Running {
    target: Box<dyn Target>,
    repeats: Vec<Repeat>,
    /// Whether it turned out that it cannot run here.
    is_gone: bool,
}

/// Makes the target that a scenario names, whose file says `text`.
///
/// # Errors
/// This machine or this program lacks what it needs.
pub fn open_target(spec: &TargetSpec, scenario: &Scenario, text: &str) -> Result<Box<dyn Target>, TargetError> {
    if let Some(target) = host::open(spec, scenario, text)? {
        return Ok(target);
    }
    match &spec.kind {
        TargetKind::Validators { count } => Ok(Box::new(Validators::new(spec, *count))),
        _ => Ok(Box::new(CardWire::new(spec))),
    }
}

/// Runs `scenario`, whose file is `text`. `stop` is asked all the time, `progress` is told what is under way.
///
/// # Errors
/// A target that fails, or no target at all.
pub fn run(
    scenario: &Scenario,
    text: String,
    stop: Stop<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Record, RunError> {
    let mut notes = Vec::new();
    let began_unix_ms = began(scenario.clock);
    let mut running = Vec::new();
    for spec in &scenario.targets {
        match open_target(spec, scenario, &text) {
            Ok(target) => running.push(Running { target, repeats: Vec::new(), is_gone: false }),
            Err(TargetError::Unavailable(why)) => notes.push(format!("{} did not run: {why}", spec.name)),
            Err(TargetError::Failed(reason)) => return Err(RunError::Failed { target: spec.name.clone(), reason }),
            Err(TargetError::Stopped) => return Err(RunError::Stopped),
        }
    }
    for number in 0..scenario.repeats {
        for turn in 0..running.len() {
            if stop() {
                return Err(RunError::Stopped);
            }
            let at = (turn + number as usize) % running.len();
            let Running { target, repeats, is_gone } = &mut running[at];
            if *is_gone {
                continue;
            }
            progress(&format!("{}: repeat {} of {}", target.name(), number + 1, scenario.repeats));
            match target.repeat(scenario, number, stop) {
                Ok(repeat) => repeats.push(repeat),
                Err(TargetError::Unavailable(why)) => {
                    notes.push(format!("{} did not run: {why}", target.name()));
                    *is_gone = true;
                }
                Err(TargetError::Failed(reason)) => {
                    return Err(RunError::Failed { target: target.name().to_owned(), reason });
                }
                Err(TargetError::Stopped) => return Err(RunError::Stopped),
            }
        }
    }
    running.retain(|running| !running.is_gone);
    if running.is_empty() {
        return Err(RunError::Unavailable(notes.join("; ")));
    }
    if scenario.repeats == 1 {
        notes.push("one repeat: no interval, and no verdict".to_owned());
    }
    // What a target measured beside is compared with nothing.
    let (mut targets, mut others) = (Vec::with_capacity(running.len()), Vec::new());
    for running in running {
        let (target, beside) = running.finish();
        targets.push(target);
        others.extend(beside);
    }
    let comparisons = comparisons(&targets);
    targets.extend(others);
    let is_real = scenario.clock == ClockKind::Real;
    let measured = Measured {
        began_unix_ms,
        machine: is_real.then(machine::read),
        noise: is_real.then(noise).flatten(),
        targets,
        comparisons,
        agents: Vec::new(),
        notes,
    };
    Ok(record(scenario, text, measured))
}

/// The record of a run of `scenario`, whose file is `text`: what was measured, held against what was asked.
pub(crate) fn record(scenario: &Scenario, text: String, measured: Measured) -> Record {
    let Measured { began_unix_ms, machine, noise, targets, comparisons, agents, notes } = measured;
    let mark = |change: &Change| Mark { at_ns: change.at.as_nanos(), label: change.label.clone() };
    Record {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: ScenarioRecord {
            name: scenario.name.clone(),
            about: scenario.about.clone(),
            seed: scenario.seed,
            is_virtual: scenario.clock == ClockKind::Virtual,
            text,
            marks: scenario.changes.iter().map(mark).collect(),
        },
        began_unix_ms,
        machine,
        noise,
        comparisons,
        limits: scenario.limits.iter().flat_map(|limit| judged(limit, &targets)).collect(),
        agents,
        targets,
        notes,
    }
}

impl Running {
    /// Its record, and those of what it measured beside.
    fn finish(self) -> (TargetRecord, Vec<TargetRecord>) {
        let Self { mut target, repeats, .. } = self;
        let record =
            TargetRecord { name: target.name().to_owned(), about: target.about(), clock_error_ns: None, repeats };
        (record, target.take_others())
    }
}

/// What the machine does by itself, on the core on which lanes are held.
fn noise() -> Option<Noise> {
    let core = cores::allowed().ok()?.last().copied()?;
    noise::measure(NOISE, core).ok()
}

#[allow(clippy::disallowed_methods, reason = "a record says when it was made")]
pub(crate) fn began(clock: ClockKind) -> u64 {
    match clock {
        ClockKind::Virtual => 0,
        ClockKind::Real => SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// Holds the targets that a limit is for against it, over all their repeats. A figure of no message holds nothing.
fn judged(limit: &Limit, targets: &[TargetRecord]) -> Vec<LimitRecord> {
    let meant = targets.iter().filter(|target| limit.target.as_ref().is_none_or(|name| *name == target.name));
    meant
        .map(|target| {
            let found = figure(limit.figure, &target.repeats);
            let holds = found.is_some_and(|found| if limit.below { found < limit.bound } else { found > limit.bound });
            let (text, name) = (limit.text.clone(), target.name.clone());
            LimitRecord { text, target: name, found: found.unwrap_or_default(), holds }
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "counts and nanoseconds below 2^53")]
fn figure(figure: LimitFigure, repeats: &[Repeat]) -> Option<f64> {
    let sum = |of: fn(&Repeat) -> u64| repeats.iter().map(of).fold(0, u64::saturating_add) as f64;
    match figure {
        LimitFigure::PercentileUs(percent) => {
            let all = repeats.iter().fold(crate::record::Buckets::default(), |all, one| all.merged(&one.latency));
            all.percentile(percent).map(|nanos| nanos as f64 / 1e3)
        }
        LimitFigure::LostPpm => {
            let expected = sum(|repeat| repeat.counts.expected);
            (expected > 0.0).then(|| sum(|repeat| repeat.counts.lost) * 1e6 / expected)
        }
        LimitFigure::PerSecond => {
            let measured = sum(|repeat| repeat.measured_ns);
            (measured > 0.0).then(|| sum(|repeat| repeat.counts.arrived) * 1e9 / measured)
        }
    }
}
