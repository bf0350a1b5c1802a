//! The glommio loop: a pinned executor whose one task gives the turns. The only file that names glommio.
//!
//! Nothing else may run on these executors, for two measured reasons.
//!
//! - An idle executor waits in `ppoll` on its own thread (`park.rs`), not in glommio's reactor. From a producer's
//!   write to the sleeper's first step (p50, two cores, Linux 6.18): 25-27 µs for a thread in `poll`, 40 µs through
//!   the reactor; and 8-9 against 47-51 µs of the sleeper's CPU for each wake-up.
//! - The task does not yield, and the preemption timer never fires. A yield that makes glommio look at its rings and
//!   re-arm a timer of 50-100 µs costs 11-14 µs. Worse, glommio 0.9 sleeps over a runnable task if that timer fires
//!   between its `poll_io` and its first task queue (`LocalExecutor::run`: no queue ran, so it parks): with a timer
//!   of 100 µs on busy cores an executor hung for good within a few starts.
//!
//! Who needs `io_uring` (the log) has a ring of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use hpb_base::Duration;

use super::executor::{Flow, Rotation, panic_message};

/// How far a panic's guard reaches, in microseconds.
const SLICE_US: u64 = 10_000;
/// glommio's preemption timer: never, in any life of a process.
const PREEMPT_TIMER: Duration = Duration::from_secs(u32::MAX as u64);
/// Entries of each of glommio's three rings.
const RING_DEPTH: usize = 32;
/// Bytes of registered buffers a ring: the least that glommio takes. They count against the memlock limit.
const IO_MEMORY_LEN: usize = 64 << 10;

/// A glommio executor of the thread that made it.
pub(super) struct Reactor(LocalExecutor);

impl Reactor {
    /// On the calling thread, which it pins to `core`.
    ///
    /// # Errors
    /// glommio's refusal in its own words: no memory to lock, `io_uring` forbidden or too old.
    pub(super) fn new(name: &str, core: usize) -> Result<Self, String> {
        let builder = LocalExecutorBuilder::new(Placement::Fixed(core))
            .name(name)
            .preempt_timer(PREEMPT_TIMER.to_std())
            .ring_depth(RING_DEPTH)
            .io_memory(IO_MEMORY_LEN);
        // It panics where the kernel lacks an operation that it needs.
        match catch_unwind(AssertUnwindSafe(|| builder.make())) {
            Ok(made) => made.map(Self).map_err(|error| error.to_string()),
            Err(panic) => Err(panic_message(&*panic)),
        }
    }

    /// Gives turns until the end.
    pub(super) fn run(&self, rotation: &mut Rotation) {
        self.0.run(async { while rotation.slice(Duration::from_micros(SLICE_US)) == Flow::Continue {} });
    }
}
