//! Seeds of files that a ledger is read from.

use hpb_ledger::archive::ArchiveWriter;
use hpb_ledger::commitment::StateProof;
use hpb_ledger::snapshot::{Part, Root, SnapshotWriter};
use hpb_types::{Canonical as _, Epoch, Hash};

use super::chain::{bundle, genesis};
use super::{Seeds, named};

/// An exported chain as it is, and its records without their checksums.
pub(super) fn archive() -> Seeds {
    let (genesis, bundle) = (genesis(), bundle());
    let written = |count: usize| {
        let mut writer = ArchiveWriter::new(vec![0], &genesis).unwrap();
        for _ in 0..count {
            writer.slice(&bundle.slice, &bundle.transactions).unwrap();
        }
        writer.finish().unwrap()
    };
    let record = |kind: u8, body: &[u8]| [&[kind][..], &(body.len() as u16).to_le_bytes(), body].concat();
    let (first, slice) = (record(1, &genesis.to_bytes()), record(2, &bundle.to_bytes()));
    let end = |count: u64| record(3, &count.to_le_bytes());
    let records = |format: u8, parts: &[&[u8]]| [&[1, format][..], &parts.concat()].concat();
    named([
        ("empty", written(0)),
        ("whole", written(2)),
        ("records", records(0, &[&first, &slice, &end(1)])),
        ("no-slice", records(0, &[&first, &end(0)])),
        ("miscounted", records(0, &[&first, &slice, &end(2)])),
        ("behind-the-end", records(0, &[&first, &end(0), &slice])),
        ("no-format", records(1, &[&first, &end(0)])),
        ("newer-format", records(3, &[&first, &end(0)])),
    ])
}

/// A snapshot as it is, a log's root, and records without their checksums.
pub(super) fn snapshot() -> Seeds {
    let (genesis, slice) = (genesis(), bundle().slice);
    let at = slice.reference();
    let root = Root { slice: at, state: StateProof { receipts: Hash([1; 32]), state: Hash([2; 32]) } };
    let walks = [
        Part::Start,
        Part::Header(Box::new(slice.clone())),
        Part::Base { epoch: Epoch(1), run: 2 },
        Part::Header(Box::new(slice)),
    ];
    let written = |parts: &[Part]| {
        let mut writer = SnapshotWriter::new(vec![0], &genesis).unwrap();
        walks.iter().chain(parts).for_each(|part| writer.part(part).unwrap());
        writer.finish().unwrap()
    };
    let entries = |keys: &[&str]| Part::Chunk(keys.iter().map(|key| (key.as_bytes().to_vec(), vec![7; 20])).collect());
    let record = |kind: u8, body: &[u8]| [&[kind][..], &(body.len() as u16).to_le_bytes(), body].concat();
    let (first, state) = (record(1, &genesis.to_bytes()), record(6, &root.to_bytes()));
    let end = |count: u64| record(8, &count.to_le_bytes());
    let records = |format: u8, parts: &[&[u8]]| [&[1, format][..], &parts.concat()].concat();
    named([
        ("whole", written(&[Part::Root(root), entries(&["a", "b"]), entries(&["c"])])),
        ("cut", written(&[Part::Cut(at)])),
        ("out-of-order", written(&[Part::Root(root), entries(&["b", "a"])])),
        ("two-roots", written(&[Part::Root(root), Part::Cut(at)])),
        ("records", records(0, &[&first, &record(2, &[]), &state, &record(7, &[0; 4]), &end(0)])),
        ("miscounted", records(0, &[&first, &state, &end(2)])),
        ("no-format", records(1, &[&first, &end(0)])),
        ("newer-format", records(3, &[&first, &end(0)])),
    ])
}

/// The smallest pages that LMDB's layout has, in bytes: a whole file is a few of them.
const PAGE_LEN: usize = 256;
const HEADER_LEN: usize = 16;
const NO_PAGE: u64 = u64::MAX;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
const META: u16 = 8;
/// A value that lies in pages of its own.
const BIG: u16 = 1;
/// A value that is a tree's description.
const TREE: u16 = 2;

