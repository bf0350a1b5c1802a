//! The card under test on virtual time: one lane, frames put into its bursts and taken from them, no port.
//!
//! Time passes only when the script says so, and in steps from one of the card's wake-ups to the next, so that what the
//! card does carries the instant at which it would do it on a live host.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hpb_base::limits::SCRIPT_TURNS_MAX;
use hpb_base::{Duration, Instant};
use hpb_net::frame::Bursts;
use hpb_net::port::Capabilities;
use hpb_toe::framing::framed;
use hpb_toe::{Command, Event, EventBatch, Lane, SessionId};

use super::language::{Family, Settings};

/// The clock at a script's begin: not zero, so that an instant of zero shows up as wrong.
pub(super) const BEGIN: Instant = Instant::from_millis(1_000);
const FRAMES: usize = 4_096;

/// Something that the card did, and when.
#[derive(Clone, Debug)]
pub(super) struct Stamped<T> {
    pub(super) at: Instant,
    pub(super) what: T,
}

/// An event that outlives its batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Opened { session: SessionId, peer: u16 },
    Message { session: SessionId, bytes: Vec<u8> },
    Closed { session: SessionId, reason: &'static str, was_open: bool },
}

/// The card with its clock.
pub(super) struct Driver {
    pub(super) lane: Lane,
    pub(super) now: Instant,
    /// What the card sent, oldest first; the script takes it from here.
    pub(super) sent: VecDeque<Stamped<Vec<u8>>>,
    /// What the card told its host, oldest first.
    pub(super) told: VecDeque<Stamped<Told>>,
    bursts: Bursts,
    batch: EventBatch,
}

/// The card's address.
pub(super) fn card_address(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(192, 0, 2, 1).into(),
        Family::Ipv6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    }
}

/// The peer's address (RFC 5737, RFC 3849).
pub(super) fn peer_address(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(192, 0, 2, 2).into(),
        Family::Ipv6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).into(),
    }
}

impl Driver {
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let mut config = settings.lane.clone();
        let prefix_len = if settings.family == Family::Ipv4 { 24 } else { 64 };
        config.addresses = vec![(card_address(settings.family), prefix_len)];
        let lane = Lane::new(config, Capabilities::plain(settings.mtu), BEGIN).map_err(|error| error.to_string())?;
        Ok(Self {
            lane,
            now: BEGIN,
            sent: VecDeque::new(),
            told: VecDeque::new(),
            bursts: Bursts::new(FRAMES),
            batch: EventBatch::default(),
        })
    }

    pub(super) fn handle(&mut self, command: Command) -> Result<(), String> {
        self.lane.handle(self.now, command);
        self.settle()
    }

    /// Gives the card one frame, and lets it do what follows from it at once.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut frame = self.bursts.pool.take().ok_or("the card kept all frames")?;
        frame.copy_from(bytes);
        self.bursts.rx.push(frame);
        self.settle()
    }

    /// Lets the card work until this moment leaves nothing to do.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        for _ in 0..SCRIPT_TURNS_MAX {
            let busy = self.lane.poll(self.now, &mut self.bursts);
            self.collect();
            if !busy && self.lane.wake_at().is_none_or(|at| at > self.now) {
                return Ok(());
            }
        }
        Err(format!("the card does not come to rest in {SCRIPT_TURNS_MAX} turns"))
    }

    /// Lets time pass up to `until`, or up to the first moment when `is_enough`.
    pub(super) fn advance(&mut self, until: Instant, is_enough: impl Fn(&Self) -> bool) -> Result<(), String> {
        self.settle()?;
        while !is_enough(self) && self.now < until {
            let wake_at = self.lane.wake_at().unwrap_or(until);
            self.now = wake_at.min(until).max(self.now + Duration::from_nanos(1));
            self.settle()?;
        }
        Ok(())
    }

    fn collect(&mut self) {
        while let Some(frame) = self.bursts.tx.pop_front() {
            self.sent.push_back(Stamped { at: self.now, what: frame.bytes().to_vec() });
            self.bursts.pool.give(frame);
        }
        self.lane.take_events(&mut self.batch);
        for event in self.batch.iter() {
            let told = match event {
                Event::Opened { session, remote, .. } => Told::Opened { session, peer: remote.port() },
                Event::Message { session, kind, body, .. } => Told::Message { session, bytes: framed(kind, body) },
                Event::Closed { session, reason, was_open, .. } => {
                    Told::Closed { session, reason: reason_name(reason), was_open }
                }
            };
            self.told.push_back(Stamped { at: self.now, what: told });
        }
    }
}

fn reason_name(reason: hpb_toe::CloseReason) -> &'static str {
    use hpb_toe::CloseReason as Reason;
    match reason {
        Reason::Local => "local",
        Reason::Remote => "remote",
        Reason::HandshakeTimeout => "handshake_timeout",
        Reason::Handshake(_) => "handshake",
        Reason::Broken(_) => "broken",
        Reason::SlowPeer => "slow_peer",
        Reason::NoRoom => "no_room",
        Reason::Idle => "idle",
        Reason::Unreachable => "unreachable",
        Reason::Parted(_) => "parted",
    }
}
