#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use hpb_types::message::diagnose::{Goodbye, Parting};

use super::{Cause, Certainty, Observations, diagnose};
use crate::probe::bandwidth::{Direction, Flow};
use crate::probe::connect::{TcpAttempt, TcpOutcome};
use crate::probe::handshake::Failure;
use crate::probe::host::{Answered, HostSeen, Neighbor};
use crate::probe::path_mtu::Through;
use crate::probe::ping::Rounds;

const BOTH: Through = Through { up: true, down: true };

fn found() -> Neighbor {
    let hop: IpAddr = "10.0.0.1".parse().unwrap();
    Neighbor::Found { hop, router: false, hardware: "02:00:00:00:00:01".to_owned(), took_us: Some(70) }
}

fn flow(direction: Direction) -> Flow {
    Flow { bytes: 4 << 20, took_us: 200_000, segments: 3_000, busy_us: 190_000, ..Flow::new(direction) }
}

/// A peer with which all is well.
fn healthy() -> Observations {
    Observations {
        address: "10.0.0.1:30303".to_owned(),
        ip: "10.0.0.1".parse().unwrap(),
        port: 30_303,
        tcp: TcpAttempt { outcome: TcpOutcome::Open, took_us: 90, syns: 1 },
        host: HostSeen {
            neighbor: found(),
            echo: Answered::Yes { took_us: 60 },
            datagram: Answered::Yes { took_us: 80 },
        },
        other_ports: Vec::new(),
        last_hop: None,
        is_listed: false,
        failure: None,
        answers_to: None,
        hello: None,
        goodbye: None,
        clock_us: Some((300, 100)),
        rounds: Some(Rounds { sent: 20, received: 20, ..Rounds::default() }),
        whole: Some((1_500, BOTH)),
        small: None,
        largest: None,
        up: Some(flow(Direction::Up)),
        down: Some(flow(Direction::Down)),
        with_session: true,
    }
}

/// One whose port does not open.
fn shut(outcome: TcpOutcome, other_ports: &[(u16, TcpOutcome)]) -> Observations {
    Observations {
        tcp: TcpAttempt { outcome, took_us: 3_000_000, syns: 2 },
        other_ports: other_ports.to_vec(),
        clock_us: None,
        rounds: None,
        whole: None,
        up: None,
        down: None,
        ..healthy()
    }
}

fn failing(failure: Failure) -> Observations {
    Observations {
        failure: Some(failure),
        clock_us: None,
        rounds: None,
        whole: None,
        up: None,
        down: None,
        ..healthy()
    }
}

fn saying(reason: Parting, detail: u32) -> Observations {
    let goodbye = Goodbye { reason, detail };
    let failure = Failure::Goodbye { reason: reason.0, detail, text: goodbye.to_string() };
    Observations { goodbye: Some(goodbye), ..failing(failure) }
}

#[track_caller]
fn first(seen: &Observations) -> (Cause, Certainty) {
    let findings = diagnose(seen);
    let first = findings.first().expect("something is wrong");
    assert!(!first.evidence.is_empty() && !first.next.is_empty(), "{first:?}");
    (first.cause, first.certainty)
}

fn causes(seen: &Observations) -> Vec<Cause> {
    diagnose(seen).into_iter().map(|finding| finding.cause).collect()
}

#[test]
fn a_healthy_peer_has_nothing_wrong() {
    assert_eq!(diagnose(&healthy()), []);
    let tcp_alone = Observations {
        with_session: false,
        clock_us: None,
        rounds: None,
        whole: None,
        up: None,
        down: None,
        ..healthy()
    };
    assert_eq!(diagnose(&tcp_alone), []);
    // A fast reader on a fast path has its window full most of the time.
    let mut fast = healthy();
    fast.up.as_mut().unwrap().window_limited_us = 180_000;
    assert_eq!(diagnose(&fast), []);
}

#[test]
fn a_port_that_is_refused_is_the_wrong_one() {
    let seen = shut(TcpOutcome::Refused, &[(30_304, TcpOutcome::Open)]);
    assert_eq!(first(&seen), (Cause::WrongPort, Certainty::Certain));
    assert!(diagnose(&seen)[0].next.contains("30304"));
}

#[test]
fn a_host_that_resets_everything_listens_nowhere_or_keeps_this_address_out() {
    let seen = shut(TcpOutcome::Refused, &[(30_304, TcpOutcome::Refused)]);
    assert_eq!(first(&seen), (Cause::WrongPort, Certainty::Likely));
    assert!(causes(&seen).contains(&Cause::Banned));
    let listed = Observations { is_listed: true, ..seen };
    assert_eq!(first(&listed), (Cause::WrongPort, Certainty::Likely));
    assert!(causes(&listed).contains(&Cause::Banned));
}

