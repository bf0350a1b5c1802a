use hpb_types::{Epoch, PublicKey, ScheduledProducer, VrfPublic};
use proptest::prelude::*;

use super::*;

/// The producers called by these numbers, each of weight 10 + its number, in this order.
fn schedule(numbers: impl IntoIterator<Item = usize>) -> Schedule {
    let producers = numbers
        .into_iter()
        .map(|number| ScheduledProducer {
            name: format!("producer{number}").parse().unwrap(),
            key: PublicKey([number as u8; 32]),
            beacon: VrfPublic([number as u8; 32]),
            weight: 10 + number as u64,
        })
        .collect();
    Schedule { epoch: Epoch(0), seed: Hash::ZERO, producers }
}

fn at(slot: u64, index: u32, fork: u32) -> SliceRef {
    let id = [&slot.to_be_bytes()[..], &index.to_be_bytes(), &fork.to_be_bytes()].concat();
    SliceRef { height: Height::new(slot, index), id: Hash::of(&id) }
}

fn polled(tally: &mut Tally) -> Vec<SliceRef> {
    std::iter::from_fn(|| tally.poll()).map(|reached| reached.slice).collect()
}

fn count(tally: &Tally, slice: SliceRef) -> (u16, u64) {
    let count = tally.status(&slice.id).unwrap();
    (count.confirmers, count.weight)
}

/// Slices 1.0, 1.1, … of one slot, all of producer 0.
fn chain(tally: &mut Tally, len: u32) -> Vec<SliceRef> {
    let slices: Vec<SliceRef> = (0..len).map(|index| at(1, index, 0)).collect();
    let mut parent = Hash::ZERO;
    for slice in &slices {
        tally.watch(*slice, parent, 0);
        parent = slice.id;
    }
    slices
}

#[test]
fn a_confirm_counts_for_its_target_and_the_ancestors_but_for_no_descendant() {
    let mut tally = Tally::new(&schedule(0..4), None);
    let slices = chain(&mut tally, 3);
    tally.confirm(slices[1], 2);
    assert_eq!(slices.iter().map(|slice| count(&tally, *slice)).collect::<Vec<_>>(), [(1, 12), (1, 12), (0, 0)]);
    tally.confirm(slices[2], 3);
    assert_eq!(slices.iter().map(|slice| count(&tally, *slice)).collect::<Vec<_>>(), [(2, 25), (2, 25), (1, 13)]);
}

#[test]
fn the_oldest_is_told_first_and_each_once() {
    let mut tally = Tally::new(&schedule(0..4), None);
    let slices = chain(&mut tally, 3);
    tally.confirm(slices[2], 1);
    assert_eq!(tally.poll(), None);
    tally.confirm(slices[1], 2);
    assert_eq!(tally.poll(), Some(Reached { slice: slices[0], confirmers: 2, weight: 23 }));
    assert_eq!(tally.poll(), Some(Reached { slice: slices[1], confirmers: 2, weight: 23 }));
    assert_eq!(tally.poll(), None);
    tally.confirm(slices[2], 3);
    assert_eq!(polled(&mut tally), [slices[2]]);
}

#[test]
fn the_default_threshold_is_a_third_and_one() {
    for (producers, threshold) in [(1, 1), (2, 1), (3, 2), (4, 2), (6, 3), (7, 3), (21, 8), (101, 34)] {
        let mut tally = Tally::new(&schedule(0..producers), None);
        let slice = chain(&mut tally, 1)[0];
        let told = (0..producers).find(|index| {
            tally.confirm(slice, *index);
            tally.poll().is_some()
        });
        let others = producers - 1;
        assert_eq!(told, (threshold <= others).then_some(threshold), "of {producers}: index 0 is the slice's own");
    }
}

#[test]
fn another_threshold_can_be_set_but_not_nought() {
    for (threshold, least) in [(0, 1), (1, 1), (3, 3)] {
        let mut tally = Tally::new(&schedule(0..4), Some(threshold));
        let slice = chain(&mut tally, 1)[0];
        assert_eq!(tally.poll(), None);
        let told = (1..4).find(|index| {
            tally.confirm(slice, *index);
            tally.poll().is_some()
        });
        assert_eq!(told, Some(least));
    }
}

