//! The log's life: what is appended comes back, and what is refused leaves nothing.

#![allow(clippy::unwrap_used)]

mod crash;
mod samples;

use std::fs::File;
use std::io;
use std::path::Path;

use hpb_base::{Duration, Instant};
use hpb_types::{AccountName, Hash};
use proptest::prelude::*;

use super::*;
use crate::watermark::Watermark;
use samples::{
    BLOCK, CHAIN, SALT, any_record, clock, known, mark, mark_batch, memory_log, options, reopen, replayed, slice,
    slice_batch,
};

#[test]
fn what_was_appended_comes_back_in_order_with_its_watermark() {
    let disk = MemoryFolder::new();
    let mut log = memory_log(&disk, 64);
    let first = log.append(&slice_batch(1, 0, 900)).unwrap();
    assert_eq!((first.batch, first.positions.len()), (1, 2));
    let second = log.append(&mark_batch(2)).unwrap();
    assert_eq!((second.batch, second.positions.len(), log.last_batch()), (2, 0, 2));
    let nothing = log.append(&LogBatch::new()).unwrap();
    assert_eq!((nothing.batch, log.bytes_count()), (2, 2 * BLOCK));
    drop(log);

    let (mut log, recovery) = reopen(&disk).unwrap();
    assert_eq!(recovery, Recovery { tail: Tail::Clean, watermark: known(2), last_batch: 2, stray_count: 0 });
    let (found, reference) = slice(1, 0, 900);
    let entries = replayed(&mut log, None).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.position).collect::<Vec<_>>(), first.positions);
    assert!(entries.iter().all(|entry| entry.batch == 1));
    let records: Vec<_> = entries.into_iter().map(|entry| entry.record).collect();
    assert_eq!(records, [found.clone(), Record::Final(reference)]);
    assert_eq!(log.read(first.positions[0]).unwrap(), found);
    assert_eq!(log.append(&mark_batch(3)).unwrap().batch, 3);
}

#[test]
fn a_log_is_made_once_and_opened_where_there_is_one() {
    let disk = MemoryFolder::new();
    let refused = ChainLog::open(Box::new(disk.clone()), options(16), clock());
    assert!(matches!(refused.err(), Some(LogError::Absent { .. })));
    assert!(!ChainLog::exists(&mut disk.clone()).unwrap());
    memory_log(&disk, 16);
    assert!(ChainLog::exists(&mut disk.clone()).unwrap());
    let again = ChainLog::create(Box::new(disk.clone()), options(16), SALT, WatermarkState::Unknown, clock());
    assert!(matches!(again.err(), Some(LogError::Exists { .. })));
    let other = LogOptions { chain: ChainId(Hash([1; 32])), ..options(16) };
    let refused = ChainLog::open(Box::new(disk), other, clock());
    assert!(matches!(refused.err(), Some(LogError::OtherChain { .. })));
}

#[test]
fn the_watermark_never_goes_back_and_never_changes_its_producer() {
    let disk = MemoryFolder::new();
    let mut log = memory_log(&disk, 16);
    log.append(&mark_batch(5)).unwrap();
    let mut lower = slice_batch(9, 0, 10);
    lower.set_watermark(mark(4));
    let mut foreign = LogBatch::new();
    foreign.set_watermark(Watermark { producer: AccountName::new("mallory").unwrap(), ..mark(9) });
    for refused in [&lower, &foreign] {
        assert!(matches!(log.append(refused), Err(LogError::WatermarkBack)));
    }
    assert_eq!((log.last_batch(), log.watermark()), (1, &known(5)));
    log.append(&mark_batch(5)).unwrap();
    log.append(&slice_batch(9, 0, 10)).unwrap();
    assert_eq!(reopen(&disk).unwrap().1.watermark, known(5), "a batch without one carries the last");
}

