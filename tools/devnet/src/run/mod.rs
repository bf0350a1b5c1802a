//! The main job: plan, run, report.

mod card;
mod folders;
mod host;
mod live;
mod network;
mod offline;
mod reach;
mod summary;

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hpb_ledger::chainlog::LogError;
use hpb_ledger::folder::FolderError;
use hpb_ledger::history::HistoryError;
use hpb_ledger::{ExecuteError, StoreError};
use hpb_net::OpenError;
use hpb_net::wire::WireError;
use hpb_node::core::RecoverError;
use hpb_node::runtime::{LimitError, RunError, StartError};
use hpb_node::topology::{Role, TopologyError};
use hpb_sandbox::SandboxError;
use hpb_types::genesis::SLOT_DELTAS_MIN;
use hpb_types::{PublicKey, SliceRef};

use hpb_base::Duration;
use hpb_base::limits::{PRODUCERS_MAX, SLICES_PER_SLOT_MAX};

use crate::plan::{EngineKind, Plan, PlanError, TERMINALS_PER_CARD_MAX, Times};
use crate::report::ReportError;
use crate::terminals::{Pace, TerminalsError};
use crate::virtual_time::VirtualError;
use crate::workload::{Assignment, FITTED, FITTED_TRANSFERS, Source, Workload, WorkloadError};

pub use folders::socket_of;
pub(crate) use folders::{GENESIS_FILE, Held, hold, os_random, place_of, read_genesis, socket_path};
pub use live::run_live;
pub use network::Network;
pub use offline::run_virtual;
pub use reach::Reach;
pub use summary::Outcome;

/// The fewest slots of an epoch: room to fix a schedule and prove it final.
const EPOCH_SLOTS_MIN: u64 = 4;
/// Transfers that the accounts can pay when the rate is not known beforehand.
const TRANSFERS_UNKNOWN: u64 = 20_000_000;
/// How many runs one data folder's accounts can pay.
const RUNS_ENDOWED: u64 = 64;

/// How far a validator's clock may be put off, in milliseconds: an hour.
const CLOCK_OFFSET_MS_MAX: u64 = 3_600_000;

/// How long terminals submit at most, in seconds.
pub const SECONDS_MAX: u32 = 86_400;

/// What the user asks for.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Validators, 1 to 101.
    pub validators: usize,
    /// How many of them lie by script, those with the highest numbers: fewer than a third.
    pub byzantine: usize,
    /// Terminals, at least 1.
    pub sessions: u32,
    /// Transactions a second.
    pub pace: Pace,
    /// How long they submit.
    pub seconds: u32,
    /// A slot's length in milliseconds.
    pub slot_ms: u32,
    /// The time between slices in milliseconds.
    pub slice_ms: u32,
    /// Slots of an epoch; as many as validators, and at least 8, if none are named.
    pub epoch_slots: Option<u64>,
    /// How long a frame takes between two validators, one way, in milliseconds.
    pub delay_ms: u32,
    /// Which engine the chain runs by.
    pub engine: EngineKind,
    /// A file of transfers.
    pub workload: Option<PathBuf>,
    /// Where the validators keep their data; a folder that goes with the run if none is named.
    pub data: Option<PathBuf>,
    /// Where the report goes.
    pub report: PathBuf,
    /// Where a capture of validator 0's port goes, if one is wanted.
    pub capture: Option<PathBuf>,
    /// The seed of keys, workload and choices.
    pub seed: u64,
    /// What the cards are joined by.
    pub network: Network,
    /// How programs of this host reach the cards, if they are to.
    pub reach: Option<Reach>,
    /// A validator whose clock is off, and by how many milliseconds: what others make of it.
    pub clock_offset: Option<(usize, i64)>,
    /// A slice that every validator's chain must hold; one whose log contradicts it does not start.
    pub checkpoint: Option<SliceRef>,
    /// Identities that may look at the validators' cards from afar, end sessions and ban.
    pub onlookers: Vec<PublicKey>,
    /// Whether the validators keep an index of history beside their states.
    pub keeps_index: bool,
}

