//! One core's share of the card: frames, flow table, sessions, timers. The machine.
//!
//! `handle` takes commands, `poll` does a bounded turn of work over one burst each way, events are reaped as a batch,
//! handshake jobs leave and come back. A turn takes at most [`BURST_LEN_MAX`] frames, serves as many sessions of a
//! broadcast, and sends as many frames: the lane is never held long.

mod admit;
mod broadcast;
mod calls;
mod capture;
mod edge;
mod egress;
mod holdings;
mod ingress;
mod leave;
mod notable;
mod notices;
mod part;
mod session;
mod shake;
mod stamping;
mod strays;
mod table;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use hpb_base::limits::{
    BURST_LEN_MAX, HALF_OPEN_BYTES_MAX, HALF_OPEN_MAX, LANE_EVENT_BYTES_MAX, LANE_EVENTS_MAX, MESSAGE_LEN_MAX,
    SESSIONS_MAX, TERMINAL_MESSAGE_LEN_MAX,
};
use hpb_base::{Duration, Instant, Random};
use hpb_net::frame::{Bursts, Frame};
use hpb_net::port::Capabilities;
use hpb_types::message::diagnose::EventKind;

use crate::card::{CloseReason, Command, Event, EventBatch, SessionId};
use crate::class::{Class, Priority};
use crate::engine::{SocketOptions, Stack, TcpState};
use crate::flow::FlowTable;
use crate::framing::MESSAGE_HEADER_LEN;
use crate::guard::{Guard, GuardConfig};
use crate::neighbor::{Neighbor, NeighborConfig, NeighborCounters, NeighborError};
use crate::outbox::Queued;
use crate::registers::{Register, Registers};
use crate::secure::{CryptoJob, Identity, RECORD_OVERHEAD_LEN, RECORD_PLAIN_LEN_MAX};
use crate::segment::{FlowKey, Spoken};
use crate::service::Service;
use crate::stats::LaneCounters;
use crate::wheel::Wheel;
use broadcast::Broadcasts;
use calls::Calls;
pub use capture::CaptureFor;
use capture::Capturing;
pub use holdings::Holdings;
use leave::Leaving;
use notable::{Detail, Notables};
use session::{HalfOpen, Phase, Session, WayOut};
use stamping::Stamping;
use strays::Strays;
pub use strays::{Sharing, Stray};

/// Addresses of one lane (smoltcp's own bound).
pub const ADDRESSES_MAX: usize = 2;

/// How a lane is set up.
#[derive(Clone)]
pub struct LaneConfig {
    /// Its addresses with their prefix lengths; at most [`ADDRESSES_MAX`], one that is leased included.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Where packets for other networks go, on a port that speaks Ethernet; at most one a family.
    pub gateways: Vec<IpAddr>,
    /// Whether to lease an IPv4 address by DHCP.
    pub dhcp: bool,
    /// The VLAN that its frames are tagged with.
    pub vlan: Option<u16>,
    /// Who it is; `None` for a card whose sessions are all without encryption.
    pub identity: Option<Arc<Identity>>,
    /// Keys flow hash, sequence numbers and handshake randomness. From the operating system on a live node.
    pub secret: [u8; 32],
    /// Sessions it holds at most.
    pub sessions_max: usize,
    /// Sessions that others call and that may be half open: so many whose SYN|ACK is not acknowledged (beyond it, and
    /// beyond [`HALF_OPEN_BYTES_MAX`], SYNs are answered by cookies), and so many whose handshake is under way.
    pub half_open_max: usize,
    /// Calls of its own that may be under way at once; others wait.
    pub calling_max: usize,
    /// A handshake that takes longer is given up.
    pub handshake_timeout: Duration,
    /// An idle session is probed this often.
    pub keep_alive: Option<Duration>,
    /// A peer that leaves data or probes unanswered this long is gone.
    pub peer_timeout: Option<Duration>,
    /// An open session that brings no data this long is ended; `None` keeps it as long as its peer answers.
    pub idle_timeout: Option<Duration>,
    /// How long an ACK may wait for data to ride on.
    pub ack_delay: Option<Duration>,
    /// The first wait before a reconnect; doubles up to `reconnect_max`.
    pub reconnect_min: Duration,
    /// The longest wait before a reconnect.
    pub reconnect_max: Duration,
    /// How strangers are met.
    pub guard: GuardConfig,
    /// Which of several lanes of one card this is, all of them with the same `secret`; `None` for a card of one lane.
    pub sharing: Option<Sharing>,
}

