//! Who takes part in a simulated chain, and its short times: all of it follows from the number of nodes.

use std::sync::Arc;

use hpb_base::{Duration, Instant, UnixMillis};
use hpb_types::{
    AccountName, Amount, DposParameters, EngineChoice, Genesis, GenesisAccount, GenesisError, GenesisProducer, Hash,
    KeyPair, NameError, PublicKey, Signer, VrfSecret,
};

use crate::electorate::{Electorate, RELEASE_SLOTS};
use crate::signing::Signing;

/// Slot 0 begins here on the true clock.
pub const GENESIS_AT: Instant = Instant::from_millis(1_000);
/// The wall clock at true time zero.
pub const WALL_AT_ZERO: UnixMillis = UnixMillis(1_800_000_000_000);
/// A slot's length.
pub const SLOT: Duration = Duration::from_millis(600);
/// The time between slices.
pub const SLICE: Duration = Duration::from_millis(50);
/// The bound on the delay between nodes in good times.
pub const DELTA: Duration = Duration::from_millis(100);
/// Slots of an epoch.
pub const EPOCH_SLOTS: u64 = 8;
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
        let account = |name, key, balance| GenesisAccount { name, key, balance };
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
            slot_ms: SLOT.as_millis() as u32,
            slice_ms: SLICE.as_millis() as u32,
            delta_ms: DELTA.as_millis() as u32,
            epoch_slots: EPOCH_SLOTS,
            fee_per_byte: Amount(10),
            engine: EngineChoice::Dpos(DposParameters {
                producers_max: electorate.seats as u32,
                release_slots: RELEASE_SLOTS,
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
        Ok(Self { signing, genesis, nodes, users })
    }
}

/// When `slot` begins on the true clock.
pub fn slot_start(slot: u64) -> Instant {
    GENESIS_AT + SLOT.saturating_mul(slot)
}

/// What the identity of a node follows from.
pub fn identity_seed(index: usize) -> [u8; 32] {
    seed("identity", index)
}

fn seed(purpose: &str, index: usize) -> [u8; 32] {
    Hash::of_parts("simulation", &[purpose.as_bytes(), &(index as u64).to_le_bytes()]).0
}
