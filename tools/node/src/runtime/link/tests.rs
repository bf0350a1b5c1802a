#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "two threads are what is tried")]

use std::sync::atomic::AtomicUsize;

use hpb_base::Duration;

use super::super::park::{Parker, Sleep, Woken};
use super::super::sys;
use super::*;

/// Counts how often it was called.
#[derive(Default)]
struct Tally(AtomicUsize);

impl Wake for Tally {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Tally {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn tallied(depth: usize, when_full: WhenFull) -> (Sender<u32>, Receiver<u32>, Arc<Tally>, Arc<Tally>) {
    let (producer, consumer) = (Arc::new(Tally::default()), Arc::new(Tally::default()));
    let (sender, receiver) = link(depth, when_full, producer.clone(), consumer.clone());
    (sender, receiver, producer, consumer)
}

#[test]
fn a_full_link_gives_the_item_back_and_tells_when_there_is_room() {
    let (mut sender, mut receiver, producer, consumer) = tallied(2, WhenFull::BackPressure);
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Ok(()));
    assert_eq!(consumer.count(), 2, "each publication wakes");
    assert_eq!(sender.try_send(3), Err(SendError::Full(3)));
    assert_eq!(producer.count(), 0);
    assert_eq!(receiver.pop(), Some(1));
    assert_eq!(producer.count(), 1, "room is told");
    assert_eq!(receiver.pop(), Some(2));
    assert_eq!(producer.count(), 1, "once");
    assert_eq!(receiver.pop(), None);
    assert_eq!(sender.try_send(3), Ok(()));
    let counters = sender.watch().read();
    assert_eq!(counters, LinkCounters { sent: 3, refused: 1, dropped: 0, received: 2, depth_max: 2 });
}

#[test]
fn room_is_told_when_the_link_is_found_empty_before_half_was_freed() {
    let (mut sender, mut receiver, producer, _consumer) = tallied(8, WhenFull::BackPressure);
    let mut queue: VecDeque<u32> = (0..9).collect();
    assert_eq!(sender.send_from(&mut queue), 8);
    assert_eq!(receiver.drain(3).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(producer.count(), 0);
    assert_eq!(receiver.pop(), Some(3));
    assert_eq!(producer.count(), 1, "half is free");
    assert_eq!(sender.send_from(&mut queue), 1);
    assert_eq!(receiver.drain(64).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
    assert!(queue.is_empty());
    assert_eq!(producer.count(), 1, "nobody waited for room any more");
}

#[test]
fn a_link_that_drops_counts_and_keeps_what_it_has() {
    let (mut sender, mut receiver, producer, _consumer) = tallied(2, WhenFull::CountedDrop);
    for item in 0..5 {
        let expected = if item < 2 { Ok(()) } else { Err(SendError::Dropped) };
        assert_eq!(sender.try_send(item), expected);
    }
    assert_eq!(receiver.drain(64).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(producer.count(), 0, "nobody waits for room");
    let counters = receiver.watch().read();
    assert_eq!(counters, LinkCounters { sent: 2, refused: 0, dropped: 3, received: 2, depth_max: 2 });
}

#[test]
fn an_end_that_goes_away_is_noticed_and_wakes_the_other() {
    let (mut sender, receiver, producer, _consumer) = tallied(1, WhenFull::BackPressure);
    assert_eq!(sender.try_send(1), Ok(()));
    drop(receiver);
    assert_eq!(producer.count(), 1);
    assert!(sender.is_closed());
    assert_eq!(sender.try_send(2), Err(SendError::Closed(2)));
    assert_eq!(sender.send_from(&mut VecDeque::from([3])), 0);

    let (mut sender, mut receiver, _producer, consumer) = tallied(1, WhenFull::BackPressure);
    assert_eq!(sender.try_send(1), Ok(()));
    drop(sender);
    assert_eq!(consumer.count(), 2);
    assert!(receiver.is_closed());
    assert_eq!(receiver.pop(), Some(1), "what was sent is still there");
    assert_eq!(receiver.pop(), None);
}

/// Sends `count` numbers to a thread that sleeps whenever it can, over a link far too small for them. Both ends sleep
/// without a timeout, so a lost wake-up would hang, and the order is checked number by number.
fn through(depth: usize, count: u64, batched: bool) -> LinkCounters {
    let (here, there) = (Parker::new().unwrap(), Parker::new().unwrap());
    let (mut sender, mut receiver) = link::<u64>(depth, WhenFull::BackPressure, here.clone(), there.clone());
    let watch = sender.watch();
    let consumer = std::thread::spawn(move || {
        let mut next = 0;
        while next < count {
            let look = |receiver: &mut Receiver<u64>, next: &mut u64| {
                let before = *next;
                for item in receiver.drain(usize::MAX) {
                    assert_eq!(item, *next, "the order of a link is the order of sending");
                    *next += 1;
                }
                *next > before
            };
            if !look(&mut receiver, &mut next) {
                let rest = || (!look(&mut receiver, &mut next)).then_some(Sleep::UntilWoken);
                there.park(&mut [sys::wait_for(-1)], rest).unwrap();
            }
        }
    });
    let mut queue = VecDeque::new();
    let mut next = 0;
    while next < count || !queue.is_empty() {
        while queue.len() < 16 && next < count {
            queue.push_back(next);
            next += 1;
        }
        let mut offer = || {
            if batched {
                return sender.send_from(&mut queue) > 0;
            }
            let Some(item) = queue.pop_front() else { return false };
            match sender.try_send(item) {
                Ok(()) => true,
                Err(SendError::Full(item)) => {
                    queue.push_front(item);
                    false
                }
                Err(refusal) => panic!("{refusal:?}"),
            }
        };
        if !offer() {
            here.park(&mut [sys::wait_for(-1)], || (!offer()).then_some(Sleep::UntilWoken)).unwrap();
        }
    }
    consumer.join().unwrap();
    watch.read()
}

#[test]
fn order_and_back_pressure_hold_across_two_threads_that_sleep() {
    for (depth, batched) in [(1, false), (3, true), (64, false), (64, true)] {
        let counters = through(depth, 20_000, batched);
        assert_eq!((counters.sent, counters.received, counters.dropped), (20_000, 20_000, 0));
        assert!(counters.depth_max <= depth as u64, "the link held {} of {depth}", counters.depth_max);
    }
}

#[test]
fn a_producer_that_outlives_its_timeout_still_gets_its_room() {
    let here = Parker::new().unwrap();
    let (mut sender, mut receiver) = link::<u8>(1, WhenFull::BackPressure, here.clone(), Arc::new(Tally::default()));
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(SendError::Full(2)));
    let mut descriptors = [sys::wait_for(-1)];
    let woken = here.park(&mut descriptors, || Some(Sleep::AtMost(Duration::ZERO))).unwrap();
    assert_eq!(woken, Woken::Other);
    let woken = here.park(&mut descriptors, || {
        assert_eq!(receiver.pop(), Some(1));
        Some(Sleep::UntilWoken)
    });
    assert_eq!(woken.unwrap(), Woken::Bell, "the consumer rang although the producer had slept once before");
}
