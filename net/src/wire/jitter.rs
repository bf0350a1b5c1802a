//! How much longer than its delay a link takes: distributions that are drawn by integers alone, so that one draw is the
//! same on every machine.
//!
//! A draw is one 64-bit word, read as a probability between 0 and 1, and the delay is the distribution's quantile at that
//! probability. What is below a nanosecond is cut.

#[cfg(test)]
mod tests;

use hpb_base::Duration;

/// No draw of an exponential, normal or Pareto distribution is longer: heavy tails have no end of their own.
pub const JITTER_MAX: Duration = Duration::from_secs(600);

/// A distribution of what a frame takes beyond its link's delay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Jitter {
    /// Nothing more.
    #[default]
    None,
    /// Evenly from nothing to this.
    Uniform(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Normal around nothing with this standard deviation; what would be negative takes nothing.
    Normal(Duration),
    /// Pareto: heavy tails.
    Pareto {
        /// The least.
        scale: Duration,
        /// How heavy the tail is, in thousandths: the smaller, the heavier. Up to 1,000 there is no mean; 0 counts as 1.
        shape_milli: u32,
    },
}

/// ln 2 in units of 2^-32.
const LN_2: u128 = 2_977_044_472;
/// Bits behind the point of what the normal distribution is computed with.
const POINT: u32 = 48;
/// One, in those units.
const ONE: i128 = 1 << POINT;
/// Bits behind the point of the powers of two.
const POWER_POINT: u32 = 62;
/// 2^(1/2), 2^(1/4), 2^(1/8), ... in units of 2^-62.
const ROOTS: [u64; 32] = roots();

impl Jitter {
    /// The delay that a uniformly drawn word stands for.
    pub fn quantile(self, word: u64) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Uniform(most) => scaled(word, most.as_nanos().saturating_add(1).max(1)),
            Self::Exponential(mean) => capped((u128::from(mean.min(JITTER_MAX).as_nanos()) * minus_ln(word)) >> 64),
            Self::Normal(deviation) => normal(word, deviation),
            Self::Pareto { scale, shape_milli } => pareto(word, scale, shape_milli),
        }
    }
}

/// A number below `bound` (Lemire's multiplication).
fn scaled(word: u64, bound: u64) -> Duration {
    Duration::from_nanos(((u128::from(word) * u128::from(bound)) >> 64) as u64)
}

fn capped(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).min(JITTER_MAX.as_nanos()))
}

/// -log2 of the word as a probability, in units of 2^-32, digit by digit: each squaring of a number between 1 and 2 says
/// the next bit of its logarithm.
fn minus_log2(word: u64) -> u64 {
    let word = word.max(1);
    let zeros = word.leading_zeros();
    let mut mantissa = word << zeros;
    let mut fraction = 0_u64;
    for _ in 0..32 {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let is_two_or_more = square >> 64 != 0;
        fraction = (fraction << 1) | u64::from(is_two_or_more);
        mantissa = if is_two_or_more { square >> 1 } else { square } as u64;
    }
    (u64::from(zeros + 1) << 32) - fraction
}

/// -ln of the word as a probability, in units of 2^-64.
fn minus_ln(word: u64) -> u128 {
    u128::from(minus_log2(word)) * LN_2
}

/// The upper half of the normal distribution; the lower half is nothing.
fn normal(word: u64, deviation: Duration) -> Duration {
    if word >> 63 == 0 {
        return Duration::ZERO;
    }
    // What is left of the word says how likely it is to lie further out: between 0 and one half.
    let tail = (word << 1).max(1);
    let center = (ONE >> 1) - i128::from(tail >> (64 - POINT + 1));
    let quantile = if center <= 425 * ONE / 1_000 {
        let square = (center * center) >> POINT;
        let at = 180_625 * ONE / 1_000_000 - square;
        (center * ratio(&CENTER, at)) >> POINT
    } else {
        let minus_ln = (u128::from(minus_log2(tail) + (1 << 32)) * LN_2) >> (64 - POINT);
        let root = (minus_ln << POINT).isqrt().cast_signed();
        if root <= 5 * ONE { ratio(&NEAR, root - 16 * ONE / 10) } else { ratio(&FAR, root - 5 * ONE) }
    };
    capped((quantile.max(0).cast_unsigned() * u128::from(deviation.as_nanos())) >> POINT)
}

