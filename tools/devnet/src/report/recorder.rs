//! Takes the times at which terminals were told what, and makes the figures and curves of a report of them.
//!
//! Every latency runs from the *intended* send time to the moment the terminal that sent it was told: a stall delays
//! the sending and must not hide in it. Values are whole microseconds, held between 1 µs and 10 minutes.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use hpb_base::limits::REPORT_SECONDS_MAX;
use hpb_base::{Duration, Instant};

use super::json::{Latencies, Quantiles};
use crate::producers::EpochTurns;

/// The least latency that is told apart, in microseconds.
pub const LATENCY_US_MIN: u64 = 1;
/// The largest latency that is told apart, in microseconds: 10 minutes, a transaction's longest life.
pub const LATENCY_US_MAX: u64 = 600_000_000;
/// Decimal digits that a histogram keeps of a value.
const SIGNIFICANT_DIGITS: u8 = 3;
/// Leading bits that a second's own distribution keeps of a value: exact to 0.8 %.
const SECOND_BITS: u32 = 8;
/// Points of a curve above the median, a factor of ten of the rest that lies above.
const TAIL_POINTS: u32 = 16;
/// The last point of a curve: all but this many in a million lie below.
const TAIL_PPM_MIN: f64 = 100.0;
const MILLION: f64 = 1e6;

/// How far a transaction has come, as its user is told (PROTOCOL.md, "What a user is told").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// In the mempool.
    Received,
    /// In a slice.
    Included,
    /// Confirmed by k producers other than the slice's own.
    ConfirmedK,
    /// Its slice is justified.
    Justified,
    /// Never undone.
    Final,
}

impl Level {
    /// All, in their order.
    pub const ALL: [Self; 5] = [Self::Received, Self::Included, Self::ConfirmedK, Self::Justified, Self::Final];

    /// The name of its fields in report.json.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Included => "included",
            Self::ConfirmedK => "confirmed_k",
            Self::Justified => "justified",
            Self::Final => "final",
        }
    }

    /// The name for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ConfirmedK => "confirmed",
            _ => self.key(),
        }
    }
}

/// One distribution of latencies in microseconds.
#[derive(Clone, Debug)]
pub struct LatencyRecorder {
    histogram: Histogram<u64>,
    /// The largest value, which the histogram knows to three digits only.
    max_us: u64,
}

/// One point of a distribution's curve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CurvePoint {
    /// The share of values at or below, in a million.
    pub below_ppm: f64,
    /// The value, in microseconds.
    pub value_us: u64,
}

/// What one second of a run saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Second {
    /// Transactions sent in it.
    pub submitted: u64,
    /// Transactions whose sender was told `included` in it.
    pub included: u64,
    /// Transactions whose sender was told `final` in it.
    pub finals: u64,
    /// How long transactions meant to leave in it took to `confirmed_k`: rounded value -> count.
    confirmed_us: BTreeMap<u64, u64>,
}

/// Everything that a run's terminals measure.
#[derive(Clone, Debug)]
pub struct Measurements {
    start: Instant,
    levels: [LatencyRecorder; 5],
    seconds: Vec<Second>,
}

/// What the charts of a report show beyond the figures of report.json.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Charts {
    /// A curve a level, in the order of [`Level::ALL`]; empty where nothing was measured.
    pub curves: [Vec<CurvePoint>; 5],
    /// The run by seconds from the start of submission.
    pub seconds: Vec<Second>,
    /// Who had which slot.
    pub turns: Vec<EpochTurns>,
}

impl LatencyRecorder {
    /// Nothing recorded.
    pub fn new() -> Self {
        let bounds = Histogram::new_with_bounds(LATENCY_US_MIN, LATENCY_US_MAX, SIGNIFICANT_DIGITS);
        let Ok(histogram) = bounds else { unreachable!("the bounds are constants that the histogram allows") };
        Self { histogram, max_us: 0 }
    }

    /// Records one span.
    pub fn record(&mut self, span: Duration) {
        let us = span.as_micros().clamp(LATENCY_US_MIN, LATENCY_US_MAX);
        self.histogram.saturating_record(us);
        self.max_us = self.max_us.max(us);
    }

    /// Takes in what another recorder has.
    pub fn merge(&mut self, other: &Self) {
        let added = self.histogram.add(&other.histogram);
        assert!(added.is_ok(), "all recorders have the same bounds");
        self.max_us = self.max_us.max(other.max_us);
    }

