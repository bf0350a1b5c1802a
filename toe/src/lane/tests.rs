#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::{Duration, Instant, Random};
use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_net::wire::{LinkConfig, WireBuilder, WirePort};
use hpb_types::keys::{Hash, PublicKey};
use hpb_types::units::ChainId;

use super::*;
use crate::card::{Call, Event, Group};
use crate::framing::framed;
use crate::stats::Drop as Reason;

const CHAIN: ChainId = ChainId(Hash([1; 32]));
const PORT: u16 = 30_303;

/// An event that outlives its batch.
#[derive(Clone, PartialEq, Debug)]
enum Seen {
    Opened { session: SessionId, peer: Option<PublicKey>, tag: u64, called: bool },
    Message { session: SessionId, kind: u8, body: Vec<u8> },
    Closed { reason: CloseReason, was_open: bool },
}

struct Host {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
    seen: Vec<Seen>,
    echo: bool,
    reap: bool,
}

/// Two lanes on a wire, on virtual time.
struct World {
    hosts: Vec<Host>,
    now: Instant,
    /// Packets larger than this vanish on their way without a word.
    hole_len: usize,
}

fn address(host: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, host as u8 + 1])
}

fn identity(host: usize) -> Arc<Identity> {
    Arc::new(Identity::new([host as u8 + 1; 32], CHAIN))
}

fn config(host: usize) -> LaneConfig {
    LaneConfig::new(vec![(address(host), 8)], Some(identity(host)), [host as u8; 32])
}

impl World {
    fn new(seed: u64, link: LinkConfig) -> Self {
        Self::with(seed, link, config)
    }

    fn with(seed: u64, link: LinkConfig, config: impl Fn(usize) -> LaneConfig) -> Self {
        let mut builder = WireBuilder::new(seed).default_link(link);
        builder.port(&[address(0)]);
        builder.port(&[address(1)]);
        let now = Instant::from_millis(1_000);
        let hosts = builder.build().unwrap().into_iter().enumerate().map(|(host, port)| Host {
            lane: Lane::new(config(host), port.capabilities(), now).unwrap(),
            port,
            bursts: Bursts::new(4_096),
            seen: Vec::new(),
            echo: false,
            reap: true,
        });
        Self { hosts: hosts.collect(), now, hole_len: usize::MAX }
    }

    fn listen(&mut self, class: Class, encrypted: bool) {
        self.hosts[0].lane.handle(self.now, Command::Listen { port: PORT, class, encrypted });
    }

    fn call(&mut self, class: Class, encrypted: bool, keep: bool, tag: u64) {
        let call = Call {
            remote: SocketAddr::new(address(0), PORT),
            local: SocketAddr::new(address(1), 0),
            class,
            responder: encrypted.then(|| identity(0).public()),
            identity: None,
            tag,
            keep,
        };
        self.hosts[1].lane.handle(self.now, Command::Open(call));
    }

    /// One turn of both hosts; returns whether anything happened.
    fn turn(&mut self) -> bool {
        let mut busy = false;
        for host in &mut self.hosts {
            busy |= host.port.rx_burst(self.now, &mut host.bursts) > 0;
            busy |= host.lane.poll(self.now, &mut host.bursts);
            while let Some(job) = host.lane.take_job() {
                busy = true;
                host.lane.finish_job(self.now, job.run());
            }
            for _ in 0..host.bursts.tx.len() {
                let Some(frame) = host.bursts.tx.pop_front() else { break };
                if frame.len() > self.hole_len {
                    host.bursts.pool.give(frame);
                } else {
                    host.bursts.tx.push_back(frame);
                }
            }
            busy |= host.port.tx_burst(self.now, &mut host.bursts) > 0;
            if host.reap {
                busy |= host.reap();
            }
        }
        busy
    }

    /// Runs until `until` or until nothing is left to happen.
    fn run(&mut self, until: Instant) {
        loop {
            let mut turns = 0;
            while self.turn() {
                turns += 1;
                assert!(turns < 1_000_000, "the world does not come to rest");
            }
            let wakes = self.hosts.iter().flat_map(|host| [host.lane.wake_at(), host.port.wake_at()]).flatten();
            match wakes.min() {
                Some(at) if at <= until => self.now = at.max(self.now + Duration::from_nanos(1)),
                _ => break,
            }
        }
        self.now = until;
    }

    fn run_for(&mut self, span: Duration) {
        self.run(self.now + span);
    }

    fn opened(&self, host: usize) -> Vec<SessionId> {
        let opened = self.hosts[host].seen.iter().filter_map(|seen| match seen {
            Seen::Opened { session, .. } => Some(*session),
            _ => None,
        });
        opened.collect()
    }

