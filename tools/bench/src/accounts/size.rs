//! Everything that is measured at one number of accounts.

use serde::Serialize;

use super::{AccountsError, Commits, Transfers, Walk, Walks};
use crate::memory::Resident;

/// Times of single pieces of work, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50_ns: u64,
    /// The time that one of a hundred exceeds.
    pub p99_ns: u64,
}

/// What memory the process held after a phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Phase {
    /// What was done last.
    pub after: &'static str,
    /// What was then resident.
    pub resident: Resident,
}

/// The figures at one number of accounts.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Size {
    /// The accounts.
    pub accounts: u64,
    /// Seconds that it took to fill it, with a sync a batch.
    pub fill_s: f64,
    /// Bytes of disk, once it is filled.
    pub disk_bytes: u64,
    /// Bytes of disk at the end, with the pages that commits have left free.
    pub disk_bytes_end: u64,
    /// Bytes that stayed in the page cache when they were dropped from it; `None` where the kernel does not tell.
    pub cached_bytes_cold: Option<u64>,
    /// Bytes in the page cache at the end.
    pub cached_bytes_end: Option<u64>,
    /// A thousand lookups of a store that lies on the disk alone.
    pub lookup_cold: Quantiles,
    /// Bytes in the page cache after them: what the kernel brought in for them.
    pub cached_bytes_warming: Option<u64>,
    /// A walk over the whole state after them, which brings the rest into the page cache.
    pub walk_cold: Walk,
    /// Lookups a second after that, one after the other.
    pub lookups_per_s: f64,
    /// How long one of them took.
    pub lookup: Quantiles,
    /// By way.
    pub transfers: Vec<Transfers>,
    /// Commits of a fixed number of keys.
    pub commits: Commits,
    /// Syncs of one written page on the same disk.
    pub sync: Quantiles,
    /// Snapshots, walks over them, and commits meanwhile.
    pub walks: Walks,
    /// Memory after each phase.
    pub memory: Vec<Phase>,
}

impl Quantiles {
    /// Of times in any order; nothing of none.
    pub(super) fn of(taken_ns: &mut [u64]) -> Self {
        taken_ns.sort_unstable();
        let at = |percent: usize| {
            let rank = (taken_ns.len() * percent).div_ceil(100).max(1);
            taken_ns.get(rank - 1).copied().unwrap_or_default()
        };
        Self { p50_ns: at(50), p99_ns: at(99) }
    }
}

impl Size {
    /// That of so many accounts, which took that long to be filled in, and nothing measured yet.
    pub(super) fn filled(accounts: u64, fill_s: f64) -> Result<Self, AccountsError> {
        let mut size = Self { accounts, fill_s, ..Self::default() };
        size.remember("filling it")?;
        Ok(size)
    }

    /// Keeps what memory the process holds now.
    pub(super) fn remember(&mut self, after: &'static str) -> Result<(), AccountsError> {
        self.memory.push(Phase { after, resident: Resident::take().map_err(AccountsError::Proc)? });
        Ok(())
    }

    /// Transfers of one way.
    pub(super) fn way(&self, workers: usize, durable: bool) -> Option<&Transfers> {
        self.transfers.iter().find(|transfers| transfers.workers == workers && transfers.durable == durable)
    }

    /// Transfers a second of one way.
    pub(super) fn per_s(&self, workers: usize, durable: bool) -> f64 {
        self.way(workers, durable).map_or(f64::NAN, |transfers| transfers.per_s)
    }

    /// The process's own memory at its highest after any phase, in bytes.
    pub(super) fn heap_bytes(&self) -> u64 {
        self.memory.iter().map(|phase| phase.resident.anonymous_bytes).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_row_in_order() {
        assert_eq!(Quantiles::of(&mut []), Quantiles::default());
        assert_eq!(Quantiles::of(&mut [7]), Quantiles { p50_ns: 7, p99_ns: 7 });
        let mut row: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(Quantiles::of(&mut row), Quantiles { p50_ns: 100, p99_ns: 198 });
    }
}
