//! The core of a validator: the machine that joins card, verifier, consensus, ledger, log and store.
//!
//! It owns no session, thread, disk or clock. The way of a transaction through it: message -> verifier -> mempool ->
//! slice -> executed -> written -> confirmed -> justified -> final -> told. Executing is done here; verifying,
//! writing, committing and sending are asked of others by [`Output`] and answered by [`Input`].

mod above;
mod audit;
mod catch_up;
mod chain;
mod diagnose;
mod digest;
mod fetch;
mod history;
mod import;
mod io;
mod journal;
mod peers;
mod pool;
mod producer;
mod prove;
mod recover;
mod report;
mod root;
mod serving;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hpb_base::limits::{CERTIFICATES_CLOSING_MAX, FINAL_SLICES_KEPT_MAX, VERIFY_REQUESTS_MAX};
use hpb_base::{Duration, Instant, Machine, UnixMillis};
use hpb_consensus::{Config as EngineConfig, DropReason, LinkInput as EngineInput, Verified};
use hpb_ledger::chainlog::LogBatch;
use hpb_ledger::{Checked, FinalBatch, Ledger, Mempool, MempoolLimits, Store};
use hpb_toe::tally::Tally;
use hpb_toe::{Class, Command, Group, Priority, SessionId};
use hpb_types::message::diagnose::{Goodbye, Parting};
use hpb_types::message::{Hello, Message, PROTOCOL_VERSION, PROTOCOL_VERSION_OLDEST, Roles, kind};
use hpb_types::{
    Certificate, ChainId, Epoch, Genesis, Hash, Outcome, PublicKey, RejectReason, Schedule, Slice, SliceRef, Slot,
};

pub use audit::{AuditError, Audited, Disk, Parted, Place, audit};
pub use chain::context_of;
pub use history::{Indexed, Kept, Results, build_index, keep_index, walk_results};
pub use import::{Import, Imported};
pub(crate) use io::framed;
pub use io::{Input, Outgoing, Output};
pub use producer::Producer;
pub use prove::{ProvingError, Wanted as WantedProof, prove};
pub use recover::{RecoverError, Recovered};
pub use report::Reporter;
pub use root::{RootError, RootFailure, Rooted, Rooting, cut_for, prove_root};
pub use sync::{Fault, SyncStats};

use crate::engine::ChainEngine;
use crate::serve::Wanted;
use crate::verify::{Origin, Request, Verdict};
use diagnose::Questions;
use digest::Digests;
use fetch::Fetches;
use journal::Journal;
use peers::Peers;
use pool::Senders;
use report::Reports;
use serving::Serving;
use sync::{Input as SyncInput, Surroundings, Sync};

/// A slice and its transactions.
pub(crate) struct Body {
    slice: Slice,
    transactions: Vec<Checked>,
    /// What each transaction came to; none before the slice is executed.
    outcomes: Vec<Outcome>,
}

type Bodies = BTreeMap<Hash, Body>;

/// How a core is set up.
pub struct CoreConfig {
    /// The chain.
    pub genesis: Genesis,
    /// Which producer it is, with its keys; an observer is none.
    pub producer: Option<Producer>,
    /// The account by which it reports faults; none leaves that to others.
    pub reporter: Option<Reporter>,
    /// The node identities of the other validators.
    pub validators: Vec<PublicKey>,
    /// Its own identity on the network, told to whoever asks; `None` for a card without one.
    pub identity: Option<PublicKey>,
    /// The identities of those who may look at its card, end sessions and ban: operators' tools.
    pub onlookers: Vec<PublicKey>,
    /// What the wall clock shows at [`Instant::ZERO`].
    pub wall_at_zero: UnixMillis,
    /// How long final states gather before they are committed to the store: 1 to 5 s.
    pub commit_every: Duration,
    /// Whether it sends no slices while there is nothing to say.
    pub silent_when_idle: bool,
}

