//! A card on the runtime: its port opened, a lane an executor, its end awaited.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use hpb_net::{OpenError, OpenOptions, Port};
use hpb_node::diagnose::{LaneDesk, LaneEnds};
use hpb_node::runtime::{
    Clock, IdlePolicy, MakeError, Options, RunError, RuntimeBuilder, StartError, StopFlag, cores_allowed,
};
use hpb_node::topology::{Executor, Kind, Link, Role, Seat, Topology, TopologyError, WhenFull};
use hpb_node::workers::{ApiLinks, ApiWorker, LocalSocket, Publisher, Readout};
use hpb_toe::tape::{TapeHead, TapedLane};
use hpb_toe::{Command, Lane, LaneConfig, LaneError, Sharing, Stray};

use crate::capture::{Begun, CaptureFiles, Writing};
use crate::config::{CardConfig, ConfigError};
use crate::control::Control;
use crate::driver::{Driver, LaneView, Siblings};
use crate::load::Load;
use crate::report::Report;

/// Frames that one lane may own.
const FRAMES: usize = 16_384;
/// Frames and words under way from one lane to another.
const STRAY_LINK_DEPTH: usize = 1_024;
/// Questions about one lane, and its answers.
const DESK_LINK_DEPTH: usize = 16;

/// Why a card did not come up, or ended.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// What was asked contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The lanes found no place.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// An executor did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A lane failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A lane cannot be as asked.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The capture's files were refused.
    #[error("{0}: {1}")]
    Capture(String, io::Error),
    /// The host refused something.
    #[error("{0}: {1}")]
    Host(&'static str, io::Error),
}

/// A card that is up.
pub struct Running {
    runtime: hpb_node::runtime::Running,
    clock: Clock,
    views: Vec<Readout<LaneView>>,
    controls: Vec<Control>,
    port: String,
    writing: Option<Writing>,
}

/// Opens the port and starts the card; `stop` ends it.
///
/// # Errors
/// [`CardError`]: what contradicts itself, or what the host refuses and what to run about it.
pub fn start(config: &CardConfig, stop: StopFlag) -> Result<Running, CardError> {
    config.check()?;
    let secret = secret()?;
    let ports = hpb_net::open(&config.port, &open_options(config, secret))?;
    start_on(config, ports, secret, stop)
}

/// Starts the card on ports that are open: one for each queue of a device, in their order. `secret` keys all that
/// strangers must not guess, and the steering of ports that were opened with it.
///
/// # Errors
/// As [`start`].
pub fn start_on(
    config: &CardConfig,
    ports: Vec<Box<dyn Port>>,
    secret: [u8; 32],
    stop: StopFlag,
) -> Result<Running, CardError> {
    config.check()?;
    let cores = cores(config, ports.len())?;
    let (begun, writing) = capture(config, ports.len())?.unzip();
    let executors = cores.iter().enumerate().map(|(lane, core)| Executor {
        name: format!("lane{lane}"),
        kind: Kind::Hot,
        cores: vec![*core],
        seats: vec![Seat { node: 0, role: Role::Lane(lane) }],
    });
    let mut executors: Vec<Executor> = executors.collect();
    let mut all_links = links(ports.len());
    let socket = match &config.control {
        None => None,
        Some(path) => {
            // It waits for programs of this host nearly always: it shares the last lane's core.
            executors.push(Executor {
                name: Role::Api.to_string(),
                kind: Kind::Service,
                cores: cores.last().copied().into_iter().collect(),
                seats: vec![Seat { node: 0, role: Role::Api }],
            });
            all_links.extend(desk_links(ports.len()));
            Some(LocalSocket::bind(path).map_err(|error| CardError::Host("opening the control socket", error))?)
        }
    };
    let topology = Topology::from_rows(1, executors, all_links)?;
    let idle = if config.spin { IdlePolicy::Spin } else { IdlePolicy::default() };
    let clock = Clock::start();
    let options = Options { idle, ..Options::default() };
    let mut builder = RuntimeBuilder::new(topology, options, clock.clone(), stop)?;
    let (mut views, mut controls) = (Vec::new(), Vec::new());
    let lanes = ports.len();
    let device = ports.first().and_then(Port::steering);
    let steering = Arc::new(Sharing::steering(device, &secret, lanes));
    let siblings = siblings(&mut builder, lanes)?;
    let mut begun = begun;
    let config = Arc::new(config.clone());
    let mut desks: Vec<Option<LaneDesk>> = (0..lanes).map(|_| None).collect();
    if let Some(socket) = socket {
        let mut ends = Vec::new();
        for (number, desk) in desks.iter_mut().enumerate() {
            let (questions, lane_questions) = builder.link(0, &format!("api_lane{number}"))?;
            let (lane_answers, answers) = builder.link(0, &format!("lane{number}_api"))?;
            ends.push(LaneEnds { questions, answers });
            *desk = Some(LaneDesk::new((number, lanes), lane_questions, lane_answers));
        }
        let links = ApiLinks { chain: None, lanes: ends };
        builder.worker(0, Role::Api, move |_| Ok(ApiWorker::new(Some(socket), links)))?;
    }
    let mut desks = desks.into_iter();
    for (number, (port, siblings)) in ports.into_iter().zip(siblings).enumerate() {
        let (publisher, view) = Publisher::new(LaneView::default());
        let (control, orders) = Control::new(builder.waker(0, Role::Lane(number))?);
        let (config, steering) = (Arc::clone(&config), Arc::clone(&steering));
        let begun = begun.take();
        let desk = desks.next().flatten();
        builder.worker(0, Role::Lane(number), move |context| {
            let clock = context.clock();
            let sharing = Sharing { steering, lane: number, lanes };
            let lane = lane(&config, &*port, secret, sharing, clock, begun)?;
            let load = config.load.map(|load| Load::new(load, number, lanes));
            Ok(Driver::new(lane, port, FRAMES, siblings, load, orders, publisher).answering(desk))
        })?;
        views.push(view);
        controls.push(control);
    }
    let runtime = builder.start()?;
    Ok(Running { runtime, clock, views, controls, port: config.port.to_string(), writing })
}

