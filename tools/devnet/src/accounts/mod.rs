//! One account as a chain's final state has it, and why keys may act for it or may not.
//!
//! Refused are folders that hold no devnet's chain, and accounts that are not there.

pub(crate) mod attested;
mod text;

use std::path::Path;

use hpb_base::limits::HISTORY_PAGE_MAX;
use hpb_ledger::account::{Parent, Permission};
use hpb_ledger::authority::Standing;
use hpb_ledger::authority::delegation::{ActionPattern, Bound, Delegation, Policy};
use hpb_ledger::authority::explain::{Explained, Finding, Part, PartKind, Verdict};
use hpb_ledger::{AccountState, ExecuteError, Ledger, Store};
use hpb_types::{AccountName, Authorisation};
use serde::{Deserialize, Serialize};

use crate::chain_view::ChainView;
use crate::report::decimal;
use crate::run::DevnetError;

/// An account at one final slice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountRow {
    /// The chain, in hexadecimal digits.
    pub chain: String,
    /// The slice's slot.
    pub slot: u64,
    /// Its index there.
    pub index: u32,
    /// The account's name.
    pub name: String,
    /// What it holds, in the smallest unit, as every amount that follows.
    #[serde(with = "decimal")]
    pub balance: u128,
    /// What it has staked.
    #[serde(with = "decimal")]
    pub staked: u128,
    /// What comes to it later, the earliest first.
    pub vesting: Vec<VestingRow>,
    /// What it has paid for its room in the state.
    pub deposit: DepositRow,
    /// Its permissions, each after the one that it stands under.
    pub permissions: Vec<PermissionRow>,
    /// Its roles.
    pub roles: Vec<RoleRow>,
}

/// A part of what comes to an account later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VestingRow {
    /// From which block time on, in milliseconds since 1970.
    pub free_at_unix_ms: u64,
    /// How much.
    #[serde(with = "decimal")]
    pub amount: u128,
}

/// What an account has paid for its room in the state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DepositRow {
    /// For how many bytes.
    pub bytes: u64,
    /// How much.
    #[serde(with = "decimal")]
    pub amount: u128,
}

/// A permission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PermissionRow {
    /// Its name.
    pub name: String,
    /// What it stands under; none is above the root.
    pub parent: Option<String>,
    /// How far below the root it stands.
    pub depth: u32,
    /// The weight that satisfies it.
    pub threshold: u32,
    /// Its parts.
    pub parts: Vec<PartRow>,
}

/// A part of a permission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartRow {
    /// What it counts.
    pub weight: u16,
    /// A key in hexadecimal digits, a permission as `account@permission`, or a wait.
    pub part: PartOf,
}

/// What a part of a permission is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartOf {
    /// A key, in hexadecimal digits.
    Key(String),
    /// A permission, as `account@permission`.
    Account(String),
    /// A delay in milliseconds.
    WaitMs(u64),
}

/// A role, and who has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoleRow {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub policies: Vec<PolicyRow>,
    /// Who has it, as `account@permission`.
    pub granted_to: Vec<String>,
}

/// A policy of a role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyRow {
    /// The contract that may be called.
    pub contract: String,
    /// The action; any if none is named.
    pub action: Option<String>,
    /// Whom it may be done to; anybody if nobody is named.
    pub counterparties: Vec<String>,
    /// What may leave the account in one transaction, in decimal digits.
    pub per_transaction_max: Option<String>,
    /// What may leave it in one day.
    pub per_day_max: Option<String>,
    /// From when on, in milliseconds since 1970.
    pub from_unix_ms: u64,
    /// Until when; none is without end.
    pub until_unix_ms: Option<u64>,
    /// When in a week, UTC; always if there is none.
    pub windows: Vec<WindowRow>,
}

/// The same minutes of some days of each week.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WindowRow {
    /// The days, as `mon` to `sun`.
    pub days: Vec<String>,
    /// The first minute of the day.
    pub from_minute: u16,
    /// The first minute after it.
    pub until_minute: u16,
}

/// Why keys satisfy a permission, or do not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExplainedRow {
    /// The permission, as `account@permission`.
    pub asked: String,
    /// Whether it is satisfied.
    pub is_satisfied: bool,
    /// Why, in words.
    pub why: String,
    /// What was weighed: the permission, then those above it, until one was satisfied.
    pub weighed: Vec<WeighedRow>,
}

/// One permission against its threshold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WeighedRow {
    /// Which.
    pub permission: String,
    /// The weight that satisfies it.
    pub threshold: u32,
    /// What its parts came to.
    pub reached: u32,
    /// Its parts.
    pub parts: Vec<FoundRow>,
}

/// What was found of one part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FoundRow {
    /// The part.
    #[serde(flatten)]
    pub part: PartRow,
    /// Whether it counts.
    pub counts: bool,
    /// Why, in words.
    pub why: String,
    /// What an account's permission came to, where it was looked at.
    pub account: Option<Box<ExplainedRow>>,
}

