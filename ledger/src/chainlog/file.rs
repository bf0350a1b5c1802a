//! The log's only way to a disk: a file that is written, synced and read, and the folder that holds its segments.
//!
//! The node puts an `io_uring` file behind [`LogFile`], a simulation a disk of its own behind [`LogFolder`].
//!
//! A segment comes into being whole: filled with zeros to its full length, with its header, synced, and only then
//! given its name. Writes into it change no length and no allocation, so a data sync has no metadata to write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::folder::sync_folder;

/// One segment's bytes.
pub trait LogFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on as far as the file goes, and says how far that is.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. Nothing is durable before a sync.
    ///
    /// # Errors
    /// What the operating system says; any part of `bytes` may then have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything written so far durable (`fdatasync`).
    ///
    /// # Errors
    /// What the operating system says; nothing written since the last sync may then be relied on, not even after
    /// another sync that succeeds.
    fn sync(&mut self) -> io::Result<()>;

    /// Writes all of `bytes` at `offset` and makes it durable, in one go where the file can.
    ///
    /// # Errors
    /// As those of [`write_at`](Self::write_at) and [`sync`](Self::sync).
    fn write_and_sync(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(offset, bytes)?;
        self.sync()
    }

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Where segments lie, by their number.
pub trait LogFolder: Send {
    /// What people call it: its path.
    fn name(&self) -> String;

    /// The segments that are there, ascending.
    ///
    /// # Errors
    /// What the operating system says.
    fn segments(&mut self) -> io::Result<Vec<u32>>;

    /// Opens a segment that is there.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&mut self, segment: u32) -> io::Result<Box<dyn LogFile>>;

    /// Does a share of the work that [`create`](Self::create) will need for this segment: at most `step_len` bytes are
    /// written. True once nothing is left to prepare.
    ///
    /// # Errors
    /// What the operating system says; what was prepared is then thrown away.
    fn prepare(&mut self, segment: u32, length: u64, step_len: u64) -> io::Result<bool>;

    /// Brings a segment of `length` bytes into being, all zero after `header`. It is there and durable, name
    /// included, or it is not there.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::StorageFull`] where there is no room.
    fn create(&mut self, segment: u32, length: u64, header: &[u8]) -> io::Result<Box<dyn LogFile>>;

    /// Removes a segment for good.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&mut self, segment: u32) -> io::Result<()>;

    /// What the log begins from where it does not begin at genesis ([`snapshot`](crate::snapshot)).
    ///
    /// # Errors
    /// What the operating system says.
    fn root(&mut self) -> io::Result<Option<Box<dyn Read>>> {
        Ok(None)
    }