impl LaneConfig {
    /// The usual settings for `addresses`.
    pub fn new(addresses: Vec<(IpAddr, u8)>, identity: Option<Arc<Identity>>, secret: [u8; 32]) -> Self {
        Self {
            addresses,
            gateways: Vec::new(),
            dhcp: false,
            vlan: None,
            identity,
            secret,
            sessions_max: 65_536,
            half_open_max: HALF_OPEN_MAX,
            calling_max: 512,
            handshake_timeout: Duration::from_secs(10),
            keep_alive: Some(Duration::from_secs(15)),
            peer_timeout: Some(Duration::from_secs(45)),
            idle_timeout: None,
            ack_delay: Some(Duration::from_millis(10)),
            reconnect_min: Duration::from_millis(250),
            reconnect_max: Duration::from_secs(30),
            guard: GuardConfig::default(),
            sharing: None,
        }
    }
}

/// Why a lane cannot be set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LaneError {
    /// No address, or too many.
    #[error("a lane has 1 to {ADDRESSES_MAX} addresses, not {0}")]
    Addresses(usize),
    /// A link layer outside its limits.
    #[error(transparent)]
    Link(#[from] NeighborError),
    /// More sessions than the card's bound.
    #[error("a lane holds at most {SESSIONS_MAX} sessions, not {0}")]
    Sessions(usize),
    /// A lane that its card's steering does not reach.
    #[error("the steering does not share flows among the card's lanes by their ports, or this lane is not one of them")]
    Sharing,
}

/// Why a message was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SendError {
    /// The session is gone or not open.
    #[error("the session is not open")]
    NotOpen,
    /// The message is longer than the rules allow.
    #[error("the message is too long")]
    TooLong,
    /// The peer is slow: the message was shed.
    #[error("the peer is slow: the message was shed")]
    Shed,
    /// The peer is so slow that the session was ended.
    #[error("the peer is too slow: the session was ended")]
    Ended,
}

struct Slot {
    generation: u32,
    session: Option<Session>,
}

#[derive(Clone)]
struct Listener {
    port: u16,
    class: Class,
    encrypted: bool,
    service: Option<Service>,
}

/// Buffers that every session uses in turn.
struct Scratch {
    /// A record's plaintext beside its ciphertext, on the way out.
    out: Vec<u8>,
    /// A record on the way in.
    record: Vec<u8>,
    /// A message being framed.
    message: Vec<u8>,
}

/// One lane. See the module.
pub struct Lane {
    config: LaneConfig,
    capabilities: Capabilities,
    neighbor: Neighbor,
    /// Frames at the front of the send burst that have their link header.
    linked: usize,
    stack: Stack,
    slots: Vec<Slot>,
    free: Vec<u32>,
    flows: FlowTable,
    wheel: Wheel,
    dirty: VecDeque<u32>,
    unread: Vec<u32>,
    listeners: Vec<Listener>,
    /// Sessions others opened whose SYN|ACK is not acknowledged.
    answering: usize,
    /// Bytes of their buffers.
    answering_len: usize,
    /// Sessions others opened whose handshake is under way.
    shaking_in: usize,
    guard: Guard,
    calls: Calls,
    broadcasts: Broadcasts,
    shaking: shake::Queue,
    registers: Registers,
    counters: LaneCounters,
    events: EventBatch,
    scratch: Scratch,
    burst: Vec<ingress::Seen>,
    looped: VecDeque<Frame>,
    strays: Strays,
    stamping: Stamping,
    notables: Notables,
    capturing: Capturing,
    /// The first place whose session was not held against the latest ban; `None` if all were.
    unswept: Option<usize>,
    /// How far it is with its end; `None` before that.
    leaving: Option<Leaving>,
    random: Random,
    handshake_serial: u64,
    cell_at: Instant,
    now: Instant,
}

