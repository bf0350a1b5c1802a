#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hpb_consensus::light::Output as Told;
use hpb_consensus::{Anchor as _, Dpos, Finality, Light, LightError, Office, VerifyError, dpos::Anchor};
use hpb_ledger::chainlog::{ChainLog, LogOptions, MemoryFolder};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_ledger::{FinalPoint, SharedStore, token};
use hpb_types::certificate::CertificateError;
use hpb_types::message::{PieceEnd, RangeRequest, SliceBundle, Status, kind};
use hpb_types::{
    AccountName, Amount, Authorisation, Beacon, Certificate, DposParameters, EngineChoice, GenesisAccount,
    GenesisProducer, Height, KeyPair, NextSchedule, ResultsCommitment, SliceBody, Transaction, TransactionBody,
    VrfSecret,
};

use super::*;
use crate::verify::Verify;

const WALL_AT_ZERO: u64 = 1_700_000_000_000;
const DELAY: Duration = Duration::from_millis(5);
const SYNC: Duration = Duration::from_micros(300);
const TERMINAL: SessionId = SessionId { index: 999, generation: 0 };

struct Node {
    core: Core<SharedStore>,
    verify: Verify,
    log: ChainLog,
    folder: MemoryFolder,
    disk: SharedStore,
}

/// Validators that talk by messages with a delay, on virtual time.
struct World {
    genesis: Genesis,
    nodes: Vec<Option<Node>>,
    /// Due time, order, to whom, what.
    flying: BTreeMap<(Instant, u64), (usize, Input)>,
    sent: u64,
    now: Instant,
    told: Vec<(Instant, Hash, Status)>,
    finals: Vec<(Instant, SliceRef)>,
    /// What one node's messages to another become on their way: who sends, to whom, what.
    tamper: Option<Tamper>,
    /// Sessions closed by a core: by whom, with whom.
    closed: Vec<(usize, usize)>,
    /// Headers that the terminal was given.
    headers: Vec<hpb_types::message::Headers>,
    /// What those that start are told to hold to.
    checkpoint: Option<SliceRef>,
    /// What the log's data sync takes.
    sync_takes: Duration,
    /// Batches that stores were given.
    commits: usize,
}

type Tamper = Box<dyn FnMut(usize, usize, &mut Vec<u8>)>;

fn keys(tag: u8, index: usize) -> KeyPair {
    let mut seed = [tag; 32];
    seed[0] = index as u8;
    KeyPair::from_seed(seed)
}

fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

/// The key of a producer's part of the beacon.
fn beacon(index: usize) -> VrfSecret {
    VrfSecret::from_seed([index as u8 + 1; 32])
}

fn producer_name(index: usize) -> AccountName {
    name(&format!("validator-{index}"))
}

fn genesis(count: usize) -> Genesis {
    let mut accounts: Vec<GenesisAccount> = (0..count)
        .map(|index| GenesisAccount { name: producer_name(index), key: keys(2, index).public(), balance: Amount(5) })
        .chain(["alice", "bobby"].iter().enumerate().map(|(index, owner)| GenesisAccount {
            name: name(owner),
            key: keys(3, index).public(),
            balance: Amount::ONE,
        }))
        .collect();
    accounts.sort_by_key(|account| account.name);
    let genesis = Genesis {
        version: Genesis::VERSION,
        label: "core test".to_owned(),
        time_ms: WALL_AT_ZERO,
        slot_ms: 600,
        slice_ms: 50,
        delta_ms: 50,
        epoch_slots: 100,
        fee_per_byte: Amount(10),
        engine: EngineChoice::Dpos(DposParameters { bond_min: Amount::ZERO, ..DposParameters::preset() }),
        producers: (0..count)
            .map(|index| GenesisProducer {
                name: producer_name(index),
                key: keys(1, index).public(),
                beacon: beacon(index).public(),
                bond: Amount::ZERO,
            })
            .collect(),
        accounts,
    };
    genesis.validate().unwrap();
    genesis
}

fn session(index: usize) -> SessionId {
    SessionId { index: index as u32, generation: 0 }
}

impl World {
    fn new(count: usize) -> Self {
        Self::of(genesis(count))
    }

    fn of(genesis: Genesis) -> Self {
        let count = genesis.producers.len();
        let mut world = Self {
            nodes: (0..count).map(|_| None).collect(),
            genesis,
            flying: BTreeMap::new(),
            sent: 0,
            now: Instant::from_millis(10),
            told: Vec::new(),
            finals: Vec::new(),
            tamper: None,
            closed: Vec::new(),
            headers: Vec::new(),
            checkpoint: None,
            sync_takes: SYNC,
            commits: 0,
        };
        for index in 0..count {
            let folder = MemoryFolder::new();
            let mark = Watermark::never_confirmed(producer_name(index), world.genesis.genesis_slice());
            let options = LogOptions::new(world.genesis.chain_id());
            let log = ChainLog::create(
                Box::new(folder.clone()),
                options,
                [index as u8; 32],
                WatermarkState::Known(mark),
                Box::new(|| Instant::ZERO),
            );
            drop(log.unwrap());
            world.start(index, folder, SharedStore::default());
        }
        world.mesh();
        world
    }

