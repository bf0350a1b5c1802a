//! ICMP of both families: what the card answers, and what errors say about its sessions (RFC 792, RFC 4443).
//!
//! The card answers echo requests and refuses UDP, so that ping and traceroute behave, and says to whoever is banned that
//! he is kept out. Of errors it believes nothing:
//! it reads which flow and which sequence number they quote, and leaves the judgement to who knows what is in flight
//! (RFC 5927 section 4). Redirects, timestamps and the like are not served.

use hpb_net::Frame;

use super::Notice;
use super::counters::NeighborDrop;
use super::ip::{self, HOP_LIMIT, Head, ICMP, ICMPV6, IPV4_HEADER_LEN, Packet};
use crate::segment::{FlowKey, IPV6_HEADER_LEN, PROTOCOL_TCP, be16, be32, be128, mapped_v4};

/// Bytes before what an echo carries and what an error quotes.
const HEADER_LEN: usize = 8;
/// The smallest MTU that a notice names: what every host must take (RFC 791 section 3.1, RFC 8200 section 5). A path
/// that claims less is left to fragment.
pub(super) const MTU_MIN_V4: usize = 576;
pub(super) const MTU_MIN_V6: usize = 1_280;
/// Bytes of TCP that every error quotes: ports and sequence number (RFC 792).
const QUOTED_LEN_MIN: usize = 8;
/// Plateaus to fall back to where a router does not say its MTU (RFC 1191 section 7.1).
const PLATEAUS: [usize; 5] = [1_492, 1_006, 576, 508, 296];
/// ICMP messages that may leave at once after a silence (RFC 4443 section 2.4 (f)).
pub(super) const BURST: u32 = 50;

/// What the card answers to a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// An echo reply (RFC 792; RFC 4443 section 4.2).
    Echo,
    /// Port unreachable (RFC 1122 section 4.1.3.1; RFC 4443 section 3.1).
    PortUnreachable,
    /// Communication administratively prohibited (RFC 1812 section 5.2.7.1; RFC 4443 section 3.1).
    Prohibited,
}

impl Answer {
    /// Writes the answer to `packet`, an IP packet of the card's, into `frame`.
    pub(super) fn write(self, packet: &Packet<'_>, frame: &mut Frame) {
        let is_v4 = packet.is_v4();
        let head = Head {
            source: packet.destination,
            destination: packet.source,
            protocol: if is_v4 { ICMP } else { ICMPV6 },
            hop_limit: HOP_LIMIT,
            alerts: false,
        };
        match self {
            Self::Echo => {
                let kind = if is_v4 { 0 } else { 129 };
                ip::write(frame, &head, &[&[kind, 0, 0, 0], packet.payload.get(4..).unwrap_or_default()]);
            }
            Self::PortUnreachable | Self::Prohibited => {
                let [kind, code] = match (self, is_v4) {
                    (Self::Prohibited, true) => [3, 13],
                    (Self::Prohibited, false) => [1, 1],
                    (_, true) => [3, 3],
                    (_, false) => [1, 4],
                };
                // As much as fits into the smallest MTU (RFC 1812 section 4.3.2.3; RFC 4443 section 2.4 (c)).
                let room = match (self, is_v4) {
                    // A SYN says who he is in its first bytes: quoted with the least that is allowed (RFC 1122
                    // section 3.2.2), the answer is no longer than the SYN of any usual host.
                    (Self::Prohibited, true) => packet.whole.len() - packet.payload.len() + QUOTED_LEN_MIN,
                    (_, true) => MTU_MIN_V4 - IPV4_HEADER_LEN - HEADER_LEN,
                    (_, false) => MTU_MIN_V6 - IPV6_HEADER_LEN - HEADER_LEN,
                };
                let quote = &packet.whole[..packet.whole.len().min(room)];
                ip::write(frame, &head, &[&[kind, code, 0, 0, 0, 0, 0, 0], quote]);
            }
        }
    }
}

/// What an ICMP message comes to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Message {
    /// Somebody asks for an echo.
    EchoRequest,
    /// Something became of a packet of a flow.
    Error(Notice),
}

