//! `hpb producer` as a user sees it: on folders that runs have left, are holding, or never made.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{HPB, Place, Running, refused, report, succeeded};
use hpb_devnet::producers::{ProducerRow, Producers, Status};

fn producer(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).arg("producer").args(words);
    command
}

fn listed(place: &Place, words: &[&str]) -> Producers {
    let done = succeeded(&mut producer(place, &[&["list", "--json"], words].concat()));
    serde_json::from_str(&done.out).unwrap()
}

#[test]
fn the_list_says_why_one_that_lied_is_no_producer() {
    let place = Place::new("expelled");
    let words = ["--validators", "5", "--byzantine", "1", "--seconds", "10", "--data", "data"];
    let run = succeeded(&mut place.devnet(&words));
    let report = report(&place.at("report"));
    let [liar] = &report.liars[..] else { panic!("{}", run.out) };
    let [offence] = &liar.offences[..] else { panic!("{}", run.out) };

    let producers = listed(&place, &["--data", "data"]);
    assert_eq!(producers.producers.len(), 5);
    for row in &producers.producers[..4] {
        assert_eq!((row.status, row.offences.len(), row.out_from_epoch), (Status::Active, 0, None), "{row:?}");
        assert_eq!(row.bond, 10_000 * 10u128.pow(18));
        assert!(row.blocks > 0 && row.confirms > 0, "{row:?}");
    }
    let last = &producers.producers[4];
    assert_eq!((last.rank, last.name.as_str(), last.status), (5, "validator-4", Status::Expelled));
    assert_eq!((&last.offences, last.out_from_epoch), (&liar.offences, liar.out_from_epoch), "as the run said");
    assert_eq!(last.bond, 10_000 * 10u128.pow(18) - offence.cut);
    let others = listed(&place, &["--data", "data", "--validator", "3"]);
    assert_eq!(others.producers[4].offences, liar.offences, "every validator has it in its state");

    let table = succeeded(&mut producer(&place, &["list", "--data", "data"])).out;
    let line = table.lines().last().unwrap();
    assert!(line.starts_with(&format!("validator-4: expelled: {offence} in epoch {}, ", offence.epoch)), "{table}");
    let shown = succeeded(&mut producer(&place, &["show", "validator-4", "--data", "data", "--json"])).out;
    assert_eq!(serde_json::from_str::<ProducerRow>(&shown).unwrap(), *last);
    let shown = succeeded(&mut producer(&place, &["show", "validator-4", "--data", "data"])).out;
    assert!(
        shown.starts_with("producer   validator-4\nstatus     expelled\nwhy        expelled: two slices"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_made() {
    let place = Place::new("unread");
    let list = |folder: &str| producer(&place, &["list", "--data", folder]);
    let line = refused(&mut list("absent"));
    assert!(line.starts_with("reading absent/genesis failed: No such file"), "{line}");
    let line = refused(&mut producer(&place, &["list"]));
    assert!(line.starts_with("reading report/chain/genesis failed: No such file"), "{line}");
    fs::create_dir(place.at("empty")).unwrap();
    let line = refused(&mut list("empty"));
    assert_eq!(line, "the data folder empty does not fit: it holds no devnet's chain: `hpb devnet --data` leaves one");
    fs::write(place.at("empty/genesis.draft"), "").unwrap();
    assert_eq!(refused(&mut list("empty")), "the data folder empty does not fit: its chain has not begun");
    fs::write(place.at("empty/genesis"), "no genesis").unwrap();
    let line = refused(&mut list("empty"));
    assert!(line.starts_with("the data folder empty does not fit: its genesis does not read back: "), "{line}");
    assert_eq!(place.listing(), ["empty", "empty/genesis", "empty/genesis.draft"]);

    let mut holder = Running::start(&place, "data", &["--seconds", "60"]);
    holder.wait_for(1);
    let id = holder.child.id();
    let line = refused(&mut list("data"));
    assert!(line.contains(&format!("data/validator-0 is in use by process {id}: stop that one")), "{line}");
    let (code, _) = holder.end("INT");
    assert_eq!(code, Some(0), "the holder goes on undisturbed");
    let producers = listed(&place, &["--data", "data"]);
    assert!(producers.producers.iter().all(|row| row.status == Status::Active), "{producers:?}");

    let line = refused(&mut producer(&place, &["show", "nobody", "--data", "data"]));
    assert!(line.starts_with("there is no producer `nobody`: the producers are validator-"), "{line}");
    let line = refused(&mut producer(&place, &["list", "--data", "data", "--validator", "4"]));
    assert_eq!(line, "the data folder data does not fit: it has validators 0 to 3, not 4");
    fs::remove_dir_all(place.at("data/validator-1")).unwrap();
    let line = refused(&mut producer(&place, &["list", "--data", "data", "--validator", "1"]));
    assert_eq!(line, "the data folder data does not fit: it lacks the folder of validator-1");
    assert!(!place.at("data/validator-1").exists());
}
