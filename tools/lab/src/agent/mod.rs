//! Measurements beyond one host: agents on several hosts meet over NATS, start together, and what they measured is put
//! together by a conductor.
//!
//! One agent is the server, the others are its clients; the messages go between their hosts by the kernel's TCP, NATS
//! carries orders and results alone. What is asked and answered is measured by the client's clock alone. What goes one
//! way is measured by two clocks: each client compares its own with the server's by exchanges over UDP, all through the
//! repeat, and how far the comparison may be wrong is told with every figure.
//!
//! | who | does |
//! | --- | --- |
//! | [`conduct`] | finds agents, gives orders, merges what comes back into one record |
//! | [`work`] | an agent: follows orders, one repeat at a time |
//! | [`clock`] | exchanges, and the line that is laid through them |
//! | [`nats`] | the way between them |

pub mod clock;
pub mod conduct;
mod desk;
mod discipline;
mod exchange;
pub mod nats;
pub mod parts;
mod repeat;
mod sides;
pub mod together;
pub mod words;
pub mod work;
