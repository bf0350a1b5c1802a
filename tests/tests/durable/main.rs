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
/// and before, the audit finds no fault. What is wrong, if something is.
fn check(chain: &Chain, data: &Path, told: Option<u64>) -> Result<(), String> {
    let place = data.join(chain.name.as_str());
    fs::create_dir_all(place.join("log")).unwrap();
    fs::write(data.join("genesis"), chain.genesis.to_bytes()).unwrap();
    let mut segments = DirectoryFolder::open(&place.join("log")).unwrap();
    if !ChainLog::exists(&mut segments).unwrap() {
        return told.map_or(Ok(()), |_| Err("the log is gone".to_owned()));
    }
    drop(DataFolder::open(&place).unwrap());
    let clean = |when: &str| {
        let fault = verify(data, Some(0), None).unwrap().fault;
        fault.map_or(Ok(()), |fault| Err(format!("{when} the start: {}", fault.what)))
    };
    clean("before")?;
    let folder = DataFolder::open(&place).unwrap();
    let opened = LmdbStore::open(&folder, &chain.genesis.chain_id(), LmdbOptions::default());
    let store = opened.map_err(|error| error.to_string())?;
    let options = LogOptions::new(chain.genesis.chain_id());
    let opened = ChainLog::open(Box::new(segments), options, Box::new(|| Instant::ZERO));
    let (mut log, _) = opened.map_err(|error| error.to_string())?;
    let recovered = Recovered::read(&chain.genesis, store, &mut log, Some(&chain.name));
    let recovered = recovered.map_err(|error| error.to_string())?;
    let last = recovered.last_final();
    let at = chain.finals.iter().position(|(slice, _)| *slice == last);
    if at.is_none() && last != chain.genesis.genesis_slice() {
        return Err(format!("{last} is final, which never was"));
    }
    if at.map(|at| at as u64) < told {
        return Err(format!("final up to number {at:?} of the chain, and {told:?} was told"));
    }
    if let Some(at) = at
        && recovered.ledger().state_root(&last.id).unwrap() != chain.finals[at].1
    {
        return Err(format!("another state after {last}"));
    }
    drop((recovered, log, folder));
    clean("after")
}

/// Every call of a node that fills its disk in `disk` with the chain.
fn recorded(chain: &Chain, disk: &Path) -> Vec<Call> {
    sys::begin(disk, Fate::Recorded(Vec::new()));
    chain.fill(disk, &mut sys::told).unwrap();
    sys::end().0
}

/// Ends the power at `cuts` points of a recorded run, and looks each time at what that leaves. Syncs of files that
/// `lazy` names do nothing. What was wrong, cut by cut.
fn faults_of_cuts(
    chain: &Chain,
    place: &Path,
    calls: &[Call],
    (cuts, seed): (u64, u64),
    lazy: Option<&str>,
) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut points: Vec<usize> = (0..cuts).map(|_| random.below(calls.len() as u64 + 1) as usize).collect();
    points.sort_unstable();
    let (mut model, mut taken, data, mut faults) = (Disk::default(), 0, place.join("cut"), Vec::new());
    for (index, point) in points.into_iter().enumerate() {
        for call in &calls[taken..point] {
            let is_lazy = matches!(call, Call::Sync { .. }) && lazy.is_some_and(|lazy| touches(call, lazy));
            if !is_lazy {
                model.take(call);
            }
        }
        taken = point;
        model.lose_power(&mut random, &place.join("disk"), &data.join(chain.name.as_str()));
        if let Err(fault) = check(chain, &data, model.told) {
            faults.push(format!("cut {index} of seed {seed}, after {point} of {} calls: {fault}", calls.len()));
        }
        fs::remove_dir_all(&data).unwrap();
    }
    faults
}

#[test]
fn a_power_loss_drops_nothing_that_was_synced() {
    let (cuts, seed) = (number("HPB_CUT_POINTS", 40), number("HPB_CUT_SEED", 1));
    let place = place("durable-cuts");
    let held = chain();
    let chain = held.as_ref().unwrap();
    let calls = recorded(chain, &place.join("disk"));
    let of = |name: &str| calls.iter().filter(|call| touches(call, name)).count();
    let (of_log, of_store) = (of("log/"), of("state/data.mdb"));
    assert!(of_log > 100 && of_store > 100, "{of_log} calls of the log, {of_store} of the store were seen");
    assert_eq!(faults_of_cuts(chain, &place, &calls, (cuts, seed), None), [""; 0]);
    println!("{cuts} cuts of seed {seed} in {of_log} calls of the log and {of_store} of the store: clean");
    fs::remove_dir_all(&place).unwrap();
}

/// The canary: were a sync not to sync, the test above would say so.
#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let place = place("durable-lazy");
    let held = chain();
    let chain = held.as_ref().unwrap();
    let calls = recorded(chain, &place.join("disk"));
    for lazy in ["log/log-", "state/data.mdb"] {
        let faults = faults_of_cuts(chain, &place, &calls, (20, 1), Some(lazy));
        assert!(faults.len() > 2, "{lazy}: {faults:?}");
        println!("without syncs of {lazy}: {} of 20 cuts are not clean; {}", faults.len(), faults[0]);
    }
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
        check(chain, &data, told).unwrap_or_else(|fault| panic!("call {at}, {part} thousandths of it: {fault}"));
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
        check(chain, &data, told).unwrap_or_else(|fault| panic!("full from call {at} on: {fault}"));
        fs::remove_dir_all(&data).unwrap();
        (at, refused) = (at + step, refused + 1);
    }
    assert!(refused > 3);
    println!("{refused} disks that were full from some call on: refused in words, and clean");
    fs::remove_dir_all(&place).unwrap();
}
