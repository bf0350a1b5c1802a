#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use hpb_types::{Canonical, Height};

use hpb_types::slice::transactions_root;

use super::*;
use crate::account::OWNER;
use crate::account::{ACTIVE, Account};
use crate::commitment::results_commitment;
use crate::key::{ACCOUNT, BALANCE, INCLUDED};
use crate::ledger::Ledger;
use crate::parallel::Alone;
use crate::store::MemoryStore;
use crate::system::{CREATED, CreateArguments, create_action};
use crate::testing::{
    ENDOWMENT, FEE_PER_BYTE, SLOT_MS, body, by, context, genesis, key_of, name, signed, slice, transfer,
};
use crate::token::{TRANSFER, TRANSFER_UNITS_MAX, TransferArguments, Transferred, transfer_action};
use hpb_types::{Action, Event};

const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

/// A ledger whose head moves with every slice.
struct Chain {
    genesis: Genesis,
    ledger: Ledger<MemoryStore>,
    head: hpb_types::SliceRef,
}

impl Chain {
    fn new() -> Self {
        let genesis = genesis(&PEOPLE);
        let ledger = Ledger::open(&genesis, MemoryStore::new()).unwrap();
        Self { head: ledger.final_slice(), genesis, ledger }
    }

    fn execute(&self, slot: u64, index: u32, transactions: &[Checked]) -> Result<Executed, ExecuteError> {
        self.ledger.execute(&self.head.id, &context(&self.genesis, slot, index), transactions)
    }

    fn push(&mut self, slot: u64, index: u32, transactions: &[Checked]) -> Executed {
        let executed = self.execute(slot, index, transactions).unwrap();
        let reference = slice(slot, index, 0);
        self.ledger.insert(reference, self.head.id, executed.clone()).unwrap();
        self.head = reference;
        let supply = self.ledger.supply(&self.head.id).unwrap();
        assert!(supply.is_conserved(), "{supply:?}");
        let root = self.ledger.state_root(&self.head.id).unwrap();
        assert_eq!(root, self.ledger.summed_root(&self.head.id).unwrap(), "the sum is kept up");
        executed
    }

    fn balance(&self, account: &str) -> Option<Amount> {
        self.ledger.account(&self.head.id, name(account)).unwrap().map(|account| account.balance)
    }

    fn check(&self, transaction: &Checked) -> Result<(), RejectReason> {
        self.ledger.check(&self.head.id, Slot(1), transaction).unwrap()
    }
}

fn fee(transaction: &Checked) -> Amount {
    Amount(FEE_PER_BYTE * transaction.bytes_len() as u128)
}

fn minus(amount: Amount, parts: &[Amount]) -> Amount {
    Amount(parts.iter().fold(amount.0, |rest, part| rest - part.0))
}

#[test]
fn a_transfer_moves_the_amount_and_pays_the_fee() {
    let mut chain = Chain::new();
    let paid = transfer(&chain.genesis, "alice", "bob", 250, 1);
    let executed = chain.push(1, 0, std::slice::from_ref(&paid));
    assert_eq!(chain.balance("alice"), Some(minus(ENDOWMENT, &[Amount(250), fee(&paid)])));
    assert_eq!(chain.balance("bob"), Some(Amount(ENDOWMENT.0 + 250)));
    let data = Transferred { from: name("alice"), to: name("bob"), amount: Amount(250) }.to_bytes();
    let event = Event { contract: key::TOKEN, name: TRANSFER, data };
    let units = executed.receipts[0].units;
    assert!((500..TRANSFER_UNITS_MAX).contains(&units), "{units} units");
    let receipt =
        Receipt { transaction: paid.id(), outcome: Outcome::Applied, fee: fee(&paid), units, events: vec![event] };
    assert_eq!(executed.receipts, [receipt]);
    assert_eq!(executed.transactions_root, transactions_root([paid.id()]));
    let root = chain.ledger.state_root(&chain.head.id).unwrap();
    assert_eq!(executed.results, results_commitment(&executed.receipts, root));
}

