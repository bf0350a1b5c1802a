//! Whether interrupts stay away while a lane polls an `AF_XDP` port by itself. With lanes that park it would hold frames
//! back instead: it is named and never changed.

use crate::finding::Finding;
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;

/// Deferred interrupts of the interfaces (`Documentation/networking/napi.rst`, "IRQ mitigation").
pub(crate) struct BusyPoll;

const WHY: &str = "only for lanes that spin: they poll the device themselves, and interrupts do no more than disturb";

impl Item for BusyPoll {
    fn name(&self) -> &'static str {
        "busy-poll"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        let findings = plan.interfaces.iter().filter_map(|interface| {
            let path = |name: &str| format!("/sys/class/net/{interface}/{name}");
            let (turns, wait) = (path("napi_defer_hard_irqs"), path("gro_flush_timeout"));
            let (turns_now, wait_now) = (host.value::<u64>(&turns)?, host.value::<u64>(&wait)?);
            let is = format!("interrupts return after {turns_now} empty turns and {wait_now} ns");
            let found = Finding::ok(self.name(), interface.clone(), is);
            Some(if turns_now > 0 && wait_now > 0 {
                found
            } else {
                found
                    .note("2 turns and 200000 ns, as you like", WHY)
                    .command(format!("echo 2 | sudo tee {turns}"))
                    .command(format!("echo 200000 | sudo tee {wait}"))
            })
        });
        findings.collect()
    }
}
