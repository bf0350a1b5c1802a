//! What repeats say about a figure, and about the ratio of two targets' figures: the mean, and where it lies with 95 %
//! confidence by Student's t.
//!
//! Ratios are taken on logarithms, so that twice and half weigh the same, and between repeats of the same number, since
//! those ran beside each other. One repeat has no interval, and so no verdict. It refuses to name a percentile that too
//! few values carry: see [`carries`].

#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // counts and nanoseconds below 2^53, never negative

use crate::record::{Comparison, Interval, Repeat, TargetRecord};

/// Values that lie above a percentile, at least, where it is told.
const ABOVE_MIN: f64 = 10.0;

/// What took less counts as so much in a ratio, in nanoseconds: on virtual time some things take none, and nothing is a
/// multiple of that.
const COMPARED_NS_MIN: f64 = 1.0;

/// The 97.5 % quantiles of Student's t, from one degree of freedom on (Student 1908; tables of it agree).
const T_QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// What is told of a target, and compared between two.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Figure {
    /// The latency at or below which so many percent lie, in nanoseconds.
    Percentile(f64),
    /// The largest latency, in nanoseconds.
    Max,
    /// Processor time a message that arrived, in nanoseconds.
    Cpu,
}

/// The figures that are compared, in their order.
pub const COMPARED: [Figure; 6] = [
    Figure::Percentile(50.0),
    Figure::Percentile(90.0),
    Figure::Percentile(99.0),
    Figure::Percentile(99.9),
    Figure::Max,
    Figure::Cpu,
];

impl Figure {
    /// Its word in a record: `p99.9`, `max`, `cpu`.
    pub fn name(self) -> String {
        match self {
            Self::Percentile(percent) => format!("p{percent}"),
            Self::Max => "max".to_owned(),
            Self::Cpu => "cpu".to_owned(),
        }
    }

    /// What it was in a repeat; none where nothing arrived, or where processor time was not measured.
    pub fn of(self, repeat: &Repeat) -> Option<f64> {
        match self {
            Self::Percentile(percent) => repeat.latency.percentile(percent).map(|ns| ns as f64),
            Self::Max => repeat.latency.max().map(|ns| ns as f64),
            Self::Cpu => {
                let (cpu_ns, arrived) = (repeat.cost.cpu_ns, repeat.counts.arrived);
                (cpu_ns > 0 && arrived > 0).then(|| cpu_ns as f64 / arrived as f64)
            }
        }
    }

    /// What it was in each repeat that has it, by the repeat's number; nothing where too few values carry it.
    pub fn values(self, target: &TargetRecord) -> Vec<(usize, f64)> {
        if let Self::Percentile(percent) = self {
            let counts: Vec<u64> = target.repeats.iter().map(|repeat| repeat.latency.count()).collect();
            if !carries(&counts, percent) {
                return Vec::new();
            }
        }
        let of = |(number, repeat)| self.of(repeat).map(|value| (number, value));
        target.repeats.iter().enumerate().filter_map(of).collect()
    }

    /// The same as ratios are taken of it.
    fn compared_values(self, target: &TargetRecord) -> Vec<(usize, f64)> {
        let least = if self == Self::Cpu { 0.0 } else { COMPARED_NS_MIN };
        self.values(target).into_iter().map(|(number, value)| (number, value.max(least))).collect()
    }

    /// What it was over all repeats; none where too few values carry it, or nothing was measured.
    pub fn interval(self, target: &TargetRecord) -> Option<Interval> {
        let values: Vec<f64> = self.values(target).into_iter().map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| interval(&values))
    }
}

/// Whether repeats with so many values each carry a percentile (0 to 100): at least ten values of all of them lie above
/// it, and at least one of each repeat. So p99.99 needs 100,000 values, and 10,000 in each repeat.
pub fn carries(counts: &[u64], percent: f64) -> bool {
    // A hair less, for shares that binary fractions do not hold exactly.
    let above = |count: u64| count as f64 * (1.0 - percent / 100.0) + 1e-6;
    let counts = counts.iter().filter(|count| **count > 0);
    let all = counts.clone().fold(0, |sum, count| u64::saturating_add(sum, *count));
    above(all) >= ABOVE_MIN && counts.into_iter().all(|count| above(*count) >= 1.0)
}

/// The mean of values, and where it lies. The value itself where there is one; zero of none. Values are finite.
pub fn interval(values: &[f64]) -> Interval {
    let Some((mean, half)) = mean_and_half(values) else { return Interval::default() };
    let is_positive = values.iter().all(|value| *value >= 0.0);
    // What is never negative has no mean below zero either.
    let low = if is_positive { (mean - half).max(0.0) } else { mean - half };
    Interval { value: rounded(mean), low: rounded(low), high: rounded(mean + half) }
}

/// The other's figure over the base's: the geometric mean over pairs of the same place, and where it lies. Pairs of
/// which one is not above zero are left out; zero without a pair.
pub fn ratio(base: &[f64], other: &[f64]) -> Interval {
    let logs: Vec<f64> = base
        .iter()
        .zip(other)
        .filter(|(base, other)| **base > 0.0 && **other > 0.0)
        .map(|(base, other)| (other / base).ln())
        .collect();
    let Some((mean, half)) = mean_and_half(&logs) else { return Interval::default() };
    of_logs(mean, half)
}

