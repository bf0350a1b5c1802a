//! Whether a peer's host is there at all, whatever its ports: its hardware address on this link, an echo, the refusal of a
//! datagram. Ordinary users may ask all of it on most hosts; what this host does not allow is said.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use serde::Serialize;

use super::sys;

/// Where a datagram goes that nobody is to take (the first port of the old traceroute).
const NOBODYS_PORT: u16 = 33_434;
/// How often a neighbour is looked for while it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long one answer of the host is waited for.
const PATIENCE: Duration = Duration::from_millis(700);
/// Bytes of an echo's header.
const ECHO_HEADER_LEN: usize = 8;

/// Whether something answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Answered {
    /// It did.
    Yes {
        /// After how long, in microseconds.
        took_us: u64,
    },
    /// It did not.
    No,
    /// It could not be asked here.
    NotAsked,
}

/// The next hop on this link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Neighbor {
    /// The peer is this host itself.
    Here,
    /// Its hardware address is known.
    Found {
        /// The peer, or the router that leads to it.
        hop: IpAddr,
        /// Whether that is a router.
        router: bool,
        /// Its hardware address.
        hardware: String,
        /// How long it took to learn, in microseconds; none if it was known before.
        took_us: Option<u64>,
    },
    /// Nobody says that it has the address.
    Missing {
        /// Who was asked for.
        hop: IpAddr,
        /// Whether that is a router.
        router: bool,
    },
    /// It is not known how this host would send there.
    Unknown,
}

/// What the host says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HostSeen {
    /// The next hop.
    pub neighbor: Neighbor,
    /// ICMP echo.
    pub echo: Answered,
    /// A datagram to a port that nobody has, which a host refuses.
    pub datagram: Answered,
}

impl HostSeen {
    /// Whether the peer's host gave any sign of itself.
    pub fn is_there(&self) -> bool {
        let on_link = matches!(self.neighbor, Neighbor::Here | Neighbor::Found { router: false, .. });
        on_link || [self.echo, self.datagram].iter().any(|answered| matches!(answered, Answered::Yes { .. }))
    }
}

/// Asks the host of `address`.
pub(crate) fn look(address: IpAddr) -> HostSeen {
    let (neighbor, datagram) = knock(address);
    HostSeen { neighbor, echo: echo(address, 0, false, PATIENCE), datagram }
}

/// Only the next hop.
pub(crate) fn neighbor(address: IpAddr) -> Neighbor {
    knock(address).0
}

/// Sends a datagram that nobody is to take: the kernel has to learn the next hop for it, and the host refuses it.
fn knock(address: IpAddr) -> (Neighbor, Answered) {
    let any: SocketAddr =
        if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap_or(SocketAddr::new(address, 0));
    let opened = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(SocketAddr::new(address, NOBODYS_PORT))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    let Ok(socket) = opened else { return (Neighbor::Unknown, Answered::NotAsked) };
    let is_here = socket.local_addr().is_ok_and(|local| local.ip() == address) || address.is_loopback();
    let next = next_hop(address);
    let known = next.is_some_and(|(hop, _)| hardware(hop).is_some());
    let began_ns = sys::monotonic_ns();
    let (mut found_us, mut refused_us) = (None, None);
    if socket.send(&[0]).is_err() {
        return (if is_here { Neighbor::Here } else { Neighbor::Unknown }, Answered::NotAsked);
    }
    loop {
        let took = Duration::from_nanos(sys::monotonic_ns().saturating_sub(began_ns));
        if let Some((hop, _)) = next.filter(|_| found_us.is_none())
            && hardware(hop).is_some()
        {
            found_us = Some(took.as_micros() as u64);
        }
        // The refusal comes as the error of a later call.
        if refused_us.is_none() && socket.take_error().is_ok_and(|error| error.is_some()) {
            refused_us = Some(took.as_micros() as u64);
        }
        let is_learnt = is_here || found_us.is_some() || next.is_none();
        if (refused_us.is_some() && is_learnt) || took > PATIENCE {
            break;
        }
        let _ = sys::wait(&[socket.as_raw_fd()], 0, LOOK_EVERY);
    }
    let neighbor = match (is_here, next) {
        (true, _) => Neighbor::Here,
        (false, None) => Neighbor::Unknown,
        (false, Some((hop, router))) => match hardware(hop) {
            Some(hardware) => Neighbor::Found { hop, router, hardware, took_us: found_us.filter(|_| !known) },
            None => Neighbor::Missing { hop, router },
        },
    };
    (neighbor, refused_us.map_or(Answered::No, |took_us| Answered::Yes { took_us }))
}

