//! Whether an interface's rings hold a burst. Deeper ones than needed are left: they cost only cache.

use crate::finding::{Change, Finding};
use crate::host::{Field, Host, Number};
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Depths of the interfaces' rings (`ethtool -g`).
pub(crate) struct Rings;

/// Frames that a ring should hold: what 10 Gbit/s bring in 150 µs at the smallest length, the longest that a turn of a
/// lane may be late.
const DEPTH_MIN: u32 = 2_048;

impl Item for Rings {
    fn name(&self) -> &'static str {
        "rings"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        plan.interfaces.iter().map(|interface| self.of(host, interface)).collect()
    }
}

impl Rings {
    fn of(&self, host: &dyn Host, interface: &str) -> Finding {
        let known: Vec<(Field, Number)> = [Field::RingRx, Field::RingTx]
            .into_iter()
            .filter_map(|field| Some((field, host.number(interface, field).ok()?)))
            .filter(|(_, number)| number.most.is_some_and(|most| most > 0))
            .collect();
        if known.is_empty() {
            return Finding::ok(self.name(), interface, "of a fixed depth");
        }
        let parts: Vec<String> =
            known.iter().map(|(field, number)| format!("{} {} frames", field.words().1, number.value)).collect();
        let found = Finding::ok(self.name(), interface, parts.join(", "));
        let changes: Vec<Change> = known
            .iter()
            .map(|(field, number)| (field, number.value, DEPTH_MIN.min(number.most.unwrap_or(DEPTH_MIN))))
            .filter(|(_, value, wanted)| value < wanted)
            .map(|(field, _, wanted)| Change::new(Setting::number(interface, *field), wanted.to_string()))
            .collect();
        if changes.is_empty() {
            return found;
        }
        let should = format!("{DEPTH_MIN} frames, or as many as the device has");
        found.fix(should, "a burst that finds the ring full is lost, and TCP waits for a second").changes(changes)
    }
}
