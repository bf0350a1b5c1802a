//! What observations mean: rules in the order in which a session comes about. A rule that names a cause says how sure it
//! is; where two causes look alike both are named, and neither is called certain.

use std::cmp::Reverse;

use hpb_types::message::PROTOCOL_VERSION;
use hpb_types::message::diagnose::Parting;

use super::{Cause, Certainty, Finding, Observations};
use crate::probe::bandwidth::Flow;
use crate::probe::clock::OFFSET_US_MAX;
use crate::probe::connect::TcpOutcome;
use crate::probe::handshake::Failure;
use crate::probe::host::{Answered, Neighbor};
use crate::probe::text::{counted, micros, rate, share};

use Certainty::{Certain, Likely, Possible};

/// Segments that are lost before loss is spoken of: one may be lost anywhere.
const LOST_MIN: u64 = 3;
/// The share of them, one in so many.
const LOST_ONE_IN: u64 = 100;
/// Of a slow reader's segments fewer than one in so many come again because its window is full.
const FULL_ONE_IN: u64 = 10;
/// Pings in a hundred that may be late on a path without loss.
const LATE_PERCENT_MAX: u32 = 5;
/// A reader that takes less than this, in bytes a second, while its window is full most of the time, is slow: a chain at its
/// limit sends more.
const SLOW_BYTES_PER_S: u64 = 500_000;
/// The shortest time that a full window is judged by, in microseconds.
const BUSY_US_MIN: u64 = 200_000;
/// A peer on the same link that never answers sooner than this, in microseconds, is held back: the link itself takes far
/// less.
const ON_LINK_US_MAX: u64 = 10_000;
/// The codes of ICMP's "unreachable" by which a card tells whom it bans: of IPv4 and of IPv6.
const BAN_CODES: (u8, u8) = (13, 1);

/// Who knows of a ban.
const ASK_BANS: &str = "ask its operator: `hpb peer ban --list` shows the bans there, `--lift` ends one";

/// What makes a reader slow.
const LOOK_AT_LOAD: &str = "look at the peer's load: its host takes events too slowly, or its card is held back";

type Rule = fn(&Observations) -> Vec<Finding>;

/// The rules, from the network's to the peer's.
const RULES: [Rule; 11] =
    [refused, prohibited, unreachable, silent, keys, identity, parted, clock_off, black_hole, lossy, slow_reader];

/// The causes that the observations speak for, the surest first; of equally sure ones that which comes first on the way to
/// a session. None where nothing is wrong.
pub fn diagnose(seen: &Observations) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(seen)).collect();
    findings.sort_by_key(|finding| Reverse(finding.certainty));
    let mut told = Vec::new();
    findings.retain(|finding| {
        let is_new = !told.contains(&finding.cause);
        told.push(finding.cause);
        is_new
    });
    findings
}

fn finding(cause: Cause, certainty: Certainty, evidence: Vec<String>, next: impl Into<String>) -> Finding {
    Finding { cause, certainty, evidence, next: next.into() }
}

fn refused(seen: &Observations) -> Vec<Finding> {
    if seen.tcp.outcome != TcpOutcome::Refused {
        return Vec::new();
    }
    let reset = format!("the SYN was answered by a reset after {}", micros(seen.tcp.took_us));
    let mut evidence = vec![reset.clone()];
    let (open, next) = open_ports(seen);
    if open.is_some() {
        evidence.extend(open);
        return vec![finding(Cause::WrongPort, Certain, evidence, next)];
    }
    // Whom a node keeps out it tells so by ICMP, and only those beyond that message's rate by a reset.
    let ban = "a node that is called very often resets some of those that it keeps out".to_owned();
    vec![
        finding(Cause::WrongPort, Likely, evidence, next),
        finding(Cause::Banned, Possible, vec![reset, ban], ASK_BANS),
    ]
}

