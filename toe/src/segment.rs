//! The edge's view of a TCP segment inside an IP packet: what it needs to steer, guard and rewrite, and no more.
//!
//! (RFC 791, RFC 8200, RFC 9293 section 3.1.) Every byte comes from a stranger; nothing here panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hpb_net::frame::{Frame, Partial};

use crate::stats::Drop;

/// FIN: the sender is done.
pub const FIN: u8 = 0x01;
/// SYN: the sequence number is the first.
pub const SYN: u8 = 0x02;
/// RST: there is no such session.
pub const RST: u8 = 0x04;
/// ACK: the acknowledgement number holds.
pub const ACK: u8 = 0x10;

pub(crate) const PROTOCOL_TCP: u8 = 6;
pub(crate) const IPV6_HEADER_LEN: usize = 40;
const TCP_HEADER_LEN_MIN: usize = 20;

/// A session's two ends as one comparable value; IPv4 is mapped into IPv6 (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowKey {
    /// The peer's address.
    pub remote: u128,
    /// The card's address.
    pub local: u128,
    /// The peer's port, then the card's.
    pub ports: (u16, u16),
}

impl FlowKey {
    /// The key of a session between two ends.
    pub fn new(remote: SocketAddr, local: SocketAddr) -> Self {
        Self { remote: mapped(remote.ip()), local: mapped(local.ip()), ports: (remote.port(), local.port()) }
    }

    /// The peer's end.
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(unmapped(self.remote), self.ports.0)
    }

    /// Both ends as bytes, for a keyed hash.
    pub fn to_bytes(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..16].copy_from_slice(&self.remote.to_be_bytes());
        bytes[16..32].copy_from_slice(&self.local.to_be_bytes());
        bytes[32..34].copy_from_slice(&self.ports.0.to_be_bytes());
        bytes[34..].copy_from_slice(&self.ports.1.to_be_bytes());
        bytes
    }

    /// The card's end.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(unmapped(self.local), self.ports.1)
    }
}

/// What the edge reads of one received segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Whose it is, seen from the receiver.
    pub flow: FlowKey,
    /// Where the TCP header starts.
    pub tcp_at: usize,
    /// Where the payload starts.
    pub payload_at: usize,
    /// Where the packet ends (bytes after it are padding).
    pub end_at: usize,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgement number.
    pub ack: u32,
    /// The flags.
    pub flags: u8,
    /// The window as it stands in the header, unscaled.
    pub window: u16,
}

impl Segment {
    /// The payload's length in bytes.
    pub fn payload_len(&self) -> u32 {
        (self.end_at - self.payload_at) as u32
    }

    /// The sequence space it takes: payload, SYN and FIN.
    pub fn sequence_len(&self) -> u32 {
        self.payload_len() + u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0)
    }

    /// Whether any of `flags` is set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

/// Reads a packet.
///
/// # Errors
/// Why the card does not take it.
pub fn parse(packet: &[u8]) -> Result<Segment, Drop> {
    let (remote, local, tcp_at, end_at) = match packet.first().ok_or(Drop::Truncated)? >> 4 {
        4 => parse_ipv4(packet)?,
        6 => parse_ipv6(packet)?,
        _ => return Err(Drop::NotIp),
    };
    let tcp = packet.get(tcp_at..end_at).ok_or(Drop::Truncated)?;
    if tcp.len() < TCP_HEADER_LEN_MIN {
        return Err(Drop::Truncated);
    }
    let header_len = usize::from(tcp[12] >> 4) * 4;
    if header_len < TCP_HEADER_LEN_MIN || header_len > tcp.len() {
        return Err(Drop::Malformed);
    }
    Ok(Segment {
        flow: FlowKey { remote, local, ports: (be16(tcp, 0), be16(tcp, 2)) },
        tcp_at,
        payload_at: tcp_at + header_len,
        end_at,
        seq: be32(tcp, 4),
        ack: be32(tcp, 8),
        flags: tcp[13],
        window: be16(tcp, 14),
    })
}

