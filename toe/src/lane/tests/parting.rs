//! How sessions end with a word, who is kept out, and what an onlooker sees of it.

use hpb_base::limits::EVENTS_TOLD_MAX;
use hpb_types::Canonical as _;
use hpb_types::message::diagnose::{
    Banned, EventKind, Goodbye, Network, Parting, PeerKey, SessionFilter, SessionRow, SessionState, SessionsAsked,
    SessionsPage,
};
use hpb_types::message::kind::GOODBYE;

use super::*;

fn asked(from: u32, most: u16) -> SessionsAsked {
    SessionsAsked { lane: 0, from, most, filter: SessionFilter::ALL }
}

/// All rows, by pages of so many.
fn rows(world: &World, most: u16, filter: SessionFilter) -> Vec<SessionRow> {
    let (mut rows, mut from) = (Vec::new(), 0);
    while from != SessionsPage::END {
        let page = world.hosts[0].lane.page(world.now, &SessionsAsked { filter, ..asked(from, most) }, 1);
        assert!(page.rows.len() <= usize::from(most));
        rows.extend(page.rows);
        from = page.next;
    }
    rows
}

fn kinds(world: &World, host: usize) -> Vec<EventKind> {
    let page = world.hosts[host].lane.notables(world.now, 0, (0, 1));
    page.rows.iter().map(|row| row.kind).collect()
}

/// The goodbyes that a host heard.
fn heard(world: &World, host: usize) -> Vec<Goodbye> {
    let said = world.messages(host).into_iter().filter(|(kind, _)| *kind == GOODBYE);
    said.map(|(_, body)| Goodbye::from_bytes(&body).unwrap()).collect()
}

#[test]
fn a_session_that_is_ended_by_an_operator_is_told_so() {
    let mut world = open_pair(1, LinkConfig::default(), Class::Terminal, true);
    let session = world.opened(0)[0];
    assert!(world.hosts[0].lane.disconnect(session));
    world.run_for(Duration::from_secs(1));
    assert_eq!(heard(&world, 1), [Goodbye::because(Parting::OPERATOR)]);
    assert_eq!(world.closed(0), [(CloseReason::Parted(Parting::OPERATOR), true)]);
    assert_eq!(world.closed(1), [(CloseReason::Remote, true)]);
    assert!(!world.hosts[0].lane.disconnect(session), "it is gone");
    assert_eq!(kinds(&world, 0), [EventKind::Opened, EventKind::Closed]);
    assert_eq!(kinds(&world, 1), [EventKind::Opened, EventKind::Goodbye, EventKind::Closed]);
    let page = world.hosts[1].lane.notables(world.now, 1, (0, 1));
    assert_eq!(page.rows[0].reason.0, "the peer says: ended by an operator");
    assert_eq!(page.rows[0].peer, PeerKey::Known(identity(0).public()));
}

#[test]
fn a_banned_identity_is_told_so_and_its_host_never_hears_of_it() {
    let mut world = World::new(2, LinkConfig::default());
    world.listen(Class::Terminal, true);
    let who = Banned::Identity(identity(1).public());
    assert!(world.hosts[0].lane.ban(world.now, who, 60));
    world.call(Class::Uplink, true, false, 0);
    world.run_for(Duration::from_secs(2));
    assert_eq!(heard(&world, 1), [Goodbye { reason: Parting::BANNED, detail: 60 }]);
    assert!(world.opened(0).is_empty());
    assert_eq!(world.closed(0), [(CloseReason::Parted(Parting::BANNED), false)]);
    assert_eq!(world.hosts[0].lane.counters().drops.get(Reason::Banned), 1);
    assert_eq!(world.hosts[0].lane.bans(world.now)[0].hits, 1);
    assert_eq!(kinds(&world, 0), [EventKind::Banned, EventKind::Failed]);
    assert!(world.hosts[0].lane.unban(world.now, &who));
    world.call(Class::Uplink, true, false, 0);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.opened(0).len(), 1);
}

#[test]
fn a_banned_network_is_told_so_and_gets_no_session() {
    let mut world = World::new(3, LinkConfig::default());
    world.listen(Class::Terminal, true);
    let who = Banned::Network(Network::new(address(1), 24).unwrap());
    assert!(world.hosts[0].lane.ban(world.now, who, 30));
    world.call(Class::Uplink, true, false, 0);
    world.run_for(Duration::from_secs(2));
    let lane = &world.hosts[0].lane;
    assert_eq!((lane.sessions(), lane.counters().resets, lane.link_counters().prohibited), (0, 0, 1));
    assert_eq!(lane.counters().drops.get(Reason::Banned), 1);
    assert_eq!(world.closed(1), [(CloseReason::Unreachable, false)]);
    world.run_for(Duration::from_secs(30));
    world.call(Class::Uplink, true, false, 0);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.opened(0).len(), 1, "the ban is over");
}

