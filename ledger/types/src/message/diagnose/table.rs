//! Rows of the session table: the original card's entry (its names, its widths or wider ones) and what this card adds.

use core::fmt;

use super::{Endpoint, Network, PeerKey, SessionName};

/// A session's class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SessionClass {
    /// With a producer or a full node.
    Validator,
    /// A node's session with a terminal.
    Terminal,
    /// A terminal's session with its node.
    Uplink,
    /// Of a plain byte-stream service.
    Stream,
}

/// A TCP state (RFC 9293, section 3.3.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SessionState {
    /// CLOSED.
    Closed,
    /// LISTEN.
    Listen,
    /// SYN-SENT.
    SynSent,
    /// SYN-RECEIVED.
    SynReceived,
    /// ESTABLISHED.
    Established,
    /// FIN-WAIT-1.
    FinWait1,
    /// FIN-WAIT-2.
    FinWait2,
    /// CLOSE-WAIT.
    CloseWait,
    /// CLOSING.
    Closing,
    /// LAST-ACK.
    LastAck,
    /// TIME-WAIT.
    TimeWait,
}

/// Which sessions are wanted. The node looks at these alone; the rest is for the asker to choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionFilter {
    /// A bit a class, in the order of [`SessionClass::ALL`]; 0 for all.
    pub classes: u8,
    /// A bit a state, in the order of [`SessionState::ALL`]; 0 for all.
    pub states: u16,
    /// Where the other end is.
    pub near: Network,
    /// Who is at the other end; unknown for all.
    pub peer: PeerKey,
}

/// One row of the session table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRow {
    /// The session.
    pub session: SessionName,
    /// The peer's end.
    pub remote: Endpoint,
    /// The card's end.
    pub local: Endpoint,
    /// The peer's, or the next hop's, hardware address; zero where it is not known or there is none.
    pub hardware: [u8; 6],
    /// The TCP state.
    pub state: SessionState,
    /// The class.
    pub class: SessionClass,
    /// The peer's identity, once proven.
    pub peer: PeerKey,
    /// [`SessionRow::ACK_SEEN`] and the others.
    pub flags: u8,
    /// The peer's window scale.
    pub window_scale: u8,
    /// Segments that came out of order, 255 at most.
    pub out_of_order: u8,
    /// Since the last data came, in milliseconds.
    pub last_data_ms: u64,
    /// The peer's initial sequence number.
    pub initial_sequence: u32,
    /// The next sequence number expected of the peer.
    pub next_sequence: u32,
    /// The last ACK that the peer sent.
    pub last_ack: u32,
    /// The peer's window as it stood in its header.
    pub peer_window: u16,
    /// Duplicate ACKs sent, as many as are told apart.
    pub duplicate_acks_sent: u8,
    /// Duplicate ACKs received, as many as are told apart.
    pub duplicate_acks_received: u8,
    /// The window last offered, as it stood in its header.
    pub local_window: u16,
    /// The congestion window in bytes.
    pub congestion_window_len: u32,
    /// Bytes sent and not acknowledged.
    pub in_flight_len: u32,
    /// Bytes that wait in the outbox.
    pub queue_len: u32,
    /// The smoothed round trip in microseconds; 0 before the first was measured.
    pub round_trip_us: u32,
    /// How far round trips vary, in microseconds.
    pub variation_us: u32,
    /// Segments sent again.
    pub retransmitted: u32,
    /// Payload bytes received.
    pub rx_bytes: u64,
    /// Payload bytes sent, repeats included.
    pub tx_bytes: u64,
    /// Messages delivered.
    pub rx_messages: u32,
    /// Messages taken from the host.
    pub tx_messages: u32,
    /// Messages shed.
    pub shed_messages: u32,
    /// Since its SYN, in milliseconds.
    pub age_ms: u64,
}

crate::tagged!(SessionClass { 0 => Validator, 1 => Terminal, 2 => Uplink, 3 => Stream });
crate::tagged!(SessionState {
    0 => Closed,
    1 => Listen,
    2 => SynSent,
    3 => SynReceived,
    4 => Established,
    5 => FinWait1,
    6 => FinWait2,
    7 => CloseWait,
    8 => Closing,
    9 => LastAck,
    10 => TimeWait,
});
crate::layout!(SessionFilter { classes, states, near, peer });
crate::layout!(SessionRow {
    session,
    remote,
    local,
    hardware,
    state,
    class,
    peer,
    flags,
    window_scale,
    out_of_order,
    last_data_ms,
    initial_sequence,
    next_sequence,
    last_ack,
    peer_window,
    duplicate_acks_sent,
    duplicate_acks_received,
    local_window,
    congestion_window_len,
    in_flight_len,
    queue_len,
    round_trip_us,
    variation_us,
    retransmitted,
    rx_bytes,
    tx_bytes,
    rx_messages,
    tx_messages,
    shed_messages,
    age_ms,
});

impl SessionClass {
    /// Every class, in the order of the tags.
    pub const ALL: [Self; 4] = [Self::Validator, Self::Terminal, Self::Uplink, Self::Stream];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Terminal => "terminal",
            Self::Uplink => "uplink",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for SessionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl SessionState {
    /// Every state, in the order of the tags.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// Its name in the RFC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// The state of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl SessionFilter {
    /// Every session.
    pub const ALL: Self = Self { classes: 0, states: 0, near: Network::ALL, peer: PeerKey::Unknown };
}

impl SessionRow {
    /// The bit of an ACK that was seen.
    pub const ACK_SEEN: u8 = 1;
    /// The bit of a FIN that was seen.
    pub const FIN_SEEN: u8 = 2;
    /// The bit of a RST that was seen.
    pub const RST_SEEN: u8 = 4;
    /// The bit of a session that is encrypted.
    pub const ENCRYPTED: u8 = 8;
    /// The bit of a session that is open: its handshake is over.
    pub const OPEN: u8 = 16;
    /// The bit of a session that this side called.
    pub const CALLED: u8 = 32;

    /// Whether the flag is set.
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
