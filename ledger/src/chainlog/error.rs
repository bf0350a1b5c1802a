//! What the log says when it refuses or fails, and what to do about it.

use std::io;

use hpb_types::{SliceRef, Slot};

use super::Position;

/// Why the log refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is a log already.
    #[error("{path} holds a log already")]
    Exists {
        /// The log's folder.
        path: String,
    },
    /// There is no log.
    #[error("{path} holds no log")]
    Absent {
        /// The log's folder.
        path: String,
    },
    /// A newer program wrote it.
    #[error(
        "{path}: segment {segment} has format {found}, this program knows formats up to {known}: use a newer program"
    )]
    NewerFormat {
        /// The log's folder.
        path: String,
        /// The segment.
        segment: u32,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// It belongs to another chain.
    #[error("{path} holds the log of another chain: give each chain a data folder of its own")]
    OtherChain {
        /// The log's folder.
        path: String,
    },
    /// A segment in the middle is not there.
    #[error("{path}: segment {segment} is missing; restore it, or move the data folder away and let the node catch up")]
    MissingSegment {
        /// The log's folder.
        path: String,
        /// The segment.
        segment: u32,
    },
    /// Batches that were synced are gone, which no crash can do.
    #[error(
        "{path}: segment {segment} is damaged at byte {offset}: {what}; restore it, or move the data folder away and let the \
         node catch up"
    )]
    Damaged {
        /// The log's folder.
        path: String,
        /// The segment.
        segment: u32,
        /// Where, in bytes from the segment's start.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A good record of a kind, or with a content, that this program does not know.
    #[error("the record of kind {kind} at {position} can't be read by this program: use a newer one")]
    Undecodable {
        /// Where it stands.
        position: Position,
        /// Its kind.
        kind: u8,
    },
    /// The log does not reach back to where the store stands.
    #[error("the log does not hold {}: it is not the log that this state came from, or it was cut", point_text(*point))]
    PointMissing {
        /// The store's final slice; `None` for the chain's beginning.
        point: Option<SliceRef>,
    },
    /// The log begins later than the chain.
    #[error(
        "{path}: its blocks before slot {} are not kept, and what was asked for takes the whole chain: ask a validator that \
         keeps it", from.0
    )]
    Pruned {
        /// The log's folder.
        path: String,
        /// The first slot that may be kept whole.
        from: Slot,
    },
    /// No record stands at a position.
    #[error("no record stands at {position}")]
    NoRecord {
        /// The position.
        position: Position,
    },
    /// The record is too long for any batch.
    #[error("a log record of {length} bytes is too long")]
    RecordTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The batch is too long for the log.
    #[error("a log batch of {length} bytes; at most {length_max} fit: append what there is first")]
    BatchFull {
        /// Its length in bytes.
        length: usize,
        /// The most that fit.
        length_max: u64,
    },
    /// The batch's watermark lies below the one that is durable, or is another producer's.
    #[error("a watermark that goes back or changes its producer")]
    WatermarkBack,
    /// The numbers of segments are used up.
    #[error("{path} holds the largest number of segments: start a new data folder from a snapshot")]
    TooManySegments {
        /// The log's folder.
        path: String,
    },
    /// The disk has no room for the next segment.
    #[error(
        "the disk that holds {path} is full: {needed} bytes are needed; nothing that was told is lost: free space, then start again"
    )]
    DiskFull {
        /// The log's folder.
        path: String,
        /// How many bytes.
        needed: u64,
    },
    /// A write or a sync failed before, or the log is only read.
    #[error("the log has stopped after a failed write, or was opened to be read: start the node again")]
    Stopped,
    /// The operating system refused.
    #[error("{action} {path} failed: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The log's folder.
        path: String,
        /// What the operating system says.
        error: io::Error,
    },
}

impl LogError {
    pub(super) fn io(action: &'static str, path: &str, error: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), error }
    }

    /// An error of an action that needs `needed` bytes of room.
    pub(super) fn room(action: &'static str, path: &str, needed: u64, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.to_owned(), needed }
            }
            _ => Self::io(action, path, error),
        }
    }
}

fn point_text(point: Option<SliceRef>) -> String {
    match point {
        Some(point) => format!("the final slice {point}"),
        None => "the chain's beginning".to_owned(),
    }
}
