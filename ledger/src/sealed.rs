//! A file of records, each under a checksum of all bytes before it: what archives and snapshots are written in.
//!
//! After the file's own head come records `length u32 | kind u8 | body | checksum 8`, little-endian. A checksum is BLAKE3
//! over all bytes of the file before it, cut: a record that is changed, missing, or in another place is found, and so is a
//! file that was cut off. Both ways hold one record in memory.

use std::io::{self, Read, Write};

const CHECKSUM_LEN: usize = 8;

/// Why such a file does not read.
#[derive(Debug)]
pub(crate) enum SealedError {
    /// The operating system refused.
    Io(io::Error),
    /// It ends after this byte.
    Cut(u64),
    /// The record that begins at this byte was changed.
    Damaged(u64, &'static str),
}

impl From<io::Error> for SealedError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes one.
pub(crate) struct SealedWriter<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> SealedWriter<W> {
    /// Begins with `head`.
    pub(crate) fn new(out: W, head: &[&[u8]]) -> io::Result<Self> {
        let mut writer = Self { out, hasher: blake3::Hasher::new() };
        head.iter().try_for_each(|part| writer.put(part))?;
        Ok(writer)
    }

    pub(crate) fn record(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.put(&(body.len() as u32).to_le_bytes())?;
        self.put(&[kind])?;
        self.put(body)?;
        let sum = self.hasher.finalize();
        self.put(&sum.as_bytes()[..CHECKSUM_LEN])
    }

    /// Hands out what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Reads one.
pub(crate) struct SealedReader<R> {
    from: R,
    hasher: blake3::Hasher,
    /// Bytes read.
    at: u64,
}

impl<R: Read> SealedReader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, hasher: blake3::Hasher::new(), at: 0 }
    }

    /// The place of the next record, in bytes from the file's beginning.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next record's kind and body, of at most `length_max` bytes.
    pub(crate) fn record(&mut self, length_max: usize) -> Result<(u8, Vec<u8>), SealedError> {
        let damaged = |at, what| Err(SealedError::Damaged(at, what));
        let at = self.at;
        let prefix = self.take(5)?;
        let length = prefix.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        if length > length_max {
            return damaged(at, "it states too large a length");
        }
        let body = self.take(length)?;
        let sum = self.hasher.finalize();
        let stated = self.take(CHECKSUM_LEN)?;
        if stated == sum.as_bytes()[..CHECKSUM_LEN] { Ok((prefix[4], body)) } else { damaged(at, "its checksum") }
    }

    /// Whether nothing follows.
    pub(crate) fn is_at_end(&mut self) -> io::Result<bool> {
        let mut rest = [0];
        Ok(self.from.read(&mut rest)? == 0)
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<Vec<u8>, SealedError> {
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if read < length {
            return Err(SealedError::Cut(self.at));
        }
        self.at += length as u64;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}
