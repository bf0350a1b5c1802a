//! How programs of this host reach a devnet's cards: one more cable from the bridge that joins them, into the namespace
//! that the devnet was started in. It goes with the run, however that ends: its other end lives in a namespace that
//! nothing but the run holds.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use hpb_sandbox::{Host, SandboxError, cable};

use crate::plan::Plan;

/// The interface on this host.
pub(super) const INTERFACE: &str = "hpb-reach";
/// The bridge's end of the cable.
pub(super) const OUTLET: &str = "reach";

/// The address that this host has on the cards' network, and how much of that network lies behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// This host's address there.
    pub address: Ipv4Addr,
    /// Leading bits that it shares with the cards' addresses: 8 to 30.
    pub prefix_len: u8,
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(address, len)| {
            let reach = Self { address: address.parse().ok()?, prefix_len: len.parse().ok()? };
            (8..=30).contains(&reach.prefix_len).then_some(reach)
        });
        parsed.ok_or_else(|| "expected an address and a prefix of 8 to 30 bits, as 10.0.255.1/16".to_owned())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

impl Reach {
    /// Whether the prefix holds an address.
    fn holds(self, address: Ipv4Addr) -> bool {
        (self.address.to_bits() ^ address.to_bits()) >> (32 - u32::from(self.prefix_len)) == 0
    }

    /// What is wrong with it beside a plan's cards, if anything.
    pub(super) fn unfit(self, plan: &Plan) -> Option<String> {
        if plan.addresses().any(|address| address == IpAddr::V4(self.address)) {
            return Some(format!("an address of its own: {} is a card's", self.address));
        }
        let outside = plan.validators.iter().find(|validator| match validator.address {
            IpAddr::V4(address) => !self.holds(address),
            IpAddr::V6(_) => true,
        });
        outside.map(|validator| format!("a prefix that holds {}, where {} is", validator.address, validator.name))
    }

    /// Lays the cable from the bridge's host into this thread's namespace.
    pub(super) fn lay(self, switch: &Host, bridge: &str) -> Result<(), SandboxError> {
        let here = Host::here()?;
        cable((switch, OUTLET), (&here, INTERFACE), 1)?;
        switch.ip(&format!("link set {OUTLET} master {bridge}"))?;
        here.address(INTERFACE, &self.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_reach_is_an_address_and_a_prefix() {
        let reach: Reach = "10.0.255.1/16".parse().unwrap();
        assert_eq!(reach.to_string(), "10.0.255.1/16");
        assert!(reach.holds(Ipv4Addr::new(10, 0, 0, 4)) && !reach.holds(Ipv4Addr::new(10, 1, 0, 1)));
        for wrong in ["10.0.255.1", "10.0.255.1/7", "10.0.255.1/31", "::1/16", "a/16", ""] {
            assert!(wrong.parse::<Reach>().is_err(), "{wrong}");
        }
    }
}
