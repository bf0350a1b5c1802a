//! Sessions that this side opens: how many at once, from which port, and when again.

use std::collections::VecDeque;
use std::net::SocketAddr;

use hpb_base::limits::{BURST_LEN_MAX, SESSIONS_MAX};
use hpb_base::{Duration, Instant, Random};

use super::session::{Session, Start};
use super::{CloseReason, Event, Lane, LaneConfig, body_len_max, mark};
use crate::card::{Call, SessionId};
use crate::segment::FlowKey;
use crate::wheel::Wheel;

/// Tells a call's timer from a session's in the wheel.
const TIMER_BIT: u32 = 1 << 31;
const PORT_FIRST: u16 = 1_024;
/// Local ports to choose from.
const PORTS: u32 = u16::MAX as u32 - PORT_FIRST as u32 + 1;
/// Local ports tried in one turn, for all calls together: a whole search is of many turns, none of them long.
const PORTS_TRIED_MAX: u32 = 1_024;

pub(super) fn is_timer(index: u32) -> bool {
    index & TIMER_BIT != 0
}

/// All calls, those that wait, and how many are under way.
#[derive(Default)]
pub(super) struct Calls {
    known: Vec<Option<Known>>,
    free: Vec<u32>,
    waiting: VecDeque<u32>,
    under_way: usize,
    port_next: u16,
    /// Local ports that the call at the front of the queue has tried in vain: it alone searches until it is done.
    ports_tried: u32,
}

struct Known {
    call: Call,
    failures: u32,
}

/// What a search for a local port came to.
enum Search {
    Found(FlowKey),
    /// None of all is free.
    Vain,
    /// The turn's tries are spent; it goes on in the next one.
    Unfinished,
}

impl Calls {
    pub(super) fn may_dial(&self, calling_max: usize) -> bool {
        !self.waiting.is_empty() && self.under_way < calling_max
    }

    /// Calls known, those of them that wait to be made, and sessions of calls that are not open yet.
    pub(super) fn held(&self) -> (usize, usize, usize) {
        (self.known.len() - self.free.len(), self.waiting.len(), self.under_way)
    }

    /// Forgets all calls: none is made or made again. Sessions of some may still be there.
    pub(super) fn give_up(&mut self) {
        self.known.clear();
        self.free.clear();
        self.waiting.clear();
        self.ports_tried = 0;
    }

    /// A call came to an end, good or bad: another may start.
    pub(super) fn settled(&mut self) {
        self.under_way -= 1;
    }

    pub(super) fn ring(&mut self, index: u32) {
        self.waiting.push_back(index & !TIMER_BIT);
    }

    pub(super) fn established(&mut self, index: u32) {
        if let Some(Some(known)) = self.known.get_mut(index as usize) {
            known.failures = 0;
        }
    }

    /// Its session is gone: a kept call is made again after a while, doubled each time, with jitter of a quarter.
    pub(super) fn lost(
        &mut self,
        index: u32,
        config: &LaneConfig,
        random: &mut Random,
        wheel: &mut Wheel,
        now: Instant,
        was_open: bool,
    ) {
        let Some(Some(known)) = self.known.get_mut(index as usize) else { return };
        if !known.call.keep {
            self.known[index as usize] = None;
            self.free.push(index);
            return;
        }
        known.failures = if was_open { 1 } else { known.failures.saturating_add(1) };
        let doubled = config.reconnect_min.saturating_mul(1 << known.failures.saturating_sub(1).min(20));
        let wait = doubled.min(config.reconnect_max);
        let jitter = Duration::from_nanos(random.below((wait.as_nanos() / 4).max(1)));
        wheel.arm(index | TIMER_BIT, (now + wait + jitter).as_millis());
    }

    /// The next port to try, round the whole range.
    fn port(&mut self) -> u16 {
        self.port_next = if self.port_next < PORT_FIRST { PORT_FIRST } else { self.port_next };
        let port = self.port_next;
        self.port_next = self.port_next.checked_add(1).unwrap_or(PORT_FIRST);
        port
    }
}