/// LMDB's files by hand: an empty one, and one with a tree of two levels, a value of two pages and a free page.
pub(super) fn pages() -> Seeds {
    let none = tree(0, NO_PAGE);
    let empty = [meta(0, &none, &none, 1, 0), meta(1, &none, &none, 1, 0)].concat();
    let (free, main) = (tree(1, 8), tree(1, 2));
    let whole = [
        meta(0, &none, &none, 1, 6),
        meta(1, &free, &main, 9, 7),
        page(2, LEAF, &[leaf(TREE, b"state", &tree(4, 3))]),
        page(3, BRANCH, &[branch(4, b""), branch(5, b"m")]),
        page(4, LEAF, &[leaf(0, b"a", b"one"), leaf(0, b"b", b"")]),
        page(5, LEAF, &[leaf(0, b"m", b"two"), long(b"n", 300, 6)]),
        overflow(6, 2),
        page(8, LEAF, &[leaf(0, &7_u64.to_le_bytes(), &[1_u64.to_le_bytes(), 9_u64.to_le_bytes()].concat())]),
        vec![0xee; PAGE_LEN],
    ]
    .concat();
    let cut = whole[..whole.len() - PAGE_LEN].to_vec();
    assert!(
        hpb_ledger::lmdb::pages::check_bytes(&whole).is_ok() && hpb_ledger::lmdb::pages::check_bytes(&empty).is_ok()
    );
    named([("empty", empty), ("whole", whole), ("cut", cut)])
}

fn header(number: u64, flags: u16) -> Vec<u8> {
    [&number.to_le_bytes()[..], &[0; 2], &flags.to_le_bytes(), &[0; 4]].concat()
}

/// A tree's description: its entries and its root.
fn tree(entries: u64, root: u64) -> Vec<u8> {
    [&[0; 32][..], &entries.to_le_bytes(), &root.to_le_bytes()].concat()
}

fn meta(number: u64, free: &[u8], main: &[u8], last_page: u64, commit: u64) -> Vec<u8> {
    let mut bytes = header(number, META);
    bytes.extend(0xBEEF_C0DE_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([0; 16]);
    // The page's length stands in the first field of the free pages' tree.
    bytes.extend((PAGE_LEN as u32).to_le_bytes());
    bytes.extend(&free[4..]);
    bytes.extend(main);
    bytes.extend(last_page.to_le_bytes());
    bytes.extend(commit.to_le_bytes());
    bytes.resize(PAGE_LEN, 0);
    bytes
}

fn node(low: u32, flags: u16, key: &[u8], value: &[u8]) -> Vec<u8> {
    [&low.to_le_bytes()[..], &flags.to_le_bytes(), &(key.len() as u16).to_le_bytes(), key, value].concat()
}

fn branch(page: u32, key: &[u8]) -> Vec<u8> {
    node(page, 0, key, &[])
}

fn leaf(flags: u16, key: &[u8], value: &[u8]) -> Vec<u8> {
    node(value.len() as u32, flags, key, value)
}

/// A leaf whose value of that length begins on a page of its own.
fn long(key: &[u8], length: u32, page: u64) -> Vec<u8> {
    node(length, BIG, key, &page.to_le_bytes())
}

/// A page of nodes, filled from its end.
fn page(number: u64, flags: u16, nodes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header(number, flags);
    bytes.resize(PAGE_LEN, 0);
    let mut upper = PAGE_LEN;
    for (index, node) in nodes.iter().enumerate() {
        upper -= node.len();
        bytes[upper..upper + node.len()].copy_from_slice(node);
        let place = HEADER_LEN + 2 * index;
        bytes[place..place + 2].copy_from_slice(&(upper as u16).to_le_bytes());
    }
    let lower = (HEADER_LEN + 2 * nodes.len()) as u16;
    bytes[12..14].copy_from_slice(&lower.to_le_bytes());
    bytes[14..16].copy_from_slice(&(upper as u16).to_le_bytes());
    bytes
}

fn overflow(number: u64, count: u32) -> Vec<u8> {
    let mut bytes = header(number, OVERFLOW);
    bytes[12..16].copy_from_slice(&count.to_le_bytes());
    bytes.resize(PAGE_LEN * count as usize, 0x55);
    bytes
}
