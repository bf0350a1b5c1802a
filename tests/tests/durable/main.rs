//! What a node was told to be durable is there after a kill at any write, a full disk at any write, and a power loss that
//! drops any of the writes since the last sync: of the log's files and of LMDB's.
//!
//! The calls are seen where the program makes them, LMDB's own in C included ([`sys`]). The log is written by plain calls
//! here: through `io_uring` the same write and sync are one submission, which passes the C library by. The full counts are
//! `HPB_CUT_POINTS=1000` cuts and a kill at every call with `HPB_KILL_STEP=1` (`make durable`); less of both as in `make
//! test` otherwise.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the store has a thread of its own, as in a node")]

mod chain;
mod disk;
mod sys;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chain::{Chain, place};
use disk::Disk;
use hpb_base::{Instant, Random};
use hpb_devnet::audit::verify;
use hpb_ledger::chainlog::{ChainLog, DirectoryFolder, LogOptions};
use hpb_ledger::folder::DataFolder;
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_node::core::Recovered;
use hpb_types::Canonical as _;
use sys::{Call, Fate};

/// The chain of all tests here: a process runs one devnet. One test uses it at a time, because the calls of all threads are
/// seen alike.
fn chain() -> MutexGuard<'static, Option<Chain>> {
    static CHAIN: Mutex<Option<Chain>> = Mutex::new(None);
    let mut chain = CHAIN.lock().unwrap_or_else(PoisonError::into_inner);
    chain.get_or_insert_with(|| {
        let place = place("durable-chain");
        let chain = Chain::made_in(&place, SECONDS);
        fs::remove_dir_all(&place).unwrap();
        chain
    });
    chain
}

/// How long the devnet's terminals submit.
const SECONDS: u32 = 2;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// Opens the disk in `data` as a node does at its start: all that was told is there, and nothing else than the chain; then
/// and before, the audit finds no fault.
fn check(chain: &Chain, data: &Path, told: Option<u64>, what: &str) {
    let place = data.join(chain.name.as_str());
    fs::create_dir_all(place.join("log")).unwrap();
    fs::write(data.join("genesis"), chain.genesis.to_bytes()).unwrap();
    let mut segments = DirectoryFolder::open(&place.join("log")).unwrap();
    if !ChainLog::exists(&mut segments).unwrap() {
        assert_eq!(told, None, "{what}: the log is gone");
        return;
    }
    drop(DataFolder::open(&place).unwrap());
    let clean = |when: &str| {
        let row = verify(data, Some(0), None).unwrap();
        assert_eq!(row.fault, None, "{what}: {when}");
    };
    clean("before the start");
    let folder = DataFolder::open(&place).unwrap();
    let store = LmdbStore::open(&folder, &chain.genesis.chain_id(), LmdbOptions::default()).unwrap();
    let options = LogOptions::new(chain.genesis.chain_id());
    let (mut log, _) = ChainLog::open(Box::new(segments), options, Box::new(|| Instant::ZERO)).unwrap();
    let recovered = Recovered::read(&chain.genesis, store, &mut log, Some(&chain.name)).unwrap();
    let last = recovered.last_final();
    if last == chain.genesis.genesis_slice() {
        assert_eq!(told, None, "{what}: all that was told is gone");
    } else {
        let at = chain.finals.iter().position(|(slice, _)| *slice == last).unwrap();
        assert!(told.is_none_or(|told| at as u64 >= told), "{what}: final up to {at}, and {told:?} was told");
        assert_eq!(recovered.ledger().state_root(&last.id).unwrap(), chain.finals[at].1, "{what}: at {last}");
    }
    drop((recovered, log, folder));
    clean("after the start");
}

#[test]
fn a_power_loss_drops_nothing_that_was_synced() {
    let (cuts, seed) = (number("HPB_CUT_POINTS", 40), number("HPB_CUT_SEED", 1));
    let place = place("durable-cuts");
    let held = chain();
    let chain = held.as_ref().unwrap();
    let disk = place.join("disk");
    sys::begin(&disk, Fate::Recorded(Vec::new()));
    chain.fill(&disk, &mut sys::told).unwrap();
    let (calls, _) = sys::end();
    let of = |name: &str| calls.iter().filter(|call| touches(call, name)).count();
    let (of_log, of_store) = (of("log/"), of("state/data.mdb"));
    assert!(of_log > 100 && of_store > 100, "{of_log} calls of the log, {of_store} of the store were seen");

    let mut random = Random::new(seed);
    let mut points: Vec<usize> = (0..cuts).map(|_| random.below(calls.len() as u64 + 1) as usize).collect();
    points.sort_unstable();
    let (mut model, mut taken, data) = (Disk::default(), 0, place.join("cut"));
    for (index, point) in points.into_iter().enumerate() {
        for call in &calls[taken..point] {
            model.take(call);
        }
        taken = point;
        model.lose_power(&mut random, &disk, &data.join(chain.name.as_str()));
        check(chain, &data, model.told, &format!("cut {index} of seed {seed}, after {point} of {} calls", calls.len()));
        fs::remove_dir_all(&data).unwrap();
    }
    println!("{cuts} cuts of seed {seed} in {of_log} calls of the log and {of_store} of the store: clean");
    fs::remove_dir_all(&place).unwrap();
}