#[test]
fn fees_go_to_the_slots_producer_before_the_next_blocks_first_slice() {
    let mut chain = Chain::new();
    let first = transfer(&chain.genesis, "alice", "bob", 1, 1);
    let second = transfer(&chain.genesis, "bob", "alice", 1, 2);
    let producer = context(&chain.genesis, 1, 0).producer;
    chain.push(1, 0, std::slice::from_ref(&first));
    chain.push(1, 1, std::slice::from_ref(&second));
    chain.push(1, 2, &[]);
    assert_eq!(chain.balance(producer.as_str()), Some(Amount::ZERO), "not within the slot");
    // Slot 2 is skipped: the next block is slot 3's, whose producer is the same one as slot 1's.
    chain.push(3, 0, &[]);
    let earned = Amount(fee(&first).0 + fee(&second).0);
    assert_eq!(chain.balance(producer.as_str()), Some(earned));
    chain.push(3, 1, &[]);
    chain.push(4, 0, &[]);
    assert_eq!(chain.balance(producer.as_str()), Some(earned), "and once");
}

#[test]
fn a_slice_without_work_changes_nothing() {
    let chain = Chain::new();
    let executed = chain.execute(1, 0, &[]).unwrap();
    assert!(executed.changes.is_empty() && executed.receipts.is_empty());
}

#[test]
fn nothing_and_transfers_to_oneself_are_valid() {
    let mut chain = Chain::new();
    let nothing = transfer(&chain.genesis, "alice", "bob", 0, 1);
    let to_self = transfer(&chain.genesis, "bob", "bob", 500, 2);
    let executed = chain.push(1, 0, &[nothing.clone(), to_self.clone()]);
    assert!(executed.receipts.iter().all(|receipt| receipt.outcome == Outcome::Applied));
    assert_eq!(chain.balance("alice"), Some(minus(ENDOWMENT, &[fee(&nothing)])));
    assert_eq!(chain.balance("bob"), Some(minus(ENDOWMENT, &[fee(&to_self)])));
    let too_much = transfer(&chain.genesis, "bob", "bob", ENDOWMENT.0, 3);
    assert_eq!(chain.check(&too_much), Err(RejectReason::Overdrawn));
}

#[test]
fn a_balance_can_be_spent_to_the_last_unit() {
    let mut chain = Chain::new();
    let probe = transfer(&chain.genesis, "alice", "bob", 0, 1);
    let all = minus(ENDOWMENT, &[fee(&probe)]);
    let last = transfer(&chain.genesis, "alice", "bob", all.0, 1);
    let executed = chain.push(1, 0, &[last]);
    assert_eq!(executed.receipts[0].outcome, Outcome::Applied);
    assert_eq!(chain.balance("alice"), Some(Amount::ZERO));
    assert_eq!(executed.changes.get(&key::of(name("alice"), BALANCE)), Some(&None), "an empty balance takes no room");
    let more = transfer(&chain.genesis, "alice", "bob", 0, 2);
    let unfit = ExecuteError::Unfit { index: 0, reason: RejectReason::Overdrawn };
    assert_eq!(chain.execute(1, 1, &[more]), Err(unfit), "the fee can't be paid");
}

