//! One rule a test, with the trace that breaks its alternative where PROTOCOL.md names one.

use hpb_base::Random;
use hpb_types::{Epoch, Evidence, Slice, SliceRef, Slot};

use super::kit::{DELTA_MS, Kit, SLOT_MS, Subject, certificate, confirm, evidence, genesis, is_justified, name, word};
use crate::engine::{DropReason, Verified};
use crate::engine::{LinkInput as Input, LinkOutput as Output};
use crate::voter::Voter;
use crate::watermark::Memory;

// --- Confirms ---

/// Sources picked from each voter's own view: of three voters, two know that (1,1) is justified and one does not yet.
/// No link gets three votes, though all three confirm the same target.
pub(super) fn sources_picked_from_each_voters_view_would_split<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let run = kit.run(1, 0..=2, genesis(), genesis());
    kit.justify(run[0]);
    kit.justify(run[1]);
    let target = kit.slice((1, 3), run[2], run[0]);
    for (index, view) in [(0, run[1]), (1, run[0]), (2, run[1])] {
        kit.feed(Input::Confirm(Verified::vouch(confirm(index, view, target))));
    }
    assert!(!is_justified(&kit, target));
    assert_eq!(kit.dropped(DropReason::ConfirmSource), 2);
    let mut kit = Kit::<E>::observer();
    let run = kit.run(1, 0..=2, genesis(), genesis());
    kit.justify(run[0]);
    let target = kit.slice((1, 3), run[2], run[0]);
    kit.justify(target);
    assert!(is_justified(&kit, target));
}

pub(super) fn a_confirm_links_from_what_its_target_carries_though_more_is_known<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    let run = kit.run(1, 0..=2, genesis(), genesis());
    kit.justify(run[0]);
    kit.justify(run[1]);
    let target = kit.slice((1, 3), run[2], run[0]);
    assert_eq!(kit.engine.justified(), run[1]);
    assert_eq!(kit.marks().last(), Some(&(run[0], target)));
}

pub(super) fn confirms_go_in_order_and_skip_none_however_slices_and_results_arrive<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    kit.executes = false;
    let mut parent = genesis();
    let slices: Vec<Slice> = (0..4)
        .map(|index| {
            let slice = kit.make((1, index), parent, genesis(), 0);
            parent = slice.reference();
            slice
        })
        .collect();
    kit.at(SLOT_MS + 100);
    for index in [2, 3, 1, 0] {
        kit.give(&slices[index]);
    }
    assert_eq!(kit.asked_to_execute(), slices.iter().map(Slice::reference).collect::<Vec<_>>());
    for index in [1, 3, 0, 2] {
        kit.feed(Input::Executed { slice: slices[index].id(), matched: true });
    }
    let expected: Vec<_> = slices.iter().map(|slice| (genesis(), slice.reference())).collect();
    assert_eq!(kit.marks(), expected);
}

pub(super) fn a_confirm_waits_for_execution_and_for_the_disk<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    kit.executes = false;
    let slice = kit.slice((1, 0), genesis(), genesis());
    assert!(kit.marks().is_empty());
    kit.feed(Input::Persisted { slice: slice.id });
    kit.feed(Input::Executed { slice: slice.id, matched: true });
    assert_eq!(kit.marks(), [(genesis(), slice)]);
    assert!(!kit.outputs.iter().any(|output| matches!(output, Output::Confirm(_))));
    kit.feed(Input::Persisted { slice: slice.id });
    let Some(Output::Confirm(body)) = kit.outputs.last() else { panic!("no confirm") };
    assert_eq!((body.source, body.target, body.producer), (genesis(), slice, name(3)));
}

pub(super) fn one_confirm_a_height_whatever_the_producer_sends<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    kit.at(SLOT_MS + 100);
    let (first, second) = (kit.make((1, 0), genesis(), genesis(), 1), kit.make((1, 0), genesis(), genesis(), 2));
    let (first, second) = (kit.give(&first), kit.give(&second));
    assert_eq!(kit.marks(), [(genesis(), first)]);
    assert_eq!(kit.dropped(DropReason::Watermark), 1);
    assert_eq!(evidence(&kit), [Evidence::TwoSlices { producer: name(1), first: word(first), second: word(second) }]);
}

