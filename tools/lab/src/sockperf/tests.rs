#![allow(clippy::unwrap_used)]

use super::*;

const OPTIONS: Options = Options { repeats: 3, seconds: 2, message_len: 64, per_s: 1_000 };

fn runs(p50_us: [u64; 3], p99_us: [u64; 3]) -> Vec<Run> {
    let run = |(p50_us, p99_us): (u64, u64)| {
        let service = Buckets(vec![(p50_us * 1_000, 98), (p99_us * 1_000, 2)]);
        Run { latency: service.clone(), service }
    };
    p50_us.into_iter().zip(p99_us).map(run).collect()
}

#[test]
fn medians_and_intervals_are_compared() {
    let lab = runs([10, 11, 30], [50, 55, 60]);
    let near = Compared::new(Mode::UnderLoad, &lab, &runs([12, 12, 12], [58, 60, 62]));
    assert!(near.p50_agrees && near.p99_overlaps, "{near:?}");
    assert!((near.p50_difference_percent + 8.33).abs() < 0.01);
    let far = Compared::new(Mode::PingPong, &lab, &runs([13, 13, 13], [500, 501, 502]));
    assert!(!far.p50_agrees && !far.p99_overlaps, "{far:?}");
    let report = |compared| SockperfReport::new(Machine::default(), &OPTIONS, vec![compared], vec!["a note".into()]);
    let (near, far) = (report(near), report(far));
    assert!(near.agrees() && !far.agrees());
    assert!(near.terminal().contains("differ by -8.3 %: within 10 %; intervals of p99 overlap"), "{}", near.terminal());
    assert!(
        near.terminal().contains("meant to leave, which sockperf does not tell") && near.terminal().contains("a note")
    );
    assert!(far.terminal().contains("NOT within 10 %; intervals of p99 do NOT overlap"), "{}", far.terminal());
    assert!(far.to_json().unwrap().contains("\"p99_overlaps\": false"));
}

#[test]
fn the_scenario_is_what_sockperf_keeps_of_a_run() {
    let scenario = scenario(&OPTIONS, Mode::UnderLoad);
    assert_eq!((scenario.warm_up + scenario.duration).as_millis(), 1_950);
    assert_eq!((scenario.load.request_len, scenario.load.reply_len), (64, 64));
    assert!(matches!(scenario.load.arrivals, Arrivals::Fixed { .. }));
}
