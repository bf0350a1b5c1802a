//! Bit for bit: a fresh lane is told what its tape says, and each frame that it sends is held against the capture.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use hpb_chart::format::counted;
use hpb_net::capture::{CaptureReader, CapturedFrame, Way};
use hpb_toe::tape::{Captured, Replay, ReplayError, TapeError, TapeReader};
use hpb_types::to_hex;
use serde::Serialize;

use super::CaptureFailed;

/// What a replay came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Replayed {
    /// Calls of the lane.
    pub calls: u64,
    /// Frames that it was given.
    pub received: u64,
    /// Frames that it sent, each like the captured one.
    pub alike: u64,
    /// Whether the tape has an end; one that was cut short is followed as far as it goes.
    pub is_whole: bool,
    /// Where the lane and the capture part; none if they do not.
    pub parted: Option<PartedAt>,
}

/// Where they part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PartedAt {
    /// At which call, from 1.
    pub call: u64,
    /// In words.
    pub what: String,
    /// The frame that was captured, in hexadecimal digits; empty if there was none.
    pub then: String,
    /// The frame that the lane sent now; empty if there was none.
    pub now: String,
}

/// Why there was no replay.
#[derive(Debug, thiserror::Error)]
pub enum TapeFailed {
    /// The capture.
    #[error(transparent)]
    Capture(#[from] CaptureFailed),
    /// The tape's file does not open.
    #[error("{0}: {1}")]
    Open(String, io::Error),
    /// The tape does not read.
    #[error("{0}: {1}")]
    Tape(String, TapeError),
    /// The lane is refused.
    #[error("{0}: {1}")]
    Replay(String, Box<ReplayError>),
}

/// The capture's frames in their order: a lane is given and sends them in the order in which they were captured.
struct Frames {
    reader: CaptureReader<BufReader<File>>,
    next: Option<CapturedFrame>,
    received: u64,
    failed: Option<String>,
}

impl Frames {
    fn take(&mut self, way: Way) -> Option<Vec<u8>> {
        if self.next.is_none() {
            match self.reader.next_frame() {
                Ok(next) => self.next = next,
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
        self.next.take_if(|next| next.way == Some(way)).map(|next| next.bytes)
    }
}

impl Captured for Frames {
    fn received(&mut self) -> Option<Vec<u8>> {
        let frame = self.take(Way::In)?;
        self.received += 1;
        Some(frame)
    }

    fn sent(&mut self) -> Option<Vec<u8>> {
        self.take(Way::Out)
    }
}

/// Replays a capture by its tape.
///
/// # Errors
/// [`TapeFailed`]: a file does not open or read. That lane and capture part is an outcome.
pub fn replay(capture: &Path, tape: &Path) -> Result<Replayed, TapeFailed> {
    let name = || tape.display().to_string();
    let file = File::open(tape).map_err(|error| TapeFailed::Open(name(), error))?;
    let (mut entries, head) = TapeReader::new(BufReader::new(file)).map_err(|error| TapeFailed::Tape(name(), error))?;
    let mut frames = Frames { reader: super::open(capture)?, next: None, received: 0, failed: None };
    let mut replay = Replay::new(&head).map_err(|error| TapeFailed::Replay(name(), Box::new(error)))?;
    let mut replayed = Replayed { calls: 0, received: 0, alike: 0, is_whole: true, parted: None };
    loop {
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(TapeError::Cut(_)) => {
                replayed.is_whole = false;
                break;
            }
            Err(error) => return Err(TapeFailed::Tape(name(), error)),
        };
        replayed.calls += 1;
        if let Err(error) = replay.step(entry, &mut frames) {
            // A capture that was cut with its tape ends like it.
            replayed.parted = Some(parted(replayed.calls, &error, frames.failed.take()));
            break;
        }
    }
    (replayed.received, replayed.alike) = (frames.received, replay.alike());
    Ok(replayed)
}

fn parted(call: u64, error: &ReplayError, capture_failed: Option<String>) -> PartedAt {
    let (mut then, mut now) = (String::new(), String::new());
    if let ReplayError::Parted(parted) = error {
        let digits = |frame: &Option<Vec<u8>>| frame.as_deref().map(to_hex).unwrap_or_default();
        (then, now) = (digits(&parted.then), digits(&parted.now));
    }
    let what =
        capture_failed.map_or_else(|| error.to_string(), |failed| format!("the capture does not read on: {failed}"));
    PartedAt { call, what, then, now }
}

impl Replayed {
    /// In words, for people.
    pub fn terminal(&self) -> String {
        let Self { calls, received, alike, is_whole, parted } = self;
        let mut text = format!(
            "{} of the lane, {} received, {} sent alike\n",
            counted(*calls, "call"),
            counted(*received, "frame"),
            counted(*alike, "frame")
        );
        match parted {
            Some(PartedAt { call, what, then, now }) => {
                let _ = writeln!(text, "parts at call {call}: {what}");
                if !then.is_empty() || !now.is_empty() {
                    let _ = writeln!(text, "captured  {then}\nnow       {now}");
                }
            }
            None if *is_whole => text.push_str("bit for bit: every frame that the card sent was made again\n"),
            None => text.push_str("bit for bit as far as the tape goes: whoever wrote it was cut short\n"),
        }
        text
    }
}
