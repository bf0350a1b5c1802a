//! What a running card shows of itself: questions come to a [`Desk`], which has the lanes answer, and each lane answers
//! by its [`LaneDesk`], one question a turn and a page at a time, so that no lane is ever held.
//!
//! A node's desk sits with its local socket, off the hot cores; a bare card has the same one. It refuses what finds no
//! room: whoever asks is told to ask again.

pub mod counters;
mod desk;
mod lane;
mod parting;
#[cfg(test)]
mod tests;

pub use desk::{Asked, Desk, LaneEnds};
pub use lane::{LaneAsk, LaneDesk, LaneTold};
pub use parting::part_all;
