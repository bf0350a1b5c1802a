#![allow(clippy::unwrap_used)]

use hpb_types::{Genesis, RejectReason};
use proptest::prelude::*;

use super::*;
use crate::testing::{body, genesis, signed, unsigned_transfer};

const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];
const NOW: UnixMillis = UnixMillis(1_000_000);

fn pool(genesis: &Genesis, count_max: usize, bytes_max: usize, per_payer_max: usize) -> Mempool {
    Mempool::new(genesis.chain_id(), MempoolLimits { count_max, bytes_max, per_payer_max })
}

fn ids(transactions: &[Checked]) -> Vec<Hash> {
    transactions.iter().map(Checked::id).collect()
}

#[test]
fn what_cannot_wait_is_refused() {
    let genesis = genesis(&PEOPLE);
    let mut pool = pool(&genesis, 3, 1 << 20, 2);
    let first = unsigned_transfer(&genesis, "alice", "bob", 1, 1);
    pool.insert(first.clone(), NOW).unwrap();
    assert_eq!(pool.insert(first, NOW), Err(RejectReason::Duplicate));
    let mut other = body(&genesis, "bob", vec![], 1);
    other.chain.0.0[0] ^= 1;
    assert_eq!(pool.insert(signed(other, &["bob"]), NOW), Err(RejectReason::WrongChain));
    let late = UnixMillis(NOW.0 + 300_001);
    assert_eq!(pool.insert(unsigned_transfer(&genesis, "bob", "bob", 1, 1), late), Err(RejectReason::Expired));
    let early = UnixMillis(NOW.0 - 300_001);
    assert_eq!(pool.insert(unsigned_transfer(&genesis, "bob", "bob", 1, 1), early), Err(RejectReason::ExpiryTooFar));
    pool.insert(unsigned_transfer(&genesis, "alice", "bob", 1, 2), NOW).unwrap();
    let third = unsigned_transfer(&genesis, "alice", "bob", 1, 3);
    assert_eq!(pool.insert(third, NOW), Err(RejectReason::MempoolFull), "for this payer");
    pool.insert(unsigned_transfer(&genesis, "bob", "bob", 1, 2), NOW).unwrap();
    let fourth = unsigned_transfer(&genesis, "carol", "bob", 1, 2);
    assert_eq!(pool.insert(fourth, NOW), Err(RejectReason::MempoolFull), "for all");
}

#[test]
fn bytes_are_bounded_too() {
    let genesis = genesis(&PEOPLE);
    let first = unsigned_transfer(&genesis, "alice", "bob", 1, 1);
    let mut pool = pool(&genesis, 10, 2 * first.bytes_len() - 1, 10);
    pool.insert(first.clone(), NOW).unwrap();
    let second = unsigned_transfer(&genesis, "alice", "bob", 1, 2);
    assert_eq!(pool.insert(second.clone(), NOW), Err(RejectReason::MempoolFull));
    pool.include(&second);
    assert!(!pool.contains(&second.id()), "nor does a slice make room");
    assert!(pool.drop_one(&first.id()));
    assert_eq!(pool.bytes_len(), 0);
    assert_eq!(pool.insert(second, NOW), Ok(()));
}

#[test]
fn none_overtakes_another() {
    let genesis = genesis(&PEOPLE);
    let mut pool = pool(&genesis, 10, 1 << 20, 10);
    let small = unsigned_transfer(&genesis, "alice", "bob", 1, 1);
    let action = hpb_types::Action {
        contract: "token".parse().unwrap(),
        action: "transfer".parse().unwrap(),
        arguments: vec![0; 1_000],
    };
    let large = signed(body(&genesis, "alice", vec![action], 2), &["alice"]);
    let last = unsigned_transfer(&genesis, "alice", "bob", 1, 3);
    for transaction in [&small, &large, &last] {
        pool.insert(transaction.clone(), NOW).unwrap();
    }
    assert_eq!(pool.take(10, 2 * small.bytes_len(), NOW), std::slice::from_ref(&small));
    assert_eq!(pool.take(10, 1 << 20, NOW), [large.clone(), last.clone()]);
    assert!(!pool.has_pending() && pool.len() == 3);
    for transaction in [&last, &small, &large] {
        assert!(pool.retract(&transaction.id()));
    }
    assert_eq!(pool.take(2, 1 << 20, NOW), [small, large], "in their old places");
    assert_eq!(pool.waiting_count(), 1);
}

