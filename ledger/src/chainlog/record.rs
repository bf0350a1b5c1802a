//! What one record and one batch of the log look like as bytes.
//!
//! A **record** is `length u32 | kind u8 | body | checksum 8`. The checksum is BLAKE3, keyed by the log's own salt,
//! over `segment u32 | offset u64 | length | kind | body`, cut to 8 bytes: a record is good only at the very place it
//! was written to, so neither a stale one nor bytes that a peer put into a transaction can pass for one.
//!
//! A **batch** is `Open | records | Close | zeros to the next block`. It starts at a multiple of [`BLOCK_LEN`], so that
//! no write ever touches a block that was synced before. `Open` (`number u64, length u32, records u32, watermark`) and
//! `Close` (`number u64, watermark`) carry the two copies of the watermark, and `Open` fits the first sector. A
//! batch counts as a whole or not at all.

use hpb_base::limits::{LOG_BATCH_LEN_MAX, LOG_RECORD_LEN_MAX};
use hpb_types::{Canonical, Certificate, Confirm, Height, Slice, SliceRef, Transaction};

use super::LogError;
use super::finals::Note;
use crate::watermark::{
    SLICE_REF_LEN, WATERMARK_LEN, Watermark, WatermarkState, decode_slice_ref, decode_watermark, encode_slice_ref,
    encode_watermark,
};

/// Batches start at multiples of this many bytes: a page of the page cache and a sector of today's disks.
pub const BLOCK_LEN: u64 = 4_096;

/// The secret that keys a log's checksums.
pub type Salt = [u8; 32];

pub(super) const KIND_OPEN: u8 = 1;
pub(super) const KIND_CLOSE: u8 = 2;
pub(super) const KIND_SLICE: u8 = 16;
const KIND_CONFIRM: u8 = 17;
const KIND_CERTIFICATE: u8 = 18;
const KIND_FINAL: u8 = 19;

const CHECKSUM_LEN: usize = 8;
const PREFIX_LEN: usize = 4 + 1;
/// What a record costs beside its body.
pub(super) const FRAME_LEN: usize = PREFIX_LEN + CHECKSUM_LEN;
const OPEN_BODY_LEN: usize = 8 + 4 + 4 + WATERMARK_LEN;
pub(super) const CLOSE_BODY_LEN: usize = 8 + WATERMARK_LEN;
pub(super) const OPEN_LEN: usize = FRAME_LEN + OPEN_BODY_LEN;
pub(super) const CLOSE_LEN: usize = FRAME_LEN + CLOSE_BODY_LEN;
const SECTOR_LEN: usize = 512;
const _: () = assert!(OPEN_LEN <= SECTOR_LEN, "a torn sector would take the first copy of the watermark");

/// One thing that the log holds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "records are read and handed on one at a time")]
pub enum Record {
    /// A slice that this node executed, with its transactions in order.
    Slice {
        /// The slice.
        slice: Slice,
        /// Its transactions.
        transactions: Vec<Transaction>,
    },
    /// A confirm, of this node or another.
    Confirm(Confirm),
    /// A certificate that was formed or received.
    Certificate(Certificate),
    /// The chain is final up to here.
    Final(SliceRef),
}

/// Records that become durable together, with the watermark that holds after them.
///
/// One batch is filled, appended, cleared and filled again, so that its memory is used again too.
#[derive(Clone, Default, Debug)]
pub struct LogBatch {
    bodies: Vec<u8>,
    records: Vec<Framed>,
    watermark: Option<Watermark>,
    height_max: Option<Height>,
    /// What it says of the chain's order.
    notes: Vec<Note>,
}

#[derive(Clone, Copy, Debug)]
struct Framed {
    kind: u8,
    end: usize,
}

