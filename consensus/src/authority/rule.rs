//! Which slices and confirms are valid, and which slices final. The argument stands in the engine's module.

use hpb_base::limits::{SIBLING_SLICES_MAX, SLICES_PER_SLOT_MAX};
use hpb_types::{Beacon, Epoch, NextSchedule, Slice, SliceBody, SliceRef, Slot};

use super::Authority;
use super::chain::Chain;
use crate::engine::DropReason;
use crate::slot::Arrival;
use crate::verdict::Verdict;

impl Authority {
    /// What can be said of a slice without its parent.
    pub(super) fn check_alone(&self, slice: &Slice) -> Result<(), DropReason> {
        let body = &slice.body;
        let producer = &self.schedule().producer_at(body.slot).name;
        let faults = [
            (body.version != SliceBody::VERSION, DropReason::Version),
            (body.chain != self.desk.config.chain, DropReason::WrongChain),
            (body.epoch != Epoch(0), DropReason::UnknownSchedule),
            (body.slot == Slot(0) || body.index >= SLICES_PER_SLOT_MAX, DropReason::Height),
            (body.producer != *producer, DropReason::NotScheduled),
            (body.beacon != Beacon::None, DropReason::Beacon),
            (body.next != NextSchedule::None, DropReason::NextSchedule),
            (self.desk.clock.arrival(body.slot, self.desk.now) == Arrival::Early, DropReason::Early),
        ];
        faults.into_iter().find(|(is_so, _)| *is_so).map_or(Ok(()), |(_, reason)| Err(reason))
    }

    /// What its place says of a slice. Gives its parent.
    pub(super) fn check_on(&self, at: SliceRef, slice: &Slice) -> Result<SliceRef, DropReason> {
        let body = &slice.body;
        let parent = self.chain.find(&body.parent).filter(|parent| *parent >= self.chain.root());
        let parent = parent.ok_or(DropReason::ConflictsFinal)?;
        let above = self.chain.node(parent);
        if above.verdict == Verdict::Invalid {
            return Err(DropReason::ParentInvalid);
        }
        let follows = if body.index == 0 {
            body.slot > parent.height.slot
        } else {
            body.slot == parent.height.slot && body.index == parent.height.index + 1 && !above.last
        };
        if !follows {
            return Err(DropReason::Height);
        }
        if self.desk.config.contradicts(parent.height, &at) {
            return Err(DropReason::Checkpoint);
        }
        // Its weight is in its verification.
        let is_signed =
            body.source == *above.carried || matches!(&body.source.quorums[..], [one] if one.epoch == Epoch(0));
        if !is_signed || !self.chain.fits(parent, &body.source) {
            return Err(DropReason::Source);
        }
        if self.chain.is_full() {
            return Err(DropReason::TreeFull);
        }
        // Two at one height are a fault; more are taken only if another slice or a majority asks for them.
        if self.chain.at_height(at.height).count() >= SIBLING_SLICES_MAX && !self.desk.orphans.is_wanted(&at.id) {
            return Err(DropReason::Siblings);
        }
        Ok(parent)
    }
}

/// The highest slice that is final because `at` is justified now: as the target of a link, or as the last missing slice of
/// a run. `None` if there is none above the last.
pub(super) fn proven_by(chain: &Chain, at: SliceRef) -> Option<SliceRef> {
    let is_justified = |at: SliceRef| chain.node(at).certificate.is_some();
    let start_of_run = |end: SliceRef| {
        let source = chain.node(end).carried.target;
        let mut run = chain.upward(end).take_while(|at| at.height.slot == source.height.slot && is_justified(*at));
        run.find(|at| *at == source)
    };
    let (mut proven, mut ends) = (None, vec![at]);
    while let Some(end) = ends.pop() {
        proven = proven.max(start_of_run(end));
        let children = chain.node(end).children.iter().copied();
        // A run that starts above was dense before.
        let may_have_waited = |end: SliceRef| chain.node(end).carried.target.height <= at.height;
        ends.extend(
            children
                .filter(|child| child.height.slot == at.height.slot && is_justified(*child) && may_have_waited(*child)),
        );
    }
    proven.filter(|proven| *proven > chain.root())
}
