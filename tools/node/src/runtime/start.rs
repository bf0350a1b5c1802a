//! Starting the executors of a topology, and ending them.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::thread::JoinHandle;

use hpb_base::Wake;
use hpb_base::limits::WORKERS_PER_EXECUTOR_MAX;

use super::clock::Clock;
use super::executor::{Context, Ending, Failure, Failures, IdlePolicy, Parts, Rotation, Turns, Worker, panic_message};
use super::glommio::Reactor;
use super::host::{Backend, BackendChoice, BackendWish};
use super::link::{LinkCounters, LinkWatch, Receiver, Sender, link};
use super::meter::{Counters, ExecutorReport};
use super::park::Parker;
use super::signal::StopFlag;
use super::{sys, threads};
use crate::topology::{Kind, Role, Topology};

/// Cores at which spinning for ever is refused: nothing would be left for the rest of the host.
const SPIN_CORES_REFUSED: usize = 2;

/// What the executors run on and how they rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// The loop of the hot executors.
    pub backend: BackendWish,
    /// What an idle hot executor does. Service executors never spin.
    pub idle: IdlePolicy,
}

/// Why a worker could not be made, in its own words.
pub type MakeError = Box<dyn std::error::Error + Send + Sync>;

type Maker = Box<dyn FnOnce(&Context) -> Result<Box<dyn Worker>, MakeError> + Send>;

/// Why a runtime did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The topology gives this role no executor.
    #[error("the topology has no place for {role} of node {node}")]
    NoSeat {
        /// The node.
        node: usize,
        /// The role.
        role: Role,
    },
    /// The topology has no such link, or not for this node.
    #[error("the topology has no link {name} for node {node}")]
    NoLink {
        /// The node.
        node: usize,
        /// The link.
        name: String,
    },
    /// A link has one producer and one consumer: it is handed out once.
    #[error("the link {name} of node {node} was handed out before")]
    LinkTaken {
        /// The node.
        node: usize,
        /// The link.
        name: String,
    },
    /// An executor would host too many workers.
    #[error("executor {executor} would host more than {WORKERS_PER_EXECUTOR_MAX} workers")]
    TooManyWorkers {
        /// The executor.
        executor: String,
    },
    /// A core of the topology that this process may not use.
    #[error("executor {executor} wants core {core}, and this process may use only cores {allowed:?}")]
    CoreForbidden {
        /// The executor.
        executor: String,
        /// The core it wants.
        core: usize,
        /// The cores there are.
        allowed: Vec<usize>,
    },
    /// Spinning would starve something.
    #[error("the idle policy `spin` is refused: {0}; use `adaptive`")]
    SpinRefused(String),
    /// glommio was asked for and the host forbids it.
    #[error("the glommio runtime was asked for and cannot run: {0}")]
    GlommioRefused(String),
    /// A thread, a descriptor or a core was refused.
    #[error("executor {executor} cannot start: {source}")]
    Thread {
        /// The executor.
        executor: String,
        /// The system's refusal.
        source: io::Error,
    },
    /// A worker could not be made.
    #[error("{worker} on executor {executor} cannot start: {message}")]
    Worker {
        /// The executor.
        executor: String,
        /// The worker.
        worker: String,
        /// Why.
        message: String,
    },
}

/// How a runtime ended, if not well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A worker panicked: a bug of ours.
    #[error("{worker} on executor {executor} panicked: {message}")]
    Panicked {
        /// The executor.
        executor: String,
        /// The worker.
        worker: String,
        /// What the panic said.
        message: String,
    },
    /// A worker or an executor met an operating failure that it cannot go on with.
    #[error("{worker} on executor {executor} failed: {message}")]
    Failed {
        /// The executor.
        executor: String,
        /// The worker; empty if it was the executor itself.
        worker: String,
        /// Why.
        message: String,
    },
}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> Self {
        let Failure { executor, worker, message, panicked } = failure;
        if panicked { Self::Panicked { executor, worker, message } } else { Self::Failed { executor, worker, message } }
    }
}

/// The cores that this process may use, in ascending order: what a topology is laid out on.
///
/// # Errors
/// The kernel's refusal.
pub fn cores_allowed() -> io::Result<Vec<usize>> {
    sys::cores_allowed()
}

