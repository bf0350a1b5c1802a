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
    let outcome =
        run_plan(Plan { seed: 1, nodes: 4, electorate, schedule: Schedule::default(), whole_cards: true });
    assert_eq!(outcome.failure, None);
    assert!(outcome.slices >= 10 * (SLOTS - 1), "{outcome:?}");
    assert!(outcome.finals + 5 >= outcome.slices, "{outcome:?}");
    assert!(outcome.transactions > 100, "{outcome:?}");
}

#[test]
fn a_seed_is_a_run_down_to_every_frame() {
    let drawn = |seed| run_plan(Plan::draw(seed, 4).with_whole_cards(true)).trace;
    assert_eq!(drawn(3), drawn(3));
}

#[test]
fn what_must_hold_holds_for_whole_nodes() {
    let mut told = Vec::new();
    let arguments = run::Arguments { seeds: 0..10, nodes: 4, whole_cards: true, trace: false };
    let summary = run::run(&arguments, &|| false, &mut told).unwrap();
    assert_eq!(summary.failed, [], "{}", String::from_utf8_lossy(&told));
    println!("{summary}");
}
