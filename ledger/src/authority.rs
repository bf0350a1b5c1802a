//! Authority: who may act for an account. Here, the check whether the keys that signed stand behind a permission: one
//! function, one caller (the transaction's start). What passed it then answers contracts (`permit`), by the account's
//! tree or by what the account granted to others ([`delegation`]).
//!
//! A permission is satisfied when the weights of its parts that are satisfied reach its threshold, or when one above it
//! is: parents satisfy children, never the reverse. Waits count for nothing here: a transaction that executes at once
//! has waited for nothing. Depth and steps are bounded at the check, so that accounts that refer to each other in a
//! circle are harmless and need no search when they are made.

pub mod delegation;
pub mod explain;
pub(crate) mod permit;

use core::cmp::Reverse;

use hpb_base::limits::{AUTHORITY_DEPTH_MAX, AUTHORITY_STEPS_MAX, SIGNATURES_MAX};
use hpb_types::{AccountName, Authorisation, PublicKey};

use crate::account::{Account, Permission};

/// Where the check finds accounts.
pub type Accounts<'a, E> = dyn FnMut(AccountName) -> Result<Option<Account>, E> + 'a;

/// Which of the keys were needed: bit i for key i.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UsedKeys(pub u64);

/// Whether `keys`, at most `SIGNATURES_MAX`, satisfy `authorisation`: which of them it took, or `None`. The heaviest
/// parts are looked at first, keys before accounts, until the threshold is reached.
///
/// # Errors
/// What `accounts` says.
pub fn judge<E>(
    authorisation: &Authorisation,
    keys: &[PublicKey],
    accounts: &mut Accounts<'_, E>,
) -> Result<Option<UsedKeys>, E> {
    judge_within(AUTHORITY_DEPTH_MAX, authorisation, keys, accounts)
}

/// [`judge`] following at most `depth` references between accounts.
///
/// # Errors
/// What `accounts` says.
pub fn judge_within<E>(
    depth: usize,
    authorisation: &Authorisation,
    keys: &[PublicKey],
    accounts: &mut Accounts<'_, E>,
) -> Result<Option<UsedKeys>, E> {
    assert!(keys.len() <= SIGNATURES_MAX, "the transaction's signatures were counted at its decoding");
    let used = Check { keys, accounts, steps_left: AUTHORITY_STEPS_MAX }.satisfied(authorisation, depth)?;
    Ok(used.map(UsedKeys))
}

struct Check<'a, 'b, E> {
    keys: &'a [PublicKey],
    accounts: &'a mut Accounts<'b, E>,
    steps_left: usize,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Key(&'a PublicKey),
    Account(&'a Authorisation),
}

impl<E> Check<'_, '_, E> {
    /// The keys that it takes to satisfy the permission or one above it; `depth` references may follow.
    fn satisfied(&mut self, authorisation: &Authorisation, depth: usize) -> Result<Option<u64>, E> {
        if !self.take_step() {
            return Ok(None);
        }
        let Some(account) = (self.accounts)(authorisation.account)? else {
            return Ok(None);
        };
        for permission in account.upward(authorisation.permission) {
            if let Some(used) = self.weigh(permission, depth)? {
                return Ok(Some(used));
            }
        }
        Ok(None)
    }

    /// The keys that it takes to reach the permission's own threshold.
    fn weigh(&mut self, permission: &Permission, depth: usize) -> Result<Option<u64>, E> {
        if !self.take_step() {
            return Ok(None);
        }
        let authority = &permission.authority;
        let keys = authority.keys.iter().map(|part| (part.weight, Part::Key(&part.key)));
        let accounts = authority.accounts.iter().map(|part| (part.weight, Part::Account(&part.authorisation)));
        let mut parts: Vec<(u16, Part<'_>)> = keys.chain(accounts).collect();
        parts.sort_by_key(|(weight, _)| Reverse(*weight));
        let (mut reached, mut used) = (0_u32, 0_u64);
        for (weight, part) in parts {
            if let Some(needed) = self.part(part, depth)? {
                reached += u32::from(weight);
                used |= needed;
                if reached >= authority.threshold {
                    return Ok(Some(used));
                }
            }
        }
        Ok(None)
    }

    fn take_step(&mut self) -> bool {
        let left = self.steps_left.checked_sub(1);
        self.steps_left = left.unwrap_or(0);
        left.is_some()
    }

    fn part(&mut self, part: Part<'_>, depth: usize) -> Result<Option<u64>, E> {
        match part {
            Part::Key(key) => Ok(self.keys.iter().position(|signer| signer == key).map(|index| 1 << index)),
            Part::Account(authorisation) => match depth.checked_sub(1) {
                Some(depth) => self.satisfied(authorisation, depth),
                None => Ok(None),
            },
        }
    }
}

#[cfg(test)]
mod tests;
