//! The devnet's terminals: thousands of users on one emulated card, who submit transfers and are told what becomes of
//! them.
//!
//! [`Terminals`] is a machine without I/O, clock or thread. Its driver owns the [`Lane`] that all its sessions run on,
//! brings every event of that lane to [`event`](Terminals::event) and gives the lane to [`poll`](Terminals::poll), on
//! real or on virtual time alike. Each terminal calls the node with an identity of its own, says hello, and keeps its
//! session: when it is lost, the lane calls again.
//!
//! **Open loop.** A transaction's intended time never depends on an earlier one's fate, and latencies run from it. What
//! a session has no room for waits in its terminal's queue; past that queue's bound, and past that of all open
//! transactions, it is shed and counted.
//!
//! **After a loss.** On a session that came back, a terminal sends all its open transactions again, byte for byte, and
//! waits to be told anew where each stands: a retraction may have been missed. That one of them is a duplicate means
//! that the node has it.
//!
//! **Several cards.** Each has its share of the terminals ([`share`]) and a `Terminals` of its own. All go through the
//! same submissions and play those whose sender is theirs, at the times of the whole run.
//!
//! Refused: a share without terminals, or with more than its addresses have ports for; a fee above every amount.

mod book;
mod digests;
mod pace;
mod setup;
mod wallet;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use hpb_base::limits::TERMINAL_QUEUE_MAX;
use hpb_base::{Duration, Instant};
use hpb_toe::framing::MESSAGE_HEADER_LEN;
use hpb_toe::{Call, Class, Command, Event, Lane, Priority, SendError, SessionId};
use hpb_types::message::{PROTOCOL_VERSION, kind};
use hpb_types::{Canonical, ChainId, Genesis, Hash, Height, Hello, Message, RejectReason, Roles, TransactionStatus};

use crate::report::{LatencyRecorder, Measurements};
use crate::workload::Submission;
use book::{Book, Open, Verdict};
pub use book::{Counters, confirm_k};
use digests::DigestWatch;
pub use digests::{DigestTimes, broadcast_us};
pub use pace::Pace;
use pace::{Pacer, Signs, Walk};
use setup::sessions_max;
pub use setup::{TerminalsConfig, TerminalsError, share};
use wallet::Wallet;
pub use wallet::{EXPIRY_AHEAD_MS, party_keys, party_seed, terminal_identity, transfer_fee_max};

/// Calls placed in one turn; each makes an identity, some 60 microseconds of CPU.
const CALLS_PER_TURN: usize = 8;
/// Submissions taken in one turn.
const SUBMISSIONS_PER_TURN: usize = 16;
/// Messages sent in one turn; each transaction costs a signature, some 20 microseconds of CPU.
const SENDS_PER_TURN: usize = 16;
/// How long a terminal waits whose session had no room.
const RETRY: Duration = Duration::from_millis(1);

/// The sessions of one card's terminals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionCounters {
    /// Terminals.
    pub target: u64,
    /// Terminals whose session was established at least once.
    pub established: u64,
    /// Sessions that are established now.
    pub open: u64,
    /// Established sessions that ended.
    pub lost: u64,
    /// Sessions established after a loss.
    pub reconnected: u64,
    /// Calls that came to nothing; each is made again.
    pub calls_failed: u64,
}

impl SessionCounters {
    /// Takes in what another card's terminals counted.
    pub fn merge(&mut self, other: &Self) {
        self.target += other.target;
        self.established += other.established;
        self.open += other.open;
        self.lost += other.lost;
        self.reconnected += other.reconnected;
        self.calls_failed += other.calls_failed;
    }
}

/// Where the terminals stand: cheap, for a live view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// The sessions.
    pub sessions: SessionCounters,
    /// The transactions.
    pub transactions: Counters,
    /// Transactions whose end is open.
    pub outstanding: u64,
    /// The rate of submission, in transactions a second, as it stands; 0 while nothing is submitted.
    pub rate_tps: u64,
    /// The height of the latest final slice that a digest told of.
    pub final_height: Height,
}

