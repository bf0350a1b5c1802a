//! Validators as a target: a devnet on virtual time whose terminals submit transactions, and what they are told.
//!
//! Latency runs from the intended submission to the moment at which the terminal is told that its transaction is final;
//! the levels before that are kept as targets of their own, called by the target's name and the level's. It refuses what
//! the devnet's own terminals cannot do: arrivals other than a fixed rate of whole transactions, links that do more than
//! delay. Values are whole microseconds.

use core::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use hpb_base::{Duration, Instant};
use hpb_devnet::plan::{EngineKind, Plan, Times};
use hpb_devnet::report::{Level, Measurements};
use hpb_devnet::terminals::{Counters, Pace, Terminals};
use hpb_devnet::virtual_time::{VirtualDevnet, WALL_AT_ZERO};
use hpb_devnet::workload::{Assignment, FITTED, FITTED_TRANSFERS, Source, Workload};

use crate::record::{Buckets, Counts, Repeat, TargetRecord};
use crate::scenario::{Arrivals, Scenario, TargetSpec};
use crate::target::{Stop, Target, TargetError};

/// The genesis is this far ahead of the start.
const GENESIS_AHEAD_MS: u64 = 1_500;
/// A slot's length, and the time between slices, as validators have them if nobody says otherwise.
const SLOT_MS: u32 = 3_000;
const SLICE_MS: u32 = 50;
/// All sessions must be open after this much virtual time.
const ESTABLISH_MAX: Duration = Duration::from_secs(120);

/// See the module.
pub struct Validators {
    name: String,
    count: u32,
    /// A record for each level before the last.
    levels: Vec<TargetRecord>,
}

impl Validators {
    /// `count` validators as the scenario's target says.
    pub fn new(spec: &TargetSpec, count: u32) -> Self {
        Self { name: spec.name.clone(), count, levels: Vec::new() }
    }

    /// The name of a level before the last in figures.
    fn level_name(&self, level: Level) -> String {
        format!("{}-{}", self.name, level.label())
    }
}

impl Target for Validators {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> String {
        format!("{} validators on virtual time, from intended submission to final", self.count)
    }

    fn repeat(&mut self, scenario: &Scenario, number: u32, stop: Stop<'_>) -> Result<Repeat, TargetError> {
        let (measurements, counters, began) = played(scenario, self.count, scenario.seed + u64::from(number), stop)?;
        let made = |level: Level| repeat(&measurements, level, &counters, began, scenario.duration);
        for level in Level::ALL.into_iter().filter(|level| *level != Level::Final) {
            let name = self.level_name(level);
            let repeat = made(level);
            match self.levels.iter_mut().find(|record| record.name == name) {
                Some(record) => record.repeats.push(repeat),
                None => self.levels.push(TargetRecord {
                    about: format!("the same transactions, from intended submission to {}", level.label()),
                    name,
                    clock_error_ns: None,
                    repeats: vec![repeat],
                }),
            }
        }
        Ok(made(Level::Final))
    }

    fn take_others(&mut self) -> Vec<TargetRecord> {
        std::mem::take(&mut self.levels)
    }
}

fn failed(error: impl std::fmt::Display) -> TargetError {
    TargetError::Failed(error.to_string())
}