#[test]
fn a_producer_counts_for_others_below_its_own_slice() {
    let mut tally = Tally::new(&schedule(0..4), Some(1));
    let (first, second, third) = (at(1, 0, 0), at(2, 0, 0), at(3, 0, 0));
    tally.watch(first, Hash::ZERO, 1);
    tally.watch(second, first.id, 2);
    tally.watch(third, second.id, 3);
    tally.confirm(second, 2);
    assert_eq!([first, second, third].map(|slice| count(&tally, slice)), [(1, 12), (0, 0), (0, 0)]);
    tally.confirm(third, 2);
    assert_eq!([first, second, third].map(|slice| count(&tally, slice)), [(1, 12), (0, 0), (1, 12)]);
    assert_eq!(polled(&mut tally), [first, third], "its own slice in between is not confirmed by it");
}

#[test]
fn branches_are_counted_apart() {
    let mut tally = Tally::new(&schedule(0..4), Some(2));
    let (root, left, right) = (at(1, 0, 0), at(1, 1, 1), at(1, 1, 2));
    tally.watch(root, Hash::ZERO, 0);
    tally.watch(left, root.id, 0);
    tally.watch(right, root.id, 0);
    tally.confirm(left, 1);
    tally.confirm(right, 2);
    tally.confirm(right, 1);
    assert_eq!([root, left, right].map(|slice| count(&tally, slice)), [(2, 23), (1, 11), (2, 23)]);
    assert_eq!(polled(&mut tally), [root, right]);
}

#[test]
fn confirms_may_come_before_their_slice_and_slices_before_their_parent() {
    let mut tally = Tally::new(&schedule(0..4), Some(2));
    let (first, second, third) = (at(1, 0, 0), at(1, 1, 0), at(1, 2, 0));
    tally.confirm(third, 1);
    tally.confirm(second, 2);
    tally.confirm(third, 1);
    assert_eq!(tally.status(&third.id), None);
    tally.watch(third, second.id, 0);
    tally.watch(first, Hash::ZERO, 0);
    assert_eq!(count(&tally, third), (1, 11));
    tally.watch(second, first.id, 0);
    assert_eq!([first, second, third].map(|slice| count(&tally, slice)), [(2, 23), (2, 23), (1, 11)]);
    assert_eq!(polled(&mut tally), [first, second]);
    assert_eq!((tally.counters().counted, tally.counters().repeated), (2, 1));
    assert!(tally.early.is_empty() && tally.early_of.iter().all(BTreeSet::is_empty));
}

#[test]
fn what_is_repeated_or_of_strangers_changes_nothing() {
    let mut tally = Tally::new(&schedule(0..4), Some(2));
    let slices = chain(&mut tally, 2);
    tally.confirm(slices[1], 1);
    let before = slices.iter().map(|slice| count(&tally, *slice)).collect::<Vec<_>>();
    tally.confirm(slices[1], 1);
    tally.confirm(slices[0], 1);
    tally.watch(slices[1], Hash::ZERO, 2);
    tally.confirm(slices[1], 4);
    tally.confirm(slices[1], usize::MAX);
    tally.watch(at(1, 2, 0), slices[1].id, 4);
    let elsewhere = SliceRef { height: Height::new(9, 9), id: slices[1].id };
    tally.confirm(elsewhere, 2);
    assert_eq!(slices.iter().map(|slice| count(&tally, *slice)).collect::<Vec<_>>(), before);
    assert_eq!(tally.poll(), None);
    let expected =
        TallyCounters { watched: 2, counted: 1, repeated: 3, unknown_producers: 3, misplaced: 1, ..Default::default() };
    assert_eq!(*tally.counters(), expected);
}

#[test]
fn an_early_confirm_at_a_false_height_never_counts() {
    let mut tally = Tally::new(&schedule(0..4), Some(1));
    let slice = at(1, 0, 0);
    tally.confirm(SliceRef { height: Height::new(2, 0), id: slice.id }, 1);
    tally.watch(slice, Hash::ZERO, 0);
    assert_eq!(count(&tally, slice), (0, 0));
}

