//! One session of a lane: its TCP, its channel, what waits for it and what the table shows of it.

use std::sync::Arc;

use hpb_base::Instant;
use hpb_types::keys::PublicKey;
use hpb_types::message::diagnose::CaptureWay;

use super::capture::Capturing;
use super::edge::Edge;
use crate::card::{CloseReason, Group, SessionId};
use crate::class::{Class, Priority};
use crate::engine::Socket;
use crate::framing::Assembler;
use crate::guard::verdict::Expected;
use crate::outbox::{Outbox, Queued};
use crate::secure::{Channel, HandshakeMemory, RECORD_OVERHEAD_LEN, RECORD_PLAIN_LEN_MAX};
use crate::segment::{ACK, FlowKey, Spoken};
use crate::service::Serving;
use crate::stats::{Drop, SessionCounters};

/// A record is not begun for less than this while more waits: slivers cost as much as whole ones.
const RECORD_PLAIN_LEN_MIN: usize = 256;

/// How far a session has come.
pub(super) enum Phase {
    /// TCP is opening.
    Connecting,
    /// The handshake is under way; `None` while a step of it is out as a job or waits for one.
    Shaking(Box<Shake>),
    /// Messages pass.
    Open,
    /// The host or a rule ended it; what waits is still sent.
    Ending(CloseReason),
}

/// A handshake under way.
pub(super) struct Shake {
    pub(super) memory: Option<HandshakeMemory>,
    /// A job for it is out, or it waits for its turn to have one.
    pub(super) busy: bool,
}

/// What a session that somebody opened counts as, until it is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HalfOpen {
    /// Nothing: it is open, or this side called.
    No,
    /// Its SYN|ACK is not acknowledged.
    Answering,
    /// TCP is open, its handshake is not finished.
    Shaking,
}

pub(super) struct Session {
    pub(super) flow: FlowKey,
    pub(super) hash: u64,
    pub(super) id: SessionId,
    pub(super) socket: Socket,
    pub(super) dirty: bool,
    pub(super) unread: bool,
    pub(super) class: Class,
    /// What the wheel holds for it, in milliseconds: the sooner, then the later entry; `u64::MAX` for none.
    pub(super) armed_ms: [u64; 2],
    pub(super) edge: Edge,
    pub(super) phase: Phase,
    pub(super) channel: Option<Channel>,
    pub(super) inbox: Assembler,
    pub(super) outbox: Outbox,
    pub(super) counters: SessionCounters,
    pub(super) group: Option<Group>,
    pub(super) group_position: u32,
    pub(super) broadcast_serial: u32,
    pub(super) body_len_max: u32,
    pub(super) tag: u64,
    pub(super) peer: Option<PublicKey>,
    pub(super) began_at: Instant,
    /// When it is given up unless it is open by then, or cut off if it is ending; `None` while nothing presses.
    pub(super) deadline_at: Option<Instant>,
    /// The call that it answers; `None` for one that came in.
    pub(super) call: Option<u32>,
    pub(super) encrypted: bool,
    pub(super) was_open: bool,
    pub(super) half_open: HalfOpen,
    /// It came when there was no room for more: it is told so once its handshake is over.
    pub(super) is_farewell: bool,
    /// The plain service that answers it; `None` for a session of messages.
    pub(super) serving: Option<Serving>,
}

/// What a message passes on its way into the send buffer.
pub(super) struct WayOut<'a> {
    /// A record's plaintext beside its ciphertext.
    pub(super) scratch: &'a mut [u8],
    pub(super) capturing: &'a mut Capturing,
}

/// What a session starts from.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) id: SessionId,
    pub(super) flow: FlowKey,
    pub(super) hash: u64,
    pub(super) class: Class,
    pub(super) body_len_max: u32,
    pub(super) encrypted: bool,
    /// The call that it answers and the call's tag; `None` for one that came in.
    pub(super) call: Option<(u32, u64)>,
    pub(super) began_at: Instant,
    pub(super) deadline_at: Instant,
    /// The largest segment in bytes that this side takes.
    pub(super) mss_local: u16,
}

impl Session {
    pub(super) fn new(start: Start, socket: Socket) -> Self {
        let Start { id, flow, hash, class, body_len_max, encrypted, call, began_at, deadline_at, mss_local } = start;
        Self {
            flow,
            hash,
            id,
            socket,
            dirty: false,
            unread: false,
            class,
            armed_ms: [u64::MAX; 2],
            edge: Edge::new(mss_local),
            phase: Phase::Connecting,
            channel: None,
            inbox: Assembler::default(),
            outbox: Outbox::default(),
            counters: SessionCounters::default(),
            group: None,
            group_position: 0,
            broadcast_serial: 0,
            body_len_max,
            tag: call.map_or(0, |(_, tag)| tag),
            peer: None,
            began_at,
            deadline_at: Some(deadline_at),
            call: call.map(|(index, _)| index),
            encrypted,
            was_open: false,
            is_farewell: false,
            serving: None,
            half_open: if call.is_some() { HalfOpen::No } else { HalfOpen::Answering },
        }
    }

    /// What the guard judges its segments by.
    pub(super) fn expected(&self) -> Expected {
        let edge = &self.edge;
        Expected {
            send_unacknowledged: edge.scoreboard.first(),
            send_next: edge.scoreboard.end(),
            peer_window_max: edge.peer_window_max,
            receive_next: edge.initial_sequence.wrapping_add(1).wrapping_add(self.socket.received_len()),
            receive_window: self.socket.recv_room() as u32,
        }
    }

