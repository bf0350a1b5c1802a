//! `hpb account`: accounts of a devnet's chain.

use hpb_devnet::accounts::{explain, list, read};
use hpb_devnet::chain_view::ChainView;
use hpb_devnet::history::{Asked, history};
use hpb_ledger::account::{OWNER, Parent, Permission};
use hpb_ledger::authority::Standing;
use hpb_ledger::authority::delegation::{Bound, Policy, Role};
use hpb_ledger::key::{ACCOUNT, BALANCE};
use hpb_ledger::system::{
    attest_action, create_action, delete_permission_action, grant_action, revoke_action, set_permission_action,
    set_role_action,
};
use hpb_types::{AccountName, Amount, PermissionName};

use crate::bench::print;
use crate::command_line::{Account, PolicyOptions};
use crate::failure::Failure;
use crate::producer::print_json;
use crate::send::{send, view};
use crate::transaction::{asked_of, look_alike_of};

pub(crate) fn run(what: Account) -> Result<(), Failure> {
    match what {
        Account::Create { creator, name, owner, active, despite_look_alikes, sending } => {
            let view = view(&sending)?;
            if !despite_look_alikes && let Some(other) = look_alike_of(&view, name)? {
                return Err(Failure::input(format_args!(
                    "`{name}` is easily taken for `{other}`, which is another account: if you mean `{name}`, say \
                     --despite-look-alikes"
                )));
            }
            let active = active.unwrap_or_else(|| owner.clone());
            send(&sending, &view, creator, vec![create_action(creator, name, owner, active)])
        }
        Account::Show { name, source } => {
            let account = read(&source.data, source.validator, name).map_err(Failure::input)?;
            let account = account.ok_or_else(|| Failure::input(format_args!("there is no account `{name}`")))?;
            if source.json { print_json(&account) } else { print(&account.detail()) }
        }
        Account::Set { account, permission, to, under, delete, sending } => {
            let view = view(&sending)?;
            let action = match to {
                Some(authority) if !delete => {
                    let parent = parent_of(&view, account, permission, under)?;
                    set_permission_action(account, Permission { name: permission, parent, authority })
                }
                _ => delete_permission_action(account, permission),
            };
            send(&sending, &view, account, vec![action])
        }
        Account::Explain { permission, keys, approvals, waited_s, source } => {
            let standing = Standing { keys: &keys, approvals: &approvals, waited_ms: waited_s.saturating_mul(1_000) };
            let explained = explain(&source.data, source.validator, &permission, standing).map_err(Failure::input)?;
            if source.json { print_json(&explained) } else { print(&explained.detail()) }
        }
        Account::Attest { asker, name, sending } => {
            let actions = [ACCOUNT, BALANCE].map(|table| attest_action(name, table, &[]));
            send(&sending, &view(&sending)?, asker, actions.to_vec())
        }
        Account::Link { account, role, to, revoke, policy, sending } => {
            let view = view(&sending)?;
            let mut actions = Vec::new();
            if revoke {
                actions.push(revoke_action(account, role, to));
            } else {
                if let Some(policy) = policy_of(&policy) {
                    actions.push(set_role_action(account, Role { name: role, policies: vec![policy] }));
                }
                actions.push(grant_action(account, role, to));
            }
            send(&sending, &view, account, actions)
        }
        Account::History { name, kind, part, source } => {
            let asked = Asked { account: Some(name), kind, ..asked_of(&part) };
            let history = history(&source.data, source.validator, &asked).map_err(Failure::input)?;
            if source.json { print_json(&history) } else { print(&history.detail()) }
        }
        Account::List { prefix, after, limit, source } => {
            let accounts = list(&source.data, source.validator, &prefix, after, limit).map_err(Failure::input)?;
            if source.json { print_json(&accounts) } else { print(&accounts.detail()) }
        }
    }
}

/// What a permission is to stand under: what was said, else what it stands under now, else `owner`.
fn parent_of(
    view: &ChainView,
    account: AccountName,
    permission: PermissionName,
    under: Option<PermissionName>,
) -> Result<Parent, Failure> {
    if let Some(under) = under {
        return Ok(Parent::Under(under));
    }
    let found = view.ledger.account(&view.ledger.final_slice().id, account).map_err(Failure::work)?;
    let present = found.and_then(|found| found.record.permission(permission).map(|present| present.parent));
    Ok(present.unwrap_or(Parent::Under(OWNER)))
}

/// The policy that the options state; none without a call.
fn policy_of(options: &PolicyOptions) -> Option<Policy> {
    let (contract, action) = options.call?;
    let mut counterparties = options.counterparties.clone();
    counterparties.sort();
    counterparties.dedup();
    let mut windows = options.week.clone();
    windows.sort();
    windows.dedup();
    let bound = |amount: Option<Amount>| amount.map_or(Bound::None, Bound::AtMost);
    Some(Policy {
        contract,
        action,
        counterparties,
        per_transaction_max: bound(options.per_transaction),
        per_day_max: bound(options.per_day),
        from_ms: options.from.unwrap_or(0),
        until_ms: options.until_date.unwrap_or(u64::MAX),
        windows,
    })
}
