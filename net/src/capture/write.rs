//! One section, one interface or several, one enhanced packet a frame, stamps in nanoseconds.

use std::io::{self, Write};

use hpb_base::{Instant, UnixMillis};

use super::{
    BLOCK_OVERHEAD_LEN, CaptureLink, CapturePacket, ENHANCED_PACKET, FLAG_IN, FLAG_OUT, INTERFACE, LINKTYPE_ETHERNET,
    LINKTYPE_RAW, LINKTYPE_UPPER_PDU, OPTION_COMMENT, OPTION_END, OPTION_FLAGS, OPTION_NAME, OPTION_PROGRAM,
    OPTION_RESOLUTION, SECTION, SECTION_ORDER, Way,
};
use crate::port::Medium;

/// Nothing is cut off.
const SNAP_LEN: u32 = 0;
/// Stamps count in 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Writes frames with their time and direction.
pub struct CaptureWriter<W> {
    out: W,
    /// The wall-clock time of [`Instant::ZERO`].
    epoch: UnixMillis,
    block: Vec<u8>,
}

impl<W: Write> CaptureWriter<W> {
    /// Writes the file's head; `program` is named in it. Stamps are `epoch` plus the frame's instant.
    ///
    /// # Errors
    /// What the sink says.
    pub fn new(out: W, medium: Medium, epoch: UnixMillis, program: &str) -> io::Result<Self> {
        let mut writer = Self::section(out, epoch, program)?;
        let link = match medium {
            Medium::Ethernet => CaptureLink::Ethernet,
            Medium::Ip => CaptureLink::Ip,
        };
        writer.interface(link, "")?;
        Ok(writer)
    }

    /// Writes the head of a file whose interfaces are [named](Self::interface) one by one.
    ///
    /// # Errors
    /// What the sink says.
    pub fn section(out: W, epoch: UnixMillis, program: &str) -> io::Result<Self> {
        let mut writer = Self { out, epoch, block: Vec::new() };
        writer.block.extend_from_slice(&SECTION_ORDER.to_le_bytes());
        writer.block.extend_from_slice(&1_u16.to_le_bytes());
        writer.block.extend_from_slice(&0_u16.to_le_bytes());
        // The section's length is not known.
        writer.block.extend_from_slice(&u64::MAX.to_le_bytes());
        writer.option(OPTION_PROGRAM, program.as_bytes());
        writer.option(OPTION_END, &[]);
        writer.end_block(SECTION)?;
        Ok(writer)
    }

    /// Names one more interface, the first of which is 0; without a name if that is empty.
    ///
    /// # Errors
    /// What the sink says.
    pub fn interface(&mut self, link: CaptureLink, name: &str) -> io::Result<()> {
        let link = match link {
            CaptureLink::Ethernet => LINKTYPE_ETHERNET,
            CaptureLink::Ip => LINKTYPE_RAW,
            CaptureLink::UpperPdu => LINKTYPE_UPPER_PDU,
        };
        self.block.extend_from_slice(&link.to_le_bytes());
        self.block.extend_from_slice(&[0; 2]);
        self.block.extend_from_slice(&SNAP_LEN.to_le_bytes());
        if !name.is_empty() {
            self.option(OPTION_NAME, name.as_bytes());
        }
        self.option(OPTION_RESOLUTION, &[NANOSECONDS]);
        self.option(OPTION_END, &[]);
        self.end_block(INTERFACE)
    }

    /// Writes one packet of any of the interfaces.
    ///
    /// # Errors
    /// What the sink says.
    pub fn packet(&mut self, packet: &CapturePacket<'_>) -> io::Result<()> {
        let CapturePacket { interface, at_ns, way, bytes, whole_len, comment } = *packet;
        for field in [interface, (at_ns >> 32) as u32, at_ns as u32, bytes.len() as u32, whole_len] {
            self.block.extend_from_slice(&field.to_le_bytes());
        }
        self.padded(bytes);
        if !comment.is_empty() {
            self.option(OPTION_COMMENT, comment.as_bytes());
        }
        let flags = match way {
            Way::In => FLAG_IN,
            Way::Out => FLAG_OUT,
        };
        self.option(OPTION_FLAGS, &flags.to_le_bytes());
        self.option(OPTION_END, &[]);
        self.end_block(ENHANCED_PACKET)
    }

    /// Where it goes.
    pub fn sink(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write(&mut self, at: Instant, way: Way, frame: &[u8]) -> io::Result<()> {
        let at_ns = (u128::from(self.epoch.0) * 1_000_000 + u128::from(at.as_nanos())) as u64;
        let whole_len = frame.len() as u32;
        self.packet(&CapturePacket { interface: 0, at_ns, way, bytes: frame, whole_len, comment: "" })
    }

    /// Writes out what is buffered, and hands the sink back.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.block.extend_from_slice(&code.to_le_bytes());
        self.block.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.padded(value);
    }

    fn end_block(&mut self, kind: u32) -> io::Result<()> {
        let len = (self.block.len() + BLOCK_OVERHEAD_LEN) as u32;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&self.block)?;
        self.block.clear();
        self.out.write_all(&len.to_le_bytes())
    }
}
