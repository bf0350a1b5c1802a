//! What is asked of a running node about itself, and what it says: clock and standing for whoever has said hello;
//! sessions, counters, registers, events and bans for those with the diagnostics role and for programs of its host.
//!
//! An answer is bounded as any message is: what may be long (the session table, events) comes a page at a time, each
//! from one lane. Nothing here carries a key or a body of someone's message.

use core::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hpb_base::limits::{
    ANSWER_LEN_MAX, ANSWER_TEXT_LEN_MAX, BANS_MAX, COUNTERS_TOLD_MAX, EVENTS_TOLD_MAX, PROBE_LEN_MAX,
    REGISTERS_TOLD_MAX, SESSION_ROWS_MAX,
};

use super::Roles;
use crate::codec::{Canonical, CodecError, Reader, Writer};
use crate::keys::PublicKey;
use crate::slice::SliceRef;
use crate::units::{ChainId, Height};

mod table;
#[cfg(test)]
mod tests;

pub use table::{SessionClass, SessionFilter, SessionRow, SessionState};

/// Something is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The asker's choice; names the answer.
    pub number: u64,
    /// What is asked.
    pub what: Ask,
}

/// What can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// What time is it at your place? Answered by [`Tell::Clock`].
    Clock,
    /// Who and what are you? Answered by [`Tell::Info`].
    Info,
    /// Send so many bytes, [`PROBE_LEN_MAX`] at most. Answered by [`Tell::Filling`].
    Fill(u32),
    /// Take these bytes. Answered by [`Tell::Absorbed`].
    Absorb(Filling),
    /// Rows of the session table. Answered by [`Tell::Sessions`].
    Sessions(SessionsAsked),
    /// The counters of one lane. Answered by [`Tell::Counters`].
    Counters {
        /// Which lane, from 0.
        lane: u16,
    },
    /// The mode registers of one lane. Answered by [`Tell::Registers`].
    Registers {
        /// Which lane, from 0.
        lane: u16,
    },
    /// Set a mode register on every lane. Answered by [`Tell::Done`].
    SetRegister {
        /// Its name on the original card.
        name: Text,
        /// Its value.
        value: u32,
    },
    /// What was notable on one lane. Answered by [`Tell::Events`].
    Events {
        /// Which lane, from 0.
        lane: u16,
        /// The number of the last event that the asker knows; 0 for none.
        after: u64,
    },
    /// End a session. Answered by [`Tell::Done`].
    Disconnect(SessionName),
    /// Take no session with those for a time. Answered by [`Tell::Done`].
    Ban {
        /// Whom.
        who: Banned,
        /// How long, in seconds; 0 for as long as the process lives.
        seconds: u32,
    },
    /// Take sessions with those again. Answered by [`Tell::Done`].
    Unban(Banned),
    /// Who is banned. Answered by [`Tell::Bans`].
    Bans,
}

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

/// Bytes that fill a message. What they are does not matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filling(pub Vec<u8>);

/// A name or a reason: at most [`ANSWER_TEXT_LEN_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Text(pub String);

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

/// The identity at the other end, where it is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum PeerKey {
    /// No identity was proven.
    #[default]
    Unknown,
    /// It is this.
    Known(PublicKey),
}

/// Names one session of a node or card.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionName {
    /// Its lane.
    pub lane: u16,
    /// Its place in the lane's table.
    pub index: u32,
    /// How many sessions had that place before.
    pub generation: u32,
}

/// Which rows of the session table are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionsAsked {
    /// The lane.
    pub lane: u16,
    /// The first place of the lane's table that is looked at.
    pub from: u32,
    /// Rows at most; more than [`SESSION_ROWS_MAX`] are never told.
    pub most: u16,
    /// Which of them.
    pub filter: SessionFilter,
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

/// An address and a port. An IPv4 address stands as an IPv6 one that maps it (RFC 4291, section 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Endpoint {
    /// The address.
    pub address: [u8; 16],
    /// The port.
    pub port: u16,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network {
    address: [u8; 16],
    prefix_len: u8,
}

/// Who is kept out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Banned {
    /// Whoever calls from there: its SYN is met by a reset.
    Network(Network),
    /// Whoever proves to be this, wherever it calls from: it is told so, and the session ends.
    Identity(PublicKey),
}

/// One ban.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BanRow {
    /// Whom.
    pub who: Banned,
    /// For how many seconds yet; 0 for as long as the process lives.
    pub seconds: u32,
    /// How often it kept somebody out, on the lane that says so.
    pub hits: u64,
}

