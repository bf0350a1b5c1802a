//! Slices, sets of them and links between them, each small enough to be copied.

use std::fmt;

/// Slots that hold slices. The root lies before them.
pub const SLOTS: u8 = 3;
/// Slices that one chain can have in a slot.
pub const SLICES_PER_SLOT_MAX: u8 = 3;
/// Slices that a tree can have, the root included.
pub const SLICES_MAX: usize = 1 + 2 * (SLOTS * SLICES_PER_SLOT_MAX) as usize;

// A set of slices is 32 bits.
const _: () = assert!(SLICES_MAX <= u32::BITS as usize);

/// Which of the two chains a slice belongs to. What both share is counted to fork A.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fork {
    /// The first chain.
    A,
    /// The second chain.
    B,
}

impl Fork {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];
}

/// A slice, named by its place: a fork and a height, which is a slot and an index in it. Slices are ordered by height;
/// of two at one height, that of fork A comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slice(u8);

impl Slice {
    /// Where both chains start: final before anything else exists.
    pub const ROOT: Self = Self(0);

    /// The slice of `fork` at (`slot`, `index`): slots from 1 to [`SLOTS`], indexes from 0.
    pub const fn at(fork: Fork, slot: u8, index: u8) -> Self {
        assert!(1 <= slot && slot <= SLOTS && index < SLICES_PER_SLOT_MAX, "no such height");
        Self(1 + 2 * ((slot - 1) * SLICES_PER_SLOT_MAX + index) + fork as u8)
    }

    /// Its height, (slot, index), as one number: 0 for the root. The model leaves no room between heights, which changes
    /// nothing: rules compare heights and never subtract them.
    pub const fn rank(self) -> u8 {
        self.0.div_ceil(2)
    }

    /// Its slot, 0 for the root.
    pub const fn slot(self) -> u8 {
        self.rank().div_ceil(SLICES_PER_SLOT_MAX)
    }

    /// Its fork. That of the root and of shared slices is A.
    pub const fn fork(self) -> Fork {
        if self.0 == 0 || self.0 % 2 == 1 { Fork::A } else { Fork::B }
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ROOT {
            return out.write_str("root");
        }
        write!(out, "{:?}{}.{}", self.fork(), self.slot(), (self.rank() - 1) % SLICES_PER_SLOT_MAX)
    }
}

/// A set of slices.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Slices(u32);

impl Slices {
    /// No slice.
    pub const NONE: Self = Self(0);
    /// The root alone.
    pub const ROOT: Self = Self::of(Slice::ROOT);

    /// One slice alone.
    pub const fn of(slice: Slice) -> Self {
        Self(1 << slice.0)
    }

    /// Whether `slice` is a member.
    pub const fn contains(self, slice: Slice) -> bool {
        self.0 >> slice.0 & 1 == 1
    }

    /// Whether there is no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every member is one of `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// With `slice`.
    #[must_use]
    pub const fn with(self, slice: Slice) -> Self {
        Self(self.0 | 1 << slice.0)
    }

    /// The members of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members that `other` lacks.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The members that are lower than rank `rank`.
    #[must_use]
    pub const fn below(self, rank: u8) -> Self {
        match rank {
            0 => Self::NONE,
            _ => Self(self.0 & ((1 << (2 * rank - 1)) - 1)),
        }
    }

    /// The members of rank `rank` or higher.
    #[must_use]
    pub const fn from(self, rank: u8) -> Self {
        self.without(self.below(rank))
    }

    /// The first member in the order of slices.
    pub const fn first(self) -> Option<Slice> {
        match self.0 {
            0 => None,
            members => Some(Slice(members.trailing_zeros() as u8)),
        }
    }

    /// The last member in the order of slices.
    pub const fn last(self) -> Option<Slice> {
        match self.0 {
            0 => None,
            members => Some(Slice(members.ilog2() as u8)),
        }
    }

    /// The members in the order of slices.
    pub fn iter(self) -> impl Iterator<Item = Slice> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let first = rest.first()?;
            rest = rest.without(Self::of(first));
            Some(first)
        })
    }
}

