//! The same bytes put into LMDB by itself, each batch with a sync: what no ledger over LMDB can beat.

use std::path::Path;

use hpb_ledger::FinalBatch;
use lmdb::{DatabaseFlags, Environment, Transaction as _, WriteFlags};

/// Address space of the map.
const MAP_LEN: usize = 16 << 30;

/// What LMDB says.
#[derive(Debug, thiserror::Error)]
#[error("LMDB by itself: {0}")]
pub struct RawError(#[from] lmdb::Error);

/// A store of keys and values, and nothing else.
pub(super) struct Raw {
    environment: Environment,
    database: lmdb::Database,
}

impl Raw {
    /// Makes one in `path`, which is empty, with the keys that a ledger starts from.
    pub(super) fn open(path: &Path, start: &FinalBatch) -> Result<Self, RawError> {
        let environment = Environment::new().set_max_dbs(1).set_map_size(MAP_LEN).open(path)?;
        let database = environment.create_db(Some("state"), DatabaseFlags::empty())?;
        let raw = Self { environment, database };
        raw.put(start)?;
        Ok(raw)
    }

    /// Puts one batch, and waits until it is on disk.
    pub(super) fn put(&self, batch: &FinalBatch) -> Result<(), RawError> {
        let mut transaction = self.environment.begin_rw_txn()?;
        for (key, value) in &batch.changes {
            match value {
                Some(value) => transaction.put(self.database, key, value, WriteFlags::empty())?,
                None => match transaction.del(self.database, key, None) {
                    Err(lmdb::Error::NotFound) => {}
                    done => done?,
                },
            }
        }
        Ok(transaction.commit()?)
    }
}
