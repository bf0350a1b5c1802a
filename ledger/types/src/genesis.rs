//! Where a chain starts, and who produces in an epoch.
//!
//! A genesis with parameters outside their ranges, twice the same name or key, or a key that anyone can sign for is
//! refused before a chain starts from it.

use std::collections::BTreeSet;

use hpb_base::limits::{
    GENESIS_ACCOUNTS_MAX, GENESIS_LABEL_LEN_MAX, GENESIS_LEN_MAX, PRODUCERS_MAX, SLICES_PER_SLOT_MAX,
};

use crate::codec::Canonical;
use crate::keys::{Hash, PublicKey};
use crate::name::AccountName;
use crate::slice::SliceRef;
use crate::units::{Amount, ChainId, Epoch, Height, Slot};

/// A producer at genesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenesisProducer {
    /// Its account.
    pub name: AccountName,
    /// The key of its slices and confirms; differs from its account's and its node's keys.
    pub key: PublicKey,
    /// Its bonded weight.
    pub weight: u64,
}

/// An account at genesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenesisAccount {
    /// Its name.
    pub name: AccountName,
    /// The key of its owner permission.
    pub key: PublicKey,
    /// What it holds.
    pub balance: Amount,
}

/// Everything a chain starts from; its BLAKE3 is the chain id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Genesis {
    /// Format version: 1.
    pub version: u8,
    /// A word for people.
    pub label: String,
    /// The start of slot 0, in milliseconds since 1970.
    pub time_ms: u64,
    /// A slot's length, 100 to 60,000.
    pub slot_ms: u32,
    /// The time between slices, at least 1.
    pub slice_ms: u32,
    /// Delta: the bound on the one-way delay between producers in good times; `slot_ms` is at least 6 of it.
    pub delta_ms: u32,
    /// Slots in an epoch.
    pub epoch_slots: u64,
    /// The fee of a byte of a transaction.
    pub fee_per_byte: Amount,
    /// The producers of epoch 0, in order: slot n belongs to producer n modulo their number.
    pub producers: Vec<GenesisProducer>,
    /// The first accounts, ascending by name. Their balances sum to the supply.
    pub accounts: Vec<GenesisAccount>,
}

/// A producer within a schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledProducer {
    /// Its account.
    pub name: AccountName,
    /// The key of its slices and confirms.
    pub key: PublicKey,
    /// Its weight in a certificate.
    pub weight: u64,
}

/// Who produces in an epoch, in order; fixed within it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Which epoch.
    pub epoch: Epoch,
    /// The producers; bitmaps index this list.
    pub producers: Vec<ScheduledProducer>,
}

crate::layout!(GenesisProducer { name, key, weight });
crate::layout!(GenesisAccount { name, key, balance });
crate::layout!(
    Genesis
        <= GENESIS_LEN_MAX {
            version: version(Genesis::VERSION),
            label: text(0..=GENESIS_LABEL_LEN_MAX),
            time_ms,
            slot_ms,
            slice_ms,
            delta_ms,
            epoch_slots,
            fee_per_byte,
            producers: list(1..=PRODUCERS_MAX),
            accounts: list(0..=GENESIS_ACCOUNTS_MAX),
        }
);
crate::layout!(ScheduledProducer { name, key, weight });
crate::layout!(Schedule { epoch, producers: list(1..=PRODUCERS_MAX) });

