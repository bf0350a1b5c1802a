//! A node's disk: the log's folder and the store, both of which lose, tear, rot and fill up as the schedule says.
//!
//! A write is on its way until the world says that its sync came back ([`SimFolder::settle`]); a crash before that keeps
//! any of its blocks and loses the others. A commit of the store is whole or not there. Rot turns a bit of what was
//! synced, which no crash does.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpb_base::Random;
use hpb_ledger::chainlog::{BLOCK_LEN, LogFile, LogFolder};
use hpb_ledger::store::Visit;
use hpb_ledger::{FinalBatch, FinalPoint, SharedStore, Store, StoreError};

/// The log's folder. Clones share it.
#[derive(Clone, Default, Debug)]
pub struct SimFolder(Arc<Mutex<Disk>>);

#[derive(Default, Debug)]
struct Disk {
    files: BTreeMap<u32, File>,
    unsettled: Vec<Unsettled>,
    room: Option<u64>,
}

#[derive(Default, Debug)]
struct File {
    bytes: Vec<u8>,
    /// Where what was written ends: rot beyond it would hurt nobody.
    written: usize,
}

/// What stood where something was written that is not synced yet.
#[derive(Debug)]
struct Unsettled {
    segment: u32,
    offset: usize,
    old: Vec<u8>,
}

impl SimFolder {
    /// The syncs of all writes so far came back.
    pub fn settle(&self) {
        self.lock().unsettled.clear();
    }

    /// The node ends at once. Of the blocks on their way, those up to one that `random` chooses have arrived; any of
    /// them, if power is lost.
    pub fn crash(&self, power: bool, random: &mut Random) {
        let mut disk = self.lock();
        let Disk { files, unsettled, .. } = &mut *disk;
        while let Some(Unsettled { segment, offset, old }) = unsettled.pop() {
            let Some(file) = files.get_mut(&segment) else { continue };
            let blocks = old.chunks(BLOCK_LEN as usize);
            let arrived = random.below(blocks.len() as u64 + 1) as usize;
            for (index, block) in blocks.enumerate() {
                let at = offset + index * BLOCK_LEN as usize;
                let lost = if power { random.below(2) == 0 } else { index >= arrived };
                if lost && file.bytes.len() >= at + block.len() {
                    file.bytes[at..at + block.len()].copy_from_slice(block);
                }
            }
        }
    }

    /// Turns one bit of what was written.
    pub fn rot(&self, random: &mut Random) {
        let mut disk = self.lock();
        let count = disk.files.len() as u64;
        if count == 0 {
            return;
        }
        let chosen = random.below(count) as usize;
        if let Some(file) = disk.files.values_mut().nth(chosen)
            && file.written > 0
        {
            let at = random.below(file.written as u64) as usize;
            file.bytes[at] ^= 1 << random.below(8);
        }
    }

