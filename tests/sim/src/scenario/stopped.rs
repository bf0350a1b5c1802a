//! Validators that are stopped and come back.

use std::collections::BTreeSet;

use hpb_base::limits::UNFINAL_SLOTS_MAX;

use super::stage::{FROM_SLOT, Setting, Stage};
use super::{Scale, ScenarioError};
use crate::faults::{Kind, Loss};

/// Slots that two are stopped: so many more than a chain may grow without finality that what waits then expires.
pub(super) const TWO_STOPPED_SLOTS: u64 = UNFINAL_SLOTS_MAX + 220;
/// Slots from the last final one to the head while a quorum is there: the head's own slot, and two before it at an
/// epoch's border at which the stopped one's slots meet.
const LAG_SLOTS_MAX: u64 = 2;
/// Slots within which one that comes back follows the chain again.
const IN_STEP_SLOTS: u64 = 2;
/// Slots within which final catches up when a quorum is back.
const CATCH_UP_SLOTS: u64 = 6;
/// Slots of four producers with the same two in turn that may lie between two filled ones.
const SKIPPED_RUN_MAX: u64 = 4;
/// Slots after the end of what goes wrong in which users submit, and in which they wait for what they submitted.
const AFTER_SLOTS: u64 = 24;
const QUIET_SLOTS: u64 = 4;

fn stop(node: usize) -> Kind {
    Kind::Crash { node, loss: Loss::Kill, mid_write: false }
}

/// One of four is stopped.
pub(super) fn one(scale: &Scale, slots: u64, trace: bool) -> Result<Stage, ScenarioError> {
    let (stopped, others, back) = (3, [0, 1, 2], FROM_SLOT + slots);
    let end = back + AFTER_SLOTS;
    let setting =
        Setting { nodes: 4, delay: None, kinds: vec![stop(stopped)], until_slot: back, quiet_slot: end - QUIET_SLOTS };
    let mut stage = Stage::new(scale, setting, trace)?;
    let name = stage.name(stopped);
    let (mut lag_max, mut own) = (0, BTreeSet::new());
    for slot in 1..back {
        stage.to(slot + 1);
        own.extend(stage.owner(others[0], slot).filter(|owner| *owner == name).map(|_| slot));
        if slot < FROM_SLOT {
            continue;
        }
        let last = stage.final_slot_of(&others).unwrap_or(0);
        let lag = slot.saturating_sub(last);
        lag_max = lag_max.max(lag);
        stage.expect(lag <= LAG_SLOTS_MAX, || format!("when slot {slot} ends, slot {last} is the last final one"));
    }
    let in_step = stage.wait(back, end - QUIET_SLOTS, |stage| {
        stage.final_slot(stopped).is_some_and(|own| Some(own + 1) >= stage.final_slot(others[0]))
    });
    for slot in back..end - 1 {
        stage.to(slot + 1);
        own.extend(stage.owner(others[0], slot).filter(|owner| *owner == name).map(|_| slot));
    }
    stage.end(back + AFTER_SLOTS / 2, end);
    let filled = stage.filled();
    let last = stage.final_slot(others[0]).unwrap_or(0);
    for slot in 1..last {
        let is_away = (FROM_SLOT..back).contains(&slot) && own.contains(&slot);
        let is_filled = filled.contains(&slot);
        let may_miss = slot >= back && slot < back + IN_STEP_SLOTS && own.contains(&slot);
        stage.expect(is_filled != is_away || may_miss, || {
            let (what, whose) =
                if is_filled { ("filled", "the stopped one's") } else { ("skipped", "not the stopped one's") };
            format!("slot {slot} is {what} and {whose}")
        });
    }
    let skipped = (FROM_SLOT..back).filter(|slot| !filled.contains(slot)).count();
    let first_own = own.iter().copied().find(|slot| *slot >= back && filled.contains(slot));
    stage.figure("slots stopped", slots);
    stage.figure("slots skipped", skipped);
    stage.figure("lag in slots at most", lag_max);
    stage.expect(skipped > 0, || "none of the stopped one's slots came".to_owned());
    stage.expect_within("in step again after", in_step, IN_STEP_SLOTS);
    match first_own {
        Some(slot) => stage.figure("its first slot filled again after slots", slot - back),
        None => stage.expect(false, || "it fills no slot again".to_owned()),
    }
    tell_ends(&mut stage);
    Ok(stage)
}

