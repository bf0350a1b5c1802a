//! What became of each segment in flight: which the peer has, which are lost, which were sent again and when. SACK blocks
//! (RFC 2018) say what the peer has; what is lost follows from time (RACK, RFC 8985): a segment that was sent before one
//! which has arrived, and so long ago that only a loss explains it. So a repeat that is lost again is found as fast as
//! its first copy. Of a peer without SACK, duplicate ACKs and partial ones tell (RFC 5681, RFC 6582).
//!
//! It keeps numbers and times, never bytes: the engine has those, and is made to say them again.

use std::collections::VecDeque;

use hpb_base::limits::SCOREBOARD_SEGMENTS_MAX;
use hpb_base::{Duration, Instant};

use crate::congestion::is_after;

/// Segments, or ACKs, after which a hole before them is a loss and no reordering (RFC 5681 section 3.2).
const DUPLICATES_MAX: u8 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    InFlight,
    /// The peer has it, and something before it is missing.
    Delivered,
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Tracked {
    /// Where it ends; it begins where the one before it ends.
    end: u32,
    fate: Fate,
    is_repeat: bool,
    sent_at: Instant,
}

/// The segment that left last of those that have arrived (RFC 8985 section 6.2, step 2).
#[derive(Clone, Copy, Debug)]
struct Newest {
    sent_at: Instant,
    end: u32,
    round_trip: Duration,
}

/// What is in flight on one session, in the engine's numbers.
#[derive(Debug)]
pub struct Scoreboard {
    segments: VecDeque<Tracked>,
    first: u32,
    end: u32,
    delivered_len: u32,
    lost_len: u32,
    has_sack: bool,
    is_reordering: bool,
    duplicates: u8,
    newest: Option<Newest>,
    /// The end of the highest segment that has arrived.
    delivered_end: u32,
    round_trip_min: Option<Duration>,
    look_at: Option<Instant>,
}

impl Scoreboard {
    /// Nothing in flight; the next number is `first`.
    pub fn new(first: u32) -> Self {
        Self {
            segments: VecDeque::new(),
            first,
            end: first,
            delivered_len: 0,
            lost_len: 0,
            has_sack: false,
            is_reordering: false,
            duplicates: 0,
            newest: None,
            delivered_end: first,
            round_trip_min: None,
            look_at: None,
        }
    }

    /// The session begins: the next number is `first`. What the peer's SYN said stands.
    pub fn restart(&mut self, first: u32) {
        *self = Self { has_sack: self.has_sack, ..Self::new(first) };
    }

    /// The peer says what it has beyond what it acknowledges.
    pub fn set_sack(&mut self, has_sack: bool) {
        self.has_sack = has_sack;
    }

    /// The oldest number that the peer has not acknowledged.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// The number after the last that was sent.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Sequence space that is not acknowledged, whatever became of it.
    pub fn flight_len(&self) -> u32 {
        self.end.wrapping_sub(self.first)
    }

    /// What the peer has beyond what it acknowledges.
    pub fn delivered_len(&self) -> u32 {
        self.delivered_len
    }

    /// What is lost and was not sent again.
    pub fn lost_len(&self) -> u32 {
        self.lost_len
    }

    /// What is thought to be on its way (RFC 6675 section 2).
    pub fn pipe_len(&self) -> u32 {
        self.flight_len() - self.delivered_len - self.lost_len
    }

    /// When to look for losses again though nothing comes.
    pub fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Where the oldest lost segment begins.
    pub fn first_lost(&self) -> Option<u32> {
        if self.lost_len == 0 {
            return None;
        }
        self.spans().find(|(_, sent)| sent.fate == Fate::Lost).map(|(begin, _)| begin)
    }

    fn spans(&self) -> impl Iterator<Item = (u32, &Tracked)> {
        let begins = std::iter::once(self.first).chain(self.segments.iter().map(|sent| sent.end));
        begins.zip(&self.segments)
    }

