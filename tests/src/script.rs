//! Scripts that pin down the card's TCP by sections of RFCs: what a peer sends, and what the card must send and tell.
//!
//! A script is text (the language: `tests/interop/README.md`), its card one lane on virtual time, its peer the script
//! itself. A run is strict: whatever the card sends or tells that the script does not expect fails it, at the end too.
//! Nothing sleeps, and nothing reads a clock.

mod cursor;
mod driver;
pub mod language;
mod matcher;
pub mod packet;
mod parse;
mod run;
mod streams;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use cursor::ParseError;
pub use language::Script;
pub use parse::parse;
pub use run::{Failure, run};

/// The folder of the scripts.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// The scripts of a folder by name: their names without the ending, and their text.
///
/// # Errors
/// A folder or file that can't be read.
pub fn list(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "script")
            && let Some(name) = path.file_stem()
        {
            scripts.push((name.to_string_lossy().into_owned(), fs::read_to_string(&path)?));
        }
    }
    scripts.sort();
    Ok(scripts)
}
