//! The folder that a state lies in while it is measured, and what the disk and the page cache hold of it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hpb_host::sys::{disk, wall_ns};
use hpb_ledger::folder::DataFolder;

use super::{AccountsError, Quantiles};
use crate::ledger::temporary;

/// What its name begins with.
const PREFIX: &str = "hpb-bench-accounts-";
/// Bytes of a block, as `stat(2)` counts them.
const BLOCK_LEN: u64 = 512;
/// Syncs that are timed.
const SYNCS: usize = 100;
/// Bytes that each of them writes: a page.
const SYNC_LEN: usize = 4_096;

/// A folder that goes with its handle, however the run ends.
pub(super) struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// One in `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self, AccountsError> {
        Ok(Self { folder: temporary(PREFIX, folder)? })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Bytes of disk that the state's files take.
    pub(super) fn disk_bytes(&self) -> Result<u64, AccountsError> {
        self.sum(|file| Ok(file.metadata()?.blocks() * BLOCK_LEN))
    }

    /// Bytes of them that lie in the page cache; `None` where the kernel does not tell.
    pub(super) fn cached_bytes(&self) -> Result<Option<u64>, AccountsError> {
        let mut is_told = true;
        let bytes = self.sum(|file| {
            let cached = disk::cached(file);
            is_told &= cached.is_ok();
            Ok(cached.unwrap_or(0))
        })?;
        Ok(is_told.then_some(bytes))
    }

    /// Drops them from the page cache, and says what stays there as [`cached_bytes`](Self::cached_bytes) does.
    pub(super) fn drop_cached(&self) -> Result<Option<u64>, AccountsError> {
        self.sum(|file| disk::drop_cached(file).map(|()| 0))?;
        self.cached_bytes()
    }

    /// How long it takes this disk to make one written page durable: what no commit can beat.
    pub(super) fn syncs(&self) -> Result<Quantiles, AccountsError> {
        let path = self.path().join("sync.probe");
        let probe = || {
            let mut file = File::create(&path)?;
            let mut taken_ns = Vec::with_capacity(SYNCS);
            for _ in 0..SYNCS {
                file.write_all(&[1; SYNC_LEN])?;
                let began_ns = wall_ns();
                file.sync_data()?;
                taken_ns.push(wall_ns() - began_ns);
            }
            Ok(taken_ns)
        };
        let mut taken_ns = probe().map_err(AccountsError::disk(&path))?;
        Ok(Quantiles::of(&mut taken_ns))
    }

    fn sum(&self, mut bytes: impl FnMut(&File) -> io::Result<u64>) -> Result<u64, AccountsError> {
        let place = DataFolder::state_path_in(self.path());
        let mut files =
            || -> io::Result<u64> { fs::read_dir(&place)?.map(|entry| bytes(&File::open(entry?.path())?)).sum() };
        files().map_err(AccountsError::disk(&place))
    }
}
