//! How far digests are apart so that sending them never costs a lane more than half of its core.
//!
//! Measured is the thread CPU time of the turns in which a broadcast to the terminals was served, whole turns with
//! what else they did (acknowledgements that came in belong to it), divided by the messages sent in them and scaled
//! to the present number of terminals: the CPU time of one digest. Samples are smoothed by an exponential mean over
//! four digests. The interval is twice that mean, in whole milliseconds, and never less than the slice interval. It
//! is told again only when it grows by an eighth or could shrink by a quarter, so that noise does not move it.

use hpb_base::Duration;

/// The share of a core that digests may take is one in this many.
const CORE_SHARE: u64 = 2;
/// Digests in the mean.
const MEAN_OVER: u64 = 4;

#[derive(Debug)]
pub(super) struct Pace {
    floor: Duration,
    interval: Duration,
    mean_cpu: Option<Duration>,
    /// Messages still to be sent of the broadcasts under way, members that left meanwhile included.
    awaited: u64,
    /// Since the last sample.
    cpu_ns: u64,
    sent: u64,
}

impl Pace {
    pub(super) fn new(slice_interval: Duration) -> Self {
        Self { floor: slice_interval, interval: slice_interval, mean_cpu: None, awaited: 0, cpu_ns: 0, sent: 0 }
    }

    /// A broadcast to this many terminals begins.
    pub(super) fn begin(&mut self, terminals: usize) {
        self.awaited += terminals as u64;
    }

    /// Whether a broadcast is being served: whether the turn is to be measured.
    pub(super) fn is_serving(&self) -> bool {
        self.awaited > 0
    }

    /// A turn that used `cpu` sent `messages` to terminals, of whom there are `terminals` now. The new interval if
    /// there is one.
    pub(super) fn served(&mut self, cpu: Duration, messages: u64, terminals: usize) -> Option<Duration> {
        // A turn that finds nobody to serve: the rest had left.
        self.awaited = if messages == 0 { 0 } else { self.awaited.saturating_sub(messages) };
        self.cpu_ns = self.cpu_ns.saturating_add(cpu.as_nanos());
        self.sent += messages;
        let whole = self.sent >= (terminals as u64).max(1);
        if self.sent == 0 || (self.awaited > 0 && !whole) {
            return None;
        }
        let sample_ns = u128::from(self.cpu_ns) * terminals as u128 / u128::from(self.sent);
        (self.cpu_ns, self.sent) = (0, 0);
        self.fold(Duration::from_nanos(u64::try_from(sample_ns).unwrap_or(u64::MAX)))
    }

    fn fold(&mut self, sample: Duration) -> Option<Duration> {
        let mean = match self.mean_cpu {
            None => sample,
            Some(mean) => mean.saturating_mul(MEAN_OVER - 1).div(MEAN_OVER) + sample.div(MEAN_OVER),
        };
        self.mean_cpu = Some(mean);
        let wanted = whole_millis(mean.saturating_mul(CORE_SHARE));
        let grows = wanted >= self.interval + self.interval.div(8) && wanted > self.floor;
        let shrinks = self.interval > self.floor && wanted + self.interval.div(4) <= self.interval;
        if !grows && !shrinks {
            return None;
        }
        self.interval = wanted.max(self.floor);
        Some(self.interval)
    }

    /// The interval told last.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// The CPU time of one digest; `None` before the first.
    pub(super) fn digest_cpu(&self) -> Option<Duration> {
        self.mean_cpu
    }
}

fn whole_millis(span: Duration) -> Duration {
    Duration::from_nanos(span.as_nanos().div_ceil(1_000_000).saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Duration = Duration::from_millis(50);

    /// Serves a whole digest to `terminals` at `cost` each, 64 a turn.
    fn digest(pace: &mut Pace, terminals: u64, cost: Duration) -> Option<Duration> {
        pace.begin(terminals as usize);
        let mut told = None;
        let mut left = terminals;
        while left > 0 {
            let now = left.min(64);
            left -= now;
            told = pace.served(cost.saturating_mul(now), now, terminals as usize).or(told);
        }
        assert!(!pace.is_serving());
        told
    }

    #[test]
    fn cheap_digests_come_with_every_slice() {
        let mut pace = Pace::new(SLICE);
        for _ in 0..50 {
            assert_eq!(digest(&mut pace, 10_000, Duration::from_nanos(2_400)), None);
        }
        assert_eq!((pace.interval(), pace.digest_cpu()), (SLICE, Some(Duration::from_millis(24))));
    }

    #[test]
    fn dear_digests_are_stretched_to_half_a_core_and_back() {
        let mut pace = Pace::new(SLICE);
        assert_eq!(digest(&mut pace, 10_000, Duration::from_micros(4)), Some(Duration::from_millis(80)));
        for _ in 0..10 {
            // A tenth more or less is noise.
            assert_eq!(digest(&mut pace, 10_000, Duration::from_nanos(4_300)), None);
            assert_eq!(digest(&mut pace, 10_000, Duration::from_nanos(3_700)), None);
        }
        let mut told = Vec::new();
        for _ in 0..30 {
            told.extend(digest(&mut pace, 10_000, Duration::from_micros(1)));
        }
        assert_eq!(told.last(), Some(&SLICE), "{told:?}");
        assert!(told.windows(2).all(|pair| pair[1] < pair[0]), "{told:?}");
    }

    #[test]
    fn one_sample_moves_it_by_a_quarter_of_the_way() {
        let mut pace = Pace::new(SLICE);
        digest(&mut pace, 100, Duration::from_micros(400));
        assert_eq!(pace.interval(), Duration::from_millis(80));
        assert_eq!(digest(&mut pace, 100, Duration::from_micros(1_200)), Some(Duration::from_millis(120)));
    }

    #[test]
    fn digests_that_overlap_are_measured_all_the_same() {
        let mut pace = Pace::new(SLICE);
        let mut told = None;
        for _ in 0..10 {
            pace.begin(1_000);
            for _ in 0..10 {
                told = pace.served(Duration::from_millis(5), 50, 1_000).or(told);
            }
        }
        assert!(pace.is_serving(), "half of each is still to be sent");
        assert_eq!(told, Some(Duration::from_millis(200)));
    }

    #[test]
    fn members_that_left_end_the_wait_for_them() {
        let mut pace = Pace::new(SLICE);
        pace.begin(100);
        assert_eq!(pace.served(Duration::from_micros(10), 40, 40), None);
        pace.begin(40);
        assert_eq!(pace.served(Duration::from_micros(10), 0, 40), None);
        assert!(!pace.is_serving());
        pace.begin(10);
        assert_eq!(pace.served(Duration::ZERO, 0, 0), None, "nobody is there");
        assert!(!pace.is_serving());
    }
}