pub(super) fn a_slice_off_the_head_is_confirmed_unless_its_source_is_below_the_last<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    let run = kit.run(1, 0..=1, genesis(), genesis());
    kit.justify(run[1]);
    let off = kit.slice((2, 0), run[0], genesis());
    assert_ne!(kit.engine.head(), off);
    let head = kit.slice((4, 0), run[1], run[1]);
    assert_eq!(kit.engine.head(), head);
    let off_again = kit.slice((5, 0), off, genesis());
    assert_eq!(kit.marks(), [(genesis(), run[0]), (genesis(), run[1]), (genesis(), off), (run[1], head)]);
    assert!(kit.asked_to_execute().contains(&off_again), "a slice that is not confirmed is valid all the same");
}

/// Heights by depth: this producer confirmed 30 slices of a minority fork. By depth, the majority's shorter chain would
/// hold no height above its last for it; by slot its next slice does.
pub(super) fn a_voter_of_a_long_minority_fork_confirms_the_majority_at_once<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    let one = kit.run(1, 0..=9, genesis(), genesis());
    let two = kit.run(2, 0..=9, one[9], genesis());
    kit.run(4, 0..=9, two[9], genesis());
    let majority = kit.slice((5, 0), genesis(), genesis());
    assert_eq!(kit.marks().last(), Some(&(genesis(), majority)));
    assert_eq!(kit.marks().len(), 31);
}

pub(super) fn lateness_stops_the_confirm_and_nothing_else<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    let slices = [kit.make((1, 0), genesis(), genesis(), 0)];
    let end = 2 * SLOT_MS + DELTA_MS;
    kit.at(end + 1);
    let late = kit.give(&slices[0]);
    assert!(kit.marks().is_empty());
    assert_eq!(kit.dropped(DropReason::Late), 1);
    assert_eq!(kit.engine.head(), late, "it can be built on");
    kit.justify(late);
    assert!(is_justified(&kit, late), "and others may have confirmed it");

    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    kit.at(end);
    let timely = kit.give(&slices[0]);
    assert_eq!(kit.marks(), [(genesis(), timely)]);
}

pub(super) fn what_follows_a_late_slice_in_its_slot_is_late<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    let first = kit.make((1, 0), genesis(), genesis(), 0);
    let second = kit.make((1, 1), first.reference(), genesis(), 0);
    kit.at(SLOT_MS + 300).give(&second);
    kit.at(2 * SLOT_MS + DELTA_MS + 1).give(&first);
    assert_eq!(kit.engine.head(), second.reference());
    assert!(kit.marks().is_empty(), "confirming the second alone would skip the first");
}

pub(super) fn a_slot_that_has_not_come_is_refused_and_its_slice_is_welcome_later<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    let slice = kit.make((1, 0), genesis(), genesis(), 0);
    kit.at(SLOT_MS - DELTA_MS - 1).give(&slice);
    assert_eq!(kit.dropped(DropReason::Early), 1);
    kit.at(SLOT_MS - DELTA_MS).give(&slice);
    assert_eq!(kit.marks().len(), 1);
}

pub(super) fn other_results_make_a_slice_and_its_followers_invalid<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(3), Memory::Never);
    kit.executes = false;
    let run = kit.run(1, 0..=1, genesis(), genesis());
    kit.feed(Input::Executed { slice: run[0].id, matched: false });
    kit.feed(Input::Executed { slice: run[1].id, matched: true });
    let third = kit.slice((1, 2), run[1], genesis());
    assert!(kit.marks().is_empty());
    assert_eq!(kit.engine.head(), genesis());
    assert!(!kit.asked_to_execute().contains(&third));
    assert_eq!(kit.dropped(DropReason::ResultsMismatch), 1);
}

pub(super) fn a_certified_slice_that_does_not_match_is_a_divergence_in_either_order<E: Subject>() {
    let diverged = |kit: &Kit<E>, slice| kit.outputs.contains(&Output::Diverged { slice });
    for certified_first in [true, false] {
        let mut kit = Kit::<E>::observer();
        kit.executes = false;
        let slice = kit.slice((1, 0), genesis(), genesis());
        if certified_first {
            kit.justify(slice);
        }
        kit.feed(Input::Executed { slice: slice.id, matched: false });
        assert_eq!(diverged(&kit, slice), certified_first);
        kit.justify(slice);
        assert!(diverged(&kit, slice));
    }
}

