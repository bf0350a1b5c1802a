//! N engines on virtual time: messages with delay, loss, repetition and partitions from a seed, hosts that take their time
//! and answer in any order, disks that lose what was not synced. The world is the engines' host, and holds each of them to
//! what an engine owes its host.

use std::collections::{BTreeMap, BTreeSet};

use hpb_base::{Duration, Instant, Random};
use hpb_types::slice::transactions_root;
use hpb_types::{Confirm, ConfirmBody, Epoch, Hash, NextSchedule, Schedule, Slice, SliceBody, SliceRef};

use super::kit::{Subject, chain, config, genesis, name, results, schedule, signature};
use crate::engine::{Anchor, HeadChange, LinkInput as Input, LinkOutput as Output, Proposal, Verified};
use crate::schedules::Schedules;
use crate::watermark::{Memory, Watermark};

/// Slots of an epoch in these worlds.
pub(crate) const EPOCH_SLOTS: u64 = 8;

/// How the links behave.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) delay_ms: (u64, u64),
    pub(crate) loss_per_million: u32,
    pub(crate) twice_per_million: u32,
}

#[derive(Clone)]
enum Message {
    Slices(Vec<Slice>),
    Confirm(Confirm),
    Request { from: usize, missing: Hash, above: SliceRef },
}

enum Event {
    Deliver { to: usize, message: Message },
    Synced { node: usize, life: u32, mark: Option<Watermark>, slice: Hash },
    Answer { node: usize, life: u32, input: Box<Input> },
}

/// What one life of an engine owes its host.
struct Owed {
    head: SliceRef,
    last_final: SliceRef,
    /// Named by it for execution, proposed by it, or final.
    named: BTreeSet<SliceRef>,
    executed: BTreeSet<Hash>,
    discarded: BTreeSet<SliceRef>,
    is_proposing: bool,
    /// The first slice of a slot on its way to the disk, and whether it is there.
    recording: Option<(SliceRef, bool)>,
    marked: Option<Watermark>,
    /// What was said just before.
    said_final: bool,
}

impl Owed {
    fn new(last_final: SliceRef, marked: Option<Watermark>) -> Self {
        Self {
            head: last_final,
            last_final,
            named: BTreeSet::from([last_final]),
            executed: BTreeSet::from([last_final.id]),
            discarded: BTreeSet::new(),
            is_proposing: false,
            recording: None,
            marked,
            said_final: false,
        }
    }

    /// A slice is on disk.
    fn note_synced(&mut self, id: &Hash) {
        if let Some((_, is_there)) = self.recording.as_mut().filter(|(slice, _)| slice.id == *id) {
            *is_there = true;
        }
    }

