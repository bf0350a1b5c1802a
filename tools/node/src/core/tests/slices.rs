//! Slices that can't be taken at once.

use hpb_consensus::Office;

use super::*;

/// A slice without transactions of the producer of `slot`, on `parent`, which `ledger` knows, and which then knows it.
fn empty_slice(
    ledger: &mut Ledger<SharedStore>,
    genesis: &Genesis,
    (slot, index): (u64, u32),
    parent: Hash,
    change: impl FnOnce(&mut SliceBody),
) -> SliceBundle {
    let number = (slot % genesis.producers.len() as u64) as usize;
    let producer = Producer::new(producer_name(number), Arc::new(keys(1, number)), beacon(number));
    let schedule = genesis.schedule();
    let beacon = producer.beacon(&schedule, &genesis.chain_id(), Slot(slot)).filter(|_| index == 0);
    let mut body = SliceBody {
        version: SliceBody::VERSION,
        chain: genesis.chain_id(),
        epoch: schedule.epoch,
        slot: Slot(slot),
        index,
        last: false,
        parent,
        producer: producer.name,
        transactions_root: Hash::ZERO,
        results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
        source: Certificate::genesis(genesis.genesis_slice()),
        beacon: beacon.unwrap_or(Beacon::None),
        next: NextSchedule::None,
    };
    let office = Office { schedule: Arc::new(schedule), confirmers: Vec::new() };
    let executed = ledger.build(&parent, &context_of(&body, office), []).unwrap().executed;
    (body.transactions_root, body.results) = (executed.transactions_root, executed.results);
    change(&mut body);
    let slice = Slice::sign(body, &keys(1, number));
    ledger.insert(slice.reference(), parent, executed).unwrap();
    SliceBundle { slice, transactions: Vec::new() }
}

#[test]
fn a_slice_that_found_no_room_is_taken_when_others_build_on_it() {
    let mut world = World::new(4);
    for index in 0..3 {
        world.kill(index);
    }
    world.run_for(Duration::from_millis(700));
    let genesis = world.genesis.genesis_slice().id;
    let mut ledger = Ledger::open(&world.genesis, SharedStore::default()).unwrap();
    let wrong = empty_slice(&mut ledger, &world.genesis, (1, 0), genesis, |body| body.results.hash = Hash::ZERO);
    let other = empty_slice(&mut ledger, &world.genesis, (1, 0), genesis, |body| body.last = true);
    let third = empty_slice(&mut ledger, &world.genesis, (1, 0), genesis, |_| {});
    let child = empty_slice(&mut ledger, &world.genesis, (1, 1), third.slice.id(), |_| {});
    let mut give = |bundle: &SliceBundle| {
        let body = Message::SliceBundle(Box::new(bundle.clone())).encode();
        world.give(3, Input::Message { session: session(0), kind: kind::SLICE_BUNDLE, body });
        world.run_for(Duration::from_millis(5));
    };
    // Two slices at one height prove a fault; a third finds no room.
    for bundle in [&wrong, &other, &third] {
        give(bundle);
    }
    // Now something asks for it, so it is asked for, and comes again.
    give(&child);
    give(&third);
    assert!(world.core(3).engine().holds(&third.slice.id()));
    assert!(world.core(3).ledger.knows(&child.slice.id()), "both were executed");
}

#[test]
fn a_slice_from_ahead_of_time_is_taken_when_its_slot_has_come() {
    let mut world = World::new(4);
    for index in 0..3 {
        world.kill(index);
    }
    world.run_for(Duration::from_millis(700));
    let mut ledger = Ledger::open(&world.genesis, SharedStore::default()).unwrap();
    let genesis = world.genesis.genesis_slice().id;
    let early = empty_slice(&mut ledger, &world.genesis, (2, 0), genesis, |_| {});
    let body = Message::SliceBundle(Box::new(early.clone())).encode();
    for _ in 0..2 {
        let input = Input::Message { session: session(0), kind: kind::SLICE_BUNDLE, body: body.clone() };
        world.give(3, input);
        world.run_for(Duration::from_millis(600));
    }
    assert!(world.core(3).ledger.knows(&early.slice.id()));
}
