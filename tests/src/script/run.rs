//! Runs a script line by line against a card.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;

use hpb_base::limits::SCRIPT_TRACE_LINES_MAX;
use hpb_base::{Duration, Instant};
use hpb_toe::{Call, Command, Priority};

use super::driver::{BEGIN, Driver, Stamped, Told, card_address, peer_address};
use super::language::{Action, CARD_PORT, Event, From, Given, Line, Message, Script, Segment, When};
use super::matcher;
use super::packet::{self, Packet, SYN};
use super::streams::Link;

const PEER_WINDOW: u16 = 65_535;

/// Why a script failed: where, what was expected, what came, and all that happened before.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The script's name.
    pub script: String,
    /// The line's number and its text; the end is a line, too.
    pub line: (usize, String),
    /// What the line expects.
    pub expected: String,
    /// What came instead.
    pub came: String,
    /// What happened, oldest first; the latest [`SCRIPT_TRACE_LINES_MAX`] lines.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}.script, line {}: {}", self.script, self.line.0, self.line.1)?;
        writeln!(f, "  expected: {}", self.expected)?;
        writeln!(f, "  came:     {}", self.came)?;
        writeln!(f, "  all that happened:")?;
        self.trace.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl std::error::Error for Failure {}

/// What a line expected, and what came.
struct Mismatch {
    expected: String,
    came: String,
}

type Checked = Result<(), Mismatch>;

impl std::convert::From<String> for Mismatch {
    fn from(came: String) -> Self {
        Self { expected: "the line can be done".to_owned(), came }
    }
}

/// Runs `script` to its end.
///
/// # Errors
/// The first line that does not hold.
pub fn run(script: &Script) -> Result<(), Box<Failure>> {
    let fail = |line: (usize, String), mismatch: Mismatch, trace: Vec<String>| {
        let Mismatch { expected, came } = mismatch;
        Box::new(Failure { script: script.name.clone(), line, expected, came, trace })
    };
    let begin = (0, "the script's begin".to_owned());
    let driver = Driver::new(&script.settings).map_err(|error| fail(begin, error.into(), Vec::new()))?;
    let mut run = Run {
        script,
        driver,
        links: BTreeMap::new(),
        card_port: CARD_PORT,
        before: BEGIN,
        trace: VecDeque::new(),
        noted_sent: 0,
        noted_told: 0,
    };
    for line in &script.lines {
        if let Err(mismatch) = run.line(line) {
            return Err(fail((line.number, line.text.clone()), mismatch, run.into_trace()));
        }
    }
    if let Err(mismatch) = run.end() {
        let number = script.lines.last().map_or(0, |line| line.number + 1);
        return Err(fail((number, "the script's end".to_owned()), mismatch, run.into_trace()));
    }
    Ok(())
}

struct Run<'a> {
    script: &'a Script,
    driver: Driver,
    /// By the peer's port.
    links: BTreeMap<u16, Link>,
    card_port: u16,
    /// The time of the line before.
    before: Instant,
    trace: VecDeque<String>,
    /// How many of the waiting frames, and of the waiting events, the trace has already.
    noted_sent: usize,
    noted_told: usize,
}

