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
        self.ask_all(vec![what])?.pop().ok_or(AskError::Unexpected)
    }

    fn ask_all(&mut self, asks: Vec<Ask>) -> Result<Vec<Tell>, AskError> {
        let first = self.number + 1;
        let mut told: Vec<Option<Tell>> = asks.iter().map(|_| None).collect();
        for what in asks {
            self.number += 1;
            self.session.say(&Message::Question(Question { number: self.number, what }))?;
        }
        while told.iter().any(Option::is_none) {
            match self.session.hear()? {
                Message::Answer(answer) => {
                    let place = answer.number.checked_sub(first).and_then(|place| told.get_mut(place as usize));
                    // The answer to a question that was given up is nobody's.
                    if let Some(place) = place {
                        *place = Some(answer.what);
                    }
                }
                Message::Goodbye(goodbye) => return Err(AskError::Goodbye(goodbye)),
                // A node greets, and tells its terminals of every slice.
                _ => {}
            }
        }
        let refused = |told| if let Tell::Refused(refusal) = told { Err(AskError::Refused(refusal)) } else { Ok(told) };
        told.into_iter().flatten().map(refused).collect()
    }
}
