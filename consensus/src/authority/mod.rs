//! Fixed authorities: genesis' producers for ever, in turn, and a majority of them decides (white paper 3.2.2: consensus
//! is pluggable). For consortia whose members may crash, restart, fall behind and be cut off, but do not lie.
//!
//! Slots, slices, the mark of the last slice, certificates inside slices and the rule that a confirm's source is exactly
//! the one that its target carries are as in PROTOCOL.md. The rest is less, because nobody is elected and nobody lies:
//!
//! - **Vow.** A member confirms valid slices that come within their slot, parents first, each `source -> target` with its
//!   target above its last target and its source not below its last source. The vow is on disk before the word leaves.
//! - **Justified.** A slice is justified by confirms of one link to it that weigh more than half: a certificate.
//! - **Final.** Justified s is final, with its ancestors, by a justified t whose source it is, if t lies in the same slot
//!   and all slices from s to t are justified.
//! - **Head.** The chain that knows the highest justified slice, and of such chains the latest slice. Counting slots or
//!   slices would weigh what a member without a majority made alone.
//!
//! # Safety
//! Any two majorities share a member, and it keeps its vow; nothing more is used: no clock, no order of arrival, no word of
//! a producer. So no two slices of one height are justified. Let s be final by s -> t, and suppose that a justified slice
//! above s does not descend from it; take the lowest such, u, by r -> u. Its source r is justified, an ancestor of u, and
//! so not a descendant of s. Were r above s, it would be a lower such slice. Were it at the height of s, it would be s. So
//! r lies below s. Nor does u lie at a height from s to t, where the justified slices are those of the run. So u lies above
//! t. The member that confirmed both s -> t and r -> u confirmed u later, as targets rise, and its source had fallen from s
//! to r: which it vowed not to do. Hence all that is justified above s descends from s, and two final slices lie on one
//! chain.
//!
//! # Liveness
//! Let a majority be connected within Delta. Its members hold, or ask each other for, every slice that one of them vowed
//! on, since vow and slice are kept together. So a member that comes to produce knows the highest source vowed, or a higher
//! one, and builds on it; its slices lie in a slot above all earlier targets; all of the majority may confirm them. The
//! first is justified after two delays, a later one carries that, and the run from the one to the other is justified:
//! finality returns within that slot, if it is some six delays long.
//!
//! A member who lies is found, not borne: two words for one height come out as [`Evidence`], and nothing follows.

mod anchor;
mod chain;
mod produce;
mod rule;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use hpb_base::{Instant, Machine};
use hpb_types::{
    AccountName, Certificate, ChainId, Confirm, ConfirmBody, Epoch, Evidence, Fault, Hash, Quorum, Schedule, Slice,
    SliceRef,
};

pub use anchor::Anchor;

pub use crate::engine::{LinkInput as Input, LinkOutput as Output};

use crate::config::Config;
use crate::confirms::Held;
use crate::desk::{Desk, word};
use crate::engine::{Counters, DropReason, Engine};
use crate::orphans::Orphan;
use crate::schedules::Schedules;
use crate::slot::{Arrival, SlotClock};
use crate::verdict::Verdict;
use crate::verify::Verifier;
use crate::watermark::{Memory, Watermark};
use anchor::office;
use chain::Chain;

/// The engine.
#[derive(Debug)]
pub struct Authority {
    desk: Desk,
    /// Genesis', and no other ever.
    schedules: Schedules,
    chain: Chain,
}

impl Authority {
    fn schedule(&self) -> &Arc<Schedule> {
        self.schedules.latest()
    }

    fn slice(&mut self, slice: Slice) {
        let reference = slice.reference();
        self.desk.recognise(&slice.body.producer, slice.body.slot);
        if let Err(reason) = self.check_alone(&slice).and_then(|()| self.check_new(reference, &slice)) {
            return self.desk.refuse(reason);
        }
        let orphan = Orphan { slice, reference, arrived: self.desk.now };
        if self.chain.find(&orphan.slice.body.parent).is_some() {
            self.connect(orphan);
        } else {
            self.desk.keep(orphan);
        }
    }

