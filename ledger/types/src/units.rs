//! Numbers with a meaning.

use core::fmt;
use core::str::FromStr;

use crate::keys::Hash;

/// A slot's number; its start is genesis time + slot x `slot_ms`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Slot(pub u64);

/// An epoch's number: the span of one schedule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub u64);

/// A slice's place, compared slot first (PROTOCOL.md, "Words").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Height {
    /// The slot.
    pub slot: Slot,
    /// The slice's index in its slot, from 0.
    pub index: u32,
}

/// An amount of the token in its smallest unit: 10^-18.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Amount(pub u128);

/// BLAKE3 of the canonical genesis: which chain a message belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChainId(pub Hash);

crate::layout!(Slot(number));
crate::layout!(Epoch(number));
crate::layout!(Height { slot, index });
crate::layout!(Amount(units));
crate::layout!(ChainId(hash));

impl Height {
    /// Index `index` of slot `slot`.
    pub const fn new(slot: u64, index: u32) -> Self {
        Self { slot: Slot(slot), index }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Height {
    /// `slot.index`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.index)
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Amount {
    /// Whole tokens, then as many of the 18 decimals as carry something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / Self::ONE.0, self.0 % Self::ONE.0);
        if rest == 0 {
            return whole.fmt(f);
        }
        let decimals = format!("{rest:018}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// A text is no amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an amount is tokens with at most 18 decimals, as 12.5")]
pub struct AmountError;

impl FromStr for Amount {
    type Err = AmountError;

    /// Whole tokens, and up to 18 decimals behind a point.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > 18 {
            return Err(AmountError);
        }
        let whole = whole.parse::<u128>().ok().and_then(|whole| whole.checked_mul(Self::ONE.0));
        let rest = format!("{decimals:0<18}").parse::<u128>().map_err(|_| AmountError)?;
        whole.and_then(|whole| whole.checked_add(rest)).map(Self).ok_or(AmountError)
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One whole token.
    pub const ONE: Self = Self(1_000_000_000_000_000_000);

    /// The sum, or `None` past the largest amount.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` below nothing.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_compare_by_slot_then_index() {
        assert!(Height::new(2, 0) > Height::new(1, 2_047));
        assert!(Height::new(2, 1) > Height::new(2, 0));
        assert_eq!(Height::new(7, 3).to_string(), "7.3");
    }

    #[test]
    fn amounts_neither_wrap_nor_go_below_nothing() {
        assert_eq!(Amount(2).checked_add(Amount(3)), Some(Amount(5)));
        assert_eq!(Amount(u128::MAX).checked_add(Amount(1)), None);
        assert_eq!(Amount(3).checked_sub(Amount(3)), Some(Amount::ZERO));
        assert_eq!(Amount(2).checked_sub(Amount(3)), None);
    }

    #[test]
    fn amounts_are_written_in_whole_tokens() {
        assert_eq!(Amount::ZERO.to_string(), "0");
        assert_eq!(Amount::ONE.to_string(), "1");
        assert_eq!(Amount(1_500_000_000_000_000_000).to_string(), "1.5");
        assert_eq!(Amount(1).to_string(), "0.000000000000000001");
    }

    #[test]
    fn amounts_are_read_as_they_are_written() {
        for amount in [0, 1, 15, Amount::ONE.0, Amount::ONE.0 * 3 / 2, u128::MAX] {
            assert_eq!(Amount(amount).to_string().parse(), Ok(Amount(amount)));
        }
        assert_eq!("007.50".parse(), Ok(Amount(Amount::ONE.0 * 15 / 2)));
        let long = format!("{}0", Amount(u128::MAX));
        for wrong in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000000000000000001", &long] {
            assert_eq!(wrong.parse::<Amount>(), Err(AmountError), "{wrong}");
        }
    }
}
