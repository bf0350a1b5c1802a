//! The chain log's file over `io_uring`: a batch's write and its data sync in one submission.
//!
//! Where `io_uring` is forbidden (Docker's default profile) or lacks what is needed, the log runs on plain writes, and
//! [`LogIo`] says so. Only the write path of a batch goes through the ring; reading and cutting, at a start, do not.

// The kernel reads a buffer that a submission only points to; the ring's crate leaves its lifetime to the caller.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use hpb_ledger::chainlog::file::{DirectoryFolder, LogFile, StdLogFile, read_full};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, Probe, opcode};

/// How the log's file is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogIo {
    /// Write and data sync linked in one submission.
    Uring,
    /// `pwrite` and `fdatasync`.
    Plain {
        /// Why not through `io_uring`.
        reason: String,
    },
}

impl LogIo {
    /// What this host allows.
    pub fn detect() -> Self {
        match uring_support() {
            Ok(()) => Self::Uring,
            Err(reason) => Self::Plain { reason },
        }
    }
}

impl fmt::Display for LogIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uring => f.write_str("log: io_uring, write and data sync in one submission"),
            Self::Plain { reason } => write!(f, "log: plain writes and syncs, because {reason}"),
        }
    }
}

/// Whether a ring can be made here, with the two operations that the log needs.
///
/// # Errors
/// The reason, as words that complete "because".
pub fn uring_support() -> Result<(), String> {
    let ring = IoUring::new(ENTRIES).map_err(|error| refusal_text(&error))?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| refusal_text(&error))?;
    if probe.is_supported(opcode::Write::CODE) && probe.is_supported(opcode::Fsync::CODE) {
        Ok(())
    } else {
        Err("this kernel's io_uring has no plain write or no sync".to_owned())
    }
}

/// The log's segments in `path`, written as `log_io` says.
///
/// # Errors
/// What the operating system says.
pub fn log_folder(path: &Path, log_io: &LogIo) -> io::Result<DirectoryFolder> {
    match log_io {
        LogIo::Uring => DirectoryFolder::open_with(path, Box::new(|file| Ok(Box::new(UringLogFile::new(file)?)))),
        LogIo::Plain { .. } => DirectoryFolder::open_with(path, Box::new(|file| Ok(Box::new(StdLogFile::new(file))))),
    }
}

/// A log file with a small ring of its own. It may move between threads, and serves one at a time.
pub struct UringLogFile {
    file: File,
    ring: IoUring,
    /// What the kernel reads from; it outlives every submission, if need be by never being freed.
    buffer: Vec<u8>,
    /// Set when the ring failed with submissions that may still be out.
    failed: bool,
}

impl UringLogFile {
    /// Over a file that is open for reading and writing.
    ///
    /// # Errors
    /// Where no ring can be made: see [`uring_support`].
    pub fn new(file: File) -> io::Result<Self> {
        Ok(Self { file, ring: IoUring::new(ENTRIES)?, buffer: Vec::new(), failed: false })
    }

    /// Writes `buffer` from `from` on at `offset`, then syncs if all of it was written. Hands out what each came to.
    fn write_then_sync(&mut self, from: usize, offset: u64) -> io::Result<Outcomes> {
        let rest = &self.buffer[from..];
        let length = rest.len().min(WRITE_LEN_MAX) as u32;
        let descriptor = Fd(self.file.as_raw_fd());
        let write = opcode::Write::new(descriptor, rest.as_ptr(), length).offset(offset).build();
        let sync = opcode::Fsync::new(descriptor).flags(FsyncFlags::DATASYNC).build();
        let pushed = self.push(&write.flags(Flags::IO_LINK).user_data(WRITE));
        let pushed = pushed.and_then(|()| self.push(&sync.user_data(SYNC)));
        let outcomes = pushed.and_then(|()| self.complete());
        if outcomes.is_err() {
            self.failed = true;
            mem::forget(mem::take(&mut self.buffer));
        }
        outcomes
    }

    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        // SAFETY: the entry points to `self.buffer` and names `self.file`. Neither changes before `complete` has seen
        // the entry's completion; where it can't, the buffer is never freed and no entry is pushed again.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.map_err(|_| io::Error::other("the ring of the log is full"))
    }

    /// Submits what was pushed and waits until both completions are in.
    fn complete(&mut self) -> io::Result<Outcomes> {
        let mut outcomes = Outcomes { write: None, sync: None };
        loop {
            for completion in self.ring.completion() {
                let outcome = Some(completion.result());
                if completion.user_data() == WRITE { outcomes.write = outcome } else { outcomes.sync = outcome }
            }
            let missing = usize::from(outcomes.write.is_none()) + usize::from(outcomes.sync.is_none());
            if missing == 0 {
                return Ok(outcomes);
            }
            match self.ring.submit_and_wait(missing) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(_) | Err(_) => (),
            }
        }
    }
}

