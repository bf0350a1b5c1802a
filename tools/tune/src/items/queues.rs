//! How many queues an interface has. A lane takes one: more than lanes, and the rest of the frames come to nobody.
//! Without a wish the number is named and left.

use crate::finding::{Change, Finding};
use crate::host::{Field, Host, Number};
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Queues of the interfaces (`ethtool -l`).
pub(crate) struct Queues;

const WHY: &str = "an AF_XDP port has a lane on every queue: a frame in a queue without one is lost to the card";

impl Item for Queues {
    fn name(&self) -> &'static str {
        "queues"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        plan.interfaces.iter().map(|interface| self.of(host, interface, plan.queues)).collect()
    }
}

impl Queues {
    fn of(&self, host: &dyn Host, interface: &str, wanted: Option<u32>) -> Finding {
        let fields = [Field::ChannelsCombined, Field::ChannelsRx, Field::ChannelsTx];
        let known: Vec<(Field, Number)> = fields
            .into_iter()
            .filter_map(|field| Some((field, host.number(interface, field).ok()?)))
            .filter(|(_, number)| number.most.is_some_and(|most| most > 0))
            .collect();
        if known.is_empty() {
            let found = Finding::ok(self.name(), interface, "a fixed number");
            return match wanted {
                Some(wanted) if wanted != 1 => found.note(wanted.to_string(), WHY),
                _ => found,
            };
        }
        let parts: Vec<String> = known
            .iter()
            .map(|(field, number)| {
                format!("{} {} of at most {}", number.value, field.words().1, number.most.unwrap_or(number.value))
            })
            .collect();
        let found = Finding::ok(self.name(), interface, parts.join(", "));
        let Some(wanted) = wanted else { return found };
        // Where the device combines, receiving and sending alone are extra queues that stay as they are.
        let combined = known.iter().any(|(field, _)| *field == Field::ChannelsCombined);
        let changes: Vec<Change> = known
            .iter()
            .filter(|(field, _)| !combined || *field == Field::ChannelsCombined)
            .map(|(field, number)| (field, number.value, wanted.min(number.most.unwrap_or(wanted))))
            .filter(|(_, value, wanted)| value != wanted)
            .map(|(field, _, wanted)| Change::new(Setting::number(interface, *field), wanted.to_string()))
            .collect();
        if changes.is_empty() { found } else { found.fix(wanted.to_string(), WHY).changes(changes) }
    }
}
