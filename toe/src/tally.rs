//! Counts the confirms of each slice, so that a user hears "confirmed" before the block exists (white paper 3.1.5, steps
//! 2, 4 and 5; PROTOCOL.md, "What a user is told").
//!
//! Here a confirm counts for its target's ancestors too, and never for a slice of its own producer. For that reason
//! nothing here may justify a slice: certificates are consensus' business, and what is told here can be retracted.
//! Confirms come verified; their order, their repetition and what slices claim of their parents are trusted in nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hpb_base::limits::{
    DIGEST_SLICES_MAX, PRODUCERS_MAX, TALLY_EARLY_MAX, TALLY_PRODUCERS_MAX, TALLY_SCHEDULES_MAX, TALLY_TARGETS_MAX,
};
use hpb_types::{AccountName, Hash, Height, Schedule, SliceRef, SliceStatus, Slot};

/// A producer's number is a byte.
const NUMBERS: usize = TALLY_PRODUCERS_MAX;
const _: () = assert!(PRODUCERS_MAX <= NUMBERS && NUMBERS <= 1 << u8::BITS);

/// The confirmation counter of one card. A machine: inputs are calls, outputs come by [`poll`](Tally::poll), and time
/// plays no part.
pub struct Tally {
    /// What the caller set; `None`: floor(n/3)+1 of each schedule.
    threshold: Option<u16>,
    /// By the first slot that it holds for. Every slot from the floor on has one.
    terms: BTreeMap<Slot, Term>,
    /// One number for a producer's name, whatever its index in each schedule.
    roster: BTreeMap<AccountName, u8>,
    slices: BTreeMap<Hash, Watched>,
    order: BTreeSet<SliceRef>,
    /// (parent, child) of each watched slice, whether or not the parent is watched.
    links: BTreeSet<(Hash, Hash)>,
    early: BTreeMap<SliceRef, Voters>,
    /// The same by producer's number, so that none crowds out another.
    early_of: Vec<BTreeSet<SliceRef>>,
    /// Nothing below is watched any more.
    floor: SliceRef,
    reached: VecDeque<Reached>,
    counters: TallyCounters,
}

/// A slice that reached the threshold, told once. It can still be retracted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reached {
    /// The slice.
    pub slice: SliceRef,
    /// Distinct scheduled producers, other than its own, that confirmed it or a descendant: at least the threshold.
    pub confirmers: u16,
    /// Their weight together.
    pub weight: u64,
}

/// How many confirmed a slice or a descendant of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Distinct producers of the slice's schedule, other than its own.
    pub confirmers: u16,
    /// Their weight in that schedule together, held at 2^64 - 1.
    pub weight: u64,
}

/// What a tally took, and what it did not take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TallyCounters {
    /// Slices watched.
    pub watched: u64,
    /// Confirms that told something new, now or when their slice came.
    pub counted: u64,
    /// Slices watched before, and confirms that changed nothing: said before, or by a confirm of a descendant.
    pub repeated: u64,
    /// Slices and confirms below what is final or was dropped.
    pub stale: u64,
    /// Slices and confirms of an index that the schedule of their slot does not have.
    pub unknown_producers: u64,
    /// Confirms that name a watched slice at another height, and slices whose parent, watched before, is not below them.
    pub misplaced: u64,
    /// Slices dropped because too many were watched, the oldest first.
    pub slices_dropped: u64,
    /// Confirms dropped because too many of their producer waited for their slices, the oldest first.
    pub early_dropped: u64,
    /// Outputs dropped because nobody polled, the oldest first.
    pub outputs_dropped: u64,
}

/// One schedule, as numbers of the roster.
#[derive(PartialEq, Eq)]
struct Term {
    /// By index in the schedule.
    producers: Vec<u8>,
    /// By number; `None` for those who are not scheduled.
    weights: Vec<Option<u64>>,
    threshold: u16,
}

struct Watched {
    reference: SliceRef,
    parent: Hash,
    producer: u8,
    /// Who confirmed it or a descendant, its own producer and strangers to its schedule included: a superset of each
    /// child's, so that a walk upward ends at the first slice that knows them all.
    voters: Voters,
    count: Count,
    told: bool,
}

impl Tally {
    /// Counts confirms by the producers of `schedule` (1 to [`PRODUCERS_MAX`]). A slice is told at `threshold` confirmers
    /// (at least 1), by default at floor(n/3)+1 of the n producers of its schedule; one that more than all others would
    /// have to confirm is never told.
    pub fn new(schedule: &Schedule, threshold: Option<u16>) -> Self {
        let mut tally = Self {
            threshold,
            terms: BTreeMap::new(),
            roster: BTreeMap::new(),
            slices: BTreeMap::new(),
            order: BTreeSet::new(),
            links: BTreeSet::new(),
            early: BTreeMap::new(),
            early_of: vec![BTreeSet::new(); NUMBERS],
            floor: start_of(Slot(0)),
            reached: VecDeque::new(),
            counters: TallyCounters::default(),
        };
        tally.new_schedule(Slot(0), schedule);
        tally
    }

