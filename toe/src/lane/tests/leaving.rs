//! How a lane ends: who is told, who is not, and that it ends in time whatever its peers do.

use hpb_types::Canonical as _;
use hpb_types::message::diagnose::{EventKind, Goodbye, Parting};
use hpb_types::message::kind::GOODBYE;

use super::*;

const SHUTDOWN: Goodbye = Goodbye::because(Parting::SHUTDOWN);
const PARTED: CloseReason = CloseReason::Parted(Parting::SHUTDOWN);
const WITHIN: Duration = Duration::from_millis(400);

fn leave(world: &mut World, host: usize) {
    world.hosts[host].lane.leave(world.now, SHUTDOWN, WITHIN);
}

/// The goodbyes that a host heard.
fn heard(world: &World, host: usize) -> Vec<Goodbye> {
    let said = world.messages(host).into_iter().filter(|(kind, _)| *kind == GOODBYE);
    said.map(|(_, body)| Goodbye::from_bytes(&body).unwrap()).collect()
}

fn events(world: &World, host: usize) -> Vec<(EventKind, String)> {
    let (mut rows, mut after) = (Vec::new(), 0);
    loop {
        let page = world.hosts[host].lane.notables(world.now, after, (0, 1));
        let Some(last) = page.rows.last() else { return rows };
        after = last.number;
        rows.extend(page.rows.into_iter().map(|row| (row.kind, row.reason.0)));
    }
}

#[test]
fn every_open_session_is_told_and_closed_and_nothing_is_left() {
    let mut world = World::new(1, LinkConfig::default());
    world.listen(Class::Terminal, true);
    for tag in 0..300 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.opened(0).len(), 300);
    leave(&mut world, 0);
    assert!(world.hosts[0].lane.is_leaving() && !world.hosts[0].lane.has_left());
    world.run_for(Duration::from_millis(100));
    assert!(world.hosts[0].lane.has_left());
    assert_eq!(heard(&world, 1), [SHUTDOWN; 300]);
    assert_eq!(world.closed(0), [(PARTED, true); 300]);
    assert_eq!(world.closed(1), [(CloseReason::Remote, true); 300]);
    assert_eq!((world.hosts[0].lane.counters().resets, world.hosts[1].lane.counters().resets), (0, 0));
    let said = events(&world, 1);
    let goodbyes = said.iter().filter(|(kind, _)| *kind == EventKind::Goodbye);
    assert!(goodbyes.clone().all(|(_, reason)| reason == "the peer says: the process ends"), "{said:?}");
    assert_eq!(goodbyes.count(), 300);
    assert_eq!(events(&world, 0).last().unwrap().1, "told goodbye: the process ends");
    // Old duplicates are waited out, and then nothing is held.
    world.run_for(Duration::from_secs(120));
    for host in &world.hosts {
        let held = host.lane.holdings();
        assert_eq!((held.sessions, held.flows, held.sources, held.time_wait), (0, 0, 0, 0), "{held:?}");
        assert_eq!((held.calls, held.members, held.jobs, held.queued), (0, 0, 0, 0), "{held:?}");
    }
}

#[test]
fn what_waits_is_sent_before_the_goodbye() {
    let mut world = open_pair(2, LinkConfig::default(), Class::Validator, true);
    let session = world.opened(0)[0];
    for tag in 0..20 {
        world.send(0, session, 7, &body(10_000, tag)).unwrap();
    }
    leave(&mut world, 0);
    assert_eq!(world.send(0, session, 8, b"late"), Ok(()), "until its turn has come");
    world.run_for(WITHIN);
    let said: Vec<u8> = world.messages(1).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(said, [&[7; 20][..], &[8, GOODBYE]].concat());
}

#[test]
fn both_ends_may_leave_at_once() {
    let mut world =
        open_pair(3, LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() }, Class::Validator, true);
    leave(&mut world, 0);
    leave(&mut world, 1);
    world.run_for(WITHIN);
    for host in [0, 1] {
        assert!(world.hosts[host].lane.has_left());
        assert_eq!(world.closed(host), [(PARTED, true)]);
    }
}

#[test]
fn it_neither_calls_again_nor_takes_calls() {
    let mut world = World::new(4, LinkConfig::default());
    world.listen(Class::Terminal, true);
    world.call(Class::Uplink, true, true, 1);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.opened(0).len(), 1);
    leave(&mut world, 1);
    world.call(Class::Uplink, true, true, 2);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.closed(1), [(CloseReason::Local, false), (PARTED, true)]);
    assert_eq!(world.opened(0).len(), 1, "not even the call that was to be kept");

    let mut world = World::new(5, LinkConfig::default());
    world.listen(Class::Terminal, true);
    leave(&mut world, 0);
    world.listen(Class::Terminal, true);
    world.call(Class::Uplink, true, false, 3);
    world.run_for(Duration::from_secs(60));
    assert!(world.hosts[0].lane.has_left() && world.opened(1).is_empty());
}

