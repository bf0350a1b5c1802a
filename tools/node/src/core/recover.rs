//! From what the disk holds to a core that goes on where it stopped (PROTOCOL.md, "Durability").
//!
//! The log is walked from its beginning, which is genesis or the slice that its root tells of: final slices move the engine's anchor, those beyond the store's own point are
//! executed again, and what is not final is handed to the engine as if it had just come.

use std::collections::BTreeMap;
use std::sync::Arc;

use hpb_base::limits::FINAL_SLICES_KEPT_MAX;
use hpb_consensus::{AnchorError, Memory, Office, Watermark};
use hpb_ledger::chainlog::{ChainLog, LogError, Record, WalkStep};
use hpb_ledger::history::HistoryError;
use hpb_ledger::parallel::Workers;
use hpb_ledger::watermark::WatermarkState;
use hpb_ledger::{Checked, ExecuteError, FinaliseError, InsertError, Ledger, OpenError, Store, StoreError};
use hpb_types::{AccountName, Genesis, Hash, Height, Receipt, RejectReason, Slice, SliceRef, Slot};

use super::Body;
use super::chain::{context_of, next_of, results_of};
use super::root::{RootFailure, read_root};
use crate::engine::ChainAnchor;

/// What was found.
pub struct Recovered<S> {
    pub(super) ledger: Ledger<S>,
    pub(super) anchor: ChainAnchor,
    pub(super) memory: Memory,
    /// The last final slices, ascending, for peers that missed them.
    pub(super) finals: Vec<Body>,
    /// Slices that are not final, each after its parent.
    pub(super) unfinal: Vec<Body>,
    /// The first slot that the log has whole.
    pub(super) kept_from: Slot,
    /// Where the log begins: the chain's genesis slice, or the log's root.
    start: SliceRef,
    /// What the operator knows to be final.
    pub(super) checkpoint: Option<SliceRef>,
}

/// Why a node does not start from what its disk holds.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The ledger does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the log begins from does not read.
    #[error(transparent)]
    Root(#[from] RootFailure),
    /// The state that goes with the log's first block is gone.
    #[error(
        "the log begins behind slice {}, and the store holds {}: the blocks between are not kept; restore the store, or make          the folder anew from a snapshot", root.to_text(), found.map_or_else(|| "nothing".to_owned(), |at| at.to_text())
    )]
    StoreBehind {
        /// Where the log begins.
        root: SliceRef,
        /// Where the store's state stands; none where it holds none.
        found: Option<SliceRef>,
    },
    /// The checkpoint lies below the log's first block.
    #[error(
        "the checkpoint {} lies before slice {}, behind which this log begins: what was final there is not kept; name a          younger slice as the checkpoint", checkpoint.to_text(), root.to_text()
    )]
    CheckpointPruned {
        /// The checkpoint.
        checkpoint: SliceRef,
        /// Where the log begins.
        root: SliceRef,
    },
    /// The index of history is one of a newer program.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The log is not one chain.
    #[error("the log is not one chain: {0}")]
    Anchor(#[from] AnchorError),
    /// The log says that a slice is final which it does not hold.
    #[error("the log says that slice {0} is final but does not hold its chain")]
    Missing(SliceRef),
    /// The store is not where the log ends, which no crash does to them: one of the two was put back or taken from elsewhere.
    #[error(
        "the store holds the state after slice {store}, but the log is final only up to {log}: they are not of one node at one time"
    )]
    StoreAhead {
        /// Where the store's state stands.
        store: SliceRef,
        /// The log's last final slice.
        log: SliceRef,
    },
    /// The log has another chain than the operator's checkpoint is on.
    #[error(
        "the log contradicts the checkpoint {}: at that height it has {}; one of the two is not this chain's: correct the \
         checkpoint, or remove the data folder and start anew",
        checkpoint.to_text(),
        found.map_or_else(|| "no final slice".to_owned(), |found| found.to_text())
    )]
    Checkpoint {
        /// The checkpoint.
        checkpoint: SliceRef,
        /// The log's final slice at that height.
        found: Option<SliceRef>,
    },
    /// A final slice executes otherwise than it says.
    #[error("final slice {slice} does not execute as it says: {reason}")]
    Diverged {
        /// The slice.
        slice: SliceRef,
        /// What happened.
        reason: String,
    },
}

impl From<RejectReason> for RecoverError {
    fn from(reason: RejectReason) -> Self {
        Self::Diverged { slice: SliceRef { height: Height::default(), id: Hash::ZERO }, reason: reason.to_string() }
    }
}

impl<S: Store> Recovered<S> {
    /// Reads log and store. Without a log the chain starts at genesis and `producer` has never confirmed.
    ///
    /// # Errors
    /// What does not fit together; nothing was changed but final states that the store lacked.
    pub fn read(
        genesis: &Genesis,
        store: S,
        log: &mut ChainLog,
        producer: Option<&AccountName>,
    ) -> Result<Self, RecoverError> {
        Self::read_with(genesis, Ledger::open(genesis, store)?, log, producer)
    }

