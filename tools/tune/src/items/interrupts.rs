//! Whether the interfaces' interrupts come to the hot cores, and whether somebody moves them there again.

use crate::cores::Cores;
use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Where interrupts go, and `irqbalance`.
pub(crate) struct Interrupts;

const WHY: &str = "each one takes the core from its lane for some microseconds";

impl Item for Interrupts {
    fn name(&self) -> &'static str {
        "interrupts"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            plan.interfaces.iter().map(|interface| self.of(host, interface, plan)).collect();
        findings.push(self.balancer(host));
        findings
    }
}

impl Interrupts {
    fn of(&self, host: &dyn Host, interface: &str, plan: &Plan) -> Finding {
        let mut all = Cores::default();
        let (mut count, mut changes) = (0, Vec::new());
        for number in numbers(host, interface) {
            let path = format!("/proc/irq/{number}/smp_affinity_list");
            let Some(cores) = host.value::<Cores>(&path) else { continue };
            count += 1;
            all = all.with(&cores);
            if !cores.within(&plan.hot).is_empty() {
                let rest = cores.within(&plan.quiet);
                let rest = if rest.is_empty() { &plan.quiet } else { &rest };
                changes.push(Change::new(Setting::kernel(path), rest.to_string()));
            }
        }
        if count == 0 {
            return Finding::ok(self.name(), interface, "it has none of its own");
        }
        let found = Finding::ok(self.name(), interface, format!("{count} that go to cores {all}"));
        if changes.is_empty() {
            found
        } else if plan.quiet.is_empty() {
            found.note("another core", WHY)
        } else {
            found.fix(format!("cores {}", plan.quiet), WHY).changes(changes)
        }
    }

    fn balancer(&self, host: &dyn Host) -> Finding {
        let processes = host.list("/proc").unwrap_or_default();
        let runs = processes
            .iter()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            .any(|process| host.word(&format!("/proc/{process}/comm")).is_some_and(|name| name == "irqbalance"));
        if !runs {
            return Finding::ok(self.name(), "irqbalance", "does not run");
        }
        Finding::ok(self.name(), "irqbalance", "runs")
            .fix("stopped", "it moves interrupts back to the hot cores")
            .command("sudo systemctl disable --now irqbalance")
    }
}

/// The numbers of an interface's interrupts: those of its device (or of the device that carries it, as a virtio one's
/// does), or those under its name.
fn numbers(host: &dyn Host, interface: &str) -> Vec<u32> {
    let device = format!("/sys/class/net/{interface}/device");
    for folder in [format!("{device}/msi_irqs"), format!("{device}/../msi_irqs")] {
        let names = host.list(&folder).unwrap_or_default();
        if !names.is_empty() {
            return names.iter().filter_map(|name| name.parse().ok()).collect();
        }
    }
    let device = host.link(&device).unwrap_or_default();
    let table = host.read("/proc/interrupts").unwrap_or_default();
    named(&table, &[interface, &device])
}

/// The numbers of the interrupts in `/proc/interrupts` whose action is one of `names`, or one of its queues: `eth0`,
/// `eth0-rx-1`, `virtio0-input.0`.
fn named(table: &str, names: &[&str]) -> Vec<u32> {
    let is_of = |action: &str, name: &str| {
        let rest = action.strip_prefix(name).filter(|_| !name.is_empty());
        rest.is_some_and(|rest| !rest.starts_with(|letter: char| letter.is_ascii_alphanumeric()))
    };
    let numbers = table.lines().filter_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let actions = rest.split([' ', ',', '\t']);
        let ours = actions.into_iter().any(|action| names.iter().any(|name| is_of(action, name)));
        ours.then(|| number.trim().parse().ok()).flatten()
    });
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn interrupts_by_name() {
        let table = "\
            \x20          CPU0       CPU1\n\
            \x2024:          1          0   PCI-MSIX-0000:00:03.0   0-edge      virtio0-config\n\
            \x2025:          9          0   PCI-MSIX-0000:00:03.0   1-edge      virtio0-input.0\n\
            \x2026:          9          0   PCI-MSIX-0000:00:04.0   1-edge      virtio01-input.0\n\
            \x2027:          9          0   IO-APIC   5-edge      i8042, eth0\n\
            NMI:          0          0   Non-maskable interrupts eth0\n";
        assert_eq!(named(table, &["eth0", "virtio0"]), [24, 25, 27]);
        assert_eq!(named(table, &["eth1", ""]), [0_u32; 0]);
        assert_eq!(named("", &["eth0"]), [0_u32; 0]);
    }
}
