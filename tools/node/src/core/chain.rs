//! What the consensus engine asks for, and what becomes of it: execute, build, write, sign, send.

use std::sync::Arc;

use hpb_base::limits::{
    FINAL_SLICES_KEPT_MAX, SLICE_BODIES_MAX, SLICE_BYTES_MAX, SLICES_SERVED_MAX, TRANSACTIONS_PER_SLICE_MAX,
};
use hpb_base::{Instant, Machine};
use hpb_consensus::{HeadChange, LinkInput as EngineInput, LinkOutput as EngineOutput, Office, Proposal, Verified};
use hpb_ledger::history::{SliceHeader, SliceResults};
use hpb_ledger::{Checked, ExecuteError, Executed, FinalSlice, InsertError, SliceContext, Store};
use hpb_toe::{Command, Group, Priority, SessionId};
use hpb_types::message::{Message, SliceBundle, SliceRequest};
use hpb_types::{
    AccountName, Beacon, Certificate, Confirm, ConfirmBody, Hash, NextSchedule, Outcome, Receipt, ResultsCommitment,
    Schedule, Signer, Slice, SliceBody, SliceRef, Slot,
};

use super::io::{Output, framed};
use super::journal::Entry;
use super::sync::Input as SyncInput;
use super::{Body, Core};
use crate::verify::Request;

impl<S: Store> Core<S> {
    /// Lets the engine say all that it has to say.
    pub(super) fn pump(&mut self, now: Instant) {
        while let Some(output) = self.engine.poll(now) {
            self.act(now, output);
        }
        while let Some(reached) = self.tally.poll() {
            self.digests.reached(reached.slice);
        }
    }

    fn act(&mut self, now: Instant, output: EngineOutput) {
        match output {
            EngineOutput::Execute { slice, parent, office } => self.execute(now, slice, parent, office),
            EngineOutput::Request { missing, above } => self.request(missing, above),
            EngineOutput::Propose(proposal) => self.propose(now, &proposal),
            EngineOutput::Persist { slice, mark } => self.journal.persist(slice, mark, &self.bodies),
            EngineOutput::Record { slice } => {
                self.unsent = Some(slice.id);
                self.journal.record(slice, &self.bodies);
            }
            EngineOutput::BroadcastSlice(slice) => self.send_slice(&slice),
            EngineOutput::Confirm(body) => self.confirm(now, body),
            EngineOutput::Justified(certificate) => self.justified(certificate),
            EngineOutput::Head(change) => self.head_changed(&change),
            EngineOutput::Final { newly, .. } => self.finalise(&newly),
            EngineOutput::Discarded(slices) => {
                for slice in slices {
                    self.bodies.remove(&slice.id);
                    self.journal.forget(&slice.id);
                }
            }
            EngineOutput::Schedules(schedules) => self.outputs.push_back(Output::Verify(Request::Schedules(schedules))),
            EngineOutput::InForce { from, schedule } => self.in_force(from, schedule),
            EngineOutput::Evidence(evidence) => {
                tracing::warn!(producer = %evidence.producer(), fault = ?evidence.fault(), "a producer broke a rule");
                self.stats.evidence += 1;
                self.found(now, evidence);
            }
            EngineOutput::Diverged { slice } => {
                let text = format!("more than two thirds confirmed slice {slice}, which this node finds invalid");
                self.outputs.push_back(Output::Stop(text));
            }
            EngineOutput::Dropped(reason) => {
                self.dropped = Some(reason);
                if reason == hpb_consensus::DropReason::StaleProposal {
                    self.withdraw();
                }
            }
        }
    }

    /// A slice that was verified: the engine judges its place, and its body is kept for as long as the engine has it. One
    /// that was refused for now (there was no room, or its slot had not come) may come again.
    pub(super) fn slice(&mut self, now: Instant, slice: Verified<Slice>, transactions: Vec<Checked>) {
        let (reference, parent) = (slice.get().reference(), slice.get().body.parent);
        let id = reference.id;
        if self.bodies.contains_key(&id) || self.bodies.len() >= SLICE_BODIES_MAX {
            return;
        }
        self.bodies.insert(id, Body { slice: slice.get().clone(), transactions, outcomes: Vec::new() });
        self.engine.handle(now, EngineInput::Slice(slice));
        if self.engine.holds(&id) {
            self.fetched(reference, &parent, None);
        } else {
            self.bodies.remove(&id);
        }
    }

