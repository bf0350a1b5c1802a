//! Commits of a fixed number of keys, whatever the state: what one costs by itself, and beside something else.

use std::collections::{BTreeMap, BTreeSet};

use hpb_base::Random;
use hpb_host::sys::wall_ns;
use hpb_ledger::key::{self, BALANCE};
use hpb_ledger::lmdb::LmdbStore;
use hpb_ledger::{FinalBatch, Store as _, records};
use hpb_types::Amount;
use serde::Serialize;

use super::fill::{Population, next_point};
use super::{AccountsError, Quantiles, Watch};
use crate::memory::thread_written;

/// Keys that each changes, or as many accounts as there are.
const KEYS: u64 = 4_096;
/// Commits that are timed at least.
pub(super) const COMMITS: usize = 100;

/// What commits of a fixed number of keys cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Commits {
    /// Keys that each changed.
    pub keys: u64,
    /// How many there were.
    pub count: u64,
    /// How long one took, its sync included.
    pub taken: Quantiles,
    /// Bytes that one wrote.
    pub written_bytes: u64,
}

/// Commits balances of accounts drawn at random, straight to the store.
pub(super) struct Committer<'p> {
    population: &'p Population,
    store: LmdbStore,
    random: Random,
}

impl<'p> Committer<'p> {
    pub(super) fn new(population: &'p Population, store: LmdbStore, random: Random) -> Self {
        Self { population, store, random }
    }

    /// [`COMMITS`] of them.
    pub(super) fn measure(&mut self, watch: &Watch<'_>) -> Result<Commits, AccountsError> {
        let mut left = COMMITS;
        self.measure_while(watch, &mut || {
            left -= 1;
            left > 0
        })
    }

    /// One after the other, while `more` says so after each.
    pub(super) fn measure_while(
        &mut self,
        watch: &Watch<'_>,
        more: &mut dyn FnMut() -> bool,
    ) -> Result<Commits, AccountsError> {
        let mut taken_ns = Vec::new();
        let mut written_bytes = 0;
        loop {
            watch.go_on()?;
            let batch = self.batch()?;
            let written_before = thread_written().map_err(AccountsError::Proc)?;
            let began_ns = wall_ns();
            self.store.commit(&batch)?;
            taken_ns.push(wall_ns() - began_ns);
            written_bytes += thread_written().map_err(AccountsError::Proc)? - written_before;
            if !more() {
                break;
            }
        }
        let count = taken_ns.len() as u64;
        let taken = Quantiles::of(&mut taken_ns);
        Ok(Commits { keys: self.keys(), count, taken, written_bytes: written_bytes / count })
    }

    /// An even number of keys, so that none is left alone.
    fn keys(&self) -> u64 {
        KEYS.min(self.population.count()) & !1
    }

    /// Moves a unit from every second account drawn to the one after it.
    fn batch(&mut self) -> Result<FinalBatch, AccountsError> {
        let mut numbers = BTreeSet::new();
        while (numbers.len() as u64) < self.keys() {
            numbers.insert(self.random.below(self.population.count()));
        }
        let mut changes = BTreeMap::new();
        for (index, name) in numbers.into_iter().map(|number| self.population.name(number)).enumerate() {
            let key = key::of(name, BALANCE);
            let held: Option<Amount> = self.store.get(&key)?.and_then(|value| records::load(&value));
            let unit = Amount(1);
            let moved =
                held.and_then(|held| if index % 2 == 0 { held.checked_sub(unit) } else { held.checked_add(unit) });
            let moved = moved.ok_or(AccountsError::Missing(name))?;
            changes.insert(key.to_vec(), Some(records::store_amount(moved).to_vec()));
        }
        Ok(FinalBatch { point: next_point(&self.store)?, changes, history: Vec::new() })
    }
}
