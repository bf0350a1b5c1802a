//! `hpb token`: a chain's token as a devnet has left it.

use hpb_devnet::token::{supply, vesting};

use crate::bench::print;
use crate::command_line::Token;
use crate::failure::Failure;
use crate::producer::print_json;

pub(crate) fn run(what: Token) -> Result<(), Failure> {
    match what {
        Token::Supply(source) => {
            let supply = supply(&source.data, source.validator).map_err(Failure::input)?;
            if source.json { print_json(&supply) } else { print(&supply.detail()) }
        }
        Token::Vesting(source) => {
            let vesting = vesting(&source.data, source.validator).map_err(Failure::input)?;
            if source.json { print_json(&vesting) } else { print(&vesting.detail()) }
        }
    }
}