/// What a core did so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CoreStats {
    /// Transactions of its own terminals that passed the mempool.
    pub accepted: u64,
    /// Refused ones, by reason.
    pub rejected: BTreeMap<RejectReason, u64>,
    /// Transactions executed, those in forks included.
    pub executed: u64,
    /// Transactions told final.
    pub final_transactions: u64,
    /// Slices told final.
    pub final_slices: u64,
    /// Slots with a final slice.
    pub filled_slots: u64,
    /// Slices of its own that were sent.
    pub produced: u64,
    /// Transactions that left the head's chain.
    pub retracted: u64,
    /// Transactions that expired while they waited.
    pub expired: u64,
    /// Digests sent.
    pub digests: u64,
    /// Faults of producers.
    pub evidence: u64,
    /// Confirms of its own that it had no key for.
    pub keyless: u64,
    /// Messages that their sender may not send, or that do not decode.
    pub bad_messages: u64,
    /// Messages that found the verifier full and were dropped.
    pub unverified: u64,
    /// Slices and confirms of others left unread, because this node is behind.
    pub unread: u64,
    /// Catching up.
    pub sync: SyncStats,
    /// Final slices sent to peers that asked for them.
    pub served: u64,
    /// Requests for final slices that were refused for want of room.
    pub serves_refused: u64,
}

/// The core. See the module.
pub struct Core<S> {
    genesis: Genesis,
    chain: ChainId,
    producer: Option<Producer>,
    reporter: Option<Reporter>,
    reports: Reports,
    engine: ChainEngine,
    ledger: Ledger<S>,
    mempool: Mempool,
    pending_told: bool,
    tally: Tally,
    /// The schedules that the tally was told of, by the first slot of each.
    terms: BTreeMap<Slot, Arc<Schedule>>,
    peers: Peers,
    questions: Questions,
    identity: Option<PublicKey>,
    wall_at_zero: UnixMillis,
    started_at: Instant,
    senders: Senders,
    bodies: Bodies,
    finals_kept: VecDeque<Hash>,
    fetches: Fetches,
    serving: Serving,
    sync: Sync,
    /// Final slices that the log does not hold for certain.
    unsynced: usize,
    /// Why the engine refused something last.
    dropped: Option<DropReason>,
    kept_from: Slot,
    standing_told: SliceRef,
    journal: Journal,
    /// Of the last slices that were justified.
    certificates: VecDeque<Arc<Certificate>>,
    digests: Digests,
    head: SliceRef,
    final_told: SliceRef,
    proposed: Option<SliceRef>,
    /// This producer's first slice of a slot, until it is on disk and leaves.
    unsent: Option<Hash>,
    verifying: usize,
    slot: Slot,
    commit_every: Duration,
    commit_at: Instant,
    /// Final states that the log does not hold for certain: the store is never ahead of it, else a node that loses its
    /// last writes would go on from a state whose slices it does not have.
    commits: VecDeque<FinalBatch>,
    slice_interval: Duration,
    outputs: VecDeque<Output>,
    stats: CoreStats,
    stopped: bool,
    /// Something was told since the engine had its say.
    told: bool,
    /// When the clock alone gives it something to do. It changes with what is told and done only, and is asked for far
    /// more often.
    timer_at: Option<Instant>,
    now: Instant,
}

