//! Slices whose parent is missing, and what to ask peers for.
//!
//! Bounded: when full, the slice farthest from the final end of the chain gives way, so that catching up goes on.

use std::collections::{BTreeMap, BTreeSet};

use hpb_base::limits::ORPHAN_SLICES_MAX;
use hpb_base::{Duration, Instant};
use hpb_types::{Hash, Height, Slice, SliceRef};

/// A slice that waits, with when it came.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) slice: Slice,
    pub(super) reference: SliceRef,
    pub(super) arrived: Instant,
}

#[derive(Debug)]
struct Want {
    retry_at: Instant,
    /// The highest height that wants it; it is not wanted once that is final.
    height: Height,
}

/// The waiting slices.
#[derive(Debug)]
pub(super) struct Orphans {
    retry: Duration,
    by_parent: BTreeMap<Hash, Vec<Orphan>>,
    /// Every orphan's parent, in the order of heights.
    parents: BTreeMap<(Height, Hash), Hash>,
    ids: BTreeSet<Hash>,
    wants: BTreeMap<Hash, Want>,
    retries: BTreeSet<(Instant, Hash)>,
}

impl Orphans {
    /// `retry` between two requests for one slice.
    pub(super) fn new(retry: Duration) -> Self {
        Self {
            retry,
            by_parent: BTreeMap::new(),
            parents: BTreeMap::new(),
            ids: BTreeSet::new(),
            wants: BTreeMap::new(),
            retries: BTreeSet::new(),
        }
    }

    pub(super) fn contains(&self, id: &Hash) -> bool {
        self.ids.contains(id)
    }

    /// Whether another slice or a quorum of confirms points at `id`.
    pub(super) fn is_wanted(&self, id: &Hash) -> bool {
        self.by_parent.contains_key(id) || self.wants.contains_key(id)
    }

    /// Keeps a slice until its parent comes. Gives the one that finds no room, itself or one that it displaced.
    pub(super) fn insert(&mut self, orphan: Orphan) -> Option<SliceRef> {
        let (reference, parent, now) = (orphan.reference, orphan.slice.body.parent, orphan.arrived);
        self.unwant(&reference.id);
        self.ids.insert(reference.id);
        self.parents.insert((reference.height, reference.id), parent);
        self.by_parent.entry(parent).or_default().push(orphan);
        if !self.ids.contains(&parent) {
            self.want(parent, reference.height, now);
        }
        if self.ids.len() <= ORPHAN_SLICES_MAX {
            return None;
        }
        let ((height, id), parent) = self.parents.last_key_value().map(|(at, parent)| (*at, *parent))?;
        self.remove(height, id, parent);
        Some(SliceRef { height, id })
    }

    /// Asks for `id` at `now` and again until it comes, or until `height` is final.
    pub(super) fn want(&mut self, id: Hash, height: Height, now: Instant) {
        if let Some(want) = self.wants.get_mut(&id) {
            want.height = want.height.max(height);
        } else if self.wants.len() < ORPHAN_SLICES_MAX {
            self.wants.insert(id, Want { retry_at: now, height });
            self.retries.insert((now, id));
        }
    }

    /// Takes the slices that waited for `parent`, which has come.
    pub(super) fn take(&mut self, parent: &Hash) -> Vec<Orphan> {
        self.unwant(parent);
        let taken = self.by_parent.remove(parent).unwrap_or_default();
        for orphan in &taken {
            self.parents.remove(&(orphan.reference.height, orphan.reference.id));
            self.ids.remove(&orphan.reference.id);
        }
        taken
    }

    /// Forgets what is at or below `height`, now final; the slices among it.
    pub(super) fn prune(&mut self, height: Height) -> Vec<SliceRef> {
        let mut gone = Vec::new();
        while let Some(((at, id), parent)) = self.parents.first_key_value().map(|(at, parent)| (*at, *parent)) {
            if at > height {
                break;
            }
            self.remove(at, id, parent);
            gone.push(SliceRef { height: at, id });
        }
        let done: Vec<Hash> = self.wants.iter().filter(|(_, want)| want.height <= height).map(|(id, _)| *id).collect();
        for id in done {
            self.unwant(&id);
        }
        gone
    }

    /// An id to ask for at `now`; it comes again after the retry time.
    pub(super) fn due(&mut self, now: Instant) -> Option<Hash> {
        let (at, id) = self.retries.first().copied().filter(|(at, _)| *at <= now)?;
        self.retries.remove(&(at, id));
        let retry_at = now + self.retry;
        self.retries.insert((retry_at, id));
        if let Some(want) = self.wants.get_mut(&id) {
            want.retry_at = retry_at;
        }
        Some(id)
    }

