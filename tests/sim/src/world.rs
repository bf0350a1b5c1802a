//! All nodes of a chain in one thread, on virtual time, from one seed.
//!
//! The cores are the node's own. What lies between them is played here: sessions and messages, verifiers, disks, clocks,
//! users, and the faults of the schedule. Nothing depends on the machine that it runs on.

use std::sync::Arc;

use hpb_base::{Duration, Instant, Random};
use hpb_ledger::Store as _;
use hpb_node::core::{Input, Output};
use hpb_toe::{Class, Command, Group, SessionId};
use hpb_types::message::kind;
use hpb_types::{Hash, Message, PublicKey};

use crate::cast::{Cast, SLOT, slot_start};
use crate::checkers::{Checker, Checkers, Failure};
use crate::clock::Clock;
use crate::faults::{Kind, Loss, SLOTS, Schedule};
use crate::link::{Link, Stop, Weather};
use crate::node::{COMMIT, Node, SYNC};
use crate::paper::JUDGE;
use crate::queue::{Event, Queue};
use crate::trace::{Tag, Trace};
use crate::workload::Workload;

/// Slots after the last fault within which final must have passed it.
pub const LIVENESS_SLOTS: u64 = 10;
/// How often nodes try to open sessions that they lack.
const MESH_EVERY: Duration = Duration::from_millis(100);
/// Machines start here.
const START: Instant = Instant::from_millis(500);
/// Steps at one instant: more, and the machines do not come to rest.
const STEPS_MAX: u32 = 1_000_000;
/// The session of a node's users.
const USERS: SessionId = SessionId { index: u32::MAX, generation: 0 };

/// What is run: the seed, the chain's size, and the faults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What everything is drawn from but the faults.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// What goes wrong.
    pub schedule: Schedule,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What did not hold.
    pub failure: Option<Failure>,
    /// The hash over all that happened.
    pub trace: Hash,
    /// Slices sent.
    pub slices: u64,
    /// Slices final.
    pub finals: u64,
    /// Transactions final.
    pub transactions: u64,
    /// How long it ran, on virtual time.
    pub simulated: Duration,
    /// The last lines of the trace, if they were asked for.
    pub lines: Vec<String>,
}

/// The world. See the module.
pub struct World {
    cast: Arc<Cast>,
    plan: Plan,
    now: Instant,
    queue: Queue,
    nodes: Vec<Node>,
    /// By sender, then receiver.
    links: Vec<Link>,
    dialing: Vec<bool>,
    active: Vec<bool>,
    workload: Workload,
    random: Random,
    checkers: Checkers,
    trace: Trace,
    outputs: Vec<Output>,
}

impl World {
    /// A world at its start; `lines` keeps the trace for people.
    pub fn new(cast: Arc<Cast>, plan: Plan, lines: bool) -> Self {
        let count = plan.nodes;
        let mut random = Random::stream(plan.seed, 0);
        let mut nodes = Vec::new();
        for number in 0..count {
            let local = Instant::from_nanos(1_000_000_000 + random.below(3_600_000_000_000));
            let wall_error_ms = random.below(41).cast_signed() - 20;
            nodes.push(Node::new(number, &cast, Clock::new(Instant::ZERO, local, wall_error_ms)));
        }
        let mut links = Vec::new();
        for from in 0..count {
            for to in 0..count {
                let stream = 1_000 + (from * count + to) as u64;
                // Both directions of a pair take the same time, as on one path.
                let pair = (from.min(to) * count + from.max(to)) as u64;
                let base = Random::stream(plan.seed, 1_000_000 + pair).below(20_000);
                let base = Duration::from_micros(500 + base);
                links.push(Link::new(base, Random::stream(plan.seed, stream)));
            }
        }
        Self {
            checkers: Checkers::new(count, cast.genesis.genesis_slice()),
            now: START,
            queue: Queue::default(),
            dialing: vec![false; count * count],
            active: vec![false; plan.schedule.faults.len()],
            workload: Workload::new(plan.seed),
            trace: Trace::new(lines),
            outputs: Vec::new(),
            cast,
            plan,
            nodes,
            links,
            random,
        }
    }

