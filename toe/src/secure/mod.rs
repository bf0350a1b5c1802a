//! Who the peer is, and words that nobody else reads: Noise XX (revision 34) bound to the node's Ed25519 identity
//! (PROTOCOL.md, "Sessions between nodes").
//!
//! snow appears here alone. A handshake step is a [`CryptoJob`]: a value that runs on any thread, so that no
//! Diffie-Hellman ever runs on a lane unless its driver wants it to.

mod handshake;
mod record;
mod resolver;
mod stream;
#[cfg(test)]
mod tests;

pub use handshake::{CryptoJob, CryptoResult, HandshakeError, HandshakeMemory, Identity};
pub(crate) use handshake::{Next, Step, Task, message_1_is_for_us};
pub(crate) use record::Channel;
pub use record::{RECORD_OVERHEAD_LEN, RECORD_PLAIN_LEN_MAX};
pub use stream::{Progress, StreamError, StreamSession};

/// Bytes of the longest handshake message with its length in front.
pub const HANDSHAKE_LEN_MAX: usize = 512;
