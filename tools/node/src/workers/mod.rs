//! The workers that carry a validator's machines on the runtime: each turns its links into the machine's inputs and
//! the machine's outputs into links. [`node`] makes them all, with their links, from a validator's parts.
//!
//! They decide nothing and hold what they can't place: while a link is full, its producer stops making more. Every
//! worker shows a copy of its counters, read by [`Readout`].

mod api;
mod chain;
mod disk;
mod lane;
mod outlet;
mod pace;
mod readout;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use hpb_base::Duration;
use hpb_ledger::chainlog::ChainLog;
use hpb_ledger::lmdb::StoreWriter;
use hpb_ledger::{FinalBatch, Store};
use hpb_net::Port;
use hpb_net::frame::Bursts;
use hpb_net::wire::WirePort;
use hpb_toe::{Command, Lane, LaneConfig};

pub use api::{ApiLinks, ApiWorker, LocalSocket, ToApi};
pub use chain::{ChainLinks, ChainReadout, ChainWorker, Closing, DigestSent, digest_of};
pub use disk::{LogEntry, LogReadout, LogWorker, StoreReadout, StoreWorker};
pub(crate) use lane::inside_of;
pub use lane::{LaneLinks, LaneReadout, LaneSetup, LaneWorker};
pub use readout::{Publisher, Readout};
pub use verify::{VerifyLinks, VerifyReadout, VerifyWorker};

use crate::core::{Core, CoreConfig, Input, Outgoing, Recovered};
use crate::diagnose::{LaneDesk, LaneEnds};
use crate::runtime::{Clock, Context, Crew, Receiver, RuntimeBuilder, Sender, StartError};
use crate::topology::{Role, Seat};
use crate::verify::Verify;

/// Ends the runtime with an operating failure, in its words.
pub type Fail = Box<dyn FnMut(String)>;

/// What one lane of a validator is made of. The lane itself is made on its executor.
pub struct LaneParts<P> {
    /// The card's settings.
    pub config: LaneConfig,
    /// Its device.
    pub port: P,
    /// Frames that the lane's pool may own.
    pub frames_max: usize,
    /// Whether something wakes the lane's executor when the port has frames, as [`wake_wire`] makes a wire do.
    pub announced: bool,
    /// What the lane is told first: where to listen, whom to call.
    pub commands: Vec<Command>,
}

/// What a validator is made of.
pub struct NodeParts<P, S> {
    /// Its lanes, as many as the topology gives each node.
    pub lanes: Vec<LaneParts<P>>,
    /// The core's settings.
    pub core: CoreConfig,
    /// What the disk held.
    pub recovered: Recovered<S>,
    /// The log that it was recovered from.
    pub log: ChainLog,
    /// The writer to the store that it was recovered from.
    pub store: StoreWriter<S>,
    /// Who is told when a digest leaves: whoever measures that.
    pub digests: Vec<SyncSender<DigestSent>>,
    /// What its core's words pass on their way to the card; none for an honest node.
    pub outgoing: Option<Box<dyn Outgoing>>,
    /// Where it takes sessions of programs of this host; none takes none.
    pub socket: Option<LocalSocket>,
}

/// Reads what a validator's workers show, from any thread, also after their end.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    /// The chain.
    pub chain: Readout<ChainReadout>,
    /// The lanes, by number.
    pub lanes: Vec<Readout<LaneReadout>>,
    /// The verifiers, by number.
    pub verifiers: Vec<Readout<VerifyReadout>>,
    /// The log.
    pub log: Readout<LogReadout>,
    /// The store.
    pub store: Readout<StoreReadout>,
}

/// The ends of all links of one node, sorted by worker.
struct Ends {
    lanes: Vec<LaneLinks>,
    verifiers: Vec<VerifyLinks>,
    chain: ChainLinks,
    log: (Receiver<LogEntry>, Sender<Input>),
    store: (Receiver<Box<FinalBatch>>, Sender<Input>),
    api: ApiLinks,
}

