//! The main job on this host: validators and terminals on the runtime, in real time.

use std::cmp::Reverse;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration as Pause;

use hpb_base::{Duration, Instant, UnixMillis, Wake};
use hpb_ledger::lmdb::StoreWriter;
use hpb_ledger::sync_times::SyncTimes;
use hpb_net::pcap::Captured;
use hpb_net::port::Port;
use hpb_node::core::CoreConfig;
use hpb_node::runtime::log::LogIo;
use hpb_node::runtime::{
    BackendChoice, Clock, ExecutorReport, Options, Running, RuntimeBuilder, StopFlag, cores_allowed, heap_trim,
    limits_check, stop_on_signals,
};
use hpb_node::topology::{Demand, Role, Topology};
use hpb_node::workers::{LaneParts, NodeHandle, NodeParts, Publisher, node};
use hpb_toe::{Class, Command, Lane};
use hpb_types::{Hash, Slot};

use super::card::{CardEnds, CardReadout, CardView, CardWorker, Finished, Order};
use super::folders::{RunFolder, os_random};
use super::host;
use super::network::{Joined, Network};
use super::summary::{Ends, liars_of};
use super::{Arguments, DevnetError, Outcome, Prepared};
use crate::peers::{PEERS_FILE, Peers, PeersFile};
use crate::plan::{MESH_PORT, Plan, TERMINAL_PORT, mesh_call};
use crate::producers;
use crate::report::Report;
use crate::terminals::Terminals;

/// Frames that one card may own.
const FRAMES: usize = 16_384;
/// The genesis of a new chain is this far ahead of its making: every validator is there before slot 1.
const GENESIS_AHEAD_MS: u64 = 2_000;
/// Final states gather this long before they are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(2);
/// Batches of finality that may wait for whoever records them.
const TOLD_DEPTH: usize = 4_096;
/// Bytes of frames that a capture holds at most.
const CAPTURE_LEN_MAX: u64 = 1 << 30;
/// Digests that left and that a card has not looked at.
const DIGESTS_DEPTH: usize = 1_024;
/// How often the view is drawn and the run's state looked at.
const LOOK_EVERY: Pause = Pause::from_millis(50);
/// Sessions that do not come up within this time are given up.
const ESTABLISH_MAX: Duration = Duration::from_secs(120);
/// Files of a validator: store, log segments, lock, rings.
const FILES_PER_VALIDATOR: u64 = 24;
/// Files beside them: executors, eventfds, report.
const FILES_KEPT: u64 = 128;

/// The terminals' cards, from outside.
struct Cards {
    views: Vec<CardView>,
    orders: Vec<(SyncSender<Order>, Arc<hpb_node::runtime::Parker>)>,
    told: Receiver<Vec<Hash>>,
    finished: Receiver<Finished>,
}

/// A run that is set up: its runtime is under way.
struct Stage {
    plan: Plan,
    clock: Clock,
    started_ms: u64,
    stop: StopFlag,
    cores: usize,
    log_io: LogIo,
    nodes: Vec<NodeHandle>,
    cards: Cards,
    memory_before: u64,
    running: Running,
    /// Outlives the workers, and goes with the run if nobody named it.
    folder: RunFolder,
    /// The cards' network goes with the run too.
    _hosts: Vec<hpb_sandbox::Host>,
    /// So does the file that says how to call them.
    _peers: Option<PeersFile>,
}

/// When what happened.
struct Played {
    begin_at: Instant,
    submit_until: Instant,
    ended_at: Instant,
    memory_open: u64,
}

