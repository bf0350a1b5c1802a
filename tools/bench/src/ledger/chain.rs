//! A ledger that slices are executed on, one after the other, as a node does it: checked, executed, final, and every so
//! often committed; with a sync where its store is LMDB.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use hpb_ledger::folder::DataFolder;
use hpb_ledger::history::{Proof, SliceHeader, SliceResults};
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::{Checked, FinalBatch, Ledger, SliceContext, Store};
use hpb_node::runtime::Crew;
use hpb_types::{Genesis, Hash, Height, Outcome, Schedule, SliceRef, Slot, Transaction, verify_transactions};

use serde::Serialize;

use super::LedgerError;

/// Slices of one slot.
const SLOT_SLICES: u64 = 60;
/// Slices between two commits: a second's worth of a fast chain is about three times as many.
pub(crate) const COMMIT_SLICES: usize = 64;

/// How slices are worked on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    /// Threads that verify and execute.
    pub(super) workers: usize,
    /// Whether signatures are checked.
    pub(super) signatures: bool,
    /// What is done with them.
    pub(super) work: Work,
}

/// How far slices are worked on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Executed: to receipts and changes, which the next slice sees.
    Executed,
    /// And committed to by roots over transactions, receipts and state.
    Rooted,
    /// And, once final, put into the store with a sync.
    Committed,
}

/// What slices are given as: checked by the one who timed nothing, or to be checked.
pub(crate) enum Slices<'s> {
    /// Signatures are not part of the work.
    Checked(&'s [Vec<Checked>]),
    /// They are.
    Unchecked(&'s [Vec<Transaction>]),
}

/// A chain that goes on from what its store holds. Clones of the store share what is committed to one of them.
pub(crate) struct Chain<S> {
    ledger: Ledger<S>,
    store: S,
    schedule: Arc<Schedule>,
    tip: SliceRef,
    workers: usize,
}

impl<S: Store + Clone> Chain<S> {
    /// One at genesis over an empty store, and what it committed there.
    pub(crate) fn at_genesis(genesis: &Genesis, store: S, workers: usize) -> Result<(Self, FinalBatch), LedgerError> {
        let mut chain = Self::over(genesis, store, workers)?;
        let start =
            chain.ledger.hand_over().ok_or_else(|| LedgerError::Failed("a genesis without a state".to_owned()))?;
        chain.store.commit(&start)?;
        chain.ledger.committed(start.point.commit);
        Ok((chain, start))
    }

    /// One that goes on from where `store` stands.
    pub(crate) fn over(genesis: &Genesis, store: S, workers: usize) -> Result<Self, LedgerError> {
        let mut ledger = Ledger::open(genesis, store.clone())?;
        if workers > 1 {
            ledger = ledger.with_workers(Arc::new(Crew::anywhere(workers - 1).map_err(LedgerError::Threads)?));
        }
        let (schedule, tip) = (Arc::new(genesis.schedule()), ledger.final_slice());
        Ok(Self { ledger, store, schedule, tip, workers })
    }

    /// Leaves out roots.
    pub(super) fn without_roots(mut self) -> Self {
        self.ledger = self.ledger.without_commitments();
        self
    }

    /// The ledger, for queries.
    pub(crate) fn ledger(&self) -> &Ledger<S> {
        &self.ledger
    }

    /// The slice that the next one stands on.
    pub(crate) fn tip(&self) -> SliceRef {
        self.tip
    }

    /// Works all slices off, and commits after every so many of them, if at all, and shows each batch that it commits;
    /// whether every transfer took effect is checked.
    pub(crate) fn run(
        &mut self,
        slices: &Slices<'_>,
        commit_slices: Option<usize>,
        committed: &mut dyn FnMut(FinalBatch),
    ) -> Result<(), LedgerError> {
        let count = match slices {
            Slices::Checked(slices) => slices.len(),
            Slices::Unchecked(slices) => slices.len(),
        };
        for number in 0..count {
            match slices {
                Slices::Checked(slices) => self.slice(&slices[number])?,
                Slices::Unchecked(slices) => self.slice(&self.check(&slices[number])?)?,
            }
            if commit_slices.is_some_and(|every| (number + 1) % every == 0 || number + 1 == count) {
                self.commit(committed)?;
            }
        }
        Ok(())
    }

    fn slice(&mut self, transactions: &[Checked]) -> Result<(), LedgerError> {
        let above = self.tip.height;
        let height = if u64::from(above.index) + 1 < SLOT_SLICES && above.slot.0 > 0 {
            Height { slot: above.slot, index: above.index + 1 }
        } else {
            Height { slot: Slot(above.slot.0 + 1), index: 0 }
        };
        let context = SliceContext {
            slot: height.slot,
            index: height.index,
            producer: self.schedule.producer_at(height.slot).name,
            schedule: Arc::clone(&self.schedule),
            confirmers: Vec::new(),
            beacon: None,
        };
        let executed = self.ledger.execute(&self.tip.id, &context, transactions)?;
        if let Some(receipt) = executed.receipts.iter().find(|receipt| matches!(receipt.outcome, Outcome::Failed(_))) {
            return Err(LedgerError::Failed(format!("{:?}", receipt.outcome)));
        }
        let place = [&height.slot.0.to_le_bytes()[..], &height.index.to_le_bytes()[..]];
        let reference = SliceRef { height, id: Hash::of_parts("bench ledger slice", &place) };
        self.ledger.insert(reference, self.tip.id, executed)?;
        let finalised = self.ledger.finalise(&reference.id)?;
        if self.ledger.keeps_history() {
            let proof = Proof { source: Height::default(), target: above, signatures: 0 };
            let header = SliceHeader { reference, parent: self.tip.id, producer: context.producer, proof };
            let receipts = finalised.slices.into_iter().flat_map(|slice| slice.receipts).collect();
            self.ledger.remember(SliceResults { header, transactions: transactions.to_vec(), receipts });
        }
        self.tip = reference;
        Ok(())
    }

    /// Signatures in one batch a worker, as a node's verifiers do it.
    fn check(&self, transactions: &[Transaction]) -> Result<Vec<Checked>, LedgerError> {
        let share = transactions.len().div_ceil(self.workers).max(1);
        thread::scope(|scope| {
            let mut shares = transactions.chunks(share);
            let own = shares.next().unwrap_or_default();
            let others: Vec<_> = shares.map(|share| scope.spawn(|| check(share))).collect();
            let mut checked = check(own)?;
            for other in others {
                checked.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(checked)
        })
    }

    fn commit(&mut self, committed: &mut dyn FnMut(FinalBatch)) -> Result<(), LedgerError> {
        while let Some(batch) = self.ledger.hand_over() {
            self.store.commit(&batch)?;
            self.ledger.committed(batch.point.commit);
            committed(batch);
        }
        Ok(())
    }
}

/// The store of a chain in the folder `path`; made where there is none.
pub(crate) fn open_store(genesis: &Genesis, path: &Path) -> Result<LmdbStore, LedgerError> {
    let folder = DataFolder::open(path)?;
    Ok(LmdbStore::open(&folder, &genesis.chain_id(), LmdbOptions::default())?)
}

/// Checks transactions that are all good. The copy of each stands for the decoding that a node does there.
pub(super) fn check(transactions: &[Transaction]) -> Result<Vec<Checked>, LedgerError> {
    if verify_transactions(transactions).contains(&false) {
        return Err(LedgerError::Failed("a signature is bad".to_owned()));
    }
    let checked = transactions.iter().map(|transaction| Checked::verified(transaction.clone()));
    checked.collect::<Result<_, _>>().map_err(|reason| LedgerError::Failed(reason.to_string()))
}
