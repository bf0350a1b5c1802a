//! The validator node: the machines of card, chain and ledger joined into one, and the runtime that drives them.

pub mod core;
pub mod diagnose;
pub mod engine;
pub mod proof;
pub mod runtime;
pub mod serve;
pub mod topology;
pub mod verify;
pub mod workers;
