//! The programs behind the cards: what they send, what they do with what comes, and what is counted of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hpb_base::{Duration, Instant};
use hpb_toe::framing::framed;
use hpb_toe::{Command, Event, Group, Lane, Priority, SessionId};

use super::end::Carried;
use super::messages::{Beyond, Messages};
use super::world::World;
use crate::hops::{Span, Spans};
use crate::load::Due;
use crate::measure::Recorder;
use crate::scenario::{Arrivals, Load, Pattern};

/// What a measured message is.
const KIND: u8 = 1;
/// What a message is that fills the lanes of those who read nothing.
const KIND_FILL: u8 = 2;
/// Messages that wait for their session to open, a session; more never leave.
const WAITING_MAX: usize = 1_024;
/// How soon a session is called again that ended by itself.
const REDIAL: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Traffic {
    load: Load,
    /// Sessions that read; the others come after them.
    reading: u32,
    pub(super) recorder: Recorder,
    pub(super) beyond: Option<Beyond>,
    /// What came to the sessions of each end whose stages are stamped: the server's, then each card's.
    pub(super) spans: Vec<Spans>,
    /// When the last message is meant to leave: closed loops end there.
    end: Instant,
    sessions: Vec<Session>,
    messages: Messages,
    /// Sessions that are called again, by when.
    redials: BTreeSet<(Instant, u32)>,
    /// The server's sessions with those who read nothing.
    pub(super) slow: Vec<SessionId>,
    /// Sessions open at the clients now.
    pub(super) opened: u32,
    request: Vec<u8>,
    reply: Vec<u8>,
    /// Sessions whose closed loop goes on in this turn.
    again: Vec<u32>,
    /// Sessions that are open and meant to be closed and called again since then.
    reopens: Vec<(u32, Instant)>,
}

/// A client's end of one session.
#[derive(Clone, Debug, Default)]
struct Session {
    open: Option<SessionId>,
    /// Since when it was meant to be open, if that is measured; and when it was called.
    calling: Option<(Instant, Instant)>,
    /// What waits until it is open: numbers of messages, and when they were meant to leave; calls have no number.
    waiting: VecDeque<(u64, Instant)>,
    in_flight: u32,
    /// One past the last number that came over it.
    next_number: u64,
}

impl Traffic {
    pub(super) fn new(load: &Load, (sessions, reading): (u32, u32), notes: bool, cards: usize, at: Instant) -> Self {
        Self {
            load: load.clone(),
            reading,
            recorder: Recorder::new(at, Duration::from_nanos(1)),
            beyond: notes.then(Beyond::default),
            spans: vec![Spans::new(); 1 + cards],
            end: at,
            sessions: vec![Session::default(); sessions as usize],
            messages: Messages::default(),
            redials: BTreeSet::new(),
            slow: Vec::new(),
            opened: 0,
            request: vec![0; load.request_len as usize],
            reply: vec![0; load.reply_len as usize],
            again: Vec::new(),
            reopens: Vec::new(),
        }
    }

    /// From now on messages are measured that are meant to leave from `begin` on, for `measured`; closed loops start.
    pub(super) fn measure(&mut self, begin: Instant, measured: Duration, now: Instant, world: &mut World) {
        self.recorder = Recorder::new(begin, measured);
        self.end = begin + measured;
        if let Arrivals::Closed { .. } = self.load.arrivals {
            for session in 0..self.reading {
                self.start_loop(session, now, world);
            }
        }
    }

    /// Whether all came that is to come.
    pub(super) fn is_settled(&self) -> bool {
        self.recorder.counts.arrived >= self.recorder.counts.expected
    }

    /// When the next session is called again.
    pub(super) fn redial_at(&self) -> Option<Instant> {
        self.redials.first().map(|(at, _)| *at)
    }

    /// Calls again what is due.
    pub(super) fn redial(&mut self, now: Instant, world: &mut World) {
        while let Some((at, session)) = self.redials.first().copied()
            && at <= now
        {
            self.redials.pop_first();
            world.call(now, session);
        }
    }