    /// Notes that `begin..end` leaves; whether any of it was sent before. What the peer is known to have stays known.
    pub fn on_sent(&mut self, now: Instant, begin: u32, end: u32) -> bool {
        // A keep-alive probe repeats a number that is acknowledged.
        if !is_after(end, self.first) {
            return false;
        }
        let is_repeat = is_after(self.end, begin);
        if is_repeat {
            self.cut_at(begin);
            self.cut_at(end);
            let (mut at, mut repaired_len) = (self.first, 0);
            for sent in &mut self.segments {
                let is_inside = !is_after(begin, at) && !is_after(sent.end, end);
                if is_inside && sent.fate != Fate::Delivered {
                    if sent.fate == Fate::Lost {
                        repaired_len += sent.end.wrapping_sub(at);
                    }
                    *sent = Tracked { fate: Fate::InFlight, is_repeat: true, sent_at: now, ..*sent };
                }
                at = sent.end;
            }
            self.lost_len -= repaired_len;
        }
        if is_after(end, self.end) {
            let more = Tracked { end, fate: Fate::InFlight, is_repeat: false, sent_at: now };
            let is_full = self.segments.len() >= SCOREBOARD_SEGMENTS_MAX;
            match self.segments.back_mut() {
                // Beyond the bound they are told apart no more.
                Some(last) if is_full && last.fate == Fate::InFlight => {
                    *last = Tracked { is_repeat: last.is_repeat, ..more };
                }
                _ => self.segments.push_back(more),
            }
            self.end = end;
        }
        is_repeat
    }

    /// Lets a segment end at `at`, if one reaches over it.
    fn cut_at(&mut self, at: u32) {
        if !is_after(at, self.first) || !is_after(self.end, at) {
            return;
        }
        if let Some(index) = self.segments.iter().position(|sent| !is_after(at, sent.end))
            && self.segments[index].end != at
        {
            let head = Tracked { end: at, ..self.segments[index] };
            self.segments.insert(index, head);
        }
    }

    /// Takes an ACK, which lies in what was sent, with its SACK blocks. Returns how much it acknowledges.
    pub fn on_ack(&mut self, now: Instant, ack: u32, blocks: impl Iterator<Item = (u32, u32)>) -> u32 {
        if is_after(ack, self.end) {
            return 0;
        }
        let acked_len = if is_after(ack, self.first) { ack.wrapping_sub(self.first) } else { 0 };
        if acked_len > 0 {
            self.duplicates = 0;
            self.cut_at(ack);
            while let Some(&sent) = self.segments.front()
                && !is_after(sent.end, ack)
            {
                self.segments.pop_front();
                let len = sent.end.wrapping_sub(self.first);
                self.first = sent.end;
                match sent.fate {
                    Fate::InFlight => self.arrived(now, sent),
                    Fate::Delivered => self.delivered_len -= len,
                    Fate::Lost => {
                        self.lost_len -= len;
                        self.arrived(now, sent);
                    }
                }
            }
        }
        for (begin, end) in blocks {
            // Others are duplicates' (RFC 2883), old, or made up.
            if self.has_sack && is_after(end, begin) && is_after(begin, self.first) && !is_after(end, self.end) {
                self.deliver(now, begin, end);
            }
        }
        acked_len
    }

    fn deliver(&mut self, now: Instant, begin: u32, end: u32) {
        let mut at = self.first;
        for index in 0..self.segments.len() {
            let sent = self.segments[index];
            if is_after(sent.end, end) {
                return;
            }
            let len = sent.end.wrapping_sub(at);
            if !is_after(begin, at) && sent.fate != Fate::Delivered {
                if sent.fate == Fate::Lost {
                    self.lost_len -= len;
                }
                self.delivered_len += len;
                self.segments[index].fate = Fate::Delivered;
                self.arrived(now, sent);
            }
            at = sent.end;
        }
    }

    /// RFC 8985 section 6.2, steps 1 to 3.
    fn arrived(&mut self, now: Instant, sent: Tracked) {
        let round_trip = now.since(sent.sent_at);
        if sent.is_repeat {
            // What came faster than anything before answers the first copy.
            if self.round_trip_min.is_some_and(|least| round_trip < least) {
                return;
            }
        } else {
            self.round_trip_min = Some(self.round_trip_min.map_or(round_trip, |least| least.min(round_trip)));
            self.is_reordering |= is_after(self.delivered_end, sent.end);
        }
        if is_after(sent.end, self.delivered_end) {
            self.delivered_end = sent.end;
        }
        if self.newest.is_none_or(|newest| is_before(newest.sent_at, newest.end, &sent)) {
            self.newest = Some(Newest { sent_at: sent.sent_at, end: sent.end, round_trip });
        }
    }

