//! The synced log of the chain: the truth that every restart begins from (PROTOCOL.md, "Durability").
//!
//! It is a row of segments that are only ever appended to, batch after batch. A batch is durable when
//! [`ChainLog::append`] returns, and only then may anything in it be told to anyone: one data sync covers the slices in
//! it and the watermark (PROTOCOL.md, "Confirms"). Every batch, and every segment's header, carries the watermark that
//! holds, so the last batch alone says how far this producer has confirmed.
//!
//! A slice is appended after its parent, as it is executed after it: what descends from a slice stands behind it.
//!
//! It refuses a watermark that goes back, damage that no crash can cause, newer formats and other chains; after a write
//! or a sync that failed it refuses everything, because what the disk then holds is known only after a start.
//!
//! [`record`] says how bytes look, [`recover`] what each kind of torn tail means, [`mod@file`] how a disk is reached.

pub mod error;
pub mod file;
pub mod finals;
mod header;
pub mod memory;
pub mod record;
pub mod recover;

use core::fmt;
use std::io::Read;

use hpb_base::Instant;
use hpb_base::limits::{LOG_BATCH_LEN_MAX, LOG_SEGMENT_LEN, LOG_SEGMENT_LEN_MAX, LOG_SEGMENTS_MAX};
use hpb_types::{ChainId, Height, SliceRef, Slot};

pub use error::LogError;
pub use file::{DirectoryFolder, LogFile, LogFolder, StdLogFile, WriteRoot};
use finals::{BatchPlace, Finals, Note};
pub use finals::{FinalSlice, FinalWalk, WalkStep};
use header::Header;
pub use header::LOG_FORMAT;
pub use memory::MemoryFolder;
pub use record::{BLOCK_LEN, LogBatch, Record, Salt};
use record::{Place, frame_at, named_slice, padded_len, record_of};
use recover::{Found, Segment};
pub use recover::{Recovery, Tail};

use crate::sync_times::{Clock, SyncTimes};
use crate::watermark::WatermarkState;

/// How a log is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// The chain that it belongs to.
    pub chain: ChainId,
    /// The length of new segments in bytes: whole blocks, at least 3 of them, at most [`LOG_SEGMENT_LEN_MAX`].
    pub segment_len: u64,
}

impl LogOptions {
    /// Segments of the usual length.
    pub fn new(chain: ChainId) -> Self {
        Self { chain, segment_len: LOG_SEGMENT_LEN }
    }
}

/// Where a record stands; good for as long as its segment is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The segment.
    pub segment: u32,
    /// The batch's first byte in it.
    pub batch: u64,
    /// The record's first byte, counted from the batch's.
    pub record: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, byte {}", self.segment, self.batch.saturating_add(self.record))
    }
}

/// A record that was read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// The number of its batch.
    pub batch: u64,
    /// The record.
    pub record: Record,
}

/// Proof that a batch is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    /// The batch's number: 1 for the log's first, one more for each.
    pub batch: u64,
    /// Where its records stand, in their order.
    pub positions: Vec<Position>,
}

/// Which old segments are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// All of them: the node holds the chain's whole history.
    #[default]
    All,
    /// Those that a restart needs, and this many before them.
    Segments(u32),
}

/// The log, held by one owner.
pub struct ChainLog {
    folder: Box<dyn LogFolder>,
    options: LogOptions,
    /// Every segment that is kept, ascending and without a gap; the last is the one that is written.
    headers: Vec<Header>,
    file: Box<dyn LogFile>,
    /// Where the next batch goes.
    offset: u64,
    next_number: u64,
    height_max: Height,
    watermark: WatermarkState,
    /// Set by a write or a sync that failed, and where the log is only read.
    stopped: bool,
    clock: Clock,
    times: SyncTimes,
    bytes: u64,
    buffer: Vec<u8>,
    finals: Finals,
    /// The segment before the present one that was read last, held open.
    reading: Option<(u32, Box<dyn LogFile>)>,
    /// The first batch, of those that were replayed, whose padding is not zero.
    stray: Option<Position>,
}