/// The capture that was asked for, with its thread.
fn capture(config: &CardConfig, queues: usize) -> Result<Option<(Begun, Writing)>, CardError> {
    let Some(asked) = &config.capture else { return Ok(None) };
    if queues > 1 {
        return Err(ConfigError::CaptureQueues(queues).into());
    }
    let begun = CaptureFiles::open(asked).and_then(CaptureFiles::begin);
    begun.map(Some).map_err(|error| CardError::Capture(asked.path.display().to_string(), error))
}

/// What the port is to take. An address that is still to be leased cannot be named: then it takes what comes, and the
/// card sorts it.
fn open_options(config: &CardConfig, steer_secret: [u8; 32]) -> OpenOptions {
    let named: &[_] = if config.dhcp { &[] } else { &config.addresses };
    OpenOptions {
        addresses: named.iter().map(|(address, _)| *address).collect(),
        steer_secret,
        ..OpenOptions::default()
    }
}

fn secret() -> Result<[u8; 32], CardError> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut secret))
        .map_err(|error| CardError::Host("reading /dev/urandom", error))?;
    Ok(secret)
}

/// Each pair of two lanes, both ways.
fn pairs(lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..lanes).flat_map(move |from| (0..lanes).filter(move |to| *to != from).map(move |to| (from, to)))
}

fn link_name(from: usize, to: usize) -> String {
    format!("lane{from}_lane{to}")
}

/// A link from each lane to each other, for what came to the wrong one.
fn links(lanes: usize) -> Vec<Link> {
    let row = |(from, to)| Link {
        name: link_name(from, to),
        producer: Role::Lane(from),
        consumer: Role::Lane(to),
        depth: STRAY_LINK_DEPTH,
        item: "stray frame".to_owned(),
        when_full: WhenFull::CountedDrop,
    };
    pairs(lanes).map(row).collect()
}

/// The links of the desk with each lane.
fn desk_links(lanes: usize) -> impl Iterator<Item = Link> {
    let row = |producer: Role, consumer: Role, item: &str| Link {
        name: format!("{producer}_{consumer}"),
        producer,
        consumer,
        depth: DESK_LINK_DEPTH,
        item: item.to_owned(),
        when_full: WhenFull::BackPressure,
    };
    (0..lanes).map(Role::Lane).flat_map(move |lane| [row(Role::Api, lane, "question"), row(lane, Role::Api, "answer")])
}

