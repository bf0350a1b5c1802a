//! Delegated proof of stake as PROTOCOL.md states it: slots, slices, confirms, certificates, finality, fork choice.
//!
//! [`Dpos`] keeps the tree of slices that are not final and decides on four things, each in a module of its own: whether
//! a slice is valid (`check`), whether this producer confirms it (`vote`), what is final (`finality`), what to build on
//! and when (`fork`, `produce`). It holds no key, reads no clock and executes nothing. Who is elected is the ledger's to say;
//! from which slice on a schedule is in force on a chain, and what a certificate takes there, stands in `regime`.
//! Conflicts of signed words come out as [`Evidence`]; what follows from it is decided on the chain.

mod anchor;
mod check;
mod confirms;
mod finality;
mod fork;
mod orphans;
mod produce;
mod progress;
mod regime;
mod slot;
mod tree;
mod verify;
mod vote;
mod votes;
pub mod watermark;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hpb_base::limits::{REFUSED_SLICES_MAX, TALLY_SLOTS_MAX};
use hpb_base::{Duration, Instant, Machine, UnixMillis};
use hpb_types::{
    AccountName, Certificate, ChainId, Confirm, ConfirmBody, Epoch, Evidence, Fault, Genesis, Hash, Height, Schedule,
    SignedSlice, Slice, SliceRef, Slot,
};

pub use anchor::{Anchor, AnchorError};
pub use slot::{Arrival, SlotClock};
pub use verify::{Verifier, VerifyError};
pub use watermark::{Memory, Watermark};

use crate::engine::{self, Counters, DropReason, Engine, HeadChange, Office};
use crate::schedules::Schedules;
use anchor::{Link, word};
use confirms::{Confirms, Held, Novelty};
use orphans::{Orphan, Orphans};
use produce::Production;
use tree::{Key, NewNode, Node, Tree, Verdict};
use vote::{Marked, Voter};

/// What the host tells the engine.
pub type Input = engine::Input<Confirm>;
/// What the engine tells the host.
pub type Output = engine::Output<ConfirmBody, Watermark, Evidence>;

/// What an engine is started with, but for its past.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain.
    pub chain: ChainId,
    /// The start of slot 0.
    pub genesis_time: UnixMillis,
    /// A slot's length.
    pub slot: Duration,
    /// The time between two slices.
    pub slice: Duration,
    /// Delta: the bound on the one-way delay between producers in good times.
    pub delta: Duration,
    /// How far honest clocks may be apart.
    pub clock_bound: Duration,
    /// The time between two requests for one slice.
    pub request_retry: Duration,
    /// Which producer this node is; none for an observer.
    pub producer: Option<AccountName>,
    /// Whether a producer sends nothing in its slot while there are no transactions to include and all that were are
    /// final. Its slots then count as skipped.
    pub silent_when_idle: bool,
    /// The wall clock at the driver's [`Instant::ZERO`].
    pub wall_at_zero: UnixMillis,
}

impl Config {
    /// The genesis' own figures. Clocks may be Delta apart, and a request is repeated after four times Delta: a round
    /// trip and as much again.
    pub fn new(genesis: &Genesis, producer: Option<AccountName>, wall_at_zero: UnixMillis) -> Self {
        let delta = Duration::from_millis(genesis.delta_ms.into());
        Self {
            chain: genesis.chain_id(),
            genesis_time: UnixMillis(genesis.time_ms),
            slot: Duration::from_millis(genesis.slot_ms.into()),
            slice: Duration::from_millis(genesis.slice_ms.into()),
            delta,
            clock_bound: delta,
            request_retry: delta.saturating_mul(4),
            producer,
            silent_when_idle: false,
            wall_at_zero,
        }
    }
}