    /// One arrival of the load: a message of one session, or a round of all.
    pub(super) fn fire(&mut self, due: Due, now: Instant, world: &mut World) {
        match self.load.pattern {
            Pattern::RequestReply | Pattern::OneWay => self.ask(due, now, world),
            Pattern::Incast => {
                for session in 0..self.reading {
                    self.ask(Due { session, ..due }, now, world);
                }
            }
            Pattern::FanOut => self.broadcast(due, now, world),
            Pattern::Reconnect => {
                self.recorder.counts.intended += u64::from(self.recorder.measures(due.at));
                self.recorder.expects(due.at, 1);
                self.reopen(due.session, Some(due.at), now, world);
            }
            Pattern::Confirm => {}
        }
    }

    /// Closes a session and calls it again; `intended` says since when it was meant to be open, if that is measured.
    pub(super) fn reopen(&mut self, session: u32, intended: Option<Instant>, now: Instant, world: &mut World) {
        let Some(own) = self.sessions.get_mut(session as usize) else { return };
        let Some(open) = own.open.take() else {
            // It is being opened: this call comes after that one.
            if let Some(intended) = intended.filter(|_| own.waiting.len() < WAITING_MAX) {
                own.waiting.push_back((0, intended));
            }
            return;
        };
        self.opened -= 1;
        own.in_flight = 0;
        own.calling = intended.map(|intended| (intended, now));
        if let Some(intended) = intended {
            self.recorder.counts.sent += u64::from(self.recorder.measures(intended));
        }
        let card = world.card_of(session);
        world.cards[card].command(now, Command::Close { session: open });
        world.call(now, session);
    }

    /// Fills the lanes of those who read nothing: `each` messages of one byte to every one of them.
    pub(super) fn fill_slow(&mut self, each: usize, now: Instant, world: &mut World) {
        for session in &self.slow {
            for _ in 0..each {
                // What finds no room need not be sent again: the lane is full then.
                let _ = world.server.lane.send(*session, Priority::Normal, KIND_FILL, &[0]);
            }
        }
        world.server.ring(now);
    }

    fn start_loop(&mut self, session: u32, now: Instant, world: &mut World) {
        let Arrivals::Closed { in_flight } = self.load.arrivals else { return };
        for _ in 0..in_flight {
            self.fire(Due { at: now, session }, now, world);
        }
    }

    /// A message of one session to the server.
    fn ask(&mut self, due: Due, now: Instant, world: &mut World) {
        let number = self.messages.add(due.session, due.at);
        self.recorder.counts.intended += u64::from(self.recorder.measures(due.at));
        self.recorder.expects(due.at, 1);
        let Some(session) = self.sessions.get_mut(due.session as usize) else { return };
        session.in_flight += 1;
        if session.open.is_some() && session.waiting.is_empty() {
            let card = world.card_of(due.session);
            self.send(number, due.at, now, &mut world.cards[card].lane);
            world.cards[card].ring(now);
        } else if session.waiting.len() < WAITING_MAX {
            session.waiting.push_back((number, due.at));
        }
    }

    /// Gives a message to its session's card.
    fn send(&mut self, number: u64, intended: Instant, now: Instant, lane: &mut Lane) {
        let Some(known) = self.messages.get(number) else { return };
        let Some(open) = self.sessions.get(known.session as usize).and_then(|session| session.open) else { return };
        known.sent = now;
        stamp(&mut self.request, number, intended);
        if lane.send(open, Priority::Normal, KIND, &self.request).is_ok() {
            self.recorder.counts.sent += u64::from(self.recorder.measures(intended));
        }
    }

