//! A tape as a file: a head, then each entry behind its length. The last one says that it ends.

use std::io::{self, Read, Write};

use hpb_types::codec::{Canonical as _, CodecError};

use super::words::{Entry, TapeHead};

const MAGIC: [u8; 8] = *b"hpb tape";
/// Layouts known here: this one.
const VERSION: u8 = 1;
/// Bytes of a head.
const HEAD_LEN_MAX: usize = 64 << 10;

/// Why a tape cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The source failed.
    #[error("reading the tape: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is no tape")]
    NotATape,
    /// It was written by another version.
    #[error("a tape of version {0}; understood is {VERSION}")]
    Version(u8),
    /// An entry does not read.
    #[error("entry {number} of the tape: {source}")]
    Entry {
        /// Which, from 1; 0 is the head.
        number: u64,
        /// What is wrong.
        source: CodecError,
    },
    /// It ends in the middle: whoever wrote it was cut short.
    #[error("the tape ends in the middle, behind entry {0}")]
    Cut(u64),
}

/// Writes a tape.
pub struct TapeWriter<W> {
    out: W,
}

impl<W: Write> TapeWriter<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// What the sink says.
    pub fn new(mut out: W, head: &TapeHead) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&[VERSION])?;
        let mut writer = Self { out };
        writer.put(&head.to_bytes())?;
        Ok(writer)
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.put(&entry.to_bytes())
    }

    /// Writes out what is buffered, and hands the sink back.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(&(bytes.len() as u32).to_le_bytes())?;
        self.out.write_all(bytes)
    }
}

/// Reads a tape.
pub struct TapeReader<R> {
    source: R,
    number: u64,
    is_over: bool,
}

impl<R: Read> TapeReader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// [`TapeError`]: it is no tape, or of another version.
    pub fn new(source: R) -> Result<(Self, TapeHead), TapeError> {
        let mut reader = Self { source, number: 0, is_over: false };
        let mut start = [0; MAGIC.len() + 1];
        match reader.source.read_exact(&mut start) {
            Ok(()) if start[..MAGIC.len()] == MAGIC => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            _ => return Err(TapeError::NotATape),
        }
        if start[MAGIC.len()] != VERSION {
            return Err(TapeError::Version(start[MAGIC.len()]));
        }
        let bytes = reader.take(HEAD_LEN_MAX)?;
        let head = TapeHead::from_bytes(&bytes).map_err(|source| TapeError::Entry { number: 0, source })?;
        Ok((reader, head))
    }

    /// The next entry; `None` behind the one that says that it ends.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`TapeError::Cut`] if it does not say so.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TapeError> {
        if self.is_over {
            return Ok(None);
        }
        let bytes = self.take(Entry::LEN_MAX)?;
        self.number += 1;
        let entry = Entry::from_bytes(&bytes).map_err(|source| TapeError::Entry { number: self.number, source })?;
        self.is_over = matches!(entry, Entry::End(_));
        Ok(Some(entry))
    }

    fn take(&mut self, len_max: usize) -> Result<Vec<u8>, TapeError> {
        let cut = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => TapeError::Cut(self.number),
            _ => TapeError::Io(error),
        };
        let mut len = [0; 4];
        self.source.read_exact(&mut len).map_err(cut)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > len_max {
            return Err(TapeError::Entry { number: self.number + 1, source: CodecError::TooLong });
        }
        let mut bytes = Vec::new();
        self.source.by_ref().take(len as u64).read_to_end(&mut bytes)?;
        if bytes.len() < len {
            return Err(TapeError::Cut(self.number));
        }
        Ok(bytes)
    }
}
