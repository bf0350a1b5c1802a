//! A chain's producers as its final state has them, and why some of them do not produce: the ledger's records, joined
//! with what the log knows beside them ([`History`]).
//!
//! Refused are folders that hold no devnet's chain, and those that a run holds.

mod history;
mod rotation;
mod text;

use std::fmt;
use std::path::Path;

use hpb_ledger::dpos::{ProducerState, Status as RecordStatus, Unbonding as RecordUnbonding};
use hpb_ledger::{ExecuteError, Ledger, Store};
use hpb_types::{AccountName, Fault};
use serde::{Deserialize, Serialize};

use crate::report::decimal;
use crate::run::{DevnetError, Held, hold};

pub use history::{History, Reported};
pub use rotation::{EpochTurns, Rotation, Turn};

/// The producers at one final slice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Producers {
    /// The chain, in hexadecimal digits.
    pub chain: String,
    /// The slice's slot.
    pub slot: u64,
    /// Its index there.
    pub index: u32,
    /// Its epoch.
    pub epoch: u64,
    /// Schedules of fewer producers are never drawn: where fewer can be elected, those in force stay.
    pub schedule_min: u64,
    /// The registered producers, by rank.
    pub producers: Vec<ProducerRow>,
}

/// One producer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProducerRow {
    /// Its place: those that can be scheduled first, then by votes, then by registration.
    pub rank: u64,
    /// Its account.
    pub name: String,
    /// Whether it can be scheduled.
    pub status: Status,
    /// On standby: the epoch in which nobody heard it.
    pub silent_epoch: Option<u64>,
    /// The faults for which its bond was cut.
    pub offences: Vec<Offence>,
    /// The epoch of the first of the schedules without it, the last fixed one among them; none if that one has it.
    pub out_from_epoch: Option<u64>,
    /// The votes for it, in the smallest unit.
    #[serde(with = "decimal")]
    pub votes: u128,
    /// What it has bonded, in the smallest unit.
    #[serde(with = "decimal")]
    pub bond: u128,
    /// From which slot on its bond can be withdrawn; none if it is held.
    pub bond_free_at_slot: Option<u64>,
    /// Slots that it filled, up to the last settled epoch, as all that follows.
    pub blocks: u64,
    /// Certificates that it signed.
    pub confirms: u64,
    /// Slots of its own that it left empty.
    pub missed_slots: u64,
    /// What the pool has paid it, in the smallest unit.
    #[serde(with = "decimal")]
    pub rewards: u128,
    /// The key of its slices and confirms, in hexadecimal digits: the last that it named.
    pub key: String,
    /// What it says about itself.
    pub about: String,
}

/// Whether a producer can be scheduled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// If it has votes enough.
    Active,
    /// Not before it resumes: it was silent for an epoch.
    Standby,
    /// Not any more: it said so.
    Retired,
    /// Not any more: it broke a rule.
    Expelled,
}

/// A fault for which a bond was cut.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offence {
    /// What kind of fault, in words.
    pub fault: String,
    /// The slot that the words are about; none if the log does not have the report.
    pub slot: Option<u64>,
    /// The index there.
    pub index: Option<u32>,
    /// Who reported it; none if the log does not have the report.
    pub reported_by: Option<String>,
    /// The epoch in which it was reported.
    pub epoch: u64,
    /// What was cut of the bond, in the smallest unit.
    #[serde(with = "decimal")]
    pub cut: u128,
    /// The hash of the evidence, in hexadecimal digits.
    pub evidence: String,
}

/// Reads the final state of validator `validator` from the data folder that a devnet's run has left. What its log holds
/// beyond its store is executed first, as at a start.
///
/// # Errors
/// No such folder, none of a devnet, one without that validator or in use; a disk that can't be read.
pub fn read(data: &Path, validator: usize) -> Result<Producers, DevnetError> {
    read_with_history(data, validator).map(|(producers, _)| producers)
}

