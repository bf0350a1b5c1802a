//! The engine that a chain's genesis asks for, behind one set of calls: the core and the verifier know the seam
//! ([`LinkEngine`](hpb_consensus::LinkEngine)) and no engine by name.

use std::collections::BTreeSet;
use std::sync::Arc;

use hpb_base::{Instant, Machine, UnixMillis};
use hpb_consensus::{
    Anchor, AnchorError, Authority, Config, Dpos, Engine, Finality, Light, LightError, LinkInput, LinkOutput, Memory,
    Office, Schedules, SlotClock, Verifier, VerifyError, authority, dpos, light,
};
use hpb_types::{AccountName, Certificate, EngineChoice, Fault, Genesis, Hash, Height, Schedule, Slice, SliceRef};

/// The engine of one chain. Engines are added here, and nowhere else in the node.
pub enum ChainEngine {
    /// Elected producers.
    Dpos(Box<Dpos>),
    /// Fixed authorities.
    Authority(Box<Authority>),
}

/// The final end of one chain, for its engine.
#[derive(Clone)]
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

    /// The end of the chain of `genesis` at the last of these headers, which begin with the source that it carries; the
    /// schedule in force there is `schedule`. `None` where that does not say all ([`dpos::Anchor::trusted`]).
    pub fn trusted(genesis: &Genesis, headers: &[Slice], schedule: &Schedule) -> Option<Self> {
        let last = headers.last()?.reference();
        match genesis.engine {
            EngineChoice::Dpos(_) => {
                let anchor = dpos::Anchor::trusted(last, headers, schedule.clone(), genesis.epoch_slots);
                anchor.ok().map(Self::Dpos)
            }
            EngineChoice::Authority => {
                authority::Anchor::trusted(headers, first_schedules(genesis)).map(Self::Authority)
            }
        }
    }

    /// The source that the tip carries and the number of headers from there to the tip, if [`trusted`](Self::trusted)
    /// makes this very anchor of them.
    pub fn base(&self) -> Option<(SliceRef, usize)> {
        each!(self, anchor => anchor.base())
    }

    /// The highest slice that the chain's own certificates prove final; genesis where no schedule ever depends on it.
    pub fn proven(&self) -> Height {
        match self {
            Self::Dpos(anchor) => anchor.proven(),
            Self::Authority(_) => Height::default(),
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
    pub fn certify(&mut self, certificate: Certificate) {
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
        Self::start(genesis, ChainAnchor::genesis(genesis))
    }

    /// The same from `anchor` on.
    pub fn start(genesis: &Genesis, anchor: ChainAnchor) -> Self {
        let config = Config::new(genesis, None, UnixMillis(u64::MAX));
        let verifier = verifier(genesis);
        match anchor {
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

    /// [`Light::certify`].
    ///
    /// # Errors
    /// As there.
    pub fn certify(&mut self, certificate: Certificate) -> Result<(), VerifyError> {
        each!(self, light => {
            let certified = light.certify(Instant::ZERO, certificate);
            while light.poll(Instant::ZERO).is_some() {}
            certified
        })
    }

    /// Whether `slice` is proven final: asked before the chain goes on by thousands.
    pub fn is_final(&self, slice: &SliceRef) -> bool {
        each!(self, light => light.finality(slice) == Finality::Final)
    }

    /// [`Light::schedules`].
    pub fn schedules(&self) -> &Schedules {
        each!(self, light => light.schedules())
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
