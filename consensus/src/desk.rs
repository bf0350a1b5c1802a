//! What an engine of links holds beside its chain, and what it does alike whatever its rules: to hear and to speak.
//!
//! Words that can't be placed yet wait here, a producer's own words leave by its vow, faults are reported once, and every
//! refusal is counted. What a word is worth is the engine's to say.

use std::collections::{BTreeSet, VecDeque};

use hpb_base::Instant;
use hpb_base::canary::{self, Canary};
use hpb_base::limits::TALLY_SLOTS_MAX;
use hpb_types::{
    AccountName, Confirm, ConfirmBody, Epoch, Evidence, Fault, Hash, Height, SignedSlice, Slice, SliceRef,
    SliceStatement, Slot,
};

use crate::config::Config;
use crate::confirms::{Confirms, Held, Novelty};
use crate::engine::{Counters, DropReason, LinkOutput, Proposal};
use crate::orphans::{Orphan, Orphans};
use crate::pacing::{Due, Pacing};
use crate::refused::Refused;
use crate::slot::{Arrival, SlotClock};
use crate::voter::{Marked, Voter};
use crate::watermark::{Memory, Watermark};

/// See the module.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) clock: SlotClock,
    pub(super) now: Instant,
    pub(super) orphans: Orphans,
    pub(super) confirms: Confirms,
    pub(super) voter: Option<Voter>,
    pub(super) pacing: Pacing,
    /// This producer's first slice of a slot, until it is on disk.
    unsaid: Option<Box<Slice>>,
    pub(super) refused: Refused,
    pub(super) counters: Counters,
    /// What was reported of whom.
    accused: BTreeSet<(AccountName, Fault)>,
    /// The first slot whose confirms are still counted.
    tally_from: Slot,
    outputs: VecDeque<LinkOutput>,
    wake: Option<Instant>,
}

impl Desk {
    /// A desk at `now`, on a chain that is final up to `last_final`; a producer remembers its past.
    pub(super) fn new(config: Config, last_final: SliceRef, memory: Memory, now: Instant) -> Self {
        let clock = SlotClock::new(config.genesis_time, config.slot, config.clock_bound, config.wall_at_zero);
        // The clock may have gone back since.
        let started = clock.slot_at_most(now).max(last_final.height.slot);
        let voter = config.producer.map(|name| Voter::new(name, memory, started));
        Self {
            unsaid: None,
            pacing: Pacing::new(&config, voter.as_ref().map_or(Slot(1), Voter::first_slot)),
            orphans: Orphans::new(config.request_retry),
            clock,
            now,
            confirms: Confirms::default(),
            voter,
            refused: Refused::default(),
            counters: Counters::default(),
            accused: BTreeSet::new(),
            tally_from: Slot(0),
            outputs: VecDeque::new(),
            wake: Some(now),
            config,
        }
    }

    // --- Speaking ---

    pub(super) fn say(&mut self, output: LinkOutput) {
        self.outputs.push_back(output);
    }

    /// Refuses an input, or what this producer might have said to one.
    pub(super) fn refuse(&mut self, reason: DropReason) {
        *self.counters.dropped.entry(reason).or_default() += 1;
        self.say(LinkOutput::Dropped(reason));
    }

    /// Reports a fault, the first of its kind of its producer: one proof is enough, and replayed words prove no more.
    pub(super) fn report(&mut self, evidence: Evidence) {
        if self.accused.insert((evidence.producer(), evidence.fault())) {
            self.counters.evidence += 1;
            self.say(LinkOutput::Evidence(evidence));
        }
    }

    /// Reports that `producer` made `second` where it had made another slice.
    pub(super) fn report_slices(&mut self, producer: AccountName, first: SignedSlice, second: &Slice) {
        let second = word(second.body.epoch, second.reference(), second.signature);
        self.report(Evidence::TwoSlices { producer, first, second });
    }

    /// Confirms an executed slice if this producer's vow allows it: first the vow goes to the disk.
    pub(super) fn consider(&mut self, source: SliceRef, slice: SliceRef, timely: bool, epoch: Epoch) {
        match self.voter.as_mut().map(|voter| voter.consider(source, slice, timely, epoch)) {
            Some(Ok(mark)) => {
                self.say(LinkOutput::Persist { slice, mark });
                if canary::is(Canary::WatermarkNotSynced) {
                    self.persisted(&slice.id);
                }
            }
            Some(Err(reason)) => self.refuse(reason),
            None => {}
        }
    }