#[test]
fn segments_follow_one_another_and_a_restart_reads_from_its_point() {
    let disk = MemoryFolder::new();
    let mut log = memory_log(&disk, 4);
    for slot in 1..=10 {
        log.append(&slice_batch(slot, 0, 100)).unwrap();
    }
    assert_eq!(log.segments_count(), 4);
    let first = Position { segment: 1, batch: BLOCK, record: record::OPEN_LEN as u64 };
    let (mut again, recovery) = reopen(&disk).unwrap();
    assert_eq!((recovery.last_batch, again.segments_count()), (10, 4));
    assert_eq!(again.read(first).unwrap(), slice(1, 0, 100).0);
    assert!(matches!(again.read(Position { record: 7, ..first }), Err(LogError::NoRecord { .. })));
    assert!(matches!(again.read(Position { segment: 9, ..first }), Err(LogError::NoRecord { .. })));
    assert!(matches!(again.read(Position { batch: u64::MAX, ..first }), Err(LogError::NoRecord { .. })));

    for slot in 1..=10 {
        let (_, reference) = slice(slot, 0, 100);
        let entries = replayed(&mut again, Some(reference)).unwrap();
        let slots: Vec<_> = entries
            .iter()
            .filter_map(|entry| match &entry.record {
                Record::Slice { slice, .. } => Some(slice.body.slot.0),
                _ => None,
            })
            .collect();
        assert_eq!(slots, (slot + 1..=10).collect::<Vec<_>>());
        assert!(matches!(entries[0].record, Record::Final(named) if named == reference));
    }
    let (_, unknown) = slice(5, 1, 0);
    let missing = replayed(&mut again, Some(unknown));
    assert!(matches!(missing, Err(LogError::PointMissing { point: Some(point) }) if point == unknown));
    let genesis = SliceRef { height: Height::default(), id: Hash([1; 32]) };
    assert_eq!(replayed(&mut again, Some(genesis)).unwrap().len(), 20);
}

#[test]
fn pruning_keeps_what_a_restart_needs() {
    let disk = MemoryFolder::new();
    let mut log = memory_log(&disk, 4);
    for slot in 1..=10 {
        log.append(&slice_batch(slot, 0, 100)).unwrap();
    }
    let (_, point) = slice(8, 0, 100);
    assert_eq!(log.prune(&point, Keep::All).unwrap(), 0);
    assert_eq!(log.prune(&point, Keep::Segments(5)).unwrap(), 0);
    assert_eq!(log.prune(&point, Keep::Segments(1)).unwrap(), 1);
    assert_eq!(log.prune(&point, Keep::Segments(0)).unwrap(), 1);
    assert_eq!(log.prune(&point, Keep::Segments(0)).unwrap(), 0);
    let (mut again, _) = reopen(&disk).unwrap();
    assert_eq!(again.segments_count(), 2);
    assert_eq!(replayed(&mut again, Some(point)).unwrap().len(), 5);
    assert!(matches!(replayed(&mut again, None), Err(LogError::Pruned { .. })));
    let (_, early) = slice(2, 0, 100);
    assert!(matches!(replayed(&mut again, Some(early)), Err(LogError::PointMissing { .. })));
}

#[test]
fn a_batch_that_no_segment_holds_is_refused() {
    let disk = MemoryFolder::new();
    let mut log = memory_log(&disk, 3);
    assert_eq!(log.batch_len_max(), 2 * BLOCK);
    let refused = log.append(&slice_batch(1, 0, 9_000));
    assert!(matches!(refused, Err(LogError::BatchFull { length_max, .. }) if length_max == 2 * BLOCK));
    log.append(&slice_batch(1, 0, 5_000)).unwrap();
    log.append(&slice_batch(2, 0, 5_000)).unwrap();
    assert_eq!(replayed(&mut log, None).unwrap().len(), 4);
}

#[test]
fn a_refused_record_leaves_the_batch_as_it_was() {
    let mut batch = LogBatch::new();
    let (Record::Slice { slice: huge, transactions }, _) = slice(1, 0, 30_000) else { unreachable!() };
    let too_many = vec![transactions[0].clone(); 110];
    assert!(matches!(batch.push_slice(&huge, &too_many), Err(LogError::RecordTooLong { .. })));
    assert!(batch.is_empty() && batch.encoded_len() < 512);
    let many = vec![transactions[0].clone(); 60];
    let refusal = loop {
        if let Err(refusal) = batch.push_slice(&huge, &many) {
            break refusal;
        }
    };
    assert!(matches!(refusal, LogError::BatchFull { .. }));
    assert!(batch.encoded_len() <= LOG_BATCH_LEN_MAX && batch.records_count() > 1);
    batch.clear();
    assert!(batch.is_empty());
}

