//! Users' transactions: from a terminal's message to a slice, and what the terminal is told on the way.

use std::collections::BTreeMap;

use hpb_base::{Duration, Instant, UnixMillis};
use hpb_ledger::{Checked, ExecuteError, Store};
use hpb_toe::{Command, Group, Priority, SessionId};
use hpb_types::message::{Gossip, Message, Status, TransactionStatus};
use hpb_types::{Hash, Outcome, RejectReason, SliceRef, Transaction};

use super::Core;
use super::io::{Output, framed};
use crate::verify::Origin;

/// How long verified transactions wait for company before they are gossiped.
const GOSSIP_WAIT: Duration = Duration::from_millis(2);
/// Transactions that are gossiped at once without waiting.
const GOSSIP_COUNT: usize = 128;

/// Who sent what, and what is to be passed on.
#[derive(Default)]
pub(super) struct Senders {
    /// Transactions held for a terminal of this node, and its session. As bounded as the mempool, whose entries they
    /// follow.
    pub(super) of: BTreeMap<Hash, SessionId>,
    /// Where those that are in a slice of the head's chain stand.
    pub(super) included: BTreeMap<Hash, (SliceRef, Outcome)>,
    pub(super) gossip: Vec<Transaction>,
    pub(super) gossip_at: Option<Instant>,
}

impl<S: Store> Core<S> {
    /// Takes judged transactions into the mempool.
    pub(super) fn admit(&mut self, now: Instant, origin: Origin, judged: Vec<Result<Checked, (Hash, RejectReason)>>) {
        for transaction in judged {
            let (id, result) = match transaction {
                Ok(checked) => (checked.id(), self.admit_one(now, origin, checked)),
                Err((id, reason)) => (id, Err(reason)),
            };
            let Origin::Terminal(session) = origin else { continue };
            match result {
                Ok(()) => {
                    self.stats.accepted += 1;
                    self.senders.of.insert(id, session);
                    self.tell(session, id, Status::Received);
                }
                Err(RejectReason::Duplicate) if self.mempool.contains(&id) => self.resend(session, id),
                Err(reason) => self.reject(session, id, reason),
            }
        }
    }

    /// A transaction that is held comes again, as after a reconnect: whoever brought it is told where it stands, and
    /// all that becomes of it from now on.
    fn resend(&mut self, session: SessionId, id: Hash) {
        let known = self.senders.of.insert(id, session);
        if known == Some(session) {
            return self.reject(session, id, RejectReason::Duplicate);
        }
        self.tell(session, id, Status::Received);
        if let Some((slice, outcome)) = self.senders.included.get(&id).copied() {
            self.tell(session, id, Status::Included(slice, outcome));
        }
    }

    fn admit_one(&mut self, now: Instant, origin: Origin, transaction: Checked) -> Result<(), RejectReason> {
        self.mempool.admits(&transaction, self.block_time(now))?;
        match origin {
            Origin::Terminal(_) => self.admit_fit(now, transaction),
            Origin::Gossip => self.take(now, transaction),
        }
    }

    /// Takes a transaction of this node's own, if the head's state lets it.
    pub(super) fn admit_own(&mut self, now: Instant, transaction: Checked) {
        if self.mempool.admits(&transaction, self.block_time(now)).is_ok() {
            // Where it no longer fits, another node was first.
            let _ = self.admit_fit(now, transaction);
        }
    }

    /// Takes a transaction that came here first: checks it against the head's state, and passes it on.
    fn admit_fit(&mut self, now: Instant, transaction: Checked) -> Result<(), RejectReason> {
        let slot = self.engine.clock().slot_at_most(now);
        match self.ledger.check(&self.head.id, slot, &transaction) {
            Ok(verdict) => verdict?,
            Err(ExecuteError::State(error)) => self.stop(&error),
            // The head is being replaced; execution will judge.
            Err(_) => {}
        }
        self.pass_on(now, &transaction);
        self.take(now, transaction)
    }

