//! One TCP connection to a peer's port by the kernel: what came of its SYN, and when.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use serde::Serialize;

use super::sys::{self, Reported};
use super::tcp_info::TcpInfo;

/// ICMP's "unreachable" of both families.
const UNREACHABLE: [u8; 2] = [3, 1];
/// ICMP's "time exceeded" of both families.
const TIME_EXCEEDED: [u8; 2] = [11, 3];

/// How a connection is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// How long the answer is waited for.
    pub(crate) patience: Duration,
    /// Hops that packets may take, if not the usual.
    pub(crate) hops: Option<u8>,
    /// The largest segment in bytes that either side is to send, if not the usual.
    pub(crate) segment_len_max: Option<u32>,
}

impl How {
    /// In the usual way.
    pub(crate) fn usual(patience: Duration) -> Self {
        Self { patience, hops: None, segment_len_max: None }
    }
}

/// What came of a SYN.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum TcpOutcome {
    /// The port took the connection.
    Open,
    /// The port refused it, by a reset: the host is there, and nobody listens.
    Refused,
    /// Nothing came back.
    Silent,
    /// The network, or this host, says that it cannot be reached.
    Unreachable {
        /// Who says so; none if this host does.
        by: Option<IpAddr>,
        /// In which words.
        reason: String,
    },
    /// Somebody says that a rule forbids it (RFC 1812 section 5.2.7.1; RFC 4443 section 3.1).
    Prohibited {
        /// Who.
        by: IpAddr,
        /// By which code of ICMP's "unreachable".
        code: u8,
    },
    /// The packet's hops were used up at this router.
    Expired {
        /// The router.
        by: IpAddr,
    },
    /// Something else failed.
    Failed {
        /// What.
        reason: String,
    },
}

/// One attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TcpAttempt {
    /// What came of it.
    #[serde(flatten)]
    pub outcome: TcpOutcome,
    /// From the first SYN to the answer, in microseconds; as long as it was waited for if none came.
    pub took_us: u64,
    /// SYNs that were sent.
    pub syns: u32,
}

/// Connects to `address`; the stream, if it is open, waits for nothing.
pub(crate) fn connect(address: SocketAddr, how: &How) -> (TcpAttempt, Option<TcpStream>) {
    let began_ns = sys::monotonic_ns();
    match begin(address, how) {
        Ok(socket) => finish(socket, began_ns, how.patience),
        Err(error) => (attempt(began_ns, of_error(&error, None), 1), None),
    }
}

/// Connects several times at once; of each answer what it was and after how many microseconds it came.
pub(crate) fn answers(addresses: &[SocketAddr], how: &How) -> Vec<Option<(u64, TcpOutcome)>> {
    let began_ns = sys::monotonic_ns();
    let mut answers = vec![None; addresses.len()];
    let mut waiting: Vec<(usize, OwnedFd)> = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        match begin(*address, how) {
            Ok(socket) => waiting.push((index, socket)),
            Err(error) => answers[index] = Some((0, of_error(&error, None))),
        }
    }
    while !waiting.is_empty() {
        let took = Duration::from_nanos(sys::monotonic_ns().saturating_sub(began_ns));
        let Some(left) = how.patience.checked_sub(took).filter(|left| !left.is_zero()) else { break };
        let descriptors: Vec<RawFd> = waiting.iter().map(|(_, socket)| socket.as_raw_fd()).collect();
        let mut ready = sys::wait(&descriptors, libc::POLLOUT, left).unwrap_or_default().into_iter();
        waiting.retain(|(index, socket)| {
            let is_settled = ready.next().is_some_and(|events| events != 0);
            if is_settled {
                let took_us = sys::monotonic_ns().saturating_sub(began_ns) / 1_000;
                answers[*index] = Some((took_us, settled(socket)));
            }
            !is_settled
        });
    }
    answers
}

/// Sends the SYN.
fn begin(address: SocketAddr, how: &How) -> io::Result<OwnedFd> {
    let is_v4 = address.is_ipv4();
    let socket = sys::socket(is_v4, libc::SOCK_STREAM, 0)?;
    let (level, errors, hops) = if is_v4 {
        (libc::IPPROTO_IP, libc::IP_RECVERR, libc::IP_TTL)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, libc::IPV6_UNICAST_HOPS)
    };
    sys::set_option(&socket, level, errors, 1)?;
    sys::set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    if let Some(count) = how.hops {
        sys::set_option(&socket, level, hops, count.into())?;
    }
    if let Some(len) = how.segment_len_max {
        sys::set_option(&socket, libc::IPPROTO_TCP, libc::TCP_MAXSEG, i32::try_from(len).unwrap_or(i32::MAX))?;
    }
    sys::connect(&socket, &address)?;
    Ok(socket)
}

/// Waits for the answer.
fn finish(socket: OwnedFd, began_ns: u64, patience: Duration) -> (TcpAttempt, Option<TcpStream>) {
    let ready = sys::wait(&[socket.as_raw_fd()], libc::POLLOUT, patience).unwrap_or_default();
    let syns = 1 + TcpInfo::of(&socket).map_or(0, |info| info.retransmitted);
    if ready.first().is_none_or(|events| *events == 0) {
        return (attempt(began_ns, TcpOutcome::Silent, syns), None);
    }
    match settled(&socket) {
        TcpOutcome::Open => (attempt(began_ns, TcpOutcome::Open, syns), Some(TcpStream::from(socket))),
        outcome => (attempt(began_ns, outcome, syns), None),
    }
}

