//! Votes: `vote`, `proxy`, `offer-proxy`.
//!
//! An account's stake votes in full for each producer on its ballot; a proxy's ballot carries also the stake of those
//! who name it. The tally of each producer is kept as votes change: a change takes the account's weight off the ballot
//! that stood and puts it on the one that stands, at most two ballots in all. A proxy uses no proxy, so a change never
//! travels further than one step. A proxy that ceases keeps its own vote; what others gave it counts for nothing until
//! they vote otherwise, or it is a proxy again.

use std::collections::{BTreeMap, BTreeSet};

use hpb_types::{AccountName, Action, ActionName, Amount, Canonical, RejectReason};
use hpb_vm::Call;

use super::Desk;
use super::records::{Ballot, Producer, Stake, Vote};
use crate::key::{self, DPOS, PRODUCER, VOTES};
use crate::native::Stop;

/// The action that votes for producers, and its event.
pub const VOTE: ActionName = ActionName::literal("vote");
/// The action that leaves an account's vote to a proxy, and its event.
pub const PROXY: ActionName = ActionName::literal("proxy");
/// The action by which an account offers to be a proxy, or ceases to be one, and its event.
pub const OFFER_PROXY: ActionName = ActionName::literal("offer-proxy");

/// The arguments of `vote`. Needs `active` of `voter`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteArguments {
    /// Who votes.
    pub voter: AccountName,
    /// For whom, strictly ascending by name; nobody takes the vote away, also from a proxy.
    pub producers: Vec<AccountName>,
}

/// The arguments of `proxy`. Needs `active` of `voter`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyArguments {
    /// Whose vote.
    pub voter: AccountName,
    /// Who votes with it.
    pub proxy: AccountName,
}

/// The arguments of `offer-proxy`. Needs `active` of `account`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfferProxyArguments {
    /// Who is a proxy, or not.
    pub account: AccountName,
    /// Whether it is one.
    pub offers: bool,
}

hpb_types::layout!(VoteArguments { voter, producers: list(0..=hpb_base::limits::VOTES_MAX) });
hpb_types::layout!(ProxyArguments { voter, proxy });
hpb_types::layout!(OfferProxyArguments { account, offers });

/// The action by which `voter` votes for these producers, at most 30.
pub fn vote_action(voter: AccountName, producers: impl IntoIterator<Item = AccountName>) -> Action {
    let producers: BTreeSet<AccountName> = producers.into_iter().collect();
    let arguments = VoteArguments { voter, producers: producers.into_iter().collect() };
    Action { contract: DPOS, action: VOTE, arguments: arguments.to_bytes() }
}

/// The action by which `voter` leaves its vote to `proxy`.
pub fn proxy_action(voter: AccountName, proxy: AccountName) -> Action {
    Action { contract: DPOS, action: PROXY, arguments: ProxyArguments { voter, proxy }.to_bytes() }
}

/// The action by which `account` offers to be a proxy, or ceases to be one.
pub fn offer_proxy_action(account: AccountName, offers: bool) -> Action {
    Action { contract: DPOS, action: OFFER_PROXY, arguments: OfferProxyArguments { account, offers }.to_bytes() }
}

/// What leaves and what joins each producer's tally.
#[derive(Default)]
struct Moves(BTreeMap<AccountName, Move>);

#[derive(Default)]
struct Move {
    leaves: Amount,
    joins: Amount,
}

impl Moves {
    fn replace(&mut self, before: &Stake, after: &Stake) -> Result<(), Stop> {
        self.add(before, |tally| &mut tally.leaves)?;
        self.add(after, |tally| &mut tally.joins)
    }

    fn add(&mut self, stake: &Stake, side: impl Fn(&mut Move) -> &mut Amount) -> Result<(), Stop> {
        let Vote::Producers(ballot) = &stake.vote else { return Ok(()) };
        let power = stake.power().ok_or(Stop::Damaged)?;
        for producer in &ballot.producers {
            let side = side(self.0.entry(*producer).or_default());
            *side = side.checked_add(power).ok_or(Stop::Damaged)?;
        }
        Ok(())
    }
}

