//! The keys of a devnet's accounts and terminals, and the transfers that they sign.
//!
//! Every key follows from the run's seed and a name, so that the genesis and the terminals come to the same ones
//! without telling each other. They are for a devnet alone: who knows the seed has all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hpb_base::limits::{ACCOUNT_KEYS_MAX, EXPIRY_AHEAD_MS_MAX};
use hpb_ledger::account::ACTIVE;
use hpb_ledger::fees::{PRICE_ONE, Work};
use hpb_ledger::records::Tariff;
use hpb_ledger::token::{TRANSFER_UNITS_MAX, transfer_action};
use hpb_toe::Identity;
use hpb_types::{
    AccountName, Amount, Authorisation, Canonical, ChainId, Fees, Hash, KeyPair, PublicKey, Signature, Transaction,
    TransactionBody, TransactionSignature,
};

use crate::workload::{Submission, Workload};

/// How far ahead of block time a terminal lets its transactions expire, in milliseconds: half of what the rules allow,
/// so that clocks may be off by minutes.
pub const EXPIRY_AHEAD_MS: u64 = EXPIRY_AHEAD_MS_MAX / 2;

/// The key of an account of the devnet with `seed`, for its owner and its active permission.
pub fn party_keys(seed: u64, name: &AccountName) -> KeyPair {
    KeyPair::from_seed(party_seed(seed, name))
}

/// What [`party_keys`] draws a key from.
pub fn party_seed(seed: u64, name: &AccountName) -> [u8; 32] {
    Hash::of_parts("devnet account key", &[&seed.to_le_bytes(), name.as_str().as_bytes()]).0
}

/// The identity of terminal `number` of the devnet with `seed`: an Ed25519 key and an X25519 key of its own. Costs a
/// signature and two multiplications of a base point.
pub fn terminal_identity(seed: u64, number: u32, chain: ChainId) -> Identity {
    let secret = Hash::of_parts("devnet terminal identity", &[&seed.to_le_bytes(), &number.to_le_bytes()]);
    Identity::new(secret.0, chain)
}

/// The highest price that a terminal pays, in parts of [`PRICE_ONE`].
const PRICE_PAID_MAX: u32 = 2 * PRICE_ONE;

/// The most that one transfer of a devnet costs, by the bytes of one between the longest names, at twice the lowest price;
/// every transfer carries it as its limit, and [`Workload::endow`] wants it for each. `None` above every amount.
pub fn transfer_fee_max(fees: Fees) -> Option<Amount> {
    let work = Work { bytes: transfer_len_max() as u64, signatures: 1, units: TRANSFER_UNITS_MAX };
    Tariff { fees, deposit_per_byte: Amount::ZERO }.fee(&work, PRICE_PAID_MAX)
}

/// Bytes of a signed transfer between the longest names.
fn transfer_len_max() -> usize {
    let longest = AccountName::from_address([0; 20]);
    let body = transfer(ChainId(Hash::ZERO), longest, longest);
    let signature = TransactionSignature::Ed25519 { key: PublicKey([0; 32]), signature: Signature([0; 64]) };
    Transaction { body, signatures: vec![signature] }.to_bytes().len()
}

/// A transfer of nothing without expiry, fee limit and salt.
fn transfer(chain: ChainId, from: AccountName, to: AccountName) -> TransactionBody {
    TransactionBody {
        version: TransactionBody::VERSION,
        chain,
        payer: from,
        authorisations: vec![Authorisation { account: from, permission: ACTIVE }],
        actions: vec![transfer_action(from, to, Amount::ZERO)],
        expiry_ms: 0,
        fee_limit: Amount::ZERO,
        salt: 0,
    }
}

/// Makes transactions of submissions.
pub(super) struct Wallet {
    chain: ChainId,
    seed: u64,
    fee_limit: Amount,
    transfer_len_max: usize,
    workload: Arc<Workload>,
    keys: BTreeMap<u32, KeyPair>,
}

