//! Runs all targets in one run: repeats take turns, so that a slow minute of the machine hits every target, and the
//! medians over the repeats are reported.
//!
//! It refuses a run without targets or sessions, lowers the sessions of all targets to what the descriptor limit allows
//! the neediest of them, and passes over a target that this machine does not offer, saying so.

use std::fs;
use std::io;

use hpb_host::sys;
use serde::Serialize;

use crate::memory::{self, Snapshot};
use crate::target::{Sample, Target, TargetError, Work};

/// Descriptors kept for files, polls and the terminal beside the sessions'.
const DESCRIPTORS_KEPT: u64 = 64;

/// The medians of one target, under the names of `--json`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TargetResult {
    /// The target's name.
    pub name: String,
    /// Sessions that were held.
    pub sessions: usize,
    /// Closed loop: round trips a second of wall time.
    pub round_trips_per_s: f64,
    /// Closed loop: CPU nanoseconds of the one thread a round trip, both ends.
    pub cpu_ns_per_round_trip: f64,
    /// One message in flight: CPU nanoseconds a round trip, both ends.
    pub ping_pong_ns: f64,
    /// Wall microseconds from the first byte of a broadcast sent until the last client has it whole.
    pub broadcast_last_us: f64,
    /// CPU nanoseconds of a broadcast a peer, both ends.
    pub broadcast_cpu_ns_per_peer: f64,
    /// Bytes of one end of a session ([`memory::METHOD`], or the target's own count).
    pub bytes_per_session: f64,
}

/// What stands beside a target's medians: how far they can be trusted.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TargetDetail {
    /// The target's name.
    pub name: String,
    /// Wall milliseconds to establish all sessions, handshakes included.
    pub establish_ms: f64,
    /// CPU microseconds a session to establish, both ends.
    pub establish_cpu_us_per_session: f64,
    /// Closed loop: the lowest CPU nanoseconds a round trip among the repeats.
    pub cpu_ns_per_round_trip_min: f64,
    /// Closed loop: the highest CPU nanoseconds a round trip among the repeats.
    pub cpu_ns_per_round_trip_max: f64,
    /// One message in flight: wall nanoseconds a round trip. Far above `ping_pong_ns` on a busy machine.
    pub ping_pong_wall_ns: f64,
}

/// A target that gave no figures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Skipped {
    /// The target's name.
    pub name: String,
    /// Why, for the user.
    pub reason: String,
}

/// The figures of one run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// In the order of the targets given.
    pub results: Vec<TargetResult>,
    /// One for each of `results`.
    pub details: Vec<TargetDetail>,
    /// Targets that this machine does not offer.
    pub skipped: Vec<Skipped>,
}

/// Why a run ended without figures.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is nothing to measure.
    #[error("nothing to measure: a run needs at least one target, one session and one repeat")]
    Nothing,
    /// The descriptor limit does not allow a single session.
    #[error("the limit of {limit} open files allows no session; raise it with `ulimit -n {wanted}`")]
    Descriptors {
        /// The limit that holds.
        limit: u64,
        /// A limit that would do for the sessions asked.
        wanted: u64,
    },
    /// A target failed.
    #[error("{name}: {source}")]
    Target {
        /// The target's name.
        name: String,
        /// Its failure.
        source: TargetError,
    },
    /// The machine's own files could not be read.
    #[error("reading /proc: {0}")]
    Proc(#[from] io::Error),
}

/// How many sessions all targets of a run get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionCount {
    /// What was asked.
    pub asked: usize,
    /// What all targets get.
    pub allowed: usize,
    /// The limit of open descriptors that decided, if it did.
    pub limit: Option<u64>,
}

impl SessionCount {
    /// The line for the user when the count was lowered.
    pub fn note(&self) -> Option<String> {
        self.limit.map(|limit| {
            format!(
                "{} sessions instead of {} for every target: the limit of {limit} open files (2 a kernel session) \
                 allows no more; `--targets card` alone is not lowered",
                self.allowed, self.asked
            )
        })
    }
}

/// Lowers `asked` to what this process's descriptor limit (raised as far as it may be) allows all of `targets`.
///
/// # Errors
/// The limit allows none, or cannot be read.
pub fn session_count(targets: &[Box<dyn Target>], asked: usize) -> Result<SessionCount, RunError> {
    let each = targets.iter().map(|target| target.descriptors_per_session()).max().unwrap_or(0) as u64;
    let limit = sys::descriptor_limit_raise()?;
    let open = fs::read_dir("/proc/self/fd")?.count() as u64;
    let count = lowered(asked, each, limit, open);
    if count.allowed == 0 && asked > 0 {
        return Err(RunError::Descriptors { limit, wanted: asked as u64 * each + open + DESCRIPTORS_KEPT });
    }
    Ok(count)
}

fn lowered(asked: usize, each: u64, limit: u64, open: u64) -> SessionCount {
    let free = limit.saturating_sub(open + DESCRIPTORS_KEPT);
    let allowed = free.checked_div(each).map_or(asked, |most| asked.min(usize::try_from(most).unwrap_or(usize::MAX)));
    SessionCount { asked, allowed, limit: (allowed < asked).then_some(limit) }
}

