//! Scripted scenarios: what a chain is to stand, hour for hour on virtual time, with what its users are told.
//!
//! A seed draws its faults and asks whether what must hold holds. A scenario has the faults that its name says, under the
//! chain's default times, measures what they do, and states what is expected of each figure.

mod far;
mod split;
mod stage;
mod stopped;

use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use hpb_base::Duration;

use crate::cast::{CastError, Times};

/// A scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// One of four validators is stopped for a while and comes back.
    OneStopped,
    /// Two of four are stopped for longer than a chain may grow without finality, and come back.
    TwoStopped,
    /// Two and two are parted, and meet again.
    SplitTwoTwo,
    /// Three and one are parted, and meet again.
    SplitThreeOne,
    /// 21 validators are 50 ms apart, each from each, and nothing goes wrong.
    FarApart,
}

/// How long and how fast a scenario is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    /// The chain's times.
    pub times: Times,
    /// Slots of what the scenario is about: how long validators are stopped or parted, or of all of `far-apart`. None is
    /// as many as the scenario has by itself.
    pub slots: Option<u64>,
    /// How long a transaction may wait.
    pub expiry: Duration,
    /// The time between two transactions.
    pub submit_every: Duration,
}

/// What a scenario came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Which.
    pub scenario: Scenario,
    /// What was measured, with its name.
    pub figures: Vec<(&'static str, String)>,
    /// What did not come as expected.
    pub failures: Vec<String>,
    /// The last lines of the trace, if they were asked for.
    pub lines: Vec<String>,
}

/// No scenario has that name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("scenarios are one-stopped, two-stopped, split-2-2, split-3-1 and far-apart, found {0:?}")]
pub struct UnknownScenario(String);

/// Why scenarios are not played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A chain that cannot be.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// Too few slots to see anything.
    #[error("--slots: expected at least {least} for {scenario}, found {found}")]
    Slots {
        /// Of which.
        scenario: Scenario,
        /// At least so many.
        least: u64,
        /// What was asked for.
        found: u64,
    },
    /// What is told finds no reader.
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::OneStopped, Self::TwoStopped, Self::SplitTwoTwo, Self::SplitThreeOne, Self::FarApart];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneStopped => "one-stopped",
            Self::TwoStopped => "two-stopped",
            Self::SplitTwoTwo => "split-2-2",
            Self::SplitThreeOne => "split-3-1",
            Self::FarApart => "far-apart",
        }
    }

    /// Slots that it has by itself.
    pub fn slots(self) -> u64 {
        match self {
            Self::OneStopped => 100,
            Self::TwoStopped => stopped::TWO_STOPPED_SLOTS,
            // An hour.
            Self::SplitTwoTwo | Self::SplitThreeOne => 1_200,
            Self::FarApart => 1_000,
        }
    }

    /// Plays it; `trace` keeps the last lines of what happened.
    ///
    /// # Errors
    /// Too few slots; a chain that cannot be.
    pub fn play(self, scale: &Scale, trace: bool) -> Result<Report, ScenarioError> {
        let slots = scale.slots.unwrap_or_else(|| self.slots());
        if slots < SLOTS_MIN {
            return Err(ScenarioError::Slots { scenario: self, least: SLOTS_MIN, found: slots });
        }
        let stage = match self {
            Self::OneStopped => stopped::one(scale, slots, trace),
            Self::TwoStopped => stopped::two(scale, slots, trace),
            Self::SplitTwoTwo => split::two_two(scale, slots, trace),
            Self::SplitThreeOne => split::three_one(scale, slots, trace),
            Self::FarApart => far::apart(scale, slots, trace),
        }?;
        Ok(stage.into_report(self))
    }
}

/// A scenario has at least so many slots: fewer than two rounds of four producers show nothing.
pub const SLOTS_MIN: u64 = 8;

impl Scale {
    /// As on a chain with the default times: transactions that may wait for nearly as long as any may, four a second.
    pub const REAL: Self = Self {
        times: Times::REAL,
        slots: None,
        expiry: Duration::from_secs(590),
        submit_every: Duration::from_millis(250),
    };
}

/// Plays scenarios, tells each on `out`, and gives the names of those that did not come as expected.
///
/// # Errors
/// Too few slots; a chain that cannot be; a reader that went away.
pub fn play_all(
    scenarios: &[Scenario],
    scale: &Scale,
    trace: bool,
    out: &mut dyn Write,
) -> Result<Vec<&'static str>, ScenarioError> {
    let mut failed = Vec::new();
    for scenario in scenarios {
        let played = catch_unwind(AssertUnwindSafe(|| scenario.play(scale, trace)));
        let report = played.unwrap_or_else(|panic| {
            let what = crate::run::panic_text(&*panic);
            Ok(Report { scenario: *scenario, figures: Vec::new(), failures: vec![what], lines: Vec::new() })
        })?;
        for line in &report.lines {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{report}")?;
        if !report.failures.is_empty() {
            failed.push(scenario.name());
        }
    }
    Ok(failed)
}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(text: &str) -> Result<Self, UnknownScenario> {
        let known = Self::ALL.into_iter().find(|scenario| scenario.name() == text);
        known.ok_or_else(|| UnknownScenario(text.to_owned()))
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Report {
    /// One line, and one more for each thing that did not come as expected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.failures.is_empty() { "as expected" } else { "FAILED" };
        write!(f, "{:<11} {verdict}:", self.scenario)?;
        for (place, (name, value)) in self.figures.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma} {name} {value}")?;
        }
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}
