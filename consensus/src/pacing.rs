//! When a producer's slices leave, and that none leaves twice (PROTOCOL.md, "Producing and handing over").
//!
//! A slot's slices leave one every slice time; the last leaves Delta before the slot ends and says so. The next producer
//! starts when that one is its head, or Delta into its own slot. One proposal is out at a time, and a slot is begun at
//! most once: nothing here can make two slices of one (slot, index). Whose slot it is and what a slice builds on and
//! carries is the engine's to say.

use hpb_base::limits::SLICES_PER_SLOT_MAX;
use hpb_base::{Duration, Instant};
use hpb_types::{Hash, Slot};

use crate::config::Config;
use crate::engine::Proposal;
use crate::slot::SlotClock;

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
    done: bool,
}

/// A slice that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    pub(super) slot: Slot,
    pub(super) index: u32,
    /// Whether it is the slot's last.
    pub(super) last: bool,
    /// The slice of this slot before it; none if it is the first.
    pub(super) parent: Option<Hash>,
}

/// What an engine remembers for producing.
#[derive(Debug)]
pub(super) struct Pacing {
    slot_time: Duration,
    slice_time: Duration,
    delta: Duration,
    streak: Option<Streak>,
    /// What the host has not answered yet.
    asked: Option<Proposal>,
    /// The first slot that was not begun yet.
    not_before: Slot,
    /// Whether transactions wait.
    pub(super) pending_transactions: bool,
}

impl Pacing {
    /// Nothing is produced before the slot `not_before`.
    pub(super) fn new(config: &Config, not_before: Slot) -> Self {
        Self {
            slot_time: config.slot,
            slice_time: config.slice,
            delta: config.delta,
            streak: None,
            asked: None,
            not_before,
            pending_transactions: false,
        }
    }

    /// Whether `slot`, the present one, was not begun yet. What an earlier one left undone is dropped.
    pub(super) fn is_open(&mut self, slot: Slot) -> bool {
        if self.streak.as_ref().is_some_and(|streak| streak.slot != slot) {
            self.streak = None;
        }
        self.streak.is_none() && slot >= self.not_before
    }

    /// Begins `slot`, this producer's own, once it is handed over or Delta old.
    pub(super) fn begin(&mut self, slot: Slot, handed_over: bool, clock: &SlotClock, now: Instant) {
        if !handed_over && now < clock.start_of(slot) + self.delta {
            return;
        }
        let deadline = clock.start_of(Slot(slot.0 + 1)) - self.delta;
        self.skip(slot);
        self.streak = Some(Streak { slot, index: 0, due: now, deadline, parent: None, done: false });
    }

    /// The slice that is due, to be answered by [`ask`](Self::ask) or [`end`](Self::end). A slot whose first slice is due
    /// only when its last one should leave is given up.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let streak = self.streak.as_mut()?;
        if streak.done || self.asked.is_some() || now < streak.due {
            return None;
        }
        if now > streak.deadline && streak.index == 0 {
            streak.done = true;
            return None;
        }
        let last = now >= streak.deadline || streak.index + 1 >= SLICES_PER_SLOT_MAX;
        Some(Due { slot: streak.slot, index: streak.index, last, parent: streak.parent })
    }

    /// The slice that is due was asked for.
    pub(super) fn ask(&mut self, proposal: Proposal, now: Instant) {
        let Some(streak) = &mut self.streak else { return };
        // A slice that was held up does not make those after it hurry.
        if now.since(streak.due) >= self.slice_time {
            streak.due = now;
        }
        self.asked = Some(proposal);
    }

    /// Takes back what was asked for, now that it is answered.
    pub(super) fn take_asked(&mut self) -> Option<Proposal> {
        self.asked.take()
    }

    /// The slice `id` left, as `asked` for: the next one is due a slice time later.
    pub(super) fn sent(&mut self, asked: &Proposal, id: Hash) {
        let sparse = self.slot_time.div(SLICES_PER_SLOT_IDLE);
        let slice_time = if asked.may_carry_transactions { self.slice_time } else { self.slice_time.max(sparse) };
        let Some(streak) = self.streak.as_mut().filter(|streak| streak.slot == asked.slot) else { return };
        streak.done = asked.last;
        streak.index += 1;
        streak.parent = Some(id);
        streak.due += slice_time;
        // Rather one longer interval than a slice just before the last one.
        if streak.due + slice_time.div(2) > streak.deadline {
            streak.due = streak.deadline;
        }
    }

    /// Nothing is begun in `slot` or before.
    pub(super) fn skip(&mut self, slot: Slot) {
        self.not_before = self.not_before.max(Slot(slot.0 + 1));
    }

    /// Nothing more in `slot`.
    pub(super) fn end(&mut self, slot: Slot) {
        if let Some(streak) = self.streak.as_mut().filter(|streak| streak.slot == slot) {
            streak.done = true;
        }
    }

    /// When it wants a poll, seen from `now`; `next_own` gives the first slot from one on in which this producer must look
    /// whether it is its own.
    pub(super) fn wake_at(
        &self,
        clock: &SlotClock,
        now: Instant,
        next_own: impl Fn(Slot) -> Option<Slot>,
    ) -> Option<Instant> {
        if let Some(streak) = &self.streak
            && !streak.done
            && self.asked.is_none()
            && streak.due > now
        {
            return Some(streak.due);
        }
        let present = clock.slot_at(now);
        let from = present.map_or(self.not_before, |slot| slot.max(self.not_before));
        let slot = next_own(from)?;
        let start = clock.start_of(slot);
        let start = if Some(slot) == present { start + self.delta } else { start };
        if start > now {
            return Some(start);
        }
        Some(clock.start_of(next_own(Slot(slot.0 + 1))?)).filter(|start| *start > now)
    }
}
