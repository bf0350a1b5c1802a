use super::*;
use crate::samples;

#[test]
fn a_quorum_is_more_than_two_thirds() {
    for (weights, weight, is_quorum) in [
        (&[1, 1, 1, 1][..], 3, true),
        (&[1, 1, 1, 1], 2, false),
        (&[1, 1, 1], 2, false),
        (&[u64::MAX, u64::MAX], u64::MAX, true),
        (&[u64::MAX / 3; 3], u64::MAX / 3 * 2, false),
        (&[u64::MAX / 3; 3], u64::MAX / 3 * 2 + 1, true),
    ] {
        assert_eq!(samples::schedule(0, 10, weights).is_quorum(weight), is_quorum, "{weights:?} {weight}");
    }
}

#[test]
fn a_majority_is_more_than_half() {
    for (weights, weight, is_majority) in [
        (&[1, 1, 1][..], 2, true),
        (&[1, 1, 1], 1, false),
        (&[1, 1], 1, false),
        (&[1, 1, 1, 1], 2, false),
        (&[1, 1, 1, 1], 3, true),
        (&[1], 1, true),
        (&[u64::MAX / 2, u64::MAX / 2], u64::MAX / 2, false),
    ] {
        assert_eq!(samples::schedule(0, 10, weights).is_majority(weight), is_majority, "{weights:?} {weight}");
    }
}

#[test]
fn slots_go_round() {
    let schedule = samples::schedule(0, 10, &[1, 1, 1]);
    let at = |slot| schedule.producer_at(Slot(slot)).name;
    assert_eq!([at(0), at(1), at(2), at(3)].map(|name| schedule.index_of(&name)), [Some(0), Some(1), Some(2), Some(0)]);
    assert_eq!(schedule.index_of(&samples::ALICE), None);
    assert_eq!(schedule.producer(&at(1)).map(|producer| producer.name), Some(at(1)));
}

#[test]
fn the_seed_orders_the_producers_whatever_order_they_came_in() {
    let producers = samples::schedule(0, 10, &[1; 9]).producers;
    let mut reversed = producers.clone();
    reversed.reverse();
    let draw =
        |seed: u8, producers: &[ScheduledProducer]| Schedule::draw(Epoch(3), samples::hash(seed), producers.to_vec());
    assert_eq!(draw(1, &producers), draw(1, &reversed));
    let orders: std::collections::BTreeSet<Vec<AccountName>> =
        (0..20).map(|seed| draw(seed, &producers).producers.iter().map(|producer| producer.name).collect()).collect();
    assert_eq!(orders.len(), 20, "another seed, another order");
}

#[test]
fn order_and_keys_do_not_change_a_set_and_weights_do() {
    let schedule = samples::schedule(0, 10, &[1, 2, 3]);
    let mut other = samples::schedule(1, 40, &[1, 2, 3]);
    other.producers.reverse();
    assert!(schedule.has_same_weights(&other));
    for change in [
        |schedule: &mut Schedule| schedule.producers[0].weight += 1,
        |schedule: &mut Schedule| schedule.producers[0].name = samples::ALICE,
        |schedule: &mut Schedule| schedule.producers.truncate(2),
    ] {
        let mut changed = other.clone();
        change(&mut changed);
        assert!(!schedule.has_same_weights(&changed));
    }
}

#[test]
fn the_last_quarter_fixes_and_its_first_slice_alone() {
    let epochs = Epochs::new(8);
    assert_eq!(epochs.of(Slot(7)), Epoch(0));
    assert_eq!(epochs.of(Slot(8)), Epoch(1));
    assert_eq!(epochs.start_of(Epoch(2)), Slot(16));
    assert_eq!(epochs.fixing_from(Epoch(1)), Slot(14));
    for (parent, slot, fixes) in [
        (12, 13, false),
        (13, 14, true),
        (14, 14, false),
        (14, 15, false),
        (13, 15, true),
        // The last quarter of the epoch before was skipped: nothing was fixed there.
        (5, 8, false),
        (5, 14, true),
        (5, 23, true),
        (15, 16, false),
    ] {
        assert_eq!(epochs.fixes(Slot(parent), Slot(slot)), fixes, "{parent} -> {slot}");
    }
    let first = |epoch| samples::genesis().epochs().fixing_from(Epoch(epoch));
    assert_eq!([first(0), first(1), first(2)], [900, 2_100, 3_300].map(Slot), "as FORMAT.md says");
}

#[test]
fn the_shortest_epochs_fix_in_each_slot() {
    let epochs = Epochs::new(1);
    assert!(epochs.fixes(Slot(0), Slot(1)));
    assert!(!epochs.fixes(Slot(1), Slot(1)));
    assert_eq!(epochs.start_of(Epoch(u64::MAX)), Slot(u64::MAX));
    assert_eq!(Epochs::new(u64::MAX).fixing_from(Epoch(1)), Slot(u64::MAX));
}

#[test]
fn a_proof_is_about_one_slot_of_one_schedule_of_one_chain() {
    let schedule = samples::schedule(0, 10, &[1]);
    let other_seed = Schedule { seed: samples::hash(9), ..schedule.clone() };
    let input = schedule.beacon_input(&samples::chain(), Slot(5));
    assert_ne!(input, schedule.beacon_input(&samples::chain(), Slot(6)));
    assert_ne!(input, other_seed.beacon_input(&samples::chain(), Slot(5)));
    assert_ne!(input, schedule.beacon_input(&ChainId(samples::hash(9)), Slot(5)));
}