/// As [`read`], with what the log knows.
///
/// # Errors
/// Those of [`read`].
pub fn read_with_history(data: &Path, validator: usize) -> Result<(Producers, History), DevnetError> {
    let Held { genesis, recovered, mut log } = hold(data, validator)?;
    let history = History::read(&genesis, &mut log)?;
    Ok((Producers::new(recovered.ledger(), &history)?, history))
}

impl Producers {
    /// The producers at a ledger's final slice.
    ///
    /// # Errors
    /// A state that can't be read.
    pub fn new<S: Store>(ledger: &Ledger<S>, history: &History) -> Result<Self, ExecuteError> {
        let (at, rules) = (ledger.final_slice(), ledger.rules());
        let ranked = ledger.producers(&at.id)?;
        Ok(Self {
            chain: rules.chain.0.to_hex(),
            slot: at.height.slot.0,
            index: at.height.index,
            epoch: rules.epochs.of(at.height.slot).0,
            schedule_min: rules.producers_min as u64,
            producers: (1..).zip(ranked).map(|(rank, state)| row(rank, &state, history)).collect(),
        })
    }

    /// The producer called `name`.
    pub fn named(&self, name: &str) -> Option<&ProducerRow> {
        self.producers.iter().find(|row| row.name == name)
    }

    /// Whether fewer can be scheduled than a schedule has at least.
    pub fn are_too_few(&self) -> bool {
        (self.producers.iter().filter(|row| row.status == Status::Active).count() as u64) < self.schedule_min
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Retired => "retired",
            Self::Expelled => "expelled",
        })
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault)?;
        if let Some((slot, index)) = self.slot.zip(self.index) {
            write!(f, " at {slot}.{index}")?;
        }
        match &self.reported_by {
            Some(reporter) => write!(f, ", reported by {reporter}"),
            None => Ok(()),
        }
    }
}

/// What a fault means for the schedules, as the end of a sentence.
pub(crate) fn consequence(out_from_epoch: Option<u64>, too_few_left: bool) -> String {
    match out_from_epoch {
        Some(epoch) => format!("out of the schedule from epoch {epoch} on"),
        None if too_few_left => "it stays in the schedule, because too few are left without it".to_owned(),
        None => "no schedule without it was fixed yet".to_owned(),
    }
}

fn row(rank: u64, state: &ProducerState, history: &History) -> ProducerRow {
    let ProducerState { name, votes, producer } = state;
    let (status, silent_epoch) = match producer.status {
        RecordStatus::Active => (Status::Active, None),
        RecordStatus::Standby { since } => (Status::Standby, Some(since.0)),
        RecordStatus::Retired => (Status::Retired, None),
        RecordStatus::Expelled => (Status::Expelled, None),
    };
    let offences = producer.cuts.iter().map(|cut| {
        let report = history.report(&cut.evidence);
        Offence {
            fault: fault_text(cut.fault).to_owned(),
            slot: report.map(|report| report.place.slot.0),
            index: report.map(|report| report.place.index),
            reported_by: report.map(|report| report.reporter.to_string()),
            epoch: cut.epoch.0,
            cut: cut.amount.0,
            evidence: cut.evidence.to_hex(),
        }
    });
    let service = &producer.service;
    ProducerRow {
        rank,
        name: name.to_string(),
        status,
        silent_epoch,
        offences: offences.collect(),
        out_from_epoch: out_from(history, name),
        votes: votes.0,
        bond: producer.bond.0,
        bond_free_at_slot: match producer.unbonding {
            RecordUnbonding::Held | RecordUnbonding::Withdrawn => None,
            RecordUnbonding::FreeAt(slot) => Some(slot.0),
        },
        blocks: service.blocks,
        confirms: service.confirms,
        missed_slots: service.missed_slots,
        rewards: service.rewards.0,
        key: producer.keys.last().map(|from| from.key.to_hex()).unwrap_or_default(),
        about: producer.about.clone(),
    }
}

fn out_from(history: &History, name: &AccountName) -> Option<u64> {
    history.out_from(name).map(|epoch| epoch.0)
}

fn fault_text(fault: Fault) -> &'static str {
    match fault {
        Fault::TwoSlices => "two slices",
        Fault::TwoConfirms => "two confirms",
        Fault::Surround => "a confirm around another",
    }
}
