//! What became of a transaction.
//!
//! A receipt is hashed into the results commitment: every node comes to the same one, byte for byte.

use hpb_base::limits::{EVENT_DATA_LEN_MAX, EVENTS_MAX};

use crate::keys::Hash;
use crate::name::{AccountName, ActionName};
use crate::units::Amount;

/// What a contract says happened; found again by (slot, slice index, transaction index, event index).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The contract that says so.
    pub contract: AccountName,
    /// What happened.
    pub name: ActionName,
    /// The facts: canonical bytes that the contract defines.
    pub data: Vec<u8>,
}

/// Why a transaction did not take effect. The tag is part of receipts and of messages: append only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum RejectReason {
    /// The bytes are not a canonical transaction within the limits.
    #[error("malformed")]
    Malformed,
    /// It names another chain.
    #[error("meant for another chain")]
    WrongChain,
    /// Its expiry has passed in block time.
    #[error("expired")]
    Expired,
    /// Its expiry lies further ahead than the rules allow.
    #[error("expiry too far ahead")]
    ExpiryTooFar,
    /// A transaction with this id is known already.
    #[error("duplicate")]
    Duplicate,
    /// It carries no signature, or one that does not verify.
    #[error("not signed, or a signature does not verify")]
    BadSignature,
    /// Its signatures do not satisfy an authorisation that it names or needs.
    #[error("not authorised")]
    Unauthorised,
    /// An account that it names does not exist.
    #[error("no such account")]
    NoSuchAccount,
    /// The account that it creates exists.
    #[error("account exists")]
    AccountExists,
    /// The name is not a valid or not a free one.
    #[error("name not allowed")]
    BadName,
    /// The key is small-order or not canonical.
    #[error("key not allowed")]
    BadKey,
    /// The balance does not cover the amount and the fee.
    #[error("overdrawn")]
    Overdrawn,
    /// The fee is above the transaction's limit.
    #[error("fee limit too low")]
    FeeLimit,
    /// No such contract or action.
    #[error("no such contract or action")]
    NoSuchAction,
    /// The mempool is full, for all or for this payer.
    #[error("mempool full")]
    MempoolFull,
    /// No such producer is registered, or none that can be voted for.
    #[error("no such producer")]
    NoSuchProducer,
    /// The account is registered as a producer.
    #[error("registered as a producer already")]
    ProducerExists,
    /// Another producer has the key.
    #[error("the key is another producer's")]
    KeyTaken,
    /// The bond is below the least.
    #[error("bond too small")]
    BondTooSmall,
    /// The producer's status does not allow it.
    #[error("not in the producer's present status")]
    WrongStatus,
    /// Nothing of what is being released is free yet.
    #[error("nothing is free yet")]
    NothingFree,
    /// A bounded list is full.
    #[error("a list is full")]
    ListFull,
    /// Not a proxy, or a proxy that would use one.
    #[error("not a proxy, or a proxy's proxy")]
    BadProxy,
    /// The evidence proves no fault by which the producer can be held to its bond.
    #[error("the evidence proves nothing")]
    BadEvidence,
    /// A fault of this kind was cut from this bond before.
    #[error("cut for this kind of fault already")]
    AlreadyCut,
    /// The permission breaks a rule of its account's tree, or is one that stays.
    #[error("the permission breaks a rule of its account's tree")]
    BadPermission,
    /// The account has no such permission.
    #[error("no such permission")]
    NoSuchPermission,
    /// Something still depends on it: a permission below it, a part of another one, a grant.
    #[error("something still depends on it")]
    InUse,
    /// The role's policies, or the account's roles and grants together, are out of their ranges.
    #[error("the role or its policies are out of their ranges")]
    BadRole,
    /// The account has no such role, or did not grant it so.
    #[error("no such role, or not granted")]
    NoSuchRole,
    /// The account proposes nothing of that name, or something else by now.
    #[error("no such proposal")]
    NoSuchProposal,
    /// The account has a proposal of that name.
    #[error("proposal exists")]
    ProposalExists,
    /// The proposal's lists, delay or expiry are out of their ranges.
    #[error("the proposal is out of its ranges")]
    BadProposal,
    /// The proposal does not ask for that approval.
    #[error("the proposal does not ask for that approval")]
    NotAsked,
    /// The proposal waits for its time already.
    #[error("the proposal waits for its time already")]
    Scheduled,
}

/// How execution ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All actions took effect.
    Applied,
    /// No action took effect; the fee was taken where the payer could pay it.
    Failed(RejectReason),
}

/// The result of one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Which transaction.
    pub transaction: Hash,
    /// How it ended.
    pub outcome: Outcome,
    /// What was paid.
    pub fee: Amount,
    /// The units that execution took.
    pub units: u64,
    /// What happened.
    pub events: Vec<Event>,
}

crate::layout!(Event { contract, name, data: bytes(0..=EVENT_DATA_LEN_MAX) });
crate::tagged!(RejectReason {
    0 => Malformed,
    1 => WrongChain,
    2 => Expired,
    3 => ExpiryTooFar,
    4 => Duplicate,
    5 => BadSignature,
    6 => Unauthorised,
    7 => NoSuchAccount,
    8 => AccountExists,
    9 => BadName,
    10 => BadKey,
    11 => Overdrawn,
    12 => FeeLimit,
    13 => NoSuchAction,
    14 => MempoolFull,
    15 => NoSuchProducer,
    16 => ProducerExists,
    17 => KeyTaken,
    18 => BondTooSmall,
    19 => WrongStatus,
    20 => NothingFree,
    21 => ListFull,
    22 => BadProxy,
    23 => BadEvidence,
    24 => AlreadyCut,
    25 => BadPermission,
    26 => NoSuchPermission,
    27 => InUse,
    28 => BadRole,
    29 => NoSuchRole,
    30 => NoSuchProposal,
    31 => ProposalExists,
    32 => BadProposal,
    33 => NotAsked,
    34 => Scheduled,
});
crate::tagged!(Outcome { 0 => Applied, 1 => Failed(reason) });
crate::layout!(Receipt { transaction, outcome, fee, units, events: list(0..=EVENTS_MAX) });
