#![allow(clippy::unwrap_used)]

use core::num::{NonZeroU32, NonZeroU64};
use std::collections::BTreeSet;

use hpb_net::Port;
use hpb_net::frame::Bursts;
use hpb_net::wire::{LinkConfig, WireBuilder, WirePort};
use hpb_toe::card::Group;
use hpb_toe::framing::framed;
use hpb_toe::{CloseReason, EventBatch, Identity, LaneConfig};
use hpb_types::{
    AccountName, Amount, Digest, GenesisAccount, GenesisProducer, KeyPair, SliceRef, SliceStatus, Status, Transaction,
};

use super::*;
use crate::report::Level;
use crate::workload::{FITTED, Workload};

const PORT: u16 = 30_303;
const SLICE: Duration = Duration::from_millis(50);
/// Slices that a node's digest tells of; the oldest of them is final.
const DIGEST_SLICES: usize = 5;

fn genesis() -> Genesis {
    let producers: Vec<GenesisProducer> = (0..4)
        .map(|n| GenesisProducer {
            name: AccountName::new(&format!("producer{n}")).unwrap(),
            key: KeyPair::from_seed([n + 1; 32]).public(),
            weight: 1,
        })
        .collect();
    let account = |producer: &GenesisProducer| GenesisAccount {
        name: producer.name,
        key: KeyPair::from_seed([99; 32]).public(),
        balance: Amount::ZERO,
    };
    Genesis {
        version: Genesis::VERSION,
        label: "terminals".to_owned(),
        time_ms: 1_700_000_000_000,
        slot_ms: 3_000,
        slice_ms: 50,
        delta_ms: 20,
        epoch_slots: 10,
        fee_per_byte: Amount(3),
        accounts: producers.iter().map(account).collect(),
        producers,
    }
}

/// What the node does besides its duty.
#[derive(Clone, Copy)]
struct Manners {
    /// Transactions of one slice, and places of the mempool.
    slice_max: usize,
    mempool_max: usize,
    /// Takes back the latest slice at every so many slices.
    retracts_every: Option<u64>,
    /// Closes all sessions at this slice.
    closes_at: Option<u64>,
    /// Refuses the transactions whose salt is divisible by 3, and lets those of the rest expire that 5 divides.
    is_picky: bool,
}

const POLITE: Manners = Manners {
    slice_max: usize::MAX,
    mempool_max: usize::MAX,
    retracts_every: None,
    closes_at: None,
    is_picky: false,
};

struct Slice {
    reference: SliceRef,
    ids: Vec<Hash>,
}

/// A node that is alone with its terminals: takes their transactions, and puts them into slices that others confirm as
/// they age.
struct Node {
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
    pongs: Vec<u64>,
    /// A hash over all that came.
    heard: Hash,
    digests: Vec<Hash>,
}

struct Card {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
    terminals: Terminals,
    told_final: Vec<Hash>,
}

/// A node and cards of terminals on a wire, on virtual time.
struct World {
    node: Node,
    cards: Vec<Card>,
    now: Instant,
}

struct Plan {
    terminals: u32,
    cards: u32,
    pace: Pace,
    seed: u64,
    manners: Manners,
}

fn fixed(rate_tps: u64) -> Pace {
    Pace::Fixed(NonZeroU64::new(rate_tps).unwrap())
}

fn plan(terminals: u32, pace: Pace) -> Plan {
    Plan { terminals, cards: 1, pace, seed: 7, manners: POLITE }
}

fn address(host: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, host as u8 + 1])
}

fn node_identity() -> Identity {
    Identity::new([1; 32], genesis().chain_id())
}

