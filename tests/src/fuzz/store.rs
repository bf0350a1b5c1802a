//! Files that a ledger is read from: an exported chain, a snapshot, and LMDB's own.

use hpb_ledger::archive::{ARCHIVE_FORMAT, ArchiveReader, ArchiveWriter};
use hpb_ledger::lmdb::pages::check_bytes;
use hpb_ledger::snapshot::{SNAPSHOT_FORMAT, SnapshotReader, SnapshotWriter};

use super::input::Input;

/// Reads an exported chain: the input as it is, or as records under the checksums that they should have.
///
/// # Panics
/// If a chain that is read whole has two files, or is read from beyond its end.
pub fn archive(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    if mode % 2 == 0 { read(rest) } else { read(&sealed(b"HPB-ARC\n", ARCHIVE_FORMAT, &mut Input::new(rest))) }
}

/// Reads a snapshot: the input as it is, or as records under the checksums that they should have.
///
/// # Panics
/// If a state that is read whole has two files, or is read from beyond its end.
pub fn snapshot(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    if mode % 2 == 0 {
        read_snapshot(rest);
    } else {
        read_snapshot(&sealed(b"HPB-SNP\n", SNAPSHOT_FORMAT, &mut Input::new(rest)));
    }
}

fn read_snapshot(file: &[u8]) {
    let Ok((mut reader, genesis)) = SnapshotReader::new(file) else { return };
    assert!(genesis.validate().is_ok());
    let mut writer = SnapshotWriter::new(Vec::new(), &genesis).unwrap();
    loop {
        assert!(reader.at() <= file.len() as u64);
        match reader.next_part() {
            Ok(Some(part)) => writer.part(&part).unwrap(),
            Ok(None) => break,
            Err(_) => return,
        }
    }
    assert!(writer.finish().unwrap() == file, "one file of these parts");
}

fn read(file: &[u8]) {
    let Ok((mut reader, genesis)) = ArchiveReader::new(file) else { return };
    assert!(genesis.validate().is_ok());
    let mut writer = ArchiveWriter::new(Vec::new(), &genesis).unwrap();
    loop {
        assert!(reader.at() <= file.len() as u64);
        match reader.next_slice() {
            Ok(Some(bundle)) => writer.slice(&bundle.slice, &bundle.transactions).unwrap(),
            Ok(None) => break,
            Err(_) => return,
        }
    }
    assert!(writer.finish().unwrap() == file, "one file a chain");
}

/// A file as the input says: its format, then each record's kind and body.
fn sealed(magic: &[u8], format: u32, input: &mut Input<'_>) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    let mut file = magic.to_vec();
    file.extend((format ^ u32::from(input.byte().unwrap_or(0))).to_le_bytes());
    hasher.update(&file);
    while let (Some(kind), Some(body)) = (input.byte(), input.bytes()) {
        let record = [&(body.len() as u32).to_le_bytes()[..], &[kind], body].concat();
        hasher.update(&record);
        file.extend(record);
        let sum = hasher.finalize();
        let sum = &sum.as_bytes()[..8];
        file.extend_from_slice(sum);
        hasher.update(sum);
    }
    file
}

/// Looks through a file as if it were LMDB's.
///
/// # Panics
/// If what lies behind the last page of a file that is whole is looked at.
pub fn pages(bytes: &[u8]) {
    if check_bytes(bytes).is_err() {
        return;
    }
    // A file that is cut off within its first two pages has room for a second beginning.
    let page_len = bytes.get(40..).and_then(|rest| rest.first_chunk()).map_or(0, |len| u32::from_le_bytes(*len));
    if bytes.len() as u64 >= 2 * u64::from(page_len) {
        let behind = [bytes, &bytes[..bytes.len().min(1 << 10)]].concat();
        assert!(check_bytes(&behind).is_ok(), "pages behind the last one do not matter");
    }
}
