//! A card by itself on a port of this host: its lanes on the runtime, plain services at its TCP ports, sessions of its
//! own to an echo server, and its counters, session table and mode registers in reach while it runs.
//!
//! It has no chain above it. It is what a device, a link or a foreign TCP is tried with.

pub mod capture;
pub mod config;
mod control;
mod driver;
pub mod load;
pub mod report;
mod run;

pub use capture::{CaptureConfig, CaptureReport};
pub use config::{CardConfig, ConfigError};
pub use control::{Control, Order, parse_order};
pub use load::LoadConfig;
pub use report::Report;
pub use run::{CardError, Running, start, start_on};
