//! What a log still holds after whatever happened to it.
//!
//! # What a crash can leave
//!
//! One batch is in flight at a time; the next is written only after the sync of the one before returned. Batches start
//! at block boundaries and segments are never used again, so a crash touches only the blocks of the batch in flight,
//! and each of them holds what was written or the zeros from before. A confirm leaves, and a user is told, only after
//! the sync. So at the end of the last segment stands one of these:
//!
//! | what stands there | what it means | watermark |
//! | --- | --- | --- |
//! | zeros | the batch in flight left nothing | that of the last whole batch: every confirm that left is covered |
//! | a whole batch | it was written, perhaps not synced: it is synced now, before anything is built on it | its own: perhaps one confirm too high, which costs that confirm and no safety |
//! | part of a batch, one copy of its watermark readable | a torn write | that copy: at least as high as anything that left |
//! | part of a batch, no copy readable | a torn write whose first block is missing; **or** a batch that was synced and then lost both copies | unknown |
//! | less than the segment's length | no crash does this: synced batches may be gone | unknown |
//!
//! The first row trusts the disk: one that loses all of a synced batch without a trace can't be told from one that
//! never got it. The third row is safe under any damage to that batch, as a watermark that is too high is never unsafe.
//! Only in the fourth row could a torn write be told from rot by nothing at all, and the safe answer is silence. It
//! needs a power loss that keeps a later block of the batch and not its first one: a killed process leaves a prefix,
//! which begins with the block that holds `Open`. So killing all nodes of a chain at once does not silence them all.
//!
//! The watermark that was found, unknown included, is written into the header of a new segment before the torn bytes
//! are cut off, so a second crash, or a second start, never falls back to an older one.
//!
//! # What no crash can leave
//!
//! A bad batch with any sign of a later one behind it was synced once: it is damage, not a torn tail. The same goes for
//! a bad batch before the end that the next segment's header states, a missing segment, a bad header. The log is then
//! refused ([`LogError::Damaged`]), since cutting would throw away synced batches: restore the files, or move the
//! folder away and start without a watermark.

use std::io;

use hpb_base::limits::LOG_BATCH_LEN_MAX;
use hpb_types::Height;

use super::LogError;
use super::file::LogFile;
use super::header::Header;
use super::record::{
    BLOCK_LEN, CLOSE_BODY_LEN, CLOSE_LEN, Close, Frame, KIND_CLOSE, OPEN_LEN, Open, Place, close_of, frame_at, open_of,
    padded_len, slice_height,
};
use crate::watermark::WatermarkState;

/// How the log ended when it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// With a whole batch, or none.
    Clean,
    /// With part of a batch, which was cut off. Nothing in it was ever told to anyone, if the disk keeps what it
    /// synced.
    Torn {
        /// The segment.
        segment: u32,
        /// Where the part began, in bytes from the segment's start.
        offset: u64,
        /// Whether a copy of its watermark could be read.
        watermark_read: bool,
    },
    /// With a segment that is shorter than it was made.
    Truncated {
        /// The segment.
        segment: u32,
        /// Its length in bytes.
        length: u64,
        /// The length that its header states.
        expected: u64,
    },
}

/// What was found when a log was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// How the log ended.
    pub tail: Tail,
    /// How far the producer has confirmed, at least.
    pub watermark: WatermarkState,
    /// The number of the last whole batch; 0 if there is none.
    pub last_batch: u64,
    /// Batches of the last segment whose padding is no longer zero: the disk is rotting, the batches are whole.
    pub stray_count: u64,
}

/// One segment, for reading.
pub(super) struct Segment<'a> {
    pub(super) header: &'a Header,
    pub(super) file: &'a dyn LogFile,
}

/// A whole batch, as it was read into the buffer of the caller.
pub(super) struct Found {
    pub(super) offset: u64,
    /// Where the next batch begins.
    pub(super) end: u64,
    pub(super) number: u64,
    pub(super) watermark: WatermarkState,
    /// Where each record starts in the buffer.
    pub(super) records: Vec<usize>,
    /// Whether its padding is not all zero.
    pub(super) stray: bool,
}