/// Somebody says that a rule forbids the call: the peer itself, which is its ban, or what stands before it.
fn prohibited(seen: &Observations) -> Vec<Finding> {
    let TcpOutcome::Prohibited { by, code } = &seen.tcp.outcome else { return Vec::new() };
    let said = format!("{by} answers the SYN: communication administratively prohibited (ICMP)");
    let through = format!("ask whoever runs {by} to let it through");
    let is_ban = *code == if by.is_ipv4() { BAN_CODES.0 } else { BAN_CODES.1 };
    if *by != seen.ip {
        return vec![finding(
            Cause::SynBlocked,
            Certain,
            vec![said, "that is not the peer's address".to_owned()],
            through,
        )];
    }
    if !is_ban {
        let firewall = format!("the peer's own host says so, with code {code}: a node does not, a firewall there does");
        return vec![finding(Cause::SynBlocked, Certain, vec![said, firewall], through)];
    }
    let node = "the peer's own address says so: a node says it to whom it bans".to_owned();
    let firewall = "a firewall on the peer's own host may say the same".to_owned();
    vec![
        finding(Cause::Banned, Certain, vec![said, node], ASK_BANS),
        finding(Cause::SynBlocked, Possible, vec![firewall], through),
    ]
}

/// Which other ports are open, and what to do with that.
fn open_ports(seen: &Observations) -> (Option<String>, String) {
    let open: Vec<String> = seen
        .other_ports
        .iter()
        .filter(|(_, outcome)| *outcome == TcpOutcome::Open)
        .map(|(port, _)| port.to_string())
        .collect();
    match open.first() {
        Some(first) => {
            let evidence = format!("the same host takes connections at {}", open.join(", "));
            (Some(evidence), format!("call it at port {first}, or ask its operator which port is its own"))
        }
        None => (None, "ask its operator which port it listens at, and whether it runs".to_owned()),
    }
}

fn unreachable(seen: &Observations) -> Vec<Finding> {
    match &seen.tcp.outcome {
        TcpOutcome::Unreachable { by: Some(by), reason } => {
            let evidence = vec![format!("{by} says: {reason}")];
            vec![finding(Cause::HostDown, Certain, evidence, "see whether the host is up, and its address right")]
        }
        TcpOutcome::Unreachable { by: None, reason } => {
            let cause = match seen.host.neighbor {
                Neighbor::Missing { .. } => Cause::HostDown,
                _ => Cause::NoRoute,
            };
            let evidence = vec![reason.clone(), seen.host.neighbor.words()];
            vec![finding(cause, Certain, evidence, "look at the address, and at this host's routes (`ip route get`)")]
        }
        TcpOutcome::Expired { by } => {
            let evidence = vec![format!("packets run in a circle: their hops are used up at {by}")];
            vec![finding(Cause::NoRoute, Certain, evidence, format!("ask whoever runs {by}"))]
        }
        TcpOutcome::Failed { reason } => {
            vec![finding(Cause::NoRoute, Likely, vec![reason.clone()], "look at this host's network")]
        }
        TcpOutcome::Open | TcpOutcome::Refused | TcpOutcome::Silent | TcpOutcome::Prohibited { .. } => Vec::new(),
    }
}

