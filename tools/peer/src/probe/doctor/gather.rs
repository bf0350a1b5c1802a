//! What the doctor looks at, in the order in which it costs: the host, the port, the session, and only with an open one its
//! clock, round trips, sizes and both directions.

use std::net::SocketAddr;
use std::time::Duration;

use hpb_types::message::diagnose::{Goodbye, Parting};

use super::Observations;
use crate::probe::bandwidth::{Direction, Measure, flow};
use crate::probe::connect::{self, How, TcpOutcome};
use crate::probe::handshake::{self, Failure};
use crate::probe::host::{self, Neighbor};
use crate::probe::path_mtu::{self, Through};
use crate::probe::ping::{Rhythm, by_session};
use crate::probe::session::{Credentials, Ended, NoAnswer, Session, Target};
use crate::probe::{clock, sys, trace};

/// Ports that are tried where the target's does not open: a node's own, and what hosts usually have.
const PORTS: [u16; 6] = [30_303, 30_304, 22, 80, 443, 9];
/// How long they are waited for.
const PORTS_PATIENCE: Duration = Duration::from_secs(1);
/// Known peers whose keys are tried.
const KEYS_MAX: usize = 32;
const CLOCK_COUNT: u32 = 5;
const ROUNDS: Rhythm = Rhythm { count: 20, interval: Duration::from_millis(20) };
/// How each direction is tried.
const MEASURE: Measure =
    Measure { span: Duration::from_millis(1_500), len_max: 4 << 20, patience: Duration::from_millis(1_500) };
/// A packet that every path takes.
const SMALL_LEN_V4: u32 = 576;
const SMALL_LEN_V6: u32 = 1_280;
/// How often a size that fails is tried: packets are lost by chance too.
const SIZE_TRIES: u32 = 2;
/// Hops that are looked at behind a router, and how long each.
const HOPS_MAX: u8 = 16;
const HOP_PATIENCE: Duration = Duration::from_millis(400);
/// How long somebody who lost a session to us may take to call again.
const LINGER: Duration = Duration::from_secs(3);

/// Looks at a peer; `progress` is told what is under way.
pub fn gather(target: &Target, progress: &mut dyn FnMut(&str)) -> Observations {
    progress("the host");
    let host = host::look(target.address.ip());
    progress("the port");
    let (handshake, session) = handshake::open(target);
    let mut seen = Observations {
        address: target.address.to_string(),
        ip: target.address.ip(),
        port: target.address.port(),
        tcp: handshake.tcp.clone(),
        host,
        other_ports: Vec::new(),
        last_hop: None,
        is_listed: target.known.iter().any(|known| known.ports.contains(&target.address)),
        failure: handshake.failure.clone().filter(|failure| *failure != Failure::Tcp),
        answers_to: None,
        hello: handshake.hello.clone(),
        goodbye: None,
        clock_us: None,
        rounds: None,
        whole: None,
        small: None,
        largest: None,
        up: None,
        down: None,
        with_session: target.credentials.is_some(),
    };
    if let Some(Failure::Goodbye { reason, detail, .. }) = &seen.failure {
        seen.goodbye = Some(Goodbye { reason: Parting(*reason), detail: *detail });
    }
    match (&seen.tcp.outcome, session) {
        (TcpOutcome::Open, Some(session)) => {
            look_inside(target, session, handshake.agreed.map(|agreed| agreed.path_mtu), &mut seen, progress);
        }
        (TcpOutcome::Open, None) if matches!(seen.failure, Some(Failure::Stranger | Failure::Unproven)) => {
            progress("other keys");
            seen.answers_to = answers_to(target);
        }
        (TcpOutcome::Open, None) => {}
        _ => look_around(target, &mut seen, progress),
    }
    seen
}

