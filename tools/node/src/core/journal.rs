//! What waits for the disk: slices with their watermark, and finality. One batch is out at a time; what gathers
//! meanwhile goes together, so that a slow disk costs delay and not a queue of syncs.

use std::collections::{BTreeSet, VecDeque};

use hpb_consensus::Watermark;
use hpb_ledger::chainlog::LogBatch;
use hpb_types::{AccountName, Hash, SliceRef};

use super::Bodies;

pub(super) enum Entry {
    /// A slice, before this producer confirms it.
    Slice(SliceRef, Option<Watermark>),
    /// This producer's first slice of a slot, before it leaves.
    Own(SliceRef),
    /// The chain is final up to here.
    Final(SliceRef),
}

impl Entry {
    /// The slice that it writes.
    fn slice(&self) -> Option<&SliceRef> {
        match self {
            Self::Slice(slice, _) | Self::Own(slice) => Some(slice),
            Self::Final(_) => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Journal {
    waiting: VecDeque<Entry>,
    out: Vec<Entry>,
    number: u64,
    /// Slices that are written or wait to be.
    noted: BTreeSet<Hash>,
}

impl Journal {
    /// Notes that these slices are in the log already.
    pub(super) fn note(&mut self, id: Hash) {
        self.noted.insert(id);
    }

    pub(super) fn forget(&mut self, id: &Hash) {
        self.noted.remove(id);
    }

    /// A slice that is about to be confirmed, with the mark that goes before it.
    pub(super) fn persist(&mut self, slice: SliceRef, mark: Watermark) {
        self.noted.insert(slice.id);
        self.waiting.push_back(Entry::Slice(slice, Some(mark)));
    }

    /// This producer's first slice of a slot, which is about to leave.
    pub(super) fn record(&mut self, slice: SliceRef) {
        self.noted.insert(slice.id);
        self.waiting.push_back(Entry::Own(slice));
    }

    /// Slices that are final now, in the chain's order; those that were never confirmed here are written first.
    pub(super) fn finalise(&mut self, newly: &[SliceRef]) {
        for slice in newly {
            if self.noted.insert(slice.id) {
                self.waiting.push_back(Entry::Slice(*slice, None));
            }
        }
        if let Some(last) = newly.last() {
            self.waiting.push_back(Entry::Final(*last));
        }
    }

    /// The next batch, if something waits and none is out. What does not fit stays for the one after.
    pub(super) fn batch(&mut self, bodies: &Bodies, producer: Option<AccountName>) -> Option<(u64, LogBatch)> {
        if !self.out.is_empty() || self.waiting.is_empty() {
            return None;
        }
        let mut batch = LogBatch::new();
        while let Some(entry) = self.waiting.pop_front() {
            let pushed = match &entry {
                Entry::Final(reference) => batch.push_final(reference).is_ok(),
                Entry::Slice(slice, _) | Entry::Own(slice) => bodies.get(&slice.id).is_none_or(|body| {
                    let repeated = self.out.iter().any(|other| other.slice() == Some(slice));
                    let pushed = repeated || {
                        let transactions: Vec<_> =
                            body.transactions.iter().map(|checked| checked.transaction().clone()).collect();
                        batch.push_slice(&body.slice, &transactions).is_ok()
                    };
                    if let (true, Entry::Slice(_, Some(mark)), Some(producer)) = (pushed, &entry, producer) {
                        batch.set_watermark(hpb_ledger::watermark::Watermark {
                            producer,
                            source: mark.source,
                            target: mark.target,
                        });
                    }
                    pushed
                }),
            };
            if !pushed {
                self.waiting.push_front(entry);
                break;
            }
            self.out.push(entry);
        }
        self.number += 1;
        Some((self.number, batch))
    }

    /// Batch `number` is durable: what was in it.
    pub(super) fn synced(&mut self, number: u64) -> Vec<Entry> {
        if number == self.number { std::mem::take(&mut self.out) } else { Vec::new() }
    }
}
