//! One direction between two machines: whether there is a session, how long messages take, and what becomes of them.
//!
//! In good times it keeps what a session promises: every message, in order. What breaks the promise is harsher than a
//! session over TCP can be, where a loss is a delay; the chain must live with it all the same.

use std::fmt;
use std::sync::Arc;

use hpb_base::{Duration, Instant, Random};
use hpb_net::wire::{Jitter, LinkConfig};

/// What a link does to messages beside its own delay. Shares are in parts per million of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weather {
    /// What every message takes longer.
    pub delay: Duration,
    /// Up to this much more.
    pub jitter: Duration,
    /// Messages lost.
    pub loss_ppm: u32,
    /// Messages that later ones pass.
    pub reorder_ppm: u32,
    /// Messages that arrive twice.
    pub duplicate_ppm: u32,
    /// Messages with one byte changed.
    pub corrupt_ppm: u32,
}

/// What stops a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stop {
    /// What is sent waits.
    Hold,
    /// What is sent is lost, and there is no session.
    Break,
}

/// One direction.
#[derive(Debug)]
pub struct Link {
    /// Whether the sender has a session with the receiver.
    pub open: bool,
    /// Whether the sender has it among its validators.
    pub joined: bool,
    /// Which session it is, of those that the two had.
    pub generation: u32,
    /// What stops it.
    pub stop: Option<Stop>,
    /// What it does to messages.
    pub weather: Weather,
    base: Duration,
    /// The most that it adds to its own delay in good times.
    calm_jitter: Duration,
    last_due_at: Instant,
    held: Vec<Arc<[u8]>>,
    random: Random,
}

/// The most that a link adds to its own delay in good times, unless it was made otherwise.
pub const CALM_JITTER: Duration = Duration::from_millis(2);
/// How long a message that others pass is held back, at most.
const REORDER: Duration = Duration::from_millis(60);

impl Link {
    /// A closed link whose messages take `base` and up to `calm_jitter` more; what becomes of them follows from `random`.
    pub fn new(base: Duration, calm_jitter: Duration, random: Random) -> Self {
        Self {
            open: false,
            joined: false,
            generation: 0,
            stop: None,
            weather: Weather::default(),
            base,
            calm_jitter,
            last_due_at: Instant::ZERO,
            held: Vec::new(),
            random,
        }
    }

    /// Takes a message; `deliver` is told when it arrives, and as what.
    pub fn send(&mut self, now: Instant, message: &Arc<[u8]>, deliver: &mut dyn FnMut(Instant, Arc<[u8]>)) {
        match self.stop {
            Some(Stop::Hold) => return self.held.push(Arc::clone(message)),
            Some(Stop::Break) => return,
            None => {}
        }
        let Weather { delay, jitter, loss_ppm, reorder_ppm, duplicate_ppm, corrupt_ppm } = self.weather;
        if self.random.chance(loss_ppm) {
            return;
        }
        let spread = (self.calm_jitter + jitter).as_nanos();
        let spread = if spread == 0 { 0 } else { self.random.below(spread) };
        let mut at = now + self.base + delay + Duration::from_nanos(spread);
        if self.random.chance(reorder_ppm) {
            at += Duration::from_nanos(self.random.below(REORDER.as_nanos()));
        } else {
            at = at.max(self.last_due_at);
            self.last_due_at = at;
        }
        if self.random.chance(duplicate_ppm) {
            deliver(at + Duration::from_nanos(self.random.below(REORDER.as_nanos())), Arc::clone(message));
        }
        if self.random.chance(corrupt_ppm) && !message.is_empty() {
            let mut bytes = message.to_vec();
            let place = self.random.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 + self.random.below(255) as u8;
            return deliver(at, bytes.into());
        }
        deliver(at, Arc::clone(message));
    }

    /// The same as a direction of a wire, whose frames are what is late, lost, out of order, doubled, damaged. A stop loses
    /// them: the cards send them again, and break what stays unanswered too long.
    pub fn wire(&self) -> LinkConfig {
        let Weather { delay, jitter, loss_ppm, reorder_ppm, duplicate_ppm, corrupt_ppm } = self.weather;
        LinkConfig {
            delay: self.base + delay,
            jitter: Jitter::Uniform(CALM_JITTER + jitter),
            loss_ppm,
            reorder_ppm,
            reorder_delay: REORDER,
            duplicate_ppm,
            corrupt_ppm,
            cut: self.stop.is_some(),
            ..LinkConfig::default()
        }
    }

    /// What waited for the link to open again, in order.
    pub fn release(&mut self) -> Vec<Arc<[u8]>> {
        std::mem::take(&mut self.held)
    }

    /// The session is gone, with all that waited.
    pub fn close(&mut self) {
        self.open = false;
        self.joined = false;
        self.held.clear();
    }
}

impl Weather {
    /// The worse of both, in each respect.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            delay: self.delay.max(other.delay),
            jitter: self.jitter.max(other.jitter),
            loss_ppm: self.loss_ppm.max(other.loss_ppm),
            reorder_ppm: self.reorder_ppm.max(other.reorder_ppm),
            duplicate_ppm: self.duplicate_ppm.max(other.duplicate_ppm),
            corrupt_ppm: self.corrupt_ppm.max(other.corrupt_ppm),
        }
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delay, jitter, loss_ppm, reorder_ppm, duplicate_ppm, corrupt_ppm } = self;
        write!(
            f,
            "delay {delay:?}, jitter {jitter:?}, loss {loss_ppm}, reorder {reorder_ppm}, duplicate {duplicate_ppm}, \
             corrupt {corrupt_ppm} ppm"
        )
    }
}
