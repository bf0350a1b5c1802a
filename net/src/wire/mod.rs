//! The virtual wire: an in-process fabric of ports, routed by address. It needs no privilege.
//!
//! Every ordered pair of ports is a link with impairments of its own. A link is two bounded rings: frames go one way,
//! empty ones come back, so that no frame is allocated or copied in passing. The receiving port applies the
//! impairments as it takes frames off the ring, from a random stream of that link alone: what happens to the n-th
//! frame of a link depends on the seed and n, never on how threads interleave.

mod burst_loss;
mod impairment;
mod jitter;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use hpb_base::limits::{BURST_LEN_MAX, WIRE_LINK_DEPTH, WIRE_PORTS_MAX};
use hpb_base::{Instant, Wake};
use rtrb::{Consumer, Producer, RingBuffer};

pub use burst_loss::BurstLoss;
pub use impairment::{Applied, Impairment, LinkConfig, LinkCounters, Verdict};
pub use jitter::{JITTER_MAX, Jitter};

use crate::frame::{Bursts, Frame};
use crate::port::{Capabilities, Port, PortCounters};

/// The largest IP packet on the wire in bytes.
pub const WIRE_MTU: usize = 1_500;

/// Lays out a fabric, then hands its ports out.
pub struct WireBuilder {
    seed: u64,
    ports: Vec<Vec<IpAddr>>,
    links: Vec<(usize, usize, LinkConfig)>,
    default: LinkConfig,
}

/// Why a fabric cannot be laid out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Two ports claim one address.
    #[error("address {0} belongs to two ports of the wire")]
    AddressTaken(IpAddr),
    /// Too many ports.
    #[error("a wire has at most {WIRE_PORTS_MAX} ports, not {0}")]
    TooManyPorts(usize),
    /// A link names a port that is not there.
    #[error("a link from port {0} to port {1} of a wire that lacks one of them")]
    NoSuchPort(usize, usize),
}

impl WireBuilder {
    /// An empty fabric. All randomness of its impairments comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, ports: Vec::new(), links: Vec::new(), default: LinkConfig::default() }
    }

    /// What every link does that [`link`](Self::link) does not name.
    #[must_use]
    pub fn default_link(mut self, config: LinkConfig) -> Self {
        self.default = config;
        self
    }

    /// Adds a port that answers for `addresses`; returns its number.
    pub fn port(&mut self, addresses: &[IpAddr]) -> usize {
        self.ports.push(addresses.to_vec());
        self.ports.len() - 1
    }

    /// Sets what the direction from one port to another does.
    pub fn link(&mut self, from: usize, to: usize, config: LinkConfig) {
        self.links.push((from, to, config));
    }

    /// The ports, by number.
    ///
    /// # Errors
    /// Two ports with one address, more than [`WIRE_PORTS_MAX`] ports, or a link of a port that is not there.
    pub fn build(self) -> Result<Vec<WirePort>, WireError> {
        let count = self.ports.len();
        if count > WIRE_PORTS_MAX {
            return Err(WireError::TooManyPorts(count));
        }
        let mut routes: Vec<(IpAddr, usize)> = Vec::new();
        for (port, addresses) in self.ports.iter().enumerate() {
            routes.extend(addresses.iter().map(|address| (*address, port)));
        }
        routes.sort_unstable();
        if let Some(pair) = routes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(WireError::AddressTaken(pair[0].0));
        }
        let routes: Arc<[(IpAddr, usize)]> = routes.into();
        let mut ports: Vec<WirePort> = (0..count).map(|_| WirePort::new(Arc::clone(&routes))).collect();
        for from in 0..count {
            for to in 0..count {
                let stream = (from * WIRE_PORTS_MAX + to) as u64;
                let (full_in, full_out) = RingBuffer::new(WIRE_LINK_DEPTH);
                let (empty_in, empty_out) = RingBuffer::new(WIRE_LINK_DEPTH);
                ports[from].outgoing.push(Outgoing { full: full_in, empty: empty_out, wake: None });
                ports[to].incoming.push(Incoming {
                    full: full_out,
                    empty: empty_in,
                    impairment: Impairment::new(self.default, self.seed, stream),
                });
            }
        }
        for (from, to, config) in self.links {
            if from >= count || to >= count {
                return Err(WireError::NoSuchPort(from, to));
            }
            ports[to].set_link(from, config);
        }
        Ok(ports)
    }
}

