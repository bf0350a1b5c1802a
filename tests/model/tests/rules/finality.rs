//! What the rules make of small runs: whether the model is that of PROTOCOL.md.

use hpb_model::model::{FixedBy, Model, State};
use hpb_model::producers::{Producers, Set};
use hpb_model::rules::Rules;
use hpb_model::slice::{Slice, Slices};

use crate::by_hand::{ROOT, Step, a, b, model, play};

fn after(producers: Producers, fixed_by: FixedBy, steps: &[Step<'_>]) -> State {
    play(&Model { fixed_by, ..model(producers, Rules::PROTOCOL) }, steps).unwrap()
}

#[test]
fn three_of_four_on_one_link_justify() {
    let table: [(&[usize], Producers, bool); 5] = [
        (&[0, 1, 2], Producers::UNCHANGED.with_silence(), true),
        (&[0, 1], Producers::UNCHANGED.with_silence(), false),
        (&[0, 1], Producers::UNCHANGED, true),
        (&[0], Producers::UNCHANGED, false),
        (&[1, 2], Producers::REPLACED, true),
    ];
    for (who, producers, expected) in table {
        let state = after(producers, FixedBy::Root, &[(who, ROOT, a(1, 0))]);
        assert_eq!(state.justified().contains(a(1, 0)), expected, "{who:?} of {producers:?}");
    }
}

#[test]
fn a_dense_link_within_a_slot_makes_its_source_final() {
    let all: &[usize] = &[0, 1, 2];
    let table: [(&[Step<'_>], &[Slice]); 6] = [
        (&[(all, ROOT, a(1, 0))], &[ROOT]),
        (&[(all, ROOT, a(1, 0)), (all, a(1, 0), a(1, 1))], &[ROOT, a(1, 0)]),
        // Its ancestors with it, whether or not they are justified.
        (&[(all, ROOT, a(1, 1)), (all, a(1, 1), a(1, 2))], &[ROOT, a(1, 0), a(1, 1)]),
        // Over a slice that is justified by another link, and over one that is not.
        (&[(all, ROOT, a(1, 0)), (all, ROOT, a(1, 1)), (all, a(1, 0), a(1, 2))], &[ROOT, a(1, 0)]),
        (&[(all, ROOT, a(1, 0)), (all, a(1, 0), a(1, 2))], &[ROOT]),
        // Not from slot to slot.
        (&[(all, ROOT, b(1, 2)), (all, b(1, 2), b(2, 0))], &[ROOT]),
    ];
    for (steps, expected) in table {
        let state = after(Producers::UNCHANGED, FixedBy::Root, steps);
        assert_eq!(state.finals(), expected.iter().copied().collect(), "{steps:?}");
    }
}

#[test]
fn the_overlap_ends_where_the_chain_proves_a_slice_of_the_new_epoch_final() {
    let both: &[usize] = &[0, 1, 2, 3, 4, 5];
    let proof: [Step<'_>; 2] = [(both, ROOT, a(2, 0)), (both, a(2, 0), a(2, 1))];
    let state = after(Producers::REPLACED, FixedBy::Root, &proof);
    assert!(state.finals().contains(a(2, 0)));
    let needs = |last: Step<'_>| {
        let state = after(Producers::REPLACED, FixedBy::Root, &[proof[0], proof[1], last]);
        (state.needs(Set::Old), state.needs(Set::New))
    };
    let (old, new): (Slices, Slices) = needs((&[], a(2, 1), a(2, 2)));
    assert_eq!(old, [a(1, 0), a(1, 1), a(1, 2), a(2, 0), a(2, 1)].into_iter().collect());
    assert_eq!(new, [a(2, 0), a(2, 1), a(2, 2)].into_iter().collect());
    // It is final, but this chain does not say so.
    assert!(needs((&[], a(2, 0), a(2, 2))).0.contains(a(2, 2)));
    // Nor does the other chain.
    assert!(needs((&[], ROOT, b(2, 2))).0.contains(b(2, 2)));
}

#[test]
fn a_link_to_the_new_epoch_needs_both_sets_and_both_only() {
    let table: [(&[usize], bool); 4] =
        [(&[0, 1, 3, 4], true), (&[0, 1, 2], false), (&[3, 4, 5], false), (&[0, 3, 4, 5], false)];
    for (who, expected) in table {
        let state = after(Producers::REPLACED, FixedBy::Root, &[(who, ROOT, a(2, 0))]);
        assert_eq!(state.justified().contains(a(2, 0)), expected, "{who:?}");
    }
    // Who is in neither set of a slice is not asked.
    let model = model(Producers::REPLACED, Rules::PROTOCOL);
    assert!(play(&model, &[(&[3], ROOT, a(1, 0))]).is_err());
}

#[test]
fn a_schedule_takes_effect_where_the_chain_proves_its_block_final_before_the_boundary() {
    let old: &[usize] = &[0, 1, 2];
    let needs_new = |carried_before: Slice, fixed_by| {
        let steps: [Step<'_>; 4] =
            [(old, ROOT, a(1, 0)), (old, a(1, 0), a(1, 1)), (&[], carried_before, a(1, 2)), (&[], a(1, 1), a(2, 0))];
        let state = after(Producers::REPLACED, fixed_by, &steps);
        assert!(state.finals().contains(a(1, 0)) && state.needs(Set::Old).contains(a(2, 0)));
        state.needs(Set::New).contains(a(2, 0))
    };
    assert!(needs_new(a(1, 1), FixedBy::FirstSlice));
    // The proof comes one slice too late; a schedule that was fixed before takes effect all the same.
    assert!(!needs_new(a(1, 0), FixedBy::FirstSlice));
    assert!(needs_new(a(1, 0), FixedBy::Root));
}

#[test]
fn a_slice_carries_no_less_than_its_parent() {
    let all: &[usize] = &[0, 1, 2];
    let model = model(Producers::UNCHANGED, Rules::PROTOCOL);
    let steps: [Step<'_>; 3] = [(all, ROOT, a(1, 0)), (all, a(1, 0), a(1, 1)), (&[], ROOT, a(1, 2))];
    assert_eq!(format!("{:?}", play(&model, &steps).unwrap_err()), "A1.2 carries root");
    let unjustified: [Step<'_>; 2] = [(&[0], ROOT, a(1, 0)), (&[], a(1, 0), a(1, 1))];
    assert_eq!(format!("{:?}", play(&model, &unjustified).unwrap_err()), "A1.1 carries A1.0");
}
