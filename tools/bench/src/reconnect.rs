//! What a storm of reconnects does to those who stay: some sessions echo at a fixed rate while all others close and
//! come back, each with a full Noise handshake.
//!
//! One thread drives three lanes on one wire: the server's, that of the quiet sessions and that of the callers, who
//! reconnect. Handshake steps run on a second thread, on another core where there is one. Echoes are sent open loop:
//! each has a time at which it is meant to leave, and its latency counts from then, so that a stall of the lane is not
//! hidden by the messages that it held back (coordinated omission). First the quiet sessions echo alone, then all
//! callers close as fast as the lanes can do it, and the storm lasts until the last of them has come back.
//!
//! It refuses more sessions of one kind than a client's address has ports, and gives up when no caller comes back for
//! longer than [`PATIENCE_NS`].

mod driver;
mod worker;

use std::thread;

use hdrhistogram::Histogram;
use hpb_base::Duration;
use hpb_host::conditions::Conditions;
use hpb_host::sys::cores;
use serde::Serialize;

use crate::report::{MachineLine, aligned, grouped, lines, table};
use crate::target::TargetError;
use crate::verdict::Verdict;
use driver::Driver;

/// Grows when a field of the JSON changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;
/// Sessions of one kind at most: a client has one address, and an address 64,512 ports.
pub const SESSIONS_OF_A_KIND_MAX: usize = 60_000;
/// Nanoseconds without a caller coming back after which the run gives up: longer than a handshake's time-out and the
/// first waits after it.
pub const PATIENCE_NS: u64 = 30_000_000_000;
/// How much larger than the quiet p99 that of the storm may be.
const P99_RATIO_MAX: f64 = 5.0;
/// Share of the quiet phase that the lanes' thread may wait for its core: half of what lies above the p99.
const WAITED_SHARE_MAX: f64 = 0.005;
/// How long the server's lane may be held in one turn, in microseconds of its thread's CPU time.
const TURN_US_MAX: f64 = 1_000.0;

/// What to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// All sessions.
    pub sessions: usize,
    /// Those that stay and echo.
    pub quiet: usize,
    /// How long they echo alone.
    pub quiet_phase: Duration,
    /// Each of them says something this often.
    pub interval: Duration,
    /// Bytes of an echo's body; at least the 8 that hold the time at which it was meant to leave.
    pub message_len: usize,
}

impl Options {
    /// 10,000 sessions, 1,000 of which echo 64 bytes every 50 ms, alone for 5 s.
    pub const DEFAULT: Self = Self {
        sessions: 10_000,
        quiet: 1_000,
        quiet_phase: Duration::from_secs(5),
        interval: Duration::from_millis(50),
        message_len: 64,
    };

    /// Sessions that close and come back.
    pub fn callers(&self) -> usize {
        self.sessions - self.quiet
    }

    /// Whether this can be run.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.quiet == 0 || self.quiet >= self.sessions {
            return Err(OptionsError::Kinds { sessions: self.sessions, quiet: self.quiet });
        }
        if self.quiet.max(self.callers()) > SESSIONS_OF_A_KIND_MAX {
            return Err(OptionsError::TooMany(self.quiet.max(self.callers())));
        }
        if self.message_len < 8 || self.interval.is_zero() {
            return Err(OptionsError::Echo);
        }
        Ok(())
    }
}

