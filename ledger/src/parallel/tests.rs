#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::thread;

use hpb_types::{AccountName, Action, Amount, Fees, Genesis, PermissionName, SliceRef};
use proptest::prelude::*;

use hpb_types::Hash;

use super::*;
use crate::account::{ACTIVE, OWNER, Parent, Permission};
use crate::apply::{Built, ExecuteError, Executed};
use crate::authority::delegation::{ActionPattern, Bound, Policy, Role};
use crate::bytes::Bytes;
use crate::changes::ChangeSet;
use crate::key::TOKEN;
use crate::ledger::Ledger;
use crate::store::MemoryStore;
use crate::system::{create_action, grant_action, revoke_action, set_permission_action, set_role_action};
use crate::testing::{body, by, context, genesis, key_of, name, signed, slice, unsigned};
use crate::token::{TRANSFER, transfer_action};
use crate::view::StateError;

/// As many threads as it says.
#[derive(Debug)]
struct Crew(usize);

impl Workers for Crew {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, own: &mut dyn FnMut(), others: &(dyn Fn() + Sync)) {
        thread::scope(|scope| {
            for _ in 1..self.0 {
                scope.spawn(others);
            }
            own();
        });
    }
}

/// Others that are done before the caller begins: everything has run ahead.
#[derive(Debug)]
struct Early;

impl Workers for Early {
    fn count(&self) -> usize {
        2
    }

    fn run(&self, own: &mut dyn FnMut(), others: &(dyn Fn() + Sync)) {
        others();
        own();
    }
}

fn crew(workers: usize) -> Arc<dyn Workers + Send> {
    if workers == 0 { Arc::new(Early) } else { Arc::new(Crew(workers)) }
}

const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

/// What stands in a transaction that is drawn.
#[derive(Clone, Debug)]
struct Draw {
    payer: usize,
    signer: usize,
    what: What,
    /// A low fee limit, a wrong chain or an old expiry: unfit; or a fee limit that may not do.
    spoilt: u8,
}

#[derive(Clone, Debug)]
enum What {
    Pay {
        from: usize,
        to: usize,
        amount: u32,
    },
    /// Through some accounts in one transaction.
    Chain {
        from: usize,
        len: usize,
        amount: u32,
    },
    Create {
        which: u8,
    },
    /// To an account that this block may make.
    PayNew {
        which: u8,
        amount: u32,
    },
    Rekey {
        who: usize,
        key: u8,
    },
    Role {
        who: usize,
        day_max: u16,
    },
    Grant {
        who: usize,
        to: usize,
    },
    Revoke {
        who: usize,
        to: usize,
    },
    Nonsense,
}

fn person() -> impl Strategy<Value = usize> {
    // The first ones are hot.
    prop_oneof![3 => 0..2_usize, 1 => 0..PEOPLE.len()]
}

fn what() -> impl Strategy<Value = What> {
    let amount = || prop_oneof![Just(0_u32), 1..2_000_u32, Just(900_000)];
    prop_oneof![
        12 => (person(), person(), amount()).prop_map(|(from, to, amount)| What::Pay { from, to, amount }),
        2 => (person(), 2..5_usize, amount()).prop_map(|(from, len, amount)| What::Chain { from, len, amount }),
        1 => (0..3_u8).prop_map(|which| What::Create { which }),
        1 => (0..3_u8, amount()).prop_map(|(which, amount)| What::PayNew { which, amount }),
        1 => (person(), 0..3_u8).prop_map(|(who, key)| What::Rekey { who, key }),
        1 => (person(), 0..3_000_u16).prop_map(|(who, day_max)| What::Role { who, day_max }),
        1 => (person(), person()).prop_map(|(who, to)| What::Grant { who, to }),
        1 => (person(), person()).prop_map(|(who, to)| What::Revoke { who, to }),
        1 => Just(What::Nonsense),
    ]
}

fn draw() -> impl Strategy<Value = Draw> {
    let pair = prop_oneof![4 => person().prop_map(|who| (who, who)), 1 => (person(), person())];
    let spoilt = prop_oneof![20 => Just(0_u8), 1 => 1..=4_u8];
    (pair, what(), spoilt).prop_map(|((payer, signer), what, spoilt)| Draw { payer, signer, what, spoilt })
}

