//! `hpb man`: manual pages, made of the definitions that the command line is read by.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use hpb_chart::report::{ReportError, write_files};

use crate::bench::print;
use crate::command_line::CommandLine;
use crate::failure::Failure;

/// Writes a page of the program and of each verb: `hpb.1`, `hpb-lab.1`, `hpb-lab-run.1`.
pub(crate) fn write(folder: &Path) -> Result<(), Failure> {
    // `help` repeats what every page says.
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    gather(command, &mut pages).map_err(Failure::work)?;
    write_files(folder, &pages).map_err(|error| match error {
        ReportError::Write { path, source } => {
            Failure::input(format_args!("manual pages: {} cannot be written: {source}", path.display()))
        }
        ReportError::Figure(_) => Failure::work(error),
    })?;
    print(&format!("manual pages in {}: `man -l {}` reads one\n", folder.display(), folder.join("hpb.1").display()))
}

/// The pages of a command and of all below it that is shown, by file name.
fn gather(command: Command, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()).cloned() {
        gather(below, pages)?;
    }
    let (page, mut text) = (Man::new(command), Vec::new());
    page.render(&mut text)?;
    pages.push((page.get_filename(), String::from_utf8_lossy(&text).into_owned()));
    Ok(())
}
