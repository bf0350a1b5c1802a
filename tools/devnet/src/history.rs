//! What a chain's transactions came to: one of them, those of an account, of a kind, of a time; and its blocks.
//!
//! Answered from the index that a validator keeps, or by executing its log again. While a run goes on, the last seconds may
//! be missing.

pub mod blocks;
mod source;
mod text;

use std::path::Path;

use hpb_ledger::history::{Kind, Order, Place, Query, ResultRecord};
use hpb_ledger::system::{Attested, Created, Proposal};
use hpb_ledger::token::{Released, TransferArguments, Transferred};
use hpb_types::{AccountName, Canonical as _, Event, Genesis, Hash, Outcome, Receipt, Slot, TransactionBody, to_hex};
use serde::{Deserialize, Serialize};

use crate::accounts::attested;
use crate::chain_view::ChainView;
use crate::report::decimal;
use crate::run::DevnetError;
use source::Source;
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

/// A page of the chain's history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Whose it is; everybody's if nobody is named.
    pub name: Option<String>,
    /// Of which kind, as `contract/word`; of every kind if none is named.
    pub kind: Option<String>,
    /// Transactions, in the order that was asked for.
    pub transactions: Vec<TransactionRow>,
    /// Where the next page begins, as `slot.slice.number`; none where this is the last one.
    pub next_after: Option<String>,
    /// The slice before which nothing is known, as `slot.index:id`; none where all is.
    pub begins_after: Option<String>,
}

/// A moment of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// A slot's start.
    Slot(u64),
    /// A moment in milliseconds since 1970.
    UnixMs(u64),
}

/// What is asked for: what meets all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// An account that pays, stands behind it, or that an event names.
    pub account: Option<AccountName>,
    /// What was asked for or happened.
    pub kind: Option<Kind>,
    /// From when on.
    pub from: Option<When>,
    /// Before when.
    pub until: Option<When>,
    /// Which end of the chain comes first.
    pub order: Order,
    /// Only what comes after this place, in that order.
    pub after: Option<Place>,
    /// As many at most.
    pub limit: usize,
}

/// The transaction of that id, or the proposal that was done, as validator `validator` has it; `None` if it is not final
/// there.
///
/// # Errors
/// No such folder, none of a devnet, one without that validator; a disk that can't be read, or an index that is damaged.
pub fn transaction(data: &Path, validator: usize, id: Hash) -> Result<Option<TransactionRow>, DevnetError> {
    let source = Source::open(data, validator)?;
    let found = source.by_id(&id)?;
    Ok(found.map(|(place, record)| TransactionRow::new(&source.genesis, place, &record)))
}

/// A page of the chain's history as validator `validator` has it.
///
/// # Errors
/// Those of [`transaction`].
pub fn history(data: &Path, validator: usize, asked: &Asked) -> Result<HistoryRow, DevnetError> {
    let source = Source::open(data, validator)?;
    let Asked { account, kind, from, until, order, after, limit } = *asked;
    let (from, until) = (slot_of(&source.genesis, from), until.map(|until| slot_of(&source.genesis, Some(until))));
    let page = source.page(&Query { account, kind, from, until, order, after, limit })?;
    let row = |(place, record): &(Place, ResultRecord)| TransactionRow::new(&source.genesis, *place, record);
    Ok(HistoryRow {
        name: account.map(|account| account.to_string()),
        kind: kind.map(|kind| kind.to_string()),
        transactions: page.rows.iter().map(row).collect(),
        next_after: page.next.map(|place| place.to_string()),
        begins_after: source.begins_after()?.map(|slice| slice.to_text()),
    })
}

/// The first slot that starts at that moment or later; the first of all where none is named.
fn slot_of(genesis: &Genesis, when: Option<When>) -> u64 {
    match when {
        None => 0,
        Some(When::Slot(slot)) => slot,
        Some(When::UnixMs(unix_ms)) => unix_ms.saturating_sub(genesis.time_ms).div_ceil(genesis.slot_ms.into()),
    }
}

impl TransactionRow {
    fn new(genesis: &Genesis, place: Place, record: &ResultRecord) -> Self {
        Self::at(place, genesis.slot_start_ms(Slot(place.slot)), record)
    }

    /// The receipt that stands there, with what its transaction asked for, if that is known.
    pub(crate) fn of(place: Place, unix_ms: u64, receipt: &Receipt, body: Option<&TransactionBody>) -> Self {
        let record = ResultRecord::of(receipt, body);
        Self::at(place, unix_ms, &record)
    }

    fn at(place: Place, unix_ms: u64, record: &ResultRecord) -> Self {
        let reason = match record.outcome {
            Outcome::Applied => None,
            Outcome::Failed(reason) => Some(reason.to_string()),
        };
        Self {
            id: record.id.to_hex(),
            slot: place.slot,
            slice: place.slice,
            number: place.number,
            unix_ms,
            payer: record.payer.map(|payer| payer.to_string()),
            actions: record.actions.iter().map(Kind::to_string).collect(),
            applied: reason.is_none(),
            reason,
            fee: record.fee.0,
            units: record.units,
            events: record.events.iter().map(EventRow::new).collect(),
        }
    }

    /// Where it stands, as `slot.slice.number`.
    pub fn place(&self) -> String {
        format!("{}.{}.{}", self.slot, self.slice, self.number)
    }
}

impl EventRow {
    fn new(event: &Event) -> Self {
        Self { event: format!("{}/{}", event.contract, event.name), says: says(event), data: to_hex(&event.data) }
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
