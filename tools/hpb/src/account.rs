//! `hpb account`: one account as a devnet has left it.

use hpb_devnet::accounts::{explain, read};

use crate::bench::print;
use crate::command_line::Account;
use crate::failure::Failure;
use crate::producer::print_json;

pub(crate) fn run(what: Account) -> Result<(), Failure> {
    match what {
        Account::Show { name, source } => {
            let account = read(&source.data, source.validator, name).map_err(Failure::input)?;
            let account = account.ok_or_else(|| Failure::input(format_args!("there is no account `{name}`")))?;
            if source.json { print_json(&account) } else { print(&account.detail()) }
        }
        Account::Explain { permission, keys, source } => {
            let explained = explain(&source.data, source.validator, &permission, &keys).map_err(Failure::input)?;
            if source.json { print_json(&explained) } else { print(&explained.detail()) }
        }
    }
}
