//! Captures, replayed: bit for bit where a tape lies beside them ([`tape`]), and else what the sessions in them said,
//! over a session of now ([`streams`], [`live`]).
//!
//! The two are never mixed up in what is told: a tape's replay makes the very frames again, without a network; a
//! stream's has sequence numbers, windows and segments of its own, and compares bytes alone.

pub mod live;
pub mod streams;
pub mod tape;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use hpb_net::capture::{CaptureError, CaptureReader};

/// Why a capture cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFailed {
    /// It does not open.
    #[error("{0}: {1}")]
    Open(String, std::io::Error),
    /// It does not read.
    #[error("{0}: {1}")]
    Read(String, CaptureError),
    /// It holds more than is looked at.
    #[error("{0}: more than {1}; cut it with `editcap` or a filter")]
    TooMuch(String, &'static str),
}

/// A capture's reader.
fn open(path: &Path) -> Result<CaptureReader<BufReader<File>>, CaptureFailed> {
    let name = || path.display().to_string();
    let file = File::open(path).map_err(|error| CaptureFailed::Open(name(), error))?;
    CaptureReader::new(BufReader::new(file)).map_err(|error| CaptureFailed::Read(name(), error))
}
