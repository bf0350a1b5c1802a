//! The final end of a chain: what an engine starts from and moves forward.
//!
//! It keeps the final slices back to the one that the last of them names as its source, because a slice that follows may
//! carry a certificate of any of those. A host replays its log through [`Anchor::extend`].

use std::collections::VecDeque;
use std::sync::Arc;

use hpb_types::{Certificate, Hash, Height, Slice, SliceRef, Slot};

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
    /// What the chain up to the tip proves of itself.
    pub(super) progress: Progress,
}

/// A slice and the source that it carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) reference: SliceRef,
    pub(super) source: SliceRef,
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
}

/// How far a chain's own certificates prove it final. A function of the slices alone, so that rules about it bind every
/// node alike; what a node knows from confirms can only be ahead of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    /// The highest target carried.
    pub(super) target: Height,
    /// The first index of the run of justified slices that ends at the target, all in one slot.
    run_first: u32,
    /// The slot of the highest slice proven final.
    pub(super) final_slot: Slot,
}

impl Progress {
    fn genesis(height: Height) -> Self {
        Self { target: height, run_first: height.index, final_slot: height.slot }
    }

    /// The progress of a chain that goes on by a slice that carries `certificate`.
    pub(super) fn with(mut self, certificate: &Certificate) -> Self {
        let (source, target) = (certificate.source.height, certificate.target.height);
        if target <= self.target {
            return self;
        }
        if target.slot != self.target.slot || target.index != self.target.index + 1 {
            self.run_first = target.index;
        }
        self.target = target;
        if source.slot == target.slot && source.index >= self.run_first {
            self.final_slot = source.slot;
        }
        self
    }
}

impl Anchor {
    /// The start of a chain. Genesis is its own source, and counts as the last slice of its slot.
    pub fn genesis(genesis: SliceRef) -> Self {
        let certificate = Arc::new(Certificate::genesis(genesis));
        Self {
            trail: VecDeque::from([Link { reference: genesis, source: genesis }]),
            carried: Arc::clone(&certificate),
            certificate: Some(certificate),
            last: true,
            progress: Progress::genesis(genesis.height),
        }
    }

    /// Goes on by the next final slice, as read from the log.
    ///
    /// # Errors
    /// If the slice is not the tip's child or its source is not on the chain: the log is not one chain.
    pub fn extend(&mut self, slice: &Slice) -> Result<(), AnchorError> {
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
        let carried = if slice.body.source == *self.carried {
            Arc::clone(&self.carried)
        } else {
            Arc::new(slice.body.source.clone())
        };
        self.push(found, carried, slice.body.last);
        Ok(())
    }

    /// The certificate that justifies the tip, if the host kept it: slices that follow can carry it at once. One for
    /// another slice is ignored.
    pub fn certify(&mut self, certificate: Certificate) {
        if certificate.target == self.tip() && certificate.source == self.carried.target {
            self.certificate = Some(Arc::new(certificate));
        }
    }

    /// The last final slice.
    pub fn tip(&self) -> SliceRef {
        self.trail[self.trail.len() - 1].reference
    }

    /// Goes on by a slice that the engine has checked.
    pub(super) fn push(&mut self, reference: SliceRef, carried: Arc<Certificate>, last: bool) {
        let source = carried.target;
        self.progress = self.progress.with(&carried);
        self.trail.push_back(Link { reference, source });
        self.carried = carried;
        self.certificate = None;
        self.last = last;
        while self.trail[0].reference.height < source.height {
            self.trail.pop_front();
        }
    }

    /// The final slice at `height`, among those kept.
    pub(super) fn find(&self, height: Height) -> Option<Link> {
        let index = self.trail.binary_search_by_key(&height, |link| link.reference.height).ok()?;
        self.trail.get(index).copied()
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
mod tests {
    use super::*;

    fn at(slot: u64, index: u32) -> SliceRef {
        SliceRef { height: Height { slot: Slot(slot), index }, id: Hash([slot as u8 + 1; 32]) }
    }

    fn certificate(source: SliceRef, target: SliceRef) -> Certificate {
        Certificate { source, target, quorums: Vec::new() }
    }

    fn progress(links: &[(SliceRef, SliceRef)]) -> Progress {
        links.iter().fold(Progress::genesis(at(0, 0).height), |progress, (source, target)| {
            progress.with(&certificate(*source, *target))
        })
    }

    #[test]
    fn a_dense_run_within_a_slot_proves_its_start() {
        let run = [(at(0, 0), at(3, 0)), (at(0, 0), at(3, 1)), (at(3, 0), at(3, 2))];
        assert_eq!(progress(&run).final_slot, Slot(3));
    }

    #[test]
    fn a_hole_or_another_slot_proves_nothing() {
        let hole = [(at(0, 0), at(3, 0)), (at(3, 0), at(3, 2))];
        assert_eq!(progress(&hole).final_slot, Slot(0));
        let gap = [(at(0, 0), at(3, 0)), (at(3, 0), at(4, 0))];
        assert_eq!(progress(&gap).final_slot, Slot(0));
    }

    #[test]
    fn a_certificate_seen_before_changes_nothing() {
        let run = [(at(0, 0), at(3, 0)), (at(0, 0), at(3, 1)), (at(0, 0), at(3, 0)), (at(3, 0), at(3, 2))];
        assert_eq!(progress(&run).final_slot, Slot(3));
    }

    #[test]
    fn the_trail_reaches_back_to_the_source_and_no_further() {
        let mut anchor = Anchor::genesis(at(0, 0));
        for index in 0..5 {
            anchor.push(at(1, index), Arc::new(certificate(at(0, 0), at(0, 0))), false);
        }
        assert!(anchor.find(at(0, 0).height).is_some());
        anchor.push(at(1, 5), Arc::new(certificate(at(0, 0), at(1, 3))), false);
        assert_eq!(anchor.find(at(1, 2).height), None);
        assert_eq!(anchor.find(at(1, 3).height).map(|link| link.reference), Some(at(1, 3)));
        assert_eq!(anchor.tip(), at(1, 5));
    }
}
