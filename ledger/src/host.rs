//! The host that a contract's call sees: one transaction's view, its authorisations, its meter.
//!
//! It refuses writes to tables that the calling contract does not own.

use hpb_base::UnixMillis;
use hpb_base::limits::{
    EVENT_BYTES_PER_TRANSACTION_MAX, EVENT_DATA_LEN_MAX, EVENTS_MAX, STATE_SUB_KEY_LEN_MAX, STATE_VALUE_LEN_MAX,
};
use hpb_types::{AccountName, ActionName, Amount, Authorisation, Event, PermissionName};
use hpb_vm::meter::{EVENT_UNITS, READ_UNITS, WRITE_UNITS};
use hpb_vm::{Halt, Host, Intent, Meter, Place, Table};

use crate::account::Account;
use crate::authority::delegation::Question;
use crate::authority::permit::{NoAnswer, Permit, Used};
use crate::bytes::Bytes;
use crate::key::{
    self, ACCOUNT, ACTIVITY, ALLOWANCE, BALANCE, CONTRACT_TABLES, DELEGATION, DEPOSIT, DPOS, DUE, PROPOSAL, STAKE,
    SYSTEM, TOKEN, VESTING,
};
use crate::records;
use crate::view::{StateError, View};

/// What the calls of one transaction share.
pub(crate) struct Transacting<'v, 's> {
    pub(crate) view: &'v mut View<'s>,
    pub(crate) meter: Meter,
    /// What the transaction names and its signatures satisfy.
    pub(crate) authorisations: &'v [Authorisation],
    /// What policies have let out in it.
    pub(crate) used: Used,
    pub(crate) block_time: UnixMillis,
    pub(crate) events: Vec<Event>,
    pub(crate) event_bytes: usize,
    /// Why the state could not be read.
    pub(crate) fault: Option<StateError>,
}

/// One call of a contract within a transaction.
pub(crate) struct CallHost<'t, 'v, 's> {
    pub(crate) transacting: &'t mut Transacting<'v, 's>,
    pub(crate) contract: AccountName,
    pub(crate) action: ActionName,
}

/// Whether the contract owns the table under the account.
fn may_write(contract: AccountName, account: AccountName, table: Table) -> bool {
    match table {
        ACCOUNT | DEPOSIT | DELEGATION | ALLOWANCE | PROPOSAL => contract == SYSTEM,
        DUE => contract == SYSTEM && account == SYSTEM,
        // What is staked or bonded leaves a balance, and comes back to it; so does what pays for room.
        BALANCE => contract == TOKEN || contract == DPOS || contract == SYSTEM,
        VESTING => contract == TOKEN,
        _ if (STAKE..=ACTIVITY).contains(&table) => contract == DPOS,
        _ => table >= CONTRACT_TABLES && contract == account,
    }
}

impl CallHost<'_, '_, '_> {
    fn put(&mut self, place: Place<'_>, value: Option<&[u8]>) -> Result<(), Halt> {
        self.transacting.meter.charge_bytes(WRITE_UNITS, value.map_or(0, <[u8]>::len))?;
        if !may_write(self.contract, place.account, place.table) {
            return Err(Halt::Forbidden);
        }
        if place.sub_key.len() > STATE_SUB_KEY_LEN_MAX || value.is_some_and(|value| value.len() > STATE_VALUE_LEN_MAX) {
            return Err(Halt::TooLarge);
        }
        self.transacting.view.set(key::of_place(place), value.map(Bytes::from));
        Ok(())
    }

    fn ask(&mut self, question: impl FnOnce(&mut Permit<'_, '_>) -> Result<bool, NoAnswer>) -> Result<bool, Halt> {
        let Transacting { view, meter, authorisations, used, fault, .. } = &mut *self.transacting;
        question(&mut Permit { view, meter, behind: authorisations, used }).map_err(|no_answer| match no_answer {
            NoAnswer::Halt(halt) => halt,
            NoAnswer::State(error) => note(fault, error),
        })
    }
}

fn note(fault: &mut Option<StateError>, error: StateError) -> Halt {
    *fault = Some(error);
    Halt::Unavailable
}

