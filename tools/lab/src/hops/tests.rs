#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_net::wire::{Jitter, LinkConfig, WireBuilder, WirePort};
use hpb_toe::{Call, Class, Command, Event, EventBatch, Identity, Lane, LaneConfig, Priority};
use hpb_types::keys::Hash;
use hpb_types::units::ChainId;

use super::*;

const CHAIN: ChainId = ChainId(Hash([3; 32]));
const KIND: u8 = 1;
const SPACING: Duration = Duration::from_micros(70);
const DELAY: Duration = Duration::from_micros(100);

struct End {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
    opened: Vec<SessionId>,
}

/// Two stamped lanes on a wire, on virtual time; the server echoes, the client notes what arrives.
struct World {
    server: End,
    client: End,
    clock: VirtualClock,
    now: Instant,
    arrived: Vec<Instant>,
}

fn address(host: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, host])
}

fn identity(host: u8) -> Arc<Identity> {
    Arc::new(Identity::new([host; 32], CHAIN))
}

impl End {
    fn new(host: u8, port: WirePort, clock: &VirtualClock) -> Self {
        let config = LaneConfig::new(vec![(address(host), 8)], Some(identity(host)), [host; 32]);
        let mut lane = Lane::new(config, port.capabilities(), Instant::ZERO).unwrap();
        let clock = clock.clone();
        lane.set_stamps(Some(stamps(1, move || clock.now())));
        Self { lane, port, bursts: Bursts::new(1_024), opened: Vec::new() }
    }

    fn turn(&mut self, now: Instant, mut message: impl FnMut(&mut Lane, SessionId, &[u8])) -> bool {
        let mut busy = self.port.rx_burst(now, &mut self.bursts) > 0;
        if busy {
            self.lane.stamps().unwrap().burst_taken();
        }
        busy |= self.lane.receive(now, &mut self.bursts);
        let mut batch = EventBatch::default();
        self.lane.take_events(&mut batch);
        for event in batch.iter() {
            match event {
                Event::Opened { session, .. } => self.opened.push(session),
                Event::Message { session, body, .. } => message(&mut self.lane, session, body),
                Event::Closed { reason, .. } => panic!("{reason:?}"),
            }
        }
        while let Some(job) = self.lane.take_job() {
            self.lane.finish_job(now, job.run());
            busy = true;
        }
        busy |= self.lane.transmit(now, &mut self.bursts);
        busy |= self.port.tx_burst(now, &mut self.bursts) > 0;
        if self.bursts.tx.is_empty() {
            self.lane.stamps().unwrap().burst_given();
        }
        busy | !batch.is_empty()
    }

    fn wake_at(&self) -> Option<Instant> {
        [self.lane.wake_at(), self.port.wake_at()].into_iter().flatten().min()
    }
}

impl World {
    fn new(encrypted: bool, link: LinkConfig) -> Self {
        let mut builder = WireBuilder::new(5).default_link(link);
        builder.port(&[address(1)]);
        builder.port(&[address(2)]);
        let mut ports = builder.build().unwrap().into_iter();
        let clock = VirtualClock::default();
        let mut server = End::new(1, ports.next().unwrap(), &clock);
        let mut client = End::new(2, ports.next().unwrap(), &clock);
        server.lane.handle(Instant::ZERO, Command::Listen { port: 9, class: Class::Terminal, encrypted });
        let call = Call {
            remote: (address(1), 9).into(),
            local: (address(2), 0).into(),
            class: Class::Uplink,
            responder: encrypted.then(|| identity(1).public()),
            identity: None,
            tag: 0,
            keep: false,
        };
        client.lane.handle(Instant::ZERO, Command::Open(call));
        let mut world = Self { server, client, clock, now: Instant::ZERO, arrived: Vec::new() };
        world.run(Instant::from_millis(1_000));
        world
    }

    fn run(&mut self, until: Instant) {
        loop {
            self.clock.set(self.now);
            let now = self.now;
            while self.server.turn(now, |lane, session, body| lane.send(session, Priority::Normal, KIND, body).unwrap())
                | self.client.turn(now, |_, _, _| self.arrived.push(now))
            {}
            let wake_at = [self.server.wake_at(), self.client.wake_at()].into_iter().flatten().min();
            match wake_at.filter(|at| *at < until) {
                Some(at) => self.now = at.max(self.now + Duration::from_nanos(1)),
                None => break,
            }
        }
        self.now = until;
        self.clock.set(until);
    }

