//! What the tests of this crate share: a small chain, its keys, its transactions.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use hpb_types::{
    AccountName, Action, Amount, Authorisation, DposParameters, EngineChoice, Fees, Genesis, GenesisAccount,
    GenesisProducer, Hash, Height, KeyPair, PermissionName, Signer, SliceRef, Slot, Transaction, TransactionBody,
    VrfPublic, VrfSecret, Weighting,
};

use crate::account::ACTIVE;
use crate::apply::SliceContext;
use crate::checked::Checked;
use crate::token::transfer_action;

pub(crate) const FEE_PER_BYTE: u128 = 3;
pub(crate) const SLOT_MS: u32 = 3_000;
/// What each person holds at genesis.
pub(crate) const ENDOWMENT: Amount = Amount(1_000_000);

pub(crate) fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

/// The key of an account of these tests: drawn from its name.
pub(crate) fn key_of(account: &str) -> KeyPair {
    KeyPair::from_seed(Hash::of(account.as_bytes()).0)
}

/// The key of a producer's slices in these tests.
pub(crate) fn slices_key_of(producer: &str) -> KeyPair {
    key_of(&format!("{producer}.slices"))
}

/// The key of a producer's part of the beacon in these tests.
pub(crate) fn beacon_key_of(producer: &str) -> VrfPublic {
    beacon_secret_of(producer).public()
}

/// Its secret half.
pub(crate) fn beacon_secret_of(producer: &str) -> VrfSecret {
    VrfSecret::from_seed(Hash::of(format!("{producer}.beacon").as_bytes()).0)
}

/// Two producers without a balance, who stay for ever, and the people with [`ENDOWMENT`] each.
pub(crate) fn genesis(people: &[&str]) -> Genesis {
    let producers = ["prod-a", "prod-b"];
    let mut genesis = genesis_of(EngineChoice::Authority, &producers, people, Amount::ZERO);
    genesis.fees.per_byte = Amount(FEE_PER_BYTE);
    genesis
}

/// Producers who have bonded the least and have no balance, and the people with [`ENDOWMENT`] each, without fees.
pub(crate) fn dpos_genesis(producers: &[&str], people: &[&str]) -> Genesis {
    let parameters = dpos_parameters();
    let bond = parameters.bond_min;
    genesis_of(EngineChoice::Dpos(parameters), producers, people, bond)
}

pub(crate) fn dpos_parameters() -> DposParameters {
    DposParameters {
        producers_max: 5,
        weighting: Weighting::Equal,
        bond_min: Amount(1_000),
        release_slots: 25,
        cut_permille: 400,
        reporter_permille: 100,
        reward_per_slot: Amount(200),
        reward_pool: Amount(100_000),
    }
}

fn genesis_of(engine: EngineChoice, producers: &[&str], people: &[&str], bond: Amount) -> Genesis {
    let account = |person: &&str, balance| GenesisAccount {
        name: name(person),
        key: key_of(person).public(),
        balance,
        vesting: Vec::new(),
    };
    let mut accounts: Vec<GenesisAccount> = producers.iter().map(|person| account(person, Amount::ZERO)).collect();
    accounts.extend(people.iter().map(|person| account(person, ENDOWMENT)));
    accounts.sort_by_key(|account| account.name);
    let producers = producers.iter().map(|producer| GenesisProducer {
        name: name(producer),
        key: slices_key_of(producer).public(),
        beacon: beacon_key_of(producer),
        bond,
    });
    Genesis {
        version: Genesis::VERSION,
        label: "test".to_owned(),
        time_ms: 1_000_000,
        slot_ms: SLOT_MS,
        slice_ms: 50,
        delta_ms: 100,
        epoch_slots: 100,
        fees: Fees::NONE,
        deposit_per_byte: Amount::ZERO,
        engine,
        producers: producers.collect(),
        accounts,
    }
}

/// The context of a slice in epoch 0 that brings no certificate and no beacon.
pub(crate) fn context(genesis: &Genesis, slot: u64, index: u32) -> SliceContext {
    let schedule = genesis.schedule();
    let producer = schedule.producer_at(Slot(slot)).name;
    SliceContext {
        slot: Slot(slot),
        index,
        producer,
        schedule: Arc::new(schedule),
        confirmers: Vec::new(),
        beacon: None,
    }
}

/// A slice of that place; `fork` tells apart those of one place.
pub(crate) fn slice(slot: u64, index: u32, fork: u64) -> SliceRef {
    let id = Hash::of_parts("test slice", &[&slot.to_le_bytes(), &index.to_le_bytes(), &fork.to_le_bytes()]);
    SliceRef { height: Height::new(slot, index), id }
}

pub(crate) fn by(account: &str, permission: PermissionName) -> Authorisation {
    Authorisation { account: name(account), permission }
}

/// A transaction paid and authorised by `payer`, good for the first slots.
pub(crate) fn body(genesis: &Genesis, payer: &str, actions: Vec<Action>, salt: u64) -> TransactionBody {
    TransactionBody {
        version: 1,
        chain: genesis.chain_id(),
        payer: name(payer),
        authorisations: vec![by(payer, ACTIVE)],
        actions,
        expiry_ms: genesis.time_ms + 300_000,
        fee_limit: Amount(10_000),
        salt,
    }
}

pub(crate) fn signed(body: TransactionBody, signers: &[&str]) -> Checked {
    let keys: Vec<KeyPair> = signers.iter().map(|signer| key_of(signer)).collect();
    Checked::verify(Transaction::sign(body, &keys.iter().map(|key| key as &dyn Signer).collect::<Vec<_>>())).unwrap()
}

pub(crate) fn transfer(genesis: &Genesis, from: &str, to: &str, amount: u128, salt: u64) -> Checked {
    let action = transfer_action(name(from), name(to), Amount(amount));
    signed(body(genesis, from, vec![action], salt), &[from])
}

/// A transfer that nobody signed in earnest, for where signatures play no part.
pub(crate) fn unsigned_transfer(genesis: &Genesis, from: &str, to: &str, amount: u128, salt: u64) -> Checked {
    unsigned(body(genesis, from, vec![transfer_action(name(from), name(to), Amount(amount))], salt))
}

/// A transaction with the payer's key and no signature in earnest.
pub(crate) fn unsigned(body: TransactionBody) -> Checked {
    let signature = hpb_types::TransactionSignature::Ed25519 {
        key: key_of(body.payer.as_str()).public(),
        signature: hpb_types::Signature([0; 64]),
    };
    Checked::verified(Transaction { body, signatures: vec![signature] }).unwrap()
}
