//! Why somebody satisfies a permission, or does not: what [`super::judge`] looks at, in its order, with what it finds.

use core::cmp::Reverse;

use hpb_base::limits::AUTHORITY_DEPTH_MAX;
use hpb_types::{Authorisation, PermissionName, PublicKey};

use super::{Accounts, Standing, Steps};
use crate::account::Permission;

/// What was found of one permission that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// Which.
    pub asked: Authorisation,
    /// The answer.
    pub verdict: Verdict,
    /// What was weighed: the permission, then those above it, until one was satisfied.
    pub weighed: Vec<Weighed>,
}

/// The answer to whether a permission is satisfied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is, by that permission of its account: itself, or one above it.
    Satisfied(PermissionName),
    /// It was approved, by itself or by one above it.
    Approved,
    /// Neither it nor one above it is.
    Unsatisfied,
    /// Its account does not exist.
    NoSuchAccount,
    /// Its account has no such permission.
    NoSuchPermission,
    /// The check looks no further: it has looked at as much as it may.
    OutOfSteps,
}

/// One permission against its threshold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weighed {
    /// Which.
    pub permission: PermissionName,
    /// The weight that satisfies it.
    pub threshold: u32,
    /// What its parts came to.
    pub reached: u32,
    /// Its parts, in the order in which they were looked at.
    pub parts: Vec<Part>,
}

/// One part of a permission.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// What it counts if it is satisfied.
    pub weight: u16,
    /// What it is.
    pub kind: PartKind,
    /// Whether it counts.
    pub finding: Finding,
}

/// What a part of a permission is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartKind {
    /// A key.
    Key(PublicKey),
    /// A permission of an account.
    Account(Authorisation),
    /// A delay, in milliseconds.
    Wait(u64),
}

/// What was found of a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The key signed.
    Signed,
    /// The key did not sign.
    NotSigned,
    /// What the account's permission came to.
    Account(Box<Explained>),
    /// So many references between accounts lie before it that no more is followed.
    TooDeep,
    /// That long was waited.
    Waited,
    /// Not that long was waited.
    NotWaited,
    /// The threshold was reached before it.
    NotNeeded,
}

impl Explained {
    /// Whether the permission is satisfied.
    pub fn is_satisfied(&self) -> bool {
        matches!(self.verdict, Verdict::Satisfied(_) | Verdict::Approved)
    }
}

impl Part {
    /// Whether it counts.
    pub fn counts(&self) -> bool {
        match &self.finding {
            Finding::Signed | Finding::Waited => true,
            Finding::Account(explained) => explained.is_satisfied(),
            Finding::NotSigned | Finding::TooDeep | Finding::NotWaited | Finding::NotNeeded => false,
        }
    }
}

/// Why `standing` satisfies `authorisation`, or does not. The answer is [`super::judge`]'s.
///
/// # Errors
/// What `accounts` says.
pub fn explain<E>(
    authorisation: &Authorisation,
    standing: Standing<'_>,
    accounts: &mut Accounts<'_, E>,
) -> Result<Explained, E> {
    explain_within(AUTHORITY_DEPTH_MAX, authorisation, standing, accounts)
}

/// [`explain`] following at most `depth` references between accounts.
///
/// # Errors
/// What `accounts` says.
pub fn explain_within<E>(
    depth: usize,
    authorisation: &Authorisation,
    standing: Standing<'_>,
    accounts: &mut Accounts<'_, E>,
) -> Result<Explained, E> {
    Explain { standing, accounts, steps: Steps::new() }.satisfied(authorisation, depth)
}

struct Explain<'a, 'b, E> {
    standing: Standing<'a>,
    accounts: &'a mut Accounts<'b, E>,
    steps: Steps,
}

impl<E> Explain<'_, '_, E> {
    fn satisfied(&mut self, asked: &Authorisation, depth: usize) -> Result<Explained, E> {
        let mut explained = Explained { asked: asked.clone(), verdict: Verdict::Unsatisfied, weighed: Vec::new() };
        if !self.steps.take() {
            explained.verdict = Verdict::OutOfSteps;
            return Ok(explained);
        }
        let Some(account) = (self.accounts)(asked.account)? else {
            explained.verdict = Verdict::NoSuchAccount;
            return Ok(explained);
        };
        if account.permission(asked.permission).is_none() {
            explained.verdict = Verdict::NoSuchPermission;
        }
        if self.standing.approves(&account, asked) {
            explained.verdict = Verdict::Approved;
            return Ok(explained);
        }
        for permission in account.upward(asked.permission) {
            if !self.steps.take() {
                explained.verdict = Verdict::OutOfSteps;
                continue;
            }
            let weighed = self.weigh(permission, depth)?;
            let is_reached = weighed.reached >= weighed.threshold;
            explained.weighed.push(weighed);
            if is_reached {
                explained.verdict = Verdict::Satisfied(permission.name);
                break;
            }
        }
        Ok(explained)
    }

    fn weigh(&mut self, permission: &Permission, depth: usize) -> Result<Weighed, E> {
        let authority = &permission.authority;
        let keys = authority.keys.iter().map(|part| (part.weight, PartKind::Key(part.key)));
        let accounts =
            authority.accounts.iter().map(|part| (part.weight, PartKind::Account(part.authorisation.clone())));
        let mut parts: Vec<(u16, PartKind)> = keys.chain(accounts).collect();
        parts.sort_by_key(|(weight, _)| Reverse(*weight));
        parts.extend(authority.waits.iter().map(|part| (part.weight, PartKind::Wait(part.wait_ms))));
        let mut weighed =
            Weighed { permission: permission.name, threshold: authority.threshold, reached: 0, parts: Vec::new() };
        for (weight, kind) in parts {
            let finding =
                if weighed.reached >= weighed.threshold { Finding::NotNeeded } else { self.find(&kind, depth)? };
            let part = Part { weight, kind, finding };
            weighed.reached += if part.counts() { u32::from(weight) } else { 0 };
            weighed.parts.push(part);
        }
        Ok(weighed)
    }

    fn find(&mut self, kind: &PartKind, depth: usize) -> Result<Finding, E> {
        Ok(match kind {
            PartKind::Key(key) if self.standing.keys.contains(key) => Finding::Signed,
            PartKind::Key(_) => Finding::NotSigned,
            PartKind::Account(authorisation) => match depth.checked_sub(1) {
                Some(depth) => Finding::Account(Box::new(self.satisfied(authorisation, depth)?)),
                None => Finding::TooDeep,
            },
            PartKind::Wait(wait_ms) if self.standing.waited_ms >= *wait_ms => Finding::Waited,
            PartKind::Wait(_) => Finding::NotWaited,
        })
    }
}
