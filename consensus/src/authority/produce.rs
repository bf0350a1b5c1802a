//! What a slice of this member builds on and carries, and in which slots it produces.

use std::sync::Arc;

use hpb_base::Instant;
use hpb_base::limits::UNFINAL_SLOTS_MAX;
use hpb_types::{Slice, SliceRef, Slot};

use super::Authority;
use super::anchor::office;
use crate::engine::{LinkOutput as Output, Proposal};
use crate::pacing::Due;

impl Authority {
    /// Asks for the next slice if one is due.
    pub(super) fn produce(&mut self) {
        let Some(slot) = self.desk.clock.slot_at(self.desk.now) else { return };
        let (root, head) = (self.chain.node(self.chain.root()), self.chain.head());
        let at_head = self.chain.node(head);
        let is_idle = self.desk.config.silent_when_idle
            && !self.desk.pacing.pending_transactions
            && root.with_transactions == at_head.with_transactions;
        let is_own = self.desk.voter.as_ref().is_some_and(|voter| {
            voter.name == self.schedule().producer_at(slot).name && voter.may_speak(&at_head.best.target)
        });
        if self.desk.pacing.is_open(slot) && is_own {
            let handed_over = at_head.last && head.height.slot.0 + 1 == slot.0;
            self.desk.pacing.begin(slot, handed_over, &self.desk.clock, self.desk.now);
        }
        if is_idle {
            return;
        }
        let Some(due) = self.desk.due() else { return };
        let parent = due.parent.map_or(Some(head), |id| self.chain.find(&id));
        let Some(parent) = parent.filter(|_| !self.chain.is_full()) else { return self.desk.pacing.end(slot) };
        let proposal = self.proposal(parent, due);
        self.desk.pacing.ask(proposal.clone(), self.desk.now);
        self.desk.say(Output::Propose(proposal));
    }

    fn proposal(&self, parent: SliceRef, due: Due) -> Proposal {
        let Due { slot, index, last, .. } = due;
        let above = self.chain.node(parent);
        Proposal {
            slot,
            index,
            parent,
            last,
            source: Arc::clone(&above.best),
            office: office(&self.schedules, &above.best, above),
            beacon: false,
            fixes: None,
            may_carry_transactions: slot.0.saturating_sub(self.chain.root().height.slot.0) <= UNFINAL_SLOTS_MAX,
        }
    }

    /// The host built what was asked for.
    pub(super) fn proposed(&mut self, slice: Slice) {
        let asked = match self.desk.answered(&slice) {
            Ok(asked) => asked,
            Err(reason) => return self.desk.refuse(reason),
        };
        let (at, now) = (slice.reference(), self.desk.now);
        if let Err(reason) = self.check_alone(&slice).and_then(|()| self.attach(&slice, at, now).map(|_| ())) {
            self.desk.pacing.end(asked.slot);
            return self.desk.refuse(reason);
        }
        self.desk.send(&asked, slice);
        self.executed(&at.id, true);
    }

    /// When production wants a poll, seen from now.
    pub(super) fn pacing_wake(&self) -> Option<Instant> {
        let place = self.schedule().index_of(&self.desk.voter.as_ref()?.name)? as u64;
        let count = self.schedule().producers.len() as u64;
        let next_own = |from: Slot| Some(Slot(from.0 + (place + count - from.0 % count) % count));
        self.desk.pacing.wake_at(&self.desk.clock, self.desk.now, next_own)
    }
}
