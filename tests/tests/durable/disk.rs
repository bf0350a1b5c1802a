//! What a disk may hold after a power loss: all that was synced, and of what was written since, anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hpb_base::Random;

use crate::sys::Call;

/// What a disk writes whole or not at all, in bytes.
const SECTOR_LEN: usize = 512;

/// A disk that follows a recorded trace of calls.
#[derive(Default)]
pub(crate) struct Disk {
    files: BTreeMap<PathBuf, File>,
    /// Names that changed and whose folder was not synced since.
    names: Vec<Name>,
    /// The last that was told.
    pub(crate) told: Option<u64>,
}

#[derive(Clone, Default)]
struct File {
    /// What is synced.
    bytes: Vec<u8>,
    /// What was written since, in order.
    written: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone)]
enum Name {
    Made(PathBuf),
    Renamed { from: PathBuf, to: PathBuf },
    Removed(PathBuf, File),
}

impl Name {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Made(path) | Self::Removed(path, _) | Self::Renamed { to: path, .. } => path.parent(),
        }
    }
}

impl Disk {
    /// Goes on by one call.
    pub(crate) fn take(&mut self, call: &Call) {
        match call {
            Call::Write { file, offset, bytes, synced } => {
                let entry = self.files.entry(file.clone());
                if matches!(entry, std::collections::btree_map::Entry::Vacant(_)) {
                    self.names.push(Name::Made(file.clone()));
                }
                let held = entry.or_default();
                if *synced { put(&mut held.bytes, *offset, bytes) } else { held.written.push((*offset, bytes.clone())) }
            }
            Call::Sync { file } => {
                if let Some(held) = self.files.get_mut(file) {
                    for (offset, bytes) in std::mem::take(&mut held.written) {
                        put(&mut held.bytes, offset, &bytes);
                    }
                } else {
                    self.names.retain(|name| name.folder() != Some(file));
                }
            }
            Call::Truncate { file, length } => {
                // Only a torn tail is cut, and whatever is left of it is cut again at the next start.
                if let Some(held) = self.files.get_mut(file) {
                    held.bytes.truncate(*length as usize);
                }
            }
            Call::Rename { from, to } => {
                if let Some(held) = self.files.remove(from) {
                    self.files.insert(to.clone(), held);
                    self.names.push(Name::Renamed { from: from.clone(), to: to.clone() });
                }
            }
            Call::Remove { file } => {
                if let Some(held) = self.files.remove(file) {
                    self.names.push(Name::Removed(file.clone(), held));
                }
            }
            Call::Told(number) => self.told = Some(*number),
        }
    }

    /// Makes the files, as `random` says what of the last writes and names was kept.
    pub(crate) fn lose_power(&self, random: &mut Random, from: &Path, to: &Path) {
        let mut files = self.files.clone();
        let mut gone = BTreeSet::new();
        for name in self.names.iter().rev() {
            if random.below(2) == 0 {
                continue;
            }
            match name {
                Name::Made(path) => {
                    gone.insert(path.clone());
                }
                Name::Renamed { from, to } => {
                    if let Some(file) = files.remove(to) {
                        files.insert(from.clone(), file);
                    }
                }
                Name::Removed(path, file) => {
                    files.insert(path.clone(), file.clone());
                }
            }
        }
        for (path, file) in files.iter().filter(|(path, _)| !gone.contains(*path)) {
            let mut bytes = file.bytes.clone();
            for (offset, written) in &file.written {
                keep_some(random, &mut bytes, *offset, written);
            }
            let place = to.join(path.strip_prefix(from).unwrap());
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, bytes).unwrap();
        }
    }
}

/// Puts of one write what the disk came to: all, nothing, a beginning, or any of its sectors.
fn keep_some(random: &mut Random, file: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let kind = random.below(4);
    let sectors = written.len().div_ceil(SECTOR_LEN) as u64;
    let until = random.below(sectors + 1);
    for (index, sector) in written.chunks(SECTOR_LEN).enumerate() {
        let kept = match kind {
            0 => true,
            1 => false,
            2 => (index as u64) < until,
            _ => random.below(2) == 0,
        };
        if kept {
            put(file, offset + (index * SECTOR_LEN) as u64, sector);
        }
    }
}

fn put(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    if file.len() < to {
        file.resize(to, 0);
    }
    file[from..to].copy_from_slice(bytes);
}
