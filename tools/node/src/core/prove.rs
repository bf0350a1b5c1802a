//! Proofs made from a log ([`crate::proof`]).
//!
//! Nobody keeps receipts, so the chain is executed from its genesis up to the slice in question, in memory; what proves
//! that one final stands in the slices behind it, also in those that are not final yet themselves.

use std::collections::BTreeMap;

use hpb_consensus::Prover;
use hpb_consensus::proof::ProveError;
use hpb_ledger::chainlog::{ChainLog, Record};
use hpb_ledger::commitment::{ReceiptProof, StateProof};
use hpb_ledger::{Checked, ExecuteError, Ledger, MemoryStore};
use hpb_types::{Genesis, Hash, MerkleProof, SliceBody, SliceRef, Slot};

use super::Body;
use super::recover::{Reading, RecoverError};
use crate::engine::first_schedules;
use crate::proof::{Claim, ContentProof};

/// What is to be proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// What a transaction, or a proposal that was done, came to.
    Transaction(Hash),
    /// The state after the first final slice of a slot or, if it has none, of the next one that has.
    State(Slot),
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProvingError {
    /// The log can't be read, or is not one chain.
    #[error(transparent)]
    Log(Box<RecoverError>),
    /// The state in memory can't be read.
    #[error(transparent)]
    State(Box<ExecuteError>),
    /// The chain can't be proven so.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// No slice in the log proves it final yet.
    #[error(
        "slice {slice} is final, and no slice behind it in the log carries the certificates that prove it: try again when \
         the chain has gone on"
    )]
    NotYet {
        /// The slice.
        slice: SliceRef,
    },
    /// The slice has more receipts than proofs are made for.
    #[error("slice {slice} has too many transactions for a proof")]
    TooMany {
        /// The slice.
        slice: SliceRef,
    },
}

impl From<RecoverError> for ProvingError {
    fn from(error: RecoverError) -> Self {
        Self::Log(Box::new(error))
    }
}

/// The proof of what is wanted, from the log of a chain; `None` if no final slice has it.
///
/// # Errors
/// [`ProvingError`].
pub fn prove(genesis: &Genesis, log: &mut ChainLog, wanted: Wanted) -> Result<Option<ContentProof>, ProvingError> {
    let mut ledger = Ledger::open(genesis, MemoryStore::new()).map_err(RecoverError::from)?;
    ledger.commit_here().map_err(RecoverError::from)?;
    let reading = Reading::new(genesis, ledger);
    let mut proving = Proving { reading, prover: Prover::new(&first_schedules(genesis)), wanted, found: None };
    let mut failure = None;
    log.replay(None, &mut |entry| {
        if failure.is_none() && !proving.prover.is_done() {
            failure = proving.take(entry.record).err();
        }
    })
    .map_err(RecoverError::from)?;
    failure.map_or(Ok(()), Err)?;
    let Some((slice, claim)) = proving.found.take() else { return Ok(None) };
    proving.take_the_end()?;
    let runs = proving.prover.into_runs().ok_or(ProvingError::NotYet { slice })?;
    Ok(Some(ContentProof { version: ContentProof::VERSION, chain: genesis.chain_id(), claim, runs }))
}

struct Proving {
    reading: Reading<MemoryStore>,
    prover: Prover,
    wanted: Wanted,
    found: Option<(SliceRef, Claim)>,
}

impl Proving {
    fn take(&mut self, record: Record) -> Result<(), ProvingError> {
        match record {
            Record::Slice { slice, transactions } => {
                // Verified before it was written, under the log's own checksums.
                let checked = transactions.into_iter().map(Checked::verified).collect::<Result<_, _>>();
                self.reading.hold(slice, checked.map_err(RecoverError::from)?);
            }
            Record::Final(reference) => {
                for body in self.reading.chain_to(reference)? {
                    self.advance(body)?;
                }
                self.reading.trim();
            }
            Record::Confirm(_) | Record::Certificate(_) => {}
        }
        Ok(())
    }

    /// Goes on by the next final slice.
    fn advance(&mut self, body: Body) -> Result<(), ProvingError> {
        let (body, receipts) = self.reading.advance(body)?;
        let slice = body.slice.reference();
        self.prover.take(&body.slice.body)?;
        let at = match self.wanted {
            _ if self.found.is_some() => None,
            Wanted::Transaction(id) => receipts.iter().position(|receipt| receipt.transaction == id).map(Some),
            Wanted::State(slot) => (slice.height.slot >= slot).then_some(None),
        };
        let Some(at) = at else { return Ok(()) };
        let due = receipts.len() - body.transactions.len();
        let own = at.and_then(|at| at.checked_sub(due)).map(|index| {
            let ids: Vec<Hash> = body.transactions.iter().map(Checked::id).collect();
            (body.transactions[index].transaction().body.clone(), MerkleProof::new(&ids, index))
        });
        let state =
            self.reading.ledger().state_root(&slice.id).map_err(|error| ProvingError::State(Box::new(error)))?;
        let receipt = at.map(|at| ReceiptProof::new(&receipts, at, state).ok_or(ProvingError::TooMany { slice }));
        let claim = match (receipt.transpose()?, own) {
            (None, _) => Claim::State { state: StateProof::new(&receipts, state) },
            (Some(receipt), None) => Claim::Receipt { receipt },
            (Some(receipt), Some((body, place))) => {
                Claim::Transaction { body, place: place.ok_or(ProvingError::TooMany { slice })?, receipt }
            }
        };
        self.found = Some((slice, claim));
        self.prover.aim();
        Ok(())
    }

    /// Goes on over the slices that are not final, along the chain that carries the highest certificate.
    fn take_the_end(&mut self) -> Result<(), ProveError> {
        let open: BTreeMap<Hash, &SliceBody> =
            self.reading.unfinal().map(|body| (body.slice.id(), &body.slice.body)).collect();
        let best = open.iter().max_by_key(|(id, body)| (body.source.target.height, **id));
        let (mut chain, mut at) = (Vec::new(), best.map(|(id, _)| *id));
        while let Some(body) = at.and_then(|id| open.get(&id)) {
            chain.push(*body);
            at = Some(body.parent);
        }
        if at == Some(self.reading.tip().id) {
            for body in chain.into_iter().rev() {
                self.prover.take(body)?;
            }
        }
        Ok(())
    }
}
