//! `hpb account`.

use clap::{Args, Subcommand};
use hpb_base::limits::HISTORY_PAGE_MAX;
use hpb_ledger::account::Authority;
use hpb_ledger::authority::delegation::{ActionPattern, Window};
use hpb_ledger::history::Kind;
use hpb_types::{AccountName, Amount, Authorisation, PermissionName, PublicKey};

use super::ChainSource;
use super::block::Part;
use super::transaction::Sending;
use super::values::{
    action_pattern, amount, authorisation, authority, kind, name_prefix, public_key, time_ms, up_to, week,
};

#[derive(Subcommand, Debug)]
pub(crate) enum Account {
    /// Make an account
    #[command(
        after_help = "An authority is a key in hexadecimal digits, a permission as NAME@PERMISSION, or several with \
                            weights and waits, as in \"2 of alice@active, bob@active*2, wait:86400\".\n\nExamples:\n  \
                            hpb account create alice club --owner \"2 of alice@active, bob@active\" --key alice.key \
                            --data chain\n  hpb account create alice carol --owner $(hpb key show carol.key) --key \
                            alice.key --data chain"
    )]
    Create {
        /// Who makes it, and pays for its room
        #[arg(value_name = "CREATOR")]
        creator: AccountName,

        /// Its name
        #[arg(value_name = "NAME")]
        name: AccountName,

        /// What satisfies `owner`
        #[arg(long, value_name = "AUTHORITY", value_parser = authority)]
        owner: Authority,

        /// What satisfies `active` [default: the same]
        #[arg(long, value_name = "AUTHORITY", value_parser = authority)]
        active: Option<Authority>,

        /// Make it though people may take its name for another account's
        #[arg(long)]
        despite_look_alikes: bool,

        #[command(flatten)]
        sending: Sending,
    },
    /// Its balance, permissions, roles, and to whom they are granted
    #[command(after_help = "Example:\n  hpb account show validator-0 --data chain")]
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: AccountName,

        #[command(flatten)]
        source: ChainSource,
    },
    /// Make a permission or change it; or take one away
    #[command(after_help = "Examples:\n  hpb account set alice active --to $(hpb key show new.key) --by alice@owner \
                            --key alice.key --data chain\n  hpb account set alice trade --under active --to bob@active \
                            --key alice.key --data chain\n  hpb account set alice trade --delete --key alice.key --data \
                            chain")]
    Set {
        /// Whose tree
        #[arg(value_name = "NAME")]
        account: AccountName,

        /// Which permission
        #[arg(value_name = "PERMISSION")]
        permission: PermissionName,

        /// What satisfies it
        #[arg(long, value_name = "AUTHORITY", value_parser = authority, required_unless_present = "delete")]
        to: Option<Authority>,

        /// What it stands under [default: what it stands under now, `owner` if it is new]
        #[arg(long, value_name = "PERMISSION")]
        under: Option<PermissionName>,

        /// Take it away
        #[arg(long, conflicts_with_all = ["to", "under"])]
        delete: bool,

        #[command(flatten)]
        sending: Sending,
    },
    /// Why keys satisfy a permission, or do not: key by key
    #[command(after_help = "Example:\n  hpb account explain validator-0@owner --key \
                            8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c --data chain")]
    Explain {
        /// The permission; `active` if none is named
        #[arg(value_name = "NAME[@PERMISSION]", value_parser = authorisation)]
        permission: Authorisation,

        /// A key that signs, in hexadecimal digits; once for each
        #[arg(long = "key", value_name = "KEY", value_parser = public_key)]
        keys: Vec<PublicKey>,

        /// A permission that approved; once for each
        #[arg(long = "approved", value_name = "NAME[@PERMISSION]", value_parser = authorisation)]
        approvals: Vec<Authorisation>,

        /// How long it has waited, in seconds
        #[arg(long, value_name = "S", default_value_t = 0)]
        waited_s: u64,

        #[command(flatten)]
        source: ChainSource,
    },
    /// Have the chain say what an account is and holds, in a receipt that can be proven to whoever has no chain
    #[command(after_help = "Example:\n  hpb account attest alice carol --key alice.key --data chain")]
    Attest {
        /// Who asks, and pays for the answer
        #[arg(value_name = "ASKER")]
        asker: AccountName,

        /// The account; that it does not exist is an answer too
        #[arg(value_name = "NAME")]
        name: AccountName,

        #[command(flatten)]
        sending: Sending,
    },
    /// Let a permission do something in an account's name, within bounds: a policy of a role, granted; or no more
    #[command(after_help = "Examples:\n  hpb account link alice pays --to cashier@active --call token/transfer \
                            --per-day 100 --week mon-fri/09:00-17:00 --key alice.key --data chain\n  hpb account link \
                            alice pays --to cashier@active --revoke --key alice.key --data chain")]
    Link {
        /// In whose name
        #[arg(value_name = "NAME")]
        account: AccountName,

        /// The role
        #[arg(value_name = "ROLE")]
        role: PermissionName,

        /// Who may
        #[arg(long, value_name = "NAME[@PERMISSION]", value_parser = authorisation)]
        to: Authorisation,

        /// Take the role from it
        #[arg(long)]
        revoke: bool,

        #[command(flatten)]
        policy: PolicyOptions,

        #[command(flatten)]
        sending: Sending,
    },
    /// The transactions that an account paid for or that name it, in the chain's order
    ///
    /// From the index that the validator keeps; without one the chain is executed from its genesis. A page goes on from a
    /// place in the chain, so that what comes meanwhile is neither skipped nor told twice.
    #[command(
        after_help = "Examples:\n  hpb account history alice --limit 20 --data chain\n  hpb account history alice \
                            --kind token/transfer --from 2027-01-31T12:00:00Z --newest --data chain\n  hpb account \
                            history alice --after 1234.5.6 --data chain"
    )]
    History {
        /// The account
        #[arg(value_name = "NAME")]
        name: AccountName,

        /// Only what was asked for or happened so
        #[arg(long, value_name = "CONTRACT/ACTION", value_parser = kind)]
        kind: Option<Kind>,

        #[command(flatten)]
        part: Part,

        #[command(flatten)]
        source: ChainSource,
    },
    /// The accounts by name, with what they hold
    #[command(
        after_help = "Examples:\n  hpb account list --prefix validator- --data chain\n  hpb account list --after \
                            alice --limit 20 --data chain"
    )]
    List {
        /// Only names that begin so
        #[arg(long, value_name = "TEXT", value_parser = name_prefix, default_value = "", hide_default_value = true)]
        prefix: String,

        /// Only after this name, as the last line of a page says it
        #[arg(long, value_name = "NAME")]
        after: Option<AccountName>,

        /// As many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = up_to(HISTORY_PAGE_MAX))]
        limit: usize,

        #[command(flatten)]
        source: ChainSource,
    },
}

