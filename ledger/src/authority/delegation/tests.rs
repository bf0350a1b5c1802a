#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{by, name};

const TOKEN: &str = "token";
const MINUTE_MS: u64 = 60_000;
/// 2026-11-23, a Monday, 00:00 UTC (20,780 days after 1970-01-01).
const MONDAY_MS: u64 = 20_780 * DAY_MS;

fn permission(text: &str) -> PermissionName {
    text.parse().unwrap()
}

/// All transfers, always.
fn open() -> Policy {
    Policy {
        contract: name(TOKEN),
        action: ActionPattern::One("transfer".parse().unwrap()),
        counterparties: Vec::new(),
        per_transaction_max: Bound::None,
        per_day_max: Bound::None,
        from_ms: 0,
        until_ms: u64::MAX,
        windows: Vec::new(),
    }
}

fn role(text: &str, policies: Vec<Policy>) -> Role {
    Role { name: permission(text), policies }
}

struct Asked {
    contract: &'static str,
    action: &'static str,
    amount: Option<u128>,
    to: Option<&'static str>,
    at_ms: u64,
}

/// A transfer of 5 to bob, on a Monday at noon.
fn asked() -> Asked {
    Asked { contract: TOKEN, action: "transfer", amount: Some(5), to: Some("bob"), at_ms: MONDAY_MS + DAY_MS / 2 }
}

fn judge_after(policy: &Policy, asked: &Asked, in_transaction: u128, today: u128) -> Result<(), PolicyRefusal> {
    let intent = Intent { amount: asked.amount.map(Amount), counterparty: asked.to.map(name) };
    let question = Question {
        contract: name(asked.contract),
        action: asked.action.parse().unwrap(),
        intent: &intent,
        at: UnixMillis(asked.at_ms),
    };
    policy.judge(&question, Amount(in_transaction), Amount(today))
}

fn judge(policy: &Policy, asked: &Asked) -> Result<(), PolicyRefusal> {
    judge_after(policy, asked, 0, 0)
}

#[test]
fn a_policy_is_a_pattern_of_calls() {
    assert_eq!(judge(&open(), &asked()), Ok(()));
    assert_eq!(judge(&open(), &Asked { contract: "dpos", ..asked() }), Err(PolicyRefusal::Contract));
    assert_eq!(judge(&open(), &Asked { action: "release", ..asked() }), Err(PolicyRefusal::Action));
    let any = Policy { action: ActionPattern::Any, ..open() };
    assert_eq!(judge(&any, &Asked { action: "release", ..asked() }), Ok(()));
    let named = Policy { counterparties: vec![name("bob"), name("carol")], ..open() };
    assert_eq!(judge(&named, &asked()), Ok(()));
    for to in [Some("dave"), None] {
        assert_eq!(judge(&named, &Asked { to, ..asked() }), Err(PolicyRefusal::Counterparty), "{to:?}");
    }
}

#[test]
fn amounts_are_bounded_by_the_transaction_and_the_day() {
    let bounded =
        Policy { per_transaction_max: Bound::AtMost(Amount(10)), per_day_max: Bound::AtMost(Amount(20)), ..open() };
    for (in_transaction, today, expected) in [
        (0, 0, Ok(())),
        (5, 15, Ok(())),
        (6, 0, Err(PolicyRefusal::PerTransaction)),
        (0, 16, Err(PolicyRefusal::PerDay)),
        (u128::MAX, 0, Err(PolicyRefusal::PerTransaction)),
        (0, u128::MAX, Err(PolicyRefusal::PerDay)),
    ] {
        assert_eq!(judge_after(&bounded, &asked(), in_transaction, today), expected, "{in_transaction} {today}");
    }
    assert_eq!(judge(&bounded, &Asked { amount: None, ..asked() }), Err(PolicyRefusal::NoAmount));
    assert_eq!(judge(&open(), &Asked { amount: None, ..asked() }), Ok(()));
    let nothing = Policy { per_transaction_max: Bound::AtMost(Amount::ZERO), ..open() };
    assert_eq!(judge(&nothing, &Asked { amount: Some(0), ..asked() }), Ok(()));
}

#[test]
fn it_holds_from_one_time_until_another() {
    let policy = Policy { from_ms: 1_000, until_ms: 2_000, ..open() };
    for (at_ms, expected) in [
        (999, Err(PolicyRefusal::NotYet)),
        (1_000, Ok(())),
        (1_999, Ok(())),
        (2_000, Err(PolicyRefusal::Over)),
        (u64::MAX, Err(PolicyRefusal::Over)),
    ] {
        assert_eq!(judge(&policy, &Asked { at_ms, ..asked() }), expected, "{at_ms}");
    }
}

