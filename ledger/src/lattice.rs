//! One sum for a whole state, kept up change by change: the homomorphic hash `LtHash16` (Lewi, Kim, Maykov and Weis, 2019,
//! "Securing Update Propagation with Homomorphic Hashing") over BLAKE3's extendable output.
//!
//! Each record of the state is hashed to 1,024 numbers of 16 bits, and the sum of a state is the sum of its records'
//! numbers. So a change costs the hashes of what it takes away and of what it puts there, whatever the state's size, the
//! order of changes does not matter, and workers sum apart. To find two states of one sum is as hard as a lattice problem
//! of more than 200 bits; which record differs, a sum does not tell.

use hpb_types::Hash;

use crate::bytes::Bytes;

/// Numbers of a sum.
const NUMBERS: usize = 1_024;
/// Bytes of a sum.
const SUM_LEN: usize = 2 * NUMBERS;
/// The version of the stored record.
const VERSION: u8 = 1;

/// The sum of some records.
#[derive(Clone, PartialEq, Eq)]
pub struct LatticeSum(Box<[u16; NUMBERS]>);

impl Default for LatticeSum {
    /// That of none.
    fn default() -> Self {
        Self(Box::new([0; NUMBERS]))
    }
}

impl core::fmt::Debug for LatticeSum {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LatticeSum({})", self.root())
    }
}

impl LatticeSum {
    /// Adds a record.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        let numbers = numbers(key, value);
        for (sum, number) in self.0.iter_mut().zip(numbers.as_chunks().0) {
            *sum = sum.wrapping_add(u16::from_le_bytes(*number));
        }
    }

    /// Takes a record away that was added.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        let numbers = numbers(key, value);
        for (sum, number) in self.0.iter_mut().zip(numbers.as_chunks().0) {
            *sum = sum.wrapping_sub(u16::from_le_bytes(*number));
        }
    }

    /// Adds all that another sum has, less what it lacks.
    pub fn join(&mut self, other: &Self) {
        for (sum, number) in self.0.iter_mut().zip(&other.0[..]) {
            *sum = sum.wrapping_add(*number);
        }
    }

    /// The root of the state: the tagged hash `state` of the sum's numbers, little-endian.
    pub fn root(&self) -> Hash {
        Hash::of_parts("state", &[&self.to_bytes()])
    }

    /// The record that keeps it.
    pub fn to_record(&self) -> Bytes {
        Bytes::concat(&[&[VERSION], &self.to_bytes()])
    }

    /// The sum that a record keeps; `None` if it is none.
    pub fn from_record(bytes: &[u8]) -> Option<Self> {
        let [VERSION, rest @ ..] = bytes else { return None };
        if rest.len() != SUM_LEN {
            return None;
        }
        let mut sum = Self::default();
        for (number, pair) in sum.0.iter_mut().zip(rest.as_chunks().0) {
            *number = u16::from_le_bytes(*pair);
        }
        Some(sum)
    }

    fn to_bytes(&self) -> [u8; SUM_LEN] {
        let mut bytes = [0; SUM_LEN];
        for (pair, number) in bytes.as_chunks_mut().0.iter_mut().zip(&self.0[..]) {
            *pair = number.to_le_bytes();
        }
        bytes
    }
}

/// The numbers of one record, little-endian: BLAKE3's output for the tagged hash `state record` of key and value.
fn numbers(key: &[u8], value: &[u8]) -> [u8; SUM_LEN] {
    let mut output = [0; SUM_LEN];
    Hash::fill_of_parts("state record", &[key, value], &mut output);
    output
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn sum(records: &[(&[u8], &[u8])]) -> LatticeSum {
        let mut sum = LatticeSum::default();
        for (key, value) in records {
            sum.add(key, value);
        }
        sum
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let one = sum(&[(b"a", b"1"), (b"b", b"2")]);
        assert_eq!(one, sum(&[(b"b", b"2"), (b"a", b"1")]));
        let others = [
            sum(&[]),
            sum(&[(b"a", b"1")]),
            sum(&[(b"a", b"2"), (b"b", b"1")]),
            sum(&[(b"a", b"1"), (b"b", b"2"), (b"c", b"")]),
            sum(&[(b"a1", b""), (b"b", b"2")]),
            sum(&[(b"a", b"1"), (b"b", b"2"), (b"b", b"2")]),
        ];
        assert!(others.iter().all(|other| other.root() != one.root()));
    }

    #[test]
    fn the_root_is_what_another_program_comes_to() {
        // By the definition in FORMAT.md, with another implementation of BLAKE3.
        let expected = "97253b612553474deb4ec247fcef6ad22550c5e43481c1cc242d94f14f823604";
        assert_eq!(sum(&[(b"a", b"1"), (b"b", b"2")]).root().to_hex(), expected);
    }

    #[test]
    fn a_sum_reads_back() {
        let one = sum(&[(b"a", b"1")]);
        let record = one.to_record();
        assert_eq!(LatticeSum::from_record(&record), Some(one));
        assert_eq!(LatticeSum::from_record(&record[..record.len() - 1]), None);
        assert_eq!(LatticeSum::from_record(&[&[2], &record[1..]].concat()), None);
        assert_eq!(LatticeSum::from_record(&[]), None);
    }

    proptest! {
        #[test]
        fn changes_come_to_the_sum_of_what_is_left(
            changes in proptest::collection::vec((0..8_u8, proptest::option::of(any::<u8>())), 0..40),
        ) {
            let (mut state, mut kept) = (std::collections::BTreeMap::new(), LatticeSum::default());
            for (key, value) in changes {
                let before = match value {
                    Some(value) => state.insert(key, value),
                    None => state.remove(&key),
                };
                let mut change = LatticeSum::default();
                before.inspect(|before| change.remove(&[key], &[*before]));
                value.inspect(|value| change.add(&[key], &[*value]));
                kept.join(&change);
            }
            let mut counted = LatticeSum::default();
            for (key, value) in &state {
                counted.add(&[*key], &[*value]);
            }
            prop_assert_eq!(kept, counted);
        }
    }
}
