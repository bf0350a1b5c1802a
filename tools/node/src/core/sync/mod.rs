//! Catching up: a node that was away, or is new, asks several peers at once for the final slices that it lacks.
//!
//! A machine without I/O. It learns from its peers how far they are final; where that is more than a few slots ahead, it
//! cuts the gap into ranges of slots, asks for several at a time, and hands the slices on in the chain's order, each
//! only if it follows the one before. Signatures, certificates, transactions and execution are judged by its host, slice
//! by slice, and finality by the engine alone, from the certificates that the slices carry: nothing is believed because
//! a peer says so. The last slot that peers call final is left to gossip, which goes on from there.
//!
//! What each kind of peer comes to:
//! - a slice that is not what it should be: refused at that very slice, what came before is kept, its sender is closed
//!   and not asked for a while ([`Fault`]);
//! - answers of two peers that do not fit together: both ranges are asked of a third, and once the chain is final there,
//!   whoever told it otherwise is named;
//! - no answer: another peer is asked, and this one after a pause that doubles;
//! - a height that nobody bears out: a round ends where answers end, and the claim counts for nothing for a while. One
//!   that lies in the future counts for nothing at all;
//! - a chain that the operator's checkpoint excludes: its sender is closed, and nothing of it is taken ([`spine`]);
//! - nobody has the slots any more, or nobody is there: the round ends, counted ([`SyncStats`]), and begins again when
//!   a peer has something.
//!
//! Memory and work are bounded: ranges and bytes that wait here, slices that are being judged, slices that the disk has
//! not caught up with, and slices that are not final. While one of them is at its bound nothing more is asked for.

mod peers;
mod ranges;
mod spine;
#[cfg(test)]
pub(super) mod tests;

use std::collections::VecDeque;

use hpb_base::limits::{
    SPINE_RANGE_BYTES_MAX, SYNC_BEHIND_SLOTS, SYNC_DISPUTES_MAX, SYNC_HANDED_BYTES_MAX, SYNC_HANDED_MAX,
    SYNC_UNFINAL_MAX, SYNC_WAITING_BYTES_MAX,
};
use hpb_base::{Duration, Instant, Machine};
use hpb_toe::SessionId;
use hpb_types::message::{ChainPiece, Headers, PieceEnd, RangeRequest, SliceBundle, Standing};
use hpb_types::{Epoch, Hash, Height, PublicKey, SliceRef, Slot};

use peers::Peers;
use ranges::{Range, Ranges, State};
use spine::{Marks, Spine, Step};

/// How long a piece may take.
const ANSWER_MAX: Duration = Duration::from_secs(4);
/// How long nobody may have anything to give before a round ends.
const STALL_MAX: Duration = Duration::from_secs(10);
/// The pause after the host had no room.
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// What is wrong with a peer's answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// A slice that does not follow the one before it.
    Link,
    /// A slice from outside the range that was asked for.
    Range,
    /// A slice whose signature, beacon, certificate or transactions do not verify.
    Unverified,
    /// A slice that is not valid where it stands, or executes to other results.
    Invalid,
    /// A piece that nobody asked for.
    Unasked,
    /// Slices that turned out not to be the final ones, or not all of them.
    Untrue,
    /// A chain without the operator's checkpoint, or one that does not lead there from this node's last final slice.
    Checkpoint,
}

/// What the machine is told.
pub(super) enum Input {
    /// What a validator has.
    Standing { session: SessionId, peer: PublicKey, standing: Standing },
    /// A session is gone.
    Closed { session: SessionId },
    /// A piece of an answer.
    Piece { session: SessionId, piece: Box<ChainPiece> },
    /// An answer without transactions.
    Headers { session: SessionId, headers: Box<Headers> },
    /// The slice that was handed on with that number stands in the engine's tree.
    Taken { number: u64 },
    /// It was refused.
    Refused { number: u64, fault: Fault },
    /// There was no room for it.
    Delayed { number: u64 },
    /// These slices are final, in the chain's order.
    Final(Vec<SliceRef>),
}

