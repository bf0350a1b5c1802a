//! What is left of a run: everything that was measured, in one value that is written as `result.json`.
//!
//! The layout is versioned ([`SCHEMA`]) and documented in `docs/lab.md`. Times are nanoseconds, but where a field's
//! name says another unit. Whatever is shown, compared or drawn is made of this value alone.

#[cfg(test)]
mod documented;
mod file;
#[cfg(test)]
pub(crate) mod sample;

use hpb_base::Duration;
use serde::{Deserialize, Serialize};

pub(crate) use file::is_sound;
pub use file::{FILE_LEN_MAX, RecordError, parse, read, text};

/// The version of the layout.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The program's version.
    pub version: String,
    /// What was run.
    pub scenario: ScenarioRecord,
    /// When it began, in milliseconds since 1970-01-01 UTC; 0 on virtual time.
    pub began_unix_ms: u64,
    /// On what; none on virtual time, which is the same everywhere.
    pub machine: Option<Machine>,
    /// What the clock, the scheduler and others on this machine cost by themselves; none on virtual time.
    pub noise: Option<Noise>,
    /// What each target did.
    pub targets: Vec<TargetRecord>,
    /// Each target beside the first.
    pub comparisons: Vec<Comparison>,
    /// The agents that carried it, of a run over several hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentRecord>,
    /// What was asked of the figures, and whether it holds.
    pub limits: Vec<LimitRecord>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
}

/// What was run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioRecord {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// Where its dice started.
    pub seed: u64,
    /// Whether it ran on virtual time.
    pub is_virtual: bool,
    /// The file, as it was read.
    pub text: String,
    /// What changes while it is measured, for pictures.
    #[serde(default)]
    pub marks: Vec<Mark>,
}

/// A moment of each repeat that pictures mark.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// When, from the beginning of what is measured.
    pub at_ns: u64,
    /// Its word.
    pub label: String,
}

/// A host, as it says itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Processors that this process may use.
    pub processors: u32,
    /// The kernel's release.
    pub kernel: String,
    /// The kernel's clock source.
    pub clock_source: String,
    /// The frequency governor of the first processor; empty where there is none.
    pub governor: String,
    /// The hypervisor's name; empty where none is known.
    pub hypervisor: String,
    /// Processors that the scheduler leaves alone (`isolcpus`); empty where there are none.
    pub isolated: String,
    /// The congestion control that the kernel's TCP uses.
    pub congestion_control: String,
}

/// What an idle spin lost while it did nothing but read the clock.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// How long it spun, in nanoseconds.
    pub spun_ns: u64,
    /// From one reading of the clock to the next.
    pub gaps: Buckets,
    /// Milliseconds that the host of a virtual machine gave to others meanwhile.
    pub stolen_ms: u64,
    /// What reading the clock costs, in nanoseconds, at its median.
    pub clock_read_ns: u64,
}

/// A distribution: values in nanoseconds and how often each came, ascending, exact to three digits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Buckets(pub Vec<(u64, u64)>);

/// What one target did.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetRecord {
    /// Its name.
    pub name: String,
    /// What carried the messages, for people.
    pub about: String,
    /// How far its figures may be wrong, because two clocks were compared; none where one clock measured them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_error_ns: Option<u64>,
    /// Its repeats, in the order in which they ran.
    pub repeats: Vec<Repeat>,
}

/// One agent of a run over several hosts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRecord {
    /// Its name.
    pub name: String,
    /// `server`, with whose clock the others' are compared, or `client`.
    pub role: String,
    /// Its host's name, and the address at which others reach it.
    pub host: String,
    /// Its host's processor and kernel.
    pub machine: String,
    /// What keeps its host's clock right, as that says itself.
    pub discipline: String,
    /// What was added to its clock on purpose, in nanoseconds.
    pub planted_offset_ns: i64,
    /// By how much its clock was made to run fast, in parts per thousand million.
    pub planted_drift_ppb: i64,
    /// Its clock against the server's, as it was found, a repeat at a time; empty of the server.
    pub clocks: Vec<ClockFound>,
}

