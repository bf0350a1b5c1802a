//! `hpb bench loss`: the card's TCP as a sender beside the kernel's, over the same wire with the same delay and losses.
//!
//! Two hosts of the run's own, each with a TAP interface, and a wire of ours between them (`wire`). The receiver is a
//! kernel socket in each case, so that what differs is who sends: the kernel by CUBIC, by BBR, or the card, whose TAP
//! interface lies in one bridge with the wire's. Each cell is measured twice: one session that streams, for the goodput,
//! and several that send small messages at a fixed pace, for their latency from the moment at which they were meant to
//! leave. Losses begin when the sessions stand.

mod receiver;
mod report;
mod sender;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::thread;

use hdrhistogram::Histogram;
use hpb_base::Duration;
use hpb_host::conditions::Conditions;
use hpb_host::sys::{self, wall_ns};
use hpb_net::OpenError;
use hpb_sandbox::{Host, SandboxError};

use crate::report::MachineLine;
use receiver::Arrivals;
pub use report::{LossReport, LossRow, Skip};
use sender::Orders;
use wire::{Losses, Wire};

/// Who sends, in the order of the table.
pub const NAMES: [&str; 3] = ["kernel-cubic", "kernel-bbr", "card"];
/// The losses in parts per million of the frames each way.
pub const LOSSES_PPM: [u32; 4] = [0, 1_000, 10_000, 50_000];
/// The delays in milliseconds each way.
pub const DELAYS_MS: [u64; 2] = [1, 50];

const SENDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)), 0);
const RECEIVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2)), 9_000);
const PREFIX_LEN: u8 = 24;
const BRIDGE: &str = "bridge0";
/// What the messages are called on the wire.
const MESSAGE_KIND: u8 = 1;
/// Bytes at the front of a message that say when it was meant to leave, in nanoseconds.
const STAMP_LEN: usize = 8;
/// What passes before the measurement begins: a stream finds its pace.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long sessions may take to stand.
const STAND_NS_MAX: u64 = 10_000_000_000;
/// How long the last messages are waited for.
const DRAIN_NS_MAX: u64 = 10_000_000_000;
/// The thread that gives the orders looks this often.
const LOOK_NS: u64 = 1_000_000;

/// How much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which of [`NAMES`].
    pub targets: Vec<&'static str>,
    /// Which losses, in parts per million.
    pub losses_ppm: Vec<u32>,
    /// Which delays, in milliseconds each way.
    pub delays_ms: Vec<u64>,
    /// How long each of a cell's two measurements takes.
    pub seconds: u64,
    /// Sessions that send messages.
    pub sessions: usize,
    /// Messages of each a second.
    pub per_second: u64,
    /// Bytes of a message's body.
    pub message_len: usize,
}

impl Options {
    /// What `hpb bench loss` measures.
    pub fn new(targets: Vec<&'static str>, seconds: u64) -> Self {
        Self {
            targets,
            losses_ppm: LOSSES_PPM.to_vec(),
            delays_ms: DELAYS_MS.to_vec(),
            seconds,
            sessions: 16,
            per_second: 100,
            message_len: 256,
        }
    }
}

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum LossError {
    /// No target, loss or delay was named.
    #[error("nothing to measure")]
    Nothing,
    /// A name that is not one.
    #[error("`{name}` is no target: there are {}", NAMES.join(", "))]
    Name {
        /// What was given.
        name: String,
    },
}

/// Why a target gave no figure; the others go on.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Other(String),
}

/// What a sender does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    /// One session sends as fast as it may.
    Stream,
    /// So many sessions send messages of `len` bytes at a pace.
    Messages { sessions: usize, per_second: u64, len: usize },
}

impl Work {
    fn sessions(self) -> usize {
        match self {
            Self::Stream => 1,
            Self::Messages { sessions, .. } => sessions,
        }
    }

    fn message_len(self) -> usize {
        match self {
            Self::Stream => 0,
            Self::Messages { len, .. } => len,
        }
    }
}

/// A wire's conditions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cell {
    delay_ms: u64,
    loss_ppm: u32,
}

