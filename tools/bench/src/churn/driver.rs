//! The world of the churn: a server's and a client's lane and a stranger on one wire, on virtual time, in one thread.
//!
//! Time goes from one thing that happens to the next and never waits for a clock, so that the same seed gives the same
//! run on every machine, resident memory aside.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hpb_base::limits::TERMINAL_MESSAGE_LEN_MAX;
use hpb_base::{Duration, Instant, Random};
use hpb_host::sys;
use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_net::wire::{LinkConfig, WireBuilder, WirePort};
use hpb_toe::framing::framed;
use hpb_toe::registers::Register;
use hpb_toe::segment::{FlowKey, SYN, Spoken};
use hpb_toe::{
    Call, Class, CloseReason, Command, Event, EventBatch, Holdings, Identity, Lane, LaneConfig, Priority, SessionId,
};
use hpb_types::keys::Hash;
use hpb_types::units::ChainId;

use super::ending::{Ending, Heard};
use super::{Options, SAMPLES, SEED};
use crate::memory;
use crate::target::TargetError;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 4));
/// Takes the sessions of terminals, encrypted or not as the run is.
const PORT: u16 = 30_303;
/// The same for a class that may send what a terminal must not.
const WIDE_PORT: u16 = 30_304;
/// Takes encrypted sessions in every run.
const SEALED_PORT: u16 = 30_305;
const CLOSED_PORT: u16 = 30_306;
const CHAIN: ChainId = ChainId(Hash([0; 32]));
const KIND: u8 = 1;

/// From the start of one session to that of the next: the 64,512 ports of the client come round sooner than TIME-WAIT is
/// over.
pub(super) const INTERVAL: Duration = Duration::from_micros(800);
/// One way on the wire.
const DELAY: Duration = Duration::from_micros(200);
/// Frames of a million that the wire loses, and as many that it doubles: what a lost FIN or reset leaves behind is part
/// of the churn.
const FAULTS_PPM: u32 = 500;
/// SYNs a second that the server takes without a cookie: one in ten less than come.
const SYNS_PER_SECOND: u32 = 1_000;
/// Sessions of one source at most: more than there are, so that the table counts and refuses nobody.
const SESSIONS_PER_SOURCE: u32 = 1 << 16;
const SESSIONS: usize = 1 << 14;
const FRAMES: usize = 8_192;
/// The longest body of a message in bytes, less its number: of the server several segments, of the client one. Behind a
/// cookie the server knows a caller by its first segment alone: where that is lost, a second one meets a reset, as it
/// does in the kernel (RFC 4987 section 3.6), and the session would end so by chance.
const BODY_LEN_MAX: [u64; 2] = [4_000, 1_300];
/// Bytes of a body that name its session.
const NUMBER_LEN: usize = 8;
/// Turns without a moment passing before the lanes count as running wild.
const TURNS_MAX: u32 = 1_000_000;

/// Which lane.
const AT_SERVER: usize = 0;
const AT_CLIENT: usize = 1;

/// What the run held at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moment {
    /// Sessions begun until then.
    pub(super) cycles: u64,
    /// Since the start, in virtual time.
    pub(super) at: Duration,
    /// The process's resident bytes, after the heap's free pages were given back.
    pub(super) resident: u64,
    /// The server's lane, then the client's.
    pub(super) held: [Holdings; 2],
    /// Frames of their pools that are not free.
    pub(super) frames: [usize; 2],
}

/// What happened, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    /// Sessions made to end so, by [`Ending`].
    pub(super) made: [u64; Ending::ALL.len()],
    /// Those that both sides heard the right thing of. Of what times out at the server, only the client's side.
    pub(super) right: [u64; Ending::ALL.len()],
    /// Sessions that a side heard something else of.
    pub(super) wrong: u64,
    /// Sessions that the server gave up in the handshake.
    pub(super) given_up: u64,
    /// Sessions of the server that closed otherwise and belong to nobody.
    pub(super) unknown: u64,
    /// Messages whose bytes were checked, both ways together.
    pub(super) messages: u64,
    /// Bytes of their bodies.
    pub(super) bytes: u64,
    /// Messages that were not what was sent, came twice, or could not be sent.
    pub(super) spoilt: u64,
    /// Times that the client's ports came round.
    pub(super) laps: u64,
}

