//! From what somebody wants done to a signed transaction: its expiry, its fee limit, its salt.

use hpb_base::UnixMillis;
use hpb_base::limits::{ACTIONS_MAX, AUTHORISATIONS_MAX, EXPIRY_AHEAD_MS_MAX, SIGNATURES_MAX};
use hpb_ledger::fees::{PRICE_MAX, Work};
use hpb_ledger::records::Tariff;
use hpb_types::{
    AccountName, Action, Amount, Authorisation, Canonical as _, ChainId, KeyPair, Signer, Transaction, TransactionBody,
};

/// Units that a limit leaves room for, an action: what the dearest of the built-in ones take, and more.
const UNITS_PER_ACTION: u64 = 200_000;
/// The price may rise as much until the transaction is included.
const PRICE_RISE: u32 = 4;
/// Bytes of a signature with its key.
const SIGNATURE_LEN: u64 = 1 + 32 + 64;

/// What somebody wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// The chain.
    pub chain: ChainId,
    /// Who pays.
    pub payer: AccountName,
    /// What stands behind it.
    pub authorisations: Vec<Authorisation>,
    /// What is done, in order.
    pub actions: Vec<Action>,
    /// How long it may take, in milliseconds from block time on.
    pub expires_in_ms: u64,
    /// The most that may be paid; none for what it is likely to take, four times over.
    pub fee_limit: Option<Amount>,
    /// What tells it from others of the same content.
    pub salt: u64,
}

/// Why a draft becomes no transaction.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DraftError {
    /// Nobody signs, or too many.
    #[error("a transaction is signed by 1 to {SIGNATURES_MAX} keys, each once")]
    Keys,
    /// Too much in it.
    #[error("a transaction names at most {AUTHORISATIONS_MAX} permissions and {ACTIONS_MAX} actions")]
    Counts,
    /// It would be larger than a transaction may be.
    #[error("the transaction would have {0} bytes, more than a transaction may have")]
    Length(usize),
    /// An expiry out of range.
    #[error("a transaction expires in 1 to {} seconds", EXPIRY_AHEAD_MS_MAX / 1_000)]
    Expiry,
    /// The fee is no amount.
    #[error("its fee would be more than every amount: state a limit")]
    Fee,
}

impl Draft {
    /// The transaction, signed by `keys`, as of block time `now` and a tariff at that price.
    ///
    /// # Errors
    /// What the draft lacks, or has too much of.
    pub fn sign(
        &self,
        keys: &[&KeyPair],
        now: UnixMillis,
        tariff: &Tariff,
        price: u32,
    ) -> Result<Transaction, DraftError> {
        let mut publics: Vec<_> = keys.iter().map(|key| key.public()).collect();
        publics.sort_unstable();
        publics.dedup();
        if publics.len() != keys.len() || !(1..=SIGNATURES_MAX).contains(&keys.len()) {
            return Err(DraftError::Keys);
        }
        if self.authorisations.len() > AUTHORISATIONS_MAX || self.actions.len() > ACTIONS_MAX {
            return Err(DraftError::Counts);
        }
        if !(1..=EXPIRY_AHEAD_MS_MAX).contains(&self.expires_in_ms) {
            return Err(DraftError::Expiry);
        }
        let mut body = TransactionBody {
            version: TransactionBody::VERSION,
            chain: self.chain,
            payer: self.payer,
            authorisations: self.authorisations.clone(),
            actions: self.actions.clone(),
            expiry_ms: now.plus(self.expires_in_ms).0,
            fee_limit: Amount::ZERO,
            salt: self.salt,
        };
        body.fee_limit = match self.fee_limit {
            Some(limit) => limit,
            None => likely_fee(&body, keys.len() as u64, tariff, price).ok_or(DraftError::Fee)?,
        };
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| *key as &dyn Signer).collect();
        let transaction = Transaction::sign(body, &signers);
        let len = transaction.to_bytes().len();
        if len > Transaction::LEN_MAX { Err(DraftError::Length(len)) } else { Ok(transaction) }
    }
}

fn likely_fee(body: &TransactionBody, signatures: u64, tariff: &Tariff, price: u32) -> Option<Amount> {
    let work = Work {
        bytes: body.to_bytes().len() as u64 + 4 + SIGNATURE_LEN * signatures,
        signatures,
        units: UNITS_PER_ACTION * body.actions.len() as u64,
    };
    tariff.fee(&work, price.saturating_mul(PRICE_RISE).min(PRICE_MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_ledger::account::ACTIVE;
    use hpb_ledger::fees::PRICE_ONE;
    use hpb_ledger::token::transfer_action;
    use hpb_types::{Fees, Hash};

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn tariff(per_byte: u128) -> Tariff {
        Tariff { fees: Fees { per_byte: Amount(per_byte), ..Fees::NONE }, deposit_per_byte: Amount::ZERO }
    }

    fn draft() -> Draft {
        let [alice, bob] = ["alice", "bob"].map(|name| name.parse().unwrap());
        Draft {
            chain: ChainId(Hash([1; 32])),
            payer: alice,
            authorisations: vec![Authorisation { account: alice, permission: ACTIVE }],
            actions: vec![transfer_action(alice, bob, Amount(5))],
            expires_in_ms: 60_000,
            fee_limit: None,
            salt: 9,
        }
    }

    #[test]
    fn a_draft_becomes_a_transaction_within_its_limit() {
        let keys = KeyPair::from_seed([3; 32]);
        let transaction = draft().sign(&[&keys], NOW, &tariff(7), PRICE_ONE).unwrap();
        assert!(transaction.verify_signatures());
        assert_eq!(transaction.body.expiry_ms, NOW.0 + 60_000);
        let len = transaction.to_bytes().len() as u128;
        assert_eq!(transaction.body.fee_limit, Amount(4 * 7 * len), "the bytes are counted as they are");
        let stated = Draft { fee_limit: Some(Amount(3)), ..draft() };
        assert_eq!(stated.sign(&[&keys], NOW, &tariff(7), PRICE_ONE).unwrap().body.fee_limit, Amount(3));
    }

    #[test]
    fn what_is_out_of_range_is_said() {
        let keys = KeyPair::from_seed([3; 32]);
        let fails = |draft: Draft, keys: &[&KeyPair], per_byte| {
            draft.sign(keys, NOW, &tariff(per_byte), PRICE_ONE).unwrap_err()
        };
        assert_eq!(fails(draft(), &[], 1), DraftError::Keys);
        assert_eq!(fails(draft(), &[&keys, &keys], 1), DraftError::Keys);
        assert_eq!(fails(Draft { expires_in_ms: 0, ..draft() }, &[&keys], 1), DraftError::Expiry);
        assert_eq!(fails(Draft { expires_in_ms: EXPIRY_AHEAD_MS_MAX + 1, ..draft() }, &[&keys], 1), DraftError::Expiry);
        let many = vec![draft().actions[0].clone(); ACTIONS_MAX + 1];
        assert_eq!(fails(Draft { actions: many, ..draft() }, &[&keys], 1), DraftError::Counts);
        assert_eq!(fails(draft(), &[&keys], u128::MAX), DraftError::Fee);
        let long = Action { arguments: vec![0; 32 << 10], ..draft().actions[0].clone() };
        assert!(matches!(fails(Draft { actions: vec![long], ..draft() }, &[&keys], 1), DraftError::Length(_)));
    }
}
