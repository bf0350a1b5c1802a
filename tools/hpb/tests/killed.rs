//! A devnet that is killed at any moment holds, at its next start, all that it ever called final.
//!
//! It is killed a few times here, a hundred times by `make kill`.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use common::disk::Disks;
use common::{HPB, Place, Running, ended, report, roots};
use hpb_base::Random;
use hpb_devnet::audit::AuditRow;
use hpb_types::Hash;

/// Names how often the devnet is killed; without it, as in `make test`, that is [`ROUNDS`] times.
const ROUNDS_VARIABLE: &str = "HPB_KILL_ROUNDS";
const ROUNDS: u64 = 4;
/// All validators' disks are looked through after each so manieth kill.
const ALL_EVERY: u64 = 4;
/// Names the seed of the moments.
const SEED_VARIABLE: &str = "HPB_KILL_SEED";
const SEED: u64 = 3;
/// The moment lies at most this many final transactions after the first: a second or two.
const TOLD_MAX: u64 = 400;
/// A run's options; `--seconds` is far more than a round takes.
const OPTIONS: [&str; 6] = ["--sessions", "60", "--rate", "300", "--seconds", "300"];

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// Looks through what the last kill has left, and mends nothing: the next round starts from it. Validator 0's log must
/// hold all that its terminals were told; now and then, and at the end, the others' are compared with it.
fn verify(place: &Place, told: &BTreeSet<Hash>, all: bool) -> AuditRow {
    let text: String = told.iter().map(|id| id.to_hex() + "\n").collect();
    fs::write(place.at("told"), text).unwrap();
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).args(["ledger", "verify", "--data", "data", "--told", "told", "--json"]);
    if !all {
        command.args(["--validator", "0"]);
    }
    let ended = ended(&mut command);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).unwrap()
}

/// `HPB_KILL_ROUNDS=100` makes it the hundred; `HPB_KILL_SEED` chooses other moments.
#[test]
fn what_was_told_final_outlives_every_kill() {
    let place = Place::new("killed");
    let (rounds, seed) = (number(ROUNDS_VARIABLE, ROUNDS), number(SEED_VARIABLE, SEED));
    let mut moments = Random::new(seed);
    let mut told: BTreeSet<Hash> = BTreeSet::new();
    let mut torn = 0;
    for round in 0..rounds {
        let count = 1 + moments.below(TOLD_MAX) as usize;
        let mut running = Running::start(&place, "data", &OPTIONS);
        running.wait_for(count);
        let (code, ids) = running.end("KILL");
        assert_eq!(code, None, "round {round}: it ended by itself");
        assert!(ids.len() >= count);
        for id in ids {
            assert!(told.insert(id), "round {round}: {} was told final twice", id.to_hex());
        }
        let row = verify(&place, &told, round % ALL_EVERY == ALL_EVERY - 1);
        torn += row.validators.iter().filter(|validator| validator.torn).count();
        let (first, told) = (&row.validators[0], told.len());
        eprintln!("kill {} of {rounds}: {told} told final, all there; final up to {}", round + 1, first.last_final);
    }
    eprintln!("{rounds} kills, seed {seed}: {torn} logs were found with a batch cut short");

    let mut running = Running::start(&place, "data", &OPTIONS);
    running.wait_for(1);
    let (code, _) = running.end("INT");
    assert_eq!(code, Some(0), "{}", fs::read_to_string(place.at("data.err")).unwrap());
    let last = report(&place.at("report"));
    assert_eq!(last.supply.genesis, last.supply.now);
    let roots = roots(&last);
    assert_eq!(roots.len(), last.verified.len());
    for (at, root) in &roots {
        assert!(roots.iter().all(|(other_at, other)| other_at != at || other == root), "two roots at {at}");
    }
    assert_eq!(verify(&place, &told, true).validators.len(), 4);
    let disks = Disks::read(&place.at("data"));
    disks.check_agreement();
    for (index, disk) in disks.disks.iter().enumerate() {
        assert!(told.is_subset(&disk.final_transactions()), "validator {index} lacks what was told final");
    }
}