/// What it can't know by itself, asked anew before it decides anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    /// The present slot, by the latest of honest clocks.
    pub(super) slot: Slot,
    /// The latest epoch whose schedule is known.
    pub(super) epoch: Epoch,
    /// Whether disk and store keep up.
    pub(super) has_room: bool,
}

/// What the machine says.
pub(super) enum Output {
    /// Ask this peer.
    Ask { session: SessionId, request: RangeRequest },
    /// Ask this peer for slices without their transactions.
    AskHeaders { session: SessionId, request: RangeRequest },
    /// Judge this slice, after those handed on before; then say what came of it.
    Judge { number: u64, bundle: Box<SliceBundle> },
    /// Close this session: its peer's answers are not what they should be.
    Ban { session: SessionId, fault: Fault },
    /// This node's own final slice `own` is not on the checkpoint's chain, which has `found` at its height: go no further.
    OwnBeside { own: SliceRef, found: SliceRef, checkpoint: SliceRef },
}

/// What happened so far. Only grows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncStats {
    /// Rounds begun.
    pub rounds: u64,
    /// Rounds that closed the gap.
    pub finished: u64,
    /// Rounds that ended because no peer was there or answered.
    pub without_peer: u64,
    /// Rounds that ended because no peer keeps the slots any more.
    pub pruned: u64,
    /// Rounds that ended because what peers gave did not become final.
    pub unfinal: u64,
    /// Requests.
    pub asked: u64,
    /// Requests that no piece answered in time.
    pub unanswered: u64,
    /// Requests whose peer had not what it said, or had too much to do.
    pub declined: u64,
    /// Slices taken.
    pub slices: u64,
    /// Peers closed for a fault.
    pub banned: u64,
    /// Claims of a height that nothing bore out.
    pub doubted: u64,
    /// Pieces that came too late.
    pub late: u64,
    /// Slices without transactions that were followed to the checkpoint.
    pub headers: u64,
}

/// A slice that is being judged.
struct Handed {
    number: u64,
    slice: SliceRef,
    session: SessionId,
    len: usize,
}

/// Answers of several peers that do not fit together: two slices that should follow one another, and do not.
struct Dispute {
    /// The lower slice. Nothing between it and the upper one was sent.
    tail: SliceRef,
    /// Who sent it.
    giver: Option<PublicKey>,
    /// Who said that there is nothing between the two.
    closers: Vec<PublicKey>,
    /// Who sent the upper slice.
    right: PublicKey,
    /// The upper slice's height.
    height: Height,
    /// Its parent.
    parent: Hash,
    /// Where the answer with the upper slice was to begin.
    start: Height,
    /// Whether the lower slice turned out to be final.
    tail_final: bool,
    /// Whether there are final slices between the two, below the start and from there on.
    between: [bool; 2],
    /// The last final slice below the upper one.
    before: Hash,
}

impl Dispute {
    /// Takes in a slice that is final now. Once the chain has passed the upper slice, those who were wrong.
    fn judge(&mut self, slice: &SliceRef) -> Option<Vec<PublicKey>> {
        self.tail_final |= *slice == self.tail;
        if slice.height < self.height {
            self.before = slice.id;
            if slice.height > self.tail.height {
                self.between[usize::from(slice.height >= self.start)] = true;
            }
            return None;
        }
        let [below, above] = self.between;
        let mut wrong = Vec::new();
        if !self.tail_final {
            wrong.extend(self.giver);
        } else if below {
            wrong.append(&mut self.closers);
        }
        if above || self.before != self.parent {
            wrong.push(self.right);
        }
        Some(wrong)
    }

    fn parties(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.giver.iter().chain(&self.closers).copied().chain([self.right])
    }
}