/// What the driver found.
pub(super) struct Figures {
    pub(super) tally: Tally,
    /// Before the first session, at each tenth, and at rest.
    pub(super) moments: Vec<Moment>,
    /// Sessions that were still not over at rest.
    pub(super) unfinished: u64,
    pub(super) reopened: u64,
    pub(super) cookies_taken: u64,
    pub(super) cookies_lost: u64,
    pub(super) retransmitted: u64,
    pub(super) handshakes: u64,
}

struct Side {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
}

/// A session under way.
struct Cycle {
    ending: Ending,
    client: Option<SessionId>,
    /// The server's, once it has the client's message.
    server: Option<SessionId>,
    client_heard: Option<Heard>,
    server_heard: Option<Heard>,
    is_answered: bool,
}

pub(super) struct Driver {
    cycles: u64,
    encrypted: bool,
    begin: Instant,
    now: Instant,
    sides: [Side; 2],
    stranger: (WirePort, Bursts),
    random: Random,
    begun: u64,
    under_way: BTreeMap<u64, Cycle>,
    /// The server's sessions whose message came.
    numbers: BTreeMap<SessionId, u64>,
    too_long: Arc<[u8]>,
    events: EventBatch,
    body: Vec<u8>,
    tally: Tally,
    moments: Vec<Moment>,
    /// Third of the port range in which the client's last session was.
    third: u16,
    /// How long it takes until nothing is waited for.
    rest: Duration,
}

fn identity(side: usize) -> Identity {
    Identity::new([side as u8 + 1; 32], CHAIN)
}

fn config(side: usize, address: IpAddr) -> LaneConfig {
    let mut config = LaneConfig::new(vec![(address, 8)], Some(Arc::new(identity(side))), [side as u8 + 1; 32]);
    config.sessions_max = SESSIONS;
    config.guard.sessions_per_source_max = SESSIONS_PER_SOURCE;
    config.guard.sessions_per_prefix_max = SESSIONS_PER_SOURCE;
    config.guard.syns_per_second_max = SYNS_PER_SECOND;
    config
}

fn other(error: &dyn std::fmt::Display) -> TargetError {
    TargetError::Other(error.to_string())
}

impl Side {
    fn new(side: usize, address: IpAddr, port: WirePort, now: Instant) -> Result<Self, TargetError> {
        let mut lane = Lane::new(config(side, address), port.capabilities(), now).map_err(|error| other(&error))?;
        lane.handle(now, Command::SetRegister { register: Register::NoSession, value: 1 });
        Ok(Self { lane, port, bursts: Bursts::new(FRAMES) })
    }
}

impl Driver {
    pub(super) fn new(options: &Options) -> Result<Self, TargetError> {
        let link =
            LinkConfig { delay: DELAY, loss_ppm: FAULTS_PPM, duplicate_ppm: FAULTS_PPM, ..LinkConfig::default() };
        let mut builder = WireBuilder::new(SEED).default_link(link);
        for address in [SERVER, CLIENT] {
            builder.port(&[address]);
        }
        let stranger = builder.port(&[STRANGER]);
        // What the stranger sends arrives, once: each of its SYNs is one session that dies.
        builder.link(stranger, AT_SERVER, LinkConfig { delay: DELAY, ..LinkConfig::default() });
        let mut ports = builder.build().map_err(|error| other(&error))?.into_iter();
        let (Some(server), Some(client), Some(stranger)) = (ports.next(), ports.next(), ports.next()) else {
            return Err(TargetError::Other("a wire of three ports has three".to_owned()));
        };
        let begin = Instant::from_millis(1_000);
        let mut server = Side::new(AT_SERVER, SERVER, server, begin)?;
        let listeners = [
            (PORT, Class::Terminal, options.encrypted),
            (WIDE_PORT, Class::Uplink, options.encrypted),
            (SEALED_PORT, Class::Terminal, true),
        ];
        for (port, class, encrypted) in listeners {
            server.lane.handle(begin, Command::Listen { port, class, encrypted });
        }
        let config = config(AT_SERVER, SERVER);
        let rest = [config.guard.time_wait, config.peer_timeout.unwrap_or_default(), config.handshake_timeout];
        Ok(Self {
            cycles: options.cycles,
            encrypted: options.encrypted,
            begin,
            now: begin,
            sides: [server, Side::new(AT_CLIENT, CLIENT, client, begin)?],
            stranger: (stranger, Bursts::new(FRAMES)),
            random: Random::new(SEED),
            begun: 0,
            under_way: BTreeMap::new(),
            numbers: BTreeMap::new(),
            too_long: framed(KIND, &vec![0; TERMINAL_MESSAGE_LEN_MAX + 1]).into(),
            events: EventBatch::default(),
            body: Vec::new(),
            tally: Tally::default(),
            moments: Vec::with_capacity(SAMPLES + 2),
            third: 0,
            rest: rest.into_iter().fold(Duration::ZERO, |sum, span| sum + span),
        })
    }

