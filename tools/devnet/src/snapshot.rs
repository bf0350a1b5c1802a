//! A validator's state in one file, and a validator's data made from one: `hpb ledger snapshot` and `hpb ledger restore`.
//!
//! A snapshot is written of a stopped devnet and beside one that runs: the state is read as it is committed at one moment,
//! and nobody waits for it. What is written is judged and summed on the way. What is restored is believed as far as it
//! proves itself from genesis, and nothing is left half-made: file and folder get their names when they are whole. Refused
//! are names that are taken.

use core::ops::ControlFlow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read};
use std::path::Path;

use hpb_base::Instant;
use hpb_ledger::chainlog::{ChainLog, DirectoryFolder, LogFolder as _, LogOptions};
use hpb_ledger::commitment::StateProof;
use hpb_ledger::folder::{DataFolder, FolderError, sync_folder};
use hpb_ledger::key::{self, SUM, SYSTEM};
use hpb_ledger::lattice::LatticeSum;
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore, Snapshot};
use hpb_ledger::sealed::FileError;
use hpb_ledger::snapshot::{Entries, Part, Root, SnapshotReader, SnapshotWriter};
use hpb_ledger::{FinalBatch, FinalPoint, Ledger, Store as _};
use hpb_node::core::{RecoverError, RootFailure, Rooting, prove_root};
use hpb_types::{Genesis, SliceRef};
use serde::{Deserialize, Serialize};

use crate::archive::{TransferError, beside, failed, free_place, keep_genesis, wrong};
use crate::audit::devnet_of;
use crate::report::format::grouped;
use crate::run::{DevnetError, os_random, place_of, read_genesis};

/// What a snapshot holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SnapshotRow {
    /// The chain, in hexadecimal digits.
    pub chain: String,
    /// The slice whose state it is, as `slot.index:id`.
    pub slice: String,
    /// The state's root, in hexadecimal digits.
    pub state: String,
    /// Records of the state.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether the file proves the slice final.
    pub is_proven: bool,
}

impl SnapshotRow {
    /// One line, or two.
    pub fn detail(&self) -> String {
        let Self { slice, .. } = self;
        let (records, bytes) = (grouped(self.records), grouped(self.bytes));
        let open = if self.is_proven {
            String::new()
        } else {
            format!("    nothing in it proves that slice final: who restores it must know it to be (--trust {slice})\n")
        };
        format!("ok  the state after slice {slice}: {records} records, {bytes} bytes\n{open}")
    }
}

/// Writes the state that a validator of a devnet has committed into the file `to`, with what proves it.
///
/// # Errors
/// [`TransferError`]; there is no file then.
pub fn snapshot(data: &Path, validator: usize, to: &Path) -> Result<SnapshotRow, TransferError> {
    let (data, alone) = devnet_of(data);
    let genesis = read_genesis(&data)?;
    let named = |name: &String| genesis.producers.iter().position(|producer| producer.name.as_str() == name);
    let index = alone.as_ref().and_then(named).unwrap_or(validator);
    let place = place_of(&data, &genesis, index)?;
    if to.exists() {
        return Err(TransferError::Exists { path: to.display().to_string() });
    }
    let (chain, options) = (genesis.chain_id(), LmdbOptions::default());
    let store = match DataFolder::open_to_read(&place) {
        Ok(folder) => LmdbStore::open_to_read(&folder, &chain, options)?,
        Err(FolderError::Held { .. }) => LmdbStore::open_beside(&DataFolder::state_path_in(&place), &chain, options)?,
        Err(error) => return Err(error.into()),
    };
    let path = place.display().to_string();
    let none = |what| TransferError::NoState { path: path.clone(), what };
    let early = "its chain is at its very beginning: let it run for a few seconds";
    let store = store.ok_or_else(|| none(early))?;
    // The state first: the log holds all that it came from.
    let state = store.snapshot()?;
    let point = state.final_point()?.filter(|point| point.slice != genesis.genesis_slice());
    let point = point.ok_or_else(|| none(early))?;
    let old = "its store was written by an older program: run the devnet for a few seconds, then try again";
    let receipts = point.receipts_root.ok_or_else(|| none(old))?;
    let sum = sum_of(&state, &path)?;
    let root = Root { slice: point.slice, state: StateProof { receipts, state: sum.root() } };
    let segments = DirectoryFolder::open_to_read(&DataFolder::log_path_in(&place));
    let (mut log, _) = ChainLog::open_to_read(Box::new(segments), LogOptions::new(chain))?;
    let part = beside(to, ".part");
    let written = write(&genesis, &mut log, &state, (root, &sum), (&path, &part))
        .and_then(|row| fs::rename(&part, to).map_err(failed("naming", to)).map(|()| row));
    if written.is_err() {
        // It has no name that anyone looks for, and the next snapshot writes over it.
        let _removed = fs::remove_file(&part);
    }
    written
}