    /// Checks one output against all before it.
    fn check(&mut self, output: &Output, disk: Option<&Watermark>) {
        let said_final = std::mem::replace(&mut self.said_final, matches!(output, Output::Final { .. }));
        match output {
            Output::Execute { slice, parent, .. } => {
                assert!(self.named.contains(parent), "{slice} is to be executed on {parent}, which was never named");
                assert!(!self.discarded.contains(parent), "{slice} is to be executed on discarded {parent}");
                assert!(self.named.insert(*slice), "{slice} is to be executed twice");
            }
            Output::Propose(proposal) => {
                assert!(!std::mem::replace(&mut self.is_proposing, true), "two proposals are out");
                assert!(self.executed.contains(&proposal.parent.id), "a proposal on what was not executed");
            }
            Output::Record { slice } => {
                assert!(self.named.insert(*slice), "a slice was made twice");
                let last = self.recording.replace((*slice, false));
                assert!(last.is_none_or(|(_, is_there)| is_there), "two first slices are out");
            }
            Output::BroadcastSlice(slice) => {
                let slice = slice.reference();
                let is_recorded = self.recording.take_if(|first| *first == (slice, true)).is_some();
                assert_eq!(
                    is_recorded,
                    slice.height.index == 0,
                    "{slice}: the first of a slot is on disk before it leaves"
                );
                assert!(self.named.insert(slice) || is_recorded, "a slice was made twice");
            }
            Output::Persist { slice, mark } => {
                assert_eq!(mark.target, *slice);
                if let Some(last) = self.marked.replace(*mark) {
                    assert!(mark.target.height > last.target.height, "marks rise: {last:?}, {mark:?}");
                    assert!(mark.source.height >= last.source.height, "sources do not fall: {last:?}, {mark:?}");
                }
            }
            Output::Confirm(body) => {
                let disk = disk.is_some_and(|mark| mark.target.height >= body.target.height);
                assert!(disk, "a confirm left before its mark was on disk");
            }
            Output::Head(HeadChange { old, new, retracted, adopted }) => {
                assert_eq!(std::mem::replace(&mut self.head, *new), *old);
                assert!(retracted.first().unwrap_or(old) == old && adopted.last().unwrap_or(new) == new);
                let known = |slice: &SliceRef| self.executed.contains(&slice.id) && !self.discarded.contains(slice);
                assert!(adopted.iter().all(known), "a head that was not executed, or is discarded");
            }
            Output::Final { reference, newly } => {
                assert_eq!(newly.last(), Some(reference));
                for slice in newly {
                    assert!(slice.height > self.last_final.height, "{slice} is final after {}", self.last_final);
                    assert!(!self.discarded.contains(slice), "{slice} was discarded");
                    self.last_final = *slice;
                }
            }
            Output::Discarded(slices) => {
                // What waited for its parent may be let go at any time, and come again.
                let had: Vec<_> = slices.iter().filter(|slice| self.executed.contains(&slice.id)).collect();
                assert!(said_final || had.is_empty(), "only finality discards");
                self.discarded.extend(had);
            }
            Output::Diverged { slice } => panic!("diverged at {slice}"),
            Output::Request { .. }
            | Output::Justified(_)
            | Output::Schedules(_)
            | Output::InForce { .. }
            | Output::Evidence(_)
            | Output::Dropped(_) => {}
        }
    }
}

/// One node: an engine, what its host keeps in memory and on disk, and what it ever said.
pub(crate) struct Node<E> {
    pub(crate) engine: Option<E>,
    life: u32,
    owed: Owed,
    store: BTreeMap<Hash, Slice>,
    disk: Option<Watermark>,
    /// Slices synced with the watermark and not final.
    kept: BTreeMap<Hash, Slice>,
    /// Its final slices.
    pub(crate) log: Vec<Slice>,
    pub(crate) finals: Vec<SliceRef>,
    pub(crate) said: Vec<ConfirmBody>,
    made: BTreeSet<hpb_types::Height>,
    pub(crate) retractions: u64,
    pub(crate) evidence: u64,
    /// The epochs whose schedules it was told to be in force.
    pub(crate) in_force: BTreeSet<Epoch>,
    /// Longest time from a slice's sending to its finality here, for slices that this life saw final.
    pub(crate) final_latency_max: Duration,
}

pub(crate) struct World<E> {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node<E>>,
    pub(crate) links: Links,
    /// How long a host takes to build or execute a slice, at least and at most; 0 is at once.
    pub(crate) host_ms: (u64, u64),
    /// Nodes of different groups don't hear each other.
    pub(crate) groups: Vec<usize>,
    pub(crate) silent_when_idle: bool,
    /// Who is elected: by epoch, of how many.
    elect: fn(u64, usize) -> Vec<usize>,
    pending: Vec<bool>,
    pub(crate) sent: BTreeMap<SliceRef, Instant>,
    /// The one final chain of all nodes.
    pub(crate) chain: Vec<SliceRef>,
    random: Random,
    queue: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
}

impl<E: Subject> World<E> {
    /// `count` producers who all stay in office, each epoch in another order.
    pub(crate) fn new(count: usize, seed: u64, links: Links) -> Self {
        Self::electing(count, seed, links, |epoch, count| {
            (0..count).map(|index| (index + epoch as usize) % count).collect()
        })
    }

