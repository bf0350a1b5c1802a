//! Records in memory, above those of the store: of each key what the last final state has there, as far as it is known,
//! and what slices that are not final put there. One look finds both.
//!
//! Final changes gather until the writer asks, are handed over as a batch, and stay until the writer says that the batch
//! is committed. After that, and when they were read from the store, records stay as long as there is room: what is read
//! once is often read again. Records that the store does not hold for certain always stay.

use core::hash::BuildHasher as _;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;
use hpb_base::limits::{FINAL_BATCHES_MAX, RESIDENT_RECORDS_MAX, RESIDENT_VALUE_LEN_MAX};
use hpb_types::{Hash, SliceRef};

use crate::bytes::Bytes;
use crate::changes::{Change, ChangeSet};
use crate::hashed::Keyed;
use crate::history::SliceResults;
use crate::store::{FinalBatch, FinalPoint};
use crate::versions::{Line, Spot};
use crate::view::Known;

/// Records that are looked at for one that may go: of all that are asked for between two rounds, some stay too long.
const LOOKS_MAX: usize = 16;

/// The records.
#[derive(Debug)]
pub(crate) struct Residents {
    /// Places in `records`.
    index: HashTable<u32>,
    keyed: Keyed,
    records: Vec<Record>,
    /// Places in `records` that hold nothing.
    free: Vec<u32>,
    /// Records that may go, and how many of them stay.
    spare_count: usize,
    spare_max: usize,
    /// Where the next one that goes is looked for.
    hand: usize,
    /// Places of what no batch holds yet.
    gathered: Vec<u32>,
    gathered_bytes: usize,
    /// The slice whose state the gathered changes lead to, once there is one.
    point: Option<SliceRef>,
    /// The root over that slice's receipts, where it has any.
    receipts_root: Option<Hash>,
    /// What a store with an index is told of the slices that led there.
    history: Vec<SliceResults>,
    history_bytes: usize,
    /// Batches with the writer, oldest first.
    handed: VecDeque<Handed>,
    next_commit: u64,
    /// What was read from the store since anything here changed.
    read: Mutex<Vec<Change>>,
}

#[derive(Debug)]
struct Record {
    key: Bytes,
    /// In the last final state.
    settled: Known,
    standing: Standing,
    /// In slices that are not final.
    unsettled: Line<Option<Bytes>>,
    /// Whether it was asked for since it was last looked at.
    is_used: AtomicBool,
}

/// Where the store stands to what is settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// It holds it.
    Stored,
    /// No batch has it yet.
    Gathered,
    /// The batch of that number brings it there.
    Handed(u64),
}

/// A batch with the writer.
#[derive(Debug)]
struct Handed {
    commit: u64,
    places: Vec<u32>,
    bytes: usize,
}

impl Residents {
    /// Nothing in memory; the next batch has number `next_commit`.
    pub(crate) fn new(next_commit: u64) -> Self {
        Self {
            index: HashTable::new(),
            keyed: Keyed::default(),
            records: Vec::new(),
            free: Vec::new(),
            spare_count: 0,
            spare_max: RESIDENT_RECORDS_MAX,
            hand: 0,
            gathered: Vec::new(),
            gathered_bytes: 0,
            point: None,
            receipts_root: None,
            history: Vec::new(),
            history_bytes: 0,
            handed: VecDeque::new(),
            next_commit,
            read: Mutex::default(),
        }
    }

    /// The same with room for `spare_max` records that the store holds.
    #[cfg(test)]
    pub(crate) fn with_spare_max(mut self, spare_max: usize) -> Self {
        self.spare_max = spare_max;
        self
    }

    /// The value at `key` in the slice whose path this is; `None` if only the store knows it.
    #[allow(clippy::option_option, reason = "the inner option is a change set's own: a value or a removal")]
    pub(crate) fn find(&self, key: &Bytes, path: &[Spot]) -> Option<Option<&Bytes>> {
        let record = &self.records[self.place_of(key)?];
        if !record.is_used.load(Ordering::Relaxed) {
            record.is_used.store(true, Ordering::Relaxed);
        }
        if let Some(value) = record.unsettled.find(path) {
            return Some(value.as_ref());
        }
        match &record.settled {
            Known::Nothing => None,
            Known::Absent => Some(None),
            Known::Present(value) => Some(Some(value)),
        }
    }

