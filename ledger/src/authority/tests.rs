#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::convert::Infallible;

use hpb_types::PermissionName;
use proptest::prelude::*;

use super::explain::{Explained, Finding, Part, PartKind, Verdict, explain_within};
use super::*;
use crate::account::{ACTIVE, Authority, OWNER, Parent, WeightedAccount, WeightedKey, WeightedWait};

type Book = BTreeMap<AccountName, Account>;

fn key(letter: &str) -> PublicKey {
    PublicKey([letter.as_bytes()[0]; 32])
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

fn judge_in(book: &Book, depth: usize, account: &str, permission: PermissionName, keys: &[PublicKey]) -> Option<u64> {
    judge_by(book, depth, account, permission, Standing::signed(keys))
}

fn judge_by(
    book: &Book,
    depth: usize,
    account: &str,
    permission: PermissionName,
    standing: Standing<'_>,
) -> Option<u64> {
    let named = Authorisation { account: name(account), permission };
    let mut find = |account| Ok::<_, Infallible>(book.get(&account).cloned());
    let Ok(used) = judge_within(depth, &named, standing, &mut find);
    used.map(|used| used.0)
}

fn permission(
    name: PermissionName,
    threshold: u32,
    keys: Vec<WeightedKey>,
    accounts: Vec<WeightedAccount>,
) -> Permission {
    let parent = if name == OWNER { Parent::Root } else { Parent::Under(OWNER) };
    Permission { name, parent, authority: Authority { threshold, keys, accounts, waits: Vec::new() } }
}

/// An account whose `active` is as given and whose `owner` nobody can satisfy.
fn account_of(active: Permission) -> Account {
    let nobody = vec![WeightedKey { key: PublicKey([0xff; 32]), weight: 1 }];
    Account { permissions: vec![active, permission(OWNER, 1, nobody, Vec::new())] }
}

#[test]
fn parents_satisfy_children_and_never_the_reverse() {
    let book = Book::from([(name("alice"), Account::with_keys(key("o"), key("a")))]);
    let satisfied = |permission, signer: &str| judge_in(&book, 6, "alice", permission, &[key(signer)]).is_some();
    assert!(satisfied(ACTIVE, "a") && satisfied(ACTIVE, "o") && satisfied(OWNER, "o"));
    assert!(!satisfied(OWNER, "a") && !satisfied(ACTIVE, "x"));
    assert!(!satisfied(PermissionName::literal("trade"), "o"), "a permission that is not there");
    assert_eq!(judge_in(&book, 6, "bob", ACTIVE, &[key("a")]), None, "an account that is not there");
    assert_eq!(judge_in(&book, 6, "alice", ACTIVE, &[]), None);
}

#[test]
fn circles_are_harmless() {
    let refer = |to: &[&str]| {
        let parts = to.iter().map(|to| WeightedAccount {
            authorisation: Authorisation { account: name(to), permission: ACTIVE },
            weight: 1,
        });
        account_of(permission(ACTIVE, 1, Vec::new(), parts.collect()))
    };
    let everyone = ["ann", "bob", "cat", "dan", "eve"];
    let book: Book = everyone.iter().map(|person| (name(person), refer(&everyone))).collect();
    let mut looked_up = 0;
    let mut find = |account| {
        looked_up += 1;
        Ok::<_, Infallible>(book.get(&account).cloned())
    };
    let named = Authorisation { account: name("ann"), permission: ACTIVE };
    assert_eq!(judge(&named, Standing::signed(&[key("a")]), &mut find), Ok(None));
    assert!(looked_up <= AUTHORITY_STEPS_MAX, "{looked_up} look-ups");
}

#[test]
fn waits_count_for_what_has_waited() {
    let mut active = permission(ACTIVE, 2, vec![WeightedKey { key: key("a"), weight: 1 }], Vec::new());
    active.authority.waits.push(WeightedWait { wait_ms: 10, weight: 1 });
    let book = Book::from([(name("alice"), account_of(active))]);
    assert_eq!(judge_in(&book, 6, "alice", ACTIVE, &[key("a")]), None, "what executes at once has not");
    for (waited_ms, used) in [(9, None), (10, Some(1)), (u64::MAX, Some(1))] {
        let keys = [key("a")];
        let standing = Standing { keys: &keys, approvals: &[], waited_ms };
        assert_eq!(judge_by(&book, 6, "alice", ACTIVE, standing), used, "{waited_ms}");
    }
}

#[test]
fn approvals_count_upward_and_never_downward() {
    let bob = WeightedAccount { authorisation: Authorisation { account: name("bob"), permission: ACTIVE }, weight: 1 };
    let book = Book::from([
        (name("alice"), account_of(permission(ACTIVE, 1, Vec::new(), vec![bob]))),
        (name("bob"), Account::with_keys(key("o"), key("b"))),
    ]);
    let approved = |account: &str, permission| {
        let approvals = [Authorisation { account: name(account), permission }];
        let standing = Standing { approvals: &approvals, ..Standing::default() };
        [("alice", ACTIVE), ("alice", OWNER), ("bob", ACTIVE)]
            .map(|(account, asked)| judge_by(&book, 6, account, asked, standing).is_some())
    };
    assert_eq!(approved("bob", ACTIVE), [true, false, true]);
    assert_eq!(approved("bob", OWNER), [true, false, true]);
    assert_eq!(approved("bob", PermissionName::literal("trade")), [false; 3], "one that is not there");
    assert_eq!(approved("alice", ACTIVE), [true, false, false]);
    assert_eq!(approved("alice", OWNER), [true, true, false]);
    assert_eq!(approved("carol", OWNER), [false; 3]);
}

fn explain_in(book: &Book, depth: usize, account: &str, permission: PermissionName, keys: &[PublicKey]) -> Explained {
    explain_by(book, depth, account, permission, Standing::signed(keys))
}

fn explain_by(
    book: &Book,
    depth: usize,
    account: &str,
    permission: PermissionName,
    standing: Standing<'_>,
) -> Explained {
    let named = Authorisation { account: name(account), permission };
    let mut find = |account| Ok::<_, Infallible>(book.get(&account).cloned());
    let Ok(explained) = explain_within(depth, &named, standing, &mut find);
    explained
}

/// The keys that count in what satisfied the permission; none where nothing did.
fn counted(explained: &Explained, keys: &[PublicKey]) -> u64 {
    let Verdict::Satisfied(by) = explained.verdict else { return 0 };
    let weighed = explained.weighed.iter().find(|weighed| weighed.permission == by).unwrap();
    weighed.parts.iter().filter(|part| part.counts()).fold(0, |used, part| match (&part.kind, &part.finding) {
        (PartKind::Key(key), _) => used | 1 << keys.iter().position(|signer| signer == key).unwrap(),
        (_, Finding::Account(explained)) => used | counted(explained, keys),
        _ => used,
    })
}

#[test]
fn an_explanation_names_each_part() {
    let friend =
        WeightedAccount { authorisation: Authorisation { account: name("bob"), permission: ACTIVE }, weight: 1 };
    let gone =
        WeightedAccount { authorisation: Authorisation { account: name("nobody"), permission: ACTIVE }, weight: 1 };
    let mut active = permission(ACTIVE, 3, vec![WeightedKey { key: key("a"), weight: 2 }], vec![friend, gone]);
    active.authority.waits.push(WeightedWait { wait_ms: 5, weight: 1 });
    let book = Book::from([(name("alice"), account_of(active)), (name("bob"), Account::with_keys(key("o"), key("b")))]);
    let explained = explain_in(&book, 6, "alice", ACTIVE, &[key("b")]);
    assert_eq!(explained.verdict, Verdict::Unsatisfied);
    let [active, owner] = &explained.weighed[..] else { panic!("{explained:?}") };
    assert_eq!((active.threshold, active.reached, owner.reached), (3, 1, 0));
    let findings: Vec<bool> = active.parts.iter().map(Part::counts).collect();
    assert_eq!(findings, [false, true, false, false], "the key, bob, nobody, the wait");
    let Finding::Account(nobody) = &active.parts[2].finding else { panic!("{explained:?}") };
    assert_eq!(nobody.verdict, Verdict::NoSuchAccount);
    let both = explain_in(&book, 6, "alice", ACTIVE, &[key("a"), key("b")]);
    assert_eq!(both.verdict, Verdict::Satisfied(ACTIVE));
    assert_eq!(both.weighed[0].parts[2].finding, Finding::NotNeeded);
    assert_eq!(
        explain_in(&book, 0, "alice", ACTIVE, &[key("a"), key("b")]).weighed[0].parts[1].finding,
        Finding::TooDeep
    );
    let trade = PermissionName::literal("trade");
    assert_eq!(explain_in(&book, 6, "alice", trade, &[key("a")]).verdict, Verdict::NoSuchPermission);
    assert_eq!(explain_in(&book, 6, "dan", ACTIVE, &[]).verdict, Verdict::NoSuchAccount);
    let by_owner = explain_in(&book, 6, "bob", ACTIVE, &[key("o")]);
    assert_eq!(by_owner.verdict, Verdict::Satisfied(OWNER));
}

/// What the rule says, spelled out over plain data: is the permission reached by these signers?
fn model(book: &Book, account: AccountName, asked: PermissionName, standing: Standing<'_>, depth: usize) -> bool {
    let Some(record) = book.get(&account) else { return false };
    let mut names = vec![asked];
    while let Some(Parent::Under(parent)) =
        record.permissions.iter().find(|permission| permission.name == *names.last().unwrap()).map(|found| found.parent)
    {
        names.push(parent);
    }
    if names.iter().any(|name| {
        let is_there = record.permissions.iter().any(|permission| permission.name == *name);
        is_there && standing.approvals.contains(&Authorisation { account, permission: *name })
    }) {
        return true;
    }
    record.permissions.iter().filter(|permission| names.contains(&permission.name)).any(|permission| {
        let authority = &permission.authority;
        let keys = authority.keys.iter().filter(|part| standing.keys.contains(&part.key));
        let accounts = authority.accounts.iter().filter(|part| {
            let to = &part.authorisation;
            depth > 0 && model(book, to.account, to.permission, standing, depth - 1)
        });
        let waits = authority.waits.iter().filter(|part| standing.waited_ms >= part.wait_ms);
        let weights = keys.map(|part| part.weight).chain(accounts.map(|part| part.weight));
        let sum: u32 = weights.chain(waits.map(|part| part.weight)).map(u32::from).sum();
        sum >= authority.threshold
    })
}

/// Three accounts with `owner`, `active` and `trade` (under `active`), whose parts are drawn.
fn books() -> impl Strategy<Value = Book> {
    let parts = (
        proptest::collection::btree_map(0..5_u8, 1..4_u16, 0..4),
        proptest::collection::btree_map((0..3_usize, 0..3_usize), 1..4_u16, 0..2),
        proptest::collection::btree_map(1..4_u64, 1..4_u16, 0..2),
        1..6_u32,
    );
    proptest::collection::vec(parts, 9).prop_map(|parts| {
        let names = [ACTIVE, OWNER, PermissionName::literal("trade")];
        let people = ["ann", "bob", "cat"].map(name);
        let parents = [Parent::Under(OWNER), Parent::Root, Parent::Under(ACTIVE)];
        let mut book = Book::new();
        for (person, parts) in people.iter().zip(parts.chunks(3)) {
            let permissions = parts.iter().enumerate().map(|(index, (keys, accounts, waits, threshold))| Permission {
                name: names[index],
                parent: parents[index],
                authority: Authority {
                    threshold: *threshold,
                    keys: keys
                        .iter()
                        .map(|(key, weight)| WeightedKey { key: PublicKey([*key; 32]), weight: *weight })
                        .collect(),
                    accounts: accounts
                        .iter()
                        .map(|((person, permission), weight)| WeightedAccount {
                            authorisation: Authorisation { account: people[*person], permission: names[*permission] },
                            weight: *weight,
                        })
                        .collect(),
                    waits: waits
                        .iter()
                        .map(|(wait_ms, weight)| WeightedWait { wait_ms: *wait_ms, weight: *weight })
                        .collect(),
                },
            });
            book.insert(*person, Account { permissions: permissions.collect() });
        }
        book
    })
}

proptest! {
    #[test]
    fn random_trees_are_judged_as_the_rule_says(
        book in books(),
        signed in 0..32_u8,
        approved in proptest::collection::vec((0..3_usize, 0..3_usize), 0..3),
        waited_ms in 0..4_u64,
        asked in 0..3_usize,
        depth in 0..3_usize,
    ) {
        let signers: Vec<PublicKey> = (0..5_u8).filter(|key| signed & (1 << key) != 0).map(|key| PublicKey([key; 32])).collect();
        let permissions = [ACTIVE, OWNER, PermissionName::literal("trade")];
        let asked = permissions[asked];
        let approvals: Vec<Authorisation> = approved
            .iter()
            .map(|(person, of)| Authorisation { account: name(["ann", "bob", "cat"][*person]), permission: permissions[*of] })
            .collect();
        let standing = Standing { keys: &signers, approvals: &approvals, waited_ms };
        let used = judge_by(&book, depth, "ann", asked, standing);
        prop_assert_eq!(used.is_some(), model(&book, name("ann"), asked, standing, depth));
        let explained = explain_by(&book, depth, "ann", asked, standing);
        prop_assert_eq!(used.is_some(), explained.is_satisfied());
        prop_assert_eq!(used.unwrap_or_default(), counted(&explained, &signers), "{:?}", explained);
        if let Some(used) = used {
            let needed: Vec<PublicKey> =
                signers.iter().enumerate().filter(|(bit, _)| used & (1 << bit) != 0).map(|(_, key)| *key).collect();
            let standing = Standing { keys: &needed, ..standing };
            prop_assert!(model(&book, name("ann"), asked, standing, depth), "the used keys suffice alone");
        }
    }
}
