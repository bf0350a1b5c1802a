//! The final end of a chain: what an engine starts from and moves forward.
//!
//! It keeps the final slices back to the one that the last of them names as its source, because a slice that follows may
//! carry a certificate of any of those. A host replays its log through [`extend`](engine::Anchor::extend).

use std::collections::VecDeque;
use std::sync::Arc;

use hpb_types::{AccountName, Certificate, Epoch, Hash, Height, Schedule, Signature, SignedSlice, Slice, SliceRef};

use super::progress::Progress;
use super::regime::{Regime, Standing};
use crate::desk::word;
use crate::engine::{self, AnchorError, Office};
use crate::schedules::Schedules;

/// The last final slice with what the rules need to know of the chain before it.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// Final slices, ascending; the last is the tip, the first is the tip's source.
    trail: VecDeque<Link>,
    /// What the tip carries.
    pub(super) carried: Arc<Certificate>,
    /// What justifies the tip, if known.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// Whether the tip is its slot's last.
    pub(super) last: bool,
    /// What the chain says at the tip.
    pub(super) standing: Standing,
    /// The schedules that final slices fixed, as far as they still matter.
    pub(super) schedules: Schedules,
}

/// A final slice, as far as what follows may refer to it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) reference: SliceRef,
    pub(super) signature: Signature,
    /// The source that it carries.
    pub(super) source: SliceRef,
    /// What a certificate of it takes.
    pub(super) regime: Arc<Regime>,
}

impl Link {
    /// Its producer's word for it.
    pub(super) fn word(&self) -> SignedSlice {
        word(self.regime.current.epoch, self.reference, self.signature)
    }

    /// Its producer.
    pub(super) fn producer(&self) -> AccountName {
        self.regime.current.producer_at(self.reference.height.slot).name
    }
}

impl engine::Anchor for Anchor {
    fn genesis(genesis: SliceRef, schedules: Schedules) -> Self {
        let certificate = Arc::new(Certificate::genesis(genesis));
        let regime = Arc::new(Regime::first(Arc::clone(schedules.latest())));
        let signature = Signature([0; 64]);
        Self {
            trail: VecDeque::from([Link {
                reference: genesis,
                signature,
                source: genesis,
                regime: Arc::clone(&regime),
            }]),
            carried: Arc::clone(&certificate),
            certificate: Some(certificate),
            last: true,
            standing: Standing { progress: Progress::genesis(genesis.height), regime },
            schedules,
        }
    }

    fn extend(&mut self, slice: &Slice) -> Result<Office, AnchorError> {
        let found = slice.reference();
        if slice.body.parent != self.tip().id || found.height <= self.tip().height {
            return Err(AnchorError::NotNext { tip: self.tip(), found });
        }
        let source = slice.body.source.target;
        if source.height < self.carried.target.height
            || self.find(source.height).is_none_or(|at| at.reference != source)
        {
            return Err(AnchorError::Source { found });
        }
        let (epochs, tip) = (self.schedules.epochs(), self.tip().height);
        if self.standing.epoch_in(epochs, tip.slot, slice.body.slot) != slice.body.epoch {
            return Err(AnchorError::Schedule { found });
        }
        let standing = self.standing.step(epochs, tip, &slice.body);
        let is_new = source.height > self.carried.target.height;
        let confirmers = if is_new { self.schedules.signers(&slice.body.source.quorums) } else { Vec::new() };
        let office = Office { schedule: Arc::clone(&standing.regime.current), confirmers };
        let carried = if slice.body.source == *self.carried {
            Arc::clone(&self.carried)
        } else {
            Arc::new(slice.body.source.clone())
        };
        self.push(found, slice.signature, carried, slice.body.last, standing);
        Ok(office)
    }

    fn certify(&mut self, certificate: Certificate) {
        if certificate.target == self.tip() && certificate.source == self.carried.target {
            self.certificate = Some(Arc::new(certificate));
        }
    }

    fn tip(&self) -> SliceRef {
        self.trail[self.trail.len() - 1].reference
    }
}

