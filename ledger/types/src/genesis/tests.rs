use super::*;
use crate::samples::{ALICE, BOB, CAROL, dpos_parameters, genesis, key};

type Change = fn(&mut Genesis);

fn dpos(genesis: &mut Genesis) -> &mut DposParameters {
    match &mut genesis.engine {
        EngineChoice::Dpos(parameters) => parameters,
        EngineChoice::Authority => panic!("the sample's engine is DPOS"),
    }
}

fn part(free_at_ms: u64, amount: u128) -> VestingPart {
    VestingPart { free_at_ms, amount: Amount(amount) }
}

/// A small-order point: anyone can sign for it.
const SMALL_ORDER: PublicKey = PublicKey([0; 32]);

#[test]
fn every_rule_has_its_error() {
    assert_eq!(genesis().validate(), Ok(()));
    let cases: [(Change, GenesisError); 37] = [
        (|genesis| genesis.version = 1, GenesisError::Version(1)),
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
        (|genesis| dpos(genesis).producers_max = 3, GenesisError::ScheduleLen(3)),
        (|genesis| dpos(genesis).producers_max = 102, GenesisError::ScheduleLen(102)),
        (
            |genesis| {
                dpos(genesis).producers_max = 4;
                genesis.producers = vec![genesis.producers[0].clone(); 5];
            },
            GenesisError::ScheduleLen(4),
        ),
        (|genesis| dpos(genesis).release_slots = 2_400, GenesisError::ReleaseSlots { least: 2_400, found: 2_400 }),
        (|genesis| dpos(genesis).cut_permille = 1_001, GenesisError::Permille(1_001)),
        (|genesis| dpos(genesis).reporter_permille = 1_001, GenesisError::Permille(1_001)),
        (|genesis| genesis.producers[1].bond = Amount(49), GenesisError::Bond(CAROL)),
        (
            |genesis| {
                dpos(genesis).weighting = Weighting::Bond;
                genesis.producers[0].bond = Amount::ONE;
                genesis.producers[1].bond = Amount(u128::from(u64::MAX) * Amount::ONE.0);
            },
            GenesisError::Bond(CAROL),
        ),
        (|genesis| genesis.producers[1].name = BOB, GenesisError::ProducerName(BOB)),
        (
            |genesis| genesis.producers[1].name = AccountName::literal("nobody"),
            GenesisError::ProducerName(AccountName::literal("nobody")),
        ),
        (|genesis| genesis.producers[1].key = SMALL_ORDER, GenesisError::ProducerKey(CAROL)),
        (|genesis| genesis.producers[1].key = genesis.producers[0].key, GenesisError::ProducerKey(CAROL)),
        (|genesis| genesis.producers[1].key = genesis.accounts[0].key, GenesisError::ProducerKey(CAROL)),
        (|genesis| genesis.producers[1].beacon = VrfPublic([0; 32]), GenesisError::ProducerKey(CAROL)),
        (|genesis| genesis.producers[1].beacon = genesis.producers[0].beacon, GenesisError::ProducerKey(CAROL)),
        (|genesis| genesis.accounts.swap(0, 1), GenesisError::AccountOrder(ALICE)),
        (|genesis| genesis.accounts[1].name = ALICE, GenesisError::AccountOrder(ALICE)),
        (|genesis| genesis.accounts[2].key = SMALL_ORDER, GenesisError::AccountKey(CAROL)),
        (|genesis| genesis.accounts[0].vesting[0].amount = Amount::ZERO, GenesisError::Vesting(ALICE)),
        (|genesis| genesis.accounts[0].vesting = vec![part(5, 1), part(5, 1)], GenesisError::Vesting(ALICE)),
        (|genesis| genesis.accounts[0].vesting = (0..17).map(|at| part(at, 1)).collect(), GenesisError::Vesting(ALICE)),
        (|genesis| genesis.accounts[2].vesting = vec![part(5, u128::MAX)], GenesisError::Supply),
        (|genesis| genesis.accounts[2].balance = Amount(u128::MAX), GenesisError::Supply),
        (|genesis| dpos(genesis).reward_pool = Amount(u128::MAX), GenesisError::Supply),
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
        |genesis| {
            dpos(genesis).weighting = Weighting::Bond;
            genesis.producers[1].bond = Amount(u128::from(u64::MAX - 1) * Amount::ONE.0);
        },
    ];
    for change in changes {
        let mut changed = genesis();
        change(&mut changed);
        assert_eq!(changed.validate(), Ok(()));
    }
}

#[test]
fn every_field_makes_another_chain() {
    let changes: [Change; 17] = [
        |genesis| genesis.label.push('x'),
        |genesis| genesis.time_ms += 1,
        |genesis| genesis.slot_ms += 1,
        |genesis| genesis.slice_ms += 1,
        |genesis| genesis.delta_ms += 1,
        |genesis| genesis.epoch_slots += 1,
        |genesis| genesis.fees.per_byte.0 += 1,
        |genesis| genesis.fees.per_signature.0 += 1,
        |genesis| genesis.fees.per_unit.0 += 1,
        |genesis| genesis.fees.slot_units += 1,
        |genesis| genesis.producers[0].bond.0 += 1,
        |genesis| genesis.producers[0].beacon.0[0] ^= 1,
        |genesis| genesis.engine = EngineChoice::Authority,
        |genesis| dpos(genesis).release_slots += 1,
        |genesis| genesis.accounts[0].balance.0 += 1,
        |genesis| genesis.deposit_per_byte.0 += 1,
        |genesis| genesis.accounts[0].vesting[0].free_at_ms += 1,
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
    assert_eq!(genesis.epochs().of(Slot(1_199)), Epoch(0));
    assert_eq!(genesis.epochs().of(Slot(1_200)), Epoch(1));
    assert_eq!(genesis.supply(), Some(Amount(1_000 + 40 + 50 + 60 + 900)));
}

#[test]
fn the_first_schedule_is_the_lists() {
    let mut genesis = genesis();
    let schedule = genesis.schedule();
    assert_eq!(schedule.epoch, Epoch(0));
    let listed: Vec<_> = schedule.producers.iter().map(|producer| (producer.name, producer.key)).collect();
    assert_eq!(listed, [(BOB, key(2).public()), (CAROL, key(3).public())]);
    genesis.time_ms += 1;
    assert_ne!(genesis.schedule().seed, schedule.seed, "each chain has a seed of its own");
}

#[test]
fn bonds_weigh_in_whole_tokens_where_genesis_says_so() {
    let one = Amount::ONE.0;
    for (bond, weight) in [(0, 1), (one - 1, 1), (one, 1), (5 * one + 1, 5), (u128::MAX, u64::MAX)] {
        assert_eq!(Weighting::Bond.weigh(Amount(bond)), weight);
        assert_eq!(Weighting::Equal.weigh(Amount(bond)), 1);
    }
    let mut genesis = genesis();
    dpos(&mut genesis).weighting = Weighting::Bond;
    genesis.producers[0].bond = Amount(7 * one);
    assert_eq!(genesis.schedule().producers[0].weight, 7);
    genesis.engine = EngineChoice::Authority;
    assert_eq!(genesis.schedule().producers[0].weight, 1);
    assert_eq!(dpos_parameters().weighting, Weighting::Equal);
}
