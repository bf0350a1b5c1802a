//! Executes plain transfers in revm, one after the other over a map in memory, and prints how long that took: what
//! `hpb bench ledger --revm` puts beside the ledger's own figures.

mod execute;
mod input;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::process::ExitCode;

use execute::execute;
use input::{ACCOUNTS_MAX, Load, TRANSFERS_MAX};

/// The versions that this program was built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// Why there is no figure, in a line, and the exit code that says whose fault it is.
struct Failure {
    said: String,
    code: u8,
}

impl Failure {
    /// What was asked cannot be done.
    fn input(said: impl Into<String>) -> Self {
        Self { said: said.into(), code: 2 }
    }

    /// It was begun, and failed.
    fn work(said: impl Into<String>) -> Self {
        Self { said: said.into(), code: 1 }
    }
}

fn main() -> ExitCode {
    match answer(std::env::args_os().skip(1)).and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Without a standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "{}", failure.said);
            ExitCode::from(failure.code)
        }
    }
}

/// What goes to the standard output.
fn answer(mut words: impl Iterator<Item = OsString>) -> Result<String, Failure> {
    let (Some(word), None) = (words.next(), words.next()) else {
        return Err(Failure::input("expected one file of transfers, or - for the standard input (see --help)"));
    };
    match word.to_str() {
        Some("--help" | "-h") => return Ok(help()),
        Some("--version" | "-V") => return Ok(format!("revm {}\n", revm_version())),
        Some("-") => return figures(&read("standard input", BufReader::new(io::stdin().lock()))?),
        Some(option) if option.starts_with('-') => {
            return Err(Failure::input(format!("there is no option `{option}` (see --help)")));
        }
        _ => {}
    }
    let name = word.to_string_lossy();
    let file = File::open(&word).map_err(|error| Failure::input(format!("{name}: {error}")))?;
    figures(&read(&name, BufReader::new(file))?)
}

fn read(name: &str, from: impl io::BufRead) -> Result<Load, Failure> {
    Load::read(from).map_err(|error| Failure::input(format!("{name}, {error}")))
}

/// Executes, and says it in one line of JSON.
fn figures(load: &Load) -> Result<String, Failure> {
    let took = execute(load).map_err(|error| Failure::work(error.to_string()))?;
    let (transfers, seconds, revm) = (load.transfers.len(), took.as_secs_f64(), revm_version());
    Ok(format!("{{\"transfers\":{transfers},\"seconds\":{seconds},\"revm\":\"{revm}\"}}\n"))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::work(format!("standard output: {error}")))
}

/// The version of revm in this program.
fn revm_version() -> &'static str {
    let stated = LOCK.split_once("name = \"revm\"\nversion = \"").map(|(_, rest)| rest);
    stated.and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}

fn help() -> String {
    format!(
        "\
Executes plain transfers in revm {version}, one after the other over a map in memory

Usage: hpb-peer-revm FILE    (- reads the standard input)

The file is text, a line each, all numbers decimal:

  hpb-transfers 1
  accounts N               1 to {ACCOUNTS_MAX}
  ADDRESS BALANCE          N lines: 40 hexadecimal digits, and below 2^128
  transfers M              1 to {TRANSFERS_MAX}
  FROM TO AMOUNT           M lines: two accounts by their place, from 0, and below 2^128

Each transfer is a legacy transaction under the rules of {spec:?}, with its sender's next nonce, a gas limit of {gas} and
a gas price of {price}: {burned} of the {fee} that it pays are burned as the base fee, and the rest go to the block's producer.
Senders' balances have to hold that beside the amounts. No signature is checked, no root is made, nothing is stored.

Prints one line of JSON: transfers, seconds (execution and commit to the map; neither reading nor the making of
transactions), revm (its version). A transfer that fails, takes other gas, or a supply that changes by anything but
what was burned, is an error. Exit code 2: the input cannot be used; 1: execution failed.
",
        version = revm_version(),
        spec = execute::SPEC,
        gas = execute::GAS,
        price = execute::GAS_PRICE,
        burned = execute::GAS * execute::BASE_FEE,
        fee = u128::from(execute::GAS) * execute::GAS_PRICE,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn said(words: &[&str]) -> Result<String, (String, u8)> {
        answer(words.iter().map(OsString::from)).map_err(|failure| (failure.said, failure.code))
    }

    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let parts: Vec<_> = revm_version().split('.').collect();
        assert!(parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()), "{}", revm_version());
    }

    #[test]
    fn help_and_version_need_no_file() {
        let help = said(&["--help"]).unwrap();
        assert!(help.contains("gas limit of 21000") && help.contains("21000 of the 42000"), "{help}");
        assert_eq!(said(&["--version"]).unwrap(), format!("revm {}\n", revm_version()));
    }

    #[test]
    fn what_cannot_be_meant_or_opened_is_said() {
        for words in [&[][..], &["a", "b"]] {
            assert!(said(words).unwrap_err().0.starts_with("expected one file of transfers"));
        }
        assert_eq!(said(&["--fast"]), Err(("there is no option `--fast` (see --help)".to_owned(), 2)));
        let (text, code) = said(&["/nonexistent/file"]).unwrap_err();
        assert!(text.starts_with("/nonexistent/file: ") && code == 2, "{text}");
    }

    #[test]
    fn a_failed_execution_has_a_code_of_its_own() {
        let load =
            Load { accounts: vec![([1; 20], 41_999)], transfers: vec![input::Transfer { from: 0, to: 0, amount: 0 }] };
        let failure = figures(&load).unwrap_err();
        assert!(failure.said.starts_with("transfer 1: ") && failure.code == 1, "{}", failure.said);
    }
}
