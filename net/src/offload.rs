//! The virtio-net header that packet sockets and TAP devices put in front of each frame, and the work that it stands
//! for: checksums left open, and TCP super-frames of up to 64 KiB that are cut apart on the way in ([`Cutter`]) and
//! joined on the way out ([`Departure`]). (virtio 1.2, section 5.1.6; `linux/virtio_net.h`.)
//!
//! Pure: no device, no system call. What comes from a device is foreign: a header that contradicts itself or its frame
//! is [`Malformed`], never a panic. UDP super-frames are refused.

mod cut;
mod join;
mod slots;
#[cfg(test)]
mod tests;

pub use cut::Cutter;
pub use join::Departure;
pub(crate) use slots::Slots;

use crate::frame::{Frame, Partial};

/// The header's length in bytes. Where buffers are merged two more follow, which are not ours to read.
pub const HEADER_LEN: usize = 10;

/// An Ethernet header's length in bytes, without tags.
pub const ETHERNET_LEN: usize = 14;
/// A VLAN tag's length in bytes (IEEE 802.1Q).
pub const TAG_LEN: usize = 4;

const FLAG_NEEDS_CHECKSUM: u8 = 1;
const FLAG_DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCP4: u8 = 1;
const GSO_TCP6: u8 = 4;
/// Set beside the kind: congestion notification is in use, so that CWR belongs to the first segment only.
const GSO_ECN: u8 = 0x80;

pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(crate) const ETHERTYPE_VLAN: u16 = 0x8100;
pub(crate) const IPV4_LEN_MIN: usize = 20;
pub(crate) const IPV6_LEN: usize = 40;
pub(crate) const TCP_LEN_MIN: usize = 20;
pub(crate) const PROTOCOL_TCP: u8 = 6;
/// The bits of an IPv4 header's seventh and eighth byte that a whole packet has not set: more fragments, and an offset.
const FRAGMENT: u16 = 0x3fff;
/// Where a TCP header's checksum stands, in bytes from its start.
pub(crate) const TCP_CHECKSUM_AT: usize = 16;
pub(crate) const TCP_FIN: u8 = 0x01;
pub(crate) const TCP_PSH: u8 = 0x08;
pub(crate) const TCP_ACK: u8 = 0x10;
pub(crate) const TCP_CWR: u8 = 0x80;

/// A header that contradicts itself, or the frame behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an offload header that contradicts itself or its frame")]
pub struct Malformed;

/// Whether a frame is one segment or many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Segmentation {
    /// One.
    #[default]
    None,
    /// Many of TCP in IPv4.
    Tcp4,
    /// Many of TCP in IPv6.
    Tcp6,
    /// Many of something that is not cut here.
    Other,
}

/// What stands in front of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VirtioHeader {
    /// The checksum that is to be completed.
    pub partial: Option<Partial>,
    /// Whoever sent it vouches for its checksum.
    pub is_valid: bool,
    /// One segment or many.
    pub segmentation: Segmentation,
    /// Bytes of the frame's headers: a hint.
    pub headers_len: u16,
    /// Bytes of payload in each segment but the last.
    pub segment_len: u16,
}

impl VirtioHeader {
    /// Reads a header; fields are in the host's byte order, as both devices write them.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let field = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let segmentation = match bytes[1] & !GSO_ECN {
            GSO_NONE => Segmentation::None,
            GSO_TCP4 => Segmentation::Tcp4,
            GSO_TCP6 => Segmentation::Tcp6,
            _ => Segmentation::Other,
        };
        let partial = Partial { start: field(6), offset: field(8) };
        Self {
            partial: (bytes[0] & FLAG_NEEDS_CHECKSUM != 0).then_some(partial),
            is_valid: bytes[0] & FLAG_DATA_VALID != 0,
            segmentation,
            headers_len: field(2),
            segment_len: field(4),
        }
    }

    /// Writes it. A kind that is not cut here is written as none.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = if self.partial.is_some() { FLAG_NEEDS_CHECKSUM } else { 0 };
        bytes[0] |= if self.is_valid { FLAG_DATA_VALID } else { 0 };
        bytes[1] = match self.segmentation {
            Segmentation::None | Segmentation::Other => GSO_NONE,
            Segmentation::Tcp4 => GSO_TCP4,
            Segmentation::Tcp6 => GSO_TCP6,
        };
        bytes[2..4].copy_from_slice(&self.headers_len.to_ne_bytes());
        bytes[4..6].copy_from_slice(&self.segment_len.to_ne_bytes());
        if let Some(partial) = self.partial {
            bytes[6..8].copy_from_slice(&partial.start.to_ne_bytes());
            bytes[8..].copy_from_slice(&partial.offset.to_ne_bytes());
        }
        bytes
    }

    /// Says of a received frame what this header says of it. A checksum that is to be completed belongs to a frame that
    /// never left this host: the frame counts as verified, and stays marked as partial, so that whoever sends it on
    /// leaves that to a port, or completes it ([`complete_checksum`]).
    ///
    /// # Errors
    /// [`Malformed`] if the checksum lies outside of the frame.
    pub fn mark(&self, frame: &mut Frame) -> Result<(), Malformed> {
        if let Some(partial) = self.partial {
            checksum_end(partial, frame.len())?;
        }
        frame.set_verified(self.is_valid || self.partial.is_some());
        frame.set_partial(self.partial);
        Ok(())
    }
}

