use hpb_base::Instant;
use hpb_types::{
    Beacon, Certificate, ChainId, Epoch, NextSchedule, ResultsCommitment, Signature, SliceBody, transactions_root,
};

use super::super::{Keep, LogBatch, LogOptions, MemoryFolder};
use super::*;
use crate::watermark::WatermarkState;

const CHAIN: ChainId = ChainId(Hash([7; 32]));

fn at(slot: u64, index: u32) -> Height {
    Height { slot: Slot(slot), index }
}

fn slice(height: Height, parent: Hash, salt: u8) -> Slice {
    let genesis = SliceRef { height: Height::default(), id: Hash::ZERO };
    let body = SliceBody {
        version: SliceBody::VERSION,
        chain: CHAIN,
        epoch: Epoch(0),
        slot: height.slot,
        index: height.index,
        last: false,
        parent,
        producer: "alice".parse().unwrap(),
        transactions_root: transactions_root([]),
        results: ResultsCommitment { scheme: 0, hash: Hash([salt; 32]) },
        source: Certificate::genesis(genesis),
        beacon: Beacon::None,
        next: NextSchedule::None,
    };
    Slice { body, signature: Signature([0; 64]) }
}

/// A chain of `slots` slots of three slices, with a fork at every slice, finality two slices behind, and small segments.
fn log_of(slots: u64) -> (ChainLog, MemoryFolder, Vec<SliceRef>) {
    let folder = MemoryFolder::new();
    let options = LogOptions { segment_len: 16 * BLOCK_LEN, ..LogOptions::new(CHAIN) };
    let clock = Box::new(|| Instant::ZERO);
    let mut log = ChainLog::create(Box::new(folder.clone()), options, [1; 32], WatermarkState::Unknown, clock).unwrap();
    let mut chain: Vec<SliceRef> = Vec::new();
    for slot in 1..=slots {
        for index in 0..3 {
            let parent = chain.last().map_or(Hash::ZERO, |slice| slice.id);
            let mut batch = LogBatch::new();
            for salt in [9, 0] {
                let slice = slice(at(slot, index), parent, salt);
                batch.push_slice(&slice, &[]).unwrap();
                if salt == 0 {
                    chain.push(slice.reference());
                }
            }
            log.append(&batch).unwrap();
            if let Some(last) = chain.len().checked_sub(3) {
                let mut batch = LogBatch::new();
                batch.push_final(&chain[last]).unwrap();
                log.append(&batch).unwrap();
            }
        }
    }
    chain.truncate(chain.len() - 2);
    (log, folder, chain)
}

fn walked(log: &mut ChainLog, from: Height, to: u64) -> Option<Vec<SliceRef>> {
    let mut walk = log.walk_finals(from, Slot(to))?;
    let mut found = Vec::new();
    loop {
        match log.step_finals(&mut walk).unwrap() {
            WalkStep::Slice(slice) => found.push(slice.slice.reference()),
            WalkStep::Walked => {}
            WalkStep::End => return Some(found),
        }
    }
}

fn expected(chain: &[SliceRef], from: Height, to: u64) -> Vec<SliceRef> {
    chain.iter().copied().filter(|slice| slice.height >= from && slice.height.slot.0 <= to).collect()
}

#[test]
fn any_range_comes_back_without_its_forks() {
    let (mut log, _, chain) = log_of(100);
    assert_eq!(Some(&log.last_final()), chain.last());
    for (from, to) in
        [(at(0, 0), 100), (at(1, 0), 1), (at(7, 2), 7), (at(31, 1), 33), (at(64, 0), 80), (at(99, 0), 500)]
    {
        assert_eq!(walked(&mut log, from, to), Some(expected(&chain, from, to)), "from {from} to {to}");
    }
    assert_eq!(walked(&mut log, at(50, 7), 50), Some(Vec::new()), "nothing there");
    assert_eq!(walked(&mut log, at(101, 0), 200), None, "above what is final");
}