/// Builds a runtime: links first, then workers, then [`start`](Self::start).
pub struct RuntimeBuilder {
    topology: Topology,
    options: Options,
    clock: Clock,
    stop: StopFlag,
    parkers: Vec<Arc<Parker>>,
    makers: Vec<Vec<(String, Maker)>>,
    links: BTreeMap<(usize, String), LinkWatch>,
}

impl RuntimeBuilder {
    /// A runtime without workers. `stop` ends it.
    ///
    /// # Errors
    /// [`StartError::CoreForbidden`], [`StartError::SpinRefused`], [`StartError::Thread`] if no descriptor is left.
    pub fn new(topology: Topology, options: Options, clock: Clock, stop: StopFlag) -> Result<Self, StartError> {
        if options.idle == IdlePolicy::Spin {
            spin_check(&topology)?;
        }
        let mut parkers = Vec::new();
        for executor in topology.executors() {
            let thread_error = |source| StartError::Thread { executor: executor.name.clone(), source };
            let allowed = sys::cores_allowed().map_err(thread_error)?;
            if let Some(&core) = executor.cores.iter().find(|core| !allowed.contains(core)) {
                return Err(StartError::CoreForbidden { executor: executor.name.clone(), core, allowed });
            }
            parkers.push(Parker::new().map_err(thread_error)?);
        }
        let makers = topology.executors().iter().map(|_| Vec::new()).collect();
        Ok(Self { topology, options, clock, stop, parkers, makers, links: BTreeMap::new() })
    }

    /// The table that is carried out.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The clock of all executors.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Makes `node`'s link `name` of the table, between the executors that host its ends. Each is made once; the type
    /// is the caller's, as the table's item says.
    ///
    /// # Errors
    /// [`StartError::NoLink`], [`StartError::LinkTaken`], [`StartError::NoSeat`].
    pub fn link<T>(&mut self, node: usize, name: &str) -> Result<(Sender<T>, Receiver<T>), StartError> {
        let row = self.topology.link(name).cloned();
        let Some(row) = row.filter(|_| node < self.topology.nodes()) else {
            return Err(StartError::NoLink { node, name: name.to_owned() });
        };
        let producer = self.waker(node, row.producer)?;
        let consumer = self.waker(node, row.consumer)?;
        let key = (node, name.to_owned());
        if self.links.contains_key(&key) {
            return Err(StartError::LinkTaken { node, name: name.to_owned() });
        }
        let (sender, receiver) = link(row.depth, row.when_full, producer, consumer);
        self.links.insert(key, sender.watch());
        Ok((sender, receiver))
    }

    /// Where the executor that hosts `role` of `node` sleeps: what a port wakes, and what a thread of another kind
    /// that plays this role waits on.
    ///
    /// # Errors
    /// [`StartError::NoSeat`].
    pub fn parker(&self, node: usize, role: Role) -> Result<Arc<Parker>, StartError> {
        Ok(self.parkers[self.seat(node, role)?].clone())
    }

    /// [`parker`](Self::parker), for a port.
    ///
    /// # Errors
    /// [`StartError::NoSeat`].
    pub fn waker(&self, node: usize, role: Role) -> Result<Arc<dyn Wake>, StartError> {
        let parker: Arc<dyn Wake> = self.parker(node, role)?;
        Ok(parker)
    }

    fn seat(&self, node: usize, role: Role) -> Result<usize, StartError> {
        self.topology.host(node, role).ok_or(StartError::NoSeat { node, role })
    }

