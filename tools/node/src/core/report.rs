//! Evidence, brought before the chain: a transaction of this node's own account, which is paid for it (PROTOCOL.md,
//! "Evidence"). A node without such an account leaves it to the others.
//!
//! All nodes find a fault at about one time, and the chain takes one report of it: each waits its turn, and then looks
//! whether the head's state still asks for one. It looks again until the final state asks no more.

use std::sync::Arc;

use hpb_base::limits::{EXPIRY_AHEAD_MS_MAX, REPORTS_MAX};
use hpb_base::{Duration, Instant};
use hpb_ledger::account::ACTIVE;
use hpb_ledger::dpos::report_action;
use hpb_ledger::{Checked, Store};
use hpb_types::{AccountName, Amount, Authorisation, Evidence, RejectReason, Signer, Transaction, TransactionBody};

use super::Core;

/// How far the turns of two nodes are apart: time for a report to be gossiped, included and executed.
const TURN: Duration = Duration::from_millis(250);
/// Slots after which a report that is not final is passed on again, or made again if it expired: whoever was to have it
/// may have been cut off, and what it was included in may have been retracted.
const AGAIN_SLOTS: u64 = 4;

/// The account that reports faults.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// Its name.
    pub name: AccountName,
    /// What signs for its `active`.
    pub signer: Arc<dyn Signer>,
    /// The most that it pays for one report.
    pub fee_limit: Amount,
}

/// A fault that the final chain does not know of yet, as far as this node knows.
struct Pending {
    at: Instant,
    evidence: Evidence,
    sent: Option<Checked>,
}

/// What waits for its turn, or for its effect.
#[derive(Default)]
pub(super) struct Reports(Vec<Pending>);

impl Reports {
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.0.iter().map(|pending| pending.at).min()
    }
}

impl<S: Store> Core<S> {
    /// A producer broke a rule: the proof goes to the chain when this node's turn comes.
    pub(super) fn found(&mut self, now: Instant, evidence: Evidence) {
        if self.reporter.is_none() || self.reports.0.len() >= REPORTS_MAX {
            return;
        }
        let name = self.producer.as_ref().map(|producer| producer.name);
        let place = name.and_then(|name| self.engine.in_force().index_of(&name)).unwrap_or(0);
        // One wait for all of this node's reports: they stay in order.
        let at = now + TURN.saturating_mul(place as u64);
        self.reports.0.push(Pending { at, evidence, sent: None });
    }

    /// Sends the reports whose turn has come, where the chain still asks for them.
    pub(super) fn report(&mut self, now: Instant) {
        if self.reports.due_at().is_none_or(|at| at > now) {
            return;
        }
        let again = Duration::from_millis(u64::from(self.genesis.slot_ms)).saturating_mul(AGAIN_SLOTS);
        for mut pending in std::mem::take(&mut self.reports.0) {
            if pending.at <= now {
                let Some(report) = self.report_of(now, &pending) else { continue };
                if self.is_settled(now, &report) {
                    continue;
                }
                self.send_report(now, report.clone());
                (pending.at, pending.sent) = (now + again, Some(report));
            }
            self.reports.0.push(pending);
        }
    }

    /// The report of a fault: the one that was sent, if it has not expired.
    fn report_of(&self, now: Instant, pending: &Pending) -> Option<Checked> {
        let block_time = self.block_time(now).0;
        let sent = pending.sent.as_ref().filter(|sent| sent.transaction().body.expiry_ms > block_time);
        if sent.is_some() {
            return sent.cloned();
        }
        let reporter = self.reporter.as_ref()?;
        let body = TransactionBody {
            version: TransactionBody::VERSION,
            chain: self.chain,
            payer: reporter.name,
            authorisations: vec![Authorisation { account: reporter.name, permission: ACTIVE }],
            actions: vec![report_action(reporter.name, pending.evidence.clone())],
            expiry_ms: block_time + EXPIRY_AHEAD_MS_MAX / 2,
            fee_limit: reporter.fee_limit,
            salt: 0,
        };
        Checked::verified(Transaction::sign(body, &[&*reporter.signer])).ok()
    }

    /// Whether the final chain asks for it no more: the bond was cut, or is gone, or the proof proves nothing there.
    fn is_settled(&self, now: Instant, report: &Checked) -> bool {
        use RejectReason::{AlreadyCut, BadEvidence, BadSignature, NoSuchProducer};
        let slot = self.engine.clock().slot_at_most(now);
        let verdict = self.ledger.check(&self.ledger.final_slice().id, slot, report);
        matches!(verdict, Ok(Err(AlreadyCut | BadEvidence | BadSignature | NoSuchProducer)))
    }

    fn send_report(&mut self, now: Instant, report: Checked) {
        if self.mempool.contains(&report.id()) {
            self.pass_on(now, &report);
        } else {
            self.admit_own(now, report);
        }
    }
}
