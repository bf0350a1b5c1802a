//! What several people do together, each at their own time: `propose`, `approve`, `withdraw`, `execute`, `cancel`.
//!
//! A proposal names actions, the permissions that are to stand behind them, and whose approval is asked for. Once those
//! who approved satisfy the permissions, `execute` has it done after its delay, ahead of the transactions of a block
//! ([`crate::apply`]), where everything is judged again: a permission that has changed since it approved approves no
//! more. Its proposer pays for its room while it lies here, and for the units that its actions take.

use hpb_base::UnixMillis;
use hpb_base::limits::{
    ACTIONS_MAX, AUTHORISATIONS_MAX, PROPOSAL_ASKED_MAX, PROPOSAL_DELAY_MS_MAX, PROPOSAL_EXPIRY_AHEAD_MS_MAX,
};
use hpb_types::{
    AccountName, Action, ActionName, Amount, Authorisation, Canonical, ChainId, Hash, PermissionName, RejectReason,
};
use hpb_vm::{Call, Host, Intent, Place};

use super::{arguments, judge_reference, need_account, tell};
use crate::account::{Account, Authority};
use crate::authority::{self, Standing};
use crate::bytes::Bytes;
use crate::deposit;
use crate::key::{self, ACCOUNT, DUE, PROPOSAL, SYSTEM};
use crate::native::Stop;
use crate::records::{load, store};

/// The action that makes a proposal, and its event.
pub const PROPOSE: ActionName = ActionName::literal("propose");
/// The action that approves one, and its event.
pub const APPROVE: ActionName = ActionName::literal("approve");
/// The action that takes an approval back, and its event.
pub const WITHDRAW: ActionName = ActionName::literal("withdraw");
/// The action that has one done after its delay, and its event. Anyone may ask for it.
pub const EXECUTE: ActionName = ActionName::literal("execute");
/// The action that takes one away, also while it waits for its time, and its event.
pub const CANCEL: ActionName = ActionName::literal("cancel");

/// What is proposed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// What is done, in order: all of it or nothing.
    pub actions: Vec<Action>,
    /// What stands behind the actions, and is to be satisfied.
    pub authorisations: Vec<Authorisation>,
    /// Whose approval is asked for, ascending. What they approve for others is said by those others' permissions.
    pub asked: Vec<Authorisation>,
    /// How long it waits from `execute` on, in milliseconds; waits that are not longer count.
    pub delay_ms: u64,
    /// Past this block time it can't be executed, in milliseconds since 1970.
    pub expiry_ms: u64,
    /// The most that its proposer pays for its units.
    pub fee_limit: Amount,
}

/// Whether somebody who was asked approves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Who was asked.
    pub by: Authorisation,
    /// The hash of what satisfied that permission when it approved; zeroes where it does not approve.
    pub authority: Hash,
}

/// A proposal as it lies in the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// What those who approve name, so that nothing is put in its place.
    pub id: Hash,
    /// What is proposed.
    pub terms: Terms,
    /// One for each that was asked, in that order.
    pub approvals: Vec<Approval>,
    /// The block time from which on it is done, in milliseconds since 1970; 0 until `execute`.
    pub due_ms: u64,
}

/// Whose proposal is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// Who proposed it.
    pub proposer: AccountName,
    /// Its name.
    pub name: PermissionName,
}

/// The arguments of `propose`. Needs `active` of `proposer`, or a grant of this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposeArguments {
    /// Who proposes, and pays.
    pub proposer: AccountName,
    /// The proposal's name among its proposer's.
    pub name: PermissionName,
    /// What is proposed.
    pub terms: Terms,
}

/// The arguments of `approve` and `withdraw`. Needs `by`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApproveArguments {
    /// Whose proposal.
    pub proposer: AccountName,
    /// Its name.
    pub name: PermissionName,
    /// Which it is.
    pub id: Hash,
    /// Who approves: one of those asked.
    pub by: Authorisation,
}

/// The arguments of `execute` and `cancel`. To cancel needs `active` of `proposer`, a grant of this, or one of the
/// permissions that are to stand behind the actions; past its expiry, while it is not due, anyone may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposalArguments {
    /// Whose proposal.
    pub proposer: AccountName,
    /// Its name.
    pub name: PermissionName,
    /// Which it is.
    pub id: Hash,
}

hpb_types::layout!(Terms {
    actions: list(1..=ACTIONS_MAX),
    authorisations: list(1..=AUTHORISATIONS_MAX),
    asked: list(1..=PROPOSAL_ASKED_MAX),
    delay_ms,
    expiry_ms,
    fee_limit,
});
hpb_types::layout!(Approval { by, authority });
hpb_types::layout!(Proposal { id, terms, approvals: list(1..=PROPOSAL_ASKED_MAX), due_ms });
hpb_types::layout!(Due { proposer, name });
hpb_types::layout!(ProposeArguments { proposer, name, terms });
hpb_types::layout!(ApproveArguments { proposer, name, id, by });
hpb_types::layout!(ProposalArguments { proposer, name, id });