/// Who is banned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BansTold {
    /// The bans.
    pub rows: Vec<BanRow>,
}

/// A session's last message: why it ends. Its layout stays the same in every version, so that strangers can tell each
/// other why they part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Goodbye {
    /// Why. Unknown reasons are to be shown by their number.
    pub reason: Parting,
    /// What belongs to the reason: of [`Parting::VERSION_TOO_OLD`] the oldest version that is understood, of
    /// [`Parting::BANNED`] the seconds that the ban still lasts (0 for no end), otherwise 0.
    pub detail: u32,
}

/// Why one side ends a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Parting(pub u8);

crate::layout!(Question <= QUESTION_LEN_MAX { number, what });
crate::tagged!(Ask {
    0 => Clock,
    1 => Info,
    2 => Fill(len),
    3 => Absorb(filling),
    4 => Sessions(asked),
    5 => Counters { lane },
    6 => Registers { lane },
    7 => SetRegister { name, value },
    8 => Events { lane, after },
    9 => Disconnect(session),
    10 => Ban { who, seconds },
    11 => Unban(who),
    12 => Bans,
});
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
crate::tagged!(PeerKey { 0 => Unknown, 1 => Known(key) });
crate::layout!(SessionName { lane, index, generation });
crate::layout!(SessionsAsked { lane, from, most, filter });
crate::layout!(SessionsPage { lanes, next, held, rows: list(0..=SESSION_ROWS_MAX) });
crate::layout!(CounterRow { name, value });
crate::layout!(CountersTold { lanes, rows: list(0..=COUNTERS_TOLD_MAX) });
crate::layout!(RegisterRow { name, value, acted });
crate::layout!(RegistersTold { lanes, rows: list(0..=REGISTERS_TOLD_MAX) });
crate::tagged!(EventKind { 0 => Opened, 1 => Closed, 2 => Failed, 3 => Banned, 4 => Unbanned, 5 => Register, 6 => Goodbye });
crate::layout!(EventRow { number, ago_ms, kind, session, remote, peer, reason });
crate::layout!(EventsPage { lanes, lost, rows: list(0..=EVENTS_TOLD_MAX) });
crate::layout!(Endpoint { address, port });
crate::tagged!(Banned { 0 => Network(network), 1 => Identity(key) });
crate::layout!(BanRow { who, seconds, hits });
crate::layout!(BansTold { rows: list(0..=BANS_MAX) });
crate::layout!(Goodbye <= GOODBYE_LEN { reason, detail });
crate::layout!(Parting(number));

/// Bytes of a goodbye: reason, detail.
const GOODBYE_LEN: usize = 1 + 4;
/// Bytes of the largest question: its number, a tag, the filling.
const QUESTION_LEN_MAX: usize = 8 + 1 + 4 + PROBE_LEN_MAX;

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

impl Ask {
    /// Whether whoever has said hello may ask that; the rest is for the diagnostics role and programs of the host.
    pub const fn is_for_all(&self) -> bool {
        matches!(self, Self::Clock | Self::Info | Self::Fill(_) | Self::Absorb(_))
    }
}

impl Canonical for Filling {
    fn put(&self, writer: &mut Writer) {
        writer.put_bytes(&self.0);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(reader.take_bytes(0..=PROBE_LEN_MAX)?.to_vec()))
    }
}

impl Filling {
    /// So many zero bytes, [`PROBE_LEN_MAX`] at most.
    pub fn zeros(len: u32) -> Self {
        Self(vec![0; (len as usize).min(PROBE_LEN_MAX)])
    }
}

impl Canonical for Text {
    fn put(&self, writer: &mut Writer) {
        writer.put_bytes(self.0.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(reader.take_text(0..=ANSWER_TEXT_LEN_MAX)?.to_owned()))
    }
}

impl Text {
    /// The text, cut to what fits.
    pub fn new(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(ANSWER_TEXT_LEN_MAX)].to_owned())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
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

impl PeerKey {
    /// The identity, where it is known.
    pub const fn key(self) -> Option<PublicKey> {
        match self {
            Self::Known(key) => Some(key),
            Self::Unknown => None,
        }
    }
}

impl From<Option<PublicKey>> for PeerKey {
    fn from(key: Option<PublicKey>) -> Self {
        key.map_or(Self::Unknown, Self::Known)
    }
}

