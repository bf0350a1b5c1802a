//! The seam itself: whom it takes to decide, hosts of every temper, inputs of every kind of wrongness, starts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hpb_base::limits::{CONFIRMS_UNSYNCED_MAX, ORPHAN_SLICES_MAX, PENDING_CONFIRMS_MAX, SIBLING_SLICES_MAX};
use hpb_base::{Instant, Random, UnixMillis};
use hpb_types::{
    Beacon, Certificate, Confirm, ConfirmBody, Epoch, Hash, KeyPair, NextSchedule, Quorum, ResultsCommitment, Schedule,
    Slice, SliceBody, SliceRef, Slot, VrfProof, VrfSecret,
};

use super::kit::{
    DELTA_MS, Kit, SLOT_MS, Subject, certificate, chain, config, confirm, genesis, height, name, schedule, schedules,
};
use super::runs::{final_height, final_slots, steady};
use super::world::{Links, World};
use crate::engine::{Anchor, AnchorError, DropReason, LinkInput as Input, LinkOutput as Output, Verified, Verify};
use crate::schedules::Schedules;
use crate::verify::VerifyError;
use crate::watermark::{Memory, Watermark};

// --- Who decides ---

pub(super) fn as_many_as_decide_make_all_final_and_one_less_nothing<E: Subject>() {
    for count in [1, 2, 3, 4, 5, 7] {
        for missing in [0, 1] {
            let alive = E::deciding(count) - missing;
            let mut world = World::<E>::new(count, count as u64, steady(40));
            for node in alive..count {
                world.crash(node);
            }
            let slots = 4 * count as u64;
            world.run_until(slots * SLOT_MS + SLOT_MS / 2);
            if missing == 1 {
                assert!(world.chain.is_empty(), "{alive} of {count} decide");
            } else if alive == count {
                assert_eq!(final_slots(&world), (1..=slots).collect::<Vec<_>>());
            } else {
                let filled = world.sent.keys().map(|slice| slice.height.slot.0).collect::<BTreeSet<_>>();
                assert_eq!(final_slots(&world), filled.into_iter().collect::<Vec<_>>(), "{alive} of {count}");
                assert!(world.chain.len() > slots as usize, "{alive} of {count}");
            }
        }
    }
}

pub(super) fn the_side_that_decides_goes_on_and_the_other_makes_nothing_final<E: Subject>() {
    for seed in 0..4 {
        let count = 5;
        let deciding = E::deciding(count);
        let mut world = World::<E>::new(count, seed, Links { delay_ms: (5, 60), ..steady(0) });
        world.run_until(6 * SLOT_MS + 90 * seed);
        world.groups = (0..count).map(|node| usize::from((node + seed as usize) % count >= deciding)).collect();
        let cut_off: Vec<usize> = (0..count).filter(|node| world.groups[*node] == 1).collect();
        world.run_until(8 * SLOT_MS);
        let before: Vec<_> = cut_off.iter().map(|node| final_height(&world, *node)).collect();
        world.run_until(25 * SLOT_MS);
        let after: Vec<_> = cut_off.iter().map(|node| final_height(&world, *node)).collect();
        assert_eq!(before, after, "seed {seed}");
        assert!(world.chain.last().unwrap().height.slot >= Slot(21), "seed {seed}");
        world.heal();
        world.run_until(28 * SLOT_MS);
        for node in 0..count {
            assert!(final_height(&world, node).slot >= Slot(26), "seed {seed}: {node} catches up");
            assert_eq!(world.nodes[node].evidence, 0);
        }
    }
}

// --- Hosts and links ---

/// The world checks each output.
pub(super) fn hosts_may_be_slow_and_answer_in_any_order<E: Subject>() {
    for seed in 0..6 {
        let links = Links { delay_ms: (1, 60), loss_per_million: 5_000, twice_per_million: 100_000 };
        let mut world = World::<E>::new(4, seed, links);
        world.host_ms = (0, 40 + 30 * seed);
        world.run_until(8 * SLOT_MS);
        world.crash(seed as usize % 4);
        world.run_until(9 * SLOT_MS);
        world.restart(seed as usize % 4);
        world.run_until(14 * SLOT_MS);
        world.host_ms = (0, 5);
        world.links = steady(30);
        world.run_until(18 * SLOT_MS);
        assert!((0..4).all(|node| final_height(&world, node).slot >= Slot(16)), "seed {seed}");
    }
}

