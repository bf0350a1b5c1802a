//! Questions from afar, by a session over the kernel's TCP. What is a node's own is answered to whom its operator has
//! named as an onlooker (`hpb devnet --diagnostics KEY`), and refused to others.

use hpb_types::message::diagnose::{Ask, Tell};

use crate::ask::{AskError, Asker};
use crate::probe::{Ended, NoAnswer, Session, Target, handshake};

/// A session with a node, as an onlooker.
pub struct RemoteAsker {
    session: Session,
    target: Target,
}

impl RemoteAsker {
    /// Opens a session with the target, which names credentials.
    ///
    /// # Errors
    /// Why none opens, in words.
    pub fn open(target: Target) -> Result<Self, AskError> {
        let (report, session) = handshake::open(&target);
        let why = || report.failure.as_ref().map_or_else(|| "it did not open".to_owned(), handshake::Failure::words);
        session.map(|session| Self { session, target }).ok_or_else(|| AskError::Remote(why()))
    }

    /// Asks by a session with `target` that is open already.
    pub fn with(session: Session, target: Target) -> Self {
        Self { session, target }
    }
}

impl Asker for RemoteAsker {
    fn ask(&mut self, what: Ask) -> Result<Tell, AskError> {
        self.session.ask(&what, self.target.patience).map_err(|none| match none {
            NoAnswer::Refused(refusal) => AskError::Refused(refusal),
            NoAnswer::Ended(Ended::Goodbye(goodbye)) => AskError::Goodbye(goodbye),
            other => AskError::Remote(other.words()),
        })
    }
}
