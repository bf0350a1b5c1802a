//! One node as the world holds it: a core with its verifier, log, store and clock, and what is left of it while it is
//! down.

use std::collections::VecDeque;
use std::sync::Arc;

use hpb_base::{Duration, Instant, Machine, Random};
use hpb_ledger::chainlog::{ChainLog, LogError, LogOptions};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_ledger::{FinalBatch, Ledger, Store};
use hpb_node::core::{Core, CoreConfig, Input, Output, Producer, RecoverError, Recovered, Reporter};
use hpb_types::{AccountName, Amount, SliceRef, Slot};

use crate::cast::{Cast, WALL_AT_ZERO};
use crate::clock::Clock;
use crate::disk::{SimFolder, SimStore};
use crate::faults::Loss;
use crate::paper::JUDGE;
use crate::signing::NodeVerify;

/// What a data sync takes.
pub const SYNC: Duration = Duration::from_micros(300);
/// What a commit of the store takes.
pub const COMMIT: Duration = Duration::from_millis(5);
/// How long final states gather before they are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// A node. See the module.
pub struct Node {
    /// Its number.
    pub number: usize,
    /// Its core; none while it is down.
    pub core: Option<Core<SimStore>>,
    /// Its verifier.
    pub verify: NodeVerify,
    /// Its log.
    pub log: Option<ChainLog>,
    /// Where the log lies.
    pub folder: SimFolder,
    /// Its store.
    pub store: SimStore,
    /// Its clock.
    pub clock: Clock,
    /// How often it was stopped: answers to an earlier life are not its own.
    pub life: u32,
    /// When its core wants to be polled, on the true clock.
    pub wake_at: Option<Instant>,
    /// What its verifier and disk take longer.
    pub slow: Duration,
    /// When its verifier has done all that it was given: it answers in order.
    judged_at: Instant,
    /// Batches on their way to the store.
    pub commits: VecDeque<FinalBatch>,
    /// The last slice that it told to be final.
    pub told: Option<SliceRef>,
    /// Whether its disk was damaged as no crash damages it.
    pub rotten: bool,
    /// What it loses when its next write is on its way.
    pub doom: Option<Loss>,
    /// Whether it was ever started.
    begun: bool,
}

/// Whose `slot` is, as far as a core knows: by the schedule of its epoch, or by the one in force while that is not known.
pub fn owner_of<S: Store>(core: &Core<S>, slot: Slot) -> AccountName {
    let schedules = core.engine().schedules();
    let schedule = schedules.get(schedules.epochs().of(slot)).unwrap_or_else(|| core.engine().in_force());
    schedule.producer_at(slot).name
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log.
    #[error(transparent)]
    Log(Box<LogError>),
    /// What log and store hold.
    #[error(transparent)]
    Recover(Box<RecoverError>),
}

impl From<LogError> for StartError {
    fn from(error: LogError) -> Self {
        Self::Log(Box::new(error))
    }
}

impl From<RecoverError> for StartError {
    fn from(error: RecoverError) -> Self {
        Self::Recover(Box::new(error))
    }
}

impl Node {
    /// A node that was never started.
    pub fn new(number: usize, cast: &Cast, clock: Clock) -> Self {
        Self {
            number,
            core: None,
            verify: cast.signing.verifier(&cast.genesis),
            log: None,
            folder: SimFolder::default(),
            store: SimStore::default(),
            clock,
            life: 0,
            wake_at: None,
            slow: Duration::ZERO,
            judged_at: Instant::ZERO,
            commits: VecDeque::new(),
            told: None,
            rotten: false,
            doom: None,
            begun: false,
        }
    }

    /// Starts it on what its disk holds. True if that was nothing, though it was started before: rot made its disk
    /// useless, and whoever runs it has moved the folder away, as the node's own words say.
    ///
    /// # Errors
    /// A disk that it refuses though no more happened to it than a crash.
    pub fn start(&mut self, cast: &Cast, now: Instant) -> Result<bool, StartError> {
        let forgotten = match self.try_start(cast, now) {
            Err(_) if self.rotten => {
                self.folder = SimFolder::default();
                self.store = SimStore::default();
                self.try_start(cast, now)?;
                true
            }
            other => {
                other?;
                false
            }
        };
        self.rotten = false;
        self.begun = true;
        Ok(forgotten)
    }

