//! One side of all sessions over the kernel's sockets, by readiness: level-triggered, one read a turn for each socket that
//! has something. On one host, or with the other side on another.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;

use hpb_base::Instant;
use hpb_host::sys::{Epoll, read_stamped};

use super::carrier::{Carrier, EVERYBODY, Head, stamp, stamped};
use super::failed;
use super::passages::Passages;
use super::window::now;
use crate::target::TargetError;

/// Events that one wait may bring.
const EVENTS: usize = 256;
/// Bytes that one read may bring.
const CHUNK_LEN: usize = 64 << 10;

/// One socket with what is not whole, or did not fit.
struct Socket {
    stream: TcpStream,
    /// The beginning of a message that is not whole.
    partial: Vec<u8>,
    /// What the send buffer had no room for.
    unsent: Vec<u8>,
    is_lost: bool,
}

/// See the module.
pub(crate) struct Sockets {
    epoll: Epoll,
    all: Vec<Socket>,
    /// Sessions with unsent bytes.
    blocked: Vec<u32>,
    chunk: Vec<u8>,
    message_len: usize,
    wait_ms: i32,
    lost: u64,
    /// What is stamped; `None` if nobody asks.
    pub(crate) passages: Option<Passages>,
    /// Numbers of the answers that one read gave rise to.
    answers: Vec<u64>,
}

impl Sockets {
    /// Reads messages of `message_len` bytes; a wait for them may take `wait_ms`.
    pub(crate) fn new(streams: Vec<TcpStream>, message_len: u32, wait_ms: i32) -> Result<Self, TargetError> {
        let epoll = Epoll::new(EVENTS).map_err(failed("opening epoll"))?;
        for (token, stream) in streams.iter().enumerate() {
            stream.set_nonblocking(true).map_err(failed("setting up a socket"))?;
            epoll.add(stream, token as u64).map_err(failed("watching a socket"))?;
        }
        let socket = |stream| Socket { stream, partial: Vec::new(), unsent: Vec::new(), is_lost: false };
        Ok(Self {
            epoll,
            all: streams.into_iter().map(socket).collect(),
            blocked: Vec::new(),
            chunk: vec![0; CHUNK_LEN],
            message_len: message_len.max(1) as usize,
            wait_ms,
            lost: 0,
            passages: None,
            answers: Vec::new(),
        })
    }

    fn read(&mut self, session: u32, answer: &mut [u8], take: &mut dyn FnMut(Head) -> bool) -> Result<(), TargetError> {
        let socket = &mut self.all[session as usize];
        let (len, came_unix_ns) = match read_stamped(&socket.stream, &mut self.chunk) {
            Ok((len, came_unix_ns)) if len > 0 => (len, came_unix_ns),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // Its end is not watched for any longer than it takes to be told of it.
            Ok(_) | Err(_) => return self.lose(session),
        };
        let at = now();
        let (message_len, mut rest) = (self.message_len, &self.chunk[..len]);
        let mut passages = self.passages.as_mut().filter(|passages| passages.draws(session));
        let answers = &mut self.answers;
        answers.clear();
        let mut tell = |message: &[u8]| {
            let Some((number, intended)) = stamped(message) else { return };
            if let Some(passages) = &mut passages {
                passages.read(number, session, came_unix_ns, at);
            }
            if take(Head { session, number, intended, at }) {
                stamp(answer, number, intended);
                answers.push(number);
                socket.unsent.extend_from_slice(answer);
            }
        };
        if !socket.partial.is_empty() {
            let (head, tail) = rest.split_at((message_len - socket.partial.len()).min(rest.len()));
            socket.partial.extend_from_slice(head);
            rest = tail;
            if socket.partial.len() == message_len {
                tell(&std::mem::take(&mut socket.partial));
            }
        }
        let whole = rest.chunks_exact(message_len);
        let left = whole.remainder();
        whole.for_each(tell);
        socket.partial.extend_from_slice(left);
        if !self.answers.is_empty() {
            let began_at = self.begins(session);
            self.push(session)?;
            let answers = std::mem::take(&mut self.answers);
            for number in &answers {
                self.wrote(*number, session, began_at);
            }
            self.answers = answers;
        }
        Ok(())
    }

    /// When a call that writes begins, if that is stamped.
    fn begins(&self, session: u32) -> Option<Instant> {
        self.passages.as_ref().filter(|passages| passages.draws(session)).map(|_| now())
    }

    /// A call that writes has ended.
    fn wrote(&mut self, number: u64, session: u32, began_at: Option<Instant>) {
        let is_all = self.all[session as usize].unsent.is_empty();
        if let (true, Some(began_at), Some(passages)) = (is_all, began_at, &mut self.passages) {
            passages.wrote(number, session, began_at);
        }
    }

    /// Writes what a socket has unsent, as far as it takes it; false once it is lost.
    fn push(&mut self, session: u32) -> Result<bool, TargetError> {
        let socket = &mut self.all[session as usize];
        let mut sent_len = 0;
        while sent_len < socket.unsent.len() {
            match socket.stream.write(&socket.unsent[sent_len..]) {
                Ok(len) => sent_len += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.lose(session).map(|()| false),
            }
        }
        socket.unsent.drain(..sent_len);
        if !socket.unsent.is_empty() && !self.blocked.contains(&session) {
            self.blocked.push(session);
        }
        Ok(true)
    }

    fn lose(&mut self, session: u32) -> Result<(), TargetError> {
        let socket = &mut self.all[session as usize];
        if !socket.is_lost {
            socket.is_lost = true;
            self.lost += 1;
            self.epoll.remove(&socket.stream).map_err(failed("leaving a socket alone"))?;
        }
        Ok(())
    }
}

impl Carrier for Sockets {
    fn is_open(&self) -> bool {
        true
    }

    fn receive(&mut self, answer: &mut [u8], take: &mut dyn FnMut(Head) -> bool) -> Result<(), TargetError> {
        let ready = self.epoll.wait(self.wait_ms).map_err(failed("waiting for sockets"))?;
        for event in 0..ready {
            self.read(self.epoll.token(event) as u32, answer, take)?;
        }
        Ok(())
    }

    fn send(&mut self, session: u32, message: &[u8]) -> Result<bool, TargetError> {
        let to = if session == EVERYBODY { 0..self.all.len() as u32 } else { session..session + 1 };
        let mut is_taken = false;
        let number = stamped(message).map_or(0, |(number, _)| number);
        for session in to {
            let Some(socket) = self.all.get_mut(session as usize).filter(|socket| !socket.is_lost) else {
                continue;
            };
            socket.unsent.extend_from_slice(message);
            let began_at = self.begins(session);
            is_taken |= self.push(session)?;
            self.wrote(number, session, began_at);
        }
        Ok(is_taken)
    }

    fn flush(&mut self) -> Result<(), TargetError> {
        for session in std::mem::take(&mut self.blocked) {
            self.push(session)?;
        }
        Ok(())
    }

    fn retransmitted(&self) -> u64 {
        self.all.iter().map(|socket| retransmitted(std::slice::from_ref(&socket.stream))).sum()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// Segments that the kernel sent again over these sessions.
pub(crate) fn retransmitted(ends: &[TcpStream]) -> u64 {
    ends.iter().map(|end| hpb_host::sys::retransmitted(end).map_or(0, u64::from)).sum()
}
