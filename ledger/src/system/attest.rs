//! `attest` says what lies at a place of the state: a proof of its receipt proves that, and so needs no tree over all
//! records, which every transfer would have to keep up. Whoever asks pays for it; the state is everybody's to see.

use hpb_base::limits::{ATTESTED_VALUE_LEN_MAX, STATE_SUB_KEY_LEN_MAX};
use hpb_types::{AccountName, Action, ActionName, Canonical, Hash};
use hpb_vm::{Host, Place, Table};

use super::arguments;
use crate::key::SYSTEM;
use crate::native::Stop;

/// The action, and the event that tells what lies there.
pub const ATTEST: ActionName = ActionName::literal("attest");

/// The arguments of `attest`: a place of the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttestArguments {
    /// Whose record.
    pub account: AccountName,
    /// Its table, as [`crate::key`] numbers them.
    pub table: u8,
    /// What tells it from others of the table: at most 256 bytes.
    pub sub_key: Vec<u8>,
}

/// The data of the event `attest`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attested {
    /// The place.
    pub place: AttestArguments,
    /// What lies there before the actions that follow, and after those that precede.
    pub found: Found,
}

/// What lies at a place of the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// This record.
    Value(Value),
    /// A longer one, of which this is the tagged hash `state value`.
    Hash(Hash),
}

/// The bytes of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// The bytes: at most 16 KiB.
    pub bytes: Vec<u8>,
}

hpb_types::layout!(AttestArguments { account, table, sub_key: bytes(0..=STATE_SUB_KEY_LEN_MAX) });
hpb_types::layout!(Attested { place, found });
hpb_types::tagged!(Found { 0 => Nothing, 1 => Value(value), 2 => Hash(hash) });
hpb_types::layout!(Value { bytes: bytes(0..=ATTESTED_VALUE_LEN_MAX) });

/// The action that has the chain say what lies at a place.
pub fn attest_action(account: AccountName, table: Table, sub_key: &[u8]) -> Action {
    let arguments = AttestArguments { account, table: table.0, sub_key: sub_key.to_vec() };
    Action { contract: SYSTEM, action: ATTEST, arguments: arguments.to_bytes() }
}

pub(super) fn attest(host: &mut dyn Host, bytes: &[u8]) -> Result<(), Stop> {
    let place: AttestArguments = arguments(bytes)?;
    let at = Place { account: place.account, table: Table(place.table), sub_key: &place.sub_key };
    let found = match host.read(at)? {
        None => Found::Nothing,
        Some(value) if value.len() <= ATTESTED_VALUE_LEN_MAX => Found::Value(Value { bytes: value.to_vec() }),
        Some(value) => Found::Hash(Hash::of_parts("state value", &[value])),
    };
    Ok(host.emit(ATTEST, Attested { place, found }.to_bytes())?)
}