#[test]
fn windows_are_minutes_of_weekdays_in_utc() {
    // Monday to Friday, 9 to 17; Sunday, its last minute.
    let windows = vec![
        Window { days: 0b001_1111, from_minute: 540, until_minute: 1_020 },
        Window { days: 0b100_0000, from_minute: 1_439, until_minute: 1_440 },
    ];
    let policy = Policy { windows, ..open() };
    let at = |day: u64, minute: u64| Asked { at_ms: MONDAY_MS + day * DAY_MS + minute * MINUTE_MS, ..asked() };
    for (day, minute, holds) in [
        (0, 539, false),
        (0, 540, true),
        (0, 1_019, true),
        (0, 1_020, false),
        (4, 700, true),
        (5, 700, false),
        (6, 700, false),
        (6, 1_438, false),
        (6, 1_439, true),
        (7, 0, false),
        (7, 540, true),
    ] {
        let expected = if holds { Ok(()) } else { Err(PolicyRefusal::Hour) };
        assert_eq!(judge(&policy, &at(day, minute)), expected, "day {day}, minute {minute}");
    }
    // 1970 began on a Thursday.
    let thursday = Policy { windows: vec![Window { days: 0b000_1000, from_minute: 0, until_minute: 1_440 }], ..open() };
    assert_eq!(judge(&thursday, &Asked { at_ms: 0, ..asked() }), Ok(()));
    assert_eq!(judge(&thursday, &Asked { at_ms: DAY_MS, ..asked() }), Err(PolicyRefusal::Hour));
}

#[test]
fn the_bytes_hold_the_whole_shape() {
    let mut delegation = Delegation::default();
    assert!(delegation.is_empty());
    let policy = Policy {
        counterparties: vec![name("bob")],
        per_day_max: Bound::AtMost(Amount(7)),
        windows: vec![Window { days: 1, from_minute: 0, until_minute: 1 }],
        ..open()
    };
    assert_eq!(delegation.put_role(role("pay", vec![open()])), None);
    assert_eq!(delegation.put_role(role("buy", vec![open(), policy])), None);
    assert!(delegation.put_role(role("pay", vec![open(), open()])).is_some());
    let grant = |role: &str, to: &str| Grant { role: permission(role), to: by(to, permission("active")) };
    assert!(delegation.put_grant(grant("pay", "carol")) && delegation.put_grant(grant("pay", "bob")));
    assert!(!delegation.put_grant(grant("pay", "bob")), "it stands already");
    assert_eq!(delegation.validate(), Ok(()));
    assert_eq!(Delegation::from_bytes(&delegation.to_bytes()), Ok(delegation.clone()));
    assert!(delegation.take_grant(&grant("pay", "bob")) && !delegation.take_grant(&grant("pay", "bob")));
    assert_eq!(delegation.take_role(permission("pay")).map(|role| role.policies.len()), Some(2));
    assert_eq!(delegation.validate(), Err(DelegationFault::NoSuchRole), "carol still has it");
}

#[test]
fn what_is_out_of_range_is_refused() {
    type Change = fn(&mut Delegation);
    fn policy(delegation: &mut Delegation) -> &mut Policy {
        &mut delegation.roles[0].policies[0]
    }
    let names = |count: usize| (0..count).map(|index| name(&format!("name{index:03}"))).collect::<Vec<_>>();
    let cases: [(Change, DelegationFault); 15] = [
        (|all| all.roles[0].policies.clear(), DelegationFault::Count),
        (|all| all.roles[0].policies = vec![open(); POLICIES_MAX + 1], DelegationFault::Count),
        (|all| all.roles = vec![role("pay", vec![open()]); ROLES_MAX + 1], DelegationFault::Count),
        (|all| all.grants = vec![all.grants[0].clone(); GRANTS_MAX + 1], DelegationFault::Count),
        (
            |all| policy(all).windows = vec![Window { days: 1, from_minute: 0, until_minute: 1 }; 9],
            DelegationFault::Count,
        ),
        (|all| all.roles.push(role("pay", vec![open()])), DelegationFault::Order),
        (|all| all.grants.push(all.grants[0].clone()), DelegationFault::Order),
        (|all| policy(all).counterparties = vec![name("bob"), name("bob")], DelegationFault::Order),
        (
            |all| policy(all).windows = vec![Window { days: 1, from_minute: 0, until_minute: 1 }; 2],
            DelegationFault::Order,
        ),
        (|all| policy(all).until_ms = 0, DelegationFault::Time),
        (|all| policy(all).windows = vec![Window { days: 0, from_minute: 0, until_minute: 1 }], DelegationFault::Time),
        (
            |all| policy(all).windows = vec![Window { days: 128, from_minute: 0, until_minute: 1 }],
            DelegationFault::Time,
        ),
        (|all| policy(all).windows = vec![Window { days: 1, from_minute: 5, until_minute: 5 }], DelegationFault::Time),
        (
            |all| policy(all).windows = vec![Window { days: 1, from_minute: 0, until_minute: 1_441 }],
            DelegationFault::Time,
        ),
        (|all| all.grants[0].role = permission("sell"), DelegationFault::NoSuchRole),
    ];
    let good = Delegation {
        roles: vec![role("pay", vec![open()])],
        grants: vec![Grant { role: permission("pay"), to: by("bob", permission("active")) }],
    };
    assert_eq!(good.validate(), Ok(()));
    for (index, (change, fault)) in cases.into_iter().enumerate() {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(changed.validate(), Err(fault), "case {index}");
    }
    let mut crowd = good.clone();
    crowd.roles[0].policies[0].counterparties = names(POLICY_COUNTERPARTIES_MAX + 1);
    assert_eq!(crowd.validate(), Err(DelegationFault::Count));
    let full = Policy { counterparties: names(POLICY_COUNTERPARTIES_MAX), ..open() };
    let roles = (0..ROLES_MAX).map(|index| role(&format!("role{index:02}"), vec![full.clone(); POLICIES_MAX]));
    let large = Delegation { roles: roles.collect(), grants: Vec::new() };
    assert_eq!(large.validate(), Err(DelegationFault::Count), "more bytes than the limit");
}
