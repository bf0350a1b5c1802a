//! Fetching the slices that lead to one that is missing, when they are more than one answer holds.
//!
//! A request is answered with the oldest slices above a given one, a bounded number of them. After a long partition, or
//! when a producer comes back to a chain that grew without finality, tens of thousands are missing, and the last final
//! slice says no longer how far the answers have come: so each request begins where the answer before it ended, and leaves
//! as soon as that has come. What is not answered is asked of another peer, and then from the last final slice again.

use std::collections::VecDeque;

use hpb_base::limits::{FETCHES_MAX, SLICE_OFFERS_MAX, SLICES_SERVED_MAX};
use hpb_ledger::Store;
use hpb_toe::SessionId;
use hpb_types::message::{Message, SliceRequest};
use hpb_types::{Hash, SliceRef, Slot};

use super::Core;

/// One missing slice, and how far the way to it is known.
struct Fetch {
    want: Hash,
    session: SessionId,
    /// The last slice on the way that is here.
    from: SliceRef,
    /// Slices of the present answer that are here.
    count: usize,
    /// Whether slices came since the engine asked last.
    moved: bool,
    /// Requests in a row that brought nothing.
    idle: u32,
}

/// What is being fetched.
#[derive(Default)]
pub(super) struct Fetches {
    open: Vec<Fetch>,
    /// Which parents are missing here of slices that came by themselves, and from whom: the one to ask first.
    offers: VecDeque<(Hash, SessionId)>,
}

impl Fetches {
    /// A slice came from `session`, and its parent is not here.
    pub(super) fn offered(&mut self, parent: Hash, session: SessionId) {
        if self.offers.len() == SLICE_OFFERS_MAX {
            self.offers.pop_front();
        }
        self.offers.push_back((parent, session));
    }

    /// A session is gone.
    pub(super) fn close(&mut self, session: SessionId) {
        self.offers.retain(|(_, of)| *of != session);
    }

    /// The engine asks for a slice, as it does again and again while that is missing. Whom to ask, from where; none while
    /// answers come. `other` is a peer to ask if nobody offered it, or did not answer.
    fn wanted(&mut self, want: Hash, above: SliceRef, other: SessionId) -> Option<(SessionId, SliceRef)> {
        if let Some(fetch) = self.open.iter_mut().find(|fetch| fetch.want == want) {
            if fetch.moved {
                fetch.moved = false;
                return None;
            }
            fetch.idle += 1;
            (fetch.session, fetch.count) = (other, 0);
            if fetch.idle > 1 || fetch.from.height < above.height {
                fetch.from = above;
            }
            return Some((fetch.session, fetch.from));
        }
        let offer = self.offers.iter().rev().find(|(parent, _)| *parent == want);
        let session = offer.map_or(other, |(_, session)| *session);
        if self.open.len() == FETCHES_MAX {
            self.open.remove(0);
        }
        self.open.push(Fetch { want, session, from: above, count: 0, moved: false, idle: 0 });
        Some((session, above))
    }

    /// A slice is here that follows `parent`; `again` from whom, if it was here before. Gives what to ask for next, of whom
    /// and from where, where an answer ends. An answer that begins with slices that are here, and have been since long,
    /// need not follow the last final one: the peer may no longer keep those before.
    fn came(&mut self, slice: SliceRef, parent: &Hash, again: Option<SessionId>) -> Vec<(SessionId, Hash, SliceRef)> {
        self.open.retain(|fetch| fetch.want != slice.id);
        let mut next = Vec::new();
        let follows = |fetch: &Fetch| {
            let begins = fetch.count == 0 && again == Some(fetch.session) && slice.height > fetch.from.height;
            fetch.from.id == *parent || begins
        };
        for fetch in self.open.iter_mut().filter(|fetch| follows(fetch)) {
            (fetch.from, fetch.moved, fetch.idle) = (slice, true, 0);
            fetch.count += 1;
            if fetch.count == SLICES_SERVED_MAX {
                fetch.count = 0;
                next.push((fetch.session, fetch.want, slice));
            }
        }
        next
    }
}

