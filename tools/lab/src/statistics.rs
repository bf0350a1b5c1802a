//! What a few repeats say of a figure, and of the ratio of two.
//!
//! A repeat is one value: messages of one repeat share what happened to it and are no independent draws. Intervals are
//! Student's t over repeats, with 95 % confidence. Ratios are taken repeat by repeat, because targets take turns and two
//! neighbours share the state of the machine, and as logarithms, because half and double are equally far from one. Where
//! there are two to ten values a bootstrap could only draw those again and would come out too narrow.

use crate::record::Interval;

/// Student's t at 97.5 %, for one degree of freedom and more (Abramowitz and Stegun, table 26.10).
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// Where the table ends: between this and the normal distribution's 1.960.
const T_BEYOND: f64 = 2.042;

/// The mean of a figure over repeats, and where it lies; nothing of no repeat.
pub fn mean(values: &[f64]) -> Option<Interval> {
    let (mean, half) = spread(values)?;
    Some(Interval { value: rounded(mean), low: rounded(mean - half), high: rounded(mean + half) })
}

/// How many times one figure is the other, repeat by repeat; nothing if a figure is not above zero.
pub fn ratio(base: &[f64], other: &[f64]) -> Option<Interval> {
    if base.iter().chain(other).any(|value| *value <= 0.0) {
        return None;
    }
    let logarithms: Vec<f64> = base.iter().zip(other).map(|(base, other)| (other / base).ln()).collect();
    let (mean, half) = spread(&logarithms)?;
    Some(Interval { value: rounded(mean.exp()), low: rounded((mean - half).exp()), high: rounded((mean + half).exp()) })
}

/// What a ratio of latencies or costs says: nothing while its interval holds 1, or while there is but one repeat.
pub fn verdict(ratio: &Interval, repeats: usize) -> Option<&'static str> {
    match () {
        () if repeats < 2 => None,
        () if ratio.high < 1.0 => Some("faster"),
        () if ratio.low > 1.0 => Some("slower"),
        () => None,
    }
}

/// The mean, and half the length of its interval; one value has none.
#[allow(clippy::cast_precision_loss, reason = "a thousand repeats at most")]
fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count;
    if values.len() == 1 {
        return Some((mean, 0.0));
    }
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (count - 1.0);
    let t = T.get(values.len() - 2).copied().unwrap_or(T_BEYOND);
    Some((mean, t * (variance / count).sqrt()))
}

/// To a millionth, so that one machine's last bit of a logarithm is no difference.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
    }

    #[test]
    fn the_interval_of_a_mean_is_student_s() {
        let found = mean(&[9.0, 10.0, 11.0, 10.0, 10.0]).unwrap();
        near(found.value, 10.0);
        // s = 0.7071, s / sqrt(5) = 0.3162, t = 2.776.
        near(found.low, 9.1222);
        near(found.high, 10.8778);
        let one = mean(&[7.0]).unwrap();
        assert_eq!((one.value, one.low, one.high), (7.0, 7.0, 7.0));
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn ratios_are_taken_repeat_by_repeat() {
        // The machine's state changes by a factor of ten between the repeats; the ratio does not.
        let found = ratio(&[1.0, 10.0, 5.0], &[2.0, 20.0, 10.0]).unwrap();
        assert_eq!((found.value, found.low, found.high), (2.0, 2.0, 2.0));
        assert_eq!(ratio(&[0.0], &[1.0]), None);
    }

    #[test]
    fn a_verdict_needs_an_interval_that_leaves_one_out() {
        let at = |low, high| Interval { value: 1.0, low, high };
        assert_eq!(verdict(&at(0.8, 0.99), 5), Some("faster"));
        assert_eq!(verdict(&at(1.01, 1.2), 5), Some("slower"));
        assert_eq!(verdict(&at(0.9, 1.1), 5), None);
        assert_eq!(verdict(&at(0.5, 0.5), 1), None, "one repeat says nothing");
    }

    #[test]
    fn nineteen_of_twenty_intervals_hold_the_truth() {
        let mut random = hpb_base::Random::new(3);
        let mut holds = 0;
        for _ in 0..2_000 {
            let values: Vec<f64> = (0..5)
                .map(|_| (0..12).map(|_| f64::from(random.next_u64() as u32) / f64::from(u32::MAX)).sum())
                .collect();
            let found = mean(&values).unwrap();
            holds += u32::from((found.low..=found.high).contains(&6.0));
        }
        assert!((1_870..1_930).contains(&holds), "{holds} of 2000");
    }
}
