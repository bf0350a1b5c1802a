//! `create` makes an account. Names of addresses and of the built-in contracts can't be chosen.

use hpb_types::{AccountName, Action, ActionName, Canonical, RejectReason};
use hpb_vm::{Host, Intent, Place};

use super::{arguments, judge_authority, write_account};
use crate::account::{Account, Authority};
use crate::key::{ACCOUNT, SYSTEM};
use crate::native::{Native, Stop};

/// The action.
pub const CREATE: ActionName = ActionName::literal("create");
/// The event that tells of it.
pub const CREATED: ActionName = ActionName::literal("created");

/// The arguments of `create`. Needs `active` of `creator`, or a grant of this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateArguments {
    /// Who makes it, and pays for its room.
    pub creator: AccountName,
    /// Its name.
    pub name: AccountName,
    /// What satisfies `owner`.
    pub owner: Authority,
    /// What satisfies `active`.
    pub active: Authority,
}

/// The data of the event `created`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// Who made it.
    pub creator: AccountName,
    /// Its name.
    pub name: AccountName,
}

hpb_types::layout!(CreateArguments { creator, name, owner, active });
hpb_types::layout!(Created { creator, name });

/// The action by which `creator` makes the account `name` with these authorities: a key is one.
pub fn create_action(
    creator: AccountName,
    name: AccountName,
    owner: impl Into<Authority>,
    active: impl Into<Authority>,
) -> Action {
    let arguments = CreateArguments { creator, name, owner: owner.into(), active: active.into() };
    Action { contract: SYSTEM, action: CREATE, arguments: arguments.to_bytes() }
}

/// Whether nobody may choose the name.
pub fn is_reserved(name: AccountName) -> bool {
    Native::has(name) || name.is_address_form()
}

pub(super) fn create(host: &mut dyn Host, bytes: &[u8]) -> Result<(), Stop> {
    let CreateArguments { creator, name, owner, active } = arguments(bytes)?;
    if !host.is_permitted(creator, &Intent { amount: None, counterparty: Some(name) })? {
        return Err(RejectReason::Unauthorised.into());
    }
    if is_reserved(name) {
        return Err(RejectReason::BadName.into());
    }
    if host.read(Place { account: name, table: ACCOUNT, sub_key: &[] })?.is_some() {
        return Err(RejectReason::AccountExists.into());
    }
    for authority in [&owner, &active] {
        judge_authority(host, authority)?;
    }
    write_account(host, name, creator, None, &Account::new(owner, active))?;
    Ok(host.emit(CREATED, Created { creator, name }.to_bytes())?)
}
