//! Handshakes: bytes in, jobs out, results back, sessions open.

use std::collections::VecDeque;

use hpb_base::Instant;
use hpb_base::limits::CRYPTO_JOBS_MAX;
use hpb_types::message::diagnose::EventKind;

use super::notable::{Detail, Notable};
use super::session::{HalfOpen, Phase, Shake};
use super::{Lane, live, mark};
use crate::card::{CloseReason, Event};
use crate::secure::{CryptoJob, CryptoResult, HANDSHAKE_LEN_MAX, Next, Step, Task, message_1_is_for_us};
use crate::stats::Drop;

/// Steps that wait to be run. Bounded by the sessions that may be half open, since each has one step at most.
#[derive(Default)]
pub(super) struct Queue {
    ready: VecDeque<CryptoJob>,
    out: usize,
}

impl Lane {
    /// TCP is open: start the handshake, or open at once without one.
    pub(super) fn begin(&mut self, now: Instant, index: u32) {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        if !session.encrypted {
            return self.open(now, index);
        }
        let (id, call) = (session.id, session.call);
        if call.is_none() {
            if self.shaking_in >= self.config.half_open_max {
                self.counters.drops.count(Drop::HalfOpenFull);
                return self.end(index, None, CloseReason::Broken(Drop::HalfOpenFull));
            }
            let (class, from) = (session.class, std::mem::replace(&mut session.half_open, HalfOpen::Shaking));
            self.count_half_open(class, from, HalfOpen::Shaking);
        }
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        session.phase = Phase::Shaking(Box::new(Shake { memory: None, busy: call.is_some() }));
        let Some(call) = call else { return };
        let seed = self.handshake_seed();
        let task = self.call_of(call).and_then(|call| {
            let identity = call.identity.clone().or_else(|| self.config.identity.clone())?;
            Some(Task::Call { identity, responder: call.responder?, seed })
        });
        match task {
            Some(task) => self.shaking.ready.push_back(CryptoJob { session: id, task }),
            None => self.end(index, None, CloseReason::NoRoom),
        }
    }

    /// Gathers the peer's next handshake message; when it is whole, its step becomes a job.
    pub(super) fn read_handshake(&mut self, index: u32) -> Result<(), Drop> {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return Ok(()) };
        let Phase::Shaking(shake) = &mut session.phase else { return Ok(()) };
        if shake.busy {
            return Ok(());
        }
        let mut head = [0; 2];
        if !session.socket.peek(&mut head) {
            return Ok(());
        }
        let message_len = usize::from(u16::from_le_bytes(head));
        if message_len == 0 || message_len > HANDSHAKE_LEN_MAX {
            return Err(Drop::Stranger);
        }
        if session.socket.recv_len() < 2 + message_len {
            return Ok(());
        }
        let mut message = vec![0; 2 + message_len];
        if !session.socket.recv_exact(&mut message) {
            return Err(Drop::Handshake);
        }
        message.drain(..2);
        let id = session.id;
        shake.busy = true;
        let task = if let Some(memory) = shake.memory.take() {
            Task::Continue { memory, message }
        } else {
            let identity = self.config.identity.clone().ok_or(Drop::Handshake)?;
            if !message_1_is_for_us(&message, &identity) {
                return Err(Drop::Stranger);
            }
            Task::Answer { identity, message, seed: self.handshake_seed() }
        };
        self.shaking.ready.push_back(CryptoJob { session: id, task });
        Ok(())
    }

    pub(super) fn next_job(&mut self) -> Option<CryptoJob> {
        while self.shaking.out < CRYPTO_JOBS_MAX {
            let job = self.shaking.ready.pop_front()?;
            // Its session may be gone: nobody needs the step any more.
            if live(&mut self.slots, job.session).is_some() {
                self.shaking.out += 1;
                return Some(job);
            }
        }
        None
    }

    /// Takes a step's result back; results of sessions that are gone are forgotten.
    pub fn finish_job(&mut self, now: Instant, result: CryptoResult) {
        self.now = now;
        self.shaking.out = self.shaking.out.saturating_sub(1);
        let CryptoResult { session: id, outcome } = result;
        let Some(session) = live(&mut self.slots, id) else { return };
        let Phase::Shaking(shake) = &mut session.phase else { return };
        let Step { reply, next } = match outcome {
            Ok(step) => step,
            Err(error) => {
                self.counters.drops.count(Drop::Handshake);
                return self.end(id.index, Some(id), CloseReason::Handshake(error));
            }
        };
        shake.busy = false;
        if session.socket.send(&reply) != reply.len() {
            return self.end(id.index, Some(id), CloseReason::Remote);
        }
        match next {
            Next::Await(memory) => shake.memory = Some(memory),
            Next::Done { channel, peer, operations } => {
                session.channel = Some(channel);
                session.peer = Some(peer);
                self.counters.handshakes += 1;
                self.counters.diffie_hellmans += u64::from(operations);
                match self.unwelcome(now, id) {
                    // It is open for one word, and nobody hears of it.
                    Some(goodbye) => {
                        if let Some(session) = live(&mut self.slots, id) {
                            session.phase = Phase::Open;
                        }
                        self.farewell(id, goodbye);
                    }
                    None => self.open(now, id.index),
                }
            }
        }
        if let Some(session) = live(&mut self.slots, id) {
            mark(&mut self.dirty, session);
        }
        // The peer's next message, or the first ones behind its last, may have come meanwhile.
        self.advance(now, id.index);
    }

    /// The session carries messages from now on.
    fn open(&mut self, now: Instant, index: u32) {
        let Some(session) = self.slots[index as usize].session.as_mut() else { return };
        session.phase = Phase::Open;
        session.was_open = true;
        session.deadline_at = None;
        session.edge.last_data_at = now;
        self.counters.opened += 1;
        let event = Event::Opened {
            session: session.id,
            peer: session.peer,
            remote: session.flow.remote(),
            class: session.class,
            called: session.call.is_some(),
            tag: session.tag,
            took: now.since(session.began_at),
        };
        let (id, remote, peer) = (session.id, session.flow.remote(), session.peer);
        let (class, from) = (session.class, std::mem::replace(&mut session.half_open, HalfOpen::No));
        if let Some(call) = session.call {
            self.calls.settled();
            self.calls.established(call);
        }
        self.count_half_open(class, from, HalfOpen::No);
        self.events.push(event);
        let notable =
            Notable { kind: EventKind::Opened, session: Some(id), remote: Some(remote), peer, detail: Detail::None };
        self.notables.note(now, notable);
    }

    fn handshake_seed(&mut self) -> [u8; 32] {
        self.handshake_serial += 1;
        let mut hasher = blake3::Hasher::new_derive_key("hpb lane handshake seed v1");
        hasher.update(&self.config.secret);
        hasher.update(&self.handshake_serial.to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    /// Handshake steps that wait or are out.
    pub fn jobs(&self) -> usize {
        self.shaking.ready.len() + self.shaking.out
    }
}
