#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use hpb_base::UnixMillis;
use hpb_types::{ActionName, Hash};
use hpb_vm::Intent;
use proptest::prelude::*;

use super::*;
use crate::account::{OWNER, Parent, Permission};
use crate::authority::delegation::{ActionPattern, Grant, Role};
use crate::testing::{by, key_of, name};
use crate::view::State;

const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];
const TREE: [&str; 3] = ["owner", "active", "till"];
const ACTIONS: [&str; 2] = ["transfer", "release"];
const DAY_MS: u64 = 86_400_000;

/// Accounts with `till` under `active` under `owner`, and alice's roles.
struct Book(BTreeMap<Bytes, Bytes>);

impl State for Book {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.get(key).cloned())
    }

    fn includes(&self, _: &Hash) -> bool {
        false
    }
}

fn permission(text: &str) -> PermissionName {
    text.parse().unwrap()
}

fn book(delegation: &Delegation) -> Book {
    let mut records = BTreeMap::new();
    for person in PEOPLE {
        let key = key_of(person).public();
        let mut account = Account::with_keys(key, key);
        let till = Permission { name: permission("till"), parent: Parent::Under(ACTIVE), authority: key.into() };
        account.put_permission(till);
        assert_eq!(account.validate(), Ok(()));
        records.insert(key::of(name(person), ACCOUNT), store(&account));
    }
    assert_eq!(delegation.validate(), Ok(()));
    records.insert(key::of(name("alice"), DELEGATION), store(delegation));
    Book(records)
}

/// Indices of people, permissions and actions; small numbers for amounts and bounds.
#[derive(Clone, Debug)]
struct Rule {
    action: Option<usize>,
    counterparty: Option<usize>,
    per_transaction: Option<u8>,
    per_day: Option<u8>,
    days: (u64, u64),
}

#[derive(Clone, Debug)]
struct Asked {
    whose: usize,
    action: usize,
    counterparty: Option<usize>,
    amount: Option<u8>,
}