/// One terminal.
#[derive(Default)]
struct Terminal {
    session: Option<SessionId>,
    was_established: bool,
    /// Says hello before anything else.
    greets: bool,
    /// Stands in `ready` or `blocked`.
    is_listed: bool,
    /// The nonce of a ping to answer.
    pong: Option<u64>,
    /// The number of the last digest that it heard.
    digest_serial: u64,
    /// Its open transactions in the order of their submission, by their places in the book.
    outstanding: Vec<u32>,
    /// Those to send, in order. One that ended since then is passed over.
    queue: VecDeque<Hash>,
}

/// What sending for one terminal came to.
enum Served {
    Done,
    /// The turn's budget is used up.
    Unfinished,
    /// The session has no room.
    Blocked,
}

enum Run {
    Waiting,
    Going { pacer: Pacer, until: Instant },
    Over { found_tps: Option<u64> },
}

/// One card's terminals. See the module.
pub struct Terminals {
    chain: ChainId,
    config: TerminalsConfig,
    table: Vec<Terminal>,
    called: usize,
    first_call_at: Option<Instant>,
    all_established_at: Option<Instant>,
    wallet: Wallet,
    walk: Walk,
    run: Run,
    book: Book,
    digests: DigestWatch,
    sessions: SessionCounters,
    establish: LatencyRecorder,
    /// Terminals with something to send, each at most once here and in `blocked`.
    ready: VecDeque<u32>,
    blocked: Vec<u32>,
    retry_at: Instant,
    now: Instant,
}

impl Terminals {
    /// The terminals of one card on the chain of `genesis`; nothing is called before the first turn.
    ///
    /// # Errors
    /// A set-up that the card cannot hold, or fees that do not fit an amount.
    pub fn new(genesis: &Genesis, config: TerminalsConfig) -> Result<Self, TerminalsError> {
        let (count, addresses) = (config.terminals.len(), config.addresses.len());
        if addresses == 0 {
            return Err(TerminalsError::NoAddress);
        }
        if !(1..=sessions_max(addresses)).contains(&count) {
            return Err(TerminalsError::Terminals { terminals: count, addresses });
        }
        let fee_limit = transfer_fee_max(genesis.fees).ok_or(TerminalsError::Fee)?;
        let chain = genesis.chain_id();
        let workload = Arc::clone(config.source.workload());
        Ok(Self {
            chain,
            table: std::iter::repeat_with(Terminal::default).take(count).collect(),
            called: 0,
            first_call_at: None,
            all_established_at: None,
            wallet: Wallet::new(chain, config.seed, fee_limit, workload),
            walk: Walk::new(config.source.clone(), Arc::clone(&config.assignment), config.terminals.clone()),
            run: Run::Waiting,
            book: Book::new(genesis),
            digests: DigestWatch::new(),
            sessions: SessionCounters { target: count as u64, ..SessionCounters::default() },
            establish: LatencyRecorder::new(),
            ready: VecDeque::new(),
            blocked: Vec::new(),
            retry_at: Instant::ZERO,
            now: Instant::ZERO,
            config,
        })
    }

    /// Starts submission at `at`; what is meant to leave at `until` or later is not submitted. Measuring starts too.
    pub fn begin(&mut self, at: Instant, until: Instant) {
        self.book.measurements = Measurements::new(at);
        self.digests.measure_from(at);
        let is_over = self.walk.sends_nothing() || until <= at;
        self.run = if is_over {
            Run::Over { found_tps: None }
        } else {
            Run::Going { pacer: Pacer::new(self.config.pace, at), until }
        };
    }

    /// Ends submission before its time. What is already due in a queue is still sent.
    pub fn stop_submitting(&mut self) {
        let found_tps = self.found_tps();
        self.run = Run::Over { found_tps };
    }

    /// Whether submission has ended and everything submitted has been handed to its session.
    pub fn has_submitted(&self) -> bool {
        matches!(self.run, Run::Over { .. }) && self.book.unsent() == 0
    }

    /// Does one bounded turn on the card's lane: places calls, takes what is due, sends. Returns whether it did
    /// anything.
    pub fn poll(&mut self, now: Instant, lane: &mut Lane) -> bool {
        self.now = now;
        let mut busy = self.call(now, lane);
        busy |= self.take_due(now);
        busy |= self.serve(now, lane);
        busy
    }

