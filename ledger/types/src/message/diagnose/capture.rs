//! Captures of chosen sessions: what is asked for, and what a lane kept, a page at a time.
//!
//! Frames are what anybody on the link sees. Messages are what the sessions' ends said to each other: these are told to
//! programs of the node's host alone, whose user may open its control socket; a session from afar that asks for them is
//! refused, and of frames that lie open it is told the headers alone. Keys are in neither.

use hpb_base::limits::{CAPTURE_NAMES_MAX, CAPTURE_PIECE_LEN_MAX, CAPTURE_ROWS_MAX};

use super::{Endpoint, Network, PeerKey, SessionName};

/// What a capture is to keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaptureWhat {
    /// Frames, as they crossed between the lane and its port.
    Frames,
    /// Messages, as they were before they were sealed, and after they were opened.
    Plain,
    /// Both.
    Both,
}

/// A capture that is to begin on one lane. What is said of sessions holds all together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureAsked {
    /// The lane.
    pub lane: u16,
    /// These sessions alone, [`CAPTURE_NAMES_MAX`] at most; none for any.
    pub names: Vec<SessionName>,
    /// Where the other end is. Frames of no session are kept too where nothing but this is said of sessions.
    pub near: Network,
    /// Who is at the other end; unknown for anybody. Nothing is kept before it has proven that.
    pub peer: PeerKey,
    /// What is kept.
    pub what: CaptureWhat,
    /// Bytes that are kept of each frame and each message; 0 for all.
    pub snap_len: u32,
    /// When it ends by itself, in seconds; 1 at least, [`CAPTURE_SECONDS_MAX`](hpb_base::limits::CAPTURE_SECONDS_MAX) at
    /// most.
    pub seconds: u32,
}

/// A capture that began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CaptureBegun {
    /// Lanes of the card.
    pub lanes: u16,
    /// Its name on its lane.
    pub id: u32,
}

/// What a capture kept, oldest first. What was told is let go of when what follows it is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapturePage {
    /// What the lane's clock says, in nanoseconds; all lanes of a card have the same.
    pub now_ns: u64,
    /// The number of the first row; the others follow.
    pub first: u64,
    /// Rows after the one that was named which are kept no more: newer ones had their room.
    pub lost: u64,
    /// Whether its time is over: it keeps nothing more.
    pub is_over: bool,
    /// The rows.
    pub rows: Vec<CaptureRow>,
}

/// Which way it went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CaptureWay {
    /// It came.
    In,
    /// It left.
    Out,
}

/// What a row holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CaptureKind {
    /// A frame, from its Ethernet header on.
    Frame,
    /// A packet, from its IP header on: of a port without a link layer, or passed on by another lane.
    Packet,
    /// A message or a piece of one, with the header that it has in its stream.
    Message,
}

/// One row of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureRow {
    /// When it was, by the lane's clock, in nanoseconds.
    pub at_ns: u64,
    /// Whose it is; of index [`SessionName::NONE`] of no session.
    pub session: SessionName,
    /// The peer's end.
    pub remote: Endpoint,
    /// The card's end.
    pub local: Endpoint,
    /// Which way it went.
    pub way: CaptureWay,
    /// What it is.
    pub kind: CaptureKind,
    /// Bytes of the whole frame or message.
    pub whole_len: u32,
    /// Which of them is the first here: a long message stands in several rows.
    pub offset: u32,
    /// The bytes, [`CAPTURE_PIECE_LEN_MAX`] at most.
    pub bytes: Vec<u8>,
}

crate::tagged!(CaptureWhat { 0 => Frames, 1 => Plain, 2 => Both });
crate::layout!(CaptureAsked { lane, names: list(0..=CAPTURE_NAMES_MAX), near, peer, what, snap_len, seconds });
crate::layout!(CaptureBegun { lanes, id });
crate::layout!(CapturePage { now_ns, first, lost, is_over, rows: list(0..=CAPTURE_ROWS_MAX) });
crate::tagged!(CaptureWay { 0 => In, 1 => Out });
crate::tagged!(CaptureKind { 0 => Frame, 1 => Packet, 2 => Message });
crate::layout!(CaptureRow {
    at_ns,
    session,
    remote,
    local,
    way,
    kind,
    whole_len,
    offset,
    bytes: bytes(0..=CAPTURE_PIECE_LEN_MAX),
});

impl CaptureWhat {
    /// Whether frames are kept.
    pub const fn has_frames(self) -> bool {
        matches!(self, Self::Frames | Self::Both)
    }

    /// Whether messages are kept.
    pub const fn has_messages(self) -> bool {
        matches!(self, Self::Plain | Self::Both)
    }
}

impl CapturePage {
    /// Bytes of a page without rows.
    pub const HEAD_LEN: usize = 8 + 8 + 8 + 1 + 4;
}

impl CaptureRow {
    /// Bytes of a row without its own.
    pub const HEAD_LEN: usize = 8 + 10 + 18 + 18 + 1 + 1 + 4 + 4 + 4;
}