impl Ends {
    /// Makes the links of node `index` as the table names them.
    fn take(builder: &mut RuntimeBuilder, index: usize) -> Result<Self, StartError> {
        let (mut lanes, mut chain_lanes, mut desk_lanes) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..builder.topology().lanes() {
            let (inputs, chain_inputs) = between(builder, index, Role::Lane(number), Role::Chain)?;
            let (chain_commands, commands) = between(builder, index, Role::Chain, Role::Lane(number))?;
            let (questions, lane_questions) = between(builder, index, Role::Api, Role::Lane(number))?;
            let (lane_answers, answers) = between(builder, index, Role::Lane(number), Role::Api)?;
            let desk = LaneDesk::new((number, builder.topology().lanes()), lane_questions, lane_answers);
            desk_lanes.push(LaneEnds { questions, answers });
            lanes.push(LaneLinks { number, commands, inputs, verifiers: Vec::new(), desk: Some(desk) });
            chain_lanes.push((chain_inputs, chain_commands));
        }
        let (mut verifiers, mut chain_verifiers) = (Vec::new(), Vec::new());
        for number in 0..builder.topology().verifiers() {
            let (chain_requests, requests) = between(builder, index, Role::Chain, Role::Verify(number))?;
            let (verdicts, chain_verdicts) = between(builder, index, Role::Verify(number), Role::Chain)?;
            verifiers.push(VerifyLinks { requests, verdicts, lanes: Vec::new() });
            chain_verifiers.push((chain_requests, chain_verdicts));
        }
        let pairs = builder.topology().links().iter().filter_map(|link| match (link.producer, link.consumer) {
            (Role::Lane(lane), Role::Verify(verify)) => Some((lane, verify)),
            _ => None,
        });
        for (lane, verify) in pairs.collect::<Vec<_>>() {
            let (jobs_out, jobs) = between(builder, index, Role::Lane(lane), Role::Verify(verify))?;
            let (results_out, results) = between(builder, index, Role::Verify(verify), Role::Lane(lane))?;
            lanes[lane].verifiers.push((jobs_out, results));
            verifiers[verify].lanes.push((jobs, results_out));
        }
        let (chain_log, entries) = between(builder, index, Role::Chain, Role::Log)?;
        let (log_answers, synced) = between(builder, index, Role::Log, Role::Chain)?;
        let (chain_store, batches) = between(builder, index, Role::Chain, Role::Store)?;
        let (store_answers, committed) = between(builder, index, Role::Store, Role::Chain)?;
        let (api_inputs, local_inputs) = between(builder, index, Role::Api, Role::Chain)?;
        let (local_commands, api_commands) = between(builder, index, Role::Chain, Role::Api)?;
        let api = ApiLinks { chain: Some((api_inputs, api_commands)), lanes: desk_lanes };
        let chain = ChainLinks {
            local: (local_inputs, local_commands),
            lanes: chain_lanes,
            verifiers: chain_verifiers,
            log: chain_log,
            synced,
            store: chain_store,
            committed,
        };
        Ok(Self { lanes, verifiers, chain, log: (entries, log_answers), store: (batches, store_answers), api })
    }
}

fn between<T>(
    builder: &mut RuntimeBuilder,
    node: usize,
    producer: Role,
    consumer: Role,
) -> Result<(Sender<T>, Receiver<T>), StartError> {
    builder.link(node, &format!("{producer}_{consumer}"))
}

