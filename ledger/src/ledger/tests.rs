#![allow(clippy::unwrap_used)]

use hpb_types::Outcome;
use proptest::prelude::*;

use super::*;
use crate::store::MemoryStore;
use crate::testing::{ENDOWMENT, context, genesis, key_of, name, slice, transfer, unsigned_transfer};

const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];

fn open(genesis: &Genesis) -> Ledger<MemoryStore> {
    Ledger::open(genesis, MemoryStore::new()).unwrap()
}

#[test]
fn genesis_is_the_first_state() {
    let genesis = genesis(&PEOPLE);
    let ledger = open(&genesis);
    let first = ledger.final_slice();
    assert_eq!(first, genesis.genesis_slice());
    let alice = ledger.account(&first.id, name("alice")).unwrap().unwrap();
    assert_eq!(alice.balance, ENDOWMENT);
    let key = key_of("alice").public();
    assert_eq!(alice.record, Account::with_keys(key, key));
    assert_eq!(ledger.account(&first.id, name("nobody")).unwrap(), None);
    let total = Amount(ENDOWMENT.0 * PEOPLE.len() as u128);
    assert_eq!(ledger.supply(&first.id).unwrap(), Supply { genesis: total, now: total });
    assert_eq!(ledger.tariff(&first.id).unwrap().fees, genesis.fees);
    assert_eq!(ledger.supply(&Hash::ZERO), Err(ExecuteError::NoSuchParent));
}

