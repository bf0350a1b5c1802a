//! Transactions that wait for a slice: bounded, in order of arrival, so that one sender's leave in the order in which
//! they came.
//!
//! What it refuses is a filter and no verdict: only execution in a slice counts. A transaction **waits** until it is
//! taken for a proposal or seen in an adopted slice, is **underway** then, and goes when its slice is final; if its slice
//! is retracted it waits again, in its old place, until it expires.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hpb_base::UnixMillis;
use hpb_base::limits::{MEMPOOL_BYTES_MAX, MEMPOOL_PER_PAYER_MAX, MEMPOOL_TRANSACTIONS_MAX};
use hpb_types::{AccountName, ChainId, Hash, RejectReason};

use crate::apply::judge_expiry;
use crate::checked::Checked;

/// How much a mempool holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MempoolLimits {
    /// Transactions.
    pub count_max: usize,
    /// Their canonical bytes.
    pub bytes_max: usize,
    /// Transactions of one payer.
    pub per_payer_max: usize,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self { count_max: MEMPOOL_TRANSACTIONS_MAX, bytes_max: MEMPOOL_BYTES_MAX, per_payer_max: MEMPOOL_PER_PAYER_MAX }
    }
}

#[derive(Debug)]
struct Entry {
    transaction: Checked,
    arrival: u64,
    is_underway: bool,
}

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    chain: ChainId,
    limits: MempoolLimits,
    entries: HashMap<Hash, Entry>,
    /// Arrival to id, of those that wait.
    waiting: BTreeMap<u64, Hash>,
    /// Expiry, arrival and id, of those that wait.
    expiries: BTreeSet<(u64, u64, Hash)>,
    per_payer: HashMap<AccountName, usize>,
    bytes: usize,
    next_arrival: u64,
}

impl Mempool {
    /// An empty pool.
    pub fn new(chain: ChainId, limits: MempoolLimits) -> Self {
        Self {
            chain,
            limits,
            entries: HashMap::new(),
            waiting: BTreeMap::new(),
            expiries: BTreeSet::new(),
            per_payer: HashMap::new(),
            bytes: 0,
            next_arrival: 0,
        }
    }

    /// Transactions held, waiting or underway.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the transactions held.
    pub fn bytes_len(&self) -> usize {
        self.bytes
    }

    /// Transactions that wait.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a transaction waits for a slice.
    pub fn has_pending(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the transaction of that id is held.
    pub fn contains(&self, id: &Hash) -> bool {
        self.entries.contains_key(id)
    }

    /// The transaction of that id.
    pub fn get(&self, id: &Hash) -> Option<&Checked> {
        self.entries.get(id).map(|entry| &entry.transaction)
    }

    /// Whether [`insert`](Self::insert) would take the transaction now; to be asked before dearer checks.
    ///
    /// # Errors
    /// Why it would not.
    pub fn admits(&self, transaction: &Checked, block_time: UnixMillis) -> Result<(), RejectReason> {
        let body = &transaction.body;
        if body.chain != self.chain {
            return Err(RejectReason::WrongChain);
        }
        judge_expiry(body.expiry_ms, block_time)?;
        if self.contains(&transaction.id()) {
            return Err(RejectReason::Duplicate);
        }
        let of_payer = self.per_payer.get(&body.payer).copied().unwrap_or(0);
        let is_full = self.entries.len() >= self.limits.count_max
            || self.bytes + transaction.bytes_len() > self.limits.bytes_max
            || of_payer >= self.limits.per_payer_max;
        if is_full { Err(RejectReason::MempoolFull) } else { Ok(()) }
    }

    /// Takes a transaction in; it waits.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn insert(&mut self, transaction: Checked, block_time: UnixMillis) -> Result<(), RejectReason> {
        self.admits(&transaction, block_time)?;
        let id = transaction.id();
        self.add(transaction);
        self.wait(&id);
        Ok(())
    }

    /// Hands out the oldest waiting transactions, up to `count_max` of `bytes_max` bytes in all, and has them underway.
    /// It stops at the first that does not fit, so that none overtakes another, and passes over those that have expired
    /// by `block_time`, which [`expire`](Self::expire) is to name.
    pub fn take(&mut self, count_max: usize, bytes_max: usize, block_time: UnixMillis) -> Vec<Checked> {
        let mut bytes_left = bytes_max;
        let mut taken = Vec::new();
        let waiting = self.waiting.values().filter_map(|id| self.entries.get(id));
        for entry in waiting.filter(|entry| entry.transaction.body.expiry_ms >= block_time.0).take(count_max) {
            let Some(left) = bytes_left.checked_sub(entry.transaction.bytes_len()) else { break };
            bytes_left = left;
            taken.push(entry.transaction.clone());
        }
        for transaction in &taken {
            self.set_underway(&transaction.id());
        }
        taken
    }

    /// Learns that a slice of the adopted chain carries the transaction, wherever it came from. One that was not held is
    /// held now, if there is room, so that it can wait again should its slice be retracted.
    pub fn include(&mut self, transaction: &Checked) {
        let id = transaction.id();
        if self.contains(&id) {
            self.set_underway(&id);
        } else if self.entries.len() < self.limits.count_max
            && self.bytes + transaction.bytes_len() <= self.limits.bytes_max
        {
            self.add(transaction.clone());
        }
    }

    /// Learns that the transaction stands in no slice of the adopted chain any more, or was taken and left out: it waits
    /// again, in its old place. False if it is not held.
    pub fn retract(&mut self, id: &Hash) -> bool {
        if self.entries.get(id).is_some_and(|entry| entry.is_underway) {
            self.wait(id);
        }
        self.contains(id)
    }

    /// Drops the transaction: its slice is final, or no slice can ever carry it. False if it is not held.
    pub fn drop_one(&mut self, id: &Hash) -> bool {
        self.remove(id).is_some()
    }

    /// Drops the waiting transactions that have expired by `block_time`; their ids, the earliest expiry first. Those
    /// underway stay: their slice may yet be final.
    pub fn expire(&mut self, block_time: UnixMillis) -> Vec<Hash> {
        let mut expired = Vec::new();
        while let Some((expiry_ms, _, id)) = self.expiries.first().copied() {
            if expiry_ms >= block_time.0 {
                break;
            }
            self.remove(&id);
            expired.push(id);
        }
        expired
    }

    /// Holds a transaction as underway.
    fn add(&mut self, transaction: Checked) {
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        self.bytes += transaction.bytes_len();
        *self.per_payer.entry(transaction.body.payer).or_default() += 1;
        self.entries.insert(transaction.id(), Entry { transaction, arrival, is_underway: true });
    }

    fn wait(&mut self, id: &Hash) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.is_underway = false;
            self.waiting.insert(entry.arrival, *id);
            self.expiries.insert((entry.transaction.body.expiry_ms, entry.arrival, *id));
        }
    }

    fn set_underway(&mut self, id: &Hash) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.is_underway = true;
            self.waiting.remove(&entry.arrival);
            self.expiries.remove(&(entry.transaction.body.expiry_ms, entry.arrival, *id));
        }
    }

    fn remove(&mut self, id: &Hash) -> Option<Entry> {
        self.set_underway(id);
        let entry = self.entries.remove(id)?;
        self.bytes -= entry.transaction.bytes_len();
        let payer = entry.transaction.body.payer;
        if let Some(count) = self.per_payer.get_mut(&payer) {
            *count -= 1;
            if *count == 0 {
                self.per_payer.remove(&payer);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
