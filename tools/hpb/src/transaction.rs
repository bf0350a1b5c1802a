//! `hpb tx`: transactions and proposals of a devnet's chain.

use std::path::PathBuf;

use hpb_base::UnixMillis;
use hpb_client::look_alike;
use hpb_devnet::chain_view::ChainView;
use hpb_devnet::history::{Asked, ProposalRow, history, proposals, transaction};
use hpb_devnet::proof;
use hpb_ledger::account::ACTIVE;
use hpb_ledger::history::Order;
use hpb_ledger::system::{
    ApproveArguments, ProposalArguments, Terms, approve_action, cancel_action, execute_action, propose_action,
    withdraw_action,
};
use hpb_ledger::token::{release_action, transfer_with_memo_action};
use hpb_node::runtime::Clock;
use hpb_types::{AccountName, Action, Authorisation, Hash};

use crate::bench::print;
use crate::command_line::{Act, Part, Proposed, Sending, Tx};
use crate::failure::Failure;
use crate::genesis::read_any;
use crate::producer::print_json;
use crate::send::{send, view};

/// Digits of a transaction's id in the name of its proof, where no other is given.
const NAME_DIGITS: usize = 16;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

pub(crate) fn run(what: Tx) -> Result<(), Failure> {
    match what {
        Tx::Send { sending, act } => {
            let view = view(&sending)?;
            let (actor, action) = action_of(&act, &view, &sending)?;
            send(&sending, &view, actor, vec![action])
        }
        Tx::Show { id, source } => {
            let found = transaction(&source.data, source.validator, id).map_err(Failure::input)?;
            let found = found.ok_or_else(|| Failure::input(format_args!("no final transaction has the id {id}")))?;
            if source.json { print_json(&found) } else { print(&found.detail()) }
        }
        Tx::Proof { id, out, source } => {
            let out = out.unwrap_or_else(|| PathBuf::from(format!("{}.proof", &id.to_hex()[..NAME_DIGITS])));
            let made = proof::make(&source.data, source.validator, id, &out).map_err(Failure::input)?;
            if source.json { print_json(&made) } else { print(&made.detail()) }
        }
        Tx::Check { file, genesis, id, json } => {
            let row = proof::check(&file, &read_any(&genesis)?, id).map_err(Failure::input)?;
            if json { print_json(&row) } else { print(&row.detail()) }?;
            row.fault.map_or(Ok(()), |fault| Err(Failure::work(format_args!("{}: {fault}", file.display()))))
        }
        Tx::List { kind, part, source } => {
            let asked = Asked { kind, ..asked_of(&part) };
            let history = history(&source.data, source.validator, &asked).map_err(Failure::input)?;
            if source.json { print_json(&history) } else { print(&history.detail()) }
        }
        Tx::Propose { what, authorisations, asked, delay_s, hours, deed_fee_max, sending, act } => {
            let view = view(&sending)?;
            let (actor, action) = action_of(&act, &view, &sending)?;
            let clock = Clock::start();
            let UnixMillis(now) = clock.wall(clock.now());
            let authorisations = if authorisations.is_empty() { vec![active_of(actor)] } else { authorisations };
            let mut asked = asked;
            asked.sort();
            asked.dedup();
            let terms = Terms {
                actions: vec![action],
                authorisations,
                asked,
                delay_ms: delay_s.saturating_mul(1_000),
                expiry_ms: now.saturating_add(hours.saturating_mul(HOUR_MS)),
                fee_limit: deed_fee_max,
            };
            let Proposed { proposer, name } = what;
            send(&sending, &view, proposer, vec![propose_action(proposer, name, terms)])
        }
        Tx::Approve { what, sending } => answer(&what, &sending, approve_action),
        Tx::Withdraw { what, sending } => answer(&what, &sending, withdraw_action),
        Tx::Execute { what, sending } => settle(&what, &sending, execute_action),
        Tx::Cancel { what, sending } => settle(&what, &sending, cancel_action),
        Tx::Proposals { proposer, source } => {
            let rows = proposals(&source.data, source.validator, proposer).map_err(Failure::input)?;
            if source.json {
                return print_json(&rows);
            }
            let text: Vec<String> = rows.iter().map(ProposalRow::detail).collect();
            print(&if text.is_empty() { format!("{proposer} proposes nothing\n") } else { text.join("\n") })
        }
    }
}

/// That part of everybody's history.
pub(crate) fn asked_of(part: &Part) -> Asked {
    let Part { from, until, newest, after, limit } = *part;
    let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
    Asked { from, until, order, after, limit, ..Asked::default() }
}

fn active_of(account: AccountName) -> Authorisation {
    Authorisation { account, permission: ACTIVE }
}

/// What is done, and who does it.
fn action_of(act: &Act, view: &ChainView, sending: &Sending) -> Result<(AccountName, Action), Failure> {
    Ok(match act {
        Act::Transfer { from, to, amount, memo } => {
            // Only said: whoever makes a look-alike of a name must not stop what is meant for that one.
            if let Some(other) = look_alike_of(view, *to)? {
                eprintln!("hpb: `{to}` is easily taken for `{other}`, which is another account");
            }
            (*from, transfer_with_memo_action(*from, *to, *amount, memo.as_bytes()))
        }
        Act::Release { account } => (*account, release_action(*account)),
        Act::Call { contract, action, arguments } => {
            let actor = sending.by.first().ok_or_else(|| Failure::input("say who calls it: --by NAME"))?.account;
            (actor, Action { contract: *contract, action: *action, arguments: arguments.clone() })
        }
    })
}

/// An account that people take for the one of that name.
pub(crate) fn look_alike_of(view: &ChainView, name: AccountName) -> Result<Option<AccountName>, Failure> {
    let at = view.ledger.final_slice().id;
    view.ledger.find_account(&at, &mut |other| look_alike::is_alike(name, other)).map_err(Failure::work)
}

fn answer(what: &Proposed, sending: &Sending, action: fn(&ApproveArguments) -> Action) -> Result<(), Failure> {
    let view = view(sending)?;
    let by = sending.by.first().cloned().ok_or_else(|| Failure::input("say who approves: --by NAME[@PERMISSION]"))?;
    let Proposed { proposer, name } = *what;
    let arguments = ApproveArguments { proposer, name, id: proposal_id(&view, what)?, by: by.clone() };
    send(sending, &view, by.account, vec![action(&arguments)])
}

fn settle(what: &Proposed, sending: &Sending, action: fn(&ProposalArguments) -> Action) -> Result<(), Failure> {
    let view = view(sending)?;
    let Proposed { proposer, name } = *what;
    let arguments = ProposalArguments { proposer, name, id: proposal_id(&view, what)? };
    send(sending, &view, proposer, vec![action(&arguments)])
}

/// The id of the proposal that one sees under that name.
fn proposal_id(view: &ChainView, what: &Proposed) -> Result<Hash, Failure> {
    let at = view.ledger.final_slice().id;
    let all = view.ledger.proposals(&at, what.proposer).map_err(Failure::work)?;
    let found = all.into_iter().find(|(name, _)| *name == what.name).map(|(_, proposal)| proposal.id);
    found.ok_or_else(|| {
        Failure::input(format_args!(
            "{} proposes nothing called `{}` by the state that is committed; a new one shows there in a few seconds",
            what.proposer, what.name
        ))
    })
}
