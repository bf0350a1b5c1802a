//! A chain written into one file, and a validator's data made from one: `hpb ledger export` and `hpb ledger import`.
//!
//! What is exported was audited first. What is imported is believed as far as it proves itself final, and nothing is left
//! half-made: file and folder get their names when they are whole. Refused are names that are taken.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use hpb_base::Instant;
use hpb_ledger::archive::{ArchiveReader, ArchiveWriter};
use hpb_ledger::chainlog::{ChainLog, DirectoryFolder, LogBatch, LogError, LogOptions, WalkStep};
use hpb_ledger::folder::{DataFolder, FolderError, sync_folder};
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::sealed::FileError;
use hpb_ledger::watermark::WatermarkState;
use hpb_ledger::{Checked, Store as _, StoreError};
use hpb_node::core::{AuditError, Import, Imported, RootFailure};
use hpb_types::message::SliceBundle;
use hpb_types::{Canonical as _, Genesis, Height, Slice};
use serde::{Deserialize, Serialize};

use crate::audit::{devnet_of, look};
use crate::report::format::grouped;
use crate::run::{DevnetError, GENESIS_FILE, os_random, place_of, read_genesis};

/// Why nothing was exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The devnet's folder.
    #[error(transparent)]
    Devnet(Box<DevnetError>),
    /// A validator's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A name that is taken.
    #[error("{path} is there already: move it away, or name another")]
    Exists {
        /// The path.
        path: String,
    },
    /// The folder is of another chain.
    #[error("{path} holds chain {found}, and the file is of chain {expected}: name another folder")]
    OtherChain {
        /// The folder.
        path: String,
        /// Its chain.
        found: String,
        /// The file's.
        expected: String,
    },
    /// The chain has no validator of that number.
    #[error("the chain has validators 0 to {last}, not {validator}")]
    NoValidator {
        /// The number.
        validator: usize,
        /// The last that there is.
        last: usize,
    },
    /// The file.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: Box<FileError>,
    },
    /// What was to be exported or imported has a fault.
    #[error("{path}: {error}")]
    Fault {
        /// The file or folder.
        path: String,
        /// The first fault.
        error: Box<AuditError>,
    },
    /// A snapshot's proof.
    #[error("{path}: {error}")]
    Proof {
        /// The file, or the folder that it was to be made of.
        path: String,
        /// What it does not prove.
        error: Box<RootFailure>,
    },
    /// A snapshot's state, or the one that it was to be made of.
    #[error("{path}: {what}")]
    State {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is no state yet of which a snapshot could be made.
    #[error("{path}: {what}")]
    NoState {
        /// The folder.
        path: String,
        /// Why not.
        what: &'static str,
    },
    /// The log can't be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store can't be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused.
    #[error("{action} {path} failed: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// Its words.
        error: io::Error,
    },
}

impl From<DevnetError> for TransferError {
    fn from(error: DevnetError) -> Self {
        Self::Devnet(Box::new(error))
    }
}

impl TransferError {
    /// Whether what was to be moved has a fault, or moving it failed; otherwise it can't be done as it was asked.
    pub fn is_of_the_work(&self) -> bool {
        !matches!(
            self,
            Self::Devnet(_)
                | Self::Folder(_)
                | Self::Exists { .. }
                | Self::OtherChain { .. }
                | Self::NoValidator { .. }
                | Self::NoState { .. }
        )
    }
}

/// What was exported or imported.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransferRow {
    /// The chain, in hexadecimal digits.
    pub chain: String,
    /// Slices.
    pub slices: u64,
    /// Their transactions.
    pub transactions: u64,
    /// The last slice of them, as `slot.index:id`.
    pub last: String,
    /// Slices of the file that were left out, because nothing in it proves them final.
    pub unproven: u64,
}

impl TransferRow {
    /// One line.
    pub fn detail(&self) -> String {
        let Self { slices, transactions, unproven, .. } = self;
        let left_out = match unproven {
            0 => String::new(),
            count => format!("; {} at the end left out: nothing in the file proves them final", grouped(*count)),
        };
        let (slices, transactions) = (grouped(*slices), grouped(*transactions));
        format!("ok  {slices} final slices, {transactions} transactions, up to {}{left_out}\n", self.last)
    }
}

