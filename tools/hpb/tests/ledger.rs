//! `hpb ledger` as a user sees it: on what a run has left, and on copies of it in which one thing is wrong.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use common::disk::copy;
use common::{Ended, HPB, Place, ended, refused, succeeded};
use hpb_base::Instant;
use hpb_devnet::archive::TransferRow;
use hpb_devnet::audit::AuditRow;
use hpb_ledger::archive::{ArchiveReader, ArchiveWriter};
use hpb_ledger::chainlog::{ChainLog, DirectoryFolder, LogBatch, LogOptions, Record};
use hpb_ledger::folder::DataFolder;
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_ledger::{FinalBatch, Store as _};
use hpb_types::{Canonical as _, Genesis, Slice};

/// The run's options: so short an epoch that the chain's schedule changes in it.
const RUN: [&str; 6] = ["--seconds", "4", "--data", "data", "--epoch-slots", "4"];
/// Segments of a log that is written again: the least whole ones that the run's largest batch fits.
const SEGMENT_LEN: u64 = 1 << 18;

fn verify(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).args(["ledger", "verify", "--data"]).args(words);
    command
}

/// What `hpb ledger verify` says is wrong with `data`: one line, exit code 1, and the same in JSON.
fn fault(place: &Place, data: &str) -> String {
    let Ended { code, err, .. } = ended(&mut verify(place, &[data]));
    assert_eq!(code, Some(1), "{err}");
    let line = err.strip_prefix("hpb: ").unwrap().strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line}");
    let json = ended(&mut verify(place, &[data, "--json"]));
    let row: AuditRow = serde_json::from_str(&json.out).unwrap();
    let fault = row.fault.unwrap();
    assert_eq!((json.code, line), (Some(1), &*format!("{}: {}", fault.validator, fault.what)));
    line.to_owned()
}

/// A good chain's data in the folder `data`, and copies of it to damage.
struct Good<'a> {
    place: &'a Place,
    genesis: Genesis,
    batches: Vec<Vec<Record>>,
    /// Where a slice's record begins in the middle of the log, and where its batch does.
    middle: (u64, u64),
    watermark: WatermarkState,
}

impl<'a> Good<'a> {
    fn read(place: &'a Place) -> Self {
        let genesis = Genesis::from_bytes(&fs::read(place.at("data/genesis")).unwrap()).unwrap();
        let folder = DirectoryFolder::open_to_read(&place.at("data/validator-1/log"));
        let options = LogOptions::new(genesis.chain_id());
        let (mut log, recovery) = ChainLog::open_to_read(Box::new(folder), options).unwrap();
        let mut batches: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
        let mut places = Vec::new();
        let read = log.replay(None, &mut |entry| {
            if matches!(entry.record, Record::Slice { .. }) {
                places.push((entry.position.batch + entry.position.record, entry.position.batch));
            }
            batches.entry(entry.batch).or_default().push(entry.record);
        });
        assert!(read.unwrap() > 100);
        let middle = places[places.len() / 2];
        Self { place, genesis, batches: batches.into_values().collect(), middle, watermark: recovery.watermark }
    }

    /// What is found when validator 1's log is written again with what `change` makes of its records.
    fn with_log(&self, change: impl FnOnce(&mut Vec<Vec<Record>>, &mut WatermarkState)) -> String {
        let (mut batches, mut watermark) = (self.batches.clone(), self.watermark);
        change(&mut batches, &mut watermark);
        self.damaged(|data| self.write_log(data, &batches, watermark))
    }

    /// Puts a log of these batches in the place of validator 1's.
    fn write_log(&self, data: &Path, batches: &[Vec<Record>], watermark: WatermarkState) {
        fs::remove_dir_all(data.join("validator-1/log")).unwrap();
        fs::create_dir(data.join("validator-1/log")).unwrap();
        let folder = DirectoryFolder::open(&data.join("validator-1/log")).unwrap();
        let options = LogOptions { chain: self.genesis.chain_id(), segment_len: SEGMENT_LEN };
        let clock = Box::new(|| Instant::ZERO);
        let mut log = ChainLog::create(Box::new(folder), options, [7; 32], watermark, clock).unwrap();
        for records in batches {
            let mut batch = LogBatch::new();
            for record in records {
                batch.push(record).unwrap();
            }
            log.append(&batch).unwrap();
        }
        assert!(log.segments_count() > 2 || batches.len() < self.batches.len());
    }

