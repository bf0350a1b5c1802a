//! The session table for whoever looks: a page of it a turn, so that a lane is never held, whatever the table's size and
//! however few of its rows are wanted.

use hpb_base::Instant;
use hpb_base::limits::SESSION_ROWS_MAX;
use hpb_types::message::diagnose::{
    self as told, Endpoint, PeerKey, SessionClass, SessionFilter, SessionName, SessionState, SessionsAsked,
    SessionsPage,
};

use super::session::{Phase, Session};
use super::{Lane, Slot};
use crate::card::SessionRow;
use crate::class::Class;
use crate::engine::TcpState;
use crate::segment;

/// Places that are looked at for one page: about 20 µs where each has a session and none is wanted.
const PLACES_PER_PAGE: usize = 2_048;

impl Lane {
    /// The session table from place `from` on, at most `most` rows: reading it in pieces never holds the lane long.
    /// Returns the rows and where to go on; `None` at the end.
    pub fn table(&self, from: u32, most: usize) -> (Vec<SessionRow>, Option<u32>) {
        let mut rows = Vec::new();
        for (index, slot) in self.slots.iter().enumerate().skip(from as usize) {
            if rows.len() == most {
                return (rows, Some(index as u32));
            }
            rows.extend(slot.session.as_ref().map(row));
        }
        (rows, None)
    }

    /// A page of the session table, as it is told to whoever asks this lane, `lane` of `lanes`.
    pub fn page(&self, now: Instant, asked: &SessionsAsked, lanes: u16) -> SessionsPage {
        let most = usize::from(asked.most).clamp(1, SESSION_ROWS_MAX);
        let from = (asked.from as usize).min(self.slots.len());
        let (mut rows, mut next) = (Vec::new(), from);
        for Slot { session, .. } in self.slots[from..].iter().take(PLACES_PER_PAGE) {
            if rows.len() == most {
                break;
            }
            next += 1;
            let Some(session) = session else { continue };
            if is_wanted(session, &asked.filter) {
                let hardware = self.neighbor.hardware_of(&session.flow).unwrap_or_default();
                rows.push(row(session).told(asked.lane, hardware, now));
            }
        }
        let next = if next == self.slots.len() { SessionsPage::END } else { next as u32 };
        SessionsPage { lanes, next, held: self.sessions() as u32, rows }
    }
}

/// Whether a session passes a filter. Cheap tests come first: most callers want few of many rows.
fn is_wanted(session: &Session, filter: &SessionFilter) -> bool {
    let has = |bits: u32, bit: u32| bits == 0 || bits & 1 << bit != 0;
    has(filter.classes.into(), class_of(session.class) as u32)
        && filter.peer.key().is_none_or(|key| session.peer == Some(key))
        && (filter.states == 0 || has(filter.states.into(), state_of(session.socket.state_name()) as u32))
        && (filter.near == told::Network::ALL || filter.near.contains(session.flow.remote().ip()))
}

fn class_of(class: Class) -> SessionClass {
    match class {
        Class::Validator => SessionClass::Validator,
        Class::Terminal => SessionClass::Terminal,
        Class::Uplink => SessionClass::Uplink,
        Class::Stream => SessionClass::Stream,
    }
}

fn state_of(name: &str) -> SessionState {
    SessionState::by_name(name).unwrap_or(SessionState::Closed)
}

impl SessionRow {
    /// The row as it is told, by lane `lane`, where its neighbour has that hardware address.
    fn told(&self, lane: u16, hardware: [u8; 6], now: Instant) -> told::SessionRow {
        let flags = [
            (self.ack_seen, told::SessionRow::ACK_SEEN),
            (self.fin_seen, told::SessionRow::FIN_SEEN),
            (self.rst_seen, told::SessionRow::RST_SEEN),
            (self.encrypted, told::SessionRow::ENCRYPTED),
            (self.open, told::SessionRow::OPEN),
            (self.called, told::SessionRow::CALLED),
        ];
        let counters = &self.counters;
        let us = |span: Option<hpb_base::Duration>| {
            span.map_or(0, |span| (span.as_nanos() / 1_000).clamp(1, u32::MAX.into()) as u32)
        };
        told::SessionRow {
            session: SessionName { lane, index: self.id.index, generation: self.id.generation },
            remote: Endpoint::of(self.remote),
            local: Endpoint::of(self.local),
            hardware,
            state: state_of(self.state),
            class: class_of(self.class),
            peer: PeerKey::from(self.peer),
            flags: flags.into_iter().filter(|(is_set, _)| *is_set).fold(0, |bits, (_, bit)| bits | bit),
            window_scale: self.window_scale,
            out_of_order: self.out_of_order_count,
            last_data_ms: now.since(self.last_data_at.max(self.began_at)).as_millis(),
            initial_sequence: self.initial_sequence,
            next_sequence: self.next_sequence,
            last_ack: self.last_ack,
            peer_window: self.peer_window,
            duplicate_acks_sent: self.duplicate_acks_sent,
            duplicate_acks_received: self.duplicate_acks_received,
            local_window: self.local_window,
            congestion_window_len: self.congestion_window_len,
            in_flight_len: self.in_flight_len,
            queue_len: self.outbox_len as u32,
            round_trip_us: us(self.round_trip),
            variation_us: us(self.round_trip.map(|_| self.round_trip_variation)),
            retransmitted: counters.retransmitted,
            rx_bytes: counters.rx_bytes,
            tx_bytes: counters.tx_bytes,
            rx_messages: counters.rx_messages,
            tx_messages: counters.tx_messages,
            shed_messages: counters.shed_messages,
            age_ms: now.since(self.began_at).as_millis(),
        }
    }
}

fn row(session: &Session) -> SessionRow {
    let edge = &session.edge;
    SessionRow {
        id: session.id,
        remote: session.flow.remote(),
        local: session.flow.local(),
        state: session.socket.state_name(),
        class: session.class,
        peer: session.peer,
        encrypted: session.encrypted,
        open: matches!(session.phase, Phase::Open) && session.socket.state() != TcpState::Opening,
        called: session.call.is_some(),
        began_at: session.began_at,
        ack_seen: edge.flags_seen & segment::ACK != 0,
        fin_seen: edge.flags_seen & segment::FIN != 0,
        rst_seen: edge.flags_seen & segment::RST != 0,
        window_scale: edge.window_scale,
        out_of_order_count: edge.out_of_order_count,
        last_data_at: edge.last_data_at,
        initial_sequence: edge.initial_sequence,
        next_sequence: edge.next_sequence,
        last_ack: edge.last_ack.wrapping_add(edge.offset.unwrap_or(0)),
        peer_window: edge.peer_window,
        duplicate_acks_sent: edge.duplicate_acks_sent,
        duplicate_acks_received: edge.duplicate_acks_received,
        local_window: edge.local_window,
        congestion_window_len: edge.congestion.window_len(),
        in_flight_len: edge.scoreboard.flight_len(),
        outbox_len: session.outbox.len(),
        round_trip: edge.recovery.round_trip(),
        round_trip_variation: edge.recovery.variation(),
        counters: session.counters,
    }
}