struct Stamped {
    sent_at: Instant,
    frame: Frame,
}

struct Outgoing {
    full: Producer<Stamped>,
    empty: Consumer<Frame>,
    wake: Option<Arc<dyn Wake>>,
}

struct Incoming {
    full: Consumer<Stamped>,
    empty: Producer<Frame>,
    impairment: Impairment,
}

/// One port of the fabric. It can move to another thread than its peers'.
pub struct WirePort {
    routes: Arc<[(IpAddr, usize)]>,
    route_cached: Option<(IpAddr, usize)>,
    outgoing: Vec<Outgoing>,
    incoming: Vec<Incoming>,
    next: usize,
    counters: PortCounters,
    applied: Option<Vec<Applied>>,
}

impl WirePort {
    fn new(routes: Arc<[(IpAddr, usize)]>) -> Self {
        Self {
            routes,
            route_cached: None,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            next: 0,
            counters: PortCounters::default(),
            applied: None,
        }
    }

    /// Notes from now on what the links did to the frames that come: [`applied`](Self::applied) tells it.
    pub fn note_applied(&mut self) {
        self.applied.get_or_insert_with(|| Vec::with_capacity(BURST_LEN_MAX));
    }

    /// What the links did to each frame that the last [`rx_burst`](Port::rx_burst) brought, in their order; nothing where
    /// it is not [noted](Self::note_applied).
    pub fn applied(&self) -> &[Applied] {
        self.applied.as_deref().unwrap_or_default()
    }

    /// From now on, frames for port `to` are followed by a call of `wake`.
    pub fn set_wake(&mut self, to: usize, wake: Arc<dyn Wake>) {
        if let Some(link) = self.outgoing.get_mut(to) {
            link.wake = Some(wake);
        }
    }

    /// Changes what the direction from port `from` to this one does; frames already on their way keep their fate.
    pub fn set_link(&mut self, from: usize, config: LinkConfig) {
        if let Some(link) = self.incoming.get_mut(from) {
            link.impairment.set_config(config);
        }
    }

    /// What the direction from port `from` to this one did so far; `None` if there is no such port.
    pub fn link_counters(&self, from: usize) -> Option<LinkCounters> {
        self.incoming.get(from).map(|link| link.impairment.counters())
    }

    fn route(&mut self, packet: &[u8]) -> Option<usize> {
        let destination = destination(packet)?;
        if let Some((address, port)) = self.route_cached
            && address == destination
        {
            return Some(port);
        }
        let found = self.routes.binary_search_by(|(address, _)| address.cmp(&destination)).ok()?;
        let port = self.routes[found].1;
        self.route_cached = Some((destination, port));
        Some(port)
    }
}

