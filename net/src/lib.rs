//! Frames in and out of the card. This crate knows frames, addresses and time; it knows no TCP.

pub mod frame;
pub mod pcap;
pub mod port;
pub mod sys;
pub mod wire;

pub use frame::{Bursts, Frame, FramePool};
pub use port::{Capabilities, Medium, Port, PortCounters};
