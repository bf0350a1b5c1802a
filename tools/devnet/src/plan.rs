//! Who takes part in a devnet and under which keys and addresses: all of it follows from the arguments and the seed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use hpb_base::limits::{TRANSACTION_LEN_MAX, TRANSACTION_UNITS_MAX};
use hpb_base::{Duration, UnixMillis};
use hpb_consensus::{Authority, Dpos, Engine};
use hpb_net::wire::{LinkConfig, WireBuilder};
use hpb_node::core::{Outgoing, Producer, Reporter};
use hpb_toe::{Call, Class, Identity, LaneConfig};
use hpb_types::genesis::{PRODUCERS_MIN, SLOT_DELTAS_MIN};
use hpb_types::{
    AccountName, Amount, ChainId, DposParameters, EngineChoice, Fees, Genesis, GenesisAccount, GenesisError,
    GenesisProducer, Hash, KeyPair, NameError, PublicKey, VrfSecret,
};

use crate::byzantine::Equivocator;
use crate::terminals::{Pace, TerminalsConfig};
use crate::terminals::{party_keys, share, transfer_fee_max};
use crate::workload::{Assignment, Source, Workload, WorkloadError};

/// Where validators listen for each other.
pub const MESH_PORT: u16 = 30_303;
/// Where validators listen for terminals.
pub const TERMINAL_PORT: u16 = 30_304;
/// Terminals of one emulated card: below the 64,512 ports that one address has.
pub const TERMINALS_PER_CARD_MAX: u32 = 50_000;
/// What a transaction costs, in the smallest unit: a transfer about a millionth of a token.
const FEES: Fees = Fees {
    per_byte: Amount(1_000_000_000),
    per_signature: Amount(100_000_000_000),
    per_unit: Amount(100_000_000),
    slot_units: 150_000_000,
};
/// What a byte of an account's record or roles costs for as long as it lies in the state: a hundred times its fee.
const DEPOSIT_PER_BYTE: Amount = Amount(100 * FEES.per_byte.0);
/// The most that a validator pays for the report of a fault: that of the longest transaction.
const REPORT_FEE_MAX: Amount = Amount(
    FEES.per_byte.0 * TRANSACTION_LEN_MAX as u128
        + FEES.per_signature.0
        + FEES.per_unit.0 * TRANSACTION_UNITS_MAX as u128,
);
/// What a validator's account holds at genesis.
const VALIDATOR_BALANCE: Amount = Amount::ONE;
/// What each validator has bonded at genesis.
const BOND: Amount = Amount(10_000 * Amount::ONE.0);
/// What rewards are paid from.
const REWARD_POOL: Amount = Amount(1_000_000 * Amount::ONE.0);
/// What the scheduler of a host that runs all validators may delay a slice by.
const SCHEDULER_MS: u32 = 50;
/// The fewest slots of an epoch, unless the arguments say otherwise; else every validator has one.
const EPOCH_SLOTS_MIN: u64 = 8;

/// Which engine the chain runs by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EngineKind {
    /// Elected producers.
    #[default]
    Dpos,
    /// Fixed authorities.
    Authority,
}

impl EngineKind {
    /// That of a chain.
    pub fn of(genesis: &Genesis) -> Self {
        match genesis.engine {
            EngineChoice::Dpos(_) => Self::Dpos,
            EngineChoice::Authority => Self::Authority,
        }
    }

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dpos => Dpos::NAME,
            Self::Authority => Authority::NAME,
        }
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = [Self::Dpos, Self::Authority];
        let found = kinds.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("expected {} or {}", Dpos::NAME, Authority::NAME))
    }
}

/// What the chain's times are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// When slot 0 starts, in milliseconds since 1970.
    pub genesis_ms: u64,
    /// A slot's length.
    pub slot_ms: u32,
    /// The time between slices.
    pub slice_ms: u32,
    /// Slots of an epoch; as many as validators, and at least 8, if nobody says.
    pub epoch_slots: Option<u64>,
    /// How long the wire takes between two validators, one way, beside what it always takes.
    pub delay_ms: u32,
}

impl Times {
    /// Slots of an epoch of so many validators.
    pub fn epoch_slots(&self, validators: usize) -> u64 {
        epoch_slots(self.epoch_slots, validators)
    }

    /// The bound on the delay between producers: that of the wire, and what the scheduler of one host adds.
    fn delta_ms(&self) -> u32 {
        (self.delay_ms + SCHEDULER_MS).min(self.slot_ms / SLOT_DELTAS_MIN).max(1)
    }
}

/// Slots of an epoch, if the arguments name none as many as validators.
pub fn epoch_slots(named: Option<u64>, validators: usize) -> u64 {
    named.unwrap_or(EPOCH_SLOTS_MIN.max(validators as u64))
}

