//! A chain from its genesis on in one file: what `hpb ledger export` writes and `hpb ledger import` reads.
//!
//! Layout, little-endian: magic 8, format u32; then records under checksums (`ledger/src/sealed.rs`), and nothing after
//! the last. Kind 1, the first, is the genesis; kind 2 a final slice with its transactions, in the chain's order; kind 3,
//! the last, is the count of slices u64. Bodies are canonical bytes (`ledger/types/FORMAT.md`).
//!
//! The checksums guard against disks and not against people: whoever reads a file believes it only as far as the chain's
//! own signatures and certificates go. It refuses newer formats, and holds one record in memory.

use std::io::{self, Read, Write};

use hpb_base::limits::ARCHIVE_RECORD_LEN_MAX;
use hpb_types::message::SliceBundle;
use hpb_types::{Canonical, Genesis, Slice, Transaction};

use crate::sealed::{FileError, Form, SealedReader, SealedWriter};

/// The newest format that this program reads, and the one that it writes.
pub const ARCHIVE_FORMAT: u32 = 1;

const FORM: Form = Form { name: "exported chain", magic: *b"HPB-ARC\n", format: ARCHIVE_FORMAT };
const SLICE: u8 = 2;
const END: u8 = 3;

/// Writes one such file.
pub struct ArchiveWriter<W> {
    records: SealedWriter<W>,
    count: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins with the chain's genesis.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(out: W, genesis: &Genesis) -> io::Result<Self> {
        Ok(Self { records: SealedWriter::new(out, &FORM, genesis)?, count: 0 })
    }

    /// Adds the next final slice.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn slice(&mut self, slice: &Slice, transactions: &[Transaction]) -> io::Result<()> {
        self.count += 1;
        let bundle = SliceBundle { slice: slice.clone(), transactions: transactions.to_vec() };
        self.records.record(SLICE, &bundle.to_bytes())
    }

    /// Ends it, and hands out what it was written to.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn finish(mut self) -> io::Result<W> {
        self.records.record(END, &self.count.to_le_bytes())?;
        self.records.finish()
    }
}

/// Reads one such file.
pub struct ArchiveReader<R> {
    records: SealedReader<R>,
    count: u64,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads its beginning, and the genesis that it states, which is as valid as its own rules ask
    /// ([`Genesis::validate`]).
    ///
    /// # Errors
    /// [`FileError`].
    pub fn new(from: R) -> Result<(Self, Genesis), FileError> {
        let (records, genesis) = SealedReader::new(from, &FORM)?;
        Ok((Self { records, count: 0 }, genesis))
    }

    /// The place of the next record, in bytes from the file's beginning.
    pub fn at(&self) -> u64 {
        self.records.at()
    }

    /// The next slice with its transactions; `None` at the end.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next_slice(&mut self) -> Result<Option<SliceBundle>, FileError> {
        let at = self.at();
        let damaged = |what| FileError::Damaged { at, what };
        let (kind, body) = self.records.record(ARCHIVE_RECORD_LEN_MAX)?;
        match kind {
            SLICE => {
                self.count += 1;
                let bundle = SliceBundle::from_bytes(&body);
                bundle.map(Some).map_err(|_| damaged("it is no slice with its transactions"))
            }
            END if body == self.count.to_le_bytes() => {
                if self.records.is_at_end()? {
                    Ok(None)
                } else {
                    Err(damaged("bytes follow the last record"))
                }
            }
            END => Err(damaged("it states another count of slices")),
            _ => Err(damaged("it is of no kind that is known")),
        }
    }
}

#[cfg(test)]
mod tests;