    fn check_new(&mut self, at: SliceRef, slice: &Slice) -> Result<(), DropReason> {
        if self.chain.find(&at.id).is_some_and(|known| known >= self.chain.root()) {
            return Err(DropReason::Duplicate);
        }
        self.desk.check_new(&at.id)?;
        if at.height <= self.chain.root().height {
            self.accuse_double(at, slice);
            // Nothing that follows it can follow the last final slice.
            self.desk.drop_waiting(&at.id, true);
            return Err(DropReason::BelowFinal);
        }
        self.desk.check_parent(at.id, &slice.body.parent)
    }

    /// Takes in a slice whose parent is here, and then those that waited for it.
    fn connect(&mut self, first: Orphan) {
        let mut ready = vec![first];
        while let Some(Orphan { slice, reference, arrived }) = ready.pop() {
            match self.attach(&slice, reference, arrived) {
                Ok(execute) => {
                    self.desk.say(execute);
                    ready.extend(self.desk.orphans.take(&reference.id));
                }
                Err(reason) => self.desk.refuse_slice(reference.id, reason),
            }
        }
    }

    /// Adds a slice, with the certificate that it carries and the confirms that waited for it. Gives how to execute it.
    fn attach(&mut self, slice: &Slice, at: SliceRef, arrived: Instant) -> Result<Output, DropReason> {
        let (body, parent) = (&slice.body, self.check_on(at, slice)?);
        // What it proves final lies on this slice's own chain, so the parent stays.
        self.certify(body.source.target, &Arc::new(body.source.clone()));
        self.accuse_double(at, slice);
        let above = self.chain.node(parent);
        let timely =
            self.desk.clock.arrival(body.slot, arrived) == Arrival::Timely && (body.index == 0 || above.timely);
        let office = office(&self.schedules, &body.source, above);
        self.chain.insert(parent, at, slice, timely);
        self.desk.counters.slices += 1;
        for held in self.desk.confirms.take(&at) {
            self.count(at, &held);
        }
        Ok(Output::Execute { slice: at, parent, office })
    }

    fn executed(&mut self, id: &Hash, matched: bool) {
        let at = self.chain.find(id).filter(|at| self.chain.node(*at).verdict == Verdict::Unknown);
        let Some(at) = at else { return self.desk.refuse(DropReason::Unasked) };
        if !matched {
            self.chain.refuse(at);
            self.desk.refused.insert(*id);
            self.desk.refuse(DropReason::ResultsMismatch);
            return self.check_divergence(at);
        }
        if let Some(node) = self.chain.node_mut(at) {
            node.verdict = Verdict::Matched;
        }
        let mut ready = vec![at];
        while let Some(at) = ready.pop() {
            // A step of finality may have discarded it meanwhile.
            if self.chain.find(&at.id).is_none() || !self.settles(at) {
                continue;
            }
            self.settle(at);
            ready.extend_from_slice(&self.chain.node(at).children);
        }
    }

    /// Whether it and all its ancestors match, and it is not settled yet.
    fn settles(&self, at: SliceRef) -> bool {
        let node = self.chain.node(at);
        let above = node.parent.map_or(Verdict::Settled, |parent| self.chain.node(parent).verdict);
        node.verdict == Verdict::Matched && above == Verdict::Settled
    }

    fn settle(&mut self, at: SliceRef) {
        if let Some(node) = self.chain.node_mut(at) {
            node.verdict = Verdict::Settled;
        }
        if self.chain.rank(at) > self.chain.rank(self.chain.head()) {
            self.move_head(at);
        }
        let node = self.chain.node(at);
        let (source, timely, proven) = (node.carried.target, node.timely, node.proven);
        self.desk.consider(source, at, timely, Epoch(0));
        if proven {
            self.finalise(at);
        }
    }

