//! What the validator will use: interfaces, cores, hugepages. It refuses what this host does not have.

use crate::cores::{Cores, CoresError};
use crate::host::Host;

/// Hugepages unless the user says otherwise, in MiB: DPDK's usual packet memory.
pub const HUGEPAGES_MIB: u32 = 512;
/// The most hugepages that can be asked for, in MiB.
pub const HUGEPAGES_MIB_MAX: u32 = 1 << 20;
/// The most queues that can be asked for of one interface.
pub const QUEUES_MAX: u32 = 4_096;
/// An interface name's largest length in bytes (`IFNAMSIZ` less its zero).
const INTERFACE_NAME_LEN_MAX: usize = 15;

/// What the user asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wishes {
    /// The interfaces that the card's ports use.
    pub interfaces: Vec<String>,
    /// The hot cores; `None`: the isolated ones, or all but the first.
    pub cores: Option<Cores>,
    /// Hugepages in MiB; 0 for none.
    pub hugepages_mib: u32,
    /// Queues of each interface; `None` leaves them as they are.
    pub queues: Option<u32>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { interfaces: Vec::new(), cores: None, hugepages_mib: HUGEPAGES_MIB, queues: None }
    }
}

/// The wishes against what the host has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The interfaces, each once.
    pub interfaces: Vec<String>,
    /// Cores that run lanes and their like.
    pub hot: Cores,
    /// All other cores that are online.
    pub quiet: Cores,
    /// Pages of 2 MiB.
    pub hugepages: u64,
    /// Queues of each interface.
    pub queues: Option<u32>,
}

/// Why wishes cannot be met here.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no such interface.
    #[error("there is no network interface `{0}`: `ip link` lists them")]
    Interface(String),
    /// There is no such core.
    #[error("core {core} is not online here: cores {online} are")]
    Core {
        /// The core.
        core: usize,
        /// Those there are.
        online: Cores,
    },
    /// The kernel lists no cores.
    #[error("/sys/devices/system/cpu/online cannot be read as a list of cores: is /sys mounted?")]
    NoCores(#[from] CoresError),
}

impl Plan {
    /// Looks up what is wished for.
    ///
    /// # Errors
    /// [`PlanError`]: the first wish that this host cannot meet.
    pub fn make(host: &dyn Host, wishes: &Wishes) -> Result<Self, PlanError> {
        let online: Cores = host.word("/sys/devices/system/cpu/online").unwrap_or_default().parse()?;
        let mut interfaces: Vec<String> = Vec::new();
        for name in &wishes.interfaces {
            if !is_interface(host, name) {
                return Err(PlanError::Interface(name.clone()));
            }
            if !interfaces.contains(name) {
                interfaces.push(name.clone());
            }
        }
        let hot = match &wishes.cores {
            Some(cores) => match cores.iter().find(|core| !online.contains(*core)) {
                Some(core) => return Err(PlanError::Core { core, online }),
                None => cores.clone(),
            },
            None => usual(host, &online),
        };
        let quiet = online.without(&hot);
        let hugepages = u64::from(wishes.hugepages_mib).div_ceil(2);
        Ok(Self { interfaces, hot, quiet, hugepages, queues: wishes.queues })
    }
}

/// The hot cores if nobody names them: those that were isolated for it, or all but the first. A host's only core is
/// kept for everything else.
fn usual(host: &dyn Host, online: &Cores) -> Cores {
    let isolated: Option<Cores> = host.value("/sys/devices/system/cpu/isolated");
    let isolated = isolated.map(|cores| cores.within(online)).filter(|cores| !cores.is_empty());
    isolated.unwrap_or_else(|| online.iter().skip(1).collect())
}

fn is_interface(host: &dyn Host, name: &str) -> bool {
    let plain =
        !name.is_empty() && name.len() <= INTERFACE_NAME_LEN_MAX && !name.contains('/') && !name.starts_with('.');
    plain && host.read(&format!("/sys/class/net/{name}/ifindex")).is_ok()
}
