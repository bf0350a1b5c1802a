//! What a lane's device looks like: bursts of frames, and what the device does by itself.

use std::os::fd::RawFd;

use hpb_base::Instant;

use crate::frame::Bursts;

/// What a frame starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// An IPv4 or IPv6 header.
    Ip,
    /// An Ethernet header.
    Ethernet,
}

/// What a port does, so that the card need not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// What its frames start with.
    pub medium: Medium,
    /// The largest IP packet in bytes.
    pub mtu: usize,
    /// Receive queues.
    pub queues: usize,
    /// It verifies the checksums of received frames.
    pub checksum_rx: bool,
    /// It fills the checksums of sent frames.
    pub checksum_tx: bool,
    /// It cuts large TCP segments by itself.
    pub tso: bool,
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
    /// Received frames lost for want of a place.
    pub rx_dropped: u64,
}

/// A device under one lane. One thread drives it.
pub trait Port: Send {
    /// What it does by itself.
    fn capabilities(&self) -> Capabilities;

    /// Moves received frames into `bursts.rx` up to its room; returns how many.
    fn rx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize;

    /// Takes frames from the front of `bursts.tx` as far as the device has room; returns how many. What is left
    /// waits there: a frame is never lost for want of room.
    fn tx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize;

    /// When a frame that the port holds back falls due; `None` if it holds none.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// What a sleeper waits on for received frames; empty if the port has none and must be looked at.
    fn descriptors(&self) -> &[RawFd] {
        &[]
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

    fn counters(&self) -> PortCounters {
        (**self).counters()
    }
}