/// The engine.
#[derive(Debug)]
pub struct Dpos {
    config: Config,
    clock: SlotClock,
    now: Instant,
    tree: Tree,
    orphans: Orphans,
    confirms: Confirms,
    voter: Option<Voter>,
    production: Production,
    /// Invalid slices, so that their descendants are not asked for again and again; the oldest first.
    refused: VecDeque<Hash>,
    refused_ids: BTreeSet<Hash>,
    /// Before it no more is asked for of what can't be judged.
    ask_ahead_at: Instant,
    /// The epoch of the schedule that the host was last told to be in force.
    told_in_force: Epoch,
    /// What was reported of whom.
    accused: BTreeSet<(AccountName, Fault)>,
    /// The first slot whose confirms are still counted.
    tally_from: Slot,
    no_transactions: Hash,
    outputs: VecDeque<Output>,
    wake: Option<Instant>,
    counters: Counters,
}

impl Dpos {
    /// An engine on the final end of a chain, started at `now`. A producer says what it remembers of its past; it has a
    /// word wherever a schedule names it.
    ///
    /// Every slice that was persisted ([`Output::Persist`](engine::Output::Persist)) and is not final must come as an
    /// input again, in any order, before others: it carries the source that the watermark names. Were all producers to
    /// forget theirs at once, every new slice would carry a lower source than each of them may confirm, and the chain
    /// would stand still for good.
    pub fn new(config: Config, anchor: Anchor, memory: Memory, now: Instant) -> Self {
        let clock = SlotClock::new(config.genesis_time, config.slot, config.clock_bound, config.wall_at_zero);
        let started = clock.slot_at_most(now);
        let voter = config.producer.map(|name| Voter::new(name, memory, started));
        let production = Production::new(voter.as_ref().map_or(Slot(1), Voter::first_slot));
        Self {
            clock,
            now,
            orphans: Orphans::new(config.request_retry),
            confirms: Confirms::default(),
            voter,
            production,
            refused: VecDeque::new(),
            refused_ids: BTreeSet::new(),
            ask_ahead_at: now,
            told_in_force: anchor.standing.regime.current.epoch,
            accused: BTreeSet::new(),
            tally_from: Slot(0),
            no_transactions: check::no_transactions(),
            outputs: VecDeque::new(),
            wake: Some(now),
            counters: Counters::default(),
            tree: Tree::new(anchor),
            config,
        }
    }

    /// The clock that maps the driver's instants to slots.
    pub fn clock(&self) -> &SlotClock {
        &self.clock
    }

    /// The schedules.
    pub fn schedules(&self) -> &Schedules {
        &self.tree.anchor().schedules
    }

    /// Whether a slice stands in the tree, or is the last final one, and was not found invalid.
    pub fn holds(&self, id: &Hash) -> bool {
        self.tree.key(id).is_some_and(|key| self.tree.node(key).verdict != Verdict::Invalid)
    }

    /// The schedule in force at the head.
    pub fn in_force(&self) -> &Arc<Schedule> {
        &self.tree.node(self.tree.head).regime().current
    }

    /// Slices that are not final.
    pub fn unfinal_count(&self) -> usize {
        self.tree.len()
    }

    /// The highest justified slice on the head's chain.
    pub fn justified(&self) -> SliceRef {
        self.tree.node(self.tree.head).best.target
    }

    fn slice(&mut self, slice: Slice) {
        let reference = slice.reference();
        if self.schedules().latest().epoch < slice.body.epoch {
            return self.behind(reference);
        }
        if let Err(reason) = self.check_alone(&slice).and_then(|()| self.check_new(&reference, &slice)) {
            return self.drop_input(reason);
        }
        let orphan = Orphan { slice, reference, arrived: self.now };
        if self.tree.key(&orphan.slice.body.parent).is_some() {
            self.connect(orphan);
        } else if !self.orphans.insert(orphan) {
            self.drop_input(DropReason::OrphansFull);
        }
    }

    /// Somebody has a slice of a schedule that is not known here: the slice that fixes it is missing, or not yet final here.
    /// What is said about it can't be judged, so it is good for one request in a while and nothing else.
    fn behind(&mut self, slice: SliceRef) {
        self.drop_input(DropReason::UnknownSchedule);
        if self.now >= self.ask_ahead_at {
            self.ask_ahead_at = self.now + self.config.request_retry;
            self.outputs.push_back(Output::Request { missing: slice.id, above: self.tree.final_ref() });
        }
    }

