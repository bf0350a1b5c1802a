//! What the terminals send: accounts, transfers in order, who sends them from where, and when.
//!
//! A [`Workload`] is one finite list of transfers, read from a CSV file or drawn from a seeded model of that
//! file ([`zipf`]). A run that needs more transfers than the list holds begins it again: see [`Source`]. Nothing here
//! signs, sends or reads a clock; a workload that is empty, too long or unpayable is refused with a [`WorkloadError`].

mod csv;
mod fixed;
mod schedule;
pub mod zipf;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hpb_base::Random;
use hpb_base::limits::WORKLOAD_TRANSFERS_MAX;
use hpb_types::{AccountName, Amount};

pub use schedule::{Assignment, RateSchedule};
pub use zipf::{FITTED, FITTED_TRANSFERS, Model, Parties, fit};

/// A 20-byte address, as the file names its accounts.
type Address = [u8; 20];

/// The stream of [`Random`] that salts come from.
const SALT_STREAM: u64 = 0x5A17;

/// Someone who sends or receives in a workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Party {
    /// The account: [`AccountName::from_address`] of the party's address.
    pub name: AccountName,
    /// What it sends in one pass over the list, in the smallest unit. Its receipts are not set against it.
    pub outgoing: Amount,
    /// How many transfers it sends in one pass.
    pub sends: u32,
}

/// One payment; the accounts are indices into [`Workload::parties`]. Sender and receiver may be one, the amount zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// Who sends, and pays the fee.
    pub from: u32,
    /// Who receives.
    pub to: u32,
    /// How much.
    pub amount: Amount,
}

/// What an account holds at genesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endowment {
    /// The account.
    pub name: AccountName,
    /// Its first balance.
    pub balance: Amount,
}

/// A finite list of transfers between accounts; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    origin: String,
    parties: Vec<Party>,
    transfers: Vec<Transfer>,
    rows_skipped: u64,
}

/// One transfer of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Submission {
    /// Its place in the run, from 0.
    pub sequence: u64,
    /// How often the list had been gone through before.
    pub pass: u64,
    /// The transaction's salt: differs between any two submissions of one run.
    pub salt: u64,
    /// What it pays.
    pub transfer: Transfer,
}

/// The transfers of a run, without end: the list in its order, then the same list again.
///
/// A repeat equals its first but for the salt, so that it is a transaction of its own and no duplicate. Salts are the
/// submission's number, exclusive-or a mask from the seed: distinct within a run, different between seeds.
#[derive(Clone, Debug)]
pub struct Source {
    workload: Arc<Workload>,
    salt_mask: u64,
    sequence: u64,
}

/// Why there is no workload. Each names the file, the line and what was expected there.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file can't be opened.
    #[error("workload {}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file can't be read on.
    #[error("workload {}, line {line}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("workload {}, line {line}: expected {expected}, found {found}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What should stand there.
        expected: String,
        /// What stands there, cut to a few characters.
        found: String,
    },
    /// Nothing to send.
    #[error("workload {origin}: expected at least one transfer, found none ({rows_skipped} rows without `to`)")]
    Empty {
        /// Where the workload is from.
        origin: String,
        /// Rows that were skipped.
        rows_skipped: u64,
    },
    /// The list is longer than the limit.
    #[error("workload {origin}: expected at most {WORKLOAD_TRANSFERS_MAX} transfers, found more")]
    TooLong {
        /// Where the workload is from.
        origin: String,
    },
    /// What the accounts would have to hold does not fit an amount.
    #[error("workload {origin}: the balances that {transfers_max} transfers need do not fit an amount")]
    Unpayable {
        /// Where the workload is from.
        origin: String,
        /// The length of the run that was asked for.
        transfers_max: u64,
    },
}

impl Workload {
    /// Reads a CSV file of the columns `block,index,from,to,value_wei,gas_limit,input_bytes`, with that header.
    ///
    /// # Errors
    /// If the file can't be read, a line is not as it should be, or there are none or too many transfers.
    pub fn from_file(path: &Path) -> Result<Self, WorkloadError> {
        csv::read(path)
    }