    fn start(&mut self, index: usize, folder: MemoryFolder, disk: SharedStore) {
        let options = LogOptions::new(self.genesis.chain_id());
        let (mut log, _) = ChainLog::open(Box::new(folder.clone()), options, Box::new(|| Instant::ZERO)).unwrap();
        let own = producer_name(index);
        let recovered = Recovered::read(&self.genesis, disk.clone(), &mut log, Some(&own)).unwrap();
        let recovered = recovered.hold_to(self.checkpoint, &mut log).unwrap();
        let config = CoreConfig {
            genesis: self.genesis.clone(),
            producer: Some(Producer::new(own, Arc::new(keys(1, index)), beacon(index))),
            reporter: None,
            validators: (0..self.nodes.len()).map(|other| keys(4, other).public()).collect(),
            wall_at_zero: UnixMillis(WALL_AT_ZERO),
            commit_every: Duration::from_secs(1),
            silent_when_idle: false,
        };
        let core = Core::new(config, recovered, self.now);
        self.nodes[index] = Some(Node { core, verify: Verify::new(&self.genesis), log, folder, disk });
    }

    /// Opens a session between each two that live, and one of a terminal at node 0.
    fn mesh(&mut self) {
        let count = self.nodes.len();
        for index in 0..count {
            for other in (0..count).filter(|other| *other != index) {
                let peer = Some(keys(4, other).public());
                self.give(index, Input::Opened { session: session(other), peer, class: Class::Validator });
            }
        }
        let peer = Some(keys(9, 0).public());
        self.give(0, Input::Opened { session: TERMINAL, peer, class: Class::Terminal });
    }

    fn give(&mut self, index: usize, input: Input) {
        if let Some(node) = &mut self.nodes[index] {
            node.core.handle(self.now, input);
        }
    }

    fn kill(&mut self, index: usize) -> (MemoryFolder, SharedStore) {
        let node = self.nodes[index].take().unwrap();
        node.folder.lose_unsynced();
        (node.folder, node.disk)
    }

    fn fly(&mut self, delay: Duration, to: usize, input: Input) {
        self.sent += 1;
        self.flying.insert((self.now + delay, self.sent), (to, input));
    }

    fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            for index in 0..self.nodes.len() {
                while let Some(output) = self.nodes[index].as_mut().and_then(|node| node.core.poll(self.now)) {
                    self.act(index, output);
                }
            }
            let wakes = self.nodes.iter().flatten().filter_map(|node| node.core.wake_at());
            let next = self.flying.keys().next().map(|(at, _)| *at).into_iter().chain(wakes).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to, input) = entry.remove();
                self.give(to, input);
            }
        }
        self.now = until;
    }

    fn act(&mut self, index: usize, output: Output) {
        match output {
            Output::Card(Command::Send { session, message, .. }) if session == TERMINAL => self.hear(&message),
            Output::Card(Command::Send { session: to, message, .. }) => {
                self.deliver(index, to.index as usize, &message);
            }
            Output::Card(Command::Broadcast { group: Group::Validators, message, .. }) => {
                for to in (0..self.nodes.len()).filter(|to| *to != index) {
                    self.deliver(index, to, &message);
                }
            }
            Output::Card(Command::Broadcast { message, .. }) => {
                if index == 0 {
                    self.hear(&message);
                }
            }
            Output::Card(Command::Close { session: with }) => {
                let other = with.index as usize;
                self.closed.push((index, other));
                self.give(index, Input::Closed { session: with });
                self.give(other, Input::Closed { session: session(index) });
            }
            Output::Card(_) => {}
            Output::Verify(request) => {
                let verdicts = self.nodes[index].as_mut().unwrap().verify.judge(vec![request]);
                for verdict in verdicts {
                    self.fly(Duration::from_micros(50), index, Input::Verdict(verdict));
                }
            }
            Output::Log { number, batch } => {
                self.nodes[index].as_mut().unwrap().log.append(&batch).unwrap();
                self.fly(self.sync_takes, index, Input::Synced { number });
            }
            Output::Read(read) => {
                let served = read.finish(&mut self.nodes[index].as_mut().unwrap().log);
                self.fly(SYNC, index, Input::Served(served));
            }
            Output::Commit(batch) => {
                let FinalPoint { slice, commit } = batch.point;
                let node = self.nodes[index].as_mut().unwrap();
                assert!(slice.height <= node.core.last_final().height, "the store of node {index} is ahead of its log");
                node.disk.commit(&batch).unwrap();
                self.commits += 1;
                self.fly(SYNC, index, Input::Committed { commit });
            }
            Output::Stop(text) => panic!("node {index} stops: {text}"),
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: &[u8]) {
        let mut body = message[5..].to_vec();
        if let Some(tamper) = &mut self.tamper {
            let mut whole = vec![message[4]];
            whole.append(&mut body);
            tamper(from, to, &mut whole);
            body = whole.split_off(1);
        }
        let input = Input::Message { session: session(from), kind: message[4], body };
        if self.nodes[to].is_some() {
            self.fly(DELAY, to, input);
        }
    }

    /// What the terminal is told.
    fn hear(&mut self, message: &[u8]) {
        match Message::decode(message[4], &message[5..]).unwrap() {
            Message::TransactionStatus(told) => self.told.push((self.now, told.id, told.status)),
            Message::Headers(headers) => self.headers.push(*headers),
            Message::Digest(digest) => self.finals.push((self.now, digest.final_slice)),
            _ => {}
        }
    }

    fn transfer(&self, salt: u64) -> Transaction {
        let body = TransactionBody {
            version: TransactionBody::VERSION,
            chain: self.genesis.chain_id(),
            payer: name("alice"),
            authorisations: vec![Authorisation { account: name("alice"), permission: hpb_ledger::account::ACTIVE }],
            actions: vec![token::transfer_action(name("alice"), name("bobby"), Amount(7))],
            expiry_ms: WALL_AT_ZERO + self.now.as_millis() + 300_000,
            fee_limit: Amount(1_000_000),
            salt,
        };
        Transaction::sign(body, &[&keys(3, 0)])
    }

    fn submit(&mut self, transaction: &Transaction) {
        let body = Message::SubmitTransaction(Box::new(transaction.clone())).encode();
        self.give(0, Input::Message { session: TERMINAL, kind: kind::SUBMIT_TRANSACTION, body });
    }

    fn statuses(&self, id: Hash) -> Vec<&Status> {
        self.told.iter().filter(|(_, told, _)| *told == id).map(|(_, _, status)| status).collect()
    }

    fn core(&self, index: usize) -> &Core<SharedStore> {
        &self.nodes[index].as_ref().unwrap().core
    }

    /// Every node's root at the highest final slice that all have passed: asked when all stand at one.
    fn roots(&self) -> BTreeSet<(Height, Hash)> {
        let live = self.nodes.iter().flatten();
        live.map(|node| {
            let at = node.core.ledger.final_slice();
            (at.height, node.core.ledger.state_root(&at.id).unwrap())
        })
        .collect()
    }
}