/// Runs the main job; `final_fd` gets the id of each transaction that is told final, a line each.
///
/// # Errors
/// What can't be set up, or what a validator stops with.
pub fn run_live(arguments: &Arguments, final_fd: Option<i32>) -> Result<Outcome, DevnetError> {
    arguments.check()?;
    limits_check(arguments.validators as u64 * FILES_PER_VALIDATOR + FILES_KEPT)?;
    let mut recorder = final_fd.map(Recorder::open).transpose()?;
    let prepared = arguments.prepare()?;
    let stage = Stage::set(arguments, &prepared)?;
    let played = stage.play(arguments, &mut recorder)?;
    let Stage { plan, started_ms, cores, log_io, nodes, cards, memory_before, running, folder, _hosts, _peers, .. } =
        stage;
    running.stop();
    let runtime = running.backend().to_string();
    let executors = running.join()?;
    let finished: Vec<Finished> = cards.finished.try_iter().collect();
    if let Some(recorder) = &mut recorder {
        recorder.take(&cards.told)?;
    }
    // Slots before this run are nobody's fault.
    let first_slot = started_ms.saturating_sub(plan.genesis.time_ms) / u64::from(plan.genesis.slot_ms);
    let mut outcome = assemble(arguments, &prepared, &nodes, &finished, first_slot);
    let report = &mut outcome.report;
    report.run.started_unix_ms = Some(started_ms);
    report.run.cores = cores as u32;
    report.run.cpu = host::cpu_model();
    report.run.kernel = host::kernel();
    report.run.runtime = format!("{runtime}; {log_io}");
    if arguments.network != Network::Wire {
        report.run.notes.push(format!("the cards' network is {}", arguments.network));
    }
    report.cpu_seconds = seconds(Clock::process_cpu());
    report.rss_bytes = host::resident_len_max();
    report.run.seconds = seconds(played.ended_at.since(played.begin_at));
    let submitting = seconds(played.ended_at.min(played.submit_until).since(played.begin_at));
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53 transactions")]
    {
        report.rate_tps = report.transactions.finals as f64 / submitting.max(0.001);
    }
    // Both ends of each session are in this process.
    report.sessions.bytes_per_session =
        played.memory_open.saturating_sub(memory_before) / (2 * u64::from(arguments.sessions)).max(1);
    note(report, &played, &finished, &executors);
    // The workers are gone, and their disks with them. Of the honest ones' logs that of the furthest says most.
    let honest = nodes.iter().enumerate().filter(|(index, _)| !plan.lies(*index));
    let furthest = honest.max_by_key(|(index, node)| (node.chain.read().final_told.height, Reverse(*index)));
    let index = furthest.map_or(0, |(index, _)| index);
    let (producers, history) = producers::read_with_history(&folder.path, index)?;
    report.liars = liars_of(&plan, &producers);
    outcome.add_turns(&history, Slot(first_slot));
    Ok(outcome)
}

impl Stage {
    /// Plans the run, opens its disks, and starts its runtime.
    fn set(arguments: &Arguments, prepared: &Prepared) -> Result<Self, DevnetError> {
        std::fs::create_dir_all(&arguments.report).map_err(|error| DevnetError::Io {
            action: "creating",
            path: arguments.report.display().to_string(),
            error,
        })?;
        let clock = Clock::start();
        let started_ms = clock.wall(clock.now()).0;
        let folder = RunFolder::open(arguments)?;
        let (plan, fresh) = if let Some((genesis, fresh)) = folder.genesis(arguments, prepared)? {
            (arguments.play(Plan::of(arguments.seed, genesis, arguments.sessions)), fresh)
        } else {
            let plan = arguments.plan(prepared, started_ms + GENESIS_AHEAD_MS)?;
            folder.keep(&plan.genesis)?;
            (plan, true)
        };
        let stop = StopFlag::new().map_err(DevnetError::runtime)?;
        stop_on_signals(&stop).map_err(DevnetError::runtime)?;
        let allowed = cores_allowed().map_err(DevnetError::runtime)?;
        let cores = allowed.len();
        let mut demand = Demand::devnet(allowed, plan.validators.len(), plan.cards.len());
        demand.lanes = Some(1);
        demand.verifiers = Some(1);
        let topology = Topology::lay_out(&demand)?;
        let mut builder = RuntimeBuilder::new(topology, Options::default(), clock.clone(), stop.clone())?;
        if let Some((reach, expected)) = arguments.reach.and_then(|reach| Some((reach, reach.unfit(&plan)?))) {
            return Err(DevnetError::Argument { option: "reach", value: reach.to_string(), expected });
        }
        let Joined { ports, announced, hosts } = arguments.network.join(&plan, &builder, arguments.reach)?;
        let peers = arguments.reach.map(|_| show_peers(&plan, &folder.path)).transpose()?;
        let log_io = LogIo::detect();
        let (nodes, cards) =
            workers(arguments, prepared, &plan, &mut builder, (ports, announced), &folder, fresh, &log_io)?;
        if fresh {
            folder.begin()?;
        }
        heap_trim();
        let memory_before = host::resident_len();
        let running = builder.start()?;
        Ok(Self {
            plan,
            clock,
            started_ms,
            stop,
            cores,
            log_io,
            nodes,
            cards,
            memory_before,
            running,
            folder,
            _hosts: hosts,
            _peers: peers,
        })
    }

