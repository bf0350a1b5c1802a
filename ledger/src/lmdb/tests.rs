//! The store on a real file system.

// The snapshots are read on a thread of their own, as in a node.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::sync::mpsc;
use std::thread;

use hpb_base::{Duration, Instant};
use hpb_types::Hash;

use super::*;
use crate::folder::FolderError;
use crate::history::key::SPAN;
use crate::history::tests::keeps_an_index;
use crate::history::{HISTORY_FORMAT, HistoryRead as _, HistoryStore as _};
use crate::store::conformance::{batch, behaves, point, scanned};

const CHAIN: ChainId = ChainId(Hash([7; 32]));

struct Place {
    _keep: tempfile::TempDir,
    folder: DataFolder,
}

impl Place {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(&keep.path().join("data")).unwrap();
        Self { _keep: keep, folder }
    }

    fn open(&self) -> LmdbStore {
        LmdbStore::open(&self.folder, &CHAIN, LmdbOptions::default()).unwrap()
    }

    fn refusal(&self, chain: &ChainId) -> StoreError {
        LmdbStore::open(&self.folder, chain, LmdbOptions::default()).unwrap_err()
    }
}

#[test]
fn it_behaves_as_every_store() {
    behaves(&mut Place::new().open());
}

#[test]
fn it_keeps_an_index_as_every_store_does() {
    keeps_an_index(&mut Place::new().open());
}

#[test]
fn an_index_is_kept_after_reopening_unless_it_is_not_asked_for() {
    let place = Place::new();
    let mut store = place.open();
    store.begin_history(point(1, 1).slice).unwrap();
    store.commit(&batch(1, 1, &[("a", Some("1"))])).unwrap();
    drop(store);
    assert!(place.open().keeps_history().unwrap());
    let beside = LmdbStore::open_beside(&place.folder.state_path(), &CHAIN, LmdbOptions::default()).unwrap().unwrap();
    assert_eq!(beside.span().unwrap().unwrap().to, point(1, 1).slice);
    drop(beside);
    let off = LmdbOptions { keeps_history: false, ..LmdbOptions::default() };
    let store = LmdbStore::open(&place.folder, &CHAIN, off).unwrap();
    assert!(!store.keeps_history().unwrap());
    assert_eq!(store.span().unwrap().unwrap().to, point(1, 1).slice, "it can still be read");
}

#[test]
fn an_index_that_does_not_read_back_is_kept_by_nobody() {
    let place = Place::new();
    let mut store = place.open();
    store.begin_history(point(1, 1).slice).unwrap();
    store.commit(&batch(1, 1, &[("a", Some("1"))])).unwrap();
    let span = store.get_row(&SPAN).unwrap().unwrap();
    for (format, says) in [(HISTORY_FORMAT + 1, "a newer program"), (0, "damaged")] {
        let Shared { environment, history, .. } = &*store.shared;
        let mut transaction = environment.begin_rw_txn().unwrap();
        let changed = [&format.to_le_bytes()[..], &span[4..]].concat();
        transaction.put(history.unwrap(), &SPAN, &changed, WriteFlags::empty()).unwrap();
        transaction.commit().unwrap();
        assert!(!store.keeps_history().unwrap());
        assert!(store.span().unwrap_err().to_string().contains(says));
    }
    store.begin_history(point(1, 1).slice).unwrap();
    assert!(store.keeps_history().unwrap());
}

#[test]
fn no_flag_that_power_loss_punishes() {
    let forbidden = EnvironmentFlags::NO_SYNC
        | EnvironmentFlags::NO_META_SYNC
        | EnvironmentFlags::MAP_ASYNC
        | EnvironmentFlags::WRITE_MAP
        | EnvironmentFlags::NO_LOCK;
    assert!(!FLAGS.intersects(forbidden) && !OWNER_FLAGS.intersects(forbidden));
}

#[test]
fn pages_are_read_ahead_for_those_who_only_read() {
    let place = Place::new();
    let store = place.open();
    assert!(is_read_at_random(&place));
    drop(store);
    let store = LmdbStore::open_to_read(&place.folder, &CHAIN, LmdbOptions::default()).unwrap().unwrap();
    assert!(!is_read_at_random(&place));
    drop(store);
}