    /// Looks for losses (RFC 8985 section 6.2, step 5); whether there are new ones. `is_recovering` says that one is
    /// being repaired already.
    pub fn find_losses(&mut self, now: Instant, is_recovering: bool) -> bool {
        self.look_at = None;
        let Some(newest) = self.newest.filter(|_| self.has_sack) else { return false };
        let is_in_order = self.delivered_len == 0 && self.segments.front().is_none_or(|sent| !newest.is_after(sent));
        if is_in_order {
            return false;
        }
        let window = self.reorder_window(is_recovering, &newest);
        let (mut at, mut lost_len) = (self.first, 0);
        for sent in &mut self.segments {
            if sent.fate == Fate::InFlight && newest.is_after(sent) {
                let lost_at = sent.sent_at + newest.round_trip + window;
                if lost_at <= now {
                    sent.fate = Fate::Lost;
                    lost_len += sent.end.wrapping_sub(at);
                } else {
                    self.look_at = Some(self.look_at.map_or(lost_at, |other| other.min(lost_at)));
                }
            }
            at = sent.end;
        }
        self.lost_len += lost_len;
        lost_len > 0
    }

    /// How much later than expected a segment may come (RFC 8985 section 6.2, step 4).
    fn reorder_window(&self, is_recovering: bool, newest: &Newest) -> Duration {
        let delivered = self.segments.iter().filter(|sent| sent.fate == Fate::Delivered);
        let many = usize::from(DUPLICATES_MAX);
        if !self.is_reordering && (is_recovering || delivered.take(many).count() == many) {
            return Duration::ZERO;
        }
        self.round_trip_min.unwrap_or(newest.round_trip).div(4)
    }

    /// A duplicate ACK of a peer that says no more; whether it shows that the oldest segment is lost.
    pub fn on_duplicate(&mut self) -> bool {
        if self.has_sack {
            return false;
        }
        self.duplicates = self.duplicates.saturating_add(1);
        self.duplicates == DUPLICATES_MAX && self.lose_first()
    }

    /// An ACK of a part, while a loss is being repaired: to a peer that says no more, the next segment is lost, too
    /// (RFC 6582 section 3.2).
    pub fn on_partial(&mut self) -> bool {
        !self.has_sack && self.lose_first()
    }

    /// The oldest segment counts as lost; whether it was in flight.
    pub fn lose_first(&mut self) -> bool {
        let Some(oldest) = self.segments.front_mut().filter(|sent| sent.fate == Fate::InFlight) else { return false };
        oldest.fate = Fate::Lost;
        self.lost_len += oldest.end.wrapping_sub(self.first);
        true
    }

    /// All that the peer is not known to have counts as lost (RFC 8985 section 6.3).
    pub fn lose_all(&mut self) {
        for sent in self.segments.iter_mut().filter(|sent| sent.fate == Fate::InFlight) {
            sent.fate = Fate::Lost;
        }
        self.lost_len = self.flight_len() - self.delivered_len;
        self.look_at = None;
    }

    /// What of `begin..end` is to leave: from the first number in it that is lost or new to the last such. `None` if none
    /// is.
    pub fn wanted(&self, begin: u32, end: u32) -> Option<(u32, u32)> {
        let lost = self.spans().filter(|(_, sent)| sent.fate == Fate::Lost);
        let inside = lost.filter(|(from, sent)| is_after(end, *from) && is_after(sent.end, begin));
        let (mut first, mut last) = (None, None);
        for (from, sent) in inside {
            first = first.or(Some(if is_after(begin, from) { begin } else { from }));
            last = Some(if is_after(sent.end, end) { end } else { sent.end });
        }
        if is_after(end, self.end) {
            first = first.or(Some(if is_after(begin, self.end) { begin } else { self.end }));
            last = Some(end);
        }
        first.zip(last)
    }
}

impl Newest {
    /// Whether it left after `sent` did (RFC 8985 section 5.2, `RACK_sent_after`).
    fn is_after(&self, sent: &Tracked) -> bool {
        self.sent_at > sent.sent_at || (self.sent_at == sent.sent_at && is_after(self.end, sent.end))
    }
}

fn is_before(sent_at: Instant, end: u32, other: &Tracked) -> bool {
    sent_at < other.sent_at || (sent_at == other.sent_at && is_after(other.end, end))
}

#[cfg(test)]
mod tests;
