//! From the transactions of a slice to receipts and changes, as if one transaction ran after the other.
//!
//! Two kinds of refusal, chosen so that no work is free and no producer can stop the chain:
//!
//! - **Unfit**: another chain's, expired, expiring too far ahead, a duplicate, a payer that does not exist, is not
//!   authorised or can't pay, a fee above the limit. Nobody could be charged for such a transaction, so it may not stand
//!   in a slice at all: a slice that carries one is invalid, nobody confirms it and nobody builds on it, as with any
//!   slice whose results are wrong. Its producer can tell before it proposes ([`build`] leaves such ones out); one that
//!   does it anyway loses its slice, and the next producer builds on the slice before. (If such a transaction got a
//!   receipt without a fee instead, a producer could fill blocks, and the ids that all must keep, for nothing.)
//! - **Failed**: the payer is good, but an action or another authorisation is not. All actions are undone, the fee
//!   stays paid, the receipt says why.
//!
//! Ahead of the transactions of a block comes what time brings: fees, an epoch's end, and proposals that are due (`due`).
//!
//! Key signatures were checked before ([`Checked`]). What one transaction comes to is `one`'s; several workers may run
//! them ahead of their turn ([`crate::parallel`]), with the same outcome.

pub(crate) mod deed;
mod due;
pub(crate) mod one;

use std::sync::Arc;

use hpb_base::UnixMillis;
use hpb_base::canary::{self, Canary};
use hpb_base::limits::{EXPIRY_AHEAD_MS_MAX, SLICE_BYTES_MAX, TRANSACTIONS_PER_SLICE_MAX};
use hpb_types::evidence::Judge;
use hpb_types::genesis::PRODUCERS_MIN;
use hpb_types::{
    AccountName, Amount, ChainId, DposParameters, EngineChoice, Epochs, Genesis, Hash, Outcome, Receipt, RejectReason,
    ResultsCommitment, Schedule, Slot, verify,
};

pub use one::judge_expiry;

use crate::bytes::Bytes;
use crate::changes::ChangeSet;
use crate::checked::Checked;
use crate::commitment::Hashed;
use crate::dpos;
use crate::fees::Load;
use crate::hashed::HashSet;
use crate::host::{credit, read_account, read_record};
use crate::key::{self, LOAD, SLOT_FEES, SUM, SYSTEM, TARIFF, WINDOW};
use crate::lattice::LatticeSum;
use crate::parallel::{self, Ahead, PART_LEN, Ran, Workers};
use crate::records::{self, Included, SlotFees, Tariff, Window};
use crate::view::{SharedState, State, StateError, View};
use deed::Ground;
use one::work_of;

/// Records of expired ids that one slice takes away: more than it can add, so that the queue empties.
const EXPIRED_RECORDS_PER_SLICE_MAX: usize = 2;

/// What execution needs of the genesis.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The chain.
    pub chain: ChainId,
    /// The start of slot 0.
    pub time: UnixMillis,
    /// A slot's length in milliseconds.
    pub slot_ms: u32,
    /// How slots are counted into epochs.
    pub epochs: Epochs,
    /// The parameters of elected producers; `None` where genesis' producers stay for ever. Then the contract `dpos`
    /// answers to nothing and no schedule is fixed.
    pub dpos: Option<DposParameters>,
    /// A schedule of fewer is never drawn: as many as genesis has, at most the four that tolerate a fault.
    pub producers_min: usize,
    /// How the signatures of evidence are judged.
    pub judge: Judge,
    /// Whether slices commit to their transactions, receipts and state. Those of a chain do.
    pub commits: bool,
}

impl Rules {
    /// Those of a genesis.
    pub fn of(genesis: &Genesis) -> Self {
        Self {
            chain: genesis.chain_id(),
            time: UnixMillis(genesis.time_ms),
            slot_ms: genesis.slot_ms,
            epochs: genesis.epochs(),
            dpos: match &genesis.engine {
                EngineChoice::Dpos(parameters) => Some(parameters.clone()),
                EngineChoice::Authority => None,
            },
            producers_min: genesis.producers.len().min(PRODUCERS_MIN as usize),
            judge: verify,
            commits: true,
        }
    }

    /// Block time: the slot's start.
    pub fn slot_start(&self, slot: Slot) -> UnixMillis {
        self.time.plus(slot.0.saturating_mul(u64::from(self.slot_ms)))
    }
}