/// Plays one devnet to its end; returns what its terminals measured and counted, and when submission began.
fn played(
    scenario: &Scenario,
    validators: u32,
    seed: u64,
    stop: Stop<'_>,
) -> Result<(Measurements, Counters, Instant), TargetError> {
    let Arrivals::Fixed { per_s } = scenario.load.arrivals else {
        return Err(TargetError::Unavailable("validators take transactions at a fixed rate".to_owned()));
    };
    #[allow(clippy::cast_sign_loss, reason = "a rate above zero")]
    let rate = NonZeroU64::new(per_s.round() as u64).unwrap_or(NonZeroU64::MIN);
    let transfers = (rate.get() * scenario.duration.as_millis()).div_ceil(1_000).max(1);
    let drawn = transfers.min(FITTED_TRANSFERS as u64) as usize;
    let workload = Arc::new(Workload::drawn(&FITTED, seed, drawn).map_err(failed)?);
    let times = Times {
        genesis_ms: WALL_AT_ZERO.0 + GENESIS_AHEAD_MS,
        slot_ms: SLOT_MS,
        slice_ms: SLICE_MS,
        epoch_slots: None,
        delay_ms: scenario.there.delay.as_millis() as u32,
    };
    let (count, sessions) = (validators as usize, scenario.sessions);
    let plan = Plan::new(seed, count, sessions, times, EngineKind::Dpos, &workload, 2 * transfers).map_err(failed)?;
    let plan = Plan { delay: scenario.there.delay, ..plan };
    let assignment = Arc::new(Assignment::new(&workload, NonZeroU32::new(sessions).unwrap_or(NonZeroU32::MIN)));
    let source = Source::new(workload, seed);
    let terminals = (0..plan.cards.len()).map(|card| {
        let config = plan.terminals(card, &source, &assignment, Pace::Fixed(rate), WALL_AT_ZERO);
        Terminals::new(&plan.genesis, config).map_err(failed)
    });
    let terminals = terminals.collect::<Result<Vec<_>, _>>()?;
    let mut devnet = VirtualDevnet::new(&plan, terminals).map_err(failed)?;
    let is_open = |devnet: &VirtualDevnet| {
        devnet.cards.iter().all(|card| card.terminals.sessions().established == card.terminals.sessions().target)
    };
    let run = |devnet: &mut VirtualDevnet, until: Instant, done: &dyn Fn(&VirtualDevnet) -> bool| {
        devnet.run(until, |devnet| stop() || done(devnet)).map_err(failed)?;
        if stop() { Err(TargetError::Stopped) } else { Ok(()) }
    };
    let opened_by = devnet.now() + ESTABLISH_MAX;
    run(&mut devnet, opened_by, &is_open)?;
    if !is_open(&devnet) {
        return Err(failed(format_args!("not all of {sessions} terminals' sessions opened")));
    }
    // The chain has begun by then, and the first slot is behind.
    let chain_at = Instant::from_millis(GENESIS_AHEAD_MS + u64::from(SLOT_MS) * 2);
    let begin = devnet.now().max(chain_at) + scenario.warm_up;
    run(&mut devnet, begin, &|_| false)?;
    let end = begin + scenario.duration;
    devnet.cards.iter_mut().for_each(|card| card.terminals.begin(begin, end));
    run(&mut devnet, end, &|_| false)?;
    let is_done = |devnet: &VirtualDevnet| devnet.cards.iter().all(|card| card.terminals.outstanding() == 0);
    run(&mut devnet, end + scenario.drain, &is_done)?;
    let mut measurements = Measurements::new(begin);
    let mut counters = Counters::default();
    for card in &devnet.cards {
        measurements.merge(card.terminals.measurements());
        counters.merge(card.terminals.counters());
    }
    Ok((measurements, counters, begin))
}

/// What was measured to one level.
fn repeat(
    measurements: &Measurements,
    level: Level,
    counters: &Counters,
    began: Instant,
    measured: Duration,
) -> Repeat {
    let latency = Buckets(measurements.level(level).buckets().map(|(us, count)| (us * 1_000, count)).collect());
    let expected = counters.submitted + counters.shed;
    let arrived = latency.count();
    Repeat {
        began_ns: began.as_nanos(),
        measured_ns: measured.as_nanos(),
        latency,
        counts: Counts {
            intended: expected,
            sent: counters.submitted,
            expected,
            arrived,
            lost: expected.saturating_sub(arrived),
            ..Counts::default()
        },
        ..Repeat::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::scenario::file::parse_with;
    use crate::scenario::library::named;

    #[test]
    fn each_level_comes_after_the_one_before_and_no_transaction_is_lost() {
        let set = [("duration".to_owned(), "4s".to_owned()), ("sessions".to_owned(), "5".to_owned())];
        let scenario = parse_with(named("confirm-latency").unwrap().text, &set).unwrap();
        let mut target = Validators::new(&scenario.targets[0], 4);
        let last = target.repeat(&scenario, 0, &|| false).unwrap();
        assert_eq!((last.counts.intended, last.counts.arrived, last.counts.lost), (80, 80, 0));
        let levels = target.take_others();
        let names: Vec<&str> = levels.iter().map(|level| level.name.as_str()).collect();
        assert_eq!(
            names,
            ["validators-received", "validators-included", "validators-confirmed", "validators-justified"]
        );
        let of = |repeat: &Repeat| repeat.latency.percentile(50.0).unwrap();
        let mut medians: Vec<u64> = levels.iter().map(|level| of(&level.repeats[0])).collect();
        medians.push(of(&last));
        assert!(medians.is_sorted(), "{medians:?}");
        assert!(medians[2] > 10_000_000, "a confirmation crosses the way there and back");
    }

    #[test]
    fn a_devnet_that_is_to_stop_is_not_played_to_its_end() {
        let scenario = parse_with(named("confirm-latency").unwrap().text, &[]).unwrap();
        let asked = std::sync::atomic::AtomicU32::new(0);
        let stop = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 100;
        let mut target = Validators::new(&scenario.targets[0], 4);
        assert!(matches!(target.repeat(&scenario, 0, &stop), Err(TargetError::Stopped)));
        assert!(target.take_others().is_empty());
    }
}
