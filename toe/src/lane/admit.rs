//! Segments of no session: which open one, which are answered, which are met by silence.

use std::collections::VecDeque;

use hpb_base::Instant;
use hpb_net::frame::Bursts;

use super::ingress::Seen;
use super::session::{HalfOpen, Session, Start};
use super::{Lane, Listener, body_len_max};
use crate::card::CloseReason;
use crate::engine::{Stack, TxPath};
use crate::guard::time_wait::Reply;
use crate::registers::Register;
use crate::segment::{self, ACK, FIN, RST, SYN, Segment, Spoken};
use crate::service::Serving;
use crate::stats::Drop;

/// The window that a cookie's SYN|ACK offers: any class takes so much, and the first ACK of the session says more.
const COOKIE_WINDOW: u16 = 2 << 10;

impl Lane {
    /// A segment of no session: a SYN for a listener opens one, or is answered by a cookie; an ACK that brings a cookie
    /// back opens one too.
    pub(super) fn admit(&mut self, now: Instant, seen: &Seen, packet: &[u8], bursts: &mut Bursts) -> Result<u32, Drop> {
        let segment = &seen.segment;
        let local = segment.flow.local();
        if !self.addresses().any(|address| address == local.ip()) {
            return Err(Drop::NotOurs);
        }
        if segment.has(SYN) && self.guard.bans.keeps_out(now, segment.flow.remote().ip()) {
            self.keep_out(now, segment, packet, bursts);
            return Err(Drop::Banned);
        }
        let mut reopened_after = None;
        match self.guard.time_wait.take(now, segment) {
            None => {}
            Some(Reply::Reopen { after }) => {
                self.counters.reopened += 1;
                reopened_after = Some(after);
            }
            Some(Reply::Silence) => return Err(Drop::TimeWait),
            Some(Reply::Ack { seq, ack }) => {
                self.say(&Spoken { flow: segment.flow, seq, ack, flags: ACK, window: 0, mss: None }, bursts);
                return Err(Drop::TimeWait);
            }
        }
        let listener = self.listeners.iter().find(|listener| listener.port == local.port()).cloned();
        match (segment.flags & (SYN | ACK | RST | FIN), listener) {
            (SYN, Some(listener)) => {
                self.counters.syns += 1;
                if listener.encrypted && self.shaking_in >= self.config.half_open_max {
                    return Err(Drop::HalfOpenFull);
                }
                if !self.may_answer(listener.class) || !self.guard.syns.take(now) {
                    self.send_cookie(now, segment, packet, bursts);
                    return Err(Drop::Cookie);
                }
                let index = self.place(now, seen, listener)?;
                if let Some(session) = self.slots[index as usize].session.as_mut() {
                    session.edge.offset_after = reopened_after;
                }
                Ok(index)
            }
            (flags, Some(listener)) if flags & !FIN == ACK => {
                let syn_seq = segment.seq.wrapping_sub(1);
                let cookie = segment.ack.wrapping_sub(1);
                match self.guard.cookies.check(now, &segment.flow, syn_seq, cookie) {
                    Some(mss) => {
                        let index = self.place(now, seen, listener)?;
                        self.resume(now, index, segment, mss, bursts)?;
                        Ok(index)
                    }
                    None => Err(self.unknown(now, segment, bursts)),
                }
            }
            _ => Err(self.unknown(now, segment, bursts)),
        }
    }

    /// Tells a banned caller that it need not try on: by ICMP, which says why, or, where enough of that was said, by a
    /// reset. Either is bounded in its rate, and one answer to one segment.
    fn keep_out(&mut self, now: Instant, segment: &Segment, packet: &[u8], bursts: &mut Bursts) {
        if segment.has(RST) {
            return;
        }
        // A host hears of an error about a call; of one about its answer to a call it makes nothing.
        if !segment.has(ACK | FIN) && self.prohibit(now, packet, bursts) {
            return;
        }
        if self.guard.resets.take(now) && self.say(&Spoken::reset(segment), bursts) {
            self.counters.resets += 1;
        }
    }

    fn prohibit(&mut self, now: Instant, packet: &[u8], bursts: &mut Bursts) -> bool {
        if bursts.tx_room() == 0 {
            return false;
        }
        let Some(mut frame) = bursts.pool.take() else {
            self.counters.drops.count(Drop::NoFrame);
            return false;
        };
        let is_said = self.neighbor.prohibit(now, packet, &mut frame);
        if is_said {
            bursts.tx.push_back(frame);
        } else {
            bursts.pool.give(frame);
        }
        is_said
    }

    /// Meets a segment of no session and no listener as the mode register says: by silence or a reset.
    fn unknown(&mut self, now: Instant, segment: &Segment, bursts: &mut Bursts) -> Drop {
        let asked = self.registers.acts(Register::NoSession) && !segment.has(RST);
        if asked && self.guard.resets.take(now) && self.say(&Spoken::reset(segment), bursts) {
            self.counters.resets += 1;
        }
        Drop::UnknownFlow
    }

