//! What the producers of an epoch do, and what it comes to when the epoch has ended: rewards, and silence.
//!
//! Counted are filled slots and signed certificates, in the epoch of the slice that brings them. A certificate counts if
//! those who signed it are a quorum of the schedule in force: at the start of an epoch one still comes from the
//! producers before, and would make silent whom it could not know.
//!
//! For each slot of the epoch the pool pays `reward_per_slot`: half for the slot's block, to its producer; half for
//! confirms, shared by all producers alike, of which each gets as much as it signed of the epoch's certificates. Every
//! share is rounded down. What nobody earned stays in the pool; if the pool holds less than is due, it pays in the order
//! of the schedule, which the beacon drew, until it is empty.
//!
//! Who filled no slot and signed no certificate of a whole epoch is on standby from then on, unless no certificate was
//! counted: without a quorum nobody can be told silent. An epoch in which the chain has no slice is not settled: nobody
//! earns or misses anything in it.

use std::collections::BTreeSet;

use hpb_types::{Amount, DposParameters, Epoch, Epochs, Schedule};

use super::records::{Activity, Deeds, Producer, Status, Term};
use crate::apply::{Rules, SliceContext};
use crate::host::{credit, need_record, read_record};
use crate::key::{self, ACTIVITY, DPOS, POOL, PRODUCER, TERM};
use crate::records::{store, store_amount};
use crate::view::{StateError, View};

/// The activity of `epoch`: what the state has of it, or a new one after the last one is settled.
pub(super) fn open(
    view: &mut View<'_>,
    rules: &Rules,
    parameters: &DposParameters,
    epoch: Epoch,
    schedule: &Schedule,
) -> Result<Activity, StateError> {
    match read_record::<Activity>(view, &key::of(DPOS, ACTIVITY))? {
        Some(present) if present.epoch == epoch => return Ok(present),
        Some(past) => settle(view, rules, parameters, &past)?,
        None => {}
    }
    let term = Term { producers: schedule.producers.iter().map(|producer| producer.name).collect() };
    let deeds = vec![Deeds::default(); term.producers.len()];
    view.set(key::of(DPOS, TERM), Some(store(&term)));
    Ok(Activity { epoch, certificates: 0, filled: 0, deeds })
}

/// Counts what a slice brings; false if that is nothing.
pub(super) fn count(activity: &mut Activity, context: &SliceContext, fills_slot: bool) -> bool {
    let schedule = &context.schedule;
    if fills_slot {
        activity.filled += 1;
        let producer = schedule.index_of(&context.producer);
        if let Some(deeds) = producer.and_then(|index| activity.deeds.get_mut(index)) {
            deeds.blocks += 1;
        }
    }
    let signed: BTreeSet<usize> = context.confirmers.iter().filter_map(|name| schedule.index_of(name)).collect();
    let weights = signed.iter().filter_map(|index| schedule.producers.get(*index)).map(|producer| producer.weight);
    let is_counted = schedule.is_quorum(weights.fold(0, u64::saturating_add));
    if is_counted {
        activity.certificates += 1;
        for index in signed {
            if let Some(deeds) = activity.deeds.get_mut(index) {
                deeds.confirms += 1;
            }
        }
    }
    fills_slot || is_counted
}

