//! What the log knows of producers that the state does not keep: who reported a fault, where it happened, and which of the
//! schedules that were fixed have whom. Only what is final counts.

use std::collections::{BTreeMap, BTreeSet};

use hpb_ledger::chainlog::{ChainLog, LogError, Record};
use hpb_ledger::dpos::{REPORT, ReportArguments};
use hpb_ledger::key::DPOS;
use hpb_types::{
    AccountName, Canonical as _, Epoch, Evidence, Genesis, Hash, Height, NextSchedule, Schedule, Slice, SliceRef,
    Transaction,
};

/// Who reported a fault, and where it happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reported {
    /// Who was first.
    pub reporter: AccountName,
    /// The slice that the two words are about; that of the outer confirm where one surrounds another.
    pub place: Height,
}

/// The final chain of a log, as far as it is about producers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// By the hash of the evidence.
    reports: BTreeMap<Hash, Reported>,
    /// Everyone who was ever in a schedule.
    scheduled: BTreeSet<AccountName>,
    /// Of those who are not in the last one, the first epoch without them.
    out_from: BTreeMap<AccountName, Epoch>,
}

/// A slice that is not final.
struct Open {
    height: Height,
    parent: Hash,
    next: Option<Schedule>,
    reports: Vec<(Hash, Reported)>,
}

impl History {
    /// Walks the log of a chain from its beginning.
    ///
    /// # Errors
    /// A log that can't be read, or has no beginning any more.
    pub fn read(genesis: &Genesis, log: &mut ChainLog) -> Result<Self, LogError> {
        let scheduled = genesis.producers.iter().map(|producer| producer.name).collect();
        let mut history = Self { scheduled, ..Self::default() };
        let mut open = BTreeMap::new();
        log.replay(None, &mut |entry| match entry.record {
            Record::Slice { slice, transactions } => {
                open.insert(slice.id(), Open::of(slice, &transactions));
            }
            Record::Final(reference) => history.finalise(reference, &mut open),
            Record::Confirm(_) | Record::Certificate(_) => {}
        })?;
        Ok(history)
    }

    /// The report of the evidence of that hash.
    pub fn report(&self, evidence: &Hash) -> Option<&Reported> {
        self.reports.get(evidence)
    }

    /// The first epoch of those whose schedules are without `name`, up to the last one fixed; none if that one has it, or
    /// no schedule ever had it.
    pub fn out_from(&self, name: &AccountName) -> Option<Epoch> {
        self.out_from.get(name).copied()
    }

    /// Takes the chain that ends with `reference`, and forgets what did not become final.
    fn finalise(&mut self, reference: SliceRef, open: &mut BTreeMap<Hash, Open>) {
        let mut chain = Vec::new();
        let mut id = reference.id;
        while let Some(slice) = open.remove(&id) {
            id = slice.parent;
            chain.push(slice);
        }
        for slice in chain.into_iter().rev() {
            for (evidence, reported) in slice.reports {
                self.reports.entry(evidence).or_insert(reported);
            }
            if let Some(schedule) = slice.next {
                self.fixed(&schedule);
            }
        }
        open.retain(|_, slice| slice.height > reference.height);
    }

    fn fixed(&mut self, schedule: &Schedule) {
        let producers: BTreeSet<AccountName> = schedule.producers.iter().map(|producer| producer.name).collect();
        for name in self.scheduled.difference(&producers) {
            self.out_from.entry(*name).or_insert(schedule.epoch);
        }
        self.out_from.retain(|name, _| !producers.contains(name));
        self.scheduled.extend(producers);
    }
}

impl Open {
    fn of(slice: Slice, transactions: &[Transaction]) -> Self {
        let actions = transactions.iter().flat_map(|transaction| &transaction.body.actions);
        let reports =
            actions.filter(|action| action.contract == DPOS && action.action == REPORT).filter_map(|action| {
                let ReportArguments { reporter, evidence } = ReportArguments::from_bytes(&action.arguments).ok()?;
                let hash = Hash::of_parts("evidence", &[&evidence.to_bytes()]);
                Some((hash, Reported { reporter, place: place_of(&evidence) }))
            });
        Self {
            height: slice.body.height(),
            parent: slice.body.parent,
            reports: reports.collect(),
            next: match slice.body.next {
                NextSchedule::None => None,
                NextSchedule::Fixed(schedule) => Some(schedule),
            },
        }
    }
}

fn place_of(evidence: &Evidence) -> Height {
    match evidence {
        Evidence::TwoSlices { first, .. } => first.statement.slice.height,
        Evidence::TwoConfirms { first, .. } => first.body.target.height,
        Evidence::Surround { outer, .. } => outer.body.target.height,
    }
}

#[cfg(test)]
mod tests;