    /// Has slices executed by these workers from here on.
    #[must_use]
    pub fn with_workers(mut self, workers: Arc<dyn Workers + Send>) -> Self {
        self.ledger = self.ledger.with_workers(workers);
        self
    }

    /// The same with a ledger that was opened, and perhaps told how to judge signatures, before.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(
        genesis: &Genesis,
        mut ledger: Ledger<S>,
        log: &mut ChainLog,
        producer: Option<&AccountName>,
    ) -> Result<Self, RecoverError> {
        let rooted = read_root(genesis, log)?;
        if let Some(root) = rooted.as_ref().map(|rooted| rooted.slice).filter(|root| *root != ledger.final_slice())
            && ledger.final_slice().height <= root.height
        {
            let found = Some(ledger.final_slice()).filter(|found| found.height > Height::default());
            return Err(RecoverError::StoreBehind { root, found });
        }
        ledger.commit_here()?;
        let root = rooted.as_ref().map(|rooted| rooted.slice);
        let mut reading = match rooted {
            Some(rooted) => Reading::behind(rooted.anchor, ledger),
            None => Reading::new(genesis, ledger),
        };
        let mut failure = None;
        log.replay(root, &mut |entry| {
            if failure.is_none() {
                failure = reading.take(entry.record).err();
            }
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        reading.ledger.commit_here()?;
        let (tip, store) = (reading.anchor.tip(), reading.ledger.final_slice());
        if store != tip {
            return Err(RecoverError::StoreAhead { store, log: tip });
        }
        let Reading { anchor, ledger, mut slices, order, finals } = reading;
        let unfinal = order
            .iter()
            .filter_map(|id| slices.remove(id))
            .filter(|body| body.slice.body.height() > tip.height)
            .collect();
        let memory = match producer.map(|producer| log.watermark().of(producer)) {
            Some(WatermarkState::Known(mark)) => Memory::Known(Watermark { source: mark.source, target: mark.target }),
            Some(WatermarkState::Unknown) => Memory::Lost,
            None => Memory::Never,
        };
        Ok(Self {
            ledger,
            anchor,
            memory,
            finals,
            unfinal,
            kept_from: log.finals_from(),
            start: root.unwrap_or_else(|| genesis.genesis_slice()),
            checkpoint: None,
        })
    }

    /// Names a slice that the operator knows to be final, by another way than the chain's own word. A node that has not
    /// come so far takes no chain without it; one that has must hold it.
    ///
    /// It guards against a long-range fork: keys whose stake is released sign for nothing, so whoever buys them makes
    /// another chain from any old slice on, as long and as well certified as the true one. The checkpoint must be
    /// younger than the chain's release delay (`release_slots`), counted back from the present slot: what was signed
    /// since is still vouched for by stake. A node whose own last final slice is as young needs none.
    ///
    /// # Errors
    /// [`RecoverError::Checkpoint`] if the log, which `self` was read from, has another slice there or none;
    /// [`RecoverError::CheckpointPruned`] if it begins later.
    pub fn hold_to(mut self, checkpoint: Option<SliceRef>, log: &mut ChainLog) -> Result<Self, RecoverError> {
        self.checkpoint = checkpoint;
        let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.height <= self.last_final().height) else {
            return Ok(self);
        };
        if checkpoint.height < self.start.height {
            return Err(RecoverError::CheckpointPruned { checkpoint, root: self.start });
        }
        let found = if checkpoint.height == self.start.height {
            Some(self.start)
        } else {
            first_final(log, checkpoint.height)?.filter(|found| found.height == checkpoint.height)
        };
        if found == Some(checkpoint) { Ok(self) } else { Err(RecoverError::Checkpoint { checkpoint, found }) }
    }

    /// The last final slice that the disk holds.
    pub fn last_final(&self) -> SliceRef {
        self.anchor.tip()
    }

    /// The ledger at that slice.
    pub fn ledger(&self) -> &Ledger<S> {
        &self.ledger
    }

    /// The ledger alone.
    pub fn into_ledger(self) -> Ledger<S> {
        self.ledger
    }

    /// The ids of the final transactions among the last final slices.
    pub fn final_transactions(&self) -> impl Iterator<Item = Hash> + '_ {
        self.finals.iter().flat_map(|body| body.transactions.iter().map(Checked::id))
    }
}

/// The first final slice of the log at or above `height`, in its slot.
fn first_final(log: &mut ChainLog, height: Height) -> Result<Option<SliceRef>, LogError> {
    let Some(mut walk) = log.walk_finals(height, height.slot) else { return Ok(None) };
    loop {
        match log.step_finals(&mut walk)? {
            WalkStep::Slice(found) => return Ok(Some(found.slice.reference())),
            WalkStep::Walked => {}
            WalkStep::End => return Ok(None),
        }
    }
}

/// A walk over a log's records, from the chain's beginning.
pub(super) struct Reading<S> {
    anchor: ChainAnchor,
    ledger: Ledger<S>,
    slices: BTreeMap<Hash, Body>,
    order: Vec<Hash>,
    finals: Vec<Body>,
}