#[test]
fn circles_of_parents_are_harmless() {
    let (first, second, third) = (at(1, 0, 0), at(1, 1, 0), at(1, 1, 1));
    let itself = at(1, 5, 0);
    let parents =
        [(first, second.id), (second, first.id), (third, second.id), (itself, itself.id), (at(0, 0, 0), itself.id)];
    for shift in 0..parents.len() {
        let mut tally = Tally::new(&schedule(0..4), Some(1));
        for step in 0..parents.len() {
            let (slice, parent) = parents[(shift + step) % parents.len()];
            tally.watch(slice, parent, 0);
        }
        tally.confirm(third, 1);
        assert_eq!(count(&tally, second), (0, 0), "a parent at the same height is none");
        tally.confirm(first, 2);
        assert_eq!(count(&tally, second), (0, 0), "a parent above is none");
        tally.confirm(second, 3);
        assert_eq!(count(&tally, first), (2, 25));
        tally.confirm(itself, 3);
        assert_eq!([itself, at(0, 0, 0)].map(|slice| count(&tally, slice)), [(1, 13), (0, 0)]);
        let mut early = Tally::new(&schedule(0..4), Some(1));
        for (slice, index) in [(third, 1), (first, 2), (second, 3), (itself, 3)] {
            early.confirm(slice, index);
        }
        for step in 0..parents.len() {
            let (slice, parent) = parents[(shift + step) % parents.len()];
            early.watch(slice, parent, 0);
        }
        for (slice, _) in parents {
            assert_eq!(early.status(&slice.id), tally.status(&slice.id));
        }
    }
}

#[test]
fn what_lies_below_the_final_slice_is_forgotten() {
    let mut tally = Tally::new(&schedule(0..4), Some(2));
    let slices = chain(&mut tally, 4);
    tally.confirm(at(1, 1, 9), 1);
    tally.confirm(at(1, 3, 9), 1);
    tally.finalised(slices[2]);
    let known: Vec<bool> = slices.iter().map(|slice| tally.status(&slice.id).is_some()).collect();
    assert_eq!(known, [false, false, true, true]);
    assert_eq!(tally.early.keys().copied().collect::<Vec<_>>(), [at(1, 3, 9)]);
    assert_eq!(tally.links.len(), 2);
    tally.watch(slices[0], Hash::ZERO, 0);
    tally.confirm(slices[1], 2);
    assert_eq!((tally.watched_count(), tally.counters().stale), (2, 2));
    tally.finalised(slices[0]);
    tally.watch(slices[1], slices[0].id, 0);
    assert_eq!(tally.watched_count(), 2, "final is never undone");
    tally.confirm(slices[3], 1);
    tally.confirm(slices[3], 2);
    assert_eq!(polled(&mut tally), [slices[2], slices[3]]);
}

#[test]
fn the_newest_slices_are_listed_ascending() {
    let mut tally = Tally::new(&schedule(0..4), None);
    let slices = chain(&mut tally, 100);
    tally.confirm(slices[98], 3);
    let recent: Vec<SliceStatus> = tally.recent(2).collect();
    let status = |reference, confirmers, weight| SliceStatus { reference, confirmers, weight, flags: 0 };
    assert_eq!(recent, [status(slices[98], 1, 13), status(slices[99], 0, 0)]);
    assert_eq!(tally.recent(0).count(), 0);
    assert_eq!(tally.recent(usize::MAX).next().unwrap().reference, slices[100 - DIGEST_SLICES_MAX]);
}

