//! The step interface between a consensus engine and its host (white paper 3.2.2: pluggable consensus).
//!
//! Propose, check, confirm, finalise, report: the steps that stake, authority, BFT and leader engines share. What an
//! engine's confirm says, what it must remember before it speaks, and what proves a fault are the engine's own types, so
//! that rounds, views and terms pass through without a name here. Signatures are the host's work on both ways: what
//! comes in is [`Verified`], what goes out is a body to sign. The host hands inputs over in the order in which they
//! came; an engine refuses what breaks its rules with a counted [`DropReason`] and never panics on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hpb_base::{Instant, Machine, UnixMillis};
use hpb_types::{
    AccountName, Beacon, Certificate, ChainId, Confirm, ConfirmBody, Epoch, Evidence, Fault, Hash, NextSchedule,
    Schedule, Slice, SliceBody, SliceRef, Slot,
};

use crate::config::Config;
use crate::schedules::Schedules;
use crate::slot::SlotClock;
use crate::verify::VerifyError;
use crate::watermark::{Memory, Watermark};

/// A consensus engine: a machine that speaks [`Input`] and [`Output`].
pub trait Engine:
    Machine<Input = Input<Self::Confirm>, Output = Output<Self::Statement, Self::Mark, Self::Evidence>> + Sized
{
    /// A signed word of one producer for a slice.
    type Confirm;
    /// What such a word's signature covers.
    type Statement;
    /// What must be on disk before a word leaves, so that it is never contradicted after a restart.
    type Mark;
    /// Proof that a producer broke a rule.
    type Evidence;
    /// The final end of a chain, from which the engine starts.
    type Anchor: Anchor;
    /// What checks the signatures of its inputs.
    type Verifier: Verify<Self::Confirm>;

    /// The engine's name in a genesis and in reports.
    const NAME: &'static str;

    /// An engine on the final end of a chain, started at `now`. A producer says what it remembers of its past; it has a
    /// word wherever a schedule names it.
    ///
    /// Every slice that was persisted or recorded ([`Output::Persist`], [`Output::Record`]) and is not final must come as
    /// an input again, in any order, before others: the word that the mark stands for rests on it, and a slot that was
    /// begun is not begun again. Were all producers to forget theirs at once, every
    /// new slice would rest on less than each of them may still confirm, and the chain would stand still for good.
    fn start(config: Config, anchor: Self::Anchor, memory: Memory<Self::Mark>, now: Instant) -> Self;

    /// A verifier of what this engine takes on `chain`, whose genesis slice is `genesis`.
    fn verifier(chain: ChainId, genesis: SliceRef, schedules: Schedules) -> Self::Verifier;

    /// The slice that this node would build on.
    fn head(&self) -> SliceRef;

    /// The highest justified slice on the head's chain.
    fn justified(&self) -> SliceRef;

    /// The highest final slice.
    fn last_final(&self) -> SliceRef;

    /// Whether it has the slice of that id, among those that are not final (the last final one too) or waiting for its
    /// parent. One that it has not may come again.
    fn holds(&self, id: &Hash) -> bool;

    /// Whom it has reported, and of what.
    fn accused(&self) -> &BTreeSet<(AccountName, Fault)>;

    /// Slices that are not final.
    fn unfinal_count(&self) -> usize;

    /// The schedules known: signatures are judged by these.
    fn schedules(&self) -> &Schedules;

    /// The schedule in force at the head.
    fn in_force(&self) -> &Arc<Schedule>;

    /// The clock that maps the driver's instants to slots.
    fn clock(&self) -> &SlotClock;

    /// What happened so far.
    fn counters(&self) -> &Counters;
}

/// An engine whose words are links from slice to slice, as this house's wire, log and ledger know them.
pub trait LinkEngine:
    Engine<Confirm = Confirm, Statement = ConfirmBody, Mark = Watermark, Evidence = Evidence>
{
}

impl<E> LinkEngine for E where
    E: Engine<Confirm = Confirm, Statement = ConfirmBody, Mark = Watermark, Evidence = Evidence>
{
}

