//! The two tools' figures side by side, and whether they say the same.

use std::fmt::Write as _;

use serde::Serialize;

use super::{DIFFERENCE_PERCENT_MAX, Mode, Options, Run};
use crate::record::{Buckets, Interval, Machine};
use crate::stats;

/// What the two tools say of one mode. Times are nanoseconds, round trips.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Compared {
    /// `ping-pong` or `under-load`.
    pub mode: &'static str,
    /// The lab's median of each repeat, from the moment at which messages did leave.
    pub lab_p50_ns: Vec<u64>,
    /// sockperf's.
    pub sockperf_p50_ns: Vec<u64>,
    /// By how many percent the lab's median of these differs from sockperf's.
    pub p50_difference_percent: f64,
    /// Whether that is little enough.
    pub p50_agrees: bool,
    /// The lab's 99th percentile of each repeat.
    pub lab_p99_ns: Vec<u64>,
    /// sockperf's.
    pub sockperf_p99_ns: Vec<u64>,
    /// Where the mean of the lab's lies.
    pub lab_p99: Interval,
    /// Where that of sockperf's lies.
    pub sockperf_p99: Interval,
    /// Whether these intervals overlap.
    pub p99_overlaps: bool,
    /// The lab's 99th percentile of each repeat from the moment at which messages were meant to leave.
    pub lab_intended_p99_ns: Vec<u64>,
    /// Messages of the lab, and of sockperf, over all repeats.
    pub messages: [u64; 2],
}

/// All of it; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SockperfReport {
    /// The machine.
    pub machine: Machine,
    /// Repeats of each tool in each mode.
    pub repeats: u32,
    /// Seconds of each.
    pub seconds: u32,
    /// Bytes of each message.
    pub message_len: u32,
    /// Messages a second under load.
    pub per_s: u32,
    /// Mode by mode.
    pub compared: Vec<Compared>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl Compared {
    pub(super) fn new(mode: Mode, ours: &[Run], theirs: &[Run]) -> Self {
        let at = |runs: &[Run], percent| -> Vec<u64> {
            runs.iter().filter_map(|run| run.service.percentile(percent)).collect()
        };
        let (lab_p50_ns, sockperf_p50_ns) = (at(ours, 50.0), at(theirs, 50.0));
        let (lab_p99_ns, sockperf_p99_ns) = (at(ours, 99.0), at(theirs, 99.0));
        let p50_difference_percent = (median(&lab_p50_ns) / median(&sockperf_p50_ns) - 1.0) * 100.0;
        let (lab_p99, sockperf_p99) = (interval(&lab_p99_ns), interval(&sockperf_p99_ns));
        let count = |runs: &[Run]| runs.iter().map(|run| run.service.count()).sum();
        let intended = ours.iter().filter_map(|run: &Run| Buckets::percentile(&run.latency, 99.0));
        Self {
            mode: mode.name(),
            p50_agrees: p50_difference_percent.abs() <= DIFFERENCE_PERCENT_MAX,
            p99_overlaps: lab_p99.low <= sockperf_p99.high && sockperf_p99.low <= lab_p99.high,
            lab_intended_p99_ns: intended.collect(),
            messages: [count(ours), count(theirs)],
            lab_p50_ns,
            sockperf_p50_ns,
            p50_difference_percent,
            lab_p99_ns,
            sockperf_p99_ns,
            lab_p99,
            sockperf_p99,
        }
    }
}

impl SockperfReport {
    pub(super) fn new(machine: Machine, options: &Options, compared: Vec<Compared>, notes: Vec<String>) -> Self {
        let Options { repeats, seconds, message_len, per_s } = *options;
        Self { machine, repeats, seconds, message_len, per_s, compared, notes }
    }

    /// Whether the two agree in each figure.
    pub fn agrees(&self) -> bool {
        self.compared.iter().all(|compared| compared.p50_agrees && compared.p99_overlaps)
    }

    /// The JSON of `--json`, indented, with a newline at its end.
    ///
    /// # Errors
    /// None in practice: every figure is finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The figures for a terminal.
    pub fn terminal(&self) -> String {
        let Self { machine, repeats, seconds, message_len, per_s, .. } = self;
        let mut text = format!(
            "{}, {} processors, Linux {}\nthe kernel's TCP over a virtual cable, one session of blocking calls, \
             {message_len} bytes there and back\n{repeats} repeats of {seconds} s of each tool in turn; whole round trips, \
             from the moment at which a message left\n",
            machine.processor, machine.processors, machine.kernel
        );
        for compared in &self.compared {
            let rate =
                if compared.mode == "under-load" { format!(", {per_s} messages a second") } else { String::new() };
            let [ours, theirs] = compared.messages;
            let _ = writeln!(text, "\n{}{rate}: {ours} messages by the lab, {theirs} by sockperf", compared.mode);
            for (tool, p50, p99, interval) in [
                ("lab", &compared.lab_p50_ns, &compared.lab_p99_ns, &compared.lab_p99),
                ("sockperf", &compared.sockperf_p50_ns, &compared.sockperf_p99_ns, &compared.sockperf_p99),
            ] {
                let _ = writeln!(
                    text,
                    "  {tool:<9} p50 {:>7} us ({})   p99 {:>7} us, {} to {} ({})",
                    micros(median(p50)),
                    list(p50),
                    micros(interval.value),
                    micros(interval.low),
                    micros(interval.high),
                    list(p99),
                );
            }
            let verdict = |holds, yes: &'static str, no: &'static str| if holds { yes } else { no };
            let _ = writeln!(
                text,
                "  medians of p50 differ by {:+.1} %: {} {DIFFERENCE_PERCENT_MAX:.0} %; intervals of p99 {}",
                compared.p50_difference_percent,
                verdict(compared.p50_agrees, "within", "NOT within"),
                verdict(compared.p99_overlaps, "overlap", "do NOT overlap"),
            );
            if compared.mode == "under-load" {
                let _ = writeln!(
                    text,
                    "  from the moment at which messages were meant to leave, which sockperf does not tell: p99 {} us ({})",
                    micros(median(&compared.lab_intended_p99_ns)),
                    list(&compared.lab_intended_p99_ns),
                );
            }
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

/// The median of figures; 0 of none.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds below 2^53")]
fn median(figures: &[u64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => 0.0,
        (Some(high), 0) => (sorted[middle - 1] + high) as f64 / 2.0,
        (Some(middle), _) => *middle as f64,
    }
}

#[allow(clippy::cast_precision_loss, reason = "nanoseconds below 2^53")]
fn interval(figures: &[u64]) -> Interval {
    stats::interval(&figures.iter().map(|figure| *figure as f64).collect::<Vec<_>>())
}

fn micros(nanos: f64) -> String {
    format!("{:.1}", nanos / 1e3)
}

#[allow(clippy::cast_precision_loss, reason = "nanoseconds below 2^53")]
fn list(figures: &[u64]) -> String {
    figures.iter().map(|figure| micros(*figure as f64)).collect::<Vec<_>>().join(" ")
}
