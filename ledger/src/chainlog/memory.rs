//! A log folder in memory, for tests and simulation: it can lose what was not synced, run out of room and be damaged.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::file::{LogFile, LogFolder, WriteRoot};

/// A disk in memory. Clones share it, so that one owner can be dropped and another opened over what is left.
#[derive(Clone, Default, Debug)]
pub struct MemoryFolder {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Default, Debug)]
struct Disk {
    files: BTreeMap<u32, MemoryFile>,
    root: Option<Vec<u8>>,
    room: Option<u64>,
}

#[derive(Default, Debug)]
struct MemoryFile {
    bytes: Vec<u8>,
    /// What stood where something was written since the last sync, in the order of writing.
    undo: Vec<(usize, Vec<u8>)>,
}

impl MemoryFolder {
    /// An empty disk with all the room there is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets only `room` more bytes be written, the filling of new segments included; `None` lifts the limit. A write
    /// that goes over it writes what fits and then fails.
    pub fn set_room(&self, room: Option<u64>) {
        self.lock().room = room;
    }

    /// A segment's bytes as a reader sees them now.
    pub fn bytes(&self, segment: u32) -> Option<Vec<u8>> {
        self.lock().files.get(&segment).map(|file| file.bytes.clone())
    }

    /// Puts other bytes in a segment's place, durable at once.
    pub fn replace(&self, segment: u32, bytes: Vec<u8>) {
        self.lock().files.insert(segment, MemoryFile { bytes, undo: Vec::new() });
    }

    /// Power loss at its worst: everything written since each file's last sync is undone.
    pub fn lose_unsynced(&self) {
        for file in self.lock().files.values_mut() {
            while let Some((at, old)) = file.undo.pop() {
                file.bytes[at..at + old.len()].copy_from_slice(&old);
            }
        }
    }

    /// A disk of its own with the same bytes.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copied = Self::new();
        for (segment, file) in &self.lock().files {
            copied.replace(*segment, file.bytes.clone());
        }
        copied.lock().root.clone_from(&self.lock().root);
        copied
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// How many of `wanted` bytes fit; they are taken off the room.
    fn take_room(&mut self, wanted: u64) -> u64 {
        let granted = self.room.map_or(wanted, |room| room.min(wanted));
        self.room = self.room.map(|room| room - granted);
        granted
    }
}

impl LogFolder for MemoryFolder {
    fn name(&self) -> String {
        "the log in memory".to_owned()
    }

    fn segments(&mut self) -> io::Result<Vec<u32>> {
        Ok(self.lock().files.keys().copied().collect())
    }

    fn open(&mut self, segment: u32) -> io::Result<Box<dyn LogFile>> {
        if !self.lock().files.contains_key(&segment) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(Handle { folder: self.clone(), segment }))
    }

    fn prepare(&mut self, _segment: u32, _length: u64, _step_len: u64) -> io::Result<bool> {
        Ok(true)
    }

    fn create(&mut self, segment: u32, length: u64, header: &[u8]) -> io::Result<Box<dyn LogFile>> {
        let mut disk = self.lock();
        if disk.files.contains_key(&segment) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if disk.take_room(length) < length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut bytes = vec![0; length as usize];
        bytes[..header.len()].copy_from_slice(header);
        disk.files.insert(segment, MemoryFile { bytes, undo: Vec::new() });
        drop(disk);
        self.open(segment)
    }

    fn remove(&mut self, segment: u32) -> io::Result<()> {
        self.lock().files.remove(&segment).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn root(&mut self) -> io::Result<Option<Box<dyn Read>>> {
        let root = self.lock().root.clone();
        Ok(root.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read>))
    }

    fn put_root(&mut self, write: WriteRoot<'_>) -> io::Result<()> {
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        self.lock().root = Some(bytes);
        Ok(())
    }
}

struct Handle {
    folder: MemoryFolder,
    segment: u32,
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut MemoryFile) -> T) -> io::Result<T> {
        let mut disk = self.folder.lock();
        disk.files.get_mut(&self.segment).map(act).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl LogFile for Handle {
    fn length(&self) -> io::Result<u64> {
        self.with(|file| file.bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.with(|file| {
            let there = file.bytes.get(offset as usize..).unwrap_or_default();
            let count = there.len().min(bytes.len());
            bytes[..count].copy_from_slice(&there[..count]);
            count
        })
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let granted = self.folder.lock().take_room(bytes.len() as u64) as usize;
        self.with(|file| {
            let at = offset as usize;
            let end = at + granted;
            if file.bytes.len() < end {
                file.bytes.resize(end, 0);
            }
            file.undo.push((at, file.bytes[at..end].to_vec()));
            file.bytes[at..end].copy_from_slice(&bytes[..granted]);
        })?;
        if granted < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|file| file.undo.clear())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.with(|file| {
            file.undo.clear();
            file.bytes.truncate(length as usize);
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_was_not_synced_is_lost_and_nothing_else() {
        let mut folder = MemoryFolder::new();
        let mut file = folder.create(1, 8, b"head").unwrap();
        file.write_and_sync(4, b"ab").unwrap();
        file.write_at(4, b"xyz").unwrap();
        file.write_at(5, b"!").unwrap();
        assert_eq!(folder.bytes(1).unwrap(), b"headx!z\0");
        folder.lose_unsynced();
        assert_eq!(folder.bytes(1).unwrap(), b"headab\0\0");
    }

    #[test]
    fn a_write_beyond_the_room_writes_what_fits() {
        let mut folder = MemoryFolder::new();
        folder.set_room(Some(10));
        assert_eq!(folder.create(1, 11, b"").err().unwrap().kind(), io::ErrorKind::StorageFull);
        folder.set_room(Some(10));
        let mut file = folder.create(1, 8, b"").unwrap();
        assert_eq!(file.write_at(0, b"abc").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(folder.bytes(1).unwrap(), b"ab\0\0\0\0\0\0");
        folder.set_room(None);
        file.write_at(0, b"abc").unwrap();
    }
}
