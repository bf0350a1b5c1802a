//! Looks through all that one validator's disk holds, by the rules that the node itself goes by, and changes nothing.
//!
//! The log is read from the chain's beginning. Every final slice is followed as a light terminal follows headers (its
//! place, its signature, its part of the beacon, the certificate that it carries, and with them what is final), its
//! transactions' signatures are verified, and it is executed again on a state in memory. That state is compared with the
//! store's, key by key, where the store stands, and what each slice came to with the index of history, row by row, where
//! there is one. The first fault ends it and is named.
//!
//! A log that begins behind a root is read from there. The root's proof is followed from genesis as a stranger's, and the
//! store's state is held against what the slice where it stands commits to; what lies between the root and that slice was
//! executed before the log was cut, and is not again.
//!
//! What it can't tell: a log that lost its last batches as if they had never been written. What the log calls final
//! beyond the certificates in it was final by confirms, which nobody keeps: how far it is proven is said.

use core::fmt;
use core::ops::ControlFlow;
use std::collections::BTreeMap;

use hpb_consensus::{LightError, VerifyError};
use hpb_ledger::chainlog::{ChainLog, LogError, Position, Record, Recovery, Tail};
use hpb_ledger::commitment::StateProof;
use hpb_ledger::history::page::first_parting;
use hpb_ledger::history::{HistoryError, HistoryRead, Rows, SliceResults, Span};
use hpb_ledger::store::{Difference, first_difference};
use hpb_ledger::watermark::WatermarkState;
use hpb_ledger::{Checked, ExecuteError, Ledger, OpenError, SharedStore, Store, StoreError, Supply, key};
use hpb_types::{
    AccountName, Genesis, Hash, Height, RejectReason, ResultsCommitment, Slice, SliceRef, Transaction, to_hex,
    verify_transactions,
};

use super::Body;
use super::above::Above;
use super::chain::results_of;
use super::recover::{Reading, RecoverError};
use super::root::{RootFailure, judge_root};
use crate::engine::ChainLight;

/// What one validator's disk holds, opened for reading.
pub struct Disk<'a, S> {
    /// The log.
    pub log: &'a mut ChainLog,
    /// What was found when it was opened.
    pub recovery: Recovery,
    /// The store; none where it has not begun.
    pub store: Option<&'a S>,
    /// Its index of history; none where it is not looked through.
    pub history: Option<&'a dyn HistoryRead>,
}

/// What was looked through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audited {
    /// The slice behind which the log begins, and whether its proof leads to it from genesis; none where it begins there.
    pub root: Option<(SliceRef, bool)>,
    /// Segments of the log.
    pub segments: usize,
    /// Slices in it, forks included.
    pub slices: u64,
    /// Final ones, which were executed.
    pub final_slices: u64,
    /// Slots with a final slice.
    pub blocks: u64,
    /// Their transactions.
    pub transactions: u64,
    /// Certificates that final slices carry, each once.
    pub certificates: u64,
    /// Keys of the state at the last final slice.
    pub keys: u64,
    /// The token there.
    pub supply: Supply,
    /// The last slice that the log calls final.
    pub last_final: SliceRef,
    /// The last one that certificates in the log prove final.
    pub proven: SliceRef,
    /// Where the store stands; none where it has not begun.
    pub store: Option<SliceRef>,
    /// Which slices its index of history holds; none where there is no index.
    pub history: Option<Span>,
    /// How far the producer has confirmed.
    pub watermark: WatermarkState,
    /// How the log ends.
    pub tail: Tail,
}

/// Where a record stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a log.
    Log(Position),
    /// In a file that a chain was exported to, so many bytes from its beginning.
    File(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(at) => write!(f, "the log, {at}"),
            Self::File(at) => write!(f, "the file, byte {at}"),
        }
    }
}

/// A key that a store has not as it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parted {
    /// The key.
    pub key: String,
    /// What execution from the chain's beginning comes to.
    pub expected: String,
    /// What the store holds.
    pub found: String,
}

