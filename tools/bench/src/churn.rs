//! Whether anything grows while sessions come and go: a million of them open, exchange messages and end in every way that
//! TCP knows, and what the lanes hold is counted on the way and at rest.
//!
//! Two lanes on one wire that loses and doubles frames, on virtual time, in one thread: TIME-WAIT, time-outs and the wrap
//! of the client's ports come as they would within a quarter of an hour, and the run takes seconds. The first tenth warms
//! up. Growth is judged only where it lasted until closed sessions were forgotten as fast as others came.

mod driver;
mod ending;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hpb_base::Duration;
use hpb_host::conditions::Conditions;
use hpb_host::sys;
use hpb_toe::{GuardConfig, Holdings};
use serde::Serialize;

use crate::report::{MachineLine, aligned, grouped, lines, table};
use crate::target::TargetError;
use crate::verdict::Verdict;
use driver::{Driver, Figures, INTERVAL, Moment};
pub use ending::Ending;

/// Grows when a field of the JSON changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;
/// Sessions of one run at most.
pub const CYCLES_MAX: u64 = 100_000_000;
/// How often the lanes are looked at while sessions come and go.
const SAMPLES: usize = 10;
/// Keys the wire's faults and how each session ends.
const SEED: u64 = 1;
/// How far a count may swing above the one after the warm-up: sessions come evenly, but end by chance.
const SWING_MAX: f64 = 1.25;
/// Counts below this swing more, and are held at it.
const SWING_FLOOR: usize = 256;
/// How far resident memory at rest may lie above that after the warm-up, in bytes.
const REST_GROWTH_LEN_MAX: f64 = (1 << 20) as f64;
/// How far it may rise on the way, in bytes: the ring of sessions that are waited out goes round in two minutes, and
/// touches all that it has reserved only then. Of a million sessions that is less than five bytes each.
const PEAK_GROWTH_LEN_MAX: f64 = (4 << 20) as f64;

/// What to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Sessions to open and close; 1 to [`CYCLES_MAX`].
    pub cycles: u64,
    /// Whether those that exchange messages are encrypted.
    pub encrypted: bool,
}

/// Sessions of one kind of end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Ended {
    /// The kind.
    pub name: &'static str,
    /// Sessions made to end so.
    pub made: u64,
    /// Those that each side that hears of them heard the right thing of; `None` for those that no event tells apart from
    /// other sessions that die in the handshake.
    pub right: Option<u64>,
}

/// What the run held at one moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sample {
    /// Sessions begun until then.
    pub cycles: u64,
    /// Milliseconds of virtual time since the start.
    pub virtual_ms: u64,
    /// The process's resident bytes, after the heap's free pages were given back.
    pub resident: u64,
    /// Counts of the server's lane by name (`Holdings`), and the frames of its pool that are not free.
    pub server: BTreeMap<&'static str, usize>,
    /// The same of the client's.
    pub client: BTreeMap<&'static str, usize>,
}

/// Everything that is said about one run; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The machine that ran it.
    pub machine: MachineLine,
    /// The command that repeats the run.
    pub command: String,
    /// Sessions opened and closed.
    pub cycles: u64,
    /// Whether those that exchange messages were encrypted.
    pub encrypted: bool,
    /// Milliseconds that it took.
    pub wall_ms: f64,
    /// How they ended.
    pub endings: Vec<Ended>,
    /// Sessions that the server gave up in the handshake.
    pub given_up: u64,
    /// Messages whose bytes were checked, both ways together.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Times that the client's ports came round.
    pub port_laps: u64,
    /// Sessions opened between two ends whose last session was still waited out.
    pub reopened: u64,
    /// Sessions opened by a cookie.
    pub cookies_taken: u64,
    /// Segments that a lane had to send again.
    pub retransmitted: u64,
    /// Handshakes that the server finished.
    pub handshakes: u64,
    /// Before the first session, at each tenth, and at rest.
    pub samples: Vec<Sample>,
    /// What was asked, and whether it was met.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// Runs it; `command` is what the user typed, `progress` is told what is under way.
///
/// # Errors
/// Lanes that do not come to rest, memory that cannot be read.
pub fn run(options: &Options, command: String, progress: &mut (dyn FnMut(&str) + Send)) -> Result<Report, TargetError> {
    let conditions = Conditions::read();
    let begin_ns = sys::wall_ns();
    let figures = Driver::new(options)?.run(progress)?;
    Ok(Report::new(options, command, sys::wall_ns() - begin_ns, &conditions, &figures))
}

