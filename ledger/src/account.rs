//! Accounts: a tree of permissions. An account exists where its record lies; the balance lies beside it, so that a
//! transfer does not rewrite keys.
//!
//! Refused here: a tree that is not well formed. Whether signatures satisfy one is [`crate::authority`]'s.

use hpb_base::limits::{AUTHORITY_DEPTH_MAX, PERMISSION_PARTS_MAX, PERMISSIONS_MAX};
use hpb_types::{Authorisation, PermissionName, PublicKey};

/// The root of every account's tree.
pub const OWNER: PermissionName = PermissionName::literal("owner");
/// What an account's ordinary actions need, payments included.
pub const ACTIVE: PermissionName = PermissionName::literal("active");

/// An account's record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The tree, ascending by name.
    pub permissions: Vec<Permission>,
}

/// One permission of an account's tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permission {
    /// Its name within the account.
    pub name: PermissionName,
    /// What stands above it and may act for it.
    pub parent: Parent,
    /// What satisfies it.
    pub authority: Authority,
}

/// A threshold over weighted parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority {
    /// The weight that satisfies it; at least 1, at most the sum of its parts'.
    pub threshold: u32,
    /// Keys, ascending.
    pub keys: Vec<WeightedKey>,
    /// Other accounts' permissions, ascending.
    pub accounts: Vec<WeightedAccount>,
    /// Delays, ascending.
    pub waits: Vec<WeightedWait>,
}

/// What stands above a permission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parent {
    /// Nothing: it is the root.
    Root,
    /// A permission of the same account.
    Under(PermissionName),
}

/// A key and what it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WeightedKey {
    /// The key.
    pub key: PublicKey,
    /// What its signature counts; at least 1.
    pub weight: u16,
}

/// A permission of an account and what it counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WeightedAccount {
    /// The permission.
    pub authorisation: Authorisation,
    /// What it counts when it is satisfied; at least 1.
    pub weight: u16,
}

/// A delay and what it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WeightedWait {
    /// The delay in milliseconds; at least 1.
    pub wait_ms: u64,
    /// What it counts when the transaction has waited that long; at least 1.
    pub weight: u16,
}

hpb_types::layout!(Account { permissions: list(1..=PERMISSIONS_MAX) });
hpb_types::layout!(Permission { name, parent, authority });
hpb_types::layout!(Authority {
    threshold,
    keys: list(0..=PERMISSION_PARTS_MAX),
    accounts: list(0..=PERMISSION_PARTS_MAX),
    waits: list(0..=PERMISSION_PARTS_MAX),
});
hpb_types::tagged!(Parent { 0 => Root, 1 => Under(name) });
hpb_types::layout!(WeightedKey { key, weight });
hpb_types::layout!(WeightedAccount { authorisation, weight });
hpb_types::layout!(WeightedWait { wait_ms, weight });

/// Why a tree of permissions is not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccountFault {
    /// No permissions, too many, or a permission with too many parts.
    #[error("too few or too many permissions or parts")]
    Count,
    /// Permissions or parts are not strictly ascending.
    #[error("permissions or parts are not in order, or twice there")]
    Order,
    /// `owner` or `active` is missing, or another one is the root.
    #[error("owner must be the root, and active must be there")]
    Roots,
    /// A parent is missing, the tree is too deep, or it runs in a circle.
    #[error("a permission does not hang under owner within the depth")]
    Tree,
    /// A weight or delay of nothing, a threshold of nothing or above the sum.
    #[error("a weight, delay or threshold out of range")]
    Weight,
}

impl Account {
    /// An account with these authorities for `owner` and `active`.
    pub fn new(owner: Authority, active: Authority) -> Self {
        let active = Permission { name: ACTIVE, parent: Parent::Under(OWNER), authority: active };
        let owner = Permission { name: OWNER, parent: Parent::Root, authority: owner };
        Self { permissions: vec![active, owner] }
    }