/// The machine.
pub(super) struct Sync {
    now: Instant,
    around: Surroundings,
    peers: Peers,
    active: bool,
    /// The last slot of the last range.
    covered: Slot,
    ranges: Ranges,
    handed: VecDeque<Handed>,
    handed_bytes: usize,
    /// The last slice that was handed on.
    tail: SliceRef,
    /// Who sent it, and who said since that nothing follows it in a range.
    tail_by: Option<PublicKey>,
    tail_closed_by: Vec<PublicKey>,
    /// The last slice that was taken.
    taken: SliceRef,
    final_slice: SliceRef,
    /// Slices taken since the last final one.
    unfinal: usize,
    disputes: Vec<Dispute>,
    /// The operator's checkpoint, while the last final slice is below it.
    checkpoint: Option<SliceRef>,
    /// The search for the way there, until it is found.
    spine: Option<Spine>,
    /// The way, once it is found.
    marks: Option<Marks>,
    /// Whether this node's own chain is beside it.
    is_beside: bool,
    number: u64,
    request: u64,
    /// When something came or was judged last.
    progress_at: Instant,
    paused_until: Instant,
    outputs: VecDeque<Output>,
    stats: SyncStats,
}

impl Sync {
    /// A machine of a node whose last final slice is `final_slice`. It goes no other way than over `checkpoint`, if that
    /// lies above.
    pub(super) fn new(final_slice: SliceRef, checkpoint: Option<SliceRef>, around: Surroundings, now: Instant) -> Self {
        let checkpoint = checkpoint.filter(|checkpoint| checkpoint.height > final_slice.height);
        Self {
            checkpoint,
            spine: checkpoint.map(|checkpoint| Spine::new(final_slice, checkpoint)),
            marks: None,
            is_beside: false,
            now,
            around,
            peers: Peers::default(),
            active: false,
            covered: final_slice.height.slot,
            ranges: Ranges::default(),
            handed: VecDeque::new(),
            handed_bytes: 0,
            tail: final_slice,
            tail_by: None,
            tail_closed_by: Vec::new(),
            taken: final_slice,
            final_slice,
            unfinal: 0,
            disputes: Vec::new(),
            number: 0,
            request: 0,
            progress_at: now,
            paused_until: now,
            outputs: VecDeque::new(),
            stats: SyncStats::default(),
        }
    }

    /// What happened so far.
    pub(super) fn stats(&self) -> &SyncStats {
        &self.stats
    }

    /// Whether it is at work.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Whether a slice of `slot` that came by itself is of no use yet: the slices between are not here. More than a third
    /// of the peers must say that this node is behind: one that lies about its height does not make it deaf.
    pub(super) fn is_beyond(&self, slot: Slot) -> bool {
        if self.is_guarded() {
            return true;
        }
        let edge = Slot(self.reached().0 + SYNC_BEHIND_SLOTS);
        self.active && slot > edge && self.peers.borne_out(self.now) > edge
    }

    /// How far this node has the chain, final or not.
    fn reached(&self) -> Slot {
        self.taken.height.max(self.final_slice.height).slot
    }