    /// A message of the server to all.
    fn broadcast(&mut self, due: Due, now: Instant, world: &mut World) {
        let number = self.messages.add(0, due.at);
        if let Some(known) = self.messages.get(number) {
            known.sent = now;
        }
        let measured = u64::from(self.recorder.measures(due.at));
        self.recorder.counts.intended += measured;
        self.recorder.counts.sent += measured;
        self.recorder.expects(due.at, u64::from(self.reading));
        stamp(&mut self.request, number, due.at);
        let message: Arc<[u8]> = framed(KIND, &self.request).into();
        world.server.command(now, Command::Broadcast { group: Group::Terminals, priority: Priority::Normal, message });
    }

    /// What the server's card tells.
    pub(super) fn at_server(
        &mut self,
        lane: &mut Lane,
        now: Instant,
        event: Event<'_>,
        carried: Option<Carried>,
        is_slow: impl Fn(std::net::IpAddr) -> bool,
    ) {
        match event {
            Event::Opened { session, remote, .. } => {
                if self.load.pattern == Pattern::FanOut {
                    lane.handle(now, Command::Join { session, group: Some(Group::Terminals) });
                }
                if is_slow(remote.ip()) {
                    self.slow.push(session);
                }
            }
            Event::Message { session, kind: KIND, body, .. } => {
                let Some((number, intended)) = stamped(body) else { return };
                if self.load.pattern != Pattern::RequestReply {
                    self.span(0, lane, session, intended, now);
                    return self.arrived(number, intended, now, carried, intended);
                }
                self.note(intended, intended, now, carried);
                if let Some(known) = self.messages.get(number) {
                    known.answered = now;
                }
                stamp(&mut self.reply, number, intended);
                // A session that is gone takes no answer, and none is missed but by its client.
                let _ = lane.send(session, Priority::Normal, KIND, &self.reply);
            }
            Event::Message { .. } | Event::Closed { .. } => {}
        }
    }

    /// What a client's card tells: the one of that place.
    pub(super) fn at_client(
        &mut self,
        card: usize,
        lane: &mut Lane,
        now: Instant,
        event: Event<'_>,
        carried: Option<Carried>,
    ) {
        match event {
            Event::Opened { session, tag, .. } => self.opened(tag as u32, session, now, lane),
            Event::Message { session, tag, kind: KIND, body } => {
                let Some((number, intended)) = stamped(body) else { return };
                self.span(1 + card, lane, session, intended, now);
                if self.load.pattern == Pattern::FanOut {
                    return self.heard(tag as u32, number, intended, now, carried);
                }
                let answered = self.messages.get(number).map_or(intended, |known| known.answered);
                self.arrived(number, intended, now, carried, answered);
                let Some(session) = self.sessions.get_mut(tag as usize) else { return };
                session.in_flight = session.in_flight.saturating_sub(1);
                if matches!(self.load.arrivals, Arrivals::Closed { .. }) && now < self.end {
                    self.again.push(tag as u32);
                }
            }
            Event::Message { .. } => {}
            Event::Closed { session, tag, was_open, .. } => self.closed(tag as u32, session, was_open, now),
        }
    }

    /// Goes on with closed loops whose answers came in this turn, and with calls that waited for an open session.
    pub(super) fn go_on(&mut self, now: Instant, world: &mut World) {
        for (session, intended) in std::mem::take(&mut self.reopens) {
            self.reopen(session, Some(intended), now, world);
        }
        let mut again = std::mem::take(&mut self.again);
        for session in again.drain(..) {
            self.fire(Due { at: now, session }, now, world);
        }
        self.again = again;
    }

    /// Whether [`go_on`](Self::go_on) has something to do.
    pub(super) fn goes_on(&self) -> bool {
        !self.again.is_empty() || !self.reopens.is_empty()
    }

