//! The chain's words: canonical bytes, messages, names, signatures, and what lies in the state.

use std::fmt::Debug;

use hpb_ledger::account::Account;
use hpb_ledger::key;
use hpb_ledger::records::{self, Included, SlotFees, Tariff, Window};
use hpb_ledger::system::CreateArguments;
use hpb_ledger::token::TransferArguments;
use hpb_types::{
    AccountName, ActionName, Amount, Batch, Block, Canonical, Certificate, Confirm, Digest, Genesis, Gossip, Hash,
    Hello, Message, PermissionName, PublicKey, Receipt, Roles, Schedule, Signature, Slice, SliceBundle, SliceRequest,
    Transaction, TransactionStatus, verify_raw,
};

use super::input::Input;

/// Checks one type: what decodes has exactly these bytes, and cut or followed by a byte it does not decode.
fn check<T: Canonical + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
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
    match which % 16 {
        0 => drop(check::<Transaction>(bytes).inspect(check_transaction)),
        1 => drop(check::<Slice>(bytes).inspect(|value| assert_eq!(value.reference().id, value.id()))),
        2 => drop(check::<Confirm>(bytes)),
        3 => drop(check::<Certificate>(bytes).inspect(check_certificate)),
        4 => drop(check::<Block>(bytes).inspect(|value| assert_eq!(value.slices.last(), Some(&value.id())))),
        5 => drop(check::<Genesis>(bytes).inspect(check_genesis)),
        6 => drop(check::<Receipt>(bytes)),
        7 => drop(check::<Schedule>(bytes)),
        8 => drop(check::<SliceBundle>(bytes)),
        9 => drop(check::<Gossip>(bytes)),
        10 => drop(check::<Digest>(bytes)),
        11 => drop(check::<Hello>(bytes)),
        12 => drop(check::<TransactionStatus>(bytes)),
        13 => drop(check::<SliceRequest>(bytes)),
        14 => drop(check::<TransferArguments>(bytes)),
        _ => drop(check::<CreateArguments>(bytes)),
    }
}

fn check_transaction(transaction: &Transaction) {
    let mut unsigned = transaction.clone();
    unsigned.signatures.clear();
    assert_eq!(unsigned.id(), transaction.id(), "the id does not depend on signatures");
    assert!(!unsigned.verify_signatures(), "what nobody signed is not signed");
    assert_eq!(transaction.keys().count(), transaction.signatures.len());
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

/// What lies in the state: keys and records, of a store that may be damaged.
///
/// # Panics
/// If a key or a record does not read back as it was.
pub fn state(bytes: &[u8]) {
    if let Some(place) = key::parse(bytes) {
        assert_eq!(key::of_place(place).as_slice(), bytes);
    }
    check_record::<Tariff>(bytes);
    check_record::<SlotFees>(bytes);
    check_record::<Window>(bytes);
    check_record::<Amount>(bytes);
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
