//! Pooled frames, and the bursts of them that cross between a port and a lane.
//!
//! A frame moves by its pointer, never by its bytes. A pool is last in, first out, so that a lane's working set is
//! the frames in flight and not the pool; it refuses to grow past its limit.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use hpb_base::limits::{BURST_LEN_MAX, FRAME_LEN_MAX, POOL_FRAMES_MAX};

/// Bytes in front of a frame's first byte, for headers that a lower layer adds.
pub const HEADROOM_LEN: usize = 64;
const BUFFER_LEN: usize = HEADROOM_LEN + FRAME_LEN_MAX;

/// Where a checksum is missing: the bytes from `start` on are summed, the result goes to `start + offset`
/// (virtio 1.2, section 5.1.6.2, `csum_start` and `csum_offset`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partial {
    /// Where the sum begins, in bytes from the frame's start.
    pub start: u16,
    /// Where the checksum stands, in bytes from `start`; its field holds the pseudo-header's sum until then.
    pub offset: u16,
}

/// One frame: at most [`FRAME_LEN_MAX`] bytes in a buffer of its own.
pub struct Frame {
    buffer: Box<[u8; BUFFER_LEN]>,
    start: u16,
    len: u16,
    verified: bool,
    partial: Option<Partial>,
    arrived_unix_ns: Option<NonZeroU64>,
}

impl Frame {
    fn new() -> Self {
        Self {
            buffer: Box::new([0; BUFFER_LEN]),
            start: HEADROOM_LEN as u16,
            len: 0,
            verified: false,
            partial: None,
            arrived_unix_ns: None,
        }
    }

    /// The frame's length in bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start as usize..self.start as usize + self.len as usize]
    }

    /// Its bytes, to be rewritten in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start as usize..self.start as usize + self.len as usize]
    }

    /// Begins a new frame of `len` bytes (held at [`FRAME_LEN_MAX`]) behind the whole headroom; what they hold is
    /// unspecified.
    pub fn set_len(&mut self, len: usize) {
        self.start = HEADROOM_LEN as u16;
        self.len = len.min(FRAME_LEN_MAX) as u16;
        self.verified = false;
        self.partial = None;
        self.arrived_unix_ns = None;
    }

    /// Cuts what lies past the first `len` bytes, such as padding.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len.min(FRAME_LEN_MAX) as u16);
    }

    /// Takes `len` bytes (held at the frame's length) off its front: they become headroom.
    pub fn strip(&mut self, len: usize) {
        let len = (len.min(self.len())) as u16;
        self.start += len;
        self.len -= len;
        self.partial =
            self.partial.and_then(|partial| partial.start.checked_sub(len).map(|start| Partial { start, ..partial }));
    }

    /// Puts `header` in front of it; false, and nothing changed, if the headroom is too short.
    pub fn prepend(&mut self, header: &[u8]) -> bool {
        let Some(start) = (self.start as usize).checked_sub(header.len()) else { return false };
        self.buffer[start..start + header.len()].copy_from_slice(header);
        self.start = start as u16;
        self.len += header.len() as u16;
        if let Some(partial) = &mut self.partial {
            partial.start += header.len() as u16;
        }
        true
    }

    /// Whether its port has verified its TCP checksum, or vouches for a frame that never left this host.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// Says that the TCP checksum need not be looked at; for ports.
    pub fn set_verified(&mut self, verified: bool) {
        self.verified = verified;
    }

    /// Which checksum its port is to complete; `None` if it is whole. A received frame says so too, if its sender left it
    /// open: whoever sends such a frame on leaves that to a port, or completes it.
    pub fn partial(&self) -> Option<Partial> {
        self.partial
    }

    /// Leaves a checksum to the port, which must have said that it completes them.
    pub fn set_partial(&mut self, partial: Option<Partial>) {
        self.partial = partial;
    }

    /// When the device, or the kernel in front of it, had it: nanoseconds since 1970 by the host's clock; `None` where the
    /// port does not say ([`crate::OpenOptions::stamps`]).
    pub fn arrived_unix_ns(&self) -> Option<u64> {
        self.arrived_unix_ns.map(NonZeroU64::get)
    }

    /// Says when it arrived; for ports.
    pub fn set_arrived(&mut self, unix_ns: Option<NonZeroU64>) {
        self.arrived_unix_ns = unix_ns;
    }

    /// Takes a copy of `bytes`; what is past [`FRAME_LEN_MAX`] is cut.
    pub fn copy_from(&mut self, bytes: &[u8]) {
        self.set_len(bytes.len());
        let len = self.len();
        self.bytes_mut().copy_from_slice(&bytes[..len]);
    }
}

/// A bounded stock of frames.
pub struct FramePool {
    free: Vec<Frame>,
    owned: usize,
    limit: usize,
}

impl FramePool {
    /// A pool that may own up to `limit` frames, itself held at [`POOL_FRAMES_MAX`]; they are made as they are needed.
    pub fn new(limit: usize) -> Self {
        Self { free: Vec::new(), owned: 0, limit: limit.min(POOL_FRAMES_MAX) }
    }

    /// A free frame, or `None` at the limit.
    pub fn take(&mut self) -> Option<Frame> {
        if let Some(frame) = self.free.pop() {
            return Some(frame);
        }
        if self.owned >= self.limit {
            return None;
        }
        self.owned += 1;
        Some(Frame::new())
    }

    /// A free frame if one is at hand; never makes one.
    pub fn take_spare(&mut self) -> Option<Frame> {
        self.free.pop()
    }

