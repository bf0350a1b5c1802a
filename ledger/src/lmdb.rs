//! Final state in LMDB. Nothing but this file and `history` below it knows LMDB.
//!
//! One batch is one transaction, committed with a sync; the final point is in it. The environment is opened without
//! `NOSYNC`, `NOMETASYNC`, `MAPASYNC` and `WRITEMAP`, all of which can break the tree at power loss (PROTOCOL.md,
//! "Durability"). Pages are written by `pwrite`, so the large map costs address space and no memory or disk.
//!
//! Who owns a store reads it key by key in no order, so the kernel is told to read no pages ahead: it would bring
//! hundreds of pages from the disk for each that is asked for, and let reads wait for them. A walk over a state that is
//! not in memory takes several times as long for it. A store that is opened only to read has been looked through page by
//! page just before, and lies in memory as far as there is room.
//!
//! Readers see snapshots and never wait for the writer. A snapshot that is held for long keeps the pages that it
//! sees from being used again: hold it for one piece of work.
//!
//! On disk: database `meta` holds `format` (u32), `chain` (32 bytes), `final` (commit u64, slot u64, index u32, id 32) and
//! `receipts` (a slice's id 32, the root over its receipts 32; of the final slice, or else of no meaning), little-endian;
//! database `state` holds the state's keys and values as they are, `history` the rows of the index of history, if one is
//! kept. Keys compare as bytes.

mod history;
pub mod pages;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use hpb_base::limits::{STORE_MAP_LEN, STORE_READERS_MAX};
use hpb_types::{ChainId, Hash};
use lmdb::{
    Cursor as _, Database, DatabaseFlags, Environment, EnvironmentFlags, RoTransaction, Transaction as _, WriteFlags,
};

use crate::bytes::Bytes;
use crate::folder::{DataFolder, sync_folder};
use crate::store::{
    FinalBatch, FinalPoint, Reader, Store, StoreError, Visit, check_batch, check_key, check_prefix, check_record,
};
use crate::sync_times::{Clock, SyncTimes};
use crate::watermark::{decode_slice_ref, encode_slice_ref};

/// The newest layout that this program reads and the one that it writes.
pub const STORE_FORMAT: u32 = 1;

/// Reader slots belong to snapshots instead of threads, so that one thread may hold several.
const FLAGS: EnvironmentFlags = EnvironmentFlags::NO_TLS;
/// Those of the one who writes.
const OWNER_FLAGS: EnvironmentFlags = FLAGS.union(EnvironmentFlags::NO_READAHEAD);
/// LMDB's own name for its file.
const DATA_FILE: &str = "data.mdb";
const META: &str = "meta";
const STATE: &str = "state";
const HISTORY: &str = "history";
/// Databases of one environment.
const DATABASES: u32 = 3;
const FORMAT_KEY: &[u8] = b"format";
const CHAIN_KEY: &[u8] = b"chain";
const FINAL_KEY: &[u8] = b"final";
const RECEIPTS_KEY: &[u8] = b"receipts";
/// Linux's number for an input/output error.
const EIO: i32 = 5;
/// Bytes that a disk with any room to speak of takes.
const PROBE_LEN: usize = 1 << 20;

/// How a store is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LmdbOptions {
    /// Bytes of address space to map, a multiple of the page size: the most that the state can ever take.
    pub map_len: usize,
    /// Snapshots that may be read at once.
    pub readers_max: u32,
    /// Whether an index of history that is in step with the state is kept so. One that is not stops where it is.
    pub keeps_history: bool,
}

impl Default for LmdbOptions {
    fn default() -> Self {
        Self { map_len: STORE_MAP_LEN, readers_max: STORE_READERS_MAX, keeps_history: true }
    }
}