/// A page of the chain's accounts, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountsRow {
    /// The chain, in hexadecimal digits.
    pub chain: String,
    /// The final slice's slot.
    pub slot: u64,
    /// Its index there.
    pub index: u32,
    /// The accounts, ascending by name.
    pub accounts: Vec<ListedRow>,
    /// The name after which the next page begins; none where this is the last one.
    pub next_after: Option<String>,
}

/// An account among others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListedRow {
    /// Its name.
    pub name: String,
    /// What it holds, in the smallest unit.
    #[serde(with = "decimal")]
    pub balance: u128,
}

/// The first accounts by name whose names begin with `prefix` and come after `after`: `limit` at most. A name that is made
/// between two pages is in the second one if it comes after the first one's last; none is told twice.
///
/// # Errors
/// Those of [`read`].
pub fn list(
    data: &Path,
    validator: usize,
    prefix: &str,
    after: Option<AccountName>,
    limit: usize,
) -> Result<AccountsRow, DevnetError> {
    let ChainView { genesis, ledger, .. } = ChainView::open(data, validator)?;
    let at = ledger.final_slice();
    let limit = limit.min(HISTORY_PAGE_MAX);
    let mut names = ledger.account_names(prefix, after, limit.saturating_add(1))?;
    let is_more = names.len() > limit;
    names.truncate(limit);
    let mut accounts = Vec::with_capacity(names.len());
    for name in &names {
        // One that is newer than the slice that is looked at is left to the next page that is asked for.
        if let Some(account) = ledger.account(&at.id, *name)? {
            accounts.push(ListedRow { name: name.to_string(), balance: account.balance.0 });
        }
    }
    Ok(AccountsRow {
        chain: genesis.chain_id().0.to_hex(),
        slot: at.height.slot.0,
        index: at.height.index,
        accounts,
        next_after: names.last().filter(|_| is_more).map(AccountName::to_string),
    })
}

/// Reads an account of the final state that validator `validator` has left in a devnet's data folder; `None` if it does
/// not exist.
///
/// # Errors
/// No such folder, none of a devnet, one without that validator or in use; a disk that can't be read.
pub fn read(data: &Path, validator: usize, name: AccountName) -> Result<Option<AccountRow>, DevnetError> {
    let ChainView { ledger, .. } = ChainView::open(data, validator)?;
    Ok(AccountRow::new(&ledger, name)?)
}

/// Why `standing` satisfies `asked`, or does not, by the state that validator `validator` has.
///
/// # Errors
/// Those of [`read`].
pub fn explain(
    data: &Path,
    validator: usize,
    asked: &Authorisation,
    standing: Standing<'_>,
) -> Result<ExplainedRow, DevnetError> {
    let ChainView { ledger, .. } = ChainView::open(data, validator)?;
    Ok(ExplainedRow::from(&ledger.explain(&ledger.final_slice().id, asked, standing)?))
}

impl AccountRow {
    /// An account at a ledger's final slice; `None` if it does not exist.
    ///
    /// # Errors
    /// A state that can't be read.
    pub fn new<S: Store>(ledger: &Ledger<S>, name: AccountName) -> Result<Option<Self>, ExecuteError> {
        let at = ledger.final_slice();
        let Some(state) = ledger.account(&at.id, name)? else { return Ok(None) };
        let stake = ledger.stake(&at.id, name)?;
        let AccountState { name, record, balance, deposit, delegation, vesting } = state;
        Ok(Some(Self {
            chain: ledger.rules().chain.0.to_hex(),
            slot: at.height.slot.0,
            index: at.height.index,
            name: name.to_string(),
            balance: balance.0,
            staked: stake.staked.0,
            vesting: vesting
                .iter()
                .map(|part| VestingRow { free_at_unix_ms: part.free_at_ms, amount: part.amount.0 })
                .collect(),
            deposit: DepositRow { bytes: deposit.bytes, amount: deposit.amount.0 },
            permissions: tree(&record.permissions),
            roles: roles(&delegation),
        }))
    }
}

/// The permissions, each after the one that it stands under.
fn tree(permissions: &[Permission]) -> Vec<PermissionRow> {
    fn below(permissions: &[Permission], parent: Parent, depth: u32, rows: &mut Vec<PermissionRow>) {
        for permission in permissions.iter().filter(|permission| permission.parent == parent) {
            rows.push(PermissionRow {
                name: permission.name.to_string(),
                parent: match parent {
                    Parent::Root => None,
                    Parent::Under(parent) => Some(parent.to_string()),
                },
                depth,
                threshold: permission.authority.threshold,
                parts: parts(permission),
            });
            below(permissions, Parent::Under(permission.name), depth + 1, rows);
        }
    }
    let mut rows = Vec::with_capacity(permissions.len());
    below(permissions, Parent::Root, 0, &mut rows);
    rows
}

