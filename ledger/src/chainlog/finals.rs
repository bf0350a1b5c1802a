//! Where the final slices stand, and a walk over them in the chain's order: what peers that were away are served from.
//!
//! The index is sparse: one mark for the first final slice of every so many slots, at most [`LOG_MARKS_MAX`] of them,
//! gathered while the log is replayed and as it is written. A walk begins at the mark at or before its first slot and
//! tells final slices from forks by the records of finality. A slice stands behind its parent, so what is final at or
//! after a mark's slot stands at or behind the mark.

use std::collections::{BTreeMap, VecDeque};

use hpb_base::limits::{LOG_MARKS_MAX, LOG_WAITING_MAX, LOG_WALK_BYTES_MAX};
use hpb_types::{Hash, Height, Slice, SliceRef, Slot, Transaction};

use super::record::{KIND_SLICE, Place, frame_at, slice_of, transactions_of};
use super::recover::Segment;
use super::{BLOCK_LEN, ChainLog, LogError, Position, Record};

/// Slots from one mark to the next at first.
const MARK_SLOTS: u64 = 16;

/// Where a batch stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BatchPlace {
    pub(super) segment: u32,
    pub(super) offset: u64,
    /// The batch's number.
    pub(super) number: u64,
}

/// What a batch says of the chain's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Note {
    /// It holds this slice.
    Slice { slice: SliceRef, parent: Hash },
    /// The chain is final up to here.
    Final(SliceRef),
}

impl Note {
    /// What a record says.
    pub(super) fn of(record: &Record) -> Option<Self> {
        match record {
            Record::Slice { slice, .. } => Some(Self::Slice { slice: slice.reference(), parent: slice.body.parent }),
            Record::Final(reference) => Some(Self::Final(*reference)),
            Record::Confirm(_) | Record::Certificate(_) => None,
        }
    }
}

/// The index.
#[derive(Debug)]
pub(super) struct Finals {
    mark_slots: u64,
    marks_max: usize,
    marks: BTreeMap<Slot, BatchPlace>,
    /// Slices that are not final: their heights, parents and places.
    waiting: BTreeMap<Hash, (Height, Hash, BatchPlace)>,
    tip: SliceRef,
    /// Where what is kept begins, if that is not the chain's beginning: behind this slice.
    root: Option<SliceRef>,
}

impl Finals {
    pub(super) fn new() -> Self {
        Self::with_room(LOG_MARKS_MAX)
    }

    fn with_room(marks_max: usize) -> Self {
        let tip = SliceRef { height: Height::default(), id: Hash::ZERO };
        Self { mark_slots: MARK_SLOTS, marks_max, marks: BTreeMap::new(), waiting: BTreeMap::new(), tip, root: None }
    }

    /// What is noted from now on comes behind `root`.
    pub(super) fn begin(&mut self, root: SliceRef) {
        (self.tip, self.root) = (root, Some(root));
    }

    /// Where what is kept begins.
    pub(super) fn root(&self) -> Option<SliceRef> {
        self.root
    }

    /// Takes in what stands at `place`.
    pub(super) fn note(&mut self, note: &Note, place: BatchPlace) {
        match *note {
            Note::Slice { slice, parent } => {
                if slice.height > self.tip.height && self.waiting.len() < LOG_WAITING_MAX {
                    self.waiting.entry(slice.id).or_insert((slice.height, parent, place));
                }
            }
            Note::Final(reference) if reference.height > self.tip.height => self.finalise(reference),
            Note::Final(_) => {}
        }
    }

    fn finalise(&mut self, reference: SliceRef) {
        let mut chain = Vec::new();
        let mut id = reference.id;
        while let Some((height, parent, place)) = self.waiting.remove(&id) {
            chain.push((height.slot, place));
            id = parent;
        }
        for (slot, place) in chain.into_iter().rev() {
            let bucket = slot.0 / self.mark_slots;
            if self.marks.last_key_value().is_none_or(|(last, _)| last.0 / self.mark_slots < bucket) {
                self.marks.insert(slot, place);
            }
        }
        self.tip = reference;
        self.waiting.retain(|_, (height, ..)| *height > reference.height);
        while self.marks.len() > self.marks_max {
            self.mark_slots *= 2;
            let (slots, mut last) = (self.mark_slots, None);
            self.marks.retain(|slot, _| last.replace(slot.0 / slots) != Some(slot.0 / slots));
        }
    }