/// One validator's own.
#[derive(Clone)]
pub struct ValidatorPlan {
    /// Its producer's name.
    pub name: AccountName,
    /// The key of its slices and confirms.
    pub producer_keys: KeyPair,
    /// The key of its part of the beacon.
    pub beacon: VrfSecret,
    /// The key of its account.
    pub account_keys: KeyPair,
    /// Who its card is.
    pub identity: Arc<Identity>,
    /// Its card's address.
    pub address: IpAddr,
    /// What its card's secrets follow from.
    pub secret: [u8; 32],
}

/// One emulated card and its terminals.
#[derive(Clone)]
pub struct CardPlan {
    /// Its address.
    pub address: IpAddr,
    /// Its terminals, by their numbers in the run.
    pub terminals: Range<u32>,
    /// What its secrets follow from.
    pub secret: [u8; 32],
}

/// A devnet before it runs.
#[derive(Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The chain.
    pub genesis: Genesis,
    /// The validators, by number.
    pub validators: Vec<ValidatorPlan>,
    /// The emulated cards, by number.
    pub cards: Vec<CardPlan>,
    /// How many of the validators, those with the highest numbers, lie by script.
    pub liars: usize,
    /// How much longer the wire takes between two validators, one way.
    pub delay: Duration,
}

/// Why a devnet can't be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The workload's balances, or the fees.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The genesis breaks a rule.
    #[error("these arguments make no valid chain: {0}")]
    Genesis(#[from] GenesisError),
}

impl Plan {
    /// Plans a devnet of `validators` and `terminals`, whose accounts can pay `transfers_max` transfers of `workload`.
    ///
    /// # Errors
    /// Times or a workload that no genesis can state.
    pub fn new(
        seed: u64,
        validators: usize,
        terminals: u32,
        times: Times,
        engine: EngineKind,
        workload: &Workload,
        transfers_max: u64,
    ) -> Result<Self, PlanError> {
        let named = (0..validators)
            .map(|index| {
                let name = AccountName::new(&format!("validator-{index}"))?;
                Ok((name, KeyPair::from_seed(secret(seed, "producer", index))))
            })
            .collect::<Result<Vec<_>, NameError>>()?;
        let mut accounts: Vec<GenesisAccount> = named
            .iter()
            .map(|(name, _)| GenesisAccount {
                name: *name,
                key: party_keys(seed, name).public(),
                balance: VALIDATOR_BALANCE,
                vesting: Vec::new(),
            })
            .collect();
        let fee_each = transfer_fee_max(FEES).unwrap_or(Amount(u128::MAX));
        accounts.extend(workload.endow(transfers_max, fee_each)?.into_iter().map(|endowment| GenesisAccount {
            name: endowment.name,
            key: party_keys(seed, &endowment.name).public(),
            balance: endowment.balance,
            vesting: Vec::new(),
        }));
        accounts.sort_by_key(|account| account.name);
        let genesis = Genesis {
            version: Genesis::VERSION,
            label: format!("devnet {seed}"),
            time_ms: times.genesis_ms,
            slot_ms: times.slot_ms,
            slice_ms: times.slice_ms,
            delta_ms: times.delta_ms(),
            epoch_slots: times.epoch_slots(validators),
            fees: FEES,
            deposit_per_byte: DEPOSIT_PER_BYTE,
            engine: match engine {
                EngineKind::Dpos => EngineChoice::Dpos(DposParameters {
                    producers_max: (validators as u32).max(PRODUCERS_MIN),
                    reward_pool: REWARD_POOL,
                    ..DposParameters::preset()
                }),
                EngineKind::Authority => EngineChoice::Authority,
            },
            producers: named
                .iter()
                .enumerate()
                .map(|(index, (name, keys))| GenesisProducer {
                    name: *name,
                    key: keys.public(),
                    beacon: beacon(seed, index).public(),
                    bond: BOND,
                })
                .collect(),
            accounts,
        };
        genesis.validate()?;
        Ok(Self::of(seed, genesis, terminals))
    }

