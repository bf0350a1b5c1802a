//! The loop of one repeat: the same on virtual time, where it jumps to what happens next, and on this machine's clock,
//! where it spins.

use hpb_base::limits::LANE_EVENTS_MAX;
use hpb_base::{Duration, Instant};
use hpb_net::wire::LinkConfig;
use hpb_toe::Group;

use super::clock::Clock;
use super::messages::Stalls;
use super::traffic::Traffic;
use super::world::{World, slow_count};
use crate::hops::{LaneSums, Named};
use crate::load::Schedule;
use crate::noise::Looks;
use crate::record::{Cost, Hop, Repeat};
use crate::scenario::{Arrivals, Change, Fault, Pattern, Scenario};
use crate::target::{Stop, TargetError};

/// How long sessions may take to open: of this machine's time, and of virtual time.
const OPENING_MAX: Duration = Duration::from_secs(300);
/// Turns without a moment passing before the lanes count as running wild.
const TURNS_MAX: u64 = 100_000_000;
/// Steps between two looks whether to stop.
const STOP_EVERY: u32 = 256;
/// Messages a turn to each of those who read nothing, to fill their lane.
const FILL: usize = 64;
/// Time between two of those turns.
const FILL_EVERY: Duration = Duration::from_millis(1);
/// Streams of the seed.
const LOAD: u64 = 1;
const CHURN: u64 = 2;

/// One repeat under way.
struct Drive<'s> {
    scenario: &'s Scenario,
    clock: Clock,
    world: World,
    traffic: Traffic,
    turns: u64,
    stop: Stop<'s>,
    /// Steps since it was last asked.
    unasked: u32,
    /// Time of turns that did something: a thread that spins is never idle, and what it spins away is no cost.
    busy_ns: u64,
    /// At this machine's clock, while it measures.
    looks: Looks,
    stalls: Vec<Stalls>,
}

/// Whether links do anything of which a message could be told.
fn is_impaired(scenario: &Scenario) -> bool {
    let changed = scenario.changes.iter().flat_map(|change: &Change| [change.there, change.back]).flatten();
    [scenario.there, scenario.back].into_iter().chain(changed).any(|link| link != LinkConfig::default())
}

