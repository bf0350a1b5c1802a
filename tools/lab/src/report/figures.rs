//! What is shown of a record, computed once for every form: each target's repeats taken together, and the noise floor.

use hpb_chart::format::significant;

use super::beyond::Beyond;
use crate::record::{Buckets, Counts, Hop, Interval, Noise, Record, TargetRecord};
use crate::stats::{Figure, carries, interval};

/// The percentiles that are told, as figures; the largest follows them.
pub(crate) const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];
/// The share of a figure that the floor has at least where the figure is called noise.
const NOISE_SHARE: f64 = 0.5;

/// A record as it is shown.
pub(crate) struct Shown<'a> {
    pub(crate) record: &'a Record,
    pub(crate) targets: Vec<Target<'a>>,
    /// None on virtual time, where nothing else takes time.
    pub(crate) floor: Option<Floor>,
}

/// One target, its repeats taken together.
pub(crate) struct Target<'a> {
    pub(crate) of: &'a TargetRecord,
    pub(crate) latency: Buckets,
    pub(crate) service: Buckets,
    /// Of all repeats.
    pub(crate) counts: Counts,
    /// [`PERCENTILES`] and the largest, in nanoseconds; none where too few values carry one.
    pub(crate) figures: Vec<Option<Interval>>,
    /// Arrivals a second.
    pub(crate) per_second: Interval,
    /// Processor time a message, in nanoseconds; none where it was not measured.
    pub(crate) cpu_ns: Option<Interval>,
    /// Hops of all repeats, in their order; those there before those back.
    pub(crate) hops: Vec<Hop>,
    /// What was measured beyond what the links applied; none where these do not tell.
    pub(crate) beyond: Option<Beyond>,
}

/// What this machine adds to a message that arrives at any moment, through no fault of what carries it.
///
/// An idle spin that reads the clock again and again is away now and then. A message that arrives while it is away
/// waits for the rest of that gap; how long, follows from the gaps alone: a gap is met in proportion to its length, and
/// met anywhere in it.
pub(crate) struct Floor {
    /// Gaps, ascending, and how often each came.
    gaps: Vec<(f64, f64)>,
    spun: f64,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(record: &'a Record) -> Self {
        let targets = record.targets.iter().map(Target::new).collect();
        Self { record, targets, floor: record.noise.as_ref().and_then(Floor::new) }
    }

    /// Whether at least half of a percentile's value may be the machine's own noise.
    pub(crate) fn is_noise(&self, percent: f64, value_ns: f64) -> bool {
        self.floor.as_ref().is_some_and(|floor| floor.at(percent) >= NOISE_SHARE * value_ns)
    }
}

impl<'a> Target<'a> {
    fn new(of: &'a TargetRecord) -> Self {
        let per_second: Vec<f64> = of.repeats.iter().map(crate::record::Repeat::per_second).collect();
        let mut figures: Vec<Option<Interval>> =
            PERCENTILES.into_iter().map(|percent| Figure::Percentile(percent).interval(of)).collect();
        figures.push(Figure::Max.interval(of));
        Self {
            of,
            latency: Buckets::merged_all(of.repeats.iter().map(|repeat| &repeat.latency)),
            service: Buckets::merged_all(of.repeats.iter().map(|repeat| &repeat.service)),
            counts: counts(of),
            figures,
            per_second: interval(&per_second),
            cpu_ns: Figure::Cpu.interval(of),
            hops: hops(of),
            beyond: Beyond::new(of),
        }
    }

    /// How many repeats it ran.
    pub(crate) fn repeats(&self) -> usize {
        self.of.repeats.len()
    }
}

/// A percentile of values that carry it, in nanoseconds.
pub(crate) fn carried(buckets: &Buckets, percent: f64) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    let value = |ns: u64| ns as f64;
    carries(&[buckets.count()], percent).then(|| buckets.percentile(percent)).flatten().map(value)
}