/// What one measurement gave.
struct Measured {
    bytes: u64,
    took_ns: u64,
    losses: Losses,
    sent: u64,
    latencies: Histogram<u64>,
}

/// The targets of these names, in the order of the table.
///
/// # Errors
/// A name that is none.
pub fn in_order(names: &[String]) -> Result<Vec<&'static str>, LossError> {
    if let Some(other) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(LossError::Name { name: other.clone() });
    }
    Ok(NAMES.into_iter().filter(|name| names.is_empty() || names.iter().any(|other| other == name)).collect())
}

/// Measures; `command` is what the user typed, `progress` is told what is under way.
///
/// # Errors
/// Nothing to measure.
pub fn run(options: &Options, command: String, progress: &mut dyn FnMut(&str)) -> Result<LossReport, LossError> {
    if options.targets.is_empty() || options.losses_ppm.is_empty() || options.delays_ms.is_empty() {
        return Err(LossError::Nothing);
    }
    let conditions = Conditions::read();
    let (mut rows, mut skipped): (_, Vec<Skip>) = (Vec::new(), Vec::new());
    for &delay_ms in &options.delays_ms {
        for &loss_ppm in &options.losses_ppm {
            for &name in &options.targets {
                progress(&format!("{name}: {delay_ms} ms each way, {loss_ppm} frames of a million lost"));
                let cell = Cell { delay_ms, loss_ppm };
                match row(name, cell, options) {
                    Ok(row) => rows.push(row),
                    Err(error) => skipped.push(Skip { name, delay_ms, loss_ppm, reason: error.to_string() }),
                }
            }
        }
    }
    Ok(LossReport::new(MachineLine::read(None), command, options, rows, skipped, conditions.notes()))
}

#[allow(clippy::cast_precision_loss, reason = "below 2^53 bytes and nanoseconds")]
fn row(name: &'static str, cell: Cell, options: &Options) -> Result<LossRow, Failed> {
    let Options { sessions, per_second, message_len: len, .. } = *options;
    let stream = measure(name, cell, Work::Stream, options.seconds)?;
    let messages = measure(name, cell, Work::Messages { sessions, per_second, len }, options.seconds)?;
    let latency_ms = |quantile: f64| messages.latencies.value_at_quantile(quantile) as f64 / 1e6;
    Ok(LossRow {
        name,
        delay_ms: cell.delay_ms,
        loss_ppm: cell.loss_ppm,
        goodput_mbit_per_s: stream.bytes as f64 * 8e3 / stream.took_ns.max(1) as f64,
        bytes: stream.bytes,
        seconds: stream.took_ns as f64 / 1e9,
        stream_lost: stream.losses.lost,
        stream_overflowed: stream.losses.overflowed,
        messages: messages.latencies.len(),
        messages_missing: messages.sent.saturating_sub(messages.latencies.len()),
        messages_lost: messages.losses.lost,
        p50_ms: latency_ms(0.5),
        p99_ms: latency_ms(0.99),
        p999_ms: latency_ms(0.999),
    })
}

