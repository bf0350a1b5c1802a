//! Where a chain starts.
//!
//! A genesis with parameters outside their ranges, twice the same name or key, or a key that anyone can sign for is
//! refused before a chain starts from it.

use std::collections::BTreeSet;

use hpb_base::limits::{
    GENESIS_ACCOUNTS_MAX, GENESIS_LABEL_LEN_MAX, GENESIS_LEN_MAX, PRODUCERS_MAX, SLICES_PER_SLOT_MAX, VESTING_PARTS_MAX,
};

use crate::codec::Canonical;
use crate::keys::{Hash, PublicKey};
use crate::name::AccountName;
use crate::schedule::{Epochs, Schedule, ScheduledProducer};
use crate::slice::SliceRef;
use crate::units::{Amount, ChainId, Epoch, Height, Slot};
use crate::vrf::VrfPublic;

/// A producer at genesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenesisProducer {
    /// Its account.
    pub name: AccountName,
    /// The key of its slices and confirms; differs from its account's and its node's keys.
    pub key: PublicKey,
    /// The key of its part of the beacon.
    pub beacon: VrfPublic,
    /// What it has bonded, beside its account's balance.
    pub bond: Amount,
}

/// A part of what comes to an account later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VestingPart {
    /// From which block time on it can be released, in milliseconds since 1970.
    pub free_at_ms: u64,
    /// How much; at least one unit.
    pub amount: Amount,
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
    /// What comes to it later, ascending by time.
    pub vesting: Vec<VestingPart>,
}

/// Which consensus engine the chain runs by, and that engine's parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EngineChoice {
    /// Producers elected by votes (white paper 3.2).
    Dpos(DposParameters),
    /// Genesis' producers for ever, a majority of whom decide: for consortia whose members do not lie.
    Authority,
}

/// What weighs in a certificate. Delegated votes never do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weighting {
    /// Every producer the same.
    Equal,
    /// Every producer its own bond, in whole tokens.
    Bond,
}

/// Parameters of elected producers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DposParameters {
    /// How many producers a schedule has at most, 4 to 101.
    pub producers_max: u32,
    /// What weighs in a certificate.
    pub weighting: Weighting,
    /// The least that a producer bonds.
    pub bond_min: Amount,
    /// Slots from the word that stake or a bond shall be free until it is; evidence counts against it meanwhile. More than
    /// two epochs: a producer that asks for its bond back is scheduled for up to one more after the present, and what it
    /// signs there must cost it something. It also says how old a node's last final slice may be before old keys, sold
    /// after their release, can show it another chain: past that a node needs a checkpoint.
    pub release_slots: u64,
    /// What is cut of a bond for one kind of fault, in thousandths, at most 1,000.
    pub cut_permille: u16,
    /// What the reporter of a fault gets of what is cut, in thousandths, at most 1,000; the rest goes to the pool.
    pub reporter_permille: u16,
    /// What the pool pays for a slot whose block was made and confirmed by all.
    pub reward_per_slot: Amount,
    /// What rewards are paid from: a part of the supply that is nobody's yet.
    pub reward_pool: Amount,
}

/// What transactions cost at the lowest price, and how much of them leaves the price where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fees {
    /// A byte of a transaction, signatures included.
    pub per_byte: Amount,
    /// A signature.
    pub per_signature: Amount,
    /// A unit of execution.
    pub per_unit: Amount,
    /// What a slot's transactions are meant to come to, in units of execution, bytes and signatures counted in: above it
    /// the price rises, below it the price falls. With 0 it stays.
    pub slot_units: u64,
}

impl Fees {
    /// Nothing costs anything.
    pub const NONE: Self =
        Self { per_byte: Amount::ZERO, per_signature: Amount::ZERO, per_unit: Amount::ZERO, slot_units: 0 };
}

/// Everything a chain starts from; its BLAKE3 is the chain id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Genesis {
    /// Format version: 4.
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
    /// What transactions cost.
    pub fees: Fees,
    /// What one byte of an account's record or roles costs for as long as it lies in the state.
    pub deposit_per_byte: Amount,
    /// Which consensus engine the chain runs by.
    pub engine: EngineChoice,
    /// The producers of epoch 0, in order.
    pub producers: Vec<GenesisProducer>,
    /// The first accounts, ascending by name. Their balances, the bonds and the reward pool sum to the supply.
    pub accounts: Vec<GenesisAccount>,
}