    /// From slot `from` on, the producers are those of `schedule`, whatever was said before for these slots. Counts of
    /// slices already watched there are made anew; a slice that was told is not told again. Slices before `from` keep
    /// their schedule, and a confirm of a later slice counts for them if its producer, by name, is scheduled there too.
    pub fn new_schedule(&mut self, from: Slot, schedule: &Schedule) {
        assert!((1..=PRODUCERS_MAX).contains(&schedule.producers.len()), "schedules are bounded where they are made");
        self.terms.split_off(&from);
        let numbers = self.enrol(from, schedule);
        let mut weights = vec![None; NUMBERS];
        for (number, producer) in numbers.iter().zip(&schedule.producers) {
            weights[usize::from(*number)].get_or_insert(producer.weight);
        }
        let third = schedule.producers.len() / 3 + 1;
        let threshold = self.threshold.unwrap_or(third as u16).max(1);
        let term = Term { producers: numbers, weights, threshold };
        if self.terms.values().next_back() != Some(&term) {
            self.terms.insert(from, term);
        }
        if self.terms.len() > TALLY_SCHEDULES_MAX
            && let Some(next) = self.terms.keys().nth(1).copied()
        {
            let before = self.order.len();
            self.raise_floor(start_of(next));
            self.counters.slices_dropped += (before - self.order.len()) as u64;
        }
        self.recount(from);
    }

    /// A slice is known, in any order with its ancestors and its confirms. `producer_index` is its producer's in the
    /// schedule of its slot.
    pub fn watch(&mut self, reference: SliceRef, parent: Hash, producer_index: usize) {
        if reference < self.floor {
            self.counters.stale += 1;
            return;
        }
        let Some(producer) = self.number(reference.height.slot, producer_index) else {
            self.counters.unknown_producers += 1;
            return;
        };
        if self.slices.contains_key(&reference.id) {
            self.counters.repeated += 1;
            return;
        }
        if !self.make_room(reference) {
            return;
        }
        self.counters.watched += 1;
        let misplaced = self.slices.get(&parent).is_some_and(|above| above.reference.height >= reference.height);
        self.counters.misplaced += u64::from(misplaced);
        let watched =
            Watched { reference, parent, producer, voters: Voters::default(), count: Count::default(), told: false };
        self.slices.insert(reference.id, watched);
        self.order.insert(reference);
        self.links.insert((parent, reference.id));
        let mut voters = self.take_early(reference);
        self.counters.counted += u64::from(voters.len());
        voters.insert_all(self.voters_of_children(reference));
        self.count_upward(reference.id, voters);
    }

    /// A producer confirmed `target`, whether or not the slice is known yet. The signature was verified, for the epoch of
    /// the target's slot; `producer_index` is the producer's in the schedule of that slot.
    pub fn confirm(&mut self, target: SliceRef, producer_index: usize) {
        if target < self.floor {
            self.counters.stale += 1;
            return;
        }
        let Some(number) = self.number(target.height.slot, producer_index) else {
            self.counters.unknown_producers += 1;
            return;
        };
        match self.slices.get(&target.id) {
            None => self.hold(target, number),
            Some(watched) if watched.reference != target => self.counters.misplaced += 1,
            Some(watched) if watched.voters.contains(number) => self.counters.repeated += 1,
            Some(_) => {
                self.counters.counted += 1;
                self.count_upward(target.id, Voters::one(number));
            }
        }
    }

    /// All below `reference` is settled: forgets what lies at lower heights. Who still has counts of newly final slices
    /// to tell calls this after.
    pub fn finalised(&mut self, reference: SliceRef) {
        self.raise_floor(SliceRef { height: reference.height, id: Hash::ZERO });
    }

    /// The next slice that reached the threshold. Of those that one input took over it, the oldest comes first.
    pub fn poll(&mut self) -> Option<Reached> {
        self.reached.pop_front()
    }

    /// How many confirmed the slice `id`; `None` if it is not watched.
    pub fn status(&self, id: &Hash) -> Option<Count> {
        self.slices.get(id).map(|watched| watched.count)
    }

    /// The newest `count` watched slices of all branches (at most [`DIGEST_SLICES_MAX`]), ascending by height as a digest
    /// lists them. Flags are 0: what is justified or final, the caller knows.
    pub fn recent(&self, count: usize) -> impl Iterator<Item = SliceStatus> + use<> {
        let newest = self.order.iter().rev().take(count.min(DIGEST_SLICES_MAX));
        let newest: Vec<_> = newest.filter_map(|reference| self.slices.get(&reference.id)).map(status_of).collect();
        newest.into_iter().rev()
    }

