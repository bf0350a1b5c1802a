//! A card of terminals on the runtime.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use hpb_base::Instant;
use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_node::diagnose::part_all;
use hpb_node::runtime::{Activity, Worker};
use hpb_node::workers::{DigestSent, Publisher, Readout};
use hpb_toe::stats::LaneCounters;
use hpb_toe::{EventBatch, Lane};
use hpb_types::Hash;

use crate::terminals::{Progress, Terminals};

/// Handshake steps in one turn; each takes some 150 microseconds of CPU.
const JOBS_PER_TURN: usize = 2;

/// Bursts each way in one turn, while there is something to move.
const BURSTS_PER_TURN: usize = 3;

/// What the run tells a card.
pub(super) enum Order {
    /// Submit from the first to the second instant.
    Begin(Instant, Instant),
}

/// What a card shows while it runs.
#[derive(Clone, Default)]
pub(super) struct CardReadout {
    pub(super) progress: Progress,
    pub(super) confirmed_p50_us: u64,
    pub(super) final_p50_us: u64,
    pub(super) has_submitted: bool,
}

/// What is left of a card after its end.
pub(super) struct Finished {
    pub(super) terminals: Terminals,
    pub(super) counters: LaneCounters,
}

pub(super) struct CardWorker {
    lane: Lane,
    port: Box<dyn Port>,
    announced: bool,
    bursts: Bursts,
    events: EventBatch,
    terminals: Option<Terminals>,
    orders: Receiver<Order>,
    digests: Receiver<DigestSent>,
    told: SyncSender<Vec<Hash>>,
    untold: VecDeque<Vec<Hash>>,
    publisher: Publisher<CardReadout>,
    finished: SyncSender<Finished>,
}

pub(super) struct CardEnds {
    pub(super) orders: Receiver<Order>,
    pub(super) digests: Receiver<DigestSent>,
    pub(super) told: SyncSender<Vec<Hash>>,
    pub(super) publisher: Publisher<CardReadout>,
    pub(super) finished: SyncSender<Finished>,
}

impl CardWorker {
    pub(super) fn new(
        lane: Lane,
        (port, announced): (Box<dyn Port>, bool),
        frames_max: usize,
        terminals: Terminals,
        ends: CardEnds,
    ) -> Self {
        let CardEnds { orders, digests, told, publisher, finished } = ends;
        Self {
            lane,
            port,
            announced,
            bursts: Bursts::new(frames_max),
            events: EventBatch::default(),
            terminals: Some(terminals),
            orders,
            digests,
            told,
            untold: VecDeque::new(),
            publisher,
            finished,
        }
    }

    /// Passes on what was told final; what finds no room waits.
    fn tell(&mut self) {
        let Some(terminals) = &mut self.terminals else { return };
        let mut told = Vec::new();
        terminals.take_told_final(&mut told);
        if !told.is_empty() {
            self.untold.push_back(told);
        }
        while let Some(batch) = self.untold.pop_front() {
            if let Err(TrySendError::Full(batch)) = self.told.try_send(batch) {
                return self.untold.push_front(batch);
            }
        }
    }

    fn show(&mut self, now: Instant) {
        if let Some(terminals) = &self.terminals {
            self.publisher.offer(now, || {
                let level = |level| terminals.measurements().level(level).quantile_us(0.5);
                CardReadout {
                    progress: terminals.progress(),
                    confirmed_p50_us: level(crate::report::Level::ConfirmedK),
                    final_p50_us: level(crate::report::Level::Final),
                    has_submitted: terminals.has_submitted(),
                }
            });
        }
    }
}

impl Worker for CardWorker {
    fn turn(&mut self, now: Instant) -> Activity {
        let Some(terminals) = &mut self.terminals else { return Activity::Idle };
        while let Ok(Order::Begin(at, until)) = self.orders.try_recv() {
            terminals.begin(at, until);
        }
        while let Ok(DigestSent { digest, at }) = self.digests.try_recv() {
            terminals.digest_sent(digest, at);
        }
        let mut busy = false;
        for _ in 0..JOBS_PER_TURN {
            let Some(job) = self.lane.take_job() else { break };
            busy = true;
            self.lane.finish_job(now, job.run());
        }
        for _ in 0..BURSTS_PER_TURN {
            let mut moved = self.port.rx_burst(now, &mut self.bursts) > 0;
            moved |= self.lane.receive(now, &mut self.bursts);
            self.lane.take_events(&mut self.events);
            moved |= !self.events.is_empty();
            for event in self.events.iter() {
                terminals.event(now, event);
            }
            moved |= terminals.poll(now, &mut self.lane);
            moved |= self.lane.transmit(now, &mut self.bursts);
            moved |= self.port.tx_burst(now, &mut self.bursts) > 0;
            busy |= moved | !self.bursts.tx.is_empty();
            if !moved {
                break;
            }
        }
        self.tell();
        self.show(now);
        if busy { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        let terminals = self.terminals.as_ref().and_then(Terminals::wake_at);
        [self.lane.wake_at(), self.port.wake_at(), terminals].into_iter().flatten().min()
    }

    fn descriptors(&self) -> &[RawFd] {
        self.port.descriptors()
    }

    fn has_silent_port(&self) -> bool {
        !self.announced && self.port.descriptors().is_empty()
    }

    fn part(&mut self, now: Instant) -> Option<Activity> {
        let Self { lane, port, bursts, events, .. } = self;
        part_all(now, lane);
        let mut moved = port.rx_burst(now, bursts) > 0;
        moved |= lane.receive(now, bursts);
        // The terminals have measured what they had to.
        lane.take_events(events);
        moved |= lane.transmit(now, bursts);
        moved |= port.tx_burst(now, bursts) > 0;
        let is_over = lane.has_left() && bursts.tx.is_empty();
        (!is_over).then_some(if moved { Activity::Busy } else { Activity::Idle })
    }

    fn finish(&mut self, _now: Instant) {
        self.tell();
        if let Some(terminals) = self.terminals.take() {
            // There is room for one, and nobody else sends.
            let _ = self.finished.try_send(Finished { terminals, counters: *self.lane.counters() });
        }
    }
}

/// Reads what a card shows.
pub(super) type CardView = Readout<CardReadout>;