/// With one producer all slots are its own: the answer for one comes when the next has begun.
pub(super) fn a_host_slower_than_a_slot_is_asked_for_one_slice_at_a_time<E: Subject>() {
    let mut world = World::<E>::new(1, 3, steady(1));
    world.host_ms = (SLOT_MS / 3, 3 * SLOT_MS);
    world.run_until(40 * SLOT_MS);
    world.host_ms = (0, 0);
    world.run_until(50 * SLOT_MS);
    assert!(final_height(&world, 0).slot >= Slot(48), "{:?}", final_height(&world, 0));
}

pub(super) fn repetition_and_order_change_nothing<E: Subject>() {
    let mut maker = Kit::<E>::observer();
    let mut slices: Vec<Slice> = Vec::new();
    let mut parent = genesis();
    for index in 0..6_u32 {
        let source = if index < 2 { genesis() } else { slices[index as usize - 2].reference() };
        let slice = maker.make((2, index), parent, source, 0);
        parent = slice.reference();
        slices.push(slice);
    }
    let mut inputs: Vec<Input> = Vec::new();
    for slice in &slices {
        let (source, target) = (slice.body.source.target, slice.reference());
        inputs.push(Input::Slice(Verified::vouch(slice.clone())));
        inputs.extend((0..3).map(|index| Input::Confirm(Verified::vouch(confirm(index, source, target)))));
    }
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let mut kit = Kit::<E>::observer();
        kit.at(2 * SLOT_MS + 300);
        let mut left: Vec<Input> = inputs.iter().chain(&inputs).cloned().collect();
        while !left.is_empty() {
            let next = left.swap_remove(random.below(left.len() as u64) as usize);
            kit.feed(next);
        }
        assert_eq!((kit.last_final(), kit.engine.head()), (slices[3].reference(), parent), "seed {seed}");
        let counters = kit.engine.counters();
        assert_eq!((counters.slices, counters.confirms, counters.justified, counters.finals), (6, 18, 6, 4));
        let newly: Vec<SliceRef> = kit
            .outputs
            .iter()
            .filter_map(|output| if let Output::Final { newly, .. } = output { Some(newly.clone()) } else { None })
            .flatten()
            .collect();
        assert_eq!(newly, slices[..4].iter().map(Slice::reference).collect::<Vec<_>>());
    }
}

// --- Wrong inputs ---

/// What is wrong, which refusal counts it, and how often.
type Wrong<E> = (DropReason, fn(&mut Kit<E>), u64);

/// An engine that has heard of (1,0) to (1,3), with what is final up to (1,1).
fn under_way<E: Subject>() -> (Kit<E>, Vec<SliceRef>) {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    let mut run = kit.run(1, 0..=1, genesis(), genesis());
    kit.justify(run[0]);
    run.push(kit.slice((1, 2), run[1], genesis()));
    run.push(kit.slice((1, 3), run[2], run[0]));
    (1..4).for_each(|index| kit.justify(run[index]));
    assert_eq!(kit.last_final(), run[0]);
    (kit, run)
}

fn bad_slice<E: Subject>(kit: &mut Kit<E>, at: (u64, u32), change: fn(&mut SliceBody)) {
    let head = kit.engine.head();
    let slice = kit.make_with(at, head, genesis(), |body| {
        body.source = certificate(genesis(), head);
        body.source.source = body.source.target;
        change(body);
    });
    kit.at(2 * SLOT_MS + 300).give(&slice);
}

fn bad_confirm<E: Subject>(kit: &mut Kit<E>, change: fn(&mut ConfirmBody)) {
    let head = kit.engine.head();
    let mut bad = confirm(3, genesis(), SliceRef { height: height(1, 4), id: head.id });
    change(&mut bad.body);
    kit.feed(Input::Confirm(Verified::vouch(bad)));
}