    /// Opens the sessions, waits for the chain, submits, drains.
    fn play(&self, arguments: &Arguments, recorder: &mut Option<Recorder>) -> Result<Played, DevnetError> {
        let (clock, cards) = (&self.clock, &self.cards);
        let mut view = View::new(self.running.backend(), &self.log_io);
        let mut until = |phase: &str, done: &dyn Fn() -> bool| self.watch(arguments, &mut view, recorder, phase, done);

        let deadline = clock.now() + ESTABLISH_MAX;
        until("opening sessions", &|| {
            let established: u64 = cards.views.iter().map(|view| view.read().progress.sessions.established).sum();
            established >= u64::from(arguments.sessions) || clock.now() > deadline
        })?;
        let memory_open = host::resident_len();
        // The chain is under way: slot 1 has a slice.
        let chain_at = clock.instant(UnixMillis(self.plan.genesis.time_ms + u64::from(arguments.slot_ms) + 500));
        until("waiting for the chain", &|| clock.now() > chain_at)?;
        let begin_at = clock.now() + Duration::from_millis(100);
        let submit_until = begin_at + Duration::from_secs(arguments.seconds.into());
        for (orders, parker) in &cards.orders {
            // There is room for one, and this is the one.
            let _ = orders.try_send(Order::Begin(begin_at, submit_until));
            Wake::wake(&**parker);
        }
        until("running", &|| clock.now() > submit_until)?;
        let drain_until = submit_until + Duration::from_millis(u64::from(arguments.slot_ms) * 2);
        until("draining", &|| {
            let settled = cards
                .views
                .iter()
                .map(CardView::read)
                .all(|shown| shown.has_submitted && shown.progress.outstanding == 0);
            settled || clock.now() > drain_until
        })?;
        let ended_at = clock.now();
        view.end();
        Ok(Played { begin_at, submit_until, ended_at, memory_open })
    }

