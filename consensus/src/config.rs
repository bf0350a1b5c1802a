//! What an engine is started with, but for its past.

use hpb_base::{Duration, UnixMillis};
use hpb_types::{AccountName, ChainId, Genesis, Height, SliceRef};

/// What an engine is started with, but for its past.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain.
    pub chain: ChainId,
    /// The start of slot 0.
    pub genesis_time: UnixMillis,
    /// A slot's length.
    pub slot: Duration,
    /// The time between two slices.
    pub slice: Duration,
    /// Delta: the bound on the one-way delay between producers in good times.
    pub delta: Duration,
    /// How far honest clocks may be apart.
    pub clock_bound: Duration,
    /// The time between two requests for one slice.
    pub request_retry: Duration,
    /// Which producer this node is; none for an observer.
    pub producer: Option<AccountName>,
    /// Whether a producer sends nothing in its slot while there are no transactions to include and all that were are
    /// final. Its slots then count as skipped.
    pub silent_when_idle: bool,
    /// A slice that the operator knows to be final, by another way than the chain's own word: no chain without it is
    /// taken.
    pub checkpoint: Option<SliceRef>,
    /// The wall clock at the driver's [`Instant::ZERO`](hpb_base::Instant::ZERO).
    pub wall_at_zero: UnixMillis,
}

impl Config {
    /// The genesis' own figures. Clocks may be Delta apart, and a request is repeated after four times Delta: a round
    /// trip and as much again.
    pub fn new(genesis: &Genesis, producer: Option<AccountName>, wall_at_zero: UnixMillis) -> Self {
        let delta = Duration::from_millis(genesis.delta_ms.into());
        Self {
            chain: genesis.chain_id(),
            genesis_time: UnixMillis(genesis.time_ms),
            slot: Duration::from_millis(genesis.slot_ms.into()),
            slice: Duration::from_millis(genesis.slice_ms.into()),
            delta,
            clock_bound: delta,
            request_retry: delta.saturating_mul(4),
            producer,
            silent_when_idle: false,
            checkpoint: None,
            wall_at_zero,
        }
    }

    /// Whether `slice` on a parent of height `parent` passes the checkpoint's height by another slice, or by none. All that
    /// follows builds on such a one, so it is enough to refuse these.
    pub(crate) fn contradicts(&self, parent: Height, slice: &SliceRef) -> bool {
        self.checkpoint.is_some_and(|checkpoint| {
            parent < checkpoint.height && slice.height >= checkpoint.height && *slice != checkpoint
        })
    }
}