    fn confirm(&mut self, confirm: &Confirm) -> Result<(), DropReason> {
        let ConfirmBody { target, producer, epoch, .. } = &confirm.body;
        let member = self.schedule().producer(producer).filter(|_| *epoch == Epoch(0));
        let weight = member.map(|member| member.weight);
        let held = self.desk.hear(confirm, weight)?;
        if self.chain.find(&target.id) == Some(*target) {
            self.count(*target, &held);
        } else if target.height > self.chain.root().height {
            let schedule = Arc::clone(self.schedule());
            self.desk.hold(*target, held, |weight| schedule.is_majority(weight));
        }
        Ok(())
    }

    /// Counts a confirm for a slice that is here.
    fn count(&mut self, at: SliceRef, held: &Held) {
        let (schedule, place) = (Arc::clone(self.schedule()), self.schedule().index_of(&held.producer));
        let (Some(node), Some(place)) = (self.chain.node_mut(at), place) else { return };
        let source = node.carried.target;
        if source != held.source {
            return self.desk.refuse(DropReason::ConfirmSource);
        }
        if node.certificate.is_some() {
            return;
        }
        node.signatures.insert(place, held.signature);
        let weights = node.signatures.keys().map(|place| schedule.producers[*place].weight);
        let weight = weights.fold(0, u64::saturating_add);
        if schedule.is_majority(weight) {
            let quorums = vec![Quorum::new(Epoch(0), &node.signatures)];
            self.certify(at, &Arc::new(Certificate { source, target: at, quorums }));
        }
    }

    fn certificate(&mut self, certificate: Certificate) {
        let target = certificate.target;
        if target.height <= self.chain.root().height {
            return;
        }
        if self.chain.find(&target.id) != Some(target) {
            self.desk.orphans.want(target.id, target.height, self.desk.now);
            return self.desk.refuse(DropReason::Unasked);
        }
        let is_signed = matches!(&certificate.quorums[..], [one] if one.epoch == Epoch(0));
        if !is_signed || self.chain.node(target).carried.target != certificate.source {
            return self.desk.refuse(DropReason::Source);
        }
        self.certify(target, &Arc::new(certificate));
    }

    /// Notes a valid certificate for a slice that is here.
    fn certify(&mut self, at: SliceRef, certificate: &Arc<Certificate>) {
        if self.chain.node(at).certificate.is_some() {
            return;
        }
        let known = self.chain.node(self.chain.head()).best.target.height;
        self.chain.justify(at, certificate);
        self.desk.counters.justified += 1;
        self.desk.say(Output::Justified(Arc::clone(certificate)));
        self.check_divergence(at);
        let is_settled = self.chain.node(at).verdict == Verdict::Settled;
        if is_settled && at.height > known && !self.chain.is_on_chain(self.chain.head(), at) {
            self.move_head(self.chain.choose(at));
        }
        let Some(proven) = rule::proven_by(&self.chain, at) else { return };
        if self.chain.node(proven).verdict == Verdict::Settled {
            self.finalise(proven);
        } else if let Some(node) = self.chain.node_mut(proven) {
            node.proven = true;
        }
    }

    /// Makes a settled slice final, with its ancestors.
    fn finalise(&mut self, at: SliceRef) {
        if !self.chain.is_on_chain(self.chain.head(), at) {
            self.move_head(self.chain.choose(at));
        }
        let (newly, mut discarded) = self.chain.finalise(at);
        self.desk.counters.finals += newly.len() as u64;
        discarded.extend(self.desk.prune(at.height));
        self.desk.say(Output::Final { reference: at, newly });
        if !discarded.is_empty() {
            self.desk.say(Output::Discarded(discarded));
        }
    }

    fn move_head(&mut self, to: SliceRef) {
        let Some(change) = self.chain.switch(to) else { return };
        self.desk.counters.retracted += change.retracted.len() as u64;
        self.desk.say(Output::Head(change));
    }

