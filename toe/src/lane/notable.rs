//! What was notable on a lane lately: sessions that opened and ended, goodbyes, bans. A ring for whoever asks; it takes a
//! few stores for each, and strangers who never get to their handshake leave nothing here (they are counted).

use std::collections::VecDeque;
use std::net::SocketAddr;

use hpb_base::Instant;
use hpb_base::limits::{EVENTS_KEPT_MAX, EVENTS_TOLD_MAX};
use hpb_types::keys::PublicKey;
use hpb_types::message::diagnose::{Banned, Endpoint, EventKind, EventRow, EventsPage, Goodbye, SessionName, Text};

use crate::card::{CloseReason, SessionId};
use crate::registers::Register;

/// Why, or what exactly.
#[derive(Clone, Copy)]
pub(super) enum Detail {
    None,
    Closed(CloseReason),
    Goodbye(Goodbye),
    Ban(Banned),
    Register(Register, u32),
}

/// Something that happened, and to which session.
#[derive(Clone, Copy)]
pub(super) struct Notable {
    pub(super) kind: EventKind,
    pub(super) session: Option<SessionId>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) peer: Option<PublicKey>,
    pub(super) detail: Detail,
}

/// The last of them.
#[derive(Default)]
pub(super) struct Notables {
    ring: VecDeque<(Instant, Notable)>,
    /// The number of the latest.
    last: u64,
}

impl Notables {
    pub(super) fn note(&mut self, now: Instant, notable: Notable) {
        if self.ring.len() == EVENTS_KEPT_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back((now, notable));
        self.last += 1;
    }

    /// Those after number `after`, a page at most.
    pub(super) fn page(&self, now: Instant, after: u64, lane: u16, lanes: u16) -> EventsPage {
        let first = self.last + 1 - self.ring.len() as u64;
        let from = (after + 1).max(first);
        // One who knows of more than there were speaks of an earlier life of this lane: it hears all.
        let from = if after > self.last { first } else { from };
        let lost = if after > self.last { 0 } else { from - after - 1 };
        let skipped = (from - first) as usize;
        let told = self.ring.iter().skip(skipped).take(EVENTS_TOLD_MAX).enumerate();
        let rows = told.map(|(at, (when, notable))| notable.row(from + at as u64, now.since(*when).as_millis(), lane));
        EventsPage { lanes, lost, rows: rows.collect() }
    }
}

impl Notable {
    fn row(&self, number: u64, ago_ms: u64, lane: u16) -> EventRow {
        let none = SessionId { index: SessionName::NONE, generation: 0 };
        let SessionId { index, generation } = self.session.unwrap_or(none);
        EventRow {
            number,
            ago_ms,
            kind: self.kind,
            session: SessionName { lane, index, generation },
            remote: self.remote.map(Endpoint::of).unwrap_or_default(),
            peer: self.peer.into(),
            reason: self.detail.text(),
        }
    }
}

impl Detail {
    fn text(&self) -> Text {
        match self {
            Self::None => Text::default(),
            Self::Closed(reason) => Text::new(&reason.to_string()),
            Self::Goodbye(goodbye) => Text::new(&format!("the peer says: {goodbye}")),
            Self::Ban(who) => Text::new(&who.to_string()),
            Self::Register(register, value) => Text::new(&format!("{} = {value}", register.name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Notable {
        Notable { kind: EventKind::Opened, session: None, remote: None, peer: None, detail: Detail::None }
    }

    #[test]
    fn a_watcher_resumes_where_it_was_and_learns_what_it_missed() {
        let mut notables = Notables::default();
        let now = Instant::from_millis(700);
        assert!(notables.page(now, 0, 0, 1).rows.is_empty());
        for _ in 0..EVENTS_TOLD_MAX + 10 {
            notables.note(Instant::from_millis(200), opened());
        }
        let page = notables.page(now, 0, 3, 4);
        assert_eq!((page.lanes, page.lost, page.rows.len()), (4, 0, EVENTS_TOLD_MAX));
        assert_eq!((page.rows[0].number, page.rows[0].ago_ms, page.rows[0].session.lane), (1, 500, 3));
        let rest = notables.page(now, EVENTS_TOLD_MAX as u64, 0, 1);
        assert_eq!((rest.lost, rest.rows.len(), rest.rows[0].number), (0, 10, EVENTS_TOLD_MAX as u64 + 1));
        assert!(notables.page(now, rest.rows[9].number, 0, 1).rows.is_empty());
        for _ in 0..EVENTS_KEPT_MAX {
            notables.note(now, opened());
        }
        let page = notables.page(now, 5, 0, 1);
        let first = EVENTS_TOLD_MAX as u64 + 11;
        assert_eq!((page.lost, page.rows[0].number), (first - 6, first));
        assert_eq!(notables.page(now, u64::MAX - 1, 0, 1).rows[0].number, first, "of an earlier life");
    }
}
