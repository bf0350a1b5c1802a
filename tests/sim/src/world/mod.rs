//! All nodes of a chain in one thread, on virtual time, from one seed.
//!
//! The cores are the node's own. What lies between them is played here: sessions and messages, verifiers, disks, clocks,
//! users, and the faults of the schedule. In a plan with whole cards, sessions are the cards' own, over a wire, and
//! verifiers the nodes' own. Nothing depends on the machine that it runs on.

mod cards;
mod force;
mod sessions;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use hpb_base::{Duration, Instant, Random};
use hpb_ledger::Store as _;
use hpb_node::core::{Input, Output};
use hpb_node::verify::Verdict;
use hpb_toe::{Class, Command, Group, SessionId};
use hpb_types::message::kind;
use hpb_types::{Hash, Message, PublicKey};

use crate::audience::Audience;
use crate::auditor::Auditor;
use crate::byzantine::{Behaviour, Liar};
use crate::cards::{Cards, Told};
use crate::cast::{Cast, CastError};
use crate::checkers::{Checker, Checkers, Failure};
use crate::clock::Clock;
use crate::crowd::Crowd;
use crate::electorate::Electorate;
use crate::faults::{Kind, Loss, Nodes, SLOTS, Schedule};
use crate::link::{CALM_JITTER, Link};
use crate::node::{COMMIT, Node, SYNC};
use crate::queue::{Event, Queue};
use crate::signing::Signing;
use crate::trace::{Tag, Trace};
use crate::workload::Workload;

/// Slots after the last fault within which final must have passed it.
pub const LIVENESS_SLOTS: u64 = 10;
/// Slots that a world goes on after two final chains: what convicts was heard before, and no chain can grow together.
const CONFLICT_SLOTS: u64 = 2;
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
    /// Who produces, and how that changes.
    pub electorate: Electorate,
    /// What goes wrong.
    pub schedule: Schedule,
    /// Whether its nodes are whole, down to their cards, or talk in messages signed on paper.
    pub whole_cards: bool,
}

/// One seed in so many has whole cards: the last of them.
const WHOLE_CARDS_EVERY: u64 = 20;
/// Nodes of such a seed at most, unless whole cards are asked for.
const WHOLE_CARDS_NODES_MAX: usize = 21;
/// More nodes than these make a seed with whole cards a short one: what it costs grows with the nodes' square.
const WHOLE_CARDS_LONG_NODES_MAX: usize = 7;
/// Slots of a short seed.
const SHORT_SLOTS: u64 = 20;
/// The slot by whose start every fault of a short seed has ended.
const SHORT_FAULTS_UNTIL: u64 = 9;

impl Plan {
    /// That of a seed for so many nodes.
    pub fn draw(seed: u64, nodes: usize) -> Self {
        let electorate = Electorate::draw(seed, nodes);
        let schedule = Schedule::draw(seed, nodes, &electorate);
        // A conspiracy is a third of those who are there from the start.
        let electorate = if schedule.is_conspiracy(nodes) { Electorate::all(nodes) } else { electorate };
        let whole_cards = seed % WHOLE_CARDS_EVERY == WHOLE_CARDS_EVERY - 1 && nodes <= WHOLE_CARDS_NODES_MAX;
        let plan = Self { seed, nodes, electorate, schedule, whole_cards: false };
        plan.with_whole_cards(whole_cards)
    }

    /// The same with whole cards, if they are asked for.
    #[must_use]
    pub fn with_whole_cards(self, asked_for: bool) -> Self {
        if !asked_for || self.whole_cards {
            return self;
        }
        let whole = Self { whole_cards: true, ..self };
        if whole.slots() == SLOTS {
            return whole;
        }
        Self { schedule: whole.schedule.shortened(SHORT_FAULTS_UNTIL), ..whole }
    }

    /// How many slots it runs.
    pub fn slots(&self) -> u64 {
        if self.whole_cards && self.nodes > WHOLE_CARDS_LONG_NODES_MAX { SHORT_SLOTS } else { SLOTS }
    }

    /// How its chain is signed.
    fn signing(&self) -> Signing {
        if self.whole_cards { Signing::Real } else { Signing::Paper }
    }

