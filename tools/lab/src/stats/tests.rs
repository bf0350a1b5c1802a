#![allow(clippy::unwrap_used)]

use super::*;
use crate::record::{Buckets, Cost, Counts};

fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-3 * wanted.abs().max(1.0), "{found} is not {wanted}");
}

/// A repeat in which `count` messages took `base_ns` and one more took ten times that.
fn repeat(base_ns: u64, count: u64, cpu_ns: u64) -> Repeat {
    Repeat {
        latency: Buckets(vec![(base_ns, count), (base_ns * 10, 1)]),
        counts: Counts { arrived: count + 1, ..Counts::default() },
        cost: Cost { cpu_ns, ..Cost::default() },
        ..Repeat::default()
    }
}

fn target(name: &str, repeats: Vec<Repeat>) -> TargetRecord {
    TargetRecord { name: name.to_owned(), about: String::new(), clock_error_ns: None, repeats }
}

#[test]
fn an_interval_is_the_mean_and_t_times_its_error() {
    // Mean 3, deviation sqrt(2.5), error of the mean sqrt(0.5), t with four degrees of freedom 2.776.
    let found = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    near(found.value, 3.0);
    near(found.low, 3.0 - 2.776 * 0.5f64.sqrt());
    near(found.high, 3.0 + 2.776 * 0.5f64.sqrt());
    assert_eq!(interval(&[7.0]), Interval { value: 7.0, low: 7.0, high: 7.0 });
    assert_eq!(interval(&[]), Interval::default());
}

#[test]
fn what_is_never_negative_has_no_mean_below_zero() {
    let found = interval(&[0.0, 10.0]);
    near(found.low, 0.0);
    near(found.high, 5.0 + 12.706 * 5.0);
    assert!(interval(&[-1.0, 10.0]).low < 0.0);
}

#[test]
fn a_ratio_is_of_pairs_and_on_logarithms() {
    let found = ratio(&[1.0, 10.0, 100.0], &[2.0, 20.0, 200.0]);
    near(found.value, 2.0);
    near(found.low, 2.0);
    near(found.high, 2.0);
    // Twice and half cancel out; the interval is as wide upwards as downwards, as a factor.
    let even = ratio(&[1.0, 1.0], &[2.0, 0.5]);
    near(even.value, 1.0);
    assert!((even.low * even.high - 1.0).abs() < 0.01);
    near(even.high.ln(), 12.706 * 2f64.ln());
    assert_eq!(ratio(&[0.0, 4.0], &[3.0, 2.0]), Interval { value: 0.5, low: 0.5, high: 0.5 });
    assert_eq!(ratio(&[0.0], &[3.0]), Interval::default());
}

#[test]
fn quantiles_go_on_where_the_table_ends() {
    near(t_quantile(1), 12.706);
    near(t_quantile(30), 2.042);
    near(t_quantile(31), 2.0395);
    near(t_quantile(60), 2.0003);
    near(t_quantile(1_000), 1.9623);
}

#[test]
fn a_percentile_needs_ten_values_above_it_and_one_of_each_repeat() {
    assert!(carries(&[20], 50.0) && !carries(&[19], 50.0));
    assert!(carries(&[10_000], 99.9) && !carries(&[9_999], 99.9));
    assert!(carries(&[100_000], 99.99) && carries(&[10_000; 10], 99.99));
    assert!(!carries(&[9_000; 12], 99.99));
    assert!(carries(&[1_000, 0], 99.0), "a repeat in which nothing arrived carries nothing and hides nothing");
    assert!(!carries(&[], 50.0) && !carries(&[0], 50.0));
}

