//! The protocol's rules, explored whole.
//!
//! Each test goes through trees whose chains part in different places and requires the properties of
//! [`checker`](crate::checker): in no state are two conflicting slices final, and none is undone; and, so that this is not
//! said of a chain that stands still, there are states in which slices of either chain and of the new epoch are final, and
//! in which the overlap is over.
//!
//! The numbers are the classes of states visited, as measured. They are the same on every machine and in every order of
//! search, so that a change of what is explored shows. Together: 8,099,755 classes and 31,727,645 steps, in a test build
//! about 30 seconds of one core, which the tests share among all cores.

use hpb_model::model::{FixedBy, Model, Order};
use hpb_model::producers::Producers;
use hpb_model::rules::Rules;
use hpb_model::tree::Tree;

use crate::checker::explore;

/// Two slots of three slices: one in each epoch.
const TWO_SLOTS: [[u8; 3]; 2] = [[3, 3, 0]; 2];
/// Where the chains of two slots can part.
const PARTINGS: [usize; 6] = [0, 1, 2, 3, 4, 5];
/// Three slots of two slices: two in the new epoch, so that a slot begins after the overlap.
const THREE_SLOTS: [[u8; 3]; 2] = [[2, 2, 2]; 2];

/// Classes visited, by how many slices both chains share.
fn explored<const N: usize>(
    lens: [[u8; 3]; 2],
    shared: [usize; N],
    producers: Producers,
    fixed_by: FixedBy,
) -> [usize; N] {
    shared.map(|shared| {
        let tree = Tree::new(lens, shared);
        let (rules, order) = (Rules::PROTOCOL, Order::ByHeight);
        explore(Model { tree, producers, fixed_by, rules, order, start: Vec::new() })
    })
}

#[test]
fn the_same_producers_go_on() {
    let visited = explored(TWO_SLOTS, PARTINGS, Producers::UNCHANGED, FixedBy::Root);
    assert_eq!(visited, [23_650, 30_924, 30_634, 22_950, 14_301, 5_006]);
}

#[test]
fn two_honest_producers_stay() {
    let visited = explored(TWO_SLOTS, PARTINGS, Producers::TWO_STAY, FixedBy::Root);
    assert_eq!(visited, [149_916, 204_302, 213_549, 164_104, 95_716, 25_236]);
}

#[test]
fn one_honest_producer_stays() {
    let visited = explored(TWO_SLOTS, PARTINGS, Producers::ONE_STAYS, FixedBy::Root);
    assert_eq!(visited, [323_886, 452_571, 486_480, 379_234, 215_440, 50_310]);
}

#[test]
fn all_producers_are_replaced() {
    let visited = explored(TWO_SLOTS, PARTINGS, Producers::REPLACED, FixedBy::Root);
    assert_eq!(visited, [302_811, 425_927, 461_990, 362_602, 203_079, 46_582]);
}

#[test]
fn a_chain_without_the_proof_keeps_its_producers() {
    let table = [
        (Producers::TWO_STAY, [48_173, 75_754, 94_618, 55_288, 35_527, 11_819]),
        (Producers::ONE_STAYS, [50_563, 87_694, 124_823, 67_350, 44_819, 14_891]),
        (Producers::REPLACED, [28_038, 52_687, 84_987, 43_838, 30_444, 10_708]),
    ];
    for (producers, expected) in table {
        assert_eq!(explored(TWO_SLOTS, PARTINGS, producers, FixedBy::FirstSlice), expected, "{producers:?}");
    }
}

#[test]
fn a_slot_begins_after_the_overlap() {
    let table = [
        (Producers::TWO_STAY, [157_228, 203_453, 98_446]),
        (Producers::ONE_STAYS, [339_630, 462_621, 219_456]),
        (Producers::REPLACED, [318_103, 441_242, 206_355]),
    ];
    for (producers, expected) in table {
        assert_eq!(explored(THREE_SLOTS, [0, 2, 4], producers, FixedBy::Root), expected, "{producers:?}");
    }
}
