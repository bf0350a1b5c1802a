//! Cutting a TCP super-frame into the segments that it stands for. It keeps its place, so that a burst without room is
//! no loss.

use hpb_base::limits::{FRAME_LEN_MAX, SUPER_FRAME_LEN_MAX};

use super::{
    Layout, Malformed, Segmentation, TCP_CHECKSUM_AT, TCP_CWR, TCP_FIN, TCP_PSH, VirtioHeader, be16, be32,
    complete_checksum, fold, put16, set_packet_len, sum,
};
use crate::frame::{Frame, Partial};

/// The place in a super-frame up to which it is cut. The super-frame's bytes stay with the caller.
#[derive(Clone, Debug)]
pub struct Cutter {
    layout: Layout,
    segment_len: usize,
    /// Where the payload ends.
    end_at: usize,
    /// Where the next segment's payload starts.
    at: usize,
    sequence: u32,
    identification: u16,
    flags: u8,
    /// The sum of the pseudo-header, without the segment's length.
    pseudo_sum: u64,
    /// The segments' checksums are written out; else they stay partial.
    is_computed: bool,
}

impl Cutter {
    /// Starts on a super-frame.
    ///
    /// Its checksum is partial or vouched for, as a rule; where it is neither, it is checked here, once, and each
    /// segment's is computed. The frame's own length counts and not its IP header's, which is too small for some.
    ///
    /// # Errors
    /// [`Malformed`] if header and frame contradict each other, the checksum does not hold, or a segment would not fit
    /// a frame.
    pub fn new(header: &VirtioHeader, bytes: &[u8]) -> Result<Self, Malformed> {
        let layout = Layout::of(bytes).ok_or(Malformed)?;
        let is_ipv6 = match header.segmentation {
            Segmentation::Tcp4 => false,
            Segmentation::Tcp6 => true,
            Segmentation::None | Segmentation::Other => return Err(Malformed),
        };
        let segment_len = usize::from(header.segment_len);
        let fits = segment_len > 0
            && layout.is_ipv6 == is_ipv6
            && layout.payload_at < bytes.len()
            && layout.payload_at + segment_len <= FRAME_LEN_MAX
            && bytes.len() <= SUPER_FRAME_LEN_MAX
            && header.partial.is_none_or(|partial| partial == partial_at(layout.tcp_at));
        if !fits {
            return Err(Malformed);
        }
        let pseudo_sum = layout.pseudo_sum(bytes);
        let is_computed = header.partial.is_none() && !header.is_valid;
        let tcp_len = bytes.len() - layout.tcp_at;
        if is_computed && fold(pseudo_sum + tcp_len as u64 + sum(&bytes[layout.tcp_at..])) != 0xffff {
            return Err(Malformed);
        }
        Ok(Self {
            layout,
            segment_len,
            end_at: bytes.len(),
            at: layout.payload_at,
            sequence: be32(bytes, layout.tcp_at + 4),
            identification: if is_ipv6 { 0 } else { be16(bytes, layout.ip_at + 4) },
            flags: bytes[layout.tcp_at + 13],
            pseudo_sum,
            is_computed,
        })
    }

    /// Whether all is cut.
    pub fn is_done(&self) -> bool {
        self.at >= self.end_at
    }

    /// Writes the next segment into `frame`, from the same `bytes` that it started on; false, and nothing written, when
    /// all is cut.
    ///
    /// # Panics
    /// If `bytes` are fewer than it started on.
    pub fn cut(&mut self, bytes: &[u8], frame: &mut Frame) -> bool {
        if self.is_done() {
            return false;
        }
        let Layout { is_ipv6, ip_at, tcp_at, payload_at, .. } = self.layout;
        let payload_len = self.segment_len.min(self.end_at - self.at);
        let (is_first, is_last) = (self.at == payload_at, self.at + payload_len == self.end_at);
        frame.set_len(payload_at + payload_len);
        let out = frame.bytes_mut();
        out[..payload_at].copy_from_slice(&bytes[..payload_at]);
        out[payload_at..].copy_from_slice(&bytes[self.at..self.at + payload_len]);
        if !is_ipv6 {
            put16(out, ip_at + 4, self.identification);
        }
        let packet_len = out.len() - ip_at;
        set_packet_len(&mut out[ip_at..], is_ipv6, tcp_at - ip_at, packet_len);
        let tcp = &mut out[tcp_at..];
        tcp[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        tcp[13] = self.flags & !if is_last { 0 } else { TCP_FIN | TCP_PSH } & !if is_first { 0 } else { TCP_CWR };
        // What stands in the field of a partial checksum, of this segment's own length.
        let pseudo_sum = fold(self.pseudo_sum + tcp.len() as u64);
        put16(tcp, TCP_CHECKSUM_AT, pseudo_sum);
        let partial = partial_at(tcp_at);
        if self.is_computed {
            let completed = complete_checksum(out, partial);
            debug_assert!(completed.is_ok(), "the field lies in the header");
        } else {
            frame.set_partial(Some(partial));
        }
        frame.set_verified(true);
        self.at += payload_len;
        self.sequence = self.sequence.wrapping_add(payload_len as u32);
        self.identification = self.identification.wrapping_add(1);
        true
    }
}

/// The checksum of a TCP header at `tcp_at`, which is in the first bytes of a frame.
pub(super) fn partial_at(tcp_at: usize) -> Partial {
    Partial { start: tcp_at as u16, offset: TCP_CHECKSUM_AT as u16 }
}