fn actions(what: &What, payer: &str) -> Vec<Action> {
    let role = || -> PermissionName { "cashier".parse().unwrap() };
    let new = |which: u8| -> AccountName { name(&format!("new{which}")) };
    let pay = |from: &str, to: AccountName, amount: u32| transfer_action(name(from), to, Amount(amount.into()));
    match what {
        What::Pay { from, to, amount } => vec![pay(PEOPLE[*from], name(PEOPLE[*to]), *amount)],
        What::Chain { from, len, amount } => {
            let person = |step: usize| PEOPLE[(from + step) % PEOPLE.len()];
            (0..*len).map(|step| pay(person(step), name(person(step + 1)), *amount)).collect()
        }
        What::Create { which } => {
            vec![create_action(name(payer), new(*which), key_of("new").public(), key_of("new").public())]
        }
        What::PayNew { which, amount } => vec![pay(payer, new(*which), *amount)],
        What::Rekey { who, key } => {
            let key = if *key == 0 { key_of(PEOPLE[*who]) } else { key_of(&format!("key{key}")) };
            let active = Permission { name: ACTIVE, parent: Parent::Under(OWNER), authority: key.public().into() };
            vec![set_permission_action(name(PEOPLE[*who]), active)]
        }
        What::Role { who, day_max } => {
            let policy = Policy {
                contract: TOKEN,
                action: ActionPattern::One(TRANSFER),
                counterparties: Vec::new(),
                per_transaction_max: Bound::None,
                per_day_max: Bound::AtMost(Amount((*day_max).into())),
                from_ms: 0,
                until_ms: u64::MAX,
                windows: Vec::new(),
            };
            vec![set_role_action(name(PEOPLE[*who]), Role { name: role(), policies: vec![policy] })]
        }
        What::Grant { who, to } => vec![grant_action(name(PEOPLE[*who]), role(), by(PEOPLE[*to], ACTIVE))],
        What::Revoke { who, to } => vec![revoke_action(name(PEOPLE[*who]), role(), by(PEOPLE[*to], ACTIVE))],
        What::Nonsense => vec![Action { contract: TOKEN, action: TRANSFER, arguments: vec![7] }],
    }
}

fn transaction(genesis: &Genesis, salt: u64, draw: &Draw) -> Checked {
    let payer = PEOPLE[draw.payer];
    let mut body = body(genesis, payer, actions(&draw.what, payer), salt);
    body.fee_limit = Amount(match draw.spoilt {
        1 => 1,
        // Enough for the bytes, and for some of the units or all of them.
        4 => 2_000 + u128::from(salt % 2_000),
        _ => u128::MAX,
    });
    body.expiry_ms = if draw.spoilt == 2 { 0 } else { body.expiry_ms };
    body.chain.0.0[0] ^= u8::from(draw.spoilt == 3);
    body.authorisations.push(by(PEOPLE[draw.signer], ACTIVE));
    signed(body, &if draw.signer == draw.payer { vec![payer] } else { vec![payer, PEOPLE[draw.signer]] })
}

struct Chain {
    genesis: Genesis,
    ledger: Ledger<MemoryStore>,
    head: SliceRef,
}

impl Chain {
    /// With no workers, those that are early.
    fn new(workers: usize) -> Self {
        let mut genesis = genesis(&PEOPLE);
        genesis.fees = Fees { per_signature: Amount(20), per_unit: Amount(1), slot_units: 5_000, ..genesis.fees };
        genesis.deposit_per_byte = Amount(2);
        let ledger = Ledger::open(&genesis, MemoryStore::new()).unwrap().with_workers(crew(workers));
        Self { head: ledger.final_slice(), genesis, ledger }
    }

    fn build(&self, index: u32, candidates: &[Checked]) -> Built {
        let context = context(&self.genesis, 1, index);
        self.ledger.build(&self.head.id, &context, candidates.iter().cloned()).unwrap()
    }

    fn execute(&self, index: u32, transactions: &[Checked]) -> Result<Executed, ExecuteError> {
        self.ledger.execute(&self.head.id, &context(&self.genesis, 1, index), transactions)
    }

