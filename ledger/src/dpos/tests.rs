#![allow(clippy::unwrap_used)]

mod beacon;
mod evidence;
mod properties;
mod registration;
mod rewards;
mod votes;

use std::sync::Arc;

use hpb_types::{Action, Epoch, Hash, Outcome, SliceRef, TransactionBody};

use super::*;
use crate::account::ACTIVE;
use crate::apply::{ExecuteError, Executed};
use crate::checked::Checked;
use crate::ledger::Ledger;
use crate::store::MemoryStore;
use crate::testing::{
    ENDOWMENT, beacon_key_of, beacon_secret_of, by, dpos_genesis, name, slice, slices_key_of, unsigned,
};

const PRODUCERS: [&str; 4] = ["prod-a", "prod-b", "prod-c", "prod-d"];
const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
/// Slots of an epoch in these tests; the last quarter starts with the eighth.
const EPOCH_SLOTS: u64 = 10;

type Answer = Result<(), RejectReason>;

/// A chain whose head moves with every slice, and whose schedules take effect as they are fixed.
struct Chain {
    genesis: Genesis,
    ledger: Ledger<MemoryStore>,
    head: SliceRef,
    schedule: Arc<Schedule>,
    next: Option<Schedule>,
    /// Who signs the certificate that each slot's first slice brings.
    confirmers: Vec<AccountName>,
    salt: u64,
}