    /// Runs to the end, or to the first failure.
    pub fn run(mut self) -> Outcome {
        for index in 0..self.nodes.len() {
            self.start(index);
        }
        for (index, fault) in self.plan.schedule.faults.iter().enumerate() {
            self.queue.put(fault.from, Event::Begin(index));
            self.queue.put(fault.until, Event::End(index));
        }
        self.queue.put(START, Event::Mesh);
        self.queue.put(slot_start(1), Event::Submit);
        let healed = self.plan.schedule.healed_at();
        self.queue.put(healed + SLOT.saturating_mul(LIVENESS_SLOTS), Event::Judge);
        let end = slot_start(SLOTS);
        self.queue.put(end, Event::Judge);
        let mut steps = 0;
        while self.checkers.failure().is_none() {
            let wake = self.nodes.iter().enumerate().filter_map(|(index, node)| Some((node.wake_at?, index))).min();
            let event_at = self.queue.next_at();
            let next = event_at.into_iter().chain(wake.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            steps = if next > self.now { 0 } else { steps + 1 };
            if steps > STEPS_MAX {
                self.checkers.fail(Checker::Runs, self.now, || "the machines do not come to rest".to_owned());
            }
            self.now = self.now.max(next);
            match wake.filter(|(at, _)| *at <= self.now) {
                Some((_, index)) => self.drain(index),
                None => {
                    if let Some(event) = self.queue.take(self.now) {
                        self.happen(event);
                    }
                }
            }
        }
        Outcome {
            failure: self.checkers.failure().cloned(),
            trace: self.trace.hash(),
            slices: self.checkers.slices_count() as u64,
            finals: self.checkers.finals_count() as u64,
            transactions: self.checkers.final_transactions_count() as u64,
            simulated: self.now.since(START),
            lines: self.trace.into_lines(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, generation, message } => self.deliver(from, to, generation, &message),
            Event::Verdict { machine, life, verdict } if self.nodes[machine].life == life => {
                self.trace.note(self.now, Tag::Verdict, machine, 0, &[]);
                self.give(machine, Input::Verdict(*verdict));
            }
            Event::Synced { machine, life, number } if self.nodes[machine].life == life => {
                self.trace.note(self.now, Tag::Synced, machine, number, &[]);
                self.nodes[machine].folder.settle();
                self.give(machine, Input::Synced { number });
            }
            Event::Committed { machine, life } if self.nodes[machine].life == life => self.committed(machine),
            Event::Verdict { .. } | Event::Synced { .. } | Event::Committed { .. } => {}
            Event::Mesh => self.mesh(),
            Event::Opened { one, other } => self.opened(one, other),
            Event::Closed { machine, peer, generation } => self.closed(machine, peer, generation),
            Event::Begin(index) => self.begin(index),
            Event::End(index) => self.end(index),
            Event::Submit => self.submit(),
            Event::Judge => self.judge(),
        }
    }

    // Nodes.

    fn start(&mut self, index: usize) {
        if self.nodes[index].core.is_some() {
            return;
        }
        match self.nodes[index].start(&self.cast, self.now) {
            Ok(forgotten) => {
                self.trace.note(self.now, Tag::Started, index, forgotten.into(), &[]);
                self.trace.line(self.now, || format!("node {index} starts"));
                if let Some(core) = &self.nodes[index].core {
                    self.checkers.started(self.now, index, core, forgotten);
                }
                let users = Input::Opened { session: USERS, peer: Some(PublicKey([7; 32])), class: Class::Terminal };
                self.give(index, users);
            }
            Err(error) => {
                self.checkers.fail(Checker::Runs, self.now, || format!("node {index} does not start: {error}"));
            }
        }
    }

    fn crash(&mut self, index: usize, loss: Loss) {
        if self.nodes[index].core.is_none() {
            return;
        }
        self.nodes[index].crash(loss, &mut self.random);
        self.trace.note(self.now, Tag::Stopped, index, 0, &[]);
        self.trace.line(self.now, || format!("node {index} ends"));
        for peer in 0..self.nodes.len() {
            self.break_session(index, peer);
            let link = self.link(index, peer);
            self.links[link].close();
        }
    }

    fn give(&mut self, index: usize, input: Input) {
        self.nodes[index].give(self.now, input);
    }

    fn drain(&mut self, index: usize) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.nodes[index].drain(self.now, &mut outputs);
        for output in outputs.drain(..) {
            self.act(index, output);
        }
        self.outputs = outputs;
        if let Some(core) = &self.nodes[index].core {
            let told = core.last_final();
            self.checkers.stepped(self.now, index, core);
            if self.nodes[index].told != Some(told) {
                self.nodes[index].told = Some(told);
                self.trace.note(self.now, Tag::Final, index, told.height.slot.0, &told.id.0);
                self.trace.line(self.now, || format!("node {index} tells final {told}"));
            }
        }
    }

