//! What the ledger asks of whatever holds final state: keyed bytes, committed batch by batch.
//!
//! A store holds **final** state alone. Every batch carries the point of the chain that it brings the state to, and
//! both become durable together or not at all (PROTOCOL.md, "Durability"). A store refuses a batch that does not move
//! forward, and keys and values outside the limits.

use core::ops::ControlFlow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpb_base::limits::{STATE_KEY_LEN_MAX, STATE_VALUE_LEN_MAX};
use hpb_types::{Hash, SliceRef};

use crate::bytes::Bytes;
use crate::history::{self, HistoryRead, HistoryStore, Order, SliceResults};

/// Looks at a key and its value, and says whether the scan goes on.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Final state, read and committed by one owner.
pub trait Store: Sync {
    /// The value under `key` in the last committed state.
    ///
    /// # Errors
    /// A key outside 1 to [`STATE_KEY_LEN_MAX`] bytes; a store that can't be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// A reader for one piece of work on one thread. What it sees is a state that was committed when it was made or
    /// later; a store that can hold on to one spares each read the way there.
    ///
    /// # Errors
    /// A store that can't be read.
    fn reader(&self) -> Result<Box<dyn Reader + '_>, StoreError> {
        Ok(Box::new(self))
    }

    /// Visits every key that starts with `prefix` (all keys when it is empty) with its value, ascending by the bytes
    /// of the key, until `visit` breaks. All of one scan is of one committed state.
    ///
    /// # Errors
    /// A prefix longer than [`STATE_KEY_LEN_MAX`] bytes; a store that can't be read.
    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;

    /// The first key at or above `from`, of any record.
    ///
    /// # Errors
    /// A store that can't be read.
    fn key_from(&self, from: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut found = None;
        self.scan(&[], &mut |key, _| {
            if key < from {
                return ControlFlow::Continue(());
            }
            found = Some(key.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Makes `batch` and its point durable: all of it, or nothing.
    ///
    /// # Errors
    /// A batch that does not move forward or breaks a limit; a full disk or map; a store that can't be written. The
    /// state is then what it was.
    fn commit(&mut self, batch: &FinalBatch) -> Result<(), StoreError>;

    /// The point that the committed state belongs to; `None` before the first batch.
    ///
    /// # Errors
    /// A store that can't be read.
    fn final_point(&self) -> Result<Option<FinalPoint>, StoreError>;

    /// Whether what becomes final is to be told with the batches, for an index of history that is in step with the state.
    /// A store that keeps none wants none.
    ///
    /// # Errors
    /// A store that can't be read.
    fn keeps_history(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// Reads of one piece of work.
pub trait Reader {
    /// The value under `key`.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;
}

impl<S: Store + ?Sized> Reader for &S {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(Store::get(*self, key)?.map(|value| Bytes::from(value.as_slice())))
    }
}

/// A place on the final chain together with the number of the batch that brought the state there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FinalPoint {
    /// The final slice whose state is held.
    pub slice: SliceRef,
    /// The batch's number: larger than that of every batch before.
    pub commit: u64,
    /// The root over that slice's receipts: with the state's root it comes to the results that the slice states, so that
    /// the state can be shown to be the slice's. None where it is not known: at genesis, and from older programs.
    pub receipts_root: Option<Hash>,
}

/// What one commit changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinalBatch {
    /// Where the state stands after it.
    pub point: FinalPoint,
    /// Key to new value, or to `None` where the key is removed.
    pub changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// The slices that lead there, for a store that keeps an index of them; none for any other.
    pub history: Vec<SliceResults>,
}

impl FinalBatch {
    /// Adds the changes of a later batch, which wins where both touch a key; the point becomes the later one's, the
    /// number stays this batch's or becomes the later one's where that is larger.
    pub fn absorb(&mut self, later: FinalBatch) {
        self.point = FinalPoint { commit: self.point.commit.max(later.point.commit), ..later.point };
        self.changes.extend(later.changes);
        self.history.extend(later.history);
    }

    /// Bytes of keys and values.
    pub fn bytes_len(&self) -> usize {
        self.changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
    }
}

/// Why a store refused or failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The key is empty or too long.
    #[error("a state key of {length} bytes; 1 to {STATE_KEY_LEN_MAX} are allowed")]
    KeyLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The value is too long.
    #[error("a state value of {length} bytes; at most {STATE_VALUE_LEN_MAX} are allowed")]
    ValueLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The batch does not come after the committed one.
    #[error(
        "batch {} at slice {} does not come after the committed batch {} at slice {}",
        offered.commit, offered.slice, stored.commit, stored.slice
    )]
    NotForward {
        /// What is committed.
        stored: Box<FinalPoint>,
        /// What was offered.
        offered: Box<FinalPoint>,
    },
    /// What was told for the index of history does not follow what it holds.
    #[error(
        "the index of history ends with {}, and slice {offered} does not follow it: build it anew with `hpb ledger index`",
        found.map_or_else(|| "nothing".to_owned(), |found| format!("slice {found}"))
    )]
    HistoryGap {
        /// The last slice that the index holds; none where there is no index.
        found: Option<SliceRef>,
        /// The slice that was offered.
        offered: SliceRef,
    },
    /// The disk is full.
    #[error("the disk that holds {path} is full; nothing of batch {commit} was kept: free space, then start again")]
    DiskFull {
        /// The store's folder.
        path: String,
        /// The batch.
        commit: u64,
    },
    /// The state has outgrown the map.
    #[error(
        "the state has outgrown its map of {map_len} bytes; nothing of batch {commit} was kept: open it with a larger map"
    )]
    MapFull {
        /// The map's length in bytes.
        map_len: usize,
        /// The batch.
        commit: u64,
    },
    /// A newer program wrote this store.
    #[error("{path} has format {found}, this program knows formats up to {known}: use a newer program")]
    NewerFormat {
        /// The store's folder.
        path: String,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The store belongs to another chain.
    #[error("{path} holds the state of another chain: give each chain a data folder of its own")]
    OtherChain {
        /// The store's folder.
        path: String,
    },
    /// A write failed before, and what the store holds is known only after a start.
    #[error(
        "{path} has stopped after a write that failed, most often because its disk is full: free space, then start again"
    )]
    Stopped {
        /// The store's folder.
        path: String,
    },
    /// What stands in the store can't be what this program wrote.
    #[error("{path} is damaged: {what}; restore the folder, or move it away and let the node catch up")]
    Corrupt {
        /// The store's folder.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The store's own engine failed.
    #[error("{path}: {action} failed: {reason}")]
    Backend {
        /// The store's folder.
        path: String,
        /// What was tried.
        action: &'static str,
        /// What the engine says.
        reason: String,
    },
}