/// Options that no run can follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OptionsError {
    /// One kind of session is missing.
    #[error("{quiet} quiet sessions of {sessions}: there must be at least one that stays and one that reconnects")]
    Kinds {
        /// All sessions.
        sessions: usize,
        /// The quiet ones.
        quiet: usize,
    },
    /// More of one kind than a client's address has ports for.
    #[error("{0} sessions of one kind: at most {SESSIONS_OF_A_KIND_MAX} share a client's address")]
    TooMany(usize),
    /// An echo that cannot carry its time, or is never sent.
    #[error("an echo has at least 8 bytes and an interval above zero")]
    Echo,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum ReconnectError {
    /// The options contradict themselves.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The lanes failed, or stood still.
    #[error(transparent)]
    Lanes(#[from] TargetError),
    /// A thread could not be started or held on its core.
    #[error("the bench's threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// Echoes and turns of one phase.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Phase {
    /// Echoes that came back.
    pub messages: u64,
    /// Median latency from the time at which the echo was meant to leave, in microseconds.
    pub p50_us: f64,
    /// 99 in 100 were faster.
    pub p99_us: f64,
    /// 999 in 1,000 were faster.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// 9,999 of 10,000 working turns of the server's lane were shorter, in microseconds of thread CPU time.
    pub turn_p9999_us: f64,
    /// The longest turn of the server's lane, in microseconds of thread CPU time.
    pub turn_max_us: f64,
    /// The longest turn of a client's lane.
    pub client_turn_max_us: f64,
    /// How often the lanes' thread lost its core to another: each time is in the latencies, and not the card's doing.
    pub preemptions: u64,
    /// Milliseconds for which it then waited for its core; `None` where the kernel does not count them.
    pub waited_ms: Option<f64>,
}

/// Everything that is said about one run; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The machine that measured.
    pub machine: MachineLine,
    /// The command that repeats the run.
    pub command: String,
    /// All sessions.
    pub sessions: usize,
    /// Those that stayed.
    pub quiet_sessions: usize,
    /// Milliseconds from one echo of a session to its next.
    pub interval_ms: u64,
    /// Milliseconds until all sessions were up for the first time.
    pub establish_ms: f64,
    /// Milliseconds from the first close until the last caller was back.
    pub storm_ms: f64,
    /// The quiet sessions alone.
    pub quiet: Phase,
    /// The same while the callers reconnected.
    pub storm: Phase,
    /// The storm's p99 divided by the quiet one.
    pub p99_ratio: f64,
    /// Callers that were open, closed, and open again.
    pub reconnected: usize,
    /// Handshakes that the server finished during the storm.
    pub handshakes: u64,
    /// Diffie-Hellman operations of both sides during the storm.
    pub diffie_hellmans: u64,
    /// Median milliseconds from a caller's SYN until it was open, in the storm.
    pub reopen_p50_ms: f64,
    /// The longest such time.
    pub reopen_max_ms: f64,
    /// Sessions of callers that ended otherwise than by their own close.
    pub broken: u64,
    /// Quiet sessions that were lost; none may be.
    pub quiet_lost: u64,
    /// Echoes that never came back.
    pub unanswered: u64,
    /// Segments that a lane had to send again.
    pub retransmitted: u64,
    /// What was asked, and whether it was met.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// What the driver found; the report adds words and ratios.
pub(crate) struct Figures {
    establish_ns: u64,
    storm_ns: u64,
    quiet: PhaseHistograms,
    storm: PhaseHistograms,
    /// The longest turn of the server's lane while the sessions came up.
    establish_turn_max_ns: u64,
    reopen: Histogram<u64>,
    reconnected: usize,
    handshakes: u64,
    diffie_hellmans: u64,
    broken: u64,
    quiet_lost: u64,
    unanswered: u64,
    retransmitted: u64,
}

/// Nanoseconds, from one to a minute, to three digits, and what others took.
pub(crate) struct PhaseHistograms {
    pub(crate) latency: Histogram<u64>,
    pub(crate) turns: Histogram<u64>,
    pub(crate) client_turns: Histogram<u64>,
    pub(crate) others: Others,
}

/// What others took from the thread of the lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Others {
    pub(crate) preemptions: u64,
    pub(crate) waited_ns: Option<u64>,
}