/// Asks for an echo of `len` bytes behind the header; `whole` lets no packet be cut on the way.
pub(crate) fn echo(address: IpAddr, len: usize, whole: bool, patience: Duration) -> Answered {
    let is_v4 = address.is_ipv4();
    let protocol = if is_v4 { libc::IPPROTO_ICMP } else { libc::IPPROTO_ICMPV6 };
    let opened = sys::socket(is_v4, libc::SOCK_DGRAM, protocol)
        .map(|socket| (socket, false))
        .or_else(|_| sys::socket(is_v4, libc::SOCK_RAW, protocol).map(|socket| (socket, true)));
    let Ok((socket, is_raw)) = opened else { return Answered::NotAsked };
    if whole && forbid_cutting(&socket, is_v4).is_err() {
        return Answered::NotAsked;
    }
    if sys::connect(&socket, &SocketAddr::new(address, 0)).is_err() {
        return Answered::NotAsked;
    }
    let began_ns = sys::monotonic_ns();
    let mark = (began_ns as u16).to_be_bytes();
    if sys::send(&socket, &echo_request(is_v4, mark, len)).is_err() {
        // Larger than this host's own link takes.
        return Answered::No;
    }
    let mut bytes = vec![0; 60 + ECHO_HEADER_LEN + len];
    loop {
        let took = Duration::from_nanos(sys::monotonic_ns().saturating_sub(began_ns));
        let Some(left) = patience.checked_sub(took).filter(|left| !left.is_zero()) else { return Answered::No };
        let _ = sys::wait(&[socket.as_raw_fd()], libc::POLLIN, left);
        let Ok(received) = sys::receive(&socket, &mut bytes) else { continue };
        let header_len = if is_raw && is_v4 { usize::from(bytes[0] & 0xF) * 4 } else { 0 };
        let reply = bytes[..received].get(header_len..).unwrap_or_default();
        let kind = if is_v4 { 0 } else { 129 };
        if reply.len() == ECHO_HEADER_LEN + len && reply[0] == kind && reply[6..8] == mark {
            return Answered::Yes { took_us: took.as_micros() as u64 };
        }
    }
}

fn forbid_cutting(socket: &OwnedFd, is_v4: bool) -> std::io::Result<()> {
    if is_v4 {
        sys::set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
    } else {
        sys::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
    }
}

/// An echo request with its checksum, which the kernel makes anew where it wants to.
fn echo_request(is_v4: bool, mark: [u8; 2], len: usize) -> Vec<u8> {
    let mut bytes = vec![0; ECHO_HEADER_LEN + len];
    bytes[0] = if is_v4 { 8 } else { 128 };
    bytes[4..6].copy_from_slice(&mark);
    bytes[6..8].copy_from_slice(&mark);
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    bytes[2..4].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    bytes
}

/// Which neighbour this host sends to for `address`, and whether it is a router; of IPv4 alone.
fn next_hop(address: IpAddr) -> Option<(IpAddr, bool)> {
    let IpAddr::V4(address) = address else { return None };
    // The thread's own: a process may have threads in several networks.
    let table = fs::read_to_string("/proc/thread-self/net/route").ok()?;
    let hop = route(&table, address)?;
    Some((IpAddr::V4(hop), hop != address))
}

/// The next hop by a table in the form of `/proc/net/route`.
fn route(table: &str, address: Ipv4Addr) -> Option<Ipv4Addr> {
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(|word| Ipv4Addr::from(word.to_ne_bytes()).to_bits());
    let rows = table.lines().skip(1).filter_map(|row| {
        let words: Vec<&str> = row.split_whitespace().collect();
        Some((word(words.get(1)?)?, word(words.get(2)?)?, word(words.get(7)?)?))
    });
    let held = rows.filter(|(destination, _, mask)| address.to_bits() & mask == *destination);
    let (_, gateway, _) = held.max_by_key(|(_, _, mask)| *mask)?;
    Some(if gateway == 0 { address } else { Ipv4Addr::from_bits(gateway) })
}

/// The hardware address of a neighbour, once it is known.
fn hardware(hop: IpAddr) -> Option<String> {
    let table = fs::read_to_string("/proc/thread-self/net/arp").ok()?;
    hardware_in(&table, hop)
}

/// The same by a table in the form of `/proc/net/arp`.
fn hardware_in(table: &str, hop: IpAddr) -> Option<String> {
    table.lines().skip(1).find_map(|row| {
        let words: Vec<&str> = row.split_whitespace().collect();
        let is_whole = u32::from_str_radix(words.get(2)?.trim_start_matches("0x"), 16).ok()? & 2 != 0;
        (is_whole && words.first()?.parse() == Ok(hop)).then(|| words.get(3).map(|&word| word.to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                          eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                          eth0\t0000000A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
    const NEIGHBORS: &str = "IP address       HW type     Flags       HW address            Mask     Device\n\
                             10.0.0.1         0x1         0x2         da:28:eb:1c:c9:46     *        hpb-reach\n\
                             10.0.0.2         0x1         0x0         00:00:00:00:00:00     *        hpb-reach\n";

    #[test]
    fn the_next_hop_is_the_peer_on_its_link_and_the_router_elsewhere() {
        let at = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        assert_eq!(route(ROUTES, at("10.0.7.7")), Some(at("10.0.7.7")));
        assert_eq!(route(ROUTES, at("192.0.2.1")), Some(at("10.0.0.1")));
        assert_eq!(route("Iface\n", at("192.0.2.1")), None);
    }

    #[test]
    fn a_neighbour_is_known_once_it_has_said_so() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(hardware_in(NEIGHBORS, at("10.0.0.1")).as_deref(), Some("da:28:eb:1c:c9:46"));
        assert_eq!(hardware_in(NEIGHBORS, at("10.0.0.2")), None, "asked for, not answered");
        assert_eq!(hardware_in("", at("10.0.0.1")), None);
    }

    #[test]
    fn a_request_sums_up_to_nothing() {
        for len in [0, 1, 56] {
            let bytes = echo_request(true, [0x12, 0x34], len);
            let sum: u32 =
                bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
            assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF, "{len}");
        }
    }
}
