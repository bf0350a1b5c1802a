//! Who confirms: two sets of four, one of each Byzantine.
//!
//! Only honest producers are named, by numbers from 0: first those of the old set alone, then those of both, then those
//! of the new set alone. A set's Byzantine producer is a weight and nothing else, on every link from the start: rules bind
//! only honest producers, and since more confirms never forbid anything it has nothing to gain by waiting. Whether the
//! two sets have the same one or each its own makes no difference.

use std::ops::Range;

/// Honest producers that two sets have at most.
pub const HONEST_MAX: usize = 6;
/// Producers of a set, each of weight 1.
pub const SET_LEN: u32 = 4;
/// Of these, honest ones.
const SET_HONEST: u8 = 3;

/// A set of producers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Set {
    /// The first epoch's.
    Old,
    /// The second epoch's.
    New,
}

/// The producers before and after the change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producers {
    /// Honest producers that leave.
    leaving: u8,
    /// Honest producers that stay.
    staying: u8,
    /// Weight of a set's Byzantine producer on every link.
    byzantine: u32,
}

impl Producers {
    /// Nobody leaves.
    pub const UNCHANGED: Self = Self::new(3);
    /// Two honest ones stay. With a Byzantine one that stays three are in common, else two.
    pub const TWO_STAY: Self = Self::new(2);
    /// One honest one stays. With a Byzantine one that stays two are in common, else one.
    pub const ONE_STAYS: Self = Self::new(1);
    /// All honest ones leave.
    pub const REPLACED: Self = Self::new(0);

    const fn new(staying: u8) -> Self {
        Self { leaving: SET_HONEST - staying, staying, byzantine: 1 }
    }

    /// With Byzantine producers that never sign anything.
    #[must_use]
    pub const fn with_silence(self) -> Self {
        Self { byzantine: 0, ..self }
    }

    /// Honest producers of both sets together, at most [`HONEST_MAX`].
    pub const fn honest(self) -> usize {
        (2 * self.leaving + self.staying) as usize
    }

    /// The honest producers of `set`.
    pub const fn members(self, set: Set) -> Range<usize> {
        match set {
            Set::Old => 0..SET_HONEST as usize,
            Set::New => self.leaving as usize..self.honest(),
        }
    }

    /// The weight in `set` of those who signed a link, given honest ones as bits by their number.
    pub const fn weight(self, set: Set, signers: u8) -> u32 {
        let members = self.members(set);
        let of_set = signers >> members.start & ((1 << (members.end - members.start)) - 1);
        of_set.count_ones() + self.byzantine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_weighs_in_each_set_that_it_belongs_to() {
        // Honest producers, and the weights of 0, of 2, and of all, in both sets; the Byzantine one's is in each.
        let table = [
            (Producers::UNCHANGED, 3, [(2, 2), (2, 2), (4, 4)]),
            (Producers::TWO_STAY, 4, [(2, 1), (2, 2), (4, 4)]),
            (Producers::ONE_STAYS, 5, [(2, 1), (2, 2), (4, 4)]),
            (Producers::REPLACED, 6, [(2, 1), (2, 1), (4, 4)]),
        ];
        for (producers, honest, expected) in table {
            assert_eq!(producers.honest(), honest);
            let found = [1, 1 << 2, (1 << honest) - 1]
                .map(|signers| (producers.weight(Set::Old, signers), producers.weight(Set::New, signers)));
            assert_eq!(found, expected, "{producers:?}");
            let silent = producers.with_silence();
            assert_eq!((silent.weight(Set::Old, 1), silent.weight(Set::New, 0)), (1, 0));
        }
    }
}
