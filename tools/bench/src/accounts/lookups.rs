//! Lookups of accounts drawn at random, as a query makes them: record, balance, deposit, roles and vesting.

use hpb_base::Random;
use hpb_host::sys::wall_ns;
use hpb_ledger::lmdb::LmdbStore;

use super::fill::Population;
use super::{AccountsError, Quantiles, Watch};
use crate::ledger::chain::Chain;

/// Lookups between two looks at whether the run shall go on.
const UNASKED: usize = 1_000;

/// How long each of them took.
#[derive(Default)]
pub(super) struct Lookups {
    taken_ns: Vec<u64>,
}

impl Lookups {
    /// `count` of them.
    pub(super) fn measure(
        count: usize,
        population: &Population,
        store: &LmdbStore,
        random: &mut Random,
        watch: &Watch<'_>,
    ) -> Result<Self, AccountsError> {
        let chain = Chain::over(&population.genesis()?, store.clone(), 1)?;
        let at = chain.tip().id;
        let mut taken_ns = Vec::with_capacity(count);
        for number in 0..count {
            if number % UNASKED == 0 {
                watch.go_on()?;
            }
            let name = population.name(random.below(population.count()));
            let began_ns = wall_ns();
            let found = chain.ledger().account(&at, name)?;
            taken_ns.push(wall_ns() - began_ns);
            if found.is_none() {
                return Err(AccountsError::Missing(name));
            }
        }
        Ok(Self { taken_ns })
    }

    /// Adds those of another repeat.
    pub(super) fn absorb(&mut self, other: Self) {
        self.taken_ns.extend(other.taken_ns);
    }

    /// How many a second, one after the other.
    #[allow(clippy::cast_precision_loss, reason = "counts and times below 2^53")]
    pub(super) fn per_s(&self) -> f64 {
        self.taken_ns.len() as f64 * 1e9 / self.taken_ns.iter().sum::<u64>() as f64
    }

    pub(super) fn quantiles(mut self) -> Quantiles {
        Quantiles::of(&mut self.taken_ns)
    }
}
