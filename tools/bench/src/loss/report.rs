//! The figures of `hpb bench loss`, for people and programs.

use serde::Serialize;

use super::{Options, wire};
use crate::report::{MachineLine, aligned, grouped, lines, table};
use crate::verdict::Verdict;

/// Grows when a field of the JSON changes its meaning.
const SCHEMA_VERSION: u32 = 1;
/// The loss at which the card is asked to keep up with the kernel.
const ASKED_LOSS_PPM: u32 = 10_000;

/// One sender over one wire.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LossRow {
    /// The sender.
    pub name: &'static str,
    /// The wire's delay in milliseconds each way.
    pub delay_ms: u64,
    /// Frames of a million that it loses, each way.
    pub loss_ppm: u32,
    /// Bytes that the stream's receiver got, in megabits a second.
    pub goodput_mbit_per_s: f64,
    /// Those bytes.
    pub bytes: u64,
    /// The time in which it got them.
    pub seconds: f64,
    /// Frames lost meanwhile, ACKs included.
    pub stream_lost: u64,
    /// Frames that found the queue full meanwhile.
    pub stream_overflowed: u64,
    /// Messages that arrived.
    pub messages: u64,
    /// Messages that did not, in time.
    pub messages_missing: u64,
    /// Frames lost meanwhile, ACKs included.
    pub messages_lost: u64,
    /// A message's way in milliseconds, from the moment at which it was meant to leave, the wire's delay included.
    pub p50_ms: f64,
    /// The slowest hundredth begins here.
    pub p99_ms: f64,
    /// The slowest thousandth begins here.
    pub p999_ms: f64,
}

/// What this machine did not let measure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Skip {
    /// The sender.
    pub name: &'static str,
    /// The wire's delay in milliseconds each way.
    pub delay_ms: u64,
    /// Frames of a million that it loses.
    pub loss_ppm: u32,
    /// Why.
    pub reason: String,
}

/// Everything that is said about one run; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LossReport {
    /// Grows when a field changes its meaning.
    pub schema_version: u32,
    /// The machine that measured.
    pub machine: MachineLine,
    /// The command that repeats the run.
    pub command: String,
    /// Sessions that send messages.
    pub sessions: usize,
    /// Messages of each a second.
    pub per_second: u64,
    /// Bytes of a message's body.
    pub message_len: usize,
    /// The wire's bits a second each way.
    pub rate_bits_per_s: u64,
    /// Bytes that wait for the wire at most.
    pub queue_len_max: u64,
    /// The figures.
    pub rows: Vec<LossRow>,
    /// What could not be measured, and why.
    pub skipped: Vec<Skip>,
    /// What was asked, and whether it was met.
    pub verdicts: Vec<Verdict>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl LossReport {
    pub(super) fn new(
        machine: MachineLine,
        command: String,
        options: &Options,
        rows: Vec<LossRow>,
        skipped: Vec<Skip>,
        notes: Vec<String>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            machine,
            command,
            sessions: options.sessions,
            per_second: options.per_second,
            message_len: options.message_len,
            rate_bits_per_s: wire::RATE_BITS_PER_S,
            queue_len_max: wire::QUEUE_LEN_MAX,
            verdicts: verdicts(&rows),
            rows,
            skipped,
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

    /// The table for a terminal.
    pub fn terminal(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.machine.host(), self.work());
        aligned(&mut text, &self.table());
        text.push('\n');
        lines(&mut text, "", self.lines());
        text
    }

    /// The section for `BENCHMARKS.md`.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## Loss\n\n- machine: {}\n- command: `{}`\n- {}\n\n",
            self.machine.host(),
            self.command,
            self.work()
        );
        table(&mut text, &self.table());
        text.push('\n');
        lines(&mut text, "- ", self.lines());
        text
    }

    fn work(&self) -> String {
        format!(
            "a wire of {} Mbit/s with a queue of {} KiB and losses of a fixed seed, both ways; a kernel socket receives; \
             first one session streams, then {} sessions send {} messages of {} bytes a second each",
            self.rate_bits_per_s / 1_000_000,
            self.queue_len_max >> 10,
            self.sessions,
            self.per_second,
            self.message_len
        )
    }

    fn lines(&self) -> Vec<String> {
        let skipped = self.skipped.iter().map(|skip| {
            let Skip { name, delay_ms, loss_ppm, reason } = skip;
            format!("skipped {name} at {delay_ms} ms and {} % loss: {reason}", percent(*loss_ppm))
        });
        let missing = self.rows.iter().filter(|row| row.messages_missing > 0).map(|row| {
            let LossRow { name, delay_ms, loss_ppm, messages_missing, .. } = row;
            let percent = percent(*loss_ppm);
            format!("{name} at {delay_ms} ms and {percent} % loss: {messages_missing} messages had not come in time")
        });
        let verdicts = self.verdicts.iter().map(ToString::to_string);
        skipped.chain(missing).chain(self.notes.iter().cloned()).chain(verdicts).collect()
    }

    #[allow(clippy::cast_precision_loss, reason = "below 2^53 frames and messages")]
    fn table(&self) -> Vec<Vec<String>> {
        let head = [
            "sender",
            "delay ms",
            "loss %",
            "Mbit/s",
            "MB",
            "s",
            "lost",
            "queue full",
            "messages",
            "lost",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
        ];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(self.rows.iter().map(|row| {
            vec![
                row.name.to_owned(),
                row.delay_ms.to_string(),
                percent(row.loss_ppm),
                format!("{:.2}", row.goodput_mbit_per_s),
                format!("{:.1}", row.bytes as f64 / 1e6),
                format!("{:.1}", row.seconds),
                grouped(row.stream_lost as f64),
                grouped(row.stream_overflowed as f64),
                grouped(row.messages as f64),
                grouped(row.messages_lost as f64),
                format!("{:.2}", row.p50_ms),
                format!("{:.2}", row.p99_ms),
                format!("{:.2}", row.p999_ms),
            ]
        }));
        rows
    }
}

