//! That a slice is final, for whoever has the genesis and nothing else: a few headers for each change of the producers.
//!
//! A light terminal ([`crate::light`]) reads every header. A proof leaves out nearly all of them, because a certificate says
//! whose it is: it names its schedules, and each of its confirms names the one that is in force.
//!
//! A proof is a list of runs. A [`FinalRun`] is a piece of the chain whose headers name each other by their hashes; it
//! ends in a certified link `s -> t` within one slot, all from one to the other justified. That proves `s` final, and
//! the run's first header with it (PROTOCOL.md, "Confirms, justification, finality"). Whose signatures count is known
//! step by step. At first they are those of genesis' schedule. A run whose first header fixes a schedule makes that one
//! known; from then on a run may be of it. Where its names or weights are others than those before, the first such run
//! has the quorums of both: so those who leave say themselves that they are followed, and by whom
//! (PROTOCOL.md, "Changing the producers").
//!
//! The [`Checker`] believes nobody but the signers, and them what a light terminal believes them: that they executed and
//! judged what they confirmed. As there, old keys are worth what their stake is: whoever buys more than two thirds of a
//! schedule's keys after their release makes another chain from there on, and proofs of it. A proof tells that its slice
//! is final on a chain of this genesis. That there is no second one is told by a trusted slice of the last few days.
//!
//! The [`Prover`] makes the runs from the slices of a chain as they come, and keeps no more of them than may still be
//! needed. Both are machines without I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hpb_base::limits::{PROOF_LEN_MAX, PROOF_RUN_SLICES_MAX, PROOF_RUNS_MAX, SLICES_PER_SLOT_MAX};
use hpb_types::certificate::CertificateError;
use hpb_types::{
    Certificate, ChainId, ConfirmBody, Epoch, Epochs, Hash, Height, NextSchedule, Schedule, Signature, SliceBody,
    SliceRef, Suffices,
};

use crate::schedules::Schedules;

/// A piece of the chain that proves its first slice final.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinalRun {
    /// Headers, each on the one before it, without their producers' signatures: the certificates cover them. The last is
    /// the target of the link that proves all up to its source final, and carries the source's certificate.
    pub headers: Vec<SliceBody>,
    /// The certificates of the headers behind the link's source, in their order; the last is the link.
    pub certificates: Vec<Certificate>,
}

hpb_types::layout!(
    FinalRun
        <= PROOF_LEN_MAX {
            headers: list(2..=PROOF_RUN_SLICES_MAX),
            certificates: list(1..=SLICES_PER_SLOT_MAX as usize),
        }
);

/// How a slice was proven final.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certified {
    /// The slice.
    pub slice: SliceRef,
    /// The start of the link that proves it: the slice or one behind it.
    pub source: SliceRef,
    /// The link's end.
    pub target: SliceRef,
    /// Who signed the link, of each schedule that its certificate names; the one in force last.
    pub quorums: Vec<Signed>,
}

/// How many of a schedule's producers signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signed {
    /// The schedule's epoch.
    pub epoch: Epoch,
    /// Who signed.
    pub signers: usize,
    /// Of how many.
    pub producers: usize,
}

/// Why a run proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// There are not two headers, or not fewer certificates than headers, or none.
    #[error("a run has {headers} headers and {certificates} certificates, from which no slice is proven final")]
    Form {
        /// Headers.
        headers: usize,
        /// Certificates.
        certificates: usize,
    },
    /// A header is of another chain.
    #[error("slice {slice} is of another chain")]
    WrongChain {
        /// The header.
        slice: SliceRef,
    },
    /// A header does not build on the one before it.
    #[error("slice {slice} does not build on slice {before}, which stands before it")]
    Broken {
        /// The header.
        slice: SliceRef,
        /// The one before it.
        before: SliceRef,
    },
    /// The last link spans slots, which proves nothing.
    #[error("the link from {source_slice} to {target} spans slots, which makes nothing final")]
    Gap {
        /// Its source.
        source_slice: SliceRef,
        /// Its target.
        target: SliceRef,
    },
    /// A certificate is not of the slice in whose place it stands.
    #[error("the certificate for slice {slice} is one of slice {found}")]
    Target {
        /// The slice.
        slice: SliceRef,
        /// What the certificate is of.
        found: SliceRef,
    },
    /// A certificate does not link from the source that its slice carries.
    #[error("the certificate for slice {slice} links from slice {found}, which is not the source that it carries")]
    Source {
        /// The slice.
        slice: SliceRef,
        /// The certificate's source.
        found: SliceRef,
    },
    /// Which schedule a slice names is not proven.
    #[error("slice {slice} is of the schedule of epoch {named}, and the proof leads to that of epoch {known}")]
    Schedule {
        /// The slice.
        slice: SliceRef,
        /// The schedule that it names.
        named: Epoch,
        /// The last one that is proven to be in force.
        known: Epoch,
    },
    /// A certificate proves nothing.
    #[error("the certificate for slice {slice}: {error}")]
    Certificate {
        /// The slice.
        slice: SliceRef,
        /// What is wrong with it.
        error: CertificateError,
    },
}

