//! Sleeping without losing a wake-up.
//!
//! The rule (ARCHITECTURE.md, "Parking"): the sleeper sets its flag, fences (`SeqCst`), looks at its links once more,
//! and only then waits; a producer publishes, fences, and rings the bell if the flag is up. Of the two fences one
//! comes first: if the producer's, the second look finds the item; if the sleeper's, the producer finds the flag.
//! Without either fence, or without the second look, both can miss each other; `park/tests.rs` explores every
//! interleaving of this very code with loom, and of the broken variants, which must fail.
//!
//! The same `Gate` serves a producer that waits for room in a full link (`link.rs`), with the parts exchanged.
//! This module refuses nothing and knows no link, port or worker.

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use hpb_base::{Duration, Wake};

use super::sys::{self, EventFd};

/// What the rule needs of the machine's memory: flags with relaxed order, and a full fence. The tests put loom's here.
pub(super) trait Atomics {
    /// A shared flag.
    type Flag: Flag;
    /// A sequentially consistent fence.
    fn fence();
}

/// A shared flag, every access relaxed: the fences of the rule carry the order. Every change is a read-modify-write, so
/// that the changes of both sides are one chain.
pub(super) trait Flag {
    /// A flag that is down.
    fn new() -> Self;
    /// Whether it is up.
    fn is_up(&self) -> bool;
    /// Puts it up or down; whether it was up.
    fn put(&self, up: bool) -> bool;
}

/// The processor's own atomics.
#[derive(Debug)]
pub(super) struct Native;

impl Atomics for Native {
    type Flag = AtomicBool;

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

impl Flag for AtomicBool {
    fn new() -> Self {
        AtomicBool::new(false)
    }

    fn is_up(&self) -> bool {
        self.load(Ordering::Relaxed)
    }

    fn put(&self, up: bool) -> bool {
        self.swap(up, Ordering::Relaxed)
    }
}

/// Where one that may sleep and those that may wake it meet.
#[derive(Debug)]
pub(super) struct Gate<A: Atomics> {
    waiting: A::Flag,
}

impl<A: Atomics> Gate<A> {
    /// A gate at which nobody waits.
    pub(super) fn new() -> Self {
        Self { waiting: A::Flag::new() }
    }

    /// The sleeper's first step. It must look once more before it sleeps.
    pub(super) fn announce(&self) {
        self.waiting.put(true);
        A::fence();
    }

    /// The sleeper's last step, after its sleep or instead of it.
    pub(super) fn retract(&self) {
        self.waiting.put(false);
    }

    /// Called by the other side after it has published. True if it must ring: of several that come while one sleeper
    /// waits, only the first need.
    pub(super) fn knock(&self) -> bool {
        A::fence();
        self.waiting.is_up() && self.waiting.put(false)
    }

    /// The sleeper's part of the rule. `look` gives `None` if there is work, else what `wait` needs to know. Whether
    /// it slept.
    pub(super) fn sleep_unless<T>(&self, look: impl FnOnce() -> Option<T>, wait: impl FnOnce(T)) -> bool {
        self.announce();
        let idle = look();
        let slept = idle.is_some();
        if let Some(idle) = idle {
            wait(idle);
        }
        self.retract();
        slept
    }
}

/// How long a sleeper sleeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sleep {
    /// Until it is woken.
    UntilWoken,
    /// Until it is woken, but no longer than this.
    AtMost(Duration),
}

/// What ended a sleep, or prevented it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// The second look found work; there was no sleep.
    Work,
    /// A producer rang the bell.
    Bell,
    /// A port, the stop flag, the timeout or a signal.
    Other,
}

/// One executor's place to sleep, with the bell that wakes it.
///
/// The runtime makes one for each executor of the topology. A thread of another kind (the API's) that consumes a
/// link may use its parker through [`announce`](Self::announce), [`retract`](Self::retract) and
/// [`descriptor`](Self::descriptor).
#[derive(Debug)]
pub struct Parker {
    gate: Gate<Native>,
    bell: EventFd,
}

impl Parker {
    /// A parker in which nobody sleeps.
    ///
    /// # Errors
    /// No descriptor is left for the bell.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { gate: Gate::new(), bell: EventFd::new()? }))
    }

    /// The calling thread is about to wait on [`descriptor`](Self::descriptor). It must look at all its links once
    /// more after this call, and before it waits.
    pub fn announce(&self) {
        self.gate.announce();
    }

    /// The calling thread is awake again, or found work instead. Silences the bell.
    pub fn retract(&self) {
        self.gate.retract();
        self.bell.clear();
    }

    /// Readable once a producer has rung.
    pub fn descriptor(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    /// Sleeps by the rule of this module. `look` gives `None` if it finds work, else how long to sleep.
    /// `descriptors` are waited on besides the bell; the slice's first place
    /// is kept for the bell itself.
    ///
    /// # Errors
    /// The kernel refuses to wait: [`sys::wait`]. The sleeper's flag is down again, and no wake-up is lost.
    pub(super) fn park(
        &self,
        descriptors: &mut [libc::pollfd],
        look: impl FnOnce() -> Option<Sleep>,
    ) -> io::Result<Woken> {
        let mut waited = Ok(0);
        if let Some(first) = descriptors.first_mut() {
            *first = sys::wait_for(self.bell.as_raw_fd());
        }
        let slept = self.gate.sleep_unless(look, |sleep| {
            let timeout = match sleep {
                Sleep::UntilWoken => None,
                Sleep::AtMost(timeout) => Some(timeout),
            };
            waited = sys::wait(descriptors, timeout);
        });
        if !slept {
            return Ok(Woken::Work);
        }
        waited?;
        if descriptors.first().is_some_and(|bell| bell.revents != 0) {
            self.bell.clear();
            return Ok(Woken::Bell);
        }
        Ok(Woken::Other)
    }
}

impl Wake for Parker {
    fn wake(&self) {
        if self.gate.knock() {
            self.bell.ring();
        }
    }
}
