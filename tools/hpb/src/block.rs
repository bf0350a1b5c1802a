//! `hpb block`: blocks of a devnet's chain.

use hpb_devnet::history::blocks::{block, blocks};

use crate::bench::print;
use crate::command_line::Block;
use crate::failure::Failure;
use crate::producer::print_json;

pub(crate) fn run(what: Block) -> Result<(), Failure> {
    match what {
        Block::Show { slot, after, limit, source } => {
            let found = block(&source.data, source.validator, slot, after, limit).map_err(Failure::input)?;
            let found = found.ok_or_else(|| Failure::input(format_args!("slot {slot} has no final block")))?;
            if source.json { print_json(&found) } else { print(&found.detail()) }
        }
        Block::List { from, until, after, limit, source } => {
            let found = blocks(&source.data, source.validator, (from, until), after, limit).map_err(Failure::input)?;
            if source.json { print_json(&found) } else { print(&found.detail()) }
        }
    }
}
