//! The index of history that a node keeps beside its state, against what executing its log again comes to.

use core::ops::ControlFlow;

use hpb_ledger::history::page::{by_id, page, slots};
use hpb_ledger::history::{HistoryRead as _, HistoryStore as _, Order, Place, Query, ResultRecord, SliceResults, Span};

use super::*;
use crate::core::audit::{AuditError, Audited, Disk, audit};
use crate::core::{Indexed, Kept, build_index, keep_index, walk_results};

/// The node that keeps an index.
const KEEPER: usize = 2;

fn rows(store: &SharedStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    store.visit_rows(&[0], Order::OldestFirst, &mut visit).unwrap();
    rows
}

/// A chain with transfers, whose node [`KEEPER`] was killed and started again and again; its log and its store, which goes
/// as far as the log does.
fn lived_through(rounds: u64) -> (Genesis, MemoryFolder, SharedStore) {
    let mut world = World::new(4);
    let (folder, mut disk) = world.kill(KEEPER);
    disk.begin_history(world.genesis.genesis_slice()).unwrap();
    world.start(KEEPER, folder, disk);
    world.mesh();
    for round in 0..rounds {
        for salt in 0..8 {
            let transaction = world.transfer(round * 100 + salt);
            world.submit(&transaction);
            world.run_for(Duration::from_millis(60));
        }
        world.run_for(Duration::from_millis(700 + 90 * round));
        let (folder, disk) = world.kill(KEEPER);
        world.run_for(Duration::from_millis(200));
        world.start(KEEPER, folder, disk);
        world.mesh();
        world.run_for(Duration::from_millis(600));
    }
    let (folder, disk) = world.kill(KEEPER);
    Recovered::read(&world.genesis, disk.clone(), &mut opened(&world.genesis, &folder), None).unwrap();
    (world.genesis, folder, disk)
}

fn opened(genesis: &Genesis, folder: &MemoryFolder) -> ChainLog {
    let options = LogOptions::new(genesis.chain_id());
    ChainLog::open(Box::new(folder.clone()), options, Box::new(|| Instant::ZERO)).unwrap().0
}