impl Lane {
    /// A lane over a port with `capabilities`, at rest.
    ///
    /// # Errors
    /// A set-up outside the limits.
    pub fn new(mut config: LaneConfig, capabilities: Capabilities, now: Instant) -> Result<Self, LaneError> {
        let addresses = config.addresses.len() + usize::from(config.dhcp);
        if !(1..=ADDRESSES_MAX).contains(&addresses) {
            return Err(LaneError::Addresses(addresses));
        }
        if config.sessions_max > SESSIONS_MAX {
            return Err(LaneError::Sessions(config.sessions_max));
        }
        let (lane, lanes) = config.sharing.as_ref().map_or((0, 1), |sharing| (sharing.lane, sharing.lanes));
        if config.sharing.as_ref().is_some_and(|sharing| !sharing.is_possible()) {
            return Err(LaneError::Sharing);
        }
        if lane > 0 {
            // No two lanes may draw the same handshake keys.
            config.secret = *blake3::keyed_hash(&config.secret, &(lane as u64).to_le_bytes()).as_bytes();
        }
        let key = |purpose: &str| {
            let key = blake3::derive_key(purpose, &config.secret);
            let word = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&key[at..at + 8]);
                u64::from_le_bytes(bytes)
            };
            [word(0), word(8)]
        };
        let link = NeighborConfig {
            medium: capabilities.medium,
            hardware: capabilities.hardware,
            vlan: config.vlan,
            twin: capabilities.twin,
            addresses: config.addresses.clone(),
            gateways: config.gateways.clone(),
            dhcp: config.dhcp,
            mtu: capabilities.mtu,
            lane,
            lanes,
            secret: key("hpb lane neighbours")[0],
        };
        Ok(Self {
            neighbor: Neighbor::new(link, now)?,
            linked: 0,
            stack: Stack::new(&config.addresses, capabilities.mtu),
            slots: Vec::with_capacity(config.sessions_max),
            free: Vec::new(),
            flows: FlowTable::new(config.sessions_max, key("hpb lane flow hash")),
            wheel: Wheel::new(now.as_millis()),
            dirty: VecDeque::new(),
            unread: Vec::new(),
            listeners: Vec::new(),
            answering: 0,
            answering_len: 0,
            shaking_in: 0,
            guard: Guard::new(config.guard, &config.secret, now),
            calls: Calls::default(),
            broadcasts: Broadcasts::default(),
            shaking: shake::Queue::default(),
            registers: Registers::default(),
            counters: LaneCounters::default(),
            events: EventBatch::default(),
            scratch: Scratch {
                out: vec![0; 2 * (RECORD_PLAIN_LEN_MAX + RECORD_OVERHEAD_LEN)],
                record: vec![0; RECORD_PLAIN_LEN_MAX + RECORD_OVERHEAD_LEN],
                message: vec![0; RECORD_PLAIN_LEN_MAX],
            },
            burst: Vec::with_capacity(BURST_LEN_MAX),
            looped: VecDeque::new(),
            strays: Strays::default(),
            stamping: Stamping::default(),
            notables: Notables::default(),
            capturing: Capturing::default(),
            unswept: None,
            leaving: None,
            random: Random::new(key("hpb lane choices")[0]),
            handshake_serial: 0,
            cell_at: now,
            now,
            config,
            capabilities,
        })
    }

    /// Takes one command.
    pub fn handle(&mut self, now: Instant, command: Command) {
        self.now = now;
        match command {
            Command::Listen { port, class, encrypted } => {
                self.listen(Listener { port, class, encrypted, service: None });
            }
            Command::Serve { port, service } => {
                self.listen(Listener { port, class: Class::Stream, encrypted: false, service: Some(service) });
            }
            Command::Open(call) => self.call(call),
            Command::Send { session, priority, message } => {
                // What became of it shows in the counters, and in an event if the session ended.
                let _ = self.send_shared(session, priority, &message);
            }
            Command::Broadcast { group, priority, message } => self.broadcast(group, priority, message),
            Command::Join { session, group } => self.join(session, group),
            Command::Close { session } => self.end(session.index, Some(session), CloseReason::Local),
            Command::Part { session, goodbye } => self.farewell(session, goodbye),
            Command::SetRegister { register, value } => {
                self.registers.set(register, value);
                self.note_register(register, value);
            }
        }
    }

    fn listen(&mut self, listener: Listener) {
        if self.is_leaving() {
            return;
        }
        self.listeners.retain(|other| other.port != listener.port);
        self.listeners.push(listener);
    }

    /// Does one bounded turn: takes `bursts.rx`, leaves frames in `bursts.tx`. Returns whether it did anything.
    pub fn poll(&mut self, now: Instant, bursts: &mut Bursts) -> bool {
        self.receive(now, bursts) | self.transmit(now, bursts)
    }

    /// The first half of a turn: timers and received frames. A driver that answers events between the two halves
    /// saves its peers a turn.
    pub fn receive(&mut self, now: Instant, bursts: &mut Bursts) -> bool {
        self.now = now;
        // Frames that are held back stay in the burst as they are, and what follows stays with the port.
        let is_held = self.registers.holds_back();
        if !is_held {
            self.join_frames(bursts);
        }
        self.capture_received(now, bursts, is_held);
        let mut busy = !bursts.rx.is_empty();
        if !is_held {
            self.neighbor.receive(now, bursts);
        }
        self.linked = bursts.tx.len();
        self.ring(now);
        if !is_held {
            self.unloop(bursts);
            let own = bursts.rx.len();
            self.join_packets(bursts);
            self.capture_joined(bursts, own);
            busy |= !bursts.rx.is_empty();
            self.take_burst(now, bursts);
        }
        self.take_notices(bursts);
        self.pass_on(bursts);
        self.reread(now) || busy
    }

    /// The second half of a turn: calls, broadcasts, and all that waits to be sent.
    pub fn transmit(&mut self, now: Instant, bursts: &mut Bursts) -> bool {
        self.now = now;
        let mut busy = self.sweep(now);
        busy |= self.part_some(now);
        busy |= self.dial(now);
        busy |= self.spread();
        busy |= self.flush(now, bursts);
        let linked = self.linked.min(bursts.tx.len());
        if self.registers.get(Register::Loop) != 0 {
            for mut frame in bursts.tx.drain(linked..) {
                // Its checksum may have been left to the port.
                frame.set_verified(true);
                self.looped.push_back(frame);
            }
        }
        self.neighbor.transmit(now, bursts, linked);
        self.capture_sent(now, bursts);
        self.pass_on(bursts);
        self.linked = bursts.tx.len();
        busy
    }

    /// Takes what the loop register turned round as if it had been received.
    fn unloop(&mut self, bursts: &mut Bursts) {
        while bursts.rx_room() > 0
            && let Some(frame) = self.looped.pop_front()
        {
            self.registers.acts(Register::Loop);
            bursts.rx.push(frame);
        }
    }

    /// When to [`poll`](Self::poll) again without a frame or a command; `None` if never.
    pub fn wake_at(&self) -> Option<Instant> {
        let at_once = !self.dirty.is_empty()
            || !self.looped.is_empty()
            || self.strays.wait()
            || (!self.unread.is_empty() && !self.is_stuffed())
            || self.broadcasts.is_under_way()
            || self.unswept.is_some()
            || self.is_parting()
            || self.calls.may_dial(self.config.calling_max);
        if at_once {
            return Some(self.now.max(self.cell_at));
        }
        let timer = self.wheel.next_ms().map(Instant::from_millis);
        [timer, self.neighbor.wake_at(), self.guard.time_wait.wake_at(), self.capturing.wake_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Swaps the events that gathered for an empty batch.
    pub fn take_events(&mut self, batch: &mut EventBatch) {
        batch.clear();
        std::mem::swap(&mut self.events, batch);
    }

    /// The next handshake step to run; on any thread, its result comes back by [`finish_job`](Self::finish_job).
    pub fn take_job(&mut self) -> Option<CryptoJob> {
        self.next_job()
    }

    /// Sends a message: framed here, straight into the session's send buffer if nothing waits before it.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn send(&mut self, id: SessionId, priority: Priority, kind: u8, body: &[u8]) -> Result<(), SendError> {
        let framed_len = MESSAGE_HEADER_LEN + body.len();
        if framed_len > RECORD_PLAIN_LEN_MAX {
            return self.send_shared(id, priority, &crate::framing::framed(kind, body).into());
        }
        let mut framed = std::mem::take(&mut self.scratch.message);
        framed[..MESSAGE_HEADER_LEN].copy_from_slice(&crate::framing::header(kind, body.len()));
        framed[MESSAGE_HEADER_LEN..framed_len].copy_from_slice(body);
        let result = self.offer(id, priority, &framed[..framed_len], None);
        self.scratch.message = framed;
        result
    }

    /// Sends a framed message that others may share.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn send_shared(&mut self, id: SessionId, priority: Priority, message: &Arc<[u8]>) -> Result<(), SendError> {
        self.offer(id, priority, message, Some(message))
    }

    fn offer(
        &mut self,
        id: SessionId,
        priority: Priority,
        framed: &[u8],
        shared: Option<&Arc<[u8]>>,
    ) -> Result<(), SendError> {
        match self.put(id, priority, framed, shared)? {
            Queued::Waits { .. } => Ok(()),
            Queued::Shed => Err(SendError::Shed),
            Queued::Overflow => {
                self.part_slow(id);
                Err(SendError::Ended)
            }
        }
    }

    /// Gives a session a framed message, and leaves it to the caller what follows if there is no room for it.
    fn put(
        &mut self,
        id: SessionId,
        priority: Priority,
        framed: &[u8],
        shared: Option<&Arc<[u8]>>,
    ) -> Result<Queued, SendError> {
        if framed.len() > MESSAGE_HEADER_LEN + MESSAGE_LEN_MAX {
            return Err(SendError::TooLong);
        }
        let session = live(&mut self.slots, id).filter(|session| session.is_open()).ok_or(SendError::NotOpen)?;
        self.counters.tx_messages += 1;
        let shed_before = session.counters.shed_messages;
        let taken_at = self.stamping.begin(session);
        let way_out = WayOut { scratch: &mut self.scratch.out, capturing: &mut self.capturing };
        let queued = session.offer(framed, priority, way_out, || shared.map_or_else(|| Arc::from(framed), Arc::clone));
        self.stamping.offered(taken_at, session, framed.len(), matches!(queued, Ok(Queued::Waits { shed: 0 })));
        self.counters.shed_messages += u64::from(session.counters.shed_messages - shed_before);
        mark(&mut self.dirty, session);
        queued.map_err(|reason| {
            self.end(id.index, Some(id), CloseReason::Broken(reason));
            SendError::Ended
        })
    }

    /// Reads a mode register, and how often it acted.
    pub fn register(&self, register: Register) -> (u32, u64) {
        (self.registers.get(register), self.registers.acted(register))
    }

    /// Its addresses, a leased one included.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.neighbor.addresses().map(|(address, _)| address)
    }

    /// What its link layer did so far.
    pub fn link_counters(&self) -> &NeighborCounters {
        self.neighbor.counters()
    }

    /// Neighbours on its link that it knows or asks for.
    pub fn neighbors(&self) -> usize {
        self.neighbor.neighbors()
    }

    /// What the lane did so far.
    pub fn counters(&self) -> &LaneCounters {
        &self.counters
    }

    /// Sessions in the table, half-open ones included.
    pub fn sessions(&self) -> usize {
        self.flows.len()
    }

    /// Sessions that others opened and that are not open yet: whose SYN|ACK is not acknowledged, and at their handshake.
    pub fn half_open(&self) -> (usize, usize) {
        (self.answering, self.shaking_in)
    }

    /// Closed sessions whose old duplicates are waited out, and those that are not swept yet.
    pub fn waiting_out(&self) -> usize {
        self.guard.time_wait.len()
    }

    /// Timers armed.
    pub fn timers(&self) -> usize {
        self.wheel.armed()
    }

    fn is_stuffed(&self) -> bool {
        self.events.len() >= LANE_EVENTS_MAX || self.events.bytes_len() >= LANE_EVENT_BYTES_MAX
    }

    /// The largest segment in bytes that this side takes of a flow (RFC 9293 section 3.7.1).
    fn mss_local(&self, flow: &FlowKey) -> u16 {
        let headers_len = if flow.local().is_ipv4() { 40 } else { 60 };
        self.capabilities.mtu.saturating_sub(headers_len).min(usize::from(u16::MAX)) as u16
    }

    fn socket_options(&self) -> SocketOptions {
        SocketOptions {
            keep_alive: self.config.keep_alive,
            timeout: self.config.peer_timeout,
            ack_delay: self.config.ack_delay,
        }
    }

    /// A free place, or `None` when the table is full.
    fn vacate(&mut self) -> Option<SessionId> {
        if let Some(index) = self.free.pop() {
            let generation = self.slots[index as usize].generation;
            return Some(SessionId { index, generation });
        }
        if self.slots.len() >= self.config.sessions_max {
            return None;
        }
        self.slots.push(Slot { generation: 0, session: None });
        Some(SessionId { index: (self.slots.len() - 1) as u32, generation: 0 })
    }

    /// Starts the end of a session: what waits is sent first unless a rule was broken or the peer is gone.
    fn end(&mut self, index: u32, id: Option<SessionId>, reason: CloseReason) {
        let Some(session) = self.slots.get_mut(index as usize).and_then(|slot| slot.session.as_mut()) else { return };
        if id.is_some_and(|id| id != session.id) || matches!(session.phase, Phase::Ending(_)) {
            return;
        }
        let gently =
            matches!(reason, CloseReason::Local | CloseReason::Idle | CloseReason::Parted(_)) && session.is_open();
        session.phase = Phase::Ending(reason);
        if !gently && session.socket.state() != TcpState::Opening {
            session.socket.abort();
        }
        mark(&mut self.dirty, session);
    }

    /// Takes a session out of every table and tells the host.
    fn remove(&mut self, index: u32, reason: CloseReason) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let Some(session) = slot.session.take() else { return };
        self.capturing.leave(&session);
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        self.flows.remove(session.hash, index);
        self.broadcasts.leave(&session, &mut self.slots);
        if session.call.is_some() && !session.was_open {
            self.calls.settled();
        }
        self.count_half_open(session.class, session.half_open, HalfOpen::No);
        if session.call.is_none() {
            self.guard.sources.remove(session.flow.remote().ip());
        }
        if session.socket.state() == TcpState::TimeWait {
            let Spoken { flow, seq, ack, .. } = session.standing();
            self.guard.time_wait.insert(self.now, flow, seq, ack);
        }
        if let Some(call) = session.call {
            self.calls.lost(call, &self.config, &mut self.random, &mut self.wheel, self.now, session.was_open);
        }
        self.counters.closed += 1;
        if session.was_open || session.half_open != HalfOpen::Answering {
            let kind = if session.was_open { EventKind::Closed } else { EventKind::Failed };
            self.note_session(kind, &session, Detail::Closed(reason));
        }
        let (id, tag, was_open) = (session.id, session.tag, session.was_open);
        self.events.push(Event::Closed { session: id, tag, reason, was_open });
    }

    /// A session that others opened went from one way of being half open to another.
    fn count_half_open(&mut self, class: Class, from: HalfOpen, to: HalfOpen) {
        for (state, by) in [(from, -1), (to, 1)] {
            match state {
                HalfOpen::No => {}
                HalfOpen::Answering => {
                    self.answering = self.answering.saturating_add_signed(by);
                    let len = class.buffers_len().cast_signed();
                    self.answering_len = self.answering_len.saturating_add_signed(by * len);
                }
                HalfOpen::Shaking => self.shaking_in = self.shaking_in.saturating_add_signed(by),
            }
        }
    }

    /// Whether one more session of `class` may wait for its SYN|ACK to be acknowledged. A stranger's SYN costs a session
    /// with its buffers, so that both are bounded.
    fn may_answer(&self, class: Class) -> bool {
        self.answering < self.config.half_open_max && self.answering_len + class.buffers_len() <= HALF_OPEN_BYTES_MAX
    }

    /// Turns the wheel: whoever's timer rang gets looked at. Closed sessions that were waited out are swept.
    fn ring(&mut self, now: Instant) {
        let (slots, dirty, calls) = (&mut self.slots, &mut self.dirty, &mut self.calls);
        let now_ms = now.as_millis();
        self.guard.time_wait.expire(now);
        self.wheel.turn(now_ms, |index| {
            if calls::is_timer(index) {
                calls.ring(index);
            } else if let Some(session) = slots.get_mut(index as usize).and_then(|slot| slot.session.as_mut()) {
                while session.armed_ms[0] <= now_ms {
                    session.armed_ms = [session.armed_ms[1], u64::MAX];
                }
                mark(dirty, session);
            }
        });
    }
}

fn live(slots: &mut [Slot], id: SessionId) -> Option<&mut Session> {
    slots.get_mut(id.index as usize)?.session.as_mut().filter(|session| session.id == id)
}

/// Notes that a session has something to send or to settle.
fn mark(dirty: &mut VecDeque<u32>, session: &mut Session) {
    if !session.dirty {
        session.dirty = true;
        dirty.push_back(session.id.index);
    }
}

fn body_len_max(class: Class) -> u32 {
    match class {
        Class::Validator | Class::Uplink => MESSAGE_LEN_MAX as u32,
        Class::Terminal | Class::Stream => TERMINAL_MESSAGE_LEN_MAX as u32,
    }
}