/// A proof where none belongs, none where one does.
fn toggle_beacon(body: &mut SliceBody) {
    let none = body.beacon == Beacon::None;
    body.beacon = if none { Beacon::Proof(VrfProof([0; 80])) } else { Beacon::None };
}

fn wrongs<E: Subject>() -> Vec<Wrong<E>> {
    vec![
        (DropReason::Version, |kit| bad_slice(kit, (2, 0), |body| body.version = 1), 1),
        (DropReason::Version, |kit| bad_confirm(kit, |body| body.version = 9), 1),
        (DropReason::WrongChain, |kit| bad_slice(kit, (2, 0), |body| body.chain.0.0[0] ^= 1), 1),
        (DropReason::WrongChain, |kit| bad_confirm(kit, |body| body.chain.0.0[0] ^= 1), 1),
        (DropReason::NotScheduled, |kit| bad_slice(kit, (2, 0), |body| body.producer = name(3)), 1),
        (DropReason::NotScheduled, |kit| bad_confirm(kit, |body| body.producer = name(77)), 1),
        (DropReason::NotScheduled, |kit| bad_confirm(kit, |body| body.epoch = Epoch(u64::MAX)), 1),
        (DropReason::UnknownSchedule, |kit| bad_slice(kit, (2, 0), |body| body.epoch = Epoch(5)), 1),
        (DropReason::UnknownSchedule, |kit| kit.feed(Input::Behind(genesis())), 1),
        (DropReason::Beacon, |kit| bad_slice(kit, (2, 0), toggle_beacon), 1),
        (
            DropReason::NextSchedule,
            |kit| {
                let (head, best) = (kit.engine.head(), kit.engine.justified());
                let slice = kit.make_with((2, 0), head, best, |body| {
                    body.next = NextSchedule::Fixed(schedule(1, &[0]));
                });
                kit.at(2 * SLOT_MS + 300).give(&slice);
            },
            1,
        ),
        (DropReason::Early, |kit| bad_slice(kit, (6, 0), |_| ()), 1),
        (DropReason::Early, |kit| bad_confirm(kit, |body| body.target.height = height(u64::MAX, 0)), 1),
        (DropReason::Height, |kit| bad_slice(kit, (1, 7), |_| ()), 1),
        (DropReason::Height, |kit| bad_slice(kit, (2, 1), |_| ()), 1),
        (DropReason::Height, |kit| bad_slice(kit, (0, 3), |_| ()), 1),
        (DropReason::Height, |kit| bad_slice(kit, (2, u32::MAX), |_| ()), 1),
        (DropReason::Source, |kit| bad_slice(kit, (2, 0), |_| ()), 1),
        (
            DropReason::Source,
            |kit| {
                let target = kit.engine.head();
                let source = genesis();
                kit.feed(Input::Certificate(Verified::vouch(Certificate { source, target, quorums: Vec::new() })));
            },
            1,
        ),
        (DropReason::ConfirmSource, |kit| bad_confirm(kit, |body| body.source = body.target), 1),
        (
            DropReason::Stale,
            |kit| {
                kit.at(40 * SLOT_MS).drain();
                bad_confirm(kit, |_| ());
            },
            1,
        ),
        (
            DropReason::Duplicate,
            |kit| {
                bad_confirm(kit, |_| ());
                bad_confirm(kit, |_| ());
            },
            1,
        ),
        (
            DropReason::Duplicate,
            |kit| {
                let slice = kit.make((2, 1), genesis(), genesis(), 3);
                kit.at(2 * SLOT_MS + 300).give(&slice);
                let orphan = kit.make_with((2, 2), genesis(), genesis(), |body| body.parent = Hash([8; 32]));
                kit.give(&orphan);
                kit.give(&orphan);
            },
            1,
        ),
        (
            DropReason::Invalid,
            |kit| {
                let slice = kit.make((2, 1), genesis(), genesis(), 3);
                kit.at(2 * SLOT_MS + 300).give(&slice);
                kit.give(&slice);
            },
            1,
        ),
        (
            DropReason::BelowFinal,
            |kit| {
                let slice = kit.make((1, 0), genesis(), genesis(), 9);
                kit.give(&slice);
            },
            1,
        ),
        (
            DropReason::ConflictsFinal,
            |kit| {
                let slice = kit.make((2, 0), genesis(), genesis(), 9);
                kit.at(2 * SLOT_MS + 300).give(&slice);
            },
            1,
        ),
        (
            DropReason::ParentInvalid,
            |kit| {
                let bad = kit.make((2, 1), genesis(), genesis(), 3);
                let next = kit.make((2, 2), bad.reference(), genesis(), 3);
                kit.at(2 * SLOT_MS + 300).give(&bad);
                kit.give(&next);
            },
            1,
        ),
        (
            DropReason::ResultsMismatch,
            |kit| {
                kit.executes = false;
                let (head, best) = (kit.engine.head(), kit.engine.justified());
                let slice = kit.slice((2, 0), head, best);
                kit.feed(Input::Executed { slice: slice.id, matched: false });
            },
            1,
        ),
        (
            DropReason::Siblings,
            |kit| {
                let (head, best) = (kit.engine.head(), kit.engine.justified());
                for salt in 0..4 {
                    let slice = kit.make((2, 0), head, best, salt);
                    kit.at(2 * SLOT_MS + 300).give(&slice);
                }
            },
            4 - SIBLING_SLICES_MAX as u64,
        ),
        (
            DropReason::OrphansFull,
            |kit| {
                kit.at(2 * SLOT_MS + 300);
                for salt in 0..=ORPHAN_SLICES_MAX {
                    let slice =
                        kit.make_with((2, 1), genesis(), genesis(), |body| body.parent = Hash::of(&salt.to_le_bytes()));
                    kit.give(&slice);
                }
            },
            1,
        ),
        (
            DropReason::PendingFull,
            |kit| {
                kit.at(2 * SLOT_MS + 300);
                for index in 0..=PENDING_CONFIRMS_MAX as u32 {
                    let target = SliceRef { height: height(2, index), id: Hash([8; 32]) };
                    kit.feed(Input::Confirm(Verified::vouch(confirm(1, genesis(), target))));
                }
            },
            1,
        ),
        (DropReason::Unasked, |kit| kit.feed(Input::Executed { slice: Hash([8; 32]), matched: true }), 1),
        (DropReason::Unasked, |kit| kit.feed(Input::Executed { slice: genesis().id, matched: false }), 1),
        (DropReason::Unasked, |kit| kit.feed(Input::Persisted { slice: Hash([8; 32]) }), 1),
        (DropReason::Unasked, |kit| kit.feed(Input::ProposalDeclined), 1),
        (
            DropReason::Unasked,
            |kit| {
                let slice = kit.make((3, 0), genesis(), genesis(), 0);
                kit.feed(Input::Proposed(slice));
            },
            1,
        ),
        (
            DropReason::Unasked,
            |kit| {
                let target = SliceRef { height: height(1, 9), id: Hash([8; 32]) };
                kit.feed(Input::Certificate(Verified::vouch(certificate(genesis(), target))));
            },
            1,
        ),
        (
            DropReason::StaleProposal,
            |kit| {
                kit.at(3 * SLOT_MS + DELTA_MS).drain();
                let proposal = kit.proposals().pop().unwrap();
                let slice = kit.make_with((3, 0), proposal.parent, proposal.source.target, |body| body.last = true);
                kit.feed(Input::Proposed(slice));
            },
            1,
        ),
        (
            DropReason::Late,
            |kit| {
                let (head, best) = (kit.engine.head(), kit.engine.justified());
                let slice = kit.make((2, 0), head, best, 0);
                kit.at(3 * SLOT_MS + DELTA_MS + 1).give(&slice);
            },
            1,
        ),
        (
            DropReason::Watermark,
            |kit| {
                let (head, best) = (kit.engine.head(), kit.engine.justified());
                for salt in 0..2 {
                    let slice = kit.make((2, 0), head, best, salt);
                    kit.at(2 * SLOT_MS + 300).give(&slice);
                }
            },
            1,
        ),
        (
            DropReason::Unsynced,
            |kit| {
                let (mut parent, best) = (kit.engine.head(), kit.engine.justified());
                for index in 0..CONFIRMS_UNSYNCED_MAX as u32 {
                    parent = kit.slice((2, index), parent, best);
                }
            },
            4,
        ),
    ]
}

