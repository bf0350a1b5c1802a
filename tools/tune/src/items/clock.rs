//! Whether reading the clock is cheap. The kernel gives the cheap one up when it finds it unsteady, so that its choice
//! is named and never changed.

use crate::finding::Finding;
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;

/// The kernel's clock source.
pub(crate) struct Clock;

const PATH: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// Those that are read through a device: about a microsecond a reading, against 25 ns.
const SLOW: [&str; 4] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];

impl Item for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn check(&self, host: &dyn Host, _: &Plan) -> Vec<Finding> {
        let Some(source) = host.word(PATH) else { return Vec::new() };
        let found = Finding::ok(self.name(), "", format!("read from {source}"));
        vec![if SLOW.contains(&source.as_str()) {
            found
                .fix("tsc", "every turn of a lane reads the clock, and this one costs a microsecond each time")
                .command("sudo dmesg | grep -i tsc    # why the kernel gave it up; else boot with: tsc=reliable")
        } else {
            found
        }]
    }
}
