//! What an item is, and the list of them all.

use crate::finding::Finding;
use crate::host::Host;
use crate::plan::Plan;

pub use crate::items::all;

/// One thing of the host that a validator cares for. It reads, and never changes: what should change it returns.
pub trait Item {
    /// Its name, as users read it.
    fn name(&self) -> &'static str;

    /// Looks at the host. What is not there is left out or said to be no trouble; an item never fails.
    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding>;
}

/// The findings of some items, in their order.
pub fn check(host: &dyn Host, plan: &Plan, items: &[&dyn Item]) -> Vec<Finding> {
    items.iter().flat_map(|item| item.check(host, plan)).collect()
}

/// The name of an item, of a word of the user's.
///
/// # Errors
/// A line that names all items.
pub fn name(word: &str) -> Result<&'static str, String> {
    let names = all().map(Item::name);
    let found = names.iter().copied().find(|name| *name == word);
    found.ok_or_else(|| format!("there is no item `{word}`: the items are {}", names.join(", ")))
}

/// The items with these names, in the order of all; all of them for no name.
pub fn named(names: &[&str]) -> Vec<&'static dyn Item> {
    all().into_iter().filter(|item| names.is_empty() || names.contains(&item.name())).collect()
}
