//! The card: a TCP offload engine in user space. It holds sessions, keeps them alive, proves who the peer is, seals
//! what is sent, broadcasts one plaintext to thousands, and counts confirmations.
//!
//! A [`Lane`] is one core's share and a machine without I/O: its driver brings frames from a
//! [`Port`](hpb_net::Port), runs handshake jobs where it likes, and reaps events.

pub mod card;
pub mod class;
pub mod congestion;
mod engine;
pub mod flow;
pub mod framing;
pub mod guard;
pub mod lane;
pub mod neighbor;
pub mod outbox;
mod rate;
pub mod recovery;
pub mod registers;
pub mod scoreboard;
pub mod secure;
pub mod segment;
pub mod service;
pub mod stamps;
pub mod stats;
pub mod tally;
pub mod tape;
pub mod wheel;

pub use card::{Call, CloseReason, Command, Event, EventBatch, Group, SessionId, SessionRow};
pub use class::{Class, Priority};
pub use guard::GuardConfig;
pub use lane::{CaptureFor, Holdings, Lane, LaneConfig, LaneError, SendError, Sharing, Stray};
pub use secure::{CryptoJob, CryptoResult, Identity};
pub use service::Service;
pub use tally::{Count, Reached, Tally, TallyCounters};
