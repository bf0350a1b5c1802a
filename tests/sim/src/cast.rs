//! Who takes part in a simulated chain, and its times: all of it follows from the number of nodes.

use std::sync::Arc;

use hpb_base::limits::LOG_SEGMENT_LEN;
use hpb_base::{Duration, Instant, UnixMillis};
use hpb_types::{
    AccountName, Amount, DposParameters, EngineChoice, Fees, Genesis, GenesisAccount, GenesisError, GenesisProducer,
    Hash, KeyPair, NameError, PublicKey, Signer, VrfSecret,
};

use crate::electorate::{Electorate, release_slots};
use crate::signing::Signing;

/// Slot 0 begins here on the true clock.
pub const GENESIS_AT: Instant = Instant::from_millis(1_000);
/// The wall clock at true time zero.
pub const WALL_AT_ZERO: UnixMillis = UnixMillis(1_800_000_000_000);
/// A slot's length in a seed.
pub const SLOT: Duration = Duration::from_millis(600);
/// The time between slices in a seed.
pub const SLICE: Duration = Duration::from_millis(50);
/// The bound on the delay between nodes in good times of a seed.
pub const DELTA: Duration = Duration::from_millis(100);
/// Slots of an epoch of a seed.
pub const EPOCH_SLOTS: u64 = 8;
/// The times of a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// A slot's length.
    pub slot: Duration,
    /// The time between slices.
    pub slice: Duration,
    /// The bound on the delay between nodes in good times.
    pub delta: Duration,
    /// Slots of an epoch.
    pub epoch_slots: u64,
}

impl Times {
    /// Those of seeds: so short that a run has many slots.
    pub const SHORT: Self = Self { slot: SLOT, slice: SLICE, delta: DELTA, epoch_slots: EPOCH_SLOTS };
    /// Those that a chain has by default (PROTOCOL.md, "Words"), in epochs in which each of 21 has a slot.
    pub const REAL: Self = Self {
        slot: Duration::from_millis(3_000),
        slice: Duration::from_millis(50),
        delta: Duration::from_millis(100),
        epoch_slots: 21,
    };

    /// When `slot` begins on the true clock.
    pub fn slot_start(&self, slot: u64) -> Instant {
        GENESIS_AT + self.slot.saturating_mul(slot)
    }

    /// Which slot it is at `now` on the true clock.
    pub fn slot_at(&self, now: Instant) -> u64 {
        now.since(GENESIS_AT).as_nanos() / self.slot.as_nanos()
    }
}

/// The length of a log's segments in a seed: so short that a run fills several.
const SEGMENT_LEN: u64 = 1 << 20;
/// What each producer has bonded, or bonds.
pub const BOND: Amount = Amount(10_000 * Amount::ONE.0);
/// What each node's account holds beside: a bond, and the fees of reports.
const NODE_BALANCE: Amount = Amount(BOND.0 + 100 * Amount::ONE.0);
/// Nodes of a world: at least this many.
pub const NODES_MIN: usize = 4;
/// Nodes of a world: at most this many.
pub const NODES_MAX: usize = 100;
/// Accounts that transfer.
pub const USERS: usize = 8;

/// One node's own.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its producer's name.
    pub name: AccountName,
    /// Who signs its slices and confirms, first and after a change.
    pub signers: [Arc<dyn Signer>; 2],
    /// Who proves its part of the beacon, first and after a change; never on paper, because the chain draws from what is
    /// proven.
    pub beacons: [VrfSecret; 2],
    /// Who signs for its account.
    pub account: Arc<dyn Signer>,
    /// Its node's identity.
    pub identity: PublicKey,
}

/// An account that transfers.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name.
    pub name: AccountName,
    /// Who signs for it.
    pub signer: Arc<dyn Signer>,
}

/// All who take part.
#[derive(Clone, Debug)]
pub struct Cast {
    /// How it is signed.
    pub signing: Signing,
    /// The chain.
    pub genesis: Genesis,
    /// Its times.
    pub times: Times,
    /// The length of the segments of its nodes' logs, in bytes.
    pub segment_len: u64,
    /// The nodes, by number.
    pub nodes: Vec<Part>,
    /// The accounts that transfer.
    pub users: Vec<User>,
}