    fn insert(&mut self, index: u32, executed: Executed) {
        let reference = slice(1, index, 0);
        self.ledger.insert(reference, self.head.id, executed).unwrap();
        self.head = reference;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Two slices of what is drawn, the second on the first, alone and by several.
    #[test]
    fn several_come_to_what_one_comes_to(
        draws in proptest::collection::vec(proptest::collection::vec(draw(), 16..48), 2),
        workers in prop_oneof![Just(0_usize), 2..5_usize],
    ) {
        let (mut alone, mut several) = (Chain::new(1), Chain::new(workers));
        for (index, draws) in draws.iter().enumerate() {
            let candidates: Vec<Checked> = draws
                .iter()
                .enumerate()
                .map(|(salt, draw)| transaction(&alone.genesis, (100 * index + salt) as u64, draw))
                .collect();
            let index = index as u32;
            prop_assert_eq!(alone.execute(index, &candidates), several.execute(index, &candidates), "as they stand");
            let (expected, built) = (alone.build(index, &candidates), several.build(index, &candidates));
            prop_assert_eq!(&expected.refused, &built.refused);
            prop_assert_eq!(&expected.executed, &built.executed);
            let ids = |built: &Built| built.included.iter().map(Checked::id).collect::<Vec<_>>();
            prop_assert_eq!(ids(&expected), ids(&built));
            prop_assert_eq!(several.execute(index, &built.included), Ok(expected.executed.clone()));
            alone.insert(index, expected.executed);
            several.insert(index, built.executed);
        }
    }
}

/// So many blocks are drawn, two a case; `PROPTEST_CASES` asks for others.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

#[test]
fn one_line_of_dependence_is_followed() {
    // Each can pay only with what the one before it paid.
    let mut outcomes = Vec::new();
    for workers in [1, 0, 2, 4] {
        let chain = Chain::new(workers);
        let steps: Vec<Checked> = (0..200_u64)
            .map(|step| {
                let person = |step: u64| PEOPLE[step as usize % PEOPLE.len()];
                let amount = Amount(900_000);
                let action = transfer_action(name(person(step)), name(person(step + 1)), amount);
                let mut body = body(&chain.genesis, person(step), vec![action], step);
                body.fee_limit = Amount(u128::MAX);
                unsigned(body)
            })
            .collect();
        outcomes.push(chain.execute(0, &steps).unwrap());
    }
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
    let applied = outcomes[0].receipts.iter().filter(|receipt| receipt.outcome == hpb_types::Outcome::Applied).count();
    assert!((50..=200).contains(&applied), "{applied}");
}

#[test]
fn one_id_twice_stands_once() {
    for workers in [1, 0, 3] {
        one_id_twice(&Chain::new(workers));
    }
}

fn one_id_twice(chain: &Chain) {
    let pay = |salt| {
        let action = transfer_action(name("alice"), name("bob"), Amount(1));
        let mut body = body(&chain.genesis, "alice", vec![action], salt);
        body.fee_limit = Amount(u128::MAX);
        body
    };
    let mut all: Vec<Checked> = (0..20).map(|salt| unsigned(pay(salt))).collect();
    // The first of two of one id is signed by a stranger: the second one stands.
    all.insert(3, signed(pay(50), &["carol"]));
    all.push(signed(pay(50), &["alice"]));
    all.push(signed(pay(50), &["alice"]));
    let built = chain.build(0, &all);
    let reasons: Vec<RejectReason> = built.refused.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(reasons, [RejectReason::Unauthorised, RejectReason::Duplicate]);
    assert_eq!(built.included.len(), 21);
}

/// A state that can't be read at one key.
struct Faulty<'s> {
    below: &'s (dyn State + Sync),
    key: Bytes,
}

impl State for Faulty<'_> {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        if *key == self.key { Err(StateError::damaged(key)) } else { self.below.get(key) }
    }

    fn includes(&self, id: &Hash) -> bool {
        self.below.includes(id)
    }
}

struct Plain(ChangeSet);

impl State for Plain {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.get(key).cloned().flatten())
    }

    fn includes(&self, _: &Hash) -> bool {
        false
    }
}

/// The state at genesis.
fn plain(genesis: &Genesis) -> Plain {
    let batch = Ledger::open(genesis, MemoryStore::new()).unwrap().hand_over().unwrap();
    let bytes = |bytes: Vec<u8>| Bytes::from(bytes.as_slice());
    Plain(batch.changes.into_iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect())
}

/// One of five people pays the next.
fn pay_on(genesis: &Genesis, salt: u64) -> Checked {
    let (from, to) = (PEOPLE[salt as usize % 5], PEOPLE[(salt as usize + 1) % 5]);
    unsigned(body(genesis, from, vec![transfer_action(name(from), name(to), Amount(1))], salt))
}

#[test]
fn a_state_that_fails_fails_alike() {
    let genesis = genesis(&PEOPLE);
    let plain = plain(&genesis);
    let rules = crate::apply::Rules::of(&genesis);
    let all: Vec<Checked> = (0..40).map(|salt| pay_on(&genesis, salt)).collect();
    for who in ["dave", "frank"] {
        let state = Faulty { below: &plain, key: crate::key::of(name(who), crate::key::BALANCE) };
        let run = |workers: usize| {
            let context = context(&genesis, 1, 0);
            let parent = crate::apply::Parent { slot: hpb_types::Slot(0), queue: Vec::new() };
            crate::apply::execute(&rules, &state, &parent, &context, &all, &*crew(workers))
        };
        assert_eq!(run(1).is_err(), who == "dave");
        assert_eq!(run(1), run(3));
        assert_eq!(run(1), run(0));
    }
}

/// A state that panics at one key: a bug, which must not leave the other workers waiting.
struct Broken<'s> {
    below: &'s (dyn State + Sync),
    key: Bytes,
}

impl State for Broken<'_> {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
        assert!(*key != self.key, "a test's bug");
        self.below.get(key)
    }

    fn includes(&self, id: &Hash) -> bool {
        self.below.includes(id)
    }
}

#[test]
fn a_panic_of_one_ends_all() {
    let genesis = genesis(&PEOPLE);
    let plain = plain(&genesis);
    let rules = crate::apply::Rules::of(&genesis);
    let state = Broken { below: &plain, key: crate::key::of(name("dave"), crate::key::BALANCE) };
    let all: Vec<Checked> = (0..400).map(|salt| pay_on(&genesis, salt)).collect();
    let context = context(&genesis, 1, 0);
    let parent = crate::apply::Parent { slot: hpb_types::Slot(0), queue: Vec::new() };
    let execute = || crate::apply::execute(&rules, &state, &parent, &context, &all, &Crew(3)).is_ok();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(execute)).is_err());
}
