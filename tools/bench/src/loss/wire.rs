//! A wire of our own between two TAP interfaces, since not every kernel has one that loses frames (`tc netem`). A thread
//! carries each frame from one interface to the other after a delay, through a line of fixed rate with a bounded queue,
//! and loses some by dice of a fixed seed.
//!
//! The kernel hands TCP over in super-frames; they are cut before the dice are thrown, so that each loss is of a segment.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use hpb_base::limits::BURST_LEN_MAX;
use hpb_base::{Duration, Instant};
use hpb_host::sys::{self, wall_ns};
use hpb_net::frame::Bursts;
use hpb_net::wire::{Impairment, LinkConfig, Verdict};
use hpb_net::{Capabilities, Port, TapPort};
use hpb_sandbox::Host;

use super::Failed;

/// The interface of each end.
pub(super) const INTERFACE: &str = "wire0";
/// Bits a second each way.
pub(super) const RATE_BITS_PER_S: u64 = 100_000_000;
/// Bytes that wait for the line; more are dropped.
pub(super) const QUEUE_LEN_MAX: u64 = 256 << 10;
/// Ethernet's.
const MTU: usize = 1_500;
/// Where the dice start.
const SEED: u64 = 6_675;
/// Frames of each end: what the delay and the queue hold, and a burst each way.
const FRAMES: usize = 4_096;
/// A wire looks at its orders this often.
const LOOK_NS: u64 = 5_000_000;

/// What the wire did so far, both ways together.
#[derive(Default)]
struct Shared {
    loss_ppm: AtomicU32,
    lost: AtomicU64,
    overflowed: AtomicU64,
    stop: AtomicBool,
}

/// A wire that carries frames until it is cut.
pub(super) struct Wire {
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<()>>,
}

/// Frames lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Losses {
    /// By the dice.
    pub(super) lost: u64,
    /// Because the queue was full.
    pub(super) overflowed: u64,
}

struct End {
    port: TapPort,
    bursts: Bursts,
    /// What leads to this end.
    inward: Impairment,
}

impl Wire {
    /// Lays a wire between two hosts: an interface [`INTERFACE`] in each. Every frame takes `delay` to get across, and
    /// none is lost so far.
    pub(super) fn lay(hosts: [&Host; 2], delay: Duration) -> Result<Self, Failed> {
        let mut ends = Vec::new();
        for (stream, host) in hosts.into_iter().enumerate() {
            // Locally administered, and each end its own.
            let hardware = [2, 0, 0, 0, 0, stream as u8 + 1];
            let device = Capabilities { hardware, ..Capabilities::plain(MTU) };
            let mut ports = host.run(|| TapPort::open_twin(INTERFACE, &device))??;
            let port = ports.pop().ok_or_else(|| Failed::Other("a TAP interface without a queue".to_owned()))?;
            let inward = Impairment::new(line(delay, 0), SEED, stream as u64);
            ends.push(End { port, bursts: Bursts::new(FRAMES), inward });
        }
        let shared = Arc::new(Shared::default());
        let carried = Arc::clone(&shared);
        let thread = thread::Builder::new().name("wire".to_owned()).spawn(move || carry(&mut ends, delay, &carried))?;
        Ok(Self { shared, thread })
    }

    /// Loses this share of the frames from now on.
    pub(super) fn set_loss(&self, loss_ppm: u32) {
        self.shared.loss_ppm.store(loss_ppm, Ordering::Relaxed);
    }

    /// What was lost so far.
    pub(super) fn losses(&self) -> Losses {
        Losses {
            lost: self.shared.lost.load(Ordering::Relaxed),
            overflowed: self.shared.overflowed.load(Ordering::Relaxed),
        }
    }

    /// Ends it.
    pub(super) fn cut(self) -> Result<(), Failed> {
        self.shared.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| Failed::Other("the wire panicked".to_owned()))??)
    }
}

impl Losses {
    /// What was lost since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self { lost: self.lost - earlier.lost, overflowed: self.overflowed - earlier.overflowed }
    }
}

fn line(delay: Duration, loss_ppm: u32) -> LinkConfig {
    LinkConfig {
        delay,
        loss_ppm,
        rate_bits_per_s: RATE_BITS_PER_S,
        queue_len_max: QUEUE_LEN_MAX,
        ..LinkConfig::default()
    }
}

fn carry(ends: &mut [End], delay: Duration, shared: &Shared) -> io::Result<()> {
    sys::wake_punctually();
    let descriptors: Vec<RawFd> = ends.iter().flat_map(|end| end.port.descriptors().to_vec()).collect();
    let mut loss_ppm = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let asked_ppm = shared.loss_ppm.load(Ordering::Relaxed);
        if asked_ppm != loss_ppm {
            loss_ppm = asked_ppm;
            for end in ends.iter_mut() {
                end.inward.set_config(line(delay, loss_ppm));
            }
        }
        let now = Instant::from_nanos(wall_ns());
        let mut moved = false;
        for from in 0..ends.len() {
            moved |= take(now, ends, from);
        }
        for end in ends.iter_mut() {
            moved |= end.deliver(now);
        }
        let sum = |count: fn(&Impairment) -> u64| ends.iter().map(|end| count(&end.inward)).sum();
        shared.lost.store(sum(|inward| inward.counters().lost), Ordering::Relaxed);
        shared.overflowed.store(sum(|inward| inward.counters().overflowed), Ordering::Relaxed);
        if !moved {
            let due_at = ends.iter().filter_map(|end| end.inward.due_at()).min();
            let wait_ns = due_at.map_or(LOOK_NS, |due_at| due_at.since(Instant::from_nanos(wall_ns())).as_nanos());
            sys::wait_readable(&descriptors, wait_ns.min(LOOK_NS))?;
        }
    }
    Ok(())
}

/// Takes what one end sends; whether there was anything.
fn take(now: Instant, ends: &mut [End], from: usize) -> bool {
    let count = ends[from].port.rx_burst(now, &mut ends[from].bursts);
    let to = ends.len() - 1 - from;
    for frame in std::mem::take(&mut ends[from].bursts.rx) {
        // The frame changes its pool, in exchange for another where there is one.
        if let Some(spare) = ends[to].bursts.pool.take_spare() {
            ends[from].bursts.pool.give(spare);
        } else {
            ends[from].bursts.pool.forget();
            ends[to].bursts.pool.adopt();
        }
        let end = &mut ends[to];
        if let Verdict::Dropped(frame) = end.inward.admit(now, frame, &mut end.bursts.pool) {
            end.bursts.pool.give(frame);
        }
    }
    count > 0
}

impl End {
    /// Hands over what is due; whether anything was.
    fn deliver(&mut self, now: Instant) -> bool {
        while self.bursts.tx.len() < BURST_LEN_MAX
            && let Some(frame) = self.inward.take_due(now)
        {
            self.bursts.tx.push_back(frame);
        }
        !self.bursts.tx.is_empty() && self.port.tx_burst(now, &mut self.bursts) > 0
    }
}
