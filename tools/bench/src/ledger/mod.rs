//! How many transfers a second the ledger takes: executed, and executed and durable, serially and on two workers, with
//! signatures and without, on the transfers of a real chain and on uniform ones; beside LMDB by itself, the ledger over a
//! map in memory, and revm over one.
//!
//! Every way works off the same slices from the same genesis, and state is read from LMDB. Slices are executed; executed
//! and committed to by roots, as in a node; or that, and put into the store once they are final. revm, a program of its
//! own, gets the same transfers. A repeat goes through all ways of both loads before the next begins; medians are
//! reported.

pub(crate) mod chain;
pub(crate) mod load;
mod peer;
mod raw;
mod report;

use std::path::{Path, PathBuf};

use hpb_devnet::workload::WorkloadError;
use hpb_host::conditions::Conditions;
use hpb_host::sys::wall_ns;
use hpb_ledger::folder::FolderError;
use hpb_ledger::history::HistoryStore as _;
use hpb_ledger::{Checked, ExecuteError, FinalBatch, FinaliseError, InsertError, OpenError, SharedStore, StoreError};
use hpb_types::NameError;

use chain::{COMMIT_SLICES, Chain, Slices, Way, check, open_store};

use load::{Load, SLICE_TRANSFERS, Signed};
use peer::{Program, Revm};
use raw::Raw;

pub use chain::Work;
pub use peer::RevmError;
pub use raw::RawError;
pub use report::{Figure, LoadReport, Report, RevmFigure, SCHEMA_VERSION};

/// Transfers of one way at most: all of them are held signed.
pub const TRANSFERS_MAX: u64 = 2_000_000;