crate::layout!(Fees { per_byte, per_signature, per_unit, slot_units });
crate::layout!(GenesisProducer { name, key, beacon, bond });
crate::tagged!(EngineChoice { 0 => Dpos(parameters), 1 => Authority });
crate::tagged!(Weighting { 0 => Equal, 1 => Bond });
crate::layout!(DposParameters {
    producers_max,
    weighting,
    bond_min,
    release_slots,
    cut_permille,
    reporter_permille,
    reward_per_slot,
    reward_pool,
});
crate::layout!(VestingPart { free_at_ms, amount });
crate::layout!(GenesisAccount { name, key, balance, vesting: list(0..=VESTING_PARTS_MAX) });
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
            fees,
            deposit_per_byte,
            engine,
            producers: list(1..=PRODUCERS_MAX),
            accounts: list(0..=GENESIS_ACCOUNTS_MAX),
        }
);

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
    /// A schedule that is too short or too long.
    #[error("engine.producers_max: expected {PRODUCERS_MIN} to {PRODUCERS_MAX} and no fewer than producers, found {0}")]
    ScheduleLen(u32),
    /// Stake that is released while its owner may still be scheduled.
    #[error("engine.release_slots: expected more than two epochs ({least} slots), found {found}")]
    ReleaseSlots {
        /// Two epochs.
        least: u64,
        /// What was found.
        found: u64,
    },
    /// More than a thousand thousandths.
    #[error("engine.cut_permille, engine.reporter_permille: expected at most 1000, found {0}")]
    Permille(u16),
    /// A producer that bonds less than the least, or whose weight takes the sum past 2^64.
    #[error("producer {0}: bonds less than engine.bond_min, or takes the sum of weights past 2^64")]
    Bond(AccountName),
    /// A producer named twice, or whose account is not among the accounts.
    #[error("producer {0}: named twice, or without an account")]
    ProducerName(AccountName),
    /// A producer's key that may not be registered, or that another producer or an account has.
    #[error("producer {0}: a key of its is small-order, not canonical, or used elsewhere")]
    ProducerKey(AccountName),
    /// Too many accounts.
    #[error("accounts: more than {GENESIS_ACCOUNTS_MAX}")]
    AccountCount,
    /// The accounts are not strictly ascending by name.
    #[error("account {0}: named twice, or not in ascending order")]
    AccountOrder(AccountName),
    /// An account's vesting that is none.
    #[error("account {0}: more than {VESTING_PARTS_MAX} parts of vesting, not in ascending order, or one of nothing")]
    Vesting(AccountName),
    /// An account's key that may not be registered.
    #[error("account {0}: its key is small-order or not canonical")]
    AccountKey(AccountName),
    /// Balances, bonds and reward pool together are past the largest amount.
    #[error("balances, bonds and reward pool exceed 2^128 together")]
    Supply,
}

/// The shortest slot in milliseconds (PROTOCOL.md, "Words").
pub const SLOT_MS_MIN: u32 = 100;
/// The longest slot in milliseconds (PROTOCOL.md, "Words").
pub const SLOT_MS_MAX: u32 = 60_000;
/// A slot is at least this many Deltas long (PROTOCOL.md, "Words").
pub const SLOT_DELTAS_MIN: u32 = 6;
/// The shortest schedule that a chain of elected producers may ask for (PROTOCOL.md, "Words").
pub const PRODUCERS_MIN: u32 = 4;

impl Genesis {
    /// The version of the layout that this code speaks.
    pub const VERSION: u8 = 4;

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

    /// The schedule of epoch 0, in the order of the list. Its seed is the tagged hash, domain `genesis seed`, of the
    /// chain id.
    pub fn schedule(&self) -> Schedule {
        let scheduled = |producer: &GenesisProducer| ScheduledProducer {
            name: producer.name,
            key: producer.key,
            beacon: producer.beacon,
            weight: self.weight(producer.bond),
        };
        let seed = Hash::of_parts("genesis seed", &[&self.chain_id().0.0]);
        Schedule { epoch: Epoch(0), seed, producers: self.producers.iter().map(scheduled).collect() }
    }

    /// What a producer with that bond weighs.
    pub fn weight(&self, bond: Amount) -> u64 {
        match &self.engine {
            EngineChoice::Dpos(parameters) => parameters.weighting.weigh(bond),
            EngineChoice::Authority => Weighting::Equal.weigh(bond),
        }
    }

    /// How slots are counted into epochs.
    pub fn epochs(&self) -> Epochs {
        Epochs::new(self.epoch_slots.max(1))
    }

    /// Block time at the start of `slot`, in milliseconds since 1970; held at the end of time.
    pub fn slot_start_ms(&self, slot: Slot) -> u64 {
        self.time_ms.saturating_add(slot.0.saturating_mul(u64::from(self.slot_ms)))
    }

    /// The sum of all balances, the bonds and the reward pool, which [`validate`](Self::validate) has found to be an
    /// amount; `None` if it is not.
    pub fn supply(&self) -> Option<Amount> {
        let pool = match &self.engine {
            EngineChoice::Dpos(parameters) => parameters.reward_pool,
            EngineChoice::Authority => Amount::ZERO,
        };
        let vesting = self.accounts.iter().flat_map(|account| &account.vesting).map(|part| part.amount);
        let balances = self.accounts.iter().map(|account| account.balance).chain(vesting);
        let mut parts = balances.chain(self.producers.iter().map(|producer| producer.bond));
        parts.try_fold(pool, Amount::checked_add)
    }

