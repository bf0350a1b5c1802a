//! A chain's state at one final slice in a file, with what shows that it is: what `hpb ledger snapshot` writes and
//! `hpb ledger restore` reads. The beginning of a log whose older blocks are not kept (its root) is the same without the
//! records.
//!
//! Layout, little-endian: magic 8, format u32; then records under checksums (`ledger/src/sealed.rs`), and nothing after the
//! last. Bodies are canonical bytes (`ledger/types/FORMAT.md`, which tells what they mean). In this order:
//!
//! | kind | body | |
//! | --- | --- | --- |
//! | 1 | `Genesis` | the first, and once |
//! | 2 | | a walk begins at the genesis slice |
//! | 3 | epoch `u64`, count `u32` | a walk begins at the last of the next `count` headers: the first of them is the source that it carries. The schedule of that epoch is in force there, and was fixed in a walk before |
//! | 4 | `Slice` | the next header of the walk |
//! | 5 | `Certificate` | one that no header of the walk carries |
//! | 6 | `SliceRef`, receipts root `Hash`, state root `Hash` | the header before is the one whose state this is. Once, in the last walk |
//! | 7 | count `u32`, that many of key `bytes`, value `bytes` | records of the state, ascending by key over all chunks |
//! | 8 | count `u64` | of the state's records; the last |
//! | 9 | `SliceRef` | in place of kind 6, in a log's root alone: the header before is the slice behind which the log begins |
//!
//! The checksums guard against disks and not against people: whoever reads a file believes it only as far as it proves
//! itself. Reading holds one record in memory, never panics, and refuses newer formats.

use std::io::{self, Read, Write};

use hpb_base::limits::{
    SNAPSHOT_CHUNK_FILL_LEN, SNAPSHOT_CHUNK_LEN_MAX, SNAPSHOT_RUN_MAX, STATE_KEY_LEN_MAX, STATE_VALUE_LEN_MAX,
};
use hpb_types::codec::{CodecError, Reader, Writer};
use hpb_types::{Canonical, Certificate, Epoch, Genesis, Slice, SliceRef};

use crate::commitment::StateProof;
use crate::sealed::{FileError, Form, SealedReader, SealedWriter};

/// The newest format that this program reads, and the one that it writes.
pub const SNAPSHOT_FORMAT: u32 = 1;

const FORM: Form = Form { name: "snapshot", magic: *b"HPB-SNP\n", format: SNAPSHOT_FORMAT };
const START: u8 = 2;
const BASE: u8 = 3;
const HEADER: u8 = 4;
const CERTIFICATE: u8 = 5;
const ROOT: u8 = 6;
const CHUNK: u8 = 7;
const END: u8 = 8;
const CUT: u8 = 9;

/// Keys with their values.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// What stands in such a file between its genesis and its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// A walk over headers begins at the genesis slice.
    Start,
    /// A walk begins at a slice in the middle of an epoch.
    Base {
        /// The epoch of the schedule in force there.
        epoch: Epoch,
        /// How many headers lead to it, itself included, from the source that it carries: 2 to [`SNAPSHOT_RUN_MAX`].
        run: u32,
    },
    /// The next header.
    Header(Box<Slice>),
    /// A certificate that no header carries.
    Certificate(Box<Certificate>),
    /// The header before is the root.
    Root(Root),
    /// The header before is the root, and nothing of its state is here.
    Cut(SliceRef),
    /// Records of the state, in the order of their keys.
    Chunk(Entries),
}

/// The slice whose state it is, and how it commits to that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Root {
    /// The slice.
    pub slice: SliceRef,
    /// What its results are made of.
    pub state: StateProof,
}

hpb_types::layout!(Root { slice, state });

/// Writes one such file.
pub struct SnapshotWriter<W> {
    records: SealedWriter<W>,
    /// The chunk that is being filled.
    chunk: Entries,
    chunk_len: usize,
    count: u64,
}

impl<W: Write> SnapshotWriter<W> {
    /// Begins with the chain's genesis.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(out: W, genesis: &Genesis) -> io::Result<Self> {
        Ok(Self { records: SealedWriter::new(out, &FORM, genesis)?, chunk: Vec::new(), chunk_len: 0, count: 0 })
    }

    /// Adds the next part.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn part(&mut self, part: &Part) -> io::Result<()> {
        let mut writer = Writer::default();
        let kind = match part {
            Part::Start => START,
            Part::Base { epoch, run } => {
                writer.put(epoch);
                writer.put(run);
                BASE
            }
            Part::Header(slice) => {
                writer.put(&**slice);
                HEADER
            }
            Part::Certificate(certificate) => {
                writer.put(&**certificate);
                CERTIFICATE
            }
            Part::Root(root) => {
                writer.put(root);
                ROOT
            }
            Part::Cut(slice) => {
                writer.put(slice);
                CUT
            }
            Part::Chunk(entries) => {
                self.count += entries.len() as u64;
                writer.put(&(entries.len() as u32));
                for (key, value) in entries {
                    writer.put_bytes(key);
                    writer.put_bytes(value);
                }
                CHUNK
            }
        };
        self.records.record(kind, writer.bytes())
    }

    /// Adds the next record of the state, in the order of keys.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn entry(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.chunk.push((key.to_vec(), value.to_vec()));
        self.chunk_len += key.len() + value.len();
        if self.chunk_len >= SNAPSHOT_CHUNK_FILL_LEN { self.close_chunk() } else { Ok(()) }
    }

    /// Ends it, and hands out what it was written to.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn finish(mut self) -> io::Result<W> {
        self.close_chunk()?;
        self.records.record(END, &self.count.to_le_bytes())?;
        self.records.finish()
    }

    fn close_chunk(&mut self) -> io::Result<()> {
        let entries = core::mem::take(&mut self.chunk);
        self.chunk_len = 0;
        if entries.is_empty() { Ok(()) } else { self.part(&Part::Chunk(entries)) }
    }
}