impl Chain {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut DposParameters)) -> Self {
        let mut genesis = dpos_genesis(&PRODUCERS, &PEOPLE);
        genesis.epoch_slots = EPOCH_SLOTS;
        let EngineChoice::Dpos(parameters) = &mut genesis.engine else { panic!() };
        change(parameters);
        Self::of(genesis)
    }

    fn of(genesis: Genesis) -> Self {
        // Some tests let stake go at once, to be short; no chain starts so.
        let mut lasting = genesis.clone();
        if let EngineChoice::Dpos(parameters) = &mut lasting.engine {
            parameters.release_slots = parameters.release_slots.max(2 * genesis.epoch_slots + 1);
        }
        assert_eq!(lasting.validate(), Ok(()));
        let ledger = Ledger::open(&genesis, MemoryStore::new()).unwrap();
        Self {
            head: ledger.final_slice(),
            schedule: Arc::new(genesis.schedule()),
            next: None,
            confirmers: Vec::new(),
            salt: 0,
            genesis,
            ledger,
        }
    }

    /// The context of the next slice in `slot`.
    fn context(&self, slot: u64) -> SliceContext {
        let head = self.head.height;
        let index = if head.slot == Slot(slot) { head.index + 1 } else { 0 };
        let beacon = (index == 0).then(|| Hash::of(&slot.to_le_bytes()));
        let epoch = self.ledger.rules().epochs.of(Slot(slot));
        let schedule = match &self.next {
            Some(next) if next.epoch <= epoch => Arc::new(next.clone()),
            _ => Arc::clone(&self.schedule),
        };
        let confirmers = if index == 0 { self.confirmers.clone() } else { Vec::new() };
        SliceContext {
            slot: Slot(slot),
            index,
            producer: schedule.producer_at(Slot(slot)).name,
            schedule,
            confirmers,
            beacon,
        }
    }

    fn execute(&self, context: &SliceContext, transactions: &[Checked]) -> Result<Executed, ExecuteError> {
        self.ledger.execute(&self.head.id, context, transactions)
    }

    /// A slice on the head.
    fn push(&mut self, slot: u64, transactions: &[Checked]) -> Executed {
        let context = self.context(slot);
        let executed = self.execute(&context, transactions).unwrap();
        self.insert(&context, executed.clone());
        executed
    }

    fn insert(&mut self, context: &SliceContext, executed: Executed) {
        let reference = slice(context.slot.0, context.index, 0);
        if let Some(next) = executed.next.clone() {
            self.next = Some(next);
        }
        self.ledger.insert(reference, self.head.id, executed).unwrap();
        self.head = reference;
        self.schedule = Arc::clone(&context.schedule);
        let supply = self.ledger.supply(&self.head.id).unwrap();
        assert!(supply.is_conserved(), "{supply:?} at {}", self.head);
    }

    /// Every slot up to `slot`, each with one slice.
    fn run_to(&mut self, slot: u64) {
        for slot in self.head.height.slot.0 + 1..=slot {
            self.push(slot, &[]);
        }
    }

    /// The slots up to the first of `epoch`.
    fn run_to_epoch(&mut self, epoch: u64) {
        self.run_to(epoch * EPOCH_SLOTS);
    }

    fn transaction(&mut self, who: &str, actions: Vec<Action>) -> Checked {
        self.salt += 1;
        let start = self.ledger.rules().slot_start(self.head.height.slot);
        unsigned(TransactionBody {
            version: 1,
            chain: self.genesis.chain_id(),
            payer: name(who),
            authorisations: vec![by(who, ACTIVE)],
            actions,
            expiry_ms: start.0 + 300_000,
            fee_limit: Amount(1_000_000),
            salt: self.salt,
        })
    }

    /// Runs an action in a further slice of the head's slot (slot 1 at the start): what became of it, and its event.
    fn act_telling(&mut self, who: &str, action: Action) -> Result<Vec<u8>, RejectReason> {
        let slot = self.head.height.slot.0.max(1);
        let transaction = self.transaction(who, vec![action]);
        let checked = self.ledger.check(&self.head.id, Slot(slot), &transaction).unwrap();
        let executed = self.push(slot, &[transaction]);
        let receipt = executed.receipts.into_iter().next().unwrap();
        let answer = match receipt.outcome {
            Outcome::Applied => Ok(receipt.events.into_iter().next().unwrap().data),
            Outcome::Failed(reason) => Err(reason),
        };
        assert_eq!(checked, answer.as_ref().map(|_| ()).map_err(|reason| *reason), "the mempool would have said so");
        answer
    }

    fn act(&mut self, who: &str, action: Action) -> Answer {
        self.act_telling(who, action).map(|_| ())
    }

    fn balance(&self, who: &str) -> u128 {
        self.ledger.account(&self.head.id, name(who)).unwrap().unwrap().balance.0
    }

    fn stake_of(&self, who: &str) -> Stake {
        self.ledger.stake(&self.head.id, name(who)).unwrap()
    }

    fn producer(&self, who: &str) -> Option<Producer> {
        self.ledger.producer(&self.head.id, name(who)).unwrap().map(|state| state.producer)
    }

    fn status(&self, who: &str) -> Status {
        self.producer(who).unwrap().status
    }

    fn votes(&self, who: &str) -> u128 {
        self.ledger.producer(&self.head.id, name(who)).unwrap().unwrap().votes.0
    }

    fn pool(&self) -> u128 {
        self.ledger.pool(&self.head.id).unwrap().0
    }

    /// Registers a person as a producer with the least bond.
    fn register(&mut self, who: &str) -> Answer {
        self.act(who, registration(self, who, 1_000))
    }

    /// The names of a schedule, ascending.
    fn names(schedule: &Schedule) -> Vec<&str> {
        let mut names: Vec<&str> = schedule.producers.iter().map(|producer| producer.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The names of the schedule that was fixed last, ascending.
    fn next_names(&self) -> Vec<&str> {
        Self::names(self.next.as_ref().unwrap())
    }
}

fn registration(chain: &Chain, who: &str, bond: u128) -> Action {
    register_action(name(who), keys_of(chain, who, who, who), Amount(bond), who)
}

/// The keys of slices and of the beacon by those names, proven to be `who`'s.
fn keys_of(chain: &Chain, who: &str, slices: &str, beacon: &str) -> ProvenKeys {
    ProvenKeys::prove(&chain.genesis.chain_id(), &name(who), &slices_key_of(slices), &beacon_secret_of(beacon))
}

fn stake(who: &str, amount: u128) -> Action {
    stake_action(name(who), Amount(amount))
}

fn unstake(who: &str, amount: u128) -> Action {
    unstake_action(name(who), Amount(amount))
}

fn vote(who: &str, producers: &[&str]) -> Action {
    vote_action(name(who), producers.iter().map(|producer| name(producer)))
}

fn names(list: &[&str]) -> Vec<AccountName> {
    list.iter().map(|text| name(text)).collect()
}

#[test]
fn genesis_has_producers_bonds_and_a_pool() {
    let chain = Chain::new();
    let producers = chain.ledger.producers(&chain.head.id).unwrap();
    assert_eq!(producers.iter().map(|state| state.name.as_str()).collect::<Vec<_>>(), PRODUCERS);
    for (state, genesis) in producers.iter().zip(&chain.genesis.producers) {
        let expected = Producer::new(Epoch(0), genesis.key, genesis.beacon, genesis.bond, String::new());
        assert_eq!((state.votes, &state.producer), (Amount::ZERO, &expected));
    }
    assert_eq!(chain.pool(), 100_000);
    let supply = chain.ledger.supply(&chain.head.id).unwrap();
    assert_eq!(supply.now, Amount(6 * ENDOWMENT.0 + 4 * 1_000 + 100_000));
    assert!(supply.is_conserved());
    assert_eq!(chain.ledger.epoch_activity(&chain.head.id).unwrap(), None);
}

#[test]
fn producers_that_stay_for_ever_have_no_contract() {
    let mut genesis = dpos_genesis(&PRODUCERS, &PEOPLE);
    genesis.engine = EngineChoice::Authority;
    genesis.epoch_slots = EPOCH_SLOTS;
    let mut chain = Chain::of(genesis);
    assert_eq!(chain.act("alice", stake("alice", 1)), Err(RejectReason::NoSuchAction));
    for slot in 2..30 {
        let executed = chain.push(slot, &[]);
        assert_eq!(executed.next, None);
        assert!(executed.changes.is_empty(), "{:?}", executed.changes);
    }
    assert_eq!(chain.ledger.producers(&chain.head.id).unwrap().len(), 4, "their bonds are still on record");
    assert_eq!(chain.pool(), 0);
}

#[test]
fn every_action_needs_its_actor() {
    let evidence = evidence::two_confirms("prod-a", Epoch(0));
    let mut chain = Chain::new();
    for action in [
        stake("bob", 1),
        unstake("bob", 0),
        withdraw_action(name("bob")),
        vote("bob", &["prod-a"]),
        proxy_action(name("bob"), name("carol")),
        offer_proxy_action(name("bob"), true),
        registration(&chain, "bob", 1_000),
        bond_action(name("prod-a"), Amount(1)),
        update_action(name("prod-a"), keys_of(&chain, "prod-a", "x", "x"), ""),
        retire_action(name("prod-a")),
        resume_action(name("prod-a")),
        report_action(name("bob"), evidence),
    ] {
        assert_eq!(chain.act("alice", action.clone()), Err(RejectReason::Unauthorised), "{}", action.action);
        let malformed = Action { arguments: vec![1, 2, 3], ..action.clone() };
        assert_eq!(chain.act("alice", malformed), Err(RejectReason::Malformed), "{}", action.action);
    }
    let unknown = Action { action: "mint".parse().unwrap(), ..stake("alice", 1) };
    assert_eq!(chain.act("alice", unknown), Err(RejectReason::NoSuchAction));
    let reserved =
        crate::system::create_action(name("alice"), DPOS, slices_key_of("x").public(), slices_key_of("x").public());
    assert_eq!(chain.act("alice", reserved), Err(RejectReason::BadName));
}
