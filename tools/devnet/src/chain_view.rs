//! A chain as one validator's data folder has it, for whoever only looks: after a run all that is final, and during one
//! what was committed last, a few seconds old.

use std::path::{Path, PathBuf};

use hpb_ledger::chainlog::{ChainLog, DirectoryFolder, LogOptions};
use hpb_ledger::folder::{DataFolder, FolderError};
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_ledger::{Ledger, Store as _};
use hpb_node::core::RecoverError;
use hpb_types::Genesis;

use crate::run::{DevnetError, Held, hold, place_of, read_genesis, socket_path};

/// A chain's state.
pub struct ChainView {
    /// Where the chain started.
    pub genesis: Genesis,
    /// The state, at its final slice.
    pub ledger: Ledger<LmdbStore>,
    /// Whether a run holds the folder.
    pub is_live: bool,
    /// Where the validator takes sessions of programs of this host, while it runs.
    pub socket: PathBuf,
}

impl ChainView {
    /// What validator `validator` has in a devnet's data folder.
    ///
    /// # Errors
    /// No such folder, none of a devnet, one without that validator or without a state yet; a disk that can't be read.
    pub fn open(data: &Path, validator: usize) -> Result<Self, DevnetError> {
        let genesis = read_genesis(data)?;
        let place = place_of(data, &genesis, validator)?;
        let socket = socket_path(data, &genesis.producers[validator].name);
        match hold(data, validator) {
            Ok(Held { recovered, .. }) => Ok(Self { genesis, ledger: recovered.into_ledger(), is_live: false, socket }),
            Err(DevnetError::Data(FolderError::Held { .. })) => {
                let ledger = beside(&genesis, data, &place)?;
                Ok(Self { genesis, ledger, is_live: true, socket })
            }
            Err(error) => Err(error),
        }
    }
}

/// The ledger of a store that a run writes.
fn beside(genesis: &Genesis, data: &Path, place: &Path) -> Result<Ledger<LmdbStore>, DevnetError> {
    let state = DataFolder::state_path_in(place);
    let store = LmdbStore::open_beside(&state, &genesis.chain_id(), LmdbOptions::default())?;
    // One whose genesis is not committed yet would be taken for an empty one.
    let begun = store.map_or(Ok(None), |store| store.final_point().map(|point| point.map(|_| store)))?;
    let refuse = || DevnetError::Folder {
        path: data.display().to_string(),
        reason: "its chain is at its very beginning: try again in a few seconds".to_owned(),
    };
    Ok(Ledger::open(genesis, begun.ok_or_else(refuse)?).map_err(RecoverError::from)?)
}

/// The log of validator `validator`, to be walked: nothing in it is changed, and of what a run writes meanwhile the end
/// may be missing.
///
/// # Errors
/// Those of [`ChainView::open`].
pub fn open_log(data: &Path, validator: usize) -> Result<(Genesis, ChainLog), DevnetError> {
    let genesis = read_genesis(data)?;
    let place = place_of(data, &genesis, validator)?;
    let segments = DirectoryFolder::open_to_read(&DataFolder::log_path_in(&place));
    let (log, _) = ChainLog::open_to_read(Box::new(segments), LogOptions::new(genesis.chain_id()))?;
    Ok((genesis, log))
}
