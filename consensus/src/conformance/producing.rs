//! Producing, handing over, and what a restart or a clock may not do to it.

use hpb_base::limits::UNFINAL_SLOTS_MAX;
use hpb_base::{Instant, UnixMillis};
use hpb_types::slice::transactions_root;
use hpb_types::{Beacon, Hash, NextSchedule, SliceBody, SliceRef};

use super::kit::{Change, DELTA_MS, Kit, SLOT_MS, Subject, config, genesis, height, schedule, schedules};
use crate::engine::DropReason;
use crate::engine::{LinkInput as Input, LinkOutput as Output};
use crate::watermark::{Memory, Watermark};

pub(super) fn a_slot_is_streamed_on_a_grid_and_its_last_slice_leaves_delta_before_its_end<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(1), Memory::Never);
    let mut asked = Vec::new();
    while let Some(at) = kit.engine.wake_at().filter(|at| *at < Instant::from_millis(2 * SLOT_MS)) {
        kit.now = at;
        kit.drain();
        if let Some(proposal) = kit.proposals().get(asked.len()).cloned() {
            kit.answer(&proposal);
            asked.push((at.as_millis() - SLOT_MS, proposal.index, proposal.last));
        }
    }
    let expected: Vec<_> = (0..=10).map(|index| (u64::from(index) * 50, index, index == 10)).collect();
    assert_eq!(asked, expected);
    assert_eq!(SLOT_MS - asked[10].0, DELTA_MS);
    assert_eq!(kit.engine.wake_at(), Some(Instant::from_millis(5 * SLOT_MS)));
}

/// Without the wait the next producer builds on what it has, and the last slices on their way to it are retracted.
pub(super) fn the_next_producer_waits_for_the_mark<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(2), Memory::Never);
    let run = kit.run(1, 0..=3, genesis(), genesis());
    let last = kit.make_with((1, 4), run[3], genesis(), |body| body.last = true);
    kit.run_to(2 * SLOT_MS + 30);
    assert!(kit.proposals().is_empty());
    let last = kit.give(&last);
    assert_eq!(kit.proposals().first().map(|proposal| proposal.parent), Some(last));
    assert_eq!(kit.engine.counters().retracted, 0);
}

pub(super) fn the_next_producer_waits_delta_at_most<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(2), Memory::Never);
    let run = kit.run(1, 0..=3, genesis(), genesis());
    kit.run_to(2 * SLOT_MS + DELTA_MS - 1);
    assert!(kit.proposals().is_empty());
    kit.run_to(2 * SLOT_MS + DELTA_MS);
    assert_eq!(kit.proposals().first().map(|proposal| proposal.parent), Some(run[3]));
}

pub(super) fn a_proposal_carries_the_highest_certificate_known_on_its_chain<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(2), Memory::Never);
    let run = kit.run(1, 0..=3, genesis(), genesis());
    kit.justify(run[2]);
    kit.justify(run[1]);
    kit.run_to(2 * SLOT_MS + DELTA_MS);
    let proposal = kit.proposals()[0].clone();
    assert_eq!((proposal.source.source, proposal.source.target), (genesis(), run[2]));
}

pub(super) fn an_own_slice_is_sent_and_confirmed_like_anothers<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(1), Memory::Never);
    kit.run_to(SLOT_MS);
    let own = kit.engine.head();
    assert_eq!(own.height, height(1, 0));
    assert_eq!(kit.marks(), [(genesis(), own)]);
    assert!(
        kit.outputs.iter().any(|output| matches!(output, Output::BroadcastSlice(slice) if slice.reference() == own))
    );
    assert!(kit.asked_to_execute().is_empty(), "the host executed it when it built it");
}

fn sent<E: Subject>(kit: &Kit<E>) -> Vec<SliceRef> {
    let sent = kit.outputs.iter().filter_map(|output| match output {
        Output::BroadcastSlice(slice) => Some(slice.reference()),
        _ => None,
    });
    sent.collect()
}

pub(super) fn the_first_slice_of_a_slot_leaves_when_it_is_on_disk_and_none_goes_before_it<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(1), Memory::Never);
    kit.records = false;
    kit.run_to(SLOT_MS + 220);
    let first = kit.engine.head();
    assert_eq!((first.height, sent(&kit), kit.proposals().len()), (height(1, 0), vec![], 1));
    kit.feed(Input::Recorded { slice: Hash::ZERO });
    assert_eq!((kit.dropped(DropReason::Unasked), sent(&kit)), (1, vec![]));
    kit.feed(Input::Recorded { slice: first.id });
    let proposal = kit.proposals()[1].clone();
    kit.answer(&proposal);
    kit.run_to(SLOT_MS + 300);
    let indexes: Vec<_> = sent(&kit).iter().map(|slice| slice.height.index).collect();
    assert_eq!(indexes, [0, 1, 2], "the rest need no sync of their own, and do not hurry");
}

pub(super) fn a_proposal_that_was_not_asked_for_so_or_comes_too_late_is_not_sent<E: Subject>() {
    let changes: [(u64, Change<SliceBody>); 5] = [
        (0, |body| body.last = true),
        (0, |body| (body.index, body.beacon) = (1, Beacon::None)),
        (0, |body| body.parent = Hash::ZERO),
        (0, |body| body.next = NextSchedule::Fixed(schedule(1, &[0]))),
        (SLOT_MS + DELTA_MS + 1, |_| {}),
    ];
    for (wait, change) in changes {
        let mut kit = Kit::<E>::new(Some(1), Memory::Never);
        kit.at(SLOT_MS).drain();
        let proposal = kit.proposals()[0].clone();
        let slice = kit.make_with((1, 0), proposal.parent, genesis(), change);
        kit.at(SLOT_MS + wait).feed(Input::Proposed(slice));
        assert_eq!(kit.dropped(DropReason::StaleProposal), 1);
        assert_eq!(kit.engine.counters().proposed, 0);
    }
}