impl Host for CallHost<'_, '_, '_> {
    fn read(&mut self, place: Place<'_>) -> Result<Option<&[u8]>, Halt> {
        let Transacting { view, meter, fault, .. } = &mut *self.transacting;
        if place.sub_key.len() > STATE_SUB_KEY_LEN_MAX {
            return Err(Halt::TooLarge);
        }
        meter.charge(READ_UNITS)?;
        let value = view.get(&key::of_place(place)).map_err(|error| note(fault, error))?;
        meter.charge_bytes(0, value.map_or(0, |value| value.len()))?;
        Ok(value.map(Bytes::as_slice))
    }

    fn write(&mut self, place: Place<'_>, value: &[u8]) -> Result<(), Halt> {
        self.put(place, Some(value))
    }

    fn remove(&mut self, place: Place<'_>) -> Result<(), Halt> {
        self.put(place, None)
    }

    fn emit(&mut self, name: ActionName, data: Vec<u8>) -> Result<(), Halt> {
        let transacting = &mut *self.transacting;
        transacting.meter.charge_bytes(EVENT_UNITS, data.len())?;
        let bytes = transacting.event_bytes + data.len();
        if data.len() > EVENT_DATA_LEN_MAX
            || bytes > EVENT_BYTES_PER_TRANSACTION_MAX
            || transacting.events.len() >= EVENTS_MAX
        {
            return Err(Halt::TooLarge);
        }
        transacting.event_bytes = bytes;
        transacting.events.push(Event { contract: self.contract, name, data });
        Ok(())
    }

    fn is_authorised(&mut self, account: AccountName, permission: PermissionName) -> Result<bool, Halt> {
        self.ask(|permit| permit.is_authorised(account, permission))
    }

    fn is_permitted(&mut self, account: AccountName, intent: &Intent) -> Result<bool, Halt> {
        let (contract, action, at) = (self.contract, self.action, self.transacting.block_time);
        self.ask(|permit| permit.is_permitted(account, &Question { contract, action, intent, at }))
    }

    fn block_time(&self) -> UnixMillis {
        self.transacting.block_time
    }

    fn charge(&mut self, units: u64) -> Result<(), Halt> {
        self.transacting.meter.charge(units)
    }

    fn units_left(&self) -> u64 {
        self.transacting.meter.left()
    }
}

/// The account's record as the view sees it.
pub(crate) fn read_account(view: &mut View<'_>, account: AccountName) -> Result<Option<Account>, StateError> {
    read_record(view, &key::of(account, ACCOUNT))
}

/// What the account holds as the view sees it.
pub(crate) fn read_balance(view: &mut View<'_>, account: AccountName) -> Result<Amount, StateError> {
    Ok(read_record(view, &key::of(account, BALANCE))?.unwrap_or_default())
}

/// Has the account hold `balance`.
pub(crate) fn write_balance(view: &mut View<'_>, account: AccountName, balance: Amount) {
    let value = (balance != Amount::ZERO).then(|| records::store_amount(balance));
    view.set(key::of(account, BALANCE), value);
}

/// Adds `amount` to what the account holds.
pub(crate) fn credit(view: &mut View<'_>, account: AccountName, amount: Amount) -> Result<(), StateError> {
    let balance = read_balance(view, account)?.checked_add(amount).ok_or_else(|| StateError::overflow("a balance"))?;
    write_balance(view, account, balance);
    Ok(())
}

/// The record at `key` as the view sees it.
pub(crate) fn read_record<T: hpb_types::Canonical>(view: &mut View<'_>, key: &Bytes) -> Result<Option<T>, StateError> {
    match view.get(key)? {
        Some(bytes) => records::load(bytes).map(Some).ok_or_else(|| StateError::damaged(key)),
        None => Ok(None),
    }
}