#[test]
fn accounts_are_listed_by_name_page_by_page() {
    let people = ["ann", "ann-b", "anna", "bob", "carol"];
    let mut ledger = open(&genesis(&people));
    ledger.commit_here().unwrap();
    let listed = |prefix: &str, after: Option<&str>, limit| {
        let names = ledger.account_names(prefix, after.map(name), limit).unwrap();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = listed("", None, 100);
    assert_eq!(all, ["ann", "ann-b", "anna", "bob", "carol", "prod-a", "prod-b"], "what is no account is left out");
    for limit in 1..all.len() {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let page = listed("", paged.last().map(String::as_str), limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all, "{limit}");
    }
    assert_eq!(listed("ann", None, 100), ["ann", "ann-b", "anna"]);
    assert_eq!(listed("ann", Some("ann"), 1), ["ann-b"]);
    assert_eq!(listed("b", Some("ann"), 100), ["bob"], "after one before the prefix");
    assert_eq!(listed("b", Some("carol"), 100), <[&str; 0]>::default());
    assert_eq!(listed("x", None, 100), <[&str; 0]>::default());
}

#[test]
fn a_genesis_that_cannot_start_is_refused() {
    let refused = |genesis: &Genesis| Ledger::open(genesis, MemoryStore::new()).err();
    let good = genesis(&PEOPLE);
    let mut lost = good.clone();
    lost.accounts.retain(|account| account.name != name("prod-a"));
    assert_eq!(refused(&lost), Some(OpenError::NoSuchProducer(name("prod-a"))));
    let mut reserved = good.clone();
    reserved.accounts[0].name = name("system");
    assert_eq!(refused(&reserved), Some(OpenError::ReservedName(name("system"))));
    let mut rich = good.clone();
    for account in &mut rich.accounts {
        account.balance = Amount(u128::MAX / 2);
    }
    assert_eq!(refused(&rich), Some(OpenError::Supply));
    let mut addressed = good;
    addressed.accounts[0].name = AccountName::from_address([1; 20]);
    assert_eq!(refused(&addressed), None, "genesis may endow addresses");
}

#[test]
fn a_store_knows_its_chain() {
    let one = genesis(&PEOPLE);
    let mut ledger = open(&one);
    ledger.commit_here().unwrap();
    let store = ledger.tree.store_mut().clone();
    assert_eq!(Ledger::open(&one, store.clone()).unwrap().final_slice(), one.genesis_slice());
    let mut other = one.clone();
    other.label.push('x');
    let expected = OpenError::OtherChain { found: one.chain_id().0, expected: other.chain_id().0 };
    assert_eq!(Ledger::open(&other, store).err(), Some(expected));
}

#[test]
fn a_supply_that_is_not_conserved_is_seen() {
    let genesis = genesis(&PEOPLE);
    let mut ledger = open(&genesis);
    let first = ledger.final_slice();
    let reference = slice(1, 0, 0);
    let mut executed = ledger.execute(&first.id, &context(&genesis, 1, 0), &[]).unwrap();
    executed.changes = executed
        .changes
        .into_iter()
        .chain([(key::of(name("alice"), BALANCE), Some(records::store_amount(Amount(ENDOWMENT.0 + 1))))])
        .collect();
    ledger.insert(reference, first.id, executed).unwrap();
    assert!(!ledger.supply(&reference.id).unwrap().is_conserved());
    assert!(ledger.supply(&first.id).unwrap().is_conserved());
}

#[test]
fn finality_tells_transactions_and_receipts_in_order() {
    let genesis = genesis(&PEOPLE);
    let mut ledger = open(&genesis);
    let first = ledger.final_slice();
    let transactions =
        [transfer(&genesis, "alice", "bob", 1, 1), transfer(&genesis, "bob", "carol", ENDOWMENT.0 * 2, 2)];
    let mut parent = first;
    for (index, transaction) in transactions.iter().enumerate() {
        let context = context(&genesis, 1, index as u32);
        let executed = ledger.execute(&parent.id, &context, std::slice::from_ref(transaction)).unwrap();
        let reference = slice(1, index as u32, 0);
        ledger.insert(reference, parent.id, executed).unwrap();
        parent = reference;
    }
    assert_eq!(ledger.receipts(&parent.id).unwrap()[0].outcome, Outcome::Failed(RejectReason::Overdrawn));
    let finalised = ledger.finalise(&parent.id).unwrap();
    let told: Vec<Hash> = finalised.slices.iter().flat_map(|slice| slice.ids.clone()).collect();
    assert_eq!(told, transactions.iter().map(Checked::id).collect::<Vec<_>>());
    assert!(finalised.slices.iter().all(|slice| slice.receipts.len() == 1));
    assert_eq!((ledger.final_slice(), ledger.unfinal_count()), (parent, 0));
    assert!(!ledger.knows(&first.id));
    assert!(ledger.receipts(&parent.id).is_none());
}

/// One slice of a random history: on which of the latest slices it builds, and what it carries.
#[derive(Clone, Debug)]
struct Drawn {
    back: usize,
    transfers: Vec<(usize, usize, u32)>,
    skips_slot: bool,
    finalises: bool,
    commits: bool,
}

fn histories() -> impl Strategy<Value = Vec<Drawn>> {
    let transfers = proptest::collection::vec((0..4_usize, 0..5_usize, 0..1_200_000_u32), 0..6);
    let one = (0..3_usize, transfers, any::<bool>(), 0..4_u8, any::<bool>());
    let one = one.prop_map(|(back, transfers, skips_slot, finalises, commits)| Drawn {
        back,
        transfers,
        skips_slot,
        finalises: finalises == 0,
        commits,
    });
    proptest::collection::vec(one, 1..20)
}

type Line = Vec<(SliceRef, SliceContext, Vec<Checked>)>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_transfers_keep_the_supply_and_replay_to_the_same_root(history in histories()) {
        let genesis = genesis(&PEOPLE);
        let mut ledger = open(&genesis);
        // What is known of each live slice: itself and the content of its whole line.
        let mut lines: Vec<(SliceRef, Line)> = vec![(ledger.final_slice(), Vec::new())];
        let mut salt = 0;
        for (number, drawn) in history.into_iter().enumerate() {
            let (parent, mut line) = lines[lines.len().saturating_sub(1 + drawn.back)].clone();
            let height = parent.height;
            let (slot, index) =
                if drawn.skips_slot || height.slot.0 == 0 { (height.slot.0 + 2, 0) } else { (height.slot.0, height.index + 1) };
            let candidates: Vec<Checked> = drawn.transfers.iter().map(|(from, to, amount)| {
                salt += 1;
                let to = PEOPLE.get(*to).unwrap_or(&"nobody");
                unsigned_transfer(&genesis, PEOPLE[*from], to, u128::from(*amount), salt)
            }).collect();
            let context = context(&genesis, slot, index);
            let built = ledger.build(&parent.id, &context, candidates).unwrap();
            let executed = ledger.execute(&parent.id, &context, &built.included).unwrap();
            prop_assert_eq!(&executed, &built.executed, "builder and checker agree");
            let reference = slice(slot, index, number as u64);
            ledger.insert(reference, parent.id, executed).unwrap();
            let supply = ledger.supply(&reference.id).unwrap();
            prop_assert!(supply.is_conserved(), "{:?}", supply);
            line.push((reference, context, built.included));
            lines.push((reference, line));
            if drawn.finalises {
                ledger.finalise(&reference.id).unwrap();
                lines.retain(|(reference, _)| ledger.knows(&reference.id));
            }
            if drawn.commits {
                ledger.commit_here().unwrap();
            }
        }
        let (head, line) = lines.pop().unwrap();
        let root = ledger.state_root(&head.id).unwrap();
        prop_assert_eq!(ledger.summed_root(&head.id).unwrap(), root);

        let mut replayed = open(&genesis);
        let mut parent = replayed.final_slice();
        for (reference, context, transactions) in &line {
            let executed = replayed.execute(&parent.id, context, transactions).unwrap();
            replayed.insert(*reference, parent.id, executed).unwrap();
            parent = *reference;
        }
        prop_assert_eq!(replayed.state_root(&head.id).unwrap(), root);

        if ledger.final_slice() != head {
            ledger.finalise(&head.id).unwrap();
        }
        ledger.commit_here().unwrap();
        let reopened = Ledger::open(&genesis, ledger.tree.store_mut().clone()).unwrap();
        prop_assert_eq!(reopened.final_slice(), head);
        prop_assert_eq!(reopened.state_root(&head.id).unwrap(), root);
        for (_, _, transactions) in &line {
            for transaction in transactions {
                let again = reopened.check(&head.id, head.height.slot, transaction).unwrap();
                prop_assert_eq!(again, Err(RejectReason::Duplicate));
            }
        }
    }
}
