//! Verbs that look at a peer from the outside. Exit code 0: what was asked is well; 1: something is wrong, and the result
//! says what; 2: it could not be asked.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use hpb_client::{KeyFile, os_random};
use hpb_devnet::peers::Peers;
use hpb_peer::probe::bandwidth::{BandwidthReport, Direction, Measure, flow};
use hpb_peer::probe::doctor::{Diagnosis, gather};
use hpb_peer::probe::handshake::{self, HandshakeReport};
use hpb_peer::probe::ping::{self, Rhythm};
use hpb_peer::probe::{Credentials, KnownPeer, Paint, Session, Target, clock, info, path_mtu, trace};
use hpb_toe::Identity;
use hpb_types::ChainId;
use serde::Serialize;

use super::PATIENCE;
use crate::command_line::{
    Called, Node, PeerBandwidth, PeerClock, PeerDoctor, PeerHandshake, PeerInfo, PeerPathMtu, PeerPing, PeerTrace,
};
use crate::failure::Failure;
use crate::genesis::read_any;

/// How long each hop of a way is waited for.
const HOP_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of each direction at most: a minute of a fast link.
const BANDWIDTH_LEN_MAX: u64 = 64 << 30;
/// How long nothing may move.
const STALL_PATIENCE: Duration = Duration::from_secs(3);

/// What one round came to.
pub(super) struct Shown {
    text: String,
    json: String,
    /// What is wrong, in one line.
    wrong: Option<String>,
}

impl Shown {
    pub(super) fn new(report: &impl Serialize, text: String, wrong: Option<String>) -> Result<Self, Failure> {
        Ok(Self { text, json: serde_json::to_string(report).map_err(Failure::work)?, wrong })
    }
}

pub(crate) fn ping(options: &PeerPing) -> Result<(), Failure> {
    let interval = if options.flood { Duration::ZERO } else { Duration::from_millis(options.interval_ms) };
    let rhythm = Rhythm { count: options.count, interval };
    rounds(&options.called, |target, paint| {
        let report = if options.tcp || target.credentials.is_none() {
            ping::by_tcp(target, rhythm)
        } else {
            match handshake::open(target) {
                (_, Some(mut session)) => ping::by_session(target, &mut session, rhythm),
                (handshake, None) => return unopened(&handshake, paint),
            }
        };
        let lost = report.rounds.lost();
        let wrong = (!report.is_well()).then(|| format!("{lost} of {} rounds had no answer", report.rounds.sent));
        Shown::new(&report, report.text(paint), wrong)
    })
}

pub(crate) fn handshake(options: &PeerHandshake) -> Result<(), Failure> {
    rounds(&options.called, |target, paint| {
        let (report, _) = handshake::open(target);
        let wrong = report.failure.as_ref().map(handshake::Failure::words);
        Shown::new(&report, report.text(paint), wrong)
    })
}

pub(crate) fn trace(options: &PeerTrace) -> Result<(), Failure> {
    rounds(&options.called, |target, paint| {
        let report = trace::trace(target, options.hops, HOP_PATIENCE);
        let wrong = (!report.reached).then(|| "the way does not lead to the peer".to_owned());
        Shown::new(&report, report.text(paint), wrong)
    })
}

pub(crate) fn info(options: &PeerInfo) -> Result<(), Failure> {
    in_session(&options.called, |target, handshake, session, paint| {
        let report = info::info(target, handshake, session);
        Shown::new(&report, report.text(paint), report.missing.clone())
    })
}

pub(crate) fn path_mtu(options: &PeerPathMtu) -> Result<(), Failure> {
    rounds(&options.called, |target, paint| {
        let report = path_mtu::path_mtu(target);
        let wrong = (!report.is_well()).then(|| {
            let words = if report.black_hole { "large packets vanish" } else { "the sizes could not be tried" };
            words.to_owned()
        });
        Shown::new(&report, report.text(paint), wrong)
    })
}

pub(crate) fn bandwidth(options: &PeerBandwidth) -> Result<(), Failure> {
    let span = Duration::from_secs(options.seconds);
    let measure = Measure { span, len_max: BANDWIDTH_LEN_MAX, patience: STALL_PATIENCE };
    in_session(&options.called, |target, _, session, paint| {
        let flows = [Direction::Up, Direction::Down].map(|direction| flow(session, direction, &measure)).into();
        let report = BandwidthReport { address: target.address.to_string(), flows };
        let wrong = (!report.is_well()).then(|| "bytes did not move to the end".to_owned());
        Shown::new(&report, report.text(paint), wrong)
    })
}

pub(crate) fn clock(options: &PeerClock) -> Result<(), Failure> {
    let interval = Duration::from_millis(options.interval_ms);
    in_session(&options.called, |target, _, session, paint| {
        let report = clock::clock(target, session, options.count, interval);
        let report =
            report.map_err(|no| Failure::work(format_args!("the peer does not tell its time: {}", no.words())))?;
        let wrong = (!report.is_well()).then(|| "the clocks are apart".to_owned());
        Shown::new(&report, report.text(paint), wrong)
    })
}

