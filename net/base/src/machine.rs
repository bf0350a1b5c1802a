//! The three verbs of everything that decides.

use crate::time::Instant;

/// A machine without I/O: no clock, no thread, no socket, no global, no hash-map order, no float.
///
/// Its driver (the runtime on a host, the simulator in a test) calls [`handle`](Machine::handle) with each input,
/// then [`poll`](Machine::poll) until it returns `None`, then sleeps until the next input or
/// [`wake_at`](Machine::wake_at). The same inputs at the same instants give the same outputs.
pub trait Machine {
    /// What the world tells the machine.
    type Input;
    /// What the machine tells the world.
    type Output;

    /// Takes one input. `now` never goes back between calls.
    fn handle(&mut self, now: Instant, input: Self::Input);

    /// Does what is due at `now` and hands out one output; `None` when there is nothing left to say.
    fn poll(&mut self, now: Instant) -> Option<Self::Output>;

    /// When the machine next wants a [`poll`](Machine::poll) without any input; `None` if never.
    fn wake_at(&self) -> Option<Instant>;
}
