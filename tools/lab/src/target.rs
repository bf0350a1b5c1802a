//! What a scenario runs on: one way to carry messages, asked for one repeat at a time so that targets take turns.

use crate::record::{Repeat, TargetRecord};
use crate::scenario::Scenario;

/// Why a target gave no figures.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// This machine lacks what it needs, or the scenario asks what it cannot do; the others go on.
    #[error("{0}")]
    Unavailable(String),
    /// It failed on the way.
    #[error("{0}")]
    Failed(String),
    /// Somebody asked to stop.
    #[error("stopped before its end")]
    Stopped,
}

/// Whether somebody wants the run to end; asked from whatever thread carries a repeat, again and again.
pub type Stop<'s> = &'s (dyn Fn() -> bool + Sync);

/// One way to carry a scenario's messages.
pub trait Target {
    /// Its name in figures, as the scenario says.
    fn name(&self) -> &str;

    /// What carries the messages, for people.
    fn about(&self) -> String;

    /// Sets up, warms up, measures, waits for stragglers, tears down. `number` is the repeat's, from 0; dice start from
    /// the scenario's seed and this number. A repeat that `stop` ends is none.
    ///
    /// # Errors
    /// As the target fails, or is stopped.
    fn repeat(&mut self, scenario: &Scenario, number: u32, stop: Stop<'_>) -> Result<Repeat, TargetError>;

    /// What it measured beside, as targets of their own with as many repeats; asked for when all repeats are done.
    fn take_others(&mut self) -> Vec<TargetRecord> {
        Vec::new()
    }
}
