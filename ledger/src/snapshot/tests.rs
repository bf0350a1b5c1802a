#![allow(clippy::unwrap_used)]

use hpb_types::{Beacon, Epoch, Hash, NextSchedule, ResultsCommitment, Signature, SliceBody, Slot, transactions_root};
use proptest::prelude::*;

use super::*;
use crate::testing::{genesis, name};

fn slice(index: u32) -> Slice {
    let genesis = genesis(&["alice", "bob"]);
    let body = SliceBody {
        version: SliceBody::VERSION,
        chain: genesis.chain_id(),
        epoch: Epoch(0),
        slot: Slot(1),
        index,
        last: false,
        parent: genesis.genesis_slice().id,
        producer: name("prod-a"),
        transactions_root: transactions_root([]),
        results: ResultsCommitment { scheme: 0, hash: Hash([4; 32]) },
        source: Certificate::genesis(genesis.genesis_slice()),
        beacon: Beacon::None,
        next: NextSchedule::None,
    };
    Slice { body, signature: Signature([5; 64]) }
}

fn proof() -> Vec<Part> {
    let state = StateProof { receipts: Hash([6; 32]), state: Hash([7; 32]) };
    vec![
        Part::Start,
        Part::Header(Box::new(slice(0))),
        Part::Base { epoch: Epoch(3), run: 2 },
        Part::Header(Box::new(slice(1))),
        Part::Header(Box::new(slice(2))),
        Part::Root(Root { slice: slice(2).reference(), state }),
        Part::Certificate(Box::new(slice(2).body.source)),
    ]
}

/// As many records, some of them larger than a chunk is filled.
fn state(count: u32) -> Entries {
    let value = |number: u32| vec![number as u8; if number % 7 == 3 { SNAPSHOT_CHUNK_FILL_LEN + 1 } else { 5 }];
    (0..count).map(|number| (number.to_be_bytes().to_vec(), value(number))).collect()
}

fn written(parts: &[Part], state: &Entries) -> Vec<u8> {
    let mut writer = SnapshotWriter::new(Vec::new(), &genesis(&["alice", "bob"])).unwrap();
    for part in parts {
        writer.part(part).unwrap();
    }
    for (key, value) in state {
        writer.entry(key, value).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<(Genesis, Vec<Part>, Entries), FileError> {
    let (mut reader, genesis) = SnapshotReader::new(bytes)?;
    let (mut parts, mut state) = (Vec::new(), Vec::new());
    while let Some(part) = reader.next_part()? {
        match part {
            Part::Chunk(mut entries) => state.append(&mut entries),
            part => parts.push(part),
        }
    }
    assert_eq!(reader.count(), state.len() as u64);
    Ok((genesis, parts, state))
}

fn refusal(parts: &[Part]) -> String {
    read(&written(parts, &Vec::new())).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read() {
    let cut = [&proof()[..5], &[Part::Cut(slice(2).reference())]].concat();
    assert_eq!(read(&written(&cut, &Vec::new())).unwrap().1, cut);
    for count in [0, 1, 50] {
        let (parts, state) = (proof(), state(count));
        assert_eq!(read(&written(&parts, &state)).unwrap(), (genesis(&["alice", "bob"]), parts, state));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let good = written(&proof(), &vec![(vec![1], vec![2]), (vec![3], Vec::new())]);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(read(&bad).is_err(), "byte {at}");
        assert!(read(&good[..at]).is_err(), "cut at {at}");
    }
    assert!(read(&[&good[..], b"x"].concat()).unwrap_err().to_string().contains("bytes follow the last record"));
    assert!(matches!(read(b"HPB-ARC\n\x01\0\0\0"), Err(FileError::Magic { .. })));
    let mut newer = good;
    newer[8] += 1;
    assert!(read(&newer).unwrap_err().to_string().contains("it has format 2, this program knows formats up to 1"));
}

#[test]
fn good_checksums_do_not_make_good_contents() {
    let chunk = |keys: &[u8]| Part::Chunk(keys.iter().map(|key| (vec![*key], Vec::new())).collect());
    let with = |last: &[Part]| [&proof()[..], last].concat();
    assert!(refusal(&with(&[chunk(&[2, 1])])).contains("not in the order of their keys"));
    assert!(refusal(&with(&[chunk(&[1, 2]), chunk(&[2])])).contains("not in the order of their keys"));
    assert!(refusal(&with(&[chunk(&[1]), Part::Start])).contains("among the records of the state"));
    assert!(refusal(&with(&[chunk(&[])])).contains("it holds no records"));
    assert!(refusal(&with(&[proof()[5].clone()])).contains("a second root"));
    assert!(refusal(&[chunk(&[1])]).contains("no root stands before it"));
    assert!(refusal(&[Part::Start]).contains("no root stands before it"));
    for run in [0, 1, SNAPSHOT_RUN_MAX + 1] {
        assert!(refusal(&with(&[Part::Base { epoch: Epoch(1), run }])).contains("no place where a walk begins"));
    }
    let mut sealed = SealedWriter::headed(Vec::new(), &FORM).unwrap();
    sealed.record(START, b"").unwrap();
    assert!(read(&sealed.finish().unwrap()).unwrap_err().to_string().contains("it is no valid genesis"));
}

proptest! {
    /// Records whose checksums are right and whose bodies are anything: refused or read, and never a panic.
    #[test]
    fn foreign_bodies_never_panic(records in proptest::collection::vec(
        (0..10_u8, proptest::collection::vec(any::<u8>(), 0..120)), 0..8,
    )) {
        let mut sealed = SealedWriter::new(Vec::new(), &FORM, &genesis(&["alice", "bob"])).unwrap();
        for (kind, body) in &records {
            sealed.record(*kind, body).unwrap();
        }
        let _read = read(&sealed.finish().unwrap());
    }

    #[test]
    fn damaged_bytes_are_refused(at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let good = written(&proof(), &state(20));
        let mut bad = good.clone();
        let at = at.index(bad.len());
        prop_assume!(bad[at] != value);
        bad[at] = value;
        prop_assert!(read(&bad).is_err());
        prop_assert!(read(&good[..cut.index(good.len())]).is_err());
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
    }
}
