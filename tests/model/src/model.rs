//! The model: what can happen next, and what has come of it.

use std::fmt;

use crate::producers::{HONEST_MAX, Producers, SET_LEN, Set};
use crate::rules::{Finality, Heights, Overlap, PerHeight, Quorum, Rules, Source, Watermark, Weights};
use crate::slice::{Links, Slice, Slices};
use crate::tree::Tree;

/// The last slot of the first epoch. The slots after it belong to the second.
pub const BOUNDARY_SLOT: u8 = 1;

/// Which block fixes the new schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FixedBy {
    /// The root, final from the start: the new schedule takes effect on every chain.
    Root,
    /// The first slice: the new schedule takes effect on chains that contain the proof that it is final before the
    /// boundary, and on others the old one stays.
    FirstSlice,
}

/// In which order things happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// In every order.
    Any,
    /// By height: the slices of one height are created, then confirmed, then those of the next. Reaches the same ends as
    /// every order does (see the crate's front).
    ByHeight,
}

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The producer of `slice` fixes what it carries: the certificate of `source`.
    Create {
        /// The slice.
        slice: Slice,
        /// A justified slice of its chain.
        source: Slice,
    },
    /// An honest producer signs source -> target.
    Confirm {
        /// Its number.
        producer: usize,
        /// The link's source.
        source: Slice,
        /// The link's target.
        target: Slice,
    },
}

/// What was created and signed, and what it comes to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// What each created slice carries.
    pub(crate) carried: Links,
    /// What each honest producer has signed.
    pub(crate) confirms: [Links; HONEST_MAX],
    /// Created slices whose certificate needs the old set.
    pub(crate) needs_old: Slices,
    /// Created slices whose certificate needs the new set.
    pub(crate) needs_new: Slices,
    pub(crate) justified: Slices,
    pub(crate) finals: Slices,
    pub(crate) undone: bool,
}

/// A tree, its producers and their rules.
#[derive(Clone, Debug)]
pub struct Model {
    /// The slices that can come to be.
    pub tree: Tree,
    /// Who confirms.
    pub producers: Producers,
    /// What fixes the schedule of the second epoch.
    pub fixed_by: FixedBy,
    /// The rules.
    pub rules: Rules,
    /// The order of steps.
    pub order: Order,
    /// What has happened when the exploration starts, rules or not.
    pub start: Vec<Action>,
}

impl State {
    /// The slices that were created, without the root.
    pub fn created(&self) -> Slices {
        self.carried.targets()
    }

    /// What each created slice carries, as links to it.
    pub fn carried(&self) -> Links {
        self.carried
    }

    /// The slices that a certificate justifies, and the root.
    pub fn justified(&self) -> Slices {
        self.justified
    }

    /// The slices that are final, the root included.
    pub fn finals(&self) -> Slices {
        self.finals
    }

    /// Whether a slice was final once and then was not.
    pub fn is_undone(&self) -> bool {
        self.undone
    }

    /// The created slices whose certificate needs `set`.
    pub fn needs(&self, set: Set) -> Slices {
        match set {
            Set::Old => self.needs_old,
            Set::New => self.needs_new,
        }
    }

    /// Whether an honest producer has signed what proves a fault: two confirms at one height, or a surround.
    pub fn has_fault(&self) -> bool {
        self.confirms.iter().any(|links| {
            links.iter().any(|(source, target)| {
                links.iter().filter(|(_, other)| *other != target).any(|(other_source, other_target)| {
                    other_target.rank() == target.rank()
                        || other_source.rank() < source.rank() && target.rank() < other_target.rank()
                })
            })
        })
    }
}

impl Model {
    /// Where everything starts: the root is final, and what [`start`](Self::start) says has happened.
    pub fn first(&self) -> State {
        let state = State {
            carried: Links::default(),
            confirms: [Links::default(); HONEST_MAX],
            needs_old: Slices::NONE,
            needs_new: Slices::NONE,
            justified: Slices::ROOT,
            finals: Slices::ROOT,
            undone: false,
        };
        self.start.iter().fold(state, |state, action| self.next(&state, *action))
    }