fn sum_of(state: &Snapshot<'_>, path: &str) -> Result<LatticeSum, TransferError> {
    let record = state.get(&key::of(SYSTEM, SUM))?;
    let sum = record.and_then(LatticeSum::from_record);
    sum.ok_or_else(|| TransferError::State { path: path.to_owned(), what: "its state keeps no sum".to_owned() })
}

fn write(
    genesis: &Genesis,
    log: &mut ChainLog,
    state: &Snapshot<'_>,
    (root, sum): (Root, &LatticeSum),
    (path, part): (&str, &Path),
) -> Result<SnapshotRow, TransferError> {
    let file = File::create(part).map_err(failed("creating", part))?;
    let writing = || failed("writing", part);
    let mut writer = SnapshotWriter::new(BufWriter::new(file), genesis).map_err(writing())?;
    let proven = prove_root(genesis, log, root.slice, Some(root.state), &mut |part| writer.part(part));
    let is_proven = proven.map_err(|error| match error {
        RootFailure::Out(error) => writing()(error),
        error => TransferError::Proof { path: path.to_owned(), error: Box::new(error) },
    })?;
    let (mut summing, mut records, mut refused) = (Summing::default(), 0, None);
    state.scan(&[], &mut |key, value| {
        summing.add(key, value);
        records += 1;
        match writer.entry(key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    refused.map_or(Ok(()), |error| Err(writing()(error)))?;
    if summing.sum != *sum {
        let what = format!("its state at slice {} keeps another sum than its records come to", root.slice);
        return Err(TransferError::State { path: path.to_owned(), what });
    }
    let file = writer.finish().map_err(writing())?.into_inner().map_err(|error| writing()(error.into_error()))?;
    file.sync_all().map_err(writing())?;
    let bytes = file.metadata().map_err(writing())?.len();
    Ok(row_of(genesis, &root, records, bytes, is_proven))
}

fn row_of(genesis: &Genesis, root: &Root, records: u64, bytes: u64, is_proven: bool) -> SnapshotRow {
    SnapshotRow {
        chain: genesis.chain_id().0.to_hex(),
        slice: root.slice.to_text(),
        state: root.state.state.to_hex(),
        records,
        bytes,
        is_proven,
    }
}

/// Sums a state's records, but for the one that keeps the sum.
#[derive(Default)]
struct Summing {
    sum: LatticeSum,
    kept: Option<LatticeSum>,
}

impl Summing {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        if *key == *key::of(SYSTEM, SUM) {
            self.kept = LatticeSum::from_record(value);
        } else {
            self.sum.add(key, value);
        }
    }
}

/// Makes the data of validator `validator` in the devnet's folder `data` from the snapshot `from`. Its log begins behind
/// the snapshot's slice; the validator does not remember what it has confirmed, and stays silent until the chain has gone
/// on by a slot. `trusted` is a slice that is known to be final by another way: the snapshot must be of it, and need not
/// prove it so.
///
/// # Errors
/// [`TransferError`]; nothing was made then.
pub fn restore(
    from: &Path,
    data: &Path,
    validator: usize,
    trusted: Option<SliceRef>,
) -> Result<SnapshotRow, TransferError> {
    let file = File::open(from).map_err(failed("opening", from))?;
    let bytes = file.metadata().map_err(failed("reading", from))?.len();
    let (reader, genesis) = SnapshotReader::new(BufReader::new(file)).map_err(|error| wrong(from, error))?;
    let place = free_place(data, &genesis, validator)?;
    let making = beside(&place, ".restore");
    let made = make(&genesis, reader, trusted, from, &making);
    let (root, records, is_proven) = match made {
        Ok(made) => made,
        Err(error) => {
            // It has no name that a start looks for, and the next one writes over it.
            let _removed = fs::remove_dir_all(&making);
            return Err(error);
        }
    };
    keep_genesis(data, &genesis)?;
    fs::rename(&making, &place).map_err(failed("naming", &place))?;
    sync_folder(data).map_err(failed("syncing", data))?;
    Ok(row_of(&genesis, &root, records, bytes, is_proven))
}

/// Fills the folder `making` with the root, the log and the store of a snapshot.
fn make<R: Read>(
    genesis: &Genesis,
    mut reader: SnapshotReader<R>,
    trusted: Option<SliceRef>,
    from: &Path,
    making: &Path,
) -> Result<(Root, u64, bool), TransferError> {
    if making.exists() {
        fs::remove_dir_all(making).map_err(failed("removing", making))?;
    }
    let folder = DataFolder::open(making)?;
    let mut segments = DirectoryFolder::open(&folder.log_path()).map_err(failed("opening", &folder.log_path()))?;
    let mut proof = Proof { rooting: Rooting::new(genesis), first: None, refused: None };
    let put = segments.put_root(&mut |out| proof.copy(genesis, &mut reader, out));
    if let Some(error) = proof.refused {
        return Err(match error {
            Refused::Snapshot(error) => wrong(from, error),
            Refused::Proof(error) => unproven(from, error),
        });
    }
    put.map_err(failed("writing", &folder.log_path()))?;
    let is_proven = proof.rooting.is_final();
    let state = |what: String| TransferError::State { path: from.display().to_string(), what };
    let rooted = proof.rooting.end(trusted).map_err(|error| unproven(from, error.into()))?;
    let commits = rooted.state.ok_or_else(|| state("it holds no state".to_owned()))?;
    let root = Root { slice: rooted.slice, state: commits };

    let mut store = LmdbStore::open(&folder, &genesis.chain_id(), LmdbOptions::default())?;
    let (mut summing, mut next) = (Summing::default(), proof.first);
    while let Some(entries) = next {
        for (key, value) in &entries {
            summing.add(key, value);
        }
        store.fill(&entries)?;
        next = match reader.next_part().map_err(|error| wrong(from, error))? {
            Some(Part::Chunk(entries)) => Some(entries),
            // Nothing but records stands among them.
            _ => None,
        };
    }
    if summing.sum.root() != root.state.state {
        let (found, expected) = (summing.sum.root(), root.state.state);
        return Err(state(format!("its records come to the state {found}, and slice {} to {expected}", root.slice)));
    }
    if summing.kept.as_ref() != Some(&summing.sum) {
        return Err(state("its state keeps another sum than its records come to".to_owned()));
    }
    let point = FinalPoint { slice: root.slice, commit: 1, receipts_root: Some(root.state.receipts) };
    store.commit(&FinalBatch { point, changes: BTreeMap::new(), history: Vec::new() })?;
    Ledger::open(genesis, store).map_err(|error| DevnetError::from(RecoverError::from(error)))?;
    let (options, clock) = (LogOptions::new(genesis.chain_id()), Box::new(|| Instant::ZERO));
    ChainLog::create_after(Box::new(segments), options, os_random()?, &root.slice, clock)?;
    Ok((root, reader.count(), is_proven))
}

fn unproven(from: &Path, error: RootFailure) -> TransferError {
    TransferError::Proof { path: from.display().to_string(), error: Box::new(error) }
}

/// Copies a proof while it is judged, up to the state's first records.
struct Proof<'g> {
    rooting: Rooting<'g>,
    first: Option<Entries>,
    refused: Option<Refused>,
}

enum Refused {
    Snapshot(FileError),
    Proof(RootFailure),
}

impl Proof<'_> {
    fn copy<R: Read>(
        &mut self,
        genesis: &Genesis,
        reader: &mut SnapshotReader<R>,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let mut writer = SnapshotWriter::new(out, genesis)?;
        loop {
            let part = match reader.next_part() {
                Ok(Some(Part::Chunk(entries))) => {
                    self.first = Some(entries);
                    break;
                }
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(error) => return Err(self.refuse(Refused::Snapshot(error))),
            };
            if let Err(error) = self.rooting.take(part.clone()) {
                return Err(self.refuse(Refused::Proof(error.into())));
            }
            writer.part(&part)?;
        }
        writer.finish().map(|_| ())
    }

    /// Keeps what is wrong, and ends the copy.
    fn refuse(&mut self, refused: Refused) -> io::Error {
        self.refused = Some(refused);
        io::ErrorKind::InvalidData.into()
    }
}