#[test]
fn the_table_is_bounded_and_the_oldest_goes() {
    let mut tally = Tally::new(&schedule(0..4), Some(1));
    let slices: Vec<SliceRef> = (0..=TALLY_TARGETS_MAX as u32 + 1).map(|index| at(2, index, 0)).collect();
    tally.confirm(at(2, 0, 7), 2);
    for pair in slices.windows(2).take(TALLY_TARGETS_MAX) {
        tally.watch(pair[1], pair[0].id, 0);
    }
    assert_eq!((tally.watched_count(), tally.counters().slices_dropped), (TALLY_TARGETS_MAX, 0));
    tally.watch(slices[0], Hash::ZERO, 0);
    assert_eq!(tally.status(&slices[0].id), None, "the oldest is itself");
    tally.watch(slices[TALLY_TARGETS_MAX + 1], slices[TALLY_TARGETS_MAX].id, 0);
    assert_eq!(tally.status(&slices[1].id), None);
    assert!(tally.early.is_empty());
    assert_eq!((tally.watched_count(), tally.counters().slices_dropped), (TALLY_TARGETS_MAX, 2));
    assert_eq!((tally.slices.len(), tally.links.len()), (TALLY_TARGETS_MAX, TALLY_TARGETS_MAX));
    tally.watch(slices[1], slices[0].id, 0);
    assert_eq!(tally.counters().stale, 1, "what was dropped does not come back");
}

/// The chain is as long as the table: a walk that recursed, or that went to its end for each confirm, would not come
/// back.
#[test]
fn a_walk_ends_where_the_producer_is_known() {
    let mut tally = Tally::new(&schedule(0..4), Some(1));
    let slices = chain(&mut tally, TALLY_TARGETS_MAX as u32);
    for slice in slices.iter().rev() {
        tally.confirm(*slice, 1);
    }
    for slice in &slices {
        tally.confirm(*slice, 2);
    }
    assert_eq!(count(&tally, slices[0]), (2, 23));
    assert_eq!(tally.counters().counted, 1 + TALLY_TARGETS_MAX as u64);
    assert_eq!(polled(&mut tally), slices);
}

#[test]
fn one_producers_early_confirms_crowd_out_no_others() {
    let mut tally = Tally::new(&schedule(0..4), Some(1));
    let first = at(1, 0, 0);
    tally.confirm(first, 2);
    for index in 0..=TALLY_EARLY_MAX as u32 {
        tally.confirm(at(1, index, 0), 1);
    }
    assert_eq!(tally.counters().early_dropped, 1);
    assert_eq!(tally.early.len(), TALLY_EARLY_MAX + 1);
    assert_eq!(tally.early_of[usize::from(tally.number(Slot(1), 1).unwrap())].len(), TALLY_EARLY_MAX);
    let slices = chain(&mut tally, 2);
    assert_eq!(slices.iter().map(|slice| count(&tally, *slice)).collect::<Vec<_>>(), [(2, 23), (1, 11)]);
}

#[test]
fn outputs_are_bounded() {
    let mut tally = Tally::new(&schedule(0..4), Some(1));
    let last = TALLY_TARGETS_MAX as u32;
    for index in 0..=last {
        tally.watch(at(1, index, 0), Hash::ZERO, 0);
        tally.confirm(at(1, index, 0), 1);
    }
    assert_eq!(tally.counters().outputs_dropped, 1);
    let polled = polled(&mut tally);
    assert_eq!((polled.len(), polled[0]), (TALLY_TARGETS_MAX, at(1, 1, 0)));
}

#[test]
fn producers_are_the_same_by_name_across_schedules() {
    let mut tally = Tally::new(&schedule([0, 1, 2, 3]), Some(1));
    tally.new_schedule(Slot(10), &schedule([5, 2, 1, 4]));
    let (old, new) = (at(9, 0, 0), at(10, 0, 0));
    tally.watch(old, Hash::ZERO, 1);
    tally.watch(new, old.id, 0);
    tally.confirm(new, 2);
    assert_eq!([old, new].map(|slice| count(&tally, slice)), [(0, 0), (1, 11)], "its own slice, by another index");
    tally.confirm(new, 1);
    tally.confirm(old, 2);
    assert_eq!([old, new].map(|slice| count(&tally, slice)), [(1, 12), (2, 23)], "one producer, once");
    tally.confirm(new, 3);
    assert_eq!([old, new].map(|slice| count(&tally, slice)), [(1, 12), (3, 37)], "not scheduled then");
}

