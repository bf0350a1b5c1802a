//! Whether the kernel hands an interface's frames to other cores (RPS). Sending has no such trouble: a port names its
//! queue itself, so that XPS is not asked for.

use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Receive packet steering of the interfaces.
pub(crate) struct ReceiveSteering;

impl Item for ReceiveSteering {
    fn name(&self) -> &'static str {
        "rps"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        plan.interfaces.iter().map(|interface| self.of(host, interface)).collect()
    }
}

impl ReceiveSteering {
    fn of(&self, host: &dyn Host, interface: &str) -> Finding {
        let folder = format!("/sys/class/net/{interface}/queues");
        let queues = host.list(&folder).unwrap_or_default();
        let steered: Vec<(&str, Change)> = queues
            .iter()
            .filter(|queue| queue.starts_with("rx-"))
            .filter_map(|queue| {
                let path = format!("{folder}/{queue}/rps_cpus");
                let mask = host.word(&path)?;
                // As the kernel writes an empty mask of the same width.
                let empty = mask.replace(|letter: char| letter.is_ascii_hexdigit(), "0");
                (mask != empty).then(|| (queue.as_str(), Change::new(Setting::kernel(path), empty)))
            })
            .collect();
        if steered.is_empty() {
            return Finding::ok(self.name(), interface, "frames stay on the core that received them");
        }
        let (names, changes): (Vec<&str>, Vec<Change>) = steered.into_iter().unzip();
        Finding::ok(self.name(), interface, format!("frames of {} go to other cores", names.join(", ")))
            .fix("off", "each frame costs an interrupt between cores, and lanes share what they take")
            .changes(changes)
    }
}
