//! A card's capture, with the tape by which it can be replayed: made on the lane, written by a thread of its own, so that
//! a slow disk never holds the lane. What the disk does not keep up with ends both files, and is said.
//!
//! The tape lies beside the capture under the same name and `.tape`, for its owner alone: it holds the lane's secret.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use hpb_base::limits::{CAPTURE_CHUNK_LEN, CAPTURE_CHUNKS_MAX};
use hpb_base::{Instant, UnixMillis};
use hpb_net::capture::{CaptureWriter, Way};
use hpb_net::port::Medium;
use hpb_toe::tape::{Entry, TapeHead, TapeSink, TapeWriter};
use serde::Serialize;

/// Where a capture goes, and how long it may become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureConfig {
    /// The capture's file; the tape's is this with `.tape`.
    pub path: PathBuf,
    /// Bytes of both files together, about; then they end in good order.
    pub len_max: u64,
}

/// What a capture came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CaptureReport {
    /// The capture's file.
    pub path: String,
    /// Frames in it.
    pub frames: u64,
    /// Bytes of it and of its tape.
    pub bytes: u64,
    /// Whether it ended because it was as long as it may become.
    pub is_full: bool,
    /// Why it ended too early; none if it did not.
    pub failed: Option<String>,
}

impl CaptureConfig {
    /// The tape's file.
    pub fn tape_path(&self) -> PathBuf {
        tape_path(&self.path)
    }
}

/// The tape's file of a capture's.
pub fn tape_path(capture: &Path) -> PathBuf {
    let mut name = capture.as_os_str().to_owned();
    name.push(".tape");
    PathBuf::from(name)
}

#[derive(Default)]
struct State {
    frames: AtomicU64,
    bytes: AtomicU64,
    is_full: AtomicBool,
    /// A chunk found no room.
    is_behind: AtomicBool,
}

/// Both files, open, before there is anything to write.
pub(crate) struct CaptureFiles {
    config: CaptureConfig,
    capture: File,
    tape: File,
}

/// The thread that writes.
pub(crate) struct Writing {
    state: Arc<State>,
    path: PathBuf,
    thread: JoinHandle<io::Result<()>>,
}

enum Chunk {
    Capture(Vec<u8>),
    Tape(Vec<u8>),
}

/// Gathers the bytes of one file for the thread.
struct Gathered {
    bytes: Vec<u8>,
    wrap: fn(Vec<u8>) -> Chunk,
    to: SyncSender<Chunk>,
    state: Arc<State>,
}

/// The lane's end.
pub(crate) struct Sink {
    capture: CaptureWriter<Gathered>,
    tape: TapeWriter<Gathered>,
    len_max: u64,
    state: Arc<State>,
}

impl CaptureFiles {
    /// Opens both; files of those names are written over.
    pub(crate) fn open(config: &CaptureConfig) -> io::Result<Self> {
        let create =
            |path: &Path, mode| OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
        let capture = create(&config.path, 0o644)?;
        // A file that was there keeps its mode, which may let others in.
        let tape = config.tape_path();
        match std::fs::remove_file(&tape) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let tape = create(&tape, 0o600)?;
        Ok(Self { config: config.clone(), capture, tape })
    }

    /// Starts the thread. What the lane is to write begins by [`Begun::sink`].
    pub(crate) fn begin(self) -> io::Result<(Begun, Writing)> {
        let (to, chunks) = sync_channel(CAPTURE_CHUNKS_MAX);
        let state = Arc::new(State::default());
        let Self { config, capture, tape } = self;
        let written = Arc::clone(&state);
        let thread =
            thread::Builder::new().name("capture".to_owned()).spawn(move || write(&chunks, capture, tape, &written))?;
        let begun = Begun { to, state: Arc::clone(&state), len_max: config.len_max };
        Ok((begun, Writing { state, path: config.path, thread }))
    }
}

/// A capture whose thread waits.
pub(crate) struct Begun {
    to: SyncSender<Chunk>,
    state: Arc<State>,
    len_max: u64,
}

impl Begun {
    /// The lane's end, for frames of `medium`; `epoch` is the wall-clock time of the clock's origin.
    pub(crate) fn sink(self, head: &TapeHead, medium: Medium, epoch: UnixMillis) -> io::Result<Sink> {
        let gathered = |wrap| Gathered { bytes: Vec::new(), wrap, to: self.to.clone(), state: Arc::clone(&self.state) };
        let program = concat!("hpb ", env!("CARGO_PKG_VERSION"));
        Ok(Sink {
            capture: CaptureWriter::new(gathered(Chunk::Capture), medium, epoch, program)?,
            tape: TapeWriter::new(gathered(Chunk::Tape), head)?,
            len_max: self.len_max,
            state: self.state,
        })
    }
}

impl TapeSink for Sink {
    fn frame(&mut self, at: Instant, way: Way, bytes: &[u8]) {
        // What finds no room is known by the state.
        if self.capture.write(at, way, bytes).is_ok() {
            self.state.frames.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let _ = self.tape.write(entry);
    }

    fn is_full(&self) -> bool {
        let is_full = self.state.bytes.load(Ordering::Relaxed) >= self.len_max;
        if is_full {
            self.state.is_full.store(true, Ordering::Relaxed);
        }
        is_full || self.state.is_behind.load(Ordering::Relaxed)
    }
}

impl Gathered {
    fn hand_over(&mut self) -> io::Result<()> {
        if self.state.is_behind.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.state.bytes.fetch_add(self.bytes.len() as u64, Ordering::Relaxed);
        let chunk = (self.wrap)(std::mem::take(&mut self.bytes));
        match self.to.try_send(chunk) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.state.is_behind.store(true, Ordering::Relaxed);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }
}

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= CAPTURE_CHUNK_LEN {
            self.hand_over()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_over()
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        // The last bytes; that they found no room is in the state.
        let _ = self.hand_over();
    }
}

fn write(chunks: &Receiver<Chunk>, mut capture: File, mut tape: File, state: &State) -> io::Result<()> {
    let mut written = Ok(());
    for chunk in chunks {
        if written.is_ok() {
            written = match chunk {
                Chunk::Capture(bytes) => capture.write_all(&bytes),
                Chunk::Tape(bytes) => tape.write_all(&bytes),
            };
            if written.is_err() {
                state.is_behind.store(true, Ordering::Relaxed);
            }
        }
    }
    written
}

impl Writing {
    /// Waits for the last bytes; the lane's end is gone.
    pub(crate) fn end(self) -> CaptureReport {
        let failed = match self.thread.join() {
            Ok(Ok(())) if self.state.is_behind.load(Ordering::Relaxed) => {
                Some("the disk did not keep up: it ends too early".to_owned())
            }
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("its thread panicked".to_owned()),
        };
        CaptureReport {
            path: self.path.display().to_string(),
            frames: self.state.frames.load(Ordering::Relaxed),
            bytes: self.state.bytes.load(Ordering::Relaxed),
            is_full: self.state.is_full.load(Ordering::Relaxed),
            failed,
        }
    }
}