/// Where the checksum's field ends, if it lies inside a frame of `len` bytes.
fn checksum_end(partial: Partial, len: usize) -> Result<usize, Malformed> {
    let end = usize::from(partial.start) + usize::from(partial.offset) + 2;
    if end > len { Err(Malformed) } else { Ok(end) }
}

/// Completes a frame's checksum: sums the bytes from `partial.start` on, of which the field itself holds the sum of
/// the pseudo-header, and writes the result into the field.
///
/// # Errors
/// [`Malformed`] if the field lies outside of the frame.
pub fn complete_checksum(bytes: &mut [u8], partial: Partial) -> Result<(), Malformed> {
    let end = checksum_end(partial, bytes.len())?;
    let mut checksum = !fold(sum(&bytes[usize::from(partial.start)..]));
    // Zero means "none" in UDP, and its other form means the same sum everywhere (RFC 768).
    if checksum == 0 {
        checksum = 0xffff;
    }
    bytes[end - 2..end].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// The ones' complement sum of 16-bit words in network order, not folded (RFC 1071); an odd last byte is padded.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let mut total: u64 =
        words.by_ref().map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))).sum();
    let rest = words.remainder();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_be_bytes(last));
    total
}

/// Folds a sum into 16 bits.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Where the headers of an Ethernet frame with TCP in it stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Layout {
    /// IPv6, else IPv4.
    is_ipv6: bool,
    /// Where the IP header starts.
    ip_at: usize,
    /// Where the TCP header starts.
    tcp_at: usize,
    /// Where the payload starts.
    payload_at: usize,
    /// Where the packet ends, by what its IP header says.
    end_at: usize,
}

impl Layout {
    /// Reads the headers; `None` for anything but one whole TCP segment directly in IP, with at most one VLAN tag. The
    /// packet may end behind the frame's end, if a super-frame's IP length does not say the truth.
    fn of(frame: &[u8]) -> Option<Self> {
        if frame.len() < ETHERNET_LEN + TAG_LEN {
            return None;
        }
        let (ethertype, ip_at) = match be16(frame, 12) {
            ETHERTYPE_VLAN => (be16(frame, 16), ETHERNET_LEN + TAG_LEN),
            ethertype => (ethertype, ETHERNET_LEN),
        };
        let ip = &frame[ip_at..];
        let (is_ipv6, tcp_at, end_at) = match ethertype {
            ETHERTYPE_IPV4 => {
                let header_len = usize::from(ip.first()? & 15) * 4;
                let is_plain = ip.len() >= IPV4_LEN_MIN
                    && ip[0] >> 4 == 4
                    && header_len >= IPV4_LEN_MIN
                    // Neither a fragment nor the head of some.
                    && be16(ip, 6) & FRAGMENT == 0
                    && ip[9] == PROTOCOL_TCP;
                if !is_plain {
                    return None;
                }
                (false, ip_at + header_len, ip_at + usize::from(be16(ip, 2)))
            }
            ETHERTYPE_IPV6 => {
                if ip.len() < IPV6_LEN || ip[0] >> 4 != 6 || ip[6] != PROTOCOL_TCP {
                    return None;
                }
                (true, ip_at + IPV6_LEN, ip_at + IPV6_LEN + usize::from(be16(ip, 4)))
            }
            _ => return None,
        };
        let tcp = frame.get(tcp_at..tcp_at + TCP_LEN_MIN)?;
        let tcp_len = usize::from(tcp[12] >> 4) * 4;
        let payload_at = tcp_at + tcp_len;
        if tcp_len < TCP_LEN_MIN || payload_at > frame.len() {
            return None;
        }
        Some(Self { is_ipv6, ip_at, tcp_at, payload_at, end_at })
    }

    /// The sum of the pseudo-header (RFC 9293 section 3.1,
    /// RFC 8200 section 8.1), without the length.
    fn pseudo_sum(&self, frame: &[u8]) -> u64 {
        let addresses = if self.is_ipv6 { 8..IPV6_LEN } else { 12..IPV4_LEN_MIN };
        sum(&frame[self.ip_at + addresses.start..self.ip_at + addresses.end]) + u64::from(PROTOCOL_TCP)
    }
}

/// Writes into an IP header how long its packet is; IPv4's checksum follows.
fn set_packet_len(ip: &mut [u8], is_ipv6: bool, header_len: usize, packet_len: usize) {
    if is_ipv6 {
        put16(ip, 4, (packet_len - header_len) as u16);
        return;
    }
    put16(ip, 2, packet_len as u16);
    put16(ip, 10, 0);
    let checksum = !fold(sum(&ip[..header_len]));
    put16(ip, 10, checksum);
}
