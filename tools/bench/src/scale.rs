//! `hpb bench sessions --scale`: what a round trip of the card costs as its sessions grow. Sizes take turns, as targets
//! do in the [`runner`], so that a slow minute of the machine hits every size.

use std::fmt::Write as _;

use hpb_host::conditions::Conditions;
use serde::Serialize;

use crate::kernel::KernelOptions;
use crate::report::{MachineLine, aligned, grouped, table};
use crate::runner::{self, RunError, TargetResult, median};
use crate::sessions;
use crate::target::Work;
use crate::verdict::Verdict;

/// Grows when a field of the JSON changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;
/// The size that others are compared with, if it is measured; else the smallest is.
pub const BASE_SESSIONS: usize = 10_000;
/// How much more a round trip may cost at more sessions than [`BASE_SESSIONS`].
const RELATIVE_MAX: f64 = 1.5;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sizes.
    pub counts: Vec<usize>,
    /// Targets of the card.
    pub targets: Vec<&'static str>,
    /// How often each size of each target is set up and measured.
    pub repeats: usize,
}

/// One target at one size; medians.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// The target's name.
    pub name: &'static str,
    /// Its sessions.
    pub sessions: usize,
    /// Closed loop: CPU nanoseconds a round trip, both ends.
    pub cpu_ns_per_round_trip: f64,
    /// `cpu_ns_per_round_trip` over that of the same target at the base size.
    pub relative: f64,
    /// One message in flight: CPU nanoseconds a round trip, both ends.
    pub ping_pong_ns: f64,
    /// CPU nanoseconds of a broadcast a peer, both ends.
    pub broadcast_cpu_ns_per_peer: f64,
    /// Bytes of one end of a session.
    pub bytes_per_session: f64,
}

/// Everything that is said about one run; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ScaleReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The machine that measured.
    pub machine: MachineLine,
    /// The command that repeats the run.
    pub command: String,
    /// Repeats that the medians are over.
    pub repeats: usize,
    /// Sessions of the size that others are compared with.
    pub base_sessions: usize,
    /// By target, then by size.
    pub scale: Vec<Row>,
    /// What was asked, and whether it was met.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// Measures; `command` is what the user typed, `progress` is told what is under way.
///
/// # Errors
/// As [`runner::run`].
pub fn run(options: &Options, command: String, progress: &mut dyn FnMut(&str)) -> Result<ScaleReport, RunError> {
    measured(options, command, &Work::new, progress)
}

fn measured(
    options: &Options,
    command: String,
    work: &dyn Fn(usize) -> Work,
    progress: &mut dyn FnMut(&str),
) -> Result<ScaleReport, RunError> {
    let conditions = Conditions::read();
    let mut counts = options.counts.clone();
    counts.sort_unstable();
    counts.dedup();
    let Some(smallest) = counts.first() else { return Err(RunError::Nothing) };
    let base = if counts.contains(&BASE_SESSIONS) { BASE_SESSIONS } else { *smallest };
    let mut results: Vec<TargetResult> = Vec::new();
    for repeat in 0..options.repeats {
        for turn in 0..counts.len() {
            let count = counts[(turn + repeat) % counts.len()];
            let mut targets = sessions::targets(&options.targets, &KernelOptions::default());
            let work = Work { repeats: 1, ..work(count) };
            let outcome = runner::run(&mut targets, &work, &mut |line| {
                let name = line.split(':').next().unwrap_or(line);
                progress(&format!("{name}, {count} sessions: repeat {} of {}", repeat + 1, options.repeats));
            })?;
            results.extend(outcome.results);
        }
    }
    let mut rows = Vec::new();
    for name in &options.targets {
        rows.extend(counts.iter().map(|count| row(name, *count, &results)));
    }
    relate(&mut rows, base);
    Ok(ScaleReport {
        schema_version: SCHEMA_VERSION,
        machine: MachineLine::read(None),
        command,
        repeats: options.repeats,
        base_sessions: base,
        verdicts: verdicts(&rows, base),
        scale: rows,
        notes: conditions.notes(),
    })
}

fn row(name: &'static str, sessions: usize, results: &[TargetResult]) -> Row {
    let middle = |figure: fn(&TargetResult) -> f64| {
        let of_row = results.iter().filter(|result| result.name == name && result.sessions == sessions);
        median(&mut of_row.map(figure).collect::<Vec<f64>>())
    };
    Row {
        name,
        sessions,
        cpu_ns_per_round_trip: middle(|result| result.cpu_ns_per_round_trip),
        relative: 0.0,
        ping_pong_ns: middle(|result| result.ping_pong_ns),
        broadcast_cpu_ns_per_peer: middle(|result| result.broadcast_cpu_ns_per_peer),
        bytes_per_session: middle(|result| result.bytes_per_session),
    }
}

