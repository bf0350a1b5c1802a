//! The transfers that are read: accounts with their balances, and who pays whom how much.

use std::collections::HashSet;
use std::fmt;
use std::io::{BufRead, Read as _};

/// Accounts at most.
pub(crate) const ACCOUNTS_MAX: usize = 10_000_000;
/// Transfers at most.
pub(crate) const TRANSFERS_MAX: usize = 10_000_000;

/// What a file begins with: its form and the form's version.
const HEAD: &str = "hpb-transfers 1";
/// Bytes of a line at most: an address and a balance of 39 digits are 80.
const LINE_LEN_MAX: usize = 160;
/// Entries that room is made for because a count says so; more room is made as they come.
const TRUSTED_MAX: usize = 1 << 16;

/// One transfer, its parties by their place among the accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Transfer {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) amount: u128,
}

/// All that is executed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Load {
    /// Addresses, all different, and balances.
    pub(crate) accounts: Vec<([u8; 20], u128)>,
    pub(crate) transfers: Vec<Transfer>,
}

/// What is wrong in which line.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct InputError {
    line: u64,
    what: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.what)
    }
}

impl Load {
    /// Reads all of it; nothing may follow.
    pub(crate) fn read(from: impl BufRead) -> Result<Self, InputError> {
        let mut lines = Lines { from, number: 0, line: Vec::new() };
        lines.next(HEAD, |line| (line == HEAD).then_some(()))?;
        let accounts =
            lines.section("accounts", ACCOUNTS_MAX, "an address of 40 hexadecimal digits and a balance", account)?;
        if let Some(place) = first_repeated(&accounts) {
            // The accounts are the lines from the third on.
            return Err(InputError { line: place as u64 + 3, what: "this address has a line already".to_owned() });
        }
        let count = accounts.len();
        let expected = format!("two accounts, 0 to {}, and an amount", count - 1);
        let transfers = lines.section("transfers", TRANSFERS_MAX, &expected, |line| transfer(line, count))?;
        lines.end()?;
        Ok(Self { accounts, transfers })
    }
}

/// Lines with their numbers, none of them long.
struct Lines<R> {
    from: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line, without its end; `None` behind the last one.
    fn advance(&mut self) -> Result<Option<&str>, InputError> {
        self.number += 1;
        self.line.clear();
        // One byte more than a line and its end may have: what is cut there is too long.
        let mut from = (&mut self.from).take(LINE_LEN_MAX as u64 + 2);
        let read = from.read_until(b'\n', &mut self.line);
        read.map_err(|error| self.wrong(format!("cannot be read: {error}")))?;
        if self.line.is_empty() {
            return Ok(None);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        if self.line.len() > LINE_LEN_MAX {
            return Err(self.wrong(format!("longer than {LINE_LEN_MAX} bytes")));
        }
        match std::str::from_utf8(&self.line) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(InputError { line: self.number, what: "not text".to_owned() }),
        }
    }

