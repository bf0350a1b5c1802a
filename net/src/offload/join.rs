//! Joining the segments of one session that wait one behind the other into one super-frame, which the device or the
//! kernel cuts apart again: one system call, and one walk through the kernel's layers, for up to 64 KiB.

use std::io::IoSlice;

use hpb_base::limits::JOINED_LEN_MAX;

use super::cut::partial_at;
use super::{
    ETHERNET_LEN, ETHERTYPE_VLAN, Layout, Malformed, Segmentation, TAG_LEN, TCP_ACK, TCP_CHECKSUM_AT, TCP_PSH,
    VirtioHeader, be16, be32, checksum_end, fold, put16, set_packet_len,
};
use crate::frame::Frame;

/// The longest headers of a joined frame in bytes: Ethernet with a tag, IPv4 and TCP with all options.
const HEADERS_LEN_MAX: usize = ETHERNET_LEN + TAG_LEN + 60 + 60;

/// What leaves next: some frames from the front, as one message to the device.
#[derive(Clone, Debug)]
pub struct Departure {
    count: usize,
    header: [u8; super::HEADER_LEN],
    headers: [u8; HEADERS_LEN_MAX],
    headers_len: usize,
}

impl Departure {
    /// Decides how many of `frames` from the front leave as one: segments of one session in order, of equal payload
    /// but for a shorter last one, their headers the same but for length, identification, sequence and checksum, and
    /// with all checksums left to the port. A frame with PSH is the last. `joins` false: always one.
    ///
    /// # Errors
    /// [`Malformed`] if the first frame is too short, larger than an IP packet of `mtu` bytes with its Ethernet header,
    /// or has its checksum outside of itself.
    ///
    /// # Panics
    /// If `frames` is empty.
    pub fn plan(frames: &[Frame], mtu: usize, joins: bool) -> Result<Self, Malformed> {
        let first = &frames[0];
        let bytes = first.bytes();
        if bytes.len() < ETHERNET_LEN || bytes.len() > frame_len_max(bytes, mtu) {
            return Err(Malformed);
        }
        if let Some(partial) = first.partial() {
            checksum_end(partial, bytes.len())?;
        }
        let alone = VirtioHeader { partial: first.partial(), ..VirtioHeader::default() };
        let mut departure = Self { count: 1, header: alone.to_bytes(), headers: [0; HEADERS_LEN_MAX], headers_len: 0 };
        if joins && frames.len() > 1 && first.partial().is_some() {
            departure.join(frames);
        }
        Ok(departure)
    }

    /// How many frames it takes from the front.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many parts [`gather`](Self::gather) writes.
    pub fn parts_count(&self) -> usize {
        1 + usize::from(self.headers_len > 0) + self.count
    }

    /// Lists the parts of the message: the offload header, the super-frame's headers if it is one, and of each of its
    /// `frames` what follows. Returns how many.
    ///
    /// # Panics
    /// If `frames` are not those that it was planned for, or `parts` has no room.
    pub fn gather<'a>(&'a self, frames: &'a [Frame], parts: &mut [IoSlice<'a>]) -> usize {
        parts[0] = IoSlice::new(&self.header);
        let mut at = 1;
        if self.headers_len > 0 {
            parts[at] = IoSlice::new(&self.headers[..self.headers_len]);
            at += 1;
        }
        for frame in frames {
            parts[at] = IoSlice::new(&frame.bytes()[self.headers_len..]);
            at += 1;
        }
        at
    }

    fn join(&mut self, frames: &[Frame]) {
        let first = frames[0].bytes();
        let Some(layout) = joinable(&frames[0]) else { return };
        let headers_len = layout.payload_at;
        let segment_len = first.len() - headers_len;
        let mut len = first.len();
        let mut last = first;
        for frame in &frames[1..] {
            let bytes = frame.bytes();
            let is_next = last.len() == first.len()
                && last[layout.tcp_at + 13] & TCP_PSH == 0
                && bytes.len() <= first.len()
                && len + (bytes.len().saturating_sub(headers_len)) <= JOINED_LEN_MAX
                && joinable(frame).is_some_and(|other| other.payload_at == headers_len)
                && is_same_session(first, bytes, layout)
                && be32(bytes, layout.tcp_at + 4)
                    == be32(first, layout.tcp_at + 4).wrapping_add((self.count * segment_len) as u32);
            if !is_next {
                break;
            }
            self.count += 1;
            len += bytes.len() - headers_len;
            last = bytes;
        }
        if self.count == 1 {
            return;
        }
        self.headers_len = headers_len;
        let headers = &mut self.headers[..headers_len];
        headers.copy_from_slice(&first[..headers_len]);
        let Layout { is_ipv6, ip_at, tcp_at, .. } = layout;
        set_packet_len(&mut headers[ip_at..], is_ipv6, tcp_at - ip_at, len - ip_at);
        headers[tcp_at + 13] = last[tcp_at + 13];
        put16(headers, tcp_at + TCP_CHECKSUM_AT, fold(layout.pseudo_sum(first) + (len - tcp_at) as u64));
        let header = VirtioHeader {
            partial: Some(partial_at(tcp_at)),
            is_valid: false,
            segmentation: if is_ipv6 { Segmentation::Tcp6 } else { Segmentation::Tcp4 },
            headers_len: headers_len as u16,
            segment_len: segment_len as u16,
        };
        self.header = header.to_bytes();
    }
}

/// The largest frame for an IP packet of `mtu` bytes, tagged or not.
pub(super) fn frame_len_max(bytes: &[u8], mtu: usize) -> usize {
    mtu + ETHERNET_LEN + if be16(bytes, 12) == ETHERTYPE_VLAN { TAG_LEN } else { 0 }
}

/// The layout of a frame that may be joined with others: a TCP segment with payload, no flags but ACK and PSH, whole
/// and without padding, whose checksum is left to the port.
fn joinable(frame: &Frame) -> Option<Layout> {
    let bytes = frame.bytes();
    let layout = Layout::of(bytes)?;
    let flags = bytes[layout.tcp_at + 13];
    let is_joinable = frame.partial() == Some(partial_at(layout.tcp_at))
        && layout.end_at == bytes.len()
        && layout.payload_at < bytes.len()
        && layout.payload_at <= HEADERS_LEN_MAX
        && flags & !TCP_PSH == TCP_ACK
        // The header's length alone, and no flag beside it.
        && bytes[layout.tcp_at + 12] == (((layout.payload_at - layout.tcp_at) / 4) << 4) as u8;
    is_joinable.then_some(layout)
}

/// Whether two segments' headers, of the same layout, differ in nothing that the device does not write anew.
fn is_same_session(first: &[u8], other: &[u8], layout: Layout) -> bool {
    let Layout { is_ipv6, ip_at, tcp_at, payload_at, .. } = layout;
    let same = |from: usize, to: usize| first[from..to] == other[from..to];
    let is_same_ip = if is_ipv6 {
        same(0, ip_at + 4) && same(ip_at + 6, tcp_at)
    } else {
        same(0, ip_at + 2) && same(ip_at + 6, ip_at + 10) && same(ip_at + 12, tcp_at)
    };
    // Ports; acknowledgement and header length; window; urgent pointer and options.
    is_same_ip
        && same(tcp_at, tcp_at + 4)
        && same(tcp_at + 8, tcp_at + 13)
        && same(tcp_at + 14, tcp_at + 16)
        && same(tcp_at + 18, payload_at)
}