    /// Notes what the store said where [`find`](Self::find) knew nothing.
    pub(crate) fn note(&self, found: Vec<Change>) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.is_empty() {
            *read = found;
        } else {
            let room = RESIDENT_RECORDS_MAX.saturating_sub(read.len());
            read.extend(found.into_iter().take(room));
        }
    }

    /// Keeps what was noted. Before anything changes: then it is still so.
    fn learn(&mut self) {
        for (key, value) in mem::take(&mut *self.read.get_mut().unwrap_or_else(PoisonError::into_inner)) {
            if value.as_ref().is_some_and(|value| value.len() > RESIDENT_VALUE_LEN_MAX) {
                continue;
            }
            let place = self.place_for(key);
            let record = &mut self.records[place];
            if record.settled == Known::Nothing {
                record.settled = Known::of(value);
                if record.unsettled.is_empty() {
                    self.spare_count += 1;
                }
            }
            self.make_room();
        }
    }

    /// Adds what a slice that is not final changes.
    pub(crate) fn add(&mut self, changes: &ChangeSet, spot: Spot) {
        self.learn();
        for (key, value) in changes {
            let place = match self.place_of(key) {
                Some(place) => place,
                None => self.put(key.clone()),
            };
            let record = &mut self.records[place];
            if record.is_spare() {
                self.spare_count -= 1;
            }
            record.unsettled.insert(spot, value.clone());
        }
    }

    /// Takes away what a slice changed that never becomes final.
    pub(crate) fn drop_unsettled(&mut self, changes: &ChangeSet, spot: Spot) {
        self.learn();
        for (key, _) in changes {
            if let Some(place) = self.place_of(key) {
                self.records[place].unsettled.remove(spot);
                self.release(place);
            }
        }
    }

    /// Makes what a slice changed final: it leads to `point`, a slice whose receipts have that root; none where they are
    /// not known. What was added of it, if it was, goes.
    pub(crate) fn settle(&mut self, point: SliceRef, receipts_root: Option<Hash>, changes: ChangeSet, spot: Spot) {
        self.learn();
        for (key, value) in changes {
            let place = self.place_for(key);
            let record = &mut self.records[place];
            if record.is_spare() {
                self.spare_count -= 1;
            }
            record.unsettled.remove(spot);
            if record.standing == Standing::Gathered {
                self.gathered_bytes -= record.settled_len();
            } else {
                record.standing = Standing::Gathered;
                self.gathered.push(place as u32);
            }
            record.settled = Known::of(value);
            self.gathered_bytes += record.settled_len();
        }
        self.point = Some(point);
        self.receipts_root = receipts_root;
    }

    /// Adds what a slice that has become final came to, beside its changes.
    pub(crate) fn remember(&mut self, slice: SliceResults) {
        self.history_bytes += slice.bytes_len();
        self.history.push(slice);
    }

    /// Hands over what was gathered; `None` if that is nothing, or while too many batches are with the writer.
    pub(crate) fn hand_over(&mut self) -> Option<FinalBatch> {
        if self.handed.len() >= FINAL_BATCHES_MAX {
            return None;
        }
        let (slice, receipts_root) = (self.point.take()?, self.receipts_root.take());
        let point = FinalPoint { slice, commit: self.next_commit, receipts_root };
        self.next_commit += 1;
        let mut places = mem::take(&mut self.gathered);
        // A batch is in order; what is in order already is made one in one go.
        places.sort_unstable_by(|one, other| {
            let key = |place: &u32| &self.records[*place as usize].key;
            key(one).cmp(key(other))
        });
        let mut plain = Vec::with_capacity(places.len());
        for place in &places {
            let record = &mut self.records[*place as usize];
            record.standing = Standing::Handed(point.commit);
            plain.push((record.key.to_vec(), record.settled.value().map(|value| value.to_vec())));
        }
        let bytes = mem::take(&mut self.gathered_bytes) + mem::take(&mut self.history_bytes);
        self.handed.push_back(Handed { commit: point.commit, places, bytes });
        Some(FinalBatch { point, changes: plain.into_iter().collect(), history: mem::take(&mut self.history) })
    }

    /// Learns that the store holds every batch up to number `commit`.
    pub(crate) fn committed(&mut self, commit: u64) {
        self.learn();
        while let Some(handed) = self.handed.pop_front_if(|handed| handed.commit <= commit) {
            for place in handed.places {
                let record = &mut self.records[place as usize];
                if record.standing == Standing::Handed(handed.commit) {
                    record.standing = Standing::Stored;
                    self.release(place as usize);
                }
            }
        }
    }

    /// Bytes of keys, values and history of final changes that are not committed.
    pub(crate) fn uncommitted_bytes_len(&self) -> usize {
        self.gathered_bytes + self.history_bytes + self.handed.iter().map(|handed| handed.bytes).sum::<usize>()
    }

    /// Puts every final change that is not committed and whose key starts with `prefix` into `overlay`, in order.
    pub(crate) fn overlay<'r>(&'r self, prefix: &[u8], overlay: &mut BTreeMap<&'r [u8], Option<&'r [u8]>>) {
        let places = self.handed.iter().flat_map(|handed| &handed.places).chain(&self.gathered);
        let records = places.map(|place| &self.records[*place as usize]);
        let within = records.filter(|record| record.key.starts_with(prefix));
        overlay.extend(within.map(|record| (record.key.as_slice(), record.settled.value().map(Bytes::as_slice))));
    }

    /// Records of which slices that are not final have a version.
    #[cfg(test)]
    pub(crate) fn unsettled_count(&self) -> usize {
        self.records.iter().filter(|record| !record.unsettled.is_empty()).count()
    }

    fn place_of(&self, key: &Bytes) -> Option<usize> {
        let place = self.index.find(self.keyed.hash_one(key), |place| self.records[*place as usize].key == *key)?;
        Some(*place as usize)
    }

    fn place_for(&mut self, key: Bytes) -> usize {
        match self.place_of(&key) {
            Some(place) => place,
            None => self.put(key),
        }
    }

    /// Puts a record in that knows nothing yet, of a key that has none.
    fn put(&mut self, key: Bytes) -> usize {
        let hash = self.keyed.hash_one(&key);
        let record = Record {
            key,
            settled: Known::Nothing,
            standing: Standing::Stored,
            unsettled: Line::default(),
            is_used: AtomicBool::new(false),
        };
        let place = if let Some(place) = self.free.pop() {
            self.records[place as usize] = record;
            place
        } else {
            self.records.push(record);
            (self.records.len() - 1) as u32
        };
        let (records, keyed) = (&self.records, &self.keyed);
        self.index.insert_unique(hash, place, |place| keyed.hash_one(&records[*place as usize].key));
        place as usize
    }

    /// Something that held a record has gone: it may be spared now, or knows nothing any more.
    fn release(&mut self, place: usize) {
        let record = &mut self.records[place];
        if record.standing != Standing::Stored || !record.unsettled.is_empty() {
            return;
        }
        if record.settled.value().is_some_and(|value| value.len() > RESIDENT_VALUE_LEN_MAX) {
            record.settled = Known::Nothing;
        }
        if record.settled == Known::Nothing {
            self.take_out(place);
        } else {
            self.spare_count += 1;
            self.make_room();
        }
    }

    /// Lets records go while there are too many that may.
    fn make_room(&mut self) {
        let mut looks = 0;
        while self.spare_count > self.spare_max && looks < LOOKS_MAX {
            looks += 1;
            self.hand = if self.hand + 1 < self.records.len() { self.hand + 1 } else { 0 };
            let record = &mut self.records[self.hand];
            if record.is_spare() && (!mem::take(record.is_used.get_mut()) || looks == LOOKS_MAX) {
                self.spare_count -= 1;
                self.take_out(self.hand);
            }
        }
    }

    fn take_out(&mut self, place: usize) {
        let hash = self.keyed.hash_one(&self.records[place].key);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other as usize == place) {
            entry.remove();
        }
        let record = &mut self.records[place];
        record.key = Bytes::default();
        record.settled = Known::Nothing;
        self.free.push(place as u32);
    }
}

