//! From genesis to a slice by few headers, so that a node may begin at that slice: what a snapshot proves itself by, and
//! what a log whose older blocks are not kept begins from.
//!
//! A proof is a row of walks. Each is followed as a light terminal follows headers; it begins at genesis, or at a slice of
//! a schedule that a walk before proved to be fixed, and is believed only when more than two thirds of that schedule prove
//! a later slice of it final. A walk leads from the middle of an epoch, where one schedule says all, over the slice that
//! fixes the next schedule to the proof that this slice is final; what lies between there and the middle of the next epoch
//! is left out. The last walk leads to the root, and on to the proof that the root is final. So an epoch takes a few
//! headers, and the last walk those of half an epoch.
//!
//! It assumes what every light terminal does: that more than two thirds of each schedule did not lie in their office, nor
//! sold their keys since. Who knows a slice to be final by another way says so, and needs no assumption for it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

use hpb_base::limits::{SNAPSHOT_CERTIFICATES_MAX, SNAPSHOT_RUN_MAX};
use hpb_consensus::{AnchorError, LightError, Schedules, VerifyError};
use hpb_ledger::chainlog::{ChainLog, LogError, Record, WalkStep};
use hpb_ledger::commitment::StateProof;
use hpb_ledger::sealed::FileError;
use hpb_ledger::snapshot::{Part, Root, SnapshotReader};
use hpb_types::{Certificate, Epoch, Genesis, Hash, Height, NextSchedule, Schedule, Slice, SliceRef};

use crate::engine::{ChainAnchor, ChainLight};

/// Why a proof is none.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Its parts do not come in their order.
    #[error("{0}")]
    Order(&'static str),
    /// A walk begins where none can.
    #[error(
        "no walk can begin at slice {0}: the headers before it do not lead there, or the producers change too near"
    )]
    Base(SliceRef),
    /// A walk begins under a schedule that no walk before it proved.
    #[error("no walk before proves the schedule of epoch {}", _0.0)]
    Schedule(Epoch),
    /// A header is wrong.
    #[error(transparent)]
    Header(#[from] Box<LightError>),
    /// A certificate proves nothing.
    #[error("the certificate of slice {slice}: {error}")]
    Certificate {
        /// Its target.
        slice: SliceRef,
        /// What is wrong with it.
        error: VerifyError,
    },
    /// The headers are no chain.
    #[error("the headers are not one chain: {0}")]
    Anchor(#[from] AnchorError),
    /// A walk leads to no proof.
    #[error("the walk that begins at slice {0} proves nothing final")]
    Walk(SliceRef),
    /// The root does not commit to its state.
    #[error("slice {0} states other results than those that the state is said to come with")]
    Results(SliceRef),
    /// The root is not proven.
    #[error(
        "nothing proves slice {} final: the certificates end at slice {proven}; if you know it to be final, say so \
         (--trust {})", root.to_text(), root.to_text()
    )]
    Unproven {
        /// The root.
        root: SliceRef,
        /// The last slice that is proven final.
        proven: SliceRef,
    },
    /// Another root than the one that is trusted.
    #[error("it is of slice {}, not of the trusted slice {}", root.to_text(), trusted.to_text())]
    OtherRoot {
        /// The root.
        root: SliceRef,
        /// What was to be trusted.
        trusted: SliceRef,
    },
    /// The file.
    #[error("the log's root: {0}")]
    File(#[from] FileError),
    /// The file is another chain's.
    #[error("the log's root is another chain's")]
    OtherChain,
}

/// How a walk has come along by the chain's own certificates.
#[derive(Clone, Debug)]
struct Leg {
    /// Where its headers begin; lowest where that is genesis.
    from: Height,
    /// Where it begins to judge.
    base: SliceRef,
    /// The epoch of the schedule in force there.
    epoch: Epoch,
    /// Slices that fixed a schedule and are not proven final.
    fixing: Vec<Height>,
    /// The header that brought the last proof of such a slice.
    until: Option<Height>,
}

impl Leg {
    fn new(from: Height, base: SliceRef, epoch: Epoch) -> Self {
        Self { from, base, epoch, fixing: Vec::new(), until: None }
    }

