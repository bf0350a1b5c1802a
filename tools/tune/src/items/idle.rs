//! Whether a hot core that rests for a moment may fall into a sleep that it takes long to wake from (cpuidle).

use crate::cores::Cores;
use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Deep sleep states of the hot cores.
pub(crate) struct Idle;

/// A state that takes longer to wake from is deep, in microseconds.
const WAKE_US_MAX: u64 = 10;

impl Item for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        let mut deep = Vec::new();
        let (mut cores, mut slowest_us) = (Vec::new(), 0);
        for core in plan.hot.iter() {
            let folder = format!("/sys/devices/system/cpu/cpu{core}/cpuidle");
            let states = host.list(&folder).unwrap_or_default();
            for state in states.iter().filter(|name| name.starts_with("state")) {
                let wake_us = host.value::<u64>(&format!("{folder}/{state}/latency")).unwrap_or(0);
                let path = format!("{folder}/{state}/disable");
                if wake_us > WAKE_US_MAX && host.word(&path).is_some_and(|disabled| disabled == "0") {
                    deep.push(Change::new(Setting::kernel(path), "1"));
                    cores.push(core);
                    slowest_us = slowest_us.max(wake_us);
                }
            }
        }
        if plan.hot.is_empty() {
            return Vec::new();
        }
        if deep.is_empty() {
            let is = format!("no sleep takes longer than {WAKE_US_MAX} µs to wake from");
            return vec![Finding::ok(self.name(), format!("cores {}", plan.hot), is)];
        }
        let cores: Cores = cores.into_iter().collect();
        let is = format!("sleeps that take up to {slowest_us} µs to wake from");
        vec![
            Finding::ok(self.name(), format!("cores {cores}"), is)
                .fix(format!("{WAKE_US_MAX} µs or less"), "a lane that parks is woken so much later")
                .changes(deep),
        ]
    }
}
