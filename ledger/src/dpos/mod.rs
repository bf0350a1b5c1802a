//! The contract of elected producers (white paper 3.2): accounts stake and vote, producers bond, the most voted for
//! produce, the pool pays for work, evidence cuts bonds.
//!
//! Two halves over the same records. Actions run within transactions, as those of every contract do, and refuse what
//! breaks a rule. What time brings runs before a slice's first transaction: an epoch that has ended is
//! settled, the next one's schedule fixed, work counted. Votes are tallied as they change, on the records of the
//! producers whom they are for; only the slice that fixes a schedule reads all producers, once an epoch.
//!
//! Stake votes and weighs nothing else; a bond is what a producer can be held to. Both are part of the supply, as what
//! of them is being released and as the pool are.

mod evidence;
mod producers;
mod records;
mod rewards;
mod schedule;
mod stake;
mod votes;

use std::collections::BTreeMap;

use hpb_types::{
    AccountName, Amount, Canonical, DposParameters, EngineChoice, Epoch, Genesis, RejectReason, Schedule, Slot,
};
use hpb_vm::{Call, Host, Intent, Place, Table};

pub use evidence::{CutDone, REPORT, ReportArguments, report_action};
pub use producers::{
    BOND, BondArguments, ProducerArguments, ProvenKeys, REGISTER, RESUME, RETIRE, RegisterArguments, UPDATE,
    UpdateArguments, bond_action, register_action, resume_action, retire_action, update_action,
};
pub use records::{
    Activity, Ballot, Cut, Deeds, KeyFrom, Producer, Release, Roster, Service, Stake, Status, Term, Unbonding, Vote,
};
pub use stake::{
    STAKE, StakeArguments, UNSTAKE, WITHDRAW, WithdrawArguments, Withdrawn, stake_action, unstake_action,
    withdraw_action,
};
pub use votes::{
    OFFER_PROXY, OfferProxyArguments, PROXY, ProxyArguments, VOTE, VoteArguments, offer_proxy_action, proxy_action,
    vote_action,
};

use crate::apply::{Rules, SliceContext};
use crate::bytes::Bytes;
use crate::host::read_record;
use crate::key::{self, ACTIVITY, BEACON, DPOS, FIXED, POOL, PRODUCER, PRODUCER_KEY, ROSTER, TERM};
use crate::native::Stop;
use crate::records::{load, store, store_amount};
use crate::token;
use crate::view::{StateError, View};

/// A registered producer as a query finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerState {
    /// Its account.
    pub name: AccountName,
    /// The votes for it.
    pub votes: Amount,
    /// Its record.
    pub producer: Producer,
}

/// What the producers of an epoch have done so far, as a query finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochActivity {
    /// The epoch.
    pub epoch: Epoch,
    /// Certificates counted.
    pub certificates: u64,
    /// Slots filled.
    pub filled: u64,
    /// Each producer of the schedule in force, in its order.
    pub producers: Vec<(AccountName, Deeds)>,
}

/// What time brings, before the first transaction of a slice on a parent in slot `parent`; the schedule that it fixes.
///
/// # Errors
/// A state that can't be read.
pub(crate) fn begin(
    view: &mut View<'_>,
    rules: &Rules,
    parameters: &DposParameters,
    parent: Slot,
    context: &SliceContext,
) -> Result<Option<Schedule>, StateError> {
    let epoch = rules.epochs.of(context.slot);
    let mut activity = rewards::open(view, rules, parameters, epoch, &context.schedule)?;
    let mut next = None;
    if rules.epochs.fixes(parent, context.slot) {
        let following = Epoch(epoch.0.saturating_add(1));
        next = Some(schedule::fix(view, rules, parameters, &context.schedule, following)?);
    }
    if let Some(output) = &context.beacon {
        schedule::mix(view, output)?;
    }
    if rewards::count(&mut activity, context, parent < context.slot) {
        view.set(key::of(DPOS, ACTIVITY), Some(store(&activity)));
    }
    Ok(next)
}

/// Puts what a genesis says of producers, bonds and the pool into its state. Producers that stay for ever are registered
/// too: their bonds are part of the supply.
pub(crate) fn genesis_state(genesis: &Genesis, state: &mut BTreeMap<Bytes, Bytes>) {
    let mut roster = Roster::default();
    for producer in &genesis.producers {
        let name = producer.name;
        let record = Producer::new(Epoch(0), producer.key, producer.beacon, producer.bond, String::new());
        state.insert(key::of(name, PRODUCER), store(&record));
        for sub_key in [producers::slice_sub_key(&producer.key), producers::beacon_sub_key(&producer.beacon)] {
            let place = Place { account: DPOS, table: PRODUCER_KEY, sub_key: &sub_key };
            state.insert(key::of_place(place), store(&name));
        }
        roster.producers.push(name);
    }
    state.insert(key::of(DPOS, ROSTER), store(&roster));
    if let EngineChoice::Dpos(parameters) = &genesis.engine {
        state.insert(key::of(DPOS, POOL), store_amount(parameters.reward_pool));
        state.insert(key::of(DPOS, BEACON), store(&genesis.schedule().seed));
        state.insert(key::of(DPOS, FIXED), store(&Epoch(0)));
    }
}

