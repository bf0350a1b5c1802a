//! The figures of `hpb bench flood`, for people and programs.

use hpb_base::limits::HALF_OPEN_BYTES_MAX;
use hpb_host::conditions::Conditions;
use serde::Serialize;

use super::clients::{MESSAGE_LEN, OPENING_NS_MAX, Seen};
use super::{Marks, Options};
use crate::report::{MachineLine, aligned, grouped, lines, table};
use crate::verdict::Verdict;

/// Grows when a field of the JSON changes its meaning.
const SCHEMA_VERSION: u32 = 1;
/// How much larger the p99 may be with the flood at the card than with the flood dropped before it.
const P99_RATIO_MAX: f64 = 2.0;
/// KiB that the last phase may add beyond what the second adds for its new sessions, however long it is: the buffers of
/// all sessions that may be half open.
const GROWTH_KIB_MAX: u64 = (HALF_OPEN_BYTES_MAX >> 10) as u64;
/// Share of the dropped flood's SYNs a second that must come to the card for the two to be the same flood.
const SAME_FLOOD_SHARE_MIN: f64 = 0.5;
/// Share of the second phase that the card's thread may wait for its core, unless it waited longer in the last.
const WAITED_SHARE_MAX: f64 = 0.02;

/// What was seen in one phase.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Phase {
    /// Who met the flood.
    pub name: &'static str,
    /// The flood's length in seconds; 0 without one.
    pub flood_seconds: f64,
    /// SYNs that XDP dropped.
    pub syns_dropped: u64,
    /// SYNs that came to the card, those of the new sessions included.
    pub syns_at_card: u64,
    /// Frames that found the card's rings full, SYNs nearly all of them: calls have a ring of their own.
    pub frames_lost: u64,
    /// SYNs that hping3 says it sent; `None` if it did not say.
    pub syns_claimed: Option<u64>,
    /// SYNs of the flood a second, as counted where they arrive: dropped by XDP, lost at the card's rings, at the card.
    pub syns_per_second: f64,
    /// SYNs answered by a cookie.
    pub cookies_sent: u64,
    /// Sessions opened by a cookie that came back.
    pub cookies_taken: u64,
    /// Echoes that came back.
    pub echoes: u64,
    /// Median latency from the time at which an echo was meant to leave, in microseconds.
    pub p50_us: f64,
    /// 99 in 100 were faster.
    pub p99_us: f64,
    /// 999 in 1,000 were faster.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// Echoing sessions that were lost.
    pub sessions_lost: u64,
    /// Echoes that did not come back, or came back wrong.
    pub unanswered: u64,
    /// New sessions that opened.
    pub opened: usize,
    /// Those that opened within 3 s of the first one's call.
    pub opened_in_time: usize,
    /// Milliseconds from the first new session's call until the last one's first echo; `None` if not all opened.
    pub opening_ms: Option<f64>,
    /// Resident memory of card and clients before the phase, in KiB.
    pub resident_before_kib: u64,
    /// The same after it, with all that the flood left.
    pub resident_after_kib: u64,
    /// CPU seconds of the card's thread.
    pub card_cpu_seconds: f64,
    /// Milliseconds for which the card's thread had work to do and no core.
    pub card_waited_ms: f64,
}