    fn act(&mut self, index: usize, output: Output) {
        match output {
            Output::Card(Command::Send { session, .. }) if session == USERS => {}
            Output::Card(Command::Send { session, message, .. }) => {
                self.trace.note(self.now, Tag::Sent, index, session.index.into(), &message);
                let link = self.link(index, session.index as usize);
                if self.links[link].generation == session.generation {
                    self.send(index, session.index as usize, &message);
                }
            }
            Output::Card(Command::Broadcast { group: Group::Validators, message, .. }) => {
                self.trace.note(self.now, Tag::Sent, index, u64::MAX, &message);
                self.observe(index, &message);
                for to in 0..self.nodes.len() {
                    let link = self.link(index, to);
                    if self.links[link].joined {
                        self.send(index, to, &message);
                    }
                }
            }
            Output::Card(Command::Join { session, group }) if session != USERS => {
                let link = self.link(index, session.index as usize);
                self.links[link].joined = group == Some(Group::Validators) && self.links[link].open;
            }
            Output::Card(Command::Close { session }) if session != USERS => {
                let peer = session.index as usize;
                let link = self.link(index, peer);
                if self.links[link].open && self.links[link].generation == session.generation {
                    self.trace.line(self.now, || format!("node {index} closes its session with node {peer}"));
                    self.break_session(index, peer);
                    self.break_session(peer, index);
                }
            }
            Output::Card(_) => {}
            Output::Verify(request) => {
                let node = &mut self.nodes[index];
                let verdict = Box::new(node.verify.judge(request));
                let at = self.now + JUDGE + node.slow;
                self.queue.put(at, Event::Verdict { machine: index, life: node.life, verdict });
            }
            Output::Log { number, batch } => self.log(index, number, &batch),
            Output::Commit(batch) => {
                let node = &mut self.nodes[index];
                self.trace.note(self.now, Tag::Commit, index, batch.point.commit, &batch.point.slice.id.0);
                node.commits.push_back(*batch);
                self.queue.put(self.now + COMMIT + node.slow, Event::Committed { machine: index, life: node.life });
            }
            Output::Stop(reason) => self.stopped(index, &reason),
        }
    }

    fn log(&mut self, index: usize, number: u64, batch: &hpb_ledger::chainlog::LogBatch) {
        self.trace.note(self.now, Tag::Logged, index, number, &(batch.encoded_len() as u64).to_le_bytes());
        let node = &mut self.nodes[index];
        let Some(log) = &mut node.log else { return };
        match log.append(batch) {
            Ok(_) => {
                self.queue.put(self.now + SYNC + node.slow, Event::Synced { machine: index, life: node.life, number });
            }
            Err(error) => self.stopped(index, &error),
        }
    }

    fn committed(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(batch) = node.commits.pop_front() else { return };
        let commit = batch.point.commit;
        match node.store.commit(&batch) {
            Ok(()) => {
                self.trace.note(self.now, Tag::Committed, index, commit, &[]);
                self.give(index, Input::Committed { commit });
            }
            Err(error) => self.stopped(index, &error),
        }
    }

    /// A node stops itself: as it should when its disk is full, and a failure otherwise.
    fn stopped(&mut self, index: usize, reason: &dyn std::fmt::Display) {
        self.trace.line(self.now, || format!("node {index} stops itself: {reason}"));
        let full = |kind: &Kind| matches!(kind, Kind::FullDisk { node, .. } if *node == index);
        if !self.is_active(full) {
            self.checkers.fail(Checker::Runs, self.now, || format!("node {index} stops itself: {reason}"));
        }
        self.crash(index, Loss::Kill);
    }

    // Sessions and messages.

    fn link(&self, from: usize, to: usize) -> usize {
        from * self.nodes.len() + to
    }

    /// Every pair without a session tries to open one.
    fn mesh(&mut self) {
        for one in 0..self.nodes.len() {
            for other in one + 1..self.nodes.len() {
                let (there, back) = (self.link(one, other), self.link(other, one));
                if self.may_talk(one, other)
                    && !self.links[there].open
                    && !self.links[back].open
                    && !self.dialing[there]
                {
                    self.dialing[there] = true;
                    let took = Duration::from_micros(2_000 + self.random.below(80_000));
                    self.queue.put(self.now + took, Event::Opened { one, other });
                }
            }
        }
        self.queue.put(self.now + MESH_EVERY, Event::Mesh);
    }

