//! A node without a chain behind it, cards of terminals, and the wire between them, on virtual time.

use core::num::{NonZeroU32, NonZeroU64};
use std::collections::BTreeSet;
use std::net::IpAddr;

use hpb_base::UnixMillis;
use hpb_net::Port;
use hpb_net::frame::Bursts;
use hpb_net::wire::{LinkConfig, WireBuilder, WirePort};
use hpb_toe::card::Group;
use hpb_toe::framing::framed;
use hpb_toe::{EventBatch, Identity, LaneConfig};
use hpb_types::{
    AccountName, Amount, Digest, DposParameters, EngineChoice, Fees, GenesisAccount, GenesisProducer, KeyPair, Outcome,
    SliceRef, SliceStatus, Status, Transaction, VrfSecret,
};

use crate::terminals::*;
use crate::workload::{Assignment, FITTED, Source, Workload};

pub(super) const PORT: u16 = 30_303;
const SLICE: Duration = Duration::from_millis(50);
/// Slices that a node's digest tells of; the oldest of them is final.
const DIGEST_SLICES: usize = 5;

pub(super) fn genesis() -> Genesis {
    let producers: Vec<GenesisProducer> = (0..4)
        .map(|n| GenesisProducer {
            name: AccountName::new(&format!("producer{n}")).unwrap(),
            key: KeyPair::from_seed([n + 1; 32]).public(),
            beacon: VrfSecret::from_seed([n + 1; 32]).public(),
            bond: Amount::ZERO,
        })
        .collect();
    let account = |producer: &GenesisProducer| GenesisAccount {
        name: producer.name,
        key: KeyPair::from_seed([99; 32]).public(),
        balance: Amount::ZERO,
        vesting: Vec::new(),
    };
    Genesis {
        version: Genesis::VERSION,
        label: "terminals".to_owned(),
        time_ms: 1_700_000_000_000,
        slot_ms: 3_000,
        slice_ms: 50,
        delta_ms: 20,
        epoch_slots: 10,
        fees: Fees { per_byte: Amount(3), ..Fees::NONE },
        deposit_per_byte: Amount::ZERO,
        engine: EngineChoice::Dpos(DposParameters { bond_min: Amount::ZERO, ..DposParameters::preset() }),
        accounts: producers.iter().map(account).collect(),
        producers,
    }
}

/// What the node does besides its duty.
#[derive(Clone, Copy)]
pub(super) struct Manners {
    /// Transactions of one slice, and places of the mempool.
    pub(super) slice_max: usize,
    pub(super) mempool_max: usize,
    /// Takes back the latest slice at every so many slices.
    pub(super) retracts_every: Option<u64>,
    /// Closes all sessions at this slice.
    pub(super) closes_at: Option<u64>,
    /// Refuses the transactions whose salt is divisible by 3, and lets those of the rest expire that 5 divides.
    pub(super) is_picky: bool,
}

pub(super) const POLITE: Manners =
    Manners { slice_max: usize::MAX, mempool_max: usize::MAX, retracts_every: None, closes_at: None, is_picky: false };

struct Slice {
    reference: SliceRef,
    ids: Vec<Hash>,
}

/// A node that is alone with its terminals: takes their transactions, and puts them into slices that others confirm as
/// they age.
pub(super) struct Node {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
    chain: ChainId,
    manners: Manners,
    slices: Vec<Slice>,
    ticks: u64,
    next_at: Instant,
    mempool: Vec<Hash>,
    senders: BTreeMap<Hash, SessionId>,
    finals: BTreeSet<Hash>,
    greeted: BTreeSet<SessionId>,
    pub(super) pongs: Vec<u64>,
    /// A hash over all that came.
    pub(super) heard: Hash,
    digests: Vec<Hash>,
}

pub(super) struct Card {
    pub(super) lane: Lane,
    port: WirePort,
    bursts: Bursts,
    pub(super) terminals: Terminals,
    told_final: Vec<Hash>,
}