/// Lays a wire, lets the sessions stand, then loses frames and measures.
fn measure(name: &'static str, cell: Cell, work: Work, seconds: u64) -> Result<Measured, Failed> {
    let (near, far) = (Host::new()?, Host::new()?);
    let wire = Wire::lay([&near, &far], Duration::from_millis(cell.delay_ms))?;
    far.address(wire::INTERFACE, &format!("{}/{PREFIX_LEN}", RECEIVER.ip()))?;
    near.ip(&format!("link add {BRIDGE} type bridge"))?;
    near.ip(&format!("link set {} master {BRIDGE}", wire::INTERFACE))?;
    near.ip(&format!("link set {BRIDGE} up"))?;
    let mut port = None;
    if name == "card" {
        port = Some(near.run(sender::card_port)??);
        near.ip(&format!("link set {} master {BRIDGE}", sender::CARD_INTERFACE))?;
    } else {
        near.address(BRIDGE, &format!("{}/{PREFIX_LEN}", SENDER.ip()))?;
    }
    let listener = far.run(|| TcpListener::bind(RECEIVER))??;
    let (arrivals, orders) = (Arrivals::new(), Orders::new());
    let measured = thread::scope(|scope| {
        let receiving = scope.spawn(|| receiver::receive(&listener, &arrivals));
        let sending = scope.spawn(|| match (port, name.strip_prefix("kernel-")) {
            (Some(port), _) => sender::card(work, port, &orders),
            (None, Some(congestion_control)) => near.run(|| sender::kernel(work, congestion_control, &orders))?,
            (None, None) => Err(Failed::Other(format!("{name} is no sender"))),
        });
        let watched =
            watch(&wire, cell, work, seconds, &arrivals, &orders, || sending.is_finished() || receiving.is_finished());
        // The receiver first: the senders' sessions end by a reset.
        arrivals.stop.store(true, Ordering::Relaxed);
        let latencies = receiving.join().map_err(|_| Failed::Other("the receiver panicked".to_owned()))?;
        orders.stop.store(true, Ordering::Relaxed);
        sending.join().map_err(|_| Failed::Other("the sender panicked".to_owned()))??;
        let latencies = latencies?;
        let (bytes, took_ns, losses) = watched?;
        Ok(Measured { bytes, took_ns, losses, sent: orders.messages.load(Ordering::Relaxed), latencies })
    });
    wire.cut()?;
    measured
}

/// The course of a measurement, seen from the thread that gives the orders. Returns bytes, nanoseconds and losses.
fn watch(
    wire: &Wire,
    cell: Cell,
    work: Work,
    seconds: u64,
    arrivals: &Arrivals,
    orders: &Orders,
    has_ended: impl Fn() -> bool,
) -> Result<(u64, u64, Losses), Failed> {
    let wait = |what: &str, until_ns: u64, done: &dyn Fn() -> bool| {
        while !done() && wall_ns() < until_ns {
            if has_ended() {
                return Err(Failed::Other(format!("{what}: a thread ended early")));
            }
            sys::wait_readable(&[], LOOK_NS)?;
        }
        Ok(())
    };
    let stand = || {
        let wanted = work.sessions();
        orders.sessions.load(Ordering::Relaxed) == wanted && arrivals.sessions.load(Ordering::Relaxed) == wanted
    };
    wait("opening the sessions", wall_ns() + STAND_NS_MAX, &stand)?;
    if !stand() {
        return Err(Failed::Other("the sessions did not open".to_owned()));
    }
    wire.set_loss(cell.loss_ppm);
    orders.go.store(true, Ordering::Relaxed);
    wait("warming up", wall_ns() + WARM_UP.as_nanos(), &|| false)?;
    let (began_ns, bytes, losses) = (wall_ns(), arrivals.bytes.load(Ordering::Relaxed), wire.losses());
    arrivals.since_ns.store(began_ns, Ordering::Relaxed);
    orders.since_ns.store(began_ns, Ordering::Relaxed);
    wait("measuring", began_ns + seconds * 1_000_000_000, &|| false)?;
    let took_ns = wall_ns() - began_ns;
    let measured = (arrivals.bytes.load(Ordering::Relaxed) - bytes, took_ns, wire.losses().since(losses));
    orders.enough.store(true, Ordering::Relaxed);
    if work != Work::Stream {
        wait("the last messages", wall_ns() + DRAIN_NS_MAX, &|| {
            arrivals.messages.load(Ordering::Relaxed) >= orders.messages.load(Ordering::Relaxed)
        })?;
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_in_the_table_s_order_and_others_are_named() {
        assert_eq!(in_order(&["card".to_owned(), "kernel-bbr".to_owned()]).ok(), Some(vec!["kernel-bbr", "card"]));
        assert_eq!(in_order(&[]).ok().map(|all| all.len()), Some(NAMES.len()));
        assert!(in_order(&["tcp".to_owned()]).is_err_and(|error| error.to_string().contains("kernel-cubic")));
    }
}
