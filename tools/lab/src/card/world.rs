//! What stands on the wire: the server's card and those of the clients, and the links between them.
//!
//! A card of clients carries [`SESSIONS_PER_CARD`] sessions, so that no direction of the wire holds more frames than it
//! may; where a link has a rate all sessions share one card, because they share the line. Sessions that read nothing have
//! a card of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hpb_base::{Instant, Wake};
use hpb_net::wire::{LinkConfig, WireBuilder};
use hpb_toe::{Call, Class, Command, Identity, LaneConfig};
use hpb_types::Hash;
use hpb_types::units::ChainId;

use super::clock::Clock;
use super::end::{Bell, End};
use crate::scenario::{Fault, SHORT_LEN_MAX, Scenario};
use crate::target::TargetError;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PORT: u16 = 30_303;
const CHAIN: ChainId = ChainId(Hash([0; 32]));
/// Sessions of one card of clients where no link has a rate.
const SESSIONS_PER_CARD: u32 = 8_192;
/// Sessions of one address of a card: fewer than it has ports, so that those that are waited out leave room.
const SESSIONS_PER_ADDRESS: u32 = 50_000;
/// Addresses of a card.
const ADDRESSES_PER_CARD: u32 = 2;

/// See the module.
pub(super) struct World {
    pub(super) server: End,
    pub(super) cards: Vec<End>,
    seating: Seating,
    encrypted: bool,
    class: Class,
}

/// Which card has which sessions.
#[derive(Clone, Copy, Debug)]
struct Seating {
    per_card: u32,
    reading: u32,
    /// The card of those that read nothing; one past the last if there are none.
    slow_card: u32,
}

impl World {
    pub(super) fn new(
        scenario: &Scenario,
        encrypted: bool,
        seed: u64,
        notes: bool,
        clock: &Clock,
    ) -> Result<Self, TargetError> {
        let failed = |error: &dyn std::fmt::Display| TargetError::Failed(error.to_string());
        let seating = Seating::of(scenario)?;
        let cards = seating.slow_card + u32::from(scenario.sessions > seating.reading);
        let mut wire = WireBuilder::new(seed);
        wire.port(&[SERVER]);
        for card in 0..cards {
            wire.port(&[address(card, 0), address(card, 1)]);
        }
        let mut ports = wire.build().map_err(|error| failed(&error))?;
        let bells: Vec<Arc<Bell>> = ports.iter().map(|_| Arc::default()).collect();
        for (at, port) in ports.iter_mut().enumerate() {
            // Cards never speak to each other.
            for (to, bell) in bells.iter().enumerate().filter(|(to, _)| (*to == 0) != (at == 0)) {
                port.set_wake(to, Arc::clone(bell) as Arc<dyn Wake>);
            }
        }
        let is_long = scenario.load.request_len.max(scenario.load.reply_len) > SHORT_LEN_MAX;
        let (taken, called) =
            if is_long { (Class::Validator, Class::Validator) } else { (Class::Terminal, Class::Uplink) };
        let mut ends = Vec::with_capacity(ports.len());
        for (at, (port, bell)) in ports.into_iter().zip(bells).enumerate() {
            let addresses = if at == 0 {
                vec![(SERVER, 8)]
            } else {
                vec![(address(at as u32 - 1, 0), 8), (address(at as u32 - 1, 1), 8)]
            };
            let config = lane_config(addresses, at as u64, seed, encrypted, scenario.sessions);
            ends.push(End::new(config, port, bell, (notes, scenario.sessions), clock).map_err(|error| failed(&error))?);
        }
        let mut server = ends.remove(0);
        server.command(clock.now(), Command::Listen { port: PORT, class: taken, encrypted });
        Ok(Self { server, cards: ends, seating, encrypted, class: called })
    }

    /// Opens session `session`.
    pub(super) fn call(&mut self, now: Instant, session: u32) {
        let card = self.card_of(session);
        let in_card = session.checked_sub(self.seating.reading).unwrap_or(session % self.seating.per_card);
        let local = address(card as u32, in_card / SESSIONS_PER_ADDRESS);
        let call = Call {
            remote: SocketAddr::new(SERVER, PORT),
            local: SocketAddr::new(local, 0),
            class: self.class,
            responder: self.encrypted.then(|| identity(0).public()),
            identity: None,
            tag: u64::from(session),
            keep: false,
        };
        self.cards[card].command(now, Command::Open(call));
    }

