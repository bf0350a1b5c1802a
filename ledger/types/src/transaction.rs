//! Transactions: what an account asks of the chain, and the signatures behind it.
//!
//! Key signatures are judged here, before execution. Authority, duplicates, existence and ranges are judged during it,
//! inside the tracked view.

use std::collections::BTreeSet;

use hpb_base::limits::{ACTIONS_MAX, AUTHORISATIONS_MAX, SIGNATURES_MAX, TRANSACTION_LEN_MAX};

use crate::codec::Canonical;
use crate::keys::{Domain, Hash, PublicKey, Signature, Signer};
use crate::name::{AccountName, ActionName, PermissionName};
use crate::units::{Amount, ChainId};
use crate::verify::Batch;

/// Which permission of which account stands behind a transaction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Authorisation {
    /// The account.
    pub account: AccountName,
    /// Its permission.
    pub permission: PermissionName,
}

/// One call of a contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Action {
    /// The contract's account.
    pub contract: AccountName,
    /// What is asked of it.
    pub action: ActionName,
    /// Its arguments: canonical bytes that the contract defines.
    pub arguments: Vec<u8>,
}

/// What a transaction's id and signatures cover.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionBody {
    /// Format version: 1.
    pub version: u8,
    /// The chain it is meant for.
    pub chain: ChainId,
    /// Who pays the fee.
    pub payer: AccountName,
    /// Who stands behind it.
    pub authorisations: Vec<Authorisation>,
    /// What it does, in order, all or nothing.
    pub actions: Vec<Action>,
    /// Block time after which it is void, in milliseconds since 1970.
    pub expiry_ms: u64,
    /// The most it may cost.
    pub fee_limit: Amount,
    /// Tells equal payments apart.
    pub salt: u64,
}

/// A signature with the key it verifies under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransactionSignature {
    /// Tag 0: Ed25519, verified by ZIP-215.
    Ed25519 {
        /// The key.
        key: PublicKey,
        /// The signature.
        signature: Signature,
    },
}

/// A signed transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// What is signed.
    pub body: TransactionBody,
    /// At most one a key.
    pub signatures: Vec<TransactionSignature>,
}

crate::layout!(Authorisation { account, permission });
crate::layout!(Action { contract, action, arguments: bytes(0..=TRANSACTION_LEN_MAX) });
crate::layout!(
    TransactionBody
        <= TRANSACTION_LEN_MAX {
            version: version(TransactionBody::VERSION),
            chain,
            payer,
            authorisations: list(0..=AUTHORISATIONS_MAX),
            actions: list(0..=ACTIONS_MAX),
            expiry_ms,
            fee_limit,
            salt,
        }
);
crate::tagged!(TransactionSignature { 0 => Ed25519 { key, signature } });
crate::layout!(Transaction <= TRANSACTION_LEN_MAX { body, signatures: list(0..=SIGNATURES_MAX) });

impl TransactionBody {
    /// The version of the layout that this code speaks.
    pub const VERSION: u8 = 1;

    /// The transaction's id.
    pub fn id(&self) -> Hash {
        Hash::of_parts("transaction", &[&self.to_bytes()])
    }
}

impl Transaction {
    /// Signs `body` by each of `keys`, in order.
    pub fn sign(body: TransactionBody, keys: &[&dyn Signer]) -> Self {
        let bytes = body.to_bytes();
        let signatures = keys
            .iter()
            .map(|key| TransactionSignature::Ed25519 {
                key: key.public(),
                signature: key.sign(Domain::Transaction, &body.chain, &bytes),
            })
            .collect();
        Self { body, signatures }
    }

    /// The body's id: signatures do not change it.
    pub fn id(&self) -> Hash {
        self.body.id()
    }

    /// Whether it carries at least one signature, at most one a key, and each is good for the chain that the body names
    /// (which the caller compares with its own).
    pub fn verify_signatures(&self) -> bool {
        verify_transactions(core::slice::from_ref(self)) == [true]
    }

