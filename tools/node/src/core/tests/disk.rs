//! What a node's log and store hold, and what it goes on from.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

#[test]
fn all_killed_at_once_go_on_where_the_log_ends() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(700));
    let mut told = BTreeSet::new();
    for round in 0..6_u64 {
        for salt in 0..10 {
            let transaction = world.transfer(round * 100 + salt);
            world.submit(&transaction);
            world.run_for(Duration::from_millis(17));
        }
        world.run_for(Duration::from_millis(100 * round));
        let final_told = world.finals.last().unwrap().1;
        for (_, id, status) in &world.told {
            if let Status::Included(slice, _) = status
                && slice.height <= final_told.height
            {
                told.insert(*id);
            }
        }
        let disks: Vec<_> = (0..4).map(|index| world.kill(index)).collect();
        world.flying.clear();
        world.now += Duration::from_millis(333);
        for (index, (folder, disk)) in disks.into_iter().enumerate() {
            world.start(index, folder, disk);
        }
        for index in 0..4 {
            assert!(world.core(index).last_final().height >= final_told.height, "node {index} in round {round}");
        }
        world.mesh();
        world.run_for(Duration::from_secs(3));
    }
    assert!(told.len() >= 40, "{}", told.len());
    let core = world.core(2);
    let held: BTreeSet<Hash> =
        core.finals_kept.iter().flat_map(|id| core.bodies[id].transactions.iter().map(Checked::id)).collect();
    assert!(told.is_subset(&held), "nothing told final is lost");
    let tip = world.core(0).last_final().height;
    assert!(tip.slot.0 > 25, "the chain goes on after each restart: {tip:?}");
}

#[test]
fn the_store_waits_for_a_slow_log() {
    let mut world = World::new(4);
    world.sync_takes = Duration::from_millis(150);
    world.run_for(Duration::from_secs(10));
    assert!(world.commits >= 4 * 5, "{}", world.commits);
}

#[test]
fn nobody_is_shown_a_slot_before_the_log_holds_its_first_slice() {
    let mut world = World::new(4);
    world.sync_takes = Duration::from_millis(80);
    let shown = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&shown);
    world.tamper = Some(Box::new(move |from, _, whole| {
        if let Ok(Message::SliceBundle(bundle)) = Message::decode(whole[0], &whole[1..]) {
            let body = bundle.slice.body;
            into.borrow_mut().extend((body.index == 0 && body.producer == producer_name(from)).then_some(body.slot));
        }
    }));
    let mut slots = BTreeSet::new();
    for _ in 0..400 {
        world.run_for(Duration::from_millis(10));
        // Whoever comes is shown the head.
        world.mesh();
        for slot in shown.borrow_mut().drain(..) {
            let begun = world.genesis.slot_start_ms(slot) - WALL_AT_ZERO;
            assert!(world.now.as_millis() >= begun + 80, "slot {slot:?} at {:?}", world.now);
            slots.insert(slot);
        }
    }
    assert!(slots.len() > 4, "{slots:?}");
}

#[test]
fn a_store_that_is_ahead_of_its_log_is_refused_by_name() {
    let mut world = World::new(4);
    world.run_for(Duration::from_secs(5));
    let (folder, disk) = world.kill(0);
    let start = |folder: MemoryFolder| {
        let options = LogOptions::new(world.genesis.chain_id());
        let mark = WatermarkState::Known(Watermark::never_confirmed(producer_name(0), world.genesis.genesis_slice()));
        let clock = || Box::new(|| Instant::ZERO);
        let mut folder: Box<MemoryFolder> = Box::new(folder);
        let mut log = if ChainLog::exists(&mut *folder).unwrap() {
            ChainLog::open(folder, options, clock()).unwrap().0
        } else {
            ChainLog::create(folder, options, [0; 32], mark, clock()).unwrap()
        };
        Recovered::read(&world.genesis, disk.clone(), &mut log, None).map(|_| ())
    };
    start(folder).unwrap();
    let error = start(MemoryFolder::new()).unwrap_err();
    assert!(matches!(error, RecoverError::StoreAhead { .. }), "{error}");
}
