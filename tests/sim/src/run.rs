//! Many seeds over all cores, told in the order of the seeds: what is printed is the same on every machine.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant as RealInstant;

use hpb_base::{Duration, Instant};
use hpb_types::Hash;

use crate::cast::{CastError, NODES_MAX, NODES_MIN};
use crate::checkers::{Checker, Failure};
use crate::faults::SLOTS;
use crate::minimise::minimise;
use crate::world::{Outcome, Plan, World};

/// Failing seeds whose schedule is cut down; of further ones a line is told.
const MINIMISED_MAX: u32 = 3;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arguments {
    /// The seeds.
    pub seeds: Range<u64>,
    /// Nodes of each world.
    pub nodes: usize,
    /// Whole cards in every seed, not in one of twenty.
    pub whole_cards: bool,
    /// Print what happened, for a run of one seed.
    pub trace: bool,
}

/// What all seeds came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Seeds that ran to their end.
    pub seeds: u64,
    /// Those among them that failed.
    pub failed: Vec<u64>,
    /// Virtual time that passed in all of them.
    pub simulated: Duration,
    /// Slices sent.
    pub slices: u64,
    /// Slices final.
    pub finals: u64,
    /// Transactions final.
    pub transactions: u64,
    /// Producers proven guilty, by correct nodes.
    pub accused: u64,
    /// Seeds in which more than a third brought about two final chains, and were convicted.
    pub conflicts: u64,
    /// Seeds that ended early because liars came to be a third of a schedule.
    pub overruns: u64,
    /// Schedules with other members than those before.
    pub changes: u64,
    /// The hash over the traces of all, in the order of the seeds.
    pub trace: Hash,
    /// Real time that passed.
    pub took: Duration,
}

/// Why nothing is run, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A number of nodes that is not simulated.
    #[error("--nodes: expected {NODES_MIN} to {NODES_MAX}, found {0}")]
    Nodes(usize),
    /// No seeds.
    #[error("--seeds: expected a first seed and a higher end, as in 0..1000, found {}..{}", .0.start, .0.end)]
    Seeds(Range<u64>),
    /// A chain that cannot be.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// What is told finds no reader.
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl Summary {
    /// How many virtual seconds passed in a real one.
    pub fn speed(&self) -> u64 {
        self.simulated.as_nanos() / self.took.as_nanos().max(1)
    }
}

impl std::fmt::Display for Summary {
    /// One line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} seeds of at most {SLOTS} slots, {} failed: {} slices, {} final, {} transactions final, {} producers \
             accused, {} conspiracies, {} changes of the set, {} overrun; {} simulated seconds in \
             {} s ({} a second); trace {}",
            self.seeds,
            self.failed.len(),
            self.slices,
            self.finals,
            self.transactions,
            self.accused,
            self.conflicts,
            self.changes,
            self.overruns,
            self.simulated.as_millis() / 1_000,
            self.took.as_millis() / 1_000,
            self.speed(),
            self.trace
        )
    }
}

/// Runs all seeds, or those that are begun when `stop` says so, and tells on `out` what failed.
///
/// # Errors
/// Arguments that make no run; a reader that went away.
pub fn run(arguments: &Arguments, stop: &(dyn Fn() -> bool + Sync), out: &mut dyn Write) -> Result<Summary, RunError> {
    let Arguments { seeds, nodes, whole_cards, trace } = arguments;
    if !(NODES_MIN..=NODES_MAX).contains(nodes) {
        return Err(RunError::Nodes(*nodes));
    }
    if seeds.is_empty() {
        return Err(RunError::Seeds(seeds.clone()));
    }
    let started = now();
    let mut telling = Telling::new(*nodes, *whole_cards);
    let mut told: Result<(), io::Error> = Ok(());
    in_order(
        seeds.clone(),
        stop,
        &|seed| run_one(Plan::draw(seed, *nodes).with_whole_cards(*whole_cards), *trace),
        &mut |seed, outcome| {
            told = telling.tell(seed, outcome, out);
            told.is_ok()
        },
    );
    told?;
    Ok(telling.summary(now().duration_since(started)))
}