/// A store in memory, for tests and simulation: nothing in it survives its owner.
#[derive(Clone, Default, Debug)]
pub struct MemoryStore {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    point: Option<FinalPoint>,
    /// The rows of its index of history; none where it keeps none.
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keys held.
    pub fn keys_count(&self) -> usize {
        self.values.len()
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(key)?;
        Ok(self.values.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        check_prefix(prefix)?;
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (key, value) in self.values.range::<[u8], _>(from) {
            if !key.starts_with(prefix) || visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn key_from(&self, from: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let above = (Bound::Included(from), Bound::Unbounded);
        Ok(self.values.range::<[u8], _>(above).next().map(|(key, _)| key.clone()))
    }

    fn commit(&mut self, batch: &FinalBatch) -> Result<(), StoreError> {
        check_batch(self.point.as_ref(), batch)?;
        self.append_history(&batch.history)?;
        for (key, value) in &batch.changes {
            match value {
                Some(value) => self.values.insert(key.clone(), value.clone()),
                None => self.values.remove(key),
            };
        }
        self.point = Some(batch.point);
        Ok(())
    }

    fn final_point(&self) -> Result<Option<FinalPoint>, StoreError> {
        Ok(self.point)
    }

    fn keeps_history(&self) -> Result<bool, StoreError> {
        Ok(history::is_in_step(self.span().ok().flatten().as_ref(), self.point.as_ref()))
    }
}

impl HistoryRead for MemoryStore {
    fn get_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(key).cloned())
    }

    fn visit_rows(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        let mut up = self.rows.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        let mut down = self.rows.range::<[u8], _>((Bound::Unbounded, Bound::Included(from))).rev();
        let rows: &mut dyn Iterator<Item = (&Vec<u8>, &Vec<u8>)> = match order {
            Order::OldestFirst => &mut up,
            Order::NewestFirst => &mut down,
        };
        for (key, value) in rows {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn rows_count(&self) -> Result<u64, StoreError> {
        Ok(self.rows.len() as u64)
    }
}

impl HistoryStore for MemoryStore {
    fn begin_history(&mut self, from: SliceRef) -> Result<(), StoreError> {
        self.rows = BTreeMap::from([(history::key::SPAN.to_vec(), history::begin(from))]);
        Ok(())
    }

    fn append_history(&mut self, slices: &[SliceResults]) -> Result<(), StoreError> {
        let span = self.rows.get(&history::key::SPAN[..]).map(Vec::as_slice);
        if let Some((rows, span)) = history::append(span, slices)? {
            self.rows.extend(rows.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
            self.rows.insert(history::key::SPAN.to_vec(), span);
        }
        Ok(())
    }
}

/// A [`MemoryStore`] that several hold: the ledger that reads it, and whoever commits and outlives the ledger.
#[derive(Clone, Default, Debug)]
pub struct SharedStore(Arc<Mutex<MemoryStore>>);

impl SharedStore {
    fn held(&self) -> MutexGuard<'_, MemoryStore> {
        // A holder that panicked left the store between two commits, never within one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SharedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.held().get(key)
    }

    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.held().scan(prefix, visit)
    }

    fn key_from(&self, from: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.held().key_from(from)
    }

    fn commit(&mut self, batch: &FinalBatch) -> Result<(), StoreError> {
        self.held().commit(batch)
    }

    fn final_point(&self) -> Result<Option<FinalPoint>, StoreError> {
        self.held().final_point()
    }

    fn keeps_history(&self) -> Result<bool, StoreError> {
        self.held().keeps_history()
    }
}

impl HistoryRead for SharedStore {
    fn get_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.held().get_row(key)
    }

    fn visit_rows(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        // A copy: who visits may ask again.
        let store = self.held().clone();
        store.visit_rows(from, order, visit)
    }

    fn rows_count(&self) -> Result<u64, StoreError> {
        self.held().rows_count()
    }
}

impl HistoryStore for SharedStore {
    fn begin_history(&mut self, from: SliceRef) -> Result<(), StoreError> {
        self.held().begin_history(from)
    }

