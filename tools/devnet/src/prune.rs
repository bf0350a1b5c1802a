//! Removes the older blocks of a validator's log: `hpb ledger prune`.
//!
//! The root is written first, durable and under its own name, then segments are removed, the oldest first: whenever it is
//! cut short, what is left is a log that a node starts on, and the next call goes on.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::Path;

use hpb_base::Instant;
use hpb_base::limits::KEEP_BLOCKS_MIN;
use hpb_ledger::chainlog::{ChainLog, DirectoryFolder, Keep, LogOptions};
use hpb_ledger::folder::DataFolder;
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::snapshot::SnapshotWriter;
use hpb_node::core::{Recovered, RootError, RootFailure, cut_for, prove_root};
use hpb_types::{Genesis, SliceRef};
use serde::{Deserialize, Serialize};

use crate::archive::{TransferError, failed};
use crate::audit::devnet_of;
use crate::report::format::counted;
use crate::run::{DevnetError, place_of, read_genesis};

/// What was removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PruneRow {
    /// The validator.
    pub validator: String,
    /// The slice behind which the log begins now, as `slot.index:id`; none where it keeps the whole chain.
    pub root: Option<String>,
    /// Segments removed.
    pub removed: usize,
    /// Segments left.
    pub segments: usize,
}

impl PruneRow {
    /// One line.
    pub fn detail(&self) -> String {
        let (removed, left) = (counted(self.removed as u64, "segment"), counted(self.segments as u64, "segment"));
        let name = &self.validator;
        match &self.root {
            Some(root) if self.removed > 0 => {
                format!("ok  {name}: {removed} removed, {left} left; the log begins behind slice {root}\n")
            }
            _ => {
                format!("ok  {name}: nothing removed, {left} left: a segment goes when none of its blocks is to stay\n")
            }
        }
    }
}

/// Removes the segments of a validator's log that hold none of its last `keep` blocks.
///
/// # Errors
/// [`TransferError`]: fewer than [`KEEP_BLOCKS_MIN`] blocks, a folder in use, a disk that refuses.
pub fn prune(data: &Path, validator: usize, keep: u64) -> Result<PruneRow, TransferError> {
    if keep < KEEP_BLOCKS_MIN {
        let expected = format!("at least {KEEP_BLOCKS_MIN} blocks: a restart and peers that were away need them");
        let error = DevnetError::Argument { option: "keep", value: keep.to_string(), expected };
        return Err(error.into());
    }
    let (data, alone) = devnet_of(data);
    let genesis = read_genesis(&data)?;
    let named = |name: &String| genesis.producers.iter().position(|producer| producer.name.as_str() == name);
    let index = alone.as_ref().and_then(named).unwrap_or(validator);
    let folder = DataFolder::open(&place_of(&data, &genesis, index)?)?;
    let store = LmdbStore::open(&folder, &genesis.chain_id(), LmdbOptions::default())?;
    let path = folder.log_path();
    let segments = DirectoryFolder::open(&path).map_err(failed("opening", &path))?;
    let options = LogOptions::new(genesis.chain_id());
    let (mut log, _) = ChainLog::open(Box::new(segments), options, Box::new(|| Instant::ZERO))?;
    // As a start does: the store comes to where the log ends.
    let recovered = Recovered::read(&genesis, store, &mut log, None);
    recovered.map_err(DevnetError::from)?;
    let (mut removed, mut begins) = (0, log.root_slice());
    if let Some(root) = cut_for(&mut log, keep)?.filter(|root| log.prunable(root) > 0) {
        put_root(&genesis, &mut log, root, &path)?;
        removed = log.prune(&root, Keep::Segments(0))?;
        begins = Some(root);
    }
    let root = begins.map(|slice| slice.to_text());
    let validator = genesis.producers[index].name.to_string();
    Ok(PruneRow { validator, root, removed, segments: log.segments_count() })
}

/// Writes a new root into a log, by way of a file beside it: the proof is made of the log and of the root that it has.
fn put_root(genesis: &Genesis, log: &mut ChainLog, root: SliceRef, path: &Path) -> Result<(), TransferError> {
    let part = path.join("root.new");
    let failed_part = || failed("writing", &part);
    let mut writer = SnapshotWriter::new(BufWriter::new(File::create(&part).map_err(failed_part())?), genesis)
        .map_err(failed_part())?;
    let fault = |error: RootFailure| TransferError::Proof { path: path.display().to_string(), error: Box::new(error) };
    let is_proven = prove_root(genesis, log, root, None, &mut |part| writer.part(part)).map_err(fault)?;
    if !is_proven {
        return Err(fault(RootError::Unproven { root, proven: log.last_final() }.into()));
    }
    writer.finish().map_err(failed_part())?;
    log.put_root(&mut |out| io::copy(&mut BufReader::new(File::open(&part)?), out).map(|_| ()))?;
    fs::remove_file(&part).map_err(failed("removing", &part))
}
