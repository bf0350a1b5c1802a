//! Slices and confirms without cryptography, and one engine to feed them to by hand.

use std::collections::BTreeMap;

use hpb_base::{Duration, Instant, UnixMillis};
use hpb_types::slice::transactions_root;
use hpb_types::{
    AccountName, Beacon, Certificate, ChainId, Confirm, ConfirmBody, Epoch, Evidence, Hash, Height, NextSchedule,
    PublicKey, Quorum, ResultsCommitment, Schedule, ScheduledProducer, Signature, SignedSlice, Slice, SliceBody,
    SliceRef, Slot, VrfProof, VrfPublic,
};

use crate::config::Config;
use crate::engine::{Anchor, DropReason, LinkEngine, LinkInput as Input, LinkOutput as Output, Proposal, Verified};
use crate::schedules::Schedules;
use crate::watermark::Memory;
use crate::{Authority, Dpos};

pub(crate) const SLOT_MS: u64 = 600;
pub(crate) const DELTA_MS: u64 = 100;
/// So long that no test by hand comes to where a schedule is fixed.
pub(crate) const EPOCH_SLOTS: u64 = 100_000;

pub(crate) fn name(index: usize) -> AccountName {
    format!("producer{index}").parse().unwrap()
}

/// An engine that is held to the suite, with what its rules leave open.
pub(crate) trait Subject: LinkEngine {
    /// The beacon of a slice with that index, in name only.
    fn beacon(index: u32) -> Beacon;

    /// How many of `count` producers of one weight decide.
    fn deciding(count: usize) -> usize;
}

impl Subject for Dpos {
    fn beacon(index: u32) -> Beacon {
        if index == 0 { Beacon::Proof(VrfProof([0; 80])) } else { Beacon::None }
    }

    fn deciding(count: usize) -> usize {
        count * 2 / 3 + 1
    }
}

impl Subject for Authority {
    fn beacon(_: u32) -> Beacon {
        Beacon::None
    }

    fn deciding(count: usize) -> usize {
        count / 2 + 1
    }
}

/// The schedule of these producers, in this order.
pub(crate) fn schedule(epoch: u64, numbers: &[usize]) -> Schedule {
    let producer = |number: &usize| ScheduledProducer {
        name: name(*number),
        key: PublicKey([*number as u8; 32]),
        beacon: VrfPublic([*number as u8; 32]),
        weight: 1,
    };
    Schedule { epoch: Epoch(epoch), seed: Hash([epoch as u8; 32]), producers: numbers.iter().map(producer).collect() }
}

pub(crate) fn schedules(count: usize) -> Schedules {
    Schedules::new(schedule(0, &(0..count).collect::<Vec<_>>()), EPOCH_SLOTS)
}

/// A producer's word for a slice of the first schedule.
pub(crate) fn word(slice: SliceRef) -> SignedSlice {
    crate::desk::word(Epoch(0), slice, signature(9))
}

/// Slots of 600 ms, slices of 50 ms, Delta 100 ms; slot 0 starts at the driver's origin.
pub(crate) fn config(producer: Option<usize>) -> Config {
    Config {
        chain: chain(),
        genesis_time: UnixMillis(1_700_000_000_000),
        slot: Duration::from_millis(SLOT_MS),
        slice: Duration::from_millis(50),
        delta: Duration::from_millis(DELTA_MS),
        clock_bound: Duration::from_millis(DELTA_MS),
        request_retry: Duration::from_millis(4 * DELTA_MS),
        producer: producer.map(name),
        silent_when_idle: false,
        checkpoint: None,
        wall_at_zero: UnixMillis(1_700_000_000_000),
    }
}

pub(crate) fn chain() -> ChainId {
    ChainId(Hash([7; 32]))
}

pub(crate) fn genesis() -> SliceRef {
    SliceRef { height: height(0, 0), id: Hash([7; 32]) }
}

pub(crate) fn height(slot: u64, index: u32) -> Height {
    Height { slot: Slot(slot), index }
}

pub(crate) fn signature(index: usize) -> Signature {
    Signature([index as u8; 64])
}

