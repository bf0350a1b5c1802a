//! A chain from its genesis on, with what its transactions came to: made anew by executing it, for whoever keeps no index
//! of it, and to make one.

use core::ops::ControlFlow;

use hpb_base::limits::HISTORY_BUILD_BYTES;
use hpb_ledger::chainlog::{ChainLog, Record};
use hpb_ledger::history::{HistoryError, HistoryStore, SliceHeader, SliceResults};
use hpb_ledger::{Checked, Ledger, MemoryStore, Store};
use hpb_types::{Genesis, Receipt, Slice, SliceRef};

use super::recover::{Reading, RecoverError};

/// A final slice and what it came to.
#[derive(Clone, Copy, Debug)]
pub struct Results<'a> {
    /// The slice.
    pub slice: &'a Slice,
    /// Its transactions, in order.
    pub transactions: &'a [Checked],
    /// What each of them came to.
    pub receipts: &'a [Receipt],
    /// What proposals came to that were due before them.
    pub due: &'a [Receipt],
}

/// Executes the final slices of a log, from the first on, and shows each with its results until `visit` has seen enough.
/// Takes the time that the chain's execution takes, and the memory of its state.
///
/// # Errors
/// A log that can't be read, lacks its beginning, or does not execute as it says.
pub fn walk_results(
    genesis: &Genesis,
    log: &mut ChainLog,
    visit: &mut dyn FnMut(&Results<'_>) -> ControlFlow<()>,
) -> Result<(), RecoverError> {
    let mut ledger = Ledger::open(genesis, MemoryStore::new())?;
    ledger.commit_here()?;
    let mut walk = Walk { reading: Reading::new(genesis, ledger), visit, is_over: false };
    let mut failure = None;
    log.replay(None, &mut |entry| {
        if failure.is_none() && !walk.is_over {
            failure = walk.take(entry.record).err();
        }
    })?;
    failure.map_or(Ok(()), Err)
}

impl Results<'_> {
    /// What an index is told of it.
    pub fn for_index(&self) -> SliceResults {
        SliceResults {
            header: SliceHeader::of(self.slice),
            transactions: self.transactions.to_vec(),
            receipts: [self.due, self.receipts].concat(),
        }
    }
}

/// What was put into an index that was made anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Indexed {
    /// Slices.
    pub slices: u64,
    /// Their transactions.
    pub transactions: u64,
}

/// Makes the index of `store` anew by executing the chain of its log from the beginning, up to where the state of the
/// store stands. One that is cut short is a beginning that nobody reads; it is made anew the next time.
///
/// # Errors
/// Those of [`walk_results`]; a state that the log does not come by; a store that can't be written.
pub fn build_index<S: Store + HistoryStore>(
    genesis: &Genesis,
    log: &mut ChainLog,
    store: &mut S,
) -> Result<Indexed, RecoverError> {
    let start = genesis.genesis_slice();
    store.begin_history(start)?;
    let Some(end) = store.final_point()?.map(|point| point.slice).filter(|end| *end != start) else {
        return Ok(Indexed::default());
    };
    let mut building = Building { indexed: Indexed::default(), gathered: Vec::new(), gathered_len: 0, at: start };
    let mut failed = None;
    walk_results(genesis, log, &mut |results| {
        if results.slice.body.height() > end.height {
            return ControlFlow::Break(());
        }
        failed = building.take(results.for_index(), store).err();
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(()), Err)?;
    store.append_history(&building.gathered)?;
    if building.at == end {
        Ok(building.indexed)
    } else {
        Err(RecoverError::StoreAhead { store: end, log: building.at })
    }
}

/// How a store comes to keep its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It was in step with the state.
    InStep,
    /// It was made anew from the log.
    Made(Indexed),
    /// The log lacks its beginning: it begins after this slice, where the state stands.
    BeginsAfter(SliceRef),
}

/// Has `store` keep an index of history from where its state stands: as it is, where it is in step; else made anew from the
/// log; else, where the log lacks its beginning, begun where the state stands. To be called before a ledger is opened on it.
///
/// # Errors
/// An index of a newer format, which is left alone; those of [`build_index`].
pub fn keep_index<S: Store + HistoryStore>(
    genesis: &Genesis,
    log: &mut ChainLog,
    store: &mut S,
) -> Result<Kept, RecoverError> {
    match store.span() {
        Err(HistoryError::Damaged(_)) => {}
        Err(error) => return Err(error.into()),
        Ok(_) if store.keeps_history()? => return Ok(Kept::InStep),
        Ok(_) => {}
    }
    if log.is_whole() {
        return build_index(genesis, log, store).map(Kept::Made);
    }
    let from = store.final_point()?.map_or_else(|| genesis.genesis_slice(), |point| point.slice);
    store.begin_history(from)?;
    Ok(Kept::BeginsAfter(from))
}

struct Building {
    indexed: Indexed,
    gathered: Vec<SliceResults>,
    gathered_len: usize,
    at: SliceRef,
}

impl Building {
    fn take(&mut self, slice: SliceResults, store: &mut impl HistoryStore) -> Result<(), RecoverError> {
        self.indexed.slices += 1;
        self.indexed.transactions += slice.transactions.len() as u64;
        self.at = slice.header.reference;
        self.gathered_len += slice.bytes_len();
        self.gathered.push(slice);
        if self.gathered_len >= HISTORY_BUILD_BYTES {
            store.append_history(&self.gathered)?;
            self.gathered.clear();
            self.gathered_len = 0;
        }
        Ok(())
    }
}

struct Walk<'a> {
    reading: Reading<MemoryStore>,
    visit: &'a mut dyn FnMut(&Results<'_>) -> ControlFlow<()>,
    is_over: bool,
}

impl Walk<'_> {
    fn take(&mut self, record: Record) -> Result<(), RecoverError> {
        match record {
            Record::Slice { slice, transactions } => {
                // Verified before it was written, under the log's own checksums.
                let checked = transactions.into_iter().map(Checked::verified).collect::<Result<_, _>>()?;
                self.reading.hold(slice, checked);
            }
            Record::Final(reference) => {
                for body in self.reading.chain_to(reference)? {
                    let (body, receipts) = self.reading.advance(body)?;
                    let (due, receipts) = receipts.split_at(receipts.len() - body.transactions.len());
                    let (slice, transactions) = (&body.slice, body.transactions.as_slice());
                    self.is_over = (self.visit)(&Results { slice, transactions, receipts, due }).is_break();
                    if self.is_over {
                        return Ok(());
                    }
                }
                self.reading.trim();
            }
            Record::Confirm(_) | Record::Certificate(_) => {}
        }
        Ok(())
    }
}
