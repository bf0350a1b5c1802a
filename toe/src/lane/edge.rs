//! What passes between a session's engine and the wire: numbers moved, windows held down, the table's fields kept.

use hpb_base::Instant;

use crate::congestion::{Congestion, is_after};
use crate::segment::{self, ACK, RST, SYN, Segment};

/// What the edge knows of a session: the original card's table entry, and the congestion window.
pub(super) struct Edge {
    /// What is added to the engine's sequence numbers on their way out; set by the first SYN.
    pub(super) offset: Option<u32>,
    /// Where our numbers must not start before: those of an earlier session between the same ends.
    pub(super) offset_after: Option<u32>,
    pub(super) peer_window_max: u32,
    pub(super) challenged_at: Option<Instant>,
    pub(super) congestion: Congestion,
    pub(super) initial_sequence: u32,
    pub(super) next_sequence: u32,
    pub(super) last_ack: u32,
    pub(super) last_ack_sent: u32,
    pub(super) last_data_at: Instant,
    pub(super) peer_window: u16,
    pub(super) local_window: u16,
    pub(super) window_scale: u8,
    pub(super) flags_seen: u8,
    pub(super) out_of_order_count: u8,
    pub(super) duplicate_acks_sent: u8,
    pub(super) duplicate_acks_received: u8,
}

impl Edge {
    pub(super) fn new() -> Self {
        Self {
            offset: None,
            offset_after: None,
            peer_window_max: 0,
            challenged_at: None,
            congestion: Congestion::new(1_460, 0),
            initial_sequence: 0,
            next_sequence: 0,
            last_ack: 0,
            last_ack_sent: 0,
            last_data_at: Instant::ZERO,
            peer_window: 0,
            local_window: 0,
            window_scale: 0,
            flags_seen: 0,
            out_of_order_count: 0,
            duplicate_acks_sent: 0,
            duplicate_acks_received: 0,
        }
    }

    /// Notes a received segment, and shows the engine no more window than the card's own congestion window. Returns
    /// whether the segment came out of order.
    pub(super) fn on_received(&mut self, now: Instant, segment: &Segment, packet: &mut [u8], tx_len: usize) -> bool {
        self.flags_seen |= segment.flags;
        let len = segment.sequence_len();
        let mut out_of_order = false;
        if segment.has(SYN) {
            self.initial_sequence = segment.seq;
            self.next_sequence = segment.seq.wrapping_add(1);
            let options = segment::syn_options(packet, segment);
            self.window_scale = options.window_scale.unwrap_or(0);
        } else if len > 0 {
            self.last_data_at = now;
            if is_after(segment.seq, self.next_sequence) {
                out_of_order = true;
                self.out_of_order_count = self.out_of_order_count.saturating_add(1);
            } else {
                let end = segment.seq.wrapping_add(len);
                if is_after(end, self.next_sequence) {
                    self.next_sequence = end;
                }
            }
        }
        if segment.has(ACK) {
            let pure = len == 0 && segment.window == self.peer_window;
            if pure && segment.ack == self.last_ack && self.congestion.flight_len() > 0 {
                self.duplicate_acks_received = self.duplicate_acks_received.saturating_add(1);
            }
            self.congestion.on_ack(segment.ack, pure);
            self.last_ack = segment.ack;
        }
        self.peer_window = segment.window;
        let scale = if segment.has(SYN) { 0 } else { self.window_scale };
        self.peer_window_max = self.peer_window_max.max(u32::from(segment.window) << scale);
        let shown = self.congestion.window_len();
        if !segment.has(SYN) && (shown as usize) < tx_len {
            let offered = u32::from(segment.window) << self.window_scale;
            if offered > shown {
                let window = (shown >> self.window_scale).clamp(1, u32::from(u16::MAX));
                segment::set_window(packet, segment, window as u16);
            }
        }
        out_of_order
    }

    /// Moves the engine's numbers in a segment that leaves to the session's own. The first SYN decides how far; it asks
    /// `initial` where the session is to begin.
    pub(super) fn move_numbers(&mut self, segment: &Segment, packet: &mut [u8], initial: impl FnOnce() -> u32) {
        if segment.has(SYN) && self.offset.is_none() {
            let initial = initial();
            let initial = match self.offset_after {
                Some(after) if !is_after(initial, after) => after.wrapping_add(1),
                _ => initial,
            };
            self.offset = Some(initial.wrapping_sub(segment.seq));
        }
        // A reset that answers a segment without ACK counts from zero in any session (RFC 9293 section 3.10.7.1).
        let from_zero = segment.has(RST) && segment.has(ACK) && segment.seq == 0;
        if let (false, Some(offset)) = (from_zero, self.offset) {
            segment::set_seq(packet, segment, segment.seq.wrapping_add(offset));
        }
    }

    /// Notes a segment that leaves. Returns (it was sent before, it repeats the last ACK and says nothing else).
    pub(super) fn on_sent(&mut self, segment: &Segment) -> (bool, bool) {
        if segment.has(SYN) {
            self.congestion = Congestion::new(1_460, segment.seq.wrapping_add(1));
        }
        let repeated = !segment.has(SYN) && self.congestion.on_sent(segment.seq, segment.sequence_len());
        let idle = segment.sequence_len() == 0 && !segment.has(RST);
        let duplicate = idle && segment.ack == self.last_ack_sent && segment.window == self.local_window;
        if duplicate {
            self.duplicate_acks_sent = self.duplicate_acks_sent.saturating_add(1);
        }
        self.last_ack_sent = segment.ack;
        self.local_window = segment.window;
        if is_after(segment.ack, self.next_sequence) {
            self.next_sequence = segment.ack;
        }
        (repeated, duplicate)
    }
}