#[test]
fn a_silent_port_is_told_by_the_ports_beside_it() {
    let open = [(30_303, TcpOutcome::Open), (22, TcpOutcome::Silent)];
    let seen = shut(TcpOutcome::Silent, &open);
    assert_eq!(first(&seen), (Cause::WrongPort, Certainty::Likely));
    assert!(causes(&seen).contains(&Cause::SynBlocked), "they cannot be told apart for sure");
    let listed = Observations { is_listed: true, ..seen };
    assert_eq!(first(&listed), (Cause::SynBlocked, Certainty::Likely));

    let refusing = shut(TcpOutcome::Silent, &[(22, TcpOutcome::Refused), (80, TcpOutcome::Refused)]);
    assert_eq!(first(&refusing), (Cause::SynBlocked, Certainty::Likely));

    let mute = shut(TcpOutcome::Silent, &[(22, TcpOutcome::Silent)]);
    assert_eq!(first(&mute).0, Cause::SynBlocked);
    assert!(causes(&mute).contains(&Cause::Banned), "an address that is banned looks the same");
    assert!(causes(&mute).contains(&Cause::WrongPort));
}

#[test]
fn a_host_that_is_not_there_is_no_matter_of_ports() {
    let mut seen = shut(TcpOutcome::Silent, &[]);
    let hop: IpAddr = "10.0.0.1".parse().unwrap();
    seen.host =
        HostSeen { neighbor: Neighbor::Missing { hop, router: false }, echo: Answered::No, datagram: Answered::No };
    assert_eq!(first(&seen), (Cause::HostDown, Certainty::Certain));
    seen.host.neighbor = Neighbor::Found { hop, router: true, hardware: "02::".to_owned(), took_us: None };
    assert_eq!(first(&seen), (Cause::HostDown, Certainty::Likely));
    assert!(causes(&seen).contains(&Cause::SynBlocked));
    let no_route = TcpOutcome::Unreachable { by: None, reason: "this host has no route there".to_owned() };
    assert_eq!(first(&shut(no_route, &[])), (Cause::NoRoute, Certainty::Certain));
}

#[test]
fn a_ban_is_the_word_of_the_peer_itself_and_no_routers() {
    let said = |by: &str, code| {
        let mut seen = shut(TcpOutcome::Prohibited { by: by.parse().unwrap(), code }, &[]);
        if by.contains(':') {
            seen.ip = "fd00::1".parse().unwrap();
        }
        seen
    };
    assert_eq!(first(&said("10.0.0.1", 13)), (Cause::Banned, Certainty::Certain));
    assert!(causes(&said("10.0.0.1", 13)).contains(&Cause::SynBlocked), "a firewall there says the same");
    assert_eq!(first(&said("10.0.0.254", 13)), (Cause::SynBlocked, Certainty::Certain));
    assert_eq!(causes(&said("10.0.0.1", 10)), [Cause::SynBlocked], "no card says that");
    assert_eq!(first(&said("fd00::1", 1)), (Cause::Banned, Certainty::Certain));
    assert_eq!(causes(&said("fd00::fe", 1)), [Cause::SynBlocked]);
}

#[test]
fn keys_and_chains_are_told_apart() {
    assert_eq!(first(&failing(Failure::Stranger)), (Cause::WrongKey, Certainty::Likely));
    let known = Observations { answers_to: Some("validator-2".to_owned()), ..failing(Failure::Stranger) };
    assert_eq!(first(&known), (Cause::WrongKey, Certainty::Certain));
    assert!(diagnose(&known)[0].evidence[1].contains("validator-2"));
    assert_eq!(first(&failing(Failure::OtherChain)), (Cause::WrongChain, Certainty::Certain));
    let named = Failure::HelloChain { chain: "ab".to_owned() };
    assert_eq!(first(&failing(named)), (Cause::WrongChain, Certainty::Certain));
    let foreign = Failure::Foreign { begins: "SSH-2.0".to_owned() };
    assert_eq!(first(&failing(foreign)), (Cause::NotANode, Certainty::Certain));
    assert_eq!(first(&failing(Failure::KeysSilent)), (Cause::NotANode, Certainty::Likely));
}

#[test]
fn a_goodbye_is_believed() {
    for (reason, detail, cause) in [
        (Parting::WRONG_CHAIN, 0, Cause::WrongChain),
        (Parting::VERSION_TOO_OLD, 7, Cause::VersionTooOld),
        (Parting::BANNED, 600, Cause::Banned),
        (Parting::FULL, 0, Cause::Full),
        (Parting::DUPLICATE_IDENTITY, 0, Cause::DuplicateIdentity),
        (Parting::SHUTDOWN, 0, Cause::Parted),
        (Parting(77), 0, Cause::Parted),
    ] {
        assert_eq!(first(&saying(reason, detail)), (cause, Certainty::Certain));
        let late = Observations { goodbye: Some(Goodbye { reason, detail }), ..healthy() };
        assert_eq!(first(&late).0, cause, "whenever it comes");
    }
    assert!(diagnose(&saying(Parting::BANNED, 600))[0].next.contains("600 s"));
    let old = failing(Failure::VersionTooOld { version: 0 });
    assert_eq!(first(&old), (Cause::VersionTooOld, Certainty::Certain));
    let silent = failing(Failure::ClosedAtLast);
    assert_eq!(first(&silent).1, Certainty::Possible, "without a word nothing is certain");
}

