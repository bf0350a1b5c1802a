//! Transfers through revm, one after the other over a map in memory. The only file that knows revm.

use std::fmt;
use std::time::{Duration, Instant};

use revm::context::result::ExecutionResult;
use revm::context::{BlockEnv, ContextTr as _, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, TxKind, U256};
use revm::state::AccountInfo;
use revm::{Context, ExecuteCommitEvm as _, MainBuilder as _, MainContext as _};

use crate::input::{Load, Transfer};

/// The rules that transactions are executed under: Ethereum's at the time of this version.
pub(crate) const SPEC: SpecId = SpecId::OSAKA;
/// What a transfer takes, no more and no less.
pub(crate) const GAS: u64 = 21_000;
/// What the block burns a unit of gas.
pub(crate) const BASE_FEE: u64 = 1;
/// What a transfer pays a unit of gas: the base fee, and as much to the block's producer, so that each transfer writes
/// all three accounts that one on the mainnet writes.
pub(crate) const GAS_PRICE: u128 = 2;

/// Who gets what is not burned.
const BENEFICIARY: Address = Address::repeat_byte(0xbe);
/// Transactions that are made at once, before the clock goes on.
const CHUNK_LEN: usize = 1_024;

/// Why there is no figure. Transfers are counted from 1.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum ExecuteError {
    /// The EVM refused a transfer.
    Refused { transfer: usize, reason: String },
    /// It took a transfer, which failed.
    Failed { transfer: usize, outcome: String },
    /// The supply is not what is left of the one before.
    Supply { expected: U256, found: U256 },
}

impl fmt::Display for ExecuteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { transfer, reason } => write!(formatter, "transfer {transfer}: revm refuses it: {reason}"),
            Self::Failed { transfer, outcome } => {
                write!(formatter, "transfer {transfer}: expected success and {GAS} units of gas, found {outcome}")
            }
            Self::Supply { expected, found } => {
                write!(formatter, "the supply at the end is {found}, and {expected} is what was not burned")
            }
        }
    }
}

/// Executes all transfers and commits each to the map; gives the time that this took.
pub(crate) fn execute(load: &Load) -> Result<Duration, ExecuteError> {
    over(load).map(|(took, _)| took)
}

/// The same, with the map as it is at the end.
#[allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn over(load: &Load) -> Result<(Duration, CacheDB<EmptyDB>), ExecuteError> {
    let block = BlockEnv { basefee: BASE_FEE, beneficiary: BENEFICIARY, ..BlockEnv::default() };
    let mut evm = Context::mainnet()
        .with_db(genesis(load))
        .with_block(block)
        .modify_cfg_chained(|config| config.set_spec_and_mainnet_gas_params(SPEC))
        .build_mainnet();
    let supply = supply(evm.ctx.db());
    let mut nonces = vec![0; load.accounts.len()];
    let mut took = Duration::ZERO;
    let mut done = 0;
    for chunk in load.transfers.chunks(CHUNK_LEN) {
        let transactions: Vec<_> = chunk.iter().map(|transfer| transaction(load, transfer, &mut nonces)).collect();
        let began = Instant::now();
        for transaction in transactions {
            done += 1;
            let result = evm
                .transact_commit(transaction)
                .map_err(|error| ExecuteError::Refused { transfer: done, reason: error.to_string() })?;
            check(&result, done)?;
        }
        took += began.elapsed();
    }
    let burned = U256::from(done) * U256::from(GAS * BASE_FEE);
    let (expected, found) = (supply.saturating_sub(burned), self::supply(evm.ctx.db()));
    if expected != found {
        return Err(ExecuteError::Supply { expected, found });
    }
    Ok((took, evm.ctx.journaled_state.database))
}

fn genesis(load: &Load) -> CacheDB<EmptyDB> {
    let mut map = CacheDB::new(EmptyDB::default());
    for (address, balance) in &load.accounts {
        map.insert_account_info(Address::from(*address), AccountInfo::from_balance(U256::from(*balance)));
    }
    map
}