/// Which slice is executed, and what its consensus says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceContext {
    /// Its slot.
    pub slot: Slot,
    /// Its index in the slot.
    pub index: u32,
    /// The slot's producer, by the schedule.
    pub producer: AccountName,
    /// The schedule in force.
    pub schedule: Arc<Schedule>,
    /// Who signed the certificate that the slice carries, if no slice before it on its chain carried that one; else
    /// nobody.
    pub confirmers: Vec<AccountName>,
    /// The tagged hash, domain `beacon output`, of the slot's part of the beacon; on the slot's first slice only.
    pub beacon: Option<Hash>,
}

/// What a slice's execution takes from the slice before it, beside its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parent {
    /// Its slot.
    pub slot: Slot,
    /// On the first slice of a block, the first keys of the queue of proposals, ascending, at most `DUE_PER_BLOCK_MAX`;
    /// else none.
    pub queue: Vec<Bytes>,
}

/// What the execution of a slice came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Executed {
    /// The transactions' ids, in order.
    pub ids: Vec<Hash>,
    /// Those of proposals that were due, then one a transaction, in order.
    pub receipts: Vec<Receipt>,
    /// The root over these: what it takes beside the state's root to come to the results.
    pub receipts_root: Hash,
    /// What changes in the state.
    pub changes: ChangeSet,
    /// What the slice's body says about ids.
    pub transactions_root: Hash,
    /// What the slice's body says about receipts and changes.
    pub results: ResultsCommitment,
    /// The schedule that the slice fixes: on a slice for which [`Epochs::fixes`], where producers are elected.
    pub next: Option<Schedule>,
}

/// A slice's content, chosen from candidates.
#[derive(Clone, Debug)]
pub struct Built {
    /// What stands in the slice, in order.
    pub included: Vec<Checked>,
    /// What can't stand in it, and why.
    pub refused: Vec<(Hash, RejectReason)>,
    /// What the included ones come to.
    pub executed: Executed,
}

