//! The node core on its executor: what arrives by links goes in, what it says goes out by links.
//!
//! Nothing that the core says is dropped. While a lane's link is full, the core is neither asked nor told anything;
//! while a verifier's link is full, nothing new is taken from the lanes, so that their peers wait; verdicts are still
//! taken, so that the two can't wait for each other. Log and store have one and a few things out at a time, always
//! less than their links hold.

use std::sync::mpsc::SyncSender;

use hpb_base::{Duration, Instant, Machine};
use hpb_ledger::Supply;
use hpb_ledger::{FinalBatch, Store};
use hpb_toe::framing::MESSAGE_HEADER_LEN;
use hpb_toe::{Command, Group, SessionId};
use hpb_types::{Hash, SliceRef};

use super::Fail;
use super::api::ToApi;
use super::disk::LogEntry;
use super::lane::{LOCAL_LANE, lane_of};
use super::outlet::Outlet;
use super::readout::Publisher;
use crate::core::{Core, CoreStats, Input, Outgoing, Output};
use crate::runtime::{Activity, Receiver, Sender, Worker};
use crate::verify::{Origin, Request};

/// Inputs of one link in one turn.
const INPUTS_PER_TURN: usize = 32;
/// Outputs of one turn.
const OUTPUTS_PER_TURN: usize = 1_024;

/// What a chain did so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainReadout {
    /// The core's counters.
    pub stats: CoreStats,
    /// The head that it would build on.
    pub head: SliceRef,
    /// The final slice that users were told of: its log is synced.
    pub final_told: SliceRef,
    /// The final slice that the engine knows of.
    pub final_known: SliceRef,
    /// Transactions that wait for a slice.
    pub waiting_count: usize,
    /// Sessions with other validators.
    pub validators_open: usize,
    /// How far digests are apart.
    pub digest_interval: Duration,
    /// What the ledger holds at its final slice: in the last copy only, after the end.
    pub closing: Option<Closing>,
}

/// The ledger after the end, at its final slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closing {
    /// The final slice.
    pub slice: SliceRef,
    /// The state's root there: equal on every node that stands at this slice.
    pub root: Hash,
    /// The token's amount there and at genesis.
    pub supply: Supply,
}

impl ChainReadout {
    /// Of a chain that stands at `slice` and has done nothing yet.
    pub fn starting(slice: SliceRef) -> Self {
        Self {
            stats: CoreStats::default(),
            head: slice,
            final_told: slice,
            final_known: slice,
            waiting_count: 0,
            validators_open: 0,
            digest_interval: Duration::ZERO,
            closing: None,
        }
    }
}

/// The links of one chain.
pub struct ChainLinks {
    /// From each lane and back, by its number.
    pub lanes: Vec<(Receiver<Input>, Sender<Command>)>,
    /// From the local socket and back.
    pub local: (Receiver<Input>, Sender<ToApi>),
    /// To each verifier and back, by its number; at least one.
    pub verifiers: Vec<(Sender<Request>, Receiver<Input>)>,
    /// To the log.
    pub log: Sender<LogEntry>,
    /// From the log.
    pub synced: Receiver<Input>,
    /// To the store.
    pub store: Sender<Box<FinalBatch>>,
    /// From the store.
    pub committed: Receiver<Input>,
}

struct LaneSide {
    inputs: Receiver<Input>,
    commands: Outlet<Command>,
    /// How far digests must be apart for its sake.
    digest_interval: Duration,
}

struct VerifySide {
    requests: Outlet<Request>,
    verdicts: Receiver<Input>,
}

/// That a digest left the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DigestSent {
    /// BLAKE3 of the message's body.
    pub digest: Hash,
    /// When.
    pub at: Instant,
}

/// The content's hash, if the command is a digest to the terminals.
pub fn digest_of(command: &Command) -> Option<Hash> {
    match command {
        Command::Broadcast { group: Group::Terminals, message, .. } => message.get(MESSAGE_HEADER_LEN..).map(Hash::of),
        _ => None,
    }
}

/// The worker. See the module.
pub struct ChainWorker<S> {
    core: Core<S>,
    lanes: Vec<LaneSide>,
    /// Sessions of programs of this host, which hold nobody up: what finds no room there is dropped.
    local: (Receiver<Input>, Sender<ToApi>),
    verifiers: Vec<VerifySide>,
    log: Outlet<LogEntry>,
    synced: Receiver<Input>,
    store: Outlet<Box<FinalBatch>>,
    committed: Receiver<Input>,
    fail: Fail,
    stopped: bool,
    /// What is left of [`OUTPUTS_PER_TURN`].
    outputs_left: usize,
    digests: Vec<SyncSender<DigestSent>>,
    outgoing: Option<Box<dyn Outgoing>>,
    publisher: Publisher<ChainReadout>,
}

