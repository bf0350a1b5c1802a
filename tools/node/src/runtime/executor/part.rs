//! After the last turn: workers part with the peers of their ports, all executors at the same time and not for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hpb_base::Duration;
use hpb_base::limits::PARK_DESCRIPTORS_MAX;

use super::super::sys;
use super::{Activity, Rotation};

/// How long peers are waited for before the next look, at most: ports of a wire announce nothing here.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// That an executor gives turns, as those see it which stop with it. Of the goodbyes of one no other may hear in a turn:
/// it would take them for the end of a session, and call again.
#[derive(Debug)]
pub(in super::super) struct Turns {
    given: Arc<AtomicUsize>,
    is_ended: bool,
}

impl Turns {
    /// One more executor among those that `given` counts.
    pub(in super::super) fn of(given: &Arc<AtomicUsize>) -> Self {
        given.fetch_add(1, Ordering::AcqRel);
        Self { given: given.clone(), is_ended: false }
    }

    /// It gives no more turns.
    pub(super) fn end(&mut self) {
        if !std::mem::replace(&mut self.is_ended, true) {
            self.given.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether none of them gives turns any more.
    fn are_over(&self) -> bool {
        self.given.load(Ordering::Acquire) == 0
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.end();
    }
}

impl Rotation {
    /// Lets the workers part with their peers, for `within` at most.
    pub(super) fn part(&mut self, within: Duration) {
        self.now = self.parts.clock.now();
        let until = self.now + within;
        while !self.parts.turns.are_over() && self.now < until {
            self.rest_for_peers(&mut []);
        }
        let mut waited_on = Vec::new();
        while self.now < until {
            waited_on.clear();
            let (mut is_over, mut busy) = (true, false);
            for index in 0..self.parts.workers.len() {
                self.current = index;
                let worker = &mut self.parts.workers[index].1;
                match worker.part(self.now) {
                    None => continue,
                    Some(Activity::Busy) => busy = true,
                    Some(Activity::Idle) => {
                        waited_on.extend(worker.descriptors().iter().map(|&port| sys::wait_for(port)));
                    }
                }
                is_over = false;
            }
            if is_over {
                return;
            }
            if busy {
                self.now = self.parts.clock.now();
            } else {
                waited_on.truncate(PARK_DESCRIPTORS_MAX);
                self.rest_for_peers(&mut waited_on);
            }
        }
    }

    fn rest_for_peers(&mut self, waited_on: &mut [libc::pollfd]) {
        // A wait that is refused is none at all, and the end of all this is near anyway.
        let _ = sys::wait(waited_on, Some(LOOK_EVERY));
        self.now = self.parts.clock.now();
    }
}
