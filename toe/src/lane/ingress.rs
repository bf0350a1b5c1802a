//! From received frames to events: check, find the session, guard, feed the engine, take what it has for us.
//!
//! A burst is read in passes, so that the cache misses of its sessions overlap instead of adding up.

use hpb_base::Instant;
use hpb_net::frame::{Bursts, Frame};
use hpb_net::sys::prefetch;
use hpb_types::Canonical as _;
use hpb_types::message::diagnose::{CaptureWay, EventKind, Goodbye};
use hpb_types::message::kind::GOODBYE;

use super::capture::Capturing;
use super::notable::{Detail, Notable};
use super::session::{Phase, Session};
use super::{Lane, mark};
use crate::card::{CloseReason, EventBatch};
use crate::engine::{TcpState, TxPath};
use crate::framing::header;
use crate::guard::verdict::{self, Verdict};
use crate::registers::Register;
use crate::secure::Channel;
use crate::segment::{self, ACK, RST, SYN, Segment};
use crate::service::Served;
use crate::stats::Drop;

/// What the first pass found out about a frame.
pub(super) struct Seen {
    pub(super) segment: Segment,
    pub(super) hash: u64,
    index: Option<u32>,
    pub(super) frame: u32,
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
                    // Whoever vouched for it did so before.
                    frame.set_verified(false);
                }
            }
            match self.see(frame, at as u32) {
                Ok(seen) => burst.push(seen),
                Err(Drop::NotTcp) => self.answer(now, frame.bytes(), bursts),
                Err(reason) => self.counters.drops.count(reason),
            }
        }
        self.prefetch(&burst);
        for seen in burst.drain(..) {
            let frame = &mut frames[seen.frame as usize];
            self.stamping.frame(frame);
            self.take(now, &seen, frame.bytes_mut(), bursts);
        }
        self.burst = burst;
        self.part(&mut frames, bursts);
        bursts.rx = frames;
        bursts.recycle_rx();
    }

    /// A packet that is no TCP, on a port without a link layer: a ping, or an ICMP error.
    fn answer(&mut self, now: Instant, packet: &[u8], bursts: &mut Bursts) {
        self.counters.drops.count(Drop::NotTcp);
        if bursts.tx_room() == 0 {
            return;
        }
        let Some(mut frame) = bursts.pool.take() else { return self.counters.drops.count(Drop::NoFrame) };
        if self.neighbor.answer_ip(now, packet, &mut frame) {
            bursts.tx.push_back(frame);
        } else {
            bursts.pool.give(frame);
        }
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
        // The guess went by the hash alone, and an earlier frame of this burst may have opened or ended the session.
        let still = seen.index.filter(|index| self.is_of(*index, &seen.segment));
        if let Some(index) = still.or_else(|| self.find(seen.hash, &seen.segment)) {
            return self.feed(now, index, seen.segment, packet, bursts);
        }
        if self.is_stray(seen) {
            return;
        }
        let index = match self.admit(now, seen, packet, bursts) {
            Ok(index) => index,
            Err(reason) => return self.counters.drops.count(reason),
        };
        self.feed(now, index, seen.segment, packet, bursts);
        let session = self.slots[index as usize].session.as_ref();
        let came_by_cookie = seen.segment.has(ACK);
        if came_by_cookie && session.is_some_and(|session| session.socket.is_syn_received()) {
            // The engine did not take what brought the cookie back: it must not buy a half-open place.
            self.counters.drops.count(Drop::Malformed);
            self.remove(index, CloseReason::Broken(Drop::Malformed));
        }
    }

    /// Brings a segment to its session.
    fn feed(&mut self, now: Instant, index: u32, mut segment: Segment, packet: &mut [u8], bursts: &mut Bursts) {
        if !self.accept(now, index, &mut segment, packet, bursts) {
            return;
        }
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        self.counters.rx_segments += 1;
        let noted = session.edge.on_received(now, &segment, packet, session.class.tx_len());
        session.counters.rx_bytes += u64::from(segment.payload_len());
        if noted.out_of_order {
            self.counters.out_of_order += 1;
            if self.registers.acts(Register::Reorder) {
                // The data is gone, but the peer learns at once what is missing (RFC 5681 section 4.2).
                self.counters.drops.count(Drop::Fault);
                let standing = session.standing();
                self.say(&standing, bursts);
                return;
            }
        }
        let before = bursts.tx.len();
        if !noted.says_nothing {
            self.stack.ingress(now, &mut session.socket, &packet[..segment.end_at], TxPath::of(bursts));
        }
        self.stamping.fed(session, &segment);
        mark(&mut self.dirty, session);
        self.finish(now, index, before, bursts);
        if noted.is_progress {
            self.neighbor.confirm(now, &segment.flow);
        }
        self.advance(now, index);
    }

    /// Moves a segment's numbers to the engine's and judges it by them; false if the engine must not see it.
    fn accept(
        &mut self,
        now: Instant,
        index: u32,
        segment: &mut Segment,
        packet: &mut [u8],
        bursts: &mut Bursts,
    ) -> bool {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return false };
        // SACK blocks stay as they are: the engine does not read them, and the edge knows how far they are off.
        if let (true, Some(offset)) = (segment.has(ACK), session.edge.offset) {
            segment.ack = segment.ack.wrapping_sub(offset);
            segment::set_ack(packet, segment, segment.ack);
        }
        let is_answered = !session.socket.is_syn_received();
        if session.socket.state() == TcpState::Opening && is_answered {
            // Its first SYN, or what answers ours: the engine knows the numbers that count.
            return true;
        }
        let expected = session.expected();
        if !is_answered && session.call.is_some() && segment.flags & (SYN | ACK) == SYN | ACK {
            // Both sides called at once (RFC 9293 section 3.5): the engine takes the peer's answer for its bare ACK.
            segment.seq = segment.seq.wrapping_add(1);
            segment::set_seq(packet, segment, segment.seq);
            segment::set_flags(packet, segment, segment.flags & !SYN);
        }
        let verdict = verdict::judge(segment, &expected, is_answered);
        match verdict {
            Verdict::Feed | Verdict::FeedRaised => {
                if verdict == Verdict::FeedRaised {
                    segment.ack = expected.send_unacknowledged;
                    segment::set_ack(packet, segment, segment.ack);
                }
                // The engine takes the window of its own SYN for a scaled one, and would write past its buffer.
                let room = verdict::room(segment, &expected);
                let has_no_room = room == 0 && segment.payload_len() > 0;
                segment::cut_payload(packet, segment, room as usize);
                if !has_no_room {
                    return true;
                }
                // A probe of a closed window (RFC 9293 section 3.8.6.1), or data that nobody offered to take.
                let standing = session.standing();
                self.say(&standing, bursts);
                if segment.seq == expected.receive_next {
                    return true;
                }
            }
            Verdict::Reset => {
                session.edge.flags_seen |= RST;
                let reason = match session.phase {
                    Phase::Ending(reason) => reason,
                    _ => CloseReason::Remote,
                };
                self.remove(index, reason);
                return false;
            }
            Verdict::Challenge => {
                let since = session.edge.challenged_at.map(|challenged_at| now.since(challenged_at));
                if since.is_none_or(|since| since >= self.guard.config.challenge_interval) {
                    session.edge.challenged_at = Some(now);
                    let standing = session.standing();
                    if self.say(&standing, bursts) {
                        self.counters.challenges += 1;
                    }
                }
            }
            Verdict::Ignore => {}
        }
        self.counters.drops.count(Drop::Unacceptable);
        false
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
        let mut owes = false;
        let result = match &mut session.phase {
            Phase::Open if session.serving.is_some() => {
                owes = self.serve_stream(index);
                Ok(())
            }
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
                let mut heard = Heard::default();
                let way_in = (&mut self.events, &mut self.capturing);
                let read = read(session, way_in, &mut self.scratch.record, &mut heard);
                // Those before one that breaks the framing were told too.
                self.counters.rx_messages += u64::from(heard.count);
                session.counters.rx_messages += heard.count;
                self.stamping.opened(session, heard.count);
                if let Some(goodbye) = heard.goodbye {
                    let (id, remote, peer) = (session.id, session.flow.remote(), session.peer);
                    let (kind, detail) = (EventKind::Goodbye, Detail::Goodbye(goodbye));
                    let notable = Notable { kind, session: Some(id), remote: Some(remote), peer, detail };
                    self.notables.note(now, notable);
                }
                read
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
            && !owes
            && !matches!(session.phase, Phase::Ending(_))
        {
            // The peer has said FIN; ours follows what waits.
            session.phase = Phase::Ending(CloseReason::Remote);
            mark(&mut self.dirty, session);
        }
    }
}

