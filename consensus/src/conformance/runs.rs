//! Worlds of engines.

use hpb_base::{Duration, Random};
use hpb_types::{Height, Slot};

use super::kit::{DELTA_MS, SLOT_MS, Subject};
use super::world::{Links, World};
use crate::watermark::Memory;

pub(crate) fn steady(delay_ms: u64) -> Links {
    Links { delay_ms: (delay_ms, delay_ms), loss_per_million: 0, twice_per_million: 0 }
}

/// The slots that have a final slice.
pub(crate) fn final_slots<E: Subject>(world: &World<E>) -> Vec<u64> {
    let mut slots: Vec<u64> = world.chain.iter().map(|slice| slice.height.slot.0).collect();
    slots.dedup();
    slots
}

pub(crate) fn final_height<E: Subject>(world: &World<E>, node: usize) -> Height {
    world.nodes[node].engine.as_ref().unwrap().last_final().height
}

pub(super) fn four_producers_make_everything_final_within_half_a_second<E: Subject>() {
    let mut world = World::<E>::new(4, 1, steady(50));
    world.run_until(40 * SLOT_MS + SLOT_MS / 2);
    assert_eq!(final_slots(&world), (1..=40).collect::<Vec<_>>());
    let old = world.now - Duration::from_millis(600);
    assert!(
        world.sent.iter().all(|(slice, at)| *at > old || world.chain.contains(slice)),
        "something sent is not final"
    );
    for node in &world.nodes {
        assert!(node.finals.len() + 15 > world.sent.len());
        // Mid-slot: sent, confirmed, carried, confirmed again, each 50 ms, and up to a slice of waiting; at the end of a
        // slot, Delta more for the next producer.
        assert!(node.final_latency_max <= Duration::from_millis(500), "{:?}", node.final_latency_max);
        assert_eq!((node.retractions, node.evidence), (0, 0));
    }
}

pub(super) fn a_silent_producers_slots_are_skipped_and_all_the_rest_is_final<E: Subject>() {
    let mut world = World::<E>::electing(4, 2, steady(50), |_, count| (0..count).collect());
    world.crash(2);
    world.run_until(41 * SLOT_MS + SLOT_MS / 2);
    let filled: Vec<u64> = (1..=41).filter(|slot| slot % 4 != 2).collect();
    assert_eq!(final_slots(&world), filled);
    assert!(world.chain.len() + 12 > world.sent.len(), "{} of {} are final", world.chain.len(), world.sent.len());
}

pub(super) fn the_hand_over_retracts_nothing_when_delays_are_within_delta<E: Subject>() {
    let mut world = World::<E>::new(4, 3, Links { delay_ms: (1, DELTA_MS), loss_per_million: 0, twice_per_million: 0 });
    world.run_until(200 * SLOT_MS);
    for (index, node) in world.nodes.iter().enumerate() {
        assert_eq!(node.retractions, 0, "at node {index}");
    }
    assert_eq!(final_slots(&world), (1..200).collect::<Vec<_>>());
    assert!(world.chain.len() + 15 > world.sent.len(), "a slice was left behind");
}

pub(super) fn two_against_two_make_nothing_final_and_heal_within_two_slots<E: Subject>() {
    for seed in 0..8 {
        let mut world =
            World::<E>::new(4, seed, Links { delay_ms: (10, 60), loss_per_million: 0, twice_per_million: 0 });
        world.run_until(10 * SLOT_MS + 37 * seed);
        world.groups = if seed % 2 == 0 { vec![0, 0, 1, 1] } else { vec![0, 1, 0, 1] };
        world.run_until(12 * SLOT_MS);
        let before = world.chain.len();
        world.run_until((30 + seed) * SLOT_MS);
        assert_eq!(world.chain.len(), before, "final without a quorum");
        let heads: Vec<u64> =
            (0..4).map(|node| world.nodes[node].engine.as_ref().unwrap().head().height.slot.0).collect();
        assert!(heads.iter().all(|slot| *slot >= 25 + seed), "both sides go on growing: {heads:?}");
        world.run_until((30 + seed) * SLOT_MS + 50 * seed);
        let healed = world.now.as_millis();
        world.heal();
        world.run_until(healed + 2 * SLOT_MS);
        for node in 0..4 {
            let height = final_height(&world, node);
            assert!(height.slot >= Slot(healed / SLOT_MS), "seed {seed}: node {node} is final up to {height:?}");
        }
    }
}

pub(super) fn three_go_on_and_the_fourth_catches_up<E: Subject>() {
    let mut world = World::<E>::new(4, 4, steady(30));
    world.run_until(5 * SLOT_MS);
    world.groups = vec![0, 0, 0, 1];
    world.run_until(30 * SLOT_MS);
    assert!(final_height(&world, 0).slot >= Slot(28));
    assert!(final_height(&world, 3).slot <= Slot(5));
    world.heal();
    world.run_until(32 * SLOT_MS);
    assert!(final_height(&world, 3).slot >= Slot(30));
    assert_eq!(world.nodes[3].evidence, 0);
}