    fn try_start(&mut self, cast: &Cast, now: Instant) -> Result<(), StartError> {
        let part = &cast.nodes[self.number];
        let options = LogOptions { segment_len: cast.segment_len, ..LogOptions::new(cast.genesis.chain_id()) };
        let clock = || Box::new(|| Instant::ZERO);
        let mut folder: Box<SimFolder> = Box::new(self.folder.clone());
        let mut log = if ChainLog::exists(&mut *folder)? {
            ChainLog::open(folder, options, clock())?.0
        } else {
            let never = Watermark::never_confirmed(part.name, cast.genesis.genesis_slice());
            let watermark = if self.begun { WatermarkState::Unknown } else { WatermarkState::Known(never) };
            ChainLog::create(folder, options, [self.number as u8; 32], watermark, clock())?
        };
        self.folder.settle();
        let ledger = Ledger::open(&cast.genesis, self.store.clone())
            .map_err(RecoverError::from)?
            .with_judge(cast.signing.is_good());
        let recovered = Recovered::read_with(&cast.genesis, ledger, &mut log, Some(&part.name))?;
        let others = cast.nodes.iter().enumerate().filter(|(other, _)| *other != self.number);
        let config = CoreConfig {
            genesis: cast.genesis.clone(),
            producer: Some(Producer {
                name: part.name,
                signers: part.signers.to_vec(),
                beacons: part.beacons.to_vec(),
            }),
            reporter: Some(Reporter { name: part.name, signer: Arc::clone(&part.account), fee_limit: Amount::ONE }),
            validators: others.map(|(_, other)| other.identity).collect(),
            identity: None,
            onlookers: Vec::new(),
            wall_at_zero: self.clock.wall_at_zero(now, WALL_AT_ZERO),
            commit_every: COMMIT_EVERY,
            silent_when_idle: false,
        };
        // Its process is a new one: its verifier remembers nothing.
        self.verify = cast.signing.verifier(&cast.genesis);
        let local = self.clock.local(now);
        self.core = Some(Core::new(config, recovered, local));
        self.log = Some(log);
        self.wake_at = Some(now);
        Ok(())
    }

    /// Ends it at once.
    pub fn crash(&mut self, loss: Loss, random: &mut Random) {
        self.core = None;
        self.log = None;
        self.wake_at = None;
        self.judged_at = Instant::ZERO;
        self.life += 1;
        // A commit is whole or not there.
        while let Some(batch) = self.commits.pop_front() {
            if random.below(2) == 0 || self.store.commit(&batch).is_err() {
                self.commits.clear();
            }
        }
        self.folder.crash(loss != Loss::Kill, random);
        if loss == Loss::Rot {
            self.folder.rot(random);
            self.rotten = true;
        }
    }

    /// When its verifier answers what it is given now: no sooner than all before it.
    pub fn judge_at(&mut self, now: Instant) -> Instant {
        self.judged_at = self.judged_at.max(now + JUDGE + self.slow);
        self.judged_at
    }

    /// Gives the core an input.
    pub fn give(&mut self, now: Instant, input: Input) {
        if let Some(core) = &mut self.core {
            core.handle(self.clock.local(now), input);
            self.wake_at = Some(now);
        }
    }

    /// Lets the core say all that it has to say now.
    pub fn drain(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let Some(core) = &mut self.core else { return };
        let local = self.clock.local(now);
        while let Some(output) = core.poll(local) {
            outputs.push(output);
        }
        self.note_wake(now);
    }

    /// Notes when the core wants to be polled next, after a poll or a change of the clock.
    pub fn note_wake(&mut self, now: Instant) {
        let local = self.core.as_ref().and_then(Core::wake_at);
        self.wake_at = local.map(|local| self.clock.true_at(local).max(now));
    }
}
