//! `hpb tune`: what a validator needs of this host, applied and taken back.

use hpb_tune::apply::{ApplyError, Outcome as MadeOutcome, apply};
use hpb_tune::item;
use hpb_tune::journal::{Journal, JournalError, StateFile};
use hpb_tune::plan::{Plan, Wishes};
use hpb_tune::report::{self, Counts};
use hpb_tune::system::System;
use hpb_tune::undo::{Outcome as UndoOutcome, undo};

use crate::bench::print;
use crate::command_line::{Tune, TuneHost, TuneState};
use crate::failure::Failure;

pub(crate) fn run(what: Tune) -> Result<(), Failure> {
    match what {
        Tune::Check(options) => run_check(options),
        Tune::Apply(options) => run_apply(options),
        Tune::Undo(options) => run_undo(&options),
    }
}

fn run_check(options: TuneHost) -> Result<(), Failure> {
    let TuneHost { only, state, .. } = &options;
    let items = item::named(only);
    let journalled = StateFile::peek(&state.state).map_err(Failure::input)?.len();
    let json = state.json;
    let findings = item::check(&System, &plan(options)?, &items);
    let text = if json {
        report::check_json(&findings, journalled).map_err(Failure::work)?
    } else {
        report::check_text(&findings, journalled)
    };
    print(&text)?;
    match Counts::of(&findings).fix {
        0 => Ok(()),
        1 => Err(Failure::work("1 thing of this host is to fix")),
        count => Err(Failure::work(format_args!("{count} things of this host are to fix"))),
    }
}

fn run_apply(options: TuneHost) -> Result<(), Failure> {
    let TuneHost { only, state: TuneState { state, json }, .. } = &options;
    let (items, state, json) = (item::named(only), state.clone(), *json);
    let plan = plan(options)?;
    let mut store = StateFile::open(&state).map_err(Failure::input)?;
    let mut journal = Journal::open(&mut store).map_err(Failure::input)?;
    let applied = apply(&mut System, &plan, &items, &mut journal).map_err(|error| match error {
        ApplyError { made_count: 0, .. } => Failure::input(error),
        ApplyError { .. } => Failure::work(error),
    })?;
    let text = if json { report::apply_json(&applied).map_err(Failure::work)? } else { report::apply_text(&applied) };
    print(&text)?;
    // Taken in part counts as failed: it is not as it should be.
    match applied.made.iter().filter(|made| made.outcome != MadeOutcome::Set).count() {
        0 => Ok(()),
        count => Err(Failure::work(format_args!("{count} of {} changes could not be made", applied.made.len()))),
    }
}

fn run_undo(TuneState { state, json }: &TuneState) -> Result<(), Failure> {
    // Without a state file there is nothing to hold, and no folder to make.
    let undone = if StateFile::peek(state).map_err(Failure::input)?.is_empty() {
        Vec::new()
    } else {
        let mut store = StateFile::open(state).map_err(Failure::input)?;
        let mut journal = Journal::open(&mut store).map_err(Failure::input)?;
        undo(&mut System, &mut journal).map_err(|error: JournalError| Failure::work(error))?
    };
    let text = if *json { report::undo_json(&undone).map_err(Failure::work)? } else { report::undo_text(&undone) };
    print(&text)?;
    match undone.iter().filter(|undone| matches!(undone.outcome, UndoOutcome::Failed { .. })).count() {
        0 => Ok(()),
        count => Err(Failure::work(format_args!("{count} of {} changes could not be put back", undone.len()))),
    }
}

fn plan(options: TuneHost) -> Result<Plan, Failure> {
    let TuneHost { interfaces, cores, hugepages_mib, queues, .. } = options;
    Plan::make(&System, &Wishes { interfaces, cores, hugepages_mib, queues }).map_err(Failure::input)
}
