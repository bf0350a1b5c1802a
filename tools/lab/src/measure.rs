//! Takes the messages of one repeat, each against the moment at which it was meant to leave, and makes the repeat's
//! record of them.
//!
//! A stall of the sender delays the sending, and so must not hide in it: latency runs from the intended moment. The
//! same from the actual moment is kept beside it (`service`), so that a reader sees what a tool without intended times
//! would have said. Values lie between nothing, which on virtual time is what takes no time, and [`LATENCY_MAX`], to three
//! digits, or exactly where there are few different ones; what takes longer is counted there.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use hpb_base::{Duration, Instant};

use crate::record::{Buckets, Counts, Repeat, Series, Step, band};

/// The longest latency that is told apart.
pub const LATENCY_MAX: Duration = Duration::from_secs(600);
/// So many different values are kept exactly; with more, all are kept to three digits.
const EXACT_MAX: usize = 1_024;
/// Decimal digits that a histogram keeps of a value.
const SIGNIFICANT_DIGITS: u8 = 3;
/// Steps of a series at most.
pub const STEPS_MAX: u64 = 600;

/// A distribution that is being filled.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
    /// The values themselves and how often each came, as long as they are few: on virtual time they often are.
    exact: Option<BTreeMap<u64, u64>>,
}

/// What one repeat measures.
#[derive(Clone, Debug)]
pub struct Recorder {
    begin: Instant,
    end: Instant,
    latency: Distribution,
    service: Distribution,
    step: Duration,
    steps: Vec<StepRecorder>,
    /// What is counted beside latencies; `arrived` is counted here, and `expected` where [`Self::expects`] is told.
    pub counts: Counts,
}

#[derive(Clone, Debug)]
struct StepRecorder {
    expected: u64,
    latency: Histogram<u64>,
    bands: BTreeMap<u32, u64>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self::new()
    }
}

impl Distribution {
    /// An empty one.
    pub fn new() -> Self {
        Self { histogram: histogram(SIGNIFICANT_DIGITS), exact: Some(BTreeMap::new()) }
    }

    /// Takes one value.
    pub fn take(&mut self, value: Duration) {
        let value = clamped(value);
        self.histogram.saturating_record(value);
        if let Some(exact) = &mut self.exact {
            *exact.entry(value).or_default() += 1;
            if exact.len() > EXACT_MAX {
                self.exact = None;
            }
        }
    }

    /// What it holds.
    pub fn buckets(&self) -> Buckets {
        Buckets(match &self.exact {
            Some(exact) => exact.iter().map(|(value, count)| (*value, *count)).collect(),
            None => self.histogram.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect(),
        })
    }
}

impl Recorder {
    /// Measures what is meant to leave from `begin` on for `measured`; what is meant to leave at other times is not
    /// counted.
    pub fn new(begin: Instant, measured: Duration) -> Self {
        let step = Duration::from_nanos(measured.as_nanos().div_ceil(STEPS_MAX).max(1).next_multiple_of(1_000_000));
        let steps = measured.as_nanos().div_ceil(step.as_nanos()).max(1);
        let empty = StepRecorder { expected: 0, latency: histogram(2), bands: BTreeMap::new() };
        Self {
            begin,
            end: begin + measured,
            latency: Distribution::new(),
            service: Distribution::new(),
            step,
            steps: vec![empty; steps as usize],
            counts: Counts::default(),
        }
    }

    /// Whether what is meant to leave at `intended` is measured.
    pub fn measures(&self, intended: Instant) -> bool {
        (self.begin..self.end).contains(&intended)
    }

    /// A message is meant to leave at `intended`, and so many arrivals of it are meant: one, or one for each receiver.
    pub fn expects(&mut self, intended: Instant, arrivals: u64) {
        if !self.measures(intended) {
            return;
        }
        self.counts.expected += arrivals;
        let at = self.step_of(intended);
        if let Some(step) = self.steps.get_mut(at) {
            step.expected += arrivals;
        }
    }

    /// A message arrived that was meant to leave at `intended`, and did leave at `sent`.
    pub fn arrived(&mut self, intended: Instant, sent: Instant, now: Instant) {
        if !self.measures(intended) {
            return;
        }
        let latency = now.since(intended);
        self.counts.arrived += 1;
        self.latency.take(latency);
        self.service.take(now.since(sent));
        let at = self.step_of(intended);
        if let Some(step) = self.steps.get_mut(at) {
            step.latency.saturating_record(clamped(latency));
            *step.bands.entry(band(latency)).or_default() += 1;
        }
    }

