//! Authority: who may act for an account. Here, the check whether what somebody brings satisfies a permission: one
//! function, asked at a transaction's start and for proposals. What passed it then answers contracts (`permit`), by the
//! account's tree or by what the account granted to others ([`delegation`]).
//!
//! A permission is satisfied when the weights of its parts that are satisfied reach its threshold, when one above it is,
//! or when one of them was approved: parents satisfy children, never the reverse. Waits count where there was a delay: a
//! transaction that executes at once has waited for nothing. Depth and steps are bounded at the check, so that accounts
//! that refer to each other in a circle are harmless and need no search when they are made.

pub mod delegation;
pub mod explain;
pub(crate) mod permit;

use core::cmp::Reverse;

use hpb_base::limits::{AUTHORITY_DEPTH_MAX, AUTHORITY_STEPS_MAX, SIGNATURES_MAX};
use hpb_types::{AccountName, Authorisation, PublicKey};

use crate::account::{Account, Permission};

/// Where the check finds accounts.
pub type Accounts<'a, E> = dyn FnMut(AccountName) -> Result<Option<Account>, E> + 'a;

/// What is brought to satisfy permissions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing<'a> {
    /// Keys that signed, at most `SIGNATURES_MAX`.
    pub keys: &'a [PublicKey],
    /// Permissions that approved.
    pub approvals: &'a [Authorisation],
    /// How long it has waited, in milliseconds.
    pub waited_ms: u64,
}

impl<'a> Standing<'a> {
    /// Keys that signed, and nothing else.
    pub fn signed(keys: &'a [PublicKey]) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Whether the permission of that account, or one above it, approved.
    fn approves(&self, account: &Account, asked: &Authorisation) -> bool {
        let of_account = self.approvals.iter().filter(|by| by.account == asked.account);
        of_account.into_iter().any(|by| account.covers(by.permission, asked.permission))
    }
}

/// Which of the keys were needed: bit i for key i.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UsedKeys(pub u64);

/// Whether `standing` satisfies `authorisation`: which of its keys it took, or `None`. The heaviest parts are looked at
/// first, keys before accounts, waits last, until the threshold is reached.
///
/// # Errors
/// What `accounts` says.
pub fn judge<E>(
    authorisation: &Authorisation,
    standing: Standing<'_>,
    accounts: &mut Accounts<'_, E>,
) -> Result<Option<UsedKeys>, E> {
    judge_within(AUTHORITY_DEPTH_MAX, authorisation, standing, accounts)
}

/// [`judge`] following at most `depth` references between accounts.
///
/// # Errors
/// What `accounts` says.
pub fn judge_within<E>(
    depth: usize,
    authorisation: &Authorisation,
    standing: Standing<'_>,
    accounts: &mut Accounts<'_, E>,
) -> Result<Option<UsedKeys>, E> {
    assert!(standing.keys.len() <= SIGNATURES_MAX, "the transaction's signatures were counted at its decoding");
    let used = Check { standing, accounts, steps: Steps::new() }.satisfied(authorisation, depth)?;
    Ok(used.map(UsedKeys))
}

/// What a check may still look at: each account that is asked for is a step, and each permission that is weighed.
struct Steps {
    left: usize,
}

impl Steps {
    fn new() -> Self {
        Self { left: AUTHORITY_STEPS_MAX }
    }

    /// Takes one; false if there is none left.
    fn take(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

struct Check<'a, 'b, E> {
    standing: Standing<'a>,
    accounts: &'a mut Accounts<'b, E>,
    steps: Steps,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Key(&'a PublicKey),
    Account(&'a Authorisation),
    Wait(u64),
}

impl<E> Check<'_, '_, E> {
    /// The keys that it takes to satisfy the permission or one above it; `depth` references may follow.
    fn satisfied(&mut self, authorisation: &Authorisation, depth: usize) -> Result<Option<u64>, E> {
        if !self.steps.take() {
            return Ok(None);
        }
        let Some(account) = (self.accounts)(authorisation.account)? else {
            return Ok(None);
        };
        if self.standing.approves(&account, authorisation) {
            return Ok(Some(0));
        }
        for permission in account.upward(authorisation.permission) {
            if let Some(used) = self.weigh(permission, depth)? {
                return Ok(Some(used));
            }
        }
        Ok(None)
    }

    /// The keys that it takes to reach the permission's own threshold.
    fn weigh(&mut self, permission: &Permission, depth: usize) -> Result<Option<u64>, E> {
        if !self.steps.take() {
            return Ok(None);
        }
        let authority = &permission.authority;
        let keys = authority.keys.iter().map(|part| (part.weight, Part::Key(&part.key)));
        let accounts = authority.accounts.iter().map(|part| (part.weight, Part::Account(&part.authorisation)));
        let waits = authority.waits.iter().map(|part| (part.weight, Part::Wait(part.wait_ms)));
        // One alone, as most permissions have, is in order.
        if authority.keys.len() + authority.accounts.len() <= 1 {
            return self.reach(authority.threshold, keys.chain(accounts).chain(waits), depth);
        }
        let mut parts: Vec<(u16, Part<'_>)> = keys.chain(accounts).collect();
        parts.sort_by_key(|(weight, _)| Reverse(*weight));
        self.reach(authority.threshold, parts.into_iter().chain(waits), depth)
    }

    /// The keys that it takes to reach `threshold`, if parts are looked at in this order.
    fn reach<'p>(
        &mut self,
        threshold: u32,
        parts: impl Iterator<Item = (u16, Part<'p>)>,
        depth: usize,
    ) -> Result<Option<u64>, E> {
        let (mut reached, mut used) = (0_u32, 0_u64);
        for (weight, part) in parts {
            if let Some(needed) = self.part(part, depth)? {
                reached += u32::from(weight);
                used |= needed;
                if reached >= threshold {
                    return Ok(Some(used));
                }
            }
        }
        Ok(None)
    }

    fn part(&mut self, part: Part<'_>, depth: usize) -> Result<Option<u64>, E> {
        match part {
            Part::Key(key) => Ok(self.standing.keys.iter().position(|signer| signer == key).map(|index| 1 << index)),
            Part::Account(authorisation) => match depth.checked_sub(1) {
                Some(depth) => self.satisfied(authorisation, depth),
                None => Ok(None),
            },
            Part::Wait(wait_ms) => Ok((self.standing.waited_ms >= wait_ms).then_some(0)),
        }
    }
}

#[cfg(test)]
mod tests;
