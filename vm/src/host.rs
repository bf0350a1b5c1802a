//! What a contract may ask. There is no other way out of an engine: no clock, no randomness, no file, no other node.
//!
//! A host refuses a write where the contract owns nothing, and every request once its meter is empty.

use hpb_base::UnixMillis;
use hpb_types::{AccountName, ActionName, Amount, PermissionName};

/// One kind of record under an account; the ledger's layout names them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Table(pub u8);

/// Where one value of the state lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// The account that it lies under.
    pub account: AccountName,
    /// Its kind.
    pub table: Table,
    /// Which of its kind: at most `base::limits::STATE_SUB_KEY_LEN_MAX` bytes.
    pub sub_key: &'a [u8],
}

/// What a call is about to do in an account's name, as far as a policy of that account can bound it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Intent {
    /// What leaves the account; a policy that bounds amounts never allows what states none.
    pub amount: Option<Amount>,
    /// Whom it is done to; a policy that names counterparties never allows what states none.
    pub counterparty: Option<AccountName>,
}

/// Why a host stops a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Halt {
    /// The meter is empty.
    #[error("out of execution units")]
    OutOfUnits,
    /// The contract owns nothing there.
    #[error("the contract may not write there")]
    Forbidden,
    /// A sub-key, a value or the events are larger than the limits.
    #[error("larger than the limits")]
    TooLarge,
    /// The state could not be read: a failure of this node and no outcome of the call. The host holds the cause, and
    /// whoever drives it gives up the whole execution.
    #[error("the state could not be read")]
    Unavailable,
}

/// The world as a contract sees it during one call. Every request is metered and tracked.
pub trait Host {
    /// The value at `place`, as this transaction sees it. Any contract may read anything.
    ///
    /// # Errors
    /// A [`Halt`]: the call is to end with it.
    fn read(&mut self, place: Place<'_>) -> Result<Option<&[u8]>, Halt>;

    /// Puts `value`, at most `base::limits::STATE_VALUE_LEN_MAX` bytes, at `place`.
    ///
    /// # Errors
    /// A [`Halt`]: the call is to end with it.
    fn write(&mut self, place: Place<'_>, value: &[u8]) -> Result<(), Halt>;

    /// Takes away what lies at `place`; nothing happens where nothing does.
    ///
    /// # Errors
    /// A [`Halt`]: the call is to end with it.
    fn remove(&mut self, place: Place<'_>) -> Result<(), Halt>;

    /// Says in the receipt, in the contract's name, that something happened.
    ///
    /// # Errors
    /// A [`Halt`]: the call is to end with it.
    fn emit(&mut self, name: ActionName, data: Vec<u8>) -> Result<(), Halt>;

    /// Whether `permission` of `account`, or one above it, stands behind the transaction: what a contract asks before it
    /// changes who may act for the account.
    ///
    /// # Errors
    /// A [`Halt`]: the call is to end with it.
    fn is_authorised(&mut self, account: AccountName, permission: PermissionName) -> Result<bool, Halt>;

    /// Whether the present call may do `intent` in the name of `account`: because `active` of it stands behind the
    /// transaction, or one whom it granted just this. What a policy grants by the transaction or by the day is used up by
    /// the question, so a contract asks once for each thing that it does.
    ///
    /// # Errors
    /// A [`Halt`]: the call is to end with it.
    fn is_permitted(&mut self, account: AccountName, intent: &Intent) -> Result<bool, Halt>;

    /// The start of the slot in which the transaction executes.
    fn block_time(&self) -> UnixMillis;

    /// Pays `units` for work that the host cannot see.
    ///
    /// # Errors
    /// [`Halt::OutOfUnits`] when fewer are left; they are spent then.
    fn charge(&mut self, units: u64) -> Result<(), Halt>;

    /// The units that are left.
    fn units_left(&self) -> u64;
}
