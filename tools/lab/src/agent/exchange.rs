//! Exchanges of clock readings over UDP: the server answers, the client asks, both from threads of their own while a
//! repeat runs.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration as StdDuration;

use hpb_base::limits::CLOCK_EXCHANGES_MAX;

use super::clock::{ANSWER_LEN, AgentClock, Exchange, Line, QUESTION_LEN};
use crate::host::window::now;

/// So many exchanges come one after the other; then they are spread over the repeat.
const CLOSE: usize = 64;
/// Between two close ones, and between two others.
const CLOSE_EVERY: StdDuration = StdDuration::from_millis(1);
const EVERY: StdDuration = StdDuration::from_millis(20);
/// How long an answer, or a question, is waited for before the thread looks around.
const PATIENCE: StdDuration = StdDuration::from_millis(100);

/// A thread that ends when this is let go.
pub(super) struct Thread<T> {
    stop: Arc<AtomicBool>,
    handle: Option<JoinHandle<T>>,
}

impl<T: Default + Send + 'static> Thread<T> {
    #[allow(clippy::disallowed_methods, reason = "exchanges go on beside a repeat, which has its own thread")]
    fn start(run: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Self { stop, handle: Some(std::thread::spawn(move || run(&seen))) }
    }

    /// Ends it; what it found.
    pub(super) fn finish(mut self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.handle.take().and_then(|handle| handle.join().ok()).unwrap_or_default()
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Answers whoever asks at `socket`.
///
/// # Errors
/// The socket takes no time-out.
pub(super) fn answer(socket: UdpSocket, clock: AgentClock) -> io::Result<Thread<()>> {
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(Thread::start(move |stop| {
        let mut bytes = [0; QUESTION_LEN + 1];
        while !stop.load(Ordering::Relaxed) {
            let Ok((len, from)) = socket.recv_from(&mut bytes) else { continue };
            let received = clock.reading(now());
            let Ok(question) = bytes[..len].try_into() else { continue };
            let answer = Exchange::answer(question, received, clock.reading(now()));
            // An answer that is lost is one exchange less.
            let _ = socket.send_to(&answer, from);
        }
    }))
}

/// The first exchanges with whoever answers at `server`, and a thread that goes on with them.
///
/// # Errors
/// No socket, or too few answers.
#[allow(clippy::disallowed_methods, reason = "exchanges are spread over a repeat")]
pub(super) fn ask(server: SocketAddr, clock: AgentClock) -> io::Result<(Vec<Exchange>, Thread<Vec<Exchange>>)> {
    let own = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut number = 0;
    let mut first = Vec::with_capacity(CLOSE);
    for _ in 0..CLOSE {
        first.extend(one(&socket, clock, &mut number)?);
        std::thread::sleep(CLOSE_EVERY);
    }
    if Line::through(&first).is_none() {
        let reason =
            format!("{} of {CLOSE} exchanges of clock readings over UDP with {server} were answered", first.len());
        return Err(io::Error::new(ErrorKind::TimedOut, reason));
    }
    let thread = Thread::start(move |stop| {
        let mut found = Vec::new();
        while !stop.load(Ordering::Relaxed) && found.len() < CLOCK_EXCHANGES_MAX - CLOSE {
            // A network that fails for a while costs exchanges, not the repeat.
            found.extend(one(&socket, clock, &mut number).ok().flatten());
            std::thread::sleep(EVERY);
        }
        found
    });
    Ok((first, thread))
}

/// One exchange; none if its answer does not come.
fn one(socket: &UdpSocket, clock: AgentClock, number: &mut u64) -> io::Result<Option<Exchange>> {
    *number += 1;
    let mut bytes = [0; ANSWER_LEN + 1];
    let asked = clock.reading(now());
    match socket.send(&Exchange::question(*number, asked)) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(None),
        sent => sent?,
    };
    loop {
        let len = match socket.recv(&mut bytes) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Ok(None),
        };
        let heard = clock.reading(now());
        // The answer to a question that was given up comes late: it is passed over.
        if let Some(exchange) = Exchange::ended(&bytes[..len], *number, asked, heard) {
            return Ok(Some(exchange));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_planted_clock_is_found_over_loopback() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = socket.local_addr().unwrap();
        let answering = answer(socket, AgentClock { offset_ns: 7_000_000, ..AgentClock::default() }).unwrap();
        let clock = AgentClock { offset_ns: -5_000_000, ..AgentClock::default() };
        let (first, thread) = ask(server, clock).unwrap();
        let all = [first, thread.finish()].concat();
        answering.finish();
        let line = Line::through(&all).unwrap();
        assert!((line.offset_ns + 12_000_000).unsigned_abs() <= line.error_ns, "{line:?}");
    }

    #[test]
    fn nobody_there_is_said() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = silent.local_addr().unwrap();
        drop(silent);
        let error = ask(server, AgentClock::default()).err().unwrap();
        assert!(error.to_string().contains("0 of 64 exchanges"), "{error}");
    }
}
