//! A DHCP client for IPv4 (RFC 2131, RFC 2132): a machine over parsed messages, and the messages' bytes.
//!
//! It takes the first good offer, renews what it has, and gives an address up when its lease ends. It asks for no
//! address again that it had before a start, and it does not probe what it is given (RFC 5227): a conflict is heard of
//! as a notice. What comes is believed only if it carries the transaction's id and the card's hardware address.

use hpb_base::{Duration, Instant, Random};
use hpb_net::HardwareAddress;

use super::counters::NeighborDrop;
use super::ip::{UNSPECIFIED_V4, is_host};
use super::route::prefix_len_of;
use crate::segment::{be16, be32, mapped_v4};

/// The server's and the client's UDP ports.
pub(super) const SERVER_PORT: u16 = 67;
pub(super) const CLIENT_PORT: u16 = 68;
/// What the client sends, padded to what relays of BOOTP expect (RFC 1542 section 2.1).
pub(super) const MESSAGE_LEN: usize = 300;

const OPTIONS_AT: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const FILE: std::ops::Range<usize> = 108..236;
const SERVER_NAME: std::ops::Range<usize> = 44..108;
const BROADCAST_FLAG: u8 = 0x80;
/// The hardware type of Ethernet (RFC 1700).
const HARDWARE_ETHERNET: u8 = 1;

const OPTION_PAD: u8 = 0;
const OPTION_NETMASK: u8 = 1;
const OPTION_ROUTER: u8 = 3;
const OPTION_MTU: u8 = 26;
const OPTION_ADDRESS: u8 = 50;
const OPTION_LEASE: u8 = 51;
const OPTION_OVERLOAD: u8 = 52;
const OPTION_KIND: u8 = 53;
const OPTION_SERVER: u8 = 54;
const OPTION_WANTED: u8 = 55;
const OPTION_LEN_MAX: u8 = 57;
const OPTION_RENEW: u8 = 58;
const OPTION_REBIND: u8 = 59;
const OPTION_CLIENT: u8 = 61;
const OPTION_END: u8 = 255;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// The longest wait before the first message, so that cards that start together do not speak together (RFC 2131
/// section 4.4.1, which allows up to ten seconds).
const FIRST_WAIT_MS_MAX: u64 = 1_000;
/// The first wait for an answer; it doubles up to the longest, each by up to a second more or less (RFC 2131
/// section 4.1).
const RETRY_SECS_MIN: u64 = 4;
const RETRY_SECS_MAX: u64 = 64;
const JITTER_MS: u64 = 1_000;
/// Requests for one offer before another is looked for.
const REQUESTS_MAX: u8 = 4;
/// The shortest wait between two tries to keep a lease (RFC 2131 section 4.4.5).
const RENEW_WAIT: Duration = Duration::from_secs(60);
/// The shortest lease that is taken: sessions can't stand on less, and renewing would never pause.
const LEASE_SECS_MIN: u32 = 10;
/// A lease without an end.
const FOREVER_SECS: u32 = u32::MAX;
/// The smallest MTU that a server may set (RFC 791 section 3.1).
const MTU_MIN: usize = 576;

/// An address that a server gave, until it ends. Addresses are IPv4 mapped into IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lease {
    pub(super) address: u128,
    pub(super) prefix_len: u8,
    pub(super) gateway: Option<u128>,
    /// The largest packet on this link, if the server says so.
    pub(super) mtu: Option<usize>,
    server: u32,
    renew_at: Instant,
    rebind_at: Instant,
    expires_at: Instant,
}

impl Lease {
    /// Whether it means the same to the routes.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let parts = |lease: &Self| (lease.address, lease.prefix_len, lease.gateway, lease.mtu);
        parts(self) == parts(other)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Waits to look for a server.
    Init,
    /// Looks for a server.
    Selecting,
    /// Asks for what a server offers.
    Requesting { address: u32, server: u32 },
    /// Has a lease.
    Bound(Lease),
    /// Asks the lease's server for more time.
    Renewing(Lease),
    /// Asks any server for more time.
    Rebinding(Lease),
}

