//! Delegated proof of stake as PROTOCOL.md states it: slots, slices, confirms, certificates, finality, fork choice.
//!
//! [`Dpos`] keeps the tree of slices that are not final and decides on four things: whether a slice is valid (`check`),
//! whether this producer confirms it (`crate::voter`, where its chain gives it a word), what is final (`finality`), what to
//! build on and when (`fork`, `produce`). It holds no key, reads no clock and executes nothing. Who is elected is the
//! ledger's to say; from which slice on a schedule is in force on a chain, and what a certificate takes there, stands in
//! `regime`. Conflicts of signed words come out as [`Evidence`]; what follows from it is decided on the chain.

mod anchor;
mod check;
mod finality;
mod fork;
mod produce;
mod progress;
mod regime;
mod tree;
mod votes;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use hpb_base::canary::{self, Canary};
use hpb_base::{Instant, Machine};
use hpb_types::{
    AccountName, Certificate, ChainId, Confirm, ConfirmBody, Epoch, Evidence, Fault, Hash, Height, Schedule, Slice,
    SliceRef,
};

pub use anchor::{Anchor, TrustError};

pub use crate::engine::{LinkInput as Input, LinkOutput as Output};

use crate::config::Config;
use crate::confirms::Held;
use crate::desk::Desk;
use crate::engine::{Anchor as _, Counters, DropReason, Engine, HeadChange, Office};
use crate::orphans::Orphan;
use crate::schedules::Schedules;
use crate::slot::{Arrival, SlotClock};
use crate::verdict::Verdict;
use crate::verify::Verifier;
use crate::watermark::{Memory, Watermark};
use anchor::Link;
use tree::{Key, NewNode, Node, Tree};

/// The engine.
#[derive(Debug)]
pub struct Dpos {
    desk: Desk,
    tree: Tree,
    /// Before it no more is asked for of what can't be judged.
    ask_ahead_at: Instant,
    /// The epoch of the schedule that the host was last told to be in force.
    told_in_force: Epoch,
    no_transactions: Hash,
}

impl Dpos {
    fn slice(&mut self, slice: Slice) {
        let reference = slice.reference();
        self.desk.recognise(&slice.body.producer, slice.body.slot);
        if self.schedules().latest().epoch < slice.body.epoch {
            return self.behind(reference);
        }
        if let Err(reason) = self.check_alone(&slice).and_then(|()| self.check_new(&reference, &slice)) {
            return self.desk.refuse(reason);
        }
        let orphan = Orphan { slice, reference, arrived: self.desk.now };
        if self.tree.key(&orphan.slice.body.parent).is_some() {
            self.connect(orphan);
        } else {
            self.desk.keep(orphan);
        }
    }

    /// Somebody has a slice of a schedule that is not known here: the slice that fixes it is missing, or not yet final here.
    /// What is said about it can't be judged, so it is good for one request in a while and nothing else.
    fn behind(&mut self, slice: SliceRef) {
        self.desk.refuse(DropReason::UnknownSchedule);
        if self.desk.now >= self.ask_ahead_at {
            self.ask_ahead_at = self.desk.now + self.desk.config.request_retry;
            self.desk.say(Output::Request { missing: slice.id, above: self.tree.final_ref() });
        }
    }

    fn check_new(&mut self, reference: &SliceRef, slice: &Slice) -> Result<(), DropReason> {
        let body = &slice.body;
        if self.tree.key(&reference.id).is_some() {
            return Err(DropReason::Duplicate);
        }
        self.desk.check_new(&reference.id)?;
        if reference.height <= self.tree.final_ref().height {
            let kept = self.tree.anchor().find(reference.height);
            let kept = kept.filter(|kept| kept.reference != *reference && kept.producer() == body.producer);
            if let Some(first) = kept.map(Link::word) {
                self.desk.report_slices(body.producer, first, slice);
            }
            // Nothing that follows it can follow the last final slice.
            self.desk.drop_waiting(&reference.id, true);
            return Err(DropReason::BelowFinal);
        }
        self.desk.check_parent(reference.id, &body.parent)?;
        if self.tree.key(&body.parent).is_none() && self.tree.anchor().holds(&body.parent) {
            self.desk.refused.insert(reference.id);
            return Err(DropReason::ConflictsFinal);
        }
        Ok(())
    }