    fn check_new(&mut self, reference: &SliceRef, slice: &Slice) -> Result<(), DropReason> {
        let body = &slice.body;
        if self.tree.key(&reference.id).is_some() || self.orphans.contains(&reference.id) {
            return Err(DropReason::Duplicate);
        }
        if self.refused_ids.contains(&reference.id) {
            return Err(DropReason::Invalid);
        }
        if reference.height <= self.tree.final_ref().height {
            let kept = self.tree.anchor().find(reference.height);
            let kept = kept.filter(|kept| kept.reference != *reference && kept.producer() == body.producer);
            if let Some(first) = kept.map(Link::word) {
                self.accuse_producer(body.producer, first, slice);
            }
            // Nothing that follows it can follow the last final slice.
            let waited = self.orphans.take(&reference.id);
            self.drop_orphans(waited, true);
            return Err(DropReason::BelowFinal);
        }
        if self.refused_ids.contains(&body.parent) {
            self.refuse_id(reference.id);
            return Err(DropReason::ParentInvalid);
        }
        if self.tree.key(&body.parent).is_none() && self.tree.anchor().holds(&body.parent) {
            self.refuse_id(reference.id);
            return Err(DropReason::ConflictsFinal);
        }
        Ok(())
    }

    /// Takes in a slice whose parent is in the tree, and then those that waited for it.
    fn connect(&mut self, first: Orphan) {
        let mut ready = vec![first];
        while let Some(Orphan { slice, reference, arrived }) = ready.pop() {
            let invalid = match self.attach(&slice, reference, arrived) {
                Ok((parent, office)) => {
                    self.outputs.push_back(Output::Execute { slice: reference, parent, office });
                    false
                }
                Err(reason) => {
                    self.drop_input(reason);
                    // The others are for want of room: the slice may come again.
                    !matches!(reason, DropReason::Siblings | DropReason::TreeFull)
                }
            };
            if invalid {
                self.refuse_id(reference.id);
            }
            let waited = self.orphans.take(&reference.id);
            if self.tree.key(&reference.id).is_some() {
                ready.extend(waited);
            } else {
                self.drop_orphans(waited, invalid);
            }
        }
    }

    /// Drops slices whose ancestor was refused, with all that waited for them.
    fn drop_orphans(&mut self, mut orphans: Vec<Orphan>, invalid: bool) {
        while let Some(orphan) = orphans.pop() {
            orphans.extend(self.orphans.take(&orphan.reference.id));
            if invalid {
                self.refuse_id(orphan.reference.id);
            }
            self.drop_input(DropReason::ParentInvalid);
        }
    }

    /// Adds a slice to the tree, with the certificate that it carries and the confirms that waited for it. Gives its
    /// parent and what execution must know.
    fn attach(
        &mut self,
        slice: &Slice,
        reference: SliceRef,
        arrived: Instant,
    ) -> Result<(SliceRef, Office), DropReason> {
        let body = &slice.body;
        let parent = self.tree.key(&body.parent).ok_or(DropReason::ConflictsFinal)?;
        let checked = self.check_on(parent, slice)?;
        self.check_room(&reference, body.producer)?;
        if let Some(target) = checked.target {
            // What it proves final lies on this slice's own chain, so the parent stays.
            self.certify(target, &checked.carried);
        }
        let siblings = self.tree.at_height(reference.height).iter().map(|key| self.tree.node(*key));
        if let Some(first) = siblings.filter(|node| node.producer() == body.producer).map(Node::word).next() {
            self.accuse_producer(body.producer, first, slice);
        }
        let above = self.tree.node(parent);
        let timely = self.clock.arrival(body.slot, arrived) == Arrival::Timely && (body.index == 0 || above.timely);
        let (last, carries_transactions) = (body.last, checked.carries_transactions);
        let parent_ref = above.reference;
        let office = self.office_of(&checked.standing.regime.current, &checked.carried, above.carried.target.height);
        let (signature, carried, standing) = (slice.signature, checked.carried, checked.standing);
        let new = NewNode { reference, signature, standing, last, timely, carried, carries_transactions };
        let key = self.tree.insert(parent, new);
        self.counters.slices += 1;
        for held in self.confirms.take(&reference) {
            self.count(key, &held);
        }
        Ok((parent_ref, office))
    }