/// Writes the final chain that a validator of a devnet holds into the file `to`, when all of it was found good.
///
/// # Errors
/// [`TransferError`]; there is no file then.
pub fn export(data: &Path, validator: usize, to: &Path) -> Result<TransferRow, TransferError> {
    let (data, alone) = devnet_of(data);
    let genesis = read_genesis(&data)?;
    let named = |name: &String| genesis.producers.iter().position(|producer| producer.name.as_str() == name);
    let index = alone.as_ref().and_then(named).unwrap_or(validator);
    let place = place_of(&data, &genesis, index)?;
    if to.exists() {
        return Err(TransferError::Exists { path: to.display().to_string() });
    }
    let folder = DataFolder::open_to_read(&place)?;
    let fault = |error| TransferError::Fault { path: place.display().to_string(), error: Box::new(error) };
    let (mut log, audited) = look(&genesis, index, &folder, &mut |_, _| {}).map_err(fault)?;
    log.check_whole()?;
    let part = beside(to, ".part");
    let written = write(&genesis, &mut log, &part).and_then(|()| fs::rename(&part, to).map_err(failed("naming", to)));
    if written.is_err() {
        // It has no name that anyone looks for, and the next export writes over it.
        let _removed = fs::remove_file(&part);
    }
    written?;
    Ok(TransferRow {
        chain: genesis.chain_id().0.to_hex(),
        slices: audited.final_slices,
        transactions: audited.transactions,
        last: audited.last_final.to_text(),
        unproven: 0,
    })
}

fn write(genesis: &Genesis, log: &mut ChainLog, part: &Path) -> Result<(), TransferError> {
    let file = File::create(part).map_err(failed("creating", part))?;
    let writing = || failed("writing", part);
    let mut writer = ArchiveWriter::new(BufWriter::new(file), genesis).map_err(writing())?;
    let mut walk = log.walk_finals(Height::default(), log.last_final().height.slot);
    while let Some(walk) = &mut walk {
        match log.step_finals(walk)? {
            WalkStep::Slice(found) => writer.slice(&found.slice, &found.transactions()?).map_err(writing())?,
            WalkStep::Walked => {}
            WalkStep::End => break,
        }
    }
    let file = writer.finish().map_err(writing())?.into_inner().map_err(|error| writing()(error.into_error()))?;
    file.sync_all().map_err(writing())
}

/// Makes the data of validator `validator` in the devnet's folder `data` from the file `from`. The validator does not
/// remember what it has confirmed, and stays silent until the chain has gone on by a slot.
///
/// # Errors
/// [`TransferError`]; nothing was made then.
pub fn import(from: &Path, data: &Path, validator: usize) -> Result<TransferRow, TransferError> {
    let file = File::open(from).map_err(failed("opening", from))?;
    let wrong = |error| wrong(from, error);
    let (mut reader, genesis) = ArchiveReader::new(BufReader::new(file)).map_err(wrong)?;
    let place = free_place(data, &genesis, validator)?;
    let making = beside(&place, ".import");
    let made = make(
        &genesis,
        &mut || {
            let at = reader.at();
            Ok(reader.next_slice().map_err(wrong)?.map(|bundle| (at, bundle)))
        },
        from,
        &making,
    );
    let row = match made {
        Ok(row) => row,
        Err(error) => {
            // It has no name that a start looks for, and the next import writes over it.
            let _removed = fs::remove_dir_all(&making);
            return Err(error);
        }
    };
    keep_genesis(data, &genesis)?;
    fs::rename(&making, &place).map_err(failed("naming", &place))?;
    sync_folder(data).map_err(failed("syncing", data))?;
    Ok(row)
}

/// What is wrong with a file that is read.
pub(crate) fn wrong(from: &Path, error: FileError) -> TransferError {
    match error {
        FileError::Io(error) => failed("reading", from)(error),
        error => TransferError::File { path: from.display().to_string(), error: Box::new(error) },
    }
}

