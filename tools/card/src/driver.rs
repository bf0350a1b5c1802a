//! One lane of a bare card on its executor: port, lane, load, and the links over which frames that came to the wrong lane
//! cross.

use std::os::fd::RawFd;
use std::sync::mpsc;

use hpb_base::{Duration, Instant};
use hpb_net::frame::Bursts;
use hpb_net::{Port, PortCounters};
use hpb_node::diagnose::{LaneDesk, part_all};
use hpb_node::runtime::{Activity, Clock, Receiver, Sender, Worker};
use hpb_node::workers::Publisher;
use hpb_toe::neighbor::NeighborCounters;
use hpb_toe::registers::Register;
use hpb_toe::stats::LaneCounters;
use hpb_toe::tape::TapedLane;
use hpb_toe::{Command, EventBatch, Lane, SessionRow, Stray};

use crate::load::{Load, Progress};

/// Bursts each way in one turn, while there is something to move.
const BURSTS_PER_TURN: usize = 4;
/// Rows of the session table that a readout holds.
const ROWS_SHOWN: usize = 256;

/// What a lane shows of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaneView {
    /// The card's counters.
    pub counters: LaneCounters,
    /// The port's.
    pub port: PortCounters,
    /// The link layer's.
    pub neighbor: NeighborCounters,
    /// Each mode register with its value and how often it acted.
    pub registers: Vec<(&'static str, u32, u64)>,
    /// Sessions in the table.
    pub sessions: usize,
    /// Closed sessions that are waited out.
    pub waiting_out: usize,
    /// Timers armed.
    pub timers: usize,
    /// Frames that the lane's pool answers for.
    pub frames: usize,
    /// Known neighbours.
    pub neighbors: usize,
    /// What became of its own sessions.
    pub progress: Progress,
    /// CPU time of its thread.
    pub cpu: Duration,
    /// The first rows of the session table.
    pub rows: Vec<SessionRow>,
    /// Strays that a full link lost.
    pub strays_lost: u64,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>,
}

/// A lane's links with the card's other lanes.
pub(crate) struct Siblings {
    /// To each lane; `None` in this lane's own place.
    pub(crate) to: Vec<Option<Sender<Stray>>>,
    /// From each other lane.
    pub(crate) from: Vec<Receiver<Stray>>,
    /// From whom to take first, so that none waits for ever.
    first: usize,
}

impl Siblings {
    pub(crate) fn new(to: Vec<Option<Sender<Stray>>>, from: Vec<Receiver<Stray>>) -> Self {
        Self { to, from, first: 0 }
    }

    /// Takes from the others what the lane has room for; whether there was anything.
    fn take_in(&mut self, now: Instant, lane: &mut Lane, bursts: &mut Bursts) -> bool {
        let count = self.from.len();
        let mut moved = false;
        for at in 0..count {
            let link = &mut self.from[(self.first + at) % count];
            while lane.stray_room() > 0
                && let Some(stray) = link.pop()
            {
                lane.take_in(now, stray, bursts);
                moved = true;
            }
        }
        self.first = (self.first + 1) % count.max(1);
        moved
    }

    /// Passes on what is another lane's; whether there was anything. A link that is full drops it and counts.
    fn pass_on(&mut self, lane: &mut Lane, bursts: &mut Bursts) -> bool {
        let mut moved = false;
        while let Some((to, stray)) = lane.take_stray(bursts) {
            if let Some(Some(link)) = self.to.get_mut(to) {
                let _ = link.try_send(stray);
            }
            moved = true;
        }
        moved
    }

    fn lost(&self) -> u64 {
        self.to.iter().flatten().map(|link| link.watch().read().dropped).sum()
    }
}

/// The lane, its port and what it does.
pub(crate) struct Driver {
    lane: TapedLane,
    port: Box<dyn Port>,
    bursts: Bursts,
    siblings: Siblings,
    events: EventBatch,
    load: Option<Load>,
    /// Whether the load's calls have been placed: that needs an address.
    called: bool,
    orders: mpsc::Receiver<(Register, u32)>,
    desk: Option<LaneDesk>,
    publisher: Publisher<LaneView>,
    /// What it was before it parted with its peers.
    last: Option<LaneView>,
    has_descriptors: bool,
}

impl Driver {
    pub(crate) fn new(
        lane: TapedLane,
        port: Box<dyn Port>,
        frames: usize,
        siblings: Siblings,
        load: Option<Load>,
        orders: mpsc::Receiver<(Register, u32)>,
        publisher: Publisher<LaneView>,
    ) -> Self {
        let has_descriptors = !port.descriptors().is_empty();
        Self {
            lane,
            port,
            bursts: Bursts::new(frames),
            siblings,
            events: EventBatch::default(),
            load,
            called: false,
            orders,
            desk: None,
            publisher,
            last: None,
            has_descriptors,
        }
    }