impl SessionName {
    /// The index of no session.
    pub const NONE: u32 = u32::MAX;
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.lane, self.index, self.generation))
    }
}

impl std::str::FromStr for SessionName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let mut part = || parts.next().and_then(|part| part.parse::<u32>().ok());
        let (lane, index, generation) = (part(), part(), part());
        match (lane.and_then(|lane| u16::try_from(lane).ok()), index, generation, parts.next()) {
            (Some(lane), Some(index), Some(generation), None) => Ok(Self { lane, index, generation }),
            _ => Err("a session is named LANE.PLACE.GENERATION, as `hpb peer sessions` shows it"),
        }
    }
}

impl SessionsPage {
    /// The place after the last.
    pub const END: u32 = u32::MAX;
}

impl Endpoint {
    /// The endpoint of a socket's address.
    pub fn of(address: std::net::SocketAddr) -> Self {
        Self { address: mapped(address.ip()), port: address.port() }
    }

    /// As a socket's address.
    pub fn socket(self) -> std::net::SocketAddr {
        (Ipv6Addr::from(self.address).to_canonical(), self.port).into()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.socket().to_string())
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl Canonical for Network {
    fn put(&self, writer: &mut Writer) {
        writer.put(&self.address);
        writer.put(&self.prefix_len);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (address, prefix_len) = (reader.take()?, reader.take()?);
        let network = Self { address, prefix_len };
        let is_sound = prefix_len <= 128 && Self::masked(address, prefix_len) == address;
        if is_sound { Ok(network) } else { Err(CodecError::Range) }
    }
}

impl Network {
    /// Everybody.
    pub const ALL: Self = Self { address: [0; 16], prefix_len: 0 };

    /// The addresses that share the first `prefix_len` bits of `address`; `None` if it has not so many.
    pub fn new(address: IpAddr, prefix_len: u8) -> Option<Self> {
        let (bits, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let all = (prefix_len <= bits).then_some(before + prefix_len)?;
        Some(Self { address: Self::masked(mapped(address), all), prefix_len: all })
    }

    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::masked(mapped(address), self.prefix_len) == self.address
    }

    fn masked(address: [u8; 16], prefix_len: u8) -> [u8; 16] {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len.min(128))).unwrap_or(0);
        (u128::from_be_bytes(address) & mask).to_be_bytes()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from(self.address).to_canonical();
        let (bits, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix_len = self.prefix_len.saturating_sub(before);
        if prefix_len == bits { write!(f, "{address}") } else { write!(f, "{address}/{prefix_len}") }
    }
}

impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Identity(key) => f.write_str(&key.to_hex()),
        }
    }
}

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

impl Parting {
    /// The other side is of another chain.
    pub const WRONG_CHAIN: Self = Self(1);
    /// The other side speaks messages of a version that is not understood any more.
    pub const VERSION_TOO_OLD: Self = Self(2);
    /// The other side's identity is banned.
    pub const BANNED: Self = Self(3);
    /// There is no room for one more session of its kind.
    pub const FULL: Self = Self(4);
    /// A newer session has the same identity.
    pub const DUPLICATE_IDENTITY: Self = Self(5);
    /// The other side takes too little of what it is sent.
    pub const SLOW: Self = Self(6);
    /// The process ends.
    pub const SHUTDOWN: Self = Self(7);
    /// An operator ended it.
    pub const OPERATOR: Self = Self(8);
    /// The other side said what it may not say, or what is no message.
    pub const BROKEN: Self = Self(9);
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::WRONG_CHAIN => "other chain",
            Self::VERSION_TOO_OLD => "version too old",
            Self::BANNED => "banned",
            Self::FULL => "no room",
            Self::DUPLICATE_IDENTITY => "a newer session has the same identity",
            Self::SLOW => "too slow",
            Self::SHUTDOWN => "the process ends",
            Self::OPERATOR => "ended by an operator",
            Self::BROKEN => "broke a rule",
            Self(number) => return write!(f, "reason {number}"),
        })
    }
}

impl Goodbye {
    /// A goodbye with nothing to add to its reason.
    pub const fn because(reason: Parting) -> Self {
        Self { reason, detail: 0 }
    }
}

impl fmt::Display for Goodbye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        match (self.reason, self.detail) {
            (Parting::VERSION_TOO_OLD, oldest) => write!(f, " (the oldest that is understood is {oldest})"),
            (Parting::BANNED, seconds @ 1..) => write!(f, " (for {seconds} s yet)"),
            _ => Ok(()),
        }
    }
}
