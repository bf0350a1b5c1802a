//! Agreement on one chain: the seam that every engine fits, and the engines behind it.
//!
//! An engine is a machine without I/O (`hpb_base::machine`). It decides what is built, confirmed, chosen and final; its
//! host executes, signs, verifies, stores and sends. Nothing here knows a session, a disk or a virtual machine.
//!
//! [`Dpos`] is for producers who are elected and of whom less than a third may lie; [`Authority`] for a fixed set whose
//! members may crash and be cut off, but do not lie. What both need and neither decides alone (slots, pacing, a producer's
//! vow, waiting slices and confirms, signatures) stands beside them. One suite, `conformance`, holds both to what an engine
//! owes its host.

pub mod authority;
mod config;
mod confirms;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod conformance;
mod desk;
pub mod dpos;
pub mod engine;
pub mod light;
mod orphans;
mod pacing;
pub mod proof;
mod refused;
pub mod schedules;
mod slot;
mod verdict;
mod verify;
mod voter;
mod watermark;

pub use authority::Authority;
pub use config::Config;
pub use dpos::Dpos;
pub use engine::{
    Anchor, AnchorError, DropReason, Engine, HeadChange, Input, LinkEngine, LinkInput, LinkOutput, Office, Output,
    Proposal, Verified, Verify,
};
pub use light::{Finality, Light, LightError};
pub use proof::{Certified, FinalRun, ProofError, Prover};
pub use schedules::Schedules;
pub use slot::{Arrival, SlotClock};
pub use verify::{Verifier, VerifyError};
pub use watermark::{Memory, Watermark};