    /// Puts what `write` writes in the root's place: durable, all of it or nothing.
    ///
    /// # Errors
    /// What `write` or the operating system says; [`io::ErrorKind::Unsupported`] where there are only segments.
    fn put_root(&mut self, _write: WriteRoot<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What writes a root.
pub type WriteRoot<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// A file by plain positioned reads and writes.
#[derive(Debug)]
pub struct StdLogFile {
    file: File,
}

impl StdLogFile {
    /// Over a file that is open for reading and writing.
    pub fn new(file: File) -> Self {
        Self { file }
    }
}

impl LogFile for StdLogFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        read_full(&self.file, offset, bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// Reads from `offset` until `bytes` is full or the file ends, and says how much it was.
///
/// # Errors
/// What the operating system says.
pub fn read_full(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Makes a [`LogFile`] of a file that is open for reading and writing.
pub type Wrap = Box<dyn FnMut(File) -> io::Result<Box<dyn LogFile>> + Send>;

/// Segments as files `log-00000001.hpb` in a folder of the file system, the root as `root.hpb`.
pub struct DirectoryFolder {
    path: PathBuf,
    wrap: Wrap,
    spare: Option<Spare>,
    read_only: bool,
}

struct Spare {
    segment: u32,
    file: File,
    written: u64,
}

impl DirectoryFolder {
    /// The segments in `path`, a folder that exists and that the caller holds alone, through [`StdLogFile`]. What an
    /// earlier owner prepared and did not use is removed.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, Box::new(|file| Ok(Box::new(StdLogFile::new(file)))))
    }

    /// The same through another kind of file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open_with(path: &Path, wrap: Wrap) -> io::Result<Self> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.strip_suffix(SPARE_SUFFIX).is_some_and(is_segment)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { path: path.to_path_buf(), wrap, spare: None, read_only: false })
    }

    /// The segments in `path` for reading: nothing there is changed, and whatever would is refused.
    pub fn open_to_read(path: &Path) -> Self {
        let wrap: Wrap = Box::new(|file| Ok(Box::new(StdLogFile::new(file))));
        Self { path: path.to_path_buf(), wrap, spare: None, read_only: true }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    fn segment_path(&self, segment: u32) -> PathBuf {
        self.path.join(segment_name(segment))
    }

    fn spare_path(&self, segment: u32) -> PathBuf {
        self.path.join(segment_name(segment) + SPARE_SUFFIX)
    }

    /// Fills the spare with zeros up to `length`, at most `step_len` more of them.
    fn fill(&mut self, segment: u32, length: u64, step_len: u64) -> io::Result<bool> {
        if self.spare.as_ref().is_some_and(|spare| spare.segment != segment) {
            self.discard_spare();
        }
        if self.spare.is_none() {
            let path = self.spare_path(segment);
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
            self.spare = Some(Spare { segment, file, written: 0 });
        }
        let Some(spare) = &mut self.spare else { return Ok(false) };
        let until = length.min(spare.written.saturating_add(step_len));
        let zeros = vec![0; FILL_LEN.min(until - spare.written.min(until)) as usize];
        while spare.written < until {
            let count = (until - spare.written).min(FILL_LEN) as usize;
            spare.file.write_all_at(&zeros[..count], spare.written)?;
            spare.written += count as u64;
        }
        Ok(spare.written >= length)
    }

    fn discard_spare(&mut self) {
        if let Some(spare) = self.spare.take() {
            // A spare that stays behind is removed at the next start.
            let _removed = fs::remove_file(self.spare_path(spare.segment));
        }
    }

    fn publish(&mut self, segment: u32, length: u64, header: &[u8]) -> io::Result<Box<dyn LogFile>> {
        self.fill(segment, length, u64::MAX)?;
        let Some(spare) = &self.spare else { return Err(io::ErrorKind::NotFound.into()) };
        spare.file.write_all_at(header, 0)?;
        spare.file.sync_all()?;
        let file = spare.file.try_clone()?;
        let wrapped = (self.wrap)(file)?;
        fs::rename(self.spare_path(segment), self.segment_path(segment))?;
        self.spare = None;
        sync_folder(&self.path)?;
        Ok(wrapped)
    }
}

impl LogFolder for DirectoryFolder {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn segments(&mut self) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Some(segment) = entry?.file_name().to_str().and_then(segment_number) {
                found.push(segment);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn open(&mut self, segment: u32) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(!self.read_only).open(self.segment_path(segment))?;
        (self.wrap)(file)
    }

    fn prepare(&mut self, segment: u32, length: u64, step_len: u64) -> io::Result<bool> {
        self.check_writable()?;
        let done = self.fill(segment, length, step_len);
        if done.is_err() {
            self.discard_spare();
        }
        done
    }

    fn create(&mut self, segment: u32, length: u64, header: &[u8]) -> io::Result<Box<dyn LogFile>> {
        self.check_writable()?;
        if self.segment_path(segment).try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let made = self.publish(segment, length, header);
        if made.is_err() {
            self.discard_spare();
        }
        made
    }

    fn remove(&mut self, segment: u32) -> io::Result<()> {
        self.check_writable()?;
        fs::remove_file(self.segment_path(segment))?;
        sync_folder(&self.path)
    }

    fn root(&mut self) -> io::Result<Option<Box<dyn Read>>> {
        match File::open(self.path.join(ROOT_FILE)) {
            Ok(file) => Ok(Some(Box::new(BufReader::new(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put_root(&mut self, write: WriteRoot<'_>) -> io::Result<()> {
        self.check_writable()?;
        let part = self.path.join(format!("{ROOT_FILE}.part"));
        let mut out = BufWriter::new(File::create(&part)?);
        let written = write(&mut out).and_then(|()| out.flush()).and_then(|()| out.get_ref().sync_all());
        if let Err(error) = written {
            // One that stays behind is written over by the next.
            let _removed = fs::remove_file(&part);
            return Err(error);
        }
        fs::rename(&part, self.path.join(ROOT_FILE))?;
        sync_folder(&self.path)
    }
}

/// Zeros written at once.
const FILL_LEN: u64 = 1 << 20;
const SPARE_SUFFIX: &str = ".new";
const ROOT_FILE: &str = "root.hpb";

fn segment_name(segment: u32) -> String {
    format!("log-{segment:08}.hpb")
}

fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".hpb")?;
    let segment = digits.parse().ok()?;
    (segment_name(segment) == name).then_some(segment)
}

fn is_segment(name: &str) -> bool {
    segment_number(name).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for segment in [1, 99_999_999, 100_000_000, u32::MAX] {
            assert_eq!(segment_number(&segment_name(segment)), Some(segment));
        }
        for other in ["log-1.hpb", "log-+0000001.hpb", "log-00000001.hpb.new", "log-000000001.hpb", "data.mdb"] {
            assert_eq!(segment_number(other), None, "{other}");
        }
    }

    #[test]
    fn a_segment_is_prepared_in_steps_and_appears_whole() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = DirectoryFolder::open(place.path()).unwrap();
        assert!(!folder.prepare(1, 10_000, 4_096).unwrap());
        assert!(!folder.prepare(1, 10_000, 4_096).unwrap());
        assert!(folder.prepare(1, 10_000, 4_096).unwrap());
        assert!(folder.segments().unwrap().is_empty());
        let mut file = folder.create(1, 10_000, b"head").unwrap();
        assert_eq!(folder.segments().unwrap(), [1]);
        assert_eq!(file.length().unwrap(), 10_000);
        file.write_and_sync(9_998, b"ab").unwrap();
        let mut bytes = [1; 8];
        assert_eq!(file.read_at(9_994, &mut bytes).unwrap(), 6);
        assert_eq!(&bytes[..6], b"\0\0\0\0ab");
        assert_eq!(file.read_at(0, &mut bytes).unwrap(), 8);
        assert_eq!(&bytes, b"head\0\0\0\0");
        assert_eq!(folder.create(1, 10_000, b"").err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        folder.create(2, 5_000, b"").unwrap();
        folder.remove(1).unwrap();
        assert_eq!(folder.segments().unwrap(), [2]);
    }

    #[test]
    fn what_was_prepared_and_not_used_is_removed_at_the_next_start() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = DirectoryFolder::open(place.path()).unwrap();
        folder.prepare(7, 1 << 20, 4_096).unwrap();
        drop(folder);
        fs::write(place.path().join("notes.new"), "kept").unwrap();
        DirectoryFolder::open(place.path()).unwrap();
        let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.new"]);
    }

    #[test]
    fn a_folder_that_is_read_is_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = DirectoryFolder::open(place.path()).unwrap();
        folder.create(1, 8_192, b"head").unwrap();
        folder.prepare(2, 8_192, 4_096).unwrap();
        let mut read = DirectoryFolder::open_to_read(place.path());
        assert_eq!(read.segments().unwrap(), [1]);
        assert!(read.open(1).unwrap().write_at(0, b"tail").is_err());
        for refused in [read.create(2, 8_192, b"").err(), read.prepare(2, 8_192, 1).err(), read.remove(1).err()] {
            assert_eq!(refused.unwrap().kind(), io::ErrorKind::ReadOnlyFilesystem);
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "the segment and the spare of its owner");
    }

    #[test]
    fn a_segment_that_cant_be_made_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let refuse: Wrap = Box::new(|_| Err(io::ErrorKind::StorageFull.into()));
        let mut folder = DirectoryFolder::open_with(place.path(), refuse).unwrap();
        assert_eq!(folder.create(1, 8_192, b"x").err().unwrap().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
