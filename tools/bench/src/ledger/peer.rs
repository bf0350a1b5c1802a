//! revm at the same transfers: a program of its own (`tools/bench/peers/revm/`), which is started once a repeat.
//!
//! It stands outside of the workspace, so that what revm depends on, and under which licences, does not enter the node's
//! tree. It reads a file and prints one line; what it prints is foreign and is bounded and checked here.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

use super::load::Load;
use super::{LedgerError, PREFIX, temporary};

/// How it is built, and where it then lies.
pub(super) const HOW_TO_BUILD: &str = "cargo build --release --manifest-path tools/bench/peers/revm/Cargo.toml";
pub(super) const BUILT: &str = "tools/bench/peers/revm/target/release/hpb-peer-revm";

/// Bytes of what it says that are read: of its one line, or of the end of its complaint.
const SAID_LEN_MAX: u64 = 1_000;
/// Letters of a version at most.
const VERSION_LEN_MAX: usize = 32;

/// Why revm has no figure.
#[derive(Debug, thiserror::Error)]
pub enum RevmError {
    /// There is no program at the path.
    #[error("{program}: {reason}; {HOW_TO_BUILD} makes {BUILT}")]
    Missing {
        /// The path as it was given.
        program: String,
        /// What the system says, or what is there instead.
        reason: String,
    },
    /// It does not start, or its files cannot be read or written.
    #[error("{path}: {error}")]
    Disk {
        /// The program or the file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// It ended with an error.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// Where it is.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to its standard error, in one line.
        said: String,
    },
    /// It ended well and said something else than figures of this run.
    #[error(
        "{program} said {said}, and one line of JSON was expected: transfers ({transfers}), seconds (above 0), revm (a version)"
    )]
    Answer {
        /// Where it is.
        program: String,
        /// The beginning of what it wrote to its standard output, in one line.
        said: String,
        /// The transfers that it was given.
        transfers: usize,
    },
}

/// A program that is there and may be run.
pub(super) struct Program(PathBuf);

/// A load that is written for it, and what it said of it.
pub(super) struct Revm {
    program: PathBuf,
    /// Holds the transfers and what it says; goes with this.
    place: TempDir,
    transfers: usize,
    /// Seconds of each repeat.
    pub(super) took_s: Vec<f64>,
    /// As it said last.
    pub(super) version: String,
}

/// The line that it prints.
#[derive(Deserialize)]
struct Answer {
    transfers: u64,
    seconds: f64,
    revm: String,
}

impl Program {
    /// Looks for it at `path`, which is no name to search for.
    pub(super) fn find(path: &Path) -> Result<Self, RevmError> {
        let missing = |reason| RevmError::Missing { program: path.display().to_string(), reason };
        let found = std::path::absolute(path).and_then(|place| Ok((fs::metadata(&place)?, place)));
        let (metadata, place) = found.map_err(|error| missing(error.to_string()))?;
        if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
            Ok(Self(place))
        } else {
            Err(missing("this is no program".to_owned()))
        }
    }
}

impl Revm {
    /// Writes `load` into a folder of its own in `folder`.
    pub(super) fn prepare(program: &Program, load: &Load, folder: &Path) -> Result<Self, LedgerError> {
        let place = temporary(PREFIX, folder)?;
        let revm = Self {
            program: program.0.clone(),
            place,
            transfers: load.len(),
            took_s: Vec::new(),
            version: String::new(),
        };
        let path = revm.input();
        let write = || {
            let mut file = BufWriter::new(File::create(&path)?);
            load.write(&mut file)?;
            file.flush()
        };
        write().map_err(disk(&path))?;
        Ok(revm)
    }

    /// Runs it once.
    pub(super) fn measure(&mut self) -> Result<(), RevmError> {
        let [out, err] = ["out", "err"].map(|name| self.place.path().join(name));
        // To files, because two pipes want two readers.
        let create = |path: &Path| File::create(path).map_err(disk(path));
        let status = Command::new(&self.program)
            .arg(self.input())
            .stdin(Stdio::null())
            .stdout(create(&out)?)
            .stderr(create(&err)?)
            .status()
            .map_err(disk(&self.program))?;
        let program = self.program.display().to_string();
        if !status.success() {
            let said =
                told(&read(&err, End::Last).map_err(disk(&err))?).unwrap_or_else(|| "it said nothing".to_owned());
            return Err(RevmError::Failed { program, status, said });
        }
        let text = read(&out, End::First).map_err(disk(&out))?;
        let Some(answer) = self.answer(&text) else {
            let said = told(&text).map_or_else(|| "nothing".to_owned(), |said| format!("`{said}`"));
            return Err(RevmError::Answer { program, said, transfers: self.transfers });
        };
        self.took_s.push(answer.seconds);
        self.version = answer.revm;
        Ok(())
    }

    fn input(&self) -> PathBuf {
        self.place.path().join("transfers")
    }

    /// What it said, if that is of this run.
    fn answer(&self, text: &[u8]) -> Option<Answer> {
        let answer: Answer = serde_json::from_slice(text).ok()?;
        let is_version = !answer.revm.is_empty()
            && answer.revm.len() <= VERSION_LEN_MAX
            && answer.revm.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-+".contains(letter));
        let is_of_this = answer.transfers == self.transfers as u64 && answer.seconds.is_finite();
        (is_version && is_of_this && answer.seconds > 0.0).then_some(answer)
    }
}

/// Which part of a file is read if it is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

fn read(path: &Path, end: End) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    if end == End::Last {
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(SAID_LEN_MAX)))?;
    }
    let mut text = Vec::new();
    file.take(SAID_LEN_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Foreign words in one line; `None` of none.
fn told(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line: String = lines.join("; ").chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    (!line.is_empty()).then_some(line)
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> RevmError + '_ {
    |error| RevmError::Disk { path: path.display().to_string(), error }
}