pub(super) fn random_delays_and_losses_never_make_two_final_chains<E: Subject>() {
    let mut total = 0;
    for seed in 0..50 {
        let mut random = Random::stream(seed, 1);
        let links = Links {
            delay_ms: (1, 20 + random.below(400)),
            loss_per_million: random.below(80_000) as u32,
            twice_per_million: 0,
        };
        let mut world = World::<E>::new(4, seed, links);
        // The world itself asserts that all final chains are one.
        world.run_until(12 * SLOT_MS);
        world.groups = (0..4).map(|_| random.below(2) as usize).collect();
        world.run_until(18 * SLOT_MS);
        world.heal();
        world.run_until(26 * SLOT_MS);
        world.links = Links { delay_ms: (1, 50), loss_per_million: 0, twice_per_million: 0 };
        world.run_until(32 * SLOT_MS);
        assert!(final_height(&world, 0).slot >= Slot(29), "seed {seed}: {:?}", final_height(&world, 0));
        assert!(world.nodes.iter().all(|node| node.evidence == 0), "seed {seed}: an honest producer is accused");
        total += world.chain.len();
    }
    assert!(total > 50 * 100);
}

pub(super) fn one_seed_one_world<E: Subject>() {
    let trace = |seed| {
        let mut world =
            World::<E>::new(4, seed, Links { delay_ms: (1, 300), loss_per_million: 50_000, twice_per_million: 0 });
        world.run_until(15 * SLOT_MS);
        (world.sent, world.chain)
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

pub(super) fn producers_that_crash_and_restart_never_contradict_themselves<E: Subject>() {
    let mut confirms = 0;
    for seed in 0..20 {
        let mut random = Random::stream(seed, 2);
        let mut world =
            World::<E>::new(4, seed, Links { delay_ms: (1, 80), loss_per_million: 10_000, twice_per_million: 0 });
        let mut until = 2 * SLOT_MS;
        for _ in 0..12 {
            until += random.below(2 * SLOT_MS);
            world.run_until(until);
            let node = random.below(4) as usize;
            // The world asserts that what a node says after its restart never contradicts what it said before, and that
            // it makes no second slice at one height.
            world.crash(node);
            until += random.below(150);
            world.run_until(until);
            world.restart(node);
        }
        world.run_until(until + 3 * SLOT_MS);
        assert!(world.nodes.iter().all(|node| node.evidence == 0));
        confirms += world.nodes.iter().map(|node| node.said.len()).sum::<usize>();
    }
    assert!(confirms > 1_000);
}

/// Stops all nodes at one instant and starts them again on their disks.
fn stop_all<E: Subject>(world: &mut World<E>, forget: bool) {
    for node in 0..4 {
        world.crash(node);
        if forget {
            world.forget(node);
        }
    }
    for node in 0..4 {
        world.restart(node);
    }
}

pub(super) fn all_nodes_stopped_at_once_go_on_from_their_disks<E: Subject>() {
    for seed in 0..10 {
        let mut world =
            World::<E>::new(4, seed, Links { delay_ms: (5, 60), loss_per_million: 0, twice_per_million: 0 });
        let mut until = 3 * SLOT_MS;
        for round in 0..6 {
            until += 2 * SLOT_MS + 171 * round + 13 * seed;
            world.run_until(until);
            let before = world.chain.len();
            stop_all(&mut world, false);
            world.heal();
            until += 4 * SLOT_MS;
            world.run_until(until);
            assert!(world.chain.len() > before + 10, "seed {seed}, round {round}");
        }
    }
}

/// Were a host to keep the watermark but not the slices, every new slice would carry a source below each producer's last.
pub(super) fn producers_that_keep_their_watermarks_but_not_their_slices_stand_still<E: Subject>() {
    let mut world = World::<E>::new(4, 1, steady(40));
    world.run_until(5 * SLOT_MS + 400);
    let before = world.chain.len();
    stop_all(&mut world, true);
    world.run_until(15 * SLOT_MS);
    assert_eq!(world.chain.len(), before);
}

pub(super) fn a_lost_watermark_keeps_silent_until_the_chain_has_moved_past_the_restart<E: Subject>() {
    let mut world = World::<E>::new(4, 9, steady(40));
    world.run_until(5 * SLOT_MS + 200);
    world.crash(1);
    world.wipe(1);
    world.run_until(5 * SLOT_MS + 250);
    world.restart(1);
    let before = world.nodes[1].said.len();
    world.run_until(6 * SLOT_MS);
    assert_eq!(world.nodes[1].said.len(), before, "it spoke in the slot of its restart");
    world.run_until(10 * SLOT_MS);
    let first = &world.nodes[1].said[before];
    assert!(first.source.height.slot > Slot(5), "its first word links from {:?}", first.source);
    assert!(world.nodes.iter().all(|node| node.evidence == 0));
    assert!(final_slots(&world).contains(&9), "it produces again");
}

pub(super) fn an_idle_chain_is_silent_and_wakes_for_a_transaction<E: Subject>() {
    let mut world = World::<E>::new(4, 11, steady(20));
    world.silent_when_idle = true;
    for index in 0..4 {
        world.start(index, Memory::Never);
    }
    world.run_until(5 * SLOT_MS + 250);
    assert!(world.sent.is_empty());
    world.pending(1, true);
    world.run_until(6 * SLOT_MS - 1);
    world.pending(1, false);
    world.run_until(20 * SLOT_MS);
    let last = *world.sent.keys().next_back().unwrap();
    assert!(!world.sent.is_empty() && last.height.slot <= Slot(7), "empty slices go on until slot {last:?}");
    assert!(world.chain.iter().any(|slice| slice.height.slot == Slot(5)), "what was included is final");
}

pub(super) fn twenty_one_producers_agree<E: Subject>() {
    let mut world = World::<E>::new(21, 12, steady(50));
    world.run_until(4 * SLOT_MS);
    assert_eq!(final_slots(&world), vec![1, 2, 3]);
    for node in &world.nodes {
        assert!(node.final_latency_max <= Duration::from_millis(500), "{:?}", node.final_latency_max);
    }
}