    fn check_divergence(&mut self, slice: SliceRef) {
        let node = self.chain.node(slice);
        if node.verdict == Verdict::Invalid && node.certificate.is_some() {
            self.desk.say(Output::Diverged { slice });
        }
    }

    /// Reports a second slice at one height: its slot has one producer.
    fn accuse_double(&mut self, at: SliceRef, slice: &Slice) {
        let other = self.chain.at_height(at.height).find(|(other, _)| *other != at);
        if let Some(first) = other.map(|(other, node)| word(Epoch(0), other, node.signature)) {
            self.desk.report_slices(slice.body.producer, first, slice);
        }
    }

    /// What the passing of time alone asks for.
    fn advance(&mut self) {
        if let Some((from, to)) = self.desk.forgotten() {
            self.chain.forget_confirms(from, to);
        }
        self.desk.request(self.chain.root());
        self.produce();
    }
}

impl Machine for Authority {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input) {
        self.desk.wake(now);
        match input {
            Input::Slice(slice) => self.slice(slice.into_inner()),
            Input::Confirm(confirm) => {
                if let Err(reason) = self.confirm(confirm.get()) {
                    self.desk.refuse(reason);
                }
            }
            Input::Certificate(certificate) => self.certificate(certificate.into_inner()),
            // There is no schedule but the one that is known.
            Input::Behind(_) => self.desk.refuse(DropReason::UnknownSchedule),
            Input::Executed { slice, matched } => self.executed(&slice, matched),
            Input::Persisted { slice } => self.desk.persisted(&slice),
            Input::Recorded { slice } => {
                let is_held = self.holds(&slice);
                self.desk.recorded(&slice, is_held);
            }
            Input::Proposed(slice) => self.proposed(slice),
            Input::ProposalDeclined => self.desk.declined(),
            Input::PendingTransactions(pending) => self.desk.pacing.pending_transactions = pending,
            Input::Clock { wall_at_zero } => self.desk.clock.set(wall_at_zero),
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        self.desk.now = now;
        if self.desk.is_silent() {
            self.advance();
        }
        let output = self.desk.take();
        if output.is_none() {
            self.desk.sleep(self.pacing_wake());
        }
        output
    }

    fn wake_at(&self) -> Option<Instant> {
        self.desk.wake_at()
    }
}

impl Engine for Authority {
    type Confirm = Confirm;
    type Statement = ConfirmBody;
    type Mark = Watermark;
    type Evidence = Evidence;
    type Anchor = Anchor;
    type Verifier = Verifier;

    const NAME: &'static str = "authority";

    fn start(mut config: Config, anchor: Anchor, memory: Memory, now: Instant) -> Self {
        let Anchor { chain, schedules } = anchor;
        // Who is no member has no word.
        config.producer = config.producer.filter(|name| schedules.latest().producer(name).is_some());
        Self { desk: Desk::new(config, chain.root(), memory, now), schedules, chain }
    }

    fn verifier(chain: ChainId, genesis: SliceRef, schedules: Schedules) -> Verifier {
        Verifier::new(chain, genesis, schedules, Schedule::is_majority)
    }

    fn head(&self) -> SliceRef {
        self.chain.head()
    }

    fn justified(&self) -> SliceRef {
        self.chain.node(self.chain.head()).best.target
    }

    fn last_final(&self) -> SliceRef {
        self.chain.root()
    }

    fn holds(&self, id: &Hash) -> bool {
        self.chain.find(id).is_some() || self.desk.orphans.contains(id)
    }

    fn accused(&self) -> &BTreeSet<(AccountName, Fault)> {
        self.desk.accused()
    }

    fn unfinal_count(&self) -> usize {
        self.chain.unfinal_count()
    }

    fn schedules(&self) -> &Schedules {
        &self.schedules
    }

    fn in_force(&self) -> &Arc<Schedule> {
        self.schedule()
    }

    fn clock(&self) -> &SlotClock {
        &self.desk.clock
    }

    fn counters(&self) -> &Counters {
        &self.desk.counters
    }
}
