//! How a devnet's validators are called: a file in the folder of a run that this host's programs can reach
//! (`hpb devnet --reach`), with the chain and each validator's addresses and key. It is there while the run is; nothing
//! in it is secret.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hpb_types::{ChainId, Hash, PublicKey};
use serde::{Deserialize, Serialize};

use crate::plan::{MESH_PORT, Plan, TERMINAL_PORT};

/// Its name in the folder of the run.
pub const PEERS_FILE: &str = "peers.json";
/// The largest file that is read.
const FILE_LEN_MAX: u64 = 1 << 20;

/// One validator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerRow {
    /// Its producer's name.
    pub name: String,
    /// Where it takes sessions of other validators.
    pub mesh: SocketAddr,
    /// Where it takes sessions of terminals.
    pub terminals: SocketAddr,
    /// Its card's identity.
    pub key: PublicKey,
}

/// All validators of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peers {
    /// Their chain.
    pub chain: ChainId,
    /// The validators, by number.
    pub validators: Vec<PeerRow>,
}

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// There is none.
    #[error("{0} is not there: no devnet runs in that folder with --reach")]
    Missing(String),
    /// The operating system refused.
    #[error("reading {0} failed: {1}")]
    Io(String, io::Error),
    /// It does not read.
    #[error("{0} is no list of a devnet's validators: {1}")]
    Malformed(String, String),
    /// There is no such validator.
    #[error("the devnet has validators 0 to {last}, not {number}")]
    Unknown {
        /// The highest number.
        last: usize,
        /// What was asked for.
        number: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    chain: String,
    validators: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    mesh: SocketAddr,
    terminals: SocketAddr,
    key: String,
}

impl Peers {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        let rows = plan.validators.iter().map(|validator| PeerRow {
            name: validator.name.to_string(),
            mesh: SocketAddr::new(validator.address, MESH_PORT),
            terminals: SocketAddr::new(validator.address, TERMINAL_PORT),
            key: validator.identity.public(),
        });
        Self { chain: plan.chain(), validators: rows.collect() }
    }

    /// The file's text.
    fn text(&self) -> String {
        let rows = self.validators.iter().map(|row| Row {
            name: row.name.clone(),
            mesh: row.mesh,
            terminals: row.terminals,
            key: row.key.to_hex(),
        });
        let file = File { chain: self.chain.0.to_hex(), validators: rows.collect() };
        // Strings and addresses always make JSON.
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    /// Writes the file into the folder of a run; it goes when what is returned goes.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, folder: &Path) -> io::Result<PeersFile> {
        let path = folder.join(PEERS_FILE);
        fs::write(&path, self.text())?;
        Ok(PeersFile(path))
    }

    /// Reads the file of the folder of a run.
    ///
    /// # Errors
    /// [`PeersError`]: no such run, or not its file.
    pub fn read(folder: &Path) -> Result<Self, PeersError> {
        let path = folder.join(PEERS_FILE);
        let shown = path.display().to_string();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => PeersError::Missing(shown.clone()),
            _ => PeersError::Io(shown.clone(), error),
        };
        if fs::metadata(&path).map_err(failed)?.len() > FILE_LEN_MAX {
            return Err(PeersError::Malformed(shown, "it is too long".to_owned()));
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        Self::parse(&text).map_err(|reason| PeersError::Malformed(shown, reason))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let chain = Hash::from_hex(&file.chain).map_err(|_| "the chain is not 64 hexadecimal digits".to_owned())?;
        let rows = file.validators.into_iter().map(|row| {
            let key = PublicKey::from_hex(&row.key).map_err(|_| format!("the key of {} is no key", row.name))?;
            Ok(PeerRow { name: row.name, mesh: row.mesh, terminals: row.terminals, key })
        });
        Ok(Self { chain: ChainId(chain), validators: rows.collect::<Result<_, String>>()? })
    }

    /// Validator `number`.
    ///
    /// # Errors
    /// [`PeersError::Unknown`].
    pub fn validator(&self, number: usize) -> Result<&PeerRow, PeersError> {
        let last = self.validators.len().saturating_sub(1);
        self.validators.get(number).ok_or(PeersError::Unknown { last, number })
    }
}

/// The file while the run is under way.
#[derive(Debug)]
pub struct PeersFile(PathBuf);

impl PeersFile {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PeersFile {
    fn drop(&mut self) {
        // What can't be removed is found to lead nowhere by who reads it.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn peers() -> Peers {
        let row = |number: u8| PeerRow {
            name: format!("validator-{number}"),
            mesh: format!("10.0.0.{}:30303", number + 1).parse().unwrap(),
            terminals: format!("10.0.0.{}:30304", number + 1).parse().unwrap(),
            key: hpb_types::KeyPair::from_seed([number; 32]).public(),
        };
        Peers { chain: ChainId(Hash([7; 32])), validators: vec![row(0), row(1)] }
    }

    #[test]
    fn the_file_reads_back_and_goes_with_its_run() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Peers::read(folder.path()), Err(PeersError::Missing(_))));
        let file = peers().write(folder.path()).unwrap();
        let read = Peers::read(folder.path()).unwrap();
        assert_eq!(read, peers());
        assert_eq!(read.validator(1).unwrap().name, "validator-1");
        assert!(matches!(read.validator(2), Err(PeersError::Unknown { last: 1, number: 2 })));
        drop(file);
        assert!(matches!(Peers::read(folder.path()), Err(PeersError::Missing(_))));
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for text in ["", "{}", "{\"chain\":\"00\",\"validators\":[]}", "[1]"] {
            assert!(Peers::parse(text).is_err(), "{text}");
        }
    }
}
