//! Where a chain's token lies, and what comes to whom later, as its final state has it.
//!
//! Refused are folders that hold no devnet's chain.

use std::fmt::Write as _;
use std::path::Path;

use hpb_ledger::{ExecuteError, Holdings, Ledger, Store};
use hpb_types::Amount;
use serde::{Deserialize, Serialize};

use crate::chain_view::ChainView;
use crate::report::decimal;
use crate::report::format::{tokens, utc};
use crate::run::DevnetError;

/// All of the token at one final slice, in the smallest unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SupplyRow {
    /// The chain, in hexadecimal digits.
    pub chain: String,
    /// The slice's slot.
    pub slot: u64,
    /// Its index there.
    pub index: u32,
    /// What genesis states.
    #[serde(with = "decimal")]
    pub genesis: u128,
    /// What the state holds.
    #[serde(with = "decimal")]
    pub now: u128,
    /// In balances.
    #[serde(with = "decimal")]
    pub balances: u128,
    /// Staked, with what of it is being released.
    #[serde(with = "decimal")]
    pub staked: u128,
    /// In producers' bonds.
    #[serde(with = "decimal")]
    pub bonded: u128,
    /// Vesting, or vested and not released.
    #[serde(with = "decimal")]
    pub vesting: u128,
    /// In deposits for room in the state.
    #[serde(with = "decimal")]
    pub deposits: u128,
    /// In the pool of rewards.
    #[serde(with = "decimal")]
    pub reward_pool: u128,
    /// In fees that are not credited yet.
    #[serde(with = "decimal")]
    pub fees: u128,
}

/// What comes to accounts later, at one final slice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VestingRow {
    /// Block time there, in milliseconds since 1970.
    pub block_time_unix_ms: u64,
    /// Each part, by account and time.
    pub parts: Vec<VestingPartRow>,
}

/// A part of what comes to an account later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VestingPartRow {
    /// Whose.
    pub account: String,
    /// From which block time on, in milliseconds since 1970.
    pub free_at_unix_ms: u64,
    /// Whether it has come, and waits to be released.
    pub is_free: bool,
    /// How much, in the smallest unit.
    #[serde(with = "decimal")]
    pub amount: u128,
}

/// Reads where the token lies from the final state that validator `validator` has left in a devnet's data folder.
///
/// # Errors
/// No such folder, none of a devnet, one without that validator or in use; a disk that can't be read.
pub fn supply(data: &Path, validator: usize) -> Result<SupplyRow, DevnetError> {
    let ChainView { ledger, .. } = ChainView::open(data, validator)?;
    Ok(SupplyRow::new(&ledger)?)
}

/// Reads what comes to whom later.
///
/// # Errors
/// Those of [`supply`].
pub fn vesting(data: &Path, validator: usize) -> Result<VestingRow, DevnetError> {
    let ChainView { ledger, .. } = ChainView::open(data, validator)?;
    Ok(VestingRow::new(&ledger)?)
}

impl SupplyRow {
    /// All of the token at a ledger's final slice.
    ///
    /// # Errors
    /// A state that can't be read.
    pub fn new<S: Store>(ledger: &Ledger<S>) -> Result<Self, ExecuteError> {
        let at = ledger.final_slice();
        let holdings = ledger.holdings(&at.id)?;
        let supply = ledger.supply_of(&at.id, &holdings)?;
        let Holdings { balances, staked, bonded, vesting, deposits, reward_pool, fees } = holdings;
        Ok(Self {
            chain: ledger.rules().chain.0.to_hex(),
            slot: at.height.slot.0,
            index: at.height.index,
            genesis: supply.genesis.0,
            now: supply.now.0,
            balances: balances.0,
            staked: staked.0,
            bonded: bonded.0,
            vesting: vesting.0,
            deposits: deposits.0,
            reward_pool: reward_pool.0,
            fees: fees.0,
        })
    }

