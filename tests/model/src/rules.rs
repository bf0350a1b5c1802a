//! The rules of PROTOCOL.md, each beside the alternative that it was chosen against.
//!
//! [`Rules::PROTOCOL`] are the chain's. An alternative is one field changed: it exists so that a check of the rules can
//! fail.

/// How much weight of a set a certificate needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quorum {
    /// More than two thirds: 3 of 4.
    TwoThirds,
    /// One less: 2 of 4.
    OneLess,
}

/// Which certified link s -> t makes the justified s final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finality {
    /// One within a slot, every index from s to t justified.
    DenseInSlot,
    /// One within a slot, whatever lies between.
    SparseInSlot,
    /// One to any slot, all slices of the chain from s to t justified.
    AcrossSlots,
}

/// Whose weight a certificate needs for a slice of the new epoch, until one is final on its chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overlap {
    /// Both sets'.
    BothSets,
    /// The new set's alone.
    NewSetAlone,
}

/// Whose weights judge a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weights {
    /// Those of its target's epoch.
    OfTarget,
    /// Those of the newest epoch that has a slice.
    OfNewest,
}

/// What a producer remembers of its last confirm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watermark {
    /// Target and source: the target rises, the source does not fall, so no confirm surrounds another.
    TargetAndSource,
    /// The target alone.
    Target,
}

/// How many confirms a producer signs at one height.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PerHeight {
    /// One.
    One,
    /// One a slice.
    Any,
}

/// What a producer compares when it asks whether a slice is higher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heights {
    /// (slot, index).
    SlotAndIndex,
    /// The slices below it.
    Depth,
}

/// Where a confirm's source comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The target carries it.
    Carried,
    /// The producer's own view: the highest justified slice of the target's chain that it has heard of. News of a
    /// certificate reaches every second producer one slice later than the others.
    OwnView,
}

/// What a model goes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The weight that a certificate needs.
    pub quorum: Quorum,
    /// The links that make final.
    pub finality: Finality,
    /// The sets that a certificate needs after a change.
    pub overlap: Overlap,
    /// The epoch whose weights count.
    pub weights: Weights,
    /// What a producer remembers.
    pub watermark: Watermark,
    /// What a producer signs at one height.
    pub per_height: PerHeight,
    /// What a producer calls higher.
    pub heights: Heights,
    /// What a producer names as source.
    pub source: Source,
}

impl Rules {
    /// The chain's own.
    pub const PROTOCOL: Self = Self {
        quorum: Quorum::TwoThirds,
        finality: Finality::DenseInSlot,
        overlap: Overlap::BothSets,
        weights: Weights::OfTarget,
        watermark: Watermark::TargetAndSource,
        per_height: PerHeight::One,
        heights: Heights::SlotAndIndex,
        source: Source::Carried,
    };
}
