//! Final changes on their way to the store: gathered until the writer asks, then handed over as a batch, then held until
//! the writer says that the batch is committed. Reads see them all along.

use std::collections::{BTreeMap, VecDeque};

use hpb_base::limits::FINAL_BATCHES_MAX;
use hpb_types::SliceRef;

use crate::bytes::Bytes;
use crate::hashed::HashMap;
use crate::store::{FinalBatch, FinalPoint};
use crate::view::ChangeSet;

/// Final changes that the store does not hold for certain.
#[derive(Debug)]
pub(crate) struct Pending {
    gathered: HashMap<Bytes, Option<Bytes>>,
    /// The slice whose state the gathered changes lead to, once there is one.
    point: Option<SliceRef>,
    /// Handed over, oldest first.
    handed: VecDeque<(u64, HashMap<Bytes, Option<Bytes>>)>,
    next_commit: u64,
    bytes: usize,
}

impl Pending {
    /// Nothing on its way; the next batch has number `next_commit`.
    pub(crate) fn new(next_commit: u64) -> Self {
        Self { gathered: HashMap::default(), point: None, handed: VecDeque::new(), next_commit, bytes: 0 }
    }

    /// Adds the changes that lead to `point`.
    pub(crate) fn absorb(&mut self, point: SliceRef, changes: ChangeSet) {
        self.bytes += changes_len(&changes);
        for (key, value) in changes {
            let key_len = key.len();
            if let Some(replaced) = self.gathered.insert(key, value) {
                self.bytes -= key_len + replaced.map_or(0, |value| value.len());
            }
        }
        self.point = Some(point);
    }

    /// The value on its way to `key`.
    pub(crate) fn get(&self, key: &Bytes) -> Option<&Option<Bytes>> {
        let handed = || self.handed.iter().rev().find_map(|(_, changes)| changes.get(key));
        self.gathered.get(key).or_else(handed)
    }

    /// Puts everything on its way whose key starts with `prefix` into `overlay`, in order.
    pub(crate) fn overlay<'a>(&'a self, prefix: &[u8], overlay: &mut BTreeMap<&'a [u8], Option<&'a [u8]>>) {
        for changes in self.handed.iter().map(|(_, changes)| changes).chain([&self.gathered]) {
            let within = changes.iter().filter(|(key, _)| key.starts_with(prefix));
            overlay.extend(within.map(|(key, value)| (key.as_slice(), value.as_ref().map(Bytes::as_slice))));
        }
    }

    /// Hands over what was gathered; `None` if that is nothing, or while too many batches are with the writer.
    pub(crate) fn hand_over(&mut self) -> Option<FinalBatch> {
        if self.handed.len() >= FINAL_BATCHES_MAX {
            return None;
        }
        let point = FinalPoint { slice: self.point.take()?, commit: self.next_commit };
        self.next_commit += 1;
        let changes = core::mem::take(&mut self.gathered);
        // A batch is in order; what is in order already is made one in one go.
        let mut in_order: Vec<_> = changes.iter().collect();
        in_order.sort_unstable_by_key(|(key, _)| *key);
        let plain = in_order.into_iter().map(|(key, value)| (key.to_vec(), value.as_ref().map(|value| value.to_vec())));
        let batch = FinalBatch { point, changes: plain.collect() };
        self.handed.push_back((point.commit, changes));
        Some(batch)
    }

    /// Lets go of every batch up to number `commit`: the store holds them.
    pub(crate) fn committed(&mut self, commit: u64) {
        while let Some((number, changes)) = self.handed.pop_front() {
            if number > commit {
                self.handed.push_front((number, changes));
                break;
            }
            self.bytes -= changes.iter().map(|(key, value)| entry_len(key, value.as_ref())).sum::<usize>();
        }
    }

    /// Bytes of keys and values held.
    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes
    }
}

/// Puts the changes whose key starts with `prefix` over those of before.
pub(crate) fn overlay_changes<'a>(
    changes: &'a ChangeSet,
    prefix: &[u8],
    overlay: &mut BTreeMap<&'a [u8], Option<&'a [u8]>>,
) {
    let from = (core::ops::Bound::Included(prefix), core::ops::Bound::Unbounded);
    let within = changes.range::<[u8], _>(from).take_while(|(key, _)| key.starts_with(prefix));
    overlay.extend(within.map(|(key, value)| (key.as_slice(), value.as_ref().map(Bytes::as_slice))));
}

/// Bytes of keys and values.
pub(crate) fn changes_len(changes: &ChangeSet) -> usize {
    changes.iter().map(|(key, value)| entry_len(key, value.as_ref())).sum()
}

fn entry_len(key: &Bytes, value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, |value| value.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_types::{Hash, Height};

    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn changes(pairs: &[(&str, Option<&str>)]) -> ChangeSet {
        pairs.iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect()
    }

    fn point(slot: u64) -> SliceRef {
        SliceRef { height: Height::new(slot, 0), id: Hash([slot as u8; 32]) }
    }

    #[test]
    fn reads_see_changes_until_they_are_committed() {
        let mut pending = Pending::new(5);
        assert_eq!(pending.hand_over(), None);
        pending.absorb(point(1), changes(&[("a", Some("1")), ("b", Some("1"))]));
        pending.absorb(point(2), changes(&[("a", Some("22"))]));
        assert_eq!(pending.bytes_len(), 5);
        let batch = pending.hand_over().unwrap();
        assert_eq!(batch.point, FinalPoint { slice: point(2), commit: 5 });
        assert_eq!(batch.changes[b"a".as_slice()], Some(b"22".to_vec()));
        pending.absorb(point(3), changes(&[("a", None)]));
        assert_eq!(pending.get(&bytes("a")), Some(&None), "the latest");
        assert_eq!(pending.get(&bytes("b")), Some(&Some(bytes("1"))), "one that is handed over");
        pending.committed(4);
        assert_eq!(pending.get(&bytes("b")), Some(&Some(bytes("1"))));
        pending.committed(5);
        assert_eq!((pending.get(&bytes("b")), pending.bytes_len()), (None, 1));
        assert_eq!(pending.hand_over().unwrap().point.commit, 6);
        pending.committed(6);
        assert_eq!((pending.get(&bytes("a")), pending.bytes_len()), (None, 0));
    }

    #[test]
    fn the_writer_is_not_buried() {
        let mut pending = Pending::new(1);
        for slot in 1..=FINAL_BATCHES_MAX as u64 {
            pending.absorb(point(slot), changes(&[("a", None)]));
            assert!(pending.hand_over().is_some());
        }
        pending.absorb(point(9), changes(&[("b", None)]));
        assert_eq!(pending.hand_over(), None);
        pending.committed(1);
        assert_eq!(pending.hand_over().unwrap().point.slice, point(9));
    }

    #[test]
    fn the_overlay_is_in_order() {
        let mut pending = Pending::new(1);
        pending.absorb(point(1), changes(&[("a1", Some("1")), ("b", Some("1"))]));
        pending.hand_over();
        pending.absorb(point(2), changes(&[("a1", Some("2")), ("a2", None)]));
        let mut overlay = BTreeMap::new();
        pending.overlay(b"a", &mut overlay);
        assert_eq!(overlay, BTreeMap::from([(&b"a1"[..], Some(&b"2"[..])), (&b"a2"[..], None)]));
    }
}
