//! What is left after crashes, power loss, rot and full disks.
//!
//! The rule in every case: what was acknowledged comes back or the log is refused, a watermark is never lower than one
//! that was acknowledged, and no batch comes back in part.

use super::super::*;
use super::samples::{BLOCK, SALT, clock, known, mark, mark_batch, memory_log, options, reopen, replayed, slice_batch};
use crate::watermark::WatermarkState;

const BLOCKS: u64 = 8;
/// Where the batches of [`small_log`] end, in blocks; the first begins after the header.
const ENDS: [u64; 4] = [1, 2, 4, 5];

/// Three batches of one, two and one blocks, each with a slice of two records and the watermark of its number.
fn small_log() -> MemoryFolder {
    let disk = MemoryFolder::new();
    let mut log = memory_log(&disk, BLOCKS);
    for (number, padding) in [(1, 20), (2, 3_500), (3, 20)] {
        log.append(&marked(number, padding)).unwrap();
        assert_eq!(log.offset, ENDS[number as usize] * BLOCK);
    }
    disk
}

fn marked(number: u64, padding: usize) -> LogBatch {
    let mut batch = slice_batch(number, 0, padding);
    batch.set_watermark(mark(number));
    batch
}

/// Bytes of a small log's batch without its padding.
fn payload_len(number: u64) -> u64 {
    marked(number, if number == 2 { 3_500 } else { 20 }).encoded_len() as u64
}

fn records_count(log: &mut ChainLog) -> u64 {
    replayed(log, None).unwrap().len() as u64
}

/// A torn log goes on in a new segment, and a second start finds the same watermark.
fn goes_on(disk: &MemoryFolder, records: u64, expected: WatermarkState) {
    let (mut log, recovery) = reopen(disk).unwrap();
    assert_eq!((recovery.tail, recovery.watermark), (Tail::Clean, expected));
    assert_eq!(records_count(&mut log), records);
    log.append(&marked(9, 10)).unwrap();
    drop(log);
    let (mut log, recovery) = reopen(disk).unwrap();
    assert_eq!((recovery.tail, recovery.watermark), (Tail::Clean, known(9)));
    assert_eq!(records_count(&mut log), records + 2);
}

/// Every byte of the batches, the bounds of all blocks, and a sample of the bytes that are the same all around: header,
/// padding, and what is still free.
fn places() -> impl Iterator<Item = usize> {
    let lengths = [1, 2, 3].map(payload_len);
    let is_payload = |place: u64| {
        let number = ENDS.iter().take_while(|end| **end * BLOCK <= place).count();
        (1..=3).contains(&number) && place <= ENDS[number - 1] * BLOCK + lengths[number - 1]
    };
    let payload: Vec<_> = (0..BLOCKS * BLOCK).map(is_payload).collect();
    (0..payload.len()).filter(move |place| payload[*place] || (*place as u64 + 1) % BLOCK < 3 || place % 61 == 0)
}

/// A write that reached the disk up to some byte, over the zeros that were there.
#[test]
fn torn_at_every_byte() {
    let whole = small_log().bytes(1).unwrap();
    let lengths = [1, 2, 3].map(payload_len);
    let payload_end = |number: usize| (ENDS[number - 1] * BLOCK + lengths[number - 1]) as usize;
    for cut in places().skip_while(|cut| *cut < BLOCK as usize) {
        let disk = MemoryFolder::new();
        let mut bytes = whole[..cut].to_vec();
        bytes.resize(whole.len(), 0);
        disk.replace(1, bytes);
        let (mut log, recovery) = reopen(&disk).unwrap();

        let batches = (1..=3).take_while(|number| payload_end(*number) <= cut).count() as u64;
        assert_eq!((recovery.last_batch, records_count(&mut log)), (batches, 2 * batches), "cut at {cut}");
        let start = (ENDS[batches as usize] * BLOCK) as usize;
        let open_end = start + record::OPEN_LEN;
        let (torn, expected) = match cut {
            _ if batches == 3 || cut <= start => (false, known(batches)),
            cut if cut < open_end => (true, WatermarkState::Unknown),
            _ => (true, known(batches + 1)),
        };
        assert_eq!((recovery.tail != Tail::Clean, recovery.watermark), (torn, expected), "cut at {cut}");
        if torn && cut % 97 == 0 {
            drop(log);
            goes_on(&disk, 2 * batches, expected);
        }
    }
}

