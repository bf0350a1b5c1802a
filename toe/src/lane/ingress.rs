//! From received frames to events: check, find the session, guard, feed the engine, take what it has for us.
//!
//! A burst is read in passes, so that the cache misses of its sessions overlap instead of adding up.

use hpb_base::Instant;
use hpb_net::frame::{Bursts, Frame};
use hpb_net::sys::prefetch;

use super::session::{Edge, Phase, Session, Start};
use super::{Lane, Listener, body_len_max, mark};
use crate::card::{CloseReason, EventBatch};
use crate::congestion::{Congestion, is_after};
use crate::engine::{Stack, TcpState, TxPath};
use crate::registers::Register;
use crate::secure::Channel;
use crate::segment::{self, ACK, FIN, RST, SYN, Segment};
use crate::stats::Drop;

/// What the first pass found out about a frame.
pub(super) struct Seen {
    segment: Segment,
    hash: u64,
    index: Option<u32>,
    frame: u32,
}

impl Lane {
    /// Takes the received burst; its frames go back to the pool.
    pub(super) fn take_burst(&mut self, now: Instant, bursts: &mut Bursts) {
        if bursts.rx.is_empty() {
            return;
        }
        let mut burst = std::mem::take(&mut self.burst);
        let mut frames = std::mem::take(&mut bursts.rx);
        for (at, frame) in frames.iter_mut().enumerate() {
            if self.registers.damages() {
                let middle = frame.len() / 2;
                if let Some(byte) = frame.bytes_mut().get_mut(middle) {
                    *byte ^= 0x55;
                }
            }
            match self.see(frame, at as u32) {
                Ok(seen) => burst.push(seen),
                Err(reason) => self.counters.drops.count(reason),
            }
        }
        self.prefetch(&burst);
        for seen in burst.drain(..) {
            self.take(now, &seen, frames[seen.frame as usize].bytes_mut(), bursts);
        }
        self.burst = burst;
        bursts.rx = frames;
        bursts.recycle_rx();
    }

    /// First pass: is it whole, and whose is it?
    fn see(&self, frame: &Frame, at: u32) -> Result<Seen, Drop> {
        let packet = frame.bytes();
        let segment = segment::parse(packet)?;
        if !frame.is_verified() && !segment::checksums_hold(packet, &segment) {
            return Err(Drop::Checksum);
        }
        let hash = self.flows.hash(&segment.flow);
        let index = self.flows.guess(hash);
        if let Some(index) = index {
            prefetch(&self.slots[index as usize].session);
        }
        Ok(Seen { segment, hash, index, frame: at })
    }

    fn find(&self, hash: u64, segment: &Segment) -> Option<u32> {
        self.flows.find(hash, |index| self.is_of(index, segment))
    }

    fn is_of(&self, index: u32, segment: &Segment) -> bool {
        let session = self.slots.get(index as usize).and_then(|slot| slot.session.as_ref());
        session.is_some_and(|session| session.flow == segment.flow)
    }

    /// Second pass: asks for the sessions' sockets and keys together, so that their cache misses overlap.
    fn prefetch(&self, burst: &[Seen]) {
        for session in burst.iter().filter_map(|seen| self.slots[seen.index? as usize].session.as_ref()) {
            session.socket.prefetch();
            if let Some(channel) = &session.channel {
                channel.prefetch();
            }
        }
    }

    /// Third pass: to its session.
    fn take(&mut self, now: Instant, seen: &Seen, packet: &mut [u8], bursts: &mut Bursts) {
        let segment = &seen.segment;
        // The guess went by the hash alone, and an earlier frame of this burst may have opened or ended the session.
        let still = seen.index.filter(|index| self.is_of(*index, segment)).or_else(|| self.find(seen.hash, segment));
        let index = match still {
            Some(index) => index,
            None => match self.admit(now, seen) {
                Ok(index) => index,
                Err(reason) => {
                    self.counters.drops.count(reason);
                    if reason == Drop::UnknownFlow && self.registers.acts(Register::NoSession) {
                        self.refuse(segment, bursts);
                    }
                    return;
                }
            },
        };
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        self.counters.rx_segments += 1;
        let out_of_order = session.edge.on_received(now, segment, packet, session.class.tx_len());
        session.counters.rx_bytes += u64::from(segment.payload_len());
        if out_of_order {
            self.counters.out_of_order += 1;
            if self.registers.acts(Register::Reorder) {
                self.counters.drops.count(Drop::Fault);
                return;
            }
        }
        let before = bursts.tx.len();
        self.stack.ingress(
            now,
            &mut session.socket,
            &packet[..segment.end_at],
            TxPath::of(bursts),
            self.capabilities.mtu,
        );
        mark(&mut self.dirty, session);
        self.finish(index, before, bursts);
        self.advance(now, index);
    }

    /// A segment of no session: a SYN for a listener opens one.
    fn admit(&mut self, now: Instant, seen: &Seen) -> Result<u32, Drop> {
        let segment = &seen.segment;
        let local = segment.flow.local();
        if !self.config.addresses.iter().any(|(address, _)| *address == local.ip()) {
            return Err(Drop::NotOurs);
        }
        if segment.flags & (SYN | ACK | RST | FIN) != SYN {
            return Err(Drop::UnknownFlow);
        }
        let listener = self.listeners.iter().find(|listener| listener.port == local.port());
        let Some(&Listener { class, encrypted, .. }) = listener else { return Err(Drop::UnknownFlow) };
        if self.half_open >= self.config.half_open_max {
            return Err(Drop::HalfOpenFull);
        }
        let options = self.socket_options();
        let socket = Stack::accept(class, &segment.flow, &options).ok_or(Drop::Malformed)?;
        let id = self.vacate().ok_or(Drop::TableFull)?;
        self.half_open += 1;
        self.flows.insert(seen.hash, id.index);
        let start = Start {
            id,
            flow: segment.flow,
            hash: seen.hash,
            class,
            body_len_max: body_len_max(class),
            encrypted,
            call: None,
            began_at: now,
            deadline_at: now + self.config.handshake_timeout,
        };
        self.slots[id.index as usize].session = Some(Session::new(start, socket));
        Ok(id.index)
    }

