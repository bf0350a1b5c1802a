//! Validators on a wire whose workers take their turns on one thread, on virtual time, over real links.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hpb_base::{Duration, Instant, UnixMillis};
use hpb_ledger::chainlog::{LogOptions, MemoryFolder};
use hpb_ledger::store::Visit;
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_ledger::{FinalPoint, MemoryStore, StoreError, token};
use hpb_net::wire::WireBuilder;
use hpb_toe::{Call, Class, Event, EventBatch, Group, Identity};
use hpb_types::message::Message;
use hpb_types::{
    AccountName, Amount, Authorisation, DposParameters, EngineChoice, Fees, Genesis, GenesisAccount, GenesisProducer,
    KeyPair, Transaction, TransactionBody, VrfSecret,
};

use crate::core::Producer;

use super::super::*;
use crate::runtime::{Activity, Options, StopFlag, Worker, cores_allowed};
use crate::topology::{Demand, Topology};

pub(super) const WALL_AT_ZERO: u64 = 1_700_000_000_000;
pub(super) const VALIDATORS_PORT: u16 = 30_303;
pub(super) const TERMINALS_PORT: u16 = 30_304;

/// The workers of validator 0, behind the terminal's.
const FIRST: std::ops::Range<usize> = 1..7;

/// A store whose committed state outlives its owners, and that can be broken.
#[derive(Clone, Default)]
pub(super) struct Disk {
    held: Arc<Mutex<MemoryStore>>,
    broken: Arc<AtomicBool>,
}

impl Disk {
    pub(super) fn break_it(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    fn checked(&self) -> Result<std::sync::MutexGuard<'_, MemoryStore>, StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::DiskFull { path: "/data/state".to_owned(), commit: 1 });
        }
        Ok(self.held.lock().unwrap())
    }
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.checked()?.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.checked()?.scan(prefix, visit)
    }

    fn commit(&mut self, batch: &FinalBatch) -> Result<(), StoreError> {
        self.checked()?.commit(batch)
    }

    fn final_point(&self) -> Result<Option<FinalPoint>, StoreError> {
        self.checked()?.final_point()
    }
}

pub(super) fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

pub(super) fn keys(tag: u8, index: usize) -> KeyPair {
    let mut seed = [tag; 32];
    seed[0] = index as u8;
    KeyPair::from_seed(seed)
}

/// The key of a producer's part of the beacon.
pub(super) fn beacon(index: usize) -> VrfSecret {
    VrfSecret::from_seed([index as u8 + 1; 32])
}

pub(super) fn producer_name(index: usize) -> AccountName {
    name(&format!("validator-{index}"))
}

pub(super) fn genesis(count: usize) -> Genesis {
    let producers = (0..count).map(|index| (producer_name(index), keys(2, index), Amount(5)));
    let people = ["alice", "bobby"].into_iter().enumerate();
    let people = people.map(|(index, owner)| (name(owner), keys(3, index), Amount::ONE));
    let mut accounts: Vec<GenesisAccount> = producers
        .chain(people)
        .map(|(name, keys, balance)| GenesisAccount { name, key: keys.public(), balance, vesting: Vec::new() })
        .collect();
    accounts.sort_by_key(|account| account.name);
    let producer = |index| GenesisProducer {
        name: producer_name(index),
        key: keys(1, index).public(),
        beacon: beacon(index).public(),
        bond: Amount::ZERO,
    };
    let genesis = Genesis {
        version: Genesis::VERSION,
        label: "workers test".to_owned(),
        time_ms: WALL_AT_ZERO,
        slot_ms: 600,
        slice_ms: 50,
        delta_ms: 50,
        epoch_slots: 100,
        fees: Fees { per_byte: Amount(10), ..Fees::NONE },
        deposit_per_byte: Amount::ZERO,
        engine: EngineChoice::Dpos(DposParameters { bond_min: Amount::ZERO, ..DposParameters::preset() }),
        producers: (0..count).map(producer).collect(),
        accounts,
    };
    genesis.validate().unwrap();
    genesis
}