    fn messages(&self, host: usize) -> Vec<(u8, Vec<u8>)> {
        let messages = self.hosts[host].seen.iter().filter_map(|seen| match seen {
            Seen::Message { kind, body, .. } => Some((*kind, body.clone())),
            _ => None,
        });
        messages.collect()
    }

    fn closed(&self, host: usize) -> Vec<(CloseReason, bool)> {
        let closed = self.hosts[host].seen.iter().filter_map(|seen| match seen {
            Seen::Closed { reason, was_open } => Some((*reason, *was_open)),
            _ => None,
        });
        closed.collect()
    }

    fn send(&mut self, host: usize, session: SessionId, kind: u8, body: &[u8]) -> Result<(), SendError> {
        self.hosts[host].lane.send(session, Priority::Normal, kind, body)
    }
}

impl Host {
    fn reap(&mut self) -> bool {
        let mut batch = EventBatch::default();
        self.lane.take_events(&mut batch);
        for event in batch.iter() {
            match event {
                Event::Opened { session, peer, tag, called, .. } => {
                    self.seen.push(Seen::Opened { session, peer, tag, called });
                }
                Event::Message { session, kind, body, .. } => {
                    if self.echo {
                        let _ = self.lane.send(session, Priority::Normal, kind, body);
                    }
                    self.seen.push(Seen::Message { session, kind, body: body.to_vec() });
                }
                Event::Closed { reason, was_open, .. } => self.seen.push(Seen::Closed { reason, was_open }),
            }
        }
        !batch.is_empty()
    }
}

fn open_pair(seed: u64, link: LinkConfig, class: Class, encrypted: bool) -> World {
    let mut world = World::new(seed, link);
    world.listen(class, encrypted);
    world.call(class, encrypted, false, 9);
    world.run_for(Duration::from_secs(5));
    assert_eq!((world.opened(0).len(), world.opened(1).len()), (1, 1));
    world
}

fn body(len: usize, tag: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(tag)).collect()
}

#[test]
fn messages_pass_both_ways_plain_and_sealed() {
    for encrypted in [false, true] {
        let mut world = open_pair(1, LinkConfig::default(), Class::Terminal, encrypted);
        let (far, near) = (world.opened(0)[0], world.opened(1)[0]);
        world.send(1, near, 7, b"up").unwrap();
        world.send(0, far, 8, b"down").unwrap();
        world.run_for(Duration::from_millis(100));
        assert_eq!(world.messages(0), [(7, b"up".to_vec())]);
        assert_eq!(world.messages(1), [(8, b"down".to_vec())]);
    }
}

#[test]
fn an_encrypted_session_knows_its_peer() {
    let world = open_pair(1, LinkConfig::default(), Class::Validator, true);
    let peers = |host: usize| match &world.hosts[host].seen[0] {
        Seen::Opened { peer, tag, called, .. } => (*peer, *tag, *called),
        other => panic!("{other:?}"),
    };
    assert_eq!(peers(0), (Some(identity(1).public()), 0, false));
    assert_eq!(peers(1), (Some(identity(0).public()), 9, true));
    assert_eq!(world.hosts[0].lane.counters().diffie_hellmans, 3);
}

#[test]
fn large_messages_cross_small_buffers_sealed_or_not() {
    for encrypted in [false, true] {
        let mut world = open_pair(2, LinkConfig::default(), Class::Uplink, encrypted);
        let near = world.opened(1)[0];
        let sent: Vec<Vec<u8>> = [0, 1, 1_403, 1_404, 5_000, 60_000].map(|len| body(len, 3)).to_vec();
        for message in &sent {
            world.send(1, near, 1, message).unwrap();
            world.run_for(Duration::from_secs(2));
        }
        let got: Vec<Vec<u8>> = world.messages(0).into_iter().map(|(_, body)| body).collect();
        assert!(got == sent, "encrypted {encrypted}: {:?}", got.iter().map(Vec::len).collect::<Vec<_>>());
    }
}

