//! Whose request for final slices is read next.
//!
//! One read is out at the log at a time, and brings one piece; what is left of its request waits behind all others, so
//! that peers are served in turn. A peer beyond its limit, or all of them together, are told at once that there is too
//! much to do.

use std::collections::{BTreeMap, VecDeque};

use hpb_base::limits::{HEADERS_PER_SECOND_MAX, SERVES_MAX, SERVES_PER_PEER_MAX};
use hpb_base::{Duration, Instant};
use hpb_ledger::Store;
use hpb_toe::{Command, Priority, SessionId};
use hpb_types::message::{ChainPiece, Headers, Message, PieceEnd, RangeRequest};

use super::Core;
use super::io::{Output, framed};
use crate::serve::{Read, Served, Wanted};

const SECOND: Duration = Duration::from_secs(1);

/// The requests that wait.
#[derive(Default)]
pub(super) struct Serving {
    waiting: VecDeque<Box<Read>>,
    /// Requests of each peer, the one that is read included.
    of_peer: BTreeMap<SessionId, usize>,
    reading: bool,
    /// Headers served in the present second, and when it began.
    headers: u32,
    second: Instant,
}

impl Serving {
    /// Takes a request; false if there is no room for it.
    fn take(&mut self, now: Instant, read: Read) -> bool {
        if now.since(self.second) >= SECOND {
            (self.second, self.headers) = (now, 0);
        }
        let is_headers = read.wanted() == Wanted::Headers;
        if is_headers && self.headers >= HEADERS_PER_SECOND_MAX {
            return false;
        }
        let total: usize = self.of_peer.values().sum();
        let count = self.of_peer.get(&read.session()).copied().unwrap_or_default();
        if total >= SERVES_MAX || count >= SERVES_PER_PEER_MAX {
            return false;
        }
        self.headers += u32::from(is_headers);
        self.of_peer.insert(read.session(), count + 1);
        self.waiting.push_back(Box::new(read));
        true
    }

    /// What to read now.
    pub(super) fn next(&mut self) -> Option<Box<Read>> {
        if self.reading {
            return None;
        }
        let next = self.waiting.pop_front();
        self.reading = next.is_some();
        next
    }

    /// A piece came back; whether its peer is still there.
    fn served(&mut self, session: SessionId, rest: Option<Box<Read>>) -> bool {
        self.reading = false;
        let Some(count) = self.of_peer.get_mut(&session) else { return false };
        match rest {
            Some(rest) => self.waiting.push_back(rest),
            None if *count > 1 => *count -= 1,
            None => {
                self.of_peer.remove(&session);
            }
        }
        true
    }

    /// A peer is gone.
    pub(super) fn close(&mut self, session: SessionId) {
        self.waiting.retain(|read| read.session() != session);
        self.of_peer.remove(&session);
    }
}

impl<S: Store> Core<S> {
    /// A peer asks for final slices.
    pub(super) fn asked(&mut self, session: SessionId, wanted: Wanted, request: RangeRequest) {
        // What lies below a checkpoint that is not reached may be of another chain.
        if !self.sync.is_guarded() && self.serving.take(self.now, Read::new(session, wanted, request)) {
            return;
        }
        self.stats.serves_refused += 1;
        let (request, end) = (request.request, PieceEnd::Busy);
        let message = framed(&match wanted {
            Wanted::Slices => Message::ChainPiece(Box::new(ChainPiece { request, slices: Vec::new(), end })),
            Wanted::Headers => Message::Headers(Box::new(Headers { request, slices: Vec::new(), end })),
        });
        self.outputs.push_back(Output::Card(Command::Send { session, priority: Priority::Normal, message }));
    }

    /// A piece was read.
    pub(super) fn served(&mut self, served: Served) {
        let Served { session, message, slices_count, rest } = served;
        if self.serving.served(session, rest) {
            self.stats.served += slices_count;
            self.outputs.push_back(Output::Card(Command::Send { session, priority: Priority::Normal, message }));
        }
    }
}

#[cfg(test)]
mod tests {
    use hpb_types::{Height, Slot};

    use super::*;

    fn read(index: u32, wanted: Wanted) -> Read {
        let session = SessionId { index, generation: 0 };
        Read::new(session, wanted, RangeRequest { request: 1, from: Height::default(), to: Slot(1) })
    }

    #[test]
    fn peers_take_turns_and_none_takes_more_than_its_part() {
        let mut serving = Serving::default();
        for _ in 0..SERVES_PER_PEER_MAX {
            assert!(serving.take(Instant::ZERO, read(1, Wanted::Slices)));
        }
        assert!(!serving.take(Instant::ZERO, read(1, Wanted::Slices)), "its part is taken");
        assert!(serving.take(Instant::ZERO, read(2, Wanted::Slices)));
        let mut order = Vec::new();
        for _ in 0..7 {
            let Some(next) = serving.next() else { break };
            assert!(serving.next().is_none(), "one at a time");
            order.push(next.session().index);
            let session = next.session();
            assert!(serving.served(session, Some(next)));
        }
        assert_eq!(order, [1, 1, 1, 1, 2, 1, 1]);
        serving.close(SessionId { index: 1, generation: 0 });
        assert_eq!(serving.next().map(|read| read.session().index), Some(2));
        assert!(!serving.served(SessionId { index: 1, generation: 0 }, None), "gone");
    }

    #[test]
    fn all_together_are_bounded_and_headers_by_the_second() {
        let mut serving = Serving::default();
        for peer in 0..SERVES_MAX as u32 {
            assert!(serving.take(Instant::ZERO, read(peer, Wanted::Slices)));
        }
        assert!(!serving.take(Instant::ZERO, read(9_999, Wanted::Slices)));
        let mut serving = Serving::default();
        let mut serve = |at| {
            let taken = serving.take(at, read(1, Wanted::Headers));
            if let Some(next) = serving.next() {
                serving.served(next.session(), None);
            }
            taken
        };
        assert!((0..HEADERS_PER_SECOND_MAX).all(|_| serve(Instant::from_millis(5))));
        assert!(!serve(Instant::from_millis(900)));
        assert!(serve(Instant::from_millis(1_005)));
    }
}
