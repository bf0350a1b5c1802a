//! Verbs that look at a peer from the outside, over the kernel's TCP: some at any TCP service, all at a node of ours.
//!
//! Each verb is a function from a [`Target`] to a report that is a row for programs and a text for people. This is a
//! driver: it reads clocks, waits and rests; what decides is [`doctor::diagnose`], a machine that does none of that.

pub mod bandwidth;
pub mod clock;
mod connect;
pub mod doctor;
pub mod handshake;
mod host;
pub mod info;
pub mod path_mtu;
pub mod ping;
mod session;
pub(crate) mod sys;
mod tcp_info;
mod text;
pub mod trace;

use std::time::Duration;

pub use connect::{TcpAttempt, TcpOutcome};
pub use host::{Answered, HostSeen, Neighbor};
pub use session::{Credentials, Ended, KnownPeer, NoAnswer, Session, Target};
pub use text::Paint;

/// Lets time pass between two rounds.
#[allow(clippy::disallowed_methods, reason = "a probe of a real peer keeps real time between its rounds")]
fn rest(span: Duration) {
    std::thread::sleep(span);
}
