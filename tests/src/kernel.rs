//! The Linux kernel's TCP as the card's peer: an echo server and many clients, each on one thread over epoll.
//!
//! Both check what they can: a client compares every byte that comes back, and what is lost, wrong or refused is counted
//! and never hidden.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use hpb_base::Random;
use hpb_host::sys::{Epoll, wall_ns};

/// Events of one wait.
const EVENTS: usize = 256;
const LISTENER: u64 = u64::MAX;
/// Sessions that may wait to be accepted. Beyond it the kernel answers by cookies, drops the ACKs that bring them back,
/// and resets whoever then says more than one segment.
const BACKLOG: i32 = 4_096;
/// Bytes of one read.
const CHUNK_LEN: usize = 64 << 10;
/// Nanoseconds without progress after which the clients give up.
const STALL_NS_MAX: u64 = 60_000_000_000;

/// What an echo server did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Served {
    /// Sessions accepted.
    pub accepted: u64,
    /// Bytes sent back.
    pub bytes: u64,
    /// Sessions that ended with an error.
    pub broken: u64,
}

/// Accepts and echoes until `stop`.
///
/// # Errors
/// The listener or epoll fails; a session's error is counted.
pub fn echo_server(listener: &TcpListener, stop: &AtomicBool) -> io::Result<Served> {
    crate::sys::listen(listener.as_raw_fd(), BACKLOG)?;
    listener.set_nonblocking(true)?;
    let mut epoll = Epoll::new(EVENTS)?;
    epoll.add(listener, LISTENER)?;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut served = Served::default();
    let mut chunk = vec![0; CHUNK_LEN];
    while !stop.load(Ordering::Relaxed) {
        for event in 0..epoll.wait(20)? {
            let token = epoll.token(event);
            if token as u64 == LISTENER {
                accept_all(listener, &epoll, &mut streams, &mut served)?;
                continue;
            }
            let Some(stream) = &mut streams[token] else { continue };
            match echo(stream, &mut chunk) {
                Ok(0) => streams[token] = None,
                Ok(len) => served.bytes += len as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    served.broken += 1;
                    streams[token] = None;
                }
            }
        }
    }
    Ok(served)
}