/// Runs one repeat by a clock; `run_began` is the run's origin, none for the repeat's own.
pub(super) fn run(
    scenario: &Scenario,
    encrypted: bool,
    number: u32,
    (clock, run_began): (Clock, Option<Instant>),
    stop: Stop<'_>,
) -> Result<Repeat, TargetError> {
    let seed = scenario.seed.wrapping_add(u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let notes = is_impaired(scenario) && scenario.load.pattern != Pattern::Reconnect;
    let now = clock.now();
    let world = World::new(scenario, encrypted, seed, notes, &clock)?;
    let slow: u32 = scenario.faults.iter().map(slow_count).sum();
    let counts = (scenario.sessions, scenario.sessions - slow);
    let traffic = Traffic::new(&scenario.load, counts, notes, world.cards.len(), now);
    let mut drive = Drive {
        scenario,
        clock,
        world,
        traffic,
        turns: 0,
        stop,
        unasked: 0,
        busy_ns: 0,
        looks: Looks::default(),
        stalls: Vec::new(),
    };
    drive.open()?;
    drive.fill_slow()?;
    drive.measure(seed, run_began.unwrap_or(now))
}

impl Drive<'_> {
    /// Opens all sessions over links that do nothing.
    fn open(&mut self) -> Result<(), TargetError> {
        let sessions = self.scenario.sessions;
        let began = self.clock.now();
        for session in 0..sessions {
            self.world.call(began, session);
        }
        let is_fan_out = self.scenario.load.pattern == Pattern::FanOut;
        loop {
            let now = self.clock.now();
            let joined = if is_fan_out { self.world.server.lane.members(Group::Terminals) } else { sessions as usize };
            if self.traffic.opened == sessions && joined == sessions as usize {
                return Ok(());
            }
            if now.since(began) > OPENING_MAX {
                let opened = self.traffic.opened;
                return Err(TargetError::Failed(format!("{opened} of {sessions} sessions opened in {OPENING_MAX:?}")));
            }
            self.traffic.redial(now, &mut self.world);
            if !self.step(None)? {
                let others = [self.traffic.redial_at(), Some(began + OPENING_MAX + FILL_EVERY)];
                self.pass(None, others.into_iter());
            }
        }
    }

    /// Those who read nothing: their lane takes what it has room for, and from then on it is closed.
    fn fill_slow(&mut self) -> Result<(), TargetError> {
        let Some(card) = self.world.slow_card() else { return Ok(()) };
        self.world.cards[card].stop_reading();
        let each_turn = FILL * self.traffic.slow.len().max(1);
        for _ in 0..=LANE_EVENTS_MAX.div_ceil(each_turn) {
            let now = self.clock.now();
            self.traffic.fill_slow(FILL, now, &mut self.world);
            self.until(now + FILL_EVERY)?;
        }
        Ok(())
    }

    fn until(&mut self, until: Instant) -> Result<(), TargetError> {
        while self.clock.now() < until {
            if !self.step(None)? {
                self.pass(None, [Some(until)].into_iter());
            }
        }
        Ok(())
    }

    /// Warms up, measures, waits for stragglers.
    fn measure(mut self, seed: u64, run_began: Instant) -> Result<Repeat, TargetError> {
        let Scenario { warm_up, duration, drain, load, sessions, .. } = self.scenario;
        let start = self.clock.now();
        let (begin, end) = (start + *warm_up, start + *warm_up + *duration);
        self.world.set_links(Some(&self.scenario.there), Some(&self.scenario.back));
        self.stalls = self.scenario.faults.iter().filter_map(|fault| stalls(fault, begin, end)).collect();
        let mut schedule = Schedule::new(load.arrivals, *sessions, start, end, seed, LOAD);
        let churns = self.scenario.faults.iter().filter_map(churn);
        let mut churns: Vec<Schedule> =
            churns.map(|arrivals| Schedule::new(arrivals, *sessions, start, end, seed, CHURN)).collect();
        let mut changes = self.scenario.changes.iter().map(|change| (begin + change.at, change)).peekable();
        self.traffic.measure(begin, *duration, start, &mut self.world);
        let (mut before, mut cpu_ns) = (None, None);
        loop {
            let now = self.clock.now();
            if !self.clock.is_virtual() {
                self.looks.look(now);
            }
            if before.is_none() && now >= begin {
                before = Some((self.world.losses(), self.busy_ns));
            }
            if cpu_ns.is_none() && now >= end {
                cpu_ns = Some(self.busy_ns);
            }
            // What was meant to leave before the end leaves, however late this thread comes to it.
            let is_over = now >= end && schedule.next_at().is_none() && self.traffic.is_settled();
            if is_over || now >= end + *drain {
                break;
            }
            while let Some((_, change)) = changes.next_if(|(at, _)| *at <= now) {
                self.world.set_links(change.there.as_ref(), change.back.as_ref());
            }
            let stalled_until = self.stalls.iter().find_map(|stalls| stalls.until(now));
            self.fire(&mut schedule, &mut churns, now, stalled_until);
            // This machine's clock is only spun on: what comes next need not be known.
            if self.step(stalled_until)? {
                continue;
            }
            if !self.clock.is_virtual() {
                self.clock.pass(now);
                continue;
            }
            let others = [
                self.held(schedule.next_at(), stalled_until),
                churns.iter().filter_map(Schedule::next_at).min(),
                changes.peek().map(|(at, _)| *at),
                self.traffic.redial_at(),
                stalled_until,
                self.stalls.iter().filter_map(|stalls| stalls.next_at(now)).min(),
                [begin, end, end + *drain].into_iter().find(|at| *at > now),
            ];
            self.pass(stalled_until, others.into_iter());
        }
        // What the drain left no time for was meant to leave all the same: it counts, and is lost.
        while let Some(due) = schedule.take_due(end) {
            self.traffic.fire(due, end, &mut self.world);
        }
        let ((lost_before, sent_again_before), cpu_before) = before.unwrap_or_default();
        let (lost, sent_again) = self.world.losses();
        let (hops, stamps, stamp_ns) = self.hops();
        let noise = (!self.clock.is_virtual()).then(|| std::mem::take(&mut self.looks).finish());
        let mut recorder = self.traffic.recorder;
        recorder.counts.frames_lost = lost - lost_before;
        recorder.counts.retransmitted = sent_again - sent_again_before;
        let excess = self.traffic.beyond.map(super::messages::Beyond::finish);
        let cost = Cost { cpu_ns: cpu_ns.unwrap_or_default().saturating_sub(cpu_before), stamp_ns, stamps };
        Ok(Repeat { hops, excess, cost, noise, ..recorder.finish(run_began) })
    }

    /// Where the time went, how many stamps that took, and what one costs.
    fn hops(&mut self) -> (Vec<Hop>, u64, u64) {
        let pattern = self.scenario.load.pattern;
        let mut sums = LaneSums::new(pattern == Pattern::RequestReply, None);
        let Some(mut at_server) = self.world.server.lane.set_stamps(None) else { return <_>::default() };
        let mut taken = at_server.readings();
        let (by_server, by_cards) = self.traffic.spans.split_at(1);
        for (card, spans) in self.world.cards.iter_mut().zip(by_cards) {
            let Some(at_card) = card.lane.set_stamps(None) else { continue };
            taken += at_card.readings();
            match pattern {
                Pattern::RequestReply => sums.take(&at_card, &at_server, Named::ByNear, spans),
                Pattern::FanOut => sums.take(&at_server, &at_card, Named::ByFar, spans),
                Pattern::OneWay | Pattern::Incast => sums.take(&at_card, &at_server, Named::ByFar, &by_server[0]),
                Pattern::Reconnect | Pattern::Confirm => {}
            }
        }
        (sums.finish(), taken, at_server.cost().as_nanos())
    }

    /// What is due leaves; what the server sends itself not while it stands still.
    fn fire(&mut self, schedule: &mut Schedule, churns: &mut [Schedule], now: Instant, stalled_until: Option<Instant>) {
        if self.held(Some(now), stalled_until) == Some(now) {
            while let Some(due) = schedule.take_due(now) {
                self.traffic.fire(due, now, &mut self.world);
            }
        }
        for churn in churns {
            while let Some(due) = churn.take_due(now) {
                self.traffic.reopen(due.session, None, now, &mut self.world);
            }
        }
        self.traffic.redial(now, &mut self.world);
    }

    /// When what is meant for `at` can leave.
    fn held(&self, at: Option<Instant>, stalled_until: Option<Instant>) -> Option<Instant> {
        match stalled_until {
            Some(until) if self.scenario.load.pattern == Pattern::FanOut => at.map(|at| at.max(until)),
            _ => at,
        }
    }

    /// Gives each end its turn that is to have one; returns whether one did anything.
    fn step(&mut self, stalled_until: Option<Instant>) -> Result<bool, TargetError> {
        self.unasked += 1;
        if self.unasked == STOP_EVERY {
            self.unasked = 0;
            if (self.stop)() {
                return Err(TargetError::Stopped);
            }
        }
        let now = self.clock.now();
        let mut busy = false;
        let (world, traffic, clock) = (&mut self.world, &mut self.traffic, &self.clock);
        if stalled_until.is_none() && world.server.due_at(now).is_some_and(|at| at <= now) {
            // The server's own turn cannot look at the world it is part of.
            let is_slow = world.slow_rule();
            busy |= world.server.turn(clock, &mut |lane, at, event, carried| {
                traffic.at_server(lane, at, event, carried, &is_slow);
            });
        }
        for (place, card) in world.cards.iter_mut().enumerate() {
            if card.due_at(now).is_some_and(|at| at <= now) {
                busy |= card.turn(clock, &mut |lane, at, event, carried| {
                    traffic.at_client(place, lane, at, event, carried);
                });
            }
        }
        if self.traffic.goes_on() {
            self.traffic.go_on(self.clock.now(), &mut self.world);
            busy = true;
        }
        if busy {
            self.turns += 1;
            self.busy_ns += self.clock.now().since(now).as_nanos();
            if self.clock.is_virtual() && self.turns > TURNS_MAX {
                return Err(TargetError::Failed(format!("the cards do not come to rest at {now:?}")));
            }
            return Ok(true);
        }
        self.turns = 0;
        Ok(false)
    }

    /// Time passes to what comes next: an end's turn, or one of `others`.
    fn pass(&mut self, stalled_until: Option<Instant>, others: impl Iterator<Item = Option<Instant>>) {
        let now = self.clock.now();
        let next = others.chain([self.world.due_at(now, stalled_until)]).flatten().min();
        self.clock.pass(next.unwrap_or(now));
    }
}

fn stalls(fault: &Fault, begin: Instant, end: Instant) -> Option<Stalls> {
    match fault {
        Fault::Stall { every, pause } => Some(Stalls { begin, end, every: *every, pause: *pause }),
        _ => None,
    }
}

fn churn(fault: &Fault) -> Option<Arrivals> {
    match fault {
        Fault::Churn { per_s } => Some(Arrivals::Fixed { per_s: *per_s }),
        _ => None,
    }
}
