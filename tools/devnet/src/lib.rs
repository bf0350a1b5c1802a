//! The devnet: validators and thousands of terminals, each with a card and an address of its own, on one virtual wire
//! in one process. They share nothing but the wire.
//!
//! [`run`] is the main job; [`virtual_time`] runs the same machines on virtual time from a seed.

pub mod accounts;
pub mod archive;
pub mod audit;
mod byzantine;
pub mod chain_view;
pub mod history;
pub mod index;
pub mod peers;
pub mod plan;
pub mod producers;
pub mod proof;
pub mod prune;
pub mod report;
pub mod run;
pub mod snapshot;
pub mod terminals;
pub mod token;
pub mod virtual_time;
pub mod workload;
