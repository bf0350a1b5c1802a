//! The tree of an account's permissions: `set-permission` and `delete-permission`.
//!
//! A change needs the permission that changes, or one above it; a new one, and one that moves, needs the one that it is
//! to stand under. `owner` and `active` stay; what has children, a grant, or is a part of another permission of its
//! account stays until those are gone.

use hpb_types::{AccountName, Action, ActionName, Canonical, PermissionName, RejectReason};
use hpb_vm::{Call, Host};

use super::{arguments, judge_authority, need_account, read_delegation, tell, write_account};
use crate::account::{ACTIVE, Account, OWNER, Parent, Permission};
use crate::key::SYSTEM;
use crate::native::Stop;

/// The action that makes a permission or changes it, and its event.
pub const SET_PERMISSION: ActionName = ActionName::literal("set-permission");
/// The action that takes a permission away, and its event.
pub const DELETE_PERMISSION: ActionName = ActionName::literal("delete-permission");

/// The arguments of `set-permission`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetPermissionArguments {
    /// Whose tree.
    pub account: AccountName,
    /// The permission as it shall be.
    pub permission: Permission,
}

/// The arguments of `delete-permission`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletePermissionArguments {
    /// Whose tree.
    pub account: AccountName,
    /// Which permission.
    pub permission: PermissionName,
}

hpb_types::layout!(SetPermissionArguments { account, permission });
hpb_types::layout!(DeletePermissionArguments { account, permission });

/// The action by which `account` has `permission` in its tree.
pub fn set_permission_action(account: AccountName, permission: Permission) -> Action {
    let arguments = SetPermissionArguments { account, permission };
    Action { contract: SYSTEM, action: SET_PERMISSION, arguments: arguments.to_bytes() }
}

/// The action by which `account` has that permission no more.
pub fn delete_permission_action(account: AccountName, permission: PermissionName) -> Action {
    let arguments = DeletePermissionArguments { account, permission };
    Action { contract: SYSTEM, action: DELETE_PERMISSION, arguments: arguments.to_bytes() }
}

pub(super) fn set(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let SetPermissionArguments { account: name, permission } = arguments(call.arguments)?;
    let before = need_account(host, name)?;
    let present = before.permission(permission.name).map(|present| present.parent);
    let moves_under = match permission.parent {
        Parent::Under(parent) if present != Some(permission.parent) => Some(parent),
        _ => None,
    };
    if present.is_none() && moves_under.is_none() {
        // A second root.
        return Err(RejectReason::BadPermission.into());
    }
    for needed in present.map(|_| permission.name).into_iter().chain(moves_under) {
        if !host.is_authorised(name, needed)? {
            return Err(RejectReason::Unauthorised.into());
        }
    }
    judge_authority(host, &permission.authority)?;
    let mut after = before.clone();
    after.put_permission(permission);
    write_account(host, name, name, Some(&before), &after)?;
    tell(host, call)
}

pub(super) fn delete(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let DeletePermissionArguments { account: name, permission } = arguments(call.arguments)?;
    let before = need_account(host, name)?;
    if before.permission(permission).is_none() {
        return Err(RejectReason::NoSuchPermission.into());
    }
    if !host.is_authorised(name, permission)? {
        return Err(RejectReason::Unauthorised.into());
    }
    if permission == OWNER || permission == ACTIVE {
        return Err(RejectReason::BadPermission.into());
    }
    let grants = read_delegation(host, name)?.grants;
    let is_granted = grants.iter().any(|grant| grant.to.account == name && grant.to.permission == permission);
    if is_granted || is_referred_to(&before, name, permission) {
        return Err(RejectReason::InUse.into());
    }
    let mut after = before.clone();
    after.take_permission(permission);
    write_account(host, name, name, Some(&before), &after)?;
    tell(host, call)
}

/// Whether a permission of the account stands under that one, or has it as a part.
fn is_referred_to(account: &Account, name: AccountName, permission: PermissionName) -> bool {
    account.permissions.iter().any(|other| {
        other.parent == Parent::Under(permission)
            || other
                .authority
                .accounts
                .iter()
                .any(|part| part.authorisation.account == name && part.authorisation.permission == permission)
    })
}