impl Moment {
    /// The counts of both lanes, each with its name.
    fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        let frames = self.frames.into_iter().map(|count| ("frames", count));
        self.held.iter().flat_map(Holdings::named).chain(frames)
    }

    fn of_side(&self, side: usize) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::from(self.held[side].named());
        counts.insert("frames", self.frames[side]);
        counts
    }

    fn sample(&self) -> Sample {
        Sample {
            cycles: self.cycles,
            virtual_ms: self.at.as_millis(),
            resident: self.resident,
            server: self.of_side(0),
            client: self.of_side(1),
        }
    }
}

/// The largest count of `later` beside the one after the warm-up, and whose.
#[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn largest_swing(warm: &Moment, later: &[Moment]) -> (&'static str, f64) {
    let swings = later.iter().flat_map(|moment| warm.counts().zip(moment.counts()));
    let swings = swings
        .map(|((name, before), (_, after))| (name, after.max(SWING_FLOOR) as f64 / before.max(SWING_FLOOR) as f64));
    swings.fold(("sessions", 0.0), |largest, swing| if swing.1 > largest.1 { swing } else { largest })
}

#[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn verdicts(figures: &Figures, judges_growth: bool) -> Vec<Verdict> {
    let tally = &figures.tally;
    let kinds = tally.made.iter().filter(|made| **made > 0).count();
    let amiss = tally.wrong + tally.unknown + tally.spoilt + figures.unfinished;
    let mut verdicts = vec![
        Verdict::at_most(
            "sessions that ended otherwise than made to, or not at all".into(),
            amiss as f64,
            0.0,
            "amiss",
        ),
        Verdict::at_least("ways in which sessions ended".into(), kinds as f64, Ending::ALL.len() as f64, "kinds"),
        Verdict::at_most("dying handshakes not given up in time".into(), ungiven(figures) as f64, 0.0, "sessions"),
    ];
    let [_, warm, later @ .., rest] = &figures.moments[..] else { return verdicts };
    let left: usize = rest.counts().map(|(_, count)| count).sum();
    verdicts.push(Verdict::at_most(
        "what both lanes hold at rest, all counts together".into(),
        left as f64,
        0.0,
        "left",
    ));
    if !judges_growth {
        return verdicts;
    }
    let (name, swing) = largest_swing(warm, later);
    let highest = later.iter().chain([rest]).map(|moment| moment.resident).max().unwrap_or_default();
    verdicts.extend([
        Verdict::at_most(
            format!("largest count at a later tenth over that after the warm-up ({name})"),
            swing,
            SWING_MAX,
            "x",
        ),
        Verdict::at_most(
            "resident memory at its highest over that after the warm-up".into(),
            highest.saturating_sub(warm.resident) as f64,
            PEAK_GROWTH_LEN_MAX,
            "bytes",
        ),
        Verdict::at_most(
            "resident memory at rest over that after the warm-up".into(),
            rest.resident.saturating_sub(warm.resident) as f64,
            REST_GROWTH_LEN_MAX,
            "bytes",
        ),
        Verdict::at_least("times that the client's ports came round".into(), tally.laps as f64, 2.0, "laps"),
        Verdict::at_least(
            "sessions between ends that were still waited out".into(),
            figures.reopened as f64,
            1.0,
            "sessions",
        ),
    ]);
    verdicts
}

/// By how many the server gave up other than died in the handshake. A cookie that did not come back has left nothing to
/// give up.
fn ungiven(figures: &Figures) -> u64 {
    let made = Ending::ALL.into_iter().zip(figures.tally.made);
    let dying: u64 = made.filter(|(ending, _)| ending.times_out_at_server()).map(|(_, made)| made).sum();
    let given_up = figures.tally.given_up;
    given_up.saturating_sub(dying) + dying.saturating_sub(given_up + figures.cookies_lost)
}

