//! The card's own congestion window: `NewReno` (RFC 5681, RFC 6582) in integers, outside the TCP engine.
//!
//! The engine sends what the peer's window allows; the edge shows it the smaller of that window and this one. The
//! window starts at ten segments (RFC 6928) and is held constant while duplicate ACKs come, because the engine takes
//! an ACK with another window for a new one and would not count it (RFC 5681 section 2).

/// What a segment that leaves is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// Not sent before, or nothing that is acknowledged.
    New,
    /// Sent before.
    Again,
    /// Sent before, and the first of a window after a time-out.
    TimedOut,
}

/// What an ACK brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing new.
    None,
    /// It acknowledges something.
    Some,
    /// It acknowledges something, but not all that was in flight when a loss was found: the next segment is lost too
    /// (RFC 6582 section 3.2).
    Partial,
}

/// One session's congestion state. Lengths in bytes; sequence numbers as the engine counts them.
#[derive(Clone, Copy, Debug)]
pub struct Congestion {
    window_len: u32,
    threshold_len: u32,
    unacknowledged: u32,
    highest_sent: u32,
    recover: u32,
    mss: u16,
    duplicates: u8,
    recovering: bool,
}

impl Congestion {
    /// The state at the session's first ACK: `first` is the sequence number after our SYN.
    pub fn new(mss: u16, first: u32) -> Self {
        let mss_len = u32::from(mss);
        Self {
            window_len: (10 * mss_len).min(14_600.max(2 * mss_len)),
            threshold_len: u32::MAX,
            unacknowledged: first,
            highest_sent: first,
            recover: first,
            mss,
            duplicates: 0,
            recovering: false,
        }
    }

    /// What may be in flight.
    pub fn window_len(&self) -> u32 {
        self.window_len
    }

    /// What is in flight.
    pub fn flight_len(&self) -> u32 {
        self.highest_sent.wrapping_sub(self.unacknowledged)
    }

    /// The oldest byte that the peer has not acknowledged.
    pub fn unacknowledged(&self) -> u32 {
        self.unacknowledged
    }

    /// Notes a segment that leaves. Sent again without duplicate ACKs, it is a time-out of the engine's: the window falls
    /// to one segment (RFC 5681 section 3.1).
    pub fn on_sent(&mut self, seq: u32, len: u32) -> Sent {
        if len == 0 {
            return Sent::New;
        }
        // With nothing in flight it is a keep-alive probe, which repeats an old number on purpose.
        let again = is_after(self.highest_sent, seq) && self.flight_len() > 0;
        let end = seq.wrapping_add(len);
        if is_after(end, self.highest_sent) {
            self.highest_sent = end;
        }
        // One event a window: what is resent up to `recover` belongs to the same loss.
        if again && !self.recovering && !is_after(self.recover, self.unacknowledged) {
            self.threshold_len = self.half_flight();
            self.window_len = u32::from(self.mss);
            self.recover = self.highest_sent;
            return Sent::TimedOut;
        }
        if again { Sent::Again } else { Sent::New }
    }

    /// The peer takes segments of `mss` bytes: what the first window was counted in is counted again.
    pub fn set_mss(&mut self, mss: u16) {
        *self = Self { highest_sent: self.highest_sent, recover: self.recover, ..Self::new(mss, self.unacknowledged) };
    }

    /// The oldest segment is sent again because nothing came for a while: a loss at the tail, treated as one that
    /// duplicate ACKs told of (RFC 8985 section 7.4.2); but what was sent says little of what may be sent.
    pub fn on_probe(&mut self) {
        if !self.recovering {
            self.threshold_len = (self.window_len / 2).max(2 * u32::from(self.mss));
            self.recovering = true;
            self.recover = self.highest_sent;
        }
    }

    /// It is sent again and again: the window falls to one segment (RFC 5681 section 3.1).
    pub fn on_timeout(&mut self) {
        self.threshold_len = self.half_flight();
        self.window_len = u32::from(self.mss);
        self.recovering = true;
        self.recover = self.highest_sent;
    }

    /// Takes an ACK. `pure` says that it carries neither data nor a change of the peer's window. What it means for the
    /// segments in flight is returned.
    pub fn on_ack(&mut self, ack: u32, pure: bool) -> Progress {
        if is_after(ack, self.highest_sent) {
            return Progress::None;
        }
        if is_after(ack, self.unacknowledged) {
            return self.on_new_ack(ack);
        }
        if ack == self.unacknowledged && pure && self.flight_len() > 0 {
            self.duplicates = self.duplicates.saturating_add(1);
            if self.duplicates == 3 && !self.recovering {
                self.threshold_len = self.half_flight();
                self.recovering = true;
                self.recover = self.highest_sent;
            }
        }
        Progress::None
    }

