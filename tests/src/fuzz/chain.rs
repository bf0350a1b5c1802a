//! The chain's words: canonical bytes, messages, names, signatures, proofs of randomness, and what lies in the state.

use std::collections::BTreeSet;
use std::fmt::Debug;

use hpb_ledger::account::Account;
use hpb_ledger::authority::delegation::{Allowance, Delegation};
use hpb_ledger::deposit::Deposit;
use hpb_ledger::dpos::{
    Activity, BondArguments, OfferProxyArguments, Producer, ProducerArguments, ProxyArguments, RegisterArguments,
    ReportArguments, Roster, Stake, StakeArguments, Term, UpdateArguments, VoteArguments, WithdrawArguments,
};
use hpb_ledger::fees::Load;
use hpb_ledger::key;
use hpb_ledger::records::{self, Included, SlotFees, Tariff, Window};
use hpb_ledger::system::{
    ApproveArguments, CreateArguments, DeletePermissionArguments, DeleteRoleArguments, Due, GrantArguments, Proposal,
    ProposalArguments, ProposeArguments, SetPermissionArguments, SetRoleArguments,
};
use hpb_ledger::token::{ReleaseArguments, TransferArguments, Vesting};
use hpb_types::{
    AccountName, ActionName, Amount, Batch, Block, Canonical, Certificate, ChainId, Confirm, Digest, Epoch, Evidence,
    Fault, Genesis, Gossip, Hash, Hello, Message, NextSchedule, PermissionName, PublicKey, Receipt, Roles, Schedule,
    Signature, Slice, SliceBundle, SliceRef, SliceRequest, SliceStatement, Slot, Transaction, TransactionStatus,
    VrfProof, VrfPublic, VrfSecret, verify, verify_raw,
};

use super::input::Input;

/// Checks one type: what decodes has exactly these bytes, and cut or followed by a byte it does not decode.
pub(super) fn check<T: Canonical + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    assert!(bytes.len() <= T::LEN_MAX);
    let again = value.to_bytes();
    assert_eq!(again, bytes, "one encoding a value");
    assert_eq!(T::from_bytes(&again).as_ref(), Ok(&value));
    assert!(T::from_bytes(&bytes[..bytes.len() - 1]).is_err(), "no value is another's beginning");
    assert!(T::from_bytes(&[bytes, &[0]].concat()).is_err(), "nothing follows a value");
    Some(value)
}

/// Decodes the canonical type that the first byte names.
///
/// # Panics
/// If a value has two encodings, or what follows from it contradicts it.
pub fn codec(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 36 {
        0 => drop(check::<Transaction>(bytes).inspect(check_transaction)),
        1 => drop(check::<Slice>(bytes).inspect(check_slice)),
        2 => drop(check::<Confirm>(bytes)),
        3 => drop(check::<Certificate>(bytes).inspect(check_certificate)),
        4 => drop(check::<Block>(bytes).inspect(|value| assert_eq!(value.slices.last(), Some(&value.id())))),
        5 => drop(check::<Genesis>(bytes).inspect(check_genesis)),
        6 => drop(check::<Receipt>(bytes)),
        7 => drop(check::<Schedule>(bytes).inspect(check_schedule)),
        8 => drop(check::<SliceBundle>(bytes)),
        9 => drop(check::<Gossip>(bytes)),
        10 => drop(check::<Digest>(bytes)),
        11 => drop(check::<Hello>(bytes)),
        12 => drop(check::<TransactionStatus>(bytes)),
        13 => drop(check::<SliceRequest>(bytes)),
        14 => drop(check::<TransferArguments>(bytes)),
        15 => drop(check::<CreateArguments>(bytes)),
        16 => drop(check::<Evidence>(bytes).inspect(check_evidence)),
        17 => drop(check::<StakeArguments>(bytes)),
        18 => drop(check::<WithdrawArguments>(bytes)),
        19 => drop(check::<VoteArguments>(bytes)),
        20 => drop(check::<ProxyArguments>(bytes)),
        21 => drop(check::<OfferProxyArguments>(bytes)),
        22 => drop(check::<RegisterArguments>(bytes)),
        23 => drop(check::<BondArguments>(bytes)),
        24 => drop(check::<UpdateArguments>(bytes)),
        25 => drop(check::<ProducerArguments>(bytes)),
        26 => drop(check::<ReportArguments>(bytes).inspect(|value| check_evidence(&value.evidence))),
        27 => drop(check::<SetPermissionArguments>(bytes)),
        28 => drop(check::<DeletePermissionArguments>(bytes)),
        29 => drop(check::<SetRoleArguments>(bytes)),
        30 => drop(check::<DeleteRoleArguments>(bytes)),
        31 => drop(check::<GrantArguments>(bytes)),
        32 => drop(check::<ReleaseArguments>(bytes)),
        33 => drop(check::<ProposeArguments>(bytes)),
        34 => drop(check::<ApproveArguments>(bytes)),
        _ => drop(check::<ProposalArguments>(bytes)),
    }
}

