//! `hpb lab` as a user sees it: scenarios by name and by file, records that come again from their seed, limits.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{HPB, Place, refused, succeeded};

const FILE: &str = "name = \"short\"\nclock = \"virtual\"\nwarm_up = \"10ms\"\nduration = \"200ms\"\nrepeats = 2\nsessions = 4\n\
                    assert = [\"p99_us < 5000\"]\n\n[load]\npattern = \"request-reply\"\narrivals = \"poisson\"\n\
                    rate_per_s = 500\n\n[link]\ndelay = \"1ms\"\njitter = \"uniform 100us\"\n\n\
                    [[target]]\nname = \"card\"\nkind = \"card\"\n\n\
                    [[target]]\nname = \"card-plain\"\nkind = \"card\"\nencrypted = false\n";

fn lab(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).arg("lab").args(words);
    command
}

#[test]
fn a_scenario_comes_again_from_its_seed_byte_for_byte() {
    let place = Place::new("lab-seed");
    fs::write(place.at("short.toml"), FILE).unwrap();
    let record = |seed: &str, folder: &str| {
        succeeded(&mut lab(&place, &["run", "short.toml", "--seed", seed, "--report", folder]));
        fs::read_to_string(place.at(folder).join("result.json")).unwrap()
    };
    let first = record("7", "a");
    assert_eq!(first, record("7", "b"));
    assert_ne!(first, record("8", "c"));
    let value: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((value["schema"].as_u64(), value["scenario"]["seed"].as_u64()), (Some(1), Some(7)));
    assert_eq!(value["targets"].as_array().map(Vec::len), Some(2));
    assert!(value["scenario"]["text"].as_str().unwrap().ends_with("# set: seed = 7\n"));
    let text = succeeded(&mut lab(&place, &["run", "short.toml"])).out;
    assert!(
        text.contains("card-plain against card, as a multiple of it")
            && text.contains("held    p99_us < 5000 · card: "),
        "{text}"
    );
    let json = succeeded(&mut lab(&place, &["run", "short.toml", "--seed", "7", "--json"])).out;
    assert_eq!(json, first);
}

#[test]
fn a_limit_that_fails_ends_with_code_one() {
    let place = Place::new("lab-limit");
    fs::write(place.at("short.toml"), FILE.replace("p99_us < 5000", "p99_us < 50")).unwrap();
    let output = lab(&place, &["run", "short.toml", "--repeats", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("missed  p99_us < 50 · card: "), "the figures are printed all the same: {out}");
    assert!(said.starts_with("hpb: 2 of 2 limits fail: p99_us < 50 (card: "), "{said}");
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_its_place() {
    let place = Place::new("lab-wrong");
    fs::write(place.at("bad.toml"), FILE.replace("jitter =", "jiter =")).unwrap();
    fs::write(place.at("short.toml"), FILE).unwrap();
    fs::write(place.at("file"), "").unwrap();
    for (words, said) in [
        (&["check", "bad.toml"][..], "bad.toml: line 16: unknown key `jiter` of link: `jitter`?"),
        (&["run", "bad.toml"], "bad.toml: line 16: unknown key"),
        (&["check", "absent.toml"], "reading absent.toml failed: No such file"),
        (&["run", "incats"], "no ready scenario is called incats (incast?)"),
        (&["run", "incast", "--set", "sessions"], "--set sessions: expected a key and a value"),
        (&["run", "incast", "--set", "sessions=0"], "incast: `sessions` is a whole number from 1 to 200000"),
        (&["run", "short.toml", "--report", "file"], "--report file: "),
    ] {
        let line = refused(&mut lab(&place, words));
        assert!(line.starts_with(said), "{words:?}: {line}");
    }
}

#[test]
fn ready_scenarios_are_listed_and_shown() {
    let place = Place::new("lab-ready");
    let listed = succeeded(&mut lab(&place, &["list"])).out;
    assert_eq!(listed.lines().count(), 13);
    let json = succeeded(&mut lab(&place, &["list", "--json"])).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for one in json.as_array().unwrap() {
        let name = one["name"].as_str().unwrap();
        let shown = succeeded(&mut lab(&place, &["show", name])).out;
        fs::write(place.at("shown.toml"), &shown).unwrap();
        let checked = succeeded(&mut lab(&place, &["check", "shown.toml"])).out;
        assert_eq!(checked, format!("{name}: {}\n", one["about"].as_str().unwrap()));
    }
}