/// What the client wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Send this to all, or to the one server.
    Send { message: Box<[u8; MESSAGE_LEN]>, source: u128, server: Option<u128> },
    /// The address is gone.
    Lost(Lease),
}

/// What a reply comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Nothing that the link layer need know.
    None,
    /// A lease instead of the one before, if there was one.
    Bound { lease: Lease, before: Option<Lease> },
    /// The address is gone.
    Lost(Lease),
}

/// The client. See the module.
pub(super) struct Client {
    hardware: HardwareAddress,
    state: State,
    transaction: u32,
    began_at: Instant,
    tries: u8,
    next_at: Instant,
    random: Random,
}

impl Client {
    /// A client that begins within a second.
    pub(super) fn new(hardware: HardwareAddress, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        let next_at = now + Duration::from_millis(random.below(FIRST_WAIT_MS_MAX));
        Self { hardware, state: State::Init, transaction: 0, began_at: now, tries: 0, next_at, random }
    }

    /// When [`poll`](Self::poll) has something to do next.
    pub(super) fn wake_at(&self) -> Instant {
        self.next_at
    }

    /// What is due at `now`; `None` when there is nothing left to do.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Action> {
        if now < self.next_at {
            return None;
        }
        match self.state {
            State::Selecting => self.retry(now),
            State::Requesting { .. } if self.tries < REQUESTS_MAX => self.retry(now),
            State::Init | State::Requesting { .. } => {
                self.begin(now, State::Selecting);
                self.retry(now);
            }
            State::Bound(lease) => {
                self.begin(now, State::Renewing(lease));
                self.next_at = wait_until(now, lease.rebind_at);
            }
            State::Renewing(lease) if now < lease.rebind_at => self.next_at = wait_until(now, lease.rebind_at),
            State::Renewing(lease) => {
                self.state = State::Rebinding(lease);
                self.next_at = wait_until(now, lease.expires_at);
            }
            State::Rebinding(lease) if now < lease.expires_at => self.next_at = wait_until(now, lease.expires_at),
            State::Rebinding(lease) => {
                self.state = State::Init;
                return Some(Action::Lost(lease));
            }
        }
        let (source, server) = match self.state {
            State::Renewing(lease) => (lease.address, Some(mapped_v4(lease.server))),
            State::Rebinding(lease) => (lease.address, None),
            _ => (UNSPECIFIED_V4, None),
        };
        Some(Action::Send { message: Box::new(self.message(now)), source, server })
    }

    /// Takes a reply that [`parse`] read.
    pub(super) fn handle(&mut self, now: Instant, reply: &Reply) -> Change {
        let asked = match self.state {
            State::Selecting if reply.kind == OFFER => {
                if let Some(server) = reply.server
                    && is_host(mapped_v4(reply.address))
                {
                    self.state = State::Requesting { address: reply.address, server };
                    self.tries = 0;
                    self.next_at = now;
                }
                return Change::None;
            }
            State::Requesting { address, server } => {
                reply.server == Some(server) && (reply.kind == NAK || reply.address == address)
            }
            State::Renewing(lease) => reply.server.is_none_or(|server| server == lease.server),
            State::Rebinding(_) => true,
            _ => false,
        };
        if !asked {
            return Change::None;
        }
        let before = match self.state {
            State::Renewing(lease) | State::Rebinding(lease) => Some(lease),
            _ => None,
        };
        match reply.kind {
            ACK => {
                let Some(lease) = Self::lease(now, reply, before) else { return Change::None };
                self.state = State::Bound(lease);
                self.next_at = lease.renew_at;
                Change::Bound { lease, before }
            }
            NAK => {
                // Not at once: a server that refuses again and again is not asked without a pause.
                self.state = State::Init;
                self.tries = 0;
                self.retry(now);
                before.map_or(Change::None, Change::Lost)
            }
            _ => Change::None,
        }
    }

    /// The transaction's id, which its replies carry.
    pub(super) fn transaction(&self) -> u32 {
        self.transaction
    }

    fn begin(&mut self, now: Instant, state: State) {
        self.state = state;
        self.transaction = self.random.next_u64() as u32;
        self.began_at = now;
        self.tries = 0;
    }

    /// Sets the next try: after four seconds, then eight, up to 64, each by up to a second sooner or later.
    fn retry(&mut self, now: Instant) {
        let secs = (RETRY_SECS_MIN << self.tries.min(8)).min(RETRY_SECS_MAX);
        let jitter_ms = self.random.below(2 * JITTER_MS + 1);
        self.next_at = now + Duration::from_millis(secs * 1_000 - JITTER_MS + jitter_ms);
        self.tries = self.tries.saturating_add(1);
    }

    /// What an acknowledgement gives, if it makes sense.
    fn lease(now: Instant, reply: &Reply, before: Option<Lease>) -> Option<Lease> {
        let address = mapped_v4(reply.address);
        let secs = reply.lease_secs.filter(|secs| *secs >= LEASE_SECS_MIN)?;
        if !is_host(address) {
            return None;
        }
        // Half of the time and seven eighths of it, unless the server says otherwise (RFC 2131 section 4.4.5).
        let after = |secs: u32| {
            if secs == FOREVER_SECS {
                Instant::from_nanos(u64::MAX)
            } else {
                now + Duration::from_secs(u64::from(secs))
            }
        };
        let said = |said: Option<u32>, below: u32| said.filter(|said| (1..below).contains(said));
        let (rebind_secs, renew_secs) = if secs == FOREVER_SECS {
            (secs, secs)
        } else {
            let rebind_secs = said(reply.rebind_secs, secs).unwrap_or(secs - secs / 8);
            (rebind_secs, said(reply.renew_secs, rebind_secs).unwrap_or(rebind_secs.min(secs / 2)))
        };
        Some(Lease {
            address,
            // Without a netmask nothing is known to be on the link.
            prefix_len: reply.netmask.and_then(prefix_len_of).filter(|len| *len > 0).unwrap_or(32),
            gateway: reply.router.map(mapped_v4).filter(|router| is_host(*router) && *router != address),
            mtu: reply.mtu.map(usize::from).filter(|mtu| *mtu >= MTU_MIN),
            server: reply.server.or(before.map(|lease| lease.server))?,
            renew_at: after(renew_secs),
            rebind_at: after(rebind_secs),
            expires_at: after(secs),
        })
    }

    /// The message of the present state (RFC 2131 section 4.3.6, table 4).
    fn message(&self, now: Instant) -> [u8; MESSAGE_LEN] {
        let mut message = [0; MESSAGE_LEN];
        message[..4].copy_from_slice(&[1, 1, 6, 0]);
        message[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        let secs = now.since(self.began_at).as_millis() / 1_000;
        message[8..10].copy_from_slice(&u16::try_from(secs).unwrap_or(u16::MAX).to_be_bytes());
        message[28..34].copy_from_slice(&self.hardware);
        message[236..OPTIONS_AT].copy_from_slice(&COOKIE);
        let mut options = Options { bytes: &mut message[OPTIONS_AT..], len: 0 };
        let is_discover = matches!(self.state, State::Init | State::Selecting);
        options.put(OPTION_KIND, &[if is_discover { DISCOVER } else { REQUEST }]);
        let mut client = [HARDWARE_ETHERNET; 7];
        client[1..].copy_from_slice(&self.hardware);
        options.put(OPTION_CLIENT, &client);
        if let State::Requesting { address, server } = self.state {
            options.put(OPTION_ADDRESS, &address.to_be_bytes());
            options.put(OPTION_SERVER, &server.to_be_bytes());
        }
        options.put(
            OPTION_WANTED,
            &[OPTION_NETMASK, OPTION_ROUTER, OPTION_MTU, OPTION_LEASE, OPTION_SERVER, OPTION_RENEW, OPTION_REBIND],
        );
        options.put(OPTION_LEN_MAX, &1_500_u16.to_be_bytes());
        options.end();
        match self.state {
            State::Bound(lease) | State::Renewing(lease) | State::Rebinding(lease) => {
                message[12..16].copy_from_slice(&(lease.address as u32).to_be_bytes());
            }
            // A card without an address takes no packet for one: the answer is to go to all.
            _ => message[10] = BROADCAST_FLAG,
        }
        message
    }
}

