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

/// The hops of all messages are there, and add up to what they took, as far as three digits go.
fn hops_add_up(repeat: &Repeat, hops: usize, port_ins: usize) {
    assert_eq!(repeat.hops.len(), hops);
    assert_eq!(repeat.hops.iter().filter(|hop| hop.name == "port-in").count(), port_ins);
    assert!(repeat.hops.iter().all(|hop| hop.time.count() == repeat.latency.count()), "{:?}", repeat.counts);
    let spent: f64 = repeat.hops.iter().map(|hop| hop.time.sum()).sum();
    assert!((spent / repeat.latency.sum() - 1.0).abs() < 0.01, "{spent} of {}", repeat.latency.sum());
    assert!(repeat.cost.stamps > 0 && repeat.cost.stamp_ns > 0);
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
    for (load, sessions, hops) in
        [(ANSWERED, 20, 8), (CLOSED, 5, 8), (ONE_WAY, 3, 4), (FAN_OUT, 20, 4), (INCAST, 20, 4)]
    {
        if let Some(repeat) = carried("kind = \"kernel-epoll\"", load, sessions) {
            is_whole(&repeat);
            hops_add_up(&repeat, hops, 0);
        }
    }
}

#[test]
fn the_kernel_carries_one_session_by_blocking_calls() {
    for (load, hops) in [(ANSWERED, 8), (CLOSED, 8), (ONE_WAY, 4)] {
        if let Some(repeat) = carried("kind = \"kernel-blocking\"", load, 1) {
            is_whole(&repeat);
            hops_add_up(&repeat, hops, 0);
        }
    }
}

#[test]
fn the_card_carries_each_pattern_and_stamps_its_hops() {
    for (load, sessions, hops) in
        [(ANSWERED, 20, 17), (CLOSED, 5, 17), (ONE_WAY, 3, 9), (FAN_OUT, 20, 9), (INCAST, 20, 9)]
    {
        for encrypted in [false, true] {
            let target = format!("kind = \"card\"\nport = \"packet:\"\nencrypted = {encrypted}");
            let Some(repeat) = carried(&target, load, sessions) else { continue };
            is_whole(&repeat);
            hops_add_up(&repeat, hops, hops / 8);
        }
    }
}

#[test]
fn the_card_carries_over_each_port() {
    // A TAP interface is the server's; its client receives by a packet socket.
    for (port, port_ins) in [("xdp:", 0), ("tap:", 1)] {
        if let Some(repeat) = carried(&format!("kind = \"card\"\nport = \"{port}\""), ANSWERED, 5) {
            is_whole(&repeat);
            hops_add_up(&repeat, 15 + port_ins, port_ins);
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
