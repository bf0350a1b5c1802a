//! What a ledger costs as its accounts grow: lookups, transfers, commits, a walk over a snapshot, disk and memory, at each
//! of several numbers of accounts.
//!
//! A genesis holds a million accounts at most, so a state is filled behind one: batches of the ledger's own records go
//! into the store as a ledger's batches do, out of a treasury that holds the whole supply at genesis. Once filled, the
//! store is closed, its pages are dropped from the page cache and it is opened anew, so that the first lookups and the
//! first walk find it on the disk. At the end of each number the supply is summed over the whole state.

mod commits;
mod fill;
mod lookups;
mod report;
mod scratch;
mod size;
mod transfers;
mod walks;

use std::io;
use std::path::{Path, PathBuf};

use hpb_base::Random;
use hpb_host::conditions::Conditions;
use hpb_host::sys::disk;
use hpb_ledger::{ExecuteError, StoreError};
use hpb_types::AccountName;

use crate::ledger::LedgerError;
use crate::ledger::chain::{Chain, open_store};
use crate::memory::{Resident, thread_written};
use commits::Committer;
use fill::Population;
use lookups::Lookups;
use scratch::Scratch;
use transfers::Rates;

pub use commits::Commits;
pub use report::{Report, SCHEMA_VERSION};
pub use size::{Phase, Quantiles, Size};
pub use transfers::Transfers;
pub use walks::{Walk, Walks};

/// Accounts of a state at least.
pub const ACCOUNTS_MIN: u64 = 100;
/// Accounts of a state at most: the plan's number.
pub const ACCOUNTS_MAX: u64 = 100_000_000;
/// The numbers of accounts that are measured unless others are asked for.
pub const COUNTS: [u64; 3] = [10_000, 1_000_000, 10_000_000];
/// Numbers of accounts of one run at most.
pub const COUNTS_LEN_MAX: usize = 8;
/// Transfers of one way at most: all of them are held.
pub const TRANSFERS_MAX: u64 = crate::ledger::TRANSFERS_MAX;

/// Bytes of disk that an account may take, with what its commits leave free in the file.
const ROOM_PER_ACCOUNT: u64 = 600;
/// Bytes of disk that a run takes beside its accounts: the ids of its transfers, and pages that a walk holds back.
const ROOM_LEN_MIN: u64 = 1 << 30;
/// Lookups of a repeat.
const LOOKUPS: usize = 100_000;
/// Lookups while the store is on the disk alone.
const COLD_LOOKUPS: usize = 1_000;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Accounts of each state, [`ACCOUNTS_MIN`] to [`ACCOUNTS_MAX`]; one to [`COUNTS_LEN_MAX`] of them. Figures are
    /// compared with the first's.
    pub counts: Vec<u64>,
    /// Transfers of each way, 1 to [`TRANSFERS_MAX`]; rounded up to whole slices.
    pub transfers: u64,
    /// How often lookups and transfers are measured; at least once.
    pub repeats: usize,
    /// Where stores are made and removed again: its disk is what commits are measured on.
    pub folder: PathBuf,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Numbers of accounts that are none.
    #[error("expected 1 to {COUNTS_LEN_MAX} numbers of accounts, each {ACCOUNTS_MIN} to {ACCOUNTS_MAX}")]
    Counts,
    /// The disk is too small.
    #[error(
        "{path} has {free_mib} MiB free, and a state of {count} accounts may take {need_mib} MiB: name a folder with more \
         room (--folder), or fewer accounts (--counts)"
    )]
    Room {
        /// The folder.
        path: String,
        /// What it has, in MiB.
        free_mib: u64,
        /// Accounts of the largest state.
        count: u64,
        /// What that may take, in MiB.
        need_mib: u64,
    },
    /// A file or folder of the run.
    #[error("{path}: {error}")]
    Disk {
        /// Which.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// What the kernel tells of this process.
    #[error(transparent)]
    Proc(io::Error),
    /// Somebody stopped it.
    #[error("stopped: there are no figures, and nothing is left on the disk")]
    Stopped,
    /// A ledger that does not do its work.
    #[error(transparent)]
    Ledger(Box<LedgerError>),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A query that is not answered.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// An account that was put into the state and is not there, or not whole.
    #[error("the account {0} was put into the state, and is not found there")]
    Missing(AccountName),
    /// Token was made or lost: the figures would be of something else.
    #[error("the supply of a state of {0} accounts is not what its genesis states")]
    Supply(u64),
}

impl From<LedgerError> for AccountsError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Box::new(error))
    }
}

impl AccountsError {
    /// Says of which file or folder an error is.
    fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |error| Self::Disk { path: path.display().to_string(), error }
    }
}

