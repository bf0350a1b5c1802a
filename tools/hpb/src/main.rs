//! The one binary: `hpb <verb>`.
//!
//! It reads the command line, calls the crate that does the verb's work, and turns what went wrong into one line and an
//! exit code: 0 done, 1 failed on the way, 2 asked for what cannot be done (an unknown option, a wrong value, a file
//! that cannot be written).

mod account;
mod bench;
mod block;
mod card;
mod command_line;
mod devnet;
mod failure;
mod genesis;
mod key;
mod lab;
mod ledger;
mod manual;
mod peer;
mod producer;
mod send;
mod sim;
mod token;
mod transaction;
mod tune;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;

use command_line::{CommandLine, Verb};
use failure::Failure;

fn main() -> ExitCode {
    // Before any thread: a lane must never wait while the heap gives pages back.
    hpb_host::sys::heap::keep();
    let done = match CommandLine::try_parse() {
        Ok(CommandLine { verb: Verb::Account { what } }) => account::run(what),
        Ok(CommandLine { verb: Verb::Bench { what } }) => bench::run(what),
        Ok(CommandLine { verb: Verb::Block { what } }) => block::run(what),
        Ok(CommandLine { verb: Verb::Card(options) }) => card::run(*options),
        Ok(CommandLine { verb: Verb::Completion { shell } }) => completion(shell),
        Ok(CommandLine { verb: Verb::Devnet(options) }) => devnet::run(options),
        Ok(CommandLine { verb: Verb::Genesis { what } }) => genesis::run(what),
        Ok(CommandLine { verb: Verb::Lab { what } }) => lab::run(what),
        Ok(CommandLine { verb: Verb::Ledger { what } }) => ledger::run(what),
        Ok(CommandLine { verb: Verb::Man { folder } }) => manual::write(&folder),
        Ok(CommandLine { verb: Verb::Key { what } }) => key::run(what),
        Ok(CommandLine { verb: Verb::Peer { what } }) => peer::run(what),
        Ok(CommandLine { verb: Verb::Producer { what } }) => producer::run(what),
        Ok(CommandLine { verb: Verb::Sim(options) }) => sim::simulate(&options),
        Ok(CommandLine { verb: Verb::Token { what } }) => token::run(what),
        Ok(CommandLine { verb: Verb::Tx { what } }) => transaction::run(what),
        Ok(CommandLine { verb: Verb::Tune { what } }) => tune::run(what),
        Err(error) => Failure::of_command_line(&error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hpb: {failure}");
            failure.exit_code()
        }
    }
}

/// Writes what the shell reads.
fn completion(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "hpb", &mut script);
    bench::print(&String::from_utf8_lossy(&script))
}