fn percent(loss_ppm: u32) -> String {
    (f64::from(loss_ppm) / 1e4).to_string()
}

/// The card against the better of the kernel's, where a frame of a hundred is lost.
fn verdicts(rows: &[LossRow]) -> Vec<Verdict> {
    let asked = rows.iter().filter(|row| row.name == "card" && row.loss_ppm == ASKED_LOSS_PPM);
    let verdict = |card: &LossRow| {
        let same_wire = |row: &&LossRow| row.loss_ppm == card.loss_ppm && row.delay_ms == card.delay_ms;
        let kernels = rows.iter().filter(same_wire).filter(|row| row.name != "card");
        let best_ms = kernels.map(|row| row.p99_ms).min_by(f64::total_cmp)?;
        let what = format!(
            "card over the better of the kernel's at {} ms and {} % loss, p99 of messages",
            card.delay_ms,
            percent(card.loss_ppm)
        );
        Some(Verdict::at_most(what, card.p99_ms / best_ms.max(f64::MIN_POSITIVE), 1.0, "x"))
    };
    asked.filter_map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, loss_ppm: u32, p99_ms: f64) -> LossRow {
        LossRow {
            name,
            delay_ms: 1,
            loss_ppm,
            goodput_mbit_per_s: 1.0,
            bytes: 1,
            seconds: 1.0,
            stream_lost: 0,
            stream_overflowed: 0,
            messages: 1,
            messages_missing: 0,
            messages_lost: 0,
            p50_ms: 1.0,
            p99_ms,
            p999_ms: p99_ms,
        }
    }

    #[test]
    fn the_card_must_not_be_slower_than_the_better_of_the_kernel_s() {
        let met = |card_ms| {
            let rows = [row("kernel-cubic", 10_000, 9.0), row("kernel-bbr", 10_000, 8.0), row("card", 10_000, card_ms)];
            verdicts(&rows).iter().map(|verdict| verdict.met).collect::<Vec<_>>()
        };
        assert_eq!((met(8.0), met(8.1)), (vec![true], vec![false]));
        assert!(verdicts(&[row("card", 10_000, 1.0)]).is_empty(), "nothing to compare");
        assert!(verdicts(&[row("kernel-cubic", 0, 1.0), row("card", 0, 1.0)]).is_empty(), "nothing was asked there");
    }

    #[test]
    fn shares_are_said_as_they_were_asked_for() {
        assert_eq!([0, 1_000, 10_000, 50_000].map(percent), ["0", "0.1", "1", "5"]);
    }
}
