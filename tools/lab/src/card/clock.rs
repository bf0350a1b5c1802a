//! The two clocks that the same loop runs on: one jumps to what happens next, the other is this machine's and is spun on.

use hpb_base::{Duration, Instant};
use hpb_host::sys;

use crate::hops::VirtualClock;

/// Virtual time starts here: lanes take zero for "at once".
const VIRTUAL_START: Instant = Instant::from_millis(1_000);

/// What the time is.
#[derive(Clone, Debug)]
pub(super) enum Clock {
    /// Virtual time, as it stands; stamps read it too.
    Virtual(VirtualClock),
    /// This machine's monotonic clock.
    Real,
}

impl Clock {
    pub(super) fn start_virtual() -> Self {
        let clock = VirtualClock::default();
        clock.set(VIRTUAL_START);
        Self::Virtual(clock)
    }

    pub(super) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    pub(super) fn now(&self) -> Instant {
        match self {
            Self::Virtual(clock) => clock.now(),
            Self::Real => Instant::from_nanos(sys::wall_ns()),
        }
    }

    /// Nothing happens before `next`: virtual time goes there, and by at least a nanosecond. The real one is only looked at
    /// again, because whoever sleeps wakes late.
    pub(super) fn pass(&self, next: Instant) {
        match self {
            Self::Virtual(clock) => clock.set(next.max(clock.now() + Duration::from_nanos(1))),
            Self::Real => core::hint::spin_loop(),
        }
    }
}
