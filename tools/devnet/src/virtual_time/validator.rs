//! One validator on virtual time: its card, core, verifier, log and store, driven by hand.

use std::collections::BTreeMap;

use hpb_base::{Duration, Instant, Machine};
use hpb_ledger::chainlog::{ChainLog, LogError, LogOptions, MemoryFolder};
use hpb_ledger::watermark::{Watermark, WatermarkState};
use hpb_ledger::{SharedStore, Store};
use hpb_net::frame::Bursts;
use hpb_net::port::Port;
use hpb_net::wire::WirePort;
use hpb_node::core::{Core, CoreConfig, Input, Outgoing, Output, ProvingError, Recovered, WantedProof, prove};
use hpb_node::proof::ContentProof;
use hpb_node::verify::Verify;
use hpb_node::workers::digest_of;
use hpb_toe::{Class, Command, EventBatch, Lane};
use hpb_types::message::diagnose::{Answer, Refusal, Tell};
use hpb_types::{Genesis, Hash};

use super::{FRAMES, Trace, VirtualError, WALL_AT_ZERO};
use crate::plan::{MESH_PORT, Plan, TERMINAL_PORT, mesh_call};
use crate::producers::History;

/// What a data sync takes on the virtual disk.
const SYNC: Duration = Duration::from_micros(150);
/// What reading a piece for a peer takes.
const READ: Duration = Duration::from_micros(200);
/// What a commit of the store takes.
const COMMIT: Duration = Duration::from_millis(5);
/// How long final states gather before they are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// A validator.
pub struct Validator {
    lane: Lane,
    port: WirePort,
    bursts: Bursts,
    events: EventBatch,
    /// The core.
    pub core: Core<SharedStore>,
    /// Its verifier.
    pub verify: Verify,
    log: ChainLog,
    disk: SharedStore,
    outgoing: Option<Box<dyn Outgoing>>,
    /// Answers of the disk that are on their way.
    answers: BTreeMap<(Instant, u64), Input>,
    asked: u64,
    /// Digests that left since they were last taken.
    pub(super) digests: Vec<(Hash, Instant)>,
    stopped: Option<String>,
}

impl Validator {
    pub(super) fn new(plan: &Plan, index: usize, port: WirePort, now: Instant) -> Result<Self, VirtualError> {
        let own = &plan.validators[index];
        let mut lane = Lane::new(plan.validator_lane(index), port.capabilities(), now)?;
        lane.handle(now, Command::Listen { port: MESH_PORT, class: Class::Validator, encrypted: true });
        lane.handle(now, Command::Listen { port: TERMINAL_PORT, class: Class::Terminal, encrypted: true });
        // Of each pair, the one with the higher number calls.
        for other in &plan.validators[..index] {
            lane.handle(now, Command::Open(mesh_call(own.address, other.address, other.identity.public())));
        }
        let mark = Watermark::never_confirmed(own.name, plan.genesis.genesis_slice());
        let mut log = ChainLog::create(
            Box::new(MemoryFolder::new()),
            LogOptions::new(plan.chain()),
            own.secret,
            WatermarkState::Known(mark),
            Box::new(|| Instant::ZERO),
        )?;
        let disk = SharedStore::default();
        let recovered = Recovered::read(&plan.genesis, disk.clone(), &mut log, Some(&own.name))?;
        let config = CoreConfig {
            genesis: plan.genesis.clone(),
            producer: Some(plan.producer(index)),
            reporter: plan.reporter(index),
            validators: plan.peers_of(index),
            identity: Some(own.identity.public()),
            onlookers: Vec::new(),
            wall_at_zero: WALL_AT_ZERO,
            commit_every: COMMIT_EVERY,
            silent_when_idle: false,
        };
        Ok(Self {
            lane,
            port,
            bursts: Bursts::new(FRAMES),
            events: EventBatch::default(),
            core: Core::new(config, recovered, now),
            verify: Verify::new(&plan.genesis),
            log,
            disk,
            outgoing: plan.outgoing(index),
            answers: BTreeMap::new(),
            asked: 0,
            digests: Vec::new(),
            stopped: None,
        })
    }