/// Two of four are stopped.
pub(super) fn two(scale: &Scale, slots: u64, trace: bool) -> Result<Stage, ScenarioError> {
    let (there, back) = ([0, 1], FROM_SLOT + slots);
    let end = back + AFTER_SLOTS;
    let setting = Setting {
        nodes: 4,
        delay: None,
        kinds: vec![stop(2), stop(3)],
        until_slot: back,
        quiet_slot: end - QUIET_SLOTS,
    };
    let mut stage = Stage::new(scale, setting, trace)?;
    stage.to(FROM_SLOT + 1);
    let last_final = stage.final_slot(0).unwrap_or(0);
    let mut told = 0;
    for slot in FROM_SLOT + 1..back {
        stage.to(slot + 1);
        let now_final = there.map(|node| stage.final_slot(node));
        stage.expect(now_final == [Some(last_final); 2], || format!("in slot {slot} slots {now_final:?} are final"));
        let now_told = there.iter().map(|node| stage.view(*node).unfinal_slots).min().unwrap_or(0);
        let is_so =
            now_told >= told && now_told + SKIPPED_RUN_MAX >= slot - last_final && now_told <= slot - last_final;
        stage.expect(is_so, || {
            format!("when slot {slot} ends, users are told of {now_told} slots without finality, and of {told} before")
        });
        told = now_told;
    }
    let names = there.map(|node| stage.name(node));
    let chain = stage.unfinal(0);
    let mut counts = [0, 0];
    for known in &chain {
        let slot = known.reference.height.slot.0;
        stage.expect(slot < FROM_SLOT || names.contains(&known.producer), || {
            format!("{} produced slot {slot}", known.producer)
        });
        let (is_beyond, count) = (slot - last_final > UNFINAL_SLOTS_MAX, known.transactions.len());
        counts[usize::from(is_beyond)] += count;
        stage.expect(!is_beyond || count == 0, || {
            format!(
                "{} holds {count} transactions, {} slots after the last final one",
                known.reference,
                slot - last_final
            )
        });
    }
    let filled: BTreeSet<u64> = chain.iter().map(|known| known.reference.height.slot.0).collect();
    let grown = chain.first().map_or(0, |head| head.reference.height.slot.0);
    stage.expect(grown + SKIPPED_RUN_MAX >= back && counts[0] > 0, || {
        format!("the chain of the two ends in slot {grown}, with {} transactions", counts[0])
    });
    stage.figure("slots stopped", slots);
    stage.figure("slots filled meanwhile", filled.len());
    stage.figure("slices", chain.len());
    stage.figure("transactions included meanwhile", counts[0]);
    if slots > UNFINAL_SLOTS_MAX {
        let empty = chain.iter().filter(|known| known.reference.height.slot.0 - last_final > UNFINAL_SLOTS_MAX).count();
        stage.expect(empty > 0, || "no slice was sent beyond the slots that may pass without finality".to_owned());
        stage.figure("slices without transactions beyond the limit", empty);
    }
    stage.figure("slots without finality as users were told", told);
    let four = [0, 1, 2, 3];
    let took = stage.wait(back, end - QUIET_SLOTS, |stage| stage.final_slot_of(&four).is_some_and(|slot| slot >= back));
    stage.expect_within("final again after", took, CATCH_UP_SLOTS);
    stage.end(back + AFTER_SLOTS / 2, end);
    let chain_lost = chain.iter().filter(|known| !stage.checkers().is_final(&known.reference)).count();
    stage.figure("slices of the two not final in the end", chain_lost);
    tell_ends(&mut stage);
    Ok(stage)
}

/// What became of all transactions, as figures.
pub(super) fn tell_ends(stage: &mut Stage) {
    let ends = stage.ends(&[0, 1, 2, 3]);
    stage.figure("transactions", ends.submitted);
    stage.figure("told final", ends.finals);
    stage.figure("expired", ends.expired);
    let rejections = stage.audience(|audience| audience.rejections().clone());
    stage.expect(rejections.is_empty(), || format!("transactions were refused: {rejections:?}"));
    stage.expect(ends.finals > 0, || "no transaction was told final".to_owned());
}
