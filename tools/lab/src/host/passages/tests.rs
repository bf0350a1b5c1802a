#![allow(clippy::unwrap_used)]

use super::*;

const AHEAD: Duration = Duration::from_secs(1_000);

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn unix(nanos: u64) -> u64 {
    AHEAD.as_nanos() + nanos
}

/// Two ends of one session, over which message 0 went at 100 and its answer back, message 1 outside the window, and
/// message 2 without a stamp.
fn ends() -> (Passages, Passages, Vec<Sent>, Window) {
    let (mut near, mut far) = (Passages::new(1), Passages::new(1));
    let mut sent = Vec::new();
    for (number, begin) in [(0, 100), (1, 900), (2, 300)] {
        let line = |began, ended| Written { name: (number, 0), began_at: at(began), ended_at: at(ended) };
        sent.push(Sent { session: 0, intended: at(begin), left: Some(at(begin + 2)) });
        near.written.push_back(line(begin + 2, begin + 9));
        far.read(number, 0, (number != 2).then_some(unix(begin + 12)), at(begin + 20));
        far.written.push_back(line(begin + 21, begin + 40));
        // It came while the call that sent it was under way.
        near.read(number, 0, Some(unix(begin + 35)), at(begin + 50));
    }
    (near, far, sent, Window { start: at(0), begin: at(100), end: at(900), over: at(1_000) })
}

#[test]
fn hops_of_a_message_add_up_and_end_where_its_packet_came() {
    let (mut near, far, sent, window) = ends();
    let (hops, cost) = hops((&sent, &window), true, (&mut near, &far), Some(AHEAD));
    let found: Vec<_> = hops
        .iter()
        .map(|hop| (hop.name.as_str(), hop.is_back, hop.time.count(), hop.time.percentile(100.0).unwrap()))
        .collect();
    let expected = [
        ("application", false, 1, 2),
        ("tcp", false, 1, 7),
        ("wire", false, 1, 3),
        ("tcp-in", false, 1, 8),
        ("application", true, 1, 1),
        ("tcp", true, 1, 14),
        ("wire", true, 1, 0),
        ("tcp-in", true, 1, 15),
    ];
    assert_eq!(found, expected);
    assert!(cost.stamp_ns > 0 && near.written.len() == 3, "what stamping costs is looked at beside the lines");
}

#[test]
fn one_way_ends_where_it_was_read_and_a_clock_that_was_set_tells_nothing() {
    let (mut near, far, sent, window) = ends();
    let (hops, _) = super::hops((&sent, &window), false, (&mut near, &far), Some(AHEAD));
    assert!(hops.len() == 4 && hops.iter().all(|hop| !hop.is_back && hop.time.count() == 1));
    assert!(super::hops((&sent, &window), false, (&mut near, &far), None).0.is_empty());
}

#[test]
fn of_many_sessions_some_are_looked_at_and_the_oldest_lines_give_way() {
    let mut passages = Passages::new(10_000);
    assert_eq!((0..10_000).filter(|session| passages.draws(*session)).count(), 64);
    assert!((0..64).all(|session| Passages::new(64).draws(session)));
    for number in 0..=LINES_MAX as u64 {
        passages.read(number, 0, None, at(number));
    }
    assert_eq!((passages.read.len(), passages.read[0].name), (LINES_MAX, (1, 0)));
}
