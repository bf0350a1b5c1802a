#![allow(clippy::unwrap_used)]
use super::*;

fn result(name: &str, cost: f64) -> TargetResult {
    TargetResult {
        name: name.into(),
        sessions: 9_900,
        round_trips_per_s: 1e9 / cost,
        cpu_ns_per_round_trip: cost,
        ping_pong_ns: cost * 2.0,
        broadcast_last_us: cost * 3.0,
        broadcast_cpu_ns_per_peer: cost / 2.0,
        bytes_per_session: cost + 0.5,
    }
}

fn report(results: Vec<TargetResult>) -> Report {
    let details = results
        .iter()
        .map(|result| TargetDetail {
            name: result.name.clone(),
            establish_ms: 1.0,
            establish_cpu_us_per_session: 2.0,
            cpu_ns_per_round_trip_min: 3.0,
            cpu_ns_per_round_trip_max: 4.0,
            ping_pong_wall_ns: 5.0,
        })
        .collect();
    let machine =
        MachineLine { cpu: "A CPU".into(), kernel: "6.18".into(), cores: 2, congestion_control: "bbr".into() };
    let count = SessionCount { asked: 10_000, allowed: 9_900, limit: Some(20_000) };
    let skipped = vec![Skipped { name: "kernel-uring".into(), reason: "forbidden".into() }];
    let outcome = Outcome { results, details, skipped };
    Report::new(machine, "hpb bench sessions --count 10000".into(), count, &Work::new(9_900), outcome)
}

fn four() -> Report {
    report(vec![
        result("card", 2_500.0),
        result("card-encrypted", 3_500.0),
        result("kernel-epoll", 13_000.0),
        result("kernel-uring", 10_000.0),
        result("kernel-uring-encrypted", 14_000.0),
    ])
}

#[test]
fn targets_have_exactly_the_fields_of_the_format() {
    let json: serde_json::Value = serde_json::from_str(&four().to_json().unwrap()).unwrap();
    let fields: Vec<&str> = json["targets"][0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "name",
        "sessions",
        "round_trips_per_s",
        "cpu_ns_per_round_trip",
        "ping_pong_ns",
        "broadcast_last_us",
        "broadcast_cpu_ns_per_peer",
        "bytes_per_session",
    ];
    expected.sort_unstable();
    let mut fields = fields;
    fields.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(json["targets"][0]["name"], "card");
    assert_eq!(json["targets"][3]["cpu_ns_per_round_trip"], 10_000.0);
    assert_eq!(json["sessions"], 9_900);
    assert_eq!(json["sessions_asked"], 10_000);
    assert_eq!(json["machine"]["cores"], 2);
    assert_eq!(json["skipped"][0]["reason"], "forbidden");
    assert!(json["cross_check"].is_null());
}

#[test]
fn ratios_are_against_the_better_kernel_target_of_the_same_protection() {
    let ratios = four().ratios;
    assert_eq!(ratios.len(), 2);
    assert_eq!(ratios[0].against, ["kernel-epoll", "kernel-uring"]);
    assert!((ratios[0].closed_loop - 4.0).abs() < 1e-9);
    assert!((ratios[0].ping_pong - 4.0).abs() < 1e-9);
    assert!((ratios[0].broadcast_cpu - 4.0).abs() < 1e-9);
    assert!(ratios[0].encrypted_over_plain.is_none());
    assert_eq!(ratios[1].against, ["kernel-uring-encrypted"]);
    assert!((ratios[1].closed_loop - 4.0).abs() < 1e-9);
    assert!((ratios[1].encrypted_over_plain.unwrap() - 1.4).abs() < 1e-9);
}

#[test]
fn the_better_one_is_chosen_figure_by_figure() {
    let mut epoll = result("kernel-epoll", 10_000.0);
    epoll.ping_pong_ns = 5_000.0;
    let ratios = report(vec![result("card", 2_500.0), epoll, result("kernel-uring", 7_500.0)]).ratios;
    assert!((ratios[0].closed_loop - 3.0).abs() < 1e-9);
    assert!((ratios[0].ping_pong - 1.0).abs() < 1e-9);
}

#[test]
fn without_a_kernel_target_there_is_no_ratio() {
    assert!(report(vec![result("card", 2_500.0), result("card-encrypted", 3_000.0)]).ratios.is_empty());
}

#[test]
fn the_terminal_and_the_page_hold_every_figure_and_every_remark() {
    let mut report = four();
    report.cross_check =
        Some(CrossCheck { sessions: 100, repeats: 3, kernel_epoll_ns: 8e3, sockperf_ns: 8e3, ratio: 1.0 });
    for text in [report.terminal(), report.markdown()] {
        for part in ["10,000", "2,500", "4.0x", "A CPU", "9900 sessions instead of 10000", "kernel-uring: skipped"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.contains("cross-check, 100 sessions") && text.contains("card-encrypted: 1.40x"), "{text}");
    }
    assert!(report.markdown().contains("`hpb bench sessions --count 10000`"));
    let terminal = report.terminal();
    let rows: Vec<&str> = terminal.lines().filter(|line| line.starts_with("card") && !line.contains(':')).collect();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.len() == rows[0].len() && row.len() <= 120), "{terminal}");
}

#[test]
fn figures_are_grouped_in_threes() {
    let table = [(0.0, "0"), (999.4, "999"), (1_000.0, "1,000"), (1_234_567.0, "1,234,567"), (-123.0, "-123")];
    for (figure, text) in table {
        assert_eq!(grouped(figure), text);
    }
}

#[test]
fn the_machine_is_described() {
    assert!(MachineLine::read(Some("cubic")).cores >= 1);
    assert_eq!(MachineLine::read(Some("cubic")).congestion_control, "cubic");
}