/// The same of values that are no pairs, because they did not run beside each other: Welch's t on logarithms.
pub fn ratio_apart(base: &[f64], other: &[f64]) -> Interval {
    let logs = |values: &[f64]| values.iter().filter(|value| **value > 0.0).map(|value| value.ln()).collect();
    let (base, other): (Vec<f64>, Vec<f64>) = (logs(base), logs(other));
    if base.is_empty() || other.is_empty() {
        return Interval::default();
    }
    let ((base_mean, base_error), (other_mean, other_error)) = (mean_and_error(&base), mean_and_error(&other));
    let error = base_error + other_error;
    if error <= 0.0 || base.len() < 2 || other.len() < 2 {
        return of_logs(other_mean - base_mean, 0.0);
    }
    let part = |error: f64, values: &[f64]| error * error / (values.len() - 1) as f64;
    let freedom = error * error / (part(base_error, &base) + part(other_error, &other));
    of_logs(other_mean - base_mean, t_quantile((freedom.floor() as usize).max(1)) * error.sqrt())
}

fn of_logs(mean: f64, half: f64) -> Interval {
    Interval { value: rounded(mean.exp()), low: rounded((mean - half).exp()), high: rounded((mean + half).exp()) }
}

/// To a millionth, so that the last bit of a logarithm is no difference between machines.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Each target beside the first, figure by figure, as far as both have it.
pub fn comparisons(targets: &[TargetRecord]) -> Vec<Comparison> {
    let Some((base, others)) = targets.split_first() else { return Vec::new() };
    others.iter().flat_map(|other| beside(base, other)).collect()
}

/// One target beside a base.
pub fn beside(base: &TargetRecord, other: &TargetRecord) -> Vec<Comparison> {
    COMPARED.into_iter().filter_map(|figure| compared(base, other, figure)).collect()
}

/// One target against a base of another run: no repeat of one ran beside one of the other.
pub fn apart(base: &TargetRecord, other: &TargetRecord) -> Vec<Comparison> {
    let compared = |figure: Figure| {
        let of = |target| figure.compared_values(target).into_iter().map(|(_, value)| value).collect::<Vec<f64>>();
        let (base_values, other_values) = (of(base), of(other));
        let ratio = ratio_apart(&base_values, &other_values);
        let repeats = base_values.len().min(other_values.len());
        (ratio.value > 0.0).then(|| Comparison {
            base: base.name.clone(),
            target: other.name.clone(),
            figure: figure.name(),
            ratio,
            verdict: if repeats > 1 { verdict(ratio) } else { None },
        })
    };
    COMPARED.into_iter().filter_map(compared).collect()
}

fn compared(base: &TargetRecord, other: &TargetRecord, figure: Figure) -> Option<Comparison> {
    let others = figure.compared_values(other);
    let pairs = figure.compared_values(base).into_iter().filter_map(|(number, value)| {
        let beside = others.iter().find(|(other, _)| *other == number)?;
        (value > 0.0 && beside.1 > 0.0).then_some((value, beside.1))
    });
    let (base_values, other_values): (Vec<f64>, Vec<f64>) = pairs.unzip();
    if base_values.is_empty() {
        return None;
    }
    let ratio = ratio(&base_values, &other_values);
    Some(Comparison {
        base: base.name.clone(),
        target: other.name.clone(),
        figure: figure.name(),
        ratio,
        verdict: if base_values.len() > 1 { verdict(ratio) } else { None },
    })
}

/// `faster` or `slower` where all of the interval lies on one side of 1.
fn verdict(ratio: Interval) -> Option<String> {
    if ratio.high < 1.0 {
        Some("faster".to_owned())
    } else if ratio.low > 1.0 {
        Some("slower".to_owned())
    } else {
        None
    }
}

/// The mean and half the width of its interval; none of no values.
fn mean_and_half(values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    let (mean, error) = mean_and_error(values);
    Some((mean, t_quantile(values.len() - 1) * error.sqrt()))
}

/// The mean, and the square of its standard error, which one value does not have. Of at least one value.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { squares / (count - 1.0) / count } else { 0.0 })
}

/// The 97.5 % quantile of Student's t. Beyond the table by the first terms of its expansion around the normal's
/// (Cornish and Fisher 1938), right to three places there.
fn t_quantile(freedom: usize) -> f64 {
    const NORMAL: f64 = 1.959_964;
    if let Some(quantile) = T_QUANTILES.get(freedom.saturating_sub(1)) {
        return *quantile;
    }
    let freedom = freedom as f64;
    let first = (NORMAL.powi(3) + NORMAL) / 4.0;
    let second = (5.0 * NORMAL.powi(5) + 16.0 * NORMAL.powi(3) + 3.0 * NORMAL) / 96.0;
    NORMAL + first / freedom + second / freedom.powi(2)
}

#[cfg(test)]
mod tests;