    /// What happened so far.
    pub fn counters(&self) -> &TallyCounters {
        &self.counters
    }

    /// Slices that are watched, at most [`TALLY_TARGETS_MAX`].
    pub fn watched_count(&self) -> usize {
        self.order.len()
    }

    fn number(&self, slot: Slot, producer_index: usize) -> Option<u8> {
        term_of(&self.terms, slot)?.producers.get(producer_index).copied()
    }

    /// Adds `voters` to a slice and its ancestors. Each step but the last adds at least one voter to a slice, which
    /// happens once: all walks together are as long as what they count. Heights fall from step to step, so that a circle
    /// of parents ends a walk.
    fn count_upward(&mut self, from: Hash, voters: Voters) {
        let (mut id, mut fresh, mut below) = (from, voters, None);
        let mut reached = Vec::new();
        while let Some(watched) = self.slices.get_mut(&id) {
            let height = watched.reference.height;
            fresh.remove_all(watched.voters);
            if below.is_some_and(|below| height >= below) || fresh.is_empty() {
                break;
            }
            watched.voters.insert_all(fresh);
            if let Some(term) = term_of(&self.terms, height.slot) {
                watched.count.add(term.count(fresh, watched.producer));
                reached.extend(watched.tell(term.threshold));
            }
            (id, below) = (watched.parent, Some(height));
        }
        for told in reached.into_iter().rev() {
            self.put_out(told);
        }
    }

    fn voters_of_children(&self, parent: SliceRef) -> Voters {
        let children = self.links.range((parent.id, Hash::ZERO)..=(parent.id, Hash([u8::MAX; 32])));
        children
            .filter_map(|(_, child)| self.slices.get(child))
            .filter(|child| child.reference.height > parent.height)
            .fold(Voters::default(), |mut all, child| {
                all.insert_all(child.voters);
                all
            })
    }

    fn put_out(&mut self, reached: Reached) {
        if self.reached.len() >= TALLY_TARGETS_MAX {
            self.reached.pop_front();
            self.counters.outputs_dropped += 1;
        }
        self.reached.push_back(reached);
    }

    /// Whether the table has room for `reference`, for which the oldest slice may have to go; none is older than itself.
    fn make_room(&mut self, reference: SliceRef) -> bool {
        if self.order.len() < TALLY_TARGETS_MAX {
            return true;
        }
        self.counters.slices_dropped += 1;
        if self.order.first().is_some_and(|oldest| reference < *oldest) {
            return false;
        }
        // The floor rises with it: the one that goes could come back else, and be told twice.
        let next = self.order.iter().nth(1).map_or(reference, |next| reference.min(*next));
        self.raise_floor(next);
        true
    }

    fn hold(&mut self, target: SliceRef, number: u8) {
        let mine = &mut self.early_of[usize::from(number)];
        if !mine.insert(target) {
            self.counters.repeated += 1;
            return;
        }
        self.early.entry(target).or_default().insert(number);
        if mine.len() > TALLY_EARLY_MAX
            && let Some(oldest) = mine.pop_first()
        {
            self.counters.early_dropped += 1;
            if let Some(voters) = self.early.get_mut(&oldest) {
                voters.remove(number);
                if voters.is_empty() {
                    self.early.remove(&oldest);
                }
            }
        }
    }

    fn take_early(&mut self, target: SliceRef) -> Voters {
        let voters = self.early.remove(&target).unwrap_or_default();
        for number in voters.iter() {
            self.early_of[usize::from(number)].remove(&target);
        }
        voters
    }

    fn raise_floor(&mut self, floor: SliceRef) {
        self.floor = self.floor.max(floor);
        while let Some(oldest) = self.order.first().copied().filter(|oldest| *oldest < self.floor) {
            self.order.remove(&oldest);
            if let Some(watched) = self.slices.remove(&oldest.id) {
                self.links.remove(&(watched.parent, oldest.id));
            }
        }
        while let Some(oldest) = self.early.keys().next().copied().filter(|oldest| *oldest < self.floor) {
            self.take_early(oldest);
        }
        while self.terms.keys().nth(1).is_some_and(|next| *next <= self.floor.height.slot) {
            self.terms.pop_first();
        }
    }

