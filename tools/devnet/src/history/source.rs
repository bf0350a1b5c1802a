//! Where answers about the past come from: the index that a validator keeps beside its state, or, where none goes as far as
//! the state, its log executed again from the genesis on. Both say the same; the second takes as long as the chain did.

use core::ops::ControlFlow;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use hpb_base::limits::HISTORY_PAGE_MAX;
use hpb_ledger::history::page::{by_id, page, slots};
use hpb_ledger::history::{
    Happened, HistoryRead as _, Order, Page, Place, Query, ResultRecord, SliceResults, Slot, SlotPage,
};
use hpb_ledger::lmdb::LmdbStore;
use hpb_ledger::{Ledger, Store as _};
use hpb_node::core::walk_results;
use hpb_types::{Genesis, Hash, SliceRef};

use crate::chain_view::{ChainView, open_log};
use crate::run::DevnetError;

/// What answers.
pub(super) struct Source {
    pub(super) genesis: Genesis,
    from: From,
}

enum From {
    Index(Box<Ledger<LmdbStore>>),
    Log { data: PathBuf, validator: usize },
}

impl Source {
    /// That of validator `validator` of a devnet's data folder.
    ///
    /// # Errors
    /// Those of [`ChainView::open`].
    pub(super) fn open(data: &Path, validator: usize) -> Result<Self, DevnetError> {
        let ChainView { genesis, ledger, .. } = ChainView::open(data, validator)?;
        let from = if ledger.store().keeps_history()? {
            From::Index(Box::new(ledger))
        } else {
            From::Log { data: data.to_path_buf(), validator }
        };
        Ok(Self { genesis, from })
    }

    /// The slice before which nothing is known; none where all is.
    pub(super) fn begins_after(&self) -> Result<Option<SliceRef>, DevnetError> {
        let From::Index(ledger) = &self.from else { return Ok(None) };
        let span = ledger.store().span()?;
        Ok(span.map(|span| span.from).filter(|from| *from != self.genesis.genesis_slice()))
    }

    /// A page of what is asked for.
    pub(super) fn page(&self, query: &Query) -> Result<Page, DevnetError> {
        if let From::Index(ledger) = &self.from {
            return Ok(page(&ledger.store().snapshot()?, query)?);
        }
        let limit = query.limit.min(HISTORY_PAGE_MAX);
        let (mut found, mut is_more) = (VecDeque::new(), false);
        self.walk(&mut |slice| {
            for happened in slice.each().filter(|happened| is_asked(query, happened)) {
                if found.len() == limit {
                    is_more = true;
                    match query.order {
                        Order::OldestFirst => return ControlFlow::Break(()),
                        Order::NewestFirst => found.pop_front(),
                    };
                }
                found.push_back((happened.place, happened.record()));
            }
            ControlFlow::Continue(())
        })?;
        let mut rows: Vec<(Place, ResultRecord)> = found.into();
        if query.order == Order::NewestFirst {
            rows.reverse();
        }
        let next = rows.last().map(|(place, _)| *place).filter(|_| is_more);
        Ok(Page { rows, next })
    }

    /// What the transaction, or the proposal, of that id came to.
    pub(super) fn by_id(&self, id: &Hash) -> Result<Option<(Place, ResultRecord)>, DevnetError> {
        if let From::Index(ledger) = &self.from {
            return Ok(by_id(&ledger.store().snapshot()?, id)?);
        }
        let mut found = None;
        self.walk(&mut |slice| {
            let one = slice.each().find(|happened| happened.receipt.transaction == *id);
            found = one.map(|happened| (happened.place, happened.record()));
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// Blocks of slots from `from` on, before `until`, after `after`.
    pub(super) fn slots(
        &self,
        from: u64,
        until: Option<u64>,
        after: Option<u64>,
        limit: usize,
    ) -> Result<SlotPage, DevnetError> {
        if let From::Index(ledger) = &self.from {
            return Ok(slots(&ledger.store().snapshot()?, from, until, after, limit)?);
        }
        let mut page = SlotPage::default();
        self.walk(&mut |slice| {
            let height = slice.header.reference.height;
            let slot = height.slot.0;
            if slot < from || after.is_some_and(|after| slot <= after) {
                return ControlFlow::Continue(());
            }
            if until.is_some_and(|until| slot >= until) {
                return ControlFlow::Break(());
            }
            if page.slots.last().is_none_or(|last| last.slot != slot) {
                if page.slots.len() >= limit.min(HISTORY_PAGE_MAX) {
                    page.next = page.slots.last().map(|last| last.slot);
                    return ControlFlow::Break(());
                }
                page.slots.push(Slot { slot, slices: Vec::new() });
            }
            if let Some(last) = page.slots.last_mut() {
                last.slices.push((height, slice.record()));
            }
            ControlFlow::Continue(())
        })?;
        Ok(page)
    }

    /// Executes the chain, and shows what each slice came to.
    fn walk(&self, visit: &mut dyn FnMut(&SliceResults) -> ControlFlow<()>) -> Result<(), DevnetError> {
        let From::Log { data, validator } = &self.from else { return Ok(()) };
        let (genesis, mut log) = open_log(data, *validator)?;
        Ok(walk_results(&genesis, &mut log, &mut |results| visit(&results.for_index()))?)
    }
}

fn is_asked(query: &Query, happened: &Happened<'_>) -> bool {
    query.reaches(happened.place)
        && query.account.is_none_or(|account| happened.accounts().contains(&account))
        && query.kind.is_none_or(|kind| happened.record().is_of(&kind))
}
