//! The beacon, the ranks, and the schedule that is fixed for the next epoch.
//!
//! At each slot's first slice the beacon's accumulator becomes the tagged hash, domain `beacon mix`, of itself and the
//! slot's output. The slice that fixes the schedule of epoch e takes the accumulator as it was before it: the seed is the
//! tagged hash, domain `epoch seed`, of the accumulator and e. Ranks are those before its transactions, so that its
//! producer, who knows the seed, changes nothing by them.
//!
//! What a coalition can bend: if the t slots before the fixing slice are its own, it may leave any of them empty, and so
//! choose among 2^t seeds, at the price of the reward of each block that it withholds. An output itself cannot be
//! chosen: there is one for each key and slot. The last of them also knows the seed while it makes its block, and may
//! choose in it the name of a producer that it registers, and so that producer's place in the order.
//!
//! A schedule of fewer than tolerate a fault is not drawn: where too few can be elected, the producers in force stay,
//! with the weights that they have and in a new order.

use hpb_types::{AccountName, Amount, DposParameters, Epoch, Hash, Schedule, ScheduledProducer};

use super::ProducerState;
use super::records::{Producer, Roster, Status};
use crate::apply::Rules;
use crate::host::{need_record, read_record};
use crate::key::{self, BEACON, DPOS, FIXED, PRODUCER, ROSTER, VOTES};
use crate::records::store;
use crate::view::{StateError, View};

/// Mixes a slot's output into the beacon.
pub(super) fn mix(view: &mut View<'_>, output: &Hash) -> Result<(), StateError> {
    let beacon_key = key::of(DPOS, BEACON);
    let before: Hash = need_record(view, &beacon_key)?;
    let after = Hash::of_parts("beacon mix", &[&before.0, &output.0]);
    view.set(beacon_key, Some(store(&after)));
    Ok(())
}

/// Fixes the schedule of `epoch`.
pub(super) fn fix(
    view: &mut View<'_>,
    rules: &Rules,
    parameters: &DposParameters,
    in_force: &Schedule,
    epoch: Epoch,
) -> Result<Schedule, StateError> {
    let beacon: Hash = need_record(view, &key::of(DPOS, BEACON))?;
    let seed = Hash::of_parts("epoch seed", &[&beacon.0, &epoch.0.to_le_bytes()]);
    let weight = |bond: Amount| parameters.weighting.weigh(bond);
    let elected = ranking(view)?.into_iter().filter_map(|ProducerState { name, producer, .. }| {
        let key = producer.key_at(epoch).filter(|_| producer.status == Status::Active)?;
        Some(ScheduledProducer { name, key, beacon: producer.beacon, weight: weight(producer.bond) })
    });
    let mut producers: Vec<ScheduledProducer> = elected.take(parameters.producers_max as usize).collect();
    if producers.len() < rules.producers_min {
        producers.clone_from(&in_force.producers);
        for scheduled in &mut producers {
            renew_keys(view, scheduled, epoch)?;
        }
    }
    view.set(key::of(DPOS, FIXED), Some(store(&epoch)));
    Ok(Schedule::draw(epoch, seed, producers))
}

/// Gives a producer that stays the keys that it has by now: evidence is judged by them.
fn renew_keys(view: &mut View<'_>, scheduled: &mut ScheduledProducer, epoch: Epoch) -> Result<(), StateError> {
    if let Some(producer) = read_record::<Producer>(view, &key::of(scheduled.name, PRODUCER))?
        && let Some(key) = producer.key_at(epoch)
    {
        scheduled.key = key;
        scheduled.beacon = producer.beacon;
    }
    Ok(())
}

/// The registered producers by rank: those that can be scheduled first, then by votes, then by registration.
pub(super) fn ranking(view: &mut View<'_>) -> Result<Vec<ProducerState>, StateError> {
    let roster: Roster = read_record(view, &key::of(DPOS, ROSTER))?.unwrap_or_default();
    let mut ranked = Vec::with_capacity(roster.producers.len());
    for name in roster.producers {
        let producer = need_record(view, &key::of(name, PRODUCER))?;
        ranked.push(ProducerState { name, votes: votes(view, name)?, producer });
    }
    // The sort is stable: equal votes stay in order of registration.
    ranked.sort_by_key(|state| (state.producer.status != Status::Active, core::cmp::Reverse(state.votes)));
    Ok(ranked)
}

/// The votes for an account as a producer.
pub(super) fn votes(view: &mut View<'_>, name: AccountName) -> Result<Amount, StateError> {
    Ok(read_record(view, &key::of(name, VOTES))?.unwrap_or_default())
}
