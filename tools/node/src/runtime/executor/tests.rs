#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Does what a script says, turn by turn, and notes what was done with it.
struct Scripted {
    name: &'static str,
    turns: Box<dyn FnMut(usize) -> Activity>,
    count: usize,
    wake_at: Option<Instant>,
    silent: bool,
    ports: Vec<RawFd>,
    /// How often it parts before its peers are gone, and whether it does something then.
    parting: (usize, Activity),
    notes: Rc<RefCell<Vec<String>>>,
}

impl Worker for Scripted {
    fn turn(&mut self, _now: Instant) -> Activity {
        self.count += 1;
        self.notes.borrow_mut().push(format!("{} turn", self.name));
        (self.turns)(self.count)
    }

    fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    fn descriptors(&self) -> &[RawFd] {
        &self.ports
    }

    fn has_silent_port(&self) -> bool {
        self.silent
    }

    fn part(&mut self, _now: Instant) -> Option<Activity> {
        let (left, activity) = &mut self.parting;
        *left = left.checked_sub(1)?;
        self.notes.borrow_mut().push(format!("{} parts", self.name));
        Some(*activity)
    }

    fn finish(&mut self, _now: Instant) {
        self.notes.borrow_mut().push(format!("{} finish", self.name));
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.notes.borrow_mut().push(format!("{} gone", self.name));
        assert!(self.name != "faulty", "a destructor that panics");
    }
}

struct Rig {
    stop: StopFlag,
    failures: Failures,
    counters: Arc<Counters>,
    notes: Rc<RefCell<Vec<String>>>,
    turns: Arc<AtomicUsize>,
    workers: Vec<(String, Box<dyn Worker>)>,
}

impl Rig {
    fn new() -> Self {
        let stop = StopFlag::new().unwrap();
        let failures = Failures::new(stop.clone());
        let counters = Counters::new("lane0", &["a".to_owned(), "b".to_owned(), "faulty".to_owned()]);
        Self { stop, failures, counters, notes: Rc::default(), turns: Arc::default(), workers: Vec::new() }
    }

    fn scripted(&self, name: &'static str, turns: impl FnMut(usize) -> Activity + 'static) -> Scripted {
        let notes = self.notes.clone();
        let (turns, parting) = (Box::new(turns), (0, Activity::Idle));
        Scripted { name, turns, count: 0, wake_at: None, silent: false, ports: Vec::new(), parting, notes }
    }

    fn with(mut self, worker: Scripted) -> Self {
        self.workers.push((worker.name.to_owned(), Box::new(worker)));
        self
    }

    fn with_script(self, name: &'static str, turns: impl FnMut(usize) -> Activity + 'static) -> Self {
        let worker = self.scripted(name, turns);
        self.with(worker)
    }

    fn rotation(&mut self, ending: Ending) -> Rotation {
        Rotation::new(Parts {
            name: "lane0".to_owned(),
            workers: std::mem::take(&mut self.workers),
            clock: Clock::start(),
            parker: Parker::new().unwrap(),
            stop: self.stop.clone(),
            idle: IdlePolicy::Adaptive { spin: Duration::ZERO },
            ending,
            failures: self.failures.clone(),
            counters: self.counters.clone(),
            turns: Turns::of(&self.turns),
        })
    }

    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.borrow_mut())
    }
}

fn busy_until(last: usize) -> impl FnMut(usize) -> Activity {
    move |count| if count < last { Activity::Busy } else { Activity::Idle }
}

#[test]
fn workers_take_turns_in_order_and_a_hot_end_is_at_once() {
    let mut rig = Rig::new();
    let stop = rig.stop.clone();
    rig = rig.with_script("a", |_| Activity::Busy).with_script("b", move |count| {
        if count == 2 {
            stop.raise();
        }
        Activity::Busy
    });
    let mut rotation = rig.rotation(Ending::AtOnce);
    assert_eq!(rotation.slice(Duration::MAX), Flow::End);
    assert_eq!(rig.notes(), ["a turn", "b turn", "a turn", "b turn", "a finish", "b finish"]);
    rotation.dismiss();
    assert_eq!(rig.notes(), ["a gone", "b gone"]);
    assert_eq!(rig.failures.first(), None);
    let report = rig.counters.read();
    assert_eq!((report.rounds, report.parks, report.workers[0].turns_busy), (2, 0, 2));
}

#[test]
fn a_service_finishes_what_is_left_before_it_ends() {
    let mut rig = Rig::new().with_script("a", busy_until(4));
    rig.stop.raise();
    let mut rotation = rig.rotation(Ending::Settled);
    assert_eq!(rotation.slice(Duration::MAX), Flow::End);
    assert_eq!(rig.notes(), ["a turn", "a turn", "a turn", "a turn", "a finish"]);
}

#[test]
fn a_service_that_never_settles_ends_all_the_same() {
    let mut rig = Rig::new().with_script("a", |_| Activity::Busy);
    rig.stop.raise();
    assert_eq!(rig.rotation(Ending::Settled).slice(Duration::MAX), Flow::End);
    assert_eq!(rig.notes().len(), SETTLE_ROUNDS_MAX as usize + 2);
}

#[test]
fn workers_part_with_their_peers_by_turns_after_the_last_one() {
    let mut rig = Rig::new();
    let mut first = rig.scripted("a", |_| Activity::Idle);
    first.parting = (2, Activity::Idle);
    let mut second = rig.scripted("b", |_| Activity::Idle);
    second.parting = (3, Activity::Busy);
    rig = rig.with(first).with(second);
    rig.stop.raise();
    let mut rotation = rig.rotation(Ending::AtOnce);
    assert_eq!(rotation.slice(Duration::MAX), Flow::End);
    let parted = ["a parts", "b parts", "a parts", "b parts", "b parts"];
    assert_eq!(rig.notes(), [&parted[..], &["a finish", "b finish"]].concat());
    assert_eq!(rig.turns.load(Ordering::Relaxed), 0);
}