/// What an answered attempt came to.
fn settled(socket: &OwnedFd) -> TcpOutcome {
    let code = sys::option(socket, libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(0);
    // The queue is read whatever the code: it says who spoke.
    let reported = sys::reported(socket);
    if code == 0 {
        return match reported {
            Some(reported) if reported.errno != 0 => {
                of_error(&io::Error::from_raw_os_error(reported.errno), Some(reported))
            }
            _ => TcpOutcome::Open,
        };
    }
    of_error(&io::Error::from_raw_os_error(code), reported)
}

fn of_error(error: &io::Error, reported: Option<Reported>) -> TcpOutcome {
    // What this host itself says comes as if from its own address.
    let by = reported.filter(|reported| reported.by_icmp).and_then(|reported| reported.offender);
    let by = by.filter(|by| UdpSocket::bind((*by, 0)).is_err());
    if let (Some(reported), Some(by)) = (reported, by) {
        if TIME_EXCEEDED.contains(&reported.kind) && !(by.is_ipv4() && reported.kind == 3) {
            return TcpOutcome::Expired { by };
        }
        if UNREACHABLE.contains(&reported.kind) && is_prohibited(by, reported.code) {
            return TcpOutcome::Prohibited { by, code: reported.code };
        }
        if UNREACHABLE.contains(&reported.kind) {
            return TcpOutcome::Unreachable { by: Some(by), reason: unreachable_words(by, reported.code).to_owned() };
        }
    }
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => TcpOutcome::Refused,
        Some(libc::ETIMEDOUT) => TcpOutcome::Silent,
        Some(libc::EHOSTUNREACH) if by.is_none() => {
            TcpOutcome::Unreachable { by, reason: "no host has that address on this link".to_owned() }
        }
        Some(libc::ENETUNREACH) => TcpOutcome::Unreachable { by, reason: "this host has no route there".to_owned() },
        Some(libc::EACCES | libc::EPERM) => {
            TcpOutcome::Unreachable { by, reason: "this host's own rules forbid it".to_owned() }
        }
        _ => TcpOutcome::Failed { reason: error.to_string() },
    }
}

/// The words of an "unreachable" (RFC 1812, section 5.2.7.1; RFC 4443, section 3.1).
fn unreachable_words(by: IpAddr, code: u8) -> &'static str {
    match (by.is_ipv4(), code) {
        (true | false, 0) => "no route to that network",
        (true, 1) | (false, 3) => "no host has that address",
        (true, 3) | (false, 4) => "nobody listens there",
        _ => "it cannot be reached",
    }
}

/// Whether an "unreachable" is a rule's: prohibited, of IPv6 too by the source's address or by the route.
fn is_prohibited(by: IpAddr, code: u8) -> bool {
    matches!((by.is_ipv4(), code), (true, 9 | 10 | 13) | (false, 1 | 5 | 6))
}

fn attempt(began_ns: u64, outcome: TcpOutcome, syns: u32) -> TcpAttempt {
    TcpAttempt { outcome, took_us: sys::monotonic_ns().saturating_sub(began_ns) / 1_000, syns }
}

impl TcpOutcome {
    /// In plain words.
    pub fn words(&self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Refused => "refused (RST)".to_owned(),
            Self::Silent => "no answer".to_owned(),
            Self::Unreachable { by: Some(by), reason } => format!("unreachable: {reason}, says {by}"),
            Self::Unreachable { by: None, reason } => format!("unreachable: {reason}"),
            Self::Prohibited { by, .. } => format!("forbidden by a rule, says {by}"),
            Self::Expired { by } => format!("hops used up at {by}"),
            Self::Failed { reason } => format!("failed: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_open_port_and_a_closed_one_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let how = How::usual(Duration::from_secs(5));
        let (attempt, stream) = connect(address, &how);
        assert_eq!((attempt.outcome, attempt.syns, stream.is_some()), (TcpOutcome::Open, 1, true));
        drop(listener);
        let (attempt, stream) = connect(address, &how);
        assert_eq!((attempt.outcome, stream.is_some()), (TcpOutcome::Refused, false));
    }

    #[test]
    fn what_icmp_says_is_told_with_who_says_it() {
        let by: IpAddr = "10.0.0.9".parse().unwrap();
        let said =
            |kind, code| Reported { by_icmp: true, kind, code, info: 0, errno: libc::EHOSTUNREACH, offender: Some(by) };
        let error = io::Error::from_raw_os_error(libc::EHOSTUNREACH);
        assert_eq!(of_error(&error, Some(said(11, 0))), TcpOutcome::Expired { by });
        assert_eq!(of_error(&error, Some(said(3, 13))), TcpOutcome::Prohibited { by, code: 13 });
        let TcpOutcome::Unreachable { by: Some(_), reason } = of_error(&error, Some(said(3, 1))) else { panic!() };
        assert_eq!(reason, "no host has that address");
        let TcpOutcome::Unreachable { by: None, .. } = of_error(&error, None) else { panic!() };
    }
}