#[test]
fn nothing_is_lost_or_reordered_on_a_bad_wire() {
    for seed in 0..6 {
        let link = LinkConfig {
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(2),
            loss_ppm: 20_000,
            duplicate_ppm: 20_000,
            corrupt_ppm: 20_000,
            reorder_ppm: 20_000,
            reorder_delay: Duration::from_millis(3),
            ..LinkConfig::default()
        };
        let mut world = World::new(seed, link);
        world.listen(Class::Validator, true);
        world.call(Class::Validator, true, true, 0);
        world.run_for(Duration::from_secs(30));
        let near = world.opened(1)[0];
        let mut random = Random::new(seed);
        let sent: Vec<Vec<u8>> = (0..60).map(|n| body(random.below(9_000) as usize, n)).collect();
        for message in &sent {
            world.send(1, near, 1, message).unwrap();
            world.run_for(Duration::from_millis(50));
        }
        world.run_for(Duration::from_secs(60));
        let got: Vec<Vec<u8>> = world.messages(0).into_iter().map(|(_, body)| body).collect();
        assert!(got == sent, "seed {seed}: {} of {}", got.len(), sent.len());
        let counters = world.hosts[0].lane.counters();
        assert!(counters.drops.get(Reason::Checksum) > 0 && world.hosts[1].lane.counters().retransmitted > 0);
    }
}

#[test]
fn a_thousand_sessions_echo_and_close_without_a_trace() {
    let mut world = World::new(3, LinkConfig::default());
    world.listen(Class::Terminal, true);
    world.hosts[0].echo = true;
    for tag in 0..1_000 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_secs(20));
    let sessions = world.opened(1);
    assert_eq!(sessions.len(), 1_000);
    for (n, session) in sessions.iter().enumerate() {
        world.send(1, *session, 2, &n.to_le_bytes()).unwrap();
    }
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.messages(1).len(), 1_000);
    for session in sessions {
        world.hosts[1].lane.handle(world.now, Command::Close { session });
    }
    world.run_for(Duration::from_secs(60));
    for host in &world.hosts {
        assert_eq!((host.lane.sessions(), host.lane.jobs()), (0, 0));
        assert_eq!(host.lane.timers(), 0, "no timer outlives its session for long");
    }
    assert_eq!(world.closed(1), vec![(CloseReason::Local, true); 1_000]);
    assert_eq!(world.closed(0), vec![(CloseReason::Remote, true); 1_000]);
}

/// The peer's FIN rides on data, so that our ACK of it is held back: it must leave before we forget the session, or the
/// peer waits in LAST-ACK for its time-out.
#[test]
fn both_ends_close_at_once_and_neither_waits_for_a_time_out() {
    let mut world =
        open_pair(15, LinkConfig { delay: Duration::from_millis(2), ..LinkConfig::default() }, Class::Uplink, true);
    let (far, near) = (world.opened(0)[0], world.opened(1)[0]);
    let now = world.now;
    world.hosts[1].lane.handle(now, Command::Close { session: near });
    world.run_for(Duration::from_millis(1));
    world.send(0, far, 1, b"last words").unwrap();
    let now = world.now;
    world.hosts[0].lane.handle(now, Command::Close { session: far });
    world.run_for(Duration::from_millis(500));
    assert_eq!((world.hosts[0].lane.sessions(), world.hosts[1].lane.sessions()), (0, 0));
}

#[test]
fn a_broadcast_reaches_each_member_once_and_nobody_else() {
    let mut world = World::new(4, LinkConfig::default());
    world.listen(Class::Terminal, true);
    for tag in 0..300 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_secs(10));
    let far = world.opened(0);
    let now = world.now;
    for session in &far[..200] {
        world.hosts[0].lane.handle(now, Command::Join { session: *session, group: Some(Group::Terminals) });
    }
    let message: Arc<[u8]> = framed(5, &body(256, 1)).into();
    let broadcast = Command::Broadcast { group: Group::Terminals, priority: Priority::Sheddable, message };
    world.hosts[0].lane.handle(now, broadcast);
    // While it is under way, some members leave and others join.
    world.turn();
    for session in &far[..50] {
        world.hosts[0].lane.handle(now, Command::Join { session: *session, group: None });
    }
    for session in &far[250..] {
        world.hosts[0].lane.handle(now, Command::Join { session: *session, group: Some(Group::Terminals) });
    }
    world.run_for(Duration::from_secs(1));
    let mut got: Vec<SessionId> = world.hosts[1]
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Message { session, body: got, .. } => {
                assert!(*got == body(256, 1));
                Some(*session)
            }
            _ => None,
        })
        .collect();
    let count = got.len();
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len(), count, "nobody hears it twice");
    assert!((150..=200).contains(&count), "those who stayed hear it, those who came later do not: {count}");
    assert_eq!(world.hosts[0].lane.members(Group::Terminals), 200);
}