pub(crate) fn doctor(options: &PeerDoctor) -> Result<(), Failure> {
    rounds(&options.called, |target, paint| {
        let is_terminal = io::stderr().is_terminal();
        let mut progress = |what: &str| {
            if is_terminal {
                eprint!("\r\x1b[Klooking at {what}");
            }
        };
        let diagnosis = Diagnosis::of(gather(target, &mut progress));
        if is_terminal {
            eprint!("\r\x1b[K");
        }
        let wrong = diagnosis.findings.first().map(|finding| finding.cause.words().to_owned());
        Shown::new(&diagnosis, diagnosis.text(paint), wrong)
    })
}

/// Rounds that need an open session; what kept it from opening is shown in their place.
fn in_session(
    called: &Called,
    mut round: impl FnMut(&Target, &HandshakeReport, &mut Session, Paint) -> Result<Shown, Failure>,
) -> Result<(), Failure> {
    rounds(called, |target, paint| {
        if target.credentials.is_none() {
            return Err(Failure::input(
                "this needs a session: name the peer's --peer key and its --chain or --genesis",
            ));
        }
        match handshake::open(target) {
            (handshake, Some(mut session)) => round(target, &handshake, &mut session, paint),
            (handshake, None) => unopened(&handshake, paint),
        }
    })
}

fn unopened(handshake: &HandshakeReport, paint: Paint) -> Result<Shown, Failure> {
    let wrong = handshake.failure.as_ref().map(|failure| format!("no session: {}", failure.words()));
    Shown::new(handshake, handshake.text(paint), wrong)
}

/// Runs a verb once, or again and again where it is watched.
pub(super) fn rounds(
    called: &Called,
    mut round: impl FnMut(&Target, Paint) -> Result<Shown, Failure>,
) -> Result<(), Failure> {
    let target = target_of(called)?;
    let is_terminal = io::stdout().is_terminal();
    loop {
        let shown = round(&target, Paint(is_terminal && !called.json))?;
        let text = if called.json { format!("{}\n", shown.json) } else { shown.text };
        let Some(every_s) = called.watch else {
            put(&text)?;
            return shown.wrong.map_or(Ok(()), |wrong| Err(Failure::work(wrong)));
        };
        let before = if is_terminal && !called.json { "\x1b[H\x1b[J" } else { "" };
        if !put(&format!("{before}{text}"))? {
            return Ok(());
        }
        #[allow(clippy::disallowed_methods, reason = "who watches waits between two looks")]
        std::thread::sleep(Duration::from_secs(every_s));
    }
}

/// Puts a text on the standard output; false if nobody reads any more.
fn put(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        done => done.map(|()| true).map_err(|error| Failure::work(format_args!("standard output: {error}"))),
    }
}

fn target_of(called: &Called) -> Result<Target, Failure> {
    let peers = called.data.as_deref().map(Peers::read).transpose().map_err(Failure::input)?;
    let row = peers.as_ref().map(|peers| peers.validator(called.validator)).transpose().map_err(Failure::input)?;
    let address = match (&called.address, row) {
        (Some(address), _) => resolve(address)?,
        (None, Some(row)) if called.terminals => row.terminals,
        (None, Some(row)) => row.mesh,
        (None, None) => return Err(Failure::input("name the peer's ADDRESS:PORT, or --data")),
    };
    let chain = match (called.chain, &called.genesis, &peers) {
        (Some(chain), ..) => Some(ChainId(chain)),
        (None, Some(file), _) => Some(read_any(file)?.chain_id()),
        (None, None, Some(peers)) => Some(peers.chain),
        (None, None, None) => None,
    };
    let peer = called.peer.or(row.map(|row| row.key));
    let credentials = chain.zip(peer).map(|(chain, peer)| {
        let seed = match &called.key {
            Some(file) => KeyFile::read(file).map(|file| file.seed()).map_err(Failure::input)?,
            None => os_random().map_err(Failure::work)?,
        };
        Ok(Credentials::new(Arc::new(Identity::new(seed, chain)), peer, called.key.is_some()))
    });
    let known = peers.iter().flat_map(|peers| &peers.validators).map(|row| KnownPeer {
        name: row.name.clone(),
        key: row.key,
        ports: vec![row.mesh, row.terminals],
    });
    Ok(Target {
        address,
        credentials: credentials.transpose()?,
        known: known.collect(),
        patience: Duration::from_millis(called.patience_ms),
    })
}

/// Whom an onlooker calls, and by which key.
pub(super) fn onlooker(node: &Node, address: SocketAddr) -> Result<Target, Failure> {
    let chain = match (node.chain, &node.genesis) {
        (Some(chain), _) => ChainId(chain),
        (None, Some(file)) => read_any(file)?.chain_id(),
        (None, None) => return Err(Failure::input("--remote: name the node's chain, by --genesis or --chain")),
    };
    let (Some(peer), Some(key)) = (node.peer, &node.key) else {
        return Err(Failure::input("--remote: name the node's key by --peer, and the onlooker's by --key"));
    };
    let seed = KeyFile::read(key).map(|file| file.seed()).map_err(Failure::input)?;
    let credentials = Credentials::new(Arc::new(Identity::new(seed, chain)), peer, true);
    Ok(Target { address, credentials: Some(credentials), known: Vec::new(), patience: PATIENCE })
}

fn resolve(address: &str) -> Result<SocketAddr, Failure> {
    let found = address.to_socket_addrs().map_err(|error| Failure::input(format_args!("{address}: {error}")))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| Failure::input(format_args!("{address}: no such host")))
}
