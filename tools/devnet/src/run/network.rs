//! What a devnet's cards are joined by: the wire in this process, or the network of this host's kernel, in namespaces that
//! go with the run. There each card has a device port of its own, and a bridge of the kernel's joins their cables.

use std::fmt;
use std::str::FromStr;

use hpb_base::Duration;
use hpb_base::limits::WIRE_PORTS_MAX;
use hpb_net::{OpenOptions, Port, PortUrl};
use hpb_node::runtime::RuntimeBuilder;
use hpb_node::topology::{Role, Seat};
use hpb_node::workers::wake_wire;
use hpb_sandbox::{Host, cable};

use super::DevnetError;
use super::reach::Reach;
use crate::plan::Plan;

/// Cards on one bridge of the kernel (`BR_MAX_PORTS` is 1,024).
const BRIDGE_PORTS_MAX: usize = 1_000;
const BRIDGE: &str = "bridge0";

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Network {
    /// The wire in this process.
    #[default]
    Wire,
    /// Packet sockets on virtual cables that a bridge joins.
    Packet,
    /// TAP interfaces that a bridge joins.
    Tap,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "wire:" => Ok(Self::Wire),
            "packet:" => Ok(Self::Packet),
            "tap:" => Ok(Self::Tap),
            _ => {
                Err("a devnet's cards are joined by `wire:`, `packet:` or `tap:`; it makes the interfaces itself"
                    .into())
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wire => "wire:",
            Self::Packet => "packet: over virtual cables and a bridge of the kernel",
            Self::Tap => "tap: over a bridge of the kernel",
        })
    }
}

/// The cards' ports, in the order of the plan's addresses.
pub(super) struct Joined {
    pub(super) ports: Vec<Box<dyn Port>>,
    /// Whether the other end wakes an executor that sleeps.
    pub(super) announced: bool,
    /// The hosts that the ports live in: they go when these go.
    pub(super) hosts: Vec<Host>,
}

impl Network {
    /// Lays it out for a plan's cards.
    pub(super) fn join(
        self,
        plan: &Plan,
        builder: &RuntimeBuilder,
        reach: Option<Reach>,
    ) -> Result<Joined, DevnetError> {
        match self {
            Self::Wire => wire(plan, builder),
            Self::Packet | Self::Tap => self.bridge(plan, reach),
        }
    }

    /// How many cards it joins.
    pub(super) fn ports_max(self) -> usize {
        match self {
            Self::Wire => WIRE_PORTS_MAX,
            Self::Packet | Self::Tap => BRIDGE_PORTS_MAX,
        }
    }

    fn bridge(self, plan: &Plan, reach: Option<Reach>) -> Result<Joined, DevnetError> {
        let (switch, cards) = (Host::new()?, Host::new()?);
        switch.ip(&format!("link add {BRIDGE} type bridge"))?;
        switch.ip(&format!("link set {BRIDGE} up"))?;
        let mut ports = Vec::new();
        for (number, address) in plan.addresses().enumerate() {
            let options = OpenOptions { addresses: vec![address], ..OpenOptions::default() };
            let outlet = format!("outlet{number}");
            let opened = if self == Self::Packet {
                let interface = format!("card{number}");
                cable((&cards, &interface), (&switch, &outlet), 1)?;
                let url = PortUrl::Packet { interface, queues: 1 };
                cards.run(|| hpb_net::open(&url, &options))?
            } else {
                let url = PortUrl::Tap { interface: outlet.clone(), queues: 1 };
                switch.run(|| hpb_net::open(&url, &options))?
            };
            switch.ip(&format!("link set {outlet} master {BRIDGE}"))?;
            ports.extend(opened?);
        }
        if let Some(reach) = reach {
            reach.lay(&switch, BRIDGE)?;
        }
        Ok(Joined { ports, announced: false, hosts: vec![switch, cards] })
    }
}

/// The wire, with each port waking the executor at its other end.
fn wire(plan: &Plan, builder: &RuntimeBuilder) -> Result<Joined, DevnetError> {
    let mut ports = plan.wire(Duration::ZERO).build()?;
    let validators = (0..plan.validators.len()).map(|node| Seat { node, role: Role::Lane(0) });
    let cards = (0..plan.cards.len()).map(|card| Seat { node: 0, role: Role::Terminals(card) });
    let seats: Vec<Seat> = validators.chain(cards).collect();
    wake_wire(builder, &mut ports, &seats)?;
    let ports = ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect();
    Ok(Joined { ports, announced: true, hosts: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn a_network_is_named_by_its_scheme_alone() {
        assert_eq!("packet:".parse(), Ok(Network::Packet));
        assert_eq!("tap:".parse(), Ok(Network::Tap));
        assert!("packet:eth0".parse::<Network>().is_err_and(|error| error.contains("makes the interfaces itself")));
    }
}
