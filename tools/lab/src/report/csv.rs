//! The figures as tables for other programs: a head, then a value a line with all that names it (long format). Times are
//! nanoseconds, and fields that hold a comma, a quote or a line end are quoted (RFC 4180).

use core::fmt::Write;

use super::figures::Shown;
use crate::record::{Buckets, Hop};
use crate::stats::carries;

/// Percentiles that are written: from the least to the largest.
const PERCENTILES: [f64; 13] = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 100.0];

/// Steps of each repeat: `target,repeat,at_ns,expected,arrived,p50_ns,p99_ns,max_ns`.
pub(crate) fn series(shown: &Shown<'_>) -> String {
    let mut out = "target,repeat,at_ns,expected,arrived,p50_ns,p99_ns,max_ns\n".to_owned();
    for target in &shown.targets {
        let name = field(&target.of.name);
        for (number, repeat) in target.of.repeats.iter().enumerate() {
            let mut at_ns = 0u64;
            for step in &repeat.series.steps {
                let (expected, arrived) = (step.expected, step.arrived);
                let (p50, p99, max) = (step.p50_ns, step.p99_ns, step.max_ns);
                // Writing to a string does not fail.
                let _ = writeln!(out, "{name},{number},{at_ns},{expected},{arrived},{p50},{p99},{max}");
                at_ns = at_ns.saturating_add(repeat.series.step_ns);
            }
        }
    }
    out
}

/// Percentiles of each repeat and of all together, of latency and of service time:
/// `target,repeat,from,percentile,value_ns,carried`. `repeat` is `all` where all are together, `from` is `intended` or
/// `sent`, and `carried` is 0 where fewer than ten values lie above.
pub(crate) fn percentiles(shown: &Shown<'_>) -> String {
    let mut out = "target,repeat,from,percentile,value_ns,carried\n".to_owned();
    for target in &shown.targets {
        let name = field(&target.of.name);
        for (from, all) in [("intended", &target.latency), ("sent", &target.service)] {
            rows(&mut out, &format!("{name},all,{from}"), all);
        }
        for (number, repeat) in target.of.repeats.iter().enumerate() {
            for (from, one) in [("intended", &repeat.latency), ("sent", &repeat.service)] {
                rows(&mut out, &format!("{name},{number},{from}"), one);
            }
        }
    }
    out
}

/// Percentiles of each hop, all repeats together: `target,way,hop,percentile,value_ns,carried`; `way` is `there` or
/// `back`.
pub(crate) fn hops(shown: &Shown<'_>) -> String {
    let mut out = "target,way,hop,percentile,value_ns,carried\n".to_owned();
    for target in &shown.targets {
        for Hop { name, is_back, time } in &target.hops {
            let way = if *is_back { "back" } else { "there" };
            rows(&mut out, &format!("{},{way},{}", field(&target.of.name), field(name)), time);
        }
    }
    out
}

fn rows(out: &mut String, lead: &str, buckets: &Buckets) {
    for percent in PERCENTILES {
        let Some(value) = buckets.percentile(percent) else { continue };
        let is_carried = percent >= 100.0 || carries(&[buckets.count()], percent);
        // Writing to a string does not fail.
        let _ = writeln!(out, "{lead},{percent},{value},{}", u8::from(is_carried));
    }
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn every_row_has_the_columns_of_its_head() {
        let record = sample::record();
        let shown = Shown::new(&record);
        for (text, rows) in [(series(&shown), 2 * 5 * 589), (percentiles(&shown), 2 * 2 * 6 * 13), (hops(&shown), 260)]
        {
            let columns = text.lines().next().unwrap_or_default().split(',').count();
            assert!(text.lines().all(|line| line.split(',').count() == columns));
            assert_eq!(text.lines().count(), rows + 1);
        }
        assert!(percentiles(&shown).contains("\nkernel,all,intended,99.99,"));
        assert!(hops(&shown).contains("\ncard,back,wire,50,"));
    }

    #[test]
    fn what_is_not_carried_says_so() {
        let record = sample::record();
        let text = percentiles(&Shown::new(&record));
        let of = |lead: &str| text.lines().find(|line| line.starts_with(lead)).map(|line| line.ends_with(",1"));
        assert_eq!(of("kernel,all,intended,99.9,"), Some(true));
        assert_eq!(of("kernel,all,intended,99.99,"), Some(false));
        assert_eq!(of("kernel,all,intended,100,"), Some(true));
    }

    #[test]
    fn names_with_commas_are_quoted() {
        assert_eq!([field("a,\"b\""), field("plain")], ["\"a,\"\"b\"\"\"", "plain"]);
    }
}