    /// How many spans were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The values that were recorded, in microseconds and ascending, with how often each came; the largest is exact.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.histogram.iter_recorded().map(|at| (at.value_iterated_to().min(self.max_us), at.count_at_value()))
    }

    /// The value that a share of all, 0 to 1, lies at or below, in microseconds; 0 if nothing was recorded.
    pub fn quantile_us(&self, share: f64) -> u64 {
        self.histogram.value_at_quantile(share).min(self.max_us)
    }

    /// The figures for report.json.
    pub fn quantiles(&self) -> Quantiles {
        Quantiles {
            count: self.count(),
            p50: self.quantile_us(0.5),
            p90: self.quantile_us(0.9),
            p99: self.quantile_us(0.99),
            p999: self.quantile_us(0.999),
            max: self.max_us,
        }
    }

    /// The curve: every per cent up to the median, then closer and closer to the end, which is 99.99 % or, with fewer
    /// than 10,000 values, the share that is told apart from all.
    pub fn curve(&self) -> Vec<CurvePoint> {
        if self.count() == 0 {
            return Vec::new();
        }
        #[allow(clippy::cast_precision_loss)] // a share to six digits
        let least_ppm = (MILLION / self.count() as f64).max(TAIL_PPM_MIN);
        let body = (1..50).map(|per_cent| f64::from(per_cent) * 1e4);
        let tail = (0..)
            .map(|step| 0.5 * MILLION * 10f64.powf(-f64::from(step) / f64::from(TAIL_POINTS)))
            .take_while(|above_ppm| *above_ppm > least_ppm)
            .map(|above_ppm| MILLION - above_ppm);
        let last = (least_ppm < 0.5 * MILLION).then_some(MILLION - least_ppm);
        body.chain(tail)
            .chain(last)
            .map(|below_ppm| CurvePoint { below_ppm, value_us: self.quantile_us(below_ppm / MILLION) })
            .collect()
    }
}

impl Default for LatencyRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Second {
    /// The latency to `confirmed_k` that `per_mille` of its transactions lie at or below, in microseconds; `None` if
    /// none was confirmed.
    pub fn confirmed_us(&self, per_mille: u64) -> Option<u64> {
        let count: u64 = self.confirmed_us.values().sum();
        let rank = (count * per_mille).div_ceil(1_000).max(1);
        let mut below = 0;
        self.confirmed_us.iter().find_map(|(value, count)| {
            below += count;
            (below >= rank).then_some(*value)
        })
    }

    /// Takes in what another second, or the same one elsewhere, saw.
    pub fn merge(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.included += other.included;
        self.finals += other.finals;
        for (value, count) in &other.confirmed_us {
            *self.confirmed_us.entry(*value).or_default() += count;
        }
    }
}

impl Measurements {
    /// Nothing measured yet; `start` is the intended time of the first submission.
    pub fn new(start: Instant) -> Self {
        Self { start, levels: std::array::from_fn(|_| LatencyRecorder::new()), seconds: Vec::new() }
    }

    /// A transaction was sent at `at`.
    pub fn submitted(&mut self, at: Instant) {
        if let Some(second) = self.second(at) {
            second.submitted += 1;
        }
    }

    /// The sender of a transaction that was meant to leave at `intended` was told `level` at `at`.
    pub fn told(&mut self, level: Level, intended: Instant, at: Instant) {
        let span = at.since(intended);
        self.levels[level as usize].record(span);
        let second = match level {
            Level::Included | Level::Final => self.second(at),
            Level::ConfirmedK => self.second(intended),
            Level::Received | Level::Justified => None,
        };
        let Some(second) = second else { return };
        match level {
            Level::Included => second.included += 1,
            Level::Final => second.finals += 1,
            _ => *second.confirmed_us.entry(rounded_us(span)).or_default() += 1,
        }
    }

    /// Takes in what other terminals of the same run measured.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.levels.iter_mut().zip(&other.levels) {
            mine.merge(theirs);
        }
        if self.seconds.len() < other.seconds.len() {
            self.seconds.resize_with(other.seconds.len(), Second::default);
        }
        for (mine, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            mine.merge(theirs);
        }
    }

    /// One level's distribution: for a live view.
    pub fn level(&self, level: Level) -> &LatencyRecorder {
        &self.levels[level as usize]
    }

    /// The figures for report.json.
    pub fn latencies(&self) -> Latencies {
        let of = |level| self.level(level).quantiles();
        Latencies {
            received: of(Level::Received),
            included: of(Level::Included),
            confirmed_k: of(Level::ConfirmedK),
            justified: of(Level::Justified),
            finals: of(Level::Final),
        }
    }

    /// What the charts show.
    pub fn charts(&self) -> Charts {
        Charts {
            curves: Level::ALL.map(|level| self.level(level).curve()),
            seconds: self.seconds.clone(),
            turns: Vec::new(),
        }
    }

    fn second(&mut self, at: Instant) -> Option<&mut Second> {
        let place = usize::try_from(at.since(self.start).as_nanos() / 1_000_000_000).ok()?;
        if place >= REPORT_SECONDS_MAX {
            return None;
        }
        if place >= self.seconds.len() {
            self.seconds.resize_with(place + 1, Second::default);
        }
        self.seconds.get_mut(place)
    }
}