fn check_transaction(transaction: &Transaction) {
    let mut unsigned = transaction.clone();
    unsigned.signatures.clear();
    assert_eq!(unsigned.id(), transaction.id(), "the id does not depend on signatures");
    assert!(!unsigned.verify_signatures(), "what nobody signed is not signed");
    assert_eq!(transaction.keys().count(), transaction.signatures.len());
}

fn check_slice(slice: &Slice) {
    let statement = slice.body.statement();
    assert_eq!((statement.epoch, statement.slice), (slice.body.epoch, slice.reference()));
    assert_eq!((slice.reference().height, slice.reference().id), (slice.body.height(), slice.id()));
    assert_eq!(check::<SliceStatement>(&statement.to_bytes()), Some(statement));
    check_certificate(&slice.body.source);
    if let NextSchedule::Fixed(schedule) = &slice.body.next {
        check_schedule(schedule);
    }
}

fn check_schedule(schedule: &Schedule) {
    let draw = |producers| Schedule::draw(schedule.epoch, schedule.seed, producers);
    let drawn = draw(schedule.producers.clone());
    assert!(drawn.has_same_weights(schedule), "the order alone is drawn");
    let names: BTreeSet<AccountName> = schedule.producers.iter().map(|producer| producer.name).collect();
    if names.len() == schedule.producers.len() {
        let reversed = draw(schedule.producers.iter().rev().cloned().collect());
        assert_eq!(reversed, drawn, "the order depends on the seed and the names alone");
    }
    for slot in [0, 1, u64::MAX].map(Slot) {
        assert!(names.contains(&schedule.producer_at(slot).name));
    }
    let total = schedule.total_weight();
    assert!(!schedule.is_quorum(0) && schedule.is_quorum(total) == (total > 0));
}

/// The bytes of no point: nobody signs by this key.
const NO_KEY: PublicKey = {
    let mut bytes = [0; 32];
    bytes[0] = 2;
    PublicKey(bytes)
};

fn check_evidence(evidence: &Evidence) {
    assert_eq!(evidence.fault().to_bytes(), evidence.to_bytes()[..1], "evidence and its fault have one tag");
    // The chain is that of the first word; a slice's statement is of whichever chain it is judged on.
    let (chain, turned, doubled) = match evidence.clone() {
        Evidence::TwoSlices { producer, first, second } => (
            ChainId(Hash::ZERO),
            Evidence::TwoSlices { producer, first: second, second: first },
            Evidence::TwoSlices { producer, first, second: first },
        ),
        Evidence::TwoConfirms { first, second } => (
            first.body.chain,
            Evidence::TwoConfirms { first: second, second: first.clone() },
            Evidence::TwoConfirms { first: first.clone(), second: first },
        ),
        Evidence::Surround { outer, inner } => (
            outer.body.chain,
            Evidence::Surround { outer: inner, inner: outer.clone() },
            Evidence::Surround { outer: outer.clone(), inner: outer },
        ),
    };
    let verdict = evidence.check(&chain);
    assert!(doubled.check(&chain).is_err(), "one word is no fault");
    if evidence.fault() == Fault::Surround {
        assert!(verdict.is_err() || turned.check(&chain).is_err(), "each of two links is within the other");
    } else {
        assert_eq!(turned.check(&chain), verdict, "it does not matter which of the words is first");
    }
    if verdict.is_ok() {
        assert_eq!(turned.producer(), evidence.producer());
    }
    let [one, other] = evidence.epochs();
    assert_eq!(turned.epochs(), [other, one]);
    assert!(!evidence.is_signed(&chain, &[NO_KEY; 2], verify), "what nobody signed is not signed");
}