pub(super) fn what_is_wrong_is_refused_and_counted_and_changes_nothing<E: Subject>() {
    let mut seen = BTreeSet::new();
    for (place, (reason, feed, count)) in wrongs::<E>().into_iter().enumerate() {
        let (mut kit, run) = under_way::<E>();
        let before = kit.dropped(reason);
        feed(&mut kit);
        let dropped = kit.outputs.iter().filter(|output| **output == Output::Dropped(reason)).count() as u64;
        assert_eq!(kit.dropped(reason), dropped, "{reason:?} is told as often as it is counted");
        assert_eq!(dropped - before, count, "{place}, {reason:?}: {:?}", kit.engine.counters().dropped);
        seen.insert(reason);
        assert_eq!(kit.last_final(), run[0], "{reason:?}");
        // It lives on.
        kit.executes = true;
        let (now, best) = (kit.now.as_millis(), kit.engine.justified());
        let slot = now / SLOT_MS + 1;
        let next = kit.slice((slot, 0), run[3], best);
        assert!(kit.outputs.iter().any(|output| matches!(output, Output::Execute { slice, .. } if *slice == next)));
    }
    assert!(seen.len() >= 23, "{seen:?}");
}

pub(super) fn whoever_lost_its_watermark_is_told_why_it_is_silent<E: Subject>() {
    let mut kit = Kit::<E>::with(config(Some(3)), schedules(4), Memory::Lost, Instant::from_millis(SLOT_MS));
    kit.slice((1, 0), genesis(), genesis());
    assert_eq!(kit.dropped(DropReason::Silent), 1);
    assert!(kit.marks().is_empty());
}

