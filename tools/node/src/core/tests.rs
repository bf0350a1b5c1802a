#![allow(clippy::unwrap_used)]

mod catching_up;
mod checkpoint;
mod disk;
mod headers;
mod history;
mod proofs;
mod questions;
mod rooted;
mod slices;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use hpb_ledger::chainlog::{ChainLog, LogOptions, MemoryFolder};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_ledger::{FinalPoint, SharedStore, token};
use hpb_types::message::{PieceEnd, RangeRequest, SliceBundle, Status, kind};
use hpb_types::{
    AccountName, Amount, Authorisation, Beacon, Certificate, DposParameters, EngineChoice, Fees, GenesisAccount,
    GenesisProducer, Height, KeyPair, NextSchedule, ResultsCommitment, SliceBody, Transaction, TransactionBody,
    VrfSecret,
};

use super::*;
use crate::verify::Verify;

const WALL_AT_ZERO: u64 = 1_700_000_000_000;
const DELAY: Duration = Duration::from_millis(5);
const SYNC: Duration = Duration::from_micros(300);
/// Who may ask about the card.
const ONLOOKER: PublicKey = PublicKey([77; 32]);
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
        .map(|index| GenesisAccount {
            name: producer_name(index),
            key: keys(2, index).public(),
            balance: Amount(5),
            vesting: Vec::new(),
        })
        .chain(["alice", "bobby"].iter().enumerate().map(|(index, owner)| GenesisAccount {
            name: name(owner),
            key: keys(3, index).public(),
            balance: Amount::ONE,
            vesting: Vec::new(),
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
        fees: Fees { per_byte: Amount(10), ..Fees::NONE },
        deposit_per_byte: Amount::ZERO,
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
            identity: None,
            onlookers: vec![ONLOOKER],
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
            Output::Card(Command::Close { session: with } | Command::Part { session: with, .. }) => {
                let other = with.index as usize;
                self.closed.push((index, other));
                self.give(index, Input::Closed { session: with });
                self.give(other, Input::Closed { session: session(index) });
            }
            Output::Card(_) | Output::Ask { .. } => {}
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
                let FinalPoint { slice, commit, .. } = batch.point;
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

    /// Whether a node's log has that slice at its height.
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