/// No crash shortens a file: what stood behind the cut may have been acknowledged.
#[test]
fn truncated_at_every_byte() {
    let whole = small_log().bytes(1).unwrap();
    for cut in places() {
        let disk = MemoryFolder::new();
        disk.replace(1, whole[..cut].to_vec());
        if cut < BLOCK as usize {
            assert!(matches!(reopen(&disk).err(), Some(LogError::Damaged { offset: 0, .. })), "cut at {cut}");
            continue;
        }
        let (mut log, recovery) = reopen(&disk).unwrap();
        let length = cut as u64;
        assert_eq!(recovery.tail, Tail::Truncated { segment: 1, length, expected: BLOCKS * BLOCK });
        assert_eq!(recovery.watermark, WatermarkState::Unknown);
        assert_eq!(records_count(&mut log), 2 * recovery.last_batch);
    }
    let disk = MemoryFolder::new();
    disk.replace(1, whole[..whole.len() - 1].to_vec());
    assert_eq!(reopen(&disk).unwrap().1.last_batch, 3);
    goes_on(&disk, 6, WatermarkState::Unknown);
}

#[test]
fn a_flipped_bit_at_every_byte() {
    let whole = small_log().bytes(1).unwrap();
    let lengths = [1, 2, 3].map(payload_len);
    for at in places() {
        let disk = MemoryFolder::new();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.replace(1, bytes);
        let opened = reopen(&disk);
        let place = at as u64;
        let number = ENDS.iter().take_while(|end| **end * BLOCK <= place).count();
        if number == 0 {
            assert!(matches!(opened.err(), Some(LogError::Damaged { offset: 0, .. } | LogError::NewerFormat { .. })));
            continue;
        }
        let is_payload = number <= 3 && place < ENDS[number - 1] * BLOCK + lengths[number - 1];
        if is_payload && number < 3 {
            let offset = ENDS[number - 1] * BLOCK;
            assert!(matches!(opened.err(), Some(LogError::Damaged { offset: bad, .. }) if bad == offset), "byte {at}");
            continue;
        }
        let (mut log, recovery) = opened.unwrap();
        let found = (recovery.tail == Tail::Clean, recovery.stray_count, recovery.watermark);
        let expected = match number {
            4 => (false, 0, WatermarkState::Unknown),
            3 if is_payload => (false, 0, known(3)),
            _ => (true, 1, known(3)),
        };
        assert_eq!(found, expected, "byte {at}");
        assert_eq!(records_count(&mut log), if is_payload { 4 } else { 6 }, "byte {at}");
    }
}

/// Power loss may keep any of a batch's blocks.
#[test]
fn every_subset_of_a_batchs_blocks() {
    let disk = small_log();
    let before = disk.bytes(1).unwrap();
    let (mut log, _) = reopen(&disk).unwrap();
    log.append(&marked(4, 9_000)).unwrap();
    let after = disk.bytes(1).unwrap();
    let first = (ENDS[3] * BLOCK) as usize;
    assert_eq!(log.offset, BLOCKS * BLOCK);
    for kept in 0_u32..8 {
        let mut bytes = before.clone();
        for block in (0..3).filter(|block| kept & (1 << block) != 0) {
            let range = first + block * BLOCK as usize..first + (block + 1) * BLOCK as usize;
            bytes[range.clone()].copy_from_slice(&after[range]);
        }
        let disk = MemoryFolder::new();
        disk.replace(1, bytes);
        let (mut log, recovery) = reopen(&disk).unwrap();
        let expected = match kept {
            0 => known(3),
            // Neither the first block, with Open, nor the last, with Close.
            0b010 => WatermarkState::Unknown,
            _ => known(4),
        };
        assert_eq!(recovery.watermark, expected, "{kept:03b}");
        assert_eq!(recovery.tail == Tail::Clean, matches!(kept, 0 | 0b111), "{kept:03b}");
        assert_eq!(records_count(&mut log), if kept == 0b111 { 8 } else { 6 });
    }
}

