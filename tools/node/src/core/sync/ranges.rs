//! The gap, cut into ranges of slots: what is wanted, asked for, and waits to be handed on.

use std::collections::{BTreeMap, VecDeque};

use hpb_base::Instant;
use hpb_base::limits::{CHAIN_ANSWER_FILL_LEN, SYNC_RANGES_MAX, SYNC_SPAN_SLOTS_MAX};
use hpb_toe::SessionId;
use hpb_types::message::SliceBundle;
use hpb_types::{Height, PublicKey, SliceRef, Slot};

/// Where a range stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The rest of it is to be asked for.
    Wanted,
    /// It is asked for; a piece must come before `until`.
    Asked { session: SessionId, request: u64, until: Instant },
    /// All of it came, as that peer says.
    Whole { by: Option<PublicKey> },
}

/// Some slots.
pub(super) struct Range {
    /// The lowest height that did not come yet.
    pub(super) from: Height,
    /// The last slot.
    pub(super) to: Slot,
    pub(super) state: State,
    slices: VecDeque<(SessionId, usize, SliceBundle)>,
    bytes: usize,
    start: Height,
    /// Whether slices of it were handed on.
    touched: bool,
    /// Whether all of it is known to lead to the checkpoint.
    proven: bool,
}

impl Range {
    pub(super) fn new(from: Height, to: Slot) -> Self {
        Self {
            from,
            to,
            state: State::Wanted,
            slices: VecDeque::new(),
            bytes: 0,
            start: from,
            touched: false,
            proven: false,
        }
    }

    pub(super) fn push(&mut self, session: SessionId, bundle: SliceBundle) {
        let len = bundle_len(&bundle);
        self.bytes += len;
        self.proven = false;
        self.slices.push_back((session, len, bundle));
    }

    /// Bytes of slices that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether its slices are the one way from `tail` to `mark`, the last slice of its last slot, or part of it if the
    /// slot goes on behind a mark that is `open`. Who sent any of them, if they are not.
    pub(super) fn prove(&mut self, tail: SliceRef, mark: SliceRef, open: bool) -> Result<(), Vec<SessionId>> {
        if self.proven || mark.height <= tail.height && self.slices.is_empty() {
            return Ok(());
        }
        let ids: Vec<SliceRef> = self.slices.iter().map(|(_, _, bundle)| bundle.slice.reference()).collect();
        let led = ids.iter().rposition(|slice| *slice == mark).is_some_and(|end| {
            let parents = self.slices.iter().map(|(_, _, bundle)| bundle.slice.body.parent);
            let above = [tail.id].into_iter().chain(ids.iter().map(|slice| slice.id));
            (open || end + 1 == ids.len()) && parents.zip(above).take(end + 1).all(|(parent, id)| parent == id)
        });
        self.proven = led || open && mark.height <= tail.height;
        if self.proven {
            return Ok(());
        }
        let mut senders: Vec<SessionId> = self.slices.iter().map(|(session, ..)| *session).collect();
        senders.sort_unstable();
        senders.dedup();
        Err(senders)
    }

    /// Forgets what came, to ask for all of it again.
    pub(super) fn empty(&mut self) {
        self.from = self.start;
        self.state = State::Wanted;
        self.bytes = 0;
        self.slices.clear();
    }