    /// A world of `count` nodes with elections of its own.
    pub(crate) fn electing(count: usize, seed: u64, links: Links, elect: fn(u64, usize) -> Vec<usize>) -> Self {
        let node = || Node {
            engine: None,
            life: 0,
            owed: Owed::new(genesis(), None),
            store: BTreeMap::new(),
            disk: None,
            kept: BTreeMap::new(),
            log: Vec::new(),
            finals: Vec::new(),
            said: Vec::new(),
            made: BTreeSet::new(),
            retractions: 0,
            evidence: 0,
            in_force: BTreeSet::new(),
            final_latency_max: Duration::ZERO,
        };
        let mut world = Self {
            now: Instant::ZERO,
            nodes: (0..count).map(|_| node()).collect(),
            links,
            host_ms: (0, 0),
            groups: vec![0; count],
            silent_when_idle: false,
            elect,
            pending: vec![false; count],
            sent: BTreeMap::new(),
            chain: Vec::new(),
            random: Random::new(seed),
            queue: BTreeMap::new(),
            sequence: 0,
        };
        for index in 0..count {
            world.start(index, Memory::Never);
        }
        world
    }

    /// Who is elected for an epoch, in order.
    fn elected(&self, epoch: u64) -> Vec<usize> {
        (self.elect)(epoch, self.nodes.len())
    }

    /// The schedule that slices fix for an epoch.
    fn schedule_of(&self, epoch: Epoch) -> Schedule {
        schedule(epoch.0, &self.elected(epoch.0))
    }

    /// Starts a node on what its disk holds.
    pub(crate) fn start(&mut self, index: usize, memory: Memory) {
        let mut config = config(Some(index));
        config.silent_when_idle = self.silent_when_idle;
        let schedules = Schedules::new(schedule(0, &self.elected(0)), EPOCH_SLOTS);
        let node = &mut self.nodes[index];
        let mut anchor = E::Anchor::genesis(genesis(), schedules);
        for slice in &node.log {
            anchor.extend(slice).unwrap();
        }
        node.store = node.log.iter().map(|slice| (slice.id(), slice.clone())).collect();
        node.owed = Owed::new(anchor.tip(), node.disk);
        node.engine = Some(E::start(config, anchor, memory, self.now));
    }