    fn append_history(&mut self, slices: &[SliceResults]) -> Result<(), StoreError> {
        self.held().append_history(slices)
    }
}

/// Where two states part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The first key that they do not have alike.
    pub key: Vec<u8>,
    /// What was expected under it.
    pub expected: Option<Vec<u8>>,
    /// What was found.
    pub found: Option<Vec<u8>>,
}

/// Compares two committed states key by key, and gives the first difference in the order of keys.
///
/// # Errors
/// A store that can't be read, or holds a key that no store takes.
pub fn first_difference(expected: &dyn Store, found: &dyn Store) -> Result<Option<Difference>, StoreError> {
    let other = parting(found, expected)?.map(|(key, found, expected)| Difference { key, expected, found });
    let missing = parting(expected, found)?.map(|(key, expected, found)| Difference { key, expected, found });
    Ok(match (other, missing) {
        (Some(other), Some(missing)) => Some(if missing.key < other.key { missing } else { other }),
        (other, missing) => other.or(missing),
    })
}

/// The first key of `one` that `two` has not alike, with both values.
#[allow(clippy::type_complexity, reason = "the two values of one key")]
fn parting(
    one: &dyn Store,
    two: &dyn Store,
) -> Result<Option<(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>)>, StoreError> {
    let mut parted = Ok(None);
    one.scan(&[], &mut |key, value| {
        match two.get(key) {
            Ok(other) if other.as_deref() == Some(value) => return ControlFlow::Continue(()),
            Ok(other) => parted = Ok(Some((key.to_vec(), Some(value.to_vec()), other))),
            Err(error) => parted = Err(error),
        }
        ControlFlow::Break(())
    })?;
    parted
}