#[test]
fn a_verdict_is_given_where_the_interval_leaves_out_one() {
    let base = target("base", [1_000, 1_010, 990].map(|ns| repeat(ns, 99_999, 50_000_000)).to_vec());
    let fast = target("fast", [500, 506, 494].map(|ns| repeat(ns, 99_999, 100_000_000)).to_vec());
    let same = target("same", [1_020, 985, 1_005].map(|ns| repeat(ns, 99_999, 0)).to_vec());
    let found = comparisons(&[base, fast, same]);
    let of = |target: &str, figure: &str| {
        found.iter().find(|one| one.target == target && one.figure == figure).map(|one| one.verdict.as_deref())
    };
    assert_eq!(of("fast", "p50"), Some(Some("faster")));
    assert_eq!(of("fast", "max"), Some(Some("faster")));
    assert_eq!(of("fast", "cpu"), Some(Some("slower")));
    assert_eq!(of("same", "p99.9"), Some(None));
    assert_eq!(of("same", "cpu"), None, "not measured, not compared");
    assert!(found.iter().all(|one| one.base == "base"));
    near(found[0].ratio.value, 0.5);
}

#[test]
fn one_repeat_has_no_verdict_and_too_few_values_no_figure() {
    let found = comparisons(&[target("a", vec![repeat(1_000, 999, 0)]), target("b", vec![repeat(10, 999, 0)])]);
    let names: Vec<&str> = found.iter().map(|one| one.figure.as_str()).collect();
    assert_eq!(names, ["p50", "p90", "p99", "max"]);
    assert!(found.iter().all(|one| one.verdict.is_none() && one.ratio.low.to_bits() == one.ratio.high.to_bits()));
    assert!(comparisons(&[]).is_empty());
}

#[test]
fn repeats_that_have_no_figure_are_left_out_of_their_pairs() {
    let base = target("a", vec![repeat(100, 99, 0), Repeat::default(), repeat(200, 99, 0)]);
    let other = target("b", vec![repeat(200, 99, 0), repeat(7, 99, 0), repeat(400, 99, 0)]);
    let found = comparisons(&[base, other]);
    near(found[0].ratio.value, 2.0);
    near(found[0].ratio.high, 2.0);
}

#[test]
fn runs_apart_are_compared_by_welch() {
    // Logarithms 0 and 2 against 1 and 3: means apart by one, the square of the error 1 + 1, two degrees of freedom.
    let e = |power: f64| power.exp();
    let found = ratio_apart(&[e(0.0), e(2.0)], &[e(1.0), e(3.0)]);
    near(found.value, e(1.0));
    near(found.high.ln(), 1.0 + 4.303 * 2f64.sqrt());
    assert_eq!(ratio_apart(&[2.0], &[1.0, 1.0]), Interval { value: 0.5, low: 0.5, high: 0.5 });
    assert_eq!(ratio_apart(&[], &[1.0]), Interval::default());
    let base = target("a", [1_000, 1_010, 990].map(|ns| repeat(ns, 999, 0)).to_vec());
    let slow = target("a", [2_000, 2_010, 1_990].map(|ns| repeat(ns, 999, 0)).to_vec());
    assert_eq!(apart(&base, &slow)[0].verdict.as_deref(), Some("slower"));
    assert_eq!(apart(&base, &base)[0].verdict, None);
}

/// On virtual time a base may take no time at all: what takes some is slower all the same.
#[test]
fn what_took_no_time_counts_as_a_nanosecond_in_a_ratio() {
    let none = target("none", vec![repeat(0, 999, 0), repeat(0, 999, 0)]);
    let some = target("some", vec![repeat(5_000, 999, 0), repeat(5_000, 999, 0)]);
    for found in [beside(&none, &some), apart(&none, &some)] {
        let median = found.iter().find(|one| one.figure == "p50").unwrap();
        near(median.ratio.value, 5_000.0);
        assert_eq!(median.verdict.as_deref(), Some("slower"));
    }
    assert!(beside(&none, &none).iter().all(|one| (one.ratio.value - 1.0).abs() < 1e-9 && one.verdict.is_none()));
    assert_eq!(Figure::Percentile(50.0).interval(&none).map(|found| found.value), Some(0.0), "told as it is");
}
