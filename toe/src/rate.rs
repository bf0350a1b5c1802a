//! A bound on how often something happens: a token bucket in integers.

use hpb_base::Instant;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// At most so many a second, and a burst after a silence.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    per_second: u64,
    /// What may happen at once, in parts of a billion of one.
    burst: u64,
    /// What may still happen, in the same parts.
    level: u64,
    at: Instant,
}

impl RateLimit {
    /// A limit of `per_second`, of which `burst` at once; unspent at `now`.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = u64::from(burst) * NANOS_PER_SECOND;
        Self { per_second: per_second.into(), burst, level: burst, at: now }
    }

    /// Whether one more may happen at `now`; if so, it is counted.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let earned = now.since(self.at).as_nanos().saturating_mul(self.per_second);
        self.at = now;
        self.level = self.level.saturating_add(earned).min(self.burst);
        let taken = self.level >= NANOS_PER_SECOND;
        if taken {
            self.level -= NANOS_PER_SECOND;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(limit: &mut RateLimit, ms: u64) -> usize {
        (0..1_000).filter(|_| limit.take(Instant::from_millis(ms))).count()
    }

    #[test]
    fn a_second_holds_as_many_as_it_says() {
        let mut limit = RateLimit::new(100, 100, Instant::ZERO);
        assert_eq!(taken(&mut limit, 0), 100);
        assert_eq!(taken(&mut limit, 10), 1);
        assert_eq!(taken(&mut limit, 510), 50);
        assert_eq!(taken(&mut limit, 100_000), 100, "it fills up no further");
        assert_eq!(taken(&mut RateLimit::new(0, 0, Instant::ZERO), 5_000), 0);
        assert_eq!(taken(&mut RateLimit::new(u32::MAX, u32::MAX, Instant::ZERO), 5_000), 1_000);
    }

    #[test]
    fn a_silence_saves_up_a_burst_and_no_more() {
        let mut limit = RateLimit::new(1_000, 50, Instant::from_millis(5));
        assert_eq!(taken(&mut limit, 5), 50);
        assert_eq!(taken(&mut limit, 15), 10);
        assert_eq!(taken(&mut limit, 100_000), 50);
        assert_eq!((100_001..=101_000).map(|ms| taken(&mut limit, ms)).sum::<usize>(), 1_000);
    }
}
