#![allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]

use super::*;

const BEGIN: Instant = Instant::from_millis(500);

fn drawn(arrivals: Arrivals, sessions: u32, seconds: u64, seed: u64) -> Vec<Due> {
    Schedule::new(arrivals, sessions, BEGIN, BEGIN + Duration::from_secs(seconds), seed, 0).collect()
}

#[test]
fn a_fixed_rate_has_even_distances_and_goes_round_the_sessions() {
    let all = drawn(Arrivals::Fixed { per_s: 3.0 }, 2, 2, 1);
    let at: Vec<u64> = all.iter().map(|due| due.at.since(BEGIN).as_nanos()).collect();
    assert_eq!(at, [0, 333_333_333, 666_666_666, 1_000_000_000, 1_333_333_333, 1_666_666_666]);
    assert_eq!(all.iter().map(|due| due.session).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1]);
}

#[test]
fn bursts_leave_at_one_instant_each() {
    let all = drawn(Arrivals::Bursts { count: 3, every: Duration::from_millis(400) }, 5, 1, 1);
    let at: Vec<u64> = all.iter().map(|due| due.at.since(BEGIN).as_millis()).collect();
    assert_eq!(at, [0, 0, 0, 400, 400, 400, 800, 800, 800]);
    assert_eq!(all.iter().map(|due| due.session).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 0, 1, 2, 3]);
}

#[test]
fn a_poisson_process_has_its_rate_its_spread_and_all_sessions() {
    for per_s in [500.0, 50_000.0] {
        let all = drawn(Arrivals::Poisson { per_s }, 8, 20, 7);
        let expected = per_s * 20.0;
        assert!((all.len() as f64 - expected).abs() < 5.0 * expected.sqrt(), "{} at {per_s}", all.len());
        assert!(all.is_sorted_by_key(|due| due.at));
        // Of exponential distances, the share 1/e is longer than the mean.
        let mean = Duration::from_nanos((1e9 / per_s).round().abs() as u64);
        let longer = all.windows(2).filter(|pair| pair[1].at.since(pair[0].at) > mean).count() as f64;
        assert!((longer / expected - (-1.0_f64).exp()).abs() < 0.02, "{longer} of {expected}");
        for session in 0..8 {
            let share = all.iter().filter(|due| due.session == session).count() as f64 / expected;
            assert!((share - 0.125).abs() < 0.02, "session {session}: {share}");
        }
    }
}

#[test]
fn one_seed_one_sequence_and_another_seed_another() {
    let arrivals = Arrivals::Poisson { per_s: 1_000.0 };
    assert_eq!(drawn(arrivals, 4, 1, 7), drawn(arrivals, 4, 1, 7));
    assert_ne!(drawn(arrivals, 4, 1, 7), drawn(arrivals, 4, 1, 8));
}

#[test]
fn a_closed_loop_follows_answers_and_nothing_is_taken_before_its_time() {
    assert!(drawn(Arrivals::Closed { in_flight: 4 }, 4, 1, 1).is_empty());
    let mut schedule = Schedule::new(Arrivals::Fixed { per_s: 10.0 }, 1, BEGIN, BEGIN + Duration::from_secs(1), 1, 0);
    assert_eq!(schedule.take_due(BEGIN).map(|due| due.at), Some(BEGIN));
    assert_eq!(schedule.next_at(), Some(BEGIN + Duration::from_millis(100)));
    assert_eq!(schedule.take_due(BEGIN + Duration::from_millis(99)), None);
}