fn check_certificate(certificate: &Certificate) {
    for quorum in &certificate.quorums {
        assert!(quorum.producers.is_canonical());
        assert_eq!(quorum.producers.iter().count(), quorum.producers.count());
        assert!(quorum.producers.iter().all(|index| index < hpb_base::limits::PRODUCERS_MAX));
    }
}

fn check_genesis(genesis: &Genesis) {
    if genesis.validate().is_ok() {
        assert!(genesis.supply().is_some(), "a valid genesis has a supply");
        let schedule = genesis.schedule();
        assert!(schedule.is_quorum(schedule.total_weight()) && !schedule.is_quorum(0));
        assert_eq!(schedule.producers.len(), genesis.producers.len());
    }
}

/// Decodes a message: its kind, then its body.
///
/// # Panics
/// If a body has two meanings, or a bound does not hold.
pub fn message(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    let Ok(message) = Message::decode(*kind, body) else { return };
    assert_eq!(message.kind(), *kind);
    assert_eq!(message.encode(), body, "one encoding a message");
    assert!(Message::len_max(*kind).is_some_and(|len_max| body.len() <= len_max));
    assert!((0..8).any(|roles| Message::may_send(Roles(roles), *kind)), "somebody may send it");
    assert_eq!(Message::decode(*kind, &message.encode()), Ok(message));
}

/// Reads names, and texts of hashes and keys.
///
/// # Panics
/// If a name breaks its rules, or does not read back.
pub fn name(bytes: &[u8]) {
    check::<AccountName>(bytes).iter().for_each(check_name);
    check::<PermissionName>(bytes);
    check::<ActionName>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = AccountName::new(text) {
        assert_eq!(name.as_str(), text);
        check_name(&name);
    }
    // An account's name is a name of every kind; the shorter kinds differ in length alone.
    let (permission, action) = (PermissionName::new(text), ActionName::new(text));
    assert_eq!(permission.is_ok(), action.is_ok());
    assert_eq!(AccountName::new(text).is_ok(), permission.is_ok() && text.len() >= 3);
    if let Ok(hash) = Hash::from_hex(text) {
        assert_eq!(hash.to_hex(), text.to_ascii_lowercase());
    }
    if let Ok(key) = PublicKey::from_hex(text) {
        assert_eq!(key.to_hex(), text.to_ascii_lowercase());
    }
    if let Ok(slice) = text.parse::<SliceRef>() {
        assert_eq!(slice.to_text().parse(), Ok(slice));
        assert!(text.to_ascii_lowercase().ends_with(&slice.id.to_hex()));
    }
}

