#![allow(clippy::unwrap_used)]

use super::*;

fn flow() -> FlowKey {
    let end = |last, port| SocketAddr::from(([10, 0, 0, last], port));
    FlowKey::new(end(1, 7), end(2, 9))
}

fn session(index: u32) -> SessionId {
    SessionId { index, generation: 0 }
}

/// Stamps whose clock goes on by a nanosecond a reading.
fn stamps(stamps_max: usize) -> Stamps {
    let mut nanos = 0;
    Stamps::new(stamps_max, 2, 1, move || {
        nanos += 1;
        Instant::from_nanos(nanos)
    })
}

#[test]
fn the_oldest_stamps_give_way_and_are_still_counted() {
    let mut stamps = stamps(3);
    for _ in 0..5 {
        stamps.opened(session(0), &flow(), 2);
    }
    let counts: Vec<Stage> = stamps.iter().map(|stamp| stamp.stage).collect();
    assert_eq!(counts, [6, 8, 10].map(|count| Stage::Opened { count }));
    assert_eq!(stamps.readings(), 5);
}

#[test]
fn sessions_beyond_the_bound_are_not_looked_at_and_a_new_one_at_the_place_begins_anew() {
    let mut stamps = stamps(8);
    stamps.opened(session(0), &flow(), 1);
    stamps.opened(session(1), &flow(), 1);
    stamps.opened(session(2), &flow(), 1);
    assert_eq!(stamps.iter().count(), 2);
    let next = SessionId { index: 1, generation: 1 };
    stamps.opened(next, &flow(), 1);
    let last = stamps.iter().last().unwrap();
    assert_eq!((last.session, last.stage), (next, Stage::Opened { count: 1 }));
    assert_eq!(stamps.sessions().count(), 2);
}

#[test]
fn of_many_sessions_both_ends_draw_the_same_ones() {
    let end = |last, port| SocketAddr::from(([10, 0, 0, last], port));
    let drawn = |flow: FlowKey| is_drawn(&flow, 50);
    let there: Vec<u16> = (20_000..30_000).filter(|port| drawn(FlowKey::new(end(1, *port), end(2, 9)))).collect();
    let back: Vec<u16> = (20_000..30_000).filter(|port| drawn(FlowKey::new(end(2, 9), end(1, *port)))).collect();
    assert_eq!(there, back);
    assert!((150..250).contains(&there.len()), "{} of 10,000", there.len());
    assert!(is_drawn(&flow(), 1));
    let mut stamps = Stamps::new(8, 1_000, u32::MAX, || Instant::ZERO);
    stamps.opened(session(0), &flow(), 1);
    assert_eq!((stamps.iter().count(), stamps.sessions().count()), (0, 0));
}

#[test]
fn what_waits_is_sealed_later() {
    let mut stamps = stamps(8);
    let now = stamps.now();
    stamps.taken(session(0), &flow(), now, 100, true);
    stamps.sealed(session(0), &flow(), 100, 500);
    assert_eq!(stamps.iter().count(), 1, "nothing of it is sealed");
    stamps.sealed(session(0), &flow(), 40, 576);
    stamps.sealed(session(0), &flow(), 0, 632);
    let sealed: Vec<Stage> = stamps.iter().skip(1).map(|stamp| stamp.stage).collect();
    assert_eq!(
        sealed,
        [Stage::Sealed { stream_len: 60, sequence: 576 }, Stage::Sealed { stream_len: 100, sequence: 632 }]
    );
}

#[test]
fn a_session_that_shed_is_no_longer_looked_at() {
    let mut stamps = stamps(8);
    let now = stamps.now();
    stamps.taken(session(0), &flow(), now, 100, false);
    stamps.taken(session(0), &flow(), now, 100, true);
    assert_eq!((stamps.iter().count(), stamps.sessions().count()), (1, 0));
}

#[test]
fn the_port_s_mark_is_on_what_was_emitted_since_the_last_one() {
    let mut stamps = stamps(8);
    stamps.burst_given();
    assert_eq!(stamps.readings(), 0, "nothing was emitted, and no clock read");
    stamps.emitted(session(0), &flow(), 1, 2);
    stamps.burst_given();
    stamps.emitted(session(0), &flow(), 2, 3);
    stamps.opened(session(0), &flow(), 1);
    stamps.burst_given();
    let given = stamps.iter().filter_map(|stamp| match stamp.stage {
        Stage::Emitted { given_at, .. } => Some((stamp.at.as_nanos(), given_at.as_nanos())),
        _ => None,
    });
    assert_eq!(given.collect::<Vec<_>>(), [(1, 2), (3, 5)]);
}

#[test]
fn a_look_at_the_cost_leaves_nothing() {
    let mut stamps = stamps(8);
    stamps.opened(session(0), &flow(), 1);
    assert_eq!(stamps.cost(), Duration::from_nanos(1));
    assert_eq!((stamps.iter().count(), stamps.readings()), (1, 1));
}