/// What the host tells such an engine.
pub type LinkInput = Input<Confirm>;
/// What such an engine tells its host.
pub type LinkOutput = Output<ConfirmBody, Watermark, Evidence>;

/// The final end of a chain: what an engine starts from. A host replays its log through it.
pub trait Anchor: Sized {
    /// The start of a chain. Genesis is its own source, and counts as the last slice of its slot. `schedules` are those
    /// that the chain starts with.
    fn genesis(genesis: SliceRef, schedules: Schedules) -> Self;

    /// Goes on by the next final slice, as read from the log. Gives what its execution must know.
    ///
    /// # Errors
    /// If the slice is not the tip's child or does not fit the chain: the log is not one chain.
    fn extend(&mut self, slice: &Slice) -> Result<Office, AnchorError>;

    /// The certificate that justifies the tip, if the host kept it: slices that follow can carry it at once. One for
    /// another slice is ignored.
    fn certify(&mut self, certificate: Certificate);

    /// The last final slice.
    fn tip(&self) -> SliceRef;
}

/// Why a slice does not extend a final chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnchorError {
    /// Its parent is another slice than the tip.
    #[error("slice {found} does not follow {tip}")]
    NotNext {
        /// The tip.
        tip: SliceRef,
        /// The slice.
        found: SliceRef,
    },
    /// It carries a certificate of no slice among the last final ones.
    #[error("slice {found} names a source that is not on its chain")]
    Source {
        /// The slice.
        found: SliceRef,
    },
    /// It names another schedule than the one that its chain has in force.
    #[error("slice {found} is not of the schedule that its chain has in force")]
    Schedule {
        /// The slice.
        found: SliceRef,
    },
}

/// Checks the signatures of an engine's inputs, outside of it: on the executors that the host gives to signatures. `C` is
/// [`Engine::Confirm`].
pub trait Verify<C> {
    /// Judges by these schedules from now on.
    fn set_schedules(&mut self, schedules: Schedules);

    /// Checks a slice: its producer is its slot's, its signature and its part of the beacon are the producer's, and the
    /// certificate that it carries proves what it says.
    ///
    /// # Errors
    /// If one of these fails.
    fn slice(&mut self, slice: Slice) -> Result<Verified<Slice>, VerifyError>;

    /// Checks a confirm, by its producer's key.
    ///
    /// # Errors
    /// If it is not one of this chain's producers'.
    fn confirm(&mut self, confirm: C) -> Result<Verified<C>, VerifyError>;
}

