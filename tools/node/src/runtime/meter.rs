//! What an executor costs: CPU time, rounds, parks, and how long each worker holds the thread.
//!
//! Counters are written by the executor's own thread and read by anyone, without locks. A turn's length is thread CPU
//! time, but the thread's CPU clock costs 250-320 ns (a system call; the monotonic clock costs 25), so it is read only
//! after a turn that took `EXACT_FROM_NS` or longer and at checkpoints at most that far apart. A turn counts as the
//! smaller of its time on the monotonic clock and the CPU time since the last checkpoint: never less than it used, at
//! most `EXACT_FROM_NS` more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hpb_base::{Duration, Instant};

use super::park::Woken;
use super::sys;

/// Buckets of a worker's histogram of turns.
pub const TURN_BUCKETS: usize = 16;
/// Turns shorter than this are measured on the monotonic clock alone, in nanoseconds.
const EXACT_FROM_NS: u64 = 100_000;

/// One executor's counters, shared between its thread and the readers.
#[derive(Debug)]
pub(super) struct Counters {
    name: String,
    cpu_ns: AtomicU64,
    rounds: AtomicU64,
    parks: AtomicU64,
    bells: AtomicU64,
    workers: Vec<TurnCounters>,
}

#[derive(Debug)]
struct TurnCounters {
    name: String,
    turns_busy: AtomicU64,
    turn_cpu_ns_max: AtomicU64,
    buckets: [AtomicU64; TURN_BUCKETS],
}

impl Counters {
    /// For the executor `name` that hosts workers of these names.
    pub(super) fn new(name: &str, workers: &[String]) -> Arc<Self> {
        let workers = workers
            .iter()
            .map(|worker| TurnCounters {
                name: worker.clone(),
                turns_busy: AtomicU64::new(0),
                turn_cpu_ns_max: AtomicU64::new(0),
                buckets: Default::default(),
            })
            .collect();
        Arc::new(Self {
            name: name.to_owned(),
            cpu_ns: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
            parks: AtomicU64::new(0),
            bells: AtomicU64::new(0),
            workers,
        })
    }

    /// What they say now.
    pub(super) fn read(&self) -> ExecutorReport {
        let workers = self.workers.iter().map(|worker| WorkerReport {
            name: worker.name.clone(),
            turns_busy: worker.turns_busy.load(Ordering::Relaxed),
            turn_cpu_max: Duration::from_nanos(worker.turn_cpu_ns_max.load(Ordering::Relaxed)),
            turns: std::array::from_fn(|bucket| worker.buckets[bucket].load(Ordering::Relaxed)),
        });
        ExecutorReport {
            name: self.name.clone(),
            cpu: Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed)),
            rounds: self.rounds.load(Ordering::Relaxed),
            parks: self.parks.load(Ordering::Relaxed),
            bells: self.bells.load(Ordering::Relaxed),
            workers: workers.collect(),
        }
    }
}

/// What one executor did so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecutorReport {
    /// The executor's name in the topology.
    pub name: String,
    /// CPU time of its thread, up to its last checkpoint (at most a millisecond old while it is awake).
    pub cpu: Duration,
    /// Times that every worker had its turn.
    pub rounds: u64,
    /// Times that it slept.
    pub parks: u64,
    /// Times that a producer's bell ended its sleep.
    pub bells: u64,
    /// Its workers, in the order of their turns.
    pub workers: Vec<WorkerReport>,
}

/// How long one worker held its executor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerReport {
    /// The worker's name.
    pub name: String,
    /// Turns in which it found something to do.
    pub turns_busy: u64,
    /// The longest turn of all, in thread CPU time.
    pub turn_cpu_max: Duration,
    /// Busy turns by length: bucket `i` counts those shorter than [`turn_bucket_bound`]`(i)` and not shorter than the
    /// bound before; the last counts all longer ones.
    pub turns: [u64; TURN_BUCKETS],
}

/// The upper bound of a bucket of turns: 1 µs, then doubling (bucket 10: 1.024 ms); without end for the last.
pub const fn turn_bucket_bound(bucket: usize) -> Duration {
    if bucket + 1 >= TURN_BUCKETS { Duration::MAX } else { Duration::from_micros(1 << bucket) }
}

const fn bucket_of(length: Duration) -> usize {
    let micros = length.as_micros();
    let bucket = (u64::BITS - micros.leading_zeros()) as usize;
    if bucket < TURN_BUCKETS { bucket } else { TURN_BUCKETS - 1 }
}