/// Inputs without sense, in any order, with clocks that jump.
pub(super) fn no_input_makes_it_panic<E: Subject>() {
    let changes: [fn(&mut SliceBody, u64); 10] = [
        |_, _| (),
        |body, draw| body.slot = Slot(draw),
        |body, draw| body.index = draw as u32,
        |body, draw| body.parent = Hash([draw as u8; 32]),
        |body, draw| body.source.target.height = height(draw % 6, 0),
        |body, draw| body.source.source.id.0[0] ^= draw as u8,
        |body, _| body.source.quorums.clear(),
        |body, draw| body.last = draw % 2 == 0,
        |body, draw| body.epoch = Epoch(draw % 3),
        |body, draw| body.results.hash = Hash([draw as u8; 32]),
    ];
    let mut sense = [0; 3];
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let producer = (seed % 5 < 4).then_some(seed as usize % 5);
        let mut kit = Kit::<E>::new(producer, Memory::Never);
        kit.executes = false;
        let mut known = vec![genesis()];
        let mut millis = 0;
        for _ in 0..400 {
            millis += random.below(60);
            kit.at(millis);
            let pick = |random: &mut Random| known[known.len() - 1 - random.below(known.len().min(8) as u64) as usize];
            let mut one = if random.below(3) == 0 { pick(&mut random) } else { kit.engine.head() };
            let mut other = if random.below(3) == 0 { pick(&mut random) } else { kit.engine.justified() };
            let draw = if random.below(4) == 0 { random.next_u64() } else { random.below(8) };
            match random.below(10) {
                0..=3 => {
                    let slot = millis / SLOT_MS;
                    let index = if one.height.slot.0 == slot { one.height.index + 1 } else { 0 };
                    let change = changes[random.below(changes.len() as u64) as usize];
                    let slice = kit.make_with((slot, index), one, other, |body| change(body, draw));
                    known.push(kit.give(&slice));
                }
                4 => {
                    one = kit.asked_to_execute().pop().unwrap_or(one);
                    kit.feed(Input::Executed { slice: one.id, matched: draw % 8 != 0 });
                }
                5 => kit.feed(Input::Persisted { slice: one.id }),
                6 => kit.feed(Input::Certificate(Verified::vouch(Certificate {
                    source: one,
                    ..certificate(genesis(), other)
                }))),
                7 => {
                    let proposal = kit.proposals().pop();
                    match proposal.filter(|_| draw % 4 != 0) {
                        Some(proposal) => known.push(kit.answer(&proposal)),
                        None => kit.feed(Input::ProposalDeclined),
                    }
                }
                8 => {
                    if draw > 1 {
                        (other, one) = (one, kit.sources.get(&one.id).copied().unwrap_or(other));
                    }
                    for index in 0..draw % 5 {
                        kit.feed(Input::Confirm(Verified::vouch(confirm(index as usize, one, other))));
                    }
                }
                _ => {
                    let wall = config(None).wall_at_zero.0;
                    let wall_at_zero = UnixMillis(if draw > 8 { draw } else { wall + draw * 7 - 28 });
                    kit.feed(Input::Clock { wall_at_zero });
                    kit.feed(Input::Clock { wall_at_zero: UnixMillis(wall) });
                    kit.feed(Input::PendingTransactions(draw % 2 == 0));
                    kit.feed(Input::Behind(one));
                }
            }
        }
        let counters = kit.engine.counters();
        sense = [sense[0] + counters.slices, sense[1] + counters.justified, sense[2] + counters.finals];
    }
    assert!(sense[0] > 1_000 && sense[1] > 50 && sense[2] > 20, "the noise holds some sense: {sense:?}");
}