    /// When the next request is due.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    fn remove(&mut self, height: Height, id: Hash, parent: Hash) {
        self.parents.remove(&(height, id));
        self.ids.remove(&id);
        if let Some(orphans) = self.by_parent.get_mut(&parent) {
            orphans.retain(|orphan| orphan.reference.id != id);
            if orphans.is_empty() {
                self.by_parent.remove(&parent);
                self.unwant(&parent);
            }
        }
    }

    fn unwant(&mut self, id: &Hash) {
        if let Some(want) = self.wants.remove(id) {
            self.retries.remove(&(want.retry_at, *id));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hpb_types::slice::transactions_root;
    use hpb_types::{Beacon, Certificate, ChainId, Epoch, NextSchedule, ResultsCommitment, Signature, SliceBody, Slot};

    use super::*;

    fn orphan(slot: u64, parent: Hash, now: Instant) -> Orphan {
        let genesis = SliceRef { height: Height { slot: Slot(0), index: 0 }, id: Hash::ZERO };
        let body = SliceBody {
            version: SliceBody::VERSION,
            chain: ChainId(Hash::ZERO),
            epoch: Epoch(0),
            slot: Slot(slot),
            index: 0,
            last: false,
            parent,
            producer: "producer0".parse().unwrap(),
            transactions_root: transactions_root([]),
            results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
            source: Certificate::genesis(genesis),
            beacon: Beacon::None,
            next: NextSchedule::None,
        };
        let slice = Slice { body, signature: Signature([0; 64]) };
        let reference = slice.reference();
        Orphan { slice, reference, arrived: now }
    }

    fn parent(number: u64) -> Hash {
        Hash::of(&number.to_le_bytes())
    }

    fn height(slot: u64) -> Height {
        Height { slot: Slot(slot), index: 0 }
    }

    #[test]
    fn when_full_the_farthest_gives_way() {
        let mut orphans = Orphans::new(Duration::from_millis(100));
        let full = ORPHAN_SLICES_MAX as u64;
        for slot in 1..=full {
            assert_eq!(orphans.insert(orphan(slot, parent(slot), Instant::ZERO)), None);
        }
        let farthest = orphan(full + 1, parent(full + 1), Instant::ZERO);
        let reference = farthest.reference;
        assert_eq!(orphans.insert(farthest), Some(reference), "it goes itself");
        assert_eq!(orphans.take(&parent(full + 1)).len(), 0);
        let gone = orphans.insert(orphan(1, parent(0), Instant::ZERO)).unwrap();
        assert_eq!(gone.height, height(full));
        assert_eq!(orphans.take(&parent(full)).len(), 0, "the highest went");
        assert_eq!(orphans.take(&parent(0)).len(), 1, "the low one stayed");
    }

    #[test]
    fn requests_repeat_and_end_when_their_height_is_final() {
        let mut orphans = Orphans::new(Duration::from_millis(100));
        orphans.insert(orphan(3, parent(3), Instant::ZERO));
        orphans.want(parent(9), height(9), Instant::ZERO);
        let mut due = |millis| {
            let now = Instant::from_millis(millis);
            std::iter::from_fn(|| orphans.due(now)).collect::<Vec<_>>()
        };
        let mut both = vec![parent(3), parent(9)];
        both.sort();
        assert_eq!(due(0), both);
        assert_eq!(due(99), []);
        assert_eq!(due(100), both);
        let gone = orphans.prune(height(3));
        assert_eq!(gone, [orphan(3, parent(3), Instant::ZERO).reference]);
        assert_eq!(orphans.due(Instant::from_millis(200)), Some(parent(9)));
        assert!(!orphans.is_wanted(&parent(3)));
        orphans.prune(height(9));
        assert_eq!(orphans.wake_at(), None);
    }

    #[test]
    fn what_waits_for_one_parent_comes_together() {
        let mut orphans = Orphans::new(Duration::from_millis(100));
        let (first, second) = (orphan(3, parent(1), Instant::ZERO), orphan(4, parent(1), Instant::ZERO));
        let child = orphan(5, first.reference.id, Instant::ZERO);
        let ids = [first.reference.id, second.reference.id];
        assert!([child, first, second].into_iter().all(|orphan| orphans.insert(orphan).is_none()));
        assert!(!orphans.wants.contains_key(&ids[0]), "a slice that is here is not asked for");
        assert_eq!(orphans.take(&parent(1)).iter().map(|orphan| orphan.reference.id).collect::<Vec<_>>(), ids);
        assert_eq!(orphans.take(&ids[0]).len(), 1);
        assert_eq!((orphans.ids.len(), orphans.parents.len(), orphans.wake_at()), (0, 0, None));
    }
}
