//! Why a verb ended early: one line for the user and an exit code for scripts.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::bench::print;

/// What is said, and with which code the program ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    line: String,
    code: u8,
}

impl Failure {
    /// What was asked cannot be done: nothing was begun.
    pub(crate) fn input(reason: impl fmt::Display) -> Self {
        Self { line: reason.to_string(), code: 2 }
    }

    /// It went wrong on the way.
    pub(crate) fn work(reason: impl fmt::Display) -> Self {
        Self { line: reason.to_string(), code: 1 }
    }

    /// Prints help and versions, which are no failure; makes one line of anything else that the parser says.
    pub(crate) fn of_command_line(error: &clap::Error) -> Result<(), Self> {
        if !error.use_stderr() {
            let colour = io::stdout().is_terminal();
            let text = error.render();
            return print(&if colour { text.ansi().to_string() } else { text.to_string() });
        }
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Err(Self::input("a verb is missing (`hpb help` tells which there are)"));
        }
        let text = error.to_string();
        // The first paragraph says what is wrong; usage and tips follow.
        let words: Vec<&str> =
            text.lines().take_while(|line| !line.trim().is_empty()).flat_map(str::split_whitespace).collect();
        let line = words.join(" ");
        let line = line.strip_prefix("error: ").unwrap_or(&line);
        Err(Self::input(format_args!("{line} (`hpb help` tells more)")))
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}