// --- Certificates and finality ---

pub(super) fn too_few_are_not_enough_and_nobody_counts_twice<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let slice = kit.slice((1, 0), genesis(), genesis());
    kit.confirm(0, slice);
    kit.confirm(1, slice);
    kit.confirm(1, slice);
    assert!(!is_justified(&kit, slice));
    assert_eq!(kit.dropped(DropReason::Duplicate), 1);
    kit.confirm(3, slice);
    let Some(Output::Justified(certificate)) = kit.outputs.last() else { panic!("no certificate") };
    assert_eq!((certificate.source, certificate.target), (genesis(), slice));
    assert_eq!(certificate.quorums[0].producers.iter().collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!(certificate.quorums[0].signatures.len(), 3);
}

pub(super) fn a_link_within_a_slot_over_a_dense_run_makes_its_source_final_with_all_before<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let one = kit.run(1, 0..=2, genesis(), genesis());
    let two = kit.run(3, 0..=1, one[2], genesis());
    kit.justify(two[0]);
    let target = kit.slice((3, 2), two[1], two[0]);
    kit.justify(target);
    assert_eq!(kit.last_final(), genesis(), "(3,1) is a hole");
    kit.justify(two[1]);
    assert_eq!(kit.last_final(), two[0]);
    let newly = vec![one[0], one[1], one[2], two[0]];
    assert!(kit.outputs.contains(&Output::Final { reference: two[0], newly }));
    assert_eq!(kit.engine.unfinal_count(), 2);
}

/// Finality across a gap of slots: every confirm of this trace is honest, and two forks would be final.
pub(super) fn finality_across_a_gap_would_make_two_forks_final<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let a1 = kit.slice((1, 0), genesis(), genesis());
    let b = kit.run(2, 0..=1, genesis(), genesis());
    kit.justify(a1);
    kit.justify(b[0]);
    kit.justify(b[1]);
    let a3 = kit.slice((3, 0), a1, a1);
    kit.justify(a3);
    let b4 = kit.slice((4, 0), b[1], b[1]);
    kit.justify(b4);
    let mut voter = Voter::new(name(0), Memory::Never, Slot(0));
    for (source, target) in [(genesis(), a1), (genesis(), b[0]), (genesis(), b[1]), (a1, a3), (b[1], b4)] {
        assert!(voter.consider(source, target, true, Epoch(0)).is_ok(), "{source} -> {target} is honest");
    }
    assert!([a1, a3, b[1], b4].iter().all(|slice| is_justified(&kit, *slice)), "a1 -> a3 and b1 -> b4 are certified");
    assert_eq!(kit.last_final(), genesis());
}

pub(super) fn finality_does_not_depend_on_the_order_of_arrival<E: Subject>() {
    let mut maker = Kit::<E>::observer();
    let mut inputs = Vec::new();
    let mut tips = Vec::new();
    // Two forks of slot 2, by a producer that sends both; the certificates are those of the second.
    let one = maker.make((1, 0), genesis(), genesis(), 0);
    inputs.push(one.clone());
    for salt in [1, 2] {
        let mut chain = vec![one.clone()];
        for index in 0..5_u32 {
            let source = if salt == 2 && index >= 2 { chain[index as usize - 1].reference() } else { genesis() };
            let slice = maker.make((2, index), chain[index as usize].reference(), source, salt);
            chain.push(slice.clone());
            inputs.push(slice);
        }
        tips = chain;
    }
    let links: Vec<(SliceRef, SliceRef)> =
        tips[1..].iter().map(|slice| (slice.body.source.target, slice.reference())).collect();
    let mut all: Vec<Input> = inputs.into_iter().map(|slice| Input::Slice(Verified::vouch(slice))).collect();
    for (source, target) in links {
        all.extend((0..3).map(|index| Input::Confirm(Verified::vouch(confirm(index, source, target)))));
    }
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut kit = Kit::<E>::observer();
        kit.at(2 * SLOT_MS + 300);
        let mut left = all.clone();
        while !left.is_empty() {
            let next = left.swap_remove(random.below(left.len() as u64) as usize);
            kit.feed(next);
        }
        assert_eq!(kit.last_final(), tips[3].reference(), "seed {seed}");
        assert_eq!(kit.engine.head(), tips[5].reference(), "seed {seed}");
    }
}