/// Measures all `targets` at `work`, `work.repeats` times in turns that begin with another target each time; `progress`
/// is told what is under way.
///
/// # Errors
/// A target fails for another reason than that it is unavailable here.
pub fn run(targets: &mut [Box<dyn Target>], work: &Work, progress: &mut dyn FnMut(&str)) -> Result<Outcome, RunError> {
    if targets.is_empty() || work.sessions == 0 || work.repeats == 0 {
        return Err(RunError::Nothing);
    }
    let count = targets.len();
    let mut records: Vec<Record> = vec![Record::default(); count];
    let mut reasons: Vec<Option<String>> = vec![None; count];
    for repeat in 0..work.repeats {
        for turn in 0..count {
            let index = (turn + repeat) % count;
            if reasons[index].is_some() {
                continue;
            }
            let target = &mut *targets[index];
            progress(&format!("{}: repeat {} of {}", target.name(), repeat + 1, work.repeats));
            let measured = measure(target, work, &mut records[index]);
            target.close();
            match measured {
                Ok(()) => {}
                Err(TargetError::Unavailable(reason)) => {
                    progress(&format!("{}: skipped, {reason}", target.name()));
                    reasons[index] = Some(reason);
                }
                Err(source) => return Err(RunError::Target { name: target.name().into(), source }),
            }
        }
    }
    let mut outcome = Outcome::default();
    for ((target, record), reason) in targets.iter().zip(&mut records).zip(reasons) {
        if let Some(reason) = reason {
            outcome.skipped.push(Skipped { name: target.name().into(), reason });
        } else {
            outcome.results.push(record.result(target.name(), work.sessions));
            outcome.details.push(record.detail(target.name()));
        }
    }
    Ok(outcome)
}

/// The figures of one target, one entry a repeat (a broadcast: one entry each).
#[derive(Clone, Debug, Default)]
struct Record {
    establish_ms: Vec<f64>,
    establish_cpu_us: Vec<f64>,
    per_second: Vec<f64>,
    closed_cpu_ns: Vec<f64>,
    ping_pong_cpu_ns: Vec<f64>,
    ping_pong_wall_ns: Vec<f64>,
    broadcast_last_us: Vec<f64>,
    broadcast_cpu_ns: Vec<f64>,
    bytes: Vec<f64>,
}

fn measure(target: &mut dyn Target, work: &Work, record: &mut Record) -> Result<(), TargetError> {
    let before = Snapshot::take()?;
    let meter = crate::target::Meter::start();
    target.establish(work)?;
    let established = meter.stop(work.sessions as u64);
    // The first echoes touch every session's memory and end slow start; they are not measured.
    target.closed_loop(work.sessions as u64 * 2)?;
    let after = Snapshot::take()?;
    let measured_bytes = memory::bytes_per_session(before, after, work.sessions);
    record.bytes.push(target.bytes_per_session().unwrap_or(measured_bytes));
    record.establish_ms.push(established.wall_ns_each() * per_thousand(work.sessions) / 1e3);
    record.establish_cpu_us.push(established.cpu_ns_each() / 1e3);

    let closed: Sample = target.closed_loop(work.closed_loop_round_trips)?;
    record.per_second.push(closed.per_second());
    record.closed_cpu_ns.push(closed.cpu_ns_each());
    let single = target.ping_pong(work.ping_pong_round_trips)?;
    record.ping_pong_cpu_ns.push(single.cpu_ns_each());
    record.ping_pong_wall_ns.push(single.wall_ns_each());
    for _ in 0..work.broadcasts {
        let broadcast = target.broadcast()?;
        record.broadcast_last_us.push(broadcast.wall_ns_each() * per_thousand(work.sessions));
        record.broadcast_cpu_ns.push(broadcast.cpu_ns_each());
    }
    Ok(())
}

/// Thousands of sessions: turns nanoseconds a session into microseconds for all.
#[allow(clippy::cast_precision_loss, reason = "sessions below 2^53")]
fn per_thousand(sessions: usize) -> f64 {
    sessions as f64 / 1e3
}

impl Record {
    fn result(&mut self, name: &str, sessions: usize) -> TargetResult {
        TargetResult {
            name: name.into(),
            sessions,
            round_trips_per_s: median(&mut self.per_second),
            cpu_ns_per_round_trip: median(&mut self.closed_cpu_ns),
            ping_pong_ns: median(&mut self.ping_pong_cpu_ns),
            broadcast_last_us: median(&mut self.broadcast_last_us),
            broadcast_cpu_ns_per_peer: median(&mut self.broadcast_cpu_ns),
            bytes_per_session: median(&mut self.bytes),
        }
    }

    fn detail(&mut self, name: &str) -> TargetDetail {
        TargetDetail {
            name: name.into(),
            establish_ms: median(&mut self.establish_ms),
            establish_cpu_us_per_session: median(&mut self.establish_cpu_us),
            cpu_ns_per_round_trip_min: self.closed_cpu_ns.iter().copied().reduce(f64::min).unwrap_or(0.0),
            cpu_ns_per_round_trip_max: self.closed_cpu_ns.iter().copied().reduce(f64::max).unwrap_or(0.0),
            ping_pong_wall_ns: median(&mut self.ping_pong_wall_ns),
        }
    }
}

/// The middle of `values`, the mean of the two middle ones of an even count, 0 of none; sorts them.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => 0.0,
        (middle, 1) => values[middle],
        (middle, _) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests;
