//! A lane of the card on its executor: port, commands, events, handshake steps.
//!
//! It refuses to lose an event: while the chain's link is full, no new ones are taken from the lane, whose own bound
//! then closes the peers' windows. Commands are always taken, so that two full links can't wait for each other.
//!
//! Sessions of several lanes meet in one chain: outside of its lane a session's index carries the lane's number above
//! the bits that a lane's own table needs.

use std::os::fd::RawFd;

use hpb_base::limits::SESSIONS_MAX;
use hpb_base::{Duration, Instant};
use hpb_net::Port;
use hpb_net::frame::Bursts;
use hpb_net::port::PortCounters;
use hpb_toe::stats::LaneCounters;
use hpb_toe::{Command, CryptoJob, CryptoResult, Event, EventBatch, Group, Lane, SessionId};

use super::outlet::Outlet;
use super::pace::Pace;
use super::readout::Publisher;
use crate::core::Input;
use crate::diagnose::{LaneDesk, part_all};
use crate::runtime::{Activity, Receiver, Sender, Worker};

/// Commands of one turn: about 2 µs each where they seal a message.
const COMMANDS_PER_TURN: usize = 128;
/// Results of handshake steps of one turn: about 5 µs each.
const RESULTS_PER_TURN: usize = 32;
/// Bits of a session's index that its lane uses.
const LANE_SHIFT: u32 = SESSIONS_MAX.trailing_zeros();
/// Lanes whose sessions can be told apart.
const LANES_MAX: usize = (1 << (u32::BITS - LANE_SHIFT)) - 1;
/// The lane that sessions of programs of this host seem to be of: no card has so many.
pub(super) const LOCAL_LANE: usize = LANES_MAX;

/// The lane of a session, as the chain knows the session.
pub(super) fn lane_of(session: SessionId) -> usize {
    (session.index >> LANE_SHIFT) as usize
}

/// A lane's session as the chain knows it.
pub(super) fn outside(lane: usize, session: SessionId) -> SessionId {
    SessionId { index: session.index | (lane as u32) << LANE_SHIFT, ..session }
}

/// The chain's session as its lane knows it.
fn inside(session: SessionId) -> SessionId {
    SessionId { index: session.index & ((1 << LANE_SHIFT) - 1), ..session }
}

/// The chain's session as that lane knows it; `None` if it is another's.
pub(crate) fn inside_of(lane: usize, session: SessionId) -> Option<SessionId> {
    (session.index >> LANE_SHIFT == lane as u32).then(|| inside(session))
}

fn event_outside(lane: usize, event: Event<'_>) -> Event<'_> {
    let mut event = event;
    match &mut event {
        Event::Opened { session, .. } | Event::Message { session, .. } | Event::Closed { session, .. } => {
            *session = outside(lane, *session);
        }
    }
    event
}

fn command_inside(mut command: Command) -> Command {
    match &mut command {
        Command::Send { session, .. }
        | Command::Join { session, .. }
        | Command::Close { session }
        | Command::Part { session, .. } => *session = inside(*session),
        Command::Listen { .. }
        | Command::Serve { .. }
        | Command::Open(_)
        | Command::Broadcast { .. }
        | Command::SetRegister { .. } => {}
    }
    command
}

/// What a lane did so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LaneReadout {
    /// The card's counters.
    pub counters: LaneCounters,
    /// The port's counters.
    pub port: PortCounters,
    /// Sessions in the table, half-open ones included.
    pub sessions: usize,
    /// Terminals that digests go to.
    pub terminals: usize,
    /// Validators in the mesh.
    pub validators: usize,
    /// Handshake steps that wait or are out.
    pub jobs: usize,
    /// Frames that the lane's pool answers for.
    pub frames: usize,
    /// CPU time of one digest to all terminals; zero before the first.
    pub digest_cpu: Duration,
    /// How far digests must be apart for this lane's sake.
    pub digest_interval: Duration,
}

/// The links of one lane.
pub struct LaneLinks {
    /// Its number in its node.
    pub number: usize,
    /// From the chain.
    pub commands: Receiver<Command>,
    /// To the chain.
    pub inputs: Sender<Input>,
    /// To each of its verifiers and back; at least one.
    pub verifiers: Vec<(Sender<CryptoJob>, Receiver<CryptoResult>)>,
    /// Its side of the desk, where there is one.
    pub desk: Option<LaneDesk>,
}

