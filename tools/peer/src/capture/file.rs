//! Where a capture goes: one file, a ring of files, or standard output. A file holds whole blocks at any time, also where
//! the disk is full: what did not fit is cut off again.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hpb_base::UnixMillis;
use hpb_base::limits::CAPTURE_CHUNK_LEN;
use hpb_net::capture::{CaptureLink, CapturePacket, CaptureWriter};

use super::Packet;

/// Named in each file.
const PROGRAM: &str = "hpb peer capture";

/// Where to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Standard output.
    Output,
    /// One file.
    File(PathBuf),
    /// Files of about so many bytes, `NAME-00001.pcapng` and so on, of which so many last ones stay.
    Ring {
        /// What their names are made of.
        path: PathBuf,
        /// Bytes of one, at most, but for a last packet.
        len_max: u64,
        /// How many stay.
        files_max: usize,
    },
}

/// A capture that is written.
pub struct CaptureFiles {
    place: Place,
    /// Blocks of the present file; those that were not written yet lie in its sink.
    writer: CaptureWriter<Vec<u8>>,
    /// Where each of these blocks ends in the sink.
    ends: Vec<usize>,
    /// Where each of these packets does, and how many packets were written before.
    packet_ends: Vec<usize>,
    written: u64,
    out: Out,
    /// The present file's interfaces.
    interfaces: BTreeMap<CaptureLink, u32>,
    /// Files that stay, the oldest first, and how many there were.
    files: VecDeque<PathBuf>,
    count: u32,
}

enum Out {
    Output(io::Stdout),
    File { file: File, len: u64 },
}

impl CaptureFiles {
    /// Makes the first file. One that is there already is written anew.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create(place: Place) -> io::Result<Self> {
        let mut files = Self {
            writer: head()?,
            place,
            ends: Vec::new(),
            packet_ends: Vec::new(),
            written: 0,
            out: Out::Output(io::stdout()),
            interfaces: BTreeMap::new(),
            files: VecDeque::new(),
            count: 0,
        };
        files.next()?;
        Ok(files)
    }

    /// Goes on to the next file.
    fn next(&mut self) -> io::Result<()> {
        self.count += 1;
        let (path, files_max) = match &self.place {
            Place::Output => (None, 1),
            Place::File(path) => (Some(path.clone()), 1),
            Place::Ring { path, files_max, .. } => (Some(numbered(path, self.count)), *files_max),
        };
        if let Some(path) = path {
            self.out = Out::File { file: File::create(&path)?, len: 0 };
            self.files.push_back(path);
            while self.files.len() > files_max.max(1)
                && let Some(oldest) = self.files.pop_front()
            {
                // Whoever took it away had room to gain.
                match fs::remove_file(oldest) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        self.writer = head()?;
        self.ends = vec![self.writer.sink().len()];
        self.interfaces.clear();
        // Whoever reads along learns at once what comes.
        self.flush()
    }

    /// Writes a packet, or keeps it until there are more.
    ///
    /// # Errors
    /// What the operating system says; the file then ends behind the last block that is whole.
    pub fn put(&mut self, packet: &Packet) -> io::Result<()> {
        if self.is_full() {
            self.flush()?;
            self.next()?;
        }
        let named = self.interfaces.len() as u32;
        let interface = *self.interfaces.entry(packet.link).or_insert(named);
        if interface == named {
            self.writer.interface(packet.link, name(packet.link))?;
            self.ends.push(self.writer.sink().len());
        }
        let comment = packet.session.map(|session| format!("session {session}")).unwrap_or_default();
        let Packet { at_ns, way, bytes, whole_len, .. } = packet;
        let (at_ns, way, whole_len) = (*at_ns, *way, *whole_len);
        self.writer.packet(&CapturePacket { interface, at_ns, way, bytes, whole_len, comment: &comment })?;
        let len = self.writer.sink().len();
        self.ends.push(len);
        self.packet_ends.push(len);
        if len >= CAPTURE_CHUNK_LEN { self.flush() } else { Ok(()) }
    }

    fn is_full(&mut self) -> bool {
        match (&self.place, &self.out) {
            (Place::Ring { len_max, .. }, Out::File { len, .. }) => len + self.writer.sink().len() as u64 >= *len_max,
            _ => false,
        }
    }

    /// Writes what was kept.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn flush(&mut self) -> io::Result<()> {
        let blocks = std::mem::take(self.writer.sink());
        let (ends, packet_ends) = (std::mem::take(&mut self.ends), std::mem::take(&mut self.packet_ends));
        let (written, result) = match &mut self.out {
            Out::Output(output) => {
                let (written, result) = write(output, &blocks);
                (written, result.and_then(|()| output.flush()))
            }
            Out::File { file, len } => {
                let (written, result) = write(file, &blocks);
                if result.is_err() {
                    let whole = ends.iter().rev().find(|end| **end <= written).copied().unwrap_or(0);
                    // A device is not cut; what it took it took.
                    let _ = file.set_len(*len + whole as u64);
                }
                *len += written as u64;
                (written, result)
            }
        };
        self.written += packet_ends.partition_point(|end| *end <= written) as u64;
        result
    }

    /// Packets that were written whole, also to files that gave way since.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The files that stay, the oldest first.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().map(|path| path.display().to_string()).collect()
    }
}

/// Writes as much as goes; how many bytes went.
fn write(out: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn head() -> io::Result<CaptureWriter<Vec<u8>>> {
    CaptureWriter::section(Vec::new(), UnixMillis(0), PROGRAM)
}

fn name(link: CaptureLink) -> &'static str {
    match link {
        CaptureLink::Ethernet => "frames",
        CaptureLink::Ip => "packets",
        CaptureLink::UpperPdu => "messages",
    }
}

/// `dir/name.pcapng` as `dir/name-00001.pcapng`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = text(path.file_stem()).unwrap_or_default();
    let ending = text(path.extension()).unwrap_or_else(|| "pcapng".to_owned());
    path.with_file_name(format!("{stem}-{number:05}.{ending}"))
}