impl<S: Store> Core<S> {
    /// A core on what was recovered, started at `now`.
    pub fn new(config: CoreConfig, recovered: Recovered<S>, now: Instant) -> Self {
        let CoreConfig {
            genesis,
            producer,
            reporter,
            validators,
            identity,
            onlookers,
            wall_at_zero,
            commit_every,
            silent_when_idle,
        } = config;
        let chain = genesis.chain_id();
        let Recovered { ledger, anchor, memory, finals, unfinal, kept_from, checkpoint, .. } = recovered;
        let tip = anchor.tip();
        let name = producer.as_ref().map(|producer| producer.name);
        let mut engine_config = EngineConfig::new(&genesis, name, wall_at_zero);
        engine_config.silent_when_idle = silent_when_idle;
        engine_config.checkpoint = checkpoint;
        let slice_interval = Duration::from_millis(genesis.slice_ms.into());
        let engine = ChainEngine::start(engine_config, anchor, memory, now);
        let mut core = Self {
            chain,
            tally: Tally::new(engine.in_force(), None),
            terms: BTreeMap::from([(Slot(0), Arc::clone(engine.in_force()))]),
            engine,
            ledger,
            mempool: Mempool::new(chain, MempoolLimits::default()),
            pending_told: false,
            peers: Peers::new(validators, onlookers),
            questions: Questions::default(),
            identity,
            wall_at_zero,
            started_at: now,
            senders: Senders::default(),
            bodies: BTreeMap::new(),
            finals_kept: VecDeque::new(),
            fetches: Fetches::default(),
            serving: Serving::default(),
            sync: Sync::new(tip, checkpoint, Surroundings { slot: Slot(0), epoch: Epoch(0), has_room: true }, now),
            unsynced: 0,
            dropped: None,
            kept_from,
            standing_told: tip,
            journal: Journal::default(),
            certificates: VecDeque::new(),
            digests: Digests::new(slice_interval, tip, now),
            head: tip,
            final_told: tip,
            proposed: None,
            unsent: None,
            verifying: 0,
            slot: Slot(0),
            commit_every,
            commit_at: now + commit_every,
            commits: VecDeque::new(),
            slice_interval,
            outputs: VecDeque::new(),
            stats: CoreStats::default(),
            stopped: false,
            told: true,
            timer_at: None,
            now,
            genesis,
            producer,
            reporter,
            reports: Reports::default(),
        };
        core.outputs.push_back(Output::Verify(Request::Schedules(core.engine.schedules().clone())));
        let kept = finals.len().saturating_sub(FINAL_SLICES_KEPT_MAX);
        for body in finals.into_iter().skip(kept) {
            let id = body.slice.id();
            core.journal.note(id);
            core.finals_kept.push_back(id);
            core.bodies.insert(id, body);
        }
        for Body { slice, transactions, .. } in unfinal {
            core.journal.note(slice.id());
            core.slice(now, Verified::vouch(slice), transactions);
        }
        core.pump(now);
        core
    }

    /// The head that it would build on.
    pub fn head(&self) -> SliceRef {
        self.head
    }

    /// What it did so far.
    pub fn stats(&self) -> &CoreStats {
        &self.stats
    }

