//! Transactions of one slice on several workers at once, with the outcome of running them one after the other.
//!
//! The caller goes through the slice in order. The others run ahead of it: each transaction by itself, on the state
//! before the slice, and they keep what it read and wrote. When the caller comes to one that ran ahead, and what it read
//! is still what it would read, it takes over what that run came to: a run depends on what it reads and on nothing else.
//! If not, or if nobody ran it ahead, the caller runs it. So the outcome is byte for byte the serial one, whatever the
//! workers' number and speed, nobody waits for anybody, and a slice of which everything depends on everything takes
//! little longer than one worker alone would need.
//!
//! What a transaction finds wrong with the state while it runs ahead is not believed: the caller runs it again.
//!
//! It starts no thread: a caller lends [`Workers`].

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hpb_types::{Receipt, RejectReason};

use crate::apply::deed::Ground;
use crate::apply::one::transact;
use crate::checked::Checked;
use crate::view::{SharedState, State, Tracked, View};

/// Transactions that are run ahead in one go: what two may run at the same time, and one of them for nothing.
pub(crate) const PART_LEN: usize = 8;
/// Fewer are not worth waking anyone for.
const TRANSACTIONS_MIN: usize = 16;

/// Threads that a caller lends for one execution.
pub trait Workers: Sync + core::fmt::Debug {
    /// How many there are, the caller's own included; with one, all is serial.
    fn count(&self) -> usize;

    /// Runs `own` on the caller's thread and, meanwhile, `others` once on each of the others; comes back when all have.
    fn run(&self, own: &mut dyn FnMut(), others: &(dyn Fn() + Sync));
}

/// The caller's own thread, and no other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Workers for Alone {
    fn count(&self) -> usize {
        1
    }

    fn run(&self, own: &mut dyn FnMut(), _: &(dyn Fn() + Sync)) {
        own();
    }
}

/// Does `count` pieces of work, each once, by whichever worker comes to it first; what they come to, in order.
pub(crate) fn spread<T: Send>(count: usize, workers: &dyn Workers, piece: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    if workers.count() <= 1 || count <= 1 {
        return (0..count).map(piece).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    let work = || {
        let mut own = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            own.push((number, piece(number)));
        }
        done.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
    };
    workers.run(&mut || work(), &work);
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, came)| came).collect()
}

/// Whether it is worth it.
pub(crate) fn is_worth_it(workers: &dyn Workers, transactions: usize) -> bool {
    workers.count() > 1 && transactions >= TRANSACTIONS_MIN
}

/// What a transaction came to that ran ahead.
pub(crate) struct Ran {
    /// A receipt, or why it is unfit; nothing once that is taken over.
    pub(crate) came: Option<Result<Receipt, RejectReason>>,
    /// What it read, and what it wrote.
    pub(crate) tracked: Tracked,
}

/// Some transactions in a row.
#[derive(Default)]
struct Part {
    /// Whether somebody runs it, or has.
    is_claimed: AtomicBool,
    /// What it came to, once it ran ahead; a transaction that found the state wrong came to nothing.
    ran: Mutex<Vec<Option<Ran>>>,
}

/// The transactions of a slice that are run ahead of their turn.
pub(crate) struct Ahead<'a> {
    ground: Ground<'a>,
    state: &'a dyn SharedState,
    transactions: &'a [Checked],
    parts: Vec<Part>,
    workers: usize,
    /// The first part that the caller has not come to.
    next: AtomicUsize,
    /// Whether the caller needs no more.
    is_over: AtomicBool,
}

impl<'a> Ahead<'a> {
    /// None of `transactions` has run.
    pub(crate) fn new(
        ground: Ground<'a>,
        state: &'a dyn SharedState,
        transactions: &'a [Checked],
        workers: usize,
    ) -> Self {
        let parts = transactions.chunks(PART_LEN).map(|_| Part::default()).collect();
        let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { ground, state, transactions, parts, workers, next, is_over }
    }

    /// What one worker does that is not the caller: runs parts ahead until there are none, or the caller needs no more.
    pub(crate) fn run(&self) {
        let state = self.state.reader();
        while let Some(number) = self.claim() {
            let transactions = self.transactions.chunks(PART_LEN).nth(number).unwrap_or_default();
            let ran = transactions.iter().map(|transaction| self.run_one(&*state, transaction)).collect();
            *self.parts[number].ran.lock().unwrap_or_else(PoisonError::into_inner) = ran;
        }
    }

    fn run_one(&self, state: &dyn State, transaction: &Checked) -> Option<Ran> {
        let mut view = View::new(state);
        let came = transact(&self.ground, &mut view, transaction, false).ok()?;
        Some(Ran { came: Some(came), tracked: view.into_tracked() })
    }

    /// A part that nobody else runs. The first of what is left is the caller's, a smaller share than everyone else's: it
    /// takes over what the others come to besides, and should find it done when it comes there.
    fn claim(&self) -> Option<usize> {
        if self.is_over.load(Ordering::Relaxed) {
            return None;
        }
        let (next, end) = (self.next.load(Ordering::Relaxed), self.parts.len());
        let from = next + (end - next) / (self.workers + 1);
        (from..end).chain((next..from).rev()).find(|number| self.parts[*number].claim())
    }

    /// The caller comes to a part: what its transactions came to that ran ahead, or nothing.
    pub(crate) fn take(&self, number: usize) -> Vec<Option<Ran>> {
        self.next.store(number + 1, Ordering::Relaxed);
        let part = &self.parts[number];
        if part.claim() {
            return Vec::new();
        }
        core::mem::take(&mut *part.ran.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The caller is through with what it took. It is kept until all is over: whoever frees what another thread is getting
    /// more of waits for it at the allocator's lock.
    pub(crate) fn keep(&self, number: usize, ran: Vec<Option<Ran>>) {
        if !ran.is_empty() {
            *self.parts[number].ran.lock().unwrap_or_else(PoisonError::into_inner) = ran;
        }
    }

    /// Has the others end when it goes, however the caller ends.
    pub(crate) fn until_dropped(&self) -> impl Drop + use<'_> {
        Over(&self.is_over)
    }
}

impl Part {
    fn claim(&self) -> bool {
        // What it guards is behind the lock: this only says whose it is.
        !self.is_claimed.load(Ordering::Relaxed) && !self.is_claimed.swap(true, Ordering::Relaxed)
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
