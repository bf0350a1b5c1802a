//! A chain made on virtual time, and a node without it that catches up from peers at the other ends of slow links.

use std::collections::BTreeMap;
use std::sync::Arc;

use hpb_base::{Duration, Instant, Machine as _, UnixMillis};
use hpb_host::sys;
use hpb_ledger::chainlog::{ChainLog, LogOptions, MemoryFolder};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_ledger::{SharedStore, account, token};
use hpb_node::core::{Core, CoreConfig, Input, Output, Producer, Recovered};
use hpb_node::serve::{Read, Wanted};
use hpb_node::verify::Verify;
use hpb_toe::{Class, Command, Group, SessionId};
use hpb_types::message::{Message, Standing, kind};
use hpb_types::{
    AccountName, Amount, Authorisation, DposParameters, EngineChoice, Fees, Genesis, GenesisAccount, GenesisProducer,
    KeyPair, NameError, SliceRef, Slot, Transaction, TransactionBody, VrfSecret,
};

use crate::target::TargetError;

/// Validators that make the chain, and peers at most.
pub(super) const VALIDATORS: usize = 4;
/// A slot and a slice of the chain, in milliseconds.
pub(super) const SLOT_MS: u32 = 600;
pub(super) const SLICE_MS: u32 = 50;
/// Transfers submitted in each slot.
pub(super) const TRANSFERS_PER_SLOT: u64 = 60;
/// One way to a peer.
pub(super) const DELAY: Duration = Duration::from_millis(25);
/// Bits a second that one peer sends.
pub(super) const LINK_BPS: u64 = 100_000_000;
const WALL_AT_ZERO: UnixMillis = UnixMillis(1_700_000_000_000);
const VERDICT: Duration = Duration::from_micros(50);
const DISK: Duration = Duration::from_micros(300);
const HOP: Duration = Duration::from_millis(1);
/// When a round that does not end is given up, in virtual time.
const CATCH_UP_MAX: Duration = Duration::from_secs(3_600);
/// Slots that catching up leaves to gossip: the last, which may still grow, and the end of the one before, whose proof
/// lies in it.
pub(super) const LEFT_SLOTS_MAX: u64 = 2;
const TERMINAL: SessionId = SessionId { index: VALIDATORS as u32, generation: 0 };

/// One node with its host.
struct Node {
    core: Core<SharedStore>,
    verify: Verify,
    log: ChainLog,
    disk: SharedStore,
}

/// The chain that is to be caught up with.
pub(super) struct Chain {
    genesis: Genesis,
    /// A validator's log, which holds it.
    log: ChainLog,
    pub(super) tip: SliceRef,
    pub(super) slices: u64,
    pub(super) transfers: u64,
    now: Instant,
}

/// What catching up took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Slots that the node lacked and has.
    pub(super) slots: u64,
    pub(super) slices: u64,
    /// From the first request until the chain is final here, virtual.
    pub(super) elapsed: Duration,
    /// What the node's core and verifier and its log took of one core of this machine.
    pub(super) cpu_ns: u64,
    pub(super) bytes: u64,
    pub(super) requests: u64,
}

fn failed(what: impl std::fmt::Display) -> TargetError {
    TargetError::Other(what.to_string())
}

fn keys(tag: u8, index: usize) -> KeyPair {
    let mut seed = [tag; 32];
    seed[0] = index as u8;
    KeyPair::from_seed(seed)
}

fn beacon(index: usize) -> VrfSecret {
    VrfSecret::from_seed([index as u8 + 1; 32])
}

fn producer(index: usize) -> Result<AccountName, NameError> {
    AccountName::new(&format!("validator-{index}"))
}