    /// What the log is to hold before the node ends: the certificates of the last slices, so that it proves itself up to
    /// its end. `None` if there are none.
    pub fn closing(&self) -> Option<LogBatch> {
        let mut batch = LogBatch::new();
        for certificate in &self.certificates {
            batch.push_certificate(certificate).ok()?;
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Whether it is behind and asks for final slices.
    pub fn is_catching_up(&self) -> bool {
        self.sync.is_active()
    }

    /// The engine.
    pub fn engine(&self) -> &ChainEngine {
        &self.engine
    }

    /// The ledger: queries go here.
    pub fn ledger(&self) -> &Ledger<S> {
        &self.ledger
    }

    /// Transactions that wait for a slice.
    pub fn waiting_count(&self) -> usize {
        self.mempool.waiting_count()
    }

    /// Sessions with other validators.
    pub fn validators_open(&self) -> usize {
        self.peers.validators_open()
    }

    /// How far digests are apart now.
    pub fn digest_interval(&self) -> Duration {
        self.digests.interval()
    }

    /// Keeps the certificate of a slice that is justified now.
    fn justified(&mut self, certificate: Arc<Certificate>) {
        self.digests.justified(certificate.target);
        if self.certificates.len() == CERTIFICATES_CLOSING_MAX {
            self.certificates.pop_front();
        }
        self.certificates.push_back(certificate);
    }

    fn opened(&mut self, session: SessionId, peer: Option<PublicKey>, class: Class) {
        let (group, replaced) = self.peers.open(session, peer, class);
        if let Some(replaced) = replaced {
            self.part(replaced, Goodbye::because(Parting::DUPLICATE_IDENTITY));
        }
        if let Some(group) = group {
            self.outputs.push_back(Output::Card(Command::Join { session, group: Some(group) }));
        }
        let hello = Hello {
            version: PROTOCOL_VERSION,
            chain: self.chain,
            roles: Roles::VALIDATOR,
            head: self.head.height,
            final_slice: self.final_told,
        };
        let message = framed(&Message::Hello(hello));
        self.outputs.push_back(Output::Card(Command::Send { session, priority: Priority::Normal, message }));
        if self.peers.roles(session).is_some_and(|roles| roles.intersects(Roles::VALIDATOR | Roles::DIAGNOSTICS)) {
            self.show_standing(session);
        }
        if class == Class::Validator {
            self.greet(session);
        }
    }

    fn message(&mut self, session: SessionId, kind: u8, body: &[u8]) {
        let Some(roles) = self.peers.roles(session) else { return };
        // Who has no role may say who it is, and ask what is for all: that is how a stranger finds out why it is one.
        let may = Message::may_send(roles, kind) || matches!(kind, kind::HELLO | kind::PING | kind::QUESTION);
        let message = match Message::decode(kind, body) {
            Ok(message) if may => message,
            Err(_) if may && kind == kind::SUBMIT_TRANSACTION => {
                // Named by the hash of what came: there is no transaction to name.
                return self.reject(session, Hash::of(body), RejectReason::Malformed);
            }
            _ => {
                self.stats.bad_messages += 1;
                return self.part(session, Goodbye::because(Parting::BROKEN));
            }
        };
        match message {
            Message::SubmitTransaction(transaction) => {
                let id = transaction.id();
                if transaction.body.chain != self.chain {
                    return self.reject(session, id, RejectReason::WrongChain);
                }
                if !self.verify(Request::Transactions(Origin::Terminal(session), vec![*transaction])) {
                    self.reject(session, id, RejectReason::MempoolFull);
                }
            }
            Message::Transactions(gossip) => {
                self.verify(Request::Transactions(Origin::Gossip, gossip.transactions));
            }
            Message::SliceBundle(bundle) => {
                let (slice, parent) = (bundle.slice.reference(), bundle.slice.body.parent);
                if self.is_beyond(slice.height.slot) {
                    return;
                }
                if self.bodies.contains_key(&slice.id) {
                    return self.fetched(slice, &parent, Some(session));
                }
                if !self.bodies.contains_key(&parent) {
                    self.fetches.offered(parent, session);
                }
                self.verify(Request::Slice(session, bundle));
            }
            Message::Confirm(confirm) if self.is_beyond(confirm.body.target.height.slot) => {}
            Message::Confirm(confirm) => {
                self.verify(Request::Confirm(confirm));
            }
            Message::SliceRequest(_) if self.sync.is_guarded() => {}
            Message::SliceRequest(request) => self.serve(session, &request),
            Message::ChainRequest(request) => self.asked(session, Wanted::Slices, request),
            Message::HeadersRequest(request) => self.asked(session, Wanted::Headers, request),
            Message::Ping(nonce) => {
                let message = framed(&Message::Pong(nonce));
                self.outputs.push_back(Output::Card(Command::Send { session, priority: Priority::Normal, message }));
            }
            Message::Standing(standing) => {
                if let Some(peer) = self.peers.key(session) {
                    self.sync.handle(self.now, SyncInput::Standing { session, peer, standing });
                }
            }
            Message::Headers(headers) => self.sync.handle(self.now, SyncInput::Headers { session, headers }),
            Message::ChainPiece(piece) => self.sync.handle(self.now, SyncInput::Piece { session, piece }),
            Message::Hello(hello) => self.hello(session, &hello),
            Message::Question(question) => self.question(session, question),
            Message::Pong(_)
            | Message::Digest(_)
            | Message::TransactionStatus(_)
            | Message::Answer(_)
            | Message::Goodbye(_) => {}
        }
    }

    /// Whoever is of another chain, or speaks what is not understood any more, is told so and parted from.
    fn hello(&mut self, session: SessionId, hello: &Hello) {
        if hello.version < PROTOCOL_VERSION_OLDEST {
            let detail = PROTOCOL_VERSION_OLDEST.into();
            self.part(session, Goodbye { reason: Parting::VERSION_TOO_OLD, detail });
        } else if hello.chain != self.chain {
            self.part(session, Goodbye::because(Parting::WRONG_CHAIN));
        }
    }

    /// Ends a session and has it told why.
    fn part(&mut self, session: SessionId, goodbye: Goodbye) {
        self.outputs.push_back(Output::Card(Command::Part { session, goodbye }));
    }

    /// Asks for a verdict; false if too many are out.
    fn verify(&mut self, request: Request) -> bool {
        if self.verifying >= VERIFY_REQUESTS_MAX {
            self.stats.unverified += 1;
            return false;
        }
        self.verifying += 1;
        self.outputs.push_back(Output::Verify(request));
        true
    }

    fn verdict(&mut self, now: Instant, verdict: Verdict) {
        self.verifying = self.verifying.saturating_sub(1);
        match verdict {
            Verdict::Transactions(origin, judged) => self.admit(now, origin, judged),
            Verdict::Slice(slice, transactions) => self.slice(now, *slice, transactions),
            Verdict::Final(number, judged) => self.judged(now, number, judged),
            Verdict::Confirm(confirm) => self.confirmed(now, *confirm),
            Verdict::Ahead(slice) => self.engine.handle(now, EngineInput::Behind(slice)),
            Verdict::Refused => self.stats.bad_messages += 1,
        }
    }

    /// Block time of the current slot.
    fn block_time(&self, now: Instant) -> UnixMillis {
        UnixMillis(self.genesis.slot_start_ms(self.engine.clock().slot_at_most(now)))
    }

    /// What is due by the clock.
    fn tick(&mut self, now: Instant) {
        let slot = self.engine.clock().slot_at_most(now);
        if slot != self.slot {
            self.slot = slot;
            let block_time = self.block_time(now);
            self.expire(block_time);
            self.spread_standing();
        }
        self.report(now);
        self.gossip(now);
        if let Some(digest) = self.digests.take(now, &self.tally) {
            self.stats.digests += 1;
            let message = framed(&Message::Digest(digest));
            let broadcast = Command::Broadcast { group: Group::Terminals, priority: Priority::Sheddable, message };
            self.outputs.push_back(Output::Card(broadcast));
        }
        if let Some((number, batch)) =
            self.journal.batch(&self.bodies, self.producer.as_ref().map(|producer| producer.name))
        {
            self.outputs.push_back(Output::Log { number, batch: Box::new(batch) });
        }
        self.catch_up(now);
        if let Some(read) = self.serving.next() {
            self.outputs.push_back(Output::Read(read));
        }
        if now >= self.commit_at {
            self.commit_at = now + self.commit_every;
            self.commits.extend(self.ledger.hand_over());
        }
        while let Some(batch) = self.commits.pop_front_if(|batch| batch.point.slice.height <= self.final_told.height) {
            self.outputs.push_back(Output::Commit(Box::new(batch)));
        }
    }

    fn stop(&mut self, error: &dyn std::fmt::Display) {
        if !self.stopped {
            self.stopped = true;
            self.outputs.push_back(Output::Stop(error.to_string()));
        }
    }
}

impl<S: Store> Machine for Core<S> {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        self.told = true;
        match input {
            Input::Opened { session, peer, class } => self.opened(session, peer, class),
            Input::Closed { session } => {
                self.peers.close(session);
                self.serving.close(session);
                self.fetches.close(session);
                self.sync.handle(now, SyncInput::Closed { session });
            }
            Input::Message { session, kind, body } => self.message(session, kind, &body),
            Input::Verdict(verdict) => self.verdict(now, verdict),
            Input::Synced { number } => self.synced(now, number),
            Input::Served(served) => self.served(*served),
            Input::Committed { commit } => self.ledger.committed(commit),
            Input::Answered { session, answer } => self.answered(session, *answer),
            Input::DigestInterval(interval) => self.digests.set_interval(interval.max(self.slice_interval)),
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        self.now = now;
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.stopped || !self.told && self.timer_at.is_none_or(|at| at > now) {
            return None;
        }
        self.told = false;
        self.pump(now);
        self.tick(now);
        self.stats.sync.clone_from(self.sync.stats());
        self.timer_at = self.next_timer();
        self.outputs.pop_front()
    }

    fn wake_at(&self) -> Option<Instant> {
        if self.stopped && self.outputs.is_empty() {
            return None;
        }
        if self.told || !self.outputs.is_empty() { Some(self.now) } else { self.timer_at }
    }
}

impl<S: Store> Core<S> {
    fn next_timer(&self) -> Option<Instant> {
        let waits = [self.senders.gossip_at, self.reports.due_at(), Some(self.commit_at), self.sync.wake_at()];
        let timers = [self.engine.wake_at(), self.digests.due_at()].into_iter().chain(waits);
        timers.flatten().min()
    }
}