/// Everything that is said about one run; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FloodReport {
    /// Grows when a field changes its meaning.
    pub schema_version: u32,
    /// The machine that measured.
    pub machine: MachineLine,
    /// The command that repeats the run.
    pub command: String,
    /// Sessions that echo, and as many that open in each phase.
    pub sessions: usize,
    /// Milliseconds from one echo of a session to its next.
    pub interval_ms: u64,
    /// Milliseconds of a phase.
    pub phase_ms: u64,
    /// The phases: quiet, the flood dropped by XDP; with another card quiet, the flood to the card.
    pub phases: Vec<Phase>,
    /// The last phase's p99 divided by the second's.
    pub p99_ratio: f64,
    /// What was asked, and whether it was met.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl Phase {
    pub(super) fn new(
        name: &'static str,
        seen: &Seen,
        flood_ns: u64,
        syns_claimed: Option<u64>,
        before: &Marks,
        after: &Marks,
    ) -> Self {
        let latency = |quantile| thousandths(seen.latency.value_at_quantile(quantile));
        let flood_seconds = thousandths(flood_ns) / 1e6;
        let (syns_dropped, syns_at_card) = (after.dropped - before.dropped, after.syns - before.syns);
        let frames_lost = after.lost_frames - before.lost_frames;
        let syns = syns_dropped + frames_lost + syns_at_card.saturating_sub(seen.opened as u64);
        Self {
            name,
            flood_seconds,
            syns_dropped,
            syns_at_card,
            frames_lost,
            syns_claimed,
            syns_per_second: if flood_ns > 0 { figure(syns) / flood_seconds } else { 0.0 },
            cookies_sent: after.cookies_sent - before.cookies_sent,
            cookies_taken: after.cookies_taken - before.cookies_taken,
            echoes: seen.latency.len(),
            p50_us: latency(0.5),
            p99_us: latency(0.99),
            p999_us: latency(0.999),
            max_us: thousandths(seen.latency.max()),
            sessions_lost: seen.lost,
            unanswered: seen.unanswered,
            opened: seen.opened,
            opened_in_time: seen.opened_in_time,
            opening_ms: seen.opening_ns.map(|ns| thousandths(ns) / 1e3),
            resident_before_kib: before.resident >> 10,
            resident_after_kib: after.resident >> 10,
            card_cpu_seconds: thousandths(after.times.ran_ns - before.times.ran_ns) / 1e6,
            card_waited_ms: thousandths(after.times.waited_ns - before.times.waited_ns) / 1e3,
        }
    }

    /// Resident KiB that the phase added.
    #[allow(clippy::cast_precision_loss, reason = "KiB below 2^53")]
    fn growth_kib(&self) -> f64 {
        self.resident_after_kib as f64 - self.resident_before_kib as f64
    }
}

impl FloodReport {
    pub(super) fn new(
        machine: MachineLine,
        command: String,
        options: &Options,
        (client_core, lane_core): (usize, usize),
        phases: Vec<Phase>,
        conditions: &Conditions,
    ) -> Self {
        let mut notes = vec![
            format!(
                "the card's lane has core {lane_core} for itself; clients and hping3 share core {client_core}, as if \
                 they were one host, and so does the kernel's work for what they send; the same in every phase"
            ),
            "latency from the time at which an echo was meant to leave, by kernel sockets; the card runs AF_XDP on a \
             veth and answers the flood's random addresses by way of the clients' host"
                .to_owned(),
            "memory is that of this process, card and clients; what the flood may add to it is bounded by the buffers of \
             sessions that are half open, whatever its rate and length"
                .to_owned(),
        ];
        notes.extend(conditions.notes());
        let verdicts = verdicts(options, &phases);
        let p99_ratio = p99_ratio(&phases);
        Self {
            schema_version: SCHEMA_VERSION,
            machine,
            command,
            sessions: options.sessions,
            interval_ms: options.interval.as_millis(),
            phase_ms: options.phase.as_millis(),
            phases,
            p99_ratio,
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

    /// The tables for a terminal: at most 120 columns, no colours.
    pub fn terminal(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.machine.host(), self.work());
        aligned(&mut text, &self.echo_rows());
        text.push('\n');
        aligned(&mut text, &self.flood_rows());
        text.push('\n');
        lines(&mut text, "", &self.verdicts);
        text.push('\n');
        lines(&mut text, "", self.counts().iter().chain(&self.notes));
        text
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## A flood of SYNs\n\n- machine: {}\n- command: `{}`\n- work: {}\n\n",
            self.machine.host(),
            self.command,
            self.work()
        );
        table(&mut text, &self.echo_rows());
        text.push('\n');
        table(&mut text, &self.flood_rows());
        text.push('\n');
        lines(&mut text, "- ", self.counts().iter().chain(&self.notes));
        lines(&mut text, "- ", &self.verdicts);
        text
    }

    fn work(&self) -> String {
        format!(
            "{} sessions echo {MESSAGE_LEN} B every {} ms each and {} more open, {:.1} s a phase; the flood: hping3 \
             --flood -S --rand-source",
            self.sessions,
            self.interval_ms,
            self.sessions,
            figure(self.phase_ms) / 1e3
        )
    }