/// Why a devnet does not run.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// An argument outside its range.
    #[error("--{option} {value}: {expected}")]
    Argument {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// The workload.
    #[error(transparent)]
    Workload(Box<WorkloadError>),
    /// The plan.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// The terminals.
    #[error(transparent)]
    Terminals(#[from] TerminalsError),
    /// Virtual time.
    #[error(transparent)]
    Virtual(Box<VirtualError>),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A data folder of another devnet, or of none.
    #[error("the data folder {path} does not fit: {reason}")]
    Folder {
        /// The folder.
        path: String,
        /// Why.
        reason: String,
    },
    /// A data folder that can't be used.
    #[error(transparent)]
    Data(#[from] FolderError),
    /// The store.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The log.
    #[error(transparent)]
    Log(Box<LogError>),
    /// The index of history.
    #[error(transparent)]
    History(Box<HistoryError>),
    /// What the disk holds does not fit together.
    #[error(transparent)]
    Recover(Box<RecoverError>),
    /// The ledger's state can't be read.
    #[error(transparent)]
    State(Box<ExecuteError>),
    /// The operating system refused.
    #[error("{action} {path} failed: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// Its words.
        error: io::Error,
    },
    /// Too small a limit.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The wire.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The kernel's network.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A port on it.
    #[error(transparent)]
    Port(#[from] OpenError),
    /// The table of cores and links.
    #[error(transparent)]
    Topology(Box<TopologyError>),
    /// The runtime did not start.
    #[error(transparent)]
    Start(Box<StartError>),
    /// The runtime ended with an error.
    #[error(transparent)]
    Run(Box<RunError>),
}

/// Large causes are boxed: a result that is well is not to carry their size around.
macro_rules! boxed {
    ($($variant:ident($error:ty),)*) => {$(
        impl From<$error> for DevnetError {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        }
    )*};
}

boxed! {
    Workload(WorkloadError),
    History(HistoryError),
    Plan(PlanError),
    Virtual(VirtualError),
    Store(StoreError),
    Log(LogError),
    Recover(RecoverError),
    State(ExecuteError),
    Start(StartError),
    Run(RunError),
    Topology(TopologyError),
}

impl DevnetError {
    /// Whether it went wrong on the way; otherwise what was asked can't be done here: a wrong argument, a disk that is
    /// full or fails (the workers of log and store end a run for nothing else).
    pub fn is_of_the_run(&self) -> bool {
        match self {
            Self::Run(error) => match &**error {
                RunError::Failed { worker, .. } => {
                    let role = worker.rsplit('.').next().unwrap_or_default();
                    role != Role::Log.to_string() && role != Role::Store.to_string()
                }
                RunError::Panicked { .. } => true,
            },
            error => matches!(error, Self::Virtual(_)),
        }
    }

    fn runtime(error: io::Error) -> Self {
        Self::Io { action: "starting", path: "the runtime".to_owned(), error }
    }
}

/// What every kind of run starts from.
pub(crate) struct Prepared {
    pub(crate) workload: Arc<Workload>,
    pub(crate) source: Source,
    pub(crate) assignment: Arc<Assignment>,
}

impl Arguments {
    /// Refuses what no run can do.
    ///
    /// # Errors
    /// The first argument that is out of its range.
    pub fn check(&self) -> Result<(), DevnetError> {
        let refuse = |option, value: &dyn std::fmt::Display, expected: String| {
            Err(DevnetError::Argument { option, value: value.to_string(), expected })
        };
        let cards = self.sessions.div_ceil(TERMINALS_PER_CARD_MAX) as usize;
        if !(1..=PRODUCERS_MAX).contains(&self.validators) {
            return refuse("validators", &self.validators, format!("1 to {PRODUCERS_MAX}"));
        }
        if self.byzantine >= self.validators.div_ceil(3) {
            let most = (self.validators - 1) / 3;
            let expected = format!("0 to {most} of {} validators: fewer than a third", self.validators);
            return refuse("byzantine", &self.byzantine, expected);
        }
        let ports_max = self.network.ports_max();
        if self.sessions == 0 || cards + self.validators > ports_max {
            let most = (ports_max - self.validators) as u32 * TERMINALS_PER_CARD_MAX;
            return refuse("sessions", &self.sessions, format!("1 to {most} beside {} validators", self.validators));
        }
        if self.seconds == 0 || self.seconds > SECONDS_MAX {
            return refuse("seconds", &self.seconds, format!("1 to {SECONDS_MAX}"));
        }
        if !(100..=60_000).contains(&self.slot_ms) {
            return refuse("slot-ms", &self.slot_ms, "100 to 60000 milliseconds".to_owned());
        }
        if let Some(slots) = self.epoch_slots.filter(|slots| *slots < EPOCH_SLOTS_MIN) {
            return refuse("epoch-slots", &slots, format!("at least {EPOCH_SLOTS_MIN}"));
        }
        let delay_max = self.slot_ms.div_ceil(SLOT_DELTAS_MIN) - 1;
        if self.delay_ms > delay_max {
            let expected = format!("0 to {delay_max} milliseconds (below a sixth of the slot)");
            return refuse("delay-ms", &self.delay_ms, expected);
        }
        if self.delay_ms > 0 && self.network != Network::Wire {
            return refuse("delay-ms", &self.delay_ms, "0 beside --port: only the wire can delay".to_owned());
        }
        if let Some(reach) = self.reach.filter(|_| self.network == Network::Wire) {
            return refuse(
                "reach",
                &reach,
                "beside --port packet: or tap: alone: the wire is in the process".to_owned(),
            );
        }
        if let Some((number, offset_ms)) = self.clock_offset {
            let given = format!("{offset_ms}@{number}");
            if number >= self.validators {
                return refuse("clock-offset-ms", &given, format!("a validator of 0 to {}", self.validators - 1));
            }
            if offset_ms.unsigned_abs() > CLOCK_OFFSET_MS_MAX {
                return refuse("clock-offset-ms", &given, format!("at most {CLOCK_OFFSET_MS_MAX} milliseconds"));
            }
        }
        let slice_min = self.slot_ms.div_ceil(SLICES_PER_SLOT_MAX).max(5);
        if !(slice_min..=self.slot_ms / 2).contains(&self.slice_ms) {
            let most = self.slot_ms / 2;
            return refuse("slice-ms", &self.slice_ms, format!("{slice_min} to {most} (half the slot) milliseconds"));
        }
        Ok(())
    }

    fn transfers(&self) -> u64 {
        match self.pace {
            Pace::Fixed(rate) => rate.get().saturating_mul(self.seconds.into()),
            Pace::Max => TRANSFERS_UNKNOWN,
        }
    }

    pub(crate) fn prepare(&self) -> Result<Prepared, DevnetError> {
        let workload = if let Some(path) = &self.workload {
            Workload::from_file(path)?
        } else {
            let transfers = self.transfers().min(FITTED_TRANSFERS as u64) as usize;
            Workload::drawn(&FITTED, self.seed, transfers.max(1))?
        };
        let workload = Arc::new(workload);
        let terminals = NonZeroU32::new(self.sessions).unwrap_or(NonZeroU32::MIN);
        let assignment = Arc::new(Assignment::new(&workload, terminals));
        let source = Source::new(Arc::clone(&workload), self.seed);
        Ok(Prepared { workload, source, assignment })
    }

    pub(crate) fn plan(&self, prepared: &Prepared, genesis_ms: u64) -> Result<Plan, DevnetError> {
        let times = Times {
            genesis_ms,
            slot_ms: self.slot_ms,
            slice_ms: self.slice_ms,
            epoch_slots: self.epoch_slots,
            delay_ms: self.delay_ms,
        };
        let transfers_max = self.transfers().saturating_mul(RUNS_ENDOWED);
        let workload = &prepared.workload;
        let (validators, sessions) = (self.validators, self.sessions);
        let plan = Plan::new(self.seed, validators, sessions, times, self.engine, workload, transfers_max)?;
        Ok(self.play(plan))
    }

    /// The plan with what is this run's alone.
    pub(crate) fn play(&self, plan: Plan) -> Plan {
        Plan { liars: self.byzantine, delay: Duration::from_millis(self.delay_ms.into()), ..plan }
    }

    /// The arguments by name, for the report.
    pub(crate) fn named(&self) -> std::collections::BTreeMap<String, String> {
        let path = |path: &Path| path.display().to_string();
        let rate = match self.pace {
            Pace::Fixed(rate) => rate.to_string(),
            Pace::Max => "max".to_owned(),
        };
        let named = [
            ("validators", self.validators.to_string()),
            ("sessions", self.sessions.to_string()),
            ("rate", rate),
            ("seconds", self.seconds.to_string()),
            ("slot-ms", self.slot_ms.to_string()),
            ("slice-ms", self.slice_ms.to_string()),
            ("seed", self.seed.to_string()),
            ("engine", self.engine.name().to_owned()),
        ];
        let mut named: std::collections::BTreeMap<String, String> =
            named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if self.byzantine > 0 {
            named.insert("byzantine".to_owned(), self.byzantine.to_string());
        }
        if self.delay_ms > 0 {
            named.insert("delay-ms".to_owned(), self.delay_ms.to_string());
        }
        if let Some(slots) = self.epoch_slots {
            named.insert("epoch-slots".to_owned(), slots.to_string());
        }
        if let Some(workload) = &self.workload {
            named.insert("workload".to_owned(), path(workload));
        }
        if let Some(data) = &self.data {
            named.insert("data".to_owned(), path(data));
        }
        named
    }
}
