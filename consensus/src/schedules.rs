//! The schedules that a node knows, each by the epoch that it was fixed for.
//!
//! One comes in when the slice that fixes it is final here: before, two forks may fix two for one epoch, and none can be
//! in force on any chain, for that takes the proof of that finality (PROTOCOL.md, "Changing the producers"). So an epoch
//! names one schedule at most, and what a slice, confirm or quorum says of its epoch says by whose keys it is judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use hpb_base::limits::SCHEDULES_MAX;
use hpb_types::{AccountName, Epoch, Epochs, PublicKey, Quorum, Schedule, Slot};

/// The known schedules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedules {
    epochs: Epochs,
    known: BTreeMap<Epoch, Arc<Schedule>>,
}

impl Schedules {
    /// The schedule that a chain starts with (at least one producer); epochs of `epoch_slots` slots (at least one).
    pub fn new(first: Schedule, epoch_slots: u64) -> Self {
        assert!(!first.producers.is_empty(), "a schedule has producers");
        Self { epochs: Epochs::new(epoch_slots), known: BTreeMap::from([(first.epoch, Arc::new(first))]) }
    }

    /// How slots are counted into epochs.
    pub fn epochs(&self) -> Epochs {
        self.epochs
    }

    /// The schedule that was fixed for `epoch`, if it is known.
    pub fn get(&self, epoch: Epoch) -> Option<&Arc<Schedule>> {
        self.known.get(&epoch)
    }

    /// The latest that is known.
    pub fn latest(&self) -> &Arc<Schedule> {
        let latest = self.known.values().next_back();
        latest.unwrap_or_else(|| unreachable!("a schedule is in force, and kept"))
    }

