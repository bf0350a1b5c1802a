//! Stake: `stake`, `unstake`, `withdraw`. What is unstaked votes no more, and can be withdrawn once it is free.

use hpb_base::limits::RELEASES_MAX;
use hpb_types::{AccountName, Action, ActionName, Amount, Canonical, RejectReason};
use hpb_vm::Call;

use super::Desk;
use super::records::{Release, Stake};
use crate::key::{self, DPOS};
use crate::native::Stop;

/// The action that moves an amount from a balance to the stake, and its event.
pub const STAKE: ActionName = ActionName::literal("stake");
/// The action that begins the release of an amount of stake, and its event.
pub const UNSTAKE: ActionName = ActionName::literal("unstake");
/// The action that moves what is free, of stake and of a bond, to the balance, and its event.
pub const WITHDRAW: ActionName = ActionName::literal("withdraw");

/// The arguments of `stake` and `unstake`. Needs `active` of `account`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StakeArguments {
    /// Whose stake changes.
    pub account: AccountName,
    /// By how much; nothing is valid.
    pub amount: Amount,
}

/// The arguments of `withdraw`. Needs `active` of `account`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WithdrawArguments {
    /// Who withdraws.
    pub account: AccountName,
}

/// The data of the event `withdraw`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withdrawn {
    /// Who withdrew.
    pub account: AccountName,
    /// How much in all.
    pub amount: Amount,
}

hpb_types::layout!(StakeArguments { account, amount });
hpb_types::layout!(WithdrawArguments { account });
hpb_types::layout!(Withdrawn { account, amount });

/// The action by which `account` stakes `amount` of its balance.
pub fn stake_action(account: AccountName, amount: Amount) -> Action {
    Action { contract: DPOS, action: STAKE, arguments: StakeArguments { account, amount }.to_bytes() }
}

/// The action by which `account` has `amount` of its stake released.
pub fn unstake_action(account: AccountName, amount: Amount) -> Action {
    Action { contract: DPOS, action: UNSTAKE, arguments: StakeArguments { account, amount }.to_bytes() }
}

/// The action by which `account` gets back what is free of its stake and its bond.
pub fn withdraw_action(account: AccountName) -> Action {
    Action { contract: DPOS, action: WITHDRAW, arguments: WithdrawArguments { account }.to_bytes() }
}

impl Desk<'_> {
    pub(super) fn stake(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let StakeArguments { account, amount } =
            self.arguments(call, |arguments: &StakeArguments| arguments.account)?;
        self.take(account, amount)?;
        self.change_stake(account, |stake| {
            stake.staked = stake.staked.checked_add(amount).ok_or(Stop::Damaged)?;
            Ok(())
        })?;
        self.tell(call)
    }

    pub(super) fn unstake(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let StakeArguments { account, amount } =
            self.arguments(call, |arguments: &StakeArguments| arguments.account)?;
        let release = Release { amount, free_at: self.free_at() };
        self.change_stake(account, |stake| {
            stake.staked = stake.staked.checked_sub(amount).ok_or(RejectReason::Overdrawn)?;
            add_release(stake, release)
        })?;
        self.tell(call)
    }

    /// Takes what is free of an account's stake out of it.
    pub(super) fn withdraw_stake(&mut self, account: AccountName) -> Result<Amount, Stop> {
        let mut stake: Stake = self.read(account, key::STAKE)?.unwrap_or_default();
        let held = stake.releases.len();
        let now = self.slot;
        let free = stake.releases.iter().filter(|release| release.free_at <= now);
        let sum =
            free.map(|release| release.amount).try_fold(Amount::ZERO, Amount::checked_add).ok_or(Stop::Damaged)?;
        stake.releases.retain(|release| release.free_at > now);
        if stake.releases.len() < held {
            self.write_stake(account, &stake)?;
        }
        Ok(sum)
    }

    pub(super) fn withdraw(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let WithdrawArguments { account } = self.arguments(call, |arguments: &WithdrawArguments| arguments.account)?;
        let of_stake = self.withdraw_stake(account)?;
        let of_bond = self.withdraw_bond(account)?;
        let amount = of_stake.checked_add(of_bond.unwrap_or_default()).ok_or(Stop::Damaged)?;
        if amount == Amount::ZERO && of_bond.is_none() {
            return Err(RejectReason::NothingFree.into());
        }
        self.pay(account, amount)?;
        Ok(self.host.emit(WITHDRAW, Withdrawn { account, amount }.to_bytes())?)
    }

    /// Writes an account's stake, or takes away what says nothing.
    pub(super) fn write_stake(&mut self, account: AccountName, stake: &Stake) -> Result<(), Stop> {
        if *stake == Stake::default() {
            self.remove(account, key::STAKE)
        } else {
            self.write(account, key::STAKE, stake)
        }
    }
}

/// Adds a release: what is free in the same slot is one.
fn add_release(stake: &mut Stake, release: Release) -> Result<(), Stop> {
    if release.amount == Amount::ZERO {
        return Ok(());
    }
    if let Some(last) = stake.releases.last_mut()
        && last.free_at == release.free_at
    {
        last.amount = last.amount.checked_add(release.amount).ok_or(Stop::Damaged)?;
    } else if stake.releases.len() < RELEASES_MAX {
        stake.releases.push(release);
    } else {
        return Err(RejectReason::ListFull.into());
    }
    Ok(())
}