    /// The vow on slice `id` is on disk: the word may leave, and all before it.
    pub(super) fn persisted(&mut self, id: &Hash) {
        let marks = self.voter.as_mut().map_or_else(Vec::new, |voter| voter.synced(id));
        let Some(producer) = self.config.producer.filter(|_| !marks.is_empty()) else {
            return self.refuse(DropReason::Unasked);
        };
        for Marked { mark: Watermark { source, target }, epoch } in marks {
            self.counters.confirmed += 1;
            let (version, chain) = (ConfirmBody::VERSION, self.config.chain);
            self.say(LinkOutput::Confirm(ConfirmBody { version, chain, epoch, source, target, producer }));
        }
    }

    // --- Hearing ---

    /// A slice of this producer, made in this life or an earlier one: in its slot none is begun again, whatever the clock
    /// says.
    pub(super) fn recognise(&mut self, producer: &AccountName, slot: Slot) {
        if let Some(voter) = self.voter.as_mut().filter(|voter| voter.name == *producer) {
            voter.lived(slot);
            self.pacing.skip(slot);
        }
    }

    /// Notes that an input has come.
    pub(super) fn wake(&mut self, now: Instant) {
        self.now = now;
        self.wake = Some(now);
    }

    /// Whether a slice is neither waiting here nor known to be invalid.
    pub(super) fn check_new(&self, id: &Hash) -> Result<(), DropReason> {
        if self.orphans.contains(id) {
            return Err(DropReason::Duplicate);
        }
        if self.refused.contains(id) { Err(DropReason::Invalid) } else { Ok(()) }
    }

    /// Whether a slice's parent is not known to be invalid; if it is, so is the slice.
    pub(super) fn check_parent(&mut self, id: Hash, parent: &Hash) -> Result<(), DropReason> {
        if !self.refused.contains(parent) {
            return Ok(());
        }
        self.refused.insert(id);
        Err(DropReason::ParentInvalid)
    }

    /// Keeps a slice until its parent comes.
    pub(super) fn keep(&mut self, orphan: Orphan) {
        if let Some(displaced) = self.orphans.insert(orphan) {
            self.refuse(DropReason::OrphansFull);
            self.say(LinkOutput::Discarded(vec![displaced]));
        }
    }

    /// Refuses a slice that was taken up, with all that waited for it. It may come again if it was for want of room.
    pub(super) fn refuse_slice(&mut self, id: Hash, reason: DropReason) {
        let invalid = !matches!(reason, DropReason::Siblings | DropReason::TreeFull);
        if invalid {
            self.refused.insert(id);
        }
        self.refuse(reason);
        self.drop_waiting(&id, invalid);
    }

    /// Drops the slices that waited for `id`, with all that waited for them.
    pub(super) fn drop_waiting(&mut self, id: &Hash, invalid: bool) {
        let (mut orphans, mut dropped) = (self.orphans.take(id), Vec::new());
        while let Some(orphan) = orphans.pop() {
            orphans.extend(self.orphans.take(&orphan.reference.id));
            if invalid {
                self.refused.insert(orphan.reference.id);
            }
            self.refuse(DropReason::ParentInvalid);
            dropped.push(orphan.reference);
        }
        if !dropped.is_empty() {
            self.say(LinkOutput::Discarded(dropped));
        }
    }

    /// What is to be counted of a confirm, whose producer weighs `weight` where it says it is in office; `None` if it is
    /// not in office there.
    pub(super) fn hear(&mut self, confirm: &Confirm, weight: Option<u64>) -> Result<Held, DropReason> {
        let ConfirmBody { version, chain, epoch, source, target, producer } = confirm.body;
        if version != ConfirmBody::VERSION {
            return Err(DropReason::Version);
        }
        if chain != self.config.chain {
            return Err(DropReason::WrongChain);
        }
        let weight = weight.ok_or(DropReason::NotScheduled)?;
        if source.height >= target.height {
            return Err(DropReason::ConfirmSource);
        }
        if self.clock.arrival(target.height.slot, self.now) == Arrival::Early {
            return Err(DropReason::Early);
        }
        match self.confirms.remember(confirm) {
            Novelty::Duplicate => return Err(DropReason::Duplicate),
            Novelty::Fresh => {}
            Novelty::Conflict(evidence) => self.report(*evidence),
        }
        if target.height.slot < self.tally_from {
            return Err(DropReason::Stale);
        }
        self.counters.confirms += 1;
        Ok(Held { producer, epoch, weight, source, signature: confirm.signature })
    }