    /// All that are known, ascending by epoch.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Schedule>> {
        self.known.values()
    }

    /// The first and the last epoch with a known schedule: these change whenever anything does.
    pub fn epochs_known(&self) -> Option<(Epoch, Epoch)> {
        Some((*self.known.keys().next()?, *self.known.keys().next_back()?))
    }

    /// Takes in a schedule whose fixing slice is final. When there are too many, the earliest goes.
    pub fn learn(&mut self, schedule: Arc<Schedule>) {
        self.known.entry(schedule.epoch).or_insert(schedule);
        if self.known.len() > SCHEDULES_MAX {
            self.known.pop_first();
        }
    }

    /// Forgets all schedules up to the epoch `present` of the last final slice but the one in force there and those that
    /// `is_needed` names: no chain that may still become final has another of them in force. That holds too for those above
    /// `in_force`, whose epoch began before the chain proved them final: without finality they come epoch by epoch, and must
    /// not crowd out the one that stays in force.
    pub fn forget(&mut self, in_force: Epoch, present: Epoch, is_needed: impl Fn(Epoch) -> bool) {
        self.known.retain(|epoch, _| *epoch > present || *epoch == in_force || is_needed(*epoch));
    }

    /// The schedule of `epoch` if it can be in force in `slot`, and `name` is then that slot's producer.
    pub fn of_producer(&self, epoch: Epoch, slot: Slot, name: &AccountName) -> Option<&Arc<Schedule>> {
        let schedule = self.known.get(&epoch).filter(|_| epoch <= self.epochs.of(slot))?;
        (schedule.producer_at(slot).name == *name).then_some(schedule)
    }

    /// The key by which `name` confirms where the schedule of `epoch` is in force: the one that it has there, or the
    /// latest one before, for whom that schedule put out of office and whose word still counts at the change.
    pub fn confirm_key(&self, epoch: Epoch, name: &AccountName) -> Option<PublicKey> {
        self.known.get(&epoch)?;
        let mut down = self.known.range(..=epoch).rev();
        down.find_map(|(_, schedule)| schedule.producer(name)).map(|producer| producer.key)
    }

    /// What `name` weighs in the schedule of `epoch`.
    pub fn weight(&self, epoch: Epoch, name: &AccountName) -> u64 {
        self.known.get(&epoch).and_then(|schedule| schedule.producer(name)).map_or(0, |producer| producer.weight)
    }

    /// The names of those who signed a certificate's quorums, each once.
    pub fn signers(&self, quorums: &[Quorum]) -> Vec<AccountName> {
        let named = quorums.iter().filter_map(|quorum| Some((quorum, self.known.get(&quorum.epoch)?)));
        let mut names: Vec<AccountName> = named
            .flat_map(|(quorum, schedule)| {
                quorum.producers.iter().filter_map(|index| Some(schedule.producers.get(index)?.name))
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use hpb_types::{Hash, ScheduledProducer, Signature, VrfPublic};

    use super::*;

    fn name(number: usize) -> AccountName {
        format!("producer{number}").parse().unwrap()
    }

    /// Key `10 x epoch + number` for each.
    fn schedule(epoch: u64, numbers: &[usize]) -> Schedule {
        let producer = |number: &usize| ScheduledProducer {
            name: name(*number),
            key: PublicKey([(10 * epoch % 100) as u8 + *number as u8; 32]),
            beacon: VrfPublic([0; 32]),
            weight: 1,
        };
        Schedule { epoch: Epoch(epoch), seed: Hash::ZERO, producers: numbers.iter().map(producer).collect() }
    }

    fn schedules() -> Schedules {
        let mut schedules = Schedules::new(schedule(0, &[0, 1, 2, 3]), 8);
        schedules.learn(Arc::new(schedule(2, &[4, 1])));
        schedules
    }

    #[test]
    fn a_slots_producer_is_the_schedules_of_its_epoch() {
        let schedules = schedules();
        let is = |epoch, slot, number| schedules.of_producer(Epoch(epoch), Slot(slot), &name(number)).is_some();
        assert!(is(0, 6, 2) && !is(0, 6, 1));
        assert!(is(0, 18, 2), "an earlier one may have stayed");
        assert!(is(2, 18, 4) && !is(2, 18, 1));
        assert!(!is(2, 14, 4), "before its epoch none is in force");
        assert!(!is(1, 14, 2), "unknown");
    }

    #[test]
    fn who_stays_confirms_by_its_present_key_and_who_leaves_by_its_last() {
        let schedules = schedules();
        let key = |epoch, number| schedules.confirm_key(Epoch(epoch), &name(number)).map(|key| key.0[0]);
        assert_eq!(key(2, 1), Some(21));
        assert_eq!(key(2, 4), Some(24));
        assert_eq!(key(2, 3), Some(3));
        assert_eq!(key(0, 1), Some(1));
        assert_eq!(key(0, 4), None);
        assert_eq!(key(1, 1), None, "unknown");
    }

    #[test]
    fn only_the_schedules_in_force_and_to_come_are_kept() {
        let mut schedules = schedules();
        schedules.learn(Arc::new(schedule(3, &[5])));
        schedules.forget(Epoch(3), Epoch(3), |epoch| epoch == Epoch(0));
        assert!(schedules.get(Epoch(0)).is_some() && schedules.get(Epoch(2)).is_none());
        assert_eq!(schedules.latest().epoch, Epoch(3));
        for epoch in 4..100 {
            schedules.learn(Arc::new(schedule(epoch, &[5])));
        }
        assert_eq!(schedules.known.len(), SCHEDULES_MAX);
    }

    #[test]
    fn what_stays_in_force_without_finality_outlives_all_that_lapse() {
        let mut schedules = Schedules::new(schedule(0, &[0, 1]), 8);
        for epoch in 1..100 {
            schedules.learn(Arc::new(schedule(epoch, &[5])));
            assert_eq!(schedules.known.len(), 2, "the one in force, and the one that may be next");
            schedules.forget(Epoch(0), Epoch(epoch), |_| false);
        }
        assert_eq!(schedules.epochs_known(), Some((Epoch(0), Epoch(0))));
    }

    #[test]
    fn signers_are_named_once() {
        let signatures = |indexes: &[usize]| -> BTreeMap<usize, Signature> {
            indexes.iter().map(|index| (*index, Signature([0; 64]))).collect()
        };
        let quorums = [Quorum::new(Epoch(0), &signatures(&[0, 1])), Quorum::new(Epoch(2), &signatures(&[0, 1]))];
        assert_eq!(schedules().signers(&quorums), [name(0), name(1), name(4)]);
    }
}
