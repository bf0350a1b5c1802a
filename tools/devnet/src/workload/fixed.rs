//! Powers in integers, so that the same table comes out on every machine: floating-point `pow` may differ.

use hpb_base::Random;

/// Fraction bits of a logarithm.
const LOG_BITS: u32 = 32;
/// Fraction bits of a mantissa.
const MANTISSA_BITS: u32 = 63;
/// Bits of the largest weight of a table.
const WEIGHT_BITS: u32 = 40;

/// Draws indices with given weights: one number below the sum, one binary search.
#[derive(Clone, Debug)]
pub(super) struct Cumulative {
    ends: Vec<u64>,
}

impl Cumulative {
    /// A table of `weights`; `None` if they are all zero.
    pub(super) fn new(weights: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut sum: u64 = 0;
        let ends: Vec<u64> = weights
            .into_iter()
            .map(|weight| {
                sum = sum.saturating_add(weight);
                sum
            })
            .collect();
        (sum > 0).then_some(Self { ends })
    }

    /// The Zipf-Mandelbrot table: rank r (from 1) weighs (r + shift)^-exponent.
    pub(super) fn zipf(ranks: usize, exponent_milli: u32, shift_tenths: u32) -> Option<Self> {
        let place = |rank: usize| rank as u64 * 10 + u64::from(shift_tenths);
        let first = log2(place(1));
        Self::new((1..=ranks).map(|rank| {
            let fall = u128::from(log2(place(rank)) - first) * u128::from(exponent_milli) / 1_000;
            inverse_exp2(fall).max(1)
        }))
    }

    /// An index with a chance in proportion to its weight.
    pub(super) fn draw(&self, random: &mut Random) -> usize {
        let sum = self.ends.last().copied().unwrap_or(1);
        let at = random.below(sum);
        self.ends.partition_point(|end| *end <= at)
    }
}

/// log2 of `value`, which is not zero, with [`LOG_BITS`] fraction bits; by repeated squaring of the mantissa.
fn log2(value: u64) -> u64 {
    assert!(value > 0, "zero has no logarithm");
    let whole = value.ilog2();
    let mut mantissa = u128::from(value) << (MANTISSA_BITS - whole);
    let mut log = u64::from(whole);
    for _ in 0..LOG_BITS {
        mantissa = (mantissa * mantissa) >> MANTISSA_BITS;
        let bit = mantissa >> (MANTISSA_BITS + 1);
        mantissa >>= bit;
        log = log << 1 | bit as u64;
    }
    log
}

/// 2^([`WEIGHT_BITS`] - fall), where `fall` has [`LOG_BITS`] fraction bits; rounded down.
fn inverse_exp2(fall: u128) -> u64 {
    let whole = fall >> LOG_BITS;
    if whole > u128::from(WEIGHT_BITS) {
        return 0;
    }
    let mut mantissa: u128 = 1 << MANTISSA_BITS;
    // 2^-(1/2), 2^-(1/4), ...: each the square root of the one before.
    let mut root: u128 = 1 << (MANTISSA_BITS - 1);
    for bit in (0..LOG_BITS).rev() {
        root = (root << MANTISSA_BITS).isqrt();
        if fall >> bit & 1 == 1 {
            mantissa = (mantissa * root) >> MANTISSA_BITS;
        }
    }
    (mantissa >> (MANTISSA_BITS - WEIGHT_BITS) >> whole) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_sign_loss)]

    use super::*;

    #[test]
    fn logarithms_and_powers_agree_with_floating_point() {
        for value in [1u64, 2, 3, 10, 12, 42, 1_000, 153_432, u64::from(u32::MAX)] {
            let log = log2(value) as f64 / 2f64.powi(32);
            assert!((log - (value as f64).log2()).abs() < 1e-8, "{value}: {log}");
        }
        for fall in [0.0, 0.5, 1.0, 1.25, 7.9, 20.3f64] {
            let exact = (40.0 - fall).exp2();
            let got = inverse_exp2((fall * 2f64.powi(32)) as u128) as f64;
            assert!((got - exact).abs() / exact < 1e-5, "{fall}: {got} against {exact}");
        }
        assert_eq!(inverse_exp2(41 << 32), 0);
    }

    #[test]
    fn the_table_is_the_same_everywhere() {
        let table = Cumulative::zipf(4, 1_325, 2).unwrap();
        let exact: Vec<f64> = (1..=4).map(|rank| ((f64::from(rank) + 0.2) / 1.2).powf(-1.325)).collect();
        let mut sum = 0.0;
        for (end, weight) in table.ends.iter().zip(exact) {
            sum += weight;
            assert!((*end as f64 / 2f64.powi(40) - sum).abs() < 1e-6);
        }
        assert_eq!(table.ends[0], 1 << 40);
    }

    #[test]
    fn draws_follow_the_weights() {
        let table = Cumulative::new([0, 3, 0, 1]).unwrap();
        let mut random = Random::new(5);
        let mut counts = [0; 4];
        for _ in 0..4_000 {
            counts[table.draw(&mut random)] += 1;
        }
        assert_eq!((counts[0], counts[2]), (0, 0));
        assert!((2_850..3_150).contains(&counts[1]), "{counts:?}");
        assert!(Cumulative::new([0, 0]).is_none() && Cumulative::new([]).is_none());
    }
}
