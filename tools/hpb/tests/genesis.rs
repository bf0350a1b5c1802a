//! `hpb genesis` as a user sees it: a preset, keys put in, and what is wrong before that.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{HPB, Place, refused, succeeded};
use hpb_types::{KeyPair, VrfSecret};

fn genesis(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).arg("genesis").args(words);
    command
}

#[test]
fn a_preset_is_a_genesis_once_it_has_keys() {
    let place = Place::new("genesis");
    let preset = succeeded(&mut genesis(&place, &["preset", "gxn", "--start", "2027-01-31", "--producers", "4"])).out;
    fs::write(place.at("genesis.toml"), &preset).unwrap();
    let line = refused(&mut genesis(&place, &["check", "genesis.toml"]));
    let at = 1 + preset.lines().position(|line| line == "name = \"crowd\"").unwrap();
    assert_eq!(line, format!("genesis.toml: line {}: account crowd: its key is small-order or not canonical", at - 1));

    let mut number = 0_u8;
    let with_keys: Vec<String> = preset
        .lines()
        .map(|line| {
            number += u8::from(line.contains("000000000000"));
            let key = match line.split_once(" = ") {
                Some(("key", _)) => KeyPair::from_seed([number; 32]).public().to_hex(),
                Some(("beacon", _)) => VrfSecret::from_seed([number; 32]).public().to_hex(),
                _ => return line.to_owned(),
            };
            format!("{} = \"{key}\"", line.split_once(" = ").unwrap().0)
        })
        .collect();
    fs::write(place.at("genesis.toml"), with_keys.join("\n")).unwrap();
    let text = succeeded(&mut genesis(&place, &["check", "genesis.toml"])).out;
    let supply = "supply     100000000 tokens: 46000000 in balances, 39000000 vesting, 40000 bonded, 14960000 in the \
                  reward pool\n";
    assert!(text.ends_with(supply), "{text}");
    assert!(text.contains("\nstart      2027-01-31 00:00 UTC\n"), "{text}");
    let json = succeeded(&mut genesis(&place, &["check", "genesis.toml", "--json"])).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(text.starts_with(&format!("chain      {}\n", json["chain"].as_str().unwrap())));
    assert_eq!((json["producers"].as_u64(), json["supply"].as_str()), (Some(4), Some("100000000")));
}

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let place = Place::new("genesis-refused");
    fs::write(place.at("bad.toml"), "label = \"x\"\nstart = 1\nslots = 3\n").unwrap();
    fs::write(place.at("no-text"), [0xff, 0xfe]).unwrap();
    for (words, said) in [
        (&["check", "bad.toml"][..], "bad.toml: line 3: unknown field `slots`"),
        (&["check", "absent.toml"], "reading absent.toml failed: No such file"),
        (&["check", "no-text"], "reading no-text failed: stream did not contain valid UTF-8"),
        (&["check", "."], "reading . failed: Is a directory"),
        (&["preset", "gxn", "--start", "2027-02-29"], "a date is YYYY-MM-DD"),
        (&["preset", "gxn", "--start", "9998-01-01"], "the last release would come after the year 9999"),
        (&["preset", "gxn", "--start", "2027-01-01", "--producers", "102"], "102 is not in 1..=101"),
        (&["preset", "dai", "--start", "2027-01-01"], "invalid value 'dai'"),
        (&["preset", "gxn"], "--start"),
    ] {
        let line = refused(&mut genesis(&place, words));
        assert!(line.contains(said), "{words:?}: {line}");
    }
}