pub(super) fn a_carried_certificate_counts_like_the_confirms_themselves<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let run = kit.run(1, 0..=1, genesis(), genesis());
    let third = kit.slice((1, 2), run[1], run[0]);
    let fourth = kit.slice((1, 3), third, run[1]);
    kit.slice((1, 4), fourth, third);
    assert_eq!(kit.last_final(), run[0]);
    let mut alone = Kit::<E>::observer();
    let run = alone.run(1, 0..=1, genesis(), genesis());
    let third = alone.slice((1, 2), run[1], run[0]);
    alone.feed(Input::Certificate(Verified::vouch(certificate(genesis(), run[1]))));
    alone.feed(Input::Certificate(Verified::vouch(certificate(run[0], third))));
    assert_eq!(alone.last_final(), run[0]);
}

pub(super) fn final_waits_for_execution_here<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    kit.executes = false;
    let run = kit.run(1, 0..=1, genesis(), genesis());
    kit.justify(run[0]);
    kit.justify(run[1]);
    let third = kit.slice((1, 2), run[1], run[0]);
    kit.justify(third);
    assert_eq!(kit.last_final(), genesis());
    kit.feed(Input::Executed { slice: run[0].id, matched: true });
    assert_eq!(kit.last_final(), run[0]);
}

pub(super) fn finality_discards_the_other_forks_and_moves_the_head<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let lost = kit.run(1, 0..=1, genesis(), genesis());
    let run = kit.run(2, 0..=1, genesis(), genesis());
    let more = kit.slice((3, 0), lost[1], genesis());
    assert_eq!(kit.engine.head(), more);
    kit.justify(run[0]);
    kit.justify(run[1]);
    let third = kit.slice((2, 2), run[1], run[0]);
    kit.justify(third);
    assert_eq!(kit.engine.head(), third);
    let discarded: Vec<SliceRef> = kit
        .outputs
        .iter()
        .filter_map(|output| if let Output::Discarded(slices) = output { Some(slices.clone()) } else { None })
        .flatten()
        .collect();
    assert_eq!(discarded, [lost[0], lost[1], more]);
    let orphan = kit.make((4, 0), more, genesis(), 0);
    kit.at(4 * SLOT_MS + 10).give(&orphan);
    let below = kit.make((1, 1), lost[0], genesis(), 0);
    kit.give(&below);
    assert_eq!(kit.dropped(DropReason::BelowFinal), 1);
}

/// More than a third of the weight lies: a fork is justified above what becomes final.
pub(super) fn the_head_follows_what_is_final_even_against_the_highest_justified_slice<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let run = kit.run(2, 0..=1, genesis(), genesis());
    let third = kit.slice((2, 2), run[1], run[0]);
    let fork = kit.slice((4, 0), genesis(), genesis());
    kit.justify(run[0]);
    kit.justify(fork);
    assert_eq!(kit.engine.head(), fork);
    kit.justify(run[1]);
    kit.justify(third);
    assert_eq!((kit.last_final(), kit.engine.head()), (run[0], third));
    assert!(!evidence(&kit).is_empty());
}

// --- Fork choice ---

pub(super) fn the_highest_justified_slice_outweighs_filled_slots<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let first = kit.slice((1, 0), genesis(), genesis());
    let second = kit.slice((2, 0), first, genesis());
    kit.slice((3, 0), second, genesis());
    let other = kit.slice((4, 0), genesis(), genesis());
    kit.justify(other);
    assert_eq!(kit.engine.head(), other);
    kit.justify(second);
    assert_eq!(kit.engine.head(), other, "a lower one changes nothing");
}

pub(super) fn only_what_was_executed_is_built_on<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    kit.executes = false;
    let slice = kit.slice((1, 0), genesis(), genesis());
    kit.justify(slice);
    assert_eq!(kit.engine.head(), genesis());
    kit.feed(Input::Executed { slice: slice.id, matched: true });
    assert_eq!(kit.engine.head(), slice);
}
