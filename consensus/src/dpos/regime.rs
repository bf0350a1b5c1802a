//! Which schedule is in force on a chain, and what a certificate there takes (PROTOCOL.md, "Changing the producers").
//!
//! A function of the chain's content alone, step by step from each slice to the next, so that all who hold a slice agree
//! on it.

use std::sync::Arc;

use hpb_base::canary::{self, Canary};
use hpb_types::{Certificate, Epoch, Epochs, Height, NextSchedule, Schedule, SliceBody, Slot};

use super::progress::Progress;

/// What is in force behind a slice.
#[derive(Clone, Debug)]
pub(super) struct Regime {
    /// The schedule in force.
    pub(super) current: Arc<Schedule>,
    /// The first slot in which it may be in force: its epoch's, or that of the first slice after it on this chain.
    pub(super) since: Slot,
    /// The one before, while more than two thirds of its weight are asked for too.
    pub(super) previous: Option<Arc<Schedule>>,
    /// The last one that was fixed, with the slice that fixed it, until the next epoch begins.
    fixed: Option<(Height, Arc<Schedule>)>,
}

/// What a chain's content says at one of its slices.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) progress: Progress,
    pub(super) regime: Arc<Regime>,
}

impl Regime {
    /// That of a chain's start.
    pub(super) fn first(schedule: Arc<Schedule>) -> Self {
        Self { current: schedule, since: Slot(0), previous: None, fixed: None }
    }

    /// Whether the schedule in force is all that there is to know.
    pub(super) fn is_settled(&self) -> bool {
        self.previous.is_none() && self.fixed.is_none()
    }

    /// The schedules that a certificate must satisfy, ascending by epoch, the one in force last.
    pub(super) fn schedules(&self) -> impl Iterator<Item = &Arc<Schedule>> {
        self.previous.iter().chain([&self.current])
    }

    /// Whether the certificate's quorums are those of the schedules asked for. Their weight is in the certificate's
    /// verification.
    pub(super) fn asks_for(&self, certificate: &Certificate) -> bool {
        self.schedules().map(|schedule| schedule.epoch).eq(certificate.quorums.iter().map(|quorum| quorum.epoch))
    }

    /// Whether `name` has a word here: in the set in force, or in the one before at a change.
    pub(super) fn includes(&self, name: &hpb_types::AccountName) -> bool {
        self.schedules().any(|schedule| schedule.producer(name).is_some())
    }

    /// The schedule that the slice at `height` fixed, if it was the last to fix one.
    pub(super) fn fixed_by(&self, height: Height) -> Option<&Arc<Schedule>> {
        self.fixed.as_ref().filter(|(by, _)| *by == height).map(|(_, schedule)| schedule)
    }

    /// The schedule in force in `slot`, if a slice of that slot follows one of slot `parent` where this is in force and
    /// `progress` made.
    pub(super) fn in_slot(&self, epochs: Epochs, progress: &Progress, parent: Slot, slot: Slot) -> &Arc<Schedule> {
        self.successor(epochs, progress, parent, slot).unwrap_or(&self.current)
    }

    /// What takes the present schedule's place in `slot`: the one fixed in the epoch of `parent`, if another epoch begins
    /// between the two, and the chain up to the parent proves the fixing slice final.
    fn successor(&self, epochs: Epochs, progress: &Progress, parent: Slot, slot: Slot) -> Option<&Arc<Schedule>> {
        let (by, schedule) = self.fixed.as_ref()?;
        (epochs.of(slot) > epochs.of(parent) && progress.last_final >= *by).then_some(schedule)
    }
}

impl Standing {
    /// The epoch of the schedule that is in force in a slice of `slot` on this one, of slot `parent`.
    pub(super) fn epoch_in(&self, epochs: Epochs, parent: Slot, slot: Slot) -> Epoch {
        self.regime.in_slot(epochs, &self.progress, parent, slot).epoch
    }

    /// What the chain says at a slice on this one, whose height is `parent`.
    pub(super) fn step(&self, epochs: Epochs, parent: Height, body: &SliceBody) -> Self {
        let progress = self.progress.with(&body.source);
        let mut regime = self.at_boundary(epochs, parent.slot, body.slot);
        if regime.previous.is_some() && progress.last_final.slot >= regime.since {
            Arc::make_mut(&mut regime).previous = None;
        }
        if let NextSchedule::Fixed(schedule) = &body.next {
            Arc::make_mut(&mut regime).fixed = Some((body.height(), Arc::new(schedule.clone())));
        }
        Self { progress, regime }
    }

    fn at_boundary(&self, epochs: Epochs, parent: Slot, slot: Slot) -> Arc<Regime> {
        let old = &self.regime;
        if epochs.of(slot) == epochs.of(parent) || old.fixed.is_none() {
            return Arc::clone(old);
        }
        let Some(successor) = old.successor(epochs, &self.progress, parent, slot) else {
            return Arc::new(Regime { fixed: None, ..(**old).clone() });
        };
        // A schedule before the present one is no longer asked for: the fixing slice is final, and its epoch's.
        let same = old.current.has_same_weights(successor) || canary::is(Canary::OldQuorumSkipped);
        Arc::new(Regime {
            current: Arc::clone(successor),
            since: epochs.start_of(successor.epoch),
            previous: (!same).then(|| Arc::clone(&old.current)),
            fixed: None,
        })
    }
}
