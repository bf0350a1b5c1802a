//! Who had which slot, epoch by epoch, as a log shows it: the order of each epoch, the slots that were filled and those
//! that were not, and what was sent in them but did not become final.

use std::collections::BTreeMap;

use hpb_base::limits::REPORT_EPOCHS_MAX;
use hpb_types::{AccountName, Epoch, Epochs, Genesis, Schedule, SliceBody, Slot};

/// The turns of the last epochs, at most [`REPORT_EPOCHS_MAX`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    epochs: Epochs,
    /// The schedules that the final chain fixed, by their names, and genesis' own.
    schedules: BTreeMap<Epoch, Schedule>,
    turns: BTreeMap<Epoch, Turns>,
    /// The slot of the last final slice.
    last: Slot,
}

/// One epoch's slots with something in them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Turns {
    /// The name of the schedule in force; none before a slice is final.
    schedule: Option<Epoch>,
    slots: BTreeMap<Slot, Sent>,
}

/// What was sent in one slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Sent {
    finals: u32,
    lost: u32,
    /// Who sent what is final.
    producers: Vec<AccountName>,
}

/// One epoch of a chain, up to its last final slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochTurns {
    /// Which.
    pub epoch: Epoch,
    /// The name of the schedule in force: the epoch that it was fixed for.
    pub schedule: Epoch,
    /// Its producers in the order of their turns.
    pub order: Vec<AccountName>,
    /// The slots, in their order.
    pub slots: Vec<Turn>,
}

/// One slot of an epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Which.
    pub slot: Slot,
    /// Whose turn it was.
    pub producer: AccountName,
    /// Final slices; none if the slot was skipped.
    pub finals: u32,
    /// Slices that the log holds and that did not become final.
    pub lost: u32,
    /// Who sent what is final.
    pub senders: Vec<AccountName>,
}

impl Rotation {
    /// A chain that has not begun.
    pub fn new(genesis: &Genesis) -> Self {
        let first = genesis.schedule();
        Self {
            epochs: Epochs::new(genesis.epoch_slots),
            schedules: BTreeMap::from([(first.epoch, first)]),
            turns: BTreeMap::new(),
            last: Slot(0),
        }
    }

    /// A slice became final, after all below it.
    pub fn finalised(&mut self, slice: &SliceBody, next: Option<&Schedule>) {
        let turns = self.turns.entry(self.epochs.of(slice.slot)).or_default();
        turns.schedule = Some(slice.epoch);
        let sent = turns.slots.entry(slice.slot).or_default();
        sent.finals += 1;
        if !sent.producers.contains(&slice.producer) {
            sent.producers.push(slice.producer);
        }
        self.last = slice.slot;
        if let Some(next) = next {
            self.schedules.insert(next.epoch, next.clone());
        }
        self.forget();
    }

    /// A slice of that slot can no longer become final.
    pub fn lost(&mut self, slot: Slot) {
        self.turns.entry(self.epochs.of(slot)).or_default().slots.entry(slot).or_default().lost += 1;
        self.forget();
    }

    fn forget(&mut self) {
        while self.turns.len() > REPORT_EPOCHS_MAX {
            self.turns.pop_first();
        }
        // The schedules that the epochs kept go by, and what came after them.
        let oldest = self.turns.values().find_map(|turns| turns.schedule);
        self.schedules.retain(|name, _| oldest.is_none_or(|oldest| *name >= oldest));
    }

    /// The epochs from that of `first` on, without the slots before it.
    pub fn since(&self, first: Slot) -> Vec<EpochTurns> {
        let mut schedule = None;
        let (from, to) = (self.epochs.of(first).0, self.epochs.of(self.last).0);
        let kept = self.turns.keys().next().map_or(from, |epoch| epoch.0);
        let mut found = Vec::new();
        for epoch in (kept..=to).map(Epoch) {
            let turns = self.turns.get(&epoch);
            // An epoch without a final slice has the schedule of the one before it, for all that is known.
            let named = turns.and_then(|turns| turns.schedule);
            schedule = named.and_then(|name| self.schedules.get(&name)).or(schedule);
            if let Some(schedule) = schedule.filter(|_| epoch.0 >= from) {
                found.push(self.turns_of(epoch, turns, schedule, first));
            }
        }
        found
    }

    fn turns_of(&self, epoch: Epoch, turns: Option<&Turns>, schedule: &Schedule, first: Slot) -> EpochTurns {
        let start = self.epochs.start_of(epoch).max(first).max(Slot(1));
        let end = self.epochs.start_of(Epoch(epoch.0 + 1)).0.min(self.last.0 + 1);
        let slots = (start.0..end).map(Slot).map(|slot| {
            let sent = turns.and_then(|turns| turns.slots.get(&slot)).cloned().unwrap_or_default();
            let Sent { finals, lost, producers: senders } = sent;
            Turn { slot, producer: schedule.producer_at(slot).name, finals, lost, senders }
        });
        EpochTurns {
            epoch,
            schedule: schedule.epoch,
            order: schedule.producers.iter().map(|producer| producer.name).collect(),
            slots: slots.collect(),
        }
    }
}

