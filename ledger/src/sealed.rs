//! A file of records, each under a checksum of all bytes before it: what archives and snapshots are written in.
//!
//! It begins with magic 8 and format u32, and the first record, of kind 1, is the genesis of its chain. Records are `length u32 | kind u8 | body | checksum 8`, little-endian. A checksum is BLAKE3
//! over all bytes of the file before it, cut: a record that is changed, missing, or in another place is found, and so is a
//! file that was cut off. Both ways hold one record in memory.

use std::io::{self, Read, Write};

use hpb_base::limits::GENESIS_LEN_MAX;
use hpb_types::{Canonical as _, Genesis};

const CHECKSUM_LEN: usize = 8;
/// The kind of the first record.
const GENESIS: u8 = 1;

/// What tells files of one purpose from others.
pub(crate) struct Form {
    /// What such a file is called.
    pub(crate) name: &'static str,
    /// What it begins with.
    pub(crate) magic: [u8; 8],
    /// The newest format that is read, and the one that is written; the first is 1.
    pub(crate) format: u32,
}

/// Why a file is not what it is taken for, or can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else.
    #[error("it is no {name}: it does not begin as one")]
    Magic {
        /// What it was taken for.
        name: &'static str,
    },
    /// A newer program wrote it.
    #[error("it has format {found}, this program knows formats up to {known}: use a newer program")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// It ends too early.
    #[error("it is cut off after byte {at}")]
    Cut {
        /// Where the bytes end that belong together.
        at: u64,
    },
    /// It was changed.
    #[error("its record at byte {at} is damaged: {what}")]
    Damaged {
        /// Where the record begins.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Writes one.
pub(crate) struct SealedWriter<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> SealedWriter<W> {
    /// Begins a file of that form with the chain's genesis.
    pub(crate) fn new(out: W, form: &Form, genesis: &Genesis) -> io::Result<Self> {
        let mut writer = Self::headed(out, form)?;
        writer.record(GENESIS, &genesis.to_bytes())?;
        Ok(writer)
    }

    /// One of which nothing but the head is written.
    pub(crate) fn headed(out: W, form: &Form) -> io::Result<Self> {
        let mut writer = Self { out, hasher: blake3::Hasher::new() };
        writer.put(&form.magic)?;
        writer.put(&form.format.to_le_bytes())?;
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
    /// Reads the beginning of a file of that form, and the genesis that it states, which is as valid as its own rules ask.
    pub(crate) fn new(from: R, form: &Form) -> Result<(Self, Genesis), FileError> {
        let mut reader = Self { from, hasher: blake3::Hasher::new(), at: 0 };
        let no_such = || FileError::Magic { name: form.name };
        let head = reader.take(form.magic.len() + 4).map_err(|error| match error {
            FileError::Cut { .. } => no_such(),
            other => other,
        })?;
        let (magic, format) = head.split_at(form.magic.len());
        if *magic != form.magic {
            return Err(no_such());
        }
        match format.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) {
            0 => {
                let what = "it states a format that there never was";
                return Err(FileError::Damaged { at: form.magic.len() as u64, what });
            }
            found if found > form.format => return Err(FileError::NewerFormat { found, known: form.format }),
            _ => {}
        }
        let at = reader.at;
        let (kind, body) = reader.record(GENESIS_LEN_MAX)?;
        let genesis = Genesis::from_bytes(&body).ok().filter(|genesis| kind == GENESIS && genesis.validate().is_ok());
        let genesis = genesis.ok_or(FileError::Damaged { at, what: "it is no valid genesis" })?;
        Ok((reader, genesis))
    }

    /// The place of the next record, in bytes from the file's beginning.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next record's kind and body, of at most `length_max` bytes.
    pub(crate) fn record(&mut self, length_max: usize) -> Result<(u8, Vec<u8>), FileError> {
        let damaged = |at, what| Err(FileError::Damaged { at, what });
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
    fn take(&mut self, length: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if read < length {
            return Err(FileError::Cut { at: self.at });
        }
        self.at += length as u64;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}
