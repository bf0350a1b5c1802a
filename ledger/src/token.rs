//! The token contract: `transfer`. Nothing and transfers to oneself are valid; a name that does not exist is refused.
//!
//! Moves only; what is made and what is burnt is nobody's here, so the supply stays.

use hpb_base::limits::MEMO_LEN_MAX;
use hpb_types::{AccountName, Action, ActionName, Amount, Canonical, RejectReason};
use hpb_vm::{Host, Place};

use crate::account::ACTIVE;
use crate::key::{ACCOUNT, BALANCE, TOKEN};
use crate::native::Stop;
use crate::records::{load, store_amount};

/// The action, and the event that tells of it.
pub const TRANSFER: ActionName = ActionName::literal("transfer");

/// The arguments of `transfer`. Needs `active` of `from`.
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

hpb_types::layout!(TransferArguments { from, to, amount, memo: bytes(0..=MEMO_LEN_MAX) });
hpb_types::layout!(Transferred { from, to, amount });

/// The action that moves `amount` from `from` to `to`.
pub fn transfer_action(from: AccountName, to: AccountName, amount: Amount) -> Action {
    let arguments = TransferArguments { from, to, amount, memo: Vec::new() };
    Action { contract: TOKEN, action: TRANSFER, arguments: arguments.to_bytes() }
}

pub(crate) fn transfer(host: &mut dyn Host, arguments: &[u8]) -> Result<(), Stop> {
    let TransferArguments { from, to, amount, memo: _ } =
        TransferArguments::from_bytes(arguments).map_err(|_| RejectReason::Malformed)?;
    if !host.is_authorised(from, ACTIVE)? {
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
