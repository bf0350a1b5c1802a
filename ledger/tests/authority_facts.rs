//! The authority check against facts from outside: `dpos/authority.json`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;

use hpb_base::limits::AUTHORITY_DEPTH_MAX;
use hpb_ledger::account::{ACTIVE, Account, Authority, WeightedAccount, WeightedKey};
use hpb_ledger::authority::{Standing, judge_within};
use hpb_types::{AccountName, Authorisation, PublicKey};
use serde_json::Value;

type Book = BTreeMap<AccountName, Account>;

fn key(letter: &str) -> PublicKey {
    PublicKey([letter.as_bytes()[0]; 32])
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

fn active(threshold: u32, keys: Vec<WeightedKey>, accounts: Vec<WeightedAccount>) -> Authority {
    Authority { threshold, keys, accounts, waits: Vec::new() }
}

/// An account whose `active` is as given and whose `owner` nobody satisfies.
fn account_of(active: Authority) -> Account {
    Account::new(PublicKey([0xff; 32]).into(), active)
}

fn weighted_keys(keys: &Value) -> Vec<WeightedKey> {
    let keys = keys.as_object().unwrap().iter();
    keys.map(|(letter, weight)| WeightedKey { key: key(letter), weight: weight.as_u64().unwrap() as u16 }).collect()
}

/// The file of facts, or why the test is skipped. With `HPB_DATA` set it must be there.
fn facts() -> Option<Value> {
    let set = std::env::var_os("HPB_DATA").map(PathBuf::from);
    let folder = set.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let path = folder.join("dpos/authority.json");
    if set.is_none() && !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
}

#[test]
fn the_facts_about_weighted_authorities_hold() {
    let Some(facts) = facts() else { return };
    let cases = facts["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 17);
    for (index, case) in cases.iter().enumerate() {
        let mut book = Book::new();
        let mut accounts = Vec::new();
        for (reference, what) in case["accounts"].as_object().unwrap() {
            let referred = reference.split('@').next().unwrap();
            let (weight, referred_active) = if referred == "top" {
                // The facts' "as above" in EOSIO's source: top needs d (1) and bottom (1), bottom needs e.
                let bottom = active(1, vec![WeightedKey { key: key("e"), weight: 1 }], Vec::new());
                book.insert(name("bottom"), account_of(bottom));
                let below = Authorisation { account: name("bottom"), permission: ACTIVE };
                let below = vec![WeightedAccount { authorisation: below, weight: 1 }];
                (5, active(2, vec![WeightedKey { key: key("d"), weight: 1 }], below))
            } else {
                let threshold = what["is"]["threshold"].as_u64().unwrap() as u32;
                let keys = weighted_keys(&what["is"]["keys"]);
                (what["weight"].as_u64().unwrap() as u16, active(threshold, keys, Vec::new()))
            };
            book.insert(name(referred), account_of(referred_active));
            let authorisation = Authorisation { account: name(referred), permission: ACTIVE };
            accounts.push(WeightedAccount { authorisation, weight });
        }
        let threshold = case["threshold"].as_u64().unwrap() as u32;
        let judged = active(threshold, weighted_keys(&case["keys"]), accounts);
        assert_eq!(judged.validate(), Ok(()), "case {index}");
        book.insert(name("judged"), account_of(judged));
        let letters = |list: &Value| -> Vec<PublicKey> {
            list.as_array().unwrap().iter().map(|letter| key(letter.as_str().unwrap())).collect()
        };
        let provided = letters(&case["provided"]);
        let depth = case["depth"].as_u64().map_or(AUTHORITY_DEPTH_MAX, |depth| depth as usize);
        let named = Authorisation { account: name("judged"), permission: ACTIVE };
        let mut find = |account| Ok::<_, Infallible>(book.get(&account).cloned());
        let Ok(used) = judge_within(depth, &named, Standing::signed(&provided), &mut find);
        let used = used.map(|used| used.0);
        assert_eq!(used.is_some(), case["ok"].as_bool().unwrap(), "case {index}");
        if case["used"].is_array() {
            let expected = letters(&case["used"]);
            let bits = provided.iter().enumerate().filter(|(_, key)| expected.contains(key));
            assert_eq!(used.unwrap_or(0), bits.map(|(bit, _)| 1 << bit).sum::<u64>(), "case {index}");
        }
    }
}
