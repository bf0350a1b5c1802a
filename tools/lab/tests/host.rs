//! Targets over a cable of the kernel's, between hosts of the test's own: every pattern, each way of asking the kernel,
//! the card on each port. Needs root, or a machine that gives ordinary users namespaces; nothing is timed.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::sync::{Mutex, PoisonError};

use hpb_lab::host::open;
use hpb_lab::record::Repeat;
use hpb_lab::scenario::Scenario;
use hpb_lab::scenario::file::parse;
use hpb_lab::target::TargetError;

/// Two targets at once would take each other's cores.
static TURN: Mutex<()> = Mutex::new(());

fn scenario(target: &str, load: &str, sessions: u32) -> Scenario {
    let text = format!(
        "name = \"host\"\nabout = \"A test.\"\nseed = 1\nclock = \"real\"\nwarm_up = \"100ms\"\nduration = \"300ms\"\n\
         drain = \"10s\"\nrepeats = 1\nsessions = {sessions}\n[load]\n{load}\n[[target]]\n\
         name = \"it\"\n{target}\n"
    );
    parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// One repeat, or nothing where this machine lacks what it takes.
fn carried(target: &str, load: &str, sessions: u32) -> Option<Repeat> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let scenario = scenario(target, load, sessions);
    let repeated =
        open(&scenario.targets[0], &scenario, "").and_then(|target| target.unwrap().repeat(&scenario, 0, &|| false));
    match repeated {
        Ok(repeat) => Some(repeat),
        Err(TargetError::Unavailable(why)) => {
            assert!(std::env::var_os("HPB_NET").is_none(), "{why}");
            eprintln!("skipped: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// All that was meant to come came, once and in order.
fn is_whole(repeat: &Repeat) {
    let counts = repeat.counts;
    assert!(counts.intended > 0, "{counts:?}");
    assert_eq!((counts.sent, counts.arrived), (counts.intended, counts.expected), "{counts:?}");
    assert_eq!((counts.lost, counts.duplicated, counts.out_of_order), (0, 0, 0), "{counts:?}");
    assert_eq!((repeat.latency.count(), repeat.service.count()), (counts.arrived, counts.arrived));
    assert!(repeat.cost.cpu_ns > 0 && repeat.noise.is_some());
}

const ANSWERED: &str =
    "pattern = \"request-reply\"\narrivals = \"poisson\"\nrate_per_s = 2000\nreply_len = 60\nrequest_len = 100";
const CLOSED: &str =
    "pattern = \"request-reply\"\narrivals = \"closed\"\nin_flight = 1\nreply_len = 16\nrequest_len = 100";
const ONE_WAY: &str = "pattern = \"one-way\"\narrivals = \"fixed\"\nrate_per_s = 1000\nrequest_len = 100";
const FAN_OUT: &str = "pattern = \"fan-out\"\narrivals = \"fixed\"\nrate_per_s = 50\nrequest_len = 100";
const INCAST: &str = "pattern = \"incast\"\narrivals = \"bursts\"\nburst = 1\nevery = \"20ms\"\nrequest_len = 100";

#[test]
fn the_kernel_carries_each_pattern_by_readiness() {
    for (load, sessions) in [(ANSWERED, 20), (CLOSED, 5), (ONE_WAY, 3), (FAN_OUT, 20), (INCAST, 20)] {
        if let Some(repeat) = carried("kind = \"kernel-epoll\"", load, sessions) {
            is_whole(&repeat);
        }
    }
}

#[test]
fn the_kernel_carries_one_session_by_blocking_calls() {
    for load in [ANSWERED, CLOSED, ONE_WAY] {
        if let Some(repeat) = carried("kind = \"kernel-blocking\"", load, 1) {
            is_whole(&repeat);
        }
    }
}

#[test]
fn the_card_carries_each_pattern_and_stamps_its_hops() {
    for (load, sessions, hops) in
        [(ANSWERED, 20, 15), (CLOSED, 5, 15), (ONE_WAY, 3, 8), (FAN_OUT, 20, 8), (INCAST, 20, 8)]
    {
        for encrypted in [false, true] {
            let target = format!("kind = \"card\"\nport = \"packet:\"\nencrypted = {encrypted}");
            let Some(repeat) = carried(&target, load, sessions) else { continue };
            is_whole(&repeat);
            assert_eq!(repeat.hops.len(), hops, "{load}");
            assert!(repeat.hops.iter().all(|hop| hop.time.count() > 0));
            assert!(repeat.cost.stamps > 0 && repeat.cost.stamp_ns > 0);
        }
    }
}

#[test]
fn the_card_carries_over_each_port() {
    for port in ["xdp:", "tap:"] {
        if let Some(repeat) = carried(&format!("kind = \"card\"\nport = \"{port}\""), ANSWERED, 5) {
            is_whole(&repeat);
        }
    }
}

#[test]
fn what_a_cable_cannot_do_is_refused_in_words() {
    let refused = |target: &str, load: &str, sessions: u32| {
        let scenario = scenario(target, load, sessions);
        match open(&scenario.targets[0], &scenario, "") {
            Err(TargetError::Unavailable(why)) => why,
            _ => panic!("{target} was opened"),
        }
    };
    assert!(refused("kind = \"kernel-blocking\"", ANSWERED, 2).contains("one session"));
    let reconnect = "pattern = \"reconnect\"\narrivals = \"fixed\"\nrate_per_s = 10";
    assert!(refused("kind = \"kernel-epoll\"", reconnect, 2).contains("fan out and in"));
}
