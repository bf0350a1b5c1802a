//! Which queue of a device, and so which lane, a flow belongs to. Card, fanout program and device must agree: a frame
//! in the wrong queue crosses a link between lanes.
//!
//! Pure arithmetic. The keyed hash spreads load so that strangers cannot aim at one queue; it authenticates nothing.

mod toeplitz;

use std::net::{IpAddr, SocketAddr};

use hpb_base::Random;
use hpb_base::limits::PORT_QUEUES_MAX;

pub use toeplitz::{RssKey, toeplitz};

/// The 64-bit words that key the symmetric hash, drawn from the card's secret.
///
/// The hash is chosen for an eBPF program: 64-bit products, shifts, sums and exclusive ors, and no 128-bit product.
/// Each end of a flow is a keyed multilinear sum, mod 2^64, of the four 32-bit words of its address (IPv4 in its
/// mapped form, `::ffff:a.b.c.d`) and its port; both sums are scrambled, added, so that either end may come first, and
/// scrambled again. The high 32 bits, scaled to the number of queues, are the queue. (Multilinear hashing: Lemire and
/// Kaser, "Strongly universal string hashing is fast", 2013.)
#[derive(Clone, PartialEq, Eq)]
pub struct SteerKey {
    /// One a word of the address, first to last. Odd, so that no bit of a word is lost.
    pub(crate) words: [u64; 4],
    /// The port's.
    pub(crate) port: u64,
    /// Where each end's sum starts.
    pub(crate) start: u64,
    /// What joins the two ends' sums.
    pub(crate) join: u64,
}

impl SteerKey {
    /// The key of a card. Each word is the sum, mod 2^64, of four [`Random`] streams, one seeded by each eighth-byte
    /// word of `secret` (little-endian) under a stream number of its own: all 256 bits matter, and equal words do not
    /// cancel out.
    pub fn new(secret: &[u8; 32]) -> Self {
        let (words, _) = secret.as_chunks::<8>();
        let mut streams: Vec<Random> =
            (0..).zip(words).map(|(stream, word)| Random::stream(u64::from_le_bytes(*word), stream)).collect();
        let mut draw = || streams.iter_mut().fold(0_u64, |sum, stream| sum.wrapping_add(stream.next_u64()));
        Self { words: [draw() | 1, draw() | 1, draw() | 1, draw() | 1], port: draw() | 1, start: draw(), join: draw() }
    }

    /// The hash of a flow; which end is which does not matter.
    pub fn hash(&self, one: SocketAddr, other: SocketAddr) -> u64 {
        scramble(self.join.wrapping_add(self.end(one)).wrapping_add(self.end(other)))
    }

    fn end(&self, end: SocketAddr) -> u64 {
        let port = self.port.wrapping_mul(end.port().into());
        let sum = address_words(end.ip())
            .into_iter()
            .zip(self.words)
            .fold(self.start.wrapping_add(port), |sum, (word, key)| sum.wrapping_add(key.wrapping_mul(word.into())));
        scramble(sum)
    }
}

impl std::fmt::Debug for SteerKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SteerKey(..)")
    }
}

/// How flows are shared out among the queues of a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Steering {
    /// There is one queue.
    One,
    /// By the keyed hash: this card's own programs decide.
    Keyed {
        /// The key.
        key: SteerKey,
        /// How many queues: 1 to [`PORT_QUEUES_MAX`].
        queues: usize,
    },
    /// By the device, whose key and table are known (`ethtool -x`).
    Rss {
        /// The device's hash key.
        key: RssKey,
        /// The device's indirection table: the queue of each value that the hash leaves.
        table: Vec<u16>,
        /// Whether the device hashes the ports too (`ethtool -n DEVICE rx-flow-hash tcp4`: `sdfn`).
        ports: bool,
    },
}

impl Steering {
    /// The keyed sharing of a card with this secret among `queues` queues, held to 1 to [`PORT_QUEUES_MAX`].
    pub fn keyed(secret: &[u8; 32], queues: usize) -> Self {
        match queues.min(PORT_QUEUES_MAX) {
            0 | 1 => Self::One,
            queues => Self::Keyed { key: SteerKey::new(secret), queues },
        }
    }

    /// The queue of the flow between `remote`, who sends to this device, and `local`: 0 to
    /// [`queue_count`](Self::queue_count) - 1.
    pub fn queue(&self, remote: SocketAddr, local: SocketAddr) -> usize {
        match self {
            Self::One => 0,
            Self::Keyed { key, queues } => scale(key.hash(remote, local), (*queues).min(PORT_QUEUES_MAX)),
            Self::Rss { key, table, ports } => {
                let hash = toeplitz(key, remote, local, *ports);
                let place = (hash as usize).checked_rem(table.len());
                place.map_or(0, |place| table[place].into())
            }
        }
    }

    /// How many queues there are.
    pub fn queue_count(&self) -> usize {
        match self {
            Self::One => 1,
            Self::Keyed { queues, .. } => (*queues).clamp(1, PORT_QUEUES_MAX),
            Self::Rss { table, .. } => table.iter().max().map_or(1, |queue| usize::from(*queue) + 1),
        }
    }
}

/// The four words of an address, first to last, an IPv4 address in its mapped form.
fn address_words(address: IpAddr) -> [u32; 4] {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .to_bits();
    [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
}

/// Lets every bit of a sum reach the high ones (the finisher's shape is `SplitMix64`'s).
fn scramble(mut sum: u64) -> u64 {
    sum ^= sum >> SCRAMBLE_SHIFTS[0];
    sum = sum.wrapping_mul(SCRAMBLE_FACTOR);
    sum ^ (sum >> SCRAMBLE_SHIFTS[1])
}

/// A queue out of a hash: its high 32 bits as a fraction of `queues`.
fn scale(hash: u64, queues: usize) -> usize {
    (((hash >> 32) * queues as u64) >> 32) as usize
}

/// The factor between the two shifts of a scramble (`SplitMix64`'s second).
pub(crate) const SCRAMBLE_FACTOR: u64 = 0x94D0_49BB_1331_11EB;
/// How far each of them shifts.
pub(crate) const SCRAMBLE_SHIFTS: [u8; 2] = [32, 29];

#[cfg(test)]
mod tests;
