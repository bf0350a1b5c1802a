//! How a chain is signed: on paper, so that a seed costs milliseconds, or by real keys, as on a whole node.

use std::sync::Arc;

use hpb_node::verify::{Request, Verdict, Verify};
use hpb_types::{
    Canonical, ChainId, Confirm, Domain, Genesis, KeyPair, PublicKey, Signature, Signer, Slice, Transaction,
    TransactionBody, TransactionSignature,
};

use crate::paper::{self, PaperSigner, PaperVerify};

/// One of the two ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signing {
    /// A keyed hash in place of Ed25519.
    Paper,
    /// Ed25519.
    Real,
}

/// Whether a signature over a body is good, for its purpose and chain, under a key.
type IsGood = fn(Domain, &ChainId, &[u8], &PublicKey, &Signature) -> bool;

impl Signing {
    /// What signs under the public key of `keys`.
    pub fn signer(self, keys: KeyPair) -> Arc<dyn Signer> {
        match self {
            Self::Paper => Arc::new(PaperSigner(keys.public())),
            Self::Real => Arc::new(keys),
        }
    }

    /// What says whether a signature is good.
    pub fn is_good(self) -> IsGood {
        match self {
            Self::Paper => paper::is_good,
            Self::Real => hpb_types::verify,
        }
    }

    /// Whether a confirm is signed under `key`.
    pub fn is_good_confirm(self, confirm: &Confirm, key: &PublicKey) -> bool {
        let body = confirm.body.to_bytes();
        self.is_good()(Domain::Confirm, &confirm.body.chain, &body, key, &confirm.signature)
    }

    /// Whether a slice is signed under `key`.
    pub fn is_good_slice(self, slice: &Slice, key: &PublicKey) -> bool {
        let statement = slice.body.statement().to_bytes();
        self.is_good()(Domain::Slice, &slice.body.chain, &statement, key, &slice.signature)
    }

    /// A verifier for the chain of `genesis`.
    pub fn verifier(self, genesis: &Genesis) -> NodeVerify {
        match self {
            Self::Paper => NodeVerify::Paper(PaperVerify::new(genesis)),
            Self::Real => NodeVerify::Real(Box::new(Verify::new(genesis))),
        }
    }
}

/// A transaction signed by one key.
pub fn sign_transaction(body: TransactionBody, signer: &dyn Signer) -> Transaction {
    let signature = signer.sign(Domain::Transaction, &body.chain, &body.to_bytes());
    Transaction { body, signatures: vec![TransactionSignature::Ed25519 { key: signer.public(), signature }] }
}

/// A node's verifier.
pub enum NodeVerify {
    /// Of what is signed on paper.
    Paper(PaperVerify),
    /// The node's own.
    Real(Box<Verify>),
}

impl NodeVerify {
    /// Judges one request; what sets the schedules has no verdict.
    pub fn judge(&mut self, request: Request) -> Option<Verdict> {
        match self {
            Self::Paper(verify) => verify.judge(request),
            Self::Real(verify) => verify.judge(vec![request]).pop(),
        }
    }
}