#[test]
fn a_slow_peer_costs_sheddable_messages_then_the_session_and_no_other() {
    let mut world = World::new(5, LinkConfig::default());
    world.listen(Class::Terminal, true);
    world.call(Class::Uplink, true, false, 0);
    world.call(Class::Uplink, true, false, 1);
    world.run_for(Duration::from_secs(2));
    let far = world.opened(0);
    let now = world.now;
    // The terminals' host stops taking events: windows close.
    world.hosts[1].reap = false;
    for _ in 0..hpb_base::limits::LANE_EVENTS_MAX + 400 {
        let _ = world.hosts[0].lane.send(far[0], Priority::Sheddable, 1, &[0; 1_000]);
        world.now += Duration::from_micros(20);
        world.turn();
    }
    assert!(world.hosts[0].lane.counters().shed_messages > 0);
    assert!(world.closed(0).is_empty());
    let mut ended = false;
    for _ in 0..200 {
        ended |= world.hosts[0].lane.send(far[0], Priority::Critical, 1, &[0; 1_000]) == Err(SendError::Ended);
    }
    assert!(ended);
    world.hosts[1].reap = true;
    world.run(now + Duration::from_secs(30));
    assert_eq!(world.closed(0), [(CloseReason::SlowPeer, true)]);
    world.send(0, far[1], 2, b"still here").unwrap();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.messages(1).last().map(|(kind, _)| *kind), Some(2));
}

#[test]
fn a_host_that_is_behind_closes_windows_and_loses_nothing() {
    let mut world = open_pair(6, LinkConfig::default(), Class::Validator, true);
    let near = world.opened(1)[0];
    world.hosts[0].reap = false;
    let count = hpb_base::limits::LANE_EVENTS_MAX + 5_000;
    for n in 0..count {
        world.hosts[1].lane.send(near, Priority::Critical, 1, &(n as u32).to_le_bytes()).unwrap();
        if n % 500 == 0 {
            world.run_for(Duration::from_millis(20));
        }
    }
    world.run_for(Duration::from_secs(2));
    world.hosts[0].reap = true;
    world.run_for(Duration::from_secs(20));
    let got = world.messages(0);
    assert_eq!(got.len(), count);
    assert!(got.iter().enumerate().all(|(n, (_, body))| *body == (n as u32).to_le_bytes()));
}

#[test]
fn a_kept_call_comes_back_and_backs_off() {
    let cut = LinkConfig { cut: true, ..LinkConfig::default() };
    let mut world = World::with(7, LinkConfig::default(), |host| LaneConfig {
        peer_timeout: Some(Duration::from_secs(3)),
        keep_alive: Some(Duration::from_secs(1)),
        handshake_timeout: Duration::from_secs(2),
        ..config(host)
    });
    world.listen(Class::Validator, true);
    world.call(Class::Validator, true, true, 0);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.opened(1).len(), 1);
    world.hosts[0].port.set_link(1, cut);
    world.hosts[1].port.set_link(0, cut);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.hosts[0].lane.sessions(), 0, "keep-alive found out");
    let tries = world.hosts[1].lane.counters().reconnects;
    assert!((4..20).contains(&tries), "{tries} tries in a minute");
    world.hosts[0].port.set_link(1, LinkConfig::default());
    world.hosts[1].port.set_link(0, LinkConfig::default());
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.opened(1).len(), 2);
}

#[test]
fn the_wrong_responder_is_refused_before_any_dh() {
    let mut world = World::with(8, LinkConfig::default(), |host| LaneConfig {
        identity: Some(identity(if host == 0 { 5 } else { 1 })),
        ..config(host)
    });
    world.listen(Class::Terminal, true);
    world.call(Class::Uplink, true, false, 0);
    world.run_for(Duration::from_secs(30));
    let counters = world.hosts[0].lane.counters();
    assert_eq!((counters.drops.get(Reason::Stranger), counters.diffie_hellmans), (1, 0));
    assert!(world.opened(0).is_empty() && world.opened(1).is_empty());
    assert_eq!(world.hosts[0].lane.sessions() + world.hosts[1].lane.sessions(), 0);
}

#[test]
fn a_silent_caller_is_given_up_in_time() {
    let mut world = World::new(9, LinkConfig::default());
    world.listen(Class::Terminal, true);
    world.call(Class::Uplink, false, false, 0); // opens TCP, never shakes hands
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.closed(0), [(CloseReason::HandshakeTimeout, false)]);
    assert_eq!(world.hosts[0].lane.sessions(), 0);
}

