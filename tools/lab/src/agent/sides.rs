//! The two sides of one repeat, each on its own host: the same sockets and the same load as on one host, but that both
//! begin by their clocks.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration as StdDuration;

use hpb_base::limits::AGENT_ARRIVALS_MAX;
use hpb_base::{Duration, Instant};

use super::clock::{AgentClock, Line};
use crate::host::carrier::Carrier as _;
use crate::host::logs;
use crate::host::near::Near;
use crate::host::sockets::Sockets;
use crate::host::window::{CpuMeter, Shared, Window, now};
use crate::measure::Recorder;
use crate::record::{Cost, Repeat};
use crate::scenario::{Pattern, Scenario};
use crate::target::TargetError;

/// How long sessions may take to open.
pub(super) const OPENING_MAX: Duration = Duration::from_secs(30);
/// How often whoever waits for a session looks around.
const LOOK: StdDuration = StdDuration::from_millis(5);
/// How long a session may take to say whose it is.
const HELLO_MAX: StdDuration = StdDuration::from_secs(2);
/// A session's first bytes: which client's it is, and which of its.
const HELLO_LEN: usize = 8;

/// A message that came one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Came {
    session: u32,
    number: u64,
    /// By the clock of the client's host.
    intended_ns: u64,
    /// As this agent's clock reads.
    at_ns: i64,
}

/// What the server leaves of a repeat.
pub(super) struct Served {
    pub(super) came: Vec<Came>,
    /// Which client's each session is.
    pub(super) clients: Vec<u32>,
    pub(super) cpu_ns: u64,
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> TargetError {
    crate::host::failed(what)
}

/// Opens a client's sessions.
///
/// # Errors
/// The server cannot be reached.
pub(super) fn call(server: SocketAddr, client: u32, sessions: u32) -> Result<Vec<TcpStream>, TargetError> {
    let one = |session: u32| {
        let mut stream = TcpStream::connect_timeout(&server, OPENING_MAX.to_std())?;
        stream.set_nodelay(true)?;
        let mut hello = [0; HELLO_LEN];
        hello[..4].copy_from_slice(&client.to_le_bytes());
        hello[4..].copy_from_slice(&session.to_le_bytes());
        stream.write_all(&hello)?;
        Ok(stream)
    };
    (0..sessions).map(one).collect::<std::io::Result<_>>().map_err(failed(&format!("calling {server}")))
}

/// Takes all sessions of all clients, in their order, and tells whose each is.
///
/// # Errors
/// Some do not come in time, or it was stopped.
#[allow(clippy::disallowed_methods, reason = "whoever waits for sessions does not measure yet")]
pub(super) fn take(
    listener: &TcpListener,
    clients: u32,
    sessions: u32,
    stop: &AtomicBool,
) -> Result<(Vec<TcpStream>, Vec<u32>), TargetError> {
    listener.set_nonblocking(true).map_err(failed("listening"))?;
    let mut seats: Vec<Vec<Option<TcpStream>>> = (0..clients).map(|_| (0..sessions).map(|_| None).collect()).collect();
    let wanted = clients as usize * sessions as usize;
    let (mut taken, until) = (0, now() + OPENING_MAX);
    while taken < wanted {
        if stop.load(Ordering::Relaxed) || now() > until {
            return Err(TargetError::Failed(format!("{taken} of {wanted} sessions came within {OPENING_MAX:?}")));
        }
        match listener.accept() {
            Ok((stream, _)) => {
                // A stranger's session is let go.
                if let Ok((client, session)) = hello(&stream)
                    && let Some(seat) = seats.get_mut(client as usize).and_then(|seats| seats.get_mut(session as usize))
                    && seat.is_none()
                {
                    *seat = Some(stream);
                    taken += 1;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
            Err(error) => return Err(failed("taking a session")(error)),
        }
    }
    let whose = (0..clients).flat_map(|client| (0..sessions).map(move |_| client)).collect();
    Ok((seats.into_iter().flatten().flatten().collect(), whose))
}

fn hello(stream: &TcpStream) -> std::io::Result<(u32, u32)> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HELLO_MAX))?;
    let mut bytes = [0; HELLO_LEN];
    (&mut &*stream).read_exact(&mut bytes)?;
    let word = |at: usize| u32::from_le_bytes(bytes[at..].first_chunk().copied().unwrap_or_default());
    Ok((word(0), word(4)))
}

