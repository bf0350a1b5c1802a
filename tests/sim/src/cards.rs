//! Whole cards: each machine's lane over its port of one wire, with handshakes, records and segments, driven by hand.
//!
//! The wire is the only thing between two machines: what happens to its frames follows from the seed, and so do the
//! secrets that each life of a lane draws its keys from. A lane lives by its node's own clock, the wire by the true one.
//! Users talk to the core beside the card.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hpb_base::{Duration, Instant, Wake};
use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_net::wire::{LinkConfig, WireBuilder, WireError, WirePort};
use hpb_node::core::Input;
use hpb_toe::{Call, Class, Command, Event, EventBatch, Group, Identity, Lane, LaneConfig, LaneError, SessionId};
use hpb_types::{Hash, PublicKey};

use crate::clock::Clock;
use crate::trace::{Tag, Trace};

/// Frames that each card may own. They are made as they are needed.
const FRAMES: usize = 8_192;
/// Where cards listen for each other.
const MESH_PORT: u16 = 30_303;
/// An idle session is probed this often: in the proportion of slots to the usual 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// A peer that does not answer so long is gone, so that long cuts break sessions and short ones don't.
const PEER_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest wait before a reconnect.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// The cards of a world, by machine.
pub struct Cards {
    seed: u64,
    cards: Vec<Card>,
}

/// One machine's.
struct Card {
    lane: Option<Lane>,
    port: WirePort,
    bursts: Bursts,
    events: EventBatch,
    bell: Arc<Bell>,
    sessions: BTreeMap<SessionId, Mate>,
    /// How many lanes it had.
    lives: u32,
    wake_at: Option<Instant>,
}

/// Who is at the other end of an open session.
struct Mate {
    machine: usize,
    /// Whether the core has it among its validators.
    joined: bool,
}

/// Rings when frames were sent to a port: they meet their fate there at once.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a card tells its core, and which machine is at the session's other end.
pub struct Told {
    /// The machine.
    pub peer: usize,
    /// What is told.
    pub input: Input,
}

/// What a lane is started with.
pub struct Start<'a> {
    /// Who its card is.
    pub identity: Arc<Identity>,
    /// The machines that it calls, and who they must be.
    pub calls: &'a [(usize, PublicKey)],
}

impl Cards {
    /// Cards at rest, one a machine, on a wire that is perfect until [`set_link`](Self::set_link) says otherwise.
    ///
    /// # Errors
    /// More machines than a wire has ports.
    pub fn new(seed: u64, machines: usize) -> Result<Self, WireError> {
        let mut wire = WireBuilder::new(seed);
        for machine in 0..machines {
            wire.port(&[address(machine)]);
        }
        let mut ports = wire.build()?;
        let bells: Vec<Arc<Bell>> = ports.iter().map(|_| Arc::default()).collect();
        for port in &mut ports {
            for (to, bell) in bells.iter().enumerate() {
                port.set_wake(to, Arc::clone(bell) as Arc<dyn Wake>);
            }
        }
        let card = |(port, bell)| Card {
            lane: None,
            port,
            bursts: Bursts::new(FRAMES),
            events: EventBatch::default(),
            bell,
            sessions: BTreeMap::new(),
            lives: 0,
            wake_at: None,
        };
        Ok(Self { seed, cards: ports.into_iter().zip(bells).map(card).collect() })
    }

    /// What the direction from one machine to another does from now on.
    pub fn set_link(&mut self, from: usize, to: usize, config: LinkConfig) {
        self.cards[to].port.set_link(from, config);
    }

    /// Powers a machine's card up, with a new lane that has no session yet.
    ///
    /// # Errors
    /// A set-up outside the lane's limits.
    pub fn start(&mut self, machine: usize, now: Instant, clock: &Clock, start: &Start<'_>) -> Result<(), LaneError> {
        let seed = self.seed;
        let sessions_max = 4 * self.cards.len() + 16;
        let card = &mut self.cards[machine];
        let numbers = [seed.to_le_bytes(), (machine as u64).to_le_bytes(), u64::from(card.lives).to_le_bytes()];
        let secret = Hash::of_parts("simulated card", &[&numbers.concat()]).0;
        let mut config = LaneConfig::new(vec![(address(machine), 8)], Some(Arc::clone(&start.identity)), secret);
        config.sessions_max = sessions_max;
        config.keep_alive = Some(KEEP_ALIVE);
        config.peer_timeout = Some(PEER_TIMEOUT);
        config.handshake_timeout = PEER_TIMEOUT;
        config.reconnect_max = RECONNECT_MAX;
        let local = clock.local(now);
        let mut lane = Lane::new(config, card.port.capabilities(), local)?;
        lane.handle(local, Command::Listen { port: MESH_PORT, class: Class::Validator, encrypted: true });
        for (peer, identity) in start.calls {
            let call = Call {
                remote: SocketAddr::new(address(*peer), MESH_PORT),
                local: SocketAddr::new(address(machine), 0),
                class: Class::Validator,
                responder: Some(*identity),
                identity: None,
                tag: 0,
                keep: true,
            };
            lane.handle(local, Command::Open(call));
        }
        card.lane = Some(lane);
        card.lives += 1;
        card.wake_at = Some(now);
        Ok(())
    }