impl Options {
    /// Refuses what cannot be measured, before anything is begun.
    ///
    /// # Errors
    /// Numbers of accounts out of range; a folder that is not there, or whose disk has no room for the largest state.
    pub fn check(&self) -> Result<(), AccountsError> {
        let in_range = self.counts.iter().all(|count| (ACCOUNTS_MIN..=ACCOUNTS_MAX).contains(count));
        let count = self.counts.iter().copied().max().filter(|_| in_range && self.counts.len() <= COUNTS_LEN_MAX);
        let count = count.ok_or(AccountsError::Counts)?;
        let (free, need) = (disk::free(&self.folder).map_err(AccountsError::disk(&self.folder))?, room(count));
        if free >= need {
            return Ok(());
        }
        let path = self.folder.display().to_string();
        Err(AccountsError::Room { path, free_mib: free >> 20, count, need_mib: need >> 20 })
    }
}

/// Bytes of disk that a state of `count` accounts may take while it is measured.
fn room(count: u64) -> u64 {
    ROOM_LEN_MIN + count * ROOM_PER_ACCOUNT
}

/// Who is told what is under way, and says whether it shall go on.
struct Watch<'w> {
    stop: &'w (dyn Fn() -> bool + Sync),
    progress: &'w mut dyn FnMut(&str),
}

impl Watch<'_> {
    fn go_on(&self) -> Result<(), AccountsError> {
        if (self.stop)() { Err(AccountsError::Stopped) } else { Ok(()) }
    }

    fn tell(&mut self, name: &str, what: &str) {
        (self.progress)(&format!("{name}: {what}"));
    }
}

/// Measures; `command` is what the user typed, `stop` is asked every so often whether the run shall end without figures,
/// `progress` is told what is under way.
///
/// # Errors
/// See [`AccountsError`]; no store is left behind.
pub fn run(
    options: &Options,
    command: String,
    stop: &(dyn Fn() -> bool + Sync),
    progress: &mut dyn FnMut(&str),
) -> Result<Report, AccountsError> {
    options.check()?;
    // Where the kernel does not tell, it is known now and not when a state is filled.
    Resident::take().and_then(|_| thread_written()).map_err(AccountsError::Proc)?;
    let conditions = Conditions::read();
    let mut watch = Watch { stop, progress };
    let sizes = options.counts.iter().map(|count| size(*count, options, &mut watch)).collect::<Result<_, _>>()?;
    Ok(Report::new(command, options, sizes, &conditions))
}

/// Everything at one number of accounts.
fn size(count: u64, options: &Options, watch: &mut Watch<'_>) -> Result<Size, AccountsError> {
    let name = format!("{count} accounts");
    let scratch = Scratch::new(&options.folder)?;
    let population = Population::new(count);
    let mut size = Size::filled(count, fill::fill(&population, &scratch, &name, watch)?)?;
    (size.disk_bytes, size.cached_bytes_cold) = (scratch.disk_bytes()?, scratch.drop_cached()?);

    let store = open_store(&population.genesis()?, scratch.path())?;
    watch.tell(&name, "from the disk");
    let mut random = Random::stream(count, 0);
    size.lookup_cold = Lookups::measure(COLD_LOOKUPS, &population, &store, &mut random, watch)?.quantiles();
    size.cached_bytes_warming = scratch.cached_bytes()?;
    size.walk_cold = walks::alone(&store, watch)?;
    size.remember("a walk from the disk")?;

    let (mut lookups, mut rates) = (Lookups::default(), Rates::new(options.transfers as usize));
    for repeat in 1..=options.repeats {
        watch.tell(&name, &format!("lookups and transfers, {repeat} of {}", options.repeats));
        lookups.absorb(Lookups::measure(LOOKUPS, &population, &store, &mut random, watch)?);
        rates.measure(&population, &store, &mut random, watch)?;
    }
    (size.lookups_per_s, size.lookup) = (lookups.per_s(), lookups.quantiles());
    size.transfers = rates.figures();
    size.remember("lookups and transfers")?;

    watch.tell(&name, "commits");
    let mut committer = Committer::new(&population, store.clone(), random);
    size.commits = committer.measure(watch)?;
    size.sync = scratch.syncs()?;
    size.remember("commits")?;

    watch.tell(&name, "a walk beside commits");
    size.walks = walks::beside(&store, &mut committer, watch)?;
    size.remember("a walk beside commits")?;
    (size.disk_bytes_end, size.cached_bytes_end) = (scratch.disk_bytes()?, scratch.cached_bytes()?);

    watch.tell(&name, "the supply");
    let chain = Chain::over(&population.genesis()?, store, 1)?;
    let conserved = chain.ledger().supply(&chain.tip().id)?.is_conserved();
    if conserved { Ok(size) } else { Err(AccountsError::Supply(count)) }
}

#[cfg(test)]
mod tests;