/// The server's side until the repeat is over.
///
/// # Errors
/// A socket fails, or more comes than is kept.
pub(super) fn serve(
    (streams, clients): (Vec<TcpStream>, Vec<u32>),
    scenario: &Scenario,
    clock: AgentClock,
    start: Instant,
    stop: &AtomicBool,
) -> Result<Served, TargetError> {
    let is_answered = scenario.load.pattern == Pattern::RequestReply;
    let mut sockets = Sockets::new(streams, scenario.load.request_len, 0)?;
    let mut answer = vec![0; if is_answered { scenario.load.reply_len as usize } else { 0 }];
    let (window, mut cpu) = (Window::new(scenario, start), CpuMeter::default());
    let (mut came, mut is_full) = (Vec::new(), false);
    loop {
        let at = now();
        cpu.look(at, &window);
        if at >= window.over || stop.load(Ordering::Relaxed) {
            break;
        }
        sockets.receive(&mut answer, &mut |head| {
            if !is_answered {
                is_full |= came.len() == AGENT_ARRIVALS_MAX;
                if !is_full {
                    let (intended_ns, at_ns) = (head.intended.as_nanos(), clock.reading(head.at));
                    came.push(Came { session: head.session, number: head.number, intended_ns, at_ns });
                }
            }
            is_answered
        })?;
        sockets.flush()?;
        // Agents may share a core with others: whoever has nothing to do lets them.
        std::thread::yield_now();
    }
    if is_full {
        let reason = format!("more than {AGENT_ARRIVALS_MAX} messages came: a lower rate, or a shorter time");
        return Err(TargetError::Failed(reason));
    }
    Ok(Served { came, clients, cpu_ns: cpu.used_ns() })
}

/// A client's side until the repeat is over; the repeat, and when it began to measure.
///
/// # Errors
/// A socket fails, or it was stopped.
pub(super) fn send(
    streams: Vec<TcpStream>,
    scenario: &Scenario,
    number: u32,
    start: Instant,
    stop: &AtomicBool,
) -> Result<(Repeat, Instant), TargetError> {
    let is_answered = scenario.load.pattern == Pattern::RequestReply;
    let message_len = if is_answered { scenario.load.reply_len } else { scenario.load.request_len };
    let shared = Shared::starting_at(start);
    let mut near = Near::new(Sockets::new(streams, message_len, 0)?, scenario, &shared, number);
    while near.turn()? {
        if stop.load(Ordering::Relaxed) {
            return Err(TargetError::Failed("it was stopped".to_owned()));
        }
        std::thread::yield_now();
    }
    let done = near.finish()?;
    let mut repeat = logs::repeat(scenario, &done.window, &done.sent, &done.arrivals, done.window.start);
    repeat.counts.retransmitted = done.retransmitted;
    repeat.counts.sessions_lost = done.sessions_lost;
    repeat.cost = Cost { cpu_ns: done.cpu_ns, ..Cost::default() };
    Ok((repeat, done.window.begin))
}

/// What came one way from one client, measured by its host's clock: each arrival's reading is brought there by `line`.
pub(super) fn judge(served: &Served, client: u32, scenario: &Scenario, line: &Line, begin: Instant) -> Repeat {
    let mut recorder = Recorder::new(begin, scenario.duration);
    let mut newest: Vec<Option<u64>> = vec![None; served.clients.len()];
    for came in &served.came {
        if served.clients.get(came.session as usize) != Some(&client) {
            continue;
        }
        let intended = Instant::from_nanos(came.intended_ns);
        let measured = u64::from(recorder.measures(intended));
        let newest = &mut newest[came.session as usize];
        recorder.counts.out_of_order += measured * u64::from(newest.is_some_and(|newest| newest > came.number));
        *newest = (*newest).max(Some(came.number));
        let at = Instant::from_nanos(u64::try_from(line.client_at(came.at_ns)).unwrap_or(0));
        recorder.arrived(intended, intended, at);
    }
    // When messages did leave the server does not know: it says nothing of that.
    Repeat { service: crate::record::Buckets::default(), ..recorder.finish(begin) }
}
