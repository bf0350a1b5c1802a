//! A state of many accounts, put into a store behind a small genesis.

use std::collections::BTreeMap;
use std::ops::Range;

use hpb_host::sys::wall_ns;
use hpb_ledger::account::Account;
use hpb_ledger::key::{self, ACCOUNT, BALANCE, SUM, SYSTEM};
use hpb_ledger::lattice::LatticeSum;
use hpb_ledger::lmdb::LmdbStore;
use hpb_ledger::{FinalBatch, FinalPoint, Store as _, records};
use hpb_types::{AccountName, Amount, Genesis, Hash, Height, KeyPair, PublicKey, SliceRef};

use super::scratch::Scratch;
use super::{AccountsError, Watch};
use crate::ledger::chain::{Chain, open_store};
use crate::ledger::{LedgerError, load, seconds_since};

/// Who holds the whole supply at genesis.
const TREASURY: AccountName = AccountName::literal("treasury");
/// What each account gets: more than all transfers of a run can cost one.
const BALANCE_EACH: Amount = Amount::ONE;
/// Accounts of one batch.
const BATCH_ACCOUNTS: usize = 50_000;

/// The accounts of a state: their names are addresses that lie evenly among all there are, and all have one key.
pub(super) struct Population {
    count: u64,
    key: PublicKey,
}

impl Population {
    pub(super) fn new(count: u64) -> Self {
        Self { count, key: KeyPair::from_seed(Hash::of(b"bench accounts").0).public() }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn key(&self) -> PublicKey {
        self.key
    }

    /// The name of one of them, from 0 on.
    pub(super) fn name(&self, number: u64) -> AccountName {
        let mut address = [0; 20];
        address[..8].copy_from_slice(&(number * (u64::MAX / self.count)).to_be_bytes());
        AccountName::from_address(address)
    }

    /// What the chain starts from.
    pub(super) fn genesis(&self) -> Result<Genesis, LedgerError> {
        let supply = Amount(BALANCE_EACH.0 * u128::from(self.count));
        Ok(load::genesis("bench accounts", vec![load::account(TREASURY, self.key, supply)])?)
    }

    /// What puts some of them into a state that holds those before, out of the treasury.
    fn batch(&self, numbers: Range<u64>, point: FinalPoint) -> FinalBatch {
        let record = records::store(&Account::with_keys(self.key, self.key));
        let balance = records::store_amount(BALANCE_EACH);
        let left = Amount(BALANCE_EACH.0 * u128::from(self.count - numbers.end));
        let left = (left != Amount::ZERO).then(|| records::store_amount(left).to_vec());
        let mut changes = BTreeMap::from([(key::of(TREASURY, BALANCE).to_vec(), left)]);
        for name in numbers.map(|number| self.name(number)) {
            changes.insert(key::of(name, ACCOUNT).to_vec(), Some(record.to_vec()));
            changes.insert(key::of(name, BALANCE).to_vec(), Some(balance.to_vec()));
        }
        FinalBatch { point, changes, history: Vec::new() }
    }
}

/// Fills a store with all of them and closes it; gives the seconds that it took.
pub(super) fn fill(
    population: &Population,
    scratch: &Scratch,
    name: &str,
    watch: &mut Watch<'_>,
) -> Result<f64, AccountsError> {
    let genesis = population.genesis()?;
    let mut store = open_store(&genesis, scratch.path())?;
    let began_ns = wall_ns();
    Chain::at_genesis(&genesis, store.clone(), 1)?;
    let sum_key = key::of(SYSTEM, SUM);
    let mut sum = store.get(&sum_key)?.and_then(|record| LatticeSum::from_record(&record)).unwrap_or_default();
    for first in (0..population.count).step_by(BATCH_ACCOUNTS) {
        watch.go_on()?;
        watch.tell(name, &format!("{first} filled"));
        let end = population.count.min(first + BATCH_ACCOUNTS as u64);
        let point = next_point(&store)?;
        let mut batch = population.batch(first..end, point);
        let treasury = key::of(TREASURY, BALANCE);
        if let Some(before) = store.get(&treasury)? {
            sum.remove(&treasury, &before);
        }
        for (key, value) in &batch.changes {
            if let Some(value) = value {
                sum.add(key, value);
            }
        }
        batch.changes.insert(sum_key.to_vec(), Some(sum.to_record().to_vec()));
        store.commit(&batch)?;
    }
    Ok(seconds_since(began_ns))
}

/// Where a batch brings a store whose final slice has no ledger beside it: to the next slot.
pub(super) fn next_point(store: &LmdbStore) -> Result<FinalPoint, AccountsError> {
    let (slot, commit) = store.final_point()?.map_or((0, 0), |point| (point.slice.height.slot.0, point.commit));
    let id = Hash::of_parts("bench accounts slice", &[&slot.to_le_bytes()]);
    Ok(FinalPoint { slice: SliceRef { height: Height::new(slot + 1, 0), id }, commit: commit + 1, receipts_root: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ascend_as_addresses_and_are_all_different() {
        for count in [super::super::ACCOUNTS_MIN, super::super::ACCOUNTS_MAX] {
            let population = Population::new(count);
            let address = |number| population.name(number).address();
            let numbers = [0, 1, 2, count / 2, count - 2, count - 1];
            assert!(numbers.windows(2).all(|pair| address(pair[0]).is_some() && address(pair[0]) < address(pair[1])));
        }
    }

    #[test]
    fn a_batch_takes_from_the_treasury_what_it_gives() {
        let population = Population::new(100);
        let point = FinalPoint {
            slice: SliceRef { height: Height::new(1, 0), id: Hash([0; 32]) },
            commit: 1,
            receipts_root: None,
        };
        let left = |numbers| population.batch(numbers, point).changes[key::of(TREASURY, BALANCE).as_slice()].clone();
        let expected = records::store_amount(Amount(40 * BALANCE_EACH.0)).to_vec();
        assert_eq!((left(0..60), left(60..100)), (Some(expected), None));
        assert_eq!(population.batch(0..60, point).changes.len(), 121);
    }
}
