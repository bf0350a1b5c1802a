//! Numbers with a meaning.

use core::fmt;

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
}
