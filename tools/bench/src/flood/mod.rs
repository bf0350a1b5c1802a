//! What a flood of SYNs does to those who are there, and to those who come: 1,000 sessions of the kernel's TCP echo at a
//! fixed rate through a card on `AF_XDP`, while hping3 sends SYNs from random addresses as fast as it can, and as many
//! new sessions open.
//!
//! Two cards, one after the other: before the first, XDP drops the flood; the second meets it. Each has a quiet phase and
//! a flooded one. Clients, flood and card keep their cores, and in every phase the new sessions are called, so that the
//! flooded phases differ in nothing but who meets the flood, not even in what memory was used before. The rule that
//! drops takes calls to the flooded port and nothing else; the echoing sessions use another port, and in the last phase
//! the new ones call the flooded one itself.
//!
//! Echoes are sent open loop: each has a time at which it is meant to leave, and its latency counts from then. SYNs are
//! counted where they arrive: by the driver's count of dropped frames, and by the card. The flood's answers go to random
//! addresses by way of the clients' host, which has no other interface and forwards nothing.
//!
//! It refuses to run without root, hping3 and two cores.

mod clients;
mod report;
mod stage;

use std::io;
use std::net::SocketAddrV4;

use hdrhistogram::Histogram;
use hpb_base::Duration;
use hpb_card::{CardError, Running};
use hpb_host::conditions::Conditions;
use hpb_host::sys::{self, cores, wall_ns};
use hpb_net::OpenError;
use hpb_node::runtime::StartError;
use hpb_sandbox::SandboxError;

use crate::memory;
use crate::report::MachineLine;
use clients::Clients;
pub use report::{FloodReport, Phase};
use stage::{CARD, CLIENT, ECHO_PORT, FLOODED_PORT, LANE_THREAD, NEWCOMER, Stage};

/// Sessions of one kind at most: the ports that a client may take by default.
pub const SESSIONS_MAX: usize = 9_000;
/// Descriptors that the run needs beside those of its sessions.
const DESCRIPTORS_BESIDE: u64 = 256;

/// What to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Sessions that echo, and as many that open anew in each phase; 1 to [`SESSIONS_MAX`].
    pub sessions: usize,
    /// How long a phase is.
    pub phase: Duration,
    /// Each echoing session says something this often.
    pub interval: Duration,
}

impl Options {
    /// 1,000 sessions that echo every 50 ms, 5 s a phase.
    pub const DEFAULT: Self =
        Self { sessions: 1_000, phase: Duration::from_secs(5), interval: Duration::from_millis(50) };
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum FloodError {
    /// Namespaces, `AF_XDP` and raw sockets are root's.
    #[error("a flood needs network namespaces, AF_XDP and raw sockets: run it as root")]
    Root,
    /// One core.
    #[error("the card needs a core of its own, the clients and the flood another: two cores")]
    Cores,
    /// hping3 does not start.
    #[error("hping3 does not start ({0}): install the package hping3")]
    Program(io::Error),
    /// hping3 ended before its time.
    #[error("hping3 ended by itself: {0}")]
    Ended(String),
    /// More descriptors than the limit allows.
    #[error("{needed} open files are needed and {limit} allowed: raise the limit (`ulimit -n {needed}`)")]
    Descriptors {
        /// What the run takes.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The echoing sessions did not open, with no flood yet.
    #[error("{opened} of {asked} sessions opened without a flood")]
    NotOpen {
        /// Those that did.
        opened: usize,
        /// All.
        asked: usize,
    },
    /// The driver does not count what XDP drops.
    #[error("the veth driver does not count what XDP drops (`ethtool -S`): {0}")]
    Uncounted(String),
    /// No such hosts.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The port did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The card did not start, or failed.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The card has no flag to end by.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The kernel refused something.
    #[error("the bench's sessions and threads: {0}")]
    Io(#[from] io::Error),
}

/// Who meets the flood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Met {
    Nobody,
    Xdp,
    Card,
}

/// What the card and its surroundings had done by some moment.
#[derive(Clone, Copy)]
struct Marks {
    syns: u64,
    lost_frames: u64,
    cookies_sent: u64,
    cookies_taken: u64,
    dropped: u64,
    times: cores::Times,
    resident: u64,
}

/// Runs it; `command` is what the user typed, `progress` is told what is under way.
///
/// # Errors
/// [`FloodError`]: what is missing and what to do about it, or what failed.
pub fn run(
    options: &Options,
    command: String,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<FloodReport, FloodError> {
    let conditions = Conditions::read();
    let [lane_core, client_core, ..] = cores::allowed()?[..] else { return Err(FloodError::Cores) };
    let needed = 2 * options.sessions as u64 + DESCRIPTORS_BESIDE;
    let limit = sys::descriptor_limit_raise()?;
    if limit < needed {
        return Err(FloodError::Descriptors { needed, limit });
    }
    let stage = Stage::build(client_core, lane_core)?;
    let mut phases = Vec::new();
    for (is_shielded, meets) in [(true, &[Met::Nobody, Met::Xdp]), (false, &[Met::Nobody, Met::Card])] {
        // What the last card left is given back, so that what this one takes shows.
        sys::heap_trim();
        let card = stage.start(is_shielded)?;
        let work = || stage.clients.run(|| with_clients(&stage, options, &card, meets, progress));
        let done = cores::run_on(client_core, work)?;
        card.end()?;
        phases.extend(done??);
    }
    Ok(FloodReport::new(MachineLine::read(None), command, options, (client_core, lane_core), phases, &conditions))
}

/// Opens the echoing sessions on one card, and goes through its phases.
fn with_clients(
    stage: &Stage,
    options: &Options,
    card: &Running,
    meets: &[Met],
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Phase>, FloodError> {
    progress("opening the sessions that echo");
    let mut clients = Clients::open(options.sessions, CLIENT, SocketAddrV4::new(CARD, ECHO_PORT))?;
    meets.iter().map(|&met| phase(stage, options, card, met, &mut clients, progress)).collect()
}

fn phase(
    stage: &Stage,
    options: &Options,
    card: &Running,
    met: Met,
    clients: &mut Clients,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Phase, FloodError> {
    let name = match met {
        Met::Nobody => "quiet",
        Met::Xdp => "flood dropped by XDP",
        Met::Card => "flood to the card",
    };
    progress(name);
    let port = if met == Met::Card { FLOODED_PORT } else { ECHO_PORT };
    let before = marks(stage, card)?;
    let began_ns = wall_ns();
    let flood = if met == Met::Nobody { None } else { Some(stage.flood()?) };
    let (mut flood_ns, mut claimed) = (0, None);
    let seen = clients.phase(options, NEWCOMER, SocketAddrV4::new(CARD, port), || {
        if let Some(flood) = flood {
            claimed = flood.end()?;
            flood_ns = wall_ns() - began_ns;
        }
        Ok(())
    })?;
    let after = marks(stage, card)?;
    Ok(Phase::new(name, &seen, flood_ns, claimed, &before, &after))
}

fn marks(stage: &Stage, card: &Running) -> Result<Marks, FloodError> {
    let report = card.report();
    Ok(Marks {
        syns: report.count("SYNs"),
        lost_frames: report.count("frames the port lost"),
        cookies_sent: report.count("cookies sent"),
        cookies_taken: report.count("cookies taken"),
        dropped: stage.dropped()?,
        times: cores::times_of(LANE_THREAD)?,
        resident: memory::resident()?,
    })
}

/// Nanoseconds, from one to a minute, to three digits.
fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)
}