fn check_name(name: &AccountName) {
    let text = name.as_str();
    assert!((3..=32).contains(&text.len()));
    assert!(text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')));
    assert!(!text.starts_with(['.', '-']) && !text.ends_with(['.', '-']));
    if let Some(address) = name.address() {
        assert_eq!(AccountName::from_address(address), *name);
    }
    assert_eq!(name.to_bytes().len(), 4 + text.len());
}

/// Signatures of strangers: key, signature, message; then the same in company.
///
/// # Panics
/// If a signature is judged otherwise in company than alone: that would split a chain.
pub fn signature(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut claims = Vec::new();
    while claims.len() < 8 {
        let (key, sign) = (input.take(32), input.take(64));
        let (Ok(key), Ok(sign)) = (key.try_into(), sign.try_into()) else { break };
        let Some(len) = input.byte() else { break };
        claims.push((PublicKey(key), Signature(sign), input.take(usize::from(len))));
    }
    let alone: Vec<bool> = claims.iter().map(|(key, sign, message)| verify_raw(message, key, sign)).collect();
    let mut batch = Batch::new();
    for (key, sign, message) in &claims {
        batch.push_raw(message, key, sign);
    }
    assert_eq!(batch.verify(), alone, "company changes no verdict");
}

/// Proofs of the verifiable random function by strangers: a key, an input, then proofs about it. Then the key's bytes as
/// a secret.
///
/// # Panics
/// If two outputs are proven, one is proven by a key that may not be registered, or an honest proof is not believed.
pub fn vrf(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let Ok(key) = input.take(32).try_into() else { return };
    let Some(len) = input.byte() else { return };
    let (public, alpha) = (VrfPublic(key), input.take(usize::from(len)));
    let mut outputs = BTreeSet::new();
    for _ in 0..4 {
        let Ok(proof) = input.take(80).try_into().map(VrfProof) else { break };
        if let Some(output) = public.verify(alpha, &proof) {
            assert!(public.is_acceptable_for_registration());
            assert_eq!(proof.output(), Some(output));
            outputs.insert(output);
        }
    }
    assert!(outputs.len() <= 1, "a key and an input have one output");
    let secret = VrfSecret::from_seed(key);
    let proof = secret.prove(alpha);
    assert!(proof.output().is_some() && secret.public().verify(alpha, &proof) == proof.output());
    assert!(public == secret.public() || public.verify(alpha, &proof).is_none(), "a proof is one key's");
}

/// What lies in the state: keys and records, of a store that may be damaged.
///
/// # Panics
/// If a key or a record does not read back as it was.
pub fn state(bytes: &[u8]) {
    if let Some(place) = key::parse(bytes) {
        assert_eq!(key::of_place(place).as_slice(), bytes);
    }
    check_record::<Tariff>(bytes);
    check_record::<Load>(bytes);
    check_record::<Proposal>(bytes);
    check_record::<Due>(bytes);
    check_record::<SlotFees>(bytes);
    check_record::<Window>(bytes);
    check_record::<Amount>(bytes);
    check_record::<Hash>(bytes);
    check_record::<Epoch>(bytes);
    check_record::<AccountName>(bytes);
    check_record::<Roster>(bytes);
    check_record::<Term>(bytes);
    check_record::<Activity>(bytes);
    check_record::<Deposit>(bytes);
    check_record::<Allowance>(bytes);
    if let Some(vesting) = check_record::<Vesting>(bytes) {
        assert!(vesting.sum().is_none_or(|sum| vesting.parts.iter().all(|part| part.amount <= sum)));
    }
    if let Some(delegation) = check_record::<Delegation>(bytes)
        && delegation.validate().is_ok()
    {
        assert!(delegation.grants.iter().all(|grant| delegation.role(grant.role).is_some()));
    }
    if let Some(stake) = check_record::<Stake>(bytes) {
        assert!(stake.power().is_none_or(|power| power >= stake.staked));
        assert!(stake.held().is_none_or(|held| held >= stake.staked));
    }
    if let Some(producer) = check_record::<Producer>(bytes)
        && let Some(key) = producer.key_at(Epoch(u64::MAX))
    {
        assert_eq!(producer.keys.last().map(|last| last.key), Some(key), "the last key serves from some epoch on");
    }
    if let Some(included) = check_record::<Included>(bytes) {
        assert_eq!(Included::slot_of(bytes), Some(included.slot));
    }
    if let Some(account) = check_record::<Account>(bytes)
        && account.validate().is_ok()
    {
        for permission in &account.permissions {
            assert!(account.upward(permission.name).count() <= account.permissions.len());
        }
    }
}

fn check_record<T: Canonical>(bytes: &[u8]) -> Option<T> {
    let record: T = records::load(bytes)?;
    assert_eq!(records::store(&record).as_slice(), bytes);
    Some(record)
}
