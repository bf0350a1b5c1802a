//! Which neighbour a packet goes to: its receiver on a prefix of ours, the gateway of its family for all else.

use super::counters::NeighborDrop;
use super::ip::{is_host, is_v4};
/// `fe80::/10`, on the link wherever there is IPv6 (RFC 4291 section 2.5.6).
const LINK_LOCAL: (u128, u8) = (0xfe80 << 112, 10);

/// The routes of one card. Addresses are IPv4 mapped into IPv6.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    prefixes: Vec<Prefix>,
    gateway_v4: Option<u128>,
    gateway_v6: Option<u128>,
}

#[derive(Clone, Copy, Debug)]
struct Prefix {
    network: u128,
    mask: u128,
    /// The card's address there.
    ours: Option<u128>,
    /// The addresses that are for all of it: the first and the last, where it has more than two (RFC 1122
    /// section 3.2.1.3, RFC 3021).
    many: Option<[u128; 2]>,
}

impl Routes {
    /// The routes of a card with `addresses`, each with the length of its family's prefix, and `gateways`.
    pub(super) fn new(addresses: impl Iterator<Item = (u128, u8)>, gateways: impl IntoIterator<Item = u128>) -> Self {
        let mut routes = Self::default();
        for (address, prefix_len) in addresses {
            routes.prefixes.push(Prefix::new(address, prefix_len, true));
        }
        if routes.prefixes.iter().any(|prefix| !is_v4(prefix.network)) {
            routes.prefixes.push(Prefix::new(LINK_LOCAL.0, LINK_LOCAL.1, false));
        }
        for gateway in gateways {
            *(if is_v4(gateway) { &mut routes.gateway_v4 } else { &mut routes.gateway_v6 }) = Some(gateway);
        }
        routes
    }

    /// The neighbour that brings packets to `destination`. A gateway need not stand on a prefix: clouds put it outside.
    pub(super) fn next_hop(&self, destination: u128) -> Result<u128, NeighborDrop> {
        if !is_host(destination) {
            return Err(NeighborDrop::NotUnicast);
        }
        if let Some(prefix) = self.prefix(destination) {
            let is_ours = self.prefixes.iter().any(|prefix| prefix.ours == Some(destination));
            return if is_ours || prefix.many.is_some_and(|many| many.contains(&destination)) {
                Err(NeighborDrop::NotUnicast)
            } else {
                Ok(destination)
            };
        }
        let gateway = if is_v4(destination) { self.gateway_v4 } else { self.gateway_v6 };
        gateway.ok_or(NeighborDrop::NoRoute)
    }

    /// Whether a neighbour may have `address`.
    pub(super) fn is_neighbor(&self, address: u128) -> bool {
        self.next_hop(address) == Ok(address) || self.gateway_v4 == Some(address) || self.gateway_v6 == Some(address)
    }

    /// The card's address from which to ask for `target`: the one on its prefix, or else the first of its family.
    pub(super) fn source_for(&self, target: u128) -> Option<u128> {
        let on_prefix = self.prefixes.iter().find(|prefix| prefix.ours.is_some() && prefix.holds(target));
        let of_family = || self.prefixes.iter().find(|prefix| is_v4(prefix.network) == is_v4(target));
        on_prefix.or_else(of_family).and_then(|prefix| prefix.ours)
    }

    fn prefix(&self, destination: u128) -> Option<&Prefix> {
        self.prefixes.iter().find(|prefix| prefix.holds(destination))
    }
}

impl Prefix {
    fn new(address: u128, prefix_len: u8, is_ours: bool) -> Self {
        let family_bits: u8 = if is_v4(address) { 32 } else { 128 };
        let host_bits = u32::from(family_bits.saturating_sub(prefix_len));
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        let network = address & mask;
        let many = (is_v4(address) && host_bits >= 2).then_some([network, network | !mask]);
        Self { network, mask, ours: is_ours.then_some(address), many }
    }