    /// Who takes part.
    ///
    /// # Errors
    /// A genesis that breaks a rule.
    pub fn cast(&self) -> Result<Arc<Cast>, CastError> {
        Cast::new(self.nodes, &self.electorate, self.signing()).map(Arc::new)
    }
}

/// What a scripted world has that a seed has not.
pub struct Script {
    /// What every message takes from node to node, exactly; none draws it, as for a seed.
    pub delay: Option<Duration>,
    /// Who submits what.
    pub crowd: Crowd,
    /// What they are told.
    pub audience: Audience,
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
    /// Producers that some correct node proved guilty of a fault.
    pub accused: u64,
    /// Whether two chains became final, as more than a third may bring about.
    pub conflict: bool,
    /// Whether liars came to be a third of a schedule, because others were silent: nothing is promised then, and the run
    /// ended.
    pub overrun: bool,
    /// Schedules on the final chain that have other members than the one before.
    pub changes: u64,
    /// How long it ran, on virtual time.
    pub simulated: Duration,
    /// The last lines of the trace, if they were asked for.
    pub lines: Vec<String>,
}

/// The world. See the module. A machine is a node, or the second core of a twin.
pub struct World {
    cast: Arc<Cast>,
    plan: Plan,
    now: Instant,
    queue: Queue,
    /// The machines: the nodes by their number, then the twins' second cores.
    nodes: Vec<Node>,
    /// By node, the machine of its second core.
    second: BTreeMap<usize, usize>,
    byzantine: Nodes,
    liars: BTreeMap<usize, Liar>,
    /// Told everything, where more than a third lie.
    auditor: Option<Auditor>,
    /// By sender, then receiver.
    links: Vec<Link>,
    /// Whole cards, if the plan has them: no session is of the links then, and a link says what the wire does.
    cards: Option<Cards>,
    told: Vec<Told>,
    dialing: Vec<bool>,
    active: Vec<bool>,
    /// Who hears nobody, because it is to produce.
    deaf: Nodes,
    /// Who alone hears confirms, while that is a fault in force, and what others have not heard.
    next_alone_hear: Option<Nodes>,
    unheard: Vec<(usize, usize, Arc<[u8]>)>,
    workload: Workload,
    script: Option<Script>,
    random: Random,
    checkers: Checkers,
    trace: Trace,
    outputs: Vec<Output>,
}

impl World {
    /// A world at its start; `lines` keeps the trace for people.
    pub fn new(cast: Arc<Cast>, plan: Plan, lines: bool) -> Self {
        Self::with_script(cast, plan, None, lines)
    }

    /// The same with users of the script's, who hear what they are told.
    pub fn scripted(cast: Arc<Cast>, plan: Plan, script: Script, lines: bool) -> Self {
        Self::with_script(cast, plan, Some(script), lines)
    }

