#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use hpb_types::{
    AccountName, Amount, Canonical, Digest, DposParameters, EngineChoice, Fees, GenesisAccount, GenesisProducer,
    Height, KeyPair, Outcome, Slot, VrfSecret, Weighting,
};

use super::super::digests::DigestWatch;
use super::*;
use crate::workload::{FITTED, Source, Workload};

fn genesis(weights: &[u64]) -> Genesis {
    let producer = |(n, weight): (usize, &u64)| GenesisProducer {
        name: AccountName::new(&format!("producer{n}")).unwrap(),
        key: KeyPair::from_seed([n as u8 + 1; 32]).public(),
        beacon: VrfSecret::from_seed([n as u8 + 1; 32]).public(),
        bond: Amount(u128::from(*weight) * Amount::ONE.0),
    };
    let producers: Vec<GenesisProducer> = weights.iter().enumerate().map(producer).collect();
    let account = |producer: &GenesisProducer| GenesisAccount {
        name: producer.name,
        key: KeyPair::from_seed([200; 32]).public(),
        balance: Amount::ZERO,
        vesting: Vec::new(),
    };
    Genesis {
        version: Genesis::VERSION,
        label: "book".to_owned(),
        time_ms: 0,
        slot_ms: 3_000,
        slice_ms: 50,
        delta_ms: 20,
        epoch_slots: 10,
        fees: Fees { per_byte: Amount(1), ..Fees::NONE },
        deposit_per_byte: Amount::ZERO,
        engine: EngineChoice::Dpos(DposParameters {
            bond_min: Amount::ZERO,
            weighting: Weighting::Bond,
            ..DposParameters::preset()
        }),
        accounts: producers.iter().map(account).collect(),
        producers,
    }
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn slice(index: u32, tag: u8) -> SliceRef {
    SliceRef { height: Height { slot: Slot(1), index }, id: Hash([tag; 32]) }
}

/// A book with `count` transactions of terminal 0, all sent at 1 ms and meant for 0 ms; their ids and places.
fn book(weights: &[u64], count: usize) -> (Book, Vec<Hash>, Vec<u32>) {
    let mut book = Book::new(&genesis(weights));
    let workload = Arc::new(Workload::drawn(&FITTED, 1, 10).unwrap());
    let (mut ids, mut places) = (Vec::new(), Vec::new());
    for submission in Source::new(workload, 1).take(count) {
        let id = Hash::of(&submission.sequence.to_le_bytes());
        places.push(book.enter(Open::new(id, 0, submission, at(0), 0)));
        book.sent(at(1), &id);
        ids.push(id);
    }
    (book, ids, places)
}

fn tell(book: &mut Book, ms: u64, id: Hash, status: Status) -> Verdict {
    book.status(at(ms), 0, &TransactionStatus { id, status })
}

/// Hears a digest of one slice with so many confirmers, and a final height.
fn hear(book: &mut Book, ms: u64, places: &mut Vec<u32>, of: (SliceRef, u16, u8), final_index: u32) {
    let (reference, confirmers, flags) = of;
    let slices = vec![SliceStatus { reference, confirmers, weight: 0, flags }];
    let digest = Digest { slices, final_slice: slice(final_index, 0), interval_ms: 50 };
    let mut watch = DigestWatch::new();
    let told = watch.arrive(at(ms), &digest.to_bytes(), &mut 0).unwrap();
    book.hear(at(ms), places, told);
}

fn counts(book: &Book) -> [u64; 5] {
    Level::ALL.map(|level| book.measurements.level(level).count())
}

fn max_ms(book: &Book, level: Level) -> u64 {
    book.measurements.level(level).quantiles().max / 1_000
}

#[test]
fn each_level_is_told_once_and_final_ends_it() {
    let (mut book, ids, mut places) = book(&[1; 4], 1);
    assert_eq!(book.confirm_k(), 2);
    assert_eq!(tell(&mut book, 10, ids[0], Status::Received), Verdict::Open);
    assert_eq!((counts(&book), book.backlog()), ([1, 0, 0, 0, 0], 1));
    tell(&mut book, 20, ids[0], Status::Included(slice(7, 7), Outcome::Applied));
    assert_eq!((counts(&book), book.backlog()), ([1, 1, 0, 0, 0], 0));
    hear(&mut book, 30, &mut places, (slice(7, 7), 1, 0), 0);
    assert_eq!(counts(&book), [1, 1, 0, 0, 0], "one is not k");
    hear(&mut book, 40, &mut places, (slice(7, 6), 3, SliceStatus::JUSTIFIED), 0);
    assert_eq!(counts(&book), [1, 1, 0, 0, 0], "another slice at its height says nothing");
    for ms in [50, 60] {
        hear(&mut book, ms, &mut places, (slice(7, 7), 2, 0), 0);
    }
    assert_eq!(counts(&book), [1, 1, 1, 0, 0]);
    hear(&mut book, 70, &mut places, (slice(7, 7), 3, SliceStatus::JUSTIFIED), 6);
    hear(&mut book, 80, &mut places, (slice(9, 9), 0, 0), 7);
    assert_eq!((counts(&book), places.len(), book.len()), ([1; 5], 0, 0));
    assert_eq!(Level::ALL.map(|level| max_ms(&book, level)), [10, 20, 50, 70, 80]);
    assert_eq!((book.counters.finals, book.counters.accepted, book.told_final), (1, 1, ids));
}

#[test]
fn what_follows_from_a_level_is_told_with_it() {
    let (mut book, ids, mut places) = book(&[1; 4], 2);
    for id in &ids {
        tell(&mut book, 20, *id, Status::Included(slice(7, 7), Outcome::Applied));
    }
    assert_eq!((counts(&book), book.counters.accepted), ([2, 2, 0, 0, 0], 2));
    hear(&mut book, 30, &mut places, (slice(7, 7), 1, SliceStatus::FINAL), 0);
    assert_eq!((counts(&book), book.told_final), ([2; 5], ids));
}

#[test]
fn a_certificate_confirms_only_where_it_must_hold_k_others() {
    // (weights, k, whether any quorum has k producers besides the slice's own)
    let cases: [(&[u64], u16, bool); 7] = [
        (&[1], 1, false),
        (&[1; 2], 1, true),
        (&[1; 3], 2, true),
        (&[1; 4], 2, true),
        (&[1; 7], 3, true),
        (&[1; 101], 34, true),
        (&[10, 1, 1, 1], 2, false),
    ];
    for (weights, k, implied) in cases {
        let threshold = Threshold::new(&genesis(weights));
        assert_eq!((threshold.k, threshold.certificate_confirms), (k, implied), "{weights:?}");
    }
    let (mut book, ids, mut places) = book(&[1], 1);
    tell(&mut book, 20, ids[0], Status::Included(slice(7, 7), Outcome::Applied));
    hear(&mut book, 30, &mut places, (slice(7, 7), 0, SliceStatus::JUSTIFIED), 7);
    assert_eq!(counts(&book), [1, 1, 0, 1, 1], "a lone producer has nobody to confirm its slices");
}

#[test]
fn a_retracted_transaction_waits_for_its_next_slice() {
    let (mut book, ids, mut places) = book(&[1; 4], 1);
    tell(&mut book, 20, ids[0], Status::Included(slice(7, 7), Outcome::Applied));
    hear(&mut book, 30, &mut places, (slice(7, 7), 2, 0), 0);
    tell(&mut book, 40, ids[0], Status::Retracted(slice(7, 7)));
    assert_eq!((book.counters.retracted, book.backlog()), (1, 1));
    hear(&mut book, 50, &mut places, (slice(8, 8), 3, SliceStatus::FINAL), 8);
    assert_eq!((book.counters.finals, places.len()), (0, 1), "its slice is not on the final chain");
    tell(&mut book, 60, ids[0], Status::Included(slice(9, 9), Outcome::Applied));
    tell(&mut book, 61, ids[0], Status::Retracted(slice(7, 7)));
    assert_eq!((book.counters.retracted, book.counters.unknown), (1, 1), "it is in another slice");
    hear(&mut book, 70, &mut places, (slice(9, 9), 2, SliceStatus::JUSTIFIED), 9);
    assert_eq!((counts(&book), max_ms(&book, Level::Included)), ([1; 5], 20));
    assert_eq!((max_ms(&book, Level::ConfirmedK), max_ms(&book, Level::Final)), (30, 70));
}

#[test]
fn what_is_rejected_or_expired_has_ended() {
    let (mut book, ids, places) = book(&[1; 4], 3);
    let full = Status::Rejected(RejectReason::MempoolFull);
    assert_eq!(tell(&mut book, 5, ids[0], full), Verdict::Ended(places[0]));
    assert_eq!(tell(&mut book, 5, ids[1], Status::Received), Verdict::Open);
    assert_eq!(tell(&mut book, 5, ids[1], Status::Expired), Verdict::Ended(places[1]));
    let duplicate = Status::Rejected(RejectReason::Duplicate);
    assert_eq!(tell(&mut book, 5, ids[2], duplicate), Verdict::Ended(places[2]));
    let counters = book.counters;
    assert_eq!((counters.submitted, counters.accepted, counters.rejected, counters.expired), (3, 1, 2, 1));
    assert_eq!(book.rejections[&RejectReason::MempoolFull], 1);
    assert_eq!((book.len(), book.backlog(), book.unsent()), (0, 0, 0));
    assert_eq!(tell(&mut book, 6, ids[0], Status::Received), Verdict::Open);
    assert_eq!(book.counters.unknown, 1);
}

#[test]
fn a_status_counts_for_its_terminal_alone() {
    let (mut book, ids, _) = book(&[1; 4], 1);
    let told = TransactionStatus { id: ids[0], status: Status::Rejected(RejectReason::Overdrawn) };
    assert_eq!(book.status(at(5), 1, &told), Verdict::Open);
    assert_eq!((book.counters.unknown, book.counters.rejected, book.len()), (1, 0, 1));
}

#[test]
fn after_a_loss_only_what_is_told_anew_counts() {
    let (mut book, ids, mut places) = book(&[1; 4], 1);
    tell(&mut book, 20, ids[0], Status::Included(slice(7, 7), Outcome::Applied));
    book.session_lost(&places);
    assert_eq!(book.backlog(), 1);
    hear(&mut book, 30, &mut places, (slice(7, 7), 3, SliceStatus::FINAL), 9);
    assert_eq!((book.counters.finals, places.len()), (0, 1), "it may have been retracted meanwhile");
    book.sent(at(31), &ids[0]);
    assert_eq!((book.counters.submitted, book.counters.resent), (1, 1));
    assert_eq!(tell(&mut book, 32, ids[0], Status::Rejected(RejectReason::Duplicate)), Verdict::Open);
    tell(&mut book, 33, ids[0], Status::Included(slice(7, 7), Outcome::Applied));
    hear(&mut book, 40, &mut places, (slice(9, 9), 0, 0), 9);
    assert_eq!((book.counters.finals, book.counters.rejected, counts(&book)), (1, 0, [1; 5]));
}
