#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr};

use hpb_base::{Duration, Random};
use hpb_net::port::{Capabilities, HardwareAddress, Medium};

use super::*;
use crate::card::{Call, CloseReason, Command, Event, EventBatch, SessionId};
use crate::class::{Class, Priority};
use crate::lane::{LaneConfig, LaneError};
use crate::segment::parse;

const PORT: u16 = 7;
const SECRET: [u8; 32] = [5; 32];

/// Which queue a frame comes to, of how many.
type Deal = fn(&mut Random, &[u8], usize) -> usize;

/// A call of card 1, from a port of its choice if `local` has none.
fn call(local: SocketAddr, tag: u64) -> Call {
    let remote = SocketAddr::new(address(2), PORT);
    Call { remote, local, class: Class::Uplink, responder: None, identity: None, tag, keep: false }
}

/// A card of several lanes, with its queues.
struct Card {
    lanes: Vec<(Lane, Bursts)>,
    /// Sessions that opened, by lane.
    opened: Vec<Vec<SessionId>>,
    messages: Vec<Vec<u8>>,
    echoes: bool,
}

fn capabilities(host: u8, queues: usize, queue: usize) -> Capabilities {
    let hardware: HardwareAddress = [2, 0, 0, 0, 0, host];
    Capabilities { medium: Medium::Ethernet, hardware, queues, queue, ..Capabilities::plain(1_500) }
}

fn address(host: u8) -> IpAddr {
    [10, 0, 0, host].into()
}

fn config(host: u8, lane: usize, lanes: usize) -> LaneConfig {
    let mut config = LaneConfig::new(vec![(address(host), 24)], None, SECRET);
    let steering = Arc::new(Steering::keyed(&SECRET, lanes));
    config.sharing = Some(Sharing { steering, lane, lanes });
    config
}

impl Card {
    fn new(host: u8, lanes: usize, now: Instant) -> Self {
        let lane = |lane| {
            let lane = Lane::new(config(host, lane, lanes), capabilities(host, lanes, lane), now).unwrap();
            (lane, Bursts::new(4_096))
        };
        let lanes: Vec<_> = (0..lanes).map(lane).collect();
        Self { opened: vec![Vec::new(); lanes.len()], lanes, messages: Vec::new(), echoes: false }
    }

    fn turn(&mut self, now: Instant) -> bool {
        let mut busy = false;
        let mut strays = Vec::new();
        for (number, (lane, bursts)) in self.lanes.iter_mut().enumerate() {
            busy |= lane.poll(now, bursts);
            let mut events = EventBatch::default();
            lane.take_events(&mut events);
            for event in events.iter() {
                match event {
                    Event::Opened { session, .. } => self.opened[number].push(session),
                    Event::Message { session, kind, body, .. } => {
                        self.messages.push(body.to_vec());
                        if self.echoes {
                            lane.send(session, Priority::Normal, kind, body).unwrap();
                        }
                    }
                    Event::Closed { reason, .. } => panic!("closed: {reason:?}"),
                }
            }
            strays.extend(std::iter::from_fn(|| lane.take_stray(bursts)));
        }
        for (to, stray) in strays {
            let (lane, bursts) = &mut self.lanes[to];
            lane.take_in(now, stray, bursts);
            busy = true;
        }
        busy
    }

    fn total(&self, count: fn(&crate::stats::LaneCounters) -> u64) -> u64 {
        self.lanes.iter().map(|(lane, _)| count(lane.counters())).sum()
    }
}

/// Two cards at the two ends of a cable.
struct World {
    cards: [Card; 2],
    deals: [Deal; 2],
    random: Random,
    now: Instant,
}

impl World {
    fn new(lanes: [usize; 2], deals: [Deal; 2]) -> Self {
        let now = Instant::from_millis(1_000);
        let cards = [Card::new(1, lanes[0], now), Card::new(2, lanes[1], now)];
        Self { cards, deals, random: Random::new(3), now }
    }

    fn carry(&mut self) {
        for from in 0..2 {
            let mut frames = Vec::new();
            for (_, bursts) in &mut self.cards[from].lanes {
                frames.extend(bursts.tx.iter().map(|frame| frame.bytes().to_vec()));
                bursts.recycle_tx(usize::MAX);
            }
            let queues = self.cards[1 - from].lanes.len();
            for bytes in frames {
                let queue = self.deals[1 - from](&mut self.random, &bytes, queues);
                let bursts = &mut self.cards[1 - from].lanes[queue].1;
                let mut frame = bursts.pool.take().unwrap();
                frame.copy_from(&bytes);
                bursts.rx.push(frame);
            }
        }
    }

    fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        while self.now < until {
            while self.cards.iter_mut().fold(false, |busy, card| card.turn(self.now) | busy) {
                self.carry();
            }
            self.carry();
            self.now += Duration::from_millis(5);
        }
    }

    /// Has each lane of card 0 call card 1, each caller's share of `count` sessions.
    fn call(&mut self, count: usize) {
        for (lane, _) in &mut self.cards[1].lanes {
            lane.handle(self.now, Command::Listen { port: PORT, class: Class::Uplink, encrypted: false });
        }
        let lanes = self.cards[0].lanes.len();
        for at in 0..count {
            let call = call(SocketAddr::new(address(1), 0), at as u64);
            self.cards[0].lanes[at % lanes].0.handle(self.now, Command::Open(call));
        }
    }

    /// Has every session of card 0 say something of its own.
    fn speak(&mut self) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        for (number, (lane, _)) in self.cards[0].lanes.iter_mut().enumerate() {
            for session in &self.cards[0].opened[number] {
                let body = format!("lane {number} session {}", session.index).into_bytes();
                lane.send(*session, Priority::Normal, 1, &body).unwrap();
                said.push(body);
            }
        }
        said
    }

    fn assert_every_flow_at_home(&self, card: usize) {
        let lanes = &self.cards[card].lanes;
        let steering = Steering::keyed(&SECRET, lanes.len());
        for (number, (lane, bursts)) in lanes.iter().enumerate() {
            for row in lane.table(0, usize::MAX).0 {
                assert_eq!(steering.queue(row.remote, row.local), number, "{} {}", row.remote, row.local);
            }
            assert!(bursts.pool.owned() <= 4_096);
        }
    }
}

fn by_chance(random: &mut Random, _frame: &[u8], queues: usize) -> usize {
    random.below(queues as u64) as usize
}

fn as_steered(_random: &mut Random, frame: &[u8], queues: usize) -> usize {
    let segment = frame.get(14..).and_then(|packet| parse(packet).ok());
    segment.map_or(0, |segment| Steering::keyed(&SECRET, queues).queue(segment.flow.remote(), segment.flow.local()))
}

#[test]
fn frames_in_any_queue_reach_their_lane() {
    let mut world = World::new([1, 3], [by_chance, by_chance]);
    world.cards[1].echoes = true;
    world.call(300);
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.cards[0].opened[0].len(), 300);
    let by_lane: Vec<usize> = world.cards[1].opened.iter().map(Vec::len).collect();
    assert!(by_lane.iter().all(|count| *count > 60) && by_lane.iter().sum::<usize>() == 300, "{by_lane:?}");
    world.assert_every_flow_at_home(1);
    let mut said = world.speak();
    world.run_for(Duration::from_secs(2));
    said.sort();
    world.cards[0].messages.sort();
    assert_eq!(world.cards[0].messages, said);
    let card = &world.cards[1];
    let (sent, taken) = (card.total(|counters| counters.strays_sent), card.total(|counters| counters.strays_taken));
    assert!(sent == taken && sent > 300, "{sent} sent, {taken} taken");
    assert_eq!(world.cards[0].total(|counters| counters.strays_sent), 0);
    assert_eq!(card.total(|counters| counters.drops.get(Drop::UnknownFlow)), 0);
}

#[test]
fn a_caller_chooses_ports_that_lead_back_to_its_lane() {
    let mut world = World::new([2, 1], [as_steered, as_steered]);
    world.cards[1].echoes = true;
    world.call(200);
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.cards[0].opened.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100]);
    world.assert_every_flow_at_home(0);
    let said = world.speak();
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.cards[0].messages.len(), said.len());
    let strays = |(lane, _): &(Lane, Bursts)| lane.counters().strays_sent;
    let strays: Vec<u64> = world.cards[0].lanes.iter().map(strays).collect();
    assert!(strays[0] > 0 && strays[1] == 0, "the link's words alone: {strays:?}");
    // A port that was asked for and leads elsewhere is no way to call.
    let (lane, bursts) = &mut world.cards[0].lanes[0];
    let flow = |port| FlowKey::new(SocketAddr::new(address(2), PORT), SocketAddr::new(address(1), port));
    let elsewhere = (60_000..=u16::MAX).find(|port| !lane.is_reached_by(&flow(*port))).unwrap();
    let local = SocketAddr::new(address(1), elsewhere);
    lane.handle(world.now, Command::Open(call(local, 9)));
    lane.transmit(world.now, bursts);
    let mut events = EventBatch::default();
    lane.take_events(&mut events);
    assert!(matches!(events.iter().next(), Some(Event::Closed { reason: CloseReason::NoRoom, was_open: false, .. })));
}

