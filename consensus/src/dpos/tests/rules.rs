//! Fork choice, with the traces that break its alternatives; what is common to all engines stands in the conformance suite.

use super::{Kit, SLOT_MS, genesis};
use crate::engine::Engine;

#[test]
fn a_fork_that_is_caught_up_takes_the_head_when_it_has_more_filled_slots() {
    let mut kit = Kit::observer();
    let mut here = genesis();
    for slot in [1, 5, 9] {
        here = kit.run(slot, 0..=2, here, genesis())[2];
    }
    let mut there = genesis();
    for slot in [2, 3, 6, 7] {
        assert_eq!(kit.engine.head(), here);
        there = kit.run(slot, 0..=2, there, genesis())[2];
        if slot == 6 {
            // Three against three: the lower id, wherever that is.
            here = kit.engine.head();
        }
    }
    assert_eq!(kit.engine.head(), there);
}

#[test]
fn filled_slots_outweigh_slices() {
    let mut kit = Kit::observer();
    let long = kit.run(1, 0..=9, genesis(), genesis());
    assert_eq!(kit.engine.head(), long[9]);
    let first = kit.slice((2, 0), genesis(), genesis());
    let second = kit.slice((3, 0), first, genesis());
    assert_eq!(kit.engine.head(), second);
}

#[test]
fn two_branches_of_one_weight_do_not_take_turns() {
    let mut kit = Kit::observer();
    kit.at(SLOT_MS + 300);
    let (a, b) = (kit.make((1, 0), genesis(), genesis(), 1), kit.make((1, 0), genesis(), genesis(), 2));
    let lower = if a.id() < b.id() { a.reference() } else { b.reference() };
    let mut tips = [kit.give(&a), kit.give(&b)];
    let switches = kit.engine.counters().retracted;
    for index in 1..10 {
        for tip in &mut tips {
            *tip = kit.slice((1, index), *tip, genesis());
        }
    }
    assert_eq!(kit.engine.counters().retracted, switches);
    let on_lower = if a.reference() == lower { tips[0] } else { tips[1] };
    assert_eq!(kit.engine.head(), on_lower);
}
