//! Evidence: `report`. Anyone may prove that a producer broke a rule, for as long as its bond is not withdrawn: the bond
//! is cut once for each kind of fault, the reporter gets a share, the rest goes to the pool, and the producer is out of
//! the next schedule that is not fixed, and of all that follow.
//!
//! Refused: what an honest producer may say, another chain's words, a signature that is not of the key that the producer
//! had in the schedule of the word's epoch, words from before it registered, a second fault of a kind.

use hpb_base::canary::{self, Canary};
use hpb_types::genesis::PERMILLE;
use hpb_types::{AccountName, Action, ActionName, Amount, Canonical, Evidence, Fault, Hash, RejectReason};
use hpb_vm::Call;

use super::Desk;
use super::records::{Cut, Status};
use crate::deposit::share;
use crate::key::{DPOS, POOL, PRODUCER};
use crate::native::Stop;

/// The action, and the event that tells of the cut.
pub const REPORT: ActionName = ActionName::literal("report");

/// The arguments of `report`. Needs `active` of `reporter`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportArguments {
    /// Who reports, and is paid for it.
    pub reporter: AccountName,
    /// What proves the fault.
    pub evidence: Evidence,
}

/// The data of the event `report`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CutDone {
    /// Who broke the rule.
    pub producer: AccountName,
    /// Which.
    pub fault: Fault,
    /// What was cut of its bond.
    pub cut: Amount,
    /// Who reported it.
    pub reporter: AccountName,
    /// What of the cut the reporter got.
    pub reward: Amount,
}

hpb_types::layout!(ReportArguments { reporter, evidence });
hpb_types::layout!(CutDone { producer, fault, cut, reporter, reward });

/// The action by which `reporter` proves a producer's fault.
pub fn report_action(reporter: AccountName, evidence: Evidence) -> Action {
    Action { contract: DPOS, action: REPORT, arguments: ReportArguments { reporter, evidence }.to_bytes() }
}

/// Units of judging the two signatures of evidence.
const SIGNATURES_UNITS: u64 = 20_000;

impl Desk<'_> {
    pub(super) fn report(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let ReportArguments { reporter, evidence } =
            self.arguments(call, |arguments: &ReportArguments| arguments.reporter)?;
        let chain = &self.rules.chain;
        evidence.check(chain).map_err(|_| RejectReason::BadEvidence)?;
        let (name, fault) = (evidence.producer(), evidence.fault());
        let mut producer = self.registered(name)?;
        if producer.cuts.iter().any(|cut| cut.fault == fault) {
            return Err(RejectReason::AlreadyCut.into());
        }
        let [first, second] = evidence.epochs().map(|epoch| producer.key_at(epoch));
        let (Some(first), Some(second)) = (first, second) else {
            return Err(RejectReason::BadEvidence.into());
        };
        self.host.charge(SIGNATURES_UNITS)?;
        if !evidence.is_signed(chain, &[first, second], self.rules.judge) {
            return Err(RejectReason::BadSignature.into());
        }

        let cut = share(producer.bond, self.parameters.cut_permille.into(), PERMILLE.into());
        let reward = share(cut, self.parameters.reporter_permille.into(), PERMILLE.into());
        producer.bond = producer.bond.checked_sub(cut).ok_or(Stop::Damaged)?;
        if !canary::is(Canary::EvidenceIgnored) {
            producer.status = Status::Expelled;
        }
        let evidence = Hash::of_parts("evidence", &[&evidence.to_bytes()]);
        producer.cuts.push(Cut { fault, epoch: self.epoch(), evidence, amount: cut });
        self.write(name, PRODUCER, &producer)?;
        let pool: Amount = self.read(DPOS, POOL)?.ok_or(Stop::Damaged)?;
        let pool = cut.checked_sub(reward).and_then(|rest| pool.checked_add(rest)).ok_or(Stop::Damaged)?;
        self.write(DPOS, POOL, &pool)?;
        self.pay(reporter, reward)?;
        let done = CutDone { producer: name, fault, cut, reporter, reward };
        Ok(self.host.emit(REPORT, done.to_bytes())?)
    }
}