impl Record {
    /// Whether it may go: the store holds all that it knows, and it knows something.
    fn is_spare(&self) -> bool {
        self.standing == Standing::Stored && self.settled != Known::Nothing && self.unsettled.is_empty()
    }

    fn settled_len(&self) -> usize {
        self.key.len() + self.settled.value().map_or(0, |value| value.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_types::Height;

    use super::*;

    const FINAL: Spot = Spot { branch: 0, depth: 0 };

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn changes(pairs: &[(&str, Option<&str>)]) -> ChangeSet {
        pairs.iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect()
    }

    fn point(slot: u64) -> SliceRef {
        SliceRef { height: Height::new(slot, 0), id: Hash([slot as u8; 32]) }
    }

    #[allow(clippy::option_option, reason = "as of what it asks")]
    fn find<'r>(residents: &'r Residents, key: &str) -> Option<Option<&'r [u8]>> {
        residents.find(&bytes(key), &[]).map(|value| value.map(Bytes::as_slice))
    }

    #[test]
    fn reads_see_changes_before_and_after_they_are_committed() {
        let mut residents = Residents::new(5);
        assert_eq!(residents.hand_over(), None);
        residents.settle(point(1), None, changes(&[("a", Some("1")), ("b", Some("1"))]), FINAL);
        residents.settle(point(2), Some(Hash([7; 32])), changes(&[("a", Some("22"))]), FINAL);
        assert_eq!(residents.uncommitted_bytes_len(), 5);
        let batch = residents.hand_over().unwrap();
        assert_eq!(batch.point, FinalPoint { slice: point(2), commit: 5, receipts_root: Some(Hash([7; 32])) });
        assert_eq!(batch.changes[b"a".as_slice()], Some(b"22".to_vec()));
        residents.settle(point(3), None, changes(&[("a", None)]), FINAL);
        assert_eq!(find(&residents, "a"), Some(None), "the latest");
        assert_eq!(find(&residents, "b"), Some(Some(&b"1"[..])), "one that is handed over");
        residents.committed(4);
        assert_eq!((residents.spare_count, residents.uncommitted_bytes_len()), (0, 6));
        residents.committed(5);
        assert_eq!((residents.spare_count, residents.uncommitted_bytes_len()), (1, 1));
        assert_eq!(find(&residents, "b"), Some(Some(&b"1"[..])), "there was room for it");
        assert_eq!(residents.hand_over().unwrap().point.commit, 6);
        residents.committed(6);
        assert_eq!((residents.spare_count, residents.uncommitted_bytes_len()), (2, 0));
        assert_eq!(find(&residents, "a"), Some(None));
    }

