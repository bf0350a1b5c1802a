//! How the index is asked: page by page, each going on from a place that never moves.
//!
//! Final slices are never taken back and are added at the chain's end alone. So a page that goes on after a place, or a
//! slot, repeats nothing and leaves nothing out, whatever became final between the two.

use core::ops::ControlFlow;

use hpb_base::limits::{HISTORY_PAGE_MAX, HISTORY_SCANNED_MAX};
use hpb_types::{AccountName, Hash, Height};

use super::key::{self, Place, Shelf};
use super::record::{Kind, ResultRecord, SliceRecord};
use super::{HistoryError, HistoryRead};
use crate::store::StoreError;

/// Which end of the chain comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Its beginning.
    #[default]
    OldestFirst,
    /// Its end.
    NewestFirst,
}

/// What is asked for: what meets all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// Of an account's history.
    pub account: Option<AccountName>,
    /// Of a kind.
    pub kind: Option<Kind>,
    /// From this slot on.
    pub from: u64,
    /// In slots before this one; to the chain's end where there is none.
    pub until: Option<u64>,
    /// Which end comes first.
    pub order: Order,
    /// Only what comes after this place, in that order.
    pub after: Option<Place>,
    /// As many at most; [`HISTORY_PAGE_MAX`] are given at most.
    pub limit: usize,
}

/// A part of the answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// What was found, in the order that was asked for.
    pub rows: Vec<(Place, ResultRecord)>,
    /// After which place the next page goes on; none where nothing is left.
    pub next: Option<Place>,
}

/// The final slices of a slot: its block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The slot.
    pub slot: u64,
    /// Its slices, in order.
    pub slices: Vec<(Height, SliceRecord)>,
}

/// Blocks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SlotPage {
    /// Those found, ascending; slots without a block are left out.
    pub slots: Vec<Slot>,
    /// After which slot the next page goes on; none where nothing is left.
    pub next: Option<u64>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            account: None,
            kind: None,
            from: 0,
            until: None,
            order: Order::OldestFirst,
            after: None,
            limit: HISTORY_PAGE_MAX,
        }
    }
}

impl Query {
    /// Whether what stands at `place` may be part of the answer, by its place alone.
    pub fn reaches(&self, place: Place) -> bool {
        let is_after = |after| match self.order {
            Order::OldestFirst => place > after,
            Order::NewestFirst => place < after,
        };
        place.slot >= self.from && self.until.is_none_or(|until| place.slot < until) && self.after.is_none_or(is_after)
    }

    /// The first place that may be part of it; none where no place may.
    fn start(&self) -> Option<Place> {
        match self.order {
            Order::OldestFirst => Some(Place::first_of(self.from).max(self.after.unwrap_or(Place::first_of(0)))),
            Order::NewestFirst => {
                let last = self.until.map_or(Some(u64::MAX), |until| until.checked_sub(1));
                last.map(|last| Place::last_of(last).min(self.after.unwrap_or(Place::last_of(u64::MAX))))
            }
        }
    }

    /// Whether nothing beyond `place` is part of it.
    fn ends_at(&self, place: Place) -> bool {
        match self.order {
            Order::OldestFirst => self.until.is_some_and(|until| place.slot >= until),
            Order::NewestFirst => place.slot < self.from,
        }
    }

    fn shelf(&self) -> Shelf {
        match (&self.account, &self.kind) {
            (Some(account), _) => Shelf::of_account(account),
            (None, Some(kind)) => Shelf::of_kind(kind),
            (None, None) => Shelf::all(),
        }
    }
}