/// Whether the kernel has been told that the map of the store is read in no order (proc(5), `VmFlags`).
fn is_read_at_random(place: &Place) -> bool {
    let file = place.folder.state_path().join(DATA_FILE).canonicalize().unwrap();
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = maps.lines().skip_while(|line| !line.ends_with(file.to_str().unwrap()));
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
    flags.split_whitespace().any(|flag| flag == "rr")
}

#[test]
fn a_commit_is_there_after_reopening_with_its_point() {
    let place = Place::new();
    let mut store = place.open();
    store.commit(&batch(1, 5, &[("alice", Some("10")), ("bob", Some("20"))])).unwrap();
    assert_eq!(store.keys_count().unwrap(), 2);
    drop(store);
    let store = place.open();
    assert_eq!(store.get(b"alice").unwrap(), Some(b"10".to_vec()));
    assert_eq!(store.final_point().unwrap(), Some(point(1, 5)));
}

#[test]
fn the_large_map_takes_no_disk() {
    let place = Place::new();
    let mut store = place.open();
    store.commit(&batch(1, 1, &[("a", Some("1"))])).unwrap();
    let length = fs::metadata(place.folder.state_path().join("data.mdb")).unwrap().len();
    assert!(length < 1 << 20, "{length} bytes");
}

#[test]
fn the_lock_lives_as_long_as_the_store() {
    let keep = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(keep.path()).unwrap();
    let store = LmdbStore::open(&folder, &CHAIN, LmdbOptions::default()).unwrap();
    drop(folder);
    assert!(matches!(DataFolder::open(keep.path()), Err(FolderError::Held { .. })));
    drop(store);
    DataFolder::open(keep.path()).unwrap();
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let place = Place::new();
    let mut store = place.open();
    store.commit(&batch(1, 1, &[("a", Some("1"))])).unwrap();
    let Shared { environment, meta, .. } = &*store.shared;
    let mut transaction = environment.begin_rw_txn().unwrap();
    let newer = (STORE_FORMAT + 1).to_le_bytes();
    transaction.put(*meta, &FORMAT_KEY, &newer, WriteFlags::empty()).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let data = place.folder.state_path().join("data.mdb");
    let before = fs::read(&data).unwrap();
    let refusal = place.refusal(&CHAIN);
    assert!(matches!(refusal, StoreError::NewerFormat { found, known, .. } if found == known + 1));
    assert!(refusal.to_string().contains("format 2"), "{refusal}");
    assert_eq!(fs::read(&data).unwrap(), before);
}

#[test]
fn another_chains_store_is_refused() {
    let place = Place::new();
    drop(place.open());
    assert!(matches!(place.refusal(&ChainId(Hash([8; 32]))), StoreError::OtherChain { .. }));
    place.open();
}

#[test]
fn a_file_that_is_no_store_is_damage() {
    let place = Place::new();
    fs::write(place.folder.state_path().join("data.mdb"), vec![0x5A; 16_384]).unwrap();
    assert!(matches!(place.refusal(&CHAIN), StoreError::Corrupt { .. }));
}

#[test]
fn a_full_map_keeps_nothing_of_the_batch_and_all_before_it() {
    let place = Place::new();
    let small = LmdbOptions { map_len: 1 << 20, ..LmdbOptions::default() };
    let mut store = LmdbStore::open(&place.folder, &CHAIN, small).unwrap();
    store.commit(&batch(1, 1, &[("kept", Some("1"))])).unwrap();
    let mut heavy = batch(2, 2, &[("kept", Some("2"))]);
    for number in 0..4_096_u32 {
        heavy.changes.insert(number.to_be_bytes().to_vec(), Some(vec![1; 1_024]));
    }
    assert_eq!(store.commit(&heavy), Err(StoreError::MapFull { map_len: 1 << 20, commit: 2 }));
    assert_eq!(scanned(&store, ""), [("kept".to_owned(), "1".to_owned())]);
    drop(store);
    let mut store = place.open();
    assert_eq!(scanned(&store, ""), [("kept".to_owned(), "1".to_owned())]);
    assert_eq!(store.final_point().unwrap(), Some(point(1, 1)));
    store.commit(&heavy).unwrap();
    assert_eq!(store.keys_count().unwrap(), 4_097);
}

