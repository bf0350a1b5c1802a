//! From what waits to frames: fill send buffers, let the engine emit, finish each frame at the edge, arm the timers.

use hpb_base::{Duration, Instant};
use hpb_net::frame::Bursts;

use super::edge::Recovered;
use super::session::{Phase, Session, WayOut};
use super::{Lane, mark};
use crate::card::CloseReason;
use crate::engine::{TcpState, TxPath, Wake};
use crate::registers::Register;
use crate::segment::{self, ACK, Spoken};
use crate::stats::Drop;

/// Frames that one session may send before the next has its turn.
const FRAMES_A_TURN: usize = 16;

/// Segments that its engine may emit meanwhile, those included that the edge keeps back.
const EMITTED_A_TURN: usize = 64;

/// How often the oldest segment is sent again without an answer before its size is doubted.
const REPEATS_MAX: u8 = 3;

/// What is to become of a session after it was flushed.
enum Flushed {
    /// All is sent; its timers are armed.
    Done,
    /// It has more to send, now.
    More,
    /// It is over.
    Over(CloseReason),
}

impl Lane {
    /// Lets the sessions that have something to send do so, while frames are free.
    pub(super) fn flush(&mut self, now: Instant, bursts: &mut Bursts) -> bool {
        let gap_us = u64::from(self.registers.get(Register::CellGap));
        let mut turns = self.dirty.len();
        let mut busy = false;
        while turns > 0 && bursts.tx_room() > 0 {
            if gap_us > 0 {
                if now < self.cell_at {
                    break;
                }
                self.registers.acts(Register::CellGap);
                self.cell_at = now + Duration::from_micros(gap_us);
            }
            turns -= 1;
            busy = true;
            let Some(index) = self.dirty.pop_front() else { break };
            match self.flush_one(now, index, bursts) {
                Some(Flushed::Done) | None => {}
                Some(Flushed::More) => {
                    if let Some(session) = self.slots[index as usize].session.as_mut() {
                        mark(&mut self.dirty, session);
                    }
                }
                Some(Flushed::Over(reason)) => self.remove(index, reason),
            }
        }
        busy
    }

    fn flush_one(&mut self, now: Instant, index: u32, bursts: &mut Bursts) -> Option<Flushed> {
        let session = self.slots.get_mut(index as usize)?.session.as_mut()?;
        session.dirty = false;
        if session.deadline_at.is_some_and(|deadline_at| deadline_at <= now) {
            session.deadline_at = None;
            if session.socket.state() == TcpState::Opening {
                // Whoever it is never answered: a reset would only reach who is not concerned.
                return Some(Flushed::Over(CloseReason::HandshakeTimeout));
            }
            // One that is ending already waits no longer for its peer either.
            session.socket.abort();
            self.end(index, None, CloseReason::HandshakeTimeout);
        }
        self.recover(now, index, bursts);
        let idle_at = self.idle_at(index);
        if idle_at.is_some_and(|idle_at| idle_at <= now) {
            self.end(index, None, CloseReason::Idle);
        }
        let session = self.slots.get_mut(index as usize)?.session.as_mut()?;
        if let (Phase::Ending(reason), TcpState::Opening) = (&session.phase, session.socket.state()) {
            // A call that is given up says nothing (RFC 9293 section 3.10.5).
            return Some(Flushed::Over(*reason));
        }
        if session.is_open() {
            let way_out = WayOut { scratch: &mut self.scratch.out, capturing: &mut self.capturing };
            let filled = session.fill(way_out);
            self.stamping.filled(session);
            if filled.is_err() {
                self.end(index, None, CloseReason::Broken(Drop::Record));
            }
        }
        self.rewind(now, index, bursts);
        let turn_from = bursts.tx.len();
        for _ in 0..EMITTED_A_TURN {
            if bursts.tx_room() == 0 || bursts.tx.len() >= turn_from + FRAMES_A_TURN {
                return Some(Flushed::More);
            }
            let session = self.slots.get_mut(index as usize)?.session.as_mut()?;
            if matches!(session.phase, Phase::Ending(_)) {
                let way_out = WayOut { scratch: &mut self.scratch.out, capturing: &mut self.capturing };
                let _ = session.fill(way_out);
                if session.outbox.is_empty() {
                    session.socket.close();
                }
            }
            let before = bursts.tx.len();
            self.stack.egress(now, &mut session.socket, TxPath::of(bursts));
            self.finish(now, index, before, bursts);
            let session = self.slots.get_mut(index as usize)?.session.as_mut()?;
            let wake = self.stack.wake_at(now, &session.socket);
            if let Some(over) = over(session, wake, now + self.config.ack_delay.unwrap_or_default()) {
                return Some(over);
            }
            match wake {
                Wake::Now => {}
                Wake::At(at) => {
                    self.arm(index, at);
                    return Some(Flushed::Done);
                }
                Wake::Never => {
                    self.arm(index, Instant::from_nanos(u64::MAX));
                    return Some(Flushed::Done);
                }
            }
        }
        Some(Flushed::More)
    }

