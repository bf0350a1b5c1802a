//! `hpb sim`: the whole chain on virtual time, seed by seed or by script.

use std::io;

use hpb_node::runtime::{StopFlag, stop_on_signals};
use hpb_sim::run::{Arguments, RunError, replay_command, run};
use hpb_sim::scenario::{Scale, Scenario, ScenarioError, play_all};

use crate::bench::print;
use crate::command_line::Sim;
use crate::failure::Failure;

pub(crate) fn simulate(options: &Sim) -> Result<(), Failure> {
    match (options.scenarios, options.scenario.as_slice()) {
        (true, _) => play(&Scenario::ALL, options),
        (false, []) => run_seeds(options),
        (false, named) => play(named, options),
    }
}

fn play(scenarios: &[Scenario], options: &Sim) -> Result<(), Failure> {
    let scale = Scale { slots: options.slots, ..Scale::REAL };
    match play_all(scenarios, &scale, options.trace, &mut io::stdout().lock()) {
        Ok(failed) if failed.is_empty() => Ok(()),
        Ok(failed) => Err(Failure::work(format_args!("not as expected: {}", failed.join(", ")))),
        // Whoever read has read enough.
        Err(ScenarioError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error @ ScenarioError::Write(_)) => Err(Failure::work(error)),
        Err(error) => Err(Failure::input(error)),
    }
}

fn run_seeds(options: &Sim) -> Result<(), Failure> {
    let stop = StopFlag::new().map_err(Failure::work)?;
    stop_on_signals(&stop).map_err(Failure::work)?;
    #[cfg(feature = "canary")]
    if let Some(name) = &options.canary {
        return hunt(name, options.nodes, &|| stop.is_raised());
    }
    let seeds = options.replay.map_or_else(|| options.seeds.clone(), |seed| seed..seed.saturating_add(1));
    let arguments = Arguments { seeds, nodes: options.nodes, whole_cards: options.whole_cards, trace: options.trace };
    let summary = match run(&arguments, &|| stop.is_raised(), &mut io::stdout().lock()) {
        Ok(summary) => summary,
        // Whoever read has read enough.
        Err(RunError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Err(error @ RunError::Write(_)) => return Err(Failure::work(error)),
        Err(error) => return Err(Failure::input(error)),
    };
    print(&format!("{summary}\n"))?;
    match summary.failed.first() {
        None => Ok(()),
        Some(first) => {
            let (failed, command) = (summary.failed.len(), replay_command(*first, options.nodes, options.whole_cards));
            Err(Failure::work(format_args!("{failed} of {} seeds failed; the first again: {command}", summary.seeds)))
        }
    }
}

/// Looks for one deliberate bug, or for all, and fails if a checker does not find its own.
#[cfg(feature = "canary")]
fn hunt(name: &str, nodes: usize, stop: &(dyn Fn() -> bool + Sync)) -> Result<(), Failure> {
    use hpb_sim::canaries::{ALL, Caged, hunt, named};

    let hunted: Vec<Caged> = if name == "all" { ALL.to_vec() } else { named(name).into_iter().collect() };
    if hunted.is_empty() {
        let names = ALL.map(|caged| caged.name).join(", ");
        return Err(Failure::input(format_args!("--canary {name}: expected all or one of {names}")));
    }
    let mut missed = 0;
    for caged in hunted {
        let hunt = hunt(caged, nodes, stop);
        missed += u32::from(!hunt.is_caught());
        print(&format!("{hunt}\n"))?;
    }
    if missed == 0 { Ok(()) } else { Err(Failure::work(format_args!("{missed} not found"))) }
}