/// The ends of those links, lane by lane.
fn siblings(builder: &mut RuntimeBuilder, lanes: usize) -> Result<Vec<Siblings>, StartError> {
    let mut ends: Vec<Siblings> =
        (0..lanes).map(|_| Siblings::new((0..lanes).map(|_| None).collect(), Vec::new())).collect();
    for (from, to) in pairs(lanes) {
        let (sender, receiver) = builder.link::<Stray>(0, &link_name(from, to))?;
        ends[from].to[to] = Some(sender);
        ends[to].from.push(receiver);
    }
    Ok(ends)
}

fn lane(
    config: &CardConfig,
    port: &dyn Port,
    secret: [u8; 32],
    sharing: Sharing,
    clock: &Clock,
    begun: Option<Begun>,
) -> Result<TapedLane, MakeError> {
    let lanes = sharing.lanes;
    let mut lane_config = LaneConfig::new(config.addresses.clone(), None, secret);
    lane_config.gateways.clone_from(&config.gateways);
    lane_config.dhcp = config.dhcp;
    lane_config.vlan = config.vlan;
    lane_config.sessions_max = config.sessions_max.div_ceil(lanes);
    lane_config.guard = config.guard;
    lane_config.sharing = Some(sharing);
    lane_config.keep_alive = Some(config.keep_alive);
    lane_config.peer_timeout = Some(config.keep_alive.saturating_mul(3).max(hpb_base::Duration::from_secs(30)));
    lane_config.idle_timeout = config.idle_timeout;
    let (capabilities, now) = (port.capabilities(), clock.now());
    let mut lane = match begun {
        None => TapedLane::untaped(Lane::new(lane_config, capabilities, now)?),
        Some(begun) => {
            let head = TapeHead::new(lane_config, capabilities, now)?;
            let sink = begun.sink(&head, capabilities.medium, clock.wall(hpb_base::Instant::ZERO))?;
            TapedLane::taped(&head, Box::new(sink))?
        }
    };
    for (port, service) in &config.services {
        lane.handle(now, Command::Serve { port: *port, service: service.clone() });
    }
    for &(register, value) in &config.registers {
        lane.handle(now, Command::SetRegister { register, value });
    }
    Ok(lane)
}

fn cores(config: &CardConfig, queues: usize) -> Result<Vec<usize>, CardError> {
    if config.cores.len() == queues {
        return Ok(config.cores.clone());
    }
    if !config.cores.is_empty() {
        return Err(ConfigError::Cores { cores: config.cores.len(), queues }.into());
    }
    let allowed = cores_allowed().map_err(|error| CardError::Host("asking for the cores", error))?;
    if allowed.len() < queues {
        return Err(ConfigError::Cores { cores: allowed.len(), queues }.into());
    }
    Ok(allowed.into_iter().take(queues).collect())
}

fn read(views: &[Readout<LaneView>]) -> Vec<LaneView> {
    views.iter().map(Readout::read).collect()
}

impl Running {
    /// What the executors run on.
    pub fn backend(&self) -> String {
        self.runtime.backend().to_string()
    }

    /// The lanes' controls.
    pub fn controls(&self) -> &[Control] {
        &self.controls
    }

    /// What the card did so far.
    pub fn report(&self) -> Report {
        Report::of(&self.port, self.clock.now(), &read(&self.views))
    }

    /// Whether it was told to stop, or a lane failed.
    pub fn is_stopped(&self) -> bool {
        self.runtime.stop_flag().is_raised()
    }

    /// Stops it and waits for its end.
    ///
    /// # Errors
    /// The lane that failed.
    pub fn end(self) -> Result<Report, CardError> {
        let Self { runtime, clock, views, port, writing, .. } = self;
        runtime.stop();
        // The lane's end of the capture goes with its executor.
        let ended = runtime.join();
        let capture = writing.map(Writing::end);
        ended?;
        Ok(Report { capture, ..Report::of(&port, clock.now(), &read(&views)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hpb_net::PortUrl;

    #[test]
    fn a_card_that_leases_names_no_address_to_its_port() {
        let mut config = CardConfig::new(PortUrl::Wire);
        config.addresses = vec![([10, 0, 0, 2].into(), 24)];
        assert_eq!(open_options(&config, [7; 32]).addresses, [config.addresses[0].0]);
        config.dhcp = true;
        assert!(open_options(&config, [7; 32]).addresses.is_empty(), "a filter would keep out the leased address");
    }
}