/// Why no chain can start from a genesis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GenesisError {
    /// Another format version.
    #[error("version: {0} is not one that this node speaks")]
    Version(u8),
    /// The label is too long.
    #[error("label: more than {GENESIS_LABEL_LEN_MAX} bytes")]
    Label,
    /// The slot's length is out of range.
    #[error("slot_ms: expected {SLOT_MS_MIN} to {SLOT_MS_MAX}, found {0}")]
    SlotMs(u32),
    /// The time between slices is out of range.
    #[error("slice_ms: expected 1 to slot_ms, and at most {SLICES_PER_SLOT_MAX} slices a slot, found {0}")]
    SliceMs(u32),
    /// Delta is out of range.
    #[error("delta_ms: expected 1 to slot_ms / 6, found {0}")]
    DeltaMs(u32),
    /// An epoch without slots.
    #[error("epoch_slots: expected at least 1")]
    EpochSlots,
    /// Too few or too many producers.
    #[error("producers: expected 1 to {PRODUCERS_MAX}, found {0}")]
    ProducerCount(usize),
    /// A producer without weight, or weights whose sum is past 2^64.
    #[error("producer {0}: weight is 0, or takes the sum past 2^64")]
    Weight(AccountName),
    /// A producer named twice, or whose account is not among the accounts.
    #[error("producer {0}: named twice, or without an account")]
    ProducerName(AccountName),
    /// A producer's key that may not be registered, or that another producer or an account has.
    #[error("producer {0}: its key is small-order, not canonical, or used elsewhere")]
    ProducerKey(AccountName),
    /// Too many accounts.
    #[error("accounts: more than {GENESIS_ACCOUNTS_MAX}")]
    AccountCount,
    /// The accounts are not strictly ascending by name.
    #[error("account {0}: named twice, or not in ascending order")]
    AccountOrder(AccountName),
    /// An account's key that may not be registered.
    #[error("account {0}: its key is small-order or not canonical")]
    AccountKey(AccountName),
    /// The balances' sum is past the largest amount.
    #[error("account {0}: its balance takes the supply past 2^128")]
    Supply(AccountName),
}

/// The shortest slot in milliseconds (PROTOCOL.md, "Words").
pub const SLOT_MS_MIN: u32 = 100;
/// The longest slot in milliseconds (PROTOCOL.md, "Words").
pub const SLOT_MS_MAX: u32 = 60_000;
/// A slot is at least this many Deltas long (PROTOCOL.md, "Words").
pub const SLOT_DELTAS_MIN: u32 = 6;

impl Genesis {
    /// The version of the layout that this code speaks.
    pub const VERSION: u8 = 1;

    /// BLAKE3 of the canonical genesis.
    pub fn chain_id(&self) -> ChainId {
        ChainId(Hash::of(&self.to_bytes()))
    }

    /// The slice that the first slice builds on, justified and final by definition. It has no body: its id is drawn from
    /// the chain id, and height (slot 0, index 0) is reserved for it. Slot 0 has no producer; production starts with
    /// slot 1.
    pub fn genesis_slice(&self) -> SliceRef {
        Self::slice_of(&self.chain_id())
    }

    /// [`genesis_slice`](Self::genesis_slice) of the chain `chain`, for whom has not its genesis at hand.
    pub fn slice_of(chain: &ChainId) -> SliceRef {
        SliceRef { height: Height::new(0, 0), id: Hash::of_parts("genesis slice", &[&chain.0.0]) }
    }

    /// The schedule of epoch 0.
    pub fn schedule(&self) -> Schedule {
        let scheduled = |producer: &GenesisProducer| ScheduledProducer {
            name: producer.name,
            key: producer.key,
            weight: producer.weight,
        };
        Schedule { epoch: Epoch(0), producers: self.producers.iter().map(scheduled).collect() }
    }

    /// The epoch that `slot` belongs to.
    pub fn epoch_of(&self, slot: Slot) -> Epoch {
        Epoch(slot.0 / self.epoch_slots.max(1))
    }

    /// Block time at the start of `slot`, in milliseconds since 1970; held at the end of time.
    pub fn slot_start_ms(&self, slot: Slot) -> u64 {
        self.time_ms.saturating_add(slot.0.saturating_mul(u64::from(self.slot_ms)))
    }

    /// The sum of all balances, which [`validate`](Self::validate) has found to be an amount; `None` if it is not.
    pub fn supply(&self) -> Option<Amount> {
        self.accounts.iter().try_fold(Amount::ZERO, |sum, account| sum.checked_add(account.balance))
    }

    /// Whether a chain can start from it.
    ///
    /// # Errors
    /// The first parameter, producer or account that breaks a rule.
    pub fn validate(&self) -> Result<(), GenesisError> {
        self.validate_parameters()?;
        self.validate_accounts()?;
        self.validate_producers()
    }

