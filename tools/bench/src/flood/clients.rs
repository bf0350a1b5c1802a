//! The sessions of the kernel's TCP: those that echo at a fixed rate, and those that open meanwhile. One thread, one
//! epoll instance; it sleeps while nothing is due.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

use hdrhistogram::Histogram;
use hpb_host::sys::{self, Epoll, wall_ns};

use super::{FloodError, Options};

/// Within which time all new sessions must be open, in nanoseconds.
pub(super) const OPENING_NS_MAX: u64 = 3_000_000_000;
/// Bytes of an echo; the first eight are the time at which it was meant to leave.
pub(super) const MESSAGE_LEN: usize = 64;
const EVENTS: usize = 256;
/// Calls begun in one turn of the loop, so that they do not hold the echoes up.
const CALLS_PER_TURN: usize = 16;
/// Share of a phase after which the new sessions are called.
const CALLING_AFTER: u64 = 5;
/// How long the echoes under way at a phase's end are waited for: longer than two of TCP's first time-outs.
const DRAIN_NS: u64 = 5_000_000_000;
/// How long is waited at least: the card's counters are up to 100 ms behind.
const SETTLE_NS: u64 = 200_000_000;
/// How long the first sessions may take to open.
const OPEN_NS_MAX: u64 = 10_000_000_000;

/// What the clients saw in one phase.
pub(super) struct Seen {
    /// Nanoseconds from the time at which an echo was meant to leave until it was back.
    pub(super) latency: Histogram<u64>,
    /// Echoing sessions that ended.
    pub(super) lost: u64,
    /// Echoes that never came back, and those that came back otherwise.
    pub(super) unanswered: u64,
    /// New sessions that opened: their first echo came back.
    pub(super) opened: usize,
    /// Those of them that opened within [`OPENING_NS_MAX`] of the first one's call.
    pub(super) opened_in_time: usize,
    /// Nanoseconds from the first new session's call until the last one's first echo; `None` if not all opened.
    pub(super) opening_ns: Option<u64>,
}

/// One session, its echo under way and those that had to wait for it.
struct Client {
    stream: Option<TcpStream>,
    /// When the echo under way was meant to leave.
    sent: Option<u64>,
    filled: usize,
    received: [u8; MESSAGE_LEN],
    waiting: VecDeque<u64>,
}

/// What one look at a session gave.
enum Look {
    /// Nothing whole yet.
    Partial,
    /// The echo is back, and is what was sent or not.
    Whole { is_right: bool },
    /// The session has ended.
    Ended,
}

/// The echoing sessions of one card.
pub(super) struct Clients {
    epoll: Epoll,
    echoing: Vec<Client>,
    lost: u64,
    unanswered: u64,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), sent: None, filled: 0, received: [0; MESSAGE_LEN], waiting: VecDeque::new() }
    }

    /// Sends an echo that was meant to leave at `due_ns`; nothing for a session that has ended. One message is under way
    /// at a time, and there is always room for that.
    fn send(&mut self, due_ns: u64) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        stream.write_all(&message(due_ns))?;
        self.sent = Some(due_ns);
        self.filled = 0;
        Ok(())
    }

    fn look(&mut self) -> Look {
        let Some(stream) = &mut self.stream else { return Look::Partial };
        match stream.read(&mut self.received[self.filled..]) {
            Ok(0) => Look::Ended,
            Ok(len) => {
                self.filled += len;
                if self.filled < MESSAGE_LEN {
                    return Look::Partial;
                }
                Look::Whole { is_right: self.sent.is_some_and(|due_ns| self.received == message(due_ns)) }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Look::Partial
            }
            Err(_) => Look::Ended,
        }
    }
}