    /// Answers a segment of no session by a reset (RFC 9293 section 3.5.2), if a frame is free.
    fn refuse(&mut self, segment: &Segment, bursts: &mut Bursts) {
        if segment.has(RST) || bursts.tx_room() == 0 {
            return;
        }
        let Some(mut frame) = bursts.pool.take() else { return self.counters.drops.count(Drop::NoFrame) };
        segment::write_reset(segment, &mut frame);
        bursts.tx.push_back(frame);
        self.counters.tx_segments += 1;
    }

    /// Goes on with sessions whose bytes had to wait because the host was behind.
    pub(super) fn reread(&mut self, now: Instant) -> bool {
        if self.unread.is_empty() || self.is_stuffed() {
            return false;
        }
        for index in std::mem::take(&mut self.unread) {
            if let Some(session) = self.slots[index as usize].session.as_mut() {
                session.unread = false;
                mark(&mut self.dirty, session);
                self.advance(now, index);
            }
        }
        true
    }

    /// Brings a session as far as its socket and its bytes allow.
    pub(super) fn advance(&mut self, now: Instant, index: u32) {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        if matches!(session.phase, Phase::Connecting) && session.socket.state() == TcpState::Open {
            self.begin(now, index);
        }
        let stuffed = self.is_stuffed();
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        let result = match &mut session.phase {
            _ if session.socket.recv_len() == 0 => Ok(()),
            Phase::Connecting => Ok(()),
            Phase::Shaking(_) => self.read_handshake(index),
            Phase::Open if stuffed => {
                if !session.unread {
                    session.unread = true;
                    self.unread.push(index);
                }
                Ok(())
            }
            Phase::Open => {
                let read = read(session, &mut self.events, &mut self.scratch.record);
                if let Ok(count) = read {
                    self.counters.rx_messages += u64::from(count);
                    session.counters.rx_messages += count;
                }
                read.map(drop)
            }
            Phase::Ending(_) => {
                // Nobody reads what still comes; taking it lets the peer finish.
                let _ = session.socket.recv(|bytes| (bytes.len(), ()));
                Ok(())
            }
        };
        if let Err(reason) = result {
            self.counters.drops.count(reason);
            return self.end(index, None, CloseReason::Broken(reason));
        }
        if let Some(session) = self.slots[index as usize].session.as_mut()
            && session.socket.state() == TcpState::Closing
            && session.socket.is_drained()
            && !matches!(session.phase, Phase::Ending(_))
        {
            // The peer has said FIN; ours follows what waits.
            session.phase = Phase::Ending(CloseReason::Remote);
            mark(&mut self.dirty, session);
        }
    }
}

/// Takes what the socket holds; returns how many messages that were.
fn read(session: &mut Session, events: &mut EventBatch, scratch: &mut [u8]) -> Result<u32, Drop> {
    let mut count = 0;
    let (id, tag, body_len_max) = (session.id, session.tag, session.body_len_max as usize);
    let inbox = &mut session.inbox;
    let mut feed = |bytes: &[u8]| {
        inbox.feed(bytes, body_len_max, |kind, body| {
            events.push_message(id, tag, kind, body);
            count += 1;
        })
    };
    let Some(channel) = &mut session.channel else {
        while session.socket.recv_len() > 0 {
            let fed = session.socket.recv(|bytes| (bytes.len(), feed(bytes)));
            fed.unwrap_or(Ok(()))?;
        }
        return Ok(count);
    };
    loop {
        let mut head = [0; 2];
        if !session.socket.peek(&mut head) {
            return Ok(count);
        }
        let record_len = Channel::record_len(head)?;
        if session.socket.recv_len() < record_len {
            return Ok(count);
        }
        let in_place = session.socket.recv(|bytes| match bytes.get_mut(2..record_len) {
            None => (0, None),
            Some(sealed) => (record_len, Some(channel.open(sealed).and_then(&mut feed))),
        });
        if let Some(fed) = in_place.flatten() {
            fed?;
            continue;
        }
        // It lies across the buffer's wrap.
        let record = &mut scratch[..record_len];
        if !session.socket.recv_exact(record) {
            return Err(Drop::Record);
        }
        feed(channel.open(&mut record[2..])?)?;
    }
}

impl Edge {
    /// Notes a received segment, and shows the engine no more window than the card's own congestion window. Returns
    /// whether the segment came out of order.
    fn on_received(&mut self, now: Instant, segment: &Segment, packet: &mut [u8], tx_len: usize) -> bool {
        self.flags_seen |= segment.flags;
        let len = segment.sequence_len();
        let mut out_of_order = false;
        if segment.has(SYN) {
            self.initial_sequence = segment.seq;
            self.next_sequence = segment.seq.wrapping_add(1);
            self.window_scale = segment::window_scale(packet, segment).unwrap_or(0);
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
