//! Walks along one line of a script, and says where on it something is wrong.

use std::fmt;
use std::str::FromStr;

use hpb_base::Duration;

/// What is wrong with a script's text, and where: counted from 1, columns in characters.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ParseError {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A place on a line.
pub(super) struct Cursor<'a> {
    line: usize,
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: usize, text: &'a str) -> Self {
        let mut cursor = Self { line, text, at: 0 };
        cursor.skip_space();
        cursor
    }

    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn go_back(&mut self, place: usize) {
        self.at = place;
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// All that is left of the line.
    pub(super) fn take_rest(&mut self) -> &'a str {
        let rest = self.rest().trim();
        self.at = self.text.len();
        rest
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        self.error_at(self.at, message)
    }

    pub(super) fn error_at<T>(&self, at: usize, message: impl Into<String>) -> Result<T, ParseError> {
        let column = self.text[..at.min(self.text.len())].chars().count() + 1;
        Err(ParseError { line: self.line, column, message: message.into() })
    }

    /// Takes `token` if it stands here; then any space.
    pub(super) fn accept(&mut self, token: &str) -> bool {
        if !self.rest().starts_with(token) {
            return false;
        }
        self.at += token.len();
        self.skip_space();
        true
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), ParseError> {
        if self.accept(token) { Ok(()) } else { self.error(format!("`{token}` is missing here")) }
    }

    /// Takes the word here without the space behind it; empty if there is none. A sign, a colon or a bracket ends it.
    fn take_word(&mut self) -> &'a str {
        let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
        let len = self.rest().find(|letter| !is_of_word(letter)).unwrap_or(self.rest().len());
        let word = &self.rest()[..len];
        self.at += len;
        word
    }

    /// Takes a word; then any space.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, ParseError> {
        let start = self.at;
        let word = self.take_word();
        if word.is_empty() {
            return self.error_at(start, format!("{what} is missing here"));
        }
        self.skip_space();
        Ok(word)
    }

    /// Takes `word` if it stands here as a whole word; then any space.
    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let start = self.at;
        if self.take_word() == word {
            self.skip_space();
            return true;
        }
        self.at = start;
        false
    }

    /// Takes a number, in tens or (`0x`) in sixteens; then any space.
    pub(super) fn number<N: TryFrom<u64>>(&mut self, what: &str) -> Result<N, ParseError> {
        let start = self.at;
        let word = self.word(what)?;
        let value = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => u64::from_str(word),
        };
        match value.ok().and_then(|value| N::try_from(value).ok()) {
            Some(value) => Ok(value),
            None => self.error_at(start, format!("{what} is a number that fits its field, not `{word}`")),
        }
    }

    /// Takes a relative sequence number, which may stand before zero; then any space.
    pub(super) fn relative(&mut self, what: &str) -> Result<u32, ParseError> {
        let is_before = self.rest().starts_with('-');
        if is_before {
            self.at += 1;
        }
        let number: u32 = self.number(what)?;
        Ok(if is_before { number.wrapping_neg() } else { number })
    }

    /// Takes a span of time: a number, perhaps with a point, and `us`, `ms` or `s`; or a bare `0`. Then any space.
    pub(super) fn span(&mut self, what: &str) -> Result<Duration, ParseError> {
        let start = self.at;
        let word = self.word(what)?;
        let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit_nanos: u64 = match &word[digits.len()..] {
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "" if digits == "0" => 1,
            _ => return self.error_at(start, format!("{what} is a number with us, ms or s, not `{word}`")),
        };
        match scaled(digits, unit_nanos) {
            Some(nanos) => Ok(Duration::from_nanos(nanos)),
            None => self.error_at(start, format!("{what} is a number with us, ms or s, not `{word}`")),
        }
    }

    /// Takes a text in double quotes; `None` if none begins here. Then any space.
    pub(super) fn text(&mut self) -> Result<Option<&'a str>, ParseError> {
        let Some(inner) = self.rest().strip_prefix('"') else { return Ok(None) };
        let Some(len) = inner.find('"') else { return self.error("this text has no end: `\"` is missing") };
        self.at += len + 2;
        self.skip_space();
        Ok(Some(&inner[..len]))
    }

    /// Takes what stands up to `end`, and `end`; then any space.
    pub(super) fn until(&mut self, end: char) -> Result<&'a str, ParseError> {
        let Some(len) = self.rest().find(end) else { return self.error(format!("`{end}` is missing after this")) };
        let inner = &self.rest()[..len];
        self.at += len + end.len_utf8();
        self.skip_space();
        Ok(inner)
    }

    pub(super) fn end(&self) -> Result<(), ParseError> {
        if self.is_at_end() {
            return Ok(());
        }
        self.error(format!("`{}` is more than this line may say", self.rest().trim_end()))
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {:?}", self.line, self.at, self.rest())
    }
}

/// `digits`, perhaps with a point, times `unit`, exactly; `None` if that is no whole number that fits.
fn scaled(digits: &str, unit: u64) -> Option<u64> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if part.is_empty() {
        return (!digits.ends_with('.')).then_some(whole);
    }
    let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let nanos = part.parse::<u64>().ok()?.checked_mul(unit)?;
    nanos.is_multiple_of(scale).then_some(())?;
    whole.checked_add(nanos / scale)
}
