//! What is wrong with a genesis file, and where.

use core::fmt;

/// Why a file is no genesis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenesisFileError {
    /// The line, counted from 1; none if it is the whole file's.
    pub line: Option<usize>,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for GenesisFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for GenesisFileError {}

impl GenesisFileError {
    /// What is wrong at a byte of `text`.
    pub(crate) fn at(text: &str, byte: usize, what: impl fmt::Display) -> Self {
        let before = &text.as_bytes()[..byte.min(text.len())];
        let line = before.split(|byte| *byte == b'\n').count();
        Self { line: Some(line), what: what.to_string() }
    }
}