    /// All sessions, and the time until nothing is left of them.
    pub(super) fn run(mut self, progress: &mut dyn FnMut(&str)) -> Result<Figures, TargetError> {
        self.sample()?;
        for tenth in 1..=SAMPLES as u64 {
            let until = self.cycles * tenth / SAMPLES as u64;
            while self.begun < until {
                let due = self.begin + Duration::from_nanos(INTERVAL.as_nanos() * self.begun);
                self.until(due)?;
                self.start();
            }
            progress(&format!("{until} of {} sessions begun", self.cycles));
            self.sample()?;
        }
        progress("waiting until nothing is left of them");
        self.until(self.now + self.rest)?;
        self.sample()?;
        let counters = self.sides.each_ref().map(|side| *side.lane.counters());
        let [server, client] = counters;
        Ok(Figures {
            tally: self.tally,
            moments: self.moments,
            unfinished: self.under_way.len() as u64,
            reopened: server.reopened,
            cookies_taken: server.cookies_taken,
            cookies_lost: server.cookies_sent - server.cookies_taken,
            retransmitted: server.retransmitted + client.retransmitted,
            handshakes: server.handshakes,
        })
    }

    fn sample(&mut self) -> Result<(), TargetError> {
        // Free pages of the heap are no growth.
        sys::heap_trim();
        let moment = Moment {
            cycles: self.begun,
            at: self.now.since(self.begin),
            resident: memory::resident().map_err(|error| other(&error))?,
            held: self.sides.each_ref().map(|side| side.lane.holdings()),
            frames: self.sides.each_ref().map(|side| side.bursts.pool.in_use()),
        };
        self.moments.push(moment);
        Ok(())
    }

