//! A chain from its genesis on in one file: what `hpb ledger export` writes and `hpb ledger import` reads.
//!
//! Layout, little-endian: magic 8, format u32; then records `length u32 | kind u8 | body | checksum 8`, and nothing after
//! the last. Kind 1, the first, is the genesis; kind 2 a final slice with its transactions, in the chain's order; kind 3,
//! the last, is the count of slices u64. Bodies are canonical bytes (`ledger/types/FORMAT.md`). A checksum is BLAKE3 over
//! all bytes of the file before it, cut: a record that is changed, missing, or in another place is found, and so is a file
//! that was cut off.
//!
//! The checksums guard against disks and not against people: whoever reads a file believes it only as far as the chain's
//! own signatures and certificates go. It refuses newer formats, and holds one record in memory.

use std::io::{self, Read, Write};

use hpb_base::limits::{ARCHIVE_RECORD_LEN_MAX, GENESIS_LEN_MAX};
use hpb_types::message::SliceBundle;
use hpb_types::{Canonical, Genesis, Slice, Transaction};

/// The newest format that this program reads, and the one that it writes.
pub const ARCHIVE_FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"HPB-ARC\n";
const GENESIS: u8 = 1;
const SLICE: u8 = 2;
const END: u8 = 3;
const CHECKSUM_LEN: usize = 8;

/// Why a file is not one of these, or can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else.
    #[error("it is no exported chain: it does not begin as one")]
    Magic,
    /// A newer program wrote it.
    #[error("it has format {found}, this program knows formats up to {known}: use a newer program", known = ARCHIVE_FORMAT)]
    NewerFormat {
        /// The format found.
        found: u32,
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

/// Writes one such file.
pub struct ArchiveWriter<W> {
    out: W,
    hasher: blake3::Hasher,
    count: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins with the chain's genesis.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(out: W, genesis: &Genesis) -> io::Result<Self> {
        let mut writer = Self { out, hasher: blake3::Hasher::new(), count: 0 };
        writer.put(&MAGIC)?;
        writer.put(&ARCHIVE_FORMAT.to_le_bytes())?;
        writer.record(GENESIS, &genesis.to_bytes())?;
        Ok(writer)
    }

    /// Adds the next final slice.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn slice(&mut self, slice: &Slice, transactions: &[Transaction]) -> io::Result<()> {
        self.count += 1;
        let bundle = SliceBundle { slice: slice.clone(), transactions: transactions.to_vec() };
        self.record(SLICE, &bundle.to_bytes())
    }

    /// Ends it, and hands out what it was written to.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn finish(mut self) -> io::Result<W> {
        let count = self.count.to_le_bytes();
        self.record(END, &count)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn record(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.put(&(body.len() as u32).to_le_bytes())?;
        self.put(&[kind])?;
        self.put(body)?;
        let sum = self.hasher.finalize();
        self.put(&sum.as_bytes()[..CHECKSUM_LEN])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Reads one such file.
pub struct ArchiveReader<R> {
    from: R,
    hasher: blake3::Hasher,
    /// Bytes read.
    at: u64,
    count: u64,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads its beginning, and the genesis that it states, which is as valid as its own rules ask
    /// ([`Genesis::validate`]).
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn new(from: R) -> Result<(Self, Genesis), ArchiveError> {
        let mut reader = Self { from, hasher: blake3::Hasher::new(), at: 0, count: 0 };
        let head = reader.take(MAGIC.len() + 4).map_err(|error| match error {
            ArchiveError::Cut { .. } => ArchiveError::Magic,
            other => other,
        })?;
        let (magic, format) = head.split_at(MAGIC.len());
        if *magic != MAGIC {
            return Err(ArchiveError::Magic);
        }
        let found = format.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if found > ARCHIVE_FORMAT {
            return Err(ArchiveError::NewerFormat { found });
        }
        if found < ARCHIVE_FORMAT {
            return Err(ArchiveError::Damaged {
                at: MAGIC.len() as u64,
                what: "it states a format that there never was",
            });
        }
        let at = reader.at;
        let (kind, body) = reader.record(GENESIS_LEN_MAX)?;
        let genesis = Genesis::from_bytes(&body).ok().filter(|genesis| kind == GENESIS && genesis.validate().is_ok());
        let genesis = genesis.ok_or(ArchiveError::Damaged { at, what: "it is no valid genesis" })?;
        Ok((reader, genesis))
    }

    /// The place of the next record, in bytes from the file's beginning.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next slice with its transactions; `None` at the end.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn next_slice(&mut self) -> Result<Option<SliceBundle>, ArchiveError> {
        let at = self.at;
        let damaged = |what| ArchiveError::Damaged { at, what };
        let (kind, body) = self.record(ARCHIVE_RECORD_LEN_MAX)?;
        match kind {
            SLICE => {
                self.count += 1;
                let bundle = SliceBundle::from_bytes(&body);
                bundle.map(Some).map_err(|_| damaged("it is no slice with its transactions"))
            }
            END if body == self.count.to_le_bytes() => {
                let mut rest = [0];
                if self.from.read(&mut rest)? == 0 { Ok(None) } else { Err(damaged("bytes follow the last record")) }
            }
            END => Err(damaged("it states another count of slices")),
            _ => Err(damaged("it is of no kind that is known")),
        }
    }

    fn record(&mut self, length_max: usize) -> Result<(u8, Vec<u8>), ArchiveError> {
        let at = self.at;
        let damaged = |what| ArchiveError::Damaged { at, what };
        let prefix = self.take(5)?;
        let length = prefix.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        if length > length_max {
            return Err(damaged("it states too large a length"));
        }
        let body = self.take(length)?;
        let sum = self.hasher.finalize();
        let stated = self.take(CHECKSUM_LEN)?;
        if stated == sum.as_bytes()[..CHECKSUM_LEN] { Ok((prefix[4], body)) } else { Err(damaged("its checksum")) }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if read < length {
            return Err(ArchiveError::Cut { at: self.at });
        }
        self.at += length as u64;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
