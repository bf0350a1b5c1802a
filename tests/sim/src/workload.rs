//! A few accounts that pay each other, each transaction sent once to a node drawn from the seed.

use hpb_base::{Duration, Instant, Random};
use hpb_ledger::{account, token};
use hpb_types::{Amount, Authorisation, Transaction, TransactionBody};

use crate::cast::{Cast, WALL_AT_ZERO};
use crate::paper::sign_transaction;

/// How long a transaction may wait: longer than a run.
const EXPIRY_MS: u64 = 300_000;

/// Who pays whom, and when.
pub struct Workload {
    random: Random,
    every: Duration,
    salt: u64,
}

impl Workload {
    /// The workload of a seed: one transaction in 30 to 150 ms.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::stream(seed, 2);
        let every = Duration::from_millis(30 + random.below(120));
        Self { random, every, salt: 0 }
    }

    /// When the next one follows one at `now`.
    pub fn next_at(&self, now: Instant) -> Instant {
        now + self.every
    }

    /// One of `count` nodes.
    pub fn node(&mut self, count: usize) -> usize {
        self.random.below(count as u64) as usize
    }

    /// The next transaction. One in four pays an account that pays often, so that transfers meet.
    pub fn transaction(&mut self, cast: &Cast, now: Instant) -> Transaction {
        let users = cast.users.len() as u64;
        let from = self.random.below(users);
        let to = if self.random.below(4) == 0 { 0 } else { self.random.below(users) };
        let to = if to == from { (to + 1) % users } else { to };
        let (from, to) = (&cast.users[from as usize], &cast.users[to as usize]);
        let amount = Amount(u128::from(1 + self.random.below(1_000_000)));
        self.salt += 1;
        let body = TransactionBody {
            version: TransactionBody::VERSION,
            chain: cast.genesis.chain_id(),
            payer: from.name,
            authorisations: vec![Authorisation { account: from.name, permission: account::ACTIVE }],
            actions: vec![token::transfer_action(from.name, to.name, amount)],
            expiry_ms: WALL_AT_ZERO.0 + now.as_millis() + EXPIRY_MS,
            fee_limit: Amount::ONE,
            salt: self.salt,
        };
        sign_transaction(body, from.key)
    }
}