/// Half of what is left until `end_at`, but not below a minute.
fn wait_until(now: Instant, end_at: Instant) -> Instant {
    let half = end_at.since(now).div(2).max(RENEW_WAIT);
    (now + half).min(end_at)
}

/// Options being written.
struct Options<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Options<'_> {
    fn put(&mut self, kind: u8, value: &[u8]) {
        let end = self.len + 2 + value.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place[..2].copy_from_slice(&[kind, value.len() as u8]);
            place[2..].copy_from_slice(value);
            self.len = end;
        }
    }

    fn end(&mut self) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = OPTION_END;
        }
    }
}

/// What a server says, as far as the client listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Reply {
    pub(super) transaction: u32,
    kind: u8,
    address: u32,
    server: Option<u32>,
    netmask: Option<u32>,
    router: Option<u32>,
    mtu: Option<u16>,
    lease_secs: Option<u32>,
    renew_secs: Option<u32>,
    rebind_secs: Option<u32>,
}

/// Reads a server's message to the card with `hardware`.
pub(super) fn parse(message: &[u8], hardware: HardwareAddress) -> Result<Reply, NeighborDrop> {
    if message.len() < OPTIONS_AT {
        return Err(NeighborDrop::Truncated);
    }
    if message[28..34] != hardware {
        return Err(NeighborDrop::NotOurs);
    }
    if message[..3] != [2, 1, 6] || message[236..OPTIONS_AT] != COOKIE {
        return Err(NeighborDrop::Malformed);
    }
    let mut reply = Reply { transaction: be32(message, 4), address: be32(message, 16), ..Reply::default() };
    let overload = reply.read(&message[OPTIONS_AT..])?;
    // Options may go on in the two fields before them (RFC 2132 section 9.3).
    if overload & 1 != 0 {
        reply.read(&message[FILE])?;
    }
    if overload & 2 != 0 {
        reply.read(&message[SERVER_NAME])?;
    }
    if reply.kind == 0 { Err(NeighborDrop::Malformed) } else { Ok(reply) }
}

