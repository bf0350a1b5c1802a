//! What the core is told and what it says. All of it can cross a thread.

use std::sync::Arc;

use hpb_base::Duration;
use hpb_ledger::FinalBatch;
use hpb_ledger::chainlog::LogBatch;
use hpb_toe::{Class, Command, Event, SessionId};
use hpb_types::PublicKey;
use hpb_types::message::diagnose::{Answer, Question};

use crate::serve::{Read, Served};
use crate::verify::{Request, Verdict};

/// What the world tells the core.
pub enum Input {
    /// A session opened; encrypted, or it has no identity.
    Opened {
        /// The session.
        session: SessionId,
        /// Who the peer is.
        peer: Option<PublicKey>,
        /// What it was taken or called as.
        class: Class,
    },
    /// A session is gone.
    Closed {
        /// The session.
        session: SessionId,
    },
    /// A message came.
    Message {
        /// From whom.
        session: SessionId,
        /// What it is.
        kind: u8,
        /// What it says.
        body: Vec<u8>,
    },
    /// What the verifier found.
    Verdict(Verdict),
    /// The log batch of that number is durable.
    Synced {
        /// The number that [`Output::Log`] carried.
        number: u64,
    },
    /// The store holds every batch up to that one.
    Committed {
        /// The commit's number.
        commit: u64,
    },
    /// A piece of a peer's request was read from the log.
    Served(Box<Served>),
    /// What the card's desk says to a peer's question.
    Answered {
        /// Who asked.
        session: SessionId,
        /// The answer.
        answer: Box<Answer>,
    },
    /// Digests must be at least this far apart: sending one costs too much otherwise.
    DigestInterval(Duration),
}

/// What the core says.
pub enum Output {
    /// For the card.
    Card(Command),
    /// For the verifier.
    Verify(Request),
    /// Make this durable, then say [`Input::Synced`].
    Log {
        /// Its number, one more each time.
        number: u64,
        /// What to write.
        batch: Box<LogBatch>,
    },
    /// Read a piece of this peer's request from the log, then say [`Input::Served`]. One is out at a time.
    Read(Box<Read>),
    /// Commit this to the store, with sync, then say [`Input::Committed`].
    Commit(Box<FinalBatch>),
    /// A peer that may asks about the card: for its desk, which answers by [`Input::Answered`].
    Ask {
        /// Who asks.
        session: SessionId,
        /// What.
        question: Box<Question>,
    },
    /// The node must stop: going on could harm the chain or the data.
    Stop(String),
}

/// What stands between a core and its card, and may say other than the core: for nodes that lie on purpose, so that a
/// devnet shows what becomes of them. A node that has none sends its core's own words.
pub trait Outgoing: Send {
    /// Learns what the core is told.
    fn heard(&mut self, input: &Input);

    /// What the card is told in place of `command`, in this order.
    fn leaving(&mut self, command: Command) -> Vec<Command>;
}

impl Input {
    /// The input that an event of the card becomes; `None` for one that says nothing to the core.
    pub fn of(event: &Event<'_>) -> Option<Self> {
        match *event {
            Event::Opened { session, peer, class, .. } => Some(Self::Opened { session, peer, class }),
            Event::Closed { session, was_open, .. } => was_open.then_some(Self::Closed { session }),
            Event::Message { session, kind, body, .. } => Some(Self::Message { session, kind, body: body.to_vec() }),
        }
    }
}

/// A message framed once for any number of sessions.
pub(crate) fn framed(message: &hpb_types::message::Message) -> Arc<[u8]> {
    hpb_toe::framing::framed(message.kind(), &message.encode()).into()
}
