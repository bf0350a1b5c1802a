//! A run's figures for people and programs: a table on the terminal, JSON, and the page `BENCHMARKS.md`.
//!
//! JSON (`--json`): `schema_version`, `machine{cpu,kernel,cores,congestion_control}`, `command`, `sessions_asked`,
//! `sessions`, `repeats`, `targets[]` ([`TargetResult`]), `details[]` ([`TargetDetail`]), `ratios[]` ([`Ratio`]),
//! `skipped[]`, `cross_check` (or null), `notes[]`. Times are in the unit of the field's name, medians over the repeats.

use std::fmt::{Display, Write as _};
use std::fs;
use std::thread;

use serde::Serialize;

use crate::kernel::sockperf::CrossCheck;
use crate::memory;
use crate::runner::{Outcome, SessionCount, Skipped, TargetDetail, TargetResult};
use crate::target::Work;
use crate::verdict::Verdict;

/// Grows when a field of the JSON changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The machine that measured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MachineLine {
    /// The processor's own name.
    pub cpu: String,
    /// The kernel's release.
    pub kernel: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The congestion control of kernel sockets in this run.
    pub congestion_control: String,
}

impl MachineLine {
    /// This machine; what cannot be read is `unknown`. `congestion_control` is the one chosen, if one was.
    pub fn read(congestion_control: Option<&str>) -> Self {
        let unknown = || String::from("unknown");
        let file = |path| fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned());
        Self {
            cpu: hpb_host::processor().unwrap_or_else(unknown),
            kernel: file("/proc/sys/kernel/osrelease"),
            cores: thread::available_parallelism().map_or(1, usize::from),
            congestion_control: congestion_control
                .map_or_else(|| file("/proc/sys/net/ipv4/tcp_congestion_control"), str::to_owned),
        }
    }

    /// The machine in one line, without its TCP.
    pub fn host(&self) -> String {
        let Self { cpu, kernel, cores, .. } = self;
        format!("{cpu}, {cores} cores, Linux {kernel}")
    }

    fn line(&self) -> String {
        format!("{}, kernel TCP with {}", self.host(), self.congestion_control)
    }
}

/// How many times less a target costs than the best kernel target of its kind.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ratio {
    /// The target, which is not a kernel one.
    pub name: String,
    /// What it is compared with: for each figure the lower one of these.
    pub against: Vec<String>,
    /// Of `cpu_ns_per_round_trip`.
    pub closed_loop: f64,
    /// Of `ping_pong_ns`.
    pub ping_pong: f64,
    /// Of `broadcast_cpu_ns_per_peer`.
    pub broadcast_cpu: f64,
    /// Of `broadcast_last_us`.
    pub broadcast_last: f64,
    /// Of `bytes_per_session`.
    pub bytes: f64,
    /// What protection costs: this target's CPU a round trip divided by that of the same target without it. `None`
    /// where there is no such pair.
    pub encrypted_over_plain: Option<f64>,
}

/// Everything that is said about one run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The machine that measured.
    pub machine: MachineLine,
    /// The command that repeats the run.
    pub command: String,
    /// Sessions asked for.
    pub sessions_asked: usize,
    /// Sessions that every target held.
    pub sessions: usize,
    /// Repeats that the medians are over.
    pub repeats: usize,
    /// The figures.
    pub targets: Vec<TargetResult>,
    /// How far to trust them, in the same order.
    pub details: Vec<TargetDetail>,
    /// Targets against the kernel's.
    pub ratios: Vec<Ratio>,
    /// Targets that this machine does not offer.
    pub skipped: Vec<Skipped>,
    /// The comparison with a tool that is not ours, where it was made.
    pub cross_check: Option<CrossCheck>,
    /// What a reader must know: a lowered count, how memory was measured.
    pub notes: Vec<String>,
}

