//! How long data syncs took: a small histogram of integers, for `fdatasync_us` of the reports.
//!
//! It keeps counts, never samples: a few kilobytes however long the node runs. A quantile is exact below 32 µs and
//! within 1/16 above.

use hpb_base::{Duration, Instant};

/// Tells the time; the runtime's clock on a host, the virtual one in a simulation.
pub type Clock = Box<dyn FnMut() -> Instant + Send>;

const LINEAR: u64 = 32;
const STEPS: u64 = 16;
/// Values of up to 2^36 µs (19 hours) have a bucket; longer ones share the last.
const BUCKETS: usize = (LINEAR + 31 * STEPS) as usize;

/// A histogram of durations in whole microseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncTimes {
    counts: Vec<u64>,
    count: u64,
    max_us: u64,
}

impl Default for SyncTimes {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max_us: 0 }
    }
}

impl SyncTimes {
    /// An empty histogram.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one duration, rounded up to whole microseconds.
    pub fn record(&mut self, taken: Duration) {
        let micros = taken.as_nanos().div_ceil(1_000);
        self.counts[bucket_of(micros)] += 1;
        self.count += 1;
        self.max_us = self.max_us.max(micros);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            *own += more;
        }
        self.count += other.count;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// Durations counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest one, in microseconds.
    pub fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The smallest bucket's upper end, in microseconds, below which at least `per_mille` thousandths of the counts
    /// lie (500 for the median); never above the longest one, 0 when nothing was counted.
    pub fn quantile_us(&self, per_mille: u32) -> u64 {
        let rank = u128::from(self.count) * u128::from(per_mille.min(1_000));
        let rank = rank.div_ceil(1_000).max(1) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_end_of(bucket).min(self.max_us);
            }
        }
        self.max_us
    }
}

fn bucket_of(micros: u64) -> usize {
    if micros < LINEAR {
        return micros as usize;
    }
    let octave = u64::from(micros.ilog2());
    let step = (micros >> (octave - 4)) - STEPS;
    ((LINEAR + (octave - 5) * STEPS + step) as usize).min(BUCKETS - 1)
}

fn upper_end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < LINEAR {
        return bucket;
    }
    let octave = (bucket - LINEAR) / STEPS + 5;
    let step = (bucket - LINEAR) % STEPS + STEPS;
    ((step + 1) << (octave - 4)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_of_a_known_row() {
        let mut times = SyncTimes::new();
        assert_eq!((times.quantile_us(500), times.max_us(), times.count()), (0, 0, 0));
        for micros in 1..=1_000 {
            times.record(Duration::from_micros(micros));
        }
        let middle = times.quantile_us(500);
        assert!((500..=532).contains(&middle), "{middle}");
        assert_eq!(times.quantile_us(1_000), 1_000);
        assert_eq!(times.quantile_us(10), 10);
        let mut twice = times.clone();
        twice.merge(&times);
        assert_eq!((twice.count(), twice.quantile_us(500)), (2_000, middle));
    }

    #[test]
    fn what_is_too_long_shares_the_last_bucket() {
        let mut times = SyncTimes::new();
        times.record(Duration::MAX);
        assert_eq!(times.count(), 1);
        assert!(times.quantile_us(500) > 1 << 35);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_values_within_a_sixteenth(micros in 0_u64..1 << 36) {
            let bucket = bucket_of(micros);
            let upper = upper_end_of(bucket);
            prop_assert!(micros <= upper && upper - micros <= micros / 16);
            prop_assert!(bucket == 0 || upper_end_of(bucket - 1) < micros);
        }
    }
}
