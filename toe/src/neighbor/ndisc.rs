//! Neighbour discovery for IPv6 (RFC 4861): solicitations and advertisements, and the reports of multicast groups that
//! switches want before they pass solicitations on (RFC 3810).
//!
//! Router advertisements and redirects are ignored: addresses and gateways of the card come from its configuration,
//! and a stranger on the link can't move its routes. Addresses are used without duplicate address detection; who has
//! one of them already is heard of as a conflict.

use hpb_net::{Frame, HardwareAddress};

use super::counters::NeighborDrop;
use super::ethernet::{hardware_at, is_group};
use super::ip::{self, ALL_NODES, Head, ICMPV6, Packet, UNSPECIFIED};
use crate::segment::be128;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const GROUP_QUERY: u8 = 130;
const GROUP_REPORT: u8 = 143;
/// What no router lets through (RFC 4861 section 3.1).
const HOP_LIMIT: u8 = 255;
/// Bytes of a message before its options.
const MESSAGE_LEN: usize = 24;
const SOURCE_HARDWARE: u8 = 1;
const TARGET_HARDWARE: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// `ff02::1:ff00:0`, before the last three bytes of an address (RFC 4291 section 2.7.1).
const SOLICITED_NODE: u128 = 0xff02 << 112 | 0x1_ff00_0000;
/// `ff02::16`, the routers that listen to group reports (RFC 3810 section 5.2.14).
const GROUP_ROUTERS: u128 = 0xff02 << 112 | 0x16;
/// What a report says of a group (RFC 3810 section 5.2.12): it is listened to, or is from now on.
const IS_LISTENED_TO: u8 = 2;
const NOW_LISTENED_TO: u8 = 4;
const GROUP_RECORD_LEN: usize = 20;
const GROUPS_MAX: usize = hpb_base::limits::NEIGHBOR_ADDRESSES_MAX;

/// A message that the card reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// Who has `target`? From `hardware`, if the asker has an address.
    Solicitation { target: u128, hardware: Option<HardwareAddress> },
    /// `target` is at `hardware`.
    Advertisement { target: u128, hardware: Option<HardwareAddress>, solicited: bool, overrides: bool },
    /// A router asks who listens to `group`; unspecified for all.
    GroupQuery { group: u128 },
}

impl Message {
    /// The hardware address that it tells of.
    pub(super) fn hardware(&self) -> Option<HardwareAddress> {
        match self {
            Self::Solicitation { hardware, .. } | Self::Advertisement { hardware, .. } => *hardware,
            Self::GroupQuery { .. } => None,
        }
    }
}

/// The multicast group in which an address is asked for.
pub(super) fn solicited_node(address: u128) -> u128 {
    SOLICITED_NODE | (address & 0x00ff_ffff)
}

/// The hardware address of an IPv6 multicast group (RFC 2464 section 7).
pub(super) fn group_hardware(group: u128) -> HardwareAddress {
    let [a, b, c, d] = (group as u32).to_be_bytes();
    [0x33, 0x33, a, b, c, d]
}

/// Whether an `ICMPv6` message is this module's.
pub(super) fn is_discovery(payload: &[u8]) -> bool {
    payload.first().is_some_and(|kind| matches!(*kind, GROUP_QUERY..=132 | 133..=137 | GROUP_REPORT))
}

/// Reads a message, with all that RFC 4861 sections 7.1.1 and 7.1.2 ask of it.
pub(super) fn parse(packet: &Packet<'_>) -> Result<Message, NeighborDrop> {
    let payload = packet.payload;
    if payload.len() < MESSAGE_LEN {
        return Err(NeighborDrop::Truncated);
    }
    let (kind, code) = (payload[0], payload[1]);
    if kind == GROUP_QUERY {
        // From a router of this link (RFC 3810 section 5.1.14).
        return if packet.hop_limit != 1 || packet.source >> 118 != 0xfe80 >> 6 {
            Err(NeighborDrop::HopLimit)
        } else if packet.checksum_holds() {
            Ok(Message::GroupQuery { group: be128(payload, 8) })
        } else {
            Err(NeighborDrop::Checksum)
        };
    }
    if !matches!(kind, SOLICITATION | ADVERTISEMENT) {
        return Err(NeighborDrop::NotServed);
    }
    if packet.hop_limit != HOP_LIMIT {
        return Err(NeighborDrop::HopLimit);
    }
    if !packet.checksum_holds() {
        return Err(NeighborDrop::Checksum);
    }
    let target = ip::native(be128(payload, 8))?;
    if code != 0 || !ip::is_host(target) {
        return Err(NeighborDrop::Malformed);
    }
    let options = &payload[MESSAGE_LEN..];
    let is_nowhere = packet.source == UNSPECIFIED;
    if kind == SOLICITATION {
        let hardware = hardware_option(options, SOURCE_HARDWARE)?;
        // Who looks for duplicates asks in the target's group and has no address to answer to.
        if is_nowhere && (hardware.is_some() || packet.destination != solicited_node(target)) {
            return Err(NeighborDrop::Malformed);
        }
        if !is_nowhere && !ip::is_host(packet.source) {
            return Err(NeighborDrop::BadSource);
        }
        Ok(Message::Solicitation { target, hardware })
    } else {
        let flags = payload[4];
        let solicited = flags & SOLICITED != 0;
        if solicited && packet.destination >> 120 == 0xff {
            return Err(NeighborDrop::Malformed);
        }
        let hardware = hardware_option(options, TARGET_HARDWARE)?;
        Ok(Message::Advertisement { target, hardware, solicited, overrides: flags & OVERRIDE != 0 })
    }
}

