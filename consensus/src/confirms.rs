//! Confirms that came in: those that wait for their slice, and those remembered to find conflicts (PROTOCOL.md,
//! "Evidence").
//!
//! Counting towards a certificate stands at the slice itself. A confirm that proves a fault still counts: whoever holds
//! enough of them on one link holds a certificate, and no node may depend on which of two conflicting confirms it heard
//! first.

use std::collections::BTreeMap;

use hpb_base::limits::{CONFIRMS_REMEMBERED_MAX, PENDING_CONFIRMS_MAX};
use hpb_types::{AccountName, Confirm, Epoch, Evidence, Hash, Height, Signature, SliceRef};

use crate::engine::DropReason;

/// A confirm that waits for its slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) producer: AccountName,
    /// The epoch of the schedule that it says is in force at its target.
    pub(super) epoch: Epoch,
    /// What it weighs there.
    pub(super) weight: u64,
    pub(super) source: SliceRef,
    pub(super) signature: Signature,
}

#[derive(Debug, Default)]
struct Waiting {
    held: BTreeMap<AccountName, Held>,
    weight: u64,
}

/// What is new about a confirm.
#[derive(Debug)]
pub(super) enum Novelty {
    /// Nothing: the same body was here.
    Duplicate,
    /// It is new, and conflicts with none.
    Fresh,
    /// It is new and proves a fault of its producer.
    Conflict(Box<Evidence>),
}

/// The confirms of all producers.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    waiting: BTreeMap<(Height, Hash), Waiting>,
    waiting_count: BTreeMap<AccountName, usize>,
    /// By producer, the links that conflict with none before them: sources rise with targets.
    links: BTreeMap<AccountName, BTreeMap<Height, Confirm>>,
}

impl Confirms {
    /// Compares a confirm with the others of its producer, in logarithmic time: where sources rise with targets, a link
    /// that surrounds or is surrounded shows at its next neighbours.
    pub(super) fn remember(&mut self, confirm: &Confirm) -> Novelty {
        let body = &confirm.body;
        let links = self.links.entry(body.producer).or_default();
        let height = body.target.height;
        if let Some(other) = links.get(&height) {
            if other.body == *body {
                return Novelty::Duplicate;
            }
            let (first, second) = (other.clone(), confirm.clone());
            return Novelty::Conflict(Box::new(Evidence::TwoConfirms { first, second }));
        }
        let below = links.range(..height).next_back().map(|(_, other)| other);
        let above = links.range(height..).next().map(|(_, other)| other);
        let surround = match (below, above) {
            (Some(inner), _) if inner.body.source.height > body.source.height => Some((confirm, inner)),
            (_, Some(outer)) if outer.body.source.height < body.source.height => Some((outer, confirm)),
            _ => None,
        };
        if let Some((outer, inner)) = surround {
            let (outer, inner) = (outer.clone(), inner.clone());
            return Novelty::Conflict(Box::new(Evidence::Surround { outer, inner }));
        }
        links.insert(height, confirm.clone());
        if links.len() > CONFIRMS_REMEMBERED_MAX {
            links.pop_first();
        }
        Novelty::Fresh
    }

    /// Keeps a confirm until its slice comes. Gives the weight that waits for that slice.
    pub(super) fn hold(&mut self, target: &SliceRef, held: Held) -> Result<u64, DropReason> {
        let count = self.waiting_count.entry(held.producer).or_default();
        if *count >= PENDING_CONFIRMS_MAX {
            return Err(DropReason::PendingFull);
        }
        let waiting = self.waiting.entry((target.height, target.id)).or_default();
        if waiting.held.contains_key(&held.producer) {
            return Err(DropReason::Duplicate);
        }
        *count += 1;
        waiting.weight += held.weight;
        waiting.held.insert(held.producer, held);
        Ok(waiting.weight)
    }

    /// Takes the confirms that waited for `target`.
    pub(super) fn take(&mut self, target: &SliceRef) -> Vec<Held> {
        let taken = self.waiting.remove(&(target.height, target.id)).unwrap_or_default();
        self.release(&taken);
        taken.held.into_values().collect()
    }

    /// Forgets the waiting confirms of slices below `height`.
    pub(super) fn prune(&mut self, height: Height) {
        let kept = self.waiting.split_off(&(height, Hash::ZERO));
        let gone = std::mem::replace(&mut self.waiting, kept);
        for waiting in gone.values() {
            self.release(waiting);
        }
    }

