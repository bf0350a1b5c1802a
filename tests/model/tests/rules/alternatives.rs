//! The alternatives that the rules were chosen against: for each the checker must find what breaks, so that it could have
//! found it in the rules themselves.
//!
//! Beside each stands the trace that breaks it, played by hand under the alternative and under the protocol's rules.

use hpb_model::model::{Action, Model, Order};
use hpb_model::producers::Producers;
use hpb_model::rules::{Finality, Heights, Overlap, PerHeight, Quorum, Rules, Source, Watermark, Weights};
use hpb_model::slice::Slices;
use hpb_model::tree::Tree;

use crate::by_hand::{ROOT, Step, a, b, model, play};
use crate::checker::{FINAL, FOR_EVER, ONE_CHAIN, Same, find};

/// The checker finds two conflicting finals in `alternative`, as `steps` do; under the protocol's rules the steps end with
/// the action `refused`, or, if none is, tear nothing.
#[track_caller]
fn tears(alternative: &Model, steps: &[Step<'_>], refused: Option<&str>) {
    let found = find(alternative, Same::Class, ONE_CHAIN).expect("nothing was found");
    let end = found.iter().fold(alternative.first(), |state, action| alternative.next(&state, *action));
    assert!(alternative.is_torn(&end), "{found:?}");
    let state = play(alternative, steps).unwrap();
    assert!(alternative.is_torn(&state), "{:?}", state.finals());
    let protocol = Model { rules: Rules::PROTOCOL, ..alternative.clone() };
    match play(&protocol, steps) {
        Ok(state) => assert!(refused.is_none() && !protocol.is_torn(&state), "{:?}", state.finals()),
        Err(action) => assert_eq!(Some(format!("{action:?}").as_str()), refused),
    }
}

#[test]
fn half_of_the_weight_is_no_quorum() {
    let rules = Rules { quorum: Quorum::OneLess, ..Rules::PROTOCOL };
    let steps: [Step<'_>; 4] =
        [(&[0], ROOT, a(1, 0)), (&[1], ROOT, b(1, 0)), (&[0], a(1, 0), a(1, 1)), (&[1], b(1, 0), b(1, 1))];
    tears(&model(Producers::UNCHANGED, rules), &steps, Some("A1.1 carries A1.0"));
}

#[test]
fn finality_needs_every_index_between() {
    let rules = Rules { finality: Finality::SparseInSlot, ..Rules::PROTOCOL };
    let steps: [Step<'_>; 5] = [
        (&[0, 1], ROOT, a(1, 0)),
        (&[0, 1], ROOT, b(1, 1)),
        (&[0, 1], a(1, 0), a(1, 2)),
        (&[0, 1], b(1, 1), b(2, 0)),
        (&[0, 1], b(2, 0), b(2, 1)),
    ];
    tears(&model(Producers::UNCHANGED, rules), &steps, None);
}

#[test]
fn finality_does_not_cross_slots() {
    let rules = Rules { finality: Finality::AcrossSlots, ..Rules::PROTOCOL };
    // The second slot's producer has not seen the first slot's last slice, and the other fork has one at its height.
    let alternative = Model { tree: Tree::new([[2, 3, 0], [3, 3, 0]], 0), ..model(Producers::UNCHANGED, rules) };
    let steps: [Step<'_>; 5] = [
        (&[0, 1], ROOT, a(1, 1)),
        (&[0, 1], ROOT, b(1, 2)),
        (&[0, 1], a(1, 1), a(2, 0)),
        (&[0, 1], b(1, 2), b(2, 1)),
        (&[0, 1], b(2, 1), b(2, 2)),
    ];
    tears(&alternative, &steps, None);
}

#[test]
fn the_old_set_is_needed_until_the_new_epoch_is_final() {
    let rules = Rules { overlap: Overlap::NewSetAlone, ..Rules::PROTOCOL };
    // With no fault at all: a partition of the old set from the new one.
    let partition: [Step<'_>; 4] = [
        (&[0, 1, 2], ROOT, a(1, 0)),
        (&[0, 1, 2], a(1, 0), a(1, 1)),
        (&[3, 4, 5], ROOT, b(2, 0)),
        (&[3, 4, 5], b(2, 0), b(2, 1)),
    ];
    tears(&model(Producers::REPLACED.with_silence(), rules), &partition, Some("B2.1 carries B2.0"));
    // Those who stay stand on both sides, and confirm on one each.
    let halves: [Step<'_>; 4] =
        [(&[0, 1], ROOT, a(1, 0)), (&[0, 1], a(1, 0), a(1, 1)), (&[2, 3], ROOT, b(2, 0)), (&[2, 3], b(2, 0), b(2, 1))];
    for producers in [Producers::ONE_STAYS, Producers::TWO_STAY] {
        tears(&model(producers, rules), &halves, Some("B2.1 carries B2.0"));
    }
    // Where nobody leaves there is nothing to overlap.
    assert_eq!(find(&model(Producers::UNCHANGED, rules), Same::Class, ONE_CHAIN), None);
}

#[test]
fn a_source_does_not_fall() {
    let rules = Rules { watermark: Watermark::Target, ..Rules::PROTOCOL };
    let steps: [Step<'_>; 5] = [
        (&[0, 1], ROOT, a(1, 0)),
        (&[0, 1], a(1, 0), a(1, 1)),
        (&[0, 1], ROOT, b(1, 2)),
        (&[0, 1], b(1, 2), b(2, 0)),
        (&[0, 1], b(2, 0), b(2, 1)),
    ];
    tears(&model(Producers::UNCHANGED, rules), &steps, Some("0 confirms root -> B1.2"));
}

#[test]
fn a_height_is_confirmed_once() {
    let rules = Rules { per_height: PerHeight::Any, ..Rules::PROTOCOL };
    let steps: [Step<'_>; 4] =
        [(&[0, 1], ROOT, a(1, 0)), (&[0, 1], ROOT, b(1, 0)), (&[0, 1], a(1, 0), a(1, 1)), (&[0, 1], b(1, 0), b(1, 1))];
    tears(&model(Producers::UNCHANGED, rules), &steps, Some("0 confirms root -> B1.0"));
}

#[test]
fn a_certificate_keeps_the_weights_of_its_epoch() {
    let rules = Rules { weights: Weights::OfNewest, ..Rules::PROTOCOL };
    let alternative = model(Producers::REPLACED, rules);
    assert!(find(&alternative, Same::Class, FOR_EVER).is_some(), "nothing was found");
    // The first slice of the new epoch exists, and the old epoch's certificates are worth nothing.
    let steps: [Step<'_>; 3] = [(&[0, 1], ROOT, a(1, 0)), (&[0, 1], a(1, 0), a(1, 1)), (&[], a(1, 1), a(2, 0))];
    assert!(play(&alternative, &steps).unwrap().is_undone());
    let kept = play(&model(Producers::REPLACED, Rules::PROTOCOL), &steps).unwrap();
    assert!(!kept.is_undone() && kept.finals().contains(a(1, 0)));
}

#[test]
fn sources_of_the_voters_own_view_never_make_final() {
    let stalled = |source| {
        let rules = Rules { source, ..Rules::PROTOCOL };
        find(&model(Producers::UNCHANGED.with_silence(), rules), Same::Class, FINAL).is_none()
    };
    assert!(stalled(Source::OwnView));
    assert!(!stalled(Source::Carried));
}

#[test]
fn heights_by_depth_stall_after_a_heal() {
    // Two of three have followed fork A, which had a whole slot to itself and no quorum. Fork B, a slot later, is as
    // deep only where it ends.
    let slices = [a(1, 0), a(1, 1), a(1, 2)];
    let minority = slices.iter().flat_map(|target| {
        let confirm = |producer| Action::Confirm { producer, source: ROOT, target: *target };
        [Action::Create { slice: *target, source: ROOT }, confirm(0), confirm(1)]
    });
    let healed = Model {
        tree: Tree::new([[3, 0, 0], [0, 3, 0]], 0),
        order: Order::Any,
        start: minority.collect(),
        ..model(Producers::UNCHANGED.with_silence(), Rules::PROTOCOL)
    };
    assert_eq!(healed.first().justified(), Slices::ROOT);
    let by_depth = Model { rules: Rules { heights: Heights::Depth, ..Rules::PROTOCOL }, ..healed.clone() };
    assert_eq!(find(&by_depth, Same::State, FINAL), None);
    assert!(find(&healed, Same::State, FINAL).is_some());
}
