//! Blocks: the slices of a slot, who made them, what they hold and came to.

use std::path::Path;

use hpb_ledger::history::{Place, Query, SliceRecord, Slot};
use hpb_types::{Genesis, Height, Outcome};
use serde::{Deserialize, Serialize};

use super::source::Source;
use super::{TransactionRow, When, slot_of};
use crate::report::decimal;
use crate::run::DevnetError;

/// The final slices of a slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockRow {
    /// The slot.
    pub slot: u64,
    /// Block time, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The id of its last slice: the block's.
    pub id: String,
    /// Who produced it.
    pub producer: String,
    /// Slices.
    pub slices: u32,
    /// Transactions.
    pub transactions: u64,
    /// Proposals that were due.
    pub due: u64,
    /// How many of both took effect.
    pub applied: u64,
    /// Units that they took.
    pub units: u64,
    /// What they paid, in the smallest unit.
    #[serde(with = "decimal")]
    pub fees: u128,
    /// Bytes of its transactions.
    pub bytes: u64,
    /// The certificate that its last slice carries.
    pub certificate: CertificateRow,
}

/// A certificate that a slice carries: what is proven of the chain before it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateRow {
    /// The slice that its link starts from, as `slot.index`.
    pub source: String,
    /// The slice that it justifies.
    pub target: String,
    /// Its signatures.
    pub signatures: u32,
}

/// One slice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SliceRow {
    /// Its index in the slot.
    pub index: u32,
    /// Its id.
    pub id: String,
    /// Who made it.
    pub producer: String,
    /// Transactions.
    pub transactions: u32,
    /// Proposals that were due.
    pub due: u32,
    /// How many of both took effect.
    pub applied: u32,
    /// Units that they took.
    pub units: u64,
    /// What they paid, in the smallest unit.
    #[serde(with = "decimal")]
    pub fees: u128,
    /// The certificate that it carries.
    pub certificate: CertificateRow,
}

/// Why transactions did not take effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailedRow {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A block in full.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockDetailRow {
    /// The block.
    pub block: BlockRow,
    /// Its slices, in order.
    pub slices: Vec<SliceRow>,
    /// Why transactions of the block did not take effect, the most frequent first.
    pub failed: Vec<FailedRow>,
    /// A page of its transactions, in order.
    pub transactions: Vec<TransactionRow>,
    /// Where the next page begins, as `slot.slice.number`; none where this is the last one.
    pub next_after: Option<String>,
}

/// A page of blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlocksRow {
    /// Blocks, ascending; slots without one are left out.
    pub blocks: Vec<BlockRow>,
    /// The slot after which the next page begins; none where this is the last one.
    pub next_after: Option<u64>,
    /// The slice before which nothing is known, as `slot.index:id`; none where all is.
    pub begins_after: Option<String>,
}

/// The block of `slot` as validator `validator` has it, with at most `limit` of its transactions, those after place `after`;
/// `None` if the slot has no final one.
///
/// # Errors
/// Those of [`super::transaction`].
pub fn block(
    data: &Path,
    validator: usize,
    slot: u64,
    after: Option<Place>,
    limit: usize,
) -> Result<Option<BlockDetailRow>, DevnetError> {
    let source = Source::open(data, validator)?;
    let until = slot.checked_add(1);
    let Some(found) = source.slots(slot, until, None, 1)?.slots.pop().filter(|found| found.slot == slot) else {
        return Ok(None);
    };
    let Some(row) = BlockRow::new(&source.genesis, &found) else { return Ok(None) };
    let page = source.page(&Query { from: slot, until, after, limit, ..Query::default() })?;
    Ok(Some(BlockDetailRow {
        slices: found.slices.iter().map(|(height, record)| SliceRow::new(*height, record)).collect(),
        failed: if row.applied < row.transactions + row.due { failed(&source, slot)? } else { Vec::new() },
        transactions: page
            .rows
            .iter()
            .map(|(place, record)| TransactionRow::new(&source.genesis, *place, record))
            .collect(),
        next_after: page.next.map(|place| place.to_string()),
        block: row,
    }))
}

/// Blocks from `from` on, before `until`, after slot `after`: `limit` at most.
///
/// # Errors
/// Those of [`super::transaction`].
pub fn blocks(
    data: &Path,
    validator: usize,
    (from, until): (Option<When>, Option<When>),
    after: Option<u64>,
    limit: usize,
) -> Result<BlocksRow, DevnetError> {
    let source = Source::open(data, validator)?;
    let (from, until) = (slot_of(&source.genesis, from), until.map(|until| slot_of(&source.genesis, Some(until))));
    let page = source.slots(from, until, after, limit)?;
    Ok(BlocksRow {
        blocks: page.slots.iter().filter_map(|slot| BlockRow::new(&source.genesis, slot)).collect(),
        next_after: page.next,
        begins_after: source.begins_after()?.map(|slice| slice.to_text()),
    })
}

/// Why transactions of a slot did not take effect: all of them are looked at, a page after the other.
fn failed(source: &Source, slot: u64) -> Result<Vec<FailedRow>, DevnetError> {
    let mut rows: Vec<FailedRow> = Vec::new();
    let mut query = Query { from: slot, until: slot.checked_add(1), ..Query::default() };
    loop {
        let page = source.page(&query)?;
        for (_, record) in &page.rows {
            let Outcome::Failed(reason) = record.outcome else { continue };
            let reason = reason.to_string();
            match rows.iter_mut().find(|row| row.reason == reason) {
                Some(row) => row.count += 1,
                None => rows.push(FailedRow { reason, count: 1 }),
            }
        }
        query.after = page.next;
        if page.next.is_none() {
            rows.sort_by(|one, other| (other.count, &one.reason).cmp(&(one.count, &other.reason)));
            return Ok(rows);
        }
    }
}

impl BlockRow {
    /// `None` of a slot without a slice.
    fn new(genesis: &Genesis, Slot { slot, slices }: &Slot) -> Option<Self> {
        let (_, last) = slices.last()?;
        let sum = |count: fn(&SliceRecord) -> u64| slices.iter().map(|(_, slice)| count(slice)).sum();
        Some(Self {
            slot: *slot,
            unix_ms: genesis.slot_start_ms(hpb_types::Slot(*slot)),
            id: last.id.to_hex(),
            producer: last.producer.to_string(),
            // At most as many as a slot has.
            slices: slices.len() as u32,
            transactions: sum(|slice| slice.transactions.into()),
            due: sum(|slice| slice.due.into()),
            applied: sum(|slice| slice.applied.into()),
            units: slices.iter().fold(0, |sum, (_, slice)| sum.saturating_add(slice.units)),
            fees: slices.iter().fold(0, |sum, (_, slice)| sum.saturating_add(slice.fees)),
            bytes: slices.iter().fold(0, |sum, (_, slice)| sum.saturating_add(slice.bytes)),
            certificate: CertificateRow::new(last),
        })
    }
}

impl CertificateRow {
    fn new(slice: &SliceRecord) -> Self {
        let proof = &slice.proof;
        Self { source: proof.source.to_string(), target: proof.target.to_string(), signatures: proof.signatures }
    }
}

impl SliceRow {
    fn new(height: Height, record: &SliceRecord) -> Self {
        Self {
            index: height.index,
            id: record.id.to_hex(),
            producer: record.producer.to_string(),
            transactions: record.transactions,
            due: record.due,
            applied: record.applied,
            units: record.units,
            fees: record.fees,
            certificate: CertificateRow::new(record),
        }
    }
}