/// Judges runs, one after the other. What one proves of the producers the next is judged by.
#[derive(Clone, Debug)]
pub struct Checker {
    chain: ChainId,
    epochs: Epochs,
    suffices: Suffices,
    /// The schedule in force, as far as was proven.
    current: Arc<Schedule>,
    /// The one before.
    previous: Option<Arc<Schedule>>,
    /// Whether the one before must sign too: until something is proven final behind the change.
    asks_both: bool,
    /// The last one that was fixed by a slice that is proven final.
    fixed: Option<Arc<Schedule>>,
}

impl Checker {
    /// One that begins where the latest of `schedules` is in force and has no word of another.
    pub(crate) fn new(chain: ChainId, schedules: &Schedules, suffices: Suffices) -> Self {
        Self {
            chain,
            epochs: schedules.epochs(),
            suffices,
            current: Arc::clone(schedules.latest()),
            previous: None,
            asks_both: false,
            fixed: None,
        }
    }

    /// Judges a run: its first header is final then.
    ///
    /// # Errors
    /// The first thing that does not hold; the checker is as it was.
    pub fn follow(&mut self, run: &FinalRun) -> Result<Certified, ProofError> {
        self.follow_knowing(run, &|_, _| false)
    }

    /// The same, where the confirms that `known` vouches for are not verified.
    pub(crate) fn follow_knowing(
        &mut self,
        run: &FinalRun,
        known: &dyn Fn(&Signature, &ConfirmBody) -> bool,
    ) -> Result<Certified, ProofError> {
        let FinalRun { headers, certificates } = run;
        let form = ProofError::Form { headers: headers.len(), certificates: certificates.len() };
        let source_at = headers.len().checked_sub(certificates.len() + 1).ok_or(form)?;
        let (Some(last), Some(link)) = (headers.last(), certificates.last()) else { return Err(form) };
        let slices = self.linked(headers)?;
        let (slice, source, target) = (slices[0], slices[source_at], slices[slices.len() - 1]);
        if source.height.slot != target.height.slot {
            return Err(ProofError::Gap { source_slice: source, target });
        }
        let mut next = self.clone();
        next.enter(target, last.epoch)?;
        let of_source = [&last.source].into_iter().chain(certificates);
        for (at, certificate) in (source_at..).zip(of_source) {
            next.certify(slices[at], &headers[at], certificate, known)?;
        }
        next.asks_both = false;
        next.learn(&headers[..=source_at], target);
        let signed = |schedule: &Schedule| {
            let quorum = link.quorums.iter().find(|quorum| quorum.epoch == schedule.epoch)?;
            let (epoch, producers) = (schedule.epoch, schedule.producers.len());
            Some(Signed { epoch, signers: quorum.producers.count(), producers })
        };
        let quorums = next.schedules().filter_map(|schedule| signed(schedule)).collect();
        *self = next;
        Ok(Certified { slice, source, target, quorums })
    }

    /// The headers' names: all of this chain, each on the one before it.
    fn linked(&self, headers: &[SliceBody]) -> Result<Vec<SliceRef>, ProofError> {
        let mut slices: Vec<SliceRef> = Vec::with_capacity(headers.len());
        for body in headers {
            let slice = SliceRef { height: body.height(), id: body.id() };
            if body.chain != self.chain {
                return Err(ProofError::WrongChain { slice });
            }
            if let Some(before) = slices.last().copied()
                && (body.parent != before.id || slice.height <= before.height)
            {
                return Err(ProofError::Broken { slice, before });
            }
            slices.push(slice);
        }
        Ok(slices)
    }

    /// Goes over to the schedule that slice `at` names, if it is another one and proven to be fixed.
    fn enter(&mut self, at: SliceRef, named: Epoch) -> Result<(), ProofError> {
        let unknown = ProofError::Schedule { slice: at, named, known: self.current.epoch };
        if named > self.epochs.of(at.height.slot) {
            return Err(unknown);
        }
        if named != self.current.epoch {
            let fixed = self.fixed.take_if(|fixed| fixed.epoch == named).ok_or(unknown)?;
            self.asks_both = !self.current.has_same_weights(&fixed);
            self.previous = Some(std::mem::replace(&mut self.current, fixed));
        }
        Ok(())
    }

