//! Who may act for an account within bounds: its roles, their policies, and to whom it granted them.
//!
//! `active` may do everything in an account's name. An account that wants somebody to do less makes a role: a list of
//! policies, each a pattern of calls, bounds on what they move, and times at which they may. It grants the role to
//! permissions, of its own tree or of another account. Grants only add, so that neither their order nor a forgotten one
//! takes anything away; and who acts for itself reads nothing of this.
//!
//! Matters of authority itself (keys, roles, grants) are never a policy's: contracts ask for those with
//! `Host::is_authorised`, which looks at no grant.

use hpb_base::UnixMillis;
use hpb_base::limits::{
    DELEGATION_LEN_MAX, GRANTS_MAX, POLICIES_MAX, POLICY_COUNTERPARTIES_MAX, POLICY_WINDOWS_MAX, ROLES_MAX,
};
use hpb_types::{AccountName, ActionName, Amount, Authorisation, Canonical, PermissionName};
use hpb_vm::Intent;

/// Milliseconds of a day of block time: it has no leap seconds.
const DAY_MS: u64 = 86_400_000;
/// Minutes of a day.
const DAY_MINUTES: u16 = 1_440;
/// 1970 began on a Thursday: days after a Monday.
const FIRST_WEEKDAY: u64 = 3;

/// An account's roles and grants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delegation {
    /// The roles, ascending by name.
    pub roles: Vec<Role>,
    /// Who has them, ascending by role, then by permission.
    pub grants: Vec<Grant>,
}

/// A named set of policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// Its name within the account.
    pub name: PermissionName,
    /// What it may do: whatever one of them allows.
    pub policies: Vec<Policy>,
}

/// That a permission has a role.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Grant {
    /// The role.
    pub role: PermissionName,
    /// Who has it: who satisfies this permission, or one above it.
    pub to: Authorisation,
}

/// A pattern of calls in the account's name, the bounds on them, and when they may be made. Every part must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The contract that is called.
    pub contract: AccountName,
    /// What is asked of it.
    pub action: ActionPattern,
    /// Whom it is done to, ascending; with nobody here, anybody.
    pub counterparties: Vec<AccountName>,
    /// What may leave the account in one transaction by this policy.
    pub per_transaction_max: Bound,
    /// What may leave it in one day, UTC, by this policy, whoever has it.
    pub per_day_max: Bound,
    /// The first millisecond of block time, since 1970, at which it allows anything.
    pub from_ms: u64,
    /// The first millisecond at which it does no more.
    pub until_ms: u64,
    /// When in a week, ascending; with nothing here, always.
    pub windows: Vec<Window>,
}

/// Which of a contract's actions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActionPattern {
    /// Each.
    Any,
    /// That one.
    One(ActionName),
}

/// A bound on amounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// There is none.
    None,
    /// So much, and no more.
    AtMost(Amount),
}

/// The same minutes of some days of each week, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Window {
    /// The days: bit 0 is Monday, bit 6 Sunday.
    pub days: u8,
    /// The first minute of the day.
    pub from_minute: u16,
    /// The first minute after it; at most 1,440.
    pub until_minute: u16,
}

/// What one policy has let out on one day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// The day since 1970.
    pub day: u64,
    /// How much.
    pub used: Amount,
}

hpb_types::layout!(Delegation <= DELEGATION_LEN_MAX { roles: list(0..=ROLES_MAX), grants: list(0..=GRANTS_MAX) });
hpb_types::layout!(Role { name, policies: list(1..=POLICIES_MAX) });
hpb_types::layout!(Grant { role, to });
hpb_types::layout!(Policy {
    contract,
    action,
    counterparties: list(0..=POLICY_COUNTERPARTIES_MAX),
    per_transaction_max,
    per_day_max,
    from_ms,
    until_ms,
    windows: list(0..=POLICY_WINDOWS_MAX),
});
hpb_types::tagged!(ActionPattern { 0 => Any, 1 => One(action) });
hpb_types::tagged!(Bound { 0 => None, 1 => AtMost(amount) });
hpb_types::layout!(Window { days, from_minute, until_minute });
hpb_types::layout!(Allowance { day, used });

/// Why roles and grants are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DelegationFault {
    /// Too many roles, grants, or parts of a policy, a role without a policy, or more bytes than the limit.
    #[error("too few or too many roles, policies, grants or parts of one, or too many bytes of them")]
    Count,
    /// Something is not strictly ascending.
    #[error("roles, grants, counterparties or windows are not in order, or twice there")]
    Order,
    /// A window without a day or a minute, or a policy that is over before it begins.
    #[error("a time that never comes")]
    Time,
    /// A grant of a role that is not there.
    #[error("a grant of no role")]
    NoSuchRole,
}

/// Why a policy does not allow something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyRefusal {
    /// It is for another contract.
    #[error("it is for another contract")]
    Contract,
    /// It is for another action.
    #[error("it is for another action")]
    Action,
    /// It names others.
    #[error("the counterparty is not one that it names")]
    Counterparty,
    /// It bounds amounts, and the call states none.
    #[error("it bounds amounts, and the call states none")]
    NoAmount,
    /// Block time has not come to it.
    #[error("it allows nothing yet")]
    NotYet,
    /// Block time is past it.
    #[error("it allows nothing any more")]
    Over,
    /// Block time is in none of its windows.
    #[error("it allows nothing at this hour of the week")]
    Hour,
    /// More than it lets out in one transaction.
    #[error("more than it lets out in one transaction")]
    PerTransaction,
    /// More than it lets out in one day.
    #[error("more than it lets out in one day")]
    PerDay,
}

/// What is asked of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The contract that is called.
    pub contract: AccountName,
    /// The action.
    pub action: ActionName,
    /// What the contract is about to do.
    pub intent: &'a Intent,
    /// Block time.
    pub at: UnixMillis,
}