#[test]
fn a_transaction_goes_the_whole_way_and_every_node_agrees() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(700));
    let mut ids = Vec::new();
    for salt in 0..50 {
        let transaction = world.transfer(salt);
        ids.push(transaction.id());
        world.submit(&transaction);
        world.run_for(Duration::from_millis(20));
    }
    world.run_for(Duration::from_secs(2));
    for id in &ids {
        let statuses = world.statuses(*id);
        assert!(matches!(statuses[..], [Status::Received, Status::Included(_)]), "{statuses:?}");
        let Status::Included(slice) = statuses[1] else { panic!() };
        assert!(world.finals.last().unwrap().1.height >= slice.height, "told final");
    }
    assert_eq!(world.core(0).stats().accepted, 50);
    for index in 0..4 {
        assert_eq!(world.core(index).stats().final_transactions, 50, "node {index}");
        assert_eq!(world.core(index).stats().executed, 50, "each executes its own");
        assert_eq!(world.nodes[index].as_ref().unwrap().verify.counters().transactions, 50, "each verifies its own");
        assert!(world.core(index).ledger.supply(&world.core(index).ledger.final_slice().id).unwrap().is_conserved());
    }
}

#[test]
fn the_four_levels_come_in_order_and_soon() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(1_000));
    let transaction = world.transfer(1);
    let sent_at = world.now;
    world.submit(&transaction);
    world.run_for(Duration::from_secs(1));
    let at = |wanted: fn(&Status) -> bool| {
        world.told.iter().find(|(_, _, status)| wanted(status)).map(|(at, _, _)| at.since(sent_at)).unwrap()
    };
    let received = at(|status| matches!(status, Status::Received));
    let included = at(|status| matches!(status, Status::Included(_)));
    assert!(received < Duration::from_millis(1) && received <= included && included <= Duration::from_millis(60));
    let slice = match world.statuses(transaction.id())[1] {
        Status::Included(slice) => *slice,
        other => panic!("{other:?}"),
    };
    let final_at = world.finals.iter().find(|(_, told)| told.height >= slice.height).unwrap().0;
    assert!(final_at.since(sent_at) < Duration::from_millis(300), "{:?}", final_at.since(sent_at));
}

#[test]
fn bad_transactions_are_refused_with_their_reason() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(700));
    let good = world.transfer(1);
    let mut wrong_chain = good.body.clone();
    wrong_chain.chain = ChainId(Hash([9; 32]));
    let mut expired = good.body.clone();
    expired.expiry_ms = 5;
    let mut rich = good.body.clone();
    rich.actions = vec![token::transfer_action(name("alice"), name("bobby"), Amount(u128::MAX))];
    let mut unsigned = good.clone();
    unsigned.signatures.clear();
    let sign = |body| Transaction::sign(body, &[&keys(3, 0)]);
    let cases = [
        (sign(wrong_chain), RejectReason::WrongChain),
        (sign(expired), RejectReason::Expired),
        (sign(rich), RejectReason::Overdrawn),
        (unsigned, RejectReason::BadSignature),
        (Transaction::sign(world.transfer(2).body, &[&keys(3, 1)]), RejectReason::Unauthorised),
    ];
    for (transaction, reason) in cases {
        world.submit(&transaction);
        world.run_for(Duration::from_millis(5));
        assert_eq!(world.statuses(transaction.id()), [&Status::Rejected(reason)]);
    }
    world.submit(&good);
    world.run_for(Duration::from_millis(5));
    world.submit(&good);
    world.run_for(Duration::from_millis(5));
    let statuses = world.statuses(good.id());
    assert!(statuses.contains(&&Status::Rejected(RejectReason::Duplicate)), "{statuses:?}");
    world.give(0, Input::Message { session: TERMINAL, kind: kind::SUBMIT_TRANSACTION, body: vec![1, 2, 3] });
    world.run_for(Duration::from_millis(5));
    assert_eq!(world.statuses(Hash::of(&[1, 2, 3])), [&Status::Rejected(RejectReason::Malformed)]);
}