    /// The schedules that may sign, ascending by epoch.
    fn schedules(&self) -> impl Iterator<Item = &Arc<Schedule>> {
        self.previous.iter().chain([&self.current])
    }

    fn certify(
        &self,
        slice: SliceRef,
        body: &SliceBody,
        certificate: &Certificate,
        known: &dyn Fn(&Signature, &ConfirmBody) -> bool,
    ) -> Result<(), ProofError> {
        if certificate.target != slice {
            return Err(ProofError::Target { slice, found: certificate.target });
        }
        if certificate.source != body.source.target {
            return Err(ProofError::Source { slice, found: certificate.source });
        }
        // Behind the change the one before need not sign any more; that it did does no harm.
        let with_previous = self.asks_both || certificate.quorums.len() > 1;
        let schedules: Vec<&Schedule> = self
            .schedules()
            .filter(|schedule| with_previous || schedule.epoch == self.current.epoch)
            .map(|schedule| &**schedule)
            .collect();
        certificate
            .verify(&self.chain, &schedules, self.suffices, known)
            .map_err(|error| ProofError::Certificate { slice, error })
    }

    /// Notes the schedule that one of `finals` fixed. It can come into force only if the fixing slice was proven final
    /// before its own epoch ended.
    fn learn(&mut self, finals: &[SliceBody], target: SliceRef) {
        for body in finals {
            let epoch = self.epochs.of(body.slot);
            if let NextSchedule::Fixed(schedule) = &body.next
                && schedule.epoch == Epoch(epoch.0 + 1)
                && self.epochs.of(target.height.slot) == epoch
            {
                self.fixed = Some(Arc::new(schedule.clone()));
            }
        }
    }
}

/// Why no proof can be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProveError {
    /// The slice that fixed a schedule is not proven final by a run that is short enough.
    #[error(
        "no {PROOF_RUN_SLICES_MAX} slices behind the one that fixed the schedule of epoch {epoch} prove that one final"
    )]
    Schedule {
        /// The schedule's epoch.
        epoch: Epoch,
    },
    /// The producers changed too often.
    #[error("the producers changed too often for a proof of {PROOF_RUNS_MAX} runs")]
    TooLong,
}

/// A slice that fixed a schedule.
#[derive(Debug)]
struct Fixing {
    by: Height,
    schedule: Arc<Schedule>,
    /// What proves it final.
    run: Option<FinalRun>,
}

/// Makes the proof of one slice, from the slices of its chain in their order from the first on.
#[derive(Debug)]
pub struct Prover {
    epochs: Epochs,
    /// The schedule in force.
    current: Arc<Schedule>,
    fixed: Option<Fixing>,
    /// The first slice of a schedule whose start is still to be proven with both quorums.
    changed_at: Option<Height>,
    /// The slice to prove.
    aim: Option<Height>,
    is_done: bool,
    runs: Vec<FinalRun>,
    /// The last slices, as far as a run may begin there.
    trail: VecDeque<(SliceRef, SliceBody)>,
    /// Certificates of those, by id.
    certificates: BTreeMap<Hash, Certificate>,
}

impl Prover {
    /// One for the chain that begins with the latest of `schedules`.
    pub fn new(schedules: &Schedules) -> Self {
        Self {
            epochs: schedules.epochs(),
            current: Arc::clone(schedules.latest()),
            fixed: None,
            changed_at: None,
            aim: None,
            is_done: false,
            runs: Vec::new(),
            trail: VecDeque::new(),
            certificates: BTreeMap::new(),
        }
    }

    /// Takes the chain's next slice; once it is done, it needs no more.
    ///
    /// # Errors
    /// [`ProveError`]; nothing can be proven from here on.
    pub fn take(&mut self, body: &SliceBody) -> Result<(), ProveError> {
        if self.is_done {
            return Ok(());
        }
        self.enter(body)?;
        self.trail.push_back((SliceRef { height: body.height(), id: body.id() }, body.clone()));
        if let NextSchedule::Fixed(schedule) = &body.next {
            self.fixed = Some(Fixing { by: body.height(), schedule: Arc::new(schedule.clone()), run: None });
        }
        let certificate = &body.source;
        let target = self.place(certificate.target.height).filter(|at| self.trail[*at].0 == certificate.target);
        if let Some(target) = target
            && !self.certificates.contains_key(&certificate.target.id)
        {
            self.certificates.insert(certificate.target.id, certificate.clone());
            self.proven(target);
        }
        self.forget();
        if self.runs.len() >= PROOF_RUNS_MAX { Err(ProveError::TooLong) } else { Ok(()) }
    }

