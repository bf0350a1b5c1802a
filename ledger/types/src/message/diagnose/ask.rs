//! What can be asked of a running node.

use hpb_base::limits::PROBE_LEN_MAX;

use super::{Banned, CaptureAsked, Filling, SessionFilter, SessionName, Text};

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
    /// What time is it at your place? Answered by [`Tell::Clock`](super::Tell::Clock).
    Clock,
    /// Who and what are you? Answered by [`Tell::Info`](super::Tell::Info).
    Info,
    /// Send so many bytes, [`PROBE_LEN_MAX`] at most. Answered by [`Tell::Filling`](super::Tell::Filling).
    Fill(u32),
    /// Take these bytes. Answered by [`Tell::Absorbed`](super::Tell::Absorbed).
    Absorb(Filling),
    /// Rows of the session table. Answered by [`Tell::Sessions`](super::Tell::Sessions).
    Sessions(SessionsAsked),
    /// The counters of one lane. Answered by [`Tell::Counters`](super::Tell::Counters).
    Counters {
        /// Which lane, from 0.
        lane: u16,
    },
    /// The mode registers of one lane. Answered by [`Tell::Registers`](super::Tell::Registers).
    Registers {
        /// Which lane, from 0.
        lane: u16,
    },
    /// Set a mode register on every lane. Answered by [`Tell::Done`](super::Tell::Done).
    SetRegister {
        /// Its name on the original card.
        name: Text,
        /// Its value.
        value: u32,
    },
    /// What was notable on one lane. Answered by [`Tell::Events`](super::Tell::Events).
    Events {
        /// Which lane, from 0.
        lane: u16,
        /// The number of the last event that the asker knows; 0 for none.
        after: u64,
    },
    /// End a session. Answered by [`Tell::Done`](super::Tell::Done).
    Disconnect(SessionName),
    /// Take no session with those for a time. Answered by [`Tell::Done`](super::Tell::Done).
    Ban {
        /// Whom.
        who: Banned,
        /// How long, in seconds; 0 for as long as the process lives.
        seconds: u32,
    },
    /// Take sessions with those again. Answered by [`Tell::Done`](super::Tell::Done).
    Unban(Banned),
    /// Who is banned. Answered by [`Tell::Bans`](super::Tell::Bans).
    Bans,
    /// Keep what chosen sessions say from now on. Answered by [`Tell::Capturing`](super::Tell::Capturing).
    Capture(CaptureAsked),
    /// What a capture kept. Answered by [`Tell::Captured`](super::Tell::Captured); who does not ask for ten seconds is
    /// taken to be gone, and the capture ends.
    Captured {
        /// Its lane.
        lane: u16,
        /// Its name there.
        id: u32,
        /// The number of the last row that the asker has; 0 for none. It and those before are let go of.
        after: u64,
    },
    /// End a capture, and let go of what it kept. Answered by [`Tell::Done`](super::Tell::Done).
    CaptureEnd {
        /// Its lane.
        lane: u16,
        /// Its name there.
        id: u32,
    },
}

/// Which rows of the session table are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionsAsked {
    /// The lane.
    pub lane: u16,
    /// The first place of the lane's table that is looked at.
    pub from: u32,
    /// Rows at most; more than [`SESSION_ROWS_MAX`](hpb_base::limits::SESSION_ROWS_MAX) are never told.
    pub most: u16,
    /// Which of them.
    pub filter: SessionFilter,
}

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
    13 => Capture(asked),
    14 => Captured { lane, id, after },
    15 => CaptureEnd { lane, id },
});
crate::layout!(SessionsAsked { lane, from, most, filter });

/// Bytes of the largest question: its number, a tag, the filling.
const QUESTION_LEN_MAX: usize = 8 + 1 + 4 + PROBE_LEN_MAX;

impl Ask {
    /// Whether whoever has said hello may ask that; the rest is for the diagnostics role and programs of the host.
    pub const fn is_for_all(&self) -> bool {
        matches!(self, Self::Clock | Self::Info | Self::Fill(_) | Self::Absorb(_))
    }
}