impl LogFile for UringLogFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        read_full(&self.file, offset, bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write_and_sync(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("the ring of the log has failed"));
        }
        if bytes.is_empty() {
            return self.sync();
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(bytes);
        let mut written = 0;
        loop {
            let outcomes = self.write_then_sync(written, offset + written as u64)?;
            match outcomes.write() {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            // A short write breaks the link, so the sync that counts is the one behind the last write.
            if written == bytes.len() {
                return outcomes.sync();
            }
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// What a linked write and sync came to, as the kernel puts it: a count, or a negative error number.
struct Outcomes {
    write: Option<i32>,
    sync: Option<i32>,
}

impl Outcomes {
    fn write(&self) -> io::Result<usize> {
        outcome(self.write).map(|count| count.unsigned_abs() as usize)
    }

    fn sync(&self) -> io::Result<()> {
        outcome(self.sync).map(|_| ())
    }
}

fn outcome(result: Option<i32>) -> io::Result<i32> {
    match result {
        Some(result) if result < 0 => Err(io::Error::from_raw_os_error(-result)),
        Some(result) => Ok(result),
        None => Err(io::ErrorKind::Interrupted.into()),
    }
}

fn refusal_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "io_uring is forbidden here (a container's profile, or sysctl \
             kernel.io_uring_disabled)"
            .to_owned(),
        Some(libc::ENOSYS) => "this kernel has no io_uring".to_owned(),
        Some(libc::ENOMEM) => "io_uring finds too little locked memory (ulimit -l)".to_owned(),
        _ => format!("io_uring can't be set up: {error}"),
    }
}

/// A write and a sync, in a ring of a power of two.
const ENTRIES: u32 = 4;
const WRITE: u64 = 1;
const SYNC: u64 = 2;
/// Bytes of one submission; the kernel takes a little under 2 GiB at once.
const WRITE_LEN_MAX: usize = 1 << 30;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use hpb_base::Instant;
    use hpb_ledger::chainlog::{ChainLog, LogBatch, LogOptions, Tail};
    use hpb_ledger::watermark::{Watermark, WatermarkState};
    use hpb_types::{AccountName, ChainId, Hash, Height, SliceRef, Slot};

    fn skipped() -> bool {
        let refusal = uring_support().err();
        if let Some(reason) = &refusal {
            println!("skipped: {reason}");
        }
        refusal.is_some()
    }

    fn watermark(slot: u64) -> Watermark {
        let target = SliceRef { height: Height { slot: Slot(slot), index: 0 }, id: Hash([1; 32]) };
        let source = SliceRef { height: Height::default(), id: Hash([1; 32]) };
        Watermark { producer: AccountName::new("alice").unwrap(), source, target }
    }

    fn a_log_lives(log_io: &LogIo) {
        let place = tempfile::tempdir().unwrap();
        let options = LogOptions { segment_len: 16 * 4_096, ..LogOptions::new(ChainId(Hash([2; 32]))) };
        let folder = || Box::new(log_folder(place.path(), log_io).unwrap());
        let clock = || Box::new(|| Instant::ZERO);
        let mut log = ChainLog::create(folder(), options, [3; 32], WatermarkState::Unknown, clock()).unwrap();
        for slot in 1..=40 {
            let mut batch = LogBatch::new();
            batch.set_watermark(watermark(slot));
            assert_eq!(log.append(&batch).unwrap().batch, slot);
        }
        drop(log);
        let (log, recovery) = ChainLog::open(folder(), options, clock()).unwrap();
        assert_eq!((recovery.tail, recovery.last_batch, log.segments_count()), (Tail::Clean, 40, 3));
        assert_eq!(recovery.watermark, WatermarkState::Known(watermark(40)));
    }

    #[test]
    fn a_log_lives_on_plain_writes() {
        let plain = LogIo::Plain { reason: "a test asks for it".to_owned() };
        assert!(plain.to_string().contains("because a test asks for it"));
        a_log_lives(&plain);
    }

    #[test]
    fn a_log_lives_on_the_ring() {
        if !skipped() {
            assert_eq!(LogIo::detect(), LogIo::Uring);
            a_log_lives(&LogIo::Uring);
        }
    }

    #[test]
    fn large_writes_arrive_whole_at_their_place() {
        if skipped() {
            return;
        }
        let place = tempfile::NamedTempFile::new().unwrap();
        let mut file = UringLogFile::new(place.reopen().unwrap()).unwrap();
        let bytes: Vec<u8> = (0..3 << 20).map(|at: u32| (at >> 3) as u8).collect();
        file.write_and_sync(4_096, &bytes).unwrap();
        file.write_and_sync(0, b"head").unwrap();
        file.write_and_sync(9, b"").unwrap();
        assert_eq!(file.length().unwrap(), 4_096 + bytes.len() as u64);
        let mut back = vec![0; bytes.len() + 1];
        assert_eq!(file.read_at(4_096, &mut back).unwrap(), bytes.len());
        assert_eq!(back[..bytes.len()], bytes);
        assert_eq!(file.read_at(0, &mut back[..4]).unwrap(), 4);
        assert_eq!(&back[..4], b"head");
        file.truncate(4).unwrap();
        assert_eq!(file.length().unwrap(), 4);
    }

    #[test]
    fn a_refused_write_is_an_error_and_the_ring_lives_on() {
        if skipped() {
            return;
        }
        let place = tempfile::NamedTempFile::new().unwrap();
        let mut unwritable = UringLogFile::new(File::open(place.path()).unwrap()).unwrap();
        for _ in 0..3 {
            let refusal = unwritable.write_and_sync(0, b"x").unwrap_err();
            assert_eq!(refusal.raw_os_error(), Some(libc::EBADF));
        }
        let full = File::options().read(true).write(true).open("/dev/full").unwrap();
        let refusal = UringLogFile::new(full).unwrap().write_and_sync(0, b"x").unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_refusal_says_what_stands_in_the_way() {
        for (code, word) in [(libc::EPERM, "forbidden"), (libc::ENOSYS, "no io_uring"), (libc::ENOMEM, "ulimit -l")] {
            assert!(refusal_text(&io::Error::from_raw_os_error(code)).contains(word));
        }
        assert!(refusal_text(&io::Error::from_raw_os_error(libc::EMFILE)).contains("can't be set up"));
    }
}