fn genesis() -> Result<Genesis, TargetError> {
    let names = (0..VALIDATORS).map(producer).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let own = names.iter().enumerate();
    let mut accounts: Vec<GenesisAccount> = own
        .clone()
        .map(|(index, name)| GenesisAccount {
            name: *name,
            key: keys(2, index).public(),
            balance: Amount::ONE,
            vesting: Vec::new(),
        })
        .collect();
    let payer = AccountName::new("alice").map_err(failed)?;
    accounts.push(GenesisAccount {
        name: payer,
        key: keys(3, 0).public(),
        balance: Amount(1_000 * Amount::ONE.0),
        vesting: Vec::new(),
    });
    accounts.sort_by_key(|account| account.name);
    let producers = own.map(|(index, name)| GenesisProducer {
        name: *name,
        key: keys(1, index).public(),
        beacon: beacon(index).public(),
        bond: Amount::ZERO,
    });
    let genesis = Genesis {
        version: Genesis::VERSION,
        label: "bench sync".to_owned(),
        time_ms: WALL_AT_ZERO.0,
        slot_ms: SLOT_MS,
        slice_ms: SLICE_MS,
        delta_ms: SLICE_MS,
        epoch_slots: 100,
        fees: Fees { per_byte: Amount(10), ..Fees::NONE },
        deposit_per_byte: Amount::ZERO,
        engine: EngineChoice::Dpos(DposParameters { bond_min: Amount::ZERO, ..DposParameters::preset() }),
        producers: producers.collect(),
        accounts,
    };
    genesis.validate().map_err(failed)?;
    Ok(genesis)
}

impl Node {
    /// With an empty disk; `index` names its producer, an observer is none.
    fn new(genesis: &Genesis, index: Option<usize>, now: Instant) -> Result<Self, TargetError> {
        let name = index.map(producer).transpose().map_err(failed)?;
        let mark = match name {
            Some(name) => WatermarkState::Known(Watermark::never_confirmed(name, genesis.genesis_slice())),
            None => WatermarkState::Unknown,
        };
        let (folder, options) = (Box::new(MemoryFolder::new()), LogOptions::new(genesis.chain_id()));
        let salt = [index.unwrap_or(VALIDATORS) as u8; 32];
        let mut log = ChainLog::create(folder, options, salt, mark, Box::new(|| Instant::ZERO)).map_err(failed)?;
        let disk = SharedStore::default();
        let recovered = Recovered::read(genesis, disk.clone(), &mut log, name.as_ref()).map_err(failed)?;
        let own = name.zip(index).map(|(name, index)| Producer::new(name, Arc::new(keys(1, index)), beacon(index)));
        let config = CoreConfig {
            genesis: genesis.clone(),
            producer: own,
            reporter: None,
            validators: (0..VALIDATORS).map(|other| keys(4, other).public()).collect(),
            identity: None,
            onlookers: Vec::new(),
            wall_at_zero: WALL_AT_ZERO,
            commit_every: Duration::from_secs(1),
            silent_when_idle: false,
        };
        Ok(Self { core: Core::new(config, recovered, now), verify: Verify::new(genesis), log, disk })
    }

    /// Does what its core asks of its own host; gives back what others are to do.
    fn serve(&mut self, now: Instant, output: Output) -> Result<Answered, TargetError> {
        Ok(Answered::Later(match output {
            Output::Verify(request) => {
                let verdicts = self.verify.judge(vec![request]);
                verdicts.into_iter().map(|verdict| (now + VERDICT, Input::Verdict(verdict))).collect()
            }
            Output::Log { number, batch } => {
                self.log.append(&batch).map_err(failed)?;
                vec![(now + DISK, Input::Synced { number })]
            }
            Output::Read(read) => vec![(now + DISK, Input::Served(read.finish(&mut self.log)))],
            Output::Commit(batch) => {
                let commit = batch.point.commit;
                hpb_ledger::Store::commit(&mut self.disk, &batch).map_err(failed)?;
                vec![(now + DISK, Input::Committed { commit })]
            }
            // Nobody asks.
            Output::Ask { .. } => Vec::new(),
            Output::Stop(why) => return Err(failed(why)),
            Output::Card(command) => return Ok(Answered::Card(command)),
        }))
    }
}