/// A page of what was asked for. A rare kind in a long history of an account may take several pages of which some are
/// empty: no more than [`HISTORY_SCANNED_MAX`] rows are looked at for one.
///
/// # Errors
/// A store that can't be read, or an index that does not read back.
pub fn page(read: &dyn HistoryRead, query: &Query) -> Result<Page, HistoryError> {
    let (mut page, mut failed) = (Page::default(), None);
    let Some(start) = query.start() else { return Ok(page) };
    let (shelf, limit) = (query.shelf(), query.limit.min(HISTORY_PAGE_MAX));
    let (mut scanned, mut last) = (0, None);
    read.visit_rows(&shelf.at(start), query.order, &mut |key, value| {
        let Some(place) = shelf.place(key).filter(|place| !query.ends_at(*place)) else {
            return ControlFlow::Break(());
        };
        if !query.reaches(place) {
            return ControlFlow::Continue(());
        }
        if page.rows.len() >= limit || scanned >= HISTORY_SCANNED_MAX {
            page.next = last;
            return ControlFlow::Break(());
        }
        match found(read, &shelf, place, value) {
            // All of a kind's shelf is of that kind.
            Ok(record) if query.account.is_none() || query.kind.is_none_or(|kind| record.is_of(&kind)) => {
                page.rows.push((place, record));
            }
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
        (scanned, last) = (scanned + 1, Some(place));
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(page), Err)
}

fn found(read: &dyn HistoryRead, shelf: &Shelf, place: Place, value: &[u8]) -> Result<ResultRecord, HistoryError> {
    let record = if *shelf == Shelf::all() { Some(value.to_vec()) } else { read.get_row(&key::of_result(place))? };
    let record = record.and_then(|bytes| ResultRecord::decode(&bytes));
    record.ok_or_else(|| HistoryError::Damaged(format!("the receipt at {place} does not read back")))
}

/// What the transaction, or the proposal, of that id came to; the first of them where an id comes again.
///
/// # Errors
/// Those of [`page`].
pub fn by_id(read: &dyn HistoryRead, id: &Hash) -> Result<Option<(Place, ResultRecord)>, HistoryError> {
    let (shelf, mut place) = (Shelf::of_id(id), None);
    read.visit_rows(&shelf.at(Place::first_of(0)), Order::OldestFirst, &mut |key, _| {
        place = shelf.place(key);
        ControlFlow::Break(())
    })?;
    place.map(|place| found(read, &shelf, place, &[]).map(|record| (place, record))).transpose()
}

/// Blocks from slot `from` on, before slot `until`, after slot `after`; `limit` at most, and [`HISTORY_PAGE_MAX`].
///
/// # Errors
/// Those of [`page`].
pub fn slots(
    read: &dyn HistoryRead,
    from: u64,
    until: Option<u64>,
    after: Option<u64>,
    limit: usize,
) -> Result<SlotPage, HistoryError> {
    let (mut page, mut damaged) = (SlotPage::default(), None);
    let Some(first) = after.map_or(Some(0), |after| after.checked_add(1)) else { return Ok(page) };
    let start = key::of_slice(Height::new(from.max(first), 0));
    read.visit_rows(&start, Order::OldestFirst, &mut |key, value| {
        let in_range = |height: &Height| until.is_none_or(|until| height.slot.0 < until);
        let Some(height) = key::slice_of(key).filter(in_range) else { return ControlFlow::Break(()) };
        let Some(record) = SliceRecord::decode(value) else {
            damaged = Some(HistoryError::Damaged(format!("the slice at {height} does not read back")));
            return ControlFlow::Break(());
        };
        if page.slots.last().is_none_or(|last| last.slot != height.slot.0) {
            if page.slots.len() >= limit.min(HISTORY_PAGE_MAX) {
                page.next = page.slots.last().map(|last| last.slot).or(after);
                return ControlFlow::Break(());
            }
            page.slots.push(Slot { slot: height.slot.0, slices: Vec::new() });
        }
        if let Some(last) = page.slots.last_mut() {
            last.slices.push((height, record));
        }
        ControlFlow::Continue(())
    })?;
    damaged.map_or(Ok(page), Err)
}

/// The first row in which the index and what a slice came to part; none if it holds the slice as it should.
///
/// # Errors
/// A store that can't be read.
pub fn first_parting(read: &dyn HistoryRead, rows: &super::Rows) -> Result<Option<Vec<u8>>, StoreError> {
    for (key, value) in rows.iter() {
        if read.get_row(key)?.as_deref() != Some(value) {
            return Ok(Some(key.to_vec()));
        }
    }
    Ok(None)
}