    /// The keys that signed, in the order of the signatures.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.signatures.iter().map(|TransactionSignature::Ed25519 { key, .. }| key)
    }

    fn has_one_signature_a_key(&self) -> bool {
        let mut seen = BTreeSet::new();
        !self.signatures.is_empty() && self.keys().all(|key| seen.insert(key))
    }
}

/// [`Transaction::verify_signatures`] of each of `transactions`, with the signatures of all in one batch.
pub fn verify_transactions<'a>(transactions: impl IntoIterator<Item = &'a Transaction>) -> Vec<bool> {
    let mut batch = Batch::new();
    let counts: Vec<usize> =
        transactions.into_iter().map(|transaction| push_signatures(&mut batch, transaction)).collect();
    let mut verdicts = batch.verify().into_iter();
    counts
        .into_iter()
        .map(|count| count > 0 && verdicts.by_ref().take(count).fold(true, |all, good| all & good))
        .collect()
}

/// Adds the signatures of `transaction`, unless they are refused unread; how many were added.
fn push_signatures(batch: &mut Batch, transaction: &Transaction) -> usize {
    if !transaction.has_one_signature_a_key() {
        return 0;
    }
    let bytes = transaction.body.to_bytes();
    for TransactionSignature::Ed25519 { key, signature } in &transaction.signatures {
        batch.push(Domain::Transaction, &transaction.body.chain, &bytes, key, signature);
    }
    transaction.signatures.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyPair;
    use crate::samples;

    fn signed(keys: &[u8]) -> Transaction {
        let keys: Vec<KeyPair> = keys.iter().map(|seed| KeyPair::from_seed([*seed; 32])).collect();
        Transaction::sign(samples::transaction_body(), &keys.iter().map(|key| key as &dyn Signer).collect::<Vec<_>>())
    }

    #[test]
    fn a_signature_is_asked_for_and_each_must_be_good() {
        assert!(!signed(&[]).verify_signatures());
        assert!(signed(&[1]).verify_signatures());
        assert!(signed(&[1, 2, 3]).verify_signatures());
        let mut bad = signed(&[1, 2, 3]);
        let TransactionSignature::Ed25519 { signature, .. } = &mut bad.signatures[1];
        signature.0[3] ^= 1;
        assert!(!bad.verify_signatures());
    }

    #[test]
    fn a_key_signs_once() {
        assert!(!signed(&[1, 1]).verify_signatures());
    }

    #[test]
    fn every_field_of_the_body_is_signed_and_named() {
        let good = signed(&[1]);
        let changes: [fn(&mut TransactionBody); 7] = [
            |body| body.chain.0.0[0] ^= 1,
            |body| body.payer = crate::AccountName::literal("mallory"),
            |body| body.authorisations.clear(),
            |body| body.actions[0].arguments.push(0),
            |body| body.expiry_ms += 1,
            |body| body.fee_limit.0 += 1,
            |body| body.salt += 1,
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed.body);
            assert!(!changed.verify_signatures());
            assert_ne!(changed.id(), good.id());
        }
    }

    #[test]
    fn the_id_does_not_depend_on_signatures() {
        assert_eq!(signed(&[1]).id(), signed(&[2, 3]).id());
    }

    #[test]
    fn a_signature_for_another_purpose_is_refused() {
        let key = KeyPair::from_seed([1; 32]);
        let body = samples::transaction_body();
        for (domain, good) in [(Domain::Transaction, true), (Domain::Slice, false), (Domain::NodeStatic, false)] {
            let signature = key.sign(domain, &body.chain, &body.to_bytes());
            let signatures = vec![TransactionSignature::Ed25519 { key: key.public(), signature }];
            assert_eq!(Transaction { body: body.clone(), signatures }.verify_signatures(), good);
        }
    }

    #[test]
    fn company_changes_no_verdict() {
        let mut forged = signed(&[4]);
        forged.body.salt += 1;
        let all = [signed(&[1]), signed(&[]), forged, signed(&[2, 2]), signed(&[2, 3])];
        let alone: Vec<bool> = all.iter().map(Transaction::verify_signatures).collect();
        assert_eq!(alone, [true, false, false, false, true]);
        assert_eq!(verify_transactions(&all), alone);
    }
}