    /// What is found in a copy that `damage` was done to.
    fn damaged(&self, damage: impl FnOnce(&Path)) -> String {
        let data = self.place.at("bad");
        copy(&self.place.at("data"), &data);
        damage(&data);
        let found = fault(self.place, "bad");
        fs::remove_dir_all(&data).unwrap();
        found
    }

    /// What is found when validator 1's store is filled again with what `change` makes of its state.
    fn with_state(&self, change: impl FnOnce(&mut FinalBatch)) -> String {
        self.damaged(|data| {
            let folder = DataFolder::open(&data.join("validator-1")).unwrap();
            let chain = self.genesis.chain_id();
            let store = LmdbStore::open(&folder, &chain, LmdbOptions::default()).unwrap();
            let mut batch = FinalBatch {
                point: store.final_point().unwrap().unwrap(),
                changes: BTreeMap::new(),
                history: Vec::new(),
            };
            let all = &mut |key: &[u8], value: &[u8]| {
                batch.changes.insert(key.to_vec(), Some(value.to_vec()));
                ControlFlow::Continue(())
            };
            store.scan(&[], all).unwrap();
            drop(store);
            fs::remove_dir_all(folder.state_path()).unwrap();
            change(&mut batch);
            let mut store = LmdbStore::open(&folder, &chain, LmdbOptions::default()).unwrap();
            store.commit(&batch).unwrap();
        })
    }
}

/// Bytes that differ in one bit at `at`.
fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at as usize] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// The first slice of these batches that `choose` takes.
fn slice_of(batches: &mut [Vec<Record>], choose: impl Fn(&Slice, usize) -> bool) -> &mut Record {
    let mut records = batches.iter_mut().flatten();
    let wanted = |record: &&mut Record| match record {
        Record::Slice { slice, transactions } => choose(slice, transactions.len()),
        _ => false,
    };
    records.find(wanted).unwrap()
}

#[test]
fn a_clean_chain_is_said_to_be_clean_and_each_fault_is_named() {
    let place = Place::new("ledger-verify");
    let told = place.devnet_in_shell("", &[&RUN[..], &["--final-fd", "3"]].concat(), "3>told").output().unwrap();
    assert!(told.status.success());
    what_is_clean(&place);
    let good = Good::read(&place);
    damaged_bytes(&good);
    damaged_chains(&good);
    damaged_states(&good);
}

#[test]
fn a_chain_is_exported_and_a_lost_disk_made_from_it_goes_on() {
    let place = Place::new("ledger-export");
    succeeded(&mut place.devnet(&["--seconds", "2", "--data", "data"]));
    let ledger = |words: &[&str]| {
        let mut command = Command::new(HPB);
        command.current_dir(place.path()).arg("ledger").args(words);
        command
    };
    let exported = succeeded(&mut ledger(&["export", "--data", "data", "--to", "chain.hpb", "--json"])).out;
    let exported: TransferRow = serde_json::from_str(&exported).unwrap();
    assert!(exported.slices > 10 && exported.transactions == 200, "{exported:?}");
    let line = refused(&mut ledger(&["export", "--data", "data", "--to", "chain.hpb"]));
    assert!(line.contains("chain.hpb is there already"), "{line}");

    let import = |from: &str, data: &str| ledger(&["import", "--from", from, "--data", data, "--validator", "2"]);
    let line = refused(&mut import("chain.hpb", "data"));
    assert!(line.contains("data/validator-2 is there already"), "{line}");
    damaged_files(&place, &import);

    // As much as is proven: what is left out at the end comes back from the others.
    fs::remove_dir_all(place.at("data/validator-2")).unwrap();
    let text = succeeded(&mut import("chain.hpb", "data")).out;
    assert!(text.starts_with("ok  "), "{text}");
    let row = succeeded(&mut verify(&place, &["data", "--json"])).out;
    let row: AuditRow = serde_json::from_str(&row).unwrap();
    assert_eq!((&row.fault, row.validators.len(), &row.validators[2].watermark), (&None, 4, &None));
    assert!(row.validators[2].final_slices + 20 > exported.slices, "{row:?}");
    succeeded(&mut import("chain.hpb", "elsewhere"));
    succeeded(&mut verify(&place, &["elsewhere/validator-2"]));

    succeeded(&mut place.devnet(&["--seconds", "2", "--data", "data"]));
    let row = succeeded(&mut verify(&place, &["data", "--json"])).out;
    let row: AuditRow = serde_json::from_str(&row).unwrap();
    let slices = |index: usize| row.validators[index].final_slices;
    assert!(row.fault.is_none() && slices(2) > exported.slices && slices(2) + 20 > slices(0), "{row:?}");
    assert!(row.validators[2].watermark.is_some(), "it has found its voice again: {row:?}");
}

