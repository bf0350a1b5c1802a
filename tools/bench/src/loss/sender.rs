//! Who sends: the kernel with one of its congestion controls, or the card on a TAP port. Both do the same work, and sleep
//! until there is some.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hpb_base::Instant;
use hpb_host::sys::{self, wall_ns};
use hpb_net::frame::Bursts;
use hpb_net::{OpenOptions, Port, PortUrl};
use hpb_toe::framing::framed;
use hpb_toe::{Call, Class, Command, Event, EventBatch, Lane, LaneConfig, Priority, SessionId};

use super::{Failed, MESSAGE_KIND, RECEIVER, SENDER, STAMP_LEN, Work};

/// The card's interface: a port of the bridge that the wire's is in, too.
pub(super) const CARD_INTERFACE: &str = "tap0";
/// A sender looks at its orders this often.
const LOOK_NS: u64 = 5_000_000;
/// Bytes of a message of the stream.
const BULK_LEN: usize = 16 << 10;
/// Bytes that wait above the card's send buffer: enough for one turn of it.
const BULK_WAITING_LEN: usize = 256 << 10;
/// Frames that the card may own.
const FRAMES: usize = 4_096;
/// Keys the card's choices, so that each run makes the same.
const SECRET: [u8; 32] = [7; 32];

/// What a sender tells while it runs, and is told.
#[derive(Default)]
pub(super) struct Orders {
    /// Sessions that stand.
    pub(super) sessions: AtomicUsize,
    /// It is to send.
    pub(super) go: AtomicBool,
    /// Messages that count: those stamped at `since_ns` or later.
    pub(super) messages: AtomicU64,
    /// Messages with an earlier stamp do not count.
    pub(super) since_ns: AtomicU64,
    /// It is to send nothing new, and to see to what is under way.
    pub(super) enough: AtomicBool,
    /// It is to end.
    pub(super) stop: AtomicBool,
}

impl Orders {
    pub(super) fn new() -> Self {
        Self { since_ns: AtomicU64::new(u64::MAX), ..Self::default() }
    }

    fn is_sending(&self) -> bool {
        self.go.load(Ordering::Relaxed) && !self.enough.load(Ordering::Relaxed)
    }

