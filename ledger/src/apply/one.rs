//! One transaction on a view: whether it may stand in the slice, and what it comes to.

use hpb_base::UnixMillis;
use hpb_base::limits::{EXPIRY_AHEAD_MS_MAX, TRANSACTION_UNITS_MAX};
use hpb_types::{Action, Amount, Authorisation, Event, Outcome, PublicKey, Receipt, RejectReason, Slot};
use hpb_vm::{Call, End, Engine, Halt, Intent, Meter};

use super::Rules;
use crate::account::{ACTIVE, Account};
use crate::authority;
use crate::authority::delegation::Question;
use crate::authority::permit::{NoAnswer, Permit, Used};
use crate::checked::Checked;
use crate::host::{CallHost, Transacting, read_account, read_balance, write_balance};
use crate::key::SYSTEM;
use crate::native::Native;
use crate::records::Tariff;
use crate::system::FEE;
use crate::view::{StateError, View};

/// What the transactions of a slice have in common.
pub(crate) struct Ground<'r> {
    pub(crate) rules: &'r Rules,
    pub(crate) slot: Slot,
    pub(crate) block_time: UnixMillis,
    pub(crate) tariff: Tariff,
}

/// Executes a transaction, or says why it is unfit and leaves everything as it was. `is_seen`: the slice has it already.
pub(crate) fn transact(
    ground: &Ground<'_>,
    view: &mut View<'_>,
    transaction: &Checked,
    is_seen: bool,
) -> Result<Result<Receipt, RejectReason>, StateError> {
    let mut one = One { ground, view, transaction, keys: transaction.keys().copied().collect() };
    let fit = match one.fitness(is_seen)? {
        Ok(fit) => fit,
        Err(reason) => return Ok(Err(reason)),
    };
    write_balance(one.view, transaction.body.payer, fit.balance_after);
    let fee = fit.fee;
    let scope = one.view.open();
    let (outcome, events) = match one.run(fit)? {
        Ok(events) => {
            one.view.keep(scope);
            (Outcome::Applied, events)
        }
        Err(reason) => {
            one.view.undo(scope);
            (Outcome::Failed(reason), Vec::new())
        }
    };
    Ok(Ok(Receipt { transaction: transaction.id(), outcome, fee, events }))
}

/// Whether block time and the expiry let a transaction in.
///
/// # Errors
/// [`RejectReason::Expired`] once block time is past it, [`RejectReason::ExpiryTooFar`] while it is too far ahead.
pub fn judge_expiry(expiry_ms: u64, block_time: UnixMillis) -> Result<(), RejectReason> {
    if block_time.0 > expiry_ms {
        Err(RejectReason::Expired)
    } else if expiry_ms - block_time.0 > EXPIRY_AHEAD_MS_MAX {
        Err(RejectReason::ExpiryTooFar)
    } else {
        Ok(())
    }
}

/// A transaction that may stand in the slice: who pays what, and with which of its authorisations.
struct Fit {
    fee: Amount,
    balance_after: Amount,
    payer_authorisation: usize,
    /// What a policy let out for the fee.
    used: Used,
}

struct One<'o, 's> {
    ground: &'o Ground<'o>,
    view: &'o mut View<'s>,
    transaction: &'o Checked,
    /// Whose signatures it bears.
    keys: Vec<PublicKey>,
}

impl One<'_, '_> {
    fn fitness(&mut self, is_seen: bool) -> Result<Result<Fit, RejectReason>, StateError> {
        let body = &self.transaction.body;
        if body.chain != self.ground.rules.chain {
            return Ok(Err(RejectReason::WrongChain));
        }
        if let Err(reason) = judge_expiry(body.expiry_ms, self.ground.block_time) {
            return Ok(Err(reason));
        }
        if is_seen || self.view.state().includes(&self.transaction.id()) {
            return Ok(Err(RejectReason::Duplicate));
        }
        let Some(payer) = read_account(self.view, body.payer)? else {
            return Ok(Err(RejectReason::NoSuchAccount));
        };
        let payer_authorisation = self.payer_authorisation(&payer)?;
        let fee = self.ground.tariff.fee(self.transaction.bytes_len());
        let Some(fee) = fee.filter(|fee| *fee <= body.fee_limit) else {
            return Ok(Err(RejectReason::FeeLimit));
        };
        let Some(balance_after) = read_balance(self.view, body.payer)?.checked_sub(fee) else {
            return Ok(Err(RejectReason::Overdrawn));
        };
        let mut used = Used::new();
        // Last: a policy that is asked is used.
        let granted = match payer_authorisation {
            Some(index) => Some(index),
            None => self.payer_grant(fee, &mut used)?,
        };
        let Some(payer_authorisation) = granted else {
            return Ok(Err(RejectReason::Unauthorised));
        };
        Ok(Ok(Fit { fee, balance_after, payer_authorisation, used }))
    }

