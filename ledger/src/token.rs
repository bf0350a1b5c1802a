//! The token contract: `transfer`, and `release` of what vested. Nothing and transfers to oneself are valid; a name that
//! does not exist is refused.
//!
//! Moves only; what is made and what is burnt is nobody's here, so the supply stays.

use hpb_base::limits::{MEMO_LEN_MAX, VESTING_PARTS_MAX};
use hpb_types::{AccountName, Action, ActionName, Amount, Canonical, RejectReason, VestingPart};
use hpb_vm::{Call, Host, Intent, Place};

use crate::key::{ACCOUNT, BALANCE, TOKEN, VESTING};
use crate::native::Stop;
use crate::records::{load, store, store_amount};

/// The action, and the event that tells of it.
pub const TRANSFER: ActionName = ActionName::literal("transfer");

/// The same with a note: at most 256 bytes.
pub fn transfer_with_memo_action(from: AccountName, to: AccountName, amount: Amount, memo: &[u8]) -> Action {
    let arguments = TransferArguments { from, to, amount, memo: memo.to_vec() };
    Action { contract: TOKEN, action: TRANSFER, arguments: arguments.to_bytes() }
}

/// The action that moves what has vested to its account's balance, and the event that tells of it.
pub const RELEASE: ActionName = ActionName::literal("release");

/// The units that a transfer takes at most, between accounts of a key each and by their own authority.
pub const TRANSFER_UNITS_MAX: u64 = 2_000;

/// The arguments of `transfer`. Needs `active` of `from`, or a grant of this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferArguments {
    /// Whose balance goes down.
    pub from: AccountName,
    /// Whose goes up.
    pub to: AccountName,
    /// By how much; nothing is valid.
    pub amount: Amount,
    /// A note: at most 256 bytes.
    pub memo: Vec<u8>,
}

/// The data of the event `transfer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transferred {
    /// Whose balance went down.
    pub from: AccountName,
    /// Whose went up.
    pub to: AccountName,
    /// By how much.
    pub amount: Amount,
}

/// What comes to an account later. It lies beside the balance, so that nothing needs to be held back from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vesting {
    /// Its parts, the earliest first.
    pub parts: Vec<VestingPart>,
}

/// The arguments of `release`. Anyone may ask for it: there is nobody but the account for what vested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseArguments {
    /// Whose.
    pub account: AccountName,
}

/// The data of the event `release`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Released {
    /// Whose balance went up.
    pub account: AccountName,
    /// By how much.
    pub amount: Amount,
}

hpb_types::layout!(Vesting { parts: list(1..=VESTING_PARTS_MAX) });
hpb_types::layout!(ReleaseArguments { account });
hpb_types::layout!(Released { account, amount });
hpb_types::layout!(TransferArguments { from, to, amount, memo: bytes(0..=MEMO_LEN_MAX) });
hpb_types::layout!(Transferred { from, to, amount });

/// The action that moves `amount` from `from` to `to`.
pub fn transfer_action(from: AccountName, to: AccountName, amount: Amount) -> Action {
    transfer_with_memo_action(from, to, amount, &[])
}

/// The action that moves what has vested to the balance of `account`.
pub fn release_action(account: AccountName) -> Action {
    Action { contract: TOKEN, action: RELEASE, arguments: ReleaseArguments { account }.to_bytes() }
}

impl Vesting {
    /// The sum of its parts; `None` past every amount.
    pub fn sum(&self) -> Option<Amount> {
        self.parts.iter().try_fold(Amount::ZERO, |sum, part| sum.checked_add(part.amount))
    }
}

/// Runs an action.
pub(crate) fn dispatch(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    match call.action {
        TRANSFER => transfer(host, call.arguments),
        RELEASE => release(host, call.arguments),
        _ => Err(RejectReason::NoSuchAction.into()),
    }
}

fn release(host: &mut dyn Host, arguments: &[u8]) -> Result<(), Stop> {
    let ReleaseArguments { account } = ReleaseArguments::from_bytes(arguments).map_err(|_| RejectReason::Malformed)?;
    let place = Place { account, table: VESTING, sub_key: &[] };
    let Some(bytes) = host.read(place)? else { return Err(RejectReason::NothingFree.into()) };
    let mut vesting: Vesting = load(bytes).ok_or(Stop::Damaged)?;
    let now = host.block_time();
    let held = vesting.sum().ok_or(Stop::Damaged)?;
    vesting.parts.retain(|part| part.free_at_ms > now.0);
    let left = vesting.sum().ok_or(Stop::Damaged)?;
    let amount = held.checked_sub(left).filter(|amount| *amount != Amount::ZERO).ok_or(RejectReason::NothingFree)?;
    let written = if vesting.parts.is_empty() { host.remove(place) } else { host.write(place, &store(&vesting)) };
    written?;
    let sum = balance(host, account)?.checked_add(amount).ok_or(Stop::Damaged)?;
    put_balance(host, account, sum)?;
    Ok(host.emit(RELEASE, Released { account, amount }.to_bytes())?)
}

fn transfer(host: &mut dyn Host, arguments: &[u8]) -> Result<(), Stop> {
    let TransferArguments { from, to, amount, memo: _ } =
        TransferArguments::from_bytes(arguments).map_err(|_| RejectReason::Malformed)?;
    if !host.is_permitted(from, &Intent { amount: Some(amount), counterparty: Some(to) })? {
        return Err(RejectReason::Unauthorised.into());
    }
    let paid = balance(host, from)?.checked_sub(amount);
    let received = balance(host, to)?.checked_add(amount);
    let (Some(paid), Some(received)) = (paid, received) else {
        return Err(RejectReason::Overdrawn.into());
    };
    if from != to {
        put_balance(host, from, paid)?;
        put_balance(host, to, received)?;
    }
    host.emit(TRANSFER, Transferred { from, to, amount }.to_bytes())?;
    Ok(())
}

/// What the account holds.
///
/// # Errors
/// It does not exist, or the host stops the call.
pub(crate) fn balance(host: &mut dyn Host, account: AccountName) -> Result<Amount, Stop> {
    if let Some(bytes) = host.read(Place { account, table: BALANCE, sub_key: &[] })? {
        return load(bytes).ok_or(Stop::Damaged);
    }
    // A balance lies only where an account does, so the record is asked for only where there is none.
    match host.read(Place { account, table: ACCOUNT, sub_key: &[] })? {
        Some(_) => Ok(Amount::ZERO),
        None => Err(RejectReason::NoSuchAccount.into()),
    }
}

/// Has the account hold `balance`.
///
/// # Errors
/// The host stops the call.
pub(crate) fn put_balance(host: &mut dyn Host, account: AccountName, balance: Amount) -> Result<(), Stop> {
    let place = Place { account, table: BALANCE, sub_key: &[] };
    if balance == Amount::ZERO {
        host.remove(place)?;
    } else {
        host.write(place, &store_amount(balance))?;
    }
    Ok(())
}
