//! What is true of a chain, in a file that proves it to whoever has the genesis and nothing else: that a transaction stands
//! in a slice and what it came to, what a proposal came to, or which state a slice leads to.
//!
//! A slice's header commits to its transactions, its results and its state ([`hpb_ledger::commitment`]); what makes the
//! slice final, and whose word that is, stands beside it ([`hpb_consensus::proof`]). The layout is in
//! `ledger/types/FORMAT.md` ("Proofs"). Nothing in a file is believed: [`ContentProof::check`] names the first thing that
//! does not hold. A machine without I/O; [`prove`](crate::core::prove) makes them from a log.

use hpb_base::limits::{PROOF_LEN_MAX, PROOF_RUNS_MAX};
use hpb_consensus::{Certified, FinalRun, ProofError};
use hpb_ledger::commitment::{ReceiptProof, StateProof};
use hpb_types::slice::TRANSACTIONS;
use hpb_types::{Canonical, ChainId, CodecError, Genesis, Hash, MerkleProof, SliceBody, SliceRef, TransactionBody};

use crate::engine;

/// What a file of a proof begins with.
const MAGIC: [u8; 8] = *b"HPB-PRF\n";

/// What is claimed of a slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// That a transaction stands in it, and what it came to.
    Transaction {
        /// The transaction, without its signatures: its id does not cover them.
        body: TransactionBody,
        /// Its place among the slice's transactions.
        place: MerkleProof,
        /// What it came to.
        receipt: ReceiptProof,
    },
    /// What a proposal came to that was done before its transactions, by the proposal's id. What was proposed is not told.
    Receipt {
        /// What it came to.
        receipt: ReceiptProof,
    },
    /// Which state it leads to.
    State {
        /// The state.
        state: StateProof,
    },
}

/// A claim of a slice, with what proves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContentProof {
    /// Format version: 1.
    pub version: u8,
    /// The chain.
    pub chain: ChainId,
    /// What is claimed.
    pub claim: Claim,
    /// What proves the slice final: the first header of the last run is the slice's.
    pub runs: Vec<FinalRun>,
}

hpb_types::tagged!(Claim { 0 => Transaction { body, place, receipt }, 1 => Receipt { receipt }, 2 => State { state } });
hpb_types::layout!(
    ContentProof
        <= PROOF_LEN_MAX { version: version(ContentProof::VERSION), chain, claim, runs: list(1..=PROOF_RUNS_MAX) }
);

/// Why bytes are no proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofFileError {
    /// Something else.
    #[error("it is no proof: it does not begin as one")]
    Magic,
    /// Another program wrote it.
    #[error("it has format {found}, and this program knows format {known}", known = ContentProof::VERSION)]
    Format {
        /// The format found.
        found: u8,
    },
    /// It is longer than any proof.
    #[error("it is longer than the {PROOF_LEN_MAX} bytes that a proof may have")]
    TooLong,
    /// It was changed or cut off.
    #[error("it is damaged: {0}")]
    Damaged(CodecError),
}

/// The first thing in a proof that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckError {
    /// It is of another chain than the genesis.
    #[error("the proof is of chain {}, and the genesis is that of chain {}", found.0.to_hex(), expected.0.to_hex())]
    WrongChain {
        /// The proof's.
        found: ChainId,
        /// The genesis'.
        expected: ChainId,
    },
    /// A slice is not proven final.
    #[error(transparent)]
    Finality(Box<ProofError>),
    /// There is nothing that proves a slice final.
    #[error("nothing in the proof makes a slice final")]
    NoRun,
    /// The transaction does not stand in the slice.
    #[error("transaction {} is not in slice {slice}: its path does not lead to the slice's transactions", id.to_hex())]
    NotInSlice {
        /// The transaction.
        id: Hash,
        /// The slice.
        slice: SliceRef,
    },
    /// The receipt is of another transaction, or stands in another one's place.
    #[error("the receipt is that of {}, in place {at}, and not that of transaction {}", found.to_hex(), id.to_hex())]
    OtherReceipt {
        /// The transaction.
        id: Hash,
        /// Whose receipt it is.
        found: Hash,
        /// Its place among the slice's receipts.
        at: u32,
    },
    /// The slice commits to other results.
    #[error("the results of slice {slice} are others: what is shown of receipt and state does not lead to them")]
    OtherResults {
        /// The slice.
        slice: SliceRef,
    },
}

