//! What a lane's device looks like: bursts of frames, and what the device does by itself.

use std::os::fd::RawFd;

use hpb_base::Instant;

use crate::frame::Bursts;
use crate::steer::Steering;

/// What a frame starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// An IPv4 or IPv6 header.
    Ip,
    /// An Ethernet header.
    Ethernet,
}

/// An Ethernet address.
pub type HardwareAddress = [u8; 6];

/// What a port does, so that the card need not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// What its frames start with.
    pub medium: Medium,
    /// Its own Ethernet address; all zeros where frames start with an IP header.
    pub hardware: HardwareAddress,
    /// The largest IP packet in bytes.
    pub mtu: usize,
    /// Receive queues of the device, each with a port of its own.
    pub queues: usize,
    /// Which of them this port is: 0 to `queues` - 1.
    pub queue: usize,
    /// It says of each received frame whether it has verified the TCP checksum ([`crate::Frame::is_verified`]); the
    /// card looks at the others itself.
    pub checksum_rx: bool,
    /// It completes the TCP checksum of sent frames whose field holds the sum of the pseudo-header only
    /// ([`crate::Frame::set_partial`]).
    pub checksum_tx: bool,
    /// It joins consecutive segments of a session, and the device cuts them apart again.
    pub tso: bool,
    /// Frames that the card leaves in [`Bursts::host`] go to the host behind the same device.
    pub twin: bool,
}

impl Capabilities {
    /// A port of one queue that does nothing by itself, with frames that start with an IP header.
    pub const fn plain(mtu: usize) -> Self {
        Self {
            medium: Medium::Ip,
            hardware: [0; 6],
            mtu,
            queues: 1,
            queue: 0,
            checksum_rx: false,
            checksum_tx: false,
            tso: false,
            twin: false,
        }
    }
}

/// What went through a port, and what did not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortCounters {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames to send that found the device full and wait.
    pub tx_full: u64,
    /// Frames to send that no one answers for.
    pub tx_unroutable: u64,
    /// Frames to send that the device refused for good: its link is down, or it calls them malformed.
    pub tx_refused: u64,
    /// Received frames lost for want of a place.
    pub rx_dropped: u64,
    /// Received frames that no frame of ours can hold, or whose offload header contradicts itself.
    pub rx_malformed: u64,
    /// Received frames larger than the MTU that were cut into segments.
    pub rx_split: u64,
    /// Frames passed to the host.
    pub host_frames: u64,
    /// Frames for the host lost because it does not take them.
    pub host_dropped: u64,
}

/// A device under one lane. One thread drives it.
pub trait Port: Send {
    /// What it does by itself.
    fn capabilities(&self) -> Capabilities;

    /// Moves received frames into `bursts.rx` up to its room; returns how many.
    fn rx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize;

    /// Takes frames from the front of `bursts.tx` as far as the device has room; returns how many. What is left
    /// waits there: a frame is never lost for want of room. A frame that the device refuses for good goes back to the
    /// pool and is counted.
    fn tx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize;

    /// When a frame that the port holds back falls due; `None` if it holds none.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// What a sleeper waits on for received frames; empty if the port has none and must be looked at.
    fn descriptors(&self) -> &[RawFd] {
        &[]
    }

    /// How the device itself shares flows among its queues; `None` if it has one, or shares in a way that is not known:
    /// then it is by the keyed hash of the card's secret where a program of ours decides, and by chance where none does.
    fn steering(&self) -> Option<Steering> {
        None
    }

    /// What went through so far.
    fn counters(&self) -> PortCounters;
}

/// A port whose kind is known only at run time.
impl<P: Port + ?Sized> Port for Box<P> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn rx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        (**self).rx_burst(now, bursts)
    }

    fn tx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        (**self).tx_burst(now, bursts)
    }

    fn wake_at(&self) -> Option<Instant> {
        (**self).wake_at()
    }

    fn descriptors(&self) -> &[RawFd] {
        (**self).descriptors()
    }

    fn steering(&self) -> Option<Steering> {
        (**self).steering()
    }

    fn counters(&self) -> PortCounters {
        (**self).counters()
    }
}