    /// The edge's work on frames that the engine has just emitted for a session: from `before` on in the send burst.
    pub(super) fn finish(&mut self, now: Instant, index: u32, before: usize, bursts: &mut Bursts) {
        let mut at = before;
        while at < bursts.tx.len() {
            let Ok(mut segment) = segment::parse(bursts.tx[at].bytes()) else { return };
            if let Some(session) = self.slots[index as usize].session.as_mut() {
                let Some((from, to)) = session.edge.choose(&segment) else {
                    if let Some(frame) = bursts.tx.remove(at) {
                        bursts.pool.give(frame);
                    }
                    continue;
                };
                if to.wrapping_sub(from) < segment.sequence_len() {
                    let len = segment::keep(bursts.tx[at].bytes_mut(), &mut segment, from, to);
                    bursts.tx[at].truncate(len);
                }
                session.edge.move_numbers(&segment, bursts.tx[at].bytes_mut(), || {
                    self.guard.numbers.initial(now, &session.flow)
                });
            }
            if self.capabilities.checksum_tx {
                let partial = segment::fill_partial_checksum(bursts.tx[at].bytes_mut());
                bursts.tx[at].set_partial(Some(partial));
            } else {
                segment::fill_checksums(bursts.tx[at].bytes_mut());
            }
            self.counters.tx_segments += 1;
            // A reset may leave after its session.
            if let Some(session) = self.slots[index as usize].session.as_mut() {
                self.stamping.emitted(session, &segment);
                let left = session.edge.on_sent(now, &segment);
                session.counters.tx_bytes += u64::from(segment.payload_len());
                session.counters.retransmitted += u32::from(left.is_repeat);
                self.counters.retransmitted += u64::from(left.is_repeat);
                if left.repeats_last_ack && self.registers.acts(Register::DuplicateAck) {
                    if let Some(frame) = bursts.tx.remove(at) {
                        bursts.pool.give(frame);
                    }
                    continue;
                }
            }
            at += 1;
        }
        self.narrow_by_silence(index);
    }

    /// Sees to what is lost if it is time.
    fn recover(&mut self, now: Instant, index: u32, bursts: &mut Bursts) {
        let Some(session) = self.slots.get_mut(index as usize).and_then(|slot| slot.session.as_mut()) else { return };
        if session.socket.state() == TcpState::Opening || session.recovery_at().is_none_or(|at| at > now) {
            return;
        }
        let recovered = session.edge.recover(now);
        self.counters.probes += u64::from(recovered != Recovered::Looked);
        if recovered == Recovered::TimedOut {
            // Nothing new must follow.
            self.show_window(now, index, bursts);
        }
    }

    /// Sends a session's engine back if something that is lost may be sent again.
    fn rewind(&mut self, now: Instant, index: u32, bursts: &mut Bursts) {
        let Some(session) = self.slots.get_mut(index as usize).and_then(|slot| slot.session.as_mut()) else { return };
        if bursts.tx_room() == 0 || !session.edge.must_rewind() {
            return;
        }
        let before = bursts.tx.len();
        self.stack.rewind(now, &mut session.socket, TxPath::of(bursts));
        let emitted = bursts.tx.get(before).and_then(|frame| segment::parse(frame.bytes()).ok());
        session.edge.rewound(emitted.as_ref());
        self.finish(now, index, before, bursts);
    }