    /// Has it answer the questions of a desk.
    pub(crate) fn answering(mut self, desk: Option<LaneDesk>) -> Self {
        self.desk = desk;
        self
    }

    fn place_calls(&mut self, now: Instant) {
        let Some(load) = self.load.as_ref().filter(|_| !self.called) else { return };
        let local = self.lane.addresses().find(|address| address.is_ipv4() == load.is_ipv4());
        if let Some(local) = local {
            self.called = true;
            load.call(now, local, &mut self.lane);
        }
    }

    fn view(&self) -> LaneView {
        LaneView {
            counters: *self.lane.counters(),
            port: self.port.counters(),
            neighbor: *self.lane.link_counters(),
            registers: Register::ALL
                .map(|register| {
                    let (value, acted) = self.lane.register(register);
                    (register.name(), value, acted)
                })
                .to_vec(),
            sessions: self.lane.sessions(),
            waiting_out: self.lane.waiting_out(),
            timers: self.lane.timers(),
            frames: self.bursts.pool.owned(),
            neighbors: self.lane.neighbors(),
            progress: self.load.as_ref().map(Load::progress).unwrap_or_default(),
            cpu: Clock::thread_cpu(),
            rows: self.lane.table(0, ROWS_SHOWN).0,
            strays_lost: self.siblings.lost(),
            addresses: self.lane.addresses().collect(),
        }
    }
}

impl Worker for Driver {
    fn turn(&mut self, now: Instant) -> Activity {
        while let Ok((register, value)) = self.orders.try_recv() {
            self.lane.handle(now, Command::SetRegister { register, value });
            self.publisher.touch();
        }
        self.place_calls(now);
        let mut busy = self.desk.as_mut().is_some_and(|desk| desk.serve(now, &mut self.lane, &self.port.counters()));
        for _ in 0..BURSTS_PER_TURN {
            let mut moved = self.port.rx_burst(now, &mut self.bursts) > 0;
            if let Some(lane) = self.lane.untaped_mut() {
                moved |= self.siblings.take_in(now, lane, &mut self.bursts);
            }
            moved |= self.lane.receive(now, &mut self.bursts);
            self.lane.take_events(&mut self.events);
            if let Some(load) = &mut self.load {
                for event in self.events.iter() {
                    load.event(now, &event);
                }
                moved |= load.poll(now, &mut self.lane);
            }
            moved |= self.lane.transmit(now, &mut self.bursts);
            if let Some(lane) = self.lane.untaped_mut() {
                moved |= self.siblings.pass_on(lane, &mut self.bursts);
            }
            moved |= self.port.tx_burst(now, &mut self.bursts) > 0;
            busy |= moved | !self.bursts.tx.is_empty();
            if !moved {
                break;
            }
        }
        if busy {
            self.publisher.touch();
        }
        if self.publisher.is_due(now) {
            let view = self.view();
            self.publisher.publish(now, view);
        }
        if busy { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        let load = self.load.as_ref().and_then(Load::wake_at);
        [self.lane.wake_at(), self.port.wake_at(), load, self.publisher.wake_at()].into_iter().flatten().min()
    }

    fn descriptors(&self) -> &[RawFd] {
        self.port.descriptors()
    }

    fn has_silent_port(&self) -> bool {
        !self.has_descriptors
    }

    fn part(&mut self, now: Instant) -> Option<Activity> {
        if self.last.is_none() {
            self.last = Some(self.view());
        }
        part_all(now, &mut self.lane);
        let mut moved = self.port.rx_burst(now, &mut self.bursts) > 0;
        if let Some(lane) = self.lane.untaped_mut() {
            moved |= self.siblings.take_in(now, lane, &mut self.bursts);
        }
        moved |= self.lane.receive(now, &mut self.bursts);
        // The load has had its last turn.
        self.lane.take_events(&mut self.events);
        moved |= self.lane.transmit(now, &mut self.bursts);
        if let Some(lane) = self.lane.untaped_mut() {
            moved |= self.siblings.pass_on(lane, &mut self.bursts);
        }
        moved |= self.port.tx_burst(now, &mut self.bursts) > 0;
        let is_over = self.lane.has_left() && self.bursts.tx.is_empty();
        (!is_over).then_some(if moved { Activity::Busy } else { Activity::Idle })
    }

    fn finish(&mut self, _now: Instant) {
        self.lane.end_tape();
        let view = self.last.take().unwrap_or_else(|| self.view());
        self.publisher.last(view);
    }
}
