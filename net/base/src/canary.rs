//! Deliberate bugs, each of which the simulator must find: they show that its checkers can fail.
//!
//! They exist only where the feature `canary` is on, which nothing but the simulator's own build asks for; elsewhere
//! [`is`] is a constant and what asks it is compiled away.

/// A deliberate bug.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Canary {
    /// One confirm fewer than more than two thirds makes a certificate.
    QuorumOffByOne,
    /// A confirm leaves before the data sync that covers its watermark.
    WatermarkNotSynced,
    /// A confirm names the source that its voter knows, not the one that its target carries.
    SourceFromLocalView,
    /// A justified source is final by any certified link from it, whatever lies between.
    FinalityAcrossGap,
    /// After a change of the producers the new ones alone make certificates at once.
    OldQuorumSkipped,
    /// The id of a transaction is forgotten before it expires.
    DuplicateWindowTooShort,
    /// Evidence is taken, and nothing follows.
    EvidenceIgnored,
}

#[cfg(not(feature = "canary"))]
/// Whether this bug is on: never, in a build without them.
#[inline]
pub const fn is(_: Canary) -> bool {
    false
}

#[cfg(feature = "canary")]
pub use on::{is, set};

#[cfg(feature = "canary")]
mod on {
    use std::cell::Cell;

    use super::Canary;

    thread_local! {
        static ON: Cell<Option<Canary>> = const { Cell::new(None) };
    }

    /// Whether this bug is on in this thread.
    pub fn is(canary: Canary) -> bool {
        ON.get() == Some(canary)
    }

    /// Turns one bug, or none, on in this thread.
    pub fn set(canary: Option<Canary>) {
        ON.set(canary);
    }
}