    /// Takes in a header behind its base, where the chain proves itself final up to `proven`.
    fn see(&mut self, header: &Slice, proven: Height) {
        if matches!(header.body.next, NextSchedule::Fixed(_)) {
            self.fixing.push(header.body.height());
        }
        let waiting = self.fixing.len();
        self.fixing.retain(|fixing| *fixing > proven);
        if self.fixing.len() < waiting {
            self.until = Some(header.body.height());
        }
    }
}

/// A walk under way.
struct Walk {
    leg: Leg,
    anchor: ChainAnchor,
    light: Option<ChainLight>,
}

/// Takes the parts of a proof, one after the other.
pub struct Rooting<'g> {
    genesis: &'g Genesis,
    /// Whether the parts are judged; those of a node's own disk were, before they were written.
    judges: bool,
    /// The schedules that are proven, or stated where nothing is judged.
    known: BTreeMap<Epoch, Schedule>,
    /// The headers of a walk's beginning that are still to come, and those that have.
    run: Option<(Epoch, usize, Vec<Slice>)>,
    walk: Option<Walk>,
    /// Walks so far.
    walks: usize,
    last: Option<Slice>,
    root: Option<(SliceRef, Option<StateProof>)>,
    is_final: bool,
}

/// What a proof leads to.
pub struct Rooted {
    /// The chain's final end there.
    pub(super) anchor: ChainAnchor,
    leg: Leg,
    walks: usize,
    /// The slice.
    pub slice: SliceRef,
    /// How it commits to its state; none where a log was cut.
    pub state: Option<StateProof>,
}

impl<'g> Rooting<'g> {
    /// One that judges everything.
    pub fn new(genesis: &'g Genesis) -> Self {
        Self::start(genesis, true)
    }

    /// One that takes what was judged before.
    fn believing(genesis: &'g Genesis) -> Self {
        Self::start(genesis, false)
    }

    fn start(genesis: &'g Genesis, judges: bool) -> Self {
        Self {
            genesis,
            judges,
            known: BTreeMap::from([(Epoch(0), genesis.schedule())]),
            run: None,
            walk: None,
            walks: 0,
            last: None,
            root: None,
            is_final: false,
        }
    }

    /// Whether the root is proven final.
    pub fn is_final(&self) -> bool {
        self.is_final
    }

