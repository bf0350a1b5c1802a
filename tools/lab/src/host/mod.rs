//! Targets on this machine's clock and network: the kernel's TCP and the card on ports, over virtual cables between hosts
//! of the run's own, and other builds of this program.
//!
//! Two sides carry a scenario: the near one has the schedule and sends, the far one receives and may answer. Both are the
//! same loop over a carrier, whoever carries, so that what differs between targets is the carrier alone. A
//! side never sleeps while it measures, unless the machine has one core for both.

pub(crate) mod carrier;
pub(crate) mod far;
pub(crate) mod logs;
pub(crate) mod near;
pub(crate) mod passages;
pub(crate) mod sockets;
pub(crate) mod stage;
pub(crate) mod window;

use hpb_net::wire::LinkConfig;
use hpb_sandbox::SandboxError;

use crate::card_port::CardPort;
use crate::kernel::Kernel;
use crate::program::Program;
use crate::scenario::{ClockKind, Fault, Scenario, TargetKind, TargetSpec};
use crate::target::{Target, TargetError};

/// Opens a target of this machine for a scenario whose file says `text`; `None` for a kind that is none of its: those
/// that run in this process.
///
/// # Errors
/// [`TargetError::Unavailable`] where the scenario asks what it cannot do: virtual time, links that do something, faults,
/// patterns that it does not know.
pub fn open(spec: &TargetSpec, scenario: &Scenario, text: &str) -> Result<Option<Box<dyn Target>>, TargetError> {
    if spec.program.is_some() {
        return Ok(Some(Box::new(Program::new(spec, text)?)));
    }
    let target: Box<dyn Target> = match &spec.kind {
        TargetKind::Kernel(way) => Box::new(Kernel::new(spec, *way, scenario)?),
        TargetKind::CardPort(port) => Box::new(CardPort::new(spec, port, scenario)?),
        TargetKind::CardWire | TargetKind::Validators { .. } => return Ok(None),
    };
    Ok(Some(target))
}

/// Whether a scenario has a target that runs in hosts of the run's own.
pub fn needs_hosts(scenario: &Scenario) -> bool {
    let is_in_hosts = |spec: &TargetSpec| matches!(spec.kind, TargetKind::Kernel(_) | TargetKind::CardPort(_));
    scenario.targets.iter().any(is_in_hosts)
}

/// Refuses what no cable of the kernel's does.
pub(crate) fn check(scenario: &Scenario) -> Result<(), TargetError> {
    let refuse = |reason: &str| Err(TargetError::Unavailable(reason.to_owned()));
    if scenario.clock == ClockKind::Virtual {
        return refuse("a cable of the kernel's knows no virtual time: set the scenario's clock to `real`");
    }
    let models = [scenario.there, scenario.back];
    if !scenario.changes.is_empty() || models != [LinkConfig::default(); 2] {
        return refuse("a cable of the kernel's does nothing to frames: links are modelled on the wire (`card-wire`)");
    }
    match scenario.faults.first() {
        None => Ok(()),
        Some(Fault::Stall { .. } | Fault::SlowReaders { .. } | Fault::Churn { .. }) => {
            refuse("faults are made on the wire (`card-wire`), not on a cable of the kernel's")
        }
    }
}

/// A host that cannot be made is this machine's lack; what else `ip` refuses is a failure.
pub(crate) fn lacking(error: &SandboxError) -> TargetError {
    match error {
        SandboxError::Namespace(..) | SandboxError::Tool(..) => TargetError::Unavailable(error.to_string()),
        SandboxError::Refused { .. } => TargetError::Failed(error.to_string()),
    }
}

/// A system call that failed while `what` was done.
pub(crate) fn failed(what: &str) -> impl Fn(std::io::Error) -> TargetError {
    move |error| TargetError::Failed(format!("{what}: {error}"))
}