impl Report {
    #[allow(clippy::cast_precision_loss, reason = "times below 2^53 ns")]
    fn new(options: &Options, command: String, wall_ns: u64, conditions: &Conditions, figures: &Figures) -> Self {
        let tally = &figures.tally;
        let endings = Ending::ALL.into_iter().zip(tally.made).zip(tally.right).map(|((ending, made), right)| Ended {
            name: ending.name(),
            made,
            right: ending.client_hears().map(|_| right),
        });
        let warm_up = figures.moments.get(1).map_or(Duration::ZERO, |moment| moment.at);
        let time_wait = GuardConfig::default().time_wait;
        let judges_growth = warm_up > time_wait;
        let mut notes = vec![format!(
            "virtual time: a session every {} us, over a wire that loses and doubles frames; counts are server/client, \
             timers those that will ring for nothing included",
            INTERVAL.as_nanos() / 1_000
        )];
        if !judges_growth {
            notes.push(format!(
                "growth was not judged: the first tenth lasted {} s, and a closed session is waited out for {} s",
                warm_up.as_millis() / 1_000,
                time_wait.as_millis() / 1_000
            ));
        }
        notes.extend(conditions.notes());
        Self {
            schema_version: SCHEMA_VERSION,
            machine: MachineLine::read(None),
            command,
            cycles: options.cycles,
            encrypted: options.encrypted,
            wall_ms: wall_ns as f64 / 1e6,
            endings: endings.collect(),
            given_up: tally.given_up,
            messages: tally.messages,
            bytes: tally.bytes,
            port_laps: tally.laps,
            reopened: figures.reopened,
            cookies_taken: figures.cookies_taken,
            retransmitted: figures.retransmitted,
            handshakes: figures.handshakes,
            samples: figures.moments.iter().map(Moment::sample).collect(),
            verdicts: verdicts(figures, judges_growth),
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

    /// The tables for a terminal: at most 120 columns, no colours.
    pub fn terminal(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.machine.host(), self.work());
        aligned(&mut text, &self.ending_rows());
        text.push('\n');
        aligned(&mut text, &self.sample_rows());
        let _ = writeln!(text, "\n{}\n", self.counts());
        lines(&mut text, "", &self.verdicts);
        text.push('\n');
        lines(&mut text, "", &self.notes);
        text
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## Churn\n\n- machine: {}\n- command: `{}`\n- work: {}\n\n",
            self.machine.host(),
            self.command,
            self.work()
        );
        table(&mut text, &self.ending_rows());
        text.push('\n');
        table(&mut text, &self.sample_rows());
        let _ = writeln!(text, "\n- {}", self.counts());
        lines(&mut text, "- ", &self.notes);
        lines(&mut text, "- ", &self.verdicts);
        text
    }

    fn work(&self) -> String {
        format!(
            "{} {} sessions opened and closed, in {} s",
            counted(self.cycles),
            if self.encrypted { "encrypted" } else { "plain" },
            grouped(self.wall_ms / 1e3)
        )
    }

    fn ending_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["end", "sessions", "as it should"].map(String::from).to_vec()];
        for Ended { name, made, right } in &self.endings {
            rows.push(vec![name.replace('_', " "), counted(*made), right.map_or_else(|| "-".into(), counted)]);
        }
        rows
    }

    fn sample_rows(&self) -> Vec<Vec<String>> {
        let names =
            ["sessions", "flows", "half_open", "time_wait", "timers", "frames", "sources", "neighbors", "calls"];
        let mut head = vec!["begun".to_owned(), "s".into(), "KiB".into()];
        head.extend(names.map(|name| name.replace('_', " ")));
        head.extend(["others".into()]);
        let mut rows = vec![head];
        for sample in &self.samples {
            let sides = [&sample.server, &sample.client];
            let pair = |counts: [usize; 2]| format!("{}/{}", counts[0], counts[1]);
            let mut row =
                vec![counted(sample.cycles), (sample.virtual_ms / 1_000).to_string(), counted(sample.resident >> 10)];
            row.extend(names.map(|name| pair(sides.map(|counts| counts.get(name).copied().unwrap_or_default()))));
            let others = |counts: &BTreeMap<&str, usize>| {
                counts.iter().filter(|(name, _)| !names.contains(name)).map(|(_, count)| count).sum()
            };
            row.push(pair(sides.map(others)));
            rows.push(row);
        }
        rows
    }

    fn counts(&self) -> String {
        format!(
            "{} messages of {} bytes checked; {} handshakes; {} sessions given up in the handshake by the server; ports came \
             round {} times; {} sessions between ends still waited out; {} by a cookie; {} segments sent again",
            counted(self.messages),
            counted(self.bytes),
            counted(self.handshakes),
            counted(self.given_up),
            self.port_laps,
            counted(self.reopened),
            counted(self.cookies_taken),
            counted(self.retransmitted)
        )
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn counted(count: u64) -> String {
    grouped(count as f64)
}

#[cfg(test)]
mod tests;