fn parts(permission: &Permission) -> Vec<PartRow> {
    let authority = &permission.authority;
    let keys = authority.keys.iter().map(|part| (part.weight, PartKind::Key(part.key)));
    let accounts = authority.accounts.iter().map(|part| (part.weight, PartKind::Account(part.authorisation.clone())));
    let waits = authority.waits.iter().map(|part| (part.weight, PartKind::Wait(part.wait_ms)));
    keys.chain(accounts).chain(waits).map(|(weight, kind)| PartRow { weight, part: PartOf::from(&kind) }).collect()
}

fn roles(delegation: &Delegation) -> Vec<RoleRow> {
    let granted = |role| delegation.grants.iter().filter(move |grant| grant.role == role);
    let row = |role: &hpb_ledger::authority::delegation::Role| RoleRow {
        name: role.name.to_string(),
        policies: role.policies.iter().map(PolicyRow::from).collect(),
        granted_to: granted(role.name).map(|grant| named(&grant.to)).collect(),
    };
    delegation.roles.iter().map(row).collect()
}

fn named(authorisation: &Authorisation) -> String {
    format!("{}@{}", authorisation.account, authorisation.permission)
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl From<&Policy> for PolicyRow {
    fn from(policy: &Policy) -> Self {
        let bound = |bound| match bound {
            Bound::None => None,
            Bound::AtMost(amount) => Some(amount.0.to_string()),
        };
        let window = |window: &hpb_ledger::authority::delegation::Window| WindowRow {
            days: (0..)
                .zip(DAYS)
                .filter(|(bit, _)| window.days & (1 << bit) != 0)
                .map(|(_, day)| day.to_owned())
                .collect(),
            from_minute: window.from_minute,
            until_minute: window.until_minute,
        };
        Self {
            contract: policy.contract.to_string(),
            action: match policy.action {
                ActionPattern::Any => None,
                ActionPattern::One(action) => Some(action.to_string()),
            },
            counterparties: policy.counterparties.iter().map(ToString::to_string).collect(),
            per_transaction_max: bound(policy.per_transaction_max),
            per_day_max: bound(policy.per_day_max),
            from_unix_ms: policy.from_ms,
            until_unix_ms: (policy.until_ms != u64::MAX).then_some(policy.until_ms),
            windows: policy.windows.iter().map(window).collect(),
        }
    }
}

impl From<&PartKind> for PartOf {
    fn from(kind: &PartKind) -> Self {
        match kind {
            PartKind::Key(key) => Self::Key(key.to_hex()),
            PartKind::Account(authorisation) => Self::Account(named(authorisation)),
            PartKind::Wait(wait_ms) => Self::WaitMs(*wait_ms),
        }
    }
}

impl From<&Explained> for ExplainedRow {
    fn from(explained: &Explained) -> Self {
        let asked = named(&explained.asked);
        let why = match explained.verdict {
            Verdict::Satisfied(by) if by == explained.asked.permission => "its own threshold is reached".to_owned(),
            Verdict::Satisfied(by) => format!("{by}, which stands above it, is satisfied"),
            Verdict::Approved => "it was approved".to_owned(),
            Verdict::Unsatisfied => "neither it nor what stands above it is satisfied".to_owned(),
            Verdict::NoSuchAccount => "there is no such account".to_owned(),
            Verdict::NoSuchPermission => "the account has no such permission".to_owned(),
            Verdict::OutOfSteps => "the check had looked at as much as it may".to_owned(),
        };
        let weighed = explained.weighed.iter().map(|weighed| WeighedRow {
            permission: weighed.permission.to_string(),
            threshold: weighed.threshold,
            reached: weighed.reached,
            parts: weighed.parts.iter().map(FoundRow::from).collect(),
        });
        Self { asked, is_satisfied: explained.is_satisfied(), why, weighed: weighed.collect() }
    }
}

impl From<&Part> for FoundRow {
    fn from(part: &Part) -> Self {
        let (why, account) = match &part.finding {
            Finding::Signed => ("signed", None),
            Finding::NotSigned => ("did not sign", None),
            Finding::Account(explained) if explained.is_satisfied() => ("satisfied", Some(explained)),
            Finding::Account(explained) => ("not satisfied", Some(explained)),
            Finding::TooDeep => ("too many references lie before it", None),
            Finding::Waited => ("waited", None),
            Finding::NotWaited => ("did not wait that long", None),
            Finding::NotNeeded => ("not needed any more", None),
        };
        Self {
            part: PartRow { weight: part.weight, part: PartOf::from(&part.kind) },
            counts: part.counts(),
            why: why.to_owned(),
            account: account.map(|explained| Box::new(ExplainedRow::from(&**explained))),
        }
    }
}
