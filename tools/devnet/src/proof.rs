//! Proofs in files: made from a validator's log, also beside a run, and checked by whoever has the genesis and no chain.

mod text;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use hpb_base::limits::PROOF_LEN_MAX;
use hpb_consensus::proof::Signed;
use hpb_ledger::history::Place;
use hpb_node::core::{ProvingError, WantedProof, prove};
use hpb_node::proof::{ContentProof, ProofFileError};
use hpb_types::{Genesis, Hash, Height, SliceRef};
use serde::{Deserialize, Serialize};

use crate::chain_view::open_log;
use crate::history::TransactionRow;
use crate::run::DevnetError;

/// Why no proof was made, or none was read.
#[derive(Debug, thiserror::Error)]
pub enum ProofFailure {
    /// The devnet's folder.
    #[error(transparent)]
    Devnet(Box<DevnetError>),
    /// The chain has no proof of it.
    #[error(transparent)]
    Proving(Box<ProvingError>),
    /// The chain has no such transaction.
    #[error("no final transaction has the id {}", id.to_hex())]
    None {
        /// The id.
        id: Hash,
    },
    /// The proof is longer than a file of one may be.
    #[error("the proof takes {length} bytes, and one may have {PROOF_LEN_MAX}: the chain is too long for it")]
    TooLong {
        /// Its bytes.
        length: usize,
    },
    /// A name that is taken.
    #[error("{path} is there already: move it away, or name another")]
    Exists {
        /// The path.
        path: String,
    },
    /// The file is no proof.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        error: ProofFileError,
    },
    /// The operating system refused.
    #[error("{action} {path} failed: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// Its words.
        error: io::Error,
    },
}

impl From<DevnetError> for ProofFailure {
    fn from(error: DevnetError) -> Self {
        Self::Devnet(Box::new(error))
    }
}

/// A proof that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MadeRow {
    /// The file.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// What it is about: a transaction's id.
    pub id: String,
    /// The slice, as `slot.index:id`.
    pub slice: String,
    /// Pieces of the chain in it: at most two for each change of the producers since genesis, and the last.
    pub runs: usize,
    /// Headers in those.
    pub headers: usize,
}

/// What a proof was found to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckedRow {
    /// The chain of the genesis, in hexadecimal digits.
    pub chain: String,
    /// The first thing that does not hold; none if all does.
    pub fault: Option<String>,
    /// What is proven; none if something does not hold.
    pub proven: Option<ProvenRow>,
}

/// What a proof proves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProvenRow {
    /// The slice, as `slot.index:id`.
    pub slice: String,
    /// Block time at its slot's start, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What a transaction or a proposal came to; none where a state is proven.
    pub transaction: Option<TransactionRow>,
    /// The root of the state after the slice.
    pub state: String,
    /// Who certified it, by schedule; the one in force last.
    pub quorums: Vec<QuorumRow>,
}

/// How many of a schedule's producers certified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuorumRow {
    /// The epoch that the schedule was fixed for.
    pub epoch: u64,
    /// Producers who signed.
    pub signers: usize,
    /// Producers of the schedule.
    pub producers: usize,
}

/// Writes the proof of the transaction or proposal of that id into the file `out`, from the log of validator `validator`.
///
/// # Errors
/// [`ProofFailure`]; there is no file then.
pub fn make(data: &Path, validator: usize, id: Hash, out: &Path) -> Result<MadeRow, ProofFailure> {
    if out.exists() {
        return Err(ProofFailure::Exists { path: out.display().to_string() });
    }
    let (genesis, mut log) = open_log(data, validator)?;
    let made = prove(&genesis, &mut log, WantedProof::Transaction(id));
    let proof = made.map_err(|error| ProofFailure::Proving(Box::new(error)))?.ok_or(ProofFailure::None { id })?;
    let bytes = proof.to_file();
    if bytes.len() > FILE_LEN_MAX {
        return Err(ProofFailure::TooLong { length: bytes.len() });
    }
    write(out, &bytes)?;
    let slice = proof
        .runs
        .last()
        .and_then(|run| run.headers.first())
        .map(|body| SliceRef { height: body.height(), id: body.id() });
    Ok(MadeRow {
        file: out.display().to_string(),
        bytes: bytes.len() as u64,
        id: id.to_hex(),
        slice: slice.map_or_else(String::new, |slice| slice.to_text()),
        runs: proof.runs.len(),
        headers: proof.runs.iter().map(|run| run.headers.len()).sum(),
    })
}

/// Bytes of a file: the proof, and what it begins with.
const FILE_LEN_MAX: usize = PROOF_LEN_MAX + 8;

/// The file gets its name when it is whole.
fn write(out: &Path, bytes: &[u8]) -> Result<(), ProofFailure> {
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let written = fs::write(part, bytes).and_then(|()| File::open(part)?.sync_all());
    let named = written.and_then(|()| fs::rename(part, out));
    if named.is_err() {
        // It has no name that anyone looks for, and the next one is written over it.
        let _removed = fs::remove_file(part);
    }
    named.map_err(failed("writing", out))
}

/// Checks the proof in `file` by the genesis alone; with `id`, it must be about that transaction.
///
/// # Errors
/// [`ProofFailure`] if the file can't be read or is no proof; what does not hold is told in the row.
pub fn check(file: &Path, genesis: &Genesis, id: Option<Hash>) -> Result<CheckedRow, ProofFailure> {
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|opened| opened.take(FILE_LEN_MAX as u64 + 1).read_to_end(&mut bytes));
    opened.map_err(failed("reading", file))?;
    let proof = ContentProof::from_file(&bytes)
        .map_err(|error| ProofFailure::File { path: file.display().to_string(), error })?;
    let found = judge(&proof, genesis, id);
    let (fault, proven) = match found {
        Ok(proven) => (None, Some(proven)),
        Err(fault) => (Some(fault), None),
    };
    Ok(CheckedRow { chain: genesis.chain_id().0.to_hex(), fault, proven })
}

fn judge(proof: &ContentProof, genesis: &Genesis, id: Option<Hash>) -> Result<ProvenRow, String> {
    let proven = proof.check(genesis).map_err(|error| error.to_string())?;
    let receipt = proof.claim.receipt();
    let about = receipt.map(|receipt| receipt.receipt.transaction);
    if let Some(id) = id.filter(|id| about != Some(*id)) {
        let about = about.map_or_else(|| "a state".to_owned(), |about| format!("transaction {}", about.to_hex()));
        return Err(format!("the proof holds, and is about {about} and not about {}", id.to_hex()));
    }
    let slice = proven.certified.slice;
    let transaction = receipt.map(|receipt| {
        let Height { slot, index } = slice.height;
        let place = Place { slot: slot.0, slice: index, number: receipt.place.index };
        TransactionRow::of(place, proven.unix_ms, &receipt.receipt, proof.claim.transaction())
    });
    let quorum =
        |signed: &Signed| QuorumRow { epoch: signed.epoch.0, signers: signed.signers, producers: signed.producers };
    Ok(ProvenRow {
        slice: slice.to_text(),
        unix_ms: proven.unix_ms,
        transaction,
        state: proof.claim.state().to_hex(),
        quorums: proven.certified.quorums.iter().map(quorum).collect(),
    })
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProofFailure {
    let path = path.display().to_string();
    move |error| ProofFailure::Io { action, path, error }
}

#[cfg(test)]
mod tests;