#[test]
fn half_open_sessions_are_bounded() {
    let mut world = World::with(10, LinkConfig::default(), |host| LaneConfig { half_open_max: 10, ..config(host) });
    world.listen(Class::Terminal, true);
    for tag in 0..50 {
        world.call(Class::Uplink, false, false, tag);
    }
    world.run_for(Duration::from_millis(500));
    assert_eq!(world.hosts[0].lane.sessions(), 10);
    assert!(world.hosts[0].lane.counters().drops.get(Reason::HalfOpenFull) >= 40);
}

#[test]
fn cookies_open_what_finds_no_half_open_place() {
    for encrypted in [false, true] {
        let link = LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() };
        // Both sides' places for handshakes are wide, those for unacknowledged SYN|ACKs are few.
        let mut world = World::with(31, link, |host| LaneConfig { half_open_max: 300, ..config(host) });
        world.hosts[0].lane.config.half_open_max = 8;
        world.listen(Class::Terminal, encrypted);
        for tag in 0..200 {
            world.call(Class::Uplink, encrypted, false, tag);
        }
        world.run_for(Duration::from_millis(30));
        assert_eq!(world.hosts[0].lane.half_open(), (8, 0));
        assert_eq!(world.hosts[0].lane.counters().cookies_sent, 192);
        world.hosts[0].lane.config.half_open_max = 300;
        world.hosts[0].echo = true;
        world.run_for(Duration::from_secs(5));
        assert_eq!((world.opened(0).len(), world.opened(1).len()), (200, 200));
        assert_eq!(world.hosts[0].lane.counters().cookies_taken, 192);
        for session in world.opened(1) {
            world.send(1, session, 1, &body(3_000, 5)).unwrap();
        }
        world.run_for(Duration::from_secs(5));
        assert!(world.messages(1) == vec![(1, body(3_000, 5)); 200], "{}", world.messages(1).len());
        assert_eq!(world.hosts[0].lane.half_open(), (0, 0));
    }
}

#[test]
fn sessions_with_deep_buffers_are_half_open_by_their_bytes() {
    let link = LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() };
    let mut world = World::with(33, link, config);
    let places = HALF_OPEN_BYTES_MAX / Class::Validator.buffers_len();
    assert!(places < world.hosts[0].lane.config.half_open_max);
    world.listen(Class::Validator, false);
    for tag in 0..places as u64 + 50 {
        world.call(Class::Uplink, false, false, tag);
    }
    world.run_for(Duration::from_millis(30));
    assert_eq!(world.hosts[0].lane.half_open(), (places, 0));
    assert_eq!(world.hosts[0].lane.counters().cookies_sent, 50);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.opened(0).len(), places + 50, "the others opened by their cookies");
    assert_eq!((world.hosts[0].lane.half_open(), world.hosts[0].lane.answering_len), ((0, 0), 0));
}

#[test]
fn a_closed_session_waits_without_memory_and_its_ports_rest() {
    let mut world = open_pair(32, LinkConfig::default(), Class::Terminal, false);
    let near = world.opened(1)[0];
    world.hosts[1].lane.handle(world.now, Command::Close { session: near });
    world.run_for(Duration::from_secs(2));
    let waiting = |world: &World| (world.hosts[0].lane.waiting_out(), world.hosts[1].lane.waiting_out());
    assert_eq!(waiting(&world), (0, 1), "who closes first waits");
    assert_eq!(world.hosts[1].lane.sessions() + world.hosts[0].lane.sessions(), 0);
    world.call(Class::Uplink, false, false, 1);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.opened(1).len(), 2);
}

#[test]
fn a_wait_is_over_in_time_though_nothing_comes() {
    let mut world = open_pair(39, LinkConfig::default(), Class::Terminal, true);
    let (far, near) = (world.opened(0)[0], world.opened(1)[0]);
    for (host, session) in [(0, far), (1, near)] {
        world.hosts[host].lane.handle(world.now, Command::Close { session });
    }
    world.run_for(Duration::from_secs(50));
    let waits = |world: &World| world.hosts.iter().map(|host| host.lane.holdings().time_wait).sum::<usize>();
    assert!(waits(&world) > 0);
    world.run_for(Duration::from_secs(15));
    assert_eq!(waits(&world), 0, "the lanes woke for it");
    for host in &world.hosts {
        assert_eq!((host.lane.holdings(), host.bursts.pool.in_use()), (Holdings::default(), 0));
    }
}

