//! The lane's timers: a hierarchical wheel of three rounds of 256 slots, a millisecond a tick (Varghese and Lauck,
//! 1987). Arming and firing cost the same however many timers there are.

const SLOTS: usize = 256;
const LEVELS: usize = 3;
/// The furthest a timer is set; one further ahead fires here, and its owner arms it again.
pub const HORIZON_MS: u64 = (SLOTS as u64).pow(LEVELS as u32) - 1;

/// Timers of sessions by index. A timer that is armed earlier again leaves the old entry to fire for nothing: owners
/// look at what is due, not at who rang.
pub struct Wheel {
    levels: [Vec<Vec<Entry>>; LEVELS],
    now_ms: u64,
    armed: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    index: u32,
    due_ms: u64,
}

impl Wheel {
    /// A wheel that stands at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self { levels: std::array::from_fn(|_| vec![Vec::new(); SLOTS]), now_ms, armed: 0 }
    }

    /// Rings for `index` at `due_ms`, or at the next tick if that has passed.
    pub fn arm(&mut self, index: u32, due_ms: u64) {
        let due_ms = due_ms.clamp(self.now_ms + 1, self.now_ms + HORIZON_MS);
        self.armed += 1;
        self.place(Entry { index, due_ms });
    }

    /// Turns to `now_ms`; calls `ring` for each timer that fell due, in order of their time.
    pub fn turn(&mut self, now_ms: u64, mut ring: impl FnMut(u32)) {
        if self.armed == 0 {
            self.now_ms = self.now_ms.max(now_ms);
            return;
        }
        while self.now_ms < now_ms {
            self.now_ms += 1;
            for level in (1..LEVELS).rev() {
                if self.now_ms.is_multiple_of(span(level)) {
                    self.cascade(level);
                }
            }
            let slot = self.now_ms as usize % SLOTS;
            let mut due = std::mem::take(&mut self.levels[0][slot]);
            self.armed -= due.len();
            for entry in due.drain(..) {
                ring(entry.index);
            }
            // Keeps the slot's memory for its next round.
            self.levels[0][slot] = due;
        }
    }

    /// When to [`turn`](Self::turn) next, in milliseconds: the next timer's time, or an earlier one when its slot has
    /// to be taken apart first; `None` if no timer is armed.
    pub fn next_ms(&self) -> Option<u64> {
        if self.armed == 0 {
            return None;
        }
        for level in 0..LEVELS {
            let step = span(level);
            let base = self.now_ms / step;
            for ahead in 1..=SLOTS as u64 {
                if !self.levels[level][(base + ahead) as usize % SLOTS].is_empty() {
                    return Some((base + ahead) * step);
                }
            }
        }
        None
    }

    /// Timers armed, those to fire for nothing included.
    pub fn armed(&self) -> usize {
        self.armed
    }

    fn cascade(&mut self, level: usize) {
        let slot = (self.now_ms / span(level)) as usize % SLOTS;
        for entry in std::mem::take(&mut self.levels[level][slot]) {
            self.place(entry);
        }
    }

    fn place(&mut self, entry: Entry) {
        let ahead = entry.due_ms.saturating_sub(self.now_ms);
        let level = (0..LEVELS - 1).find(|level| ahead < span(level + 1)).unwrap_or(LEVELS - 1);
        let slot = (entry.due_ms / span(level)) as usize % SLOTS;
        self.levels[level][slot].push(entry);
    }
}

/// Milliseconds that one slot of a level covers.
fn span(level: usize) -> u64 {
    (SLOTS as u64).pow(level as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fired(wheel: &mut Wheel, until_ms: u64) -> Vec<(u64, u32)> {
        let mut fired = Vec::new();
        for ms in wheel.now_ms + 1..=until_ms {
            wheel.turn(ms, |index| fired.push((ms, index)));
        }
        fired
    }

    #[test]
    fn each_rings_once_at_its_time() {
        let mut wheel = Wheel::new(1_000);
        let times = [1_001, 1_255, 1_256, 1_300, 2_000, 66_000, 70_000, 140_000];
        for (index, due_ms) in times.iter().enumerate() {
            wheel.arm(index as u32, *due_ms);
        }
        let expected: Vec<_> = times.iter().enumerate().map(|(index, due_ms)| (*due_ms, index as u32)).collect();
        assert_eq!(fired(&mut wheel, 150_000), expected);
        assert_eq!((wheel.armed(), wheel.next_ms()), (0, None));
    }

    #[test]
    fn the_past_rings_at_the_next_tick_and_the_far_future_at_the_horizon() {
        let mut wheel = Wheel::new(50);
        wheel.arm(1, 3);
        wheel.arm(2, u64::MAX);
        assert_eq!(fired(&mut wheel, 60), [(51, 1)]);
        let mut rung = Vec::new();
        wheel.turn(50 + HORIZON_MS, |index| rung.push(index));
        assert_eq!(rung, [2]);
    }

    proptest! {
        #[test]
        fn it_equals_a_sorted_list(times in proptest::collection::vec(1..200_000_u64, 1..60), start in 0..100_000_u64) {
            let mut wheel = Wheel::new(start);
            for (index, ahead) in times.iter().enumerate() {
                wheel.arm(index as u32, start + ahead);
            }
            let mut rung = Vec::new();
            while let Some(next_ms) = wheel.next_ms() {
                wheel.turn(next_ms, |index| rung.push((next_ms, index)));
            }
            let mut expected: Vec<_> =
                times.iter().enumerate().map(|(index, ahead)| (start + ahead, index as u32)).collect();
            expected.sort_unstable();
            rung.sort_unstable();
            prop_assert_eq!(rung, expected);
        }
    }
}
