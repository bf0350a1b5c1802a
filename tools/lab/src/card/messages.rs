//! Which messages are on their way, and what is known of each: a number a message, from 0 on.

use std::collections::VecDeque;

use hpb_base::{Duration, Instant};

use super::end::Carried;
use crate::measure::Distribution;
use crate::record::Excess;

/// Messages on their way at most; with one more, the oldest counts as lost.
const UNDER_WAY_MAX: usize = 1 << 22;

/// What is known of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) session: u32,
    /// When it was given to the card; the intended moment until then.
    pub(super) sent: Instant,
    /// When its answer was given to the card, where there is one.
    pub(super) answered: Instant,
    /// Whether it has arrived at its only receiver.
    pub(super) arrived: bool,
}

/// All messages on their way.
#[derive(Default)]
pub(super) struct Messages {
    known: VecDeque<Known>,
    /// The number of the first of them.
    first: u64,
}

impl Messages {
    /// Notes one more; returns its number.
    pub(super) fn add(&mut self, session: u32, intended: Instant) -> u64 {
        while self.known.front().is_some_and(|known| known.arrived) || self.known.len() >= UNDER_WAY_MAX {
            self.known.pop_front();
            self.first += 1;
        }
        self.known.push_back(Known { session, sent: intended, answered: intended, arrived: false });
        self.first + self.known.len() as u64 - 1
    }

    /// The message of that number, as long as it is known.
    pub(super) fn get(&mut self, number: u64) -> Option<&mut Known> {
        self.known.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// What was measured beyond what the wire applied to the very same messages, a way at a time.
#[derive(Default)]
pub(super) struct Beyond {
    applied: Distribution,
    above: Distribution,
    below: Distribution,
    late: Distribution,
}

impl Beyond {
    /// A message that left its program at `from` was in the other one's hands at `now`.
    pub(super) fn take(&mut self, from: Instant, now: Instant, carried: Carried) {
        let Carried { applied, taken_at } = carried;
        let by_wire = applied.due_at.since(applied.sent_at);
        let due = from + by_wire;
        self.applied.take(by_wire);
        self.late.take(taken_at.since(applied.due_at));
        if now >= due {
            self.above.take(now.since(due));
        } else {
            self.below.take(due.since(now));
        }
    }

    pub(super) fn finish(self) -> Excess {
        let Self { applied, above, below, late } = self;
        Excess { applied: applied.buckets(), above: above.buckets(), below: below.buckets(), late: late.buckets() }
    }
}

/// The server's stalls: when it stands still, from the beginning of what is measured to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stalls {
    pub(super) begin: Instant,
    pub(super) end: Instant,
    pub(super) every: Duration,
    pub(super) pause: Duration,
}

impl Stalls {
    /// When the stall is over that `now` lies in; none outside of one.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        if now < self.begin || now >= self.end {
            return None;
        }
        let turn = now.since(self.begin).as_nanos() / self.every.as_nanos().max(1);
        let over = self.begin + Duration::from_nanos(turn * self.every.as_nanos()) + self.pause;
        (now < over).then_some(over)
    }

    /// When the next stall begins.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let every = self.every.as_nanos().max(1);
        let turn = if now < self.begin { 0 } else { now.since(self.begin).as_nanos() / every + 1 };
        Some(self.begin + Duration::from_nanos(turn * every)).filter(|at| *at < self.end)
    }
}

#[cfg(test)]
mod tests {
    use hpb_net::wire::Applied;

    use super::*;

    const AT: Instant = Instant::from_millis(7);

    #[test]
    fn numbers_go_on_and_what_arrived_in_front_is_forgotten() {
        let mut messages = Messages::default();
        assert_eq!([messages.add(5, AT), messages.add(6, AT)], [0, 1]);
        assert!(messages.get(0).is_some_and(|known| known.session == 5));
        if let Some(known) = messages.get(0) {
            known.arrived = true;
        }
        assert_eq!(messages.add(7, AT), 2);
        assert!(messages.get(0).is_none() && messages.get(3).is_none());
        assert!(messages.get(1).is_some_and(|known| known.session == 6 && known.sent == AT));
    }

    #[test]
    fn beyond_is_what_came_on_top_or_was_missing() {
        let mut beyond = Beyond::default();
        let applied = Applied { sent_at: Instant::from_micros(10), due_at: Instant::from_micros(260) };
        let carried = Carried { applied, taken_at: Instant::from_nanos(260_040) };
        beyond.take(Instant::from_micros(9), Instant::from_micros(262), carried);
        beyond.take(Instant::from_micros(10), Instant::from_micros(259), carried);
        let excess = beyond.finish();
        assert_eq!(excess.applied.count(), 2);
        assert_eq!(excess.late.0, [(40, 2)]);
        assert_eq!((excess.above.max().map(|ns| ns / 10), excess.below.max()), (Some(300), Some(1_000)));
    }

    #[test]
    fn the_server_stands_still_at_the_beginning_of_each_turn() {
        let stalls = Stalls {
            begin: Instant::from_millis(1_000),
            end: Instant::from_millis(3_000),
            every: Duration::from_millis(1_000),
            pause: Duration::from_millis(100),
        };
        let until = |ms| stalls.until(Instant::from_millis(ms)).map(Instant::as_millis);
        assert_eq!([until(999), until(1_000), until(1_099), until(1_100)], [None, Some(1_100), Some(1_100), None]);
        assert_eq!([until(2_050), until(3_050)], [Some(2_100), None]);
        let next = |ms| stalls.next_at(Instant::from_millis(ms)).map(Instant::as_millis);
        assert_eq!([next(5), next(1_000), next(1_999), next(2_000)], [Some(1_000), Some(2_000), Some(2_000), None]);
    }
}
