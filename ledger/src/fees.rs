//! What transactions cost: their bytes, their signatures and their units of execution, at a price that follows load.
//!
//! The price holds for a whole slot. It is moved by what the slot before it was asked to do, up while that was more than
//! the chain aims at and down while it was less, by an eighth at most; a slot without a block did nothing. It never falls
//! below one, where a transaction costs what genesis says.

use hpb_types::{Amount, Fees, Slot};
use hpb_vm::meter::{BYTE_UNITS, SIGNATURE_UNITS};

use crate::records::Tariff;

/// The price of one: prices are counted in its parts.
pub const PRICE_ONE: u32 = 1_024;
/// The highest price: a thousandfold, to which full slots lead in about three minutes of 3 s slots.
pub const PRICE_MAX: u32 = 1_024 * PRICE_ONE;
/// The part of a price by which one slot moves it at most.
const STEP: u32 = 8;

/// What a transaction is charged for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Its bytes, signatures included.
    pub bytes: u64,
    /// Its signatures.
    pub signatures: u64,
    /// The units that its execution took.
    pub units: u64,
}

/// How much was asked of a slot, and at which price: what the next slot's price comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// The slot.
    pub slot: Slot,
    /// Its price, in parts of [`PRICE_ONE`].
    pub price: u32,
    /// What its transactions came to, in units.
    pub units: u64,
}

hpb_types::layout!(Load { slot, price, units });

impl Default for Load {
    /// That of genesis.
    fn default() -> Self {
        Self { slot: Slot(0), price: PRICE_ONE, units: 0 }
    }
}

impl Work {
    /// All of it in units, as it counts for the load.
    pub fn load(&self) -> u64 {
        let signatures = self.signatures.saturating_mul(SIGNATURE_UNITS);
        self.units.saturating_add(signatures).saturating_add(self.bytes.saturating_mul(BYTE_UNITS))
    }
}

impl Load {
    /// The load of `slot` before its first transaction, if this is the last one before it, or its own so far.
    #[must_use]
    pub fn at(self, slot: Slot, fees: &Fees) -> Self {
        if slot <= self.slot {
            return self;
        }
        let mut price = moved(self.price, self.units, fees.slot_units);
        for _ in self.slot.0 + 1..slot.0 {
            if price == PRICE_ONE {
                break;
            }
            price = moved(price, 0, fees.slot_units);
        }
        Self { slot, price, units: 0 }
    }
}

/// The price after a slot of `units` at `price`, where `aim` is aimed at; none is aimed at where prices stay.
fn moved(price: u32, units: u64, aim: u64) -> u32 {
    if aim == 0 {
        return PRICE_ONE;
    }
    let full = u128::from(price / STEP);
    let step = |part: u64| (full * u128::from(part) / u128::from(aim)) as u32;
    if units > aim {
        let up = step((units - aim).min(aim)).max(1);
        price.saturating_add(up).min(PRICE_MAX)
    } else {
        price.saturating_sub(step(aim - units)).max(PRICE_ONE)
    }
}

impl Tariff {
    /// What that much work costs at `price`, rounded up; `None` above every amount.
    pub fn fee(&self, work: &Work, price: u32) -> Option<Amount> {
        let sum = self.at_one(work)?;
        if price == PRICE_ONE {
            return Some(Amount(sum));
        }
        let (price, one) = (u128::from(price), u128::from(PRICE_ONE));
        let whole = (sum / one).checked_mul(price)?;
        // The remainder is below 2^10, and a price below 2^32.
        whole.checked_add((sum % one * price).div_ceil(one)).map(Amount)
    }

    /// How many units, at most `most`, `purse` buys at `price` beside the rest of the work; `None` if not even that.
    pub fn units_for(&self, purse: Amount, rest: &Work, price: u32, most: u64) -> Option<u64> {
        let left = Self::buys(purse, price).checked_sub(self.at_one(rest)?)?;
        let bought = left.checked_div(self.fees.per_unit.0);
        Some(bought.map_or(most, |units| u64::try_from(units).unwrap_or(u64::MAX).min(most)))
    }

    /// What the work costs at the price of one.
    fn at_one(&self, work: &Work) -> Option<u128> {
        let part = |each: Amount, count: u64| each.0.checked_mul(u128::from(count));
        let Fees { per_byte, per_signature, per_unit, .. } = self.fees;
        part(per_byte, work.bytes)?
            .checked_add(part(per_signature, work.signatures)?)?
            .checked_add(part(per_unit, work.units)?)
    }

    /// The most that costs no more than `purse` at `price`, by what it costs at the price of one.
    fn buys(purse: Amount, price: u32) -> u128 {
        if price == PRICE_ONE {
            return purse.0;
        }
        let (price, one) = (u128::from(price), u128::from(PRICE_ONE));
        (purse.0 / price).saturating_mul(one).saturating_add(purse.0 % price * one / price)
    }
}

#[cfg(test)]
mod tests;