/// A node and cards of terminals on a wire, on virtual time.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) cards: Vec<Card>,
    pub(super) now: Instant,
}

pub(super) struct Plan {
    pub(super) terminals: u32,
    pub(super) cards: u32,
    pub(super) pace: Pace,
    pub(super) seed: u64,
    pub(super) manners: Manners,
}

pub(super) fn fixed(rate_tps: u64) -> Pace {
    Pace::Fixed(NonZeroU64::new(rate_tps).unwrap())
}

pub(super) fn plan(terminals: u32, pace: Pace) -> Plan {
    Plan { terminals, cards: 1, pace, seed: 7, manners: POLITE }
}

pub(super) fn address(host: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, host as u8 + 1])
}

pub(super) fn node_identity() -> Identity {
    Identity::new([1; 32], genesis().chain_id())
}

pub(super) fn config(plan: &Plan, card: u32) -> TerminalsConfig {
    let workload = Arc::new(Workload::drawn(&FITTED, plan.seed, 300).unwrap());
    TerminalsConfig {
        node: SocketAddr::new(address(0), PORT),
        node_identity: node_identity().public(),
        addresses: vec![address(card as usize + 1)],
        terminals: share(plan.terminals, plan.cards, card),
        assignment: Arc::new(Assignment::new(&workload, NonZeroU32::new(plan.terminals).unwrap())),
        source: Source::new(workload, plan.seed),
        pace: plan.pace,
        seed: plan.seed,
        wall_at_zero: UnixMillis(genesis().time_ms),
    }
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let link = LinkConfig { delay: Duration::from_millis(2), ..LinkConfig::default() };
        let mut builder = WireBuilder::new(plan.seed).default_link(link);
        for host in 0..=plan.cards as usize {
            builder.port(&[address(host)]);
        }
        let now = Instant::from_millis(1_000);
        let mut hosts = builder.build().unwrap().into_iter().enumerate().map(|(host, port)| {
            let identity = (host == 0).then(|| Arc::new(node_identity()));
            let settings = LaneConfig {
                reconnect_min: Duration::from_millis(20),
                peer_timeout: Some(Duration::from_secs(1)),
                ..LaneConfig::new(vec![(address(host), 8)], identity, [host as u8; 32])
            };
            (Lane::new(settings, port.capabilities(), now).unwrap(), port, Bursts::new(4_096))
        });
        let (mut lane, port, bursts) = hosts.next().unwrap();
        lane.handle(now, Command::Listen { port: PORT, class: Class::Terminal, encrypted: true });
        let node = Node {
            lane,
            port,
            bursts,
            chain: genesis().chain_id(),
            manners: plan.manners,
            slices: Vec::new(),
            ticks: 0,
            next_at: now + SLICE,
            mempool: Vec::new(),
            senders: BTreeMap::new(),
            finals: BTreeSet::new(),
            greeted: BTreeSet::new(),
            pongs: Vec::new(),
            heard: Hash::ZERO,
            digests: Vec::new(),
        };
        let cards = (0..).zip(hosts).map(|(card, (lane, port, bursts))| Card {
            lane,
            port,
            bursts,
            terminals: Terminals::new(&genesis(), config(plan, card)).unwrap(),
            told_final: Vec::new(),
        });
        Self { node, cards: cards.collect(), now }
    }

    /// Sessions first, then submission for `seconds`, then a drain.
    pub(super) fn play(plan: &Plan, seconds: u64) -> Self {
        let mut world = Self::new(plan);
        world.run_for(Duration::from_secs(1));
        world.begin(Duration::from_secs(seconds));
        world.run_for(Duration::from_secs(seconds + 2));
        world
    }

    pub(super) fn begin(&mut self, span: Duration) {
        for card in &mut self.cards {
            card.terminals.begin(self.now, self.now + span);
        }
    }

    pub(super) fn terminals(&mut self) -> &mut Terminals {
        &mut self.cards[0].terminals
    }

    fn turn(&mut self) -> bool {
        let now = self.now;
        let mut busy = self.node.turn(now);
        for card in &mut self.cards {
            for digest in &self.node.digests {
                card.terminals.digest_sent(*digest, now);
            }
            busy |= exchange(now, &mut card.lane, &mut card.port, &mut card.bursts);
            let mut batch = EventBatch::default();
            card.lane.take_events(&mut batch);
            for event in batch.iter() {
                card.terminals.event(now, event);
            }
            busy |= !batch.is_empty();
            busy |= card.terminals.poll(now, &mut card.lane);
            let before = card.told_final.len();
            card.terminals.take_told_final(&mut card.told_final);
            let told = &card.told_final[before..];
            assert!(told.iter().all(|id| self.node.finals.contains(id)), "only what is final is told final");
        }
        self.node.digests.clear();
        busy
    }

    pub(super) fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let mut turns = 0;
            while self.turn() {
                turns += 1;
                assert!(turns < 1_000_000, "the world does not come to rest");
            }
            let cards = self.cards.iter();
            let wakes = cards
                .flat_map(|card| [card.lane.wake_at(), card.port.wake_at(), card.terminals.wake_at()])
                .chain([self.node.lane.wake_at(), self.node.port.wake_at(), Some(self.node.next_at)]);
            match wakes.flatten().min() {
                Some(at) if at <= until => self.now = at.max(self.now + Duration::from_nanos(1)),
                _ => break,
            }
        }
        self.now = until;
    }

    /// Nothing is open, and all that was accepted and did not expire is final on both sides.
    pub(super) fn assert_all_final(&mut self) {
        for card in &self.cards {
            assert_eq!(card.terminals.outstanding(), 0);
            let counters = card.terminals.counters();
            assert_eq!(counters.finals + counters.expired, counters.accepted);
            assert_eq!((counters.malformed, counters.unknown, counters.finals_unlisted), (0, 0, 0));
        }
        let mut told: Vec<Hash> = self.cards.iter().flat_map(|card| card.told_final.iter().copied()).collect();
        told.sort_unstable();
        assert!(told.iter().eq(&self.node.finals), "each once");
    }
}