impl LogBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`LogError::RecordTooLong`] and [`LogError::BatchFull`]; the batch is then what it was.
    pub fn push(&mut self, record: &Record) -> Result<(), LogError> {
        match record {
            Record::Slice { slice, transactions } => self.push_slice(slice, transactions),
            Record::Confirm(confirm) => self.push_confirm(confirm),
            Record::Certificate(certificate) => self.push_certificate(certificate),
            Record::Final(reference) => self.push_final(reference),
        }
    }

    /// Adds a slice with its transactions.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_slice(&mut self, slice: &Slice, transactions: &[Transaction]) -> Result<(), LogError> {
        let reference = slice.reference();
        self.add(KIND_SLICE, |body| {
            encode_slice_ref(&reference, body);
            put_bytes(&slice.to_bytes(), body);
            body.extend_from_slice(&(transactions.len() as u32).to_le_bytes());
            for transaction in transactions {
                put_bytes(&transaction.to_bytes(), body);
            }
        })?;
        self.height_max = self.height_max.max(Some(reference.height));
        self.notes.push(Note::Slice { slice: reference, parent: slice.body.parent });
        Ok(())
    }

    /// Adds a confirm.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_confirm(&mut self, confirm: &Confirm) -> Result<(), LogError> {
        self.add(KIND_CONFIRM, |body| body.extend_from_slice(&confirm.to_bytes()))
    }

    /// Adds a certificate.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_certificate(&mut self, certificate: &Certificate) -> Result<(), LogError> {
        self.add(KIND_CERTIFICATE, |body| body.extend_from_slice(&certificate.to_bytes()))
    }

    /// Adds the news that the chain is final up to `reference`.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_final(&mut self, reference: &SliceRef) -> Result<(), LogError> {
        self.add(KIND_FINAL, |body| encode_slice_ref(reference, body))?;
        self.notes.push(Note::Final(*reference));
        Ok(())
    }

    /// States the watermark that holds once this batch is durable; the last one set counts.
    pub fn set_watermark(&mut self, watermark: Watermark) {
        self.watermark = Some(watermark);
    }

    /// The watermark that was set.
    pub fn watermark(&self) -> Option<&Watermark> {
        self.watermark.as_ref()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.watermark.is_none()
    }

    /// Records in it.
    pub fn records_count(&self) -> usize {
        self.records.len()
    }

    /// Bytes it takes in the log before its padding.
    pub fn encoded_len(&self) -> usize {
        OPEN_LEN + self.bodies.len() + self.records.len() * FRAME_LEN + CLOSE_LEN
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bodies.clear();
        self.records.clear();
        self.watermark = None;
        self.height_max = None;
        self.notes.clear();
    }

    /// What it says of the chain's order.
    pub(super) fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The highest slice in it.
    pub(super) fn height_max(&self) -> Option<Height> {
        self.height_max
    }

    fn add(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), LogError> {
        let start = self.bodies.len();
        write(&mut self.bodies);
        let length = self.bodies.len() - start;
        let refusal = if length > LOG_RECORD_LEN_MAX {
            LogError::RecordTooLong { length }
        } else if self.encoded_len() + FRAME_LEN > LOG_BATCH_LEN_MAX {
            LogError::BatchFull { length: self.encoded_len() + FRAME_LEN, length_max: LOG_BATCH_LEN_MAX as u64 }
        } else {
            self.records.push(Framed { kind, end: self.bodies.len() });
            return Ok(());
        };
        self.bodies.truncate(start);
        Err(refusal)
    }

    /// Writes the batch as it stands at `place` into `out`, padded to whole blocks, and hands out where each record
    /// starts, in bytes from the batch's own start.
    pub(super) fn seal(&self, place: &Place<'_>, number: u64, state: &WatermarkState, out: &mut Vec<u8>) -> Vec<u64> {
        out.clear();
        let length = self.encoded_len();
        let mut body = Vec::with_capacity(OPEN_BODY_LEN);
        body.extend_from_slice(&number.to_le_bytes());
        body.extend_from_slice(&(length as u32).to_le_bytes());
        body.extend_from_slice(&(self.records.len() as u32).to_le_bytes());
        encode_watermark(state, &mut body);
        put_frame(place, KIND_OPEN, &body, out);
        let mut starts = Vec::with_capacity(self.records.len());
        let mut from = 0;
        for record in &self.records {
            starts.push(out.len() as u64);
            put_frame(place, record.kind, &self.bodies[from..record.end], out);
            from = record.end;
        }
        body.clear();
        body.extend_from_slice(&number.to_le_bytes());
        encode_watermark(state, &mut body);
        put_frame(place, KIND_CLOSE, &body, out);
        assert!(out.len() == length, "the length that Open states is the length that was written");
        out.resize(padded_len(length as u64) as usize, 0);
        starts
    }
}

/// Where a batch stands: what its checksums are bound to.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) salt: &'a Salt,
    pub(super) segment: u32,
    /// The batch's first byte in the segment.
    pub(super) offset: u64,
}

/// What `Open` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) length: u32,
    pub(super) records: u32,
    pub(super) watermark: WatermarkState,
}

/// What `Close` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Close {
    pub(super) number: u64,
    pub(super) watermark: WatermarkState,
}

/// A record whose checksum holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that it takes in the log.
    pub(super) fn len(&self) -> usize {
        FRAME_LEN + self.body.len()
    }

    /// Whether it holds a slice.
    pub(super) fn is_slice(&self) -> bool {
        self.kind == KIND_SLICE
    }

    /// Up to where it says that the chain is final, if it does.
    pub(super) fn final_point(&self) -> Option<SliceRef> {
        if self.kind == KIND_FINAL { decode_slice_ref(self.body) } else { None }
    }
}

