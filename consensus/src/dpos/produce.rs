//! Producing in one's slot and handing over (PROTOCOL.md, "Producing and handing over").
//!
//! A slot's slices leave one every slice time; the last leaves Delta before the slot ends and says so. The next producer
//! starts when that one is its head, or Delta into its own slot. One proposal is out at a time, and a slot is begun at
//! most once: nothing here can make two slices of one (slot, index).

use hpb_base::limits::SLICES_PER_SLOT_MAX;
use hpb_base::{Duration, Instant};
use hpb_types::{AccountName, Beacon, Epoch, Hash, NextSchedule, Slice, Slot};

use super::Dpos;
use super::check::may_carry;
use super::slot::Arrival;
use super::tree::Key;
use crate::engine::{DropReason, Output, Proposal};

/// How many slices a slot has while finality is too far behind for transactions: few, because every node keeps them all
/// until finality returns, and enough for it to return within one slot.
const SLICES_PER_SLOT_IDLE: u64 = 8;

/// This producer's part of its present slot.
#[derive(Debug)]
struct Streak {
    slot: Slot,
    index: u32,
    /// When the next slice leaves.
    due: Instant,
    /// When the last one leaves.
    deadline: Instant,
    /// The slice before; none at the start.
    parent: Option<Hash>,
    asked: Option<Proposal>,
    done: bool,
}

/// What the engine remembers for producing.
#[derive(Debug)]
pub(super) struct Production {
    streak: Option<Streak>,
    /// The first slot that was not begun yet.
    not_before: Slot,
    pub(super) pending_transactions: bool,
}

impl Production {
    pub(super) fn new(not_before: Slot) -> Self {
        Self { streak: None, not_before, pending_transactions: false }
    }
}

impl Dpos {
    /// Asks for the next slice if one is due.
    pub(super) fn produce(&mut self) {
        let Some(slot) = self.clock.slot_at(self.now) else { return };
        if self.production.streak.as_ref().is_some_and(|streak| streak.slot != slot) {
            self.production.streak = None;
        }
        if self.production.streak.is_none() {
            self.begin(slot);
        }
        let idle = self.is_idle();
        let Some(streak) = &mut self.production.streak else { return };
        if streak.done || streak.asked.is_some() || self.now < streak.due || idle {
            return;
        }
        let late = self.now > streak.deadline && streak.index == 0;
        let parent = match &streak.parent {
            None => Some(self.tree.head),
            Some(id) => self.tree.key(id),
        };
        let Some(parent) = parent.filter(|_| !late && !self.tree.is_full()) else {
            streak.done = true;
            return;
        };
        let (index, is_last) = (streak.index, self.now >= streak.deadline || streak.index + 1 >= SLICES_PER_SLOT_MAX);
        let proposal = self.proposal(parent, slot, index, is_last);
        let Some(streak) = &mut self.production.streak else { return };
        // A slice that was held up does not make those after it hurry.
        if self.now.since(streak.due) >= self.config.slice {
            streak.due = self.now;
        }
        streak.asked = Some(proposal.clone());
        self.outputs.push_back(Output::Propose(proposal));
    }

    fn proposal(&self, parent: Key, slot: Slot, index: u32, last: bool) -> Proposal {
        let (node, epochs) = (self.tree.node(parent), self.schedules().epochs());
        let (from, progress) = (node.height().slot, &node.standing.progress);
        let schedule = node.regime().in_slot(epochs, progress, from, slot);
        let fixes = epochs.fixes(from, slot).then(|| Epoch(epochs.of(slot).0 + 1));
        Proposal {
            slot,
            index,
            parent: node.reference,
            last,
            source: node.best.clone(),
            office: self.office_of(schedule, &node.best, node.carried.target.height),
            beacon: index == 0,
            fixes,
            may_carry_transactions: may_carry(slot, &progress.with(&node.best)),
        }
    }