    fn with_script(cast: Arc<Cast>, plan: Plan, script: Option<Script>, lines: bool) -> Self {
        let count = plan.nodes;
        let mut random = Random::stream(plan.seed, 0);
        let twins = plan.schedule.faults.iter().filter_map(|fault| match fault.kind {
            Kind::Byzantine { node, behaviour: Behaviour::Twin { .. } } => Some(node),
            _ => None,
        });
        let twins: std::collections::BTreeSet<usize> = twins.collect();
        let second = twins.iter().enumerate().map(|(place, node)| (*node, count + place)).collect();
        let byzantine = plan.schedule.byzantine();
        let mut nodes = Vec::new();
        for number in (0..count).chain(twins) {
            let local = Instant::from_nanos(1_000_000_000 + random.below(3_600_000_000_000));
            let wall_error_ms = random.below(41).cast_signed() - 20;
            nodes.push(Node::new(number, &cast, Clock::new(Instant::ZERO, local, wall_error_ms)));
        }
        let count = nodes.len();
        // In one of three seeds they are far apart, though within what genesis bounds; a scenario says what it wants.
        let is_far = random.below(3) == 0 && script.is_none();
        let spread_us = if is_far { 60_000 } else { 20_000 };
        let mut links = Vec::new();
        for from in 0..count {
            for to in 0..count {
                let stream = 1_000 + (from * count + to) as u64;
                // Both directions of a pair take the same time, as on one path.
                let pair = (from.min(to) * count + from.max(to)) as u64;
                let base = Random::stream(plan.seed, 1_000_000 + pair).below(spread_us);
                let drawn = (Duration::from_micros(500 + base), CALM_JITTER);
                let exact = script.as_ref().and_then(|script| script.delay).map(|delay| (delay, Duration::ZERO));
                let (base, calm_jitter) = exact.unwrap_or(drawn);
                links.push(Link::new(base, calm_jitter, Random::stream(plan.seed, stream)));
            }
        }
        Self {
            auditor: plan.schedule.is_conspiracy(plan.nodes).then(|| Auditor::new(&cast.genesis, cast.signing)),
            liars: byzantine.iter().map(|node| (node, Liar::new(plan.seed, node))).collect(),
            second,
            byzantine,
            checkers: {
                let honest = byzantine.others(plan.nodes).iter().map(|node| cast.nodes[node].name).collect();
                let conspiracy = plan.schedule.is_conspiracy(plan.nodes);
                Checkers::new(count, &cast.genesis, honest, conspiracy)
            },
            now: START,
            queue: Queue::default(),
            dialing: vec![false; count * count],
            active: vec![false; plan.schedule.faults.len()],
            deaf: Nodes::default(),
            next_alone_hear: None,
            unheard: Vec::new(),
            workload: Workload::new(plan.seed, &plan.electorate.agenda),
            script,
            trace: Trace::new(lines),
            cards: None,
            told: Vec::new(),
            outputs: Vec::new(),
            cast,
            plan,
            nodes,
            links,
            random,
        }
    }

    /// Runs a seed to its end, or to the first failure.
    pub fn run(mut self) -> Outcome {
        self.set_going();
        let times = self.cast.times;
        let end = times.slot_start(self.plan.slots());
        let within = times.slot.saturating_mul(LIVENESS_SLOTS);
        let mut healed = 0;
        for at in self.plan.schedule.heals(within) {
            healed = times.slot_at(at);
            self.queue.put(at + within, Event::Judge(healed));
        }
        self.queue.put(end, Event::Judge(healed));
        self.go_on(end);
        self.into_outcome()
    }

    /// Starts the nodes, and notes what is to happen.
    pub fn set_going(&mut self) {
        self.lay_wire();
        for index in 0..self.nodes.len() {
            self.start(index);
        }
        for (index, fault) in self.plan.schedule.faults.iter().enumerate() {
            self.queue.put(fault.from, Event::Begin(index));
            self.queue.put(fault.until, Event::End(index));
        }
        if self.cards.is_none() {
            self.queue.put(START, Event::Mesh);
        }
        self.queue.put(self.cast.times.slot_start(1), Event::Submit);
    }

    /// Lets all happen that happens until `end`, or until something does not hold.
    pub fn go_on(&mut self, end: Instant) {
        let conflict_over = self.cast.times.slot.saturating_mul(CONFLICT_SLOTS);
        let mut steps = 0;
        while self.checkers.failure().is_none() {
            if self.checkers.is_overrun() {
                break;
            }
            if self.checkers.conflict().is_some_and(|conflict| conflict.at + conflict_over <= self.now) {
                self.judge(0);
                break;
            }
            let wake = self.nodes.iter().enumerate().filter_map(|(index, node)| Some((node.wake_at?, index))).min();
            let card_wake = self.cards.as_ref().and_then(|cards| cards.wake(self.now));
            let wakes = [wake, card_wake].into_iter().flatten().map(|(at, _)| at);
            let next = self.queue.next_at().into_iter().chain(wakes).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            steps = if next > self.now { 0 } else { steps + 1 };
            if steps > STEPS_MAX {
                self.checkers.fail(Checker::Runs, self.now, || "the machines do not come to rest".to_owned());
            }
            self.now = self.now.max(next);
            let due = |wake: Option<(Instant, usize)>| wake.filter(|(at, _)| *at <= self.now).map(|(_, index)| index);
            match (due(wake), due(card_wake)) {
                (Some(index), _) => self.drain(index),
                (None, Some(index)) => self.turn_card(index),
                (None, None) => {
                    if let Some(event) = self.queue.take(self.now) {
                        self.happen(event);
                    }
                }
            }
        }
    }