    /// Large packets that vanish again and again meet a router that does not say what it takes (RFC 4821): the next ones
    /// are as small as any path of IPv6 takes, and then as any of IPv4.
    fn narrow_by_silence(&mut self, index: u32) {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        if session.edge.repeats < REPEATS_MAX {
            return;
        }
        let sent_len = usize::from(session.edge.sent_len_max);
        let smaller = [1_280, 576].map(|mtu| self.stack.class_of(mtu));
        let smaller = smaller.into_iter().find(|class| *class > session.socket.path);
        if let Some(smaller) = smaller.filter(|smaller| sent_len > self.stack.mtu_of(*smaller)) {
            session.socket.path = smaller;
            session.edge.repeats = REPEATS_MAX - 2;
            self.counters.paths_narrowed += 1;
        }
    }

    /// Shows the engine what it may send now, if that is not what it was shown last.
    fn show_window(&mut self, now: Instant, index: u32, bursts: &mut Bursts) {
        let Some(session) = self.slots[index as usize].session.as_ref() else { return };
        let window = session.edge.window_to_show();
        if window != session.edge.shown_window {
            self.feed_ack(now, index, window, bursts);
        }
    }

    /// Feeds the engine the last ACK with another window: it learns of windows in no other way.
    fn feed_ack(&mut self, now: Instant, index: u32, window: u16, bursts: &mut Bursts) {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        let Some(mut frame) = bursts.pool.take() else { return self.counters.drops.count(Drop::NoFrame) };
        let expected = session.expected();
        let (flow, seq, ack) = (session.flow, expected.receive_next, expected.send_unacknowledged);
        let before = bursts.tx.len();
        Spoken { flow, seq, ack, flags: ACK, window, mss: None }.write_as_received(&mut frame);
        self.stack.ingress(now, &mut session.socket, frame.bytes(), TxPath::of(bursts));
        session.edge.shown_window = window;
        bursts.pool.give(frame);
        mark(&mut self.dirty, session);
        self.finish(now, index, before, bursts);
    }

    /// When an open session that goes on bringing no data is to end.
    fn idle_at(&self, index: u32) -> Option<Instant> {
        let session = self.slots.get(index as usize)?.session.as_ref()?;
        session.is_open().then_some(session.edge.last_data_at + self.config.idle_timeout?)
    }

    /// Rings for a session at the sooner of `engine_at` and its own deadline, unless it will look before that anyway.
    /// So a session that talks all the time, and whose time-out moves all the time, has two entries in the wheel: the
    /// next delayed ACK and the last time-out that was armed.
    fn arm(&mut self, index: u32, engine_at: Instant) {
        let idle_at = self.idle_at(index);
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        let mut at = engine_at;
        for sooner in [session.deadline_at, idle_at, session.recovery_at()].into_iter().flatten() {
            at = at.min(sooner);
        }
        if at.as_nanos() == u64::MAX {
            return;
        }
        // Rounded up, so that it is due when it rings.
        let at_ms = at.as_nanos().div_ceil(1_000_000);
        if at_ms < session.armed_ms[0] {
            session.armed_ms = [at_ms, session.armed_ms[0]];
            self.wheel.arm(index, at_ms);
        }
    }
}

/// Whether the session is over now that its last segment has left. In TIME-WAIT the ACK of the peer's FIN may still be
/// held back for data to ride on, until `acked_by` at the latest: without it the peer would wait for its time-out.
fn over(session: &Session, wake: Wake, acked_by: Instant) -> Option<Flushed> {
    let reason = match session.phase {
        Phase::Ending(reason) => reason,
        _ => CloseReason::Remote,
    };
    let held_back = match wake {
        Wake::Now => true,
        Wake::At(at) => at <= acked_by,
        Wake::Never => false,
    };
    match session.socket.state() {
        // Old duplicates find no session and are dropped.
        TcpState::TimeWait if !held_back => Some(Flushed::Over(reason)),
        TcpState::Closed => Some(Flushed::Over(reason)),
        _ => None,
    }
}
