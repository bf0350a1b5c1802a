#![allow(clippy::unwrap_used)]
use super::*;
use crate::kernel::sockperf::CrossCheck;
use crate::runner::{Outcome, SessionCount, TargetDetail};

fn result(name: &str, cost: f64) -> TargetResult {
    TargetResult {
        name: name.into(),
        sessions: 1_000,
        round_trips_per_s: 1e9 / cost,
        cpu_ns_per_round_trip: cost,
        ping_pong_ns: cost * 2.0,
        broadcast_last_us: cost,
        broadcast_cpu_ns_per_peer: cost / 2.0,
        bytes_per_session: 9_000.0,
    }
}

fn report(results: Vec<TargetResult>) -> Report {
    let details = results
        .iter()
        .map(|result| TargetDetail {
            name: result.name.clone(),
            establish_ms: 1.0,
            establish_cpu_us_per_session: 1.0,
            cpu_ns_per_round_trip_min: 1.0,
            cpu_ns_per_round_trip_max: 1.0,
            ping_pong_wall_ns: 1.0,
        })
        .collect();
    let outcome = Outcome { results, details, skipped: Vec::new() };
    let count = SessionCount { asked: 100, allowed: 100, limit: None };
    Report::new(MachineLine::read(Some("cubic")), "hpb".into(), count, &Work::new(100), outcome)
}

fn met(verdicts: &[Verdict]) -> Vec<bool> {
    verdicts.iter().map(|verdict| verdict.met).collect()
}

#[test]
fn the_names_are_those_of_the_targets() {
    let names: Vec<&str> = targets(&NAMES, &KernelOptions::default()).iter().map(|target| target.name()).collect();
    assert_eq!(names, NAMES);
    let some = targets(&["kernel-epoll", "card"], &KernelOptions::default());
    assert_eq!(some.iter().map(|target| target.name()).collect::<Vec<_>>(), ["card", "kernel-epoll"]);
}

#[test]
fn a_name_is_known_and_stands_once() {
    assert_eq!(name("card-encrypted"), Ok("card-encrypted"));
    assert!(name("cards").unwrap_err().to_string().contains("`cards`: the targets are card, card-encrypted, kernel-"));
    assert_eq!(in_order(&["kernel-epoll", "card"]), Ok(vec!["card", "kernel-epoll"]));
    assert_eq!(in_order(&["card", "card"]), Err(NameError::Twice("card")));
}

#[test]
fn everything_that_was_measured_is_judged() {
    let mut report = report(vec![
        result("card", 2_500.0),
        result("card-encrypted", 4_000.0),
        result("kernel-epoll", 13_000.0),
        result("kernel-uring", 10_000.0),
        result("kernel-uring-encrypted", 14_000.0),
    ]);
    let check = CrossCheck { sessions: 100, repeats: 3, kernel_epoll_ns: 8e3, sockperf_ns: 1e4, ratio: 0.8 };
    report.cross_check = Some(check);
    let report = SessionsReport::new(report);
    assert_eq!(met(&report.verdicts), [true, true, true, true, true, true, true, true, false]);
    assert!((report.verdicts[0].measured - 4.0).abs() < 1e-9);
    assert!(report.verdicts[0].what.contains("the better of kernel-epoll and kernel-uring"));
    for text in [report.terminal(), report.markdown()] {
        assert!(text.contains("4.00x, asked at least 4x") && text.contains("MISSED  kernel-epoll beside"), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["verdicts"][0]["asked"], 4.0);
    assert_eq!(json["targets"][0]["name"], "card", "the figures stand beside the verdicts");
}

#[test]
fn misses_are_misses() {
    let mut fat = result("card-encrypted", 5_100.0);
    fat.bytes_per_session = 10_241.0;
    let verdicts = verdicts(&report(vec![result("card", 2_500.0), fat, result("kernel-epoll", 4_900.0)]));
    assert_eq!(met(&verdicts), [false, false, false, false, false, false, true, false]);
}

#[test]
fn memory_of_few_sessions_is_not_judged() {
    let few = TargetResult { sessions: 999, ..result("card", 2_500.0) };
    assert!(verdicts(&report(vec![few])).is_empty());
    assert_eq!(verdicts(&report(vec![result("card", 2_500.0)])).len(), 1);
}

#[test]
fn a_congestion_control_is_checked_before_a_run() {
    congestion_control_check("reno").unwrap();
    assert!(congestion_control_check("no-such").is_err());
}

#[test]
fn the_kernel_alone_is_not_judged() {
    assert!(verdicts(&report(vec![result("kernel-epoll", 4_900.0)])).is_empty());
}
