//! Seeds with whole nodes: cards over a wire, handshakes, real signatures.

#![allow(clippy::unwrap_used)]

use hpb_sim::electorate::Electorate;
use hpb_sim::faults::{SLOTS, Schedule};
use hpb_sim::run;
use hpb_sim::world::{Outcome, Plan, World};

fn run_plan(plan: Plan) -> Outcome {
    World::new(plan.cast().unwrap(), plan, false).run()
}

#[test]
fn four_calm_whole_nodes_make_all_final() {
    let electorate = Electorate::all(4);
    let outcome = run_plan(Plan { seed: 1, nodes: 4, electorate, schedule: Schedule::default(), whole_cards: true });
    assert_eq!(outcome.failure, None);
    assert!(outcome.slices >= 10 * (SLOTS - 1), "{outcome:?}");
    assert!(outcome.finals + 5 >= outcome.slices, "{outcome:?}");
    assert!(outcome.transactions > 100, "{outcome:?}");
}

/// The trace covers every frame of every card, so it shows that handshakes draw their keys from the seed as well.
#[test]
fn a_seed_is_a_run_down_to_every_frame() {
    let drawn = |seed| run_plan(Plan::draw(seed, 4).with_whole_cards(true)).trace;
    assert_eq!(drawn(3), drawn(3));
    assert_ne!(drawn(3), drawn(4));
}

#[test]
fn one_seed_in_twenty_is_of_whole_nodes_unless_they_are_many() {
    let whole = |nodes| (0..100).filter(|seed| Plan::draw(*seed, nodes).whole_cards).count();
    assert_eq!([whole(4), whole(7), whole(21), whole(22)], [5, 5, 5, 0]);
    let short = Plan::draw(19, 21);
    let judged = hpb_sim::cast::slot_start(short.slots() - hpb_sim::world::LIVENESS_SLOTS);
    assert!(short.slots() < SLOTS && short.schedule.heals(hpb_base::Duration::ZERO).iter().all(|at| *at < judged));
}

/// The seeds of every test run.
const SEEDS: u64 = 10;

#[test]
fn what_must_hold_holds_for_whole_nodes() {
    let mut told = Vec::new();
    let arguments = run::Arguments { seeds: 0..SEEDS, nodes: 7, whole_cards: true, trace: false };
    let summary = run::run(&arguments, &|| false, &mut told).unwrap();
    assert_eq!(summary.failed, [], "{}", String::from_utf8_lossy(&told));
    assert_eq!(summary.seeds, SEEDS);
    // The faults are not idle over a wire either: liars are caught, twins make two final chains, sets change.
    assert!(summary.accused > 0 && summary.conflicts > 0 && summary.changes > 0, "{summary}");
    assert!(summary.finals < summary.slices, "{summary}");
}
