//! `hpb account` and `hpb token` as a user sees it, on the folder that a run has left.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::{HPB, Place, refused, succeeded};
use hpb_devnet::accounts::{AccountRow, ExplainedRow, PartOf};
use hpb_devnet::token::SupplyRow;

fn account(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).arg("account").args(words);
    command
}

#[test]
fn accounts_and_the_token_are_shown_and_answers_explained() {
    let place = Place::new("account");
    succeeded(&mut place.devnet(&["--seconds", "3", "--data", "data"]));
    let in_data = |words: &[&str]| account(&place, &[words, &["--data", "data"]].concat());
    let json = |words: &[&str]| succeeded(&mut in_data(&[words, &["--json"]].concat())).out;

    let shown: AccountRow = serde_json::from_str(&json(&["show", "validator-0"])).unwrap();
    assert_eq!((shown.name.as_str(), shown.roles.len()), ("validator-0", 0));
    assert!(shown.balance > 0 && shown.slot > 0, "{shown:?}");
    let names: Vec<(&str, u32)> =
        shown.permissions.iter().map(|permission| (permission.name.as_str(), permission.depth)).collect();
    assert_eq!(names, [("owner", 0), ("active", 1)]);
    let PartOf::Key(key) = &shown.permissions[0].parts[0].part else { panic!("{shown:?}") };
    let text = succeeded(&mut in_data(&["show", "validator-0"])).out;
    assert!(text.starts_with("account    validator-0\nbalance    "), "{text}");
    assert!(text.contains(&format!("permission   active: 1 of key {key} (1)\n")), "{text}");

    let explained: ExplainedRow = serde_json::from_str(&json(&["explain", "validator-0", "--key", key])).unwrap();
    assert_eq!((explained.asked.as_str(), explained.is_satisfied), ("validator-0@active", true));
    let text = succeeded(&mut in_data(&["explain", "validator-0@active"])).out;
    let expected = format!(
        "validator-0@active: not satisfied: neither it nor what stands above it is satisfied\n  \
         active: 0 of 1\n    - key {key} (1): did not sign\n  \
         owner: 0 of 1\n    - key {key} (1): did not sign\n"
    );
    assert_eq!(text, expected);
    let text = succeeded(&mut in_data(&["explain", "nobody-here"])).out;
    assert_eq!(text, "nobody-here@active: not satisfied: there is no such account\n");

    let token = |words: &[&str]| {
        let mut command = Command::new(HPB);
        command.current_dir(place.path()).arg("token").args(words).args(["--data", "data"]);
        succeeded(&mut command).out
    };
    let supply: SupplyRow = serde_json::from_str(&token(&["supply", "--json"])).unwrap();
    assert_eq!(supply.now, supply.genesis);
    let parts = [supply.balances, supply.staked, supply.bonded, supply.vesting, supply.deposits, supply.reward_pool];
    assert_eq!(parts.iter().sum::<u128>() + supply.fees, supply.now);
    assert!(supply.bonded > 0 && supply.balances > shown.balance, "{supply:?}");
    let text = token(&["supply"]);
    assert!(text.starts_with("supply     ") && text.contains(" tokens, as at genesis\nbalances   "), "{text}");
    assert_eq!(token(&["vesting"]), "nothing vests\n");

    assert_eq!(refused(&mut in_data(&["show", "nobody-here"])), "there is no account `nobody-here`");
    for (words, said) in [
        (&["explain", "validator-0", "--key", "8a"][..], "a key is 64 hexadecimal digits"),
        (&["explain", "No@active"], "`No` is no account"),
        (&["explain", "validator-0@A"], "`A` is no permission"),
        (&["show", "x"], "a name of this kind has 3 to 32 characters"),
    ] {
        let line = refused(&mut in_data(words));
        assert!(line.contains(said), "{words:?}: {line}");
    }
}
