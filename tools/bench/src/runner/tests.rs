#![allow(clippy::unwrap_used)]
use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::kernel::{self, KernelOptions};

/// Gives figures that were written down before, and notes who was called.
struct Scripted {
    name: &'static str,
    calls: Rc<RefCell<Vec<String>>>,
    /// CPU nanoseconds a round trip, one a repeat.
    cpu_ns: Vec<u64>,
    repeat: usize,
    available: bool,
}

impl Scripted {
    fn boxed(name: &'static str, calls: &Rc<RefCell<Vec<String>>>, cpu_ns: &[u64]) -> Box<dyn Target> {
        let calls = Rc::clone(calls);
        Box::new(Self { name, calls, cpu_ns: cpu_ns.to_vec(), repeat: 0, available: !cpu_ns.is_empty() })
    }
}

impl Target for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn descriptors_per_session(&self) -> usize {
        0
    }

    fn establish(&mut self, _: &Work) -> Result<(), TargetError> {
        self.calls.borrow_mut().push(self.name.into());
        if self.available { Ok(()) } else { Err(TargetError::Unavailable("no such thing".into())) }
    }

    fn closed_loop(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        let cpu_ns = self.cpu_ns[self.repeat] * round_trips;
        Ok(Sample { count: round_trips, wall_ns: cpu_ns * 2, cpu_ns })
    }

    fn ping_pong(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        Ok(Sample { count: round_trips, wall_ns: round_trips * 30, cpu_ns: round_trips * 20 })
    }

    fn broadcast(&mut self) -> Result<Sample, TargetError> {
        Ok(Sample { count: 10, wall_ns: 40_000, cpu_ns: 30_000 })
    }

    fn bytes_per_session(&self) -> Option<f64> {
        Some(5.0)
    }

    fn close(&mut self) {
        self.repeat += 1;
    }
}

fn work() -> Work {
    Work { repeats: 3, closed_loop_round_trips: 100, ping_pong_round_trips: 10, ..Work::new(10) }
}

#[test]
fn repeats_take_turns_and_medians_are_reported() {
    let calls = Rc::default();
    let mut targets = vec![
        Scripted::boxed("one", &calls, &[700, 100, 300]),
        Scripted::boxed("two", &calls, &[1, 2, 3]),
        Scripted::boxed("absent", &calls, &[]),
    ];
    let mut lines = Vec::new();
    let outcome = run(&mut targets, &work(), &mut |line| lines.push(line.to_owned())).unwrap();
    assert_eq!(*calls.borrow(), ["one", "two", "absent", "two", "one", "one", "two"]);
    let one = &outcome.results[0];
    assert_eq!((one.name.as_str(), one.sessions), ("one", 10));
    let near = |left: f64, right: f64| (left - right).abs() < 1e-6;
    assert!(near(one.cpu_ns_per_round_trip, 300.0));
    assert!(near(one.round_trips_per_s, 1e9 / 600.0));
    assert!(near(one.ping_pong_ns, 20.0));
    assert!(near(one.broadcast_last_us, 40.0));
    assert!(near(one.broadcast_cpu_ns_per_peer, 3_000.0));
    assert!(near(one.bytes_per_session, 5.0));
    assert!(near(outcome.details[0].cpu_ns_per_round_trip_min, 100.0));
    assert!(near(outcome.details[0].cpu_ns_per_round_trip_max, 700.0));
    assert!(near(outcome.details[0].ping_pong_wall_ns, 30.0));
    assert_eq!(outcome.skipped, [Skipped { name: "absent".into(), reason: "no such thing".into() }]);
    assert!(lines.iter().any(|line| line == "absent: skipped, no such thing"));
}

#[test]
fn nothing_to_measure_is_an_error() {
    assert!(matches!(run(&mut [], &work(), &mut |_| {}), Err(RunError::Nothing)));
    let calls = Rc::default();
    let mut targets = vec![Scripted::boxed("one", &calls, &[1])];
    assert!(matches!(run(&mut targets, &Work { sessions: 0, ..work() }, &mut |_| {}), Err(RunError::Nothing)));
}

#[test]
fn the_descriptor_limit_lowers_all_or_none() {
    let table = [
        // asked, descriptors a session, limit, open, allowed
        (10_000, 2, 20_000, 6, 9_965),
        (9_000, 2, 20_000, 6, 9_000),
        (10_000, 0, 1_024, 6, 10_000),
        (10_000, 2, 60, 6, 0),
    ];
    for (asked, each, limit, open, allowed) in table {
        let count = lowered(asked, each, limit, open);
        assert_eq!(count.allowed, allowed, "{asked} {each} {limit} {open}");
        assert_eq!(count.note().is_some(), allowed < asked);
    }
    let note = lowered(10_000, 2, 20_000, 6).note().unwrap();
    assert!(note.starts_with("9965 sessions instead of 10000") && note.contains("20000 open files"), "{note}");
}

#[test]
fn the_median_of_few() {
    assert!(median(&mut []).abs() < 1e-9);
    assert!((median(&mut [3.0]) - 3.0).abs() < 1e-9);
    assert!((median(&mut [4.0, 1.0]) - 2.5).abs() < 1e-9);
    assert!((median(&mut [9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
}

#[test]
fn every_kernel_target_does_the_whole_work() {
    let work =
        Work { repeats: 2, closed_loop_round_trips: 500, ping_pong_round_trips: 50, broadcasts: 2, ..Work::new(33) };
    let mut targets = kernel::targets(&KernelOptions::default());
    assert_eq!(session_count(&targets, 33).unwrap().allowed, 33);
    let outcome = run(&mut targets, &work, &mut |_| {}).unwrap();
    for skipped in &outcome.skipped {
        println!("skipped: {}: {}", skipped.name, skipped.reason);
        assert!(skipped.reason.starts_with("io_uring"), "{}", skipped.reason);
    }
    assert_eq!(outcome.results.len() + outcome.skipped.len(), 3);
    assert_eq!(outcome.results[0].name, "kernel-epoll");
    for result in &outcome.results {
        assert_eq!(result.sessions, 33);
        assert!(result.round_trips_per_s > 0.0 && result.cpu_ns_per_round_trip > 0.0 && result.ping_pong_ns > 0.0);
        assert!(result.broadcast_last_us > 0.0 && result.broadcast_cpu_ns_per_peer > 0.0);
    }
}

#[test]
fn messages_longer_than_a_broadcast_and_single_sessions_work_too() {
    let work = Work {
        message_len: 1_000,
        broadcast_len: 1,
        repeats: 1,
        closed_loop_round_trips: 20,
        ping_pong_round_trips: 5,
        ..Work::new(1)
    };
    let outcome = run(&mut kernel::targets(&KernelOptions::default()), &work, &mut |_| {}).unwrap();
    assert!(!outcome.results.is_empty());
}

#[test]
fn an_unknown_congestion_control_is_passed_over() {
    let options = KernelOptions { congestion_control: Some("no-such".into()) };
    let outcome = run(&mut kernel::targets(&options), &work(), &mut |_| {}).unwrap();
    assert_eq!((outcome.results.len(), outcome.skipped.len()), (0, 3));
    assert!(outcome.skipped[0].reason.contains("no-such"));
}
