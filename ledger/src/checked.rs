//! A transaction that was judged by itself: its size, its counts, its key signatures. What needs state is judged in the
//! tracked view.

use core::ops::Deref;
use std::sync::Arc;

use hpb_base::limits::{ACTIONS_MAX, AUTHORISATIONS_MAX, SIGNATURES_MAX, TRANSACTION_LEN_MAX};
use hpb_types::{Canonical, Hash, PublicKey, RejectReason, Transaction};

/// A transaction whose key signatures are good, with its id and length. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Checked(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transaction: Transaction,
    id: Hash,
    len: usize,
    signers: Vec<PublicKey>,
}

impl Checked {
    /// Judges the transaction and its signatures.
    ///
    /// # Errors
    /// [`RejectReason::Malformed`] beyond the limits, [`RejectReason::BadSignature`] unless every signature is good,
    /// there is one, and no key signs twice.
    pub fn verify(transaction: Transaction) -> Result<Self, RejectReason> {
        let checked = Self::verified(transaction)?;
        if checked.verify_signatures() { Ok(checked) } else { Err(RejectReason::BadSignature) }
    }

    /// Judges all but the signatures: the caller states that [`Transaction::verify_signatures`], or its batch form, has
    /// said yes to this very transaction.
    ///
    /// # Errors
    /// [`RejectReason::Malformed`] beyond the limits.
    pub fn verified(transaction: Transaction) -> Result<Self, RejectReason> {
        let body = &transaction.body;
        let counts_fit = body.actions.len() <= ACTIONS_MAX
            && body.authorisations.len() <= AUTHORISATIONS_MAX
            && transaction.signatures.len() <= SIGNATURES_MAX;
        let len = transaction.to_bytes().len();
        if !counts_fit || len > TRANSACTION_LEN_MAX {
            return Err(RejectReason::Malformed);
        }
        let (id, signers) = (transaction.id(), transaction.keys().copied().collect());
        Ok(Self(Arc::new(Inner { transaction, id, len, signers })))
    }

    /// The transaction's id.
    pub fn id(&self) -> Hash {
        self.0.id
    }

    /// Its canonical bytes' count, signatures included: what the fee is paid for.
    pub fn bytes_len(&self) -> usize {
        self.0.len
    }

    /// The keys that signed it, in order.
    pub fn signers(&self) -> &[PublicKey] {
        &self.0.signers
    }

    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.0.transaction
    }
}

impl Deref for Checked {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.0.transaction
    }
}

impl PartialEq for Checked {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id && self.0.transaction == other.0.transaction
    }
}

impl Eq for Checked {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_types::{Action, TransactionSignature};

    use super::*;
    use crate::testing::{body, genesis, key_of, transfer};

    #[test]
    fn signatures_and_sizes_are_judged() {
        let genesis = genesis(&["alice", "bob"]);
        let good = transfer(&genesis, "alice", "bob", 1, 1);
        assert_eq!(good.bytes_len(), good.transaction().to_bytes().len());
        assert_eq!(good.id(), good.transaction().id());

        let mut unsigned = good.transaction().clone();
        unsigned.signatures.clear();
        assert_eq!(Checked::verify(unsigned), Err(RejectReason::BadSignature));
        let mut changed = good.transaction().clone();
        changed.body.salt += 1;
        assert_eq!(Checked::verify(changed), Err(RejectReason::BadSignature));
        let mut twice = good.transaction().clone();
        twice.signatures.push(twice.signatures[0].clone());
        assert_eq!(Checked::verify(twice), Err(RejectReason::BadSignature));

        let mut crowded = good.transaction().clone();
        let TransactionSignature::Ed25519 { signature, .. } = crowded.signatures[0].clone();
        crowded.signatures = (0..=SIGNATURES_MAX)
            .map(|number| TransactionSignature::Ed25519 { key: key_of(&number.to_string()).public(), signature })
            .collect();
        assert_eq!(Checked::verified(crowded), Err(RejectReason::Malformed));
        let action = good.body.actions[0].clone();
        let too_many = body(&genesis, "alice", vec![action.clone(); ACTIONS_MAX + 1], 1);
        let signatures = good.signatures.clone();
        let too_many = Transaction { body: too_many, signatures: signatures.clone() };
        assert_eq!(Checked::verified(too_many), Err(RejectReason::Malformed));
        let too_long = Action { arguments: vec![0; TRANSACTION_LEN_MAX], ..action };
        let too_long = Transaction { body: body(&genesis, "alice", vec![too_long], 1), signatures };
        assert_eq!(Checked::verified(too_long), Err(RejectReason::Malformed));
    }
}
