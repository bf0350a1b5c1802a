//! What every verb does that sends a transaction: signs it by what the chain's state says, hands it to a node, and tells
//! each step on its way.

use std::time::Duration;

use hpb_base::Instant;
use hpb_client::{Draft, Follow, KeyFile, NodeSession, SessionError, Step, os_random};
use hpb_devnet::chain_view::ChainView;
use hpb_devnet::terminals::confirm_k;
use hpb_ledger::account::ACTIVE;
use hpb_node::runtime::Clock;
use hpb_types::message::Message;
use hpb_types::{AccountName, Action, Authorisation, Outcome, Slot, Transaction};
use serde::Serialize;

use crate::bench::print;
use crate::command_line::{Sending, Until};
use crate::failure::Failure;
use crate::producer::print_json;

/// How long the node may say nothing: it tells terminals of every slice.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a transaction.
#[derive(Serialize)]
struct SentRow {
    /// Its id, in hexadecimal digits.
    id: String,
    /// Its steps, in order.
    steps: Vec<StepRow>,
    /// Whether its actions took effect; none while it is in no slice.
    applied: Option<bool>,
    /// Why they did not, or why it was refused.
    reason: Option<String>,
}

/// One step.
#[derive(Serialize)]
struct StepRow {
    /// What it is.
    step: &'static str,
    /// How long after the transaction was sent, in milliseconds.
    after_ms: f64,
    /// The slice, as `slot.index`.
    slice: Option<String>,
    /// Producers that confirm.
    confirmers: Option<u16>,
}

/// Opens the state that a transaction is made by.
pub(crate) fn view(sending: &Sending) -> Result<ChainView, Failure> {
    ChainView::open(&sending.data, sending.validator).map_err(Failure::input)
}

/// Signs `actions` of `actor`, sends them and follows them.
pub(crate) fn send(
    sending: &Sending,
    view: &ChainView,
    actor: AccountName,
    actions: Vec<Action>,
) -> Result<(), Failure> {
    if !view.is_live {
        let data = sending.data.display();
        return Err(Failure::input(format_args!("no devnet is running on {data}: hpb devnet --data {data}")));
    }
    let clock = Clock::start();
    let transaction = sign(sending, view, actor, actions, &clock)?;
    let (mut session, _) = NodeSession::open(&view.socket, view.genesis.chain_id(), PATIENCE).map_err(Failure::work)?;
    let sent_at = clock.now();
    let id = transaction.id();
    session.say(&Message::SubmitTransaction(Box::new(transaction))).map_err(Failure::work)?;
    let mut row = SentRow { id: id.to_hex(), steps: Vec::new(), applied: None, reason: None };
    if !sending.json {
        print(&format!("{}\n", id.to_hex()))?;
    }
    let mut follow = Follow::new(id, confirm_k(view.genesis.producers.len()));
    let followed = follow_it(&mut session, &mut follow, sending.until, &mut |step| {
        let told = row.tell(step, after_ms(sent_at, clock.now()));
        if sending.json { Ok(()) } else { print(&told) }
    });
    if sending.json {
        print_json(&row)?;
    }
    followed?;
    match &row.reason {
        Some(reason) => Err(Failure::work(format_args!("it did not take effect: {reason}"))),
        None => Ok(()),
    }
}

/// Hears the node until the transaction has come as far as it is followed, or to its end.
fn follow_it(
    session: &mut NodeSession,
    follow: &mut Follow,
    until: Until,
    tell: &mut dyn FnMut(Step) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let message = session.hear().map_err(|error: SessionError| Failure::work(error))?;
        if let Message::Goodbye(goodbye) = message {
            return Err(Failure::work(format_args!("the node says goodbye: {goodbye}")));
        }
        for step in follow.hear(&message) {
            tell(step)?;
            if step.is_end() || has_reached(step, until) {
                return Ok(());
            }
        }
    }
}

