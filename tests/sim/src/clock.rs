//! A node's own clock: it runs a little fast or slow, is set wrong, and leaps ahead when its host was suspended.
//!
//! The monotonic clock never goes back, as a machine's driver promises. The wall clock is read once a start, as the node
//! does: it may have been set in either direction while the node was down.

use hpb_base::{Duration, Instant, UnixMillis};

const MILLION: i128 = 1_000_000;

/// The map from true time to one node's clock.
#[derive(Clone, Debug)]
pub struct Clock {
    true_base: Instant,
    local_base: Instant,
    rate_ppm: i32,
    wall_error_ms: i64,
}

impl Clock {
    /// A clock that shows `local` at the true instant `now`, and a wall clock that is `wall_error_ms` ahead.
    pub fn new(now: Instant, local: Instant, wall_error_ms: i64) -> Self {
        Self { true_base: now, local_base: local, rate_ppm: 0, wall_error_ms }
    }

    /// What it shows at the true instant `now`, which is not before the last change.
    pub fn local(&self, now: Instant) -> Instant {
        let span = i128::from(now.since(self.true_base).as_nanos());
        self.local_base + nanos(span + span * i128::from(self.rate_ppm) / MILLION)
    }

    /// The first true instant at which it shows `local` or more.
    pub fn true_at(&self, local: Instant) -> Instant {
        let span = i128::from(local.since(self.local_base).as_nanos());
        let mut at = self.true_base + nanos(span * MILLION / (MILLION + i128::from(self.rate_ppm)));
        // Rounding leaves it a few nanoseconds off, to either side.
        let tick = Duration::from_nanos(1);
        while self.local(at) < local {
            at += tick;
        }
        while at > self.true_base && self.local(at - tick) >= local {
            at = at - tick;
        }
        at
    }

    /// From `now` on it runs `ppm` parts in a million fast (slow if negative).
    pub fn drift(&mut self, now: Instant, ppm: i32) {
        self.local_base = self.local(now);
        self.true_base = now;
        self.rate_ppm = ppm;
    }

    /// It leaps ahead.
    pub fn leap(&mut self, now: Instant, span: Duration) {
        self.local_base = self.local(now) + span;
        self.true_base = now;
    }

    /// The wall clock is set, `error_ms` ahead of the truth; read at the next start.
    pub fn set_wall(&mut self, error_ms: i64) {
        self.wall_error_ms = error_ms;
    }

    /// What the wall clock shows at this clock's zero, read at `now`; `wall_at_zero` is the truth at true zero.
    pub fn wall_at_zero(&self, now: Instant, wall_at_zero: UnixMillis) -> UnixMillis {
        let truth = i128::from(wall_at_zero.0) + i128::from(now.as_millis()) + i128::from(self.wall_error_ms);
        let local = i128::from(self.local(now).as_millis());
        UnixMillis(u64::try_from(truth - local).unwrap_or(0))
    }
}

fn nanos(span: i128) -> Duration {
    Duration::from_nanos(u64::try_from(span.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_whatever_the_rate() {
        for ppm in [-20_000, -37, 0, 1, 999, 50_000] {
            let mut clock = Clock::new(Instant::from_millis(3), Instant::from_millis(70), 0);
            clock.drift(Instant::from_millis(5), ppm);
            for nanos in [72_000_003, 72_000_010, 99_999_999, 1_000_000_007] {
                let local = Instant::from_nanos(nanos);
                let at = clock.true_at(local);
                assert!(clock.local(at) >= local, "{ppm} ppm");
                assert!(clock.local(at - Duration::from_nanos(1)) < local, "{ppm} ppm");
            }
        }
    }

    #[test]
    fn a_leap_moves_the_clock_ahead_and_a_set_wall_the_hour() {
        let mut clock = Clock::new(Instant::ZERO, Instant::from_millis(1_000), 0);
        let wall = UnixMillis(1_000_000);
        assert_eq!(clock.wall_at_zero(Instant::ZERO, wall), UnixMillis(999_000));
        clock.leap(Instant::from_millis(10), Duration::from_millis(200));
        assert_eq!(clock.local(Instant::from_millis(10)), Instant::from_millis(1_210));
        clock.set_wall(-30);
        assert_eq!(clock.wall_at_zero(Instant::from_millis(10), wall), UnixMillis(998_770));
    }
}