    /// When to [`poll`](Self::poll) again without an event; `None` if never.
    pub fn wake_at(&self) -> Option<Instant> {
        if self.called < self.table.len() || !self.ready.is_empty() {
            return Some(self.now);
        }
        let retry_at = (!self.blocked.is_empty()).then_some(self.retry_at);
        let due_at = match &self.run {
            Run::Going { pacer, .. } => {
                Some(self.walk.found().map_or(self.now, |found| pacer.intended_at(found.sequence)))
            }
            Run::Waiting | Run::Over { .. } => None,
        };
        retry_at.into_iter().chain(due_at).min()
    }

    /// Takes one event of the card's lane. A digest costs next to nothing at a terminal with nothing outstanding.
    pub fn event(&mut self, now: Instant, event: Event<'_>) {
        match event {
            Event::Opened { session, tag, called: true, took, .. } => self.opened(now, session, tag, took),
            Event::Opened { .. } => {}
            Event::Message { session, tag, kind, body } => self.message(now, session, tag, kind, body),
            Event::Closed { session, tag, was_open, .. } => self.closed(session, tag, was_open),
        }
    }

    /// The node gave its card a digest at `at`; `digest` is BLAKE3 of the message's body ([`Hash::of`]). Without this a
    /// digest's times run from its first arrival. It may come before or after the arrivals.
    pub fn digest_sent(&mut self, digest: Hash, at: Instant) {
        self.digests.sent(digest, at);
    }

    /// Moves the ids told final since the last time behind those in `into`, in the order of their telling.
    pub fn take_told_final(&mut self, into: &mut Vec<Hash>) {
        into.append(&mut self.book.told_final);
    }

    /// Transactions whose end is open.
    pub fn outstanding(&self) -> usize {
        self.book.len()
    }

    /// What became of the transactions.
    pub fn counters(&self) -> &Counters {
        &self.book.counters
    }

    /// How many were rejected, by reason.
    pub fn rejections(&self) -> &BTreeMap<RejectReason, u64> {
        &self.book.rejections
    }

    /// The sessions.
    pub fn sessions(&self) -> &SessionCounters {
        &self.sessions
    }

    /// From each session's SYN until it was established.
    pub fn establish(&self) -> &LatencyRecorder {
        &self.establish
    }

    /// From the first call until every terminal's session had been established; `None` before.
    pub fn established_after(&self) -> Option<Duration> {
        self.all_established_at.zip(self.first_call_at).map(|(end, start)| end.since(start))
    }

    /// Latencies and time series since [`begin`](Self::begin).
    pub fn measurements(&self) -> &Measurements {
        &self.book.measurements
    }

    /// The times of the digests since [`begin`](Self::begin), oldest first: see [`broadcast_us`].
    pub fn digests(&self) -> Vec<DigestTimes> {
        self.digests.times()
    }

    /// The longest interval between digests that a digest named, in milliseconds.
    pub fn digest_interval_ms_max(&self) -> u32 {
        self.digests.interval_ms_max()
    }

    /// The most slots without finality that they were told of while they submitted and after.
    pub fn unfinal_slots_max(&self) -> u64 {
        self.digests.unfinal_slots_max()
    }

    /// The producers, other than a slice's own, that make a transaction confirmed.
    pub fn confirm_k(&self) -> u16 {
        self.book.confirm_k()
    }

    /// The highest rate at which nothing was shed, in transactions a second, as far as [`Pace::Max`] has found it; `None`
    /// at a fixed rate.
    pub fn found_tps(&self) -> Option<u64> {
        match &self.run {
            Run::Waiting => None,
            Run::Going { pacer, .. } => pacer.found_tps(),
            Run::Over { found_tps } => *found_tps,
        }
    }

    /// Where the terminals stand.
    pub fn progress(&self) -> Progress {
        let rate_tps = match &self.run {
            Run::Going { pacer, .. } => pacer.rate_tps(),
            Run::Waiting | Run::Over { .. } => 0,
        };
        Progress {
            sessions: self.sessions,
            transactions: self.book.counters,
            outstanding: self.book.len() as u64,
            rate_tps,
            final_height: self.digests.final_height(),
        }
    }

