//! Whether a segment may reach its session's engine (RFC 9293 section 3.10.7.4, as RFC 5961 tightens it): who cannot see
//! the session's segments can neither reset it, nor put data into it, nor move its numbers.

use crate::congestion::is_after;
use crate::segment::{ACK, RST, SYN, Segment};

/// What a session expects, in the numbers of its engine.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// SND.UNA: the oldest number that the peer has not acknowledged.
    pub send_unacknowledged: u32,
    /// SND.NXT: the next one to be sent.
    pub send_next: u32,
    /// MAX.SND.WND: the largest window that the peer has offered.
    pub peer_window_max: u32,
    /// RCV.NXT: the next one expected of the peer.
    pub receive_next: u32,
    /// RCV.WND: how many more are taken.
    pub receive_window: u32,
}

/// What becomes of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The engine takes it.
    Feed,
    /// The engine takes it with its acknowledgement number raised to SND.UNA: an old ACK on data that may be new, which
    /// the engine would refuse together with the data.
    FeedRaised,
    /// It ends the session.
    Reset,
    /// It is dropped, and its sender is told where the session stands.
    Challenge,
    /// It is dropped.
    Ignore,
}

/// Judges a segment of a session whose both sides have said SYN. `is_answered` says that the peer has acknowledged ours:
/// until then the engine judges ACKs and what comes with them.
pub fn judge(segment: &Segment, expected: &Expected, is_answered: bool) -> Verdict {
    if segment.has(RST) {
        // RFC 5961 section 3.2.
        return if segment.seq == expected.receive_next {
            Verdict::Reset
        } else if segment.seq.wrapping_sub(expected.receive_next) < expected.receive_window {
            Verdict::Challenge
        } else {
            Verdict::Ignore
        };
    }
    if segment.has(SYN) {
        // RFC 5961 section 4.2.
        return Verdict::Challenge;
    }
    if !is_answered {
        return Verdict::Feed;
    }
    if !segment.has(ACK) {
        return Verdict::Ignore;
    }
    // RFC 5961 section 5.2.
    if is_after(segment.ack, expected.send_next) {
        return Verdict::Challenge;
    }
    if is_after(expected.send_unacknowledged, segment.ack) {
        let behind = expected.send_unacknowledged.wrapping_sub(segment.ack);
        return if behind > expected.peer_window_max { Verdict::Challenge } else { Verdict::FeedRaised };
    }
    Verdict::Feed
}

/// How many of a segment's bytes lie before the end of what is taken.
pub fn room(segment: &Segment, expected: &Expected) -> u32 {
    let end = expected.receive_next.wrapping_add(expected.receive_window);
    if is_after(end, segment.seq) { end.wrapping_sub(segment.seq) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{FIN, FlowKey};

    const EXPECTED: Expected = Expected {
        send_unacknowledged: 5_000,
        send_next: 6_000,
        peer_window_max: 2_000,
        receive_next: u32::MAX - 9,
        receive_window: 100,
    };

    fn judged(seq: u32, ack: u32, flags: u8) -> Verdict {
        let flow = FlowKey::new(([10, 0, 0, 2], 9).into(), ([10, 0, 0, 1], 80).into());
        let segment = Segment { flow, tcp_at: 20, payload_at: 40, end_at: 40, seq, ack, flags, window: 0 };
        judge(&segment, &EXPECTED, true)
    }

    #[test]
    fn only_the_exact_number_resets() {
        let next = EXPECTED.receive_next;
        assert_eq!(judged(next, 0, RST), Verdict::Reset);
        assert_eq!(judged(next, 7, RST | ACK), Verdict::Reset, "its ACK is not looked at");
        for ahead in [1, 50, 99] {
            assert_eq!(judged(next.wrapping_add(ahead), 0, RST), Verdict::Challenge, "in the window, over the wrap");
        }
        for outside in [next - 1, next.wrapping_add(100), next ^ 1 << 31] {
            assert_eq!(judged(outside, 0, RST), Verdict::Ignore);
        }
    }

    #[test]
    fn a_syn_is_challenged_wherever_it_lies() {
        for seq in [0, EXPECTED.receive_next, EXPECTED.receive_next - 1] {
            assert_eq!(judged(seq, 5_000, SYN), Verdict::Challenge);
            assert_eq!(judged(seq, 5_000, SYN | ACK), Verdict::Challenge);
        }
    }

    #[test]
    fn acks_must_lie_between_what_was_and_what_will_be() {
        let next = EXPECTED.receive_next;
        assert_eq!(judged(next, 5_000, ACK), Verdict::Feed);
        assert_eq!(judged(next, 6_000, ACK | FIN), Verdict::Feed);
        assert_eq!(judged(next, 6_001, ACK), Verdict::Challenge, "of what was never sent");
        assert_eq!(judged(next, 4_999, ACK), Verdict::FeedRaised);
        assert_eq!(judged(next, 3_000, ACK), Verdict::FeedRaised);
        assert_eq!(judged(next, 2_999, ACK), Verdict::Challenge, "older than any window");
        assert_eq!(judged(next, 0, FIN), Verdict::Ignore, "no ACK at all");
        assert_eq!(judged(next, 0, 0), Verdict::Ignore);
    }

    #[test]
    fn what_lies_past_the_window_has_no_room() {
        let flow = FlowKey::new(([10, 0, 0, 2], 9).into(), ([10, 0, 0, 1], 80).into());
        let at = |seq: u32| {
            let segment = Segment { flow, tcp_at: 20, payload_at: 40, end_at: 40, seq, ack: 0, flags: ACK, window: 0 };
            room(&segment, &EXPECTED)
        };
        let next = EXPECTED.receive_next;
        assert_eq!([at(next), at(next.wrapping_add(60)), at(next - 5)], [100, 40, 105]);
        assert_eq!([at(next.wrapping_add(100)), at(next.wrapping_add(5_000))], [0, 0]);
    }

    #[test]
    fn before_our_syn_is_acknowledged_the_engine_judges_all_but_resets_and_syns() {
        let flow = FlowKey::new(([10, 0, 0, 2], 9).into(), ([10, 0, 0, 1], 80).into());
        let segment = Segment { flow, tcp_at: 20, payload_at: 40, end_at: 40, seq: 1, ack: 9, flags: ACK, window: 0 };
        assert_eq!(judge(&segment, &EXPECTED, false), Verdict::Feed);
        assert_eq!(judge(&Segment { flags: RST, ..segment }, &EXPECTED, false), Verdict::Challenge);
    }
}