/// What the walk over the last segment came to.
pub(super) struct LastSegment {
    /// Where the whole batches end.
    pub(super) end: u64,
    /// The number of the next batch.
    pub(super) next_number: u64,
    pub(super) height_max: Height,
    pub(super) recovery: Recovery,
}

impl Segment<'_> {
    pub(super) fn place(&self, offset: u64) -> Place<'_> {
        Place { salt: &self.header.salt, segment: self.header.segment, offset }
    }

    /// Reads the batch `number` at `offset` into `buffer`; `None` unless all of it stands before `end` and is good.
    pub(super) fn batch(&self, offset: u64, end: u64, number: u64, buffer: &mut Vec<u8>) -> io::Result<Option<Found>> {
        if end.saturating_sub(offset) < BLOCK_LEN {
            return Ok(None);
        }
        self.read(offset, BLOCK_LEN as usize, buffer)?;
        let place = self.place(offset);
        let Some(open) = frame_at(&place, 0, buffer).and_then(|frame| open_of(&frame)) else { return Ok(None) };
        let length = open.length as usize;
        let possible = open.number == number && (OPEN_LEN + CLOSE_LEN..=LOG_BATCH_LEN_MAX).contains(&length);
        let next = offset + padded_len(length as u64);
        if !possible || next > end {
            return Ok(None);
        }
        if next - offset > BLOCK_LEN {
            self.read(offset, (next - offset) as usize, buffer)?;
        }
        Ok(whole(&place, &open, buffer).map(|(records, close)| Found {
            offset,
            end: next,
            number,
            watermark: open.watermark.higher(close.watermark),
            records,
            stray: buffer[length..].iter().any(|byte| *byte != 0),
        }))
    }

    /// Walks over all batches and judges what stands behind the last.
    ///
    /// # Errors
    /// [`LogError::Damaged`] where synced batches were lost; [`LogError::Io`].
    pub(super) fn walk_last(&self, path: &str) -> Result<LastSegment, LogError> {
        let failed = |error| LogError::io("reading", path, error);
        let actual = self.file.length().map_err(failed)?;
        let mut walk = LastSegment {
            end: BLOCK_LEN,
            next_number: self.header.first_batch,
            height_max: self.header.height_before,
            recovery: Recovery {
                tail: Tail::Clean,
                watermark: self.header.watermark,
                last_batch: self.header.first_batch - 1,
                stray_count: 0,
            },
        };
        let mut buffer = Vec::new();
        let limit = actual.min(self.header.length);
        while let Some(found) = self.batch(walk.end, limit, walk.next_number, &mut buffer).map_err(failed)? {
            let place = self.place(found.offset);
            for at in &found.records {
                let height = frame_at(&place, *at, &buffer[*at..]).and_then(|frame| slice_height(&frame));
                walk.height_max = walk.height_max.max(height.unwrap_or_default());
            }
            walk.end = found.end;
            walk.next_number = found.number + 1;
            walk.recovery.last_batch = found.number;
            walk.recovery.watermark = found.watermark;
            walk.recovery.stray_count += u64::from(found.stray);
        }
        let rest = self.examine(walk.end, limit, walk.next_number).map_err(failed)?;
        if let Some(offset) = rest.later {
            let (segment, what) = (self.header.segment, "a bad batch before others that were synced after it");
            let bad = walk.end;
            tracing::debug!(segment, bad, offset, "a later batch stands behind a bad one");
            return Err(LogError::Damaged { path: path.to_owned(), segment, offset: bad, what });
        }
        let segment = self.header.segment;
        if actual < self.header.length {
            walk.recovery.tail = Tail::Truncated { segment, length: actual, expected: self.header.length };
            walk.recovery.watermark = WatermarkState::Unknown;
        } else if rest.dirty {
            walk.recovery.tail = Tail::Torn { segment, offset: walk.end, watermark_read: rest.copy.is_some() };
            walk.recovery.watermark = match rest.copy {
                Some(copy) => walk.recovery.watermark.higher(copy),
                None => WatermarkState::Unknown,
            };
        }
        Ok(walk)
    }

    /// Looks through the bytes from `from`, where the batch `number` should begin and no whole one does, to `to`.
    fn examine(&self, from: u64, to: u64, number: u64) -> io::Result<Rest> {
        let mut rest = Rest { dirty: false, copy: None, later: None };
        let mut torn_end = to;
        let mut buffer = Vec::new();
        let mut offset = from;
        while offset < to {
            let step = (to - offset).min(WINDOW_LEN);
            self.read(offset, (step as usize) + CLOSE_LEN, &mut buffer)?;
            let window = &buffer[..step as usize];
            if let Some(last) = window.iter().rposition(|byte| *byte != 0) {
                rest.dirty = true;
                self.search(offset, last + 1, &buffer, |at, mark| match mark {
                    Mark::Open(open) if at == from && open.number == number => {
                        torn_end = from.saturating_add(padded_len(u64::from(open.length)));
                        rest.copy = Some(higher_copy(rest.copy, open.watermark));
                    }
                    Mark::Close(close) if close.number == number => {
                        rest.copy = Some(higher_copy(rest.copy, close.watermark));
                    }
                    Mark::Open(_) | Mark::Close(_) => rest.later = Some(at),
                });
                let last = offset + last as u64;
                if last >= torn_end {
                    rest.later = Some(last);
                }
            }
            offset += step;
        }
        Ok(rest)
    }

    /// Finds `Open` and `Close` records that start in the first `length` bytes of `bytes`, which begin at `offset`.
    fn search(&self, offset: u64, length: usize, bytes: &[u8], mut found: impl FnMut(u64, Mark)) {
        for start in (0..length).step_by(BLOCK_LEN as usize) {
            let at = offset + start as u64;
            if let Some(open) = frame_at(&self.place(at), 0, &bytes[start..]).and_then(|frame| open_of(&frame)) {
                found(at, Mark::Open(open));
            }
        }
        let prefix = close_prefix();
        for start in 0..length {
            if !bytes[start..].starts_with(&prefix) {
                continue;
            }
            // A checksum is bound to the place alone, whichever batch it is counted from.
            let at = offset + start as u64;
            if let Some(close) = frame_at(&self.place(at), 0, &bytes[start..]).and_then(|frame| close_of(&frame)) {
                found(at, Mark::Close(close));
            }
        }
    }

    /// Fills `buffer` with `length` bytes from `offset`; what lies behind the file's end reads as zeros.
    fn read(&self, offset: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize(length, 0);
        let count = self.file.read_at(offset, buffer)?;
        buffer[count..].fill(0);
        Ok(())
    }
}