/// Files that are not what was exported: each is refused by name, and nothing is made of it.
fn damaged_files(place: &Place, import: &dyn Fn(&str, &str) -> Command) {
    let good = fs::read(place.at("chain.hpb")).unwrap();
    let before = place.listing();
    let fails = |bytes: &[u8], said: &str| {
        fs::write(place.at("bad.hpb"), bytes).unwrap();
        let Ended { code, err, .. } = ended(&mut import("bad.hpb", "new"));
        assert_eq!(code, Some(1), "{err}");
        assert!(err.starts_with("hpb: bad.hpb: ") && err.contains(said), "{err}");
        fs::remove_file(place.at("bad.hpb")).unwrap();
        let after: Vec<String> = place.listing().into_iter().filter(|name| name != "new").collect();
        assert_eq!(after, before, "nothing is left of it");
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    fails(&flipped, "is damaged: its checksum");
    fails(&good[..good.len() / 2], "it is cut off after byte ");
    fails(b"not one of these", "it is no exported chain");
    // A file whose checksums are right and whose slices are not.
    let (mut reader, genesis) = ArchiveReader::new(&good[..]).unwrap();
    let mut writer = ArchiveWriter::new(Vec::new(), &genesis).unwrap();
    while let Some(mut bundle) = reader.next_slice().unwrap() {
        if bundle.slice.body.slot.0 == 2 {
            bundle.slice.signature.0[1] ^= 1;
        }
        writer.slice(&bundle.slice, &bundle.transactions).unwrap();
    }
    fails(&writer.finish().unwrap(), "its signature does not verify");
}

fn what_is_clean(place: &Place) {
    let before = place.listing();
    let text = succeeded(&mut verify(place, &["data", "--told", "told"])).out;
    for index in 0..4 {
        assert!(text.contains(&format!("ok  validator-{index}: final up to ")), "{text}");
    }
    assert!(text.contains("as at genesis\nok  all 400 transactions told final are there\n"), "{text}");
    let row: AuditRow = serde_json::from_str(&succeeded(&mut verify(place, &["data", "--json"])).out).unwrap();
    assert_eq!((row.validators.len(), row.fault), (4, None));
    for validator in &row.validators {
        assert!(validator.transactions >= 400 && validator.certificates > 20 && validator.keys > 20, "{validator:?}");
        assert!(validator.proven.contains('.') && validator.store.is_some() && !validator.torn, "{validator:?}");
    }
    let alone = succeeded(&mut verify(place, &["data/validator-2"])).out;
    assert!(alone.starts_with("ok  validator-2: ") && !alone.contains("validator-0"), "{alone}");
    assert_eq!(place.listing(), before, "it leaves nothing behind");

    fs::write(place.at("false"), format!("{}\n", "ab".repeat(32))).unwrap();
    let Ended { code, err, .. } = ended(&mut verify(place, &["data", "--told", "false"]));
    assert_eq!(code, Some(1));
    assert!(err.starts_with("hpb: validator-0: 1 transactions that were told final are not in its log"), "{err}");
    let holder = DataFolder::open(&place.at("data/validator-3")).unwrap();
    let line = refused(&mut verify(place, &["data/validator-3"]));
    assert!(line.contains(&format!("is in use by process {}", std::process::id())), "{line}");
    drop(holder);
    assert!(refused(&mut verify(place, &["nowhere"])).contains("nowhere"));
    assert!(refused(&mut verify(place, &["data", "--validator", "7"])).contains("validators 0 to 3, not 7"));
}

fn damaged_bytes(good: &Good<'_>) {
    let log = |data: &Path| data.join("validator-1/log/log-00000001.hpb");
    let (record, batch) = good.middle;
    let found = good.damaged(|data| flip(&log(data), record + 20));
    assert!(found.contains(&format!("validator-1/log: segment 1 is damaged at byte {batch}: ")), "{found}");
    let found = good.damaged(|data| flip(&log(data), (batch / 4_096) * 4_096 - 1));
    assert!(found.contains("is followed by bytes that were zero"), "{found}");
    let found = good.damaged(|data| flip(&log(data), 100));
    assert!(found.contains("log: segment 1 is damaged at byte 0: its header's checksum does not hold"), "{found}");
    let found =
        good.damaged(|data| fs::File::options().write(true).open(log(data)).unwrap().set_len(9_000_000).unwrap());
    assert!(found.contains("segment 1 ends after 9000000 of 33554432 bytes"), "{found}");
    let found = good.damaged(|data| {
        let mut bytes = fs::read(log(data)).unwrap();
        bytes[8] += 1;
        fs::write(log(data), bytes).unwrap();
    });
    assert!(found.contains("segment 1 has format 2, this program knows formats up to 1: use a newer"), "{found}");
    let found = good.damaged(|data| {
        let genesis = Genesis { label: "another".to_owned(), ..good.genesis.clone() };
        fs::write(data.join("genesis"), genesis.to_bytes()).unwrap();
    });
    assert!(found.starts_with("validator-0: ") && found.contains("holds the log of another chain"), "{found}");
    let found = good.damaged(|data| fs::remove_file(log(data)).unwrap());
    assert!(found.contains("validator-1/log holds no log"), "{found}");
}

fn damaged_chains(good: &Good<'_>) {
    let found = good.with_log(|batches, _| {
        let Record::Slice { slice, .. } = slice_of(batches, |slice, _| slice.body.slot.0 == 3) else { unreachable!() };
        slice.signature.0[5] ^= 1;
    });
    assert!(found.contains("validator-1: slice 3.0") && found.contains("its signature does not verify"), "{found}");
    let found = good.with_log(|batches, _| {
        let full = slice_of(batches, |slice, count| slice.body.slot.0 >= 3 && count > 0);
        let Record::Slice { transactions, .. } = full else { unreachable!() };
        let hpb_types::TransactionSignature::Ed25519 { signature, .. } = &mut transactions[0].signatures[0];
        signature.0[5] ^= 1;
    });
    assert!(found.contains(": transaction ") && found.contains("(the log, segment "), "{found}");
    let found = good.with_log(|batches, _| {
        let full = slice_of(batches, |slice, count| slice.body.slot.0 >= 3 && count > 0);
        let Record::Slice { transactions, .. } = full else { unreachable!() };
        transactions.pop();
    });
    assert!(found.contains("the transactions beside it are not those of its root"), "{found}");
    let found = good.with_log(|batches, _| {
        let mut with_slices = batches.iter_mut().filter(|records| matches!(records[..], [Record::Slice { .. }, ..]));
        with_slices.nth(9).unwrap().retain(|record| !matches!(record, Record::Slice { .. }));
    });
    assert!(found.contains("but does not hold its chain"), "{found}");
    let found = good.with_log(|batches, _| batches.truncate(batches.len() / 8));
    assert!(found.contains("is not among the final slices of the log up to "), "{found}");
    let found = good.with_log(|_, watermark| {
        let WatermarkState::Known(mark) = watermark else { unreachable!() };
        *mark = Watermark { producer: good.genesis.producers[2].name, ..*mark };
    });
    assert!(found.contains("watermark is of validator-2, and validator-1"), "{found}");
    let found = good.damaged(|data| {
        good.write_log(data, &good.batches, good.watermark);
        let text = succeeded(&mut verify(good.place, &["bad/validator-1"])).out;
        assert!(text.starts_with("ok  validator-1: "), "what is only written again is clean: {text}");
        fs::remove_file(data.join("validator-1/log/log-00000002.hpb")).unwrap();
    });
    assert!(found.contains("validator-1/log: segment 2 is missing"), "{found}");
}

fn damaged_states(good: &Good<'_>) {
    let key = |batch: &FinalBatch| batch.changes.keys().find(|key| key.starts_with(b"validator-2\0\x02")).cloned();
    let found = good.with_state(|batch| {
        let key = key(batch).unwrap();
        let value = batch.changes.get_mut(&key).unwrap().as_mut().unwrap();
        *value.last_mut().unwrap() ^= 1;
    });
    assert!(
        found.contains("validator-1: the store at slice ") && found.contains("key validator-2, table 2 holds"),
        "{found}"
    );
    let found = good.with_state(|batch| {
        let key = key(batch).unwrap();
        batch.changes.remove(&key);
    });
    assert!(found.contains("key validator-2, table 2 holds nothing"), "{found}");
    let found = good.with_state(|batch| batch.point.slice.height.slot.0 += 1_000);
    assert!(found.contains("is not among the final slices"), "{found}");
}
