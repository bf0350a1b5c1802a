//! When a repeat starts, measures and ends, and what two threads tell each other meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hpb_base::{Duration, Instant};
use hpb_host::sys::{thread_cpu_ns, unix_ns, wall_ns};

use crate::scenario::Scenario;

/// From the last session's opening to the first message: what the opening stirred up settles.
const SETTLE: Duration = Duration::from_millis(50);

/// This machine's clock.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(wall_ns())
}

/// How far the host's clock, by which the kernel stamps, is ahead of [`now`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UnixClock {
    ahead: Duration,
}

impl UnixClock {
    /// Between two readings that lie this far apart somebody has set the host's clock.
    const SET: Duration = Duration::from_micros(1);

    /// Compares them: of some readings, that which took least.
    pub(crate) fn read() -> Self {
        let reading = |_| {
            let (before, unix_ns, after) = (wall_ns(), unix_ns(), wall_ns());
            (after - before, unix_ns.saturating_sub(before + (after - before) / 2))
        };
        let (_, ahead_ns) = (0..16).map(reading).min().unwrap_or_default();
        Self { ahead: Duration::from_nanos(ahead_ns) }
    }

    /// How far it is ahead, unless it was set since.
    pub(crate) fn ahead(self) -> Option<Duration> {
        self.ahead_by(Self::read())
    }

    fn ahead_by(self, later: Self) -> Option<Duration> {
        let (low, high) = (self.ahead.min(later.ahead), self.ahead.max(later.ahead));
        (high <= low + Self::SET).then_some(later.ahead)
    }
}

/// The instants of one repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    /// The first message may leave.
    pub(crate) start: Instant,
    /// What is meant to leave is measured.
    pub(crate) begin: Instant,
    /// Nothing more is meant to leave.
    pub(crate) end: Instant,
    /// What has not come is lost.
    pub(crate) over: Instant,
}

impl Window {
    /// A repeat of `scenario` whose first message may leave at `start`.
    pub(crate) fn new(scenario: &Scenario, start: Instant) -> Self {
        let begin = start + scenario.warm_up;
        let end = begin + scenario.duration;
        Self { start, begin, end, over: end + scenario.drain }
    }
}

/// What both sides know of each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    near_open: AtomicBool,
    far_open: AtomicBool,
    /// When the first message may leave; 0 until that is known.
    start_ns: AtomicU64,
    /// Messages that came to the far side.
    arrived: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    /// What a side knows whose other side is on another host: both start then.
    pub(crate) fn starting_at(start: Instant) -> Self {
        Self { start_ns: AtomicU64::new(start.as_nanos()), ..Self::default() }
    }

    /// The near side's sessions are, or are not, all open; the repeat's window once both sides' are.
    pub(crate) fn near_is_open(&self, is_open: bool, scenario: &Scenario) -> Option<Window> {
        self.near_open.store(is_open, Ordering::Release);
        if is_open && self.far_open.load(Ordering::Acquire) && self.start_ns.load(Ordering::Acquire) == 0 {
            self.start_ns.store((now() + SETTLE).as_nanos(), Ordering::Release);
        }
        self.window(scenario)
    }

    /// The same of the far side.
    pub(crate) fn far_is_open(&self, is_open: bool, scenario: &Scenario) -> Option<Window> {
        self.far_open.store(is_open, Ordering::Release);
        self.window(scenario)
    }

    fn window(&self, scenario: &Scenario) -> Option<Window> {
        let start_ns = self.start_ns.load(Ordering::Acquire);
        (start_ns > 0).then(|| Window::new(scenario, Instant::from_nanos(start_ns)))
    }

    /// So many messages came to the far side by now.
    pub(crate) fn set_arrived(&self, count: u64) {
        self.arrived.store(count, Ordering::Relaxed);
    }

    /// How many that are.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Both sides are to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether they are.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// The processor time of the calling thread while a window measures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuMeter {
    began_ns: Option<u64>,
    ended_ns: Option<u64>,
}

impl CpuMeter {
    /// Looks whether measuring begins or ends.
    pub(crate) fn look(&mut self, now: Instant, window: &Window) {
        if self.began_ns.is_none() && now >= window.begin {
            self.began_ns = Some(thread_cpu_ns());
        }
        if self.ended_ns.is_none() && now >= window.end {
            self.ended_ns = Some(thread_cpu_ns());
        }
    }

    /// What was used, in nanoseconds.
    pub(crate) fn used_ns(&self) -> u64 {
        let ended_ns = self.ended_ns.unwrap_or_else(thread_cpu_ns);
        self.began_ns.map_or(0, |began_ns| ended_ns.saturating_sub(began_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_meanwhile_is_told_from_one_that_was_not() {
        let clock = |ahead_ns| UnixClock { ahead: Duration::from_nanos(ahead_ns) };
        assert_eq!(clock(5_000).ahead_by(clock(5_400)), Some(Duration::from_nanos(5_400)));
        assert_eq!(clock(5_400).ahead_by(clock(5_000)), Some(Duration::from_nanos(5_000)));
        assert_eq!(clock(5_000).ahead_by(clock(6_001)), None);
        assert_eq!(clock(6_001).ahead_by(clock(5_000)), None);
    }
}
