//! `hpb man`: manual pages, made of the definitions that the command line is read by.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;

use crate::bench::print;
use crate::command_line::CommandLine;
use crate::failure::Failure;

/// Writes a page of the program and of each verb: `hpb.1`, `hpb-lab.1`, `hpb-lab-run.1`.
pub(crate) fn write(folder: &Path) -> Result<(), Failure> {
    let failed =
        |error| Failure::input(format_args!("manual pages cannot be written to {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    // `help` repeats what every page says.
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    print(&format!("manual pages in {}: `man -l {}` reads one\n", folder.display(), folder.join("hpb.1").display()))
}