impl ChainLog {
    /// Whether `folder` holds a log.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn exists(folder: &mut dyn LogFolder) -> Result<bool, LogError> {
        let segments = folder.segments();
        Ok(!segments.map_err(|error| LogError::io("listing", &folder.name(), error))?.is_empty())
    }

    /// Begins a log. `salt` is a secret from the operating system's randomness (a simulation draws it from its seed);
    /// it is written into the log. `watermark` is [`WatermarkState::Unknown`] unless it is certain that this producer
    /// has never confirmed: a log that is missing is no proof of that.
    ///
    /// # Errors
    /// [`LogError::Exists`]; [`LogError::DiskFull`], [`LogError::Io`]: nothing was made.
    pub fn create(
        folder: Box<dyn LogFolder>,
        options: LogOptions,
        salt: Salt,
        watermark: WatermarkState,
        clock: Clock,
    ) -> Result<Self, LogError> {
        Self::create_behind(folder, options, salt, watermark, Height::default(), clock)
    }

    /// Begins a log behind `root`, the final slice that the folder's root tells of: the blocks up to it are not here.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`append`](Self::append).
    pub fn create_after(
        folder: Box<dyn LogFolder>,
        options: LogOptions,
        salt: Salt,
        root: &SliceRef,
        clock: Clock,
    ) -> Result<Self, LogError> {
        let mut log = Self::create_behind(folder, options, salt, WatermarkState::Unknown, root.height, clock)?;
        let mut first = LogBatch::new();
        first.push_final(root)?;
        log.append(&first)?;
        Ok(log)
    }

    fn create_behind(
        mut folder: Box<dyn LogFolder>,
        options: LogOptions,
        salt: Salt,
        watermark: WatermarkState,
        height_before: Height,
        clock: Clock,
    ) -> Result<Self, LogError> {
        if Self::exists(&mut *folder)? {
            return Err(LogError::Exists { path: folder.name() });
        }
        let header = Header {
            segment: 1,
            chain: options.chain,
            salt,
            length: checked_segment_len(options.segment_len),
            first_batch: 1,
            height_before,
            previous_end: 0,
            watermark,
        };
        let file = create_segment(&mut *folder, &header)?;
        Ok(Self {
            folder,
            options,
            headers: vec![header],
            file,
            offset: BLOCK_LEN,
            next_number: 1,
            height_max: height_before,
            watermark,
            stopped: false,
            clock,
            times: SyncTimes::new(),
            bytes: 0,
            buffer: Vec::new(),
            finals: Finals::new(),
            reading: None,
            stray: None,
        })
    }

    /// Opens the log in `folder`, cuts off a torn tail, and syncs what it keeps: all that a [`replay`](Self::replay)
    /// then hands out is durable.
    ///
    /// # Errors
    /// [`LogError::Absent`]; [`LogError::NewerFormat`], [`LogError::OtherChain`]; [`LogError::MissingSegment`],
    /// [`LogError::Damaged`] where synced batches are gone; [`LogError::DiskFull`] where a torn tail leaves no room for
    /// the segment that must follow it; [`LogError::Io`].
    pub fn open(folder: Box<dyn LogFolder>, options: LogOptions, clock: Clock) -> Result<(Self, Recovery), LogError> {
        let (mut log, recovery) = Self::look(folder, options, clock)?;
        let path = log.folder.name();
        log.file.sync().map_err(|error| LogError::io("syncing", &path, error))?;
        if recovery.tail != Tail::Clean {
            let end = log.offset;
            let mut torn = log.start_segment()?;
            torn.truncate(end).map_err(|error| LogError::io("cutting", &path, error))?;
        }
        Ok((log, recovery))
    }

    /// Opens the log in `folder` for reading: a torn tail is found and left where it is, nothing is synced, and nothing
    /// can be appended or pruned.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for those of writing.
    pub fn open_to_read(folder: Box<dyn LogFolder>, options: LogOptions) -> Result<(Self, Recovery), LogError> {
        let (mut log, recovery) = Self::look(folder, options, Box::new(|| Instant::ZERO))?;
        log.stopped = true;
        Ok((log, recovery))
    }

    /// The log in `folder` with all whole batches, and what was found behind them. Nothing is changed.
    fn look(mut folder: Box<dyn LogFolder>, options: LogOptions, clock: Clock) -> Result<(Self, Recovery), LogError> {
        let path = folder.name();
        let headers = read_headers(&mut *folder, &options, &path)?;
        let Some(header) = headers.last() else { return Err(LogError::Absent { path }) };
        let file = folder.open(header.segment).map_err(|error| LogError::io("opening", &path, error))?;
        let last = Segment { header, file: &*file }.walk_last(&path)?;
        let log = Self {
            folder,
            options,
            headers,
            file,
            offset: last.end,
            next_number: last.next_number,
            height_max: last.height_max,
            watermark: last.recovery.watermark,
            stopped: false,
            clock,
            times: SyncTimes::new(),
            bytes: 0,
            buffer: Vec::new(),
            finals: Finals::new(),
            reading: None,
            stray: None,
        };
        Ok((log, last.recovery))
    }

    /// Makes a batch durable, in one write and one data sync. An empty one is not written.
    ///
    /// # Errors
    /// [`LogError::BatchFull`], [`LogError::WatermarkBack`]: refused, nothing was written. [`LogError::DiskFull`] where
    /// a new segment finds no room: nothing was written, and it may be tried again. [`LogError::Io`],
    /// [`LogError::DiskFull`] where a segment's own place finds none (a file system that copies on write),
    /// [`LogError::Stopped`]: the batch may or may not be there after a restart, nothing in it may be told to anyone,
    /// and the log takes no more.
    pub fn append(&mut self, batch: &LogBatch) -> Result<Appended, LogError> {
        if self.stopped {
            return Err(LogError::Stopped);
        }
        if batch.is_empty() {
            return Ok(Appended { batch: self.next_number - 1, positions: Vec::new() });
        }
        let state = batch.watermark().map_or(self.watermark, |watermark| WatermarkState::Known(*watermark));
        if !self.watermark.may_become(&state) {
            return Err(LogError::WatermarkBack);
        }
        let length = padded_len(batch.encoded_len() as u64);
        if length > self.batch_len_max() {
            return Err(LogError::BatchFull { length: batch.encoded_len(), length_max: self.batch_len_max() });
        }
        if self.offset + length > self.header().length {
            self.start_segment()?;
        }
        let Header { salt, segment, .. } = *self.header();
        let place = Place { salt: &salt, segment, offset: self.offset };
        let starts = batch.seal(&place, self.next_number, &state, &mut self.buffer);
        let started = (self.clock)();
        if let Err(error) = self.file.write_and_sync(self.offset, &self.buffer) {
            self.stopped = true;
            return Err(LogError::room("writing", &self.folder.name(), length, error));
        }
        self.times.record((self.clock)().since(started));
        let positions = starts.into_iter().map(|record| Position { segment, batch: self.offset, record }).collect();
        let at = BatchPlace { segment, offset: self.offset, number: self.next_number };
        for note in batch.notes() {
            self.finals.note(note, at);
        }
        self.bytes += length;
        self.offset += length;
        self.next_number += 1;
        self.watermark = state;
        self.height_max = self.height_max.max(batch.height_max().unwrap_or_default());
        Ok(Appended { batch: self.next_number - 1, positions })
    }

    /// Hands out, in the order of writing, every record after the first that names `from` (as a slice or as final):
    /// what a restart needs beyond a store that stands at `from`. Every slice that descends from `from` is among them.
    /// From the log's beginning where `from` is `None` or the genesis slice. Returns how many there were.
    ///
    /// # Errors
    /// [`LogError::PointMissing`], [`LogError::Pruned`]; [`LogError::Damaged`]; [`LogError::Undecodable`];
    /// [`LogError::Io`].
    pub fn replay(&mut self, from: Option<SliceRef>, visit: &mut dyn FnMut(Entry)) -> Result<u64, LogError> {
        let from = from.filter(|from| from.height > Height::default());
        let first = match from {
            None => {
                self.check_whole()?;
                0
            }
            Some(from) => self.headers.iter().rposition(|header| header.height_before < from.height).unwrap_or(0),
        };
        let mut seeking = from;
        let mut count = 0;
        let mut finals = core::mem::replace(&mut self.finals, Finals::new());
        if let Some(from) = from.filter(|_| !self.is_whole()) {
            finals.begin(from);
        }
        for index in first..self.headers.len() {
            let walked = self.each_batch(index, &mut |segment, found, bytes| {
                let place = segment.place(found.offset);
                let standing =
                    BatchPlace { segment: segment.header.segment, offset: found.offset, number: found.number };
                for at in &found.records {
                    let Some(frame) = frame_at(&place, *at, &bytes[*at..]) else { continue };
                    if seeking.is_some() {
                        seeking = seeking.filter(|from| named_slice(&frame) != Some(*from));
                        continue;
                    }
                    let position =
                        Position { segment: segment.header.segment, batch: found.offset, record: *at as u64 };
                    let record = record_of(&frame).ok_or(LogError::Undecodable { position, kind: frame.kind })?;
                    if let Some(note) = Note::of(&record) {
                        finals.note(&note, standing);
                    }
                    visit(Entry { position, batch: found.number, record });
                    count += 1;
                }
                Ok(())
            });
            if let Err(error) = walked {
                self.finals = finals;
                return Err(error);
            }
        }
        self.finals = finals;
        match seeking {
            Some(point) => Err(LogError::PointMissing { point: Some(point) }),
            None => Ok(count),
        }
    }

    /// Reads one record back.
    ///
    /// # Errors
    /// [`LogError::NoRecord`] where none stands; [`LogError::Undecodable`]; [`LogError::Io`].
    pub fn read(&mut self, position: Position) -> Result<Record, LogError> {
        let (kind, body) = self.read_raw(position)?;
        record_of(&record::Frame { kind, body: &body }).ok_or(LogError::Undecodable { position, kind })
    }

    /// Reads one record's kind and body.
    fn read_raw(&mut self, position: Position) -> Result<(u8, Vec<u8>), LogError> {
        let path = self.folder.name();
        let failed = |error| LogError::io("reading", &path, error);
        let index = self.index_of(position.segment).ok_or(LogError::NoRecord { position })?;
        let header = self.headers[index];
        let end = self.end_of(index);
        let Some(at) = position.batch.checked_add(position.record).filter(|at| *at < end) else {
            return Err(LogError::NoRecord { position });
        };
        let file = self.file_of(index)?;
        let mut prefix = [0; 4];
        file.read_at(at, &mut prefix).map_err(failed)?;
        let length = u64::from(u32::from_le_bytes(prefix)) + record::FRAME_LEN as u64;
        if length > end - at {
            return Err(LogError::NoRecord { position });
        }
        let mut bytes = vec![0; length as usize];
        file.read_at(at, &mut bytes).map_err(failed)?;
        let place = Place { salt: &header.salt, segment: header.segment, offset: at };
        let frame = frame_at(&place, 0, &bytes).ok_or(LogError::NoRecord { position })?;
        Ok((frame.kind, frame.body.to_vec()))
    }

    /// Does a bounded share of the work for the next segment, once the present one is half full, so that changing over
    /// takes no time when it comes. Call it when there is nothing else to do; true where there is more.
    ///
    /// # Errors
    /// [`LogError::DiskFull`]: the disk will be full when this segment is; [`LogError::Io`]. The log goes on.
    pub fn prepare_next(&mut self) -> Result<bool, LogError> {
        let Header { segment, length, .. } = *self.header();
        if self.stopped || self.offset < length / 2 || segment >= LOG_SEGMENTS_MAX {
            return Ok(false);
        }
        let length = checked_segment_len(self.options.segment_len);
        let prepared = self.folder.prepare(segment + 1, length, PREPARE_LEN);
        let prepared = prepared.map_err(|error| LogError::room("preparing", &self.folder.name(), length, error))?;
        Ok(!prepared)
    }

    /// Segments that a restart from `point` does not need.
    pub fn prunable(&self, point: &SliceRef) -> usize {
        self.headers.iter().rposition(|header| header.height_before < point.height).unwrap_or(0)
    }

    /// The slice behind which what is kept begins, as far as it was replayed from there; none where that is genesis.
    pub fn root_slice(&self) -> Option<SliceRef> {
        self.finals.root().filter(|_| !self.is_whole())
    }

    /// Removes old segments that a restart from `point`, which the store has committed, does not need, as `keep`
    /// allows. Returns how many.
    ///
    /// # Errors
    /// [`LogError::Io`]; the segments that are left are still a log. [`LogError::Stopped`] as for
    /// [`append`](Self::append).
    pub fn prune(&mut self, point: &SliceRef, keep: Keep) -> Result<usize, LogError> {
        let Keep::Segments(spared) = keep else { return Ok(0) };
        if self.stopped {
            return Err(LogError::Stopped);
        }
        let removable = self.prunable(point).saturating_sub(spared as usize);
        for removed in 0..removable {
            let segment = self.headers[0].segment;
            if let Err(error) = self.folder.remove(segment) {
                tracing::warn!(segment, removed, "an old log segment can't be removed");
                return Err(LogError::io("removing", &self.folder.name(), error));
            }
            self.headers.remove(0);
            self.finals.forget_before(self.headers[0].segment);
        }
        Ok(removable)
    }

    /// Whether it begins at genesis: no older segment was removed, and no root was there when it was made.
    pub fn is_whole(&self) -> bool {
        let first = &self.headers[0];
        first.segment == 1 && first.height_before == Height::default()
    }

    /// Refuses a log that does not begin at genesis.
    ///
    /// # Errors
    /// [`LogError::Pruned`].
    pub fn check_whole(&self) -> Result<(), LogError> {
        if self.is_whole() {
            return Ok(());
        }
        let from = Slot(self.headers[0].height_before.slot.0.saturating_add(1));
        Err(LogError::Pruned { path: self.folder.name(), from })
    }

    /// What a log that does not begin at genesis begins from, to be read.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn root(&mut self) -> Result<Option<Box<dyn Read>>, LogError> {
        self.folder.root().map_err(|error| LogError::io("reading the root of", &self.folder.name(), error))
    }

    /// Puts what `write` writes in the root's place, durable, before older segments are removed.
    ///
    /// # Errors
    /// [`LogError::DiskFull`], [`LogError::Io`]: the root is what it was. [`LogError::Stopped`] as for
    /// [`append`](Self::append).
    pub fn put_root(&mut self, write: WriteRoot<'_>) -> Result<(), LogError> {
        if self.stopped {
            return Err(LogError::Stopped);
        }
        let put = self.folder.put_root(write);
        put.map_err(|error| LogError::room("writing the root of", &self.folder.name(), 0, error))
    }

    /// The watermark that is durable.
    pub fn watermark(&self) -> &WatermarkState {
        &self.watermark
    }

    /// The number of the last durable batch; 0 before the first.
    pub fn last_batch(&self) -> u64 {
        self.next_number - 1
    }

    /// How long the write and data sync of each batch took.
    pub fn times(&self) -> &SyncTimes {
        &self.times
    }

    /// Bytes written since it was opened, padding included.
    pub fn bytes_count(&self) -> u64 {
        self.bytes
    }

    /// The first batch, of those that were replayed, whose padding is no longer zero: the disk is rotting, the batch is
    /// whole.
    pub fn stray(&self) -> Option<Position> {
        self.stray
    }

    /// Segments that are kept.
    pub fn segments_count(&self) -> usize {
        self.headers.len()
    }

    /// The most bytes that one batch may take.
    pub fn batch_len_max(&self) -> u64 {
        (self.options.segment_len - BLOCK_LEN).min(LOG_BATCH_LEN_MAX as u64)
    }

    fn header(&self) -> &Header {
        &self.headers[self.headers.len() - 1]
    }

    fn index_of(&self, segment: u32) -> Option<usize> {
        self.headers.binary_search_by_key(&segment, |header| header.segment).ok()
    }

    /// The file of a segment; one that is no longer written stays open until another such is read.
    fn file_of(&mut self, index: usize) -> Result<&dyn LogFile, LogError> {
        if index + 1 == self.headers.len() {
            return Ok(&*self.file);
        }
        let segment = self.headers[index].segment;
        if self.reading.as_ref().is_none_or(|(open, _)| *open != segment) {
            let opened = self.folder.open(segment);
            self.reading =
                Some((segment, opened.map_err(|error| LogError::io("reading", &self.folder.name(), error))?));
        }
        Ok(self.reading.as_ref().map_or(&*self.file, |(_, file)| &**file))
    }

    /// Where the batches of a segment end.
    fn end_of(&self, index: usize) -> u64 {
        self.headers.get(index + 1).map_or(self.offset, |next| next.previous_end)
    }

    /// Goes over to a new segment, whose header states where this one ends and which watermark holds. Hands out the old
    /// one's file.
    fn start_segment(&mut self) -> Result<Box<dyn LogFile>, LogError> {
        let last = *self.header();
        if last.segment >= LOG_SEGMENTS_MAX {
            return Err(LogError::TooManySegments { path: self.folder.name() });
        }
        let header = Header {
            segment: last.segment + 1,
            length: checked_segment_len(self.options.segment_len),
            first_batch: self.next_number,
            height_before: self.height_max,
            previous_end: self.offset,
            watermark: self.watermark,
            ..last
        };
        let file = create_segment(&mut *self.folder, &header)?;
        self.headers.push(header);
        self.offset = BLOCK_LEN;
        Ok(core::mem::replace(&mut self.file, file))
    }

    /// Visits each batch of a segment with its bytes. All batches up to its stated end must be good.
    fn each_batch(&mut self, index: usize, visit: VisitBatch<'_>) -> Result<(), LogError> {
        let path = self.folder.name();
        let failed = |error| LogError::io("reading", &path, error);
        let header = self.headers[index];
        let file = self.folder.open(header.segment).map_err(failed)?;
        let segment = Segment { header: &header, file: &*file };
        let end = self.end_of(index);
        let (mut offset, mut number) = (BLOCK_LEN, header.first_batch);
        let mut buffer = Vec::new();
        let damaged = |offset, what| LogError::Damaged { path: path.clone(), segment: header.segment, offset, what };
        while offset < end {
            let found = segment.batch(offset, end, number, &mut buffer).map_err(failed)?;
            let Some(found) = found else { return Err(damaged(offset, "a batch that was synced is bad")) };
            if found.stray {
                self.stray.get_or_insert(Position { segment: header.segment, batch: offset, record: 0 });
            }
            visit(&segment, &found, &buffer)?;
            (offset, number) = (found.end, number + 1);
        }
        let next_number = self.headers.get(index + 1).map_or(self.next_number, |next| next.first_batch);
        if number == next_number { Ok(()) } else { Err(damaged(offset, "batches are missing at its end")) }
    }
}