#[test]
fn a_transaction_that_comes_again_by_another_session_is_followed_there() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(700));
    let transaction = world.transfer(1);
    world.submit(&transaction);
    world.run_for(Duration::from_millis(60));
    assert_eq!(world.statuses(transaction.id()).len(), 2, "received, included");
    world.told.clear();
    // The terminal lost its session and sends again what is open.
    let again = SessionId { index: TERMINAL.index, generation: 1 };
    let peer = Some(keys(9, 0).public());
    world.give(0, Input::Closed { session: TERMINAL });
    world.give(0, Input::Opened { session: again, peer, class: Class::Terminal });
    let body = Message::SubmitTransaction(Box::new(transaction.clone())).encode();
    world.give(0, Input::Message { session: again, kind: kind::SUBMIT_TRANSACTION, body });
    let mut told = Vec::new();
    for _ in 0..10 {
        while let Some(output) = world.nodes[0].as_mut().and_then(|node| node.core.poll(world.now)) {
            if let Output::Card(Command::Send { session, message, .. }) = &output
                && *session == again
                && let Message::TransactionStatus(status) = Message::decode(message[4], &message[5..]).unwrap()
            {
                told.push(status.status);
                continue;
            }
            if !matches!(&output, Output::Card(Command::Send { session, .. }) if *session == again) {
                world.act(0, output);
            }
        }
        world.now += Duration::from_micros(50);
        while let Some(entry) = world.flying.first_entry().filter(|entry| entry.key().0 <= world.now) {
            let (to, input) = entry.remove();
            world.give(to, input);
        }
    }
    assert!(matches!(told[..], [Status::Received, Status::Included(_)]), "{told:?}");
}

#[test]
fn a_terminal_may_not_speak_as_a_validator() {
    let mut world = World::new(4);
    world.give(0, Input::Message { session: TERMINAL, kind: kind::SLICE_BUNDLE, body: vec![0; 50] });
    assert_eq!(world.core(0).stats().bad_messages, 1);
}

/// A slice without transactions of the producer of `slot`, on `parent`, which `ledger` knows, and which then knows it.
fn empty_slice(
    ledger: &mut Ledger<SharedStore>,
    genesis: &Genesis,
    (slot, index): (u64, u32),
    parent: Hash,
    change: impl FnOnce(&mut SliceBody),
) -> SliceBundle {
    let number = (slot % genesis.producers.len() as u64) as usize;
    let producer = Producer::new(producer_name(number), Arc::new(keys(1, number)), beacon(number));
    let schedule = genesis.schedule();
    let beacon = producer.beacon(&schedule, &genesis.chain_id(), Slot(slot)).filter(|_| index == 0);
    let mut body = SliceBody {
        version: SliceBody::VERSION,
        chain: genesis.chain_id(),
        epoch: schedule.epoch,
        slot: Slot(slot),
        index,
        last: false,
        parent,
        producer: producer.name,
        transactions_root: Hash::ZERO,
        results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
        source: Certificate::genesis(genesis.genesis_slice()),
        beacon: beacon.unwrap_or(Beacon::None),
        next: NextSchedule::None,
    };
    let office = Office { schedule: Arc::new(schedule), confirmers: Vec::new() };
    let executed = ledger.build(&parent, &context_of(&body, office), []).unwrap().executed;
    (body.transactions_root, body.results) = (executed.transactions_root, executed.results);
    change(&mut body);
    let slice = Slice::sign(body, &keys(1, number));
    ledger.insert(slice.reference(), parent, executed).unwrap();
    SliceBundle { slice, transactions: Vec::new() }
}

#[test]
fn a_slice_that_found_no_room_is_taken_when_others_build_on_it() {
    let mut world = World::new(4);
    for index in 0..3 {
        world.kill(index);
    }
    world.run_for(Duration::from_millis(700));
    let genesis = world.genesis.genesis_slice().id;
    let mut ledger = Ledger::open(&world.genesis, SharedStore::default()).unwrap();
    let wrong = empty_slice(&mut ledger, &world.genesis, (1, 0), genesis, |body| body.results.hash = Hash::ZERO);
    let other = empty_slice(&mut ledger, &world.genesis, (1, 0), genesis, |body| body.last = true);
    let third = empty_slice(&mut ledger, &world.genesis, (1, 0), genesis, |_| {});
    let child = empty_slice(&mut ledger, &world.genesis, (1, 1), third.slice.id(), |_| {});
    let mut give = |bundle: &SliceBundle| {
        let body = Message::SliceBundle(Box::new(bundle.clone())).encode();
        world.give(3, Input::Message { session: session(0), kind: kind::SLICE_BUNDLE, body });
        world.run_for(Duration::from_millis(5));
    };
    // Two slices at one height prove a fault; a third finds no room.
    for bundle in [&wrong, &other, &third] {
        give(bundle);
    }
    // Now something asks for it, so it is asked for, and comes again.
    give(&child);
    give(&third);
    assert!(world.core(3).engine().holds(&third.slice.id()));
    assert!(world.core(3).ledger.knows(&child.slice.id()), "both were executed");
}