/// A value whose signatures were checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Vouches for `value`. The caller states: every signature in it is valid by ZIP-215 under the key that the
    /// schedule of the value's epoch gives to the signer that it names, and a certificate in it holds as much of that
    /// schedule's weight as the engine asks for. [`Engine::Verifier`] does the checks; a simulator may vouch for what it
    /// signed in name only.
    pub const fn vouch(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// The value, owned.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What the host tells an engine. `C` is [`Engine::Confirm`].
#[derive(Clone, Debug)]
pub enum Input<C> {
    /// A slice of another producer, complete with its transactions (which the host keeps) and just arrived: the instant
    /// of this input decides whether it came within its slot.
    Slice(Verified<Slice>),
    /// A peer has a slice that can't be judged, because its schedule is not known here.
    Behind(SliceRef),
    /// A confirm, of this node too.
    Confirm(Verified<C>),
    /// A certificate that came by another way than in a slice (beside a block).
    Certificate(Verified<Certificate>),
    /// The answer to [`Output::Execute`].
    Executed {
        /// The slice's id.
        slice: Hash,
        /// Whether its transactions were valid and their results are the ones that it commits to.
        matched: bool,
    },
    /// The answer to [`Output::Persist`]: one data sync covers the slice and the mark, and all those asked for before.
    Persisted {
        /// The slice's id.
        slice: Hash,
    },
    /// The answer to [`Output::Record`]: a data sync covers the slice.
    Recorded {
        /// The slice's id.
        slice: Hash,
    },
    /// The answer to [`Output::Propose`]: built, executed and signed, not sent.
    Proposed(Slice),
    /// The other answer to [`Output::Propose`]: the host could not build it.
    ProposalDeclined,
    /// Whether transactions wait to be included. False until told otherwise.
    PendingTransactions(bool),
    /// The wall clock was set: what it shows at the driver's [`Instant::ZERO`](hpb_base::Instant::ZERO).
    Clock {
        /// Wall time at the driver's origin.
        wall_at_zero: UnixMillis,
    },
}

/// What an engine tells its host. `B` is [`Engine::Statement`], `M` is [`Engine::Mark`], `E` is [`Engine::Evidence`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output<B, M, E> {
    /// Execute a slice on top of its parent and answer with [`Input::Executed`]. The parent was named before, or is
    /// final, or was proposed by this node. The host may answer in any order.
    Execute {
        /// What to execute.
        slice: SliceRef,
        /// Whose state it starts from.
        parent: SliceRef,
        /// What its execution must know of consensus.
        office: Office,
    },
    /// Ask peers for a slice, and for its ancestors above the last final slice. Repeated until it comes.
    Request {
        /// The id that is missing.
        missing: Hash,
        /// The highest final slice here: nothing at or below it is needed.
        above: SliceRef,
    },
    /// Build a slice; answer with [`Input::Proposed`] or [`Input::ProposalDeclined`]. One is out at a time.
    Propose(Proposal),
    /// Write the slice (with its transactions) and the mark, sync, then answer with [`Input::Persisted`]. Ancestors of it
    /// above the last final slice that were not written come before it. The slice is kept until it is final or discarded, and handed in again after a restart.
    Persist {
        /// The slice.
        slice: SliceRef,
        /// The mark.
        mark: M,
    },
    /// Write this node's first slice of a slot (with its transactions), sync, then answer with [`Input::Recorded`]: it
    /// leaves only then. One is out at a time. It is kept and handed in again as those of [`Output::Persist`] are.
    Record {
        /// The slice.
        slice: SliceRef,
    },
    /// Send this node's slice, with its transactions, to all peers.
    BroadcastSlice(Box<Slice>),
    /// Sign, send to all peers, and hand back as [`Input::Confirm`].
    Confirm(B),
    /// A slice is justified: this certificate proves it.
    Justified(Arc<Certificate>),
    /// The slice to build on changed.
    Head(HeadChange),
    /// Slices are final, for good.
    Final {
        /// The highest final slice.
        reference: SliceRef,
        /// All that are newly final, in the chain's order; the last is `reference`.
        newly: Vec<SliceRef>,
    },
    /// The schedules known from now on: signatures are judged by these. Told before the finality that brings a change.
    Schedules(Schedules),
    /// On the head's chain, this schedule is in force from that slot on. Told after the change of head that brings it,
    /// and again when the head moves to a chain where another one is.
    InForce {
        /// The first slot.
        from: Slot,
        /// The schedule.
        schedule: Arc<Schedule>,
    },
    /// Slices that can never be final any more, or found no room while they waited for their parent: what the host
    /// holds of them can be freed.
    Discarded(Vec<SliceRef>),
    /// A producer broke a rule; the first proof of each kind of fault of each producer.
    Evidence(E),
    /// As much of the weight as justifies confirmed a slice that this node finds invalid: it computes otherwise than the
    /// rest and must stop.
    Diverged {
        /// The slice.
        slice: SliceRef,
    },
    /// An input was refused; counted in [`Counters::dropped`] too.
    Dropped(DropReason),
}

/// What the execution of a slice must know of consensus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Office {
    /// The schedule in force.
    pub schedule: Arc<Schedule>,
    /// Who signed the certificate that the slice carries, each once, ascending; none if its parent's is no lower.
    pub confirmers: Vec<AccountName>,
}

/// A slice that the host is asked to build, with the fields that consensus decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Its slot.
    pub slot: Slot,
    /// Its index in the slot.
    pub index: u32,
    /// What it builds on.
    pub parent: SliceRef,
    /// Whether to mark it as the slot's last.
    pub last: bool,
    /// The certificate to carry.
    pub source: Arc<Certificate>,
    /// What its execution must know of consensus; the schedule's epoch is the slice's.
    pub office: Office,
    /// Whether the slot's part of the beacon is due: a proof of [`Schedule::beacon_input`].
    pub beacon: bool,
    /// The epoch whose schedule it fixes, if it does.
    pub fixes: Option<Epoch>,
    /// Whether it may carry transactions (PROTOCOL.md, "Confirms, justification, finality": not when finality is too
    /// far behind).
    pub may_carry_transactions: bool,
}

