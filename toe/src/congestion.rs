//! The card's own congestion window in integers, outside the TCP engine: slow start and CUBIC's Reno-friendly region
//! (RFC 9438 sections 4.3 and 4.6; RFC 5681). The engine sends what the peer's window allows; the edge shows it the
//! smaller of that window and what this one leaves.
//!
//! CUBIC's own curve is not here: over long paths with few losses a CUBIC sender wins its window back sooner.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing is being repaired.
    Open,
    /// Losses are being repaired, until `recover` is acknowledged (RFC 6675 section 5).
    Recovering { recover: u32 },
    /// A time-out found them: the window grows from one segment meanwhile (RFC 5681 section 3.1).
    TimedOut { recover: u32 },
}

/// One session's congestion state. Lengths in bytes; sequence numbers as the engine counts them.
#[derive(Clone, Copy, Debug)]
pub struct Congestion {
    window_len: u32,
    threshold_len: u32,
    phase: Phase,
    mss: u16,
}

/// The window after a loss, in tenths of the one before (RFC 9438 section 4.6).
const DECREASE_TENTHS: u32 = 7;
/// How fast the window grows, in segments a window, to be as fast as Reno with that decrease: 3 (1 - 0.7) / (1 + 0.7)
/// (RFC 9438 section 4.3).
const INCREASE: (u64, u64) = (9, 17);
/// The window grows no further: 16 MiB.
const WINDOW_LEN_MAX: u32 = 16 << 20;

impl Congestion {
    /// The first window of segments of `mss` bytes (RFC 6928).
    pub fn new(mss: u16) -> Self {
        let mss_len = u32::from(mss);
        Self {
            window_len: (10 * mss_len).min(14_600.max(2 * mss_len)),
            threshold_len: u32::MAX,
            phase: Phase::Open,
            mss,
        }
    }

    /// What may be in flight.
    pub fn window_len(&self) -> u32 {
        self.window_len
    }

    /// Whether losses are being repaired.
    pub fn is_recovering(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Losses were found; `end` is the number after the last that was sent. Losses of one window are one event.
    pub fn on_loss(&mut self, end: u32) {
        if self.phase == Phase::Open {
            self.decrease();
            self.window_len = self.threshold_len;
            self.phase = Phase::Recovering { recover: end };
        }
    }

    /// Nothing came for so long that all is taken for lost.
    pub fn on_timeout(&mut self, end: u32) {
        // The losses of a window are one event however they are found.
        if self.phase == Phase::Open {
            self.decrease();
        }
        self.window_len = u32::from(self.mss);
        self.phase = Phase::TimedOut { recover: end };
    }

    fn decrease(&mut self) {
        self.threshold_len = (self.window_len / 10 * DECREASE_TENTHS).max(2 * u32::from(self.mss));
    }

    /// An ACK of `acked_len` bytes up to `ack`, before which `flight_len` were in flight; whether it leaves something to be
    /// repaired. A window that is not half used says nothing of what the path carries, and does not grow (RFC 9438
    /// section 5.8).
    pub fn on_progress(&mut self, ack: u32, acked_len: u32, flight_len: u32) -> bool {
        match self.phase {
            Phase::Open if flight_len < self.window_len / 2 => {}
            Phase::Open => self.grow(acked_len),
            Phase::Recovering { recover } if is_after(recover, ack) => return true,
            Phase::Recovering { .. } => self.phase = Phase::Open,
            Phase::TimedOut { recover } => {
                self.grow(acked_len);
                if is_after(recover, ack) {
                    return true;
                }
                self.phase = Phase::Open;
            }
        }
        false
    }

    fn grow(&mut self, acked_len: u32) {
        let mss = u32::from(self.mss);
        let growth = if self.window_len < self.threshold_len {
            acked_len.min(2 * mss) // RFC 3465 with L = 2
        } else {
            let (segments, windows) = INCREASE;
            let share = u64::from(mss) * u64::from(acked_len) * segments / windows;
            (share / u64::from(self.window_len.max(1))).max(1) as u32
        };
        self.window_len = self.window_len.saturating_add(growth).min(WINDOW_LEN_MAX);
    }
}

/// Whether sequence number `a` comes after `b` (RFC 9293 section 3.4).
pub fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_460;

    fn of_segments(count: u32) -> Congestion {
        Congestion { window_len: count * MSS, threshold_len: count * MSS, ..Congestion::new(MSS as u16) }
    }

    #[test]
    fn it_starts_at_ten_segments_and_doubles_in_slow_start() {
        let mut congestion = Congestion::new(MSS as u16);
        assert_eq!(congestion.window_len(), 10 * MSS);
        for n in 1..=10 {
            assert!(!congestion.on_progress(n * MSS, MSS, 10 * MSS));
        }
        assert_eq!(congestion.window_len(), 20 * MSS);
    }

    #[test]
    fn losses_of_one_window_take_three_tenths_of_it_once() {
        let mut congestion = of_segments(20);
        congestion.on_loss(20 * MSS);
        congestion.on_loss(25 * MSS);
        assert_eq!((congestion.window_len(), congestion.is_recovering()), (14 * MSS, true));
        assert!(congestion.on_progress(19 * MSS, MSS, 20 * MSS), "not all that was in flight then");
        assert_eq!(congestion.window_len(), 14 * MSS, "held meanwhile");
        assert!(!congestion.on_progress(20 * MSS, MSS, 20 * MSS));
        congestion.on_loss(30 * MSS);
        assert_eq!(congestion.window_len(), 14 * MSS / 10 * 7, "another window");
    }

    #[test]
    fn a_time_out_falls_to_one_segment_then_starts_again() {
        let mut congestion = of_segments(10);
        congestion.on_timeout(10 * MSS);
        assert_eq!(congestion.window_len(), MSS);
        for n in 1..=3 {
            assert!(congestion.on_progress(2 * n * MSS, 2 * MSS, 10 * MSS));
        }
        assert_eq!(congestion.window_len(), 7 * MSS, "slow start up to seven tenths");
        assert!(!congestion.on_progress(10 * MSS, 4 * MSS, 4 * MSS));
        assert_eq!(congestion.window_len(), 7 * MSS + 4 * MSS * 9 / 17 / 7, "and slowly past it");
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut congestion = Congestion::new(MSS as u16);
        for n in 1..1_000 {
            congestion.on_progress(n * MSS, MSS, 4 * MSS);
        }
        assert_eq!(congestion.window_len(), 10 * MSS);
        congestion.on_progress(1_000 * MSS, MSS, 5 * MSS);
        assert_eq!(congestion.window_len(), 11 * MSS);
    }

    #[test]
    fn it_never_falls_below_two_segments_but_by_a_time_out() {
        let mut congestion = of_segments(2);
        congestion.on_loss(MSS);
        assert_eq!(congestion.window_len(), 2 * MSS);
    }

    #[test]
    fn a_first_window_counts_in_the_peer_s_segments() {
        for (mss, segments) in [(536, 10), (1_460, 10), (9_000, 2)] {
            let window_len = Congestion::new(mss).window_len();
            assert_eq!(window_len / u32::from(mss), segments, "{mss}");
        }
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert!(is_after(5, u32::MAX - 5));
        assert!(!is_after(u32::MAX - 5, 5));
    }
}