    /// An account with one key for `owner` and one for `active`.
    pub fn with_keys(owner: PublicKey, active: PublicKey) -> Self {
        Self::new(owner.into(), active.into())
    }

    /// The permission of that name.
    pub fn permission(&self, name: PermissionName) -> Option<&Permission> {
        let index = self.permissions.binary_search_by_key(&name, |permission| permission.name).ok()?;
        self.permissions.get(index)
    }

    /// Puts a permission in its place; gives the one that stood there.
    pub fn put_permission(&mut self, permission: Permission) -> Option<Permission> {
        match self.permissions.binary_search_by_key(&permission.name, |permission| permission.name) {
            Ok(index) => Some(core::mem::replace(&mut self.permissions[index], permission)),
            Err(index) => {
                self.permissions.insert(index, permission);
                None
            }
        }
    }

    /// Takes a permission away.
    pub fn take_permission(&mut self, name: PermissionName) -> Option<Permission> {
        let index = self.permissions.binary_search_by_key(&name, |permission| permission.name).ok()?;
        Some(self.permissions.remove(index))
    }

    /// Whether `upper` is `lower` or stands above it. A name that the account does not have covers nothing and is
    /// covered by nothing.
    pub fn covers(&self, upper: PermissionName, lower: PermissionName) -> bool {
        self.upward(lower).any(|permission| permission.name == upper)
    }

    /// The permission of that name and those above it, to the root.
    pub fn upward(&self, name: PermissionName) -> impl Iterator<Item = &Permission> {
        let above = |permission: &&Permission| match permission.parent {
            Parent::Root => None,
            Parent::Under(parent) => self.permission(parent),
        };
        core::iter::successors(self.permission(name), above).take(AUTHORITY_DEPTH_MAX + 1)
    }

    /// Judges the whole tree.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self) -> Result<(), AccountFault> {
        if !(1..=PERMISSIONS_MAX).contains(&self.permissions.len()) {
            return Err(AccountFault::Count);
        }
        if !ascends(&self.permissions, |permission| permission.name) {
            return Err(AccountFault::Order);
        }
        if self.permission(OWNER).is_none() || self.permission(ACTIVE).is_none() {
            return Err(AccountFault::Roots);
        }
        for permission in &self.permissions {
            permission.authority.validate()?;
            if (permission.parent == Parent::Root) != (permission.name == OWNER) {
                return Err(AccountFault::Roots);
            }
            if !self.covers(OWNER, permission.name) {
                return Err(AccountFault::Tree);
            }
        }
        Ok(())
    }
}

impl From<PublicKey> for Authority {
    /// That key alone.
    fn from(key: PublicKey) -> Self {
        Self { threshold: 1, keys: vec![WeightedKey { key, weight: 1 }], accounts: Vec::new(), waits: Vec::new() }
    }
}

impl Authority {
    /// Judges the authority by itself.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self) -> Result<(), AccountFault> {
        let counts = [self.keys.len(), self.accounts.len(), self.waits.len()];
        if counts.iter().any(|count| *count > PERMISSION_PARTS_MAX) {
            return Err(AccountFault::Count);
        }
        let in_order = ascends(&self.keys, |part| part.key)
            && ascends(&self.accounts, |part| part.authorisation.clone())
            && ascends(&self.waits, |part| part.wait_ms);
        if !in_order {
            return Err(AccountFault::Order);
        }
        let weights = (self.keys.iter().map(|part| part.weight))
            .chain(self.accounts.iter().map(|part| part.weight))
            .chain(self.waits.iter().map(|part| part.weight));
        // At most 3 x 64 weights of 16 bits: the sum fits.
        let mut total = 0_u32;
        for weight in weights {
            if weight == 0 {
                return Err(AccountFault::Weight);
            }
            total += u32::from(weight);
        }
        if self.waits.iter().any(|part| part.wait_ms == 0) || !(1..=total).contains(&self.threshold) {
            return Err(AccountFault::Weight);
        }
        Ok(())
    }
}

