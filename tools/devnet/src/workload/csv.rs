//! Reads `transfers.csv`: block, index, from, to, `value_wei`, `gas_limit`, `input_bytes`.
//!
//! Seven fixed columns without quotes, a header line, one transfer a line. Accounts are named from the 20-byte
//! addresses, wei are the token's smallest unit (both have 18 decimals). A row without `to` created a contract: it is
//! skipped and counted. Transfers of nothing and to oneself are valid. Block, index, gas and input length are checked
//! to be numbers and have no further use; the order is the file's. Any other line is refused by file, line and what
//! was expected.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use hpb_base::limits::WORKLOAD_LINE_LEN_MAX;
use hpb_types::Amount;

use super::{Address, Builder, PushError, Workload, WorkloadError};

const HEADER: &str = "block,index,from,to,value_wei,gas_limit,input_bytes";
const COLUMN_COUNT: usize = 7;
/// Characters of a bad value that an error repeats.
const FOUND_LEN_MAX: usize = 48;

/// What is wrong with a line.
struct Fault {
    expected: String,
    found: String,
}

/// A row that says something.
struct Row {
    from: Address,
    to: Option<Address>,
    amount: Amount,
}

pub(super) fn read(path: &Path) -> Result<Workload, WorkloadError> {
    let open_error = |source| WorkloadError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(open_error)?;
    parse(path, BufReader::new(file))
}

/// Reads the whole of `input`; `path` is its name in errors.
pub(super) fn parse(path: &Path, mut input: impl BufRead) -> Result<Workload, WorkloadError> {
    let mut builder = Builder::new(path.display().to_string());
    let mut bytes = Vec::new();
    let mut line: u64 = 0;
    loop {
        line += 1;
        bytes.clear();
        let taken = input
            .by_ref()
            .take(WORKLOAD_LINE_LEN_MAX as u64 + 1)
            .read_until(b'\n', &mut bytes)
            .map_err(|source| WorkloadError::Read { path: path.to_owned(), line, source })?;
        if taken == 0 && line > 1 {
            return builder.finish();
        }
        let at_line = |fault: Fault| WorkloadError::Line {
            path: path.to_owned(),
            line,
            expected: fault.expected,
            found: fault.found,
        };
        let text = line_text(&bytes).map_err(at_line)?;
        if line == 1 {
            header(text).map_err(at_line)?;
            continue;
        }
        let row = row(text).map_err(at_line)?;
        let Some(to) = row.to else {
            builder.rows_skipped += 1;
            continue;
        };
        match builder.push(row.from, to, row.amount) {
            Ok(()) => {}
            Err(PushError::TooLong) => return Err(WorkloadError::TooLong { origin: builder.origin }),
            Err(PushError::SumTooLarge) => {
                return Err(at_line(Fault::new(
                    "a value whose sum with the sender's earlier ones fits 128 bits",
                    &row.amount.0.to_string(),
                )));
            }
        }
    }
}

fn line_text(bytes: &[u8]) -> Result<&str, Fault> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.len() > WORKLOAD_LINE_LEN_MAX {
        let found = format!("{} or more", bytes.len());
        return Err(Fault::new(&format!("a line of at most {WORKLOAD_LINE_LEN_MAX} bytes"), &found));
    }
    core::str::from_utf8(bytes).map_err(|error| Fault {
        expected: "text in UTF-8".to_owned(),
        found: format!("other bytes from column {} on", error.valid_up_to() + 1),
    })
}

fn header(text: &str) -> Result<(), Fault> {
    if text == HEADER { Ok(()) } else { Err(Fault::new(&format!("the header `{HEADER}`"), text)) }
}

fn row(text: &str) -> Result<Row, Fault> {
    let mut columns = [""; COLUMN_COUNT];
    let mut count = 0;
    for column in text.split(',') {
        if let Some(place) = columns.get_mut(count) {
            *place = column;
        }
        count += 1;
    }
    if count != COLUMN_COUNT {
        return Err(Fault { expected: format!("{COLUMN_COUNT} columns"), found: count.to_string() });
    }
    let [block, index, from, to, value, gas_limit, input_bytes] = columns;
    for (name, text) in [("block", block), ("index", index), ("gas_limit", gas_limit), ("input_bytes", input_bytes)] {
        number(name, text, u64::MAX.into())?;
    }
    let from = address("from", from)?;
    let to = if to.is_empty() { None } else { Some(address("to", to)?) };
    Ok(Row { from, to, amount: Amount(number("value_wei", value, u128::MAX)?) })
}

fn number(column: &str, text: &str, largest: u128) -> Result<u128, Fault> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits_only { text.parse().ok().filter(|value| *value <= largest) } else { None };
    parsed.ok_or_else(|| Fault::new(&format!("a decimal number of at most {largest} in column `{column}`"), text))
}

