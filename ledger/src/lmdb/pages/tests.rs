#![allow(clippy::unwrap_used)]

use core::ops::ControlFlow;
use std::collections::BTreeMap;
use std::fs;

use hpb_base::Random;
use hpb_types::{ChainId, Hash};

use super::super::{LmdbOptions, LmdbStore};
use super::*;
use crate::folder::DataFolder;
use crate::store::{FinalBatch, Store as _, conformance};

/// A store after many commits: trees of two levels, long values, pages freed and used again. Gives its file's bytes.
fn file_of_a_store() -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(place.path()).unwrap();
    let mut store = LmdbStore::open(&folder, &ChainId(Hash([1; 32])), LmdbOptions::default()).unwrap();
    let mut random = Random::new(5);
    for commit in 1..=40 {
        let mut batch =
            FinalBatch { point: conformance::point(commit, commit), changes: BTreeMap::new(), history: Vec::new() };
        for _ in 0..60 {
            let key = random.below(700).to_be_bytes().to_vec();
            let length = if random.below(20) == 0 { 5_000 } else { random.below(90) };
            batch.changes.insert(key, (random.below(4) > 0).then(|| vec![commit as u8; length as usize]));
        }
        store.commit(&batch).unwrap();
    }
    drop(store);
    fs::read(folder.state_path().join(super::super::DATA_FILE)).unwrap()
}

fn checked(bytes: &[u8]) -> Result<(), PagesError> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("data.mdb");
    fs::write(&path, bytes).unwrap();
    check(&path)
}

#[test]
fn what_lmdb_writes_is_whole() {
    checked(&file_of_a_store()).unwrap();
}

#[test]
fn damage_is_named_and_never_followed() {
    let good = file_of_a_store();
    let page = |number: usize| number * 4_096;
    for (what, bytes) in [
        ("neither of its first two pages", Vec::new()),
        ("neither of its first two pages", vec![0; 100_000]),
        ("none of the file's", good[..page(2)].to_vec()),
    ] {
        let said = checked(&bytes).unwrap_err().to_string();
        assert!(said.contains(what), "{said}");
    }
    let mut random = Random::new(9);
    let (mut refused, rounds) = (0, 600);
    let place = tempfile::tempdir().unwrap();
    drop(DataFolder::open(place.path()).unwrap());
    let folder = DataFolder::open_to_read(place.path()).unwrap();
    for _ in 0..rounds {
        let mut bad = good.clone();
        // The bytes that say where everything lies stand at a page's beginning.
        let at = page(random.below((good.len() / 4_096) as u64) as usize) + random.below(64) as usize;
        bad[at] ^= 1 << random.below(8);
        fs::write(folder.state_path().join(super::super::DATA_FILE), &bad).unwrap();
        let opened = LmdbStore::open_to_read(&folder, &ChainId(Hash([1; 32])), LmdbOptions::default());
        refused += u64::from(opened.is_err());
        // What was let pass lies in a page out of use, a key or a value: LMDB itself is led nowhere by it.
        if let Ok(Some(store)) = opened {
            store.scan(&[], &mut |_, _| ControlFlow::Continue(())).unwrap();
        }
    }
    assert!(refused > rounds / 10, "{refused} of {rounds} were refused");
    for cut in [1, 4_095, 4_096, 9_000, good.len() / 2] {
        checked(&good[..cut]).unwrap_err();
    }
}

#[test]
fn the_newer_state_counts_and_an_older_one_serves_where_it_is_torn() {
    let good = file_of_a_store();
    for torn in [0, 4_096] {
        let mut one = good.clone();
        one[torn + 16..torn + 20].fill(0);
        // The page size stands in the first page alone, so without it there is no second.
        let is_whole = checked(&one).is_ok();
        assert!(is_whole || torn == 0);
    }
}
