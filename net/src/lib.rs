//! Frames in and out of the card. This crate knows frames, addresses and time; it knows no TCP.

pub mod bpf;
pub mod capture;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod frame;
pub mod offload;
pub mod open;
pub mod packet;
pub mod pcap;
pub mod port;
pub mod steer;
pub mod sys;
pub mod tap;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod twin;
pub mod url;
pub mod wire;
pub mod xdp;

pub use frame::{Bursts, Frame, FramePool};
pub use open::{OpenError, OpenOptions, open};
pub use packet::PacketPort;
pub use port::{Capabilities, HardwareAddress, Medium, Port, PortCounters};
pub use steer::{SteerKey, Steering};
pub use tap::TapPort;
pub use twin::Twinned;
pub use url::PortUrl;
pub use xdp::XdpPort;