    /// Whether a session between the two can come up.
    fn may_talk(&self, one: usize, other: usize) -> bool {
        let (there, back) = (&self.links[self.link(one, other)], &self.links[self.link(other, one)]);
        let is_up = |index: usize| self.nodes[index].core.is_some();
        is_up(one) && is_up(other) && there.stop.is_none() && back.stop.is_none()
    }

    fn opened(&mut self, one: usize, other: usize) {
        let (there, back) = (self.link(one, other), self.link(other, one));
        self.dialing[there] = false;
        if !self.may_talk(one, other) || self.links[there].open || self.links[back].open {
            return;
        }
        let generation = self.links[there].generation.max(self.links[back].generation) + 1;
        for (own, peer, link) in [(one, other, there), (other, one, back)] {
            self.links[link].open = true;
            self.links[link].generation = generation;
            self.trace.note(self.now, Tag::Opened, own, peer as u64, &[]);
            let identity = self.cast.nodes[self.nodes[peer].number].identity;
            let session = SessionId { index: peer as u32, generation };
            self.give(own, Input::Opened { session, peer: Some(identity), class: Class::Validator });
        }
        self.trace.line(self.now, || format!("nodes {one} and {other} have a session"));
    }

    /// `peer` learns a little later that its session with `index` is gone.
    fn break_session(&mut self, index: usize, peer: usize) {
        let link = self.link(peer, index);
        if self.links[link].open {
            let generation = self.links[link].generation;
            let after = Duration::from_micros(self.random.below(60_000));
            self.queue.put(self.now + after, Event::Closed { machine: peer, peer: index, generation });
        }
    }

    fn closed(&mut self, index: usize, peer: usize, generation: u32) {
        let link = self.link(index, peer);
        if !self.links[link].open || self.links[link].generation != generation {
            return;
        }
        self.links[link].close();
        self.trace.note(self.now, Tag::Closed, index, peer as u64, &[]);
        self.give(index, Input::Closed { session: SessionId { index: peer as u32, generation } });
    }

    fn send(&mut self, from: usize, to: usize, message: &Arc<[u8]>) {
        let index = self.link(from, to);
        let link = &mut self.links[index];
        if !link.open {
            return;
        }
        let (queue, generation) = (&mut self.queue, link.generation);
        link.send(self.now, message, &mut |at, message| {
            queue.put(at, Event::Deliver { from, to, generation, message });
        });
    }

    fn deliver(&mut self, from: usize, to: usize, generation: u32, message: &[u8]) {
        let link = &self.links[self.link(to, from)];
        if !link.open || link.generation != generation {
            return;
        }
        let Some((kind, body)) = message.get(4..).and_then(<[u8]>::split_first) else { return };
        self.trace.note(self.now, Tag::Arrived, to, from as u64, &message[4..5]);
        let session = SessionId { index: from as u32, generation };
        self.give(to, Input::Message { session, kind: *kind, body: body.to_vec() });
    }

    /// What a node sends for the first time.
    fn observe(&mut self, index: usize, message: &[u8]) {
        let Some((kind, body)) = message.get(4..).and_then(<[u8]>::split_first) else { return };
        if *kind == kind::SLICE_BUNDLE
            && let Ok(Message::SliceBundle(bundle)) = Message::decode(*kind, body)
        {
            self.trace.line(self.now, || {
                let transactions = bundle.transactions.len();
                let (slice, source) = (bundle.slice.reference(), bundle.slice.body.source.target);
                format!("node {index} sends slice {slice} with {transactions} transactions, source {source}")
            });
            self.checkers.slice(&bundle);
        }
    }

    // Users and judges.

    fn submit(&mut self) {
        self.queue.put(self.workload.next_at(self.now), Event::Submit);
        let (index, transaction) =
            (self.workload.node(self.nodes.len()), self.workload.transaction(&self.cast, self.now));
        let body = Message::SubmitTransaction(Box::new(transaction)).encode();
        self.give(index, Input::Message { session: USERS, kind: kind::SUBMIT_TRANSACTION, body });
    }

    /// Every correct node runs, is beyond the last fault, and agrees on the state.
    fn judge(&mut self) {
        let healed = self.plan.schedule.healed_at().since(slot_start(0)).as_nanos() / SLOT.as_nanos();
        for index in 0..self.nodes.len() {
            let Some(core) = &self.nodes[index].core else {
                self.checkers.fail(Checker::Liveness, self.now, || format!("node {index} is down"));
                continue;
            };
            let told = core.last_final();
            if told.height.slot.0 <= healed {
                self.checkers.fail(Checker::Liveness, self.now, || {
                    format!("node {index} told {told} final; the last fault ended in slot {healed}")
                });
            }
            self.checkers.compare_state(self.now, index, core);
        }
    }