#[test]
fn what_fails_is_undone_and_its_fee_stays_paid() {
    let mut chain = Chain::new();
    let genesis = chain.genesis.clone();
    let good = transfer_action(name("alice"), name("bob"), Amount(100));
    let failing: [(Action, RejectReason); 9] = [
        (transfer_action(name("alice"), name("bob"), ENDOWMENT), RejectReason::Overdrawn),
        (transfer_action(name("alice"), name("nobody"), Amount(1)), RejectReason::NoSuchAccount),
        (transfer_action(name("bob"), name("alice"), Amount(1)), RejectReason::Unauthorised),
        (Action { arguments: vec![1], ..good.clone() }, RejectReason::Malformed),
        (Action { action: "mint".parse().unwrap(), ..good.clone() }, RejectReason::NoSuchAction),
        (Action { contract: name("bob"), ..good.clone() }, RejectReason::NoSuchAction),
        (
            create_action(name("alice"), name("bob"), key_of("bob").public(), key_of("bob").public()),
            RejectReason::AccountExists,
        ),
        (
            create_action(name("alice"), name("token"), key_of("x").public(), key_of("x").public()),
            RejectReason::BadName,
        ),
        (
            create_action(name("alice"), name("dave"), key_of("x").public(), hpb_types::PublicKey([0; 32])),
            RejectReason::BadKey,
        ),
    ];
    let mut paid = Vec::new();
    for (salt, (action, reason)) in failing.into_iter().enumerate() {
        let both = signed(body(&genesis, "alice", vec![good.clone(), action], salt as u64), &["alice"]);
        assert_eq!(chain.check(&both), Err(reason));
        let executed = chain.push(1, salt as u32, std::slice::from_ref(&both));
        let [receipt] = &executed.receipts[..] else { panic!("{executed:?}") };
        assert_eq!((receipt.transaction, &receipt.outcome), (both.id(), &Outcome::Failed(reason)));
        assert_eq!((receipt.fee, receipt.events.len()), (fee(&both), 0));
        assert!(receipt.units > 500, "what was done counts: {} units", receipt.units);
        paid.push(fee(&both));
        assert_eq!(chain.balance("alice"), Some(minus(ENDOWMENT, &paid)));
        assert_eq!(chain.balance("bob"), Some(ENDOWMENT), "{reason}: the first action is undone too");
    }
}

#[test]
fn a_memo_has_a_limit() {
    let chain = Chain::new();
    let with_memo = |len| {
        let arguments =
            TransferArguments { from: name("alice"), to: name("bob"), amount: Amount(1), memo: vec![b'm'; len] };
        let action = Action { contract: key::TOKEN, action: TRANSFER, arguments: arguments.to_bytes() };
        chain.check(&signed(body(&chain.genesis, "alice", vec![action], 0), &["alice"]))
    };
    assert_eq!(with_memo(256), Ok(()));
    assert_eq!(with_memo(257), Err(RejectReason::Malformed));
}

#[test]
fn an_account_is_made_and_used() {
    let mut chain = Chain::new();
    let keys = ["dave.owner", "dave"].map(|key| key_of(key).public());
    let actions = vec![
        create_action(name("alice"), name("dave"), keys[0], keys[1]),
        transfer_action(name("alice"), name("dave"), Amount(5_000)),
    ];
    let made = signed(body(&chain.genesis, "alice", actions, 1), &["alice"]);
    let executed = chain.push(1, 0, &[made]);
    assert_eq!(executed.receipts[0].outcome, Outcome::Applied);
    assert_eq!(executed.receipts[0].events[0].name, CREATED);
    assert_eq!(executed.receipts[0].events.len(), 2);
    assert_eq!(chain.balance("dave"), Some(Amount(5_000)));
    let account = chain.ledger.account(&chain.head.id, name("dave")).unwrap().unwrap();
    assert_eq!(account.record, Account::with_keys(keys[0], keys[1]));
    let back = transfer(&chain.genesis, "dave", "alice", 1_000, 2);
    assert_eq!(chain.push(1, 1, &[back]).receipts[0].outcome, Outcome::Applied);
    let by_owner = body(&chain.genesis, "dave", vec![transfer_action(name("dave"), name("bob"), Amount(7))], 3);
    let by_owner = signed(by_owner, &["dave.owner"]);
    assert_eq!(chain.push(1, 2, &[by_owner]).receipts[0].outcome, Outcome::Applied, "owner may act for active");
}

#[test]
fn names_of_addresses_cannot_be_chosen() {
    let chain = Chain::new();
    let address = AccountName::from_address([7; 20]);
    let key = key_of("x").public();
    let arguments = CreateArguments { creator: name("alice"), name: address, owner: key.into(), active: key.into() };
    let action = create_action(arguments.creator, arguments.name, key, key);
    let transaction = signed(body(&chain.genesis, "alice", vec![action], 1), &["alice"]);
    assert_eq!(chain.check(&transaction), Err(RejectReason::BadName));
}

type BodyChange = fn(&mut hpb_types::TransactionBody, u64);

