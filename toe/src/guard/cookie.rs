//! SYN cookies (RFC 4987 section 3.6): while too many sessions are half open, the initial sequence number of a SYN|ACK
//! says all that must be remembered of the SYN, under a key, and no session is made until it comes back.
//!
//! A cookie is `period (5 bits) | segment size (3 bits) | keyed hash (24 bits)`. It carries no window scale, so a session
//! that begins by one has windows of 64 KiB. It holds for at least one period of 64 s and at most two.

use hpb_base::{Duration, Instant};

use crate::segment::FlowKey;

/// The segment sizes that a cookie can tell apart, ascending; the peer's is rounded down.
const SEGMENT_SIZES: [u16; 8] = [64, 536, 1_220, 1_300, 1_360, 1_420, 1_440, 1_460];
const PERIOD_SECS: u64 = 64;
const PERIOD_MASK: u32 = 0x1f;

/// Makes and checks cookies.
pub struct Cookies {
    key: [u8; 32],
    /// When the last one was made; without one no ACK is looked at.
    last_at: Option<Instant>,
}

impl Cookies {
    /// Cookies under `key`.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, last_at: None }
    }

    /// The initial sequence number that answers a SYN of `flow` with sequence number `seq` and segment size `mss`.
    pub fn make(&mut self, now: Instant, flow: &FlowKey, seq: u32, mss: u16) -> u32 {
        self.last_at = Some(now);
        let size = SEGMENT_SIZES.partition_point(|size| *size <= mss).saturating_sub(1) as u32;
        self.cookie(period(now), flow, seq, size)
    }

    /// The segment size that `cookie` says, if it answered the SYN of `flow` with sequence number `seq` not long ago.
    pub fn check(&self, now: Instant, flow: &FlowKey, seq: u32, cookie: u32) -> Option<u16> {
        let last_at = self.last_at?;
        if now.since(last_at) > Duration::from_secs(2 * PERIOD_SECS) {
            return None;
        }
        let made_in = cookie >> 27;
        let age = period(now).wrapping_sub(made_in) & PERIOD_MASK;
        let size = cookie >> 24 & 7;
        (age <= 1 && self.cookie(made_in, flow, seq, size) == cookie).then(|| SEGMENT_SIZES[size as usize])
    }

    fn cookie(&self, period: u32, flow: &FlowKey, seq: u32, size: u32) -> u32 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&flow.to_bytes());
        hasher.update(&seq.to_le_bytes());
        hasher.update(&[period as u8, size as u8]);
        let hash = hasher.finalize();
        let bytes = hash.as_bytes();
        period << 27 | size << 24 | u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
    }
}

fn period(now: Instant) -> u32 {
    (now.as_millis() / 1_000 / PERIOD_SECS) as u32 & PERIOD_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16) -> FlowKey {
        FlowKey::new(([10, 0, 0, 2], port).into(), ([10, 0, 0, 1], 80).into())
    }

    fn at(secs: u64) -> Instant {
        Instant::from_millis(secs * 1_000)
    }

    #[test]
    fn a_cookie_gives_the_segment_size_back_for_its_own_syn_only() {
        let mut cookies = Cookies::new([3; 32]);
        for (mss, told) in [(0, 64), (535, 64), (536, 536), (1_459, 1_440), (1_460, 1_460), (9_000, 1_460)] {
            let cookie = cookies.make(at(100), &flow(1), 5, mss);
            assert_eq!(cookies.check(at(101), &flow(1), 5, cookie), Some(told), "{mss}");
            assert_eq!(cookies.check(at(101), &flow(1), 6, cookie), None, "another SYN");
            assert_eq!(cookies.check(at(101), &flow(2), 5, cookie), None, "another flow");
            assert_eq!(cookies.check(at(101), &flow(1), 5, cookie ^ 1 << 24), None, "another size");
            assert_eq!(Cookies { key: [4; 32], ..cookies }.check(at(101), &flow(1), 5, cookie), None, "another key");
        }
    }

    #[test]
    fn it_holds_a_period_and_no_more_than_two() {
        let mut cookies = Cookies::new([3; 32]);
        // Across the turn of the 5-bit period counter.
        for start in [64 * 31, 64 * 32, 64 * 100] {
            let cookie = cookies.make(at(start + 63), &flow(1), 5, 1_460);
            cookies.make(at(start + 200), &flow(9), 5, 1_460);
            assert!(cookies.check(at(start + 127), &flow(1), 5, cookie).is_some());
            assert!(cookies.check(at(start + 128), &flow(1), 5, cookie).is_none());
        }
    }

    #[test]
    fn without_a_flood_no_ack_opens_anything() {
        let mut cookies = Cookies::new([3; 32]);
        assert_eq!(cookies.check(at(0), &flow(1), 5, 0), None);
        let cookie = cookies.make(at(100), &flow(1), 5, 1_460);
        assert_eq!(cookies.check(at(300), &flow(1), 5, cookie), None);
    }

    #[test]
    fn a_guess_is_right_once_in_millions() {
        let mut cookies = Cookies::new([3; 32]);
        cookies.make(at(100), &flow(1), 5, 1_460);
        let lucky = (0..200_000_u32).filter(|guess| {
            let cookie = guess.wrapping_mul(0x9e37_79b1);
            cookies.check(at(101), &flow(1), 5, cookie).is_some()
        });
        assert_eq!(lucky.count(), 0);
    }
}
