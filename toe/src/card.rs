//! What the host sees of a card: commands to submit, events to reap, the session table.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use hpb_base::{Duration, Instant};
use hpb_types::keys::PublicKey;
use hpb_types::message::diagnose::{Goodbye, Parting};

use crate::class::{Class, Priority};
use crate::registers::Register;
use crate::secure::{HandshakeError, Identity};
use crate::service::Service;
use crate::stats::{Drop, SessionCounters};

/// Names one session of one lane; never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId {
    /// Its place in the lane's table.
    pub index: u32,
    /// How many sessions had that place before.
    pub generation: u32,
}

/// A set of sessions that broadcasts go to. A session is in one group at most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Group {
    /// The mesh of producers and full nodes.
    Validators,
    /// The node's terminals.
    Terminals,
}

impl Group {
    /// How many groups there are.
    pub const COUNT: usize = 2;
}

/// A session to open, and to open again whenever it is lost if `keep` says so.
#[derive(Clone)]
pub struct Call {
    /// The peer's address.
    pub remote: SocketAddr,
    /// The card's own end; port 0 lets the card choose.
    pub local: SocketAddr,
    /// What kind of session it is.
    pub class: Class,
    /// Who the peer must be; `None` opens a session without encryption.
    pub responder: Option<PublicKey>,
    /// Who calls, if not the card's own identity (a card of many terminals).
    pub identity: Option<Arc<Identity>>,
    /// A number of the host's choice that events of this session carry.
    pub tag: u64,
    /// Reconnect when it is lost, with back-off.
    pub keep: bool,
}

/// What the host asks of a lane.
#[derive(Clone)]
pub enum Command {
    /// Take sessions at a port of every own address.
    Listen {
        /// The port.
        port: u16,
        /// The class of sessions that come in there.
        class: Class,
        /// Whether they must do the handshake.
        encrypted: bool,
    },
    /// Take sessions at a port of every own address and let a plain service answer them.
    Serve {
        /// The port.
        port: u16,
        /// Who answers.
        service: Service,
    },
    /// Open a session.
    Open(Call),
    /// Send a message that [`framed`](crate::framing::framed) made.
    Send {
        /// To whom.
        session: SessionId,
        /// What becomes of it when the peer is slow.
        priority: Priority,
        /// The message with its header.
        message: Arc<[u8]>,
    },
    /// Send one message to all sessions of a group.
    Broadcast {
        /// To whom.
        group: Group,
        /// What becomes of it where a peer is slow.
        priority: Priority,
        /// The message with its header, shared by all.
        message: Arc<[u8]>,
    },
    /// Put a session into a group, or take it out of its own.
    Join {
        /// Which session.
        session: SessionId,
        /// Its group from now on.
        group: Option<Group>,
    },
    /// End a session after what waits for it was sent.
    Close {
        /// Which session.
        session: SessionId,
    },
    /// Say why, then end a session after what waits for it was sent.
    Part {
        /// Which session.
        session: SessionId,
        /// Why.
        goodbye: Goodbye,
    },
    /// Set a mode register.
    SetRegister {
        /// Which.
        register: Register,
        /// Its value.
        value: u32,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The host asked for it.
    Local,
    /// The peer said FIN or RST, or did not answer.
    Remote,
    /// No data came for as long as the card waits for some.
    Idle,
    /// The peer did not finish the handshake in time.
    HandshakeTimeout,
    /// The handshake failed.
    Handshake(HandshakeError),
    /// The peer broke a rule.
    Broken(Drop),
    /// Critical messages found no room, and the peer reads no messages that could say so.
    SlowPeer,
    /// The card has no room or no free port for it.
    NoRoom,
    /// The network says that the peer cannot be reached.
    Unreachable,
    /// The peer was told goodbye, for this reason.
    Parted(Parting),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("this side ended it"),
            Self::Remote => f.write_str("the peer ended it, or did not answer"),
            Self::Idle => f.write_str("no data came for too long"),
            Self::HandshakeTimeout => f.write_str("the handshake took too long"),
            Self::Handshake(error) => write!(f, "the handshake failed: {error}"),
            Self::Broken(reason) => write!(f, "the peer broke a rule: {}", reason.name()),
            Self::SlowPeer => f.write_str("the peer was too slow"),
            Self::NoRoom => f.write_str("there was no room for it"),
            Self::Unreachable => f.write_str("the network cannot reach the peer"),
            Self::Parted(parting) => write!(f, "told goodbye: {parting}"),
        }
    }
}