/// Nothing came back from the port: the rest of the host says why, as far as it can be known.
fn silent(seen: &Observations) -> Vec<Finding> {
    if seen.tcp.outcome != TcpOutcome::Silent {
        return Vec::new();
    }
    let unanswered = format!("{} to port {} had no answer", counted(seen.tcp.syns.into(), "SYN"), seen.port);
    if let Neighbor::Missing { .. } = seen.host.neighbor {
        let evidence = vec![unanswered, seen.host.neighbor.words()];
        return vec![finding(Cause::HostDown, Certain, evidence, "see whether the host is up, and its address right")];
    }
    let is = |of: &dyn Fn(&TcpOutcome) -> bool| seen.other_ports.iter().any(|(_, outcome)| of(outcome));
    let answers = is(&|outcome| matches!(outcome, TcpOutcome::Open | TcpOutcome::Refused));
    if !seen.host.is_there() && !answers {
        let evidence = vec![unanswered, "neither an echo, nor a datagram, nor another port was answered".to_owned()];
        return vec![
            finding(Cause::HostDown, Likely, evidence.clone(), "see whether the host is up; from another network too"),
            finding(Cause::SynBlocked, Possible, evidence, "ask who runs the firewalls between, if there are any"),
        ];
    }
    let mut evidence = vec![unanswered];
    evidence.extend(presence(seen));
    let (open, call) = open_ports(seen);
    let blocked_next = match &seen.last_hop {
        Some(hop) => {
            format!("SYNs get as far as {hop}: ask who runs it and what follows to let TCP port {} through", seen.port)
        }
        None => {
            format!("look for a firewall rule for TCP port {} on the peer's host and on what joins the two", seen.port)
        }
    };
    let resets = is(&|outcome| *outcome == TcpOutcome::Refused);
    let mut findings = Vec::new();
    if resets {
        evidence.push("other ports of the host are refused by resets: it would refuse this one too".to_owned());
        findings.push(finding(Cause::SynBlocked, Likely, evidence.clone(), blocked_next));
    } else if let Some(open) = open {
        evidence.push(open);
        if seen.is_listed {
            evidence.push("the list of its chain's peers says that it listens at the port".to_owned());
            findings.push(finding(Cause::SynBlocked, Likely, evidence.clone(), blocked_next));
            findings.push(finding(Cause::WrongPort, Possible, evidence, call));
        } else {
            evidence.push("a card says nothing to SYNs for ports where nobody listens".to_owned());
            findings.push(finding(Cause::WrongPort, Likely, evidence.clone(), call));
            findings.push(finding(Cause::SynBlocked, Possible, evidence, blocked_next));
        }
        return findings;
    } else {
        let certainty = if seen.is_listed { Likely } else { Possible };
        evidence.push("no TCP port of it answers, though the host is there".to_owned());
        findings.push(finding(Cause::SynBlocked, Likely, evidence.clone(), blocked_next));
        if certainty == Possible {
            findings.push(finding(Cause::WrongPort, Possible, evidence.clone(), call));
        }
    }
    let banned = vec!["the ICMP by which a node tells whom it bans may be dropped on the way".to_owned()];
    findings.push(finding(Cause::Banned, Possible, banned, ASK_BANS));
    findings
}

/// By what the host shows that it is there.
fn presence(seen: &Observations) -> Vec<String> {
    let mut evidence = Vec::new();
    if let Answered::Yes { took_us } = seen.host.echo {
        evidence.push(format!("the host answers an echo after {}", micros(took_us)));
    }
    if let Answered::Yes { took_us } = seen.host.datagram {
        evidence.push(format!("the host refuses a datagram after {}", micros(took_us)));
    }
    if let Neighbor::Found { router: false, hardware, .. } = &seen.host.neighbor {
        evidence.push(format!("the host is on this link, at {hardware}"));
    }
    evidence
}

fn keys(seen: &Observations) -> Vec<Finding> {
    let Some(failure) = &seen.failure else { return Vec::new() };
    let evidence = vec![failure.words()];
    match failure {
        Failure::Stranger | Failure::Unproven => {
            if let Some(name) = &seen.answers_to {
                let evidence = vec![evidence[0].clone(), format!("it answers to the key of {name}")];
                let next = format!("call it by the key of {name}, or call {} elsewhere", "the one that was meant");
                return vec![finding(Cause::WrongKey, Certain, evidence, next)];
            }
            let next =
                "compare the key with what its operator says (`hpb peer info` there); it changes with the key file";
            let no_node = finding(Cause::NotANode, Possible, evidence.clone(), "see what runs at the port");
            vec![finding(Cause::WrongKey, Likely, evidence, next), no_node]
        }
        Failure::Foreign { .. } => {
            vec![finding(Cause::NotANode, Certain, evidence, "look at the port: something else listens there")]
        }
        Failure::KeysSilent => {
            let next = "see what runs at the port, and whether it is overloaded";
            vec![
                finding(Cause::NotANode, Likely, evidence.clone(), next),
                finding(Cause::Mute, Possible, evidence, next),
            ]
        }
        Failure::HelloSilent => vec![finding(Cause::Mute, Likely, evidence, "look at the peer's own log and load")],
        Failure::Other { .. } => {
            vec![finding(Cause::Mute, Possible, evidence, "try again, and look at the peer's log")]
        }
        _ => Vec::new(),
    }
}