/// The machine and device of one lane.
pub struct LaneSetup<P> {
    /// The lane, with its first commands given.
    pub lane: Lane,
    /// Its device.
    pub port: P,
    /// Between the two.
    pub bursts: Bursts,
    /// Whether something wakes this executor when the port has frames, so that a port without descriptors is not
    /// looked at all the time.
    pub announced: bool,
    /// The time between two slices: digests are never closer.
    pub slice_interval: Duration,
    /// The CPU time of the calling thread so far.
    pub thread_cpu: Box<dyn FnMut() -> Duration>,
}

/// Bursts each way in one turn, as long as there is something to move: below half a millisecond of CPU, so that what
/// else lives on the executor is not kept waiting, and enough that it does not keep the lane waiting.
const BURSTS_PER_TURN: usize = 3;

/// The worker. See the module.
pub struct LaneWorker<P> {
    setup: LaneSetup<P>,
    number: usize,
    commands: Receiver<Command>,
    inputs: Outlet<Input>,
    verifiers: Vec<(Sender<CryptoJob>, Receiver<CryptoResult>)>,
    next_verifier: usize,
    desk: Option<LaneDesk>,
    batch: EventBatch,
    pace: Pace,
    publisher: Publisher<LaneReadout>,
}

impl<P: Port> LaneWorker<P> {
    /// A worker that shows itself by `publisher`.
    pub fn new(setup: LaneSetup<P>, links: LaneLinks, publisher: Publisher<LaneReadout>) -> Self {
        let LaneLinks { number, commands, inputs, verifiers, desk } = links;
        assert!(number < LANES_MAX && !verifiers.is_empty(), "lane {number} of {LANES_MAX} without a verifier");
        let pace = Pace::new(setup.slice_interval);
        let (inputs, batch) = (Outlet::new(inputs), EventBatch::default());
        Self { setup, number, commands, inputs, verifiers, next_verifier: 0, desk, batch, pace, publisher }
    }

    /// Gives the lane what the chain asks for; how many there were, and how many messages to validators they make.
    fn take_commands(&mut self, now: Instant) -> (usize, u64) {
        let lane = &mut self.setup.lane;
        let (mut count, mut to_validators) = (0, 0);
        for command in self.commands.drain(COMMANDS_PER_TURN) {
            count += 1;
            match &command {
                Command::Broadcast { group: Group::Terminals, .. } => self.pace.begin(lane.members(Group::Terminals)),
                Command::Broadcast { group: Group::Validators, .. } => {
                    to_validators += lane.members(Group::Validators) as u64;
                }
                _ => {}
            }
            lane.handle(now, command_inside(command));
        }
        (count, to_validators)
    }

    fn take_results(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for (_, results) in &mut self.verifiers {
            for result in results.drain(RESULTS_PER_TURN) {
                busy = true;
                self.setup.lane.finish_job(now, result);
            }
        }
        busy
    }

    /// Hands the lane's steps to its verifiers in turn. A lane has no more of them out than one link holds, so there
    /// is always room.
    fn hand_out_jobs(&mut self) -> bool {
        let mut busy = false;
        let count = self.verifiers.len();
        for _ in 0..count {
            let (jobs, _) = &mut self.verifiers[self.next_verifier % count];
            self.next_verifier = (self.next_verifier + 1) % count;
            // Several verifiers share what there is.
            let share = jobs.room().min(if count == 1 { usize::MAX } else { RESULTS_PER_TURN });
            for _ in 0..share {
                let Some(job) = self.setup.lane.take_job() else { return busy };
                busy = true;
                if jobs.try_send(job).is_err() {
                    break;
                }
            }
        }
        busy
    }

    /// Passes the lane's events on. While some wait for room, no more are taken.
    fn pass_events(&mut self) -> bool {
        let mut busy = self.inputs.flush();
        if self.inputs.is_clear() {
            self.setup.lane.take_events(&mut self.batch);
            busy |= !self.batch.is_empty();
            let number = self.number;
            let inputs = self.batch.iter().filter_map(|event| Input::of(&event_outside(number, event)));
            self.inputs.put_all(inputs);
        }
        busy
    }

