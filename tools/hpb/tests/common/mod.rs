//! What the tests that start the binary share: a place for each, small devnets, and what came of a run.
//!
//! Nothing here waits by the clock. A test that needs a run to have come somewhere reads it from the descriptor of
//! `--final-fd`, and one that never comes there is the test harness's to end.

#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod disk;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hpb_types::Hash;

/// The binary.
pub(crate) const HPB: &str = env!("CARGO_BIN_EXE_hpb");

/// Devnets of one test file take turns: two at once would disturb each other's slots on two cores.
static TURN: Mutex<()> = Mutex::new(());

/// A folder of one test, empty at its start and gone at its end unless the test failed.
pub(crate) struct Place {
    path: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        Self { path, _turn: turn }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// `hpb devnet` of a small chain in this folder. Options that `words` name replace the usual ones.
    pub(crate) fn devnet(&self, words: &[&str]) -> Command {
        let mut command = Command::new(HPB);
        command.current_dir(&self.path).arg("devnet").args(small(words));
        command
    }

    /// The same through `sh`, after `before` (`ulimit …;`) and with `redirections` (`3>&1`).
    pub(crate) fn devnet_in_shell(&self, before: &str, words: &[&str], redirections: &str) -> Command {
        let mut command = Command::new("sh");
        let script = format!("{before} exec \"$0\" \"$@\" {redirections}");
        command.current_dir(&self.path).args(["-c", &script, HPB, "devnet"]).args(small(words));
        command
    }

    /// The names below the folder, as they stand: what a refused run must leave as it was.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.path, &self.path, &mut names);
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What can't be removed is wiped by the next run.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn list(root: &Path, folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            list(root, &path, names);
        }
        names.push(name);
    }
}

/// The options of a small devnet, those that `words` name replaced.
pub(crate) fn small(words: &[&str]) -> Vec<String> {
    let usual = [
        ("--validators", "4"),
        ("--sessions", "40"),
        ("--rate", "100"),
        ("--seconds", "1"),
        ("--slot-ms", "600"),
        ("--slice-ms", "50"),
        ("--report", "report"),
    ];
    let kept = usual.iter().filter(|(option, _)| !words.contains(option));
    let kept = kept.flat_map(|(option, value)| [*option, *value]);
    kept.chain(words.iter().copied()).map(str::to_owned).collect()
}

/// What a program that ended has said.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    command.stdin(Stdio::null()).output().unwrap().into()
}

/// One that must have done its work.
pub(crate) fn succeeded(command: &mut Command) -> Ended {
    let ended = ended(command);
    assert_eq!(ended.code, Some(0), "{command:?}\n{}\n{}", ended.out, ended.err);
    ended
}

/// One that must have been refused: exit code 2, nothing on the output, and one line of errors, which is returned.
pub(crate) fn refused(command: &mut Command) -> String {
    let ended = ended(command);
    let said = format!("{command:?}\nout: {}\nerr: {}", ended.out, ended.err);
    assert_eq!(ended.code, Some(2), "{said}");
    assert_eq!(ended.out, "", "{said}");
    let line = ended.err.strip_prefix("hpb: ").unwrap_or_else(|| panic!("{said}"));
    let line = line.strip_suffix('\n').unwrap_or_else(|| panic!("{said}"));
    assert!(!line.is_empty() && !line.contains('\n'), "{said}");
    line.to_owned()
}

/// A devnet that is under way, with what it tells final at hand.
pub(crate) struct Running {
    pub(crate) child: Child,
    told: BufReader<ChildStdout>,
    ids: Vec<Hash>,
}

impl Running {
    /// Starts it with its data in `data`; its summary goes nowhere, its errors to the file `<data>.err` beside it.
    pub(crate) fn start(place: &Place, data: &str, words: &[&str]) -> Self {
        let words: Vec<&str> = ["--data", data, "--final-fd", "3"].iter().chain(words).copied().collect();
        let mut command = place.devnet_in_shell("", &words, "3>&1 1>/dev/null");
        let errors = fs::File::create(place.at(&format!("{data}.err"))).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        Self { child, told, ids: Vec::new() }
    }

    /// Waits until `count` transactions were told final.
    pub(crate) fn wait_for(&mut self, count: usize) {
        while self.ids.len() < count {
            let mut line = String::new();
            self.told.read_line(&mut line).unwrap();
            assert!(line.ends_with('\n'), "it ended after {} transactions: {line:?}", self.ids.len());
            self.ids.push(Hash::from_hex(line.trim_end()).unwrap());
        }
    }

    /// Ends it with a signal's name (`INT`), waits, and gives the exit code and all that it told final.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, Vec<Hash>) {
        let id = self.child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -\"$1\" \"$2\"", "sh", signal, &id]).status().unwrap().success());
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).unwrap();
        // What was cut off in the middle of a line was told to nobody.
        let whole = rest.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        self.ids.extend(whole.map(|line| Hash::from_hex(line).unwrap()));
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.ids))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless the test failed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The state root that each validator names in a report's notes, with the final slice at which it holds.
pub(crate) fn roots(report: &hpb_devnet::report::Report) -> Vec<(String, String)> {
    let notes = report.run.notes.iter().filter_map(|note| note.split_once(": state root "));
    notes.map(|(_, text)| text.split_once(" at ").unwrap()).map(|(root, at)| (at.to_owned(), root.to_owned())).collect()
}

pub(crate) fn report(folder: &Path) -> hpb_devnet::report::Report {
    let text = fs::read_to_string(folder.join(hpb_devnet::report::JSON_FILE)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The first of `names` that is a program here.
pub(crate) fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(OsStr::new(name))).find(|path| path.is_file()))
}