pub(super) fn transfer(genesis: &Genesis, salt: u64) -> Transaction {
    let body = TransactionBody {
        version: TransactionBody::VERSION,
        chain: genesis.chain_id(),
        payer: name("alice"),
        authorisations: vec![Authorisation { account: name("alice"), permission: hpb_ledger::account::ACTIVE }],
        actions: vec![token::transfer_action(name("alice"), name("bobby"), Amount(7))],
        expiry_ms: WALL_AT_ZERO + 300_000,
        fee_limit: Amount(1_000_000),
        salt,
    };
    Transaction::sign(body, &[&keys(3, 0)])
}

pub(super) fn log(genesis: &Genesis, index: usize, folder: &MemoryFolder) -> ChainLog {
    let mark = Watermark::never_confirmed(producer_name(index), genesis.genesis_slice());
    let options = LogOptions { segment_len: 1 << 20, ..LogOptions::new(genesis.chain_id()) };
    let state = WatermarkState::Known(mark);
    ChainLog::create(Box::new(folder.clone()), options, [index as u8; 32], state, Box::new(|| Instant::ZERO)).unwrap()
}

pub(super) fn identity(genesis: &Genesis, index: usize) -> Arc<Identity> {
    Arc::new(Identity::new([index as u8 + 100; 32], genesis.chain_id()))
}

pub(super) fn core_config(genesis: &Genesis, index: usize) -> CoreConfig {
    CoreConfig {
        genesis: genesis.clone(),
        producer: Some(Producer::new(producer_name(index), Arc::new(keys(1, index)), beacon(index))),
        reporter: None,
        validators: (0..genesis.producers.len()).map(|other| identity(genesis, other).public()).collect(),
        identity: Some(identity(genesis, index).public()),
        onlookers: Vec::new(),
        wall_at_zero: UnixMillis(WALL_AT_ZERO),
        commit_every: Duration::from_secs(1),
        silent_when_idle: false,
    }
}

pub(super) fn core(genesis: &Genesis, index: usize, log: &mut ChainLog, disk: &Disk, now: Instant) -> Core<Disk> {
    let recovered = Recovered::read(genesis, disk.clone(), log, Some(&producer_name(index))).unwrap();
    Core::new(core_config(genesis, index), recovered, now)
}

pub(super) fn address(port: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, port as u8 + 1])
}

pub(super) fn lane_config(genesis: &Genesis, port: usize) -> LaneConfig {
    LaneConfig::new(vec![(address(port), 8)], Some(identity(genesis, port)), [port as u8 + 1; 32])
}

pub(super) fn listen() -> Vec<Command> {
    vec![
        Command::Listen { port: VALIDATORS_PORT, class: Class::Validator, encrypted: true },
        Command::Listen { port: TERMINALS_PORT, class: Class::Terminal, encrypted: true },
    ]
}

pub(super) fn call(genesis: &Genesis, from: usize, to: usize, class: Class) -> Command {
    let port = if class == Class::Validator { VALIDATORS_PORT } else { TERMINALS_PORT };
    Command::Open(Call {
        remote: SocketAddr::new(address(to), port),
        local: SocketAddr::new(address(from), 0),
        class,
        responder: Some(identity(genesis, to).public()),
        identity: None,
        tag: 0,
        keep: true,
    })
}

/// A failure's sink.
pub(super) fn failures() -> (Fail, Rc<RefCell<Vec<String>>>) {
    let said: Rc<RefCell<Vec<String>>> = Rc::default();
    let into = said.clone();
    (Box::new(move |text| into.borrow_mut().push(text)), said)
}

/// A builder that is never started: where links come from.
pub(super) fn builder(nodes: usize) -> RuntimeBuilder {
    let cores = cores_allowed().unwrap().into_iter().take(1).collect();
    let topology = Topology::lay_out(&Demand::devnet(cores, nodes, 0)).unwrap();
    RuntimeBuilder::new(topology, Options::default(), Clock::start(), StopFlag::new().unwrap()).unwrap()
}