/// Bytes looked at in one go behind the last batch.
const WINDOW_LEN: u64 = 1 << 20;

/// What stands behind the last whole batch.
struct Rest {
    /// Anything but zeros.
    dirty: bool,
    /// The higher readable copy of the torn batch's watermark.
    copy: Option<WatermarkState>,
    /// Where a sign of a later batch stands.
    later: Option<u64>,
}

enum Mark {
    Open(Open),
    Close(Close),
}

fn higher_copy(copy: Option<WatermarkState>, other: WatermarkState) -> WatermarkState {
    copy.map_or(other, |copy| copy.higher(other))
}

fn close_prefix() -> [u8; 5] {
    let mut prefix = [KIND_CLOSE; 5];
    prefix[..4].copy_from_slice(&(CLOSE_BODY_LEN as u32).to_le_bytes());
    prefix
}

/// Where the records of a batch start, and its `Close`; `None` unless every record of it is good.
fn whole(place: &Place<'_>, open: &Open, bytes: &[u8]) -> Option<(Vec<usize>, Close)> {
    let close_at = open.length as usize - CLOSE_LEN;
    let mut records = Vec::new();
    let mut at = OPEN_LEN;
    while at < close_at {
        let frame: Frame<'_> = frame_at(place, at, &bytes[at..close_at])?;
        records.push(at);
        at += frame.len();
    }
    let close = close_of(&frame_at(place, at, &bytes[at..])?)?;
    let agrees = at == close_at && close.number == open.number && records.len() == open.records as usize;
    agrees.then_some((records, close))
}