impl Clients {
    /// Opens `sessions` sessions from `local`.
    ///
    /// # Errors
    /// Not all of them opened in time.
    pub(super) fn open(sessions: usize, local: Ipv4Addr, remote: SocketAddrV4) -> Result<Self, FloodError> {
        let mut calling = Calling::new(sessions, local, remote, 0);
        let mut epoll = Epoll::new(EVENTS)?;
        let until_ns = wall_ns() + OPEN_NS_MAX;
        while !calling.is_complete() && wall_ns() < until_ns {
            calling.call(&epoll)?;
            for event in 0..epoll.wait(1)? {
                calling.look(epoll.token(event));
            }
        }
        if !calling.is_complete() {
            return Err(FloodError::NotOpen { opened: calling.opened, asked: sessions });
        }
        // They are watched anew, and as long as there is something to read.
        let epoll = Epoll::new(EVENTS)?;
        let mut echoing = Vec::with_capacity(sessions);
        for (token, stream) in calling.clients.into_iter().filter_map(|client| client.stream).enumerate() {
            epoll.add(&stream, token as u64)?;
            echoing.push(Client::new(stream));
        }
        Ok(Self { epoll, echoing, lost: 0, unanswered: 0 })
    }

    /// Echoes for a phase of `options`' length while new sessions open from `local` to `remote`, which end with it;
    /// `at_end` is called before the last echoes are waited for and the card's counters have settled.
    ///
    /// # Errors
    /// The kernel refuses what no flood explains.
    pub(super) fn phase(
        &mut self,
        options: &Options,
        local: Ipv4Addr,
        remote: SocketAddrV4,
        at_end: impl FnOnce() -> Result<(), FloodError>,
    ) -> Result<Seen, FloodError> {
        (self.lost, self.unanswered) = (0, 0);
        let mut latency = super::histogram()?;
        let sessions = self.echoing.len() as u64;
        let gap_ns = (options.interval.as_nanos() / sessions).max(1);
        let mut calling = Calling::new(options.sessions, local, remote, sessions);
        let phase_ns = options.phase.as_nanos();
        let start_ns = wall_ns();
        let (end_ns, calling_ns) = (start_ns + phase_ns, start_ns + phase_ns / CALLING_AFTER);
        let mut sent = 0;
        let mut now_ns = start_ns;
        while now_ns < end_ns {
            while start_ns + sent * gap_ns <= now_ns {
                let due_ns = start_ns + sent * gap_ns;
                self.due((sent % sessions) as usize, due_ns);
                sent += 1;
            }
            let is_calling = now_ns >= calling_ns && !calling.has_called();
            if is_calling {
                calling.call(&self.epoll)?;
            }
            let next_ns = start_ns + sent * gap_ns;
            self.look(&mut calling, &mut latency, is_calling || next_ns <= wall_ns())?;
            now_ns = wall_ns();
        }
        at_end()?;
        let (settled_ns, drained_ns) = (wall_ns() + SETTLE_NS, wall_ns() + DRAIN_NS);
        let is_under_way = |client: &Client| client.stream.is_some() && client.sent.is_some();
        while wall_ns() < settled_ns || (self.echoing.iter().any(is_under_way) && wall_ns() < drained_ns) {
            self.look(&mut calling, &mut latency, false)?;
        }
        for client in &mut self.echoing {
            let left = usize::from(client.sent.take().is_some()) + client.waiting.len();
            self.unanswered += left as u64;
            client.waiting.clear();
        }
        Ok(Seen {
            latency,
            lost: self.lost,
            unanswered: self.unanswered,
            opened: calling.opened,
            opened_in_time: calling.opened_in_time,
            opening_ns: calling.opening_ns(),
        })
    }

    /// An echo of a session is due.
    fn due(&mut self, token: usize, due_ns: u64) {
        let client = &mut self.echoing[token];
        if client.stream.is_none() {
            return;
        }
        if client.sent.is_some() {
            client.waiting.push_back(due_ns);
        } else if client.send(due_ns).is_err() {
            self.end(token);
        }
    }