/// Where the validator's data goes: nothing is there, and the folder is of this chain or of none.
pub(crate) fn free_place(data: &Path, genesis: &Genesis, validator: usize) -> Result<PathBuf, TransferError> {
    let last = genesis.producers.len() - 1;
    let producer = genesis.producers.get(validator).ok_or(TransferError::NoValidator { validator, last })?;
    if data.exists() && fs::read_dir(data).map_err(failed("reading", data))?.next().is_some() {
        let found = read_genesis(data)?;
        if found != *genesis {
            return Err(TransferError::OtherChain {
                path: data.display().to_string(),
                found: found.chain_id().0.to_hex(),
                expected: genesis.chain_id().0.to_hex(),
            });
        }
    }
    let place = data.join(producer.name.as_str());
    if place.exists() { Err(TransferError::Exists { path: place.display().to_string() }) } else { Ok(place) }
}

/// Fills the folder `making` with log and store of the slices that `next` gives.
fn make(
    genesis: &Genesis,
    next: &mut dyn FnMut() -> Result<Option<(u64, SliceBundle)>, TransferError>,
    from: &Path,
    making: &Path,
) -> Result<TransferRow, TransferError> {
    if making.exists() {
        fs::remove_dir_all(making).map_err(failed("removing", making))?;
    }
    let folder = DataFolder::open(making)?;
    let segments = DirectoryFolder::open(&folder.log_path()).map_err(failed("opening", &folder.log_path()))?;
    let (options, clock) = (LogOptions::new(genesis.chain_id()), Box::new(|| Instant::ZERO));
    let log = ChainLog::create(Box::new(segments), options, os_random()?, WatermarkState::Unknown, clock)?;
    let fault = |error| TransferError::Fault { path: from.display().to_string(), error: Box::new(error) };
    let mut import = Import::new(genesis).map_err(fault)?;
    let mut filling = Filling { log, batch: LogBatch::new(), slices: 0, transactions: 0 };
    while let Some((at, bundle)) = next()? {
        let mut refused = None;
        let taken = import.take(at, bundle, &mut |slice, transactions| {
            if refused.is_none() {
                refused = filling.take(slice, transactions).err();
            }
        });
        taken.map_err(fault)?;
        refused.map_or(Ok(()), Err)?;
    }
    filling.append()?;
    let Imported { last_final, unproven, state } = import.end().map_err(fault)?;
    let mut store = LmdbStore::open(&folder, &genesis.chain_id(), LmdbOptions::default())?;
    store.commit(&state)?;
    Ok(TransferRow {
        chain: genesis.chain_id().0.to_hex(),
        slices: filling.slices,
        transactions: filling.transactions,
        last: last_final.to_text(),
        unproven: unproven as u64,
    })
}

/// A log that is filled with final slices.
struct Filling {
    log: ChainLog,
    batch: LogBatch,
    slices: u64,
    transactions: u64,
}

impl Filling {
    fn take(&mut self, slice: &Slice, transactions: &[Checked]) -> Result<(), LogError> {
        let own: Vec<_> = transactions.iter().map(|checked| checked.transaction().clone()).collect();
        self.batch.push_slice(slice, &own)?;
        self.batch.push_final(&slice.reference())?;
        self.slices += 1;
        self.transactions += own.len() as u64;
        if self.batch.encoded_len() >= BATCH_FILL_LEN { self.append() } else { Ok(()) }
    }

    fn append(&mut self) -> Result<(), LogError> {
        self.log.append(&self.batch)?;
        self.batch.clear();
        Ok(())
    }
}

/// Bytes at which a batch is written.
const BATCH_FILL_LEN: usize = 1 << 20;

/// Writes a chain's genesis down where there is none.
pub(crate) fn keep_genesis(data: &Path, genesis: &Genesis) -> Result<(), TransferError> {
    let path = data.join(GENESIS_FILE);
    if path.exists() {
        return Ok(());
    }
    let part = beside(&path, ".part");
    let written = fs::write(&part, genesis.to_bytes())
        .and_then(|()| File::open(&part)?.sync_all())
        .and_then(|()| fs::rename(&part, &path));
    written.map_err(failed("writing", &path))
}

/// The path with `ending` behind its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TransferError {
    let path = path.display().to_string();
    move |error| TransferError::Io { action, path, error }
}
