//! Keys, records and pages, against a plain list of what happened.
#![allow(clippy::unwrap_used)]

use hpb_base::limits::HISTORY_PAGE_MAX;
use hpb_types::{Amount, Canonical as _, Genesis, RejectReason};
use proptest::prelude::*;

use super::key::{SPAN, Shelf};
use super::page::{by_id, first_parting, page, slots};
use super::*;
use crate::store::{FinalBatch, MemoryStore, Store};
use crate::testing::{by, genesis, name, slice, unsigned, unsigned_transfer};
use crate::token::{Transferred, transfer_action};

/// Names that begin alike, and one within another.
const PEOPLE: [&str; 4] = ["ann", "ann-b", "anna", "bob"];

fn kind(text: &str) -> Kind {
    text.parse().unwrap()
}

fn transferred(from: &str, to: &str) -> Event {
    let data = Transferred { from: name(from), to: name(to), amount: Amount(5) }.to_bytes();
    Event { contract: name("token"), name: "transfer".parse().unwrap(), data }
}

/// A slice at that height after `parent`, of transfers that took effect where `applied`.
fn results(genesis: &Genesis, parent: SliceRef, height: Height, transfers: &[(usize, usize, bool)]) -> SliceResults {
    let salt = |number: usize| height.slot.0 << 32 | u64::from(height.index) << 16 | number as u64;
    let transaction = |(number, (from, to, _)): (usize, &(usize, usize, bool))| {
        unsigned_transfer(genesis, PEOPLE[*from], PEOPLE[*to], 5, salt(number))
    };
    let transactions: Vec<Checked> = transfers.iter().enumerate().map(transaction).collect();
    let receipts = transactions.iter().zip(transfers).map(|(checked, (from, to, applied))| Receipt {
        transaction: checked.id(),
        outcome: if *applied { Outcome::Applied } else { Outcome::Failed(RejectReason::Overdrawn) },
        fee: Amount(7_000),
        units: 12,
        events: if *applied { vec![transferred(PEOPLE[*from], PEOPLE[*to])] } else { Vec::new() },
    });
    let header = SliceHeader {
        reference: slice(height.slot.0, height.index, 0),
        parent: parent.id,
        producer: name("prod-a"),
        proof: Proof { source: Height::new(0, 0), target: parent.height, signatures: 3 },
    };
    SliceResults { header, receipts: receipts.collect(), transactions }
}

/// A store with the index of a chain, and all that happened on it, in order.
struct Chain {
    genesis: Genesis,
    store: MemoryStore,
    tip: SliceRef,
    all: Vec<(Place, ResultRecord, Vec<AccountName>)>,
}

impl Chain {
    fn new() -> Self {
        let genesis = genesis(&PEOPLE);
        let (tip, mut store) = (genesis.genesis_slice(), MemoryStore::new());
        store.begin_history(tip).unwrap();
        Self { genesis, store, tip, all: Vec::new() }
    }

    /// Goes on by a slice, in the next slot where `opens`.
    fn extend(&mut self, opens: bool, transfers: &[(usize, usize, bool)]) {
        let Height { slot, index } = self.tip.height;
        let height = if opens || slot.0 == 0 { Height::new(slot.0 + 2, 0) } else { Height::new(slot.0, index + 1) };
        let slice = results(&self.genesis, self.tip, height, transfers);
        self.tip = slice.header.reference;
        self.all.extend(slice.each().map(|happened| (happened.place, happened.record(), happened.accounts())));
        self.store.append_history(&[slice]).unwrap();
    }

    /// What a query comes to without an index.
    fn scanned(&self, query: &Query) -> Vec<Place> {
        let is_one = |(place, record, accounts): &&(Place, ResultRecord, Vec<AccountName>)| {
            query.reaches(*place)
                && query.account.is_none_or(|account| accounts.contains(&account))
                && query.kind.is_none_or(|kind| record.is_of(&kind))
        };
        let mut places: Vec<Place> = self.all.iter().filter(is_one).map(|(place, ..)| *place).collect();
        if query.order == Order::NewestFirst {
            places.reverse();
        }
        places
    }
}

fn places(page: &Page) -> Vec<Place> {
    page.rows.iter().map(|(place, _)| *place).collect()
}

/// A slice: whether it opens a slot, and who pays whom, and whether that takes effect.
type Drawn = (bool, Vec<(usize, usize, bool)>);

