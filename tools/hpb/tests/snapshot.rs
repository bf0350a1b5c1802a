//! `hpb ledger snapshot` and `hpb ledger restore` as a user sees them, beside a devnet that runs and after it.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{Ended, HPB, Place, Running, ended, refused, succeeded};
use hpb_devnet::audit::AuditRow;
use hpb_devnet::snapshot::SnapshotRow;
use hpb_ledger::snapshot::{Part, SnapshotReader, SnapshotWriter};

/// As many transactions are final in a few seconds: more than states gather before they are committed.
const A_FEW_SECONDS: usize = 400;
/// So short an epoch that the chain's schedule changes.
const RUN: [&str; 8] = ["--seconds", "60", "--sessions", "20", "--rate", "150", "--epoch-slots", "4"];

fn ledger(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).arg("ledger").args(words);
    command
}

fn row<T: serde::de::DeserializeOwned>(place: &Place, words: &[&str]) -> T {
    let out = succeeded(&mut ledger(place, &[words, &["--json"]].concat())).out;
    serde_json::from_str(&out).unwrap()
}

/// Runs the devnet until so many transactions are final, does something, and ends it.
fn run(place: &Place, act: impl FnOnce(&mut Running)) {
    let mut running = Running::start(place, "data", &RUN);
    running.wait_for(A_FEW_SECONDS);
    act(&mut running);
    let (code, _) = running.end("INT");
    assert_eq!(code, Some(0));
}

#[test]
fn a_lost_disk_is_made_anew_from_a_state_and_goes_on() {
    let place = Place::new("snapshot");
    run(&place, |running| {
        let beside: SnapshotRow = row(&place, &["snapshot", "beside.hpb", "--data", "data", "--validator", "1"]);
        assert!(beside.is_proven && beside.records > 100, "{beside:?}");
        running.wait_for(2 * A_FEW_SECONDS);
    });
    let ended_at: SnapshotRow = row(&place, &["snapshot", "ended.hpb", "--data", "data/validator-0"]);
    assert!(ended_at.is_proven, "the log proves itself up to its end: {ended_at:?}");
    let line = refused(&mut ledger(&place, &["snapshot", "ended.hpb", "--data", "data"]));
    assert!(line.contains("ended.hpb is there already"), "{line}");
    let restore = |from: &str, data: &str, more: &[&str]| {
        ledger(&place, &[&["restore", from, "--data", data, "--validator", "2"], more].concat())
    };
    let line = refused(&mut restore("ended.hpb", "data", &[]));
    assert!(line.contains("data/validator-2 is there already"), "{line}");
    damaged(&place, &restore);

    fs::remove_dir_all(place.at("data/validator-2")).unwrap();
    let text = succeeded(&mut restore("beside.hpb", "data", &[])).out;
    assert!(text.starts_with("ok  the state after slice "), "{text}");
    let text = succeeded(&mut ledger(&place, &["verify", "--data", "data"])).out;
    assert_eq!(text.matches("proven from genesis: blocks up to there are not kept").count(), 1, "{text}");
    run(&place, |_| ());
    let verified: AuditRow = row(&place, &["verify", "--data", "data"]);
    assert!(verified.fault.is_none(), "{verified:?}");
    let slot =
        |index: usize| -> u64 { verified.validators[index].last_final.split('.').next().unwrap().parse().unwrap() };
    let made = &verified.validators[2];
    assert!(made.root.is_some() && made.root_proven && made.watermark.is_some(), "{made:?}");
    assert!(slot(2) + 2 >= slot(0) && made.final_slices < verified.validators[0].final_slices, "{verified:?}");
    // What it holds now is carried on as from a whole chain, and what it does not hold is said.
    let again: SnapshotRow = row(&place, &["snapshot", "again.hpb", "--data", "data/validator-2"]);
    assert!(again.is_proven && again.chain == ended_at.chain, "{again:?}");
    let restored: SnapshotRow = row(&place, &["restore", "again.hpb", "--data", "elsewhere"]);
    assert_eq!(restored, again);
    let Ended { code, err, .. } =
        ended(&mut ledger(&place, &["export", "--data", "data/validator-2", "--to", "x.hpb"]));
    assert!(code != Some(0) && err.contains("its blocks before"), "{err}");
    let prune = |keep: &str| ledger(&place, &["prune", "--data", "data/validator-2", "--keep", keep]);
    assert!(refused(&mut prune("63")).contains("at least 64 blocks"));
    let text = succeeded(&mut prune("64")).out;
    assert!(text.starts_with("ok  validator-2: nothing removed, 1 segment left"), "{text}");
    not_its_state(&place);
}