fn parse_ipv4(packet: &[u8]) -> Result<(u128, u128, usize, usize), Drop> {
    let header_len = usize::from(packet[0] & 15) * 4;
    if packet.len() < 20 || packet.len() < header_len {
        return Err(Drop::Truncated);
    }
    let total_len = usize::from(be16(packet, 2));
    if header_len < 20 || total_len < header_len {
        return Err(Drop::Malformed);
    }
    if total_len > packet.len() {
        return Err(Drop::Truncated);
    }
    // More fragments, or not the first one.
    if be16(packet, 6) & 0x3fff != 0 {
        return Err(Drop::Fragment);
    }
    if packet[9] != PROTOCOL_TCP {
        return Err(Drop::NotTcp);
    }
    Ok((mapped_v4(be32(packet, 12)), mapped_v4(be32(packet, 16)), header_len, total_len))
}

fn parse_ipv6(packet: &[u8]) -> Result<(u128, u128, usize, usize), Drop> {
    if packet.len() < IPV6_HEADER_LEN {
        return Err(Drop::Truncated);
    }
    let end_at = IPV6_HEADER_LEN + usize::from(be16(packet, 4));
    if end_at > packet.len() {
        return Err(Drop::Truncated);
    }
    if packet[6] != PROTOCOL_TCP {
        return Err(Drop::NotTcp);
    }
    let (remote, local) = (be128(packet, 8), be128(packet, 24));
    // Never seen on a wire (RFC 6890 section 2.2.3, table 20), and in a flow's key it would name an IPv4 session.
    if is_mapped(remote) || is_mapped(local) {
        return Err(Drop::Malformed);
    }
    Ok((remote, local, IPV6_HEADER_LEN, end_at))
}

/// Whether the checksums of a packet that [`parse`] took hold: the IPv4 header's and TCP's.
pub fn checksums_hold(packet: &[u8], segment: &Segment) -> bool {
    let is_v4 = packet[0] >> 4 == 4;
    if is_v4 && fold(sum(&packet[..segment.tcp_at])) != 0xffff {
        return false;
    }
    fold(pseudo_header_sum(packet, segment.end_at - segment.tcp_at) + sum(&packet[segment.tcp_at..segment.end_at]))
        == 0xffff
}

/// Fills the checksums of a packet that smoltcp emitted, without options of IP, in place.
pub fn fill_checksums(packet: &mut [u8]) {
    let tcp_at = fill_ip_checksum(packet);
    packet[tcp_at + 16..tcp_at + 18].fill(0);
    let tcp_len = packet.len() - tcp_at;
    let checksum = !fold(pseudo_header_sum(packet, tcp_len) + sum(&packet[tcp_at..]));
    packet[tcp_at + 16..tcp_at + 18].copy_from_slice(&checksum.to_ne_bytes());
}

/// Returns where the TCP header starts.
fn fill_ip_checksum(packet: &mut [u8]) -> usize {
    if packet[0] >> 4 != 4 {
        return IPV6_HEADER_LEN;
    }
    packet[10..12].fill(0);
    let header = !fold(sum(&packet[..20]));
    packet[10..12].copy_from_slice(&header.to_ne_bytes());
    20
}

/// Completes a packet that smoltcp emitted as far as a port that sums the segment itself wants it: the IPv4 header's
/// checksum, and in TCP's field the pseudo-header's sum. Says where the rest goes.
pub fn fill_partial_checksum(packet: &mut [u8]) -> Partial {
    let tcp_at = fill_ip_checksum(packet);
    let sum = fold(pseudo_header_sum(packet, packet.len() - tcp_at));
    packet[tcp_at + 16..tcp_at + 18].copy_from_slice(&sum.to_ne_bytes());
    Partial { start: tcp_at as u16, offset: 16 }
}

/// What the card itself says in a session's name, without the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spoken {
    /// Whose, seen from the card.
    pub flow: FlowKey,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgement number; zero where ACK is not among the flags.
    pub ack: u32,
    /// The flags.
    pub flags: u8,
    /// The window, unscaled.
    pub window: u16,
    /// The segment size option (RFC 9293 section 3.7.1), for a SYN.
    pub mss: Option<u16>,
}

impl Spoken {
    /// The reset that answers a segment of no session (RFC 9293 section 3.10.7.1).
    pub fn reset(segment: &Segment) -> Self {
        let (seq, ack, flags) = if segment.has(ACK) {
            (segment.ack, 0, RST)
        } else {
            (0, segment.seq.wrapping_add(segment.sequence_len()), RST | ACK)
        };
        Self { flow: segment.flow, seq, ack, flags, window: 0, mss: None }
    }