impl Report {
    /// Puts a run's parts together; `command` is what the user typed.
    pub fn new(machine: MachineLine, command: String, count: SessionCount, work: &Work, outcome: Outcome) -> Self {
        let mut notes: Vec<String> = count.note().into_iter().collect();
        notes.push(format!(
            "one thread a target, both ends in it; {} B echoes, {} B broadcasts; bytes a session of kernel targets: {}",
            work.message_len,
            work.broadcast_len,
            memory::METHOD
        ));
        Self {
            schema_version: SCHEMA_VERSION,
            machine,
            command,
            sessions_asked: count.asked,
            sessions: work.sessions,
            repeats: work.repeats,
            ratios: ratios(&outcome.results),
            targets: outcome.results,
            details: outcome.details,
            skipped: outcome.skipped,
            cross_check: None,
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
        let mut text = format!("{}\n{} sessions, medians of {}\n\n", self.machine.line(), self.sessions, self.repeats);
        aligned(&mut text, &self.figures());
        if !self.ratios.is_empty() {
            text.push('\n');
            aligned(&mut text, &self.ratio_rows());
        }
        text.push('\n');
        lines(&mut text, "", self.remarks());
        text
    }

    /// The section for `BENCHMARKS.md`: machine, command, tables, remarks.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## {} sessions\n\n- machine: {}\n- command: `{}`\n- medians of {} repeats, taken in turns\n\n",
            self.sessions,
            self.machine.line(),
            self.command,
            self.repeats
        );
        table(&mut text, &self.figures());
        if !self.ratios.is_empty() {
            text.push('\n');
            table(&mut text, &self.ratio_rows());
        }
        text.push('\n');
        lines(&mut text, "- ", self.remarks());
        text
    }

    fn figures(&self) -> Vec<Vec<String>> {
        let head = [
            "target",
            "round trips/s",
            "CPU ns/round trip",
            "one in flight ns",
            "broadcast last us",
            "CPU ns/peer",
            "B/session",
        ];
        let mut rows = vec![head.map(String::from).to_vec()];
        for target in &self.targets {
            let mut row = vec![target.name.clone()];
            row.extend(
                [
                    target.round_trips_per_s,
                    target.cpu_ns_per_round_trip,
                    target.ping_pong_ns,
                    target.broadcast_last_us,
                    target.broadcast_cpu_ns_per_peer,
                    target.bytes_per_session,
                ]
                .map(grouped),
            );
            rows.push(row);
        }
        rows
    }

    fn ratio_rows(&self) -> Vec<Vec<String>> {
        let head = ["times less than the better of", "", "closed loop", "one in flight", "broadcast CPU", "last peer"];
        let mut rows = vec![head.map(String::from).to_vec()];
        for ratio in &self.ratios {
            let mut row = vec![ratio.against.join(", "), ratio.name.clone()];
            let figures = [ratio.closed_loop, ratio.ping_pong, ratio.broadcast_cpu, ratio.broadcast_last];
            row.extend(figures.map(|times| format!("{times:.1}x")));
            rows.push(row);
        }
        rows
    }

    fn remarks(&self) -> Vec<String> {
        let encrypted = self.ratios.iter().filter_map(|ratio| {
            Some(format!("{}: {:.2}x the CPU of plain a round trip", ratio.name, ratio.encrypted_over_plain?))
        });
        let spread = self.details.iter().map(|detail| {
            format!(
                "{}: closed loop {} to {} ns over the repeats, one in flight {} ns of wall time, {} us of CPU to \
                 establish a session",
                detail.name,
                grouped(detail.cpu_ns_per_round_trip_min),
                grouped(detail.cpu_ns_per_round_trip_max),
                grouped(detail.ping_pong_wall_ns),
                grouped(detail.establish_cpu_us_per_session),
            )
        });
        let skipped = self.skipped.iter().map(|skipped| format!("{}: skipped, {}", skipped.name, skipped.reason));
        let cross_check = self.cross_check.iter().map(ToString::to_string);
        encrypted.chain(spread).chain(skipped).chain(cross_check).chain(self.notes.iter().cloned()).collect()
    }
}

fn is_kernel(name: &str) -> bool {
    name.starts_with("kernel-")
}

fn is_encrypted(name: &str) -> bool {
    name.ends_with("-encrypted")
}

