//! `hpb peer clock`: how far a peer's clock is from this host's, and how fast they part. Offsets are those of RFC 5905,
//! section 8; of several answers the one with the shortest way counts most, because it can be off by half its way only.

use std::time::Duration;

use hpb_types::message::diagnose::{Ask, Tell};
use serde::Serialize;

use super::session::{NoAnswer, Session, Target};
use super::sys;
use super::text::{Paint, line, micros};

/// A peer whose clock is farther off than this is told to be wrong, in microseconds: slices are judged by clocks that agree
/// within a fraction of a slot.
pub const OFFSET_US_MAX: u64 = 500_000;
/// Drift beyond which a clock is told to run wrong, in parts per million: ten times that of a plain crystal.
pub const DRIFT_PPM_MAX: f64 = 500.0;
/// A drift is not told from less than this, in microseconds.
const DRIFT_SPAN_US_MIN: u64 = 2_000_000;
/// Answers that may be asked for.
pub const COUNT_MAX: u32 = 10_000;

/// One answer: when it was asked by this host's clock, and what it came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Sample {
    /// Since the first, in microseconds.
    pub at_us: u64,
    /// The peer's clock less this host's, in microseconds.
    pub offset_us: i64,
    /// The way there and back, in microseconds.
    pub round_trip_us: u64,
}

/// A peer's clock.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ClockReport {
    /// Whose.
    pub address: String,
    /// The peer's clock less this host's, in microseconds.
    pub offset_us: i64,
    /// How much the offset may be wrong, in microseconds.
    pub within_us: u64,
    /// How fast the offset grows, in parts per million; none where it was looked at for less than two seconds.
    pub drift_ppm: Option<f64>,
    /// The answers.
    pub samples: Vec<Sample>,
}

/// Asks the peer's clock `count` times, `interval` apart.
///
/// # Errors
/// The peer does not answer.
pub fn clock(target: &Target, session: &mut Session, count: u32, interval: Duration) -> Result<ClockReport, NoAnswer> {
    let (mut samples, began_ns) = (Vec::new(), sys::monotonic_ns());
    for number in 0..count.clamp(1, COUNT_MAX) {
        if number > 0 {
            super::rest(interval);
        }
        let (asked_ns, asked_wall_ns) = (sys::monotonic_ns(), sys::wall_ns());
        let Tell::Clock(reading) = session.ask(&Ask::Clock, target.patience)? else { return Err(NoAnswer::Silent) };
        let took_ns = sys::monotonic_ns().saturating_sub(asked_ns);
        samples.push(sample(
            asked_ns.saturating_sub(began_ns) / 1_000,
            asked_wall_ns,
            took_ns,
            (reading.received_at_ns, reading.answered_at_ns),
        ));
    }
    Ok(ClockReport::of(target.address.to_string(), samples))
}

/// One answer's offset: by this host's clock it was asked at `asked_ns` and took `took_ns`.
fn sample(at_us: u64, asked_ns: u64, took_ns: u64, (received_ns, answered_ns): (u64, u64)) -> Sample {
    let between = |from: u64, to: u64| i128::from(to) - i128::from(from);
    let there = between(asked_ns, received_ns);
    let back = between(asked_ns.saturating_add(took_ns), answered_ns);
    let held_ns = answered_ns.saturating_sub(received_ns);
    Sample {
        at_us,
        offset_us: i64::try_from((there + back) / 2_000).unwrap_or(i64::MAX),
        round_trip_us: took_ns.saturating_sub(held_ns) / 1_000,
    }
}

impl ClockReport {
    fn of(address: String, samples: Vec<Sample>) -> Self {
        let best = samples.iter().min_by_key(|sample| sample.round_trip_us);
        let (offset_us, within_us) = best.map_or((0, 0), |best| (best.offset_us, best.round_trip_us.div_ceil(2)));
        let drift_ppm = drift(&samples);
        Self { address, offset_us, within_us, drift_ppm, samples }
    }

    /// Whether the clocks agree as far as a chain needs it.
    pub fn is_well(&self) -> bool {
        self.offset_us.unsigned_abs() <= OFFSET_US_MAX + self.within_us
            && self.drift_ppm.is_none_or(|drift| drift.abs() <= DRIFT_PPM_MAX)
    }

    /// The figures and what they mean.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        line(&mut text, "peer", &self.address);
        let side = if self.offset_us < 0 { "behind" } else { "ahead" };
        let offset = format!("{} {side}, within {}", micros(self.offset_us.unsigned_abs()), micros(self.within_us));
        line(&mut text, "offset", &if self.is_well() { paint.good(&offset) } else { paint.bad(&offset) });
        if let Some(drift) = self.drift_ppm {
            line(&mut text, "drift", &format!("{drift:+.1} parts in a million"));
        }
        line(&mut text, "answers", &self.samples.len().to_string());
        text.push_str(if self.is_well() {
            "\nThe two clocks agree as far as a chain needs it.\n"
        } else {
            "\nOne of the two clocks is wrong. A validator whose clock is off makes and judges slices at wrong times: \
             look at both hosts' time synchronisation (`chronyc tracking`, `timedatectl`).\n"
        });
        text
    }
}

/// The slope of the offsets by least squares, in parts per million.
#[allow(clippy::cast_precision_loss, reason = "microseconds of minutes are far below 2^53")]
fn drift(samples: &[Sample]) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    if last.at_us - first.at_us < DRIFT_SPAN_US_MIN {
        return None;
    }
    let count = samples.len() as f64;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (at, offset) = (mean(&|sample| sample.at_us as f64), mean(&|sample| sample.offset_us as f64));
    let both: f64 = samples.iter().map(|sample| (sample.at_us as f64 - at) * (sample.offset_us as f64 - offset)).sum();
    let square: f64 = samples.iter().map(|sample| (sample.at_us as f64 - at).powi(2)).sum();
    Some(both / square * 1e6)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;

    #[test]
    fn an_offset_is_what_is_left_when_the_way_is_taken_off() {
        // 1 ms there and back, 0.2 ms of it at the peer, whose clock is 5 s ahead.
        let sample = sample(0, 1_000_000_000, 1_000_000, (6_000_400_000, 6_000_600_000));
        assert_eq!((sample.offset_us, sample.round_trip_us), (5_000_000, 800));
        let report = ClockReport::of("x".to_owned(), vec![sample]);
        assert!(!report.is_well() && report.text(Paint(false)).contains("5.00 s ahead"));
    }

    #[test]
    fn the_shortest_way_counts_and_drift_needs_time() {
        let sample = |at_us, offset_us, round_trip_us| Sample { at_us, offset_us, round_trip_us };
        let report = ClockReport::of("x".to_owned(), vec![sample(0, 900, 2_000), sample(1_000, 10, 100)]);
        assert_eq!((report.offset_us, report.within_us, report.drift_ppm), (10, 50, None));
        let drifting = (0..10_u32).map(|step| sample(u64::from(step) * 1_000_000, i64::from(step) * 100, 50)).collect();
        let report = ClockReport::of("x".to_owned(), drifting);
        assert_eq!(report.drift_ppm.unwrap().round(), 100.0);
    }
}
