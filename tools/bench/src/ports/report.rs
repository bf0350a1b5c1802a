//! The figures of `hpb bench ports`, for people and programs.

use serde::Serialize;

use super::Options;
use crate::report::{MachineLine, aligned, grouped, lines, table};
use crate::verdict::Verdict;

/// Grows when a field of the JSON changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// A port without the card; medians.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RawRow {
    /// The port.
    pub name: &'static str,
    /// 64-byte frames a second, one way, both ends in one thread.
    pub frames_per_second: f64,
    /// CPU nanoseconds of such a frame, both ends.
    pub cpu_ns_per_frame: f64,
    /// Frames of a full MTU a second.
    pub large_frames_per_second: f64,
    /// Round trips of one frame, microseconds.
    pub p50_us: f64,
    /// The slowest hundredth begins here.
    pub p99_us: f64,
    /// The slowest thousandth begins here.
    pub p999_us: f64,
}

/// A server of TCP, asked by a client over kernel sockets; medians.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TcpRow {
    /// The server.
    pub name: &'static str,
    /// Round trips of one message, microseconds.
    pub p50_us: f64,
    /// The slowest hundredth begins here.
    pub p99_us: f64,
    /// The slowest thousandth begins here.
    pub p999_us: f64,
    /// Messages a second of the closed loop.
    pub messages_per_second: f64,
    /// CPU nanoseconds of the server's thread a message of the closed loop.
    pub server_cpu_ns: f64,
    /// The same of both threads.
    pub both_cpu_ns: f64,
}

/// What this machine did not let measure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Skip {
    /// The target.
    pub name: &'static str,
    /// Why.
    pub reason: String,
}

/// Everything that is said about one run; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PortsReport {
    /// Grows when a field changes its meaning.
    pub schema_version: u32,
    /// The machine that measured.
    pub machine: MachineLine,
    /// The command that repeats the run.
    pub command: String,
    /// Repeats that the medians are over.
    pub repeats: usize,
    /// Sessions of the closed loop.
    pub sessions: usize,
    /// Ports without the card.
    pub raw: Vec<RawRow>,
    /// Servers of TCP.
    pub tcp: Vec<TcpRow>,
    /// What could not be measured, and why.
    pub skipped: Vec<Skip>,
    /// What was asked, and whether it was met.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl PortsReport {
    pub(super) fn new(
        machine: MachineLine,
        command: String,
        options: &Options,
        raw: Vec<RawRow>,
        tcp: Vec<TcpRow>,
        skipped: Vec<Skip>,
        notes: Vec<String>,
    ) -> Self {
        let verdicts = verdicts(&tcp);
        let (repeats, sessions) = (options.repeats, options.sessions);
        Self { schema_version: SCHEMA_VERSION, machine, command, repeats, sessions, raw, tcp, skipped, verdicts, notes }
    }

    /// The JSON of `--json`, indented, with a newline at its end.
    ///
    /// # Errors
    /// None in practice: every figure is finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The tables for a terminal.
    pub fn terminal(&self) -> String {
        let mut text = format!("{}\nmedians of {}\n", self.machine.host(), self.repeats);
        for rows in [self.raw_rows(), self.tcp_rows()].into_iter().filter(|rows| rows.len() > 1) {
            text.push('\n');
            aligned(&mut text, &rows);
        }
        text.push('\n');
        lines(&mut text, "", self.skipped());
        lines(&mut text, "", &self.notes);
        lines(&mut text, "", &self.verdicts);
        text
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## Ports\n\n- machine: {}\n- command: `{}`\n- medians of {} repeats, targets taken in turns\n- bare ports: \
             both ends in one thread; TCP: 64-byte messages of a client over kernel sockets on one core, the server on \
             another, closed loop over {} sessions\n\n",
            self.machine.host(),
            self.command,
            self.repeats,
            self.sessions
        );
        for rows in [self.raw_rows(), self.tcp_rows()].into_iter().filter(|rows| rows.len() > 1) {
            table(&mut text, &rows);
            text.push('\n');
        }
        lines(&mut text, "- ", self.skipped());
        lines(&mut text, "- ", &self.notes);
        lines(&mut text, "- ", &self.verdicts);
        text
    }

    fn skipped(&self) -> impl Iterator<Item = String> {
        self.skipped.iter().map(|Skip { name, reason }| format!("skipped {name}: {reason}"))
    }

    fn raw_rows(&self) -> Vec<Vec<String>> {
        let head = ["bare port", "frames/s 64 B", "CPU ns/frame", "frames/s 1,500 B", "p50 us", "p99 us", "p99.9 us"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.raw.iter().map(|row| {
            vec![
                row.name.to_owned(),
                grouped(row.frames_per_second),
                grouped(row.cpu_ns_per_frame),
                grouped(row.large_frames_per_second),
                format!("{:.1}", row.p50_us),
                format!("{:.1}", row.p99_us),
                format!("{:.1}", row.p999_us),
            ]
        }));
        rows
    }

    fn tcp_rows(&self) -> Vec<Vec<String>> {
        let head = ["TCP server", "p50 us", "p99 us", "p99.9 us", "messages/s", "server CPU ns", "both CPU ns"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.tcp.iter().map(|row| {
            vec![
                row.name.to_owned(),
                format!("{:.1}", row.p50_us),
                format!("{:.1}", row.p99_us),
                format!("{:.1}", row.p999_us),
                grouped(row.messages_per_second),
                grouped(row.server_cpu_ns),
                grouped(row.both_cpu_ns),
            ]
        }));
        rows
    }
}

/// The card on `AF_XDP` against the kernel's TCP over the same kind of cable.
fn verdicts(tcp: &[TcpRow]) -> Vec<Verdict> {
    let row = |name| tcp.iter().find(|row| row.name == name);
    let (Some(card), Some(kernel)) = (row("card-xdp"), row("kernel")) else { return Vec::new() };
    let ratio = |what: &str, figure: fn(&TcpRow) -> f64| {
        let what = format!("card on xdp over the kernel's TCP, {what}");
        Verdict::at_most(what, figure(card) / figure(kernel).max(f64::MIN_POSITIVE), 1.0, "x")
    };
    vec![
        ratio("round trip p99", |row| row.p99_us),
        ratio("CPU a message, the server's", |row| row.server_cpu_ns),
        ratio("CPU a message, both ends", |row| row.both_cpu_ns),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, p99_us: f64, cpu_ns: f64) -> TcpRow {
        TcpRow {
            name,
            p50_us: 1.0,
            p99_us,
            p999_us: 1.0,
            messages_per_second: 1.0,
            server_cpu_ns: cpu_ns,
            both_cpu_ns: cpu_ns,
        }
    }

    #[test]
    fn the_card_must_be_below_the_kernel_in_each_figure() {
        let met = |p99_us, cpu_ns| {
            let verdicts = verdicts(&[row("kernel", 30.0, 9_000.0), row("card-xdp", p99_us, cpu_ns)]);
            verdicts.iter().map(|verdict| verdict.met).collect::<Vec<_>>()
        };
        assert_eq!(met(20.0, 5_000.0), [true, true, true]);
        assert_eq!(met(31.0, 5_000.0), [false, true, true]);
        assert_eq!(met(20.0, 9_100.0), [true, false, false]);
        assert!(verdicts(&[row("kernel", 1.0, 1.0)]).is_empty(), "nothing to compare");
    }
}