impl Lane {
    /// Notes a call; it is made as soon as few enough are under way.
    pub(super) fn call(&mut self, call: Call) {
        let is_full = self.calls.known.len() - self.calls.free.len() >= SESSIONS_MAX;
        if is_full || self.is_leaving() {
            let session = SessionId { index: u32::MAX, generation: 0 };
            let (tag, reason) = (call.tag, if is_full { CloseReason::NoRoom } else { CloseReason::Local });
            self.events.push(Event::Closed { session, tag, reason, was_open: false });
            return;
        }
        let calls = &mut self.calls;
        let known = Some(Known { call, failures: 0 });
        let index = if let Some(index) = calls.free.pop() {
            calls.known[index as usize] = known;
            index
        } else {
            calls.known.push(known);
            (calls.known.len() - 1) as u32
        };
        calls.waiting.push_back(index);
    }

    /// Makes the calls that wait, while few enough are under way; as many in one turn as a burst takes.
    pub(super) fn dial(&mut self, now: Instant) -> bool {
        let mut dialled = false;
        let mut tries = PORTS_TRIED_MAX;
        for _ in 0..BURST_LEN_MAX {
            if !self.calls.may_dial(self.config.calling_max) {
                break;
            }
            let Some(index) = self.calls.waiting.pop_front() else { break };
            let Some(Some(known)) = self.calls.known.get(index as usize) else { continue };
            let (call, failures) = (known.call.clone(), known.failures);
            let is_under_way = match self.free_flow(now, &call, &mut tries) {
                Search::Found(flow) => self.connect(now, index, &call, flow),
                Search::Vain => false,
                Search::Unfinished => {
                    self.calls.waiting.push_front(index);
                    break;
                }
            };
            dialled = true;
            if failures > 0 {
                self.counters.reconnects += 1;
            }
            if !is_under_way {
                let session = SessionId { index: u32::MAX, generation: 0 };
                let tag = call.tag;
                self.events.push(Event::Closed { session, tag, reason: CloseReason::NoRoom, was_open: false });
                self.calls.lost(index, &self.config, &mut self.random, &mut self.wheel, now, false);
            }
        }
        dialled
    }

    fn connect(&mut self, now: Instant, index: u32, call: &Call, flow: FlowKey) -> bool {
        let options = self.socket_options();
        let Some(socket) = self.stack.connect(call.class, &flow, &options) else { return false };
        let Some(id) = self.vacate() else { return false };
        let hash = self.flows.hash(&flow);
        self.calls.under_way += 1;
        self.flows.insert(hash, id.index);
        let start = Start {
            id,
            flow,
            hash,
            class: call.class,
            body_len_max: body_len_max(call.class),
            encrypted: call.responder.is_some(),
            call: Some((index, call.tag)),
            began_at: now,
            deadline_at: now + self.config.handshake_timeout,
            mss_local: self.mss_local(&flow),
        };
        let slot = &mut self.slots[id.index as usize];
        mark(&mut self.dirty, slot.session.insert(Session::new(start, socket)));
        true
    }

    /// The flow of a call; where the port is left to the card, the next one that serves. `tries` is what is left of this
    /// turn's.
    fn free_flow(&mut self, now: Instant, call: &Call, tries: &mut u32) -> Search {
        if call.local.port() != 0 {
            let flow = FlowKey::new(call.remote, call.local);
            return if self.serves(now, &flow) { Search::Found(flow) } else { Search::Vain };
        }
        while self.calls.ports_tried < PORTS {
            if *tries == 0 {
                return Search::Unfinished;
            }
            *tries -= 1;
            self.calls.ports_tried += 1;
            let local = SocketAddr::new(call.local.ip(), self.calls.port());
            let flow = FlowKey::new(call.remote, local);
            if self.serves(now, &flow) {
                self.calls.ports_tried = 0;
                return Search::Found(flow);
            }
        }
        self.calls.ports_tried = 0;
        Search::Vain
    }

    /// Whether a call may have these two ends: no session of this lane uses them or has just left them, and their frames
    /// come to this lane.
    fn serves(&self, now: Instant, flow: &FlowKey) -> bool {
        self.is_reached_by(flow) && !self.is_taken(flow) && !self.guard.time_wait.holds(now, flow)
    }

    fn is_taken(&self, flow: &FlowKey) -> bool {
        let is_it =
            |index: u32| self.slots[index as usize].session.as_ref().is_some_and(|session| session.flow == *flow);
        self.flows.find(self.flows.hash(flow), is_it).is_some()
    }

    /// What a call's handshake needs: who calls, and who must answer.
    pub(super) fn call_of(&self, index: u32) -> Option<&Call> {
        self.calls.known.get(index as usize)?.as_ref().map(|known| &known.call)
    }
}