impl Desk<'_> {
    pub(super) fn vote(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let VoteArguments { voter, producers } = self.arguments(call, |arguments: &VoteArguments| arguments.voter)?;
        if !producers.is_sorted_by(|one, other| one < other) {
            return Err(RejectReason::Malformed.into());
        }
        for name in &producers {
            let producer: Option<Producer> = self.read(*name, PRODUCER)?;
            if !producer.is_some_and(|producer| producer.is_serving()) {
                return Err(RejectReason::NoSuchProducer.into());
            }
        }
        self.change_stake(voter, |stake| {
            stake.vote = if producers.is_empty() { Vote::None } else { Vote::Producers(Ballot { producers }) };
            Ok(())
        })?;
        self.tell(call)
    }

    pub(super) fn proxy(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let ProxyArguments { voter, proxy } = self.arguments(call, |arguments: &ProxyArguments| arguments.voter)?;
        let offered: Option<Stake> = self.read(proxy, key::STAKE)?;
        if !offered.is_some_and(|stake| stake.is_proxy) {
            return Err(RejectReason::BadProxy.into());
        }
        self.change_stake(voter, |stake| {
            if stake.is_proxy {
                return Err(RejectReason::BadProxy.into());
            }
            stake.vote = Vote::Proxy(proxy);
            Ok(())
        })?;
        self.tell(call)
    }

    pub(super) fn offer_proxy(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        let OfferProxyArguments { account, offers } =
            self.arguments(call, |arguments: &OfferProxyArguments| arguments.account)?;
        self.change_stake(account, |stake| {
            if offers && matches!(stake.vote, Vote::Proxy(_)) {
                return Err(RejectReason::BadProxy.into());
            }
            stake.is_proxy = offers;
            Ok(())
        })?;
        self.tell(call)
    }

    /// Changes an account's stake or vote, and every tally with it.
    pub(super) fn change_stake(
        &mut self,
        account: AccountName,
        change: impl FnOnce(&mut Stake) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let before: Stake = self.read(account, key::STAKE)?.unwrap_or_default();
        let mut after = before.clone();
        change(&mut after)?;
        let mut moves = Moves::default();
        moves.replace(&before, &after)?;
        let mut proxies: BTreeMap<AccountName, Move> = BTreeMap::new();
        if let Vote::Proxy(proxy) = before.vote {
            proxies.entry(proxy).or_default().leaves = before.staked;
        }
        if let Vote::Proxy(proxy) = after.vote {
            proxies.entry(proxy).or_default().joins = after.staked;
        }
        for (proxy, given) in proxies {
            self.give(proxy, &given, &mut moves)?;
        }
        for (producer, Move { leaves, joins }) in moves.0 {
            if leaves != joins {
                self.retally(producer, leaves, joins)?;
            }
        }
        self.write_stake(account, &after)
    }

    /// Changes what is given to a proxy.
    fn give(&mut self, proxy: AccountName, given: &Move, moves: &mut Moves) -> Result<(), Stop> {
        let before: Stake = self.read(proxy, key::STAKE)?.unwrap_or_default();
        let mut after = before.clone();
        after.proxied = moved(before.proxied, given.leaves, given.joins)?;
        if after != before {
            moves.replace(&before, &after)?;
            self.write_stake(proxy, &after)?;
        }
        Ok(())
    }

    fn retally(&mut self, producer: AccountName, leaves: Amount, joins: Amount) -> Result<(), Stop> {
        let before = self.read(producer, VOTES)?.unwrap_or_default();
        let after = moved(before, leaves, joins)?;
        if after == Amount::ZERO { self.remove(producer, VOTES) } else { self.write(producer, VOTES, &after) }
    }
}

/// What is left of `before` when `leaves` leaves it and `joins` joins it.
fn moved(before: Amount, leaves: Amount, joins: Amount) -> Result<Amount, Stop> {
    before.checked_sub(leaves).and_then(|rest| rest.checked_add(joins)).ok_or(Stop::Damaged)
}
