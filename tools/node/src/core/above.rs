//! A store that is read and left as it is: what is committed lies above it in memory.

use core::ops::ControlFlow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpb_ledger::store::{Visit, check_batch};
use hpb_ledger::{FinalBatch, FinalPoint, Store, StoreError};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The store. Clones share what lies above.
pub(super) struct Above<'a, S> {
    below: &'a S,
    above: Arc<Mutex<(Changes, FinalPoint)>>,
}

impl<S> Clone for Above<'_, S> {
    fn clone(&self) -> Self {
        Self { below: self.below, above: Arc::clone(&self.above) }
    }
}

impl<'a, S: Store> Above<'a, S> {
    /// `below`, which stands at `point`.
    pub(super) fn new(below: &'a S, point: FinalPoint) -> Self {
        Self { below, above: Arc::new(Mutex::new((BTreeMap::new(), point))) }
    }

    fn held(&self) -> MutexGuard<'_, (Changes, FinalPoint)> {
        // A holder that panicked left it between two commits, never within one.
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store> Store for Above<'_, S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.held().0.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.below.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let above = self.held().0.clone();
        let mut rest = above.iter().filter(|(key, _)| key.starts_with(prefix)).peekable();
        let mut is_over = false;
        self.below.scan(prefix, &mut |key, value| {
            while let Some((other, changed)) = rest.next_if(|(other, _)| other.as_slice() < key) {
                is_over |= changed.as_ref().is_some_and(|value| visit(other, value).is_break());
                if is_over {
                    return ControlFlow::Break(());
                }
            }
            let value = match rest.next_if(|(other, _)| other.as_slice() == key) {
                Some((_, changed)) => changed.as_deref(),
                None => Some(value),
            };
            is_over = value.is_some_and(|value| visit(key, value).is_break());
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        for (key, value) in rest.take_while(|_| !is_over) {
            if value.as_ref().is_some_and(|value| visit(key, value).is_break()) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &FinalBatch) -> Result<(), StoreError> {
        let mut held = self.held();
        check_batch(Some(&held.1), batch)?;
        held.0.extend(batch.changes.clone());
        held.1 = batch.point;
        Ok(())
    }

    fn final_point(&self) -> Result<Option<FinalPoint>, StoreError> {
        Ok(Some(self.held().1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_ledger::MemoryStore;
    use hpb_types::{Hash, Height, SliceRef};

    use super::*;

    fn batch(slot: u64, changes: &[(&str, Option<&str>)]) -> FinalBatch {
        let slice = SliceRef { height: Height::new(slot, 0), id: Hash([slot as u8; 32]) };
        let bytes = |text: &str| text.as_bytes().to_vec();
        let changes = changes.iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect();
        FinalBatch { point: FinalPoint { slice, commit: slot, receipts_root: None }, changes, history: Vec::new() }
    }

    fn seen(store: &dyn Store, prefix: &str, most: usize) -> Vec<String> {
        let mut seen = Vec::new();
        let visit: Visit<'_> = &mut |key, value| {
            seen.push(String::from_utf8([key, b"=", value].concat()).unwrap());
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        store.scan(prefix.as_bytes(), visit).unwrap();
        seen
    }

    #[test]
    fn it_reads_as_one_store_and_changes_nothing_below() {
        let (mut below, mut plain) = (MemoryStore::new(), MemoryStore::new());
        let first = batch(1, &[("a1", Some("1")), ("a3", Some("3")), ("b", Some("b")), ("c", Some("c"))]);
        let second =
            batch(2, &[("a0", Some("0")), ("a3", None), ("a4", Some("4")), ("c", Some("cc")), ("d", Some("d"))]);
        below.commit(&first).unwrap();
        plain.commit(&first).unwrap();
        plain.commit(&second).unwrap();
        let above = Above::new(&below, first.point);
        let mut writer = above.clone();
        assert!(writer.commit(&first).is_err(), "it does not move forward");
        writer.commit(&second).unwrap();
        for prefix in ["", "a", "c", "d", "e"] {
            for most in 1..8 {
                assert_eq!(seen(&above, prefix, most), seen(&plain, prefix, most), "{prefix} {most}");
            }
        }
        assert_eq!(above.get(b"a3").unwrap(), None);
        assert_eq!(above.get(b"b").unwrap(), Some(b"b".to_vec()));
        assert_eq!(above.final_point().unwrap(), Some(second.point));
        assert_eq!((below.keys_count(), below.final_point().unwrap()), (4, Some(first.point)));
    }
}