/// A process dies between the write and the sync; then the power fails.
#[test]
fn what_a_start_hands_out_is_durable() {
    let disk = small_log();
    let bytes = disk.bytes(1).unwrap();
    let (mut log, _) = reopen(&disk).unwrap();
    log.append(&marked(4, 300)).unwrap();
    let last = disk.bytes(1).unwrap();
    drop(log);
    disk.replace(1, bytes);
    let from = (ENDS[3] * BLOCK) as usize;
    let mut file = disk.clone().open(1).unwrap();
    file.write_at(from as u64, &last[from..from + BLOCK as usize]).unwrap();
    let unsynced = disk.copy();
    assert_eq!(reopen(&unsynced).unwrap().1.last_batch, 4);
    let (_, recovery) = reopen(&disk).unwrap();
    disk.lose_unsynced();
    assert_eq!(reopen(&disk).unwrap().1, recovery);
}

#[test]
fn a_second_crash_while_the_tail_is_cut_changes_nothing() {
    let disk = small_log();
    let mut bytes = disk.bytes(1).unwrap();
    let torn = (ENDS[2] * BLOCK) as usize;
    bytes[torn + record::OPEN_LEN..].fill(0);
    disk.replace(1, bytes.clone());
    let (_, first) = reopen(&disk).unwrap();
    assert_eq!(first.tail, Tail::Torn { segment: 1, offset: torn as u64, watermark_read: true });
    assert_eq!(disk.bytes(1).unwrap().len(), torn);
    // The new segment was there, the old one was not cut yet.
    disk.replace(1, bytes);
    goes_on(&disk, 4, known(3));
}

#[test]
fn bytes_of_another_log_or_place_pass_for_nothing() {
    let other = MemoryFolder::new();
    let mut log = ChainLog::create(Box::new(other.clone()), options(BLOCKS), [1; 32], known(0), clock()).unwrap();
    log.append(&marked(1, 300)).unwrap();
    log.append(&marked(2, 4_000)).unwrap();
    log.append(&marked(9, 300)).unwrap();
    let foreign = other.bytes(1).unwrap();
    let own = small_log().bytes(1).unwrap();
    let block = |bytes: &[u8], number: u64| bytes[(number * BLOCK) as usize..((number + 1) * BLOCK) as usize].to_vec();
    // What would be its third batch by place and number, from a log with another salt; and its own, moved by a block.
    for (stale, at) in [(block(&foreign, 4), 4), (block(&own, 4), 5), (block(&own, 1), 4)] {
        let disk = MemoryFolder::new();
        let mut bytes = own.clone();
        bytes[(ENDS[2] * BLOCK) as usize..].fill(0);
        bytes[(at * BLOCK) as usize..((at + 1) * BLOCK) as usize].copy_from_slice(&stale);
        disk.replace(1, bytes);
        let (mut log, recovery) = reopen(&disk).unwrap();
        assert!(matches!(recovery.tail, Tail::Torn { watermark_read: false, .. }));
        assert_eq!((recovery.watermark, records_count(&mut log)), (WatermarkState::Unknown, 4));
    }
}

#[test]
fn damage_before_the_last_segment_is_found_when_it_is_read() {
    let disk = MemoryFolder::new();
    let mut log = memory_log(&disk, 4);
    for slot in 1..=7 {
        log.append(&marked(slot, 100)).unwrap();
    }
    let mut bytes = disk.bytes(2).unwrap();
    bytes[BLOCK as usize + 200] ^= 1;
    disk.replace(2, bytes);
    let (mut log, recovery) = reopen(&disk).unwrap();
    assert_eq!(recovery.watermark, known(7));
    assert!(matches!(replayed(&mut log, None), Err(LogError::Damaged { segment: 2, offset: BLOCK_LEN, .. })));
    let mut without = disk.clone();
    without.remove(2).unwrap();
    assert!(matches!(reopen(&disk).err(), Some(LogError::MissingSegment { segment: 2, .. })));
}