    pub(super) fn first(&self) -> Option<(SessionId, &SliceBundle)> {
        self.slices.front().map(|(session, _, bundle)| (*session, bundle))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Where it begins.
    pub(super) fn start(&self) -> Height {
        self.start
    }
}

/// About what a slice takes in memory.
fn bundle_len(bundle: &SliceBundle) -> usize {
    const SLICE_LEN: usize = 512;
    const TRANSACTION_LEN: usize = 512;
    let signatures: usize = bundle.slice.body.source.quorums.iter().map(|quorum| quorum.signatures.len()).sum();
    let arguments = bundle.transactions.iter().flat_map(|transaction| &transaction.body.actions);
    let arguments: usize = arguments.map(|action| action.arguments.len()).sum();
    SLICE_LEN + 64 * signatures + TRANSACTION_LEN * bundle.transactions.len() + arguments
}

/// The ranges, ascending and without a gap.
pub(super) struct Ranges {
    list: VecDeque<Range>,
    /// Slots of the next range: more where answers are short, fewer where they are cut.
    span: u64,
}

impl Default for Ranges {
    fn default() -> Self {
        Self { list: VecDeque::new(), span: 2 }
    }
}

impl Ranges {
    pub(super) fn has_room(&self) -> bool {
        self.list.len() < SYNC_RANGES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn span(&self) -> u64 {
        self.span
    }

    /// An answer was whole: one without a slice says that slots are idle there.
    pub(super) fn lengthen(&mut self, is_empty: bool) {
        let longer = if is_empty { 2 * self.span } else { self.span + 1 };
        self.span = longer.min(SYNC_SPAN_SLOTS_MAX);
    }

    /// An answer was cut.
    pub(super) fn shorten(&mut self) {
        self.span = (self.span / 4).max(1);
    }

    pub(super) fn push(&mut self, range: Range) {
        self.list.push_back(range);
    }

    pub(super) fn get(&self, index: usize) -> &Range {
        &self.list[index]
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut Range {
        &mut self.list[index]
    }

    pub(super) fn front(&self) -> Option<&Range> {
        self.list.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Range> {
        self.list.front_mut()
    }

    pub(super) fn pop_front(&mut self) {
        self.list.pop_front();
    }

    pub(super) fn take_first(&mut self) -> Option<(SessionId, usize, SliceBundle)> {
        let front = self.list.front_mut()?;
        front.touched = true;
        let taken = front.slices.pop_front()?;
        front.bytes -= taken.1;
        Some(taken)
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// The range that was asked of `session` by that request.
    pub(super) fn asked(&self, session: SessionId, request: u64) -> Option<usize> {
        self.list.iter().position(|range| {
            matches!(range.state, State::Asked { session: of, request: by, .. } if of == session && by == request)
        })
    }

    /// Requests that are out, by peer.
    pub(super) fn asked_of(&self) -> BTreeMap<SessionId, usize> {
        let mut asked = BTreeMap::new();
        for range in &self.list {
            if let State::Asked { session, .. } = range.state {
                *asked.entry(session).or_default() += 1;
            }
        }
        asked
    }

    /// Bytes that wait, with those that answers may still bring.
    pub(super) fn bytes_expected(&self) -> usize {
        let of = |range: &Range| {
            let is_asked = matches!(range.state, State::Asked { .. });
            range.bytes + if is_asked { CHAIN_ANSWER_FILL_LEN } else { 0 }
        };
        self.list.iter().map(of).sum()
    }

    /// Ranges whose answer is overdue are wanted again; from whom it did not come.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<SessionId> {
        let mut late = Vec::new();
        for range in &mut self.list {
            if let State::Asked { session, until, .. } = range.state
                && until <= now
            {
                range.state = State::Wanted;
                late.push(session);
            }
        }
        late
    }

    /// What was asked of a peer is wanted of another.
    pub(super) fn unasked(&mut self, session: SessionId) {
        for range in &mut self.list {
            if matches!(range.state, State::Asked { session: of, .. } if of == session) {
                range.state = State::Wanted;
            }
        }
    }

    /// Drops what a peer sent and what follows it in the same ranges.
    pub(super) fn drop_of(&mut self, session: SessionId) {
        self.unasked(session);
        for range in &mut self.list {
            if let Some(at) = range.slices.iter().position(|(of, ..)| *of == session) {
                range.from = range.slices[at].2.slice.body.height();
                range.bytes -= range.slices.drain(at..).map(|(_, len, _)| len).sum::<usize>();
                range.state = State::Wanted;
            }
        }
    }

    /// Asks anew for what lies between `from` and the first range of which nothing was handed on. Gives the last slot of
    /// all ranges, `covered` before.
    pub(super) fn restart(&mut self, from: Height, covered: Slot) -> Slot {
        while self.list.front().is_some_and(|range| range.touched || range.start <= from) {
            self.list.pop_front();
        }
        let to = self.list.front().map_or(covered, |next| Slot(next.start.slot.0.saturating_sub(1)));
        self.list.push_front(Range::new(from, to));
        covered
    }

    /// When the next answer is overdue.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let until = |range: &Range| match range.state {
            State::Asked { until, .. } => Some(until),
            State::Wanted | State::Whole { .. } => None,
        };
        self.list.iter().filter_map(until).min()
    }
}
