//! The two workers that wait for the disk: the log's and the store's. They live on service executors, where blocking
//! holds nobody up.
//!
//! The log's also reads for peers that were away, a step at a time between its writes.
//!
//! Both stop at the first refusal and end the runtime with its words: what was not made durable is never answered, so
//! nothing that rests on it is ever told.

use hpb_base::Instant;
use hpb_ledger::chainlog::{ChainLog, LogBatch};
use hpb_ledger::lmdb::StoreWriter;
use hpb_ledger::sync_times::SyncTimes;
use hpb_ledger::{FinalBatch, Store};

use super::Fail;
use super::outlet::Outlet;
use super::readout::Publisher;
use crate::core::Input;
use crate::runtime::{Activity, Receiver, Sender, Worker};
use crate::serve::{Read, Step};

/// What the log is asked for.
pub enum LogEntry {
    /// To make a batch durable.
    Write {
        /// The number that the answer carries.
        number: u64,
        /// What to write.
        batch: Box<LogBatch>,
    },
    /// To read a piece for a peer.
    Read(Box<Read>),
}

/// What a log did so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogReadout {
    /// How long each batch took to write and sync.
    pub times: SyncTimes,
    /// Bytes written since the start, padding included.
    pub bytes: u64,
    /// Segments that are kept.
    pub segments: usize,
    /// The number of the last durable batch.
    pub last_batch: u64,
}

/// The log's worker. See the module.
pub struct LogWorker {
    log: ChainLog,
    entries: Receiver<LogEntry>,
    answers: Outlet<Input>,
    fail: Fail,
    stopped: bool,
    /// What is being read for a peer. Writes come first, and wait for one step of it at most.
    reading: Option<Box<Read>>,
    /// Whether the next segment may still want something done.
    preparing: bool,
    publisher: Publisher<LogReadout>,
}

impl LogWorker {
    /// A worker that appends `entries`, answers by `answers`, shows itself by `publisher`, and ends the runtime by
    /// `fail`.
    pub fn new(
        log: ChainLog,
        entries: Receiver<LogEntry>,
        answers: Sender<Input>,
        fail: Fail,
        publisher: Publisher<LogReadout>,
    ) -> Self {
        Self {
            log,
            entries,
            answers: Outlet::new(answers),
            fail,
            stopped: false,
            reading: None,
            preparing: true,
            publisher,
        }
    }

    fn append(&mut self) -> bool {
        let (number, batch) = match self.entries.pop() {
            None => return false,
            Some(LogEntry::Read(read)) => {
                self.reading = Some(read);
                return true;
            }
            Some(LogEntry::Write { number, batch }) => (number, batch),
        };
        match self.log.append(&batch) {
            Ok(_) => {
                self.answers.put(Input::Synced { number });
                self.preparing = true;
            }
            Err(error) => {
                self.stopped = true;
                (self.fail)(error.to_string());
            }
        }
        true
    }

    /// Goes on reading.
    fn read(&mut self) -> bool {
        let Some(read) = self.reading.take() else { return false };
        match read.step(&mut self.log) {
            Step::Reading(read) => self.reading = Some(read),
            Step::Served(served) => self.answers.put(Input::Served(served)),
        }
        true
    }

    /// Does a share of the next segment's work. A refusal is no failure yet: the segment at hand still has room.
    fn prepare(&mut self) -> bool {
        if !self.preparing {
            return false;
        }
        self.preparing = match self.log.prepare_next() {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "the log's next segment is not prepared");
                false
            }
        };
        self.preparing
    }

    fn readout(&self) -> LogReadout {
        LogReadout {
            times: self.log.times().clone(),
            bytes: self.log.bytes_count(),
            segments: self.log.segments_count(),
            last_batch: self.log.last_batch(),
        }
    }
}

impl Worker for LogWorker {
    fn turn(&mut self, now: Instant) -> Activity {
        let mut busy = self.answers.flush();
        if !self.stopped && self.answers.is_clear() {
            let appended = self.append();
            busy |= appended || self.read() || self.prepare();
        }
        if busy {
            self.publisher.touch();
        }
        if self.publisher.is_due(now) {
            let readout = self.readout();
            self.publisher.publish(now, readout);
        }
        if busy { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.publisher.wake_at()
    }

    fn finish(&mut self, _now: Instant) {
        let readout = self.readout();
        self.publisher.publish_last(readout);
    }
}

/// What a store did so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreReadout {
    /// How long each commit took, its sync included.
    pub times: SyncTimes,
    /// Keys changed.
    pub keys: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
}

/// The store's worker. See the module.
pub struct StoreWorker<S> {
    writer: StoreWriter<S>,
    batches: Receiver<Box<FinalBatch>>,
    answers: Outlet<Input>,
    fail: Fail,
    stopped: bool,
    publisher: Publisher<StoreReadout>,
}

impl<S: Store> StoreWorker<S> {
    /// A worker that commits `batches`, answers by `answers`, shows itself by `publisher`, and ends the runtime by
    /// `fail`.
    pub fn new(
        writer: StoreWriter<S>,
        batches: Receiver<Box<FinalBatch>>,
        answers: Sender<Input>,
        fail: Fail,
        publisher: Publisher<StoreReadout>,
    ) -> Self {
        Self { writer, batches, answers: Outlet::new(answers), fail, stopped: false, publisher }
    }

    fn commit(&mut self) -> bool {
        let Some(batch) = self.batches.pop() else { return false };
        match self.writer.commit(&batch) {
            Ok(()) => self.answers.put(Input::Committed { commit: batch.point.commit }),
            Err(error) => {
                self.stopped = true;
                (self.fail)(error.to_string());
            }
        }
        true
    }

    fn readout(&self) -> StoreReadout {
        StoreReadout {
            times: self.writer.times().clone(),
            keys: self.writer.keys_count(),
            bytes: self.writer.bytes_count(),
        }
    }
}

impl<S: Store> Worker for StoreWorker<S> {
    fn turn(&mut self, now: Instant) -> Activity {
        let mut busy = self.answers.flush();
        if !self.stopped && self.answers.is_clear() {
            busy |= self.commit();
        }
        if busy {
            self.publisher.touch();
        }
        if self.publisher.is_due(now) {
            let readout = self.readout();
            self.publisher.publish(now, readout);
        }
        if busy { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.publisher.wake_at()
    }

    fn finish(&mut self, _now: Instant) {
        let readout = self.readout();
        self.publisher.publish_last(readout);
    }
}
