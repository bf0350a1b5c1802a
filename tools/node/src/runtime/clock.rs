//! The one place that reads a clock. Everything else is told the time.
#![allow(clippy::disallowed_methods, reason = "this module is where the clocks are read")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hpb_base::{Duration, Instant, UnixMillis};

use super::sys;

/// The monotonic clock that all executors of a process share, and its offset to wall-clock time.
///
/// Its instants count from the clock's own start. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: std::time::Instant,
    wall_at_origin_ns: Arc<AtomicU64>,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        let clock = Self { origin: std::time::Instant::now(), wall_at_origin_ns: Arc::new(AtomicU64::new(0)) };
        clock.resync();
        clock
    }

    /// Nanoseconds since the start; never goes back. About 25 ns of CPU.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.origin.elapsed().as_nanos() as u64)
    }

    /// Wall-clock time at `at`, by the offset of the last [`resync`](Self::resync).
    pub fn wall(&self, at: Instant) -> UnixMillis {
        UnixMillis(self.wall_at_origin_ns.load(Ordering::Relaxed).saturating_add(at.as_nanos()) / 1_000_000)
    }

    /// The instant at which wall-clock time is `wall`; the clock's start if that lies before it.
    pub fn instant(&self, wall: UnixMillis) -> Instant {
        let nanos = wall.0.saturating_mul(1_000_000);
        Instant::from_nanos(nanos.saturating_sub(self.wall_at_origin_ns.load(Ordering::Relaxed)))
    }

    /// Reads the wall clock again, for a host whose time was set while the process ran. Wall-clock time may jump by
    /// it, either way; the monotonic time does not.
    pub fn resync(&self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        self.wall_at_origin_ns.store(wall.saturating_sub(self.now().as_nanos()), Ordering::Relaxed);
    }

    /// CPU time that all threads of the process have used so far.
    pub fn process_cpu() -> Duration {
        sys::process_cpu()
    }

    /// CPU time that the calling thread has used so far. About 300 ns of CPU.
    pub fn thread_cpu() -> Duration {
        sys::thread_cpu()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_one_clock_that_never_goes_back() {
        let clock = Clock::start();
        let other = clock.clone();
        let mut last = Instant::ZERO;
        for _ in 0..1_000 {
            for now in [clock.now(), other.now()] {
                assert!(now >= last);
                last = now;
            }
        }
    }

    #[test]
    fn wall_time_maps_there_and_back() {
        let clock = Clock::start();
        let at = Instant::from_millis(1_234);
        let wall = clock.wall(at);
        let back = clock.instant(wall);
        assert!(at.since(back) < Duration::from_millis(1), "wall time is cut to whole milliseconds");
        assert_eq!(clock.wall(at + Duration::from_millis(10)), wall.plus(10));
        assert_eq!(clock.instant(UnixMillis(0)), Instant::ZERO);
    }

    #[test]
    fn wall_time_is_the_systems() {
        let clock = Clock::start();
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let wall = clock.wall(clock.now() + Duration::from_secs(60)).0;
        assert!(wall >= before + 59_000, "a minute ahead of {before} is not {wall}");
    }
}
