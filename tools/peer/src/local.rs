//! Questions by the control socket of a node or card of this host. Whoever may open the socket's file may ask anything.

use std::path::Path;
use std::time::Duration;

use hpb_client::{NodeSession, SessionError};
use hpb_types::message::Message;
use hpb_types::message::diagnose::{Ask, Question, Tell};

use crate::ask::{AskError, Asker};

/// A session with a node's or card's control socket.
pub struct LocalAsker {
    session: NodeSession,
    number: u64,
}

impl LocalAsker {
    /// Opens the socket at `path`; an answer is waited for as long as `patience`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(path: &Path, patience: Duration) -> Result<Self, SessionError> {
        Ok(Self { session: NodeSession::connect(path, patience)?, number: 0 })
    }
}

impl Asker for LocalAsker {
    fn ask(&mut self, what: Ask) -> Result<Tell, AskError> {
        self.number += 1;
        self.session.say(&Message::Question(Question { number: self.number, what }))?;
        loop {
            match self.session.hear()? {
                Message::Answer(answer) if answer.number == self.number => {
                    return match answer.what {
                        Tell::Refused(refusal) => Err(AskError::Refused(refusal)),
                        told => Ok(told),
                    };
                }
                Message::Goodbye(goodbye) => return Err(AskError::Goodbye(goodbye)),
                // A node greets, and tells its terminals of every slice.
                _ => {}
            }
        }
    }
}
