//! `kernel-uring`: the kernel's TCP with the fewest system calls, one ring for the servers and one for the clients.
//!
//! A receive is started once a socket and goes on by itself; sends queue up and leave in batches; a send that succeeded
//! posts no completion. How messages are protected is the type parameter.
//!
//! Both ends on one ring were measured too: 20 % more CPU a round trip in closed loop at 9,900 sessions, since a session
//! has left the cache before its answer is read, and 7 % less with one message in flight (two system calls a round trip
//! instead of four), where `kernel-epoll` is the better one anyway.

use std::cmp::Ordering;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

use crate::kernel::pairs::Pairs;
use crate::kernel::ring::{Ring, RingSizes};
use crate::kernel::{BATCH_LEN, KernelOptions};
use crate::target::{Meter, STALL_NS_MAX, Sample, Target, TargetError, Work, ping_pong_session};

/// Completions that one turn of the closed loop waits for, at most. Waiting for more amortises the system call, waiting
/// for fewer keeps sockets and buffers in the cache; from 16 to 256 it makes no difference that could be measured.
const WANT_MAX: usize = 64;
/// Receive buffers of a ring: more than one turn takes, few enough to stay in the cache.
const BUFFERS_COUNT: u16 = 256;

/// How messages are made into bytes of the stream. Socket `i` below the number of sessions is the server's end of
/// session `i`, socket `sessions + i` its client's.
pub trait Protection: Sized {
    /// The target's name.
    const NAME: &'static str;
    /// Bytes that a message grows by.
    const OVERHEAD_LEN: usize;
    /// Whether one broadcast is the same bytes for all.
    const SHARED: bool;

    /// Agrees on keys over the blocking sockets, one session after another.
    ///
    /// # Errors
    /// A handshake fails.
    fn establish(servers: &[TcpStream], clients: &[TcpStream]) -> Result<Self, TargetError>;

    /// Writes what `socket` sends for `body` to the front of `into`, and gives its length.
    ///
    /// # Errors
    /// `into` is too short, or the key is used up.
    fn seal(&mut self, socket: usize, body: &[u8], into: &mut [u8]) -> Result<usize, TargetError>;

    /// Takes what arrived on `socket`, and appends the bodies that it completes to `body`.
    ///
    /// # Errors
    /// A record is forged, or longer than the work's.
    fn open(&mut self, socket: usize, arrived: &[u8], body: &mut Vec<u8>) -> Result<(), TargetError>;
}

/// Messages as they are.
pub struct Plain;

impl Protection for Plain {
    const NAME: &'static str = "kernel-uring";
    const OVERHEAD_LEN: usize = 0;
    const SHARED: bool = true;

    fn establish(_: &[TcpStream], _: &[TcpStream]) -> Result<Self, TargetError> {
        Ok(Self)
    }

    fn seal(&mut self, _: usize, body: &[u8], into: &mut [u8]) -> Result<usize, TargetError> {
        let into = into.get_mut(..body.len()).ok_or(TargetError::Unexpected("a message longer than its slot"))?;
        into.copy_from_slice(body);
        Ok(body.len())
    }

    fn open(&mut self, _: usize, arrived: &[u8], body: &mut Vec<u8>) -> Result<(), TargetError> {
        body.extend_from_slice(arrived);
        Ok(())
    }
}

/// The targets `kernel-uring` and `kernel-uring-encrypted`.
pub struct KernelUring<P> {
    options: KernelOptions,
    sessions: Option<Sessions<P>>,
}

struct Sessions<P> {
    work: Work,
    server: Ring,
    client: Ring,
    protection: P,
    /// Bytes that each client has of the message under way.
    partial: Vec<usize>,
    message: Vec<u8>,
    /// What one arrival opened to.
    body: Vec<u8>,
    /// Kept open; the rings use them by index.
    _pairs: Pairs,
}

impl<P: Protection> Sessions<P> {
    fn establish(work: &Work, options: &KernelOptions) -> Result<Self, TargetError> {
        let pairs = Pairs::establish(work, options)?;
        let protection = P::establish(&pairs.servers, &pairs.clients)?;
        let record_len = work.message_len.max(work.broadcast_len) + P::OVERHEAD_LEN;
        let slot_len = if P::SHARED { work.message_len } else { record_len };
        let sizes = RingSizes {
            slot_len: slot_len.next_multiple_of(64),
            buffer_len: record_len.next_multiple_of(64),
            buffer_count: BUFFERS_COUNT,
            batch_len: BATCH_LEN as u32,
            wait_s_max: STALL_NS_MAX / 1_000_000_000,
        };
        let ring = |streams: &[TcpStream]| {
            let sockets: Vec<RawFd> = streams.iter().map(AsRawFd::as_raw_fd).collect();
            Ring::new(&sockets, sizes).map_err(|error| TargetError::Unavailable(format!("io_uring: {error}")))
        };
        Ok(Self {
            work: *work,
            server: ring(&pairs.servers)?,
            client: ring(&pairs.clients)?,
            protection,
            partial: vec![0; work.sessions],
            message: vec![0x5A; work.message_len],
            body: Vec::with_capacity(record_len),
            _pairs: pairs,
        })
    }

