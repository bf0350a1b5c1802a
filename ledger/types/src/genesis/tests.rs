use super::*;
use crate::samples::{self, ALICE, BOB, CAROL, genesis, key};

type Change = fn(&mut Genesis);

/// A small-order point: anyone can sign for it.
const SMALL_ORDER: PublicKey = PublicKey([0; 32]);

#[test]
fn every_rule_has_its_error() {
    assert_eq!(genesis().validate(), Ok(()));
    let cases: [(Change, GenesisError); 24] = [
        (|genesis| genesis.version = 2, GenesisError::Version(2)),
        (|genesis| genesis.label = "x".repeat(65), GenesisError::Label),
        (|genesis| genesis.slot_ms = 99, GenesisError::SlotMs(99)),
        (|genesis| genesis.slot_ms = 60_001, GenesisError::SlotMs(60_001)),
        (|genesis| genesis.slice_ms = 0, GenesisError::SliceMs(0)),
        (|genesis| genesis.slice_ms = 3_001, GenesisError::SliceMs(3_001)),
        // 3,000 slices a slot are more than 2,048.
        (|genesis| genesis.slice_ms = 1, GenesisError::SliceMs(1)),
        (|genesis| genesis.delta_ms = 0, GenesisError::DeltaMs(0)),
        (|genesis| genesis.delta_ms = 501, GenesisError::DeltaMs(501)),
        (|genesis| genesis.epoch_slots = 0, GenesisError::EpochSlots),
        (|genesis| genesis.producers.clear(), GenesisError::ProducerCount(0)),
        (|genesis| genesis.producers = vec![genesis.producers[0].clone(); 102], GenesisError::ProducerCount(102)),
        (|genesis| genesis.producers[1].weight = 0, GenesisError::Weight(CAROL)),
        (|genesis| genesis.producers[1].weight = u64::MAX, GenesisError::Weight(CAROL)),
        (|genesis| genesis.producers[1].name = BOB, GenesisError::ProducerName(BOB)),
        (
            |genesis| genesis.producers[1].name = AccountName::literal("nobody"),
            GenesisError::ProducerName(AccountName::literal("nobody")),
        ),
        (|genesis| genesis.producers[1].key = SMALL_ORDER, GenesisError::ProducerKey(CAROL)),
        (|genesis| genesis.producers[1].key = genesis.producers[0].key, GenesisError::ProducerKey(CAROL)),
        (|genesis| genesis.producers[1].key = genesis.accounts[0].key, GenesisError::ProducerKey(CAROL)),
        (|genesis| genesis.accounts.swap(0, 1), GenesisError::AccountOrder(ALICE)),
        (|genesis| genesis.accounts[1].name = ALICE, GenesisError::AccountOrder(ALICE)),
        (|genesis| genesis.accounts[2].key = SMALL_ORDER, GenesisError::AccountKey(CAROL)),
        (|genesis| genesis.accounts[2].balance = Amount(u128::MAX), GenesisError::Supply(CAROL)),
        (
            |genesis| genesis.accounts = vec![genesis.accounts[0].clone(); GENESIS_ACCOUNTS_MAX + 1],
            GenesisError::AccountCount,
        ),
    ];
    for (change, error) in cases {
        let mut changed = genesis();
        change(&mut changed);
        assert_eq!(changed.validate(), Err(error));
    }
}

#[test]
fn the_ends_of_the_ranges_are_allowed() {
    let changes: [Change; 4] = [
        |genesis| (genesis.slot_ms, genesis.slice_ms, genesis.delta_ms) = (100, 1, 16),
        |genesis| (genesis.slot_ms, genesis.slice_ms, genesis.delta_ms) = (60_000, 60_000, 10_000),
        |genesis| (genesis.slot_ms, genesis.slice_ms) = (2_048, 1),
        |genesis| genesis.producers[1].weight = u64::MAX - 1,
    ];
    for change in changes {
        let mut changed = genesis();
        change(&mut changed);
        assert_eq!(changed.validate(), Ok(()));
    }
}

#[test]
fn every_field_makes_another_chain() {
    let changes: [Change; 9] = [
        |genesis| genesis.label.push('x'),
        |genesis| genesis.time_ms += 1,
        |genesis| genesis.slot_ms += 1,
        |genesis| genesis.slice_ms += 1,
        |genesis| genesis.delta_ms += 1,
        |genesis| genesis.epoch_slots += 1,
        |genesis| genesis.fee_per_byte.0 += 1,
        |genesis| genesis.producers[0].weight += 1,
        |genesis| genesis.accounts[0].balance.0 += 1,
    ];
    let mut chains = BTreeSet::from([genesis().chain_id()]);
    for change in changes {
        let mut changed = genesis();
        change(&mut changed);
        assert!(chains.insert(changed.chain_id()));
    }
}

#[test]
fn the_genesis_slice_belongs_to_its_chain() {
    let mut other = genesis();
    other.time_ms += 1;
    assert_eq!(genesis().genesis_slice().height, Height::new(0, 0));
    assert_ne!(genesis().genesis_slice().id, other.genesis_slice().id);
    assert_ne!(genesis().genesis_slice().id, genesis().chain_id().0);
    assert_eq!(Genesis::slice_of(&genesis().chain_id()), genesis().genesis_slice());
}

#[test]
fn time_and_epochs_follow_the_slot_alone() {
    let genesis = genesis();
    assert_eq!(genesis.slot_start_ms(Slot(0)), genesis.time_ms);
    assert_eq!(genesis.slot_start_ms(Slot(7)), genesis.time_ms + 21_000);
    assert_eq!(genesis.slot_start_ms(Slot(u64::MAX)), u64::MAX);
    assert_eq!(genesis.epoch_of(Slot(1_199)), Epoch(0));
    assert_eq!(genesis.epoch_of(Slot(1_200)), Epoch(1));
    assert_eq!(genesis.supply(), Some(Amount(1_000)));
}

#[test]
fn slots_go_round_the_schedule() {
    let schedule = genesis().schedule();
    assert_eq!(schedule.epoch, Epoch(0));
    assert_eq!(schedule.producer_at(Slot(0)).name, BOB);
    assert_eq!(schedule.producer_at(Slot(1)).name, CAROL);
    assert_eq!(schedule.producer_at(Slot(2)).name, BOB);
    assert_eq!(schedule.index_of(&CAROL), Some(1));
    assert_eq!(schedule.index_of(&ALICE), None);
    assert_eq!(schedule.producer(&CAROL).map(|producer| producer.key), Some(key(3).public()));
}

#[test]
fn a_quorum_is_more_than_two_thirds() {
    for (weights, weight, is_quorum) in [
        (&[1, 1, 1, 1][..], 3, true),
        (&[1, 1, 1, 1], 2, false),
        (&[1, 1, 1], 2, false),
        (&[u64::MAX, u64::MAX], u64::MAX, true),
        (&[u64::MAX / 3; 3], u64::MAX / 3 * 2, false),
        (&[u64::MAX / 3; 3], u64::MAX / 3 * 2 + 1, true),
    ] {
        assert_eq!(samples::schedule(0, 10, weights).is_quorum(weight), is_quorum, "{weights:?} {weight}");
    }
}