    /// Whether a chain can start from it.
    ///
    /// # Errors
    /// The first parameter, producer or account that breaks a rule.
    pub fn validate(&self) -> Result<(), GenesisError> {
        self.validate_parameters()?;
        self.validate_engine()?;
        self.validate_accounts()?;
        self.validate_producers()?;
        self.supply().map(|_| ()).ok_or(GenesisError::Supply)
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

    fn validate_engine(&self) -> Result<(), GenesisError> {
        let EngineChoice::Dpos(parameters) = &self.engine else { return Ok(()) };
        let len = parameters.producers_max;
        if !(PRODUCERS_MIN..=PRODUCERS_MAX as u32).contains(&len) {
            return Err(GenesisError::ScheduleLen(len));
        }
        let least = self.epoch_slots.saturating_mul(2);
        if parameters.release_slots <= least {
            return Err(GenesisError::ReleaseSlots { least, found: parameters.release_slots });
        }
        let shares = [parameters.cut_permille, parameters.reporter_permille];
        match shares.into_iter().find(|share| *share > PERMILLE) {
            Some(share) => Err(GenesisError::Permille(share)),
            None => Ok(()),
        }
    }

    fn validate_accounts(&self) -> Result<(), GenesisError> {
        if self.accounts.len() > GENESIS_ACCOUNTS_MAX {
            return Err(GenesisError::AccountCount);
        }
        if let Some(pair) = self.accounts.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(GenesisError::AccountOrder(pair[1].name));
        }
        for account in &self.accounts {
            let ascends = account.vesting.is_sorted_by(|one, other| one.free_at_ms < other.free_at_ms);
            let is_something = account.vesting.iter().all(|part| part.amount != Amount::ZERO);
            if account.vesting.len() > VESTING_PARTS_MAX || !ascends || !is_something {
                return Err(GenesisError::Vesting(account.name));
            }
            if !account.key.is_acceptable_for_registration() {
                return Err(GenesisError::AccountKey(account.name));
            }
        }
        Ok(())
    }

    fn validate_producers(&self) -> Result<(), GenesisError> {
        if !(1..=PRODUCERS_MAX).contains(&self.producers.len()) {
            return Err(GenesisError::ProducerCount(self.producers.len()));
        }
        if let EngineChoice::Dpos(parameters) = &self.engine
            && self.producers.len() > parameters.producers_max as usize
        {
            return Err(GenesisError::ScheduleLen(parameters.producers_max));
        }
        let mut keys: BTreeSet<&PublicKey> = self.accounts.iter().map(|account| &account.key).collect();
        let mut beacons = BTreeSet::new();
        let mut names = BTreeSet::new();
        let bond_min = match &self.engine {
            EngineChoice::Dpos(parameters) => parameters.bond_min,
            EngineChoice::Authority => Amount::ZERO,
        };
        let mut weight = 0_u64;
        for producer in &self.producers {
            let name = producer.name;
            let has_account = self.accounts.binary_search_by_key(&name, |account| account.name).is_ok();
            if !names.insert(name) || !has_account {
                return Err(GenesisError::ProducerName(name));
            }
            if !producer.key.is_acceptable_for_registration()
                || !keys.insert(&producer.key)
                || !producer.beacon.is_acceptable_for_registration()
                || !beacons.insert(&producer.beacon)
            {
                return Err(GenesisError::ProducerKey(name));
            }
            weight = match weight.checked_add(self.weight(producer.bond)) {
                Some(sum) if producer.bond >= bond_min => sum,
                _ => return Err(GenesisError::Bond(name)),
            };
        }
        Ok(())
    }
}

impl DposParameters {
    /// Parameters to start from: ours, for the paper names none. There is nothing in the reward pool.
    pub fn preset() -> Self {
        Self {
            producers_max: 21,
            weighting: Weighting::Equal,
            bond_min: Amount(10_000 * Amount::ONE.0),
            // A week of slots of 3 s.
            release_slots: 201_600,
            cut_permille: 500,
            reporter_permille: 100,
            reward_per_slot: Amount::ONE,
            reward_pool: Amount::ZERO,
        }
    }
}

/// Thousandths in a whole.
pub const PERMILLE: u16 = 1_000;

impl Weighting {
    /// What a producer with that bond weighs: at least 1, held at 2^64 - 1.
    pub fn weigh(self, bond: Amount) -> u64 {
        match self {
            Self::Equal => 1,
            Self::Bond => u64::try_from(bond.0 / Amount::ONE.0).unwrap_or(u64::MAX).max(1),
        }
    }
}

#[cfg(test)]
mod tests;