    /// Has a transaction gossiped.
    pub(super) fn pass_on(&mut self, now: Instant, transaction: &Checked) {
        if self.senders.gossip.is_empty() {
            self.senders.gossip_at = Some(now + GOSSIP_WAIT);
        }
        self.senders.gossip.push(transaction.transaction().clone());
    }

    fn take(&mut self, now: Instant, transaction: Checked) -> Result<(), RejectReason> {
        self.mempool.insert(transaction, self.block_time(now))?;
        self.engine_pending();
        Ok(())
    }

    /// Refuses a transaction to its sender.
    pub(super) fn reject(&mut self, session: SessionId, id: Hash, reason: RejectReason) {
        *self.stats.rejected.entry(reason).or_default() += 1;
        self.tell(session, id, Status::Rejected(reason));
    }

    /// A slice is on the head's chain: its transactions are included.
    pub(super) fn include(&mut self, slice: SliceRef) {
        let Some(body) = self.bodies.get(&slice.id) else { return };
        assert_eq!(body.transactions.len(), body.outcomes.len(), "what is adopted was executed");
        let came: Vec<_> = body.transactions.iter().cloned().zip(body.outcomes.iter().copied()).collect();
        for (transaction, outcome) in came {
            self.mempool.include(&transaction);
            if let Some(session) = self.senders.of.get(&transaction.id()).copied() {
                self.senders.included.insert(transaction.id(), (slice, outcome));
                self.tell(session, transaction.id(), Status::Included(slice, outcome));
            }
        }
    }

    /// A slice left the head's chain: its transactions wait again.
    pub(super) fn retract(&mut self, slice: SliceRef) {
        let Some(body) = self.bodies.get(&slice.id) else { return };
        for transaction in body.transactions.clone() {
            self.mempool.retract(&transaction.id());
            self.stats.retracted += 1;
            self.senders.included.remove(&transaction.id());
            if let Some(session) = self.senders.of.get(&transaction.id()).copied() {
                self.tell(session, transaction.id(), Status::Retracted(slice));
            }
        }
    }

    /// A slice is final: its transactions leave the mempool.
    pub(super) fn settle(&mut self, slice: SliceRef) {
        let Some(body) = self.bodies.get(&slice.id) else { return };
        for transaction in &body.transactions {
            self.mempool.drop_one(&transaction.id());
            self.senders.of.remove(&transaction.id());
            self.senders.included.remove(&transaction.id());
            self.stats.final_transactions += 1;
        }
    }

    /// Forgets what expired while it waited.
    pub(super) fn expire(&mut self, block_time: UnixMillis) {
        for id in self.mempool.expire(block_time) {
            self.stats.expired += 1;
            if let Some(session) = self.senders.of.remove(&id) {
                self.tell(session, id, Status::Expired);
            }
        }
    }

    /// Passes verified transactions on to the other validators.
    pub(super) fn gossip(&mut self, now: Instant) {
        let due = self.senders.gossip_at.is_some_and(|at| at <= now) || self.senders.gossip.len() >= GOSSIP_COUNT;
        if !due {
            return;
        }
        self.senders.gossip_at = None;
        let mut transactions = std::mem::take(&mut self.senders.gossip);
        while !transactions.is_empty() {
            let rest = transactions.split_off(transactions.len().min(GOSSIP_COUNT));
            let message = framed(&Message::Transactions(Gossip { transactions }));
            let broadcast = Command::Broadcast { group: Group::Validators, priority: Priority::Normal, message };
            self.outputs.push_back(Output::Card(broadcast));
            transactions = rest;
        }
    }

    fn tell(&mut self, session: SessionId, id: Hash, status: Status) {
        let message = framed(&Message::TransactionStatus(TransactionStatus { id, status }));
        self.outputs.push_back(Output::Card(Command::Send { session, priority: Priority::Normal, message }));
    }
}