    /// Places the next calls.
    fn call(&mut self, now: Instant, lane: &mut Lane) -> bool {
        let from = self.called;
        self.called = self.table.len().min(from + CALLS_PER_TURN);
        if from == 0 {
            self.first_call_at = Some(now);
        }
        for place in from..self.called {
            let number = self.config.terminals.start + place as u32;
            let address = self.config.addresses[place % self.config.addresses.len()];
            let call = Call {
                remote: self.config.node,
                local: SocketAddr::new(address, 0),
                class: Class::Uplink,
                responder: Some(self.config.node_identity),
                identity: Some(Arc::new(terminal_identity(self.config.seed, number, self.chain))),
                tag: u64::from(number),
                keep: true,
            };
            lane.handle(now, Command::Open(call));
        }
        self.called > from
    }

    /// Takes the submissions that are due.
    fn take_due(&mut self, now: Instant) -> bool {
        let mut taken = 0;
        while taken < SUBMISSIONS_PER_TURN {
            let Run::Going { pacer, until } = &mut self.run else { break };
            if taken == 0 {
                let full = self.book.rejections.get(&RejectReason::MempoolFull).copied().unwrap_or(0);
                let refused = full + self.book.counters.shed;
                pacer.judge(now, Signs { refused, backlog: self.book.backlog() });
            }
            let Some((submission, terminal)) = self.walk.peek() else { break };
            let intended_at = pacer.intended_at(submission.sequence);
            if intended_at >= *until {
                self.stop_submitting();
                break;
            }
            if intended_at > now {
                break;
            }
            pacer.took();
            self.walk.pass();
            taken += 1;
            self.submit(now, submission, terminal, intended_at);
        }
        if matches!(self.run, Run::Going { .. }) {
            // So that the time of the next one is known.
            self.walk.peek();
        }
        taken > 0
    }

    fn submit(&mut self, now: Instant, submission: Submission, terminal: u32, intended_at: Instant) {
        let Some(sender) = self.table.get_mut(terminal as usize) else { return };
        if self.book.is_full() || sender.queue.len() >= TERMINAL_QUEUE_MAX {
            self.book.counters.shed += 1;
            return;
        }
        let expiry_ms = self.config.wall_at_zero.plus(now.as_millis()).plus(EXPIRY_AHEAD_MS).0;
        let id = self.wallet.body(&submission, expiry_ms).id();
        sender.outstanding.push(self.book.enter(Open::new(id, terminal, submission, intended_at, expiry_ms)));
        sender.queue.push_back(id);
        list(&mut self.ready, sender, terminal);
    }

    /// Sends what waits, terminal by terminal.
    fn serve(&mut self, now: Instant, lane: &mut Lane) -> bool {
        if now >= self.retry_at {
            self.ready.extend(self.blocked.drain(..));
        }
        let mut budget = SENDS_PER_TURN;
        while budget > 0
            && let Some(terminal) = self.ready.pop_front()
        {
            match self.serve_one(now, lane, terminal, &mut budget) {
                Served::Done => self.table[terminal as usize].is_listed = false,
                Served::Unfinished => self.ready.push_front(terminal),
                Served::Blocked => {
                    if self.blocked.is_empty() {
                        self.retry_at = now + RETRY;
                    }
                    self.blocked.push(terminal);
                }
            }
        }
        budget < SENDS_PER_TURN
    }

    fn serve_one(&mut self, now: Instant, lane: &mut Lane, terminal: u32, budget: &mut usize) -> Served {
        let sender = &mut self.table[terminal as usize];
        // Without a session everything waits until it is back.
        let Some(session) = sender.session else { return Served::Done };
        while *budget > 0 {
            let (kind, body) = if sender.greets {
                (kind::HELLO, hello(self.chain))
            } else if let Some(nonce) = sender.pong {
                (kind::PONG, nonce.to_bytes())
            } else if let Some(id) = sender.queue.front() {
                let Some(open) = self.book.get(id) else {
                    sender.queue.pop_front();
                    continue;
                };
                // A signature is dear: the room for it is looked for first.
                if !has_room(lane, session, self.wallet.transfer_len_max()) {
                    return Served::Blocked;
                }
                (kind::SUBMIT_TRANSACTION, self.wallet.signed(&open.submission, open.expiry_ms))
            } else {
                return Served::Done;
            };
            *budget -= 1;
            if !has_room(lane, session, body.len()) {
                return Served::Blocked;
            }
            match lane.send(session, Priority::Critical, kind, &body) {
                Ok(()) => {}
                // Its end is among the events, and what waits is sent on the next session.
                Err(SendError::NotOpen | SendError::Ended) => return Served::Done,
                Err(SendError::TooLong | SendError::Shed) => return Served::Blocked,
            }
            match kind {
                kind::HELLO => sender.greets = false,
                kind::PONG => sender.pong = None,
                _ => {
                    if let Some(id) = sender.queue.pop_front() {
                        self.book.sent(now, &id);
                    }
                }
            }
        }
        Served::Unfinished
    }