    /// The numbers of the producers of `schedule`, in its order; those without one are given one that is free.
    fn enrol(&mut self, from: Slot, schedule: &Schedule) -> Vec<u8> {
        let mut used = self.used_numbers();
        self.roster.retain(|_, number| used.contains(*number));
        let names: BTreeSet<AccountName> = schedule.producers.iter().map(|producer| producer.name).collect();
        let strangers = names.iter().filter(|name| !self.roster.contains_key(*name)).count();
        if self.roster.len() + strangers > TALLY_PRODUCERS_MAX {
            // A schedule changes only after finality (PROTOCOL.md, "Changing the producers"), which frees the numbers of
            // those before it: this many were never in force over one unfinal span.
            self.start_over(from);
            used = Voters::default();
        }
        let mut free = (0..=u8::MAX).filter(|number| !used.contains(*number));
        for name in names {
            if !self.roster.contains_key(&name) {
                self.roster.extend(free.next().map(|number| (name, number)));
            }
        }
        schedule.producers.iter().filter_map(|producer| self.roster.get(&producer.name).copied()).collect()
    }

    fn used_numbers(&self) -> Voters {
        let mut used = Voters::default();
        self.terms.values().flat_map(|term| &term.producers).for_each(|number| used.insert(*number));
        self.early.values().for_each(|voters| used.insert_all(*voters));
        for watched in self.slices.values() {
            used.insert_all(watched.voters);
            used.insert(watched.producer);
        }
        used
    }

    fn start_over(&mut self, from: Slot) {
        self.counters.slices_dropped += self.order.len() as u64;
        self.counters.early_dropped += self.early.values().map(|voters| u64::from(voters.len())).sum::<u64>();
        self.terms.clear();
        self.roster.clear();
        self.slices.clear();
        self.order.clear();
        self.links.clear();
        self.early.clear();
        self.early_of.iter_mut().for_each(BTreeSet::clear);
        self.floor = self.floor.max(start_of(from));
    }

    fn recount(&mut self, from: Slot) {
        let affected: Vec<SliceRef> = self.order.range(start_of(from)..).copied().collect();
        for reference in affected {
            let Some(watched) = self.slices.get_mut(&reference.id) else { continue };
            let Some(term) = term_of(&self.terms, reference.height.slot) else { continue };
            watched.count = term.count(watched.voters, watched.producer);
            if let Some(reached) = watched.tell(term.threshold) {
                self.put_out(reached);
            }
        }
    }
}

impl Term {
    /// How many of `voters` count for a slice of `producer`.
    fn count(&self, voters: Voters, producer: u8) -> Count {
        let others = voters.iter().filter(|number| *number != producer);
        others.filter_map(|number| self.weights[usize::from(number)]).fold(Count::default(), |mut sum, weight| {
            sum.add(Count { confirmers: 1, weight });
            sum
        })
    }
}

impl Watched {
    /// What to say of it, if it has reached the threshold and nothing was said.
    fn tell(&mut self, threshold: u16) -> Option<Reached> {
        if self.told || self.count.confirmers < threshold {
            return None;
        }
        self.told = true;
        let Count { confirmers, weight } = self.count;
        Some(Reached { slice: self.reference, confirmers, weight })
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.confirmers += other.confirmers;
        self.weight = self.weight.saturating_add(other.weight);
    }
}

/// A set of producers by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Voters([u64; NUMBERS.div_ceil(64)]);

impl Voters {
    fn one(number: u8) -> Self {
        let mut voters = Self::default();
        voters.insert(number);
        voters
    }

    fn insert(&mut self, number: u8) {
        self.0[usize::from(number / 64)] |= 1 << (number % 64);
    }

    fn remove(&mut self, number: u8) {
        self.0[usize::from(number / 64)] &= !(1 << (number % 64));
    }

    fn contains(&self, number: u8) -> bool {
        self.0[usize::from(number / 64)] & 1 << (number % 64) != 0
    }

    fn insert_all(&mut self, others: Self) {
        self.0.iter_mut().zip(others.0).for_each(|(word, other)| *word |= other);
    }

    fn remove_all(&mut self, others: Self) {
        self.0.iter_mut().zip(others.0).for_each(|(word, other)| *word &= !other);
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The numbers, ascending.
    fn iter(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().enumerate().flat_map(|(place, word)| {
            std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|rest| *rest != 0)
                .map(move |rest| (64 * place) as u8 + rest.trailing_zeros() as u8)
        })
    }
}

fn term_of(terms: &BTreeMap<Slot, Term>, slot: Slot) -> Option<&Term> {
    terms.range(..=slot).next_back().map(|(_, term)| term)
}

fn start_of(slot: Slot) -> SliceRef {
    SliceRef { height: Height { slot, index: 0 }, id: Hash::ZERO }
}

fn status_of(watched: &Watched) -> SliceStatus {
    let Count { confirmers, weight } = watched.count;
    SliceStatus { reference: watched.reference, confirmers, weight, flags: 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