impl<S: Store> Core<S> {
    /// The engine lacks a slice.
    pub(super) fn request(&mut self, missing: Hash, above: SliceRef) {
        // What is missing between is being asked for by range.
        if self.sync.is_beyond(Slot(u64::MAX)) {
            return;
        }
        let Some(other) = self.peers.next_to_ask() else { return };
        if let Some((session, from)) = self.fetches.wanted(missing, above, other) {
            self.send(session, &Message::SliceRequest(SliceRequest { from, want: missing }));
        }
    }

    /// A slice is here, now or since long and came `again`: an answer may have come to its end with it.
    pub(super) fn fetched(&mut self, slice: SliceRef, parent: &Hash, again: Option<SessionId>) {
        for (session, want, from) in self.fetches.came(slice, parent, again) {
            self.send(session, &Message::SliceRequest(SliceRequest { from, want }));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hpb_types::Height;

    use super::*;

    fn session(index: u32) -> SessionId {
        SessionId { index, generation: 0 }
    }

    fn slice(number: u64) -> SliceRef {
        SliceRef { height: Height { slot: Slot(number), index: 0 }, id: Hash::of(&number.to_le_bytes()) }
    }

    /// The slices `from..to` come, each after the one before it.
    fn come(fetches: &mut Fetches, from: u64, to: u64) -> Vec<(SessionId, Hash, SliceRef)> {
        (from..to).flat_map(|number| fetches.came(slice(number), &slice(number - 1).id, None)).collect()
    }

    #[test]
    fn the_next_request_begins_where_the_answer_ended() {
        let (mut fetches, full) = (Fetches::default(), SLICES_SERVED_MAX as u64);
        let want = slice(3 * full).id;
        fetches.offered(want, session(7));
        assert_eq!(fetches.wanted(want, slice(0), session(1)), Some((session(7), slice(0))), "who offered it");
        assert_eq!(come(&mut fetches, 1, full), []);
        assert_eq!(fetches.wanted(want, slice(0), session(1)), None, "it is on its way");
        assert_eq!(come(&mut fetches, full, full + 1), [(session(7), want, slice(full))]);
        let rest = come(&mut fetches, full + 1, 3 * full + 1);
        assert_eq!(rest, [(session(7), want, slice(2 * full))], "and none after the last");
        assert!(fetches.open.is_empty());
    }

    #[test]
    fn what_is_not_answered_is_asked_of_another_and_then_from_the_start() {
        let (mut fetches, want) = (Fetches::default(), slice(99).id);
        assert_eq!(fetches.wanted(want, slice(0), session(1)), Some((session(1), slice(0))));
        assert_eq!(come(&mut fetches, 1, 5), []);
        assert_eq!(fetches.wanted(want, slice(0), session(2)), None);
        assert_eq!(fetches.wanted(want, slice(0), session(2)), Some((session(2), slice(4))));
        assert_eq!(fetches.wanted(want, slice(0), session(3)), Some((session(3), slice(0))));
        // What leads elsewhere counts for nothing.
        assert_eq!(fetches.came(slice(50), &slice(49).id, None), []);
        assert_eq!(fetches.wanted(want, slice(2), session(1)), Some((session(1), slice(2))), "final went on");
    }

    #[test]
    fn an_answer_may_begin_with_what_is_here_since_long() {
        let (mut fetches, want) = (Fetches::default(), slice(999).id);
        fetches.wanted(want, slice(0), session(1));
        assert_eq!(fetches.came(slice(50), &slice(49).id, Some(session(2))), [], "not from whom it was asked");
        assert_eq!(fetches.open[0].from, slice(0));
        assert_eq!(fetches.came(slice(60), &slice(59).id, Some(session(1))), []);
        assert_eq!(come(&mut fetches, 61, 64), []);
        assert_eq!((fetches.open[0].from, fetches.open[0].count), (slice(63), 4));
    }

    #[test]
    fn both_tables_are_bounded() {
        let mut fetches = Fetches::default();
        for number in 0..2 * (FETCHES_MAX + SLICE_OFFERS_MAX) as u64 {
            fetches.offered(slice(number).id, session(number as u32));
            fetches.wanted(slice(number).id, slice(0), session(1));
        }
        assert_eq!((fetches.open.len(), fetches.offers.len()), (FETCHES_MAX, SLICE_OFFERS_MAX));
        fetches.offers.clear();
        fetches.offered(slice(1).id, session(1));
        fetches.close(session(1));
        assert_eq!(fetches.offers.len(), 0);
    }
}