    /// Names the slice that was taken last as the one to prove. The first one named counts.
    pub fn aim(&mut self) {
        self.aim = self.aim.or(self.trail.back().map(|(slice, _)| slice.height));
    }

    /// Whether the slices that were taken prove it final.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The proof, if it is done.
    pub fn into_runs(self) -> Option<Vec<FinalRun>> {
        self.is_done.then_some(self.runs)
    }

    /// What changes before `body`.
    fn enter(&mut self, body: &SliceBody) -> Result<(), ProveError> {
        if body.epoch != self.current.epoch {
            let missing = ProveError::Schedule { epoch: body.epoch };
            let fixed = self.fixed.take().filter(|fixed| fixed.schedule.epoch == body.epoch).ok_or(missing)?;
            self.push(fixed.run.ok_or(missing)?);
            if !self.current.has_same_weights(&fixed.schedule) {
                self.changed_at = Some(body.height());
            }
            self.current = fixed.schedule;
        } else if self.fixed.as_ref().is_some_and(|fixed| self.epochs.of(fixed.by.slot) < self.epochs.of(body.slot)) {
            // It was not proven final in time.
            self.fixed = None;
        }
        Ok(())
    }

    /// What the slice at `target` proves, whose certificate has just come.
    fn proven(&mut self, target: usize) {
        let (slice, body) = &self.trail[target];
        let (slot, epoch) = (slice.height.slot, body.epoch);
        let Some(source) = self.dense_source(target) else { return };
        let proven = self.trail[source].0.height;
        let waits = |height: Height| height <= proven;
        if let Some(by) = self.fixed.as_ref().filter(|fixed| fixed.run.is_none()).map(|fixed| fixed.by)
            && waits(by)
            && self.epochs.of(by.slot) == self.epochs.of(slot)
        {
            let run = self.cut(by, source, target);
            self.fixed.iter_mut().for_each(|fixed| fixed.run.clone_from(&run));
        }
        let is_aimed_at = self.aim.filter(|aim| waits(*aim));
        let changed = self.changed_at.filter(|_| epoch == self.current.epoch);
        // What is aimed at proves the change too.
        let run = match (is_aimed_at, changed) {
            (Some(aim), _) => self.cut(aim, source, target),
            (None, Some(_)) => self.cut(proven, source, target),
            (None, None) => None,
        };
        if let Some(run) = run {
            self.is_done |= is_aimed_at.is_some();
            self.changed_at = None;
            self.push(run);
        }
    }

    /// Where the source of the link to `target` stands, if all from one to the other are justified, in one slot.
    fn dense_source(&self, target: usize) -> Option<usize> {
        let (slice, body) = &self.trail[target];
        let source = body.source.target;
        if source.height.slot != slice.height.slot {
            return None;
        }
        let at = self.place(source.height).filter(|at| self.trail[*at].0 == source)?;
        let is_justified = |(slice, _): &(SliceRef, SliceBody)| self.certificates.contains_key(&slice.id);
        self.trail.range(at + 1..=target).all(is_justified).then_some(at)
    }

    /// The run from the slice at height `from` to `target`, if it is kept and short enough.
    fn cut(&self, from: Height, source: usize, target: usize) -> Option<FinalRun> {
        let from = self.place(from)?;
        if target - from >= PROOF_RUN_SLICES_MAX {
            return None;
        }
        let headers = self.trail.range(from..=target).map(|(_, body)| body.clone()).collect();
        let behind = self.trail.range(source + 1..=target);
        let certificates = behind.filter_map(|(slice, _)| self.certificates.get(&slice.id).cloned()).collect();
        Some(FinalRun { headers, certificates })
    }

    fn push(&mut self, run: FinalRun) {
        if self.runs.len() < PROOF_RUNS_MAX {
            self.runs.push(run);
        }
    }

    /// Where the slice at `height` stands in the trail.
    fn place(&self, height: Height) -> Option<usize> {
        self.trail.binary_search_by_key(&height, |(slice, _)| slice.height).ok()
    }

    /// Lets go of what no run can begin with.
    fn forget(&mut self) {
        let fixing = self.fixed.as_ref().filter(|fixed| fixed.run.is_none()).map(|fixed| fixed.by);
        let needed = [fixing, self.aim, self.changed_at].into_iter().flatten().min();
        let is_needed = |slice: &SliceRef| needed.is_some_and(|needed| slice.height >= needed);
        while let Some((slice, _)) = self.trail.front()
            && self.trail.len() > 1
            && (!is_needed(slice) || self.trail.len() > PROOF_RUN_SLICES_MAX)
        {
            self.certificates.remove(&slice.id);
            self.trail.pop_front();
        }
    }
}
