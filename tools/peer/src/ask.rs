//! A question to a node and its answer, whichever way the node is reached.

use hpb_client::SessionError;
use hpb_types::message::diagnose::{Ask, Goodbye, Refusal, Tell};

/// Somebody who can ask one node.
pub trait Asker {
    /// Asks, and waits for the answer. [`Tell::Refused`] is none.
    ///
    /// # Errors
    /// The node refuses, says goodbye, says nothing in time, or cannot be reached any more.
    fn ask(&mut self, what: Ask) -> Result<Tell, AskError>;

    /// Asks all of these, and waits for all answers, which it gives in the order of the questions. Whoever can asks the
    /// next one before the last one is answered.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), of the first that comes to it.
    fn ask_all(&mut self, asks: Vec<Ask>) -> Result<Vec<Tell>, AskError> {
        asks.into_iter().map(|what| self.ask(what)).collect()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The node's word for it.
    #[error("the node refuses: {0}")]
    Refused(Refusal),
    /// The node ended the session.
    #[error("the node says goodbye: {0}")]
    Goodbye(Goodbye),
    /// The session is none.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The session from afar is none.
    #[error("the session with the node: {0}")]
    Remote(String),
    /// It answers what was not asked.
    #[error("the node answers what was not asked: is it of another version?")]
    Unexpected,
}
