#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "figures far below 2^53")]

use hpb_base::Random;

use super::*;

const UNIT: Duration = Duration::from_millis(1);

/// The delay at a probability of being at most that long, in milliseconds. A word is read as the probability of being
/// longer, but for the uniform and the normal distribution.
fn at(jitter: Jitter, probability: f64) -> f64 {
    let read = match jitter {
        Jitter::Uniform(_) => probability,
        // The upper half: further out the smaller the rest is.
        Jitter::Normal(_) => 0.5 + (1.0 - probability),
        _ => 1.0 - probability,
    };
    jitter.quantile((read * 2_f64.powi(64)) as u64).as_nanos() as f64 / 1e6
}

fn close(found: f64, expected: f64) {
    let apart = (found - expected).abs();
    assert!(apart <= 3e-6 + 1e-6 * expected, "{found} is not {expected}");
}

#[test]
fn quantiles_are_those_of_the_closed_form() {
    for percent in [1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.9999] {
        let probability = percent / 100.0;
        close(at(Jitter::Uniform(UNIT), probability), probability);
        close(at(Jitter::Exponential(UNIT), probability), -(1.0 - probability).ln());
        for shape_milli in [1_100, 2_000, 3_500] {
            let expected = (1.0 - probability).powf(-1_000.0 / f64::from(shape_milli));
            close(at(Jitter::Pareto { scale: UNIT, shape_milli }, probability), expected);
        }
    }
}

#[test]
fn normal_quantiles_are_those_of_the_tables() {
    // Abramowitz and Stegun, table 26.5.
    let tabled = [
        (0.6, 0.253_347),
        (0.75, 0.674_490),
        (0.9, 1.281_552),
        (0.95, 1.644_854),
        (0.99, 2.326_348),
        (0.999, 3.090_232),
        (0.999_9, 3.719_016),
        (0.999_999, 4.753_424),
    ];
    for (probability, expected) in tabled {
        close(at(Jitter::Normal(UNIT), probability), expected);
    }
    assert_eq!(Jitter::Normal(UNIT).quantile(u64::MAX >> 1), Duration::ZERO, "nothing below zero");
    let furthest = Jitter::Normal(UNIT).quantile(1 << 63).as_nanos();
    assert!((9_000_000..9_300_000).contains(&furthest), "2^-65 lies {furthest} ns out");
}

#[test]
fn means_are_those_of_the_closed_form() {
    let mean = |jitter: Jitter| {
        let mut random = Random::new(5);
        let draws = 400_000;
        let sum: u64 = (0..draws).map(|_| jitter.quantile(random.next_u64()).as_nanos()).sum();
        sum as f64 / f64::from(draws) / 1e6
    };
    let cases = [
        (Jitter::None, 0.0),
        (Jitter::Uniform(UNIT), 0.5),
        (Jitter::Exponential(UNIT), 1.0),
        (Jitter::Normal(UNIT), 1.0 / (2.0 * std::f64::consts::PI).sqrt()),
        (Jitter::Pareto { scale: UNIT, shape_milli: 3_000 }, 1.5),
    ];
    for (jitter, expected) in cases {
        let found = mean(jitter);
        assert!((found - expected).abs() < 0.006, "{jitter:?}: {found} is not {expected}");
    }
}

#[test]
fn no_setting_and_no_word_breaks_a_draw() {
    for word in [0, 1, u64::MAX >> 1, 1 << 63, u64::MAX] {
        for span in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            assert!(Jitter::Uniform(span).quantile(word) <= span);
            let heavy = [0, 1, 1_000, u32::MAX].map(|shape_milli| Jitter::Pareto { scale: span, shape_milli });
            for jitter in [Jitter::Exponential(span), Jitter::Normal(span)].into_iter().chain(heavy) {
                assert!(jitter.quantile(word) <= JITTER_MAX, "{jitter:?}");
            }
        }
    }
}

#[test]
fn a_longer_draw_is_never_less_likely_to_come_first() {
    let words = (0..2_000_u64).map(|step| step << 53);
    for jitter in [Jitter::Exponential(UNIT), Jitter::Pareto { scale: UNIT, shape_milli: 1_500 }] {
        let delays: Vec<Duration> = words.clone().map(|word| jitter.quantile(word)).collect();
        assert!(delays.is_sorted_by(|a, b| a >= b), "{jitter:?}");
    }
}
