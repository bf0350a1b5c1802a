//! What a session carries: messages, broadcasts, and what waits for a slow host or peer.

use hpb_types::message::diagnose::Parting;

use super::*;

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
    assert_eq!(world.closed(0), [(CloseReason::Parted(Parting::SLOW), true)]);
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