    fn execute(&mut self, now: Instant, reference: SliceRef, parent: SliceRef, office: Office) {
        let Some(body) = self.bodies.get_mut(&reference.id) else { return };
        let slice = &body.slice.body;
        let matched = match self.ledger.execute(&parent.id, &context_of(slice, office), &body.transactions) {
            Ok(executed) => {
                let matched = executed.transactions_root == slice.transactions_root
                    && executed.results == slice.results
                    && next_of(executed.next.clone()) == slice.next;
                if matched {
                    self.stats.executed += body.transactions.len() as u64;
                    body.outcomes = outcomes_of(&executed);
                    match self.ledger.insert(reference, parent.id, executed) {
                        Ok(()) | Err(InsertError::Known) => {}
                        Err(error) => return self.stop(&error),
                    }
                }
                matched
            }
            Err(ExecuteError::State(error)) => return self.stop(&error),
            Err(error) => {
                tracing::warn!(%reference, %error, "an invalid slice");
                false
            }
        };
        if matched {
            self.watch(&reference, parent.id);
        }
        self.engine.handle(now, EngineInput::Executed { slice: reference.id, matched });
    }

    fn watch(&mut self, reference: &SliceRef, parent: Hash) {
        let Some(body) = self.bodies.get(&reference.id) else { return };
        if let Some(index) = self.seat(reference.height.slot, &body.slice.body.producer) {
            self.tally.watch(*reference, parent, index);
        }
    }

    /// The producer's place in the schedule that the tally has for a slot.
    fn seat(&self, slot: Slot, producer: &AccountName) -> Option<usize> {
        let (_, schedule) = self.terms.range(..=slot).next_back()?;
        schedule.index_of(producer)
    }

    /// On the head's chain another schedule is in force.
    fn in_force(&mut self, from: Slot, schedule: Arc<Schedule>) {
        self.tally.new_schedule(from, &schedule);
        self.terms.split_off(&from);
        self.terms.insert(from, schedule);
    }

    /// Builds this node's next slice from what waits.
    fn propose(&mut self, now: Instant, proposal: &Proposal) {
        let Some(Own { name, signer, beacon }) = self.own_part(proposal) else {
            return self.engine.handle(now, EngineInput::ProposalDeclined);
        };
        let Office { schedule, confirmers } = proposal.office.clone();
        let context = SliceContext {
            slot: proposal.slot,
            index: proposal.index,
            producer: name,
            schedule: Arc::clone(&schedule),
            confirmers,
            beacon: beacon_output(&beacon),
        };
        let candidates = if proposal.may_carry_transactions {
            let block_time = hpb_base::UnixMillis(self.genesis.slot_start_ms(proposal.slot));
            self.mempool.take(TRANSACTIONS_PER_SLICE_MAX, SLICE_BYTES_MAX, block_time)
        } else {
            Vec::new()
        };
        let taken: Vec<Hash> = candidates.iter().map(Checked::id).collect();
        let built = match self.ledger.build(&proposal.parent.id, &context, candidates) {
            Ok(built) => built,
            Err(error) => {
                for id in taken {
                    self.mempool.retract(&id);
                }
                if let ExecuteError::State(error) = error {
                    self.stop(&error);
                }
                return self.engine.handle(now, EngineInput::ProposalDeclined);
            }
        };
        for (id, reason) in &built.refused {
            self.mempool.drop_one(id);
            if let Some(session) = self.senders.of.remove(id) {
                self.reject(session, *id, *reason);
            }
        }
        let executed = built.executed;
        let body = SliceBody {
            version: SliceBody::VERSION,
            chain: self.chain,
            epoch: schedule.epoch,
            slot: proposal.slot,
            index: proposal.index,
            last: proposal.last,
            parent: proposal.parent.id,
            producer: name,
            transactions_root: executed.transactions_root,
            results: ResultsCommitment { ..executed.results },
            source: Certificate::clone(&proposal.source),
            beacon,
            next: next_of(executed.next.clone()),
        };
        let slice = Slice::sign(body, &*signer);
        let reference = slice.reference();
        self.stats.executed += built.included.len() as u64;
        let outcomes = outcomes_of(&executed);
        self.bodies.insert(reference.id, Body { slice: slice.clone(), transactions: built.included, outcomes });
        if let Err(error) = self.ledger.insert(reference, proposal.parent.id, executed) {
            self.proposed = Some(reference);
            self.withdraw();
            tracing::warn!(%error, "no room for a slice of our own");
            return self.engine.handle(now, EngineInput::ProposalDeclined);
        }
        self.watch(&reference, proposal.parent.id);
        self.proposed = Some(reference);
        self.engine.handle(now, EngineInput::Proposed(slice));
    }