impl From<ProofError> for CheckError {
    fn from(error: ProofError) -> Self {
        Self::Finality(Box::new(error))
    }
}

/// That a proof holds, and whose word it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// The slice, and who says that it is final.
    pub certified: Certified,
    /// Block time at its slot's start, in milliseconds since 1970.
    pub unix_ms: u64,
}

impl Claim {
    /// What a transaction or a proposal came to.
    pub fn receipt(&self) -> Option<&ReceiptProof> {
        match self {
            Self::Transaction { receipt, .. } | Self::Receipt { receipt } => Some(receipt),
            Self::State { .. } => None,
        }
    }

    /// The transaction.
    pub fn transaction(&self) -> Option<&TransactionBody> {
        match self {
            Self::Transaction { body, .. } => Some(body),
            Self::Receipt { .. } | Self::State { .. } => None,
        }
    }

    /// The root of the state after the slice.
    pub fn state(&self) -> Hash {
        match self {
            Self::Transaction { receipt, .. } | Self::Receipt { receipt } => receipt.state,
            Self::State { state } => state.state,
        }
    }

    /// Whether it is true of the slice with that header.
    fn check(&self, slice: SliceRef, header: &SliceBody) -> Result<(), CheckError> {
        let results = match self {
            Self::Transaction { body, place, receipt } => {
                let id = body.id();
                if place.root(TRANSACTIONS, id) != Some(header.transactions_root) {
                    return Err(CheckError::NotInSlice { id, slice });
                }
                // The receipts of proposals that were due stand before those of the transactions.
                let due = receipt.place.count.checked_sub(place.count);
                let expected = due.and_then(|due| due.checked_add(place.index));
                let (found, at) = (receipt.receipt.transaction, receipt.place.index);
                if found != id || expected != Some(at) {
                    return Err(CheckError::OtherReceipt { id, found, at });
                }
                receipt.commitment()
            }
            Self::Receipt { receipt } => receipt.commitment(),
            Self::State { state } => Some(state.commitment()),
        };
        if results == Some(header.results) { Ok(()) } else { Err(CheckError::OtherResults { slice }) }
    }
}

impl ContentProof {
    /// The version of the layout that this code speaks.
    pub const VERSION: u8 = 1;

    /// The file's bytes.
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.to_bytes());
        bytes
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`ProofFileError`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, ProofFileError> {
        let body = bytes.strip_prefix(&MAGIC).ok_or(ProofFileError::Magic)?;
        Self::from_bytes(body).map_err(|error| match error {
            CodecError::Version(found) if body.first() == Some(&found) => ProofFileError::Format { found },
            CodecError::TooLong if body.len() > PROOF_LEN_MAX => ProofFileError::TooLong,
            error => ProofFileError::Damaged(error),
        })
    }

    /// What it proves on the chain of `genesis`, which is valid by its own rules ([`Genesis::validate`]).
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, genesis: &Genesis) -> Result<Proven, CheckError> {
        let expected = genesis.chain_id();
        if self.chain != expected {
            return Err(CheckError::WrongChain { found: self.chain, expected });
        }
        let mut checker = engine::verifier(genesis).checker();
        let mut certified = None;
        for run in &self.runs {
            certified = Some((checker.follow(run)?, &run.headers[0]));
        }
        let (certified, header) = certified.ok_or(CheckError::NoRun)?;
        self.claim.check(certified.slice, header)?;
        Ok(Proven { unix_ms: genesis.slot_start_ms(certified.slice.height.slot), certified })
    }
}
