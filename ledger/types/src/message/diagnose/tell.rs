//! What a node says to a question.

use core::fmt;

use hpb_base::limits::{ANSWER_LEN_MAX, COUNTERS_TOLD_MAX, REGISTERS_TOLD_MAX, SESSION_ROWS_MAX};

use super::super::Roles;
use super::{BansTold, CaptureBegun, CapturePage, EventsPage, Filling, PeerKey, SessionRow, Text};
use crate::codec::{Canonical, CodecError, Reader, Writer};
use crate::slice::SliceRef;
use crate::units::{ChainId, Height};

/// What is said to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The question's number.
    pub number: u64,
    /// What is said.
    pub what: Tell,
}

/// What can be said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tell {
    /// No, for this reason.
    Refused(Refusal),
    /// It is done.
    Done,
    /// The node's clock.
    Clock(ClockReading),
    /// The node.
    Info(Box<NodeInfo>),
    /// Zero bytes, as many as were asked for.
    Filling(Filling),
    /// So many bytes came.
    Absorbed(u32),
    /// A page of the session table.
    Sessions(SessionsPage),
    /// A lane's counters.
    Counters(CountersTold),
    /// A lane's mode registers.
    Registers(RegistersTold),
    /// What was notable on a lane.
    Events(EventsPage),
    /// Who is banned.
    Bans(BansTold),
    /// A capture began.
    Capturing(CaptureBegun),
    /// What a capture kept.
    Captured(CapturePage),
}

/// Why a question is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Only those with the diagnostics role may ask that.
    Role,
    /// Too much is asked at once: ask again.
    Busy,
    /// There is nothing of the kind here (a card without a chain has no head).
    NotHere,
    /// What was named does not exist (any more).
    NotFound,
    /// There is no room for more of it.
    Full,
}

/// The node's clock, by which it counts slots, in nanoseconds since 1970. The asker's own two instants beside these give
/// its offset as by RFC 5905, section 8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockReading {
    /// When the question was taken up.
    pub received_at_ns: u64,
    /// When the answer was given.
    pub answered_at_ns: u64,
}

/// What a node is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// Its software and that software's version.
    pub software: Text,
    /// The version of the messages that it speaks.
    pub protocol: u8,
    /// Its identity on the network.
    pub identity: PeerKey,
    /// Its chain.
    pub chain: ChainId,
    /// What the asker is to it.
    pub roles: Roles,
    /// The height of its head.
    pub head: Height,
    /// Its latest final slice.
    pub final_slice: SliceRef,
    /// Its open sessions with other validators.
    pub validators: u32,
    /// Its other open sessions.
    pub terminals: u32,
    /// Other validators that it knows.
    pub mesh: u32,
    /// Since it started, in milliseconds.
    pub uptime_ms: u64,
}

/// A page of one lane's session table. Sessions come and go between pages: a row that was not there when its place was
/// looked at is missing, none stands twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionsPage {
    /// Lanes of the card.
    pub lanes: u16,
    /// The first place that was not looked at; [`SessionsPage::END`] if all were.
    pub next: u32,
    /// Sessions in this lane's table.
    pub held: u32,
    /// The rows.
    pub rows: Vec<SessionRow>,
}

/// One counter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CounterRow {
    /// Its name.
    pub name: Text,
    /// What it counted since the start.
    pub value: u64,
}

/// The counters of one lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountersTold {
    /// Lanes of the card.
    pub lanes: u16,
    /// The counters.
    pub rows: Vec<CounterRow>,
}

/// One mode register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterRow {
    /// Its name on the original card.
    pub name: Text,
    /// Its value.
    pub value: u32,
    /// How often it changed what the card did.
    pub acted: u64,
}

/// The mode registers of one lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistersTold {
    /// Lanes of the card.
    pub lanes: u16,
    /// The registers.
    pub rows: Vec<RegisterRow>,
}

crate::layout!(Answer <= ANSWER_LEN_MAX { number, what });
crate::tagged!(Refusal { 0 => Role, 1 => Busy, 2 => NotHere, 3 => NotFound, 4 => Full });
crate::layout!(ClockReading { received_at_ns, answered_at_ns });
crate::layout!(NodeInfo {
    software,
    protocol,
    identity,
    chain,
    roles,
    head,
    final_slice,
    validators,
    terminals,
    mesh,
    uptime_ms,
});
crate::layout!(SessionsPage { lanes, next, held, rows: list(0..=SESSION_ROWS_MAX) });
crate::layout!(CounterRow { name, value });
crate::layout!(CountersTold { lanes, rows: list(0..=COUNTERS_TOLD_MAX) });
crate::layout!(RegisterRow { name, value, acted });
crate::layout!(RegistersTold { lanes, rows: list(0..=REGISTERS_TOLD_MAX) });

// An enum's largest variant is boxed; its bytes are the same.
impl Canonical for Tell {
    fn put(&self, writer: &mut Writer) {
        match self {
            Self::Refused(refusal) => Self::put_tagged(writer, 0, refusal),
            Self::Done => writer.put(&1u8),
            Self::Clock(reading) => Self::put_tagged(writer, 2, reading),
            Self::Info(info) => Self::put_tagged(writer, 3, info.as_ref()),
            Self::Filling(filling) => Self::put_tagged(writer, 4, filling),
            Self::Absorbed(len) => Self::put_tagged(writer, 5, len),
            Self::Sessions(page) => Self::put_tagged(writer, 6, page),
            Self::Counters(told) => Self::put_tagged(writer, 7, told),
            Self::Registers(told) => Self::put_tagged(writer, 8, told),
            Self::Events(page) => Self::put_tagged(writer, 9, page),
            Self::Bans(told) => Self::put_tagged(writer, 10, told),
            Self::Capturing(begun) => Self::put_tagged(writer, 11, begun),
            Self::Captured(page) => Self::put_tagged(writer, 12, page),
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::Refused(reader.take()?),
            1 => Self::Done,
            2 => Self::Clock(reader.take()?),
            3 => Self::Info(Box::new(reader.take()?)),
            4 => Self::Filling(reader.take()?),
            5 => Self::Absorbed(reader.take()?),
            6 => Self::Sessions(reader.take()?),
            7 => Self::Counters(reader.take()?),
            8 => Self::Registers(reader.take()?),
            9 => Self::Events(reader.take()?),
            10 => Self::Bans(reader.take()?),
            11 => Self::Capturing(reader.take()?),
            12 => Self::Captured(reader.take()?),
            tag => return Err(CodecError::Tag(tag)),
        })
    }
}

impl Tell {
    fn put_tagged<T: Canonical>(writer: &mut Writer, tag: u8, value: &T) {
        writer.put(&tag);
        writer.put(value);
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role => "only a session with the diagnostics role, or a program of its host, may ask that",
            Self::Busy => "it is asked too much at once: ask again",
            Self::NotHere => "there is nothing of the kind here",
            Self::NotFound => "what was named does not exist, or no more",
            Self::Full => "there is no room for more",
        })
    }
}

impl SessionsPage {
    /// The place after the last.
    pub const END: u32 = u32::MAX;
}