    fn executed(&mut self, id: &Hash, matched: bool) {
        let Some(key) = self.tree.key(id).filter(|key| self.tree.node(*key).verdict == Verdict::Unknown) else {
            return self.drop_input(DropReason::Unasked);
        };
        if !matched {
            self.tree.refuse(key);
            self.refuse_id(*id);
            self.drop_input(DropReason::ResultsMismatch);
            return self.check_divergence(key);
        }
        self.tree.node_mut(key).verdict = Verdict::Matched;
        let mut ready = vec![*id];
        while let Some(id) = ready.pop() {
            // A step of finality may have discarded it meanwhile.
            let Some(key) = self.tree.key(&id) else { continue };
            let node = self.tree.node(key);
            let above = node.parent.map_or(Verdict::Settled, |parent| self.tree.node(parent).verdict);
            if node.verdict != Verdict::Matched || above != Verdict::Settled {
                continue;
            }
            self.settle(key);
            ready.extend(self.tree.node(key).children.iter().map(|child| self.tree.node(*child).reference.id));
        }
    }

    fn settle(&mut self, key: Key) {
        self.tree.settle(key);
        let change = fork::grown(&mut self.tree, key);
        self.moved_head(change);
        self.vote(key);
        if self.tree.node(key).proven {
            self.finalise(key);
        }
    }

    fn vote(&mut self, key: Key) {
        let node = self.tree.node(key);
        let slice = node.reference;
        let Some(voter) = self.voter.as_mut().filter(|voter| node.regime().includes(&voter.name)) else { return };
        match voter.consider(node.link_source(), slice, node.timely, node.regime().current.epoch) {
            Ok(mark) => self.outputs.push_back(Output::Persist { slice, mark }),
            Err(reason) => self.drop_input(reason),
        }
    }

    fn persisted(&mut self, id: &Hash) {
        let Some(voter) = &mut self.voter else { return self.drop_input(DropReason::Unasked) };
        let (producer, marks) = (voter.name, voter.synced(id));
        if marks.is_empty() {
            return self.drop_input(DropReason::Unasked);
        }
        for Marked { mark: Watermark { source, target }, epoch } in marks {
            self.counters.confirmed += 1;
            let (version, chain) = (ConfirmBody::VERSION, self.config.chain);
            self.outputs.push_back(Output::Confirm(ConfirmBody { version, chain, epoch, source, target, producer }));
        }
    }

    fn confirm(&mut self, confirm: &Confirm) {
        match self.check_confirm(confirm) {
            Ok(Some(held)) => self.take_confirm(confirm.body.target, held),
            Ok(None) => {}
            Err(reason) => self.drop_input(reason),
        }
    }

    /// What to count of a confirm; `None` if its slice needs no more.
    fn check_confirm(&mut self, confirm: &Confirm) -> Result<Option<Held>, DropReason> {
        let Confirm { body, signature } = confirm;
        let (epoch, target, producer) = (body.epoch, body.target.height, body.producer);
        if body.version != ConfirmBody::VERSION {
            return Err(DropReason::Version);
        }
        if body.chain != self.config.chain {
            return Err(DropReason::WrongChain);
        }
        let schedules = self.schedules();
        if schedules.confirm_key(epoch, &producer).is_none() || epoch > schedules.epochs().of(target.slot) {
            return Err(DropReason::NotScheduled);
        }
        let weight = schedules.weight(epoch, &producer);
        if body.source.height >= target {
            return Err(DropReason::ConfirmSource);
        }
        if self.clock.arrival(target.slot, self.now) == Arrival::Early {
            return Err(DropReason::Early);
        }
        match self.confirms.remember(confirm) {
            Novelty::Duplicate => return Err(DropReason::Duplicate),
            Novelty::Fresh => {}
            Novelty::Conflict(evidence) => self.report(*evidence),
        }
        if target.slot < self.tally_from {
            return Err(DropReason::Stale);
        }
        self.counters.confirms += 1;
        let held = Held { producer, epoch, weight, source: body.source, signature: *signature };
        Ok((target > self.tree.final_ref().height).then_some(held))
    }