fn has_reached(step: Step, until: Until) -> bool {
    match until {
        Until::Received => matches!(step, Step::Received | Step::Included(..)),
        Until::Included => matches!(step, Step::Included(..)),
        Until::Confirmed => matches!(step, Step::Confirmed(_) | Step::Justified),
        Until::Final => false,
    }
}

fn sign(
    sending: &Sending,
    view: &ChainView,
    actor: AccountName,
    actions: Vec<Action>,
    clock: &Clock,
) -> Result<Transaction, Failure> {
    if sending.keys.is_empty() {
        return Err(Failure::input("nobody signs: name a key file by --key (`hpb key new` makes one)"));
    }
    let mut keys = Vec::with_capacity(sending.keys.len());
    for path in &sending.keys {
        keys.push(KeyFile::read(path).map_err(Failure::input)?);
    }
    let authorisations = if sending.by.is_empty() {
        vec![Authorisation { account: actor, permission: ACTIVE }]
    } else {
        sending.by.clone()
    };
    let now = clock.wall(clock.now());
    let genesis = &view.genesis;
    let slot = Slot(now.0.saturating_sub(genesis.time_ms) / u64::from(genesis.slot_ms));
    let at = view.ledger.final_slice().id;
    let tariff = view.ledger.tariff(&at).map_err(Failure::work)?;
    let price = view.ledger.price(&at, slot).map_err(Failure::work)?;
    let draft = Draft {
        chain: genesis.chain_id(),
        payer: sending.payer.unwrap_or(authorisations[0].account),
        authorisations,
        actions,
        expires_in_ms: sending.expires_s.saturating_mul(1_000),
        fee_limit: sending.fee_max,
        salt: draw_salt()?,
    };
    let signers: Vec<_> = keys.iter().map(KeyFile::keys).collect();
    draft.sign(&signers, now, &tariff, price).map_err(Failure::input)
}

/// What tells a transaction from others of the same content.
fn draw_salt() -> Result<u64, Failure> {
    let drawn = os_random().map_err(Failure::work)?;
    Ok(drawn.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

fn after_ms(from: Instant, to: Instant) -> f64 {
    to.since(from).to_std().as_secs_f64() * 1e3
}

impl SentRow {
    /// Notes a step; its line for people.
    fn tell(&mut self, step: Step, after_ms: f64) -> String {
        let mut row = StepRow { step: "", after_ms, slice: None, confirmers: None };
        let more = match step {
            Step::Received => {
                row.step = "received";
                String::new()
            }
            Step::Included(slice, outcome) => {
                row.step = "included";
                row.slice = Some(slice.height.to_string());
                self.reason = match outcome {
                    Outcome::Applied => None,
                    Outcome::Failed(reason) => Some(reason.to_string()),
                };
                self.applied = Some(self.reason.is_none());
                let word = self.reason.as_ref().map_or("applied".to_owned(), |reason| format!("failed: {reason}"));
                format!("  slot {}, slice {}: {word}", slice.height.slot, slice.height.index)
            }
            Step::Confirmed(confirmers) => {
                row.step = "confirmed";
                row.confirmers = Some(confirmers);
                format!("  by {confirmers}")
            }
            Step::Justified => {
                row.step = "justified";
                String::new()
            }
            Step::Final => {
                row.step = "final";
                String::new()
            }
            Step::Retracted(slice) => {
                row.step = "retracted";
                row.slice = Some(slice.height.to_string());
                (self.applied, self.reason) = (None, None);
                "  its slice left the chain; it waits again".to_owned()
            }
            Step::Rejected(reason) => {
                row.step = "rejected";
                self.reason = Some(reason.to_string());
                format!("  {reason}")
            }
            Step::Expired => {
                row.step = "expired";
                self.reason = Some("it was not included in time".to_owned());
                String::new()
            }
        };
        let line = format!("{:<10} {after_ms:>9.1} ms{more}\n", row.step);
        self.steps.push(row);
        line
    }
}