#[test]
fn a_slice_from_ahead_of_time_is_taken_when_its_slot_has_come() {
    let mut world = World::new(4);
    for index in 0..3 {
        world.kill(index);
    }
    world.run_for(Duration::from_millis(700));
    let mut ledger = Ledger::open(&world.genesis, SharedStore::default()).unwrap();
    let genesis = world.genesis.genesis_slice().id;
    let early = empty_slice(&mut ledger, &world.genesis, (2, 0), genesis, |_| {});
    let body = Message::SliceBundle(Box::new(early.clone())).encode();
    for _ in 0..2 {
        let input = Input::Message { session: session(0), kind: kind::SLICE_BUNDLE, body: body.clone() };
        world.give(3, input);
        world.run_for(Duration::from_millis(600));
    }
    assert!(world.core(3).ledger.knows(&early.slice.id()));
}

#[test]
fn all_killed_at_once_go_on_where_the_log_ends() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(700));
    let mut told = BTreeSet::new();
    for round in 0..6_u64 {
        for salt in 0..10 {
            let transaction = world.transfer(round * 100 + salt);
            world.submit(&transaction);
            world.run_for(Duration::from_millis(17));
        }
        world.run_for(Duration::from_millis(100 * round));
        let final_told = world.finals.last().unwrap().1;
        for (_, id, status) in &world.told {
            if let Status::Included(slice) = status
                && slice.height <= final_told.height
            {
                told.insert(*id);
            }
        }
        let disks: Vec<_> = (0..4).map(|index| world.kill(index)).collect();
        world.flying.clear();
        world.now += Duration::from_millis(333);
        for (index, (folder, disk)) in disks.into_iter().enumerate() {
            world.start(index, folder, disk);
        }
        for index in 0..4 {
            assert!(world.core(index).last_final().height >= final_told.height, "node {index} in round {round}");
        }
        world.mesh();
        world.run_for(Duration::from_secs(3));
    }
    assert!(told.len() >= 40, "{}", told.len());
    let core = world.core(2);
    let held: BTreeSet<Hash> =
        core.finals_kept.iter().flat_map(|id| core.bodies[id].transactions.iter().map(Checked::id)).collect();
    assert!(told.is_subset(&held), "nothing told final is lost");
    let tip = world.core(0).last_final().height;
    assert!(tip.slot.0 > 25, "the chain goes on after each restart: {tip:?}");
}

#[test]
fn the_store_waits_for_a_slow_log() {
    let mut world = World::new(4);
    world.sync_takes = Duration::from_millis(150);
    world.run_for(Duration::from_secs(10));
    assert!(world.commits >= 4 * 5, "{}", world.commits);
}

#[test]
fn nobody_is_shown_a_slot_before_the_log_holds_its_first_slice() {
    let mut world = World::new(4);
    world.sync_takes = Duration::from_millis(80);
    let shown = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&shown);
    world.tamper = Some(Box::new(move |from, _, whole| {
        if let Ok(Message::SliceBundle(bundle)) = Message::decode(whole[0], &whole[1..]) {
            let body = bundle.slice.body;
            into.borrow_mut().extend((body.index == 0 && body.producer == producer_name(from)).then_some(body.slot));
        }
    }));
    let mut slots = BTreeSet::new();
    for _ in 0..400 {
        world.run_for(Duration::from_millis(10));
        // Whoever comes is shown the head.
        world.mesh();
        for slot in shown.borrow_mut().drain(..) {
            let begun = world.genesis.slot_start_ms(slot) - WALL_AT_ZERO;
            assert!(world.now.as_millis() >= begun + 80, "slot {slot:?} at {:?}", world.now);
            slots.insert(slot);
        }
    }
    assert!(slots.len() > 4, "{slots:?}");
}

#[test]
fn a_store_that_is_ahead_of_its_log_is_refused_by_name() {
    let mut world = World::new(4);
    world.run_for(Duration::from_secs(5));
    let (folder, disk) = world.kill(0);
    let start = |folder: MemoryFolder| {
        let options = LogOptions::new(world.genesis.chain_id());
        let mark = WatermarkState::Known(Watermark::never_confirmed(producer_name(0), world.genesis.genesis_slice()));
        let clock = || Box::new(|| Instant::ZERO);
        let mut folder: Box<MemoryFolder> = Box::new(folder);
        let mut log = if ChainLog::exists(&mut *folder).unwrap() {
            ChainLog::open(folder, options, clock()).unwrap().0
        } else {
            ChainLog::create(folder, options, [0; 32], mark, clock()).unwrap()
        };
        Recovered::read(&world.genesis, disk.clone(), &mut log, None).map(|_| ())
    };
    start(folder).unwrap();
    let error = start(MemoryFolder::new()).unwrap_err();
    assert!(matches!(error, RecoverError::StoreAhead { .. }), "{error}");
}

#[test]
fn one_that_was_away_catches_up() {
    let mut world = World::new(4);
    world.run_for(Duration::from_millis(1_000));
    let (folder, disk) = world.kill(3);
    for salt in 0..20 {
        let transaction = world.transfer(salt);
        world.submit(&transaction);
        world.run_for(Duration::from_millis(100));
    }
    world.start(3, folder, disk);
    world.mesh();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.core(3).stats().final_transactions, 20);
    assert_eq!(world.roots().len(), 1, "{:?}", world.roots());
}

/// Four validators, the last away from the start, with epochs of eight slots, and the three others for `seconds`, with
/// some transactions on the way.
fn without_the_last(seconds: u64) -> (World, MemoryFolder, SharedStore) {
    let mut world = World::of(Genesis { epoch_slots: 8, ..genesis(4) });
    let (folder, disk) = world.kill(3);
    for salt in 0..seconds {
        let transaction = world.transfer(salt);
        world.submit(&transaction);
        world.run_for(Duration::from_secs(1));
    }
    (world, folder, disk)
}

