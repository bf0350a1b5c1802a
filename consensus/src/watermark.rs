//! What a producer must remember before it speaks (PROTOCOL.md, "Watermark"). How it is written down is the host's work:
//! twice, checksummed, under one data sync with the slice.

use hpb_types::SliceRef;

/// The last confirm's source and target. Both only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watermark {
    /// The last source.
    pub source: SliceRef,
    /// The last target.
    pub target: SliceRef,
}

/// What a producer knows of its own past when its engine starts. `M` is [`Engine::Mark`](crate::Engine::Mark).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory<M = Watermark> {
    /// This identity never signed on this chain: the host knows, because it has just created it. An empty folder alone
    /// is no such knowledge. The host writes [`Watermark::first`] before it starts the engine, so that a stop before the
    /// first confirm is not taken for a loss.
    Never,
    /// It confirmed up to here.
    Known(M),
    /// The record is absent or unreadable: it may have confirmed anything up to now.
    Lost,
}

impl Watermark {
    /// The watermark of an identity that confirmed nothing on the chain of this genesis slice.
    pub const fn first(genesis: SliceRef) -> Self {
        Self { source: genesis, target: genesis }
    }
}
