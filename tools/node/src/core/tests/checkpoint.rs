//! Old keys, a second chain, and the operator's checkpoint against it.

use super::*;

/// Two chains of one genesis and the same keys: the second as long as the first and longer, with certificates as good.
/// Node 0 has the first, nodes 1 and 2 the second, node 3 is new; between them no session is open. With a final slice of
/// the first that the second has not.
fn long_range() -> (World, MemoryFolder, SharedStore, SliceRef) {
    let run = |salts: std::ops::Range<u64>, until: u64| {
        let mut world = World::of(Genesis { epoch_slots: 8, ..genesis(4) });
        let disk = world.kill(3);
        let mut at_half = None;
        for (second, salt) in salts.enumerate() {
            let transaction = world.transfer(salt);
            world.submit(&transaction);
            world.run_for(Duration::from_secs(1));
            if second == 15 {
                at_half = Some(world.core(0).last_final());
            }
            if second as u64 == until {
                world.kill(2);
            }
        }
        world.run_for(Duration::from_secs(2));
        (world, disk, at_half.unwrap())
    };
    let (mut first, (folder, disk), checkpoint) = run(0..40, 30);
    let (mut second, _, _) = run(1_000..1_040, 40);
    for world in [&mut first, &mut second] {
        for index in 0..3 {
            for other in (0..3).filter(|other| *other != index) {
                world.give(index, Input::Closed { session: session(other) });
            }
        }
        world.flying.clear();
    }
    for index in [1, 2] {
        first.nodes[index] = second.nodes[index].take();
    }
    let ends = [0, 1].map(|index| first.core(index).last_final().height);
    assert!(ends[1].slot.0 > ends[0].slot.0 + 5, "the false chain is the longer one: {ends:?}");
    (first, folder, disk, checkpoint)
}

impl World {
    fn meet(&mut self, index: usize, other: usize) {
        for (own, with) in [(index, other), (other, index)] {
            let peer = Some(keys(4, with).public());
            self.give(own, Input::Opened { session: session(with), peer, class: Class::Validator });
        }
    }
}

#[test]
fn without_a_checkpoint_old_keys_take_a_new_node_onto_their_chain() {
    let (mut world, folder, disk, checkpoint) = long_range();
    world.start(3, folder, disk);
    world.meet(3, 1);
    world.run_for(Duration::from_secs(20));
    assert!(world.core(3).last_final().height > checkpoint.height, "{:?}", world.core(3).stats().sync);
    assert!(!world.holds_final(3, checkpoint), "every signature and certificate of it is good");
}

#[test]
fn with_a_checkpoint_a_new_node_refuses_the_chain_of_old_keys_and_takes_the_right_one() {
    let (mut world, folder, disk, checkpoint) = long_range();
    world.checkpoint = Some(checkpoint);
    world.start(3, folder, disk);
    world.meet(3, 1);
    world.meet(3, 2);
    world.run_for(Duration::from_secs(20));
    assert!(world.closed.contains(&(3, 1)) && world.closed.contains(&(3, 2)), "{:?}", world.closed);
    assert_eq!(world.core(3).last_final(), world.genesis.genesis_slice(), "nothing of it is final here");
    assert_eq!(world.core(3).stats().served, 0);
    world.meet(3, 0);
    world.run_for(Duration::from_secs(20));
    assert!(world.core(3).last_final().height >= checkpoint.height, "{:?}", world.core(3).stats().sync);
    assert!(world.holds_final(3, checkpoint));
    assert!(!world.closed.contains(&(3, 0)));
    let last = world.core(3).last_final();
    assert!(world.holds_final(0, last), "{last}");
}

#[test]
fn a_log_that_contradicts_the_checkpoint_is_refused_by_name() {
    let (mut world, _, _, checkpoint) = long_range();
    let read = |world: &mut World, index: usize, checkpoint| {
        let genesis = world.genesis.clone();
        let node = world.nodes[index].as_mut().unwrap();
        Recovered::read(&genesis, SharedStore::default(), &mut node.log, None)
            .unwrap()
            .hold_to(checkpoint, &mut node.log)
    };
    assert!(read(&mut world, 0, Some(checkpoint)).is_ok());
    let Err(error) = read(&mut world, 1, Some(checkpoint)) else { panic!("another chain's log passed") };
    let RecoverError::Checkpoint { found: Some(found), .. } = error else { panic!("{error}") };
    assert_eq!(found.height, checkpoint.height);
    let text = error.to_string();
    assert!(text.contains(&checkpoint.to_text()) && text.contains(&found.to_text()), "{text}");
    let nowhere = SliceRef { height: Height { index: 9_999, ..checkpoint.height }, ..checkpoint };
    assert!(matches!(read(&mut world, 0, Some(nowhere)), Err(RecoverError::Checkpoint { found: None, .. })));
    let genesis = world.genesis.genesis_slice();
    assert!(read(&mut world, 0, Some(genesis)).is_ok());
    let other = SliceRef { id: Hash([1; 32]), ..genesis };
    assert!(matches!(read(&mut world, 0, Some(other)), Err(RecoverError::Checkpoint { .. })));
    assert!(read(&mut world, 0, None).is_ok());
}