    fn send(&mut self, session: usize) -> Result<(), TargetError> {
        let Self { work, client, protection, message, .. } = self;
        client.send(session, |slot| protection.seal(work.sessions + session, message, slot))
    }

    /// The clients' requests leave, the servers wait for `want` of them and answer all that are there; the number of
    /// answers.
    fn server_turn(&mut self, want: usize) -> Result<usize, TargetError> {
        let Self { server, client, protection, body, .. } = self;
        client.submit()?;
        let mut answers = 0;
        for index in 0..server.turn(want).map_err(stalled)? {
            let received = server.received(index);
            server.answer(received, received.socket, |arrived, slot| {
                body.clear();
                protection.open(received.socket, arrived, body)?;
                if body.is_empty() {
                    return Ok(0);
                }
                answers += 1;
                protection.seal(received.socket, body, slot)
            })?;
            server.recycle(received);
        }
        Ok(answers)
    }

    /// What the servers have queued leaves, the clients wait for `want` arrivals and count whole messages of `len`
    /// bytes; with `again`, each is followed by the next request.
    fn client_turn(&mut self, want: usize, len: usize, again: bool) -> Result<usize, TargetError> {
        let Self { work, server, client, protection, partial, message, body, .. } = self;
        server.submit()?;
        let mut whole = 0;
        for index in 0..client.turn(want).map_err(stalled)? {
            let received = client.received(index);
            let (session, socket) = (received.socket, work.sessions + received.socket);
            client.answer(received, session, |arrived, slot| {
                body.clear();
                protection.open(socket, arrived, body)?;
                let sum = partial[session] + body.len();
                partial[session] = if sum >= len { 0 } else { sum };
                match sum.cmp(&len) {
                    Ordering::Less => return Ok(0),
                    Ordering::Greater => return Err(TargetError::Unexpected("more bytes than were sent")),
                    Ordering::Equal => whole += 1,
                }
                if again { protection.seal(socket, message, slot) } else { Ok(0) }
            })?;
            client.recycle(received);
        }
        Ok(whole)
    }

    fn closed_loop(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        let (sessions, len) = (self.work.sessions, self.work.message_len);
        for session in 0..sessions {
            self.send(session)?;
        }
        let meter = Meter::start();
        let mut done = 0;
        while done < round_trips {
            let answers = self.server_turn(WANT_MAX.min(sessions))?;
            done += self.client_turn(answers, len, true)? as u64;
        }
        let sample = meter.stop(done);
        let mut left = sessions;
        while left > 0 {
            let answers = self.server_turn(WANT_MAX.min(left))?;
            left -= self.client_turn(answers, len, false)?;
        }
        Ok(sample)
    }

    fn ping_pong(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        let (sessions, len) = (self.work.sessions, self.work.message_len);
        let meter = Meter::start();
        for round in 0..round_trips {
            self.send(ping_pong_session(round, sessions))?;
            while self.server_turn(1)? == 0 {}
            while self.client_turn(1, len, false)? == 0 {}
        }
        Ok(meter.stop(round_trips))
    }

    fn broadcast(&mut self) -> Result<Sample, TargetError> {
        let (sessions, len) = (self.work.sessions, self.work.broadcast_len);
        let message = vec![0xB5; len];
        let meter = Meter::start();
        self.server.share(&message);
        let mut arrived = 0;
        for session in 0..sessions {
            if P::SHARED {
                self.server.send_shared(session, len)?;
            } else {
                let Self { server, protection, .. } = self;
                server.send(session, |slot| protection.seal(session, &message, slot))?;
            }
            let sent = session + 1;
            if sent % WANT_MAX == 0 {
                arrived += self.client_turn(WANT_MAX.min(sent - arrived), len, false)?;
            }
        }
        while arrived < sessions {
            arrived += self.client_turn(WANT_MAX.min(sessions - arrived), len, false)?;
        }
        Ok(meter.stop(sessions as u64))
    }
}

fn stalled(error: io::Error) -> TargetError {
    if error.kind() == io::ErrorKind::TimedOut { TargetError::Stalled } else { error.into() }
}

impl<P: Protection> KernelUring<P> {
    /// Not yet established.
    pub const fn new(options: KernelOptions) -> Self {
        Self { options, sessions: None }
    }

    fn sessions(&mut self) -> Result<&mut Sessions<P>, TargetError> {
        self.sessions.as_mut().ok_or(TargetError::Unexpected("measured before it was established"))
    }
}

impl<P: Protection> Target for KernelUring<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn descriptors_per_session(&self) -> usize {
        2
    }

    fn establish(&mut self, work: &Work) -> Result<(), TargetError> {
        self.sessions = Some(Sessions::establish(work, &self.options)?);
        Ok(())
    }

    fn closed_loop(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        self.sessions()?.closed_loop(round_trips)
    }

    fn ping_pong(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        self.sessions()?.ping_pong(round_trips)
    }

    fn broadcast(&mut self) -> Result<Sample, TargetError> {
        self.sessions()?.broadcast()
    }

    fn bytes_per_session(&self) -> Option<f64> {
        None
    }

    fn close(&mut self) {
        self.sessions = None;
    }
}