fn transfers() -> impl Strategy<Value = Vec<Drawn>> {
    let some = proptest::collection::vec((0..4_usize, 0..4_usize, any::<bool>()), 0..5);
    proptest::collection::vec((any::<bool>(), some), 1..12)
}

fn queries() -> impl Strategy<Value = Query> {
    let account = proptest::option::of((0..4_usize).prop_map(|index| name(PEOPLE[index])));
    let kind = proptest::option::of(prop_oneof![Just(kind("token/transfer")), Just(kind("token/release"))]);
    let order = prop_oneof![Just(Order::OldestFirst), Just(Order::NewestFirst)];
    let until = proptest::option::of(0..30_u64);
    (account, kind, 0..12_u64, until, order, 1..4_usize).prop_map(|(account, kind, from, until, order, limit)| Query {
        account,
        kind,
        from,
        until,
        order,
        after: None,
        limit,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn pages_repeat_nothing_and_leave_nothing_out_while_the_chain_goes_on(
        before in transfers(),
        between in transfers(),
        query in queries(),
    ) {
        let mut chain = Chain::new();
        for (opens, transfers) in &before {
            chain.extend(*opens, transfers);
        }
        let known = chain.scanned(&query);
        let mut more = between.iter();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = page(&chain.store, &Query { after, ..query }).unwrap();
            prop_assert!(page.rows.len() <= query.limit);
            for (place, record) in &page.rows {
                let (_, expected, _) = chain.all.iter().find(|(other, ..)| other == place).unwrap();
                prop_assert_eq!(record, expected);
            }
            seen.extend(places(&page));
            if page.next.is_none() {
                break;
            }
            prop_assert!(after != page.next);
            after = page.next;
            if let Some((opens, transfers)) = more.next() {
                chain.extend(*opens, transfers);
            }
        }
        match query.order {
            // Going back, what came since lies behind.
            Order::NewestFirst => prop_assert_eq!(seen, known),
            Order::OldestFirst => prop_assert_eq!(seen, chain.scanned(&query)),
        }
    }

    #[test]
    fn whoever_goes_on_from_the_end_sees_what_comes(before in transfers(), later in transfers(), query in queries()) {
        let mut chain = Chain::new();
        for (opens, transfers) in &before {
            chain.extend(*opens, transfers);
        }
        let query = Query { order: Order::OldestFirst, limit: HISTORY_PAGE_MAX, ..query };
        let mut seen = places(&page(&chain.store, &query).unwrap());
        for (opens, transfers) in &later {
            chain.extend(*opens, transfers);
            let after = seen.last().copied();
            seen.extend(places(&page(&chain.store, &Query { after, ..query }).unwrap()));
        }
        prop_assert_eq!(seen, chain.scanned(&query));
    }

    #[test]
    fn blocks_come_page_by_page(slices in transfers(), from in 0..12_u64, until in proptest::option::of(0..30_u64), limit in 1..4_usize) {
        let mut chain = Chain::new();
        let mut expected: Vec<(u64, usize)> = Vec::new();
        for (opens, transfers) in &slices {
            chain.extend(*opens, transfers);
            let slot = chain.tip.height.slot.0;
            match expected.last_mut().filter(|(last, _)| *last == slot) {
                Some((_, count)) => *count += 1,
                None => expected.push((slot, 1)),
            }
        }
        expected.retain(|(slot, _)| *slot >= from && until.is_none_or(|until| *slot < until));
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = slots(&chain.store, from, until, after, limit).unwrap();
            prop_assert!(page.slots.len() <= limit);
            seen.extend(page.slots.iter().map(|slot| (slot.slot, slot.slices.len())));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn keys_order_as_places_do(one: (u64, u32, u32), other: (u64, u32, u32)) {
        let place = |(slot, slice, number)| Place { slot, slice, number };
        let (one, other) = (place(one), place(other));
        let shelf = Shelf::of_account(&name("ann"));
        prop_assert_eq!(shelf.at(one).to_vec().cmp(&shelf.at(other).to_vec()), one.cmp(&other));
        prop_assert_eq!(shelf.place(&shelf.at(one)), Some(one));
        prop_assert_eq!(one.to_string().parse(), Ok(one));
        let heights = [one, other].map(|place| Height::new(place.slot, place.slice));
        prop_assert_eq!(key::of_slice(heights[0]).to_vec().cmp(&key::of_slice(heights[1]).to_vec()), heights[0].cmp(&heights[1]));
        prop_assert_eq!(key::slice_of(&key::of_slice(heights[0])), Some(heights[0]));
    }

    #[test]
    fn records_read_back_and_foreign_bytes_are_refused(
        fee: u128,
        units: u64,
        counts: [u32; 4],
        data in proptest::collection::vec(any::<u8>(), 0..300),
        foreign in proptest::collection::vec(any::<u8>(), 0..120),
        cut in 0..400_usize,
    ) {
        let event = Event { contract: name("token"), name: "memo".parse().unwrap(), data };
        let record = ResultRecord {
            id: Hash([3; 32]),
            payer: (units % 2 == 0).then(|| name("anna")),
            actions: vec![kind("token/transfer"); (units % 3) as usize],
            outcome: if fee % 2 == 0 { Outcome::Applied } else { Outcome::Failed(RejectReason::Overdrawn) },
            fee: Amount(fee),
            units,
            events: vec![event; (fee % 3) as usize],
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        prop_assert_eq!(ResultRecord::decode(&bytes), Some(record));
        prop_assert_eq!(ResultRecord::decode(&bytes[..cut.min(bytes.len() - 1)]), None);
        let [signatures, transactions, due, applied] = counts;
        let proof = Proof { source: Height::new(units, due), target: Height::new(units, applied), signatures };
        let (id, producer) = (Hash([4; 32]), name("prod-a"));
        let slice = SliceRecord { id, producer, proof, transactions, due, applied, units, fees: fee, bytes: units };
        let mut bytes = Vec::new();
        slice.encode(&mut bytes);
        prop_assert_eq!(SliceRecord::decode(&bytes), Some(slice));
        prop_assert_eq!(SliceRecord::decode(&bytes[..cut.min(bytes.len() - 1)]), None);
        let _ = (ResultRecord::decode(&foreign), SliceRecord::decode(&foreign), rows::read_span(&foreign));
    }
}

#[test]
fn a_transaction_is_found_under_all_who_have_to_do_with_it() {
    let genesis = genesis(&PEOPLE);
    let mut body =
        crate::testing::body(&genesis, "ann", vec![transfer_action(name("anna"), name("bob"), Amount(1))], 1);
    body.authorisations.push(by("anna", "pays".parse().unwrap()));
    let checked = unsigned(body);
    let place = Place { slot: 7, slice: 1, number: 0 };
    let mut noisy = transferred("anna", "bob");
    // Four bytes before a name, and a length that reaches beyond the end.
    noisy.data.splice(0..0, [1, 2, 3, 4, 255]);
    noisy.data.extend([200, 0, 0, 0]);
    let receipt = Receipt {
        transaction: checked.id(),
        outcome: Outcome::Applied,
        fee: Amount(1),
        units: 1,
        events: vec![noisy, transferred("bob", "ann-b")],
    };
    let happened = Happened { place, receipt: &receipt, transaction: Some(&checked) };
    assert_eq!(happened.accounts(), ["ann", "anna", "bob", "ann-b"].map(name));
    assert_eq!(happened.kinds(), [kind("token/transfer")]);
    let due = Happened { transaction: None, ..happened };
    assert_eq!(due.accounts(), ["anna", "bob", "ann-b"].map(name));
    assert_eq!((due.record().payer, due.record().actions.len()), (None, 0));
    assert!(due.record().is_of(&kind("token/transfer")), "what a proposal did is found by its events");

    let names = |count: usize| (0..count).map(|number| format!("name-{number}"));
    let data = names(2 * HISTORY_ACCOUNTS_MAX).flat_map(|text| name(&text).to_bytes()).collect();
    let words = (0..2 * HISTORY_KINDS_MAX)
        .map(|number| Event { name: format!("word-{number}").parse().unwrap(), ..transferred("ann", "bob") });
    let events = [Event { data, ..transferred("ann", "bob") }].into_iter().chain(words).collect();
    let crowded = Receipt { events, ..receipt.clone() };
    let crowded = Happened { receipt: &crowded, ..happened };
    assert_eq!((crowded.accounts().len(), crowded.kinds().len()), (HISTORY_ACCOUNTS_MAX, HISTORY_KINDS_MAX));
}

#[test]
fn proposals_that_were_due_stand_before_transactions() {
    let genesis = genesis(&PEOPLE);
    let mut slice = results(&genesis, genesis.genesis_slice(), Height::new(3, 0), &[(0, 1, true), (1, 3, false)]);
    let due =
        Receipt { transaction: Hash([9; 32]), events: vec![transferred("anna", "bob")], ..slice.receipts[0].clone() };
    slice.receipts.insert(0, due);
    let each: Vec<_> = slice.each().collect();
    let payers: Vec<_> = each.iter().map(|happened| happened.record().payer).collect();
    assert_eq!(payers, [None, Some(name("ann")), Some(name("ann-b"))]);
    assert_eq!(each[2].place.to_string(), "3.0.2");
    let record = slice.record();
    assert_eq!((record.transactions, record.due, record.applied), (2, 1, 2));
    assert_eq!((record.fees, record.units), (21_000, 36));

    let mut store = MemoryStore::new();
    store.begin_history(genesis.genesis_slice()).unwrap();
    store.append_history(std::slice::from_ref(&slice)).unwrap();
    let found = by_id(&store, &Hash([9; 32])).unwrap().unwrap();
    assert_eq!(found, (each[0].place, each[0].record()));
    assert_eq!(by_id(&store, &Hash([8; 32])).unwrap(), None);
    assert_eq!(first_parting(&store, &Rows::of(&slice)).unwrap(), None);
}

#[test]
fn an_id_that_comes_again_is_found_where_it_was_first() {
    let genesis = genesis(&PEOPLE);
    let mut chain = Chain::new();
    chain.extend(true, &[(0, 1, true)]);
    let first = chain.all[0].clone();
    let mut again = results(&genesis, chain.tip, Height::new(9, 0), &[(0, 1, true)]);
    again.receipts[0].transaction = first.1.id;
    chain.store.append_history(&[again]).unwrap();
    assert_eq!(by_id(&chain.store, &first.1.id).unwrap(), Some((first.0, first.1)));
}

#[test]
fn slices_that_do_not_follow_are_refused_and_leave_nothing() {
    let genesis = genesis(&PEOPLE);
    let first = genesis.genesis_slice();
    let one = results(&genesis, first, Height::new(1, 0), &[(0, 1, true)]);
    let tip = one.header.reference;
    let mut store = MemoryStore::new();
    let none = store.append_history(std::slice::from_ref(&one)).unwrap_err();
    assert!(matches!(none, StoreError::HistoryGap { found: None, .. }), "{none}");
    store.begin_history(first).unwrap();
    store.append_history(std::slice::from_ref(&one)).unwrap();
    assert_eq!(store.span().unwrap(), Some(Span { from: first, to: tip }));
    let rows = store.rows_count().unwrap();
    let next = results(&genesis, tip, Height::new(1, 1), &[(0, 1, true)]);
    let skipped = results(&genesis, next.header.reference, Height::new(1, 2), &[(0, 1, true)]);
    let not_above = results(&genesis, tip, Height::new(1, 0), &[(0, 1, true)]);
    for wrong in [vec![one], vec![skipped.clone()], vec![not_above], vec![next.clone(), next.clone()]] {
        let error = store.append_history(&wrong).unwrap_err();
        assert!(error.to_string().contains("hpb ledger index"), "{error}");
    }
    assert_eq!(store.rows_count().unwrap(), rows);
    store.append_history(&[next, skipped]).unwrap();
    assert_eq!(store.rows_count().unwrap(), 3 * rows - 2);
}

#[test]
fn a_span_that_is_newer_or_damaged_is_told_apart() {
    let from = slice(1, 0, 0);
    let good = begin(from);
    assert_eq!(rows::read_span(&good), Ok(Span { from, to: from }));
    let with_format = |format: u32| [&format.to_le_bytes()[..], &good[4..]].concat();
    let newer = rows::read_span(&with_format(HISTORY_FORMAT + 1));
    assert_eq!(newer, Err(HistoryError::Newer { found: HISTORY_FORMAT + 1, known: HISTORY_FORMAT }));
    let mut backwards = good.clone();
    backwards[4..12].copy_from_slice(&9_u64.to_le_bytes());
    for wrong in [&with_format(0), &good[..3], &good[..20], &[good.clone(), vec![0]].concat(), &backwards] {
        assert!(matches!(rows::read_span(wrong), Err(HistoryError::Damaged(_))), "{wrong:?}");
    }
}

#[test]
fn words_of_the_command_line_are_places_and_kinds() {
    assert_eq!("7.2.0".parse(), Ok(Place { slot: 7, slice: 2, number: 0 }));
    for wrong in ["", "7", "7.2", "7.2.0.1", "7.2.0.x", "7.-2.0", "7.+2.0", "7..0", "7.4294967296.0"] {
        assert_eq!(wrong.parse::<Place>(), Err(PlaceError), "{wrong}");
    }
    assert_eq!(kind("token/transfer").to_string(), "token/transfer");
    assert_eq!("token".parse::<Kind>(), Err(KindError::Form));
    assert!("token/".parse::<Kind>().unwrap_err().to_string().contains("`` is no name"));
}

/// The batch of these slices, which changes nothing else.
fn batch(commit: u64, history: Vec<SliceResults>) -> FinalBatch {
    let slice = history.last().unwrap().header.reference;
    let point = FinalPoint { slice, commit, receipts_root: None };
    FinalBatch { point, changes: [(vec![1], Some(vec![2]))].into(), history }
}

fn rows_of(store: &impl HistoryRead, from: &[u8], order: Order) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        core::ops::ControlFlow::Continue(())
    };
    store.visit_rows(from, order, &mut visit).unwrap();
    rows
}

/// What every store that keeps an index must do.
pub(crate) fn keeps_an_index<S: Store + HistoryStore>(store: &mut S) {
    let genesis = genesis(&PEOPLE);
    let first = genesis.genesis_slice();
    assert_eq!((store.span().unwrap(), store.keeps_history().unwrap()), (None, false));
    assert_eq!(rows_of(store, &SPAN, Order::OldestFirst), []);
    let one = results(&genesis, first, Height::new(1, 0), &[(0, 1, true), (1, 2, false)]);
    let two = results(&genesis, one.header.reference, Height::new(1, 1), &[(3, 0, true)]);
    let three = results(&genesis, two.header.reference, Height::new(4, 0), &[]);
    let refused = store.commit(&batch(1, vec![one.clone()])).unwrap_err();
    assert!(matches!(refused, StoreError::HistoryGap { found: None, .. }), "{refused}");
    assert_eq!(store.final_point().unwrap(), None, "neither the state nor the index has moved");

    store.begin_history(first).unwrap();
    assert!(store.keeps_history().unwrap());
    store.commit(&batch(1, vec![one.clone(), two.clone()])).unwrap();
    let mut expected: Vec<_> = [&one, &two]
        .into_iter()
        .flat_map(|slice| {
            let rows: Vec<_> = Rows::of(slice).iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            rows
        })
        .collect();
    expected.sort();
    let held = rows_of(store, &[1], Order::OldestFirst);
    assert_eq!(held, expected);
    assert_eq!(store.rows_count().unwrap(), expected.len() as u64 + 1);
    let mut back = rows_of(store, &[255], Order::NewestFirst);
    back.reverse();
    assert_eq!(back[1..], expected, "and the span before all");
    for (key, value) in &expected {
        assert_eq!(store.get_row(key).unwrap().as_ref(), Some(value));
        let between = [&key[..], &[0]].concat();
        assert_eq!(store.get_row(&between).unwrap(), None);
        for from in [key, &between] {
            let down = rows_of(store, from, Order::NewestFirst);
            assert_eq!(&down[0].0, key, "the last at or below");
        }
        let up = rows_of(store, &between, Order::OldestFirst);
        assert!(up.iter().all(|(other, _)| other > key));
    }

    let refused = store.commit(&batch(2, vec![three.clone(), one.clone()])).unwrap_err();
    assert!(matches!(refused, StoreError::NotForward { .. } | StoreError::HistoryGap { .. }), "{refused}");
    assert_eq!(rows_of(store, &[1], Order::OldestFirst), expected, "a refused batch leaves nothing");
    // A batch that tells nothing: the index stops, and is known to.
    let silent = FinalBatch { history: Vec::new(), ..batch(2, vec![three.clone()]) };
    store.commit(&silent).unwrap();
    assert!(!store.keeps_history().unwrap());
    assert_eq!(store.span().unwrap(), Some(Span { from: first, to: two.header.reference }));
    store.append_history(std::slice::from_ref(&three)).unwrap();
    assert!(store.keeps_history().unwrap(), "brought up again");
    store.begin_history(three.header.reference).unwrap();
    assert_eq!(store.rows_count().unwrap(), 1, "begun anew, nothing of before is left");
    assert_eq!(store.span().unwrap(), Some(Span { from: three.header.reference, to: three.header.reference }));
}

#[test]
fn the_memory_store_keeps_an_index() {
    keeps_an_index(&mut MemoryStore::new());
}

#[test]
fn a_ledger_tells_its_store_what_became_final_and_counts_what_that_takes() {
    let genesis = genesis(&PEOPLE);
    let mut store = MemoryStore::new();
    store.begin_history(genesis.genesis_slice()).unwrap();
    let mut ledger = crate::Ledger::open(&genesis, store).unwrap();
    ledger.commit_here().unwrap();
    let (mut parent, before) = (ledger.final_slice(), ledger.held_bytes());
    let mut told = Vec::new();
    for index in 0..3 {
        let transactions = vec![crate::testing::transfer(&genesis, "ann", "bob", 1, index.into())];
        let context = crate::testing::context(&genesis, 1, index);
        let executed = ledger.execute(&parent.id, &context, &transactions).unwrap();
        let header = SliceHeader {
            reference: slice(1, index, 0),
            parent: parent.id,
            ..results(&genesis, parent, Height::new(1, index), &[]).header
        };
        ledger.insert(header.reference, parent.id, executed).unwrap();
        let mut finalised = ledger.finalise(&header.reference.id).unwrap();
        let receipts = finalised.slices.remove(0).receipts;
        told.push(SliceResults { header, transactions, receipts });
        let held = ledger.held_bytes();
        ledger.remember(told[told.len() - 1].clone());
        assert_eq!(ledger.held_bytes() - held, told[told.len() - 1].bytes_len());
        parent = header.reference;
    }
    let batch = ledger.hand_over().unwrap();
    assert_eq!(batch.history, told);
    ledger.committed(batch.point.commit);
    assert_eq!(ledger.held_bytes(), before);

    let mut silent = crate::Ledger::open(&genesis, MemoryStore::new()).unwrap();
    silent.remember(told.remove(0));
    assert_eq!(silent.hand_over().unwrap().history, [], "one whose store keeps no index tells nothing");
}

/// What FORMAT.md says that a transfer takes.
#[test]
fn a_transfer_takes_as_many_bytes_as_is_written_down() {
    let taken = |names: [&str; 2]| {
        let genesis = genesis(&names);
        let checked = unsigned_transfer(&genesis, names[0], names[1], 5, 1);
        let receipt = Receipt {
            transaction: checked.id(),
            outcome: Outcome::Applied,
            fee: Amount(1_000_000_000_000),
            units: 400,
            events: vec![transferred(names[0], names[1])],
        };
        let header = results(&genesis, genesis.genesis_slice(), Height::new(1, 0), &[]).header;
        let empty = SliceResults { header, transactions: Vec::new(), receipts: Vec::new() };
        let one = SliceResults { transactions: vec![checked], receipts: vec![receipt], ..empty.clone() };
        let mut record = Vec::new();
        one.each().next().unwrap().record().encode(&mut record);
        let taken = |slice: &SliceResults| Rows::of(slice).bytes_len() - slice_len(slice);
        (record.len(), taken(&one) - taken(&empty), Rows::of(&one).len() - 1)
    };
    assert_eq!(taken(["from-account", "to-account-1"]), (135, 293, 5));
    let addresses = [[1; 20], [2; 20]].map(AccountName::from_address);
    let (_, bytes, rows) = taken([addresses[0].as_str(), addresses[1].as_str()]);
    assert_eq!((bytes, rows), (393, 5));
    let header = results(&genesis(&PEOPLE), genesis(&PEOPLE).genesis_slice(), Height::new(1, 0), &[]).header;
    let empty = SliceResults { header, transactions: Vec::new(), receipts: Vec::new() };
    assert!((55..90).contains(&Rows::of(&empty).bytes_len()), "{}", Rows::of(&empty).bytes_len());
}

fn slice_len(slice: &SliceResults) -> usize {
    let mut bytes = Vec::new();
    slice.record().encode(&mut bytes);
    bytes.len()
}