/// Reads one such file.
pub struct SnapshotReader<R> {
    records: SealedReader<R>,
    count: u64,
    /// The last key.
    last: Vec<u8>,
    has_root: bool,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads its beginning, and the genesis that it states, which is as valid as its own rules ask
    /// ([`Genesis::validate`]).
    ///
    /// # Errors
    /// [`FileError`].
    pub fn new(from: R) -> Result<(Self, Genesis), FileError> {
        let (records, genesis) = SealedReader::new(from, &FORM)?;
        Ok((Self { records, count: 0, last: Vec::new(), has_root: false }, genesis))
    }

    /// The place of the next record, in bytes from the file's beginning.
    pub fn at(&self) -> u64 {
        self.records.at()
    }

    /// Records of the state so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The next part; `None` at the end. Records of the state come after the root alone, and nothing but them.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn next_part(&mut self) -> Result<Option<Part>, FileError> {
        let at = self.at();
        let damaged = |what| FileError::Damaged { at, what };
        let (kind, body) = self.records.record(SNAPSHOT_CHUNK_LEN_MAX)?;
        if self.count > 0 && !matches!(kind, CHUNK | END) {
            return Err(damaged("it stands among the records of the state"));
        }
        let part = match kind {
            START if body.is_empty() => Part::Start,
            BASE => base(&body).ok_or_else(|| damaged("it is no place where a walk begins"))?,
            HEADER => Part::Header(Box::new(Slice::from_bytes(&body).map_err(|_| damaged("it is no slice"))?)),
            CERTIFICATE => {
                let certificate = Certificate::from_bytes(&body).map_err(|_| damaged("it is no certificate"))?;
                Part::Certificate(Box::new(certificate))
            }
            ROOT if !self.has_root => {
                self.has_root = true;
                Part::Root(Root::from_bytes(&body).map_err(|_| damaged("it is no root"))?)
            }
            CUT if !self.has_root => {
                self.has_root = true;
                Part::Cut(SliceRef::from_bytes(&body).map_err(|_| damaged("it is no root"))?)
            }
            CHUNK if self.has_root => Part::Chunk(self.chunk(&body).map_err(damaged)?),
            END if self.has_root && body == self.count.to_le_bytes() => {
                return if self.records.is_at_end()? { Ok(None) } else { Err(damaged("bytes follow the last record")) };
            }
            ROOT | CUT => return Err(damaged("it is a second root")),
            CHUNK | END if !self.has_root => return Err(damaged("no root stands before it")),
            END => return Err(damaged("it states another count of records")),
            _ => return Err(damaged("it is of no kind that is known")),
        };
        Ok(Some(part))
    }

    fn chunk(&mut self, body: &[u8]) -> Result<Entries, &'static str> {
        let entries = entries(body).ok().flatten().ok_or("it does not hold records")?;
        for (key, _) in &entries {
            if *key <= self.last {
                return Err("its records are not in the order of their keys");
            }
            self.last.clone_from(key);
        }
        self.count += entries.len() as u64;
        if entries.is_empty() { Err("it holds no records") } else { Ok(entries) }
    }
}

fn base(body: &[u8]) -> Option<Part> {
    let (epoch, run) = body.split_first_chunk()?;
    let run = u32::from_le_bytes(run.try_into().ok()?);
    (2..=SNAPSHOT_RUN_MAX).contains(&run).then_some(Part::Base { epoch: Epoch(u64::from_le_bytes(*epoch)), run })
}

/// `None` where bytes follow.
fn entries(body: &[u8]) -> Result<Option<Entries>, CodecError> {
    let mut reader = Reader::new(body);
    let count: u32 = reader.take()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let key = reader.take_bytes(1..=STATE_KEY_LEN_MAX)?.to_vec();
        entries.push((key, reader.take_bytes(0..=STATE_VALUE_LEN_MAX)?.to_vec()));
    }
    if reader.remaining() == 0 { Ok(Some(entries)) } else { Ok(None) }
}

#[cfg(test)]
mod tests;