    fn opened(&mut self, index: u32, id: SessionId, now: Instant, lane: &mut Lane) {
        let Some(session) = self.sessions.get_mut(index as usize) else { return };
        session.open = Some(id);
        self.opened += 1;
        let is_loop = matches!(self.load.arrivals, Arrivals::Closed { .. });
        if let Some((intended, called)) = session.calling.take() {
            self.recorder.arrived(intended, called, now);
            if is_loop && now < self.end {
                self.again.push(index);
            }
        } else if is_loop && now < self.end && self.load.pattern == Pattern::RequestReply && session.in_flight == 0 {
            // It was lost or closed, and its loop with it.
            self.again.push(index);
        }
        while let Some((number, intended)) = self.sessions[index as usize].waiting.pop_front() {
            if self.load.pattern == Pattern::Reconnect {
                self.reopens.push((index, intended));
                break;
            }
            self.send(number, intended, now, lane);
        }
    }

    fn closed(&mut self, index: u32, id: SessionId, was_open: bool, now: Instant) {
        let Some(session) = self.sessions.get_mut(index as usize) else { return };
        if was_open && session.open != Some(id) {
            // One that was closed on purpose.
            return;
        }
        if was_open {
            session.open = None;
            session.in_flight = 0;
            self.opened -= 1;
            self.recorder.counts.sessions_lost += u64::from(self.recorder.measures(now));
        }
        self.redials.insert((now + REDIAL, index));
    }

    /// A message came to its only receiver; `from` is when it last left a program.
    fn arrived(&mut self, number: u64, intended: Instant, now: Instant, carried: Option<Carried>, from: Instant) {
        let measured = self.recorder.measures(intended);
        let Some(known) = self.messages.get(number).filter(|known| !known.arrived) else {
            self.recorder.counts.duplicated += u64::from(measured);
            return;
        };
        known.arrived = true;
        let (sent, index) = (known.sent, known.session);
        self.in_order(index, number, measured);
        self.recorder.arrived(intended, sent, now);
        self.note(intended, from, now, carried);
    }

    /// A broadcast came to one of its receivers.
    fn heard(&mut self, index: u32, number: u64, intended: Instant, now: Instant, carried: Option<Carried>) {
        let measured = self.recorder.measures(intended);
        if self.sessions.get(index as usize).is_some_and(|session| session.next_number == number + 1) {
            self.recorder.counts.duplicated += u64::from(measured);
            return;
        }
        let sent = self.messages.get(number).map_or(intended, |known| known.sent);
        self.in_order(index, number, measured);
        self.recorder.arrived(intended, sent, now);
        self.note(intended, intended, now, carried);
    }

    fn in_order(&mut self, index: u32, number: u64, measured: bool) {
        let Some(session) = self.sessions.get_mut(index as usize) else { return };
        self.recorder.counts.out_of_order += u64::from(measured && number < session.next_number);
        session.next_number = session.next_number.max(number + 1);
    }

    /// A message of a stamped session was heard, its last hop over.
    fn span(&mut self, end: usize, lane: &mut Lane, session: SessionId, intended: Instant, now: Instant) {
        if lane.stamps().is_some_and(|stamps| stamps.watches(session))
            && let Some(spans) = self.spans.get_mut(end)
        {
            let span = Span { intended, arrived: now };
            spans.entry(session).or_default().push(Some(span).filter(|_| self.recorder.measures(intended)));
        }
    }

    fn note(&mut self, intended: Instant, from: Instant, now: Instant, carried: Option<Carried>) {
        if let (Some(beyond), Some(carried)) = (&mut self.beyond, carried)
            && self.recorder.measures(intended)
        {
            beyond.take(from, now, carried);
        }
    }
}

fn stamp(body: &mut [u8], number: u64, intended: Instant) {
    if let Some(head) = body.first_chunk_mut::<16>() {
        head[..8].copy_from_slice(&number.to_le_bytes());
        head[8..].copy_from_slice(&intended.as_nanos().to_le_bytes());
    }
}

fn stamped(body: &[u8]) -> Option<(u64, Instant)> {
    let (number, rest) = body.split_first_chunk::<8>()?;
    let intended = rest.first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), Instant::from_nanos(u64::from_le_bytes(*intended))))
}