#[test]
fn a_log_that_is_opened_again_finds_the_same() {
    let (log, folder, chain) = log_of(60);
    drop(log);
    let clock = Box::new(|| Instant::ZERO);
    let (mut log, _) = ChainLog::open(Box::new(folder), LogOptions::new(CHAIN), clock).unwrap();
    assert_eq!(walked(&mut log, at(1, 0), 60), None, "before it was replayed it knows nothing");
    log.replay(None, &mut |_| {}).unwrap();
    assert_eq!(walked(&mut log, at(20, 1), 50), Some(expected(&chain, at(20, 1), 50)));
    log.replay(None, &mut |_| {}).unwrap();
    assert_eq!(walked(&mut log, at(20, 1), 50), Some(expected(&chain, at(20, 1), 50)), "replayed twice");
}

#[test]
fn what_was_pruned_is_not_here() {
    let (mut log, _, chain) = log_of(100);
    assert!(log.prune(&chain[chain.len() - 1], Keep::Segments(3)).unwrap() > 0);
    let from = log.finals_from();
    assert!(from > Slot(1) && from < Slot(100), "{from:?}");
    assert_eq!(walked(&mut log, at(1, 0), 100), None);
    assert_eq!(walked(&mut log, at(from.0, 0), 100), Some(expected(&chain, at(from.0, 0), 100)));
}

#[test]
fn a_walk_is_found_out_when_its_place_is_pruned() {
    let (mut log, _, chain) = log_of(100);
    let mut walk = log.walk_finals(at(1, 0), Slot(90)).unwrap();
    log.prune(&chain[chain.len() - 1], Keep::Segments(1)).unwrap();
    let failed = (0..10).any(|_| matches!(log.step_finals(&mut walk), Err(LogError::NoRecord { .. })));
    assert!(failed);
}

/// As a log had it whose node confirmed a slice before it wrote the ancestors that it had not confirmed.
#[test]
fn a_slice_that_stands_before_its_parents_is_not_taken_for_the_end() {
    let options = LogOptions { segment_len: 16 * BLOCK_LEN, ..LogOptions::new(CHAIN) };
    let (folder, clock) = (Box::new(MemoryFolder::new()), Box::new(|| Instant::ZERO));
    let mut log = ChainLog::create(folder, options, [1; 32], WatermarkState::Unknown, clock).unwrap();
    let mut parent = Hash::ZERO;
    let slices: Vec<Slice> = (1..=60)
        .map(|slot| {
            let slice = slice(at(slot, 0), parent, 0);
            parent = slice.id();
            slice
        })
        .collect();
    let tip = &slices[59];
    for slice in [tip].into_iter().chain(&slices[..59]) {
        let mut batch = LogBatch::new();
        batch.push_slice(slice, &[]).unwrap();
        log.append(&batch).unwrap();
    }
    let mut batch = LogBatch::new();
    batch.push_final(&tip.reference()).unwrap();
    log.append(&batch).unwrap();
    for (from, to) in [(at(1, 0), 60), (at(40, 0), 50)] {
        let mut walk = log.walk_finals(from, Slot(to)).unwrap();
        let mut steps = std::iter::from_fn(|| Some(log.step_finals(&mut walk)));
        let end = steps.find(|step| !matches!(step, Ok(WalkStep::Walked)));
        assert!(matches!(end, Some(Err(LogError::NoRecord { .. }))), "{end:?}");
    }
}

#[test]
fn marks_grow_sparser_and_never_many() {
    let mut finals = Finals::with_room(8);
    let mut parent = Hash::ZERO;
    for slot in 1..5_000 {
        let slice = SliceRef { height: at(slot, 0), id: Hash::of(&slot.to_le_bytes()) };
        let place = BatchPlace { segment: 1, offset: slot, number: slot };
        finals.note(&Note::Slice { slice, parent }, place);
        finals.note(&Note::Final(slice), place);
        parent = slice.id;
        assert!(finals.marks.len() <= 8 && finals.waiting.is_empty());
    }
    assert!(finals.marks.len() >= 4, "{:?}", finals.marks);
    assert!(finals.marks.iter().all(|(slot, place)| slot.0 == place.offset));
}
