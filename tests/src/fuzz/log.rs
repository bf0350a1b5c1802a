//! The chain's log over a disk whose bytes anyone may have bent.
//!
//! Records are sealed with a key that lies in the log, so a fuzzer that only bends bytes stops at the checksums. Hence two
//! ways: bend a good log anywhere, and seal any bodies as the log would. The seal is written here once more, from the
//! format's description in `ledger/src/chainlog/record.rs`.

use hpb_ledger::chainlog::{
    BLOCK_LEN, ChainLog, Entry, LogBatch, LogError, LogOptions, MemoryFolder, Record, Recovery, Tail,
};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_types::{AccountName, ChainId, Hash, Height, SliceRef};

use super::input::Input;

const CHAIN: ChainId = ChainId(Hash([1; 32]));
const SALT: [u8; 32] = [7; 32];
const OPTIONS: LogOptions = LogOptions { chain: CHAIN, segment_len: 4 * BLOCK_LEN };
/// Batches of the good log: more than one segment of them.
const BATCHES: u64 = 5;
const EDITS_MAX: usize = 64;

/// Opens a log that was bent, or one whose records hold any bodies.
///
/// # Panics
/// If a log gives back what was never written, a watermark is made up, or a log that opened does not open again.
pub fn chainlog(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() {
        Some(way) if way % 2 == 0 => bent(&mut input),
        Some(_) => sealed(&mut input),
        None => {}
    }
}

fn never() -> hpb_base::Instant {
    hpb_base::Instant::ZERO
}

fn reference(slot: u64) -> SliceRef {
    SliceRef { height: Height::new(slot, 0), id: Hash([slot as u8; 32]) }
}

fn watermark(slot: u64) -> Watermark {
    Watermark { producer: AccountName::literal("alice"), source: reference(slot), target: reference(slot + 1) }
}

fn open(disk: &MemoryFolder) -> Result<(ChainLog, Recovery), LogError> {
    ChainLog::open(Box::new(disk.clone()), OPTIONS, Box::new(never))
}

fn replay(log: &mut ChainLog) -> Result<Vec<Entry>, LogError> {
    let mut entries = Vec::new();
    let count = log.replay(None, &mut |entry| entries.push(entry))?;
    assert_eq!(count, entries.len() as u64);
    Ok(entries)
}

/// A log of a few batches on a disk of its own.
fn good_log() -> (MemoryFolder, Vec<Entry>) {
    let disk = MemoryFolder::new();
    let state = WatermarkState::Unknown;
    let mut log = ChainLog::create(Box::new(disk.clone()), OPTIONS, SALT, state, Box::new(never)).unwrap();
    let mut batch = LogBatch::new();
    for slot in 1..=BATCHES {
        batch.clear();
        for _ in 0..slot {
            batch.push(&Record::Final(reference(slot))).unwrap();
        }
        batch.set_watermark(watermark(slot));
        log.append(&batch).unwrap();
    }
    let entries = replay(&mut log).unwrap();
    (disk, entries)
}

/// A good log, bent at the places that the input names.
fn bent(input: &mut Input<'_>) {
    let (disk, written) = good_log();
    for _ in 0..EDITS_MAX {
        let Some(what) = input.byte() else { break };
        let (Some(segment), Some(at)) = (input.byte(), input.word()) else { break };
        let segment = u32::from(segment % 3) + 1;
        let Some(mut bytes) = disk.bytes(segment) else { continue };
        let at = usize::from(at) % (4 * BLOCK_LEN as usize);
        match what % 4 {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= what | 1),
            1 => bytes.truncate(at),
            2 => bytes.iter_mut().skip(at).take(usize::from(what) * 64).for_each(|byte| *byte = 0),
            _ => {
                let over = input.bytes().unwrap_or_default();
                bytes.iter_mut().skip(at).zip(over).for_each(|(byte, new)| *byte = *new);
            }
        }
        disk.replace(segment, bytes);
    }
    let Ok((mut log, recovery)) = open(&disk) else { return };
    check_recovery(&recovery, &log);
    let read = replay(&mut log);
    if let Ok(read) = &read {
        assert!(written.starts_with(read), "the log gives back the beginning of what was written");
        for entry in read {
            assert_eq!(log.read(entry.position).unwrap(), entry.record);
        }
    }
    check_again(&disk, log, read);
}

fn check_recovery(recovery: &Recovery, log: &ChainLog) {
    assert!(recovery.last_batch <= BATCHES);
    assert_eq!(log.last_batch(), recovery.last_batch);
    assert_eq!(*log.watermark(), recovery.watermark);
    if let WatermarkState::Known(found) = recovery.watermark {
        let slot = found.source.height.slot.0;
        assert!(slot <= BATCHES && found == watermark(slot), "a watermark that was never written: {found:?}");
        assert!(slot >= recovery.last_batch, "a watermark below the last batch");
    }
    if let Tail::Truncated { length, expected, .. } = recovery.tail {
        assert!(length < expected);
        assert_eq!(recovery.watermark, WatermarkState::Unknown);
    }
}