    /// What became of it.
    pub fn into_outcome(self) -> Outcome {
        Outcome {
            failure: self.checkers.failure().cloned(),
            trace: self.trace.hash(),
            slices: self.checkers.slices_count() as u64,
            finals: self.checkers.finals_count() as u64,
            transactions: self.checkers.final_transactions_count() as u64,
            accused: self.checkers.accused_count() as u64,
            conflict: self.checkers.conflict().is_some(),
            overrun: self.checkers.is_overrun(),
            changes: self.checkers.changes_count() as u64,
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
            Event::Served { machine, life, served } if self.nodes[machine].life == life => {
                self.trace.note(self.now, Tag::Served, machine, served.slices_count, &served.message);
                self.give(machine, Input::Served(served));
            }
            Event::Verdict { .. } | Event::Synced { .. } | Event::Served { .. } | Event::Committed { .. } => {}
            Event::Mesh => self.mesh(),
            Event::Opened { one, other } => self.opened(one, other),
            Event::Closed { machine, peer, generation } => self.closed(machine, peer, generation),
            Event::Begin(index) => self.begin(index),
            Event::End(index) => self.end(index),
            Event::Submit => self.submit(),
            Event::Deafen => self.deafen(),
            Event::Judge(healed) => self.judge(healed),
        }
    }

    fn start(&mut self, index: usize) {
        if self.nodes[index].core.is_some() {
            return;
        }
        match self.nodes[index].start(&self.cast, self.now) {
            Ok(forgotten) => {
                self.trace.note(self.now, Tag::Started, index, forgotten.into(), &[]);
                self.trace.line(self.now, || format!("node {index} starts"));
                if let Some(core) = self.nodes[index].core.as_ref().filter(|_| self.is_correct(index)) {
                    self.checkers.started(self.now, index, core, forgotten);
                }
                let users = Input::Opened { session: USERS, peer: Some(PublicKey([7; 32])), class: Class::Terminal };
                self.give(index, users);
                self.send_again(index);
                self.start_card(index);
            }
            Err(error) if self.is_correct(index) => {
                self.checkers.fail(Checker::Runs, self.now, || format!("node {index} does not start: {error}"));
            }
            Err(_) => {}
        }
    }

    fn crash(&mut self, index: usize, loss: Loss) {
        if self.nodes[index].core.is_none() {
            return;
        }
        self.nodes[index].crash(loss, &mut self.random);
        self.trace.note(self.now, Tag::Stopped, index, 0, &[]);
        self.trace.line(self.now, || format!("node {index} ends"));
        if let Some(cards) = &mut self.cards {
            cards.stop(index);
        }
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
        let is_writing = outputs.iter().any(|output| matches!(output, Output::Log { .. }));
        for output in outputs.drain(..) {
            self.act(index, output);
        }
        self.outputs = outputs;
        if is_writing && let Some(loss) = self.nodes[index].doom.take() {
            return self.crash(index, loss);
        }
        if let Some(core) = self.nodes[index].core.as_ref().filter(|_| self.is_correct(index)) {
            let told = core.last_final();
            self.checkers.stepped(self.now, index, core);
            if self.nodes[index].told != Some(told) {
                self.nodes[index].told = Some(told);
                self.trace.note(self.now, Tag::Final, index, told.height.slot.0, &told.id.0);
                self.trace.line(self.now, || format!("node {index} tells final {told}"));
            }
        }
        self.look_at_audience();
    }

