#![allow(clippy::unwrap_used)]

use super::*;
use crate::record::Buckets;

/// A clock that goes 20 ns a reading, and once in 1,000 readings stands still for 5 us.
fn held_up() -> impl FnMut() -> u64 {
    let (mut now_ns, mut readings) = (0, 0_u64);
    move || {
        readings += 1;
        now_ns += if readings.is_multiple_of(1_000) { 5_000 } else { 20 };
        now_ns
    }
}

#[test]
fn gaps_are_what_lies_between_readings() {
    let (spun, gaps) = spin(Duration::from_millis(1), held_up());
    let gaps = gaps.buckets();
    assert!(spun >= Duration::from_millis(1) && spun < Duration::from_micros(1_006));
    assert_eq!((gaps.percentile(50.0), gaps.percentile(99.0)), (Some(20), Some(20)));
    assert_eq!(gaps.max().unwrap() / 10, 500);
}

#[test]
fn the_clock_s_cost_is_the_median_of_looks() {
    assert_eq!(clock_read_ns(held_up()), 20);
}

#[test]
fn the_report_says_what_the_gaps_mean() {
    let noise = Noise {
        spun_ns: 1_000_000_000,
        gaps: Buckets(vec![(25, 1_000_000), (10_000, 100)]),
        stolen_ms: 3,
        clock_read_ns: 24,
    };
    let report =
        NoiseReport { machine: Machine::default(), core: 1, noise, interruptions: 100, interrupted_ns: 1_000_000 };
    let text = report.terminal();
    assert!(text.contains("100 gaps above 1 us took 1000.0 us together, 0.1000 %"), "{text}");
    assert!(text.contains("100 times a second its core was taken from it, for 10.0 us"), "{text}");
    let quiet = NoiseReport { interruptions: 0, interrupted_ns: 0, ..report };
    assert!(quiet.terminal().contains("Nobody took its core"), "{}", quiet.terminal());
    assert!(quiet.to_json().unwrap().contains("\"clock_read_ns\": 24"));
}

#[test]
fn a_core_that_is_not_there_is_named() {
    let error = report(Duration::from_millis(1), Some(usize::MAX)).unwrap_err().to_string();
    assert!(error.contains("this process may use ["), "{error}");
}
