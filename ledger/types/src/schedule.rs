//! Epochs, and who produces in one (PROTOCOL.md, "Changing the producers").
//!
//! A schedule is named by the epoch that it was fixed for. It stays in force until a later one takes its place, so its
//! epoch may lie behind the present one's; which schedule is in force on a chain is consensus' business.

use hpb_base::canary::{self, Canary};
use hpb_base::limits::PRODUCERS_MAX;

use crate::keys::{Hash, PublicKey};
use crate::name::AccountName;
use crate::units::{ChainId, Epoch, Slot};
use crate::vrf::VrfPublic;

/// A producer within a schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledProducer {
    /// Its account.
    pub name: AccountName,
    /// The key of its slices and confirms.
    pub key: PublicKey,
    /// The key of its part of the beacon.
    pub beacon: VrfPublic,
    /// Its weight in a certificate, at least 1.
    pub weight: u64,
}

/// Who produces, in order, from the epoch that it is fixed for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// The epoch that it was fixed for, and its name.
    pub epoch: Epoch,
    /// What the beacon had come to when it was fixed: orders the producers, and stands in what the beacon's proofs of
    /// its slots are about.
    pub seed: Hash,
    /// The producers; bitmaps index this list. Slot n belongs to producer n modulo their number.
    pub producers: Vec<ScheduledProducer>,
}

/// How much of a schedule's weight makes a certificate: [`Schedule::is_quorum`] or [`Schedule::is_majority`], as the
/// chain's engine asks for.
pub type Suffices = fn(&Schedule, u64) -> bool;

crate::layout!(ScheduledProducer { name, key, beacon, weight });
crate::layout!(Schedule { epoch, seed, producers: list(1..=PRODUCERS_MAX) });

impl Schedule {
    /// The schedule of `producers` (at least one) in the order that `seed` gives: ascending by the tagged hash, domain
    /// `order`, of the seed and the name. Whoever chooses its name chooses it before the seed is known.
    pub fn draw(epoch: Epoch, seed: Hash, mut producers: Vec<ScheduledProducer>) -> Self {
        producers.sort_by_cached_key(|producer| {
            let name = producer.name;
            (Hash::of_parts("order", &[&seed.0, name.as_str().as_bytes()]), name)
        });
        Self { epoch, seed, producers }
    }

    /// The weight of all, held at 2^64 - 1.
    pub fn total_weight(&self) -> u64 {
        self.producers.iter().fold(0, |sum, producer| sum.saturating_add(producer.weight))
    }

    /// Whose slot it is. A schedule has at least one producer, as decoding and
    /// [`Genesis::validate`](crate::Genesis::validate) ensure.
    pub fn producer_at(&self, slot: Slot) -> &ScheduledProducer {
        assert!(!self.producers.is_empty(), "a schedule without producers was refused when it was made");
        &self.producers[(slot.0 % self.producers.len() as u64) as usize]
    }

    /// Where `name` stands in the list.
    pub fn index_of(&self, name: &AccountName) -> Option<usize> {
        self.producers.iter().position(|producer| producer.name == *name)
    }

    /// The producer called `name`.
    pub fn producer(&self, name: &AccountName) -> Option<&ScheduledProducer> {
        self.producers.iter().find(|producer| producer.name == *name)
    }

    /// Whether `weight` is more than two thirds of the whole.
    pub fn is_quorum(&self, weight: u64) -> bool {
        let extra = u128::from(canary::is(Canary::QuorumOffByOne));
        3 * (u128::from(weight) + extra) > 2 * u128::from(self.total_weight())
    }

    /// Whether `weight` is more than half of the whole.
    pub fn is_majority(&self, weight: u64) -> bool {
        2 * u128::from(weight) > u128::from(self.total_weight())
    }

    /// Whether both have the same producers by name with the same weights, in whatever order and with whatever keys: then
    /// more than two thirds of the one are more than two thirds of the other.
    pub fn has_same_weights(&self, other: &Self) -> bool {
        let weights = |schedule: &Self| {
            let mut weights: Vec<(AccountName, u64)> =
                schedule.producers.iter().map(|producer| (producer.name, producer.weight)).collect();
            weights.sort_unstable();
            weights
        };
        weights(self) == weights(other)
    }

    /// What the beacon's proof of `slot` is about: the tagged hash, domain `beacon`, of the chain, the seed and the slot
    /// `u64`, little-endian.
    pub fn beacon_input(&self, chain: &ChainId, slot: Slot) -> Hash {
        Hash::of_parts("beacon", &[&chain.0.0, &self.seed.0, &slot.0.to_le_bytes()])
    }
}

/// How slots are counted into epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Epochs {
    slots: u64,
}

impl Epochs {
    /// Epochs of `slots` slots (at least one).
    pub fn new(slots: u64) -> Self {
        assert!(slots > 0, "an epoch has a span");
        Self { slots }
    }

    /// The epoch that `slot` belongs to.
    pub fn of(self, slot: Slot) -> Epoch {
        Epoch(slot.0 / self.slots)
    }

    /// The first slot of `epoch`, held at the last slot there is.
    pub fn start_of(self, epoch: Epoch) -> Slot {
        Slot(epoch.0.saturating_mul(self.slots))
    }

    /// The first slot of `epoch` in which the next epoch's schedule may be fixed: that of the last quarter, which leaves
    /// time to make the fixing slice final before the epoch ends, and lets evidence from the first three quarters act
    /// in the next epoch.
    pub fn fixing_from(self, epoch: Epoch) -> Slot {
        Slot(self.start_of(epoch).0.saturating_add(self.slots - (self.slots / 4).max(1)))
    }

    /// Whether a slice of `slot` on a parent of slot `parent` fixes the schedule of the next epoch: it is its chain's
    /// first at or after [`fixing_from`](Self::fixing_from) of its epoch.
    pub fn fixes(self, parent: Slot, slot: Slot) -> bool {
        let from = self.fixing_from(self.of(slot));
        parent < from && slot >= from
    }
}

#[cfg(test)]
mod tests;