/// A handle to the store. Clones share it and may read from any thread; commits wait for one another.
#[derive(Clone, Debug)]
pub struct LmdbStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    environment: Environment,
    meta: Database,
    state: Database,
    /// None where the store was made without one and is open for reading.
    history: Option<Database>,
    keeps_history: bool,
    map_len: usize,
    path: String,
    /// Declared last: the lock goes after the environment is closed. None where another process owns the folder.
    _folder: Option<DataFolder>,
}

impl LmdbStore {
    /// Opens the store in `folder` for `chain`, and makes it where there is none.
    ///
    /// # Errors
    /// A newer format, another chain, a damaged file, no room for an empty store.
    pub fn open(folder: &DataFolder, chain: &ChainId, options: LmdbOptions) -> Result<Self, StoreError> {
        let place = folder.state_path();
        let path = place.display().to_string();
        make_folder(&place, &path)?;
        let failed = |action| {
            let (path, map_len) = (path.clone(), options.map_len);
            move |error| store_error(&path, map_len, 0, action, error)
        };
        let environment = Environment::new()
            .set_flags(OWNER_FLAGS)
            .set_max_dbs(DATABASES)
            .set_max_readers(options.readers_max)
            .set_map_size(options.map_len)
            .open(&place)
            .map_err(failed("opening"))?;
        match environment.open_db(Some(META)) {
            Ok(meta) => check_format(&environment, meta, &path).map_err(|error| error.map_lmdb(failed("reading")))?,
            Err(lmdb::Error::NotFound) => (),
            Err(error) => return Err(failed("opening")(error)),
        }
        let create = |name| environment.create_db(Some(name), DatabaseFlags::empty()).map_err(failed("creating"));
        let (meta, state, history) = (create(META)?, create(STATE)?, create(HISTORY)?);
        bind_chain(&environment, meta, chain, &path).map_err(|error| error.map_lmdb(failed("writing")))?;
        // LMDB syncs its file and never the file's name.
        sync_folder(&place).map_err(|error| StoreError::Backend {
            path: path.clone(),
            action: "syncing the folder",
            reason: error.to_string(),
        })?;
        let shared = Shared {
            environment,
            meta,
            state,
            history: Some(history),
            keeps_history: options.keeps_history,
            map_len: options.map_len,
            path,
            _folder: Some(folder.clone()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens the store in `folder` for reading, and changes nothing there; `None` where no store of any chain has begun.
    /// The folder is held, so nobody writes meanwhile.
    ///
    /// # Errors
    /// A newer format, another chain, a damaged file: every page that the state reaches is looked at before LMDB is, which
    /// trusts them.
    pub fn open_to_read(
        folder: &DataFolder,
        chain: &ChainId,
        options: LmdbOptions,
    ) -> Result<Option<Self>, StoreError> {
        let place = folder.state_path();
        Self::open_existing(&place, EnvironmentFlags::NO_LOCK, chain, options, Some(folder.clone()))
    }

    /// Opens the store whose files lie in `place` for reading while another process owns and writes it; `None` where no
    /// store of any chain has begun. Reads see what was committed last.
    ///
    /// # Errors
    /// Those of [`open_to_read`](Self::open_to_read).
    pub fn open_beside(place: &Path, chain: &ChainId, options: LmdbOptions) -> Result<Option<Self>, StoreError> {
        Self::open_existing(place, EnvironmentFlags::empty(), chain, options, None)
    }

    fn open_existing(
        place: &Path,
        flags: EnvironmentFlags,
        chain: &ChainId,
        options: LmdbOptions,
        folder: Option<DataFolder>,
    ) -> Result<Option<Self>, StoreError> {
        let path = place.display().to_string();
        let file = place.join(DATA_FILE);
        let io_failed =
            |error: io::Error| StoreError::Backend { path: path.clone(), action: "reading", reason: error.to_string() };
        let length = match fs::metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(io_failed)?.len(),
        };
        // LMDB makes the file and then writes it: one that is empty is of a start that was cut short.
        if length == 0 {
            return Ok(None);
        }
        pages::check(&file).map_err(|error| StoreError::Corrupt { path: path.clone(), what: error.to_string() })?;
        let failed = |action| {
            let (path, map_len) = (path.clone(), options.map_len);
            move |error| store_error(&path, map_len, 0, action, error)
        };
        let environment = Environment::new()
            .set_flags(FLAGS | EnvironmentFlags::READ_ONLY | flags)
            .set_max_dbs(DATABASES)
            .set_max_readers(options.readers_max)
            .set_map_size(options.map_len)
            .open(place)
            .map_err(failed("opening"))?;
        let open = |name| match environment.open_db(Some(name)) {
            Err(lmdb::Error::NotFound) => Ok(None),
            opened => opened.map(Some).map_err(failed("opening")),
        };
        // A start that was cut short leaves one of them, or both and no format.
        let Some(meta) = open(META)? else { return Ok(None) };
        check_format(&environment, meta, &path).map_err(|error| error.map_lmdb(failed("reading")))?;
        let bound = is_bound(&environment, meta, chain, &path).map_err(|error| error.map_lmdb(failed("reading")))?;
        let Some(state) = open(STATE)?.filter(|_| bound) else { return Ok(None) };
        let (history, keeps_history) = (open(HISTORY)?, options.keeps_history);
        let map_len = options.map_len;
        let shared = Shared { environment, meta, state, history, keeps_history, map_len, path, _folder: folder };
        Ok(Some(Self { shared: Arc::new(shared) }))
    }

    /// The state as it is committed now, for any number of reads of one moment.
    ///
    /// # Errors
    /// Too many snapshots at once; a store that can't be read.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, StoreError> {
        let transaction = self.shared.environment.begin_ro_txn().map_err(self.failed("reading", 0))?;
        Ok(Snapshot { transaction, shared: &self.shared })
    }

    /// Puts records of a state into a store that has no state yet, durable at once. Until the batch that brings the point,
    /// without which they mean nothing, the store is no node's.
    ///
    /// # Errors
    /// A store that has a state; a record that breaks a limit; a full disk or map; a store that can't be written.
    pub fn fill(&mut self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        let Shared { environment, meta, state, path, .. } = &*self.shared;
        let write_failed = |error| self.write_failed(0, error);
        let mut transaction = environment.begin_rw_txn().map_err(self.failed("starting a batch", 0))?;
        let stored = read_point(&transaction, *meta, path);
        if let Some(stored) = stored.map_err(|error| error.map_lmdb(self.failed("reading", 0)))? {
            return Err(StoreError::NotForward { stored: Box::new(stored), offered: Box::new(stored) });
        }
        for (key, value) in records {
            check_record(key, value)?;
            transaction.put(*state, key, value, WriteFlags::empty()).map_err(write_failed)?;
        }
        transaction.commit().map_err(write_failed)
    }

    /// Keys in the committed state.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn keys_count(&self) -> Result<usize, StoreError> {
        let snapshot = self.snapshot()?;
        let statistics = snapshot.transaction.stat(self.shared.state).map_err(self.failed("reading", 0))?;
        Ok(statistics.entries())
    }

