//! Validators that are parted and meet again.

use super::stage::{FROM_SLOT, Setting, Stage};
use super::stopped::tell_ends;
use super::{Scale, ScenarioError};
use crate::faults::{Kind, Nodes};

/// Slots within which the chain is final again when all meet.
const FINAL_AGAIN_SLOTS: u64 = 2;
/// Slots within which one that was alone follows the chain again.
const IN_STEP_SLOTS: u64 = 2;
/// Slots that the three may be final behind the clock: the present one, the lonely one's before it, and its neighbour at
/// an epoch's border.
const LAG_SLOTS_MAX: u64 = 2;
/// Slots that may lie between the filled ones of a part of the producers.
const SKIPPED_RUN_MAX: u64 = 6;
const AFTER_SLOTS: u64 = 24;
const QUIET_SLOTS: u64 = 4;
const ALL: [usize; 4] = [0, 1, 2, 3];

fn set(scale: &Scale, one: &[usize], slots: u64, trace: bool) -> Result<Stage, ScenarioError> {
    let from = one.iter().fold(Nodes::default(), |nodes, node| nodes.or(Nodes::one(*node)));
    let cut = Kind::Cut { from, to: from.others(ALL.len()), both_ways: true, breaks: true };
    let healed = FROM_SLOT + slots;
    let quiet_slot = healed + AFTER_SLOTS - QUIET_SLOTS;
    Stage::new(
        scale,
        Setting { nodes: ALL.len(), delay: None, kinds: vec![cut], until_slot: healed, quiet_slot },
        trace,
    )
}

/// The heal, measured; all that follows.
fn heal(stage: &mut Stage, healed: u64) {
    let end = healed + AFTER_SLOTS;
    let took =
        stage.wait(healed, end - QUIET_SLOTS, |stage| stage.final_slot_of(&ALL).is_some_and(|slot| slot >= healed));
    stage.expect_within("final again after", took, FINAL_AGAIN_SLOTS);
    stage.end(healed + AFTER_SLOTS / 2, end);
    let (filled, last) = (stage.filled(), stage.final_slot(0).unwrap_or(0));
    let skipped: Vec<u64> = (healed + FINAL_AGAIN_SLOTS..last).filter(|slot| !filled.contains(slot)).collect();
    stage.expect(skipped.is_empty(), || format!("slots {skipped:?} after the heal are skipped"));
    let ends = stage.ends(&ALL);
    stage.expect(ends.retracted == ends.retracted_final + ends.retracted_expired, || {
        format!("not every transaction that was told retracted is final or expired: {ends:?}")
    });
    stage.expect(ends.retracted > 0, || "no transaction was told retracted".to_owned());
    stage.figure("slices that left the chain", stage.lost_slices());
    stage.figure("transactions told retracted", ends.retracted);
    stage.figure("of which final later", ends.retracted_final);
    stage.figure("and expired", ends.retracted_expired);
    tell_ends(stage);
}

/// Two and two.
pub(super) fn two_two(scale: &Scale, slots: u64, trace: bool) -> Result<Stage, ScenarioError> {
    let mut stage = set(scale, &[0, 1], slots, trace)?;
    let healed = FROM_SLOT + slots;
    stage.to(FROM_SLOT + 1);
    let before = stage.final_slot(0).unwrap_or(0);
    for slot in FROM_SLOT + 1..healed {
        stage.to(slot + 1);
        let finals = ALL.map(|node| stage.final_slot(node));
        stage.expect(finals == [Some(before); 4], || {
            format!("in slot {slot} slots {finals:?} are final, on either side")
        });
    }
    let (one, other) = (stage.unfinal(0), stage.unfinal(2));
    let told = ALL.map(|node| stage.view(node).unfinal_slots);
    stage.expect(told.iter().all(|told| told + SKIPPED_RUN_MAX >= healed - before), || {
        format!("users are told of {told:?} slots without finality")
    });
    let included = |chain: &[crate::checkers::Known]| chain.iter().map(|known| known.transactions.len()).sum::<usize>();
    let counts = [included(&one), included(&other)];
    stage.expect(counts.iter().all(|count| *count > 0), || format!("the sides included {counts:?} transactions"));
    stage.figure("slots parted", slots);
    stage.figure("slices of the sides", format_args!("{} and {}", one.len(), other.len()));
    stage.figure("transactions in them", format_args!("{} and {}", counts[0], counts[1]));
    heal(&mut stage, healed);
    Ok(stage)
}

/// Three and one.
pub(super) fn three_one(scale: &Scale, slots: u64, trace: bool) -> Result<Stage, ScenarioError> {
    let (three, lone) = ([0, 1, 2], 3);
    let mut stage = set(scale, &[lone], slots, trace)?;
    let healed = FROM_SLOT + slots;
    stage.to(FROM_SLOT + 1);
    let before = stage.final_slot(lone).unwrap_or(0);
    let mut lag_max = 0;
    for slot in FROM_SLOT + 1..healed {
        stage.to(slot + 1);
        let last = stage.final_slot_of(&three).unwrap_or(0);
        let lag = slot.saturating_sub(last);
        lag_max = lag_max.max(lag);
        stage.expect(lag <= LAG_SLOTS_MAX, || {
            format!("when slot {slot} ends, slot {last} is the three's last final one")
        });
        let own = stage.final_slot(lone);
        stage.expect(own == Some(before), || format!("in slot {slot} slot {own:?} is final to the one alone"));
    }
    let told = stage.view(lone).unfinal_slots;
    stage.expect(told + SKIPPED_RUN_MAX >= healed - before, || {
        format!("users beside the one alone are told of {told} slots without finality")
    });
    stage.figure("slots parted", slots);
    stage.figure("lag of the three in slots at most", lag_max);
    stage.figure("slots without finality as the one's users were told", told);
    stage.figure("its own slices", stage.unfinal(lone).len());
    let in_step = stage.wait(healed, healed + AFTER_SLOTS - QUIET_SLOTS, |stage| {
        stage.final_slot(lone).is_some_and(|own| own + 1 >= healed && Some(own + 1) >= stage.final_slot(three[0]))
    });
    stage.expect_within("the one in step after", in_step, IN_STEP_SLOTS);
    heal(&mut stage, healed);
    Ok(stage)
}