#[test]
fn a_clock_is_off_beyond_what_the_way_may_hide() {
    let seen = |offset_us, within_us| Observations { clock_us: Some((offset_us, within_us)), ..healthy() };
    assert_eq!(first(&seen(5_000_000, 200)), (Cause::ClockOff, Certainty::Certain));
    assert_eq!(first(&seen(-5_000_000, 200)), (Cause::ClockOff, Certainty::Certain));
    assert_eq!(diagnose(&seen(700_000, 400_000)), []);
}

#[test]
fn large_packets_that_vanish_are_no_loss() {
    let whole = Through { up: true, down: false };
    let mut seen = Observations {
        whole: Some((1_500, whole)),
        small: Some(BOTH),
        largest: Some((Some(1_500), Some(1_400))),
        up: None,
        down: None,
        ..healthy()
    };
    assert_eq!(first(&seen), (Cause::MtuBlackHole, Certainty::Certain));
    assert!(diagnose(&seen)[0].next.contains("1400"));
    let mut up = flow(Direction::Up);
    (up.retransmitted, up.stalled) = (40, true);
    seen.up = Some(up);
    assert_eq!(causes(&seen), [Cause::MtuBlackHole]);
}

#[test]
fn loss_is_told_with_its_direction() {
    let mut up = flow(Direction::Up);
    up.retransmitted = 300;
    let seen = Observations { up: Some(up.clone()), ..healthy() };
    assert_eq!(first(&seen), (Cause::Loss, Certainty::Certain));
    assert!(diagnose(&seen)[0].evidence[0].contains("to the peer only"));
    let mut down = flow(Direction::Down);
    down.out_of_order = 300;
    let seen = Observations { down: Some(down.clone()), ..healthy() };
    assert!(diagnose(&seen)[0].evidence[0].contains("from the peer only"));
    let seen = Observations { up: Some(up), down: Some(down), ..healthy() };
    assert!(diagnose(&seen)[0].evidence[0].contains("both ways"));
    let seen = Observations { rounds: Some(Rounds { sent: 20, received: 15, ..Rounds::default() }), ..healthy() };
    assert_eq!(first(&seen), (Cause::Loss, Certainty::Possible));
    // A segment or two are lost anywhere.
    let mut few = flow(Direction::Up);
    few.retransmitted = 2;
    assert_eq!(diagnose(&Observations { up: Some(few), ..healthy() }), []);
}

#[test]
fn a_reader_is_slow_whose_window_is_full_and_who_takes_little() {
    let slow = Flow {
        bytes: 100_000,
        took_us: 2_000_000,
        segments: 80,
        busy_us: 1_900_000,
        window_limited_us: 1_800_000,
        ..Flow::new(Direction::Up)
    };
    let seen = Observations { up: Some(slow.clone()), ..healthy() };
    assert_eq!(first(&seen), (Cause::SlowReader, Certainty::Certain));
    let again = Flow { retransmitted: 4, segments: 245, ..slow.clone() };
    assert_eq!(causes(&Observations { up: Some(again), ..healthy() }), [Cause::SlowReader], "a full window is no loss");
    let narrow = Flow { window_limited_us: 0, ..slow };
    assert_eq!(diagnose(&Observations { up: Some(narrow), ..healthy() }), [], "a slow path is no slow reader");
}

#[test]
fn a_peer_on_this_link_that_answers_late_and_takes_little_is_held_back() {
    let mut seen = healthy();
    seen.up.as_mut().unwrap().took_us = 20_000_000;
    assert_eq!(diagnose(&seen), [], "it answers at once");
    seen.rounds.as_mut().unwrap().min_us = 60_000;
    assert_eq!(first(&seen), (Cause::SlowReader, Certainty::Likely));
    let Neighbor::Found { hop, hardware, took_us, .. } = found() else { unreachable!() };
    seen.host.neighbor = Neighbor::Found { hop, router: true, hardware, took_us };
    assert_eq!(diagnose(&seen), [], "the way may be long");
}

#[test]
fn of_two_faults_both_are_told() {
    let mut up = flow(Direction::Up);
    up.retransmitted = 300;
    let seen = Observations { clock_us: Some((5_000_000, 200)), up: Some(up), ..healthy() };
    assert_eq!(causes(&seen), [Cause::ClockOff, Cause::Loss]);
    // What a peer says outweighs what it might be.
    let seen = Observations { goodbye: Some(Goodbye::because(Parting::BANNED)), ..failing(Failure::ClosedAtLast) };
    assert_eq!(first(&seen), (Cause::Banned, Certainty::Certain));
}
