//! The card against itself: two lanes on the virtual wire, a server's and a client's, both ends in one thread.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::Instant;
use hpb_host::sys;
use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_net::wire::{WireBuilder, WirePort};
use hpb_toe::framing::framed;
use hpb_toe::{Call, Class, Command, Event, EventBatch, Group, Identity, Lane, LaneConfig, Priority, SessionId};
use hpb_types::keys::Hash;
use hpb_types::units::ChainId;

use crate::target::{Meter, Sample, StallGuard, Target, TargetError, Work, ping_pong_session};

const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const PORT: u16 = 30_303;
const CHAIN: ChainId = ChainId(Hash([0; 32]));
const KIND: u8 = 1;
/// Frames that each end may own.
const FRAMES: usize = 8_192;

/// The card, plain or encrypted.
pub struct CardTarget {
    encrypted: bool,
    message: Vec<u8>,
    broadcast: Arc<[u8]>,
    ends: Option<Ends>,
}

/// One end of every session.
pub(crate) struct End {
    pub(crate) lane: Lane,
    port: WirePort,
    bursts: Bursts,
}

struct Ends {
    server: End,
    client: End,
    events: EventBatch,
    /// The client's end of each session.
    sessions: Vec<SessionId>,
    opened: usize,
    received: u64,
    /// Whether a reply is answered by the next request.
    again: bool,
}

impl End {
    pub(crate) fn new(
        address: IpAddr,
        port: WirePort,
        seed: u8,
        encrypted: bool,
        sessions: usize,
    ) -> Result<Self, TargetError> {
        let identity = encrypted.then(|| Arc::new(Identity::new([seed; 32], CHAIN)));
        let mut config = LaneConfig::new(vec![(address, 8)], identity, [seed; 32]);
        config.sessions_max = sessions;
        let lane = Lane::new(config, port.capabilities(), now()).map_err(|error| other(&error))?;
        Ok(Self { lane, port, bursts: Bursts::new(FRAMES) })
    }

    pub(crate) fn receive(&mut self, now: Instant) -> bool {
        self.port.rx_burst(now, &mut self.bursts);
        self.lane.receive(now, &mut self.bursts)
    }

    pub(crate) fn transmit(&mut self, now: Instant) -> bool {
        let busy = self.lane.transmit(now, &mut self.bursts);
        self.port.tx_burst(now, &mut self.bursts);
        busy
    }
}

/// A server's and a client's end on one wire.
pub(crate) fn ends(encrypted: bool, sessions: usize) -> Result<(End, End), TargetError> {
    let mut builder = WireBuilder::new(0);
    builder.port(&[SERVER]);
    builder.port(&[CLIENT]);
    let mut ports = builder.build().map_err(|error| other(&error))?.into_iter();
    let (Some(near), Some(far)) = (ports.next(), ports.next()) else {
        return Err(TargetError::Other("a wire of two ports has two".to_owned()));
    };
    let mut server = End::new(SERVER, near, 1, encrypted, sessions)?;
    let client = End::new(CLIENT, far, 2, encrypted, sessions)?;
    server.lane.handle(now(), Command::Listen { port: PORT, class: Class::Terminal, encrypted });
    Ok((server, client))
}

/// The call of terminal `tag`.
pub(crate) fn call(encrypted: bool, keep: bool, tag: u64) -> Command {
    Command::Open(Call {
        remote: SocketAddr::new(SERVER, PORT),
        local: SocketAddr::new(CLIENT, 0),
        class: Class::Uplink,
        responder: encrypted.then(|| Identity::new([1; 32], CHAIN).public()),
        identity: None,
        tag,
        keep,
    })
}

pub(crate) fn now() -> Instant {
    Instant::from_nanos(sys::wall_ns())
}

fn other(error: &dyn std::fmt::Display) -> TargetError {
    TargetError::Other(error.to_string())
}

impl CardTarget {
    /// A target that encrypts, or does not.
    pub fn new(encrypted: bool) -> Self {
        Self { encrypted, message: Vec::new(), broadcast: Arc::from([]), ends: None }
    }

    fn ends(&mut self) -> Result<&mut Ends, TargetError> {
        self.ends.as_mut().ok_or_else(|| TargetError::Other("not established".to_owned()))
    }
}