/// Makes all links and workers of validator `index` of the builder's topology from its parts. Card, core and
/// verifiers are made on their executors, near their memory.
///
/// # Errors
/// What the topology lacks, or other than one set of parts for each of its lanes.
pub fn node<P, S>(builder: &mut RuntimeBuilder, index: usize, parts: NodeParts<P, S>) -> Result<NodeHandle, StartError>
where
    P: Port + 'static,
    S: Store + Send + 'static,
{
    let NodeParts { lanes, core, recovered, log, store, digests, outgoing, socket } = parts;
    let lanes_count = builder.topology().lanes();
    if lanes.len() != lanes_count {
        return Err(StartError::Worker {
            executor: "of the card".to_owned(),
            worker: format!("node {index}"),
            message: format!("the topology gives it {lanes_count} lanes, and there are parts for {}", lanes.len()),
        });
    }
    let ends = Ends::take(builder, index)?;
    let slice_interval = Duration::from_millis(core.genesis.slice_ms.into());
    let mut handles = Vec::new();
    for (parts, links) in lanes.into_iter().zip(ends.lanes) {
        handles.push(lane_worker(builder, index, parts, links, slice_interval)?);
    }
    let mut verifiers = Vec::new();
    for (number, links) in ends.verifiers.into_iter().enumerate() {
        let (publisher, readout) = Publisher::new(VerifyReadout::default());
        let genesis = core.genesis.clone();
        builder.worker(index, Role::Verify(number), move |_| {
            Ok(VerifyWorker::new(Verify::new(&genesis), links, publisher))
        })?;
        verifiers.push(readout);
    }
    let (publisher, chain) = Publisher::new(ChainReadout::starting(recovered.last_final()));
    let (links, helpers) = (ends.chain, builder.topology().helpers(index));
    builder.worker(index, Role::Chain, move |context| {
        let recovered =
            if helpers.is_empty() { recovered } else { recovered.with_workers(Arc::new(Crew::on(&helpers)?)) };
        let core = Core::new(core, recovered, context.clock().now());
        let worker = ChainWorker::new(core, links, fail_of(context), publisher);
        Ok(worker.noting_digests(digests).speaking_through(outgoing))
    })?;
    let (publisher, log_readout) = Publisher::new(LogReadout::default());
    let (entries, answers) = ends.log;
    builder.worker(index, Role::Log, move |context| {
        Ok(LogWorker::new(log, entries, answers, fail_of(context), publisher))
    })?;
    let (publisher, store_readout) = Publisher::new(StoreReadout::default());
    let (batches, answers) = ends.store;
    builder.worker(index, Role::Store, move |context| {
        Ok(StoreWorker::new(store, batches, answers, fail_of(context), publisher))
    })?;
    let links = ends.api;
    builder.worker(index, Role::Api, move |_| Ok(ApiWorker::new(socket, links)))?;
    Ok(NodeHandle { chain, lanes: handles, verifiers, log: log_readout, store: store_readout })
}

fn lane_worker<P: Port + 'static>(
    builder: &mut RuntimeBuilder,
    index: usize,
    parts: LaneParts<P>,
    links: LaneLinks,
    slice_interval: Duration,
) -> Result<Readout<LaneReadout>, StartError> {
    let (publisher, readout) = Publisher::new(LaneReadout::default());
    builder.worker(index, Role::Lane(links.number), move |context| {
        let LaneParts { config, port, frames_max, announced, commands } = parts;
        let now = context.clock().now();
        let mut lane = Lane::new(config, port.capabilities(), now)?;
        for command in commands {
            lane.handle(now, command);
        }
        let bursts = Bursts::new(frames_max);
        let thread_cpu = Box::new(Clock::thread_cpu);
        let setup = LaneSetup { lane, port, bursts, announced, slice_interval, thread_cpu };
        Ok(LaneWorker::new(setup, links, publisher))
    })?;
    Ok(readout)
}

fn fail_of(context: &Context) -> Fail {
    let context = context.clone();
    Box::new(move |text| context.fail(text))
}

/// Lets every port of a wire wake the executor at its other ends: `seats` says, port by port, where each is driven.
/// Such ports are announced.
///
/// # Errors
/// A seat without an executor.
pub fn wake_wire(builder: &RuntimeBuilder, ports: &mut [WirePort], seats: &[Seat]) -> Result<(), StartError> {
    for (to, seat) in seats.iter().enumerate() {
        let wake = builder.waker(seat.node, seat.role)?;
        for port in &mut *ports {
            port.set_wake(to, wake.clone());
        }
    }
    Ok(())
}