/// Does `work` for each seed, over all cores, and has `take` take what comes of it in the order of the seeds, until `take`
/// has enough or `stop` says so.
pub fn in_order<T: Send>(
    seeds: Range<u64>,
    stop: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(u64) -> T + Sync),
    take: &mut dyn FnMut(u64, T) -> bool,
) {
    let next = AtomicU64::new(seeds.start);
    let enough = AtomicBool::new(false);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads {
            let (sender, next, enough) = (sender.clone(), &next, &enough);
            scope.spawn(move || {
                while !stop() && !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || sender.send((seed, work(seed))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut due = seeds.start;
        while let Ok((seed, done)) = receiver.recv() {
            waiting.insert(seed, done);
            while let Some(done) = waiting.remove(&due) {
                if !enough.load(Ordering::Relaxed) && !take(due, done) {
                    enough.store(true, Ordering::Relaxed);
                }
                due += 1;
            }
        }
    });
}

/// Runs one plan; a panic is a failure like another.
pub fn run_one(plan: Plan, trace: bool) -> Outcome {
    let world = AssertUnwindSafe(|| match plan.cast() {
        Ok(cast) => World::new(cast, plan, trace).run(),
        Err(error) => Outcome::failed(format!("no such chain: {error}")),
    });
    catch_unwind(world).unwrap_or_else(|panic| Outcome::failed(panic_text(&*panic)))
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    format!("a panic: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default())
}

impl Outcome {
    /// That of a run that came to nothing.
    fn failed(what: String) -> Self {
        Self {
            failure: Some(Failure { checker: Checker::Runs, at: Instant::ZERO, what }),
            trace: Hash::ZERO,
            slices: 0,
            finals: 0,
            transactions: 0,
            accused: 0,
            conflict: false,
            overrun: false,
            changes: 0,
            simulated: Duration::ZERO,
            lines: Vec::new(),
        }
    }
}

/// The command that runs a seed again.
pub fn replay_command(seed: u64, nodes: usize, whole_cards: bool) -> String {
    let cards = if whole_cards { " --whole-cards" } else { "" };
    format!("hpb sim --nodes {nodes}{cards} --replay {seed} --trace")
}

struct Telling {
    nodes: usize,
    whole_cards: bool,
    minimised: u32,
    hasher: blake3::Hasher,
    summary: Summary,
}

impl Telling {
    fn new(nodes: usize, whole_cards: bool) -> Self {
        let summary = Summary {
            seeds: 0,
            failed: Vec::new(),
            simulated: Duration::ZERO,
            slices: 0,
            finals: 0,
            transactions: 0,
            accused: 0,
            conflicts: 0,
            overruns: 0,
            changes: 0,
            trace: Hash::ZERO,
            took: Duration::ZERO,
        };
        Self { nodes, whole_cards, minimised: 0, hasher: blake3::Hasher::new(), summary }
    }

    fn tell(&mut self, seed: u64, outcome: Outcome, out: &mut dyn Write) -> io::Result<()> {
        self.hasher.update(&outcome.trace.0);
        let summary = &mut self.summary;
        summary.seeds += 1;
        summary.simulated = summary.simulated + outcome.simulated;
        summary.slices += outcome.slices;
        summary.finals += outcome.finals;
        summary.transactions += outcome.transactions;
        summary.accused += outcome.accused;
        summary.conflicts += u64::from(outcome.conflict);
        summary.overruns += u64::from(outcome.overrun);
        summary.changes += outcome.changes;
        for line in &outcome.lines {
            writeln!(out, "{line}")?;
        }
        let Some(failure) = outcome.failure else { return Ok(()) };
        summary.failed.push(seed);
        writeln!(out, "seed {seed} failed: {failure}")?;
        if self.minimised < MINIMISED_MAX {
            self.minimised += 1;
            let drawn = Plan::draw(seed, self.nodes).with_whole_cards(self.whole_cards);
            let all = drawn.schedule.faults.len();
            let least = minimise(&drawn.schedule, failure.checker, |schedule| {
                let plan = Plan { schedule: schedule.clone(), ..drawn.clone() };
                run_one(plan, false).failure.map(|failure| failure.checker)
            });
            writeln!(out, "of its {all} faults, with these it still fails:")?;
            write!(out, "{least}")?;
        }
        writeln!(out, "{}", replay_command(seed, self.nodes, self.whole_cards))
    }

    fn summary(mut self, took: std::time::Duration) -> Summary {
        self.summary.trace = Hash(*self.hasher.finalize().as_bytes());
        self.summary.took = Duration::from_nanos(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.summary
    }
}

#[allow(clippy::disallowed_methods, reason = "how many virtual seconds pass in a real one")]
fn now() -> RealInstant {
    RealInstant::now()
}
