//! The way to the operator's checkpoint, proven by hashes before a slice below it is taken.
//!
//! Old keys sign for nothing once their stake is released, so whoever buys enough of them makes a chain from any old
//! slice on with certificates as good as the true ones. A checkpoint decides between the two, but only where it stands:
//! a node that took the false chain below it would hold finals that it can never take back. So a node that has not
//! reached its checkpoint first follows the headers of several peers from its own last final slice to the checkpoint.
//! Each header names its parent's id; a run of them that ends in the checkpoint is the one way to it, whoever sent it and
//! whatever its signatures. Of that run every so many slots a slice is kept, a mark; slices with their transactions are
//! taken later, a range up to the next mark at a time, and only if the range leads to it.
//!
//! A peer whose chain has not the checkpoint is at fault. If the way begins beside this node's own last final slice, at
//! its very height, this node's own chain is the false one, and it must stop.

use std::collections::BTreeMap;

use hpb_base::limits::{SPINE_MARKS_MAX, SPINE_PEERS_MAX};
use hpb_base::{Duration, Instant};
use hpb_toe::SessionId;
use hpb_types::message::{Headers, PieceEnd, RangeRequest};
use hpb_types::{Hash, Slice, SliceRef, Slot};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(4);
/// The pause after a peer had no answer.
const ASIDE: Duration = Duration::from_secs(1);

/// What came of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// More is asked for.
    On,
    /// The checkpoint is reached.
    Proven,
    /// The peer's chain has not the checkpoint, or does not lead there from here.
    Beside,
    /// What it sent is no chain, or not what was asked for.
    Broken,
    /// Nothing of this was asked of it.
    Unasked,
    /// The checkpoint's chain has this slice where this node has another final one.
    OwnBeside(SliceRef),
}

/// Slices of the way, ascending, the checkpoint last.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    /// Slots from one to the next at least.
    spacing: u64,
    pub(super) list: Vec<SliceRef>,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self { spacing: 1, list: Vec::new() }
    }

    /// Takes in the last slice of a slot.
    pub(super) fn push(&mut self, slice: SliceRef) {
        let last = self.list.last().map_or(0, |last| last.height.slot.0 / self.spacing);
        if slice.height.slot.0 / self.spacing > last {
            self.list.push(slice);
        }
        if self.list.len() > SPINE_MARKS_MAX {
            self.spacing *= 2;
            let (spacing, mut seen) = (self.spacing, 0);
            self.list.retain(|mark| {
                std::mem::replace(&mut seen, mark.height.slot.0 / spacing) != mark.height.slot.0 / spacing
            });
        }
    }

    pub(super) fn close(&mut self, checkpoint: SliceRef) {
        self.list.retain(|mark| mark.height.slot < checkpoint.height.slot);
        self.list.push(checkpoint);
    }

    /// Where a range that begins in slot `from` ends: at the last mark in its `span` slots, or else at the next one;
    /// `None` beyond the checkpoint.
    pub(super) fn end_of(&self, from: Slot, span: u64) -> Option<Slot> {
        let last = Slot(from.0.saturating_add(span.max(1) - 1));
        let next = self.list.partition_point(|mark| mark.height.slot < from);
        let within = self.list.partition_point(|mark| mark.height.slot <= last);
        self.list.get(next.max(within.saturating_sub(1))).map(|mark| mark.height.slot)
    }

    /// The mark in slot `to`, which ends a range.
    pub(super) fn at(&self, to: Slot) -> Option<SliceRef> {
        let index = self.list.binary_search_by_key(&to, |mark| mark.height.slot).ok()?;
        self.list.get(index).copied()
    }
}

/// How far one peer's headers have led.
#[derive(Debug)]
struct Trace {
    /// The last header that followed; none before the first.
    tip: Option<SliceRef>,
    /// Its slice at the height of this node's last final one, if it has one there.
    base: Option<SliceRef>,
    marks: Marks,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Wanted,
    Asked { request: u64, until: Instant },
    Aside { until: Instant },
}

/// The search for the way.
#[derive(Debug)]
pub(super) struct Spine {
    checkpoint: SliceRef,
    start: SliceRef,
    traces: BTreeMap<SessionId, Trace>,
}

impl Spine {
    /// From this node's last final slice `start` to `checkpoint`, which lies above it.
    pub(super) fn new(start: SliceRef, checkpoint: SliceRef) -> Self {
        Self { checkpoint, start, traces: BTreeMap::new() }
    }