    /// Sends so many messages at even distances and waits for what was lost to come again.
    fn carry(&mut self, count: u64) -> Spans {
        let session = self.client.opened[0];
        let begin = self.now;
        let intended = |number: u64| begin + SPACING.saturating_mul(number);
        for number in 0..count {
            self.run(intended(number));
            self.client.lane.send(session, Priority::Normal, KIND, &number.to_le_bytes()).unwrap();
        }
        self.run(self.now + Duration::from_secs(20));
        assert_eq!(self.arrived.len() as u64, count);
        let mut spans = SessionSpans::default();
        for (number, arrived) in (0..).zip(&self.arrived) {
            spans.push(Some(Span { intended: intended(number), arrived: *arrived }));
        }
        BTreeMap::from([(session, spans)])
    }

    fn stamps(mut self) -> (Stamps, Stamps) {
        (self.client.lane.set_stamps(None).unwrap(), self.server.lane.set_stamps(None).unwrap())
    }
}

#[test]
fn hops_add_up_to_the_latency_of_each_message_whatever_the_link_does() {
    let links = [
        LinkConfig { delay: DELAY, ..LinkConfig::default() },
        LinkConfig { delay: DELAY, jitter: Jitter::Uniform(Duration::from_millis(1)), ..LinkConfig::default() },
        LinkConfig {
            delay: DELAY,
            loss_ppm: 50_000,
            reorder_ppm: 50_000,
            reorder_delay: Duration::from_millis(2),
            duplicate_ppm: 50_000,
            ..LinkConfig::default()
        },
    ];
    for link in links {
        for encrypted in [false, true] {
            let mut world = World::new(encrypted, link);
            let spans = world.carry(500);
            let (client, server) = world.stamps();
            let mut passages = passages(&client, &server, (true, None), Named::ByNear, &spans);
            assert_eq!(passages.len(), 500, "{link:?}");
            let mut latencies: Vec<Duration> = spans
                .values()
                .flat_map(SessionSpans::iter)
                .map(|(_, span)| span.arrived.since(span.intended))
                .collect();
            let mut sums: Vec<Duration> = passages
                .iter_mut()
                .map(|at| between(at).iter().fold(Duration::ZERO, |sum, time| sum + *time))
                .collect();
            latencies.sort_unstable();
            sums.sort_unstable();
            assert_eq!(sums, latencies);
        }
    }
}

#[test]
fn on_a_link_that_only_delays_the_wire_is_all() {
    let mut world = World::new(true, LinkConfig { delay: DELAY, ..LinkConfig::default() });
    let spans = world.carry(20);
    let (client, server) = world.stamps();
    for mut instants in passages(&client, &server, (true, None), Named::ByNear, &spans) {
        let times = between(&mut instants);
        let named = || names(true, None).into_iter().zip(&times);
        let wires: Vec<Duration> = named().filter(|(name, _)| name.0 == "wire").map(|(_, time)| *time).collect();
        assert_eq!(wires, [DELAY, DELAY]);
        assert!(named().all(|(name, time)| name.0 == "wire" || time.is_zero()));
    }
    let mut sums = LaneSums::new(true, None);
    sums.take(&client, &server, Named::ByNear, &spans);
    let hops = sums.finish();
    let named: Vec<(&str, bool)> = hops.iter().map(|hop| (hop.name.as_str(), hop.is_back)).collect();
    assert_eq!(named.len(), 15);
    assert_eq!(
        (named[0], named[4], named[7], named[14]),
        ((APPLICATION, false), ("wire", false), (APPLICATION, true), (DELIVERY, true))
    );
    assert!(hops.iter().all(|hop| hop.time.count() == 20));
}