    fn take_confirm(&mut self, target: SliceRef, held: Held) {
        if let Some(key) = self.tree.key(&target.id) {
            return self.count(key, &held);
        }
        let in_force = self.schedules().get(held.epoch).cloned();
        match self.confirms.hold(&target, held) {
            // Others have it: it was lost on the way here.
            Ok(weight) if in_force.is_some_and(|schedule| schedule.is_quorum(weight)) => {
                self.orphans.want(target.id, target.height, self.now);
            }
            Ok(_) => {}
            Err(reason) => self.drop_input(reason),
        }
    }

    /// Counts a confirm for a slice in the tree.
    fn count(&mut self, key: Key, held: &Held) {
        let node = self.tree.node_mut(key);
        if node.link_source() != held.source {
            return self.drop_input(DropReason::ConfirmSource);
        }
        let regime = Arc::clone(node.regime());
        if regime.current.epoch != held.epoch || !regime.includes(&held.producer) {
            return self.drop_input(DropReason::Schedule);
        }
        if node.certificate.is_some() || !node.votes.insert(&regime, held.producer, held.signature) {
            return;
        }
        if let Some(certificate) = node.votes.certificate(&regime, held.source, node.reference) {
            self.certify(key, &Arc::new(certificate));
        }
    }

    fn certificate(&mut self, certificate: Certificate) {
        let target = certificate.target;
        if target.height <= self.tree.final_ref().height {
            return;
        }
        match self.tree.key(&target.id) {
            Some(key)
                if self.tree.node(key).link_source() == certificate.source
                    && self.tree.node(key).regime().asks_for(&certificate) =>
            {
                self.certify(key, &Arc::new(certificate));
            }
            Some(_) => self.drop_input(DropReason::Source),
            None => {
                self.orphans.want(target.id, target.height, self.now);
                self.drop_input(DropReason::Unasked);
            }
        }
    }

    /// Notes a valid certificate for a slice in the tree.
    fn certify(&mut self, key: Key, certificate: &Arc<Certificate>) {
        if self.tree.node(key).certificate.is_some() {
            return;
        }
        self.tree.justify(key, certificate);
        self.counters.justified += 1;
        self.outputs.push_back(Output::Justified(Arc::clone(certificate)));
        self.check_divergence(key);
        let change = fork::justified(&mut self.tree);
        self.moved_head(change);
        let Some(proven) = finality::proven_by(&self.tree, key) else { return };
        if self.tree.node(proven).verdict == Verdict::Settled {
            self.finalise(proven);
        } else {
            self.tree.node_mut(proven).proven = true;
        }
    }

    /// Makes a settled slice final, with its ancestors.
    fn finalise(&mut self, key: Key) {
        if !self.tree.is_on_chain(self.tree.head, key) {
            let head = fork::choose(&self.tree, key);
            let change = fork::switch(&mut self.tree, head);
            self.moved_head(change);
        }
        let known = self.schedules().epochs_known();
        let rebased = self.tree.rebase(key);
        let reference = self.tree.final_ref();
        self.counters.finals += rebased.newly.len() as u64;
        self.orphans.prune(reference.height);
        self.confirms.prune(reference.height);
        if self.schedules().epochs_known() != known {
            self.outputs.push_back(Output::Schedules(self.schedules().clone()));
        }
        self.outputs.push_back(Output::Final { reference, newly: rebased.newly });
        if !rebased.discarded.is_empty() {
            self.outputs.push_back(Output::Discarded(rebased.discarded));
        }
    }

    fn check_divergence(&mut self, key: Key) {
        let node = self.tree.node(key);
        if node.verdict == Verdict::Invalid && node.certificate.is_some() {
            self.outputs.push_back(Output::Diverged { slice: node.reference });
        }
    }