    /// The peers that may be asked: whose final slice is at or above the checkpoint. As many of them as there is room for
    /// are followed at once, so that one who sends headers without end holds nobody up.
    pub(super) fn follow(&mut self, peers: impl Iterator<Item = SessionId>) {
        for session in peers {
            if self.traces.len() >= SPINE_PEERS_MAX {
                return;
            }
            let fresh = Trace { tip: None, base: None, marks: Marks::new(), state: State::Wanted };
            self.traces.entry(session).or_insert(fresh);
        }
    }

    /// A peer is gone.
    pub(super) fn close(&mut self, session: SessionId) {
        self.traces.remove(&session);
    }

    /// Whom to ask for what; `next` numbers the requests. Gives those who did not answer in time, too: room for others is
    /// made in their place.
    pub(super) fn ask(&mut self, now: Instant, next: &mut u64) -> (Vec<(SessionId, RangeRequest)>, Vec<SessionId>) {
        let (mut asks, mut late) = (Vec::new(), Vec::new());
        self.traces.retain(|session, trace| {
            let is_late = matches!(trace.state, State::Asked { until, .. } if until <= now);
            if is_late {
                late.push(*session);
            }
            !is_late
        });
        for (session, trace) in &mut self.traces {
            let is_due = match trace.state {
                State::Wanted => true,
                State::Aside { until } => until <= now,
                State::Asked { .. } => false,
            };
            if is_due {
                *next += 1;
                // The first answer begins at this node's own last slice, to show whether the way leads over it.
                let from = trace.tip.map_or(self.start.height, |tip| super::after(tip.height));
                trace.state = State::Asked { request: *next, until: now + ANSWER_MAX };
                asks.push((*session, RangeRequest { request: *next, from, to: self.checkpoint.height.slot }));
            }
        }
        (asks, late)
    }

    /// Takes a peer's answer.
    pub(super) fn take(&mut self, now: Instant, session: SessionId, headers: &Headers) -> Step {
        let Some(trace) = self.traces.get_mut(&session) else { return Step::Unasked };
        match trace.state {
            State::Asked { request, .. } if request == headers.request => {}
            _ => return Step::Unasked,
        }
        for slice in &headers.slices {
            match trace.follow(self.start, self.checkpoint, slice) {
                Step::On => {}
                ended => return ended,
            }
        }
        trace.state = match headers.end {
            PieceEnd::Cut if headers.slices.is_empty() => return Step::Broken,
            PieceEnd::More => return Step::Broken,
            PieceEnd::Cut => State::Wanted,
            // All that is final up to the checkpoint's slot, and the checkpoint is not among it.
            PieceEnd::Done => return Step::Beside,
            PieceEnd::NotHere | PieceEnd::Busy => State::Aside { until: now + ASIDE },
        };
        Step::On
    }

    /// The marks of the peer whose headers have reached the checkpoint.
    pub(super) fn into_marks(mut self, session: SessionId) -> Option<Marks> {
        let mut marks = self.traces.remove(&session)?.marks;
        marks.close(self.checkpoint);
        Some(marks)
    }

    /// When an answer is overdue or a pause over.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let at = |trace: &Trace| match trace.state {
            State::Wanted => None,
            State::Asked { until, .. } | State::Aside { until } => Some(until),
        };
        self.traces.values().filter_map(at).min()
    }
}

impl Trace {
    /// Goes on by one header.
    fn follow(&mut self, start: SliceRef, checkpoint: SliceRef, slice: &Slice) -> Step {
        let (at, parent) = (slice.reference(), slice.body.parent);
        let Some(tip) = self.tip else { return self.begin(start, checkpoint, at, parent) };
        if at.height <= tip.height || parent != tip.id {
            return Step::Broken;
        }
        if tip.height.slot < at.height.slot {
            self.marks.push(tip);
        }
        self.tip = Some(at);
        self.end(start, checkpoint, at)
    }

    /// Takes the first header: this node's own last final slice, or its child, or a slice at its height that is another.
    fn begin(&mut self, start: SliceRef, checkpoint: SliceRef, at: SliceRef, parent: Hash) -> Step {
        if at.height < start.height {
            return Step::Broken;
        }
        if at.height > start.height && parent != start.id {
            return Step::Beside;
        }
        self.base = (at.height == start.height).then_some(at);
        self.tip = Some(at);
        self.end(start, checkpoint, at)
    }

    fn end(&self, start: SliceRef, checkpoint: SliceRef, at: SliceRef) -> Step {
        match self.base {
            _ if at.height < checkpoint.height => Step::On,
            _ if at != checkpoint => Step::Beside,
            Some(base) if base != start => Step::OwnBeside(base),
            _ => Step::Proven,
        }
    }
}
