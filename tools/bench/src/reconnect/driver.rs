//! The thread that drives the three lanes: turns, echoes by the clock, closes, and what is measured of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hdrhistogram::Histogram;
use hpb_base::{Instant, Random};
use hpb_host::sys;
use hpb_host::sys::cores;
use hpb_net::wire::WireBuilder;
use hpb_toe::stats::LaneCounters;
use hpb_toe::{Call, Class, CloseReason, Command, Event, EventBatch, Identity, Priority, SessionId};
use hpb_types::keys::Hash;
use hpb_types::units::ChainId;

use super::worker::Desk;
use super::{Figures, Options, Others, PATIENCE_NS, PhaseHistograms};
use crate::card::{End, now};
use crate::target::{StallGuard, TargetError};

/// The server's, that of the quiet sessions, that of the callers.
pub(super) const LANES: usize = 3;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const QUIET: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const CALLERS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));
const PORT: u16 = 30_303;
const CHAIN: ChainId = ChainId(Hash([0; 32]));
const KIND: u8 = 1;
const SERVER_SEED: u8 = 1;

/// Handshake results that a lane takes in one turn.
const RESULTS_A_TURN: usize = 16;
/// Echoes that the client begins in one turn.
const ECHOES_A_TURN: usize = 64;
/// Sessions that the client closes in one turn: all of them as fast as they go, in steps that leave the lanes their
/// turns.
const CLOSES_A_TURN: usize = 16;
/// Keys the times of the echoes.
const PHASES_SEED: u64 = 1;
/// Rounds of echoes before the first that is measured.
const WARM_UP_ROUNDS: u64 = 20;
/// How long the last echoes may take to come back.
const DRAIN_NS_MAX: u64 = 2_000_000_000;
/// The longest time that a histogram tells apart.
const TRACKED_NS_MAX: u64 = 60_000_000_000;

/// What is being measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Establish,
    Quiet,
    Storm,
}

/// A lane with the way to the worker.
struct Side {
    end: End,
    desk: Desk,
}

/// The sessions that stay.
struct Quiet {
    side: Side,
    sessions: Vec<Option<SessionId>>,
    opened: usize,
    lost: u64,
    body: Vec<u8>,
    interval_ns: u64,
    /// When in the interval each session says something, ascending.
    phases_ns: Vec<u64>,
    /// When the first interval began; `None` while no echo is sent.
    begin_ns: Option<u64>,
    /// Echoes meant to leave before this are of the warm-up; then those of the quiet phase begin.
    measured_from_ns: u64,
    /// Where those of the storm begin.
    storm_from_ns: u64,
    sent: u64,
    received: u64,
    refused: u64,
    alone: Histogram<u64>,
    storm: Histogram<u64>,
}

/// The sessions that come back.
struct Callers {
    side: Side,
    sessions: Vec<Option<SessionId>>,
    opened: usize,
    /// The next one to close in the storm.
    close_next: usize,
    /// Whether each was open again in the storm.
    back: Vec<bool>,
    back_count: usize,
    broken: u64,
    reopen: Histogram<u64>,
}

/// All three lanes.
pub(super) struct Driver<'a> {
    options: &'a Options,
    server: Side,
    quiet: Quiet,
    callers: Callers,
    events: EventBatch,
    stage: Stage,
    establish_turn_max_ns: u64,
    turns: [Histogram<u64>; 2],
    client_turns: [Histogram<u64>; 2],
    others: [Others; 2],
}

fn histogram() -> Result<Histogram<u64>, TargetError> {
    Histogram::new_with_bounds(1, TRACKED_NS_MAX, 3).map_err(|error| TargetError::Other(error.to_string()))
}

fn call(from: IpAddr, keep: bool, tag: usize) -> Command {
    Command::Open(Call {
        remote: SocketAddr::new(SERVER, PORT),
        local: SocketAddr::new(from, 0),
        class: Class::Uplink,
        responder: Some(Identity::new([SERVER_SEED; 32], CHAIN).public()),
        identity: None,
        tag: tag as u64,
        keep,
    })
}

impl Others {
    fn so_far() -> Result<Self, TargetError> {
        Ok(Self { preemptions: cores::preemptions()?, waited_ns: cores::waited_ns() })
    }

    fn since(self, earlier: Self) -> Self {
        let waited_ns = self.waited_ns.zip(earlier.waited_ns).map(|(now_ns, then_ns)| now_ns - then_ns);
        Self { preemptions: self.preemptions - earlier.preemptions, waited_ns }
    }
}

impl Side {
    /// Takes results of the worker, as many as one turn allows.
    fn take_results(&mut self, at: Instant) -> bool {
        for taken in 0..RESULTS_A_TURN {
            let Ok(result) = self.desk.results.pop() else { return taken > 0 };
            self.end.lane.finish_job(at, result);
        }
        true
    }