impl Turn {
    /// Whether nobody but the one whose turn it was has a final slice in it.
    pub fn is_its_producers_alone(&self) -> bool {
        self.senders.iter().all(|sender| *sender == self.producer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_types::{Beacon, Certificate, Hash, NextSchedule, ResultsCommitment, ScheduledProducer};

    use super::*;
    use crate::plan::{EngineKind, Plan, Times};
    use crate::workload::{FITTED, Workload};

    const EPOCH_SLOTS: u64 = 4;

    fn genesis() -> Genesis {
        let times = Times { genesis_ms: 1, slot_ms: 600, slice_ms: 50, epoch_slots: Some(EPOCH_SLOTS), delay_ms: 0 };
        Plan::new(1, 4, 1, times, EngineKind::Dpos, &Workload::drawn(&FITTED, 1, 1).unwrap(), 1).unwrap().genesis
    }

    fn name(index: usize) -> AccountName {
        AccountName::new(&format!("validator-{index}")).unwrap()
    }

    fn slice(genesis: &Genesis, slot: u64, schedule: u64, producer: usize) -> SliceBody {
        SliceBody {
            version: SliceBody::VERSION,
            chain: genesis.chain_id(),
            epoch: Epoch(schedule),
            slot: Slot(slot),
            index: 0,
            last: false,
            parent: Hash::ZERO,
            producer: name(producer),
            transactions_root: Hash::ZERO,
            results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
            source: Certificate::genesis(genesis.genesis_slice()),
            beacon: Beacon::None,
            next: NextSchedule::None,
        }
    }

    /// The genesis' producers in that order, for epoch `epoch`.
    fn schedule(genesis: &Genesis, epoch: u64, order: [usize; 4]) -> Schedule {
        let producers = order.map(|index| {
            let producer = &genesis.producers[index];
            ScheduledProducer { name: producer.name, key: producer.key, beacon: producer.beacon, weight: 1 }
        });
        Schedule { epoch: Epoch(epoch), seed: Hash::ZERO, producers: producers.to_vec() }
    }

    #[test]
    fn each_epoch_shows_its_order_and_what_became_of_its_slots() {
        let genesis = genesis();
        let mut rotation = Rotation::new(&genesis);
        let first = genesis.schedule();
        let at = |slot: u64| first.producer_at(Slot(slot)).name.as_str()[10..].parse().unwrap();
        for slot in [1, 2, 3] {
            let next = (slot == 3).then(|| schedule(&genesis, 1, [3, 1, 0, 2]));
            rotation.finalised(&slice(&genesis, slot, 0, at(slot)), next.as_ref());
        }
        rotation.finalised(&slice(&genesis, 4, 1, 3), None);
        rotation.finalised(&slice(&genesis, 4, 1, 3), None);
        rotation.lost(Slot(4));
        rotation.lost(Slot(5));
        rotation.finalised(&slice(&genesis, 6, 1, 0), None);
        let told = rotation.since(Slot(0));
        assert_eq!(told.iter().map(|turns| (turns.epoch.0, turns.schedule.0)).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
        let slots = |turns: &EpochTurns| -> Vec<(u64, u32, u32)> {
            turns.slots.iter().map(|turn| (turn.slot.0, turn.finals, turn.lost)).collect()
        };
        assert_eq!(slots(&told[0]), [(1, 1, 0), (2, 1, 0), (3, 1, 0)], "no slot 0 is anyone's");
        assert_eq!(slots(&told[1]), [(4, 2, 1), (5, 0, 1), (6, 1, 0)], "up to the last final one");
        assert_eq!(told[1].order, [3, 1, 0, 2].map(name));
        assert_eq!(told[1].slots[1].producer, name(1));
        assert!(told.iter().flat_map(|turns| &turns.slots).all(Turn::is_its_producers_alone));
        let later = rotation.since(Slot(5));
        assert_eq!(later.iter().map(slots).collect::<Vec<_>>(), [[(5, 0, 1), (6, 1, 0)]]);
    }

    #[test]
    fn a_slot_that_another_sent_in_is_not_its_producers_alone() {
        let genesis = genesis();
        let mut rotation = Rotation::new(&genesis);
        let own = genesis.schedule().producer_at(Slot(1)).name;
        let other = (0..4).find(|index| name(*index) != own).unwrap();
        rotation.finalised(&slice(&genesis, 1, 0, other), None);
        assert!(!rotation.since(Slot(0))[0].slots[0].is_its_producers_alone());
    }

    #[test]
    fn an_epoch_without_a_slice_goes_by_the_schedule_before_it() {
        let genesis = genesis();
        let mut rotation = Rotation::new(&genesis);
        rotation.finalised(&slice(&genesis, 1, 0, 0), None);
        rotation.finalised(&slice(&genesis, 2 * EPOCH_SLOTS, 0, 0), None);
        let told = rotation.since(Slot(0));
        assert_eq!(told.iter().map(|turns| turns.slots.len()).collect::<Vec<_>>(), [3, 4, 1]);
        assert!(told[1].slots.iter().all(|turn| turn.finals == 0));
    }

    #[test]
    fn the_oldest_epochs_are_forgotten() {
        let genesis = genesis();
        let mut rotation = Rotation::new(&genesis);
        let most = REPORT_EPOCHS_MAX as u64;
        for epoch in 0..2 * most {
            let next = schedule(&genesis, epoch + 1, [0, 1, 2, 3]);
            rotation.finalised(&slice(&genesis, 1 + epoch * EPOCH_SLOTS, epoch, 0), Some(&next));
        }
        let told = rotation.since(Slot(0));
        assert_eq!((told.len(), told[0].epoch.0), (REPORT_EPOCHS_MAX, most));
        assert!(rotation.schedules.len() <= REPORT_EPOCHS_MAX + 1);
    }
}
