//! What passes between a session's engine and the wire: numbers moved, windows held down, losses found and repaired, the
//! table's fields kept.
//!
//! To repair a loss the edge has the engine say all that is in flight once more, and lets pass what is lost.

use hpb_base::Instant;

use crate::congestion::{Congestion, is_after};
use crate::recovery::Recovery;
use crate::scoreboard::Scoreboard;
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
    pub(super) scoreboard: Scoreboard,
    /// The number from which the engine goes on while it says again what is in flight.
    replayed: Option<u32>,
    /// One more segment may be repeated whatever is on its way (RFC 6675 section 5, (4.3)).
    owes_repeat: bool,
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
    /// The engine learns nothing from it.
    pub(super) says_nothing: bool,
}

/// What it was time for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recovered {
    /// To look whether what is late is lost.
    Looked,
    /// To repeat the oldest segment.
    Probed,
    /// To take all for lost.
    TimedOut,
}

/// What a segment that left is.
#[derive(Clone, Copy)]
pub(super) struct Left {
    /// Whether any of it was sent before.
    pub(super) is_repeat: bool,
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
            congestion: Congestion::new(mss_local),
            recovery: Recovery::default(),
            scoreboard: Scoreboard::new(0),
            replayed: None,
            owes_repeat: false,
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
        let mut is_progress = false;
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
            self.congestion = Congestion::new(self.mss);
            self.scoreboard.set_sack(options.has_sack);
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
        let is_again = len == 0 && segment.ack == self.last_ack && self.scoreboard.flight_len() > 0;
        if segment.has(ACK) {
            let is_duplicate = is_again && segment.window == self.peer_window;
            if is_duplicate {
                self.duplicate_acks_received = self.duplicate_acks_received.saturating_add(1);
            }
            // That of a closed window answers a probe.
            is_progress = self.on_ack(now, segment, packet, is_duplicate && segment.window > 0);
            if is_progress || is_first_ack {
                // The first acknowledges our SYN, whose round trip is the first one known.
                self.recovery.on_progress(now, segment.ack);
            }
            self.last_ack = segment.ack;
        }
        let scale = if segment.has(SYN) { 0 } else { self.window_scale };
        if self.peer_window == 0 && segment.window > 0 && self.scoreboard.flight_len() > 0 {
            // What went into its closed window were probes, which it need not have kept, and which the engine did not count.
            self.scoreboard.lose_all();
            self.replayed = Some(self.scoreboard.first());
            self.owes_repeat = true;
        }
        self.peer_window = segment.window;
        self.peer_window_max = self.peer_window_max.max(u32::from(segment.window) << scale);
        self.shown_window = segment.window;
        let room_len = self.room_len();
        if (room_len as usize) < tx_len && u32::from(segment.window) << scale > room_len {
            self.shown_window = self.in_header(room_len, scale);
        }
        if self.shown_window != segment.window {
            segment::set_window(packet, segment, self.shown_window);
        }
        // The engine would count it for a duplicate, and repeat by itself what the edge has in hand.
        let says_nothing = is_again && self.shown_window == shown_before && shown_before > 0;
        Noted { out_of_order, is_progress, says_nothing }
    }

    /// Takes an ACK; whether it acknowledges something new. `is_duplicate` says that it says nothing else.
    fn on_ack(&mut self, now: Instant, segment: &Segment, packet: &[u8], is_duplicate: bool) -> bool {
        let offset = self.offset.unwrap_or(0);
        let blocks = segment::sack_blocks(packet, segment)
            .map(|(begin, end)| (begin.wrapping_sub(offset), end.wrapping_sub(offset)));
        let flight_len = self.scoreboard.flight_len();
        let acked_len = self.scoreboard.on_ack(now, segment.ack, blocks);
        if self.scoreboard.flight_len() == 0 {
            self.replayed = None;
        }
        let mut is_loss = false;
        if acked_len > 0 {
            (self.sent_len_max, self.repeats) = (0, 0);
            let is_partial = self.congestion.on_progress(segment.ack, acked_len, flight_len);
            is_loss = is_partial && self.scoreboard.on_partial();
        } else if is_duplicate {
            is_loss = self.scoreboard.on_duplicate();
        }
        is_loss |= self.scoreboard.find_losses(now, self.congestion.is_recovering());
        if is_loss {
            self.on_loss();
        }
        acked_len > 0
    }

    fn on_loss(&mut self) {
        self.owes_repeat |= !self.congestion.is_recovering();
        self.congestion.on_loss(self.scoreboard.end());
    }

    /// What the engine may have in flight: what the congestion window and the segments that have arrived leave, and no
    /// less than is in flight, so that it can say all of it again.
    fn room_len(&self) -> u32 {
        let open_len = self.congestion.window_len().saturating_add(self.scoreboard.delivered_len());
        open_len.max(self.scoreboard.flight_len())
    }

    /// A window as it stands in a header: rounded down, unless that would cut off what is in flight.
    fn in_header(&self, window_len: u32, scale: u8) -> u16 {
        let floor = window_len >> scale;
        let is_short = floor << scale < self.scoreboard.flight_len();
        (floor + u32::from(is_short)).clamp(1, u32::from(u16::MAX)) as u16
    }

    /// The window to show the engine now.
    pub(super) fn window_to_show(&self) -> u16 {
        self.peer_window.min(self.in_header(self.room_len(), self.window_scale))
    }

    /// When to see to losses though nothing comes, with `queued_len` bytes that are not acknowledged; `None` if that is the
    /// engine's business: of a FIN alone, and where the peer's window is smaller than what it would send.
    pub(super) fn recovery_at(&self, queued_len: usize) -> Option<Instant> {
        let in_flight = self.scoreboard.flight_len();
        let first_len = queued_len.min(self.mss.into()) as u32;
        if in_flight == 0 || first_len == 0 || u32::from(self.peer_window) << self.window_scale < first_len {
            return None;
        }
        let due_at = self.recovery.due_at(in_flight <= u32::from(self.mss));
        [due_at, self.scoreboard.look_at()].into_iter().flatten().min()
    }

    /// Sees to losses because it is time.
    pub(super) fn recover(&mut self, now: Instant) -> Recovered {
        if self.scoreboard.look_at().is_some_and(|look_at| look_at <= now) {
            if self.scoreboard.find_losses(now, self.congestion.is_recovering()) {
                self.on_loss();
            }
            return Recovered::Looked;
        }
        if self.recovery.on_due(now) {
            self.on_timeout();
            return Recovered::TimedOut;
        }
        self.repeat_first();
        Recovered::Probed
    }

    /// The oldest segment counts as lost.
    pub(super) fn repeat_first(&mut self) {
        self.scoreboard.lose_first();
        self.congestion.on_loss(self.scoreboard.end());
        self.owes_repeat = true;
    }

    fn on_timeout(&mut self) {
        self.scoreboard.lose_all();
        self.congestion.on_timeout(self.scoreboard.end());
        self.owes_repeat = true;
    }

    /// Whether the engine is to go back, because something lost may be repeated and does not lie before it.
    pub(super) fn must_rewind(&self) -> bool {
        let Some(first_lost) = self.scoreboard.first_lost() else { return false };
        let is_behind = self.replayed.is_none_or(|at| is_after(at, first_lost));
        is_behind && self.peer_window > 0 && self.may_repeat()
    }

    fn may_repeat(&self) -> bool {
        let len = self.scoreboard.lost_len().min(self.mss.into());
        self.owes_repeat || self.scoreboard.pipe_len() + len <= self.congestion.window_len()
    }

    /// The engine was sent back; `emitted` is what it said first.
    pub(super) fn rewound(&mut self, emitted: Option<&Segment>) {
        let first = self.scoreboard.first();
        // Nothing comes of it where the peer's window is closed.
        if emitted.is_some_and(|segment| segment.seq == first) {
            self.replayed = Some(first);
        }
    }

    /// What of an emitted segment is to leave: from which number to which. `None` if nothing of it is.
    pub(super) fn choose(&mut self, segment: &Segment) -> Option<(u32, u32)> {
        let (begin, end) = (segment.seq, segment.seq.wrapping_add(segment.sequence_len()));
        let all = Some((begin, end));
        let first = self.scoreboard.first();
        let is_old = is_after(self.scoreboard.end(), begin) && is_after(end, first);
        // Into a closed window go probes only.
        if segment.has(SYN | RST) || begin == end || !is_old || self.peer_window == 0 {
            return all;
        }
        match self.replayed {
            // By itself the engine goes back by its time-out alone.
            None => self.on_timeout(),
            // A keep-alive probe, whose byte is none of the stream's.
            Some(at) if end == at && segment.payload_len() == 1 => return None,
            Some(_) => {}
        }
        self.replayed = is_after(self.scoreboard.end(), end).then_some(end);
        let (from, to) = self.scoreboard.wanted(begin, end)?;
        if is_after(self.scoreboard.end(), from) && !self.may_repeat() {
            let new_from = self.scoreboard.end();
            return is_after(to, new_from).then_some((new_from, to));
        }
        Some((from, to))
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
            self.congestion = Congestion::new(self.mss);
            self.scoreboard.restart(segment.seq.wrapping_add(1));
        }
        let len = segment.sequence_len();
        let end = segment.seq.wrapping_add(len);
        let mut is_repeat = false;
        if len > 0 {
            self.sent_len_max = self.sent_len_max.max(segment.end_at as u16);
            is_repeat = !segment.has(SYN) && self.scoreboard.on_sent(now, segment.seq, end);
            if is_repeat {
                self.owes_repeat = false;
                if segment.seq == self.scoreboard.first() {
                    self.repeats = self.repeats.saturating_add(1);
                }
            }
            self.recovery.on_sent(now, end, is_repeat || (segment.has(SYN) && self.said_syn));
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
        Left { is_repeat, repeats_last_ack: duplicate }
    }
}
