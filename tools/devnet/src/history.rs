//! What a chain's transactions came to: one of them, or those of an account.
//!
//! The chain is executed from its genesis on, since nobody keeps receipts. While a run goes on, its end may be missing.

mod text;

use core::ops::ControlFlow;
use std::fmt::Write as _;
use std::path::Path;

use hpb_ledger::Checked;
use hpb_ledger::system::{Attested, Created, Proposal};
use hpb_ledger::token::{Released, TransferArguments, Transferred};
use hpb_node::core::walk_results;
use hpb_types::{AccountName, Action, Canonical as _, Event, Hash, Outcome, Receipt, SliceRef, TransactionBody};
use serde::{Deserialize, Serialize};

use crate::accounts::attested;
use crate::chain_view::{ChainView, open_log};
use crate::report::decimal;
use crate::run::DevnetError;
pub(crate) use text::table;

/// A transaction, or a proposal that was done, and what it came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransactionRow {
    /// Its id.
    pub id: String,
    /// The slot that it is in.
    pub slot: u64,
    /// The slice there.
    pub slice: u32,
    /// Its number among the slice's receipts.
    pub number: u32,
    /// Block time, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Who paid; of a proposal it is not kept.
    pub payer: Option<String>,
    /// What was asked for, as `contract/action`; of a proposal it is not kept.
    pub actions: Vec<String>,
    /// Whether it took effect.
    pub applied: bool,
    /// Why not.
    pub reason: Option<String>,
    /// What it cost, in the smallest unit.
    #[serde(with = "decimal")]
    pub fee: u128,
    /// The units that its execution took.
    pub units: u64,
    /// What happened, in order.
    pub events: Vec<EventRow>,
}

/// What a contract says happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventRow {
    /// The contract and its word, as `contract/word`.
    pub event: String,
    /// The facts, in words where they are known here.
    pub says: Option<String>,
    /// The facts as they are, in hexadecimal digits.
    pub data: String,
}

/// A page of an account's history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryRow {
    /// The account.
    pub name: String,
    /// Its transactions, in the chain's order.
    pub transactions: Vec<TransactionRow>,
    /// Where the next page begins, as `slot.slice.number`; none where this is the last one.
    pub next_after: Option<String>,
}

/// Where a receipt stands: slot, slice, its number there.
pub type Place = (u64, u32, u32);

