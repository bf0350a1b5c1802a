//! IP headers as far as the card's own link layer reads and writes them (RFC 791, RFC 8200).
//!
//! Addresses are as in [`FlowKey`](crate::segment::FlowKey): IPv4 mapped into IPv6. Fragments are never put together.

use hpb_base::limits::IPV6_EXTENSIONS_MAX;
use hpb_net::frame::Frame;

use super::counters::NeighborDrop;
use crate::segment::{IPV6_HEADER_LEN, be16, be32, be128, fold, is_mapped, mapped_v4, sum};

pub(super) const ICMP: u8 = 1;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;
pub(super) const HOP_LIMIT: u8 = 64;
/// `ff02::1`, every node of the link (RFC 4291 section 2.7.1).
pub(super) const ALL_NODES: u128 = 0xff02 << 112 | 1;
/// No address yet, of either family.
pub(super) const UNSPECIFIED: u128 = 0;
pub(super) const UNSPECIFIED_V4: u128 = MAPPED << 32;
/// 255.255.255.255.
pub(super) const BROADCAST_V4: u128 = MAPPED << 32 | 0xffff_ffff;

pub(super) const IPV4_HEADER_LEN: usize = 20;
/// The upper 96 bits of an IPv4 address mapped into IPv6.
const MAPPED: u128 = 0xffff;

const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Whether an address is IPv4's.
pub(super) fn is_v4(address: u128) -> bool {
    is_mapped(address)
}

/// Whether one host can have the address: not unspecified, loopback, multicast or broadcast (RFC 1122 section 3.2.1.3,
/// RFC 4291 section 2.7).
pub(super) fn is_host(address: u128) -> bool {
    if is_v4(address) {
        let first = (address >> 24) as u8;
        first != 0 && first != 127 && first < 224
    } else {
        address > 1 && address >> 120 != 0xff
    }
}

/// What the sorting of frames looks at, before anything is checked.
#[derive(Clone, Copy)]
pub(super) struct Glance {
    pub(super) destination: u128,
    pub(super) protocol: u8,
    pub(super) is_fragment: bool,
}

/// Glances at a packet that a frame calls IPv4 or IPv6.
pub(super) fn glance(packet: &[u8], is_v4: bool) -> Result<Glance, NeighborDrop> {
    if is_v4 {
        let header: &[u8; IPV4_HEADER_LEN] = packet.first_chunk().ok_or(NeighborDrop::Truncated)?;
        if header[0] >> 4 != 4 {
            return Err(NeighborDrop::Malformed);
        }
        Ok(Glance {
            destination: mapped_v4(be32(header, 16)),
            protocol: header[9],
            is_fragment: be16(header, 6) & 0x3fff != 0,
        })
    } else {
        let header: &[u8; IPV6_HEADER_LEN] = packet.first_chunk().ok_or(NeighborDrop::Truncated)?;
        if header[0] >> 4 != 6 {
            return Err(NeighborDrop::Malformed);
        }
        let destination = native(be128(header, 24))?;
        Ok(Glance { destination, protocol: header[6], is_fragment: header[6] == FRAGMENT })
    }
}

/// An address of an IPv6 header, which is not IPv4's: mapped addresses are never seen on a wire (RFC 6890 section 2.2.3,
/// table 20), and here would be taken for IPv4's own.
pub(super) fn native(address: u128) -> Result<u128, NeighborDrop> {
    if is_v4(address) { Err(NeighborDrop::Malformed) } else { Ok(address) }
}

/// Where a packet that the lane made goes to.
pub(super) fn destination(packet: &[u8]) -> Result<u128, NeighborDrop> {
    match packet.first().ok_or(NeighborDrop::Truncated)? >> 4 {
        4 if packet.len() >= IPV4_HEADER_LEN => Ok(mapped_v4(be32(packet, 16))),
        6 if packet.len() >= IPV6_HEADER_LEN => Ok(be128(packet, 24)),
        _ => Err(NeighborDrop::Malformed),
    }
}

/// A whole packet, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) source: u128,
    pub(super) destination: u128,
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    /// From the header to the payload's end, without padding.
    pub(super) whole: &'a [u8],
    /// What the protocol carries.
    pub(super) payload: &'a [u8],
}