#[test]
fn what_a_slice_carried_can_come_back() {
    let genesis = genesis(&PEOPLE);
    let mut pool = pool(&genesis, 10, 1 << 20, 10);
    let foreign = unsigned_transfer(&genesis, "alice", "bob", 1, 1);
    assert!(!pool.retract(&foreign.id()));
    pool.include(&foreign);
    assert!(pool.contains(&foreign.id()) && !pool.has_pending());
    assert_eq!(pool.insert(foreign.clone(), NOW), Err(RejectReason::Duplicate));
    let late = UnixMillis(NOW.0 + 300_001);
    assert_eq!(pool.expire(late), [], "its slice may yet be final");
    assert!(pool.retract(&foreign.id()));
    assert_eq!(pool.get(&foreign.id()), Some(&foreign));
    assert_eq!(pool.take(10, 1 << 20, late), [], "what has expired is not proposed");
    assert_eq!(pool.expire(UnixMillis(NOW.0 + 300_000)), []);
    assert_eq!(pool.expire(late), [foreign.id()]);
    assert!(pool.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize),
    Take(usize),
    Include(usize),
    Retract(usize),
    Drop(usize),
    Expire(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..24_usize).prop_map(Step::Insert),
        2 => (0..6_usize).prop_map(Step::Take),
        1 => (0..24_usize).prop_map(Step::Include),
        2 => (0..24_usize).prop_map(Step::Retract),
        1 => (0..24_usize).prop_map(Step::Drop),
        1 => (0..5_u64).prop_map(Step::Expire),
    ]
}

/// The pool as a plain list in order of arrival: place in the deck, and whether it is underway.
#[derive(Default)]
struct Model(Vec<(usize, bool)>);

impl Model {
    fn holds(&self, card: usize) -> bool {
        self.0.iter().any(|(held, _)| *held == card)
    }
}

const COUNT_MAX: usize = 10;
const PER_PAYER_MAX: usize = 4;

proptest! {
    #[test]
    fn it_is_a_list_in_order_of_arrival(steps in proptest::collection::vec(step(), 0..80)) {
        let genesis = genesis(&PEOPLE);
        // Card n is payer n % 3's and expires in second n % 4.
        let deck: Vec<Checked> = (0..24_usize).map(|card| {
            let mut body = body(&genesis, PEOPLE[card % 3], vec![], card as u64);
            body.expiry_ms = NOW.0 + 1_000 * (card as u64 % 4);
            let signature = hpb_types::TransactionSignature::Ed25519 {
                key: hpb_types::PublicKey([0; 32]),
                signature: hpb_types::Signature([0; 64]),
            };
            Checked::verified(hpb_types::Transaction { body, signatures: vec![signature] }).unwrap()
        }).collect();
        let mut pool = pool(&genesis, COUNT_MAX, 1 << 20, PER_PAYER_MAX);
        let mut model = Model::default();
        let mut now = NOW;
        for step in steps {
            match step {
                Step::Insert(card) => {
                    let of_payer = model.0.iter().filter(|(held, _)| held % 3 == card % 3).count();
                    let expected = if deck[card].body.expiry_ms < now.0 {
                        Err(RejectReason::Expired)
                    } else if model.holds(card) {
                        Err(RejectReason::Duplicate)
                    } else if model.0.len() >= COUNT_MAX || of_payer >= PER_PAYER_MAX {
                        Err(RejectReason::MempoolFull)
                    } else {
                        model.0.push((card, false));
                        Ok(())
                    };
                    prop_assert_eq!(pool.insert(deck[card].clone(), now), expected);
                }
                Step::Take(count) => {
                    let mut expected = Vec::new();
                    for (card, underway) in &mut model.0 {
                        if !*underway && deck[*card].body.expiry_ms >= now.0 && expected.len() < count {
                            *underway = true;
                            expected.push(deck[*card].id());
                        }
                    }
                    prop_assert_eq!(ids(&pool.take(count, 1 << 20, now)), expected);
                }
                Step::Include(card) => {
                    pool.include(&deck[card]);
                    let has_room = model.0.len() < COUNT_MAX;
                    match model.0.iter_mut().find(|(held, _)| *held == card) {
                        Some((_, underway)) => *underway = true,
                        None if has_room => model.0.push((card, true)),
                        None => {}
                    }
                }
                Step::Retract(card) => {
                    prop_assert_eq!(pool.retract(&deck[card].id()), model.holds(card));
                    for (held, underway) in &mut model.0 {
                        *underway &= *held != card;
                    }
                }
                Step::Drop(card) => {
                    prop_assert_eq!(pool.drop_one(&deck[card].id()), model.holds(card));
                    model.0.retain(|(held, _)| *held != card);
                }
                Step::Expire(second) => {
                    now = now.max(UnixMillis(NOW.0 + 1_000 * second));
                    let gone = |(card, underway): &(usize, bool)| !underway && deck[*card].body.expiry_ms < now.0;
                    let mut expected: Vec<usize> =
                        model.0.iter().filter(|held| gone(held)).map(|(card, _)| *card).collect();
                    expected.sort_by_key(|card| deck[*card].body.expiry_ms);
                    model.0.retain(|held| !gone(held));
                    let expected: Vec<Hash> = expected.into_iter().map(|card| deck[card].id()).collect();
                    prop_assert_eq!(pool.expire(now), expected);
                }
            }
            prop_assert_eq!(pool.len(), model.0.len());
            prop_assert_eq!(pool.has_pending(), model.0.iter().any(|(_, underway)| !underway));
            prop_assert_eq!(pool.bytes_len(), model.0.iter().map(|(card, _)| deck[*card].bytes_len()).sum::<usize>());
        }
    }
}
