//! Links: bounded single-producer single-consumer rings between two workers, with counters and the wakers of both
//! ends.
//!
//! A full link either gives the item back (back-pressure; the producer is woken when there is room) or drops and
//! counts it, as the topology says. It never grows, never blocks, and never loses an item it has taken.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hpb_base::Wake;
use hpb_base::limits::LINK_DEPTH_MAX;
use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::park::{Gate, Native};
use crate::topology::WhenFull;

/// Makes a link that holds `depth` items (1 to [`LINK_DEPTH_MAX`]). `producer` and `consumer` wake the executors at
/// its ends.
pub fn link<T>(
    depth: usize,
    when_full: WhenFull,
    producer: Arc<dyn Wake>,
    consumer: Arc<dyn Wake>,
) -> (Sender<T>, Receiver<T>) {
    assert!((1..=LINK_DEPTH_MAX).contains(&depth), "a link holds 1 to {LINK_DEPTH_MAX} items, not {depth}");
    let (into, out_of) = RingBuffer::new(depth);
    let shared = Arc::new(Shared { room: Gate::new(), counters: Counters::default() });
    let sender = Sender { ring: into, shared: shared.clone(), when_full, depth, consumer: Leaving(consumer) };
    let receiver = Receiver { ring: out_of, shared, depth, freed: 0, producer: Leaving(producer) };
    (sender, receiver)
}

#[derive(Debug)]
struct Shared {
    /// Where a producer waits for room.
    room: Gate<Native>,
    counters: Counters,
}

/// Written by one end each, read by anyone.
#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    received: AtomicU64,
    depth_max: AtomicU64,
}

impl Shared {
    fn read(&self) -> LinkCounters {
        let counters = &self.counters;
        LinkCounters {
            sent: counters.sent.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            received: counters.received.load(Ordering::Relaxed),
            depth_max: counters.depth_max.load(Ordering::Relaxed),
        }
    }

    fn saw_depth(&self, depth: usize) {
        self.counters.depth_max.fetch_max(depth as u64, Ordering::Relaxed);
    }
}

/// Adds to a counter that this thread alone writes.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

/// What went through a link so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkCounters {
    /// Items taken from the producer.
    pub sent: u64,
    /// Times that a full link gave an item, or the rest of a queue, back.
    pub refused: u64,
    /// Items dropped because the link was full.
    pub dropped: u64,
    /// Items handed to the consumer.
    pub received: u64,
    /// The most items that waited at once, as far as the ends looked.
    pub depth_max: u64,
}

/// Reads one link's counters from any thread.
#[derive(Clone, Debug)]
pub struct LinkWatch(Arc<Shared>);

impl LinkWatch {
    /// The counters now.
    pub fn read(&self) -> LinkCounters {
        self.0.read()
    }
}

/// Why an item was not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<T> {
    /// The link is full and its rule is back-pressure: the item is the caller's again. The caller's executor is woken
    /// once there is room.
    Full(T),
    /// The link is full and its rule is to drop: the item is gone, and counted.
    Dropped,
    /// The consumer is gone: nothing will be taken any more.
    Closed(T),
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Dropped => "Dropped",
            Self::Closed(_) => "Closed",
        })
    }
}