impl fmt::Display for Parted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, expected, found } = self;
        write!(f, "key {key} holds {found}, and execution from the chain's beginning comes to {expected}")
    }
}

/// The first fault.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// No ledger starts from the genesis.
    #[error(transparent)]
    Open(Box<OpenError>),
    /// The state in memory can't be read.
    #[error(transparent)]
    State(Box<ExecuteError>),
    /// The last segment is shorter than it was made.
    #[error(
        "the log's segment {segment} ends after {length} of {expected} bytes: batches that were synced may be gone"
    )]
    Cut {
        /// The segment.
        segment: u32,
        /// Its length in bytes.
        length: u64,
        /// The length that its header states.
        expected: u64,
    },
    /// A batch is whole and what fills its last block is not zero any more.
    #[error("the log's batch at {at} is followed by bytes that were zero: the disk changes what it holds")]
    Rot {
        /// The batch.
        at: Position,
    },
    /// The records are no chain.
    #[error("{at}: {error}")]
    Chain {
        /// The record.
        at: Place,
        /// What does not fit.
        error: Box<RecoverError>,
    },
    /// A slice breaks a rule of consensus.
    #[error("slice {slice} ({at}): {error}")]
    Header {
        /// The slice.
        slice: SliceRef,
        /// Its record.
        at: Place,
        /// The rule.
        error: Box<LightError>,
    },
    /// A transaction of a slice.
    #[error("slice {slice} ({at}): transaction {transaction}: {reason}")]
    Transaction {
        /// The slice.
        slice: SliceRef,
        /// Its record.
        at: Place,
        /// The transaction.
        transaction: Hash,
        /// What is wrong with it.
        reason: RejectReason,
    },
    /// A slice does not come to what it says.
    #[error("slice {slice} ({at}): {error}")]
    Executed {
        /// The slice.
        slice: SliceRef,
        /// Its record.
        at: Place,
        /// What happened.
        error: Box<RecoverError>,
    },
    /// The store stands beyond the log's end, or on a slice that is not the chain's.
    #[error(
        "the store holds the state after slice {store}, which is not among the final slices of the log up to {log}: they are \
         not of one node at one time"
    )]
    StoreBeside {
        /// Where the store stands.
        store: SliceRef,
        /// The log's last final slice.
        log: SliceRef,
    },
    /// The store holds another state than execution comes to.
    #[error("the store at slice {slice}: {parted}")]
    Differs {
        /// Where the store stands.
        slice: SliceRef,
        /// The first key.
        parted: Box<Parted>,
    },
    /// The index of history can't be read, or does not read back.
    #[error(transparent)]
    History(Box<HistoryError>),
    /// The index of history says something else than execution comes to.
    #[error(
        "the index of history has row {row} of slice {slice} otherwise than execution comes to: build it anew with `hpb \
         ledger index`"
    )]
    Indexed {
        /// The slice.
        slice: SliceRef,
        /// The row's key.
        row: String,
    },
    /// The index of history holds rows that no slice has, or lacks slices.
    #[error(
        "the index of history has {found} rows up to slice {}, and execution comes to {expected}: build it anew with `hpb \
         ledger index`",
        span.to
    )]
    IndexedRows {
        /// What it says it holds.
        span: Box<Span>,
        /// Rows that it has.
        found: u64,
        /// Rows that the slices come to.
        expected: u64,
    },
    /// The state is not what its slices say.
    #[error("the state at slice {slice} keeps the root {kept}, and its records come to {summed}")]
    Sum {
        /// The slice.
        slice: SliceRef,
        /// What it keeps.
        kept: Hash,
        /// What it comes to.
        summed: Hash,
    },
    /// What the log begins from does not read, or does not hold.
    #[error(transparent)]
    Root(Box<RootFailure>),
    /// The log begins later than at genesis, and the state that goes with that is gone.
    #[error("the log begins behind slice {root}, and no store holds a state from there on")]
    StoreMissing {
        /// Where the log begins.
        root: SliceRef,
    },
    /// The store's state is not that of its slice.
    #[error("the store at slice {slice} holds the state {state}, which is not what that slice commits to")]
    Commitment {
        /// Where the store stands.
        slice: SliceRef,
        /// The root of what it holds.
        state: Hash,
    },
    /// The token was made or lost.
    #[error("the supply at slice {slice} is {}, and genesis states {}", supply.now, supply.genesis)]
    Supply {
        /// The slice.
        slice: SliceRef,
        /// What genesis states, and what the state holds.
        supply: Box<Supply>,
    },
    /// The watermark is another producer's.
    #[error("the log's watermark is of {found}, and {expected} keeps its data here: the log is another validator's")]
    Watermark {
        /// Whose it is.
        found: AccountName,
        /// Whose it should be.
        expected: AccountName,
    },
}