    /// Looks on until `done`, or until the run is stopped.
    fn watch(
        &self,
        arguments: &Arguments,
        view: &mut View,
        recorder: &mut Option<Recorder>,
        phase: &str,
        done: &dyn Fn() -> bool,
    ) -> Result<(), DevnetError> {
        while !done() && !self.stop.is_raised() {
            match recorder {
                Some(recorder) => recorder.take(&self.cards.told)?,
                None => self.cards.told.try_iter().for_each(drop),
            }
            view.draw(arguments, &self.cards, &self.nodes, phase);
            #[allow(clippy::disallowed_methods, reason = "the looking thread decides nothing; it only rests")]
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

/// What else a reader of the report should know.
fn note(report: &mut Report, played: &Played, finished: &[Finished], executors: &[ExecutorReport]) {
    let notes = &mut report.run.notes;
    let found: Vec<u64> = finished.iter().filter_map(|card| card.terminals.found_tps()).collect();
    if !found.is_empty() {
        let tps: u64 = found.iter().sum();
        notes.push(format!("the highest rate at which nothing was shed: {tps} transactions a second"));
    }
    if played.ended_at < played.submit_until {
        notes.push("interrupted before its time".to_owned());
    }
    for executor in executors {
        let longest = executor.workers.iter().max_by_key(|worker| worker.turn_cpu_max);
        if let Some(worker) = longest {
            let micros = worker.turn_cpu_max.as_micros();
            notes.push(format!(
                "executor {}: {:.1} s of CPU, longest turn {micros} us of CPU by {}",
                executor.name,
                seconds(executor.cpu),
                worker.name
            ));
        }
    }
}

fn seconds(span: Duration) -> f64 {
    span.to_std().as_secs_f64()
}

#[allow(clippy::too_many_arguments, reason = "the one place where everything meets")]
fn workers(
    arguments: &Arguments,
    prepared: &Prepared,
    plan: &Plan,
    builder: &mut RuntimeBuilder,
    (ports, announced): (Vec<Box<dyn Port>>, bool),
    folder: &RunFolder,
    fresh: bool,
    log_io: &LogIo,
) -> Result<(Vec<NodeHandle>, Cards), DevnetError> {
    let clock = builder.clock().clone();
    let wall_at_zero = clock.wall(Instant::ZERO);
    let mut ports = ports.into_iter();
    let mut nodes = Vec::new();
    let mut capture = arguments.capture.as_deref().map(|path| capture_file(path)).transpose()?;
    // The digests that terminals hear are validator 0's.
    let (mut digest_taps, digest_ends): (Vec<_>, Vec<_>) =
        plan.cards.iter().map(|_| mpsc::sync_channel(DIGESTS_DEPTH)).unzip();
    for (index, port) in ports.by_ref().take(plan.validators.len()).enumerate() {
        let own = &plan.validators[index];
        let opened = folder.validator((plan, index), fresh, arguments.checkpoint, &clock, log_io)?;
        let listen = |port, class| Command::Listen { port, class, encrypted: true };
        let mut commands = vec![listen(MESH_PORT, Class::Validator), listen(TERMINAL_PORT, Class::Terminal)];
        commands.extend(
            plan.validators[..index]
                .iter()
                .map(|other| Command::Open(mesh_call(own.address, other.address, other.identity.public()))),
        );
        let mut config = plan.validator_lane(index);
        config.secret = os_random()?;
        let parts = NodeParts {
            lanes: vec![LaneParts {
                config,
                port: captured(port, capture.take(), wall_at_zero)?,
                frames_max: FRAMES,
                announced,
                commands,
            }],
            core: CoreConfig {
                genesis: plan.genesis.clone(),
                producer: Some(plan.producer(index)),
                reporter: plan.reporter(index),
                validators: plan.peers_of(index),
                identity: Some(own.identity.public()),
                onlookers: arguments.onlookers.clone(),
                wall_at_zero: off_by(wall_at_zero, arguments, index),
                commit_every: COMMIT_EVERY,
                silent_when_idle: false,
            },
            recovered: opened.recovered,
            log: opened.log,
            store: StoreWriter::new(opened.store, {
                let clock = clock.clone();
                Box::new(move || clock.now())
            }),
            digests: std::mem::take(&mut digest_taps),
            outgoing: plan.outgoing(index),
            socket: folder.socket(&plan.validators[index].name),
        };
        nodes.push(node(builder, index, parts)?);
    }
    let (told, told_by) = mpsc::sync_channel(TOLD_DEPTH);
    let (finished, finished_by) = mpsc::sync_channel(plan.cards.len());
    let mut cards = Cards { views: Vec::new(), orders: Vec::new(), told: told_by, finished: finished_by };
    for ((index, port), digests) in ports.enumerate().zip(digest_ends) {
        let config = plan.terminals(index, &prepared.source, &prepared.assignment, arguments.pace, wall_at_zero);
        let terminals = Terminals::new(&plan.genesis, config)?;
        let mut lane_config = plan.card_lane(index);
        lane_config.secret = os_random()?;
        let (orders, taken) = mpsc::sync_channel(1);
        let (publisher, view) = Publisher::new(CardReadout::default());
        let ends = CardEnds { orders: taken, digests, told: told.clone(), publisher, finished: finished.clone() };
        let role = Role::Terminals(index);
        cards.views.push(view);
        cards.orders.push((orders, builder.parker(0, role)?));
        builder.worker(0, role, move |context| {
            let lane = Lane::new(lane_config, port.capabilities(), context.clock().now())?;
            Ok(CardWorker::new(lane, (port, announced), FRAMES, terminals, ends))
        })?;
    }
    Ok((nodes, cards))
}

/// What validator `index` takes the wall clock to show at zero.
fn off_by(wall_at_zero: UnixMillis, arguments: &Arguments, index: usize) -> UnixMillis {
    match arguments.clock_offset {
        Some((number, offset_ms)) if number == index => UnixMillis(wall_at_zero.0.saturating_add_signed(offset_ms)),
        _ => wall_at_zero,
    }
}

/// Says how programs of this host call the validators, there and in a file for them.
fn show_peers(plan: &Plan, folder: &Path) -> Result<PeersFile, DevnetError> {
    let peers = Peers::of(plan);
    let file = peers.write(folder).map_err(|error| DevnetError::Io {
        action: "writing",
        path: folder.join(PEERS_FILE).display().to_string(),
        error,
    })?;
    for row in &peers.validators {
        eprintln!("{} at {}, key {}", row.name, row.mesh, row.key.to_hex());
    }
    eprintln!("all of them in {}", file.path().display());
    Ok(file)
}

fn capture_failed(path: &Path) -> impl FnOnce(io::Error) -> DevnetError {
    let path = path.display().to_string();
    move |error| DevnetError::Io { action: "writing", path, error }
}

fn capture_file(path: &Path) -> Result<(&Path, File), DevnetError> {
    File::create(path).map(|file| (path, file)).map_err(capture_failed(path))
}

/// The port, with a capture of all that passes it if there is a file for that.
fn captured(
    port: Box<dyn Port>,
    capture: Option<(&Path, File)>,
    wall_at_zero: UnixMillis,
) -> Result<Box<dyn Port>, DevnetError> {
    let Some((path, file)) = capture else { return Ok(port) };
    let port = Captured::new(port, BufWriter::new(file), wall_at_zero, CAPTURE_LEN_MAX);
    Ok(Box::new(port.map_err(capture_failed(path))?))
}

/// The report of what the machines counted.
fn assemble(
    arguments: &Arguments,
    prepared: &Prepared,
    nodes: &[NodeHandle],
    finished: &[Finished],
    first_slot: u64,
) -> Outcome {
    let chains: Vec<_> = nodes.iter().map(|node| node.chain.read()).collect();
    let closings: Vec<_> = chains.iter().filter_map(|chain| chain.closing).collect();
    let first = &chains[0];
    let lanes = nodes.iter().flat_map(|node| &node.lanes).map(|lane| lane.read().counters);
    let lanes: Vec<_> = lanes.chain(finished.iter().map(|card| card.counters)).collect();
    let supply = closings.first().map(|closing| (closing.supply.genesis, closing.supply.now)).unwrap_or_default();
    let ends = Ends {
        cores: chains.iter().map(|chain| chain.stats.clone()).collect(),
        verified: nodes
            .iter()
            .map(|node| node.verifiers.iter().map(|verifier| verifier.read().counters.transactions).sum())
            .collect(),
        slots: first.final_told.height.slot.0.saturating_sub(first_slot),
        filled_slots: first.stats.filled_slots,
        final_slice: first.final_told,
        supply,
        handshakes: lanes.iter().map(|lane| lane.handshakes).sum(),
        diffie_hellmans: lanes.iter().map(|lane| lane.diffie_hellmans).sum(),
    };
    let cards: Vec<&Terminals> = finished.iter().map(|card| &card.terminals).collect();
    let mut outcome = Outcome::new(arguments, prepared, &cards, &ends);
    let mut times = SyncTimes::new();
    for node in nodes {
        times.merge(&node.log.read().times);
    }
    outcome.report.fdatasync_us.p50 = times.quantile_us(500);
    outcome.report.fdatasync_us.p99 = times.quantile_us(990);
    for (index, closing) in closings.iter().enumerate() {
        outcome.report.run.notes.push(format!(
            "validator {index}: state root {} at slot {} slice {}",
            closing.root.to_hex(),
            closing.slice.height.slot.0,
            closing.slice.height.index
        ));
    }
    outcome
}

/// One line that is drawn again and again on a terminal; silent elsewhere.
struct View {
    is_terminal: bool,
    drawn: bool,
}

impl View {
    fn new(runtime: &BackendChoice, log: &LogIo) -> Self {
        let is_terminal = io::stderr().is_terminal();
        eprintln!("{runtime}\n{log}");
        Self { is_terminal, drawn: false }
    }

    fn draw(&mut self, arguments: &Arguments, cards: &Cards, nodes: &[NodeHandle], phase: &str) {
        if !self.is_terminal {
            return;
        }
        let shown: Vec<_> = cards.views.iter().map(CardView::read).collect();
        let sum = |of: fn(&CardReadout) -> u64| shown.iter().map(of).sum::<u64>();
        let chain = nodes[0].chain.read();
        let slot = chain.head.height.slot.0;
        let producer = slot % arguments.validators as u64;
        let text = format!(
            "{phase:<22} sessions {}/{}  slot {slot} (validator {producer})  {} tx/s  submitted {}  final {}  p50 confirmed {:.0} ms, final {:.0} ms",
            sum(|card| card.progress.sessions.open),
            arguments.sessions,
            sum(|card| card.progress.rate_tps),
            sum(|card| card.progress.transactions.submitted),
            sum(|card| card.progress.transactions.finals),
            ms(shown.iter().map(|card| card.confirmed_p50_us).max().unwrap_or(0)),
            ms(shown.iter().map(|card| card.final_p50_us).max().unwrap_or(0)),
        );
        eprint!("\r\x1b[2K{text}");
        // A view that can't be drawn is no reason to end a run.
        let _ = io::stderr().flush();
        self.drawn = true;
    }

    fn end(&self) {
        if self.drawn {
            eprintln!();
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "for the eye")]
fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

/// Writes what was told final to a descriptor of the caller's.
struct Recorder(File);

impl Recorder {
    fn open(descriptor: i32) -> Result<Self, DevnetError> {
        let path = format!("/proc/self/fd/{descriptor}");
        let file = OpenOptions::new().write(true).open(&path);
        file.map(Self).map_err(|error| DevnetError::Io { action: "opening", path, error })
    }

    fn take(&mut self, told: &Receiver<Vec<Hash>>) -> Result<(), DevnetError> {
        let mut text = String::new();
        for id in told.try_iter().flatten() {
            text.push_str(&id.to_hex());
            text.push('\n');
        }
        self.0.write_all(text.as_bytes()).map_err(|error| DevnetError::Io {
            action: "writing",
            path: "the descriptor of --final-fd".to_owned(),
            error,
        })
    }
}
