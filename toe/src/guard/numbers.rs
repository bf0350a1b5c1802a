//! Initial sequence numbers (RFC 6528 section 3): a clock that ticks every 4 µs, plus a keyed hash of the two ends. Who
//! does not know the key can't tell one session's number from another's, and a new session between the same ends starts
//! after the old one.

use hpb_base::Instant;

use crate::segment::FlowKey;

/// Where sessions start to count.
pub struct Numbers {
    key: [u8; 32],
}

impl Numbers {
    /// Numbers keyed by `key`.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The initial sequence number of a session of `flow` that begins at `now`.
    pub fn initial(&self, now: Instant, flow: &FlowKey) -> u32 {
        let hash = blake3::keyed_hash(&self.key, &flow.to_bytes());
        let bytes = hash.as_bytes();
        let offset = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        offset.wrapping_add((now.as_micros() / 4) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::is_after;

    fn flow(port: u16) -> FlowKey {
        FlowKey::new(([10, 0, 0, 2], port).into(), ([10, 0, 0, 1], 80).into())
    }

    #[test]
    fn one_flow_counts_on_and_others_tell_nothing_of_it() {
        let numbers = Numbers::new([7; 32]);
        let at = |ms, port| numbers.initial(Instant::from_millis(ms), &flow(port));
        assert_eq!(at(1_000, 5).wrapping_add(250_000), at(2_000, 5), "250,000 a second");
        assert!(is_after(at(1_001, 5), at(1_000, 5)));
        let steps: Vec<u32> = (0..64).map(|port| at(1_000, port + 1).wrapping_sub(at(1_000, port))).collect();
        let mut distinct = steps.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), steps.len(), "no step between neighbouring ports comes twice");
    }

    #[test]
    fn another_key_gives_other_numbers() {
        let now = Instant::from_millis(1_000);
        assert_ne!(Numbers::new([1; 32]).initial(now, &flow(1)), Numbers::new([2; 32]).initial(now, &flow(1)));
    }
}