#[test]
fn an_error_about_a_session_reaches_its_lane() {
    let mut world = World::new([2, 1], [as_steered, as_steered]);
    world.call(4);
    world.run_for(Duration::from_secs(3));
    let session = world.cards[0].opened[1][0];
    let [card, _] = &mut world.cards;
    card.lanes[1].0.send(session, Priority::Normal, 1, &[1; 1_000]).unwrap();
    card.turn(world.now);
    let (lane, bursts) = &mut card.lanes[1];
    // It vanishes on its way, and whoever let it vanish says so to the first lane.
    let segment = parse(&bursts.tx[0].bytes()[14..]).unwrap();
    bursts.recycle_tx(usize::MAX);
    let flow = lane.table(0, 9).0.into_iter().find(|row| row.id == session).unwrap();
    let flow = FlowKey::new(flow.remote, flow.local);
    let notice = Notice::PacketTooBig { flow, seq: segment.seq, mtu: 576 };
    let (first, bursts) = &mut card.lanes[0];
    assert_eq!(first.own_notice(notice, bursts), None);
    card.turn(world.now);
    card.turn(world.now);
    assert_eq!(card.lanes[1].0.counters().paths_narrowed, 1);
    let sent = card.lanes[1].1.tx.iter().map(Frame::len).max();
    assert_eq!(sent, Some(14 + 576), "sent again, smaller");
}

#[test]
fn an_outbox_that_nobody_empties_loses_and_counts() {
    let now = Instant::from_millis(1_000);
    let mut card = Card::new(1, 2, now);
    let (lane, bursts) = &mut card.lanes[0];
    let mut port = 1_000;
    let mut strange = 0;
    while strange < LANE_STRAYS_MAX + 10 {
        for _ in 0..BURST_LEN_MAX {
            port += 1;
            let flow = FlowKey::new(SocketAddr::new(address(9), port), SocketAddr::new(address(1), PORT));
            strange += usize::from(!lane.is_reached_by(&flow));
            let mut frame = bursts.pool.take().unwrap();
            let (seq, flags) = (1, crate::segment::SYN);
            crate::segment::Spoken { flow, seq, ack: 0, flags, window: 9, mss: None }.write_as_received(&mut frame);
            crate::segment::fill_checksums(frame.bytes_mut());
            frame.prepend(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0]);
            bursts.rx.push(frame);
        }
        lane.receive(now, bursts);
        bursts.recycle_tx(usize::MAX);
    }
    let full = lane.counters().drops.get(Drop::StraysFull);
    assert_eq!(full as usize + LANE_STRAYS_MAX, strange);
    let free = std::iter::from_fn(|| bursts.pool.take_spare()).count();
    assert_eq!(bursts.pool.owned(), free + LANE_STRAYS_MAX);
    let taken = std::iter::from_fn(|| lane.take_stray(bursts)).count();
    assert_eq!((taken, bursts.pool.owned()), (LANE_STRAYS_MAX, free));
}

#[test]
fn a_device_decides_only_if_a_caller_can_choose() {
    let rss = |table: &[u16], ports| Steering::Rss { key: [7; 40], table: table.to_vec(), ports };
    let good = rss(&[0, 1, 0, 1], true);
    assert_eq!(Sharing::steering(Some(good.clone()), &SECRET, 2), good);
    for unfit in [rss(&[0, 1], false), rss(&[0, 0], true), rss(&[0, 2, 1], true), rss(&[2, 1], true)] {
        assert_eq!(Sharing::steering(Some(unfit.clone()), &SECRET, 2), Steering::keyed(&SECRET, 2));
        let sharing = Some(Sharing { steering: Arc::new(unfit), lane: 0, lanes: 2 });
        let lane = Lane::new(LaneConfig { sharing, ..config(1, 0, 1) }, capabilities(1, 2, 0), Instant::ZERO);
        assert!(matches!(lane.err(), Some(LaneError::Sharing)));
    }
    assert!(Lane::new(config(1, 2, 2), capabilities(1, 2, 0), Instant::ZERO).is_err());
    // A device's own way, which is not symmetric, leads back to the caller all the same.
    let sharing = Some(Sharing { steering: Arc::new(good.clone()), lane: 1, lanes: 2 });
    let lane = LaneConfig { sharing, ..config(1, 0, 1) };
    let mut lane = Lane::new(lane, capabilities(1, 2, 1), Instant::ZERO).unwrap();
    for tag in 0..50 {
        lane.handle(Instant::ZERO, Command::Open(call(SocketAddr::new(address(1), 0), tag)));
    }
    lane.transmit(Instant::ZERO, &mut Bursts::new(64));
    let rows = lane.table(0, 64).0;
    assert!(rows.len() == 50 && rows.iter().all(|row| good.queue(row.remote, row.local) == 1));
}