    /// What a slice takes from this producer's keys; none if no key of its fits the schedule in force.
    fn own_part(&self, proposal: &Proposal) -> Option<Own> {
        let (producer, schedule) = (self.producer.as_ref()?, &proposal.office.schedule);
        let signer = Arc::clone(producer.slice_signer(schedule)?);
        let beacon =
            if proposal.beacon { producer.beacon(schedule, &self.chain, proposal.slot)? } else { Beacon::None };
        Some(Own { name: producer.name, signer, beacon })
    }

    /// The engine did not take the slice that was built last: its transactions wait again.
    fn withdraw(&mut self) {
        let Some(reference) = self.proposed.take() else { return };
        let Some(body) = self.bodies.remove(&reference.id) else { return };
        for transaction in &body.transactions {
            self.mempool.retract(&transaction.id());
        }
    }

    fn send_slice(&mut self, slice: &Slice) {
        let id = slice.id();
        self.unsent.take_if(|unsent| *unsent == id);
        let Some(body) = self.bodies.get(&id) else { return };
        self.stats.produced += 1;
        let message = framed(&bundle(body));
        let broadcast = Command::Broadcast { group: Group::Validators, priority: Priority::Critical, message };
        self.outputs.push_back(Output::Card(broadcast));
    }

    fn confirm(&mut self, now: Instant, body: ConfirmBody) {
        let key = self.engine.schedules().confirm_key(body.epoch, &body.producer);
        let signer = key.and_then(|key| self.producer.as_ref()?.signer(&key));
        let Some(signer) = signer else {
            self.stats.keyless += 1;
            return;
        };
        let confirm = Confirm::sign(body, &**signer);
        let message = framed(&Message::Confirm(Box::new(confirm.clone())));
        let broadcast = Command::Broadcast { group: Group::Validators, priority: Priority::Critical, message };
        self.outputs.push_back(Output::Card(broadcast));
        self.confirmed(now, Verified::vouch(confirm));
    }

    /// A confirm that was verified: the card's tally counts it for the user, the engine for the chain.
    pub(super) fn confirmed(&mut self, now: Instant, confirm: Verified<Confirm>) {
        let body = &confirm.get().body;
        if let Some(index) = self.seat(body.target.height.slot, &body.producer) {
            self.tally.confirm(body.target, index);
            self.digests.changed(body.target);
        }
        self.engine.handle(now, EngineInput::Confirm(confirm));
    }

    fn head_changed(&mut self, change: &HeadChange) {
        self.head = change.new;
        for slice in &change.retracted {
            self.retract(*slice);
        }
        for slice in &change.adopted {
            self.include(*slice);
            self.digests.adopted(*slice);
        }
        self.engine_pending();
    }

    /// Slices are final: the ledger moves, the log is told. Users are told when the log is synced.
    fn finalise(&mut self, newly: &[SliceRef]) {
        let Some(last) = newly.last() else { return };
        let finalised = match self.ledger.finalise(&last.id) {
            Ok(finalised) => finalised,
            Err(error) => return self.stop(&error),
        };
        if self.ledger.keeps_history() {
            for FinalSlice { reference, receipts, .. } in finalised.slices {
                // Bodies stay until users were told of them.
                if let Some(body) = self.bodies.get(&reference.id) {
                    self.ledger.remember(results_of(body, receipts));
                }
            }
        }
        self.journal.finalise(newly);
        self.unsynced += newly.len();
        let now = self.now;
        self.sync.handle(now, SyncInput::Final(newly.to_vec()));
    }

    /// A log batch is durable: what it held may be confirmed, or told to be final.
    pub(super) fn synced(&mut self, now: Instant, number: u64) {
        for entry in self.journal.synced(number) {
            match entry {
                Entry::Slice(slice, Some(_)) => self.engine.handle(now, EngineInput::Persisted { slice: slice.id }),
                Entry::Slice(_, None) => {}
                Entry::Own(slice) => self.engine.handle(now, EngineInput::Recorded { slice: slice.id }),
                Entry::Final(reference) => self.told_final(reference),
            }
        }
    }

