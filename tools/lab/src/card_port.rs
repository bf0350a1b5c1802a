//! The card on ports of this host: a client's card and a server's, each on its own core, over a cable between two hosts
//! of the run's own. Where the time of messages went is stamped.
//!
//! The port is named by its scheme, with options if any: `packet:`, `xdp:`, `xdp:?mode=copy`. The interface is the
//! cable's. `tap:` puts the server's card on a TAP interface of the client's host, and the client's on a packet socket
//! of the same interface.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::limits::TERMINAL_MESSAGE_LEN_MAX;
use hpb_base::{Duration, Instant};
use hpb_net::frame::Bursts;
use hpb_net::{OpenError, OpenOptions, Port, PortUrl};
use hpb_sandbox::Host;
use hpb_toe::framing::framed;
use hpb_toe::{Call, Class, Command, Event, EventBatch, Group, Identity, Lane, LaneConfig, Priority, SessionId};
use hpb_types::keys::Hash;
use hpb_types::units::ChainId;

use crate::hops::{self, Doors, LaneSums, Named};
use crate::host::carrier::{Carrier, EVERYBODY, Head, stamp, stamped};
use crate::host::logs::{spans, spans_of_all};
use crate::host::stage::{CABLE, CLIENT, Cores, Done, PORT, PREFIX_LEN, Run, SERVER, Stage, began};
use crate::host::window::{UnixClock, now};
use crate::host::{check, lacking};
use crate::record::Repeat;
use crate::scenario::{Pattern, Scenario, TargetSpec};
use crate::target::{Stop, Target, TargetError};

const CHAIN: ChainId = ChainId(Hash([0; 32]));
/// What a message of the lab is.
const KIND: u8 = 1;
/// Seeds of the identities.
const SERVER_SEED: [u8; 32] = [1; 32];
const CLIENT_SEED: [u8; 32] = [2; 32];
/// Frames that one lane may own.
const FRAMES: usize = 16_384;
/// The TAP interface's name.
const TAP: &str = "tap0";

/// The card on ports as a target.
pub struct CardPort {
    name: String,
    /// Scheme and query of the ports.
    scheme: String,
    query: String,
    encrypted: bool,
    cores: Cores,
    began: Option<Instant>,
}

/// One end of all sessions: a lane, its port, and what is known of its sessions.
struct End {
    lane: Lane,
    port: Box<dyn Port>,
    bursts: Bursts,
    events: EventBatch,
    /// A client's sessions by tag, a server's in the order of their opening.
    ids: Vec<Option<SessionId>>,
    open: usize,
    wanted: usize,
    /// Whether it speaks to all.
    is_broadcasting: bool,
    lost: u64,
}

impl CardPort {
    /// The card on ports named by `port`.
    ///
    /// # Errors
    /// [`TargetError::Unavailable`] for a port or a load that it cannot be on.
    pub fn new(spec: &TargetSpec, port: &str, scenario: &Scenario) -> Result<Self, TargetError> {
        check(scenario)?;
        let refuse = |reason: String| Err(TargetError::Unavailable(reason));
        if matches!(scenario.load.pattern, Pattern::Reconnect | Pattern::Confirm) {
            return refuse(
                "the card on ports asks and answers, sends one way, fans out and in, and nothing else".to_owned(),
            );
        }
        let (name, query) = port.split_once('?').map_or((port, ""), |(name, query)| (name, query));
        let scheme = name.trim_end_matches(':');
        if !matches!(scheme, "packet" | "xdp" | "tap") || !query.is_empty() && scheme == "tap" {
            return refuse(format!("the lab puts cards on `packet:`, `xdp:` and `tap:`, not on `{port}`"));
        }
        Ok(Self {
            name: spec.name.clone(),
            scheme: scheme.to_owned(),
            query: if query.is_empty() { String::new() } else { format!("?{query}") },
            encrypted: spec.encrypted,
            cores: Cores::choose()?,
            began: None,
        })
    }

    /// Which frames say when they arrived: those that packet sockets receive.
    fn doors(&self, is_from_server: bool, clock: UnixClock) -> Option<Doors> {
        let unix_ahead = clock.ahead()?;
        let (at_client, at_server) = (self.scheme != "xdp", self.scheme == "packet");
        let (there, back) = if is_from_server { (at_client, at_server) } else { (at_server, at_client) };
        Some(Doors { there, back, unix_ahead })
    }

