#![allow(clippy::unwrap_used)]

use super::*;
use crate::scenario::file::parse;

const SCENARIO: &str = r#"
name = "logs"
about = "What logs come to."
clock = "real"
warm_up = "1s"
duration = "1s"
drain = "1s"
repeats = 1
sessions = 2

[load]
pattern = "PATTERN"
arrivals = "fixed"
rate_per_s = 10
request_len = 16
REPLY

[[target]]
name = "kernel"
kind = "kernel-epoll"
"#;

fn scenario(pattern: &str) -> Scenario {
    let reply = if pattern == "request-reply" { "reply_len = 16" } else { "" };
    parse(&SCENARIO.replace("PATTERN", pattern).replace("REPLY", reply)).unwrap()
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn sent(session: u32, intended_ms: u64, left_ms: Option<u64>) -> Sent {
    Sent { session, intended: at(intended_ms), left: left_ms.map(at) }
}

fn arrival(number: u64, session: u32, ms: u64) -> Arrival {
    Arrival { number, session, at: at(ms) }
}

#[test]
fn what_is_meant_to_leave_while_it_measures_counts_and_nothing_else() {
    let scenario = scenario("request-reply");
    let window = Window::new(&scenario, at(0));
    let sent = [
        sent(0, 500, Some(500)),
        sent(0, 1_000, Some(1_002)),
        sent(1, 1_100, Some(1_100)),
        sent(0, 1_200, Some(1_200)),
        sent(1, 1_300, None),
        sent(0, 2_000, Some(2_000)),
    ];
    let arrivals = [
        arrival(0, 0, 501),
        arrival(3, 0, 1_201),
        arrival(1, 0, 1_203),
        arrival(1, 0, 1_204),
        arrival(5, 0, 2_001),
        arrival(99, 0, 2_002),
    ];
    let repeat = repeat(&scenario, &window, &sent, &arrivals, at(0));
    let counts = repeat.counts;
    assert_eq!((counts.intended, counts.sent, counts.expected, counts.arrived), (4, 3, 4, 2));
    assert_eq!((counts.lost, counts.duplicated, counts.out_of_order), (2, 1, 1));
    assert_eq!(repeat.latency.max().map(|nanos| nanos / 1_000_000), Some(203));
    assert_eq!(repeat.service.max().map(|nanos| nanos / 1_000_000), Some(201));
    let lost = |ms: usize| repeat.series.steps[ms / 2].expected - repeat.series.steps[ms / 2].arrived;
    assert_eq!(repeat.series.step_ns, 2_000_000);
    assert_eq!([0, 100, 200, 300].map(lost), [0, 1, 0, 1], "what was lost shows where it was meant to leave");
}

#[test]
fn a_fan_out_is_expected_at_each_session() {
    let scenario = scenario("fan-out");
    let window = Window::new(&scenario, at(0));
    let sent = [sent(u32::MAX, 1_000, Some(1_000)), sent(u32::MAX, 1_100, Some(1_100))];
    let arrivals = [arrival(0, 0, 1_001), arrival(0, 1, 1_002), arrival(1, 1, 1_101), arrival(1, 1, 1_101)];
    let counts = repeat(&scenario, &window, &sent, &arrivals, at(0)).counts;
    assert_eq!((counts.intended, counts.expected, counts.arrived, counts.lost, counts.duplicated), (2, 4, 3, 1, 1));
}

#[test]
fn spans_count_all_that_left_and_hold_what_is_measured() {
    let scenario = scenario("request-reply");
    let window = Window::new(&scenario, at(0));
    let sent = [sent(0, 500, Some(500)), sent(0, 1_000, None), sent(0, 1_100, Some(1_100))];
    let ids = [SessionId { index: 3, generation: 0 }];
    let spans = spans(&window, &ids, &sent, &[arrival(0, 0, 501), arrival(2, 0, 1_101)]);
    let kept: Vec<(u64, Span)> = spans[&ids[0]].iter().collect();
    assert_eq!(kept, [(1, Span { intended: at(1_100), arrived: at(1_101) })]);
}

#[test]
fn of_what_is_sent_to_all_each_session_has_spans_of_its_own() {
    let scenario = scenario("fan-out");
    let window = Window::new(&scenario, at(0));
    let sent = [sent(u32::MAX, 500, Some(500)), sent(u32::MAX, 1_100, Some(1_100))];
    let ids = [3, 5].map(|index| SessionId { index, generation: 0 });
    let heard = [arrival(0, 1, 501), arrival(0, 0, 502), arrival(1, 1, 1_101), arrival(1, 0, 1_102), arrival(7, 0, 9)];
    let spans = spans_of_all(&window, &ids, &sent, &heard);
    let kept = ids.map(|id| spans[&id].iter().collect::<Vec<_>>());
    let span = |ms| vec![(1, Span { intended: at(1_100), arrived: at(ms) })];
    assert_eq!(kept, [span(1_102), span(1_101)]);
}