fn walked(genesis: &Genesis, log: &mut ChainLog) -> Vec<SliceResults> {
    let mut all = Vec::new();
    walk_results(genesis, log, &mut |results| {
        all.push(results.for_index());
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

fn audited(genesis: &Genesis, folder: &MemoryFolder, store: &SharedStore) -> Result<Audited, AuditError> {
    let options = LogOptions::new(genesis.chain_id());
    let (mut log, recovery) = ChainLog::open_to_read(Box::new(folder.clone()), options).unwrap();
    let disk = Disk { log: &mut log, recovery, store: Some(store), history: Some(store) };
    audit(genesis, &producer_name(KEEPER), disk, &mut |_, _| {})
}

#[test]
fn an_index_that_was_kept_through_kills_is_what_execution_comes_to() {
    let (genesis, folder, kept) = lived_through(5);
    let (genesis, mut log) = (&genesis, opened(&genesis, &folder));
    let made = SharedStore::default();
    Recovered::read(genesis, made.clone(), &mut log, None).unwrap();
    assert_eq!(made.span().unwrap(), None, "nobody begins an index who is not told to");
    let indexed = build_index(genesis, &mut log, &mut made.clone()).unwrap();
    let all = walked(genesis, &mut log);
    let transactions: usize = all.iter().map(|slice| slice.transactions.len()).sum();
    assert!(transactions >= 20, "{transactions}");
    assert_eq!((indexed.slices, indexed.transactions), (all.len() as u64, transactions as u64));
    let last = all[all.len() - 1].header.reference;
    assert_eq!(kept.span().unwrap(), Some(Span { from: genesis.genesis_slice(), to: last }));
    assert_eq!(rows(&kept), rows(&made));

    // What is asked of it is what one finds by looking at everything.
    for account in ["alice", "bobby", "validator-0", "nobody"].map(name) {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let each = all.iter().flat_map(SliceResults::each);
            let of_it = each.filter(|happened| happened.accounts().contains(&account));
            let mut expected: Vec<(Place, ResultRecord)> =
                of_it.map(|happened| (happened.place, happened.record())).collect();
            if order == Order::NewestFirst {
                expected.reverse();
            }
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let query = Query { account: Some(account), order, after, limit: 3, ..Query::default() };
                let page = page(&kept, &query).unwrap();
                found.extend(page.rows);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{account} {order:?}");
        }
    }
    for happened in all.iter().flat_map(SliceResults::each) {
        let found = by_id(&kept, &happened.receipt.transaction).unwrap();
        assert_eq!(found, Some((happened.place, happened.record())));
    }
    let blocks = slots(&kept, 0, None, None, 10_000).unwrap().slots;
    let slices: Vec<_> = blocks.iter().flat_map(|slot| slot.slices.iter().map(|(_, record)| *record)).collect();
    assert_eq!(slices, all.iter().map(SliceResults::record).collect::<Vec<_>>());
}

#[test]
fn an_index_that_was_off_for_a_while_stops_and_is_made_anew() {
    let (genesis, folder, kept) = lived_through(1);
    let (genesis, mut log) = (&genesis, opened(&genesis, &folder));
    let whole = rows(&kept);
    let all = walked(genesis, &mut log);
    let mut off = SharedStore::default();
    Recovered::read(genesis, off.clone(), &mut log, None).unwrap();
    off.begin_history(genesis.genesis_slice()).unwrap();
    off.append_history(&all[..all.len() / 2]).unwrap();
    assert!(!off.keeps_history().unwrap());
    let recovered = Recovered::read(genesis, off.clone(), &mut log, None).unwrap();
    assert!(!recovered.ledger().keeps_history(), "a hole is never made");
    let kept = keep_index(genesis, &mut log, &mut off).unwrap();
    assert!(matches!(kept, Kept::Made(Indexed { slices, .. }) if slices == all.len() as u64), "{kept:?}");
    assert!(off.keeps_history().unwrap());
    assert_eq!(rows(&off), whole);
    assert_eq!(keep_index(genesis, &mut log, &mut off).unwrap(), Kept::InStep);
    assert!(Recovered::read(genesis, off, &mut log, None).unwrap().ledger().keeps_history());
}

#[test]
fn an_audit_holds_the_index_against_what_execution_comes_to() {
    let (genesis, folder, kept) = lived_through(1);
    let (genesis, mut log) = (&genesis, opened(&genesis, &folder));
    let whole = audited(genesis, &folder, &kept).unwrap();
    assert_eq!(whole.history, kept.span().unwrap());
    let mut all = walked(genesis, &mut log);
    let with = |slices: &[SliceResults]| {
        let mut store = SharedStore::default();
        Recovered::read(genesis, store.clone(), &mut opened(genesis, &folder), None).unwrap();
        store.begin_history(genesis.genesis_slice()).unwrap();
        store.append_history(slices).unwrap();
        store
    };
    let half = with(&all[..all.len() / 2]);
    assert!(audited(genesis, &folder, &half).is_ok(), "one that has stopped is right as far as it goes");
    let at = all.iter().position(|slice| !slice.transactions.is_empty()).unwrap();
    all[at].receipts[0].fee.0 += 1;
    let fault = audited(genesis, &folder, &with(&all)).unwrap_err();
    let expected = all[at].header.reference;
    assert!(matches!(&fault, AuditError::Indexed { slice, .. } if *slice == expected), "{fault}");
    all[at].receipts[0].fee.0 -= 1;
    let (receipt, last) = (all[at].receipts[0].clone(), all.len() - 1);
    all[last].receipts.insert(0, receipt);
    let fault = audited(genesis, &folder, &with(&all)).unwrap_err();
    assert!(fault.to_string().contains("hpb ledger index"), "{fault}");
    all[last].receipts.remove(0);
    let mut beyond = all[last].clone();
    beyond.header.parent = beyond.header.reference.id;
    beyond.header.reference.height.slot.0 += 1;
    all.push(beyond);
    let fault = audited(genesis, &folder, &with(&all)).unwrap_err();
    assert!(matches!(fault, AuditError::IndexedRows { .. }), "rows of no slice: {fault}");
}

#[test]
fn where_the_log_lacks_its_beginning_an_index_begins_where_the_state_stands() {
    let (genesis, folder, kept) = lived_through(1);
    let mut log = opened(&genesis, &folder);
    let all = walked(&genesis, &mut log);
    let last = kept.span().unwrap().unwrap().to;
    // A log of short segments, of which the first are gone.
    let options = LogOptions { segment_len: 64 << 10, ..LogOptions::new(genesis.chain_id()) };
    let mark = Watermark::never_confirmed(producer_name(KEEPER), genesis.genesis_slice());
    let (mark, clock) = (WatermarkState::Known(mark), Box::new(|| Instant::ZERO));
    let mut pruned = ChainLog::create(Box::new(MemoryFolder::new()), options, [1; 32], mark, clock).unwrap();
    log.replay(None, &mut |entry| {
        let mut batch = hpb_ledger::chainlog::LogBatch::new();
        match entry.record {
            hpb_ledger::chainlog::Record::Slice { slice, transactions } => {
                batch.push_slice(&slice, &transactions).unwrap();
            }
            hpb_ledger::chainlog::Record::Final(reference) => {
                batch.push_final(&reference).unwrap();
            }
            _ => return,
        }
        pruned.append(&batch).unwrap();
    })
    .unwrap();
    assert!(pruned.prune(&last, hpb_ledger::chainlog::Keep::Segments(0)).unwrap() > 0);
    let mut off = SharedStore::default();
    Recovered::read(&genesis, off.clone(), &mut log, None).unwrap();
    assert!(matches!(build_index(&genesis, &mut pruned, &mut off.clone()), Err(RecoverError::Log(_))));
    assert_eq!(keep_index(&genesis, &mut pruned, &mut off).unwrap(), Kept::BeginsAfter(last));
    assert!(off.keeps_history().unwrap());
    // What was indexed before stays found though its block is gone.
    let first = all.iter().flat_map(SliceResults::each).next().unwrap();
    assert_eq!(by_id(&kept, &first.receipt.transaction).unwrap(), Some((first.place, first.record())));
    assert_eq!(by_id(&off, &first.receipt.transaction).unwrap(), None);
    assert_eq!(keep_index(&genesis, &mut pruned, &mut kept.clone()).unwrap(), Kept::InStep);
}