#[test]
fn a_call_from_a_port_that_waits_is_refused_until_the_wait_is_over() {
    let mut world = World::new(40, LinkConfig::default());
    world.listen(Class::Terminal, false);
    let call = |world: &mut World, tag| {
        let call = Call {
            remote: SocketAddr::new(address(0), PORT),
            local: SocketAddr::new(address(1), 5_000),
            class: Class::Uplink,
            responder: None,
            identity: None,
            tag,
            keep: false,
        };
        world.hosts[1].lane.handle(world.now, Command::Open(call));
        world.run_for(Duration::from_secs(1));
    };
    call(&mut world, 0);
    let session = world.opened(1)[0];
    world.hosts[1].lane.handle(world.now, Command::Close { session });
    world.run_for(Duration::from_secs(1));
    call(&mut world, 1);
    assert_eq!(world.closed(1), [(CloseReason::Local, true), (CloseReason::NoRoom, false)]);
    world.run_for(Duration::from_secs(60));
    call(&mut world, 2);
    assert_eq!(world.opened(1).len(), 2);
}

#[test]
fn a_session_is_numbered_by_its_ends_and_the_clock() {
    let initial = |seed, ms| {
        let mut world = World::new(seed, LinkConfig::default());
        world.now = Instant::from_millis(ms);
        world.listen(Class::Terminal, false);
        world.call(Class::Uplink, false, false, 0);
        world.run_for(Duration::from_secs(1));
        let (rows, _) = world.hosts[0].lane.table(0, 1);
        rows[0].initial_sequence
    };
    assert_eq!(initial(1, 5_000).wrapping_add(250_000), initial(2, 6_000), "RFC 6528: 4 us a tick");
}

#[test]
fn sessions_of_one_source_are_capped() {
    let mut world = World::with(33, LinkConfig::default(), |host| {
        let guard = GuardConfig { sessions_per_source_max: 3, ..GuardConfig::default() };
        LaneConfig { guard, ..config(host) }
    });
    world.listen(Class::Terminal, false);
    for tag in 0..5 {
        world.call(Class::Uplink, false, false, tag);
    }
    world.run_for(Duration::from_millis(500));
    assert_eq!(world.opened(0).len(), 3);
    let first = world.opened(0)[0];
    world.hosts[0].lane.handle(world.now, Command::Close { session: first });
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.opened(0).len(), 4, "a place that is given back is taken by a repeated SYN");
    assert!(world.hosts[0].lane.counters().drops.get(Reason::SourceFull) >= 2);
}

#[test]
fn an_echo_service_sends_everything_back() {
    let link = LinkConfig { delay: Duration::from_millis(1), loss_ppm: 10_000, ..LinkConfig::default() };
    let mut world = World::new(34, link);
    world.hosts[0].lane.handle(world.now, Command::Serve { port: PORT, service: Service::Echo });
    world.call(Class::Validator, false, false, 0);
    world.run_for(Duration::from_secs(5));
    let near = world.opened(1)[0];
    let sent: Vec<Vec<u8>> = [0, 1, 70_000, 300_000].map(|len| body(len, 3)).to_vec();
    for message in &sent {
        world.send(1, near, 1, message).unwrap();
    }
    world.run_for(Duration::from_secs(60));
    let got: Vec<Vec<u8>> = world.messages(1).into_iter().map(|(_, body)| body).collect();
    assert!(got == sent, "{:?}", got.iter().map(Vec::len).collect::<Vec<_>>());
    world.hosts[1].lane.handle(world.now, Command::Close { session: near });
    world.run_for(Duration::from_secs(5));
    assert_eq!((world.hosts[0].lane.sessions(), world.hosts[1].lane.sessions()), (0, 0));
}

#[test]
fn an_idle_session_is_ended_and_a_talking_one_is_not() {
    let mut world = World::with(35, LinkConfig::default(), |host| {
        let idle_timeout = (host == 0).then_some(Duration::from_secs(10));
        LaneConfig { idle_timeout, ..config(host) }
    });
    world.listen(Class::Terminal, false);
    world.call(Class::Uplink, false, false, 0);
    world.run_for(Duration::from_secs(1));
    let near = world.opened(1)[0];
    for _ in 0..5 {
        world.run_for(Duration::from_secs(8));
        world.send(1, near, 1, b"here").unwrap();
    }
    assert!(world.closed(0).is_empty());
    world.run_for(Duration::from_secs(11));
    assert_eq!(world.closed(0), [(CloseReason::Idle, true)]);
    assert_eq!(world.closed(1), [(CloseReason::Remote, true)]);
}

