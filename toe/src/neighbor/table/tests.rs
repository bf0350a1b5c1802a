#![allow(clippy::unwrap_used)]

use hpb_net::frame::FramePool;
use proptest::prelude::*;

use super::*;

const START: Instant = Instant::from_millis(1_000);

fn at(ms: u64) -> Instant {
    START + Duration::from_millis(ms)
}

fn table() -> Table {
    Table::new([3, 5])
}

fn hardware(n: u8) -> HardwareAddress {
    [2, 0, 0, 0, 0, n]
}

fn answer(n: u8) -> Claim {
    Claim { hardware: Some(hardware(n)), answers: true, overrides: true }
}

fn gratuitous(n: u8) -> Claim {
    Claim { hardware: Some(hardware(n)), answers: false, overrides: true }
}

/// Resolves `address` to hardware address `n` at `now`.
fn resolved(table: &mut Table, now: Instant, address: u128, n: u8) {
    assert!(matches!(table.resolve(now, address), Ok(Resolution::Waits(_))));
    while table.take_ask().is_some() {}
    assert!(matches!(table.hear(now, address, answer(n)), Heard::Resolved(_)));
    assert_eq!(table.state(now, address), Some(State::Reachable));
}

/// Moves time on to `until`, and returns when questions were asked and whether of one alone.
fn asks(table: &mut Table, until: Instant) -> Vec<(u64, bool)> {
    let mut asked = Vec::new();
    while let Some(now) = table.wake_at().filter(|at| *at <= until) {
        assert!(table.ring(now));
        while let Some((_, hardware)) = table.take_ask() {
            asked.push((now.since(START).as_millis(), hardware.is_some()));
        }
    }
    asked
}

#[test]
fn a_neighbor_is_asked_three_times_and_then_left_alone_for_a_while() {
    let mut table = table();
    let mut pool = FramePool::new(64);
    let Ok(Resolution::Waits(index)) = table.resolve(at(0), 7) else { panic!("not known yet") };
    assert_eq!(table.take_ask(), Some((7, None)));
    for _ in 0..NEIGHBOR_WAITING_MAX {
        assert!(table.wait(index, pool.take().unwrap()).is_ok());
    }
    assert!(table.wait(index, pool.take().unwrap()).is_err(), "the newest has no place");
    assert_eq!(asks(&mut table, at(60_000)), [(1_000, false), (2_000, false)]);
    assert_eq!(table.state(at(3_000), 7), Some(State::Unreachable));
    assert_eq!((table.waiting(), std::iter::from_fn(|| table.take_discarded()).count()), (0, NEIGHBOR_WAITING_MAX));
    assert_eq!(table.resolve(at(7_999), 7), Err(NeighborDrop::Unreachable));
    assert_eq!(table.resolve(at(8_000), 7), Ok(Resolution::Waits(index)));
    assert_eq!(table.take_ask(), Some((7, None)));
}

#[test]
fn a_neighbor_that_did_not_answer_is_known_once_it_speaks() {
    let mut table = table();
    assert!(table.resolve(at(0), 7).is_ok());
    asks(&mut table, at(10_000));
    assert!(matches!(table.hear(at(3_500), 7, gratuitous(1)), Heard::Resolved(_)));
    assert_eq!(table.state(at(3_500), 7), Some(State::Stale));
    assert!(matches!(table.resolve(at(3_500), 7), Ok(Resolution::Known { .. })));
}

#[test]
fn what_is_in_use_is_asked_alone_after_thirty_five_seconds() {
    let mut table = table();
    resolved(&mut table, at(0), 7, 1);
    assert_eq!(table.state(at(29_999), 7), Some(State::Reachable));
    assert_eq!(table.state(at(30_000), 7), Some(State::Stale));
    let known = table.resolve(at(30_000), 7);
    assert_eq!(known, Ok(Resolution::Known { hardware: hardware(1), until: at(31_000) }));
    assert_eq!(table.state(at(30_000), 7), Some(State::Delay));
    assert_eq!(asks(&mut table, at(35_500)), [(35_000, true)]);
    assert_eq!(table.hear(at(35_600), 7, answer(1)), Heard::Known);
    assert_eq!(table.state(at(35_600), 7), Some(State::Reachable));
    assert_eq!(asks(&mut table, at(300_000)), [], "nobody uses it");
}

