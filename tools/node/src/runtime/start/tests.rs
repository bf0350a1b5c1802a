#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use hpb_base::{Duration, Instant};

use super::super::executor::Activity;
use super::super::link::SendError;
use super::*;
use crate::topology::{Demand, Executor, Seat};

/// What a worker does in a turn.
struct Turning<F>(F);

impl<F: FnMut() -> Activity> Worker for Turning<F> {
    fn turn(&mut self, _now: Instant) -> Activity {
        (self.0)()
    }
}

fn topology() -> Topology {
    let cores = sys::cores_allowed().unwrap().into_iter().take(2).collect();
    Topology::lay_out(&Demand::node(cores)).unwrap()
}

/// Executors that park whenever they can, so that every hand-over needs a wake-up.
fn builder(backend: BackendWish) -> RuntimeBuilder {
    let options = Options { backend, idle: IdlePolicy::Adaptive { spin: Duration::ZERO } };
    RuntimeBuilder::new(topology(), options, Clock::start(), StopFlag::new().unwrap()).unwrap()
}

/// A worker that has nothing to do, and a part that must not sleep through the end.
fn sleeper(builder: &mut RuntimeBuilder, role: Role) {
    builder.worker(0, role, |_| Ok(Turning(|| Activity::Idle))).unwrap();
}

/// Sends the numbers below `count` there and back, one at a time, and ends the runtime.
fn ping_pong(backend: BackendWish, count: u64) -> Vec<ExecutorReport> {
    let mut builder = builder(backend);
    let (mut ping_out, mut ping_in) = builder.link::<u64>(0, "lane0_chain").unwrap();
    let (mut pong_out, mut pong_in) = builder.link::<u64>(0, "chain_lane0").unwrap();
    let mut next = 0;
    builder
        .worker(0, Role::Lane(0), move |context| {
            let stop = context.stop().clone();
            ping_out.try_send(0).unwrap();
            Ok(Turning(move || match pong_in.pop() {
                None => Activity::Idle,
                Some(pong) => {
                    assert_eq!(pong, next);
                    next += 1;
                    if next == count {
                        stop.raise();
                    } else {
                        ping_out.try_send(next).unwrap();
                    }
                    Activity::Busy
                }
            }))
        })
        .unwrap();
    builder
        .worker(0, Role::Chain, move |_| {
            Ok(Turning(move || match ping_in.pop() {
                None => Activity::Idle,
                Some(ping) => {
                    pong_out.try_send(ping).unwrap();
                    Activity::Busy
                }
            }))
        })
        .unwrap();
    let running = builder.start().unwrap();
    running.join().unwrap()
}

#[test]
fn two_sleepy_executors_pass_every_item_on_both_back_ends() {
    for backend in [BackendWish::Threads, BackendWish::Automatic] {
        let reports = ping_pong(backend, 2_000);
        let busy: u64 = reports.iter().flat_map(|report| &report.workers).map(|worker| worker.turns_busy).sum();
        assert_eq!(busy, 4_000);
        assert!(reports.iter().all(|report| report.cpu > Duration::ZERO && report.bells <= report.parks));
    }
}

#[test]
fn a_service_gets_all_that_was_sent_before_the_end() {
    let mut builder = builder(BackendWish::Automatic);
    let (mut entries_out, mut entries_in) = builder.link::<u64>(0, "chain_log").unwrap();
    let written = Arc::new(AtomicU64::new(0));
    let count = entries_out.depth() as u64 * 3;
    let mut next = 0;
    builder
        .worker(0, Role::Chain, move |context| {
            let stop = context.stop().clone();
            Ok(Turning(move || match entries_out.try_send(next) {
                Ok(()) => {
                    next += 1;
                    if next == count {
                        stop.raise();
                    }
                    Activity::Busy
                }
                Err(SendError::Full(_)) => Activity::Idle,
                Err(refusal) => panic!("{refusal:?}"),
            }))
        })
        .unwrap();
    let sum = written.clone();
    builder
        .worker(0, Role::Log, move |_| {
            Ok(Turning(move || {
                let taken = entries_in.drain(64).count() as u64;
                sum.fetch_add(taken, Ordering::Relaxed);
                if taken > 0 { Activity::Busy } else { Activity::Idle }
            }))
        })
        .unwrap();
    let running = builder.start().unwrap();
    running.join().unwrap();
    assert_eq!(written.load(Ordering::Relaxed), count, "nothing that was sent is lost at the end");
}

#[test]
fn a_stop_from_outside_ends_sleeping_executors_and_services() {
    let mut builder = builder(BackendWish::Automatic);
    for role in [Role::Lane(0), Role::Chain, Role::Store] {
        sleeper(&mut builder, role);
    }
    let running = builder.start().unwrap();
    running.stop();
    let reports = running.join().unwrap();
    assert!(reports.iter().any(|report| report.name == "store"));
    assert!(!reports.iter().any(|report| report.name == "api"), "no worker, no thread");
}

#[test]
fn dropping_a_runtime_ends_it() {
    let mut builder = builder(BackendWish::Threads);
    sleeper(&mut builder, Role::Lane(0));
    sleeper(&mut builder, Role::Log);
    drop(builder.start().unwrap());
}