/// The record at `key`, which is always there.
pub(crate) fn need_record<T: hpb_types::Canonical>(view: &mut View<'_>, key: &Bytes) -> Result<T, StateError> {
    read_record(view, key)?.ok_or_else(|| StateError::damaged(key))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hpb_types::Hash;

    use super::*;
    use crate::account::{ACTIVE, OWNER};
    use crate::key::TARIFF;
    use crate::testing::{by, key_of, name};
    use crate::view::State;

    /// One account, "alice", and nothing else.
    struct AliceOnly;

    impl State for AliceOnly {
        fn get(&self, key: &Bytes) -> Result<Option<Bytes>, StateError> {
            let alice = Account::with_keys(key_of("alice").public(), key_of("alice").public());
            Ok((*key == key::of(name("alice"), ACCOUNT)).then(|| records::store(&alice)))
        }
        fn includes(&self, _: &Hash) -> bool {
            false
        }
    }

    fn with_host<T>(
        contract: &str,
        units: u64,
        authorisations: &[Authorisation],
        test: impl FnOnce(&mut CallHost<'_, '_, '_>) -> T,
    ) -> T {
        let mut view = View::new(&AliceOnly);
        let mut transacting = Transacting {
            view: &mut view,
            meter: Meter::new(units),
            authorisations,
            used: Used::new(),
            block_time: UnixMillis(5),
            events: Vec::new(),
            event_bytes: 0,
            fault: None,
        };
        test(&mut CallHost {
            transacting: &mut transacting,
            contract: name(contract),
            action: ActionName::literal("act"),
        })
    }

    fn place(account: &str, table: Table) -> Place<'static> {
        Place { account: name(account), table, sub_key: &[] }
    }

    #[test]
    fn a_contract_writes_what_it_owns() {
        let own = CONTRACT_TABLES;
        for (contract, account, table, allowed) in [
            ("system", "alice", ACCOUNT, true),
            ("system", "alice", BALANCE, true),
            ("system", "alice", DELEGATION, true),
            ("system", "alice", ALLOWANCE, true),
            ("system", "alice", PROPOSAL, true),
            ("system", "system", DUE, true),
            ("system", "alice", DUE, false),
            ("token", "alice", PROPOSAL, false),
            ("system", "alice", DEPOSIT, true),
            ("system", "alice", VESTING, false),
            ("token", "alice", VESTING, true),
            ("token", "alice", DELEGATION, false),
            ("system", "system", TARIFF, false),
            ("token", "alice", BALANCE, true),
            ("token", "alice", ACCOUNT, false),
            ("token", "alice", STAKE, false),
            ("dpos", "alice", BALANCE, true),
            ("dpos", "alice", STAKE, true),
            ("dpos", "dpos", ACTIVITY, true),
            ("dpos", "alice", ACCOUNT, false),
            ("dpos", "dpos", Table(ACTIVITY.0 + 1), false),
            ("alice", "alice", STAKE, false),
            ("shop", "shop", own, true),
            ("shop", "shop", Table(255), true),
            ("shop", "shop", Table(own.0 - 1), false),
            ("shop", "shop", BALANCE, false),
            ("shop", "alice", own, false),
        ] {
            let expected = if allowed { Ok(()) } else { Err(Halt::Forbidden) };
            let place = place(account, table);
            let (written, removed) =
                with_host(contract, 10_000, &[], |host| (host.write(place, b"x"), host.remove(place)));
            assert_eq!((written, removed), (expected, expected), "{contract} at {account} {table:?}");
        }
    }

    #[test]
    fn every_request_is_paid_for() {
        let alice = place("alice", BALANCE);
        for units in [0, 10] {
            with_host("token", units, &[], |host| {
                assert_eq!(host.read(alice), Err(Halt::OutOfUnits));
                assert_eq!(host.write(alice, &[]), Err(Halt::OutOfUnits));
                assert_eq!(host.remove(alice), Err(Halt::OutOfUnits));
                assert_eq!(host.emit(ActionName::literal("done"), Vec::new()), Err(Halt::OutOfUnits));
                assert_eq!(host.is_authorised(name("alice"), ACTIVE), Err(Halt::OutOfUnits));
                assert_eq!(host.units_left(), 0);
            });
        }
    }

    #[test]
    fn sizes_are_bounded() {
        with_host("shop", u64::MAX, &[], |host| {
            let long = [0; STATE_SUB_KEY_LEN_MAX + 1];
            let long = Place { account: name("shop"), table: CONTRACT_TABLES, sub_key: &long };
            assert_eq!(host.read(long), Err(Halt::TooLarge));
            assert_eq!(host.write(long, &[]), Err(Halt::TooLarge));
            let large = vec![0; STATE_VALUE_LEN_MAX + 1];
            assert_eq!(host.write(place("shop", CONTRACT_TABLES), &large), Err(Halt::TooLarge));
            let done = ActionName::literal("done");
            assert_eq!(host.emit(done, vec![0; EVENT_DATA_LEN_MAX + 1]), Err(Halt::TooLarge));
            let half = EVENT_BYTES_PER_TRANSACTION_MAX / 2;
            assert_eq!(host.emit(done, vec![0; half]), Ok(()));
            assert_eq!(host.emit(done, vec![0; half]), Ok(()));
            assert_eq!(host.emit(done, vec![0]), Err(Halt::TooLarge), "all events together");
        });
        with_host("shop", u64::MAX, &[], |host| {
            let taken = (0..=EVENTS_MAX).take_while(|_| host.emit(ActionName::literal("e"), Vec::new()).is_ok());
            assert_eq!(taken.count(), EVENTS_MAX);
        });
    }

    #[test]
    fn what_was_named_covers_what_lies_below_it() {
        let asks = |named: PermissionName, asked| {
            with_host("token", 1_000, &[by("alice", named)], |host| host.is_authorised(name("alice"), asked).unwrap())
        };
        assert!(asks(ACTIVE, ACTIVE) && asks(OWNER, ACTIVE) && asks(OWNER, OWNER));
        assert!(!asks(ACTIVE, OWNER));
        with_host("token", 1_000, &[by("alice", OWNER)], |host| {
            assert_eq!(host.is_authorised(name("bob"), ACTIVE), Ok(false));
            assert_eq!(host.block_time(), UnixMillis(5));
        });
    }
}
