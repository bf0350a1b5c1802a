//! What a worker shows of itself: a copy that it renews a few times a second and once more at its end. Readers never
//! hold a worker up: one that reads at that very moment makes it try again at its next turn.

use std::sync::{Arc, Mutex, PoisonError};

use hpb_base::{Duration, Instant};

/// How far two copies are apart at least.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// Reads what a worker showed last, from any thread.
#[derive(Debug)]
pub struct Readout<T>(Arc<Mutex<T>>);

impl<T> Clone for Readout<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Readout<T> {
    /// The last copy: at most a tenth of a second behind a worker that is at work, exact after its end.
    pub fn read(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The worker's side of a [`Readout`].
#[derive(Debug)]
pub struct Publisher<T> {
    shared: Arc<Mutex<T>>,
    next_at: Instant,
    stale: bool,
}

impl<T> Publisher<T> {
    /// Both sides; readers find `first` until the worker's first copy.
    pub fn new(first: T) -> (Self, Readout<T>) {
        let shared = Arc::new(Mutex::new(first));
        let publisher = Self { shared: shared.clone(), next_at: Instant::ZERO, stale: true };
        (publisher, Readout(shared))
    }

    /// Renews the copy from `make` if the last one is old enough: for workers outside this crate, which always have
    /// news.
    pub fn offer(&mut self, now: Instant, make: impl FnOnce() -> T) {
        self.touch();
        if self.is_due(now) {
            self.publish(now, make());
        }
    }

    /// The worker's last copy, for workers outside this crate.
    pub fn last(&mut self, value: T) {
        self.publish_last(value);
    }

    /// Something changed.
    pub fn touch(&mut self) {
        self.stale = true;
    }

    /// Whether the copy is out of date and old enough to be renewed.
    pub fn is_due(&self, now: Instant) -> bool {
        self.stale && now >= self.next_at
    }

    /// Renews the copy, unless someone reads it at this moment.
    pub fn publish(&mut self, now: Instant, value: T) {
        if let Ok(mut shared) = self.shared.try_lock() {
            *shared = value;
            self.stale = false;
            self.next_at = now + PUBLISH_EVERY;
        }
    }

    /// The worker's last copy.
    pub(super) fn publish_last(&mut self, value: T) {
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = value;
        self.stale = false;
    }

    /// When the copy is to be renewed; `None` if it is up to date. A worker that sleeps past it shows old news.
    pub fn wake_at(&self) -> Option<Instant> {
        self.stale.then_some(self.next_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_renewed_when_something_changed_and_not_too_often() {
        let (mut publisher, readout) = Publisher::new(0);
        let start = Instant::from_millis(1_000);
        assert!(publisher.is_due(start), "the first copy is due at once");
        publisher.publish(start, 1);
        assert_eq!((readout.read(), publisher.wake_at()), (1, None));
        assert!(!publisher.is_due(start + PUBLISH_EVERY), "nothing changed");
        publisher.touch();
        assert!(!publisher.is_due(start + Duration::from_millis(99)));
        assert_eq!(publisher.wake_at(), Some(start + PUBLISH_EVERY));
        assert!(publisher.is_due(start + PUBLISH_EVERY));
        publisher.publish(start + PUBLISH_EVERY, 2);
        assert_eq!(readout.read(), 2);
        publisher.publish_last(5);
        assert_eq!(readout.clone().read(), 5);
    }

    #[test]
    fn a_reader_at_that_moment_only_delays_the_copy() {
        let (mut publisher, readout) = Publisher::new(0);
        let reading = readout.0.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.publish(Instant::ZERO, 1);
        assert_eq!(*reading, 0);
        assert!(publisher.is_due(Instant::ZERO));
        drop(reading);
        publisher.publish(Instant::ZERO, 1);
        assert_eq!((readout.read(), publisher.wake_at()), (1, None));
    }
}
