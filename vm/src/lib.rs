//! What executes contracts, and what a contract may ask.
//!
//! An [`Engine`] runs one call; the [`Host`] behind it is the only way to state, authority, block time and the meter.
//! Neither knows how state is stored, nor which chain stands above. The ledger's built-in contracts are an engine like
//! any other; EVM, `NeoVM` and WASM stand beside it behind the same two traits.

pub mod engine;
pub mod host;
pub mod meter;

pub use engine::{Call, CallOutcome, End, Engine};
pub use host::{Halt, Host, Intent, Place, Table};
pub use meter::Meter;