impl Packet<'_> {
    pub(super) fn is_v4(&self) -> bool {
        is_v4(self.destination)
    }

    /// Whether the payload's checksum holds: summed alone for ICMP, with the pseudo-header for all others (RFC 8200
    /// section 8.1).
    pub(super) fn checksum_holds(&self) -> bool {
        let pseudo = if self.protocol == ICMP {
            0
        } else {
            pseudo_header_sum(self.source, self.destination, self.protocol, self.payload.len())
        };
        fold(pseudo + sum(self.payload)) == 0xffff
    }
}

/// Reads a packet: lengths, the IPv4 header's checksum, and past the IPv6 extension headers that mean nothing to a
/// host.
pub(super) fn parse(packet: &[u8]) -> Result<Packet<'_>, NeighborDrop> {
    match packet.first().ok_or(NeighborDrop::Truncated)? >> 4 {
        4 => parse_v4(packet),
        6 => parse_v6(packet),
        _ => Err(NeighborDrop::NotIp),
    }
}

fn parse_v4(packet: &[u8]) -> Result<Packet<'_>, NeighborDrop> {
    let header_len = usize::from(packet[0] & 15) * 4;
    if header_len < IPV4_HEADER_LEN {
        return Err(NeighborDrop::Malformed);
    }
    let header = packet.get(..header_len).ok_or(NeighborDrop::Truncated)?;
    let total_len = usize::from(be16(header, 2));
    if total_len < header_len {
        return Err(NeighborDrop::Malformed);
    }
    let whole = packet.get(..total_len).ok_or(NeighborDrop::Truncated)?;
    if fold(sum(header)) != 0xffff {
        return Err(NeighborDrop::Checksum);
    }
    if be16(header, 6) & 0x3fff != 0 {
        return Err(NeighborDrop::Fragment);
    }
    Ok(Packet {
        source: mapped_v4(be32(header, 12)),
        destination: mapped_v4(be32(header, 16)),
        protocol: header[9],
        hop_limit: header[8],
        whole,
        payload: &whole[header_len..],
    })
}

fn parse_v6(packet: &[u8]) -> Result<Packet<'_>, NeighborDrop> {
    let header = packet.get(..IPV6_HEADER_LEN).ok_or(NeighborDrop::Truncated)?;
    let end_at = IPV6_HEADER_LEN + usize::from(be16(header, 4));
    let whole = packet.get(..end_at).ok_or(NeighborDrop::Truncated)?;
    let mut protocol = header[6];
    let mut payload = &whole[IPV6_HEADER_LEN..];
    for _ in 0..IPV6_EXTENSIONS_MAX {
        match protocol {
            HOP_BY_HOP | DESTINATION_OPTIONS => {
                let &[next, len, ..] = payload else { return Err(NeighborDrop::Truncated) };
                payload = payload.get((usize::from(len) + 1) * 8..).ok_or(NeighborDrop::Truncated)?;
                protocol = next;
            }
            FRAGMENT => return Err(NeighborDrop::Fragment),
            _ => break,
        }
    }
    Ok(Packet {
        source: native(be128(header, 8))?,
        destination: native(be128(header, 24))?,
        protocol,
        hop_limit: header[7],
        whole,
        payload,
    })
}

/// The header of a packet that the card writes by itself.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) source: u128,
    pub(super) destination: u128,
    /// ICMP, `ICMPv6` or UDP.
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    /// Whether routers are to look at it too (RFC 2711); IPv6 only.
    pub(super) alerts: bool,
}

/// A hop-by-hop header with the router alert of MLD (RFC 2711 section 2.1), padded to 8 bytes.
const ROUTER_ALERT: [u8; 8] = [ICMPV6, 0, 5, 2, 0, 0, 1, 0];