impl Reply {
    /// Reads one field of options; returns which other fields hold more.
    fn read(&mut self, mut options: &[u8]) -> Result<u8, NeighborDrop> {
        let mut overload = 0;
        loop {
            match options {
                [] | [OPTION_END, ..] => return Ok(overload),
                [OPTION_PAD, rest @ ..] => options = rest,
                [kind, len, rest @ ..] => {
                    let (value, rest) = rest.split_at_checked(usize::from(*len)).ok_or(NeighborDrop::Truncated)?;
                    if *kind == OPTION_OVERLOAD {
                        overload = value.first().copied().unwrap_or(0);
                    }
                    self.note(*kind, value);
                    options = rest;
                }
                [_] => return Err(NeighborDrop::Truncated),
            }
        }
    }

    fn note(&mut self, kind: u8, value: &[u8]) {
        let word = || (value.len() >= 4).then(|| be32(value, 0));
        match kind {
            OPTION_KIND => self.kind = value.first().copied().unwrap_or(0),
            OPTION_SERVER => self.server = word(),
            OPTION_NETMASK => self.netmask = word(),
            OPTION_ROUTER => self.router = word(),
            OPTION_MTU => self.mtu = (value.len() >= 2).then(|| be16(value, 0)),
            OPTION_LEASE => self.lease_secs = word(),
            OPTION_RENEW => self.renew_secs = word(),
            OPTION_REBIND => self.rebind_secs = word(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
