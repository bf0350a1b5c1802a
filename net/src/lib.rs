//! Frames in and out of the card. This crate knows frames, addresses and time; it knows no TCP.

#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod frame;
pub mod open;
pub mod pcap;
pub mod port;
pub mod sys;
pub mod wire;

pub use frame::{Bursts, Frame, FramePool};
pub use open::{OpenError, OpenOptions};
pub use port::{Capabilities, HardwareAddress, Medium, Port, PortCounters};