/// Runs it; `command` is what the user typed, `progress` is told what is under way.
///
/// # Errors
/// Options that contradict themselves, lanes that stand still, a thread that does not start.
pub fn run(
    options: &Options,
    command: String,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Report, ReconnectError> {
    options.check()?;
    let conditions = Conditions::read();
    let cores = cores::allowed()?;
    let (desks, worker) = worker::desks(driver::LANES);
    let figures: Result<Figures, ReconnectError> = thread::scope(|scope| {
        let (first, last) = (cores.first().copied(), cores.last().copied());
        let apart = cores.len() > 1;
        thread::Builder::new().name("handshakes".into()).spawn_scoped(scope, move || {
            if apart && let Some(core) = last {
                // On a core of its own if the kernel lets it; the figures are worse without, not wrong.
                let _ = cores::pin(core);
            }
            worker.run();
        })?;
        let driver = thread::Builder::new().name("lanes".into()).spawn_scoped(scope, move || {
            if apart && let Some(core) = first {
                cores::pin(core)?;
            }
            Ok::<Figures, ReconnectError>(Driver::new(options, desks)?.run(progress)?)
        })?;
        driver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    Ok(Report::new(options, command, cores.len(), &conditions, &figures?))
}

#[allow(clippy::cast_precision_loss, reason = "times below 2^53 ns")]
fn thousandths(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

impl Phase {
    fn new(histograms: &PhaseHistograms) -> Self {
        let latency = |quantile| thousandths(histograms.latency.value_at_quantile(quantile));
        Self {
            messages: histograms.latency.len(),
            p50_us: latency(0.5),
            p99_us: latency(0.99),
            p999_us: latency(0.999),
            max_us: thousandths(histograms.latency.max()),
            turn_p9999_us: thousandths(histograms.turns.value_at_quantile(0.9999)),
            turn_max_us: thousandths(histograms.turns.max()),
            client_turn_max_us: thousandths(histograms.client_turns.max()),
            preemptions: histograms.others.preemptions,
            waited_ms: histograms.others.waited_ns.map(|waited_ns| thousandths(waited_ns) / 1e3),
        }
    }
}

impl Phase {
    /// What others took, in words.
    fn lost(&self) -> String {
        match self.waited_ms {
            Some(waited_ms) => format!("{} times for {waited_ms:.1} ms", self.preemptions),
            None => format!("{} times", self.preemptions),
        }
    }
}

impl Report {
    fn new(options: &Options, command: String, cores: usize, conditions: &Conditions, figures: &Figures) -> Self {
        let (quiet, storm) = (Phase::new(&figures.quiet), Phase::new(&figures.storm));
        let p99_ratio = if quiet.p99_us > 0.0 { storm.p99_us / quiet.p99_us } else { 0.0 };
        let establish_turn_us = thousandths(figures.establish_turn_max_ns);
        let turn_max_us = establish_turn_us.max(quiet.turn_max_us).max(storm.turn_max_us);
        let lost = u32::try_from(figures.quiet_lost + figures.unanswered).unwrap_or(u32::MAX);
        let quiet_ms = thousandths(options.quiet_phase.as_nanos()) / 1e3;
        let disturbed = quiet.waited_ms.filter(|waited_ms| *waited_ms > quiet_ms * WAITED_SHARE_MAX);
        let doubt = disturbed.map(|waited_ms| {
            format!("the quiet phase was not quiet, its thread waited {waited_ms:.0} ms for its core: run it again")
        });
        let verdicts = vec![
            Verdict::at_most("p99 in the storm over the quiet one".into(), p99_ratio, P99_RATIO_MAX, "x").unless(doubt),
            Verdict::at_most(
                "the longest turn of the server's lane in thread CPU time".into(),
                turn_max_us,
                TURN_US_MAX,
                "us",
            ),
            Verdict::at_most("quiet sessions lost and echoes unanswered".into(), f64::from(lost), 0.0, "lost"),
        ];
        let mut notes = vec![
            format!(
                "latency from the time at which an echo was meant to leave; a turn of the server's lane: its results, \
                 frames, echoes and sends together, {establish_turn_us:.0} us at most while the sessions came up"
            ),
            "both ends of every session share one thread, so that the callers' own work is in these latencies".into(),
        ];
        if cores < 2 {
            notes.push("one core: handshakes and lanes share it, and the lanes lose it to them now and then".into());
        }
        notes.extend(conditions.notes());
        Self {
            schema_version: SCHEMA_VERSION,
            machine: MachineLine::read(None),
            command,
            sessions: options.sessions,
            quiet_sessions: options.quiet,
            interval_ms: options.interval.as_millis(),
            establish_ms: thousandths(figures.establish_ns) / 1e3,
            storm_ms: thousandths(figures.storm_ns) / 1e3,
            quiet,
            storm,
            p99_ratio,
            reconnected: figures.reconnected,
            handshakes: figures.handshakes,
            diffie_hellmans: figures.diffie_hellmans,
            reopen_p50_ms: thousandths(figures.reopen.value_at_quantile(0.5)) / 1e3,
            reopen_max_ms: thousandths(figures.reopen.max()) / 1e3,
            broken: figures.broken,
            quiet_lost: figures.quiet_lost,
            unanswered: figures.unanswered,
            retransmitted: figures.retransmitted,
            verdicts,
            notes,
        }
    }

    /// The JSON of `--json`, indented, with a newline at its end.
    ///
    /// # Errors
    /// None in practice: every figure is finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The table for a terminal: at most 120 columns, no colours.
    pub fn terminal(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.machine.host(), self.work());
        aligned(&mut text, &self.rows());
        text.push('\n');
        lines(&mut text, "", self.counts());
        text.push('\n');
        lines(&mut text, "", &self.verdicts);
        text.push('\n');
        lines(&mut text, "", &self.notes);
        text
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## Reconnects\n\n- machine: {}\n- command: `{}`\n- work: {}\n\n",
            self.machine.host(),
            self.command,
            self.work()
        );
        table(&mut text, &self.rows());
        text.push('\n');
        lines(&mut text, "- ", self.counts().iter().chain(&self.notes));
        lines(&mut text, "- ", &self.verdicts);
        text
    }

    fn work(&self) -> String {
        format!(
            "{} encrypted sessions: {} echo every {} ms each, {} close and reconnect",
            self.sessions,
            self.quiet_sessions,
            self.interval_ms,
            self.sessions - self.quiet_sessions
        )
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let head = ["phase", "echoes", "p50 us", "p99 us", "p99.9 us", "max us", "lane turn p99.99 us", "longest us"];
        let mut rows = vec![head.map(String::from).to_vec()];
        for (name, phase) in [("quiet", &self.quiet), ("storm", &self.storm)] {
            let mut row = vec![name.to_owned(), grouped_count(phase.messages)];
            let Phase { p50_us, p99_us, p999_us, max_us, turn_p9999_us, turn_max_us, .. } = phase;
            row.extend([p50_us, p99_us, p999_us, max_us, turn_p9999_us, turn_max_us].map(|us| format!("{us:.1}")));
            rows.push(row);
        }
        rows
    }

    fn counts(&self) -> [String; 4] {
        let callers = self.sessions - self.quiet_sessions;
        let rate = if self.storm_ms > 0.0 { f64::from(self.reconnected as u32) / self.storm_ms * 1e3 } else { 0.0 };
        [
            format!(
                "storm: {} of {callers} reconnected in {} ms ({rate:.0} a second), {} handshakes, {} Diffie-Hellman \
                 operations of both sides",
                self.reconnected,
                grouped(self.storm_ms),
                grouped_count(self.handshakes),
                grouped_count(self.diffie_hellmans)
            ),
            format!(
                "a caller's SYN to open: {:.1} ms at the median, {:.1} ms at most; {} of their sessions broke",
                self.reopen_p50_ms, self.reopen_max_ms, self.broken
            ),
            format!(
                "quiet sessions lost: {}; echoes unanswered: {}; segments sent again: {}; longest turn of a client's \
                 lane: {:.0} us",
                self.quiet_lost,
                self.unanswered,
                self.retransmitted,
                self.quiet.client_turn_max_us.max(self.storm.client_turn_max_us)
            ),
            format!(
                "the lanes' thread lost its core to others {} in the quiet phase, {} in the storm",
                self.quiet.lost(),
                self.storm.lost()
            ),
        ]
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn grouped_count(count: u64) -> String {
    grouped(count as f64)
}

#[cfg(test)]
mod tests;
