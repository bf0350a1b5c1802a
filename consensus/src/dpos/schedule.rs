//! Who produces in a slot, and what a quorum is (PROTOCOL.md, "Producing and handing over", "Changing the producers").
//!
//! The producers are genesis' in every epoch. Every answer here is for a slot or an epoch, so that a schedule that
//! changes enters by this door alone.

use std::collections::BTreeMap;

use hpb_types::{AccountName, Epoch, PublicKey, Schedule, ScheduledProducer, Slot};

/// The schedules of all epochs.
#[derive(Clone, Debug)]
pub struct Schedules {
    epoch_slots: u64,
    first: Schedule,
    indexes: BTreeMap<AccountName, usize>,
}

impl Schedules {
    /// The schedule of epoch 0 (at least one producer), in force for ever; epochs of `epoch_slots` slots (at least one).
    pub fn new(first: Schedule, epoch_slots: u64) -> Self {
        assert!(!first.producers.is_empty() && epoch_slots > 0, "a schedule has producers and a span");
        let indexes = first.producers.iter().enumerate().map(|(index, producer)| (producer.name, index)).collect();
        Self { epoch_slots, first, indexes }
    }

    /// The epoch of `slot`.
    pub fn epoch_of(&self, slot: Slot) -> Epoch {
        Epoch(slot.0 / self.epoch_slots)
    }

    /// The schedule of `epoch`.
    pub fn of(&self, epoch: Epoch) -> Schedule {
        Schedule { epoch, producers: self.first.producers.clone() }
    }

    /// The producer of `slot`.
    pub fn producer_at(&self, slot: Slot) -> &ScheduledProducer {
        self.first.producer_at(slot)
    }

    /// `name`'s index in the schedule of `epoch`.
    pub fn index_of(&self, _epoch: Epoch, name: &AccountName) -> Option<usize> {
        self.indexes.get(name).copied()
    }

    /// The weight of the producer at `index` in the schedule of `epoch`.
    pub fn weight(&self, _epoch: Epoch, index: usize) -> u64 {
        self.first.producers.get(index).map_or(0, |producer| producer.weight)
    }

    /// The key of the producer at `index` in the schedule of `epoch`.
    pub fn key(&self, _epoch: Epoch, index: usize) -> Option<&PublicKey> {
        self.first.producers.get(index).map(|producer| &producer.key)
    }

    /// Whether `weight` is more than two thirds of the weight of `epoch`.
    pub fn is_quorum(&self, _epoch: Epoch, weight: u64) -> bool {
        self.first.is_quorum(weight)
    }

    /// The first slot from `slot` on that belongs to `name`; `None` if none does within one round.
    pub fn next_slot_of(&self, name: &AccountName, slot: Slot) -> Option<Slot> {
        let round = self.first.producers.len() as u64;
        (slot.0..slot.0.saturating_add(round)).map(Slot).find(|slot| self.producer_at(*slot).name == *name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn schedules(count: usize) -> Schedules {
        let producers = (0..count)
            .map(|index| ScheduledProducer {
                name: format!("producer{index}").parse().unwrap(),
                key: PublicKey([index as u8; 32]),
                weight: 1,
            })
            .collect();
        Schedules::new(Schedule { epoch: Epoch(0), producers }, 8)
    }

    #[test]
    fn slots_go_round() {
        let schedules = schedules(4);
        let name = schedules.of(Epoch(0)).producers[2].name;
        assert_eq!(schedules.producer_at(Slot(6)).name, name);
        assert_eq!(schedules.next_slot_of(&name, Slot(7)), Some(Slot(10)));
        assert_eq!(schedules.next_slot_of(&"stranger".parse().unwrap(), Slot(7)), None);
        assert_eq!(schedules.epoch_of(Slot(15)), Epoch(1));
        assert_eq!(schedules.of(Epoch(3)).epoch, Epoch(3));
    }

    #[test]
    fn a_quorum_is_more_than_two_thirds() {
        for (count, enough) in [(4, 3), (6, 5), (7, 5), (9, 7), (100, 67)] {
            let schedules = schedules(count);
            assert!(schedules.is_quorum(Epoch(0), enough), "{enough} of {count}");
            assert!(!schedules.is_quorum(Epoch(0), enough - 1), "{} of {count}", enough - 1);
        }
    }
}