    /// Gives jobs to the worker as far as its ring has room.
    fn give_jobs(&mut self) {
        while !self.desk.jobs.is_full()
            && let Some(job) = self.end.lane.take_job()
        {
            // The ring has room: this thread alone fills it.
            let _ = self.desk.jobs.push(job);
        }
    }
}

impl<'a> Driver<'a> {
    /// Three lanes at rest, and the calls of all sessions.
    pub(super) fn new(options: &'a Options, desks: Vec<Desk>) -> Result<Self, TargetError> {
        let mut builder = WireBuilder::new(0);
        let addresses = [SERVER, QUIET, CALLERS];
        for address in addresses {
            builder.port(&[address]);
        }
        let ports = builder.build().map_err(|error| TargetError::Other(error.to_string()))?;
        let mut sides = Vec::with_capacity(LANES);
        for (seed, ((port, desk), address)) in (SERVER_SEED..).zip(ports.into_iter().zip(desks).zip(addresses)) {
            // A caller may be back before the server has forgotten its last session.
            sides.push(Side { end: End::new(address, port, seed, true, options.sessions * 2)?, desk });
        }
        let mut sides = sides.into_iter();
        let (Some(mut server), Some(quiet), Some(callers)) = (sides.next(), sides.next(), sides.next()) else {
            return Err(TargetError::Other("a lane is missing".to_owned()));
        };
        let listen = Command::Listen { port: PORT, class: Class::Terminal, encrypted: true };
        server.end.lane.handle(now(), listen);
        Ok(Self {
            options,
            server,
            quiet: Quiet::new(options, quiet)?,
            callers: Callers::new(options, callers)?,
            events: EventBatch::default(),
            stage: Stage::Establish,
            establish_turn_max_ns: 0,
            turns: [histogram()?, histogram()?],
            client_turns: [histogram()?, histogram()?],
            others: [Others::default(); 2],
        })
    }

    /// All phases, one after the other.
    pub(super) fn run(mut self, progress: &mut dyn FnMut(&str)) -> Result<Figures, TargetError> {
        progress("sessions come up");
        let begin_ns = sys::wall_ns();
        self.establish()?;
        let establish_ns = sys::wall_ns() - begin_ns;

        progress("the quiet sessions echo alone");
        let quiet_ns = self.options.quiet_phase.as_nanos();
        let quiet_from_ns = self.quiet.begin(sys::wall_ns());
        self.stage = Stage::Quiet;
        self.until_ns(quiet_from_ns)?;
        self.turns[0].reset();
        self.client_turns[0].reset();
        let others = Others::so_far()?;
        self.until_ns(quiet_from_ns + quiet_ns)?;
        self.others[0] = Others::so_far()?.since(others);

        progress("the others reconnect");
        let (before, others) = (self.totals(), Others::so_far()?);
        let storm_from_ns = self.quiet.storm_from(sys::wall_ns());
        self.stage = Stage::Storm;
        self.storm()?;
        let storm_ns = sys::wall_ns() - storm_from_ns;
        let after = self.totals();
        self.others[1] = Others::so_far()?.since(others);
        self.quiet.begin_ns = None;
        self.drain()?;
        Ok(self.figures(establish_ns, storm_ns, &before, &after))
    }

    fn establish(&mut self) -> Result<(), TargetError> {
        let (quiet, callers) = (self.options.quiet, self.options.callers());
        for tag in 0..quiet {
            self.quiet.side.end.lane.handle(now(), call(QUIET, false, tag));
        }
        for tag in 0..callers {
            self.callers.side.end.lane.handle(now(), call(CALLERS, true, tag));
        }
        let mut guard = StallGuard::default();
        // A client's end is open before the server has read its last handshake message.
        while self.quiet.opened < quiet || self.callers.opened < callers || self.served() < self.options.sessions as u64
        {
            guard.turn(self.turn())?;
            if self.quiet.lost > 0 {
                return Err(TargetError::Unexpected("a quiet session ended before the run began"));
            }
        }
        Ok(())
    }

    fn until_ns(&mut self, end_ns: u64) -> Result<(), TargetError> {
        let mut guard = StallGuard::default();
        while sys::wall_ns() < end_ns {
            guard.turn(self.turn())?;
        }
        Ok(())
    }

