//! The model of confirms and finality, explored whole, and held against the alternatives to its rules.
//!
//! `cargo test -p hpb-model`.

#![allow(clippy::unwrap_used)]

mod alternatives;
mod by_hand;
mod checker;
mod finality;
mod protocol;
mod reductions;