impl Ends {
    /// One turn of both ends. The server echoes; the client counts what comes back.
    fn turn(&mut self, message: &[u8]) -> bool {
        let at = now();
        let mut busy = self.server.receive(at);
        self.server.lane.take_events(&mut self.events);
        for event in self.events.iter() {
            match event {
                Event::Message { session, kind, body, .. } => {
                    // A session that ended meanwhile shows as a stall.
                    let _ = self.server.lane.send(session, Priority::Normal, kind, body);
                }
                Event::Opened { session, .. } => {
                    let join = Command::Join { session, group: Some(Group::Terminals) };
                    self.server.lane.handle(at, join);
                }
                Event::Closed { .. } => {}
            }
        }
        busy |= self.server.transmit(at);
        busy |= self.client.receive(at);
        self.client.lane.take_events(&mut self.events);
        for event in self.events.iter() {
            match event {
                Event::Message { session, .. } => {
                    self.received += 1;
                    if self.again {
                        let _ = self.client.lane.send(session, Priority::Normal, KIND, message);
                    }
                }
                Event::Opened { session, tag, .. } => {
                    self.sessions[tag as usize] = session;
                    self.opened += 1;
                }
                Event::Closed { .. } => {}
            }
        }
        busy |= self.client.transmit(at);
        busy
    }

    /// Runs the handshake steps that wait; this thread does them all.
    fn jobs(&mut self) {
        for end in [&mut self.server, &mut self.client] {
            while let Some(job) = end.lane.take_job() {
                end.lane.finish_job(now(), job.run());
            }
        }
    }

    fn until(&mut self, message: &[u8], done: impl Fn(&Self) -> bool) -> Result<(), TargetError> {
        let mut guard = StallGuard::default();
        while !done(self) {
            let busy = self.turn(message);
            guard.turn(busy)?;
        }
        Ok(())
    }

    fn send(&mut self, session: usize, message: &[u8]) -> Result<(), TargetError> {
        let id = self.sessions[session];
        self.client.lane.send(id, Priority::Normal, KIND, message).map_err(|error| other(&error))
    }

    /// Waits until nothing is in flight: delayed ACKs included, so that one measurement does not pay for another.
    fn rest(&mut self, message: &[u8]) {
        let until_ns = sys::wall_ns() + 50_000_000;
        while sys::wall_ns() < until_ns {
            self.turn(message);
        }
    }
}

impl Target for CardTarget {
    fn name(&self) -> &'static str {
        if self.encrypted { "card-encrypted" } else { "card" }
    }

    fn descriptors_per_session(&self) -> usize {
        0
    }

    fn establish(&mut self, work: &Work) -> Result<(), TargetError> {
        self.message = vec![7; work.message_len];
        self.broadcast = framed(KIND, &vec![9; work.broadcast_len]).into();
        let (server, client) = ends(self.encrypted, work.sessions)?;
        let mut ends = Ends {
            server,
            client,
            events: EventBatch::default(),
            sessions: vec![SessionId { index: 0, generation: 0 }; work.sessions],
            opened: 0,
            received: 0,
            again: false,
        };
        for tag in 0..work.sessions {
            ends.client.lane.handle(now(), call(self.encrypted, false, tag as u64));
        }
        let mut guard = StallGuard::default();
        while ends.opened < work.sessions || ends.server.lane.members(Group::Terminals) < work.sessions {
            let busy = ends.turn(&self.message);
            ends.jobs();
            guard.turn(busy)?;
        }
        ends.rest(&self.message);
        self.ends = Some(ends);
        Ok(())
    }

    fn closed_loop(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        let message = self.message.clone();
        let ends = self.ends()?;
        ends.again = true;
        let sessions = ends.sessions.len();
        for session in 0..sessions {
            ends.send(session, &message)?;
        }
        // The first round warms up.
        let warm = ends.received + sessions as u64;
        ends.until(&message, |ends| ends.received >= warm)?;
        let (meter, first) = (Meter::start(), ends.received);
        ends.until(&message, |ends| ends.received - first >= round_trips)?;
        let sample = meter.stop(ends.received - first);
        ends.again = false;
        ends.rest(&message);
        Ok(sample)
    }

    fn ping_pong(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        let message = self.message.clone();
        let ends = self.ends()?;
        let meter = Meter::start();
        for round in 0..round_trips {
            ends.send(ping_pong_session(round, ends.sessions.len()), &message)?;
            let wanted = ends.received + 1;
            ends.until(&message, |ends| ends.received >= wanted)?;
        }
        let sample = meter.stop(round_trips);
        ends.rest(&message);
        Ok(sample)
    }

    fn broadcast(&mut self) -> Result<Sample, TargetError> {
        let (message, broadcast) = (self.message.clone(), Arc::clone(&self.broadcast));
        let ends = self.ends()?;
        let sessions = ends.sessions.len() as u64;
        let wanted = ends.received + sessions;
        let meter = Meter::start();
        let command = Command::Broadcast { group: Group::Terminals, priority: Priority::Normal, message: broadcast };
        ends.server.lane.handle(now(), command);
        ends.until(&message, |ends| ends.received >= wanted)?;
        let sample = meter.stop(sessions);
        ends.rest(&message);
        Ok(sample)
    }

    fn bytes_per_session(&self) -> Option<f64> {
        None
    }

    fn close(&mut self) {
        self.ends = None;
    }
}
