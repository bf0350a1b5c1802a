//! What is to happen, in the order of its time; what is due at one instant happens in the order in which it was put in.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use hpb_base::Instant;
use hpb_node::serve::Served;
use hpb_node::verify::Verdict;

/// Something that is to happen. Machines are named by their place in the world.
pub enum Event {
    /// A message arrives.
    Deliver {
        /// Who sent it.
        from: usize,
        /// Who gets it.
        to: usize,
        /// The session that it was sent in.
        generation: u32,
        /// The message with its header.
        message: Arc<[u8]>,
    },
    /// A verifier answers.
    Verdict {
        /// Whose.
        machine: usize,
        /// In which life it was asked.
        life: u32,
        /// The answer.
        verdict: Box<Verdict>,
    },
    /// A log batch is durable.
    Synced {
        /// Whose.
        machine: usize,
        /// In which life it was written.
        life: u32,
        /// The batch's number.
        number: u64,
    },
    /// A piece of the log was read for a peer.
    Served {
        /// By whom.
        machine: usize,
        /// In which life it was asked.
        life: u32,
        /// The piece.
        served: Box<Served>,
    },
    /// A store's batch is there.
    Committed {
        /// Whose.
        machine: usize,
        /// In which life it was handed over.
        life: u32,
    },
    /// Whoever has no session with another tries to open one.
    Mesh,
    /// A session comes up at both ends.
    Opened {
        /// One end, the lower.
        one: usize,
        /// The other.
        other: usize,
    },
    /// A session's end learns that it is gone.
    Closed {
        /// Who learns it.
        machine: usize,
        /// The other end.
        peer: usize,
        /// Which session.
        generation: u32,
    },
    /// All is to be well, a while after faults ended in this slot.
    Judge(u64),
    /// A fault begins.
    Begin(usize),
    /// A fault ends.
    End(usize),
    /// A user submits a transaction.
    Submit,
    /// Who is to hear nobody is looked at again.
    Deafen,
}

struct Due {
    at: Instant,
    number: u64,
    event: Event,
}

/// The queue. It holds no more than the nodes' own bounds and the links' delays put into it.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Due>,
    number: u64,
}

impl Queue {
    /// Puts in what is to happen at `at`.
    pub fn put(&mut self, at: Instant, event: Event) {
        self.number += 1;
        self.heap.push(Due { at, number: self.number, event });
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|due| due.at)
    }

    /// The next thing, if it is due at `now`.
    pub fn take(&mut self, now: Instant) -> Option<Event> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|due| due.event)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest: the heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_order_of_time_and_then_of_putting_in() {
        let mut queue = Queue::default();
        for (at, fault) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            queue.put(Instant::from_millis(at), Event::Begin(fault));
        }
        assert!(queue.take(Instant::from_millis(2)).is_none());
        let mut order = Vec::new();
        while let Some(Event::Begin(fault)) = queue.take(Instant::from_millis(9)) {
            order.push(fault);
        }
        assert_eq!(order, [1, 3, 0, 2]);
    }
}
