//! What kind of peer a session is for: its buffers, fixed before the SYN, and what may wait for it.

/// A session's class; chosen by the listening port or the peer table, never by the peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// A producer's or full node's session: deep buffers, so that 100 ms of delay still carry 2.5 MB/s.
    Validator,
    /// A node's session with one of its terminals: short requests in, digests out.
    Terminal,
    /// A terminal's session with its node: the mirror of [`Class::Terminal`].
    Uplink,
    /// A session of a plain byte-stream service.
    Stream,
}

impl Class {
    /// The receive buffer in bytes.
    pub const fn rx_len(self) -> usize {
        match self {
            Self::Validator => 256 << 10,
            Self::Terminal => 2 << 10,
            Self::Uplink => 4 << 10,
            Self::Stream => 64 << 10,
        }
    }

    /// The send buffer in bytes.
    pub const fn tx_len(self) -> usize {
        match self {
            Self::Validator => 256 << 10,
            Self::Terminal => 4 << 10,
            Self::Uplink => 2 << 10,
            Self::Stream => 64 << 10,
        }
    }

    /// Both buffers in bytes.
    pub const fn buffers_len(self) -> usize {
        self.rx_len() + self.tx_len()
    }

    /// Bytes that may wait in the outbox before messages are shed.
    pub const fn outbox_len_max(self) -> usize {
        match self {
            Self::Validator => 16 << 20,
            Self::Terminal | Self::Uplink | Self::Stream => 64 << 10,
        }
    }
}

/// What becomes of a message when its peer is slow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Priority {
    /// Replaced by the next of its kind: shed first.
    Sheddable,
    /// Shed only when nothing sheddable waits.
    Normal,
    /// Never shed; if it finds no room the session is closed.
    Critical,
}
