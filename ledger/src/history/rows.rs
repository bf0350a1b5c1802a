//! The rows that a slice adds, and the span that says how far they go.

use hpb_types::SliceRef;

use super::key::{self, Shelf};
use super::{HISTORY_FORMAT, HistoryError, SliceResults, Span};
use crate::store::StoreError;
use crate::watermark::{decode_slice_ref, encode_slice_ref};

/// Bytes of a slice's reference.
const SLICE_REF_LEN: usize = 44;

/// Rows, their bytes in one piece.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    /// Where each key begins, where it ends and its value begins, and where that ends.
    ends: Vec<(usize, usize, usize)>,
}

impl Rows {
    /// The rows of one slice, in the order of their keys.
    pub fn of(slice: &SliceResults) -> Self {
        let mut rows = Self::default();
        rows.add(slice);
        rows.sort();
        rows
    }

    /// Each key with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.ends.iter().map(|(from, middle, to)| (&self.bytes[*from..*middle], &self.bytes[*middle..*to]))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    fn add(&mut self, slice: &SliceResults) {
        self.push(&key::of_slice(slice.header.reference.height), |out| slice.record().encode(out));
        for happened in slice.each() {
            let place = happened.place;
            self.push(&key::of_result(place), |out| happened.record().encode(out));
            self.push(&Shelf::of_id(&happened.receipt.transaction).at(place), |_| ());
            for account in happened.accounts() {
                self.push(&Shelf::of_account(&account).at(place), |_| ());
            }
            for kind in happened.kinds() {
                self.push(&Shelf::of_kind(&kind).at(place), |_| ());
            }
        }
    }

    fn push(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        value(&mut self.bytes);
        self.ends.push((from, middle, self.bytes.len()));
    }

    /// Neighbours one after the other: a page of the store is found once for all of its rows.
    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.ends.sort_unstable_by_key(|(from, middle, _)| &bytes[*from..*middle]);
    }
}

/// What the row of the span holds where an index begins after `from`.
pub(crate) fn begin(from: SliceRef) -> Vec<u8> {
    write_span(&Span { from, to: from })
}

/// The rows that slices add to an index whose row of the span is `span`, and that row's new value; `None` if there are no
/// slices.
///
/// # Errors
/// [`StoreError::HistoryGap`] unless there is an index, and the slices follow its last one and each other.
pub(crate) fn append(span: Option<&[u8]>, slices: &[SliceResults]) -> Result<Option<(Rows, Vec<u8>)>, StoreError> {
    let Some(first) = slices.first() else { return Ok(None) };
    let Some(mut span) = span.and_then(|span| read_span(span).ok()) else {
        return Err(StoreError::HistoryGap { found: None, offered: first.header.reference });
    };
    let mut rows = Rows::default();
    for slice in slices {
        let reference = slice.header.reference;
        if slice.header.parent != span.to.id || reference.height <= span.to.height {
            return Err(StoreError::HistoryGap { found: Some(span.to), offered: reference });
        }
        rows.add(slice);
        span.to = reference;
    }
    rows.sort();
    Ok(Some((rows, write_span(&span))))
}

fn write_span(span: &Span) -> Vec<u8> {
    let mut bytes = HISTORY_FORMAT.to_le_bytes().to_vec();
    encode_slice_ref(&span.from, &mut bytes);
    encode_slice_ref(&span.to, &mut bytes);
    bytes
}

pub(super) fn read_span(bytes: &[u8]) -> Result<Span, HistoryError> {
    let damaged = |what: &str| HistoryError::Damaged(what.to_owned());
    let (format, rest) = bytes.split_first_chunk().ok_or_else(|| damaged("it states no format"))?;
    match u32::from_le_bytes(*format) {
        HISTORY_FORMAT => {}
        found if found > HISTORY_FORMAT => return Err(HistoryError::Newer { found, known: HISTORY_FORMAT }),
        _ => return Err(damaged("its format number was never used")),
    }
    let ends = rest.split_at_checked(SLICE_REF_LEN);
    let span = ends.and_then(|(from, to)| Some(Span { from: decode_slice_ref(from)?, to: decode_slice_ref(to)? }));
    span.filter(|span| span.from.height <= span.to.height).ok_or_else(|| damaged("its span does not read back"))
}
