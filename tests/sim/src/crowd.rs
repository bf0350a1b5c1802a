//! Users who submit transfers all the time, each at a node of its own: a script knows whom it cuts off.

use hpb_base::{Duration, Instant};
use hpb_ledger::{account, token};
use hpb_types::{Amount, Authorisation, Transaction, TransactionBody};

use crate::cast::{Cast, WALL_AT_ZERO};

/// Who submits what, and when.
pub struct Crowd {
    every: Duration,
    until: Instant,
    expiry: Duration,
    turn: u64,
}

impl Crowd {
    /// A transfer every `every` until `until`, at one node after the other. Each may wait for `expiry`.
    pub fn new(every: Duration, until: Instant, expiry: Duration) -> Self {
        Self { every, until, expiry, turn: 0 }
    }

    /// When the next one follows one at `now`; none does if time is up.
    pub fn next_at(&self, now: Instant) -> Option<Instant> {
        Some(now + self.every).filter(|at| *at < self.until)
    }

    /// The next transfer and the node that gets it; none if that node is down, whose users wait.
    pub fn transaction(
        &mut self,
        cast: &Cast,
        now: Instant,
        is_up: impl Fn(usize) -> bool,
    ) -> Option<(usize, Transaction)> {
        let (turn, nodes, users) = (self.turn as usize, cast.nodes.len(), cast.users.len());
        self.turn += 1;
        let node = turn % nodes;
        if !is_up(node) {
            return None;
        }
        // Round by round another of the users beside the node, if it has several.
        let beside = (users / nodes).max(1);
        let from = (node + turn / nodes % beside * nodes) % users;
        let (payer, payee) = (&cast.users[from], &cast.users[(from + 1) % users]);
        let body = TransactionBody {
            version: TransactionBody::VERSION,
            chain: cast.genesis.chain_id(),
            payer: payer.name,
            authorisations: vec![Authorisation { account: payer.name, permission: account::ACTIVE }],
            actions: vec![token::transfer_action(payer.name, payee.name, Amount(1_000))],
            expiry_ms: WALL_AT_ZERO.0 + now.as_millis() + self.expiry.as_millis(),
            fee_limit: Amount::ONE,
            salt: self.turn,
        };
        Some((node, Transaction::sign(body, &[&*payer.signer])))
    }
}