/// A log that opened takes a batch, and opens once more with all that it had and the batch.
fn check_again(disk: &MemoryFolder, mut log: ChainLog, read: Result<Vec<Entry>, LogError>) {
    let mut batch = LogBatch::new();
    batch.push(&Record::Final(reference(9))).unwrap();
    let appended = log.append(&batch).expect("a log that opened takes a batch");
    drop(log);
    let (mut log, recovery) = open(disk).expect("a log that opened opens again");
    assert_eq!((recovery.tail, recovery.last_batch), (Tail::Clean, appended.batch));
    match (read, replay(&mut log)) {
        (Ok(mut before), Ok(after)) => {
            let last = after.last().cloned().expect("the batch");
            assert_eq!((last.batch, &last.record), (appended.batch, &Record::Final(reference(9))));
            before.push(last);
            assert_eq!(before, after);
        }
        (Err(_), Err(_)) => {}
        (before, after) => panic!("{before:?} became {after:?}"),
    }
}

/// Seals any bodies as records of a first batch: what is read back encodes to the same bytes.
fn sealed(input: &mut Input<'_>) {
    let disk = MemoryFolder::new();
    let state = WatermarkState::Unknown;
    drop(ChainLog::create(Box::new(disk.clone()), OPTIONS, SALT, state, Box::new(never)).unwrap());
    let mut segment = disk.bytes(1).unwrap();
    let batch = seal_batch(input);
    let room = segment.len() - BLOCK_LEN as usize;
    if batch.len() > room {
        return;
    }
    segment[BLOCK_LEN as usize..][..batch.len()].copy_from_slice(&batch);
    disk.replace(1, segment.clone());
    let Ok((mut log, recovery)) = open(&disk) else { return };
    if recovery.last_batch == 0 {
        return;
    }
    let Ok(entries) = replay(&mut log) else { return };
    let again = MemoryFolder::new();
    let mut log = ChainLog::create(Box::new(again.clone()), OPTIONS, SALT, state, Box::new(never)).unwrap();
    let mut batch = LogBatch::new();
    for entry in &entries {
        batch.push(&entry.record).expect("what was read can be written");
    }
    if batch.is_empty() {
        return;
    }
    log.append(&batch).unwrap();
    assert_eq!(replay(&mut log).unwrap(), entries);
    if matches!(recovery.tail, Tail::Clean) && recovery.stray_count == 0 && recovery.watermark == state {
        assert!(again.bytes(1) == Some(segment), "one encoding a batch");
    }
}

/// A batch as the input says: how many records are stated too many, then each record's kind and body.
fn seal_batch(input: &mut Input<'_>) -> Vec<u8> {
    const FRAME_LEN: usize = 4 + 1 + 8;
    const WATERMARK_LEN: usize = 1 + 1 + 32 + 2 * (8 + 4 + 32);
    let excess = input.byte().unwrap_or(0) / 64;
    let mut records: Vec<(u8, &[u8])> = Vec::new();
    while let (Some(kind), true) = (input.byte(), records.len() < 16) {
        let Some(body) = input.bytes() else { break };
        records.push((kind, body));
    }
    let bodies: usize = records.iter().map(|(_, body)| body.len() + FRAME_LEN).sum();
    let length = 2 * FRAME_LEN + 8 + 4 + 4 + 8 + 2 * WATERMARK_LEN + bodies;
    let mut open = 1_u64.to_le_bytes().to_vec();
    open.extend((length as u32).to_le_bytes());
    open.extend((records.len() as u32 + u32::from(excess)).to_le_bytes());
    open.extend([0; WATERMARK_LEN]);
    let mut close = 1_u64.to_le_bytes().to_vec();
    close.extend([0; WATERMARK_LEN]);
    let mut out = Vec::new();
    seal(1, &open, &mut out);
    for (kind, body) in &records {
        seal(*kind, body, &mut out);
    }
    seal(2, &close, &mut out);
    assert_eq!(out.len(), length);
    out
}

/// Seals one record where it stands: behind `out`, in the batch at the first segment's second block.
fn seal(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    let mut hasher = blake3::Hasher::new_keyed(&SALT);
    hasher.update(&1_u32.to_le_bytes());
    hasher.update(&(BLOCK_LEN + out.len() as u64).to_le_bytes());
    hasher.update(&(body.len() as u32).to_le_bytes());
    hasher.update(&[kind]);
    hasher.update(body);
    out.extend((body.len() as u32).to_le_bytes());
    out.push(kind);
    out.extend(body);
    out.extend(&hasher.finalize().as_bytes()[..8]);
}
