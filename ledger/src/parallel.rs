//! Transactions of one slice on several workers at once, with the outcome of running them one after the other.
//!
//! Optimistic, by the scheme of Block-STM (Gelashvili et al., PPoPP 2023): each transaction runs on what those before it
//! have written so far, its reads are noted, and it runs again if one of them turns out to be of another version. The
//! order is that of the slice, so the outcome is byte for byte the serial one, whatever the workers' number and speed.
//! What a transaction finds wrong with the state while it runs ahead counts only if its reads hold at the end.
//!
//! It starts no thread: a caller lends [`Workers`].

mod memory;
mod scheduler;

use std::cell::{Cell, RefCell};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hpb_types::{Hash, Receipt, RejectReason};

use crate::apply::one::{Ground, transact};
use crate::bytes::Bytes;
use crate::checked::Checked;
use crate::view::{ChangeSet, State, StateError, View};
use memory::{Memory, Origin, Read};
use scheduler::{Scheduler, Task, Version};

/// Fewer are not worth waking anyone for.
const TRANSACTIONS_MIN: usize = 16;

/// Threads that a caller lends for one execution.
pub trait Workers: Sync + core::fmt::Debug {
    /// How many there are, the caller's own included; with one, all is serial.
    fn count(&self) -> usize;

    /// Runs `work` once on each, and comes back when all have.
    fn run(&self, work: &(dyn Fn() + Sync));
}

/// The caller's own thread, and no other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Workers for Alone {
    fn count(&self) -> usize {
        1
    }

    fn run(&self, work: &(dyn Fn() + Sync)) {
        work();
    }
}

/// What a transaction came to: a receipt, or why it is unfit; or why the state could not be read.
pub(crate) type Came = Result<Result<Receipt, RejectReason>, StateError>;

/// What the transactions of a slice came to, in order, and what they changed together.
pub(crate) struct Done {
    pub(crate) came: Vec<Came>,
    pub(crate) changes: ChangeSet,
}

/// Whether it is worth it.
pub(crate) fn is_worth_it(workers: &dyn Workers, transactions: usize) -> bool {
    workers.count() > 1 && transactions >= TRANSACTIONS_MIN
}

/// Runs the transactions, whose ids differ from each other and from all that the slice had before, on `base`.
pub(crate) fn run(
    ground: &Ground<'_>,
    base: &(dyn State + Sync),
    transactions: &[Checked],
    workers: &dyn Workers,
) -> Done {
    let run = Run {
        ground,
        transactions,
        memory: Memory::new(base),
        scheduler: Scheduler::new(transactions.len()),
        records: transactions.iter().map(|_| Mutex::default()).collect(),
    };
    workers.run(&|| run.work());
    run.finish()
}

/// What is known of one transaction's last run.
#[derive(Default)]
struct Record {
    reads: Vec<(Bytes, Origin)>,
    written: Vec<Bytes>,
    came: Option<Came>,
}

struct Run<'r> {
    ground: &'r Ground<'r>,
    transactions: &'r [Checked],
    memory: Memory<'r>,
    scheduler: Scheduler,
    records: Vec<Mutex<Record>>,
}

impl Run<'_> {
    fn work(&self) {
        let mut task = None;
        while !self.scheduler.is_done() {
            task = match task {
                Some(Task::Execute(version)) => self.execute(version),
                Some(Task::Validate(version)) => self.validate(version),
                None => {
                    let next = self.scheduler.next();
                    if next.is_none() {
                        std::hint::spin_loop();
                    }
                    next
                }
            };
        }
    }

    fn execute(&self, version: Version) -> Option<Task> {
        loop {
            let state = StateBefore::new(&self.memory, version.index);
            let mut view = View::new(&state);
            let came = transact(self.ground, &mut view, &self.transactions[version.index], false);
            let changes = view.into_changes();
            if let Some(blocker) = state.blocked_by.get() {
                if self.scheduler.wait_for(version, blocker) {
                    return None;
                }
                // It is there by now.
                continue;
            }
            // What finds the state wrong has changed nothing.
            let changes = if came.is_ok() { changes } else { ChangeSet::new() };
            let mut record = self.record(version.index);
            record.reads = state.reads.into_inner();
            record.came = Some(came);
            let (written, is_elsewhere) = self.memory.write(version, changes, &record.written);
            record.written = written;
            drop(record);
            return self.scheduler.executed(version, is_elsewhere);
        }
    }

    fn validate(&self, version: Version) -> Option<Task> {
        let record = self.record(version.index);
        let holds = record.reads.iter().all(|(key, origin)| self.memory.origin(key, version.index) == Some(*origin));
        let is_aborted = !holds && self.scheduler.abort(version);
        if is_aborted {
            self.memory.estimate(version.index, &record.written);
        }
        drop(record);
        self.scheduler.validated(version, is_aborted)
    }

    fn record(&self, index: usize) -> MutexGuard<'_, Record> {
        self.records[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(self) -> Done {
        let came = self.records.into_iter().map(|record| {
            let record = record.into_inner().unwrap_or_else(PoisonError::into_inner);
            record.came.unwrap_or_else(|| Err(StateError::Damaged { what: "a transaction did not run".to_owned() }))
        });
        Done { came: came.collect(), changes: self.memory.into_changes() }
    }
}

/// The state as the transactions before one have left it so far.
struct StateBefore<'m> {
    memory: &'m Memory<'m>,
    index: usize,
    reads: RefCell<Vec<(Bytes, Origin)>>,
    blocked_by: Cell<Option<usize>>,
}

impl<'m> StateBefore<'m> {
    fn new(memory: &'m Memory<'m>, index: usize) -> Self {
        Self { memory, index, reads: RefCell::default(), blocked_by: Cell::new(None) }
    }
}

impl State for StateBefore<'_> {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        match self.memory.read(key, self.index)? {
            Read::Value(value, origin) => {
                self.reads.borrow_mut().push((key.clone(), origin));
                Ok(value)
            }
            Read::Awaited(blocker) => {
                self.blocked_by.set(Some(blocker));
                // Ends the run at once; nobody sees it.
                Err(StateError::Awaited)
            }
        }
    }

    fn includes(&self, id: &Hash) -> bool {
        self.memory.base().includes(id)
    }
}

#[cfg(test)]
mod tests;