/// The time of each of `count` echoes, one in flight, in milliseconds, ascending.
fn echo_times_ms(seed: u64, link: LinkConfig, count: usize) -> Vec<u64> {
    let mut world = World::new(seed, link);
    world.hosts[0].echo = true;
    world.listen(Class::Validator, false);
    world.call(Class::Validator, false, false, 0);
    world.run_for(Duration::from_secs(30));
    let near = world.opened(1)[0];
    let mut times = Vec::new();
    for round in 0..count {
        let sent_at = world.now;
        world.send(1, near, 1, &body(64, 1)).unwrap();
        while world.messages(1).len() <= round {
            world.run_for(Duration::from_millis(1));
        }
        times.push(world.now.since(sent_at).as_nanos() / 1_000_000);
    }
    times.sort_unstable();
    times
}

#[test]
fn a_lost_tail_comes_again_after_round_trips_and_not_after_a_second() {
    let link = LinkConfig { delay: Duration::from_millis(5), loss_ppm: 50_000, ..LinkConfig::default() };
    let times = echo_times_ms(36, link, 1_000);
    assert!(times[500] <= 11, "p50 {}", times[500]);
    // One loss: two round trips, what the peer may delay its ACK by, and the margin.
    assert!(times[950] <= 80, "p95 {}", times[950]);
    // Two in a row: the shortest time-out as well.
    assert!(times[990] <= 300, "p99 {}", times[990]);
}

#[test]
fn a_hole_under_later_messages_is_repaired_at_once() {
    let link = LinkConfig { delay: Duration::from_millis(5), loss_ppm: 10_000, ..LinkConfig::default() };
    let mut world = open_pair(39, link, Class::Validator, false);
    let near = world.opened(1)[0];
    let began = world.now;
    let every = Duration::from_millis(10);
    let mut late_ms = Vec::new();
    let mut sent = 0;
    while late_ms.len() < 3_000 {
        if sent < 3_000 && world.now.since(began) >= every.saturating_mul(sent) {
            world.send(1, near, 1, &body(256, sent as u8)).unwrap();
            sent += 1;
        }
        world.run_for(Duration::from_millis(1));
        let arrived = world.hosts[0].seen.iter().filter(|seen| matches!(seen, Seen::Message { .. })).count();
        while late_ms.len() < arrived {
            let meant_at = began + every.saturating_mul(late_ms.len() as u64);
            late_ms.push(world.now.since(meant_at).as_nanos() / 1_000_000);
        }
    }
    late_ms.sort_unstable();
    let [p50_ms, p99_ms, p999_ms] = [500, 990, 999].map(|thousandth| late_ms[thousandth * 3]);
    // The next message, 10 ms later, shows the loss after a round trip; the repeat takes half a one.
    assert!(p50_ms <= 6 && p99_ms <= 30, "p50 {p50_ms}, p99 {p99_ms}");
    // The repeat is lost, too.
    assert!(p999_ms <= 60, "p99.9 {p999_ms}");
}

#[test]
fn what_is_repeated_is_what_was_lost() {
    for (seed, loss_ppm) in [(40, 1_000), (41, 10_000), (42, 50_000)] {
        let link = LinkConfig { delay: Duration::from_millis(5), loss_ppm, ..LinkConfig::default() };
        let mut world = open_pair(seed, link, Class::Validator, false);
        let near = world.opened(1)[0];
        let before = world.hosts[0].port.link_counters(1).unwrap().lost;
        for tag in 0..8 {
            world.send(1, near, 1, &body(500_000, tag)).unwrap();
        }
        while world.messages(0).len() < 8 {
            world.run_for(Duration::from_millis(100));
        }
        let lost = world.hosts[0].port.link_counters(1).unwrap().lost - before;
        let repeated = world.hosts[1].lane.counters().retransmitted;
        assert!(lost > 0 && repeated >= lost && repeated <= lost + lost / 2 + 5, "{repeated} for {lost}");
        assert!(world.messages(0).iter().enumerate().all(|(tag, (_, got))| *got == body(500_000, tag as u8)));
    }
}

#[test]
fn a_path_that_swallows_large_packets_is_narrowed() {
    for (hole_len, encrypted) in [(1_492, false), (1_300, true), (576, false)] {
        let link = LinkConfig { delay: Duration::from_millis(2), ..LinkConfig::default() };
        let mut world = open_pair(37, link, Class::Validator, encrypted);
        let (far, near) = (world.opened(0)[0], world.opened(1)[0]);
        world.hole_len = hole_len;
        world.send(1, near, 1, &body(200_000, 1)).unwrap();
        world.send(0, far, 1, &body(200_000, 2)).unwrap();
        world.run_for(Duration::from_secs(30));
        assert!(
            world.messages(0) == [(1, body(200_000, 1))] && world.messages(1) == [(1, body(200_000, 2))],
            "{hole_len}"
        );
        assert!(world.hosts[1].lane.counters().paths_narrowed >= 1);
    }
    let world = open_pair(38, LinkConfig::default(), Class::Validator, true);
    assert_eq!(world.hosts[1].lane.counters().paths_narrowed, 0);
}