    /// The devnet of a genesis that an earlier run wrote down.
    pub fn of(seed: u64, genesis: Genesis, terminals: u32) -> Self {
        let chain = genesis.chain_id();
        let validators = genesis.producers.iter().enumerate().map(|(index, producer)| ValidatorPlan {
            name: producer.name,
            producer_keys: KeyPair::from_seed(secret(seed, "producer", index)),
            beacon: beacon(seed, index),
            account_keys: party_keys(seed, &producer.name),
            identity: Arc::new(Identity::new(secret(seed, "node", index), chain)),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, (index / 250) as u8, (index % 250) as u8 + 1)),
            secret: secret(seed, "validator card", index),
        });
        let count = terminals.div_ceil(TERMINALS_PER_CARD_MAX);
        let cards = (0..count).map(|card| CardPlan {
            address: IpAddr::V4(Ipv4Addr::new(10, 1, 0, card as u8 + 1)),
            terminals: share(terminals, count, card),
            secret: secret(seed, "terminal card", card as usize),
        });
        Self {
            seed,
            validators: validators.collect(),
            cards: cards.collect(),
            liars: 0,
            delay: Duration::ZERO,
            genesis,
        }
    }

    /// The wire between all cards, each at its address, on which every frame takes `least`, and longer between validators
    /// if the plan says so: terminals stand beside theirs.
    pub fn wire(&self, least: Duration) -> WireBuilder {
        let mut wire = WireBuilder::new(self.seed).default_link(LinkConfig { delay: least, ..LinkConfig::default() });
        for address in self.addresses() {
            wire.port(&[address]);
        }
        let far = LinkConfig { delay: least + self.delay, ..LinkConfig::default() };
        let count = self.validators.len();
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
            wire.link(from, to, far);
        }
        wire
    }

    /// The chain.
    pub fn chain(&self) -> ChainId {
        self.genesis.chain_id()
    }

    /// The node identities of all validators but `index`.
    pub fn peers_of(&self, index: usize) -> Vec<PublicKey> {
        let others = self.validators.iter().enumerate().filter(|(other, _)| *other != index);
        others.map(|(_, validator)| validator.identity.public()).collect()
    }

    /// Validator `index` as a producer.
    pub fn producer(&self, index: usize) -> Producer {
        let own = &self.validators[index];
        Producer::new(own.name, Arc::new(own.producer_keys.clone()), own.beacon.clone())
    }

    /// The account by which validator `index` reports faults; one that lies reports none.
    pub fn reporter(&self, index: usize) -> Option<Reporter> {
        let own = &self.validators[index];
        let reporter =
            Reporter { name: own.name, signer: Arc::new(own.account_keys.clone()), fee_limit: REPORT_FEE_MAX };
        (!self.lies(index)).then_some(reporter)
    }

    /// Whether validator `index` lies by script.
    pub fn lies(&self, index: usize) -> bool {
        index + self.liars >= self.validators.len()
    }

    /// What the words of validator `index` pass on their way to its card; none for an honest one.
    pub fn outgoing(&self, index: usize) -> Option<Box<dyn Outgoing>> {
        let lies = self.lies(index);
        lies.then(|| {
            let signer = self.validators[index].producer_keys.clone();
            Box::new(Equivocator::new(signer, &self.peers_of(index))) as Box<dyn Outgoing>
        })
    }

    /// How validator `index`'s lane is set up.
    pub fn validator_lane(&self, index: usize) -> LaneConfig {
        let validator = &self.validators[index];
        let identity = Some(Arc::clone(&validator.identity));
        let mut config = LaneConfig::new(vec![(validator.address, 8)], identity, validator.secret);
        let terminals = if index == 0 { self.cards.iter().map(|card| card.terminals.len()).sum() } else { 0 };
        config.sessions_max = terminals + 2 * self.validators.len() + 64;
        config.reconnect_max = Duration::from_secs(2);
        config
    }

    /// How card `index` of terminals is set up.
    pub fn card_lane(&self, index: usize) -> LaneConfig {
        let card = &self.cards[index];
        let mut config = LaneConfig::new(vec![(card.address, 8)], None, card.secret);
        config.sessions_max = card.terminals.len() + 64;
        config
    }

    /// Validator 0's end for terminals.
    pub fn terminals_end(&self) -> SocketAddr {
        SocketAddr::new(self.validators[0].address, TERMINAL_PORT)
    }

    /// How the terminals of card `index` are set up.
    pub fn terminals(
        &self,
        index: usize,
        source: &Source,
        assignment: &Arc<Assignment>,
        pace: Pace,
        wall_at_zero: UnixMillis,
    ) -> TerminalsConfig {
        let card = &self.cards[index];
        TerminalsConfig {
            node: self.terminals_end(),
            node_identity: self.validators[0].identity.public(),
            addresses: vec![card.address],
            terminals: card.terminals.clone(),
            source: source.clone(),
            assignment: Arc::clone(assignment),
            pace,
            seed: self.seed,
            wall_at_zero,
        }
    }

    /// The ports of the wire: the validators', then the cards'.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.validators.iter().map(|validator| validator.address).chain(self.cards.iter().map(|card| card.address))
    }
}

fn beacon(seed: u64, index: usize) -> VrfSecret {
    VrfSecret::from_seed(secret(seed, "beacon", index))
}

/// A secret of the devnet: from its seed alone, so that a restart finds the same keys. Worth nothing outside it.
fn secret(seed: u64, purpose: &str, index: usize) -> [u8; 32] {
    Hash::of_parts(purpose, &[&seed.to_le_bytes(), &(index as u64).to_le_bytes()]).0
}

/// The call that keeps one pair of the mesh together.
pub fn mesh_call(own: IpAddr, other: IpAddr, identity: PublicKey) -> Call {
    Call {
        remote: SocketAddr::new(other, MESH_PORT),
        local: SocketAddr::new(own, 0),
        class: Class::Validator,
        responder: Some(identity),
        identity: None,
        tag: 0,
        keep: true,
    }
}