impl Run<'_> {
    fn line(&mut self, line: &Line) -> Checked {
        let due_at = match line.when.from {
            From::Begin => BEGIN + line.when.span,
            From::Before => self.before + line.when.span,
            From::Within => self.before,
        };
        let result = match &line.action {
            Action::Expect(segment) => self.expect_segment(line.when, due_at, segment),
            Action::ExpectEvent { peer, event } => self.expect_event(line.when, due_at, *peer, event),
            other => self.advance(due_at, |_| false).and_then(|()| self.act(other)),
        };
        self.note();
        self.before = self.driver.now;
        result
    }

    /// Does, or looks at, something at the present moment.
    fn act(&mut self, action: &Action) -> Checked {
        match action {
            Action::Listen { port, class } => {
                self.card_port = *port;
                self.tell(&format!("card listens at {port}"));
                self.driver.handle(Command::Listen { port: *port, class: *class, encrypted: false })?;
            }
            Action::Connect { peer, local, class, keep } => {
                self.card_port = *local;
                self.tell(&format!("card connects to {peer}"));
                let family = self.script.settings.family;
                let call = Call {
                    remote: SocketAddr::new(peer_address(family), *peer),
                    local: SocketAddr::new(card_address(family), *local),
                    class: *class,
                    responder: None,
                    identity: None,
                    tag: u64::from(*peer),
                    keep: *keep,
                };
                self.link(*peer);
                self.driver.handle(Command::Open(call))?;
            }
            Action::Send { peer, message } => self.send(*peer, message)?,
            Action::Close { peer } => {
                self.tell(&format!("card closes the session with {peer}"));
                let session = self.session(*peer)?;
                self.driver.handle(Command::Close { session })?;
            }
            Action::Register { register, value } => {
                self.tell(&format!("card's register {} is {value}", register.name()));
                self.driver.handle(Command::SetRegister { register: *register, value: *value })?;
            }
            Action::PeerMessage { peer, message } => {
                self.link(*peer).from_peer.push(message);
            }
            Action::PeerSequence { peer, sequence } => {
                let card_port = self.card_port;
                self.links.insert(*peer, Link { peer_sequence: *sequence, ..Link::new(card_port) });
            }
            Action::Inject(segment) => self.inject(segment)?,
            Action::InjectRaw(bytes) => self.inject_bytes("raw bytes", bytes)?,
            Action::InjectTcp(bytes) => {
                let family = self.script.settings.family;
                let packet = packet::tcp_packet(peer_address(family), card_address(family), bytes.clone());
                self.inject_bytes("raw TCP", &packet)?;
            }
            Action::InjectTooBig { peer, mtu, sequence } => self.inject_too_big(*peer, *mtu, *sequence)?,
            Action::ExpectNothing(span) => self.expect_nothing(*span)?,
            Action::ExpectState { peer, state } => {
                let (rows, _) = self.driver.lane.table(0, usize::MAX);
                let row = rows.iter().find(|row| row.remote.port() == *peer);
                compare("the state", state, row.map_or("none", |row| row.state))?;
            }
            Action::ExpectSessions(count) => compare("sessions", count, self.driver.lane.sessions())?,
            Action::ExpectDrops { reason, count } => {
                compare(&format!("{} dropped", reason.name()), count, self.driver.lane.counters().drops.get(*reason))?;
            }
            // Those that wait are done where time is kept.
            Action::Expect(_) | Action::ExpectEvent { .. } => {}
        }
        Ok(())
    }

    fn send(&mut self, peer: u16, message: &Message) -> Checked {
        let session = self.session(peer)?;
        let bytes = self.link(peer).from_card.push(message).to_vec();
        self.tell(&format!("card sends {} bytes to {peer}", bytes.len()));
        let sent = self.driver.lane.send_shared(session, Priority::Critical, &bytes.into());
        sent.map_err(|error| format!("the card does not take the message: {error}"))?;
        self.driver.settle()?;
        Ok(())
    }

    fn inject(&mut self, segment: &Segment) -> Checked {
        let family = self.script.settings.family;
        let link = self.link(segment.peer);
        let (start, len) = segment.sequence.unwrap_or_default();
        let flags = segment.flags.unwrap_or_default();
        let is_syn = flags & SYN != 0;
        let payload = match segment.filled {
            Some(byte) => vec![byte; len as usize],
            None => link.from_peer.slice(start.wrapping_add(u32::from(is_syn)), len)?,
        };
        let options = match &segment.options {
            Given::Is(options) => options.list.iter().map(|option| option.moved(link.card_base())).collect(),
            _ => Vec::new(),
        };
        let packet = Packet {
            source: SocketAddr::new(peer_address(family), segment.peer),
            destination: SocketAddr::new(card_address(family), link.card_port),
            seq: link.peer_sequence.wrapping_add(start),
            ack: if let Given::Is(ack) = segment.ack { link.card_base().wrapping_add(ack) } else { 0 },
            flags,
            window: if let Given::Is(window) = segment.window { window } else { PEER_WINDOW },
            options,
            payload,
        };
        let text = matcher::text(&packet, false, link);
        let mut bytes = packet.bytes()?;
        let tcp_at = if packet.source.is_ipv4() { 20 } else { 40 };
        if let Some(words) = segment.data_offset {
            let mut tcp = bytes.split_off(tcp_at);
            tcp[12] = words << 4;
            bytes = packet::tcp_packet(packet.source.ip(), packet.destination.ip(), tcp);
        }
        if segment.bad_checksum {
            bytes[tcp_at + 16] ^= 0x55;
        }
        self.inject_bytes(&format!("{text} from {}", segment.peer), &bytes)
    }

    fn inject_too_big(&mut self, peer: u16, mtu: u16, sequence: u32) -> Checked {
        let family = self.script.settings.family;
        let link = self.link(peer);
        let [card_high, card_low] = link.card_port.to_be_bytes();
        let [peer_high, peer_low] = peer.to_be_bytes();
        let [a, b, c, d] = link.card_base().wrapping_add(sequence).to_be_bytes();
        let head = [card_high, card_low, peer_high, peer_low, a, b, c, d];
        let bytes = packet::too_big(card_address(family), peer_address(family), head, mtu);
        self.inject_bytes(&format!("ICMP: too big for {mtu}, quoting {}", sequence.cast_signed()), &bytes)
    }

    fn inject_bytes(&mut self, what: &str, bytes: &[u8]) -> Checked {
        self.tell(&format!("< {what}"));
        Ok(self.driver.receive(bytes)?)
    }

    fn expect_segment(&mut self, when: When, due_at: Instant, expected: &Segment) -> Checked {
        let (first_at, last_at) = self.bounds(when, due_at);
        self.advance(last_at, |driver| !driver.sent.is_empty())?;
        let wanted = format!("a segment {}", span_text(first_at, last_at));
        let Some(Stamped { at, what }) = self.driver.sent.pop_front() else {
            return Err(Mismatch { expected: wanted, came: "nothing".to_owned() });
        };
        self.noted_sent = self.noted_sent.saturating_sub(1);
        let came = Packet::read(&what).map_err(|error| Mismatch {
            expected: "a segment in good order".to_owned(),
            came: format!("{error}: {what:02x?}"),
        })?;
        let link = self.link(expected.peer);
        let differences = matcher::differences(expected, &came, link);
        if !differences.is_empty() {
            return Err(Mismatch {
                expected: "the segment of the line".to_owned(),
                came: format!("{} ({})", matcher::text(&came, true, link), differences.join("; ")),
            });
        }
        if at < first_at || at > last_at {
            return Err(Mismatch { expected: wanted, came: format!("it at {}", seconds(at)) });
        }
        Ok(())
    }

    fn expect_event(&mut self, when: When, due_at: Instant, peer: u16, expected: &Event) -> Checked {
        let (first_at, last_at) = self.bounds(when, due_at);
        self.advance(last_at, |driver| !driver.told.is_empty())?;
        let wanted = format!("{expected:?} with {peer} {}", span_text(first_at, last_at));
        let Some(Stamped { at, what }) = self.driver.told.pop_front() else {
            return Err(Mismatch { expected: wanted, came: "nothing".to_owned() });
        };
        self.noted_told = self.noted_told.saturating_sub(1);
        let came = told_text(&what);
        if at < first_at || at > last_at {
            return Err(Mismatch { expected: wanted, came: format!("{came} at {}", seconds(at)) });
        }
        let link = self.link(peer);
        let is_right = match (expected, what) {
            (Event::Opened, Told::Opened { session, peer: from }) => {
                link.session = Some(session);
                from == peer
            }
            (Event::Message(message), Told::Message { session, bytes }) => {
                if let Err(difference) = link.from_peer.deliver(&bytes) {
                    return Err(Mismatch { expected: wanted, came: format!("{came}: {difference}") });
                }
                link.session == Some(session)
                    && match message {
                        Message::Len(len) => bytes.len() == *len,
                        Message::Text(text) => bytes.ends_with(text.as_bytes()) && bytes.len() == 5 + text.len(),
                    }
            }
            (Event::Closed { reason, was_open }, Told::Closed { session, reason: why, was_open: was }) => {
                *reason == why && *was_open == was && (!was || link.session == Some(session))
            }
            _ => false,
        };
        if is_right { Ok(()) } else { Err(Mismatch { expected: wanted, came }) }
    }

    fn expect_nothing(&mut self, span: Duration) -> Checked {
        let until = self.driver.now + span;
        self.advance(until, |driver| !driver.sent.is_empty())?;
        self.note();
        match self.driver.sent.front() {
            None => Ok(()),
            Some(Stamped { at, what }) => Err(Mismatch {
                expected: format!("nothing until {}", seconds(until)),
                came: format!("{} at {}", self.frame_text(what), seconds(*at)),
            }),
        }
    }

    /// At the end the card has sent and told nothing that no line expects.
    fn end(&mut self) -> Checked {
        self.driver.settle()?;
        self.note();
        let expected = "nothing more".to_owned();
        if let Some(Stamped { at, what }) = self.driver.sent.front() {
            return Err(Mismatch { expected, came: format!("{} at {}", self.frame_text(what), seconds(*at)) });
        }
        match self.driver.told.front() {
            None => Ok(()),
            Some(Stamped { at, what }) => {
                Err(Mismatch { expected, came: format!("{} at {}", told_text(what), seconds(*at)) })
            }
        }
    }

    /// The first and the last moment at which an expected thing is in time.
    fn bounds(&self, when: When, due_at: Instant) -> (Instant, Instant) {
        if when.from == From::Within {
            return (self.before, self.before + when.span);
        }
        let tolerance = when.tolerance.unwrap_or(self.script.settings.tolerance);
        (due_at - tolerance, due_at + tolerance)
    }

    fn advance(&mut self, until: Instant, is_enough: impl Fn(&Driver) -> bool) -> Checked {
        let result = self.driver.advance(until, is_enough);
        self.note();
        Ok(result?)
    }

    fn link(&mut self, peer: u16) -> &mut Link {
        let card_port = self.card_port;
        self.links.entry(peer).or_insert_with(|| Link::new(card_port))
    }

    fn session(&mut self, peer: u16) -> Result<hpb_toe::SessionId, String> {
        self.link(peer).session.ok_or_else(|| format!("no line has seen the session with {peer} open"))
    }

    /// Notes what the card has done since the last time, and learns where its numbers begin.
    fn note(&mut self) {
        let sent: Vec<Stamped<Vec<u8>>> = self.driver.sent.iter().skip(self.noted_sent).cloned().collect();
        self.noted_sent = self.driver.sent.len();
        for Stamped { at, what } in sent {
            if let Ok(packet) = Packet::read(&what)
                && packet.flags & SYN != 0
            {
                self.link(packet.destination.port()).card_sequence.get_or_insert(packet.seq);
            }
            let text = self.frame_text(&what);
            self.tell_at(at, &format!("> {text}"));
        }
        let told: Vec<Stamped<Told>> = self.driver.told.iter().skip(self.noted_told).cloned().collect();
        self.noted_told = self.driver.told.len();
        for Stamped { at, what } in told {
            self.tell_at(at, &format!("card tells: {}", told_text(&what)));
        }
    }

    fn frame_text(&self, bytes: &[u8]) -> String {
        match Packet::read(bytes) {
            Err(error) => format!("a frame of {} bytes: {error}", bytes.len()),
            Ok(packet) => {
                let port = packet.destination.port();
                let unknown = Link::new(self.card_port);
                format!("{} to {port}", matcher::text(&packet, true, self.links.get(&port).unwrap_or(&unknown)))
            }
        }
    }

    fn tell(&mut self, what: &str) {
        self.tell_at(self.driver.now, what);
    }

    fn tell_at(&mut self, at: Instant, what: &str) {
        if self.trace.len() == SCRIPT_TRACE_LINES_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{}  {what}", seconds(at)));
    }

    fn into_trace(mut self) -> Vec<String> {
        self.note();
        self.trace.into()
    }
}

fn compare<E: PartialEq<C> + fmt::Display, C: fmt::Display>(what: &str, expected: &E, came: C) -> Checked {
    if *expected == came {
        return Ok(());
    }
    Err(Mismatch { expected: format!("{what}: {expected}"), came: came.to_string() })
}

fn told_text(told: &Told) -> String {
    match told {
        Told::Opened { peer, .. } => format!("opened, with {peer}"),
        Told::Message { bytes, .. } => format!("a message of {} bytes", bytes.len()),
        Told::Closed { reason, was_open: true, .. } => format!("closed: {reason}"),
        Told::Closed { reason, was_open: false, .. } => format!("closed: {reason}, unopened"),
    }
}

/// Seconds since the script's begin.
fn seconds(at: Instant) -> String {
    let micros = at.since(BEGIN).as_micros();
    format!("{:>3}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn span_text(first_at: Instant, last_at: Instant) -> String {
    format!("between {} and {}", seconds(first_at), seconds(last_at))
}
