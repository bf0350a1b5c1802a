//! ARP packets for IPv4 over Ethernet (RFC 826), and nothing else: other hardware or protocols are malformed here.

use hpb_net::HardwareAddress;

use super::counters::NeighborDrop;
use super::ethernet::{hardware_at, is_group};
use super::ip::{UNSPECIFIED_V4, is_host};
use crate::segment::{be16, be32, mapped_v4};

/// A packet's length; what follows is padding.
pub(super) const ARP_LEN: usize = 28;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
/// Hardware type Ethernet, protocol type IPv4, and their addresses' lengths.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// One packet. Addresses are IPv4 mapped into IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arp {
    /// A request, or a reply.
    pub(super) is_request: bool,
    pub(super) sender_hardware: HardwareAddress,
    /// Who says it; unspecified in a probe (RFC 5227 section 1.1).
    pub(super) sender: u128,
    pub(super) target_hardware: HardwareAddress,
    pub(super) target: u128,
}

impl Arp {
    /// Whether somebody asks if he may have an address: he has none yet.
    pub(super) fn is_probe(&self) -> bool {
        self.sender == UNSPECIFIED_V4
    }

    pub(super) fn bytes(&self) -> [u8; ARP_LEN] {
        let mut bytes = [0; ARP_LEN];
        bytes[..6].copy_from_slice(&ETHERNET_IPV4);
        bytes[6..8].copy_from_slice(&if self.is_request { REQUEST } else { REPLY }.to_be_bytes());
        bytes[8..14].copy_from_slice(&self.sender_hardware);
        bytes[14..18].copy_from_slice(&(self.sender as u32).to_be_bytes());
        bytes[18..24].copy_from_slice(&self.target_hardware);
        bytes[24..28].copy_from_slice(&(self.target as u32).to_be_bytes());
        bytes
    }
}

/// Reads a packet.
pub(super) fn parse(packet: &[u8]) -> Result<Arp, NeighborDrop> {
    let bytes: &[u8; ARP_LEN] = packet.first_chunk().ok_or(NeighborDrop::Truncated)?;
    let operation = be16(bytes, 6);
    if bytes[..6] != ETHERNET_IPV4 || !(REQUEST..=REPLY).contains(&operation) {
        return Err(NeighborDrop::Malformed);
    }
    let arp = Arp {
        is_request: operation == REQUEST,
        sender_hardware: hardware_at(bytes, 8),
        sender: mapped_v4(be32(bytes, 14)),
        target_hardware: hardware_at(bytes, 18),
        target: mapped_v4(be32(bytes, 24)),
    };
    if is_group(arp.sender_hardware) || arp.sender_hardware == [0; 6] || !(arp.is_probe() || is_host(arp.sender)) {
        return Err(NeighborDrop::BadSource);
    }
    Ok(arp)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 826, "Packet format": who has 10.0.0.2, says 10.0.0.1.
    const QUESTION: [u8; ARP_LEN] =
        [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];

    #[test]
    fn packets_are_written_as_they_are_read() {
        let arp = parse(&QUESTION).expect("good");
        let expected = Arp {
            is_request: true,
            sender_hardware: [2, 0, 0, 0, 0, 1],
            sender: 0xffff_0a00_0001,
            target_hardware: [0; 6],
            target: 0xffff_0a00_0002,
        };
        assert_eq!(arp, expected);
        assert_eq!(arp.bytes(), QUESTION);
        assert_eq!(parse(&[&QUESTION[..], &[0; 18]].concat()), Ok(arp), "padding");
    }

    #[test]
    fn what_no_host_says_is_refused() {
        let changed = |at: usize, value: u8| {
            let mut bytes = QUESTION;
            bytes[at] = value;
            parse(&bytes)
        };
        for at in 0..6 {
            assert_eq!(changed(at, 7), Err(NeighborDrop::Malformed), "byte {at}");
        }
        assert_eq!(changed(7, 3), Err(NeighborDrop::Malformed), "operation");
        assert_eq!(changed(8, 3), Err(NeighborDrop::BadSource), "a group's hardware address");
        assert_eq!(changed(14, 224), Err(NeighborDrop::BadSource), "a group's address");
        assert_eq!(changed(14, 127), Err(NeighborDrop::BadSource), "loopback");
        assert_eq!(parse(&QUESTION[..27]), Err(NeighborDrop::Truncated));
    }
}