/// The record that starts `at` bytes after the start of the batch at `place`, whose bytes begin there; `None` unless
/// it is whole and its checksum holds.
pub(super) fn frame_at<'a>(place: &Place<'_>, at: usize, bytes: &'a [u8]) -> Option<Frame<'a>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > LOG_RECORD_LEN_MAX || rest.len() < 1 + length + CHECKSUM_LEN {
        return None;
    }
    let (kind, body) = (rest[0], &rest[1..=length]);
    let stated = &rest[1 + length..1 + length + CHECKSUM_LEN];
    (checksum(place, at as u64, kind, body) == stated).then_some(Frame { kind, body })
}

/// What an `Open` record says; `None` for any other.
pub(super) fn open_of(frame: &Frame<'_>) -> Option<Open> {
    if frame.kind != KIND_OPEN || frame.body.len() != OPEN_BODY_LEN {
        return None;
    }
    let (number, rest) = frame.body.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (records, rest) = rest.split_first_chunk::<4>()?;
    Some(Open {
        number: u64::from_le_bytes(*number),
        length: u32::from_le_bytes(*length),
        records: u32::from_le_bytes(*records),
        watermark: decode_watermark(rest)?,
    })
}

/// What a `Close` record says; `None` for any other.
pub(super) fn close_of(frame: &Frame<'_>) -> Option<Close> {
    if frame.kind != KIND_CLOSE {
        return None;
    }
    let (number, rest) = frame.body.split_first_chunk::<8>()?;
    Some(Close { number: u64::from_le_bytes(*number), watermark: decode_watermark(rest)? })
}

/// The slice that a record names, without decoding the rest: that of a slice or of a final point.
pub(super) fn named_slice(frame: &Frame<'_>) -> Option<SliceRef> {
    match frame.kind {
        KIND_SLICE | KIND_FINAL => decode_slice_ref(frame.body.get(..SLICE_REF_LEN)?),
        _ => None,
    }
}

/// The height of the slice that a record holds; `None` for a record of another kind.
pub(super) fn slice_height(frame: &Frame<'_>) -> Option<Height> {
    if frame.kind == KIND_SLICE { named_slice(frame).map(|reference| reference.height) } else { None }
}

/// Decodes a record; `None` where the bytes are no canonical record of a kind that this program knows.
pub(super) fn record_of(frame: &Frame<'_>) -> Option<Record> {
    match frame.kind {
        KIND_SLICE => decode_slice_record(frame.body),
        KIND_CONFIRM => Confirm::from_bytes(frame.body).ok().map(Record::Confirm),
        KIND_CERTIFICATE => Certificate::from_bytes(frame.body).ok().map(Record::Certificate),
        KIND_FINAL => decode_slice_ref(frame.body).map(Record::Final),
        _ => None,
    }
}

/// `length` rounded up to whole blocks.
pub(super) fn padded_len(length: u64) -> u64 {
    length.next_multiple_of(BLOCK_LEN)
}

fn decode_slice_record(body: &[u8]) -> Option<Record> {
    let (slice, rest) = split_slice(body)?;
    Some(Record::Slice { slice, transactions: decode_transactions(rest)? })
}

/// The slice of a slice's record, its transactions not looked at.
pub(super) fn slice_of(body: &[u8]) -> Option<Slice> {
    split_slice(body).map(|(slice, _)| slice)
}

/// The transactions of a slice's record, the slice not looked at.
pub(super) fn transactions_of(body: &[u8]) -> Option<Vec<Transaction>> {
    let mut rest = body.get(SLICE_REF_LEN..)?;
    take_bytes(&mut rest)?;
    decode_transactions(rest)
}

/// The slice of a slice's record, and what stands behind it.
fn split_slice(body: &[u8]) -> Option<(Slice, &[u8])> {
    let (reference, mut rest) = body.split_at_checked(SLICE_REF_LEN)?;
    let slice = Slice::from_bytes(take_bytes(&mut rest)?).ok()?;
    (decode_slice_ref(reference)? == slice.reference()).then_some((slice, rest))
}

fn decode_transactions(bytes: &[u8]) -> Option<Vec<Transaction>> {
    let (count, mut rest) = bytes.split_first_chunk::<4>()?;
    let mut transactions = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        transactions.push(Transaction::from_bytes(take_bytes(&mut rest)?).ok()?);
    }
    rest.is_empty().then_some(transactions)
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(bytes)
}

fn put_frame(place: &Place<'_>, kind: u8, body: &[u8], out: &mut Vec<u8>) {
    let checksum = checksum(place, out.len() as u64, kind, body);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(body);
    out.extend_from_slice(&checksum);
}

fn checksum(place: &Place<'_>, at: u64, kind: u8, body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = blake3::Hasher::new_keyed(place.salt);
    hasher.update(&place.segment.to_le_bytes());
    hasher.update(&(place.offset + at).to_le_bytes());
    hasher.update(&(body.len() as u32).to_le_bytes());
    hasher.update(&[kind]);
    hasher.update(body);
    let mut cut = [0; CHECKSUM_LEN];
    hasher.finalize_xof().fill(&mut cut);
    cut
}
