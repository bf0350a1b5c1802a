//! The system contract: `create` makes an account. Names of addresses and of the built-in contracts can't be chosen.

use hpb_types::{AccountName, Action, ActionName, Canonical, PublicKey, RejectReason};
use hpb_vm::{Host, Place};

use crate::account::{ACTIVE, Account};
use crate::key::{ACCOUNT, SYSTEM};
use crate::native::{Native, Stop};
use crate::records;

/// The action.
pub const CREATE: ActionName = ActionName::literal("create");
/// The event that tells of it.
pub const CREATED: ActionName = ActionName::literal("created");

/// The arguments of `create`. Needs `active` of `creator`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateArguments {
    /// Who makes it.
    pub creator: AccountName,
    /// Its name.
    pub name: AccountName,
    /// The key of `owner`.
    pub owner: PublicKey,
    /// The key of `active`.
    pub active: PublicKey,
}

/// The data of the event `created`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// Who made it.
    pub creator: AccountName,
    /// Its name.
    pub name: AccountName,
}

hpb_types::layout!(CreateArguments { creator, name, owner, active });
hpb_types::layout!(Created { creator, name });

/// The action by which `creator` makes the account `name` with one key for `owner` and one for `active`.
pub fn create_action(creator: AccountName, name: AccountName, owner: PublicKey, active: PublicKey) -> Action {
    let arguments = CreateArguments { creator, name, owner, active };
    Action { contract: SYSTEM, action: CREATE, arguments: arguments.to_bytes() }
}

/// Whether nobody may choose the name.
pub fn is_reserved(name: AccountName) -> bool {
    Native::has(name) || name.is_address_form()
}

pub(crate) fn create(host: &mut dyn Host, arguments: &[u8]) -> Result<(), Stop> {
    let CreateArguments { creator, name, owner, active } =
        CreateArguments::from_bytes(arguments).map_err(|_| RejectReason::Malformed)?;
    if !host.is_authorised(creator, ACTIVE)? {
        return Err(RejectReason::Unauthorised.into());
    }
    if is_reserved(name) {
        return Err(RejectReason::BadName.into());
    }
    let place = Place { account: name, table: ACCOUNT, sub_key: &[] };
    if host.read(place)?.is_some() {
        return Err(RejectReason::AccountExists.into());
    }
    // Two decompressions of points: the dearest work of a call, and so the last check.
    host.charge(KEY_UNITS)?;
    if !owner.is_acceptable_for_registration() || !active.is_acceptable_for_registration() {
        return Err(RejectReason::BadKey.into());
    }
    host.write(place, &records::store(&Account::with_keys(owner, active)))?;
    host.emit(CREATED, Created { creator, name }.to_bytes())?;
    Ok(())
}

/// Units of judging two keys.
pub(crate) const KEY_UNITS: u64 = 2_000;