#[test]
fn every_append_is_timed() {
    let mut now = Instant::ZERO;
    let ticking: Clock = Box::new(move || {
        now += Duration::from_micros(25);
        now
    });
    let disk = MemoryFolder::new();
    let state = WatermarkState::Unknown;
    let mut log = ChainLog::create(Box::new(disk), options(16), SALT, state, ticking).unwrap();
    for slot in 1..=3 {
        log.append(&mark_batch(slot)).unwrap();
    }
    assert_eq!((log.times().count(), log.times().quantile_us(500)), (3, 25));
}

#[test]
fn the_next_segment_is_prepared_once_half_is_used() {
    let place = tempfile::tempdir().unwrap();
    let mut log = directory_log(place.path(), Box::new(|file| Ok(Box::new(StdLogFile::new(file)))));
    assert!(!log.prepare_next().unwrap());
    let files = || std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(files(), 1);
    for slot in 1..=8 {
        log.append(&mark_batch(slot)).unwrap();
    }
    while log.prepare_next().unwrap() {}
    assert_eq!((files(), log.segments_count()), (2, 1));
    for slot in 9..=20 {
        log.append(&mark_batch(slot)).unwrap();
    }
    assert_eq!((files(), log.segments_count()), (2, 2));
    drop(log);
    let folder = Box::new(DirectoryFolder::open(place.path()).unwrap());
    let (_, recovery) = ChainLog::open(folder, options(16), clock()).unwrap();
    assert_eq!((recovery.tail, recovery.watermark, recovery.last_batch), (Tail::Clean, known(20), 20));
}

#[test]
fn after_a_sync_that_failed_nothing_more_is_taken() {
    let place = tempfile::tempdir().unwrap();
    let mut log = directory_log(place.path(), Box::new(|file| Ok(Box::new(OneSync { file: wrapped(file), left: 1 }))));
    log.append(&mark_batch(1)).unwrap();
    assert!(matches!(log.append(&mark_batch(2)), Err(LogError::Io { action: "writing", .. })));
    assert!(matches!(log.append(&mark_batch(3)), Err(LogError::Stopped)));
    assert!(!log.prepare_next().unwrap());
    assert_eq!((log.last_batch(), log.watermark()), (1, &known(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_records_come_back(batches in prop::collection::vec(prop::collection::vec(any_record(), 1..5), 1..6)) {
        let disk = MemoryFolder::new();
        let mut log = memory_log(&disk, 32);
        for records in &batches {
            let mut batch = LogBatch::new();
            for record in records {
                batch.push(record).unwrap();
            }
            let positions = log.append(&batch).unwrap().positions;
            for (record, position) in records.iter().zip(positions) {
                prop_assert_eq!(&log.read(position).unwrap(), record);
            }
        }
        let (mut again, recovery) = reopen(&disk).unwrap();
        prop_assert_eq!(recovery.tail, Tail::Clean);
        let records: Vec<_> = replayed(&mut again, None).unwrap().into_iter().map(|entry| entry.record).collect();
        prop_assert_eq!(records, batches.concat());
    }

    #[test]
    fn no_bytes_are_a_record_unless_they_are_written_so(
        kind in 0_u8..24,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let frame = record::Frame { kind, body: &body };
        if let Some(record) = record_of(&frame) {
            let disk = MemoryFolder::new();
            let mut log = memory_log(&disk, 16);
            let mut batch = LogBatch::new();
            batch.push(&record).unwrap();
            log.append(&batch).unwrap();
            prop_assert_eq!(&replayed(&mut log, None).unwrap()[0].record, &record);
        }
        let place = Place { salt: &SALT, segment: 1, offset: BLOCK };
        prop_assert!(frame_at(&place, 0, &body).is_none());
    }
}

fn directory_log(path: &Path, wrap: file::Wrap) -> ChainLog {
    let folder = Box::new(DirectoryFolder::open_with(path, wrap).unwrap());
    ChainLog::create(
        folder,
        LogOptions { chain: CHAIN, segment_len: 16 * BLOCK },
        SALT,
        WatermarkState::Unknown,
        clock(),
    )
    .unwrap()
}

fn wrapped(file: File) -> StdLogFile {
    StdLogFile::new(file)
}

/// A file whose syncs fail after the first few.
struct OneSync {
    file: StdLogFile,
    left: u32,
}

impl LogFile for OneSync {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("the disk is gone"))?;
        self.file.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }
}