    // Faults.

    fn is_active(&self, is: impl Fn(&Kind) -> bool) -> bool {
        self.active.iter().zip(&self.plan.schedule.faults).any(|(active, fault)| *active && is(&fault.kind))
    }

    fn begin(&mut self, index: usize) {
        self.active[index] = true;
        let kind = self.plan.schedule.faults[index].kind.clone();
        self.trace.note(self.now, Tag::Begun, 0, index as u64, &[]);
        self.trace.line(self.now, || format!("fault: {kind}"));
        match kind {
            Kind::Crash { node, loss } => self.crash(node, loss),
            Kind::FullDisk { node, room } => {
                self.nodes[node].folder.set_room(Some(room));
                self.nodes[node].store.set_full(true);
            }
            Kind::Cut { from, to, breaks, .. } => {
                self.refresh_links();
                if breaks {
                    for (one, other) in from.iter().flat_map(|one| to.iter().map(move |other| (one, other))) {
                        self.break_session(one, other);
                        self.break_session(other, one);
                    }
                }
            }
            Kind::Weather { .. } | Kind::Slow { .. } => self.refresh_links(),
            Kind::Drift { node, ppm } => {
                self.nodes[node].clock.drift(self.now, ppm);
                self.nodes[node].note_wake(self.now);
            }
            Kind::Leap { node, by } => {
                self.nodes[node].clock.leap(self.now, by);
                self.nodes[node].note_wake(self.now);
            }
        }
    }

    fn end(&mut self, index: usize) {
        self.active[index] = false;
        let kind = self.plan.schedule.faults[index].kind.clone();
        self.trace.note(self.now, Tag::Ended, 0, index as u64, &[]);
        self.trace.line(self.now, || format!("no longer: {kind}"));
        match kind {
            Kind::Crash { node, .. } => self.restart(node),
            Kind::FullDisk { node, .. } => {
                if !self.is_active(|kind| matches!(kind, Kind::FullDisk { node: other, .. } if *other == node)) {
                    self.nodes[node].folder.set_room(None);
                    self.nodes[node].store.set_full(false);
                }
                self.restart(node);
            }
            Kind::Cut { .. } | Kind::Weather { .. } | Kind::Slow { .. } => self.refresh_links(),
            Kind::Drift { node, .. } => {
                self.nodes[node].clock.drift(self.now, 0);
                self.nodes[node].note_wake(self.now);
            }
            Kind::Leap { node, .. } => {
                self.crash(node, Loss::Kill);
                self.restart(node);
            }
        }
    }

    /// Starts a node that is down, unless another fault keeps it down.
    fn restart(&mut self, index: usize) {
        let keeps_down = |kind: &Kind| match kind {
            Kind::Crash { node, .. } | Kind::FullDisk { node, .. } => *node == index,
            _ => false,
        };
        if !self.is_active(keeps_down) {
            self.start(index);
        }
    }

    /// Sets every link and every node's slowness to what the faults in force make of it.
    fn refresh_links(&mut self) {
        for link in &mut self.links {
            link.stop = None;
            link.weather = Weather::default();
        }
        for node in &mut self.nodes {
            node.slow = Duration::ZERO;
        }
        let count = self.nodes.len();
        for (_, fault) in self.active.iter().zip(&self.plan.schedule.faults).filter(|(active, _)| **active) {
            match &fault.kind {
                Kind::Cut { from, to, both_ways, breaks } => {
                    let stop = Some(if *breaks { Stop::Break } else { Stop::Hold });
                    for (one, other) in from.iter().flat_map(|one| to.iter().map(move |other| (one, other))) {
                        let there = &mut self.links[one * count + other];
                        there.stop = there.stop.max(stop);
                        if *both_ways {
                            let back = &mut self.links[other * count + one];
                            back.stop = back.stop.max(stop);
                        }
                    }
                }
                Kind::Weather { from, to, weather } => {
                    for (one, other) in from.iter().flat_map(|one| to.iter().map(move |other| (one, other))) {
                        let link = &mut self.links[one * count + other];
                        link.weather = link.weather.and(*weather);
                    }
                }
                Kind::Slow { node, by } => self.nodes[*node].slow = self.nodes[*node].slow.max(*by),
                _ => {}
            }
        }
        for from in 0..count {
            for to in 0..count {
                if self.links[from * count + to].stop.is_none() {
                    for message in self.links[from * count + to].release() {
                        self.send(from, to, &message);
                    }
                }
            }
        }
    }
}
