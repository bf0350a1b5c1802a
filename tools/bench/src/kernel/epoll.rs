//! `kernel-epoll`: the plain way of a good TCP server, and its clients beside it in the same thread.
//!
//! Server and client each have an epoll instance of their own and take turns; neither knows of the other but by the
//! socket. [`two_threads`] runs the same two halves on a thread each, for the comparison with a foreign tool.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hdrhistogram::Histogram;
use hpb_host::sys::{self, Epoll};

use crate::kernel::pairs::Pairs;
use crate::kernel::{BATCH_LEN, BODY_LEN_MAX, KernelOptions};
use crate::target::{Meter, Sample, StallGuard, Target, TargetError, Work, ping_pong_session};

/// Milliseconds that a half on a thread of its own sleeps in one wait, at most; sockperf's default too.
const WAIT_MS: i32 = 10;

/// The target `kernel-epoll`.
pub struct KernelEpoll {
    options: KernelOptions,
    halves: Option<Halves>,
}

struct Halves {
    work: Work,
    server: Server,
    client: Client,
}

/// Echoes whatever arrives.
struct Server {
    epoll: Epoll,
    streams: Vec<TcpStream>,
    scratch: Box<[u8; BODY_LEN_MAX]>,
}

/// Counts what comes back.
struct Client {
    epoll: Epoll,
    streams: Vec<TcpStream>,
    /// Bytes that each session has of the message under way.
    partial: Vec<usize>,
    scratch: Box<[u8; BODY_LEN_MAX]>,
    message: Vec<u8>,
}

impl Halves {
    fn establish(work: &Work, options: &KernelOptions) -> Result<Self, TargetError> {
        let Pairs { servers, clients } = Pairs::establish(work, options)?;
        Ok(Self {
            work: *work,
            server: Server { epoll: watch(&servers)?, streams: servers, scratch: Box::new([0; BODY_LEN_MAX]) },
            client: Client {
                epoll: watch(&clients)?,
                partial: vec![0; clients.len()],
                streams: clients,
                scratch: Box::new([0; BODY_LEN_MAX]),
                message: vec![0x5A; work.message_len],
            },
        })
    }
}

fn watch(streams: &[TcpStream]) -> Result<Epoll, TargetError> {
    let epoll = Epoll::new(BATCH_LEN)?;
    for (index, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true)?;
        epoll.add(stream, index as u64)?;
    }
    Ok(epoll)
}

impl Server {
    /// Answers what is there; the number of sessions that had something.
    fn turn(&mut self, wait_ms: i32) -> Result<usize, TargetError> {
        let ready = self.epoll.wait(wait_ms)?;
        for index in 0..ready {
            let mut stream = &self.streams[self.epoll.token(index)];
            let len = read(stream, &mut *self.scratch)?;
            write(&mut stream, &self.scratch[..len])?;
        }
        Ok(ready)
    }

    fn broadcast(&self, range: std::ops::Range<usize>, message: &[u8]) -> Result<(), TargetError> {
        for mut stream in &self.streams[range] {
            write(&mut stream, message)?;
        }
        Ok(())
    }
}

impl Client {
    fn send(&self, session: usize) -> Result<(), TargetError> {
        write(&mut &self.streams[session], &self.message)
    }

    /// Takes what came back: the number of whole messages of `len` bytes. With `again`, each is followed by the next.
    fn turn(&mut self, wait_ms: i32, len: usize, again: bool) -> Result<u64, TargetError> {
        let ready = self.epoll.wait(wait_ms)?;
        let mut whole = 0;
        for index in 0..ready {
            let session = self.epoll.token(index);
            let partial = self.partial[session] + read(&self.streams[session], &mut *self.scratch)?;
            self.partial[session] = if partial >= len { 0 } else { partial };
            if partial > len {
                return Err(TargetError::Unexpected("more bytes than were sent"));
            }
            if partial == len {
                whole += 1;
                if again {
                    self.send(session)?;
                }
            }
        }
        Ok(whole)
    }
}

/// Reads once; a readable event without bytes is the peer's end.
fn read(mut stream: &TcpStream, into: &mut [u8]) -> Result<usize, TargetError> {
    match stream.read(into)? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        len => Ok(len),
    }
}

/// Writes once; a full socket buffer cannot be with one message in flight.
fn write(stream: &mut &TcpStream, bytes: &[u8]) -> Result<(), TargetError> {
    if stream.write(bytes)? == bytes.len() { Ok(()) } else { Err(TargetError::Unexpected("a short write")) }
}

impl KernelEpoll {
    /// Not yet established.
    pub const fn new(options: KernelOptions) -> Self {
        Self { options, halves: None }
    }

