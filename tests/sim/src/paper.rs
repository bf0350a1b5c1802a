//! Signatures on paper: a keyed hash in place of Ed25519, so that a seed costs milliseconds and not seconds.
//!
//! Anyone can make one under anyone's key: whoever plays a Byzantine producer keeps to its own. Who may sign what is
//! judged as on a real node, by the same [`Verifier`]; only the question whether a signature is good is answered here.

use hpb_base::Duration;
use hpb_consensus::{Verified, Verifier, Verify as _, VerifyError};
use hpb_ledger::Checked;
use hpb_node::verify::{Request, Verdict};
use hpb_types::message::SliceBundle;
use hpb_types::{
    Canonical, Certificate, ChainId, Confirm, Domain, Genesis, PublicKey, RejectReason, Signature, Signer, Slice,
    Transaction, TransactionSignature, transactions_root,
};

/// What a request costs its verifier.
pub const JUDGE: Duration = Duration::from_micros(80);

/// Signs on paper under one key.
#[derive(Clone, Copy, Debug)]
pub struct PaperSigner(pub PublicKey);

impl Signer for PaperSigner {
    fn public(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, domain: Domain, chain: &ChainId, body: &[u8]) -> Signature {
        sign(domain, chain, body, &self.0)
    }
}

/// The paper signature of `body` under `key`.
fn sign(domain: Domain, chain: &ChainId, body: &[u8], key: &PublicKey) -> Signature {
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(&domain.prefix(chain)).update(body);
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(hasher.finalize().as_bytes());
    Signature(signature)
}

/// How the ledger judges the words in evidence here.
pub fn is_good(domain: Domain, chain: &ChainId, body: &[u8], key: &PublicKey, signature: &Signature) -> bool {
    *signature == sign(domain, chain, body, key)
}

/// Whether a confirm is signed on paper under `key`.
fn is_good_confirm(confirm: &Confirm, key: &PublicKey) -> bool {
    confirm.signature == sign(Domain::Confirm, &confirm.body.chain, &confirm.body.to_bytes(), key)
}

/// Whether a slice is signed on paper under `key`.
fn is_good_slice(slice: &Slice, key: &PublicKey) -> bool {
    slice.signature == sign(Domain::Slice, &slice.body.chain, &slice.body.statement().to_bytes(), key)
}

fn is_good_transaction(transaction: &Transaction) -> bool {
    let bytes = transaction.body.to_bytes();
    !transaction.signatures.is_empty()
        && transaction.signatures.iter().all(|TransactionSignature::Ed25519 { key, signature }| {
            *signature == sign(Domain::Transaction, &transaction.body.chain, &bytes, key)
        })
}

/// The verifier of one validator, as [`hpb_node::verify::Verify`] but for the signatures themselves.
pub struct PaperVerify {
    verifier: Verifier,
}

impl PaperVerify {
    /// A verifier for the chain of `genesis`.
    pub fn new(genesis: &Genesis) -> Self {
        Self { verifier: hpb_node::engine::verifier(genesis) }
    }

    /// Judges one request; what sets the schedules has no verdict.
    pub fn judge(&mut self, request: Request) -> Option<Verdict> {
        Some(match request {
            Request::Schedules(schedules) => {
                self.verifier.set_schedules(schedules);
                return None;
            }
            Request::Transactions(origin, list) => {
                let judged = list.into_iter().map(|transaction| {
                    let id = transaction.id();
                    checked(transaction).map_err(|reason| (id, reason))
                });
                Verdict::Transactions(origin, judged.collect())
            }
            Request::Slice(_, bundle) => {
                let SliceBundle { slice, transactions } = *bundle;
                let transactions: Result<Vec<Checked>, RejectReason> = transactions.into_iter().map(checked).collect();
                match (transactions, self.slice(&slice)) {
                    (Ok(transactions), Ok(true)) => Verdict::Slice(Box::new(Verified::vouch(slice)), transactions),
                    (_, Err(VerifyError::UnknownSchedule)) => Verdict::Ahead(slice.reference()),
                    _ => Verdict::Refused,
                }
            }
            Request::Final(number, bundle) => {
                let SliceBundle { slice, transactions } = *bundle;
                let transactions: Option<Vec<Checked>> =
                    transactions.into_iter().map(|transaction| checked(transaction).ok()).collect();
                let root = slice.body.transactions_root;
                let whole = transactions.filter(|list| transactions_root(list.iter().map(Checked::id)) == root);
                let good = whole.filter(|_| self.slice(&slice) == Ok(true));
                Verdict::Final(number, good.map(|list| (Box::new(Verified::vouch(slice)), list)))
            }
            Request::Confirm(confirm) if self.confirm(&confirm) => {
                Verdict::Confirm(Box::new(Verified::vouch(*confirm)))
            }
            Request::Confirm(_) => Verdict::Refused,
        })
    }

    fn confirm(&mut self, confirm: &Confirm) -> bool {
        let good = self.verifier.confirm_key(&confirm.body).is_ok_and(|key| is_good_confirm(confirm, &key));
        if good {
            self.verifier.note(confirm);
        }
        good
    }

    fn slice(&mut self, slice: &Slice) -> Result<bool, VerifyError> {
        let (_, producer) = self.verifier.slice_producer(slice)?;
        // Liars send the proofs of their own cores, so these are not verified again, which would take most of a run.
        Ok(is_good_slice(slice, &producer.key) && self.certificate(&slice.body.source))
    }

    /// Judges what was not seen before, and then lets the verifier judge the rest: it has no signature left to ask for.
    fn certificate(&mut self, certificate: &Certificate) -> bool {
        let Ok(outstanding) = self.verifier.outstanding(certificate) else { return false };
        for (key, confirm) in &outstanding {
            if !is_good_confirm(confirm, key) {
                return false;
            }
            self.verifier.note(confirm);
        }
        outstanding.is_empty() || self.verifier.certificate(certificate.clone()).is_ok()
    }
}

fn checked(transaction: Transaction) -> Result<Checked, RejectReason> {
    if is_good_transaction(&transaction) { Checked::verified(transaction) } else { Err(RejectReason::BadSignature) }
}
