//! One executor: a thread that gives its workers their turns, in order, until it is told to stop.
//!
//! It knows no machine and no device. A panic of a worker is caught, reported and stops every executor; it is never
//! a silent hang. Which loop carries an executor (`glommio.rs` or `threads.rs`) makes no difference to its workers.

mod part;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use hpb_base::limits::{PARK_DESCRIPTORS_MAX, PARTING_MS_MAX, SETTLE_ROUNDS_MAX, SILENT_PORT_PARK_US_MAX};
use hpb_base::{Duration, Instant};

use super::clock::Clock;
use super::meter::{Counters, Meter};
use super::park::{Parker, Sleep};
use super::signal::StopFlag;
use super::sys;
pub(super) use part::Turns;

/// A wake-up closer than this is spun for: a park costs that much, in nanoseconds.
const PARK_NS_MIN: u64 = 10_000;

/// What a worker found in its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// It did something, or left something undone.
    Busy,
    /// It looked at every link and port that it has, found nothing, and owes nobody anything before
    /// [`Worker::wake_at`].
    Idle,
}

/// A machine with its links and ports, as an executor drives it.
///
/// It is made on its executor's thread and never leaves it. When every worker of an executor is idle, each has one
/// more turn, and then the executor sleeps until a link's producer rings, a descriptor is readable, or the earliest
/// `wake_at`. So a worker that says [`Activity::Idle`] without having seen the end of all its links, or with output
/// that it could not place (a link that is full wakes it; a port that is full does not), may sleep too long.
pub trait Worker {
    /// Does a bounded share of what there is to do: a lane holds its executor for less than 1 ms of CPU time.
    fn turn(&mut self, now: Instant) -> Activity;

    /// When it wants a turn though nothing arrives; `None` if never.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// What becomes readable when one of its ports has something.
    fn descriptors(&self) -> &[RawFd] {
        &[]
    }

    /// Whether it has a port that announces nothing: neither by a descriptor nor by waking the executor. The executor
    /// then sleeps at most [`SILENT_PORT_PARK_US_MAX`].
    fn has_silent_port(&self) -> bool {
        false
    }

    /// All executors have stopped, and nobody has turns any more: does a bounded share of what it takes to part with the
    /// peers of its ports. `None` once they are all gone; else [`Activity::Busy`] if it did something, and
    /// [`Activity::Idle`] if only they can bring it further. It is called again and again, for [`PARTING_MS_MAX`] at most,
    /// and must not wait for another worker.
    fn part(&mut self, _now: Instant) -> Option<Activity> {
        None
    }

    /// The executor stops and this was the last turn. Must not wait for another worker.
    fn finish(&mut self, _now: Instant) {}
}

/// What an executor does when all its workers are idle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdlePolicy {
    /// Spins for a while after the last work, then parks.
    Adaptive {
        /// How long it spins.
        spin: Duration,
    },
    /// Never sleeps: for bare metal with a core for each executor.
    Spin,
}

impl Default for IdlePolicy {
    /// Spins for 20 µs: about what waking a parked thread takes (25-27 µs), so that a gap costs at most twice its best.
    fn default() -> Self {
        Self::Adaptive { spin: Duration::from_micros(20) }
    }
}

/// A worker that ended the runtime.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its executor.
    pub executor: String,
    /// The worker.
    pub worker: String,
    /// What it said, or what it panicked with.
    pub message: String,
    /// Whether it panicked.
    pub panicked: bool,
}

/// Where the first failure of the process is kept.
#[derive(Clone, Debug)]
pub(super) struct Failures {
    first: Arc<Mutex<Option<Failure>>>,
    stop: StopFlag,
}

impl Failures {
    pub(super) fn new(stop: StopFlag) -> Self {
        Self { first: Arc::default(), stop }
    }

    /// Keeps `failure` if it is the first, and stops everything.
    pub(super) fn report(&self, failure: Failure) {
        tracing::error!(
            executor = failure.executor,
            worker = failure.worker,
            panicked = failure.panicked,
            "{}",
            failure.message
        );
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.stop.raise();
    }

    pub(super) fn first(&self) -> Option<Failure> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the runtime gives a worker at its start.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) executor: String,
    pub(super) worker: String,
    pub(super) clock: Clock,
    pub(super) stop: StopFlag,
    pub(super) parker: Arc<Parker>,
    pub(super) failures: Failures,
}

impl Context {
    /// The clock whose instants the turns carry.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The flag that ends the runtime: a worker whose task is done raises it.
    pub fn stop(&self) -> &StopFlag {
        &self.stop
    }

    /// Wakes this worker's executor, from any thread: for ports and for what is no link.
    pub fn waker(&self) -> Arc<Parker> {
        self.parker.clone()
    }

    /// Ends the runtime with an error: an operating failure that the node cannot go on with, as a full disk.
    pub fn fail(&self, message: impl Into<String>) {
        self.failures.report(Failure {
            executor: self.executor.clone(),
            worker: self.worker.clone(),
            message: message.into(),
            panicked: false,
        });
    }
}

/// How an executor ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// At once: what its links still hold is left.
    AtOnce,
    /// After its links are empty: what the other executors sent before they ended is still done.
    Settled,
}

/// Whether there is a next slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    Continue,
    End,
}

/// The parts of a [`Rotation`].
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) workers: Vec<(String, Box<dyn Worker>)>,
    pub(super) clock: Clock,
    pub(super) parker: Arc<Parker>,
    pub(super) stop: StopFlag,
    pub(super) idle: IdlePolicy,
    pub(super) ending: Ending,
    pub(super) failures: Failures,
    pub(super) counters: Arc<Counters>,
    pub(super) turns: Turns,
}