    #[test]
    fn what_nobody_asks_for_makes_room() {
        let mut residents = Residents::new(1).with_spare_max(4);
        let text = |number: usize| format!("key {number}");
        for number in 0..100 {
            assert_eq!(find(&residents, &text(number)), None);
            residents.note(vec![(bytes(&text(number)), Some(bytes("x")))]);
            residents.learn();
            assert_eq!(find(&residents, "key 0"), Some(Some(&b"x"[..])), "asked for again and again");
            assert!(residents.spare_count <= 4 && residents.index.len() == residents.spare_count);
        }
        assert!(residents.records.len() <= 6, "{}", residents.records.len());
        let long = vec![1; RESIDENT_VALUE_LEN_MAX + 1];
        residents.note(vec![(bytes("long"), Some(Bytes::from(&long[..])))]);
        residents.settle(point(1), None, ChangeSet::from([(bytes("longer"), Some(Bytes::from(&long[..])))]), FINAL);
        assert_eq!((find(&residents, "long"), find(&residents, "longer")), (None, Some(Some(&long[..]))));
        residents.hand_over().unwrap();
        residents.committed(1);
        assert_eq!(find(&residents, "longer"), None);
    }

    #[test]
    fn the_writer_is_not_buried() {
        let mut residents = Residents::new(1);
        for slot in 1..=FINAL_BATCHES_MAX as u64 {
            residents.settle(point(slot), None, changes(&[("a", None)]), FINAL);
            assert!(residents.hand_over().is_some());
        }
        residents.settle(point(9), None, changes(&[("b", None)]), FINAL);
        assert_eq!(residents.hand_over(), None);
        residents.committed(1);
        assert_eq!(residents.hand_over().unwrap().point.slice, point(9));
    }

    #[test]
    fn the_overlay_is_in_order() {
        let mut residents = Residents::new(1);
        residents.note(vec![(bytes("a0"), Some(bytes("of the store")))]);
        residents.settle(point(1), None, changes(&[("a1", Some("1")), ("b", Some("1"))]), FINAL);
        residents.hand_over();
        residents.settle(point(2), None, changes(&[("a1", Some("2")), ("a2", None)]), FINAL);
        let mut overlay = BTreeMap::new();
        residents.overlay(b"a", &mut overlay);
        assert_eq!(overlay, BTreeMap::from([(&b"a1"[..], Some(&b"2"[..])), (&b"a2"[..], None)]));
    }
}