// --- Starts ---

pub(super) fn an_anchor_goes_on_by_one_chain_only<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let first = kit.make((1, 0), genesis(), genesis(), 0);
    let second = kit.make((1, 1), first.reference(), genesis(), 0);
    let third = kit.make((1, 2), second.reference(), first.reference(), 0);
    let mut anchor = E::Anchor::genesis(genesis(), schedules(4));
    assert_eq!(
        anchor.extend(&second),
        Err(AnchorError::NotNext { tip: genesis(), found: second.reference() }),
        "it skips one"
    );
    assert!(anchor.extend(&first).unwrap().confirmers.is_empty());
    anchor.extend(&second).unwrap();
    let lower = kit.make_with((1, 2), second.reference(), first.reference(), |body| body.source.target.id.0[0] ^= 1);
    assert_eq!(anchor.extend(&lower), Err(AnchorError::Source { found: lower.reference() }));
    let other = kit.make_with((1, 2), second.reference(), first.reference(), |body| body.epoch = Epoch(1));
    assert_eq!(anchor.extend(&other), Err(AnchorError::Schedule { found: other.reference() }));
    assert_eq!(anchor.tip(), second.reference(), "what was refused changed nothing");
    let office = anchor.extend(&third).unwrap();
    assert_eq!(office.confirmers, [name(0), name(1), name(2)]);
    assert_eq!(anchor.tip(), third.reference());

    anchor.certify(certificate(genesis(), second.reference()));
    anchor.certify(certificate(first.reference(), third.reference()));
    let mut engine = E::start(config(Some(2)), anchor, Memory::Never, Instant::from_millis(2 * SLOT_MS));
    assert_eq!((engine.head(), engine.last_final()), (third.reference(), third.reference()));
    assert_eq!((engine.justified(), engine.unfinal_count()), (third.reference(), 0));
    let outputs: Vec<_> = std::iter::from_fn(|| engine.poll(Instant::from_millis(2 * SLOT_MS + DELTA_MS))).collect();
    let [Output::Propose(proposal)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!((proposal.parent, proposal.source.target), (third.reference(), third.reference()));
    assert_eq!(proposal.office.schedule, *engine.in_force());
}