    /// Takes a turn that served a broadcast to the terminals into the measure.
    fn measure(&mut self, cpu_before: Duration, messages: u64) {
        let used = (self.setup.thread_cpu)().as_nanos().saturating_sub(cpu_before.as_nanos());
        let terminals = self.setup.lane.members(Group::Terminals);
        if let Some(interval) = self.pace.served(Duration::from_nanos(used), messages, terminals) {
            self.inputs.put(Input::DigestInterval(interval));
        }
    }

    fn readout(&self) -> LaneReadout {
        let lane = &self.setup.lane;
        LaneReadout {
            counters: *lane.counters(),
            port: self.setup.port.counters(),
            sessions: lane.sessions(),
            terminals: lane.members(Group::Terminals),
            validators: lane.members(Group::Validators),
            jobs: lane.jobs(),
            frames: self.setup.bursts.pool.owned(),
            digest_cpu: self.pace.digest_cpu().unwrap_or_default(),
            digest_interval: self.pace.interval(),
        }
    }
}

impl<P: Port> Worker for LaneWorker<P> {
    fn turn(&mut self, now: Instant) -> Activity {
        let (commands, to_validators) = self.take_commands(now);
        let cpu_before = self.pace.is_serving().then(|| (self.setup.thread_cpu)());
        let mut busy = commands > 0;
        busy |= self.take_results(now);
        if let Some(desk) = &mut self.desk {
            busy |= desk.serve(now, &mut self.setup.lane, &self.setup.port.counters());
        }
        let messages_before = self.setup.lane.counters().tx_messages;
        for _ in 0..BURSTS_PER_TURN {
            let LaneSetup { lane, port, bursts, .. } = &mut self.setup;
            let mut moved = port.rx_burst(now, bursts) > 0;
            moved |= lane.receive(now, bursts);
            moved |= self.pass_events();
            moved |= self.hand_out_jobs();
            let LaneSetup { lane, port, bursts, .. } = &mut self.setup;
            moved |= lane.transmit(now, bursts);
            moved |= port.tx_burst(now, bursts) > 0;
            // A port that is full wakes nobody.
            busy |= moved | !bursts.tx.is_empty();
            if !moved {
                break;
            }
        }
        let messages = self.setup.lane.counters().tx_messages - messages_before;
        if let Some(cpu_before) = cpu_before {
            self.measure(cpu_before, messages.saturating_sub(to_validators));
        }
        // What ended while sending.
        busy |= self.pass_events();
        if busy {
            self.publisher.touch();
        }
        if self.publisher.is_due(now) {
            let readout = self.readout();
            self.publisher.publish(now, readout);
        }
        if busy { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        let wishes = [self.setup.lane.wake_at(), self.setup.port.wake_at(), self.publisher.wake_at()];
        wishes.into_iter().flatten().min()
    }

    fn descriptors(&self) -> &[RawFd] {
        self.setup.port.descriptors()
    }

    fn has_silent_port(&self) -> bool {
        !self.setup.announced && self.setup.port.descriptors().is_empty()
    }

    fn part(&mut self, now: Instant) -> Option<Activity> {
        let LaneSetup { lane, port, bursts, .. } = &mut self.setup;
        part_all(now, lane);
        let mut moved = port.rx_burst(now, bursts) > 0;
        moved |= lane.receive(now, bursts);
        // Whoever would hear of it has had its last turn.
        lane.take_events(&mut self.batch);
        moved |= lane.transmit(now, bursts);
        moved |= port.tx_burst(now, bursts) > 0;
        let is_over = lane.has_left() && bursts.tx.is_empty();
        (!is_over).then_some(if moved { Activity::Busy } else { Activity::Idle })
    }

    fn finish(&mut self, _now: Instant) {
        let readout = self.readout();
        self.publisher.publish_last(readout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_several_lanes_are_told_apart() {
        let session = SessionId { index: SESSIONS_MAX as u32 - 1, generation: 7 };
        for lane in [0, 1, LANES_MAX - 1, LOCAL_LANE] {
            let known = outside(lane, session);
            assert_eq!((lane_of(known), inside(known)), (lane, session));
        }
        assert_ne!(outside(0, session), outside(1, session));
    }
}