fn config(plan: &Plan, card: u32) -> TerminalsConfig {
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
    fn new(plan: &Plan) -> Self {
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
    fn play(plan: &Plan, seconds: u64) -> Self {
        let mut world = Self::new(plan);
        world.run_for(Duration::from_secs(1));
        world.begin(Duration::from_secs(seconds));
        world.run_for(Duration::from_secs(seconds + 2));
        world
    }

    fn begin(&mut self, span: Duration) {
        for card in &mut self.cards {
            card.terminals.begin(self.now, self.now + span);
        }
    }

    fn terminals(&mut self) -> &mut Terminals {
        &mut self.cards[0].terminals
    }

    fn turn(&mut self) -> bool {
        let now = self.now;
        let mut busy = self.node.turn(now);
        for card in &mut self.cards {
            for digest in self.node.digests.iter() {
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

    fn run_for(&mut self, span: Duration) {
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
    fn assert_all_final(&mut self) {
        let mut told: Vec<Hash> = self.cards.iter().flat_map(|card| card.told_final.iter().copied()).collect();
        told.sort_unstable();
        for card in &self.cards {
            println!("{:?} {:?}", card.terminals.progress(), self.node.mempool.len());
            assert_eq!(card.terminals.outstanding(), 0);
            let counters = card.terminals.counters();
            assert_eq!(counters.finals + counters.expired, counters.accepted);
            assert_eq!((counters.malformed, counters.unknown, counters.finals_unlisted), (0, 0, 0));
        }
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
            Some(slice) => Status::Included(slice.reference),
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
            self.tell(*id, Status::Included(reference));
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

fn level_counts(terminals: &Terminals) -> [u64; 5] {
    Level::ALL.map(|level| terminals.measurements().level(level).count())
}

#[test]
fn every_level_is_recorded_for_every_transaction() {
    let mut world = World::play(&plan(20, fixed(200)), 3);
    world.assert_all_final();
    let pongs = std::mem::take(&mut world.node.pongs);
    assert_eq!(pongs, [9; 20]);
    let terminals = world.terminals();
    let sessions = SessionCounters { target: 20, established: 20, open: 20, ..SessionCounters::default() };
    assert_eq!(*terminals.sessions(), sessions);
    assert_eq!(terminals.establish().count(), 20);
    assert!(terminals.established_after().unwrap() > Duration::from_millis(6), "three crossings at least");
    let counters = *terminals.counters();
    assert_eq!((counters.submitted, counters.accepted, counters.finals), (600, 600, 600));
    assert_eq!(level_counts(terminals), [600; 5]);
    let latencies = terminals.measurements().latencies().by_level();
    assert!(latencies.is_sorted_by_key(|quantiles| quantiles.p50));
    // There and back again takes 4 ms; a slice comes within 50 ms, and each next level 50 to 100 ms later.
    assert!((4_000..5_000).contains(&latencies[0].p50), "{latencies:?}");
    assert!((4_000..60_000).contains(&latencies[1].p50), "{latencies:?}");
    assert!((100_000..170_000).contains(&latencies[2].p50), "{latencies:?}");
    assert!((200_000..270_000).contains(&latencies[4].max), "{latencies:?}");
    let charts = terminals.measurements().charts();
    assert!(charts.seconds[..3].iter().all(|second| second.submitted == 200));
    assert_eq!(charts.seconds.iter().map(|second| second.finals).sum::<u64>(), 600);
    let digests = terminals.digests();
    assert!(digests.len() >= 99 && counters.digests >= 20 * digests.len() as u64);
    let (last, whole) = digests.split_last().unwrap();
    assert!(whole.iter().all(|digest| digest.arrivals == 20 && digest.sent_at.is_some()) && last.arrivals <= 20);
    let broadcast = broadcast_us(&[digests]);
    assert!((2_000..3_000).contains(&broadcast.first) && broadcast.first <= broadcast.last, "{broadcast:?}");
    let progress = terminals.progress();
    assert_eq!((progress.sessions, progress.transactions, progress.outstanding), (sessions, counters, 0));
    assert_eq!((progress.rate_tps, terminals.digest_interval_ms_max(), terminals.confirm_k()), (0, 50, 2));
    assert!(progress.final_height > Height::new(1, 90));
    assert!(terminals.has_submitted() && terminals.found_tps().is_none());
}

#[test]
fn latency_runs_from_the_intended_time() {
    // Submission starts with the first call: the handshakes are part of the first ones' latency.
    let mut world = World::new(&plan(10, fixed(1_000)));
    world.begin(Duration::from_millis(500));
    world.run_for(Duration::from_secs(2));
    world.assert_all_final();
    let terminals = world.terminals();
    assert_eq!(terminals.counters().submitted, 500);
    let took = terminals.established_after().unwrap().as_micros();
    let received = terminals.measurements().latencies().received;
    assert!(received.max >= took && received.p50 < 5_000, "{received:?} against {took}");
}

#[test]
fn what_is_retracted_is_included_again_and_final_once() {
    let manners = Manners { retracts_every: Some(7), ..POLITE };
    let mut world = World::play(&Plan { manners, ..plan(10, fixed(200)) }, 3);
    world.assert_all_final();
    let terminals = world.terminals();
    assert!(terminals.counters().retracted > 20);
    assert_eq!((terminals.counters().finals, level_counts(terminals)), (600, [600; 5]));
}

#[test]
fn sessions_come_back_and_lose_nothing() {
    // All sessions end in the middle, and what was included before is retracted while they are away.
    let manners = Manners { closes_at: Some(50), retracts_every: Some(17), ..POLITE };
    let mut world = World::play(&Plan { manners, ..plan(10, fixed(400)) }, 4);
    world.assert_all_final();
    let terminals = world.terminals();
    let sessions = *terminals.sessions();
    assert_eq!((sessions.established, sessions.lost, sessions.reconnected, sessions.open), (10, 10, 10, 10));
    let counters = *terminals.counters();
    assert_eq!((counters.submitted, counters.finals, counters.rejected, counters.shed), (1_600, 1_600, 0, 0));
    assert!(counters.resent > 0);
    assert_eq!(level_counts(terminals), [1_600; 5]);
}

#[test]
fn what_the_node_refuses_or_drops_is_counted_by_reason() {
    let manners = Manners { is_picky: true, ..POLITE };
    let mut world = World::play(&Plan { manners, ..plan(10, fixed(200)) }, 2);
    world.assert_all_final();
    let terminals = world.terminals();
    let counters = *terminals.counters();
    let overdrawn = terminals.rejections()[&RejectReason::Overdrawn];
    assert!(overdrawn > 50 && counters.expired > 20, "{counters:?}");
    assert_eq!((overdrawn, terminals.rejections().len()), (counters.rejected, 1));
    assert_eq!(counters.submitted, counters.accepted + counters.rejected);
}

#[test]
fn one_seed_one_run() {
    let run = |seed| {
        let manners = Manners { closes_at: Some(40), retracts_every: Some(9), ..POLITE };
        let mut world = World::play(&Plan { manners, seed, ..plan(8, fixed(150)) }, 2);
        world.assert_all_final();
        let terminals = world.terminals();
        let figures = (terminals.measurements().latencies(), *terminals.counters(), terminals.digests());
        (world.node.heard, figures)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn cards_share_one_run() {
    let mut world = World::play(&Plan { cards: 3, ..plan(10, fixed(300)) }, 2);
    world.assert_all_final();
    let (mut counters, mut sessions) = (Counters::default(), SessionCounters::default());
    for card in &world.cards {
        counters.merge(card.terminals.counters());
        sessions.merge(card.terminals.sessions());
        assert!(card.terminals.counters().submitted > 0);
    }
    assert_eq!((counters.submitted, counters.finals), (600, 600));
    assert_eq!((sessions.target, sessions.established, sessions.lost), (10, 10, 0));
    let cards: Vec<_> = world.cards.iter().map(|card| card.terminals.digests()).collect();
    assert!(broadcast_us(&cards).last >= 2_000);
}

#[test]
fn the_highest_rate_is_found() {
    let manners = Manners { slice_max: 20, mempool_max: 40, ..POLITE };
    let mut world = World::play(&Plan { manners, ..plan(20, Pace::Max) }, 20);
    world.assert_all_final();
    let terminals = world.terminals();
    let found = terminals.found_tps().unwrap();
    assert!((320..=440).contains(&found), "20 a slice are 400 a second, not {found}");
    assert!(terminals.rejections()[&RejectReason::MempoolFull] > 0);
}

#[test]
fn what_a_session_is_too_slow_for_waits_and_then_is_shed() {
    // A session holds 2 KiB under way, which is some 1,400 transfers a second at 4 ms there and back.
    let mut world = World::play(&plan(1, fixed(4_000)), 3);
    world.run_for(Duration::from_secs(3));
    world.assert_all_final();
    let terminals = world.terminals();
    let counters = *terminals.counters();
    assert_eq!(counters.submitted + counters.shed, 12_000);
    assert!(counters.shed > 1_000 && counters.submitted > TERMINAL_QUEUE_MAX as u64, "{counters:?}");
    assert_eq!((counters.finals, terminals.sessions().lost), (counters.submitted, 0));
    let received = terminals.measurements().latencies().received;
    assert!(received.max > 1_000_000, "what waits is late: {received:?}");
}

/// Terminals with one session, without a wire.
fn alone() -> (Terminals, SessionId) {
    let mut terminals = Terminals::new(&genesis(), config(&plan(3, fixed(10)), 0)).unwrap();
    let session = SessionId { index: 0, generation: 0 };
    let opened = Event::Opened {
        session,
        peer: None,
        remote: SocketAddr::new(address(0), PORT),
        class: Class::Uplink,
        called: true,
        tag: 1,
        took: Duration::from_millis(1),
    };
    terminals.event(Instant::ZERO, opened);
    (terminals, session)
}

#[test]
fn any_bytes_are_counted_and_change_nothing() {
    let (mut terminals, session) = alone();
    let strange = hello(ChainId(Hash::ZERO));
    let unknown = TransactionStatus { id: Hash::ZERO, status: Status::Expired }.to_bytes();
    let empty = Digest { slices: Vec::new(), final_slice: SliceRef { height: Height::new(1, 1), id: Hash::ZERO }, interval_ms: 1 };
    let digest = empty.to_bytes();
    let messages: [(u8, &[u8]); 8] = [
        (kind::DIGEST, b"no digest"),
        (kind::DIGEST, &digest[..digest.len() - 1]),
        (kind::TRANSACTION_STATUS, b""),
        (kind::TRANSACTION_STATUS, &unknown),
        (kind::HELLO, &strange),
        (kind::PONG, &[0; 8]),
        (kind::CONFIRM, &[7; 99]),
        (255, b""),
    ];
    for tag in [1, 2, 3, u64::MAX] {
        for (kind, body) in messages {
            terminals.event(Instant::ZERO, Event::Message { session, tag, kind, body });
        }
    }
    let counters = Counters { digests: 2, statuses: 1, unknown: 1, malformed: 7, ..Counters::default() };
    assert_eq!(*terminals.counters(), counters, "tags without that session say nothing");
    let stale = SessionId { index: 0, generation: 9 };
    let reason = CloseReason::Remote;
    terminals.event(Instant::ZERO, Event::Closed { session: stale, tag: 1, reason, was_open: true });
    terminals.event(Instant::ZERO, Event::Closed { session, tag: 2, reason, was_open: false });
    assert_eq!((terminals.sessions().open, terminals.sessions().calls_failed), (1, 1));
    terminals.event(Instant::ZERO, Event::Closed { session, tag: 1, reason, was_open: true });
    assert_eq!((terminals.sessions().open, terminals.sessions().lost), (0, 1));
}

#[test]
fn calls_are_placed_a_few_a_turn() {
    let mut world = World::new(&plan(20, fixed(1)));
    let card = &mut world.cards[0];
    let mut turns = 0;
    while card.terminals.poll(world.now, &mut card.lane) {
        turns += 1;
    }
    assert_eq!(turns, 20_usize.div_ceil(CALLS_PER_TURN));
    assert_eq!(card.terminals.wake_at(), None);
}

#[test]
fn a_set_up_that_cannot_be_is_refused() {
    let good = config(&plan(3, fixed(10)), 0);
    let refused = |change: fn(&mut TerminalsConfig)| {
        let mut config = good.clone();
        change(&mut config);
        Terminals::new(&genesis(), config).err()
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|config| config.addresses.clear()), Some(TerminalsError::NoAddress));
    let count = |terminals| Some(TerminalsError::Terminals { terminals, addresses: 1 });
    assert_eq!(refused(|config| config.terminals = 3..3), count(0));
    assert_eq!(refused(|config| config.terminals = 0..64_513), count(64_513));
    let dear = Genesis { fee_per_byte: Amount(u128::MAX), ..genesis() };
    assert_eq!(Terminals::new(&dear, good).err(), Some(TerminalsError::Fee));
}

#[test]
fn shares_are_even_and_whole() {
    for (terminals, cards) in [(10, 3), (10_000, 1), (2, 4), (64_512, 7)] {
        let shares: Vec<Range<u32>> = (0..cards).map(|card| share(terminals, cards, card)).collect();
        assert_eq!((shares[0].start, shares.last().unwrap().end), (0, terminals));
        assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
        let (longest, shortest) = (shares.iter().map(Range::len).max(), shares.iter().map(Range::len).min());
        assert!(longest.unwrap() - shortest.unwrap() <= 1);
    }
    assert!(share(5, 2, 2).is_empty() && share(5, 0, 0).is_empty());
}