    /// Both ports, the client's first.
    fn ports(&self, stage: &Stage) -> Result<[Box<dyn Port>; 2], TargetError> {
        let Self { scheme, query, .. } = self;
        if scheme == "tap" {
            let server = open(&stage.client, &format!("tap:{TAP}"), SERVER.into())?;
            return Ok([open(&stage.client, &format!("packet:{TAP}"), CLIENT.into())?, server]);
        }
        if scheme == "xdp" {
            for host in [&stage.client, &stage.server] {
                host.set_offloads(CABLE, false).map_err(|error| lacking(&error))?;
            }
        }
        let url = format!("{scheme}:{CABLE}{query}");
        Ok([open(&stage.client, &url, CLIENT.into())?, open(&stage.server, &url, SERVER.into())?])
    }

    /// Both ends, the client's first, with its calls placed.
    fn ends(&self, stage: &Stage, scenario: &Scenario) -> Result<[End; 2], TargetError> {
        let load = &scenario.load;
        let is_short = load.request_len.max(load.reply_len) as usize <= TERMINAL_MESSAGE_LEN_MAX;
        let (served, called) =
            if is_short { (Class::Terminal, Class::Uplink) } else { (Class::Validator, Class::Validator) };
        let [near, far] = self.ports(stage)?;
        let is_broadcasting = load.pattern == Pattern::FanOut;
        let sessions = scenario.sessions as usize;
        let mut client = End::new(near, CLIENT.into(), CLIENT_SEED, self.encrypted, sessions, false)?;
        let mut server = End::new(far, SERVER.into(), SERVER_SEED, self.encrypted, sessions, is_broadcasting)?;
        let encrypted = self.encrypted;
        server.lane.handle(now(), Command::Listen { port: PORT, class: served, encrypted });
        for tag in 0..scenario.sessions {
            let call = Call {
                remote: SocketAddr::new(SERVER.into(), PORT),
                local: SocketAddr::new(CLIENT.into(), 0),
                class: called,
                responder: encrypted.then(|| Identity::new(SERVER_SEED, CHAIN).public()),
                identity: None,
                tag: u64::from(tag),
                keep: false,
            };
            client.lane.handle(now(), Command::Open(call));
        }
        Ok([client, server])
    }
}

impl Target for CardPort {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> String {
        let Self { scheme, query, encrypted, .. } = self;
        let Cores { client, server } = self.cores;
        let records = if *encrypted { "encrypted" } else { "plain" };
        format!(
            "the card on {scheme}:{query} over a virtual cable, {records}, without sleeping; the client on core {client}, \
             the server on core {server}"
        )
    }

    fn repeat(&mut self, scenario: &Scenario, number: u32, stop: Stop<'_>) -> Result<Repeat, TargetError> {
        let began = began(&mut self.began);
        let stage = if self.scheme == "tap" { Stage::unconnected()? } else { Stage::new()? };
        let [client, server] = self.ends(&stage, scenario)?;
        let run = Run { scenario, number, began, cores: self.cores, stop };
        let clock = UnixClock::read();
        let Done { mut near, mut far, mut repeat } = run.carry(client, server)?;
        if let (Some(mut near_stamps), Some(far_stamps)) =
            (near.carrier.lane.set_stamps(None), far.carrier.lane.set_stamps(None))
        {
            let is_answered = scenario.load.pattern == Pattern::RequestReply;
            let arrivals = if is_answered { &near.arrivals } else { &far.arrivals };
            let ids = |end: &End| -> Vec<SessionId> { end.ids.iter().flatten().copied().collect() };
            let (named, spans) = if run.is_from_server() {
                (Named::ByFar, spans_of_all(&near.window, &ids(&far.carrier), &near.sent, arrivals))
            } else {
                (Named::ByNear, spans(&near.window, &ids(&near.carrier), &near.sent, arrivals))
            };
            let mut sums = LaneSums::new(is_answered, self.doors(run.is_from_server(), clock));
            sums.take(&near_stamps, &far_stamps, named, &spans);
            repeat.hops = sums.finish();
            repeat.cost.stamps = near_stamps.readings() + far_stamps.readings();
            repeat.cost.stamp_ns = near_stamps.cost().as_nanos();
        }
        Ok(repeat)
    }
}

/// Opens one port inside a host.
fn open(host: &Host, url: &str, own: IpAddr) -> Result<Box<dyn Port>, TargetError> {
    let unavailable = |error: OpenError| TargetError::Unavailable(error.to_string());
    let options = OpenOptions { addresses: vec![own], stamps: true, ..OpenOptions::default() };
    let url = PortUrl::parse(url).map_err(unavailable)?;
    let opened = host.run(|| hpb_net::open(&url, &options)).map_err(|error| lacking(&error))?;
    let first = opened.map_err(unavailable)?.into_iter().next();
    first.ok_or_else(|| TargetError::Failed(format!("{url} opened without a queue")))
}