#[test]
fn banned_callers_beyond_the_rate_of_icmp_get_resets() {
    let mut world = World::new(3, LinkConfig::default());
    world.listen(Class::Terminal, true);
    let who = Banned::Network(Network::new(address(1), 24).unwrap());
    assert!(world.hosts[0].lane.ban(world.now, who, 0));
    for tag in 0..200 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_millis(20));
    let lane = &world.hosts[0].lane;
    let (told, reset) = (lane.link_counters().prohibited, lane.counters().resets);
    assert!((50..80).contains(&told) && told + reset == 200, "{told} told, {reset} reset");
    assert_eq!(lane.counters().tx_segments, reset, "one answer to one call");
    assert_eq!(world.closed(1).len(), 200);
}

#[test]
fn a_ban_ends_what_is_open_and_nothing_else() {
    let mut world = World::new(4, LinkConfig::default());
    world.listen(Class::Terminal, true);
    for tag in 0..3 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_secs(2));
    let other = Banned::Network(Network::new([10, 9, 9, 9].into(), 32).unwrap());
    assert!(world.hosts[0].lane.ban(world.now, other, 30));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.hosts[0].lane.sessions(), 3);
    assert!(world.hosts[0].lane.ban(world.now, Banned::Identity(identity(1).public()), 0));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.hosts[0].lane.sessions(), 0);
    assert_eq!(heard(&world, 1), [Goodbye { reason: Parting::BANNED, detail: 0 }; 3]);
}

#[test]
fn the_last_places_of_a_table_are_for_telling_that_it_is_full() {
    let mut world = World::with(5, LinkConfig::default(), |host| LaneConfig { sessions_max: 128, ..config(host) });
    world.listen(Class::Terminal, true);
    for tag in 0..127 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.opened(0).len(), 126, "two of 128 places are kept");
    assert_eq!(heard(&world, 1), [Goodbye::because(Parting::FULL)]);
    assert_eq!(world.hosts[0].lane.counters().drops.get(Reason::TableFull), 1);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.hosts[0].lane.sessions(), 126);
}

#[test]
fn pages_show_each_session_once_though_others_come_and_go() {
    let mut world = World::new(6, LinkConfig::default());
    world.listen(Class::Terminal, true);
    for tag in 0..600 {
        world.call(Class::Uplink, true, false, tag);
    }
    world.run_for(Duration::from_secs(10));
    assert_eq!(rows(&world, 256, SessionFilter::ALL).len(), 600);
    let (mut seen, mut from, mut step) = (Vec::new(), 0, 0);
    while from != SessionsPage::END {
        let page = world.hosts[0].lane.page(world.now, &asked(from, 64), 1);
        assert!(page.next > from);
        seen.extend(page.rows.iter().map(|row| row.session));
        from = page.next;
        // One before the place where the reader is, and one behind it.
        for at in [step, 599 - step] {
            let session = world.opened(0)[at];
            world.hosts[0].lane.disconnect(session);
        }
        step += 1;
        world.call(Class::Uplink, true, false, 0);
        world.run_for(Duration::from_millis(50));
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "none stands twice");
    assert!(count >= 600 - step, "{count}");
}

#[test]
fn a_filter_is_held_against_class_state_peer_and_network() {
    let mut world = open_pair(7, LinkConfig::default(), Class::Terminal, true);
    world.run_for(Duration::from_secs(1));
    let all = SessionFilter::ALL;
    let row = &rows(&world, 9, all)[0];
    assert!(row.has(SessionRow::OPEN) && row.has(SessionRow::ENCRYPTED) && !row.has(SessionRow::CALLED));
    assert_eq!((row.state, row.remote.socket().ip()), (SessionState::Established, address(1)));
    assert!(row.round_trip_us > 0 && row.age_ms > 5_000, "{row:?}");
    let near = |host| Network::new(address(host), 32).unwrap();
    let table = [
        (SessionFilter { classes: 0b10, ..all }, 1),
        (SessionFilter { classes: 0b01, ..all }, 0),
        (SessionFilter { states: 1 << SessionState::Established as u16, ..all }, 1),
        (SessionFilter { states: 1 << SessionState::SynSent as u16, ..all }, 0),
        (SessionFilter { near: near(1), ..all }, 1),
        (SessionFilter { near: near(0), ..all }, 0),
        (SessionFilter { peer: PeerKey::Known(identity(1).public()), ..all }, 1),
        (SessionFilter { peer: PeerKey::Known(identity(0).public()), ..all }, 0),
    ];
    for (filter, count) in table {
        assert_eq!(rows(&world, 9, filter).len(), count, "{filter:?}");
    }
}

