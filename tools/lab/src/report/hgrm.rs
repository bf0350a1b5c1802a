//! The percentile text of `HdrHistogram`, for the tools that plot it: value in microseconds, percentile, count so far,
//! and 1/(1-percentile) a line. One file a target, all its repeats together.

use core::fmt::{self, Write};

use crate::record::Buckets;

/// Percentile lines for each halving of what is left above.
const TICKS_PER_HALF: f64 = 5.0;

/// A distribution in that format.
pub(crate) fn hgrm(buckets: &Buckets) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, buckets);
    out
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn write(out: &mut String, buckets: &Buckets) -> fmt::Result {
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let all = buckets.count();
    let (mut seen, mut next) = (0u64, 0.0f64);
    for (value, count) in &buckets.0 {
        seen = seen.saturating_add(*count);
        let share = seen as f64 / all as f64;
        if share < next && seen < all {
            continue;
        }
        let us = *value as f64 / 1e3;
        if seen >= all {
            writeln!(out, "{us:>12.3} {:>14.12} {seen:>10}", 1.0)?;
            break;
        }
        writeln!(out, "{us:>12.3} {share:>14.12} {seen:>10} {:>14.2}", 1.0 / (1.0 - share))?;
        // The next line stands where a fifth of the way to the next halving is gone.
        let halvings = (1.0 / (1.0 - share)).log2();
        next = 1.0 - (-((halvings * TICKS_PER_HALF).floor() + 1.0) / TICKS_PER_HALF).exp2();
    }
    let (mean, deviation) = moments(buckets);
    writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]")?;
    writeln!(out, "#[Max     = {:>12.3}, Total count    = {all:>12}]", buckets.max().unwrap_or(0) as f64 / 1e3)?;
    writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", buckets.0.len(), 1)
}

/// Mean and standard deviation, in microseconds.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn moments(buckets: &Buckets) -> (f64, f64) {
    let all = buckets.count().max(1) as f64;
    let mean = buckets.sum() / all;
    let squares: f64 = buckets.0.iter().map(|(value, count)| (*value as f64 - mean).powi(2) * *count as f64).sum();
    (mean / 1e3, (squares / all).sqrt() / 1e3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lines_ascend_to_the_largest_and_columns_are_what_plotters_read() {
        let text = hgrm(&Buckets((1..=1_000).map(|value| (value * 1_000, 1)).collect()));
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        );
        assert_eq!(lines.next(), Some(""));
        let rows: Vec<Vec<f64>> = lines
            .clone()
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|cell| cell.parse().unwrap()).collect())
            .collect();
        assert!(rows.windows(2).all(|pair| pair[0][0] < pair[1][0] && pair[0][1] < pair[1][1]));
        let half = rows.iter().find(|row| (row[1] - 0.5).abs() < 1e-9).unwrap();
        assert_eq!(half.iter().map(f64::to_string).collect::<Vec<_>>(), ["500", "0.5", "500", "2"]);
        assert_eq!(rows.last().unwrap().len(), 3, "the largest has nothing above it");
        assert!((40..70).contains(&rows.len()), "{}", rows.len());
        assert!(text.contains("#[Mean    =      500.500, StdDeviation   =      288.675]"), "{text}");
        assert!(text.contains("#[Max     =     1000.000, Total count    =         1000]"));
    }

    #[test]
    fn an_empty_distribution_is_a_head_and_a_foot() {
        let text = hgrm(&Buckets::default());
        assert_eq!(text.lines().count(), 5);
        assert!(!text.contains("NaN"));
    }
}
