//! Whether the hot cores are left alone by the scheduler, the timer tick and RCU. That is decided at boot: the words for
//! the kernel's command line are named (`Documentation/admin-guide/kernel-parameters.txt`).

use crate::cores::Cores;
use crate::finding::Finding;
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;

/// `isolcpus`, `nohz_full` and `rcu_nocbs`.
pub(crate) struct Isolation;

const WHY: &str = "the scheduler, the timer tick and RCU callbacks take a hot core for tens of microseconds";

impl Item for Isolation {
    fn name(&self) -> &'static str {
        "isolation"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        if plan.hot.is_empty() {
            let found = Finding::ok(self.name(), "", "this host has one core");
            return vec![found.note("two or more", "a hot core shares with everything else")];
        }
        let subject = format!("cores {}", plan.hot);
        if plan.quiet.is_empty() {
            let found = Finding::ok(self.name(), subject, "all cores are hot ones");
            return vec![found.note("a core for the rest", "one core has to be left for everything else")];
        }
        let command_line = host.read("/proc/cmdline").unwrap_or_default();
        let listed = |path: &str| host.value::<Cores>(path).unwrap_or_default();
        let tickless = listed("/sys/devices/system/cpu/nohz_full");
        let callbacks = parameter(&command_line, "rcu_nocbs", plan).with(&tickless);
        let state = [
            ("isolcpus", listed("/sys/devices/system/cpu/isolated"), "isolcpus=managed_irq,domain,"),
            ("nohz_full", tickless, "nohz_full="),
            ("rcu_nocbs", callbacks, "rcu_nocbs="),
        ];
        let is: Vec<String> = state
            .iter()
            .map(|(name, cores, _)| if cores.is_empty() { format!("no {name}") } else { format!("{name} {cores}") })
            .collect();
        let words: Vec<String> = state
            .iter()
            .filter(|(_, cores, _)| !plan.hot.without(cores).is_empty())
            .map(|(_, cores, word)| format!("{word}{}", cores.with(&plan.hot)))
            .collect();
        let found = Finding::ok(self.name(), subject, is.join(", "));
        if words.is_empty() {
            return vec![found];
        }
        let words = words.join(" ");
        let should = format!("booted with {words}");
        // Two cores cannot spare one: whoever has no more has not come for tails.
        let found =
            if plan.hot.count() + plan.quiet.count() > 2 { found.fix(should, WHY) } else { found.note(should, WHY) };
        vec![found.command(format!(
            "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{words} /' /etc/default/grub && sudo update-grub    # then reboot"
        ))]
    }
}

/// The cores of a parameter that stands on the kernel's command line, the last one if it stands there twice. `all` and
/// `N` (the last core) are its words for what a list cannot say.
fn parameter(command_line: &str, name: &str, plan: &Plan) -> Cores {
    let online = plan.hot.with(&plan.quiet);
    let last = online.iter().last().unwrap_or(0);
    let mut values = command_line.split_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    match values.next_back() {
        Some("all") => online,
        Some(list) => list.replace('N', &last.to_string()).parse().unwrap_or_default(),
        None => Cores::default(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parameters() {
        let cores = |text: &str| text.parse::<Cores>().unwrap();
        let plan = Plan { interfaces: Vec::new(), hot: cores("1-3"), quiet: cores("0"), hugepages: 0, queues: None };
        let table = [
            ("quiet rcu_nocbs=1-2", "1-2"),
            ("rcu_nocbs=1 rcu_nocbs=2", "2"),
            ("rcu_nocbs=all", "0-3"),
            ("rcu_nocbs=2-N", "2-3"),
            ("rcu_nocbs=x", ""),
            ("rcu_nocbs_poll", ""),
            ("", ""),
        ];
        for (line, found) in table {
            assert_eq!(parameter(line, "rcu_nocbs", &plan).to_string(), found, "{line}");
        }
    }
}
