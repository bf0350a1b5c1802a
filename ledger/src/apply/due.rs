//! Proposals whose time has come: done before the transactions of a block, the earliest first, a bounded number of them.
//!
//! Each is taken out of the state whatever it comes to, and its proposer pays for the units that its actions took.

use hpb_base::limits::{DUE_UNITS_PER_BLOCK_MAX, TRANSACTION_UNITS_MAX};
use hpb_types::{AccountName, ActionName, Authorisation, PermissionName, Receipt};
use hpb_vm::Meter;

use super::deed::{Deed, Ground, perform, units_max};
use crate::authority::Standing;
use crate::authority::permit::Used;
use crate::bytes::Bytes;
use crate::fees::Work;
use crate::host::{CallHost, Transacting, need_record, read_account, read_balance};
use crate::key::{self, PROPOSAL, SYSTEM};
use crate::system::proposals::{due_ms_of, take};
use crate::system::{CANCEL, Due, Proposal};
use crate::view::{StateError, View};

/// Does what of the queue is due; `queue` is its first keys, ascending.
pub(super) fn perform_due(
    ground: &Ground<'_>,
    view: &mut View<'_>,
    queue: &[Bytes],
) -> Result<Vec<Receipt>, StateError> {
    let (mut receipts, mut units): (Vec<Receipt>, u64) = (Vec::new(), 0);
    for key in queue {
        let due_ms = due_ms_of(key).ok_or_else(|| StateError::damaged(key))?;
        if due_ms > ground.block_time.0 || units >= DUE_UNITS_PER_BLOCK_MAX {
            break;
        }
        let due: Due = need_record(view, key)?;
        let receipt = perform_one(ground, view, &due)?;
        units = units.saturating_add(receipt.units);
        receipts.push(receipt);
    }
    Ok(receipts)
}

fn perform_one(ground: &Ground<'_>, view: &mut View<'_>, due: &Due) -> Result<Receipt, StateError> {
    let place = hpb_vm::Place { account: due.proposer, table: PROPOSAL, sub_key: due.name.as_str().as_bytes() };
    let proposal: Proposal = need_record(view, &key::of_place(place))?;
    take_away(ground, view, due.proposer, due.name, &proposal)?;
    let approvals: Vec<Authorisation> = proposal.approvals(&mut |account| read_account(view, account))?;
    let terms = &proposal.terms;
    let balance = read_balance(view, due.proposer)?;
    let deed = Deed {
        id: proposal.id,
        payer: due.proposer,
        authorisations: &terms.authorisations,
        actions: &terms.actions,
        standing: Standing { keys: &[], approvals: &approvals, waited_ms: terms.delay_ms },
        work: Work::default(),
        // Nothing is asked for beside the units, so any purse will do.
        units_max: units_max(ground, &Work::default(), terms.fee_limit, balance, TRANSACTION_UNITS_MAX).unwrap_or(0),
        satisfied: None,
        used: Used::new(),
    };
    perform(ground, view, deed)
}

/// Takes a proposal out of the state, as its contract does.
fn take_away(
    ground: &Ground<'_>,
    view: &mut View<'_>,
    proposer: AccountName,
    name: PermissionName,
    proposal: &Proposal,
) -> Result<(), StateError> {
    let mut transacting = Transacting {
        view,
        // A few records: nobody pays for what the ledger does by itself.
        meter: Meter::new(u64::MAX),
        authorisations: &[],
        used: Used::new(),
        block_time: ground.block_time,
        events: Vec::new(),
        event_bytes: 0,
        fault: None,
    };
    let action: ActionName = CANCEL;
    let mut host = CallHost { transacting: &mut transacting, contract: SYSTEM, action };
    match take(&mut host, proposer, name, proposal) {
        Ok(()) => Ok(()),
        Err(_) => Err(transacting.fault.unwrap_or_else(|| StateError::Damaged {
            what: format!("the proposal {name} of {proposer} can't be taken away"),
        })),
    }
}
