//! One session by blocking calls. Whoever reads sleeps until something comes. A closed loop writes and then reads, on one
//! thread; an open loop must not wait for answers, so there one thread writes and another reads.
//!
//! The client of a closed loop and the server are held on their cores. Of the two threads of an open loop's client the
//! one that writes has the client's core, since it spins until the next moment, and the one that reads shares the
//! server's: both of these sleep most of the time.

use std::io::{self, ErrorKind, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use hpb_base::{Duration, Instant};
use hpb_host::sys::{cores, read_stamped};

use crate::host::carrier::{stamp, stamped};
use crate::host::failed;
use crate::host::logs::{Arrival, list, repeat};
use crate::host::near::Book;
use crate::host::passages::{self, Passages};
use crate::host::sockets::retransmitted;
use crate::host::stage::Run;
use crate::host::window::{CpuMeter, UnixClock, Window, now};
use crate::record::{Cost, Repeat};
use crate::scenario::{Arrivals, Pattern, Scenario};
use crate::target::TargetError;

/// From here to the first message: both threads run by then.
const SETTLE: Duration = Duration::from_millis(50);
/// A wait that is longer than this is slept away but for the last of it.
const SPIN: Duration = Duration::from_millis(2);

/// What one thread leaves: what came to it, its processor time, and what it stamped.
struct Left {
    arrivals: Vec<Arrival>,
    cpu_ns: u64,
    passages: Passages,
}

/// Carries one repeat.
pub(super) fn carry(
    run: &Run<'_>,
    (clients, servers): (Vec<TcpStream>, Vec<TcpStream>),
) -> Result<Repeat, TargetError> {
    let (Some(client), Some(server)) = (clients.first(), servers.first()) else {
        return Err(TargetError::Failed("blocking calls carry one session, not none".to_owned()));
    };
    let noise = run.noise()?;
    let (scenario, window) = (run.scenario, Window::new(run.scenario, now() + SETTLE));
    let mut book = Book::new(scenario, &window, run.number);
    let is_answered = scenario.load.pattern == Pattern::RequestReply;
    let before = retransmitted(&clients) + retransmitted(&servers);
    let clock = UnixClock::read();
    let server_core = run.cores.server;
    let (asked, served) = thread::scope(|scope| {
        let times = &window;
        let serving = scope.spawn(move || {
            cores::pin(server_core).map_err(failed("holding the server on its core"))?;
            serve(server, scenario, times)
        });
        let asked = if matches!(scenario.load.arrivals, Arrivals::Closed { .. }) {
            let asked = cores::run_on(run.cores.client, || ask(client, &mut book, run, times));
            asked.map_err(failed("holding the client on its core")).flatten()
        } else {
            write_and_read(client, &mut book, run, times)
        };
        // A server that still waits is told that nothing more comes; one that failed has closed already.
        let _ = client.shutdown(Shutdown::Both);
        (asked, serving.join())
    });
    let served = served.map_err(|_| TargetError::Failed("the server panicked".to_owned()))?;
    let (mut asked, served) = (asked?, served?);
    let arrivals = if is_answered { &asked.arrivals } else { &served.arrivals };
    let mut repeat = repeat(scenario, &window, &book.sent, arrivals, run.began);
    let ends = (&mut asked.passages, &served.passages);
    let (hops, cost) = passages::hops((&book.sent, &window), is_answered, ends, clock.ahead());
    repeat.hops = hops;
    repeat.counts.retransmitted = (retransmitted(&clients) + retransmitted(&servers)).saturating_sub(before);
    repeat.cost = Cost { cpu_ns: asked.cpu_ns + served.cpu_ns, ..cost };
    repeat.noise = Some(noise);
    Ok(repeat)
}

/// The open loop's client: one thread writes, and where answers come another one reads them.
fn write_and_read(stream: &TcpStream, book: &mut Book, run: &Run<'_>, window: &Window) -> Result<Left, TargetError> {
    let (came, scenario) = (AtomicU64::new(0), run.scenario);
    let is_answered = scenario.load.pattern == Pattern::RequestReply;
    let server_core = run.cores.server;
    let (written, answers) = thread::scope(|scope| {
        let reading = is_answered.then(|| {
            scope.spawn(|| {
                cores::pin(server_core).map_err(failed("holding the reader on its core"))?;
                read(stream, scenario, window, &came)
            })
        });
        let came = is_answered.then_some(&came);
        let written = cores::run_on(run.cores.client, || {
            let written = write(stream, book, run, window, came);
            // Nothing more is written: the server, and then the reader, find the end.
            let ended = stream.shutdown(Shutdown::Write).map_err(failed("ending the session"));
            written.and_then(|left| ended.map(|()| left))
        });
        (written, reading.map(thread::ScopedJoinHandle::join))
    });
    let answers = answers.transpose().map_err(|_| TargetError::Failed("the reader panicked".to_owned()))?;
    let answers = answers.transpose()?;
    let mut left = written.map_err(failed("holding the writer on its core")).flatten()?;
    if let Some(answers) = answers {
        left.arrivals = answers.arrivals;
        left.cpu_ns += answers.cpu_ns;
        left.passages.join(answers.passages);
    }
    Ok(left)
}

/// The closed loop: writes, reads, and again.
fn ask(mut stream: &TcpStream, book: &mut Book, run: &Run<'_>, window: &Window) -> Result<Left, TargetError> {
    let (mut message, mut answer) = messages(run.scenario);
    let (mut arrivals, mut cpu) =
        (list(run.scenario, Arrival { number: 0, session: 0, at: Instant::ZERO }), CpuMeter::default());
    let mut passages = Passages::new(run.scenario.sessions);
    wait_until(window.start);
    while run.goes_on(true)? {
        let at = now();
        cpu.look(at, window);
        let Some(outgoing) = book.next(at) else { break };
        stamp(&mut message, outgoing.number, outgoing.intended);
        let left = now();
        book.left(outgoing.number, left);
        stream.write_all(&message).map_err(failed("writing a message"))?;
        passages.wrote(outgoing.number, 0, left);
        let Came { unix_ns } = read_exact(stream, &mut answer).map_err(failed("reading an answer"))?;
        let at = now();
        passages.read(outgoing.number, 0, unix_ns, at);
        arrivals.push(Arrival { number: outgoing.number, session: 0, at });
        book.answered(0, at);
    }
    Ok(Left { arrivals, cpu_ns: cpu.used_ns(), passages })
}

/// The open loop's writer: each message at its moment, then waits until `came` says that all answers have come, or for
/// as long as stragglers are waited for. Nothing comes to it.
fn write(
    mut stream: &TcpStream,
    book: &mut Book,
    run: &Run<'_>,
    window: &Window,
    came: Option<&AtomicU64>,
) -> Result<Left, TargetError> {
    let (mut message, _) = messages(run.scenario);
    let (mut cpu, mut passages) = (CpuMeter::default(), Passages::new(run.scenario.sessions));
    while let Some(next_at) = book.next_at() {
        run.goes_on(true)?;
        wait_until(next_at);
        let at = now();
        cpu.look(at, window);
        while let Some(outgoing) = book.next(at) {
            stamp(&mut message, outgoing.number, outgoing.intended);
            let left = now();
            book.left(outgoing.number, left);
            stream.write_all(&message).map_err(failed("writing a message"))?;
            passages.wrote(outgoing.number, 0, left);
        }
    }
    wait_until(window.end);
    cpu.look(now(), window);
    let sent = book.sent.len() as u64;
    while came.is_some_and(|came| came.load(Ordering::Relaxed) < sent) && now() < window.over {
        run.goes_on(true)?;
        rest(SPIN);
    }
    Ok(Left { arrivals: Vec::new(), cpu_ns: cpu.used_ns(), passages })
}

/// Reads answers until the end of the stream.
fn read(stream: &TcpStream, scenario: &Scenario, window: &Window, came: &AtomicU64) -> Result<Left, TargetError> {
    let (_, mut answer) = messages(scenario);
    let (mut arrivals, mut cpu) =
        (list(scenario, Arrival { number: 0, session: 0, at: Instant::ZERO }), CpuMeter::default());
    let mut passages = Passages::new(scenario.sessions);
    while let Some(Came { unix_ns }) = whole(stream, &mut answer)? {
        let at = now();
        cpu.look(at, window);
        if let Some((number, _)) = stamped(&answer) {
            passages.read(number, 0, unix_ns, at);
            arrivals.push(Arrival { number, session: 0, at });
        }
        came.store(arrivals.len() as u64, Ordering::Relaxed);
    }
    Ok(Left { arrivals, cpu_ns: cpu.used_ns(), passages })
}

/// The server: reads and answers, or only reads, until the end of the stream.
fn serve(mut stream: &TcpStream, scenario: &Scenario, window: &Window) -> Result<Left, TargetError> {
    let is_answered = scenario.load.pattern == Pattern::RequestReply;
    let (mut message, mut answer) = messages(scenario);
    let (mut arrivals, mut cpu) = (Vec::new(), CpuMeter::default());
    let mut passages = Passages::new(scenario.sessions);
    if !is_answered {
        arrivals = list(scenario, Arrival { number: 0, session: 0, at: Instant::ZERO });
    }
    while let Some(Came { unix_ns }) = whole(stream, &mut message)? {
        let at = now();
        cpu.look(at, window);
        let Some((number, intended)) = stamped(&message) else { continue };
        passages.read(number, 0, unix_ns, at);
        if is_answered {
            stamp(&mut answer, number, intended);
            let began_at = now();
            stream.write_all(&answer).map_err(failed("writing an answer"))?;
            passages.wrote(number, 0, began_at);
        } else {
            arrivals.push(Arrival { number, session: 0, at });
        }
    }
    // Whoever still reads finds the end; a client that is gone needs none.
    let _ = stream.shutdown(Shutdown::Write);
    Ok(Left { arrivals, cpu_ns: cpu.used_ns(), passages })
}

fn messages(scenario: &Scenario) -> (Vec<u8>, Vec<u8>) {
    (vec![0; scenario.load.request_len as usize], vec![0; scenario.load.reply_len.max(1) as usize])
}

/// When the kernel had the last packet of what was read, in nanoseconds since 1970; `None` if it did not stamp that.
struct Came {
    unix_ns: Option<u64>,
}

/// Reads one message; `None` at the end of the stream.
fn whole(stream: &TcpStream, message: &mut [u8]) -> Result<Option<Came>, TargetError> {
    match read_exact(stream, message) {
        Ok(came) => Ok(Some(came)),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => Ok(None),
        Err(error) => Err(failed("reading a message")(error)),
    }
}

/// Fills `buffer`.
fn read_exact(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Came> {
    let (mut len, mut came) = (0, Came { unix_ns: None });
    while len < buffer.len() {
        match read_stamped(stream, &mut buffer[len..]) {
            Ok((0, _)) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok((more, unix_ns)) => {
                len += more;
                came = Came { unix_ns };
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(came)
}

/// Spins until then; a wait that is long is slept away but for the last of it.
fn wait_until(at: Instant) {
    loop {
        let left = at.since(now());
        if left.is_zero() {
            return;
        }
        if left > SPIN.saturating_mul(2) {
            rest(left.div(2));
        }
        std::hint::spin_loop();
    }
}

#[allow(clippy::disallowed_methods, reason = "far from the next message; it decides nothing")]
fn rest(time: Duration) {
    thread::sleep(time.to_std());
}