    fn holds(&self, address: u128) -> bool {
        address & self.mask == self.network
    }
}

/// The length of the prefix that a netmask means; `None` if its ones are not all in front.
pub(super) fn prefix_len_of(mask: u32) -> Option<u8> {
    (mask == 0 || mask.leading_ones() + mask.trailing_zeros() == 32).then_some(mask.leading_ones() as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::IpAddr;

    use super::*;
    use crate::segment::mapped;

    fn at(text: &str) -> u128 {
        mapped(text.parse::<IpAddr>().unwrap())
    }

    fn routes(addresses: &[(&str, u8)], gateways: &[&str]) -> Routes {
        Routes::new(addresses.iter().map(|(address, len)| (at(address), *len)), gateways.iter().map(|text| at(text)))
    }
    #[test]
    fn packets_go_to_their_receiver_or_to_the_gateway() {
        let routes = routes(&[("10.1.0.1", 16), ("fd00::1", 64)], &["10.1.0.254", "fe80::1"]);
        for (destination, expected) in [
            ("10.1.2.3", Ok("10.1.2.3")),
            ("10.2.0.1", Ok("10.1.0.254")),
            ("fd00::7", Ok("fd00::7")),
            ("fd01::7", Ok("fe80::1")),
            ("fe80::9", Ok("fe80::9")),
            ("10.1.0.1", Err(NeighborDrop::NotUnicast)),
            ("10.1.0.0", Err(NeighborDrop::NotUnicast)),
            ("10.1.255.255", Err(NeighborDrop::NotUnicast)),
            ("255.255.255.255", Err(NeighborDrop::NotUnicast)),
            ("224.0.0.1", Err(NeighborDrop::NotUnicast)),
            ("127.0.0.1", Err(NeighborDrop::NotUnicast)),
            ("ff02::1", Err(NeighborDrop::NotUnicast)),
            ("::", Err(NeighborDrop::NotUnicast)),
        ] {
            assert_eq!(routes.next_hop(at(destination)), expected.map(at), "{destination}");
        }
    }

    #[test]
    fn without_a_gateway_there_is_no_way_out() {
        let routes = routes(&[("10.1.0.1", 31)], &[]);
        assert_eq!(routes.next_hop(at("10.1.0.0")), Ok(at("10.1.0.0")), "RFC 3021: two hosts on a /31");
        assert_eq!(routes.next_hop(at("10.1.0.2")), Err(NeighborDrop::NoRoute));
        assert_eq!(routes.next_hop(at("fe80::1")), Err(NeighborDrop::NoRoute), "no IPv6 at all");
    }

    #[test]
    fn a_gateway_may_stand_outside() {
        let routes = routes(&[("10.1.0.1", 32)], &["172.31.1.1"]);
        assert_eq!(routes.next_hop(at("10.1.0.2")), Ok(at("172.31.1.1")));
        assert!(routes.is_neighbor(at("172.31.1.1")) && !routes.is_neighbor(at("10.1.0.2")));
        assert_eq!(routes.source_for(at("172.31.1.1")), Some(at("10.1.0.1")));
        assert_eq!(routes.source_for(at("fd00::1")), None);
    }

    #[test]
    fn questions_come_from_the_address_on_the_same_prefix() {
        let routes = routes(&[("10.1.0.1", 16), ("10.2.0.1", 16), ("fd00::1", 64)], &[]);
        assert_eq!(routes.source_for(at("10.2.9.9")), Some(at("10.2.0.1")));
        assert_eq!(routes.source_for(at("fe80::9")), Some(at("fd00::1")));
    }

    #[test]
    fn netmasks_have_their_ones_in_front() {
        for (mask, expected) in [
            (0xffff_ff00, Some(24)),
            (0xffff_ffff, Some(32)),
            (0, Some(0)),
            (0x8000_0000, Some(1)),
            (0xff00_ff00, None),
        ] {
            assert_eq!(prefix_len_of(mask), expected, "{mask:x}");
        }
    }
}
