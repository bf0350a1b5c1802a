//! What one direction of a link does to its frames.
//!
//! By itself it joins other things than ports of the fabric: two devices, say, with a delay between them.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use hpb_base::limits::WIRE_DELAYED_MAX;
use hpb_base::{Duration, Instant, Random};

use super::burst_loss::{BurstLoss, Chain};
use super::jitter::Jitter;
use crate::frame::{Frame, FramePool};

/// The impairments of one direction. The default is a perfect link. Shares are in parts per million of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkConfig {
    /// The time that every frame takes.
    pub delay: Duration,
    /// What it takes beyond that. Frames stay in order but for `reorder_ppm`: none comes before an earlier one.
    pub jitter: Jitter,
    /// Frames lost, each by itself.
    pub loss_ppm: u32,
    /// Frames lost in bursts, beside those.
    pub burst_loss: Option<BurstLoss>,
    /// Frames held back by `reorder_delay`, so that later ones pass them.
    pub reorder_ppm: u32,
    /// How long a reordered frame is held back.
    pub reorder_delay: Duration,
    /// Frames that arrive twice.
    pub duplicate_ppm: u32,
    /// Frames with one bit turned.
    pub corrupt_ppm: u32,
    /// Bits a second; 0 is without limit.
    pub rate_bits_per_s: u64,
    /// Bytes that wait for the rate; more are lost. 0 is without limit (up to [`WIRE_DELAYED_MAX`] frames).
    pub queue_len_max: u64,
    /// Nothing passes: a partition.
    pub cut: bool,
}

/// What one direction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkCounters {
    /// Frames that arrived, copies included.
    pub delivered: u64,
    /// Frames lost by `loss_ppm`, `burst_loss` or `cut`.
    pub lost: u64,
    /// Frames lost because the queue was full.
    pub overflowed: u64,
    /// Frames held back.
    pub reordered: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Frames damaged.
    pub corrupted: u64,
}

/// What a direction did to a frame that came out of it: the time between the two is what the link applied, the rate's
/// queue included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Applied {
    /// When it was sent.
    pub sent_at: Instant,
    /// When it was due; whoever takes it later has added the rest.
    pub due_at: Instant,
}

/// What became of a frame that a direction was given.
pub enum Verdict {
    /// It comes out when it is due.
    Kept,
    /// It is lost.
    Dropped(Frame),
}

/// One direction: what it was given and is not due yet, at most [`WIRE_DELAYED_MAX`] frames.
pub struct Impairment {
    config: LinkConfig,
    random: Random,
    chain: Chain,
    delayed: BinaryHeap<Reverse<Delayed>>,
    sequence: u64,
    line_free_at: Instant,
    last_due_at: Instant,
    counters: LinkCounters,
}

struct Delayed {
    sent_at: Instant,
    due_at: Instant,
    sequence: u64,
    frame: Frame,
}

impl Impairment {
    /// A direction at rest. All that it draws comes from this stream of `seed`.
    pub fn new(config: LinkConfig, seed: u64, stream: u64) -> Self {
        Self {
            config,
            random: Random::stream(seed, stream),
            chain: Chain::new(seed, stream),
            delayed: BinaryHeap::new(),
            sequence: 0,
            line_free_at: Instant::ZERO,
            last_due_at: Instant::ZERO,
            counters: LinkCounters::default(),
        }
    }

    /// Changes what happens to the frames that are given from now on.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// What it did so far.
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// Whether no frame is held back.
    pub(super) fn is_idle(&self) -> bool {
        self.delayed.is_empty()
    }

    /// Whether the link is perfect.
    pub(super) fn is_clear(&self) -> bool {
        self.config == LinkConfig::default()
    }

    /// When the next frame comes out.
    pub fn due_at(&self) -> Option<Instant> {
        self.delayed.peek().map(|Reverse(delayed)| delayed.due_at)
    }

    /// Decides the fate of the next frame of this direction. The draws are the same in number and order for every
    /// frame, so that one setting does not shift the dice of another.
    pub fn admit(&mut self, sent_at: Instant, mut frame: Frame, pool: &mut FramePool) -> Verdict {
        let config = self.config;
        let lost = self.random.chance(config.loss_ppm) | self.chain.loses(config.burst_loss) | config.cut;
        let reordered = self.random.chance(config.reorder_ppm);
        let duplicated = self.random.chance(config.duplicate_ppm);
        let corrupted = self.random.chance(config.corrupt_ppm);
        let jitter = config.jitter.quantile(self.random.next_u64());
        if lost {
            self.counters.lost += 1;
            return Verdict::Dropped(frame);
        }
        let Some(passed_at) = self.pass_line(sent_at, frame.len()) else {
            self.counters.overflowed += 1;
            return Verdict::Dropped(frame);
        };
        if self.delayed.len() + 1 >= WIRE_DELAYED_MAX {
            self.counters.overflowed += 1;
            return Verdict::Dropped(frame);
        }
        if corrupted && !frame.is_empty() {
            let bit = self.random.below(frame.len() as u64 * 8) as usize;
            frame.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
            self.counters.corrupted += 1;
        }
        let in_order_at = (passed_at + config.delay + jitter).max(self.last_due_at);
        let due_at = if reordered {
            self.counters.reordered += 1;
            in_order_at + config.reorder_delay
        } else {
            self.last_due_at = in_order_at;
            in_order_at
        };
        if duplicated && let Some(mut copy) = pool.take() {
            copy.copy_from(frame.bytes());
            self.counters.duplicated += 1;
            self.hold(sent_at, due_at, copy);
        }
        self.hold(sent_at, due_at, frame);
        Verdict::Kept
    }

    /// The next frame that is due.
    pub fn take_due(&mut self, now: Instant) -> Option<Frame> {
        self.take_applied(now).map(|(_, frame)| frame)
    }

    /// The next frame that is due, and what was done to it.
    pub fn take_applied(&mut self, now: Instant) -> Option<(Applied, Frame)> {
        if self.due_at()? > now {
            return None;
        }
        let Reverse(Delayed { sent_at, due_at, frame, .. }) = self.delayed.pop()?;
        self.counters.delivered += 1;
        Some((Applied { sent_at, due_at }, frame))
    }

    /// When the last bit of a frame leaves a line of `rate_bits_per_s`; `None` if its queue is full.
    fn pass_line(&mut self, sent_at: Instant, len: usize) -> Option<Instant> {
        let rate = self.config.rate_bits_per_s;
        if rate == 0 {
            return Some(sent_at);
        }
        let start = self.line_free_at.max(sent_at);
        let waiting_ns = u128::from(start.since(sent_at).as_nanos());
        let waiting_len = waiting_ns * u128::from(rate) / 8_000_000_000;
        if self.config.queue_len_max > 0 && waiting_len > u128::from(self.config.queue_len_max) {
            return None;
        }
        let line_ns = (len as u128 * 8_000_000_000).div_ceil(u128::from(rate));
        self.line_free_at = start + Duration::from_nanos(u64::try_from(line_ns).unwrap_or(u64::MAX));
        Some(self.line_free_at)
    }

    fn hold(&mut self, sent_at: Instant, due_at: Instant, frame: Frame) {
        self.delayed.push(Reverse(Delayed { sent_at, due_at, sequence: self.sequence, frame }));
        self.sequence += 1;
    }
}

impl Delayed {
    fn key(&self) -> (Instant, u64) {
        (self.due_at, self.sequence)
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