/// One clock against another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockFound {
    /// What it reads beyond the other one, at the middle of the exchanges, in nanoseconds.
    pub offset_ns: i64,
    /// By how much it runs faster, in parts per thousand million.
    pub drift_ppb: i64,
    /// How far a time that was brought from one to the other may be wrong.
    pub error_ns: u64,
    /// Exchanges that were looked at.
    pub exchanges: u64,
    /// The shortest round trip of an exchange.
    pub round_trip_ns: u64,
}

/// One repeat of one target.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// When what is measured began, from the run's beginning.
    pub began_ns: u64,
    /// How long was measured.
    pub measured_ns: u64,
    /// Latency of each message from the moment at which it was meant to leave.
    pub latency: Buckets,
    /// The same from the moment at which it did leave: what a tool without intended times would say.
    pub service: Buckets,
    /// What was counted.
    pub counts: Counts,
    /// By the time at which messages were meant to leave, in equal steps.
    pub series: Series,
    /// Where the time went, hop by hop, in the order in which messages pass them; empty where it was not looked at.
    pub hops: Vec<Hop>,
    /// Where the link knows what it did to each message: what was measured beyond that.
    pub excess: Option<Excess>,
    /// What it cost.
    pub cost: Cost,
    /// What held up the measuring thread: over the wire its gaps while it measured, own turns among them; elsewhere an
    /// idle spin just before. None on virtual time.
    pub noise: Option<Noise>,
}

/// What was counted in a repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Messages meant to leave while it was measured.
    pub intended: u64,
    /// Of those, messages that left.
    pub sent: u64,
    /// Arrivals that were meant: answers, or one for each receiver of a broadcast.
    pub expected: u64,
    /// Arrivals, each counted once.
    pub arrived: u64,
    /// Of the expected, those that never came.
    pub lost: u64,
    /// Arrivals of what had arrived before.
    pub duplicated: u64,
    /// Arrivals behind a later one of their session.
    pub out_of_order: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Frames that the links lost.
    pub frames_lost: u64,
    /// Sessions that ended although nobody asked for it.
    pub sessions_lost: u64,
}

/// A repeat cut into equal steps.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The length of a step.
    pub step_ns: u64,
    /// The steps, from the beginning of what is measured.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Arrivals that were meant, of what was meant to leave in it; 0 where that was not counted.
    #[serde(default)]
    pub expected: u64,
    /// Arrivals of what was meant to leave in it.
    pub arrived: u64,
    /// Of those, the median latency; 0 of none.
    pub p50_ns: u64,
    /// The 99th percentile; 0 of none.
    pub p99_ns: u64,
    /// The largest; 0 of none.
    pub max_ns: u64,
    /// How many lay in each band of latency: (band, count), ascending. Band b holds 2^(b/4) to 2^((b+1)/4) nanoseconds;
    /// what took no time lies in band 0.
    pub bands: Vec<(u32, u64)>,
}

/// One hop of the way of messages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// `application`, `encryption`, `tcp`, `port`, `wire`, as they are passed.
    pub name: String,
    /// On the way there, or back.
    pub is_back: bool,
    /// Time spent in it.
    pub time: Buckets,
}

/// What was measured beyond what the link applied to the very same messages.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excess {
    /// What the link applied.
    pub applied: Buckets,
    /// Measured minus applied, message by message, where it is not negative.
    pub above: Buckets,
    /// Applied minus measured, where that is positive: never, if the clocks are one.
    pub below: Buckets,
    /// Of the link alone: how much later than it said the frame that completed a message came out of it.
    #[serde(default)]
    pub late: Buckets,
}

/// What a repeat cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Processor time of the threads that carried it; 0 on virtual time.
    pub cpu_ns: u64,
    /// What one stamp at a hop costs; 0 where none were taken.
    pub stamp_ns: u64,
    /// Stamps taken.
    pub stamps: u64,
}

/// One figure of one target beside the base's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The target that is the base.
    pub base: String,
    /// The other one.
    pub target: String,
    /// `p50`, `p99`, and so on; `max`; `cpu`.
    pub figure: String,
    /// The other's figure over the base's.
    pub ratio: Interval,
    /// `faster`, `slower`, or nothing while the interval of the ratio holds 1.
    pub verdict: Option<String>,
}