/// The registered producers by rank: those that can be scheduled first, then by votes, then by registration.
///
/// # Errors
/// A state that can't be read.
pub(crate) fn producers(view: &mut View<'_>) -> Result<Vec<ProducerState>, StateError> {
    schedule::ranking(view)
}

/// The producer of that name, registered or expelled.
///
/// # Errors
/// A state that can't be read.
pub(crate) fn producer(view: &mut View<'_>, name: AccountName) -> Result<Option<ProducerState>, StateError> {
    let Some(producer) = read_record(view, &key::of(name, PRODUCER))? else { return Ok(None) };
    Ok(Some(ProducerState { name, votes: schedule::votes(view, name)?, producer }))
}

/// What the producers of the present epoch have done; `None` before its first slice and without elections.
///
/// # Errors
/// A state that can't be read.
pub(crate) fn activity(view: &mut View<'_>) -> Result<Option<EpochActivity>, StateError> {
    let activity = read_record::<Activity>(view, &key::of(DPOS, ACTIVITY))?;
    let term = read_record::<Term>(view, &key::of(DPOS, TERM))?;
    Ok(activity.zip(term).map(|(activity, term)| EpochActivity {
        epoch: activity.epoch,
        certificates: activity.certificates,
        filled: activity.filled,
        producers: term.producers.into_iter().zip(activity.deeds).collect(),
    }))
}

/// One call of the contract.
struct Desk<'c> {
    host: &'c mut dyn Host,
    rules: &'c Rules,
    parameters: &'c DposParameters,
    slot: Slot,
}

/// Runs an action in `slot` of a chain that elects its producers.
pub(crate) fn dispatch(
    host: &mut dyn Host,
    rules: &Rules,
    parameters: &DposParameters,
    slot: Slot,
    call: &Call<'_>,
) -> Result<(), Stop> {
    let mut desk = Desk { host, rules, parameters, slot };
    match call.action {
        STAKE => desk.stake(call),
        UNSTAKE => desk.unstake(call),
        WITHDRAW => desk.withdraw(call),
        VOTE => desk.vote(call),
        PROXY => desk.proxy(call),
        OFFER_PROXY => desk.offer_proxy(call),
        REGISTER => desk.register(call),
        BOND => desk.bond(call),
        UPDATE => desk.update(call),
        RETIRE => desk.retire(call),
        RESUME => desk.resume(call),
        REPORT => desk.report(call),
        _ => Err(RejectReason::NoSuchAction.into()),
    }
}

impl Desk<'_> {
    /// The call's arguments, once the account that they name stands behind them.
    fn arguments<T: Canonical>(&mut self, call: &Call<'_>, actor: impl Fn(&T) -> AccountName) -> Result<T, Stop> {
        let arguments = T::from_bytes(call.arguments).map_err(|_| RejectReason::Malformed)?;
        if self.host.is_permitted(actor(&arguments), &Intent::default())? {
            Ok(arguments)
        } else {
            Err(RejectReason::Unauthorised.into())
        }
    }

    fn read<T: Canonical>(&mut self, account: AccountName, table: Table) -> Result<Option<T>, Stop> {
        self.read_at(Place { account, table, sub_key: &[] })
    }

    fn read_at<T: Canonical>(&mut self, place: Place<'_>) -> Result<Option<T>, Stop> {
        match self.host.read(place)? {
            Some(bytes) => load(bytes).map(Some).ok_or(Stop::Damaged),
            None => Ok(None),
        }
    }

    fn write<T: Canonical>(&mut self, account: AccountName, table: Table, record: &T) -> Result<(), Stop> {
        Ok(self.host.write(Place { account, table, sub_key: &[] }, &store(record))?)
    }

    fn remove(&mut self, account: AccountName, table: Table) -> Result<(), Stop> {
        Ok(self.host.remove(Place { account, table, sub_key: &[] })?)
    }

    /// Says that the action took effect, as it was asked for.
    fn tell(&mut self, call: &Call<'_>) -> Result<(), Stop> {
        Ok(self.host.emit(call.action, call.arguments.to_vec())?)
    }

    /// Takes `amount` from the account's balance.
    fn take(&mut self, account: AccountName, amount: Amount) -> Result<(), Stop> {
        let left = token::balance(self.host, account)?.checked_sub(amount).ok_or(RejectReason::Overdrawn)?;
        token::put_balance(self.host, account, left)
    }

    /// Puts `amount` to the account's balance.
    fn pay(&mut self, account: AccountName, amount: Amount) -> Result<(), Stop> {
        let sum = token::balance(self.host, account)?.checked_add(amount).ok_or(Stop::Damaged)?;
        token::put_balance(self.host, account, sum)
    }

    /// The epoch in which the slice stands.
    fn epoch(&self) -> Epoch {
        self.rules.epochs.of(self.slot)
    }

    /// The first epoch whose schedule can still change.
    fn open_epoch(&mut self) -> Result<Epoch, Stop> {
        let fixed: Epoch = self.read(DPOS, FIXED)?.ok_or(Stop::Damaged)?;
        Ok(Epoch(fixed.max(self.epoch()).0.saturating_add(1)))
    }

    /// From which slot on what is released now is free.
    fn free_at(&self) -> Slot {
        Slot(self.slot.0.saturating_add(self.parameters.release_slots))
    }
}

#[cfg(test)]
mod tests;
