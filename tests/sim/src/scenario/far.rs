//! Validators that are far apart, and nothing goes wrong.

use hpb_base::Duration;

use super::stage::{Setting, Stage, percentile};
use super::{Scale, ScenarioError};

/// Validators.
const NODES: usize = 21;
/// What every message takes from one to another.
const DELAY: Duration = Duration::from_millis(50);
/// Slots at the end in which nobody submits any more.
const QUIET_SLOTS: u64 = 2;

/// 21 validators, each 50 ms from each other.
pub(super) fn apart(scale: &Scale, slots: u64, trace: bool) -> Result<Stage, ScenarioError> {
    let setting = Setting {
        nodes: NODES,
        delay: Some(DELAY),
        kinds: Vec::new(),
        until_slot: slots,
        quiet_slot: slots - QUIET_SLOTS,
    };
    let mut stage = Stage::new(scale, setting, trace)?;
    let mut lag_max = 0;
    for slot in 1..slots {
        stage.to(slot + 1);
        lag_max = lag_max.max((0..NODES).map(|node| stage.lag_slots(node)).max().unwrap_or(0));
    }
    stage.end(slots - QUIET_SLOTS, slots);
    let (filled, last) = (stage.filled(), stage.final_slot(0).unwrap_or(0));
    let skipped: Vec<u64> = (1..=last).filter(|slot| !filled.contains(slot)).collect();
    stage.expect(skipped.is_empty(), || format!("slots {skipped:?} are skipped"));
    let (lost, retractions) = (stage.lost_slices(), stage.audience(crate::audience::Audience::retractions));
    stage.expect(lost == 0, || format!("{lost} slices of honest producers left the chain"));
    stage.expect(retractions == 0, || format!("users were told {retractions} times that a transaction was retracted"));
    let ends = stage.ends(&(0..NODES).collect::<Vec<_>>());
    stage.expect(ends.finals == ends.submitted && ends.submitted > 0, || format!("not all became final: {ends:?}"));
    stage.figure("slots", slots);
    stage.figure("skipped", skipped.len());
    stage.figure("slices final", stage.checkers().finals_count());
    stage.figure("slices lost", lost);
    stage.figure("retractions told", retractions);
    stage.figure("lag in slots at most", lag_max);
    stage.figure("transactions final", ends.finals);
    for (name, read) in [
        ("confirmed by 8 others", crate::audience::Audience::confirmed_us as fn(&_) -> &[u64]),
        ("final", crate::audience::Audience::final_us as fn(&_) -> &[u64]),
    ] {
        let mut times = stage.audience(|audience| read(audience).to_vec());
        times.sort_unstable();
        let [half, most] = [50, 99].map(|percent| percentile(&times, percent) / 1_000);
        stage.figure(name, format_args!("p50 {half} ms p99 {most} ms"));
    }
    Ok(stage)
}