    /// Lets everything happen that happens until `until`.
    fn until(&mut self, until: Instant) -> Result<(), TargetError> {
        loop {
            let mut turns = 0;
            while self.turn() {
                turns += 1;
                if turns > TURNS_MAX {
                    return Err(TargetError::Other("the lanes do not come to rest".to_owned()));
                }
            }
            let wakes = self.sides.iter().flat_map(|side| [side.lane.wake_at(), side.port.wake_at()]);
            let next = wakes.chain([self.stranger.0.wake_at()]).flatten().min();
            match next {
                Some(at) if at <= until => self.now = at.max(self.now + Duration::from_nanos(1)),
                _ => break,
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// One turn of all; returns whether anything happened.
    fn turn(&mut self) -> bool {
        let now = self.now;
        let (port, bursts) = &mut self.stranger;
        let mut busy = port.rx_burst(now, bursts) > 0;
        bursts.recycle_rx();
        for at in [AT_SERVER, AT_CLIENT] {
            let side = &mut self.sides[at];
            busy |= side.port.rx_burst(now, &mut side.bursts) > 0;
            busy |= side.lane.receive(now, &mut side.bursts);
            while let Some(job) = side.lane.take_job() {
                side.lane.finish_job(now, job.run());
                busy = true;
            }
            let mut events = std::mem::take(&mut self.events);
            side.lane.take_events(&mut events);
            for event in events.iter() {
                busy = true;
                if at == AT_SERVER { self.at_server(event) } else { self.at_client(event) }
            }
            self.events = events;
            let side = &mut self.sides[at];
            busy |= side.lane.transmit(now, &mut side.bursts);
            busy |= side.port.tx_burst(now, &mut side.bursts) > 0;
        }
        busy
    }

    /// Begins the next session.
    fn start(&mut self) {
        let (number, now) = (self.begun, self.now);
        let ending = Ending::drawn(&mut self.random);
        self.begun += 1;
        self.tally.made[ending as usize] += 1;
        if ending == Ending::Abandoned {
            return self.abandon();
        }
        let remote = match ending {
            Ending::ResetByClient => SocketAddr::new(SERVER, WIDE_PORT),
            Ending::Mute => SocketAddr::new(SERVER, SEALED_PORT),
            Ending::Refused => SocketAddr::new(SERVER, CLOSED_PORT),
            Ending::Unanswered => SocketAddr::new(NOBODY, PORT),
            _ => SocketAddr::new(SERVER, PORT),
        };
        // What the client's class does not take breaks the framing.
        let class = if ending == Ending::ResetByClient { Class::Terminal } else { Class::Uplink };
        let is_sealed = self.encrypted && ending != Ending::Mute;
        let call = Call {
            remote,
            local: SocketAddr::new(CLIENT, 0),
            class,
            responder: is_sealed.then(|| identity(AT_SERVER).public()),
            identity: None,
            tag: number,
            keep: false,
        };
        let cycle =
            Cycle { ending, client: None, server: None, client_heard: None, server_heard: None, is_answered: false };
        self.under_way.insert(number, cycle);
        self.sides[AT_CLIENT].lane.handle(now, Command::Open(call));
    }

    /// A SYN of somebody who says nothing more.
    fn abandon(&mut self) {
        let (port, bursts) = &mut self.stranger;
        let Some(mut frame) = bursts.pool.take() else { return };
        // From another port each time, as long as the server remembers.
        let local = SocketAddr::new(STRANGER, (self.tally.made[Ending::Abandoned as usize] as u16).max(1));
        let flow = FlowKey::new(SocketAddr::new(SERVER, PORT), local);
        let seq = self.random.next_u64() as u32;
        Spoken { flow, seq, ack: 0, flags: SYN, window: u16::MAX, mss: Some(1_460) }.write(&mut frame);
        bursts.tx.push_back(frame);
        port.tx_burst(self.now, bursts);
    }

    /// What side `from` says in session `number`.
    fn write_body(body: &mut Vec<u8>, number: u64, from: usize) {
        let mut random = Random::stream(number, from as u64);
        body.resize(NUMBER_LEN + random.below(BODY_LEN_MAX[from]) as usize, 0);
        body[..NUMBER_LEN].copy_from_slice(&number.to_le_bytes());
        random.fill(&mut body[NUMBER_LEN..]);
    }

    fn say(&mut self, from: usize, session: SessionId, number: u64) {
        Self::write_body(&mut self.body, number, from);
        let sent = self.sides[from].lane.send(session, Priority::Normal, KIND, &self.body);
        self.tally.spoilt += u64::from(sent.is_err());
    }

    /// Compares what came with what side `from` said in session `number`.
    fn check(&mut self, number: u64, from: usize, body: &[u8]) {
        Self::write_body(&mut self.body, number, from);
        self.tally.messages += 1;
        self.tally.bytes += body.len() as u64;
        self.tally.spoilt += u64::from(self.body != body);
    }

    fn at_server(&mut self, event: Event<'_>) {
        match event {
            Event::Opened { remote, .. } => self.count_lap(remote),
            Event::Message { session, body, .. } => {
                let number = body.first_chunk::<NUMBER_LEN>().map(|bytes| u64::from_le_bytes(*bytes));
                let known = number.and_then(|number| Some((number, self.under_way.get_mut(&number)?)));
                match known {
                    Some((number, cycle)) if cycle.server.is_none() => {
                        cycle.server = Some(session);
                        self.numbers.insert(session, number);
                        self.check(number, AT_CLIENT, body);
                        self.say(AT_SERVER, session, number);
                    }
                    _ => self.tally.spoilt += 1,
                }
            }
            Event::Closed { session, reason, was_open, .. } => match self.numbers.remove(&session) {
                Some(number) => {
                    if let Some(cycle) = self.under_way.get_mut(&number) {
                        cycle.server_heard = Some((reason, was_open));
                    }
                    self.settle(number);
                }
                None if (reason, was_open) == (CloseReason::HandshakeTimeout, false) => self.tally.given_up += 1,
                None => self.tally.unknown += 1,
            },
        }
    }

    fn at_client(&mut self, event: Event<'_>) {
        match event {
            Event::Opened { session, tag, .. } => {
                let Some(cycle) = self.under_way.get_mut(&tag) else { return };
                cycle.client = Some(session);
                if cycle.ending.has_messages() {
                    self.say(AT_CLIENT, session, tag);
                }
            }
            Event::Message { tag, body, .. } => match self.under_way.get_mut(&tag) {
                Some(cycle) if !cycle.is_answered => {
                    cycle.is_answered = true;
                    self.check(tag, AT_SERVER, body);
                    self.end(tag);
                }
                _ => self.tally.spoilt += 1,
            },
            Event::Closed { tag, reason, was_open, .. } => {
                if let Some(cycle) = self.under_way.get_mut(&tag) {
                    cycle.client_heard = Some((reason, was_open));
                }
                self.settle(tag);
            }
        }
    }

    /// Ends a session whose messages have passed.
    fn end(&mut self, number: u64) {
        let now = self.now;
        let Some(Cycle { ending, client: Some(client), server: Some(server), .. }) = self.under_way.get(&number) else {
            self.tally.spoilt += 1;
            return;
        };
        let (ending, sessions) = (*ending, [*server, *client]);
        let (close, breaks): (&[usize], Option<usize>) = match ending {
            Ending::ClientFirst => (&[AT_CLIENT], None),
            Ending::ServerFirst => (&[AT_SERVER], None),
            Ending::BothAtOnce => (&[AT_CLIENT, AT_SERVER], None),
            Ending::ResetByServer => (&[], Some(AT_CLIENT)),
            Ending::ResetByClient => (&[], Some(AT_SERVER)),
            Ending::Refused | Ending::Mute | Ending::Unanswered | Ending::Abandoned => (&[], None),
        };
        for side in close {
            self.sides[*side].lane.handle(now, Command::Close { session: sessions[*side] });
        }
        if let Some(side) = breaks {
            let sent = self.sides[side].lane.send_shared(sessions[side], Priority::Normal, &self.too_long);
            self.tally.spoilt += u64::from(sent.is_err());
        }
    }

    /// Looks whether a session is over on both sides, and whether both heard the right thing.
    fn settle(&mut self, number: u64) {
        let Some(cycle) = self.under_way.get(&number) else { return };
        let is_over = cycle.client_heard.is_some() && (cycle.server.is_none() || cycle.server_heard.is_some());
        if !is_over {
            return;
        }
        let Cycle { ending, client_heard, server_heard, is_answered, .. } = *cycle;
        let is_right = client_heard == ending.client_hears()
            && server_heard == ending.server_hears()
            && is_answered == ending.has_messages();
        self.under_way.remove(&number);
        self.tally.right[ending as usize] += u64::from(is_right);
        self.tally.wrong += u64::from(!is_right);
    }

    /// Follows the client's ports through the thirds of their range; one that comes late is in the third before.
    fn count_lap(&mut self, remote: SocketAddr) {
        let third = remote.port() / (u16::MAX / 3 + 1);
        if remote.ip() == CLIENT && third == (self.third + 1) % 3 {
            self.third = third;
            self.tally.laps += u64::from(third == 0);
        }
    }
}
