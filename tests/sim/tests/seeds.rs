//! Seeds of the simulator: a seed is a run, and whatever goes wrong, what must hold does.

#![allow(clippy::unwrap_used)]

use hpb_sim::electorate::Electorate;
use hpb_sim::faults::{SLOTS, Schedule};
use hpb_sim::run;
use hpb_sim::world::{Outcome, Plan, World};

fn run(nodes: usize, seed: u64, schedule: Schedule) -> Outcome {
    run_plan(Plan { seed, nodes, electorate: Electorate::all(nodes), schedule, whole_cards: false })
}

fn run_plan(plan: Plan) -> Outcome {
    World::new(plan.cast().unwrap(), plan, false).run()
}

#[test]
fn seven_calm_nodes_make_all_final() {
    let outcome = run(7, 1, Schedule::default());
    assert_eq!(outcome.failure, None);
    // Eleven slices a slot, and but for the last few all are final.
    assert!(outcome.slices >= 10 * (SLOTS - 1), "{outcome:?}");
    assert!(outcome.finals + 5 >= outcome.slices, "{outcome:?}");
    assert!(outcome.transactions > 100, "{outcome:?}");
}

#[test]
fn a_seed_is_a_run_and_another_seed_another() {
    let drawn = |seed| run_plan(Plan::draw(seed, 4)).trace;
    assert_eq!(drawn(3), drawn(3));
    assert_ne!(drawn(3), drawn(4));
}

/// The seeds of every test run: as many as fit in three minutes of two busy cores.
const SEEDS: u64 = 120;

#[test]
fn what_must_hold_holds_in_every_seed() {
    let mut told = Vec::new();
    let arguments = run::Arguments { seeds: 0..SEEDS, nodes: 7, whole_cards: false, trace: false };
    let summary = run::run(&arguments, &|| false, &mut told).unwrap();
    assert_eq!(summary.failed, [], "{}", String::from_utf8_lossy(&told));
    assert_eq!(summary.seeds, SEEDS);
    // The faults are not idle: liars are caught, and a conspiracy brings about two final chains.
    assert!(summary.accused > 0 && summary.conflicts > 0, "{summary}");
    assert!(summary.finals < summary.slices, "{summary}");
    // Sets change, and liars hardly ever come to be too many for it.
    assert!(summary.changes > SEEDS / 2 && 20 * summary.overruns <= SEEDS, "{summary}");
}