/// Each target that is not the kernel's against the kernel targets of the same protection, figure by figure against the
/// lower one.
fn ratios(results: &[TargetResult]) -> Vec<Ratio> {
    results.iter().filter(|result| !is_kernel(&result.name)).filter_map(|result| ratio(result, results)).collect()
}

fn ratio(result: &TargetResult, results: &[TargetResult]) -> Option<Ratio> {
    let kernels: Vec<&TargetResult> = results
        .iter()
        .filter(|other| is_kernel(&other.name) && is_encrypted(&other.name) == is_encrypted(&result.name))
        .collect();
    if kernels.is_empty() {
        return None;
    }
    let times = |figure: fn(&TargetResult) -> f64| {
        let best = kernels.iter().map(|kernel| figure(kernel)).fold(f64::INFINITY, f64::min);
        quotient(best, figure(result))
    };
    let plain = result.name.strip_suffix("-encrypted").and_then(|name| results.iter().find(|other| other.name == name));
    Some(Ratio {
        name: result.name.clone(),
        against: kernels.iter().map(|kernel| kernel.name.clone()).collect(),
        closed_loop: times(|result| result.cpu_ns_per_round_trip),
        ping_pong: times(|result| result.ping_pong_ns),
        broadcast_cpu: times(|result| result.broadcast_cpu_ns_per_peer),
        broadcast_last: times(|result| result.broadcast_last_us),
        bytes: times(|result| result.bytes_per_session),
        encrypted_over_plain: plain.map(|plain| quotient(result.cpu_ns_per_round_trip, plain.cpu_ns_per_round_trip)),
    })
}

/// A quotient that JSON can hold: 0 where there is nothing to divide by.
fn quotient(numerator: f64, denominator: f64) -> f64 {
    if denominator > 0.0 { numerator / denominator } else { 0.0 }
}

/// A report of one table: what is said of a run, for a terminal and for the page.
pub(crate) struct Sheet<'r> {
    /// The section's heading.
    pub(crate) title: &'static str,
    pub(crate) machine: &'r MachineLine,
    /// What the user typed.
    pub(crate) command: &'r str,
    /// What was done, in a line.
    pub(crate) work: String,
    /// The table, its heads first.
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) notes: &'r [String],
    pub(crate) verdicts: &'r [Verdict],
}

impl Sheet<'_> {
    /// At most 120 columns, no colours.
    pub(crate) fn terminal(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.machine.host(), self.work);
        aligned(&mut text, &self.rows);
        text.push('\n');
        if !self.verdicts.is_empty() {
            lines(&mut text, "", self.verdicts);
            text.push('\n');
        }
        lines(&mut text, "", self.notes);
        text
    }

    /// The section for `BENCHMARKS.md`.
    pub(crate) fn markdown(&self) -> String {
        let Self { title, command, work, .. } = self;
        let host = self.machine.host();
        let mut text = format!("## {title}\n\n- machine: {host}\n- command: `{command}`\n- work: {work}\n\n");
        table(&mut text, &self.rows);
        text.push('\n');
        lines(&mut text, "- ", self.notes);
        lines(&mut text, "- ", self.verdicts);
        text
    }
}

/// A figure without decimals, its digits in threes.
pub(crate) fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    (0..columns).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect()
}

/// Rows with names to the left and figures to the right, two spaces apart.
pub(crate) fn aligned(text: &mut String, rows: &[Vec<String>]) {
    let widths = widths(rows);
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The same rows as a Markdown table.
pub(crate) fn table(text: &mut String, rows: &[Vec<String>]) {
    for (index, row) in rows.iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if index == 0 {
            let _ = writeln!(text, "| --- |{}", " ---: |".repeat(row.len() - 1));
        }
    }
}

/// Lines below a table, each behind `mark`: nothing on a terminal, `- ` on a page.
pub(crate) fn lines<L: Display>(text: &mut String, mark: &str, lines: impl IntoIterator<Item = L>) {
    for line in lines {
        let _ = writeln!(text, "{mark}{line}");
    }
}

#[cfg(test)]
mod tests;