impl<S: Store> ChainWorker<S> {
    /// A worker that shows itself by `publisher` and ends the runtime by `fail` when the core must stop.
    pub fn new(core: Core<S>, links: ChainLinks, fail: Fail, publisher: Publisher<ChainReadout>) -> Self {
        let ChainLinks { lanes, local, verifiers, log, synced, store, committed } = links;
        assert!(!verifiers.is_empty(), "a chain without a verifier");
        let lanes = lanes.into_iter().map(|(inputs, commands)| LaneSide {
            inputs,
            commands: Outlet::new(commands),
            digest_interval: Duration::ZERO,
        });
        let verifiers =
            verifiers.into_iter().map(|(requests, verdicts)| VerifySide { requests: Outlet::new(requests), verdicts });
        Self {
            core,
            lanes: lanes.collect(),
            local,
            verifiers: verifiers.collect(),
            log: Outlet::new(log),
            synced,
            store: Outlet::new(store),
            committed,
            fail,
            stopped: false,
            outputs_left: 0,
            digests: Vec::new(),
            outgoing: None,
            publisher,
        }
    }

    /// Has every digest that leaves noted to each of `digests`. One that finds no room is not.
    #[must_use]
    pub fn noting_digests(mut self, digests: Vec<SyncSender<DigestSent>>) -> Self {
        self.digests = digests;
        self
    }

    /// Has what the core says to its card pass `outgoing`.
    #[must_use]
    pub fn speaking_through(mut self, outgoing: Option<Box<dyn Outgoing>>) -> Self {
        self.outgoing = outgoing;
        self
    }

    fn flush(&mut self) -> bool {
        let mut busy = self.log.flush() | self.store.flush();
        for lane in &mut self.lanes {
            busy |= lane.commands.flush();
        }
        for verifier in &mut self.verifiers {
            busy |= verifier.requests.flush();
        }
        busy
    }

    /// Whether the core must wait before it says more.
    fn is_stalled(&self) -> bool {
        !(self.lanes.iter().all(|lane| lane.commands.is_clear()) && self.log.is_clear() && self.store.is_clear())
    }

    /// Lets the core say all that it has to say. False if it may have more to say than there is room or time for now.
    fn settle(&mut self, now: Instant) -> bool {
        while !self.stopped && self.outputs_left > 0 && !self.is_stalled() {
            let Some(output) = self.core.poll(now) else { return true };
            self.outputs_left -= 1;
            match output {
                Output::Card(command) => {
                    self.note(now, &command);
                    match &mut self.outgoing {
                        Some(outgoing) => {
                            for command in outgoing.leaving(command) {
                                self.command(command);
                            }
                        }
                        None => self.command(command),
                    }
                }
                Output::Verify(request) => {
                    let verifier = verifier_of(&request, self.verifiers.len());
                    self.verifiers[verifier].requests.put(request);
                }
                Output::Log { number, batch } => self.log.put(LogEntry::Write { number, batch }),
                Output::Read(read) => self.log.put(LogEntry::Read(read)),
                Output::Commit(batch) => self.store.put(batch),
                Output::Ask { session, question } => self.tell_local(ToApi::Ask { session, question }),
                Output::Stop(text) => {
                    self.stopped = true;
                    (self.fail)(text);
                }
            }
        }
        false
    }

    /// Takes inputs, each followed by all that the core says to it. Answers come before what is new.
    fn take_inputs(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for source in 0..3 + self.verifiers.len() + self.lanes.len() {
            for _ in 0..INPUTS_PER_TURN {
                let Some(input) = self.pop(source) else { break };
                busy = true;
                if let Some(outgoing) = &mut self.outgoing {
                    outgoing.heard(&input);
                }
                self.core.handle(now, input);
                if !self.settle(now) {
                    return true;
                }
            }
        }
        busy
    }

    /// The next input of a link; `None` if it is empty or may not be taken now.
    fn pop(&mut self, source: usize) -> Option<Input> {
        let verifiers = self.verifiers.len();
        match source {
            0 => self.synced.pop(),
            1 => self.committed.pop(),
            _ if source - 2 < verifiers => self.verifiers[source - 2].verdicts.pop(),
            _ if !self.verifiers.iter().all(|verifier| verifier.requests.is_clear()) => None,
            _ if source - 2 == verifiers => self.local.0.pop(),
            _ => {
                let lane = &mut self.lanes[source - 3 - verifiers];
                let input = lane.inputs.pop()?;
                let Input::DigestInterval(interval) = input else { return Some(input) };
                lane.digest_interval = interval;
                self.lanes.iter().map(|lane| lane.digest_interval).max().map(Input::DigestInterval)
            }
        }
    }

