//! The engine that a chain's genesis asks for, behind one set of calls: the core and the verifier know the seam
//! ([`LinkEngine`](hpb_consensus::LinkEngine)) and no engine by name.

use std::collections::BTreeSet;
use std::sync::Arc;

use hpb_base::{Instant, Machine, UnixMillis};
use hpb_consensus::{
    Anchor, AnchorError, Authority, Config, Dpos, Engine, Light, LightError, LinkInput, LinkOutput, Memory, Office,
    Schedules, SlotClock, Verifier, authority, dpos, light,
};
use hpb_types::{AccountName, EngineChoice, Fault, Genesis, Hash, Schedule, Slice, SliceRef};

/// The engine of one chain. Engines are added here, and nowhere else in the node.
pub enum ChainEngine {
    /// Elected producers.
    Dpos(Box<Dpos>),
    /// Fixed authorities.
    Authority(Box<Authority>),
}

/// The final end of one chain, for its engine.
pub enum ChainAnchor {
    /// Elected producers.
    Dpos(dpos::Anchor),
    /// Fixed authorities.
    Authority(authority::Anchor),
}

/// A light terminal's view of one chain, by its engine's rules.
pub enum ChainLight {
    /// Elected producers.
    Dpos(Box<Light<Dpos>>),
    /// Fixed authorities.
    Authority(Box<Light<Authority>>),
}

/// The schedules that the chain of `genesis` starts with.
pub fn first_schedules(genesis: &Genesis) -> Schedules {
    Schedules::new(genesis.schedule(), genesis.epoch_slots)
}

/// A verifier for the chain of `genesis`.
pub fn verifier(genesis: &Genesis) -> Verifier {
    let (chain, slice, schedules) = (genesis.chain_id(), genesis.genesis_slice(), first_schedules(genesis));
    match genesis.engine {
        EngineChoice::Dpos(_) => Dpos::verifier(chain, slice, schedules),
        EngineChoice::Authority => Authority::verifier(chain, slice, schedules),
    }
}

macro_rules! each {
    ($engine:expr, $inner:ident => $call:expr) => {
        match $engine {
            Self::Dpos($inner) => $call,
            Self::Authority($inner) => $call,
        }
    };
}

impl ChainAnchor {
    /// The start of the chain of `genesis`.
    pub fn genesis(genesis: &Genesis) -> Self {
        let (slice, schedules) = (genesis.genesis_slice(), first_schedules(genesis));
        match genesis.engine {
            EngineChoice::Dpos(_) => Self::Dpos(Anchor::genesis(slice, schedules)),
            EngineChoice::Authority => Self::Authority(Anchor::genesis(slice, schedules)),
        }
    }

    /// [`Anchor::extend`].
    ///
    /// # Errors
    /// As there.
    pub fn extend(&mut self, slice: &Slice) -> Result<Office, AnchorError> {
        each!(self, anchor => anchor.extend(slice))
    }

    /// [`Anchor::certify`].
    pub fn certify(&mut self, certificate: hpb_types::Certificate) {
        each!(self, anchor => anchor.certify(certificate));
    }

    /// [`Anchor::tip`].
    pub fn tip(&self) -> SliceRef {
        each!(self, anchor => anchor.tip())
    }
}

impl ChainLight {
    /// Follows the chain of `genesis` from its beginning, for whoever judges what was: no slot is too early.
    pub fn genesis(genesis: &Genesis) -> Self {
        let config = Config::new(genesis, None, UnixMillis(u64::MAX));
        let verifier = verifier(genesis);
        match ChainAnchor::genesis(genesis) {
            ChainAnchor::Dpos(anchor) => Self::Dpos(Box::new(Light::start(config, anchor, verifier, Instant::ZERO))),
            ChainAnchor::Authority(anchor) => {
                Self::Authority(Box::new(Light::start(config, anchor, verifier, Instant::ZERO)))
            }
        }
    }

    /// Takes the next header, and says what is wrong with it.
    ///
    /// # Errors
    /// [`LightError`].
    pub fn follow(&mut self, header: Slice) -> Result<(), LightError> {
        each!(self, light => {
            light.handle(Instant::ZERO, vec![header]);
            let mut refused = Ok(());
            while let Some(output) = light.poll(Instant::ZERO) {
                if let light::Output::Refused(error) = output {
                    refused = Err(error);
                }
            }
            refused
        })
    }

    /// [`Light::last_final`]: how far the certificates that the headers carry prove the chain final.
    pub fn last_final(&self) -> SliceRef {
        each!(self, light => light.last_final())
    }
}

impl ChainEngine {
    /// [`Engine::start`] of the anchor's engine.
    pub fn start(config: Config, anchor: ChainAnchor, memory: Memory, now: Instant) -> Self {
        match anchor {
            ChainAnchor::Dpos(anchor) => Self::Dpos(Box::new(Engine::start(config, anchor, memory, now))),
            ChainAnchor::Authority(anchor) => Self::Authority(Box::new(Engine::start(config, anchor, memory, now))),
        }
    }

    /// The engine's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dpos(_) => Dpos::NAME,
            Self::Authority(_) => Authority::NAME,
        }
    }

    /// [`Engine::head`].
    pub fn head(&self) -> SliceRef {
        each!(self, engine => engine.head())
    }

    /// [`Engine::justified`].
    pub fn justified(&self) -> SliceRef {
        each!(self, engine => engine.justified())
    }

    /// [`Engine::last_final`].
    pub fn last_final(&self) -> SliceRef {
        each!(self, engine => engine.last_final())
    }

    /// [`Engine::holds`].
    pub fn holds(&self, id: &Hash) -> bool {
        each!(self, engine => engine.holds(id))
    }

    /// [`Engine::accused`].
    pub fn accused(&self) -> &BTreeSet<(AccountName, Fault)> {
        each!(self, engine => engine.accused())
    }

    /// [`Engine::unfinal_count`].
    pub fn unfinal_count(&self) -> usize {
        each!(self, engine => engine.unfinal_count())
    }

    /// [`Engine::schedules`].
    pub fn schedules(&self) -> &Schedules {
        each!(self, engine => engine.schedules())
    }

    /// [`Engine::in_force`].
    pub fn in_force(&self) -> &Arc<Schedule> {
        each!(self, engine => engine.in_force())
    }

    /// [`Engine::clock`].
    pub fn clock(&self) -> &SlotClock {
        each!(self, engine => engine.clock())
    }

    /// [`Engine::counters`].
    pub fn counters(&self) -> &hpb_consensus::engine::Counters {
        each!(self, engine => engine.counters())
    }
}

impl Machine for ChainEngine {
    type Input = LinkInput;
    type Output = LinkOutput;

    fn handle(&mut self, now: Instant, input: LinkInput) {
        each!(self, engine => engine.handle(now, input));
    }

    fn poll(&mut self, now: Instant) -> Option<LinkOutput> {
        each!(self, engine => engine.poll(now))
    }

    fn wake_at(&self) -> Option<Instant> {
        each!(self, engine => engine.wake_at())
    }
}