/// A card with one terminal, its own cryptography in its own turn.
pub(super) struct Terminal {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
    seen: Rc<RefCell<Vec<Message>>>,
    outbox: Rc<RefCell<VecDeque<Message>>>,
}

impl Worker for Terminal {
    fn turn(&mut self, now: Instant) -> Activity {
        let mut busy = self.port.rx_burst(now, &mut self.bursts) > 0;
        busy |= self.lane.receive(now, &mut self.bursts);
        while let Some(job) = self.lane.take_job() {
            busy = true;
            self.lane.finish_job(now, job.run());
        }
        let mut batch = EventBatch::default();
        self.lane.take_events(&mut batch);
        for event in batch.iter() {
            busy = true;
            match event {
                Event::Message { kind, body, .. } => self.seen.borrow_mut().push(Message::decode(kind, body).unwrap()),
                Event::Opened { session, .. } => {
                    self.lane.handle(now, Command::Join { session, group: Some(Group::Terminals) });
                }
                Event::Closed { .. } => {
                    let is_told = matches!(self.seen.borrow().last(), Some(Message::Goodbye(_)));
                    assert!(is_told, "the terminal's session is gone without a word");
                }
            }
        }
        if self.lane.members(Group::Terminals) > 0 {
            for message in self.outbox.borrow_mut().drain(..) {
                busy = true;
                let message = hpb_toe::framing::framed(message.kind(), &message.encode()).into();
                let (group, priority) = (Group::Terminals, hpb_toe::Priority::Normal);
                self.lane.handle(now, Command::Broadcast { group, priority, message });
            }
        }
        busy |= self.lane.transmit(now, &mut self.bursts);
        busy |= self.port.tx_burst(now, &mut self.bursts) > 0;
        if busy { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        [self.lane.wake_at(), self.port.wake_at()].into_iter().flatten().min()
    }
}

/// All of it.
pub(super) struct World {
    pub(super) genesis: Genesis,
    pub(super) handles: Vec<NodeHandle>,
    pub(super) failures: Rc<RefCell<Vec<String>>>,
    pub(super) seen: Rc<RefCell<Vec<Message>>>,
    pub(super) outbox: Rc<RefCell<VecDeque<Message>>>,
    workers: Vec<Box<dyn Worker>>,
    now: Cell<Instant>,
}

impl World {
    /// Validators in a mesh, and one terminal of the first.
    pub(super) fn new(count: usize) -> Self {
        let genesis = genesis(count);
        let now = Instant::from_millis(10);
        let mut wire = WireBuilder::new(1);
        for port in 0..=count {
            wire.port(&[address(port)]);
        }
        let mut ports = wire.build().unwrap();
        let mut builder = builder(count);
        let (seen, outbox) = (Rc::default(), Rc::default());
        let mut card = Lane::new(lane_config(&genesis, count), ports[count].capabilities(), now).unwrap();
        card.handle(now, call(&genesis, count, 0, Class::Uplink));
        let terminal = Terminal {
            lane: card,
            port: ports.pop().unwrap(),
            bursts: Bursts::new(4_096),
            seen: Rc::clone(&seen),
            outbox: Rc::clone(&outbox),
        };
        let (_, said) = failures();
        let mut world = Self {
            genesis,
            handles: Vec::new(),
            failures: said,
            seen,
            outbox,
            workers: vec![Box::new(terminal)],
            now: Cell::new(now),
        };
        for (index, port) in ports.into_iter().enumerate() {
            let ends = Ends::take(&mut builder, index).unwrap();
            world.add(index, port, ends);
        }
        world
    }