impl From<StoreError> for AuditError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl From<RootFailure> for AuditError {
    fn from(error: RootFailure) -> Self {
        Self::Root(Box::new(error))
    }
}

impl From<HistoryError> for AuditError {
    fn from(error: HistoryError) -> Self {
        Self::History(Box::new(error))
    }
}

impl From<OpenError> for AuditError {
    fn from(error: OpenError) -> Self {
        Self::Open(Box::new(error))
    }
}

impl From<ExecuteError> for AuditError {
    fn from(error: ExecuteError) -> Self {
        Self::State(Box::new(error))
    }
}

/// Audits the disk of `producer` on the chain of `genesis`; `each` is shown every final slice that was found good, with
/// its transactions, in the chain's order. The state is held in memory.
///
/// # Errors
/// The first fault.
pub fn audit<S: Store>(
    genesis: &Genesis,
    producer: &AccountName,
    disk: Disk<'_, S>,
    each: &mut dyn FnMut(&Slice, &[Checked]),
) -> Result<Audited, AuditError> {
    let Disk { log, recovery, store, history } = disk;
    if let Tail::Truncated { segment, length, expected } = recovery.tail {
        return Err(AuditError::Cut { segment, length, expected });
    }
    if let Some((rooted, is_proven)) = judge_root(genesis, log)? {
        let root = rooted.slice;
        let point = store.map_or(Ok(None), Store::final_point)?.filter(|point| point.slice.height >= root.height);
        let (Some(store), Some(point)) = (store, point) else {
            return Err(AuditError::StoreMissing { root });
        };
        let state = Above::new(store, point);
        let ledger = Ledger::open(genesis, state.clone())?;
        let reading = Reading::behind(rooted.anchor.clone(), ledger);
        let light = ChainLight::start(genesis, rooted.anchor);
        let mut audit = Audit::<S, _>::new(reading, state, light, root);
        audit.root = Some((root, is_proven));
        audit.point = Some((point.slice, false));
        audit.receipts_root = point.receipts_root;
        audit.index = Index::of(history, false)?;
        if let Some(state) = rooted.state.filter(|_| point.slice == root) {
            audit.check_commitment(root, state.commitment())?;
        }
        return audit.run(producer, log, recovery, each);
    }
    let state = SharedStore::default();
    let mut ledger = Ledger::open(genesis, state.clone())?;
    ledger.commit_here()?;
    let start = genesis.genesis_slice();
    let mut audit = Audit::new(Reading::new(genesis, ledger), state, ChainLight::genesis(genesis), start);
    audit.index = Index::of(history, true)?;
    if let Some(store) = store {
        audit.store = Some(store);
        audit.point = store.final_point()?.map(|point| (point.slice, false));
    }
    audit.compare(start, None)?;
    audit.run(producer, log, recovery, each)
}

