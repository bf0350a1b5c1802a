//! What the card counts: why it did not take something, and what went through.

macro_rules! drops {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a frame, a segment, a record or a message was not taken. Each is counted; none is logged one by one.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Drop { $($(#[$doc])* $name,)* }

        impl Drop {
            /// Every reason, in order.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];

            /// The reason's name in counters and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

drops! {
    /// Shorter than its headers say.
    Truncated = "truncated",
    /// Neither IPv4 nor IPv6.
    NotIp = "not_ip",
    /// Another protocol than TCP.
    NotTcp = "not_tcp",
    /// An IP fragment.
    Fragment = "fragment",
    /// A header that contradicts itself.
    Malformed = "malformed",
    /// A checksum that does not hold.
    Checksum = "checksum",
    /// For an address that is not the card's.
    NotOurs = "not_ours",
    /// For no session and no listener.
    UnknownFlow = "unknown_flow",
    /// For a session that is closed: its old duplicates are waited out.
    TimeWait = "time_wait",
    /// A SYN that was answered by a cookie and left no trace.
    Cookie = "cookie",
    /// An address or prefix that has as many sessions as it may.
    SourceFull = "source_full",
    /// A reset, a SYN or an ACK that the session's peer would not send.
    Unacceptable = "unacceptable",
    /// A session that came to its handshake while too many others are at theirs.
    HalfOpenFull = "half_open_full",
    /// A SYN while the session table is full, or a session that was told so.
    TableFull = "table_full",
    /// A call from a banned network, or a session with a banned identity.
    Banned = "banned",
    /// A first handshake message whose MAC does not hold: a stranger, refused before any DH.
    Stranger = "stranger",
    /// A handshake that failed later on.
    Handshake = "handshake",
    /// A record that does not open.
    Record = "record",
    /// A message that breaks the framing or its limit.
    Framing = "framing",
    /// For another lane, to which as much is under way as may be.
    StraysFull = "strays_full",
    /// A reply that found no free frame.
    NoFrame = "no_frame",
    /// Dropped by a fault register.
    Fault = "fault",
}

/// Counts by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DropCounters([u64; Drop::ALL.len()]);

impl DropCounters {
    /// Counts one.
    pub fn count(&mut self, reason: Drop) {
        self.0[reason as usize] += 1;
    }

    /// How many for `reason`.
    pub fn get(&self, reason: Drop) -> u64 {
        self.0[reason as usize]
    }

    /// Those that are not zero.
    pub fn iter(&self) -> impl Iterator<Item = (Drop, u64)> + '_ {
        Drop::ALL.iter().map(|reason| (*reason, self.get(*reason))).filter(|(_, count)| *count > 0)
    }
}

/// What one lane did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LaneCounters {
    /// Segments taken.
    pub rx_segments: u64,
    /// Segments sent.
    pub tx_segments: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Times that the card sent a session's oldest segment again because nothing came for too long.
    pub probes: u64,
    /// Sessions whose packets were made smaller because larger ones do not arrive.
    pub paths_narrowed: u64,
    /// Segments that came out of order.
    pub out_of_order: u64,
    /// Messages delivered to the host.
    pub rx_messages: u64,
    /// Messages taken from the host, a broadcast counted once a session.
    pub tx_messages: u64,
    /// Messages shed because a peer was slow.
    pub shed_messages: u64,
    /// Sessions opened, both sides.
    pub opened: u64,
    /// Sessions closed.
    pub closed: u64,
    /// Handshakes finished.
    pub handshakes: u64,
    /// Diffie-Hellman operations of those handshakes.
    pub diffie_hellmans: u64,
    /// Reconnects tried.
    pub reconnects: u64,
    /// SYNs of no session to a port that takes calls, whatever became of them.
    pub syns: u64,
    /// SYNs answered by a cookie.
    pub cookies_sent: u64,
    /// Sessions opened by a cookie that came back.
    pub cookies_taken: u64,
    /// Waits for a closed session's old duplicates that a new SYN between the same ends cut short.
    pub reopened: u64,
    /// Challenge ACKs sent (RFC 5961).
    pub challenges: u64,
    /// Resets sent for segments of no session.
    pub resets: u64,
    /// Frames and words passed on to the card's other lanes.
    pub strays_sent: u64,
    /// Frames and words that other lanes passed on to this one.
    pub strays_taken: u64,
    /// Not taken, by reason.
    pub drops: DropCounters,
}

/// What one session did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionCounters {
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
    /// Segments sent again.
    pub retransmitted: u32,
}
