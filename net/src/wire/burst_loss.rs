//! Losses that come in bursts: a chain of two states (Gilbert 1960, Elliott 1963), stepped once a frame.

use hpb_base::Random;

/// A chain of two states, each with a loss of its own. Shares are in parts per million of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BurstLoss {
    /// From the good state to the bad.
    pub enter_ppm: u32,
    /// From the bad to the good: a million over the mean length of a burst in frames.
    pub leave_ppm: u32,
    /// Lost in the good state.
    pub good_ppm: u32,
    /// Lost in the bad state.
    pub bad_ppm: u32,
}

/// Where one direction's chain stands. Its dice are its own, so that it shifts no others.
pub(super) struct Chain {
    random: Random,
    is_bad: bool,
}

impl Chain {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self { random: Random::stream(seed, !stream), is_bad: false }
    }

    /// Steps, and says whether the next frame is lost; without a chain it goes back to the good state. One draw a frame.
    pub(super) fn loses(&mut self, chain: Option<BurstLoss>) -> bool {
        let word = self.random.next_u64();
        let Some(chain) = chain else {
            self.is_bad = false;
            return false;
        };
        let happens = |half: u32, ppm: u32| (u64::from(half) * 1_000_000) >> 32 < u64::from(ppm);
        let (step, loss) = ((word >> 32) as u32, word as u32);
        self.is_bad ^= happens(step, if self.is_bad { chain.leave_ppm } else { chain.enter_ppm });
        happens(loss, if self.is_bad { chain.bad_ppm } else { chain.good_ppm })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]

    use super::*;

    fn losses(chain: BurstLoss, frames: usize) -> Vec<bool> {
        let mut state = Chain::new(3, 1);
        (0..frames).map(|_| state.loses(Some(chain))).collect()
    }

    #[test]
    fn the_share_lost_is_the_chain_s() {
        let chain = BurstLoss { enter_ppm: 10_000, leave_ppm: 200_000, good_ppm: 1_000, bad_ppm: 500_000 };
        let lost = losses(chain, 1_000_000).into_iter().filter(|lost| *lost).count() as f64 / 1e6;
        let bad = 10_000.0 / 210_000.0;
        let expected = bad * 0.5 + (1.0 - bad) * 0.001;
        assert!((lost - expected).abs() < 0.001, "{lost} is not {expected}");
    }

    #[test]
    fn bursts_are_as_long_as_the_bad_state_lasts() {
        let chain = BurstLoss { enter_ppm: 10_000, leave_ppm: 250_000, good_ppm: 0, bad_ppm: 1_000_000 };
        let lost = losses(chain, 1_000_000);
        let bursts: Vec<usize> = lost.split(|lost| !lost).map(<[bool]>::len).filter(|len| *len > 0).collect();
        let mean = bursts.iter().sum::<usize>() as f64 / bursts.len() as f64;
        assert!((mean - 4.0).abs() < 0.1, "a burst of {mean} frames");
        // Geometric: three quarters of all bursts that reach a length go on.
        let reach = |len: usize| bursts.iter().filter(|burst| **burst >= len).count() as f64;
        for len in 1..6 {
            let goes_on = reach(len + 1) / reach(len);
            assert!((goes_on - 0.75).abs() < 0.03, "{goes_on} of those of {len} frames go on");
        }
    }

    #[test]
    fn without_a_chain_nothing_is_lost_and_the_dice_go_on() {
        let chain = BurstLoss { enter_ppm: 500_000, leave_ppm: 500_000, good_ppm: 0, bad_ppm: 1_000_000 };
        let (mut switched, mut always) = (Chain::new(3, 1), Chain::new(3, 1));
        assert!((0..100).all(|_| !switched.loses(None)));
        for _ in 0..100 {
            always.loses(Some(chain));
        }
        always.is_bad = false;
        assert!((0..100).all(|_| switched.loses(Some(chain)) == always.loses(Some(chain))));
    }
}
