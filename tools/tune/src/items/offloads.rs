//! Whether frames come as they were on the wire: merged, stripped or unfinished ones do not fit an `AF_XDP` port.
//!
//! A physical interface must not merge received frames nor strip their tags. Of a virtual cable (`veth`) both ends
//! count: what the kernel sends into one end without checksum or as one long piece comes out of the other so.

use crate::finding::{Change, Finding};
use crate::host::{Feature, Host, Peer};
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Offloads of the interfaces (`ethtool -k`).
pub(crate) struct Offloads;

/// Offloads of receiving that change frames.
const RECEIVING: [&str; 4] = ["rx-gro", "rx-lro", "rx-gro-hw", "rx-vlan-hw-parse"];
const WHY: &str = "an AF_XDP port takes frames as they are: no merged ones, no lost tags, no missing checksums";

impl Item for Offloads {
    fn name(&self) -> &'static str {
        "offloads"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut seen = Vec::new();
        for interface in &plan.interfaces {
            let peer = host.peer(interface).unwrap_or(Peer::None);
            let virtual_cable = peer != Peer::None;
            let mut ends = vec![interface.clone()];
            if let Peer::Here(other) = &peer {
                ends.push(other.clone());
            }
            for end in ends {
                if !seen.contains(&end) {
                    findings.extend(self.of(host, &end, virtual_cable));
                    seen.push(end);
                }
            }
            if peer == Peer::Elsewhere {
                let is = "its other end is in another network namespace";
                let found = Finding::ok(self.name(), interface.clone(), is);
                findings.push(
                    found
                        .note("the same offloads off there", WHY)
                        .command("sudo ip netns exec NAMESPACE hpb tune apply --interface OTHER_END --state FILE"),
                );
            }
        }
        findings
    }
}

impl Offloads {
    fn of(&self, host: &dyn Host, interface: &str, virtual_cable: bool) -> Vec<Finding> {
        let features = match host.features(interface) {
            Ok(features) => features,
            Err(error) => {
                let found = Finding::ok(self.name(), interface, format!("cannot be read: {error}"));
                return vec![found.note("", WHY)];
            }
        };
        let harmful: Vec<&Feature> =
            features.iter().filter(|feature| feature.active && harms(&feature.name, virtual_cable)).collect();
        let listed = |of: &[&Feature]| of.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
        let (on, fixed): (Vec<&Feature>, Vec<&Feature>) = harmful.into_iter().partition(|feature| feature.changeable);
        let mut findings = Vec::new();
        if !on.is_empty() {
            let changes = on.iter().map(|feature| {
                let (interface, name) = (interface.to_owned(), feature.name.clone());
                Change::new(Setting::Feature { interface, name }, "off")
            });
            findings.push(
                Finding::ok(self.name(), interface, format!("on: {}", listed(&on)))
                    .fix("off", WHY)
                    .changes(changes.collect()),
            );
        }
        if !fixed.is_empty() {
            let found = Finding::ok(self.name(), interface, format!("on, and fixed: {}", listed(&fixed)));
            findings.push(found.note("off, which this driver does not let be", WHY));
        }
        if findings.is_empty() {
            findings.push(Finding::ok(self.name(), interface, "those that change frames are off"));
        }
        findings
    }
}

fn harms(name: &str, virtual_cable: bool) -> bool {
    let sending = name.starts_with("tx-checksum-")
        || name == "tx-gso-list"
        || (name.starts_with("tx-") && name.ends_with("-segmentation"));
    RECEIVING.contains(&name) || (virtual_cable && sending)
}

#[cfg(test)]
mod tests {
    use super::harms;

    #[test]
    fn which_harm() {
        for name in ["rx-gro", "rx-lro", "rx-vlan-hw-parse"] {
            assert!(harms(name, false) && harms(name, true), "{name}");
        }
        for name in ["tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-generic-segmentation", "tx-gso-list"] {
            assert!(!harms(name, false) && harms(name, true), "{name}");
        }
        for name in ["tx-scatter-gather", "rx-checksum", "highdma", "tx-vlan-hw-insert", "rx-gro-list"] {
            assert!(!harms(name, true), "{name}");
        }
    }
}