/// A span in microseconds with its low bits cut, so that one second holds few distinct values.
fn rounded_us(span: Duration) -> u64 {
    let us = span.as_micros().clamp(LATENCY_US_MIN, LATENCY_US_MAX);
    let cut = us.ilog2().saturating_sub(SECOND_BITS - 1);
    us >> cut << cut
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn quantiles_are_within_three_digits_and_never_above_the_largest() {
        let mut recorder = LatencyRecorder::new();
        for us in 1..=10_000 {
            recorder.record(Duration::from_micros(us));
        }
        let quantiles = recorder.quantiles();
        assert_eq!((quantiles.count, quantiles.max), (10_000, 10_000));
        for (got, exact) in
            [(quantiles.p50, 5_000u64), (quantiles.p90, 9_000), (quantiles.p99, 9_900), (quantiles.p999, 9_990)]
        {
            assert!(got.abs_diff(exact) * 1_000 <= exact && got <= quantiles.max, "{got} for {exact}");
        }
    }

    #[test]
    fn spans_out_of_range_are_held_at_its_ends() {
        let mut recorder = LatencyRecorder::new();
        assert_eq!(recorder.quantiles(), Quantiles::default());
        recorder.record(Duration::ZERO);
        assert_eq!(recorder.quantiles().p50, LATENCY_US_MIN);
        recorder.record(Duration::MAX);
        assert_eq!(recorder.quantiles().max, LATENCY_US_MAX);
    }

    #[test]
    fn a_curve_rises_and_ends_where_the_count_ends() {
        let mut recorder = LatencyRecorder::new();
        assert!(recorder.curve().is_empty());
        recorder.record(Duration::from_micros(3));
        assert!(recorder.curve().iter().all(|point| point.value_us == 3));
        for us in 1..=1_000 {
            recorder.record(Duration::from_micros(us));
        }
        let curve = recorder.curve();
        assert!(curve.is_sorted_by(|a, b| a.below_ppm < b.below_ppm && a.value_us <= b.value_us));
        let last = curve.last().unwrap().below_ppm;
        assert!((last - 999_001.0).abs() < 1.0, "{last}");
        for _ in 0..100_000 {
            recorder.record(Duration::from_micros(5));
        }
        assert!((recorder.curve().last().unwrap().below_ppm - 999_900.0).abs() < 0.01);
    }

    #[test]
    fn a_stall_is_charged_to_the_second_that_was_meant() {
        let start = Instant::from_millis(2_000);
        let at = |ms| start + Duration::from_millis(ms);
        let mut measurements = Measurements::new(start);
        measurements.submitted(at(1_500));
        measurements.told(Level::Received, at(500), at(1_501));
        measurements.told(Level::Included, at(500), at(1_600));
        measurements.told(Level::ConfirmedK, at(500), at(2_500));
        measurements.told(Level::Justified, at(500), at(2_600));
        measurements.told(Level::Final, at(500), at(3_000));
        let latencies = measurements.latencies();
        assert_eq!((latencies.received.max, latencies.finals.max), (1_001_000, 2_500_000));
        let charts = measurements.charts();
        let counts: Vec<[u64; 3]> = charts.seconds.iter().map(|s| [s.submitted, s.included, s.finals]).collect();
        assert_eq!(counts, [[0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]]);
        let confirmed = charts.seconds[0].confirmed_us(500).unwrap();
        assert!((1_968_000..=2_000_000).contains(&confirmed), "{confirmed}");
        assert_eq!(charts.seconds[1].confirmed_us(500), None);
    }

    #[test]
    fn merged_measurements_are_those_of_one() {
        let mut both = Measurements::new(Instant::ZERO);
        let mut parts = [both.clone(), both.clone()];
        for ms in 0..4_000 {
            let at = Instant::from_millis(ms);
            for measurements in [&mut both, &mut parts[ms as usize % 2]] {
                measurements.submitted(at);
                measurements.told(Level::ConfirmedK, at, at + Duration::from_millis(ms % 97));
            }
        }
        let [mut first, second] = parts;
        first.merge(&second);
        assert_eq!(first.latencies(), both.latencies());
        assert_eq!(first.charts(), both.charts());
    }

    #[test]
    fn a_second_beyond_the_series_counts_in_the_totals_only() {
        let mut measurements = Measurements::new(Instant::ZERO);
        let late = Instant::ZERO + Duration::from_secs(REPORT_SECONDS_MAX as u64);
        measurements.submitted(late);
        measurements.told(Level::Final, Instant::ZERO, late);
        assert!(measurements.charts().seconds.is_empty());
        assert_eq!(measurements.latencies().finals.count, 1);
    }
}
