//! When messages are meant to leave: a pure sequence of instants and sessions that follows from the seed.
//!
//! An open loop's sequence never asks how things go. A closed loop has none: its messages follow answers, and the target
//! makes them as answers come. What each arrival means is the pattern's: a message of one session, or a round of all.

use hpb_base::{Duration, Instant, Random};
use hpb_net::wire::Jitter;

use crate::scenario::Arrivals;

#[cfg(test)]
mod tests;

/// One message, or one round, that is meant to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// When.
    pub at: Instant,
    /// Over which session.
    pub session: u32,
}

/// The sequence, in order of time.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    begin: Instant,
    end: Instant,
    sessions: u32,
    random: Random,
    /// How many came so far.
    number: u64,
    /// Where a Poisson process stands, in picoseconds from the beginning.
    at_ps: u64,
}

/// Distances shorter than this on average are drawn in picoseconds, because a nanosecond is much of them.
const FINE_BELOW_NS: f64 = 1e6;

impl Schedule {
    /// What is meant to leave from `begin` on and before `end`, over sessions 0 to `sessions` - 1 (at least one).
    pub fn new(arrivals: Arrivals, sessions: u32, begin: Instant, end: Instant, seed: u64, stream: u64) -> Self {
        let random = Random::stream(seed, stream);
        let mut schedule = Self { arrivals, begin, end, sessions: sessions.max(1), random, number: 0, at_ps: 0 };
        if let Arrivals::Poisson { per_s } = arrivals {
            schedule.at_ps = schedule.distance_ps(per_s);
        }
        schedule
    }

    /// The next one's instant, if there is a next one.
    pub fn next_at(&self) -> Option<Instant> {
        let after = match self.arrivals {
            Arrivals::Fixed { per_s } => nanos(self.number, per_s),
            Arrivals::Poisson { .. } => self.at_ps / 1_000,
            Arrivals::Bursts { count, every } => every.as_nanos().saturating_mul(self.number / u64::from(count.max(1))),
            Arrivals::Closed { .. } => return None,
        };
        Some(self.begin + Duration::from_nanos(after)).filter(|at| *at < self.end)
    }

    /// The next one, if it is due at `now`.
    pub fn take_due(&mut self, now: Instant) -> Option<Due> {
        let at = self.next_at().filter(|at| *at <= now)?;
        let in_turn = (self.number % u64::from(self.sessions)) as u32;
        let session = match self.arrivals {
            Arrivals::Poisson { per_s } => {
                self.at_ps += self.distance_ps(per_s);
                self.random.below(u64::from(self.sessions)) as u32
            }
            _ => in_turn,
        };
        self.number += 1;
        Some(Due { at, session })
    }

    /// The next distance of a Poisson process: two words a message, whatever the rate.
    #[allow(clippy::cast_sign_loss, reason = "a rate above zero")]
    fn distance_ps(&mut self, per_s: f64) -> u64 {
        let mean_ns = 1e9 / per_s;
        let word = self.random.next_u64();
        if mean_ns < FINE_BELOW_NS {
            Jitter::Exponential(Duration::from_nanos((mean_ns * 1e3) as u64)).quantile(word).as_nanos()
        } else {
            Jitter::Exponential(Duration::from_nanos(mean_ns as u64)).quantile(word).as_nanos().saturating_mul(1_000)
        }
    }
}

impl Iterator for Schedule {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        self.take_due(self.end)
    }
}

/// When number `number` of a fixed rate is meant to leave.
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "messages of a run, far below 2^53")]
fn nanos(number: u64, per_s: f64) -> u64 {
    (number as f64 * 1e9 / per_s) as u64
}