    fn add(&mut self, index: usize, port: WirePort, ends: Ends) {
        let (genesis, now) = (self.genesis.clone(), self.now.get());
        let said = &self.failures;
        let fail = || -> Fail {
            let into = Rc::clone(said);
            Box::new(move |text| into.borrow_mut().push(text))
        };
        let mut lane = Lane::new(lane_config(&genesis, index), port.capabilities(), now).unwrap();
        let calls = (0..index).map(|to| call(&genesis, index, to, Class::Validator));
        for command in listen().into_iter().chain(calls) {
            lane.handle(now, command);
        }
        let setup = LaneSetup {
            lane,
            port,
            bursts: Bursts::new(4_096),
            announced: true,
            slice_interval: Duration::from_millis(50),
            thread_cpu: Box::new(|| Duration::ZERO),
        };
        let (publisher, lane_readout) = Publisher::new(LaneReadout::default());
        let Ends { lanes, verifiers, chain, log: (entries, synced), store: (batches, committed), api } = ends;
        let links = lanes.into_iter().next().unwrap();
        self.workers.push(Box::new(LaneWorker::new(setup, links, publisher)));
        let (publisher, verify_readout) = Publisher::new(VerifyReadout::default());
        let links = verifiers.into_iter().next().unwrap();
        self.workers.push(Box::new(VerifyWorker::new(Verify::new(&genesis), links, publisher)));
        let (disk, folder) = (Disk::default(), MemoryFolder::new());
        let mut chain_log = log(&genesis, index, &folder);
        let core = core(&genesis, index, &mut chain_log, &disk, now);
        let (publisher, chain_readout) = Publisher::new(ChainReadout::starting(genesis.genesis_slice()));
        self.workers.push(Box::new(ChainWorker::new(core, chain, fail(), publisher)));
        let (publisher, log_readout) = Publisher::new(LogReadout::default());
        self.workers.push(Box::new(LogWorker::new(chain_log, entries, synced, fail(), publisher)));
        let (publisher, store_readout) = Publisher::new(StoreReadout::default());
        let writer = StoreWriter::new(disk, Box::new(|| Instant::ZERO));
        self.workers.push(Box::new(StoreWorker::new(writer, batches, committed, fail(), publisher)));
        self.workers.push(Box::new(ApiWorker::new(None, api)));
        self.handles.push(NodeHandle {
            chain: chain_readout,
            lanes: vec![lane_readout],
            verifiers: vec![verify_readout],
            log: log_readout,
            store: store_readout,
        });
    }

    /// Gives turns for `span` of virtual time: a microsecond a round while somebody is busy, then on to the next wish.
    pub(super) fn run_for(&mut self, span: Duration) {
        let until = self.now.get() + span;
        while self.now.get() < until {
            let mut now = self.now.get();
            let mut busy = false;
            for worker in &mut self.workers {
                busy |= worker.turn(now) == Activity::Busy;
            }
            let soon = now + Duration::from_micros(1);
            let wish = self.workers.iter().filter_map(|worker| worker.wake_at()).min();
            now = if busy { soon } else { wish.unwrap_or(until).max(soon).min(until) };
            self.now.set(now);
        }
    }

    /// The process of validator 0 ends, and nobody else's: how long it takes to part with its peers.
    pub(super) fn end_first(&mut self) -> Duration {
        let begin_at = self.now.get();
        loop {
            let now = self.now.get();
            let parted = self.workers[FIRST].iter_mut().filter_map(|worker| worker.part(now)).count();
            if parted == 0 {
                return now.since(begin_at);
            }
            for (index, worker) in self.workers.iter_mut().enumerate() {
                if !FIRST.contains(&index) {
                    worker.turn(now);
                }
            }
            self.now.set(now + Duration::from_micros(50));
        }
    }

    /// What [`end_first`](Self::end_first) leaves is finished, and never has a turn again.
    pub(super) fn finish_first(&mut self) {
        let now = self.now.get();
        self.workers.drain(FIRST).for_each(|mut worker| worker.finish(now));
    }

    pub(super) fn finish(&mut self) {
        for worker in &mut self.workers {
            worker.finish(self.now.get());
        }
    }
}
