//! Which slot it is, and whether a slice came within its own (PROTOCOL.md, "Time").
//!
//! A slot belongs to its number. Lateness is for the voter alone; nothing here makes a slice invalid.

use hpb_base::{Duration, Instant, UnixMillis};
use hpb_types::Slot;

const NANOS_PER_MILLI: i128 = 1_000_000;

/// The map between the driver's clock and slots. All fields are nanoseconds.
#[derive(Clone, Debug)]
pub struct SlotClock {
    genesis: i128,
    wall_at_zero: i128,
    slot: i128,
    bound: i128,
}

/// When a slice came, against its slot widened by the clocks' bound at both ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Before it.
    Early,
    /// Within it.
    Timely,
    /// After it.
    Late,
}

impl SlotClock {
    /// A clock for slots of length `slot` (not zero) from `genesis` on. Clocks of honest nodes differ by at most
    /// `bound`; `wall_at_zero` is the wall time at the driver's origin.
    pub fn new(genesis: UnixMillis, slot: Duration, bound: Duration, wall_at_zero: UnixMillis) -> Self {
        assert!(!slot.is_zero(), "a slot has a length");
        Self {
            genesis: i128::from(genesis.0) * NANOS_PER_MILLI,
            wall_at_zero: i128::from(wall_at_zero.0) * NANOS_PER_MILLI,
            slot: i128::from(slot.as_nanos()),
            bound: i128::from(bound.as_nanos()),
        }
    }

    /// The wall clock was set.
    pub fn set(&mut self, wall_at_zero: UnixMillis) {
        self.wall_at_zero = i128::from(wall_at_zero.0) * NANOS_PER_MILLI;
    }

    /// The slot of `now`; `None` before genesis.
    pub fn slot_at(&self, now: Instant) -> Option<Slot> {
        u64::try_from(self.since_genesis(now).div_euclid(self.slot)).ok().map(Slot)
    }

    /// The latest slot that it may be anywhere at `now`, with clocks at their bound; slot 0 before genesis.
    pub fn slot_at_most(&self, now: Instant) -> Slot {
        Slot(u64::try_from((self.since_genesis(now) + self.bound).div_euclid(self.slot)).unwrap_or(0))
    }

    /// When `slot` starts on the driver's clock, held within the clock's range.
    pub fn start_of(&self, slot: Slot) -> Instant {
        let nanos = self.genesis + i128::from(slot.0) * self.slot - self.wall_at_zero;
        Instant::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }

    /// When something of `slot` that came at `now` came.
    pub fn arrival(&self, slot: Slot, now: Instant) -> Arrival {
        let into = self.since_genesis(now) - i128::from(slot.0) * self.slot;
        if into < -self.bound {
            Arrival::Early
        } else if into > self.slot + self.bound {
            Arrival::Late
        } else {
            Arrival::Timely
        }
    }

    fn since_genesis(&self, now: Instant) -> i128 {
        self.wall_at_zero + i128::from(now.as_nanos()) - self.genesis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> SlotClock {
        SlotClock::new(
            UnixMillis(1_000_000),
            Duration::from_millis(3_000),
            Duration::from_millis(100),
            UnixMillis(999_000),
        )
    }

    #[test]
    fn slots_are_counted_from_genesis() {
        let clock = clock();
        for (millis, slot) in [(0, None), (999, None), (1_000, Some(0)), (3_999, Some(0)), (4_000, Some(1))] {
            assert_eq!(clock.slot_at(Instant::from_millis(millis)), slot.map(Slot), "at {millis}");
        }
        assert_eq!(clock.start_of(Slot(2)), Instant::from_millis(7_000));
        assert_eq!(clock.slot_at_most(Instant::from_millis(3_950)), Slot(1));
        assert_eq!(clock.slot_at_most(Instant::ZERO), Slot(0));
    }

    #[test]
    fn a_slot_is_widened_by_the_bound_at_both_ends() {
        let clock = clock();
        let arrival = |millis| clock.arrival(Slot(1), Instant::from_millis(millis));
        assert_eq!(
            [3_899, 3_900, 7_100, 7_101].map(arrival),
            [Arrival::Early, Arrival::Timely, Arrival::Timely, Arrival::Late]
        );
    }

    #[test]
    fn a_set_clock_moves_the_slots() {
        let mut clock = clock();
        clock.set(UnixMillis(1_000_000));
        assert_eq!(clock.slot_at(Instant::ZERO), Some(Slot(0)));
        assert_eq!(clock.start_of(Slot(1)), Instant::from_millis(3_000));
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let clock = clock();
        assert_eq!(clock.start_of(Slot(u64::MAX)), Instant::from_nanos(u64::MAX));
        assert_eq!(clock.arrival(Slot(u64::MAX), Instant::ZERO), Arrival::Early);
    }
}
