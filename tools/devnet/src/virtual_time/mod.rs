//! A devnet on virtual time: the same machines as on a host, in one thread, from one seed. The smallest driver there
//! can be: a clock that jumps, a wire, a seed. The same seed gives the same trace on every machine.

mod trace;
mod validator;

use hpb_base::{Duration, Instant, UnixMillis};
use hpb_ledger::chainlog::LogError;
use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_net::wire::{WireError, WirePort};
use hpb_node::core::RecoverError;
use hpb_toe::{EventBatch, Lane, LaneError};
use hpb_types::Hash;

use crate::plan::Plan;
use crate::terminals::Terminals;
use trace::Trace;
pub use validator::Validator;

/// Frames that each card may own.
const FRAMES: usize = 8_192;
/// Virtual time starts here: engines take zero for "at once".
const START: Instant = Instant::from_millis(1_000);
/// The wall clock at virtual time zero: 2027-01-15 08:00 UTC. Any would do.
pub const WALL_AT_ZERO: UnixMillis = UnixMillis(1_800_000_000_000);
/// How long the wire takes, one way.
const WIRE_DELAY: Duration = Duration::from_micros(50);

/// Why a virtual devnet does not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum VirtualError {
    /// The wire.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A lane.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// A ledger or log.
    #[error(transparent)]
    Recover(Box<RecoverError>),
    /// The log in memory.
    #[error(transparent)]
    Log(Box<LogError>),
    /// A validator stopped itself.
    #[error("validator {index} stops: {reason}")]
    Stopped {
        /// Which.
        index: usize,
        /// Why.
        reason: String,
    },
    /// The machines do not come to rest within one instant: a bug.
    #[error("the machines do not come to rest at {0:?}")]
    Restless(Instant),
}

impl From<RecoverError> for VirtualError {
    fn from(error: RecoverError) -> Self {
        Self::Recover(Box::new(error))
    }
}

impl From<LogError> for VirtualError {
    fn from(error: LogError) -> Self {
        Self::Log(Box::new(error))
    }
}

/// A card of terminals on virtual time.
pub struct Card {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
    events: EventBatch,
    /// What plays the terminals.
    pub terminals: Terminals,
}

/// All machines of a devnet.
pub struct VirtualDevnet {
    /// The validators, by number.
    pub validators: Vec<Validator>,
    /// The cards of terminals.
    pub cards: Vec<Card>,
    now: Instant,
    trace: Trace,
}

impl VirtualDevnet {
    /// Sets everything up at its start; `terminals` plays the terminals of each card.
    ///
    /// # Errors
    /// What can't be set up.
    pub fn new(plan: &Plan, terminals: Vec<Terminals>) -> Result<Self, VirtualError> {
        let mut ports = plan.wire(WIRE_DELAY).build()?.into_iter();
        let mut validators = Vec::new();
        for (index, port) in ports.by_ref().take(plan.validators.len()).enumerate() {
            validators.push(Validator::new(plan, index, port, START)?);
        }
        let mut cards = Vec::new();
        for ((index, port), terminals) in ports.enumerate().zip(terminals) {
            let lane = Lane::new(plan.card_lane(index), port.capabilities(), START)?;
            cards.push(Card { lane, port, bursts: Bursts::new(FRAMES), events: EventBatch::default(), terminals });
        }
        Ok(Self { validators, cards, now: START, trace: Trace::new() })
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Runs until `until`, or until `done` says so between two instants.
    ///
    /// # Errors
    /// A validator that stops itself.
    pub fn run(&mut self, until: Instant, mut done: impl FnMut(&Self) -> bool) -> Result<(), VirtualError> {
        const TURNS_MAX: u32 = 1_000_000;
        loop {
            let mut turns = 0;
            while self.turn()? {
                turns += 1;
                if turns > TURNS_MAX {
                    return Err(VirtualError::Restless(self.now));
                }
            }
            if done(self) {
                return Ok(());
            }
            let validators = self.validators.iter().filter_map(Validator::wake_at);
            let cards = self.cards.iter().flat_map(|card| {
                [card.lane.wake_at(), card.port.wake_at(), card.terminals.wake_at()].into_iter().flatten()
            });
            match validators.chain(cards).min() {
                Some(at) if at <= until => self.now = at.max(self.now + Duration::from_nanos(1)),
                _ => {
                    self.now = until;
                    return Ok(());
                }
            }
        }
    }

    /// The hash over every frame, input and output so far.
    pub fn trace_hash(&self) -> Hash {
        self.trace.hash()
    }

    fn turn(&mut self) -> Result<bool, VirtualError> {
        let mut busy = false;
        for (index, validator) in self.validators.iter_mut().enumerate() {
            busy |= validator.turn(self.now, &mut self.trace)?;
            if index > 0 {
                validator.digests.clear();
            }
            if let Some(reason) = validator.stopped() {
                return Err(VirtualError::Stopped { index, reason: reason.to_owned() });
            }
        }
        let digests = std::mem::take(&mut self.validators[0].digests);
        for card in &mut self.cards {
            for (digest, at) in &digests {
                card.terminals.digest_sent(*digest, *at);
            }
            busy |= card.turn(self.now, &mut self.trace);
        }
        Ok(busy)
    }
}

impl Card {
    /// The card's lane.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    fn turn(&mut self, now: Instant, trace: &mut Trace) -> bool {
        let mut busy = self.port.rx_burst(now, &mut self.bursts) > 0;
        busy |= self.lane.receive(now, &mut self.bursts);
        self.lane.take_events(&mut self.events);
        busy |= !self.events.is_empty();
        for event in self.events.iter() {
            trace.event(now, &event);
            self.terminals.event(now, event);
        }
        busy |= self.terminals.poll(now, &mut self.lane);
        while let Some(job) = self.lane.take_job() {
            busy = true;
            self.lane.finish_job(now, job.run());
        }
        busy |= self.lane.transmit(now, &mut self.bursts);
        trace.frames(now, self.bursts.tx.iter());
        busy | (self.port.tx_burst(now, &mut self.bursts) > 0)
    }
}