fn identity(seen: &Observations) -> Vec<Finding> {
    let Some(failure) = &seen.failure else { return Vec::new() };
    let evidence = vec![failure.words()];
    match failure {
        Failure::OtherChain | Failure::HelloChain { .. } => {
            let next = "compare the genesis files of both: `hpb genesis check` tells the chain that one starts";
            vec![finding(Cause::WrongChain, Certain, evidence, next)]
        }
        Failure::VersionTooOld { .. } => {
            vec![finding(Cause::VersionTooOld, Certain, evidence, "have the peer's software updated")]
        }
        Failure::ClosedAtLast => {
            let next = "ask its operator: its `hpb peer events` says why it closed the session";
            [Cause::Banned, Cause::Full, Cause::DuplicateIdentity]
                .map(|cause| finding(cause, Possible, evidence.clone(), next))
                .into()
        }
        _ => Vec::new(),
    }
}

/// The peer said why, whenever that was.
fn parted(seen: &Observations) -> Vec<Finding> {
    let Some(goodbye) = &seen.goodbye else { return Vec::new() };
    let evidence = vec![format!("the peer says goodbye: {goodbye}")];
    let (cause, next) = match goodbye.reason {
        Parting::WRONG_CHAIN => (Cause::WrongChain, "compare the genesis files of both".to_owned()),
        Parting::VERSION_TOO_OLD => {
            let next =
                format!("update this program: it speaks version {PROTOCOL_VERSION}, the peer wants {}", goodbye.detail);
            (Cause::VersionTooOld, next)
        }
        Parting::BANNED => {
            let until =
                if goodbye.detail == 0 { "has no end".to_owned() } else { format!("ends in {} s", goodbye.detail) };
            (Cause::Banned, format!("ask its operator to lift the ban (`hpb peer ban --lift` there); it {until}"))
        }
        Parting::FULL => {
            (Cause::Full, "try again later, call another peer, or ask its operator for more room".to_owned())
        }
        Parting::DUPLICATE_IDENTITY => {
            let next = "end the other process that uses this key, or give this one a key of its own";
            (Cause::DuplicateIdentity, next.to_owned())
        }
        Parting::SLOW => {
            (Cause::SlowReader, "this side takes too little of what it is sent: look at its load".to_owned())
        }
        _ => (Cause::Parted, "try again in a moment; its operator knows more".to_owned()),
    };
    vec![finding(cause, Certain, evidence, next)]
}

fn clock_off(seen: &Observations) -> Vec<Finding> {
    let Some((offset_us, within_us)) = seen.clock_us else { return Vec::new() };
    if offset_us.unsigned_abs().saturating_sub(within_us) <= OFFSET_US_MAX {
        return Vec::new();
    }
    let side = if offset_us < 0 { "behind" } else { "ahead of" };
    let offset = micros(offset_us.unsigned_abs());
    let evidence = vec![format!("its clock is {offset} {side} this host's, within {}", micros(within_us))];
    let next =
        "look at the time synchronisation of both hosts (`chronyc tracking`, `timedatectl`): one of them is wrong";
    vec![finding(Cause::ClockOff, Certain, evidence, next)]
}

/// Large packets fail, small ones do not.
fn black_hole(seen: &Observations) -> Vec<Finding> {
    let (Some((len, whole)), Some(small)) = (seen.whole, seen.small) else { return Vec::new() };
    let ways = [("to the peer", whole.up, small.up), ("from the peer", whole.down, small.down)];
    let shut: Vec<&str> = ways.iter().filter(|(_, whole, small)| !whole && *small).map(|(way, ..)| *way).collect();
    if shut.is_empty() {
        return Vec::new();
    }
    let mut evidence = vec![format!(
        "packets of {len} bytes, which both sides agreed on, do not get through {}; small ones do",
        shut.join(" and ")
    )];
    let largest = seen.largest.and_then(|(up, down)| up.into_iter().chain(down).min());
    if let Some(largest) = largest {
        evidence.push(format!("the largest that gets through has {largest} bytes"));
    }
    let mtu = largest.map_or_else(|| "a smaller MTU".to_owned(), |largest| format!("an MTU of {largest}"));
    let next = format!("have ICMP \"too big\" let through on the way, or give the interface {mtu}");
    vec![finding(Cause::MtuBlackHole, Certain, evidence, next)]
}