    fn validate_parameters(&self) -> Result<(), GenesisError> {
        if self.version != Self::VERSION {
            return Err(GenesisError::Version(self.version));
        }
        if self.label.len() > GENESIS_LABEL_LEN_MAX {
            return Err(GenesisError::Label);
        }
        if !(SLOT_MS_MIN..=SLOT_MS_MAX).contains(&self.slot_ms) {
            return Err(GenesisError::SlotMs(self.slot_ms));
        }
        if !(1..=self.slot_ms).contains(&self.slice_ms) || self.slot_ms.div_ceil(self.slice_ms) > SLICES_PER_SLOT_MAX {
            return Err(GenesisError::SliceMs(self.slice_ms));
        }
        if !(1..=self.slot_ms / SLOT_DELTAS_MIN).contains(&self.delta_ms) {
            return Err(GenesisError::DeltaMs(self.delta_ms));
        }
        if self.epoch_slots == 0 {
            return Err(GenesisError::EpochSlots);
        }
        Ok(())
    }

    fn validate_accounts(&self) -> Result<(), GenesisError> {
        if self.accounts.len() > GENESIS_ACCOUNTS_MAX {
            return Err(GenesisError::AccountCount);
        }
        if let Some(pair) = self.accounts.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(GenesisError::AccountOrder(pair[1].name));
        }
        let mut supply = Amount::ZERO;
        for account in &self.accounts {
            if !account.key.is_acceptable_for_registration() {
                return Err(GenesisError::AccountKey(account.name));
            }
            supply = supply.checked_add(account.balance).ok_or(GenesisError::Supply(account.name))?;
        }
        Ok(())
    }

    fn validate_producers(&self) -> Result<(), GenesisError> {
        if !(1..=PRODUCERS_MAX).contains(&self.producers.len()) {
            return Err(GenesisError::ProducerCount(self.producers.len()));
        }
        let mut keys: BTreeSet<&PublicKey> = self.accounts.iter().map(|account| &account.key).collect();
        let mut names = BTreeSet::new();
        let mut weight = 0_u64;
        for producer in &self.producers {
            let name = producer.name;
            let has_account = self.accounts.binary_search_by_key(&name, |account| account.name).is_ok();
            if !names.insert(name) || !has_account {
                return Err(GenesisError::ProducerName(name));
            }
            if !producer.key.is_acceptable_for_registration() || !keys.insert(&producer.key) {
                return Err(GenesisError::ProducerKey(name));
            }
            weight = match weight.checked_add(producer.weight) {
                Some(sum) if producer.weight > 0 => sum,
                _ => return Err(GenesisError::Weight(name)),
            };
        }
        Ok(())
    }
}

impl Schedule {
    /// The weight of all, held at 2^64 - 1.
    pub fn total_weight(&self) -> u64 {
        self.producers.iter().fold(0, |sum, producer| sum.saturating_add(producer.weight))
    }

    /// Whose slot it is: that of producer slot modulo their number. A schedule has at least one producer, as decoding
    /// and [`Genesis::validate`] ensure.
    pub fn producer_at(&self, slot: Slot) -> &ScheduledProducer {
        assert!(!self.producers.is_empty(), "a schedule without producers was refused when it was made");
        &self.producers[(slot.0 % self.producers.len() as u64) as usize]
    }

    /// Where `name` stands in the list.
    pub fn index_of(&self, name: &AccountName) -> Option<usize> {
        self.producers.iter().position(|producer| producer.name == *name)
    }

    /// The producer called `name`.
    pub fn producer(&self, name: &AccountName) -> Option<&ScheduledProducer> {
        self.producers.iter().find(|producer| producer.name == *name)
    }

    /// Whether `weight` is more than two thirds of the whole.
    pub fn is_quorum(&self, weight: u64) -> bool {
        3 * u128::from(weight) > 2 * u128::from(self.total_weight())
    }
}

#[cfg(test)]
mod tests;
