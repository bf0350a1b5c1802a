//! What a transaction may do in an account's name: the one answer that every contract gets, whatever runs it.
//!
//! Key signatures and the trees that they satisfy were judged before ([`super::judge`]); here a permission that stands
//! behind the transaction is held against the one that is asked for, or against what the account granted. What a policy
//! bounds by the transaction or the day is booked when it is used: a bounded policy that was asked has been used.

use std::collections::BTreeMap;

use hpb_types::{AccountName, Amount, Authorisation, Canonical, PermissionName};
use hpb_vm::meter::{AUTHORITY_UNITS, READ_UNITS, WRITE_UNITS};
use hpb_vm::{Halt, Meter, Place};

use super::delegation::{Allowance, Bound, Delegation, Policy, Question};
use crate::account::{ACTIVE, Account};
use crate::bytes::Bytes;
use crate::key::{self, ACCOUNT, ALLOWANCE, DELEGATION};
use crate::records::{load, store};
use crate::view::{StateError, View};

/// Units of holding a question against one policy.
const POLICY_UNITS: u64 = 20;

/// What policies have let out in one transaction: by account, role and the policy's place in it.
pub(crate) type Used = BTreeMap<(AccountName, PermissionName, u8), Amount>;

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NoAnswer {
    /// The meter is empty.
    Halt(Halt),
    /// The state can't be read.
    State(StateError),
}

impl From<Halt> for NoAnswer {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<StateError> for NoAnswer {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// Asks in one transaction.
pub(crate) struct Permit<'p, 's> {
    pub(crate) view: &'p mut View<'s>,
    pub(crate) meter: &'p mut Meter,
    /// What stands behind the transaction: named by it, and satisfied by its signatures.
    pub(crate) behind: &'p [Authorisation],
    pub(crate) used: &'p mut Used,
}

impl Permit<'_, '_> {
    /// Whether `permission` of `account`, or one above it, stands behind the transaction.
    pub(crate) fn is_authorised(&mut self, account: AccountName, permission: PermissionName) -> Result<bool, NoAnswer> {
        self.meter.charge(AUTHORITY_UNITS)?;
        let mut named = self.behind.iter().filter(|named| named.account == account).peekable();
        if named.peek().is_none() {
            return Ok(false);
        }
        if named.clone().any(|named| named.permission == permission) {
            return Ok(true);
        }
        let tree: Option<Account> = read(self.view, self.meter, &key::of(account, ACCOUNT))?;
        Ok(tree.is_some_and(|tree| named.any(|named| tree.covers(named.permission, permission))))
    }

    /// Whether what is asked may be done in `account`'s name; if a policy allows it, books it there.
    pub(crate) fn is_permitted(&mut self, account: AccountName, question: &Question<'_>) -> Result<bool, NoAnswer> {
        Ok(self.is_authorised(account, ACTIVE)? || self.is_granted(account, question)?)
    }

    /// Whether a grant allows what is asked, and by whose permission: the first policy that does, by the order of what
    /// stands behind the transaction, then of the grants, then of the role.
    pub(crate) fn is_granted(&mut self, account: AccountName, question: &Question<'_>) -> Result<bool, NoAnswer> {
        let delegation: Option<Delegation> = read(self.view, self.meter, &key::of(account, DELEGATION))?;
        let Some(delegation) = delegation else { return Ok(false) };
        for named in self.behind {
            let mut tree: Option<Option<Account>> = None;
            for grant in delegation.grants.iter().filter(|grant| grant.to.account == named.account) {
                self.meter.charge(AUTHORITY_UNITS)?;
                if grant.to.permission != named.permission {
                    if tree.is_none() {
                        tree = Some(read(self.view, self.meter, &key::of(named.account, ACCOUNT))?);
                    }
                    let covers = |tree: &Account| tree.covers(named.permission, grant.to.permission);
                    if !tree.as_ref().and_then(Option::as_ref).is_some_and(covers) {
                        continue;
                    }
                }
                let policies = delegation.role(grant.role).map_or(&[][..], |role| &role.policies);
                for (index, policy) in policies.iter().enumerate() {
                    if self.book(account, grant.role, index as u8, policy, question)? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Holds the question against one policy, and books what it lets out.
    fn book(
        &mut self,
        account: AccountName,
        role: PermissionName,
        index: u8,
        policy: &Policy,
        question: &Question<'_>,
    ) -> Result<bool, NoAnswer> {
        self.meter.charge(POLICY_UNITS)?;
        let in_transaction = self.used.get(&(account, role, index)).copied().unwrap_or_default();
        // The day's sum is read only where everything else holds.
        if policy.judge(question, in_transaction, Amount::ZERO).is_err() {
            return Ok(false);
        }
        let amount = question.intent.amount.unwrap_or_default();
        if policy.per_day_max != Bound::None {
            let place = key::of_place(allowance(account, &allowance_sub_key(role, index)));
            let booked: Option<Allowance> = read(self.view, self.meter, &place)?;
            let today = booked.filter(|booked| booked.day == question.day()).map_or(Amount::ZERO, |booked| booked.used);
            if policy.judge(question, in_transaction, today).is_err() {
                return Ok(false);
            }
            self.meter.charge(WRITE_UNITS)?;
            let used = today.checked_add(amount).ok_or_else(|| StateError::overflow("what a policy let out"))?;
            self.view.set(place, Some(store(&Allowance { day: question.day(), used })));
        }
        if policy.per_transaction_max != Bound::None {
            let sum = in_transaction.checked_add(amount);
            self.used.insert((account, role, index), sum.ok_or_else(|| StateError::overflow("what a policy let out"))?);
        }
        Ok(true)
    }
}

/// Where what a policy let out today lies.
pub(crate) fn allowance(account: AccountName, sub_key: &[u8]) -> Place<'_> {
    Place { account, table: ALLOWANCE, sub_key }
}

/// The part of [`allowance`] that tells policies apart: the role, one zero byte, the policy's place in it.
pub(crate) fn allowance_sub_key(role: PermissionName, index: u8) -> Vec<u8> {
    [role.as_str().as_bytes(), &[0, index]].concat()
}

fn read<T: Canonical>(view: &mut View<'_>, meter: &mut Meter, key: &Bytes) -> Result<Option<T>, NoAnswer> {
    meter.charge(READ_UNITS)?;
    let Some(bytes) = view.get(key)? else { return Ok(None) };
    meter.charge_bytes(0, bytes.len())?;
    Ok(Some(load(bytes).ok_or_else(|| StateError::damaged(key))?))
}

#[cfg(test)]
mod tests;