#[test]
fn handshakes_under_way_are_broken_off() {
    // The SYN is out, the SYN|ACK is out, the handshake has begun, it lacks its last message.
    for (seed, delay_ms) in [(6, 1), (7, 5), (8, 12), (9, 15)] {
        let link = LinkConfig { delay: Duration::from_millis(4), ..LinkConfig::default() };
        let mut world = World::new(seed, link);
        world.listen(Class::Terminal, true);
        world.call(Class::Uplink, true, false, 0);
        world.run_for(Duration::from_millis(delay_ms));
        assert!(world.opened(0).is_empty(), "after {delay_ms} ms");
        leave(&mut world, 0);
        world.run_for(Duration::from_millis(50));
        assert!(world.hosts[0].lane.has_left(), "after {delay_ms} ms");
        let half_open = world.hosts[0].lane.half_open();
        assert_eq!((half_open, world.hosts[0].lane.holdings().flows), ((0, 0), 0));
        world.run_for(Duration::from_secs(60));
        assert_eq!((heard(&world, 1).len(), world.closed(1).len()), (0, 1), "a reset, or the caller's own time-out");
    }
    // The same from the side that calls.
    for (seed, delay_ms) in [(10, 1), (11, 9), (12, 12)] {
        let link = LinkConfig { delay: Duration::from_millis(4), ..LinkConfig::default() };
        let mut world = World::new(seed, link);
        world.listen(Class::Terminal, true);
        world.call(Class::Uplink, true, true, 0);
        world.run_for(Duration::from_millis(delay_ms));
        leave(&mut world, 1);
        world.run_for(Duration::from_millis(50));
        assert!(world.hosts[1].lane.has_left(), "after {delay_ms} ms");
        world.run_for(Duration::from_secs(60));
        assert_eq!(world.hosts[0].lane.sessions(), 0);
        assert_eq!(world.closed(1), [(PARTED, false)]);
        assert_eq!(world.hosts[1].lane.holdings().calls_under_way, 0);
    }
}

#[test]
fn a_full_outbox_makes_room_for_the_goodbye() {
    let mut world = open_pair(13, LinkConfig::default(), Class::Terminal, true);
    let session = world.opened(0)[0];
    world.hosts[1].reap = false;
    let room = |world: &mut World| {
        let waiting_len = live(&mut world.hosts[0].lane.slots, session).unwrap().outbox.len();
        Class::Terminal.outbox_len_max() - waiting_len
    };
    while room(&mut world) >= 1_005 {
        world.hosts[0].lane.send(session, Priority::Critical, 1, &[0; 1_000]).unwrap();
        world.now += Duration::from_micros(20);
        world.turn();
    }
    while room(&mut world) >= 10 {
        world.hosts[0].lane.send(session, Priority::Critical, 1, &[]).unwrap();
    }
    leave(&mut world, 0);
    world.run_for(Duration::from_millis(100));
    world.hosts[1].reap = true;
    world.run_for(Duration::from_millis(100));
    assert_eq!(heard(&world, 1), [SHUTDOWN], "and not that it was too slow");
    assert_eq!((world.closed(0), world.hosts[0].lane.has_left()), (vec![(PARTED, true)], true));
}

#[test]
fn whoever_takes_nothing_is_cut_off_in_time() {
    // One host reads nothing, and of another nothing is heard any more.
    for (seed, cut) in [(14, false), (15, true)] {
        let mut world = open_pair(seed, LinkConfig::default(), Class::Terminal, true);
        let session = world.opened(0)[0];
        world.hosts[1].reap = false;
        let mut count = 0;
        while world.hosts[0].lane.send(session, Priority::Normal, 1, &[0; 1_000]).is_ok() && count < 70_000 {
            world.now += Duration::from_micros(20);
            world.turn();
            count += 1;
        }
        if cut {
            world.hole_len = 0;
        }
        leave(&mut world, 0);
        world.run_for(WITHIN);
        world.run_for(Duration::from_millis(2));
        assert!(world.hosts[0].lane.has_left(), "cut {cut}");
        world.hosts[0].reap();
        assert_eq!(world.closed(0), [(PARTED, true)]);
        let held = world.hosts[0].lane.holdings();
        assert_eq!((held.sessions, held.flows, held.sources, held.time_wait), (0, 0, 0, 0), "{held:?}");
        assert_eq!(world.hosts[1].lane.sessions(), usize::from(cut), "a reset tells the other end");
    }
}

#[test]
fn a_plain_stream_ends_without_a_word_that_its_peer_could_not_read() {
    let mut world = open_pair(16, LinkConfig::default(), Class::Stream, false);
    leave(&mut world, 0);
    world.run_for(WITHIN);
    assert_eq!(world.closed(0), [(PARTED, true)]);
    assert!(world.messages(1).is_empty());
    assert_eq!(world.closed(1), [(CloseReason::Remote, true)]);
}

#[test]
fn validators_hear_of_it_before_all_others() {
    let mut world = World::new(17, LinkConfig::default());
    world.listen(Class::Terminal, true);
    for tag in 0..20 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_secs(2));
    let lane = &mut world.hosts[0].lane;
    lane.handle(world.now, Command::Listen { port: PORT, class: Class::Validator, encrypted: true });
    world.call(Class::Validator, true, false, 99);
    world.run_for(Duration::from_secs(2));
    let last = *world.opened(1).last().unwrap();
    leave(&mut world, 0);
    world.run_for(WITHIN);
    let first = world.hosts[1].seen.iter().find_map(|seen| match seen {
        Seen::Message { session, kind: GOODBYE, .. } => Some(*session),
        _ => None,
    });
    assert_eq!((first, heard(&world, 1).len()), (Some(last), 21));
}