    /// Takes the next part. One that is refused counts as if it had not come.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn take(&mut self, part: Part) -> Result<(), RootError> {
        match part {
            Part::Start => {
                self.end_walk()?;
                let start = self.genesis.genesis_slice();
                let light = self.judges.then(|| ChainLight::genesis(self.genesis));
                let leg = Leg::new(Height::default(), start, Epoch(0));
                self.walk = Some(Walk { leg, anchor: ChainAnchor::genesis(self.genesis), light });
                Ok(())
            }
            Part::Base { epoch, run } => {
                self.end_walk()?;
                if !self.known.contains_key(&epoch) {
                    return Err(RootError::Schedule(epoch));
                }
                // A schedule before the one in force never comes back.
                self.known.retain(|known, _| *known >= epoch);
                self.run = Some((epoch, run as usize, Vec::new()));
                Ok(())
            }
            Part::Header(slice) => self.header(*slice),
            Part::Certificate(certificate) => self.certificate(*certificate),
            Part::Root(Root { slice, state }) => self.root(slice, Some(state)),
            Part::Cut(slice) => self.root(slice, None),
            Part::Chunk(_) => Err(RootError::Order("records of the state stand in the proof")),
        }
    }

    fn header(&mut self, slice: Slice) -> Result<(), RootError> {
        if let Some((epoch, left, mut headers)) = self.run.take() {
            headers.push(slice);
            if headers.len() < left {
                self.run = Some((epoch, left, headers));
                return Ok(());
            }
            return self.begin(epoch, headers);
        }
        let Some(walk) = &mut self.walk else { return Err(RootError::Order("a header stands before every walk")) };
        if let Some(light) = &mut walk.light {
            light.follow(slice.clone()).map_err(Box::new)?;
        }
        if self.root.is_none() {
            walk.anchor.extend(&slice)?;
            walk.leg.see(&slice, walk.anchor.proven());
        }
        if let NextSchedule::Fixed(next) = &slice.body.next
            && !self.judges
        {
            self.known.insert(next.epoch, next.clone());
        }
        self.last = Some(slice);
        self.look();
        Ok(())
    }

    /// Begins a walk at the last of these headers.
    fn begin(&mut self, epoch: Epoch, headers: Vec<Slice>) -> Result<(), RootError> {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
            return Err(RootError::Order("a walk begins without headers"));
        };
        let (from, base) = (first.body.height(), last.reference());
        let schedule = self.known.get(&epoch).ok_or(RootError::Schedule(epoch))?;
        let anchor = ChainAnchor::trusted(self.genesis, &headers, schedule).ok_or(RootError::Base(base))?;
        let light = self.judges.then(|| ChainLight::start(self.genesis, anchor.clone()));
        self.walk = Some(Walk { leg: Leg::new(from, base, epoch), anchor, light });
        self.last = headers.into_iter().next_back();
        Ok(())
    }

    fn certificate(&mut self, certificate: Certificate) -> Result<(), RootError> {
        let slice = certificate.target;
        let Some(walk) = self.walk.as_mut().filter(|_| self.run.is_none()) else {
            return Err(RootError::Order("a certificate stands before every walk"));
        };
        if let Some(light) = &mut walk.light {
            light.certify(certificate).map_err(|error| RootError::Certificate { slice, error })?;
        }
        self.look();
        Ok(())
    }

    fn root(&mut self, slice: SliceRef, state: Option<StateProof>) -> Result<(), RootError> {
        let last = self.last.as_ref().filter(|last| last.reference() == slice && self.run.is_none());
        let Some((last, walk)) = last.zip(self.walk.as_ref()) else {
            return Err(RootError::Order("the root is not the header before it"));
        };
        if last.reference() == walk.leg.base {
            return Err(RootError::Walk(slice));
        }
        if state.is_some_and(|state| state.commitment() != last.body.results) {
            return Err(RootError::Results(slice));
        }
        self.root = Some((slice, state));
        self.look();
        Ok(())
    }

    /// Sees whether the root is proven now.
    fn look(&mut self) {
        if let (Some((root, _)), Some(light)) = (&self.root, self.walk.as_ref().and_then(|walk| walk.light.as_ref())) {
            self.is_final |= light.is_final(root);
        }
    }

    /// Ends a walk that led to no root: it must have proven something beyond its base, and what it proved is known.
    fn end_walk(&mut self) -> Result<(), RootError> {
        if self.root.is_some() || self.run.is_some() {
            return Err(RootError::Order("a walk begins before another has ended"));
        }
        self.walks += 1;
        let Some(Walk { leg, light: Some(light), .. }) = self.walk.take() else { return Ok(()) };
        if light.last_final().height <= leg.base.height {
            return Err(RootError::Walk(leg.base));
        }
        self.known = known_of(light.schedules());
        Ok(())
    }

    /// What it leads to. `trusted` is a slice that is final for certain, if the root is to be that one.
    ///
    /// # Errors
    /// [`RootError::Unproven`], [`RootError::OtherRoot`]; a proof without a root.
    pub fn end(self, trusted: Option<SliceRef>) -> Result<Rooted, RootError> {
        let (Some((slice, state)), Some(walk)) = (self.root, self.walk) else {
            return Err(RootError::Order("it ends without a root"));
        };
        if let Some(trusted) = trusted.filter(|trusted| *trusted != slice) {
            return Err(RootError::OtherRoot { root: slice, trusted });
        }
        if let (false, None, Some(light)) = (self.is_final, trusted, &walk.light) {
            return Err(RootError::Unproven { root: slice, proven: light.last_final() });
        }
        Ok(Rooted { anchor: walk.anchor, leg: walk.leg, walks: self.walks, slice, state })
    }
}