/// Files that are not what was written: each is refused by name, and nothing is made of it.
fn damaged(place: &Place, restore: &dyn Fn(&str, &str, &[&str]) -> Command) {
    let good = fs::read(place.at("ended.hpb")).unwrap();
    let before = place.listing();
    let fails = |bytes: &[u8], more: &[&str], said: &str| {
        fs::write(place.at("bad.hpb"), bytes).unwrap();
        let Ended { code, err, .. } = ended(&mut restore("bad.hpb", "new", more));
        assert_eq!(code, Some(1), "{err}");
        assert!(err.starts_with("hpb: bad.hpb: ") && err.contains(said), "{err}");
        fs::remove_file(place.at("bad.hpb")).unwrap();
        let after: Vec<String> = place.listing().into_iter().filter(|name| name != "new").collect();
        assert_eq!(after, before, "nothing is left of it");
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    fails(&flipped, &[], "is damaged: its checksum");
    fails(&good[..good.len() / 2], &[], "it is cut off after byte ");
    fails(b"not one of these", &[], "it is no snapshot");
    let rewritten = |change: &mut dyn FnMut(Part) -> Option<Part>| {
        let (mut reader, genesis) = SnapshotReader::new(&good[..]).unwrap();
        let mut writer = SnapshotWriter::new(Vec::new(), &genesis).unwrap();
        while let Some(part) = reader.next_part().unwrap() {
            change(part).map_or(Ok(()), |part| writer.part(&part)).unwrap();
        }
        writer.finish().unwrap()
    };
    let richer = rewritten(&mut |part| match part {
        Part::Chunk(mut entries) => {
            let last = entries.len() / 2;
            entries[last].1.push(1);
            Some(Part::Chunk(entries))
        }
        part => Some(part),
    });
    fails(&richer, &[], "its records come to the state ");
    let poorer = rewritten(&mut |part| match part {
        Part::Chunk(mut entries) => {
            entries.remove(0);
            Some(Part::Chunk(entries))
        }
        part => Some(part),
    });
    fails(&poorer, &[], "its records come to the state ");
    let mut has_root = false;
    let unproven = rewritten(&mut |part| {
        let is_proof = has_root && !matches!(part, Part::Chunk(_));
        has_root |= matches!(part, Part::Root(_));
        (!is_proof).then_some(part)
    });
    fails(&unproven, &[], "if you know it to be final, say so (--trust ");
    fails(&good, &["--trust", &format!("7.0:{}", "ab".repeat(32))], "not of the trusted slice 7.0:");
    let forged = rewritten(&mut |part| match part {
        Part::Header(mut slice) => {
            slice.signature.0[1] ^= 1;
            Some(Part::Header(slice))
        }
        part => Some(part),
    });
    fails(&forged, &[], "its signature does not verify");

    fs::write(place.at("unproven.hpb"), &unproven).unwrap();
    let (mut reader, mut slice) = (SnapshotReader::new(&good[..]).unwrap().0, None);
    while let Some(part) = reader.next_part().unwrap() {
        if let Part::Root(root) = part {
            slice = Some(root.slice.to_text());
        }
    }
    succeeded(&mut restore("unproven.hpb", "trusted", &["--trust", &slice.unwrap()]));
    let text = succeeded(&mut ledger(place, &["verify", "--data", "trusted/validator-2"])).out;
    assert!(text.contains("which was trusted when it was restored"), "{text}");
}

/// A store that does not hold what the slice where it stands commits to.
fn not_its_state(place: &Place) {
    use hpb_ledger::folder::DataFolder;
    use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
    use hpb_ledger::{FinalBatch, Store as _};
    use hpb_types::{Canonical as _, Genesis};

    let genesis = Genesis::from_bytes(&fs::read(place.at("elsewhere/genesis")).unwrap()).unwrap();
    let folder = DataFolder::open(&place.at("elsewhere/validator-0")).unwrap();
    let open = || LmdbStore::open(&folder, &genesis.chain_id(), LmdbOptions::default()).unwrap();
    let store = open();
    let point = store.final_point().unwrap().unwrap();
    let mut all = Vec::new();
    let visit: hpb_ledger::store::Visit<'_> = &mut |key, value| {
        all.push((key.to_vec(), value.to_vec()));
        core::ops::ControlFlow::Continue(())
    };
    store.scan(&[], visit).unwrap();
    drop(store);
    fs::remove_dir_all(folder.state_path()).unwrap();
    all.remove(0);
    let mut store = open();
    store.fill(&all).unwrap();
    store.commit(&FinalBatch { point, changes: std::collections::BTreeMap::new(), history: Vec::new() }).unwrap();
    assert!(store.fill(&all).is_err(), "it has a state");
    drop((store, folder));
    let Ended { code, err, .. } = ended(&mut ledger(place, &["verify", "--data", "elsewhere/validator-0"]));
    assert!(code == Some(1) && err.contains("keeps the root"), "{err}");
}