#[test]
fn what_nobody_could_be_charged_for_makes_a_slice_invalid() {
    let mut chain = Chain::new();
    let genesis = chain.genesis.clone();
    let action = || vec![transfer_action(name("alice"), name("bob"), Amount(1))];
    let included = transfer(&genesis, "alice", "bob", 9, 77);
    chain.push(1, 0, std::slice::from_ref(&included));
    let start = genesis.time_ms + u64::from(SLOT_MS);
    let changes: [(BodyChange, RejectReason); 8] = [
        (|body, _| body.chain.0.0[0] ^= 1, RejectReason::WrongChain),
        (|body, start| body.expiry_ms = start - 1, RejectReason::Expired),
        (|body, start| body.expiry_ms = start + EXPIRY_AHEAD_MS_MAX + 1, RejectReason::ExpiryTooFar),
        (|body, _| body.payer = name("nobody"), RejectReason::NoSuchAccount),
        (|body, _| body.payer = name("bob"), RejectReason::Unauthorised),
        (|body, _| body.authorisations.clear(), RejectReason::Unauthorised),
        (|body, _| body.authorisations[0].permission = OWNER, RejectReason::Unauthorised),
        (|body, _| body.fee_limit = Amount(1), RejectReason::FeeLimit),
    ];
    let mut unfit: Vec<(Checked, RejectReason)> = changes
        .into_iter()
        .map(|(change, reason)| {
            let mut body = body(&genesis, "alice", action(), 5);
            change(&mut body, start);
            // "alice" has one key for both permissions; only a stranger's signature does not satisfy `owner`.
            let signer =
                if body.authorisations.iter().any(|named| named.permission == OWNER) { "carol" } else { "alice" };
            (signed(body, &[signer]), reason)
        })
        .collect();
    unfit.push((included, RejectReason::Duplicate));
    let good = transfer(&genesis, "carol", "bob", 1, 6);
    for (transaction, reason) in &unfit {
        let error = ExecuteError::Unfit { index: 1, reason: *reason };
        assert_eq!(chain.execute(1, 1, &[good.clone(), transaction.clone()]), Err(error));
        assert_eq!(chain.check(transaction), Err(*reason));
    }
    let twice = ExecuteError::Unfit { index: 1, reason: RejectReason::Duplicate };
    assert_eq!(chain.execute(1, 1, &[good.clone(), good.clone()]), Err(twice), "within one slice");

    let candidates: Vec<Checked> =
        unfit.iter().map(|(transaction, _)| transaction.clone()).chain([good.clone(), good.clone()]).collect();
    let built = chain.ledger.build(&chain.head.id, &context(&genesis, 1, 1), candidates).unwrap();
    assert_eq!(built.included, std::slice::from_ref(&good));
    let mut refused: Vec<_> = unfit.iter().map(|(transaction, reason)| (transaction.id(), *reason)).collect();
    refused.push((good.id(), RejectReason::Duplicate));
    assert_eq!(built.refused, refused);
    assert_eq!(built.executed, chain.execute(1, 1, &[good]).unwrap(), "what is left out leaves no trace");
}

#[test]
fn expiry_holds_to_the_millisecond() {
    let at = UnixMillis(1_000);
    assert_eq!(judge_expiry(999, at), Err(RejectReason::Expired));
    assert_eq!(judge_expiry(1_000, at), Ok(()));
    assert_eq!(judge_expiry(1_000 + EXPIRY_AHEAD_MS_MAX, at), Ok(()));
    assert_eq!(judge_expiry(1_001 + EXPIRY_AHEAD_MS_MAX, at), Err(RejectReason::ExpiryTooFar));
}

#[test]
fn every_named_authorisation_must_be_satisfied() {
    let mut chain = Chain::new();
    let actions = vec![
        transfer_action(name("alice"), name("carol"), Amount(1)),
        transfer_action(name("bob"), name("carol"), Amount(2)),
    ];
    let mut both = body(&chain.genesis, "alice", actions, 1);
    both.authorisations.push(by("bob", ACTIVE));
    let one = signed(both.clone(), &["alice"]);
    let executed = chain.push(1, 0, &[one]);
    assert_eq!(executed.receipts[0].outcome, Outcome::Failed(RejectReason::Unauthorised));
    both.salt = 2;
    let two = signed(both, &["bob", "alice"]);
    let executed = chain.push(1, 1, &[two]);
    assert_eq!(executed.receipts[0].outcome, Outcome::Applied);
    assert_eq!(chain.balance("carol"), Some(Amount(ENDOWMENT.0 + 3)));
}