/// A value and where it lies with 95 % confidence.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The value.
    pub value: f64,
    /// The lower end; the value itself where there is one repeat.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What was asked of a figure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRecord {
    /// As it was written.
    pub text: String,
    /// For which target.
    pub target: String,
    /// What was found, in the limit's unit.
    pub found: f64,
    /// Whether it holds.
    pub holds: bool,
}

impl Buckets {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The value at or below which `percent` of all lie (0 to 100; the nearest rank); none of an empty distribution.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        let count = self.count();
        #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "counts far below 2^53, never negative")]
        let rank = ((percent / 100.0 * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut below = 0u64;
        self.0.iter().find_map(|(value, count)| {
            below = u64::saturating_add(below, *count);
            (below >= rank).then_some(*value)
        })
    }

    /// The sum of all values, in nanoseconds.
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn sum(&self) -> f64 {
        self.0.iter().map(|(value, count)| *value as f64 * *count as f64).sum()
    }

    /// The largest value.
    pub fn max(&self) -> Option<u64> {
        self.0.last().map(|(value, _)| *value)
    }

    /// Both together.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let mut all: std::collections::BTreeMap<u64, u64> = self.0.iter().copied().collect();
        for (value, count) in &other.0 {
            let sum = all.entry(*value).or_default();
            *sum = u64::saturating_add(*sum, *count);
        }
        Self(all.into_iter().collect())
    }

    /// All of these together.
    pub fn merged_all<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sums: std::collections::BTreeMap<u64, u64> = std::collections::BTreeMap::new();
        for (value, count) in all.into_iter().flat_map(|buckets| &buckets.0) {
            let sum = sums.entry(*value).or_default();
            *sum = u64::saturating_add(*sum, *count);
        }
        Self(sums.into_iter().collect())
    }
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            intended: self.intended.saturating_add(other.intended),
            sent: self.sent.saturating_add(other.sent),
            expected: self.expected.saturating_add(other.expected),
            arrived: self.arrived.saturating_add(other.arrived),
            lost: self.lost.saturating_add(other.lost),
            duplicated: self.duplicated.saturating_add(other.duplicated),
            out_of_order: self.out_of_order.saturating_add(other.out_of_order),
            retransmitted: self.retransmitted.saturating_add(other.retransmitted),
            frames_lost: self.frames_lost.saturating_add(other.frames_lost),
            sessions_lost: self.sessions_lost.saturating_add(other.sessions_lost),
        }
    }
}

impl Repeat {
    /// Arrivals a second.
    #[allow(clippy::cast_precision_loss, reason = "counts and nanoseconds below 2^53")]
    pub fn per_second(&self) -> f64 {
        self.counts.arrived as f64 * 1e9 / self.measured_ns.max(1) as f64
    }
}

/// The band of a latency in [`Step::bands`].
#[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a latency below 2^53 ns, never negative")]
pub fn band(latency: Duration) -> u32 {
    ((latency.as_nanos().max(1) as f64).log2() * 4.0) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let buckets = Buckets((1..=100).map(|value| (value, 1)).collect());
        assert_eq!(buckets.percentile(50.0), Some(50));
        assert_eq!(buckets.percentile(99.0), Some(99));
        assert_eq!(buckets.percentile(99.99), Some(100));
        assert_eq!((buckets.percentile(0.0), buckets.percentile(100.0)), (Some(1), Some(100)));
        assert_eq!(Buckets::default().percentile(50.0), None);
    }

    #[test]
    fn merging_keeps_order_and_counts() {
        let merged = Buckets(vec![(1, 2), (5, 1)]).merged(&Buckets(vec![(3, 1), (5, 4)]));
        assert_eq!(merged, Buckets(vec![(1, 2), (3, 1), (5, 5)]));
    }

    #[test]
    fn four_bands_double_a_latency() {
        assert_eq!(band(Duration::from_nanos(1)), 0);
        assert_eq!(band(Duration::from_nanos(1 << 20)), 80);
        assert_eq!(band(Duration::from_nanos((1 << 21) - 1)), 83);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let repeat = Repeat { latency: Buckets(vec![(1_000, 3)]), measured_ns: 1_000_000_000, ..Repeat::default() };
        let text = serde_json::to_string(&repeat).unwrap();
        assert!(text.contains("\"latency\":[[1000,3]]"), "{text}");
        assert_eq!(serde_json::from_str::<Repeat>(&text).unwrap(), repeat);
    }
}