    /// LMDB calls a write that was cut short by a full disk an input/output error: only the disk knows which it was.
    fn write_failed(&self, commit: u64, error: lmdb::Error) -> StoreError {
        if error == lmdb::Error::Other(EIO) && disk_is_full(Path::new(&self.shared.path)) {
            return StoreError::DiskFull { path: self.shared.path.clone(), commit };
        }
        self.failed("writing a batch", commit)(error)
    }

    fn failed(&self, action: &'static str, commit: u64) -> impl Fn(lmdb::Error) -> StoreError + '_ {
        move |error| store_error(&self.shared.path, self.shared.map_len, commit, action, error)
    }
}

impl Store for LmdbStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.snapshot()?.get(key)?.map(<[u8]>::to_vec))
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>, StoreError> {
        Ok(Box::new(self.snapshot()?))
    }

    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.snapshot()?.scan(prefix, visit)
    }

    fn key_from(&self, from: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let snapshot = self.snapshot()?;
        let mut cursor = snapshot.transaction.open_ro_cursor(self.shared.state).map_err(self.failed("reading", 0))?;
        // LMDB has no empty key.
        let mut above = if from.is_empty() { cursor.iter_start() } else { cursor.iter_from(from) };
        let first = above.next().transpose().map_err(self.failed("reading", 0))?;
        Ok(first.map(|(key, _)| key.to_vec()))
    }

    fn commit(&mut self, batch: &FinalBatch) -> Result<(), StoreError> {
        let Shared { environment, meta, state, history, path, .. } = &*self.shared;
        let failed = |action| self.failed(action, batch.point.commit);
        let write_failed = |error| self.write_failed(batch.point.commit, error);
        let mut transaction = environment.begin_rw_txn().map_err(failed("starting a batch"))?;
        let stored = read_point(&transaction, *meta, path).map_err(|error| error.map_lmdb(failed("reading")))?;
        check_batch(stored.as_ref(), batch)?;
        for (key, value) in &batch.changes {
            let changed = match value {
                Some(value) => transaction.put(*state, key, value, WriteFlags::empty()),
                None => match transaction.del(*state, key, None) {
                    Err(lmdb::Error::NotFound) => Ok(()),
                    done => done,
                },
            };
            changed.map_err(write_failed)?;
        }
        history::append(&mut transaction, *history, &batch.history, &write_failed)?;
        let point = encode_point(&batch.point);
        transaction.put(*meta, &FINAL_KEY, &point, WriteFlags::empty()).map_err(write_failed)?;
        if let Some(root) = &batch.point.receipts_root {
            let of = [batch.point.slice.id.0, root.0].concat();
            transaction.put(*meta, &RECEIPTS_KEY, &of, WriteFlags::empty()).map_err(write_failed)?;
        }
        transaction.commit().map_err(write_failed)
    }

    fn final_point(&self) -> Result<Option<FinalPoint>, StoreError> {
        self.snapshot()?.final_point()
    }

    fn keeps_history(&self) -> Result<bool, StoreError> {
        if self.shared.keeps_history { self.is_history_in_step() } else { Ok(false) }
    }
}