/// Fills in what each row costs relative to its target's row at `base` sessions.
fn relate(rows: &mut [Row], base: usize) {
    let costs: Vec<(&str, f64)> =
        rows.iter().filter(|row| row.sessions == base).map(|row| (row.name, row.cpu_ns_per_round_trip)).collect();
    for row in rows {
        let cost = costs.iter().find(|(name, _)| *name == row.name).map_or(0.0, |(_, cost)| *cost);
        row.relative = if cost > 0.0 { row.cpu_ns_per_round_trip / cost } else { 0.0 };
    }
}

fn verdicts(rows: &[Row], base: usize) -> Vec<Verdict> {
    let judged = rows.iter().filter(|row| base == BASE_SESSIONS && row.sessions > base);
    judged
        .map(|row| {
            let what = format!("{}, CPU a round trip at {} sessions over that at {base}", row.name, row.sessions);
            Verdict::at_most(what, row.relative, RELATIVE_MAX, "x")
        })
        .collect()
}

impl ScaleReport {
    /// The JSON of `--json`, indented, with a newline at its end.
    ///
    /// # Errors
    /// None in practice: every figure is finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The table for a terminal: at most 120 columns, no colours.
    pub fn terminal(&self) -> String {
        let mut text = format!("{}\nmedians of {}\n\n", self.machine.host(), self.repeats);
        aligned(&mut text, &self.rows());
        for line in &self.notes {
            let _ = write!(text, "\n{line}\n");
        }
        if !self.verdicts.is_empty() {
            text.push('\n');
        }
        for verdict in &self.verdicts {
            let _ = writeln!(text, "{verdict}");
        }
        text
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## Growth of sessions\n\n- machine: {}\n- command: `{}`\n- medians of {} repeats, sizes taken in turns\n\n",
            self.machine.host(),
            self.command,
            self.repeats
        );
        table(&mut text, &self.rows());
        text.push('\n');
        for line in &self.notes {
            let _ = writeln!(text, "- {line}");
        }
        for verdict in &self.verdicts {
            let _ = writeln!(text, "- {verdict}");
        }
        text
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let relative = format!("of that at {}", self.base_sessions);
        let head =
            ["target", "sessions", "CPU ns/round trip", &relative, "one in flight ns", "CPU ns/peer", "B/session"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.scale.iter().map(|row| {
            vec![
                row.name.to_owned(),
                row.sessions.to_string(),
                grouped(row.cpu_ns_per_round_trip),
                format!("{:.2}x", row.relative),
                grouped(row.ping_pong_ns),
                grouped(row.broadcast_cpu_ns_per_peer),
                grouped(row.bytes_per_session),
            ]
        }));
        rows
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn small(sessions: usize) -> Work {
        Work { closed_loop_round_trips: 60, ping_pong_round_trips: 10, broadcasts: 1, ..Work::new(sessions) }
    }

    fn row(sessions: usize, cost: f64) -> Row {
        Row {
            name: "card",
            sessions,
            cpu_ns_per_round_trip: cost,
            relative: 0.0,
            ping_pong_ns: 1.0,
            broadcast_cpu_ns_per_peer: 1.0,
            bytes_per_session: 1.0,
        }
    }

    #[test]
    fn every_size_of_every_target_has_a_row() {
        let options = Options { counts: vec![20, 5, 20], targets: vec!["card", "card-encrypted"], repeats: 1 };
        let mut told = Vec::new();
        let report = measured(&options, "x".into(), &small, &mut |line| told.push(line.to_owned())).unwrap();
        let rows: Vec<(&str, usize)> = report.scale.iter().map(|row| (row.name, row.sessions)).collect();
        assert_eq!(rows, [("card", 5), ("card", 20), ("card-encrypted", 5), ("card-encrypted", 20)]);
        assert!(report.scale.iter().all(|row| row.cpu_ns_per_round_trip > 0.0 && row.relative > 0.0));
        assert_eq!(report.base_sessions, 5);
        assert!((report.scale[0].relative - 1.0).abs() < 1e-9);
        assert!(report.verdicts.is_empty(), "nothing was asked of these sizes");
        assert_eq!(told[0], "card, 5 sessions: repeat 1 of 1");
    }

    #[test]
    fn more_sessions_than_ten_thousand_are_judged() {
        let mut rows = vec![row(100, 1_000.0), row(10_000, 2_000.0), row(50_000, 3_100.0)];
        relate(&mut rows, BASE_SESSIONS);
        assert_eq!(rows.iter().map(|row| row.relative).collect::<Vec<_>>(), [0.5, 1.0, 1.55]);
        let verdicts = verdicts(&rows, BASE_SESSIONS);
        assert_eq!(verdicts.len(), 1);
        assert!(!verdicts[0].met && verdicts[0].what.contains("50000 sessions"));
    }

    #[test]
    fn no_size_is_no_run() {
        let options = Options { counts: Vec::new(), targets: vec!["card"], repeats: 1 };
        assert!(matches!(run(&options, "x".into(), &mut |_| ()), Err(RunError::Nothing)));
    }
}