#[test]
fn strangers_without_a_handshake_leave_nothing_to_tell() {
    let cut = LinkConfig { cut: true, ..LinkConfig::default() };
    let mut world = World::new(8, cut);
    world.listen(Class::Terminal, true);
    world.call(Class::Uplink, true, false, 0);
    world.run_for(Duration::from_secs(60));
    assert!(kinds(&world, 0).is_empty());
    assert_eq!(kinds(&world, 1), [EventKind::Failed], "its own call is told");
    assert!(world.hosts[1].lane.notables(world.now, 0, (0, 1)).rows.len() <= EVENTS_TOLD_MAX);
}

/// A session whose peer's host takes nothing, brought so far that the next critical message ends it.
fn slow_pair(seed: u64) -> (World, SessionId) {
    let mut world = open_pair(seed, LinkConfig::default(), Class::Terminal, true);
    let session = world.opened(0)[0];
    world.hosts[1].reap = false;
    let mut count = 0;
    while world.hosts[0].lane.send(session, Priority::Normal, 1, &[0; 1_000]) != Err(SendError::Shed) {
        world.now += Duration::from_micros(20);
        world.turn();
        count += 1;
        assert!(count < 100_000, "it is never too slow");
        if world.hosts[0].lane.counters().shed_messages > 0 {
            break;
        }
    }
    let mut count = 0;
    while world.hosts[0].lane.send(session, Priority::Critical, 1, &[0; 1_000]) != Err(SendError::Ended) {
        count += 1;
        assert!(count < 100_000, "critical messages never fill its outbox");
    }
    (world, session)
}

#[test]
fn a_peer_that_is_too_slow_is_told_so_behind_the_message_that_has_begun() {
    let (mut world, session) = slow_pair(9);
    assert_eq!(world.hosts[0].lane.send(session, Priority::Critical, 2, b"late"), Err(SendError::NotOpen));
    world.run_for(Duration::from_millis(1_500));
    assert!(world.closed(0).is_empty(), "the word may yet be taken");
    world.hosts[1].reap = true;
    world.run_for(Duration::from_secs(5));
    assert_eq!(heard(&world, 1), [Goodbye::because(Parting::SLOW)]);
    assert_eq!(world.messages(1).last().map(|(kind, _)| *kind), Some(GOODBYE), "it is the last word");
    assert_eq!(world.closed(0), [(CloseReason::Parted(Parting::SLOW), true)]);
    assert_eq!(world.closed(1), [(CloseReason::Remote, true)]);
    assert_eq!(kinds(&world, 1), [EventKind::Opened, EventKind::Goodbye, EventKind::Closed]);
}

#[test]
fn a_peer_that_does_not_take_the_goodbye_in_time_meets_a_reset() {
    let (mut world, _) = slow_pair(10);
    world.run_for(Duration::from_millis(1_999));
    assert!(world.closed(0).is_empty(), "the word may yet be taken");
    world.run_for(Duration::from_millis(3));
    assert_eq!(world.closed(0), [(CloseReason::Parted(Parting::SLOW), true)]);
    let held = world.hosts[0].lane.holdings();
    assert_eq!((held.sessions, held.flows, held.sources, held.time_wait), (0, 0, 0, 0), "{held:?}");
    assert_eq!(world.hosts[1].lane.sessions(), 0, "the reset has come");
    world.hosts[1].reap = true;
    world.run_for(Duration::from_secs(1));
    assert!(heard(&world, 1).is_empty());
    assert_eq!(world.closed(1), [(CloseReason::Remote, true)]);
}

#[test]
fn a_goodbye_that_finds_no_room_keeps_its_own_reason() {
    let mut world = open_pair(11, LinkConfig::default(), Class::Terminal, true);
    let session = world.opened(0)[0];
    world.hosts[1].reap = false;
    while world.hosts[0].lane.send(session, Priority::Critical, 1, &[0; 1_000]).is_ok() {
        let waiting_len = live(&mut world.hosts[0].lane.slots, session).unwrap().outbox.len();
        if waiting_len + 1_005 > Class::Terminal.outbox_len_max() {
            break;
        }
        world.now += Duration::from_micros(20);
        world.turn();
    }
    while live(&mut world.hosts[0].lane.slots, session).unwrap().outbox.len() < Class::Terminal.outbox_len_max() - 9 {
        world.hosts[0].lane.send(session, Priority::Critical, 1, &[0; 1]).unwrap();
    }
    assert!(world.hosts[0].lane.disconnect(session));
    world.hosts[1].reap = true;
    world.run_for(Duration::from_secs(1));
    assert_eq!(heard(&world, 1), [Goodbye::because(Parting::OPERATOR)]);
    assert_eq!(world.closed(0), [(CloseReason::Parted(Parting::OPERATOR), true)]);
}
