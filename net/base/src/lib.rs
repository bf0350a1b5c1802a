//! What every other crate knows: the shape of a machine, time as a value, the limits, and seeded randomness.
//!
//! Nothing here reads a clock, opens a file or starts a thread.

pub mod canary;
pub mod limits;
pub mod machine;
pub mod random;
pub mod time;
pub mod wake;

pub use machine::Machine;
pub use random::Random;
pub use time::{Duration, Instant, UnixMillis};
pub use wake::Wake;
