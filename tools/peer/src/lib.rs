//! Peer diagnostics: what a running node or card shows of its sessions, and what an operator tells it to do with them.
//!
//! Verbs read through [`Asker`], whichever way the node is reached, and make texts and rows; nothing here prints, and
//! nothing here holds a lane for longer than one page of answers.

pub mod act;
pub mod ask;
pub mod card;
pub mod events;
pub mod local;
pub mod probe;
pub mod remote;
pub mod sessions;
pub mod sys;
pub mod top;

pub use ask::{AskError, Asker};
pub use local::LocalAsker;
pub use remote::RemoteAsker;