    /// Writes it from the card to the peer, checksums filled.
    pub fn write(&self, frame: &mut Frame) {
        self.write_between(self.flow.local(), self.flow.remote(), frame);
    }

    /// Writes it as if the peer had sent it, for the engine; its checksums need not hold.
    pub fn write_as_received(&self, frame: &mut Frame) {
        self.write_between(self.flow.remote(), self.flow.local(), frame);
    }

    fn write_between(&self, source: SocketAddr, destination: SocketAddr, frame: &mut Frame) {
        let option = self.mss.map(|mss| [2, 4, mss.to_be_bytes()[0], mss.to_be_bytes()[1]]);
        let option = option.as_ref().map_or(&[][..], |option| &option[..]);
        let tcp_len = TCP_HEADER_LEN_MIN + option.len();
        let (ip, tcp_at) = match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let len = (20 + tcp_len) as u8;
                let mut ip = [0; IPV6_HEADER_LEN];
                ip[..12].copy_from_slice(&[0x45, 0, 0, len, 0, 0, 0x40, 0, 64, PROTOCOL_TCP, 0, 0]);
                ip[12..16].copy_from_slice(&source.octets());
                ip[16..20].copy_from_slice(&destination.octets());
                (ip, 20)
            }
            (source, destination) => {
                let mut ip = [0; IPV6_HEADER_LEN];
                ip[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, tcp_len as u8, PROTOCOL_TCP, 64]);
                ip[8..24].copy_from_slice(&mapped(source).to_be_bytes());
                ip[24..40].copy_from_slice(&mapped(destination).to_be_bytes());
                (ip, IPV6_HEADER_LEN)
            }
        };
        frame.set_len(tcp_at + tcp_len);
        let packet = frame.bytes_mut();
        packet[..tcp_at].copy_from_slice(&ip[..tcp_at]);
        let tcp = &mut packet[tcp_at..];
        tcp[..2].copy_from_slice(&source.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&destination.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.to_be_bytes());
        tcp[12..14].copy_from_slice(&[(tcp_len as u8 / 4) << 4, self.flags]);
        tcp[14..16].copy_from_slice(&self.window.to_be_bytes());
        tcp[16..20].fill(0);
        tcp[20..].copy_from_slice(option);
        fill_checksums(packet);
    }
}

/// Puts another sequence number into a packet; its checksum has to be filled anew.
pub fn set_seq(packet: &mut [u8], segment: &Segment, seq: u32) {
    packet[segment.tcp_at + 4..segment.tcp_at + 8].copy_from_slice(&seq.to_be_bytes());
}

/// Cuts a received segment's payload down to `len` bytes, and its FIN with the rest. The checksums no longer hold: nothing
/// behind the edge looks at them.
pub fn cut_payload(packet: &mut [u8], segment: &mut Segment, len: usize) {
    if segment.payload_at + len >= segment.end_at {
        return;
    }
    set_payload_len(packet, segment, len);
    set_flags(packet, segment, segment.flags & !FIN);
}

/// Cuts a segment that the engine emitted down to the sequence numbers `from..to` of its own; the checksums have to be
/// filled anew. Returns the packet's new length in bytes.
pub fn keep(packet: &mut [u8], segment: &mut Segment, from: u32, to: u32) -> usize {
    let end = segment.seq.wrapping_add(segment.sequence_len());
    if to != end {
        cut_payload(packet, segment, to.wrapping_sub(segment.seq) as usize);
    }
    let skipped_len = (from.wrapping_sub(segment.seq) as usize).min(segment.end_at - segment.payload_at);
    if skipped_len > 0 {
        packet.copy_within(segment.payload_at + skipped_len..segment.end_at, segment.payload_at);
        segment.seq = from;
        set_seq(packet, segment, from);
        let len = segment.end_at - segment.payload_at - skipped_len;
        set_payload_len(packet, segment, len);
    }
    segment.end_at
}