fn touches(call: &Call, name: &str) -> bool {
    match call {
        Call::Write { file, .. } | Call::Sync { file } | Call::Truncate { file, .. } | Call::Remove { file } => {
            file.to_string_lossy().contains(name)
        }
        Call::Rename { to, .. } => to.to_string_lossy().contains(name),
        Call::Told(_) => false,
    }
}

/// What the test below starts in a process of its own, and kills; it has nothing to do elsewhere.
#[test]
fn a_disk_is_filled_until_the_kill() {
    let Ok(made) = std::env::var(MADE) else { return };
    let (at, part) = (number(AT, 0), number(PART, 0));
    let chain = Chain::read(Path::new(&made));
    let disk = Path::new(&std::env::var(DISK).unwrap()).join(chain.name.as_str());
    // Where the parent reads: a test's own output is kept back until it ends.
    let mut out = fs::File::from(std::io::stdout().as_fd().try_clone_to_owned().unwrap());
    sys::begin(&disk, Fate::Killed { at, part });
    chain.fill(&disk, &mut |told| out.write_all(format!("told {told}\n").as_bytes()).unwrap()).unwrap();
    sys::end();
    out.write_all(b"filled\n").unwrap();
}

const MADE: &str = "HPB_DURABLE_MADE";
const DISK: &str = "HPB_DURABLE_DISK";
const AT: &str = "HPB_DURABLE_AT";
const PART: &str = "HPB_DURABLE_PART";

#[test]
fn a_kill_at_any_write_call_loses_nothing_that_was_told() {
    let (step, seed) = (number("HPB_KILL_STEP", 23), number("HPB_CUT_SEED", 1));
    let place = place("durable-kills");
    let held = chain();
    let chain = held.as_ref().unwrap();
    let (made, data) = (place.join("chain"), place.join("data"));
    chain.write(&made);
    let mut random = Random::new(seed);
    let (mut at, mut kills) = (1, 0);
    loop {
        let part = random.below(1_001);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_disk_is_filled_until_the_kill", "--nocapture", "--test-threads", "1"])
            .env(MADE, &made)
            .env(DISK, &data)
            .env(AT, at.to_string())
            .env(PART, part.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut told, mut filled) = (None, false);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            told = line.strip_prefix("told ").map_or(told, |number| Some(number.parse().unwrap()));
            filled |= line == "filled";
        }
        let ended = child.wait().unwrap();
        check(chain, &data, told, &format!("killed in call {at}, {part} thousandths into it"));
        fs::remove_dir_all(&data).unwrap();
        if filled {
            assert!(ended.success());
            break;
        }
        assert_eq!(ended.signal(), Some(9), "call {at}");
        (at, kills) = (at + step, kills + 1);
    }
    assert!(kills > 3);
    println!("{kills} kills, at one write call of {step}: nothing that was told is lost");
    fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_full_disk_stops_it_before_damage_and_says_so() {
    let step = number("HPB_KILL_STEP", 23);
    let place = place("durable-full");
    let held = chain();
    let chain = held.as_ref().unwrap();
    let data = place.join("data");
    let (mut at, mut refused) = (1, 0);
    loop {
        let disk = data.join(chain.name.as_str());
        let mut told = None;
        sys::begin(&disk, Fate::Full { at });
        let filled = chain.fill(&disk, &mut |number| told = Some(number));
        sys::end();
        let Err(error) = filled else { break };
        let said = error.to_string();
        assert!(said.contains("is full") && said.contains("free space, then start again"), "at call {at}: {said}");
        check(chain, &data, told, &format!("a disk that was full from call {at} on"));
        fs::remove_dir_all(&data).unwrap();
        (at, refused) = (at + step, refused + 1);
    }
    assert!(refused > 3);
    println!("{refused} disks that were full from some call on: refused in words, and clean");
    fs::remove_dir_all(&place).unwrap();
}