/// The executor's side of its [`Counters`].
pub(super) struct Meter {
    counters: Arc<Counters>,
    checkpoint_at: Instant,
    checkpoint_cpu: Duration,
}

impl Meter {
    /// Made on the executor's thread, whose CPU time it reads from now on.
    pub(super) fn start(counters: Arc<Counters>, now: Instant) -> Self {
        Self { counters, checkpoint_at: now, checkpoint_cpu: sys::thread_cpu() }
    }

    /// Records a turn of the `worker`-th worker.
    pub(super) fn turn(&mut self, worker: usize, started_at: Instant, ended_at: Instant, busy: bool) {
        let mut length = ended_at.since(started_at);
        if ended_at.since(self.checkpoint_at).as_nanos() >= EXACT_FROM_NS {
            let since = self.checkpoint(ended_at);
            length = length.min(since);
        }
        let counters = &self.counters.workers[worker];
        if length.as_nanos() > counters.turn_cpu_ns_max.load(Ordering::Relaxed) {
            counters.turn_cpu_ns_max.store(length.as_nanos(), Ordering::Relaxed);
        }
        if busy {
            add(&counters.turns_busy);
            add(&counters.buckets[bucket_of(length)]);
        }
    }

    /// Records that every worker had its turn.
    pub(super) fn round(&self) {
        add(&self.counters.rounds);
    }

    /// Records what came of a park that ended at `now`.
    pub(super) fn parked(&mut self, woken: Woken, now: Instant) {
        if woken == Woken::Work {
            return;
        }
        add(&self.counters.parks);
        if woken == Woken::Bell {
            add(&self.counters.bells);
        }
        self.checkpoint(now);
    }

    /// Reads the CPU clock; returns the CPU time since it was last read.
    pub(super) fn checkpoint(&mut self, now: Instant) -> Duration {
        let cpu = sys::thread_cpu();
        let since = Duration::from_nanos(cpu.as_nanos().saturating_sub(self.checkpoint_cpu.as_nanos()));
        self.checkpoint_at = now;
        self.checkpoint_cpu = cpu;
        self.counters.cpu_ns.store(cpu.as_nanos(), Ordering::Relaxed);
        since
    }
}

/// Adds one to a counter that this thread alone writes.
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> (Meter, Arc<Counters>) {
        let counters = Counters::new("lane0", &["card".to_owned(), "other".to_owned()]);
        (Meter::start(counters.clone(), Instant::ZERO), counters)
    }

    #[test]
    fn every_length_lies_below_the_bound_of_its_bucket() {
        for (nanos, bucket) in [(0, 0), (999, 0), (1_000, 1), (2_000, 2), (1_023_999, 10), (1_024_000, 11)] {
            let length = Duration::from_nanos(nanos);
            assert_eq!(bucket_of(length), bucket, "{nanos} ns");
            assert!(length < turn_bucket_bound(bucket));
        }
        assert_eq!(bucket_of(Duration::MAX), TURN_BUCKETS - 1);
        assert_eq!(turn_bucket_bound(TURN_BUCKETS - 1), Duration::MAX);
    }

    #[test]
    fn short_turns_count_as_they_are_and_idle_ones_only_for_the_longest() {
        let (mut meter, counters) = meter();
        meter.turn(0, Instant::from_nanos(0), Instant::from_nanos(1_500), true);
        meter.turn(1, Instant::from_nanos(1_500), Instant::from_nanos(9_500), false);
        let report = counters.read();
        assert_eq!((report.workers[0].turns_busy, report.workers[1].turns_busy), (1, 0));
        assert_eq!(report.workers[0].turns[1], 1);
        assert_eq!(report.workers[1].turn_cpu_max, Duration::from_micros(8));
        assert_eq!(report.workers[1].turns, [0; TURN_BUCKETS]);
    }

    #[test]
    fn a_turn_in_which_the_thread_did_not_run_is_not_charged_for_the_wait() {
        let (mut meter, counters) = meter();
        meter.turn(0, Instant::ZERO, Instant::ZERO + Duration::from_secs(3_600), true);
        assert!(counters.read().workers[0].turn_cpu_max < Duration::from_secs(3_600), "an hour passed, not used");
        assert!(counters.read().cpu > Duration::ZERO);
    }
}
