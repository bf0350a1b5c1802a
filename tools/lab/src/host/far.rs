//! The far side: it takes what comes, and answers where the scenario asks for answers.

use hpb_base::Instant;

use super::carrier::Carrier;
use super::logs::{Arrival, list};
use super::window::{CpuMeter, Shared, Window, now};
use crate::scenario::{Pattern, Scenario};
use crate::target::TargetError;

/// The far side of one repeat.
pub(crate) struct Far<'run, C> {
    pub(crate) carrier: C,
    scenario: &'run Scenario,
    shared: &'run Shared,
    answer: Vec<u8>,
    window: Option<Window>,
    arrivals: Vec<Arrival>,
    cpu: CpuMeter,
    retransmitted_before: u64,
}

/// What the far side leaves.
pub(crate) struct FarDone<C> {
    /// Its carrier.
    pub(crate) carrier: C,
    /// What came, where nothing is answered.
    pub(crate) arrivals: Vec<Arrival>,
    /// Processor time of its thread while it measured, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Segments sent again.
    pub(crate) retransmitted: u64,
}

impl<'run, C: Carrier> Far<'run, C> {
    pub(crate) fn new(carrier: C, scenario: &'run Scenario, shared: &'run Shared) -> Self {
        let is_answered = scenario.load.pattern == Pattern::RequestReply;
        let filler = Arrival { number: 0, session: 0, at: Instant::ZERO };
        Self {
            carrier,
            scenario,
            shared,
            answer: vec![0; if is_answered { scenario.load.reply_len as usize } else { 0 }],
            window: None,
            arrivals: if is_answered { Vec::new() } else { list(scenario, filler) },
            cpu: CpuMeter::default(),
            retransmitted_before: 0,
        }
    }

    /// One turn; whether the repeat goes on.
    ///
    /// # Errors
    /// As the carrier fails.
    pub(crate) fn turn(&mut self) -> Result<bool, TargetError> {
        let (arrivals, is_answered) = (&mut self.arrivals, !self.answer.is_empty());
        self.carrier.receive(&mut self.answer, &mut |head| {
            if !is_answered {
                arrivals.push(Arrival { number: head.number, session: head.session, at: head.at });
            }
            is_answered
        })?;
        self.carrier.flush()?;
        if let Some(window) = &self.window {
            self.cpu.look(now(), window);
            self.shared.set_arrived(self.arrivals.len() as u64);
        } else {
            self.window = self.shared.far_is_open(self.carrier.is_open(), self.scenario);
            self.retransmitted_before = self.carrier.retransmitted();
        }
        Ok(!self.shared.is_stopped())
    }

    /// What it leaves.
    pub(crate) fn finish(self) -> FarDone<C> {
        FarDone {
            retransmitted: self.carrier.retransmitted().saturating_sub(self.retransmitted_before),
            carrier: self.carrier,
            arrivals: self.arrivals,
            cpu_ns: self.cpu.used_ns(),
        }
    }
}