    fn release(&mut self, waiting: &Waiting) {
        for held in waiting.held.values() {
            if let Some(count) = self.waiting_count.get_mut(&held.producer) {
                *count -= 1;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hpb_types::{ChainId, ConfirmBody, Epoch, Slot};

    use super::*;

    fn at(slot: u64, index: u32, fork: u8) -> SliceRef {
        SliceRef { height: Height { slot: Slot(slot), index }, id: Hash([fork; 32]) }
    }

    fn confirm(source: SliceRef, target: SliceRef) -> Confirm {
        let body = ConfirmBody {
            version: 1,
            chain: ChainId(Hash::ZERO),
            epoch: Epoch(0),
            source,
            target,
            producer: "producer0".parse().unwrap(),
        };
        Confirm { body, signature: Signature([0; 64]) }
    }

    fn held(index: usize) -> Held {
        Held {
            producer: format!("producer{index}").parse().unwrap(),
            epoch: Epoch(0),
            weight: 1,
            source: at(0, 0, 0),
            signature: Signature([0; 64]),
        }
    }

    #[test]
    fn honest_links_conflict_in_no_order() {
        let links = [((0, 0), (1, 0)), ((1, 0), (1, 3)), ((1, 0), (1, 4)), ((1, 3), (2, 0))];
        for first in 0..links.len() {
            let mut confirms = Confirms::default();
            for step in 0..links.len() {
                let ((s, i), (t, j)) = links[(first + step * 3) % links.len()];
                assert!(matches!(confirms.remember(&confirm(at(s, i, 0), at(t, j, 0))), Novelty::Fresh));
            }
        }
    }

    #[test]
    fn two_at_one_height_are_a_fault_whatever_differs() {
        for other in [confirm(at(0, 0, 0), at(1, 1, 9)), confirm(at(1, 0, 0), at(1, 1, 0))] {
            let mut confirms = Confirms::default();
            confirms.remember(&confirm(at(0, 0, 0), at(1, 1, 0)));
            let Novelty::Conflict(evidence) = confirms.remember(&other) else { panic!("no evidence") };
            assert!(matches!(*evidence, Evidence::TwoConfirms { second, .. } if second == other));
        }
    }

    #[test]
    fn another_signature_on_one_body_is_a_duplicate() {
        let mut confirms = Confirms::default();
        let first = confirm(at(0, 0, 0), at(1, 1, 0));
        confirms.remember(&first);
        let again = Confirm { signature: Signature([1; 64]), ..first };
        assert!(matches!(confirms.remember(&again), Novelty::Duplicate));
    }

    #[test]
    fn a_surround_is_found_from_either_side() {
        let (outer, inner) = (confirm(at(1, 0, 0), at(4, 0, 0)), confirm(at(2, 0, 0), at(3, 0, 0)));
        for pair in [[&outer, &inner], [&inner, &outer]] {
            let mut confirms = Confirms::default();
            assert!(matches!(confirms.remember(pair[0]), Novelty::Fresh));
            let Novelty::Conflict(evidence) = confirms.remember(pair[1]) else { panic!("no evidence") };
            let (outer, inner) = (outer.clone(), inner.clone());
            assert_eq!(*evidence, Evidence::Surround { outer, inner });
        }
    }

    #[test]
    fn memory_is_bounded_a_producer() {
        let mut confirms = Confirms::default();
        for slot in 1..=CONFIRMS_REMEMBERED_MAX as u64 + 10 {
            confirms.remember(&confirm(at(0, 0, 0), at(slot, 0, 0)));
        }
        assert!(confirms.links.values().all(|links| links.len() == CONFIRMS_REMEMBERED_MAX));
        for slot in 0..PENDING_CONFIRMS_MAX as u64 {
            assert!(confirms.hold(&at(slot, 0, 0), held(0)).is_ok());
        }
        assert_eq!(confirms.hold(&at(9_999, 0, 0), held(0)), Err(DropReason::PendingFull));
        assert!(confirms.hold(&at(9_999, 0, 0), held(1)).is_ok(), "one producer does not crowd out another");
        confirms.prune(at(10, 0, 0).height);
        assert!(confirms.hold(&at(9_999, 0, 0), held(0)).is_ok());
    }

    #[test]
    fn what_waits_comes_back_once() {
        let mut confirms = Confirms::default();
        assert_eq!(confirms.hold(&at(3, 1, 0), held(0)), Ok(1));
        assert_eq!(confirms.hold(&at(3, 1, 0), held(1)), Ok(2));
        assert_eq!(confirms.hold(&at(3, 1, 0), held(1)), Err(DropReason::Duplicate));
        assert_eq!(confirms.take(&at(3, 1, 0)), vec![held(0), held(1)]);
        assert!(confirms.take(&at(3, 1, 0)).is_empty());
    }
}