/// The state at one moment, whatever is committed meanwhile. Stays on the thread that took it.
#[derive(Debug)]
pub struct Snapshot<'store> {
    transaction: RoTransaction<'store>,
    shared: &'store Shared,
}

impl Snapshot<'_> {
    /// The value under `key`, without a copy.
    ///
    /// # Errors
    /// A key outside the limits; a store that can't be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        check_key(key)?;
        match self.transaction.get(self.shared.state, &key) {
            Ok(value) => Ok(Some(value)),
            Err(lmdb::Error::NotFound) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Visits the keys under `prefix` as [`Store::scan`] does.
    ///
    /// # Errors
    /// A prefix that is too long; a store that can't be read.
    pub fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        check_prefix(prefix)?;
        let mut cursor = self.transaction.open_ro_cursor(self.shared.state).map_err(|error| self.failed(error))?;
        // LMDB has no empty key, so the first key is asked for in another way.
        let pairs = if prefix.is_empty() { cursor.iter_start() } else { cursor.iter_from(prefix) };
        for pair in pairs {
            let (key, value) = pair.map_err(|error| self.failed(error))?;
            if !key.starts_with(prefix) || visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The point that this state belongs to.
    ///
    /// # Errors
    /// A store that can't be read.
    pub fn final_point(&self) -> Result<Option<FinalPoint>, StoreError> {
        read_point(&self.transaction, self.shared.meta, &self.shared.path)
            .map_err(|error| error.map_lmdb(|error| self.failed(error)))
    }

    fn failed(&self, error: lmdb::Error) -> StoreError {
        store_error(&self.shared.path, self.shared.map_len, 0, "reading", error)
    }
}

impl Reader for Snapshot<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(Snapshot::get(self, key)?.map(Bytes::from))
    }
}

