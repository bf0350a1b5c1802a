//! Validators that are far apart, on virtual time: how soon users are told what, and whose turn is when.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::PathBuf;

use hpb_devnet::plan::EngineKind;
use hpb_devnet::run::{Arguments, Network, run_virtual};
use hpb_devnet::terminals::Pace;

const DELAY_MS: u32 = 50;
const SLICE_MS: u32 = 50;
const SECONDS: u32 = 15;
/// Not a divisor of the slices' rate: the sendings fall anywhere between two slices.
const RATE_TPS: u64 = 37;

fn arguments() -> Arguments {
    Arguments {
        validators: 7,
        byzantine: 0,
        sessions: 10,
        pace: Pace::Fixed(NonZeroU64::new(RATE_TPS).unwrap()),
        seconds: SECONDS,
        slot_ms: 600,
        slice_ms: SLICE_MS,
        epoch_slots: Some(8),
        delay_ms: DELAY_MS,
        engine: EngineKind::Dpos,
        workload: None,
        data: None,
        checkpoint: None,
        onlookers: Vec::new(),
        keeps_index: true,
        reach: None,
        clock_offset: None,
        report: PathBuf::from("never written"),
        capture: None,
        seed: 5,
        network: Network::Wire,
    }
}

#[test]
fn what_is_confirmed_and_final_is_told_as_soon_as_the_way_allows() {
    let report = run_virtual(&arguments()).unwrap().report;
    let sent = u64::from(SECONDS) * RATE_TPS;
    assert_eq!((report.transactions.accepted, report.transactions.finals), (sent, sent));
    // To the producer, in its next slice to the others, and their confirms back.
    let way_us = 1_000 * u64::from(3 * DELAY_MS + SLICE_MS);
    assert!(report.latency_us.confirmed_k.p50 <= way_us, "{:?}", report.latency_us);
    assert!(report.latency_us.finals.p50 <= 500_000, "{:?}", report.latency_us);
    // Each producer hands over to the next, and nobody honest is taken back.
    assert_eq!((report.transactions.retracted, report.blocks.skipped), (0, 0));
    assert!(report.epochs.iter().all(|epoch| epoch.lost_slices + epoch.shared_slots == 0), "{:?}", report.epochs);
    assert!(report.blocks.unfinal_slots_max <= 1, "{:?}", report.blocks);
}

#[test]
fn the_order_changes_with_the_epoch_and_every_slot_is_its_producers() {
    let report = run_virtual(&arguments()).unwrap().report;
    assert!(report.epochs.len() >= 3, "{:?}", report.epochs);
    let orders: BTreeSet<&[String]> = report.epochs.iter().map(|epoch| &epoch.order[..]).collect();
    assert_eq!(orders.len(), report.epochs.len(), "of 5,040 orders none came twice");
    let slots: u64 = report.epochs.iter().map(|epoch| epoch.filled + epoch.skipped).sum();
    assert_eq!(slots, report.blocks.final_height, "each slot from 1 on is counted once");
}

#[test]
fn a_delay_that_a_slot_cannot_bear_is_refused() {
    let refused = |arguments: Arguments| run_virtual(&arguments).err().unwrap().to_string();
    let far = Arguments { delay_ms: 100, ..arguments() };
    assert_eq!(refused(far), "--delay-ms 100: 0 to 99 milliseconds (below a sixth of the slot)");
    let kernel = Arguments { network: Network::Packet, ..arguments() };
    assert_eq!(refused(kernel), "--delay-ms 50: 0 beside --port: only the wire can delay");
}
