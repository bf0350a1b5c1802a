//! One transaction on a view: whether it may stand in the slice, and what it comes to.

use hpb_base::UnixMillis;
use hpb_base::limits::{EXPIRY_AHEAD_MS_MAX, TRANSACTION_UNITS_MAX};
use hpb_types::{Amount, Receipt, RejectReason};
use hpb_vm::{Intent, Meter};

use super::deed::{Deed, Ground, is_satisfied, perform, units_max};
use crate::account::{ACTIVE, Account};
use crate::authority::delegation::Question;
use crate::authority::permit::{NoAnswer, Permit, Used};
use crate::authority::{self, Standing};
use crate::checked::Checked;
use crate::fees::Work;
use crate::host::{read_account, read_balance};
use crate::key::SYSTEM;
use crate::system::FEE;
use crate::view::{StateError, View};

/// Executes a transaction, or says why it is unfit and leaves everything as it was. `is_seen`: the slice has it already.
pub(crate) fn transact(
    ground: &Ground<'_>,
    view: &mut View<'_>,
    transaction: &Checked,
    is_seen: bool,
) -> Result<Result<Receipt, RejectReason>, StateError> {
    let standing = Standing::signed(transaction.signers());
    let fit = match (Fitness { ground, view: &mut *view, transaction, standing }).judge(is_seen)? {
        Ok(fit) => fit,
        Err(reason) => return Ok(Err(reason)),
    };
    let body = &transaction.body;
    let deed = Deed {
        id: transaction.id(),
        payer: body.payer,
        authorisations: &body.authorisations,
        actions: &body.actions,
        standing,
        work: work_of(transaction),
        units_max: fit.units_max,
        satisfied: Some(fit.payer_authorisation),
        used: fit.used,
    };
    perform(ground, view, deed).map(Ok)
}

/// What a transaction costs before it runs.
pub(crate) fn work_of(transaction: &Checked) -> Work {
    Work { bytes: transaction.bytes_len() as u64, signatures: transaction.signatures.len() as u64, units: 0 }
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

/// A transaction that may stand in the slice: what its payer pays for, and with which of its authorisations.
struct Fit {
    units_max: u64,
    payer_authorisation: usize,
    /// What a policy let out for the fee.
    used: Used,
}

struct Fitness<'f, 's> {
    ground: &'f Ground<'f>,
    view: &'f mut View<'s>,
    transaction: &'f Checked,
    standing: Standing<'f>,
}

impl Fitness<'_, '_> {
    fn judge(&mut self, is_seen: bool) -> Result<Result<Fit, RejectReason>, StateError> {
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
        let payer_authorisation = self.payer_authorisation(payer)?;
        let balance = read_balance(self.view, body.payer)?;
        let work = work_of(self.transaction);
        let units_max = match units_max(self.ground, &work, body.fee_limit, balance, TRANSACTION_UNITS_MAX) {
            Ok(units_max) => units_max,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut used = Used::new();
        // Last: a policy that is asked is used.
        let granted = if payer_authorisation.is_some() {
            payer_authorisation
        } else {
            let most = self.ground.tariff.fee(&Work { units: units_max, ..work }, self.ground.price);
            self.payer_grant(most.unwrap_or(body.fee_limit), &mut used)?
        };
        let fit = granted.map(|payer_authorisation| Fit { units_max, payer_authorisation, used });
        Ok(fit.ok_or(RejectReason::Unauthorised))
    }

    /// The first of the transaction's authorisations by which the payer stands behind it.
    fn payer_authorisation(&mut self, payer: Account) -> Result<Option<usize>, StateError> {
        let body = &self.transaction.body;
        // Which of them are the payer's own: bit i for the i-th, of which there are at most 64.
        let mut paying = 0_u64;
        for (index, named) in body.authorisations.iter().enumerate() {
            if named.account == body.payer && payer.covers(named.permission, ACTIVE) {
                paying |= 1 << index;
            }
        }
        // The record at hand need not be decoded again.
        let mut read = Some(payer);
        let mut accounts = |account| match read.take_if(|_| account == body.payer) {
            Some(record) => Ok(Some(record)),
            None => read_account(self.view, account),
        };
        for (index, named) in body.authorisations.iter().enumerate() {
            if paying & 1 << index != 0 && authority::judge(named, self.standing, &mut accounts)?.is_some() {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The first of the transaction's authorisations to which the payer granted that it pays a fee of as much as `most`,
    /// which is what it may come to.
    fn payer_grant(&mut self, most: Amount, used: &mut Used) -> Result<Option<usize>, StateError> {
        let body = &self.transaction.body;
        let intent = Intent { amount: Some(most), counterparty: None };
        let question = Question { contract: SYSTEM, action: FEE, intent: &intent, at: self.ground.block_time };
        for (index, named) in body.authorisations.iter().enumerate() {
            if !is_satisfied(self.view, named, self.standing)? {
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
}