impl End {
    fn new(
        port: Box<dyn Port>,
        address: IpAddr,
        seed: [u8; 32],
        encrypted: bool,
        sessions: usize,
        is_broadcasting: bool,
    ) -> Result<Self, TargetError> {
        let identity = encrypted.then(|| Arc::new(Identity::new(seed, CHAIN)));
        let mut config = LaneConfig::new(vec![(address, PREFIX_LEN)], identity, seed);
        config.sessions_max = sessions;
        config.handshake_timeout = Duration::from_secs(30);
        let failed = |error: hpb_toe::LaneError| TargetError::Unavailable(error.to_string());
        let mut lane = Lane::new(config, port.capabilities(), now()).map_err(failed)?;
        lane.set_stamps(Some(hops::stamps(sessions as u32, now)));
        Ok(Self {
            lane,
            port,
            bursts: Bursts::new(FRAMES),
            events: EventBatch::default(),
            ids: Vec::with_capacity(sessions),
            open: 0,
            wanted: sessions,
            is_broadcasting,
            lost: 0,
        })
    }

    /// Which of its sessions an event's tag names; those that came in have none.
    fn opened(&mut self, session: SessionId, tag: u64, called: bool) {
        self.open += 1;
        let place = if called { tag as usize } else { self.ids.len() };
        if self.ids.len() <= place {
            self.ids.resize(place + 1, None);
        }
        self.ids[place] = Some(session);
        if self.is_broadcasting {
            self.lane.handle(now(), Command::Join { session, group: Some(Group::Terminals) });
        }
    }
}

impl Carrier for End {
    fn is_open(&self) -> bool {
        self.open == self.wanted && (!self.is_broadcasting || self.lane.members(Group::Terminals) == self.wanted)
    }

    fn receive(&mut self, answer: &mut [u8], take: &mut dyn FnMut(Head) -> bool) -> Result<(), TargetError> {
        let at = now();
        if self.port.rx_burst(at, &mut self.bursts) > 0
            && let Some(stamps) = self.lane.stamps()
        {
            stamps.burst_taken();
        }
        self.lane.receive(at, &mut self.bursts);
        let mut events = std::mem::take(&mut self.events);
        self.lane.take_events(&mut events);
        let at = if events.is_empty() { at } else { now() };
        for event in events.iter() {
            match event {
                Event::Message { session, tag, kind: KIND, body } => {
                    let Some((number, intended)) = stamped(body) else { continue };
                    if take(Head { session: tag as u32, number, intended, at }) {
                        stamp(answer, number, intended);
                        // A session that is gone takes no answer: its client counts it.
                        let _ = self.lane.send(session, Priority::Normal, KIND, answer);
                    }
                }
                Event::Message { .. } => {}
                Event::Opened { session, tag, called, .. } => self.opened(session, tag, called),
                Event::Closed { reason, was_open: false, .. } => {
                    return Err(TargetError::Failed(format!("a session did not open: {reason:?}")));
                }
                Event::Closed { .. } => self.lost += 1,
            }
        }
        self.events = events;
        while let Some(job) = self.lane.take_job() {
            self.lane.finish_job(now(), job.run());
        }
        Ok(())
    }

    fn send(&mut self, session: u32, message: &[u8]) -> Result<bool, TargetError> {
        if session == EVERYBODY {
            let message: Arc<[u8]> = framed(KIND, message).into();
            let group = Group::Terminals;
            self.lane.handle(now(), Command::Broadcast { group, priority: Priority::Normal, message });
            return Ok(true);
        }
        let Some(id) = self.ids.get(session as usize).copied().flatten() else { return Ok(false) };
        Ok(self.lane.send(id, Priority::Normal, KIND, message).is_ok())
    }

    fn flush(&mut self) -> Result<(), TargetError> {
        let at = now();
        self.lane.transmit(at, &mut self.bursts);
        self.port.tx_burst(at, &mut self.bursts);
        if self.bursts.tx.is_empty()
            && let Some(stamps) = self.lane.stamps()
        {
            stamps.burst_given();
        }
        Ok(())
    }

    fn retransmitted(&self) -> u64 {
        self.lane.counters().retransmitted
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}
