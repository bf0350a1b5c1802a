//! Agreement on one chain: the seam that every engine fits, and delegated proof of stake behind it.
//!
//! An engine is a machine without I/O (`hpb_base::machine`). It decides what is built, confirmed, chosen and final; its
//! host executes, signs, verifies, stores and sends. Nothing here knows a session, a disk or a virtual machine.

pub mod dpos;
pub mod engine;
pub mod schedules;

pub use dpos::Dpos;
pub use engine::{DropReason, Engine, HeadChange, Input, Office, Output, Proposal, Verified};
pub use schedules::Schedules;