    /// Takes a machine's card away at once: its peers hear nothing of it.
    pub fn stop(&mut self, machine: usize) {
        let card = &mut self.cards[machine];
        card.lane = None;
        card.sessions.clear();
        card.bursts.recycle_rx();
        card.bursts.recycle_tx(usize::MAX);
        card.wake_at = card.port.wake_at();
    }

    /// Has a machine's card look at its timers again, because its clock changed.
    pub fn ring(&mut self, machine: usize, now: Instant) {
        self.cards[machine].wake_at = Some(now);
    }

    /// The first card that is to have a turn, and when; nothing happens before `now`.
    pub fn wake(&self, now: Instant) -> Option<(Instant, usize)> {
        let at = |card: &Card| if card.bell.0.load(Ordering::Relaxed) { Some(now) } else { card.wake_at };
        self.cards.iter().enumerate().filter_map(|(machine, card)| Some((at(card)?, machine))).min()
    }

    /// What the core of a machine commands.
    pub fn command(&mut self, machine: usize, now: Instant, clock: &Clock, command: Command) {
        let card = &mut self.cards[machine];
        let Some(lane) = &mut card.lane else { return };
        if let Command::Join { session, group } = command
            && let Some(mate) = card.sessions.get_mut(&session)
        {
            mate.joined = group == Some(Group::Validators);
        }
        lane.handle(clock.local(now), command);
        card.wake_at = Some(now);
    }

    /// A machine's sessions with its validators, and the machine at each one's other end.
    pub fn validators(&self, machine: usize) -> impl Iterator<Item = (SessionId, usize)> + '_ {
        let sessions = self.cards[machine].sessions.iter();
        sessions.filter(|(_, mate)| mate.joined).map(|(session, mate)| (*session, mate.machine))
    }

    /// A turn of a machine's card; what it tells its core is put into `told`, in order.
    pub fn turn(&mut self, machine: usize, now: Instant, clock: &Clock, told: &mut Vec<Told>, trace: &mut Trace) {
        let card = &mut self.cards[machine];
        let local = clock.local(now);
        card.bell.0.store(false, Ordering::Relaxed);
        let mut busy = card.port.rx_burst(now, &mut card.bursts) > 0;
        let Some(lane) = &mut card.lane else {
            card.bursts.recycle_rx();
            card.wake_at = if busy { Some(now) } else { card.port.wake_at() };
            return;
        };
        busy |= lane.receive(local, &mut card.bursts);
        lane.take_events(&mut card.events);
        busy |= !card.events.is_empty();
        for event in card.events.iter() {
            let (Event::Opened { session, .. } | Event::Message { session, .. } | Event::Closed { session, .. }) =
                event;
            let peer = match event {
                Event::Opened { remote, .. } => {
                    let Some(peer) = machine_at(remote.ip()) else { continue };
                    card.sessions.insert(session, Mate { machine: peer, joined: false });
                    Some(peer)
                }
                Event::Message { .. } => card.sessions.get(&session).map(|mate| mate.machine),
                Event::Closed { .. } => card.sessions.remove(&session).map(|mate| mate.machine),
            };
            told.extend(peer.zip(Input::of(&event)).map(|(peer, input)| Told { peer, input }));
        }
        while let Some(job) = lane.take_job() {
            busy = true;
            lane.finish_job(local, job.run());
        }
        busy |= lane.transmit(local, &mut card.bursts);
        for frame in &card.bursts.tx {
            trace.note(now, Tag::Frame, machine, 0, frame.bytes());
        }
        busy |= card.port.tx_burst(now, &mut card.bursts) > 0;
        let rests_until = [lane.wake_at().map(|at| clock.true_at(at)), card.port.wake_at()].into_iter().flatten().min();
        // A lane that has nothing to do now may say "at once" of what it can do later.
        let later = now + Duration::from_nanos(1);
        card.wake_at = if busy { Some(now) } else { rests_until.map(|at| at.max(later)) };
    }
}

/// A machine's address.
fn address(machine: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, (machine / 250) as u8, (machine % 250) as u8 + 1))
}

/// The machine of an address.
fn machine_at(address: IpAddr) -> Option<usize> {
    match address {
        IpAddr::V4(address) => {
            let [_, _, high, low] = address.octets();
            Some(usize::from(high) * 250 + usize::from(low).checked_sub(1)?)
        }
        IpAddr::V6(_) => None,
    }
}