    /// Lets only `room` more bytes be written; `None` lifts the limit.
    pub fn set_room(&self, room: Option<u64>) {
        self.lock().room = room;
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// How many of `wanted` bytes fit; they are taken off the room.
    fn take_room(&mut self, wanted: u64) -> u64 {
        let granted = self.room.map_or(wanted, |room| room.min(wanted));
        self.room = self.room.map(|room| room - granted);
        granted
    }

    fn file(&mut self, segment: u32) -> io::Result<&mut File> {
        self.files.get_mut(&segment).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl LogFolder for SimFolder {
    fn name(&self) -> String {
        "the simulated log".to_owned()
    }

    fn segments(&mut self) -> io::Result<Vec<u32>> {
        Ok(self.lock().files.keys().copied().collect())
    }

    fn open(&mut self, segment: u32) -> io::Result<Box<dyn LogFile>> {
        self.lock().file(segment)?;
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
        disk.files.insert(segment, File { bytes, written: header.len() });
        drop(disk);
        self.open(segment)
    }

    fn remove(&mut self, segment: u32) -> io::Result<()> {
        self.lock().files.remove(&segment).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

struct Handle {
    folder: SimFolder,
    segment: u32,
}

impl LogFile for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(self.folder.lock().file(self.segment)?.bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut disk = self.folder.lock();
        let there = disk.file(self.segment)?.bytes.get(offset as usize..).unwrap_or_default();
        let count = there.len().min(bytes.len());
        bytes[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.folder.lock();
        let granted = disk.take_room(bytes.len() as u64) as usize;
        let (at, end) = (offset as usize, offset as usize + granted);
        let file = disk.file(self.segment)?;
        if file.bytes.len() < end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let old = file.bytes[at..end].to_vec();
        file.bytes[at..end].copy_from_slice(&bytes[..granted]);
        file.written = file.written.max(end);
        disk.unsettled.push(Unsettled { segment: self.segment, offset: at, old });
        if granted < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        // It comes back when the world says so.
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut disk = self.folder.lock();
        let file = disk.file(self.segment)?;
        file.bytes.truncate(length as usize);
        file.written = file.written.min(length as usize);
        Ok(())
    }
}

/// The store, which outlives the node that reads it. Clones share it.
#[derive(Clone, Default, Debug)]
pub struct SimStore {
    held: SharedStore,
    full: Arc<Mutex<bool>>,
}

impl SimStore {
    /// Whether commits find no room.
    pub fn set_full(&self, full: bool) {
        *self.full.lock().unwrap_or_else(PoisonError::into_inner) = full;
    }
}

impl Store for SimStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.held.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.held.scan(prefix, visit)
    }

    fn commit(&mut self, batch: &FinalBatch) -> Result<(), StoreError> {
        if *self.full.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(StoreError::DiskFull { path: "the simulated store".to_owned(), commit: batch.point.commit });
        }
        self.held.commit(batch)
    }

    fn final_point(&self) -> Result<Option<FinalPoint>, StoreError> {
        self.held.final_point()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LEN: usize = BLOCK_LEN as usize;

    #[test]
    fn a_crash_keeps_any_blocks_of_what_was_not_synced_and_all_that_was() {
        let power = [(0, 0), (0, 2), (2, 0), (2, 2)];
        let kill = [(0, 0), (2, 0), (2, 2)];
        assert_eq!(kept(true), power);
        assert_eq!(kept(false), kill);
    }

    /// What may be left of two blocks on their way.
    fn kept(power: bool) -> Vec<(u8, u8)> {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut folder = SimFolder::default();
            let mut file = folder.create(1, 4 * BLOCK_LEN, b"head").unwrap();
            file.write_and_sync(BLOCK_LEN, &vec![1; LEN]).unwrap();
            folder.settle();
            file.write_and_sync(2 * BLOCK_LEN, &vec![2; 2 * LEN]).unwrap();
            folder.crash(power, &mut Random::new(seed));
            let mut bytes = vec![0; 3 * LEN];
            assert_eq!(file.read_at(BLOCK_LEN, &mut bytes).unwrap(), 3 * LEN);
            assert!(bytes[..LEN].iter().all(|byte| *byte == 1));
            seen.insert((bytes[LEN], bytes[2 * LEN]));
        }
        seen.into_iter().collect()
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_refuses() {
        let mut folder = SimFolder::default();
        let mut file = folder.create(1, 4 * BLOCK_LEN, b"").unwrap();
        folder.set_room(Some(10));
        assert_eq!(file.write_at(0, &[1; 11]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(folder.create(2, BLOCK_LEN, b"").err().unwrap().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn rot_turns_one_bit_of_what_was_written() {
        let mut folder = SimFolder::default();
        let mut file = folder.create(1, 4 * BLOCK_LEN, b"").unwrap();
        file.write_at(0, &[0; 64]).unwrap();
        folder.rot(&mut Random::new(1));
        let mut bytes = vec![0; 4 * LEN];
        file.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert!(bytes[64..].iter().all(|byte| *byte == 0));
    }
}