fn exchange(now: Instant, lane: &mut Lane, port: &mut WirePort, bursts: &mut Bursts) -> bool {
    let mut busy = port.rx_burst(now, bursts) > 0;
    busy |= lane.poll(now, bursts);
    while let Some(job) = lane.take_job() {
        busy = true;
        lane.finish_job(now, job.run());
    }
    busy | (port.tx_burst(now, bursts) > 0)
}

impl Node {
    fn turn(&mut self, now: Instant) -> bool {
        let mut busy = exchange(now, &mut self.lane, &mut self.port, &mut self.bursts);
        let mut batch = EventBatch::default();
        self.lane.take_events(&mut batch);
        for event in batch.iter() {
            if let Event::Message { session, kind, body, .. } = event {
                self.hear(now, session, kind, body);
            }
        }
        busy |= !batch.is_empty();
        if now >= self.next_at {
            self.next_at += SLICE;
            self.tick(now);
            busy = true;
        }
        busy
    }

    fn hear(&mut self, now: Instant, session: SessionId, kind: u8, body: &[u8]) {
        self.heard = Hash::of_parts("heard", &[&self.heard.0, &[kind], body]);
        match Message::decode(kind, body).unwrap() {
            Message::Hello(hello) => {
                assert_eq!((hello.chain, hello.roles), (self.chain, Roles::TERMINAL));
                assert!(self.greeted.insert(session), "once");
                self.lane.handle(now, Command::Join { session, group: Some(Group::Terminals) });
                let reply = self.lane.send(session, Priority::Normal, kind, body);
                let ping = self.lane.send(session, Priority::Normal, kind::PING, &9_u64.to_bytes());
                assert!(reply.is_ok() && ping.is_ok());
            }
            Message::Pong(nonce) => self.pongs.push(nonce),
            Message::SubmitTransaction(transaction) => {
                assert!(self.greeted.contains(&session), "hello comes first");
                self.take(session, &transaction);
            }
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, session: SessionId, transaction: &Transaction) {
        let id = transaction.id();
        if self.senders.insert(id, session).is_some() {
            return self.tell(id, self.standing(id));
        }
        assert!(transaction.verify_signatures() && transaction.body.chain == self.chain);
        if self.manners.is_picky && transaction.body.salt.is_multiple_of(3) {
            return self.tell(id, Status::Rejected(RejectReason::Overdrawn));
        }
        if self.mempool.len() >= self.manners.mempool_max {
            return self.tell(id, Status::Rejected(RejectReason::MempoolFull));
        }
        self.tell(id, Status::Received);
        if self.manners.is_picky && transaction.body.salt.is_multiple_of(5) {
            return self.tell(id, Status::Expired);
        }
        self.mempool.push(id);
    }

    /// What the sender of a duplicate is told.
    fn standing(&self, id: Hash) -> Status {
        let slice = self.slices.iter().find(|slice| slice.ids.contains(&id));
        match slice {
            Some(slice) => Status::Included(slice.reference, Outcome::Applied),
            None => Status::Rejected(RejectReason::Duplicate),
        }
    }

    fn tell(&mut self, id: Hash, status: Status) {
        let body = TransactionStatus { id, status }.to_bytes();
        // The sender may be away.
        let _ = self.lane.send(self.senders[&id], Priority::Normal, kind::TRANSACTION_STATUS, &body);
    }

    fn tick(&mut self, now: Instant) {
        self.ticks += 1;
        if self.manners.closes_at == Some(self.ticks) {
            for session in std::mem::take(&mut self.greeted) {
                self.lane.handle(now, Command::Close { session });
            }
        }
        if self.manners.retracts_every.is_some_and(|every| self.ticks.is_multiple_of(every))
            && let Some(slice) = self.slices.pop()
        {
            for id in &slice.ids {
                self.tell(*id, Status::Retracted(slice.reference));
            }
            self.mempool.splice(0..0, slice.ids);
        }
        let height = Height::new(1, self.slices.len() as u32);
        let reference = SliceRef { height, id: Hash::of(&self.ticks.to_le_bytes()) };
        let ids: Vec<Hash> = self.mempool.drain(..self.mempool.len().min(self.manners.slice_max)).collect();
        for id in &ids {
            self.tell(*id, Status::Included(reference, Outcome::Applied));
        }
        self.slices.push(Slice { reference, ids });
        self.broadcast(now);
    }

    /// One more producer confirms a slice with each that follows it; the third justifies it, the next makes it final.
    fn broadcast(&mut self, now: Instant) {
        let from = self.slices.len().saturating_sub(DIGEST_SLICES);
        let status = |(age, slice): (usize, &Slice)| SliceStatus {
            reference: slice.reference,
            confirmers: age.min(3) as u16,
            weight: age.min(3) as u64,
            flags: if age >= 3 { SliceStatus::JUSTIFIED } else { 0 },
        };
        let mut slices: Vec<SliceStatus> = self.slices[from..].iter().rev().enumerate().map(status).collect();
        slices.reverse();
        let mut final_slice = Genesis::slice_of(&self.chain);
        if slices.len() == DIGEST_SLICES {
            final_slice = slices[0].reference;
            self.finals.extend(&self.slices[from].ids);
        }
        let body = Digest { slices, final_slice, interval_ms: 50 }.to_bytes();
        self.digests.push(Hash::of(&body));
        let message: Arc<[u8]> = framed(kind::DIGEST, &body).into();
        let group = Group::Terminals;
        self.lane.handle(now, Command::Broadcast { group, priority: Priority::Sheddable, message });
    }
}
