//! Changes of the producers (PROTOCOL.md, "Changing the producers"), with the traces that break their alternatives.

use std::collections::BTreeMap;

use hpb_base::Instant;
use hpb_types::{Certificate, ConfirmBody, Epoch, Evidence, NextSchedule, Quorum, Schedule, Slice, SliceRef, Slot};

use super::{Kit, World};
use crate::conformance::kit::{SLOT_MS, chain, config, evidence, genesis, is_justified, name, schedule, signature};
use crate::conformance::runs::{final_height, final_slots, steady};
use crate::conformance::world::{EPOCH_SLOTS, Links};
use crate::dpos::{Input, Output};
use crate::engine::{DropReason, Verified};
use crate::schedules::Schedules;
use crate::watermark::Memory;

/// Epochs of 8 slots: slot 6 fixes, slot 8 begins the next one.
fn kit() -> Kit {
    let schedules = Schedules::new(schedule(0, &[0, 1, 2, 3]), EPOCH_SLOTS);
    Kit::with(config(None), schedules, Memory::Never, Instant::ZERO)
}

/// A slice of the schedule of `epoch`, whose producer `by` is, carrying `source`.
fn slice(
    kit: &mut Kit,
    (slot, index): (u64, u32),
    parent: SliceRef,
    source: Certificate,
    by: (u64, usize),
    next: Option<Schedule>,
) -> Slice {
    let (target, epoch, producer) = (source.target, Epoch(by.0), name(by.1));
    let made = kit.make_with((slot, index), parent, target, |body| {
        body.epoch = epoch;
        body.producer = producer;
        body.source = source;
        body.next = next.map_or(NextSchedule::None, NextSchedule::Fixed);
    });
    kit.now = kit.now.max(Instant::from_millis(slot * SLOT_MS + SLOT_MS / 2));
    made
}

/// The quorum of the members at `indexes` of the schedule of `epoch`.
fn quorum(epoch: u64, indexes: &[usize]) -> Quorum {
    let signatures: BTreeMap<_, _> = indexes.iter().map(|index| (*index, signature(*index))).collect();
    Quorum::new(Epoch(epoch), &signatures)
}

fn certificate(source: SliceRef, target: SliceRef, quorums: &[Quorum]) -> Certificate {
    Certificate { source, target, quorums: quorums.to_vec() }
}

fn confirm(kit: &mut Kit, by: usize, epoch: u64, source: SliceRef, target: SliceRef) {
    let body = ConfirmBody { version: 1, chain: chain(), epoch: Epoch(epoch), source, target, producer: name(by) };
    kit.feed(Input::Confirm(Verified::vouch(hpb_types::Confirm { body, signature: signature(by) })));
}

/// A chain up to slot 6 whose first slice there, (6,0), fixes `next`, and is proven final by what (6,4) carries: (6,0)
/// and (6,1) to (6,3) are justified, (6,2) and (6,3) from (6,0). With `proven` false it ends at (6,1).
fn fixed(kit: &mut Kit, next: &Schedule, proven: bool) -> Vec<SliceRef> {
    let old = quorum(0, &[0, 1, 2]);
    let start = Certificate::genesis(genesis());
    let mut run: Vec<SliceRef> = Vec::new();
    let first = slice(kit, (6, 0), genesis(), start.clone(), (0, 2), Some(next.clone()));
    run.push(kit.give(&first));
    let second = slice(kit, (6, 1), run[0], start, (0, 2), None);
    run.push(kit.give(&second));
    if proven {
        let of_first = certificate(genesis(), run[0], std::slice::from_ref(&old));
        let third = slice(kit, (6, 2), run[1], of_first, (0, 2), None);
        run.push(kit.give(&third));
        let of_second = certificate(genesis(), run[1], std::slice::from_ref(&old));
        let fourth = slice(kit, (6, 3), run[2], of_second, (0, 2), None);
        run.push(kit.give(&fourth));
        let of_third = certificate(run[0], run[2], &[old]);
        let fifth = slice(kit, (6, 4), run[3], of_third, (0, 2), None);
        run.push(kit.give(&fifth));
        assert_eq!(kit.last_final(), run[0]);
    }
    run
}