impl Proposal {
    /// Whether a slice is what was asked for, in the fields that consensus decides.
    pub fn is_met_by(&self, body: &SliceBody) -> bool {
        body.slot == self.slot
            && body.index == self.index
            && body.last == self.last
            && body.parent == self.parent.id
            && body.source == *self.source
            && body.epoch == self.office.schedule.epoch
            && matches!(body.beacon, Beacon::Proof(_)) == self.beacon
            && matches!(body.next, NextSchedule::Fixed(_)) == self.fixes.is_some()
    }
}

/// A change of the slice to build on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeadChange {
    /// The head until now.
    pub old: SliceRef,
    /// The head from now on.
    pub new: SliceRef,
    /// Slices that are no longer on the head's chain, the highest first. Their transactions return to the mempool.
    pub retracted: Vec<SliceRef>,
    /// Slices that are now on it, in the chain's order; the last is `new` unless the head went back.
    pub adopted: Vec<SliceRef>,
}

/// Why an input was refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DropReason {
    /// Known already.
    Duplicate,
    /// A version that this code does not speak.
    Version,
    /// Of another chain.
    WrongChain,
    /// Not by a producer of a schedule known here, or not by the slot's.
    NotScheduled,
    /// Of a schedule that is not known here.
    UnknownSchedule,
    /// Of another schedule than its chain has in force.
    Schedule,
    /// The slot's part of the beacon is missing, or not its first slice's.
    Beacon,
    /// The schedule that it must fix is missing, or not its to fix, or another epoch's.
    NextSchedule,
    /// From a slot that has not come yet.
    Early,
    /// A confirm for a slot too far back to be counted.
    Stale,
    /// At or below the last final slice.
    BelowFinal,
    /// On a chain that excludes the last final slice.
    ConflictsFinal,
    /// On a chain that the operator's checkpoint excludes ([`Config::checkpoint`]).
    Checkpoint,
    /// A slot or index that does not follow its parent's.
    Height,
    /// The carried certificate is not of the slice's own chain, is lower than its parent's, or names another source than
    /// its target carries.
    Source,
    /// A confirm whose source is not the one that its target carries.
    ConfirmSource,
    /// Transactions though finality is too far behind.
    TooFarFromFinal,
    /// On an invalid slice.
    ParentInvalid,
    /// Found invalid before.
    Invalid,
    /// Other results, or invalid transactions.
    ResultsMismatch,
    /// Beyond the slices kept at one height.
    Siblings,
    /// No room among the slices that are not final.
    TreeFull,
    /// No room among the slices that wait for their parent.
    OrphansFull,
    /// No room among a producer's confirms that wait for their slice.
    PendingFull,
    /// An answer to nothing that was asked.
    Unasked,
    /// This node's slice came too late, or not as it was asked for.
    StaleProposal,
    /// A valid slice that this node does not confirm: it came outside its slot.
    Late,
    /// A valid slice that this node does not confirm: its watermark forbids it.
    Watermark,
    /// A valid slice that this node does not confirm: it lost its watermark and is silent.
    Silent,
    /// A valid slice that this node does not confirm: the disk is too far behind.
    Unsynced,
}

/// What happened so far. Only grows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Slices taken into the tree.
    pub slices: u64,
    /// Slices of this node that were sent.
    pub proposed: u64,
    /// Confirms taken from others and from this node.
    pub confirms: u64,
    /// Confirms of this node.
    pub confirmed: u64,
    /// Slices justified.
    pub justified: u64,
    /// Slices final.
    pub finals: u64,
    /// Slices taken off the head's chain.
    pub retracted: u64,
    /// Faults reported.
    pub evidence: u64,
    /// Refused inputs by reason.
    pub dropped: BTreeMap<DropReason, u64>,
}
