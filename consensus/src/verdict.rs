//! What execution said of a slice.

/// The state of a slice between its arrival and its vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing yet.
    Unknown,
    /// It matches, but an ancestor's result is missing.
    Matched,
    /// It and all its ancestors match.
    Settled,
    /// It or an ancestor does not match.
    Invalid,
}