/// Why a slice did not execute.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExecuteError {
    /// This node can't read its state: its own failure, not the slice's.
    #[error(transparent)]
    State(#[from] StateError),
    /// The slice is invalid: it carries a transaction that no slice may carry.
    #[error("transaction {index} can't be in the slice: {reason}")]
    Unfit {
        /// Its place in the slice.
        index: usize,
        /// Why.
        reason: RejectReason,
    },
    /// The slice is invalid: more transactions, or more bytes of them, than a slice holds.
    #[error("{transactions} transactions of {bytes} bytes are more than a slice holds")]
    TooLarge {
        /// How many transactions.
        transactions: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The slice is invalid: its producer has no account to be paid to.
    #[error("the producer {0} has no account")]
    NoSuchProducer(AccountName),
    /// The slice is invalid: its place does not come after its parent's.
    #[error("the slice does not come after its parent")]
    NotAfterParent,
    /// The parent is unknown, or on a fork that finality ended.
    #[error("the parent is not known, or dead")]
    NoSuchParent,
}

/// Executes the transactions of a slice as they stand. How many workers there are changes nothing but the time.
///
/// # Errors
/// The slice is invalid, or the state can't be read.
pub fn execute(
    rules: &Rules,
    state: &dyn SharedState,
    parent: &Parent,
    context: &SliceContext,
    transactions: &[Checked],
    workers: &dyn Workers,
) -> Result<Executed, ExecuteError> {
    let bytes = transactions.iter().map(Checked::bytes_len).sum();
    if transactions.len() > TRANSACTIONS_PER_SLICE_MAX || bytes > SLICE_BYTES_MAX {
        return Err(ExecuteError::TooLarge { transactions: transactions.len(), bytes });
    }
    let reader = state.reader();
    let mut executor = Executor::begin(rules, &*reader, parent, context)?;
    for (index, pushed) in executor.push_all(state, transactions, workers, true)?.into_iter().enumerate() {
        pushed.map_err(|reason| ExecuteError::Unfit { index, reason })?;
    }
    executor.finish(context, workers)
}

/// Executes what of `candidates`, in order, can stand in a slice and fits in one; the rest is left untouched. How many
/// workers there are changes nothing but the time.
///
/// # Errors
/// The place is none for a slice, or the state can't be read.
pub fn build(
    rules: &Rules,
    state: &dyn SharedState,
    parent: &Parent,
    context: &SliceContext,
    candidates: impl IntoIterator<Item = Checked>,
    workers: &dyn Workers,
) -> Result<Built, ExecuteError> {
    let reader = state.reader();
    let mut executor = Executor::begin(rules, &*reader, parent, context)?;
    let (mut included, mut refused, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut candidates = candidates.into_iter().peekable();
    loop {
        // As many as fit if all of them can stand in the slice; what is refused leaves room for more.
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        while let Some(candidate) = candidates.next_if(|candidate| {
            included.len() + batch.len() < TRANSACTIONS_PER_SLICE_MAX
                && bytes + batch_bytes + candidate.bytes_len() <= SLICE_BYTES_MAX
        }) {
            batch_bytes += candidate.bytes_len();
            batch.push(candidate);
        }
        if batch.is_empty() {
            break;
        }
        let pushed = executor.push_all(state, &batch, workers, false)?;
        for (candidate, pushed) in batch.into_iter().zip(pushed) {
            match pushed {
                Ok(()) => {
                    bytes += candidate.bytes_len();
                    included.push(candidate);
                }
                Err(reason) => refused.push((candidate.id(), reason)),
            }
        }
    }
    Ok(Built { included, refused, executed: executor.finish(context, workers)? })
}

/// Tries one transaction on a state, as of a slot, and forgets it: whether it could stand in a slice there and would
/// take effect.
///
/// # Errors
/// A state that can't be read.
pub fn try_one(
    rules: &Rules,
    state: &dyn State,
    slot: Slot,
    transaction: &Checked,
) -> Result<Result<(), RejectReason>, StateError> {
    let mut executor = Executor::new(rules, state, slot)?;
    if let Err(reason) = executor.push(transaction)? {
        return Ok(Err(reason));
    }
    Ok(match executor.receipts.first().map(|receipt| &receipt.outcome) {
        Some(Outcome::Failed(reason)) => Err(*reason),
        _ => Ok(()),
    })
}

struct Executor<'s> {
    view: View<'s>,
    ground: Ground<'s>,
    ids: Vec<Hash>,
    /// The same, asked whether one is among them.
    ids_seen: HashSet<Hash>,
    receipts: Vec<Receipt>,
    fees: Amount,
    /// What the slot was asked to do before this slice, and by it so far.
    load: Load,
    next: Option<Schedule>,
}

impl<'s> Executor<'s> {
    fn new(rules: &'s Rules, state: &'s dyn State, slot: Slot) -> Result<Self, StateError> {
        let mut view = View::new(state);
        let tariff_key = key::of(SYSTEM, TARIFF);
        let tariff: Tariff = read_record(&mut view, &tariff_key)?.ok_or_else(|| StateError::damaged(&tariff_key))?;
        let load = load_at(&mut view, &tariff, slot)?;
        Ok(Self {
            view,
            ground: Ground { rules, slot, block_time: rules.slot_start(slot), tariff, price: load.price },
            ids: Vec::new(),
            ids_seen: HashSet::default(),
            receipts: Vec::new(),
            fees: Amount::ZERO,
            load,
            next: None,
        })
    }

    /// What comes before the first transaction: the last block's fees go to its producer, expired ids go, an epoch that
    /// has ended is settled, a schedule may be fixed, proposals that are due are done.
    fn begin(
        rules: &'s Rules,
        state: &'s dyn State,
        parent: &Parent,
        context: &SliceContext,
    ) -> Result<Self, ExecuteError> {
        let mut executor = Self::new(rules, state, context.slot)?;
        if read_account(&mut executor.view, context.producer)?.is_none() {
            return Err(ExecuteError::NoSuchProducer(context.producer));
        }
        let fees_key = key::of(SYSTEM, SLOT_FEES);
        if let Some(earned) = read_record::<SlotFees>(&mut executor.view, &fees_key)?
            && earned.slot != context.slot
        {
            credit(&mut executor.view, earned.producer, earned.amount)?;
            executor.view.set(fees_key, None);
        }
        executor.forget_expired()?;
        if let Some(parameters) = &rules.dpos {
            executor.next = dpos::begin(&mut executor.view, rules, parameters, parent.slot, context)?;
        }
        for receipt in due::perform_due(&executor.ground, &mut executor.view, &parent.queue)? {
            executor.take(receipt)?;
        }
        Ok(executor)
    }

    /// Takes away the oldest records all of whose ids have expired. An id lasts at most as long after the start of its
    /// slot as an expiry may lie ahead.
    fn forget_expired(&mut self) -> Result<(), StateError> {
        let window_key = key::of(SYSTEM, WINDOW);
        let mut window: Window = read_record(&mut self.view, &window_key)?.unwrap_or_default();
        let first = window.first;
        for _ in 0..EXPIRED_RECORDS_PER_SLICE_MAX {
            if window.first == window.next {
                break;
            }
            let included_key = key::of_included(window.first);
            let slot = self.view.get(&included_key)?.and_then(|bytes| Included::slot_of(bytes));
            let slot = slot.ok_or_else(|| StateError::damaged(&included_key))?;
            if self.ground.rules.slot_start(slot).plus(ids_kept_ms()) >= self.ground.block_time {
                break;
            }
            self.view.set(included_key, None);
            window.first += 1;
        }
        if window.first != first {
            self.view.set(window_key, Some(records::store(&window)));
        }
        Ok(())
    }

    /// Executes transactions in order, with help if there is any; of each whether it stands in the slice now, or why it is
    /// unfit. Nothing follows an unfit one where it is told to stop there.
    fn push_all(
        &mut self,
        state: &dyn SharedState,
        transactions: &[Checked],
        workers: &dyn Workers,
        stops: bool,
    ) -> Result<Vec<Result<(), RejectReason>>, StateError> {
        if !parallel::is_worth_it(workers, transactions.len()) {
            return self.push_each(transactions, None, stops);
        }
        let ahead = Ahead::new(self.ground, state, transactions, workers.count());
        let mut pushed = Ok(Vec::new());
        let mut own = || {
            let _until = ahead.until_dropped();
            pushed = self.push_each(transactions, Some(&ahead), stops);
        };
        workers.run(&mut own, &|| ahead.run());
        pushed
    }

    /// Executes transactions in order, but for those that ran ahead and would come to the same here.
    fn push_each(
        &mut self,
        transactions: &[Checked],
        ahead: Option<&Ahead<'_>>,
        stops: bool,
    ) -> Result<Vec<Result<(), RejectReason>>, StateError> {
        let mut pushed = Vec::with_capacity(transactions.len());
        self.ids.reserve(transactions.len());
        self.ids_seen.reserve(transactions.len());
        self.receipts.reserve(transactions.len());
        for (number, part) in transactions.chunks(PART_LEN).enumerate() {
            let mut ran = ahead.map_or_else(Vec::new, |ahead| ahead.take(number));
            for (place, transaction) in part.iter().enumerate() {
                let came = ran.get_mut(place).and_then(Option::as_mut).and_then(|ran| self.take_over(transaction, ran));
                pushed.push(match came {
                    Some(Ok(receipt)) => self.include(transaction, receipt).map(Ok)?,
                    Some(Err(reason)) => Err(reason),
                    None => self.push(transaction)?,
                });
                if stops && pushed.last().is_some_and(Result::is_err) {
                    return Ok(pushed);
                }
            }
            if let Some(ahead) = ahead {
                ahead.keep(number, ran);
            }
        }
        Ok(pushed)
    }

    /// Takes over what a transaction came to ahead of its turn, if it would come to the same here.
    fn take_over(&mut self, transaction: &Checked, ran: &mut Ran) -> Option<Result<Receipt, RejectReason>> {
        if self.ids_seen.contains(&transaction.id()) || !self.view.take_over(&mut ran.tracked) {
            return None;
        }
        ran.came.take()
    }

    /// Executes one transaction, or says why it is unfit and leaves everything as it was.
    fn push(&mut self, transaction: &Checked) -> Result<Result<(), RejectReason>, StateError> {
        let is_seen = self.ids_seen.contains(&transaction.id());
        match one::transact(&self.ground, &mut self.view, transaction, is_seen)? {
            Ok(receipt) => self.include(transaction, receipt).map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// A transaction stands in the slice.
    fn include(&mut self, transaction: &Checked, receipt: Receipt) -> Result<(), StateError> {
        self.ids.push(receipt.transaction);
        self.ids_seen.insert(receipt.transaction);
        self.load.units = self.load.units.saturating_add(work_of(transaction).load());
        self.take(receipt)
    }

    fn take(&mut self, receipt: Receipt) -> Result<(), StateError> {
        self.fees = self.fees.checked_add(receipt.fee).ok_or_else(|| StateError::overflow("the slot's fees"))?;
        self.load.units = self.load.units.saturating_add(receipt.units);
        self.receipts.push(receipt);
        Ok(())
    }

    /// What comes after the last transaction: its fees and its load join the slot's, its ids join the window.
    fn finish(mut self, context: &SliceContext, workers: &dyn Workers) -> Result<Executed, ExecuteError> {
        if !self.receipts.is_empty() {
            self.join_fees(context)?;
            self.join_load();
        }
        if !self.ids.is_empty() {
            self.join_ids(context.slot)?;
        }
        let (transactions_root, receipts_root, results) = if self.ground.rules.commits {
            self.commit(workers)?
        } else {
            (Hash::ZERO, Hash::ZERO, ResultsCommitment { scheme: 0, hash: Hash::ZERO })
        };
        let changes = self.view.into_changes();
        Ok(Executed {
            ids: self.ids,
            receipts: self.receipts,
            receipts_root,
            changes,
            transactions_root,
            results,
            next: self.next,
        })
    }

    /// Hashes what the slice has come to, and brings the sum of the state to what is written by now: what the slice says
    /// of its transactions, the root over its receipts, and what it says of its results.
    fn commit(&mut self, workers: &dyn Workers) -> Result<(Hash, Hash, ResultsCommitment), StateError> {
        let sum_key = key::of(SYSTEM, SUM);
        let mut sum = self.view.get(&sum_key)?.and_then(|record| LatticeSum::from_record(record));
        let sum = sum.as_mut().ok_or_else(|| StateError::damaged(&sum_key))?;
        let differences = self.view.differences()?;
        let hashed = Hashed::of(&self.ids, &self.receipts, &differences, workers);
        if !differences.is_empty() {
            sum.join(&hashed.sum);
            self.view.set(sum_key, Some(sum.to_record()));
        }
        Ok((hashed.transactions, hashed.receipts, hashed.results(sum.root())))
    }

    fn join_fees(&mut self, context: &SliceContext) -> Result<(), StateError> {
        let fees_key = key::of(SYSTEM, SLOT_FEES);
        let before = read_record::<SlotFees>(&mut self.view, &fees_key)?.map_or(Amount::ZERO, |fees| fees.amount);
        let amount = before.checked_add(self.fees).ok_or_else(|| StateError::overflow("the slot's fees"))?;
        if amount != Amount::ZERO {
            let fees = SlotFees { slot: context.slot, producer: context.producer, amount };
            self.view.set(fees_key, Some(records::store(&fees)));
        }
        Ok(())
    }

    fn join_load(&mut self) {
        if self.ground.tariff.fees.slot_units != 0 {
            self.view.set(key::of(SYSTEM, LOAD), Some(records::store(&self.load)));
        }
    }

    fn join_ids(&mut self, slot: Slot) -> Result<(), StateError> {
        let window_key = key::of(SYSTEM, WINDOW);
        let mut window: Window = read_record(&mut self.view, &window_key)?.unwrap_or_default();
        let included = Included { slot, ids: self.ids.clone() };
        self.view.set(key::of_included(window.next), Some(records::store(&included)));
        window.next += 1;
        self.view.set(window_key, Some(records::store(&window)));
        Ok(())
    }
}

/// What the slot was asked to do so far, and the price in it.
pub(crate) fn load_at(view: &mut View<'_>, tariff: &Tariff, slot: Slot) -> Result<Load, StateError> {
    if tariff.fees.slot_units == 0 {
        return Ok(Load { slot, ..Load::default() });
    }
    let load: Option<Load> = read_record(view, &key::of(SYSTEM, LOAD))?;
    Ok(load.unwrap_or_default().at(slot, &tariff.fees))
}

/// How long after the start of its slot an id is known.
fn ids_kept_ms() -> u64 {
    if canary::is(Canary::DuplicateWindowTooShort) { EXPIRY_AHEAD_MS_MAX / 200 } else { EXPIRY_AHEAD_MS_MAX }
}

#[cfg(test)]
mod tests;