impl World {
    /// Runs until a node has caught up, and some seconds on. How long it took.
    fn catch_up(&mut self, index: usize) -> Duration {
        let since = self.now;
        for _ in 0..600 {
            self.run_for(Duration::from_millis(100));
            if self.core(index).stats().sync.finished > 0 && !self.core(index).is_catching_up() {
                break;
            }
        }
        let took = self.now.since(since);
        self.run_for(Duration::from_secs(4));
        took
    }

    fn assert_level(&self, index: usize) {
        let (own, others) = (self.core(index), self.core(0));
        let stats = own.stats();
        let behind = others.last_final().height.slot.0.saturating_sub(own.last_final().height.slot.0);
        assert!(behind <= 2, "{behind} slots behind: {stats:?}");
        assert_eq!(stats.final_transactions, others.stats().final_transactions);
        let at = own.ledger.final_slice();
        if let Ok(root) = others.ledger.state_root(&at.id) {
            assert_eq!(own.ledger.state_root(&at.id).unwrap(), root);
        }
    }
}

#[test]
fn one_that_is_new_catches_up_over_epochs_from_the_logs_of_the_others() {
    let (mut world, folder, disk) = without_the_last(100);
    let slices = world.core(0).stats().final_slices;
    assert!(slices > FINAL_SLICES_KEPT_MAX as u64 + 300, "{slices}: only the log has them all");
    let in_force = world.core(0).engine.in_force().epoch;
    assert!(in_force.0 >= 10, "{in_force:?}");
    let now = world.now;
    world.start(3, folder, disk);
    world.mesh();
    let took = world.catch_up(3);
    world.assert_level(3);
    let sync = &world.core(3).stats().sync;
    assert!(sync.slices > slices - 100 && sync.banned == 0 && sync.rounds == 1, "{sync:?}");
    assert!(took < Duration::from_secs(20), "{took:?} since {now:?}");
    let served: Vec<u64> = (0..3).map(|index| world.core(index).stats().served).collect();
    assert!(served.iter().all(|count| *count > slices / 10), "all take part: {served:?}");
    assert!(world.core(3).bodies.len() < 2 * FINAL_SLICES_KEPT_MAX, "{}", world.core(3).bodies.len());
}

#[test]
fn one_that_lies_in_the_middle_is_closed_and_the_rest_comes_from_the_others() {
    let (mut world, folder, disk) = without_the_last(60);
    world.start(3, folder, disk);
    let mut lies = 0;
    world.tamper = Some(Box::new(move |from, to, message| {
        // One byte in the middle of every fourth piece of validator 1.
        if (from, to, message[0]) == (1, 3, kind::CHAIN_PIECE) && message.len() > 2_000 {
            lies += 1;
            let at = message.len() / 2;
            message[at] ^= u8::from(lies % 4 == 2);
        }
    }));
    world.mesh();
    world.catch_up(3);
    world.assert_level(3);
    assert!(world.closed.contains(&(3, 1)) && world.closed.iter().all(|with| *with == (3, 1)), "{:?}", world.closed);
    assert!(world.core(3).stats().sync.finished == 1);
}

#[test]
fn one_that_is_cut_off_while_it_catches_up_goes_on_from_its_disk() {
    let (mut world, folder, disk) = without_the_last(60);
    world.start(3, folder, disk);
    world.mesh();
    let part = world.core(0).last_final().height.slot.0 / 4;
    while world.core(3).last_final().height.slot.0 < part {
        world.run_for(Duration::from_micros(200));
    }
    assert!(world.core(3).is_catching_up());
    let taken = world.core(3).stats().sync.slices;
    let (folder, disk) = world.kill(3);
    world.flying.clear();
    world.run_for(Duration::from_secs(2));
    world.start(3, folder, disk);
    let kept = world.core(3).last_final().height.slot.0;
    assert!(kept >= part, "{kept} of {part}");
    world.mesh();
    world.catch_up(3);
    let again = world.core(3).stats().sync.slices;
    assert!(taken > 100 && again < world.core(0).stats().final_slices - taken / 2, "{taken} and {again}");
    let behind = world.core(0).last_final().height.slot.0.saturating_sub(world.core(3).last_final().height.slot.0);
    assert!(behind <= 2);
}

#[test]
fn while_one_catches_up_the_others_go_on() {
    let (mut world, folder, disk) = without_the_last(20);
    let before = world.core(0).last_final().height.slot.0;
    world.start(3, folder, disk);
    world.mesh();
    for salt in 1_000..1_020 {
        let transaction = world.transfer(salt);
        world.submit(&transaction);
        world.run_for(Duration::from_millis(100));
    }
    world.run_for(Duration::from_secs(4));
    assert!(world.core(0).last_final().height.slot.0 >= before + 8);
    world.assert_level(3);
}