    /// The host built what was asked for.
    pub(super) fn proposed(&mut self, slice: Slice) {
        let asked = self.production.streak.as_mut().and_then(|streak| streak.asked.take());
        let Some(asked) = asked else { return self.drop_input(DropReason::Unasked) };
        let body = &slice.body;
        let as_asked = body.slot == asked.slot
            && body.index == asked.index
            && body.last == asked.last
            && body.parent == asked.parent.id
            && body.source == *asked.source
            && body.epoch == asked.office.schedule.epoch
            && matches!(body.beacon, Beacon::Proof(_)) == asked.beacon
            && matches!(body.next, NextSchedule::Fixed(_)) == asked.fixes.is_some();
        let in_time = self.clock.arrival(body.slot, self.now) == Arrival::Timely;
        let reference = slice.reference();
        let checked = match self.check_alone(&slice) {
            Ok(()) if as_asked && in_time => self.attach(&slice, reference, self.now).map(|_| ()),
            Ok(()) => Err(DropReason::StaleProposal),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = checked {
            self.end_streak();
            return self.drop_input(reason);
        }
        self.counters.proposed += 1;
        self.outputs.push_back(Output::BroadcastSlice(Box::new(slice)));
        self.executed(&reference.id, true);
        let slice_time = self.slice_time(asked.may_carry_transactions);
        let Some(streak) = &mut self.production.streak else { return };
        streak.done = asked.last;
        streak.index += 1;
        streak.parent = Some(reference.id);
        streak.due += slice_time;
        // Rather one longer interval than a slice just before the last one.
        if streak.due + slice_time.div(2) > streak.deadline {
            streak.due = streak.deadline;
        }
    }

    /// The host could not build what was asked for: nothing more in this slot.
    pub(super) fn proposal_declined(&mut self) {
        if self.production.streak.as_ref().is_some_and(|streak| streak.asked.is_some()) {
            self.end_streak();
        } else {
            self.drop_input(DropReason::Unasked);
        }
    }

    /// When production wants a poll, seen from now.
    pub(super) fn production_wake(&self) -> Option<Instant> {
        let voter = self.voter.as_ref()?;
        if let Some(streak) = &self.production.streak
            && !streak.done
            && streak.asked.is_none()
            && streak.due > self.now
        {
            return Some(streak.due);
        }
        let present = self.clock.slot_at(self.now);
        let from = present.map_or(self.production.not_before, |slot| slot.max(self.production.not_before));
        let start = |slot| {
            let start = self.clock.start_of(slot);
            if Some(slot) == present { start + self.config.delta } else { start }
        };
        let slot = self.next_slot_of(&voter.name, from);
        if start(slot) > self.now {
            return Some(start(slot));
        }
        Some(self.clock.start_of(self.next_slot_of(&voter.name, Slot(slot.0 + 1)))).filter(|start| *start > self.now)
    }

    /// Begins `slot`, if it is this producer's and the hand-over is done.
    fn begin(&mut self, slot: Slot) {
        let Some(voter) = &self.voter else { return };
        let head = self.tree.node(self.tree.head);
        let (epochs, progress) = (self.schedules().epochs(), &head.standing.progress);
        let schedule = head.regime().in_slot(epochs, progress, head.height().slot, slot);
        if slot < self.production.not_before || schedule.producer_at(slot).name != voter.name {
            return;
        }
        if !voter.may_speak(&head.best.target) {
            return;
        }
        let handed_over = head.last && head.height().slot.0 + 1 == slot.0;
        let start = self.clock.start_of(slot);
        if !handed_over && self.now < start + self.config.delta {
            return;
        }
        let deadline = self.clock.start_of(Slot(slot.0 + 1)) - self.config.delta;
        self.production.not_before = Slot(slot.0 + 1);
        self.production.streak =
            Some(Streak { slot, index: 0, due: self.now, deadline, parent: None, asked: None, done: false });
    }

    /// The first slot from `from` on that may be `name`'s as the head's chain stands now, or that begins an epoch with
    /// another schedule or ends a round: it is asked again there.
    fn next_slot_of(&self, name: &AccountName, from: Slot) -> Slot {
        let head = self.tree.node(self.tree.head);
        let (epochs, at) = (self.schedules().epochs(), head.height().slot);
        let schedule = head.regime().in_slot(epochs, &head.standing.progress, at, from.max(at));
        let round = schedule.producers.len() as u64;
        let boundary = epochs.start_of(Epoch(epochs.of(from).0 + 1)).0.max(from.0 + 1);
        let end = from.0.saturating_add(round).min(boundary);
        let own = (from.0..end).map(Slot).find(|slot| schedule.producer_at(*slot).name == *name);
        own.unwrap_or(Slot(end))
    }

    /// Whether there is nothing to include and nothing with transactions that later slices must make final.
    fn is_idle(&self) -> bool {
        let count = |key: Key| self.tree.node(key).with_transactions;
        self.config.silent_when_idle
            && !self.production.pending_transactions
            && count(self.tree.head) == count(self.tree.root())
    }

    fn slice_time(&self, may_carry_transactions: bool) -> Duration {
        let sparse = self.config.slot.div(SLICES_PER_SLOT_IDLE);
        if may_carry_transactions { self.config.slice } else { self.config.slice.max(sparse) }
    }

    fn end_streak(&mut self) {
        if let Some(streak) = &mut self.production.streak {
            streak.asked = None;
            streak.done = true;
        }
    }
}