    fn moved_head(&mut self, change: Option<HeadChange>) {
        if let Some(change) = change {
            self.counters.retracted += change.retracted.len() as u64;
            self.outputs.push_back(Output::Head(change));
            let regime = self.tree.node(self.tree.head).regime();
            if regime.current.epoch != self.told_in_force {
                self.told_in_force = regime.current.epoch;
                let (from, schedule) = (regime.since, Arc::clone(&regime.current));
                self.outputs.push_back(Output::InForce { from, schedule });
            }
        }
    }

    /// What execution must know of a slice where `schedule` is in force, that carries `carried` on a parent that carries a
    /// certificate of `before`.
    fn office_of(&self, schedule: &Arc<Schedule>, carried: &Certificate, before: Height) -> Office {
        let is_new = carried.target.height > before;
        let confirmers = if is_new { self.schedules().signers(&carried.quorums) } else { Vec::new() };
        Office { schedule: Arc::clone(schedule), confirmers }
    }

    fn accuse_producer(&mut self, producer: AccountName, first: SignedSlice, second: &Slice) {
        let second = word(second.body.epoch, second.reference(), second.signature);
        self.report(Evidence::TwoSlices { producer, first, second });
    }

    /// Reports a fault, the first of its kind of its producer: one proof is enough, and replayed words prove no more.
    fn report(&mut self, evidence: Evidence) {
        if self.accused.insert((evidence.producer(), evidence.fault())) {
            self.counters.evidence += 1;
            self.outputs.push_back(Output::Evidence(evidence));
        }
    }

    fn drop_input(&mut self, reason: DropReason) {
        *self.counters.dropped.entry(reason).or_default() += 1;
        self.outputs.push_back(Output::Dropped(reason));
    }

    fn refuse_id(&mut self, id: Hash) {
        if self.refused_ids.insert(id) {
            self.refused.push_back(id);
        }
        if self.refused.len() > REFUSED_SLICES_MAX
            && let Some(oldest) = self.refused.pop_front()
        {
            self.refused_ids.remove(&oldest);
        }
    }

    /// What the passing of time alone asks for.
    fn advance(&mut self) {
        let tally_from = Slot(self.clock.slot_at_most(self.now).0.saturating_sub(TALLY_SLOTS_MAX));
        if tally_from > self.tally_from {
            let start = |slot| Height { slot, index: 0 };
            self.tree.forget_votes(start(self.tally_from), start(tally_from));
            self.confirms.prune(start(tally_from));
            self.tally_from = tally_from;
        }
        while let Some(missing) = self.orphans.due(self.now) {
            self.outputs.push_back(Output::Request { missing, above: self.tree.final_ref() });
        }
        self.produce();
    }
}

impl Machine for Dpos {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        self.wake = Some(now);
        match input {
            Input::Slice(slice) => self.slice(slice.into_inner()),
            Input::Confirm(confirm) => self.confirm(confirm.get()),
            Input::Certificate(certificate) => self.certificate(certificate.into_inner()),
            Input::Behind(slice) => self.behind(slice),
            Input::Executed { slice, matched } => self.executed(&slice, matched),
            Input::Persisted { slice } => self.persisted(&slice),
            Input::Proposed(slice) => self.proposed(slice),
            Input::ProposalDeclined => self.proposal_declined(),
            Input::PendingTransactions(pending) => self.production.pending_transactions = pending,
            Input::Clock { wall_at_zero } => self.clock.set(wall_at_zero),
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        self.now = now;
        if self.outputs.is_empty() {
            self.advance();
        }
        let output = self.outputs.pop_front();
        self.wake = match &output {
            Some(_) => Some(now),
            None => [self.orphans.wake_at(), self.production_wake()].into_iter().flatten().min(),
        };
        output
    }

    fn wake_at(&self) -> Option<Instant> {
        self.wake
    }
}

impl Engine for Dpos {
    type Confirm = Confirm;
    type Statement = ConfirmBody;
    type Mark = Watermark;
    type Evidence = Evidence;

    const NAME: &'static str = "dpos";

    fn head(&self) -> SliceRef {
        self.tree.node(self.tree.head).reference
    }

    fn last_final(&self) -> SliceRef {
        self.tree.final_ref()
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}