    /// The first of the transaction's authorisations by which the payer stands behind it.
    fn payer_authorisation(&mut self, payer: &Account) -> Result<Option<usize>, StateError> {
        let body = &self.transaction.body;
        for (index, named) in body.authorisations.iter().enumerate() {
            let pays = named.account == body.payer && payer.covers(named.permission, ACTIVE);
            if pays && self.is_satisfied(named)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The first of the transaction's authorisations to which the payer granted that it pays the fee.
    fn payer_grant(&mut self, fee: Amount, used: &mut Used) -> Result<Option<usize>, StateError> {
        let body = &self.transaction.body;
        let intent = Intent { amount: Some(fee), counterparty: None };
        let question = Question { contract: SYSTEM, action: FEE, intent: &intent, at: self.ground.block_time };
        for (index, named) in body.authorisations.iter().enumerate() {
            if !self.is_satisfied(named)? {
                continue;
            }
            let (view, mut meter) = (&mut *self.view, Meter::new(TRANSACTION_UNITS_MAX));
            let mut permit = Permit { view, meter: &mut meter, behind: core::slice::from_ref(named), used };
            match permit.is_granted(body.payer, &question) {
                Ok(true) => return Ok(Some(index)),
                Ok(false) | Err(NoAnswer::Halt(_)) => {}
                Err(NoAnswer::State(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The authority check's one caller.
    fn is_satisfied(&mut self, named: &Authorisation) -> Result<bool, StateError> {
        let view = &mut *self.view;
        Ok(authority::judge(named, &self.keys, &mut |account| read_account(view, account))?.is_some())
    }

    /// Judges the other authorisations and runs the actions.
    fn run(&mut self, fit: Fit) -> Result<Result<Vec<Event>, RejectReason>, StateError> {
        let body = &self.transaction.body;
        for (index, named) in body.authorisations.iter().enumerate() {
            if index != fit.payer_authorisation && !self.is_satisfied(named)? {
                return Ok(Err(RejectReason::Unauthorised));
            }
        }
        let mut transacting = Transacting {
            view: &mut *self.view,
            meter: Meter::new(TRANSACTION_UNITS_MAX),
            authorisations: &body.authorisations,
            used: fit.used,
            block_time: self.ground.block_time,
            events: Vec::new(),
            event_bytes: 0,
            fault: None,
        };
        let native = Native::new(self.ground.rules, self.ground.slot);
        for action in &body.actions {
            if let Err(reason) = call(&native, &mut transacting, action)? {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(transacting.events))
    }
}

fn call(
    native: &Native<'_>,
    transacting: &mut Transacting<'_, '_>,
    action: &Action,
) -> Result<Result<(), RejectReason>, StateError> {
    if !Native::has(action.contract) {
        return Ok(Err(RejectReason::NoSuchAction));
    }
    let call = Call { contract: action.contract, action: action.action, arguments: &action.arguments };
    let mut host = CallHost { transacting: &mut *transacting, contract: action.contract, action: action.action };
    match native.call(&mut host, &call).end {
        End::Returned(_) => Ok(Ok(())),
        End::Refused(reason) => Ok(Err(reason)),
        // Units are what the fee limit buys.
        End::Halted(Halt::OutOfUnits) => Ok(Err(RejectReason::FeeLimit)),
        End::Halted(Halt::Forbidden) => Ok(Err(RejectReason::Unauthorised)),
        End::Halted(Halt::TooLarge) => Ok(Err(RejectReason::Malformed)),
        End::Halted(Halt::Unavailable) => Err(transacting.fault.take().unwrap_or_else(|| StateError::Damaged {
            what: format!("{} finds a record of its own that does not read back", action.contract),
        })),
    }
}