    /// Reads the same from `input`, which errors call `path`.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_lines(path: &Path, input: impl io::BufRead) -> Result<Self, WorkloadError> {
        csv::parse(path, input)
    }

    /// Draws `transfers` transfers (at least 1) from a model; the same seed draws the same on every machine.
    ///
    /// # Errors
    /// If that is none, or more than the limit.
    pub fn drawn(model: &Model, seed: u64, transfers: usize) -> Result<Self, WorkloadError> {
        zipf::draw(model, seed, transfers)
    }

    /// Where it is from: the file's path, or the model with its seed.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Everyone who sends or receives, in the order of first appearance.
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// The list, in order.
    pub fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// Rows of the file that have no receiver (contract creations) and were left out.
    pub fn rows_skipped(&self) -> u64 {
        self.rows_skipped
    }

    /// How many parties send at all.
    pub fn sender_count(&self) -> usize {
        self.parties.iter().filter(|party| party.sends > 0).count()
    }

    /// How often the list is begun in a run of `transfers` submissions.
    pub fn passes(&self, transfers: u64) -> u64 {
        transfers.div_ceil(self.transfers.len() as u64)
    }

    /// What every party must hold at genesis so that no transfer of a run of up to `transfers_max` submissions can be
    /// overdrawn, in whatever order the parties' transfers are executed: passes x (all it sends in a pass + its sends
    /// x `fee_each`). What it receives is not counted on. A party that only receives starts with nothing. `fee_each`
    /// is the most that one transfer may cost. The order is that of [`parties`](Self::parties).
    ///
    /// # Errors
    /// If a balance or their sum does not fit an amount.
    pub fn endow(&self, transfers_max: u64, fee_each: Amount) -> Result<Vec<Endowment>, WorkloadError> {
        let unpayable = || WorkloadError::Unpayable { origin: self.origin.clone(), transfers_max };
        let passes = u128::from(self.passes(transfers_max));
        let mut supply: u128 = 0;
        let mut endowments = Vec::with_capacity(self.parties.len());
        for party in &self.parties {
            let balance = u128::from(party.sends)
                .checked_mul(fee_each.0)
                .and_then(|fees| fees.checked_add(party.outgoing.0))
                .and_then(|pass| pass.checked_mul(passes))
                .ok_or_else(unpayable)?;
            supply = supply.checked_add(balance).ok_or_else(unpayable)?;
            endowments.push(Endowment { name: party.name, balance: Amount(balance) });
        }
        Ok(endowments)
    }
}

impl Source {
    /// The run of `seed` over `workload`, from its first transfer.
    pub fn new(workload: Arc<Workload>, seed: u64) -> Self {
        Self { workload, salt_mask: Random::stream(seed, SALT_STREAM).next_u64(), sequence: 0 }
    }

    /// The list that it goes through.
    pub fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// The next submission; there always is one.
    pub fn take_next(&mut self) -> Submission {
        let sequence = self.sequence;
        self.sequence += 1;
        let length = self.workload.transfers.len() as u64;
        let place = usize::try_from(sequence % length).unwrap_or_default();
        Submission {
            sequence,
            pass: sequence / length,
            salt: sequence ^ self.salt_mask,
            transfer: self.workload.transfers[place],
        }
    }
}

impl Iterator for Source {
    type Item = Submission;

    fn next(&mut self) -> Option<Submission> {
        Some(self.take_next())
    }
}

/// Gathers a workload transfer by transfer.
struct Builder {
    origin: String,
    index: BTreeMap<Address, u32>,
    parties: Vec<Party>,
    transfers: Vec<Transfer>,
    rows_skipped: u64,
}

/// Why a transfer was not taken.
enum PushError {
    TooLong,
    SumTooLarge,
}

impl Builder {
    fn new(origin: String) -> Self {
        Self { origin, index: BTreeMap::new(), parties: Vec::new(), transfers: Vec::new(), rows_skipped: 0 }
    }

    fn push(&mut self, from: Address, to: Address, amount: Amount) -> Result<(), PushError> {
        if self.transfers.len() == WORKLOAD_TRANSFERS_MAX {
            return Err(PushError::TooLong);
        }
        let (from, to) = (self.party(from), self.party(to));
        let sender = &mut self.parties[from as usize];
        sender.outgoing = sender.outgoing.checked_add(amount).ok_or(PushError::SumTooLarge)?;
        sender.sends += 1;
        self.transfers.push(Transfer { from, to, amount });
        Ok(())
    }

    fn party(&mut self, address: Address) -> u32 {
        let parties = &mut self.parties;
        *self.index.entry(address).or_insert_with(|| {
            parties.push(Party { name: AccountName::from_address(address), outgoing: Amount::ZERO, sends: 0 });
            (parties.len() - 1) as u32
        })
    }

    fn finish(self) -> Result<Workload, WorkloadError> {
        let Self { origin, parties, transfers, rows_skipped, .. } = self;
        if transfers.is_empty() {
            return Err(WorkloadError::Empty { origin, rows_skipped });
        }
        Ok(Workload { origin, parties, transfers, rows_skipped })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} transfers, {} accounts, {} of them senders, {} rows skipped",
            self.origin,
            self.transfers.len(),
            self.parties.len(),
            self.sender_count(),
            self.rows_skipped
        )
    }
}
