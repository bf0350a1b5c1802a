//! The parking rule under loom: the code of `Gate` itself, over loom's atomics, in every interleaving that the memory
//! model allows. A lost wake-up is a sleeper that nobody wakes, which loom reports as a deadlock.
//!
//! These run with the other tests, without a `--cfg loom` build: only the atomics are exchanged. At most three
//! preemptions are explored; `LOOM_MAX_PREEMPTIONS=5` goes deeper.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "two threads are what is tried")]

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::sync::{Condvar, Mutex};

use super::*;

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

/// Loom's memory model, with the fences of the rule.
struct Modelled;

impl Atomics for Modelled {
    type Flag = AtomicBool;

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// The canary: the same without the fences.
struct Unfenced;

impl Atomics for Unfenced {
    type Flag = AtomicBool;

    fn fence() {}
}

/// An eventfd: rung once or often, it lets one wait through.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn new() -> Self {
        Self { rung: Mutex::new(false), changed: Condvar::new() }
    }

    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

struct Meeting<A: Atomics> {
    gate: Gate<A>,
    bell: Bell,
    links: Vec<AtomicUsize>,
}

impl<A: Atomics> Meeting<A> {
    fn new(links: usize) -> Arc<Self> {
        let links = (0..links).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { gate: Gate::new(), bell: Bell::new(), links })
    }

    fn arrived(&self) -> usize {
        self.links.iter().map(|link| link.load(Ordering::Acquire)).sum()
    }
}

/// `producers` publish `items` each, every one on a link of its own; one sleeper takes them all, or never ends.
fn hand_over<A: Atomics + 'static>(producers: usize, items: usize, second_look: bool)
where
    Gate<A>: Send + Sync,
{
    let meeting = Meeting::<A>::new(producers);
    let threads: Vec<_> = (0..producers)
        .map(|producer| {
            let meeting = meeting.clone();
            loom::thread::spawn(move || {
                for item in 1..=items {
                    meeting.links[producer].store(item, Ordering::Release);
                    if meeting.gate.knock() {
                        meeting.bell.ring();
                    }
                }
            })
        })
        .collect();
    let mut taken = 0;
    while taken < producers * items {
        taken = meeting.arrived();
        if taken < producers * items {
            let look = || if second_look && meeting.arrived() > taken { None } else { Some(()) };
            meeting.gate.sleep_unless(look, |()| meeting.bell.wait());
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A link of one place, both of whose ends sleep: the consumer for an item, the producer for room. Ends only if no
/// one is forgotten.
fn one_place<A: Atomics + 'static>(second_look: bool)
where
    Gate<A>: Send + Sync,
{
    const ITEMS: usize = 2;
    let items = Meeting::<A>::new(1);
    let room = Meeting::<A>::new(1);
    let consumer = {
        let (items, room) = (items.clone(), room.clone());
        loom::thread::spawn(move || {
            for item in 1..=ITEMS {
                sleep_until(&items, item, second_look);
                publish(&room, item);
            }
        })
    };
    for item in 1..=ITEMS {
        sleep_until(&room, item - 1, second_look);
        publish(&items, item);
    }
    consumer.join().unwrap();
}

fn publish<A: Atomics>(meeting: &Meeting<A>, item: usize) {
    meeting.links[0].store(item, Ordering::Release);
    if meeting.gate.knock() {
        meeting.bell.ring();
    }
}

fn sleep_until<A: Atomics>(meeting: &Meeting<A>, item: usize, second_look: bool) {
    while meeting.arrived() < item {
        let look = || if second_look && meeting.arrived() >= item { None } else { Some(()) };
        meeting.gate.sleep_unless(look, |()| meeting.bell.wait());
    }
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(3));
    builder.check(model);
}

#[test]
fn one_producer_is_never_missed() {
    explore(|| hand_over::<Modelled>(1, 2, true));
}

#[test]
fn two_producers_are_never_missed_though_one_rings_for_both() {
    explore(|| hand_over::<Modelled>(2, 1, true));
}

#[test]
fn a_producer_that_waits_for_room_is_never_forgotten() {
    explore(|| one_place::<Modelled>(true));
}

#[test]
#[should_panic(expected = "deadlock")]
fn canary_without_the_fences_a_wake_up_is_lost() {
    explore(|| hand_over::<Unfenced>(1, 1, true));
}

#[test]
#[should_panic(expected = "deadlock")]
fn canary_without_the_second_look_a_wake_up_is_lost() {
    explore(|| hand_over::<Modelled>(1, 1, false));
}

#[test]
#[should_panic(expected = "deadlock")]
fn canary_without_the_second_look_room_is_missed() {
    explore(|| one_place::<Modelled>(false));
}

#[test]
fn a_real_sleeper_is_woken_by_a_real_bell() {
    let parker = Parker::new().unwrap();
    let published = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sleeper = {
        let (parker, published) = (parker.clone(), published.clone());
        std::thread::spawn(move || {
            let mut descriptors = [sys::wait_for(-1)];
            let mut last = Woken::Work;
            while !published.load(Ordering::Acquire) {
                let look = || (!published.load(Ordering::Acquire)).then_some(Sleep::UntilWoken);
                last = parker.park(&mut descriptors, look).unwrap();
            }
            last
        })
    };
    published.store(true, Ordering::Release);
    parker.wake();
    assert_ne!(sleeper.join().unwrap(), Woken::Other, "the bell alone may end a sleep without timeout");
}

#[test]
fn a_sleep_without_a_bell_ends_at_its_timeout() {
    let parker = Parker::new().unwrap();
    let mut descriptors = [sys::wait_for(-1)];
    assert_eq!(parker.park(&mut descriptors, || Some(Sleep::AtMost(Duration::from_nanos(1)))).unwrap(), Woken::Other);
    parker.wake();
    assert_eq!(
        parker.park(&mut descriptors, || Some(Sleep::AtMost(Duration::ZERO))).unwrap(),
        Woken::Other,
        "nobody slept, so nobody rang"
    );
}