    /// Takes in a slice whose parent is in the tree, and then those that waited for it.
    fn connect(&mut self, first: Orphan) {
        let mut ready = vec![first];
        while let Some(Orphan { slice, reference, arrived }) = ready.pop() {
            match self.attach(&slice, reference, arrived) {
                Ok((parent, office)) => {
                    self.desk.say(Output::Execute { slice: reference, parent, office });
                    ready.extend(self.desk.orphans.take(&reference.id));
                }
                Err(reason) => self.desk.refuse_slice(reference.id, reason),
            }
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
        let checked = self.check_on(parent, reference, slice)?;
        self.check_room(&reference, body.producer)?;
        if let Some(target) = checked.target {
            // What it proves final lies on this slice's own chain, so the parent stays.
            self.certify(target, &checked.carried);
        }
        let siblings = self.tree.at_height(reference.height).iter().map(|key| self.tree.node(*key));
        if let Some(first) = siblings.filter(|node| node.producer() == body.producer).map(Node::word).next() {
            self.desk.report_slices(body.producer, first, slice);
        }
        let above = self.tree.node(parent);
        let timely =
            self.desk.clock.arrival(body.slot, arrived) == Arrival::Timely && (body.index == 0 || above.timely);
        let (last, carries_transactions) = (body.last, checked.carries_transactions);
        let parent_ref = above.reference;
        let office = self.office_of(&checked.standing.regime.current, &checked.carried, above.carried.target.height);
        let (signature, carried, standing) = (slice.signature, checked.carried, checked.standing);
        let new = NewNode { reference, signature, standing, last, timely, carried, carries_transactions };
        let key = self.tree.insert(parent, new);
        self.desk.counters.slices += 1;
        for held in self.desk.confirms.take(&reference) {
            self.count(key, &held);
        }
        Ok((parent_ref, office))
    }

    fn executed(&mut self, id: &Hash, matched: bool) {
        let Some(key) = self.tree.key(id).filter(|key| self.tree.node(*key).verdict == Verdict::Unknown) else {
            return self.desk.refuse(DropReason::Unasked);
        };
        if !matched {
            self.tree.refuse(key);
            self.desk.refused.insert(*id);
            self.desk.refuse(DropReason::ResultsMismatch);
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
        let node = self.tree.node(key);
        let (carried, slice, timely, regime) = (node.link_source(), node.reference, node.timely, node.regime());
        let known = self.justified();
        let is_local = canary::is(Canary::SourceFromLocalView) && known.height < slice.height;
        let source = if is_local { known } else { carried };
        if self.desk.config.producer.is_some_and(|name| regime.includes(&name)) {
            self.desk.consider(source, slice, timely, regime.current.epoch);
        }
        if self.tree.node(key).proven {
            self.finalise(key);
        }
    }

    fn confirm(&mut self, confirm: &Confirm) -> Result<(), DropReason> {
        let ConfirmBody { epoch, target, producer, .. } = &confirm.body;
        let schedules = self.schedules();
        let in_office =
            schedules.confirm_key(*epoch, producer).is_some() && *epoch <= schedules.epochs().of(target.height.slot);
        let held = self.desk.hear(confirm, in_office.then(|| schedules.weight(*epoch, producer)))?;
        if target.height <= self.tree.final_ref().height {
            return Ok(());
        }
        if let Some(key) = self.tree.key(&target.id) {
            self.count(key, &held);
        } else {
            let in_force = self.schedules().get(*epoch).cloned();
            let suffices = |weight| in_force.as_ref().is_some_and(|schedule| schedule.is_quorum(weight));
            self.desk.hold(*target, held, suffices);
        }
        Ok(())
    }

    /// Counts a confirm for a slice in the tree.
    fn count(&mut self, key: Key, held: &Held) {
        let node = self.tree.node_mut(key);
        if node.link_source() != held.source {
            return self.desk.refuse(DropReason::ConfirmSource);
        }
        let regime = Arc::clone(node.regime());
        if regime.current.epoch != held.epoch || !regime.includes(&held.producer) {
            return self.desk.refuse(DropReason::Schedule);
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
            Some(_) => self.desk.refuse(DropReason::Source),
            None => {
                self.desk.orphans.want(target.id, target.height, self.desk.now);
                self.desk.refuse(DropReason::Unasked);
            }
        }
    }

    /// Notes a valid certificate for a slice in the tree.
    fn certify(&mut self, key: Key, certificate: &Arc<Certificate>) {
        if self.tree.node(key).certificate.is_some() {
            return;
        }
        self.tree.justify(key, certificate);
        self.desk.counters.justified += 1;
        self.desk.say(Output::Justified(Arc::clone(certificate)));
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
        let mut rebased = self.tree.rebase(key);
        let reference = self.tree.final_ref();
        self.desk.counters.finals += rebased.newly.len() as u64;
        rebased.discarded.extend(self.desk.prune(reference.height));
        if self.schedules().epochs_known() != known {
            self.desk.say(Output::Schedules(self.schedules().clone()));
        }
        self.desk.say(Output::Final { reference, newly: rebased.newly });
        if !rebased.discarded.is_empty() {
            self.desk.say(Output::Discarded(rebased.discarded));
        }
    }

    fn check_divergence(&mut self, key: Key) {
        let node = self.tree.node(key);
        if node.verdict == Verdict::Invalid && node.certificate.is_some() {
            self.desk.say(Output::Diverged { slice: node.reference });
        }
    }

    fn moved_head(&mut self, change: Option<HeadChange>) {
        if let Some(change) = change {
            self.desk.counters.retracted += change.retracted.len() as u64;
            self.desk.say(Output::Head(change));
            let regime = self.tree.node(self.tree.head).regime();
            if regime.current.epoch != self.told_in_force {
                self.told_in_force = regime.current.epoch;
                let (from, schedule) = (regime.since, Arc::clone(&regime.current));
                self.desk.say(Output::InForce { from, schedule });
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

    /// What the passing of time alone asks for.
    fn advance(&mut self) {
        if let Some((from, to)) = self.desk.forgotten() {
            self.tree.forget_votes(from, to);
        }
        self.desk.request(self.tree.final_ref());
        self.produce();
    }
}

impl Machine for Dpos {
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
            Input::Behind(slice) => self.behind(slice),
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

impl Engine for Dpos {
    type Confirm = Confirm;
    type Statement = ConfirmBody;
    type Mark = Watermark;
    type Evidence = Evidence;
    type Anchor = Anchor;
    type Verifier = Verifier;

    const NAME: &'static str = "dpos";

    fn start(config: Config, anchor: Anchor, memory: Memory, now: Instant) -> Self {
        Self {
            desk: Desk::new(config, anchor.tip(), memory, now),
            ask_ahead_at: now,
            told_in_force: anchor.standing.regime.current.epoch,
            no_transactions: check::no_transactions(),
            tree: Tree::new(anchor),
        }
    }

    fn verifier(chain: ChainId, genesis: SliceRef, schedules: Schedules) -> Verifier {
        Verifier::new(chain, genesis, schedules, Schedule::is_quorum)
    }

    fn head(&self) -> SliceRef {
        self.tree.node(self.tree.head).reference
    }

    fn last_final(&self) -> SliceRef {
        self.tree.final_ref()
    }

    fn holds(&self, id: &Hash) -> bool {
        self.tree.key(id).is_some() || self.desk.orphans.contains(id)
    }

    fn accused(&self) -> &BTreeSet<(AccountName, Fault)> {
        self.desk.accused()
    }

    fn justified(&self) -> SliceRef {
        self.tree.node(self.tree.head).best.target
    }

    fn unfinal_count(&self) -> usize {
        self.tree.len()
    }

    fn schedules(&self) -> &Schedules {
        &self.tree.anchor().schedules
    }

    fn in_force(&self) -> &Arc<Schedule> {
        &self.tree.node(self.tree.head).regime().current
    }

    fn clock(&self) -> &SlotClock {
        &self.desk.clock
    }

    fn counters(&self) -> &Counters {
        &self.desk.counters
    }
}
