//! From a schedule that fails to the few faults that matter: faults are left out while the same checker still fails.

use crate::checkers::Checker;
use crate::faults::Schedule;

/// Runs that one schedule may cost.
const RUNS_MAX: u32 = 100;

/// A part of `schedule` of which no fault can be left out, as far as a bounded number of runs shows. `run` says which
/// checker fails under a schedule.
pub fn minimise(schedule: &Schedule, checker: Checker, mut run: impl FnMut(&Schedule) -> Option<Checker>) -> Schedule {
    let mut least = schedule.clone();
    let mut runs_left = RUNS_MAX;
    let mut length = least.faults.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        let mut smaller = false;
        while from < least.faults.len() && runs_left > 0 {
            runs_left -= 1;
            let tried = least.without(from..from + length);
            if run(&tried) == Some(checker) {
                least = tried;
                smaller = true;
            } else {
                from += length;
            }
        }
        // A fault that mattered beside another may no longer matter without it.
        length = if length == 1 && smaller && runs_left > 0 { 1 } else { length / 2 };
    }
    least
}

#[cfg(test)]
mod tests {
    use hpb_base::{Duration, Instant};

    use super::*;
    use crate::faults::{Fault, Kind};

    fn schedule(nodes: std::ops::Range<usize>) -> Schedule {
        let fault =
            |node| Fault { from: Instant::ZERO, until: Instant::ZERO, kind: Kind::Slow { node, by: Duration::ZERO } };
        Schedule { faults: nodes.map(fault).collect() }
    }

    fn nodes(schedule: &Schedule) -> Vec<usize> {
        let node = |fault: &Fault| match fault.kind {
            Kind::Slow { node, .. } => node,
            _ => usize::MAX,
        };
        schedule.faults.iter().map(node).collect()
    }

    #[test]
    fn what_does_not_matter_goes() {
        let fails = |schedule: &Schedule| {
            let held = nodes(schedule);
            (held.contains(&3) && held.contains(&9)).then_some(Checker::OneChain)
        };
        assert_eq!(nodes(&minimise(&schedule(0..12), Checker::OneChain, fails)), [3, 9]);
    }

    #[test]
    fn another_checker_is_another_failure() {
        let fails =
            |schedule: &Schedule| Some(if schedule.faults.len() == 4 { Checker::Supply } else { Checker::Liveness });
        assert_eq!(minimise(&schedule(0..4), Checker::Supply, fails).faults.len(), 4);
    }

    #[test]
    fn a_failure_without_faults_needs_none() {
        assert_eq!(minimise(&schedule(0..7), Checker::Runs, |_| Some(Checker::Runs)), Schedule::default());
    }
}