#[test]
fn a_sponsor_pays_for_another() {
    let mut chain = Chain::new();
    let mut sponsored = body(&chain.genesis, "carol", vec![transfer_action(name("alice"), name("bob"), Amount(4))], 1);
    sponsored.authorisations.insert(0, by("alice", ACTIVE));
    let sponsored = signed(sponsored, &["alice", "carol"]);
    assert_eq!(chain.push(1, 0, std::slice::from_ref(&sponsored)).receipts[0].outcome, Outcome::Applied);
    assert_eq!(chain.balance("alice"), Some(minus(ENDOWMENT, &[Amount(4)])));
    assert_eq!(chain.balance("carol"), Some(minus(ENDOWMENT, &[fee(&sponsored)])));
}

#[test]
fn ids_are_kept_until_they_can_only_be_expired() {
    let mut chain = Chain::new();
    let genesis = chain.genesis.clone();
    let last_slot_alive = 1 + EXPIRY_AHEAD_MS_MAX / u64::from(SLOT_MS);
    let mut long_lived = body(&genesis, "alice", vec![], 1);
    long_lived.expiry_ms = genesis.time_ms + u64::from(SLOT_MS) + EXPIRY_AHEAD_MS_MAX;
    let long_lived = signed(long_lived, &["alice"]);
    chain.push(1, 0, std::slice::from_ref(&long_lived));
    chain.push(1, 1, &[transfer(&genesis, "bob", "alice", 1, 2)]);
    chain.push(1, 2, &[transfer(&genesis, "bob", "alice", 1, 3)]);
    let duplicate = ExecuteError::Unfit { index: 0, reason: RejectReason::Duplicate };
    assert_eq!(chain.execute(last_slot_alive, 0, std::slice::from_ref(&long_lived)), Err(duplicate));
    chain.push(last_slot_alive, 0, &[]);
    let expired = ExecuteError::Unfit { index: 0, reason: RejectReason::Expired };
    assert_eq!(chain.execute(last_slot_alive + 1, 0, &[long_lived]), Err(expired));

    let removed = |executed: &Executed| {
        let records = (0..3).filter(|sequence| executed.changes.get(&key::of_included(*sequence)) == Some(&None));
        records.collect::<Vec<u64>>()
    };
    assert_eq!(removed(&chain.push(last_slot_alive + 1, 0, &[])), [0, 1], "a bounded number a slice");
    assert_eq!(removed(&chain.push(last_slot_alive + 1, 1, &[])), [2]);
    assert_eq!(removed(&chain.push(last_slot_alive + 1, 2, &[])), [0_u64; 0]);
}

#[test]
fn a_slice_has_a_size() {
    let chain = Chain::new();
    let many = vec![transfer(&chain.genesis, "alice", "bob", 1, 1); TRANSACTIONS_PER_SLICE_MAX + 1];
    assert!(matches!(chain.execute(1, 0, &many), Err(ExecuteError::TooLarge { .. })));
    let large = Action { contract: key::TOKEN, action: TRANSFER, arguments: vec![0; 30 << 10] };
    let large = signed(body(&chain.genesis, "alice", vec![large], 1), &["alice"]);
    let many = vec![large.clone(); SLICE_BYTES_MAX / large.bytes_len() + 1];
    assert!(matches!(chain.execute(1, 0, &many), Err(ExecuteError::TooLarge { .. })));
}

#[test]
fn a_slice_comes_after_its_parent_and_has_a_producer_with_an_account() {
    let mut chain = Chain::new();
    chain.push(2, 1, &[]);
    for (slot, index) in [(2, 1), (2, 0), (1, 9)] {
        assert_eq!(chain.execute(slot, index, &[]), Err(ExecuteError::NotAfterParent));
    }
    let stranger = SliceContext { producer: name("stranger"), ..context(&chain.genesis, 3, 0) };
    let refused = chain.ledger.execute(&chain.head.id, &stranger, &[]);
    assert_eq!(refused, Err(ExecuteError::NoSuchProducer(name("stranger"))));
    let unknown = chain.ledger.execute(&Hash([9; 32]), &context(&chain.genesis, 3, 0), &[]);
    assert_eq!(unknown, Err(ExecuteError::NoSuchParent));
    assert!(chain.head.height == Height::new(2, 1));
}