    /// The card of a session.
    pub(super) fn card_of(&self, session: u32) -> usize {
        let Seating { per_card, reading, slow_card } = self.seating;
        if session >= reading { slow_card as usize } else { (session / per_card) as usize }
    }

    /// The card whose sessions read nothing, if there are some.
    pub(super) fn slow_card(&self) -> Option<usize> {
        let card = self.seating.slow_card as usize;
        (card < self.cards.len()).then_some(card)
    }

    /// Tells whether an address is of the card whose sessions read nothing.
    pub(super) fn slow_rule(&self) -> impl Fn(IpAddr) -> bool + use<> {
        let card = self.slow_card().map(|card| card as u32);
        move |remote| card.is_some_and(|card| (0..ADDRESSES_PER_CARD).any(|which| address(card, which) == remote))
    }

    /// What the links do from now on, where it is said.
    pub(super) fn set_links(&mut self, there: Option<&LinkConfig>, back: Option<&LinkConfig>) {
        for (at, card) in self.cards.iter_mut().enumerate() {
            if let Some(there) = there {
                self.server.port.set_link(at + 1, *there);
            }
            if let Some(back) = back {
                card.port.set_link(0, *back);
            }
        }
    }

    /// Frames that the links lost so far, and segments sent again.
    pub(super) fn losses(&self) -> (u64, u64) {
        let there = (0..self.cards.len()).filter_map(|at| self.server.port.link_counters(at + 1));
        let back = self.cards.iter().filter_map(|card| card.port.link_counters(0));
        let lost = there.chain(back).map(|link| link.lost + link.overflowed).sum();
        let ends = self.cards.iter().chain([&self.server]);
        (lost, ends.map(|end| end.lane.counters().retransmitted).sum())
    }

    /// When the first end is to have a turn that may have one; the server not before `stalled_until`.
    pub(super) fn due_at(&self, now: Instant, stalled_until: Option<Instant>) -> Option<Instant> {
        let server = self.server.due_at(now).map(|at| stalled_until.map_or(at, |until| at.max(until)));
        self.cards.iter().map(|card| card.due_at(now)).chain([server]).flatten().min()
    }
}

impl Seating {
    fn of(scenario: &Scenario) -> Result<Self, TargetError> {
        let slow: u32 = scenario.faults.iter().map(slow_count).sum();
        let reading = scenario.sessions.saturating_sub(slow);
        let most = ADDRESSES_PER_CARD * SESSIONS_PER_ADDRESS;
        let changed = scenario.changes.iter().flat_map(|change| [change.there, change.back]).flatten();
        let has_rate = [scenario.there, scenario.back].into_iter().chain(changed).any(|link| link.rate_bits_per_s > 0);
        let per_card = if has_rate { most } else { SESSIONS_PER_CARD };
        if slow > most || (has_rate && reading > most) {
            let why = format!(
                "one card carries {most} sessions at most: those that share a line, and those that read nothing"
            );
            return Err(TargetError::Unavailable(why));
        }
        Ok(Self { per_card, reading, slow_card: reading.div_ceil(per_card).max(1) })
    }
}

/// Sessions that read nothing.
pub(super) fn slow_count(fault: &Fault) -> u32 {
    if let Fault::SlowReaders { count } = fault { *count } else { 0 }
}

fn lane_config(addresses: Vec<(IpAddr, u8)>, number: u64, seed: u64, encrypted: bool, sessions: u32) -> LaneConfig {
    let secret = Hash::of_parts("lab card", &[&seed.to_le_bytes(), &number.to_le_bytes()]).0;
    let identity = encrypted.then(|| Arc::new(identity(number)));
    let mut config = LaneConfig::new(addresses, identity, secret);
    // Twice as many as there are: where sessions close and open, the old ones linger.
    config.sessions_max = 2 * sessions as usize + 64;
    // All clients share a few addresses, and none of them is a stranger.
    config.guard.syns_per_second_max = u32::MAX;
    config
}

/// Keys do not depend on the seed: what is measured is not the drawing of keys.
fn identity(number: u64) -> Identity {
    Identity::new(Hash::of_parts("lab identity", &[&number.to_le_bytes()]).0, CHAIN)
}

fn address(card: u32, which: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 1 + which as u8, (card >> 8) as u8, card as u8))
}
