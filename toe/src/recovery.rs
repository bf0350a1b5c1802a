//! When a session's oldest unacknowledged segment is to be sent again, sooner than the engine would by itself (its
//! time-out is at least a second): a tail-loss probe about two round trips after the last progress (RFC 8985 section 7),
//! then time-outs of 200 ms and more, doubled each time (RFC 6298, with the smaller minimum that Linux uses too).
//!
//! Integers only; a round trip is measured on one segment at a time, never on one that was sent twice (RFC 6298
//! section 3). So that a peer who has become slow is not taken for a lossy one for ever, whatever had to be sent again
//! doubles the waits until a round trip is measured again (Karn's algorithm, RFC 6298 section 5.5).

use hpb_base::{Duration, Instant};

/// The smallest time-out after a probe.
const TIMEOUT_MIN_US: u64 = 200_000;
/// What a probe allows for besides two round trips.
const PROBE_MARGIN_US: u64 = 5_000;
/// What it allows for when the peer has a single segment to acknowledge, which it may delay (RFC 1122 section 4.2.3.2;
/// Linux delays by 40 ms).
const ACK_DELAY_US: u64 = 40_000;
/// The largest (RFC 6298 section 2, (2.5)).
const TIMEOUT_MAX_US: u64 = 60_000_000;
/// From here on time-outs grow no more.
const DOUBLINGS_MAX: u8 = 16;
/// Doublings of all waits, until a round trip is measured, at most.
const PATIENCE_MAX: u8 = 6;

/// One session's round-trip estimate and its timer.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    smoothed_us: u32,
    variation_us: u32,
    has_sample: bool,
    probes: u8,
    /// How often in a row it is not known which of two copies was acknowledged: the waits are doubled as often.
    patience: u8,
    /// The end of the segment that is timed.
    timed_end: u32,
    timed_at: Option<Instant>,
    /// The last progress: an ACK of something new, or something sent.
    since: Instant,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            smoothed_us: 0,
            variation_us: 0,
            has_sample: false,
            probes: 0,
            patience: 0,
            timed_end: 0,
            timed_at: None,
            since: Instant::ZERO,
        }
    }
}

impl Recovery {
    /// Notes a segment with sequence space up to `end`; `again` if it was sent before.
    pub fn on_sent(&mut self, now: Instant, end: u32, again: bool) {
        if again {
            self.timed_at = None;
        } else if self.timed_at.is_none() {
            (self.timed_end, self.timed_at) = (end, Some(now));
        }
        self.since = now;
    }

    /// Notes an ACK of something new.
    pub fn on_progress(&mut self, now: Instant, ack: u32) {
        if self.probes > 0 {
            self.patience = (self.patience + 1).min(PATIENCE_MAX);
        }
        self.probes = 0;
        self.since = now;
        if let Some(timed_at) = self.timed_at
            && ack.wrapping_sub(self.timed_end).cast_signed() >= 0
        {
            self.timed_at = None;
            self.patience = 0;
            self.sample((now.since(timed_at).as_nanos() / 1_000).min(60_000_000) as u32);
        }
    }

    /// RFC 6298 section 2.
    fn sample(&mut self, round_trip_us: u32) {
        if self.has_sample {
            let difference_us = self.smoothed_us.abs_diff(round_trip_us);
            self.variation_us = (3 * self.variation_us + difference_us) / 4;
            self.smoothed_us = (7 * u64::from(self.smoothed_us) + u64::from(round_trip_us)).div_ceil(8) as u32;
        } else {
            self.has_sample = true;
            self.smoothed_us = round_trip_us;
            self.variation_us = round_trip_us / 2;
        }
    }

    /// When the oldest segment in flight is to be sent again; `is_single` if no other is. `None` before the first
    /// measured round trip: then the engine's has to do.
    pub fn due_at(&self, is_single: bool) -> Option<Instant> {
        if !self.has_sample {
            return None;
        }
        let (smoothed_us, variation_us) = (u64::from(self.smoothed_us), u64::from(self.variation_us));
        let wait_us = if self.probes == 0 {
            2 * smoothed_us + PROBE_MARGIN_US + if is_single { ACK_DELAY_US } else { 0 }
        } else {
            let first_us = (smoothed_us + 4 * variation_us).max(TIMEOUT_MIN_US);
            (first_us << (self.probes - 1).min(DOUBLINGS_MAX)).min(TIMEOUT_MAX_US)
        };
        Some(self.since + Duration::from_micros((wait_us << self.patience).min(TIMEOUT_MAX_US)))
    }

