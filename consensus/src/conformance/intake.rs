//! What is taken in, what is refused and why, what is asked for.

use hpb_base::Instant;
use hpb_base::limits::SIBLING_SLICES_MAX;
use hpb_types::{Beacon, ChainId, ConfirmBody, Epoch, Evidence, Hash, NextSchedule, Slice, SliceBody, VrfProof};

use super::kit::{
    Change, DELTA_MS, Kit, SLOT_MS, Subject, config, confirm, evidence, genesis, height, is_justified, name, schedule,
    schedules,
};
use crate::config::Config;
use crate::engine::{DropReason, Verified};
use crate::engine::{LinkInput as Input, LinkOutput as Output};
use crate::watermark::Memory;

pub(super) fn slices_are_refused_by_what_is_wrong_with_them<E: Subject>() {
    let strange = |body: &mut SliceBody| body.transactions_root = Hash::ZERO;
    let cases: [(DropReason, (u64, u32), Change<SliceBody>); 11] = [
        (DropReason::Version, (2, 0), |body| body.version = 1),
        (DropReason::WrongChain, (2, 0), |body| body.chain = ChainId(Hash::ZERO)),
        (DropReason::NotScheduled, (2, 0), |body| body.producer = name(3)),
        (DropReason::UnknownSchedule, (2, 0), |body| body.epoch = Epoch(1)),
        (DropReason::Beacon, (2, 0), |body| {
            let none = body.beacon == Beacon::None;
            body.beacon = if none { Beacon::Proof(VrfProof([0; 80])) } else { Beacon::None };
        }),
        (DropReason::NextSchedule, (2, 0), |body| body.next = NextSchedule::Fixed(schedule(1, &[0]))),
        (DropReason::Height, (1, 3), |_| {}),
        (DropReason::Height, (1, 1), |_| {}),
        (DropReason::Height, (2, 1), |_| {}),
        (DropReason::Height, (0, 1), |_| {}),
        (DropReason::Source, (2, 0), |body| body.source.target.id = Hash([8; 32])),
    ];
    for (reason, at, change) in cases {
        let mut kit = Kit::<E>::observer();
        let run = kit.run(1, 0..=1, genesis(), genesis());
        let slice = kit.make_with(at, run[1], genesis(), change);
        kit.at(2 * SLOT_MS + 300).give(&slice);
        assert_eq!(kit.dropped(reason), 1, "{reason:?} at {at:?}: {:?}", kit.engine.counters().dropped);
        assert_eq!(kit.engine.head(), run[1]);
    }
    let mut kit = Kit::<E>::observer();
    let slice = kit.make_with((2, 0), genesis(), genesis(), strange);
    kit.at(2 * SLOT_MS + 300).give(&slice);
    assert_eq!(kit.engine.head(), slice.reference(), "the kit makes what is valid");
}

pub(super) fn no_chain_passes_the_checkpoint_by_another_slice_or_by_none<E: Subject>() {
    let mut made = Kit::<E>::observer();
    let run: Vec<Slice> = (0..=2).fold(Vec::new(), |mut run, index| {
        let parent = run.last().map_or(genesis(), Slice::reference);
        run.push(made.make((1, index), parent, genesis(), 0));
        run
    });
    let checkpoint = run[1].reference();
    let mut kit = Kit::<E>::with(
        Config { checkpoint: Some(checkpoint), ..config(None) },
        schedules(4),
        Memory::Never,
        Instant::ZERO,
    );
    kit.at(2 * SLOT_MS + 300);
    kit.give(&run[0]);
    let other = kit.make((1, 1), run[0].reference(), genesis(), 7);
    kit.give(&other);
    let around = kit.make((2, 0), run[0].reference(), genesis(), 0);
    kit.give(&around);
    let behind = kit.make((2, 1), around.reference(), genesis(), 0);
    kit.give(&behind);
    assert_eq!(kit.dropped(DropReason::Checkpoint), 2);
    assert_eq!(kit.engine.head(), run[0].reference(), "nor what follows such a one");
    kit.give(&run[1]);
    kit.give(&run[2]);
    assert_eq!(kit.engine.head(), run[2].reference());
}