/// What execution comes to, in a world where every slice is executed alike by all.
pub(crate) fn results(parent: &Hash, transactions_root: &Hash) -> ResultsCommitment {
    ResultsCommitment { scheme: 0, hash: Hash::of_parts("test results", &[&parent.0, &transactions_root.0]) }
}

pub(crate) fn confirm(index: usize, source: SliceRef, target: SliceRef) -> Confirm {
    let body = ConfirmBody { version: 1, chain: chain(), epoch: Epoch(0), source, target, producer: name(index) };
    Confirm { body, signature: signature(index) }
}

/// The certificate of producers 0, 1 and 2.
pub(crate) fn certificate(source: SliceRef, target: SliceRef) -> Certificate {
    if target == genesis() {
        return Certificate::genesis(target);
    }
    let signatures: BTreeMap<usize, Signature> = (0..3).map(|index| (index, signature(index))).collect();
    Certificate { source, target, quorums: vec![Quorum::new(Epoch(0), &signatures)] }
}

/// What is wrong with a body.
pub(crate) type Change<T> = fn(&mut T);

/// The faults that the engine reported.
pub(crate) fn evidence<E: Subject>(kit: &Kit<E>) -> Vec<Evidence> {
    kit.outputs
        .iter()
        .filter_map(|output| match output {
            Output::Evidence(evidence) => Some(evidence.clone()),
            _ => None,
        })
        .collect()
}

pub(crate) fn is_justified<E: Subject>(kit: &Kit<E>, slice: SliceRef) -> bool {
    kit.outputs.iter().any(|output| matches!(output, Output::Justified(certificate) if certificate.target == slice))
}

/// A chain of four producers by hand, and an engine that hears of it.
pub(crate) struct Kit<E> {
    pub(crate) engine: E,
    pub(crate) now: Instant,
    pub(crate) outputs: Vec<Output>,
    /// Whether what is executed matches, without being asked.
    pub(crate) executes: bool,
    /// Whether what is recorded is on disk at once.
    pub(crate) records: bool,
    /// What each slice carries, by id.
    pub(super) sources: BTreeMap<Hash, SliceRef>,
}

impl<E: Subject> Kit<E> {
    pub(crate) fn observer() -> Self {
        Self::new(None, Memory::Never)
    }

    pub(crate) fn new(producer: Option<usize>, memory: Memory) -> Self {
        Self::with(config(producer), schedules(4), memory, Instant::ZERO)
    }

    pub(crate) fn with(config: Config, schedules: Schedules, memory: Memory, now: Instant) -> Self {
        let engine = E::start(config, E::Anchor::genesis(genesis(), schedules), memory, now);
        let sources = BTreeMap::from([(genesis().id, genesis())]);
        Self { engine, now, outputs: Vec::new(), executes: true, records: true, sources }
    }

    pub(crate) fn at(&mut self, millis: u64) -> &mut Self {
        self.now = Instant::from_millis(millis);
        self
    }

    /// A slice on `parent` that carries the certificate of `source`, which stands on the chain; `salt` tells siblings
    /// apart.
    pub(crate) fn make(&mut self, at: (u64, u32), parent: SliceRef, source: SliceRef, salt: u8) -> Slice {
        self.make_with(at, parent, source, |body| body.results.hash = Hash([salt; 32]))
    }

    /// The same, changed before it is named.
    pub(crate) fn make_with(
        &mut self,
        at: (u64, u32),
        parent: SliceRef,
        source: SliceRef,
        change: impl FnOnce(&mut SliceBody),
    ) -> Slice {
        let link_source = self.sources[&source.id];
        let mut body = SliceBody {
            version: SliceBody::VERSION,
            chain: chain(),
            epoch: Epoch(0),
            slot: Slot(at.0),
            index: at.1,
            last: false,
            parent: parent.id,
            producer: name((at.0 % 4) as usize),
            transactions_root: transactions_root([]),
            results: ResultsCommitment { scheme: 0, hash: Hash::ZERO },
            source: certificate(link_source, source),
            beacon: E::beacon(at.1),
            next: NextSchedule::None,
        };
        change(&mut body);
        let slice = Slice { body, signature: signature(9) };
        self.sources.insert(slice.id(), source);
        slice
    }