    fn act(&mut self, index: usize, output: Output) {
        match output {
            Output::Card(command) if self.cards.is_some() => self.command_card(index, command),
            Output::Card(
                Command::Send { session: USERS, message, .. }
                | Command::Broadcast { group: Group::Terminals, message, .. },
            ) => self.hear(index, &message),
            Output::Card(Command::Send { session, message, .. }) => {
                self.trace.note(self.now, Tag::Sent, index, session.index.into(), &message);
                self.observe(index, &message);
                let link = self.link(index, session.index as usize);
                if self.links[link].generation == session.generation {
                    self.send(index, session.index as usize, &message);
                }
            }
            Output::Card(Command::Broadcast { group: Group::Validators, message, .. }) => {
                self.trace.note(self.now, Tag::Sent, index, u64::MAX, &message);
                self.observe(index, &message);
                if self.is_correct(index) {
                    self.broadcast(index, Nodes::all(self.plan.nodes), &message);
                } else {
                    self.lie(index, |liar, cast, behaviours| liar.broadcast(cast, behaviours, &message));
                }
            }
            Output::Card(Command::Join { session, group }) if session != USERS => {
                let link = self.link(index, session.index as usize);
                self.links[link].joined = group == Some(Group::Validators) && self.links[link].open;
            }
            Output::Card(Command::Close { session } | Command::Part { session, .. }) if session != USERS => {
                let peer = session.index as usize;
                let link = self.link(index, peer);
                if self.links[link].open && self.links[link].generation == session.generation {
                    self.trace.line(self.now, || format!("node {index} closes its session with node {peer}"));
                    self.break_session(index, peer);
                    self.break_session(peer, index);
                }
            }
            Output::Card(_) | Output::Ask { .. } => {}
            Output::Verify(request) => {
                let Some(verdict) = self.nodes[index].verify.judge(request).map(Box::new) else { return };
                self.audit(index, &verdict);
                let node = &mut self.nodes[index];
                let at = node.judge_at(self.now);
                self.queue.put(at, Event::Verdict { machine: index, life: node.life, verdict });
            }
            Output::Log { number, batch } => self.log(index, number, &batch),
            Output::Read(read) => {
                let node = &mut self.nodes[index];
                let Some(log) = &mut node.log else { return };
                let (served, at) = (read.finish(log), self.now + SYNC + node.slow);
                self.queue.put(at, Event::Served { machine: index, life: node.life, served });
            }
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
        if self.is_correct(index) && !self.is_active(full) {
            self.checkers.fail(Checker::Runs, self.now, || format!("node {index} stops itself: {reason}"));
        }
        self.crash(index, Loss::Kill);
    }

    /// Whether a machine is a correct node's.
    fn is_correct(&self, index: usize) -> bool {
        !self.byzantine.contains(self.nodes[index].number)
    }

    /// What a correct node's verifier found good, the auditor hears.
    fn audit(&mut self, index: usize, verdict: &Verdict) {
        if self.is_correct(index)
            && let Some(auditor) = &mut self.auditor
        {
            auditor.heard(verdict);
        }
    }

    fn submit(&mut self) {
        if self.script.is_some() {
            return self.submit_by_script();
        }
        self.queue.put(self.workload.next_at(self.now), Event::Submit);
        let (index, transaction) =
            (self.workload.node(self.plan.nodes), self.workload.transaction(&self.cast, self.now));
        let body = Message::SubmitTransaction(Box::new(transaction)).encode();
        self.give(index, Input::Message { session: USERS, kind: kind::SUBMIT_TRANSACTION, body });
    }

    /// In a conspiracy two final chains are no surprise, but they convict a third of the weight. Otherwise every
    /// correct node runs, is beyond the slot in which the last faults ended, agrees on the state, and has expelled whom it
    /// proved guilty.
    pub fn judge(&mut self, healed: u64) {
        if let Some(auditor) = &self.auditor {
            if let Some(conflict) = self.checkers.conflict().cloned() {
                let guilty = auditor.guilty();
                if 3 * guilty.len() < self.plan.nodes {
                    self.checkers.fail(Checker::Evidence, self.now, || {
                        format!("{conflict}, but only {guilty:?} are proven guilty")
                    });
                }
            }
            return;
        }
        for index in self.byzantine.others(self.plan.nodes).iter() {
            let Some(core) = &self.nodes[index].core else {
                self.checkers.fail(Checker::Liveness, self.now, || format!("node {index} is down"));
                continue;
            };
            let told = core.last_final();
            if told.height.slot.0 <= healed {
                self.checkers.fail(Checker::Liveness, self.now, || {
                    format!("node {index} told {told} final; the faults ended in slot {healed}")
                });
            }
            self.checkers.compare_state(self.now, index, core);
            self.checkers.look_at_producers(self.now, index, core);
            self.checkers.look_at_guilty(self.now, self.cast.times.slot_start(healed + 1), index, core);
        }
    }
}
