//! Transactions of one slice on several workers at once, with the outcome of running them one after the other.
//!
//! Optimistic, by the scheme of `Block-STM` (Gelashvili et al., 2023): each transaction runs on what those before it
//! have written so far, its reads are noted, and it runs again if one of them turns out to be of another version. The
//! order is that of the slice, so the outcome is byte for byte the serial one, whatever the workers' number and speed.
//! What a transaction finds wrong with the state while it runs ahead counts only if its reads hold at the end.
//!
//! It starts no thread: a caller lends [`Workers`].

mod memory;
mod scheduler;

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpb_types::{Hash, Receipt, RejectReason};

use crate::apply::deed::Ground;
use crate::apply::one::transact;
use crate::bytes::Bytes;
use crate::checked::Checked;
use crate::view::{ChangeSet, State, StateError, View};
use memory::{Memory, Origin, Place, Read};
use scheduler::{Scheduler, Task, Version};

/// Reads of a transfer.
const READS_USUAL: usize = 8;
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
#[repr(align(64))]
struct Record {
    reads: Vec<(Arc<Place>, Origin)>,
    written: Vec<Arc<Place>>,
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
        // A worker that panics lets the others end, too.
        let _ending = Ending(&self.scheduler);
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
            let reads = state.reads.into_inner();
            let mut record = self.record(version.index);
            let is_elsewhere = self.write(version, changes, &reads, &mut record.written);
            record.reads = reads;
            record.came = Some(came);
            drop(record);
            return self.scheduler.executed(version, is_elsewhere);
        }
    }

    /// Writes what a run changed, in the place of what the run before it wrote at `written`; whether there is a place that
    /// the run before did not write.
    fn write(
        &self,
        version: Version,
        changes: ChangeSet,
        reads: &[(Arc<Place>, Origin)],
        written: &mut Vec<Arc<Place>>,
    ) -> bool {
        for place in written.iter().filter(|place| !changes.contains_key(&place.key)) {
            place.clear(version.index);
        }
        let before = core::mem::replace(written, Vec::with_capacity(changes.len()));
        let mut is_elsewhere = false;
        for (key, value) in changes {
            // Most of what is written was read before: a few places, looked through.
            let read = reads.iter().map(|(place, _)| place).find(|place| place.key == key);
            let place = read.map_or_else(|| self.memory.place(&key), Arc::clone);
            is_elsewhere |= !before.iter().any(|before| Arc::ptr_eq(before, &place));
            place.write(version, value);
            written.push(place);
        }
        is_elsewhere
    }

    fn validate(&self, version: Version) -> Option<Task> {
        let record = self.record(version.index);
        let holds = record.reads.iter().all(|(place, origin)| place.origin(version.index) == Some(*origin));
        let is_aborted = !holds && self.scheduler.abort(version);
        if is_aborted {
            for place in &record.written {
                place.estimate(version.index);
            }
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

/// Ends the work of all when it goes: its own has ended, or never will.
struct Ending<'s>(&'s Scheduler);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The state as the transactions before one have left it so far.
struct StateBefore<'m> {
    memory: &'m Memory<'m>,
    index: usize,
    reads: RefCell<Vec<(Arc<Place>, Origin)>>,
    blocked_by: Cell<Option<usize>>,
}

impl<'m> StateBefore<'m> {
    fn new(memory: &'m Memory<'m>, index: usize) -> Self {
        Self { memory, index, reads: RefCell::new(Vec::with_capacity(READS_USUAL)), blocked_by: Cell::new(None) }
    }
}

impl State for StateBefore<'_> {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        let place = self.memory.place(key);
        match self.memory.read(&place, self.index)? {
            Read::Value(value, origin) => {
                self.reads.borrow_mut().push((place, origin));
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