    /// The segments before `segment` are gone.
    pub(super) fn forget_before(&mut self, segment: u32) {
        self.marks.retain(|_, place| place.segment >= segment);
        // From here on the marks tell where what is kept begins.
        self.root = None;
    }
}

/// A slice that a walk came by.
#[derive(Debug)]
struct Held {
    slice: Slice,
    height: Height,
    position: Position,
    /// Its record's body, if there was room to keep it.
    body: Option<Vec<u8>>,
}

/// A final slice, read back.
#[derive(Debug)]
pub struct FinalSlice {
    /// The slice.
    pub slice: Slice,
    position: Position,
    body: Vec<u8>,
}

impl FinalSlice {
    /// Its transactions, in order.
    ///
    /// # Errors
    /// [`LogError::Undecodable`].
    pub fn transactions(&self) -> Result<Vec<Transaction>, LogError> {
        let undecodable = || LogError::Undecodable { position: self.position, kind: KIND_SLICE };
        transactions_of(&self.body).ok_or_else(undecodable)
    }

    /// Bytes that slice and transactions take in the log.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there are none: never.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

/// A walk over the final slices from a height to the end of a slot. It may wait as long as it likes, and is carried
/// from thread to thread.
#[derive(Debug)]
pub struct FinalWalk {
    from: Height,
    to: Slot,
    next: Option<BatchPlace>,
    /// The slot of the mark at which it began; none at the log's beginning.
    begun: Option<Slot>,
    tip: Height,
    /// The last final slice that it came by.
    last: Option<Hash>,
    waiting: BTreeMap<Hash, Held>,
    waiting_bytes: usize,
    ready: VecDeque<Held>,
    /// A final slice beyond the range was seen.
    passed: bool,
    /// What is final does not lead down to where it began: a slice stands before its parent.
    broken: bool,
}

/// A step of a walk.
#[derive(Debug)]
pub enum WalkStep {
    /// The next final slice.
    Slice(Box<FinalSlice>),
    /// A batch was read that brought none yet.
    Walked,
    /// There are no more in the range.
    End,
}

impl ChainLog {
    /// The last slice that the log says is final, as far as it was replayed or written since it was opened.
    pub fn last_final(&self) -> SliceRef {
        self.finals.tip
    }

    /// The first slot whose final slices are all kept.
    pub fn finals_from(&self) -> Slot {
        if self.is_whole() {
            return Slot(0);
        }
        let marked = self.finals.marks.first_key_value().map_or(self.finals.tip.height.slot, |(slot, _)| *slot);
        self.finals.root.map_or(marked, |root| Slot(root.height.slot.0.saturating_add(1)))
    }

    /// Whether the final slices from `from` on are kept.
    fn is_kept(&self, from: Height) -> bool {
        match self.finals.root {
            Some(root) if !self.is_whole() => from > root.height,
            _ => from.slot >= self.finals_from(),
        }
    }

    /// Begins a walk over the final slices from height `from` to the end of slot `to`; `None` where `from` lies before
    /// what is kept, or above the last final slice. The log was replayed before, or it knows nothing.
    pub fn walk_finals(&self, from: Height, to: Slot) -> Option<FinalWalk> {
        if from > self.finals.tip.height || !self.is_kept(from) {
            return None;
        }
        let lowest = &self.headers[0];
        let first = BatchPlace { segment: lowest.segment, offset: BLOCK_LEN, number: lowest.first_batch };
        let mark = self.finals.marks.range(..=from.slot).next_back();
        Some(FinalWalk {
            from,
            to,
            next: Some(mark.map_or(first, |(_, place)| *place)),
            begun: mark.map(|(slot, _)| *slot),
            tip: Height::default(),
            last: None,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            ready: VecDeque::new(),
            passed: false,
            broken: false,
        })
    }

