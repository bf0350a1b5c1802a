//! The system contract: accounts, their trees of permissions, their roles and grants, what they propose to do together,
//! and what lies in the state for who has none of it.
//!
//! Whoever changes who may act for an account satisfies what it changes, or what stands above it; no grant does. What an
//! account's record and roles take of the state is paid for ([`crate::deposit`]).

mod attest;
mod create;
mod delegation;
mod permissions;
pub(crate) mod proposals;

use hpb_types::{AccountName, ActionName, Canonical, ChainId, RejectReason};
use hpb_vm::{Call, Host, Place};

pub use attest::{ATTEST, AttestArguments, Attested, Found, Value, attest_action};
pub use create::{CREATE, CREATED, CreateArguments, Created, create_action, is_reserved};
pub use delegation::{
    DELETE_ROLE, DeleteRoleArguments, GRANT, GrantArguments, REVOKE, SET_ROLE, SetRoleArguments, delete_role_action,
    grant_action, revoke_action, set_role_action,
};
pub use permissions::{
    DELETE_PERMISSION, DeletePermissionArguments, SET_PERMISSION, SetPermissionArguments, delete_permission_action,
    set_permission_action,
};
pub use proposals::{
    APPROVE, Approval, ApproveArguments, CANCEL, Due, EXECUTE, PROPOSE, Proposal, ProposalArguments, ProposeArguments,
    Terms, WITHDRAW, approve_action, cancel_action, execute_action, propose_action, withdraw_action,
};

use crate::account::{Account, Authority};
use crate::authority::delegation::Delegation;
use crate::bytes::Bytes;
use crate::deposit;
use crate::key::{self, ACCOUNT, DELEGATION};
use crate::native::Stop;
use crate::records::{load, store};

/// What a policy allows that lets its holder have an account pay its transactions' fees: no contract answers to it.
pub const FEE: ActionName = ActionName::literal("fee");

/// Units of judging one key: the decompression of a point.
pub(crate) const KEY_UNITS: u64 = 1_000;

/// Runs an action on that chain.
pub(crate) fn dispatch(host: &mut dyn Host, chain: ChainId, call: &Call<'_>) -> Result<(), Stop> {
    match call.action {
        ATTEST => attest::attest(host, call.arguments),
        CREATE => create::create(host, call.arguments),
        SET_PERMISSION => permissions::set(host, call),
        DELETE_PERMISSION => permissions::delete(host, call),
        SET_ROLE => delegation::set_role(host, call),
        DELETE_ROLE => delegation::delete_role(host, call),
        GRANT => delegation::grant(host, call),
        REVOKE => delegation::revoke(host, call),
        PROPOSE => proposals::propose(host, chain, call),
        APPROVE => proposals::approve(host, call),
        WITHDRAW => proposals::withdraw(host, call),
        EXECUTE => proposals::execute(host, call),
        CANCEL => proposals::cancel(host, call),
        _ => Err(RejectReason::NoSuchAction.into()),
    }
}

fn arguments<T: Canonical>(bytes: &[u8]) -> Result<T, Stop> {
    T::from_bytes(bytes).map_err(|_| RejectReason::Malformed.into())
}

/// The account's record.
fn need_account(host: &mut dyn Host, account: AccountName) -> Result<Account, Stop> {
    let record: Option<Bytes> = host.read(Place { account, table: ACCOUNT, sub_key: &[] })?.map(Bytes::from);
    load(&record.ok_or(RejectReason::NoSuchAccount)?).ok_or(Stop::Damaged)
}

fn read_delegation(host: &mut dyn Host, account: AccountName) -> Result<Delegation, Stop> {
    match host.read(Place { account, table: DELEGATION, sub_key: &[] })? {
        Some(bytes) => load(bytes).ok_or(Stop::Damaged),
        None => Ok(Delegation::default()),
    }
}

/// Puts an account's record where it lies, once it is one, and has `payer` pay for what it grew.
fn write_account(
    host: &mut dyn Host,
    account: AccountName,
    payer: AccountName,
    before: Option<&Account>,
    after: &Account,
) -> Result<(), Stop> {
    after.validate().map_err(|_| RejectReason::BadPermission)?;
    let value = store(after);
    let room = |value: &Bytes| key::of(account, ACCOUNT).len() + value.len();
    deposit::resize(host, account, payer, before.map_or(0, |before| room(&store(before))), room(&value))?;
    Ok(host.write(Place { account, table: ACCOUNT, sub_key: &[] }, &value)?)
}

/// Puts an account's roles and grants where they lie, once they are some, and has it pay for what they grew.
fn write_delegation(
    host: &mut dyn Host,
    account: AccountName,
    before: &Delegation,
    after: &Delegation,
) -> Result<(), Stop> {
    after.validate().map_err(|_| RejectReason::BadRole)?;
    let place = Place { account, table: DELEGATION, sub_key: &[] };
    let room = |delegation: &Delegation| {
        if delegation.is_empty() { 0 } else { key::of_place(place).len() + store(delegation).len() }
    };
    deposit::resize(host, account, account, room(before), room(after))?;
    let written = if after.is_empty() { host.remove(place) } else { host.write(place, &store(after)) };
    Ok(written?)
}

/// Judges an authority that is to stand in an account's tree: what it refers to is there, and no key is anyone's.
fn judge_authority(host: &mut dyn Host, authority: &Authority) -> Result<(), Stop> {
    authority.validate().map_err(|_| RejectReason::BadPermission)?;
    for part in &authority.accounts {
        judge_reference(host, &part.authorisation)?;
    }
    // Decompressions of points: the dearest work of a call, and so the last check.
    for part in &authority.keys {
        host.charge(KEY_UNITS)?;
        if !part.key.is_acceptable_for_registration() {
            return Err(RejectReason::BadKey.into());
        }
    }
    Ok(())
}

/// Whether a permission that is referred to is there: one that is not could be made by a stranger later.
fn judge_reference(host: &mut dyn Host, to: &hpb_types::Authorisation) -> Result<(), Stop> {
    let account = need_account(host, to.account)?;
    account.permission(to.permission).map(|_| ()).ok_or_else(|| RejectReason::NoSuchPermission.into())
}

/// Says that the action took effect, as it was asked for.
fn tell(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    Ok(host.emit(call.action, call.arguments.to_vec())?)
}

#[cfg(test)]
mod tests;