/// What a link allows. Without a call the role is granted as it is.
#[derive(Args, Clone, Debug)]
pub(crate) struct PolicyOptions {
    /// Which calls: CONTRACT/ACTION, or CONTRACT for all of them; the role becomes this one policy
    #[arg(long, value_name = "CONTRACT[/ACTION]", value_parser = action_pattern)]
    pub(crate) call: Option<(AccountName, ActionPattern)>,

    /// To whom it may be done; once for each [default: anybody]
    #[arg(long = "with", value_name = "NAME", requires = "call")]
    pub(crate) counterparties: Vec<AccountName>,

    /// The most that leaves the account in a transaction, in tokens
    #[arg(long, value_name = "TOKENS", value_parser = amount, requires = "call")]
    pub(crate) per_transaction: Option<Amount>,

    /// The most that leaves it in a day, in tokens
    #[arg(long, value_name = "TOKENS", value_parser = amount, requires = "call")]
    pub(crate) per_day: Option<Amount>,

    /// From when on: a date, as 2027-01-01
    #[arg(long, value_name = "DATE", value_parser = time_ms, requires = "call")]
    pub(crate) from: Option<u64>,

    /// Until when: a date
    #[arg(long, value_name = "DATE", value_parser = time_ms, requires = "call")]
    pub(crate) until_date: Option<u64>,

    /// When in a week, in UTC: days and hours, as mon-fri/09:00-17:00; once for each
    #[arg(long, value_name = "DAYS/HOURS", value_parser = week, requires = "call")]
    pub(crate) week: Vec<Window>,
}
