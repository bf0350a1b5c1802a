#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_sign_loss)]

use hpb_base::Random;

use super::*;

const SECOND: i64 = 1_000_000_000;

/// Exchanges over `seconds`, with queueing on either way that a seed draws; the server's clock is the host's.
fn exchanges(client: AgentClock, seconds: i64, queueing_ns: u64, seed: u64) -> Vec<Exchange> {
    let mut random = Random::new(seed);
    let mut way = move || 20_000 + if random.chance(700_000) { random.below(queueing_ns.max(1)) } else { 0 };
    let begin = client.since_ns;
    (0..seconds as u64 * 50)
        .map(|number| {
            let asked = begin + number * 20_000_000;
            let received = asked + way();
            let answered = received + 3_000;
            let heard = answered + way();
            let read = |nanos: u64| client.reading(Instant::from_nanos(nanos));
            Exchange {
                asked: read(asked),
                received: received.cast_signed(),
                answered: answered.cast_signed(),
                heard: read(heard),
            }
        })
        .collect()
}

#[test]
fn planted_offsets_and_drifts_are_found_within_what_is_said() {
    for (offset_ns, drift_ppb) in
        [(0, 0), (5_000_000, 0), (-3 * SECOND, 50_000), (40_000_000, -50_000), (86_400 * SECOND * 400, 200_000)]
    {
        for (queueing_ns, seed) in [(0, 1), (300_000, 2), (5_000_000, 3)] {
            let client = AgentClock { offset_ns, drift_ppb, since_ns: 7_000 * SECOND as u64 };
            let line = Line::through(&exchanges(client, 10, queueing_ns, seed)).unwrap();
            for second in 0..10 {
                let at = Instant::from_nanos(client.since_ns + second * SECOND as u64);
                let (read, truth) = (client.reading(at), at.as_nanos().cast_signed());
                let wrong = line.server_at(read).abs_diff(truth);
                assert!(wrong <= line.error_ns, "{wrong} ns off at {second} s, {line:?}");
                assert!(line.client_at(truth).abs_diff(read) <= line.error_ns + 1);
            }
            assert!(line.error_ns < 120_000, "{line:?}");
            let drift_off = (line.drift_ppb - drift_ppb as f64).abs();
            assert!(drift_off * 5.0 <= line.error_ns as f64, "{drift_off} ppb off: {line:?}");
        }
    }
}

#[test]
fn one_slow_way_is_never_more_wrong_than_is_said() {
    // All questions take 2 ms longer than all answers: no exchange can see it, so the bound must hold it.
    let one =
        |at: i64| Exchange { asked: at, received: at + 2_020_000, answered: at + 2_021_000, heard: at + 2_041_000 };
    let all: Vec<Exchange> = (0..100).map(|number| one(number * SECOND / 50)).collect();
    let line = Line::through(&all).unwrap();
    assert!((-1_001_000..=-999_000).contains(&line.offset_ns), "{line:?}");
    assert!(line.error_ns >= 1_000_000);
}

#[test]
fn a_clock_reads_and_is_read_back() {
    let clock = AgentClock { offset_ns: -40_000_000, drift_ppb: 50_000, since_ns: 9 };
    for nanos in [9, 1_000_000_000, 3_600_000_000_000] {
        let at = Instant::from_nanos(nanos);
        assert!(clock.instant(clock.reading(at)).as_nanos().abs_diff(nanos) <= 1);
    }
    assert_eq!(AgentClock::default().reading(Instant::from_nanos(5)), 5);
}

#[test]
fn too_few_exchanges_or_foreign_readings_say_nothing() {
    let good = Exchange { asked: 0, received: 5, answered: 6, heard: 11 };
    assert!(Line::through(&[good; EXCHANGES_LEAST - 1]).is_none());
    let foreign = Exchange { asked: i64::MAX, received: i64::MIN, answered: i64::MAX, heard: i64::MIN };
    assert!(Line::through(&[foreign; 50]).is_none());
    let mixed: Vec<Exchange> = [[good; 20], [foreign; 20]].concat();
    assert!(Line::through(&mixed).is_some_and(|line| line.exchanges == 40));
}