type VisitBatch<'a> = &'a mut dyn FnMut(&Segment<'_>, &Found, &[u8]) -> Result<(), LogError>;

/// Bytes that one call of [`ChainLog::prepare_next`] writes at most.
const PREPARE_LEN: u64 = 1 << 20;

fn checked_segment_len(length: u64) -> u64 {
    let fits = (3 * BLOCK_LEN..=LOG_SEGMENT_LEN_MAX).contains(&length) && length.is_multiple_of(BLOCK_LEN);
    assert!(fits, "a segment's length is within its limits and in whole blocks");
    length
}

fn create_segment(folder: &mut dyn LogFolder, header: &Header) -> Result<Box<dyn LogFile>, LogError> {
    let made = folder.create(header.segment, header.length, &header.encode());
    made.map_err(|error| LogError::room("creating a segment in", &folder.name(), header.length, error))
}

/// The headers of all segments, each judged by itself and with its neighbours.
fn read_headers(folder: &mut dyn LogFolder, options: &LogOptions, path: &str) -> Result<Vec<Header>, LogError> {
    let segments = folder.segments().map_err(|error| LogError::io("listing", path, error))?;
    let mut headers: Vec<Header> = Vec::new();
    let mut block = vec![0; BLOCK_LEN as usize];
    for segment in segments {
        let file = folder.open(segment).map_err(|error| LogError::io("opening", path, error))?;
        let count = file.read_at(0, &mut block).map_err(|error| LogError::io("reading", path, error))?;
        let header = Header::decode(&block[..count], segment, path)?;
        if header.chain != options.chain {
            return Err(LogError::OtherChain { path: path.to_owned() });
        }
        if let Some(before) = headers.last() {
            if before.segment + 1 != segment {
                return Err(LogError::MissingSegment { path: path.to_owned(), segment: before.segment + 1 });
            }
            let follows = before.salt == header.salt
                && before.first_batch <= header.first_batch
                && before.height_before <= header.height_before
                && (BLOCK_LEN..=before.length).contains(&header.previous_end);
            if !follows {
                let what = "it does not continue the segment before it";
                return Err(LogError::Damaged { path: path.to_owned(), segment, offset: 0, what });
            }
        }
        headers.push(header);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
