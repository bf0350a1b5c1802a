//! Packets as a peer writes them, and a judge of what the card writes: nothing here is shared with the code under test.

use std::net::IpAddr;

/// The protocols that the card speaks over IP.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// A TCP segment of a peer.
#[derive(Clone, Copy, Debug)]
pub struct TcpPacket<'a> {
    /// The peer's end.
    pub source: (IpAddr, u16),
    /// The card's end; of the same family.
    pub destination: (IpAddr, u16),
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgement number.
    pub ack: u32,
    /// The flags.
    pub flags: u8,
    /// The window, unscaled.
    pub window: u16,
    /// Options, cut to whole words and to 40 bytes.
    pub options: &'a [u8],
    /// What it carries.
    pub payload: &'a [u8],
}

impl TcpPacket<'_> {
    /// The IP packet, checksums filled.
    pub fn bytes(&self) -> Vec<u8> {
        let options = &self.options[..self.options.len().min(40) / 4 * 4];
        let tcp_len = 20 + options.len() + self.payload.len();
        let mut packet = ip_header(self.source.0, self.destination.0, TCP, tcp_len);
        packet.extend(self.source.1.to_be_bytes());
        packet.extend(self.destination.1.to_be_bytes());
        packet.extend(self.seq.to_be_bytes());
        packet.extend(self.ack.to_be_bytes());
        packet.extend([(5 + options.len() as u8 / 4) << 4, self.flags]);
        packet.extend(self.window.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(options);
        packet.extend(self.payload);
        repair(&mut packet);
        packet
    }
}

/// An IP header without its checksum; the ends are of one family.
pub(super) fn ip_header(source: IpAddr, destination: IpAddr, protocol: u8, payload_len: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(40);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let [high, low] = (20 + payload_len as u16).to_be_bytes();
            header.extend([0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [high, low] = (payload_len as u16).to_be_bytes();
            header.extend([0x60, 0, 0, 0, high, low, protocol, 255]);
            header.extend(source.octets());
            header.extend(destination.octets());
        }
        _ => panic!("two families"),
    }
    header
}

/// An Ethernet frame around a packet, with a tag if `vlan` is given.
pub fn ethernet(destination: [u8; 6], source: [u8; 6], vlan: Option<u16>, kind: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = [destination, source].concat();
    if let Some(vlan) = vlan {
        frame.extend(0x8100_u16.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(packet);
    frame
}

/// The Ethernet type of an IP packet.
pub(super) fn kind_of(packet: &[u8]) -> u16 {
    if packet.first().is_some_and(|first| first >> 4 == 6) { 0x86dd } else { 0x0800 }
}

/// Where the parts of an IP packet lie.
struct Parts {
    is_v4: bool,
    protocol: u8,
    /// Where the payload starts, behind extension headers.
    payload_at: usize,
    end_at: usize,
}

/// Finds a packet's parts; `None` if it contradicts itself.
fn parts(packet: &[u8]) -> Option<Parts> {
    let word = |at: usize| Some(usize::from(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?)));
    match packet.first()? >> 4 {
        4 => {
            let payload_at = usize::from(packet[0] & 15) * 4;
            let end_at = word(2)?;
            let fits = payload_at >= 20 && end_at >= payload_at && end_at <= packet.len();
            fits.then(|| Parts { is_v4: true, protocol: packet[9], payload_at, end_at })
        }
        6 => {
            let end_at = 40 + word(4)?;
            let (mut protocol, mut payload_at) = (*packet.get(6)?, 40);
            for _ in 0..8 {
                if matches!(protocol, 0 | 60) {
                    protocol = *packet.get(payload_at)?;
                    payload_at += (usize::from(*packet.get(payload_at + 1)?) + 1) * 8;
                }
            }
            let fits = payload_at <= end_at && end_at <= packet.len();
            fits.then_some(Parts { is_v4: false, protocol, payload_at, end_at })
        }
        _ => None,
    }
}

/// Where a protocol's checksum stands.
fn checksum_at(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        ICMP | ICMPV6 => Some(2),
        _ => None,
    }
}

/// The one's complement sum over big-endian words (RFC 1071).
fn folded_sum(pieces: &[&[u8]]) -> u16 {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2));
    let mut total: u64 = words.map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| u64::from(*low))).sum();
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

fn payload_sum(packet: &[u8], parts: &Parts) -> u16 {
    let payload = &packet[parts.payload_at..parts.end_at];
    // ICMP of IPv4 sums itself alone, whatever it is carried in.
    if parts.protocol == ICMP {
        return folded_sum(&[payload]);
    }
    let addresses = if parts.is_v4 { &packet[12..20] } else { &packet[8..40] };
    folded_sum(&[addresses, &(payload.len() as u32).to_be_bytes(), &[0, parts.protocol], payload])
}

/// Fills the checksums of an IP packet as far as it has any, so that what was bent gets past them.
pub fn repair(packet: &mut [u8]) {
    let Some(parts) = parts(packet) else { return };
    if parts.is_v4 {
        packet[10..12].fill(0);
        let sum = folded_sum(&[&packet[..parts.payload_at]]);
        packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
    }
    let Some(at) = checksum_at(parts.protocol).map(|at| parts.payload_at + at) else { return };
    if at + 2 > parts.end_at {
        return;
    }
    packet[at..at + 2].fill(0);
    let checksum = match !payload_sum(packet, &parts) {
        0 if parts.protocol == UDP => 0xffff,
        checksum => checksum,
    };
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Whether the checksums of a packet whose lengths fit hold.
pub(super) fn sums_hold(packet: &[u8]) -> bool {
    let header_holds = |parts: &Parts| !parts.is_v4 || folded_sum(&[&packet[..parts.payload_at]]) == 0xffff;
    parts(packet).is_some_and(|parts| header_holds(&parts) && payload_sum(packet, &parts) == 0xffff)
}

/// Asserts that a packet which the card sends is whole, not too long and summed right; returns its protocol.
pub(super) fn assert_whole(packet: &[u8], mtu: usize) -> u8 {
    let parts = parts(packet).expect("the card sends a packet whose lengths fit");
    assert_eq!(parts.end_at, packet.len(), "nothing follows the card's packet");
    assert!(packet.len() <= mtu, "{} bytes on a link of {mtu}", packet.len());
    if parts.is_v4 {
        assert_eq!(folded_sum(&[&packet[..parts.payload_at]]), 0xffff, "the header's checksum");
        assert_eq!(parts.payload_at, 20, "no options");
    }
    assert!(checksum_at(parts.protocol).is_some(), "the card sends no protocol {}", parts.protocol);
    assert_eq!(payload_sum(packet, &parts), 0xffff, "the checksum of protocol {}", parts.protocol);
    parts.protocol
}

/// The ends of an IP packet whose lengths fit: source, destination.
pub(super) fn ends(packet: &[u8]) -> (IpAddr, IpAddr) {
    let v4 = |at: usize| IpAddr::from(*packet[at..].first_chunk::<4>().unwrap());
    let v6 = |at: usize| IpAddr::from(*packet[at..].first_chunk::<16>().unwrap());
    if packet[0] >> 4 == 4 { (v4(12), v4(16)) } else { (v6(8), v6(24)) }
}