    fn on_new_ack(&mut self, ack: u32) -> Progress {
        let acked = ack.wrapping_sub(self.unacknowledged);
        self.unacknowledged = ack;
        self.duplicates = 0;
        if self.recovering {
            if is_after(self.recover, ack) {
                return Progress::Partial;
            }
            self.recovering = false;
            self.window_len = self.threshold_len.max(2 * u32::from(self.mss));
            return Progress::Some;
        }
        let mss = u32::from(self.mss);
        let growth = if self.window_len < self.threshold_len {
            acked.min(2 * mss) // RFC 3465 with L = 2
        } else {
            (u64::from(mss) * u64::from(acked) / u64::from(self.window_len.max(1))).max(1) as u32
        };
        self.window_len = self.window_len.saturating_add(growth).min(WINDOW_LEN_MAX);
        Progress::Some
    }

    fn half_flight(&self) -> u32 {
        (self.flight_len() / 2).max(2 * u32::from(self.mss))
    }
}

/// The window grows no further: 16 MiB.
const WINDOW_LEN_MAX: u32 = 16 << 20;

/// Whether sequence number `a` comes after `b` (RFC 9293 section 3.4).
pub fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_460;

    fn sent(count: u32) -> Congestion {
        let mut congestion = Congestion::new(MSS as u16, 1_000);
        for n in 0..count {
            assert_eq!(congestion.on_sent(1_000 + n * MSS, MSS), Sent::New);
        }
        congestion
    }

    #[test]
    fn it_starts_at_ten_segments_and_doubles_in_slow_start() {
        let mut congestion = sent(10);
        assert_eq!(congestion.window_len(), 10 * MSS);
        for n in 1..=10 {
            congestion.on_ack(1_000 + n * MSS, true);
        }
        assert_eq!((congestion.window_len(), congestion.flight_len()), (20 * MSS, 0));
    }

    #[test]
    fn three_duplicates_halve_it_after_recovery_and_not_before() {
        let mut congestion = sent(10);
        for _ in 0..5 {
            congestion.on_ack(1_000, true);
            assert_eq!(congestion.window_len(), 10 * MSS, "held constant while duplicates come");
        }
        assert_eq!(congestion.on_sent(1_000, MSS), Sent::Again, "the engine's fast retransmit");
        congestion.on_ack(1_000 + 10 * MSS, true);
        assert_eq!(congestion.window_len(), 5 * MSS);
    }

    #[test]
    fn a_time_out_falls_to_one_segment_then_starts_again() {
        let mut congestion = sent(10);
        assert_eq!(congestion.on_sent(1_000, MSS), Sent::TimedOut);
        assert_eq!(congestion.window_len(), MSS);
        assert_eq!(congestion.on_sent(1_000 + MSS, MSS), Sent::Again);
        for n in 1..=2 {
            congestion.on_ack(1_000 + n * 2 * MSS, true);
        }
        assert_eq!(congestion.window_len(), 5 * MSS, "slow start up to half the flight");
        congestion.on_ack(1_000 + 5 * MSS, true);
        assert_eq!(congestion.window_len(), 5 * MSS + MSS / 5, "congestion avoidance past it");
    }

    #[test]
    fn a_partial_ack_says_that_more_is_lost() {
        let mut congestion = sent(10);
        for _ in 0..3 {
            assert_eq!(congestion.on_ack(1_000, true), Progress::None);
        }
        assert_eq!(congestion.on_ack(1_000 + MSS, true), Progress::Partial);
        assert_eq!(congestion.on_ack(1_000 + 10 * MSS, true), Progress::Some);
        assert_eq!(congestion.window_len(), 5 * MSS);
    }

    #[test]
    fn a_probe_halves_and_a_time_out_falls_to_one() {
        let mut congestion = sent(1);
        congestion.on_probe();
        assert_eq!(congestion.on_sent(1_000, MSS), Sent::Again);
        assert_eq!(congestion.window_len(), 10 * MSS, "until it is answered");
        congestion.on_ack(1_000 + MSS, true);
        assert_eq!(congestion.window_len(), 5 * MSS);
        let mut congestion = sent(1);
        congestion.on_probe();
        congestion.on_timeout();
        assert_eq!(congestion.window_len(), MSS);
    }

    #[test]
    fn a_keep_alive_is_no_loss() {
        let mut congestion = sent(1);
        congestion.on_ack(1_000 + MSS, true);
        let window_len = congestion.window_len();
        assert_eq!(congestion.on_sent(1_000 + MSS - 1, 1), Sent::New);
        assert_eq!(congestion.window_len(), window_len);
    }

    #[test]
    fn an_ack_of_what_was_never_sent_changes_nothing() {
        let mut congestion = sent(2);
        congestion.on_ack(999_999, true);
        assert_eq!((congestion.unacknowledged(), congestion.flight_len()), (1_000, 2 * MSS));
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut congestion = Congestion::new(MSS as u16, u32::MAX - 99);
        congestion.on_sent(u32::MAX - 99, 300);
        assert_eq!(congestion.flight_len(), 300);
        congestion.on_ack(200, true);
        assert_eq!(congestion.flight_len(), 0);
    }
}