#[test]
fn a_panic_on_any_executor_ends_all_and_is_the_error() {
    for (backend, culprit) in [
        (BackendWish::Threads, Role::Chain),
        (BackendWish::Automatic, Role::Chain),
        (BackendWish::Automatic, Role::Log),
    ] {
        let mut builder = builder(backend);
        for role in [Role::Lane(0), Role::Store] {
            sleeper(&mut builder, role);
        }
        builder.worker(0, culprit, |_| Ok(Turning(|| panic!("on purpose")))).unwrap();
        match builder.start().unwrap().join() {
            Err(RunError::Panicked { worker, message, .. }) => {
                assert_eq!((worker, message.as_str()), (culprit.to_string(), "on purpose"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_operating_failure_ends_all_and_is_the_error() {
    let mut builder = builder(BackendWish::Automatic);
    sleeper(&mut builder, Role::Lane(0));
    builder
        .worker(0, Role::Log, |context| {
            let context = context.clone();
            Ok(Turning(move || {
                context.fail("the disk is full");
                Activity::Idle
            }))
        })
        .unwrap();
    let error = builder.start().unwrap().join().unwrap_err();
    assert_eq!(error.to_string(), "log on executor log failed: the disk is full");
}

#[test]
fn a_worker_that_cannot_be_made_is_a_start_error_and_nothing_is_left_running() {
    let mut first = builder(BackendWish::Automatic);
    sleeper(&mut first, Role::Lane(0));
    first.worker(0, Role::Store, |_| Err::<Turning<fn() -> Activity>, _>("the folder is locked".into())).unwrap();
    let error = first.start().err().unwrap().to_string();
    assert_eq!(error, "store on executor store cannot start: the folder is locked");

    let mut second = builder(BackendWish::Threads);
    sleeper(&mut second, Role::Store);
    second
        .worker(0, Role::Chain, |_| -> Result<Turning<fn() -> Activity>, MakeError> { panic!("no such thing") })
        .unwrap();
    assert!(second.start().err().unwrap().to_string().contains("no such thing"));
}

#[test]
fn links_and_places_are_the_tables_and_are_handed_out_once() {
    let mut builder = builder(BackendWish::Threads);
    builder.link::<u8>(0, "chain_api").unwrap();
    assert!(matches!(builder.link::<u8>(0, "chain_api"), Err(StartError::LinkTaken { .. })));
    assert!(matches!(builder.link::<u8>(1, "chain_api"), Err(StartError::NoLink { .. })));
    assert!(matches!(builder.link::<u8>(0, "api_log"), Err(StartError::NoLink { .. })));
    assert!(matches!(builder.parker(0, Role::Lane(9)), Err(StartError::NoSeat { .. })));
    let workers = (0..=WORKERS_PER_EXECUTOR_MAX)
        .try_for_each(|_| builder.worker(0, Role::Api, |_| Ok(Turning(|| Activity::Idle))));
    assert!(matches!(workers, Err(StartError::TooManyWorkers { .. })));
}

#[test]
fn link_counters_are_read_while_it_runs() {
    let mut builder = builder(BackendWish::Threads);
    let (mut sender, receiver) = builder.link::<u8>(0, "chain_log").unwrap();
    sender.try_send(7).unwrap();
    let running = builder.start().unwrap();
    let links: Vec<_> = running.links().map(|(node, name, counters)| (node, name.to_owned(), counters.sent)).collect();
    assert_eq!(links, [(0, "chain_log".to_owned(), 1)]);
    drop(receiver);
}

#[test]
fn spinning_is_refused_where_it_would_starve_something() {
    let spin = |topology| {
        let options = Options { idle: IdlePolicy::Spin, ..Options::default() };
        RuntimeBuilder::new(topology, options, Clock::start(), StopFlag::new().unwrap()).map(|_| ())
    };
    let error = spin(Topology::lay_out(&Demand::node(vec![0, 1])).unwrap()).unwrap_err().to_string();
    assert!(error.contains("`spin` is refused") && error.contains("adaptive"), "{error}");
    let hot = |name: &str, core, role| Executor {
        name: name.to_owned(),
        kind: Kind::Hot,
        cores: vec![core],
        seats: vec![Seat { node: 0, role }],
    };
    let rows = |last| {
        vec![hot("a", 0, Role::Chain), hot("b", 1, Role::Lane(0)), hot("c", 2, Role::Log), hot("d", last, Role::Api)]
    };
    let shared = Topology::from_rows(1, rows(2), Vec::new()).unwrap();
    assert!(spin(shared).unwrap_err().to_string().contains("share core 2"));
    assert!(spin_check(&Topology::from_rows(1, rows(3), Vec::new()).unwrap()).is_ok());
}

#[test]
fn a_core_that_is_not_ours_is_refused_by_name() {
    let topology = Topology::lay_out(&Demand::node(vec![1_000_000])).unwrap();
    let error = RuntimeBuilder::new(topology, Options::default(), Clock::start(), StopFlag::new().unwrap());
    assert!(error.err().unwrap().to_string().contains("wants core 1000000"));
}
