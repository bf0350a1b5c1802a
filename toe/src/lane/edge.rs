//! What passes between a session's engine and the wire: numbers moved, windows held down, the table's fields kept.

use hpb_base::Instant;

use crate::congestion::{Congestion, Progress, Sent, is_after};
use crate::recovery::Recovery;
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
    pub(super) recovery: Recovery,
    /// The largest packet in bytes sent since something was acknowledged.
    pub(super) sent_len_max: u16,
    /// How often the oldest segment was sent again since then.
    pub(super) repeats: u8,
    /// The window that the engine was shown last, as it stood in the header.
    pub(super) shown_window: u16,
    /// The largest segment in bytes, the smaller of what both sides take.
    pub(super) mss: u16,
    /// The largest segment in bytes that this side takes.
    mss_local: u16,
    said_syn: bool,
    pub(super) initial_sequence: u32,
    pub(super) next_sequence: u32,
    pub(super) last_ack: u32,
    pub(super) last_ack_sent: u32,
    pub(super) last_data_at: Instant,
    pub(super) peer_window: u16,
    pub(super) local_window: u16,
    /// By how many bits the windows that this side offers are shifted.
    pub(super) local_scale: u8,
    pub(super) window_scale: u8,
    pub(super) flags_seen: u8,
    pub(super) out_of_order_count: u8,
    pub(super) duplicate_acks_sent: u8,
    pub(super) duplicate_acks_received: u8,
}

/// What a received segment told.
#[derive(Clone, Copy)]
pub(super) struct Noted {
    /// It came out of order.
    pub(super) out_of_order: bool,
    /// It acknowledges something new.
    pub(super) is_progress: bool,
    /// It shows that the oldest segment in flight is lost.
    pub(super) is_next_lost: bool,
}

/// What a segment that left is.
#[derive(Clone, Copy)]
pub(super) struct Left {
    /// Whether it was sent before.
    pub(super) sent: Sent,
    /// It repeats the last ACK and says nothing else.
    pub(super) repeats_last_ack: bool,
}

impl Edge {
    /// A session that has seen nothing yet; it takes segments of up to `mss_local` bytes.
    pub(super) fn new(mss_local: u16) -> Self {
        Self {
            offset: None,
            offset_after: None,
            peer_window_max: 0,
            challenged_at: None,
            congestion: Congestion::new(mss_local, 0),
            recovery: Recovery::default(),
            sent_len_max: 0,
            repeats: 0,
            shown_window: 0,
            mss: mss_local,
            mss_local,
            said_syn: false,
            initial_sequence: 0,
            next_sequence: 0,
            last_ack: 0,
            last_ack_sent: 0,
            last_data_at: Instant::ZERO,
            peer_window: 0,
            local_window: 0,
            local_scale: 0,
            window_scale: 0,
            flags_seen: 0,
            out_of_order_count: 0,
            duplicate_acks_sent: 0,
            duplicate_acks_received: 0,
        }
    }