impl Question<'_> {
    /// The day since 1970, UTC.
    pub fn day(&self) -> u64 {
        self.at.0 / DAY_MS
    }
}

impl Bound {
    /// Whether it is a bound at all.
    pub fn is_some(self) -> bool {
        self != Self::None
    }

    /// Whether `used` and `more` stay within it together.
    fn holds(self, used: Amount, more: Amount) -> bool {
        match self {
            Self::None => true,
            Self::AtMost(most) => used.checked_add(more).is_some_and(|sum| sum <= most),
        }
    }
}

impl Window {
    fn holds(self, at: UnixMillis) -> bool {
        let weekday = (at.0 / DAY_MS + FIRST_WEEKDAY) % 7;
        let minute = at.0 % DAY_MS / 60_000;
        self.days & (1 << weekday) != 0 && (u64::from(self.from_minute)..u64::from(self.until_minute)).contains(&minute)
    }

    fn is_some(self) -> bool {
        self.days != 0 && self.days < 1 << 7 && self.from_minute < self.until_minute && self.until_minute <= DAY_MINUTES
    }
}

impl Policy {
    /// Whether it allows what is asked, after it let out `in_transaction` in this transaction and `today` on this day.
    ///
    /// # Errors
    /// The first of its parts that does not hold.
    pub fn judge(&self, question: &Question<'_>, in_transaction: Amount, today: Amount) -> Result<(), PolicyRefusal> {
        let Question { contract, action, intent, at } = question;
        if self.contract != *contract {
            return Err(PolicyRefusal::Contract);
        }
        if matches!(self.action, ActionPattern::One(one) if one != *action) {
            return Err(PolicyRefusal::Action);
        }
        let names = |name: AccountName| self.counterparties.binary_search(&name).is_ok();
        if !self.counterparties.is_empty() && !intent.counterparty.is_some_and(names) {
            return Err(PolicyRefusal::Counterparty);
        }
        if at.0 < self.from_ms {
            return Err(PolicyRefusal::NotYet);
        }
        if at.0 >= self.until_ms {
            return Err(PolicyRefusal::Over);
        }
        if !self.windows.is_empty() && !self.windows.iter().any(|window| window.holds(*at)) {
            return Err(PolicyRefusal::Hour);
        }
        let Some(amount) = intent.amount else {
            let bounds = self.per_transaction_max.is_some() || self.per_day_max.is_some();
            return if bounds { Err(PolicyRefusal::NoAmount) } else { Ok(()) };
        };
        if !self.per_transaction_max.holds(in_transaction, amount) {
            return Err(PolicyRefusal::PerTransaction);
        }
        if !self.per_day_max.holds(today, amount) {
            return Err(PolicyRefusal::PerDay);
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), DelegationFault> {
        if self.counterparties.len() > POLICY_COUNTERPARTIES_MAX || self.windows.len() > POLICY_WINDOWS_MAX {
            return Err(DelegationFault::Count);
        }
        if !ascends(&self.counterparties) || !ascends(&self.windows) {
            return Err(DelegationFault::Order);
        }
        if self.from_ms >= self.until_ms || !self.windows.iter().all(|window| window.is_some()) {
            return Err(DelegationFault::Time);
        }
        Ok(())
    }
}

impl Delegation {
    /// The role of that name.
    pub fn role(&self, name: PermissionName) -> Option<&Role> {
        let index = self.roles.binary_search_by_key(&name, |role| role.name).ok()?;
        self.roles.get(index)
    }

    /// Puts a role in its place; gives the one that stood there.
    pub fn put_role(&mut self, role: Role) -> Option<Role> {
        match self.roles.binary_search_by_key(&role.name, |role| role.name) {
            Ok(index) => Some(core::mem::replace(&mut self.roles[index], role)),
            Err(index) => {
                self.roles.insert(index, role);
                None
            }
        }
    }

    /// Takes a role away.
    pub fn take_role(&mut self, name: PermissionName) -> Option<Role> {
        let index = self.roles.binary_search_by_key(&name, |role| role.name).ok()?;
        Some(self.roles.remove(index))
    }

    /// Adds a grant; false if it stood already.
    pub fn put_grant(&mut self, grant: Grant) -> bool {
        let place = self.grants.binary_search(&grant);
        if let Err(index) = place {
            self.grants.insert(index, grant);
        }
        place.is_err()
    }

    /// Takes a grant away; false if there was none.
    pub fn take_grant(&mut self, grant: &Grant) -> bool {
        let place = self.grants.binary_search(grant);
        if let Ok(index) = place {
            self.grants.remove(index);
        }
        place.is_ok()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.grants.is_empty()
    }

    /// Judges the whole.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self) -> Result<(), DelegationFault> {
        if self.roles.len() > ROLES_MAX || self.grants.len() > GRANTS_MAX {
            return Err(DelegationFault::Count);
        }
        if !self.roles.is_sorted_by(|one, other| one.name < other.name) || !ascends(&self.grants) {
            return Err(DelegationFault::Order);
        }
        for role in &self.roles {
            if !(1..=POLICIES_MAX).contains(&role.policies.len()) {
                return Err(DelegationFault::Count);
            }
            role.policies.iter().try_for_each(Policy::validate)?;
        }
        if self.grants.iter().any(|grant| self.role(grant.role).is_none()) {
            return Err(DelegationFault::NoSuchRole);
        }
        if self.to_bytes().len() > DELEGATION_LEN_MAX { Err(DelegationFault::Count) } else { Ok(()) }
    }
}

fn ascends<T: Ord>(list: &[T]) -> bool {
    list.is_sorted_by(|one, other| one < other)
}

#[cfg(test)]
mod tests;