enum Answered {
    Later(Vec<(Instant, Input)>),
    Card(Command),
}

/// What is on its way: by due time and order, to whom.
#[derive(Default)]
struct Flying {
    due: BTreeMap<(Instant, u64), (usize, Input)>,
    sent: u64,
}

impl Flying {
    fn send(&mut self, at: Instant, to: usize, input: Input) {
        self.sent += 1;
        self.due.insert((at, self.sent), (to, input));
    }

    fn send_all(&mut self, to: usize, inputs: Vec<(Instant, Input)>) {
        for (at, input) in inputs {
            self.send(at, to, input);
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    fn take(&mut self, now: Instant) -> Option<(usize, Input)> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}

/// A framed message as the other end hears it.
fn heard(from: usize, message: &[u8]) -> Input {
    let session = SessionId { index: from as u32, generation: 0 };
    Input::Message { session, kind: message[4], body: message[5..].to_vec() }
}

impl Chain {
    /// Has four validators make a chain of `slots` slots with transfers.
    pub(super) fn make(slots: u64) -> Result<Self, TargetError> {
        let genesis = genesis()?;
        let mut now = Instant::from_millis(10);
        let mut nodes =
            (0..VALIDATORS).map(|index| Node::new(&genesis, Some(index), now)).collect::<Result<Vec<_>, _>>()?;
        let mut flying = Flying::default();
        for (index, node) in nodes.iter_mut().enumerate() {
            for other in (0..VALIDATORS).filter(|other| *other != index) {
                node.core.handle(now, opened(other));
            }
        }
        nodes[0]
            .core
            .handle(now, Input::Opened { session: TERMINAL, peer: Some(keys(9, 0).public()), class: Class::Terminal });
        let every = Duration::from_millis(u64::from(SLOT_MS) / TRANSFERS_PER_SLOT);
        let (until, mut submit_at, mut salt) = (now + Duration::from_millis(slots * u64::from(SLOT_MS)), now, 0);
        while now < until {
            for (index, node) in nodes.iter_mut().enumerate() {
                while let Some(output) = node.core.poll(now) {
                    match node.serve(now, output)? {
                        Answered::Later(inputs) => flying.send_all(index, inputs),
                        Answered::Card(Command::Send { session, message, .. }) if session != TERMINAL => {
                            flying.send(now + HOP, session.index as usize, heard(index, &message));
                        }
                        Answered::Card(Command::Broadcast { group: Group::Validators, message, .. }) => {
                            for to in (0..VALIDATORS).filter(|to| *to != index) {
                                flying.send(now + HOP, to, heard(index, &message));
                            }
                        }
                        Answered::Card(_) => {}
                    }
                }
            }
            let wakes = nodes.iter().filter_map(|node| node.core.wake_at());
            let next = wakes.chain(flying.next_at()).chain([submit_at]).min().unwrap_or(until);
            now = now.max(next);
            if now >= submit_at {
                (submit_at, salt) = (now + every, salt + 1);
                let body = Message::SubmitTransaction(Box::new(transfer(&genesis, now, salt)?)).encode();
                nodes[0].core.handle(now, Input::Message { session: TERMINAL, kind: kind::SUBMIT_TRANSACTION, body });
            }
            while let Some((to, input)) = flying.take(now) {
                nodes[to].core.handle(now, input);
            }
        }
        let first = nodes.swap_remove(0);
        let stats = first.core.stats();
        let (slices, transfers) = (stats.final_slices, stats.final_transactions);
        Ok(Self { genesis, tip: first.core.last_final(), slices, transfers, log: first.log, now })
    }

    /// A node without the chain catches up with it from that many peers.
    pub(super) fn catch_up(&mut self, peers: usize) -> Result<Taken, TargetError> {
        let begin = self.now;
        let (mut now, mut node) = (begin, Node::new(&self.genesis, None, begin)?);
        let mut flying = Flying::default();
        let standing = Message::Standing(Standing { final_slice: self.tip, from: Slot(0) }).encode();
        for peer in 0..peers {
            node.core.handle(now, opened(peer));
            let session = SessionId { index: peer as u32, generation: 0 };
            node.core.handle(now, Input::Message { session, kind: kind::STANDING, body: standing.clone() });
        }
        let (mut free_at, mut cpu_ns, mut bytes) = (vec![now; peers], 0, 0);
        loop {
            let before_ns = sys::thread_cpu_ns();
            let mut asked = Vec::new();
            while let Some(output) = node.core.poll(now) {
                match node.serve(now, output)? {
                    Answered::Later(inputs) => flying.send_all(0, inputs),
                    Answered::Card(Command::Send { session, message, .. }) => asked.push((session, message)),
                    Answered::Card(Command::Close { session } | Command::Part { session, .. }) => {
                        return Err(failed(format!("peer {} was closed", session.index)));
                    }
                    Answered::Card(_) => {}
                }
            }
            cpu_ns += sys::thread_cpu_ns() - before_ns;
            for (session, message) in asked {
                let Ok(Message::ChainRequest(request)) = Message::decode(message[4], &message[5..]) else { continue };
                let mut reading = Some(Box::new(Read::new(session, Wanted::Slices, request)));
                while let Some(read) = reading {
                    let served = read.finish(&mut self.log);
                    let link = &mut free_at[session.index as usize];
                    let span = served.message.len() as u64 * 8 * 1_000_000_000 / LINK_BPS;
                    // The request is a delay on its way, and its answer waits for those before it.
                    *link = (*link).max(now + DELAY) + Duration::from_nanos(span);
                    bytes += served.message.len() as u64;
                    flying.send(*link + DELAY, 0, heard(session.index as usize, &served.message));
                    reading = served.rest;
                }
            }
            // Final is what the log has synced; the last slot is left to gossip.
            let told = node.core.last_final().height.slot.0;
            if node.core.stats().sync.finished > 0 && told + LEFT_SLOTS_MAX >= self.tip.height.slot.0 {
                break;
            }
            let next = node.core.wake_at().into_iter().chain(flying.next_at()).min();
            let Some(next) = next.filter(|next| *next < begin + CATCH_UP_MAX) else {
                return Err(failed(format!("it does not catch up: {:?}", node.core.stats().sync)));
            };
            now = now.max(next);
            let before_ns = sys::thread_cpu_ns();
            while let Some((_, input)) = flying.take(now) {
                node.core.handle(now, input);
            }
            cpu_ns += sys::thread_cpu_ns() - before_ns;
        }
        let sync = &node.core.stats().sync;
        let slots = node.core.last_final().height.slot.0;
        Ok(Taken { slots, slices: sync.slices, elapsed: now.since(begin), cpu_ns, bytes, requests: sync.asked })
    }
}

fn opened(peer: usize) -> Input {
    let session = SessionId { index: peer as u32, generation: 0 };
    Input::Opened { session, peer: Some(keys(4, peer).public()), class: Class::Validator }
}

fn transfer(genesis: &Genesis, now: Instant, salt: u64) -> Result<Transaction, TargetError> {
    let payer = AccountName::new("alice").map_err(failed)?;
    let body = TransactionBody {
        version: TransactionBody::VERSION,
        chain: genesis.chain_id(),
        payer,
        authorisations: vec![Authorisation { account: payer, permission: account::ACTIVE }],
        actions: vec![token::transfer_action(payer, producer(0).map_err(failed)?, Amount(7))],
        expiry_ms: WALL_AT_ZERO.0 + now.as_millis() + 300_000,
        fee_limit: Amount(1_000_000),
        salt,
    };
    Ok(Transaction::sign(body, &[&keys(3, 0)]))
}