/// The action by which `proposer` proposes `terms` under `name`.
pub fn propose_action(proposer: AccountName, name: PermissionName, terms: Terms) -> Action {
    act(PROPOSE, &ProposeArguments { proposer, name, terms })
}

/// The action by which `by` approves.
pub fn approve_action(arguments: &ApproveArguments) -> Action {
    act(APPROVE, arguments)
}

/// The action by which `by` takes its approval back.
pub fn withdraw_action(arguments: &ApproveArguments) -> Action {
    act(WITHDRAW, arguments)
}

/// The action that has a proposal done.
pub fn execute_action(arguments: &ProposalArguments) -> Action {
    act(EXECUTE, arguments)
}

/// The action that takes a proposal away.
pub fn cancel_action(arguments: &ProposalArguments) -> Action {
    act(CANCEL, arguments)
}

fn act(action: ActionName, arguments: &impl Canonical) -> Action {
    Action { contract: SYSTEM, action, arguments: arguments.to_bytes() }
}

impl Proposal {
    /// A proposal that nobody has approved yet.
    fn new(chain: ChainId, proposer: AccountName, name: PermissionName, at: UnixMillis, terms: Terms) -> Self {
        let place = [proposer.to_bytes(), name.to_bytes(), at.0.to_le_bytes().to_vec()].concat();
        let id = Hash::of_parts("proposal", &[&chain.0.0, &place, &terms.to_bytes()]);
        let approvals = terms.asked.iter().map(|by| Approval { by: by.clone(), authority: Hash::ZERO }).collect();
        Self { id, terms, approvals, due_ms: 0 }
    }

    /// Those who approve: their permission is what it was when it did.
    ///
    /// # Errors
    /// What `accounts` says.
    pub fn approvals<E>(&self, accounts: &mut authority::Accounts<'_, E>) -> Result<Vec<Authorisation>, E> {
        let mut approving = Vec::new();
        for approval in self.approvals.iter().filter(|approval| approval.authority != Hash::ZERO) {
            let account = accounts(approval.by.account)?;
            let permission = account.as_ref().and_then(|account| account.permission(approval.by.permission));
            if permission.is_some_and(|permission| fingerprint(&permission.authority) == approval.authority) {
                approving.push(approval.by.clone());
            }
        }
        Ok(approving)
    }

    /// Whether it waits for its time.
    pub fn is_due(&self) -> bool {
        self.due_ms != 0
    }

    /// What lies in the state for it.
    fn room(&self, proposer: AccountName, name: PermissionName) -> usize {
        let place = place(proposer, name.as_str().as_bytes());
        key::of_place(place).len() + store(self).len() + DUE_LEN
    }
}

/// Bytes of the queue's key, and of its value between the longest names: paid for from the start, so that nobody pays
/// when a proposal becomes due.
const DUE_LEN: usize = 160;

fn fingerprint(authority: &Authority) -> Hash {
    Hash::of_parts("approval", &[&authority.to_bytes()])
}

fn place(proposer: AccountName, name: &[u8]) -> Place<'_> {
    Place { account: proposer, table: PROPOSAL, sub_key: name }
}

/// Where a proposal waits for its time: by that, then by its id.
fn due_sub_key(due_ms: u64, id: &Hash) -> [u8; 40] {
    let mut sub_key = [0; 40];
    sub_key[..8].copy_from_slice(&due_ms.to_be_bytes());
    sub_key[8..].copy_from_slice(&id.0);
    sub_key
}

/// From which block time on what waits under that key of the queue is due; `None` if it is no such key.
pub(crate) fn due_ms_of(key: &[u8]) -> Option<u64> {
    let place = key::parse(key).filter(|place| place.account == SYSTEM && place.table == DUE)?;
    place.sub_key.first_chunk().map(|time| u64::from_be_bytes(*time))
}

pub(super) fn propose(host: &mut dyn Host, chain: ChainId, call: &Call<'_>) -> Result<(), Stop> {
    let ProposeArguments { proposer, name, terms } = arguments(call.arguments)?;
    if !host.is_permitted(proposer, &Intent::default())? {
        return Err(RejectReason::Unauthorised.into());
    }
    let now = host.block_time();
    judge(&terms, now)?;
    for asked in &terms.asked {
        judge_reference(host, asked)?;
    }
    if host.read(place(proposer, name.as_str().as_bytes()))?.is_some() {
        return Err(RejectReason::ProposalExists.into());
    }
    let proposal = Proposal::new(chain, proposer, name, now, terms);
    deposit::resize(host, proposer, proposer, 0, proposal.room(proposer, name))?;
    put(host, proposer, name, &proposal)?;
    tell(host, call)
}

fn judge(terms: &Terms, now: UnixMillis) -> Result<(), RejectReason> {
    let ascends = terms.asked.windows(2).all(|pair| pair[0] < pair[1]);
    let expires = now.0 < terms.expiry_ms && terms.expiry_ms - now.0 <= PROPOSAL_EXPIRY_AHEAD_MS_MAX;
    if ascends && expires && terms.delay_ms <= PROPOSAL_DELAY_MS_MAX { Ok(()) } else { Err(RejectReason::BadProposal) }
}