/// Refuses what no store may take: a batch that does not move forward, a key or a value outside its limits.
///
/// # Errors
/// The first rule that is broken.
pub fn check_batch(stored: Option<&FinalPoint>, batch: &FinalBatch) -> Result<(), StoreError> {
    if let Some(stored) = stored {
        let forward = batch.point.commit > stored.commit && batch.point.slice.height > stored.slice.height;
        if !forward {
            return Err(StoreError::NotForward { stored: Box::new(*stored), offered: Box::new(batch.point) });
        }
    }
    for (key, value) in &batch.changes {
        check_record(key, value.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

/// Refuses a key or a value outside the limits.
///
/// # Errors
/// As [`check_key`]; a value of more than [`STATE_VALUE_LEN_MAX`] bytes.
pub fn check_record(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    check_key(key)?;
    if value.len() > STATE_VALUE_LEN_MAX { Err(StoreError::ValueLength { length: value.len() }) } else { Ok(()) }
}

/// Refuses a key outside the limits.
///
/// # Errors
/// An empty key, or one longer than [`STATE_KEY_LEN_MAX`] bytes.
pub fn check_key(key: &[u8]) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > STATE_KEY_LEN_MAX {
        return Err(StoreError::KeyLength { length: key.len() });
    }
    Ok(())
}

/// Refuses a prefix that no key can have; the empty one stands for all keys.
///
/// # Errors
/// A prefix longer than [`STATE_KEY_LEN_MAX`] bytes.
pub fn check_prefix(prefix: &[u8]) -> Result<(), StoreError> {
    if prefix.len() > STATE_KEY_LEN_MAX {
        return Err(StoreError::KeyLength { length: prefix.len() });
    }
    Ok(())
}

/// What every store must do, run against each of them by its own tests.
#[cfg(test)]
pub(crate) mod conformance {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use hpb_types::{Hash, Height, Slot};

    pub(crate) fn point(commit: u64, slot: u64) -> FinalPoint {
        let height = Height { slot: Slot(slot), index: 0 };
        FinalPoint {
            slice: SliceRef { height, id: Hash([slot as u8; 32]) },
            commit,
            receipts_root: slot.is_multiple_of(2).then_some(Hash([9; 32])),
        }
    }

    pub(crate) fn batch(commit: u64, slot: u64, changes: &[(&str, Option<&str>)]) -> FinalBatch {
        let changes =
            changes.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec())));
        FinalBatch { point: point(commit, slot), changes: changes.collect(), history: Vec::new() }
    }

    pub(crate) fn scanned(store: &dyn Store, prefix: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        store
            .scan(prefix.as_bytes(), &mut |key, value| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                found.push((text(key), text(value)));
                ControlFlow::Continue(())
            })
            .unwrap();
        found
    }

    pub(crate) fn behaves(store: &mut dyn Store) {
        assert_eq!(store.final_point().unwrap(), None);
        assert_eq!(scanned(store, ""), []);
        assert_eq!(scanned(store, "a"), []);

        store.commit(&batch(1, 1, &[("a1", Some("x")), ("a2", Some("")), ("b", Some("z"))])).unwrap();
        assert_eq!(store.final_point().unwrap(), Some(point(1, 1)));
        assert_eq!(store.get(b"a1").unwrap(), Some(b"x".to_vec()));
        assert_eq!(store.get(b"a2").unwrap(), Some(Vec::new()));
        assert_eq!(store.get(b"a").unwrap(), None);
        let reader = store.reader().unwrap();
        assert_eq!(reader.get(b"a1").unwrap(), Some(Bytes::from(&b"x"[..])));
        assert_eq!((reader.get(b"a").unwrap(), reader.get(b"").is_err()), (None, true));
        drop(reader);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(scanned(store, "a"), [pair("a1", "x"), pair("a2", "")]);
        assert_eq!(scanned(store, "b"), [pair("b", "z")]);
        assert_eq!(scanned(store, "c"), []);
        assert_eq!(scanned(store, "").len(), 3);
        for (from, key) in [("", Some("a1")), ("a1", Some("a1")), ("a11", Some("a2")), ("b", Some("b")), ("c", None)] {
            assert_eq!(store.key_from(from.as_bytes()).unwrap(), key.map(|key| key.as_bytes().to_vec()), "{from}");
        }

        store.commit(&batch(3, 2, &[("a1", None), ("nothing", None), ("b", Some("y"))])).unwrap();
        assert_eq!(scanned(store, ""), [pair("a2", ""), pair("b", "y")]);

        let mut visited = 0;
        store
            .scan(b"", &mut |_, _| {
                visited += 1;
                ControlFlow::Break(())
            })
            .unwrap();
        assert_eq!(visited, 1);

        for refused in [batch(3, 3, &[("q", Some("q"))]), batch(4, 2, &[("q", Some("q"))])] {
            assert!(matches!(store.commit(&refused), Err(StoreError::NotForward { .. })));
        }
        let long = "k".repeat(STATE_KEY_LEN_MAX + 1);
        for key in ["", &long] {
            assert_eq!(store.get(key.as_bytes()), Err(StoreError::KeyLength { length: key.len() }));
            let refused = store.commit(&batch(4, 4, &[("q", Some("q")), (key, Some("q"))]));
            assert_eq!(refused, Err(StoreError::KeyLength { length: key.len() }));
        }
        let mut heavy = batch(4, 4, &[("q", Some("q"))]);
        heavy.changes.insert(b"r".to_vec(), Some(vec![0; STATE_VALUE_LEN_MAX + 1]));
        assert!(matches!(store.commit(&heavy), Err(StoreError::ValueLength { .. })));
        assert_eq!(store.get(b"q").unwrap(), None, "a refused batch leaves nothing");
        assert_eq!(store.final_point().unwrap(), Some(point(3, 2)));

        let edge = "k".repeat(STATE_KEY_LEN_MAX);
        store.commit(&batch(4, 4, &[(&edge, Some("edge"))])).unwrap();
        assert_eq!(scanned(store, &edge), [pair(&edge, "edge")]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::conformance::{batch, behaves};
    use super::*;

    #[test]
    fn the_memory_store_behaves() {
        behaves(&mut MemoryStore::new());
    }

    #[test]
    fn the_first_difference_is_the_lowest_key() {
        let filled = |changes: &[(&str, Option<&str>)]| {
            let mut store = MemoryStore::new();
            store.commit(&batch(1, 1, changes)).unwrap();
            store
        };
        let whole = filled(&[("a", Some("1")), ("b", Some("2")), ("d", Some("4"))]);
        let difference = |found: &MemoryStore| {
            let found = first_difference(&whole, found).unwrap()?;
            Some((found.key, found.expected, found.found))
        };
        let bytes = |text: &str| text.as_bytes().to_vec();
        assert_eq!(difference(&whole.clone()), None);
        let more = filled(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3")), ("d", Some("5"))]);
        assert_eq!(difference(&more), Some((bytes("c"), None, Some(bytes("3")))));
        let fewer = filled(&[("b", Some("2")), ("c", Some("3")), ("d", Some("4"))]);
        assert_eq!(difference(&fewer), Some((bytes("a"), Some(bytes("1")), None)));
        let other = filled(&[("a", Some("1")), ("b", Some("3")), ("d", Some("4"))]);
        assert_eq!(difference(&other), Some((bytes("b"), Some(bytes("2")), Some(bytes("3")))));
    }

    #[test]
    fn a_later_batch_wins_where_both_touch_a_key() {
        let mut gathered = batch(1, 1, &[("a", Some("1")), ("b", Some("1")), ("c", None)]);
        gathered.absorb(batch(2, 5, &[("a", None), ("c", Some("2"))]));
        assert_eq!(gathered, batch(2, 5, &[("a", None), ("b", Some("1")), ("c", Some("2"))]));
        assert_eq!(gathered.bytes_len(), 5);
    }
}