/// Commits batch after batch to one store and times each: what the writer's own thread runs.
pub struct StoreWriter<S> {
    store: S,
    clock: Clock,
    times: SyncTimes,
    keys: u64,
    bytes: u64,
}

impl<S: Store> StoreWriter<S> {
    /// A writer to `store` that takes the time from `clock`.
    pub fn new(store: S, clock: Clock) -> Self {
        Self { store, clock, times: SyncTimes::new(), keys: 0, bytes: 0 }
    }

    /// Makes `batch` durable. It is when this returns `Ok`, and not before.
    ///
    /// # Errors
    /// As [`Store::commit`]: nothing of the batch was kept, the log still holds it, and it may be offered again.
    pub fn commit(&mut self, batch: &FinalBatch) -> Result<(), StoreError> {
        let started = (self.clock)();
        self.store.commit(batch)?;
        self.times.record((self.clock)().since(started));
        self.keys += batch.changes.len() as u64;
        self.bytes += batch.bytes_len() as u64;
        Ok(())
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// How long the commits took, their syncs included; their number is its count.
    pub fn times(&self) -> &SyncTimes {
        &self.times
    }

    /// Keys changed so far.
    pub fn keys_count(&self) -> u64 {
        self.keys
    }

    /// Bytes of keys and values written so far.
    pub fn bytes_count(&self) -> u64 {
        self.bytes
    }
}

/// Whether the disk that holds `place` takes no more, found by trying.
fn disk_is_full(place: &Path) -> bool {
    let probe = place.join("room.probe");
    let is_full = match File::create(&probe) {
        Ok(mut file) => takes_no_more(&mut file),
        Err(error) => is_out_of_room(&error),
    };
    // A probe that stays behind is written over by the next one.
    let _removed = fs::remove_file(&probe);
    is_full
}

fn takes_no_more(file: &mut File) -> bool {
    let written = file.write_all(&vec![1; PROBE_LEN]).and_then(|()| file.sync_data());
    written.is_err_and(|error| is_out_of_room(&error))
}

fn is_out_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Either LMDB's word or ours, until the one who called knows what it was doing.
enum Failure {
    Lmdb(lmdb::Error),
    Store(StoreError),
}

impl Failure {
    fn map_lmdb(self, map: impl FnOnce(lmdb::Error) -> StoreError) -> StoreError {
        match self {
            Self::Lmdb(error) => map(error),
            Self::Store(error) => error,
        }
    }
}

impl From<lmdb::Error> for Failure {
    fn from(error: lmdb::Error) -> Self {
        Self::Lmdb(error)
    }
}

fn make_folder(place: &Path, path: &str) -> Result<(), StoreError> {
    fs::create_dir_all(place).map_err(|error| StoreError::Backend {
        path: path.to_owned(),
        action: "creating the folder",
        reason: error.to_string(),
    })
}

fn read<'txn, T: lmdb::Transaction>(
    transaction: &'txn T,
    meta: Database,
    key: &[u8],
) -> Result<Option<&'txn [u8]>, lmdb::Error> {
    match transaction.get(meta, &key) {
        Ok(value) => Ok(Some(value)),
        Err(lmdb::Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn corrupt(path: &str, what: &str) -> Failure {
    Failure::Store(StoreError::Corrupt { path: path.to_owned(), what: what.to_owned() })
}

/// Looks at the format alone: nothing else may be assumed of a store that a newer program wrote.
fn check_format(environment: &Environment, meta: Database, path: &str) -> Result<(), Failure> {
    let transaction = environment.begin_ro_txn()?;
    let Some(bytes) = read(&transaction, meta, FORMAT_KEY)? else { return Ok(()) };
    let bytes = bytes.try_into().map_err(|_| corrupt(path, "its format number is not four bytes"))?;
    match u32::from_le_bytes(bytes) {
        STORE_FORMAT => Ok(()),
        found if found > STORE_FORMAT => {
            Err(Failure::Store(StoreError::NewerFormat { path: path.to_owned(), found, known: STORE_FORMAT }))
        }
        _ => Err(corrupt(path, "its format number was never used")),
    }
}

/// Whether the store is bound to a chain; refuses another's than `chain`.
fn is_bound(environment: &Environment, meta: Database, chain: &ChainId, path: &str) -> Result<bool, Failure> {
    let transaction = environment.begin_ro_txn()?;
    match (read(&transaction, meta, FORMAT_KEY)?, read(&transaction, meta, CHAIN_KEY)?) {
        (_, Some(found)) if found == chain.0.0 => Ok(true),
        (_, Some(_)) => Err(Failure::Store(StoreError::OtherChain { path: path.to_owned() })),
        (None, None) => Ok(false),
        (Some(_), None) => Err(corrupt(path, "it names no chain")),
    }
}

/// Writes format and chain into a store without them, in one transaction; refuses another chain's.
fn bind_chain(environment: &Environment, meta: Database, chain: &ChainId, path: &str) -> Result<(), Failure> {
    let mut transaction = environment.begin_rw_txn()?;
    let fresh = read(&transaction, meta, FORMAT_KEY)?.is_none();
    match read(&transaction, meta, CHAIN_KEY)? {
        Some(found) if found == chain.0.0 => Ok(()),
        Some(_) => Err(Failure::Store(StoreError::OtherChain { path: path.to_owned() })),
        None if fresh => {
            transaction.put(meta, &FORMAT_KEY, &STORE_FORMAT.to_le_bytes(), WriteFlags::empty())?;
            transaction.put(meta, &CHAIN_KEY, &chain.0.0, WriteFlags::empty())?;
            Ok(transaction.commit()?)
        }
        None => Err(corrupt(path, "it names no chain")),
    }
}

fn read_point<T: lmdb::Transaction>(
    transaction: &T,
    meta: Database,
    path: &str,
) -> Result<Option<FinalPoint>, Failure> {
    let Some(bytes) = read(transaction, meta, FINAL_KEY)? else { return Ok(None) };
    let point = bytes
        .split_first_chunk::<8>()
        .and_then(|(commit, slice)| Some((decode_slice_ref(slice)?, u64::from_le_bytes(*commit))));
    let (slice, commit) = point.ok_or_else(|| corrupt(path, "its final point has the wrong length"))?;
    let receipts = read(transaction, meta, RECEIPTS_KEY)?;
    // A program that does not know of it leaves that of a slice before.
    let receipts_root = receipts.and_then(|bytes| {
        let (of, root) = bytes.split_first_chunk::<32>()?;
        (*of == slice.id.0).then_some(Hash(*root.first_chunk()?))
    });
    Ok(Some(FinalPoint { slice, commit, receipts_root }))
}

fn encode_point(point: &FinalPoint) -> Vec<u8> {
    let mut bytes = point.commit.to_le_bytes().to_vec();
    encode_slice_ref(&point.slice, &mut bytes);
    bytes
}

fn store_error(path: &str, map_len: usize, commit: u64, action: &'static str, error: lmdb::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        lmdb::Error::MapFull => StoreError::MapFull { map_len, commit },
        // Told to readers too, who may see it before the writer has said why.
        lmdb::Error::Panic => StoreError::Stopped { path },
        lmdb::Error::Corrupted | lmdb::Error::PageNotFound | lmdb::Error::Invalid | lmdb::Error::VersionMismatch => {
            StoreError::Corrupt { path, what: error.to_string() }
        }
        lmdb::Error::Other(code) => {
            let error = io::Error::from_raw_os_error(code);
            if is_out_of_room(&error) {
                StoreError::DiskFull { path, commit }
            } else {
                StoreError::Backend { path, action, reason: error.to_string() }
            }
        }
        other => StoreError::Backend { path, action, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