/// What the names of its folders begin with.
const PREFIX: &str = "hpb-bench-ledger-";

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Transfers of each way, 1,024 to [`TRANSFERS_MAX`]; rounded up to whole slices.
    pub transfers: u64,
    /// A file of a real chain's transfers; without one that load is left out, and said to be.
    pub mainnet: Option<PathBuf>,
    /// The program that executes transfers in revm (`tools/bench/peers/revm/`); without one it is left out, and said to be.
    pub revm: Option<PathBuf>,
    /// How often everything is measured; at least once.
    pub repeats: usize,
    /// Where stores are made and removed again: its disk is what commits are measured on.
    pub folder: PathBuf,
    /// Whether the stores keep an index of history.
    pub keeps_index: bool,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file of transfers.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A fee beyond every amount.
    #[error("the fees of a transfer do not fit an amount")]
    Unpayable,
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The folder.
    #[error("{path}: {error}")]
    Temporary {
        /// Where a folder was to be made.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The store's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Threads that the system does not start.
    #[error("no threads to execute on: {0}")]
    Threads(std::io::Error),
    /// The ledger.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A slice that does not execute.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A slice that has no place.
    #[error(transparent)]
    Insert(#[from] InsertError),
    /// A slice that does not become final.
    #[error(transparent)]
    Finalise(#[from] FinaliseError),
    /// A transfer that takes no effect: the figures would be of something else.
    #[error("a transfer failed: {0}")]
    Failed(String),
    /// LMDB by itself.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// revm.
    #[error(transparent)]
    Revm(#[from] RevmError),
}

/// All ways; the last one commits.
fn ways() -> impl Iterator<Item = Way> {
    [Work::Executed, Work::Rooted, Work::Committed].into_iter().flat_map(|work| {
        [false, true]
            .into_iter()
            .flat_map(move |signatures| [1, 2].into_iter().map(move |workers| Way { workers, signatures, work }))
    })
}

/// Measures; `command` is what the user typed, `progress` is told what is under way.
///
/// # Errors
/// See [`LedgerError`].
pub fn run(options: &Options, command: String, progress: &mut (dyn FnMut(&str) + Send)) -> Result<Report, LedgerError> {
    let conditions = Conditions::read();
    // Where there is none, it is known now and not when all is signed.
    let program = options.revm.as_deref().map(Program::find).transpose()?;
    let count = usize::try_from(options.transfers).unwrap_or(usize::MAX).next_multiple_of(SLICE_TRANSFERS);
    let mut loads = vec![Load::uniform(count)?];
    if let Some(path) = &options.mainnet {
        loads.push(Load::mainnet(path, count)?);
    }
    let mut benches = Vec::new();
    for load in loads {
        progress(&format!("{}: {count} transfers are signed", load.name));
        benches.push(Bench::new(&load, program.as_ref(), &options.folder)?);
    }
    for repeat in 1..=options.repeats {
        for bench in &mut benches {
            progress(&format!("{}, {repeat} of {}", bench.name, options.repeats));
            bench.measure(&options.folder, options.keeps_index)?;
        }
    }
    Ok(Report::new(command, options, count, benches, &conditions))
}

/// One load and its figures.
struct Bench {
    name: &'static str,
    origin: String,
    signed: Signed,
    checked: Vec<Vec<Checked>>,
    /// By way, seconds of each repeat.
    took_s: Vec<(Way, Vec<f64>)>,
    /// What the chain begins with, and what each slice changes.
    start: FinalBatch,
    slices: Vec<FinalBatch>,
    /// Seconds of LMDB by itself, with a sync a slice.
    raw_slices_s: Vec<f64>,
    /// The same with the ledger's own batches, in which later changes of a key take the place of earlier ones.
    raw_batches_s: Vec<f64>,
    /// Seconds of the ledger by one worker over a map in memory, without signatures.
    in_memory_s: Vec<f64>,
    /// The same transfers in revm.
    revm: Option<Revm>,
    /// Keys and bytes of all batches, and how many there are.
    written: Written,
}

/// What a run with commits writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Written {
    batches: u64,
    keys: u64,
    bytes: u64,
}

impl Bench {
    fn new(load: &Load, program: Option<&Program>, folder: &Path) -> Result<Self, LedgerError> {
        let signed = load.sign()?;
        let checked: Vec<_> = signed.slices.iter().map(|slice| check(slice)).collect::<Result<_, _>>()?;
        let place = temporary(PREFIX, folder)?;
        let (mut chain, start) = Chain::at_genesis(&signed.genesis, open_store(&signed.genesis, place.path())?, 1)?;
        let mut slices = Vec::new();
        chain.run(&Slices::Checked(&checked), Some(1), &mut |batch| slices.push(batch))?;
        Ok(Self {
            name: load.name,
            origin: load.origin.clone(),
            signed,
            checked,
            took_s: ways().map(|way| (way, Vec::new())).collect(),
            start,
            slices,
            raw_slices_s: Vec::new(),
            raw_batches_s: Vec::new(),
            in_memory_s: Vec::new(),
            revm: program.map(|program| Revm::prepare(program, load, folder)).transpose()?,
            written: Written::default(),
        })
    }

    /// Every way once, each from a genesis of its own; LMDB with what the last of them committed; what runs in memory.
    fn measure(&mut self, folder: &Path, keeps_index: bool) -> Result<(), LedgerError> {
        let mut batches = Vec::new();
        for (way, took_s) in &mut self.took_s {
            let place = temporary(PREFIX, folder)?;
            let mut store = open_store(&self.signed.genesis, place.path())?;
            if keeps_index {
                store.begin_history(self.signed.genesis.genesis_slice())?;
            }
            let (mut chain, _) = Chain::at_genesis(&self.signed.genesis, store, way.workers)?;
            if way.work == Work::Executed {
                chain = chain.without_roots();
            }
            let slices =
                if way.signatures { Slices::Unchecked(&self.signed.slices) } else { Slices::Checked(&self.checked) };
            batches.clear();
            let began_ns = wall_ns();
            let commit_slices = (way.work == Work::Committed).then_some(COMMIT_SLICES);
            chain.run(&slices, commit_slices, &mut |batch| batches.push(batch))?;
            took_s.push(seconds_since(began_ns));
        }
        let raw = |batches: &[FinalBatch]| {
            let place = temporary(PREFIX, folder)?;
            let raw = Raw::open(place.path(), &self.start)?;
            let began_ns = wall_ns();
            batches.iter().try_for_each(|batch| raw.put(batch))?;
            Ok::<f64, LedgerError>(seconds_since(began_ns))
        };
        self.raw_slices_s.push(raw(&self.slices)?);
        self.raw_batches_s.push(raw(&batches)?);
        self.in_memory_s.push(self.in_memory()?);
        if let Some(revm) = &mut self.revm {
            revm.measure()?;
        }
        self.written = Written {
            batches: batches.len() as u64,
            keys: batches.iter().map(|batch| batch.changes.len() as u64).sum(),
            bytes: batches.iter().map(|batch| FinalBatch::bytes_len(batch) as u64).sum(),
        };
        Ok(())
    }

    /// Seconds of one worker over a map in memory, to which it commits as to LMDB.
    fn in_memory(&self) -> Result<f64, LedgerError> {
        let (chain, _) = Chain::at_genesis(&self.signed.genesis, SharedStore::default(), 1)?;
        let mut chain = chain.without_roots();
        let began_ns = wall_ns();
        chain.run(&Slices::Checked(&self.checked), Some(COMMIT_SLICES), &mut |_| {})?;
        Ok(seconds_since(began_ns))
    }
}

#[allow(clippy::cast_precision_loss, reason = "times below 2^53")]
pub(crate) fn seconds_since(began_ns: u64) -> f64 {
    wall_ns().saturating_sub(began_ns) as f64 / 1e9
}

/// A folder in `folder` that goes with its handle.
pub(crate) fn temporary(prefix: &str, folder: &Path) -> Result<tempfile::TempDir, LedgerError> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(folder)
        .map_err(|error| LedgerError::Temporary { path: folder.display().to_string(), error })
}

#[cfg(test)]
mod tests;
