//! Which slices this producer confirms (PROTOCOL.md, "Confirms, justification, finality", "Watermark").
//!
//! The engine offers every slice once, when it and its ancestors are executed: parents before children, so in the
//! chain's order and skipping none. A confirm leaves only after its watermark is on disk; several may be on their way
//! there at once.

use std::collections::VecDeque;

use hpb_base::limits::CONFIRMS_UNSYNCED_MAX;
use hpb_types::{AccountName, Epoch, Hash, SliceRef, Slot};

use crate::engine::DropReason;
use crate::watermark::{Memory, Watermark};

/// A producer's own voice.
#[derive(Debug)]
pub(super) struct Voter {
    pub(super) name: AccountName,
    memory: Memory,
    /// No slot at or below this one was begun after the engine's start.
    started: Slot,
    unsynced: VecDeque<Marked>,
}

/// A mark, and the epoch of the schedule in force at its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marked {
    pub(super) mark: Watermark,
    pub(super) epoch: Epoch,
}

impl Voter {
    /// `started` is the latest slot that it may have been anywhere when the engine started.
    pub(super) fn new(name: AccountName, memory: Memory, started: Slot) -> Self {
        Self { name, memory, started, unsynced: VecDeque::new() }
    }

    /// It made a slice of that slot.
    pub(super) fn lived(&mut self, slot: Slot) {
        self.started = self.started.max(slot);
    }

    /// The first slot in which it may produce: none that it may have produced in before it was restarted.
    pub(super) fn first_slot(&self) -> Slot {
        match self.memory {
            Memory::Never => Slot(1),
            Memory::Known(mark) => Slot(self.started.max(mark.target.height.slot).0 + 1),
            Memory::Lost => Slot(self.started.0 + 1),
        }
    }

    /// Whether it may speak on a chain whose carried source is `source`. One that lost its watermark may not until the
    /// source lies above everything that it can have confirmed: no link from there can surround or repeat an old one.
    pub(super) fn may_speak(&self, source: &SliceRef) -> bool {
        self.memory != Memory::Lost || source.height.slot > self.started
    }

    /// Decides on an executed slice. The watermark given is to be persisted, and counts from now on.
    pub(super) fn consider(
        &mut self,
        source: SliceRef,
        target: SliceRef,
        timely: bool,
        epoch: Epoch,
    ) -> Result<Watermark, DropReason> {
        if !self.may_speak(&source) {
            return Err(DropReason::Silent);
        }
        if !timely {
            return Err(DropReason::Late);
        }
        if let Memory::Known(mark) = self.memory
            && (target.height <= mark.target.height || source.height < mark.source.height)
        {
            return Err(DropReason::Watermark);
        }
        if self.unsynced.len() >= CONFIRMS_UNSYNCED_MAX {
            return Err(DropReason::Unsynced);
        }
        let mark = Watermark { source, target };
        self.memory = Memory::Known(mark);
        self.unsynced.push_back(Marked { mark, epoch });
        Ok(mark)
    }

    /// What may leave now that the mark of slice `id` is synced: its confirm, after all before it.
    pub(super) fn synced(&mut self, id: &Hash) -> Vec<Marked> {
        let count = self.unsynced.iter().position(|marked| marked.mark.target.id == *id).map_or(0, |index| index + 1);
        self.unsynced.drain(..count).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hpb_types::Height;

    use super::*;

    fn at(slot: u64, index: u32) -> SliceRef {
        SliceRef { height: Height { slot: Slot(slot), index }, id: Hash([(16 * slot) as u8 + index as u8; 32]) }
    }

    fn voter(memory: Memory) -> Voter {
        Voter::new("producer0".parse().unwrap(), memory, Slot(5))
    }

    #[test]
    fn targets_rise_and_sources_do_not_fall() {
        let mark = Watermark { source: at(2, 1), target: at(3, 4) };
        let cases = [
            (at(2, 1), at(3, 5), Ok(())),
            (at(3, 0), at(3, 5), Ok(())),
            (at(2, 1), at(3, 4), Err(DropReason::Watermark)),
            (at(2, 1), at(3, 3), Err(DropReason::Watermark)),
            (at(2, 0), at(4, 0), Err(DropReason::Watermark)),
        ];
        for (source, target, verdict) in cases {
            let mut voter = voter(Memory::Known(mark));
            assert_eq!(voter.consider(source, target, true, Epoch(0)).map(|_| ()), verdict, "{source} -> {target}");
        }
    }

    #[test]
    fn a_late_slice_is_not_confirmed_and_leaves_no_mark() {
        let mut voter = voter(Memory::Never);
        assert_eq!(voter.consider(at(0, 0), at(3, 4), false, Epoch(0)), Err(DropReason::Late));
        assert!(voter.consider(at(0, 0), at(3, 3), true, Epoch(0)).is_ok());
    }

    #[test]
    fn who_lost_the_watermark_is_silent_until_the_source_is_after_the_restart() {
        let mut voter = voter(Memory::Lost);
        assert_eq!(voter.consider(at(5, 9), at(6, 3), true, Epoch(0)), Err(DropReason::Silent));
        assert!(voter.consider(at(6, 0), at(6, 3), true, Epoch(0)).is_ok());
        assert_eq!(voter.consider(at(5, 9), at(7, 0), true, Epoch(0)), Err(DropReason::Watermark));
    }

    #[test]
    fn production_starts_after_anything_that_may_have_been_produced() {
        let known = |slot| Memory::Known(Watermark { source: at(0, 0), target: at(slot, 0) });
        let cases = [(Memory::Never, 1), (Memory::Lost, 6), (known(3), 6), (known(7), 8)];
        for (memory, slot) in cases {
            assert_eq!(voter(memory).first_slot(), Slot(slot));
        }
    }

    #[test]
    fn a_later_sync_covers_the_earlier_marks() {
        let mut voter = voter(Memory::Never);
        for index in 0..4 {
            voter.consider(at(0, 0), at(1, index), true, Epoch(0)).unwrap();
        }
        let indexes =
            |marks: Vec<Marked>| marks.iter().map(|marked| marked.mark.target.height.index).collect::<Vec<_>>();
        assert_eq!(indexes(voter.synced(&at(1, 2).id)), [0, 1, 2]);
        assert_eq!(indexes(voter.synced(&at(1, 1).id)), [0; 0]);
        assert_eq!(indexes(voter.synced(&at(1, 3).id)), [3]);
    }

    #[test]
    fn a_disk_that_never_answers_stops_the_confirms() {
        let mut voter = voter(Memory::Never);
        let count =
            (1..10_000).take_while(|slot| voter.consider(at(0, 0), at(*slot, 0), true, Epoch(0)).is_ok()).count();
        assert_eq!(count, CONFIRMS_UNSYNCED_MAX);
    }
}
