//! The least that a terminal shows of a record: a line a target, ratios with intervals, limits, notes.

use std::fmt::Write as _;

use super::{Buckets, Record};

/// The text: at most 120 columns, no colours.
pub fn text(record: &Record) -> String {
    let mut out = format!("{}: {}\n\n", record.scenario.name, record.scenario.about);
    let head = ["target", "messages", "lost", "p50 us", "p99 us", "p99.9 us", "max us", "a second"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for target in &record.targets {
        let all = target.repeats.iter().fold(Buckets::default(), |all, repeat| all.merged(&repeat.latency));
        let micros = |percent| all.percentile(percent).map_or_else(|| "-".to_owned(), us);
        let sum = |of: fn(&super::Counts) -> u64| target.repeats.iter().map(|repeat| of(&repeat.counts)).sum::<u64>();
        let rates: Vec<f64> = target.repeats.iter().map(super::Repeat::per_second).collect();
        let rate = crate::statistics::mean(&rates).map_or(0.0, |rate| rate.value);
        rows.push(vec![
            target.name.clone(),
            sum(|counts| counts.arrived).to_string(),
            sum(|counts| counts.lost).to_string(),
            micros(50.0),
            micros(99.0),
            micros(99.9),
            micros(100.0),
            format!("{rate:.0}"),
        ]);
    }
    table(&mut out, &rows);
    for (target, repeat) in record.targets.iter().flat_map(|target| target.repeats.iter().map(move |one| (target, one)))
    {
        if let Some(excess) = &repeat.excess
            && let (Some(p50), Some(p99)) = (excess.above.percentile(50.0), excess.above.percentile(99.0))
        {
            let (p50, p99, below) = (us(p50), us(p99), excess.below.count());
            let _ = write!(out, "\n{}: beyond the wire, message by message: p50 {p50} us, p99 {p99} us", target.name);
            if below > 0 {
                let _ = write!(out, "; {below} before their time");
            }
        }
    }
    out.push('\n');
    for line in &record.comparisons {
        let ratio = line.ratio;
        let verdict = line.verdict.as_ref().map_or_else(String::new, |verdict| format!(": {verdict}"));
        let _ = writeln!(
            out,
            "{} over {}, {}: {:.3} ({:.3} to {:.3}){verdict}",
            line.target, line.base, line.figure, ratio.value, ratio.low, ratio.high
        );
    }
    for limit in &record.limits {
        let word = if limit.holds { "holds" } else { "FAILS" };
        let _ = writeln!(out, "{word}: {} ({}): {:.3}", limit.text, limit.target, limit.found);
    }
    for note in &record.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn us(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}

fn table(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let width = widths[at];
            let _ = if at == 0 { write!(out, "{cell:<width$}") } else { write!(out, "  {cell:>width$}") };
        }
        out.push('\n');
    }
}
