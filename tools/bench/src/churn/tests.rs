#![allow(clippy::unwrap_used)]
use hpb_base::Duration;

use super::*;

fn churned(cycles: u64, encrypted: bool) -> Report {
    run(&Options { cycles, encrypted }, "x".into(), &mut |_| {}).unwrap()
}

fn right(report: &Report, ending: Ending) -> u64 {
    report.endings[ending as usize].right.unwrap()
}

#[test]
fn twenty_thousand_sessions_leave_nothing() {
    let report = churned(20_000, false);
    assert!(report.verdicts.iter().all(|verdict| verdict.met), "{}", report.terminal());
    assert_eq!(report.endings.iter().map(|ended| ended.made).sum::<u64>(), 20_000);
    for ending in Ending::ALL.into_iter().filter(|ending| ending.client_hears().is_some()) {
        let made = report.endings[ending as usize].made;
        assert_eq!(right(&report, ending), made, "{}", ending.name());
        assert!(made > 100, "{}: {made}", ending.name());
    }
    let rest = report.samples.last().unwrap();
    assert!(rest.server.values().chain(rest.client.values()).all(|count| *count == 0), "{rest:?}");
    let busy = &report.samples[SAMPLES];
    for name in ["sessions", "flows", "half_open", "time_wait", "timers", "sources"] {
        assert!(busy.server[name] > 0, "{name}: what is never there cannot be seen to go");
    }
    assert!(busy.client["calls"] > 0 && report.cookies_taken > 0 && report.retransmitted > 0);
}

#[test]
fn encrypted_sessions_leave_nothing_either() {
    let report = churned(600, true);
    assert!(report.verdicts.iter().all(|verdict| verdict.met), "{}", report.terminal());
    assert!(report.handshakes > 400, "{}", report.handshakes);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let facts = || {
        let report = churned(2_000, false);
        let counts: Vec<_> = report.samples.into_iter().map(|sample| (sample.server, sample.client)).collect();
        (report.endings, report.bytes, report.retransmitted, counts)
    };
    assert_eq!(facts(), facts());
}

fn moment(resident: u64, timers: usize) -> Moment {
    let held = Holdings { timers, ..Holdings::default() };
    Moment { cycles: 1, at: Duration::from_secs(80), resident, held: [Holdings::default(), held], frames: [0; 2] }
}

/// A run in which nothing is amiss, with these moments after the first.
fn figures(moments: &[Moment]) -> Figures {
    let mut tally = driver::Tally { laps: 3, given_up: 20, ..driver::Tally::default() };
    tally.made = [10; Ending::ALL.len()];
    Figures {
        tally,
        moments: [&[moment(1 << 20, 0)], moments].concat(),
        unfinished: 0,
        reopened: 5,
        cookies_taken: 0,
        cookies_lost: 0,
        retransmitted: 0,
        handshakes: 0,
    }
}

fn missed(figures: &Figures) -> Vec<String> {
    let missed = verdicts(figures, true).into_iter().filter(|verdict| !verdict.met);
    missed.map(|verdict| verdict.what).collect()
}

#[test]
fn growth_and_leftovers_are_missed() {
    let level = [moment(9 << 20, 1_000), moment(9 << 20, 1_200), moment(9 << 20, 0)];
    assert_eq!(missed(&figures(&level)), [""; 0]);
    let cases = [
        (1, moment(9 << 20, 1_300), "(timers)"),
        (1, moment((13 << 20) + 4_096, 1_000), "at its highest"),
        (2, moment((10 << 20) + 4_096, 0), "resident memory at rest"),
        (2, moment(9 << 20, 1), "at rest, all counts"),
    ];
    for (at, wrong, part) in cases {
        let mut moments = level;
        moments[at] = wrong;
        let missed = missed(&figures(&moments));
        assert!(missed.len() == 1 && missed[0].contains(part), "{part}: {missed:?}");
    }
}

#[test]
fn what_did_not_happen_and_what_went_wrong_is_missed() {
    let level = [moment(9 << 20, 0), moment(9 << 20, 0), moment(9 << 20, 0)];
    let with = |change: fn(&mut Figures)| {
        let mut figures = figures(&level);
        change(&mut figures);
        missed(&figures).len()
    };
    assert_eq!(with(|_| {}), 0);
    assert_eq!(with(|figures| figures.tally.wrong = 1), 1);
    assert_eq!(with(|figures| figures.tally.spoilt = 1), 1);
    assert_eq!(with(|figures| figures.tally.unknown = 1), 1);
    assert_eq!(with(|figures| figures.unfinished = 1), 1);
    assert_eq!(with(|figures| figures.tally.made[Ending::Refused as usize] = 0), 1);
    assert_eq!(with(|figures| figures.tally.given_up = 19), 1);
    assert_eq!(with(|figures| figures.tally.given_up = 21), 1);
    assert_eq!(with(|figures| (figures.tally.given_up, figures.cookies_lost) = (19, 1)), 0);
    assert_eq!(with(|figures| (figures.tally.laps, figures.reopened) = (1, 0)), 2);
}

#[test]
fn the_terminal_the_page_and_the_json_hold_every_kind_and_verdict() {
    let report = churned(400, false);
    for text in [report.terminal(), report.markdown()] {
        for part in ["400 plain", "both at once", "time wait", "met", "growth was not judged", "cookie"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["samples"].as_array().unwrap().len(), SAMPLES + 2);
    assert_eq!(json["samples"][11]["server"]["time_wait"], 0);
    assert_eq!(json["endings"][0]["name"], "client_first");
}