    fn opened(&mut self, now: Instant, session: SessionId, tag: u64, took: Duration) {
        let Some(terminal) = self.place_of(tag) else { return };
        let caller = &mut self.table[terminal as usize];
        caller.session = Some(session);
        caller.greets = true;
        caller.pong = None;
        caller.digest_serial = self.digests.serial_at_opening();
        caller.queue = caller.outstanding.iter().filter_map(|place| self.book.id_at(*place)).collect();
        list(&mut self.ready, caller, terminal);
        self.establish.record(took);
        self.sessions.open += 1;
        if caller.was_established {
            self.sessions.reconnected += 1;
            return;
        }
        caller.was_established = true;
        self.sessions.established += 1;
        if self.sessions.established == self.sessions.target {
            self.all_established_at = Some(now);
        }
    }

    fn closed(&mut self, session: SessionId, tag: u64, was_open: bool) {
        let Some(terminal) = self.place_of(tag) else { return };
        if !was_open {
            self.sessions.calls_failed += 1;
            return;
        }
        let caller = &mut self.table[terminal as usize];
        if caller.session == Some(session) {
            caller.session = None;
            self.sessions.open -= 1;
            self.sessions.lost += 1;
            self.book.session_lost(&caller.outstanding);
        }
    }

    fn message(&mut self, now: Instant, session: SessionId, tag: u64, kind: u8, body: &[u8]) {
        let place = self.place_of(tag);
        let Some((terminal, hearer)) = place.map(|place| (place, &mut self.table[place as usize])) else { return };
        if hearer.session != Some(session) {
            return;
        }
        if kind == kind::DIGEST {
            self.book.counters.digests += 1;
            match self.digests.arrive(now, body, &mut hearer.digest_serial) {
                Ok(_) if hearer.outstanding.is_empty() => {}
                Ok(told) => self.book.hear(now, &mut hearer.outstanding, told),
                Err(_) => self.book.counters.malformed += 1,
            }
            return;
        }
        match Message::decode(kind, body) {
            Ok(Message::TransactionStatus(TransactionStatus { id, status })) => {
                let told = TransactionStatus { id, status };
                if let Verdict::Ended(ended) = self.book.status(now, terminal, &told) {
                    hearer.outstanding.retain(|place| *place != ended);
                }
            }
            Ok(Message::Ping(nonce)) => {
                hearer.pong = Some(nonce);
                list(&mut self.ready, hearer, terminal);
            }
            Ok(Message::Hello(hello)) if hello.version == PROTOCOL_VERSION && hello.chain == self.chain => {}
            Ok(_) | Err(_) => self.book.counters.malformed += 1,
        }
    }

    /// Where the terminal with this number stands; `None` if it is not of this card.
    fn place_of(&self, tag: u64) -> Option<u32> {
        let number = u32::try_from(tag).ok()?;
        self.config.terminals.contains(&number).then(|| number - self.config.terminals.start)
    }
}

/// Notes that a terminal has something to send.
fn list(ready: &mut VecDeque<u32>, terminal: &mut Terminal, place: u32) {
    if !terminal.is_listed {
        terminal.is_listed = true;
        ready.push_back(place);
    }
}

fn hello(chain: ChainId) -> Vec<u8> {
    let genesis = Genesis::slice_of(&chain);
    let hello =
        Hello { version: PROTOCOL_VERSION, chain, roles: Roles::TERMINAL, head: genesis.height, final_slice: genesis };
    hello.to_bytes()
}

/// Whether the session's outbox has room for a whole message, so that none that waits there is ever shed for it. A
/// session that is gone has room: sending says that it is gone.
fn has_room(lane: &Lane, session: SessionId, body_len: usize) -> bool {
    let (rows, _) = lane.table(session.index, 1);
    rows.first()
        .filter(|row| row.id == session)
        .is_none_or(|row| row.outbox_len + MESSAGE_HEADER_LEN + body_len <= Class::Uplink.outbox_len_max())
}
