//! A chain from its genesis on, with what its transactions came to. Nobody keeps receipts, so a walk makes them anew.

use core::ops::ControlFlow;

use hpb_ledger::chainlog::{ChainLog, Record};
use hpb_ledger::{Checked, Ledger, MemoryStore};
use hpb_types::{Genesis, Receipt, Slice};

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