    /// It is sent again for want of progress; whether that counts as a time-out (the first time it is a probe).
    pub fn on_due(&mut self, now: Instant) -> bool {
        let is_timeout = self.probes > 0;
        self.probes = self.probes.saturating_add(1);
        self.since = now;
        self.timed_at = None;
        is_timeout
    }

    /// How far round trips vary (RFC 6298's RTTVAR); zero before the first is measured.
    pub fn variation(&self) -> Duration {
        Duration::from_micros(self.variation_us.into())
    }

    /// The smoothed round trip; `None` before the first is measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.has_sample.then(|| Duration::from_micros(self.smoothed_us.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Instant {
        Instant::from_micros(us)
    }

    fn measured(round_trip_us: u64) -> Recovery {
        let mut recovery = Recovery::default();
        recovery.on_sent(at(0), 100, false);
        recovery.on_progress(at(round_trip_us), 100);
        recovery
    }

    #[test]
    fn the_first_wait_is_a_probe_and_then_time_outs_double() {
        let mut recovery = measured(10_000);
        recovery.on_sent(at(20_000), 200, false);
        assert_eq!(recovery.due_at(false), Some(at(20_000 + 20_000 + 5_000)));
        assert_eq!(recovery.due_at(true), Some(at(20_000 + 20_000 + 45_000)));
        assert!(!recovery.on_due(at(50_000)));
        recovery.on_sent(at(50_000), 200, true);
        assert_eq!(recovery.due_at(true), Some(at(250_000)));
        assert!(recovery.on_due(at(250_000)));
        assert_eq!(recovery.due_at(true), Some(at(650_000)));
        assert!(recovery.on_due(at(650_000)) && recovery.on_due(at(1_450_000)));
        assert_eq!(recovery.due_at(true), Some(at(1_450_000 + 1_600_000)));
        for _ in 0..300 {
            recovery.on_due(at(1_450_000));
        }
        assert_eq!(recovery.due_at(true), Some(at(1_450_000 + TIMEOUT_MAX_US)), "a minute at most");
        recovery.on_progress(at(2_000_000), 200);
        assert_eq!(recovery.due_at(false), Some(at(2_050_000)), "progress begins anew, more patiently");
    }

    #[test]
    fn a_peer_that_became_slow_is_measured_again() {
        let (mut recovery, mut now_us, mut end, mut repeats) = (measured(1_000), 10_000, 100, Vec::new());
        for _ in 0..40 {
            end += 100;
            recovery.on_sent(at(now_us), end, false);
            let acked_us = now_us + 400_000;
            let mut count = 0;
            while let Some(due_at) = recovery.due_at(true).filter(|due_at| *due_at < at(acked_us)) {
                recovery.on_due(due_at);
                recovery.on_sent(due_at, end, true);
                count += 1;
            }
            repeats.push(count);
            recovery.on_progress(at(acked_us), end);
            now_us = acked_us + 1_000;
        }
        assert!(repeats[0] >= 2 && repeats[20..] == [0; 20], "{repeats:?}");
        assert!(recovery.round_trip() > Some(Duration::from_millis(300)));
    }

    #[test]
    fn a_time_out_covers_the_round_trip_and_its_variation() {
        let mut recovery = measured(400_000);
        recovery.on_due(at(400_000));
        assert_eq!(recovery.due_at(false), Some(at(400_000 + 400_000 + 4 * 200_000)));
    }

    #[test]
    fn what_was_sent_twice_is_not_measured() {
        let mut recovery = measured(10_000);
        recovery.on_sent(at(20_000), 200, false);
        recovery.on_sent(at(90_000), 200, true);
        recovery.on_progress(at(91_000), 200);
        assert_eq!(recovery.round_trip(), Some(Duration::from_millis(10)));
    }

    #[test]
    fn the_estimate_follows_as_rfc_6298_says() {
        let mut recovery = measured(8_000);
        recovery.on_sent(at(100_000), 200, false);
        recovery.on_sent(at(101_000), 300, false);
        recovery.on_progress(at(116_000), 200);
        assert_eq!((recovery.smoothed_us, recovery.variation_us), (9_000, 5_000));
        assert_eq!(Recovery::default().due_at(true), None);
    }
}
