//! `hpb bench ports`: every port that this machine can open, bare and under the card, beside the kernel's TCP over the
//! same kind of cable. Cables and interfaces lie in network namespaces of the run's own.
//!
//! Bare ports: both ends in one thread, full bursts one way for the rate, one frame to and fro for the round trip. Under
//! TCP: a client over kernel sockets on one core, which never sleeps while it waits; the server on another core, the
//! kernel's (epoll) or the card, both spinning for 20 µs before they sleep. So the client is the same for all, and what
//! differs is who answers.

mod raw;
mod report;
mod tcp;

use hpb_host::conditions::Conditions;
use hpb_host::sys::cores;
use hpb_net::OpenError;
use hpb_sandbox::SandboxError;

use crate::report::MachineLine;
use crate::runner::median;
use crate::target::TargetError;
pub use report::{PortsReport, RawRow, Skip, TcpRow};

/// What is measured, in the order of the tables.
pub const NAMES: [&str; 10] =
    ["wire", "packet", "tap", "xdp", "ring", "kernel", "card-packet", "card-tap", "card-xdp", "kernel-no-offload"];

/// How much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which of [`NAMES`].
    pub targets: Vec<&'static str>,
    /// How often each is set up and measured; medians are reported.
    pub repeats: usize,
    /// Round trips with one frame or message in flight.
    pub round_trips: u64,
    /// Frames one way.
    pub frames: u64,
    /// Sessions of the closed loop.
    pub sessions: usize,
    /// Round trips of the closed loop.
    pub messages: u64,
}

impl Options {
    /// What `hpb bench ports` measures.
    pub fn new(targets: Vec<&'static str>, repeats: usize) -> Self {
        Self { targets, repeats, round_trips: 20_000, frames: 1_000_000, sessions: 1_000, messages: 300_000 }
    }
}

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// No target was named.
    #[error("no target to measure")]
    Nothing,
    /// A name that is not one.
    #[error("`{name}` is no target: there are {}", NAMES.join(", "))]
    Name {
        /// What was given.
        name: String,
    },
    /// The machine has one core.
    #[error("a client and a server need a core each")]
    Cores,
}

/// Why a target gave no figure; the others go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Other(String),
}

/// The targets of these names, in the order of the tables.
///
/// # Errors
/// A name that is none.
pub fn in_order(names: &[String]) -> Result<Vec<&'static str>, PortsError> {
    if let Some(other) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(PortsError::Name { name: other.clone() });
    }
    Ok(NAMES.into_iter().filter(|name| names.is_empty() || names.iter().any(|other| other == name)).collect())
}

/// Measures; `command` is what the user typed, `progress` is told what is under way.
///
/// # Errors
/// Nothing to measure, or nowhere to measure it.
pub fn run(options: &Options, command: String, progress: &mut dyn FnMut(&str)) -> Result<PortsReport, PortsError> {
    if options.targets.is_empty() || options.repeats == 0 {
        return Err(PortsError::Nothing);
    }
    let [client_core, server_core, ..] = cores::allowed().unwrap_or_default()[..] else {
        return Err(PortsError::Cores);
    };
    let conditions = Conditions::read();
    let (mut raws, mut tcps) = (Vec::new(), Vec::new());
    let mut skipped: Vec<Skip> = Vec::new();
    for repeat in 0..options.repeats {
        for name in &options.targets {
            if skipped.iter().any(|skip| skip.name == *name) {
                continue;
            }
            progress(&format!("{name}: repeat {} of {}", repeat + 1, options.repeats));
            let measured = if raw::NAMES.contains(name) {
                raw::measure(name, options).map(|row| raws.push(row))
            } else {
                tcp::measure(name, options, client_core, server_core).map(|row| tcps.push(row))
            };
            if let Err(error) = measured {
                skipped.push(Skip { name, reason: error.to_string() });
            }
        }
    }
    let raw = options.targets.iter().filter_map(|name| raw_median(name, &raws)).collect();
    let tcp: Vec<TcpRow> = options.targets.iter().filter_map(|name| tcp_median(name, &tcps)).collect();
    Ok(PortsReport::new(MachineLine::read(None), command, options, raw, tcp, skipped, conditions.notes()))
}

fn raw_median(name: &'static str, rows: &[RawRow]) -> Option<RawRow> {
    let of_name: Vec<&RawRow> = rows.iter().filter(|row| row.name == name).collect();
    let middle = |figure: fn(&RawRow) -> f64| median(&mut of_name.iter().map(|row| figure(row)).collect::<Vec<f64>>());
    (!of_name.is_empty()).then(|| RawRow {
        name,
        frames_per_second: middle(|row| row.frames_per_second),
        cpu_ns_per_frame: middle(|row| row.cpu_ns_per_frame),
        large_frames_per_second: middle(|row| row.large_frames_per_second),
        p50_us: middle(|row| row.p50_us),
        p99_us: middle(|row| row.p99_us),
        p999_us: middle(|row| row.p999_us),
    })
}

fn tcp_median(name: &'static str, rows: &[TcpRow]) -> Option<TcpRow> {
    let of_name: Vec<&TcpRow> = rows.iter().filter(|row| row.name == name).collect();
    let middle = |figure: fn(&TcpRow) -> f64| median(&mut of_name.iter().map(|row| figure(row)).collect::<Vec<f64>>());
    (!of_name.is_empty()).then(|| TcpRow {
        name,
        p50_us: middle(|row| row.p50_us),
        p99_us: middle(|row| row.p99_us),
        p999_us: middle(|row| row.p999_us),
        messages_per_second: middle(|row| row.messages_per_second),
        server_cpu_ns: middle(|row| row.server_cpu_ns),
        both_cpu_ns: middle(|row| row.both_cpu_ns),
    })
}
