//! Roles and grants: `set-role`, `delete-role`, `grant`, `revoke`. Each needs `active`: a role does nothing that `active`
//! could not do.

use hpb_types::{AccountName, Action, ActionName, Authorisation, Canonical, PermissionName, RejectReason};
use hpb_vm::{Call, Host};

use super::{arguments, judge_reference, need_account, read_delegation, tell, write_delegation};
use crate::account::ACTIVE;
use crate::authority::delegation::{Delegation, Grant, Role};
use crate::authority::permit::{allowance, allowance_sub_key};
use crate::key::SYSTEM;
use crate::native::Stop;

/// The action that makes a role or changes it, and its event. What its policies let out today is forgotten.
pub const SET_ROLE: ActionName = ActionName::literal("set-role");
/// The action that takes away a role that nobody has, and its event.
pub const DELETE_ROLE: ActionName = ActionName::literal("delete-role");
/// The action that gives somebody a role, and its event. One that has it has it still.
pub const GRANT: ActionName = ActionName::literal("grant");
/// The action that takes a role from somebody, and its event.
pub const REVOKE: ActionName = ActionName::literal("revoke");

/// The arguments of `set-role`. Needs `active` of `account`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetRoleArguments {
    /// Whose role.
    pub account: AccountName,
    /// The role as it shall be.
    pub role: Role,
}

/// The arguments of `delete-role`. Needs `active` of `account`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteRoleArguments {
    /// Whose role.
    pub account: AccountName,
    /// Which.
    pub role: PermissionName,
}

/// The arguments of `grant` and `revoke`. Needs `active` of `account`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantArguments {
    /// Whose role.
    pub account: AccountName,
    /// Which, and who has it.
    pub grant: Grant,
}

hpb_types::layout!(SetRoleArguments { account, role });
hpb_types::layout!(DeleteRoleArguments { account, role });
hpb_types::layout!(GrantArguments { account, grant });

/// The action by which `account` has that role.
pub fn set_role_action(account: AccountName, role: Role) -> Action {
    Action { contract: SYSTEM, action: SET_ROLE, arguments: SetRoleArguments { account, role }.to_bytes() }
}

/// The action by which `account` has that role no more.
pub fn delete_role_action(account: AccountName, role: PermissionName) -> Action {
    Action { contract: SYSTEM, action: DELETE_ROLE, arguments: DeleteRoleArguments { account, role }.to_bytes() }
}

/// The action by which `account` lets whoever satisfies `to` act by `role`.
pub fn grant_action(account: AccountName, role: PermissionName, to: Authorisation) -> Action {
    let arguments = GrantArguments { account, grant: Grant { role, to } };
    Action { contract: SYSTEM, action: GRANT, arguments: arguments.to_bytes() }
}

/// The action by which `account` lets `to` act by `role` no more.
pub fn revoke_action(account: AccountName, role: PermissionName, to: Authorisation) -> Action {
    let arguments = GrantArguments { account, grant: Grant { role, to } };
    Action { contract: SYSTEM, action: REVOKE, arguments: arguments.to_bytes() }
}

pub(super) fn set_role(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let SetRoleArguments { account, role } = arguments(call.arguments)?;
    change(host, call, account, |host, delegation| match delegation.put_role(role) {
        Some(before) => forget_allowances(host, account, &before),
        None => Ok(()),
    })
}

pub(super) fn delete_role(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let DeleteRoleArguments { account, role } = arguments(call.arguments)?;
    change(host, call, account, |host, delegation| {
        let before = delegation.take_role(role).ok_or(RejectReason::NoSuchRole)?;
        if delegation.grants.iter().any(|grant| grant.role == role) {
            return Err(RejectReason::InUse.into());
        }
        forget_allowances(host, account, &before)
    })
}

pub(super) fn grant(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let GrantArguments { account, grant } = arguments(call.arguments)?;
    change(host, call, account, |host, delegation| {
        if delegation.role(grant.role).is_none() {
            return Err(RejectReason::NoSuchRole.into());
        }
        judge_reference(host, &grant.to)?;
        delegation.put_grant(grant);
        Ok(())
    })
}

pub(super) fn revoke(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let GrantArguments { account, grant } = arguments(call.arguments)?;
    change(host, call, account, |_, delegation| {
        if delegation.take_grant(&grant) { Ok(()) } else { Err(RejectReason::NoSuchRole.into()) }
    })
}

fn change(
    host: &mut dyn Host,
    call: &Call<'_>,
    account: AccountName,
    change: impl FnOnce(&mut dyn Host, &mut Delegation) -> Result<(), Stop>,
) -> Result<(), Stop> {
    need_account(host, account)?;
    if !host.is_authorised(account, ACTIVE)? {
        return Err(RejectReason::Unauthorised.into());
    }
    let before = read_delegation(host, account)?;
    let mut after = before.clone();
    change(host, &mut after)?;
    write_delegation(host, account, &before, &after)?;
    tell(host, call)
}

/// What a role's policies let out today counts for other policies no more.
fn forget_allowances(host: &mut dyn Host, account: AccountName, role: &Role) -> Result<(), Stop> {
    for index in 0..role.policies.len() {
        host.remove(allowance(account, &allowance_sub_key(role.name, index as u8)))?;
    }
    Ok(())
}