fn best(run: &[SliceRef]) -> Certificate {
    certificate(run[0], run[2], &[quorum(0, &[0, 1, 2])])
}

/// Where a slice stands, whether after one that fixed, what it fixes, and whether that is right.
type Fixing = ((u64, u32), bool, Option<Schedule>, bool);

#[test]
fn the_first_slice_of_the_last_quarter_fixes_and_no_other() {
    let next = schedule(1, &[4, 5, 6, 7]);
    let cases: [Fixing; 6] = [
        ((5, 0), false, None, true),
        ((5, 0), false, Some(next.clone()), false),
        ((6, 0), false, Some(next.clone()), true),
        ((6, 0), false, None, false),
        ((6, 0), false, Some(Schedule { epoch: Epoch(2), ..next.clone() }), false),
        ((7, 0), true, Some(next.clone()), false),
    ];
    for (at, after_fixing, fixes, good) in cases {
        let mut kit = kit();
        let parent = if after_fixing { fixed(&mut kit, &next, false)[1] } else { genesis() };
        let by = (0, (at.0 % 4) as usize);
        let made = slice(&mut kit, at, parent, Certificate::genesis(genesis()), by, fixes.clone());
        kit.give(&made);
        assert_eq!(kit.dropped(DropReason::NextSchedule), u64::from(!good), "{at:?} {fixes:?}");
    }
}

#[test]
fn a_schedule_comes_into_force_at_the_boundary_if_its_chain_proves_the_fixing_slice_final() {
    let next = schedule(1, &[4, 5, 6, 7]);
    for (proven, by, good) in [(true, (1, 4), true), (true, (0, 0), false), (false, (0, 0), true)] {
        let mut kit = kit();
        let run = fixed(&mut kit, &next, proven);
        let source = if proven { best(&run) } else { Certificate::genesis(genesis()) };
        let made = slice(&mut kit, (8, 0), run[run.len() - 1], source, by, None);
        let reference = kit.give(&made);
        assert_eq!(kit.asked_to_execute().contains(&reference), good, "proven {proven}, by {by:?}");
        let told = |epoch| {
            kit.outputs.iter().any(|output| {
                matches!(output, Output::InForce { from, schedule } if *from == Slot(8) && schedule.epoch == Epoch(epoch))
            })
        };
        assert_eq!(told(1), proven && good);
    }
}

/// The proof must stand before the boundary: what only the first slice after it carries comes too late, or the producers
/// of that very slice would depend on what it says.
#[test]
fn a_proof_that_the_first_slice_of_the_epoch_carries_is_too_late() {
    let mut kit = kit();
    let next = schedule(1, &[4, 5, 6, 7]);
    let run = fixed(&mut kit, &next, true);
    // On (6,3), whose chain does not yet carry the link from (6,0) to (6,2).
    let made = slice(&mut kit, (8, 0), run[3], best(&run), (0, 0), None);
    let reference = kit.give(&made);
    assert!(kit.asked_to_execute().contains(&reference));
    let made = slice(&mut kit, (8, 0), run[3], best(&run), (1, 4), None);
    kit.give(&made);
    assert_eq!(kit.dropped(DropReason::Schedule), 1);
}

#[test]
fn a_schedule_that_is_not_known_asks_for_what_is_missing_once_in_a_while() {
    let mut kit = kit();
    for index in 0..3 {
        let made = slice(
            &mut kit,
            (8, 0),
            SliceRef { height: genesis().height, id: hpb_types::Hash([index; 32]) },
            Certificate::genesis(genesis()),
            (1, 4),
            None,
        );
        kit.give(&made);
    }
    assert_eq!(kit.dropped(DropReason::UnknownSchedule), 3);
    let requests = kit.outputs.iter().filter(|output| matches!(output, Output::Request { .. })).count();
    assert_eq!(requests, 1);
}