#[test]
fn a_segment_of_another_log_does_not_continue_this_one() {
    let (disk, other) = (MemoryFolder::new(), MemoryFolder::new());
    let mut log = memory_log(&disk, 3);
    let mut stranger = ChainLog::create(Box::new(other.clone()), options(3), [1; 32], known(0), clock()).unwrap();
    for slot in 1..=3 {
        log.append(&mark_batch(slot)).unwrap();
        stranger.append(&mark_batch(slot)).unwrap();
    }
    disk.replace(2, other.bytes(2).unwrap());
    assert!(matches!(reopen(&disk).err(), Some(LogError::Damaged { segment: 2, offset: 0, .. })));
}

/// The disk takes so many bytes and no more: what was acknowledged is there, and nothing is there in part.
#[test]
fn a_disk_that_is_full_after_every_few_bytes() {
    const SEGMENT: u64 = 4;
    for room in (SEGMENT * BLOCK..9 * SEGMENT * BLOCK).step_by(331) {
        let disk = MemoryFolder::new();
        disk.set_room(Some(room));
        let mut log = memory_log(&disk, SEGMENT);
        let (acknowledged, refusal) = append_until_refused(&mut log);
        match refusal {
            LogError::DiskFull { needed, .. } if needed == SEGMENT * BLOCK => (),
            // In the midst of a batch.
            LogError::DiskFull { .. } => assert!(matches!(log.append(&mark_batch(99)), Err(LogError::Stopped))),
            other => unreachable!("{other}"),
        }
        drop(log);
        disk.set_room(None);
        let (mut log, recovery) = reopen(&disk).unwrap();
        // The refused batch may be there, but only whole: the disk may have taken all of it but its padding.
        let found = recovery.last_batch;
        assert!(found == acknowledged || found == acknowledged + 1, "room for {room}");
        assert_eq!(records_count(&mut log), 2 * found);
        let is_safe = [known(acknowledged), known(acknowledged + 1), WatermarkState::Unknown];
        assert!(is_safe.contains(&recovery.watermark), "room for {room}");
    }
}

fn append_until_refused(log: &mut ChainLog) -> (u64, LogError) {
    let mut acknowledged = 0;
    loop {
        let number = acknowledged + 1;
        match log.append(&marked(number, (number as usize % 3) * 3_000)) {
            Ok(receipt) => acknowledged = receipt.batch,
            Err(refusal) => return (acknowledged, refusal),
        }
    }
}

#[test]
fn no_room_for_the_first_segment_makes_nothing() {
    let disk = MemoryFolder::new();
    disk.set_room(Some(3 * BLOCK));
    let refused = ChainLog::create(Box::new(disk.clone()), options(4), SALT, known(0), clock());
    assert!(matches!(refused.err(), Some(LogError::DiskFull { needed, .. }) if needed == 4 * BLOCK));
    assert!(!ChainLog::exists(&mut disk.clone()).unwrap());
}

#[test]
fn a_full_disk_at_a_new_segment_may_be_tried_again() {
    let disk = MemoryFolder::new();
    let mut log = memory_log(&disk, 3);
    log.append(&mark_batch(1)).unwrap();
    log.append(&mark_batch(2)).unwrap();
    disk.set_room(Some(100));
    assert!(matches!(log.append(&mark_batch(3)), Err(LogError::DiskFull { .. })));
    assert_eq!(log.watermark(), &known(2));
    disk.set_room(None);
    assert_eq!(log.append(&mark_batch(3)).unwrap().batch, 3);
    assert_eq!(reopen(&disk).unwrap().1.watermark, known(3));
}