fn rule() -> impl Strategy<Value = Rule> {
    let bound = || proptest::option::of(0..12_u8);
    (proptest::option::of(0..2_usize), proptest::option::of(0..3_usize), bound(), bound(), (0..3_u64, 1..3_u64))
        .prop_map(|(action, counterparty, per_transaction, per_day, (from, length))| Rule {
            action,
            counterparty,
            per_transaction,
            per_day,
            days: (from, from + length),
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    // Mostly alice's, who has roles.
    let whose = prop_oneof![5 => Just(0_usize), 1 => 1..3_usize];
    (whose, 0..2_usize, proptest::option::of(0..3_usize), proptest::option::of(0..8_u8))
        .prop_map(|(whose, action, counterparty, amount)| Asked { whose, action, counterparty, amount })
}

fn delegation(roles: &[Vec<Rule>], grants: &[(usize, usize, usize)]) -> Delegation {
    let bound = |most: Option<u8>| most.map_or(Bound::None, |most| Bound::AtMost(Amount(most.into())));
    let policy = |rule: &Rule| Policy {
        contract: name("token"),
        action: rule.action.map_or(ActionPattern::Any, |action| ActionPattern::One(ACTIONS[action].parse().unwrap())),
        counterparties: rule.counterparty.map(|who| name(PEOPLE[who])).into_iter().collect(),
        per_transaction_max: bound(rule.per_transaction),
        per_day_max: bound(rule.per_day),
        from_ms: rule.days.0 * DAY_MS,
        until_ms: rule.days.1 * DAY_MS,
        windows: Vec::new(),
    };
    let mut delegation = Delegation::default();
    for (index, rules) in roles.iter().enumerate() {
        let name = permission(&format!("role{index}"));
        delegation.put_role(Role { name, policies: rules.iter().map(policy).collect() });
    }
    for (role, who, tree) in grants {
        let role = permission(&format!("role{}", role % roles.len()));
        delegation.put_grant(Grant { role, to: by(PEOPLE[*who], permission(TREE[*tree])) });
    }
    delegation
}

/// The rule, spelled out over plain numbers: who stands behind, what was let out by (role, policy) in this transaction
/// and on each day.
#[derive(Default)]
struct Model {
    in_transaction: BTreeMap<(usize, usize), u64>,
    by_day: BTreeMap<(usize, usize, u64), u64>,
}

impl Model {
    fn may(
        &mut self,
        roles: &[Vec<Rule>],
        grants: &[(usize, usize, usize)],
        behind: &[(usize, usize)],
        day: u64,
        asked: &Asked,
    ) -> bool {
        // `owner` and `active` do everything in their account's name; `TREE` is from the top.
        if behind.iter().any(|(who, tree)| *who == asked.whose && *tree <= 1) {
            return true;
        }
        if asked.whose != 0 {
            return false;
        }
        // Grants lie by role, then by name and permission.
        let mut sorted: Vec<(usize, &str, &str, usize, usize)> = grants
            .iter()
            .map(|(role, who, tree)| (role % roles.len(), PEOPLE[*who], TREE[*tree], *who, *tree))
            .collect();
        sorted.sort_unstable();
        sorted.dedup();
        for (who, stands) in behind {
            for (role, _, _, to, tree) in &sorted {
                if to != who || stands > tree {
                    continue;
                }
                for (index, rule) in roles[*role].iter().enumerate() {
                    if self.allows(*role, index, rule, day, asked) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn allows(&mut self, role: usize, index: usize, rule: &Rule, day: u64, asked: &Asked) -> bool {
        let matches = rule.action.is_none_or(|action| action == asked.action)
            && (rule.counterparty.is_none() || rule.counterparty == asked.counterparty)
            && (rule.days.0..rule.days.1).contains(&day);
        if !matches || asked.amount.is_none() && (rule.per_transaction.is_some() || rule.per_day.is_some()) {
            return false;
        }
        let amount: u64 = asked.amount.unwrap_or(0).into();
        let in_transaction = self.in_transaction.entry((role, index)).or_default();
        let today = self.by_day.entry((role, index, day)).or_default();
        let fits = |used: u64, most: Option<u8>| most.is_none_or(|most| used + amount <= most.into());
        let does_fit = fits(*in_transaction, rule.per_transaction) && fits(*today, rule.per_day);
        if does_fit {
            *in_transaction += amount;
            *today += amount;
        }
        does_fit
    }
}

proptest! {
    /// Transactions on days that come one after the other, each asking several times.
    #[test]
    fn grants_are_judged_and_booked_as_the_rule_says(
        roles in proptest::collection::vec(proptest::collection::vec(rule(), 1..4), 1..4),
        grants in proptest::collection::vec((0..4_usize, 0..3_usize, 0..3_usize), 0..6),
        transactions in proptest::collection::vec(
            (
                0..2_u64,
                proptest::collection::vec((0..3_usize, 0..3_usize), 0..3),
                proptest::collection::vec(asked(), 1..6),
            ),
            1..6,
        ),
    ) {
        let book = book(&delegation(&roles, &grants));
        let mut view = View::new(&book);
        let (mut model, mut day) = (Model::default(), 0);
        for (later, behind, questions) in &transactions {
            day += later;
            model.in_transaction.clear();
            let mut used = Used::new();
            let stands: Vec<Authorisation> =
                behind.iter().map(|(who, tree)| by(PEOPLE[*who], permission(TREE[*tree]))).collect();
            for asked in questions {
                let intent = Intent {
                    amount: asked.amount.map(|amount| Amount(amount.into())),
                    counterparty: asked.counterparty.map(|who| name(PEOPLE[who])),
                };
                let action: ActionName = ACTIONS[asked.action].parse().unwrap();
                let at = UnixMillis(day * DAY_MS + 7);
                let question = Question { contract: name("token"), action, intent: &intent, at };
                let mut meter = Meter::new(u64::MAX);
                let mut permit = Permit { view: &mut view, meter: &mut meter, behind: &stands, used: &mut used };
                let answer = permit.is_permitted(name(PEOPLE[asked.whose]), &question);
                let expected = model.may(&roles, &grants, behind, day, asked);
                prop_assert_eq!(answer, Ok(expected), "{:?} by {:?} on day {}", asked, behind, day);
            }
        }
    }
}

#[test]
fn an_empty_meter_is_no_answer() {
    let book = book(&Delegation::default());
    let mut view = View::new(&book);
    let stands = [by("bob", OWNER)];
    let intent = Intent::default();
    let question = Question {
        contract: name("token"),
        action: ActionName::literal("transfer"),
        intent: &intent,
        at: UnixMillis(0),
    };
    for units in [0, AUTHORITY_UNITS, AUTHORITY_UNITS + READ_UNITS] {
        let mut meter = Meter::new(units);
        let mut permit = Permit { view: &mut view, meter: &mut meter, behind: &stands, used: &mut Used::new() };
        let answer = permit.is_permitted(name("alice"), &question);
        assert_eq!(answer, Err(NoAnswer::Halt(Halt::OutOfUnits)), "{units}");
    }
}