    /// Keeps a confirm until its slice comes, which is asked for once the weight that waits `suffices`: others have it.
    pub(super) fn hold(&mut self, target: SliceRef, held: Held, suffices: impl Fn(u64) -> bool) {
        match self.confirms.hold(&target, held) {
            Ok(weight) if suffices(weight) => self.orphans.want(target.id, target.height, self.now),
            Ok(_) => {}
            Err(reason) => self.refuse(reason),
        }
    }

    /// Forgets what waits for slices that can't come any more; the slices among it.
    pub(super) fn prune(&mut self, last_final: Height) -> Vec<SliceRef> {
        self.confirms.prune(last_final);
        self.orphans.prune(last_final)
    }

    /// What was reported of whom.
    pub(super) fn accused(&self) -> &BTreeSet<(AccountName, Fault)> {
        &self.accused
    }

    // --- Producing ---

    /// What was asked for, if `slice` answers it and in time.
    pub(super) fn answered(&mut self, slice: &Slice) -> Result<Proposal, DropReason> {
        let asked = self.pacing.take_asked().ok_or(DropReason::Unasked)?;
        let in_time = self.clock.arrival(slice.body.slot, self.now) == Arrival::Timely;
        if asked.is_met_by(&slice.body) && in_time {
            return Ok(asked);
        }
        self.pacing.end(asked.slot);
        Err(DropReason::StaleProposal)
    }

    /// What of this producer's slot is due.
    pub(super) fn due(&mut self) -> Option<Due> {
        if self.unsaid.is_some() { None } else { self.pacing.due(self.now) }
    }

    /// Sends this producer's slice; the first of a slot once it is on disk. Restarted with a clock that went back, this
    /// producer would take the slot for one to come and make other slices of it.
    pub(super) fn send(&mut self, asked: &Proposal, slice: Slice) {
        self.pacing.sent(asked, slice.id());
        self.counters.proposed += 1;
        let slice = Box::new(slice);
        if asked.index > 0 {
            return self.say(LinkOutput::BroadcastSlice(slice));
        }
        self.say(LinkOutput::Record { slice: slice.reference() });
        self.unsaid = Some(slice);
    }

    /// The first slice of a slot is on disk, if it is still held: one that finality discarded meanwhile was not written.
    pub(super) fn recorded(&mut self, id: &Hash, is_held: bool) {
        match self.unsaid.take_if(|slice| slice.id() == *id) {
            Some(slice) if is_held => self.say(LinkOutput::BroadcastSlice(slice)),
            Some(_) => {}
            None => self.refuse(DropReason::Unasked),
        }
    }

    /// The host could not build what was asked for: nothing more in this slot.
    pub(super) fn declined(&mut self) {
        match self.pacing.take_asked() {
            Some(asked) => self.pacing.end(asked.slot),
            None => self.refuse(DropReason::Unasked),
        }
    }

    // --- Time ---

    /// The slots whose confirms are no longer counted since the last call: from one up to another.
    pub(super) fn forgotten(&mut self) -> Option<(Height, Height)> {
        let start = |slot| Height { slot, index: 0 };
        let to = Slot(self.clock.slot_at_most(self.now).0.saturating_sub(TALLY_SLOTS_MAX));
        let from = self.tally_from;
        if to <= from {
            return None;
        }
        self.tally_from = to;
        self.confirms.prune(start(to));
        Some((start(from), start(to)))
    }

    /// Asks for what is missing.
    pub(super) fn request(&mut self, above: SliceRef) {
        while let Some(missing) = self.orphans.due(self.now) {
            self.say(LinkOutput::Request { missing, above });
        }
    }

    /// Whether all was said.
    pub(super) fn is_silent(&self) -> bool {
        self.outputs.is_empty()
    }

    /// The next output.
    pub(super) fn take(&mut self) -> Option<LinkOutput> {
        self.wake = Some(self.now);
        self.outputs.pop_front()
    }

    /// Sleeps until production or a request is due.
    pub(super) fn sleep(&mut self, production: Option<Instant>) {
        self.wake = [self.orphans.wake_at(), production].into_iter().flatten().min();
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.wake
    }
}

/// A producer's word for a slice in whose place the schedule of `epoch` is in force.
pub(super) fn word(epoch: Epoch, slice: SliceRef, signature: hpb_types::Signature) -> SignedSlice {
    SignedSlice { statement: SliceStatement { version: SliceStatement::VERSION, epoch, slice }, signature }
}