fn counts(target: &TargetRecord) -> Counts {
    target.repeats.iter().fold(Counts::default(), |sum, repeat| sum.plus(&repeat.counts))
}

fn hops(target: &TargetRecord) -> Vec<Hop> {
    let mut names: Vec<(&str, bool)> = Vec::new();
    for hop in target.repeats.iter().flat_map(|repeat| &repeat.hops) {
        if !names.contains(&(&hop.name, hop.is_back)) {
            names.push((&hop.name, hop.is_back));
        }
    }
    names.sort_by_key(|(_, is_back)| *is_back);
    let all = || target.repeats.iter().flat_map(|repeat| &repeat.hops);
    names
        .into_iter()
        .map(|(name, is_back)| Hop {
            name: name.to_owned(),
            is_back,
            time: Buckets::merged_all(
                all().filter(|hop| hop.name == name && hop.is_back == is_back).map(|hop| &hop.time),
            ),
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
impl Floor {
    pub(super) fn new(noise: &Noise) -> Option<Self> {
        let gaps: Vec<(f64, f64)> = noise.gaps.0.iter().map(|(gap, count)| (*gap as f64, *count as f64)).collect();
        let spun = noise.gaps.sum();
        (spun > 0.0).then_some(Self { gaps, spun })
    }

    /// What so many percent of messages that arrive at any moment wait at most for the machine, in nanoseconds.
    pub(crate) fn at(&self, percent: f64) -> f64 {
        let above = (1.0 - percent / 100.0) * self.spun;
        let (mut count, mut time) = (0.0, 0.0);
        for (place, (gap, times)) in self.gaps.iter().enumerate().rev() {
            count += times;
            time += gap * times;
            let shorter = place.checked_sub(1).map_or(0.0, |before| self.gaps[before].0);
            if time - count * shorter >= above {
                return ((time - above) / count).max(0.0);
            }
        }
        0.0
    }

    /// The longest gap, in nanoseconds.
    pub(crate) fn max(&self) -> f64 {
        self.gaps.last().map_or(0.0, |(gap, _)| *gap)
    }
}

/// How far an interval reaches from its value, as a share of it; none where there is one repeat, or nothing to share.
pub(crate) fn spread(interval: Interval) -> Option<f64> {
    let reach = (interval.high - interval.value).max(interval.value - interval.low);
    (interval.value > 0.0 && interval.low < interval.high).then(|| reach / interval.value)
}

/// A share as people read it: `± 3 %`; `± <1 %`; as a factor where it is wide.
pub(crate) fn spread_text(share: f64) -> String {
    match share * 100.0 {
        percent if percent < 0.95 => "± <1 %".to_owned(),
        percent if percent < 999.5 => format!("± {percent:.0} %"),
        _ => "± >999 %".to_owned(),
    }
}

/// A multiple with three significant places, those below a tenth too: `0.000123`, `0.85`, `12,345,678`.
pub(crate) fn multiple(value: f64) -> String {
    if !(1e-9..0.0995).contains(&value) {
        return significant(value);
    }
    #[allow(clippy::cast_sign_loss, reason = "from 1 to 9")]
    let places = 2 + (-value.log10().floor()) as usize;
    format!("{value:.places$}").trim_end_matches('0').to_owned()
}

/// An interval of few repeats may reach further than any figure: so many times the ratio is enough to see that.
const FURTHEST: f64 = 1_000.0;

/// Where a ratio lies: `0.4 to 0.44`; nothing of one repeat.
pub(crate) fn range_text(ratio: Interval) -> String {
    let Interval { value, low, high } = ratio;
    let furthest = value * FURTHEST;
    match (low < high, high > furthest) {
        (false, _) => String::new(),
        (true, false) => format!("{} to {}", multiple(low), multiple(high)),
        (true, true) => format!("{} to over {}", multiple(low), multiple(furthest)),
    }
}

/// A verdict in words for its figure: processor time is not faster, it is less.
pub(crate) fn verdict(figure: &str, verdict: Option<&str>, repeats: usize) -> &'static str {
    match (figure, verdict) {
        ("cpu", Some("faster")) => "cheaper",
        ("cpu", Some("slower")) => "dearer",
        (_, Some("faster")) => "faster",
        (_, Some("slower")) => "slower",
        _ if repeats < 2 => "one repeat, no verdict",
        _ => "no difference seen",
    }
}

/// Foreign text on a line of a terminal: without control characters, and no longer than so many characters.
pub(crate) fn plain(text: &str, len_max: usize) -> String {
    let mut characters = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    let head: String = characters.by_ref().take(len_max).collect();
    if characters.next().is_none() {
        return head;
    }
    let mut cut: String = head.chars().take(len_max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::record::sample;

    fn floor(gaps: &[(u64, u64)]) -> Floor {
        Floor::new(&Noise { gaps: Buckets(gaps.to_vec()), ..Noise::default() }).unwrap()
    }

    #[test]
    fn the_floor_is_what_a_gap_leaves_to_wait() {
        // One gap alone: evenly between nothing and all of it.
        let even = floor(&[(1_000, 7)]);
        assert!((even.at(50.0) - 500.0).abs() < 1e-6 && (even.at(90.0) - 900.0).abs() < 1e-6);
        // Half of the time in gaps of 10, half in one of 1000: one message in two meets the long one.
        let mixed = floor(&[(10, 100), (1_000, 1)]);
        assert!((mixed.at(75.0) - 500.0).abs() < 1e-6, "{}", mixed.at(75.0));
        assert!((mixed.at(99.0) - 980.0).abs() < 1e-6);
        assert!(mixed.at(0.0) < 1e-6 && (mixed.max() - 1_000.0).abs() < 1e-9);
        assert!(Floor::new(&Noise::default()).is_none());
    }

    #[test]
    fn a_figure_is_noise_where_half_of_it_may_be() {
        let record = sample::record();
        let shown = Shown::new(&record);
        let at = shown.floor.as_ref().unwrap().at(99.99);
        assert!(shown.is_noise(99.99, at * 1.9) && !shown.is_noise(99.99, at * 2.1));
        assert!(!Shown::new(&sample::small()).is_noise(99.99, 1.0));
    }

    #[test]
    fn repeats_are_taken_together() {
        let record = sample::record();
        let shown = Shown::new(&record);
        let target = &shown.targets[0];
        assert_eq!(target.counts.intended, 60_000);
        assert_eq!(target.latency.count(), target.counts.arrived);
        assert_eq!(target.hops.len(), 10);
        assert!(target.hops[..5].iter().all(|hop| !hop.is_back) && target.hops[5..].iter().all(|hop| hop.is_back));
        assert!(target.figures[3].is_some() && target.figures[4].is_none(), "60,000 values carry p99.9, not p99.99");
    }

    #[test]
    fn an_interval_without_an_end_is_told_without_its_figure() {
        let range = |high| range_text(Interval { value: 13.1, low: 0.0, high });
        assert_eq!([range(100.0), range(6e16)], ["0 to 100", "0 to over 13,100"]);
    }

    #[test]
    fn spreads_and_foreign_words_read_well() {
        assert_eq!(spread(Interval { value: 10.0, low: 8.0, high: 13.0 }), Some(0.3));
        assert_eq!(spread(Interval { value: 10.0, low: 10.0, high: 10.0 }), None);
        assert_eq!([spread_text(0.001), spread_text(0.304), spread_text(50.0)], ["± <1 %", "± 30 %", "± >999 %"]);
        assert_eq!([plain("a\x1b[31m", 9), plain("kernel-epoll", 6)], ["a [31m", "kerne…"]);
        assert_eq!(verdict("cpu", Some("slower"), 5), "dearer");
        assert_eq!(
            [verdict("p50", None, 5), verdict("p50", None, 1)],
            ["no difference seen", "one repeat, no verdict"]
        );
    }
}
