//! Words of scenarios' files: times, shares, rates, sizes, distributions, limits; and the nearest of known words.

use hpb_base::Duration;
use hpb_net::wire::Jitter;

use super::{Limit, LimitFigure};

/// The longest time that any key takes.
pub(super) const TIME_MAX: Duration = Duration::from_secs(3_600);
/// The least weight of a Pareto distribution's tail, above which it has a mean, and the largest.
const SHAPE: std::ops::RangeInclusive<f64> = 1.001..=100.0;

/// A number, and the unit behind it.
fn measured(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let unit_at = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == '_'))?;
    let number: f64 = text[..unit_at].replace('_', "").parse().ok()?;
    Some((number, text[unit_at..].trim_start()))
}

/// `250us`, `1.5 ms`, `10s`; up to an hour.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = measured(text)?;
    let nanos = match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "min" => 60e9,
        _ => return None,
    } * number;
    let span = Duration::from_nanos(rounded(nanos)?);
    (span <= TIME_MAX).then_some(span)
}

/// `0.1 %` or `1000 ppm`, in parts per million.
pub(super) fn share(text: &str) -> Option<u32> {
    let (number, unit) = measured(text)?;
    let ppm = match unit {
        "%" => number * 1e4,
        "ppm" => number,
        _ => return None,
    };
    u32::try_from(rounded(ppm)?).ok().filter(|ppm| *ppm <= 1_000_000)
}

/// `10 Gbit/s`, in bits a second.
pub(super) fn rate(text: &str) -> Option<u64> {
    let (number, unit) = measured(text)?;
    let bits = match unit {
        "bit/s" => 1.0,
        "kbit/s" => 1e3,
        "Mbit/s" => 1e6,
        "Gbit/s" => 1e9,
        _ => return None,
    } * number;
    rounded(bits).filter(|bits| (1_000..=1_000_000_000_000).contains(bits))
}

/// `256 KiB`, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = measured(text)?;
    let bytes = match unit {
        "B" => 1.0,
        "KiB" => 1_024.0,
        "MiB" => 1_048_576.0,
        _ => return None,
    } * number;
    rounded(bytes).filter(|bytes| (1..=1 << 30).contains(bytes))
}

/// `none`, `uniform 200us`, `exponential 1ms`, `normal 50us`, `pareto 100us 1.5`.
pub(super) fn jitter(text: &str) -> Option<Jitter> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let span = |word: &str| duration(word).filter(|span| *span <= Duration::from_secs(60));
    match words.as_slice() {
        ["none"] => Some(Jitter::None),
        ["uniform", most] => span(most).map(Jitter::Uniform),
        ["exponential", mean] => span(mean).map(Jitter::Exponential),
        ["normal", deviation] => span(deviation).map(Jitter::Normal),
        ["pareto", scale, shape] => {
            let shape = shape.parse().ok().filter(|shape| SHAPE.contains(shape))?;
            Some(Jitter::Pareto { scale: span(scale)?, shape_milli: u32::try_from(rounded(shape * 1e3)?).ok()? })
        }
        _ => None,
    }
}

/// `p99_us < 50`, `max_us < 900`, `lost_ppm < 10`, `per_s > 1000`.
pub(super) fn limit(text: &str, target: Option<&str>) -> Option<Limit> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [figure, sign, bound] = words.as_slice() else { return None };
    let figure = match *figure {
        "lost_ppm" => LimitFigure::LostPpm,
        "per_s" => LimitFigure::PerSecond,
        "max_us" => LimitFigure::PercentileUs(100.0),
        percentile => {
            let percent = percentile.strip_prefix('p')?.strip_suffix("_us")?.parse().ok()?;
            LimitFigure::PercentileUs(Some(percent).filter(|percent| (0.0..=100.0).contains(percent))?)
        }
    };
    let below = match *sign {
        "<" => true,
        ">" => false,
        _ => return None,
    };
    let bound = bound.replace('_', "").parse().ok().filter(|bound: &f64| bound.is_finite() && *bound >= 0.0)?;
    Some(Limit { text: words.join(" "), target: target.map(str::to_owned), figure, below, bound })
}

/// The nearest of `known`, if it is near.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let far = 1 + word.len() / 3;
    known
        .iter()
        .map(|other| (edits(word, other), *other))
        .filter(|(edits, _)| *edits <= far)
        .min()
        .map(|(_, near)| near)
}

/// Letters to change, add or leave out until one word is the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in to.iter().enumerate() {
            let changed = before + usize::from(letter != *other);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[allow(clippy::cast_sign_loss, reason = "held between 0 and 2^53")]
fn rounded(number: f64) -> Option<u64> {
    (0.0..9e15).contains(&number).then(|| number.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_with_their_units() {
        assert_eq!(duration("250us"), Some(Duration::from_micros(250)));
        assert_eq!(duration("1.5 ms"), Some(Duration::from_micros(1_500)));
        assert_eq!(duration("1_000 ns"), Some(Duration::from_micros(1)));
        for wrong in ["250", "us", "-1s", "2 h", "3601s", "", "1.2.3s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!((share("0.1 %"), share("12ppm"), share("101 %")), (Some(1_000), Some(12), None));
        assert_eq!((rate("10 Gbit/s"), rate("10 Gb")), (Some(10_000_000_000), None));
        assert_eq!((size("256 KiB"), size("0 B")), (Some(262_144), None));
        assert_eq!(jitter("exponential 1ms"), Some(Jitter::Exponential(Duration::from_millis(1))));
        let pareto = Jitter::Pareto { scale: Duration::from_micros(100), shape_milli: 1_500 };
        assert_eq!(
            (jitter("pareto 100us 1.5"), jitter("pareto 100us 1"), jitter("gauss 1ms")),
            (Some(pareto), None, None)
        );
    }

    #[test]
    fn limits_are_a_figure_a_sign_and_a_bound() {
        let found = limit("p99.9_us  <  1_000", Some("card"));
        assert!(found.is_some_and(|limit| limit.text == "p99.9_us < 1_000"
            && limit.figure == LimitFigure::PercentileUs(99.9)
            && limit.below
            && (limit.bound - 1_000.0).abs() < 1e-9
            && limit.target.as_deref() == Some("card")));
        assert!(limit("per_s > 100", None).is_some_and(|limit| !limit.below));
        for wrong in ["p99 < 5", "p101_us < 5", "p99_us <= 5", "p99_us < x", "p99_us < -1", "lost_ppm <"] {
            assert!(limit(wrong, None).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_nearest_word_is_told_if_it_is_near() {
        assert_eq!(nearest("sesions", &["seed", "sessions", "name"]), Some("sessions"));
        assert_eq!(nearest("zzz", &["seed", "sessions"]), None);
        assert_eq!((edits("kitten", "sitting"), edits("", "abc"), edits("same", "same")), (3, 3, 0));
    }
}
