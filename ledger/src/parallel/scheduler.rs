//! Who does what next: the collaborative scheduler of `Block-STM` (Gelashvili et al., section 4).
//!
//! Two counters go over the transactions, one for runs and one for validations; what has to be done again pulls them back.
//! All is done when both have passed the end, nobody is at work, and neither was pulled back meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One run of one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Version {
    /// Its number in the slice.
    pub(super) index: usize,
    /// How many runs there were before.
    pub(super) run: u32,
}

/// What a worker does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    /// Run it.
    Execute(Version),
    /// See whether what it read still holds.
    Validate(Version),
}

/// What becomes of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It can run.
    Ready,
    /// It runs.
    Executing,
    /// It has run.
    Executed,
    /// It ran for nothing, or waits for another one.
    Aborting,
}

/// On a cache line of its own, as its neighbours are other workers'.
#[repr(align(64))]
struct Status {
    run: u32,
    phase: Phase,
    /// Who waits for it.
    waiting: Vec<usize>,
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Counter(AtomicUsize);

impl core::ops::Deref for Counter {
    type Target = AtomicUsize;

    fn deref(&self) -> &AtomicUsize {
        &self.0
    }
}

pub(super) struct Scheduler {
    next_execution: Counter,
    next_validation: Counter,
    /// How often a counter was pulled back.
    pulls: Counter,
    at_work: Counter,
    is_done: AtomicBool,
    statuses: Vec<Mutex<Status>>,
}

impl Scheduler {
    pub(super) fn new(count: usize) -> Self {
        let status = || Mutex::new(Status { run: 0, phase: Phase::Ready, waiting: Vec::new() });
        Self {
            next_execution: Counter::default(),
            next_validation: Counter::default(),
            pulls: Counter::default(),
            at_work: Counter::default(),
            is_done: AtomicBool::new(count == 0),
            statuses: (0..count).map(|_| status()).collect(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done.load(SeqCst)
    }

    /// Has everyone stop.
    pub(super) fn end(&self) {
        self.is_done.store(true, SeqCst);
    }

    /// What to do next, if there is something just now.
    pub(super) fn next(&self) -> Option<Task> {
        if self.next_validation.load(SeqCst) < self.next_execution.load(SeqCst) {
            self.validation()
        } else {
            self.execution()
        }
    }

    /// The run read what `blocker` is about to write again. True if it waits for that; false if it is there by now.
    pub(super) fn wait_for(&self, version: Version, blocker: usize) -> bool {
        {
            let mut status = self.status(blocker);
            if status.phase == Phase::Executed {
                return false;
            }
            // The blocker comes first, so no two ever hold each other's.
            self.status(version.index).phase = Phase::Aborting;
            status.waiting.push(version.index);
        }
        self.rest();
        true
    }

    /// The run ended. It is validated at once if it wrote where its last run did and others may have read that already; if
    /// it wrote elsewhere, all after it are.
    pub(super) fn executed(&self, version: Version, is_elsewhere: bool) -> Option<Task> {
        let waiting = {
            let mut status = self.status(version.index);
            status.phase = Phase::Executed;
            core::mem::take(&mut status.waiting)
        };
        for waiter in &waiting {
            self.make_ready(*waiter);
        }
        if let Some(first) = waiting.into_iter().min() {
            self.pull(&self.next_execution, first);
        }
        if self.next_validation.load(SeqCst) > version.index {
            if !is_elsewhere {
                return Some(Task::Validate(version));
            }
            self.pull(&self.next_validation, version.index);
        }
        self.rest();
        None
    }

    /// Whether this very run is now for nothing; one worker hears so.
    pub(super) fn abort(&self, version: Version) -> bool {
        let mut status = self.status(version.index);
        let is_it = status.run == version.run && status.phase == Phase::Executed;
        if is_it {
            status.phase = Phase::Aborting;
        }
        is_it
    }

    /// The validation ended; what was aborted runs again, and all after it are validated.
    pub(super) fn validated(&self, version: Version, is_aborted: bool) -> Option<Task> {
        if is_aborted {
            self.make_ready(version.index);
            self.pull(&self.next_validation, version.index + 1);
            if self.next_execution.load(SeqCst) > version.index
                && let Some(again) = self.begin(version.index)
            {
                return Some(Task::Execute(again));
            }
        }
        self.rest();
        None
    }

    fn execution(&self) -> Option<Task> {
        if self.next_execution.load(SeqCst) >= self.statuses.len() {
            self.see_whether_done();
            return None;
        }
        self.at_work.fetch_add(1, SeqCst);
        let index = self.next_execution.fetch_add(1, SeqCst);
        let version = self.begin(index);
        if version.is_none() {
            self.rest();
        }
        version.map(Task::Execute)
    }

    fn validation(&self) -> Option<Task> {
        if self.next_validation.load(SeqCst) >= self.statuses.len() {
            self.see_whether_done();
            return None;
        }
        self.at_work.fetch_add(1, SeqCst);
        let index = self.next_validation.fetch_add(1, SeqCst);
        if index < self.statuses.len() {
            let status = self.status(index);
            if status.phase == Phase::Executed {
                return Some(Task::Validate(Version { index, run: status.run }));
            }
        }
        self.rest();
        None
    }

    /// The transaction's next run, if it can run.
    fn begin(&self, index: usize) -> Option<Version> {
        let mut status = self.statuses.get(index)?.lock().unwrap_or_else(PoisonError::into_inner);
        if status.phase != Phase::Ready {
            return None;
        }
        status.phase = Phase::Executing;
        Some(Version { index, run: status.run })
    }

    fn make_ready(&self, index: usize) {
        let mut status = self.status(index);
        status.run += 1;
        status.phase = Phase::Ready;
    }

    fn pull(&self, counter: &AtomicUsize, back_to: usize) {
        counter.fetch_min(back_to, SeqCst);
        self.pulls.fetch_add(1, SeqCst);
    }

    fn rest(&self) {
        self.at_work.fetch_sub(1, SeqCst);
    }

    fn see_whether_done(&self) {
        let pulls = self.pulls.load(SeqCst);
        let next = self.next_execution.load(SeqCst).min(self.next_validation.load(SeqCst));
        if next >= self.statuses.len() && self.at_work.load(SeqCst) == 0 && self.pulls.load(SeqCst) == pulls {
            self.is_done.store(true, SeqCst);
        }
    }

    fn status(&self, index: usize) -> MutexGuard<'_, Status> {
        self.statuses[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
