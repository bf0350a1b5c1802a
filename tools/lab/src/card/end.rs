//! One end of the sessions: a card's lane on its port of the wire, driven by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hpb_base::{Duration, Instant, Wake};
use hpb_net::frame::{Bursts, Frame};
use hpb_net::port::Port;
use hpb_net::wire::{Applied, WirePort};
use hpb_toe::{Command, Event, EventBatch, Lane, LaneConfig, LaneError};

use super::clock::Clock;
use crate::hops;

/// Frames that each end may own. They are made as they are needed.
const FRAMES: usize = 65_536;
/// How soon a burst is offered again that the wire had no room for.
const RETRY: Duration = Duration::from_micros(1);

/// What hears of an end's events: the lane, which may be spoken to at once, when it was, what it was, and how the frame
/// came that brought it, where that is noted.
pub(super) type Hear<'h> = dyn FnMut(&mut Lane, Instant, Event<'_>, Option<Carried>) + 'h;

/// How a frame came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Carried {
    /// What the wire did to it.
    pub(super) applied: Applied,
    /// When this end had it from the wire.
    pub(super) taken_at: Instant,
}

/// See the module.
pub(super) struct End {
    pub(super) lane: Lane,
    pub(super) port: WirePort,
    bursts: Bursts,
    /// Received frames that are given to the lane one by one.
    frames: Vec<Frame>,
    events: EventBatch,
    bell: Arc<Bell>,
    wake_at: Option<Instant>,
    /// Whether it is told what the wire did to each frame.
    notes: bool,
    /// Whether its events are taken; otherwise its lane reads until it is full, and then no more.
    reads: bool,
}

/// Rings when frames were sent to a port: they meet their fate there at once.
#[derive(Default)]
pub(super) struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl End {
    pub(super) fn new(
        config: LaneConfig,
        mut port: WirePort,
        bell: Arc<Bell>,
        (notes, sessions): (bool, u32),
        clock: &Clock,
    ) -> Result<Self, LaneError> {
        let now = clock.now();
        let mut lane = Lane::new(config, port.capabilities(), now)?;
        let stamped_by = clock.clone();
        lane.set_stamps(Some(hops::stamps(sessions, move || stamped_by.now())));
        if notes {
            port.note_applied();
        }
        let bursts = Bursts::new(FRAMES);
        let (frames, events) = (Vec::new(), EventBatch::default());
        Ok(Self { lane, port, bursts, frames, events, bell, wake_at: Some(now), notes, reads: true })
    }

    /// From now on its events are left where they are.
    pub(super) fn stop_reading(&mut self) {
        self.reads = false;
    }

    /// Gives the lane a command; it is looked at in this end's next turn.
    pub(super) fn command(&mut self, now: Instant, command: Command) {
        self.lane.handle(now, command);
        self.ring(now);
    }

    /// Its lane was spoken to: it has its turn now.
    pub(super) fn ring(&mut self, now: Instant) {
        self.wake_at = Some(now);
    }

    /// When it is to have its next turn; never before `now`.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        if self.bell.0.load(Ordering::Relaxed) { Some(now) } else { self.wake_at.map(|at| at.max(now)) }
    }

    /// One turn; returns whether it did anything.
    pub(super) fn turn(&mut self, clock: &Clock, hear: &mut Hear<'_>) -> bool {
        self.bell.0.store(false, Ordering::Relaxed);
        let now = clock.now();
        let mut busy = self.port.rx_burst(now, &mut self.bursts) > 0;
        if busy && let Some(stamps) = self.lane.stamps() {
            stamps.burst_taken();
        }
        if self.notes && busy {
            self.receive_each(clock, hear);
        } else {
            busy |= self.receive(clock, None, hear);
        }
        while let Some(job) = self.lane.take_job() {
            busy = true;
            let result = job.run();
            self.lane.finish_job(clock.now(), result);
        }
        busy |= self.lane.transmit(clock.now(), &mut self.bursts);
        let now = clock.now();
        busy |= self.port.tx_burst(now, &mut self.bursts) > 0;
        if self.bursts.tx.is_empty()
            && let Some(stamps) = self.lane.stamps()
        {
            stamps.burst_given();
        }
        self.wake_at = if !self.bursts.tx.is_empty() {
            Some(now + RETRY)
        } else if busy {
            Some(now)
        } else {
            // A lane that has nothing to do now may say "at once" of what it can do later.
            let rests_until = [self.lane.wake_at(), self.port.wake_at()].into_iter().flatten().min();
            rests_until.map(|at| at.max(now + Duration::from_nanos(1)))
        };
        busy && self.bursts.tx.is_empty()
    }

    /// Gives the lane one frame at a time, so that each event is known by the frame that brought it.
    fn receive_each(&mut self, clock: &Clock, hear: &mut Hear<'_>) {
        std::mem::swap(&mut self.frames, &mut self.bursts.rx);
        let mut frames = std::mem::take(&mut self.frames);
        let taken_at = clock.now();
        for (at, frame) in frames.drain(..).enumerate() {
            let carried = self.port.applied().get(at).map(|applied| Carried { applied: *applied, taken_at });
            self.bursts.rx.push(frame);
            self.receive(clock, carried, hear);
        }
        self.frames = frames;
    }

    fn receive(&mut self, clock: &Clock, carried: Option<Carried>, hear: &mut Hear<'_>) -> bool {
        let mut busy = self.lane.receive(clock.now(), &mut self.bursts);
        if self.reads {
            self.lane.take_events(&mut self.events);
            busy |= !self.events.is_empty();
            if busy {
                // When a program has them in its hands.
                let now = clock.now();
                for event in self.events.iter() {
                    hear(&mut self.lane, now, event, carried);
                }
            }
        }
        busy
    }
}
