//! What the future of a state depends on: far less than what was signed.

use crate::model::{BOUNDARY_SLOT, FixedBy, Model, State};
use crate::producers::{HONEST_MAX, Set};
use crate::slice::{Fork, Links, SLICES_PER_SLOT_MAX, SLOTS, Slice, Slices};

/// Two states of a model with one class can do the same, but for the names of producers that are alike, and come to
/// states with one class again: whoever has seen one has seen both.
///
/// Exact under the protocol's rules, in the order by height; a test compares the futures of all states of smaller trees.
/// Under an alternative it may merge too much, which can hide a counterexample and never make one up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Class {
    /// What the last slice of each chain carries, since the next one may not carry less; and the links within a slot
    /// that can still be part of an awaited proof.
    carried: Links,
    /// Which of the last slices need the old set.
    needs_old: Slices,
    /// Which of the last slices need the new set.
    needs_new: Slices,
    /// Justified slices that a coming slice can carry or that lie above one: all that a coming link can start at, or run
    /// over.
    usable: Slices,
    /// By fork: the justified slices whose certificates lie in the chain, of the epoch in which a proof is awaited.
    shown: [Slices; 2],
    finals: Slices,
    undone: bool,
    /// In ascending order, since producers that are alike can be exchanged.
    marks: [Mark; HONEST_MAX],
}

/// What binds an honest producer, in one number, since millions of them are sorted and hashed. From its low end: a bit for
/// each fork whose newest slice it has confirmed (lower heights are over), 4 bits for the rank of the lowest source that
/// its last one still lets it name, 2 for how late it hears, and one for each set that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
struct Mark(u16);

const _: () = assert!(SLOTS * SLICES_PER_SLOT_MAX < 1 << 4);

impl Model {
    /// The class of `state`.
    pub fn class(&self, state: &State) -> Class {
        let (mut tips, mut usable, mut awaited) = (Slices::NONE, Slices::NONE, Slices::NONE);
        let mut shown = [Slices::NONE; 2];
        for fork in Fork::ALL {
            let chain = self.tree.chain(fork);
            let Some(tip) = chain.and(state.created()).last() else { continue };
            let least = state.carried.source(tip).map_or(0, Slice::rank);
            let epoch = chain.and(self.epoch_of_awaited_proof(state, tip));
            tips = tips.with(tip);
            usable = usable.or(chain.and(state.justified).from(least));
            awaited = awaited.or(epoch);
            shown[fork as usize] =
                chain.iter().filter_map(|slice| state.carried.source(slice)).collect::<Slices>().and(epoch);
        }
        let is_in_slot =
            |target: &Slice| state.carried.source(*target).is_some_and(|source| source.slot() == target.slot());
        let provable = awaited.and(usable.or(shown[0]).or(shown[1])).iter().filter(is_in_slot).collect();
        Class {
            carried: state.carried.to(tips.or(provable)),
            needs_old: state.needs_old.and(tips),
            needs_new: state.needs_new.and(tips),
            usable,
            shown,
            finals: state.finals,
            undone: state.undone,
            marks: self.marks(state, usable),
        }
    }

    /// The slices of the epoch in which certificates inside the chain up to `tip` may yet prove something that the needed
    /// sets depend on: none if it is proven, or nothing depends on it.
    fn epoch_of_awaited_proof(&self, state: &State, tip: Slice) -> Slices {
        let boundary = Slice::at(Fork::A, BOUNDARY_SLOT + 1, 0).rank();
        let slices = self.tree.slices();
        if tip.slot() > BOUNDARY_SLOT {
            let is_open = state.needs_old.and(state.needs_new).contains(tip);
            return if is_open { slices.from(boundary) } else { Slices::NONE };
        }
        match self.fixed_by {
            FixedBy::Root => Slices::NONE,
            FixedBy::FirstSlice => slices.below(boundary),
        }
    }

    fn marks(&self, state: &State, usable: Slices) -> [Mark; HONEST_MAX] {
        let newest = state.created().last().map_or(0, Slice::rank);
        let mut marks = [Mark::default(); HONEST_MAX];
        for (producer, mark) in marks.iter_mut().enumerate().take(self.producers.honest()) {
            let confirms = state.confirms[producer];
            let last_source = confirms.iter().map(|(source, _)| source.rank()).max().unwrap_or(0);
            let source_rank = usable.from(last_source).first().map_or(newest, Slice::rank);
            let belongs = |set| u16::from(self.producers.members(set).contains(&producer));
            let of_newest = confirms.targets().from(newest);
            mark.0 = of_newest.iter().fold(0, |bits, target| bits | 1 << target.fork() as u16)
                | u16::from(source_rank) << 2
                | u16::from(self.lag(producer)) << 6
                | belongs(Set::Old) << 8
                | belongs(Set::New) << 9;
        }
        marks.sort_unstable();
        marks
    }
}