    /// Puts a worker on the executor that hosts `role` of `node`. `make` runs on that executor's thread, on its core,
    /// so that the worker's memory is near; workers take their turns in the order in which they were put. An executor
    /// without workers gets no thread.
    ///
    /// # Errors
    /// [`StartError::NoSeat`], [`StartError::TooManyWorkers`].
    pub fn worker<W: Worker + 'static>(
        &mut self,
        node: usize,
        role: Role,
        make: impl FnOnce(&Context) -> Result<W, MakeError> + Send + 'static,
    ) -> Result<(), StartError> {
        let executor = self.seat(node, role)?;
        let makers = &mut self.makers[executor];
        if makers.len() >= WORKERS_PER_EXECUTOR_MAX {
            return Err(StartError::TooManyWorkers { executor: self.topology.executors()[executor].name.clone() });
        }
        let name = if self.topology.nodes() == 1 { role.to_string() } else { format!("node{node}.{role}") };
        makers.push((name, Box::new(move |context| Ok(Box::new(make(context)?)))));
        Ok(())
    }

    /// Starts every executor that has workers, and returns when all workers are made.
    ///
    /// # Errors
    /// The first refusal; by then everything that had started has ended again.
    pub fn start(self) -> Result<Running, StartError> {
        let Self { topology, options, clock, stop, parkers, makers, links } = self;
        let mut choice = BackendChoice::make(options.backend).map_err(StartError::GlommioRefused)?;
        let own = |source| StartError::Thread { executor: "services".to_owned(), source };
        let mut running = Running {
            choice: choice.clone(),
            stop: stop.clone(),
            stop_services: StopFlag::new().map_err(own)?,
            failures: Failures::new(stop.clone()),
            hot: Vec::new(),
            services: Vec::new(),
            counters: Vec::new(),
            links,
        };
        let (ready, readiness) = mpsc::channel();
        // Services stop after the others: their turns are counted apart, and nobody waits for them.
        let (hot_turns, service_turns) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for ((row, parker), makers) in topology.executors().iter().zip(parkers).zip(makers) {
            if makers.is_empty() {
                continue;
            }
            let names: Vec<String> = makers.iter().map(|(name, _)| name.clone()).collect();
            let counters = Counters::new(&row.name, &names);
            let hot = row.kind == Kind::Hot;
            let plan = Plan {
                name: row.name.clone(),
                cores: row.cores.clone(),
                backend: if hot { choice.backend } else { Backend::Threads },
                idle: if hot { options.idle } else { IdlePolicy::Adaptive { spin: hpb_base::Duration::ZERO } },
                ending: if hot { Ending::AtOnce } else { Ending::Settled },
                stop: if hot { stop.clone() } else { running.stop_services.clone() },
                context: Context {
                    executor: row.name.clone(),
                    worker: String::new(),
                    clock: clock.clone(),
                    stop: stop.clone(),
                    parker,
                    failures: running.failures.clone(),
                },
                counters: counters.clone(),
                makers,
                turns: Turns::of(if hot { &hot_turns } else { &service_turns }),
            };
            running.counters.push(counters);
            let ready = ready.clone();
            let spawned = std::thread::Builder::new().name(row.name.clone()).spawn(move || plan.run(ready));
            let threads = if hot { &mut running.hot } else { &mut running.services };
            threads.push(spawned.map_err(|source| StartError::Thread { executor: row.name.clone(), source })?);
        }
        drop(ready);
        // Ends when every executor has reported: each drops its sender then, or by its panic.
        for report in readiness {
            if let Some(reason) = report? {
                if options.backend == BackendWish::Glommio {
                    return Err(StartError::GlommioRefused(reason));
                }
                choice = BackendChoice { backend: Backend::Threads, reason };
            }
        }
        running.choice = choice;
        Ok(running)
    }
}

fn spin_check(topology: &Topology) -> Result<(), StartError> {
    let hot = || topology.executors().iter().filter(|executor| executor.kind == Kind::Hot);
    let cores: BTreeSet<usize> =
        topology.executors().iter().flat_map(|executor| executor.cores.iter().copied()).collect();
    if cores.len() <= SPIN_CORES_REFUSED {
        let reason = format!("{} cores leave none for the rest of the host", cores.len());
        return Err(StartError::SpinRefused(reason));
    }
    let mut taken = BTreeSet::new();
    match hot().flat_map(|executor| &executor.cores).find(|&&core| !taken.insert(core)) {
        Some(core) => Err(StartError::SpinRefused(format!("two executors share core {core}"))),
        None => Ok(()),
    }
}

/// One executor's thread, before it runs.
struct Plan {
    name: String,
    cores: Vec<usize>,
    backend: Backend,
    idle: IdlePolicy,
    ending: Ending,
    stop: StopFlag,
    context: Context,
    counters: Arc<Counters>,
    makers: Vec<(String, Maker)>,
    turns: Turns,
}

/// What an executor says once: ready, with the reason why glommio refused if it did.
type Report = Result<Option<String>, StartError>;

impl Plan {
    fn run(self, ready: mpsc::Sender<Report>) {
        let (report, prepared) = match self.prepare() {
            Ok((reactor, refusal, rotation)) => (Ok(refusal), Some((reactor, rotation))),
            Err(error) => (Err(error), None),
        };
        // If nobody listens, another executor's error came first, and the stop flag is up.
        let _nobody_listens = ready.send(report);
        drop(ready);
        let Some((reactor, mut rotation)) = prepared else { return };
        match reactor {
            Some(reactor) => reactor.run(&mut rotation),
            None => threads::run(&mut rotation),
        }
        rotation.dismiss();
    }