/// Reads an ICMP message of either family, neighbour discovery excepted. `mtu` is the link's.
pub(super) fn parse(packet: &Packet<'_>, mtu: usize) -> Result<Message, NeighborDrop> {
    if packet.payload.len() < HEADER_LEN {
        return Err(NeighborDrop::Truncated);
    }
    if !packet.checksum_holds() {
        return Err(NeighborDrop::Checksum);
    }
    let (kind, code, quote) = (packet.payload[0], packet.payload[1], &packet.payload[HEADER_LEN..]);
    if packet.is_v4() {
        match (kind, code) {
            (8, 0) => Ok(Message::EchoRequest),
            (3, 4) => {
                let (flow, seq, len) = quoted(quote, true)?;
                let said = usize::from(be16(packet.payload, 6));
                too_big(flow, seq, if said == 0 { plateau_below(len) } else { said }.max(MTU_MIN_V4), mtu)
            }
            // Hard: the other end has no TCP or no such port (RFC 1122 section 4.2.3.9), or somebody forbids it
            // (RFC 1812 section 5.2.7.1).
            (3, _) => unreachable(quote, true, matches!(code, 2 | 3 | 9 | 10 | 13)),
            // A loop on the way, or a header that somebody does not understand.
            (11 | 12, _) => unreachable(quote, true, false),
            _ => Err(NeighborDrop::NotServed),
        }
    } else {
        match (kind, code) {
            (128, 0) => Ok(Message::EchoRequest),
            (2, _) => {
                let (flow, seq, _) = quoted(quote, false)?;
                too_big(flow, seq, (be32(packet.payload, 4) as usize).max(MTU_MIN_V6), mtu)
            }
            // Hard: forbidden on the way, or no such port (RFC 5461 section 2.1).
            (1, _) => unreachable(quote, false, matches!(code, 1 | 4)),
            (3, _) => unreachable(quote, false, false),
            // Hard: the other end has no TCP.
            (4, _) => unreachable(quote, false, code == 1),
            _ => Err(NeighborDrop::NotServed),
        }
    }
}

fn too_big(flow: FlowKey, seq: u32, mtu: usize, link_mtu: usize) -> Result<Message, NeighborDrop> {
    // An MTU that is not below the link's stops nothing that the card sends.
    if mtu >= link_mtu {
        Err(NeighborDrop::Malformed)
    } else {
        Ok(Message::Error(Notice::PacketTooBig { flow, seq, mtu }))
    }
}

fn unreachable(quote: &[u8], is_v4: bool, hard: bool) -> Result<Message, NeighborDrop> {
    let (flow, seq, _) = quoted(quote, is_v4)?;
    Ok(Message::Error(Notice::Unreachable { flow, seq, hard }))
}

/// The flow, the sequence number and the packet's length of a quoted TCP segment, which the card sent: its source is
/// the flow's near end.
fn quoted(quote: &[u8], is_v4: bool) -> Result<(FlowKey, u32, usize), NeighborDrop> {
    let version = quote.first().ok_or(NeighborDrop::Truncated)? >> 4;
    let (local, remote, protocol, header_len, len) = match (version, is_v4) {
        (4, true) if quote.len() >= IPV4_HEADER_LEN => {
            let header_len = usize::from(quote[0] & 15) * 4;
            if header_len < IPV4_HEADER_LEN || be16(quote, 6) & 0x1fff != 0 {
                return Err(NeighborDrop::Malformed);
            }
            let (local, remote) = (mapped_v4(be32(quote, 12)), mapped_v4(be32(quote, 16)));
            (local, remote, quote[9], header_len, usize::from(be16(quote, 2)))
        }
        (6, false) if quote.len() >= IPV6_HEADER_LEN => {
            let len = IPV6_HEADER_LEN + usize::from(be16(quote, 4));
            (ip::native(be128(quote, 8))?, ip::native(be128(quote, 24))?, quote[6], IPV6_HEADER_LEN, len)
        }
        (4 | 6, _) => return Err(NeighborDrop::Truncated),
        _ => return Err(NeighborDrop::Malformed),
    };
    if protocol != PROTOCOL_TCP {
        return Err(NeighborDrop::NotServed);
    }
    let tcp = quote.get(header_len..header_len + QUOTED_LEN_MIN).ok_or(NeighborDrop::Truncated)?;
    Ok((FlowKey { remote, local, ports: (be16(tcp, 2), be16(tcp, 0)) }, be32(tcp, 4), len))
}

fn plateau_below(len: usize) -> usize {
    PLATEAUS.into_iter().find(|plateau| *plateau < len).unwrap_or(MTU_MIN_V4)
}

/// Whether the packet that a datagram came in may be answered by an error: a UDP header that is whole and holds
/// (RFC 1122 section 3.2.2).
pub(super) fn is_whole_datagram(packet: &Packet<'_>, is_verified: bool) -> Result<(), NeighborDrop> {
    if packet.payload.len() < 8 {
        return Err(NeighborDrop::Truncated);
    }
    let len = usize::from(be16(packet.payload, 4));
    if len < 8 || len > packet.payload.len() {
        return Err(NeighborDrop::Malformed);
    }
    // Zero means that there is none, in IPv4 only (RFC 768; RFC 8200 section 8.1).
    let is_absent = packet.is_v4() && be16(packet.payload, 6) == 0;
    if is_absent || is_verified || packet.checksum_holds() { Ok(()) } else { Err(NeighborDrop::Checksum) }
}

#[cfg(test)]
mod tests;