/// The same slices, once final in the log and once heard.
pub(super) fn a_restart_on_the_log_changes_no_judgement<E: Subject>() {
    let (kit, run) = under_way::<E>();
    let mut maker = Kit::<E>::observer();
    let made: Vec<Slice> = {
        let mut slices = vec![maker.make((1, 0), genesis(), genesis(), 0)];
        for index in 1..4 {
            let source = if index == 3 { run[0] } else { genesis() };
            let parent = slices[index as usize - 1].reference();
            slices.push(maker.make((1, index), parent, source, 0));
        }
        slices
    };
    assert_eq!(made.iter().map(Slice::reference).collect::<Vec<_>>(), run);
    let mut anchor = E::Anchor::genesis(genesis(), schedules(4));
    anchor.extend(&made[0]).unwrap();
    let mark = Watermark { source: run[0], target: run[3] };
    let now = Instant::from_millis(SLOT_MS + 400);
    let mut again = Kit::<E> { engine: E::start(config(Some(3)), anchor, Memory::Known(mark), now), ..kit };
    again.outputs.clear();
    again.at(SLOT_MS + 400);
    for slice in [3, 1, 2] {
        again.give(&made[slice]);
    }
    assert_eq!((again.last_final(), again.engine.head()), (run[0], run[3]));
    assert!(again.marks().is_empty(), "all of these it had confirmed");
    assert_eq!(again.dropped(DropReason::Watermark), 3);
    let next = again.slice((2, 0), run[3], run[0]);
    assert_eq!(again.marks(), [(run[0], next)]);
}

// --- Signatures ---

pub(super) fn its_verifier_asks_for_as_much_weight_as_it_does<E: Subject>() {
    let key = |index: usize| KeyPair::from_seed([index as u8 + 1; 32]);
    let beacon = |index: usize| VrfSecret::from_seed([index as u8 + 101; 32]);
    for count in [1, 3, 4, 5] {
        let mut signed: Schedule = schedule(0, &(0..count).collect::<Vec<_>>());
        for (index, producer) in signed.producers.iter_mut().enumerate() {
            (producer.key, producer.beacon) = (key(index).public(), beacon(index).public());
        }
        let mut verifier = E::verifier(chain(), genesis(), Schedules::new(signed.clone(), 1_000));
        let target = SliceRef { height: height(1, 0), id: Hash([9; 32]) };
        let word = |index: usize| Confirm::sign(confirm(index, genesis(), target).body, &key(index));
        let slice = |signers: usize| {
            let signatures: BTreeMap<_, _> = (0..signers).map(|index| (index, word(index).signature)).collect();
            let source = Certificate { source: genesis(), target, quorums: vec![Quorum::new(Epoch(0), &signatures)] };
            let by = 2 % count;
            let proof = || Beacon::Proof(beacon(by).prove(&signed.beacon_input(&chain(), Slot(2)).0));
            let body = SliceBody {
                version: SliceBody::VERSION,
                chain: chain(),
                epoch: Epoch(0),
                slot: Slot(2),
                index: 0,
                last: false,
                parent: target.id,
                producer: name(by),
                transactions_root: Hash::ZERO,
                results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
                source,
                beacon: if E::beacon(0) == Beacon::None { Beacon::None } else { proof() },
                next: NextSchedule::None,
            };
            Slice::sign(body, &key(by))
        };
        assert!(verifier.slice(slice(E::deciding(count))).is_ok(), "of {count}");
        let weak = verifier.slice(slice(E::deciding(count) - 1));
        assert!(matches!(weak, Err(VerifyError::Certificate(_))), "of {count}: {weak:?}");
        assert!(verifier.confirm(word(0)).is_ok());
        let forged = Confirm { signature: word(0).signature, ..confirm(count - 1, target, target) };
        assert_eq!(verifier.confirm(forged), Err(VerifyError::Signature));
        verifier.set_schedules(Schedules::new(schedule(0, &(0..count).collect::<Vec<_>>()), 1_000));
        let other = Confirm::sign(confirm(0, genesis(), SliceRef { id: Hash([8; 32]), ..target }).body, &key(0));
        assert_eq!(verifier.confirm(other), Err(VerifyError::Signature), "judged by other keys now");
    }
}

pub(super) fn what_it_says_of_itself_is_what_it_was_told<E: Subject>() {
    let kit = Kit::<E>::new(Some(2), Memory::Never);
    assert_eq!(*kit.engine.schedules(), schedules(4));
    assert!(Arc::ptr_eq(kit.engine.in_force(), kit.engine.schedules().latest()));
    assert_eq!(kit.engine.clock().start_of(Slot(3)), Instant::from_millis(3 * SLOT_MS));
    assert_eq!([kit.engine.head(), kit.engine.justified(), kit.engine.last_final()], [genesis(); 3]);
    assert_eq!(kit.engine.unfinal_count(), 0);
}