    /// Notes a received segment, and shows the engine no more window than the card's own congestion window.
    pub(super) fn on_received(&mut self, now: Instant, segment: &Segment, packet: &mut [u8], tx_len: usize) -> Noted {
        let shown_before = self.shown_window;
        let is_first_ack = segment.has(ACK) && self.flags_seen & ACK == 0;
        self.flags_seen |= segment.flags;
        let len = segment.sequence_len();
        let mut out_of_order = false;
        let mut progress = Progress::None;
        let is_update = len == 0 && segment.ack == self.last_ack && segment.window != self.peer_window;
        if segment.has(SYN) {
            self.initial_sequence = segment.seq;
            self.next_sequence = segment.seq.wrapping_add(1);
            let options = segment::syn_options(packet, segment);
            self.window_scale = options.window_scale.unwrap_or(0);
            if options.window_scale.is_none() {
                self.local_scale = 0;
            }
            // The defaults of RFC 9293 section 3.7.1 and RFC 8200 section 5; the engine takes no less than 64.
            let is_v4 = segment.flow.local().is_ipv4();
            let offered = options.mss.filter(|mss| *mss > 0).unwrap_or(if is_v4 { 536 } else { 1_220 });
            self.mss = self.mss_local.min(offered.max(64));
            self.congestion.set_mss(self.mss);
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
            progress = self.congestion.on_ack(segment.ack, pure);
            if progress != Progress::None {
                self.recovery.on_progress(now, segment.ack);
                (self.sent_len_max, self.repeats) = (0, 0);
            } else if is_first_ack {
                // It acknowledges our SYN, whose round trip is the first one known.
                self.recovery.on_progress(now, segment.ack);
            }
            self.last_ack = segment.ack;
        }
        self.peer_window = segment.window;
        let scale = if segment.has(SYN) { 0 } else { self.window_scale };
        self.peer_window_max = self.peer_window_max.max(u32::from(segment.window) << scale);
        self.shown_window = segment.window;
        let shown = self.congestion.window_len();
        if (shown as usize) < tx_len && u32::from(segment.window) << scale > shown {
            self.shown_window = (shown >> scale).clamp(1, u32::from(u16::MAX)) as u16;
            if is_update && self.shown_window == shown_before {
                // The engine must not take an ACK that only changes the window for a duplicate (RFC 5681 section 2).
                self.shown_window = shown_before.max(2) - 1;
            }
            segment::set_window(packet, segment, self.shown_window);
        }
        Noted { out_of_order, is_progress: progress != Progress::None, is_next_lost: progress == Progress::Partial }
    }

    /// The window to show the engine now.
    pub(super) fn window_to_show(&self) -> u16 {
        let congestion = (self.congestion.window_len() >> self.window_scale).clamp(1, u32::from(u16::MAX)) as u16;
        self.peer_window.min(congestion)
    }

    /// When the oldest segment in flight is to be sent again, of `queued_len` bytes that are not acknowledged; `None` if
    /// that is the engine's business: of a FIN alone, and where the peer's window is smaller than what it would send.
    pub(super) fn recovery_at(&self, queued_len: usize) -> Option<Instant> {
        let in_flight = self.congestion.flight_len();
        let first_len = queued_len.min(self.mss.into()) as u32;
        if in_flight == 0 || first_len == 0 || u32::from(self.peer_window) << self.window_scale < first_len {
            return None;
        }
        self.recovery.due_at(in_flight <= u32::from(self.mss))
    }

    /// Moves the engine's numbers in a segment that leaves to the session's own. The first SYN decides how far; it asks
    /// `initial` where the session is to begin.
    pub(super) fn move_numbers(&mut self, segment: &Segment, packet: &mut [u8], initial: impl FnOnce() -> u32) {
        if segment.has(SYN) {
            self.local_scale = segment::syn_options(packet, segment).window_scale.unwrap_or(0);
        }
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

    /// Notes a segment that leaves.
    pub(super) fn on_sent(&mut self, now: Instant, segment: &Segment) -> Left {
        if segment.has(SYN) {
            self.congestion = Congestion::new(self.mss, segment.seq.wrapping_add(1));
        }
        let len = segment.sequence_len();
        let sent = if segment.has(SYN) { Sent::New } else { self.congestion.on_sent(segment.seq, len) };
        if len > 0 {
            self.sent_len_max = self.sent_len_max.max(segment.end_at as u16);
            if sent != Sent::New && segment.seq == self.congestion.unacknowledged() {
                self.repeats = self.repeats.saturating_add(1);
            }
            let again = sent != Sent::New || (segment.has(SYN) && self.said_syn);
            self.recovery.on_sent(now, segment.seq.wrapping_add(len), again);
            self.said_syn |= segment.has(SYN);
        }
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
        Left { sent, repeats_last_ack: duplicate }
    }
}