/// What a lane tells its host. Bodies are borrowed from the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A session is open; encrypted ones have proven who the peer is.
    Opened {
        /// The session.
        session: SessionId,
        /// The peer's identity; `None` without encryption.
        peer: Option<PublicKey>,
        /// The peer's end.
        remote: SocketAddr,
        /// The class it was taken or called with.
        class: Class,
        /// Whether this side called.
        called: bool,
        /// The call's tag; 0 for one that came in.
        tag: u64,
        /// From the SYN to here.
        took: Duration,
    },
    /// A message came.
    Message {
        /// From whom.
        session: SessionId,
        /// The session's tag.
        tag: u64,
        /// What it is.
        kind: u8,
        /// What it says.
        body: &'a [u8],
    },
    /// A session is gone, or a call came to nothing.
    Closed {
        /// The session.
        session: SessionId,
        /// Its tag.
        tag: u64,
        /// Why.
        reason: CloseReason,
        /// Whether it had been opened.
        was_open: bool,
    },
}

enum Item {
    Whole(Event<'static>),
    Message { session: SessionId, tag: u64, kind: u8, start: usize, end: usize },
}

/// Events in order, with the bytes of their messages in one arena.
#[derive(Default)]
pub struct EventBatch {
    items: Vec<Item>,
    bytes: Vec<u8>,
}

impl EventBatch {
    /// The events, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        self.items.iter().map(|item| match item {
            Item::Whole(event) => *event,
            Item::Message { session, tag, kind, start, end } => {
                Event::Message { session: *session, tag: *tag, kind: *kind, body: &self.bytes[*start..*end] }
            }
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of message bodies.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all, keeping the memory for the next ones.
    pub fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
    }

    pub(crate) fn push(&mut self, event: Event<'static>) {
        self.items.push(Item::Whole(event));
    }

    pub(crate) fn push_message(&mut self, session: SessionId, tag: u64, kind: u8, body: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.items.push(Item::Message { session, tag, kind, start, end: self.bytes.len() });
    }
}

/// One row of the session table: the original card's fields (DESIGN.md, section 5) and what this one adds.
///
/// Not the row that is told: that one has ages instead of instants, and names instead of handles that take commands.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// The session.
    pub id: SessionId,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The card's end.
    pub local: SocketAddr,
    /// The TCP state's name in RFC 9293.
    pub state: &'static str,
    /// The class.
    pub class: Class,
    /// The peer's identity, once proven.
    pub peer: Option<PublicKey>,
    /// Its bytes are records.
    pub encrypted: bool,
    /// Its handshake is over and it has not begun to end.
    pub open: bool,
    /// This side called.
    pub called: bool,
    /// When its SYN came or left.
    pub began_at: Instant,
    /// An ACK was seen.
    pub ack_seen: bool,
    /// A FIN was seen.
    pub fin_seen: bool,
    /// A RST was seen.
    pub rst_seen: bool,
    /// The peer's window scale (4 bits on the card).
    pub window_scale: u8,
    /// Segments that came out of order (8 bits on the card; held at its largest).
    pub out_of_order_count: u8,
    /// When the last data came.
    pub last_data_at: Instant,
    /// The peer's initial sequence number.
    pub initial_sequence: u32,
    /// The next sequence number expected of the peer.
    pub next_sequence: u32,
    /// The last ACK that the peer sent.
    pub last_ack: u32,
    /// The peer's window as it stood in its header.
    pub peer_window: u16,
    /// Duplicate ACKs sent (4 bits on the card; held at its largest).
    pub duplicate_acks_sent: u8,
    /// Duplicate ACKs received (4 bits on the card; held at its largest).
    pub duplicate_acks_received: u8,
    /// The window that the card last offered, as it stood in its header (8 bits, scaled, on the card).
    pub local_window: u16,
    /// The card's own congestion window in bytes.
    pub congestion_window_len: u32,
    /// Bytes sent and not acknowledged.
    pub in_flight_len: u32,
    /// Bytes that wait in the outbox.
    pub outbox_len: usize,
    /// The smoothed round trip; `None` before the first is measured.
    pub round_trip: Option<Duration>,
    /// How far round trips vary.
    pub round_trip_variation: Duration,
    /// What the session did so far.
    pub counters: SessionCounters,
}
