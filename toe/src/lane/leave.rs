//! The end of a lane: nobody is let in or called any more, each peer is told why, and whoever does not take it in time
//! meets a reset.

use hpb_base::{Duration, Instant};
use hpb_types::message::diagnose::Goodbye;

use super::{Lane, mark};
use crate::card::CloseReason;
use crate::class::Class;

/// Places of the session table that are looked at in one turn.
const PLACES_PER_TURN: usize = 2_048;

/// How far a lane is with its end.
pub(super) struct Leaving {
    goodbye: Goodbye,
    /// Sessions that are there then are cut off.
    until: Instant,
    /// Who is told next, and from which place of the table on; `None` once all were.
    next: Option<(Turn, usize)>,
}

/// Whose turn it is to be told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Other validators: a chain needs them more than anybody.
    Validators,
    /// All others.
    Rest,
}

impl Lane {
    /// Takes and makes no more sessions, tells the peers of those that are open `goodbye` and ends them, behind what waits
    /// for each; handshakes under way are broken off. What is left after `within` is cut off by a reset. It goes on turn
    /// by turn until [`has_left`](Self::has_left); a second call changes nothing.
    pub fn leave(&mut self, now: Instant, goodbye: Goodbye, within: Duration) {
        self.now = now;
        if self.leaving.is_some() {
            return;
        }
        self.listeners.clear();
        self.calls.give_up();
        self.leaving = Some(Leaving { goodbye, until: now + within, next: Some((Turn::Validators, 0)) });
    }

    /// Whether it was told to leave.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Whether it was told to leave, and has no session any more.
    pub fn has_left(&self) -> bool {
        self.is_leaving() && !self.is_parting() && self.sessions() == 0
    }

    /// Whether there are peers yet to be told.
    pub(super) fn is_parting(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.next.is_some())
    }

    /// Tells the next peers, so many a turn; whether there was anything to do.
    pub(super) fn part_some(&mut self, now: Instant) -> bool {
        let Some(&Leaving { goodbye, until, next: Some((turn, from)) }) = self.leaving.as_ref() else { return false };
        let end = (from + PLACES_PER_TURN).min(self.slots.len());
        for index in from..end {
            let Some(session) = self.slots[index].session.as_ref() else { continue };
            if turn == Turn::Validators && session.class != Class::Validator {
                continue;
            }
            let id = session.id;
            if session.is_open() && now < until {
                self.farewell(id, goodbye);
            } else {
                // At its handshake it could not read the word, and after that time there is none. One that is ending for
                // another reason goes on.
                self.end(id.index, Some(id), CloseReason::Parted(goodbye.reason));
            }
            if let Some(session) = self.slots[index].session.as_mut() {
                session.deadline_at = Some(session.deadline_at.map_or(until, |at| at.min(until)));
                mark(&mut self.dirty, session);
            }
        }
        let next = match turn {
            _ if end < self.slots.len() => Some((turn, end)),
            Turn::Validators => Some((Turn::Rest, 0)),
            Turn::Rest => None,
        };
        if let Some(leaving) = &mut self.leaving {
            leaving.next = next;
        }
        true
    }
}
