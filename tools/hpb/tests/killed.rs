//! A devnet that is killed at any moment holds, at its next start, all that it ever called final.
//!
//! It is killed a few times here, twenty times with `HPB_KILL_ROUNDS=20`.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::disk::{Disks, copy};
use common::{Place, Running, report, roots};
use hpb_base::Random;
use hpb_types::Hash;

/// Names how often the devnet is killed; without it, as in `make test`, that is [`ROUNDS`] times.
const ROUNDS_VARIABLE: &str = "HPB_KILL_ROUNDS";
const ROUNDS: u64 = 4;
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

/// `HPB_KILL_ROUNDS=20` makes it the twenty; `HPB_KILL_SEED` chooses other moments.
///
/// What a round finds on the disks is looked at in a copy, so that the next round starts from what the kill left and
/// not from what the look has mended.
#[test]
fn what_was_told_final_outlives_every_kill() {
    let place = Place::new("killed");
    let (rounds, seed) = (number(ROUNDS_VARIABLE, ROUNDS), number(SEED_VARIABLE, SEED));
    let mut moments = Random::new(seed);
    let mut told: BTreeSet<Hash> = BTreeSet::new();
    let mut held: BTreeSet<Hash> = BTreeSet::new();
    for round in 0..rounds {
        let count = 1 + moments.below(TOLD_MAX) as usize;
        let mut running = Running::start(&place, "data", &OPTIONS);
        running.wait_for(count);
        let (code, ids) = running.end("KILL");
        assert_eq!(code, None, "round {round}: it ended by itself");
        assert!(ids.len() >= count);
        for id in ids {
            // A disk that had lost this round would be the one of the round before, which has none of it.
            assert!(!held.contains(&id), "round {round}: {} was final before", id.to_hex());
            assert!(told.insert(id), "round {round}: {} was told final twice", id.to_hex());
        }
        copy(&place.at("data"), &place.at("copy"));
        let disks = Disks::read(&place.at("copy"));
        held = disks.disks[0].final_transactions();
        let lost = told.difference(&held).count();
        assert_eq!(lost, 0, "round {round} of seed {seed}: {lost} of {} told final are not in the log", told.len());
        disks.check_agreement();
        fs::remove_dir_all(place.at("copy")).unwrap();
    }

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
    let disks = Disks::read(&place.at("data"));
    disks.check_agreement();
    for (index, disk) in disks.disks.iter().enumerate() {
        assert!(told.is_subset(&disk.final_transactions()), "validator {index} lacks what was told final");
    }
}