#[test]
fn a_confirm_counts_past_a_schedule_that_its_producer_is_not_in() {
    let mut tally = Tally::new(&schedule([0, 1]), Some(1));
    tally.new_schedule(Slot(10), &schedule([0, 2]));
    tally.new_schedule(Slot(20), &schedule([0, 1]));
    let slices = [at(9, 0, 0), at(19, 0, 0), at(29, 0, 0)];
    tally.watch(slices[0], Hash::ZERO, 0);
    tally.watch(slices[1], slices[0].id, 0);
    tally.watch(slices[2], slices[1].id, 0);
    tally.confirm(slices[2], 1);
    assert_eq!(slices.map(|slice| count(&tally, slice).0), [1, 0, 1]);
    assert_eq!(polled(&mut tally), [slices[0], slices[2]]);
}

#[test]
fn a_schedule_that_comes_late_counts_anew() {
    let mut tally = Tally::new(&schedule(0..7), None);
    let (old, new) = (at(9, 0, 0), at(10, 0, 0));
    tally.watch(old, Hash::ZERO, 0);
    tally.watch(new, old.id, 0);
    tally.confirm(new, 1);
    tally.confirm(new, 2);
    assert_eq!(tally.poll(), None, "3 of 7");
    tally.new_schedule(Slot(10), &schedule([9, 2, 1]));
    assert_eq!([old, new].map(|slice| count(&tally, slice)), [(2, 23), (2, 23)]);
    assert_eq!(polled(&mut tally), [new], "2 of 3");
    tally.new_schedule(Slot(10), &schedule([9, 2, 8]));
    assert_eq!([old, new].map(|slice| count(&tally, slice)), [(2, 23), (1, 12)], "the last word on a slot holds");
    tally.confirm(new, 2);
    assert_eq!(count(&tally, new), (2, 30));
    assert_eq!(tally.poll(), None, "told once");
}

#[test]
fn numbers_are_given_again_only_when_nothing_bears_them() {
    let mut tally = Tally::new(&schedule(0..100), Some(1));
    let first = at(1, 0, 0);
    tally.watch(first, Hash::ZERO, 0);
    tally.confirm(at(2, 0, 0), 7);
    tally.confirm(first, 8);
    for epoch in 1..100 {
        let from = Slot(epoch * 10);
        tally.finalised(at(from.0 - 5, 0, 0));
        tally.new_schedule(from, &schedule(epoch as usize * 50..epoch as usize * 50 + 100));
        assert!(tally.terms.len() <= 2 && tally.roster.len() <= TALLY_PRODUCERS_MAX);
    }
    assert_eq!(*tally.counters(), TallyCounters { watched: 1, counted: 1, ..Default::default() });
}

#[test]
fn a_producer_that_is_scheduled_no_more_lends_its_number_to_none() {
    let mut tally = Tally::new(&schedule([0]), Some(1));
    tally.new_schedule(Slot(10), &schedule([1, 2, 3]));
    let (slice, other) = (at(10, 0, 0), at(10, 0, 1));
    tally.watch(slice, Hash::ZERO, 0);
    tally.confirm(slice, 1);
    tally.confirm(other, 2);
    tally.new_schedule(Slot(10), &schedule([4, 5, 6]));
    tally.watch(other, Hash::ZERO, 2);
    assert_eq!([slice, other].map(|slice| count(&tally, slice)), [(0, 0), (0, 0)]);
    for index in 0..3 {
        tally.confirm(slice, index);
    }
    assert_eq!(count(&tally, slice), (3, 45));
}

#[test]
fn too_many_producers_without_finality_start_it_over() {
    let mut tally = Tally::new(&schedule(0..100), Some(1));
    let first = at(1, 0, 0);
    tally.watch(first, Hash::ZERO, 0);
    tally.new_schedule(Slot(10), &schedule(100..200));
    assert_eq!(count(&tally, first), (0, 0));
    tally.confirm(at(15, 0, 0), 3);
    tally.new_schedule(Slot(20), &schedule(200..300));
    assert_eq!((tally.watched_count(), tally.roster.len(), tally.terms.len()), (0, 100, 1));
    assert_eq!((tally.counters().slices_dropped, tally.counters().early_dropped), (1, 1));
    let later = at(20, 0, 0);
    tally.watch(first, Hash::ZERO, 0);
    tally.watch(later, first.id, 0);
    tally.confirm(later, 99);
    assert_eq!((tally.status(&first.id), count(&tally, later)), (None, (1, 10 + 299)));
}

