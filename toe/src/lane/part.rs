//! Sessions that end with a word, and those that are not wanted: goodbyes, bans, and places that are kept to say so.

use hpb_base::limits::SLOW_GOODBYE_MS_MAX;
use hpb_base::{Duration, Instant};
use hpb_types::Canonical as _;
use hpb_types::message::diagnose::{BanRow, Banned, EventKind, EventsPage, Goodbye, Parting};
use hpb_types::message::kind;

use super::notable::{Detail, Notable};
use super::session::Session;
use super::{Lane, live};
use crate::card::{CloseReason, SessionId};
use crate::class::Priority;
use crate::framing::framed;
use crate::outbox::Queued;
use crate::registers::Register;
use crate::stats::Drop;

/// Of a table's places, the last one in so many is kept for sessions that are told that there is no room.
const PLACES_PER_FAREWELL: usize = 64;
/// Places that are kept so at most.
const FAREWELLS_MAX: usize = 64;
/// How long a peer without room for a goodbye has for it.
const SLOW_PATIENCE: Duration = Duration::from_millis(SLOW_GOODBYE_MS_MAX);
/// Sessions that are held against a new ban in one turn.
const SWEPT_PER_TURN: usize = 2_048;

impl Lane {
    /// Ends a session and says why, behind what waits for it. A peer that does not speak in messages is told nothing.
    pub fn farewell(&mut self, id: SessionId, goodbye: Goodbye) {
        if live(&mut self.slots, id).is_some_and(|session| session.speaks_messages()) {
            let word = framed(kind::GOODBYE, &goodbye.to_bytes());
            if let Ok(Queued::Overflow) = self.put(id, Priority::Critical, &word, None) {
                self.last_word(id, goodbye);
            }
        }
        self.end(id.index, Some(id), CloseReason::Parted(goodbye.reason));
    }

    /// Ends a session whose peer takes too little of what it is sent, and says so.
    pub(super) fn part_slow(&mut self, id: SessionId) {
        let Some(session) = live(&mut self.slots, id) else { return };
        if !session.speaks_messages() {
            return self.end(id.index, Some(id), CloseReason::SlowPeer);
        }
        let goodbye = Goodbye::because(Parting::SLOW);
        self.last_word(id, goodbye);
        self.end(id.index, Some(id), CloseReason::Parted(goodbye.reason));
    }

    /// Says goodbye where there is no room: of what waits the message that has begun is kept, and the word follows it. A
    /// peer that does not take these two in time either meets a reset.
    fn last_word(&mut self, id: SessionId, goodbye: Goodbye) {
        let deadline_at = self.now + SLOW_PATIENCE;
        let Some(session) = live(&mut self.slots, id) else { return };
        session.outbox.end_with(framed(kind::GOODBYE, &goodbye.to_bytes()).into());
        session.deadline_at = Some(deadline_at);
    }

    /// Ends the session of that name for an operator; false if there is none.
    pub fn disconnect(&mut self, id: SessionId) -> bool {
        let is_there = live(&mut self.slots, id).is_some();
        self.farewell(id, Goodbye::because(Parting::OPERATOR));
        is_there
    }

    /// Keeps somebody out for `seconds`, 0 for ever, and ends what sessions there are with them; false if there are as
    /// many bans as there may be.
    pub fn ban(&mut self, now: Instant, who: Banned, seconds: u32) -> bool {
        self.now = now;
        let is_added = self.guard.bans.add(now, who, seconds);
        if is_added {
            self.unswept = Some(0);
            self.note_ban(EventKind::Banned, who);
        }
        is_added
    }

    /// Lets somebody in again; false if there was no such ban.
    pub fn unban(&mut self, now: Instant, who: &Banned) -> bool {
        let is_removed = self.guard.bans.remove(now, who);
        if is_removed {
            self.note_ban(EventKind::Unbanned, *who);
        }
        is_removed
    }

    /// Who is kept out.
    pub fn bans(&self, now: Instant) -> Vec<BanRow> {
        self.guard.bans.rows(now)
    }

    /// What was notable on this lane, `lane` of `lanes`, after the event of that number.
    pub fn notables(&self, now: Instant, after: u64, (lane, lanes): (u16, u16)) -> EventsPage {
        self.notables.page(now, after, lane, lanes)
    }

    /// Holds open sessions against a new ban, so many a turn; whether there was anything to do.
    pub(super) fn sweep(&mut self, now: Instant) -> bool {
        let Some(from) = self.unswept else { return false };
        let end = (from + SWEPT_PER_TURN).min(self.slots.len());
        for index in from..end {
            let Some(session) = self.slots[index].session.as_ref() else { continue };
            let concerned = self.guard.bans.concerns(now, session.flow.remote().ip(), session.peer.as_ref());
            if let Some(detail) = concerned {
                self.farewell(session.id, Goodbye { reason: Parting::BANNED, detail });
            }
        }
        self.unswept = (end < self.slots.len()).then_some(end);
        true
    }

    /// Whether a session whose handshake is finished may not stay, and what it is told.
    pub(super) fn unwelcome(&mut self, now: Instant, id: SessionId) -> Option<Goodbye> {
        let session = live(&mut self.slots, id)?;
        if session.call.is_none() && session.is_farewell {
            self.counters.drops.count(Drop::TableFull);
            return Some(Goodbye::because(Parting::FULL));
        }
        let detail = self.guard.bans.refuses(now, session.peer.as_ref()?)?;
        self.counters.drops.count(Drop::Banned);
        Some(Goodbye { reason: Parting::BANNED, detail })
    }

    /// Whether the table is so full that a session that comes in is only told so.
    pub(super) fn is_near_full(&self) -> bool {
        let kept = (self.config.sessions_max / PLACES_PER_FAREWELL).min(FAREWELLS_MAX);
        kept > 0 && self.sessions() >= self.config.sessions_max - kept
    }

    /// Notes what became of a session that got as far as its handshake.
    pub(super) fn note_session(&mut self, kind: EventKind, session: &Session, detail: Detail) {
        let (id, remote, peer) = (session.id, session.flow.remote(), session.peer);
        self.notables.note(self.now, Notable { kind, session: Some(id), remote: Some(remote), peer, detail });
    }

    /// Notes that a register was set.
    pub(super) fn note_register(&mut self, register: Register, value: u32) {
        let detail = Detail::Register(register, value);
        let notable = Notable { kind: EventKind::Register, session: None, remote: None, peer: None, detail };
        self.notables.note(self.now, notable);
    }

    fn note_ban(&mut self, kind: EventKind, who: Banned) {
        let notable = Notable { kind, session: None, remote: None, peer: None, detail: Detail::Ban(who) };
        self.notables.note(self.now, notable);
    }
}
