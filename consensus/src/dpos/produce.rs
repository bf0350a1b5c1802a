//! What a slice of this producer builds on, carries and fixes, and in which slots it produces at all.

use hpb_base::Instant;
use hpb_types::{AccountName, Epoch, Slice, Slot};

use super::Dpos;
use super::check::may_carry;
use super::tree::Key;
use crate::engine::{Engine, LinkOutput as Output, Proposal};
use crate::pacing::Due;

impl Dpos {
    /// Asks for the next slice if one is due.
    pub(super) fn produce(&mut self) {
        let Some(slot) = self.desk.clock.slot_at(self.desk.now) else { return };
        if self.desk.pacing.is_open(slot) && self.is_own(slot) {
            let head = self.tree.node(self.tree.head);
            let handed_over = head.last && head.height().slot.0 + 1 == slot.0;
            self.desk.pacing.begin(slot, handed_over, &self.desk.clock, self.desk.now);
        }
        if self.is_idle() {
            return;
        }
        let Some(due) = self.desk.due() else { return };
        let parent = due.parent.map_or(Some(self.tree.head), |id| self.tree.key(&id));
        let Some(parent) = parent.filter(|_| !self.tree.is_full()) else { return self.desk.pacing.end(slot) };
        let proposal = self.proposal(parent, due);
        self.desk.pacing.ask(proposal.clone(), self.desk.now);
        self.desk.say(Output::Propose(proposal));
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
        let asked = match self.desk.answered(&slice) {
            Ok(asked) => asked,
            Err(reason) => return self.desk.refuse(reason),
        };
        let reference = slice.reference();
        let now = self.desk.now;
        if let Err(reason) = self.check_alone(&slice).and_then(|()| self.attach(&slice, reference, now).map(|_| ())) {
            self.desk.pacing.end(asked.slot);
            return self.desk.refuse(reason);
        }
        self.desk.send(&asked, slice);
        self.executed(&reference.id, true);
    }

    /// When production wants a poll, seen from now.
    pub(super) fn pacing_wake(&self) -> Option<Instant> {
        let voter = self.desk.voter.as_ref()?;
        self.desk.pacing.wake_at(&self.desk.clock, self.desk.now, |from| Some(self.next_slot_of(&voter.name, from)))
    }

    /// Whether `slot` is this producer's as the head's chain stands, and it may speak there.
    fn is_own(&self, slot: Slot) -> bool {
        let Some(voter) = &self.desk.voter else { return false };
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
        self.desk.config.silent_when_idle
            && !self.desk.pacing.pending_transactions
            && count(self.tree.head) == count(self.tree.root())
    }
}
