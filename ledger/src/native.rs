//! The built-in contracts as an engine: `system`, `token` and `dpos`. They stand behind the same traits as every other
//! VM, own the tables that [`crate::key`] gives them, and keep nothing between calls.

use hpb_types::{AccountName, RejectReason, Slot};
use hpb_vm::meter::CALL_UNITS;
use hpb_vm::{Call, End, Engine, Halt, Host};

use crate::apply::Rules;
use crate::dpos;
use crate::key::{DPOS, SYSTEM, TOKEN};
use crate::{system, token};

/// The engine of the built-in contracts, in one slot of one chain.
#[derive(Clone, Copy, Debug)]
pub struct Native<'r> {
    rules: &'r Rules,
    slot: Slot,
}

/// Why a built-in contract stops before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// It refuses.
    Refused(RejectReason),
    /// The host stops it.
    Halted(Halt),
    /// A record of its own tables does not read back.
    Damaged,
}

impl From<RejectReason> for Stop {
    fn from(reason: RejectReason) -> Self {
        Self::Refused(reason)
    }
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

impl<'r> Native<'r> {
    /// The engine of the chain of these rules, in `slot`.
    pub fn new(rules: &'r Rules, slot: Slot) -> Self {
        Self { rules, slot }
    }

    /// Whether the account is a built-in contract's.
    pub fn has(contract: AccountName) -> bool {
        contract == SYSTEM || contract == TOKEN || contract == DPOS
    }

    fn dispatch(&self, host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
        host.charge(CALL_UNITS)?;
        if call.contract == TOKEN {
            token::dispatch(host, call)
        } else if call.contract == SYSTEM {
            system::dispatch(host, self.rules.chain, call)
        } else if call.contract == DPOS
            && let Some(parameters) = &self.rules.dpos
        {
            dpos::dispatch(host, self.rules, parameters, self.slot, call)
        } else {
            Err(RejectReason::NoSuchAction.into())
        }
    }
}

impl Engine for Native<'_> {
    fn run(&self, host: &mut dyn Host, call: &Call<'_>) -> End {
        match self.dispatch(host, call) {
            Ok(()) => End::Returned(Vec::new()),
            Err(Stop::Refused(reason)) => End::Refused(reason),
            Err(Stop::Halted(halt)) => End::Halted(halt),
            // What no transaction can bring about is this node's failure, as an unreadable store is.
            Err(Stop::Damaged) => End::Halted(Halt::Unavailable),
        }
    }
}