    fn echo_rows(&self) -> Vec<Vec<String>> {
        let head = ["phase", "echoes", "p50 us", "p99 us", "p99.9 us", "max us", "lost", "new open", "within ms"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.phases.iter().map(|phase| {
            let mut row = vec![phase.name.to_owned(), grouped(figure(phase.echoes))];
            row.extend([phase.p50_us, phase.p99_us, phase.p999_us, phase.max_us].map(grouped));
            row.push(phase.sessions_lost.to_string());
            row.push(grouped(figure(phase.opened as u64)));
            row.push(phase.opening_ms.map_or_else(|| "never".to_owned(), grouped));
            row
        }));
        rows
    }

    fn flood_rows(&self) -> Vec<Vec<String>> {
        let head =
            ["phase", "SYN/s", "cookies sent", "taken", "frames lost", "card's CPU s", "KiB before", "KiB after"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.phases.iter().map(|phase| {
            let mut row = vec![phase.name.to_owned(), grouped(phase.syns_per_second)];
            let counts = [phase.cookies_sent, phase.cookies_taken, phase.frames_lost];
            row.extend(counts.map(|count| grouped(figure(count))));
            row.push(format!("{:.2}", phase.card_cpu_seconds));
            row.extend([phase.resident_before_kib, phase.resident_after_kib].map(|kib| grouped(figure(kib))));
            row
        }));
        rows
    }

    /// What the flood's own program says beside what was counted.
    fn counts(&self) -> Vec<String> {
        let flooded = self.phases.iter().filter(|phase| phase.flood_seconds > 0.0);
        let line = |phase: &Phase| {
            let counted = grouped(figure(phase.syns_dropped + phase.frames_lost + phase.syns_at_card));
            let claimed = phase.syns_claimed.map_or_else(|| "nothing".to_owned(), |count| grouped(figure(count)));
            format!(
                "{}: {counted} SYNs counted in {:.1} s, hping3 says {claimed}; the card's thread waited {:.0} ms for \
                 its core",
                phase.name, phase.flood_seconds, phase.card_waited_ms
            )
        };
        flooded.map(line).collect()
    }
}

fn p99_ratio(phases: &[Phase]) -> f64 {
    match phases {
        [_, dropped, _, at_card] if dropped.p99_us > 0.0 => at_card.p99_us / dropped.p99_us,
        _ => 0.0,
    }
}

/// The last phase beside the second.
fn verdicts(options: &Options, phases: &[Phase]) -> Vec<Verdict> {
    let [_, dropped, _, at_card] = phases else { return Vec::new() };
    let weak = at_card.syns_per_second < dropped.syns_per_second * SAME_FLOOD_SHARE_MIN || at_card.syns_at_card == 0;
    let weak = weak.then(|| "the flood to the card was not the one that XDP dropped".to_owned());
    let waited_ms_max = figure(options.phase.as_millis()) * WAITED_SHARE_MAX;
    let is_disturbed = dropped.card_waited_ms > waited_ms_max.max(at_card.card_waited_ms);
    let disturbed = is_disturbed.then(|| {
        format!(
            "with the flood dropped, others held the card's core for {:.0} ms: run it again",
            dropped.card_waited_ms
        )
    });
    let verdicts = [
        Verdict::at_most(
            "sessions lost and echoes unanswered under the flood".to_owned(),
            figure(at_card.sessions_lost + at_card.unanswered),
            0.0,
            "lost",
        ),
        Verdict::at_most(
            "p99 under the flood over that of the flood dropped by XDP".to_owned(),
            p99_ratio(phases),
            P99_RATIO_MAX,
            "x",
        )
        .unless(disturbed),
        Verdict::at_least(
            format!("new sessions open within {} s under the flood", OPENING_NS_MAX / 1_000_000_000),
            figure(at_card.opened_in_time as u64),
            figure(options.sessions as u64),
            "sessions",
        ),
        Verdict::at_most(
            "memory added under the flood beyond the flood dropped by XDP".to_owned(),
            at_card.growth_kib() - dropped.growth_kib().max(0.0),
            figure(GROWTH_KIB_MAX),
            "KiB",
        ),
    ];
    verdicts.map(|verdict| verdict.unless(weak.clone())).to_vec()
}

