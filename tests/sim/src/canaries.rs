//! Deliberate bugs, one at a time, and how many seeds it takes until the checker that must find it does.
//!
//! The seeds are those of every run: with a canary in, nothing else is drawn than without.

use std::collections::BTreeMap;
use std::fmt;

use hpb_base::canary::{self, Canary};

use crate::checkers::Checker;
use crate::run::{in_order, run_one};
use crate::world::Plan;

/// Seeds within which each is found.
pub const SEEDS_MAX: u64 = 300;

/// A canary, and what must become of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caged {
    /// The bug.
    pub canary: Canary,
    /// What it is called on a command line.
    pub name: &'static str,
    /// Who must find it.
    pub checker: Checker,
}

/// All of them.
pub const ALL: [Caged; 7] = [
    Caged { canary: Canary::QuorumOffByOne, name: "quorum-off-by-one", checker: Checker::OneChain },
    Caged { canary: Canary::WatermarkNotSynced, name: "watermark-not-synced", checker: Checker::Innocence },
    Caged { canary: Canary::SourceFromLocalView, name: "source-from-local-view", checker: Checker::Liveness },
    Caged { canary: Canary::FinalityAcrossGap, name: "finality-across-gap", checker: Checker::OneChain },
    Caged { canary: Canary::OldQuorumSkipped, name: "old-quorum-skipped", checker: Checker::OneChain },
    Caged { canary: Canary::DuplicateWindowTooShort, name: "duplicate-window-too-short", checker: Checker::FinalOnce },
    Caged { canary: Canary::EvidenceIgnored, name: "evidence-ignored", checker: Checker::Expelled },
];

/// What a hunt came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hunt {
    /// What was hunted.
    pub caged: Caged,
    /// Seeds that were run, from 0 on.
    pub seeds: u64,
    /// By checker, the first seed in which it found something.
    pub fired: BTreeMap<Checker, u64>,
}

/// The canary of that name.
pub fn named(name: &str) -> Option<Caged> {
    ALL.into_iter().find(|caged| caged.name == name)
}

/// Runs seeds from 0 on with the bug in, at most [`SEEDS_MAX`], until its checker finds it.
pub fn hunt(caged: Caged, nodes: usize, stop: &(dyn Fn() -> bool + Sync)) -> Hunt {
    let mut hunt = Hunt { caged, seeds: 0, fired: BTreeMap::new() };
    let work = |seed| {
        canary::set(Some(caged.canary));
        let outcome = run_one(Plan::draw(seed, nodes), false);
        canary::set(None);
        outcome.failure.map(|failure| failure.checker)
    };
    in_order(0..SEEDS_MAX, stop, &work, &mut |seed, checker| {
        hunt.seeds = seed + 1;
        if let Some(checker) = checker {
            hunt.fired.entry(checker).or_insert(seed);
        }
        !hunt.is_caught()
    });
    hunt
}

impl Hunt {
    /// Whether the checker that must find it did.
    pub fn is_caught(&self) -> bool {
        self.fired.contains_key(&self.caged.checker)
    }
}

impl fmt::Display for Hunt {
    /// A line of a table: name, checker, what became of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { caged: Caged { name, checker, .. }, seeds, fired } = self;
        let verdict = if self.is_caught() { "found after" } else { "NOT FOUND in" };
        write!(f, "{name:<28} {:<12} {verdict} {seeds} seeds", checker.to_string())?;
        let others: Vec<String> = fired
            .iter()
            .filter(|(fired, _)| *fired != checker)
            .map(|(fired, seed)| format!("{fired} in seed {seed}"))
            .collect();
        if others.is_empty() { Ok(()) } else { write!(f, "; also {}", others.join(", ")) }
    }
}