    fn told_final(&mut self, reference: SliceRef) {
        let mut chain = Vec::new();
        let mut id = reference.id;
        while let Some(body) = self.bodies.get(&id) {
            let slice = body.slice.reference();
            if slice.height <= self.final_told.height {
                break;
            }
            id = body.slice.body.parent;
            chain.push(slice);
        }
        self.unsynced = self.unsynced.saturating_sub(chain.len());
        let mut slot = self.final_told.height.slot;
        for slice in chain.into_iter().rev() {
            self.stats.filled_slots += u64::from(slice.height.slot != slot);
            slot = slice.height.slot;
            self.settle(slice);
            self.finals_kept.push_back(slice.id);
            self.stats.final_slices += 1;
        }
        self.final_told = reference;
        self.digests.finalised(reference);
        self.tally.finalised(reference);
        if let Some(first) = self.terms.range(..=reference.height.slot).next_back().map(|(from, _)| *from) {
            self.terms = self.terms.split_off(&first);
        }
        while self.finals_kept.len() > FINAL_SLICES_KEPT_MAX
            && let Some(id) = self.finals_kept.pop_front()
        {
            self.bodies.remove(&id);
            self.journal.forget(&id);
        }
    }

    /// Shows a validator that has just come the slice that this one builds on: after a partition healed, it learns at
    /// once what to ask for.
    pub(super) fn greet(&mut self, session: SessionId) {
        let parent = || self.bodies.get(&self.bodies.get(&self.head.id)?.slice.body.parent);
        if let Some(body) = self.shown(&self.head.id).or_else(parent) {
            let message = framed(&bundle(body));
            self.outputs.push_back(Output::Card(Command::Send { session, priority: Priority::Normal, message }));
        }
    }

    /// A slice that is held here, unless it is to be on disk before anyone has it.
    fn shown(&self, id: &Hash) -> Option<&Body> {
        self.bodies.get(id).filter(|_| self.unsent != Some(*id))
    }

    /// Sends a peer the slice that it misses and those before it, above its own final one, oldest first.
    pub(super) fn serve(&mut self, session: SessionId, request: &SliceRequest) {
        let mut chain = Vec::new();
        let mut id = request.want;
        while let Some(body) = self.shown(&id).filter(|body| body.slice.body.height() > request.from.height) {
            chain.push(id);
            id = body.slice.body.parent;
        }
        for id in chain.iter().rev().take(SLICES_SERVED_MAX) {
            if let Some(body) = self.bodies.get(id) {
                let message = framed(&bundle(body));
                self.outputs.push_back(Output::Card(Command::Send { session, priority: Priority::Normal, message }));
            }
        }
    }

    /// Tells the engine whether transactions wait, when that has changed.
    pub(super) fn engine_pending(&mut self) {
        let pending = self.mempool.has_pending();
        if pending != self.pending_told {
            self.pending_told = pending;
            let now = self.now;
            self.engine.handle(now, EngineInput::PendingTransactions(pending));
        }
    }

    /// The final slice that users were told of.
    pub fn last_final(&self) -> SliceRef {
        self.final_told
    }

    /// The final slice that the engine knows of; the log may still be behind.
    pub fn engine_final(&self) -> SliceRef {
        self.engine.last_final()
    }
}

fn bundle(body: &Body) -> Message {
    let transactions = body.transactions.iter().map(|checked| checked.transaction().clone()).collect();
    Message::SliceBundle(Box::new(SliceBundle { slice: body.slice.clone(), transactions }))
}

/// What a slice takes from its producer's keys.
struct Own {
    name: AccountName,
    signer: Arc<dyn Signer>,
    beacon: Beacon,
}

/// What the execution of a slice is told of it: what it says itself, and what consensus says of its place.
pub fn context_of(slice: &SliceBody, office: Office) -> SliceContext {
    let Office { schedule, confirmers } = office;
    let (slot, index, producer) = (slice.slot, slice.index, slice.producer);
    SliceContext { slot, index, producer, schedule, confirmers, beacon: beacon_output(&slice.beacon) }
}

/// What the chain draws from a proof; none from what is no proof at all, which no verifier lets pass.
fn beacon_output(beacon: &Beacon) -> Option<Hash> {
    match beacon {
        Beacon::None => None,
        Beacon::Proof(proof) => proof.output().map(|output| Hash::of_parts("beacon output", &[&output.0])),
    }
}

/// What the slice's own transactions came to: those of proposals that were due come first.
fn outcomes_of(executed: &Executed) -> Vec<Outcome> {
    let own = executed.receipts.len() - executed.ids.len();
    executed.receipts[own..].iter().map(|receipt| receipt.outcome).collect()
}

/// What an index is told of a slice that has become final.
pub(super) fn results_of(body: &Body, receipts: Vec<Receipt>) -> SliceResults {
    SliceResults { header: SliceHeader::of(&body.slice), transactions: body.transactions.clone(), receipts }
}

/// What a slice says of the schedule that its execution fixed.
pub(super) fn next_of(fixed: Option<Schedule>) -> NextSchedule {
    fixed.map_or(NextSchedule::None, NextSchedule::Fixed)
}