fn known_of(schedules: &Schedules) -> BTreeMap<Epoch, Schedule> {
    schedules.all().map(|schedule| (schedule.epoch, Schedule::clone(schedule))).collect()
}

/// What the log begins from; `None` where that is genesis.
///
/// # Errors
/// A root that does not read, or is another chain's.
pub(super) fn read_root(genesis: &Genesis, log: &mut ChainLog) -> Result<Option<Rooted>, RootFailure> {
    let Some(file) = log.root()? else {
        log.check_whole()?;
        return Ok(None);
    };
    let mut rooting = Rooting::believing(genesis);
    let mut reader = open_root(genesis, file)?;
    while let Some(part) = reader.next_part().map_err(RootError::from)? {
        rooting.take(part)?;
    }
    Ok(Some(rooting.end(None)?))
}

/// The same, with every part judged as a stranger's; and whether they prove the root final.
///
/// # Errors
/// As [`read_root`]; a part that does not hold.
pub(super) fn judge_root(genesis: &Genesis, log: &mut ChainLog) -> Result<Option<(Rooted, bool)>, RootFailure> {
    let Some(file) = log.root()?.filter(|_| !log.is_whole()) else { return Ok(None) };
    let mut rooting = Rooting::new(genesis);
    let mut reader = open_root(genesis, file)?;
    while let Some(part) = reader.next_part().map_err(RootError::from)? {
        rooting.take(part)?;
    }
    let (is_final, root) = (rooting.is_final(), rooting.root.map(|(slice, _)| slice));
    Ok(Some((rooting.end(root)?, is_final)))
}

fn open_root(genesis: &Genesis, file: Box<dyn Read>) -> Result<SnapshotReader<Box<dyn Read>>, RootError> {
    let (reader, found) = SnapshotReader::new(file)?;
    if found == *genesis { Ok(reader) } else { Err(RootError::OtherChain) }
}