fn accept_all(
    listener: &TcpListener,
    epoll: &Epoll,
    streams: &mut Vec<Option<TcpStream>>,
    served: &mut Served,
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                epoll.add(&stream, streams.len() as u64)?;
                streams.push(Some(stream));
                served.accepted += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Sends back what one read gives; zero at the peer's end.
fn echo(stream: &mut TcpStream, chunk: &mut [u8]) -> io::Result<usize> {
    let len = stream.read(chunk)?;
    let mut rest = &chunk[..len];
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(sent) => rest = &rest[sent..],
            // A peer that reads slowly: its window opens again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_writable(stream)?,
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// What clients are to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientsPlan {
    /// The echo server.
    pub remote: SocketAddr,
    /// Sessions.
    pub sessions: usize,
    /// Messages of each session, one in flight.
    pub messages: u64,
    /// Bytes of a message.
    pub message_len: usize,
    /// Seconds between two keep-alive probes of an idle session; zero for none.
    pub keep_alive_secs: u32,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClientsDone {
    /// Sessions that opened.
    pub opened: u64,
    /// Messages that came back as they were sent.
    pub returned: u64,
    /// Messages that came back otherwise.
    pub wrong: u64,
    /// Sessions that ended before their last message was back.
    pub lost: u64,
    /// BLAKE3 over every session's bytes as they were sent, in the order of the sessions.
    pub sent_hash: [u8; 32],
    /// The same over the bytes that came back.
    pub returned_hash: [u8; 32],
    /// From the first SYN to the last session's opening, in nanoseconds.
    pub opening_ns: u64,
    /// The messages' time in nanoseconds.
    pub talking_ns: u64,
}

struct Client {
    stream: Option<TcpStream>,
    done: u64,
    partial: usize,
    sent: blake3::Hasher,
    returned: blake3::Hasher,
}

/// Opens all sessions, then has each send its messages, the next when the last came back.
///
/// # Errors
/// A session does not open, or nothing moves for a minute.
pub fn clients(plan: &ClientsPlan) -> io::Result<ClientsDone> {
    let began_ns = wall_ns();
    let mut epoll = Epoll::new(EVENTS)?;
    let mut clients = Vec::with_capacity(plan.sessions);
    for token in 0..plan.sessions {
        let stream = TcpStream::connect(plan.remote)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        if plan.keep_alive_secs > 0 {
            set_keep_alive(&stream, plan.keep_alive_secs)?;
        }
        epoll.add(&stream, token as u64)?;
        let (sent, returned) = (blake3::Hasher::new(), blake3::Hasher::new());
        clients.push(Client { stream: Some(stream), done: 0, partial: 0, sent, returned });
    }
    let opened_ns = wall_ns();
    let mut done =
        ClientsDone { opened: plan.sessions as u64, opening_ns: opened_ns - began_ns, ..ClientsDone::default() };
    let mut body = vec![0; plan.message_len];
    for (token, client) in clients.iter_mut().enumerate() {
        client.say(token, &mut body)?;
    }
    let mut left = plan.sessions;
    let mut buffer = vec![0; plan.message_len];
    let mut moved_ns = wall_ns();
    while left > 0 {
        let ready = epoll.wait(100)?;
        if ready > 0 {
            moved_ns = wall_ns();
        } else if wall_ns() - moved_ns > STALL_NS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{left} sessions wait, nothing moves: {done:?}"),
            ));
        }
        for event in 0..ready {
            let token = epoll.token(event);
            if clients[token].take(token, plan, &mut body, &mut buffer, &mut done) {
                left -= 1;
            }
        }
    }
    done.talking_ns = wall_ns() - opened_ns;
    let (mut sent, mut returned) = (blake3::Hasher::new(), blake3::Hasher::new());
    for client in &clients {
        sent.update(client.sent.finalize().as_bytes());
        returned.update(client.returned.finalize().as_bytes());
    }
    (done.sent_hash, done.returned_hash) = (*sent.finalize().as_bytes(), *returned.finalize().as_bytes());
    Ok(done)
}

impl Client {
    fn say(&mut self, token: usize, body: &mut [u8]) -> io::Result<()> {
        fill(body, token, self.done);
        self.sent.update(body);
        match &mut self.stream {
            Some(stream) => stream.write_all(body),
            None => Ok(()),
        }
    }

    /// Takes what came; whether the session has nothing more to wait for.
    fn take(
        &mut self,
        token: usize,
        plan: &ClientsPlan,
        body: &mut [u8],
        buffer: &mut [u8],
        done: &mut ClientsDone,
    ) -> bool {
        if self.done == plan.messages {
            return false;
        }
        let Some(stream) = &mut self.stream else { return false };
        let wanted = plan.message_len - self.partial;
        let len = match stream.read(&mut buffer[..wanted]) {
            Ok(len) if len > 0 => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            _ => {
                done.lost += 1;
                self.stream = None;
                return true;
            }
        };
        self.returned.update(&buffer[..len]);
        fill(body, token, self.done);
        let right = body[self.partial..self.partial + len] == buffer[..len];
        self.partial += len;
        if !right {
            done.wrong += 1;
        }
        if self.partial < plan.message_len {
            return false;
        }
        self.partial = 0;
        self.done += 1;
        done.returned += u64::from(right);
        if self.done == plan.messages {
            return true;
        }
        if self.say(token, body).is_err() {
            done.lost += 1;
            self.stream = None;
            return true;
        }
        false
    }
}

/// The bytes of one message of one session: no two alike.
fn fill(body: &mut [u8], token: usize, serial: u64) {
    Random::stream(token as u64, serial).fill(body);
}

fn set_keep_alive(stream: &TcpStream, secs: u32) -> io::Result<()> {
    let options = [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, secs),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, secs),
    ];
    options
        .into_iter()
        .try_for_each(|(level, name, value)| crate::sys::set_option(stream.as_raw_fd(), level, name, value))
}

fn wait_writable(stream: &TcpStream) -> io::Result<()> {
    let descriptor: RawFd = stream.as_raw_fd();
    crate::sys::wait_writable(descriptor, 10_000)
}