    /// Goes on with a walk: hands out a slice, or reads one more batch.
    ///
    /// # Errors
    /// [`LogError::NoRecord`] where the place was pruned meanwhile, or slices of the range stand before their parents; [`LogError::Damaged`], [`LogError::Undecodable`],
    /// [`LogError::Io`].
    pub fn step_finals(&mut self, walk: &mut FinalWalk) -> Result<WalkStep, LogError> {
        if let Some(Held { slice, height, position, body }) = walk.ready.pop_front() {
            let body = match body {
                Some(body) => body,
                None => self.read_raw(position)?.1,
            };
            walk.from = Height { index: height.index + 1, ..height };
            return Ok(WalkStep::Slice(Box::new(FinalSlice { slice, position, body })));
        }
        let Some(place) = walk.next.filter(|_| !walk.passed) else { return Ok(WalkStep::End) };
        walk.next = self.walk_batch(place, walk)?;
        if walk.broken {
            let position = Position { segment: place.segment, batch: place.offset, record: 0 };
            return Err(LogError::NoRecord { position });
        }
        Ok(if walk.next.is_none() && walk.ready.is_empty() { WalkStep::End } else { WalkStep::Walked })
    }

    /// Takes the batch at `place` into a walk. Gives the next one's place; `None` at the log's end.
    fn walk_batch(&mut self, place: BatchPlace, walk: &mut FinalWalk) -> Result<Option<BatchPlace>, LogError> {
        let BatchPlace { segment, offset, number } = place;
        let gone = Position { segment, batch: offset, record: 0 };
        let index = self.index_of(segment).ok_or(LogError::NoRecord { position: gone })?;
        let end = self.end_of(index);
        if offset >= end {
            let next = self.headers.get(index + 1);
            let next = next.map(|header| BatchPlace {
                segment: header.segment,
                offset: BLOCK_LEN,
                number: header.first_batch,
            });
            return Ok(next);
        }
        let path = self.folder.name();
        let (header, mut buffer) = (self.headers[index], Vec::new());
        let file = self.file_of(index)?;
        let whole = Segment { header: &header, file }.batch(offset, end, number, &mut buffer);
        let found = whole.map_err(|error| LogError::io("reading", &path, error))?;
        let what = "a batch that was synced is bad";
        let found = found.ok_or(LogError::Damaged { path, segment, offset, what })?;
        let batch = Place { salt: &header.salt, segment, offset };
        for at in found.records {
            let Some(frame) = frame_at(&batch, at, &buffer[at..]) else { continue };
            let position = Position { segment, batch: offset, record: at as u64 };
            let undecodable = || LogError::Undecodable { position, kind: frame.kind };
            if frame.is_slice() {
                let slice = slice_of(frame.body).ok_or_else(undecodable)?;
                walk.take(slice, frame.body, position);
            } else if let Some(reference) = frame.final_point() {
                walk.finalise(reference);
            }
        }
        Ok(Some(BatchPlace { segment, offset: found.end, number: number + 1 }))
    }
}

impl FinalWalk {
    /// The lowest height that it has not handed out: where another walk goes on.
    pub fn from(&self) -> Height {
        self.from
    }

    fn take(&mut self, slice: Slice, body: &[u8], position: Position) {
        let reference = slice.reference();
        let known = reference.height <= self.tip || self.waiting.contains_key(&reference.id);
        if known || self.waiting.len() >= LOG_WAITING_MAX {
            return;
        }
        let fits = self.waiting_bytes + body.len() <= LOG_WALK_BYTES_MAX;
        self.waiting_bytes += if fits { body.len() } else { 0 };
        let body = fits.then(|| body.to_vec());
        self.waiting.insert(reference.id, Held { slice, height: reference.height, position, body });
    }

    fn finalise(&mut self, reference: SliceRef) {
        if reference.height <= self.tip {
            return;
        }
        let mut chain = Vec::new();
        let mut id = reference.id;
        while let Some(held) = self.waiting.remove(&id) {
            self.waiting_bytes -= held.body.as_ref().map_or(0, Vec::len);
            id = held.slice.body.parent;
            chain.push(held);
        }
        self.broken |= match chain.last() {
            Some(lowest) if self.last.is_some() => self.last != Some(lowest.slice.body.parent),
            Some(lowest) => self.begun.is_some_and(|begun| lowest.height.slot > begun),
            None => reference.height >= self.from,
        };
        if !chain.is_empty() {
            self.last = Some(reference.id);
        }
        for held in chain.into_iter().rev() {
            self.passed |= held.height.slot > self.to;
            if held.height >= self.from && held.height.slot <= self.to {
                self.ready.push_back(held);
            }
        }
        self.tip = reference.height;
        let bytes = &mut self.waiting_bytes;
        self.waiting.retain(|_, held| {
            let stays = held.height > reference.height;
            *bytes -= if stays { 0 } else { held.body.as_ref().map_or(0, Vec::len) };
            stays
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