    /// Where on the wire what lies in the send buffer ends.
    pub(super) fn sequence_filled(&self) -> u32 {
        let filled = self.edge.scoreboard.first().wrapping_add(self.socket.send_len() as u32);
        filled.wrapping_add(self.edge.offset.unwrap_or(0))
    }

    /// When to see to its losses though nothing comes.
    pub(super) fn recovery_at(&self) -> Option<Instant> {
        self.edge.recovery_at(self.socket.send_len())
    }

    /// Where the session stands, as the wire counts: what a segment that says nothing else carries.
    pub(super) fn standing(&self) -> Spoken {
        let expected = self.expected();
        Spoken {
            flow: self.flow,
            seq: expected.send_next.wrapping_add(self.edge.offset.unwrap_or(0)),
            ack: expected.receive_next,
            flags: ACK,
            window: self.edge.local_window.min((expected.receive_window >> self.edge.local_scale) as u16),
            mss: None,
        }
    }

    /// Whether its peer reads messages: a plain service's reads a stream of bytes.
    pub(super) fn speaks_messages(&self) -> bool {
        self.is_open() && self.serving.is_none() && self.class != Class::Stream
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Takes a framed message: straight into the send buffer if nothing waits before it and it fits, else into the
    /// outbox. `shared` gives the message for keeping.
    pub(super) fn offer(
        &mut self,
        framed: &[u8],
        priority: Priority,
        way_out: WayOut<'_>,
        shared: impl FnOnce() -> Arc<[u8]>,
    ) -> Result<Queued, Drop> {
        self.counters.tx_messages += 1;
        let mut sent_len = 0;
        if self.outbox.is_empty() {
            sent_len = match &mut self.channel {
                None => self.socket.send(framed),
                Some(channel) if framed.len() <= RECORD_PLAIN_LEN_MAX => {
                    if self.socket.send_room() >= framed.len() + RECORD_OVERHEAD_LEN {
                        seal_into(channel, &mut self.socket, framed, way_out.scratch)?;
                        framed.len()
                    } else {
                        0
                    }
                }
                Some(_) => 0,
            };
        }
        if sent_len == framed.len() {
            if let Some(who) = way_out.capturing.who(self) {
                way_out.capturing.message(&who, CaptureWay::Out, (framed, &[]));
            }
            return Ok(Queued::Waits { shed: 0 });
        }
        let queued = self.outbox.push(self.class, priority, shared(), sent_len);
        match queued {
            Queued::Waits { shed } => self.counters.shed_messages += shed,
            Queued::Shed => self.counters.shed_messages += 1,
            Queued::Overflow => {}
        }
        if sent_len == 0 {
            self.fill(way_out)?;
        }
        Ok(queued)
    }

    /// Moves what waits into the send buffer as far as there is room.
    pub(super) fn fill(&mut self, way_out: WayOut<'_>) -> Result<(), Drop> {
        let WayOut { scratch, capturing } = way_out;
        let who = capturing.who(self);
        let mut left = |message: &[u8]| {
            if let Some(who) = &who {
                capturing.message(who, CaptureWay::Out, (message, &[]));
            }
        };
        while let Some(front) = self.outbox.front() {
            let room = self.socket.send_room();
            let Some(channel) = &mut self.channel else {
                let sent_len = if room == 0 { 0 } else { self.socket.send(front) };
                if sent_len == 0 {
                    return Ok(());
                }
                self.outbox.advance(sent_len, &mut left);
                continue;
            };
            let waiting_len = self.outbox.len();
            let plain_len = waiting_len.min(RECORD_PLAIN_LEN_MAX).min(room.saturating_sub(RECORD_OVERHEAD_LEN));
            if plain_len == 0 || (plain_len < waiting_len && plain_len < RECORD_PLAIN_LEN_MIN) {
                return Ok(());
            }
            if front.len() >= plain_len {
                seal_into(channel, &mut self.socket, &front[..plain_len], scratch)?;
            } else {
                let (gathered, sealed) = scratch.split_at_mut(RECORD_PLAIN_LEN_MAX);
                self.outbox.gather(&mut gathered[..plain_len]);
                seal_into(channel, &mut self.socket, &gathered[..plain_len], sealed)?;
            }
            self.outbox.advance(plain_len, &mut left);
        }
        Ok(())
    }
}

/// Seals straight into the send buffer; by way of `scratch` where the buffer wraps.
fn seal_into(channel: &mut Channel, socket: &mut Socket, plain: &[u8], scratch: &mut [u8]) -> Result<(), Drop> {
    let wanted = plain.len() + RECORD_OVERHEAD_LEN;
    let in_place = socket.send_in_place(|free| {
        if free.len() < wanted {
            return (0, None);
        }
        match channel.seal(plain, &mut free[..wanted]) {
            Ok(len) => (len, Some(Ok(()))),
            Err(error) => (0, Some(Err(error))),
        }
    });
    match in_place {
        Some(Some(result)) => result,
        Some(None) => {
            let len = channel.seal(plain, &mut scratch[..wanted])?;
            // The caller saw that the room is there, on both sides of the wrap together.
            if socket.send(&scratch[..len]) == len { Ok(()) } else { Err(Drop::Record) }
        }
        None => Err(Drop::Record),
    }
}