    /// Answers a SYN by a SYN|ACK that carries all that must be remembered of it.
    fn send_cookie(&mut self, now: Instant, segment: &Segment, packet: &[u8], bursts: &mut Bursts) {
        let mss_default = if segment.flow.local().is_ipv4() { 536 } else { 1_220 };
        let mss = segment::syn_options(packet, segment).mss.unwrap_or(mss_default);
        let seq = self.guard.cookies.make(now, &segment.flow, segment.seq, mss);
        let answer = Spoken {
            flow: segment.flow,
            seq,
            ack: segment.seq.wrapping_add(1),
            flags: SYN | ACK,
            window: COOKIE_WINDOW,
            mss: Some(self.mss_local(&segment.flow)),
        };
        if self.say(&answer, bursts) {
            self.counters.cookies_sent += 1;
        }
    }

    /// Gives a session that begins by a cookie its past: the engine is fed the SYN that nobody kept, its SYN|ACK is
    /// swallowed, and its numbers are moved to where the cookie put them.
    fn resume(
        &mut self,
        now: Instant,
        index: u32,
        segment: &Segment,
        mss: u16,
        bursts: &mut Bursts,
    ) -> Result<(), Drop> {
        let Some(mut frame) = bursts.pool.take() else {
            self.remove(index, CloseReason::NoRoom);
            return Err(Drop::NoFrame);
        };
        let Some(session) = self.slots[index as usize].session.as_mut() else { return Err(Drop::UnknownFlow) };
        let syn_seq = segment.seq.wrapping_sub(1);
        let syn =
            Spoken { flow: segment.flow, seq: syn_seq, ack: 0, flags: SYN, window: segment.window, mss: Some(mss) };
        syn.write_as_received(&mut frame);
        let syn_segment = segment::parse(frame.bytes())?;
        session.edge.on_received(now, &syn_segment, frame.bytes_mut(), session.class.tx_len());
        let mut said = VecDeque::new();
        let path = TxPath { tx: &mut said, pool: &mut bursts.pool, room: 1 };
        self.stack.ingress(now, &mut session.socket, frame.bytes(), path);
        bursts.pool.give(frame);
        let path = TxPath { tx: &mut said, pool: &mut bursts.pool, room: 1 };
        self.stack.egress(now, &mut session.socket, path);
        let answer = said.front().and_then(|frame| segment::parse(frame.bytes()).ok());
        for frame in said {
            bursts.pool.give(frame);
        }
        let Some(answer) = answer.filter(|answer| answer.has(SYN)) else {
            self.remove(index, CloseReason::NoRoom);
            return Err(Drop::NoFrame);
        };
        session.edge.offset = Some(segment.ack.wrapping_sub(1).wrapping_sub(answer.seq));
        session.edge.on_sent(now, &answer);
        self.counters.cookies_taken += 1;
        Ok(())
    }

    /// Makes a session for a flow that has none.
    fn place(&mut self, now: Instant, seen: &Seen, listener: Listener) -> Result<u32, Drop> {
        let flow = seen.segment.flow;
        let Listener { class, encrypted, service, .. } = listener;
        let options = self.socket_options();
        let socket = Stack::accept(class, &flow, &options).ok_or(Drop::Malformed)?;
        if !self.guard.sources.add(flow.remote().ip()) {
            return Err(Drop::SourceFull);
        }
        let is_farewell = encrypted && self.is_near_full();
        let Some(id) = self.vacate() else {
            self.guard.sources.remove(flow.remote().ip());
            return Err(Drop::TableFull);
        };
        self.count_half_open(class, HalfOpen::No, HalfOpen::Answering);
        self.flows.insert(seen.hash, id.index);
        let start = Start {
            id,
            flow,
            hash: seen.hash,
            class,
            body_len_max: body_len_max(class),
            encrypted,
            call: None,
            began_at: now,
            deadline_at: now + self.config.handshake_timeout,
            mss_local: self.mss_local(&flow),
        };
        let session = self.slots[id.index as usize].session.insert(Session::new(start, socket));
        session.is_farewell = is_farewell;
        session.serving = service.as_ref().map(Serving::new);
        Ok(id.index)
    }

    /// Sends what the card itself has to say, if a frame is free.
    pub(super) fn say(&mut self, spoken: &Spoken, bursts: &mut Bursts) -> bool {
        if bursts.tx_room() == 0 {
            return false;
        }
        let Some(mut frame) = bursts.pool.take() else {
            self.counters.drops.count(Drop::NoFrame);
            return false;
        };
        spoken.write(&mut frame);
        bursts.tx.push_back(frame);
        self.counters.tx_segments += 1;
        true
    }
}