    /// Whether the operator's checkpoint is not reached yet: until then what comes by itself is read by nobody, and what
    /// this node holds is given to nobody.
    pub(super) fn is_guarded(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// Whether the slice with that number is still waited for.
    pub(super) fn expects(&self, number: u64) -> bool {
        self.handed.front().is_some_and(|handed| handed.number == number)
    }

    /// Before anything is decided: how things stand around it.
    pub(super) fn look(&mut self, around: Surroundings) {
        self.around = around;
    }

    fn piece(&mut self, session: SessionId, piece: ChainPiece) {
        let Some(index) = self.ranges.asked(session, piece.request) else {
            if piece.request == 0 || piece.request > self.request {
                return self.ban(session, Fault::Unasked);
            }
            self.stats.late += 1;
            return;
        };
        if piece.end == PieceEnd::Done || !piece.slices.is_empty() {
            self.peers.answered(session);
            self.progress_at = self.now;
        }
        let range = self.ranges.get_mut(index);
        let mut from = range.from;
        for bundle in piece.slices {
            let height = bundle.slice.body.height();
            if height < from || height.slot > range.to {
                return self.ban(session, Fault::Range);
            }
            from = after(height);
            range.push(session, bundle);
        }
        range.from = from;
        if self.marks.is_some() && range.bytes() > SPINE_RANGE_BYTES_MAX {
            // More than can be held until it is proven.
            range.empty();
            return self.peers.set_aside(session, self.now);
        }
        match piece.end {
            PieceEnd::More => {
                range.state = State::Asked { session, request: piece.request, until: self.now + ANSWER_MAX }
            }
            PieceEnd::Done => {
                let is_idle = from == range.start();
                range.state = State::Whole { by: self.peers.key(session) };
                self.ranges.lengthen(is_idle);
            }
            PieceEnd::Cut => {
                range.state = State::Wanted;
                self.ranges.shorten();
            }
            PieceEnd::NotHere | PieceEnd::Busy => {
                range.state = State::Wanted;
                self.stats.declined += 1;
                self.peers.set_aside(session, self.now);
            }
        }
    }

    /// Closes a peer, and forgets what it sent that was not judged yet.
    fn ban(&mut self, session: SessionId, fault: Fault) {
        self.stats.banned += 1;
        self.peers.ban(session, self.now);
        self.ranges.drop_of(session);
        if let Some(spine) = &mut self.spine {
            spine.close(session);
        }
        if self.handed.iter().any(|handed| handed.session == session) {
            self.go_back();
        }
        self.outputs.push_back(Output::Ban { session, fault });
    }

    /// Goes on from the last slice that was taken: what was handed on after it is asked for again.
    fn go_back(&mut self) {
        self.handed.clear();
        self.handed_bytes = 0;
        self.set_tail(self.taken, None);
        self.covered = self.ranges.restart(after(self.taken.height), self.covered);
    }

    /// Forgets all ranges and begins anew behind the last final slice.
    fn start_over(&mut self) {
        self.handed.clear();
        self.handed_bytes = 0;
        self.ranges.clear();
        self.taken = self.final_slice;
        self.set_tail(self.final_slice, None);
        self.unfinal = 0;
        // The rest of the last final slice's own slot.
        let slot = self.final_slice.height.slot;
        self.covered = self.range_end(slot, 1);
        self.ranges.push(Range::new(after(self.final_slice.height), self.covered));
    }

    /// Where a range ends that begins in slot `from` and is to take up `span` slots: at a mark, up to the checkpoint.
    fn range_end(&self, from: Slot, span: u64) -> Slot {
        let marked = self.marks.as_ref().and_then(|marks| marks.end_of(from, span));
        marked.unwrap_or(Slot(from.0 + span - 1))
    }

    fn set_tail(&mut self, tail: SliceRef, by: Option<PublicKey>) {
        (self.tail, self.tail_by) = (tail, by);
        self.tail_closed_by.clear();
    }

    fn judged(&mut self, number: u64) -> Option<Handed> {
        if !self.expects(number) {
            return None;
        }
        let handed = self.handed.pop_front()?;
        self.handed_bytes -= handed.len;
        Some(handed)
    }

    fn taken(&mut self, number: u64) {
        let Some(handed) = self.judged(number) else { return };
        self.stats.slices += 1;
        self.progress_at = self.now;
        if handed.slice.height > self.taken.height {
            self.taken = handed.slice;
            self.unfinal += usize::from(handed.slice.height > self.final_slice.height);
        }
    }

    fn finalised(&mut self, newly: &[SliceRef]) {
        let Some(last) = newly.last().copied() else { return };
        self.final_slice = last;
        self.progress_at = self.now;
        self.checkpoint = self.checkpoint.filter(|checkpoint| checkpoint.height > last.height);
        if self.checkpoint.is_none() {
            (self.spine, self.marks) = (None, None);
        } else if let (Some(_), Some(checkpoint)) = (&self.spine, self.checkpoint) {
            self.spine = Some(Spine::new(last, checkpoint));
        }
        self.unfinal = self.unfinal.saturating_sub(newly.len());
        self.settle_disputes(newly);
        if last.height > self.tail.height {
            // The chain went on by other ways.
            if self.active {
                self.start_over();
            }
        } else if last.height > self.taken.height {
            self.taken = last;
        }
    }

    fn settle_disputes(&mut self, newly: &[SliceRef]) {
        let mut wrong = Vec::new();
        self.disputes.retain_mut(|dispute| {
            let judged = newly.iter().find_map(|slice| dispute.judge(slice));
            let is_open = judged.is_none();
            wrong.extend(judged.into_iter().flatten());
            is_open
        });
        for key in wrong {
            if let Some(session) = self.peers.session(&key) {
                self.ban(session, Fault::Untrue);
            }
        }
    }

    /// Does what can be done now.
    fn work(&mut self) {
        for session in self.ranges.expire(self.now) {
            self.stats.unanswered += 1;
            self.peers.set_aside(session, self.now);
        }
        if self.is_beside || self.spine.is_some() {
            return self.follow();
        }
        let (goal, ahead) = (self.peers.goal(self.now, self.around.slot), self.final_slice.height.slot.0);
        if !self.active {
            // What gossip brings is not read below the checkpoint.
            let behind = if self.is_guarded() { 1 } else { SYNC_BEHIND_SLOTS };
            if goal.0 <= ahead + behind {
                return;
            }
            self.active = true;
            self.stats.rounds += 1;
            self.progress_at = self.now;
            self.start_over();
            tracing::info!(from = ahead, to = goal.0, "behind the chain: asking for final slices");
        }
        // The last final slot may still grow.
        let last = Slot(goal.0.saturating_sub(1));
        while self.ranges.has_room() && self.covered < last {
            let from = Height { slot: Slot(self.covered.0 + 1), index: 0 };
            let to = self.range_end(from.slot, self.ranges.span());
            // Up to the checkpoint a range ends at a mark, wherever that is.
            let is_below = self.checkpoint.is_some_and(|checkpoint| from.slot <= checkpoint.height.slot);
            self.covered = if is_below { to } else { last.min(to) };
            self.ranges.push(Range::new(from, self.covered));
        }
        self.hand_on();
        let is_whole = self.ranges.is_empty() && self.handed.is_empty() && self.covered >= last;
        // Where the slices reach what peers call final, the certificates that make them so are still to come.
        let is_borne_out = goal.0 <= self.reached().0 + SYNC_BEHIND_SLOTS;
        if is_whole && (goal.0 <= ahead + SYNC_BEHIND_SLOTS || !is_borne_out) {
            self.stats.finished += 1;
            return self.end("caught up");
        }
        if !self.is_stalled() {
            return self.ask();
        }
        if is_whole {
            self.stats.unfinal += 1;
            self.end("what peers call final does not become so here");
        } else if self.peers.all_pruned(after(self.tail.height).slot) {
            self.stats.pruned += 1;
            self.end("no peer keeps the slots that are missing here");
        } else {
            self.stats.without_peer += 1;
            self.end("no peer answers");
        }
    }

    /// Follows headers to the checkpoint.
    fn follow(&mut self) {
        let (Some(spine), Some(checkpoint)) = (&mut self.spine, self.checkpoint) else { return };
        let holders = self.peers.holders(self.now, self.final_slice.height.slot, checkpoint.height);
        spine.follow(holders.into_iter());
        let (asks, late) = spine.ask(self.now, &mut self.request);
        for session in late {
            self.stats.unanswered += 1;
            self.peers.set_aside(session, self.now);
        }
        for (session, request) in asks {
            self.stats.asked += 1;
            self.outputs.push_back(Output::AskHeaders { session, request });
        }
    }

    fn headers(&mut self, session: SessionId, headers: &Headers) {
        let Some(spine) = &mut self.spine else {
            if headers.request == 0 || headers.request > self.request {
                return self.ban(session, Fault::Unasked);
            }
            self.stats.late += 1;
            return;
        };
        let step = spine.take(self.now, session, headers);
        if step != Step::Unasked {
            self.stats.headers += headers.slices.len() as u64;
        }
        match step {
            Step::On => {}
            Step::Proven => {
                self.marks = self.spine.take().and_then(|spine| spine.into_marks(session));
                let checkpoint = self.checkpoint.map(|checkpoint| checkpoint.to_text());
                tracing::info!(checkpoint, "the way to the checkpoint is found");
            }
            Step::Beside => self.ban(session, Fault::Checkpoint),
            Step::Broken => self.ban(session, Fault::Link),
            Step::Unasked if headers.request == 0 || headers.request > self.request => {
                self.ban(session, Fault::Unasked);
            }
            Step::Unasked => self.stats.late += 1,
            Step::OwnBeside(found) => {
                (self.spine, self.is_beside) = (None, true);
                let own = self.final_slice;
                if let Some(checkpoint) = self.checkpoint {
                    self.outputs.push_back(Output::OwnBeside { own, found, checkpoint });
                }
            }
        }
    }

    /// Whether the front range may be handed on: below the checkpoint only as a whole that leads to its mark.
    fn prove_front(&mut self) -> bool {
        let (Some(marks), Some(front), Some(checkpoint)) = (&self.marks, self.ranges.front_mut(), self.checkpoint)
        else {
            return true;
        };
        if front.start().slot > checkpoint.height.slot {
            return true;
        }
        let Some(mark) = marks.at(front.to) else {
            // Not to be proven as it is cut.
            self.start_over();
            return false;
        };
        let State::Whole { by } = front.state else { return false };
        let Err(senders) = front.prove(self.tail, mark, mark == checkpoint) else { return true };
        front.empty();
        let by = by.and_then(|key| self.peers.session(&key));
        match (senders.as_slice(), by) {
            ([], Some(only)) => self.ban(only, Fault::Checkpoint),
            ([only], Some(by)) if *only == by => self.ban(by, Fault::Checkpoint),
            // One of several.
            (several, _) => several.iter().for_each(|session| self.peers.set_aside(*session, self.now)),
        }
        false
    }

    fn end(&mut self, why: &str) {
        let slices = self.stats.slices;
        tracing::info!(final_slice = %self.final_slice, slices, why, "asking for final slices ended");
        self.active = false;
        self.disputes.clear();
        self.stats.doubted += self.peers.doubt(self.now, Slot(self.final_slice.height.slot.0 + SYNC_BEHIND_SLOTS));
        self.ranges.clear();
        self.handed.clear();
        self.handed_bytes = 0;
    }

    /// Asks for the ranges that are wanted, the nearest first, as far as there is room for their answers.
    fn ask(&mut self) {
        let mut asked = self.ranges.asked_of();
        for index in 0..self.ranges.len() {
            let range = self.ranges.get(index);
            let (State::Wanted, from, to) = (&range.state, range.from, range.to) else { continue };
            if index > 0 && self.ranges.bytes_expected() > SYNC_WAITING_BYTES_MAX {
                break;
            }
            let disputed = self.disputes.iter().filter(|dispute| from <= dispute.height);
            let parties: Vec<PublicKey> = disputed.flat_map(Dispute::parties).collect();
            let Some(session) = self.peers.choose(self.now, from.slot, to, &parties, &asked) else {
                continue;
            };
            self.request += 1;
            self.stats.asked += 1;
            let request = RangeRequest { request: self.request, from, to };
            *asked.entry(session).or_default() += 1;
            let until = self.now + ANSWER_MAX;
            self.ranges.get_mut(index).state = State::Asked { session, request: self.request, until };
            self.outputs.push_back(Output::Ask { session, request });
        }
    }

    /// Whether nothing has come for so long that the round is given up.
    fn is_stalled(&self) -> bool {
        self.stalls_at().is_some_and(|at| at <= self.now)
    }

    /// When the round is given up, if nothing comes; not while this node itself is what holds it up.
    fn stalls_at(&self) -> Option<Instant> {
        let waits = self.active && self.handed.is_empty() && self.around.has_room;
        waits.then(|| self.progress_at + STALL_MAX)
    }

    /// Hands on what follows, in the chain's order.
    fn hand_on(&mut self) {
        while self.may_hand()
            && self.prove_front()
            && let Some(front) = self.ranges.front()
        {
            let State::Whole { by } = front.state else {
                if !self.hand_front() {
                    return;
                }
                continue;
            };
            if front.is_empty() {
                if let Some(by) = by.filter(|by| !self.tail_closed_by.contains(by)) {
                    self.tail_closed_by.push(by);
                }
                self.ranges.pop_front();
            } else if !self.hand_front() {
                return;
            }
        }
    }

    fn may_hand(&self) -> bool {
        self.around.has_room
            && self.now >= self.paused_until
            && self.handed.len() < SYNC_HANDED_MAX
            && self.handed_bytes < SYNC_HANDED_BYTES_MAX
            && self.unfinal + self.handed.len() < SYNC_UNFINAL_MAX
    }

    /// Hands on the front range's next slice; false if it has none, or it must wait, or is wrong.
    fn hand_front(&mut self) -> bool {
        let Some((session, bundle)) = self.ranges.front().and_then(Range::first) else { return false };
        let body = &bundle.slice.body;
        if body.parent != self.tail.id {
            self.unlinked(session, body.parent, body.height());
            return false;
        }
        if body.epoch > self.around.epoch {
            // Schedules are learnt from final slices; a chain proves one final before it is in force.
            if self.handed.is_empty() {
                self.ban(session, Fault::Invalid);
            }
            return false;
        }
        let Some((session, len, bundle)) = self.ranges.take_first() else { return false };
        self.number += 1;
        let slice = bundle.slice.reference();
        self.set_tail(slice, self.peers.key(session));
        self.handed_bytes += len;
        self.handed.push_back(Handed { number: self.number, slice, session, len });
        self.outputs.push_back(Output::Judge { number: self.number, bundle: Box::new(bundle) });
        true
    }

    /// The next slice does not follow the tail. If one peer alone speaks for both, it is at fault; otherwise a third one
    /// and the chain's own finality will tell.
    fn unlinked(&mut self, session: SessionId, parent: Hash, height: Height) {
        let Some(right) = self.peers.key(session) else { return self.ranges.drop_of(session) };
        let others = self.tail_by.iter().chain(&self.tail_closed_by).any(|key| *key != right);
        if !others || self.disputes.len() >= SYNC_DISPUTES_MAX {
            return self.ban(session, Fault::Link);
        }
        let tail_final = self.tail.height <= self.final_slice.height;
        let (tail, giver) = (self.tail, self.tail_by.filter(|_| !tail_final));
        let closers = std::mem::take(&mut self.tail_closed_by);
        let start = self.ranges.front().map_or(height, Range::start).max(after(tail.height));
        let (between, before) = ([false; 2], self.final_slice.id);
        let dispute = Dispute { tail, giver, closers, right, height, parent, start, tail_final, between, before };
        self.disputes.push(dispute);
        self.start_over();
    }
}

impl Machine for Sync {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        match input {
            Input::Standing { session, peer, standing } => self.peers.stand(session, peer, standing),
            Input::Closed { session } => {
                self.peers.close(session);
                self.ranges.unasked(session);
                if let Some(spine) = &mut self.spine {
                    spine.close(session);
                }
            }
            Input::Piece { session, piece } => self.piece(session, *piece),
            Input::Headers { session, headers } => self.headers(session, &headers),
            Input::Taken { number } => self.taken(number),
            Input::Refused { number, fault } => {
                if let Some(handed) = self.judged(number) {
                    self.handed.push_front(handed);
                    let session = self.handed[0].session;
                    self.ban(session, fault);
                }
            }
            Input::Delayed { number } => {
                if self.expects(number) {
                    self.paused_until = now + ROOM_WAIT;
                    self.go_back();
                }
            }
            Input::Final(newly) => self.finalised(&newly),
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Output> {
        self.now = now;
        if self.outputs.is_empty() {
            self.work();
        }
        self.outputs.pop_front()
    }

    fn wake_at(&self) -> Option<Instant> {
        if !self.outputs.is_empty() {
            return Some(self.now);
        }
        let pause = (self.active && self.paused_until > self.now).then_some(self.paused_until);
        let stall = self.stalls_at();
        let peers = self.peers.wake_at(self.now);
        let spine = self.spine.as_ref().and_then(Spine::wake_at);
        [self.ranges.wake_at(), pause, stall, peers, spine].into_iter().flatten().filter(|at| *at > self.now).min()
    }
}

/// The lowest height above `height`.
fn after(height: Height) -> Height {
    Height { index: height.index + 1, ..height }
}