/// Pays for an epoch that has ended, and tells who was silent in it.
fn settle(view: &mut View<'_>, rules: &Rules, parameters: &DposParameters, past: &Activity) -> Result<(), StateError> {
    let term: Term = need_record(view, &key::of(DPOS, TERM))?;
    let pool_key = key::of(DPOS, POOL);
    let mut pool: Amount = need_record(view, &pool_key)?;
    let producers_count = term.producers.len();
    for (index, (name, deeds)) in term.producers.iter().zip(&past.deeds).enumerate() {
        let due = due(parameters, rules.epochs, past, producers_count, *deeds);
        let paid = due.min(pool);
        pool = pool.checked_sub(paid).ok_or_else(|| StateError::overflow("the pool"))?;
        if paid != Amount::ZERO {
            credit(view, *name, paid)?;
        }
        let producer_key = key::of(*name, PRODUCER);
        // One that has withdrawn its bond meanwhile is paid, and that is all.
        let Some(mut producer) = read_record::<Producer>(view, &producer_key)? else { continue };
        let slots = slots_of(rules.epochs, past.epoch, index as u64, producers_count as u64);
        let service = &mut producer.service;
        service.blocks = service.blocks.saturating_add(deeds.blocks);
        service.confirms = service.confirms.saturating_add(deeds.confirms);
        service.missed_slots = service.missed_slots.saturating_add(slots.saturating_sub(deeds.blocks));
        // What was paid can be bonded, cut and paid again, so the sum is no part of the supply.
        service.rewards = Amount(service.rewards.0.saturating_add(paid.0));
        if past.certificates > 0 && *deeds == Deeds::default() && producer.status == Status::Active {
            producer.status = Status::Standby { since: past.epoch };
        }
        view.set(producer_key, Some(store(&producer)));
    }
    view.set(pool_key, Some(store_amount(pool)));
    Ok(())
}

/// What a producer has earned in an epoch, held at the largest amount.
fn due(parameters: &DposParameters, epochs: Epochs, past: &Activity, producers_count: usize, deeds: Deeds) -> Amount {
    let half = parameters.reward_per_slot.0 / 2;
    let blocks = half.saturating_mul(u128::from(deeds.blocks));
    let slots = epochs.start_of(Epoch(1)).0;
    let shared = half.saturating_mul(u128::from(slots)).saturating_mul(u128::from(deeds.confirms));
    let parts = u128::from(past.certificates) * producers_count as u128;
    Amount(blocks.saturating_add(shared.checked_div(parts).unwrap_or(0)))
}

/// How many slots of `epoch` belong to the producer at `index` of `count`. Slot 0 is genesis' and nobody's.
fn slots_of(epochs: Epochs, epoch: Epoch, index: u64, count: u64) -> u64 {
    let before = |slot: u64| slot / count + u64::from(slot % count > index);
    let start = epochs.start_of(epoch).0.max(1);
    let end = epochs.start_of(Epoch(epoch.0.saturating_add(1))).0;
    before(end).saturating_sub(before(start))
}

#[cfg(test)]
mod tests {
    use hpb_types::Slot;

    use super::*;
    use crate::testing::dpos_parameters;

    #[test]
    fn slots_belong_to_those_whom_the_schedule_names() {
        let epochs = Epochs::new(10);
        for count in 1..=12_u64 {
            for epoch in 0..4 {
                for index in 0..count {
                    let all = 1.max(10 * epoch)..10 * (epoch + 1);
                    let expected = all.filter(|slot| slot % count == index).count() as u64;
                    assert_eq!(slots_of(epochs, Epoch(epoch), index, count), expected, "{epoch}: {index} of {count}");
                }
            }
        }
        assert_eq!(slots_of(epochs, epochs.of(Slot(u64::MAX)), 0, 1), 5, "the last epoch is cut short");
    }

    #[test]
    fn rewards_are_half_for_blocks_and_half_for_confirms() {
        let epochs = Epochs::new(10);
        let mut parameters = dpos_parameters();
        parameters.reward_per_slot = Amount(1_001);
        let due = |parameters: &DposParameters, certificates, blocks, confirms| {
            let past = Activity { epoch: Epoch(1), certificates, filled: 0, deeds: Vec::new() };
            due(parameters, epochs, &past, 3, Deeds { blocks, confirms }).0
        };
        assert_eq!(due(&parameters, 0, 0, 0), 0);
        assert_eq!(due(&parameters, 0, 2, 0), 1_000, "blocks alone, where nothing was certified");
        assert_eq!(due(&parameters, 50, 0, 50), 1_666, "a third of 10 halves, rounded down");
        assert_eq!(due(&parameters, 50, 3, 25), 1_500 + 833);
        parameters.reward_per_slot = Amount(u128::MAX);
        assert_eq!(due(&parameters, 1, u64::MAX, u64::MAX), u128::MAX, "nothing wraps");
    }
}
