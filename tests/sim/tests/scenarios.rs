//! The scenarios, each in small: fewer slots, and most of them short ones.

#![allow(clippy::unwrap_used)]

use hpb_base::Duration;
use hpb_sim::cast::Times;
use hpb_sim::scenario::{Report, Scale, Scenario, ScenarioError};

/// Short slots, transactions that expire within a scenario, and many of them.
const SMALL: Scale = Scale {
    times: Times::SHORT,
    slots: Some(40),
    expiry: Duration::from_secs(10),
    submit_every: Duration::from_millis(40),
};

fn play(scenario: Scenario, scale: &Scale) -> Report {
    let report = scenario.play(scale, false).unwrap();
    assert!(report.failures.is_empty(), "{report}");
    println!("{report}");
    report
}

fn figure(report: &Report, name: &str) -> u64 {
    let (_, value) = report.figures.iter().find(|(of, _)| *of == name).unwrap();
    value.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn one_of_four_is_stopped() {
    let report = play(Scenario::OneStopped, &SMALL);
    assert_eq!(figure(&report, "slots skipped"), 10, "a quarter: {report}");
}

#[test]
fn two_of_four_are_stopped_for_longer_than_a_chain_may_grow_unfinal() {
    let report = play(Scenario::TwoStopped, &Scale { slots: None, submit_every: Duration::from_millis(400), ..SMALL });
    assert!(figure(&report, "slices without transactions beyond the limit") > 0, "{report}");
    assert!(figure(&report, "expired") > 0, "{report}");
}

#[test]
fn two_and_two_are_parted() {
    let report = play(Scenario::SplitTwoTwo, &SMALL);
    assert!(figure(&report, "of which final later") > 0 && figure(&report, "and expired") > 0, "{report}");
}

#[test]
fn two_and_two_are_parted_for_more_slices_than_one_answer_holds() {
    play(Scenario::SplitTwoTwo, &Scale { slots: Some(40), ..Scale::REAL });
}

#[test]
fn three_and_one_are_parted() {
    play(Scenario::SplitThreeOne, &SMALL);
}

#[test]
fn twenty_one_are_far_apart() {
    let report = play(Scenario::FarApart, &Scale { slots: Some(24), ..SMALL });
    assert_eq!((figure(&report, "slices lost"), figure(&report, "retractions told")), (0, 0));
}

#[test]
fn a_scenario_is_a_run() {
    let lines = || Scenario::SplitThreeOne.play(&Scale { slots: Some(8), ..SMALL }, true).unwrap();
    let report = lines();
    assert!(report.lines.len() > 1_000);
    assert_eq!(report, lines());
}

#[test]
fn too_few_slots_are_refused_by_name() {
    let error = Scenario::FarApart.play(&Scale { slots: Some(7), ..SMALL }, false).unwrap_err();
    assert!(matches!(error, ScenarioError::Slots { scenario: Scenario::FarApart, least: 8, found: 7 }), "{error}");
}