pub(super) fn approve(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let arguments: ApproveArguments = arguments(call.arguments)?;
    let permission = need_account(host, arguments.by.account)?.permission(arguments.by.permission).cloned();
    let permission = permission.ok_or(RejectReason::NoSuchPermission)?;
    answer(host, &arguments, fingerprint(&permission.authority))?;
    tell(host, call)
}

pub(super) fn withdraw(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    answer(host, &arguments(call.arguments)?, Hash::ZERO)?;
    tell(host, call)
}

/// Notes what one who was asked says.
fn answer(host: &mut dyn Host, arguments: &ApproveArguments, authority: Hash) -> Result<(), Stop> {
    let ApproveArguments { proposer, name, id, by } = arguments;
    let mut proposal = need(host, *proposer, *name, id)?;
    let place = proposal.approvals.binary_search_by(|approval| approval.by.cmp(by));
    let approval = &mut proposal.approvals[place.map_err(|_| RejectReason::NotAsked)?];
    if !host.is_authorised(by.account, by.permission)? {
        return Err(RejectReason::Unauthorised.into());
    }
    approval.authority = authority;
    put(host, *proposer, *name, &proposal)
}

pub(super) fn execute(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let ProposalArguments { proposer, name, id } = arguments(call.arguments)?;
    let mut proposal = need(host, proposer, name, &id)?;
    let now = host.block_time();
    if proposal.is_due() {
        return Err(RejectReason::Scheduled.into());
    }
    if now.0 > proposal.terms.expiry_ms {
        return Err(RejectReason::Expired.into());
    }
    let mut accounts = |account| find_account(host, account);
    let approvals = proposal.approvals(&mut accounts)?;
    let standing = Standing { keys: &[], approvals: &approvals, waited_ms: proposal.terms.delay_ms };
    for named in &proposal.terms.authorisations {
        if authority::judge(named, standing, &mut accounts)?.is_none() {
            return Err(RejectReason::Unauthorised.into());
        }
    }
    proposal.due_ms = now.plus(proposal.terms.delay_ms).0;
    put(host, proposer, name, &proposal)?;
    let sub_key = due_sub_key(proposal.due_ms, &id);
    host.write(Place { account: SYSTEM, table: DUE, sub_key: &sub_key }, &store(&Due { proposer, name }))?;
    tell(host, call)
}

pub(super) fn cancel(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Stop> {
    let ProposalArguments { proposer, name, id } = arguments(call.arguments)?;
    let proposal = need(host, proposer, name, &id)?;
    let has_expired = !proposal.is_due() && host.block_time().0 > proposal.terms.expiry_ms;
    if !has_expired && !may_cancel(host, proposer, &proposal)? {
        return Err(RejectReason::Unauthorised.into());
    }
    take(host, proposer, name, &proposal)?;
    tell(host, call)
}

fn may_cancel(host: &mut dyn Host, proposer: AccountName, proposal: &Proposal) -> Result<bool, Stop> {
    for named in &proposal.terms.authorisations {
        if host.is_authorised(named.account, named.permission)? {
            return Ok(true);
        }
    }
    Ok(host.is_permitted(proposer, &Intent::default())?)
}

/// Takes a proposal away, from the queue too, and gives back what was paid for its room.
pub(crate) fn take(
    host: &mut dyn Host,
    proposer: AccountName,
    name: PermissionName,
    proposal: &Proposal,
) -> Result<(), Stop> {
    host.remove(place(proposer, name.as_str().as_bytes()))?;
    if proposal.is_due() {
        let sub_key = due_sub_key(proposal.due_ms, &proposal.id);
        host.remove(Place { account: SYSTEM, table: DUE, sub_key: &sub_key })?;
    }
    deposit::resize(host, proposer, proposer, proposal.room(proposer, name), 0)
}

fn put(host: &mut dyn Host, proposer: AccountName, name: PermissionName, proposal: &Proposal) -> Result<(), Stop> {
    Ok(host.write(place(proposer, name.as_str().as_bytes()), &store(proposal))?)
}

/// The proposal of that name, if it is the one of that id.
fn need(host: &mut dyn Host, proposer: AccountName, name: PermissionName, id: &Hash) -> Result<Proposal, Stop> {
    let bytes = host.read(place(proposer, name.as_str().as_bytes()))?.ok_or(RejectReason::NoSuchProposal)?;
    let proposal: Proposal = load(bytes).ok_or(Stop::Damaged)?;
    if proposal.id == *id { Ok(proposal) } else { Err(RejectReason::NoSuchProposal.into()) }
}

fn find_account(host: &mut dyn Host, account: AccountName) -> Result<Option<Account>, Stop> {
    let record: Option<Bytes> = host.read(Place { account, table: ACCOUNT, sub_key: &[] })?.map(Bytes::from);
    record.map(|record| load(&record).ok_or(Stop::Damaged)).transpose()
}