impl<S: Store> Reading<S> {
    /// A walk that has not begun, beside a ledger that may be ahead of it.
    pub(super) fn new(genesis: &Genesis, ledger: Ledger<S>) -> Self {
        Self::behind(ChainAnchor::genesis(genesis), ledger)
    }

    /// The same from a log's root on.
    pub(super) fn behind(anchor: ChainAnchor, ledger: Ledger<S>) -> Self {
        Self { anchor, ledger, slices: BTreeMap::new(), order: Vec::new(), finals: Vec::new() }
    }

    /// The last final slice.
    pub(super) fn tip(&self) -> SliceRef {
        self.anchor.tip()
    }

    /// The ledger.
    pub(super) fn ledger(&self) -> &Ledger<S> {
        &self.ledger
    }

    /// The slices that are not final, in the log's order.
    pub(super) fn unfinal(&self) -> impl Iterator<Item = &Body> {
        self.order.iter().filter_map(|id| self.slices.get(id))
    }

    fn take(&mut self, record: Record) -> Result<(), RecoverError> {
        match record {
            Record::Slice { slice, transactions } => {
                // Verified before it was written, under the log's own checksums.
                let checked = transactions.into_iter().map(Checked::verified).collect::<Result<_, _>>()?;
                self.hold(slice, checked);
            }
            Record::Certificate(certificate) => self.anchor.certify(certificate),
            Record::Confirm(_) => {}
            Record::Final(reference) => {
                for body in self.chain_to(reference)? {
                    self.advance(body)?;
                }
                self.trim();
            }
        }
        Ok(())
    }

    /// Keeps a slice until it is final or on a fork that ended.
    pub(super) fn hold(&mut self, slice: Slice, transactions: Vec<Checked>) {
        let id = slice.id();
        if slice.body.height() > self.anchor.tip().height && !self.slices.contains_key(&id) {
            self.slices.insert(id, Body { slice, transactions, outcomes: Vec::new() });
            self.order.push(id);
        }
    }

    /// The slices after the tip up to `reference`, in order; none if it is not above the tip.
    ///
    /// # Errors
    /// [`RecoverError::Missing`].
    pub(super) fn chain_to(&mut self, reference: SliceRef) -> Result<Vec<Body>, RecoverError> {
        let tip = self.anchor.tip();
        let mut chain = Vec::new();
        if reference.height <= tip.height {
            return Ok(chain);
        }
        let mut id = reference.id;
        while id != tip.id {
            let body = self.slices.remove(&id).ok_or(RecoverError::Missing(reference))?;
            id = body.slice.body.parent;
            chain.push(body);
        }
        chain.reverse();
        Ok(chain)
    }

    /// Goes on by the next final slice: it must fit its chain, and come to the results that it says. Its receipts, where it
    /// was executed: the ledger may be ahead.
    ///
    /// # Errors
    /// [`RecoverError::Anchor`], [`RecoverError::Diverged`], [`RecoverError::Store`].
    pub(super) fn advance(&mut self, body: Body) -> Result<(&Body, Vec<Receipt>), RecoverError> {
        let office = self.anchor.extend(&body.slice)?;
        let receipts = if body.slice.body.height() > self.ledger.final_slice().height {
            self.execute(&body, office)?
        } else {
            Vec::new()
        };
        if self.finals.len() >= 2 * FINAL_SLICES_KEPT_MAX {
            self.finals.drain(..FINAL_SLICES_KEPT_MAX);
        }
        self.finals.push(body);
        Ok((&self.finals[self.finals.len() - 1], receipts))
    }

    /// Drops the forks that ended below the tip.
    pub(super) fn trim(&mut self) {
        let tip = self.anchor.tip();
        self.slices.retain(|_, body| body.slice.body.height() > tip.height);
        let slices = &self.slices;
        self.order.retain(|id| slices.contains_key(id));
    }

    fn execute(&mut self, body: &Body, office: Office) -> Result<Vec<Receipt>, RecoverError> {
        let slice = body.slice.reference();
        let of = &body.slice.body;
        let diverged = |reason: String| RecoverError::Diverged { slice, reason };
        let executed = self
            .ledger
            .execute(&of.parent, &context_of(of, office), &body.transactions)
            .map_err(|error: ExecuteError| diverged(error.to_string()))?;
        let parts = [
            (
                executed.transactions_root == of.transactions_root,
                "the transactions beside it are not those of its root",
            ),
            (executed.results == of.results, "other results"),
            (next_of(executed.next.clone()) == of.next, "another schedule"),
        ];
        if let Some((_, other)) = parts.iter().find(|(is_same, _)| !is_same) {
            return Err(diverged((*other).to_owned()));
        }
        self.ledger.insert(slice, of.parent, executed).map_err(|error: InsertError| diverged(error.to_string()))?;
        let finalised = self.ledger.finalise(&slice.id).map_err(|error: FinaliseError| diverged(error.to_string()))?;
        let receipts: Vec<Receipt> = finalised.slices.into_iter().flat_map(|slice| slice.receipts).collect();
        if self.ledger.keeps_history() {
            self.ledger.remember(results_of(body, receipts.clone()));
        }
        self.ledger.commit_here()?;
        Ok(receipts)
    }
}