    fn note(&self, now: Instant, command: &Command) {
        if self.digests.is_empty() {
            return;
        }
        if let Some(digest) = digest_of(command) {
            for digests in &self.digests {
                // Whoever measures has more than enough already.
                let _ = digests.try_send(DigestSent { digest, at: now });
            }
        }
    }

    fn command(&mut self, command: Command) {
        let number = match &command {
            Command::Send { session, .. }
            | Command::Join { session, .. }
            | Command::Close { session }
            | Command::Part { session, .. } => Some(lane_of(*session)),
            Command::Open(call) => Some(call.tag as usize % self.lanes.len().max(1)),
            Command::Listen { .. }
            | Command::Serve { .. }
            | Command::Broadcast { .. }
            | Command::SetRegister { .. } => None,
        };
        if number == Some(LOCAL_LANE) {
            self.tell_local(ToApi::Card(command));
            return;
        }
        if let Some(number) = number {
            if let Some(lane) = self.lanes.get_mut(number) {
                lane.commands.put(command);
            }
            return;
        }
        for lane in &mut self.lanes {
            lane.commands.put(command.clone());
        }
        self.tell_local(ToApi::Card(command));
    }

    fn tell_local(&mut self, told: ToApi) {
        // The link counts what it drops.
        let _ = self.local.1.try_send(told);
    }

    fn readout(&self) -> ChainReadout {
        ChainReadout {
            stats: self.core.stats().clone(),
            head: self.core.head(),
            final_told: self.core.last_final(),
            final_known: self.core.engine_final(),
            waiting_count: self.core.waiting_count(),
            validators_open: self.core.validators_open(),
            digest_interval: self.core.digest_interval(),
            closing: None,
        }
    }

    fn closing(&self) -> Option<Closing> {
        let ledger = self.core.ledger();
        let slice = ledger.final_slice();
        let root = ledger.state_root(&slice.id).ok()?;
        let supply = ledger.supply(&slice.id).ok()?;
        Some(Closing { slice, root, supply })
    }
}

/// The verifier that judges a request. Slices, confirms, the schedules that they are judged by, and gossip go to the first one, which then recognises in
/// slices what it judged before; the terminals' own transactions to the others where there are any, each terminal's
/// to the same one, so that they stay in order.
fn verifier_of(request: &Request, count: usize) -> usize {
    match request {
        Request::Transactions(Origin::Terminal(SessionId { index, .. }), _) if count > 1 => {
            1 + *index as usize % (count - 1)
        }
        Request::Transactions(..)
        | Request::Slice(..)
        | Request::Final(..)
        | Request::Confirm(_)
        | Request::Schedules(_) => 0,
    }
}

impl<S: Store> Worker for ChainWorker<S> {
    fn turn(&mut self, now: Instant) -> Activity {
        if self.stopped {
            return Activity::Idle;
        }
        let mut busy = self.flush();
        self.outputs_left = OUTPUTS_PER_TURN;
        if self.settle(now) {
            busy |= self.take_inputs(now);
        }
        busy |= self.outputs_left < OUTPUTS_PER_TURN;
        if busy {
            self.publisher.touch();
        }
        if self.publisher.is_due(now) {
            let readout = self.readout();
            self.publisher.publish(now, readout);
        }
        if busy { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let core = if self.is_stalled() { None } else { self.core.wake_at() };
        [core, self.publisher.wake_at()].into_iter().flatten().min()
    }

    fn finish(&mut self, _now: Instant) {
        // The log's worker ends later than this one. Nobody waits for the answer.
        if let Some(batch) = self.core.closing().filter(|_| !self.stopped) {
            self.log.put(LogEntry::Write { number: 0, batch: Box::new(batch) });
        }
        let readout = ChainReadout { closing: self.closing(), ..self.readout() };
        self.publisher.publish_last(readout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminals_transactions_stay_with_one_verifier_and_slices_with_the_first() {
        let of = |index, count| {
            let session = SessionId { index, generation: 0 };
            verifier_of(&Request::Transactions(Origin::Terminal(session), Vec::new()), count)
        };
        assert_eq!((of(5, 1), of(5, 2), of(5, 3), of(6, 3)), (0, 1, 2, 1));
        assert_eq!(verifier_of(&Request::Transactions(Origin::Gossip, Vec::new()), 3), 0);
    }
}