    fn halves(&mut self) -> Result<&mut Halves, TargetError> {
        self.halves.as_mut().ok_or(TargetError::Unexpected("measured before it was established"))
    }
}

impl Target for KernelEpoll {
    fn name(&self) -> &'static str {
        "kernel-epoll"
    }

    fn descriptors_per_session(&self) -> usize {
        2
    }

    fn establish(&mut self, work: &Work) -> Result<(), TargetError> {
        self.halves = Some(Halves::establish(work, &self.options)?);
        Ok(())
    }

    fn closed_loop(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        let Halves { work, server, client } = self.halves()?;
        for session in 0..work.sessions {
            client.send(session)?;
        }
        let mut guard = StallGuard::default();
        let meter = Meter::start();
        let mut done = 0;
        while done < round_trips {
            let echoed = server.turn(0)?;
            let whole = client.turn(0, work.message_len, true)?;
            done += whole;
            guard.turn(echoed > 0 || whole > 0)?;
        }
        let sample = meter.stop(done);
        let mut left = work.sessions as u64;
        while left > 0 {
            let echoed = server.turn(0)?;
            let whole = client.turn(0, work.message_len, false)?;
            left -= whole;
            guard.turn(echoed > 0 || whole > 0)?;
        }
        Ok(sample)
    }

    fn ping_pong(&mut self, round_trips: u64) -> Result<Sample, TargetError> {
        let Halves { work, server, client } = self.halves()?;
        let mut guard = StallGuard::default();
        let meter = Meter::start();
        for round in 0..round_trips {
            client.send(ping_pong_session(round, work.sessions))?;
            while server.turn(0)? == 0 {
                guard.turn(false)?;
            }
            while client.turn(0, work.message_len, false)? == 0 {
                guard.turn(false)?;
            }
            guard.turn(true)?;
        }
        Ok(meter.stop(round_trips))
    }

    fn broadcast(&mut self) -> Result<Sample, TargetError> {
        let Halves { work, server, client } = self.halves()?;
        let message = vec![0xB5; work.broadcast_len];
        let mut guard = StallGuard::default();
        let meter = Meter::start();
        let mut left = work.sessions as u64;
        for start in (0..work.sessions).step_by(BATCH_LEN) {
            server.broadcast(start..work.sessions.min(start + BATCH_LEN), &message)?;
            left -= client.turn(0, work.broadcast_len, false)?;
        }
        while left > 0 {
            let whole = client.turn(0, work.broadcast_len, false)?;
            left -= whole;
            guard.turn(whole > 0)?;
        }
        Ok(meter.stop(work.sessions as u64))
    }

    fn bytes_per_session(&self) -> Option<f64> {
        None
    }

    fn close(&mut self) {
        self.halves = None;
    }
}

/// Round trips, in nanoseconds of wall time, with one message in flight over `work.sessions` sessions in turn, the
/// server on a thread of its own and both halves asleep in epoll while they wait.
///
/// # Errors
/// The sessions cannot be set up, or a half fails.
pub fn two_threads(work: &Work, options: &KernelOptions) -> Result<Histogram<u64>, TargetError> {
    let Halves { work, mut server, mut client } = Halves::establish(work, options)?;
    let mut histogram =
        Histogram::new_with_bounds(1, 10_000_000_000, 3).map_err(|error| TargetError::Other(error.to_string()))?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let echo = scope.spawn(|| -> Result<(), TargetError> {
            while !stop.load(Ordering::Relaxed) {
                server.turn(WAIT_MS)?;
            }
            Ok(())
        });
        let measured = (0..work.ping_pong_round_trips).try_for_each(|round| {
            let start_ns = sys::wall_ns();
            client.send((round % work.sessions as u64) as usize)?;
            while client.turn(WAIT_MS, work.message_len, false)? == 0 {
                if echo.is_finished() || sys::wall_ns() - start_ns > crate::target::STALL_NS_MAX {
                    return Err(TargetError::Stalled);
                }
            }
            histogram.saturating_record(sys::wall_ns() - start_ns);
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let echoed = echo.join().unwrap_or(Err(TargetError::Unexpected("the server's thread panicked")));
        echoed.and(measured)
    })?;
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_session_of_two_threads_answers() {
        let work = Work { ping_pong_round_trips: 40, ..Work::new(8) };
        let histogram = two_threads(&work, &KernelOptions::default()).unwrap();
        assert_eq!(histogram.len(), 40);
        assert!(histogram.min() > 0);
    }

    #[test]
    fn measuring_before_establishing_is_an_error() {
        let mut target = KernelEpoll::new(KernelOptions::default());
        assert!(matches!(target.broadcast(), Err(TargetError::Unexpected(_))));
    }
}
