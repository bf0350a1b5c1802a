//! Actions that somebody pays for: run one after the other, undone together where one fails, and paid by what they took.

use hpb_base::UnixMillis;
use hpb_types::{AccountName, Action, Amount, Authorisation, Event, Hash, Outcome, Receipt, RejectReason, Slot};
use hpb_vm::{Call, End, Engine, Halt, Meter};

use super::Rules;
use crate::authority::permit::Used;
use crate::authority::{self, Standing};
use crate::fees::Work;
use crate::host::{CallHost, Transacting, read_account, read_balance, write_balance};
use crate::native::Native;
use crate::records::Tariff;
use crate::view::{StateError, View};

/// What the transactions of a slice have in common.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'r> {
    pub(crate) rules: &'r Rules,
    pub(crate) slot: Slot,
    pub(crate) block_time: UnixMillis,
    pub(crate) tariff: Tariff,
    /// What the tariff's fees are multiplied by, in parts of [`crate::fees::PRICE_ONE`].
    pub(crate) price: u32,
}

/// What is to be done, by whom it is paid, and who stands behind it.
pub(crate) struct Deed<'d> {
    pub(crate) id: Hash,
    pub(crate) payer: AccountName,
    pub(crate) authorisations: &'d [Authorisation],
    pub(crate) actions: &'d [Action],
    pub(crate) standing: Standing<'d>,
    /// What it has cost before it runs.
    pub(crate) work: Work,
    /// The most that it may take beside that: what its payer can pay for.
    pub(crate) units_max: u64,
    /// Which of the authorisations is known to be satisfied.
    pub(crate) satisfied: Option<usize>,
    /// What policies have let out for it before it runs.
    pub(crate) used: Used,
}

/// Does a deed: its actions take effect, or none does; the fee is paid in both cases.
pub(crate) fn perform(ground: &Ground<'_>, view: &mut View<'_>, deed: Deed<'_>) -> Result<Receipt, StateError> {
    let (id, payer, mut work) = (deed.id, deed.payer, deed.work);
    let scope = view.open();
    let Ran { units, end } = run(ground, view, deed)?;
    work.units = units;
    let fee = ground.tariff.fee(&work, ground.price).ok_or_else(|| StateError::overflow("a fee"))?;
    // What the actions left pays the fee. If it does not, what was there before them does: the units were bounded by that.
    let (outcome, events) = match end {
        Ok(events) if read_balance(view, payer)? >= fee => {
            view.keep(scope);
            (Outcome::Applied, events)
        }
        end => {
            view.undo(scope);
            (Outcome::Failed(end.err().unwrap_or(RejectReason::Overdrawn)), Vec::new())
        }
    };
    let left = read_balance(view, payer)?.checked_sub(fee).ok_or_else(|| StateError::overflow("a payer's balance"))?;
    write_balance(view, payer, left);
    Ok(Receipt { transaction: id, outcome, fee, units, events })
}

/// Whether what stands behind a deed satisfies an authorisation.
pub(crate) fn is_satisfied(
    view: &mut View<'_>,
    named: &Authorisation,
    standing: Standing<'_>,
) -> Result<bool, StateError> {
    Ok(authority::judge(named, standing, &mut |account| read_account(view, account))?.is_some())
}

/// How the actions ended, and the units that they took.
struct Ran {
    units: u64,
    end: Result<Vec<Event>, RejectReason>,
}

/// Judges the authorisations that are not judged yet and runs the actions.
fn run(ground: &Ground<'_>, view: &mut View<'_>, deed: Deed<'_>) -> Result<Ran, StateError> {
    for (index, named) in deed.authorisations.iter().enumerate() {
        if deed.satisfied != Some(index) && !is_satisfied(view, named, deed.standing)? {
            return Ok(Ran { units: 0, end: Err(RejectReason::Unauthorised) });
        }
    }
    let mut transacting = Transacting {
        view,
        meter: Meter::new(deed.units_max),
        authorisations: deed.authorisations,
        used: deed.used,
        block_time: ground.block_time,
        events: Vec::new(),
        event_bytes: 0,
        fault: None,
    };
    let native = Native::new(ground.rules, ground.slot);
    let mut end = Ok(());
    for action in deed.actions {
        end = call(&native, &mut transacting, action)?;
        if end.is_err() {
            break;
        }
    }
    let units = deed.units_max - transacting.meter.left();
    Ok(Ran { units, end: end.map(|()| transacting.events) })
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

/// The most units that a payer who holds `balance` and may pay `limit` buys beside `work`.
///
/// # Errors
/// It may not, or can't, pay even for the work.
pub(crate) fn units_max(
    ground: &Ground<'_>,
    work: &Work,
    limit: Amount,
    balance: Amount,
    most: u64,
) -> Result<u64, RejectReason> {
    let units = |purse| ground.tariff.units_for(purse, work, ground.price, most);
    let within_limit = units(limit).ok_or(RejectReason::FeeLimit)?;
    if balance >= limit {
        return Ok(within_limit);
    }
    units(balance).ok_or(RejectReason::Overdrawn)
}