    /// Stops a node at once: what was not synced is gone.
    pub(crate) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.engine = None;
        node.life += 1;
        node.store.clear();
    }

    /// Starts a node again with the watermark that its disk holds.
    pub(crate) fn restart(&mut self, index: usize) {
        let memory = self.nodes[index].disk.map_or(Memory::Lost, Memory::Known);
        self.start(index, memory);
        let kept: Vec<Slice> = self.nodes[index].kept.values().cloned().collect();
        self.deliver(index, Message::Slices(kept));
    }

    /// Loses the slices that a node's disk keeps.
    pub(crate) fn forget(&mut self, index: usize) {
        self.nodes[index].kept.clear();
    }

    /// Loses a node's watermark.
    pub(crate) fn wipe(&mut self, index: usize) {
        self.nodes[index].disk = None;
    }

    /// Ends all partitions. Sessions come up anew and say where each head is.
    pub(crate) fn heal(&mut self) {
        self.groups.fill(0);
        for index in 0..self.nodes.len() {
            let Some(engine) = &self.nodes[index].engine else { continue };
            if let Some(slice) = self.nodes[index].store.get(&engine.head().id).cloned() {
                self.broadcast(index, &Message::Slices(vec![slice]));
            }
        }
    }

    /// Tells a node whether transactions wait.
    pub(crate) fn pending(&mut self, index: usize, pending: bool) {
        self.pending[index] = pending;
        self.feed(index, Input::PendingTransactions(pending));
    }

    pub(crate) fn run_until(&mut self, millis: u64) {
        let end = Instant::from_millis(millis);
        let mut idle = 0;
        loop {
            for index in 0..self.nodes.len() {
                if self.nodes[index]
                    .engine
                    .as_ref()
                    .is_some_and(|engine| engine.wake_at().is_some_and(|at| at <= self.now))
                {
                    self.drain(index);
                }
            }
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wakes = self.nodes.iter().filter_map(|node| node.engine.as_ref()?.wake_at());
            let Some(next) = wakes.chain(event).min().filter(|next| *next <= end) else { break };
            idle = if next > self.now || event == Some(self.now) { 0 } else { idle + 1 };
            assert!(idle < 3, "an engine wakes for nothing at {:?}", self.now);
            self.now = self.now.max(next);
            if event.is_some_and(|event| event <= self.now)
                && let Some((_, event)) = self.queue.pop_first()
            {
                self.happen(event);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { to, message } => self.deliver(to, message),
            Event::Answer { node, life, input } if self.nodes[node].life == life => {
                self.note_answer(node, &input);
                self.feed(node, *input);
            }
            Event::Answer { .. } => {}
            Event::Synced { node: index, life, mark, slice } => {
                let node = &mut self.nodes[index];
                if node.life == life {
                    node.kept.extend(node.store.get(&slice).map(|kept| (slice, kept.clone())));
                    let input = match mark {
                        Some(_) => Input::Persisted { slice },
                        None => Input::Recorded { slice },
                    };
                    node.disk = mark.or(node.disk);
                    node.owed.note_synced(&slice);
                    self.feed(index, input);
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, message: Message) {
        if self.nodes[to].engine.is_none() {
            return;
        }
        match message {
            Message::Slices(slices) => {
                for slice in slices {
                    self.nodes[to].store.insert(slice.id(), slice.clone());
                    self.feed(to, Input::Slice(Verified::vouch(slice)));
                }
            }
            Message::Confirm(confirm) => self.feed(to, Input::Confirm(Verified::vouch(confirm))),
            Message::Request { from, missing, above } => {
                let store = &self.nodes[to].store;
                let chain = std::iter::successors(store.get(&missing), |slice| store.get(&slice.body.parent));
                let mut slices: Vec<Slice> =
                    chain.take_while(|slice| slice.body.height() > above.height).cloned().collect();
                slices.reverse();
                self.send(to, from, Message::Slices(slices));
            }
        }
    }

    fn feed(&mut self, index: usize, input: Input) {
        if let Some(engine) = &mut self.nodes[index].engine {
            engine.handle(self.now, input);
            self.drain(index);
        }
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].engine.as_mut().and_then(|engine| engine.poll(self.now)) {
            self.obey(index, output);
        }
    }

    fn obey(&mut self, index: usize, output: Output) {
        let node = &mut self.nodes[index];
        node.owed.check(&output, node.disk.as_ref());
        match output {
            Output::Execute { slice, .. } => {
                let body = &self.nodes[index].store[&slice.id].body;
                let elected = match &body.next {
                    NextSchedule::None => true,
                    NextSchedule::Fixed(next) => *next == self.schedule_of(next.epoch),
                };
                let matched = elected && body.results == results(&body.parent, &body.transactions_root);
                self.answer(index, Input::Executed { slice: slice.id, matched });
            }
            Output::Request { missing, above } => {
                let others = self.nodes.len() as u64 - 1;
                let peer = (index + 1 + self.random.below(others) as usize) % self.nodes.len();
                self.send(index, peer, Message::Request { from: index, missing, above });
            }
            Output::Propose(proposal) => {
                let slice = self.build(index, &proposal);
                self.nodes[index].store.insert(slice.id(), slice.clone());
                self.answer(index, Input::Proposed(slice));
            }
            Output::Persist { slice, mark } => {
                self.sync(index, slice, Some(mark));
            }
            Output::Record { slice } => self.sync(index, slice, None),
            Output::BroadcastSlice(slice) => {
                let height = slice.body.height();
                assert!(self.nodes[index].made.insert(height), "{index} made two slices at {height:?}");
                self.sent.insert(slice.reference(), self.now);
                self.broadcast(index, &Message::Slices(vec![*slice]));
            }
            Output::Confirm(body) => {
                if let Some(last) = self.nodes[index].said.last() {
                    assert!(body.target.height > last.target.height, "{index} confirms twice at one height");
                    assert!(body.source.height >= last.source.height, "{index} surrounds");
                }
                self.nodes[index].said.push(body.clone());
                let confirm = Confirm { body, signature: signature(index) };
                self.broadcast(index, &Message::Confirm(confirm.clone()));
                self.feed_inner(index, Input::Confirm(Verified::vouch(confirm)));
            }
            Output::Head(change) => self.nodes[index].retractions += u64::from(!change.retracted.is_empty()),
            Output::Final { reference, newly } => self.finalised(index, reference, newly),
            Output::Evidence(_) => self.nodes[index].evidence += 1,
            Output::Discarded(slices) => slices.iter().for_each(|slice| {
                self.nodes[index].kept.remove(&slice.id);
            }),
            Output::InForce { schedule, .. } => {
                self.nodes[index].in_force.insert(schedule.epoch);
            }
            Output::Justified(_) | Output::Schedules(_) | Output::Dropped(_) | Output::Diverged { .. } => {}
        }
    }

    /// Slice and mark are on disk after a while.
    fn sync(&mut self, index: usize, slice: SliceRef, mark: Option<Watermark>) {
        let event = Event::Synced { node: index, life: self.nodes[index].life, mark, slice: slice.id };
        self.schedule(Duration::from_millis(1), event);
    }

    /// The host's answer: at once, or after a while.
    fn answer(&mut self, index: usize, input: Input) {
        let (least, most) = self.host_ms;
        if most == 0 {
            self.note_answer(index, &input);
            return self.feed_inner(index, input);
        }
        let delay = Duration::from_millis(least + self.random.below(most - least + 1));
        self.schedule(delay, Event::Answer { node: index, life: self.nodes[index].life, input: Box::new(input) });
    }

    fn note_answer(&mut self, index: usize, input: &Input) {
        let owed = &mut self.nodes[index].owed;
        match input {
            Input::Executed { slice, .. } => {
                owed.executed.insert(*slice);
            }
            Input::Proposed(slice) => {
                owed.executed.insert(slice.id());
                owed.is_proposing = false;
            }
            _ => {}
        }
    }

    /// An answer from within an output: polled by the drain that runs already.
    fn feed_inner(&mut self, index: usize, input: Input) {
        if let Some(engine) = &mut self.nodes[index].engine {
            engine.handle(self.now, input);
        }
    }

    fn finalised(&mut self, index: usize, reference: SliceRef, newly: Vec<SliceRef>) {
        assert_eq!(newly.last(), Some(&reference));
        let node = &mut self.nodes[index];
        for slice in newly {
            let place = node.finals.len();
            match self.chain.get(place) {
                Some(other) => assert_eq!(*other, slice, "two final chains, seed and time {:?}", self.now),
                None => self.chain.push(slice),
            }
            node.finals.push(slice);
            node.kept.remove(&slice.id);
            node.log.push(node.store[&slice.id].clone());
            let latency = self.now.since(self.sent[&slice]);
            node.final_latency_max = node.final_latency_max.max(latency);
        }
    }

    fn build(&mut self, index: usize, proposal: &Proposal) -> Slice {
        let waiting = self.pending[index] || !self.silent_when_idle;
        let carries = waiting && proposal.may_carry_transactions;
        let transaction = Hash::of_parts("test transaction", &[&proposal.parent.id.0]);
        let transactions_root = transactions_root(carries.then_some(transaction));
        let body = SliceBody {
            version: SliceBody::VERSION,
            chain: chain(),
            epoch: proposal.office.schedule.epoch,
            slot: proposal.slot,
            index: proposal.index,
            last: proposal.last,
            parent: proposal.parent.id,
            producer: name(index),
            transactions_root,
            results: results(&proposal.parent.id, &transactions_root),
            source: (*proposal.source).clone(),
            beacon: E::beacon(proposal.index),
            next: proposal.fixes.map_or(NextSchedule::None, |epoch| NextSchedule::Fixed(self.schedule_of(epoch))),
        };
        Slice { body, signature: signature(index) }
    }

    fn broadcast(&mut self, from: usize, message: &Message) {
        for to in 0..self.nodes.len() {
            if to != from {
                self.send(from, to, message.clone());
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        let lost = self.random.chance(self.links.loss_per_million);
        let (least, most) = self.links.delay_ms;
        let delay = Duration::from_millis(least + self.random.below(most - least + 1));
        if lost || self.groups[from] != self.groups[to] {
            return;
        }
        // No draw where nothing comes twice: a world without repetition is the same one.
        if self.links.twice_per_million > 0 && self.random.chance(self.links.twice_per_million) {
            let later = Duration::from_millis(self.random.below(4 * most + 1));
            self.schedule(delay + later, Event::Deliver { to, message: message.clone() });
        }
        self.schedule(delay, Event::Deliver { to, message });
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), event);
    }
}