pub(super) fn nothing_follows_the_last_slice_of_a_slot_within_it<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    kit.at(SLOT_MS + 300);
    let last = kit.make_with((1, 0), genesis(), genesis(), |body| body.last = true);
    let last = kit.give(&last);
    kit.slice((1, 1), last, genesis());
    assert_eq!(kit.dropped(DropReason::Height), 1);
    let next = kit.slice((2, 0), last, genesis());
    assert_eq!(kit.engine.head(), next);
}

pub(super) fn a_carried_certificate_is_of_the_own_chain_never_lower_and_links_from_what_its_target_carries<
    E: Subject,
>() {
    let mut kit = Kit::<E>::observer();
    let run = kit.run(1, 0..=2, genesis(), genesis());
    let fork = kit.slice((2, 0), run[0], genesis());
    let fourth = kit.slice((1, 3), run[2], run[1]);
    for (parent, source) in [(fork, run[1]), (fourth, run[0])] {
        let at = if parent == fork { (2, 1) } else { (1, 4) };
        kit.slice(at, parent, source);
    }
    assert_eq!(kit.dropped(DropReason::Source), 2);
    let other_link = kit.make_with((1, 4), fourth, fourth, |body| body.source.source = run[0]);
    kit.give(&other_link);
    assert_eq!(kit.dropped(DropReason::Source), 3);
    let good = kit.slice((1, 4), fourth, fourth);
    assert_eq!(kit.engine.head(), good);
}

pub(super) fn what_follows_an_invalid_slice_is_dropped_and_not_asked_for_again<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let bad = kit.make((1, 1), genesis(), genesis(), 0);
    let child = kit.make((1, 2), bad.reference(), genesis(), 0);
    let grandchild = kit.make((1, 3), child.reference(), genesis(), 0);
    kit.at(SLOT_MS + 300);
    kit.give(&grandchild);
    kit.give(&child);
    kit.give(&bad);
    assert_eq!(kit.dropped(DropReason::ParentInvalid), 2);
    let requests = kit.outputs.iter().filter(|output| matches!(output, Output::Request { .. })).count();
    kit.give(&grandchild);
    assert_eq!(kit.dropped(DropReason::Invalid), 1);
    kit.at(SLOT_MS + 5_000).drain();
    assert_eq!(kit.outputs.iter().filter(|output| matches!(output, Output::Request { .. })).count(), requests);
}

pub(super) fn a_flood_of_siblings_is_bounded_but_one_that_others_build_on_is_taken<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    kit.at(SLOT_MS + 300);
    let siblings: Vec<Slice> = (0..20).map(|salt| kit.make((1, 0), genesis(), genesis(), salt)).collect();
    for slice in &siblings {
        kit.give(slice);
    }
    assert_eq!(kit.engine.unfinal_count(), SIBLING_SLICES_MAX);
    assert_eq!(evidence(&kit).len(), 1, "one proof of a kind is enough");
    let next = kit.slice((2, 0), siblings[19].reference(), genesis());
    kit.give(&siblings[19]);
    assert_eq!(kit.engine.head(), next);
}

pub(super) fn a_missing_parent_is_asked_for_until_it_comes<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let first = kit.make((1, 0), genesis(), genesis(), 0);
    let second = kit.make((1, 1), first.reference(), genesis(), 0);
    let third = kit.make((1, 2), second.reference(), genesis(), 0);
    kit.at(SLOT_MS + 300);
    kit.give(&third);
    kit.give(&second);
    let wanted = |kit: &Kit<E>| -> Vec<Hash> {
        kit.outputs
            .iter()
            .filter_map(|output| if let Output::Request { missing, .. } = output { Some(*missing) } else { None })
            .collect()
    };
    assert_eq!(wanted(&kit), [second.id(), first.id()]);
    assert_eq!(kit.engine.wake_at(), Some(Instant::from_millis(SLOT_MS + 300 + 4 * DELTA_MS)));
    kit.run_to(SLOT_MS + 300 + 4 * DELTA_MS);
    assert_eq!(wanted(&kit), [second.id(), first.id(), first.id()]);
    kit.give(&first);
    assert_eq!(kit.engine.head(), third.reference());
    assert_eq!(kit.engine.wake_at(), None);
}