struct Audit<'a, S, L> {
    reading: Reading<L>,
    /// The reading's own store.
    state: L,
    light: ChainLight,
    /// What to compare with the reading's state; none where that was taken from it.
    store: Option<&'a S>,
    /// The root over the receipts of the slice where the store stands, where the state was taken from it.
    receipts_root: Option<Hash>,
    root: Option<(SliceRef, bool)>,
    /// Where the store stands, and whether the walk has come by it.
    point: Option<(SliceRef, bool)>,
    index: Option<Index<'a>>,
    places: BTreeMap<Hash, (Height, Place)>,
    carried: SliceRef,
    slices: u64,
    final_slices: u64,
    blocks: u64,
    transactions: u64,
    certificates: u64,
}

/// An index of history that is held against what is executed.
struct Index<'a> {
    rows: &'a dyn HistoryRead,
    span: Span,
    /// Rows of the slices so far, and that of the span; nothing where the walk does not come by all of them.
    expected: Option<u64>,
}

impl<'a> Index<'a> {
    /// The index in `rows`, if one was begun there; `from_begin`: the walk executes all slices that it may hold.
    fn of(rows: Option<&'a dyn HistoryRead>, from_begin: bool) -> Result<Option<Self>, HistoryError> {
        let Some(rows) = rows else { return Ok(None) };
        Ok(rows.span()?.map(|span| Self { rows, span, expected: from_begin.then_some(1) }))
    }

    fn compare(&mut self, slice: &SliceResults) -> Result<(), AuditError> {
        let reference = slice.header.reference;
        if reference.height <= self.span.from.height || reference.height > self.span.to.height {
            return Ok(());
        }
        let rows = Rows::of(slice);
        self.expected = self.expected.map(|expected| expected + rows.len() as u64);
        match first_parting(self.rows, &rows)? {
            Some(key) => Err(AuditError::Indexed { slice: reference, row: hex(&key) }),
            None => Ok(()),
        }
    }

    fn end(&self) -> Result<(), AuditError> {
        let Some(expected) = self.expected else { return Ok(()) };
        let found = self.rows.rows_count()?;
        if found == expected {
            return Ok(());
        }
        Err(AuditError::IndexedRows { span: Box::new(self.span), found, expected })
    }
}

