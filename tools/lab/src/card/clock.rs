//! The two clocks that the same loop runs on: one jumps to what happens next, the other is this machine's and is spun on.

use hpb_base::{Duration, Instant};
use hpb_host::sys;

/// Virtual time starts here: lanes take zero for "at once".
const VIRTUAL_START: Instant = Instant::from_millis(1_000);

/// What the time is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    /// Virtual time, as it stands.
    Virtual(Instant),
    /// This machine's monotonic clock.
    Real,
}

impl Clock {
    pub(super) fn start_virtual() -> Self {
        Self::Virtual(VIRTUAL_START)
    }

    pub(super) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    pub(super) fn now(&self) -> Instant {
        match self {
            Self::Virtual(now) => *now,
            Self::Real => Instant::from_nanos(sys::wall_ns()),
        }
    }

    /// Nothing happens before `next`: virtual time goes there, and by at least a nanosecond. The real one is only looked at
    /// again, because whoever sleeps wakes late.
    pub(super) fn pass(&mut self, next: Instant) {
        match self {
            Self::Virtual(now) => *now = next.max(*now + Duration::from_nanos(1)),
            Self::Real => core::hint::spin_loop(),
        }
    }
}