/// The other end's waker. It tells the other end that this one is gone: a field that stands after the ring's, so that
/// the ring is abandoned by then.
struct Leaving(Arc<dyn Wake>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The producer's end.
pub struct Sender<T> {
    ring: Producer<T>,
    shared: Arc<Shared>,
    when_full: WhenFull,
    depth: usize,
    consumer: Leaving,
}

impl<T> Sender<T> {
    /// Publishes `item` and wakes the consumer if it sleeps.
    ///
    /// # Errors
    /// [`SendError`]: what became of the item instead.
    pub fn try_send(&mut self, item: T) -> Result<(), SendError<T>> {
        let Err(PushError::Full(item)) = self.ring.push(item) else {
            self.published(1);
            return Ok(());
        };
        self.shared.saw_depth(self.depth);
        if self.ring.is_abandoned() {
            return Err(SendError::Closed(item));
        }
        if self.when_full == WhenFull::CountedDrop {
            add(&self.shared.counters.dropped, 1);
            return Err(SendError::Dropped);
        }
        self.shared.room.announce();
        let Err(PushError::Full(item)) = self.ring.push(item) else {
            self.shared.room.retract();
            self.published(1);
            return Ok(());
        };
        add(&self.shared.counters.refused, 1);
        Err(SendError::Full(item))
    }

    /// Publishes from the front of `queue` as many items as there is room for, and wakes the consumer once; returns
    /// how many. What is left is back-pressure whatever the link's rule, and the caller's executor is woken once there
    /// is room. A link without a consumer takes nothing.
    pub fn send_from(&mut self, queue: &mut VecDeque<T>) -> usize {
        let mut sent = self.fill_from(queue);
        if !queue.is_empty() && !self.ring.is_abandoned() {
            self.shared.saw_depth(self.depth);
            self.shared.room.announce();
            sent += self.fill_from(queue);
            if queue.is_empty() {
                self.shared.room.retract();
            } else {
                add(&self.shared.counters.refused, 1);
            }
        }
        sent
    }

    fn fill_from(&mut self, queue: &mut VecDeque<T>) -> usize {
        let count = queue.len().min(self.ring.slots());
        if count == 0 || self.ring.is_abandoned() {
            return 0;
        }
        let Ok(chunk) = self.ring.write_chunk_uninit(count) else { return 0 };
        let sent = chunk.fill_from_iter(queue.drain(..count));
        self.published(sent);
        sent
    }

    fn published(&mut self, count: usize) {
        add(&self.shared.counters.sent, count as u64);
        self.consumer.0.wake();
    }

    /// Items that the link would take now, at least.
    pub fn room(&self) -> usize {
        self.ring.slots()
    }

    /// Whether the consumer is gone.
    pub fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// Items that the link can hold.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// For reading the counters from elsewhere.
    pub fn watch(&self) -> LinkWatch {
        LinkWatch(self.shared.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("depth", &self.depth)
            .field("counters", &self.shared.read())
            .finish_non_exhaustive()
    }
}

/// The consumer's end.
///
/// A producer that waits for room is told when a link that items were taken from is found empty, or half of its depth
/// was freed. So a consumer goes on until [`pop`](Self::pop) gives `None` before it calls itself idle.
pub struct Receiver<T> {
    ring: Consumer<T>,
    shared: Arc<Shared>,
    depth: usize,
    /// Items taken since the producer was last told.
    freed: usize,
    producer: Leaving,
}

impl<T> Receiver<T> {
    /// The oldest item; `None` if the link is empty now.
    pub fn pop(&mut self) -> Option<T> {
        if self.ring.cached_slots() == 0 {
            let waiting = self.ring.slots();
            if waiting == 0 {
                if self.freed > 0 {
                    self.tell_room();
                }
                return None;
            }
            self.shared.saw_depth(waiting);
        }
        let item = self.ring.pop().ok()?;
        add(&self.shared.counters.received, 1);
        self.freed += 1;
        if self.freed >= self.depth.div_ceil(2) {
            self.tell_room();
        }
        Some(item)
    }

    /// The oldest items, at most `count_max` of them: what a turn takes when its time is limited.
    pub fn drain(&mut self, count_max: usize) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(move || self.pop()).take(count_max)
    }

    fn tell_room(&mut self) {
        self.freed = 0;
        if self.shared.room.knock() {
            self.producer.0.wake();
        }
    }

    /// Items that wait, at least.
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// Whether the producer is gone. Items it sent before may still wait.
    pub fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// For reading the counters from elsewhere.
    pub fn watch(&self) -> LinkWatch {
        LinkWatch(self.shared.clone())
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("depth", &self.depth)
            .field("counters", &self.shared.read())
            .finish_non_exhaustive()
    }
}