fn address(column: &str, text: &str) -> Result<Address, Fault> {
    let parsed = text.strip_prefix("0x").filter(|digits| digits.len() == 2 * size_of::<Address>()).and_then(|digits| {
        let mut address = Address::default();
        for (byte, pair) in address.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(address)
    });
    parsed.ok_or_else(|| Fault::new(&format!("`0x` and 40 hexadecimal digits in column `{column}`"), text))
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

impl Fault {
    fn new(expected: &str, found: &str) -> Self {
        let mut shown: String = found.chars().take(FOUND_LEN_MAX).flat_map(char::escape_default).collect();
        if found.chars().nth(FOUND_LEN_MAX).is_some() {
            shown.push_str("...");
        }
        let found = if found.is_empty() { "nothing".to_owned() } else { format!("`{shown}`") };
        Self { expected: expected.to_owned(), found }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const A: &str = "0x00000000000000000000000000000000000000aa";
    const B: &str = "0x00000000000000000000000000000000000000BB";

    fn parse_rows(rows: &str) -> Result<Workload, WorkloadError> {
        parse(Path::new("t.csv"), format!("{HEADER}\n{rows}").as_bytes())
    }

    #[test]
    fn rows_become_transfers_in_order() {
        let rows = format!("1,0,{A},{B},5,21000,0\r\n1,1,{B},,7,21000,9\n1,2,{A},{A},0,1,0\n2,0,{A},{B},6,1,0");
        let workload = parse_rows(&rows).unwrap();
        let transfer = |from, to, amount| super::super::Transfer { from, to, amount: Amount(amount) };
        assert_eq!(workload.transfers(), [transfer(0, 1, 5), transfer(0, 0, 0), transfer(0, 1, 6)]);
        assert_eq!(workload.rows_skipped(), 1);
        assert_eq!((workload.parties()[0].outgoing, workload.parties()[0].sends), (Amount(11), 3));
        assert_eq!(workload.parties()[1].sends, 0);
        let mut address = [0; 20];
        address[19] = 0xBB;
        assert_eq!(workload.parties()[1].name, hpb_types::AccountName::from_address(address));
    }

    #[test]
    fn a_bad_line_is_named_with_what_was_expected() {
        let good = format!("1,0,{A},{B},5,21000,0\n");
        let short = "0x12";
        for (bad, expected, found) in [
            (String::new() + "1,0\n", "7 columns", "found 2"),
            (format!("1,0,{A},{B},5,21000,0,9\n"), "7 columns", "found 8"),
            ("\n".to_owned(), "7 columns", "found 1"),
            (format!("x,0,{A},{B},5,21000,0\n"), "column `block`", "found `x`"),
            (format!("1,,{A},{B},5,21000,0\n"), "column `index`", "found nothing"),
            (format!("1,0,{short},{B},5,21000,0\n"), "40 hexadecimal digits in column `from`", "found `0x12`"),
            (format!("1,0,,{B},5,21000,0\n"), "40 hexadecimal digits in column `from`", "found nothing"),
            (format!("1,0,{A},{},5,21000,0\n", A.replace("aa", "+a")), "column `to`", "+a`"),
            (format!("1,0,{A},{B},-5,21000,0\n"), "column `value_wei`", "found `-5`"),
            (format!("1,0,{A},{B},+5,21000,0\n"), "column `value_wei`", "found `+5`"),
            (format!("1,0,{A},{B},5,18446744073709551616,0\n"), "at most 18446744073709551615", "`1844"),
            (format!("1,0,{A},{B},340282366920938463463374607431768211456,1,0\n"), "column `value_wei`", "`3402"),
            (format!("1,0,{A},{B},5,1,{}\n", "9".repeat(2_000)), "a line of at most", "or more"),
        ] {
            let text = parse_rows(&format!("{good}{bad}")).unwrap_err().to_string();
            assert!(text.starts_with("workload t.csv, line 3: expected "), "{text}");
            assert!(text.contains(expected) && text.contains(found), "{text}");
        }
        let text = parse(Path::new("t.csv"), &b"block,index\n"[..]).unwrap_err().to_string();
        assert!(text.starts_with("workload t.csv, line 1: expected the header `block,index,from"), "{text}");
        let text = parse(Path::new("t.csv"), &b""[..]).unwrap_err().to_string();
        assert!(text.ends_with("found nothing"), "{text}");
        let text = parse(Path::new("t.csv"), &[0xFF, b'\n'][..]).unwrap_err().to_string();
        assert!(text.contains("line 1: expected text in UTF-8"), "{text}");
    }

    #[test]
    fn a_file_without_transfers_or_with_too_large_a_sum_is_refused() {
        let text = parse_rows(&format!("1,0,{A},,5,21000,0\n")).unwrap_err().to_string();
        assert_eq!(text, "workload t.csv: expected at least one transfer, found none (1 rows without `to`)");
        let most = u128::MAX;
        let text = parse_rows(&format!("1,0,{A},{B},{most},1,0\n1,1,{A},{B},1,1,0\n")).unwrap_err().to_string();
        assert!(text.contains("line 3: expected a value whose sum"), "{text}");
        let text = read(Path::new("/nonexistent/t.csv")).unwrap_err().to_string();
        assert!(text.starts_with("workload /nonexistent/t.csv: cannot be opened: "), "{text}");
    }
}
