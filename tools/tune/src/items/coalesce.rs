//! How long an interface holds its interrupts back.

use crate::finding::{Change, Finding};
use crate::host::{Field, Host};
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::{Setting, on_or_off};

/// Coalescing of received frames (`ethtool -c`).
pub(crate) struct Coalesce;

/// The longest that is no trouble, in microseconds.
const HELD_US_MAX: u32 = 8;

impl Item for Coalesce {
    fn name(&self) -> &'static str {
        "coalesce"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        plan.interfaces.iter().map(|interface| self.of(host, interface)).collect()
    }
}

impl Coalesce {
    fn of(&self, host: &dyn Host, interface: &str) -> Finding {
        let number = |field| host.number(interface, field).map(|number| number.value);
        let (Ok(held_us), Ok(adaptive)) = (number(Field::CoalesceRxMicros), number(Field::CoalesceAdaptiveRx)) else {
            return Finding::ok(self.name(), interface, "interrupts come at once");
        };
        let is = format!("rx-usecs {held_us}, adaptive-rx {}", on_or_off(adaptive != 0));
        let found = Finding::ok(self.name(), interface, is);
        let mut changes = Vec::new();
        if adaptive != 0 {
            changes.push(Change::new(Setting::number(interface, Field::CoalesceAdaptiveRx), "0"));
        }
        if held_us > HELD_US_MAX {
            let setting = Setting::number(interface, Field::CoalesceRxMicros);
            changes.push(Change::new(setting, HELD_US_MAX.to_string()));
        }
        if changes.is_empty() {
            return found;
        }
        let should = format!("at most {HELD_US_MAX} µs, and not adaptive");
        found.fix(should, "every message waits so long before anybody looks at it").changes(changes)
    }
}
