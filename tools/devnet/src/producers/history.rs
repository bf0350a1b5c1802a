//! What the log knows of producers that the state does not keep: who reported a fault, where it happened, which of the
//! schedules that were fixed have whom, and who had which slot. Only what is final counts, but for the slices that never
//! became final, which are counted.

use std::collections::{BTreeMap, BTreeSet};

use hpb_ledger::chainlog::{ChainLog, LogError, Record};
use hpb_ledger::dpos::{REPORT, ReportArguments};
use hpb_ledger::key::DPOS;
use hpb_types::{
    AccountName, Canonical as _, Epoch, Evidence, Genesis, Hash, Height, NextSchedule, Schedule, Slice, SliceBody,
    SliceRef, Transaction,
};

use super::Rotation;

/// Who reported a fault, and where it happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reported {
    /// Who was first.
    pub reporter: AccountName,
    /// The slice that the two words are about; that of the outer confirm where one surrounds another.
    pub place: Height,
}

/// The final chain of a log, as far as it is about producers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// By the hash of the evidence.
    reports: BTreeMap<Hash, Reported>,
    /// Everyone who was ever in a schedule.
    scheduled: BTreeSet<AccountName>,
    /// Of those who are not in the last one, the first epoch without them.
    out_from: BTreeMap<AccountName, Epoch>,
    rotation: Rotation,
}

/// A slice that is not final.
struct Open {
    body: SliceBody,
    reports: Vec<(Hash, Reported)>,
}

impl History {
    /// Walks the log of a chain from its beginning.
    ///
    /// # Errors
    /// A log that can't be read, or has no beginning any more.
    pub fn read(genesis: &Genesis, log: &mut ChainLog) -> Result<Self, LogError> {
        let mut history = Self {
            reports: BTreeMap::new(),
            scheduled: genesis.producers.iter().map(|producer| producer.name).collect(),
            out_from: BTreeMap::new(),
            rotation: Rotation::new(genesis),
        };
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

    /// Who had which slot.
    pub fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// Takes the chain that ends with `reference`, and forgets what did not become final.
    fn finalise(&mut self, reference: SliceRef, open: &mut BTreeMap<Hash, Open>) {
        let mut chain = Vec::new();
        let mut id = reference.id;
        while let Some(slice) = open.remove(&id) {
            id = slice.body.parent;
            chain.push(slice);
        }
        for Open { body, reports } in chain.into_iter().rev() {
            for (evidence, reported) in reports {
                self.reports.entry(evidence).or_insert(reported);
            }
            let next = match &body.next {
                NextSchedule::None => None,
                NextSchedule::Fixed(schedule) => Some(schedule),
            };
            self.rotation.finalised(&body, next);
            if let Some(schedule) = next {
                self.fixed(schedule);
            }
        }
        open.retain(|_, slice| {
            let may_become_final = slice.body.height() > reference.height;
            if !may_become_final {
                self.rotation.lost(slice.body.slot);
            }
            may_become_final
        });
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
        Self { body: slice.body, reports: reports.collect() }
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