    /// Feeds a slice now.
    pub(crate) fn give(&mut self, slice: &Slice) -> SliceRef {
        self.feed(Input::Slice(Verified::vouch(slice.clone())));
        slice.reference()
    }

    /// Makes a slice and feeds it in the middle of its slot, or now if that is past.
    pub(crate) fn slice(&mut self, at: (u64, u32), parent: SliceRef, source: SliceRef) -> SliceRef {
        let slice = self.make(at, parent, source, 0);
        self.now = self.now.max(Instant::from_millis(at.0 * SLOT_MS + SLOT_MS / 2));
        self.give(&slice)
    }

    /// Slices `from..=to` of one slot, the first on `parent`, all carrying `source`.
    pub(crate) fn run(
        &mut self,
        slot: u64,
        indexes: core::ops::RangeInclusive<u32>,
        parent: SliceRef,
        source: SliceRef,
    ) -> Vec<SliceRef> {
        let mut parent = parent;
        let mut made = Vec::new();
        for index in indexes {
            parent = self.slice((slot, index), parent, source);
            made.push(parent);
        }
        made
    }

    /// Confirms of producers 0, 1 and 2 for `target`.
    pub(crate) fn justify(&mut self, target: SliceRef) {
        for index in 0..3 {
            self.confirm(index, target);
        }
    }

    /// The confirm of one producer as the rules ask for it.
    pub(crate) fn confirm(&mut self, index: usize, target: SliceRef) {
        let source = self.sources[&target.id];
        self.feed(Input::Confirm(Verified::vouch(confirm(index, source, target))));
    }

    pub(crate) fn feed(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.engine.poll(self.now) {
            if let (Output::Execute { slice, .. }, true) = (&output, self.executes) {
                self.engine.handle(self.now, Input::Executed { slice: slice.id, matched: true });
            }
            if let (Output::Record { slice }, true) = (&output, self.records) {
                self.engine.handle(self.now, Input::Recorded { slice: slice.id });
            }
            self.outputs.push(output);
        }
        assert!(self.engine.wake_at().is_none_or(|at| at > self.now), "it wakes for nothing at {:?}", self.now);
    }

    pub(crate) fn last_final(&self) -> SliceRef {
        self.engine.last_final()
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.engine.counters().dropped.get(&reason).copied().unwrap_or(0)
    }

    /// The slices that the engine asked to execute.
    pub(crate) fn asked_to_execute(&self) -> Vec<SliceRef> {
        self.outputs
            .iter()
            .filter_map(|output| match output {
                Output::Execute { slice, .. } => Some(*slice),
                _ => None,
            })
            .collect()
    }

    /// Proposals in the order in which the engine asked for them.
    pub(crate) fn proposals(&self) -> Vec<Proposal> {
        self.outputs
            .iter()
            .filter_map(|output| match output {
                Output::Propose(proposal) => Some(proposal.clone()),
                _ => None,
            })
            .collect()
    }

    /// Answers a proposal as it was asked for.
    pub(crate) fn answer(&mut self, proposal: &Proposal) -> SliceRef {
        let (at, last) = ((proposal.slot.0, proposal.index), proposal.last);
        let slice = self.make_with(at, proposal.parent, proposal.source.target, |body| body.last = last);
        self.feed(Input::Proposed(slice.clone()));
        slice.reference()
    }

    /// Polls at every instant that the engine asks for until `millis`, answering proposals.
    pub(crate) fn run_to(&mut self, millis: u64) {
        let mut answered = self.proposals().len();
        while let Some(at) = self.engine.wake_at().filter(|at| *at <= Instant::from_millis(millis)) {
            self.now = self.now.max(at);
            self.drain();
            for proposal in self.proposals().split_off(answered) {
                answered += 1;
                self.answer(&proposal);
            }
        }
        self.at(millis);
    }

    /// The marks that the engine asked to persist.
    pub(crate) fn marks(&self) -> Vec<(SliceRef, SliceRef)> {
        self.outputs
            .iter()
            .filter_map(|output| match output {
                Output::Persist { mark, .. } => Some((mark.source, mark.target)),
                _ => None,
            })
            .collect()
    }
}
