//! How one card's terminals are set up, and which of a run's terminals they are.

use core::ops::Range;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::UnixMillis;
use hpb_base::limits::SESSIONS_MAX;
use hpb_types::PublicKey;

use super::pace::Pace;
use crate::workload::{Assignment, Source};

/// Ports of one address that a lane calls from: all but the well-known ones.
const PORTS_PER_ADDRESS: usize = 65_536 - 1_024;

/// How one card's terminals are set up.
#[derive(Clone)]
pub struct TerminalsConfig {
    /// The node's address and port.
    pub node: SocketAddr,
    /// The identity that the node must prove.
    pub node_identity: PublicKey,
    /// The addresses of the card; terminals take turns on them.
    pub addresses: Vec<IpAddr>,
    /// The terminals of this card, by their numbers in the run: see [`share`].
    pub terminals: Range<u32>,
    /// The submissions of the whole run.
    pub source: Source,
    /// Which terminal of the run sends for whom.
    pub assignment: Arc<Assignment>,
    /// How fast.
    pub pace: Pace,
    /// The seed of all keys: see [`party_keys`](super::party_keys) and [`terminal_identity`](super::terminal_identity).
    pub seed: u64,
    /// Wall-clock time at [`Instant::ZERO`](hpb_base::Instant::ZERO): expiries are in block time.
    pub wall_at_zero: UnixMillis,
}

/// Why terminals cannot be set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TerminalsError {
    /// A card without an address.
    #[error("a card of terminals has at least one address")]
    NoAddress,
    /// None, or more than the card has ports for.
    #[error("a card with {addresses} addresses has 1 to {} terminals, not {terminals}", sessions_max(*addresses))]
    Terminals {
        /// Terminals asked for.
        terminals: usize,
        /// Addresses given.
        addresses: usize,
    },
    /// What a transfer may cost is not an amount.
    #[error("the fee of a transfer is above every amount")]
    Fee,
}

/// The part of `terminals` that card `card` of `cards` has: an even cut into runs of consecutive numbers, the first ones
/// longer by one where it does not come out even. Nobody's if there is no such card.
pub fn share(terminals: u32, cards: u32, card: u32) -> Range<u32> {
    if card >= cards {
        return terminals..terminals;
    }
    let (each, longer) = (terminals / cards, terminals % cards);
    let start = card * each + card.min(longer);
    start..start + each + u32::from(card < longer)
}

/// Terminals that a card with so many addresses has room for.
pub(super) fn sessions_max(addresses: usize) -> usize {
    addresses.saturating_mul(PORTS_PER_ADDRESS).min(SESSIONS_MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn shares_are_even_and_whole() {
        for (terminals, cards) in [(10, 3), (10_000, 1), (2, 4), (64_512, 7)] {
            let shares: Vec<Range<u32>> = (0..cards).map(|card| share(terminals, cards, card)).collect();
            assert_eq!((shares[0].start, shares.last().unwrap().end), (0, terminals));
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            let (longest, shortest) = (shares.iter().map(Range::len).max(), shares.iter().map(Range::len).min());
            assert!(longest.unwrap() - shortest.unwrap() <= 1);
        }
        assert!(share(5, 2, 2).is_empty() && share(5, 0, 0).is_empty());
    }
}
