//! The card on the wire in this process: lanes at both ends, driven by hand, on virtual time or on this machine's clock.
//!
//! On virtual time nothing takes time but the wire, and the same seed gives the same figures on every machine. On this
//! machine's clock one thread spins, held on one core, and never sleeps while it measures; what the wire applied to a
//! message is known of the very frame that completed it, so that what was measured beyond it is known message by message.

mod clock;
mod drive;
mod end;
mod messages;
#[cfg(test)]
mod tests;
mod traffic;
mod world;

use hpb_base::Instant;
use hpb_host::sys::cores;

use crate::record::Repeat;
use crate::scenario::{ClockKind, Scenario, TargetSpec};
use crate::target::{Stop, Target, TargetError};
use clock::Clock;

/// See the module.
pub struct CardWire {
    name: String,
    encrypted: bool,
    /// When the first repeat began, on this machine's clock.
    began: Option<Instant>,
}

impl CardWire {
    /// The card on the wire as the scenario's target says.
    pub fn new(spec: &TargetSpec) -> Self {
        Self { name: spec.name.clone(), encrypted: spec.encrypted, began: None }
    }
}

impl Target for CardWire {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> String {
        let records = if self.encrypted { "encrypted" } else { "plain" };
        format!("the card on the wire in this process, {records}")
    }

    fn repeat(&mut self, scenario: &Scenario, number: u32, stop: Stop<'_>) -> Result<Repeat, TargetError> {
        let encrypted = self.encrypted;
        if scenario.clock == ClockKind::Virtual {
            return drive::run(scenario, encrypted, number, (Clock::start_virtual(), None), stop);
        }
        let clock = Clock::Real;
        let began = *self.began.get_or_insert_with(|| clock.now());
        let unavailable = |error: std::io::Error| TargetError::Unavailable(format!("no core to run on: {error}"));
        // The last core: others' interrupts and programs rather come to the first.
        let core = cores::allowed().map_err(unavailable)?.into_iter().next_back().unwrap_or_default();
        cores::run_on(core, || drive::run(scenario, encrypted, number, (clock, Some(began)), stop))
            .map_err(unavailable)?
    }
}