/// Why there is no chain of that many nodes.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// A name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The genesis breaks a rule.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
}

impl Cast {
    /// The cast of a chain of `count` nodes, those of the electorate's founders producers of weight 1, signed as `signing`
    /// says.
    ///
    /// # Errors
    /// A genesis that breaks a rule.
    pub fn new(count: usize, electorate: &Electorate, signing: Signing) -> Result<Self, CastError> {
        let cast = Self::with_times(count, electorate, signing, Times::SHORT)?;
        Ok(Self { segment_len: SEGMENT_LEN, ..cast })
    }

    /// The same with other times, and with the segments that logs have by default: a seed's hold no more than a batch of
    /// its few slots.
    ///
    /// # Errors
    /// A genesis that breaks a rule.
    pub fn with_times(
        count: usize,
        electorate: &Electorate,
        signing: Signing,
        times: Times,
    ) -> Result<Self, CastError> {
        let signer = |purpose, index| signing.signer(KeyPair::from_seed(seed(purpose, index)));
        let nodes = (0..count)
            .map(|index| {
                let name = AccountName::new(&format!("node-{index}"))?;
                let signers = ["producer", "second producer"].map(|purpose| signer(purpose, index));
                let beacons = ["beacon", "second beacon"].map(|purpose| VrfSecret::from_seed(seed(purpose, index)));
                let identity = KeyPair::from_seed(identity_seed(index)).public();
                Ok(Part { name, signers, beacons, account: signer("account", index), identity })
            })
            .collect::<Result<Vec<_>, NameError>>()?;
        let users = (0..USERS)
            .map(|index| Ok(User { name: AccountName::new(&format!("user-{index}"))?, signer: signer("user", index) }))
            .collect::<Result<Vec<_>, NameError>>()?;
        let account = |name, key, balance| GenesisAccount { name, key, balance, vesting: Vec::new() };
        let mut accounts: Vec<GenesisAccount> = nodes
            .iter()
            .map(|node| account(node.name, node.account.public(), NODE_BALANCE))
            .chain(users.iter().map(|user| account(user.name, user.signer.public(), Amount(1_000_000 * Amount::ONE.0))))
            .collect();
        accounts.sort_by_key(|account| account.name);
        let genesis = Genesis {
            version: Genesis::VERSION,
            label: "simulation".to_owned(),
            time_ms: WALL_AT_ZERO.0 + GENESIS_AT.as_millis(),
            slot_ms: times.slot.as_millis() as u32,
            slice_ms: times.slice.as_millis() as u32,
            delta_ms: times.delta.as_millis() as u32,
            epoch_slots: times.epoch_slots,
            fees: Fees { per_byte: Amount(10), ..Fees::NONE },
            deposit_per_byte: Amount::ZERO,
            engine: EngineChoice::Dpos(DposParameters {
                producers_max: electorate.seats as u32,
                release_slots: release_slots(times.epoch_slots),
                reward_pool: Amount(1_000_000 * Amount::ONE.0),
                ..DposParameters::preset()
            }),
            producers: nodes[..electorate.founders]
                .iter()
                .map(|node| GenesisProducer {
                    name: node.name,
                    key: node.signers[0].public(),
                    beacon: node.beacons[0].public(),
                    bond: BOND,
                })
                .collect(),
            accounts,
        };
        genesis.validate()?;
        Ok(Self { signing, genesis, times, segment_len: LOG_SEGMENT_LEN, nodes, users })
    }
}

/// When `slot` of the short times begins on the true clock.
pub fn slot_start(slot: u64) -> Instant {
    Times::SHORT.slot_start(slot)
}

/// What the identity of a node follows from.
pub fn identity_seed(index: usize) -> [u8; 32] {
    seed("identity", index)
}

fn seed(purpose: &str, index: usize) -> [u8; 32] {
    Hash::of_parts("simulation", &[purpose.as_bytes(), &(index as u64).to_le_bytes()]).0
}
