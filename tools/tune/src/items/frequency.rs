//! Whether the hot cores run at full clock at once, or speed up only when they find out that they are busy.

use crate::cores::Cores;
use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// The frequency governor of the hot cores, and turbo.
pub(crate) struct Frequency;

/// The file that says whether turbo is held off or let on, and what it says when it is on.
const TURBO: [(&str, &str); 2] =
    [("/sys/devices/system/cpu/intel_pstate/no_turbo", "0"), ("/sys/devices/system/cpu/cpufreq/boost", "1")];

impl Item for Frequency {
    fn name(&self) -> &'static str {
        "frequency"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        if plan.hot.is_empty() {
            return Vec::new();
        }
        let path = |core: usize| format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        let governors: Vec<(usize, String)> =
            plan.hot.iter().filter_map(|core| Some((core, host.word(&path(core))?))).collect();
        let subject = format!("cores {}", plan.hot);
        if governors.is_empty() {
            return vec![Finding::ok(self.name(), subject, "not Linux's to choose here")];
        }
        let slow: Vec<&(usize, String)> = governors.iter().filter(|(_, governor)| governor != "performance").collect();
        let mut findings = vec![if let Some((_, governor)) = slow.first() {
            let cores: Cores = slow.iter().map(|(core, _)| *core).collect();
            let changes = cores.iter().map(|core| Change::new(Setting::kernel(path(core)), "performance"));
            Finding::ok(self.name(), format!("cores {cores}"), format!("governor {governor}"))
                .fix("performance", "a core that has slept begins at its lowest clock and takes milliseconds to rise")
                .changes(changes.collect())
        } else {
            Finding::ok(self.name(), subject, "governor performance")
        }];
        for (path, on) in TURBO {
            if let Some(value) = host.word(path) {
                let found = Finding::ok(self.name(), "turbo", if value == on { "on" } else { "off" });
                findings.push(if value == on {
                    found
                        .note("as you like", "faster on the whole; off, the clock is the same in every run")
                        .command(format!("echo {} | sudo tee {path}", u8::from(on == "0")))
                } else {
                    found
                });
            }
        }
        findings
    }
}