#[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn figure(count: u64) -> f64 {
    count as f64
}

fn thousandths(nanoseconds: u64) -> f64 {
    figure(nanoseconds) / 1e3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn phase(name: &'static str, p99_us: f64, syns: u64) -> Phase {
        Phase {
            name,
            flood_seconds: 5.0,
            syns_dropped: 0,
            syns_at_card: syns,
            frames_lost: 0,
            syns_claimed: Some(syns),
            syns_per_second: figure(syns) / 5.0,
            cookies_sent: syns,
            cookies_taken: 1_000,
            echoes: 100_000,
            p50_us: 1.0,
            p99_us,
            p999_us: 1.0,
            max_us: 1.0,
            sessions_lost: 0,
            unanswered: 0,
            opened: 1_000,
            opened_in_time: 1_000,
            opening_ms: Some(90.0),
            resident_before_kib: 60_000,
            resident_after_kib: 90_000,
            card_cpu_seconds: 1.0,
            card_waited_ms: 0.0,
        }
    }

    fn report(change: impl FnOnce(&mut [Phase; 4])) -> FloodReport {
        let quiet = phase("quiet", 1_000.0, 0);
        let (dropped, card) = (phase("dropped", 5_000.0, 600_000), phase("card", 6_000.0, 500_000));
        let mut phases = [quiet.clone(), dropped, quiet, card];
        change(&mut phases);
        let options = Options::DEFAULT;
        let machine = MachineLine::read(None);
        FloodReport::new(machine, "hpb".to_owned(), &options, (1, 0), phases.to_vec(), &Conditions::default())
    }

    fn met(change: impl FnOnce(&mut [Phase; 4])) -> [bool; 4] {
        let verdicts = report(change).verdicts;
        verdicts.iter().map(|verdict| verdict.met).collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn each_of_the_four_can_be_missed() {
        assert_eq!(met(|_| {}), [true; 4]);
        assert_eq!(met(|phases| phases[3].sessions_lost = 1), [false, true, true, true]);
        assert_eq!(met(|phases| phases[3].unanswered = 1), [false, true, true, true]);
        assert_eq!(met(|phases| phases[3].p99_us = 10_100.0), [true, false, true, true]);
        assert_eq!(met(|phases| phases[3].opened_in_time = 999), [true, true, false, true]);
        let most = 90_000 + (64 << 10);
        assert_eq!(met(|phases| phases[3].resident_after_kib = most), [true; 4]);
        assert_eq!(met(|phases| phases[3].resident_after_kib = most + 1), [true, true, true, false]);
        assert_eq!(
            met(|phases| phases[1].sessions_lost = 1),
            [true; 4],
            "the flood that XDP drops is no test of the card"
        );
    }

    #[test]
    fn another_flood_or_a_busy_machine_makes_no_hit() {
        let weaker = |phases: &mut [Phase; 4]| phases[3].syns_per_second = 50_000.0;
        assert_eq!(met(weaker), [false; 4]);
        assert!(report(weaker).terminal().contains("UNSURE"));
        assert_eq!(met(|phases| phases[3].syns_at_card = 0), [false; 4]);
        assert_eq!(met(|phases| phases[1].card_waited_ms = 101.0), [true, false, true, true]);
        let both = |phases: &mut [Phase; 4]| (phases[1].card_waited_ms, phases[3].card_waited_ms) = (101.0, 102.0);
        assert_eq!(met(both), [true; 4], "the flood to the card was held up more");
    }

    #[test]
    fn every_phase_is_in_every_form() {
        let report = report(|phases| phases[3].opening_ms = None);
        let json = report.to_json().unwrap();
        for text in [report.terminal(), report.markdown(), json] {
            for phase in ["quiet", "dropped", "card"] {
                assert!(text.contains(phase), "{phase}: {text}");
            }
        }
        assert!(report.terminal().contains("never") && report.terminal().contains("hping3 says 500,000"));
        assert!((report.p99_ratio - 1.2).abs() < 1e-9);
    }
}
