//! Validators that lie by script, on virtual time: what the chain makes of them, and that nobody else loses anything.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;
use std::path::PathBuf;

use hpb_devnet::plan::EngineKind;
use hpb_devnet::report::Report;
use hpb_devnet::run::{Arguments, Network, run_virtual};
use hpb_devnet::terminals::Pace;

/// Tokens of the smallest unit that a devnet's validator has bonded.
const BOND: u128 = 10_000 * 10u128.pow(18);
const SECONDS: u32 = 9;
const RATE_TPS: u64 = 30;

fn arguments(validators: usize, byzantine: usize) -> Arguments {
    Arguments {
        validators,
        byzantine,
        sessions: 20,
        pace: Pace::Fixed(NonZeroU64::new(RATE_TPS).unwrap()),
        seconds: SECONDS,
        slot_ms: 400,
        slice_ms: 50,
        epoch_slots: None,
        delay_ms: 0,
        engine: EngineKind::Dpos,
        workload: None,
        data: None,
        report: PathBuf::from("never written"),
        capture: None,
        seed: 7,
        network: Network::Wire,
        checkpoint: None,
        onlookers: Vec::new(),
        keeps_index: true,
        reach: None,
        clock_offset: None,
    }
}

/// The run's report, in which nobody but the liars has lost anything.
fn run(arguments: &Arguments) -> Report {
    let report = run_virtual(arguments).unwrap().report;
    let transactions = u64::from(SECONDS) * RATE_TPS;
    assert_eq!((report.sessions.established, report.sessions.lost), (20, 0));
    assert_eq!((report.transactions.accepted, report.transactions.finals), (transactions, transactions));
    assert_eq!(report.transactions.rejected, 0, "{:?}", report.run.rejections);
    assert_eq!(report.supply.genesis, report.supply.now);
    report
}

fn findings(report: &Report) -> Vec<String> {
    report
        .findings()
        .into_iter()
        .map(|finding| format!("{} {}", if finding.good { "ok" } else { "!!" }, finding.text))
        .collect()
}

#[test]
fn one_that_made_two_slices_is_out_of_the_next_schedule_that_is_not_fixed() {
    let report = run(&arguments(5, 1));
    let [liar] = &report.liars[..] else { panic!("{:?}", report.liars) };
    assert_eq!((liar.producer.as_str(), liar.scripted, liar.too_few_left), ("validator-4", true, false));
    let [offence] = &liar.offences[..] else { panic!("{liar:?}") };
    assert_eq!((offence.fault.as_str(), offence.cut), ("two slices", BOND / 2));
    assert!(offence.index.is_some_and(|index| index > 0), "{offence:?}");
    let reporter = offence.reported_by.as_deref().unwrap();
    assert!(reporter.starts_with("validator-") && reporter != "validator-4", "an honest one: {reporter}");
    // Reported in the first three quarters of an epoch it is out of the next one, and otherwise of the one after it.
    let out_from = liar.out_from_epoch.unwrap();
    assert!((offence.epoch + 1..=offence.epoch + 2).contains(&out_from), "{liar:?}");
    let (slot, index) = (offence.slot.unwrap(), offence.index.unwrap());
    let line = format!(
        "ok validator-4 was expelled: two slices at {slot}.{index}, reported by {reporter}; out of the schedule from \
         epoch {out_from} on"
    );
    let before = findings(&report).len() - 1;
    assert_eq!(findings(&report)[before..], [line]);
    assert!(findings(&report)[..before].iter().all(|line| line.starts_with("ok ")), "{:?}", findings(&report));
    assert!(report.blocks.final_height / 8 >= out_from, "the chain goes on without it: {:?}", report.blocks);
}

#[test]
fn four_keep_the_one_that_they_cannot_spare() {
    let report = run(&arguments(4, 1));
    let [liar] = &report.liars[..] else { panic!("{:?}", report.liars) };
    assert_eq!((liar.offences.len(), liar.out_from_epoch, liar.too_few_left), (1, None, true));
    let last = findings(&report).pop().unwrap();
    assert!(last.starts_with("ok validator-3 was expelled: two slices at "), "{last}");
    assert!(last.ends_with("; it stays in the schedule, because too few are left without it"), "{last}");
}

#[test]
fn two_of_seven_are_expelled_and_honest_runs_have_none() {
    let report = run(&arguments(7, 2));
    let names: Vec<&str> = report.liars.iter().map(|liar| liar.producer.as_str()).collect();
    assert_eq!(names.len(), 2, "{:?}", report.liars);
    assert!(names.contains(&"validator-5") && names.contains(&"validator-6"), "{names:?}");
    assert!(report.liars.iter().all(|liar| liar.offences.len() == 1), "{:?}", report.liars);
    let honest = run(&arguments(4, 0));
    assert_eq!((honest.liars.len(), honest.findings().len()), (0, 4));
    // A liar's other slices are nobody else's. The log that is read has them or not, as the seed will.
    let lost = |report: &Report| report.epochs.iter().map(|epoch| epoch.lost_slices).sum::<u64>();
    let others = (2..=6).map(|seed| run(&Arguments { seed, ..arguments(7, 2) }));
    let reports: Vec<Report> = others.chain([report]).collect();
    assert!(reports.iter().any(|report| lost(report) > 0) && lost(&honest) == 0);
    for report in &reports {
        assert!(report.epochs.iter().all(|epoch| epoch.shared_slots == 0), "{:?}", report.epochs);
    }
}

#[test]
fn a_third_is_too_many() {
    for (validators, byzantine, expected) in [
        (4, 2, "--byzantine 2: 0 to 1 of 4 validators: fewer than a third"),
        (3, 1, "--byzantine 1: 0 to 0 of 3 validators: fewer than a third"),
        (1, 1, "--byzantine 1: 0 to 0 of 1 validators: fewer than a third"),
        (7, usize::MAX, "--byzantine 18446744073709551615: 0 to 2 of 7 validators: fewer than a third"),
    ] {
        let error = run_virtual(&arguments(validators, byzantine)).err().unwrap();
        assert_eq!(error.to_string(), expected);
        assert!(!error.is_of_the_run());
    }
}
