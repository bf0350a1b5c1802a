//! Nodes that were away or are new.

use super::*;

#[test]
fn one_that_was_away_catches_up() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(1_000));
    let (folder, disk) = world.kill(3);
    for salt in 0..20 {
        let transaction = world.transfer(salt);
        world.submit(&transaction);
        world.run_for(Duration::from_millis(100));
    }
    world.start(3, folder, disk);
    world.mesh();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.core(3).stats().final_transactions, 20);
    assert_eq!(world.roots().len(), 1, "{:?}", world.roots());
}

impl World {
    /// Runs until a node has caught up, and some seconds on. How long it took.
    fn catch_up(&mut self, index: usize) -> Duration {
        let since = self.now;
        for _ in 0..600 {
            self.run_for(Duration::from_millis(100));
            if self.core(index).stats().sync.finished > 0 && !self.core(index).is_catching_up() {
                break;
            }
        }
        let took = self.now.since(since);
        self.run_for(Duration::from_secs(4));
        took
    }

    fn assert_level(&self, index: usize) {
        let (own, others) = (self.core(index), self.core(0));
        let stats = own.stats();
        let behind = others.last_final().height.slot.0.saturating_sub(own.last_final().height.slot.0);
        assert!(behind <= 2, "{behind} slots behind: {stats:?}");
        assert_eq!(stats.final_transactions, others.stats().final_transactions);
        let at = own.ledger.final_slice();
        if let Ok(root) = others.ledger.state_root(&at.id) {
            assert_eq!(own.ledger.state_root(&at.id).unwrap(), root);
        }
    }
}

#[test]
fn one_that_is_new_catches_up_over_epochs_from_the_logs_of_the_others() {
    let (mut world, folder, disk) = without_the_last(100);
    let slices = world.core(0).stats().final_slices;
    assert!(slices > FINAL_SLICES_KEPT_MAX as u64 + 300, "{slices}: only the log has them all");
    let in_force = world.core(0).engine.in_force().epoch;
    assert!(in_force.0 >= 10, "{in_force:?}");
    let now = world.now;
    world.start(3, folder, disk);
    world.mesh();
    let took = world.catch_up(3);
    world.assert_level(3);
    let sync = &world.core(3).stats().sync;
    assert!(sync.slices > slices - 100 && sync.banned == 0 && sync.rounds == 1, "{sync:?}");
    assert!(took < Duration::from_secs(20), "{took:?} since {now:?}");
    let served: Vec<u64> = (0..3).map(|index| world.core(index).stats().served).collect();
    assert!(served.iter().all(|count| *count > slices / 10), "all take part: {served:?}");
    assert!(world.core(3).bodies.len() < 2 * FINAL_SLICES_KEPT_MAX, "{}", world.core(3).bodies.len());
}

#[test]
fn one_that_lies_in_the_middle_is_closed_and_the_rest_comes_from_the_others() {
    let (mut world, folder, disk) = without_the_last(60);
    world.start(3, folder, disk);
    let mut lies = 0;
    world.tamper = Some(Box::new(move |from, to, message| {
        // One byte in the middle of every fourth piece of validator 1.
        if (from, to, message[0]) == (1, 3, kind::CHAIN_PIECE) && message.len() > 2_000 {
            lies += 1;
            let at = message.len() / 2;
            message[at] ^= u8::from(lies % 4 == 2);
        }
    }));
    world.mesh();
    world.catch_up(3);
    world.assert_level(3);
    assert!(world.closed.contains(&(3, 1)) && world.closed.iter().all(|with| *with == (3, 1)), "{:?}", world.closed);
    assert!(world.core(3).stats().sync.finished == 1);
}

#[test]
fn one_that_is_cut_off_while_it_catches_up_goes_on_from_its_disk() {
    let (mut world, folder, disk) = without_the_last(60);
    world.start(3, folder, disk);
    world.mesh();
    let part = world.core(0).last_final().height.slot.0 / 4;
    while world.core(3).last_final().height.slot.0 < part {
        world.run_for(Duration::from_micros(200));
    }
    assert!(world.core(3).is_catching_up());
    let taken = world.core(3).stats().sync.slices;
    let (folder, disk) = world.kill(3);
    world.flying.clear();
    world.run_for(Duration::from_secs(2));
    world.start(3, folder, disk);
    let kept = world.core(3).last_final().height.slot.0;
    assert!(kept >= part, "{kept} of {part}");
    world.mesh();
    world.catch_up(3);
    let again = world.core(3).stats().sync.slices;
    assert!(taken > 100 && again < world.core(0).stats().final_slices - taken / 2, "{taken} and {again}");
    let behind = world.core(0).last_final().height.slot.0.saturating_sub(world.core(3).last_final().height.slot.0);
    assert!(behind <= 2);
}

#[test]
fn while_one_catches_up_the_others_go_on() {
    let (mut world, folder, disk) = without_the_last(20);
    let before = world.core(0).last_final().height.slot.0;
    world.start(3, folder, disk);
    world.mesh();
    for salt in 1_000..1_020 {
        let transaction = world.transfer(salt);
        world.submit(&transaction);
        world.run_for(Duration::from_millis(100));
    }
    world.run_for(Duration::from_secs(4));
    assert!(world.core(0).last_final().height.slot.0 >= before + 8);
    world.assert_level(3);
}