impl Wallet {
    pub(super) fn new(chain: ChainId, seed: u64, fee_limit: Amount, workload: Arc<Workload>) -> Self {
        Self { chain, seed, fee_limit, transfer_len_max: transfer_len_max(), workload, keys: BTreeMap::new() }
    }

    /// Bytes that one of its transactions has at most.
    pub(super) fn transfer_len_max(&self) -> usize {
        self.transfer_len_max
    }

    /// What `submission` asks of the chain: the same at each call.
    pub(super) fn body(&self, submission: &Submission, expiry_ms: u64) -> TransactionBody {
        let (from, to) = (self.name(submission.transfer.from), self.name(submission.transfer.to));
        TransactionBody {
            actions: vec![transfer_action(from, to, submission.transfer.amount)],
            expiry_ms,
            fee_limit: self.fee_limit,
            salt: submission.salt,
            ..transfer(self.chain, from, to)
        }
    }

    /// The signed transaction's bytes. Costs a signature, and a key's derivation at a sender's first.
    pub(super) fn signed(&mut self, submission: &Submission, expiry_ms: u64) -> Vec<u8> {
        let body = self.body(submission, expiry_ms);
        let sender = submission.transfer.from;
        if let Some(keys) = self.keys.get(&sender) {
            return Transaction::sign(body, &[keys]).to_bytes();
        }
        let keys = party_keys(self.seed, &body.payer);
        let bytes = Transaction::sign(body, &[&keys]).to_bytes();
        if self.keys.len() < ACCOUNT_KEYS_MAX {
            self.keys.insert(sender, keys);
        }
        bytes
    }

    fn name(&self, party: u32) -> AccountName {
        self.workload.parties()[party as usize].name
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;
    use crate::workload::{FITTED, Source};

    const CHAIN: ChainId = ChainId(Hash([3; 32]));

    #[test]
    fn a_transfer_is_signed_by_its_payer_and_within_its_limit() {
        let workload = Arc::new(Workload::drawn(&FITTED, 1, 40).unwrap());
        let fees = Fees { per_byte: Amount(7), per_signature: Amount(90), per_unit: Amount(2), slot_units: 0 };
        let tariff = Tariff { fees, deposit_per_byte: Amount::ZERO };
        let fee_limit = transfer_fee_max(fees).unwrap();
        let mut wallet = Wallet::new(CHAIN, 5, fee_limit, Arc::clone(&workload));
        let mut ids = BTreeSet::new();
        for submission in Source::new(Arc::clone(&workload), 5).take(80) {
            let bytes = wallet.signed(&submission, 99);
            assert_eq!(bytes, wallet.signed(&submission, 99), "one submission, one transaction");
            assert!(bytes.len() <= wallet.transfer_len_max());
            let work = Work { bytes: bytes.len() as u64, signatures: 1, units: TRANSFER_UNITS_MAX };
            assert!(tariff.fee(&work, PRICE_PAID_MAX).unwrap() <= fee_limit);
            let transaction = Transaction::from_bytes(&bytes).unwrap();
            assert!(transaction.verify_signatures());
            assert_eq!(transaction.body, wallet.body(&submission, 99));
            let payer = workload.parties()[submission.transfer.from as usize].name;
            assert_eq!((transaction.body.payer, transaction.body.chain), (payer, CHAIN));
            assert!(transaction.keys().eq([&party_keys(5, &payer).public()]));
            assert!(ids.insert(transaction.id()), "a repeat has another salt");
        }
        assert_eq!(transfer_fee_max(Fees { per_byte: Amount(u128::MAX), ..Fees::NONE }), None);
    }

    #[test]
    fn every_key_is_its_owners_alone() {
        let names = ["alice", "bob"].map(AccountName::literal);
        let mut keys = BTreeSet::new();
        for seed in [1, 2] {
            for name in &names {
                assert!(keys.insert(party_keys(seed, name).public()));
            }
            for number in [0, 1] {
                let identity = terminal_identity(seed, number, CHAIN);
                assert_eq!(identity.public(), terminal_identity(seed, number, CHAIN).public());
                assert!(keys.insert(identity.public()));
            }
        }
    }
}