    /// What `parse` makes of the next line.
    fn next<T>(&mut self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, InputError> {
        let (parsed, found) = match self.advance()? {
            Some(line) => (parse(line), format!("`{}`", line.escape_debug())),
            None => (None, "the end".to_owned()),
        };
        parsed.ok_or_else(|| self.wrong(format!("expected {expected}, found {found}")))
    }

    /// A count behind its `word`, and so many lines.
    fn section<T>(
        &mut self,
        word: &str,
        count_max: usize,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, InputError> {
        let count = |line: &str| {
            let count = line.strip_prefix(word)?.strip_prefix(' ')?.parse().ok()?;
            (1..=count_max).contains(&count).then_some(count)
        };
        let count = self.next(&format!("`{word} N`, 1 to {count_max}"), count)?;
        let mut entries = Vec::with_capacity(count.min(TRUSTED_MAX));
        for _ in 0..count {
            entries.push(self.next(expected, &parse)?);
        }
        Ok(entries)
    }

    /// Nothing follows.
    fn end(&mut self) -> Result<(), InputError> {
        match self.advance()? {
            None => Ok(()),
            Some(_) => Err(self.wrong("expected the end after the last transfer".to_owned())),
        }
    }

    fn wrong(&self, what: String) -> InputError {
        InputError { line: self.number, what }
    }
}

fn account(line: &str) -> Option<([u8; 20], u128)> {
    let (digits, balance) = line.split_once(' ')?;
    Some((address(digits)?, balance.parse().ok()?))
}

fn address(digits: &str) -> Option<[u8; 20]> {
    let mut address = [0; 20];
    if digits.len() != 2 * address.len() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in address.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(address)
}

fn transfer(line: &str, accounts: usize) -> Option<Transfer> {
    let mut words = line.split(' ');
    let mut party = || words.next()?.parse().ok().filter(|place| (*place as usize) < accounts);
    let (from, to): (u32, u32) = (party()?, party()?);
    let amount = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Transfer { from, to, amount })
}

/// The place of the first account whose address an earlier one has.
fn first_repeated(accounts: &[([u8; 20], u128)]) -> Option<usize> {
    let mut seen = HashSet::with_capacity(accounts.len());
    accounts.iter().position(|(address, _)| !seen.insert(*address))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = "00000000000000000000000000000000000000aa";
    const B: &str = "00000000000000000000000000000000000000Bb";

    fn read(text: &str) -> Result<Load, String> {
        Load::read(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_whole_with_and_without_a_last_newline() {
        let text = format!("{HEAD}\naccounts 2\n{A} 5\n{B} {}\ntransfers 1\n1 0 7\n", u128::MAX);
        let load = read(&text).unwrap();
        assert_eq!(load, read(text.trim_end()).unwrap());
        let mut address = [0; 20];
        address[19] = 0xbb;
        assert_eq!(load.accounts[1], (address, u128::MAX));
        assert_eq!(load.transfers, [Transfer { from: 1, to: 0, amount: 7 }]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let head = format!("{HEAD}\naccounts 1\n{A} 5\n");
        let table = [
            (String::new(), "line 1: expected hpb-transfers 1, found the end"),
            ("hpb-transfers 2\n".to_owned(), "line 1: expected hpb-transfers 1, found `hpb-transfers 2`"),
            (format!("{HEAD}\naccounts 0\n"), "line 2: expected `accounts N`, 1 to 10000000, found `accounts 0`"),
            (format!("{HEAD}\naccounts 10000001\n"), "line 2: expected `accounts N`, 1 to 10000000, found"),
            (
                format!("{HEAD}\naccounts 1\n{A}\n"),
                "line 3: expected an address of 40 hexadecimal digits and a balance, found",
            ),
            (format!("{HEAD}\naccounts 1\n+{} 1\n", &A[1..]), "line 3: expected an address"),
            (format!("{HEAD}\naccounts 1\n{A} -1\n"), "line 3: expected an address"),
            (format!("{HEAD}\naccounts 2\n{B} 1\n{} 1\n", B.to_lowercase()), "line 4: this address has a line already"),
            (format!("{HEAD}\naccounts 1\n{}\n", "a".repeat(161)), "line 3: longer than 160 bytes"),
            (
                format!("{head}transfers 1\n0 1 5\n"),
                "line 5: expected two accounts, 0 to 0, and an amount, found `0 1 5`",
            ),
            (format!("{head}transfers 1\n0 0 5 5\n"), "line 5: expected two accounts"),
            (
                format!("{head}transfers 2\n0 0 5\n"),
                "line 6: expected two accounts, 0 to 0, and an amount, found the end",
            ),
            (format!("{head}transfers 1\n0 0 5\n\n"), "line 6: expected the end"),
        ];
        for (text, said) in table {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(said), "{text:?}: {error}");
        }
        assert_eq!(Load::read(&b"\xff\n"[..]).unwrap_err().to_string(), "line 1: not text");
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit() {
        let mut lines =
            Lines { from: "a".repeat(LINE_LEN_MAX).into_bytes().leak() as &[u8], number: 0, line: Vec::new() };
        assert_eq!(lines.advance().unwrap().map(str::len), Some(LINE_LEN_MAX));
    }

    #[test]
    fn a_count_alone_takes_no_memory() {
        let error = read(&format!("{HEAD}\naccounts {ACCOUNTS_MAX}\n")).unwrap_err();
        assert!(error.ends_with("found the end"), "{error}");
    }
}
