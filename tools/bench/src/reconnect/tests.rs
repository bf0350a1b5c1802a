#![allow(clippy::unwrap_used)]
use super::*;

fn small() -> Options {
    Options { sessions: 24, quiet: 4, quiet_phase: Duration::from_millis(40), ..Options::DEFAULT }
}

fn histograms(latencies_ns: &[u64], turn_ns: u64) -> PhaseHistograms {
    let filled = |values: &[u64]| {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for value in values {
            histogram.record(*value).unwrap();
        }
        histogram
    };
    PhaseHistograms {
        latency: filled(latencies_ns),
        turns: filled(&[turn_ns]),
        client_turns: filled(&[2_000]),
        others: Others { preemptions: 3, waited_ns: Some(100_000) },
    }
}

fn figures(storm_ns: u64, turn_ns: u64) -> Figures {
    Figures {
        establish_ns: 6_000_000,
        storm_ns: 5_000_000_000,
        quiet: histograms(&[10_000; 100], 20_000),
        storm: histograms(&vec![storm_ns; 200], turn_ns),
        establish_turn_max_ns: 30_000,
        reopen: histograms(&[1_000_000], 1).latency,
        reconnected: 20,
        handshakes: 20,
        diffie_hellmans: 240,
        broken: 0,
        quiet_lost: 0,
        unanswered: 0,
        retransmitted: 0,
    }
}

#[test]
fn every_caller_comes_back_and_nobody_quiet_is_lost() {
    let mut told = Vec::new();
    let report = run(&small(), "x".into(), &mut |line| told.push(line.to_owned())).unwrap();
    assert_eq!(report.reconnected, 20);
    assert_eq!((report.handshakes, report.broken), (20, 0));
    assert_eq!((report.quiet_lost, report.unanswered), (0, 0));
    // Both sides of each handshake did their own operations: four of XX each, and what makes keys.
    assert!(report.diffie_hellmans >= 20 * 2 * 3, "{}", report.diffie_hellmans);
    assert_eq!(report.diffie_hellmans % 20, 0);
    assert!(report.quiet.messages > 0 && report.storm.messages > 0);
    assert!(report.quiet.turn_max_us > 0.0 && report.storm.turn_max_us > 0.0);
    assert_eq!(told.len(), 3);
}

#[test]
fn options_that_contradict_themselves_are_refused() {
    let kinds = |sessions, quiet| Options { sessions, quiet, ..small() }.check();
    assert_eq!(kinds(10, 0), Err(OptionsError::Kinds { sessions: 10, quiet: 0 }));
    assert_eq!(kinds(10, 10), Err(OptionsError::Kinds { sessions: 10, quiet: 10 }));
    assert_eq!(kinds(60_002, 1), Err(OptionsError::TooMany(60_001)));
    assert_eq!(kinds(60_001, 1), Ok(()));
    assert_eq!(Options { message_len: 7, ..small() }.check(), Err(OptionsError::Echo));
    assert_eq!(Options { interval: Duration::ZERO, ..small() }.check(), Err(OptionsError::Echo));
}

#[test]
fn a_miss_is_said() {
    let report = Report::new(&small(), "x".into(), 2, &Conditions::default(), &figures(60_000, 1_100_000));
    assert!((report.p99_ratio - 6.0).abs() < 0.05, "{}", report.p99_ratio);
    assert!(!report.verdicts[0].met && !report.verdicts[1].met && report.verdicts[2].met);
    let met = Report::new(&small(), "x".into(), 2, &Conditions::default(), &figures(40_000, 900_000));
    assert!(met.verdicts.iter().all(|verdict| verdict.met), "{:?}", met.verdicts);
    let lost = Report::new(
        &small(),
        "x".into(),
        2,
        &Conditions::default(),
        &Figures { quiet_lost: 1, ..figures(40_000, 900_000) },
    );
    assert!(!lost.verdicts[2].met);
    let slow_start = Figures { establish_turn_max_ns: 2_000_000, ..figures(40_000, 900_000) };
    assert!(!Report::new(&small(), "x".into(), 2, &Conditions::default(), &slow_start).verdicts[1].met);
}

#[test]
fn a_quiet_phase_that_was_not_quiet_shows_nothing() {
    let with = |waited_ns| {
        let mut figures = figures(40_000, 900_000);
        figures.quiet.others.waited_ns = waited_ns;
        Report::new(&small(), "x".into(), 2, &Conditions::default(), &figures).verdicts[0].clone()
    };
    // Of 40 ms, half a hundredth is 0.2 ms.
    assert!(with(Some(190_000)).met && with(None).met);
    assert!(!with(Some(210_000)).met && with(Some(210_000)).doubt.is_some());
}

#[test]
fn the_terminal_and_the_page_hold_every_figure_and_verdict() {
    let report =
        Report::new(&small(), "hpb bench reconnect".into(), 1, &Conditions::default(), &figures(60_000, 1_100_000));
    for text in [report.terminal(), report.markdown()] {
        for part in [
            "20 of 20 reconnected",
            "240 Diffie",
            "MISSED  p99",
            "6.0",
            "1100",
            "3 times for 0.1 ms in the storm",
            "one core",
            "24 encrypted",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
    assert!(report.markdown().contains("`hpb bench reconnect`"));
    assert!(report.terminal().lines().take_while(|line| !line.is_empty()).all(|line| line.len() <= 120));
}

#[test]
fn the_json_has_both_phases() {
    let report = Report::new(&small(), "x".into(), 2, &Conditions::default(), &figures(40_000, 900_000));
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["quiet"]["messages"], 100);
    assert_eq!(json["storm"]["messages"], 200);
    assert_eq!(json["reconnected"], 20);
    assert_eq!(json["verdicts"][0]["bound"], "at_most");
    assert_eq!(json["verdicts"][0]["met"], true);
}
