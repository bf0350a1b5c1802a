//! What a machine does by itself: a pinned thread reads the clock back to back and does nothing else, so that each long
//! gap between two readings is time that somebody else took: the scheduler, an interrupt, the host of a virtual machine.
//!
//! A latency that was measured on the same machine holds such gaps too. The figure says how much of a tail may be the
//! machine's and not the measured thing's; it says nothing of what other load will do at another time.

use std::fmt::Write as _;
use std::io;

use hpb_base::{Duration, Instant};
use hpb_host::conditions::stolen;
use hpb_host::sys::{cores, wall_ns};
use serde::Serialize;

use crate::measure::Distribution;
use crate::record::{Machine, Noise};

/// A gap that is longer was somebody else's doing: the clock is read, and a gap taken, in far less.
pub const GAP_OWN_MAX: Duration = Duration::from_micros(1);
/// Readings of one look at the clock's cost.
const READS: u64 = 256;
/// Looks; their median is the cost.
const LOOKS: usize = 101;

/// A machine's noise with what it was measured on; `--json` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NoiseReport {
    /// The machine.
    pub machine: Machine,
    /// The processor on which it spun.
    pub core: usize,
    /// What was measured.
    pub noise: Noise,
    /// Gaps longer than [`GAP_OWN_MAX`].
    pub interruptions: u64,
    /// What they took together, in nanoseconds.
    pub interrupted_ns: u64,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    /// The processor is not there, or not this process's.
    #[error("core {core}: {source}; this process may use {allowed:?} (`taskset` shows and sets it)")]
    Core {
        /// Which.
        core: usize,
        /// Those that it may use.
        allowed: Vec<usize>,
        /// What the kernel said.
        source: io::Error,
    },
    /// Which processors there are cannot be read.
    #[error("the processors that this process may use cannot be read: {0}")]
    Cores(io::Error),
}

/// Spins for `time` on `core`, or on the last processor that this process may use.
///
/// # Errors
/// [`NoiseError`]: a core that is not there.
pub fn report(time: Duration, core: Option<usize>) -> Result<NoiseReport, NoiseError> {
    let allowed = cores::allowed().map_err(NoiseError::Cores)?;
    let core = core.or(allowed.last().copied()).unwrap_or(0);
    let noise = measure(time, core).map_err(|source| NoiseError::Core { core, allowed, source })?;
    let others = noise.gaps.0.iter().filter(|(gap_ns, _)| *gap_ns > GAP_OWN_MAX.as_nanos());
    let (interruptions, interrupted_ns) =
        others.fold((0, 0), |(count, sum), (gap_ns, times)| (count + times, sum + gap_ns * times));
    Ok(NoiseReport { machine: crate::machine::read(), core, noise, interruptions, interrupted_ns })
}

/// Spins for `time` on a thread of its own that is held on `core`.
///
/// # Errors
/// A core that does not exist here, or that this process may not use.
pub fn measure(time: Duration, core: usize) -> io::Result<Noise> {
    cores::run_on(core, || {
        let stolen_before_ms = stolen();
        let (spun, gaps) = spin(time, wall_ns);
        let stolen_ms = stolen().zip(stolen_before_ms).map_or(0, |(after, before)| after.saturating_sub(before));
        Noise { spun_ns: spun.as_nanos(), gaps: gaps.buckets(), stolen_ms, clock_read_ns: clock_read_ns(wall_ns) }
    })
}

/// Reads `clock` until `time` is over; how long it was, and all gaps.
fn spin(time: Duration, mut clock: impl FnMut() -> u64) -> (Duration, Distribution) {
    let mut gaps = Distribution::new();
    let began_ns = clock();
    let mut last_ns = began_ns;
    while last_ns - began_ns < time.as_nanos() {
        let now_ns = clock();
        gaps.take(Duration::from_nanos(now_ns - last_ns));
        last_ns = now_ns;
    }
    (Duration::from_nanos(last_ns - began_ns), gaps)
}

/// The gaps of a thread that measures and spins meanwhile, from one look at the clock to the next: its own turns and what
/// held it up. Whatever falls due in a gap is seen at its end.
#[derive(Default)]
pub(crate) struct Looks {
    gaps: Distribution,
    spun: Duration,
    last: Option<Instant>,
}