/// Where the sets are disjoint, neither has a word without the other until the new epoch has a final slice.
#[test]
fn from_the_boundary_on_both_sets_are_asked_until_the_new_epoch_is_final() {
    let next = schedule(1, &[4, 5, 6, 7]);
    let mut kit = kit();
    let run = fixed(&mut kit, &next, true);
    let first = slice(&mut kit, (8, 0), run[4], best(&run), (1, 4), None);
    let first = kit.give(&first);
    for by in 4..8 {
        confirm(&mut kit, by, 1, run[2], first);
    }
    assert!(!is_justified(&kit, first), "the new set alone");
    for by in 0..2 {
        confirm(&mut kit, by, 1, run[2], first);
    }
    assert!(!is_justified(&kit, first), "two of the old four");
    confirm(&mut kit, 3, 1, run[2], first);
    assert!(is_justified(&kit, first));
    let Some(Output::Justified(both)) = kit.outputs.iter().rfind(|output| matches!(output, Output::Justified(_)))
    else {
        panic!("no certificate")
    };
    assert_eq!(both.quorums.iter().map(|quorum| quorum.epoch.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(both.quorums[0].producers.iter().collect::<Vec<_>>(), [0, 1, 3]);

    // A slice that carries the new set's quorum alone is invalid; with both it is not.
    let (old, new) = (quorum(0, &[0, 1, 3]), quorum(1, &[0, 1, 2, 3]));
    let alone = certificate(run[2], first, std::slice::from_ref(&new));
    let made = slice(&mut kit, (8, 1), first, alone, (1, 4), None);
    kit.give(&made);
    assert_eq!(kit.dropped(DropReason::Source), 1);
    let second = slice(&mut kit, (8, 1), first, best(&run), (1, 4), None);
    let second = kit.give(&second);
    let third = slice(&mut kit, (8, 2), second, certificate(run[2], first, &[old.clone(), new.clone()]), (1, 4), None);
    let third = kit.give(&third);
    let of_second = certificate(run[2], second, &[old.clone(), new.clone()]);
    let fourth = slice(&mut kit, (8, 3), third, of_second, (1, 4), None);
    let fourth = kit.give(&fourth);
    let of_third = certificate(first, third, &[old, new]);
    let fifth = slice(&mut kit, (8, 4), fourth, of_third, (1, 4), None);
    let fifth = kit.give(&fifth);
    assert_eq!(kit.last_final(), first);
    // (8,4) carries the proof that (8,0) is final: from itself on the new set decides alone, and the old has no word.
    for by in 4..7 {
        confirm(&mut kit, by, 1, third, fifth);
    }
    assert!(is_justified(&kit, fifth));
    let drops = kit.dropped(DropReason::Schedule);
    confirm(&mut kit, 0, 1, third, fifth);
    assert_eq!(kit.dropped(DropReason::Schedule), drops + 1);
    assert!(evidence(&kit).is_empty());
}

/// Without the overlap: the old set never hears of the new epoch, goes on as its chain says it may, and makes its own
/// slices final, while the new set does the same with others. No producer lies. With the overlap neither side has a
/// certificate.
#[test]
fn a_partition_of_old_and_new_set_would_make_both_sides_final() {
    let next = schedule(1, &[4, 5, 6, 7]);
    let mut kit = kit();
    let run = fixed(&mut kit, &next, true);
    // The old side parts at (6,3), where the proof is not carried yet: the old schedule stays on its chain.
    let old_side = slice(&mut kit, (8, 0), run[3], best(&run), (0, 0), None);
    let old_side = kit.give(&old_side);
    let new_side = slice(&mut kit, (9, 0), run[4], best(&run), (1, 5), None);
    let new_side = kit.give(&new_side);
    for by in 4..8 {
        confirm(&mut kit, by, 1, run[2], new_side);
    }
    assert!(!is_justified(&kit, new_side), "the old set's word is missing, and it has given it to the other side");
    for by in 0..4 {
        confirm(&mut kit, by, 0, run[2], old_side);
    }
    assert!(is_justified(&kit, old_side));
    for by in 0..4 {
        confirm(&mut kit, by, 1, run[2], new_side);
    }
    assert!(is_justified(&kit, new_side), "which is another height: no fault, and nothing is final across slots");
    assert_eq!(kit.last_final(), run[0]);
    assert!(evidence(&kit).is_empty());
}

#[test]
fn two_slices_of_one_height_by_two_producers_of_two_schedules_are_no_fault() {
    let next = schedule(1, &[4, 5, 6, 7]);
    let mut kit = kit();
    let run = fixed(&mut kit, &next, true);
    let stays = slice(&mut kit, (8, 0), run[3], best(&run), (0, 0), None);
    kit.give(&stays);
    let goes = slice(&mut kit, (8, 0), run[4], best(&run), (1, 4), None);
    kit.give(&goes);
    assert!(evidence(&kit).is_empty());
    let again = kit.make_with((8, 0), run[4], run[2], |body| {
        (body.epoch, body.producer, body.source) = (Epoch(1), name(4), best(&run));
        body.results.hash = hpb_types::Hash([9; 32]);
    });
    kit.give(&again);
    assert!(matches!(&evidence(&kit)[..], [Evidence::TwoSlices { producer, .. }] if *producer == name(4)));
}

// --- Worlds ---

/// Epoch by epoch another set: `sets` in turn.
fn world(count: usize, seed: u64, elect: fn(u64, usize) -> Vec<usize>) -> World {
    World::electing(count, seed, steady(30), elect)
}

fn assert_rotates(world: &mut World, epochs: u64) {
    let slots = epochs * EPOCH_SLOTS;
    world.run_until((slots + 1) * SLOT_MS);
    assert_eq!(final_slots(world), (1..=slots).collect::<Vec<_>>());
    for node in &world.nodes {
        assert_eq!(node.in_force, (1..=epochs).map(Epoch).collect(), "every schedule comes into force");
        assert_eq!((node.retractions, node.evidence), (0, 0));
    }
}

#[test]
fn each_epoch_has_its_order() {
    assert_rotates(
        &mut world(4, 1, |epoch, count| (0..count).map(|index| (3 * index + epoch as usize) % count).collect()),
        6,
    );
}

#[test]
fn a_set_grows_and_shrinks() {
    assert_rotates(&mut world(7, 2, |epoch, _| (0..[4, 7, 5, 7][epoch as usize % 4]).collect()), 8);
}

#[test]
fn disjoint_sets_hand_over() {
    assert_rotates(
        &mut world(8, 3, |epoch, _| if epoch.is_multiple_of(2) { vec![0, 1, 2, 3] } else { vec![7, 6, 5, 4] }),
        6,
    );
}

/// The old set, the new set and both halves, cut off from each other around a boundary; what was final stays, and all go
/// on when they hear each other again.
#[test]
fn a_partition_at_the_boundary_makes_no_second_chain() {
    let elect = |epoch: u64, _| if epoch.is_multiple_of(2) { vec![0, 1, 2, 3] } else { vec![4, 5, 6, 7] };
    for seed in 0..24_u64 {
        let mut world =
            World::electing(8, seed, Links { delay_ms: (5, 60), loss_per_million: 0, twice_per_million: 0 }, elect);
        world.run_until(6 * SLOT_MS + 90 * seed);
        world.groups = match seed % 3 {
            0 => vec![0, 0, 0, 0, 1, 1, 1, 1],
            1 => vec![0, 0, 1, 1, 0, 0, 1, 1],
            _ => vec![0, 0, 0, 1, 1, 1, 1, 1],
        };
        world.run_until((14 + seed % 8) * SLOT_MS);
        world.heal();
        world.run_until(40 * SLOT_MS);
        for node in 0..8 {
            assert!(
                final_height(&world, node).slot >= Slot(38),
                "seed {seed}: {node} at {:?}",
                final_height(&world, node)
            );
            assert_eq!(world.nodes[node].evidence, 0);
        }
    }
}

#[test]
fn who_was_away_for_epochs_learns_the_schedules_on_the_way() {
    let mut world = world(8, 5, |epoch, _| if epoch.is_multiple_of(2) { vec![0, 1, 2, 3] } else { vec![3, 4, 5, 6] });
    world.run_until(5 * SLOT_MS);
    world.groups[7] = 1;
    world.run_until(60 * SLOT_MS);
    world.heal();
    world.run_until(62 * SLOT_MS);
    assert!(final_height(&world, 7).slot >= Slot(60));
}
