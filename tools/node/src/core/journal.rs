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

    /// Slices above the last final one of which the log has nothing come before one that builds on them: those of other
    /// slots that were never confirmed here. After a restart a slice without its ancestors is worth nothing, and whoever
    /// reads the log looks for a slice behind its parent.
    fn lead(&mut self, slice: SliceRef, bodies: &Bodies) {
        let (mut missing, mut id) = (Vec::new(), slice.id);
        while let Some(body) = bodies.get(&id)
            && (id == slice.id || !self.noted.contains(&id))
        {
            missing.push(body.slice.reference());
            id = body.slice.body.parent;
        }
        for ancestor in missing.into_iter().skip(1).rev() {
            self.noted.insert(ancestor.id);
            self.waiting.push_back(Entry::Slice(ancestor, None));
        }
        self.noted.insert(slice.id);
    }

    /// A slice that is about to be confirmed, with the mark that goes before it.
    pub(super) fn persist(&mut self, slice: SliceRef, mark: Watermark, bodies: &Bodies) {
        self.lead(slice, bodies);
        self.waiting.push_back(Entry::Slice(slice, Some(mark)));
    }

    /// This producer's first slice of a slot, which is about to leave.
    pub(super) fn record(&mut self, slice: SliceRef, bodies: &Bodies) {
        self.lead(slice, bodies);
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

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::super::sync::tests::slice;
    use super::*;

    #[test]
    fn a_slice_is_written_behind_its_ancestors() {
        let (mut journal, mut bodies, mut chain) = (Journal::default(), Bodies::new(), Vec::new());
        for slot in 1..=6 {
            let slice = slice(slot, 0, chain.last().map_or(Hash::ZERO, |last: &SliceRef| last.id), 0, 0);
            chain.push(slice.reference());
            bodies.insert(slice.id(), Body { slice, transactions: Vec::new(), outcomes: Vec::new() });
        }
        journal.note(chain[0].id);
        let mark = Watermark { source: chain[0], target: chain[3] };
        journal.persist(chain[3], mark, &bodies);
        journal.record(chain[5], &bodies);
        journal.finalise(&chain[1..]);
        journal.batch(&bodies, None);
        let written: Vec<u64> = journal.out.iter().filter_map(Entry::slice).map(|slice| slice.height.slot.0).collect();
        assert_eq!(written, [2, 3, 4, 5, 6]);
    }
}
