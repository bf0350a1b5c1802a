//! The main job on virtual time: the same seed gives the same run, to the bit; and what the run comes to.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;
use std::path::PathBuf;

use hpb_devnet::plan::EngineKind;
use hpb_devnet::report::Report;
use hpb_devnet::run::{Arguments, Network, run_virtual};
use hpb_devnet::terminals::Pace;

fn arguments(seed: u64) -> Arguments {
    Arguments {
        validators: 4,
        byzantine: 0,
        sessions: 100,
        pace: Pace::Fixed(NonZeroU64::new(100).unwrap()),
        seconds: 2,
        slot_ms: 600,
        slice_ms: 50,
        epoch_slots: None,
        delay_ms: 0,
        engine: EngineKind::Dpos,
        workload: None,
        data: None,
        capture: None,
        report: PathBuf::from("never written"),
        seed,
        network: Network::Wire,
        checkpoint: None,
        onlookers: Vec::new(),
        keeps_index: true,
        reach: None,
        clock_offset: None,
    }
}

fn run(arguments: &Arguments) -> Report {
    run_virtual(arguments).unwrap().report
}

/// The mainnet file; `None`, with a word, where the data are absent. With `HPB_DATA` set they must be there.
fn mainnet() -> Option<PathBuf> {
    let named = std::env::var_os("HPB_DATA").map(PathBuf::from);
    let beside = || hpb_tests::workspace_root().join("../shared/data");
    let file = named.clone().unwrap_or_else(beside).join("mainnet/transfers.csv");
    if !file.exists() {
        assert!(named.is_none(), "HPB_DATA is set, but {} is absent", file.display());
        println!("skipped: {} is absent", file.display());
        return None;
    }
    Some(file)
}

/// Every session up, every accepted transaction final everywhere, nothing made or lost, levels in their order.
fn check(report: &Report, transactions: u64) {
    assert_eq!((report.sessions.established, report.sessions.lost), (report.sessions.target, 0));
    let counted = &report.transactions;
    assert_eq!((counted.submitted, counted.accepted, counted.finals), (transactions, transactions, transactions));
    assert_eq!((counted.rejected, counted.expired, counted.retracted), (0, 0, 0), "{:?}", report.run.rejections);
    assert_eq!(report.supply.genesis, report.supply.now);
    assert!(report.verified.iter().chain(&report.executed).all(|count| *count >= transactions), "{report:?}");
    let levels = report.latency_us.by_level();
    assert!(levels.iter().all(|level| level.count == transactions), "{levels:?}");
    assert!(levels.is_sorted_by_key(|level| level.p50), "{levels:?}");
    assert!(levels.is_sorted_by_key(|level| level.p99), "{levels:?}");
    assert!(levels.is_sorted_by_key(|level| level.max), "{levels:?}");
    // Calm air and an idle wire: no slot is lost, and k confirms are there within four slices.
    assert_eq!(report.blocks.skipped, 0);
    assert!(report.latency_us.confirmed_k.max < 200_000, "{:?}", report.latency_us.confirmed_k);
}

#[test]
fn a_seed_is_a_run_and_another_seed_another() {
    let (first, again, other) = (run(&arguments(7)), run(&arguments(7)), run(&arguments(8)));
    for report in [&first, &again, &other] {
        check(report, 200);
    }
    assert!(first.run.virtual_time);
    assert_eq!(first.run.trace_hash.as_ref().map(String::len), Some(64));
    assert_eq!(first, again, "the whole report, its trace hash included");
    assert_ne!(first.run.trace_hash, other.run.trace_hash);
}

#[test]
fn mainnet_transfers_run_through() {
    let Some(file) = mainnet() else { return };
    let report = run(&Arguments { workload: Some(file.clone()), ..arguments(7) });
    check(&report, 200);
    assert_eq!(report.transactions.rows_skipped, 32);
    assert_eq!((report.run.workload.origin, report.run.workload.passes), (file.display().to_string(), 1));
}