    /// Takes the thread to its core and makes what will run there; with the reason if glommio refused.
    fn prepare(self) -> Result<(Option<Reactor>, Option<String>, Rotation), StartError> {
        sys::pin(&self.cores).map_err(|source| StartError::Thread { executor: self.name.clone(), source })?;
        sys::timers_exact();
        let (reactor, refusal) = match (self.backend, self.cores.first()) {
            (Backend::Glommio, Some(&core)) => match Reactor::new(&self.name, core) {
                Ok(reactor) => (Some(reactor), None),
                Err(refusal) => (None, Some(refusal)),
            },
            _ => (None, None),
        };
        Ok((reactor, refusal, self.make_workers()?))
    }

    fn make_workers(self) -> Result<Rotation, StartError> {
        let mut workers = Vec::new();
        for (worker, make) in self.makers {
            let context = Context { worker: worker.clone(), ..self.context.clone() };
            let made = catch_unwind(AssertUnwindSafe(|| make(&context).map_err(|error| error.to_string())));
            let made = made.unwrap_or_else(|panic: Box<dyn Any + Send>| Err(panic_message(&*panic)));
            match made {
                Ok(made) => workers.push((worker, made)),
                Err(message) => return Err(StartError::Worker { executor: self.name, worker, message }),
            }
        }
        Ok(Rotation::new(Parts {
            name: self.name,
            workers,
            clock: self.context.clock,
            parker: self.context.parker,
            stop: self.stop,
            idle: self.idle,
            ending: self.ending,
            failures: self.context.failures,
            counters: self.counters,
            turns: self.turns,
        }))
    }
}

/// A runtime at work. Dropped, it stops and waits for its threads.
pub struct Running {
    choice: BackendChoice,
    stop: StopFlag,
    stop_services: StopFlag,
    failures: Failures,
    hot: Vec<JoinHandle<()>>,
    services: Vec<JoinHandle<()>>,
    counters: Vec<Arc<Counters>>,
    links: BTreeMap<(usize, String), LinkWatch>,
}

impl Running {
    /// What the executors run on and why: a line for the user.
    pub fn backend(&self) -> &BackendChoice {
        &self.choice
    }

    /// What each executor did so far, in the order of the table.
    pub fn executors(&self) -> Vec<ExecutorReport> {
        self.counters.iter().map(|counters| counters.read()).collect()
    }

    /// What went through each link so far: node, name, counters.
    pub fn links(&self) -> impl Iterator<Item = (usize, &str, LinkCounters)> + '_ {
        self.links.iter().map(|((node, name), watch)| (*node, name.as_str(), watch.read()))
    }

    /// The flag that ends it.
    pub fn stop_flag(&self) -> &StopFlag {
        &self.stop
    }

    /// Ends it: raises the stop flag. Returns at once.
    pub fn stop(&self) {
        self.stop.raise();
    }

    /// Waits for the end, which the stop flag or a failing worker brings, and returns what each executor did.
    ///
    /// # Errors
    /// [`RunError`]: the first worker that panicked or failed.
    pub fn join(mut self) -> Result<Vec<ExecutorReport>, RunError> {
        self.wait();
        match self.failures.first() {
            Some(failure) => Err(failure.into()),
            None => Ok(self.executors()),
        }
    }

    /// Hot executors end by the stop flag; only then are the services told, so that they still get all that was sent.
    fn wait(&mut self) {
        for thread in self.hot.drain(..) {
            self.failures.joined(thread);
        }
        if !self.services.is_empty() {
            self.stop_services_when_stopped();
        }
        for thread in self.services.drain(..) {
            self.failures.joined(thread);
        }
    }

    fn stop_services_when_stopped(&self) {
        let mut waited_on = [sys::wait_for(self.stop.descriptor())];
        while !self.stop.is_raised() {
            if sys::wait(&mut waited_on, None).is_err() {
                break;
            }
        }
        self.stop_services.raise();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.raise();
        self.wait();
    }
}

impl Failures {
    /// Waits for a thread. One that panicked outside its guard is reported here.
    fn joined(&self, thread: JoinHandle<()>) {
        let executor = thread.thread().name().unwrap_or_default().to_owned();
        if let Err(panic) = thread.join() {
            let message = panic_message(&*panic);
            self.report(Failure { executor, worker: String::new(), message, panicked: true });
        }
    }
}
