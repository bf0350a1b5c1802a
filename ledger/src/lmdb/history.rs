//! The index of history in LMDB: a database of its own, `history`, beside that of the state.
//!
//! It is in the same environment, so that one transaction, and one sync, moves both: a crash leaves them in step, and a
//! node that keeps an index waits for the disk no oftener. What it costs is pages, for its keys lie in no order that
//! transactions come in. Its keys and values are said in [`crate::history::key`].

use std::os::raw::c_uint;

use hpb_types::SliceRef;
use lmdb::{Cursor as _, Database, RoCursor, RwTransaction, Transaction as _, WriteFlags};

use super::{LmdbStore, Snapshot};
use crate::history::{self, HistoryRead, HistoryStore, Order, SliceResults, key::SPAN};
use crate::store::{StoreError, Visit};

/// LMDB's numbers for moves of a cursor (its `MDB_cursor_op`), which its binding keeps to itself.
const LAST: c_uint = 6;
const PREVIOUS: c_uint = 12;
const GET_CURRENT: c_uint = 4;
const SET_RANGE: c_uint = 17;

/// Adds what a batch tells of history, in the batch's own transaction.
pub(super) fn append(
    transaction: &mut RwTransaction<'_>,
    history: Option<Database>,
    slices: &[SliceResults],
    failed: &dyn Fn(lmdb::Error) -> StoreError,
) -> Result<(), StoreError> {
    let span = match history {
        Some(history) => super::read(transaction, history, &SPAN).map_err(failed)?.map(<[u8]>::to_vec),
        None => None,
    };
    // There is no span where there is no database.
    if let (Some((rows, span)), Some(history)) = (history::append(span.as_deref(), slices)?, history) {
        for (key, value) in rows.iter() {
            transaction.put(history, &key, &value, WriteFlags::empty()).map_err(failed)?;
        }
        transaction.put(history, &SPAN, &span, WriteFlags::empty()).map_err(failed)?;
    }
    Ok(())
}

impl HistoryRead for Snapshot<'_> {
    fn get_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(history) = self.shared.history else { return Ok(None) };
        let value = super::read(&self.transaction, history, key).map_err(|error| self.failed(error))?;
        Ok(value.map(<[u8]>::to_vec))
    }

    fn visit_rows(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        let Some(history) = self.shared.history else { return Ok(()) };
        let mut cursor = self.transaction.open_ro_cursor(history).map_err(|error| self.failed(error))?;
        if order == Order::OldestFirst {
            for row in cursor.iter_from(from) {
                let (key, value) = row.map_err(|error| self.failed(error))?;
                if visit(key, value).is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let mut row = at_or_below(&cursor, from).map_err(|error| self.failed(error))?;
        while let Some((key, value)) = row {
            if visit(key, value).is_break() {
                break;
            }
            row = moved(&cursor, None, PREVIOUS).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn rows_count(&self) -> Result<u64, StoreError> {
        let Some(history) = self.shared.history else { return Ok(0) };
        let statistics = self.transaction.stat(history).map_err(|error| self.failed(error))?;
        Ok(statistics.entries() as u64)
    }
}

type Row<'txn> = Option<(&'txn [u8], &'txn [u8])>;

/// The last row whose key is not above `from`.
fn at_or_below<'txn>(cursor: &RoCursor<'txn>, from: &[u8]) -> Result<Row<'txn>, lmdb::Error> {
    if moved(cursor, Some(from), SET_RANGE)?.is_none() {
        return moved(cursor, None, LAST);
    }
    match moved(cursor, None, GET_CURRENT)? {
        Some((key, value)) if key <= from => Ok(Some((key, value))),
        _ => moved(cursor, None, PREVIOUS),
    }
}

fn moved<'txn>(cursor: &RoCursor<'txn>, to: Option<&[u8]>, how: c_uint) -> Result<Row<'txn>, lmdb::Error> {
    match cursor.get(to, None, how) {
        Ok((key, value)) => Ok(Some((key.unwrap_or_default(), value))),
        Err(lmdb::Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

impl HistoryRead for LmdbStore {
    fn get_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot()?.get_row(key)
    }

    fn visit_rows(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<(), StoreError> {
        self.snapshot()?.visit_rows(from, order, visit)
    }

    fn rows_count(&self) -> Result<u64, StoreError> {
        self.snapshot()?.rows_count()
    }
}

impl HistoryStore for LmdbStore {
    fn begin_history(&mut self, from: SliceRef) -> Result<(), StoreError> {
        let mut transaction = self.shared.environment.begin_rw_txn().map_err(self.failed("starting an index", 0))?;
        let write_failed = |error| self.write_failed(0, error);
        if let Some(history) = self.shared.history {
            transaction.clear_db(history).map_err(write_failed)?;
            transaction.put(history, &SPAN, &history::begin(from), WriteFlags::empty()).map_err(write_failed)?;
        }
        transaction.commit().map_err(write_failed)
    }

    fn append_history(&mut self, slices: &[SliceResults]) -> Result<(), StoreError> {
        let mut transaction = self.shared.environment.begin_rw_txn().map_err(self.failed("adding to an index", 0))?;
        let write_failed = |error| self.write_failed(0, error);
        append(&mut transaction, self.shared.history, slices, &write_failed)?;
        transaction.commit().map_err(write_failed)
    }
}

impl LmdbStore {
    /// Whether the index goes as far as the state.
    pub(super) fn is_history_in_step(&self) -> Result<bool, StoreError> {
        let snapshot = self.snapshot()?;
        // One that does not read back is kept by nobody.
        let span = snapshot.span().ok().flatten();
        Ok(history::is_in_step(span.as_ref(), snapshot.final_point()?.as_ref()))
    }
}