/// Writes a packet into `frame`: the header, then `parts` one behind the other, then the checksum into its place. What
/// is longer than a frame is cut by the caller.
pub(super) fn write(frame: &mut Frame, head: &Head, parts: &[&[u8]]) {
    let payload_len: usize = parts.iter().map(|part| part.len()).sum();
    let payload_at = if is_v4(head.destination) {
        let len = IPV4_HEADER_LEN + payload_len;
        frame.set_len(len);
        let header = &mut frame.bytes_mut()[..IPV4_HEADER_LEN];
        header.copy_from_slice(&[
            0x45,
            0,
            0,
            0,
            0,
            0,
            0x40,
            0,
            head.hop_limit,
            head.protocol,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        header[12..16].copy_from_slice(&(head.source as u32).to_be_bytes());
        header[16..20].copy_from_slice(&(head.destination as u32).to_be_bytes());
        let checksum = !fold(sum(header));
        header[10..12].copy_from_slice(&checksum.to_ne_bytes());
        IPV4_HEADER_LEN
    } else {
        let extension: &[u8] = if head.alerts { &ROUTER_ALERT } else { &[] };
        let next = if head.alerts { HOP_BY_HOP } else { head.protocol };
        let payload_at = IPV6_HEADER_LEN + extension.len();
        frame.set_len(payload_at + payload_len);
        let header = &mut frame.bytes_mut()[..payload_at];
        header[..4].copy_from_slice(&[0x60, 0, 0, 0]);
        header[4..6].copy_from_slice(&((extension.len() + payload_len) as u16).to_be_bytes());
        header[6..8].copy_from_slice(&[next, head.hop_limit]);
        header[8..24].copy_from_slice(&head.source.to_be_bytes());
        header[24..40].copy_from_slice(&head.destination.to_be_bytes());
        header[40..].copy_from_slice(extension);
        payload_at
    };
    let payload = &mut frame.bytes_mut()[payload_at..];
    let mut at = 0;
    for part in parts {
        payload[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    let checksum_at = if head.protocol == UDP { 6 } else { 2 };
    payload[checksum_at..checksum_at + 2].fill(0);
    let pseudo = if head.protocol == ICMP {
        0
    } else {
        pseudo_header_sum(head.source, head.destination, head.protocol, payload.len())
    };
    let checksum = match !fold(pseudo + sum(payload)) {
        // Zero says that there is none (RFC 768).
        0 if head.protocol == UDP => 0xffff,
        checksum => checksum,
    };
    payload[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_ne_bytes());
}

/// The pseudo-header's sum (RFC 768; RFC 8200 section 8.1).
fn pseudo_header_sum(source: u128, destination: u128, protocol: u8, payload_len: usize) -> u64 {
    let addresses = if is_v4(destination) {
        sum(&(source as u32).to_be_bytes()) + sum(&(destination as u32).to_be_bytes())
    } else {
        sum(&source.to_be_bytes()) + sum(&destination.to_be_bytes())
    };
    addresses + sum(&(payload_len as u32).to_be_bytes()) + sum(&[0, 0, 0, protocol])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_net::frame::FramePool;

    use super::*;

    fn written(head: &Head, parts: &[&[u8]]) -> Vec<u8> {
        let mut frame = FramePool::new(1).take().unwrap();
        write(&mut frame, head, parts);
        frame.bytes().to_vec()
    }

    fn v4(protocol: u8) -> Head {
        Head { source: 0xffff_0a00_0001, destination: 0xffff_0a00_0002, protocol, hop_limit: 64, alerts: false }
    }

    fn v6(protocol: u8, alerts: bool) -> Head {
        Head { source: 0xfd00 << 112 | 1, destination: 0xfd00 << 112 | 2, protocol, hop_limit: 255, alerts }
    }

    #[test]
    fn packets_are_read_as_they_are_written() {
        for head in [v4(ICMP), v4(UDP), v6(ICMPV6, false), v6(ICMPV6, true), v6(UDP, false)] {
            // An odd length, and padding behind.
            let mut bytes = written(&head, &[&[8, 0, 0, 0], &[1, 2, 3, 4, 5, 6, 7]]);
            let len = bytes.len();
            bytes.extend([0xee; 9]);
            let packet = parse(&bytes).unwrap();
            assert_eq!((packet.source, packet.destination), (head.source, head.destination));
            assert_eq!((packet.protocol, packet.hop_limit), (head.protocol, head.hop_limit));
            assert_eq!((packet.whole.len(), packet.payload.len()), (len, 11));
            assert!(packet.checksum_holds());
            let at = len - 1;
            bytes[at] ^= 1;
            assert!(!parse(&bytes).unwrap().checksum_holds());
        }
    }

    #[test]
    fn an_ipv4_header_is_as_rfc_791_says() {
        assert_eq!(
            written(&v4(ICMP), &[&[8, 0, 0, 0, 0, 1, 0, 1]]),
            [
                0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0x26, 0xdf, 10, 0, 0, 1, 10, 0, 0, 2, // header
                8, 0, 0xf7, 0xfd, 0, 1, 0, 1, // echo request
            ]
        );
    }

    #[test]
    fn what_is_cut_or_bent_is_refused() {
        for (head, header_len) in [(v4(ICMP), 20), (v6(ICMPV6, true), 48)] {
            let whole = written(&head, &[&[8, 0, 0, 0, 0, 1, 0, 1]]);
            for len in 0..whole.len() {
                assert_eq!(parse(&whole[..len]).err(), Some(NeighborDrop::Truncated), "{len} of {header_len}");
            }
        }
        let bent = |at: usize, value: u8| {
            let mut bytes = written(&v4(ICMP), &[&[8, 0, 0, 0, 0, 1, 0, 1]]);
            bytes[at] = value;
            parse(&bytes).err()
        };
        assert_eq!(bent(0, 0x44), Some(NeighborDrop::Malformed), "header of 16 bytes");
        assert_eq!(bent(0, 0x55), Some(NeighborDrop::NotIp), "version 5");
        assert_eq!(bent(3, 19), Some(NeighborDrop::Malformed), "shorter than its header");
        assert_eq!(bent(8, 63), Some(NeighborDrop::Checksum));
    }

    #[test]
    fn fragments_and_long_chains_of_extensions_are_not_followed() {
        let mut fragment = written(&v4(ICMP), &[&[8, 0, 0, 0]]);
        fragment[6] = 0x20;
        fragment[10..12].fill(0);
        let checksum = !fold(sum(&fragment[..20]));
        fragment[10..12].copy_from_slice(&checksum.to_ne_bytes());
        assert_eq!(parse(&fragment).err(), Some(NeighborDrop::Fragment));

        let chain = |count: usize, last: u8| {
            let mut bytes = written(&v6(ICMPV6, false), &[&vec![0; 8 * count + 8]]);
            bytes[6] = DESTINATION_OPTIONS;
            for n in 0..count {
                bytes[40 + 8 * n] = if n + 1 < count { DESTINATION_OPTIONS } else { last };
                bytes[41 + 8 * n] = 0;
            }
            bytes
        };
        let protocol = |bytes: &[u8]| parse(bytes).map(|packet| packet.protocol);
        assert_eq!(protocol(&chain(IPV6_EXTENSIONS_MAX, ICMPV6)), Ok(ICMPV6));
        assert_eq!(protocol(&chain(IPV6_EXTENSIONS_MAX + 1, ICMPV6)), Ok(DESTINATION_OPTIONS), "left as it is");
        assert_eq!(protocol(&chain(1, FRAGMENT)).err(), Some(NeighborDrop::Fragment));
    }

    #[test]
    fn ipv6_with_a_mapped_address_is_not_ipv4() {
        let whole = written(&v6(ICMPV6, false), &[&[128, 0, 0, 0, 0, 1, 0, 1]]);
        assert!(parse(&whole).is_ok() && glance(&whole, false).is_ok());
        for at in [8, 24] {
            let mut mapped = whole.clone();
            mapped[at..at + 16].copy_from_slice(&mapped_v4(0x0a00_0001).to_be_bytes());
            assert_eq!(parse(&mapped).err(), Some(NeighborDrop::Malformed));
            assert_eq!(glance(&mapped, false).is_err(), at == 24);
        }
    }

    #[test]
    fn hosts_are_told_from_all_else() {
        for (address, expected) in [
            (UNSPECIFIED, false),
            (1, false),
            (ALL_NODES, false),
            (0xfe80 << 112 | 1, true),
            (UNSPECIFIED_V4, false),
            (BROADCAST_V4, false),
            (0xffff_7f00_0001, false),
            (0xffff_e000_0001, false),
            (0xffff_0a00_0001, true),
        ] {
            assert_eq!(is_host(address), expected, "{address:x}");
        }
    }
}
