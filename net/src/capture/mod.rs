//! Captures in files: pcapng, with the direction of each frame, written and read; classic pcap, read.
//! (Formats: draft-ietf-opsawg-pcapng, draft-ietf-opsawg-pcap. A port's own capture in the classic format is
//! [`crate::pcap`].)
//!
//! A file that is read is foreign: it is followed block by block, never beyond [`CAPTURE_BLOCK_LEN_MAX`], and refused with
//! the byte at which it stops to make sense.

mod read;
#[cfg(test)]
mod tests;
mod write;

use hpb_base::limits::CAPTURE_BLOCK_LEN_MAX;

pub use read::{CaptureError, CaptureReader};
pub use write::CaptureWriter;

use crate::port::Medium;

/// Which way a frame went, as its port saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// It was received.
    In,
    /// It was sent.
    Out,
}

/// One frame of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapturedFrame {
    /// Nanoseconds since 1970-01-01 UTC, or since whatever the capture counts from; 0 where it does not say.
    pub at_ns: u64,
    /// Which way it went; a capture need not say.
    pub way: Option<Way>,
    /// What it starts with.
    pub medium: Medium,
    /// Its bytes, or the first ones of them.
    pub bytes: Vec<u8>,
    /// How long it was on the wire, in bytes.
    pub wire_len: u32,
}

/// What packets of one interface of a capture begin with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CaptureLink {
    /// An Ethernet header.
    Ethernet,
    /// An IP header.
    Ip,
    /// Wireshark's tags that name a dissector and the ends, and then what that is to read.
    UpperPdu,
}

/// A packet that is written.
#[derive(Clone, Copy, Debug)]
pub struct CapturePacket<'a> {
    /// Which interface, in the order in which they were named, from 0.
    pub interface: u32,
    /// Nanoseconds since 1970-01-01 UTC.
    pub at_ns: u64,
    /// Which way it went.
    pub way: Way,
    /// Its bytes, or the first ones of them.
    pub bytes: &'a [u8],
    /// How long the whole packet is, in bytes.
    pub whole_len: u32,
    /// What is to be said of it; empty for nothing.
    pub comment: &'a str,
}

const LINKTYPE_ETHERNET: u16 = 1;
const LINKTYPE_RAW: u16 = 101;
const LINKTYPE_IPV4: u16 = 228;
const LINKTYPE_IPV6: u16 = 229;
const LINKTYPE_UPPER_PDU: u16 = 252;

const SECTION: u32 = 0x0a0d_0d0a;
const SECTION_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
/// Of an enhanced packet: its two lowest bits are the direction.
const OPTION_FLAGS: u16 = 2;
const FLAG_IN: u32 = 1;
const FLAG_OUT: u32 = 2;
/// Of an interface: its name.
const OPTION_NAME: u16 = 2;
/// Of an interface: what a tick of its stamps is.
const OPTION_RESOLUTION: u16 = 9;
/// Of a section: what wrote it.
const OPTION_PROGRAM: u16 = 4;

/// Bytes of a block besides its body: type, length, and the length again.
const BLOCK_OVERHEAD_LEN: usize = 12;