impl FromIterator<Slice> for Slices {
    fn from_iter<I: IntoIterator<Item = Slice>>(slices: I) -> Self {
        slices.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Slices {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

/// A set of links source -> target, at most one to each target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Links {
    targets: Slices,
    /// By target; the root where there is no link.
    sources: [u8; SLICES_MAX],
}

impl Links {
    /// The source of the link to `target`.
    pub fn source(self, target: Slice) -> Option<Slice> {
        self.targets.contains(target).then(|| Slice(self.sources[target.0 as usize]))
    }

    /// With the link `source` -> `target`, in place of any other to `target`.
    #[must_use]
    pub fn with(mut self, source: Slice, target: Slice) -> Self {
        self.targets = self.targets.with(target);
        self.sources[target.0 as usize] = source.0;
        self
    }

    /// Where the links lead.
    pub const fn targets(self) -> Slices {
        self.targets
    }

    /// The links to `targets` alone.
    #[must_use]
    pub fn to(mut self, targets: Slices) -> Self {
        for target in self.targets.without(targets).iter() {
            self.sources[target.0 as usize] = Slice::ROOT.0;
        }
        self.targets = self.targets.and(targets);
        self
    }

    /// The links (source, target) in the order of their targets.
    pub fn iter(self) -> impl Iterator<Item = (Slice, Slice)> {
        self.targets.iter().map(move |target| (Slice(self.sources[target.0 as usize]), target))
    }
}

impl FromIterator<(Slice, Slice)> for Links {
    fn from_iter<I: IntoIterator<Item = (Slice, Slice)>>(links: I) -> Self {
        let mut set = Self::default();
        for (source, target) in links {
            set = set.with(source, target);
        }
        set
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_ordered_by_height() {
        let heights = (1..=SLOTS).flat_map(|slot| (0..SLICES_PER_SLOT_MAX).map(move |index| (slot, index)));
        let slices: Vec<Slice> =
            heights.flat_map(|(slot, index)| Fork::ALL.map(|fork| Slice::at(fork, slot, index))).collect();
        assert!(slices.is_sorted() && slices.len() + 1 == SLICES_MAX && slices[0] > Slice::ROOT);
        for pair in slices.chunks(2) {
            assert!(pair[0].rank() == pair[1].rank() && pair[0].slot() == pair[1].slot());
            assert!(pair[0].fork() == Fork::A && pair[1].fork() == Fork::B);
        }
        let slots: Vec<u8> = slices.iter().step_by(2).map(|slice| slice.slot()).collect();
        assert_eq!(slots, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!((Slice::ROOT.rank(), Slice::ROOT.slot()), (0, 0));
    }

    #[test]
    fn a_set_is_cut_at_a_height() {
        let [low, high, other] = [Slice::at(Fork::A, 1, 2), Slice::at(Fork::A, 2, 0), Slice::at(Fork::B, 2, 0)];
        let set: Slices = [Slice::ROOT, low, high, other].into_iter().collect();
        assert_eq!(set.below(high.rank()), Slices::ROOT.with(low));
        assert_eq!(set.from(high.rank()), Slices::of(high).with(other));
        assert_eq!((set.below(0), set.from(0)), (Slices::NONE, set));
        assert_eq!((set.first(), set.last(), Slices::NONE.last()), (Some(Slice::ROOT), Some(other), None));
        assert!(set.iter().eq([Slice::ROOT, low, high, other]));
    }

    #[test]
    fn links_keep_one_source_a_target() {
        let [low, high] = [Slice::at(Fork::B, 1, 0), Slice::at(Fork::B, SLOTS, SLICES_PER_SLOT_MAX - 1)];
        let links: Links = [(low, high), (Slice::ROOT, low)].into_iter().collect();
        assert!(links.iter().eq([(Slice::ROOT, low), (low, high)]));
        assert_eq!((links.source(high), links.source(Slice::ROOT)), (Some(low), None));
        let kept = links.to(Slices::of(low));
        assert_eq!(kept, Links::default().with(Slice::ROOT, low));
    }
}
