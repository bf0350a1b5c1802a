//! Whether interfaces and hot cores share their memory, and whether the kernel moves pages between memories.

use crate::cores::Cores;
use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Nodes of memory.
pub(crate) struct Numa;

const NODES: &str = "/sys/devices/system/node";
const BALANCING_PATH: &str = "/proc/sys/kernel/numa_balancing";

impl Item for Numa {
    fn name(&self) -> &'static str {
        "numa"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        let names = host.list(NODES).unwrap_or_default();
        let nodes: Vec<u32> = names.iter().filter_map(|name| name.strip_prefix("node")?.parse().ok()).collect();
        if nodes.len() < 2 {
            return vec![Finding::ok(self.name(), "", "one memory for all cores")];
        }
        let mut findings = vec![self.balancing(host)];
        for interface in &plan.interfaces {
            let node = host.value::<u32>(&format!("/sys/class/net/{interface}/device/numa_node"));
            let Some(node) = node else { continue };
            let near: Cores = host.value(&format!("{NODES}/node{node}/cpulist")).unwrap_or_default();
            let far = plan.hot.without(&near);
            let found = Finding::ok(self.name(), interface.clone(), format!("on node {node}, as cores {near}"));
            findings.push(if far.is_empty() {
                found
            } else {
                let why = "every frame crosses between the processors";
                let command = format!("hpb tune check --interface {interface} --cores {near}");
                found.fix(format!("hot cores of that node, not {far}"), why).command(command)
            });
        }
        findings
    }
}

impl Numa {
    fn balancing(&self, host: &dyn Host) -> Finding {
        let Some(value) = host.word(BALANCING_PATH) else {
            return Finding::ok(self.name(), "balancing", "this kernel does none");
        };
        let found = Finding::ok(self.name(), "balancing", format!("kernel.numa_balancing = {value}"));
        if value == "0" {
            return found;
        }
        let why = "the kernel unmaps pages to see who uses them, and stops whoever does";
        found.fix("0", why).changes(vec![Change::new(Setting::kernel(BALANCING_PATH), "0")])
    }
}