/// Why no chain can be followed from a slice that is trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrustError {
    /// The headers are not a run that ends in the trusted slice and begins in the source that it carries.
    #[error("the headers do not lead from the source of {trusted} to it")]
    Run {
        /// The trusted slice.
        trusted: SliceRef,
    },
    /// Not all of the run is of the schedule that was named.
    #[error("slice {found} is not of the schedule of epoch {epoch}")]
    Schedule {
        /// The slice.
        found: SliceRef,
        /// The schedule's name.
        epoch: Epoch,
    },
    /// The next schedule may be fixed already, or the one before still be asked for.
    #[error("slice {trusted} stands too near a change of the producers: trust one of slots {from} to {to} of an epoch")]
    NearChange {
        /// The trusted slice.
        trusted: SliceRef,
        /// The first good slot, counted from the epoch's first.
        from: u64,
        /// The last good slot, counted so.
        to: u64,
    },
}

impl Anchor {
    /// The end of a chain whose slice `trusted` is known to be final by another way than its own word, with the schedule
    /// in force there: both are believed. `run` are the headers from the source that the slice carries up to itself, from
    /// anybody: their hashes bind them to it. Epochs have `epoch_slots` slots (at least one).
    ///
    /// # Errors
    /// If the headers are not that run, or not all of that schedule; or if the slice stands where one schedule does not
    /// say all: in the quarter that fixes the next one, or before a quarter of the epoch has passed, in which the one
    /// before may be asked for too.
    pub fn trusted(trusted: SliceRef, run: &[Slice], schedule: Schedule, epoch_slots: u64) -> Result<Self, TrustError> {
        let broken = TrustError::Run { trusted };
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Err(broken) };
        let linked = run.windows(2).all(|pair| pair[1].body.parent == pair[0].id());
        let rising = run.windows(2).all(|pair| pair[1].body.height() > pair[0].body.height());
        if !linked || !rising || last.reference() != trusted || last.body.source.target != first.reference() {
            return Err(broken);
        }
        if let Some(other) = run.iter().find(|slice| slice.body.epoch != schedule.epoch) {
            return Err(TrustError::Schedule { found: other.reference(), epoch: schedule.epoch });
        }
        let schedules = Schedules::new(schedule, epoch_slots);
        let epochs = schedules.epochs();
        let epoch = epochs.of(trusted.height.slot);
        let start = epochs.start_of(epoch);
        let (from, to) = (epoch_slots / 4, epochs.fixing_from(epoch).0 - start.0);
        let (since, into) = (trusted.height.slot.0 - start.0, first.body.slot.0.checked_sub(start.0));
        if since >= to || into.is_none_or(|into| into < from) {
            return Err(TrustError::NearChange { trusted, from, to: to.saturating_sub(1) });
        }
        let regime = Arc::new(Regime::first(Arc::clone(schedules.latest())));
        let carried = Arc::new(last.body.source.clone());
        let link = |slice: &Slice| Link {
            reference: slice.reference(),
            signature: slice.signature,
            source: slice.body.source.target,
            regime: Arc::clone(&regime),
        };
        Ok(Self {
            trail: run.iter().map(link).collect(),
            certificate: None,
            last: last.body.last,
            standing: Standing { progress: Progress::trusted(carried.target.height, trusted.height), regime },
            carried,
            schedules,
        })
    }

    /// The source that the tip carries and the number of headers from there to the tip, both included, if
    /// [`trusted`](Self::trusted) makes this very anchor of them: where one schedule says all.
    pub fn base(&self) -> Option<(SliceRef, usize)> {
        let (first, tip) = (self.trail.front()?, self.trail.back()?.reference);
        let is_settled = |link: &Link| {
            let regime = &link.regime;
            regime.current.epoch == self.standing.regime.current.epoch && regime.is_settled()
        };
        let (epochs, source) = (self.schedules.epochs(), first.reference);
        let epoch = epochs.of(tip.height.slot);
        let start = epochs.start_of(epoch).0;
        let is_far = source.height.slot.0 >= start.saturating_add(epochs.start_of(Epoch(1)).0 / 4)
            && tip.height.slot < epochs.fixing_from(epoch);
        // The genesis slice has no header.
        let is_run = source.height > Height::default() && source == self.carried.target;
        (is_run && is_far && self.trail.iter().all(is_settled)).then_some((source, self.trail.len()))
    }

    /// The highest slice that the chain's own certificates prove final.
    pub fn proven(&self) -> Height {
        self.standing.progress.last_final
    }

    /// Goes on by a slice that the engine has checked.
    pub(super) fn push(
        &mut self,
        reference: SliceRef,
        signature: Signature,
        carried: Arc<Certificate>,
        last: bool,
        standing: Standing,
    ) {
        let (source, regime) = (carried.target, Arc::clone(&standing.regime));
        if let Some(schedule) = regime.fixed_by(reference.height) {
            self.schedules.learn(Arc::clone(schedule));
        }
        let in_force = regime.current.epoch;
        let present = self.schedules.epochs().of(reference.height.slot);
        self.trail.push_back(Link { reference, signature, source, regime });
        self.standing = standing;
        self.carried = carried;
        self.certificate = None;
        self.last = last;
        while self.trail[0].reference.height < source.height {
            self.trail.pop_front();
        }
        // What follows may carry a certificate of any of these, signed by those who were in office there: who they are is
        // part of what its execution comes to.
        let trail = &self.trail;
        self.schedules.forget(in_force, present, |epoch| {
            trail.iter().any(|link| link.regime.schedules().any(|schedule| schedule.epoch == epoch))
        });
    }

    /// The final slice at `height`, among those kept.
    pub(super) fn find(&self, height: Height) -> Option<&Link> {
        let index = self.trail.binary_search_by_key(&height, |link| link.reference.height).ok()?;
        self.trail.get(index)
    }

    /// Whether `id` is one of the final slices kept.
    pub(super) fn holds(&self, id: &Hash) -> bool {
        self.trail.iter().any(|link| link.reference.id == *id)
    }

    /// The certificate to carry on the tip itself: the tip's own, or the one that it carries.
    pub(super) fn best(&self) -> &Arc<Certificate> {
        self.certificate.as_ref().unwrap_or(&self.carried)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hpb_types::{Epoch, Slot};

    use super::*;
    use crate::conformance::kit::schedules;
    use crate::engine::Anchor as _;

    fn at(slot: u64, index: u32) -> SliceRef {
        SliceRef { height: Height { slot: Slot(slot), index }, id: Hash([slot as u8 + 1; 32]) }
    }

    fn push(anchor: &mut Anchor, slice: SliceRef, source: SliceRef) {
        let certificate = Certificate { source: at(0, 0), target: source, quorums: Vec::new() };
        let standing = anchor.standing.clone();
        anchor.push(slice, Signature([0; 64]), Arc::new(certificate), false, standing);
    }

    #[test]
    fn a_schedule_is_known_as_long_as_a_certificate_under_it_may_be_carried() {
        let mut anchor = Anchor::genesis(at(0, 0), schedules(4));
        let first = Arc::clone(anchor.schedules.latest());
        push(&mut anchor, at(1, 0), at(0, 0));
        // The same producers, of another epoch: the one before is not asked for.
        let second = Arc::new(hpb_types::Schedule { epoch: Epoch(1), ..(*first).clone() });
        anchor.schedules.learn(Arc::clone(&second));
        anchor.standing.regime = Arc::new(Regime::first(second));
        push(&mut anchor, at(2, 0), at(1, 0));
        assert!(anchor.schedules.get(first.epoch).is_some(), "the next slice may carry a certificate of 1.0");
        push(&mut anchor, at(2, 1), at(2, 0));
        assert!(anchor.schedules.get(first.epoch).is_none());
    }

    #[test]
    fn the_trail_reaches_back_to_the_source_and_no_further() {
        let mut anchor = Anchor::genesis(at(0, 0), schedules(4));
        for index in 0..5 {
            push(&mut anchor, at(1, index), at(0, 0));
        }
        assert!(anchor.find(at(0, 0).height).is_some());
        push(&mut anchor, at(1, 5), at(1, 3));
        assert!(anchor.find(at(1, 2).height).is_none());
        assert_eq!(anchor.find(at(1, 3).height).map(|link| link.reference), Some(at(1, 3)));
        assert_eq!(anchor.tip(), at(1, 5));
    }
}