#[test]
fn nobody_parts_while_another_executor_gives_turns_and_none_waits_for_ever() {
    let mut rig = Rig::new();
    let mut worker = rig.scripted("a", |_| Activity::Idle);
    worker.parting = (usize::MAX, Activity::Idle);
    rig = rig.with(worker);
    let mut rotation = rig.rotation(Ending::AtOnce);
    let mut other = Turns::of(&rig.turns);
    rotation.parts.turns.end();
    rotation.part(Duration::from_millis(3));
    assert_eq!(rig.notes(), [""; 0], "the other may still hear of it");
    other.end();
    let begin_at = rotation.now;
    rotation.part(Duration::from_millis(5));
    let notes = rig.notes();
    assert!((1..=6).contains(&notes.len()) && rotation.now.since(begin_at) >= Duration::from_millis(5), "{notes:?}");
}

#[test]
fn work_found_by_the_second_look_prevents_the_sleep() {
    let mut rig = Rig::new();
    let stop = rig.stop.clone();
    rig = rig.with_script("a", move |count| match count {
        1 => Activity::Idle,
        2 => Activity::Busy,
        _ => {
            stop.raise();
            Activity::Busy
        }
    });
    assert_eq!(rig.rotation(Ending::AtOnce).slice(Duration::MAX), Flow::End);
    let report = rig.counters.read();
    assert_eq!((report.rounds, report.parks), (3, 0));
}

#[test]
fn a_readable_port_ends_a_sleep_without_end() {
    let mut rig = Rig::new();
    let port = sys::EventFd::new().unwrap();
    let stop = rig.stop.clone();
    port.ring();
    let mut worker = rig.scripted("a", move |count| {
        if count < 3 {
            return Activity::Idle;
        }
        stop.raise();
        Activity::Busy
    });
    worker.ports = vec![std::os::fd::AsRawFd::as_raw_fd(&port)];
    rig = rig.with(worker);
    assert_eq!(rig.rotation(Ending::AtOnce).slice(Duration::MAX), Flow::End);
    let report = rig.counters.read();
    assert_eq!((report.parks, report.bells), (1, 0));
}

#[test]
fn a_sleep_lasts_until_the_earliest_wish_and_is_short_for_a_silent_port() {
    let silent = Duration::from_micros(SILENT_PORT_PARK_US_MAX);
    let hour = Duration::from_secs(3_600);
    let far = Some(hour);
    for (first, second, is_silent, some_unheard, expected) in [
        (None, None, false, false, Some(Sleep::UntilWoken)),
        (far, None, false, false, Some(Sleep::AtMost(hour))),
        (far, Some(Duration::from_secs(7)), false, false, Some(Sleep::AtMost(Duration::from_secs(7)))),
        (far, None, true, false, Some(Sleep::AtMost(silent))),
        (None, None, true, false, Some(Sleep::AtMost(silent))),
        (None, None, false, true, Some(Sleep::AtMost(silent))),
        (Some(Duration::ZERO), None, false, false, None),
        (Some(Duration::from_nanos(PARK_NS_MIN - 1)), far, true, false, None),
    ] {
        let rig = Rig::new();
        let mut rotation = { rig }.rotation(Ending::AtOnce);
        let now = rotation.now;
        let rig = Rig::new();
        for (name, wish) in [("a", first), ("b", second)] {
            let mut worker = rig.scripted(name, |_| Activity::Idle);
            worker.wake_at = wish.map(|wish| now + wish);
            worker.silent = is_silent;
            rotation.parts.workers.push((name.to_owned(), Box::new(worker)));
        }
        assert_eq!(rotation.sleep_max(some_unheard), expected);
    }
}

#[test]
fn a_panic_names_its_worker_and_stops_everything() {
    let mut rig = Rig::new().with_script("a", |_| Activity::Busy).with_script("b", |count| {
        assert!(count < 3, "the third turn fails");
        Activity::Busy
    });
    let mut rotation = rig.rotation(Ending::AtOnce);
    assert_eq!(rotation.slice(Duration::MAX), Flow::End);
    assert!(rig.stop.is_raised());
    let failure = rig.failures.first().unwrap();
    assert_eq!((failure.executor.as_str(), failure.worker.as_str(), failure.panicked), ("lane0", "b", true));
    assert_eq!(failure.message, "the third turn fails");
    assert!(!rig.notes().contains(&"a finish".to_owned()), "nothing is called on workers of unknown state");
}

#[test]
fn a_panic_in_a_destructor_is_reported_and_the_others_still_go() {
    let mut rig = Rig::new().with_script("faulty", |_| Activity::Idle).with_script("b", |_| Activity::Idle);
    rig.rotation(Ending::AtOnce).dismiss();
    assert_eq!(rig.notes(), ["faulty gone", "b gone"]);
    assert_eq!(rig.failures.first().unwrap().worker, "faulty");
}

#[test]
fn the_first_failure_is_the_one_that_is_kept() {
    let rig = Rig::new();
    for message in ["first", "second"] {
        let (executor, worker) = ("lane0".to_owned(), "a".to_owned());
        rig.failures.report(Failure { executor, worker, message: message.to_owned(), panicked: false });
    }
    assert_eq!(rig.failures.first().unwrap().message, "first");
}
