//! Where a chain starts, as people write it: a TOML file, and the white paper's allocation as one to begin with.
//!
//! A file is read into [`hpb_types::Genesis`], whose canonical bytes are the chain. What does not read, or breaks one of its rules,
//! is refused with the line where it stands.

pub mod date;
mod error;
mod file;
pub mod preset;
mod text;

pub use error::GenesisFileError;
pub use file::parse;
pub use text::text;

#[cfg(test)]
mod tests;