#[test]
fn one_way_ends_at_the_other_end() {
    let mut world = World::new(false, LinkConfig { delay: DELAY, ..LinkConfig::default() });
    let mut spans = world.carry(10);
    for span in spans.values_mut().flat_map(|spans| &mut spans.spans).flatten() {
        span.arrived = span.intended + DELAY;
    }
    let by_far = BTreeMap::from([(world.server.opened[0], spans.values().next().unwrap().clone())]);
    let (client, server) = world.stamps();
    let hops_named = |named, spans| {
        let mut sums = LaneSums::new(false, None);
        sums.take(&client, &server, named, spans);
        sums.finish()
    };
    let hops = hops_named(Named::ByNear, &spans);
    assert_eq!(hops_named(Named::ByFar, &by_far), hops);
    assert_eq!(hops.iter().map(|hop| hop.is_back).collect::<Vec<_>>(), [false; 8]);
    assert_eq!(hops[4].time.percentile(100.0).map(|nanos| nanos / 1_000), Some(100));
}

#[test]
fn the_oldest_messages_of_a_session_give_way_and_the_others_keep_their_numbers() {
    let mut spans = SessionSpans::default();
    for number in 0..SPANS_MAX as u64 + 2 {
        let at = Instant::from_nanos(number);
        spans.push((number != 3).then_some(Span { intended: at, arrived: at }));
    }
    let kept: Vec<u64> = spans.iter().map(|(number, _)| number).collect();
    assert_eq!((kept.len(), kept[0], kept[1]), (SPANS_MAX - 1, 2, 4));
    assert!(spans.iter().all(|(number, span)| span.intended.as_nanos() == number));
}

#[test]
fn an_instant_after_a_later_one_is_moved_back_to_it() {
    let mut instants = [5, 9, 8, 20].map(Instant::from_nanos);
    assert_eq!(between(&mut instants), [3, 0, 12].map(Duration::from_nanos));
}

#[test]
fn numbers_that_wrap_on_one_side_only_are_still_the_same() {
    let ends = ((address(1), 1).into(), (address(2), 2).into());
    let line = |ends| Timeline {
        ends,
        taken: Vec::new(),
        sealed: Vec::new(),
        emitted: Vec::new(),
        received: Vec::new(),
        opened: Vec::new(),
        anchors: [None; 2],
    };
    let (mut near, mut far) = (line(ends), line((ends.1, ends.0)));
    let at = Instant::from_nanos;
    near.take(at(0), Stage::Emitted { from: u32::MAX - 9, to: u32::MAX, given_at: at(0) });
    near.take(at(1), Stage::Taken { number: 4, stream_len: 50 });
    near.take(at(2), Stage::Sealed { stream_len: 50, sequence: 9 });
    near.take(at(3), Stage::Emitted { from: u32::MAX, to: 9, given_at: at(4) });
    let (from, arrived_unix_ns) = (u32::MAX, Some(1_007));
    far.take(at(8), Stage::Received { from, to: 9, whole_to: 9, fed_at: at(9), arrived_unix_ns });
    far.take(at(11), Stage::Opened { count: 5 });
    let instants = |door_ahead, number| {
        let instants = Way::new(&near, &far, door_ahead).instants(number)?;
        Some(instants.into_iter().map(Instant::as_nanos).collect::<Vec<_>>())
    };
    assert_eq!(instants(None, 4).unwrap(), [1, 2, 3, 4, 8, 9, 11]);
    let ahead = Some(Duration::from_nanos(1_000));
    assert_eq!(instants(ahead, 4).unwrap(), [1, 2, 3, 4, 7, 8, 9, 11], "and when it was at the door");
    assert!(instants(None, 3).is_none(), "its stamps gave way");
    far.received[0].door_unix_ns = None;
    assert!(Way::new(&near, &far, ahead).instants(4).is_none(), "nobody said when it was at the door");
}

#[test]
fn a_door_ends_the_wire_and_what_lies_behind_it_is_the_ports() {
    let doors = |there, back| Some(Doors { there, back, unix_ahead: Duration::ZERO });
    let count = |is_answered, doors| {
        let names = names(is_answered, doors);
        let place = names.iter().position(|name| name.0 == "port-in");
        (names.len(), place)
    };
    assert_eq!([count(false, None), count(true, None)], [(8, None), (15, None)]);
    assert_eq!([count(false, doors(true, true)), count(false, doors(false, true))], [(9, Some(5)), (8, None)]);
    assert_eq!([count(true, doors(true, true)), count(true, doors(false, true))], [(17, Some(5)), (16, Some(12))]);
}