#[test]
fn a_neighbor_that_is_gone_is_looked_for_anew() {
    let mut table = table();
    resolved(&mut table, at(0), 7, 1);
    assert!(table.resolve(at(40_000), 7).is_ok());
    assert_eq!(asks(&mut table, at(60_000)), [(45_000, true), (46_000, true), (47_000, true)]);
    assert_eq!(table.state(at(48_000), 7), Some(State::Unreachable));
    assert!(matches!(table.resolve(at(48_000), 7), Ok(Resolution::Waits(_))), "at once");
    assert_eq!(table.take_ask(), Some((7, None)));
}

#[test]
fn a_session_that_goes_forward_spares_the_question() {
    let mut table = table();
    resolved(&mut table, at(0), 7, 1);
    for round in 1..20 {
        assert!(table.resolve(at(round * 32_000), 7).is_ok());
        table.confirm(at(round * 32_000 + 10), 7);
    }
    assert_eq!(asks(&mut table, at(640_000)), []);
    table.confirm(at(0), 8);
    assert_eq!(table.state(at(0), 8), None, "nobody is made up");
}

#[test]
fn claims_change_what_is_known_and_nothing_else() {
    // RFC 4861 section 7.2.5, and its appendix C.
    let other = |answers, overrides| Claim { hardware: Some(hardware(2)), answers, overrides };
    for (claim, expected, state, known) in [
        (gratuitous(1), Heard::Known, State::Reachable, 1),
        (other(false, false), Heard::Known, State::Stale, 1),
        (other(false, true), Heard::Overridden, State::Stale, 2),
        // An answer that nobody asked for is as good as any claim.
        (other(true, true), Heard::Overridden, State::Stale, 2),
    ] {
        let mut table = table();
        resolved(&mut table, at(0), 7, 1);
        assert_eq!(table.hear(at(10), 7, claim), expected, "{claim:?}");
        assert_eq!(table.state(at(10), 7), Some(state), "{claim:?}");
        let Ok(Resolution::Known { hardware: found, .. }) = table.resolve(at(20), 7) else { panic!("known") };
        assert_eq!(found, hardware(known), "{claim:?}");
        assert_eq!(table.hear(at(30), 8, claim), Heard::Unknown);
        assert_eq!(table.len(), 1);
    }
}

#[test]
fn a_false_claim_heals() {
    let mut table = table();
    resolved(&mut table, at(0), 7, 1);
    assert_eq!(table.hear(at(10), 7, gratuitous(66)), Heard::Overridden);
    assert!(table.resolve(at(20), 7).is_ok());
    // Who is not there does not answer.
    assert_eq!(asks(&mut table, at(9_000)), [(5_020, true), (6_020, true), (7_020, true)]);
    resolved_again(&mut table, at(9_000));
}

fn resolved_again(table: &mut Table, now: Instant) {
    assert!(matches!(table.resolve(now, 7), Ok(Resolution::Waits(_))));
    assert!(matches!(table.hear(now, 7, answer(1)), Heard::Resolved(_)));
}

#[test]
fn a_flood_of_askers_takes_no_place_from_those_in_use() {
    let mut table = table();
    let used = 6_000;
    for address in 0..used {
        resolved(&mut table, at(0), address, 1);
    }
    // Long after, as many strangers as a /8 holds within reason.
    for stranger in 0..100_000 {
        table.learn(at(100_000), 1_000_000 + stranger, hardware(9));
    }
    assert_eq!(table.len(), used as usize + NEIGHBORS_LEARNED_MAX);
    assert!((0..used).all(|address| table.state(at(100_000), address).is_some()));
    assert_eq!(table.state(at(100_000), 1_000_000), None, "the oldest stranger went");
    assert_eq!(table.state(at(100_000), 1_099_999), Some(State::Stale));
}

