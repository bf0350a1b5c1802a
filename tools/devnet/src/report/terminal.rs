//! The summary at the end of a run, for the terminal: aligned, and coloured only where the caller says so.

use core::fmt::{self, Write};

use super::format::{bytes, counted, grouped, micros, millis, seconds, significant, tokens};
use super::{Level, Report, turns};

const LABEL_WIDTH: usize = 14;
const COLUMN_WIDTH: usize = 10;
const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// The summary, ending with a line end. `colour` says whether the terminal takes colours; without it the text has no
/// control character of ours.
pub fn summary(report: &Report, colour: bool) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_summary(&mut text, report, &Paint { colour });
    text
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.colour { format!("{code}{text}{PLAIN}") } else { text.to_owned() }
    }
}

fn write_summary(out: &mut String, report: &Report, paint: &Paint) -> fmt::Result {
    for finding in report.findings() {
        let (code, mark) = if finding.good { (GREEN, "ok") } else { (YELLOW, "!!") };
        writeln!(out, "{}  {}", paint.with(code, mark), finding.text)?;
    }
    writeln!(out)?;
    for (label, value) in rows(report) {
        writeln!(out, "{} {value}", paint.with(BOLD, &format!("{label:<LABEL_WIDTH$}")))?;
    }
    writeln!(out)?;
    write_latencies(out, report, paint)
}

fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let (sessions, transactions, blocks) = (&report.sessions, &report.transactions, &report.blocks);
    let mut rows = vec![
        (
            "sessions",
            format!(
                "{} of {} in {} · {} lost · {} reconnected · {} each",
                grouped(sessions.established),
                grouped(sessions.target),
                millis(sessions.establish_ms),
                grouped(sessions.lost),
                grouped(sessions.reconnected),
                bytes(sessions.bytes_per_session)
            ),
        ),
        (
            "transactions",
            format!(
                "{} submitted · {} accepted · {} final · {} rejected · {} expired",
                grouped(transactions.submitted),
                grouped(transactions.accepted),
                grouped(transactions.finals),
                grouped(transactions.rejected),
                grouped(transactions.expired)
            ),
        ),
    ];
    if !report.run.rejections.is_empty() {
        let reasons: Vec<String> =
            report.run.rejections.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count))).collect();
        rows.push(("rejected", reasons.join(" · ")));
    }
    rows.push(("rate", format!("{} tx/s final", significant(report.rate_tps))));
    rows.push((
        "digests",
        format!(
            "every {} · first terminal after {}, last after {}",
            millis(report.digest_interval_ms),
            micros(report.broadcast_us.first),
            micros(report.broadcast_us.last)
        ),
    ));
    rows.push((
        "blocks",
        format!(
            "{} produced · {} skipped · final up to slot {}, slice {}",
            grouped(blocks.produced),
            grouped(blocks.skipped),
            grouped(blocks.final_height),
            grouped(blocks.final_index)
        ),
    ));
    for (place, line) in turns::lines(report).into_iter().enumerate() {
        rows.push((if place == 0 { "epochs" } else { "" }, line));
    }
    rows.push(("verified", by_validator(&report.verified)));
    rows.push(("executed", by_validator(&report.executed)));
    rows.push((
        "cost",
        format!(
            "{} of processor time on {} in {} · {} of memory",
            seconds(report.cpu_seconds),
            counted(report.run.cores.into(), "core"),
            seconds(report.run.seconds),
            bytes(report.rss_bytes)
        ),
    ));
    rows.push((
        "fdatasync",
        format!("p50 {} · p99 {}", micros(report.fdatasync_us.p50), micros(report.fdatasync_us.p99)),
    ));
    rows.push(("supply", format!("{} tokens", tokens(report.supply.now))));
    if let Some(hash) = &report.run.trace_hash {
        rows.push(("trace hash", hash.clone()));
    }
    for note in &report.run.notes {
        rows.push(("note", note.clone()));
    }
    rows
}

fn by_validator(counts: &[u64]) -> String {
    let counts: Vec<String> = counts.iter().map(|count| grouped(*count)).collect();
    counts.join(" · ")
}

fn write_latencies(out: &mut String, report: &Report, paint: &Paint) -> fmt::Result {
    let mut head = format!("{:<LABEL_WIDTH$}", "latency");
    for column in ["count", "p50", "p90", "p99", "p99.9", "max"] {
        write!(head, "{column:>COLUMN_WIDTH$}")?;
    }
    writeln!(out, "{}", paint.with(BOLD, &head))?;
    for (level, quantiles) in Level::ALL.into_iter().zip(report.latency_us.by_level()) {
        let label = match level {
            Level::ConfirmedK => format!("confirmed k={}", report.run.confirm_k),
            _ => level.label().to_owned(),
        };
        write!(out, "{label:<LABEL_WIDTH$}{:>COLUMN_WIDTH$}", grouped(quantiles.count))?;
        for us in [quantiles.p50, quantiles.p90, quantiles.p99, quantiles.p999, quantiles.max] {
            let text = if quantiles.count == 0 { "-".to_owned() } else { micros(us) };
            write!(out, "{text:>COLUMN_WIDTH$}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_summary_is_aligned_and_plain() {
        let (report, _) = sample::run();
        let text = summary(&report, false);
        assert!(!text.contains('\x1b'));
        assert!(text.starts_with("ok  10,000 sessions established, none lost\n"), "{text}");
        assert!(text.contains("\nsessions       10,000 of 10,000 in 8.21 s · 0 lost"), "{text}");
        assert!(text.contains("\nrejected       2 duplicate · 1 overdrawn\n"), "{text}");
        assert!(text.contains("\nsupply         100,000,000 tokens\n"), "{text}");
        let widths: Vec<usize> =
            text.lines().skip_while(|line| !line.starts_with("latency")).map(|line| line.chars().count()).collect();
        assert_eq!(widths, [LABEL_WIDTH + 6 * COLUMN_WIDTH; 6], "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }

    #[test]
    fn what_went_wrong_stands_first_and_is_marked() {
        let (mut report, _) = sample::run();
        report.sessions.lost = 2;
        report.transactions.finals -= 1;
        report.supply.now -= 1;
        report.run.trace_hash = Some("abc".to_owned());
        let text = summary(&report, true);
        assert!(text.starts_with("\x1b[33m!!\x1b[0m  10,000 of 10,000 sessions established, 2 lost\n"), "{text}");
        assert!(text.contains("29,996 of 29,997 accepted transactions final"), "{text}");
        assert!(text.contains("The supply differs from genesis"), "{text}");
        assert!(text.contains("trace hash"), "{text}");
    }

    #[test]
    fn an_empty_run_has_a_summary_too() {
        let text = summary(&Report::default(), false);
        assert!(text.lines().last().is_some_and(|line| line.starts_with("final") && line.ends_with('-')), "{text}");
    }
}