impl Looks {
    /// It looked.
    pub(crate) fn look(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            self.gaps.take(now.since(last));
            self.spun = self.spun + now.since(last);
        }
    }

    /// What was found; time that a host stole is not known by repeat.
    pub(crate) fn finish(self) -> Noise {
        let (spun_ns, clock_read_ns) = (self.spun.as_nanos(), clock_read_ns(wall_ns));
        Noise { spun_ns, gaps: self.gaps.buckets(), stolen_ms: 0, clock_read_ns }
    }
}

/// What one reading of `clock` costs, in nanoseconds: the median of many looks.
pub fn clock_read_ns(mut clock: impl FnMut() -> u64) -> u64 {
    let mut costs: Vec<u64> = (0..LOOKS)
        .map(|_| {
            let began_ns = clock();
            for _ in 1..READS {
                std::hint::black_box(clock());
            }
            (clock() - began_ns) / READS
        })
        .collect();
    costs.sort_unstable();
    costs[LOOKS / 2]
}

impl NoiseReport {
    /// The JSON of `--json`, indented, with a newline at its end.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The figures for a terminal, and what they mean for a measurement.
    pub fn terminal(&self) -> String {
        let Self { machine, core, noise, interruptions, interrupted_ns } = self;
        let mut text = format!(
            "{}, {} processors, Linux {}, clock {}\n",
            machine.processor, machine.processors, machine.kernel, machine.clock_source
        );
        for (what, word) in [
            ("governor", &machine.governor),
            ("hypervisor", &machine.hypervisor),
            ("isolated processors", &machine.isolated),
        ] {
            let _ = writeln!(text, "{what}: {}", if word.is_empty() { "none" } else { word });
        }
        let at = |percent| micros(noise.gaps.percentile(percent).unwrap_or(0));
        let _ = writeln!(
            text,
            "\nidle spin of {:.2} s on core {core}: one reading of the clock costs {} ns\n\
             gaps between readings, us: p50 {}  p99 {}  p99.9 {}  p99.99 {}  max {}\n\
             {interruptions} gaps above {} us took {} us together, {:.4} % of the time; stolen by the host: {} ms\n",
            seconds(noise.spun_ns),
            noise.clock_read_ns,
            at(50.0),
            at(99.0),
            at(99.9),
            at(99.99),
            at(100.0),
            GAP_OWN_MAX.as_micros(),
            micros(*interrupted_ns),
            100.0 * seconds(*interrupted_ns) / seconds(noise.spun_ns).max(f64::MIN_POSITIVE),
            noise.stolen_ms,
        );
        text.push_str(&self.meaning());
        text
    }

    /// What the figures mean, in plain words.
    fn meaning(&self) -> String {
        let Self { noise, interruptions, interrupted_ns, .. } = self;
        let max_ns = noise.gaps.max().unwrap_or(0);
        let mut text = format!(
            "What it means: a thread that only read the clock was held up by as much as {} us. ",
            micros(max_ns)
        );
        let Some(mean_ns) = interrupted_ns.checked_div(*interruptions) else {
            text.push_str("Nobody took its core: tails that are measured here are the measured thing's own.\n");
            return text;
        };
        #[allow(clippy::cast_precision_loss, reason = "a count below 2^53")]
        let per_second = *interruptions as f64 / seconds(noise.spun_ns).max(f64::MIN_POSITIVE);
        let _ = writeln!(
            text,
            "{per_second:.0} times a second its core was taken from it, for {} us on average. Of messages that take T us \
             each, about {per_second:.0} x (T + {}) in a million meet such a gap and come so much later: percentiles beyond \
             that share say what this machine does, not what was measured. Differences below {} ns are below one reading \
             of the clock.",
            micros(mean_ns),
            micros(mean_ns),
            noise.clock_read_ns,
        );
        text
    }
}

/// Nanoseconds as microseconds, to so many digits as matter.
fn micros(nanos: u64) -> String {
    let micros = seconds(nanos) * 1e6;
    if micros < 10.0 { format!("{micros:.3}") } else { format!("{micros:.1}") }
}

#[allow(clippy::cast_precision_loss, reason = "below 2^53 ns")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests;