#[test]
fn the_disks_errors_keep_their_kind() {
    let of = |code| store_error("p", 1, 9, "writing", lmdb::Error::Other(code));
    // ENOSPC, EDQUOT and EIO of Linux.
    assert_eq!(of(28), StoreError::DiskFull { path: "p".to_owned(), commit: 9 });
    assert_eq!(of(122), StoreError::DiskFull { path: "p".to_owned(), commit: 9 });
    assert!(matches!(of(5), StoreError::Backend { action: "writing", .. }));
}

#[test]
fn a_full_disk_is_found_by_trying() {
    let place = tempfile::tempdir().unwrap();
    assert!(!disk_is_full(place.path()));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    assert!(takes_no_more(&mut File::options().write(true).open("/dev/full").unwrap()));
    assert!(!disk_is_full(&place.path().join("missing")));
}

#[test]
fn a_snapshot_sees_one_moment_and_one_thread_may_hold_several() {
    let mut store = Place::new().open();
    let reader = store.clone();
    store.commit(&batch(1, 1, &[("a", Some("1")), ("b", Some("1"))])).unwrap();
    let before = reader.snapshot().unwrap();
    store.commit(&batch(2, 2, &[("a", Some("2")), ("b", None)])).unwrap();
    let after = reader.snapshot().unwrap();
    assert_eq!((before.get(b"a").unwrap(), before.get(b"b").unwrap()), (Some(&b"1"[..]), Some(&b"1"[..])));
    assert_eq!((after.get(b"a").unwrap(), after.get(b"b").unwrap()), (Some(&b"2"[..]), None));
    assert_eq!(before.final_point().unwrap(), Some(point(1, 1)));
    assert_eq!(after.final_point().unwrap(), Some(point(2, 2)));
}

#[test]
fn readers_on_other_threads_never_see_half_a_batch() {
    let mut writer = StoreWriter::new(Place::new().open(), Box::new(|| Instant::ZERO));
    writer.commit(&batch(1, 1, &[("left", Some("1")), ("right", Some("1"))])).unwrap();
    let (done, ended) = mpsc::channel::<()>();
    let store = writer.store().clone();
    let reader = thread::spawn(move || {
        let mut reads = 0_u32;
        loop {
            let over = matches!(ended.try_recv(), Err(mpsc::TryRecvError::Disconnected));
            let snapshot = store.snapshot().unwrap();
            let commit = snapshot.final_point().unwrap().unwrap().commit.to_string();
            assert_eq!(snapshot.get(b"left").unwrap(), Some(commit.as_bytes()));
            assert_eq!(snapshot.get(b"right").unwrap(), Some(commit.as_bytes()));
            reads += 1;
            if over {
                return (reads, commit);
            }
        }
    });
    for number in 2..=50_u64 {
        let text = number.to_string();
        writer.commit(&batch(number, number, &[("left", Some(&text)), ("right", Some(&text))])).unwrap();
    }
    drop(done);
    let (reads, last) = reader.join().unwrap();
    assert!(reads > 0 && last == "50");
}

#[test]
fn the_writer_times_what_it_commits_and_not_what_it_refuses() {
    let mut now = Instant::ZERO;
    let clock: Clock = Box::new(move || {
        now += Duration::from_micros(30);
        now
    });
    let mut writer = StoreWriter::new(Place::new().open(), clock);
    writer.commit(&batch(1, 1, &[("a", Some("12")), ("b", None)])).unwrap();
    assert!(writer.commit(&batch(1, 1, &[("a", Some("1"))])).is_err());
    assert_eq!((writer.times().count(), writer.times().quantile_us(500)), (1, 30));
    assert_eq!((writer.keys_count(), writer.bytes_count()), (2, 4));
}
