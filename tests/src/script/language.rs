//! What a script says, once it is read: settings, then lines with a time and an action each.

use hpb_base::Duration;
use hpb_toe::registers::Register;
use hpb_toe::stats::Drop;
use hpb_toe::{Class, LaneConfig};

use super::packet::TcpOption;

/// The peer's port where a line names none.
pub const PEER_PORT: u16 = 40_000;
/// The card's port where a script names none.
pub const CARD_PORT: u16 = 30_303;

/// A script, read and not run.
#[derive(Clone)]
pub struct Script {
    /// What its file is called, without the ending.
    pub name: String,
    /// The sections of RFCs that it pins down; never empty.
    pub cites: Vec<String>,
    /// Why today's card fails it: it is run, and must fail.
    pub known: Option<String>,
    /// How the card is set up.
    pub settings: Settings,
    /// What happens, in order.
    pub lines: Vec<Line>,
}

/// How the card and its clock are set up.
#[derive(Clone)]
pub struct Settings {
    /// Which IP.
    pub family: Family,
    /// The largest IP packet in bytes.
    pub mtu: usize,
    /// How far from its time an expected thing may come.
    pub tolerance: Duration,
    /// The card's own settings; its addresses are filled in by the runner.
    pub lane: LaneConfig,
}

/// Which IP a script speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// RFC 791.
    Ipv4,
    /// RFC 8200.
    Ipv6,
}

/// One line that does or expects something.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its place in the file, from 1.
    pub number: usize,
    /// As it stands there.
    pub text: String,
    /// When.
    pub when: When,
    /// What.
    pub action: Action,
}

/// When a line takes place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When {
    /// Where the span counts from.
    pub from: From,
    /// How long after that.
    pub span: Duration,
    /// How far from then an expected thing may come, if not the script's own tolerance.
    pub tolerance: Option<Duration>,
}

/// Where a line's time counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The line before.
    Before,
    /// The script's begin.
    Begin,
    /// The line before, and any time up to the span is right.
    Within,
}

/// What a line does or expects.
#[derive(Clone, Debug)]
pub enum Action {
    /// The card takes sessions.
    Listen {
        /// At which port.
        port: u16,
        /// Of which class.
        class: Class,
    },
    /// The card calls the peer.
    Connect {
        /// The peer's port.
        peer: u16,
        /// The card's own port.
        local: u16,
        /// Of which class.
        class: Class,
        /// Whether it calls again when the session is lost.
        keep: bool,
    },
    /// The card's host sends a message.
    Send {
        /// To the session with this port of the peer.
        peer: u16,
        /// What.
        message: Message,
    },
    /// The card's host ends a session.
    Close {
        /// With this port of the peer.
        peer: u16,
    },
    /// A mode register is set.
    Register {
        /// Which.
        register: Register,
        /// To what.
        value: u32,
    },
    /// The peer's stream goes on with a message, which segments carry later.
    PeerMessage {
        /// The peer's port.
        peer: u16,
        /// What.
        message: Message,
    },
    /// The peer starts afresh with this initial sequence number.
    PeerSequence {
        /// The peer's port.
        peer: u16,
        /// The absolute number.
        sequence: u32,
    },
    /// The peer sends a segment.
    Inject(Segment),
    /// The peer's network sends these bytes as they stand.
    InjectRaw(Vec<u8>),
    /// The peer sends these bytes as a TCP segment: IP header and TCP checksum are put right.
    InjectTcp(Vec<u8>),
    /// The network says that a segment of the card was too big for it.
    InjectTooBig {
        /// The peer's port of the segment that is quoted.
        peer: u16,
        /// The largest packet that passes, in bytes.
        mtu: u16,
        /// The quoted sequence number, relative.
        sequence: u32,
    },
    /// The card sends a segment.
    Expect(Segment),
    /// The card sends nothing for so long.
    ExpectNothing(Duration),
    /// The card tells its host something.
    ExpectEvent {
        /// With this port of the peer.
        peer: u16,
        /// What.
        event: Event,
    },
    /// The session stands in this state of RFC 9293; `none` for no session.
    ExpectState {
        /// With this port of the peer.
        peer: u16,
        /// The state's name.
        state: String,
    },
    /// The card holds so many sessions.
    ExpectSessions(usize),
    /// The card has dropped so many frames for this reason.
    ExpectDrops {
        /// Why.
        reason: Drop,
        /// How many.
        count: u64,
    },
}

/// A message, header included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// So many bytes of a pattern, header included.
    Len(usize),
    /// The header, and this body.
    Text(String),
}

/// What the card tells its host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A session is open.
    Opened,
    /// A message came.
    Message(Message),
    /// A session is gone.
    Closed {
        /// The reason's name.
        reason: String,
        /// Whether it had been opened.
        was_open: bool,
    },
}

/// A segment to inject, or to expect. Numbers are relative to the initial ones of their direction.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The peer's port.
    pub peer: u16,
    /// The flags, as bits of the header; `None` for any.
    pub flags: Option<u8>,
    /// The sequence number and the payload's length in bytes; `None` for any.
    pub sequence: Option<(u32, u32)>,
    /// The acknowledgement number.
    pub ack: Given<u32>,
    /// The window as it stands in the header.
    pub window: Given<u16>,
    /// The options.
    pub options: Given<Options>,
    /// Injected: a checksum that does not hold.
    pub bad_checksum: bool,
    /// Injected: the data offset in the header, in words of four bytes, whatever the header's length.
    pub data_offset: Option<u8>,
    /// Injected: this byte all through instead of the peer's stream.
    pub filled: Option<u8>,
    /// Expected: the payload is no part of the card's stream.
    pub is_garbage: bool,
}

/// A field that a line may leave out, leave open, or state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Given<T> {
    /// Left out: its default when injected, not looked at when expected.
    Not,
    /// `*`.
    Any,
    /// This.
    Is(T),
}

/// The options of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// In any order; SACK blocks are relative.
    pub list: Vec<TcpOption>,
    /// Others may stand beside them.
    pub is_open: bool,
}