/// A state with some records overlaid, or failing.
struct Faulty<'a> {
    below: &'a (dyn State + Sync),
    instead: ChangeSet,
    asked: AtomicUsize,
    fails_after: usize,
}

impl State for Faulty<'_> {
    fn get(&self, key: &crate::bytes::Bytes) -> Result<Option<crate::bytes::Bytes>, StateError> {
        if self.asked.fetch_add(1, Relaxed) >= self.fails_after {
            return Err(StateError::Damaged { what: "a test's store".to_owned() });
        }
        self.instead.get(key).cloned().map_or_else(|| self.below.get(key), Ok)
    }
    fn includes(&self, id: &Hash) -> bool {
        self.below.includes(id)
    }
}

/// The genesis as a plain state.
struct Plain(ChangeSet);

impl State for Plain {
    fn get(&self, key: &crate::bytes::Bytes) -> Result<Option<crate::bytes::Bytes>, StateError> {
        Ok(self.0.get(key).cloned().flatten())
    }
    fn includes(&self, _: &Hash) -> bool {
        false
    }
}

fn plain(genesis: &Genesis) -> Plain {
    let mut ledger = Ledger::open(genesis, MemoryStore::new()).unwrap();
    let batch = ledger.hand_over().unwrap();
    let bytes = |bytes: Vec<u8>| crate::bytes::Bytes::from(bytes.as_slice());
    Plain(batch.changes.into_iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect())
}

#[test]
fn a_store_that_fails_is_no_receipt() {
    let genesis = genesis(&PEOPLE);
    let below = plain(&genesis);
    let rules = Rules::of(&genesis);
    let transactions = [transfer(&genesis, "alice", "bob", 1, 1)];
    let run = |fails_after, instead| {
        let state = Faulty { below: &below, instead, asked: AtomicUsize::new(0), fails_after };
        let parent = Parent { slot: Slot(0), queue: Vec::new() };
        let outcome = execute(&rules, &state, &parent, &context(&genesis, 1, 0), &transactions, &Alone);
        (outcome, state.asked.into_inner())
    };
    let (outcome, asked) = run(usize::MAX, ChangeSet::new());
    assert!(outcome.is_ok() && asked > 5);
    for fails_after in 0..asked {
        let (outcome, _) = run(fails_after, ChangeSet::new());
        assert!(matches!(outcome, Err(ExecuteError::State(_))), "at read {fails_after}: {outcome:?}");
    }
    for (account, table) in [("alice", BALANCE), ("bob", BALANCE), ("alice", ACCOUNT), ("system", TARIFF)] {
        let damage = ChangeSet::from([(key::of(name(account), table), Some(crate::bytes::Bytes::from(&[9][..])))]);
        let (outcome, _) = run(usize::MAX, damage);
        assert!(matches!(outcome, Err(ExecuteError::State(_))), "{account} {table:?}: {outcome:?}");
    }
}

#[test]
fn what_is_read_and_written_is_what_the_rules_say() {
    let genesis = genesis(&PEOPLE);
    let below = plain(&genesis);
    let transactions = [transfer(&genesis, "alice", "bob", 1, 1)];
    let parent = Parent { slot: Slot(0), queue: Vec::new() };
    let executed =
        execute(&Rules::of(&genesis), &below, &parent, &context(&genesis, 1, 0), &transactions, &Alone).unwrap();
    let system = |table| key::of(SYSTEM, table);
    let mut expected = vec![
        key::of(name("alice"), BALANCE),
        key::of(name("bob"), BALANCE),
        system(SLOT_FEES),
        system(WINDOW),
        system(SUM),
        key::of_included(0),
    ];
    expected.sort();
    assert_eq!(
        executed.changes.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(),
        expected,
        "one record a slice for its ids"
    );
    assert!(key::of_included(0).starts_with(&system(INCLUDED)));
}
