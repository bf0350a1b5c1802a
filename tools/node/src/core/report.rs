//! Evidence, brought before the chain: a transaction of this node's own account, which is paid for it (PROTOCOL.md,
//! "Evidence"). A node without such an account leaves it to the others.
//!
//! All nodes find a fault at about one time, and the chain takes one report of it: each waits its turn, and then looks
//! whether the head's state still asks for one.

use std::collections::VecDeque;
use std::sync::Arc;

use hpb_base::limits::{EXPIRY_AHEAD_MS_MAX, REPORTS_MAX};
use hpb_base::{Duration, Instant};
use hpb_ledger::account::ACTIVE;
use hpb_ledger::dpos::report_action;
use hpb_ledger::{Checked, Store};
use hpb_types::{AccountName, Amount, Authorisation, Evidence, Signer, Transaction, TransactionBody};

use super::Core;

/// How far the turns of two nodes are apart: time for a report to be gossiped, included and executed.
const TURN: Duration = Duration::from_millis(250);

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

/// What waits for its turn.
#[derive(Default)]
pub(super) struct Reports(VecDeque<(Instant, Evidence)>);

impl Reports {
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.0.front().map(|(at, _)| *at)
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
        self.reports.0.push_back((now + TURN.saturating_mul(place as u64), evidence));
    }

    /// Sends the reports whose turn has come, where the chain still asks for them.
    pub(super) fn report(&mut self, now: Instant) {
        while self.reports.due_at().is_some_and(|at| at <= now)
            && let Some((_, evidence)) = self.reports.0.pop_front()
            && let Some(reporter) = &self.reporter
        {
            let body = TransactionBody {
                version: TransactionBody::VERSION,
                chain: self.chain,
                payer: reporter.name,
                authorisations: vec![Authorisation { account: reporter.name, permission: ACTIVE }],
                actions: vec![report_action(reporter.name, evidence)],
                expiry_ms: self.block_time(now).0 + EXPIRY_AHEAD_MS_MAX / 2,
                fee_limit: reporter.fee_limit,
                salt: 0,
            };
            let transaction = Transaction::sign(body, &[&*reporter.signer]);
            if let Ok(checked) = Checked::verified(transaction) {
                self.admit_own(now, checked);
            }
        }
    }
}
