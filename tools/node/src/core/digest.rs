//! What every terminal is told once a slice: the confirms so far. One digest for all, never single confirms.
//!
//! A digest leaves as soon as the newest slice has its k confirmations, so that "confirmed" waits for nothing else, but
//! never sooner than an interval after the one before. A slice that stays without them delays the digest by half an
//! interval at most.

use std::collections::BTreeSet;

use hpb_base::limits::DIGEST_SLICES_MAX;
use hpb_base::{Duration, Instant};
use hpb_toe::tally::Tally;
use hpb_types::SliceRef;
use hpb_types::message::{Digest, SliceStatus};

pub(super) struct Digests {
    interval: Duration,
    last_at: Instant,
    changed: BTreeSet<SliceRef>,
    justified: BTreeSet<SliceRef>,
    final_slice: SliceRef,
    final_told: SliceRef,
    ripe: bool,
}

impl Digests {
    pub(super) fn new(interval: Duration, final_slice: SliceRef, now: Instant) -> Self {
        Self {
            interval,
            last_at: now,
            changed: BTreeSet::new(),
            justified: BTreeSet::new(),
            final_slice,
            final_told: final_slice,
            ripe: false,
        }
    }

    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// A slice is new on the head's chain: the digest waits for its confirmations, which are on their way.
    pub(super) fn adopted(&mut self, slice: SliceRef) {
        self.changed(slice);
        self.ripe = false;
    }

    /// A slice's count changed.
    pub(super) fn changed(&mut self, slice: SliceRef) {
        if slice.height > self.final_slice.height {
            self.changed.insert(slice);
            while self.changed.len() > DIGEST_SLICES_MAX {
                self.changed.pop_first();
            }
        }
    }

    /// A slice has its k confirmations: news that should not wait.
    pub(super) fn reached(&mut self, slice: SliceRef) {
        self.changed(slice);
        self.ripe = true;
    }

    pub(super) fn justified(&mut self, slice: SliceRef) {
        self.justified.insert(slice);
        self.changed(slice);
    }

    /// Finality that the log holds.
    pub(super) fn finalised(&mut self, reference: SliceRef) {
        self.final_slice = reference;
        self.changed.retain(|slice| slice.height > reference.height);
        self.justified.retain(|slice| slice.height > reference.height);
    }

    /// When the next digest is due; `None` if there is no news.
    pub(super) fn due_at(&self) -> Option<Instant> {
        if self.changed.is_empty() && self.final_slice == self.final_told {
            return None;
        }
        let grace = if self.ripe { Duration::ZERO } else { self.interval.div(2) };
        Some(self.last_at + self.interval + grace)
    }

    /// The digest that is due.
    pub(super) fn take(&mut self, now: Instant, tally: &Tally) -> Option<Digest> {
        if self.due_at()? > now {
            return None;
        }
        self.last_at = now;
        self.ripe = false;
        self.final_told = self.final_slice;
        let slices = std::mem::take(&mut self.changed).into_iter().map(|reference| {
            let count = tally.status(&reference.id);
            let flags = if self.justified.contains(&reference) { SliceStatus::JUSTIFIED } else { 0 };
            SliceStatus {
                reference,
                confirmers: count.map_or(0, |count| count.confirmers),
                weight: count.map_or(0, |count| count.weight),
                flags,
            }
        });
        Some(Digest {
            slices: slices.collect(),
            final_slice: self.final_slice,
            interval_ms: self.interval.as_millis() as u32,
        })
    }
}
