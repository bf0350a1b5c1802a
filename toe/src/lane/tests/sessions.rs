//! How sessions begin and end: who is let in, by which bounds, and what is left of them.

use super::*;

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

/// A world whose caller has every local port in TIME-WAIT, all but `but`.
fn without_ports(but: Option<u16>) -> World {
    let mut world = World::new(41, LinkConfig::default());
    world.listen(Class::Terminal, false);
    for port in 1_024..=u16::MAX {
        if Some(port) != but {
            let flow = FlowKey::new(SocketAddr::new(address(0), PORT), SocketAddr::new(address(1), port));
            world.hosts[1].lane.guard.time_wait.insert(world.now, flow, 0, 0);
        }
    }
    world
}

#[test]
fn a_search_for_a_local_port_takes_many_short_turns() {
    let mut world = without_ports(Some(40_000));
    world.call(Class::Uplink, false, false, 0);
    world.turn();
    assert_eq!(world.hosts[1].lane.holdings().calls_under_way, 0, "not in one turn");
    assert!(world.hosts[1].lane.wake_at() <= Some(world.now), "it goes on at once");
    world.run_for(Duration::from_secs(1));
    let (rows, _) = world.hosts[1].lane.table(0, 1);
    assert_eq!((world.opened(1).len(), rows[0].local.port()), (1, 40_000));
}

#[test]
fn a_call_that_finds_no_local_port_is_told_so() {
    let mut world = without_ports(None);
    for tag in 0..3 {
        world.call(Class::Uplink, false, false, tag);
    }
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.closed(1), [(CloseReason::NoRoom, false); 3]);
    assert_eq!(world.hosts[1].lane.calls.held(), (0, 0, 0));
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