fn set_payload_len(packet: &mut [u8], segment: &mut Segment, len: usize) {
    segment.end_at = segment.payload_at + len;
    let is_v4 = packet[0] >> 4 == 4;
    let (field_at, value) = if is_v4 { (2, segment.end_at) } else { (4, segment.end_at - IPV6_HEADER_LEN) };
    packet[field_at..field_at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}

/// Puts other flags into a received segment.
pub fn set_flags(packet: &mut [u8], segment: &mut Segment, flags: u8) {
    segment.flags = flags;
    packet[segment.tcp_at + 13] = flags;
}

/// Puts another acknowledgement number into a received segment. The checksum no longer holds: nothing behind the edge
/// looks at it.
pub fn set_ack(packet: &mut [u8], segment: &Segment, ack: u32) {
    packet[segment.tcp_at + 8..segment.tcp_at + 12].copy_from_slice(&ack.to_be_bytes());
}

/// Puts another window into a received segment. The checksum no longer holds: nothing behind the edge looks at it.
pub fn set_window(packet: &mut [u8], segment: &Segment, window: u16) {
    packet[segment.tcp_at + 14..segment.tcp_at + 16].copy_from_slice(&window.to_be_bytes());
}

/// What a SYN says in its options, as far as the card cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SynOptions {
    /// The largest segment that the peer takes (RFC 9293 section 3.7.1).
    pub mss: Option<u16>,
    /// By how many bits it shifts its windows (RFC 7323 section 2), held at 14.
    pub window_scale: Option<u8>,
    /// Whether it will say what it has beyond what it acknowledges (RFC 2018 section 2).
    pub has_sack: bool,
}

/// The options of a SYN. What breaks their format ends them.
pub fn syn_options(packet: &[u8], segment: &Segment) -> SynOptions {
    let mut found = SynOptions::default();
    for option in options(packet, segment) {
        match option {
            (2, [high, low]) => found.mss = Some(u16::from_be_bytes([*high, *low])),
            (3, [shift]) => found.window_scale = Some((*shift).min(14)),
            (4, []) => found.has_sack = true,
            _ => {}
        }
    }
    found
}

/// What the sender of a segment has beyond what it acknowledges: blocks from their first number to the one after their
/// last (RFC 2018 section 3).
pub fn sack_blocks(packet: &[u8], segment: &Segment) -> impl Iterator<Item = (u32, u32)> {
    let blocks =
        options(packet, segment).filter(|(kind, _)| *kind == 5).flat_map(|(_, blocks)| blocks.as_chunks::<8>().0);
    blocks.map(|block| (be32(block, 0), be32(block, 4)))
}

/// A segment's options but for padding: kind and value. What breaks their format ends them.
fn options<'a>(packet: &'a [u8], segment: &Segment) -> impl Iterator<Item = (u8, &'a [u8])> {
    let mut rest = &packet[segment.tcp_at + TCP_HEADER_LEN_MIN..segment.payload_at];
    std::iter::from_fn(move || {
        while let [1, after @ ..] = rest {
            rest = after;
        }
        let [kind, len, ..] = *rest else { return None };
        if kind == 0 {
            return None;
        }
        let (option, after) = rest.split_at_checked(usize::from(len).max(2))?;
        rest = after;
        Some((kind, &option[2..]))
    })
}

// Sums are over native-endian words: one's complement addition commutes with swapping bytes (RFC 1071 section 2).
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let mut total = 0_u64;
    for word in &mut words {
        total += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let rest = words.remainder();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total + u64::from(u32::from_ne_bytes(last))
}

fn pseudo_header_sum(packet: &[u8], tcp_len: usize) -> u64 {
    let addresses = if packet[0] >> 4 == 4 { &packet[12..20] } else { &packet[8..40] };
    let len = u32::try_from(tcp_len).unwrap_or(u32::MAX).to_be_bytes();
    let protocol = [0, 0, 0, PROTOCOL_TCP];
    sum(addresses) + sum(&len) + sum(&protocol)
}

pub(crate) fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn be128(bytes: &[u8], at: usize) -> u128 {
    let mut value = [0; 16];
    value.copy_from_slice(&bytes[at..at + 16]);
    u128::from_be_bytes(value)
}

pub(crate) fn mapped_v4(address: u32) -> u128 {
    0xffff_0000_0000 | u128::from(address)
}