fn ascends<T, K: Ord>(list: &[T], key: impl Fn(&T) -> K) -> bool {
    list.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]))
}

#[cfg(test)]
mod tests {
    use hpb_types::{AccountName, Canonical};

    use super::*;

    fn plain() -> Account {
        Account::with_keys(PublicKey([1; 32]), PublicKey([2; 32]))
    }

    fn named(name: &'static str, parent: &'static str) -> Permission {
        let mut permission = plain().permissions[0].clone();
        permission.name = PermissionName::literal(name);
        permission.parent = Parent::Under(PermissionName::literal(parent));
        permission
    }

    #[test]
    fn a_plain_account_is_well_formed_and_reads_back() {
        let account = plain();
        assert_eq!(account.validate(), Ok(()));
        assert_eq!(Account::from_bytes(&account.to_bytes()), Ok(account.clone()));
        assert!(account.covers(OWNER, ACTIVE) && account.covers(ACTIVE, ACTIVE));
        assert!(!account.covers(ACTIVE, OWNER), "never the reverse");
        assert!(!account.covers(OWNER, PermissionName::literal("trade")));
    }

    #[test]
    fn the_bytes_hold_the_whole_shape() {
        let mut account = plain();
        account.permissions[0].authority.accounts.push(WeightedAccount {
            authorisation: Authorisation { account: AccountName::literal("bob"), permission: OWNER },
            weight: 3,
        });
        account.permissions[0].authority.waits.push(WeightedWait { wait_ms: 60_000, weight: 2 });
        account.permissions.push(named("trade", "active"));
        assert_eq!(account.validate(), Ok(()));
        assert_eq!(Account::from_bytes(&account.to_bytes()), Ok(account));
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        type Change = fn(&mut Account);
        let cases: [(Change, AccountFault); 14] = [
            (|account| account.permissions.clear(), AccountFault::Count),
            (|account| account.permissions.reverse(), AccountFault::Order),
            (|account| drop(account.permissions.remove(0)), AccountFault::Roots),
            (|account| drop(account.permissions.remove(1)), AccountFault::Roots),
            (|account| account.permissions[0].parent = Parent::Root, AccountFault::Roots),
            (|account| account.permissions[1].parent = Parent::Under(ACTIVE), AccountFault::Roots),
            (|account| account.permissions[0].parent = Parent::Under(ACTIVE), AccountFault::Tree),
            (|account| account.permissions.push(named("trade", "nothing")), AccountFault::Tree),
            (|account| account.permissions[0].authority.threshold = 0, AccountFault::Weight),
            (|account| account.permissions[0].authority.threshold = 2, AccountFault::Weight),
            (|account| account.permissions[0].authority.keys[0].weight = 0, AccountFault::Weight),
            (
                |account| account.permissions[0].authority.waits.push(WeightedWait { wait_ms: 0, weight: 1 }),
                AccountFault::Weight,
            ),
            (
                |account| {
                    let key = account.permissions[0].authority.keys[0];
                    account.permissions[0].authority.keys.push(key);
                },
                AccountFault::Order,
            ),
            (
                |account| {
                    let key = account.permissions[0].authority.keys[0];
                    account.permissions[0].authority.keys = vec![key; PERMISSION_PARTS_MAX + 1];
                },
                AccountFault::Count,
            ),
        ];
        for (index, (change, fault)) in cases.into_iter().enumerate() {
            let mut account = plain();
            change(&mut account);
            assert_eq!(account.validate(), Err(fault), "case {index}");
        }
    }

    #[test]
    fn a_tree_is_as_deep_as_a_check_looks() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut account = plain();
        account.permissions.insert(0, named("a", "owner"));
        for (place, pair) in names.windows(2).enumerate() {
            // "active" stands after "a" by name.
            account.permissions.insert(place + 2, named(pair[1], pair[0]));
        }
        assert_eq!(account.validate(), Ok(()));
        account.permissions.insert(7, named("g", "f"));
        assert_eq!(account.validate(), Err(AccountFault::Tree));
    }
}