/// The workers of one executor and their turns: the behaviour that both loops share.
pub(super) struct Rotation {
    parts: Parts,
    meter: Meter,
    now: Instant,
    busy_at: Instant,
    /// Whose turn it is, for the report of a panic.
    current: usize,
    waited_on: Vec<libc::pollfd>,
}

impl Rotation {
    /// On the executor's own thread.
    pub(super) fn new(parts: Parts) -> Self {
        let now = parts.clock.now();
        let meter = Meter::start(parts.counters.clone(), now);
        Self { parts, meter, now, busy_at: now, current: 0, waited_on: Vec::new() }
    }

    /// Gives turns, and sleeps between them as the idle policy says, for about `length` or until the end.
    pub(super) fn slice(&mut self, length: Duration) -> Flow {
        match catch_unwind(AssertUnwindSafe(|| self.turns(length))) {
            Ok(Flow::Continue) => Flow::Continue,
            Ok(Flow::End) => {
                self.meter.checkpoint(self.now);
                Flow::End
            }
            Err(panic) => {
                self.parts.turns.end();
                self.report_panic(&*panic);
                Flow::End
            }
        }
    }

    fn turns(&mut self, length: Duration) -> Flow {
        let until = self.parts.clock.now() + length;
        loop {
            if self.parts.stop.is_raised() {
                self.end();
                return Flow::End;
            }
            match self.round() {
                Activity::Busy => self.busy_at = self.now,
                Activity::Idle => self.rest(),
            }
            if self.now >= until {
                return Flow::Continue;
            }
        }
    }

    /// A turn for every worker.
    fn round(&mut self) -> Activity {
        let mut activity = Activity::Idle;
        self.now = self.parts.clock.now();
        for index in 0..self.parts.workers.len() {
            self.current = index;
            let found = self.parts.workers[index].1.turn(self.now);
            let ended_at = self.parts.clock.now();
            self.meter.turn(index, self.now, ended_at, found == Activity::Busy);
            self.now = ended_at;
            if found == Activity::Busy {
                activity = Activity::Busy;
            }
        }
        self.meter.round();
        activity
    }

    fn rest(&mut self) {
        match self.parts.idle {
            IdlePolicy::Adaptive { spin } if self.now.since(self.busy_at) >= spin => self.park(),
            IdlePolicy::Adaptive { .. } | IdlePolicy::Spin => std::hint::spin_loop(),
        }
    }

    /// Sleeps by the parking rule. The second look is a turn for every worker.
    fn park(&mut self) {
        let parker = self.parts.parker.clone();
        let mut waited_on = std::mem::take(&mut self.waited_on);
        waited_on.clear();
        waited_on.push(sys::wait_for(parker.descriptor()));
        waited_on.push(sys::wait_for(self.parts.stop.descriptor()));
        let ports = self.parts.workers.iter().flat_map(|(_, worker)| worker.descriptors());
        waited_on.extend(ports.map(|&port| sys::wait_for(port)).take(PARK_DESCRIPTORS_MAX));
        let ports_len = self.parts.workers.iter().map(|(_, worker)| worker.descriptors().len()).sum::<usize>();

        let look = || {
            if self.round() == Activity::Busy {
                self.busy_at = self.now;
                return None;
            }
            self.sleep_max(ports_len > PARK_DESCRIPTORS_MAX)
        };
        let woken = parker.park(&mut waited_on, look);
        self.waited_on = waited_on;
        self.now = self.parts.clock.now();
        match woken {
            Ok(woken) => self.meter.parked(woken, self.now),
            Err(error) => self.parts.failures.report(Failure {
                executor: self.parts.name.clone(),
                worker: String::new(),
                message: format!("cannot wait for input: {error}"),
                panicked: false,
            }),
        }
    }

    /// How long the executor may sleep, if it may sleep at all.
    fn sleep_max(&self, some_unheard: bool) -> Option<Sleep> {
        let workers = || self.parts.workers.iter().map(|(_, worker)| worker);
        let mut sleep = workers().filter_map(|worker| worker.wake_at()).min().map(|at| at.since(self.now));
        if some_unheard || workers().any(|worker| worker.has_silent_port()) {
            let silent = Duration::from_micros(SILENT_PORT_PARK_US_MAX);
            sleep = Some(sleep.map_or(silent, |sleep| sleep.min(silent)));
        }
        match sleep {
            Some(sleep) if sleep.as_nanos() < PARK_NS_MIN => None,
            Some(sleep) => Some(Sleep::AtMost(sleep)),
            None => Some(Sleep::UntilWoken),
        }
    }

    fn end(&mut self) {
        if self.parts.ending == Ending::Settled {
            for _ in 0..SETTLE_ROUNDS_MAX {
                if self.round() == Activity::Idle {
                    break;
                }
            }
        }
        self.parts.turns.end();
        self.part(Duration::from_millis(PARTING_MS_MAX));
        for index in 0..self.parts.workers.len() {
            self.current = index;
            self.parts.workers[index].1.finish(self.now);
        }
    }

    fn report_panic(&self, panic: &(dyn Any + Send)) {
        let worker = self.parts.workers.get(self.current).map_or_else(String::new, |(name, _)| name.clone());
        self.parts.failures.report(Failure {
            executor: self.parts.name.clone(),
            worker,
            message: panic_message(panic),
            panicked: true,
        });
    }

    /// Lets the workers go, whatever their destructors do.
    pub(super) fn dismiss(mut self) {
        while !self.parts.workers.is_empty() {
            self.current = 0;
            let (name, worker) = self.parts.workers.remove(0);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(worker))) {
                self.parts.failures.report(Failure {
                    executor: self.parts.name.clone(),
                    worker: name,
                    message: panic_message(&*panic),
                    panicked: true,
                });
            }
        }
    }
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied();
    said.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
        .to_owned()
}