    /// The card's lane.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// What its log says of the producers.
    ///
    /// # Errors
    /// A log that can't be read.
    pub fn history(&mut self, genesis: &Genesis) -> Result<History, LogError> {
        History::read(genesis, &mut self.log)
    }

    /// The proof of what is wanted, from its log.
    ///
    /// # Errors
    /// As [`prove`].
    pub fn prove(&mut self, genesis: &Genesis, wanted: WantedProof) -> Result<Option<ContentProof>, ProvingError> {
        prove(genesis, &mut self.log, wanted)
    }

    pub(super) fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let answer = self.answers.keys().next().map(|(at, _)| *at);
        [self.lane.wake_at(), self.port.wake_at(), self.core.wake_at(), answer].into_iter().flatten().min()
    }

    pub(super) fn turn(&mut self, now: Instant, trace: &mut Trace) -> Result<bool, VirtualError> {
        let mut busy = self.port.rx_burst(now, &mut self.bursts) > 0;
        busy |= self.lane.receive(now, &mut self.bursts);
        self.lane.take_events(&mut self.events);
        busy |= !self.events.is_empty();
        for input in self.events.iter().filter_map(|event| Input::of(&event)) {
            trace.input(now, &input);
            if let Some(outgoing) = &mut self.outgoing {
                outgoing.heard(&input);
            }
            self.core.handle(now, input);
        }
        while let Some(entry) = self.answers.first_entry().filter(|entry| entry.key().0 <= now) {
            let input = entry.remove();
            trace.input(now, &input);
            self.core.handle(now, input);
            busy = true;
        }
        while let Some(output) = self.core.poll(now) {
            trace.output(now, &output);
            self.act(now, output)?;
            busy = true;
        }
        while let Some(job) = self.lane.take_job() {
            busy = true;
            self.lane.finish_job(now, job.run());
        }
        busy |= self.lane.transmit(now, &mut self.bursts);
        trace.frames(now, self.bursts.tx.iter());
        Ok(busy | (self.port.tx_burst(now, &mut self.bursts) > 0))
    }

    fn act(&mut self, now: Instant, output: Output) -> Result<(), VirtualError> {
        match output {
            Output::Card(command) => {
                self.digests.extend(digest_of(&command).map(|digest| (digest, now)));
                match &mut self.outgoing {
                    Some(outgoing) => {
                        for command in outgoing.leaving(command) {
                            self.lane.handle(now, command);
                        }
                    }
                    None => self.lane.handle(now, command),
                }
            }
            Output::Verify(request) => {
                for verdict in self.verify.judge(vec![request]) {
                    self.core.handle(now, Input::Verdict(verdict));
                }
            }
            Output::Log { number, batch } => {
                self.log.append(&batch)?;
                self.answer(now + SYNC, Input::Synced { number });
            }
            Output::Read(read) => {
                let served = read.finish(&mut self.log);
                self.answer(now + READ, Input::Served(served));
            }
            Output::Commit(batch) => {
                let commit = batch.point.commit;
                match self.disk.commit(&batch) {
                    Ok(()) => self.answer(now + COMMIT, Input::Committed { commit }),
                    Err(error) => self.stopped = Some(error.to_string()),
                }
            }
            Output::Ask { session, question } => {
                // No desk stands beside a card on virtual time.
                let what = Tell::Refused(Refusal::NotHere);
                let answer = Box::new(Answer { number: question.number, what });
                self.core.handle(now, Input::Answered { session, answer });
            }
            Output::Stop(reason) => self.stopped = Some(reason),
        }
        Ok(())
    }

    fn answer(&mut self, at: Instant, input: Input) {
        self.asked += 1;
        self.answers.insert((at, self.asked), input);
    }
}