#[test]
fn schedules_are_bounded_and_equal_ones_cost_nothing() {
    let mut tally = Tally::new(&schedule(0..4), Some(1));
    let first = at(0, 0, 0);
    tally.watch(first, Hash::ZERO, 0);
    for slot in 1..=2 * TALLY_SCHEDULES_MAX as u64 {
        tally.new_schedule(Slot(slot), &schedule(0..4));
    }
    assert_eq!(tally.terms.len(), 1);
    let turned = |slot: u64| schedule((0..4).map(|index| (index + slot as usize) % 4));
    for slot in 1..TALLY_SCHEDULES_MAX as u64 {
        tally.new_schedule(Slot(slot), &turned(slot));
    }
    assert!(tally.status(&first.id).is_some());
    tally.new_schedule(Slot(TALLY_SCHEDULES_MAX as u64), &turned(TALLY_SCHEDULES_MAX as u64));
    assert_eq!((tally.terms.len(), tally.status(&first.id)), (TALLY_SCHEDULES_MAX, None));
    assert_eq!(tally.counters().slices_dropped, 1);
}

#[test]
fn a_name_twice_in_a_schedule_counts_once() {
    let mut tally = Tally::new(&schedule([0, 1, 1]), Some(2));
    let slice = chain(&mut tally, 1)[0];
    tally.confirm(slice, 1);
    tally.confirm(slice, 2);
    assert_eq!((count(&tally, slice), tally.poll()), ((1, 11), None));
}

#[test]
fn weights_are_held_at_their_largest() {
    let mut heavy = schedule(0..3);
    heavy.producers.iter_mut().for_each(|producer| producer.weight = u64::MAX);
    let mut tally = Tally::new(&heavy, Some(2));
    let slice = chain(&mut tally, 1)[0];
    tally.confirm(slice, 1);
    tally.confirm(slice, 2);
    assert_eq!(tally.poll(), Some(Reached { slice, confirmers: 2, weight: u64::MAX }));
}

/// A slice of a random tree: which one it builds on, how far above it, and whose it is.
#[derive(Clone, Debug)]
struct Leaf {
    parent: prop::sample::Index,
    slots: u64,
    producer: prop::sample::Index,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Watch(usize),
    Confirm(usize, usize),
    Finalise(usize),
}

struct World {
    schedules: [Schedule; 2],
    slices: Vec<SliceRef>,
    parents: Vec<Option<usize>>,
    producers: Vec<usize>,
}

const CHANGE: Slot = Slot(4);

impl World {
    fn new(leaves: &[Leaf]) -> Self {
        let schedules = [schedule([0, 1, 2, 3, 4]), schedule([6, 3, 1, 0, 5, 7])];
        let mut world = Self { schedules, slices: Vec::new(), parents: Vec::new(), producers: Vec::new() };
        for (number, leaf) in leaves.iter().enumerate() {
            let parent = (number > 0).then(|| leaf.parent.index(number));
            let height = match parent.map(|parent| world.slices[parent].height) {
                Some(below) if leaf.slots == 0 => Height { slot: below.slot, index: below.index + 1 },
                Some(below) => Height::new(below.slot.0 + leaf.slots, 0),
                None => Height::new(1, 0),
            };
            world.slices.push(at(height.slot.0, height.index, number as u32));
            world.parents.push(parent);
            world.producers.push(leaf.producer.index(world.scheduled(number).producers.len()));
        }
        world
    }

    fn scheduled(&self, slice: usize) -> &Schedule {
        &self.schedules[usize::from(self.slices[slice].height.slot >= CHANGE)]
    }

    fn descends(&self, mut slice: usize, from: usize) -> bool {
        while slice != from {
            match self.parents[slice] {
                Some(parent) => slice = parent,
                None => return false,
            }
        }
        true
    }