impl<S: Store, L: Store> Audit<'_, S, L> {
    fn new(reading: Reading<L>, state: L, light: ChainLight, start: SliceRef) -> Self {
        Self {
            reading,
            state,
            light,
            store: None,
            receipts_root: None,
            root: None,
            point: None,
            index: None,
            places: BTreeMap::new(),
            carried: start,
            slices: 0,
            final_slices: 0,
            blocks: 0,
            transactions: 0,
            certificates: 0,
        }
    }

    fn run(
        mut self,
        producer: &AccountName,
        log: &mut ChainLog,
        recovery: Recovery,
        each: &mut dyn FnMut(&Slice, &[Checked]),
    ) -> Result<Audited, AuditError> {
        let mut fault = None;
        log.replay(self.root.map(|(root, _)| root), &mut |entry| {
            if fault.is_none() {
                fault = self.take(Place::Log(entry.position), entry.record, each).err();
            }
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        if let Some(at) = log.stray() {
            return Err(AuditError::Rot { at });
        }
        self.end(producer, log, recovery)
    }

    fn take(&mut self, at: Place, record: Record, each: &mut dyn FnMut(&Slice, &[Checked])) -> Result<(), AuditError> {
        match record {
            Record::Slice { slice, transactions } => self.slice(at, slice, transactions),
            Record::Final(reference) => {
                let chain = self.reading.chain_to(reference);
                for body in chain.map_err(|error| AuditError::Chain { at, error: Box::new(error) })? {
                    self.finalise(body, each)?;
                }
                self.reading.trim();
                let tip = self.reading.tip().height;
                self.places.retain(|_, (height, _)| *height > tip);
                Ok(())
            }
            // The chain's proofs are those that its slices carry.
            Record::Confirm(_) | Record::Certificate(_) => Ok(()),
        }
    }

    fn slice(&mut self, at: Place, slice: Slice, transactions: Vec<Transaction>) -> Result<(), AuditError> {
        let reference = slice.reference();
        let checked = check_forms(reference, at, transactions)?;
        self.slices += 1;
        self.places.entry(reference.id).or_insert((reference.height, at));
        self.reading.hold(slice, checked);
        Ok(())
    }

    /// The next final slice: consensus, signatures, execution, and the store if it stands here.
    fn finalise(&mut self, body: Body, each: &mut dyn FnMut(&Slice, &[Checked])) -> Result<(), AuditError> {
        let slice = body.slice.reference();
        let at = self.place_of(&slice);
        self.light.follow(body.slice.clone()).map_err(|error| AuditError::Header {
            slice,
            at,
            error: Box::new(error),
        })?;
        check_signatures(&body, at)?;
        let (before, source) = (self.reading.tip(), body.slice.body.source.target);
        // What lies behind the store's point, where that was taken for the state, was executed before the log was cut.
        let is_executed = slice.height > self.reading.ledger().final_slice().height;
        let (body, receipts) =
            self.reading.advance(body).map_err(|error| AuditError::Executed { slice, at, error: Box::new(error) })?;
        let results = body.slice.body.results;
        if let Some(index) = &mut self.index
            && is_executed
        {
            index.compare(&results_of(body, receipts))?;
        }
        self.final_slices += 1;
        self.transactions += body.transactions.len() as u64;
        each(&body.slice, &body.transactions);
        self.blocks += u64::from(slice.height.slot != before.height.slot);
        if source != self.carried {
            self.carried = source;
            self.certificates += 1;
        }
        self.compare(slice, Some(results))
    }

    fn place_of(&self, slice: &SliceRef) -> Place {
        // A final slice was held before.
        self.places.get(&slice.id).map_or(Place::File(0), |(_, at)| *at)
    }

    /// Compares the store with the state after `slice`, which states those results, if it stands there.
    fn compare(&mut self, slice: SliceRef, results: Option<ResultsCommitment>) -> Result<(), AuditError> {
        let Some((point, seen)) = &mut self.point else { return Ok(()) };
        if *point != slice {
            return Ok(());
        }
        *seen = true;
        let Some(store) = self.store else {
            return results.map_or(Ok(()), |results| self.check_commitment(slice, results));
        };
        if let Some(Difference { key, expected, found }) = first_difference(&self.state, store)? {
            let (key, expected, found) = (key_text(&key), value_text(expected), value_text(found));
            return Err(AuditError::Differs { slice, parted: Box::new(Parted { key, expected, found }) });
        }
        check_state(self.reading.ledger(), slice).map(|_| ())
    }

    /// Holds the state that was taken from the store against what the slice where it stands commits to.
    fn check_commitment(&mut self, slice: SliceRef, results: ResultsCommitment) -> Result<(), AuditError> {
        self.point = Some((slice, true));
        check_state(self.reading.ledger(), slice)?;
        let state = self.reading.ledger().state_root(&slice.id)?;
        // An older program wrote no root over the receipts: the slices behind are executed on the state, and tell it too.
        match self.receipts_root.map(|receipts| StateProof { receipts, state }) {
            Some(proof) if proof.commitment() != results => Err(AuditError::Commitment { slice, state }),
            _ => Ok(()),
        }
    }

    /// What is left when the log has been read.
    fn end(mut self, producer: &AccountName, log: &ChainLog, recovery: Recovery) -> Result<Audited, AuditError> {
        let tip = self.reading.tip();
        if let Some((store, false)) = self.point {
            return Err(AuditError::StoreBeside { store, log: tip });
        }
        if let Some(index) = &self.index {
            index.end()?;
        }
        self.follow_unfinal()?;
        let supply = check_state(self.reading.ledger(), tip)?;
        // One above every slice here is none: it was read from a batch that a crash cut short.
        if let WatermarkState::Known(mark) = recovery.watermark
            && mark.producer != *producer
        {
            return Err(AuditError::Watermark { found: mark.producer, expected: *producer });
        }
        let mut keys = 0;
        self.state.scan(&[], &mut |_, _| {
            keys += 1;
            ControlFlow::Continue(())
        })?;
        Ok(Audited {
            root: self.root,
            segments: log.segments_count(),
            slices: self.slices,
            final_slices: self.final_slices,
            blocks: self.blocks,
            transactions: self.transactions,
            certificates: self.certificates,
            keys,
            supply,
            last_final: tip,
            proven: self.light.last_final(),
            store: self.point.map(|(slice, _)| slice),
            history: self.index.map(|index| index.span),
            watermark: recovery.watermark,
            tail: recovery.tail,
        })
    }

    /// Slices that are not final carry the proof of the last ones that are. A fork's may be refused where it stands,
    /// which is no fault of the disk; a signature that does not hold is.
    fn follow_unfinal(&mut self) -> Result<(), AuditError> {
        let Self { reading, light, places, .. } = self;
        for body in reading.unfinal() {
            let slice = body.slice.reference();
            let Some((_, at)) = places.get(&slice.id) else { continue };
            match light.follow(body.slice.clone()) {
                Err(error @ LightError::Unverified { error: reason, .. })
                    if !matches!(reason, VerifyError::UnknownSchedule | VerifyError::NotScheduled) =>
                {
                    return Err(AuditError::Header { slice, at: *at, error: Box::new(error) });
                }
                _ => check_signatures(body, *at)?,
            }
        }
        Ok(())
    }
}

/// Judges a slice's transactions by themselves, but for their signatures.
pub(super) fn check_forms(
    slice: SliceRef,
    at: Place,
    transactions: Vec<Transaction>,
) -> Result<Vec<Checked>, AuditError> {
    let judged = transactions.into_iter().map(|one| {
        let transaction = one.id();
        Checked::verified(one).map_err(|reason| AuditError::Transaction { slice, at, transaction, reason })
    });
    judged.collect()
}

pub(super) fn check_signatures(body: &Body, at: Place) -> Result<(), AuditError> {
    let good = verify_transactions(body.transactions.iter().map(Checked::transaction));
    match good.iter().position(|good| !good) {
        None => Ok(()),
        Some(index) => Err(AuditError::Transaction {
            slice: body.slice.reference(),
            at,
            transaction: body.transactions[index].id(),
            reason: RejectReason::BadSignature,
        }),
    }
}

/// Sums the state and the token at a ledger's last final slice.
pub(super) fn check_state<S: Store>(ledger: &Ledger<S>, slice: SliceRef) -> Result<Supply, AuditError> {
    let (kept, summed) = (ledger.state_root(&slice.id)?, ledger.summed_root(&slice.id)?);
    if kept != summed {
        return Err(AuditError::Sum { slice, kept, summed });
    }
    let supply = ledger.supply(&slice.id)?;
    if supply.is_conserved() { Ok(supply) } else { Err(AuditError::Supply { slice, supply: Box::new(supply) }) }
}

/// A key as its layout has it, or its bytes.
fn key_text(bytes: &[u8]) -> String {
    match key::parse(bytes) {
        Some(place) if place.sub_key.is_empty() => format!("{}, table {}", place.account, place.table.0),
        Some(place) => format!("{}, table {}, {}", place.account, place.table.0, hex(place.sub_key)),
        None => hex(bytes),
    }
}

fn value_text(value: Option<Vec<u8>>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(value) if value.len() > VALUE_SHOWN_LEN => {
            format!("{}… ({} bytes)", hex(&value[..VALUE_SHOWN_LEN]), value.len())
        }
        Some(value) => hex(&value),
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", to_hex(bytes))
}

/// Bytes of a value that a fault shows.
const VALUE_SHOWN_LEN: usize = 64;