impl Port for WirePort {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(WIRE_MTU)
    }

    fn rx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        let before = bursts.rx.len();
        if let Some(applied) = &mut self.applied {
            applied.clear();
        }
        let links = self.incoming.len();
        let busy = self.incoming.iter().filter(|link| link.has_something()).count();
        // First an equal share for each link that has something, so that a full one does not keep the others waiting;
        // then whatever room is left.
        let share = bursts.rx_room().div_ceil(busy.max(1));
        for share in [share, BURST_LEN_MAX] {
            for turn in 0..links {
                let link = &mut self.incoming[(self.next + turn) % links];
                if link.has_something() {
                    let limit = (bursts.rx.len() + share).min(BURST_LEN_MAX);
                    link.receive(now, limit, bursts, &mut self.counters, self.applied.as_mut());
                }
            }
            if busy < 2 || bursts.rx_room() == 0 {
                break;
            }
        }
        self.next = (self.next + 1) % links.max(1);
        let received = &bursts.rx[before..];
        self.counters.rx_frames += received.len() as u64;
        self.counters.rx_bytes += received.iter().map(|frame| frame.len() as u64).sum::<u64>();
        received.len()
    }

    fn tx_burst(&mut self, now: Instant, bursts: &mut Bursts) -> usize {
        let mut sent = 0;
        let mut touched = [false; WIRE_PORTS_MAX];
        while let Some(frame) = bursts.tx.front() {
            if frame.len() > WIRE_MTU {
                self.counters.tx_refused += 1;
                if let Some(frame) = bursts.tx.pop_front() {
                    bursts.pool.give(frame);
                }
                continue;
            }
            let Some(to) = self.route(frame.bytes()) else {
                self.counters.tx_unroutable += 1;
                if let Some(frame) = bursts.tx.pop_front() {
                    bursts.pool.give(frame);
                }
                continue;
            };
            let link = &mut self.outgoing[to];
            if link.full.is_full() {
                self.counters.tx_full += 1;
                break;
            }
            let Some(frame) = bursts.tx.pop_front() else { break };
            self.counters.tx_frames += 1;
            self.counters.tx_bytes += frame.len() as u64;
            match link.empty.pop() {
                Ok(empty) => bursts.pool.give(empty),
                Err(_) => bursts.pool.forget(),
            }
            if link.full.push(Stamped { sent_at: now, frame }).is_err() {
                break;
            }
            touched[to] = true;
            sent += 1;
        }
        for (link, _) in self.outgoing.iter().zip(touched).filter(|(_, touched)| *touched) {
            if let Some(wake) = &link.wake {
                wake.wake();
            }
        }
        sent
    }

    fn wake_at(&self) -> Option<Instant> {
        self.incoming.iter().filter_map(|link| link.impairment.due_at()).min()
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

impl Incoming {
    /// Whether a look at it may bring frames.
    fn has_something(&self) -> bool {
        !self.full.is_empty() || !self.impairment.is_idle()
    }

    /// Takes frames until the burst holds `limit`.
    fn receive(
        &mut self,
        now: Instant,
        limit: usize,
        bursts: &mut Bursts,
        counters: &mut PortCounters,
        mut noted: Option<&mut Vec<Applied>>,
    ) {
        if self.impairment.is_idle() && self.impairment.is_clear() {
            while bursts.rx.len() < limit
                && let Ok(stamped) = self.full.pop()
            {
                Self::exchange(&mut self.empty, bursts);
                if let Some(noted) = &mut noted {
                    noted.push(Applied { sent_at: stamped.sent_at, due_at: stamped.sent_at });
                }
                bursts.rx.push(stamped.frame);
            }
            return;
        }
        // A frame meets its fate as soon as it is seen, in the order in which it was sent.
        while let Ok(stamped) = self.full.pop() {
            Self::exchange(&mut self.empty, bursts);
            let verdict = self.impairment.admit(stamped.sent_at, stamped.frame, &mut bursts.pool);
            if let Verdict::Dropped(frame) = verdict {
                counters.rx_dropped += 1;
                bursts.pool.give(frame);
            }
        }
        while bursts.rx.len() < limit
            && let Some((applied, frame)) = self.impairment.take_applied(now)
        {
            if let Some(noted) = &mut noted {
                noted.push(applied);
            }
            bursts.rx.push(frame);
        }
    }

    /// Sends an empty frame back for the full one that came, so that neither side runs dry.
    fn exchange(empty: &mut Producer<Frame>, bursts: &mut Bursts) {
        if !empty.is_full()
            && let Some(spare) = bursts.pool.take_spare()
        {
            if let Err(rtrb::PushError::Full(spare)) = empty.push(spare) {
                bursts.pool.give(spare);
            }
            return;
        }
        bursts.pool.adopt();
    }
}

fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => <[u8; 4]>::try_from(packet.get(16..20)?).ok().map(IpAddr::from),
        6 => <[u8; 16]>::try_from(packet.get(24..40)?).ok().map(IpAddr::from),
        _ => None,
    }
}