/// The hardware address among the options; other options are passed over (RFC 4861 section 4.6).
fn hardware_option(mut options: &[u8], wanted: u8) -> Result<Option<HardwareAddress>, NeighborDrop> {
    let mut found = None;
    while let &[kind, len, _, ..] = options {
        let len = usize::from(len) * 8;
        if len == 0 || len > options.len() {
            return Err(NeighborDrop::Malformed);
        }
        if kind == wanted && len == 8 {
            let hardware = hardware_at(options, 2);
            if is_group(hardware) || hardware == [0; 6] {
                return Err(NeighborDrop::BadSource);
            }
            found = Some(hardware);
        }
        options = &options[len..];
    }
    if options.is_empty() { Ok(found) } else { Err(NeighborDrop::Malformed) }
}

/// Asks who has `target`: in its group, or of the one host that had it (RFC 4861 section 4.3). Returns the packet's
/// destination.
pub(super) fn write_solicitation(
    frame: &mut Frame,
    source: u128,
    target: u128,
    hardware: HardwareAddress,
    alone: bool,
) -> u128 {
    let destination = if alone { target } else { solicited_node(target) };
    let begin = [SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    write_message(frame, (source, destination), begin, target, SOURCE_HARDWARE, hardware);
    destination
}

/// Says that the card has `target`: to `asker`, or to all where it has no address or nobody asked (RFC 4861
/// sections 4.4 and 7.2.4). Returns the packet's destination.
pub(super) fn write_advertisement(
    frame: &mut Frame,
    target: u128,
    asker: Option<u128>,
    hardware: HardwareAddress,
) -> u128 {
    let flags = OVERRIDE | if asker.is_some() { SOLICITED } else { 0 };
    let destination = asker.unwrap_or(ALL_NODES);
    let begin = [ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    write_message(frame, (target, destination), begin, target, TARGET_HARDWARE, hardware);
    destination
}

fn write_message(
    frame: &mut Frame,
    (source, destination): (u128, u128),
    begin: [u8; 8],
    target: u128,
    option: u8,
    hardware: HardwareAddress,
) {
    let head = Head { source, destination, protocol: ICMPV6, hop_limit: HOP_LIMIT, alerts: false };
    ip::write(frame, &head, &[&begin, &target.to_be_bytes(), &[option, 1], &hardware]);
}

/// Reports that the card listens to the groups of `addresses` (RFC 3810 section 5.2), from `source`, which is
/// link-local or unspecified (RFC 3590). Returns the packet's destination.
pub(super) fn write_report(
    frame: &mut Frame,
    source: u128,
    addresses: impl Iterator<Item = u128>,
    is_answer: bool,
) -> u128 {
    let mut records = [0; GROUPS_MAX * GROUP_RECORD_LEN];
    let mut count = 0;
    for (record, address) in records.chunks_exact_mut(GROUP_RECORD_LEN).zip(addresses) {
        record[0] = if is_answer { IS_LISTENED_TO } else { NOW_LISTENED_TO };
        record[4..].copy_from_slice(&solicited_node(address).to_be_bytes());
        count += 1;
    }
    let head = Head { source, destination: GROUP_ROUTERS, protocol: ICMPV6, hop_limit: 1, alerts: true };
    let begin = [GROUP_REPORT, 0, 0, 0, 0, 0, 0, count as u8];
    ip::write(frame, &head, &[&begin, &records[..count * GROUP_RECORD_LEN]]);
    GROUP_ROUTERS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_net::frame::FramePool;

    use super::*;
    use crate::segment::{fold, sum};

    const NEAR: u128 = 0xfd00 << 112 | 1;
    const FAR: u128 = 0xfd00 << 112 | 0x12_3456;
    const HARDWARE: HardwareAddress = [2, 0, 0, 0, 0, 1];

    fn written(write: impl FnOnce(&mut Frame) -> u128) -> (Vec<u8>, u128) {
        let mut frame = FramePool::new(1).take().unwrap();
        let destination = write(&mut frame);
        (frame.bytes().to_vec(), destination)
    }

    fn solicitation() -> Vec<u8> {
        written(|frame| write_solicitation(frame, NEAR, FAR, HARDWARE, false)).0
    }

    /// `bytes` with one changed and the checksum made good.
    fn changed(mut bytes: Vec<u8>, at: usize, value: u8) -> Result<Message, NeighborDrop> {
        bytes[at] = value;
        bytes[42..44].fill(0);
        let len = (bytes.len() - 40) as u32;
        let total = sum(&bytes[8..40]) + sum(&len.to_be_bytes()) + sum(&[0, 0, 0, ICMPV6]) + sum(&bytes[40..]);
        bytes[42..44].copy_from_slice(&(!fold(total)).to_ne_bytes());
        parse(&ip::parse(&bytes).unwrap())
    }

    #[test]
    fn a_solicitation_is_as_rfc_4861_section_4_3_says() {
        let (bytes, destination) = written(|frame| write_solicitation(frame, NEAR, FAR, HARDWARE, false));
        assert_eq!(destination, 0xff02 << 112 | 0x1_ff12_3456);
        assert_eq!(group_hardware(destination), [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!(
            bytes,
            [
                0x60, 0, 0, 0, 0, 32, 58, 255, // header
                0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // from
                0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x12, 0x34, 0x56, // to
                135, 0, 0x14, 0xcb, 0, 0, 0, 0, // message
                0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56, // target
                1, 1, 2, 0, 0, 0, 0, 1, // source link-layer address
            ]
        );
        let read = parse(&ip::parse(&bytes).unwrap());
        assert_eq!(read, Ok(Message::Solicitation { target: FAR, hardware: Some(HARDWARE) }));
        let (_, alone) = written(|frame| write_solicitation(frame, NEAR, FAR, HARDWARE, true));
        assert_eq!(alone, FAR);
    }

    #[test]
    fn an_advertisement_is_as_rfc_4861_section_4_4_says() {
        let (bytes, destination) = written(|frame| write_advertisement(frame, NEAR, Some(FAR), HARDWARE));
        assert_eq!((destination, &bytes[40..42], bytes[44]), (FAR, &[136, 0][..], 0x60));
        let read = |solicited| {
            Ok(Message::Advertisement { target: NEAR, hardware: Some(HARDWARE), solicited, overrides: true })
        };
        assert_eq!(parse(&ip::parse(&bytes).unwrap()), read(true));
        let (bytes, destination) = written(|frame| write_advertisement(frame, NEAR, None, HARDWARE));
        assert_eq!((destination, bytes[44]), (ALL_NODES, 0x20));
        assert_eq!(parse(&ip::parse(&bytes).unwrap()), read(false));
    }

    #[test]
    fn what_rfc_4861_section_7_1_forbids_is_refused() {
        assert!(changed(solicitation(), 0, 0x60).is_ok());
        for (at, value, expected, what) in [
            (7, 254, NeighborDrop::HopLimit, "crossed a router"),
            (41, 1, NeighborDrop::Malformed, "code"),
            (48, 0xff, NeighborDrop::Malformed, "a group as target"),
            (65, 0, NeighborDrop::Malformed, "an option of no length"),
            (65, 2, NeighborDrop::Malformed, "an option past the end"),
            (66, 3, NeighborDrop::BadSource, "a group's hardware address"),
            (8, 0xff, NeighborDrop::BadSource, "from a group"),
            (40, 134, NeighborDrop::NotServed, "router advertisement"),
            (40, 137, NeighborDrop::NotServed, "redirect"),
        ] {
            assert_eq!(changed(solicitation(), at, value), Err(expected), "{what}");
        }
        let mut bent = solicitation();
        bent[50] ^= 1;
        assert_eq!(parse(&ip::parse(&bent).unwrap()), Err(NeighborDrop::Checksum));
        let nowhere = written(|frame| write_solicitation(frame, UNSPECIFIED, FAR, HARDWARE, false)).0;
        assert_eq!(changed(nowhere, 0, 0x60), Err(NeighborDrop::Malformed), "no address, but a hardware address");
        let to_all = written(|frame| write_advertisement(frame, NEAR, None, HARDWARE)).0;
        assert_eq!(changed(to_all, 44, 0x60), Err(NeighborDrop::Malformed), "solicited, but to all");
    }

    #[test]
    fn a_report_is_as_rfc_3810_section_5_2_says() {
        let (bytes, destination) = written(|frame| write_report(frame, UNSPECIFIED, [FAR].into_iter(), false));
        assert_eq!(destination, GROUP_ROUTERS);
        assert_eq!(&bytes[..8], [0x60, 0, 0, 0, 0, 36, 0, 1]);
        assert_eq!(&bytes[40..48], [58, 0, 5, 2, 0, 0, 1, 0], "router alert");
        assert_eq!((&bytes[48..50], &bytes[54..60]), (&[143, 0][..], &[0, 1, 4, 0, 0, 0][..]));
        assert_eq!(&bytes[60..], solicited_node(FAR).to_be_bytes());
        assert!(ip::parse(&bytes).unwrap().checksum_holds());
    }
}