#[test]
fn any_bytes_cost_at_most_their_own_session() {
    let mut world = open_pair(11, LinkConfig::default(), Class::Terminal, true);
    let (far, near) = (world.opened(0)[0], world.opened(1)[0]);
    let mut random = Random::new(11);
    for n in 0..20_000 {
        let mut bytes = vec![0; random.below(120) as usize];
        random.fill(&mut bytes);
        if bytes.len() >= 40 && n % 2 == 0 {
            bytes[..20].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
            let len = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            bytes[22..24].copy_from_slice(&PORT.to_be_bytes());
            bytes[32] = 0x50 | (bytes[32] & 15);
            if bytes[33] & segment::FIN == 0 {
                bytes[33] &= !segment::SYN;
            }
            segment::fill_checksums(&mut bytes);
        }
        let host = &mut world.hosts[0];
        let mut frame = host.bursts.pool.take().unwrap();
        frame.copy_from(&bytes);
        host.bursts.rx.push(frame);
        host.lane.poll(world.now, &mut host.bursts);
    }
    assert!(world.hosts[0].lane.counters().drops.iter().map(|(_, count)| count).sum::<u64>() >= 19_000);
    world.send(1, near, 1, b"alive").unwrap();
    world.send(0, far, 1, b"alive").unwrap();
    world.run_for(Duration::from_secs(1));
    assert_eq!((world.messages(0).len(), world.messages(1).len()), (1, 1));
}

#[test]
fn the_session_table_shows_the_cards_fields() {
    let mut world = open_pair(12, LinkConfig::default(), Class::Terminal, true);
    let near = world.opened(1)[0];
    world.send(1, near, 1, &[0; 100]).unwrap();
    world.run_for(Duration::from_secs(1));
    let (rows, rest) = world.hosts[0].lane.table(0, 10);
    let (peers, _) = world.hosts[1].lane.table(0, 10);
    assert_eq!((rows.len(), rest), (1, None));
    assert_eq!(rows[0].state, "ESTABLISHED");
    assert_eq!((rows[0].remote, rows[0].local), (peers[0].local, peers[0].remote));
    assert_eq!(rows[0].next_sequence, peers[0].last_ack, "what we expect next is what the peer knows we have");
    assert!(rows[0].ack_seen && !rows[0].fin_seen && !rows[0].rst_seen);
    assert_eq!((rows[0].counters.rx_messages, rows[0].in_flight_len), (1, 0));
    assert!(rows[0].last_data_at > Instant::from_millis(1_000));
}

#[test]
fn fault_registers_act_and_are_counted() {
    let mut world = open_pair(13, LinkConfig::default(), Class::Validator, true);
    let near = world.opened(1)[0];
    let now = world.now;
    for (register, value) in [(Register::InsertError, 5), (Register::BackPressure, 2), (Register::CellGap, 50)] {
        world.hosts[0].lane.handle(now, Command::SetRegister { register, value });
    }
    let sent = body(200_000, 1);
    world.send(1, near, 1, &sent).unwrap();
    world.run_for(Duration::from_secs(240));
    assert!(world.messages(0).iter().map(|(_, body)| body).eq([&sent]), "slow, and whole");
    for register in [Register::InsertError, Register::BackPressure, Register::CellGap] {
        assert!(world.hosts[0].lane.register(register).1 > 0, "{}", register.name());
    }
    assert_eq!(
        world.hosts[0].lane.counters().drops.get(Reason::Checksum),
        world.hosts[0].lane.register(Register::InsertError).1
    );
}

#[test]
fn a_segment_of_no_session_meets_silence_or_a_reset() {
    let mut world = open_pair(14, LinkConfig::default(), Class::Terminal, true);
    let near = world.opened(1)[0];
    // The far side forgets the session, as after a restart.
    world.hosts[0].lane = Lane::new(config(0), world.hosts[0].port.capabilities(), world.now).unwrap();
    world.send(1, near, 1, b"hello?").unwrap();
    world.run_for(Duration::from_secs(1));
    assert!(world.closed(1).is_empty(), "silence");
    let set = Command::SetRegister { register: Register::NoSession, value: 1 };
    let now = world.now;
    world.hosts[0].lane.handle(now, set);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.closed(1), [(CloseReason::Remote, true)], "a reset");
}