    fn step_of(&self, intended: Instant) -> usize {
        (intended.since(self.begin).as_nanos() / self.step.as_nanos()) as usize
    }

    /// The repeat's record, but for hops, excess, cost and noise; `run_began` is the run's origin.
    pub fn finish(self, run_began: Instant) -> Repeat {
        let counts = Counts { lost: self.counts.expected.saturating_sub(self.counts.arrived), ..self.counts };
        Repeat {
            began_ns: self.begin.since(run_began).as_nanos(),
            measured_ns: self.end.since(self.begin).as_nanos(),
            latency: self.latency.buckets(),
            service: self.service.buckets(),
            counts,
            series: Series {
                step_ns: self.step.as_nanos(),
                steps: self.steps.into_iter().map(StepRecorder::finish).collect(),
            },
            ..Repeat::default()
        }
    }
}

impl StepRecorder {
    fn finish(self) -> Step {
        let arrived = self.latency.len();
        let at = |quantile: f64| if arrived == 0 { 0 } else { self.latency.value_at_quantile(quantile) };
        Step {
            expected: self.expected,
            arrived,
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            max_ns: at(1.0),
            bands: self.bands.into_iter().collect(),
        }
    }
}

fn histogram(digits: u8) -> Histogram<u64> {
    let bounds = Histogram::new_with_bounds(1, LATENCY_MAX.as_nanos(), digits);
    bounds.unwrap_or_else(|_| unreachable!("constant bounds that a histogram takes"))
}

fn clamped(value: Duration) -> u64 {
    value.as_nanos().min(LATENCY_MAX.as_nanos())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn latency_runs_from_the_intended_moment_and_only_what_was_meant_to_leave_in_time_counts() {
        let begin = Instant::from_millis(1_000);
        let mut recorder = Recorder::new(begin, Duration::from_secs(1));
        recorder.counts.expected = 2;
        let at = |ms| Instant::from_millis(ms);
        recorder.arrived(at(1_500), at(1_600), at(1_610));
        recorder.arrived(at(999), at(1_000), at(1_001));
        recorder.arrived(at(2_000), at(2_000), at(2_001));
        let repeat = recorder.finish(Instant::ZERO);
        assert_eq!(repeat.counts.arrived, 1);
        assert_eq!(repeat.counts.lost, 1);
        assert_eq!(repeat.latency.percentile(50.0).unwrap() / 100_000, 1_100);
        assert_eq!(repeat.service.percentile(50.0).unwrap() / 10_000, 1_000);
        assert_eq!((repeat.began_ns, repeat.measured_ns), (1_000_000_000, 1_000_000_000));
    }

    #[test]
    fn what_takes_no_time_is_nothing_in_every_form() {
        let at = Instant::from_millis(5);
        let (mut recorder, mut many) = (Recorder::new(Instant::ZERO, Duration::from_secs(1)), Distribution::new());
        recorder.arrived(at, at, at);
        let repeat = recorder.finish(Instant::ZERO);
        assert_eq!((repeat.latency, repeat.service), (Buckets(vec![(0, 1)]), Buckets(vec![(0, 1)])));
        let step = &repeat.series.steps[2];
        assert_eq!((step.arrived, step.p50_ns, step.max_ns, step.bands.as_slice()), (1, 0, 0, &[(0, 1)][..]));
        // Too many different ones to be kept exactly.
        (0..4_000).for_each(|value| many.take(Duration::from_nanos(value)));
        let buckets = many.buckets();
        assert_eq!((buckets.0[0], buckets.0[1], buckets.count()), ((0, 1), (1, 1), 4_000));
    }

    #[test]
    fn a_series_has_at_most_so_many_steps_and_a_message_is_in_that_of_its_intended_moment() {
        let mut recorder = Recorder::new(Instant::ZERO, Duration::from_secs(60));
        recorder.expects(Instant::from_millis(150), 2);
        recorder.expects(Instant::from_millis(60_000), 1);
        recorder.arrived(Instant::from_millis(150), Instant::from_millis(150), Instant::from_millis(151));
        assert_eq!(recorder.counts.expected, 2);
        let series = recorder.finish(Instant::ZERO).series;
        assert_eq!((series.step_ns, series.steps.len()), (100_000_000, 600));
        assert_eq!((series.steps[1].expected, series.steps[1].arrived), (2, 1));
        assert_eq!(series.steps.iter().map(|step| step.arrived).sum::<u64>(), 1);
    }
}
