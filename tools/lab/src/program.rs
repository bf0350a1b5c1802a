//! Another build of this program as a target: each repeat is a run of `PROGRAM lab repeat`, which answers one record as
//! JSON on its standard output. So this build stands beside a saved one in the same run, on the same machine, in turn.

use std::io::Write as _;
use std::process::{Command, Stdio};

use hpb_base::Instant;
use tempfile::NamedTempFile;

use crate::host::failed;
use crate::host::stage::began;
use crate::host::window::now;
use crate::record::Repeat;
use crate::run::open_target;
use crate::scenario::file::{ScenarioError, parse_with};
use crate::scenario::{Scenario, TargetSpec};
use crate::target::{Stop, Target, TargetError};

/// The exit code by which a program says that it cannot do what is asked.
const REFUSED: i32 = 2;

/// Another build as a target.
pub struct Program {
    name: String,
    path: String,
    /// The scenario's file, for the other build to read.
    file: NamedTempFile,
    began: Option<Instant>,
}

impl Program {
    /// The build that `spec` names, for the scenario whose file says `text`.
    ///
    /// # Errors
    /// [`TargetError::Unavailable`]: there is no such program.
    pub fn new(spec: &TargetSpec, text: &str) -> Result<Self, TargetError> {
        let path = spec.program.clone().unwrap_or_default();
        let version = Command::new(&path).arg("--version").stdin(Stdio::null()).output();
        version.map_err(|error| TargetError::Unavailable(format!("{path}: {error}")))?;
        let mut file = NamedTempFile::with_suffix(".toml").map_err(failed("writing the scenario for another build"))?;
        file.write_all(text.as_bytes()).map_err(failed("writing the scenario for another build"))?;
        Ok(Self { name: spec.name.clone(), path, file, began: None })
    }
}

impl Target for Program {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> String {
        format!("what {} makes of it", self.path)
    }

    fn repeat(&mut self, _scenario: &Scenario, number: u32, stop: Stop<'_>) -> Result<Repeat, TargetError> {
        let began = began(&mut self.began);
        let started = now();
        let output = Command::new(&self.path)
            .args(["lab", "repeat", "--json", "--number", &number.to_string(), "--target", &self.name, "--scenario"])
            .arg(self.file.path())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| TargetError::Failed(format!("{}: {error}", self.path)))?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let Self { path, .. } = self;
        match output.status.code() {
            Some(0) => {}
            // Whoever interrupts at the keyboard interrupts both.
            Some(1..) | None if stop() => return Err(TargetError::Stopped),
            Some(REFUSED) => return Err(TargetError::Unavailable(format!("{path}: {said}"))),
            _ => return Err(TargetError::Failed(format!("{path} ended with {}: {said}", output.status))),
        }
        let mut repeat: Repeat = serde_json::from_slice(&output.stdout)
            .map_err(|error| TargetError::Failed(format!("{path} answered what is no record of a repeat: {error}")))?;
        repeat.began_ns += started.since(began).as_nanos();
        Ok(repeat)
    }
}

/// The scenario that a file says, with what was set beside it.
///
/// # Errors
/// As [`file::parse`](crate::scenario::file::parse).
pub fn scenario(text: &str) -> Result<Scenario, ScenarioError> {
    let set = text.lines().filter_map(|line| line.strip_prefix("# set: ")?.split_once(" = "));
    let set: Vec<(String, String)> = set.map(|(path, value)| (path.to_owned(), value.to_owned())).collect();
    parse_with(text, &set)
}

/// The other side: runs one repeat of one target of a scenario, whose file says `text`, in this process.
///
/// # Errors
/// [`TargetError::Unavailable`]: there is no such target, or it cannot run here; or as it fails.
pub fn repeat(scenario: &Scenario, text: &str, target: &str, number: u32) -> Result<Repeat, TargetError> {
    let spec = scenario.targets.iter().find(|spec| spec.name == target);
    let spec = spec.ok_or_else(|| TargetError::Unavailable(format!("the scenario has no target `{target}`")))?;
    let spec = TargetSpec { program: None, ..spec.clone() };
    open_target(&spec, scenario, text)?.repeat(scenario, number, &|| false)
}

#[cfg(test)]
mod tests;
