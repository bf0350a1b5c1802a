//! Captures of whoever: both formats, both byte orders, any resolution of stamps.

use std::io::{self, Read};

use hpb_base::limits::CAPTURE_INTERFACES_MAX;

use super::{
    BLOCK_OVERHEAD_LEN, CAPTURE_BLOCK_LEN_MAX, CapturedFrame, ENHANCED_PACKET, FLAG_IN, FLAG_OUT, INTERFACE,
    LINKTYPE_ETHERNET, LINKTYPE_IPV4, LINKTYPE_IPV6, LINKTYPE_RAW, OPTION_END, OPTION_FLAGS, OPTION_RESOLUTION,
    SECTION, SECTION_ORDER, SIMPLE_PACKET, Way,
};
use crate::port::Medium;

const CLASSIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const CLASSIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Bytes of the classic format's head behind its magic, and before each frame.
const CLASSIC_HEAD_LEN: usize = 20;
const CLASSIC_RECORD_LEN: usize = 16;
/// Ticks a second where an interface does not say: microseconds.
const RESOLUTION_DEFAULT: u8 = 6;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The source failed.
    #[error("reading it: {0}")]
    Io(#[from] io::Error),
    /// It is neither format.
    #[error("neither pcap nor pcapng")]
    NotACapture,
    /// It ends inside a block, or contradicts itself.
    #[error("at byte {at}: {what}")]
    Malformed {
        /// Where the block begins.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Its frames start with something that is not understood.
    #[error("its frames are of link type {0}; understood are Ethernet (1) and raw IP (101, 228, 229)")]
    LinkType(u16),
}

#[derive(Clone, Copy)]
struct Interface {
    medium: Medium,
    /// What a tick is, as the option has it: a power of ten, or of two with the highest bit.
    resolution: u8,
    snap_len: u32,
}

#[derive(Clone, Copy)]
enum Format {
    Classic { nanoseconds: bool, medium: Medium },
    Blocks,
}

/// Reads a capture frame by frame.
pub struct CaptureReader<R> {
    source: R,
    /// Bytes read so far.
    at: u64,
    big_endian: bool,
    format: Format,
    interfaces: Vec<Interface>,
}

impl<R: Read> CaptureReader<R> {
    /// Reads the file's head.
    ///
    /// # Errors
    /// [`CaptureError`]: it is no capture, or one of a link type that is not understood.
    pub fn new(source: R) -> Result<Self, CaptureError> {
        let mut reader = Self { source, at: 0, big_endian: false, format: Format::Blocks, interfaces: Vec::new() };
        let magic = reader.take::<4>()?.ok_or(CaptureError::NotACapture)?;
        match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (SECTION, _) => reader.section()?,
            (CLASSIC_MICROSECONDS, _) => reader.classic(false, false)?,
            (CLASSIC_NANOSECONDS, _) => reader.classic(false, true)?,
            (_, CLASSIC_MICROSECONDS) => reader.classic(true, false)?,
            (_, CLASSIC_NANOSECONDS) => reader.classic(true, true)?,
            _ => return Err(CaptureError::NotACapture),
        }
        Ok(reader)
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// As [`new`](Self::new), and a block that contradicts itself.
    pub fn next_frame(&mut self) -> Result<Option<CapturedFrame>, CaptureError> {
        match self.format {
            Format::Classic { nanoseconds, medium } => self.classic_frame(nanoseconds, medium),
            Format::Blocks => loop {
                let began_at = self.at;
                let Some(kind) = self.take::<4>()? else { return Ok(None) };
                if u32::from_le_bytes(kind) == SECTION {
                    self.interfaces.clear();
                    self.section()?;
                    continue;
                }
                let body = self.block(began_at, 0)?;
                match self.u32(kind) {
                    INTERFACE => self.interface(began_at, &body)?,
                    ENHANCED_PACKET => return self.enhanced(began_at, &body).map(Some),
                    SIMPLE_PACKET => return self.simple(began_at, &body).map(Some),
                    // Names, statistics, secrets and what others define.
                    _ => {}
                }
            },
        }
    }

    fn classic(&mut self, big_endian: bool, nanoseconds: bool) -> Result<(), CaptureError> {
        self.big_endian = big_endian;
        let head = self.take::<CLASSIC_HEAD_LEN>()?.ok_or(CaptureError::NotACapture)?;
        // The link type's upper half may say how long the frames' check sums are.
        let link = self.u32([head[16], head[17], head[18], head[19]]) as u16;
        self.format = Format::Classic { nanoseconds, medium: medium(link)? };
        Ok(())
    }

    fn classic_frame(&mut self, nanoseconds: bool, medium: Medium) -> Result<Option<CapturedFrame>, CaptureError> {
        let began_at = self.at;
        let Some(record) = self.take::<CLASSIC_RECORD_LEN>()? else { return Ok(None) };
        let field = |at: usize| self.u32([record[at], record[at + 1], record[at + 2], record[at + 3]]);
        let (secs, part, len, wire_len) = (field(0), field(4), field(8), field(12));
        let part_ns = u64::from(part) * if nanoseconds { 1 } else { 1_000 };
        let bytes = self.bytes(began_at, len as usize)?;
        let at_ns = u64::from(secs) * 1_000_000_000 + part_ns;
        Ok(Some(CapturedFrame { at_ns, way: None, medium, bytes, wire_len }))
    }

    /// A section's head, behind its type.
    fn section(&mut self) -> Result<(), CaptureError> {
        let began_at = self.at - 4;
        let words =
            self.take::<8>()?.ok_or(CaptureError::Malformed { at: began_at, what: "a section without a head" })?;
        let (len, order) = words.split_at(4);
        self.big_endian = match <[u8; 4]>::try_from(order) {
            Ok(order) if u32::from_le_bytes(order) == SECTION_ORDER => false,
            Ok(order) if u32::from_be_bytes(order) == SECTION_ORDER => true,
            _ => return Err(CaptureError::Malformed { at: began_at, what: "a section of no byte order" }),
        };
        let len = self.u32([len[0], len[1], len[2], len[3]]) as usize;
        self.body(began_at, len, 4)?;
        Ok(())
    }

    /// A block's body, behind its type, of which `taken` bytes were read.
    fn block(&mut self, began_at: u64, taken: usize) -> Result<Vec<u8>, CaptureError> {
        let len = self.take::<4>()?.ok_or(CaptureError::Malformed { at: began_at, what: "it ends inside a block" })?;
        self.body(began_at, self.u32(len) as usize, taken)
    }

    fn body(&mut self, began_at: u64, len: usize, taken: usize) -> Result<Vec<u8>, CaptureError> {
        let rest = len.checked_sub(BLOCK_OVERHEAD_LEN + taken).filter(|_| len.is_multiple_of(4));
        let rest = rest.ok_or(CaptureError::Malformed { at: began_at, what: "a block of impossible length" })?;
        let body = self.bytes(began_at, rest)?;
        let again = self.take::<4>()?.map(|again| self.u32(again) as usize);
        if again != Some(len) {
            return Err(CaptureError::Malformed { at: began_at, what: "a block whose two lengths differ" });
        }
        Ok(body)
    }

    fn interface(&mut self, at: u64, body: &[u8]) -> Result<(), CaptureError> {
        let Some((head, options)) = body.split_first_chunk::<8>() else {
            return Err(CaptureError::Malformed { at, what: "an interface without a head" });
        };
        if self.interfaces.len() >= CAPTURE_INTERFACES_MAX {
            return Err(CaptureError::Malformed { at, what: "too many interfaces" });
        }
        let medium = medium(self.u16([head[0], head[1]]))?;
        let snap_len = self.u32([head[4], head[5], head[6], head[7]]);
        let resolution = self.option(options, OPTION_RESOLUTION).and_then(|value| value.first().copied());
        let resolution = resolution.unwrap_or(RESOLUTION_DEFAULT);
        self.interfaces.push(Interface { medium, resolution, snap_len });
        Ok(())
    }

    fn enhanced(&self, at: u64, body: &[u8]) -> Result<CapturedFrame, CaptureError> {
        let malformed = |what| CaptureError::Malformed { at, what };
        let (head, rest) = body.split_first_chunk::<20>().ok_or_else(|| malformed("a frame without a head"))?;
        let field = |at: usize| self.u32([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let interface = self.interfaces.get(field(0) as usize).ok_or_else(|| malformed("a frame of no interface"))?;
        let len = field(12) as usize;
        let bytes = rest.get(..len).ok_or_else(|| malformed("a frame longer than its block"))?;
        let options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        let flags = self.option(options, OPTION_FLAGS).and_then(|value| <[u8; 4]>::try_from(value).ok());
        let way = match flags.map_or(0, |flags| self.u32(flags)) & (FLAG_IN | FLAG_OUT) {
            FLAG_IN => Some(Way::In),
            FLAG_OUT => Some(Way::Out),
            _ => None,
        };
        let at_ns = nanoseconds(u64::from(field(4)) << 32 | u64::from(field(8)), interface.resolution);
        Ok(CapturedFrame { at_ns, way, medium: interface.medium, bytes: bytes.to_vec(), wire_len: field(16) })
    }

    fn simple(&self, at: u64, body: &[u8]) -> Result<CapturedFrame, CaptureError> {
        let malformed = |what| CaptureError::Malformed { at, what };
        let (head, rest) = body.split_first_chunk::<4>().ok_or_else(|| malformed("a frame without a head"))?;
        let interface = self.interfaces.first().ok_or_else(|| malformed("a frame of no interface"))?;
        let wire_len = self.u32(*head);
        let snap_len = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
        let bytes = rest.get(..wire_len.min(snap_len) as usize);
        let bytes = bytes.ok_or_else(|| malformed("a frame longer than its block"))?.to_vec();
        Ok(CapturedFrame { at_ns: 0, way: None, medium: interface.medium, bytes, wire_len })
    }

    /// The value of the first option of a code; options that contradict themselves end the list.
    fn option<'a>(&self, mut options: &'a [u8], wanted: u16) -> Option<&'a [u8]> {
        while let Some((head, rest)) = options.split_first_chunk::<4>() {
            let (code, len) = (self.u16([head[0], head[1]]), usize::from(self.u16([head[2], head[3]])));
            let value = rest.get(..len)?;
            if code == wanted {
                return Some(value);
            }
            if code == OPTION_END {
                return None;
            }
            options = rest.get(len.next_multiple_of(4)..)?;
        }
        None
    }

    /// The next `N` bytes; `None` if the source ends before the first of them.
    fn take<const N: usize>(&mut self) -> Result<Option<[u8; N]>, CaptureError> {
        let mut bytes = [0; N];
        let mut len = 0;
        while len < N {
            match self.source.read(&mut bytes[len..]) {
                Ok(0) if len == 0 => return Ok(None),
                Ok(0) => return Err(CaptureError::Malformed { at: self.at, what: "it ends inside a block" }),
                Ok(read) => {
                    len += read;
                    self.at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(bytes))
    }

    fn bytes(&mut self, began_at: u64, len: usize) -> Result<Vec<u8>, CaptureError> {
        if len > CAPTURE_BLOCK_LEN_MAX {
            return Err(CaptureError::Malformed { at: began_at, what: "a block longer than any frame needs" });
        }
        let mut bytes = Vec::new();
        self.source.by_ref().take(len as u64).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        if bytes.len() < len {
            return Err(CaptureError::Malformed { at: began_at, what: "it ends inside a block" });
        }
        Ok(bytes)
    }

    fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

fn medium(link: u16) -> Result<Medium, CaptureError> {
    match link {
        LINKTYPE_ETHERNET => Ok(Medium::Ethernet),
        LINKTYPE_RAW | LINKTYPE_IPV4 | LINKTYPE_IPV6 => Ok(Medium::Ip),
        other => Err(CaptureError::LinkType(other)),
    }
}

/// Ticks of a resolution as nanoseconds, held at the largest.
pub(super) fn nanoseconds(ticks: u64, resolution: u8) -> u64 {
    let power = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let per_second = base.checked_pow(power).unwrap_or(u128::MAX);
    let (secs, rest) = (u128::from(ticks) / per_second, u128::from(ticks) % per_second);
    let part = if per_second <= u128::from(u64::MAX) { rest * 1_000_000_000 / per_second } else { 0 };
    u64::try_from(secs * 1_000_000_000 + part).unwrap_or(u64::MAX)
}
