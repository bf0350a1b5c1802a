//! Host tuning for a bare-metal validator: what `hpb tune check`, `apply` and `undo` do.
//!
//! Every [`Item`](item::Item) looks at one thing of the host and returns [`Finding`]s: what is, what should be, why it
//! matters, and the commands that mend it. An item only reads. What can be mended at run time comes as data, a list of
//! [`Change`]s, so that one piece of code makes all changes ([`apply`](apply::apply)), one journal knows them all
//! ([`journal`]) and one piece of code takes them back ([`undo`](undo::undo)).
//!
//! It refuses to loosen what an administrator has closed (`kernel.io_uring_disabled`, file capabilities), to stop
//! services and to take cores offline: for these it names the command and leaves the choice.

pub mod apply;
pub mod cores;
mod durable;
pub mod finding;
pub mod host;
pub mod item;
mod items;
pub mod journal;
pub mod plan;
pub mod report;
pub mod setting;
mod sys;
pub mod system;
pub mod undo;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use finding::{Change, Finding, Level};
pub use host::Host;
pub use plan::{Plan, Wishes};
pub use setting::Setting;