fn lossy(seen: &Observations) -> Vec<Finding> {
    // Where large packets vanish, what is sent again is their echo.
    if !black_hole(seen).is_empty() {
        return Vec::new();
    }
    let is_lossy = |lost: u64, of: u64| lost >= LOST_MIN && lost * LOST_ONE_IN >= of;
    // A full window takes no segments, so that some come again: that alone is no loss.
    let is_full = |flow: &Flow| is_slow(flow) && flow.retransmitted * FULL_ONE_IN < flow.segments;
    let up = seen.up.as_ref().filter(|flow| is_lossy(flow.retransmitted, flow.segments) && !is_full(flow));
    let down = seen.down.as_ref().filter(|flow| is_lossy(flow.out_of_order, flow.segments));
    let late = seen.rounds.as_ref().filter(|rounds| rounds.lost() * 100 > rounds.sent * LATE_PERCENT_MAX);
    let mut evidence = Vec::new();
    if let Some(up) = up {
        let share = share(up.retransmitted, up.segments);
        evidence
            .push(format!("to the peer: {} of {} segments were sent again ({share})", up.retransmitted, up.segments));
    }
    if let Some(down) = down {
        let share = share(down.out_of_order, down.segments);
        evidence.push(format!(
            "from the peer: {} of {} segments came behind a gap ({share})",
            down.out_of_order, down.segments
        ));
    }
    if let Some(rounds) = late {
        evidence.push(format!("{} of {} pings were not answered in time", rounds.lost(), rounds.sent));
    }
    if evidence.is_empty() {
        return Vec::new();
    }
    if seen.tcp.syns > 1 {
        evidence.push(format!("it took {} to connect", counted(seen.tcp.syns.into(), "SYN")));
    }
    let (way, certainty) = match (up, down) {
        (Some(_), None) => ("on the way to the peer only", Certain),
        (None, Some(_)) => ("on the way from the peer only", Certain),
        (Some(_), Some(_)) => ("both ways", Certain),
        (None, None) => ("which way is not known", Possible),
    };
    evidence.insert(0, format!("packets are lost {way}"));
    let next = "look at the counters of the interfaces and of what joins them (`ip -s link`), in that direction";
    vec![finding(Cause::Loss, certainty, evidence, next)]
}

/// Whether a peer's window was full most of the time, and little was taken.
fn is_slow(flow: &Flow) -> bool {
    let waited = flow.window_limited_us >= BUSY_US_MIN && flow.window_limited_us * 2 > flow.busy_us;
    waited && flow.bytes_per_s() < SLOW_BYTES_PER_S
}

/// A peer on this link whose answers are late, and who takes little: no way is there that could be long.
fn held_back(seen: &Observations) -> Vec<Finding> {
    let is_on_link = matches!(seen.host.neighbor, Neighbor::Found { router: false, .. });
    let (Some(up), Some(rounds)) = (&seen.up, &seen.rounds) else { return Vec::new() };
    let is_late = rounds.received > 0 && rounds.min_us > ON_LINK_US_MAX;
    if !is_on_link || !is_late || up.bytes_per_s() >= SLOW_BYTES_PER_S || !lossy(seen).is_empty() {
        return Vec::new();
    }
    let evidence = vec![
        format!("it is on this link, and takes {} to answer at best", micros(rounds.min_us)),
        format!("it took {} without loss", rate(up.bytes_per_s())),
    ];
    vec![finding(Cause::SlowReader, Likely, evidence, LOOK_AT_LOAD)]
}

fn slow_reader(seen: &Observations) -> Vec<Finding> {
    let Some(up) = seen.up.as_ref().filter(|flow| is_slow(flow)) else { return held_back(seen) };
    if !black_hole(seen).is_empty() {
        return Vec::new();
    }
    let share = share(up.window_limited_us, up.busy_us);
    let evidence = vec![
        format!("its window was full {share} of the time: it took {}", rate(up.bytes_per_s())),
        format!("{} of {} segments had to be sent again", up.retransmitted, up.segments),
    ];
    vec![finding(Cause::SlowReader, Certain, evidence, LOOK_AT_LOAD)]
}