/// Why a log's root can't be read, or no proof can be made of a log.
#[derive(Debug, thiserror::Error)]
pub enum RootFailure {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The proof.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The slice is not where the log has final slices.
    #[error("the log holds no final slice {0}")]
    Missing(SliceRef),
    /// Whoever takes the proof does not.
    #[error(transparent)]
    Out(#[from] io::Error),
}

/// The parts of a proof for the final slice `at` of a log that was opened; `state` is how it commits to its state, where
/// that is known. Each is judged before it is handed to `out`. Whether they prove the slice final: the last ones of a
/// log are, by confirms that nobody keeps, before anything in it says so. Memory: the headers of an older root's last walk.
///
/// # Errors
/// [`RootFailure`].
pub fn prove_root(
    genesis: &Genesis,
    log: &mut ChainLog,
    at: SliceRef,
    state: Option<StateProof>,
    out: &mut dyn FnMut(&Part) -> io::Result<()>,
) -> Result<bool, RootFailure> {
    let Plan { whole, last, old, unfinal, certificates, .. } = Plan::read(genesis, log, at)?;
    let mut rooting = Rooting::new(genesis);
    let mut take = |rooting: &mut Rooting<'_>, part: Part| {
        rooting.take(part.clone())?;
        Ok::<(), RootFailure>(out(&part)?)
    };
    // Walks that an older root tells of go over as they are, but for its last, which may have gone on since.
    let headers = old_walks(genesis, log, old.walks, &mut |part| take(&mut rooting, part))?;
    for (leg, until) in whole.iter().filter_map(|leg| Some((leg, leg.until?))).chain([(&last, at.height)]) {
        let mut begun = Vec::new();
        if leg.from == Height::default() {
            take(&mut rooting, Part::Start)?;
        }
        each_header(&headers, old.root, log, leg.from, until, &mut |slice| {
            let header = slice.body.height();
            if leg.from == Height::default() || header > leg.base.height {
                return take(&mut rooting, Part::Header(Box::new(slice)));
            }
            begun.push(slice);
            if header < leg.base.height {
                return Ok(());
            }
            take(&mut rooting, Part::Base { epoch: leg.epoch, run: begun.len() as u32 })?;
            begun.drain(..).try_for_each(|slice| take(&mut rooting, Part::Header(Box::new(slice))))
        })?;
    }
    let root = state.map_or(Part::Cut(at), |state| Part::Root(Root { slice: at, state }));
    take(&mut rooting, root)?;
    // What follows, until it is proven.
    let next = Height { index: at.height.index + 1, ..at.height };
    let mut walk = log.walk_finals(next, log.last_final().height.slot);
    while let Some(walk) = walk.as_mut().filter(|_| !rooting.is_final()) {
        match log.step_finals(walk)? {
            WalkStep::Slice(found) => take(&mut rooting, Part::Header(Box::new(found.slice)))?,
            WalkStep::Walked => {}
            WalkStep::End => break,
        }
    }
    // Of what is not final a fork may stand in the log, and what is refused is left out.
    let rest = unfinal.into_iter().map(|slice| Part::Header(Box::new(slice)));
    for part in rest.chain(certificates.into_iter().map(|one| Part::Certificate(Box::new(one)))) {
        if rooting.is_final() {
            break;
        }
        match take(&mut rooting, part) {
            Err(RootFailure::Root(_)) | Ok(()) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(rooting.is_final())
}

/// Hands out the parts of all but the last walk of a log's root, which has so many, and gives the last one's headers.
fn old_walks(
    genesis: &Genesis,
    log: &mut ChainLog,
    walks: usize,
    out: &mut dyn FnMut(Part) -> Result<(), RootFailure>,
) -> Result<Vec<Slice>, RootFailure> {
    let mut headers = Vec::new();
    let Some(file) = log.root()?.filter(|_| walks > 0) else { return Ok(headers) };
    let (mut reader, mut begun) = (open_root(genesis, file)?, 0);
    while let Some(part) = reader.next_part().map_err(RootError::from)? {
        begun += usize::from(matches!(part, Part::Start | Part::Base { .. }));
        match part {
            Part::Root(_) | Part::Cut(_) => break,
            part if begun < walks => out(part)?,
            Part::Header(slice) => headers.push(*slice),
            _ => {}
        }
    }
    Ok(headers)
}

/// Visits the final headers from a height to another, both included: those of an older root's last walk, then the log's.
fn each_header(
    old: &[Slice],
    root: Height,
    log: &mut ChainLog,
    from: Height,
    until: Height,
    visit: &mut dyn FnMut(Slice) -> Result<(), RootFailure>,
) -> Result<(), RootFailure> {
    for slice in old.iter().filter(|slice| (from..=until).contains(&slice.body.height())) {
        visit(slice.clone())?;
    }
    let from = from.max(Height { index: root.index + u32::from(root > Height::default()), ..root });
    let mut walk = if from <= until { log.walk_finals(from, until.slot) } else { None };
    while let Some(walk) = &mut walk {
        match log.step_finals(walk)? {
            WalkStep::Slice(found) if found.slice.body.height() > until => break,
            WalkStep::Slice(found) => visit(found.slice)?,
            WalkStep::Walked => {}
            WalkStep::End => break,
        }
    }
    Ok(())
}

/// The slice behind which the last `blocks` blocks of a log lie that was replayed, the last one of its block; `None` if the
/// log has no more blocks than that.
///
/// # Errors
/// What reading says.
pub fn cut_for(log: &mut ChainLog, blocks: u64) -> Result<Option<SliceRef>, LogError> {
    let (mut ends, mut last): (VecDeque<SliceRef>, Option<SliceRef>) = (VecDeque::new(), None);
    let from = Height { slot: log.finals_from(), index: 0 };
    let mut walk = log.walk_finals(from, log.last_final().height.slot);
    while let Some(walk) = &mut walk {
        match log.step_finals(walk)? {
            WalkStep::Slice(found) => {
                let found = found.slice.reference();
                // The block before has ended.
                ends.extend(last.filter(|last| last.height.slot != found.height.slot));
                last = Some(found);
                while ends.len() as u64 > blocks {
                    ends.pop_front();
                }
            }
            WalkStep::Walked => {}
            WalkStep::End => break,
        }
    }
    Ok(if ends.len() as u64 == blocks { ends.pop_front() } else { None })
}

/// The root that a log has, as far as a new proof goes on from it.
#[derive(Clone, Copy, Default)]
struct OldRoot {
    /// The root; lowest where the log begins at genesis.
    root: Height,
    /// Walks to it.
    walks: usize,
}

/// Which headers of a log make a proof.
struct Plan {
    old: OldRoot,
    /// Walks of which each proves a schedule.
    whole: Vec<Leg>,
    /// The walk to the slice.
    last: Leg,
    anchor: ChainAnchor,
    at: SliceRef,
    is_found: bool,
    /// Slices above the last final one, each after its parent, and the log's last certificates.
    unfinal: Vec<Slice>,
    certificates: VecDeque<Certificate>,
}

impl Plan {
    fn read(genesis: &Genesis, log: &mut ChainLog, at: SliceRef) -> Result<Self, RootFailure> {
        let (old, anchor, last) = if let Some(rooted) = read_root(genesis, log)? {
            let Rooted { anchor, leg, walks, slice, .. } = rooted;
            (OldRoot { root: slice.height, walks }, anchor, leg)
        } else {
            let leg = Leg::new(Height::default(), genesis.genesis_slice(), Epoch(0));
            (OldRoot::default(), ChainAnchor::genesis(genesis), leg)
        };
        let from = (old.walks > 0).then(|| anchor.tip());
        let is_found = from == Some(at);
        let (unfinal, certificates) = (Vec::new(), VecDeque::new());
        let mut plan = Self { old, whole: Vec::new(), last, anchor, at, is_found, unfinal, certificates };
        let (mut held, mut failure) = (BTreeMap::new(), None);
        log.replay(from, &mut |entry| match entry.record {
            Record::Slice { slice, .. } => {
                held.insert(slice.id(), slice);
            }
            Record::Final(reference) => {
                if failure.is_none() {
                    failure = plan.finalise(&mut held, reference).err();
                }
                held.retain(|_, slice: &mut Slice| slice.body.height() > reference.height);
            }
            Record::Certificate(certificate) => {
                plan.certificates.push_back(certificate);
                let surplus = plan.certificates.len().saturating_sub(SNAPSHOT_CERTIFICATES_MAX);
                plan.certificates.drain(..surplus);
            }
            Record::Confirm(_) => {}
        })?;
        failure.map_or(Ok(()), |error| Err(RootError::from(error)))?;
        if !plan.is_found {
            return Err(RootFailure::Missing(at));
        }
        plan.unfinal = held.into_values().collect();
        plan.unfinal.sort_by_key(|slice| slice.body.height());
        Ok(plan)
    }

    fn finalise(&mut self, held: &mut BTreeMap<Hash, Slice>, reference: SliceRef) -> Result<(), AnchorError> {
        let (mut chain, mut id) = (Vec::new(), reference.id);
        while let Some(slice) = held.remove(&id) {
            id = slice.body.parent;
            chain.push(slice);
        }
        chain.iter().rev().try_for_each(|slice| self.advance(slice))
    }

    /// Goes on by the next final header, and begins anew at it where one can.
    fn advance(&mut self, slice: &Slice) -> Result<(), AnchorError> {
        let (reference, epoch) = (slice.reference(), slice.body.epoch);
        if reference.height > self.at.height || reference.height <= self.anchor.tip().height {
            return Ok(());
        }
        self.anchor.extend(slice)?;
        self.last.see(slice, self.anchor.proven());
        self.is_found |= reference == self.at;
        // The slice itself is proven by what follows a base, so it is none.
        let Some((source, run)) = self.anchor.base().filter(|_| reference != self.at) else { return Ok(()) };
        let is_next = epoch == self.last.epoch || self.last.until.is_some();
        if is_next && run <= SNAPSHOT_RUN_MAX as usize {
            let next = Leg::new(source.height, reference, epoch);
            let passed = std::mem::replace(&mut self.last, next);
            if passed.epoch != epoch {
                self.whole.push(passed);
            }
        }
        Ok(())
    }
}