/// Where the port does not open: what else of the host does.
fn look_around(target: &Target, seen: &mut Observations, progress: &mut dyn FnMut(&str)) {
    progress("other ports");
    let ip = target.address.ip();
    let known = target.known.iter().flat_map(|known| &known.ports).filter(|port| port.ip() == ip).map(SocketAddr::port);
    let next = target.address.port().wrapping_add(1).max(1);
    let mut ports: Vec<u16> = known.chain(PORTS).chain([next]).filter(|port| *port != target.address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    let addresses: Vec<SocketAddr> = ports.iter().map(|port| SocketAddr::new(ip, *port)).collect();
    let answers = connect::answers(&addresses, &How::usual(PORTS_PATIENCE)).into_iter();
    let outcomes = answers.map(|answer| answer.map_or(TcpOutcome::Silent, |(_, outcome)| outcome));
    seen.other_ports = ports.into_iter().zip(outcomes).collect();
    if seen.tcp.outcome == TcpOutcome::Silent && matches!(seen.host.neighbor, Neighbor::Found { router: true, .. }) {
        progress("the way");
        let way = trace::trace(target, HOPS_MAX, HOP_PATIENCE);
        seen.last_hop = way.hops.iter().rev().find_map(|hop| hop.by.first()).map(ToString::to_string);
    }
}

/// Which known peer's key is taken instead.
fn answers_to(target: &Target) -> Option<String> {
    let credentials = target.credentials.as_ref()?;
    let others = target.known.iter().filter(|known| known.key != credentials.peer).take(KEYS_MAX);
    let found = others.into_iter().find(|known| {
        let credentials = Credentials { peer: known.key, ..credentials.clone() };
        let target = Target { credentials: Some(credentials), known: Vec::new(), ..target.clone() };
        handshake::open(&target).0.keys_us.is_some()
    });
    found.map(|known| known.name.clone())
}

/// With an open session: everything that shows in one.
fn look_inside(
    target: &Target,
    mut session: Session,
    agreed_len: Option<u32>,
    seen: &mut Observations,
    progress: &mut dyn FnMut(&str),
) {
    progress("the clock");
    match clock::clock(target, &mut session, CLOCK_COUNT, Duration::ZERO) {
        Ok(clock) => seen.clock_us = Some((clock.offset_us, clock.within_us)),
        Err(NoAnswer::Ended(ended)) => return ended_by(ended, seen),
        Err(NoAnswer::Silent | NoAnswer::Refused(_)) => {}
    }
    progress("round trips");
    seen.rounds = Some(by_session(target, &mut session, ROUNDS).rounds);
    if let Err(ended) = session.turn(Duration::ZERO) {
        return ended_by(ended, seen);
    }
    // A node keeps one session of an identity: those that follow are to find none of ours.
    drop(session);
    progress("sizes of packets");
    sizes(target, agreed_len.unwrap_or(1_500), seen);
    if seen.whole.is_some_and(|(_, whole)| !(whole.up && whole.down)) {
        return;
    }
    progress("the way from the peer");
    let (again, session) = handshake::open_with(target, &How::usual(target.patience), false);
    let Some(mut session) = session else {
        seen.failure = again.failure;
        return;
    };
    seen.down = Some(flow(&mut session, Direction::Down, &MEASURE));
    progress("the way to the peer");
    seen.up = Some(flow(&mut session, Direction::Up, &MEASURE));
    if let Err(ended) = linger(target, &mut session) {
        ended_by(ended, seen);
    }
}

/// Waits, with an identity that others may use too, whether somebody takes the session over.
fn linger(target: &Target, session: &mut Session) -> Result<(), Ended> {
    let is_named = target.credentials.as_ref().is_some_and(|credentials| credentials.is_named);
    let patience = if is_named { LINGER } else { Duration::ZERO };
    let until_ns = sys::monotonic_ns() + patience.as_nanos() as u64;
    while session.hear(until_ns)?.is_some() {}
    session.turn(Duration::ZERO)
}

fn ended_by(ended: Ended, seen: &mut Observations) {
    match ended {
        Ended::Goodbye(goodbye) => seen.goodbye = Some(goodbye),
        Ended::Closed { .. } => seen.failure = Some(Failure::ClosedAtLast),
        ended => seen.failure = Some(Failure::Other { reason: ended.words() }),
    }
}

fn sizes(target: &Target, agreed_len: u32, seen: &mut Observations) {
    // A link within this host has packets that no other path carries.
    let len = agreed_len.clamp(SMALL_LEN_V4, 1_500);
    let mut whole = Through { up: false, down: false };
    for _ in 0..SIZE_TRIES {
        let Some(through) = path_mtu::segments(target, len) else { return };
        whole = Through { up: whole.up || through.up, down: whole.down || through.down };
        if whole.up && whole.down {
            break;
        }
    }
    seen.whole = Some((len, whole));
    if whole.up && whole.down {
        return;
    }
    let small = if target.address.is_ipv4() { SMALL_LEN_V4 } else { SMALL_LEN_V6 };
    seen.small = path_mtu::segments(target, small);
    let is_hole = seen.small.is_some_and(|small| (small.up && !whole.up) || (small.down && !whole.down));
    if is_hole {
        let report = path_mtu::path_mtu(target);
        seen.largest = Some((report.up_len, report.down_len));
    }
}
