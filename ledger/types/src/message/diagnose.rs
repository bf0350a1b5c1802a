//! What is asked of a running node about itself, and what it says: clock and standing for whoever has said hello;
//! sessions, counters, registers, events, bans and captures for those with the diagnostics role and for programs of its host.
//!
//! An answer is bounded as any message is: what may be long (the session table, events) comes a page at a time, each
//! from one lane. Nothing here carries a key, and nothing that leaves the node's host carries a body of someone's message
//! (of captures, see [`CaptureAsked`]).

mod ask;
mod bans;
mod capture;
mod events;
mod goodbye;
mod names;
mod table;
mod tell;
#[cfg(test)]
mod tests;

pub use ask::{Ask, Question, SessionsAsked};
pub use bans::{BanRow, Banned, BansTold};
pub use capture::{CaptureAsked, CaptureBegun, CaptureKind, CapturePage, CaptureRow, CaptureWay, CaptureWhat};
pub use events::{EventKind, EventRow, EventsPage};
pub use goodbye::{Goodbye, Parting};
pub use names::{Endpoint, Filling, Network, PeerKey, SessionName, Text};
pub use table::{SessionClass, SessionFilter, SessionRow, SessionState};
pub use tell::{
    Answer, ClockReading, CounterRow, CountersTold, NodeInfo, Refusal, RegisterRow, RegistersTold, SessionsPage, Tell,
};