    fn count(&self, stamp_ns: u64) {
        if stamp_ns >= self.since_ns.load(Ordering::Relaxed) {
            self.messages.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// When each session's next message is due: all have the same pace, one after the other.
struct Pace {
    every_ns: u64,
    next_ns: Option<u64>,
    sessions: usize,
    turn: usize,
}

impl Pace {
    fn new(work: Work) -> Option<Self> {
        let Work::Messages { sessions, per_second, .. } = work else { return None };
        let every_ns = 1_000_000_000 / (per_second * sessions as u64).max(1);
        Some(Self { every_ns, next_ns: None, sessions, turn: 0 })
    }

    /// The next message that is due: whose it is, and when it was meant to leave.
    fn due(&mut self, now_ns: u64) -> Option<(usize, u64)> {
        let next_ns = *self.next_ns.get_or_insert(now_ns);
        if next_ns > now_ns {
            return None;
        }
        self.next_ns = Some(next_ns + self.every_ns);
        self.turn = (self.turn + 1) % self.sessions;
        Some((self.turn, next_ns))
    }

    fn wait_ns(&self, now_ns: u64) -> u64 {
        self.next_ns.map_or(LOOK_NS, |next_ns| next_ns.saturating_sub(now_ns).min(LOOK_NS))
    }
}

/// A message's body: its stamp, then whatever.
fn body(stamp_ns: u64, len: usize) -> Vec<u8> {
    let mut body = vec![0x5a; len.max(STAMP_LEN)];
    body[..STAMP_LEN].copy_from_slice(&stamp_ns.to_le_bytes());
    body
}

/// The kernel's sockets.
pub(super) fn kernel(work: Work, congestion_control: &str, orders: &Orders) -> Result<(), Failed> {
    sys::wake_punctually();
    let mut streams = Vec::new();
    for _ in 0..work.sessions() {
        let stream = TcpStream::connect(RECEIVER)?;
        stream.set_nodelay(true)?;
        sys::set_congestion_control(&stream, congestion_control)?;
        sys::set_linger_zero(&stream)?;
        stream.set_nonblocking(true)?;
        streams.push((stream, Vec::new()));
    }
    orders.sessions.store(streams.len(), Ordering::Relaxed);
    let mut pace = Pace::new(work);
    while !orders.stop.load(Ordering::Relaxed) {
        let mut wait_ns = LOOK_NS;
        if orders.is_sending() {
            if let Some(pace) = &mut pace {
                while let Some((session, stamp_ns)) = pace.due(wall_ns()) {
                    streams[session].1.extend_from_slice(&framed(MESSAGE_KIND, &body(stamp_ns, work.message_len())));
                    orders.count(stamp_ns);
                }
                wait_ns = pace.wait_ns(wall_ns());
            } else if let (_, waiting) = &mut streams[0]
                && waiting.len() < BULK_LEN
            {
                while waiting.len() < BULK_WAITING_LEN {
                    waiting.extend_from_slice(&framed(MESSAGE_KIND, &body(0, BULK_LEN)));
                }
            }
        }
        let mut is_full = true;
        for (stream, waiting) in streams.iter_mut().filter(|(_, waiting)| !waiting.is_empty()) {
            match stream.write(waiting) {
                Ok(len) => {
                    waiting.drain(..len);
                    is_full &= len == 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        if pace.is_some() || is_full || !orders.is_sending() {
            // A full buffer makes room in the time of a few segments.
            let full_ns = if pace.is_none() && orders.is_sending() { 200_000 } else { wait_ns };
            sys::wait_readable(&[], wait_ns.min(full_ns))?;
        }
    }
    Ok(())
}

/// The card's port, in the host that this thread is in.
pub(super) fn card_port() -> Result<Box<dyn Port>, Failed> {
    let options = OpenOptions { addresses: vec![SENDER.ip()], ..OpenOptions::default() };
    let mut ports = hpb_net::open(&PortUrl::parse(&format!("tap:{CARD_INTERFACE}"))?, &options)?;
    ports.pop().ok_or_else(|| Failed::Other("a port without a queue".to_owned()))
}

/// The card: one lane on this thread.
pub(super) fn card(work: Work, port: Box<dyn Port>, orders: &Orders) -> Result<(), Failed> {
    sys::wake_punctually();
    let now = Instant::from_nanos(wall_ns());
    let config = LaneConfig::new(vec![(SENDER.ip(), super::PREFIX_LEN)], None, SECRET);
    let lane = Lane::new(config, port.capabilities(), now).map_err(|error| Failed::Other(error.to_string()))?;
    let mut card =
        Card { lane, port, bursts: Bursts::new(FRAMES), events: EventBatch::default(), sessions: Vec::new() };
    for tag in 0..work.sessions() as u64 {
        card.lane.handle(now, Command::Open(call(tag)));
    }
    let mut pace = Pace::new(work);
    while !orders.stop.load(Ordering::Relaxed) {
        let now = Instant::from_nanos(wall_ns());
        let mut moved = card.port.rx_burst(now, &mut card.bursts) > 0;
        moved |= card.lane.receive(now, &mut card.bursts);
        card.reap()?;
        orders.sessions.store(card.sessions.len(), Ordering::Relaxed);
        let mut wait_ns = LOOK_NS;
        if orders.is_sending() {
            match &mut pace {
                Some(pace) => {
                    while let Some((session, stamp_ns)) = pace.due(wall_ns()) {
                        card.send(session, &body(stamp_ns, work.message_len()))?;
                        orders.count(stamp_ns);
                        moved = true;
                    }
                    wait_ns = pace.wait_ns(wall_ns());
                }
                None => card.fill()?,
            }
        }
        moved |= card.lane.transmit(now, &mut card.bursts);
        moved |= card.port.tx_burst(now, &mut card.bursts) > 0;
        if !moved {
            let now = Instant::from_nanos(wall_ns());
            let wake_ns = card.lane.wake_at().map_or(LOOK_NS, |wake_at| wake_at.since(now).as_nanos());
            sys::wait_readable(card.port.descriptors(), wait_ns.min(wake_ns))?;
        }
    }
    Ok(())
}

fn call(tag: u64) -> Call {
    Call {
        remote: RECEIVER,
        local: SocketAddr::new(SENDER.ip(), 0),
        class: Class::Validator,
        responder: None,
        identity: None,
        tag,
        keep: false,
    }
}

struct Card {
    lane: Lane,
    port: Box<dyn Port>,
    bursts: Bursts,
    events: EventBatch,
    sessions: Vec<SessionId>,
}

impl Card {
    fn reap(&mut self) -> Result<(), Failed> {
        self.lane.take_events(&mut self.events);
        for event in self.events.iter() {
            match event {
                Event::Opened { session, .. } => self.sessions.push(session),
                Event::Closed { reason, .. } => return Err(Failed::Other(format!("a session ended: {reason:?}"))),
                Event::Message { .. } => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, session: usize, body: &[u8]) -> Result<(), Failed> {
        let sent = self.lane.send(self.sessions[session], Priority::Critical, MESSAGE_KIND, body);
        sent.map_err(|error| Failed::Other(error.to_string()))
    }

    /// Keeps the stream from running dry.
    fn fill(&mut self) -> Result<(), Failed> {
        let (rows, _) = self.lane.table(0, 1);
        let mut waiting_len = rows.first().map_or(0, |row| row.outbox_len);
        while waiting_len < BULK_WAITING_LEN {
            self.send(0, &body(0, BULK_LEN))?;
            waiting_len += BULK_LEN;
        }
        Ok(())
    }
}
