//! What a slice of this producer builds on, carries and fixes, and in which slots it produces at all.

use hpb_base::Instant;
use hpb_types::{AccountName, Epoch, Slice, Slot};

use super::Dpos;
use super::check::may_carry;
use super::tree::Key;
use crate::engine::{DropReason, Engine, Output, Proposal};
use crate::pacing::Due;
use crate::slot::Arrival;

impl Dpos {
    /// Asks for the next slice if one is due.
    pub(super) fn produce(&mut self) {
        let Some(slot) = self.clock.slot_at(self.now) else { return };
        if self.pacing.is_open(slot) && self.is_own(slot) {
            let head = self.tree.node(self.tree.head);
            let handed_over = head.last && head.height().slot.0 + 1 == slot.0;
            self.pacing.begin(slot, handed_over, &self.clock, self.now);
        }
        if self.is_idle() {
            return;
        }
        let Some(due) = self.pacing.due(self.now) else { return };
        let parent = due.parent.map_or(Some(self.tree.head), |id| self.tree.key(&id));
        let Some(parent) = parent.filter(|_| !self.tree.is_full()) else { return self.pacing.end() };
        let proposal = self.proposal(parent, due);
        self.pacing.ask(proposal.clone(), self.now);
        self.outputs.push_back(Output::Propose(proposal));
    }

    fn proposal(&self, parent: Key, due: Due) -> Proposal {
        let Due { slot, index, last, .. } = due;
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
        let Some(asked) = self.pacing.take_asked() else { return self.drop_input(DropReason::Unasked) };
        let in_time = self.clock.arrival(slice.body.slot, self.now) == Arrival::Timely;
        let reference = slice.reference();
        let checked = match self.check_alone(&slice) {
            Ok(()) if asked.is_met_by(&slice.body) && in_time => self.attach(&slice, reference, self.now).map(|_| ()),
            Ok(()) => Err(DropReason::StaleProposal),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = checked {
            self.pacing.end();
            return self.drop_input(reason);
        }
        self.counters.proposed += 1;
        self.outputs.push_back(Output::BroadcastSlice(Box::new(slice)));
        self.executed(&reference.id, true);
        self.pacing.sent(&asked, reference.id);
    }

    /// The host could not build what was asked for: nothing more in this slot.
    pub(super) fn proposal_declined(&mut self) {
        if self.pacing.take_asked().is_some() {
            self.pacing.end();
        } else {
            self.drop_input(DropReason::Unasked);
        }
    }

    /// When production wants a poll, seen from now.
    pub(super) fn pacing_wake(&self) -> Option<Instant> {
        let voter = self.voter.as_ref()?;
        self.pacing.wake_at(&self.clock, self.now, |from| Some(self.next_slot_of(&voter.name, from)))
    }

    /// Whether `slot` is this producer's as the head's chain stands, and it may speak there.
    fn is_own(&self, slot: Slot) -> bool {
        let Some(voter) = &self.voter else { return false };
        let head = self.tree.node(self.tree.head);
        let (epochs, progress) = (self.schedules().epochs(), &head.standing.progress);
        let schedule = head.regime().in_slot(epochs, progress, head.height().slot, slot);
        schedule.producer_at(slot).name == voter.name && voter.may_speak(&head.best.target)
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
            && !self.pacing.pending_transactions
            && count(self.tree.head) == count(self.tree.root())
    }
}