#[test]
fn a_flood_of_calls_to_nobody_takes_no_place_from_those_in_use() {
    let mut table = table();
    let used = NEIGHBORS_MAX as u128 - 10;
    for address in 0..used {
        resolved(&mut table, at(0), address, 1);
    }
    for nobody in 0..20_000 {
        assert!(table.resolve(at(100_000), 1_000_000 + nobody).is_ok());
        assert!(table.len() <= NEIGHBORS_MAX);
    }
    assert!((0..used).all(|address| table.state(at(100_000), address).is_some()));
    assert_eq!(table.due.len(), 10, "who went has no timer");
}

#[test]
fn a_full_table_gives_up_the_longest_idle() {
    let mut table = table();
    for address in 0..NEIGHBORS_MAX as u128 {
        resolved(&mut table, at(0), address, 1);
    }
    assert_eq!(table.resolve(at(1_000), 99_999), Err(NeighborDrop::TableFull), "all are in use");
    assert!(!table.learn(at(1_000), 99_999, hardware(3)));
    // The first is used again, the second becomes the longest idle.
    assert!(table.resolve(at(20_000), 0).is_ok());
    assert!(table.resolve(at(61_000), 99_999).is_ok());
    assert!(table.state(at(61_000), 0).is_some() && table.state(at(61_000), 1).is_none());
    assert_eq!((table.len(), table.evicted()), (NEIGHBORS_MAX, 1));
}

#[test]
fn changing_claims_leave_one_timer_a_neighbor() {
    let mut table = table();
    resolved(&mut table, at(0), 7, 1);
    for n in 0..10_000_u64 {
        table.hear(at(n), 7, gratuitous((n % 200) as u8));
        assert!(table.resolve(at(n), 7).is_ok());
        assert!(table.due.len() <= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn lists_index_and_timers_agree_whatever_happens(
        steps in proptest::collection::vec((0..6_u8, 0..40_u128, 0..3_u8, 0..4_000_u64), 0..300),
    ) {
        let mut table = table();
        let mut pool = FramePool::new(4_096);
        let mut now = START;
        for (what, address, n, ms) in steps {
            match what {
                0 | 1 => {
                    if let Ok(Resolution::Waits(index)) = table.resolve(now, address) {
                        let _ = table.wait(index, pool.take().unwrap()).map_err(|frame| pool.give(frame));
                    }
                }
                2 => {
                    let claim = Claim { hardware: Some(hardware(n)), answers: ms % 2 == 0, overrides: ms % 3 == 0 };
                    match table.hear(now, address, claim) {
                        Heard::Unknown => prop_assert!(table.learn(now, address, hardware(n))),
                        Heard::Resolved(index) => while let Some((frame, _)) = table.take_waiting(index) {
                            pool.give(frame);
                        },
                        _ => {}
                    }
                }
                3 => table.confirm(now, address),
                4 => {
                    if let Some(index) = table.find(address) {
                        table.evict(index);
                    }
                }
                _ => {
                    now += Duration::from_millis(ms);
                    table.ring(now);
                }
            }
            while table.take_ask().is_some() {}
            while let Some(frame) = table.take_discarded() {
                pool.give(frame);
            }
            let listed: usize = table.lists.iter().map(|ends| ends.len).sum();
            prop_assert_eq!(listed, table.len());
            prop_assert_eq!(table.len() + table.free.len(), table.entries.len());
            prop_assert_eq!(table.entries.iter().map(|entry| entry.waiting.len()).sum::<usize>(), table.waiting());
            let armed = table.entries.iter().filter(|entry| entry.due.is_some()).count();
            prop_assert_eq!(armed, table.due.len());
            for list in [List::Unresolved, List::Learned, List::Used] {
                let mut index = table.lists[list as usize].oldest;
                let mut count = 0;
                while index != NONE {
                    prop_assert_eq!(list_of(&table.entries[index as usize]), list);
                    index = table.entries[index as usize].newer;
                    count += 1;
                }
                prop_assert_eq!(count, table.lists[list as usize].len);
            }
        }
    }
}
