//! A few accounts that pay each other, and what the electorate asks for; each transaction is sent to a node drawn from the
//! seed, and some are sent again later, as a user does who believes that the first was lost.

use hpb_base::limits::VOTES_MAX;
use hpb_base::{Duration, Instant, Random};
use hpb_ledger::dpos;
use hpb_ledger::{account, token};
use hpb_types::{AccountName, Action, Amount, Authorisation, Signer, Transaction, TransactionBody};

use crate::cast::{BOND, Cast, SLOT, WALL_AT_ZERO, slot_start};
use crate::electorate::{Ask, Deed};
use crate::signing::sign_transaction;

/// How long a transaction may wait: longer than a run.
const EXPIRY_MS: u64 = 300_000;

/// Who pays whom, and when.
pub struct Workload {
    random: Random,
    every: Duration,
    salt: u64,
    /// What the electorate asks for and has not asked yet, the last first.
    asks: Vec<Ask>,
    /// Some of the transactions that were sent.
    sent: Vec<Transaction>,
}

/// Transactions that are kept to be sent again.
const SENT_MAX: usize = 32;

impl Workload {
    /// The workload of a seed: one transfer in 30 to 150 ms, and what is asked for, ascending by slot.
    pub fn new(seed: u64, asks: &[Ask]) -> Self {
        let mut random = Random::stream(seed, 2);
        let every = Duration::from_millis(30 + random.below(120));
        Self { random, every, salt: 0, asks: asks.iter().rev().copied().collect(), sent: Vec::new() }
    }

    /// When the next one follows one at `now`. What is asked for in a slot is spread over its first half.
    pub fn next_at(&mut self, now: Instant) -> Instant {
        match self.asks.last() {
            Some(ask) if slot_start(ask.slot) <= now + self.every => {
                let spread = Duration::from_nanos(self.random.below(SLOT.as_nanos() / 16));
                slot_start(ask.slot).max(now) + spread
            }
            _ => now + self.every,
        }
    }

    /// One of `count` nodes.
    pub fn node(&mut self, count: usize) -> usize {
        self.random.below(count as u64) as usize
    }

    /// The next transaction: what is asked for by now, or a transfer, or in one of ten cases one that was sent before.
    pub fn transaction(&mut self, cast: &Cast, now: Instant) -> Transaction {
        if let Some(ask) = self.asks.pop_if(|ask| slot_start(ask.slot) <= now) {
            let (actor, signer, action) = asked(cast, ask.deed);
            return self.signed(cast, now, actor, signer, action);
        }
        if !self.sent.is_empty() && self.random.below(10) == 0 {
            let place = self.random.below(self.sent.len() as u64) as usize;
            return self.sent[place].clone();
        }
        let transaction = self.transfer(cast, now);
        if self.sent.len() < SENT_MAX {
            self.sent.push(transaction.clone());
        } else if self.random.below(4) == 0 {
            let place = self.random.below(SENT_MAX as u64) as usize;
            self.sent[place] = transaction.clone();
        }
        transaction
    }

    /// A transfer. One in four pays an account that pays often, so that transfers meet.
    fn transfer(&mut self, cast: &Cast, now: Instant) -> Transaction {
        let users = cast.users.len() as u64;
        let from = self.random.below(users);
        let to = if self.random.below(4) == 0 { 0 } else { self.random.below(users) };
        let to = if to == from { (to + 1) % users } else { to };
        let (from, to) = (&cast.users[from as usize], &cast.users[to as usize]);
        let amount = Amount(u128::from(1 + self.random.below(1_000_000)));
        self.signed(cast, now, from.name, &*from.signer, token::transfer_action(from.name, to.name, amount))
    }

    fn signed(
        &mut self,
        cast: &Cast,
        now: Instant,
        actor: AccountName,
        signer: &dyn Signer,
        action: Action,
    ) -> Transaction {
        self.salt += 1;
        let body = TransactionBody {
            version: TransactionBody::VERSION,
            chain: cast.genesis.chain_id(),
            payer: actor,
            authorisations: vec![Authorisation { account: actor, permission: account::ACTIVE }],
            actions: vec![action],
            expiry_ms: WALL_AT_ZERO.0 + now.as_millis() + EXPIRY_MS,
            fee_limit: Amount::ONE,
            salt: self.salt,
        };
        sign_transaction(body, signer)
    }
}

/// Whose action a deed is, and who signs it.
fn asked(cast: &Cast, deed: Deed) -> (AccountName, &dyn Signer, Action) {
    let (user, node) = (|user: usize| &cast.users[user], |node: usize| &cast.nodes[node]);
    let of_node = |number: usize, action: Action| (node(number).name, &*node(number).account, action);
    let keys = |number: usize, second: bool| {
        let (part, place) = (node(number), usize::from(second));
        let chain = cast.genesis.chain_id();
        (part.name, dpos::ProvenKeys::prove(&chain, &part.name, &*part.signers[place], &part.beacons[place]))
    };
    match deed {
        Deed::Stake(number) => {
            let user = user(number);
            // Different stakes, so that votes rank.
            let amount = Amount((1_000 + 100 * number as u128) * Amount::ONE.0);
            (user.name, &*user.signer, dpos::stake_action(user.name, amount))
        }
        Deed::Vote(number, members) => {
            let user = user(number);
            let names = members.iter().take(VOTES_MAX).map(|member| node(member).name);
            (user.name, &*user.signer, dpos::vote_action(user.name, names))
        }
        Deed::Register(number, second) => {
            let (name, keys) = keys(number, second);
            of_node(number, dpos::register_action(name, keys, BOND, "a simulated node"))
        }
        Deed::Update(number, second) => {
            let (name, keys) = keys(number, second);
            of_node(number, dpos::update_action(name, keys, "a simulated node under other keys"))
        }
        Deed::Retire(number) => of_node(number, dpos::retire_action(node(number).name)),
        Deed::Resume(number) => of_node(number, dpos::resume_action(node(number).name)),
        Deed::Withdraw(number) => of_node(number, dpos::withdraw_action(node(number).name)),
    }
}