    fn look(&mut self, calling: &mut Calling, latency: &mut Histogram<u64>, at_once: bool) -> Result<(), FloodError> {
        let ready = self.epoll.wait(i32::from(!at_once))?;
        for event in 0..ready {
            let token = self.epoll.token(event);
            if token >= self.echoing.len() {
                calling.look(token);
                continue;
            }
            match self.echoing[token].look() {
                Look::Partial => {}
                Look::Ended => self.end(token),
                Look::Whole { is_right } => self.returned(token, is_right, latency),
            }
        }
        Ok(())
    }

    fn returned(&mut self, token: usize, is_right: bool, latency: &mut Histogram<u64>) {
        let client = &mut self.echoing[token];
        match client.sent.take() {
            Some(due_ns) if is_right => latency.saturating_record(wall_ns().saturating_sub(due_ns)),
            _ => self.unanswered += 1,
        }
        client.filled = 0;
        if let Some(due_ns) = client.waiting.pop_front()
            && client.send(due_ns).is_err()
        {
            self.end(token);
        }
    }

    fn end(&mut self, token: usize) {
        let client = &mut self.echoing[token];
        if client.stream.take().is_some() {
            self.lost += 1;
        }
    }
}

/// Sessions that are being opened: each is open when its first echo is back.
struct Calling {
    clients: Vec<Client>,
    asked: usize,
    local: Ipv4Addr,
    remote: SocketAddrV4,
    /// The first one's token.
    first_token: u64,
    opened: usize,
    opened_in_time: usize,
    began_ns: u64,
    opened_ns: u64,
}

impl Calling {
    fn new(asked: usize, local: Ipv4Addr, remote: SocketAddrV4, first_token: u64) -> Self {
        let clients = Vec::with_capacity(asked);
        Self { clients, asked, local, remote, first_token, opened: 0, opened_in_time: 0, began_ns: 0, opened_ns: 0 }
    }

    fn has_called(&self) -> bool {
        self.clients.len() == self.asked
    }

    fn is_complete(&self) -> bool {
        self.opened == self.asked
    }

    fn opening_ns(&self) -> Option<u64> {
        self.is_complete().then_some(self.opened_ns - self.began_ns)
    }

    /// Begins some more.
    fn call(&mut self, epoll: &Epoll) -> Result<(), FloodError> {
        if self.clients.is_empty() {
            self.began_ns = wall_ns();
        }
        for _ in 0..CALLS_PER_TURN.min(self.asked - self.clients.len()) {
            let stream = sys::call_from(self.local, self.remote)?;
            stream.set_nodelay(true)?;
            sys::set_linger_zero(&stream)?;
            epoll.add_calling(&stream, self.first_token + self.clients.len() as u64)?;
            self.clients.push(Client::new(stream));
        }
        Ok(())
    }

    /// Something happened to the one of that token: it may write its first message, or has its echo.
    fn look(&mut self, token: usize) {
        let Some(client) = self.clients.get_mut(token - self.first_token as usize) else { return };
        if client.filled == MESSAGE_LEN {
            return;
        }
        if client.sent.is_none() {
            match client.send(wall_ns()) {
                Ok(()) => {}
                // It is still calling.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => return,
                Err(_) => return client.stream = None,
            }
        }
        // What it has was announced once, and is read to its end.
        loop {
            let before = client.filled;
            match client.look() {
                Look::Partial if client.filled > before => {}
                Look::Partial => return,
                Look::Ended | Look::Whole { is_right: false } => return client.stream = None,
                Look::Whole { is_right: true } => break,
            }
        }
        client.sent = None;
        self.opened += 1;
        self.opened_ns = wall_ns();
        self.opened_in_time += usize::from(self.opened_ns - self.began_ns <= OPENING_NS_MAX);
    }
}

fn message(due_ns: u64) -> [u8; MESSAGE_LEN] {
    let mut message = [0x5a; MESSAGE_LEN];
    message[..8].copy_from_slice(&due_ns.to_le_bytes());
    message
}
