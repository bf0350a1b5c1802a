//! Whether a slice is valid where it stands.
//!
//! A function of the slice and its chain alone: neither the hour nor what else was heard makes a slice invalid. What only
//! the hour forbids (a slot that has not come) is refused without being remembered.

use std::sync::Arc;

use hpb_base::limits::{SIBLING_SLICES_MAX, SLICES_PER_SLOT_MAX, UNFINAL_SLOTS_MAX};
use hpb_types::slice::transactions_root;
use hpb_types::{AccountName, Beacon, Certificate, Epoch, NextSchedule, Slice, SliceBody, SliceRef, Slot};

use super::Dpos;
use super::progress::Progress;
use super::regime::Standing;
use super::tree::{Key, OnChain};
use crate::engine::{DropReason, Engine};
use crate::slot::Arrival;
use crate::verdict::Verdict;

/// A slice that is valid on its parent.
pub(super) struct Checked {
    pub(super) carried: Arc<Certificate>,
    /// The slice that the carried certificate justifies, unless that is below the last final one.
    pub(super) target: Option<Key>,
    pub(super) carries_transactions: bool,
    /// What the chain says at the slice.
    pub(super) standing: Standing,
}

impl Dpos {
    /// What can be said of a slice without its parent.
    pub(super) fn check_alone(&self, slice: &Slice) -> Result<(), DropReason> {
        let body = &slice.body;
        if body.version != SliceBody::VERSION {
            return Err(DropReason::Version);
        }
        if body.chain != self.desk.config.chain {
            return Err(DropReason::WrongChain);
        }
        if body.slot == Slot(0) || body.index >= SLICES_PER_SLOT_MAX {
            return Err(DropReason::Height);
        }
        if self.schedules().of_producer(body.epoch, body.slot, &body.producer).is_none() {
            return Err(DropReason::NotScheduled);
        }
        if matches!(body.beacon, Beacon::Proof(_)) != (body.index == 0) {
            return Err(DropReason::Beacon);
        }
        if self.desk.clock.arrival(body.slot, self.desk.now) == Arrival::Early {
            return Err(DropReason::Early);
        }
        Ok(())
    }

    /// What its parent says of a slice.
    pub(super) fn check_on(&self, parent: Key, at: SliceRef, slice: &Slice) -> Result<Checked, DropReason> {
        let (body, above) = (&slice.body, self.tree.node(parent));
        if above.verdict == Verdict::Invalid {
            return Err(DropReason::ParentInvalid);
        }
        let follows = if body.index == 0 {
            body.slot > above.height().slot
        } else {
            body.slot == above.height().slot && body.index == above.height().index + 1 && !above.last
        };
        if !follows {
            return Err(DropReason::Height);
        }
        if self.desk.config.contradicts(above.height(), &at) {
            return Err(DropReason::Checkpoint);
        }
        let (epochs, from) = (self.schedules().epochs(), above.height());
        if above.standing.epoch_in(epochs, from.slot, body.slot) != body.epoch {
            return Err(DropReason::Schedule);
        }
        let fixes = epochs.fixes(from.slot, body.slot);
        let fits = match &body.next {
            NextSchedule::None => !fixes,
            NextSchedule::Fixed(schedule) => fixes && schedule.epoch == Epoch(epochs.of(body.slot).0 + 1),
        };
        if !fits {
            return Err(DropReason::NextSchedule);
        }
        let (carried, target) = self.check_source(parent, &body.source)?;
        let standing = above.standing.step(epochs, from, body);
        let carries_transactions = body.transactions_root != self.no_transactions;
        if carries_transactions && !may_carry(body.slot, &standing.progress) {
            return Err(DropReason::TooFarFromFinal);
        }
        Ok(Checked { carried, target, carries_transactions, standing })
    }

    /// Whether there is room for a slice. Two of one producer at one height prove a fault; more are taken only if another
    /// slice or a quorum asks for them.
    pub(super) fn check_room(&self, reference: &SliceRef, producer: AccountName) -> Result<(), DropReason> {
        if self.tree.is_full() {
            return Err(DropReason::TreeFull);
        }
        let at_height = self.tree.at_height(reference.height).iter();
        let siblings = at_height.filter(|key| self.tree.node(**key).producer() == producer).count();
        if siblings >= SIBLING_SLICES_MAX && !self.desk.orphans.is_wanted(&reference.id) {
            return Err(DropReason::Siblings);
        }
        Ok(())
    }

    /// The carried certificate must be of the slice's own chain, not lower than its parent's, and link exactly from what
    /// its target carries.
    fn check_source(&self, parent: Key, source: &Certificate) -> Result<(Arc<Certificate>, Option<Key>), DropReason> {
        let above = &self.tree.node(parent).carried;
        if *source == **above {
            return Ok((Arc::clone(above), None));
        }
        let (link_source, key, asks) = match self.tree.find_on_chain(parent, &source.target) {
            OnChain::Node(key) => {
                let node = self.tree.node(key);
                (node.link_source(), Some(key), node.regime().asks_for(source))
            }
            OnChain::Final { source: link_source, regime } => (link_source, None, regime.asks_for(source)),
            OnChain::No => return Err(DropReason::Source),
        };
        if source.source != link_source || source.target.height < above.target.height || !asks {
            return Err(DropReason::Source);
        }
        // The certificate that this node counted up itself, when it is the same one, is shared.
        let known = key.and_then(|key| self.tree.node(key).certificate.as_ref()).filter(|known| ***known == *source);
        Ok((known.map_or_else(|| Arc::new(source.clone()), Arc::clone), key))
    }
}

/// What a slice without transactions says about them.
pub(super) fn no_transactions() -> hpb_types::Hash {
    transactions_root([])
}

/// Whether a slice of `slot` may carry transactions on a chain with this progress, its own certificate included.
pub(super) fn may_carry(slot: Slot, progress: &Progress) -> bool {
    slot.0.saturating_sub(progress.last_final.slot.0) <= UNFINAL_SLOTS_MAX
}
