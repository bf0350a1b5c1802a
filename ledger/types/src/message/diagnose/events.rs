//! What was notable on a lane.

use core::fmt;

use hpb_base::limits::EVENTS_TOLD_MAX;

use super::{Endpoint, PeerKey, SessionName, Text};

/// What can be notable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EventKind {
    /// A session is open.
    Opened,
    /// A session that was open is gone.
    Closed,
    /// A session came to nothing before it was open.
    Failed,
    /// Somebody is banned now.
    Banned,
    /// Somebody is banned no more.
    Unbanned,
    /// A mode register was set.
    Register,
    /// The peer said why it is about to end a session.
    Goodbye,
}

/// Something notable on one lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRow {
    /// Counts the lane's events from 1.
    pub number: u64,
    /// How long ago it was, in milliseconds.
    pub ago_ms: u64,
    /// What happened.
    pub kind: EventKind,
    /// To which session; of index [`SessionName::NONE`] to none.
    pub session: SessionName,
    /// The other end's address; all zero for none.
    pub remote: Endpoint,
    /// Who is there.
    pub peer: PeerKey,
    /// Why, or what exactly.
    pub reason: Text,
}

/// Notable events of one lane, oldest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventsPage {
    /// Lanes of the card.
    pub lanes: u16,
    /// Events after the one that was named which are kept no more.
    pub lost: u64,
    /// The events.
    pub rows: Vec<EventRow>,
}

crate::tagged!(EventKind { 0 => Opened, 1 => Closed, 2 => Failed, 3 => Banned, 4 => Unbanned, 5 => Register, 6 => Goodbye });
crate::layout!(EventRow { number, ago_ms, kind, session, remote, peer, reason });
crate::layout!(EventsPage { lanes, lost, rows: list(0..=EVENTS_TOLD_MAX) });

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::Failed => "failed",
            Self::Banned => "banned",
            Self::Unbanned => "unbanned",
            Self::Register => "register",
            Self::Goodbye => "goodbye",
        })
    }
}