pub(super) fn confirms_may_come_before_their_slice_and_a_quorum_of_them_asks_for_it<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let slice = kit.make((1, 0), genesis(), genesis(), 0);
    kit.at(SLOT_MS + 300);
    kit.confirm(0, slice.reference());
    kit.confirm(1, slice.reference());
    assert!(kit.outputs.is_empty());
    kit.confirm(2, slice.reference());
    assert_eq!(kit.outputs, [Output::Request { missing: slice.id(), above: genesis() }]);
    kit.give(&slice);
    assert!(is_justified(&kit, slice.reference()));
    assert_eq!(kit.engine.wake_at(), None);
}

pub(super) fn confirms_are_refused_by_what_is_wrong_with_them<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    let slice = kit.slice((1, 0), genesis(), genesis());
    let good = confirm(0, genesis(), slice);
    let cases: [(DropReason, Change<ConfirmBody>); 6] = [
        (DropReason::Version, |body| body.version = 2),
        (DropReason::WrongChain, |body| body.chain = ChainId(Hash::ZERO)),
        (DropReason::NotScheduled, |body| body.producer = "stranger".parse().unwrap()),
        (DropReason::NotScheduled, |body| body.epoch.0 += 1),
        (DropReason::ConfirmSource, |body| body.source = body.target),
        (DropReason::Early, |body| body.target.height = height(4, 0)),
    ];
    for (reason, change) in cases {
        let before = kit.dropped(reason);
        let mut bad = good.clone();
        change(&mut bad.body);
        kit.feed(Input::Confirm(Verified::vouch(bad)));
        assert_eq!(kit.dropped(reason), before + 1, "{reason:?}");
    }
    kit.at(20 * SLOT_MS).drain();
    kit.feed(Input::Confirm(Verified::vouch(good)));
    assert_eq!(kit.dropped(DropReason::Stale), 1);
}

pub(super) fn conflicting_confirms_are_evidence_and_count_for_whoever_hears_them<E: Subject>() {
    let mut kit = Kit::<E>::observer();
    kit.at(SLOT_MS + 300);
    let (a, b) = (kit.make((1, 0), genesis(), genesis(), 1), kit.make((1, 0), genesis(), genesis(), 2));
    let (a, b) = (kit.give(&a), kit.give(&b));
    kit.confirm(0, a);
    for index in 0..3 {
        kit.confirm(index, b);
    }
    assert!(is_justified(&kit, b), "its certificate would convince anyone");
    let accused: Vec<_> = evidence(&kit).iter().map(Evidence::producer).collect();
    assert_eq!(accused, [name(1), name(0)]);
}

pub(super) fn a_hundred_and_one_producers<E: Subject>() {
    let mut kit = Kit::<E>::with(config(None), schedules(101), Memory::Never, Instant::ZERO);
    let mut parent = genesis();
    kit.at(SLOT_MS + 300);
    let mut made = Vec::new();
    for index in 0..11 {
        let source = if index < 3 { genesis() } else { made[index as usize - 3] };
        let slice = kit.make_with((1, index), parent, source, |_| {});
        parent = kit.give(&slice);
        made.push(parent);
        for producer in 0..101 {
            assert_eq!(is_justified(&kit, parent), producer >= E::deciding(101));
            kit.confirm(producer, parent);
        }
    }
    assert_eq!(kit.last_final(), made[7]);
    assert_eq!(kit.engine.counters().confirms, 11 * 101);
}