/// Two chains of one genesis and the same keys: the second as long as the first and longer, with certificates as good.
/// Node 0 has the first, nodes 1 and 2 the second, node 3 is new; between them no session is open. With a final slice of
/// the first that the second has not.
fn long_range() -> (World, MemoryFolder, SharedStore, SliceRef) {
    let run = |salts: std::ops::Range<u64>, until: u64| {
        let mut world = World::of(Genesis { epoch_slots: 8, ..genesis(4) });
        let disk = world.kill(3);
        let mut at_half = None;
        for (second, salt) in salts.enumerate() {
            let transaction = world.transfer(salt);
            world.submit(&transaction);
            world.run_for(Duration::from_secs(1));
            if second == 15 {
                at_half = Some(world.core(0).last_final());
            }
            if second as u64 == until {
                world.kill(2);
            }
        }
        world.run_for(Duration::from_secs(2));
        (world, disk, at_half.unwrap())
    };
    let (mut first, (folder, disk), checkpoint) = run(0..40, 30);
    let (mut second, _, _) = run(1_000..1_040, 40);
    for world in [&mut first, &mut second] {
        for index in 0..3 {
            for other in (0..3).filter(|other| *other != index) {
                world.give(index, Input::Closed { session: session(other) });
            }
        }
        world.flying.clear();
    }
    for index in [1, 2] {
        first.nodes[index] = second.nodes[index].take();
    }
    let ends = [0, 1].map(|index| first.core(index).last_final().height);
    assert!(ends[1].slot.0 > ends[0].slot.0 + 5, "the false chain is the longer one: {ends:?}");
    (first, folder, disk, checkpoint)
}

impl World {
    fn meet(&mut self, index: usize, other: usize) {
        for (own, with) in [(index, other), (other, index)] {
            let peer = Some(keys(4, with).public());
            self.give(own, Input::Opened { session: session(with), peer, class: Class::Validator });
        }
    }

    fn holds_final(&mut self, index: usize, slice: SliceRef) -> bool {
        let log = &mut self.nodes[index].as_mut().unwrap().log;
        let mut walk = log.walk_finals(slice.height, slice.height.slot).unwrap();
        loop {
            match log.step_finals(&mut walk).unwrap() {
                hpb_ledger::chainlog::WalkStep::Slice(found) => return found.slice.reference() == slice,
                hpb_ledger::chainlog::WalkStep::Walked => {}
                hpb_ledger::chainlog::WalkStep::End => return false,
            }
        }
    }
}

#[test]
fn without_a_checkpoint_old_keys_take_a_new_node_onto_their_chain() {
    let (mut world, folder, disk, checkpoint) = long_range();
    world.start(3, folder, disk);
    world.meet(3, 1);
    world.run_for(Duration::from_secs(20));
    assert!(world.core(3).last_final().height > checkpoint.height, "{:?}", world.core(3).stats().sync);
    assert!(!world.holds_final(3, checkpoint), "every signature and certificate of it is good");
}

#[test]
fn with_a_checkpoint_a_new_node_refuses_the_chain_of_old_keys_and_takes_the_right_one() {
    let (mut world, folder, disk, checkpoint) = long_range();
    world.checkpoint = Some(checkpoint);
    world.start(3, folder, disk);
    world.meet(3, 1);
    world.meet(3, 2);
    world.run_for(Duration::from_secs(20));
    assert!(world.closed.contains(&(3, 1)) && world.closed.contains(&(3, 2)), "{:?}", world.closed);
    assert_eq!(world.core(3).last_final(), world.genesis.genesis_slice(), "nothing of it is final here");
    assert_eq!(world.core(3).stats().served, 0);
    world.meet(3, 0);
    world.run_for(Duration::from_secs(20));
    assert!(world.core(3).last_final().height >= checkpoint.height, "{:?}", world.core(3).stats().sync);
    assert!(world.holds_final(3, checkpoint));
    assert!(!world.closed.contains(&(3, 0)));
    let last = world.core(3).last_final();
    assert!(world.holds_final(0, last), "{last}");
}

#[test]
fn a_log_that_contradicts_the_checkpoint_is_refused_by_name() {
    let (mut world, _, _, checkpoint) = long_range();
    let read = |world: &mut World, index: usize, checkpoint| {
        let genesis = world.genesis.clone();
        let node = world.nodes[index].as_mut().unwrap();
        Recovered::read(&genesis, SharedStore::default(), &mut node.log, None)
            .unwrap()
            .hold_to(checkpoint, &mut node.log)
    };
    assert!(read(&mut world, 0, Some(checkpoint)).is_ok());
    let Err(error) = read(&mut world, 1, Some(checkpoint)) else { panic!("another chain's log passed") };
    let RecoverError::Checkpoint { found: Some(found), .. } = error else { panic!("{error}") };
    assert_eq!(found.height, checkpoint.height);
    let text = error.to_string();
    assert!(text.contains(&checkpoint.to_text()) && text.contains(&found.to_text()), "{text}");
    let nowhere = SliceRef { height: Height { index: 9_999, ..checkpoint.height }, ..checkpoint };
    assert!(matches!(read(&mut world, 0, Some(nowhere)), Err(RecoverError::Checkpoint { found: None, .. })));
    let genesis = world.genesis.genesis_slice();
    assert!(read(&mut world, 0, Some(genesis)).is_ok());
    let other = SliceRef { id: Hash([1; 32]), ..genesis };
    assert!(matches!(read(&mut world, 0, Some(other)), Err(RecoverError::Checkpoint { .. })));
    assert!(read(&mut world, 0, None).is_ok());
}

/// A light terminal of the world's chain.
fn light(world: &World) -> Light<Dpos> {
    let genesis = &world.genesis;
    let anchor = Anchor::genesis(genesis.genesis_slice(), crate::engine::first_schedules(genesis));
    let config = EngineConfig::new(genesis, None, UnixMillis(WALL_AT_ZERO));
    Light::start(config, anchor, crate::engine::verifier(genesis), world.now)
}

