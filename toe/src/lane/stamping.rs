//! The seam at which a lane tells its stamps, if it has any, how far a session's messages have come.

use hpb_base::Instant;
use hpb_net::frame::Frame;

use super::Lane;
use super::session::Session;
use crate::segment::Segment;
use crate::stamps::Stamps;

/// The stamps of a lane, or none: then each of these functions is one branch.
#[derive(Default)]
pub(super) struct Stamping(Option<Box<Stamps>>);

impl Stamping {
    /// When a message is taken from the host for a session; `None` if that is not looked at.
    pub(super) fn begin(&mut self, session: &Session) -> Option<Instant> {
        self.0.as_mut().filter(|stamps| stamps.draws(&session.flow)).map(|stamps| stamps.now())
    }

    /// A message of `framed_len` bytes that was begun at `taken_at` was offered; `is_kept` unless something was shed.
    pub(super) fn offered(&mut self, taken_at: Option<Instant>, session: &Session, framed_len: usize, is_kept: bool) {
        if let (Some(stamps), Some(taken_at)) = (&mut self.0, taken_at) {
            stamps.taken(session.id, &session.flow, taken_at, framed_len, is_kept);
            stamps.sealed(session.id, &session.flow, session.outbox.len(), session.sequence_filled());
        }
    }

    /// What waited was moved into the send buffer as far as there was room.
    pub(super) fn filled(&mut self, session: &Session) {
        if let Some(stamps) = &mut self.0 {
            stamps.sealed(session.id, &session.flow, session.outbox.len(), session.sequence_filled());
        }
    }

    /// A segment leaves; its numbers are still the engine's.
    pub(super) fn emitted(&mut self, session: &Session, segment: &Segment) {
        if let (Some(stamps), 1..) = (&mut self.0, segment.payload_len()) {
            let from = segment.seq.wrapping_add(session.edge.offset.unwrap_or(0));
            stamps.emitted(session.id, &session.flow, from, from.wrapping_add(segment.payload_len()));
        }
    }

    /// A frame is about to be taken.
    pub(super) fn frame(&mut self, frame: &Frame) {
        if let Some(stamps) = &mut self.0 {
            stamps.frame(frame.arrived_unix_ns());
        }
    }

    /// A segment was taken by TCP.
    pub(super) fn fed(&mut self, session: &Session, segment: &Segment) {
        if let (Some(stamps), 1..) = (&mut self.0, segment.payload_len()) {
            let to = segment.seq.wrapping_add(segment.payload_len());
            stamps.fed(session.id, &session.flow, segment.seq, to, session.expected().receive_next);
        }
    }

    /// So many messages were opened.
    pub(super) fn opened(&mut self, session: &Session, count: u32) {
        if let (Some(stamps), 1..) = (&mut self.0, count) {
            stamps.opened(session.id, &session.flow, count);
        }
    }
}

impl Lane {
    /// Has the stages of messages stamped from now on, or no longer; gives what was stamped so far.
    pub fn set_stamps(&mut self, stamps: Option<Stamps>) -> Option<Stamps> {
        std::mem::replace(&mut self.stamping.0, stamps.map(Box::new)).map(|stamps| *stamps)
    }

    /// Its stamps, for what the driver alone sees: bursts that the port brought and took.
    pub fn stamps(&mut self) -> Option<&mut Stamps> {
        self.stamping.0.as_deref_mut()
    }
}
