//! The final end of a chain: what the engine starts from.

use std::sync::Arc;

use hpb_types::{Certificate, Epoch, Height, Slice, SliceRef};

use super::chain::{Chain, Node};
use crate::engine::{self, AnchorError, Office};
use crate::schedules::Schedules;
use crate::verdict::Verdict;

/// The last final slices, and the schedule of all.
#[derive(Clone, Debug)]
pub struct Anchor {
    pub(super) chain: Chain,
    pub(super) schedules: Schedules,
}

impl Anchor {
    /// The end of a chain whose last slice of `run` is known to be final by another way than its own word. `run` are the
    /// headers from the source that it carries up to itself. `None` if they are no such run.
    pub fn trusted(run: &[Slice], schedules: Schedules) -> Option<Self> {
        Some(Self { chain: Chain::trusted(run)?, schedules })
    }

    /// The source that the tip carries and the number of headers from there to the tip, both included, if
    /// [`trusted`](Self::trusted) makes this very anchor of them.
    pub fn base(&self) -> Option<(SliceRef, usize)> {
        let source = self.chain.node(self.chain.root()).carried.target;
        (source.height > Height::default()).then(|| (source, self.chain.final_count()))
    }
}

impl engine::Anchor for Anchor {
    fn genesis(genesis: SliceRef, schedules: Schedules) -> Self {
        Self { chain: Chain::genesis(genesis), schedules }
    }

    fn extend(&mut self, slice: &Slice) -> Result<Office, AnchorError> {
        let (tip, found) = (self.chain.root(), slice.reference());
        if slice.body.parent != tip.id || found.height <= tip.height {
            return Err(AnchorError::NotNext { tip, found });
        }
        if slice.body.epoch != Epoch(0) {
            return Err(AnchorError::Schedule { found });
        }
        if !self.chain.fits(tip, &slice.body.source) {
            return Err(AnchorError::Source { found });
        }
        let above = self.chain.node(tip);
        let office = office(&self.schedules, &slice.body.source, above);
        self.chain.justify(slice.body.source.target, &Arc::new(slice.body.source.clone()));
        self.chain.insert(tip, found, slice, true);
        if let Some(node) = self.chain.node_mut(found) {
            node.verdict = Verdict::Settled;
        }
        self.chain.switch(found);
        self.chain.finalise(found);
        Ok(office)
    }

    fn certify(&mut self, certificate: Certificate) {
        let tip = self.chain.root();
        if certificate.target == tip && certificate.source == self.chain.node(tip).carried.target {
            self.chain.justify(tip, &Arc::new(certificate));
        }
    }

    fn tip(&self) -> SliceRef {
        self.chain.root()
    }
}

/// What execution must know of a slice that carries `carried` on `above`.
pub(super) fn office(schedules: &Schedules, carried: &Certificate, above: &Node) -> Office {
    let is_new = carried.target.height > above.carried.target.height;
    let confirmers = if is_new { schedules.signers(&carried.quorums) } else { Vec::new() };
    Office { schedule: Arc::clone(schedules.latest()), confirmers }
}
