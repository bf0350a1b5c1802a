//! How far a chain proves itself final, by the certificates that its slices carry.

use hpb_types::{Certificate, Height};

/// How far a chain's own certificates prove it final. A function of the slices alone, so that rules about it bind every
/// node alike; what a node knows from confirms can only be ahead of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    /// The highest target carried.
    pub(super) target: Height,
    /// The first index of the run of justified slices that ends at the target, all in one slot.
    run_first: u32,
    /// The highest slice proven final.
    pub(super) last_final: Height,
}

impl Progress {
    /// That of a chain's start.
    pub(super) fn genesis(height: Height) -> Self {
        Self { target: height, run_first: height.index, last_final: height }
    }

    /// That of a chain whose slice at `last_final` is known to be final and carries a certificate of `target`. Which slices
    /// before the target are justified is not known: none is counted.
    pub(super) fn trusted(target: Height, last_final: Height) -> Self {
        Self { target, run_first: target.index, last_final }
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
            self.last_final = self.last_final.max(source);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use hpb_types::{Hash, SliceRef, Slot};

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
        assert_eq!(progress(&run).last_final, at(3, 0).height);
    }

    #[test]
    fn a_hole_or_another_slot_proves_nothing() {
        let hole = [(at(0, 0), at(3, 0)), (at(3, 0), at(3, 2))];
        assert_eq!(progress(&hole).last_final, at(0, 0).height);
        let gap = [(at(0, 0), at(3, 0)), (at(3, 0), at(4, 0))];
        assert_eq!(progress(&gap).last_final, at(0, 0).height);
    }

    #[test]
    fn a_certificate_seen_before_changes_nothing() {
        let run = [(at(0, 0), at(3, 0)), (at(0, 0), at(3, 1)), (at(0, 0), at(3, 0)), (at(3, 0), at(3, 2))];
        assert_eq!(progress(&run).last_final, at(3, 0).height);
    }
}