pub(super) fn a_declined_proposal_ends_the_slot_and_the_next_one_comes<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(1), Memory::Never);
    kit.at(SLOT_MS).drain();
    kit.feed(Input::ProposalDeclined);
    assert_eq!(kit.engine.wake_at(), Some(Instant::from_millis(5 * SLOT_MS)));
    kit.feed(Input::ProposalDeclined);
    assert_eq!(kit.dropped(DropReason::Unasked), 1);
}

pub(super) fn a_restarted_producer_leaves_the_slot_that_it_may_have_begun<E: Subject>() {
    let mark = Watermark { source: genesis(), target: genesis() };
    for memory in [Memory::Known(mark), Memory::Lost] {
        let mut kit = Kit::<E>::with(config(Some(1)), schedules(4), memory, Instant::from_millis(SLOT_MS + 10));
        kit.at(SLOT_MS + 10).drain();
        kit.run_to(5 * SLOT_MS - 1);
        assert!(kit.proposals().is_empty());
    }
    let mut kit =
        Kit::<E>::with(config(Some(1)), schedules(4), Memory::Known(mark), Instant::from_millis(SLOT_MS + 10));
    kit.at(SLOT_MS + 10).drain();
    kit.run_to(5 * SLOT_MS + DELTA_MS);
    assert_eq!(kit.proposals().len(), 1);
}

pub(super) fn a_clock_set_back_makes_no_second_slice<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(1), Memory::Never);
    kit.run_to(SLOT_MS + 300);
    let count = kit.proposals().len();
    let wall_at_zero = UnixMillis(config(None).wall_at_zero.0 - 300);
    kit.feed(Input::Clock { wall_at_zero });
    kit.run_to(2 * SLOT_MS + 200);
    let heights: Vec<_> = kit.proposals().iter().map(|proposal| (proposal.slot, proposal.index)).collect();
    assert!(heights.windows(2).all(|pair| pair[0] < pair[1]) && heights.len() >= count, "{heights:?}");
}

/// The trace: it sends the first slices of its slot and crashes; the clock goes back by a slot; when the slot comes again
/// by that clock it would make other slices of the same heights.
pub(super) fn a_slot_that_the_disk_or_a_peer_shows_begun_is_not_begun_again_whatever_the_clock_says<E: Subject>() {
    let mark = Watermark { source: genesis(), target: genesis() };
    for memory in [Memory::Known(mark), Memory::Lost, Memory::Never] {
        let mut kit = Kit::<E>::with(config(Some(1)), schedules(4), memory, Instant::ZERO);
        // Its parent is missing too.
        let unknown = SliceRef { height: height(0, 9), id: Hash([1; 32]) };
        let own = kit.make((1, 0), unknown, genesis(), 0);
        kit.give(&own);
        kit.run_to(5 * SLOT_MS - 1);
        assert_eq!(kit.proposals(), [], "{memory:?}");
        if memory != Memory::Lost {
            kit.run_to(5 * SLOT_MS + DELTA_MS);
            assert_eq!(kit.proposals().len(), 1, "{memory:?}");
        }
    }
}

pub(super) fn an_observer_and_a_stranger_say_nothing<E: Subject>() {
    let mut stranger = config(None);
    stranger.producer = Some("stranger".parse().unwrap());
    for config in [config(None), stranger] {
        let mut kit = Kit::<E>::with(config, schedules(4), Memory::Never, Instant::ZERO);
        let slice = kit.slice((1, 0), genesis(), genesis());
        kit.run_to(20 * SLOT_MS);
        assert_eq!(kit.engine.head(), slice);
        assert!(kit.marks().is_empty() && kit.proposals().is_empty());
    }
}

pub(super) fn too_far_from_finality_slices_carry_no_transactions_and_are_few<E: Subject>() {
    let mut kit = Kit::<E>::new(Some(1), Memory::Never);
    let limit = UNFINAL_SLOTS_MAX;
    let with_transactions = |body: &mut SliceBody| body.transactions_root = transactions_root([Hash::ZERO]);
    let at_limit = kit.make_with((limit, 0), genesis(), genesis(), with_transactions);
    kit.at(limit * SLOT_MS + 300).give(&at_limit);
    assert_eq!(kit.engine.head(), at_limit.reference());
    let own_slot = limit + 1;
    assert_eq!(own_slot % 4, 1);
    kit.run_to((own_slot + 1) * SLOT_MS - 1);
    let asked: Vec<_> = kit.proposals().into_iter().filter(|proposal| proposal.slot.0 == own_slot).collect();
    assert!(asked.iter().all(|proposal| !proposal.may_carry_transactions));
    assert!((4..=8).contains(&asked.len()), "{} slices", asked.len());
}

pub(super) fn the_same_inputs_give_the_same_outputs<E: Subject>() {
    let trace = || {
        let mut kit = Kit::<E>::new(Some(2), Memory::Never);
        let run = kit.run(1, 0..=3, genesis(), genesis());
        for slice in run {
            kit.justify(slice);
        }
        kit.run_to(3 * SLOT_MS);
        format!("{:?}", kit.outputs)
    };
    assert_eq!(trace(), trace());
}
