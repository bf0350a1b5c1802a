#![allow(clippy::unwrap_used)]

use hpb_types::{
    Beacon, Certificate, Epoch, Hash, NextSchedule, ResultsCommitment, Signature, SliceBody, Slot, transactions_root,
};

use super::*;
use crate::testing::{genesis, name, transfer};

fn slice() -> Slice {
    let genesis = genesis(&["alice", "bob"]);
    let body = SliceBody {
        version: SliceBody::VERSION,
        chain: genesis.chain_id(),
        epoch: Epoch(0),
        slot: Slot(1),
        index: 0,
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

fn written() -> (Genesis, Vec<u8>) {
    let genesis = genesis(&["alice", "bob"]);
    let mut writer = ArchiveWriter::new(Vec::new(), &genesis).unwrap();
    let payment = transfer(&genesis, "alice", "bob", 5, 1);
    writer.slice(&slice(), &[payment.transaction().clone()]).unwrap();
    writer.slice(&slice(), &[]).unwrap();
    (genesis, writer.finish().unwrap())
}

/// Reads all of it; how many slices there are.
fn read(bytes: &[u8]) -> Result<usize, FileError> {
    let (mut reader, _) = ArchiveReader::new(bytes)?;
    let mut count = 0;
    while reader.next_slice()?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn what_is_written_is_read() {
    let (genesis, bytes) = written();
    let (mut reader, found) = ArchiveReader::new(&bytes[..]).unwrap();
    assert_eq!(found, genesis);
    assert_eq!(reader.next_slice().unwrap().unwrap().transactions.len(), 1);
    assert_eq!(reader.next_slice().unwrap().unwrap().slice, slice());
    assert!(reader.next_slice().unwrap().is_none());
}

#[test]
fn every_change_is_found() {
    let (_, bytes) = written();
    assert_eq!(read(&bytes).unwrap(), 2);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        read(&bad).unwrap_err();
        read(&bytes[..at]).unwrap_err();
    }
    let said = read(&[&bytes[..], &[0]].concat()).unwrap_err().to_string();
    assert!(said.contains("bytes follow the last record"), "{said}");
    let mut newer = bytes.clone();
    newer[8] += 1;
    let said = read(&newer).unwrap_err().to_string();
    assert!(said.contains("it has format 2, this program knows formats up to 1"), "{said}");
    let mut older = bytes.clone();
    older[8] = 0;
    let said = read(&older).unwrap_err().to_string();
    assert!(said.contains("a format that there never was"), "{said}");
    assert!(matches!(read(b"PK\x03\x04 and so on"), Err(FileError::Magic { .. })));
}
