//! What proves that a producer broke a rule (PROTOCOL.md, "Evidence").
//!
//! Found here, judged elsewhere. Compared by body, never by signature: Ed25519 lets a signer sign one body in many ways.

use hpb_types::{AccountName, Confirm, SliceRef};

/// Two signed words of one producer that no honest one signs together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// Two slices with one (slot, index). The host keeps the slices themselves.
    TwoSlices {
        /// Who made them.
        producer: AccountName,
        /// The one that came first here.
        first: SliceRef,
        /// The other.
        second: SliceRef,
    },
    /// Two confirms at one height.
    TwoConfirms {
        /// The one that came first here.
        first: Box<Confirm>,
        /// The other.
        second: Box<Confirm>,
    },
    /// A confirm whose link surrounds another's: a lower source and a higher target.
    Surround {
        /// The longer link.
        outer: Box<Confirm>,
        /// The link within it.
        inner: Box<Confirm>,
    },
}

/// The kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// Two slices with one (slot, index).
    TwoSlices,
    /// Two confirms at one height.
    TwoConfirms,
    /// A confirm that surrounds another.
    Surround,
}

impl Evidence {
    /// What kind of fault it proves.
    pub fn fault(&self) -> Fault {
        match self {
            Self::TwoSlices { .. } => Fault::TwoSlices,
            Self::TwoConfirms { .. } => Fault::TwoConfirms,
            Self::Surround { .. } => Fault::Surround,
        }
    }

    /// Who broke the rule.
    pub fn producer(&self) -> AccountName {
        match self {
            Self::TwoSlices { producer, .. } => *producer,
            Self::TwoConfirms { first, .. } => first.body.producer,
            Self::Surround { outer, .. } => outer.body.producer,
        }
    }
}