/// The transaction of that id in the log of validator `validator`; `None` if it is not final there.
///
/// # Errors
/// No such folder, none of a devnet, one without that validator; a log that can't be read.
pub fn transaction(data: &Path, validator: usize, id: Hash) -> Result<Option<TransactionRow>, DevnetError> {
    let mut found = None;
    walk(data, validator, &mut |at, receipt, checked| {
        if receipt.transaction != id {
            return ControlFlow::Continue(());
        }
        found = Some(TransactionRow::new(at, receipt, checked));
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// At most `limit` transactions that `name` paid for, stands behind, or that an event names, after the place `after`.
///
/// # Errors
/// Those of [`transaction`]; an account that does not exist.
pub fn history(
    data: &Path,
    validator: usize,
    name: AccountName,
    after: Option<Place>,
    limit: usize,
) -> Result<HistoryRow, DevnetError> {
    let mut row = HistoryRow { name: name.to_string(), transactions: Vec::new(), next_after: None };
    walk(data, validator, &mut |at, receipt, checked| {
        if after.is_some_and(|after| at.place() <= after) || !concerns(name, receipt, checked) {
            return ControlFlow::Continue(());
        }
        if row.transactions.len() == limit {
            row.next_after = row.transactions.last().map(TransactionRow::place);
            return ControlFlow::Break(());
        }
        row.transactions.push(TransactionRow::new(at, receipt, checked));
        ControlFlow::Continue(())
    })?;
    Ok(row)
}

/// Where a receipt stands, and when.
#[derive(Clone, Copy)]
struct At {
    slice: SliceRef,
    number: u32,
    unix_ms: u64,
}

impl At {
    fn place(&self) -> Place {
        (self.slice.height.slot.0, self.slice.height.index, self.number)
    }
}

type Visit<'a> = &'a mut dyn FnMut(At, &Receipt, Option<&Checked>) -> ControlFlow<()>;

/// Shows each receipt of the chain, with its transaction if it is one's.
fn walk(data: &Path, validator: usize, visit: Visit<'_>) -> Result<(), DevnetError> {
    let (genesis, mut log) = open_log(data, validator)?;
    walk_results(&genesis, &mut log, &mut |results| {
        let slice = results.slice.reference();
        let unix_ms = genesis.slot_start_ms(slice.height.slot);
        let due = results.due.iter().map(|receipt| (receipt, None));
        let own = results.receipts.iter().zip(results.transactions.iter().map(Some));
        for (number, (receipt, checked)) in due.chain(own).enumerate() {
            visit(At { slice, number: number as u32, unix_ms }, receipt, checked)?;
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// Whether a transaction is part of an account's history.
fn concerns(name: AccountName, receipt: &Receipt, checked: Option<&Checked>) -> bool {
    let is_named = |event: &Event| {
        // Names stand in events with their lengths before them.
        let bytes = name.to_bytes();
        event.data.windows(bytes.len()).any(|window| window == bytes)
    };
    let stands_behind = |checked: &Checked| {
        let body = &checked.transaction().body;
        body.payer == name || body.authorisations.iter().any(|named| named.account == name)
    };
    checked.is_some_and(stands_behind) || receipt.events.iter().any(is_named)
}

impl TransactionRow {
    fn new(at: At, receipt: &Receipt, checked: Option<&Checked>) -> Self {
        Self::of(at.place(), at.unix_ms, receipt, checked.map(|checked| &checked.transaction().body))
    }

    /// The receipt that stands there, with what its transaction asked for, if that is known.
    pub(crate) fn of(
        (slot, slice, number): Place,
        unix_ms: u64,
        receipt: &Receipt,
        body: Option<&TransactionBody>,
    ) -> Self {
        let word = |action: &Action| format!("{}/{}", action.contract, action.action);
        let reason = match receipt.outcome {
            Outcome::Applied => None,
            Outcome::Failed(reason) => Some(reason.to_string()),
        };
        Self {
            id: receipt.transaction.to_hex(),
            slot,
            slice,
            number,
            unix_ms,
            payer: body.map(|body| body.payer.to_string()),
            actions: body.map(|body| body.actions.iter().map(word).collect()).unwrap_or_default(),
            applied: reason.is_none(),
            reason,
            fee: receipt.fee.0,
            units: receipt.units,
            events: receipt.events.iter().map(EventRow::new).collect(),
        }
    }

    /// Where it stands, as `slot.slice.number`.
    pub fn place(&self) -> String {
        format!("{}.{}.{}", self.slot, self.slice, self.number)
    }
}

impl EventRow {
    fn new(event: &Event) -> Self {
        let mut data = String::with_capacity(2 * event.data.len());
        for byte in &event.data {
            // Writing to a string does not fail.
            let _ = write!(data, "{byte:02x}");
        }
        Self { event: format!("{}/{}", event.contract, event.name), says: says(event), data }
    }
}

/// The facts of an event in words, where its contract is known here.
fn says(event: &Event) -> Option<String> {
    let data = &event.data[..];
    match (event.contract.as_str(), event.name.as_str()) {
        ("token", "transfer") => Transferred::from_bytes(data)
            .map(|Transferred { from, to, amount }| format!("{from} -> {to} {amount}"))
            .or_else(|_| {
                TransferArguments::from_bytes(data)
                    .map(|TransferArguments { from, to, amount, .. }| format!("{from} -> {to} {amount}"))
            })
            .ok(),
        ("token", "release") => {
            Released::from_bytes(data).map(|Released { account, amount }| format!("{account} {amount}")).ok()
        }
        ("system", "created") => {
            Created::from_bytes(data).map(|Created { creator, name }| format!("{name} by {creator}")).ok()
        }
        ("system", "attest") => Attested::from_bytes(data).map(|attested| attested::says(&attested)).ok(),
        _ => None,
    }
}

/// What an account proposes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProposalRow {
    /// Its name among its proposer's.
    pub name: String,
    /// What those who approve name.
    pub id: String,
    /// What is proposed, as `contract/action`.
    pub actions: Vec<String>,
    /// What stands behind it, as `account@permission`.
    pub authorisations: Vec<String>,
    /// Whose approval is asked for, and whether they approve.
    pub approvals: Vec<ApprovalRow>,
    /// How long it waits once it is to be done, in milliseconds.
    pub delay_ms: u64,
    /// Until when it can be executed, in milliseconds since 1970.
    pub expiry_unix_ms: u64,
    /// From when on it is done, in milliseconds since 1970; none while nobody asked for it.
    pub due_unix_ms: Option<u64>,
}

/// One whose approval is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApprovalRow {
    /// Who, as `account@permission`.
    pub by: String,
    /// Whether the approval counts: one of a permission that has changed since does not.
    pub approves: bool,
}

/// What an account proposes by the state that validator `validator` has.
///
/// # Errors
/// Those of [`ChainView::open`].
pub fn proposals(data: &Path, validator: usize, proposer: AccountName) -> Result<Vec<ProposalRow>, DevnetError> {
    let ChainView { ledger, .. } = ChainView::open(data, validator)?;
    let at = ledger.final_slice().id;
    let mut rows = Vec::new();
    for (name, proposal) in ledger.proposals(&at, proposer)? {
        let approving = proposal
            .approvals(&mut |account| ledger.account(&at, account).map(|found| found.map(|account| account.record)))?;
        rows.push(ProposalRow::new(name.as_str(), &proposal, |by| approving.contains(by)));
    }
    Ok(rows)
}

impl ProposalRow {
    fn new(name: &str, proposal: &Proposal, approves: impl Fn(&hpb_types::Authorisation) -> bool) -> Self {
        let terms = &proposal.terms;
        let named = |named: &hpb_types::Authorisation| format!("{}@{}", named.account, named.permission);
        Self {
            name: name.to_owned(),
            id: proposal.id.to_hex(),
            actions: terms.actions.iter().map(|action| format!("{}/{}", action.contract, action.action)).collect(),
            authorisations: terms.authorisations.iter().map(named).collect(),
            approvals: proposal
                .approvals
                .iter()
                .map(|approval| ApprovalRow { by: named(&approval.by), approves: approves(&approval.by) })
                .collect(),
            delay_ms: terms.delay_ms,
            expiry_unix_ms: terms.expiry_ms,
            due_unix_ms: proposal.is_due().then_some(proposal.due_ms),
        }
    }
}