    /// Adds to `actions` all that can happen next.
    pub fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let created = state.created();
        let missing = self.tree.slices().without(created.with(Slice::ROOT));
        let newest = created.last().map_or(0, Slice::rank);
        let (creatable, confirmable) = match self.order {
            Order::Any => (missing, created),
            Order::ByHeight => {
                let next = missing.first();
                let is_whole = next.is_none_or(|next| next.rank() != newest);
                (next.map_or(Slices::NONE, Slices::of), if is_whole { created.from(newest) } else { Slices::NONE })
            }
        };
        for slice in creatable.iter() {
            actions.extend(self.sources(state, slice).iter().map(|source| Action::Create { slice, source }));
        }
        for target in confirmable.iter() {
            actions.extend((0..self.producers.honest()).filter_map(|producer| {
                let source = self.may_confirm(state, producer, target)?;
                Some(Action::Confirm { producer, source, target })
            }));
        }
    }

    /// The state after `action`.
    pub fn next(&self, state: &State, action: Action) -> State {
        let mut next = state.clone();
        match action {
            Action::Create { slice, source } => {
                next.carried = state.carried.with(source, slice);
                self.assign(&mut next, slice);
            }
            Action::Confirm { producer, source, target } => {
                next.confirms[producer] = state.confirms[producer].with(source, target);
            }
        }
        self.judge(&mut next);
        next.undone |= !state.finals.is_subset(next.finals);
        next
    }

    /// Whether two conflicting slices are final.
    pub fn is_torn(&self, state: &State) -> bool {
        self.tree.is_torn(state.finals)
    }

    /// What `slice` may carry now: nothing before its parent is there; then a justified slice of its chain, not lower than
    /// its parent's, whose certificate its producer has seen.
    fn sources(&self, state: &State, slice: Slice) -> Slices {
        let ancestors = self.tree.ancestors(slice);
        let parent = ancestors.last().unwrap_or(Slice::ROOT);
        if parent == Slice::ROOT {
            return Slices::ROOT;
        }
        state.carried.source(parent).map_or(Slices::NONE, |least| ancestors.and(state.justified).from(least.rank()))
    }

    /// The source that honest `producer` may confirm `target` with now, if it may.
    fn may_confirm(&self, state: &State, producer: usize, target: Slice) -> Option<Slice> {
        let counts = |set| self.producers.members(set).contains(&producer);
        let is_asked = state.needs_old.contains(target) && counts(Set::Old)
            || state.needs_new.contains(target) && counts(Set::New);
        let earlier = state.confirms[producer];
        if !is_asked || earlier.source(target).is_some() {
            return None;
        }
        let source = match self.rules.source {
            Source::Carried => state.carried.source(target)?,
            Source::OwnView => {
                let too_new = target.rank() + 1 - self.lag(producer);
                self.tree.ancestors(target).and(state.justified).below(too_new).last().unwrap_or(Slice::ROOT)
            }
        };
        let rises = |last: Slice| match self.rules.per_height {
            PerHeight::One => self.height(target) > self.height(last),
            PerHeight::Any => self.height(target) >= self.height(last),
        };
        let falls = |last: Slice| match self.rules.watermark {
            Watermark::TargetAndSource => self.height(source) < self.height(last),
            Watermark::Target => false,
        };
        let is_allowed = earlier.iter().all(|(last_source, last_target)| rises(last_target) && !falls(last_source));
        is_allowed.then_some(source)
    }

    /// What producers compare.
    fn height(&self, slice: Slice) -> u8 {
        match self.rules.heights {
            Heights::SlotAndIndex => slice.rank(),
            Heights::Depth => self.tree.depth(slice),
        }
    }

    /// How many slices later a certificate is known to `producer`: 1 or 2.
    pub(crate) fn lag(&self, producer: usize) -> u8 {
        match self.rules.source {
            Source::Carried => 1,
            Source::OwnView => 1 + producer as u8 % 2,
        }
    }

    /// Decides which sets the certificate of the new `slice` needs: a function of its chain's content.
    fn assign(&self, state: &mut State, slice: Slice) {
        if self.rules.weights == Weights::OfNewest && slice.slot() > BOUNDARY_SLOT {
            state.needs_old = Slices::NONE;
            state.needs_new = state.created();
            return;
        }
        let (old, new) = self.needed(state.carried, slice);
        if old {
            state.needs_old = state.needs_old.with(slice);
        }
        if new {
            state.needs_new = state.needs_new.with(slice);
        }
    }

    /// Whether the certificate of `slice` needs the old set, and whether it needs the new one.
    fn needed(&self, carried: Links, slice: Slice) -> (bool, bool) {
        let chain = self.tree.chain_to(slice);
        let is_old = |slice: &Slice| slice.slot() <= BOUNDARY_SLOT;
        let before: Slices = chain.iter().filter(is_old).collect();
        if is_old(&slice) || self.fixed_by == FixedBy::FirstSlice && self.proven(carried, before) == Slices::ROOT {
            return (true, false);
        }
        let is_over = self.proven(carried, chain).last().is_some_and(|last| !is_old(&last));
        (self.rules.overlap == Overlap::BothSets && !is_over, true)
    }

    /// The slices that the certificates inside `chain` prove final, the root included.
    fn proven(&self, carried: Links, chain: Slices) -> Slices {
        let justified = chain.iter().filter_map(|slice| carried.source(slice)).fold(Slices::ROOT, Slices::with);
        let links = justified.iter().filter_map(|target| Some((carried.source(target)?, target)));
        self.final_by(links, justified)
    }

    /// Decides anew what is justified and what is final.
    fn judge(&self, state: &mut State) {
        let mut certified = [Links::default(); HONEST_MAX];
        let mut justified = Slices::ROOT;
        let confirmed = state.confirms.iter().fold(Slices::NONE, |targets, links| targets.or(links.targets()));
        for target in confirmed.iter() {
            let mut left: u8 = 0;
            for producer in 0..self.producers.honest() {
                left |= u8::from(state.confirms[producer].source(target).is_some()) << producer;
            }
            // Once for each source that somebody named.
            while left != 0 {
                let first = left.trailing_zeros() as usize;
                let link = state.confirms[first].source(target);
                let signers = (first..self.producers.honest())
                    .filter(|producer| state.confirms[*producer].source(target) == link)
                    .fold(0, |signers, producer| signers | 1 << producer);
                left &= !signers;
                if let Some(source) = link.filter(|_| self.is_certified(state, target, signers)) {
                    certified[first] = certified[first].with(source, target);
                    justified = justified.with(target);
                }
            }
        }
        state.finals = self.final_by(certified.iter().flat_map(|links| links.iter()), justified);
        state.justified = justified;
    }

    /// Whether `signers` of one link to `target`, bits by number, are a quorum of every set that it needs.
    fn is_certified(&self, state: &State, target: Slice, signers: u8) -> bool {
        let enough = match self.rules.quorum {
            Quorum::TwoThirds => 2 * SET_LEN / 3 + 1,
            Quorum::OneLess => 2 * SET_LEN / 3,
        };
        let agrees = |set| self.producers.weight(set, signers) >= enough;
        (!state.needs_old.contains(target) || agrees(Set::Old))
            && (!state.needs_new.contains(target) || agrees(Set::New))
    }

    /// The slices that certified `links` make final where `justified` are justified, with their ancestors.
    fn final_by(&self, links: impl Iterator<Item = (Slice, Slice)>, justified: Slices) -> Slices {
        let makes_final = |(source, target): &(Slice, Slice)| {
            let is_in_slot = source.slot() == target.slot();
            let is_dense = self.tree.run(*source, *target).is_subset(justified);
            justified.contains(*source)
                && match self.rules.finality {
                    Finality::DenseInSlot => is_in_slot && is_dense,
                    Finality::SparseInSlot => is_in_slot,
                    Finality::AcrossSlots => is_dense,
                }
        };
        links.filter(makes_final).fold(Slices::ROOT, |finals, (source, _)| finals.or(self.tree.chain_to(source)))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { slice, source } => write!(out, "{slice:?} carries {source:?}"),
            Self::Confirm { producer, source, target } => write!(out, "{producer} confirms {source:?} -> {target:?}"),
        }
    }
}