impl Lane {
    /// Lets a session's plain service go on; whether it owes its peer bytes.
    fn serve_stream(&mut self, index: u32) -> bool {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return false };
        let Some(serving) = &mut session.serving else { return false };
        match serving.run(&mut session.socket, &mut self.scratch.record) {
            Served::Idle => false,
            Served::Owes => true,
            Served::Finished => {
                self.end(index, None, CloseReason::Local);
                false
            }
        }
    }
}

/// What came of one session in one turn.
#[derive(Default)]
struct Heard {
    /// Messages that were whole.
    count: u32,
    /// Why the peer is about to end the session, if it says so.
    goodbye: Option<Goodbye>,
}

/// Takes what the socket holds; counts the messages that were whole.
fn read(
    session: &mut Session,
    (events, capturing): (&mut EventBatch, &mut Capturing),
    scratch: &mut [u8],
    heard: &mut Heard,
) -> Result<(), Drop> {
    let who = capturing.who(session);
    let (id, tag, body_len_max) = (session.id, session.tag, session.body_len_max as usize);
    let inbox = &mut session.inbox;
    let mut feed = |bytes: &[u8]| {
        inbox.feed(bytes, body_len_max, |kind, body| {
            events.push_message(id, tag, kind, body);
            if let Some(who) = &who {
                capturing.message(who, CaptureWay::In, (&header(kind, body.len()), body));
            }
            heard.count += 1;
            if kind == GOODBYE {
                heard.goodbye = Goodbye::from_bytes(body).ok();
            }
        })
    };
    let Some(channel) = &mut session.channel else {
        while session.socket.recv_len() > 0 {
            let fed = session.socket.recv(|bytes| (bytes.len(), feed(bytes)));
            fed.unwrap_or(Ok(()))?;
        }
        return Ok(());
    };
    loop {
        let mut head = [0; 2];
        if !session.socket.peek(&mut head) {
            return Ok(());
        }
        let record_len = Channel::record_len(head)?;
        if session.socket.recv_len() < record_len {
            return Ok(());
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
