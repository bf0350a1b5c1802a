//! A bound on how often something happens: a token bucket in integers, a second deep.

use hpb_base::Instant;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// At most so many a second, and as many at once.
#[derive(Clone, Debug)]
pub struct RateLimit {
    per_second: u64,
    /// What may still happen, in parts of a billion of one.
    level: u64,
    at: Instant,
}

impl RateLimit {
    /// A limit of `per_second`, unspent at `now`.
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = u64::from(per_second);
        Self { per_second, level: per_second * NANOS_PER_SECOND, at: now }
    }

    /// Whether one more may happen at `now`; if so, it is counted.
    pub fn take(&mut self, now: Instant) -> bool {
        let gone_ns = now.since(self.at).as_nanos().min(NANOS_PER_SECOND);
        self.at = now;
        self.level = (self.level + gone_ns * self.per_second).min(self.per_second * NANOS_PER_SECOND);
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

    #[test]
    fn a_second_holds_as_many_as_it_says() {
        let mut limit = RateLimit::new(100, Instant::ZERO);
        let burst = |limit: &mut RateLimit, ms| (0..1_000).filter(|_| limit.take(Instant::from_millis(ms))).count();
        assert_eq!(burst(&mut limit, 0), 100);
        assert_eq!(burst(&mut limit, 10), 1);
        assert_eq!(burst(&mut limit, 510), 50);
        assert_eq!(burst(&mut limit, 100_000), 100, "it fills up no further");
        assert_eq!(burst(&mut RateLimit::new(0, Instant::ZERO), 5_000), 0);
        assert_eq!(burst(&mut RateLimit::new(u32::MAX, Instant::ZERO), 5_000), 1_000);
    }
}