    /// Takes a frame back, whoever made it. At the limit the frame is freed instead.
    pub fn give(&mut self, frame: Frame) {
        if self.free.len() < self.limit {
            self.free.push(frame);
        } else {
            self.forget();
        }
    }

    /// Notes that a frame left for good without another in exchange.
    pub fn forget(&mut self) {
        self.owned = self.owned.saturating_sub(1);
    }

    /// Notes that a frame came in without another in exchange.
    pub fn adopt(&mut self) {
        self.owned += 1;
    }

    /// How many frames it still gives.
    pub fn room(&self) -> usize {
        self.free.len() + self.limit.saturating_sub(self.owned)
    }

    /// Lets it give so many more frames, and no more: for a lane that is told again what it was told once.
    pub fn set_room(&mut self, room: usize) {
        if self.free.len() > room {
            self.owned -= self.free.len() - room;
            self.free.truncate(room);
        }
        self.limit = self.owned + room - self.free.len();
    }

    /// Frames that it answers for and that are not free: in bursts, with a port, or waiting somewhere.
    pub fn in_use(&self) -> usize {
        self.owned.saturating_sub(self.free.len())
    }

    /// Frames that this pool answers for: free, in bursts, or with a port.
    pub fn owned(&self) -> usize {
        self.owned
    }
}

/// What crosses between one lane and its port: received frames, frames to send, and the pool behind both.
pub struct Bursts {
    /// Received, oldest first; at most [`BURST_LEN_MAX`].
    pub rx: Vec<Frame>,
    /// To send, oldest first; at most [`BURST_LEN_MAX`].
    pub tx: VecDeque<Frame>,
    /// Received and not the card's: for the host behind the same device, where the port has a twin there; at most
    /// [`BURST_LEN_MAX`].
    pub host: VecDeque<Frame>,
    /// Where frames come from and go back to.
    pub pool: FramePool,
}

impl Bursts {
    /// Empty bursts over a pool of at most `frames` frames.
    pub fn new(frames: usize) -> Self {
        Self {
            rx: Vec::with_capacity(BURST_LEN_MAX),
            tx: VecDeque::with_capacity(BURST_LEN_MAX),
            host: VecDeque::new(),
            pool: FramePool::new(frames),
        }
    }

    /// How many frames the receive burst still takes.
    pub fn rx_room(&self) -> usize {
        BURST_LEN_MAX - self.rx.len().min(BURST_LEN_MAX)
    }

    /// How many frames the send burst still takes.
    pub fn tx_room(&self) -> usize {
        BURST_LEN_MAX - self.tx.len().min(BURST_LEN_MAX)
    }

    /// Gives the first `count` frames to send back to the pool, because they have left or never will; returns how many
    /// bytes they were.
    pub fn recycle_tx(&mut self, count: usize) -> u64 {
        let mut len = 0;
        for frame in self.tx.drain(..count.min(self.tx.len())) {
            len += frame.len() as u64;
            self.pool.give(frame);
        }
        len
    }

    /// Gives the received frames back to the pool.
    pub fn recycle_rx(&mut self) {
        for frame in self.rx.drain(..) {
            self.pool.give(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_stops_at_its_limit_and_reuses_the_latest() {
        let mut pool = FramePool::new(2);
        let mut first = pool.take().expect("one");
        first.copy_from(&[1, 2, 3]);
        let second = pool.take().expect("two");
        assert!(pool.take().is_none());
        pool.give(second);
        pool.give(first);
        assert_eq!(pool.take().expect("again").bytes(), [1, 2, 3]);
        assert_eq!((pool.owned(), pool.in_use()), (2, 1));
    }

    #[test]
    fn a_pool_gives_what_room_it_is_left() {
        let mut pool = FramePool::new(8);
        assert_eq!(pool.room(), 8);
        let held = pool.take().expect("one");
        pool.set_room(2);
        assert_eq!((pool.room(), pool.in_use()), (2, 1));
        assert!(pool.take().is_some() && pool.take().is_some() && pool.take().is_none());
        pool.give(held);
        pool.set_room(0);
        assert!(pool.take().is_none());
        pool.set_room(5);
        assert_eq!(pool.room(), 5);
    }

    #[test]
    fn headers_come_off_and_go_on_without_moving_the_rest() {
        let mut frame = Frame::new();
        frame.copy_from(&[1, 2, 3, 4]);
        frame.set_partial(Some(Partial { start: 3, offset: 0 }));
        frame.strip(2);
        assert_eq!((frame.bytes(), frame.partial()), (&[3, 4][..], Some(Partial { start: 1, offset: 0 })));
        assert!(frame.prepend(&[9; 5]));
        assert_eq!(
            (frame.bytes(), frame.partial().map(|partial| partial.start)),
            (&[9, 9, 9, 9, 9, 3, 4][..], Some(6))
        );
        assert!(!frame.prepend(&[0; HEADROOM_LEN]), "more than the headroom");
        frame.truncate(3);
        assert_eq!(frame.bytes(), [9, 9, 9]);
        frame.strip(100);
        assert!(frame.is_empty());
        frame.set_len(FRAME_LEN_MAX);
        assert_eq!((frame.len(), frame.partial(), frame.is_verified()), (FRAME_LEN_MAX, None, false));
    }

    #[test]
    fn an_oversize_copy_is_cut() {
        let mut frame = Frame::new();
        frame.copy_from(&[7; FRAME_LEN_MAX + 9]);
        assert_eq!(frame.len(), FRAME_LEN_MAX);
    }
}
