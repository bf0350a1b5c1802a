//! The fuzz targets over their corpora and over seeded mutations of them, so that what a fuzzer once found stays found.
//!
//! The corpora lie in `tests/fuzz/corpus/`, a folder a target. The seeds among them are written by real encoders:
//! `cargo test -p hpb-tests --test fuzz_corpus -- --ignored write_seeds`; other files are inputs that once broke
//! something. An input that breaks a target here is left in the folder of temporary files, and its name is said.

#![allow(clippy::unwrap_used)]

mod mutate;
mod seeds;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use hpb_base::Random;
use hpb_lab::agent::words::{Order, Told};
use hpb_net::Medium;
use hpb_tests::fuzz::{self, TARGETS, Target};
use hpb_toe::neighbor::NeighborDrop;

/// Bytes of all corpora together.
const CORPORA_LEN_MAX: u64 = 300 << 10;
/// Bytes of an input that mutations make.
const MUTANT_LEN_MAX: usize = 4 << 10;

fn fuzz_folder() -> PathBuf {
    hpb_tests::workspace_root().join("tests/fuzz")
}

/// A target's corpus, by name.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz_folder().join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), fs::read(file).unwrap()))
        .collect()
}

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}

/// Runs one input; if it breaks the target, leaves it where it can be picked up.
fn run(target: &Target, what: &str, bytes: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    if let Err(payload) = result {
        let said = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        let left = std::env::temp_dir().join(format!("hpb-fuzz-{}-{what}", target.name));
        fs::write(&left, bytes).unwrap();
        panic!("{} breaks on {what}, left at {}: {}", target.name, left.display(), said.unwrap_or_default());
    }
}

/// A target over its corpus and its mutations, always the same ones.
fn replay(name: &str) {
    let target = target(name);
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for (file, bytes) in &corpus {
        run(target, file, bytes);
    }
    for serial in 0..target.mutations {
        let mut random = Random::stream(0xF022, u64::from(serial));
        let bytes = mutate::mutant(&mut random, &corpus, MUTANT_LEN_MAX);
        run(target, &format!("mutant-{serial}"), &bytes);
    }
}

macro_rules! replays {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })+

        /// Every target is replayed, has a wrapper for the fuzzer, and has its row in the fuzzer's manifest.
        #[test]
        fn nothing_is_left_out() {
            let replayed = BTreeSet::from([$(stringify!($name)),+]);
            assert_eq!(replayed, TARGETS.iter().map(|target| target.name).collect());
            let folder = fuzz_folder();
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            for name in &replayed {
                let path = format!("fuzz_targets/{name}.rs");
                let wrapper = fs::read_to_string(folder.join(&path)).unwrap();
                assert!(wrapper.contains(&format!("fuzz::{name}(")), "{path} runs another target");
                assert!(manifest.contains(&format!("path = \"{path}\"")), "{path} has no row");
            }
            assert_eq!(manifest.matches("[[bin]]").count(), replayed.len());
            assert_eq!(fs::read_dir(folder.join("corpus")).unwrap().count(), replayed.len(), "a folder a target");
        }
    };
}

replays! {
    agents answer_ip archive capture chainlog codec framing http lane_ethernet lane_ip merkle message name nats neighbor
    offload pages proof secure segment signature snapshot state tape url vrf workload
}

#[test]
fn the_corpora_stay_small() {
    let lens = TARGETS.iter().flat_map(corpus).map(|(_, bytes)| bytes.len() as u64);
    let sum: u64 = lens.sum();
    assert!(sum <= CORPORA_LEN_MAX, "{sum} bytes");
}

/// Seeds that stop at the first check would let every mutation stop there too.
#[test]
fn scripts_reach_what_they_are_for() {
    for (medium, name) in [(Medium::Ip, "lane_ip"), (Medium::Ethernet, "lane_ethernet")] {
        let seeds = seeds::of(name);
        let runs: Vec<_> = seeds.iter().map(|(_, bytes)| fuzz::run_lane(medium, bytes).counters).collect();
        let opened: u64 = runs.iter().map(|counters| counters.opened).sum();
        let messages: u64 = runs.iter().map(|counters| counters.rx_messages).sum();
        let cookies: u64 = runs.iter().map(|counters| counters.cookies_sent).sum();
        let narrowed: u64 = runs.iter().map(|counters| counters.paths_narrowed).sum();
        assert!(opened >= 8 && messages >= 2 && cookies >= 1 && narrowed >= 1, "{medium:?}: {runs:?}");
        assert!(runs.iter().any(|counters| counters.challenges > 0), "{medium:?}: {runs:?}");
    }
    let runs: Vec<_> = seeds::of("neighbor").iter().map(|(_, bytes)| fuzz::run_neighbor(bytes)).collect();
    let sum = |of: fn(&hpb_toe::neighbor::NeighborCounters) -> u64| runs.iter().map(of).sum::<u64>();
    assert!(sum(|counters| counters.leases) > 0 && sum(|counters| counters.learned) > 0, "{runs:?}");
    assert!(sum(|counters| counters.waited) > 0 && sum(|counters| counters.tx_packets) > 0, "{runs:?}");
    assert!(sum(|counters| counters.echoed) > 0 && sum(|counters| counters.refused) > 0, "{runs:?}");
    assert!(sum(|counters| counters.noticed) > 0 && sum(|counters| counters.conflicts) > 0, "{runs:?}");
    assert!(sum(|counters| counters.drops.get(NeighborDrop::Unresolved)) > 0, "{runs:?}");
    for (file, bytes) in seeds::of("agents") {
        let is_read = match bytes[0] {
            0 => Order::read(&bytes[1..]).is_some(),
            1 => Told::read(&bytes[1..]).is_some(),
            _ => true,
        };
        assert!(is_read, "{file}");
    }
    let quiet = fuzz::run_secure(&[]);
    assert_eq!((quiet.opened, quiet.heard), ([true; 2], [3; 2]), "nobody in the middle");
    let late = fuzz::run_secure(&seeds::secure_edit(0, 51 + 162 + 30, 1));
    assert_eq!((late.opened, late.heard[1]), ([true; 2], 1), "the second record is changed");
}

/// A lane that nobody speaks to rests: at most a wake-up a second and session.
#[test]
fn a_lane_left_alone_rests() {
    for (file, bytes) in corpus(target("lane_ip")) {
        let wakes = fuzz::run_lane(Medium::Ip, &bytes).wakes;
        assert!(wakes <= 8 * 300, "{file}: {wakes} wake-ups");
    }
}

/// Writes the seeds; run it when an encoding changes.
#[test]
#[ignore = "writes the seeds of the corpora"]
fn write_seeds() {
    for target in &TARGETS {
        let folder = fuzz_folder().join("corpus").join(target.name);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in seeds::of(target.name) {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}