    /// A line for each place where the token lies.
    pub fn detail(&self) -> String {
        let same = if self.now == self.genesis { "as at genesis" } else { "NOT WHAT GENESIS STATES" };
        let lines = [
            ("supply", self.now),
            ("balances", self.balances),
            ("staked", self.staked),
            ("bonded", self.bonded),
            ("vesting", self.vesting),
            ("deposits", self.deposits),
            ("rewards", self.reward_pool),
            ("fees", self.fees),
        ];
        let mut text = String::new();
        for (label, amount) in lines {
            let note = if label == "supply" { format!(", {same}") } else { String::new() };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{label:<10} {} tokens{note}", tokens(amount));
        }
        let _ = writeln!(text, "as of      chain {}, slot {}, slice {}", self.chain, self.slot, self.index);
        text
    }
}

impl VestingRow {
    /// What comes to whom later, at a ledger's final slice.
    ///
    /// # Errors
    /// A state that can't be read.
    pub fn new<S: Store>(ledger: &Ledger<S>) -> Result<Self, ExecuteError> {
        let at = ledger.final_slice();
        let block_time = ledger.rules().slot_start(at.height.slot);
        let accounts = ledger.vesting(&at.id)?;
        let parts = accounts.iter().flat_map(|(name, parts)| parts.iter().map(move |part| (name, part)));
        let row = |(name, part): (_, &hpb_types::VestingPart)| {
            let Amount(amount) = part.amount;
            let account: &hpb_types::AccountName = name;
            VestingPartRow {
                account: account.to_string(),
                free_at_unix_ms: part.free_at_ms,
                is_free: part.free_at_ms <= block_time.0,
                amount,
            }
        };
        Ok(Self { block_time_unix_ms: block_time.0, parts: parts.map(row).collect() })
    }

    /// A line for each part.
    pub fn detail(&self) -> String {
        if self.parts.is_empty() {
            return "nothing vests\n".to_owned();
        }
        let width = self.parts.iter().map(|part| part.account.len()).max().unwrap_or(0);
        let mut text = String::new();
        for part in &self.parts {
            let note = if part.is_free { ", free: `release` moves it to the balance" } else { "" };
            let free_at = utc(part.free_at_unix_ms);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:<width$}  {free_at}  {} tokens{note}", part.account, tokens(part.amount));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u128 = 1_000_000_000_000_000_000;

    #[test]
    fn the_supply_is_told_place_by_place() {
        let mut row = SupplyRow {
            chain: "ab".to_owned(),
            slot: 7,
            index: 3,
            genesis: 10 * ONE,
            now: 10 * ONE,
            balances: 4 * ONE,
            staked: ONE,
            bonded: ONE,
            vesting: ONE,
            deposits: ONE / 2,
            reward_pool: 2 * ONE,
            fees: ONE / 2,
        };
        assert_eq!(
            row.detail(),
            "supply     10 tokens, as at genesis\nbalances   4 tokens\nstaked     1 tokens\nbonded     1 tokens\n\
             vesting    1 tokens\ndeposits   0.5 tokens\nrewards    2 tokens\nfees       0.5 tokens\n\
             as of      chain ab, slot 7, slice 3\n"
        );
        row.now += 1;
        assert!(row.detail().lines().next().is_some_and(|line| line.ends_with("NOT WHAT GENESIS STATES")));
    }

    #[test]
    fn what_vests_is_told_part_by_part() {
        let part = |account: &str, free_at_unix_ms, is_free| VestingPartRow {
            account: account.to_owned(),
            free_at_unix_ms,
            is_free,
            amount: ONE,
        };
        let parts = vec![part("founders", 0, true), part("reserve", 1_767_225_600_000, false)];
        let row = VestingRow { block_time_unix_ms: 5, parts };
        assert_eq!(
            row.detail(),
            "founders  1970-01-01 00:00 UTC  1 tokens, free: `release` moves it to the balance\n\
             reserve   2026-01-01 00:00 UTC  1 tokens\n"
        );
        assert_eq!(VestingRow { block_time_unix_ms: 5, parts: Vec::new() }.detail(), "nothing vests\n");
    }
}