/// The transaction of a transfer, with the next of its sender's `nonces`.
fn transaction(load: &Load, transfer: &Transfer, nonces: &mut [u64]) -> TxEnv {
    let [from, to] = [transfer.from, transfer.to].map(|place| place as usize);
    let nonce = nonces[from];
    nonces[from] += 1;
    TxEnv {
        caller: Address::from(load.accounts[from].0),
        gas_limit: GAS,
        gas_price: GAS_PRICE,
        kind: TxKind::Call(Address::from(load.accounts[to].0)),
        value: U256::from(transfer.amount),
        nonce,
        ..TxEnv::default()
    }
}

fn check(result: &ExecutionResult, transfer: usize) -> Result<(), ExecuteError> {
    if result.is_success() && result.tx_gas_used() == GAS {
        return Ok(());
    }
    Err(ExecuteError::Failed { transfer, outcome: result.to_string() })
}

/// What all accounts hold. They are fewer than 2^32 with less than 2^128 each at the start, and no token is made.
fn supply(map: &CacheDB<EmptyDB>) -> U256 {
    map.cache.accounts.values().fold(U256::ZERO, |sum, account| sum.saturating_add(account.info.balance))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FEE: u128 = GAS as u128 * GAS_PRICE;

    fn load(accounts: &[(u8, u128)], transfers: &[(u32, u32, u128)]) -> Load {
        Load {
            accounts: accounts.iter().map(|(byte, balance)| ([*byte; 20], *balance)).collect(),
            transfers: transfers
                .iter()
                .map(|(from, to, amount)| Transfer { from: *from, to: *to, amount: *amount })
                .collect(),
        }
    }

    #[test]
    fn each_party_and_the_producer_hold_what_transfers_and_fees_leave_them() {
        let three =
            load(&[(0xa1, 3 * FEE + 10), (0xa2, 0), (0xa3, FEE)], &[(0, 1, 4), (0, 0, 5), (2, 1, 0), (0, 2, 6)]);
        let (took, map) = over(&three).unwrap();
        let held = |byte| map.cache.accounts[&Address::repeat_byte(byte)].info.balance.to::<u128>();
        assert_eq!([held(0xa1), held(0xa2), held(0xa3), held(0xbe)], [0, 4, 6, 4 * FEE / 2]);
        assert_eq!(map.cache.accounts[&Address::repeat_byte(0xa1)].info.nonce, 3);
        assert!(took > Duration::ZERO);
    }

    #[test]
    fn more_than_a_chunk_goes_through() {
        let count = u32::try_from(CHUNK_LEN).unwrap() + 1;
        let transfers: Vec<_> = (0..count).map(|_| (0, 1, 1)).collect();
        let (_, map) = over(&load(&[(0xa1, (FEE + 1) * u128::from(count)), (0xa2, 0)], &transfers)).unwrap();
        assert_eq!(map.cache.accounts[&Address::repeat_byte(0xa2)].info.balance.to::<u32>(), count);
    }

    #[test]
    fn a_transfer_that_cannot_be_paid_is_named() {
        let error = execute(&load(&[(0xa1, FEE + 1), (0xa2, 0)], &[(0, 1, 1), (0, 1, 0)])).unwrap_err();
        assert!(error.to_string().starts_with("transfer 2: revm refuses it: "), "{error}");
        assert_eq!(
            execute(&load(&[(0xa1, FEE), (0xa2, 0)], &[(0, 1, 1)])).unwrap_err().to_string().find("transfer 1: "),
            Some(0)
        );
    }

    #[test]
    fn a_transfer_that_takes_more_gas_fails() {
        // A precompiled contract asks for gas beyond that of a transfer.
        let mut two = load(&[(0xa1, FEE), (0xa2, 0)], &[(0, 1, 0)]);
        two.accounts[1].0 = [0; 20];
        two.accounts[1].0[19] = 1;
        assert!(execute(&two).unwrap_err().to_string().starts_with("transfer 1: expected success and 21000 units"));
    }
}
