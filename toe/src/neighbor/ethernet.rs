//! Ethernet II headers with at most one VLAN tag (IEEE 802.3 clause 3, IEEE 802.1Q clause 9).
//!
//! Frames below the minimum of 60 bytes are not padded: network cards and the kernel's devices do that. What is padded
//! on the way in ends where its IP header says.

use hpb_net::HardwareAddress;

use super::counters::NeighborDrop;
use crate::segment::be16;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;

pub(super) const BROADCAST: HardwareAddress = [0xff; 6];

const HEADER_LEN: usize = 14;
const TAG_LEN: usize = 4;
/// The header's length with a tag.
pub(super) const HEADER_LEN_MAX: usize = HEADER_LEN + TAG_LEN;
/// The VLAN of a tag, under its priority bits.
const VLAN_MASK: u16 = 0x0fff;

/// What a frame says before its packet begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ethernet {
    pub(super) destination: HardwareAddress,
    pub(super) source: HardwareAddress,
    /// What follows, after the tag if there is one.
    pub(super) kind: u16,
    /// The tag's VLAN: 0 for a tag that only carries a priority.
    pub(super) vlan: Option<u16>,
    pub(super) header_len: usize,
}

/// Reads a frame's header.
pub(super) fn parse(frame: &[u8]) -> Result<Ethernet, NeighborDrop> {
    let header: &[u8; HEADER_LEN] = frame.first_chunk().ok_or(NeighborDrop::Truncated)?;
    let mut ethernet = Ethernet {
        destination: hardware_at(header, 0),
        source: hardware_at(header, 6),
        kind: be16(header, 12),
        vlan: None,
        header_len: HEADER_LEN,
    };
    if ethernet.kind == VLAN {
        let tag = frame.get(HEADER_LEN..HEADER_LEN_MAX).ok_or(NeighborDrop::Truncated)?;
        ethernet.vlan = Some(be16(tag, 0) & VLAN_MASK);
        ethernet.kind = be16(tag, 2);
        ethernet.header_len = HEADER_LEN_MAX;
    }
    Ok(ethernet)
}

/// Where the packet of a frame begins, if it is one of IP.
pub(crate) fn packet_at(frame: &[u8]) -> Option<usize> {
    parse(frame).ok().filter(|ethernet| matches!(ethernet.kind, IPV4 | IPV6)).map(|ethernet| ethernet.header_len)
}

/// The hardware address at `at`, where `bytes` reaches far enough.
pub(super) fn hardware_at(bytes: &[u8], at: usize) -> HardwareAddress {
    let mut hardware = [0; 6];
    hardware.copy_from_slice(&bytes[at..at + 6]);
    hardware
}

/// Whether frames for `address` are for many.
pub(super) fn is_group(address: HardwareAddress) -> bool {
    address[0] & 1 != 0
}

/// The header of a sent frame.
#[derive(Clone, Copy)]
pub(super) struct Header {
    bytes: [u8; HEADER_LEN_MAX],
    len: u8,
}

impl Header {
    /// From the card at `source`, in `vlan` with priority 0; for nobody yet.
    pub(super) fn new(source: HardwareAddress, vlan: Option<u16>) -> Self {
        let mut bytes = [0; HEADER_LEN_MAX];
        bytes[6..12].copy_from_slice(&source);
        let len = match vlan {
            Some(vlan) => {
                bytes[12..14].copy_from_slice(&VLAN.to_be_bytes());
                bytes[14..16].copy_from_slice(&vlan.to_be_bytes());
                HEADER_LEN_MAX
            }
            None => HEADER_LEN,
        };
        Self { bytes, len: len as u8 }
    }

    /// The same for `destination`, before a packet of `kind`.
    pub(super) fn to(mut self, destination: HardwareAddress, kind: u16) -> Self {
        let len = usize::from(self.len);
        self.bytes[..6].copy_from_slice(&destination);
        self.bytes[len - 2..len].copy_from_slice(&kind.to_be_bytes());
        self
    }

    /// Whom it is for.
    pub(super) fn destination(&self) -> HardwareAddress {
        hardware_at(&self.bytes, 0)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: HardwareAddress = [2, 0, 0, 0, 0, 9];
    const NEAR: HardwareAddress = [2, 0, 0, 0, 0, 1];

    #[test]
    fn headers_are_written_as_they_are_read() {
        for (vlan, bytes) in [
            (None, &[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x08, 0x00][..]),
            (Some(0x123), &[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0x01, 0x23, 0x08, 0x00]),
        ] {
            let header = Header::new(NEAR, vlan).to(FAR, IPV4);
            assert_eq!(header.bytes(), bytes);
            let read = parse(bytes).expect("whole");
            assert_eq!(read, Ethernet { destination: FAR, source: NEAR, kind: IPV4, vlan, header_len: bytes.len() });
            assert_eq!(parse(&bytes[..bytes.len() - 1]), Err(NeighborDrop::Truncated));
        }
    }

    #[test]
    fn a_tags_priority_is_not_its_vlan() {
        let frame = [&FAR[..], &NEAR[..], &[0x81, 0x00, 0xe0, 0x05, 0x86, 0xdd]].concat();
        let read = parse(&frame).expect("whole");
        assert_eq!((read.vlan, read.kind), (Some(5), IPV6));
    }
}