pub(crate) fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => mapped_v4(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Whether an address is IPv4's, mapped into IPv6.
pub(crate) fn is_mapped(address: u128) -> bool {
    address >> 32 == 0xffff
}

pub(crate) fn unmapped(address: u128) -> IpAddr {
    if is_mapped(address) {
        IpAddr::V4(Ipv4Addr::from_bits(address as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(address))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    // A SYN from 10.0.0.2:1025 to 10.0.0.1:80 with MSS 1460, window scale 7; checksums filled by hand below.
    fn syn() -> Vec<u8> {
        let mut packet = vec![
            0x45, 0, 0, 48, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, // IPv4
            4, 1, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, 0x70, SYN, 0xff, 0xff, 0, 0, 0, 0, // TCP
            2, 4, 5, 0xb4, 1, 3, 3, 7, // options
        ];
        fill_checksums(&mut packet);
        packet
    }

    #[test]
    fn a_syn_is_read() {
        let packet = syn();
        let segment = parse(&packet).unwrap();
        assert_eq!(segment.flow.remote(), "10.0.0.2:1025".parse().unwrap());
        assert_eq!(segment.flow.local(), "10.0.0.1:80".parse().unwrap());
        assert_eq!((segment.seq, segment.sequence_len(), segment.window), (9, 1, 0xffff));
        assert_eq!(
            syn_options(&packet, &segment),
            SynOptions { mss: Some(1_460), window_scale: Some(7), has_sack: false }
        );
        assert!(checksums_hold(&packet, &segment));
    }

    /// A segment of ten bytes with FIN and these options.
    fn with_options(options: &[u8]) -> Vec<u8> {
        let header_len = 20 + options.len() as u8;
        let mut packet = vec![
            0x45,
            0,
            0,
            30 + header_len,
            0,
            0,
            0x40,
            0,
            64,
            6,
            0,
            0,
            10,
            0,
            0,
            2,
            10,
            0,
            0,
            1, // IPv4
            4,
            1,
            0,
            80,
            0,
            0,
            0,
            100,
            0,
            0,
            0,
            0,
            (header_len / 4) << 4,
            ACK | FIN,
            0xff,
            0xff,
            0,
            0,
            0,
            0, // TCP
        ];
        packet.extend_from_slice(options);
        packet.extend(0..10);
        fill_checksums(&mut packet);
        packet
    }

    #[test]
    fn sack_blocks_are_read_as_far_as_they_go() {
        let blocks = |options: &[u8]| {
            let packet = with_options(options);
            sack_blocks(&packet, &parse(&packet).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(blocks(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2]), [(1, 2)]);
        let two = [5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 9, 1, 1];
        assert_eq!(blocks(&two), [(1, 2), (u32::MAX, 9)]);
        assert_eq!(blocks(&[5, 9, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1]), [], "no whole block");
        for broken in [[5, 10, 0, 0], [5, 0, 1, 1], [0, 5, 10, 1], [1, 1, 1, 5], [8, 40, 1, 1]] {
            assert_eq!(blocks(&broken), [], "{broken:?}");
        }
        let syn = with_options(&[4, 2, 1, 1]);
        assert!(syn_options(&syn, &parse(&syn).unwrap()).has_sack);
    }

    #[test]
    fn a_part_of_a_segment_is_a_segment() {
        let kept = |from, to| {
            let mut packet = with_options(&[]);
            let mut segment = parse(&packet).unwrap();
            let len = keep(&mut packet, &mut segment, from, to);
            packet.truncate(len);
            fill_checksums(&mut packet);
            let read = parse(&packet).unwrap();
            assert!(checksums_hold(&packet, &read));
            assert_eq!((read.seq, read.flags, read.end_at), (segment.seq, segment.flags, segment.end_at));
            (read.seq, packet[read.payload_at..].to_vec(), read.has(FIN))
        };
        assert_eq!(kept(100, 111), (100, (0..10).collect(), true), "all of it");
        assert_eq!(kept(103, 111), (103, (3..10).collect(), true));
        assert_eq!(kept(103, 108), (103, (3..8).collect(), false));
        assert_eq!(kept(100, 101), (100, vec![0], false));
        assert_eq!(kept(110, 111), (110, vec![], true), "the FIN alone");
    }

    #[test]
    fn what_the_card_says_is_read_back() {
        for remote in ["10.0.0.2:9", "[2001:db8::2]:9"] {
            let remote: SocketAddr = remote.parse().unwrap();
            let local = if remote.is_ipv4() { "10.0.0.1:80" } else { "[2001:db8::1]:80" }.parse().unwrap();
            let flow = FlowKey::new(remote, local);
            let said = Spoken { flow, seq: 7, ack: 8, flags: SYN | ACK, window: 1_000, mss: Some(1_220) };
            let mut pool = hpb_net::FramePool::new(1);
            let mut frame = pool.take().unwrap();
            said.write(&mut frame);
            let segment = parse(frame.bytes()).unwrap();
            assert!(checksums_hold(frame.bytes(), &segment));
            assert_eq!(segment.flow, FlowKey::new(local, remote), "from the card, seen by the peer");
            assert_eq!((segment.seq, segment.ack, segment.flags, segment.window), (7, 8, SYN | ACK, 1_000));
            assert_eq!(syn_options(frame.bytes(), &segment).mss, Some(1_220));
            said.write_as_received(&mut frame);
            assert_eq!(parse(frame.bytes()).unwrap().flow, flow);
            // What is left to the port comes to the same checksum.
            let whole = frame.bytes().to_vec();
            let partial = fill_partial_checksum(frame.bytes_mut());
            let (start, at) = (partial.start as usize, (partial.start + partial.offset) as usize);
            let checksum = !fold(sum(&frame.bytes()[start..]));
            assert_eq!(checksum.to_ne_bytes(), whole[at..at + 2]);
        }
    }

    #[test]
    fn the_checksum_of_rfc_1071_section_3() {
        // The RFC's example sums 0001 f203 f4f5 f6f7 to ddf2.
        let total = fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]));
        assert_eq!(u16::from_be(total), 0xddf2);
    }

    #[test]
    fn every_flipped_bit_of_a_segment_is_seen() {
        let good = syn();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let taken = parse(&bad).is_ok_and(|segment| checksums_hold(&bad, &segment));
            assert!(!taken, "bit {bit}");
        }
    }

    #[test]
    fn a_payload_is_cut_with_its_fin() {
        for is_v6 in [false, true] {
            let (remote, local) = if is_v6 { ("[fd00::2]:9", "[fd00::1]:80") } else { ("10.0.0.2:9", "10.0.0.1:80") };
            let flow = FlowKey::new(remote.parse().unwrap(), local.parse().unwrap());
            let said = Spoken { flow, seq: 7, ack: 8, flags: ACK | FIN, window: 9, mss: None };
            let mut frame = hpb_net::FramePool::new(1).take().unwrap();
            said.write_as_received(&mut frame);
            let mut packet = frame.bytes().to_vec();
            packet.extend_from_slice(&[1; 50]);
            let (at, len) = if is_v6 { (4, 70_u16) } else { (2, 90) };
            packet[at..at + 2].copy_from_slice(&len.to_be_bytes());
            let mut segment = parse(&packet).unwrap();
            cut_payload(&mut packet, &mut segment, 50);
            assert!(segment.has(FIN), "all of it is left");
            cut_payload(&mut packet, &mut segment, 20);
            let again = parse(&packet).unwrap();
            assert_eq!((again.payload_len(), again.flags, again.end_at), (20, ACK, segment.end_at));
        }
    }

    #[test]
    fn fragments_and_other_protocols_are_not_taken() {
        let mut fragment = syn();
        fragment[6] = 0x20;
        assert_eq!(parse(&fragment).err(), Some(Drop::Fragment));
        let mut udp = syn();
        udp[9] = 17;
        assert_eq!(parse(&udp).err(), Some(Drop::NotTcp));
        assert_eq!(parse(&syn()[..39]).err(), Some(Drop::Truncated));
        assert_eq!(parse(&[]).err(), Some(Drop::Truncated));
    }

    #[test]
    fn ipv6_between_mapped_addresses_is_not_an_ipv4_session() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 20, PROTOCOL_TCP, 64];
        packet.extend((0xfd00_u128 << 112 | 2).to_be_bytes());
        packet.extend((0xfd00_u128 << 112 | 1).to_be_bytes());
        packet.extend(&syn()[20..40]);
        packet[52] = 0x50;
        assert!(parse(&packet).is_ok());
        for at in [8, 24] {
            let mut mapped = packet.clone();
            mapped[at..at + 16].copy_from_slice(&mapped_v4(0x0a00_0002).to_be_bytes());
            assert_eq!(parse(&mapped).err(), Some(Drop::Malformed));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), version in 0..3_u8) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = [0x45, 0x60, *first][version as usize];
            }
            if let Ok(segment) = parse(&bytes) {
                let _ = checksums_hold(&bytes, &segment);
                let _ = syn_options(&bytes, &segment);
                prop_assert!(segment.payload_at <= segment.end_at && segment.end_at <= bytes.len());
            }
        }
    }
}
