//! What the tests of the whole share: where the workspace lies and which sources it has, the kernel's TCP as a peer, and
//! what the fuzzers run.
//!
//! It refuses nothing and decides nothing; a file that can't be read is the caller's error.

pub mod fuzz;
pub mod kernel;
pub mod script;
mod sys;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Every Rust source of the workspace: its path from the workspace's root, with `/`, and its text.
pub type Sources = BTreeMap<String, String>;

/// The workspace's root: the folder that holds this crate's folder.
pub fn workspace_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder).to_owned()
}

/// Reads every Rust source below the `members` of a workspace, tests included.
///
/// # Errors
/// A folder or file that can't be read, with its path.
pub fn rust_sources(root: &Path, members: &[String]) -> io::Result<Sources> {
    let mut sources = Sources::new();
    for member in members {
        read_folder(root, &root.join(member), &mut sources)?;
    }
    Ok(sources)
}

/// The folders of the workspace's crates, from the `members` of its `Cargo.toml`.
///
/// # Errors
/// The file can't be read.
pub fn workspace_members(root: &Path) -> io::Result<Vec<String>> {
    let path = root.join("Cargo.toml");
    let manifest = fs::read_to_string(&path).map_err(|error| named(&path, &error))?;
    let list = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let list = list.map_or("", |(list, _)| list);
    Ok(list.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

fn read_folder(root: &Path, folder: &Path, sources: &mut Sources) -> io::Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| named(folder, &error))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                read_folder(root, &path, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(|error| named(&path, &error))?;
            let from_root = path.strip_prefix(root).unwrap_or(&path);
            sources.insert(from_root.to_string_lossy().into_owned(), text);
        }
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
