//! Where the token lies. All of it lies somewhere in the state, in one of a few tables: a walk over them finds the sum that
//! genesis states, or the state is damaged.

use hpb_types::Amount;
use hpb_vm::Table;

use crate::deposit::Deposit;
use crate::dpos::{Producer, Stake};
use crate::key::{BALANCE, DEPOSIT, POOL, PRODUCER, SLOT_FEES, STAKE, VESTING};
use crate::records::{SlotFees, load};
use crate::token::Vesting;

/// The token's amount: what genesis states, and what a walk over the state finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Supply {
    /// At genesis.
    pub genesis: Amount,
    /// Now: the sum of all [`Holdings`].
    pub now: Amount,
}

/// What of the token lies where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Holdings {
    /// In balances.
    pub balances: Amount,
    /// Staked, with what of it is being released.
    pub staked: Amount,
    /// In producers' bonds, with what of them is being released.
    pub bonded: Amount,
    /// Vesting, or vested and not released.
    pub vesting: Amount,
    /// In deposits for room in the state.
    pub deposits: Amount,
    /// In the pool of rewards.
    pub reward_pool: Amount,
    /// In fees that are not credited yet.
    pub fees: Amount,
}

impl Supply {
    /// Whether nothing was made or lost.
    pub fn is_conserved(&self) -> bool {
        self.genesis == self.now
    }
}

impl Holdings {
    /// All of it; `None` past every amount.
    pub fn sum(&self) -> Option<Amount> {
        let Self { balances, staked, bonded, vesting, deposits, reward_pool, fees } = *self;
        [balances, staked, bonded, vesting, deposits, reward_pool, fees]
            .into_iter()
            .try_fold(Amount::ZERO, Amount::checked_add)
    }

    /// Adds what lies in a record of these tables; nothing does in every other one. False if it does not read back, or the
    /// sum is no amount.
    pub(crate) fn add(&mut self, table: Table, value: &[u8]) -> bool {
        let (part, held) = match table {
            BALANCE => (&mut self.balances, load(value)),
            STAKE => (&mut self.staked, load(value).and_then(|stake: Stake| stake.held())),
            PRODUCER => (&mut self.bonded, load(value).map(|producer: Producer| producer.bond)),
            VESTING => (&mut self.vesting, load(value).and_then(|vesting: Vesting| vesting.sum())),
            DEPOSIT => (&mut self.deposits, load(value).map(|deposit: Deposit| deposit.amount)),
            POOL => (&mut self.reward_pool, load(value)),
            SLOT_FEES => (&mut self.fees, load(value).map(|fees: SlotFees| fees.amount)),
            _ => return true,
        };
        let sum = held.and_then(|held| part.checked_add(held));
        *part = sum.unwrap_or(*part);
        sum.is_some()
    }
}