/// `scale / probability^(1 / shape)`, by powers of two.
fn pareto(word: u64, scale: Duration, shape_milli: u32) -> Duration {
    let exponent = minus_log2(word) * 1_000 / u64::from(shape_milli.max(1));
    let (whole, fraction) = (exponent >> 32, exponent as u32);
    if whole >= 64 {
        return capped(u128::from(scale.as_nanos()) << 64);
    }
    let mut power = 1_u64 << POWER_POINT;
    for (bit, root) in ROOTS.iter().enumerate() {
        if fraction >> (31 - bit) & 1 == 1 {
            power = ((u128::from(power) * u128::from(*root)) >> POWER_POINT) as u64;
        }
    }
    // A factor below 2^64 and one below 2^63 at most, then up to 63 places: held below before they are moved.
    let least = (u128::from(scale.as_nanos()) * u128::from(power)) >> POWER_POINT;
    if least > u128::from(JITTER_MAX.as_nanos()) { JITTER_MAX } else { capped(least << whole) }
}

const fn roots() -> [u64; 32] {
    let mut roots = [0; 32];
    let mut squared = 2_u128 << POWER_POINT;
    let mut at = 0;
    while at < roots.len() {
        squared = (squared << POWER_POINT).isqrt();
        roots[at] = squared as u64;
        at += 1;
    }
    roots
}

/// A quotient of two polynomials, coefficients in units of 2^-48 and from the lowest power on.
struct Quotient {
    above: [i128; 8],
    below: [i128; 8],
}

fn ratio(quotient: &Quotient, at: i128) -> i128 {
    let value = |of: &[i128; 8]| of.iter().rev().fold(0, |sum, coefficient| ((sum * at) >> POINT) + coefficient);
    (value(&quotient.above) << POINT) / value(&quotient.below)
}

/// A published coefficient: `digits` times ten to the power of `-places`.
const fn coefficient(digits: i128, places: u32) -> i128 {
    let ten = 10_i128.pow(places);
    (digits * ONE + ten / 2) / ten
}

// The quantiles of the normal distribution by three quotients (Wichura, "Algorithm AS 241", Applied Statistics 37, 1988,
// PPND16), to as many digits as units of 2^-48 have.

/// Probabilities from 0.075 to 0.925.
const CENTER: Quotient = Quotient {
    above: [
        coefficient(33_871_328_727_963_666, 16),
        coefficient(13_314_166_789_178_438, 14),
        coefficient(19_715_909_503_065_514, 13),
        coefficient(13_731_693_765_509_461, 12),
        coefficient(45_921_953_931_549_872, 12),
        coefficient(67_265_770_927_008_701, 12),
        coefficient(33_430_575_583_588_128, 12),
        coefficient(25_090_809_287_301_227, 13),
    ],
    below: [
        ONE,
        coefficient(42_313_330_701_600_911, 15),
        coefficient(68_718_700_749_205_791, 14),
        coefficient(53_941_960_214_247_511, 13),
        coefficient(21_213_794_301_586_596, 12),
        coefficient(39_307_895_800_092_711, 12),
        coefficient(28_729_085_735_721_943, 12),
        coefficient(52_264_952_788_528_546, 13),
    ],
};

/// Tails down to e^-25.
const NEAR: Quotient = Quotient {
    above: [
        coefficient(14_234_371_107_496_836, 16),
        coefficient(46_303_378_461_565_453, 16),
        coefficient(57_694_972_214_606_914, 16),
        coefficient(36_478_483_247_632_046, 16),
        coefficient(12_704_582_524_523_684, 16),
        coefficient(2_417_807_251_774_506, 16),
        coefficient(227_238_449_892_692, 16),
        coefficient(7_745_450_142_783, 16),
    ],
    below: [
        ONE,
        coefficient(20_531_916_266_377_588, 16),
        coefficient(16_763_848_301_838_038, 16),
        coefficient(6_897_673_349_851_000, 16),
        coefficient(1_481_039_764_274_801, 16),
        coefficient(151_986_665_636_165, 16),
        coefficient(5_475_938_084_995, 16),
        coefficient(10_507_500, 16),
    ],
};

/// What lies further out.
const FAR: Quotient = Quotient {
    above: [
        coefficient(66_579_046_435_011_038, 16),
        coefficient(54_637_849_111_641_144, 16),
        coefficient(17_848_265_399_172_913, 16),
        coefficient(2_965_605_718_285_049, 16),
        coefficient(265_321_895_265_761, 16),
        coefficient(12_426_609_473_881, 16),
        coefficient(271_155_556_874, 16),
        coefficient(2_010_334_399, 16),
    ],
    below: [
        ONE,
        coefficient(5_998_322_065_558_880, 16),
        coefficient(1_369_298_809_227_358, 16),
        coefficient(148_753_612_908_506, 16),
        coefficient(7_868_691_311_456, 16),
        coefficient(184_631_831_751, 16),
        coefficient(1_421_511_758, 16),
        coefficient(20, 16),
    ],
};