    /// By the rule's words: all confirms of the slice and of its descendants, by name.
    fn count(&self, slice: usize, confirms: &[(usize, usize)]) -> Count {
        let names: BTreeSet<AccountName> = confirms
            .iter()
            .filter(|(target, _)| self.descends(*target, slice))
            .map(|(target, index)| self.scheduled(*target).producers[*index].name)
            .collect();
        let own = &self.scheduled(slice).producers[self.producers[slice]].name;
        let others = self.scheduled(slice).producers.iter().filter(|producer| producer.name != *own);
        let confirmers: Vec<u64> =
            others.filter(|producer| names.contains(&producer.name)).map(|producer| producer.weight).collect();
        Count { confirmers: confirmers.len() as u16, weight: confirmers.iter().sum() }
    }
}

fn worlds() -> impl Strategy<Value = (Vec<Leaf>, Vec<Step>)> {
    let leaf = (any::<prop::sample::Index>(), 0..3_u64, any::<prop::sample::Index>())
        .prop_map(|(parent, slots, producer)| Leaf { parent, slots, producer });
    prop::collection::vec(leaf, 1..24).prop_flat_map(|leaves| {
        let len = leaves.len();
        let confirms = prop::collection::vec((0..len, 0..5_usize), 0..80);
        let finals = prop::collection::vec(0..len, 0..2);
        let steps = (confirms, finals).prop_flat_map(move |(confirms, finals)| {
            let steps: Vec<Step> = (0..len)
                .map(Step::Watch)
                .chain(confirms.into_iter().map(|(target, index)| Step::Confirm(target, index)))
                .chain(finals.into_iter().map(Step::Finalise))
                .collect();
            Just(steps).prop_shuffle()
        });
        (Just(leaves), steps)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_order_gives_the_counts_of_the_rule((leaves, steps) in worlds()) {
        let world = World::new(&leaves);
        let mut tally = Tally::new(&world.schedules[0], Some(2));
        tally.new_schedule(CHANGE, &world.schedules[1]);
        let (mut told, mut confirms, mut floor) = (Vec::new(), Vec::new(), Height::new(0, 0));
        for step in steps {
            match step {
                Step::Watch(slice) => {
                    let parent = world.parents[slice].map_or(Hash::ZERO, |parent| world.slices[parent].id);
                    tally.watch(world.slices[slice], parent, world.producers[slice]);
                }
                Step::Confirm(target, index) => {
                    tally.confirm(world.slices[target], index);
                    confirms.push((target, index));
                }
                Step::Finalise(slice) => {
                    tally.finalised(world.slices[slice]);
                    floor = floor.max(world.slices[slice].height);
                }
            }
            let news: Vec<Reached> = std::iter::from_fn(|| tally.poll()).collect();
            prop_assert!(news.is_sorted_by_key(|reached| reached.slice.height));
            for reached in news {
                let count = tally.status(&reached.slice.id).unwrap();
                prop_assert_eq!((reached.confirmers, reached.weight), (count.confirmers, count.weight));
                told.push(reached.slice);
            }
        }
        for (number, slice) in world.slices.iter().enumerate() {
            if slice.height < floor {
                prop_assert_eq!(tally.status(&slice.id), None);
                continue;
            }
            let expected = world.count(number, &confirms);
            prop_assert_eq!(tally.status(&slice.id), Some(expected), "slice {}", slice);
            let times = told.iter().filter(|told| *told == slice).count();
            prop_assert_eq!(times, usize::from(expected.confirmers >= 2));
        }
    }

    #[test]
    fn a_set_is_what_was_put_into_it(numbers in prop::collection::btree_set(any::<u8>(), 0..40), gone in any::<u8>()) {
        let mut voters = Voters::default();
        for number in &numbers {
            voters.insert(*number);
        }
        prop_assert_eq!(voters.iter().collect::<Vec<_>>(), numbers.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!((voters.len() as usize, voters.is_empty()), (numbers.len(), numbers.is_empty()));
        prop_assert_eq!(voters.contains(gone), numbers.contains(&gone));
        voters.remove(gone);
        prop_assert!(!voters.contains(gone));
        voters.remove_all(voters);
        prop_assert!(voters.is_empty());
    }
}