/// Asks node 0 as its terminal for headers until there are no more. Gives all of them.
fn follow(world: &mut World, light: &mut Light<Dpos>) -> Vec<Slice> {
    let mut all = Vec::new();
    for request in 1.. {
        let wanted = RangeRequest { request, from: light.wanted(), to: Slot(u64::MAX) };
        let body = Message::HeadersRequest(wanted).encode();
        world.headers.clear();
        world.give(0, Input::Message { session: TERMINAL, kind: kind::HEADERS_REQUEST, body });
        world.run_for(Duration::from_millis(2));
        let Some(answer) = world.headers.pop() else { panic!("no answer to {wanted:?}") };
        assert_eq!(answer.request, request);
        all.extend(answer.slices.iter().cloned());
        light.handle(world.now, answer.slices);
        while let Some(told) = light.poll(world.now) {
            assert!(matches!(told, Told::Final(_)), "{told:?}");
        }
        match answer.end {
            PieceEnd::Cut => {}
            PieceEnd::Done | PieceEnd::NotHere => break,
            end => panic!("{end:?}"),
        }
    }
    all
}

#[test]
fn a_terminal_follows_headers_from_genesis_over_epochs_by_what_a_node_serves() {
    let (mut world, _, _) = without_the_last(40);
    let mut light = light(&world);
    let headers = follow(&mut world, &mut light);
    let (own, served) = (light.last_final().height, headers.last().unwrap().reference());
    assert!(own.slot.0 + 1 >= served.height.slot.0 && served.height.slot.0 > 40, "{own:?} of {served:?}");
    assert!(light.in_force().epoch.0 >= 4, "{:?}", light.in_force().epoch);
    let epoch = headers.last().unwrap().body.epoch;
    assert_eq!(light.in_force().epoch, epoch);
    let others = world.core(1).engine.schedules().get(epoch).cloned();
    assert!(others.is_none_or(|schedule| schedule == *light.in_force()));
    for slice in headers.iter().filter(|slice| slice.body.height() <= own) {
        assert_eq!(light.finality(&slice.reference()), Finality::Final);
    }
    assert!(world.holds_final(1, light.last_final()));
    // It goes on from where it is.
    world.run_for(Duration::from_secs(5));
    follow(&mut world, &mut light);
    assert!(light.last_final().height > own);
}

/// What is forged, how, and what is said of it.
type Forgery<'a> = (&'a str, &'a dyn Fn(&mut Slice), VerifyError);

#[test]
fn headers_with_forged_words_are_refused_by_name() {
    let (mut world, _, _) = without_the_last(10);
    let mut whole = light(&world);
    let honest = follow(&mut world, &mut whole);
    let at = honest.iter().position(|slice| slice.body.slot.0 >= 6 && slice.body.index == 0).unwrap();
    let signed_by = |slice: &mut Slice| {
        let index = (0..4).find(|index| producer_name(*index) == slice.body.producer).unwrap();
        *slice = Slice::sign(slice.body.clone(), &keys(1, index));
    };
    let forge: [Forgery<'_>; 5] = [
        ("another's signature", &|slice| *slice = Slice::sign(slice.body.clone(), &keys(1, 9)), VerifyError::Signature),
        ("a body changed", &|slice| slice.body.results.hash.0[0] ^= 1, VerifyError::Signature),
        (
            "a confirm that nobody signed",
            &|slice| {
                slice.body.source.quorums[0].signatures[1].0[7] ^= 1;
                signed_by(slice);
            },
            VerifyError::Certificate(CertificateError::Signature(producer_name(0))),
        ),
        (
            "two of four",
            &|slice| {
                let quorum = &mut slice.body.source.quorums[0];
                let kept: Vec<usize> = quorum.producers.iter().take(2).collect();
                quorum.producers = hpb_types::Bitmap::default();
                for index in kept {
                    assert!(quorum.producers.insert(index));
                }
                quorum.signatures.truncate(2);
                signed_by(slice);
            },
            VerifyError::Certificate(CertificateError::Weight(Epoch(0))),
        ),
        (
            "another's part of the beacon",
            &|slice| {
                slice.body.beacon = honest[0].body.beacon;
                signed_by(slice);
            },
            VerifyError::Beacon,
        ),
    ];
    for (what, forge, expected) in forge {
        let mut forged = honest.clone();
        forge(&mut forged[at]);
        let mut light = light(&world);
        light.handle(world.now, forged.clone());
        let refused: Vec<Told> =
            std::iter::from_fn(|| light.poll(world.now)).filter(|told| matches!(told, Told::Refused(_))).collect();
        let [Told::Refused(LightError::Unverified { header, error })] = refused[..] else {
            panic!("{what}: {refused:?}")
        };
        assert_eq!(header, forged[at].reference(), "{what}");
        let same = match (error, expected) {
            // Whichever of the set it was.
            (VerifyError::Certificate(of), VerifyError::Certificate(like)) => {
                std::mem::discriminant(&of) == std::mem::discriminant(&like)
            }
            (of, like) => of == like,
        };
        assert!(same, "{what}: {error}");
        let before = honest[at - 1].body.height();
        assert_eq!(light.wanted(), Height { index: before.index + 1, ..before }, "{what}");
        light.handle(world.now, honest[at..].to_vec());
        assert_eq!(light.last_final(), whole.last_final(), "{what}: the rest comes from another");
    }
}
