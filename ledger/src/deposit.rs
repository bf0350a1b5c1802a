//! What an account's record and its roles pay for their room in the state: a deposit a byte, taken when they grow and
//! given back when they shrink. Whoever makes an account pays for its first bytes; they are the account's from then on.

use hpb_types::{AccountName, Amount, RejectReason};
use hpb_vm::{Host, Place};

use crate::key::{DEPOSIT, SYSTEM, TARIFF};
use crate::native::Stop;
use crate::records::{Tariff, load, store};
use crate::token::{balance, put_balance};

/// What an account has paid for its room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deposit {
    /// The bytes that are paid for: those of genesis are not.
    pub bytes: u64,
    /// What was paid for them, less what was given back.
    pub amount: Amount,
}

hpb_types::layout!(Deposit { bytes, amount });

/// Takes from `payer` what it costs that the room of `account` grows from `before` to `after` bytes, or gives back to
/// `account` what was paid for the bytes that it loses.
///
/// # Errors
/// The payer can't pay, or the host stops the call.
pub(crate) fn resize(
    host: &mut dyn Host,
    account: AccountName,
    payer: AccountName,
    before: usize,
    after: usize,
) -> Result<(), Stop> {
    let place = Place { account, table: DEPOSIT, sub_key: &[] };
    let held: Deposit = match host.read(place)? {
        Some(bytes) => load(bytes).ok_or(Stop::Damaged)?,
        None => Deposit::default(),
    };
    let left = if after > before {
        let grown = (after - before) as u64;
        let price = price(host)?.0.checked_mul(u128::from(grown)).map(Amount).ok_or(RejectReason::Overdrawn)?;
        if price != Amount::ZERO {
            let paid = balance(host, payer)?.checked_sub(price).ok_or(RejectReason::Overdrawn)?;
            put_balance(host, payer, paid)?;
        }
        let amount = held.amount.checked_add(price).ok_or(Stop::Damaged)?;
        Deposit { bytes: held.bytes.saturating_add(grown), amount }
    } else {
        let freed = ((before - after) as u64).min(held.bytes);
        let back = share(held.amount, freed, held.bytes);
        if back != Amount::ZERO {
            let sum = balance(host, account)?.checked_add(back).ok_or(Stop::Damaged)?;
            put_balance(host, account, sum)?;
        }
        Deposit { bytes: held.bytes - freed, amount: held.amount.checked_sub(back).ok_or(Stop::Damaged)? }
    };
    if left == held {
        return Ok(());
    }
    let written = if left == Deposit::default() { host.remove(place) } else { host.write(place, &store(&left)) };
    Ok(written?)
}

fn price(host: &mut dyn Host) -> Result<Amount, Stop> {
    let tariff: Option<Tariff> = host.read(Place { account: SYSTEM, table: TARIFF, sub_key: &[] })?.and_then(load);
    Ok(tariff.ok_or(Stop::Damaged)?.deposit_per_byte)
}

/// What `part` of `whole` parts of `amount` come to, rounded down; all of it for all of them.
pub(crate) fn share(amount: Amount, part: u64, whole: u64) -> Amount {
    if whole == 0 {
        return Amount::ZERO;
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    // The remainder is below 2^64, and so is the part.
    Amount(amount.0 / whole * part + amount.0 % whole * part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_and_never_wraps() {
        for (amount, part, whole, expected) in [
            (100, 1, 3, 33),
            (100, 3, 3, 100),
            (999, 1, 1_000, 0),
            (1_999, 500, 1_000, 999),
            (u128::MAX, 7, 7, u128::MAX),
            (5, 0, 9, 0),
            (5, 0, 0, 0),
        ] {
            assert_eq!(share(Amount(amount), part, whole), Amount(expected));
        }
        assert_eq!(share(Amount(u128::MAX), u64::MAX, u64::MAX), Amount(u128::MAX));
    }
}