    /// Closes all callers and turns until each is back.
    fn storm(&mut self) -> Result<(), TargetError> {
        let (mut back, mut progress_ns) = (0, sys::wall_ns());
        let served = self.served() + self.options.callers() as u64;
        while self.callers.back_count < self.callers.back.len() || self.served() < served {
            self.callers.close();
            self.turn();
            if self.callers.back_count > back {
                (back, progress_ns) = (self.callers.back_count, sys::wall_ns());
            } else if sys::wall_ns() - progress_ns > PATIENCE_NS {
                return Err(TargetError::Stalled);
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), TargetError> {
        let end_ns = sys::wall_ns() + DRAIN_NS_MAX;
        let mut guard = StallGuard::default();
        while self.quiet.received < self.quiet.sent && sys::wall_ns() < end_ns {
            guard.turn(self.turn())?;
        }
        Ok(())
    }

    /// One turn of each lane.
    fn turn(&mut self) -> bool {
        let begin_ns = sys::thread_cpu_ns();
        let mut busy = self.quiet.turn(&mut self.events);
        let quiet_ns = sys::thread_cpu_ns();
        let served = self.server_turn();
        let server_ns = sys::thread_cpu_ns();
        let called = self.callers.turn(&mut self.events);
        let callers_ns = sys::thread_cpu_ns();
        if served {
            self.note_turn(server_ns - quiet_ns);
        }
        if self.stage != Stage::Establish && (busy || called) {
            let longest_ns = (quiet_ns - begin_ns).max(callers_ns - server_ns);
            self.client_turns[usize::from(self.stage == Stage::Storm)].saturating_record(longest_ns);
        }
        busy |= served | called;
        busy
    }

    fn note_turn(&mut self, held_ns: u64) {
        match self.stage {
            Stage::Establish => self.establish_turn_max_ns = self.establish_turn_max_ns.max(held_ns),
            Stage::Quiet => self.turns[0].saturating_record(held_ns),
            Stage::Storm => self.turns[1].saturating_record(held_ns),
        }
    }

    /// Sessions that the server has opened so far.
    fn served(&self) -> u64 {
        self.server.end.lane.counters().opened
    }

    /// The server's turn: results, frames, echoes, jobs, sends.
    fn server_turn(&mut self) -> bool {
        let at = now();
        let side = &mut self.server;
        let mut busy = side.take_results(at);
        busy |= side.end.receive(at);
        side.end.lane.take_events(&mut self.events);
        for event in self.events.iter() {
            if let Event::Message { session, kind, body, .. } = event {
                // A session that ended meanwhile shows at its client.
                let _ = side.end.lane.send(session, Priority::Normal, kind, body);
            }
        }
        side.give_jobs();
        busy |= side.end.transmit(at);
        busy
    }

    /// Counters of the server's lane and of all three together.
    fn totals(&self) -> (LaneCounters, u64, u64) {
        let server = *self.server.end.lane.counters();
        let lanes = [&server, self.quiet.side.end.lane.counters(), self.callers.side.end.lane.counters()];
        let operations = lanes.iter().map(|counters| counters.diffie_hellmans).sum();
        let repeats = lanes.iter().map(|counters| counters.retransmitted).sum();
        (server, operations, repeats)
    }

    fn figures(
        self,
        establish_ns: u64,
        storm_ns: u64,
        before: &(LaneCounters, u64, u64),
        after: &(LaneCounters, u64, u64),
    ) -> Figures {
        let retransmitted = self.totals().2;
        let [quiet_turns, storm_turns] = self.turns;
        let [quiet_client_turns, storm_client_turns] = self.client_turns;
        Figures {
            establish_ns,
            storm_ns,
            quiet: PhaseHistograms {
                latency: self.quiet.alone,
                turns: quiet_turns,
                client_turns: quiet_client_turns,
                others: self.others[0],
            },
            storm: PhaseHistograms {
                latency: self.quiet.storm,
                turns: storm_turns,
                client_turns: storm_client_turns,
                others: self.others[1],
            },
            establish_turn_max_ns: self.establish_turn_max_ns,
            reopen: self.callers.reopen,
            reconnected: self.callers.back_count,
            handshakes: after.0.handshakes - before.0.handshakes,
            diffie_hellmans: after.1 - before.1,
            broken: self.callers.broken,
            quiet_lost: self.quiet.lost,
            unanswered: self.quiet.sent - self.quiet.received + self.quiet.refused,
            retransmitted,
        }
    }
}

impl Quiet {
    fn new(options: &Options, side: Side) -> Result<Self, TargetError> {
        let interval_ns = options.interval.as_nanos();
        let mut random = Random::new(PHASES_SEED);
        let mut phases_ns: Vec<u64> = (0..options.quiet).map(|_| random.below(interval_ns)).collect();
        phases_ns.sort_unstable();
        Ok(Self {
            side,
            sessions: vec![None; options.quiet],
            opened: 0,
            lost: 0,
            body: vec![7; options.message_len],
            interval_ns,
            phases_ns,
            begin_ns: None,
            measured_from_ns: u64::MAX,
            storm_from_ns: u64::MAX,
            sent: 0,
            received: 0,
            refused: 0,
            alone: histogram()?,
            storm: histogram()?,
        })
    }

    /// Echoes are sent from `now_ns` on; returns when the measured ones begin.
    fn begin(&mut self, now_ns: u64) -> u64 {
        self.begin_ns = Some(now_ns);
        self.measured_from_ns = now_ns + WARM_UP_ROUNDS * self.interval_ns;
        self.measured_from_ns
    }

    /// Echoes that are meant to leave from `now_ns` on are of the storm.
    fn storm_from(&mut self, now_ns: u64) -> u64 {
        self.storm_from_ns = now_ns;
        now_ns
    }

    fn turn(&mut self, events: &mut EventBatch) -> bool {
        let at = now();
        let mut busy = self.side.take_results(at);
        busy |= self.side.end.receive(at);
        self.side.end.lane.take_events(events);
        let seen_ns = sys::wall_ns();
        for event in events.iter() {
            match event {
                Event::Message { body, .. } => self.note(seen_ns, body),
                Event::Opened { session, tag, .. } => {
                    self.sessions[tag as usize] = Some(session);
                    self.opened += 1;
                }
                Event::Closed { .. } => self.lost += 1,
            }
        }
        self.say(seen_ns);
        self.side.give_jobs();
        busy |= self.side.end.transmit(at);
        busy
    }

    /// Sends the echoes that are due. Each session has its own moment of the interval, by chance: evenly spaced, all of
    /// them would stand in step with the lanes' timers, which tick once a millisecond, and meet them always or never.
    fn say(&mut self, now_ns: u64) {
        let Some(begin_ns) = self.begin_ns else { return };
        let count = self.sessions.len() as u64;
        for _ in 0..ECHOES_A_TURN {
            let phase_ns = self.phases_ns[(self.sent % count) as usize];
            let intended_ns = begin_ns + self.sent / count * self.interval_ns + phase_ns;
            if intended_ns > now_ns {
                return;
            }
            let session = self.sessions[(self.sent % count) as usize];
            self.body[..8].copy_from_slice(&intended_ns.to_le_bytes());
            self.sent += 1;
            let lane = &mut self.side.end.lane;
            let taken = session.is_some_and(|id| lane.send(id, Priority::Normal, KIND, &self.body).is_ok());
            if !taken {
                // It will not come back: neither wait for it nor forget it.
                self.refused += 1;
                self.received += 1;
            }
        }
    }

    fn note(&mut self, seen_ns: u64, body: &[u8]) {
        self.received += 1;
        let Some(Ok(intended)) = body.get(..8).map(<[u8; 8]>::try_from) else { return };
        let intended_ns = u64::from_le_bytes(intended);
        let latency_ns = seen_ns.saturating_sub(intended_ns);
        if intended_ns >= self.storm_from_ns {
            self.storm.saturating_record(latency_ns);
        } else if intended_ns >= self.measured_from_ns {
            self.alone.saturating_record(latency_ns);
        }
    }
}

impl Callers {
    fn new(options: &Options, side: Side) -> Result<Self, TargetError> {
        let count = options.callers();
        Ok(Self {
            side,
            sessions: vec![None; count],
            opened: 0,
            close_next: 0,
            back: vec![false; count],
            back_count: 0,
            broken: 0,
            reopen: histogram()?,
        })
    }

    /// Closes the next ones; each is closed once.
    fn close(&mut self) {
        for _ in 0..CLOSES_A_TURN {
            let Some(session) = self.sessions.get(self.close_next) else { return };
            self.close_next += 1;
            // One that is just coming back by itself, because it broke, counts when it is open again.
            if let Some(session) = *session {
                self.side.end.lane.handle(now(), Command::Close { session });
            }
        }
    }

    fn turn(&mut self, events: &mut EventBatch) -> bool {
        let at = now();
        let mut busy = self.side.take_results(at);
        busy |= self.side.end.receive(at);
        self.side.end.lane.take_events(events);
        for event in events.iter() {
            match event {
                Event::Opened { session, tag, took, .. } => self.opened(session, tag as usize, took.as_nanos()),
                Event::Closed { tag, reason, .. } => {
                    self.broken += u64::from(reason != CloseReason::Local);
                    self.sessions[tag as usize] = None;
                }
                Event::Message { .. } => {}
            }
        }
        self.side.give_jobs();
        busy |= self.side.end.transmit(at);
        busy
    }

    fn opened(&mut self, session: SessionId, index: usize, took_ns: u64) {
        self.sessions[index] = Some(session);
        self.opened += 1;
        // In the storm, those below `close_next` were closed.
        if index < self.close_next && !self.back[index] {
            self.back[index] = true;
            self.back_count += 1;
            self.reopen.saturating_record(took_ns);
        }
    }
}
